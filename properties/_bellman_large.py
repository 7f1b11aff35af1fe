"""Solutions of sparse models of so many states that no dense system is solved for them (B5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse
from hypothesis import strategies as st

from properties._bounds import Floats
from properties._claim import Call, claim
from properties._trial import Trial, first

STATES = 1100
"""More than an implementation will make dense without need."""
Rewards = Callable[[np.random.Generator], Any]
RINGS: tuple[tuple[tuple[int, int], float, Rewards], ...] = (
    ((1, 1), 0.96875, lambda rng: np.eye(1, STATES, int(rng.integers(STATES))).T),
    ((1, 7), 0.75, lambda rng: rng.integers(-8, 9, (STATES, 2)) / 4.0),
    ((1, 1), 0.125, lambda rng: rng.integers(-8, 9, (STATES, 2)) * 2.0**-60),
    ((1, 1), 0.75, lambda rng: rng.integers(-8, 0, (STATES, 2)) / 4.0),
)
"""Of a ring, the steps of the two actions, the discount and the rewards: one; of either sign, two ways round; tiny; costs alone."""
FAR = 0.9921875
"""So far ahead that a few steps of a Krylov method lead away from the solution on a ring that rewards ever more."""
SYSTEM = "Sutton & Barto 2018, eq. 4.4: the system of |S| simultaneous linear equations"
SOLVERS = ("solve_policy", "solve_optimal")


@claim("bellman", source=SYSTEM, operators=SOLVERS, given={"key": st.integers(0, 2**16)}, share=0.015)
def many_states_are_solved_as_few_are(port: Trial, key: int) -> None:
    """V = R + gamma P V within the error of V, on sparse models of more states than any dense system is made for."""
    rng = np.random.default_rng(key)
    for steps, discount, rewards in RINGS:
        _solves(port, rng, steps, rewards(rng), discount)


@claim("bellman", source=SYSTEM, operators=SOLVERS, given={"key": st.integers(0, 2**16)}, share=0.005)
def many_states_are_solved_far_ahead(port: Trial, key: int) -> None:
    """The same at a discount of 127/128, where each of many states in a row earns more than the one before."""
    rng = np.random.default_rng(key)
    _solves(port, rng, (1, 1), (np.arange(STATES) + rng.integers(0, 16, STATES))[:, None] / 64.0, FAR)


@claim("bellman", source="the operator contract (rewards of +-inf follow IEEE)", operators=["solve_policy"], share=0.02,
       given={"place": st.integers(0, STATES - 1), "sign": st.sampled_from((1.0, -1.0))})  # fmt: skip
def an_infinite_reward_is_not_hidden(port: Trial, place: int, sign: float) -> None:
    """Where a policy earns an infinite reward, the value of the state is not finite, or the call is refused."""
    reward = np.ones((STATES, 2))
    reward[place] = sign * np.inf
    answer = port.outcome(Call((np.full((STATES, 2), 0.5), _ring((1, 1)), reward), {"discount": 0.5}))
    if not isinstance(answer, ValueError):
        port.holds(not np.isfinite(np.asarray(answer)[place]), "the value must not be finite", found=np.asarray(answer)[place])


def _solves(port: Trial, rng: np.random.Generator, steps: tuple[int, int], rewards: Floats, discount: float) -> None:
    """Whether the subject's value on a ring meets its equation."""
    transition, reward = _ring(steps), np.array(np.broadcast_to(rewards, (STATES, 2)))
    chance = rng.integers(0, 5, STATES) / 4.0
    policy = (np.stack([chance, 1 - chance], axis=1),) if port.subject == "solve_policy" else ()
    value, error = port(port.subject, *policy, transition, reward, discount=discount)
    value, error = (np.asarray(first(part)) for part in (value, error))
    q = reward + discount * (transition @ value).reshape(reward.shape)
    later = (policy[0] * q).sum(axis=1) if policy else q.max(axis=1)
    rounding = port.sum_error(np.stack([np.abs(reward).max(axis=1) + np.abs(later), np.abs(value), np.abs(later)]), axis=0)
    port.equal(value, later, (1 + discount) * error + rounding, "V = R + gamma P V")


def _ring(steps: tuple[int, int]) -> Any:
    """Action a moves from s to s + steps[a], modulo the number of states; CSR, a row for each state and action."""
    following = (np.arange(STATES)[:, None] + np.array(steps)) % STATES
    rows = np.arange(2 * STATES + 1)
    return scipy.sparse.csr_array((np.ones(2 * STATES), following.ravel(), rows), shape=(2 * STATES, STATES))
