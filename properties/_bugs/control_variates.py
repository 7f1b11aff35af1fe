"""Bugs of control variates, of their weights, and of the gradients made with them. Q-Prop has few public reports: most are read
in the authors' code and slides, where these disagree with the paper, or are what a port of either gets wrong."""

from __future__ import annotations

from typing import Any

import numpy as np

import reference
from properties._bugs._record import Behaves, Bug, Probe, Slope, primes, probe
from properties._bugs.policy_gradient import chained, product_of_the_means, transposed, unchecked, wrong

_RLLABPP = "https://github.com/shaneshixiang/rllabplusplus/blob/master/sandbox/rocky/tf/algos"

TAYLOR = (
    wrong("taylor_control_variate", "deviation-turned", "mean less action", "", lambda a, m, g: (g * (m - a)).sum(axis=-1)),
    wrong("taylor_control_variate", "action-for-its-deviation", "g'a: the critic in full, what it says at the mean, too",
          "q-prop-slide-full-critic-subtracted", lambda a, m, g: (g * a).sum(axis=-1)),
    wrong("taylor_control_variate", "mean-over-action-dimensions", "action dimensions are averaged, not added", "",
          lambda a, m, g: (g * (a - m)).mean(axis=-1)),
    wrong("taylor_control_variate", "no-sum-over-dimensions", "one number for each action dimension",
          "sac-missing-sum-over-action-dims", lambda a, m, g: g * (a - m)),
    wrong("taylor_control_variate", "size-of-the-deviation", "g'|a - mu|: the side is lost", "",
          lambda a, m, g: (g * np.abs(a - m)).sum(axis=-1)),
    unchecked("taylor_control_variate", lambda a, m, g: (g * (a - m)).sum(axis=-1)),
)  # fmt: skip


# ------------------------------------------------------------------------------------------------------------------- the weights
def _optimal(change: str) -> Behaves:
    """A mistake of the optimal rule only: what becomes of Cov/Var, given Var, the number of samples, and the advantages' Var."""

    def weight(advantage: Any, control_variate: Any, *, rule: str, centered: bool = True) -> Any:
        found = reference.control_variate_weight(advantage, control_variate, rule=rule, centered=centered)
        if rule != "optimal":
            return found
        n = advantage.shape[-1]
        other, spread = (np.mean((x - (x.mean(axis=-1, keepdims=True) if centered else 0.0)) ** 2, axis=-1)
                         for x in (advantage, control_variate))  # fmt: skip
        return {
            "sample": found * n / max(n - 1, 1), "small number": found * spread / (spread + 1e-4),
            "deviation": found * np.sqrt(spread), "unit": np.clip(found, 0.0, 1.0),
            "product": found * spread, "nan": np.where(spread == 0, np.nan, found),
            "correlation": found * np.sqrt(spread / np.where(other > 0, other, 1.0)) * (other > 0),
            "swapped": found * spread / np.where(other > 0, other, 1.0) * (other > 0),
        }[change]  # fmt: skip

    return weight


def _weight(change: str) -> Behaves:
    right = reference.control_variate_weight

    def weight(advantage: Any, control_variate: Any, *, rule: str, centered: bool = True) -> Any:
        a, c, n = advantage, control_variate, advantage.shape[-1]
        found = right(a, c, rule=rule, centered=centered)
        if change in ("centred", "uncentred"):
            return right(a, c, rule=rule, centered=change == "centred" and n > 1)
        if change == "whole batch":
            return np.full(found.shape, right(a.ravel(), c.ravel(), rule=rule, centered=centered))
        if change == "rules" and rule in ("conservative", "aggressive"):
            return right(a, c, rule="aggressive" if rule == "conservative" else "conservative", centered=centered)
        if change == "each" and rule in ("conservative", "aggressive"):
            return np.maximum(np.sign(a) * np.sign(c), 0.0 if rule == "conservative" else -1.0)
        if change == "zero" and rule == "conservative":
            return np.where(right(a, c, rule="aggressive", centered=centered) == 0, 1.0, found)
        if change == "against" and rule == "aggressive":
            return np.maximum(found, 0.0)
        return {"turned": -found, "one": np.ones(found.shape)}.get(change, found)

    return weight


def _weight_slope(
    argument: int, advantage: Any, control_variate: Any, *, rule: str, centered: bool = True, cotangent: Any = None
) -> Any:
    """d Cov/Var by either sample; the other rules are steps, whose slope is 0."""
    weight = reference.control_variate_weight(advantage, control_variate, rule=rule, centered=centered)
    a, c = (x - (x.mean(axis=-1, keepdims=True) if centered else 0.0) for x in (advantage, control_variate))
    sum_of_squares = (c**2).sum(axis=-1, keepdims=True)
    steep = c if argument == 0 else a - 2 * weight[..., None] * c
    slope = np.where(sum_of_squares > 0, steep / np.where(sum_of_squares > 0, sum_of_squares, 1.0), 0.0) * (rule == "optimal")
    return slope * (1.0 if cotangent is None else np.asarray(cotangent)[..., None])


WEIGHT = "control_variate_weight"
WEIGHTS = (
    wrong(WEIGHT, "covariance-over-n-minus-one", "the covariance over n - 1, the variance over n", "", _optimal("sample")),
    wrong(WEIGHT, "small-number-in-the-denominator", "1e-4 is added to the variance", "", _optimal("small number")),
    wrong(WEIGHT, "divided-by-the-deviation", "Cov / std C: the square is missing", "", _optimal("deviation")),
    wrong(WEIGHT, "not-divided", "the covariance alone: it is not divided by the variance", "", _optimal("product")),
    wrong(WEIGHT, "variance-of-the-advantage", "Cov / Var A: the arguments are swapped", "", _optimal("swapped")),
    wrong(WEIGHT, "correlation-for-the-weight", "A and C are standardised first: the correlation is left", "",
          _optimal("correlation")),
    wrong(WEIGHT, "kept-between-zero-and-one", "the optimal weight is clipped to [0, 1]", "", _optimal("unit")),
    wrong(WEIGHT, "zero-over-zero", "a constant control variate makes nan", "", _optimal("nan")),
    wrong(WEIGHT, "always-centred", "the means are subtracted where they are known to be 0, too", "", _weight("centred")),
    wrong(WEIGHT, "never-centred", "mean(A C) in place of the covariance", "", _weight("uncentred")),
    wrong(WEIGHT, "moments-over-the-batch", "one covariance over all states, not one for each", "", _weight("whole batch")),
    wrong(WEIGHT, "weight-of-the-same-sample", "a sign of A C for each sample, from the very action that it weighs",
          "rllabpp-weight-of-the-same-action", _weight("each")),
    wrong(WEIGHT, "rules-swapped", "conservative and aggressive are confused", "", _weight("rules")),
    wrong(WEIGHT, "uncorrelated-counts-as-correlated", "Cov >= 0 for Cov > 0: conservative is 1 where nothing is known", "",
          _weight("zero")),
    wrong(WEIGHT, "aggressive-never-turns", "0 for -1 where Cov < 0", "", _weight("against")),
    wrong(WEIGHT, "sign-turned", "the coefficient of A + w C, as in some books, where A - w C is formed", "", _weight("turned")),
    wrong(WEIGHT, "always-one", "the rule is not read", "", _weight("one")),
    unchecked(WEIGHT, lambda a, c, *, rule, centered=True: reference.control_variate_weight(
        *np.broadcast_arrays(a, c), rule=rule, centered=centered)),
    Bug(WEIGHT, "gradient-into-constants", "Cov/Var is no constant: a loss with it trains the critic and the baseline", "",
        _weight_slope, derivative=True),
)  # fmt: skip


# ----------------------------------------------------------------------------------------------------------------- the gradients
def _q_prop(change: str) -> Behaves:
    def gradient(score: Any, advantage: Any, variate: Any, weight: Any, action_gradient: Any, jacobian: Any) -> Any:
        if change == "standardised first":
            advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        inner = {"never subtracted": 0.0 * weight, "inner one": np.ones(weight.shape)}.get(change, weight)
        outer = {
            "unweighted": np.ones(weight.shape), "never added": 0.0 * weight, "subtracted": -weight,
            "mean weight": np.full(weight.shape, weight.mean()),
        }.get(change, weight)  # fmt: skip
        signal = advantage - inner * variate
        if change == "standardised":
            signal = (signal - signal.mean()) / (signal.std() + 1e-8)
        signal = {"weighs all": weight * (advantage - variate), "none": 0.0 * signal}.get(change, signal)
        known = outer[:, None] * (transposed if change == "transposed" else chained)(action_gradient, jacobian)
        if change == "means":
            known = np.tile(weight.mean() * product_of_the_means(action_gradient, jacobian), (len(score), 1))
        return (score * signal[:, None] + known).sum(axis=0) / {"sum": 1, "twice": len(score) ** 2}.get(change, len(score))

    return gradient


def _q_bug(mistake: str, story: str, seen: str, change: str) -> Bug:
    return wrong("q_prop_gradient", mistake, story, seen, _q_prop(change))


GRADIENTS = (
    _q_bug("analytic-half-unweighted", "J'g is added in full, whatever the weight", "", "unweighted"),
    _q_bug("analytic-half-missing", "what the control variate takes is never given back", "", "never added"),
    _q_bug("analytic-half-subtracted", "J'g is subtracted once more instead of given back", "", "subtracted"),
    _q_bug("analytic-half-alone", "the residual term is left out: biased by all that the critic gets wrong",
           "q-prop-slide-analytic-half-alone", "none"),
    _q_bug("control-variate-not-subtracted", "J'g is added, but C is not subtracted", "", "never subtracted"),
    _q_bug("control-variate-unweighted", "C is subtracted in full, J'g added with its weight", "", "inner one"),
    _q_bug("mean-weight-in-the-analytic-half", "the batch's mean weight in one half, each its own in the other", "", "mean weight"),
    _q_bug("weight-on-the-whole-signal", "w (A - C): the advantage is weighed, too", "", "weighs all"),
    _q_bug("residual-half-standardised", "A - w C is standardised over the batch, J'g is not",
           "rllabpp-q-prop-halves-differ", "standardised"),
    _q_bug("advantage-standardised-first", "the advantage is standardised before C, in units of value, is subtracted", "",
           "standardised first"),
    _q_bug("product-of-the-means", "mean weight times mean Jacobian times mean gradient of Q", "", "means"),
    _q_bug("jacobian-not-transposed", "J g for J'g: right or wrong shape by luck", "", "transposed"),
    _q_bug("sum-over-the-batch", "the sum over the states, not their mean", "ddpg-actor-gradient-sum-not-mean", "sum"),
    _q_bug("divided-by-the-batch-twice", "a mean, and then divided by the batch size again", "ddpg-double-batch-division", "twice"),
)  # fmt: skip


def _mixed(change: str) -> Behaves:
    def gradient(score: Any, advantage: Any, action_gradient: Any, jacobian: Any, *, on_policy_fraction: float) -> Any:
        batch, other = len(score), len(action_gradient)
        nu = 1 - on_policy_fraction if change in ("authors", "authors, critic whole") else on_policy_fraction
        first = 1.0 if change == "sampled whole" else nu
        second = {"critic whole": 1.0, "authors, critic whole": 1.0, "descent": nu - 1}.get(change, 1 - nu)
        counts = {"one batch": (batch, batch), "together": (batch + other,) * 2, "sum": (1, 1)}.get(change, (batch, other))
        backward = transposed if change == "transposed" else chained
        on = (score * advantage[:, None]).sum(axis=0) / counts[0]
        off = product_of_the_means(action_gradient, jacobian) if change == "means" else backward(action_gradient, jacobian).sum(
            axis=0) / counts[1]  # fmt: skip
        if change == "read":
            return first * on + second * off
        return (first * on if first else 0.0) + (second * off if second else np.zeros(score.shape[1]))

    return gradient


def _m_bug(mistake: str, story: str, seen: str, change: str) -> Bug:
    return wrong("mixed_gradient", mistake, story, seen, _mixed(change))


MIXTURES = (
    _m_bug("fraction-weighs-the-other-half", "the authors' nu, which is one less ours",
           "rllabpp-nu-weighs-the-other-half", "authors"),
    _m_bug("fraction-weighs-the-other-half-alone", "1 - nu on the sampled half, and the critic's half in full",
           "rllabpp-nu-weighs-the-other-half", "authors, critic whole"),
    _m_bug("critics-half-in-full", "the off-policy half is added without its weight", "", "critic whole"),
    _m_bug("sampled-half-in-full", "the on-policy half is added without its weight", "", "sampled whole"),
    _m_bug("critics-half-descends", "the off-policy half with the sign of a loss", "", "descent"),
    _m_bug("divided-by-the-other-batch", "both halves are divided by the size of the on-policy batch", "", "one batch"),
    _m_bug("divided-by-both-batches", "both halves are divided by the size of both batches together", "", "together"),
    _m_bug("sum-over-the-batch", "sums over both batches, not means", "ddpg-actor-gradient-sum-not-mean", "sum"),
    _m_bug("product-of-the-means", "the mean Jacobian times the mean gradient of Q", "", "means"),
    _m_bug("jacobian-not-transposed", "J g for J'g: right or wrong shape by luck", "", "transposed"),
    _m_bug("infinity-times-zero", "a half of no weight is read, and its infinities make nan", "", "read"),
)  # fmt: skip

BUGS = TAYLOR + WEIGHTS + GRADIENTS + MIXTURES


# ------------------------------------------------------------------------------------------------------------------- questions
_TURNED = np.array([[1.0, -1.0, 1.0], [1.0, 1.0, -1.0]])
_A = np.array([[2.0, 3.0, 5.0, 7.0], [11.0, 5.0, 3.0, 2.0], [2.0, 13.0, 3.0, 5.0], [3.0, 2.0, 7.0, 5.0]])
_C = np.array([[-3.0, 1.0, 2.0, 8.0], [2.0, 3.0, 5.0, 13.0], [7.0, 7.0, 7.0, 7.0], [-1.0, 2.0, -17.0, -5.0]]) / 128
"""Of positive covariance, of negative, with a constant, and of negative with a smaller weight's size."""


def _batch(parameters: int) -> tuple[Any, ...]:
    """Three states, two action dimensions; the parts are distinct primes, weights quarters."""
    jacobian = primes(3, 2, parameters, after=100)
    return (
        primes(3, parameters) * np.array([[1.0], [-1.0], [1.0]]), primes(3, after=60),
        primes(3, after=20) * np.array([1.0, 1.0, -1.0]),
        np.array([0.25, 1.25, -0.75]), primes(3, 2, after=40) * np.array([1.0, -1.0]), jacobian,
    )  # fmt: skip


def _halves(parameters: int) -> tuple[Any, ...]:
    """Three on-policy samples, two states of the critic's."""
    score, advantage, _, _, slope, jacobian = _batch(parameters)
    return score, advantage, slope[:2], jacobian[:2]


_UNREAD = (*_halves(3)[:2], np.full((2, 2), np.inf), _halves(3)[3])

PROBES: dict[str, tuple[Probe, ...]] = {
    "taylor_control_variate": (
        probe(primes(2, 3), primes(2, 3, after=20) * _TURNED, primes(2, 3, after=50)),
        probe(primes(2, 3), primes(1, 3, after=20), primes(2, 3, after=50)),
    ),
    "control_variate_weight": (
        *(probe(_A, _C, rule=rule) for rule in ("standard", "optimal", "conservative", "aggressive")),
        *(probe(_A, _C, rule=rule, centered=False) for rule in ("optimal", "conservative")),
        probe(_A, _C[:1], rule="optimal"), Slope(0, probe(_A[:2], _C[:2], rule="optimal")),
        Slope(1, probe(_A[:2], _C[:2], rule="optimal")),
    ),
    "q_prop_gradient": (probe(*_batch(3)), probe(*_batch(2))),
    "mixed_gradient": (
        probe(*_halves(3), on_policy_fraction=0.75), probe(*_halves(2), on_policy_fraction=0.75),
        probe(*_UNREAD, on_policy_fraction=1.0),
    ),
}  # fmt: skip

OPEN: dict[str, str] = {}
