"""Expectiles, the loss that they minimise, and the pinball loss that they do not: error bounds, and I1 to I4, I8, F2."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from properties import _expectiles_iql, _expectiles_order  # noqa: F401  (register their claims)
from properties._bounds import Floats, gamma, own_rounding, rounded, stored
from properties._claim import Call, claim, operator
from properties._draw import ROUGH
from properties._expectiles_samples import GIVEN, IQL, NEWEY, PLAIN_LEVELS, Sample, at_most, exact_side, samples, total_loss
from properties._oracles import exact
from properties._oracles.expectiles import expectile_by_balance
from properties._trial import Trial

KOENKER = "Koenker & Bassett 1978"


# ------------------------------------------------------------------------------------------------------------- bounds
ERRORS = samples(styles=ROUGH, levels=PLAIN_LEVELS).map(lambda s: Call((s.values,), {"expectile": s.level}))


@operator("expectile_loss", inputs=ERRORS, core=0)
def expectile_loss_bound(unit: float, error: Floats, *, expectile: float) -> Floats:
    """1 - expectile, error^2, their product, and one for |expectile - 1| instead."""
    return np.asarray(gamma(4, unit) * _side(error, expectile) * error**2)


@operator("expectile_loss_gradient", inputs=ERRORS, core=0)
def expectile_loss_gradient_bound(unit: float, error: Floats, *, expectile: float) -> Floats:
    """As the loss, without the square."""
    return np.asarray(gamma(3, unit) * 2.0 * _side(error, expectile) * np.abs(error))


@operator("pinball_loss", inputs=ERRORS.map(lambda call: Call(call.arguments, {"quantile": call.keywords["expectile"]})), core=0)
def pinball_loss_bound(unit: float, error: Floats, *, quantile: float) -> Floats:
    """As the gradient of the expectile loss."""
    return np.asarray(gamma(3, unit) * _side(error, quantile) * np.abs(error))


def _side(error: Floats, level: float) -> Floats:
    return np.where(error < 0, 1.0 - level, level)


def _expectile_call(s: Sample) -> Call:
    """Without weights at one level; at some others values of weight 0 are infinite: they must not be seen."""
    if s.level == 0.75:
        return Call((s.values,), {"expectile": s.level})
    unseen = (s.weights == 0) & (s.level > s.other_level)
    return Call((np.where(unseen, np.copysign(np.inf, s.other), s.values), s.weights), {"expectile": s.level})


@operator("expectile", inputs=samples(styles=ROUGH, levels=PLAIN_LEVELS).map(_expectile_call))
def expectile_bound(unit: float, values: Floats, weights: Floats | None = None, *, expectile: float) -> Floats:
    """gamma_(2n+8) (N/D + L) + gamma_(n+4) (N + 3 L D') (1/D - 1/D'), L = max |x|, N = sum c w |x|, D = sum c w.

    The expectile is sum c w x / sum c w, c = level for values above it and 1 - level for those below. In any order either sum
    passes through n + 3 roundings (1 - level, c w, the product, n - 1 sums, a weight normalised before) and the quotient through
    one; sums of c w (x - s), for a value or a mean s that is added again, have terms c w (|x| + L).
    On which side a value x_k lies is read from the balance F(x_k) = sum c w (x - x_k), whose sign may be wrong where
    |F(x_k)| <= gamma_(n+4) (N + 3 L D). The root of the neighbouring line is off by |F(x_k)| times the difference of 1/D. For such
    values c is unknown: the larger counts in N and D', the smaller in D.
    """
    n, low, high = values.shape[-1], min(expectile, 1.0 - expectile), max(expectile, 1.0 - expectile)
    w = np.ones(values.shape) if weights is None else weights
    x = np.where(w > 0, values, 0.0)
    gap = x[..., None, :] - x[..., :, None]
    balance = (np.where(gap > 0, expectile, 1.0 - expectile) * w[..., None, :] * gap).sum(axis=-1)
    largest = np.abs(x).max(axis=-1)
    terms = high * w * (np.abs(x) + 3 * largest[..., None])
    unsure = np.abs(balance) <= gamma(2 * n + 8, unit) * terms.sum(axis=-1, keepdims=True)
    side = np.where(balance < 0, expectile, 1.0 - expectile)
    least = (w * np.where(unsure, low, side)).sum(axis=-1)
    most = (w * np.where(unsure, high, side)).sum(axis=-1)
    size = (w * np.where(unsure, high, side) * np.abs(x)).sum(axis=-1)
    flipped = gamma(n + 4, unit) * (size + 3 * largest * most) * (1.0 / least - 1.0 / most)
    return np.asarray(gamma(2 * n + 8, unit) * (size / least + largest) + flipped)


# -------------------------------------------------------------------------------------------------------- the two losses
ROUGHLY = {"s": samples(styles=ROUGH)}


@claim("I1", source=f"{IQL}, eq. 5", operators=["expectile_loss"], given=ROUGHLY)
def expectile_loss_is_its_equation(port: Trial, s: Sample) -> None:
    """expectile_loss = |expectile - 1[error < 0]| error^2, element by element, against exact arithmetic."""
    found, error = port("expectile_loss", s.values, expectile=s.level)
    port.equal(found, exact_side(s.values, s.level) * exact(s.values) ** 2, error)


SIDED = ("expectile_loss", "expectile_loss_gradient", "pinball_loss")


@claim("I1", source=f"{IQL}, §4.1", operators=SIDED, given=GIVEN, share=0.5)
def a_level_above_one_half_punishes_predicting_too_low(port: Trial, s: Sample) -> None:
    """error = target - prediction: too low costs level/(1 - level) times what too high does, and pulls that much harder."""
    keyword = "quantile" if port.subject == "pinball_loss" else "expectile"
    low, low_error = port(port.subject, np.abs(s.values), **{keyword: s.level})
    high, high_error = port(port.subject, -np.abs(s.values), **{keyword: s.level})
    odds = Fraction(s.level) / (1 - Fraction(s.level)) * (-1 if port.subject == "expectile_loss_gradient" else 1)
    port.equal(low, odds * exact(high), low_error + abs(float(odds)) * high_error * own_rounding(4))
    port.holds(bool(np.all(low >= 0)), "predicting too low costs at least 0 and pulls up", found=low)


@claim("I1", source=f"{IQL}, eq. 5, differentiated", operators=["expectile_loss_gradient"], given=ROUGHLY)
def expectile_loss_gradient_is_its_equation(port: Trial, s: Sample) -> None:
    """expectile_loss_gradient = 2 |expectile - 1[error < 0]| error, with the sign of the error, and 0 at 0."""
    found, error = port("expectile_loss_gradient", s.values, expectile=s.level)
    port.equal(found, 2 * exact_side(s.values, s.level) * exact(s.values), error)


@claim("I1", source="the central difference of a parabola", operators=SIDED[:2], given=GIVEN, share=0.5)
def expectile_loss_gradient_is_the_slope_of_the_loss(port: Trial, s: Sample) -> None:
    """gradient(e) = (loss(e + h) - loss(e - h)) / 2h exactly, for h = e/2, as neither point is on the other side of 0."""
    e = np.where(s.values == 0, 1.0, s.values)
    slope, error = port("expectile_loss_gradient", e, expectile=s.level)
    right, right_error = port("expectile_loss", 1.5 * e, expectile=s.level)
    left, left_error = port("expectile_loss", 0.5 * e, expectile=s.level)
    port.equal(slope, (exact(right) - exact(left)) / exact(e), error + (right_error + left_error) / np.abs(e) * own_rounding(4))


@claim("I1", source=f"{IQL}, eq. 5, differentiated", operators=["expectile_loss"], given=GIVEN, share=0.5)
def differentiating_expectile_loss_gives_its_gradient(port: Trial, s: Sample) -> None:
    """Automatic differentiation of expectile_loss gives 2 |expectile - 1[error < 0]| error: weight and factor 2 included."""
    found = port.derivative(0, s.values, expectile=s.level)
    bound = expectile_loss_gradient_bound(port.unit, s.values, expectile=s.level)
    due = 2 * exact_side(s.values, s.level) * exact(s.values)
    port.equal(found, due, stored(bound, found, port.dtype))


@claim("I1", source=f"{NEWEY}, §2", operators=["expectile_loss"], given=GIVEN, share=0.5, oracle="expectile_by_balance")
def the_loss_grows_like_a_parabola_from_the_expectile(port: Trial, s: Sample) -> None:
    """L(y) = sum of w loss(x - y) is least at the expectile m: with c between level and 1 - level, L(y) = L(m) + c W (y - m)^2."""
    away = s.values - s.point[..., None]
    loss, error = port("expectile_loss", away, expectile=s.level)
    total, slack = (exact(s.weights) * exact(loss)).sum(axis=-1), (s.weights * error).sum(axis=-1)
    best = expectile_by_balance(s.values, s.weights, expectile=s.level)
    least, far = total_loss(s, best), exact(s.weights).sum(axis=-1) * (exact(s.point) - best) ** 2
    level = Fraction(s.level)
    at_most(port, least + min(level, 1 - level) * far, total, slack, "L(m) + min(level, 1 - level) W (y - m)^2 <= L(y)")
    at_most(port, total, least + max(level, 1 - level) * far, slack, "L(y) <= L(m) + max(level, 1 - level) W (y - m)^2")


@claim("I8", source=f"{KOENKER}, §3", operators=["pinball_loss"], given=ROUGHLY)
def pinball_loss_is_its_equation(port: Trial, s: Sample) -> None:
    """pinball_loss = |quantile - 1[error < 0]| |error| = max(quantile error, (quantile - 1) error), against exact arithmetic."""
    found, error = port("pinball_loss", s.values, quantile=s.level)
    level, gap = Fraction(s.level), exact(s.values)
    port.equal(found, np.maximum(level * gap, (level - 1) * gap), error)


@claim("I8", source=f"{KOENKER}, §3", operators=["pinball_loss"], given=GIVEN, share=0.5)
def pinball_loss_is_least_at_the_quantile(port: Trial, s: Sample) -> None:
    """sum of w pinball_loss(x - y) is least at the quantile: the smallest value with a share `quantile` of the mass up to it."""
    order = np.argsort(s.values, axis=-1, kind="stable")
    ranked, mass = np.take_along_axis(s.values, order, axis=-1), np.take_along_axis(s.weights, order, axis=-1)
    reached = np.cumsum(mass, axis=-1) >= s.level * mass.sum(axis=-1, keepdims=True)
    quantile = np.take_along_axis(ranked, reached.argmax(axis=-1)[..., None], axis=-1)
    here, here_slack = _total_pinball(port, s, s.values - quantile)
    there, there_slack = _total_pinball(port, s, s.values - s.point[..., None])
    at_most(port, here, there, here_slack + there_slack, "at the quantile <= elsewhere")


def _total_pinball(port: Trial, s: Sample, error: Floats) -> tuple[Any, Floats]:
    loss, slack = port("pinball_loss", error, quantile=s.level)
    return (exact(s.weights) * exact(loss)).sum(axis=-1), np.asarray((s.weights * slack).sum(axis=-1))


@claim("I8", source=f"{NEWEY}, §1; {KOENKER}", operators=["expectile_loss", "pinball_loss"], given=GIVEN, share=0.5)
def one_loss_is_quadratic_and_the_other_linear(port: Trial, s: Sample) -> None:
    """expectile_loss(2 error) = 4 expectile_loss(error), and pinball_loss(2 error) = 2 pinball_loss(error)."""
    keyword, factor = ("quantile", 2) if port.subject == "pinball_loss" else ("expectile", 4)
    one, one_error = port(port.subject, s.values, **{keyword: s.level})
    two, two_error = port(port.subject, 2.0 * s.values, **{keyword: s.level})
    port.equal(two, factor * exact(one), two_error + factor * one_error)


EXAMPLE = np.array([0.0, 0.0, 0.0, 10.0])


def _totals(port: Trial, name: str, level: float, points: tuple[float, ...]) -> tuple[Floats, Floats]:
    """The loss summed over 0, 0, 0, 10 for each prediction: value and slack."""
    keyword = "quantile" if name == "pinball_loss" else "expectile"
    loss, error = port(name, EXAMPLE - np.array(points)[:, None], **{keyword: level})
    return loss.sum(axis=-1), error.sum(axis=-1) + port.sum_error(loss)


@claim("I8", source=f"{NEWEY}, §1, against {KOENKER}", operators=["expectile", "expectile_loss", "pinball_loss"])
def the_expectile_is_not_the_quantile(port: Trial) -> None:
    """Of 0, 0, 0, 10 at 0.9 the expectile is 7.5, best by expectile_loss, and the quantile is 10, best by pinball_loss."""
    level = rounded(0.9, port.dtype)
    found, error = port("expectile", EXAMPLE, expectile=level)
    port.equal(found, 10 * Fraction(level) / (3 - 2 * Fraction(level)), error)
    (at_expectile, at_quantile), slack = _totals(port, "expectile_loss", level, (7.5, 10.0))
    port.holds(at_expectile + 7 < at_quantile - slack.sum(), "expectile_loss costs 22.5 at 7.5, 30 at 10", found=at_expectile)
    (at_expectile, at_quantile), slack = _totals(port, "pinball_loss", level, (7.5, 10.0))
    port.holds(at_quantile + 1 < at_expectile - slack.sum(), "pinball_loss costs 4.5 at 7.5, 3 at 10", found=at_quantile)


@claim("F2", source="the note's expectile loss, refuted", operators=["pinball_loss"])
def the_minimiser_of_the_pinball_loss_is_not_the_expectile(port: Trial) -> None:
    """Refuted: sum max(level u, (level - 1) u) is an expectile loss. Of 0, 1 at 3/4 it is less at 1 than at the expectile 3/4."""
    errors = np.array([0.0, 1.0]) - np.array([[1.0], [0.75]])
    loss, error = port("pinball_loss", errors, quantile=0.75)
    best, expectile = exact(loss).sum(axis=-1)
    port.holds(best < expectile - Fraction(error.sum()), "1/4 at 1 is less than 3/8 at 3/4", found=best, due=expectile)
    port.equal(loss.sum(axis=-1), exact(np.array([0.25, 0.375])), error.sum(axis=-1) + port.sum_error(loss))
