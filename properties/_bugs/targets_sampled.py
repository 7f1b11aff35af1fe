"""Bugs of the target over sampled actions (QWR) and of the smoothing of the target action (TD3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import logsumexp, softmax

import reference
from properties._bounds import Floats
from properties._bugs._record import Bug, Probe, Slope, probe
from properties._bugs.targets import ENDED, REWARD, ROW, Target, bootstrapped


# --------------------------------------------------------------------------------------------------------- sampled actions
def _soft(aggregate: Callable[[Any, float], Any]) -> Target:
    """A wrong log-mean-exp; the maximum and the mean are right, and so are the temperatures 0 and infinity."""

    def following(q: Any, *, aggregate_name: str, temperature: float | None) -> Any:
        if aggregate_name != "log_mean_exp" or temperature is None:
            return reference.max_aggregate(q) if aggregate_name == "max" else reference.mean_aggregate(q)
        if temperature in (0.0, np.inf):
            return reference.log_mean_exp(q, temperature=temperature)
        return aggregate(q, temperature)

    right = bootstrapped(following)

    def target(*arguments: Any, aggregate: str, temperature: float | None = None, discount: Any) -> Any:
        return right(*arguments, aggregate_name=aggregate, temperature=temperature, discount=discount)

    return target


def _normalised(q: Any, temperature: float) -> Any:
    """trax divides by the mean distance from the mean, over the whole batch, and multiplies afterwards."""
    scale = np.abs(q - q.mean()).mean() + 1e-5
    t = scale * temperature
    return t * (logsumexp(q / t, axis=-1) - np.log(q.shape[-1]))


def _discounted_first(
    reward: Any, terminated: Any, q: Any, *, aggregate: str, discount: Any, temperature: float | None = None
) -> Any:
    """F over the targets of the samples."""
    live = np.where(terminated, 0.0, discount)[..., None]
    discounted = live * np.where(live > 0.0, q, 0.0)
    return reference.sampled_target(reward, terminated, discounted, aggregate=aggregate, temperature=temperature, discount=1.0)


SAMPLED = (
    Bug(
        "sampled_target",
        "log-sum-for-log-mean",
        "log-sum-exp without - log n: the target grows with the number of samples",
        "",
        _soft(lambda q, t: reference.log_mean_exp(q, temperature=t) + t * np.log(q.shape[-1])),
    ),
    Bug(
        "sampled_target",
        "softmax-mean-for-log-mean-exp",
        "the mean under softmax(q / t) in place of t log mean exp(q / t)",
        "trax-qwr-softmax-aggregate",
        _soft(lambda q, t: (softmax(q / t, axis=-1) * q).sum(axis=-1)),
    ),
    Bug(
        "sampled_target",
        "temperature-in-units-of-the-spread",
        "values are divided by the batch's mean deviation before log-mean-exp, and multiplied after it",
        "trax-qwr-normalised-values",
        _soft(_normalised),
    ),
    Bug(
        "sampled_target",
        "temperature-inverted",
        "exp(t q) / t: the temperature is read as its inverse",
        "",
        _soft(lambda q, t: reference.log_mean_exp(q, temperature=1.0 / t)),
    ),
    Bug(
        "sampled_target",
        "exp-without-the-shift",
        "exp(q / t) without subtracting the maximum: infinite where q / t exceeds 709",
        "",
        _soft(lambda q, t: t * np.log(np.exp(q / t).mean(axis=-1))),
    ),
    Bug(
        "sampled_target",
        "aggregated-after-the-discount",
        "log-mean-exp over the targets r + gamma q of the samples: the temperature is not discounted",
        "",
        _discounted_first,
    ),
)


# ---------------------------------------------------------------------------------------------------------- smoothed actions
def _unclipped(action: Any, noise: Any, *, noise_clip: float, low: Any, high: Any) -> Any:
    return np.clip(action + noise, low, high)


def _unclamped(action: Any, noise: Any, *, noise_clip: float, low: Any, high: Any) -> Any:
    return action + np.clip(noise, -noise_clip, noise_clip)


def _from_above(action: Any, noise: Any, *, noise_clip: float, low: Any, high: Any) -> Any:
    return np.clip(action + np.minimum(noise, noise_clip), low, high)


def _symmetric(action: Any, noise: Any, *, noise_clip: float, low: Any, high: Any) -> Any:
    return np.minimum(np.maximum(action + np.clip(noise, -noise_clip, noise_clip), -np.asarray(high)), high)


def _smoothing_flows(
    argument: int, action: Any, noise: Any, *, noise_clip: float, low: Any, high: Any, cotangent: Any = 1.0
) -> Floats:
    free = action + np.clip(noise, -noise_clip, noise_clip)
    inside = (free >= low) & (free <= high)
    return np.asarray(cotangent * (inside if argument == 0 else inside & (np.abs(noise) <= noise_clip)))


SMOOTHED = (
    Bug(
        "smoothed_action",
        "smoothed-action-not-clamped",
        "the smoothed action may leave the action box",
        "agilerl-target-action-not-clamped",
        _unclamped,
    ),
    Bug("smoothed_action", "noise-not-clipped", "the noise itself is not clipped, only the action afterwards", "", _unclipped),
    Bug("smoothed_action", "noise-clipped-from-above-only", "great negative noise passes: one side of the clip", "", _from_above),
    Bug(
        "smoothed_action",
        "box-taken-as-symmetric",
        "clamped to +-high, whatever the lower side of the box is",
        "td3-box-of-plus-minus-max-action",
        _symmetric,
    ),
    Bug(
        "smoothed_action",
        "gradient-flows-into-the-target",
        "the target action is not detached: its derivative in the target policy's action is not 0",
        "",
        _smoothing_flows,
        derivative=True,
    ),
)

BUGS = (*SAMPLED, *SMOOTHED)

MEAN = np.array([[-3.0, 5.0, 17.0], [11.0, -31.0, 7.0]])
NOISE = np.array([[-23.0, 1.0, 11.0], [19.0, -13.0, -2.0]])
_SMOOTHING = probe(MEAN, NOISE, noise_clip=8.0, low=np.array([-41.0, -37.0, 0.5]), high=np.array([31.0, 43.0, 19.0]))
PROBES: dict[str, tuple[Probe, ...]] = {
    "sampled_target": (
        probe(REWARD, ENDED, ROW, aggregate="max", discount=0.75),
        probe(REWARD, ENDED, ROW, aggregate="mean", discount=0.75),
        probe(REWARD, ENDED, ROW, aggregate="log_mean_exp", temperature=0.0625, discount=0.75),
    ),
    "smoothed_action": (_SMOOTHING, Slope(0, _SMOOTHING)),
}

OPEN: dict[str, str] = {}

_TRAX = "https://github.com/google/trax/blob/master/trax/rl/actor_critic.py"
