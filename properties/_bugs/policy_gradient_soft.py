"""Bugs of SAC's two losses, the policy's and the temperature's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import reference
from properties._bugs._record import Behaves, Probe, Slope, primes, probe
from properties._bugs.policy_gradient import sloped, unchecked, wrong
from reference.policy_gradient import SoftPolicyGradient


# ------------------------------------------------------------------------------------------------------------- the policy's loss
def _soft(change: str) -> Behaves:
    def loss(q1: Any, q2: Any, log_prob: Any, *, entropy_coefficient: float) -> Any:
        alpha = entropy_coefficient
        value = {"larger": np.maximum(q1, q2), "first": q1, "mean": (q1 + q2) / 2}.get(change, np.minimum(q1, q2))
        seen = {"square": log_prob**2, "probability": np.exp(log_prob), "turned": -log_prob}.get(change, log_prob)
        weight = {"left out": 1.0, "exponential": np.exp(alpha), "inverse": 1.0}.get(change, alpha)
        return weight * seen - value * (1 / np.asarray(alpha) if change == "inverse" else 1.0)

    return loss


def _soft_gradient(change: Callable[[SoftPolicyGradient, Any, Any], tuple[Any, Any, Any]]) -> Behaves:
    """The three derivatives as the change makes them of the right ones and of both values."""

    def gradient(q1: Any, q2: Any, log_prob: Any, *, entropy_coefficient: float) -> SoftPolicyGradient:
        right = reference.soft_policy_loss_gradient(q1, q2, log_prob, entropy_coefficient=entropy_coefficient)
        return SoftPolicyGradient(*(np.zeros(q1.shape) + part for part in change(right, q1, q2)))

    return gradient


def _soft_slopes(change: Callable[[SoftPolicyGradient, Any, Any], tuple[Any, Any, Any]]) -> Callable[..., Mapping[int | str, Any]]:
    return lambda *a, **k: dict(enumerate(_soft_gradient(change)(*a, **k)))


def _ties_to_the_first(right: SoftPolicyGradient, q1: Any, q2: Any) -> tuple[Any, Any, Any]:
    return -1.0 * (q1 <= q2), -1.0 * (q1 > q2), right.log_prob


SOFT = (
    wrong("soft_policy_loss", "larger-critic", "the maximum of both critics: optimistic where it should be pessimistic", "",
          _soft("larger")),
    wrong("soft_policy_loss", "first-critic-only", "Q1 alone, not the minimum of both",
          "haarnoja-sac-actor-uses-first-critic", _soft("first")),
    wrong("soft_policy_loss", "mean-of-the-critics", "the mean of both critics, not their minimum",
          "softlearning-actor-uses-mean", _soft("mean")),
    wrong("soft_policy_loss", "entropy-sign-turned", "-alpha log pi - min Q: randomness is punished",
          "entropy-estimate-sign", _soft("turned")),
    wrong("soft_policy_loss", "log-probability-squared", "log pi is multiplied in twice",
          "discrete-sac-actor-double-logp", _soft("square")),
    wrong("soft_policy_loss", "probability-for-its-logarithm", "pi(a|s) where log pi(a|s) is meant",
          "discrete-sac-logprob-missing-log", _soft("probability")),
    wrong("soft_policy_loss", "sign-turned", "an objective, min Q - alpha log pi, where the loss is meant", "",
          lambda q1, q2, lp, *, entropy_coefficient: np.minimum(q1, q2) - entropy_coefficient * lp),
    wrong("soft_policy_loss", "coefficient-left-out", "log pi - min Q, whatever alpha", "", _soft("left out")),
    wrong("soft_policy_loss", "coefficient-exponentiated", "exp(alpha): alpha is taken for its logarithm", "",
          _soft("exponential")),
    wrong("soft_policy_loss", "value-over-the-coefficient", "log pi - min Q / alpha: another scale, and 0/0 at alpha = 0", "",
          _soft("inverse")),
    unchecked("soft_policy_loss", lambda q1, q2, lp, *, entropy_coefficient: entropy_coefficient * lp - np.minimum(q1, q2)),
    sloped("soft_policy_loss", "values-detached", "actions are drawn without gradients: the values do not move the policy",
           "sac-sample-not-rsample", _soft_slopes(lambda g, q1, q2: (0.0, 0.0, g.log_prob))),
    sloped("soft_policy_loss", "log-prob-detached", "log pi is a constant: nothing holds the entropy up", "",
           _soft_slopes(lambda g, q1, q2: (g.q1, g.q2, 0.0))),
    sloped("soft_policy_loss", "ties-to-the-first", "where both critics agree, Q1 alone is followed", "",
           _soft_slopes(_ties_to_the_first)),
    wrong("soft_policy_loss_gradient", "through-both-critics", "-1 in either: both critics are followed, not the smaller", "",
          _soft_gradient(lambda g, q1, q2: (-1.0, -1.0, g.log_prob))),
    wrong("soft_policy_loss_gradient", "ties-pass-nothing", "where both critics agree, neither is followed", "",
          _soft_gradient(lambda g, q1, q2: (-1.0 * (q1 < q2), -1.0 * (q2 < q1), g.log_prob))),
    wrong("soft_policy_loss_gradient", "larger-critic", "through the maximum of both critics", "",
          _soft_gradient(lambda g, q1, q2: (g.q2, g.q1, g.log_prob))),
    wrong("soft_policy_loss_gradient", "first-critic-only", "through Q1 alone, not the minimum of both",
          "haarnoja-sac-actor-uses-first-critic", _soft_gradient(lambda g, q1, q2: (-1.0, 0.0, g.log_prob))),
    wrong("soft_policy_loss_gradient", "mean-of-the-critics", "through the mean of both critics",
          "softlearning-actor-uses-mean", _soft_gradient(lambda g, q1, q2: (-0.5, -0.5, g.log_prob))),
    wrong("soft_policy_loss_gradient", "one-critics-gradient-for-both", "the first critic's gradient is applied to both",
          "skrl-jax-sac-shared-gradient", _soft_gradient(lambda g, q1, q2: (g.q1, g.q1, g.log_prob))),
    wrong("soft_policy_loss_gradient", "values-detached", "actions are drawn without gradients: the values do not move the policy",
          "sac-sample-not-rsample", _soft_gradient(lambda g, q1, q2: (0.0, 0.0, g.log_prob))),
    wrong("soft_policy_loss_gradient", "coefficient-left-out", "1 in log pi, whatever alpha", "",
          _soft_gradient(lambda g, q1, q2: (g.q1, g.q2, 1.0))),
    wrong("soft_policy_loss_gradient", "entropy-sign-turned", "-alpha in log pi: randomness is punished",
          "entropy-estimate-sign", _soft_gradient(lambda g, q1, q2: (g.q1, g.q2, -g.log_prob))),
)  # fmt: skip


# ------------------------------------------------------------------------------------------------------- the temperature's loss
def _temperature(change: str) -> Behaves:
    def loss(log_prob: Any, *, log_coefficient: float, target_entropy: float) -> Any:
        alpha, target = np.exp(log_coefficient), target_entropy
        scale = {"by alpha": -1.0, "turned": alpha}.get(change, -alpha)
        excess = log_prob + {"target turned": -target, "no target": 0.0}.get(change, target)
        excess = np.minimum(excess, 0.0) if change == "only falls" else excess
        return scale * (np.full(excess.shape, excess.mean()) if change == "mean" else excess)

    return loss


def _temperature_slopes(change: str) -> Callable[..., Mapping[int | str, Any]]:
    """By automatic differentiation: in log pi, a constant, and in the coefficient's logarithm."""

    def slopes(log_prob: Any, **numbers: float) -> Mapping[int | str, Any]:
        right = reference.temperature_loss_gradient(log_prob, **numbers)
        moved = {"by alpha": _temperature("by alpha")(log_prob, **numbers), "detached": 0.0 * right}.get(change, right)
        leak = np.exp(numbers["log_coefficient"]) if change == "leak" else 0.0
        return {0: np.full(log_prob.shape, -leak), "log_coefficient": moved}

    return slopes


TEMPERATURE = (
    wrong("temperature_loss", "target-sign-turned", "log pi - target: the target entropy enters with the wrong sign",
          "discrete-sac-target-entropy-sign", _temperature("target turned")),
    wrong("temperature_loss", "sign-turned", "alpha grows where there is entropy enough", "", _temperature("turned")),
    wrong("temperature_loss", "batch-mean-for-each", "each element gets the batch's mean", "", _temperature("mean")),
    wrong("temperature_loss", "target-left-out", "-alpha log pi: alpha falls whatever the target", "", _temperature("no target")),
    sloped("temperature_loss", "gradient-into-constants", "log pi is no constant: the temperature's loss trains the policy", "",
           _temperature_slopes("leak")),
    sloped("temperature_loss", "derivative-by-the-coefficient", "by alpha, applied to log alpha: the chain's factor is missing",
           "sac-alpha-gradient-wrong-variable", _temperature_slopes("by alpha")),
    sloped("temperature_loss", "coefficient-detached", "alpha is a constant: it is never tuned", "",
           _temperature_slopes("detached")),
    wrong("temperature_loss_gradient", "target-sign-turned", "log pi - target: the target entropy enters with the wrong sign",
          "discrete-sac-target-entropy-sign", _temperature("target turned")),
    wrong("temperature_loss_gradient", "sign-turned", "alpha grows where there is entropy enough", "", _temperature("turned")),
    wrong("temperature_loss_gradient", "may-only-fall", "alpha falls with too much entropy and never grows with too little", "",
          _temperature("only falls")),
    wrong("temperature_loss_gradient", "batch-mean-for-each", "each element gets the batch's mean", "", _temperature("mean")),
    wrong("temperature_loss_gradient", "target-left-out", "-alpha log pi: alpha falls whatever the target", "",
          _temperature("no target")),
)  # fmt: skip

BUGS = SOFT + TEMPERATURE


# ------------------------------------------------------------------------------------------------------------------- questions
_TWINS = probe(
    np.array([[2.0, 5.0, 7.0], [11.0, 13.0, 17.0]]), np.array([[3.0, 3.0, 7.0], [-11.0, 19.0, 17.0]]),
    np.array([[-1.25, 0.5, -2.0], [-0.25, 1.5, -0.75]]), entropy_coefficient=0.375,
)  # fmt: skip
_TUNED = probe(primes(2, 3) / 8 * np.array([[-1.0], [1.0]]), log_coefficient=-1.5, target_entropy=-0.5)
_COLUMN = (primes(2), primes(2, after=10), primes(2, 1, after=20) / 8)

PROBES: dict[str, tuple[Probe, ...]] = {
    "soft_policy_loss": (
        _TWINS, probe(*_COLUMN, entropy_coefficient=0.375), Slope(0, _TWINS), Slope(1, _TWINS), Slope(2, _TWINS),
    ),
    "soft_policy_loss_gradient": (_TWINS,),
    "temperature_loss": (_TUNED, Slope(0, _TUNED), Slope("log_coefficient", _TUNED)),
    "temperature_loss_gradient": (_TUNED,),
}  # fmt: skip

OPEN: dict[str, str] = {}
