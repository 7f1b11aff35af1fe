"""Categorical distributions of the return (C51): projection of a target onto the atoms, and the loss against it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from reference._checks import (
    FloatArray,
    finite_array,
    flags,
    last_axis,
    last_axis_dropped,
    probability_rows,
    real_array,
    refuse_where,
    same_shape,
    step_discount,
)
from reference.aggregates import _exponents, _gap, _scale, _softmax


def categorical_projection(
    atoms: ArrayLike, probability: ArrayLike, reward: ArrayLike, terminated: ArrayLike, *, discount: ArrayLike
) -> FloatArray:
    """Σ_j p_j · h_k(clip(r + γ · (1 − terminated) · z_j, z_1, z_K)), h_k the hat that is 1 at z_k, 0 at its neighbours.

    The nearer of the two neighbouring atoms gets *more* of p_j, so that the mean is kept inside the support:

    >>> categorical_projection([0.0, 1.0, 2.0], [0.0, 1.0, 0.0], 0.25, False, discount=1.0)
    array([0.  , 0.75, 0.25])

    A terminated step puts all of the mass at its reward, not none of it; beyond the ends, the end atoms take it:

    >>> categorical_projection([0.0, 1.0, 2.0], [[0.5, 0.5, 0.0]] * 2, [1.0, 9.0], [True, False], discount=1.0)
    array([[0., 1., 0.],
           [0., 0., 1.]])

    atoms        [K]              z, strictly increasing and finite, in units of value; not necessarily equidistant
    probability  [..., K]         p of the next state, rows that sum to 1
    reward       [...]            r, or the sum of n discounted rewards; in units of value; ±inf goes to the end atom
    terminated   [...]            boolean
    discount     scalar or [...]  γ in [0, 1]; γⁿ for n-step returns
    returns      [..., K]         probabilities; each row keeps its mass, and an atom hit exactly gets all of p_j
    raises       ValueError if shapes do not fit, data has NaN or is not real, atoms do not increase, probability is not a
                 distribution, terminated is not boolean, discount is outside [0, 1]
    source       Bellemare, Dabney & Munos 2017, eq. (7) and Algorithm 1; Rowland et al. 2018 for any atoms
    """
    z = _support(atoms)
    r, ended = real_array("reward", reward), flags("terminated", terminated)
    same_shape("terminated", ended, "reward", r.shape)
    step = step_discount(discount, r.shape)
    p = real_array("probability", probability)
    if p.shape[-1:] != z.shape:
        raise ValueError(f"probability has shape {p.shape}, atoms has shape {z.shape}; probability must be [..., K], atoms [K]")
    last_axis_dropped("reward", r, "probability", p.shape)
    p = probability_rows("probability", probability)
    with np.errstate(over="ignore"):
        moved = np.where(ended[..., None], r[..., None], r[..., None] + step[..., None] * z)
    landing = np.clip(moved, z[0], z[-1]).reshape(-1, z.size)
    rows = [_projected(z, *row) for row in zip(p.reshape(-1, z.size), landing, strict=True)]
    return np.array(rows).reshape(p.shape)


def categorical_loss(logits: ArrayLike, target: ArrayLike) -> FloatArray:
    """−Σ_k target_k · log softmax(logits)_k over the last axis.

    A loss, to be *minimised*; it is least, the target's entropy, where softmax(logits) is the target:

    >>> categorical_loss([[0.0, 0.0], [0.0, 5.0], [5.0, 0.0]], [[0.0, 1.0]] * 3).round(4)
    array([0.6931, 0.0067, 5.0067])

    logits   [..., K]  finite, in nats; a constant added to a row changes nothing
    target   [..., K]  a constant: rows that sum to 1
    returns  [...]     in nats, ≥ 0; an atom of target 0 costs nothing, however small its logit
    raises   ValueError if shapes differ, logits is not finite or not real, target is not a distribution
    source   Bellemare, Dabney & Munos 2017, Algorithm 1: the cross-entropy part of KL(target ‖ softmax)
    """
    x, mass = _prediction(logits, target)
    scale = _scale(x)
    gap = _gap(x * scale)
    others = np.exp(_exponents(gap, scale))
    # log Σ exp(gap) as log1p of all but one of the largest: a confident prediction keeps its small loss.
    np.put_along_axis(others, gap.argmax(axis=-1)[..., None], 0.0, axis=-1)
    normaliser = np.log1p(others.sum(axis=-1, keepdims=True))
    # Neither the normaliser nor −gap is negative: nothing cancels.
    cost = mass * (normaliser * scale - gap)
    with np.errstate(over="ignore"):
        return np.asarray(cost.sum(axis=-1) / scale[..., 0])


def categorical_loss_gradient(logits: ArrayLike, target: ArrayLike) -> FloatArray:
    """∂ categorical_loss / ∂ logits_k = softmax(logits)_k − target_k.

    Negative where more probability is wanted, as a descent step then raises that logit; each row sums to 0:

    >>> categorical_loss_gradient([0.0, 0.0], [0.25, 0.75])
    array([ 0.25, -0.25])

    logits   [..., K]  finite, in nats
    target   [..., K]  rows that sum to 1
    returns  [..., K]  in [−1, 1]
    raises   ValueError as categorical_loss
    source   the derivative of Bellemare, Dabney & Munos 2017, Algorithm 1's cross-entropy
    """
    x, mass = _prediction(logits, target)
    return np.asarray(_softmax(x, 1.0) - mass)


def _support(atoms: ArrayLike) -> FloatArray:
    """The atoms, checked."""
    z = finite_array("atoms", atoms)
    last_axis("atoms", z)
    if z.ndim != 1:
        raise ValueError(f"atoms must be [K]; got shape {z.shape}")
    refuse_where(np.r_[False, z[1:] <= z[:-1]], z, "atoms", "must be strictly increasing")
    return z


def _prediction(logits: ArrayLike, target: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Logits and target, checked."""
    x = finite_array("logits", logits)
    same_shape("target", real_array("target", target), "logits", x.shape)
    mass = probability_rows("target", target)
    return x, mass


def _projected(z: FloatArray, mass: FloatArray, landing: FloatArray) -> FloatArray:
    """One row: mass_j, landing at a point of [z_1, z_K], goes to the atoms on both sides; each atom's sum is rounded once."""
    received: list[list[float]] = [[] for _ in range(z.size)]
    upper = np.searchsorted(z, landing, side="left")  # the first atom at or above the landing
    for k, p, y in zip(upper.tolist(), mass.tolist(), landing.tolist(), strict=True):
        if y == z[k]:
            received[k].append(p)
        else:
            to_lower, to_upper = _shares(float(z[k - 1]), float(z[k]), y)
            received[k - 1].append(p * to_lower)
            received[k].append(p * to_upper)
    return np.array([math.fsum(part) for part in received])


def _shares(low: float, high: float, y: float) -> tuple[float, float]:
    """(high − y) / (high − low) and (y − low) / (high − low), neither as 1 minus the other, which would lose a small one."""
    if math.isinf(high - low):
        low, high, y = 0.25 * low, 0.25 * high, 0.25 * y
    return (high - y) / (high - low), (y - low) / (high - low)
