"""Models of so many pairs (s', a') that no implementation should hold all rows of the joint distribution at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse
from hypothesis import strategies as st

from properties._claim import claim
from properties._trial import Trial

SIZES = {"dense": (33, 33), "sparse": (264, 64)}
"""States and actions. Rows times the pairs that can follow, which are all pairs or those of one state: more than 2^20."""


@claim(
    "bellman",
    source="an expectile of equal values is that value (Newey & Powell 1987, theorem 1)",
    operators=("sarsa_expectile_backup",),
    given={"key": st.integers(0, 2**16)},
    share=0.003,
)
def expectiles_of_many_joint_distributions_are_those_of_few(port: Trial, key: int) -> None:
    """Where each action leads to one state, whose actions are all of one value v, Q(s, a) becomes r + gamma v(s')."""
    for form, (states, actions) in SIZES.items():
        rng = np.random.default_rng(key)
        following = rng.integers(0, states, (states, actions))
        value, reward = rng.integers(-64, 65, states) / 8.0, rng.integers(-64, 65, (states, actions)) / 8.0
        q, behavior = np.repeat(value[:, None], actions, axis=1), np.zeros((states, actions))
        behavior[:, [0, -1]] = 0.5
        table = _table(form, following)
        found, error = port("sarsa_expectile_backup", q, behavior, table, reward, expectile=0.75, discount=0.5)
        port.equal(found, reward + value[following] / 2, error, form)


def _table(form: str, following: Any) -> Any:
    """The moves as a model of deterministic transitions."""
    states, actions = following.shape
    if form == "dense":
        return np.eye(states)[following]
    rows = np.arange(states * actions + 1)
    return scipy.sparse.csr_array((np.ones(states * actions), following.ravel(), rows), shape=(states * actions, states))
