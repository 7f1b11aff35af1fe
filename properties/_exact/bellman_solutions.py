"""What policies and optima are worth: by elimination and policy iteration in fractions, and by iterating at 50 digits.

A policy names the first of the actions that are best exactly; an implementation may take values that differ by rounding for equal.
Iterations count the sweeps of arithmetic that does not round: where the tolerance is below the rounding, others stop sooner.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from properties._exact import DIGITS, Exact, digits, exact_value
from properties._exact.bellman import Row, listed, looked_ahead, successors, table, vector
from properties._oracles.dynamic_programming import policy_value_by_fractions


def _dense(transition: Any, shape: tuple[int, int]) -> Any:
    states, actions = shape
    return (transition.toarray() if hasattr(transition, "indptr") else np.asarray(transition)).reshape(states, actions, states)


@exact_value("solve_policy")
def solve_policy(policy: Any, transition: Any, reward: Any, *, discount: float) -> Exact:
    """Puterman 1994, theorem 6.1.1; rewards of actions that are not taken are not read."""
    read = np.where(np.asarray(policy) > 0, reward, 0.0)
    dense = _dense(transition, np.shape(reward))
    return np.asarray(policy_value_by_fractions(policy, dense, read, discount=discount))


def _greedy(rows: list[Row]) -> list[int]:
    return [row.index(max(row)) for row in rows]


@exact_value("solve_optimal")
def solve_optimal(transition: Any, reward: Any, *, discount: float) -> tuple[Exact, Exact]:
    """Howard 1960: value, and the first of the best actions; an action of reward -inf is never taken."""
    choice = _greedy(listed(reward))
    while True:
        policy = np.eye(np.shape(reward)[1])[choice]
        value = solve_policy(policy, transition, reward, discount=discount)
        rows = looked_ahead(value.tolist(), transition, reward, discount)
        better = [max(row) > row[a] for row, a in zip(rows, choice, strict=True)]
        if not any(better):
            return value, vector(_greedy(rows))
        choice = [b if c else a for a, b, c in zip(choice, _greedy(rows), better, strict=True)]


def _sweep(transition: Any, reward: Any, discount: float) -> Callable[[Row], list[Row]]:
    """V -> R + gamma P V at 50 digits, on tables that are converted once."""
    gamma, ways = digits(discount), iter(successors(transition))
    pairs = [[(digits(r), [(s, digits(p)) for s, p in next(ways)]) for r in row] for row in np.asarray(reward).tolist()]

    def once(value: Row) -> list[Row]:
        return [[r + gamma * DIGITS.fsum(p * value[s] for s, p in way) for r, way in row] for row in pairs]

    return once


def _settled(step: Callable[[Row], Row], size: int, discount: float, stop: tuple[float, int]) -> tuple[Row, int, Any]:
    """The iterate from 0 whose gamma/(1 - gamma) times the largest change is within the tolerance, or the last; its count; that."""
    factor, now, count, bound = digits(discount) / (1 - digits(discount)), [DIGITS.zero] * size, 0, DIGITS.inf
    while count < stop[1] and bound > stop[0]:
        before, now, count = now, step(now), count + 1
        changes = [abs(a - b) for a, b in zip(now, before, strict=True) if a != b]
        bound = factor * max(changes, default=DIGITS.zero) if factor else DIGITS.zero
    return now, count, bound


@exact_value("value_iteration")
def value_iteration(
    transition: Any, reward: Any, *, discount: float, tolerance: float, max_iterations: int
) -> tuple[Exact, int, Any]:
    """Puterman 1994, section 6.3: V <- max_a (R + gamma P V)."""
    once = _sweep(transition, reward, discount)
    stop = (tolerance, max_iterations)
    value, count, bound = _settled(lambda v: [max(row) for row in once(v)], len(reward), discount, stop)
    return vector(value), count, bound


@exact_value("q_value_iteration")
def q_value_iteration(
    transition: Any, reward: Any, *, discount: float, tolerance: float, max_iterations: int
) -> tuple[Exact, int, Any]:
    """Sutton & Barto 2018, eq. 3.20: Q <- R + gamma P max Q."""
    once, (states, actions) = _sweep(transition, reward, discount), np.shape(reward)

    def step(q: Row) -> Row:
        return [x for row in once([max(q[s : s + actions]) for s in range(0, len(q), actions)]) for x in row]

    q, count, bound = _settled(step, states * actions, discount, (tolerance, max_iterations))
    return table([q[s : s + actions] for s in range(0, len(q), actions)]), count, bound
