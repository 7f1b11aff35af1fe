"""Wrong operators of the concepts policy_gradient and control_variates: rows of tests/wrong_operators.py."""

from __future__ import annotations

from typing import Any

import numpy as np

import reference
from reference.policy_gradient import SoftPolicyGradient


def _ratio(log_ratio: Any, clip: float) -> tuple[Any, Any]:
    ratio = np.exp(log_ratio)
    return ratio, np.clip(ratio, 1 - clip, 1 + clip)


def _surrogate(change: str) -> Any:
    def surrogate(log_ratio: Any, advantage: Any, *, clip: float) -> Any:
        right = reference.clipped_surrogate(log_ratio, advantage, clip=clip)
        ratio, near = _ratio(log_ratio, clip)
        plain = np.where(advantage == 0, 0.0, ratio * advantage)
        if change == "log":
            return np.exp(np.clip(log_ratio, -clip, clip)) * advantage
        return {
            "max": np.maximum(plain, near * advantage), "clipped": near * advantage, "loss": -right, "plain": plain,
            "nan": np.minimum(ratio * advantage, near * advantage), "twice": right * np.minimum(ratio, 1e6),
            "dual": np.maximum(right, 3 * advantage), "linear": np.minimum((1 + log_ratio) * advantage, near * advantage),
            "one side": np.minimum(plain, np.minimum(ratio, 1 + clip) * advantage),
        }[change]  # fmt: skip

    return surrogate


def _surrogate_slope(change: str) -> Any:
    def gradient(log_ratio: Any, advantage: Any, *, clip: float) -> Any:
        right = reference.clipped_surrogate_gradient(log_ratio, advantage, clip=clip)
        ratio, near = _ratio(log_ratio, clip)
        plain = np.where(advantage == 0, 0.0, ratio * advantage)
        return {
            "plain": plain, "any side": np.where(ratio == near, plain, 0.0), "no ratio": np.where(right == 0, 0.0, advantage),
            "loss": -right, "constant": 0 * right, "nan": np.where(plain == right, ratio * advantage, 0.0),
            "wrong side": np.where((ratio == near) | (right == 0), plain, 0.0),
        }[change]  # fmt: skip

    return gradient


def _temperature(change: str, slope: bool) -> Any:
    def loss(log_prob: Any, *, log_coefficient: float, target_entropy: float) -> Any:
        lp, alpha = np.asarray(log_prob), np.exp(log_coefficient)
        residual = lp - target_entropy if change == "target" else lp + target_entropy
        if change == "variable":
            return -residual if slope else -log_coefficient * residual
        residual = np.minimum(residual, 0.0) if change == "one way" else residual
        residual = np.broadcast_to(residual.mean(), residual.shape) if change == "mean" else residual
        return (1.0 if change == "sign" else -1.0) * alpha * residual

    return loss


def _chained(gradient: Any, jacobian: Any) -> Any:
    return np.einsum("bdp,bd->bp", jacobian, gradient)


def _soft(value: Any, entropy: Any = lambda lp: lp) -> Any:
    return lambda q1, q2, log_prob, *, entropy_coefficient: entropy_coefficient * entropy(log_prob) - value(q1, q2)


def _soft_slope(change: Any) -> Any:
    def gradient(q1: Any, q2: Any, log_prob: Any, *, entropy_coefficient: float) -> SoftPolicyGradient:
        right = reference.soft_policy_loss_gradient(q1, q2, log_prob, entropy_coefficient=entropy_coefficient)
        return SoftPolicyGradient(*(np.broadcast_to(x, np.shape(q1)) for x in change(right, q1, q2)))

    return gradient


POLICY_GRADIENT = [
    ("reinforce_loss", "the sign", "", lambda lp, a: lp * a),
    ("reinforce_loss", "advantages cast to whole numbers", "reinforce-returns-cast-to-action-dtype", lambda lp, a:
     -lp * np.trunc(a)),
    ("reinforce_loss", "the first step's return for all", "reinforce-uses-G0-for-all-steps", lambda lp, a: -lp * (
        a[..., :1] if a.ndim else a)),
    ("reinforce_loss", "the probability for its logarithm", "", lambda lp, a: -np.exp(lp) * a),
    ("reinforce_loss", "bad actions ignored", "", lambda lp, a: -lp * np.maximum(a, 0)),
    ("reinforce_loss", "averaged apart by broadcasting", "ppo-advantage-column-broadcast", lambda lp, a: -lp * np.mean(a)),
    ("reinforce_loss_gradient", "the sign", "", lambda lp, a: a + 0 * lp),
    ("reinforce_loss_gradient", "times the log-probability", "", lambda lp, a: -lp * a),
    ("reinforce_loss_gradient", "advantages cast to whole numbers", "reinforce-returns-cast-to-action-dtype", lambda lp, a:
     -np.trunc(a)),
    ("reinforce_loss_gradient", "bad actions ignored", "", lambda lp, a: -np.maximum(a, 0)),
    ("clipped_surrogate", "the larger branch", "", _surrogate("max")),
    ("clipped_surrogate", "the clipped branch only", "", _surrogate("clipped")),
    ("clipped_surrogate", "the unclipped branch only", "", _surrogate("plain")),
    ("clipped_surrogate", "the logarithm clipped", "", _surrogate("log")),
    ("clipped_surrogate", "a loss", "", _surrogate("loss")),
    ("clipped_surrogate", "the ratio twice", "pufferlib-ratio-applied-twice", _surrogate("twice")),
    ("clipped_surrogate", "dual clip for good actions, too", "ppo-dual-clip-positive-advantage", _surrogate("dual")),
    ("clipped_surrogate", "the ratio to first order", "", _surrogate("linear")),
    ("clipped_surrogate", "inf times 0", "", _surrogate("nan")),
    ("clipped_surrogate", "clipped from above only", "", _surrogate("one side")),
    ("clipped_surrogate_gradient", "never vanishes", "", _surrogate_slope("plain")),
    ("clipped_surrogate_gradient", "vanishes on both sides", "", _surrogate_slope("any side")),
    ("clipped_surrogate_gradient", "with respect to the ratio", "", _surrogate_slope("no ratio")),
    ("clipped_surrogate_gradient", "of the loss", "", _surrogate_slope("loss")),
    ("clipped_surrogate_gradient", "zero throughout", "ppo-value-clip-uses-current-prediction", _surrogate_slope("constant")),
    ("clipped_surrogate_gradient", "vanishes where it should not", "ppo-value-clip-min", _surrogate_slope("wrong side")),
    ("clipped_surrogate_gradient", "inf times 0", "", _surrogate_slope("nan")),
    ("deterministic_policy_gradient", "sum over the batch", "ddpg-actor-gradient-sum-not-mean", lambda g, j: _chained(
        g, j).sum(axis=0)),
    ("deterministic_policy_gradient", "divided by the batch twice", "ddpg-double-batch-division", lambda g, j: _chained(
        g, j).sum(axis=0) / len(g) ** 2),
    ("deterministic_policy_gradient", "a descent direction", "", lambda g, j: -_chained(g, j).mean(axis=0)),
    ("deterministic_policy_gradient", "the product of the means", "", lambda g, j: j.mean(axis=0).T @ g.mean(axis=0)),
    ("deterministic_policy_gradient", "only the gradient's sign", "", lambda g, j: _chained(np.sign(g), j).mean(axis=0)),
    ("deterministic_policy_gradient", "mean over dimensions, too", "rebrac-bc-term-mean-over-dims", lambda g, j: _chained(
        g, j).mean(axis=0) / g.shape[-1]),
    ("compatible_features", "the action, not its deviation", "", lambda a, m, j: _chained(a, j)),
    ("compatible_features", "mean less action", "", lambda a, m, j: _chained(m - a, j)),
    ("compatible_features", "the deviation's size", "", lambda a, m, j: _chained(np.abs(a - m), j)),
    ("compatible_features", "centred over the batch", "", lambda a, m, j: _chained(a - m, j) - _chained(a - m, j).mean(axis=0)),
    ("soft_policy_loss", "the larger value", "", _soft(np.maximum)),
    ("soft_policy_loss", "the first critic only", "", _soft(lambda q1, q2: q1)),
    ("soft_policy_loss", "the values' mean", "", _soft(lambda q1, q2: (q1 + q2) / 2)),
    ("soft_policy_loss", "entropy punished", "entropy-estimate-sign", _soft(np.minimum, lambda lp: -lp)),
    ("soft_policy_loss", "the log-probability squared", "discrete-sac-actor-double-logp", _soft(np.minimum, np.square)),
    ("soft_policy_loss", "the probability for its logarithm", "discrete-sac-logprob-missing-log", _soft(np.minimum, np.exp)),
    ("soft_policy_loss", "an objective", "", lambda q1, q2, lp, *, entropy_coefficient:
     np.minimum(q1, q2) - entropy_coefficient * lp),
    ("soft_policy_loss_gradient", "through both critics", "", _soft_slope(lambda g, q1, q2: (-1.0, -1.0, g[2]))),
    ("soft_policy_loss_gradient", "ties to the first", "", _soft_slope(
        lambda g, q1, q2: (-1.0 * (q1 <= q2), -1.0 * (q1 > q2), g[2]))),
    ("soft_policy_loss_gradient", "through the larger", "", _soft_slope(lambda g, q1, q2: (g[1], g[0], g[2]))),
    ("soft_policy_loss_gradient", "draws pass no gradient", "sac-sample-not-rsample", _soft_slope(
        lambda g, q1, q2: (0.0, 0.0, g[2]))),
    ("soft_policy_loss_gradient", "the coefficient left out", "", _soft_slope(lambda g, q1, q2: (g[0], g[1], 1.0))),
    ("temperature_loss", "the target's sign", "discrete-sac-target-entropy-sign", _temperature("target", False)),
    ("temperature_loss", "the coefficient's logarithm for it", "", _temperature("variable", False)),
    ("temperature_loss", "the sign", "", _temperature("sign", False)),
    ("temperature_loss", "the batch's mean for each", "", _temperature("mean", False)),
    ("temperature_loss_gradient", "the target's sign", "discrete-sac-target-entropy-sign", _temperature("target", True)),
    ("temperature_loss_gradient", "with respect to the coefficient", "sac-alpha-gradient-wrong-variable", _temperature(
        "variable", True)),
    ("temperature_loss_gradient", "the sign", "", _temperature("sign", True)),
    ("temperature_loss_gradient", "may only fall", "", _temperature("one way", True)),
]  # fmt: skip


def _weight(change: str) -> Any:
    right = reference.control_variate_weight

    def weight(advantage: Any, control_variate: Any, *, rule: str, centered: bool = True) -> Any:
        a, c = np.asarray(advantage), np.asarray(control_variate)
        if change == "swap" and rule == "optimal":
            return right(c, a, rule=rule, centered=centered)
        if change in ("centred", "uncentred"):
            return right(a, c, rule=rule, centered=change == "centred" and a.shape[-1] > 1)
        found = right(a, c, rule=rule, centered=centered)
        if rule == "optimal":
            about = c - (c.mean(axis=-1, keepdims=True) if centered else 0.0)
            spread, n = np.mean(about**2, axis=-1), c.shape[-1]
            kept = spread / (spread + 1e-4)
            found = {"sample": found * n / max(n - 1, 1), "small number": np.where(spread > 0, found * kept, found),
                     "deviation": found * np.sqrt(spread), "unit": np.clip(found, 0.0, 1.0), "product": found * spread,
                     "nan": np.where(spread == 0, np.nan, found)}.get(change, found)  # fmt: skip
        if change == "zero" and rule == "conservative":
            return np.where(right(a, c, rule="aggressive", centered=centered) == 0, 1.0, found)
        if change == "never against" and rule == "aggressive":
            return np.maximum(found, 0.0)
        return {"sign": -found, "always one": np.ones_like(found)}.get(change, found)

    return weight


def _q_prop(change: str) -> Any:
    def gradient(score: Any, advantage: Any, variate: Any, weight: Any, action_gradient: Any, jacobian: Any) -> Any:
        batch = len(score)
        outer = {"unweighted": np.ones_like(weight), "never added": 0 * weight, "wrong sign": -weight}.get(change, weight)
        outer = np.full_like(weight, weight.mean()) if change == "mean weight" else outer
        inner = 0 * weight if change == "never subtracted" else weight
        terms = score * (advantage - inner * variate)[:, None] + outer[:, None] * _chained(action_gradient, jacobian)
        return terms.sum(axis=0) / {"sum": 1, "twice": batch**2}.get(change, batch)

    return gradient


def _mixed(change: str) -> Any:
    def gradient(score: Any, advantage: Any, action_gradient: Any, jacobian: Any, *, on_policy_fraction: float) -> Any:
        nu, batch, other = on_policy_fraction, len(score), len(action_gradient)
        if change == "authors":
            return reference.mixed_gradient(score, advantage, action_gradient, jacobian, on_policy_fraction=1 - nu)
        on = (score * advantage[:, None]).sum(axis=0) / (batch + other if change == "together" else batch)
        off = _chained(action_gradient, jacobian).sum(axis=0) / {"one batch": batch, "together": batch + other}.get(change, other)
        return nu * on + {"added": 1.0, "descent": nu - 1}.get(change, 1 - nu) * off

    return gradient


CONTROL_VARIATES = [
    ("taylor_control_variate", "mean less action", "", lambda a, m, g: reference.taylor_control_variate(m, a, g)),
    ("taylor_control_variate", "the action, not its deviation", "", lambda a, m, g: (g * a).sum(axis=-1)),
    ("taylor_control_variate", "mean over dimensions", "", lambda a, m, g: (g * (a - m)).mean(axis=-1)),
    ("taylor_control_variate", "one number a dimension", "sac-missing-sum-over-action-dims", lambda a, m, g: g * (a - m)),
    ("control_variate_weight", "over n - 1 in the covariance only", "", _weight("sample")),
    ("control_variate_weight", "a small number added to the variance", "", _weight("small number")),
    ("control_variate_weight", "divided by the deviation", "", _weight("deviation")),
    ("control_variate_weight", "not divided", "", _weight("product")),
    ("control_variate_weight", "the variance of the advantage", "", _weight("swap")),
    ("control_variate_weight", "kept between 0 and 1", "", _weight("unit")),
    ("control_variate_weight", "a constant control variate makes nan", "", _weight("nan")),
    ("control_variate_weight", "always centred", "", _weight("centred")),
    ("control_variate_weight", "never centred", "", _weight("uncentred")),
    ("control_variate_weight", "conservative without correlation is one", "", _weight("zero")),
    ("control_variate_weight", "aggressive never turns the sign", "", _weight("never against")),
    ("control_variate_weight", "the sign", "", _weight("sign")),
    ("control_variate_weight", "always one", "", _weight("always one")),
    ("q_prop_gradient", "the analytic part unweighted", "", _q_prop("unweighted")),
    ("q_prop_gradient", "the analytic part forgotten", "", _q_prop("never added")),
    ("q_prop_gradient", "the analytic part subtracted", "", _q_prop("wrong sign")),
    ("q_prop_gradient", "the control variate not subtracted", "", _q_prop("never subtracted")),
    ("q_prop_gradient", "the mean weight in the analytic part", "", _q_prop("mean weight")),
    ("q_prop_gradient", "sum over the batch", "ddpg-actor-gradient-sum-not-mean", _q_prop("sum")),
    ("q_prop_gradient", "divided by the batch twice", "ddpg-double-batch-division", _q_prop("twice")),
    ("mixed_gradient", "the authors' share, one less ours", "", _mixed("authors")),
    ("mixed_gradient", "the off-policy half not weighted", "", _mixed("added")),
    ("mixed_gradient", "the off-policy half descends", "", _mixed("descent")),
    ("mixed_gradient", "both halves divided by the on-policy batch", "", _mixed("one batch")),
    ("mixed_gradient", "divided by both batches together", "", _mixed("together")),
    ("mixed_gradient", "a half of no weight is read", "", _mixed("")),
]  # fmt: skip

POLICIES = [*POLICY_GRADIENT, *CONTROL_VARIATES]
