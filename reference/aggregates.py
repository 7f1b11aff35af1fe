"""How QWR turns the values of n sampled actions into one number: maximum, mean, and log-mean-exp between them.

±inf entries follow IEEE: the maximum is the largest entry, the mean of +inf and −inf is nan, and in log_mean_exp
a single +inf gives +inf while −inf only counts as a sample without mass.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from reference._checks import FloatArray, choice, last_axis, real_array, scalar

AGGREGATES = ("max", "mean", "log_mean_exp")


def max_aggregate(q: ArrayLike) -> FloatArray:
    """max(q) = max_i q_i over the last axis.

    The most optimistic of the aggregates: no sample lies above it.

    >>> max_aggregate([[1.0, 4.0, 2.0], [-1.0, -4.0, -2.0]])
    array([ 4., -1.])

    q        [..., n]  values of the sampled actions, in units of value
    returns  [...]     in units of value
    raises   ValueError if q has NaN, is not real, or has no entry on its last axis
    source   Kozakowski et al. 2021, policy evaluation with F = max (QWR-MAX)
    """
    samples = real_array("q", q)
    last_axis("q", samples)
    return np.asarray(samples.max(axis=-1))


def mean_aggregate(q: ArrayLike) -> FloatArray:
    """(1/n) Σ_i q_i over the last axis.

    The aggregate without optimism: between the smallest sample and the largest, whatever the rounding.

    >>> mean_aggregate([[1.0, 4.0, 1.0], [1.7e308, 1.7e308, 1.7e308]])
    array([2.0e+000, 1.7e+308])

    q        [..., n]  values of the sampled actions, in units of value
    returns  [...]     in units of value; never overflows for finite q
    raises   ValueError if q has NaN, is not real, or has no entry on its last axis
    source   Kozakowski et al. 2021, policy evaluation with F = mean (QWR-AVG)
    """
    samples = real_array("q", q)
    last_axis("q", samples)
    return _mean(samples)


def log_mean_exp(q: ArrayLike, *, temperature: float) -> FloatArray:
    """t · log( (1/n) Σ_i exp(q_i / t) ) over the last axis, t = temperature.

    Between the mean and the maximum; a *higher* temperature moves it *down*, towards the mean:

    >>> [float(log_mean_exp([0.0, 1.0], temperature=t).round(3)) for t in (0.0, 0.1, 1.0, 10.0, float("inf"))]
    [1.0, 0.931, 0.62, 0.512, 0.5]

    q            [..., n]  values of the sampled actions, in units of value
    temperature  scalar    in [0, inf], in units of value; 0 is exactly the maximum, inf exactly the mean
    returns      [...]     in units of value; no overflow or underflow on the way, for any finite q and temperature
    raises       ValueError if q has NaN, is not real, or has no entry on its last axis; if temperature < 0 or NaN
    source       Kozakowski et al. 2021, policy evaluation with F = log-sum-exp (QWR-LSE; their τ is our temperature)
    """
    samples = real_array("q", q)
    last_axis("q", samples)
    t = scalar("temperature", temperature, "[0, inf]")
    if math.isinf(t):
        return _mean(samples)
    scale = _scale(samples)
    gap = _gap(samples * scale)
    below = _log_mean_exp_below_peak(gap, t * scale)
    with np.errstate(over="ignore"):
        return np.asarray((samples.max(axis=-1) * scale[..., 0] + below) / scale[..., 0])


def log_mean_exp_gradient(q: ArrayLike, *, temperature: float) -> FloatArray:
    """∂ log_mean_exp(q) / ∂q_i = exp(q_i / t) / Σ_j exp(q_j / t), t = temperature: softmax(q / t).

    Never negative, sums to 1 on the last axis, and the larger sample gets the larger share; at temperature 0
    the maximisers share evenly:

    >>> log_mean_exp_gradient([0.0, 1.0], temperature=1.0).round(3)
    array([0.269, 0.731])
    >>> log_mean_exp_gradient([2.0, 1.0, 2.0], temperature=0.0)
    array([0.5, 0. , 0.5])

    q            [..., n]  values of the sampled actions, in units of value
    temperature  scalar    in [0, inf], in units of value; inf gives 1/n to each sample
    returns      [..., n]  a share, without unit
    raises       ValueError as log_mean_exp
    source       the derivative of Kozakowski et al. 2021, F = log-sum-exp (their τ is our temperature)
    """
    samples = real_array("q", q)
    last_axis("q", samples)
    return _softmax(samples, scalar("temperature", temperature, "[0, inf]"))


def _aggregated(q: FloatArray, aggregate: str, temperature: float | None) -> FloatArray:
    """QWR's F by name; the temperature belongs to log_mean_exp alone and is not looked at otherwise."""
    choice("aggregate", aggregate, AGGREGATES)
    if aggregate == "max":
        return max_aggregate(q)
    if aggregate == "mean":
        return mean_aggregate(q)
    if temperature is None:
        raise ValueError("temperature must be given with aggregate 'log_mean_exp'; got None")
    return log_mean_exp(q, temperature=temperature)


def _mean(x: FloatArray) -> FloatArray:
    """The mean over the last axis, inside the hull of its entries; a sum that overflows is taken in small pieces."""
    n = x.shape[-1]
    piece = 2.0 ** -n.bit_length()  # a power of two: exact, but for numbers too small to matter beside an overflow
    with np.errstate(over="ignore", invalid="ignore"):
        total = x.sum(axis=-1)
        mean = np.where(np.isfinite(total), total / n, (x * piece).sum(axis=-1) / n / piece)
    return np.asarray(np.clip(mean, x.min(axis=-1), x.max(axis=-1)))


def _scale(x: FloatArray) -> FloatArray:
    """[..., 1]: ¼ for rows whose finite entries lie further apart than the float range is wide, else 1."""
    finite = np.where(np.isinf(x), 0.0, x)
    with np.errstate(over="ignore"):
        spread = finite.max(axis=-1, keepdims=True) - finite.min(axis=-1, keepdims=True)
    return np.where(np.isinf(spread), 0.25, 1.0)


def _gap(x: FloatArray) -> FloatArray:
    """x − max x over the last axis; 0 at the maximisers even where the maximum is infinite."""
    peak = x.max(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore"):
        return np.where(x == peak, 0.0, x - peak)


def _exponents(gap: FloatArray, t: FloatArray) -> FloatArray:
    """gap / t, where a gap of 0 stays 0 at t = 0 and every other becomes −inf there."""
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        return np.where(gap == 0.0, 0.0, gap / t)


def _softmax(x: FloatArray, t: float) -> FloatArray:
    """exp(x / t) / Σ exp(x / t) over the last axis, with its limits at t = 0 and t = inf."""
    if math.isinf(t):
        return np.full(x.shape, 1.0 / x.shape[-1])
    scale = _scale(x)
    mass = np.exp(_exponents(_gap(x * scale), t * scale))
    return np.asarray(mass / mass.sum(axis=-1, keepdims=True))


def _log_mean_exp_below_peak(gap: FloatArray, t: FloatArray) -> FloatArray:
    """t · log mean exp(gap / t), gap ≤ 0 with one entry 0 in each row: what to add to the maximum.

    With m = mean exp(gap / t): where m < ½, t · log m is accurate as it stands. Nearer to 1 the logarithm would cancel,
    and gap / t may even underflow; there t · log1p(y), y = mean expm1(x), x = gap / t, is written as
    mean(gap · expm1(x)/x) · log1p(y)/y, whose ratios tend to 1 and which no longer contains t.
    """
    x = _exponents(gap, t)
    mass: FloatArray = np.exp(x).mean(axis=-1)
    y = np.expm1(x).mean(axis=-1)
    with np.errstate(invalid="ignore"):
        first = _mean(gap * np.divide(np.expm1(x), x, out=np.ones_like(x), where=x != 0.0))
    near = first * np.divide(np.log1p(y), y, out=np.ones_like(y), where=y != 0.0)
    close = (mass >= 0.5) & np.isfinite(gap).all(axis=-1)
    return np.where(close, near, t[..., 0] * np.log(mass))
