"""The rounding errors of log-sum-exp and softmax, with or without a prior, and the temperatures at which they are tried."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from properties._bounds import ELEMENTARY, TINY, Floats, gamma, rounded
from properties._draw import temperatures

_EXTREMES = (math.inf, 2.0**20, 2.0**-60)
POSITIVE_TEMPERATURE = st.one_of(temperatures(), st.sampled_from(_EXTREMES))
EVERY_TEMPERATURE = st.one_of(temperatures(), st.sampled_from([0.0, *_EXTREMES]))


def holds_in(dtype: str, *arrays: Floats) -> bool:
    """Whether computed inputs are numbers of that type: sums on the grid are, in all but bfloat16."""
    return all(np.array_equal(rounded(array, dtype), array) for array in arrays)


def highest_power(dtype: str) -> int:
    """The exponent of the largest power of two that the type holds."""
    return 2 - math.frexp(TINY[dtype])[1]


def brought_to(power: int, array: Floats) -> int:
    """The exponent of the power of two by which the largest entry is brought next to 2^power, from below."""
    return power - math.frexp(float(np.abs(array).max()))[1]


class Tilted(NamedTuple):
    """Shares in proportion to mass exp(q/t), and what rounding does to their exponents."""

    log_share: Floats
    share: Floats
    wobble: Floats
    drift: Floats


def tilted(unit: float, q: Floats, t: float, log_mass: ArrayLike = 0.0) -> Tilted:
    """The shares, how far each exponent z = log mass + q/t may be off, and how far log sum exp(z) may be off for that.

    x = q/t costs two roundings (through 1/t); log mass ELEMENTARY of |log mass|, and adding it |x| + |log mass|; subtracting the
    largest z, z_max - z <= (x_max - x) + |log mass|. Shifting q before dividing costs 3 (x_max - x) at most. In all
        wobble <= u (2|x| + |x|[mass given] + 3 (x_max - x) + (ELEMENTARY + 3)|log mass|).
    Exponents off by e turn log sum exp(z) into itself + log sum share exp(e), so
        drift <= log(1 + sum share expm1(wobble)), and <= the largest wobble.
    Nothing is linearised: |q/t| may be 2^40, where wobbles exceed 1.
    """
    mass = np.broadcast_to(np.asarray(log_mass, dtype=np.float64), q.shape)
    held = mass > -np.inf
    size = np.where(held, np.abs(mass), 0.0)
    x = np.where(held, q, np.where(held, q, np.inf).min(axis=-1, keepdims=True)) / t
    wobble = unit * ((2.0 + (size > 0)) * np.abs(x) + 3 * (x.max(axis=-1, keepdims=True) - x) + (ELEMENTARY + 3) * size)
    log_share = _log_softmax(np.where(held, x + np.where(held, mass, 0.0), -np.inf))
    share = np.exp(log_share)
    near = wobble < 1
    gain = np.where(near, share * np.expm1(np.where(near, wobble, 0.0)), np.exp(log_share + wobble))
    drift = np.minimum(np.log1p(np.where(held, gain, 0.0).sum(axis=-1)), np.where(held, wobble, 0.0).max(axis=-1))
    return Tilted(log_share, share, np.where(held, wobble, 0.0), drift)


def _log_softmax(z: Floats) -> Floats:
    below = z - z.max(axis=-1, keepdims=True)
    return np.asarray(below - np.log(np.exp(below).sum(axis=-1, keepdims=True)))


def softmax_error(unit: float, q: Floats, t: float, log_mass: ArrayLike = 0.0) -> Floats:
    """The error of share_i = exp(z_i) / sum of exp(z_j), also as exp(z_i - logsumexp(z)), which is what differentiating gives.

    The share is multiplied by exp of at most r = wobble_i + drift + u (|y| + |z_i - y|) + n + ELEMENTARY (3 + log n) + 4
    roundings, y = logsumexp(z): off by share expm1(r), and never by more than 1. At t = inf, x = 0. At t = 0 (without mass) the
    maximisers share: a count and a division.
    """
    n = q.shape[-1]
    mass = np.broadcast_to(np.asarray(log_mass, dtype=np.float64), q.shape)
    if t == 0:
        best = q == q.max(axis=-1, keepdims=True)
        return np.asarray(gamma(n + 1, unit) * best / best.sum(axis=-1, keepdims=True))
    part = tilted(unit, q, t, log_mass)
    top = np.where(mass > -np.inf, np.abs(q / t), 0.0).max(axis=-1, keepdims=True) + np.log(n)
    rounds = gamma(n + ELEMENTARY * (3 + np.log(n)) + 4, unit)
    r = part.wobble + part.drift[..., None] + unit * (top - np.where(part.share > 0, part.log_share, 0.0)) + rounds
    near = r < 1
    off = np.where(near, part.share * np.expm1(np.where(near, r, 0.0)), np.exp(np.minimum(part.log_share + r, 0.0)))
    return np.where(mass > -np.inf, off, 0.0)


def log_mean_exp_error(unit: float, q: Floats, t: float) -> Floats:
    """The larger of two bounds, for the two ways to compute it; 0 at t = 0 (an entry), the mean's at t = inf.

    t (logsumexp(q/t) - log n), in any order: t times [the drift of the exponents; n - 1 additions, the division by n and exp of
    all but the largest, ELEMENTARY u (1 - largest share), or n - 1 times logaddexp, whose exp, log1p and difference cost
    2 ELEMENTARY u; log of the sum and log n, each ELEMENTARY u log n], then each addition, n at most, - log n and the product
    with t at the size of the result, u (|max| or |mean|) and u t log n.
    max + (q - max) expm1(x)/x log1p(y)/y in the mean, without cancellation: gamma_(2n + 3 ELEMENTARY + 8) (max - result), and the
    last addition.
    """
    n = q.shape[-1]
    mean, top = q.mean(axis=-1), q.max(axis=-1)
    size = np.maximum(np.abs(mean), np.abs(top))
    if t == 0:
        return np.zeros(top.shape)
    if math.isinf(t):
        return mean_error(unit, q)
    part = tilted(unit, q, t)
    summed = (gamma(n, unit) if n > 1 else 0.0) + ELEMENTARY * unit * (1 - part.share.max(axis=-1))
    folded = gamma(2 * ELEMENTARY * (n - 1), unit)
    logs = t * (part.drift + np.maximum(summed, folded) + gamma(n + 2 * ELEMENTARY, unit) * np.log(n)) + gamma(n + 2, unit) * size
    ratios = gamma(2 * n + 3 * ELEMENTARY + 8, unit) * np.minimum(t * np.log(n), top - mean) + 2 * unit * size
    return np.asarray(np.maximum(logs, ratios))


def mean_error(unit: float, q: Floats) -> Floats:
    """n - 1 additions and a product with 1/n, itself rounded: gamma_(n+1) mean |q|."""
    return np.asarray(gamma(q.shape[-1] + 1, unit) * np.abs(q).mean(axis=-1))
