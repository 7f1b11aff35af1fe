"""The memory of transitions against a plain list over random histories (P5)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from properties._agents_worlds import NUMBERS
from properties._claim import claim
from properties._trial import Trial

LIN = "Lin 1992; Mnih et al. 2015; n-step windows: Hessel et al. 2018"
DISCOUNT = 0.5
CODES = 4096
"""States are numbered on: no two transitions of a history show the same one."""
DRAWS = 40
"""A batch is so many times as long as the list: a window is missed with probability e^-40 at most, in any draw."""


SIZES = st.integers(1, 3)


class Row(NamedTuple):
    """One transition as it was added."""

    observation: int
    action: int
    reward: float
    following: int
    terminated: bool
    truncated: bool


def window(rows: list[Row], n: int) -> tuple[int, int, float, int, bool, float]:
    """What a batch must show of the first of these rows: of its episode, up to n steps, or as far as there are any."""
    reward, length = 0.0, 0
    for row in rows[:n]:
        reward, length = reward + DISCOUNT**length * row.reward, length + 1
        if row.terminated or row.truncated:
            break
    return rows[0].observation, rows[0].action, reward, row.following, row.terminated, DISCOUNT**length


class History(RuleBasedStateMachine):
    """A memory and, for each seed and environment, a list that is cut to its newest rows.

    Every frame has a number of its own, also those that follow a cut; rewards are multiples of 1/8 so that windows are exact.
    """

    def __init__(self, trial: Trial) -> None:
        super().__init__()
        self.trial, self.count, self.draws = trial, 0, 0

    @initialize(seeds=st.integers(1, 2), envs=SIZES, rows=st.integers(1, 7), n=SIZES, extra=st.integers(0, 2))
    def start(self, seeds: int, envs: int, rows: int, n: int, extra: int) -> None:
        """An empty memory; a capacity need not be a multiple of the environments."""
        self.shape, self.n, self.rows = (seeds, envs), n, max(rows, n)
        self.capacity = self.rows * envs + min(extra, envs - 1)
        self.making = {"seeds": seeds, "envs": envs, "capacity": self.capacity, "discount": DISCOUNT, "n_step": n}
        self.memory = self.trial.replay(CODES, 4, **self.making)
        self.lists: list[list[list[Row]]] = [[[] for _ in range(envs)] for _ in range(seeds)]
        self.shown = self.fresh()

    def fresh(self) -> Any:
        """Numbers of states that were not used before, one for each environment."""
        size = self.shape[0] * self.shape[1]
        self.count += size
        return (np.arange(self.count - size, self.count) % CODES).reshape(self.shape)

    @rule(numbers=NUMBERS, ends=st.sampled_from([0, 64, 200]), limits=st.sampled_from([0, 64, 200]))
    def step(self, numbers: bytes, ends: int, limits: int) -> None:
        """One step of every environment: it goes on, ends, meets its time limit, or both at once."""
        drawn = np.random.default_rng(list(numbers))
        following, action = self.fresh(), drawn.integers(0, 4, self.shape)
        reward = drawn.integers(-16, 17, self.shape) / 8.0
        terminated, truncated = (drawn.integers(0, 256, self.shape) < part for part in (ends, limits))
        self.memory.add(
            observations=self.shown, actions=action, rewards=reward, next_observations=following, terminations=terminated,
            truncations=truncated,
        )  # fmt: skip
        for seed, env in np.ndindex(*self.shape):
            columns: tuple[Any, ...] = (self.shown, action, reward, following, terminated, truncated)
            found = Row(*(column[seed, env].item() for column in columns))
            self.lists[seed][env] = [*self.lists[seed][env], found][-self.rows :]
        self.shown = np.where(terminated | truncated, self.fresh(), following)

    @rule(numbers=NUMBERS)
    def many_steps(self, numbers: bytes) -> None:
        """Round the ring and beyond."""
        for place in range(self.rows + 1):
            self.step(bytes([place, *numbers[1:]]), 40, 40)

    @rule()
    def save_and_restore(self) -> None:
        """A memory made anew goes on from a checkpoint."""
        saved = self.memory.save()
        self.memory = self.trial.replay(CODES, 4, **self.making)
        self.memory.restore(saved)

    @rule()
    def sample(self) -> None:
        """Every row of a batch is a window of the list, whole and right, and every window of the list is drawn."""
        due = [[window(rows[i:], self.n) for rows in envs for i in range(len(rows))] for envs in self.lists]
        if not due[0]:
            return
        self.draws += 1
        batch = self.memory.sample(self.draws, DRAWS * len(due[0]))
        names = ("observations", "actions", "rewards", "next_observations", "terminations", "discounts")
        columns = [np.asarray(batch[name]) for name in names]
        for seed, windows in enumerate(due):
            found = set(zip(*(column[seed].tolist() for column in columns), strict=True))
            self.check(found, windows)

    def check(self, found: set[Any], windows: list[Any]) -> None:
        """Nothing that is no window; no window that is missing."""
        strange, missing = sorted(found - set(windows)), sorted(set(windows) - found)
        told = {each[0]: each for each in windows}
        due = told.get(strange[0][0], "no such transition") if strange else None
        self.trial.holds(not strange, "a batch shows (s, a, r, s', terminated, discount)", found=strange[:1], due=due)
        self.trial.holds(not missing, "no draw has shown a window that is stored", found=len(found), due=missing[:1])

    @invariant()
    def length_is_the_lists(self) -> None:
        """len() counts the transitions of one seed."""
        if hasattr(self, "memory"):
            stored = sum(len(rows) for rows in self.lists[0])
            self.trial.holds(len(self.memory) == stored, "len() is the list's", found=len(self.memory), due=stored)


@claim("P5", source=LIN, operators=["replay"], machine=History, share=0.2)
def a_replay_is_a_plain_list(port: Trial) -> None:
    """Over any history of steps, ends and time limits, a batch shows windows of the newest transitions and nothing else: the reward
    and the discount of up to n steps of one episode, the frame that really followed the last of them, and a termination where one
    was; a time limit shortens a window and cuts no bootstrap. No window crosses an episode or the write head, and every stored
    transition is drawn; also after a checkpoint."""
