"""Gaussian policies with diagonal covariance, plain and squashed by tanh into an action box: densities, distances, draws.

`log_std` is log σ for each dimension. Every term is formed so that neither σ nor 1/σ need be a float, and the terms of a
sum over dimensions are added exactly and rounded once.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from reference._checks import FloatArray, action_box, finite_array, last_axis, random_generator, same_shape
from reference._exact_sums import times_exp, total

_LOG_2 = math.log(2.0)
_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
_LARGEST = float(np.finfo(np.float64).max)


class GaussianScore(NamedTuple):
    """The gradient of gaussian_log_prob in the policy's own parameters."""

    mean: FloatArray
    log_std: FloatArray


class TanhSample(NamedTuple):
    """An action of a squashed policy and the Gaussian draw it came from, which alone still tells its density."""

    action: FloatArray
    pre_tanh: FloatArray


def gaussian_log_prob(action: ArrayLike, mean: ArrayLike, log_std: ArrayLike) -> FloatArray:
    """Σ_d [ −½ ((a_d − μ_d) / σ_d)² − log σ_d − ½ log 2π ].

    Summed over the dimensions, not averaged, and largest at the mean:

    >>> gaussian_log_prob([[0.0, 0.0], [1.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]).round(3)
    array([-1.838, -2.338])

    action, mean  [..., D]  a and μ, in units of action
    log_std       [..., D]  log σ, in nats
    returns       [...]     log density, in nats (per unit of action for each dimension)
    raises        ValueError if shapes differ, D is 0, or data is not real, NaN or infinite
    source        Williams 1992, §6; the density of N(μ, diag σ²)
    """
    a, m, s = _matching(action=action, mean=mean, log_std=log_std)
    return total(_log_prob_terms(a, m, s))


def gaussian_entropy(log_std: ArrayLike) -> FloatArray:
    """Σ_d [ log σ_d + ½ log 2πe ].

    The constant counts once for each dimension; a narrow policy has negative entropy:

    >>> gaussian_entropy([[0.0, 0.0], [-2.0, -2.0]]).round(3)
    array([ 2.838, -1.162])

    log_std  [..., D]  log σ, in nats
    returns  [...]     differential entropy, in nats
    raises   ValueError as gaussian_log_prob
    source   Cover & Thomas 2006, Theorem 8.4.1
    """
    (s,) = _matching(log_std=log_std)
    return total(np.concatenate([s, np.full(s.shape, 0.5), np.full(s.shape, _HALF_LOG_2PI)], axis=-1))


def gaussian_kl(mean: ArrayLike, log_std: ArrayLike, other_mean: ArrayLike, other_log_std: ArrayLike) -> FloatArray:
    """KL(N(μ, σ²) ‖ N(μ', σ'²)) = Σ_d [ log σ'_d − log σ_d + (σ_d² + (μ_d − μ'_d)²) / (2 σ'_d²) − ½ ].

    The first policy is the one averaged over: leaving a wide other one is cheap, leaving a narrow one dear:

    >>> wide, narrow = ([0.0], [1.0]), ([0.0], [-1.0])
    >>> [float(gaussian_kl(*narrow, *wide).round(3)), float(gaussian_kl(*wide, *narrow).round(3))]
    [1.509, 24.799]

    mean, log_std              [..., D]  μ in units of action, log σ in nats
    other_mean, other_log_std  [..., D]  μ' and log σ' likewise
    returns                    [...]     in nats; never negative, exactly 0 for equal arguments
    raises                     ValueError as gaussian_log_prob
    source                     Kullback & Leibler 1951; Schulman et al. 2015 (TRPO) bound it in this order, KL(π_old ‖ π_new)
    """
    m, s, other_m, other_s = _matching(mean=mean, log_std=log_std, other_mean=other_mean, other_log_std=other_log_std)
    with np.errstate(all="ignore"):
        z = _gap_times_exp(m, other_m, -other_s)
        return total(np.concatenate([_spread_divergence(s - other_s), 0.5 * z * z], axis=-1))


def gaussian_score(action: ArrayLike, mean: ArrayLike, log_std: ArrayLike) -> GaussianScore:
    """∂ gaussian_log_prob / ∂μ_d = (a_d − μ_d) / σ_d², ∂ / ∂ log σ_d = ((a_d − μ_d) / σ_d)² − 1.

    Following it raises the action's density: the mean moves towards the action, and σ grows where the action lies
    further out than one σ, and shrinks where it lies within:

    >>> gaussian_score([1.0, 4.0], [0.0, 0.0], [0.6931471805599453] * 2).mean.round(3)
    array([0.25, 1.  ])
    >>> gaussian_score([1.0, 4.0], [0.0, 0.0], [0.6931471805599453] * 2).log_std.round(3)
    array([-0.75,  3.  ])

    action, mean  [..., D]  a and μ, in units of action
    log_std       [..., D]  log σ, in nats
    returns       mean [..., D] in nats per unit of action, log_std [..., D] in nats per nat
    raises        ValueError as gaussian_log_prob
    source        Williams 1992, §6 (there in σ instead of log σ)
    """
    a, m, s = _matching(action=action, mean=mean, log_std=log_std)
    with np.errstate(all="ignore"):
        z = _gap_times_exp(a, m, -s)
        return GaussianScore(mean=_gap_times_exp(a, m, -2.0 * s), log_std=(z - 1.0) * (z + 1.0))


def tanh_gaussian_log_prob(
    pre_tanh: ArrayLike, mean: ArrayLike, log_std: ArrayLike, *, low: ArrayLike, high: ArrayLike
) -> FloatArray:
    """log N(u; μ, σ²) − Σ_d log( (high_d − low_d)/2 · (1 − tanh² u_d) ): the log density of the *action*.

    The Jacobian is subtracted: squashed mass lies denser near the ends, and a box twice as wide is half as dense:

    >>> unit = {"low": -1.0, "high": 1.0}
    >>> tanh_gaussian_log_prob([[0.0], [1.0]], [[0.0], [1.0]], [[0.0], [0.0]], **unit).round(3)  # both drawn at μ
    array([-0.919, -0.051])
    >>> tanh_gaussian_log_prob([[0.0]], [[0.0]], [[0.0]], low=-2.0, high=2.0).round(3)
    array([-1.612])

    Scored by the draw u and not by the action, saturation costs no accuracy:

    >>> tanh_gaussian_log_prob([[1000.0]], [[1000.0]], [[0.0]], **unit).round(3)
    array([1997.695])

    pre_tanh, mean  [..., D]       the Gaussian draw u and its μ, without unit
    log_std         [..., D]       log σ, in nats
    low, high       scalar or [D]  the action box, finite, low < high, in units of action
    returns         [...]          log density at low + (high − low)(tanh u + 1)/2, in nats
    raises          ValueError as gaussian_log_prob, and if the box is not finite or empty
    source          Haarnoja et al. 2018 (arXiv 1812.05905), appendix C, for any box instead of [−1, 1]
    """
    u, m, s = _matching(pre_tanh=pre_tanh, mean=mean, log_std=log_std)
    floor, ceiling = action_box(low, high, u.shape[-1:])
    log_half_width = np.broadcast_to(np.log(_half_width(floor, ceiling)), u.shape)
    with np.errstate(all="ignore"):
        # log(1 − tanh² u) = 2 (log 2 − |u| − log(1 + exp(−2|u|))), term by term: |u| twice, as 2|u| may overflow.
        size, rest = np.abs(u), 2.0 * np.log1p(np.exp(-2.0 * np.abs(u)))
        terms = [_log_prob_terms(u, m, s), size, size, rest, np.full(u.shape, -2.0 * _LOG_2), -log_half_width]
    return total(np.concatenate(terms, axis=-1))


def tanh_action(pre_tanh: ArrayLike, *, low: ArrayLike, high: ArrayLike) -> FloatArray:
    """low + (high − low) · (tanh u + 1) / 2, element by element.

    0 is the middle of the box, and no draw leads outside it:

    >>> tanh_action([-1e300, 0.0, 1e300], low=-1.0, high=3.0)
    array([-1.,  1.,  3.])

    pre_tanh   [..., D]       the Gaussian draw u, without unit
    low, high  scalar or [D]  the action box, finite, low < high, in units of action
    returns    [..., D]       in units of action, low ≤ action ≤ high
    raises     ValueError as tanh_gaussian_log_prob
    source     Haarnoja et al. 2018 (arXiv 1812.05905), appendix C
    """
    (u,) = _matching(pre_tanh=pre_tanh)
    return _squash(u, *action_box(low, high, u.shape[-1:]))


def sample_gaussian(mean: ArrayLike, log_std: ArrayLike, *, generator: np.random.Generator) -> FloatArray:
    """μ + σ · ε, ε ~ N(0, 1), one independent draw for each entry.

    The same generator state gives the same draw, and a smaller σ a draw closer to the mean:

    >>> wide, narrow = (sample_gaussian([5.0], [s], generator=np.random.default_rng(0)) for s in (0.0, -9.0))
    >>> bool(abs(narrow[0] - 5.0) < abs(wide[0] - 5.0))
    True

    mean       [..., D]   μ, in units of action
    log_std    [..., D]   log σ, in nats
    generator  Generator  advanced by the draws
    returns    [..., D]   in units of action; ±inf where σ · ε is beyond the float range
    raises     ValueError as gaussian_log_prob, and if generator is not a numpy.random.Generator
    source     Williams 1992, §6; Kingma & Welling 2014, §2.4
    """
    m, s = _matching(mean=mean, log_std=log_std)
    return _draw(m, s, random_generator(generator))


def sample_tanh_gaussian(
    mean: ArrayLike, log_std: ArrayLike, *, low: ArrayLike, high: ArrayLike, generator: np.random.Generator
) -> TanhSample:
    """action = low + (high − low) · (tanh u + 1) / 2 of one draw u = μ + σ · ε, ε ~ N(0, 1).

    Squashed once, and returned with the u that tanh_gaussian_log_prob wants:

    >>> drawn = sample_tanh_gaussian([0.0], [0.0], low=-1.0, high=1.0, generator=np.random.default_rng(0))
    >>> bool(np.isclose(drawn.action[0], np.tanh(drawn.pre_tanh[0])))
    True

    mean, log_std  [..., D]       μ without unit, log σ in nats
    low, high      scalar or [D]  the action box, finite, low < high, in units of action
    generator      Generator      advanced by the draws
    returns        action [..., D] in units of action, pre_tanh [..., D] without unit
    raises         ValueError as tanh_gaussian_log_prob, and if generator is not a numpy.random.Generator
    source         Haarnoja et al. 2018 (arXiv 1812.05905), appendix C
    """
    m, s = _matching(mean=mean, log_std=log_std)
    floor, ceiling = action_box(low, high, m.shape[-1:])
    u = _draw(m, s, random_generator(generator))
    return TanhSample(action=_squash(u, floor, ceiling), pre_tanh=u)


def _matching(**arguments: ArrayLike) -> list[FloatArray]:
    """The arguments in float64, checked: finite, of one shape, with at least one dimension."""
    arrays = [finite_array(name, value) for name, value in arguments.items()]
    first, *others = arguments
    last_axis(first, arrays[0])
    for name, array in zip(others, arrays[1:], strict=True):
        same_shape(name, array, first, arrays[0].shape)
    return arrays


def _log_prob_terms(action: FloatArray, mean: FloatArray, log_std: FloatArray) -> FloatArray:
    """What gaussian_log_prob adds up: three terms for each dimension, along the last axis."""
    with np.errstate(all="ignore"):
        z = _gap_times_exp(action, mean, -log_std)
        return np.concatenate([-0.5 * z * z, -log_std, np.full(z.shape, -_HALF_LOG_2PI)], axis=-1)


def _gap_times_exp(a: FloatArray, b: FloatArray, exponent: FloatArray) -> FloatArray:
    """(a − b) · exp(exponent), by halves where a − b overflows."""
    with np.errstate(over="ignore"):
        gap = a - b
        return np.where(np.isfinite(gap), times_exp(gap, exponent), 2.0 * times_exp(0.5 * a - 0.5 * b, exponent))


def _spread_divergence(ratio: FloatArray) -> FloatArray:
    """½ (e^{2r} − 1 − 2r) ≥ 0, r = log σ/σ': what unequal spreads add to the divergence.

    Between −½ and ½ the difference would cancel; there it is r² · 2 Σ_k (2r)^(k−2) / k!, of which 18 terms suffice, the
    rest being below 2⁻⁵⁵ of the sum. Beyond, e^{2r} is squared last, as it may overflow before its half does.
    """
    x = np.clip(2.0 * ratio, -1.0, 1.0)
    series = np.zeros_like(x)
    for k in range(19, 1, -1):
        series = series * x + 2.0 / math.factorial(k)
    large = np.minimum(ratio, _LARGEST)  # inf − inf is avoided where log σ − log σ' overflows
    with np.errstate(all="ignore"):
        root = np.exp(large)
        return np.where(np.abs(ratio) <= 0.5, ratio * ratio * series, 0.5 * root * root - 0.5 - large)


def _half_width(low: FloatArray, high: FloatArray) -> FloatArray:
    """(high − low) / 2 > 0, also where high − low overflows or is the smallest float there is."""
    with np.errstate(over="ignore"):
        width = high - low
    half = np.where(np.isfinite(width), 0.5 * width, 0.5 * high - 0.5 * low)
    return np.maximum(half, np.nextafter(0.0, 1.0))


def _squash(u: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    """low + (high − low)(tanh u + 1)/2, reckoned from the centre or from the nearer end, where nothing cancels."""
    half = _half_width(low, high)
    with np.errstate(under="ignore", over="ignore"):
        share = 1.0 / (1.0 + np.exp(2.0 * np.abs(u)))  # of the box, beyond the action; at most ½
        beyond = half * (2.0 * share)
        from_end = np.where(u < 0.0, low + beyond, high - beyond)
        from_centre = (0.5 * low + 0.5 * high) + half * np.tanh(u)
    return np.asarray(np.clip(np.where(np.abs(u) < 0.5, from_centre, from_end), low, high))


def _draw(mean: FloatArray, log_std: FloatArray, generator: np.random.Generator) -> FloatArray:
    """μ + σ · ε."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return np.asarray(mean + times_exp(generator.standard_normal(mean.shape), log_std))
