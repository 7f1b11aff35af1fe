"""A learner's own loop in a world of coins and time limits: how its tables are distributed after a few steps (B7)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from properties._agents_worlds import World, chancy, made, q_table
from properties._bounds import Floats
from properties._ledger import Case
from properties._sampled import Observations, Stream, sampled
from properties._trial import Trial

SUTTON = "Sutton & Barto 2018, §6.4, §6.5, §6.7; Pardo et al. 2018 (time limits)"
STEPS, LIMIT, DISCOUNT = 5, 2, 0.5
OPTIONS = {"learning_rate": 1.0, "epsilon_start": 1.0, "epsilon_end": 1.0, "max_episode_steps": LIMIT}
"""Every update is a whole step, every action is as likely as any other, and every episode is cut after two steps."""


def coins() -> World:
    """From the first state, where episodes start, to the second; there and back again, or to the end."""
    transition = [[[0.0, 1.0, 0.0], [0.0, 0.5, 0.5]], [[0.5, 0.5, 0.0], [0.0, 1.0, 0.0]]]
    return chancy(transition, [[1.0, 0.5], [0.25, 2.0]], DISCOUNT, start=[1.0, 0.0])


class Life(NamedTuple):
    """One history up to now: its chance, where it stands, what it will do, how long its episode is, and its tables."""

    chance: float
    state: int
    action: int
    length: int
    q: Floats


class Turn(NamedTuple):
    """What follows one step, as an update sees it, and where the history goes on."""

    chance: float
    successor: int
    following: int
    cut: bool
    state: int
    action: int


def turns(w: World, life: Life) -> Iterator[Turn]:
    """Every outcome, the action at the successor, and after a cut the first action of the next episode; all episodes start in 0."""
    for after, chance in enumerate(w.transition[life.state, life.action]):
        over = after == w.states or life.length + 1 == LIMIT
        for following in range(w.actions):
            if chance and not over:
                yield Turn(chance / w.actions, after, following, False, after, following)
            for first in range(w.actions):
                if chance and over:
                    yield Turn(chance / w.actions**2, after, following, True, 0, first)


def ahead(rule: str, q: Floats, coin: int, s: int, a: int) -> float:
    """What an update bootstraps from at (s, a) by its rule; the end is worth nothing."""
    if s == q.shape[1]:
        return 0.0
    if rule == "double_q_learning":
        return float(q[1 - coin, s, q[coin, s].argmax()])
    if rule == "sarsa":
        return float(q[0, s, a])
    return float(q.mean(axis=0)[s].max() if rule == "maximum" else q[0, s].mean())


def updated(w: World, life: Life, turn: Turn, coin: int, rule: str, mistake: str) -> Floats:
    """The tables after the update, made as the mistake makes it."""
    reset = mistake == "autoreset observation as successor" and turn.cut
    s, a = (turn.state, turn.action) if reset else (turn.successor, turn.following)
    followed = {"maximum for the next action": "maximum", "mean for the maximum": "mean"}.get(mistake, rule)
    worth = ahead(followed, life.q, coin, s, a)
    dead = turn.successor == w.states or (mistake == "time limit as terminal" and turn.cut)
    q = life.q.copy()
    q[coin, life.state, life.action] = w.reward[life.state, life.action]
    q[coin, life.state, life.action] += 0.0 if dead else worth * (1.0 if mistake == "discount forgotten" else w.discount)
    return q


def lives(rule: str, mistake: str = "") -> list[Life]:
    """Every history of the loop, equal ones joined."""
    w, tables = coins(), 2 if rule == "double_q_learning" else 1
    found = [Life(0.5, 0, a, 0, np.zeros((tables, w.states, w.actions))) for a in range(w.actions)]
    for _ in range(STEPS):
        joined: dict[Any, Life] = {}
        for life in found:
            for turn in turns(w, life):
                for coin in range(tables):
                    q = updated(w, life, turn, coin, rule, mistake)
                    length = 0 if turn.cut else life.length + 1
                    key = (turn.state, turn.action, length, q.tobytes())
                    chance = life.chance * turn.chance / tables + (joined[key].chance if key in joined else 0.0)
                    joined[key] = Life(chance, turn.state, turn.action, length, q)
        found = list(joined.values())
    return found


def exceed(tables: Floats, marks: Any) -> Observations:
    """Whether Q(s, a) is above its mark, for each of them: [n, S, A] to [n, K]."""
    return np.stack([tables[:, s, a] > mark for s, a, mark in marks], axis=-1)


def case(rule: str, marks: tuple[tuple[int, int, float], ...], *mistakes: str) -> Case:
    """What enumeration says, right and with each of the mistakes."""

    def chances(mistake: str) -> Floats:
        found = lives(rule, mistake)
        weights = np.array([life.chance for life in found])
        return np.asarray(weights @ exceed(np.stack([life.q.mean(axis=0) for life in found]), marks))

    wrong = {mistake.replace(" ", "-"): chances(mistake) for mistake in mistakes}
    coordinates = tuple(f"Q({s}, {a}) > {mark}" for s, a, mark in marks)
    return Case(f"{STEPS} steps of {rule}", coordinates, chances(""), wrong, marks)


LOOP = ("autoreset observation as successor", "time limit as terminal", "discount forgotten")
MARKS = ((1, 0, 0.3125), (1, 1, 2.1875), (0, 0, 2.1875), (0, 0, 1.84375), (0, 0, 1.046875))
HALVES = ((1, 0, 0.265625), (1, 0, 0.5625), (1, 0, 0.140625), (1, 1, 1.09375))
"""Half-way between values that occur: no rounding carries a table across them."""


def walked(port: Trial, case: Case, size: int, stream: Stream) -> Observations:
    """Learners of seeds of their own, each after its own steps."""
    first = stream(0).seed % 2**31
    learner = made(port, coins(), OPTIONS, seeds=tuple(range(first, first + size)))
    learner.run(STEPS)
    return exceed(q_table(port, learner, coins(), size), case.inputs)


@sampled("B7", source=SUTTON, operators=["q_learning_agent", "online_q_iteration_agent"], share=0.04, every_dtype=False,
         cases=[case("maximum", MARKS, *LOOP, "mean for the maximum")])  # fmt: skip
def q_learnings_loop_leads_where_enumeration_says(port: Trial, case: Case, size: int, stream: Stream) -> Observations:
    """After five steps of its own loop, exploring evenly, Q is distributed as over all histories: the maximum at the state that
    truly followed is bootstrapped from, at a time limit too and never at the start of the next episode; at the end nothing is."""
    return walked(port, case, size, stream)


@sampled("B7", source=SUTTON, operators=["sarsa_agent"], share=0.03, every_dtype=False,
         cases=[case("sarsa", MARKS, *LOOP, "maximum for the next action", "mean for the maximum")])  # fmt: skip
def sarsas_loop_leads_where_enumeration_says(port: Trial, case: Case, size: int, stream: Stream) -> Observations:
    """The same of SARSA, whose next action is the one that is then done, unless the episode is cut."""
    return walked(port, case, size, stream)


@sampled("B7", source=f"{SUTTON}; van Hasselt 2010", operators=["double_q_learning_agent"], share=0.03, every_dtype=False,
         cases=[case("double_q_learning", HALVES, *LOOP, "maximum for the next action")])  # fmt: skip
def double_q_learnings_loop_leads_where_enumeration_says(port: Trial, case: Case, size: int, stream: Stream) -> Observations:
    """The same of double Q-learning: a fair coin says which table learns at a step, the other one says what its choice is worth."""
    return walked(port, case, size, stream)
