"""Expectiles: the mean's asymmetric relatives, exactly, and the loss they minimise; quantiles only for contrast."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from reference._checks import FloatArray, last_axis, non_negative, real_array, refuse_where, same_shape, scalar


def expectile_loss(error: ArrayLike, *, expectile: float) -> FloatArray:
    """|expectile − 1[error < 0]| · error², element by element.

    `error` is target − prediction, so expectile > 1/2 punishes predicting too low:

    >>> expectile_loss([1.0, -1.0], expectile=0.9).round(12)
    array([0.9, 0.1])

    error      [...]     in units of value; ±inf gives inf
    expectile  scalar    in (0, 1); 1/2 gives half the squared error
    returns    [...]     in units of value²
    raises     ValueError if error has NaN or is not real; if expectile is outside (0, 1)
    source     Kostrikov et al. 2021, §4.1 and eq. (5) (their τ is our expectile, their u our error);
               Newey & Powell 1987, §2
    """
    u = real_array("error", error)
    level = scalar("expectile", expectile, "(0, 1)")
    with np.errstate(over="ignore"):
        return np.asarray(_side(u, level) * u**2)


def expectile_loss_gradient(error: ArrayLike, *, expectile: float) -> FloatArray:
    """∂ expectile_loss / ∂error = 2 · |expectile − 1[error < 0]| · error, element by element.

    It has the sign of the error; the gradient in the *prediction* is its negative, as error = target − prediction:

    >>> expectile_loss_gradient([1.0, -1.0], expectile=0.9).round(12)
    array([ 1.8, -0.2])

    error      [...]     in units of value
    expectile  scalar    in (0, 1)
    returns    [...]     in units of value; continuous, 0 at error 0
    raises     ValueError as expectile_loss
    source     the derivative of Kostrikov et al. 2021, §4.1
    """
    u = real_array("error", error)
    level = scalar("expectile", expectile, "(0, 1)")
    with np.errstate(over="ignore"):
        return np.asarray(2.0 * _side(u, level) * u)


def pinball_loss(error: ArrayLike, *, quantile: float) -> FloatArray:
    """|quantile − 1[error < 0]| · |error| = max(quantile · error, (quantile − 1) · error), element by element.

    Its minimiser is a quantile, not an expectile: it is here so that the two can be told apart. As there,
    quantile > 1/2 punishes predicting too low:

    >>> pinball_loss([2.0, -2.0], quantile=0.9).round(12)
    array([1.8, 0.2])

    error     [...]     target − prediction, in units of value
    quantile  scalar    in (0, 1); 1/2 gives half the absolute error
    returns   [...]     in units of value
    raises    ValueError if error has NaN or is not real; if quantile is outside (0, 1)
    source    Koenker & Bassett 1978, §3 (their θ is our quantile)
    """
    u = real_array("error", error)
    return np.asarray(_side(u, scalar("quantile", quantile, "(0, 1)")) * np.abs(u))


def expectile(values: ArrayLike, weights: ArrayLike | None = None, *, expectile: float) -> FloatArray:
    """The m with expectile · Σ w (x − m)₊ = (1 − expectile) · Σ w (m − x)₊: argmin_m Σ w · expectile_loss(x − m).

    1/2 is the mean, and a larger expectile lies higher, tending to the largest value:

    >>> [round(float(expectile([0.0, 0.0, 0.0, 10.0], expectile=e)), 6) for e in (0.1, 0.5, 0.9)]
    [0.357143, 2.5, 7.5]

    Values of weight 0 are not seen at all:

    >>> expectile([[1.0, 2.0, 99.0]], [[0.5, 0.5, 0.0]], expectile=0.5)
    array([1.5])

    values     [..., N]  the finite distribution's points, in units of value, in any order
    weights    [..., N]  their masses, ≥ 0 and finite, of positive sum (not necessarily 1); None gives equal masses
    expectile  scalar    in (0, 1)
    returns    [...]     in units of value, between the smallest and the largest value of positive weight;
                         a value of +inf (−inf) with positive weight gives +inf (−inf), both together nan
    raises     ValueError if values has NaN, is not real, or has no entry on its last axis; if weights is negative,
               infinite, NaN, of another shape, or zero along a whole row; if expectile is outside (0, 1)
    source     Newey & Powell 1987, §2; Kostrikov et al. 2021, §4.1 (their τ is our expectile)
    """
    x = real_array("values", values)
    last_axis("values", x)
    w = np.ones(x.shape) if weights is None else non_negative("weights", weights)
    same_shape("weights", w, "values", x.shape)
    heaviest = w.max(axis=-1)
    refuse_where(heaviest == 0.0, heaviest, "weights", "must have a positive sum along the last axis")
    level = scalar("expectile", expectile, "(0, 1)")
    with np.errstate(invalid="ignore"):
        infinite = np.where((w > 0.0) & np.isinf(x), x, 0.0).sum(axis=-1)
        seen = (w > 0.0) & np.isfinite(x)
        # The others stand on the largest value seen, with weight 0: no new point, and no 0 · inf.
        stand_in = np.where(seen, x, -np.inf).max(axis=-1, keepdims=True)
        finite = _balance_point(np.where(seen, x, stand_in), np.where(seen, w, 0.0), level)
    return np.where(infinite == 0.0, finite, infinite)


def _side(error: FloatArray, level: float) -> FloatArray:
    """|level − 1[error < 0]|: the weight of an error of this sign."""
    return np.where(error < 0.0, 1.0 - level, level)


def _balance(x: FloatArray, w: FloatArray, level: float, m: FloatArray) -> FloatArray:
    """level · Σ w (x − m)₊ − (1 − level) · Σ w (m − x)₊, decreasing in m and 0 at the expectile; keeps the axis."""
    above = (w * np.maximum(x - m, 0.0)).sum(axis=-1, keepdims=True)
    below = (w * np.maximum(m - x, 0.0)).sum(axis=-1, keepdims=True)
    return np.asarray(level * above - (1.0 - level) * below)


def _balance_point(x: FloatArray, w: FloatArray, level: float) -> FloatArray:
    """The zero of the balance: between neighbouring values it is linear, so find the interval, then divide once."""
    # Powers of two, hence exact, so that no sum or product leaves the float range: the heaviest weight goes to [½, 1),
    # rows of small values up to there too, rows of huge values down by 2^200.
    w = np.ldexp(w, -np.frexp(w.max(axis=-1, keepdims=True))[1])
    size = np.frexp(np.abs(x).max(axis=-1, keepdims=True))[1]
    shift = np.where(size > 900, -200, np.maximum(-size, 0))
    order = np.argsort(x, axis=-1, kind="stable")
    x, w = np.take_along_axis(np.ldexp(x, shift), order, axis=-1), np.take_along_axis(w, order, axis=-1)

    low = np.zeros(x.shape[:-1] + (1,), dtype=np.int64)  # the balance is ≥ 0 here ...
    high = np.full_like(low, x.shape[-1])  # ... and < 0 here, beyond the largest value
    while np.any(high - low > 1):
        middle = (low + high) // 2
        reached = _balance(x, w, level, np.take_along_axis(x, middle, axis=-1)) >= 0.0
        low, high = np.where(reached, middle, low), np.where(reached, high, middle)

    start = np.take_along_axis(x, low, axis=-1)
    end = np.take_along_axis(x, np.minimum(low + 1, x.shape[-1] - 1), axis=-1)
    slope = np.where(x > start, level * w, (1.0 - level) * w).sum(axis=-1, keepdims=True)
    point = np.minimum(start + _balance(x, w, level, start) / slope, end)
    return np.asarray(np.ldexp(point, -shift)[..., 0])
