"""Bugs of the Bellman backups: what is averaged or maximised where, with which table, and in which order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.sparse import csr_array

import reference
from properties._bugs._record import Bug, Probe, probe

Backup = Callable[..., Any]


def dense(transition: Any, reward: Any) -> Any:
    """[S, A, S], whatever way it is stored."""
    return np.asarray(transition.toarray() if hasattr(transition, "indptr") else transition).reshape(*np.shape(reward), -1)


def undiscounted(name: str) -> Backup:
    """The operator with a discount of 1."""
    right = getattr(reference, name)

    def backup(*arguments: Any, discount: float, **knobs: Any) -> Any:
        right(*arguments, discount=discount, **knobs)
        return right(*arguments, discount=1.0, **knobs)

    return backup


def transposed(name: str) -> Backup:
    """P read as [s', a, s]; its rows then no longer sum to 1."""

    def backup(first: Any, transition: Any, reward: Any, *, discount: float) -> Any:
        getattr(reference, name)(first, transition, reward, discount=discount)
        turned = dense(transition, reward).transpose(2, 1, 0)
        if name == "action_values":
            return reward + discount * turned @ first
        chain, payoff = (first[:, :, None] * turned).sum(axis=1), (first * reward).sum(axis=1)
        return np.linalg.solve(np.eye(len(chain)) - discount * chain, payoff)

    return backup


def uniform(name: str) -> Backup:
    """Every action counts alike, whatever the distribution over them is."""

    def backup(*arguments: Any, **knobs: Any) -> Any:
        place = 0 if name == "solve_policy" else 1
        getattr(reference, name)(*arguments, **knobs)
        shape = np.shape(arguments[place])
        return getattr(reference, name)(*arguments[:place], np.full(shape, 1.0 / shape[1]), *arguments[place + 1 :], **knobs)

    return backup


# ------------------------------------------------------------------------------------------------------------- values of states
def _reward_discounted(value: Any, transition: Any, reward: Any, *, discount: float) -> Any:
    return discount * reference.action_values(value, transition, reward, discount=1.0)


def _of_the_same_state(value: Any, transition: Any, reward: Any, *, discount: float) -> Any:
    reference.action_values(value, transition, reward, discount=discount)
    return reward + discount * value[:, None]


def _rows_by_action(value: Any, transition: Any, reward: Any, *, discount: float) -> Any:
    right = reference.action_values(value, transition, reward, discount=discount)
    if not hasattr(transition, "indptr"):
        return right
    states, actions = np.shape(reward)
    return reward + discount * np.asarray(transition @ value).reshape(actions, states).T


def _in_place(mean: Callable[[Any, Any], Any], name: str) -> Backup:
    """State by state, on values of which the earlier ones are new already."""

    def backup(value: Any, *rest: Any, discount: float) -> Any:
        getattr(reference, name)(value, *rest, discount=discount)
        policy, (transition, reward) = rest[0], rest[-2:]
        table, swept = dense(transition, reward), np.array(value, dtype=np.float64)
        for s in range(len(swept)):
            swept[s] = mean(reward[s] + discount * table[s] @ swept, policy[s] if len(rest) == 3 else None)
        return swept

    return backup


def _best_successor(value: Any, transition: Any, reward: Any, *, discount: float) -> Any:
    reference.optimality_backup(value, transition, reward, discount=discount)
    lucky = np.where(dense(transition, reward) > 0, value, -np.inf).max(axis=-1)
    return (reward + discount * lucky).max(axis=1)


VALUES = (
    Bug(
        "action_values",
        "reward-discounted",
        "gamma (R + P V): the reward is discounted, too",
        "",
        _reward_discounted,
    ),
    Bug("action_values", "discount-missing", "R + P V: the next value is not discounted", "", undiscounted("action_values")),
    Bug(
        "action_values",
        "bootstrap-value-of-the-same-state",
        "R + gamma V(s): the value of the state itself in place of the next state's",
        "",
        _of_the_same_state,
    ),
    Bug("action_values", "transition-transposed", "P is read as [s', a, s]", "", transposed("action_values")),
    Bug(
        "action_values",
        "sparse-rows-by-action",
        "row a S + s of a sparse P is read for the pair (s, a), in place of row s A + a",
        "",
        _rows_by_action,
    ),
    Bug(
        "evaluation_backup",
        "discount-missing",
        "R + P V: the lecture's tabular update without gamma",
        "lecture-q-target-without-gamma",
        undiscounted("evaluation_backup"),
    ),
    Bug(
        "evaluation_backup",
        "policy-ignored",
        "the plain mean over the actions, whatever the policy is",
        "",
        uniform("evaluation_backup"),
    ),
    Bug(
        "evaluation_backup",
        "swept-in-place",
        "the sweep reads values that it has already written: no longer the operator T",
        "",
        _in_place(lambda q, policy: policy @ q, "evaluation_backup"),
    ),
    Bug(
        "optimality_backup", "discount-missing", "R + P V: the next value is not discounted", "", undiscounted("optimality_backup")
    ),
    Bug(
        "optimality_backup",
        "swept-in-place",
        "the sweep reads values that it has already written: no longer the operator T",
        "",
        _in_place(lambda q, policy: q.max(), "optimality_backup"),
    ),
    Bug(
        "optimality_backup",
        "best-successor-for-the-mean",
        "the maximum runs over next states, too: luck is taken for choice",
        "",
        _best_successor,
    ),
)


# -------------------------------------------------------------------------------------------------------- values of pairs (s, a)
def _q_optimality(wrong: Callable[[Any, Any], Any]) -> Backup:
    """R + gamma `wrong`(q, P), [S, A]."""

    def backup(q: Any, transition: Any, reward: Any, *, discount: float) -> Any:
        reference.q_optimality_backup(q, transition, reward, discount=discount)
        return reward + discount * wrong(q, dense(transition, reward))

    return backup


def _chosen_now(q: Any, table: Any) -> Any:
    """Q(s', a*) with a* the best action in s."""
    return np.einsum("sat,ts->sa", table, q[:, q.argmax(axis=1)])


def _policy_now(q: Any, policy: Any, transition: Any, reward: Any, *, discount: float) -> Any:
    """Sum over a' of pi(a'|s) Q(s', a')."""
    reference.q_evaluation_backup(q, policy, transition, reward, discount=discount)
    return reward + discount * np.einsum("sat,tb,sb->sa", dense(transition, reward), q, policy, optimize=True)


PAIRS = (
    Bug(
        "q_evaluation_backup",
        "discount-missing",
        "the next value is not discounted",
        "",
        undiscounted("q_evaluation_backup"),
    ),
    Bug(
        "q_evaluation_backup",
        "next-action-chosen-in-the-current-state",
        "the next action's value is weighed by pi(.|s), not by pi(.|s')",
        "",
        _policy_now,
    ),
    Bug(
        "q_optimality_backup",
        "discount-missing",
        "the next value is not discounted",
        "lecture-q-target-without-gamma",
        undiscounted("q_optimality_backup"),
    ),
    Bug(
        "q_optimality_backup",
        "max-at-the-same-state",
        "max over Q(s, a') where Q(s', a') is meant",
        "lecture-max-at-the-same-state",
        _q_optimality(lambda q, table: q.max(axis=1, keepdims=True) * np.ones(q.shape)),
    ),
    Bug(
        "q_optimality_backup",
        "next-action-chosen-in-the-current-state",
        "Q(s', a) of the action that is best in s: argmax over Q(s, .) in place of Q(s', .)",
        "rlhive-double-dqn-argmax-current-state 2048-argmax-at-current-state qmix-double-q-off-by-one",
        _q_optimality(_chosen_now),
    ),
    Bug(
        "q_optimality_backup",
        "expectation-before-the-maximum",
        "max over a' of the mean of Q(s', a'): one next action for all next states",
        "",
        _q_optimality(lambda q, table: (table @ q).max(axis=-1)),
    ),
    Bug(
        "q_optimality_backup",
        "max-over-the-batch",
        "the maximum runs over the whole table: every pair gets the best entry of all",
        "dqn-max-over-batch",
        _q_optimality(lambda q, table: np.full(q.shape, q.max())),
    ),
)

BUGS = (*VALUES, *PAIRS)

# ---------------------------------------------------------------------------------------------------------------- questions
CHANCES = np.array(
    [
        [[0.5, 0.25, 0.25], [0.125, 0.875, 0.0], [0.0, 0.25, 0.75]],
        [[0.25, 0.0, 0.75], [0.625, 0.25, 0.125], [1.0, 0.0, 0.0]],
        [[0.0, 0.5, 0.5], [0.375, 0.375, 0.25], [0.125, 0.25, 0.625]],
    ]
)
"""P, [3, 3, 3]; and the same as CSR [9, 3]."""
SPARSE = csr_array(CHANCES.reshape(9, 3))
PAYOFF = np.array([[2.0, -3.0, 5.0], [7.0, 11.0, -13.0], [-17.0, 19.0, 23.0]])
VALUE = np.array([-29.0, 31.0, 37.0])
Q = np.array([[41.0, -43.0, 47.0], [53.0, 59.0, -61.0], [67.0, 71.0, -73.0]])
CHOICE = np.array([[0.25, 0.75, 0.0], [0.5, 0.125, 0.375], [0.0, 0.625, 0.375]])
"""A policy, a prior, or a behavior."""
PROBES: dict[str, tuple[Probe, ...]] = {
    "action_values": (probe(VALUE, CHANCES, PAYOFF, discount=0.75), probe(VALUE, SPARSE, PAYOFF, discount=0.75)),
    "evaluation_backup": (probe(VALUE, CHOICE, CHANCES, PAYOFF, discount=0.75),),
    "optimality_backup": (probe(VALUE, CHANCES, PAYOFF, discount=0.75),),
    "q_evaluation_backup": (probe(Q, CHOICE, CHANCES, PAYOFF, discount=0.75),),
    "q_optimality_backup": (probe(Q, CHANCES, PAYOFF, discount=0.75),),
}

OPEN: dict[str, str] = {}
