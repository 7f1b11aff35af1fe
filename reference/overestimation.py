"""Overestimation: what a maximum over noisy estimates adds, its bound, and the double estimate that takes it away."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from reference._checks import FloatArray, choice, finite_array, integer, last_axis, non_negative, real_array, same_shape, scalar
from reference._maximum_quadrature import expected_excess

DISTRIBUTIONS = ("uniform", "normal")


def max_bias_bound(mean_square_error: ArrayLike, *, actions: int) -> FloatArray:
    """√(C / (m − 1)), C = (1/m) Σ_a (Q̂(a) − V)², m = actions: max_a Q̂(a) ≥ V + √(C / (m − 1)).

    A *lower* bound on how far the maximum lies above V, if all actions are worth V and the errors sum to 0. C is the
    mean of the squares, not their sum: errors ±1 have C = 1 and attain the bound, the sum's √2 they do not reach:

    >>> max_bias_bound([1.0, 4.0], actions=2)
    array([1., 2.])
    >>> errors = [1.0, 1.0, -2.0]
    >>> float(max_bias_bound(sum(e**2 for e in errors) / 3, actions=3)) == max(errors)
    True

    mean_square_error  [...]         C ≥ 0 and finite, in units of value²
    actions            integer >= 2  m
    returns            [...]         in units of value; attained by m − 1 equal errors
    raises             ValueError if C is negative, infinite, NaN or not real, or actions is not such an integer
    source             van Hasselt, Guez & Silver 2016, Theorem 1
    """
    square = non_negative("mean_square_error", mean_square_error)
    others = scalar("actions", integer("actions", actions, 2), "[2, inf)") - 1.0
    # A subnormal quotient would lose bits that its root has: C goes up by 2^400 and the root down by 2^200, exactly.
    lift = np.where(square < 2.0**-700, 200, 0)
    return np.asarray(np.ldexp(np.sqrt(np.ldexp(square, 2 * lift) / others), -lift))


def expected_maximum(means: ArrayLike, deviations: ArrayLike, distribution: str) -> FloatArray:
    """E max_i (means_i + deviations_i · Z_i) over the last axis, Z_i independent, Z ~ U(−1, 1) or Z ~ N(0, 1).

    Never below the largest mean: the maximum of unbiased estimates is biased upwards. With m equal means and uniform
    errors in ±ε, by ε · (m − 1) / (m + 1):

    >>> expected_maximum([[0.0, 0.0, 0.0], [0.0, 1.0, 9.0]], [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]], "uniform")
    array([0.5, 9. ])
    >>> round(float(expected_maximum([0.0, 0.0], [1.0, 1.0], "normal")) * np.pi**0.5, 12)
    1.0

    means         [..., m]  E of each estimate, finite, in units of value
    deviations    [..., m]  ≥ 0 and finite, in units of value: the half width of the uniform, the normal's standard
                            deviation; 0 is an estimate without error
    distribution  str       "uniform" or "normal"
    returns       [...]     in units of value, exact up to rounding
    raises        ValueError if shapes differ, data is not finite or not real, a deviation is negative, there is no
                  estimate, or distribution is neither
    source        Thrun & Schwartz 1993 and van Hasselt, Guez & Silver 2016, Theorem 2 (uniform, equal means); the latter's
                  figure 1 (normal); here for any means
    """
    centres, widths = finite_array("means", means), non_negative("deviations", deviations)
    last_axis("means", centres)
    same_shape("deviations", widths, "means", centres.shape)
    choice("distribution", distribution, DISTRIBUTIONS)
    rows = zip(centres.reshape(-1, centres.shape[-1]), widths.reshape(-1, centres.shape[-1]), strict=True)
    expected = [expected_excess(mean, deviation, distribution) for mean, deviation in rows]
    with np.errstate(over="ignore"):
        return np.asarray(centres.max(axis=-1) + np.array(expected).reshape(centres.shape[:-1]))


def double_estimate(select: ArrayLike, evaluate: ArrayLike) -> FloatArray:
    """evaluate[argmax_a select(a)] over the last axis.

    One estimate chooses, the *other* says what the choice is worth; equal maxima go to the first:

    >>> double_estimate([[5.0, 9.0, 9.0]], [[7.0, 2.0, 4.0]])
    array([2.])

    select    [..., A]  chooses, in units of value; ±inf allowed
    evaluate  [..., A]  evaluates, in units of value; its expectation is at most max_a E[evaluate(a)] if the two are
                        independent
    returns   [...]     in units of value
    raises    ValueError if shapes differ, data has NaN or is not real, or there is no action
    source    van Hasselt 2010, §2.2, the double estimator
    """
    chooser, judge = real_array("select", select), real_array("evaluate", evaluate)
    last_axis("select", chooser)
    same_shape("evaluate", judge, "select", chooser.shape)
    chosen = chooser.argmax(axis=-1)[..., None]
    return np.asarray(np.take_along_axis(judge, chosen, axis=-1)[..., 0])
