"""Bugs of gaussians: the density of an action that tanh squashed into a box, and the action."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import expit

import reference
from properties._bounds import Floats
from properties._bugs._record import Behaves, Bug, Probe, Slope, primes, probe
from properties._bugs.gaussians import EACH, HALVED, MEAN, ONE, WEIGHTS, first_of_all, kept

Part = Callable[[Any], Any]


# ------------------------------------------------------------------------------------------------------------- density
def log_slope(u: Any) -> Any:
    """log(1 - tanh(u)^2), as it should be."""
    return 2 * (np.log(2) - u - np.logaddexp(0.0, -2 * u))


def _same(u: Any) -> Any:
    return u


def _density(
    jacobian: Callable[[Any, Any], Any] = lambda u, half: np.log(half) + log_slope(u),
    *, before: Part = _same, centre: Part = _same, spread: Part = _same, reduce: Callable[..., Any] = np.sum,
) -> Behaves:  # fmt: skip
    """log N - log of the slope of the action, where `before`, `centre` and `spread` change u, the mean and the log-std."""

    def log_prob(pre_tanh: Any, mean: Any, log_std: Any, *, low: Any, high: Any) -> Floats:
        half = np.broadcast_to((np.asarray(high) - low) / 2, pre_tanh.shape)
        u, m, s = before(pre_tanh), centre(mean), spread(log_std)
        density = -(((u - m) * np.exp(-s)) ** 2) / 2 - s - np.log(2 * np.pi) / 2
        return np.asarray(reduce(density - jacobian(u, half), axis=-1))

    return log_prob


def _clamped(u: Any) -> Any:
    """u from the action, which is kept 1e-6 away from the bounds: |u| <= 7.25."""
    return np.arctanh(np.clip(np.tanh(u), -1 + 1e-6, 1 - 1e-6))


def _recovered(u: Any) -> Any:
    """u from the action, which may be a bound."""
    return np.arctanh(np.tanh(u))


def _divided(pre_tanh: Any, mean: Any, log_std: Any, *, low: Any, high: Any) -> Floats:
    """The density of tanh u, dimension by dimension over the scale."""
    half = np.broadcast_to((np.asarray(high) - low) / 2, pre_tanh.shape)
    parts = (array[..., None] for array in (pre_tanh, mean, log_std))
    return np.asarray((reference.tanh_gaussian_log_prob(*parts, low=-1.0, high=1.0) / half).sum(axis=-1))


def _density_slope(change: str) -> Behaves:
    """The derivative of the density with one mistake."""

    def slope(argument: int | str, u: Any, m: Any, s: Any, *, low: Any, high: Any, cotangent: Any = None) -> Floats:
        place = argument if isinstance(argument, int) else ("pre_tanh", "mean", "log_std").index(argument)
        first, second = reference.gaussian_score(u, m, s)
        t = np.tanh(u)
        own = {"no jacobian": 0 * t, "quotient": 2 * t * (1 - t * t) / (1 - t * t)}.get(change, 2 * t)
        slopes = (0 * t if change == "detached" else own - first, first, second * (change != "no log-std"))
        weight = np.ones(u.shape[:-1]) if cotangent is None else np.asarray(cotangent)
        return np.asarray(weight[..., None] * slopes[place])

    return slope


# -------------------------------------------------------------------------------------------------------------- action
def _action(place: Callable[[Any, Any, Any], Any]) -> Behaves:
    """u, low and high to the action."""
    return lambda pre_tanh, *, low, high: np.asarray(place(pre_tanh, np.asarray(low), np.asarray(high)))


def _action_slope(rate: Callable[[Any, Any, Any], Any]) -> Behaves:
    """The derivative of the action as a function of u, low and high."""

    def slope(argument: int | str, pre_tanh: Any, *, low: Any, high: Any, cotangent: Any = None) -> Floats:
        weight = np.ones(pre_tanh.shape) if cotangent is None else np.asarray(cotangent)
        return np.asarray(weight * rate(pre_tanh, np.asarray(low), np.asarray(high)))

    return slope


def _scaled_slope(u: Any, low: Any, high: Any) -> Any:
    """half (1 - action^2), the action already in its box."""
    return (high - low) / 2 * (1 - reference.tanh_action(u, low=low, high=high) ** 2)


def _exponential_slope(u: Any, low: Any, high: Any) -> Any:
    """(high - low) 2 e / (e + 1)^2, e = exp(2u), which overflows."""
    e = np.exp(2 * u)
    return (high - low) / 2 * 4 * e / (e + 1) ** 2


L, A = "tanh_gaussian_log_prob", "tanh_action"
BUGS = (
    Bug(L, "no-jacobian", "the density of u, not of the action: log N alone", "ppo-ratio-bias-from-squash-correction",
        _density(lambda u, half: 0 * u)),
    Bug(L, "jacobian-added", "log of the slope is added, not subtracted", "",
        _density(lambda u, half: -np.log(half) - log_slope(u))),
    Bug(L, "box-missing-in-the-jacobian", "log(1 - tanh^2) alone: the width of the box has no part in it", "",
        _density(lambda u, half: log_slope(u))),
    Bug(L, "whole-width-for-its-half", "the slope is high - low times 1 - tanh^2", "",
        _density(lambda u, half: np.log(2 * half) + log_slope(u))),
    Bug(L, "scaled-action-in-the-logarithm", "log(1 - (scale tanh u)^2 + 1e-6): of a negative number where scale > 1",
        "squash-log-of-scaled-action philtabor-sac-scaled-action-jacobian",
        _density(lambda u, half: np.log(1 - (half * np.tanh(u)) ** 2 + 1e-6))),
    Bug(L, "divided-by-the-scale", "log p is divided by the scale instead of log scale subtracted", "squash-scale-divides-logprob",
        _divided),
    Bug(L, "draw-recovered-by-clamped-atanh", "u is recovered as atanh of the clamped action: |u| <= 7.25",
        "squashed-logp-atanh-clamp tanhnormal-logprob-at-saturation", _density(before=_clamped)),
    Bug(L, "draw-recovered-by-atanh", "u is recovered as atanh of the action: infinite at a bound", "awr-atanh-at-boundary-inf",
        _density(before=_recovered)),
    Bug(L, "small-number-in-the-logarithm", "log(1 - tanh^2 + 1e-6): the slope never falls below 1e-6", "",
        _density(lambda u, half: np.log(half) + np.log(1 - np.tanh(u) ** 2 + 1e-6))),
    Bug(L, "logarithm-of-a-rounded-zero", "log(1 - tanh^2) is log 0 where tanh rounds to 1", "",
        _density(lambda u, half: np.log(half) + np.log(1 - np.tanh(u) ** 2))),
    Bug(L, "jacobian-at-the-action", "1 - tanh(a)^2 at the action a = tanh u: squashed twice", "sac-double-tanh",
        _density(lambda u, half: np.log(half) + log_slope(np.tanh(u)))),
    Bug(L, "factor-two-missing", "log 2 - u - softplus(-2u) without the 2 before it", "",
        _density(lambda u, half: np.log(half) + log_slope(u) / 2)),
    Bug(L, "first-dimension-for-all", "every dimension has the first one's slope", "",
        _density(lambda u, half: np.log(half) + log_slope(u[..., :1]))),
    Bug(L, "mean-squashed-twice", "the policy's mean is squashed before u is drawn around it",
        "gaussian-policy-mean-squashed-twice",
        _density(centre=np.tanh)),
    Bug(L, "no-sum-over-dimensions", EACH, "sac-missing-sum-over-action-dims", _density(reduce=kept)),
    Bug(L, "mean-over-dimensions", MEAN, "", _density(reduce=np.mean)),
    Bug(L, "log-std-read-as-log-variance", HALVED, "", _density(spread=lambda s: s / 2)),
    Bug(L, "one-sigma-for-all-dimensions", ONE, "gaussian-logstd-single-parameter", _density(spread=first_of_all)),
    Bug(L, "nan-in-the-gradient", "differentiating log(1 - tanh^2) where tanh rounds to 1 gives 0/0", "",
        _density_slope("quotient"), derivative=True),
    Bug(L, "jacobian-detached", "the slope of the action counts in the value and not in the gradient", "",
        _density_slope("no jacobian"), derivative=True),
    Bug(L, "action-detached", "no gradient flows through u: a reparameterised draw is not followed", "",
        _density_slope("detached"), derivative=True),
    Bug(L, "log-std-no-parameter", "no gradient reaches log sigma: it is missing among the parameters",
        "trpo-params-exclude-logstd",
        _density_slope("no log-std"), derivative=True),
    Bug(A, "tanh-twice", "what is squashed already is squashed again: no action is beyond 0.762 of the box", "sac-double-tanh",
        _action(lambda u, low, high: reference.tanh_action(np.tanh(u), low=low, high=high))),
    Bug(A, "always-the-unit-box", "tanh u: the bounds are not read", "exploration-noise-ignores-action-scale",
        _action(lambda u, low, high: np.tanh(u))),
    Bug(A, "clipped-not-squashed", "clip(u, low, high)", "", _action(np.clip)),
    Bug(A, "centre-missing", "half the width times tanh u: centred at 0, not in the box", "",
        _action(lambda u, low, high: (high - low) / 2 * np.tanh(u))),
    Bug(A, "scaled-by-the-upper-bound", "high tanh u: right for a box that is symmetric", "",
        _action(lambda u, low, high: high * np.tanh(u))),
    Bug(A, "whole-width-for-its-half", "the centre plus the whole width times tanh u", "",
        _action(lambda u, low, high: (high + low) / 2 + (high - low) * np.tanh(u))),
    Bug(A, "logistic-for-tanh", "the logistic function of u, not of 2u", "",
        _action(lambda u, low, high: low + (high - low) * expit(u))),
    Bug(A, "action-detached", "no gradient flows from the action to u", "",
        _action_slope(lambda u, low, high: np.zeros(u.shape)), derivative=True),
    Bug(A, "straight-through", "the gradient skips tanh: half the width everywhere", "",
        _action_slope(lambda u, low, high: (high - low) / 2 * np.ones(u.shape)), derivative=True),
    Bug(A, "scaled-action-in-the-slope", "half the width times 1 - a^2, with a in its box instead of tanh u", "",
        _action_slope(_scaled_slope), derivative=True),
    Bug(A, "nan-in-the-gradient", "differentiating a quotient of exp(2u), which overflows, gives inf/inf", "",
        _action_slope(_exponential_slope), derivative=True),
)  # fmt: skip


# -------------------------------------------------------------------------------------------------------------- probes
DRAWN = primes(2, 3) / np.array([[8.0], [-16.0]])
MEANS, LOG_STDS = primes(2, 3, after=13) / 32, np.array([[0.25, -0.5, 0.75], [-0.125, 0.375, -0.625]])
BOX = {"low": np.array([-2.0, 0.5, -1.0]), "high": np.array([1.0, 4.5, 6.0])}
DENSITY, SATURATED = (DRAWN, MEANS, LOG_STDS), (np.array([[20.0, -24.0, 3.0]]), np.array([[19.0, -25.0, 2.0]]), LOG_STDS[:1])
WEIGHT = primes(2, 3, after=1)

PROBES: dict[str, tuple[Probe, ...]] = {
    L: (
        probe(*DENSITY, **BOX),
        probe(*SATURATED, low=-1.0, high=1.0),
        *(Slope(place, probe(*DENSITY, **BOX, cotangent=WEIGHTS)) for place in range(3)),
        Slope(0, probe(*SATURATED, low=-1.0, high=1.0)),
    ),
    A: (
        probe(DRAWN, **BOX),
        Slope(0, probe(DRAWN, **BOX, cotangent=WEIGHT)),
        Slope(0, probe(np.array([[1000.0, -1000.0, 0.5]]), **BOX)),
    ),
}

OPEN: dict[str, str] = {}
