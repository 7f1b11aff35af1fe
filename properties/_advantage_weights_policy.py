"""The policy of advantage weighting: it maximises pi.q - t KL(pi, mu) (W1), and betters mu (W2)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from properties._aggregates_bounds import POSITIVE_TEMPERATURE, holds_in
from properties._bounds import ELEMENTARY, TINY, UNIT, Floats, gamma, own_rounding, rounded
from properties._claim import claim
from properties._draw import BATCHES, STYLES, distributions, temperatures, values
from properties._mdps import MDPCase, on_mdps
from properties._oracles import exact
from properties._oracles.aggregates import (
    improved_policy_by_digits,
    kl_objective_by_digits,
    soft_value_by_digits,
    softmax_by_digits,
)
from properties._trial import Trial

Draw = Callable[[st.SearchStrategy[Any]], Any]
AWR = "Peng et al. 2019 (AWR)"
QWR = "Kozakowski et al. 2021 (QWR)"
SHARES = ("normalized_weights", "improved_policy")


class Tilt(NamedTuple):
    """A behavior, values q and others of the same scale for its actions, another policy, and a temperature > 0."""

    behavior: Floats
    q: Floats
    other: Floats
    policy: Floats
    temperature: float


@st.composite
def tilts(
    draw: Draw, *, styles: tuple[str, ...] = STYLES, longest: int = 4, temperature: st.SearchStrategy[float] = POSITIVE_TEMPERATURE
) -> Tilt:
    """Behaviors with zeros among them; the other policy stays in their support."""
    shape = (*draw(st.sampled_from(BATCHES)), draw(st.integers(1, longest)))
    style = (draw(st.sampled_from(styles)),)
    behavior, policy = draw(distributions(shape)), draw(distributions(shape))
    return Tilt(behavior, draw(values(shape, style)), draw(values(shape, style)), _inside(policy, behavior), draw(temperature))


def _inside(policy: Floats, behavior: Floats) -> Floats:
    """The policy with the mass outside the behavior's support moved to the behavior's most frequent action."""
    kept = np.where(behavior > 0, policy, 0.0)
    first = np.arange(policy.shape[-1]) == behavior.argmax(axis=-1)[..., None]
    return np.asarray(kept + np.where(first, 1.0 - kept.sum(axis=-1, keepdims=True), 0.0))


GIVEN = {"t": tilts()}
FINITE = st.one_of(temperatures(), st.sampled_from([2.0**20, 2.0**-60]))


def _shares(port: Trial, t: Tilt) -> tuple[Floats, Floats]:
    """The subject's shares of the actions in each row, and their error bound: all samples alike, or tilted from the behavior."""
    arguments = (t.q,) if port.subject == "normalized_weights" else (t.behavior, t.q)
    return port(port.subject, *arguments, temperature=t.temperature)


def _prior(port: Trial, t: Tilt) -> Floats:
    """What the subject tilts: each sample alike, or the behavior."""
    return np.full(t.q.shape, 1.0 / t.q.shape[-1]) if port.subject == "normalized_weights" else t.behavior


def _floats(value: Any) -> Floats:
    """Fractions, or one Fraction, as floats."""
    return np.asarray(value, dtype=np.float64)


# ------------------------------------------------------------------------------------------------------------ formula
@claim("W1", source=f"{AWR}, eq. 9", operators=SHARES, given=GIVEN, share=0.5, oracle="improved_policy_by_digits")
def shares_are_exponential_in_the_advantage(port: Trial, t: Tilt) -> None:
    """improved_policy = mu exp(q/t) / sum of mu exp(q/t), normalized_weights the same of equally frequent samples, to 50 digits."""
    found, error = _shares(port, t)
    if port.subject == "normalized_weights":
        port.equal(found, softmax_by_digits(t.q, temperature=t.temperature), error)
    else:
        port.equal(found, improved_policy_by_digits(t.behavior, t.q, temperature=t.temperature), error)


@claim("W1", source=f"{AWR}, eq. 9", operators=SHARES, given=GIVEN, share=0.5)
def shares_sum_to_one_inside_the_support(port: Trial, t: Tilt) -> None:
    """Each row sums to 1 and is never negative; an action that the behavior never takes gets exactly 0."""
    found, error = _shares(port, t)
    port.equal(np.ones(found.shape[:-1]), exact(found).sum(axis=-1), error.sum(axis=-1), "the shares sum to 1")
    port.holds(bool(np.all(found >= 0)), "no share is negative", found=found)
    outside = _prior(port, t) == 0
    port.holds(bool(np.all(found[outside] == 0)), "no share outside the support of the behavior", found=found)


@claim(
    "W1",
    source=f"{AWR}, eq. 9",
    operators=["improved_policy"],
    given={**GIVEN, "value": st.sampled_from([2.0**29, -(2.0**29), np.inf, -np.inf])},
    share=0.5,
)
def values_outside_the_support_are_not_read(port: Trial, t: Tilt, value: float) -> None:
    """The value of an action with mu = 0 may be anything and changes nothing; it does not set the shift either."""
    due, due_error = _shares(port, t)
    found, error = _shares(port, t._replace(q=np.where(t.behavior > 0, t.q, value)))
    port.equal(found, due, error + due_error)


RARITY = st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 1.0))
LEADS = st.tuples(st.integers(-40, 40), st.integers(-40, 40))


@claim(
    "W1",
    source=f"{AWR}, eq. 9",
    operators=["improved_policy"],
    given={"rarity": RARITY, "leads": LEADS, "power": st.integers(-9, 9)},
    share=0.25,
    oracle="improved_policy_by_digits",
)
def rare_actions_may_be_improved_to_any_share(port: Trial, rarity: tuple[float, float], leads: tuple[int, int], power: int) -> None:
    """mu = (2^-j, 2^-k, 1) down to the smallest subnormal, q/t = c (j log 2, k log 2, 0) + leads: shares to 50 digits."""
    least, most = 3 - math.frexp(port.unit)[1], 1 - math.frexp(2 * UNIT[port.dtype] * TINY[port.dtype])[1]
    rare = np.array([[least + round(part * (most - least)) for part in row] for row in (rarity, (1.0, 0.95), (1.0, rarity[1]))])
    behavior = np.concatenate([2.0**-rare, np.ones((len(rare), 1))], axis=-1)
    for made_up in (1.93, 1.0, 0.0):
        q = rounded(np.round(made_up * rare * math.log(2)) + leads, port.dtype)
        q = np.concatenate([q, np.zeros((len(rare), 1))], axis=-1)
        found, error = port("improved_policy", behavior, q * 2.0**power, temperature=2.0**power)
        port.equal(found, improved_policy_by_digits(behavior, q, temperature=1.0), error)


@claim("W7", source=f"{AWR}, eq. 9; {QWR}, policy improvement", operators=SHARES, given=GIVEN, share=0.5)
def shares_forget_the_baseline(port: Trial, t: Tilt) -> None:
    """A baseline subtracted from all values of a state leaves improved_policy and normalized_weights as they are."""
    if not holds_in(port.dtype, t.q - t.other[..., :1]):
        return
    due, due_error = _shares(port, t)
    found, error = _shares(port, t._replace(q=t.q - t.other[..., :1]))
    port.equal(found, due, error + due_error)


@claim("W8", source=f"{AWR}, eq. 9", operators=SHARES, given={**GIVEN, "power": st.integers(-9, 9)}, share=0.5)
def shares_depend_on_value_over_temperature(port: Trial, t: Tilt, power: int) -> None:
    """Scaling values and temperature together changes no share; so dividing by t agrees with multiplying by the inverse 1/t."""
    due, due_error = _shares(port, t)
    found, error = _shares(port, t._replace(q=t.q * 2.0**power, temperature=t.temperature * 2.0**power))
    port.equal(found, due, error + due_error)


@claim("W8", source=f"{AWR}, eq. 9", operators=SHARES, given={"t": tilts(temperature=FINITE)}, share=0.5)
def shares_tell_the_scale_of_advantages(port: Trial, t: Tilt) -> None:
    """Doubling the values squares the odds (pi_i/mu_i) / (pi_j/mu_j) = exp((q_i - q_j)/t): advantages are not standardised."""
    one, one_error = _shares(port, t)
    two, two_error = _shares(port, t._replace(q=2 * t.q))
    mu = _prior(port, t)
    left, left_error = _product_with_square(mu * two, mu * two_error, one[..., ::-1], one_error[..., ::-1])
    port.equal(left, left[..., ::-1], left_error + left_error[..., ::-1])


def _product_with_square(a: Floats, a_error: Floats, b: Floats, b_error: Floats) -> tuple[Floats, Floats]:
    """a b^2 and its error: two roundings of its own, and six of the upper bound's four operations and of their difference."""
    product = a * b**2
    return product, (a + a_error) * (b + b_error) ** 2 - product + gamma(8, UNIT["float64"]) * product + TINY["float64"]


# ---------------------------------------------------------------------------------------------------------- optimality
def _objective_slack(t: Tilt, found: Floats, error: Floats, optimum: Floats) -> Floats:
    """How far pi.q - t KL(pi, mu) of a pi within `error` of the maximiser pi* is from its maximum V.

    It is V sum pi - t sum pi log(pi/pi*), and |pi log(pi/pi*)| <= |pi - pi*| (1 + log+(pi/pi*)), log(pi/pi*) being
    log(pi/mu) - (q - V)/t. So |V| + t (1 + log+) per unit of error.
    """
    held = found > 0
    log_ratio = np.log(np.where(held, found, 1.0)) - np.log(np.where(held, t.behavior, 1.0))
    above = (t.q - optimum[..., None]) / t.temperature
    logs = np.abs(np.log(np.where(held, found, 1.0))) + np.abs(np.log(np.where(held, t.behavior, 1.0)))
    sizes = logs + (np.abs(t.q) + np.abs(optimum[..., None])) / t.temperature
    rounding = gamma(ELEMENTARY + 2, UNIT["float64"]) * sizes  # each log, a difference, and its difference from a quotient
    excess = np.maximum(log_ratio - above, 0.0) + rounding
    per_unit = np.abs(optimum[..., None]) + t.temperature * (1 + np.where(held, excess, 0.0))
    return np.asarray((error * per_unit).sum(axis=-1) * own_rounding(t.q.shape[-1] + 6))


@claim(
    "W1",
    source=f"{AWR}, eq. 6 to 9",
    operators=["improved_policy"],
    given={"t": tilts(temperature=FINITE, longest=3)},
    share=0.3,
    oracle="kl_objective_by_digits",
)
def improved_policy_maximises_value_less_divergence(port: Trial, t: Tilt) -> None:
    """pi.q - t KL(pi, mu) is t log sum of mu exp(q/t) at improved_policy, and no more at any other policy."""
    found, error = _shares(port, t)
    optimum = soft_value_by_digits(t.behavior, t.q, temperature=t.temperature)
    reached = kl_objective_by_digits(found, t.behavior, t.q, temperature=t.temperature)
    slack = _objective_slack(t, found, error, _floats(optimum))
    port.equal(np.zeros(slack.shape), reached - optimum, slack, "the objective is t log sum of mu exp(q/t)")
    for other in (t.policy, t.behavior):
        elsewhere = kl_objective_by_digits(other, t.behavior, t.q, temperature=t.temperature)
        port.at_most(_floats(elsewhere - reached), 0.0, slack, "no other policy has a larger objective")


def _supported(t: Tilt) -> tuple[Floats, Floats, Floats]:
    """q with -inf outside the support of mu, its maximum [..., 1], and the mass that mu has there [...]."""
    q = np.where(t.behavior > 0, t.q, -np.inf)
    best = q.max(axis=-1, keepdims=True)
    return q, best, np.where(q == best, t.behavior, 0.0).sum(axis=-1)


@claim("W1", source=f"{AWR}, eq. 9", operators=["improved_policy"], given=GIVEN)
def improved_policy_becomes_greedy_as_t_falls(port: Trial, t: Tilt) -> None:
    """Off the best supported actions lies at most (1 - m)/m exp(-gap/t), m being mu's mass on them, gap the lead of their q."""
    found, error = _shares(port, t)
    q, best, mass = _supported(t)
    lead = (best - np.where(q < best, q, -np.inf).max(axis=-1, keepdims=True))[..., 0] / t.temperature
    room = np.where(mass < 1, (1 - mass) / mass * np.exp(-lead) * own_rounding(np.minimum(2 * lead, 2.0**40) + ELEMENTARY + 3), 0.0)
    off = np.where(q < best, found, 0.0)
    port.at_most(off.sum(axis=-1), room, error.sum(axis=-1) + port.sum_error(off))


@claim("W1", source=f"{AWR}, eq. 9", operators=["improved_policy"], given=GIVEN)
def improved_policy_loses_at_most_t_log_one_over_m(port: Trial, t: Tilt) -> None:
    """max q - pi.q <= t log(1/m), the maximum over the support of mu, m being mu's mass on the maximisers."""
    found, error = _shares(port, t)
    q, best, mass = _supported(t)
    gaps = np.where(np.isfinite(q), best - q, 0.0)
    room = np.where(mass < 1, t.temperature * -np.log(mass), 0.0) * own_rounding(ELEMENTARY + 2)
    port.at_most(
        _floats((exact(gaps) * exact(found)).sum(axis=-1)), room, (error * gaps).sum(axis=-1) * own_rounding(t.q.shape[-1] + 1)
    )


@claim("W1", source=f"{AWR}, eq. 9", operators=["improved_policy"], given=GIVEN)
def improved_policy_becomes_cloning_as_t_rises(port: Trial, t: Tilt) -> None:
    """|pi - mu| <= mu (exp(span/t) - 1), span = max - min of the supported q; at t = inf it is mu."""
    found, error = _shares(port, t)
    low = np.where(t.behavior > 0, t.q, np.inf).min(axis=-1)
    high = np.where(t.behavior > 0, t.q, -np.inf).max(axis=-1)
    room = t.behavior * np.expm1(np.minimum((high - low) / t.temperature, 700.0))[..., None]
    room = room * own_rounding(2 * 701 + ELEMENTARY + 1)  # expm1 is x + 1 times as sensitive as its argument, x <= 700
    port.at_most(np.abs(found - t.behavior), room, error + port.sum_error(np.stack([found, t.behavior], -1)))


@claim(
    "W1",
    source=f"{AWR}, eq. 9",
    operators=["improved_policy"],
    given={**GIVEN, "factor": st.sampled_from([2.0, 16.0, math.inf])},
    share=0.5,
)
def a_lower_temperature_is_greedier(port: Trial, t: Tilt, factor: float) -> None:
    """t <= t' implies pi_t.q >= pi_t'.q: temperature divides the advantage."""
    cold, cold_error = _shares(port, t)
    hot, hot_error = _shares(port, t._replace(temperature=t.temperature * factor))
    centred = exact(t.q) - exact(t.q[..., :1])
    less = (centred * (exact(hot) - exact(cold))).sum(axis=-1)
    slack = ((cold_error + hot_error) * np.abs(t.q - t.q[..., :1])).sum(axis=-1)
    port.at_most(_floats(less), 0.0, slack)


# --------------------------------------------------------------------------------------------------------- improvement
@claim("W2", source=f"{AWR}, §3; {QWR}, policy improvement", operators=["improved_policy"], given=GIVEN)
def improved_policy_is_no_worse_at_any_state(port: Trial, t: Tilt) -> None:
    """The expectation of q under improved_policy is at least that under mu, at every state and temperature."""
    found, error = _shares(port, t)
    above = exact(t.q) - (exact(t.behavior) * exact(t.q)).sum(axis=-1, keepdims=True)
    gain = (exact(found) * above).sum(axis=-1)
    port.at_most(_floats(-gain), 0.0, (error * np.abs(_floats(above))).sum(axis=-1) * own_rounding(t.q.shape[-1] + 2))


@claim(
    "W2",
    source=f"{AWR}, §3; Puterman 1994, §6.4",
    operators=["improved_policy"],
    given=lambda source: {**on_mdps(source), "temperature": POSITIVE_TEMPERATURE},
    share=0.25,
)
def improved_policy_has_no_smaller_value(port: Trial, case: MDPCase, temperature: float) -> None:
    """V^pi >= V^mu at every state, where pi is improved_policy of mu and Q^mu."""
    world, knob = (case.mdp.transition, case.mdp.reward), {"discount": case.discount}
    before, before_error = port("solve_policy", case.behavior, *world, **knob)
    q, q_error = port("action_values", before, *world, **knob)
    seen = rounded(q, port.dtype)
    policy, error = port("improved_policy", case.behavior, seen, temperature=temperature)
    after, after_error = port("solve_policy", policy / policy.sum(axis=-1, keepdims=True), *world, **knob)
    port.at_most(
        before, after, before_error + after_error + _improvement_slack(case, before_error, q, q_error + np.abs(q - seen), error)
    )


def _improvement_slack(case: MDPCase, value_error: Floats, q: Floats, q_error: Floats, policy_error: Floats) -> float:
    """How much of the improvement rounding may undo, in sup norm.

    The exact policy improves on mu for the q that it was given, which is within d of Q^mu: one backup loses 2d at most. The policy
    found differs from it by the bounds on its entries, twice that once normalised, and by A + 2 roundings in float64. A loss of
    k per backup is a loss of k/(1 - gamma) in the value (the rows of tables sum to 1 up to rounding only).
    """
    d = q_error.max(axis=-1) + case.discount * np.max(value_error)
    moved = 2 * policy_error.sum(axis=-1) + gamma(2 * (q.shape[-1] + 2), UNIT["float64"])
    per_backup = np.max(2 * d + moved * (np.abs(q).max(axis=-1) + d))
    leaking = len(q) / (1 - case.discount)  # a row of S terms sums to 1 within S roundings, at each of 1/(1 - gamma) steps
    return float(per_backup / (1 - case.discount) * own_rounding(leaking + q.shape[-1] + 8))
