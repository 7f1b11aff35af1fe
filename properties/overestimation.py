"""Overestimation: error bounds, the bound on a maximum's bias (M1, F1), and what selects is not what evaluates (M2, M3, M5)."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import strategies as st

from properties import _overestimation_learning, _overestimation_maximum  # noqa: F401  (register their claims)
from properties._bounds import Floats, gamma
from properties._claim import Call, claim, operator
from properties._draw import BATCHES, ROUGH, STYLES, batches, values
from properties._oracles import exact
from properties._trial import Trial

Draw = Callable[[st.SearchStrategy[Any]], Any]
DOUBLE = "van Hasselt 2010"
THEOREM = "van Hasselt, Guez & Silver 2016, Theorem 1"


# ----------------------------------------------------------------------------------------------------------- operators
@operator(
    "max_bias_bound",
    inputs=st.builds(
        lambda c, m: Call((np.asarray(np.abs(c)),), {"actions": m}),
        batches().flatmap(lambda shape: values(shape, ROUGH)),
        st.sampled_from([2, 3, 4, 7, 65, 1000]),
    ),
    core=0,
)
def max_bias_bound_bound(unit: float, mean_square_error: Floats, *, actions: int) -> Floats:
    """Two square roots and a division, or a division and a square root."""
    return np.asarray(gamma(3, unit) * np.sqrt(mean_square_error / (actions - 1)))


@st.composite
def selections(draw: Draw, styles: tuple[str, ...] = STYLES) -> tuple[Floats, Floats]:
    """Two estimates [..., A] of the same actions."""
    shape = (*draw(st.sampled_from(BATCHES)), draw(st.integers(1, 5)))
    return draw(values(shape, styles)), draw(values(shape, styles))


@operator("double_estimate", inputs=selections(ROUGH).map(lambda pair: Call(pair, {})))
def double_estimate_bound(unit: float, select: Floats, evaluate: Floats) -> Floats:
    """0: one of the entries, as it is."""
    return np.zeros(select.shape[:-1])


# --------------------------------------------------------------------------------------------------- the maximum's bias
@claim("M1", source=THEOREM, operators=["max_bias_bound"], given={"x": values((5,), STYLES), "actions": st.integers(2, 5)})
def no_maximum_of_errors_that_average_zero_is_below_the_bound(port: Trial, x: Floats, actions: int) -> None:
    """If errors e_1, ..., e_m sum to 0 and C is the mean of e^2, then max_bias_bound(C) = sqrt(C/(m-1)) <= max e."""
    errors = actions * exact(x[:actions]) - exact(x[:actions]).sum()
    found, error = port("max_bias_bound", np.asarray(float((errors**2).sum() / actions)), actions=actions)
    # C is rounded once before it is given, of which its root takes half; the largest error is not rounded
    port.at_most(found, float(max(errors)), error + port.unit * np.abs(found), "bound <= the largest error")


@claim("M1", source=THEOREM, operators=["max_bias_bound"], given={"steps": st.integers(1, 255), "actions": st.integers(2, 64)})
def equal_errors_but_one_attain_the_bound(port: Trial, steps: int, actions: int) -> None:
    """For m - 1 errors a > 0 and one of -(m-1) a, C = (m-1) a^2 and max_bias_bound(C) = a: no larger bound holds."""
    size = Fraction(steps, 16)
    found, error = port("max_bias_bound", np.asarray(float((actions - 1) * size**2)), actions=actions)
    port.equal(found, size, error)


@claim(
    "M1",
    source=THEOREM,
    operators=["max_bias_bound"],
    given={"c": values((3,), ROUGH), "actions": st.sampled_from([2, 3, 10, 1000])},
    share=0.5,
)
def the_squared_bound_times_m_less_one_is_the_mean_square(port: Trial, c: Floats, actions: int) -> None:
    """max_bias_bound(C)^2 (m-1) = C, for every m from 2 on."""
    found, error = port("max_bias_bound", np.abs(c), actions=actions)
    square = exact(found) ** 2 * (actions - 1) - np.abs(exact(c))
    port.equal(np.zeros(c.shape), square, (actions - 1) * (2 * np.abs(found) * error + error**2))


@claim("F1", source="the lecture's bound, refuted", operators=["max_bias_bound"])
def the_bound_does_not_hold_for_the_sum_of_squares(port: Trial) -> None:
    """Refuted: sum e = 0 and sum e^2 = C imply max e >= sqrt(C/(m-1)). m = 2, e = (1, -1): max_bias_bound(2) = 1.414 > 1 = max e,
    whereas the mean of squares, 1, gives 1."""
    errors = np.array([1.0, -1.0])
    of_sum, sum_error = port("max_bias_bound", np.asarray((errors**2).sum()), actions=2)
    port.equal(0.0, exact(of_sum) ** 2 - 2, 2 * of_sum * sum_error + sum_error**2, "the square of max_bias_bound(2), less 2")
    port.holds(bool(of_sum > errors.max() + sum_error), "with the sum of squares the bound exceeds the maximum", found=of_sum)
    of_mean, mean_error = port("max_bias_bound", np.asarray((errors**2).mean()), actions=2)
    port.equal(of_mean, exact(1.0), mean_error, "with the mean of squares it is attained")


# --------------------------------------------------------------------------------------------- one estimate, and two
@claim("M3", source=f"{DOUBLE}, §2.2 and Algorithm 1", operators=["double_estimate"], given={"pair": selections(ROUGH)})
def a_double_estimate_is_the_others_value_of_the_first_best(port: Trial, pair: tuple[Floats, Floats]) -> None:
    """double_estimate = evaluate[a*], a* the first index at which select is largest; exactly, whatever the signs."""
    select, evaluate = pair
    found, error = port("double_estimate", select, evaluate)
    wide = zip(select.reshape(-1, select.shape[-1]).tolist(), evaluate.reshape(-1, evaluate.shape[-1]).tolist(), strict=True)
    due = np.array([values[choices.index(max(choices))] for choices, values in wide]).reshape(select.shape[:-1])
    port.equal(found, due, error)


@claim("M3", source=f"{DOUBLE}, §2.2 and Algorithm 1", operators=["double_estimate"], given={"pair": selections()}, share=0.5)
def a_double_estimate_reads_one_entry_only(port: Trial, pair: tuple[Floats, Floats]) -> None:
    """Infinite entries of evaluate at actions that are not chosen change nothing; of select only the order counts."""
    select, evaluate = pair
    first = np.argmax(select, axis=-1)[..., None] == np.arange(select.shape[-1])
    due, error = port("double_estimate", select, evaluate)
    for other in (math.inf, -math.inf):
        port.equal(port.double_estimate(select, np.where(first, evaluate, other)), due, 2 * error)
    port.equal(port.double_estimate(np.where(first, math.inf, select), evaluate), due, 2 * error, "select infinite at its best")
    port.equal(port.double_estimate(4.0 * select, evaluate), due, 2 * error, "select times 4")


@st.composite
def estimators(draw: Draw, many: int = 2) -> tuple[Floats, ...]:
    """Estimators of the same actions: each an array [outcomes, actions] of equally likely outcomes."""
    actions = draw(st.integers(1, 4))
    style = (draw(st.sampled_from(STYLES)),)
    return tuple(draw(values((draw(st.integers(1, 4)), actions), style)) for _ in range(many))


def _expectation(outcomes: Any) -> Any:
    """The mean over equally likely outcomes, in fractions."""
    return exact(outcomes).sum(axis=0) / len(outcomes)


@claim(
    "M2",
    source="van Hasselt 2010, §2.1 (Jensen)",
    operators=["double_estimate", "max_aggregate"],
    given={"e": estimators(1)},
    share=0.5,
)
def a_maximum_of_estimates_overestimates(port: Trial, e: tuple[Floats, ...]) -> None:
    """E max_a Q(a) >= max_a E Q(a), enumerated: choosing and evaluating with one estimate is its maximum."""
    outcomes = e[0]
    found = port.max_aggregate(outcomes) if port.subject == "max_aggregate" else port.double_estimate(outcomes, outcomes)
    port.equal(found, outcomes.max(axis=-1), 0.0, "double_estimate(Q, Q) = max Q")
    excess = np.asarray(_expectation(found) - max(_expectation(outcomes)))
    port.at_most(0.0, excess.astype(np.float64), 0.0, "max E Q <= E max Q")


@claim("M3", source=f"{DOUBLE}, §2.2, Lemma 1", operators=["double_estimate"], given={"e": estimators()}, share=0.5)
def a_double_estimate_never_overestimates(port: Trial, e: tuple[Floats, ...]) -> None:
    """E Q_B(argmax Q_A) = the sum of P(argmax Q_A = a) E Q_B(a) <= max_a E Q_B(a), enumerated for independent A and B."""
    chooses, values = e
    select, evaluate = np.repeat(chooses, len(values), axis=0), np.tile(values, (len(chooses), 1))
    mean = _expectation(port.double_estimate(select, evaluate))
    chance = [Fraction(int((chooses.argmax(axis=-1) == a).sum()), len(chooses)) for a in range(values.shape[-1])]
    each = _expectation(values)
    port.equal(0.0, sum(c * v for c, v in zip(chance, each, strict=True)) - mean, 0.0, "sum of P(a) E Q_B(a), less E Q_B(a*)")
    port.at_most(float(mean - max(each)), 0.0, 0.0, "E Q_B(a*) <= max E Q_B")


@claim("M5", source="Fujimoto et al. 2018, §4.1", operators=["clipped_double_target"], given={"e": estimators(1)}, share=0.5)
def a_minimum_of_two_estimates_underestimates(port: Trial, e: tuple[Floats, ...]) -> None:
    """E min(Q1, Q2) <= min(E Q1, E Q2), enumerated, where Q1 and Q2 depend on each other in any way."""
    one, two = e[0][:, 0], e[0][:, -1]
    zero, running = np.zeros(len(one)), np.zeros(len(one), dtype=bool)
    found, error = port("clipped_double_target", zero, running, one, two, discount=1.0)
    least = min(_expectation(one), _expectation(two))
    port.at_most(float(_expectation(found) - least), 0.0, error.mean(), "E min <= min E")
