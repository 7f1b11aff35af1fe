"""The theorems of the expectile itself: balance and minimum (I1), invariances (I2), order in the level (I3), and the rate (I4)."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import strategies as st

from properties._aggregates_bounds import brought_to, highest_power
from properties._bounds import TINY, Floats
from properties._claim import claim
from properties._draw import ROUGH
from properties._expectiles_samples import GIVEN, IQL, NEWEY, Sample, apply, at_most, column, samples, total_loss
from properties._oracles import exact
from properties._oracles.expectiles import expectile_by_balance
from properties._trial import Trial

SCALED = {**GIVEN, "c": st.sampled_from([0.25, 2.0, 8.0])}
WILD = {**GIVEN, "wild": st.sampled_from([-1.0, 1.0, np.inf, -np.inf])}
ROUGHLY = {"s": samples(styles=ROUGH)}


def _mass(s: Sample) -> Any:
    return exact(s.weights).sum(axis=-1)


# -------------------------------------------------------------------------------------------------- balance and minimum
@claim("I1", source=f"{NEWEY}, eq. 2.7", operators=["expectile"], given=ROUGHLY, oracle="expectile_by_balance")
def expectile_is_the_root_of_its_balance(port: Trial, s: Sample) -> None:
    """The expectile is the only m with level E(x - m)+ = (1 - level) E(m - x)+, solved in exact arithmetic."""
    found, error = apply(port, s)
    port.equal(found, expectile_by_balance(s.values, s.weights, expectile=s.level), error)


@claim("I1", source=f"{NEWEY}, eq. 2.7", operators=["expectile"], given=GIVEN, share=0.5)
def expectile_balances_what_lies_above_and_below(port: Trial, s: Sample) -> None:
    """At the m returned, level E(x - m)+ and (1 - level) E(m - x)+ differ by at most the slope of the balance times m's error."""
    found, error = apply(port, s)
    gap, level = exact(s.values) - column(found), Fraction(s.level)
    above = (exact(s.weights) * np.maximum(gap, 0)).sum(axis=-1)
    below = (exact(s.weights) * np.maximum(-gap, 0)).sum(axis=-1)
    slope = max(s.level, 1 - s.level) * s.weights.sum(axis=-1)
    at_most(port, abs(level * above - (1 - level) * below), 0, slope * error, "the two sides are equal")


@claim("I1", source=f"{NEWEY}, §2; {IQL}, eq. 5", operators=["expectile"], given=GIVEN, share=0.5)
def expectile_minimises_the_total_expectile_loss(port: Trial, s: Sample) -> None:
    """E |level - 1[x < y]| (x - y)^2 is at least what it is at the expectile, at every y: any point, and any of the values."""
    found, error = apply(port, s)
    most = max(s.level, 1 - s.level) * s.weights.sum(axis=-1)
    here = total_loss(s, found)
    for y in (s.point, *np.moveaxis(s.values, -1, 0)[:2]):
        at_most(port, here, total_loss(s, y), most * error**2, "the loss at the expectile is the least")


@claim("I1", source=f"{NEWEY}, §2", operators=["expectile"], given=GIVEN, share=0.5)
def expectile_one_half_is_the_mean(port: Trial, s: Sample) -> None:
    """At level 1/2 the expectile is sum w x / sum w."""
    found, error = apply(port, s, level=0.5)
    port.equal(found, (exact(s.weights) * exact(s.values)).sum(axis=-1) / _mass(s), error)


# -------------------------------------------------------------------------------------------------------- invariances
@claim("I2", source=f"{NEWEY}, Theorem 1", operators=["expectile"], given=GIVEN, share=0.5)
def expectile_moves_with_the_values(port: Trial, s: Sample) -> None:
    """m(x + c) = m(x) + c."""
    due, due_error = apply(port, s)
    found, error = apply(port, s, values=s.values + s.point[..., None])
    port.equal(found, exact(due) + exact(s.point), error + due_error)


@claim("I2", source=f"{NEWEY}, Theorem 1", operators=["expectile"], given=SCALED, share=0.5)
def expectile_scales_with_the_values(port: Trial, s: Sample, c: float) -> None:
    """m(c x) = c m(x) for c > 0."""
    due, due_error = apply(port, s)
    found, error = apply(port, s, values=c * s.values)
    port.equal(found, Fraction(c) * exact(due), error + c * due_error)


@claim("I2", source=f"{NEWEY}, Theorem 1", operators=["expectile"], given=GIVEN, share=0.5)
def expectile_turns_over_with_the_values(port: Trial, s: Sample) -> None:
    """m(-x) at `level` = -m(x) at 1 - `level`: mistaking one for the other mirrors the distribution."""
    due, due_error = apply(port, s, level=1 - s.level)
    found, error = apply(port, s, values=-s.values)
    port.equal(-found, due, error + due_error)


@claim("I2", source=f"{NEWEY}, §2", operators=["expectile"], given=GIVEN, share=0.5)
def expectile_lies_between_smallest_and_largest_value(port: Trial, s: Sample) -> None:
    """min x <= m <= max x, over the values of positive weight."""
    found, error = apply(port, s)
    port.at_most(np.where(s.weights > 0, s.values, np.inf).min(axis=-1), found, error, "min <= m")
    port.at_most(found, np.where(s.weights > 0, s.values, -np.inf).max(axis=-1), error, "m <= max")


@claim("I2", source="Bellini et al. 2014, Proposition 6", operators=["expectile"], given=GIVEN, share=0.5)
def expectile_is_monotone_and_1_lipschitz(port: Trial, s: Sample) -> None:
    """x <= y implies m(x) <= m(y), and |m(x) - m(y)| <= max |x - y| over the values of positive weight, for any x and y."""
    one, one_error = apply(port, s)
    two, two_error = apply(port, s, values=s.other)
    apart = np.where(s.weights > 0, np.abs(s.values - s.other), 0.0).max(axis=-1)
    at_most(port, abs(exact(one) - exact(two)), exact(apart), one_error + two_error, "|m(x) - m(y)| <= max |x - y|")
    high, high_error = apply(port, s, values=np.maximum(s.values, s.other))
    port.at_most(one, high, one_error + high_error, "m(x) <= m(max(x, y))")


@claim("I2", source="Bellini et al. 2014, Proposition 6", operators=["expectile"], given=GIVEN, share=0.5)
def expectile_is_subadditive_from_one_half_up(port: Trial, s: Sample) -> None:
    """m(x + y) <= m(x) + m(y) for level >= 1/2, and >= for level <= 1/2, for any joint distribution of x and y."""
    parts = [apply(port, s), apply(port, s, values=s.other)]
    whole, error = apply(port, s, values=s.values + s.other)
    excess = exact(whole) - exact(parts[0][0]) - exact(parts[1][0])
    slack = error + parts[0][1] + parts[1][1]
    if s.level >= 0.5:
        at_most(port, excess, 0, slack, "m(x + y) <= m(x) + m(y)")
    if s.level <= 0.5:
        at_most(port, -excess, 0, slack, "m(x + y) >= m(x) + m(y)")


# ------------------------------------------------------------------------------------------------------------- weights
@claim("I1", source=f"{NEWEY}, §2", operators=["expectile"], given=GIVEN, share=0.5)
def expectile_depends_on_the_distribution_alone(port: Trial, s: Sample) -> None:
    """Reordering the atoms, splitting each in two, or multiplying all weights by 4 changes nothing."""
    due, due_error = apply(port, s)
    twice, parts = np.concatenate([s.values] * 2, -1), np.concatenate([0.25 * s.weights, 0.75 * s.weights], -1)
    for what, other in {
        "reordered": {"values": s.values[..., ::-1], "weights": s.weights[..., ::-1]},
        "split": {"values": twice, "weights": parts},
        "weights times 4": {"weights": 4.0 * s.weights},
    }.items():
        found, error = apply(port, s, **other)
        port.equal(found, due, error + due_error, what)


@claim("I6", source=f"{IQL}, §4.2 (in-support)", operators=["expectile"], given=WILD)
def values_without_weight_are_not_seen(port: Trial, s: Sample, wild: float) -> None:
    """Values of weight 0 may be anything, infinity too, and change nothing."""
    due, error = apply(port, s)
    values = np.where(s.weights > 0, s.values, wild * (np.abs(s.other) + 1024.0))
    found = port.expectile(values, s.weights, expectile=s.level)
    port.equal(found, due, 2 * error)


@claim("I1", source=f"{NEWEY}, §2", operators=["expectile"], given=GIVEN, share=0.25)
def weights_left_out_are_equal_weights(port: Trial, s: Sample) -> None:
    """Without weights every value counts the same."""
    found, error = port("expectile", s.values, expectile=s.level)
    due, due_error = apply(port, s, weights=np.full(s.values.shape, 0.5))
    port.equal(found, due, error + due_error)


@claim("I2", source=f"{NEWEY}, §2; IEEE 754 for the sums", operators=["expectile"], given=GIVEN, share=0.5)
def expectile_of_infinite_values_is_infinite(port: Trial, s: Sample) -> None:
    """A value of +inf (-inf) with positive weight makes the expectile +inf (-inf), and both together make it NaN."""
    values = np.where(s.other > s.point[..., None] + 32.0, np.inf, np.where(s.other < s.point[..., None] - 32.0, -np.inf, s.values))
    due, error = apply(port, s)
    found = port.expectile(values, s.weights, expectile=s.level)
    up, down = (((values == sign) & (s.weights > 0)).any(axis=-1) for sign in (np.inf, -np.inf))
    port.holds(
        bool(np.array_equal(np.isnan(found), up & down)), "NaN where both infinities have weight, and nowhere else", found=found
    )
    one = up ^ down
    port.equal(found[one], np.where(up[one], np.inf, -np.inf), 0.0)
    none = ~(up | down)
    port.equal(found[none], due[none], 2 * error[none])


@claim("I2", source=f"{NEWEY}, Theorem 1", operators=["expectile"], given=GIVEN)
def expectile_reaches_to_the_ends_of_the_range(port: Trial, s: Sample) -> None:
    """m(c x) with weights d w is c m(x), for c and d = 2^k that bring the largest |x| and w next to the largest or smallest."""
    s = s._replace(values=np.where(s.other > s.point[..., None], 0.0, s.values))
    due, due_error = apply(port, s)
    top = highest_power(port.dtype)
    for end, heavy in ((top + 1, -(3 * top // 4)), (-(3 * top // 4), top + 1)):
        if np.any(s.values):
            power, weight = brought_to(end, s.values), brought_to(heavy, s.weights)
            found = port.expectile(np.ldexp(s.values, power), np.ldexp(s.weights, weight), expectile=s.level)
            port.equal(np.ldexp(found, -power), due, 2 * due_error + np.ldexp(TINY[port.dtype], -power))


# ---------------------------------------------------------------------------------------------------- the level's order
@claim("I3", source=f"{IQL}, Lemma 2; {NEWEY}, Theorem 1", operators=["expectile"], given=GIVEN)
def expectile_grows_with_the_level(port: Trial, s: Sample) -> None:
    """For levels a < b, E|x - m_a| (b - a)/max(b, 1 - b) <= m_b - m_a <= E|x - m_a| (b - a)/min(b, 1 - b).

    So m_a <= m_b, and m_a < m_b unless the distribution is one point.
    """
    low, high = sorted((s.level, s.other_level))
    start, start_error = apply(port, s, level=low)
    end, error = apply(port, s, level=high)
    step, far, near = Fraction(high) - Fraction(low), *sorted((Fraction(high), 1 - Fraction(high)))
    spread = step * (exact(s.weights) * abs(exact(s.values) - column(start))).sum(axis=-1) / _mass(s)
    grown, slack = exact(end) - exact(start), error + start_error * (1 + float(step / far))
    at_most(port, spread / near, grown, slack, "E|x - m_a| (b - a)/max(b, 1 - b) <= m_b - m_a")
    at_most(port, grown, spread / far, slack, "m_b - m_a <= E|x - m_a| (b - a)/min(b, 1 - b)")


@claim("I4", source=f"{IQL}, Lemma 1, with a rate", operators=["expectile"], given=GIVEN)
def expectile_tends_to_the_maximum_at_a_rate(port: Trial, s: Sample) -> None:
    """max x - m <= (1 - level)(1 - p)(max x - min x) / (level p), p the mass at the maximum."""
    found, error = apply(port, s)
    top, bottom, p = _extremes(s)
    odds = (1 - Fraction(s.level)) / Fraction(s.level)
    at_most(port, exact(top) - exact(found), odds * (1 - p) / p * (exact(top) - exact(bottom)), error, "the gap to the maximum")


@claim("I4", source=f"{IQL}, Lemma 1, turned over", operators=["expectile"], given=GIVEN, share=0.5)
def expectile_tends_to_the_minimum_at_a_rate(port: Trial, s: Sample) -> None:
    """m - min x <= level (1 - p)(max x - min x) / ((1 - level) p), p the mass at the minimum."""
    found, error = apply(port, s)
    top, bottom, p = _extremes(s._replace(values=-s.values))
    odds = Fraction(s.level) / (1 - Fraction(s.level))
    at_most(port, exact(found) + exact(top), odds * (1 - p) / p * (exact(top) - exact(bottom)), error, "the gap to the minimum")


def _extremes(s: Sample) -> tuple[Floats, Floats, Any]:
    """The largest and the smallest value of positive weight, and the share of the mass at the largest."""
    top = np.where(s.weights > 0, s.values, -np.inf).max(axis=-1, keepdims=True)
    bottom = np.where(s.weights > 0, s.values, np.inf).min(axis=-1)
    share = exact(np.where(s.values == top, s.weights, 0.0)).sum(axis=-1) / _mass(s)
    return top[..., 0], bottom, share
