"""Bugs of advantage weights, of the loss that they weigh, and of the policy that it leads to."""

from __future__ import annotations

from typing import Any

import numpy as np

import reference
from properties._bounds import Floats
from properties._bugs._record import Behaves, Bug, Probe, Slope, primes, probe


def _standardised(x: Any, epsilon: float = 1e-5, **over: Any) -> Any:
    return (x - np.mean(x, **over)) / (np.std(x, **over) + epsilon)


# ------------------------------------------------------------------------------------------------- sampled advantages
def _advantage(change: str) -> Behaves:
    def advantage(q: Any) -> Any:
        right, x = reference.sampled_advantage(q), np.asarray(q)
        n = x.shape[-1]
        return {
            "max": x - x.max(axis=-1, keepdims=True), "batch": x - x.mean(), "axis": x - x.mean(axis=0), "sign": -right,
            "standardised": _standardised(right), "row": _standardised(right, axis=-1, keepdims=True),
            "others": right * np.divide(n, n - 1), "no baseline": 1.0 * x,
        }[change]  # fmt: skip

    return advantage


def _advantage_slope(argument: int | str, q: Any, *, cotangent: Any = None) -> Any:
    weight = np.ones(np.shape(q)) if cotangent is None else np.asarray(cotangent)
    return weight - weight.mean(axis=-1, keepdims=True)


# ------------------------------------------------------------------------------------------------------ single weights
def _weights(change: str) -> Behaves:
    def weights(advantage: Any, *, temperature: float, max_weight: float | None = None) -> Any:
        reference.exponential_weights(advantage, temperature=temperature, max_weight=max_weight)
        a, t, cap = np.asarray(advantage), temperature, np.inf if max_weight is None else max_weight
        exponent = np.asarray({
            "inverse": a * t, "no temperature": a, "sign": -a / t, "early": np.minimum(a / t, cap), "largest": (a - a.max()) / t,
            "standardised": _standardised(a) / t, "nan": _standardised(a, 0.0) / t, "clipped": np.minimum(a, cap) / t,
        }.get(change, a / t))  # fmt: skip
        if change == "binary":
            return np.minimum(1.0 * (a > 0), cap)
        if change == "share":
            return np.minimum(np.exp(exponent) / np.exp(exponent).sum(axis=-1, keepdims=True), cap)
        limit = {
            "early": np.inf,
            "clipped": np.inf,
            "no cap": np.inf,
            "20": 20.0,
            "100": 100.0,
        }.get(change, cap)
        return np.minimum(np.exp(exponent), limit)

    return weights


def _weights_slope(
    argument: int | str, advantage: Any, *, temperature: float, max_weight: float | None = None, cotangent: Any = None
) -> Any:
    """exp(A / t) / t below the cap."""
    weight = np.exp(np.asarray(advantage) / temperature)
    slope = np.where(weight < (np.inf if max_weight is None else max_weight), weight / temperature, 0.0)
    return slope * (1.0 if cotangent is None else cotangent)


# --------------------------------------------------------------------------------------------------------------- shares
def _shares(change: str) -> Behaves:
    def shares(advantage: Any, *, temperature: float) -> Any:
        right, a, t = reference.normalized_weights(advantage, temperature=temperature), np.asarray(advantage), temperature
        n = a.shape[-1]
        if change in ("mass", "overflow", "batch's top", "axis", "inverse"):
            a = a * t * t if change == "inverse" else a
            axis = 0 if change == "axis" else -1
            shift = {"overflow": 0.0, "batch's top": a.max()}.get(change, a.max(axis=axis, keepdims=True))
            mass = np.exp((a - shift) / t)
            return mass if change == "mass" else mass / mass.sum(axis=axis, keepdims=True)
        if change == "awac":
            return n * np.exp(_standardised(a, axis=-1, keepdims=True, ddof=1) / t)
        if change == "flat":
            return reference.normalized_weights(a.ravel(), temperature=t).reshape(a.shape)
        if change == "nan":
            z = _standardised(a, 0.0, axis=-1, keepdims=True)
            mass = np.exp(z / t)
            return mass / mass.sum(axis=-1, keepdims=True)
        return {"no temperature": reference.normalized_weights(a, temperature=1.0), "sign": _turned(a, t), "times n": n * right}[
            change
        ]

    return shares


def _turned(a: Floats, t: float) -> Floats:
    return reference.normalized_weights(-a, temperature=t)


def _shares_slope(argument: int | str, advantage: Any, *, temperature: float, cotangent: Any = None) -> Any:
    share = reference.normalized_weights(advantage, temperature=temperature)
    weight = np.zeros(share.shape) if cotangent is None else np.asarray(cotangent)
    return share * (weight - (share * weight).sum(axis=-1, keepdims=True)) / temperature


# -------------------------------------------------------------------------------------------------------------- entries
BETA = "iql-beta-multiplies-awr-beta-divides"
STANDARDISED = "awr-advantages-standardised trax-qwr-advantages-standardised"
SAMPLES, TIMES_N = "resampling-softmax-over-batch-and-samples", "icq-softmax-times-batch rlkit-awac-softmax-times-batch"
NOT_DETACHED, WITHOUT = "cs285-awac-weight-not-detached", "munchausen-softmax-without-temperature"
FLOWS = "the gradient flows into the values, as if the weights were no constants"
OVERFLOW = "exp without subtracting the largest first: inf / inf, or 0 / 0"

BUGS = (
    Bug("sampled_advantage", "max-for-mean-baseline", "the largest sample is the baseline: no advantage is positive", "",
        _advantage("max")),
    Bug("sampled_advantage", "mean-over-the-batch", "the baseline is the mean over batch and samples", "", _advantage("batch")),
    Bug("sampled_advantage", "axis-of-the-batch", "the baseline is the mean over the batch, sample by sample", "",
        _advantage("axis")),
    Bug("sampled_advantage", "standardised-over-the-batch", "divided by the standard deviation over batch and samples",
        STANDARDISED, _advantage("standardised")),
    Bug("sampled_advantage", "standardised-in-each-row", "divided by the standard deviation of the state's samples", "",
        _advantage("row")),
    Bug("sampled_advantage", "leave-one-out-baseline", "the baseline is the mean of the other samples: n / (n - 1) too large", "",
        _advantage("others")),
    Bug("sampled_advantage", "sign-turned", "the mean less the value", "", _advantage("sign")),
    Bug("sampled_advantage", "baseline-left-out", "the values themselves", "", _advantage("no baseline")),
    Bug("sampled_advantage", "gradient-into-constants", FLOWS, NOT_DETACHED, _advantage_slope, derivative=True),
    Bug("exponential_weights", "temperature-for-its-inverse", "exp(A t) for exp(A / t): temperature and its inverse confused", BETA,
        _weights("inverse")),
    Bug("exponential_weights", "temperature-missing", "exp(A), whatever the temperature", f"{WITHOUT} iql-note-drops-beta",
        _weights("no temperature")),
    Bug("exponential_weights", "sign-turned", "exp(-A / t): worse actions weigh more", "", _weights("sign")),
    Bug("exponential_weights", "capped-before-exp", "the cap is put on A / t instead of on exp(A / t)", "", _weights("early")),
    Bug("exponential_weights", "advantage-capped", "the cap is put on A, and the weight is not capped", "", _weights("clipped")),
    Bug("exponential_weights", "cap-left-out", "the cap on the weight is never applied", "", _weights("no cap")),
    Bug("exponential_weights", "cap-fixed-at-20", "the cap is AWR's 20, whatever is asked for", "", _weights("20")),
    Bug("exponential_weights", "cap-fixed-at-100", "the cap is IQL's 100, whatever is asked for", "", _weights("100")),
    Bug("exponential_weights", "standardised-over-the-batch", "advantages are standardised first: the temperature has no unit",
        STANDARDISED, _weights("standardised")),
    Bug("exponential_weights", "standardised-without-epsilon", "advantages are standardised first, by 0 where all are equal",
        "trpo-advantage-std-zero", _weights("nan")),
    Bug("exponential_weights", "largest-of-the-batch-subtracted", "the best weighs 1, and A = 0 the less the better others are", "",
        _weights("largest")),
    Bug("exponential_weights", "divided-by-the-sum", "the weights of a row are divided by their sum", "", _weights("share")),
    Bug("exponential_weights", "binary-for-exponential", "1 where A > 0, 0 elsewhere", "", _weights("binary")),
    Bug("exponential_weights", "gradient-into-constants", FLOWS, NOT_DETACHED, _weights_slope, derivative=True),
    Bug("normalized_weights", "standardised-not-softmaxed", "n exp of the standardised advantages over t: no sum, no scale",
        "awac-weights-standardised-not-softmaxed", _shares("awac")),
    Bug("normalized_weights", "standardised-without-epsilon", "advantages are standardised first, by 0 where all are equal",
        "trpo-advantage-std-zero", _shares("nan")),
    Bug("normalized_weights", "normalised-over-the-whole-batch", "the weights sum to 1 over the whole batch, not in each row",
        SAMPLES, _shares("flat")),
    Bug("normalized_weights", "largest-of-the-batch-subtracted", "the whole batch's largest is subtracted: other rows are 0 / 0",
        SAMPLES, _shares("batch's top")),
    Bug("normalized_weights", "axis-of-the-batch", "the weights sum to 1 over the first axis", "", _shares("axis")),
    Bug("normalized_weights", "exp-without-subtracting-the-maximum", OVERFLOW, "", _shares("overflow")),
    Bug("normalized_weights", "sum-left-out", "exp((A - max A) / t), not divided by the sum", "", _shares("mass")),
    Bug("normalized_weights", "times-the-number-of-samples", "the softmax times n: the mean weight, not the sum, is 1", TIMES_N,
        _shares("times n")),
    Bug("normalized_weights", "temperature-for-its-inverse", "softmax(t A): temperature and its inverse confused", BETA,
        _shares("inverse")),
    Bug("normalized_weights", "temperature-missing", "softmax(A), whatever the temperature", WITHOUT, _shares("no temperature")),
    Bug("normalized_weights", "sign-turned", "softmax(-A / t): worse actions weigh more", "", _shares("sign")),
    Bug("normalized_weights", "gradient-into-constants", FLOWS, NOT_DETACHED, _shares_slope, derivative=True),
)  # fmt: skip

ROWS = np.array([[2.0, 3.0, -5.0], [7.0, -11.0, 13.0]])
COTANGENT = primes(2, 3, after=20)
_FAR = np.array([[2.0, 3.0], [-1024.0, 2048.0], [-4096.0, -4096.0]])
_SINGLE = np.array([[0.5, 0.75, -1.25], [1.75, -2.75, 3.25]])

PROBES: dict[str, tuple[Probe, ...]] = {
    "sampled_advantage": (probe(ROWS), Slope(0, probe(ROWS, cotangent=COTANGENT))),
    "exponential_weights": (
        probe(_SINGLE, temperature=0.5, max_weight=2.0),
        probe(_SINGLE, temperature=0.5),
        probe(np.array([[0.5, 0.5]]), temperature=0.5),
        Slope(0, probe(_SINGLE, temperature=0.5, max_weight=20.0)),
    ),
    "normalized_weights": (
        probe(ROWS, temperature=2.0),
        probe(_FAR, temperature=0.5),
        Slope(0, probe(ROWS, temperature=2.0, cotangent=COTANGENT)),
    ),
}

_STATISTICS = "no such operator in the contract: running statistics of observations or rewards; an agent's part"
_ENVIRONMENT = "an environment's or its wrapper's: no operator of the contract steps one"

OPEN: dict[str, str] = {
    **dict.fromkeys(
        (
            "critic-state-std-self-assignment", "sinergym-var-saved-as-mean", "cleanrl-eval-fresh-obs-stats",
            "reward-normaliser-obs-zero-std", "running-variance-deviation-from-old-mean", "fpo-variance-accumulator-overwritten",
            "ppo-reward-normaliser-never-updated", "gym-normalize-reward-terminal-order", "vecnormalize-terminal-obs-unnormalised",
        ),
        _STATISTICS,
    ),
    **dict.fromkeys(("gymnasium-cartpole-vector-early-reset", "vecenv-returns-internal-buffers"), _ENVIRONMENT),
    "marwil-adv-norm-constant-typo": "no such operator in the contract: MARWIL's moving average of squared advantages",
    "explained-variance-args-swapped": "no such operator in the contract: a diagnostic of the critic",
    "dt-mask-after-padding": "no such operator in the contract: masks of padded sequences",
}  # fmt: skip
