"""Dueling networks: action values from a state value and advantages, made identifiable by a baseline."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from reference._checks import FloatArray, choice, last_axis, last_axis_dropped, real_array
from reference.aggregates import _mean
from reference.exploration import greedy

BASELINES = ("mean", "max")


def dueling_value(value: ArrayLike, advantage: ArrayLike, *, baseline: str = "mean") -> FloatArray:
    """q(a) = V + A(a) − mean_b A(b), or V + A(a) − max_b A(b), over the last axis.

    V comes back as the mean of q, or as its maximum; a constant added to a row of advantages changes nothing:

    >>> dueling_value([10.0, 10.0], [[0.0, 2.0], [5.0, 7.0]])
    array([[ 9., 11.],
           [ 9., 11.]])
    >>> dueling_value([10.0, 10.0], [[0.0, 2.0], [5.0, 7.0]], baseline="max")
    array([[ 8., 10.],
           [ 8., 10.]])

    value      [...]     V(s), in units of value
    advantage  [..., A]  A(s, ·), in units of value, one row for each value
    baseline   str       "mean" or "max", over the actions of one row and never over the batch
    returns    [..., A]  Q(s, ·), in units of value; ±inf follow IEEE: inf − inf is nan
    raises     ValueError if shapes do not fit, data has NaN or is not real, there is no action, baseline is unknown
    source     Wang et al. 2016, eq. (9) ("mean") and eq. (8) ("max")
    """
    v, a = _streams(value, advantage)
    over_mean = choice("baseline", baseline, BASELINES) == "mean"
    centre = (_mean(a) if over_mean else a.max(axis=-1))[..., None]
    with np.errstate(over="ignore", invalid="ignore"):
        q = v + (a - centre)
        # Where the difference alone leaves the float range, the sum may not: then in quarters, which is exact up there.
        quarters = 0.25 * v + (0.25 * a - 0.25 * centre)
        return np.where(np.isfinite(q), q, 4.0 * quarters)


def dueling_value_gradient(value: ArrayLike, advantage: ArrayLike, *, baseline: str = "mean") -> FloatArray:
    """∂ q(a) / ∂ A(b) = 1[a = b] − 1/A, or 1[a = b] − 1[A(b) = max A] / k with k maximisers.

    Rows are q's actions, columns the advantage's. An advantage raises its own value and lowers all by the baseline's
    share of it, so each row sums to 0; the largest advantage under "max" does not even move its own value:

    >>> dueling_value_gradient(10.0, [0.0, 2.0])
    array([[ 0.5, -0.5],
           [-0.5,  0.5]])
    >>> dueling_value_gradient(10.0, [0.0, 2.0], baseline="max")
    array([[ 1., -1.],
           [ 0.,  0.]])

    value      [...]        V(s), in units of value; ∂ q(a) / ∂ V = 1 everywhere
    advantage  [..., A]     A(s, ·), in units of value
    baseline   str          "mean" or "max"; maximisers that tie share evenly
    returns    [..., A, A]  without unit
    raises     ValueError as dueling_value
    source     the derivative of Wang et al. 2016, eqs. (9) and (8)
    """
    _, a = _streams(value, advantage)
    actions = a.shape[-1]
    over_mean = choice("baseline", baseline, BASELINES) == "mean"
    share = np.full(a.shape, 1.0 / actions) if over_mean else greedy(a)
    return np.asarray(np.eye(actions) - share[..., None, :])


def _streams(value: ArrayLike, advantage: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """V [..., 1] and A [..., A], checked."""
    v, a = real_array("value", value), real_array("advantage", advantage)
    last_axis("advantage", a)
    last_axis_dropped("value", v, "advantage", a.shape)
    return v[..., None], a
