"""Ports that are the reference with one operator wrong: what the verifier is for. Each entry is one mistake that somebody made."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

import reference
from properties._bugs import catalogue


class Wrong(NamedTuple):
    """An operator and the function that replaces it."""

    operator: str
    function: Any


def _max_of_the_masked_row(reward: Any, terminated: Any, select: Any, evaluate: Any, *, discount: Any) -> Any:
    """A negative value becomes 0."""
    chosen = np.arange(select.shape[-1]) == select.argmax(axis=-1)[..., None]
    best = np.max(evaluate * chosen, axis=-1)
    return reward + discount * np.where(terminated, 0.0, best)


def _broadcast_column(reward: Any, terminated: Any, next_value: Any, *, discount: Any) -> Any:
    """[B] against [B, 1] gives [B, B] where it should be an error."""
    return reward + discount * (1.0 - np.asarray(terminated, dtype=float)) * next_value


def _float32_inside(reward: Any, terminated: Any, truncated: Any, next_value: Any, **knobs: Any) -> Any:
    """A float64 operator that works in float32."""
    single = [np.asarray(a, dtype=np.float32).astype(np.float64) for a in (reward, next_value)]
    return reference.lambda_returns(single[0], terminated, truncated, single[1], **knobs)


def _writes_to_its_argument(q: Any) -> Any:
    """Centred in place."""
    advantage = reference.sampled_advantage(q)
    if isinstance(q, np.ndarray):
        q -= q.mean(axis=-1, keepdims=True)
    return advantage


def _expectile_of_quantile(values: Any, weights: Any = None, *, expectile: float) -> Any:
    """The weighted quantile in place of the expectile."""
    array = np.asarray(values, dtype=np.float64)
    reference.expectile(values, weights, expectile=expectile)
    return np.quantile(array, expectile, axis=-1)


def _discount_missing(value: Any, policy: Any, transition: Any, reward: Any, *, discount: float) -> Any:
    """R + PV: the lecture's tabular update without gamma."""
    return reference.evaluation_backup(value, policy, transition, reward, discount=1.0)


def _max_at_the_same_state(q: Any, transition: Any, reward: Any, *, discount: float) -> Any:
    """max over Q(s, a') where Q(s', a') is meant."""
    reference.q_optimality_backup(q, transition, reward, discount=discount)
    return np.asarray(reward) + discount * np.max(q, axis=-1, keepdims=True)


def _nan_when_equal(advantage: Any, *, temperature: float) -> Any:
    """Standardised advantages: 0/0 where all are equal."""
    array = np.asarray(advantage, dtype=np.float64)
    reference.normalized_weights(advantage, temperature=temperature)
    spread = array.std(axis=-1, keepdims=True)
    return reference.normalized_weights((array - array.mean(axis=-1, keepdims=True)) / spread, temperature=temperature)


def _difference_of_large_numbers(mean: Any, log_std: Any, other_mean: Any, other_log_std: Any) -> Any:
    """Right within its bound, and below 0 where it is nearly 0."""
    reference.gaussian_kl(mean, log_std, other_mean, other_log_std)
    squares = np.exp(2 * log_std) + (mean - other_mean) ** 2
    return np.sum(other_log_std - log_std + squares / (2 * np.exp(2 * other_log_std)) - 0.5, axis=-1)


def _rounds_beyond_the_box(pre_tanh: Any, *, low: Any, high: Any) -> Any:
    """Right within its bound, and outside of the box where it is saturated."""
    reference.tanh_action(pre_tanh, low=low, high=high)
    return (np.asarray(high) + low) / 2 + np.tanh(pre_tanh) * (np.asarray(high) - low) / 2


def _another_answer_each_time() -> Any:
    """A port with hidden state."""
    calls = [0]

    def sampled(q: Any) -> Any:
        calls[0] += 1
        return reference.mean_aggregate(q) + calls[0]

    return sampled


KNOWN = (
    "gae/done-is-terminated-or-truncated", "log_mean_exp/log-sum-for-log-mean", "expectile_loss/expectile-sign-turned",
    "expectile_loss/pinball-for-expectile", "double_q_target/max-of-the-masked-row", "n_step_returns/gamma-for-gamma-to-the-n",
)  # fmt: skip
"""Some of the catalogue; tests/test_bugs.py tries all of it."""

WRONG: dict[str, Wrong] = {
    **{name: Wrong(catalogue()[name].operator, catalogue()[name].behaves) for name in KNOWN},
    "masked row by hand": Wrong("double_q_target", _max_of_the_masked_row),
    "[B, 1] broadcast": Wrong("value_target", _broadcast_column),
    "float32 inside": Wrong("lambda_returns", _float32_inside),
    "written in place": Wrong("sampled_advantage", _writes_to_its_argument),
    "quantile for expectile": Wrong("expectile", _expectile_of_quantile),
    "discount missing": Wrong("evaluation_backup", _discount_missing),
    "max at the same state": Wrong("q_optimality_backup", _max_at_the_same_state),
    "nan when all are equal": Wrong("normalized_weights", _nan_when_equal),
    "difference of large numbers": Wrong("gaussian_kl", _difference_of_large_numbers),
    "beyond the box": Wrong("tanh_action", _rounds_beyond_the_box),
    "hidden state": Wrong("mean_aggregate", _another_answer_each_time()),
}


def module(name: str) -> SimpleNamespace:
    """The reference with that one operator wrong."""
    names = {each: getattr(reference, each) for each in reference.__all__}
    return SimpleNamespace(**names | {WRONG[name].operator: WRONG[name].function})
