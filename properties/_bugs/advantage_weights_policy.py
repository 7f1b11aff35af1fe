"""Bugs of the loss that advantage weights weigh, and of the policy that it leads to."""

from __future__ import annotations

from typing import Any

import numpy as np

import reference
from properties._bugs._record import Behaves, Bug, Probe, Slope, primes, probe
from properties._bugs.advantage_weights import BETA, COTANGENT, FLOWS, NOT_DETACHED, OVERFLOW, ROWS, WITHOUT


# ------------------------------------------------------------------------------------------------------------- the loss
def _loss(change: str) -> Behaves:
    def loss(log_prob: Any, weight: Any) -> Any:
        log_p, w = np.asarray(log_prob), np.asarray(weight)
        if change == "column":
            return -w * log_p
        right = reference.weighted_policy_loss(log_prob, weight)
        return {
            "plus": -right, "mean": right.mean(), "sum": right.sum(), "share": -(w / w.sum()) * log_p,
            "probability": -w * np.exp(log_p), "twice": -np.exp(w) * log_p, "unweighted": -log_p,
            "cap": -np.minimum(w, 20.0) * log_p,
        }[change]  # fmt: skip

    return loss


def _loss_gradient(change: str) -> Behaves:
    def gradient(log_prob: Any, weight: Any) -> Any:
        log_p, w = np.asarray(log_prob), np.asarray(weight)
        if change == "column":
            return -w * np.ones(log_p.shape)
        right = reference.weighted_policy_loss_gradient(log_prob, weight)
        return {
            "plus": -right, "mean": right / w.size, "share": -w / w.sum(), "loss": -w * log_p, "odds": -w * np.exp(-log_p),
            "unweighted": -np.ones(w.shape),
        }[change]  # fmt: skip

    return gradient


def _loss_slope(change: str) -> Behaves:
    """In log pi, or in the weight, which should be 0."""

    def derivative(argument: int | str, log_prob: Any, weight: Any, *, cotangent: Any = None) -> Any:
        log_p, w = np.asarray(log_prob), np.asarray(weight)
        slope = {"flows": -w, "detached": 0.0 * w, "plus": w, "mean": -w / w.size}[change]
        if argument in (1, "weight"):
            slope = -log_p if change == "flows" else 0.0 * w
        return slope * (1.0 if cotangent is None else cotangent)

    return derivative


# ----------------------------------------------------------------------------------------------------------- the policy
def _policy(change: str) -> Behaves:
    def policy(behavior: Any, q: Any, *, temperature: float) -> Any:
        reference.improved_policy(behavior, q, temperature=temperature)
        mu, x, t = np.asarray(behavior), np.asarray(q), temperature
        if change == "inverse":
            x = np.where(mu > 0, x, np.where(mu > 0, x, np.inf).min(axis=-1, keepdims=True)) * t * t
        prior = {"uniform": np.ones(mu.shape), "squared": mu * mu, "epsilon": mu + 1e-8}.get(change, mu)
        seen = np.where(prior > 0, x, -np.inf)
        top = {"overflow": 0.0, "unseen": x.max(axis=-1, keepdims=True)}.get(change, seen.max(axis=-1, keepdims=True))
        if change == "no sum":
            return mu * np.exp((x - (mu * x).sum(axis=-1, keepdims=True)) / t)
        if change == "greedy":
            return np.eye(x.shape[-1])[seen.argmax(axis=-1)]
        if change == "sign":
            return reference.improved_policy(mu, -x, temperature=t)
        mass = prior * np.exp(np.where(prior > 0, x - top, 0.0) / (1.0 if change == "no temperature" else t))
        return mass / mass.sum(axis=-1, keepdims=True)

    return policy


def _policy_slope(argument: int | str, behavior: Any, q: Any, *, temperature: float, cotangent: Any = None) -> Any:
    """Of mu exp(q / t) / sum of mu exp(q / t), in q or in mu."""
    pi, mu = reference.improved_policy(behavior, q, temperature=temperature), np.asarray(behavior)
    weight = np.zeros(pi.shape) if cotangent is None else np.asarray(cotangent)
    pull = weight - (pi * weight).sum(axis=-1, keepdims=True)
    if argument in (0, "behavior"):
        return np.where(mu > 0, pi / np.where(mu > 0, mu, 1.0), 0.0) * pull
    return pi * pull / temperature


# -------------------------------------------------------------------------------------------------------------- entries
LIKELIHOOD = "iql-lecture-descends-the-likelihood bc-loss-missing-minus"
BROADCAST = "lambda-return-shape-broadcast"

BUGS = (
    Bug("weighted_policy_loss", "sign-turned", "weight log pi is descended: good actions become rarer", LIKELIHOOD, _loss("plus")),
    Bug("weighted_policy_loss", "mean-over-the-batch", "the mean over the batch is returned, not the loss of each element", "",
        _loss("mean")),
    Bug("weighted_policy_loss", "summed-over-the-batch", "the sum over the batch is returned", "", _loss("sum")),
    Bug("weighted_policy_loss", "weights-normalised-again", "the weights are divided by their sum in the loss", "", _loss("share")),
    Bug("weighted_policy_loss", "probability-for-its-logarithm", "weight pi in place of weight log pi", "", _loss("probability")),
    Bug("weighted_policy_loss", "weight-exponentiated-again", "exp of the weight: it is taken for the advantage", "",
        _loss("twice")),
    Bug("weighted_policy_loss", "cap-fixed-at-20", "the loss caps the weights once more, at AWR's 20", "", _loss("cap")),
    Bug("weighted_policy_loss", "weights-not-read", "-log pi: cloning, whatever the weights", "", _loss("unweighted")),
    Bug("weighted_policy_loss", "shapes-broadcast", "[B] log-probabilities times [B, 1] weights: a loss for every pair of samples",
        BROADCAST, _loss("column")),
    Bug("weighted_policy_loss", "weight-not-detached", FLOWS, NOT_DETACHED, _loss_slope("flows"), derivative=True),
    Bug("weighted_policy_loss", "log-prob-detached", "log pi is cut off: the policy learns nothing", "", _loss_slope("detached"),
        derivative=True),
    Bug("weighted_policy_loss", "gradient-sign-turned", "differentiating gives +weight: good actions become rarer", "",
        _loss_slope("plus"), derivative=True),
    Bug("weighted_policy_loss", "gradient-of-the-mean", "differentiating gives -weight over the size of the batch", "",
        _loss_slope("mean"), derivative=True),
    Bug("weighted_policy_loss_gradient", "sign-turned", "+weight: descending it makes good actions rarer", LIKELIHOOD,
        _loss_gradient("plus")),
    Bug("weighted_policy_loss_gradient", "mean-over-the-batch", "divided by the size of the batch", "", _loss_gradient("mean")),
    Bug("weighted_policy_loss_gradient", "weights-normalised-again", "the weights are divided by their sum", "",
        _loss_gradient("share")),
    Bug("weighted_policy_loss_gradient", "loss-for-its-gradient", "-weight log pi: the loss itself", "", _loss_gradient("loss")),
    Bug("weighted_policy_loss_gradient", "gradient-in-the-probability", "-weight / pi: the slope in pi, not in log pi", "",
        _loss_gradient("odds")),
    Bug("weighted_policy_loss_gradient", "weights-not-read", "-1: cloning, whatever the weights", "", _loss_gradient("unweighted")),
    Bug("weighted_policy_loss_gradient", "shapes-broadcast", "[B] log-probabilities times [B, 1] weights: a slope for every pair",
        BROADCAST, _loss_gradient("column")),
    Bug("improved_policy", "behavior-not-read", "softmax(q / t): the behavior is taken for uniform", "", _policy("uniform")),
    Bug("improved_policy", "behavior-counted-twice", "mu^2 exp(q / t): samples from mu are weighed by mu once more", "",
        _policy("squared")),
    Bug("improved_policy", "epsilon-in-the-logarithm", "log(mu + 1e-8): actions never taken get mass if their q is large", "",
        _policy("epsilon")),
    Bug("improved_policy", "largest-outside-the-support-subtracted", "the largest q of all is subtracted: 0 / 0 in the support",
        "", _policy("unseen")),
    Bug("improved_policy", "exp-without-subtracting-the-maximum", OVERFLOW, "", _policy("overflow")),
    Bug("improved_policy", "sum-left-out", "mu exp(A / t), not divided by its sum", "", _policy("no sum")),
    Bug("improved_policy", "temperature-for-its-inverse", "mu exp(t q): temperature and its inverse confused", BETA,
        _policy("inverse")),
    Bug("improved_policy", "temperature-missing", "mu exp(q), whatever the temperature", WITHOUT, _policy("no temperature")),
    Bug("improved_policy", "sign-turned", "mu exp(-q / t)", "", _policy("sign")),
    Bug("improved_policy", "greedy-for-tilted", "the best action in the support takes all", "", _policy("greedy")),
    Bug("improved_policy", "gradient-into-constants", FLOWS, NOT_DETACHED, _policy_slope, derivative=True),
)  # fmt: skip

_LOG_PROB, _WEIGHT = -primes(2, 3) / 8, np.array([[3.0, 40.0, 5.0], [7.0, 11.0, 0.25]])
_COLUMN = probe(-primes(2) / 8, primes(2, 1, after=3))
_BEHAVIOR = np.array([[0.5, 0.25, 0.25], [0.125, 0.0, 0.875]])

PROBES: dict[str, tuple[Probe, ...]] = {
    "weighted_policy_loss": (
        probe(_LOG_PROB, _WEIGHT),
        _COLUMN,
        Slope(0, probe(_LOG_PROB, _WEIGHT)),
        Slope(1, probe(_LOG_PROB, _WEIGHT)),
    ),
    "weighted_policy_loss_gradient": (probe(_LOG_PROB, _WEIGHT), _COLUMN),
    "improved_policy": (
        probe(_BEHAVIOR, ROWS, temperature=2.0),
        probe(np.array([[0.25, 0.75, 0.0]]), np.array([[2.0, 3.0, 4096.0]]), temperature=2.0),
        probe(np.array([[0.25, 0.75]]), np.array([[-2048.0, -2047.0]]), temperature=0.5),
        Slope(1, probe(_BEHAVIOR, ROWS, temperature=2.0, cotangent=COTANGENT)),
        Slope(0, probe(_BEHAVIOR, ROWS, temperature=2.0, cotangent=COTANGENT)),
    ),
}
