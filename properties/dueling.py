"""Dueling heads: error bounds, what the baseline fixes (D1), and their gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from properties._aggregates_bounds import holds_in
from properties._bounds import Floats, gamma, stored
from properties._claim import Call, claim, operator
from properties._draw import BATCHES, ROUGH, STYLES, values
from properties._oracles import exact
from properties._oracles.dueling import dueling_by_fractions, dueling_slopes_by_differences
from properties._trial import Trial

Draw = Callable[[st.SearchStrategy[Any]], Any]
WANG = "Wang et al. 2016, eq. 8-9"
BASELINES = st.sampled_from(["mean", "max"])


class Head(NamedTuple):
    """A value [...] and advantages [..., A]."""

    value: Floats
    advantage: Floats


@st.composite
def heads(draw: Draw, *, styles: tuple[str, ...] = STYLES) -> Head:
    """One to five actions, value and advantages of one scale."""
    lead, style = draw(st.sampled_from(BATCHES)), (draw(st.sampled_from(styles)),)
    return Head(draw(values(lead, style)), draw(values((*lead, draw(st.integers(1, 5))), style)))


TIED = (*ROUGH, "ties", "ties")
CALLS = st.builds(lambda head, baseline: Call(tuple(head), {"baseline": baseline}), heads(styles=TIED), BASELINES)
GIVEN = {"head": heads(), "baseline": BASELINES}


# ----------------------------------------------------------------------------------------------------------- operators
@operator("dueling_value", inputs=CALLS, core=0)
def dueling_bound(unit: float, value: Floats, advantage: Floats, *, baseline: str = "mean") -> Floats:
    """V, A and the baseline meet in two sums, in any order; the mean takes A - 1 sums and a division (a reciprocal) before that."""
    size = np.abs(value)[..., None] + np.abs(advantage)
    if baseline == "max":
        return np.asarray(gamma(2, unit) * (size + np.abs(advantage.max(axis=-1, keepdims=True))))
    mean = np.abs(advantage).mean(axis=-1, keepdims=True)
    return np.asarray(gamma(2, unit) * size + gamma(advantage.shape[-1] + 3, unit) * mean)


@operator("dueling_value_gradient", inputs=CALLS, core=0)
def dueling_gradient_bound(unit: float, value: Floats, advantage: Floats, *, baseline: str = "mean") -> Floats:
    """delta - 1/k: a reciprocal, a product with a mask, a difference."""
    share = _shares(advantage, baseline)[..., None, :]
    return np.asarray(gamma(2, unit) * share + unit * np.abs(np.eye(advantage.shape[-1]) - share))


def _shares(advantage: Floats, baseline: str) -> Floats:
    """d baseline / d advantage: 1/A each, or 1/k on each of the k maximisers."""
    counted = advantage == advantage.max(axis=-1, keepdims=True) if baseline == "max" else np.ones(advantage.shape)
    return np.asarray(counted / counted.sum(axis=-1, keepdims=True))


# -------------------------------------------------------------------------------------------------------------- claims
@claim("D1", source=WANG, operators=["dueling_value"], given=GIVEN, oracle="dueling_by_fractions")
def a_dueling_head_is_value_plus_advantage_above_its_baseline(port: Trial, head: Head, baseline: str) -> None:
    """dueling_value = V + A - mean A, or V + A - max A: each row with its own value and its own baseline."""
    found, error = port("dueling_value", *head, baseline=baseline)
    port.equal(found, dueling_by_fractions(*head, baseline), error)


@claim("D1", source=WANG, operators=["dueling_value"], given={"head": heads()})
def the_baseline_makes_the_value_the_mean_or_the_maximum(port: Trial, head: Head) -> None:
    """With the mean baseline, which is the default, mean_a Q = V in every row; with the max baseline max_a Q = V."""
    found, error = port("dueling_value", *head)
    port.equal(head.value, exact(found).sum(axis=-1) / found.shape[-1], error.mean(axis=-1), "mean_a Q = V")
    found, error = port("dueling_value", *head, baseline="max")
    port.equal(found.max(axis=-1), exact(head.value), error.max(axis=-1), "max_a Q = V")


@claim("D1", source=WANG, operators=["dueling_value"], given=GIVEN)
def values_differ_as_advantages_do(port: Trial, head: Head, baseline: str) -> None:
    """Q_a - Q_b = A_a - A_b, so argmax Q = argmax A, and equal advantages have equal values."""
    found, error = port("dueling_value", *head, baseline=baseline)
    gaps = np.diff(exact(found), axis=-1) - np.diff(exact(head.advantage), axis=-1)
    port.equal(np.zeros(gaps.shape), gaps, error[..., :-1] + error[..., 1:])
    best = np.take_along_axis(found, head.advantage.argmax(axis=-1)[..., None], axis=-1)
    port.at_most(found, np.broadcast_to(best, found.shape), error + error.max(axis=-1, keepdims=True), "argmax Q = argmax A")


@claim("D1", source=WANG, operators=["dueling_value"], given={**GIVEN, "other": heads()})
def only_the_differences_of_advantages_count(port: Trial, head: Head, baseline: str, other: Head) -> None:
    """dueling_value(V, A + c) = dueling_value(V, A), and dueling_value(V + c, A) = dueling_value(V, A) + c."""
    shift = float(other.value.flat[0])
    due, due_error = port("dueling_value", *head, baseline=baseline)
    raised = Head(head.value, head.advantage + shift)
    if _lost_nothing(port, head.advantage, raised.advantage, shift):
        found, error = port("dueling_value", *raised, baseline=baseline)
        port.equal(found, due, error + due_error, "A + c")
    moved = Head(np.asarray(head.value + shift), head.advantage)
    if _lost_nothing(port, head.value, moved.value, shift):
        found, error = port("dueling_value", *moved, baseline=baseline)
        port.equal(found, exact(due) + exact(shift), error + due_error, "V + c")


def _lost_nothing(port: Trial, before: Floats, after: Floats, shift: float) -> bool:
    """Whether `after` is before + shift exactly, in the port's type, too."""
    return holds_in(port.dtype, after) and bool(np.all(exact(after) - exact(before) == exact(shift)))


# ------------------------------------------------------------------------------------------------------------ gradients
@claim(
    "D1",
    source=f"{WANG}, differentiated",
    operators=["dueling_value_gradient"],
    given=GIVEN,
    share=0.5,
    oracle="dueling_slopes_by_differences",
)
def the_slope_of_a_dueling_head_is_its_exact_difference(port: Trial, head: Head, baseline: str) -> None:
    """d Q_a / d A_b = (Q_a(A + h e_b) - Q_a(A - h e_b)) / 2h in fractions, where advantages differ (Q is piecewise linear)."""
    distinct = head.advantage + np.arange(head.advantage.shape[-1]) * 2.0**-8
    ranked = np.sort(distinct, axis=-1)
    if not holds_in(port.dtype, distinct) or np.any(ranked[..., 1:] - ranked[..., :-1] < 2.0**-30):
        return
    found, error = port("dueling_value_gradient", head.value, distinct, baseline=baseline)
    port.equal(found, dueling_slopes_by_differences(head.value, distinct, baseline), error)


@claim("D1", source=f"{WANG}, differentiated", operators=["dueling_value_gradient"], given=GIVEN)
def tied_advantages_share_the_slope_of_the_maximum(port: Trial, head: Head, baseline: str) -> None:
    """d Q_a / d A_b = delta_ab - 1/A with the mean, delta_ab - 1/k on the k maximisers b with the maximum; rows sum to 0."""
    found, error = port("dueling_value_gradient", *head, baseline=baseline)
    own = exact(np.eye(found.shape[-1])) * np.ones(found.shape, dtype=int)
    port.equal(found, own - _exact_shares(head, baseline)[..., None, :], error)
    port.equal(np.zeros(found.shape[:-1]), exact(found).sum(axis=-1), error.sum(axis=-1), "shifting all advantages changes nothing")


def _exact_shares(head: Head, baseline: str) -> Any:
    counted = exact((_shares(head.advantage, baseline) > 0) * 1.0)
    return counted / counted.sum(axis=-1, keepdims=True)


@claim("D1", source=f"{WANG}, differentiated", operators=["dueling_value"], given={**GIVEN, "weigh": values((30,))}, share=0.5)
def a_dueling_head_passes_gradients_to_value_and_advantage(port: Trial, head: Head, baseline: str, weigh: Floats) -> None:
    """Differentiated with weights c on its outputs: sum_a c_a for V, c_b - share_b sum_a c_a for A_b; maximisers share evenly."""
    cotangent = np.resize(weigh, head.advantage.shape)
    total, shares = exact(cotangent).sum(axis=-1), _exact_shares(head, baseline)
    size = np.abs(cotangent).sum(axis=-1)
    actions = cotangent.shape[-1]
    found = port.derivative(0, *head, baseline=baseline, cotangent=cotangent)
    port.equal(found, total, stored(gamma(actions, port.unit) * size, found, port.dtype), "the gradient of V")
    found = port.derivative(1, *head, baseline=baseline, cotangent=cotangent)
    bound = gamma(actions + 3, port.unit) * shares.astype(np.float64) * size[..., None] + gamma(2, port.unit) * np.abs(cotangent)
    due = exact(cotangent) - shares * np.asarray(total, dtype=object)[..., None]
    port.equal(found, due, stored(bound, found, port.dtype), "the gradient of A")
