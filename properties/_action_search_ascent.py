"""Projected gradient ascent on a critic: its rounding errors, and what it reaches (A4)."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from properties._action_search_hills import Landscape, hills, peak, value_error
from properties._bounds import UNIT, Floats, gamma
from properties._claim import Call, claim, operator
from properties._draw import whole_numbers
from properties._functions import WIDTHS, Hill, Slope, TwoHills
from properties._oracles.action_search import ascended
from properties._trial import Trial

BERTSEKAS = "Bertsekas 2016, §3.3 (gradient projection)"
NESTEROV = "Beck & Teboulle 2009, theorem 3.1 (gradient projection is its case)"


class Climb(NamedTuple):
    """A landscape and how to climb it: a step of `fraction` over the steepest curvature."""

    land: Landscape
    fraction: float
    tolerance: float
    most: int

    def call(self, **other: Any) -> Call:
        """The call of gradient_search."""
        numbers = {"step_size": self.fraction / self.land.steepest, "tolerance": self.tolerance, "max_iterations": self.most}
        slope = Slope(*self.land.hill)
        return Call((slope, self.land.start, self.land.low, self.land.high), numbers | other)


@cache
def climbs(*, apart: bool = False, most: int = 40) -> st.SearchStrategy[Climb]:
    """Steps of 1/L and less, stopped by the tolerance or by the number of iterations."""
    numbers = st.tuples(st.sampled_from([1.0, 0.5, 0.25]), st.sampled_from([2.0**-6, 0.0, 1.0, 2.0**-16]), st.integers(1, most))
    return st.builds(lambda land, n: Climb(land, *n), hills(apart=apart), numbers)


def _stage(far: Floats, round_: bool, wall: int, numbers: tuple[float, float, int]) -> Climb:
    """Two states that start a few units from the peak, one nearer than the other; on a round hill the coordinates approach it side
    by side. Without a wall, with one before the peak, or with one that the start is outside of."""
    hill = Hill(np.diag([1.0, 1.0 if round_ else 0.25]), np.array([1.0, -2.0]))
    away = np.where(far == 0, [[3.0, 4.0], [1.0, -1.0]], far) * [[1.0], [0.25]]
    start = hill.centre + away
    low, high = start - 64.0, start + 64.0
    if wall:
        first = np.where(away[:, 0] > 0, 1.0, -1.0) * (0.125 if wall == 1 else -0.125)
        edge = hill.centre[0] + first
        low[:, 0], high[:, 0] = np.where(first > 0, edge, low[:, 0]), np.where(first > 0, high[:, 0], edge)
    fraction, tolerance, most = numbers
    return Climb(Landscape(hill, low, high, start, 1.0), fraction, tolerance, most)


@cache
def stages() -> st.SearchStrategy[Climb]:
    """Climbs of which most go on for a few steps, and stop by the tolerance as often as by their number."""
    numbers = st.tuples(st.sampled_from([0.25, 0.5]), st.sampled_from([0.375, 0.125, 2.0**-6]), st.sampled_from([40, 2, 40, 5]))
    return st.builds(_stage, whole_numbers((2, 2), 8), st.sampled_from([True, False, True]), st.sampled_from([0, 1, 0, 2]), numbers)


# ------------------------------------------------------------------------------------------------------------- record
@operator(
    "gradient_search",
    inputs=(climbs() | stages()).map(Climb.call),
    shared=("q_and_gradient",),
    widths=WIDTHS,
)
def ascent_bound(
    unit: float, q_and_gradient: Slope, start: Floats, low: Floats, high: Floats, *, step_size: float, tolerance: float,
    max_iterations: int,
) -> tuple[Floats, Floats, Floats]:  # fmt: skip
    """A step of at most 1/L brings no two actions further apart, so the errors of K steps add up: K e, e a step's own, the gradient
    (D products, D - 1 sums, a difference) times the step size, and a sum. Where a step is within K e of the limit, one
    implementation may stop and another go on: to the end of the climb, at most sqrt(D) tolerance / mu away, mu the least curvature.
    """
    hill = Hill(*q_and_gradient)
    once = _step_error(unit, hill, low, high, step_size)
    apart, unsure = _doubt(hill, start, low, high, step_size, tolerance, max_iterations, once)
    least = float(np.linalg.eigvalsh(hill.hessian)[0])
    further = np.sqrt(low.shape[-1]) * (tolerance + 4 * apart / step_size) / least
    action = apart + np.where(unsure, further, 0.0)
    way = np.maximum(np.abs(hill.centre - low), np.abs(hill.centre - high))
    steep = np.sqrt(((way[..., None, :] * np.abs(hill.hessian)).sum(axis=-1) ** 2).sum(axis=-1))
    largest = np.where(way == np.abs(hill.centre - low), low, high)
    value = value_error(unit, hill, largest) + steep * action + np.abs(hill.hessian).sum() * action**2
    return np.broadcast_to(action[..., None], start.shape), value, np.where(unsure, np.inf, 0.0)


def _step_error(unit: float, hill: Hill, low: Floats, high: Floats, step_size: float) -> Floats:
    """What one step may lose, anywhere in the box; [...]."""
    way = np.maximum(np.abs(hill.centre - low), np.abs(hill.centre - high))
    size = np.maximum(np.abs(low), np.abs(high))
    each = (
        gamma(low.shape[-1] + 3, unit) * step_size * (way[..., None, :] * np.abs(hill.hessian)).sum(axis=-1) + gamma(1, unit) * size
    )
    return np.asarray(np.sqrt((each**2).sum(axis=-1)))


def _doubt(
    hill: Hill, start: Floats, low: Floats, high: Floats, step_size: float, tolerance: float, most: int, once: Floats
) -> tuple[Floats, Any]:
    """The errors added up over the steps, and whether a step on the way was so near the limit that stopping is a matter of them."""
    action = np.clip(start, low, high)
    moving, unsure, steps = np.ones(once.shape, dtype=bool), np.zeros(once.shape, dtype=bool), np.zeros(once.shape)
    for k in range(most):
        further = np.clip(action + step_size * hill.climbed(action)[1], low, high)
        length = np.abs(further - action).max(axis=-1)
        # Two implementations, each with both ends of its step off by (k + 1) e, and the limit's own product.
        certain = 4 * (k + 1) * once + gamma(2, UNIT["float32"]) * (tolerance * step_size) * (once > 0)
        unsure |= moving & (np.abs(length - tolerance * step_size) <= certain)
        moving &= length > tolerance * step_size
        steps += moving
        action = np.where(moving[..., None], further, action)
    return np.where(unsure, most, steps + 1) * once, unsure


# ------------------------------------------------------------------------------------------------------------- claims
GIVEN = {"climb": climbs()}


def _climbed(port: Trial, call: Call) -> Any:
    return port("gradient_search", *call.arguments, **call.keywords)


@claim("A4", source=BERTSEKAS, operators=["gradient_search"], given={"climb": climbs(most=4)}, share=0.5, oracle="ascended")
def gradient_search_takes_projected_steps_uphill(port: Trial, climb: Climb) -> None:
    """k iterations without tolerance are a <- clip(a + step dq/da, low, high), k times; value is q at the action returned."""
    call = climb.call(tolerance=0.0)
    (action, value, _), (error, value_off, _) = _climbed(port, call)
    land, step = climb.land, call.keywords["step_size"]
    due, height = ascended(*land.hill, land.start, land.low, land.high, step_size=step, steps=climb.most)
    port.equal(action, due, error, "the action")
    port.equal(value, height, value_off, "the value")
    own = value_error(port.unit, land.hill, action) + value_error(UNIT["float64"], land.hill, action)
    port.equal(value, land.hill(action), own, "value = q(action)")
    inside = (land.low <= action) & (action <= land.high)
    port.holds(bool(np.all(inside)), "low <= action <= high", found=action)


@claim("A4", source=BERTSEKAS, operators=["gradient_search"], given=GIVEN, share=0.5)
def gradient_search_never_descends_for_steps_up_to_one_over_l(port: Trial, climb: Climb) -> None:
    """One more step raises q by at least |a' - a|^2 / (2 step), for step <= 1/L: no step descends."""
    one, two = (climb.call(tolerance=0.0, max_iterations=k) for k in (climb.most, climb.most + 1))
    (low, low_value, _), (low_error, low_off, _) = _climbed(port, one)
    (high, high_value, _), (high_error, high_off, _) = _climbed(port, two)
    gain = ((high - low) ** 2).sum(axis=-1) / (2 * one.keywords["step_size"])
    spread = np.abs(high - low).max(axis=-1) * (low_error + high_error).sum(axis=-1) / one.keywords["step_size"]
    slack = low_off + high_off + spread + port.sum_error(np.stack([low_value, high_value, gain, gain], -1))
    port.at_most(low_value + gain, high_value, slack)


@claim("A4", source=NESTEROV, operators=["gradient_search"], given={"climb": climbs(apart=True)}, share=0.5)
def gradient_search_on_a_concave_quadratic_is_within_one_over_k(port: Trial, climb: Climb) -> None:
    """q* - q_k <= |a_0 - a*|^2 / (2 step k), for step <= 1/L and a diagonal Hessian, whose constrained maximiser is clip(x)."""
    call = climb.call(tolerance=0.0)
    (_, value, _), (_, off, _) = _climbed(port, call)
    land, best = climb.land, peak(climb.land)
    far = ((np.clip(land.start, land.low, land.high) - best) ** 2).sum(axis=-1)
    room = far / (2 * call.keywords["step_size"] * climb.most)
    top = land.hill(best)
    slack = off + value_error(UNIT["float64"], land.hill, best) + port.sum_error(np.stack([room, room, room, top], -1))
    port.at_most(top, value + room, slack)


@claim("A4", source=BERTSEKAS, operators=["gradient_search"], given=GIVEN, share=0.5)
def gradient_search_is_stationary_where_it_stops(port: Trial, climb: Climb) -> None:
    """Stopped before max_iterations, max|clip(a + step dq/da) - a| <= tolerance step; and it does stop: with 4000 iterations."""
    land = climb.land
    call = climb.call(tolerance=max(climb.tolerance, 2.0**-10), max_iterations=4000)
    action, _, taken = port.gradient_search(*call.arguments, **call.keywords)
    step, limit = call.keywords["step_size"], call.keywords["tolerance"] * call.keywords["step_size"]
    port.holds(bool(np.all(taken < 4000)), "it stops before 4000 iterations", found=taken)
    further = np.clip(action + step * land.hill.climbed(action)[1], land.low, land.high)
    # The port's last step and the one checked here, each rounded, in float64 too; and the limit's product and comparison.
    slack = 4 * _step_error(port.unit, land.hill, land.low, land.high, step) + gamma(4, port.unit) * limit
    port.at_most(np.abs(further - action).max(axis=-1), np.full(taken.shape, limit), slack)


@claim("A4", source="the contract: max|a' - a| / step within the tolerance", operators=["gradient_search"], given={
    "power": st.integers(-4, 4), "signs": st.tuples(*[st.sampled_from([1.0, -1.0])] * 2), "turned": st.booleans(),
}, share=0.25)  # fmt: skip
def the_tolerance_is_of_the_largest_coordinate(port: Trial, power: int, signs: tuple[float, float], turned: bool) -> None:
    """q = -|a|^2 / 2 from 2^k (3, 4) with steps of 1/2: k steps leave a 2^-k of it, exactly, and that is its slope, too; so with
    tolerance 4.5 2^k none is taken, with 4 2^k none, with 3.5 2^k one, and with 1.5 2^k two."""
    start = 2.0**power * np.array(signs) * ([4.0, 3.0] if turned else [3.0, 4.0])
    box = (np.full(2, -1024.0), np.full(2, 1024.0))
    for tolerance, steps in ((4.5, 0), (4.0, 0), (3.5, 1), (1.5, 2)):
        numbers = {"step_size": 0.5, "tolerance": tolerance * 2.0**power, "max_iterations": 9}
        action, value, taken = port.gradient_search(Slope(np.eye(2), np.zeros(2)), start, *box, **numbers)
        port.equal(taken, np.asarray(steps), 0.0, f"steps for tolerance {tolerance} 2^{power}")
        port.equal(action, start * 2.0**-steps, 0.0, "the action")
        port.equal(value, np.asarray(-12.5 * 4.0 ** (power - steps)), 0.0, "the value")


@claim("A4", source=BERTSEKAS, operators=["gradient_search"], given=GIVEN, share=0.25)
def gradient_search_starts_inside_the_box_and_may_stay_there(port: Trial, climb: Climb) -> None:
    """A start outside is the nearest action of the box; with a tolerance above every gradient that is the answer, in 0 steps."""
    land = climb.land
    inside = np.asarray(np.clip(land.start, land.low, land.high))
    call = climb.call()
    for found, due in zip(
        port.gradient_search(*call.arguments, **call.keywords),
        port.gradient_search(call.arguments[0], inside, *call.arguments[2:], **call.keywords),
        strict=True,
    ):
        port.equal(found, due, 0.0)
    action, _, taken = port.gradient_search(*call.arguments, **(call.keywords | {"tolerance": 2.0**20}))
    port.equal(action, inside, 0.0, "the start, clipped")
    port.equal(taken, np.zeros(taken.shape), 0.0, "no step")


@claim("A4", source=BERTSEKAS, operators=["gradient_search"], given=GIVEN, share=0.5)
def every_state_climbs_on_its_own(port: Trial, climb: Climb) -> None:
    """Action, value and number of steps of each state are those of a search from it alone, however long the others go on."""
    call = climb.call(tolerance=max(climb.tolerance, 2.0**-16))
    together, errors = _climbed(port, call)
    for row in np.ndindex(climb.land.start.shape[:-1]):
        alone = Call((call.arguments[0], *(a[row] for a in call.arguments[1:])), call.keywords)
        results = zip(together, errors, *_climbed(port, alone), ("action", "value", "iterations"), strict=True)
        for found, error, due, other, what in results:
            port.equal(found[row], due, error[row] + other, f"{what} of state {row}")


MAXIMISERS = (-0.9671489379, 1.0298959851)
STARTS = st.integers(1, 63).map(lambda k: k / 64.0)


@claim("A4", source="Lim et al. 2018 (actor-expert), §1; the exhibit of two maxima", operators=["gradient_search"],
       given={"far": STARTS}, share=0.25)  # fmt: skip
def gradient_search_stops_at_the_lower_of_two_maxima(port: Trial, far: float) -> None:
    """q = a/4 - (a^2 - 1)^2 on [-2, 2] is highest near 1.03; from any start in [-1, -0.07) the search ends near -0.97, where q is
    less by 0.499, and from any start in [0, 1] near 1.03."""
    box = (np.array([-2.0]), np.array([2.0]))
    numbers = {"step_size": 2.0**-6, "tolerance": 2.0**-8, "max_iterations": 4000}
    ends = []
    for start in (-0.07 - 0.93 * far, far):
        action, value, taken = port.gradient_search(TwoHills(np.array([0.25])), np.array([start]), *box, **numbers)
        port.holds(bool(taken < 4000), "it stops", found=taken)
        ends.append((float(action[0]), float(value)))
    # Within slope / curvature of the maximisers: the slope is at most the tolerance, and a step's 128 roundings (of numbers of size
    # 1, over a step of 1/64); 12 a^2 - 4 > 6 beyond 0.92. Values differ by 9 a^2 / 2 < 1e-5 for that from those at the maximisers.
    near = (numbers["tolerance"] + float(gamma(128, port.unit))) / 6
    for (action, _), due in zip(ends, MAXIMISERS, strict=True):
        port.equal(np.array(action), due, near, "where it ends")
    port.holds(ends[0][1] < ends[1][1] - 0.499, "q at the lower maximum is less by 0.499", found=ends[0][1], due=ends[1][1])
