"""Bugs of gaussians: densities, scores, entropies and divergences of normal policies with independent coordinates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import reference
from properties._bounds import Floats
from properties._bugs._record import Behaves, Bug, Probe, Slope, primes, probe
from reference.gaussians import GaussianScore

LOG_TAU = float(np.log(2 * np.pi))
"""log(2 pi)."""
Reduce = Callable[..., Any]


def kept(terms: Any, *, axis: int) -> Any:
    """What a sum over dimensions is that was forgotten."""
    return terms


def first_of_all(log_std: Any) -> Floats:
    """The first dimension's log-std in every dimension."""
    return np.broadcast_to(log_std[..., :1], log_std.shape)


def _likelihood(
    *,
    power: float = 1.0,
    spread: float = 1.0,
    half: float = 0.5,
    constant: float = 1.0,
    once: bool = False,
    reduce: Reduce = np.sum,
) -> Behaves:
    """log N with z = (a - m)/sigma^power: -half z^2 - spread log sigma - constant log(2 pi)/2 a dimension, or that but once."""

    def log_prob(action: Any, mean: Any, log_std: Any) -> Floats:
        constants = constant * LOG_TAU / 2 / (action.shape[-1] if once else 1)
        return np.asarray(reduce(-half * ((action - mean) * np.exp(-power * log_std)) ** 2 - spread * log_std - constants, axis=-1))

    return log_prob


def _with_log_std(change: Callable[[Any], Any]) -> Behaves:
    return lambda action, mean, log_std: reference.gaussian_log_prob(action, mean, change(log_std))


def _score(change: Callable[[Any, Any, Any], tuple[Any, Any]]) -> Behaves:
    """The score after a change of (the mean's, the log-std's, the log-std)."""

    def score(action: Any, mean: Any, log_std: Any) -> GaussianScore:
        slope, square = reference.gaussian_score(action, mean, log_std)
        return GaussianScore(*(np.asarray(part) for part in change(slope, square, log_std)))

    return score


def _log_prob_slope(*missing: int) -> Behaves:
    """The derivative of log N, but 0 in some arguments."""

    def slope(argument: int | str, action: Any, mean: Any, log_std: Any, *, cotangent: Any = None) -> Floats:
        place = argument if isinstance(argument, int) else ("action", "mean", "log_std").index(argument)
        first, second = reference.gaussian_score(action, mean, log_std)
        weight = np.ones(action.shape[:-1]) if cotangent is None else np.asarray(cotangent)
        return np.asarray(weight[..., None] * (-first, first, second)[place] * (place not in missing))

    return slope


def _entropy(*, log_std: float = 1.0, constant: float = 1 + LOG_TAU, once: bool = False, reduce: Reduce = np.sum) -> Behaves:
    """log sigma times a factor, and the constant, or that but once, halved."""

    def entropy(log_std_: Any) -> Floats:
        return np.asarray(reduce(log_std * log_std_ + constant / 2 / (log_std_.shape[-1] if once else 1), axis=-1))

    return entropy


def _entropy_detached(argument: int | str, log_std: Any, *, cotangent: Any = None) -> Floats:
    return np.zeros(log_std.shape)


def _divergence(
    *, power: float = 1.0, sign: float = 1.0, constant: float = 1.0, once: bool = False, gap: float = 1.0, half: float = 0.5,
    own: bool = False, reduce: Reduce = np.sum,
) -> Behaves:  # fmt: skip
    """sign log(sigma'/sigma) + half ((sigma^2 + gap (m - m')^2)/sigma'^2 - constant), or the gap over the own sigma^2."""

    def divergence(mean: Any, log_std: Any, other_mean: Any, other_log_std: Any) -> Floats:
        far = gap * (mean - other_mean) ** 2 * np.exp(-2 * power * (log_std if own else other_log_std))
        ratio = np.exp(2 * power * (log_std - other_log_std))
        one = constant / (mean.shape[-1] if once else 1)
        return np.asarray(reduce(sign * (other_log_std - log_std) + half * (ratio + far - one), axis=-1))

    return divergence


def _quadratic(mean: Any, log_std: Any, other_mean: Any, other_log_std: Any) -> Floats:
    """Half the Fisher norm of the step."""
    return np.asarray(np.sum((mean - other_mean) ** 2 / np.exp(2 * other_log_std) / 2 + (log_std - other_log_std) ** 2, axis=-1))


def _from_standard(mean: Any, log_std: Any, other_mean: Any, other_log_std: Any) -> Floats:
    return np.asarray(reference.gaussian_kl(mean, log_std, np.zeros_like(mean), np.zeros_like(mean)))


def _divergence_slope(*missing: int) -> Behaves:
    """The derivative of the divergence, but 0 in some arguments."""

    def slope(argument: int | str, m: Any, s: Any, other_m: Any, other_s: Any, *, cotangent: Any = None) -> Floats:
        names = ("mean", "log_std", "other_mean", "other_log_std")
        place = argument if isinstance(argument, int) else names.index(argument)
        ratio, far = np.exp(2 * (s - other_s)), (m - other_m) * np.exp(-2 * other_s)
        slopes = (far, ratio - 1, -far, 1 - ratio - far * (m - other_m))
        weight = np.ones(m.shape[:-1]) if cotangent is None else np.asarray(cotangent)
        return np.asarray(weight[..., None] * slopes[place] * (place not in missing))

    return slope


L, S, H, D = "gaussian_log_prob", "gaussian_score", "gaussian_entropy", "gaussian_kl"
MEAN, EACH, ONE = "the mean over dimensions instead of the sum", "one number a dimension: the sum over dimensions is forgotten", (
    "the first dimension's sigma serves all: one parameter, not one a dimension"
)  # fmt: skip
HALVED = "log sigma is read as log sigma^2"
BUGS = (
    Bug(L, "sigma-not-squared", "the squared error is divided by sigma instead of sigma^2", "gaussian-nll-exp-minus-logstd",
        _likelihood(power=0.5)),
    Bug(L, "mean-over-dimensions", MEAN, "", _likelihood(reduce=np.mean)),
    Bug(L, "no-sum-over-dimensions", EACH, "sac-missing-sum-over-action-dims", _likelihood(reduce=kept)),
    Bug(L, "constant-once-for-all-dimensions", "log(2 pi)/2 is subtracted once, not once a dimension", "", _likelihood(once=True)),
    Bug(L, "constant-missing", "log(2 pi)/2 is left out", "", _likelihood(constant=0.0)),
    Bug(L, "log-sigma-missing", "the normaliser log sigma is left out: a wide policy costs nothing", "", _likelihood(spread=0.0)),
    Bug(L, "half-missing", "z^2 instead of z^2/2", "", _likelihood(half=1.0)),
    Bug(L, "log-std-read-as-log-variance", HALVED, "", _likelihood(power=0.5, spread=0.5)),
    Bug(L, "sign-turned", "the negative log-likelihood", "", _likelihood(half=-0.5, spread=-1.0, constant=-1.0)),
    Bug(L, "density-for-its-logarithm", "the density is returned, not its logarithm", "",
        lambda a, m, s: np.exp(reference.gaussian_log_prob(a, m, s))),
    Bug(L, "log-std-clamped", "log sigma is clamped to [-5, 2]: the density of a policy that was not asked", "",
        _with_log_std(lambda s: np.clip(s, -5.0, 2.0))),
    Bug(L, "small-number-added-to-sigma", "sigma + 1e-6: narrow densities are too low", "",
        _with_log_std(lambda s: np.log(np.exp(s) + 1e-6))),
    Bug(L, "one-sigma-for-all-dimensions", ONE, "gaussian-logstd-single-parameter", _with_log_std(first_of_all)),
    Bug(L, "log-std-no-parameter", "no gradient reaches log sigma: it is missing among the parameters",
        "trpo-params-exclude-logstd",
        _log_prob_slope(2), derivative=True),
    Bug(L, "action-detached", "no gradient flows through the action: a reparameterised draw is not followed", "",
        _log_prob_slope(0), derivative=True),
    Bug(L, "mean-detached", "no gradient reaches the mean: it is held fixed with the action drawn from it", "",
        _log_prob_slope(1), derivative=True),
    Bug(S, "sigma-not-squared", "(a - m)/sigma instead of (a - m)/sigma^2", "", _score(lambda m, r, s: (m * np.exp(s), r))),
    Bug(S, "sign-turned", "the gradient of the negative log-likelihood", "", _score(lambda m, r, s: (-m, -r))),
    Bug(S, "derivative-in-sigma", "the derivative in sigma, not in log sigma", "", _score(lambda m, r, s: (m, r * np.exp(-s)))),
    Bug(S, "one-not-subtracted", "z^2 instead of z^2 - 1: sigma only grows", "", _score(lambda m, r, s: (m, r + 1))),
    Bug(S, "log-std-read-as-log-variance", "the derivative in log sigma^2", "", _score(lambda m, r, s: (m, r / 2))),
    Bug(S, "log-std-no-parameter", "log sigma has no gradient: it is missing among the parameters", "trpo-params-exclude-logstd",
        _score(lambda m, r, s: (m, 0 * r))),
    Bug(S, "one-sigma-for-all-dimensions", "the slopes of all log sigmas are summed: one parameter, not one a dimension",
        "gaussian-logstd-single-parameter", _score(lambda m, r, s: (m, np.broadcast_to(r.sum(axis=-1, keepdims=True), r.shape)))),
    Bug(S, "mean-over-dimensions", "the gradient of the mean over dimensions instead of the sum", "",
        _score(lambda m, r, s: (m / m.shape[-1], r / m.shape[-1]))),
    Bug(H, "mean-over-dimensions", MEAN, "gaussian-entropy-not-summed", _entropy(reduce=np.mean)),
    Bug(H, "no-sum-over-dimensions", EACH, "gaussian-entropy-not-summed", _entropy(reduce=kept)),
    Bug(H, "trailing-axis-kept", "the sum keeps its axis: [..., 1], which broadcasts a loss", "batch-ppo-entropy-rank",
        lambda s: reference.gaussian_entropy(s)[..., None]),
    Bug(H, "constant-once-for-all-dimensions", "(1 + log 2 pi)/2 is added once, not once a dimension",
        "gaussian-entropy-multivariate-constant ppo-ratio-matrix-from-shape", _entropy(once=True)),
    Bug(H, "one-missing", "log(2 pi)/2 for (1 + log 2 pi)/2", "", _entropy(constant=LOG_TAU)),
    Bug(H, "log-std-read-as-log-variance", HALVED, "", _entropy(log_std=0.5)),
    Bug(H, "sigma-squared-in-the-logarithm", "log sigma^2 for log sigma: the half is missing", "", _entropy(log_std=2.0)),
    Bug(H, "exponential-for-logarithm", "exp(sigma) where log(sigma) is meant", "trax-gaussian-entropy-exp-std",
        lambda s: np.sum(np.exp(np.exp(s)) + (1 + LOG_TAU) / 2, axis=-1)),
    Bug(H, "sign-turned", "minus the entropy: a bonus that punishes exploring", "entropy-estimate-sign clipped-entropy-negated",
        _entropy(log_std=-1.0, constant=-1 - LOG_TAU)),
    Bug(H, "never-below-zero", "cut off at 0, as if the entropy of a density could not be negative", "",
        lambda s: np.maximum(reference.gaussian_entropy(s), 0.0)),
    Bug(H, "one-sigma-for-all-dimensions", ONE, "gaussian-logstd-single-parameter",
        lambda s: reference.gaussian_entropy(first_of_all(s))),
    Bug(H, "gradient-detached", "no gradient reaches log sigma: the bonus does nothing", "", _entropy_detached, derivative=True),
    Bug(D, "log-signs-swapped", "log(sigma/sigma') for log(sigma'/sigma): the divergence may be negative", "gaussian-kl-formula",
        _divergence(sign=-1.0)),
    Bug(D, "direction-reversed", "KL(q || p) instead of KL(p || q)", "ppg-kl-direction",
        lambda m, s, m2, s2: reference.gaussian_kl(m2, s2, m, s)),
    Bug(D, "one-subtracted-once", "1/2 is subtracted once, not once a dimension", "kl-to-standard-normal-dim-constant",
        _divergence(once=True)),
    Bug(D, "from-the-standard-normal", "the other policy is not read: the divergence from N(0, 1)", "", _from_standard),
    Bug(D, "means-missing", "the distance of the means is left out", "", _divergence(gap=0.0)),
    Bug(D, "means-over-own-variance", "the distance of the means is divided by sigma^2 instead of sigma'^2", "",
        _divergence(own=True)),
    Bug(D, "sigma-not-squared", "deviations for variances", "", _divergence(power=0.5)),
    Bug(D, "log-std-read-as-log-variance", HALVED, "", _divergence(power=0.5, sign=0.5)),
    Bug(D, "half-missing", "the ratio of variances and the distance are not halved", "", _divergence(half=1.0)),
    Bug(D, "to-second-order-only", "half the Fisher norm of the step: right for small steps", "", _quadratic),
    Bug(D, "mean-over-dimensions", MEAN, "", _divergence(reduce=np.mean)),
    Bug(D, "no-sum-over-dimensions", EACH, "", _divergence(reduce=kept)),
    Bug(D, "log-std-no-parameter", "no gradient reaches the log sigmas: they are missing among the parameters",
        "trpo-params-exclude-logstd", _divergence_slope(1, 3), derivative=True),
    Bug(D, "new-policy-detached", "the second policy is detached: the penalty moves nothing", "", _divergence_slope(2, 3),
        derivative=True),
)  # fmt: skip


# -------------------------------------------------------------------------------------------------------------- probes
POINTS, CENTRES, OTHERS = primes(2, 3) / 4, -primes(2, 3, after=13) / 16, primes(2, 3, after=37) / 32
SPREADS, OTHER_SPREADS = np.array([[0.25, -0.5, 0.75], [-0.125, 0.375, -0.625]]), np.array([[-0.75, 0.5, 0.125], [0.625, -0.25, 1]])
NARROW = (POINTS[:1] / 16384, CENTRES[:1] / 16384, np.array([[-10.0, 3.0, -9.0]]))
"""Beyond where log sigma is clamped, and where 1e-6 counts."""
WEIGHTS = np.array([3.0, 5.0])
DENSITY, BOTH = (POINTS, CENTRES, SPREADS), (CENTRES, SPREADS, OTHERS, OTHER_SPREADS)

PROBES: dict[str, tuple[Probe, ...]] = {
    L: (probe(*DENSITY), probe(*NARROW), *(Slope(place, probe(*DENSITY, cotangent=WEIGHTS)) for place in range(3))),
    S: (probe(*DENSITY), probe(*NARROW)),
    H: (probe(SPREADS), probe(NARROW[2]), Slope(0, probe(SPREADS, cotangent=WEIGHTS))),
    D: (probe(*BOTH), *(Slope(place, probe(*BOTH, cotangent=WEIGHTS)) for place in range(4))),
}

OPEN: dict[str, str] = {
    "nested-kl-sum-then-reduce": "no such operator in the contract: the divergence of an action of several components",
}
