"""Bugs of the score-function, clipped and deterministic policy gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import reference
from properties._bugs._record import Behaves, Bug, Probe, Slope, primes, probe


# ------------------------------------------------------------------------------------------------------------ making entries
def wrong(operator: str, mistake: str, story: str, seen: str, behaves: Behaves) -> Bug:
    """An entry whose function refuses what the operator refuses, and makes that one mistake."""
    right = getattr(reference, operator)

    def checked(*arguments: Any, **keywords: Any) -> Any:
        with np.errstate(all="ignore"):
            right(*arguments, **keywords)
            return behaves(*map(np.asarray, arguments), **keywords)

    return Bug(operator, mistake, story, seen, checked)


def unchecked(operator: str, behaves: Behaves, seen: str = "") -> Bug:
    """The right numbers, for shapes that do not fit, too: NumPy's rules stretch them."""

    def stretched(*arguments: Any, **keywords: Any) -> Any:
        return behaves(*map(np.asarray, arguments), **keywords)

    return Bug(operator, "column-broadcast", "[B] against [B, 1] is broadcast to [B, B] instead of being refused", seen, stretched)


def sloped(operator: str, mistake: str, story: str, seen: str, slopes: Callable[..., Mapping[int | str, Any]]) -> Bug:
    """An entry for the derivatives of an element-wise operator: `slopes` gives each argument's, a name for a number's."""

    def derivative(argument: int | str, *arguments: Any, cotangent: Any = None, **keywords: Any) -> Any:
        with np.errstate(all="ignore"):
            each = slopes(*map(np.asarray, arguments), **keywords)[argument] * (1.0 if cotangent is None else cotangent)
        return each.sum() if isinstance(argument, str) else each

    return Bug(operator, mistake, story, seen, derivative, derivative=True)


# ----------------------------------------------------------------------------------------------------------------- REINFORCE
def _first(step: Any) -> Any:
    """The first step's number for all steps."""
    return step[..., :1] + np.zeros(step.shape) if step.ndim else step


def _standardised(numbers: Any) -> Any:
    return (numbers - numbers.mean()) / (numbers.std() + 1e-8)


REINFORCE = (
    wrong("reinforce_loss", "sign-turned", "without the minus: descent makes good actions unlikelier",
          "bc-loss-missing-minus", lambda lp, a: lp * a),
    wrong("reinforce_loss", "returns-cast-to-action-dtype", "advantages are cast to the actions' integers: 0.9 becomes 0",
          "reinforce-returns-cast-to-action-dtype", lambda lp, a: -lp * np.trunc(a)),
    wrong("reinforce_loss", "first-return-for-all", "every step is weighed by the first step's return",
          "reinforce-uses-G0-for-all-steps", lambda lp, a: -lp * _first(a)),
    wrong("reinforce_loss", "probability-for-its-logarithm", "pi(a|s) where log pi(a|s) is meant", "",
          lambda lp, a: -np.exp(lp) * a),
    wrong("reinforce_loss", "bad-actions-ignored", "negative advantages are set to 0", "", lambda lp, a: -lp * np.maximum(a, 0.0)),
    wrong("reinforce_loss", "advantages-averaged", "all get the mean advantage: what a mean over [B] times [B, 1] leaves",
          "ppo-advantage-column-broadcast", lambda lp, a: -lp * np.mean(a)),
    wrong("reinforce_loss", "advantages-standardised", "advantages are standardised over the batch inside the loss", "",
          lambda lp, a: -lp * _standardised(a)),
    unchecked("reinforce_loss", lambda lp, a: -lp * a, "a2c-ppo-value-shape-broadcast a2c-advantage-broadcast-BxB"),
    sloped("reinforce_loss", "gradient-into-constants", "the advantage is no constant: the policy's loss trains the baseline",
           "advantage-not-detached-rlexample", lambda lp, a: {0: -a, 1: -lp}),
    sloped("reinforce_loss", "log-prob-detached", "log pi was computed without gradients: the policy never moves", "",
           lambda lp, a: {0: 0.0 * a, 1: 0.0 * a}),
    wrong("reinforce_loss_gradient", "sign-turned", "+A: a step against it makes good actions unlikelier", "", lambda lp, a: +a),
    wrong("reinforce_loss_gradient", "loss-for-its-gradient", "the loss itself: still times log pi", "", lambda lp, a: -lp * a),
    wrong("reinforce_loss_gradient", "returns-cast-to-action-dtype", "advantages are cast to the actions' integers: 0.9 becomes 0",
          "reinforce-returns-cast-to-action-dtype", lambda lp, a: -np.trunc(a)),
    wrong("reinforce_loss_gradient", "bad-actions-ignored", "negative advantages are set to 0", "",
          lambda lp, a: -np.maximum(a, 0.0)),
    wrong("reinforce_loss_gradient", "advantages-averaged", "all get the mean advantage: what a mean over [B] times [B, 1] leaves",
          "ppo-advantage-column-broadcast", lambda lp, a: np.full(a.shape, -np.mean(a))),
    unchecked("reinforce_loss_gradient", lambda lp, a: -a + 0.0 * lp),
)  # fmt: skip


# --------------------------------------------------------------------------------------------------------- clipped surrogate
DUAL = 3.0
"""The dual clip's bound, as its paper and Tianshou's examples set it."""


def _surrogate(change: str) -> Behaves:
    def surrogate(log_ratio: Any, advantage: Any, *, clip: float) -> Any:
        right = reference.clipped_surrogate(log_ratio, advantage, clip=clip)
        ratio = np.exp(log_ratio)
        near, plain = np.clip(ratio, 1 - clip, 1 + clip) * advantage, np.where(advantage == 0, 0.0, ratio * advantage)
        floor = np.maximum(right, DUAL * advantage)
        return {
            "larger": np.maximum(plain, near), "clipped": near, "plain": plain, "loss": -right,
            "nan": np.minimum(ratio * advantage, near), "logarithm": np.exp(np.clip(log_ratio, -clip, clip)) * advantage,
            "twice": right * np.minimum(ratio, 1e6), "linear": np.minimum((1 + log_ratio) * advantage, near),
            "no exp": np.minimum(log_ratio * advantage, np.clip(log_ratio, 1 - clip, 1 + clip) * advantage),
            "above": np.minimum(plain, np.minimum(ratio, 1 + clip) * advantage),
            "dual": floor, "dual of bad": np.where(advantage < 0, floor, right),
        }[change]  # fmt: skip

    return surrogate


def _surrogate_slope(change: str) -> Behaves:
    def gradient(log_ratio: Any, advantage: Any, *, clip: float) -> Any:
        right = reference.clipped_surrogate_gradient(log_ratio, advantage, clip=clip)
        ratio = np.exp(log_ratio)
        inside = (ratio >= 1 - clip) & (ratio <= 1 + clip)
        plain = np.where(advantage == 0, 0.0, ratio * advantage)
        return {
            "plain": plain, "both": np.where(inside, plain, 0.0), "by ratio": np.where(right == 0, 0.0, advantage), "loss": -right,
            "zero": 0.0 * plain, "nan": np.where((right == 0) & (plain != 0), 0.0, ratio * advantage),
            "larger": np.where(inside | (right == 0), plain, 0.0),
            "dual": np.where((advantage < 0) & (ratio > DUAL), 0.0, right),
        }[change]  # fmt: skip

    return gradient


def _surrogate_slopes(change: str) -> Callable[..., Mapping[int | str, Any]]:
    """By automatic differentiation: in log_ratio, and in the advantage, a constant."""

    def slopes(log_ratio: Any, advantage: Any, *, clip: float) -> Mapping[int | str, Any]:
        right = reference.clipped_surrogate_gradient(log_ratio, advantage, clip=clip)
        ratio = np.exp(log_ratio)
        if change == "advantage":
            sides = np.where(advantage > 0, np.minimum(ratio, 1 + clip), np.maximum(ratio, 1 - clip))
            return {0: right, 1: np.where(advantage == 0, np.clip(ratio, 1 - clip, 1 + clip), sides)}
        if change == "nan":
            return {0: np.where(np.isinf(ratio) & (advantage >= 0), np.nan, right), 1: 0.0 * advantage}
        found = 0.0 * advantage if change == "detached" else _surrogate_slope(change)(log_ratio, advantage, clip=clip)
        return {0: found, 1: 0.0 * advantage}

    return slopes


SURROGATE = (
    wrong("clipped_surrogate", "larger-branch", "the larger of both branches: optimistic, and unbounded", "", _surrogate("larger")),
    wrong("clipped_surrogate", "clipped-branch-only", "no minimum: a ratio on the wrong side is forgiven", "",
          _surrogate("clipped")),
    wrong("clipped_surrogate", "unclipped-branch-only", "the clip has no effect", "", _surrogate("plain")),
    wrong("clipped_surrogate", "logarithm-clipped", "the log-ratio is clipped instead of the ratio", "", _surrogate("logarithm")),
    wrong("clipped_surrogate", "sign-turned", "a loss where the objective is meant", "", _surrogate("loss")),
    wrong("clipped_surrogate", "ratio-applied-twice", "the advantage is importance-weighted before: the ratio counts twice",
          "pufferlib-ratio-applied-twice", _surrogate("twice")),
    wrong("clipped_surrogate", "dual-clip-for-all", "the dual clip's lower bound is put on good actions, too: a constant",
          "ppo-dual-clip-positive-advantage", _surrogate("dual")),
    wrong("clipped_surrogate", "dual-clip-of-bad-actions", "a bad action costs no more than 3 |A|, which PPO does not have", "",
          _surrogate("dual of bad")),
    wrong("clipped_surrogate", "ratio-to-first-order", "1 + log ratio in place of the ratio", "", _surrogate("linear")),
    wrong("clipped_surrogate", "log-ratio-for-ratio", "the exponential is missing", "", _surrogate("no exp")),
    wrong("clipped_surrogate", "ratio-upside-down", "pi_old / pi: the difference of the logarithms is turned", "",
          lambda lr, a, *, clip: reference.clipped_surrogate(-lr, a, clip=clip)),
    wrong("clipped_surrogate", "infinity-times-zero", "a ratio beyond the float range times an advantage of 0 is nan", "",
          _surrogate("nan")),
    wrong("clipped_surrogate", "clipped-from-above-only", "no lower clip: bad actions are pushed away without end", "",
          _surrogate("above")),
    unchecked("clipped_surrogate", lambda lr, a, *, clip: np.minimum(
        np.where(a == 0, 0.0, np.exp(np.minimum(lr, 1e3)) * a), np.clip(np.exp(np.minimum(lr, 1e3)), 1 - clip, 1 + clip) * a),
        "ppo-advantage-column-broadcast ppo-ratio-matrix-from-shape"),
    sloped("clipped_surrogate", "gradient-into-constants", "the advantage is no constant: the policy's loss trains the baseline",
           "advantage-not-detached-rlexample", _surrogate_slopes("advantage")),
    sloped("clipped_surrogate", "gradient-killed-on-both-sides", "no gradient outside the clip, where it leads back, too", "",
           _surrogate_slopes("both")),
    sloped("clipped_surrogate", "gradient-never-killed", "a straight-through clip: the gradient does not vanish outside", "",
           _surrogate_slopes("plain")),
    sloped("clipped_surrogate", "log-prob-detached", "log pi was computed without gradients: the policy never moves", "",
           _surrogate_slopes("detached")),
    sloped("clipped_surrogate", "nan-from-the-branch-not-taken", "where() mends the value at infinite ratios, not the gradient", "",
           _surrogate_slopes("nan")),
    wrong("clipped_surrogate_gradient", "unclipped-branch-only", "the clip has no effect", "", _surrogate_slope("plain")),
    wrong("clipped_surrogate_gradient", "gradient-killed-on-both-sides", "none outside the clip, where it leads back, too", "",
          _surrogate_slope("both")),
    wrong("clipped_surrogate_gradient", "derivative-by-the-ratio", "A instead of rho A: the chain's factor is missing", "",
          _surrogate_slope("by ratio")),
    wrong("clipped_surrogate_gradient", "sign-turned", "of the loss, where the objective's is meant", "", _surrogate_slope("loss")),
    wrong("clipped_surrogate_gradient", "zero-throughout", "the ratio is the policy's to itself, as of now: without gradient", "",
          _surrogate_slope("zero")),
    wrong("clipped_surrogate_gradient", "larger-branch", "of the larger branch: it vanishes where it should lead back", "",
          _surrogate_slope("larger")),
    wrong("clipped_surrogate_gradient", "infinity-times-zero", "a ratio beyond the float range times an advantage of 0 is nan", "",
          _surrogate_slope("nan")),
    wrong("clipped_surrogate_gradient", "dual-clip-of-bad-actions", "it vanishes for bad actions of ratio above 3", "",
          _surrogate_slope("dual")),
)  # fmt: skip


# ------------------------------------------------------------------------------------------------------- deterministic policies
def chained(gradient: Any, jacobian: Any) -> Any:
    """J'g for each state, [B, P]."""
    return np.einsum("bdp,bd->bp", jacobian, gradient)


def transposed(gradient: Any, jacobian: Any) -> Any:
    """J g for each state: it exists only if there are as many parameters as action dimensions."""
    return np.einsum("bdp,bp->bd", jacobian, gradient)


def product_of_the_means(gradient: Any, jacobian: Any) -> Any:
    """The mean Jacobian times the mean gradient, [P]."""
    return jacobian.mean(axis=0).T @ gradient.mean(axis=0)


def _pulled(gradient: Any, jacobian: Any) -> Any:
    """J'g where a single row or dimension does for all."""
    return (jacobian * gradient[..., None]).sum(axis=1)


DETERMINISTIC = (
    wrong("deterministic_policy_gradient", "sum-over-the-batch", "the sum over the states, not their mean",
          "ddpg-actor-gradient-sum-not-mean", lambda g, j: chained(g, j).sum(axis=0)),
    wrong("deterministic_policy_gradient", "divided-by-the-batch-twice", "a mean, and then divided by the batch size again",
          "ddpg-double-batch-division", lambda g, j: chained(g, j).mean(axis=0) / len(g)),
    wrong("deterministic_policy_gradient", "sign-turned", "a descent direction: actions move to where the critic falls", "",
          lambda g, j: -chained(g, j).mean(axis=0)),
    wrong("deterministic_policy_gradient", "product-of-the-means", "the mean Jacobian times the mean gradient of Q", "",
          product_of_the_means),
    wrong("deterministic_policy_gradient", "only-the-gradients-sign", "the sign of dQ/da, not its size", "",
          lambda g, j: chained(np.sign(g), j).mean(axis=0)),
    wrong("deterministic_policy_gradient", "mean-over-action-dimensions", "action dimensions are averaged, not added",
          "rebrac-bc-term-mean-over-dims", lambda g, j: chained(g, j).mean(axis=0) / g.shape[-1]),
    wrong("deterministic_policy_gradient", "divided-by-the-mean-size-of-the-gradient", "normalised by mean |dQ/da|",
          "td3bc-normaliser-uses-gradient-magnitude", lambda g, j: chained(g, j).mean(axis=0) / (np.abs(g).mean() or 1.0)),
    wrong("deterministic_policy_gradient", "jacobian-not-transposed", "J g for J'g: right or wrong shape by luck", "",
          lambda g, j: transposed(g, j).mean(axis=0)),
    unchecked("deterministic_policy_gradient", lambda g, j: _pulled(g, j).mean(axis=0)),
    wrong("compatible_features", "action-for-its-deviation", "J'a: the mean is not subtracted", "", lambda a, m, j: chained(a, j)),
    wrong("compatible_features", "sign-turned", "J'(mu - a): mean less action", "", lambda a, m, j: chained(m - a, j)),
    wrong("compatible_features", "size-of-the-deviation", "J'|a - mu|: the side is lost", "",
          lambda a, m, j: chained(np.abs(a - m), j)),
    wrong("compatible_features", "centred-over-the-batch", "the batch's mean features are subtracted", "",
          lambda a, m, j: chained(a - m, j) - chained(a - m, j).mean(axis=0)),
    wrong("compatible_features", "averaged-over-the-batch", "one row, the mean over the states", "",
          lambda a, m, j: chained(a - m, j).mean(axis=0)),
    wrong("compatible_features", "mean-over-action-dimensions", "action dimensions are averaged, not added", "",
          lambda a, m, j: chained(a - m, j) / a.shape[-1]),
    wrong("compatible_features", "jacobian-not-transposed", "J (a - mu) for J'(a - mu): right or wrong shape by luck", "",
          lambda a, m, j: transposed(a - m, j)),
    unchecked("compatible_features", lambda a, m, j: _pulled(a - m, j)),
)  # fmt: skip

BUGS = REINFORCE + SURROGATE + DETERMINISTIC


# ------------------------------------------------------------------------------------------------------------------- questions
SIGNS = np.array([[1.0, -1.0, 1.0], [1.0, 1.0, -1.0]])
ADVANTAGES = primes(2, 3, after=10) * SIGNS / 8
_PAIR = probe(-primes(2, 3) / 16, ADVANTAGES)
_COLUMN = (primes(2) / 16, primes(2, 1, after=10) / 8)
_RATIOS = probe(
    np.array([[-2.0, -0.125, 0.0, 0.125, 2.0], [2.0, 0.125, -0.25, -1.0, -2.0]]),
    primes(2, 5) * np.array([[1.0], [-1.0]]), clip=0.25,
)  # fmt: skip
_FAR = probe(np.array([8192.0, -8192.0, 8192.0, -8192.0]), np.array([0.0, 0.0, 3.0, -5.0]), clip=0.25)
_SLOPES = primes(3, 2) * np.array([[1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
_MEANS = primes(3, 2, after=200) * np.array([[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0]])
_TALL, _SQUARE = primes(3, 2, 3, after=10), primes(3, 2, 2, after=100)

PROBES: dict[str, tuple[Probe, ...]] = {
    "reinforce_loss": (_PAIR, probe(*_COLUMN), Slope(0, _PAIR), Slope(1, _PAIR)),
    "reinforce_loss_gradient": (_PAIR, probe(*_COLUMN)),
    "clipped_surrogate": (
        _RATIOS, _FAR, probe(*_COLUMN, clip=0.25), Slope(0, _RATIOS), Slope(1, _RATIOS), Slope(0, _FAR),
    ),
    "clipped_surrogate_gradient": (_RATIOS, _FAR),
    "deterministic_policy_gradient": (probe(_SLOPES, _TALL), probe(_SLOPES, _SQUARE), probe(_SLOPES[:1], _TALL)),
    "compatible_features": (
        probe(_SLOPES, _MEANS, _TALL), probe(_SLOPES, _MEANS, _SQUARE), probe(_SLOPES, _MEANS[:1], _TALL),
    ),
}  # fmt: skip

_NO_VALUE_CLIPPING = "no such operator in the contract: PPO's clipped value loss"
OPEN: dict[str, str] = dict.fromkeys(
    ("ppo-value-clip-min", "ppo-value-clip-min-rllib", "ppo-value-clip-around-zero", "ppo-value-clip-uses-current-prediction"),
    _NO_VALUE_CLIPPING,
) | {
    "modular-rl-reward-filter-after-storing": "an agent's: the reward is stored, then filtered; no agent here filters rewards",
    "value-clip-fraction-ratio": "no such operator in the contract: the fraction of clipped ratios that PPO logs",
    "recurrent-ppo-masked-mean": "no operator takes padding: losses are element by element; waits for a recurrent agent (ppo)",
    "acer-bias-correction-advantage": "no such operator in the contract: ACER",
}  # fmt: skip
