"""A small linear-quadratic world to try learners of continuous actions in, transitions in it, and what learners there say."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from properties._agents_worlds import Draw
from properties._bounds import Floats
from properties._draw import codes
from properties._trial import Trial

CONTINUOUS = (
    "cem_agent", "ddpg_agent", "td3_agent", "qprop_agent", "sac_continuous_agent", "awr_continuous_agent", "qwr_continuous_agent",
    "reinforce_continuous_agent", "ppo_continuous_agent", "trpo_continuous_agent",
)  # fmt: skip
"""What learns in such worlds."""


class Regulator(NamedTuple):
    """x' = A x + B u between bounds of u, reward -(x'Q x + u'R u), and the first state."""

    dynamics: Floats
    control: Floats
    state_cost: Floats
    control_cost: Floats
    start: Floats
    low: Floats
    high: Floats
    discount: float

    @property
    def sizes(self) -> tuple[int, int]:
        """Dimensions of state and action."""
        return len(self.start), len(self.low)

    def steps(self, observations: Floats, actions: Floats) -> dict[str, Any]:
        """What these actions lead to, by the names of an update; nothing is terminated."""
        cost = quadratic(self.state_cost, observations) + quadratic(self.control_cost, actions)
        following = observations @ self.dynamics.T + actions @ self.control.T
        return {
            "observations": observations, "actions": actions, "rewards": -cost, "next_observations": following,
            "terminations": np.zeros(cost.shape, dtype=bool),
        }  # fmt: skip


def quadratic(matrix: Floats, rows: Floats) -> Floats:
    """x'M x of each row."""
    return np.asarray(((rows @ matrix) * rows).sum(axis=-1))


@cache
def pendulum() -> Regulator:
    """Two states that turn into each other, one force; its matrices have few bits."""
    return Regulator(
        np.array([[0.75, 0.25], [-0.25, 0.75]]), np.array([[0.25], [0.5]]), np.array([[1.0, 0.25], [0.25, 0.5]]), np.array([[0.5]]),
        np.array([1.0, -0.5]), np.array([-1.0]), np.array([2.0]), 0.75,
    )  # fmt: skip


@st.composite
def transitions(draw: Draw, seeds: int = 1, longest: int = 5) -> dict[str, Any]:
    """Drawn ones of the pendulum, [seeds, batch, ...], with other rewards than its own and some ends; multiples of 1/4."""
    w, size = pendulum(), draw(st.integers(1, longest))
    (n, d), lead = w.sizes, (seeds, size)
    found = w.steps(grid(draw, *lead, n), grid(draw, *lead, d))
    ends = np.frombuffer(draw(codes(seeds * size)), np.uint8).reshape(lead) % 2 == 1
    return found | {"rewards": found["rewards"] + grid(draw, *lead), "terminations": ends}


def grid(draw: Draw, *shape: int) -> Floats:
    """Multiples of 1/4 up to 2 in size."""
    return np.asarray((np.frombuffer(draw(codes(int(np.prod(shape)))), np.uint8) % 17 / 4.0 - 2.0).reshape(shape))


def regulating(port: Trial, w: Regulator, options: dict[str, Any] | None = None, **keywords: Any) -> Any:
    """The subject's learner in a world."""
    make = getattr(port, port.subject)
    return make(*w[:5], low=w.low, high=w.high, discount=w.discount, options=options or {}, **keywords)
