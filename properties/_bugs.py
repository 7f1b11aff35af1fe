"""Bugs seen in the wild, each as the function that behaves that way: what a failing port is compared with.

The first entries of the catalogue: one or more for each kind of mistake that the first six concepts invite.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import reference
from properties._bounds import UNIT, Floats
from properties._claim import OPERATORS, Call


@dataclass(frozen=True)
class Bug:
    """A known mistake: its story in one line, where it was seen (empty: nowhere on record), and a function that makes it."""

    id: str
    operator: str
    story: str
    link: str
    behaves: Callable[..., Any]


BUGS: dict[str, Bug] = {}


def bug(id: str, operator: str, story: str, link: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register the decorated function as a bug of `operator`."""

    def register(behaves: Callable[..., Any]) -> Callable[..., Any]:
        BUGS[id] = Bug(id, operator, story, link, behaves)
        return behaves

    return register


def behaves_like(operator: str, calls: Sequence[tuple[Call, Any]]) -> tuple[str, ...]:
    """The catalogued bugs that give the port's answers on these calls, where the right answer is another."""
    found = [b for b in BUGS.values() if b.operator == operator and _explains(b, calls)]
    return tuple(f"{b.id}: {b.story}" + (f" (seen in {b.link})" if b.link else "") for b in found)


def _explains(candidate: Bug, calls: Sequence[tuple[Call, Any]]) -> bool:
    """Equal to the port on every call, and different from the reference on one of them."""
    different = False
    for call, answer in calls:
        try:
            with np.errstate(all="ignore"):
                wrong = np.asarray(candidate.behaves(*call.arguments, **call.keywords), dtype=np.float64)
                right = np.asarray(_first(getattr(reference, candidate.operator)(*call.arguments, **call.keywords)))
                bound = OPERATORS[candidate.operator].bound(UNIT["float64"], *call.arguments, **call.keywords)
                slack = 4 * np.asarray(_first(bound))
        except (ValueError, IndexError, TypeError):
            return False
        if not _close(wrong, answer, slack):
            return False
        different |= not _close(wrong, right, slack)
    return different


def _first(result: Any) -> Any:
    return result[0] if isinstance(result, tuple) else result


def _close(one: Floats, two: Any, slack: Floats) -> bool:
    two = np.asarray(_first(two), dtype=np.float64)
    if one.shape != two.shape:
        return False
    with np.errstate(invalid="ignore"):
        return bool(np.all((one == two) | (np.abs(one - two) <= slack) | (np.isnan(one) & np.isnan(two))))


# ------------------------------------------------------------------------------------------------------------- targets
@bug(
    "done-is-terminated-or-truncated", "gae", "a time limit cuts the bootstrap as if the episode had terminated",
    "https://github.com/pytorch/rl/pull/1661",
)  # fmt: skip
def _gae_done(reward: Any, terminated: Any, truncated: Any, value: Any, next_value: Any, **knobs: Any) -> Any:
    return reference.gae(reward, terminated | truncated, truncated, value, next_value, **knobs)


@bug(
    "recursion-runs-over-truncation", "gae", "a truncation bootstraps but does not cut the recursion: advantages cross episodes",
    "https://github.com/Toni-SM/skrl/issues/224",
)  # fmt: skip
def _gae_uncut(reward: Any, terminated: Any, truncated: Any, value: Any, next_value: Any, **knobs: Any) -> Any:
    return reference.gae(reward, terminated, truncated & False, value, next_value, **knobs)


@bug(
    "rewards-shifted", "gae", "each step is credited with the reward received before it",
    "https://github.com/openai/spinningup/issues/50",
)  # fmt: skip
def _gae_shifted(reward: Any, terminated: Any, truncated: Any, value: Any, next_value: Any, **knobs: Any) -> Any:
    late = np.concatenate([np.zeros_like(reward[..., :1]), reward[..., :-1]], axis=-1)
    return reference.gae(late, terminated, truncated, value, next_value, **knobs)


@bug(
    "bootstrap-counted-twice", "gae", "the backward scan starts from V(s_T), which the last TD error already contains",
    "https://github.com/simonsays1980/rl-triton/pull/4",
)  # fmt: skip
def _gae_twice(reward: Any, terminated: Any, truncated: Any, value: Any, next_value: Any, *, lambda_: Any, discount: Any) -> Any:
    decay = np.broadcast_to(np.asarray(discount) * lambda_, np.shape(reward))
    carry = np.where(terminated, 0.0, next_value)[..., -1]
    delta = reward + np.asarray(discount) * np.where(terminated, 0.0, next_value) - value
    out = np.zeros(np.shape(reward))
    for t in range(out.shape[-1] - 1, -1, -1):
        going = ~(terminated[..., t] | (truncated[..., t] & (t < out.shape[-1] - 1)))
        carry = delta[..., t] + decay[..., t] * going * carry
        out[..., t] = carry
    return out


@bug(
    "bootstrap-value-of-the-same-state", "gae", "the bootstrap is V(s_t), the value before the step, instead of V(s_(t+1))",
    "https://github.com/DexForce/EmbodiChain/pull/612",
)  # fmt: skip
def _gae_same(reward: Any, terminated: Any, truncated: Any, value: Any, next_value: Any, **knobs: Any) -> Any:
    cut = truncated.copy()
    cut[..., -1] = True
    return reference.gae(reward, terminated, truncated, value, np.where(cut, value, next_value), **knobs)


@bug(
    "gamma-for-gamma-to-the-n", "n_step_returns", "the bootstrap is discounted by gamma instead of gamma^n",
    "https://github.com/younggyoseo/FastTD3/pull/7",
)  # fmt: skip
def _n_step_gamma(reward: Any, terminated: Any, truncated: Any, next_value: Any, *, n: int, discount: Any) -> Any:
    return _rebootstrapped(reward, terminated, truncated, next_value, n, discount, lambda length: 1)


@bug(
    "short-window-full-discount", "n_step_returns", "a window shortened by a cut or the end still has its bootstrap times gamma^n",
    "https://github.com/ray-project/ray/issues/4626",
)  # fmt: skip
def _n_step_full(reward: Any, terminated: Any, truncated: Any, next_value: Any, *, n: int, discount: Any) -> Any:
    return _rebootstrapped(reward, terminated, truncated, next_value, n, discount, lambda length: n)


def _rebootstrapped(
    reward: Any, terminated: Any, truncated: Any, next_value: Any, n: int, discount: Any, power: Callable[[int], int]
) -> Floats:
    """n-step returns whose bootstrap carries gamma^power(length of the window)."""
    gain = reference.n_step_returns(reward, terminated, truncated, np.zeros_like(next_value), n=n, discount=discount)
    cut, steps = terminated | truncated, np.shape(reward)[-1]
    for place in np.ndindex(np.shape(reward)):
        row, start = place[:-1], place[-1]
        ends = [t for t in range(start, min(start + n, steps)) if cut[(*row, t)]]
        last = ends[0] if ends else min(start + n, steps) - 1
        if not terminated[(*row, last)]:
            gain[place] += float(discount) ** power(last - start + 1) * next_value[(*row, last)]
    return np.asarray(gain)


@bug(
    "terminal-inside-the-window-missed", "n_step_returns", "only the last step's flag is read: rewards of the next episode leak in",
    "https://github.com/Kaixhin/Rainbow/issues/11",
)  # fmt: skip
def _n_step_leak(reward: Any, terminated: Any, truncated: Any, next_value: Any, *, n: int, discount: Any) -> Any:
    steps = np.shape(reward)[-1]
    out = np.zeros(np.shape(reward))
    for t in range(steps):
        last = min(t + n, steps) - 1
        powers = float(discount) ** np.arange(last - t + 1)
        tail = np.where(terminated[..., last], 0.0, next_value[..., last])
        out[..., t] = (reward[..., t : last + 1] * powers).sum(axis=-1) + float(discount) ** (last - t + 1) * tail
    return out


@bug(
    "tail-weight-dropped", "lambda_returns", "the weights (1 - lambda) lambda^(n-1) lack the last return's lambda^(N-1)",
    "https://github.com/takuseno/d3rlpy/commit/6f781b1afb974b0a81157eb8198c789f493cd768",
)  # fmt: skip
def _lambda_tail(reward: Any, terminated: Any, truncated: Any, next_value: Any, *, lambda_: Any, discount: Any) -> Any:
    cut, total = terminated | truncated, np.zeros(np.shape(reward))
    for place in np.ndindex(total.shape):
        row, start = place[:-1], place[-1]
        ends = [t for t in range(start, total.shape[-1]) if cut[(*row, t)]]
        for n in range(1, (ends[0] if ends else total.shape[-1] - 1) - start + 2):
            gain = reference.n_step_returns(reward, terminated, truncated, next_value, n=n, discount=discount)[place]
            total[place] += (1 - lambda_) * lambda_ ** (n - 1) * gain
    return total


@bug(
    "recursion-not-masked", "lambda_returns", "only the one-step bootstrap is masked: lambda G_(t+1) runs across episode ends",
    "https://github.com/vwxyzjn/cleanrl/pull/494",
)  # fmt: skip
def _lambda_unmasked(reward: Any, terminated: Any, truncated: Any, next_value: Any, *, lambda_: Any, discount: Any) -> Any:
    g = np.broadcast_to(np.asarray(discount, dtype=np.float64), np.shape(reward))
    after = np.where(terminated, 0.0, next_value)
    out = np.zeros(np.shape(reward))
    carry = after[..., -1]
    for t in range(out.shape[-1] - 1, -1, -1):
        carry = reward[..., t] + g[..., t] * ((1 - lambda_) * after[..., t] + lambda_ * carry)
        out[..., t] = carry
    return out


@bug(
    "current-reward-dropped", "discounted_returns", "the return-to-go starts with the next reward: total minus cumulated sum",
    "https://github.com/takuseno/d3rlpy/commit/8436ca128d820a32d2fc7776bae5d97897e8968f",
)  # fmt: skip
def _return_late(reward: Any, terminated: Any, truncated: Any, bootstrap: Any, **knobs: Any) -> Any:
    return reference.discounted_returns(reward, terminated, truncated, bootstrap, **knobs) - reward


@bug(
    "terminal-inside-the-margin-missed", "margin_returns", "only the flag at the end of the margin is read (trax td_k)",
    "https://github.com/google/trax/blob/master/trax/rl/advantages.py",
)  # fmt: skip
def _margin_leak(reward: Any, terminated: Any, truncated: Any, next_value: Any, *, lambda_: Any, margin: int, discount: Any) -> Any:
    never = np.zeros_like(terminated)
    after = np.where(terminated, 0.0, next_value)
    return reference.margin_returns(reward, never, never, after, lambda_=lambda_, margin=margin, discount=discount)


@bug(
    "max-of-the-masked-row", "double_q_target", "max of the row masked by the one-hot action: a negative value becomes 0",
    "https://github.com/takuseno/d3rlpy/commit/0e2096b861ff0b40f17787988bceea15376a70fc",
)  # fmt: skip
def _double_masked(reward: Any, terminated: Any, select: Any, evaluate: Any, *, discount: Any) -> Any:
    chosen = np.arange(select.shape[-1]) == np.argmax(select, axis=-1)[..., None]
    return reference.value_target(reward, terminated, np.max(evaluate * chosen, axis=-1), discount=discount)


@bug(
    "double-in-name-only", "double_q_target", "selected and evaluated by the same (target) network: a delayed DQN",
    "https://github.com/pytorch/rl/pull/1737",
)  # fmt: skip
def _double_single(reward: Any, terminated: Any, select: Any, evaluate: Any, *, discount: Any) -> Any:
    return reference.q_learning_target(reward, terminated, evaluate, discount=discount)


@bug(
    "max-over-the-batch", "q_learning_target", "the maximum runs over the whole batch: every sample gets the batch-wide best",
    "https://github.com/google/dopamine/commit/7315342f0548e7457b4623dd9294e1b7c933d9b6",
)  # fmt: skip
def _max_batch(reward: Any, terminated: Any, next_q: Any, *, discount: Any) -> Any:
    return reference.value_target(reward, terminated, np.full(np.shape(reward), np.max(next_q)), discount=discount)


@bug(
    "entropy-outside-the-mask", "soft_target", "the entropy of the next action is added at terminal steps, too",
    "https://github.com/AI4Finance-Foundation/ElegantRL/commit/c8514065c83e6f9076bd681c7b52adcb80b6da43",
)  # fmt: skip
def _entropy_unmasked(
    reward: Any, terminated: Any, q1: Any, q2: Any, log_prob: Any, *, entropy_coefficient: float, discount: Any
) -> Any:
    hard = reference.clipped_double_target(reward, terminated, q1, q2, discount=discount)
    return hard - np.asarray(discount) * entropy_coefficient * log_prob


@bug(
    "smoothed-action-not-clamped", "smoothed_action", "the smoothed action may leave the action box",
    "https://github.com/AgileRL/AgileRL/pull/240",
)  # fmt: skip
def _unclamped(action: Any, noise: Any, *, noise_clip: float, low: Any, high: Any) -> Any:
    return action + np.clip(noise, -noise_clip, noise_clip)


@bug(
    "twins-not-clipped", "clipped_double_target", "each critic bootstraps from its own target network: no minimum",
    "https://github.com/kengz/SLM-Lab/commit/b615914af61d8dac8e61390e2810b5c9b705da53",
)  # fmt: skip
def _own_twin(reward: Any, terminated: Any, q1: Any, q2: Any, *, discount: Any) -> Any:
    return reference.value_target(reward, terminated, q2, discount=discount)


# ---------------------------------------------------------------------------------- expectiles, aggregates, weights
@bug(
    "expectile-sign-turned", "expectile_loss", "expectile > 1/2 punishes predicting too high (rlax's documentation says so)",
    "https://github.com/google-deepmind/rlax/blob/master/rlax/_src/losses.py",
)  # fmt: skip
def _turned(error: Any, *, expectile: float) -> Any:
    return reference.expectile_loss(-error, expectile=expectile)


@bug(
    "pinball-for-expectile", "expectile_loss", "max(tau u, (tau - 1) u) is the quantile's loss",
    "",
)  # fmt: skip
def _pinball(error: Any, *, expectile: float) -> Any:
    return reference.pinball_loss(error, quantile=expectile)


@bug(
    "log-sum-for-log-mean", "log_mean_exp", "log-sum-exp without - log n: the backup grows with the number of samples",
    "",
)  # fmt: skip
def _log_sum(q: Any, *, temperature: float) -> Any:
    return reference.log_mean_exp(q, temperature=temperature) + temperature * np.log(np.shape(q)[-1])


@bug(
    "temperature-for-its-inverse", "exponential_weights", "exp(A t) for exp(A / t): temperature and inverse temperature confused",
    "",
)  # fmt: skip
def _inverse(advantage: Any, *, temperature: float, max_weight: Any = None) -> Any:
    return reference.exponential_weights(advantage, temperature=1.0 / temperature, max_weight=max_weight)


@bug(
    "capped-before-exp", "exponential_weights", "the cap is put on A / t instead of on exp(A / t)",
    "",
)  # fmt: skip
def _capped_early(advantage: Any, *, temperature: float, max_weight: Any = None) -> Any:
    scaled = np.asarray(advantage) / temperature
    return np.exp(scaled if max_weight is None else np.minimum(scaled, max_weight))
