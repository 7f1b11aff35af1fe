"""Solutions of sparse models of so many states that no dense system is solved for them (B5)."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse
from hypothesis import strategies as st

from properties._claim import claim
from properties._trial import Trial

STATES = 1100
"""More than an implementation will make dense without need."""
RINGS = {
    "a ring, one reward": ((1, 1), (1,)),
    "two ways round the ring": ((1, 7), tuple(range(STATES))),
    "a ring, many rewards": ((1, 1), tuple(range(STATES))),
}
"""The steps of the two actions, and the states that reward."""


@claim(
    "bellman",
    source="Sutton & Barto 2018, eq. 4.4: the system of |S| simultaneous linear equations",
    operators=("solve_policy", "solve_optimal"),
    given={"ring": st.sampled_from(tuple(RINGS)), "key": st.integers(0, 2**16), "discount": st.sampled_from((0.5, 0.75, 0.96875))},
    share=0.15,
)
def many_states_are_solved_as_few_are(port: Trial, ring: str, key: int, discount: float) -> None:
    """V = R + gamma P V within the error of V, on a sparse model of more states than any dense system is made for."""
    steps, rewarding = RINGS[ring]
    rng = np.random.default_rng(key)
    reward = np.zeros((STATES, 2))
    reward[list(rewarding)] = rng.integers(-8, 9, (len(rewarding), 2)) / 4.0
    transition = _ring(steps)
    if port.subject == "solve_policy":
        chance = rng.integers(0, 5, STATES) / 4.0
        policy = np.stack([chance, 1 - chance], axis=1)
        value, error = port("solve_policy", policy, transition, reward, discount=discount)
        q = reward + discount * (transition @ value).reshape(reward.shape)
        later = (policy * q).sum(axis=1)
    else:
        value, error = port("solve_optimal", transition, reward, discount=discount)
        value, error = (np.asarray(part[0] if isinstance(part, tuple) else part) for part in (value, error))
        q = reward + discount * (transition @ value).reshape(reward.shape)
        later = q.max(axis=1)
    rounding = port.sum_error(np.stack([np.abs(reward).max(axis=1) + np.abs(later), np.abs(value), np.abs(later)]), axis=0)
    port.equal(value, later, (1 + discount) * error + rounding, "V = R + gamma P V")


def _ring(steps: tuple[int, int]) -> Any:
    """Action a moves from s to s + steps[a], modulo the number of states; CSR, a row for each state and action."""
    following = (np.arange(STATES)[:, None] + np.array(steps)) % STATES
    rows = np.arange(2 * STATES + 1)
    return scipy.sparse.csr_array((np.ones(2 * STATES), following.ravel(), rows), shape=(2 * STATES, STATES))
