"""Returns and advantages: error bounds, and the theorems R1 to R5."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from properties import _returns_steps  # noqa: F401  (registers its claims)
from properties._bounds import Floats, gamma
from properties._claim import Call, claim, operator
from properties._draw import ROUGH, Trajectory, discounts, fractions_of_one, trajectories, values
from properties._oracles import exact
from properties._oracles.returns import advantages_by_sum, lambda_returns_by_mixture, n_step_by_window
from properties._returns_calls import ALL, GIVEN, NEXT, RETURNS, SUTTON, applied
from properties._trial import Trial

Draw = Callable[[st.SearchStrategy[Any]], Any]
GAE = "Schulman et al. 2016"


# ------------------------------------------------------------------------------------------------------------ bounds
def _along_segments(unit: float, size: Floats, decay: Floats, cut: Any, longest: int | None = None) -> Floats:
    """sum over k >= t of gamma_((L + 4(k - t) + 8)) decay^(k-t) size_k, within the segment and within `longest` steps.

    A term k - t steps ahead passes through at most four roundings a step (gamma, lambda, their product with the carry, the sum),
    L - 1 more when the L terms of the window are summed in another order, and eight where it is formed:
    1 - lambda, the mask, gamma V', r + gamma V', - V and their products.
    """
    steps = size.shape[-1]
    total = np.zeros(size.shape)
    for t in range(steps):
        weight = np.ones(size.shape[:-1])
        window = steps - t if longest is None else min(steps - t, longest)
        for k in range(t, t + window):
            total[..., t] += gamma(window + 4 * (k - t) + 8, unit) * weight * size[..., k]
            weight = weight * decay[..., k] * ~cut[..., k]
    return total


def _spread(discount: Any, shape: tuple[int, ...]) -> Floats:
    return np.broadcast_to(np.asarray(discount, dtype=np.float64), shape)


def _read(next_value: Floats, terminated: Any) -> Floats:
    """|V'|, and 0 where it is not read."""
    return np.where(terminated, 0.0, np.abs(next_value))


# ----------------------------------------------------------------------------------------------------------- operators
@st.composite
def _calls(draw: Draw, names: tuple[str, ...], keywords: dict[str, st.SearchStrategy[Any]]) -> Call:
    t = draw(st.one_of(*[trajectories(styles=ROUGH)] * 3, trajectories(longest=40, batched=False, styles=ROUGH)))
    if draw(st.sampled_from((True, True, True, False))):  # where every step is cut there is little to go wrong
        t = t._replace(terminated=t.terminated & ~t.terminated.all(), truncated=t.truncated & ~t.truncated.all())
    both, unread = t.terminated & draw(st.sampled_from((False, False, True))), t.terminated & draw(st.booleans())
    trajectory = t._replace(truncated=t.truncated | both, next_value=np.where(unread, np.inf, t.next_value))
    arguments = tuple(getattr(trajectory, name) for name in names)
    per_step = st.builds(lambda v: np.abs(v) % 1.0, values(trajectory.reward.shape, ("generic", "full mantissa")))
    discount = draw(st.one_of(discounts(), per_step))
    return Call(arguments, {**{key: draw(strategy) for key, strategy in keywords.items()}, "discount": discount})


COUNTS = st.sampled_from((1, 2, 3, 1, 2, 9)) | st.integers(1, 9) | st.integers(1, 40)
MARGINS = st.sampled_from((1, 2, 0, 1, 3, 9)) | st.integers(0, 9) | st.integers(0, 40)


@operator("discounted_returns", inputs=_calls(NEXT, {}))
def discounted_bound(unit: float, reward: Floats, terminated: Any, truncated: Any, bootstrap: Floats, *, discount: Any) -> Floats:
    """The lambda = 1 row: rewards and the bootstrap weighted by gamma^(k-t)."""
    g = _spread(discount, reward.shape)
    return _along_segments(unit, np.abs(reward) + g * _read(bootstrap, terminated), g, terminated | truncated)


@operator("n_step_returns", inputs=_calls(NEXT, {"n": COUNTS}))
def n_step_bound(
    unit: float, reward: Floats, terminated: Any, truncated: Any, next_value: Floats, *, n: int, discount: Any
) -> Floats:
    """The lambda = 1 row cut after n steps."""
    g = _spread(discount, reward.shape)
    return _along_segments(unit, np.abs(reward) + g * _read(next_value, terminated), g, terminated | truncated, longest=n)


@operator("lambda_returns", inputs=_calls(NEXT, {"lambda_": fractions_of_one()}))
def lambda_bound(
    unit: float, reward: Floats, terminated: Any, truncated: Any, next_value: Floats, *, lambda_: float, discount: Any
) -> Floats:
    """|r| + 2 gamma |V'| a step, decaying by gamma lambda: r + gamma V' + gamma lambda (G - V') is a form, too."""
    g = _spread(discount, reward.shape)
    return _along_segments(unit, np.abs(reward) + 2 * g * _read(next_value, terminated), g * lambda_, terminated | truncated)


@operator("margin_returns", inputs=_calls(NEXT, {"lambda_": fractions_of_one(), "margin": MARGINS}))
def margin_bound(
    unit: float,
    reward: Floats,
    terminated: Any,
    truncated: Any,
    next_value: Floats,
    *,
    lambda_: float,
    margin: int,
    discount: Any,
) -> Floats:
    """As lambda_returns, within windows of 1 + margin steps."""
    g = _spread(discount, reward.shape)
    size = np.abs(reward) + 2 * g * _read(next_value, terminated)
    return _along_segments(unit, size, g * lambda_, terminated | truncated, longest=1 + margin)


@operator("gae", inputs=_calls(ALL, {"lambda_": fractions_of_one()}))
def gae_bound(
    unit: float,
    reward: Floats,
    terminated: Any,
    truncated: Any,
    value: Floats,
    next_value: Floats,
    *,
    lambda_: float,
    discount: Any,
) -> Floats:
    """|r| + gamma |V'| + |V| a step, decaying by gamma lambda."""
    g = _spread(discount, reward.shape)
    size = np.abs(reward) + g * _read(next_value, terminated) + np.abs(value)
    return _along_segments(unit, size, g * lambda_, terminated | truncated)


# -------------------------------------------------------------------------------------------------------------- claims
@claim("R1", source=f"{GAE}, eq. 17", operators=["gae"], given=GIVEN)
def gae_with_lambda_zero_is_the_td_error(port: Trial, t: Trajectory, knobs: dict[str, Any]) -> None:
    """gae with lambda = 0 is r + gamma (1 - terminated) V(s') - V(s)."""
    found, error = applied(port, "gae", t, knobs | {"lambda_": 0.0})
    after = exact(knobs["discount"]) * exact(np.where(t.terminated, 0.0, t.next_value))
    port.equal(found, exact(t.reward) + after - exact(t.value), error)


@claim("R1", source=f"{GAE}, eq. 18", operators=["gae", "discounted_returns"], given=GIVEN)
def gae_with_lambda_one_is_return_minus_value(port: Trial, t: Trajectory, knobs: dict[str, Any]) -> None:
    """gae with lambda = 1 is the discounted return minus V(s), where next_value is the value of the state that follows."""
    t = _consistent(t)
    advantage, advantage_error = applied(port, "gae", t, knobs | {"lambda_": 1.0})
    gain, gain_error = applied(port, "discounted_returns", t, knobs)
    slack = advantage_error + gain_error + port.sum_error(np.stack([gain, t.value], -1))
    port.equal(advantage, gain - t.value, slack, due_by="discounted_returns")


@claim("R1", source=f"{GAE}, eq. 16; {SUTTON}, eq. 12.2", operators=["gae", "lambda_returns"], given=GIVEN)
def gae_plus_value_is_the_lambda_return(port: Trial, t: Trajectory, knobs: dict[str, Any]) -> None:
    """gae + V(s) = lambda_returns, where next_value is the value of the state that follows."""
    t = _consistent(t)
    advantage, advantage_error = applied(port, "gae", t, knobs)
    gain, gain_error = applied(port, "lambda_returns", t, knobs)
    slack = advantage_error + gain_error + port.sum_error(np.stack([gain, t.value], -1))
    port.equal(advantage, gain - t.value, slack, due_by="lambda_returns")


def _consistent(t: Trajectory) -> Trajectory:
    """next_value[t] = value[t+1] wherever the episode goes on; a final observation keeps a value of its own."""
    following = np.concatenate([t.value[..., 1:], t.next_value[..., -1:]], axis=-1)
    return t._replace(next_value=np.where(t.terminated | t.truncated, t.next_value, following))


@claim("R2", source=f"{SUTTON}, eq. 7.1", operators=["n_step_returns", "discounted_returns"], given=GIVEN)
def n_step_return_with_n_beyond_the_end_is_the_discounted_return(port: Trial, t: Trajectory, knobs: dict[str, Any]) -> None:
    """n_step_returns with n >= T is discounted_returns."""
    found, error = applied(port, "n_step_returns", t, knobs | {"n": t.reward.shape[-1]})
    due, due_error = applied(port, "discounted_returns", t, knobs)
    port.equal(found, due, error + due_error, due_by="discounted_returns")


@claim("R2", source=f"{SUTTON}, eq. 7.1", operators=["n_step_returns"], given=GIVEN, oracle="n_step_by_window")
def n_step_return_sums_its_window(port: Trial, t: Trajectory, knobs: dict[str, Any]) -> None:
    """Each n-step return is the sum over its window of gamma^k r, plus gamma^m V at the end of the m steps that the window has."""
    found, error = applied(port, "n_step_returns", t, knobs)
    due = n_step_by_window(t.reward, t.terminated, t.truncated, t.next_value, n=knobs["n"], discount=knobs["discount"])
    port.equal(found, due, error)


@claim("R2", source=f"{SUTTON}, eq. 7.3 (error reduction)", operators=["n_step_returns"], given=GIVEN)
def n_step_returns_contract_by_gamma_to_the_window(port: Trial, t: Trajectory, knobs: dict[str, Any]) -> None:
    """Values at distance d give n-step returns at distance at most gamma^m d, m the length of the window (n inside)."""
    one, one_error = applied(port, "n_step_returns", t, knobs)
    two, two_error = applied(port, "n_step_returns", t._replace(next_value=t.value), knobs)
    gap = np.abs(t.next_value - t.value).max(axis=-1, keepdims=True)
    shrink = exact(knobs["discount"]) ** _window_lengths(t, knobs["n"])
    port.at_most(
        np.abs(one - two),
        shrink.astype(np.float64) * gap,
        one_error + two_error + port.sum_error(np.stack([one, two], -1)),
    )


def _window_lengths(t: Trajectory, n: int) -> Any:
    """How many steps the window from each t has: up to n, up to the cut, up to the end."""
    cut = t.terminated | t.truncated
    lengths = np.ones(cut.shape, dtype=int)
    for start in range(cut.shape[-1] - 2, -1, -1):
        lengths[..., start] = np.where(cut[..., start], 1, np.minimum(lengths[..., start + 1] + 1, n))
    return lengths


@claim("R3", source=f"{SUTTON}, §3.4 (episodes)", operators=RETURNS, given={**GIVEN, "terminal": st.booleans()})
def concatenated_trajectories_are_separate(port: Trial, t: Trajectory, knobs: dict[str, Any], terminal: bool) -> None:
    """Trajectories joined at a terminated or truncated step give what each gives alone: nothing flows back over a cut."""
    last = np.zeros(t.reward.shape, dtype=bool)
    last[..., -1] = True
    first = t._replace(
        terminated=t.terminated & ~last | (last & terminal),
        truncated=t.truncated & ~last | (last & ~np.bool_(terminal)),
    )
    second = Trajectory(t.next_value, t.truncated, t.terminated, t.reward, t.value)
    joined = Trajectory(*(np.concatenate(pair, axis=-1) for pair in zip(first, second, strict=True)))
    found, error = applied(port, port.subject, joined, knobs)
    parts = [applied(port, port.subject, part, knobs) for part in (first, second)]
    due = np.concatenate([value for value, _ in parts], axis=-1)
    port.equal(found, due, error + np.concatenate([e for _, e in parts], axis=-1))


@claim("R3", source=f"{SUTTON}, §3.4 (episodes)", operators=RETURNS, given=GIVEN)
def a_terminated_step_never_reads_its_next_value(port: Trial, t: Trajectory, knobs: dict[str, Any]) -> None:
    """Where terminated, next_value may be anything, infinity too, and changes nothing."""
    due, error = applied(port, port.subject, t, knobs)
    found, _ = applied(port, port.subject, t._replace(next_value=np.where(t.terminated, np.inf, t.next_value)), knobs)
    port.equal(found, due, 2 * error)


@claim("R4", source=f"{GAE}, eq. 16", operators=["gae"], given=GIVEN, oracle="advantages_by_sum")
def gae_is_the_sum_of_discounted_td_errors(port: Trial, t: Trajectory, knobs: dict[str, Any]) -> None:
    """gae = sum over l of (gamma lambda)^l delta_(t+l) up to the cut, written without recursion, in exact arithmetic."""
    found, error = applied(port, "gae", t, knobs)
    due = advantages_by_sum(*t, lambda_=knobs["lambda_"], discount=knobs["discount"])
    port.equal(found, due, error)


@claim(
    "R4",
    source=f"{SUTTON}, eq. 12.3",
    operators=["lambda_returns", "margin_returns"],
    given=GIVEN,
    oracle="lambda_returns_by_mixture",
)
def lambda_return_is_the_mixture_of_n_step_returns(port: Trial, t: Trajectory, knobs: dict[str, Any]) -> None:
    """The sum of (1 - lambda) lambda^(n-1) G^(n), and lambda^(N-1) G^(N), N to the cut; for margin_returns N <= 1 + margin."""
    found, error = applied(port, port.subject, t, knobs)
    longest = 1 + knobs["margin"] if port.subject == "margin_returns" else None
    arrays = (t.reward, t.terminated, t.truncated, t.next_value)
    due = lambda_returns_by_mixture(*arrays, lambda_=knobs["lambda_"], discount=knobs["discount"], longest=longest)
    port.equal(found, due, error)


@claim("R5", source="Kozakowski et al. 2021 (QWR), §3", operators=["margin_returns"], given=GIVEN)
def margin_zero_is_one_step(port: Trial, t: Trajectory, knobs: dict[str, Any]) -> None:
    """margin_returns with margin 0 is r + gamma (1 - terminated) V(s')."""
    found, error = applied(port, "margin_returns", t, knobs | {"margin": 0})
    after = exact(knobs["discount"]) * exact(np.where(t.terminated, 0.0, t.next_value))
    port.equal(found, exact(t.reward) + after, error)


@claim("R5", source="Kozakowski et al. 2021 (QWR), §3", operators=["margin_returns", "lambda_returns"], given=GIVEN)
def margin_beyond_the_end_is_the_lambda_return(port: Trial, t: Trajectory, knobs: dict[str, Any]) -> None:
    """margin_returns with margin >= T is lambda_returns."""
    found, error = applied(port, "margin_returns", t, knobs | {"margin": t.reward.shape[-1]})
    due, due_error = applied(port, "lambda_returns", t, knobs)
    port.equal(found, due, error + due_error, due_by="lambda_returns")


@claim("R5", source="Kozakowski et al. 2021 (QWR), §3", operators=RETURNS, given=GIVEN)
def nothing_after_a_cut_is_read(port: Trial, t: Trajectory, knobs: dict[str, Any]) -> None:
    """A cut inside the window stops it: whatever comes later in the row changes nothing before it."""
    due, error = applied(port, port.subject, t, knobs)
    later = np.logical_or.accumulate((t.terminated | t.truncated)[..., :-1], axis=-1)
    later = np.concatenate([np.zeros((*later.shape[:-1], 1), dtype=bool), later], axis=-1)
    other = t._replace(
        reward=np.where(later, 17.0, t.reward),
        next_value=np.where(later, 19.0, t.next_value),
        value=np.where(later, 23.0, t.value),
    )
    found, _ = applied(port, port.subject, other, knobs)
    port.equal(np.where(later, due, found), due, 2 * error)
