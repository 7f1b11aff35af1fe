"""Small worlds to try learners in, data that holds them exactly, and what is due of a learner there."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from properties._bounds import UNIT, Floats, gamma
from properties._draw import FINE, codes, indices, values
from properties._trial import Trial

Indices = NDArray[np.int64]
Draw = Callable[[st.SearchStrategy[Any]], Any]
DISCOUNTS = (0.5, 0.75, 0.0, 0.875)


class World(NamedTuple):
    """Tables of an MDP whose last state is the end, and the behavior that made its data."""

    transition: Floats
    reward: Floats
    terminal: NDArray[np.bool_]
    start: Floats
    behavior: Floats
    discount: float

    @property
    def tables(self) -> tuple[Any, ...]:
        """What a learner is made from."""
        return self.transition, self.reward, self.terminal, self.start

    @property
    def states(self) -> int:
        """How many states there are before the end."""
        return len(self.reward) - 1

    @property
    def actions(self) -> int:
        """How many actions there are."""
        return int(self.reward.shape[1])

    @property
    def size(self) -> float:
        """No value is larger, nor any target made from values that are not."""
        return float(np.abs(self.reward).max(initial=0.0) / (1.0 - self.discount))

    def row(self, s: int, a: int, next_action: int = 0, reward: float | None = None) -> dict[str, Any]:
        """The one transition from (s, a) in a world without chance, [1, 1] each."""
        after = int(self.transition[s, a].argmax())
        found = (s, a, self.reward[s, a] if reward is None else reward, after, bool(self.terminal[after]), next_action)
        return {name: np.array([[value]]) for name, value in zip(BATCH, found, strict=True)}


BATCH = ("observations", "actions", "rewards", "next_observations", "terminations", "next_actions")
"""What a learner's update is given, [seeds, batch] each."""


def world(successor: Indices, reward: Floats, discount: float, behavior: Floats | None = None) -> World:
    """Without chance: (s, a) leads to successor[s, a], of which the last number is the end."""
    states, actions = reward.shape
    following = np.vstack([successor, np.full((1, actions), states)])
    start = np.append(np.full(states, 1.0 / states), 0.0)
    chosen = np.full((states, actions), 1.0 / actions) if behavior is None else behavior
    return World(
        np.eye(states + 1)[following], np.vstack([reward, np.zeros((1, actions))]), np.arange(states + 1) == states, start,
        np.vstack([chosen, np.full((1, actions), 1.0 / actions)]), discount,
    )  # fmt: skip


@st.composite
def worlds(draw: Draw, states: int = 3, actions: int = 3) -> World:
    """Drawn ones without chance, every state with at least two actions; rewards of few bits; anything may lead to the end."""
    s, a = draw(st.integers(1, states)), draw(st.integers(2, actions))
    return world(draw(indices((s, a), s + 1)), draw(values((s, a), FINE)), draw(st.sampled_from(DISCOUNTS)))


def chancy(transition: Any, reward: Any, discount: float, start: Any = None, behavior: Any = None) -> World:
    """With chance: rows of `transition` over the states and the end."""
    transition, reward = np.asarray(transition, dtype=np.float64), np.asarray(reward, dtype=np.float64)
    states, actions = reward.shape
    end = np.eye(states + 1)[np.full(actions, states)][None]
    first = np.full(states, 1.0 / states) if start is None else np.asarray(start)
    chosen = np.full((states, actions), 1.0 / actions) if behavior is None else np.asarray(behavior)
    return World(
        np.concatenate([transition, end]), np.vstack([reward, np.zeros((1, actions))]), np.arange(states + 1) == states,
        np.append(first, 0.0), np.vstack([chosen, np.full((1, actions), 1.0 / actions)]), discount,
    )  # fmt: skip


@cache
def coin_walk() -> World:
    """Two states, two actions, coins of 1/4, 1/2 and 3/4, unequal rewards and an uneven behavior."""
    transition = [
        [[0.25, 0.5, 0.25], [0.0, 0.75, 0.25]],
        [[0.5, 0.0, 0.5], [0.25, 0.25, 0.5]],
    ]
    return chancy(transition, [[0.5, 0.0], [0.25, 1.0]], 0.5, start=[0.5, 0.5], behavior=[[0.75, 0.25], [0.5, 0.5]])


# ---------------------------------------------------------------------------------------------------------- batches
class Batches(NamedTuple):
    """Drawn transitions [seeds, batch] of a world that nobody need have: any state may follow any."""

    world: World
    batch: dict[str, Any]


@st.composite
def batches(draw: Draw, seeds: int = 2, longest: int = 5) -> Batches:
    """A world, and for each seed transitions in it with other rewards than its own, some of them repeated."""
    w, size = draw(worlds()), draw(st.integers(1, longest))
    shape = (seeds, size)
    after = draw(indices(shape, w.states + 1))
    found = (
        draw(indices(shape, w.states)), draw(indices(shape, w.actions)), draw(values(shape, FINE)), after,
        w.terminal[after], draw(indices(shape, w.actions)),
    )  # fmt: skip
    return Batches(w, dict(zip(BATCH, found, strict=True)))


@cache
def sweeps(pairs: int) -> st.SearchStrategy[list[int]]:
    """Orders in which a covering sweep visits the pairs: each at least once."""
    extra = st.lists(st.integers(0, pairs - 1), max_size=3)
    return st.tuples(st.permutations(range(pairs)), extra).map(lambda both: [*both[1], *both[0]])


NUMBERS = codes(8)
"""Eight bytes: seeds of whatever is drawn outside Hypothesis."""


# --------------------------------------------------------------------------------------------------- what learners say
def made(port: Trial, w: World, options: dict[str, Any] | None = None, **keywords: Any) -> Any:
    """The subject's learner in a world."""
    return getattr(port, port.subject)(*w.tables, discount=w.discount, options=options or {}, **keywords)


def told(port: Trial, learner: Any, name: str, shape: tuple[int, ...]) -> Floats:
    """One of the learner's tables, without the row of the end; refuted where it has another shape or is not finite."""
    found = learner.values()
    port.holds(name in found, f"values() must hold {name!r}; got {', '.join(found)}")
    table = np.asarray(found[name], dtype=np.float64)
    full = (shape[0], *shape[1:])
    port.holds(table.shape == full, f"{name} must have shape {full}; got {table.shape}")
    port.holds(bool(np.isfinite(table).all()), f"{name} must be finite", found=table)
    return table


def q_table(port: Trial, learner: Any, w: World, seeds: int = 1) -> Floats:
    """Q of the states before the end, [seeds, S, A]."""
    return told(port, learner, "q", (seeds, w.states + 1, w.actions))[:, :-1]


def optimal(port: Trial, w: World) -> tuple[Floats, float]:
    """Q* before the end and its error."""
    best, error = port("solve_optimal", w.transition, w.reward, discount=w.discount)
    q, own = port("action_values", best, w.transition, w.reward, discount=w.discount)
    return q[:-1], float(np.max(own) + w.discount * np.max(error))


def evaluated(port: Trial, w: World, policy: Floats) -> tuple[Floats, float]:
    """Q of a policy [S + 1, A] before the end, and its error."""
    value, error = port("solve_policy", policy, w.transition, w.reward, discount=w.discount)
    q, own = port("action_values", value, w.transition, w.reward, discount=w.discount)
    return q[:-1], float(np.max(own) + w.discount * np.max(error))


def update_error(size: float, updates: int) -> float:
    """What so many updates Q + step (r + discount Q' - Q) may lose to rounding where nothing is larger than `size`.

    Each has four operations on terms of at most 3 size; a contraction never enlarges what was lost before.
    """
    return float(updates * gamma(8, UNIT["float64"]) * 3 * size)
