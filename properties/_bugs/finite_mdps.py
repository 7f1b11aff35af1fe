"""Bugs of the solvers of finite processes: what is solved, and when an iteration stops."""

from __future__ import annotations

from typing import Any

import numpy as np

import reference
from properties._bugs._record import Bug, Probe, probe
from properties._bugs.bellman import CHANCES, CHOICE, PAYOFF, Backup, transposed, uniform


def _late(policy: Any, transition: Any, reward: Any, *, discount: float) -> Any:
    return discount * reference.solve_policy(policy, transition, reward, discount=discount)


def _swept(policy: Any, transition: Any, reward: Any, *, discount: float) -> Any:
    """Ten sweeps."""
    value = 0.0 * reference.solve_policy(policy, transition, reward, discount=discount)
    for _ in range(10):
        value = reference.evaluation_backup(value, policy, transition, reward, discount=discount)
    return value


def _improved_once(transition: Any, reward: Any, *, discount: float) -> Any:
    """From the first action everywhere, one improvement."""
    reference.solve_optimal(transition, reward, discount=discount)
    actions = np.eye(np.shape(reward)[1])
    value = reference.solve_policy(actions[np.zeros(len(reward), dtype=np.int64)], transition, reward, discount=discount)
    choice = reference.action_values(value, transition, reward, discount=discount).argmax(axis=1)
    return reference.solve_policy(actions[choice], transition, reward, discount=discount), choice


def _stops_at_a_small_change(name: str) -> Backup:
    """The change's Euclidean norm is compared with the tolerance, and returned as the bound."""
    backup = {"value_iteration": reference.optimality_backup, "q_value_iteration": reference.q_optimality_backup}[name]

    def iteration(transition: Any, reward: Any, *, discount: float, tolerance: float, max_iterations: int) -> Any:
        right = getattr(reference, name)
        now = 0.0 * right(transition, reward, discount=discount, tolerance=tolerance, max_iterations=max_iterations)[0]
        change, done = np.inf, 0
        while done < max_iterations and change > tolerance:
            following = backup(now, transition, reward, discount=discount)
            change, now, done = float(np.linalg.norm(following - now)), following, done + 1
        return now, done, change

    return iteration


BUGS = (
    Bug("solve_policy", "policy-ignored", "the plain mean over the actions, whatever the policy is", "", uniform("solve_policy")),
    Bug("solve_policy", "transition-transposed", "P is read as [s', a, s]", "", transposed("solve_policy")),
    Bug("solve_policy", "first-reward-discounted", "gamma R + gamma^2 P R + ...: every reward is discounted once more", "", _late),
    Bug(
        "solve_policy",
        "stopped-before-convergence",
        "ten sweeps in place of the solution: gamma^10 of the error is left",
        "",
        _swept,
    ),
    Bug(
        "solve_optimal",
        "stopped-before-convergence",
        "one improvement of the policy in place of as many as it takes",
        "",
        _improved_once,
    ),
    Bug(
        "value_iteration",
        "stopped-before-convergence",
        "stops when the change is below the tolerance: the error may be gamma / (1 - gamma) times that",
        "mushroom-unconverged-value-iteration",
        _stops_at_a_small_change("value_iteration"),
    ),
    Bug(
        "q_value_iteration",
        "stopped-before-convergence",
        "stops when the change is below the tolerance: the error may be gamma / (1 - gamma) times that",
        "mushroom-unconverged-value-iteration",
        _stops_at_a_small_change("q_value_iteration"),
    ),
)

_STOPPING = {"tolerance": 0.125, "max_iterations": 200}
_AHEAD = np.eye(4)[np.array([[0, 1], [1, 2], [2, 3], [3, 3]])]
"""A corridor: stay for a little, or go on at a cost; the last state pays, three improvements away."""
PROBES: dict[str, tuple[Probe, ...]] = {
    "solve_policy": (probe(CHOICE, CHANCES, PAYOFF, discount=0.75),),
    "solve_optimal": (probe(_AHEAD, np.array([[2.0, -7.0], [3.0, -11.0], [5.0, -13.0], [67.0, 67.0]]), discount=0.75),),
    "value_iteration": (probe(CHANCES, PAYOFF, discount=0.875, **_STOPPING),),
    "q_value_iteration": (probe(CHANCES, PAYOFF, discount=0.875, **_STOPPING),),
}

OPEN: dict[str, str] = {}
