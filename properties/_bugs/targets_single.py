"""Bugs of single targets: the wrong maximum, the wrong critic, the wrong place of the entropy, and shapes that multiply."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import reference
from properties._bugs._record import Bug
from properties._bugs.targets import Target, assembled, bootstrapped, entry_at, first_best


def _broadcast(reward: Any, terminated: Any, next_value: Any, *, discount: Any) -> Any:
    return reward + discount * np.where(terminated, 0.0, next_value)


def _reward_column(reward: Any, terminated: Any, next_value: Any, *, discount: Any) -> Any:
    live = np.where(terminated, 0.0, discount)
    return np.expand_dims(reward, -1) + np.expand_dims(live, -1) * next_value


def _maximum_column(reward: Any, terminated: Any, next_q: Any, *, discount: Any) -> Any:
    return reward + np.where(terminated, 0.0, discount) * np.max(next_q, axis=-1, keepdims=True)


def _maximum_of_all(next_q: Any) -> Any:
    return np.full(next_q.shape[:-1], np.max(next_q))


def _unpaired(reward: Any, terminated: Any, next_q: Any, next_action: Any, *, discount: Any) -> Any:
    return reward + np.where(terminated, 0.0, discount) * next_q[..., next_action]


def _mask_on_selection(reward: Any, terminated: Any, select: Any, evaluate: Any, *, discount: Any) -> Any:
    chosen = np.argmax(np.where(terminated[..., None], 0.0, select), axis=-1)
    return reward + discount * entry_at(evaluate, chosen)


def _entropy(discounted: bool) -> Target:
    """The entropy's share is added at terminated steps, too; outside the discount, or inside."""

    def target(reward: Any, terminated: Any, q1: Any, q2: Any, log_prob: Any, *, entropy_coefficient: float, discount: Any) -> Any:
        hard = reference.clipped_double_target(reward, terminated, q1, q2, discount=discount)
        return hard - (np.asarray(discount) if discounted else 1.0) * entropy_coefficient * log_prob

    return target


def _soft(following: Callable[[Any, Any, Any], Any]) -> Target:
    """(q1, q2, alpha log pi) -> next value."""
    return bootstrapped(lambda q1, q2, log_prob, *, entropy_coefficient: following(q1, q2, entropy_coefficient * log_prob))


BUGS = (
    Bug(
        "value_target",
        "shapes-broadcast",
        "shapes are not compared: [B] with [B, 1] gives [B, B] where it should be an error",
        "",
        _broadcast,
    ),
    Bug(
        "value_target",
        "rewards-as-a-column",
        "rewards and flags are [N, 1] beside next values [N]: an N x N table of targets",
        "td-error-scorer-broadcast",
        _reward_column,
    ),
    Bug(
        "value_target",
        "discount-sign-turned",
        "r - gamma V: the sign of the bootstrap as printed in Q - r + gamma Q'",
        "lecture-ddpg-critic-loss",
        assembled("value_target", lambda r, ended, g, v: np.where(ended, r, r - g * v)),
    ),
    Bug(
        "q_learning_target",
        "maximum-as-a-column",
        "the maximum keeps its axis: [B, 1] beside rewards [B] gives a [B, B] table of targets",
        "vanilla-dqn-keepdim-broadcast",
        _maximum_column,
    ),
    Bug(
        "q_learning_target",
        "max-over-the-batch",
        "the maximum runs over the whole batch: every sample gets the batch-wide best",
        "dqn-max-over-batch",
        bootstrapped(_maximum_of_all),
    ),
    Bug(
        "sarsa_target",
        "rows-and-actions-not-paired",
        "Q[..., a'] picks every sample's action in every row: a [B, B] table of targets",
        "",
        _unpaired,
    ),
    Bug(
        "sarsa_target",
        "greedy-for-the-action-taken",
        "the largest next value counts, not that of the action taken: Q-learning under another name",
        "",
        bootstrapped(lambda q, action: q.max(axis=-1)),
    ),
    Bug(
        "expected_sarsa_target",
        "mean-over-actions",
        "pi Q is averaged over the actions in place of summed: the next value is divided by their number",
        "",
        bootstrapped(lambda q, policy: (policy * q).mean(axis=-1)),
    ),
    Bug(
        "expected_sarsa_target",
        "policy-ignored",
        "the plain mean of the next values, whatever the policy is",
        "",
        bootstrapped(lambda q, policy: q.mean(axis=-1)),
    ),
    Bug(
        "double_q_target",
        "max-of-the-masked-row",
        "max of the row masked by the one-hot action: a negative value becomes 0",
        "double-dqn-max-after-onehot-mask",
        bootstrapped(lambda select, evaluate: np.max(evaluate * first_best(select), axis=-1)),
    ),
    Bug(
        "double_q_target",
        "selected-by-what-evaluates",
        "double in name only: the target network selects and evaluates, a delayed DQN",
        "dqn-called-double-but-max-on-target",
        bootstrapped(lambda select, evaluate: evaluate.max(axis=-1)),
    ),
    Bug(
        "double_q_target",
        "target-network-unused",
        "the online network selects and evaluates: the target network is kept, and never read",
        "gym-minecraft-target-unused reagent-max-over-online",
        bootstrapped(lambda select, evaluate: select.max(axis=-1)),
    ),
    Bug(
        "double_q_target",
        "roles-exchanged",
        "the target network selects and the online network evaluates",
        "",
        bootstrapped(lambda select, evaluate: entry_at(select, evaluate.argmax(axis=-1))),
    ),
    Bug(
        "double_q_target",
        "terminal-mask-on-the-selection",
        "the mask multiplies the values that select: the target itself bootstraps at terminated steps",
        "double-dqn-terminal-mask-on-selection",
        _mask_on_selection,
    ),
    Bug(
        "clipped_double_target",
        "own-target-for-each-twin",
        "each critic bootstraps from its own target network: no minimum",
        "sac-twin-q-own-targets",
        bootstrapped(lambda q1, q2: q2),
    ),
    Bug(
        "clipped_double_target",
        "first-twin-only",
        "only the first critic is read: the second is trained and never used",
        "",
        bootstrapped(lambda q1, q2: q1),
    ),
    Bug(
        "clipped_double_target",
        "mean-of-the-twins",
        "the mean of the critics in place of the lower",
        "",
        bootstrapped(lambda q1, q2: (q1 + q2) / 2),
    ),
    Bug(
        "clipped_double_target",
        "maximum-of-the-twins",
        "the higher of the critics in place of the lower",
        "",
        bootstrapped(np.maximum),
    ),
    Bug(
        "soft_target",
        "entropy-outside-the-target",
        "r + gamma (1 - terminated) Q - alpha log pi: the entropy is neither masked nor discounted",
        "sac-entropy-not-masked-elegantrl",
        _entropy(discounted=False),
    ),
    Bug(
        "soft_target",
        "entropy-not-masked",
        "the discounted entropy of the next action is added at terminated steps, too",
        "",
        _entropy(discounted=True),
    ),
    Bug(
        "soft_target",
        "entropy-sign-turned",
        "alpha log pi is added: the target rewards a policy for being sure",
        "",
        _soft(lambda q1, q2, cost: np.minimum(q1, q2) + cost),
    ),
    Bug(
        "soft_target",
        "entropy-missing",
        "the hard target: the entropy is in the policy's loss alone",
        "",
        _soft(lambda q1, q2, cost: np.minimum(q1, q2)),
    ),
    Bug(
        "soft_target",
        "own-target-for-each-twin",
        "each critic bootstraps from its own target network: no minimum",
        "sac-twin-q-own-targets",
        _soft(lambda q1, q2, cost: q2 - cost),
    ),
    Bug(
        "expectile_loss_gradient",
        "error-clipped-before-squaring",
        "the error is clipped to [-1, 1] and then squared: beyond that no gradient is left",
        "dqn-error-clip-kills-gradient",
        lambda error, *, expectile: np.where(
            np.abs(error) > 1.0, 0.0, reference.expectile_loss_gradient(error, expectile=expectile)
        ),
    ),
    Bug(
        "expectile_loss",
        "error-clipped-before-squaring",
        "the error is clipped to [-1, 1] and then squared: beyond that no gradient is left",
        "dqn-error-clip-kills-gradient",
        lambda error, *, expectile: reference.expectile_loss(np.clip(error, -1.0, 1.0), expectile=expectile),
    ),
    Bug(
        "expectile_loss",
        "error-not-squared",
        "the error itself in place of its square: least at minus infinity",
        "lecture-ddpg-critic-loss",
        lambda error, *, expectile: np.where(np.less(error, 0.0), 1.0 - expectile, expectile) * error,
    ),
)
