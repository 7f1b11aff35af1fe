"""Wrong operators of the concept gaussians: rows of tests/wrong_operators.py."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit

import reference
from reference.gaussians import GaussianScore

LOG_TAU = float(np.log(2 * np.pi))


def _density(power: float = 1.0, constant: Any = 1.0, spread: float = 1.0, reduce: Any = np.sum) -> Any:
    """log N with z = (a - m)/sigma^power, `spread` log sigma, and `constant` times log(2 pi)/2 in each coordinate."""

    def log_prob(a: Any, m: Any, s: Any) -> Any:
        half = LOG_TAU / 2 * (constant if np.isscalar(constant) else constant(a.shape[-1]))
        return reduce(-(((a - m) * np.exp(-power * s)) ** 2) / 2 - spread * s - half, axis=-1)

    return log_prob


def _once(dimensions: int) -> float:
    return 1.0 / dimensions


def _naive_kl(
    m: Any, s: Any, m2: Any, s2: Any, power: float = 1.0, sign: float = 1.0, constant: float = 1.0, gap: float = 1.0
) -> Any:
    ratio = (np.exp(2 * power * s) + gap * (m - m2) ** 2) / np.exp(2 * power * s2)
    return np.sum(sign * (s2 - s) + ratio / 2 - constant / 2, axis=-1)


def _spread_score(change: Any) -> Any:
    def score(a: Any, m: Any, s: Any) -> GaussianScore:
        mean, spread = reference.gaussian_score(a, m, s)
        return GaussianScore(*change(mean, spread, s))

    return score


DIAGONAL = [
    ("gaussian_log_prob", "squared error over sigma, not sigma squared", "gaussian-nll-exp-minus-logstd", _density(power=0.5)),
    ("gaussian_log_prob", "mean over dimensions", "", _density(reduce=np.mean)),
    ("gaussian_log_prob", "one number a dimension", "sac-missing-sum-over-action-dims", _density(reduce=lambda x, axis: x)),
    ("gaussian_log_prob", "the constant once, not once a dimension", "ppo-ratio-matrix-from-shape", _density(constant=_once)),
    ("gaussian_log_prob", "no constant", "", _density(constant=0.0)),
    ("gaussian_log_prob", "no log sigma", "", _density(spread=0.0)),
    ("gaussian_log_prob", "log sigma read as log variance", "", _density(power=0.5, spread=0.5)),
    ("gaussian_log_prob", "log sigma clamped", "", lambda a, m, s: reference.gaussian_log_prob(a, m, np.clip(s, -5.0, 2.0))),
    ("gaussian_log_prob", "a small number added to sigma", "", lambda a, m, s: reference.gaussian_log_prob(
        a, m, np.log(np.exp(s) + 1e-6))),
    ("gaussian_log_prob", "one sigma for all dimensions", "gaussian-logstd-single-parameter", lambda a, m, s:
     reference.gaussian_log_prob(a, m, np.broadcast_to(s[..., :1], s.shape))),
    ("gaussian_entropy", "mean over dimensions", "gaussian-entropy-not-summed", lambda s: np.mean(s + (1 + LOG_TAU) / 2, axis=-1)),
    ("gaussian_entropy", "the constant once, not once a dimension", "gaussian-entropy-multivariate-constant", lambda s: np.sum(
        s, axis=-1) + (1 + LOG_TAU) / 2),
    ("gaussian_entropy", "log 2 pi without the one", "", lambda s: np.sum(s + LOG_TAU / 2, axis=-1)),
    ("gaussian_entropy", "the sign", "entropy-estimate-sign", lambda s: -reference.gaussian_entropy(s)),
    ("gaussian_entropy", "never below zero", "clipped-entropy-negated", lambda s: np.maximum(reference.gaussian_entropy(s), 0.0)),
    ("gaussian_kl", "the logarithms' signs", "gaussian-kl-formula", lambda m, s, m2, s2: _naive_kl(m, s, m2, s2, sign=-1.0)),
    ("gaussian_kl", "the other way round", "ppg-kl-direction", lambda m, s, m2, s2: reference.gaussian_kl(m2, s2, m, s)),
    ("gaussian_kl", "one subtracted once, not once a dimension", "kl-to-standard-normal-dim-constant", lambda m, s, m2, s2:
     _naive_kl(m, s, m2, s2, constant=1 / m.shape[-1])),
    ("gaussian_kl", "of a policy from itself", "kl-penalty-between-identical-dists", lambda m, s, m2, s2: reference.gaussian_kl(
        m, s, m, s)),
    ("gaussian_kl", "the means left out", "", lambda m, s, m2, s2: _naive_kl(m, s, m2, s2, gap=0.0)),
    ("gaussian_kl", "deviations for variances", "", lambda m, s, m2, s2: _naive_kl(m, s, m2, s2, power=0.5)),
    ("gaussian_kl", "a difference of large numbers where it is small", "", _naive_kl),
    ("gaussian_kl", "to second order only", "", lambda m, s, m2, s2: np.sum(
        (m - m2) ** 2 / np.exp(2 * s2) / 2 + (s - s2) ** 2, axis=-1)),
    ("gaussian_score", "divided by sigma, not sigma squared", "", _spread_score(lambda m, r, s: (m * np.exp(s), r))),
    ("gaussian_score", "the sign", "", _spread_score(lambda m, r, s: (-m, -r))),
    ("gaussian_score", "with respect to sigma", "", _spread_score(lambda m, r, s: (m, r * np.exp(-s)))),
    ("gaussian_score", "the one is not subtracted", "", _spread_score(lambda m, r, s: (m, r + 1))),
    ("gaussian_score", "with respect to log variance", "", _spread_score(lambda m, r, s: (m, r / 2))),
    ("gaussian_score", "sigma is no parameter", "trpo-params-exclude-logstd", _spread_score(lambda m, r, s: (m, 0 * r))),
]  # fmt: skip


def _squashed(jacobian: Any, before: Any = lambda u: u, scale: Any = lambda half, total: total) -> Any:
    def log_prob(u: Any, mean: Any, log_std: Any, *, low: Any, high: Any) -> Any:
        half = np.broadcast_to((np.asarray(high) - low) / 2, u.shape)
        return scale(half, reference.gaussian_log_prob(before(u), mean, log_std) - np.sum(jacobian(u, half), axis=-1))

    return log_prob


def _slope(u: Any, half: Any) -> Any:
    """log of the width's half times 1 - tanh^2, stably."""
    return np.log(half) + 2 * (np.log(2) - u - np.logaddexp(0.0, -2 * u))


def _recovered(u: Any) -> Any:
    return np.arctanh(np.clip(np.tanh(u), -1 + 1e-6, 1 - 1e-6))


SQUASHED = [
    ("tanh_gaussian_log_prob", "the box has no part in it", "", _squashed(lambda u, h: _slope(u, 1.0))),
    ("tanh_gaussian_log_prob", "the scaled action inside the logarithm", "squash-log-of-scaled-action", _squashed(
        lambda u, h: np.log(1 - (h * np.tanh(u)) ** 2 + 1e-6))),
    ("tanh_gaussian_log_prob", "what was before tanh recovered from the action", "squashed-logp-atanh-clamp", _squashed(
        _slope, before=_recovered)),
    ("tanh_gaussian_log_prob", "divided by the scale", "squash-scale-divides-logprob", _squashed(
        lambda u, h: _slope(u, 1.0), scale=lambda half, total: total / half[..., 0])),
    ("tanh_gaussian_log_prob", "no Jacobian", "ppo-ratio-bias-from-squash-correction", _squashed(lambda u, h: 0 * u)),
    ("tanh_gaussian_log_prob", "the Jacobian added", "", _squashed(lambda u, h: -_slope(u, h))),
    ("tanh_gaussian_log_prob", "a small number inside the logarithm", "", _squashed(
        lambda u, h: np.log(h) + np.log(1 - np.tanh(u) ** 2 + 1e-6))),
    ("tanh_gaussian_log_prob", "infinite at saturation", "awr-atanh-at-boundary-inf", _squashed(
        lambda u, h: np.log(h) + np.log(1 - np.tanh(u) ** 2))),
    ("tanh_gaussian_log_prob", "the whole width for its half", "", _squashed(lambda u, h: _slope(u, 2 * h))),
    ("tanh_gaussian_log_prob", "the first dimension's Jacobian for all", "", _squashed(lambda u, h: _slope(u[..., :1], h))),
    ("tanh_action", "tanh twice", "sac-double-tanh", lambda u, *, low, high: reference.tanh_action(np.tanh(u), low=low, high=high)),
    ("tanh_action", "always into [-1, 1]", "exploration-noise-ignores-action-scale", lambda u, *, low, high: np.tanh(u)),
    ("tanh_action", "clipped, not squashed", "", lambda u, *, low, high: np.clip(u, low, high)),
    ("tanh_action", "about 0 instead of the centre", "", lambda u, *, low, high: (np.asarray(high) - low) / 2 * np.tanh(u)),
    ("tanh_action", "the logistic function", "", lambda u, *, low, high: low + (np.asarray(high) - low) * expit(u)),
    ("tanh_action", "rounds beyond the bounds", "", lambda u, *, low, high: (np.asarray(high) + low) / 2 + np.tanh(u) * (
        (np.asarray(high) - low) / 2) * (1 + 2.0**-51)),
]  # fmt: skip

GAUSSIANS = [*DIAGONAL, *SQUASHED]
