"""SAC's two losses, of the policy and of the temperature: error bounds, equations, signs, and what they are minimal at."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from properties._aggregates_bounds import holds_in
from properties._bounds import ELEMENTARY, UNIT, Floats, gamma, narrowing, stored
from properties._claim import Call, claim, operator
from properties._draw import BATCHES, ROUGH, STYLES, distributions, values
from properties._oracles import exact
from properties._oracles.policy_gradient import temperature_loss_by_digits
from properties._trial import Trial

HAARNOJA = "Haarnoja et al. 2018 (arXiv 1812.05905), eq. 7"
TUNED = "Haarnoja et al. 2018 (arXiv 1812.05905), eq. 18"
COEFFICIENTS = (0.5, 0.0, 1.0, 0.2, 2.0, 1.0 / 3.0)


class Soft(NamedTuple):
    """Twin values and log-probabilities [...], and the entropy coefficient."""

    q1: Floats
    q2: Floats
    log_prob: Floats
    coefficient: float


@cache
def softs(styles: tuple[str, ...] = STYLES) -> st.SearchStrategy[Soft]:
    """Values that tie now and then."""

    def build(parts: Floats, coefficient: float) -> Soft:
        return Soft(np.asarray(parts[0]), np.asarray(parts[1]), np.asarray(parts[2]), coefficient)

    drawn = st.sampled_from(BATCHES).flatmap(lambda shape: values((3, *shape), styles))
    return st.builds(build, drawn, st.sampled_from(COEFFICIENTS))


def _soft_call(s: Soft) -> Call:
    return Call((s.q1, s.q2, s.log_prob), {"entropy_coefficient": s.coefficient})


@operator("soft_policy_loss", inputs=softs(ROUGH).map(_soft_call), core=0)
def soft_bound(unit: float, q1: Floats, q2: Floats, log_prob: Floats, *, entropy_coefficient: float) -> Floats:
    """A product and a difference; the minimum is exact."""
    return gamma(2, unit) * entropy_coefficient * np.abs(log_prob) + gamma(1, unit) * np.abs(np.minimum(q1, q2))


@operator("soft_policy_loss_gradient", inputs=softs(ROUGH).map(_soft_call), core=0)
def soft_gradient_bound(
    unit: float, q1: Floats, q2: Floats, log_prob: Floats, *, entropy_coefficient: float
) -> tuple[Floats, Floats, Floats]:
    """0: constants."""
    zero = np.zeros(log_prob.shape)
    return zero, zero, zero


class Tuning(NamedTuple):
    """Log-probabilities [...], log alpha, and the target entropy."""

    log_prob: Floats
    log_coefficient: float
    target_entropy: float


@cache
def tunings(styles: tuple[str, ...] = STYLES) -> st.SearchStrategy[Tuning]:
    """log alpha from -20 to 4; targets of both signs, as for many continuous actions and for few discrete ones."""
    shapes = st.sampled_from(BATCHES).flatmap(lambda shape: values(shape, styles))
    logs = st.sampled_from([0.0, -1.0, 1.0, -20.0, 4.0, -1.0 / 3.0]) | st.floats(-8.0, 4.0)
    return st.builds(Tuning, shapes, logs, st.sampled_from([-1.0, 0.0, -6.0, 1.375, 0.98 * 1.3862943611198906, -17.0]))


def _tuning_call(t: Tuning) -> Call:
    return Call((t.log_prob,), {"log_coefficient": t.log_coefficient, "target_entropy": t.target_entropy})


@operator("temperature_loss", inputs=tunings(ROUGH).map(_tuning_call), core=0)
def temperature_bound(unit: float, log_prob: Floats, *, log_coefficient: float, target_entropy: float) -> Floats:
    """exp, a sum and a product, in either order."""
    size = np.exp(log_coefficient) * (np.abs(log_prob) + abs(target_entropy))
    return np.asarray(gamma(ELEMENTARY + 3, unit) * size)


@operator("temperature_loss_gradient", inputs=tunings(ROUGH).map(_tuning_call), core=0)
def temperature_gradient_bound(unit: float, log_prob: Floats, *, log_coefficient: float, target_entropy: float) -> Floats:
    """exp is its own derivative: the loss's."""
    return np.asarray(temperature_bound(unit, log_prob, log_coefficient=log_coefficient, target_entropy=target_entropy))


# -------------------------------------------------------------------------------------------------- the policy's loss
SOFT = {"s": softs(ROUGH)}


@claim("policy_gradient", source=HAARNOJA, operators=["soft_policy_loss"], given=SOFT, share=0.5)
def soft_policy_loss_is_its_equation(port: Trial, s: Soft) -> None:
    """soft_policy_loss = alpha log pi - min(Q1, Q2), element by element, against exact arithmetic."""
    call = _soft_call(s)
    found, error = port("soft_policy_loss", *call.arguments, **call.keywords)
    port.equal(found, exact(s.coefficient) * exact(s.log_prob) - exact(np.minimum(s.q1, s.q2)), error)


def _soft_slopes(s: Soft) -> tuple[Floats, Floats, Floats]:
    """-1 for the smaller value, -1/2 each at a tie, 0 for the larger; alpha."""
    lower = [np.where(a < b, -1.0, np.where(a == b, -0.5, 0.0)) for a, b in ((s.q1, s.q2), (s.q2, s.q1))]
    return lower[0], lower[1], np.full(s.log_prob.shape, s.coefficient)


@claim("policy_gradient", source=HAARNOJA, operators=["soft_policy_loss_gradient"], given=SOFT, share=0.5)
def soft_policy_gradient_follows_the_smaller_value(port: Trial, s: Soft) -> None:
    """d loss: -1 in the smaller of Q1, Q2, 0 in the larger, -1/2 in each at a tie, alpha in log pi; exactly."""
    call = _soft_call(s)
    found = port.soft_policy_loss_gradient(*call.arguments, **call.keywords)
    for name, value, due in zip(("q1", "q2", "log_prob"), found, _soft_slopes(s), strict=True):
        port.equal(value, due, 0.0, name)


@claim(
    "policy_gradient", source=HAARNOJA, operators=["soft_policy_loss_gradient", "soft_policy_loss"], given={"s": softs()}, share=0.5
)
def soft_policy_gradient_is_an_exact_difference_of_the_loss(port: Trial, s: Soft) -> None:
    """The loss is piecewise linear: raised by less than the gap between the values, each argument changes it by its slope."""
    call = _soft_call(s)
    slopes = port.soft_policy_loss_gradient(*call.arguments, **call.keywords)
    apart = np.abs(s.q1 - s.q2)
    step = np.where(apart > 0, apart, 1.0)
    for place, slope in enumerate(slopes):
        ends = [[np.asarray(a + sign * step * (i == place)) for i, a in enumerate(call.arguments)] for sign in (1, -1)]
        moved = [np.asarray(end[place]) for end in ends]
        if not holds_in(port.dtype, *moved) or not np.array_equal(moved[0] - moved[1], 2 * step):
            continue
        (up, up_error), (down, down_error) = (port("soft_policy_loss", *end, **call.keywords) for end in ends)
        due = exact(slope) * exact(2 * step)
        wide = np.where((apart > 0) & (place < 2), np.abs(slope) > 0, True)
        found = np.where(wide, exact(up) - exact(down), due)
        own = gamma(1, UNIT["float64"]) * (np.abs(up) + np.abs(down))
        port.equal(found.astype(np.float64), due, up_error + down_error + own, f"argument {place}")


@claim("policy_gradient", source=HAARNOJA, operators=["soft_policy_loss"], given=SOFT, share=0.25)
def differentiating_soft_policy_loss_gives_its_slopes(port: Trial, s: Soft) -> None:
    """Automatic differentiation: -1, 0 or -1/2 in the values, and alpha in log pi."""
    call = _soft_call(s)
    for place, due in enumerate(_soft_slopes(s)):
        port.equal(port.derivative(place, *call.arguments, **call.keywords), due, 0.0, f"in argument {place}")


class Actions(NamedTuple):
    """A policy over A actions, their values, and a temperature."""

    policy: Floats
    q: Floats
    temperature: float


def _actions() -> st.SearchStrategy[Actions]:
    return st.integers(1, 4).flatmap(
        lambda n: st.builds(Actions, distributions((n,), positive=True), values((n,)), st.sampled_from([0.5, 1.0, 16.0, 64.0]))
    )


@claim("S1", source="Haarnoja et al. 2018 (SAC), lemma 2; Christodoulou 2019 (discrete SAC), eq. 12",
       operators=["soft_policy_loss"], given={"case": _actions()}, share=0.5)  # fmt: skip
def expected_soft_policy_loss_is_least_at_boltzmann(port: Trial, case: Actions) -> None:
    """sum of pi (alpha log pi - Q) >= -alpha log sum exp(Q/alpha) for every pi, with equality at pi = softmax(Q/alpha)."""
    q, t = case.q, case.temperature
    log_sum = q.max() / t + np.log(np.exp((q - q.max()) / t).sum())
    least = -t * log_sum
    for log_prob, attained in ((np.log(case.policy), False), (q / t - log_sum, True)):
        found, error = port("soft_policy_loss", q, q, log_prob, entropy_coefficient=t)
        share = np.exp(log_prob)
        # log pi as the port gets it, and what it answers, rounded to its type.
        narrow = UNIT[port.dtype] * (t * np.abs(log_prob) * 2 + np.abs(q))
        slack = float(
            (share * (error + narrow)).sum() + gamma(len(q) + 4 * ELEMENTARY, UNIT["float64"]) * _size(share, q, t, log_prob)
        )
        port.at_most(least, (share * found).sum(), slack, "the bound below")
        if attained:
            port.equal((share * found).sum(), least, slack, "at the Boltzmann policy")


def _size(share: Floats, q: Floats, t: float, log_prob: Floats) -> float:
    """The terms of the expectation and of its lower bound, and what a softmax that sums to 1 + few roundings moves them by."""
    return float((share * (np.abs(q) + t * np.abs(log_prob))).sum() + 4 * np.abs(q).max() + t * (1 + np.log(len(q))))


# ---------------------------------------------------------------------------------------------- the temperature's loss
TUNING = {"t": tunings(ROUGH)}
TEMPERATURE = ("temperature_loss", "temperature_loss_gradient")


@claim("policy_gradient", source=TUNED, operators=TEMPERATURE, given=TUNING, share=0.5, oracle="temperature_loss_by_digits")
def temperature_loss_is_its_equation_and_its_own_derivative(port: Trial, t: Tuning) -> None:
    """temperature_loss = -exp(log alpha)(log pi + target), element by element; in log alpha that is its derivative, too."""
    call = _tuning_call(t)
    found, error = port(port.subject, *call.arguments, **call.keywords)
    due = temperature_loss_by_digits(t.log_prob, log_coefficient=t.log_coefficient, target_entropy=t.target_entropy)
    port.equal(found, due, error)


@claim(
    "policy_gradient", source=TUNED, operators=["temperature_loss_gradient", "temperature_loss"], given={"t": tunings()}, share=0.5
)
def temperature_gradient_lies_between_the_loss_s_differences(port: Trial, t: Tuning) -> None:
    """The loss is convex or concave in log alpha, so its slope lies between its differences over h to the right and to the left."""
    call = _tuning_call(t)
    slope, slope_error = port("temperature_loss_gradient", *call.arguments, **call.keywords)
    ends = []
    for shift in (0.25, 0.0, -0.25):
        moved = call.keywords | {"log_coefficient": t.log_coefficient + shift}
        exactly = moved["log_coefficient"] - shift == t.log_coefficient
        if not exactly or not holds_in(port.dtype, np.asarray(moved["log_coefficient"])):
            return
        ends.append(port("temperature_loss", *call.arguments, **moved))
    (right, right_error), (here, here_error), (left, left_error) = ends
    # h = 1/4, so what is off in a value counts four times in its difference.
    slack = 4 * (right_error + left_error + 2 * here_error) + slope_error
    slack = slack + gamma(4, UNIT["float64"]) * 4 * (np.abs(right) + np.abs(here) + np.abs(left))
    sign = np.where(t.log_prob + t.target_entropy < 0, 1.0, -1.0)
    port.at_most(sign * slope, sign * 4 * (right - here), slack, "slope <= the difference to the right")
    port.at_most(sign * 4 * (here - left), sign * slope, slack, "the difference to the left <= slope")


@claim("policy_gradient", source=TUNED, operators=["temperature_loss_gradient"], given=TUNING, share=0.5)
def temperature_falls_where_entropy_exceeds_its_target(port: Trial, t: Tuning) -> None:
    """d loss/d log alpha has the sign of -log pi - target: descent lowers alpha where entropy is above the target, and raises it
    below; at the target, exactly 0."""
    call = _tuning_call(t)
    found, error = port("temperature_loss_gradient", *call.arguments, **call.keywords)
    excess = -t.log_prob - t.target_entropy
    clear = np.abs(found) > error
    port.holds(
        bool(np.all(np.sign(found)[clear] == np.sign(excess)[clear])), "the sign of entropy less target", found=found, due=excess
    )
    at_target = port.temperature_loss_gradient(np.full(found.shape, -t.target_entropy), **call.keywords)
    port.equal(at_target, np.zeros(found.shape), 0.0, "at the target")


@claim(
    "policy_gradient", source=TUNED, operators=["temperature_loss"], given=TUNING, share=0.25, oracle="temperature_loss_by_digits"
)
def differentiating_temperature_loss_moves_log_alpha_only(port: Trial, t: Tuning) -> None:
    """Automatic differentiation of the sum: the sum of -alpha (log pi + target) in log alpha; exactly 0 in log pi, a constant."""
    call = _tuning_call(t)
    found = port.derivative("log_coefficient", *call.arguments, **call.keywords)
    each = temperature_loss_by_digits(t.log_prob, log_coefficient=t.log_coefficient, target_entropy=t.target_entropy)
    size = np.exp(t.log_coefficient) * (np.abs(t.log_prob) + abs(t.target_entropy))
    # In a half type each output's share may be cast on the way back, and so may the three numbers that it is made of.
    bound = float((size * (gamma(t.log_prob.size + ELEMENTARY + 5, port.unit) + 4 * narrowing(port.dtype))).sum())
    due: Any = np.array(each.sum(), dtype=object)
    port.equal(found, due, stored(bound, found, port.dtype))
    slope = port.derivative(0, *call.arguments, **call.keywords)
    port.equal(slope, np.zeros(slope.shape), 0.0, "in log pi")
