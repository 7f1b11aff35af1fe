"""What expectiles make of a Markov decision process: the values of IQL (I5, I6, I9), and the lucky sample (I7, F3)."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from properties._bounds import Floats, own_rounding, rounded
from properties._claim import Call, claim
from properties._draw import distributions, values
from properties._expectiles_samples import IQL, LEVELS, at_most
from properties._mdps import drawn_mdps
from properties._oracles import Exact, exact
from properties._oracles.expectiles import best_supported_value
from properties._trial import Trial
from reference.finite_mdps import FiniteMDP, toy_maze


# ------------------------------------------------------------------------------------------------------------- inputs
class Offline(NamedTuple):
    """An MDP with the behavior that produced the data, two levels, and another world to differ by."""

    mdp: FiniteMDP
    behavior: Floats
    q: Floats
    other_q: Floats
    other_reward: Floats
    other_transition: Floats
    level: float
    other_level: float
    discount: float

    def world(self) -> tuple[Any, Floats]:
        """Transition and reward."""
        return self.mdp.transition, self.mdp.reward

    def chances(self) -> Floats:
        """P(s'|s,a), dense [S, A, S]."""
        return np.asarray(self.mdp.dense().transition)


@cache
def offline() -> st.SearchStrategy[Offline]:
    """One to three states and actions, behaviors that leave actions out, and discounts at which 40 sweeps settle."""
    return drawn_mdps(states=3, actions=3).flatmap(lambda mdp: _parts(*mdp.reward.shape).map(lambda parts: Offline(mdp, *parts)))


@cache
def _parts(states: int, actions: int) -> st.SearchStrategy[tuple[Any, ...]]:
    table, levels = values((states, actions)), st.sampled_from(LEVELS)
    world = distributions((states, actions, states))
    chosen = st.tuples(distributions((states, actions)), table, table, table, world)
    return st.tuples(chosen, levels, levels, st.sampled_from([0.5, 0.0, 0.25, 0.75])).map(lambda drawn: (*drawn[0], *drawn[1:]))


GIVEN = {"o": offline()}
SWEEPS = 40
BACKUPS = ("expectile_backup", "sarsa_expectile_backup")


def _fixed_point(
    port: Trial, name: str, behavior: Floats, transition: Any, reward: Floats, **keywords: float
) -> tuple[Floats, float]:
    """The fixed point by successive approximation, and how far off it is at most, in sup norm; the reference goes ahead.

    |V_k - V| <= (gamma |V_k - V_(k-1)| + the error of one backup) / (1 - gamma), whatever came before.
    """
    ahead = port.reference if name == port.subject else lambda call: getattr(port, name)(*call.arguments, **call.keywords)
    value = np.zeros(behavior.shape if name == "sarsa_expectile_backup" else len(behavior))
    for _ in range(SWEEPS):
        value = ahead(Call((value, behavior, transition, reward), keywords))
    value = rounded(value, port.dtype)
    for _ in range(SWEEPS):
        before, value = value, getattr(port, name)(value, behavior, transition, reward, **keywords)
        moved = np.abs(value - before).max()
        if moved <= 2.0**-20 * np.abs(value).max():
            break
    error = port.error(name, value, before, behavior, transition, reward, **keywords)
    gamma = keywords["discount"]
    return value, float((gamma * moved + error.max()) / (1 - gamma) * own_rounding(5))


def _values(port: Trial, o: Offline, level: float) -> tuple[Floats, float]:
    return _fixed_point(port, "expectile_backup", o.behavior, *o.world(), expectile=level, discount=o.discount)


# ------------------------------------------------------------------------------------------------------ fixed points
@claim("I5", source=f"{IQL}, eqs. 5, 6", operators=BACKUPS, given=GIVEN, share=0.5)
def at_one_half_the_fixed_points_evaluate_the_behavior(port: Trial, o: Offline) -> None:
    """V^mu is the fixed point of expectile_backup at level 1/2, and R + gamma P V^mu that of sarsa_expectile_backup."""
    due, error = port("solve_policy", o.behavior, *o.world(), discount=o.discount)
    if port.subject == "sarsa_expectile_backup":
        due, q_error = port("action_values", due, *o.world(), discount=o.discount)
        error = np.max(error) * o.discount + q_error
    start = rounded(due, port.dtype)
    found, found_error = port(port.subject, start, o.behavior, *o.world(), expectile=0.5, discount=o.discount)
    port.equal(found, due, found_error + (1 + o.discount) * np.max(error + np.abs(start - due)))


@claim("I5", source=f"{IQL}, Lemma 2, Theorem 3", operators=["expectile_backup"], given=GIVEN, share=0.1)
def values_grow_with_the_level(port: Trial, o: Offline) -> None:
    """V_a <= V_b for levels a <= b, state by state."""
    low, high = sorted((o.level, o.other_level))
    one, one_radius = _values(port, o, low)
    two, two_radius = _values(port, o, high)
    port.at_most(one, two, one_radius + two_radius)


@claim(
    "I5",
    source=f"{IQL}, Theorem 3, with a rate",
    operators=["expectile_backup"],
    given=GIVEN,
    share=0.1,
    oracle="best_supported_value",
)
def values_tend_to_the_best_supported_value_at_a_rate(port: Trial, o: Offline) -> None:
    """0 <= V* - V <= (1 - level)(1 - p) span(Q) / (level p (1 - gamma)), V* best in the support, p the least mu(a|s) > 0."""
    found, radius = _values(port, o, o.level)
    best = best_supported_value(o.chances(), o.mdp.reward, o.behavior, discount=o.discount)
    q = exact(o.mdp.reward) + Fraction(o.discount) * (exact(o.chances()) * exact(found)).sum(axis=-1)
    held = o.behavior > 0
    span = max(max(row[seen]) - min(row[seen]) for row, seen in zip(q, held, strict=True))
    p, level = Fraction(o.behavior[held].min()), Fraction(o.level)
    odds = (1 - level) * (1 - p) / (level * p * (1 - Fraction(o.discount)))
    at_most(port, exact(found), best, radius, "V <= V*")
    at_most(port, best - exact(found), odds * span, radius * (1 + 2 * o.discount * float(odds)), "V* - V <= the rate")


@claim("I9", source=f"{IQL}, fig. 2", operators=["expectile_backup"])
def in_the_toy_maze_iql_is_closer_to_the_optimum_than_evaluation(port: Trial) -> None:
    """With a uniform behavior V^mu < V at level 0.95 < V* in every state but the goal: several steps of improvement, not one."""
    maze, discount = toy_maze(), 0.75
    world, behavior = (maze.transition, maze.reward), np.full(maze.reward.shape, 0.25)
    found, radius = _fixed_point(port, "expectile_backup", behavior, *world, expectile=rounded(0.95, port.dtype), discount=discount)
    evaluated, error = port("solve_policy", behavior, *world, discount=discount)
    best, best_error = port("solve_optimal", *world, discount=discount)
    alive = ~maze.terminal
    port.holds(bool(np.all((evaluated + error < found - radius)[alive])), "V^mu < V", found=found[alive], due=evaluated[alive])
    port.at_most(found, best, radius + best_error, "V <= V*")


# --------------------------------------------------------------------------------------------------------- in support
@claim(
    "I6",
    source=f"{IQL}, §4.2 (in-support)",
    operators=BACKUPS,
    share=0.5,
    given={**GIVEN, "wild": st.sampled_from([1.0, -1.0, np.inf, -np.inf])},
)
def actions_outside_the_behavior_change_nothing(port: Trial, o: Offline, wild: float) -> None:
    """Where mu(a|s) = 0, reward, transition and Q may be anything, infinity too: no V(s) and no supported Q(s, a) changes."""
    held, world = o.behavior > 0, o.chances()
    keywords = {"expectile": o.level, "discount": o.discount}
    start, other = (o.q, np.where(held, o.q, wild * 1024.0)) if port.subject == "sarsa_expectile_backup" else (o.q[:, 0], o.q[:, 0])
    due, error = port(port.subject, start, o.behavior, world, o.mdp.reward, **keywords)
    elsewhere = np.where(held[..., None], world, o.other_transition)
    reward = np.where(held, o.mdp.reward, wild * (np.abs(o.other_reward) + 1024.0))
    found = getattr(port, port.subject)(other, o.behavior, elsewhere, reward, **keywords)
    seen = held if found.ndim == 2 else np.ones(len(found), dtype=bool)
    port.equal(found[seen], due[seen], 2 * error[seen])


# ------------------------------------------------------------------------------------------------------- lucky sample
def _joint(o: Offline) -> tuple[Exact, Floats]:
    """The masses P(s'|s,a) mu(a'|s') [S, A, S*A] and, for each of them, Q(s',a')."""
    mass = exact(o.chances())[..., None] * exact(o.behavior)
    return mass.reshape(*o.behavior.shape, -1), np.broadcast_to(o.q.ravel(), (*o.behavior.shape, o.q.size))


@claim("I7", source=f"{IQL}, §4.2", operators=["sarsa_expectile_backup"], given=GIVEN, share=0.5)
def the_joint_expectile_tends_to_the_luckiest_successor(port: Trial, o: Offline) -> None:
    """sarsa_expectile_backup is r + gamma max Q(s',a') over all successors, less 0 to gamma (1 - level)(1 - p) span / (level p)."""
    found, error = port("sarsa_expectile_backup", o.q, o.behavior, *o.world(), expectile=o.level, discount=o.discount)
    mass, q = _joint(o)
    high, low = np.where(mass > 0, q, -np.inf).max(axis=-1), np.where(mass > 0, q, np.inf).min(axis=-1)
    p = (mass * exact((q == high[..., None]).astype(np.float64))).sum(axis=-1)
    lucky = exact(o.mdp.reward) + Fraction(o.discount) * exact(high)
    rate = (1 - Fraction(o.level)) / Fraction(o.level) * (1 - p) / p * (exact(high) - exact(low))
    at_most(port, exact(found), lucky, error, "at most the luckiest successor")
    at_most(port, lucky - exact(found), Fraction(o.discount) * rate, error, "no further from it than the rate")


@claim("I7", source=f"{IQL}, §4.2", operators=["sarsa_expectile_backup", "expectile"], given=GIVEN, share=0.5)
def on_deterministic_transitions_there_is_no_luck(port: Trial, o: Offline) -> None:
    """If one s' follows (s, a), sarsa_expectile_backup is r + gamma m(Q(s', .)), IQL's: the expectile over actions alone."""
    follows = o.other_transition.argmax(axis=-1)
    certain = (np.arange(len(o.q)) == follows[..., None]).astype(np.float64)
    found, error = port("sarsa_expectile_backup", o.q, o.behavior, certain, o.mdp.reward, expectile=o.level, discount=o.discount)
    value, value_error = port("expectile", o.q, o.behavior, expectile=o.level)
    due = exact(o.mdp.reward) + Fraction(o.discount) * exact(value[follows])
    port.equal(found, due, error + o.discount * value_error[follows])


FAIR_COIN = np.array([[[0.0, 0.5, 0.5]], [[0.0, 1.0, 0.0]], [[0.0, 0.0, 1.0]]])
ALONE = np.ones((3, 1))


@claim("I7", source=f"{IQL}, §4.2", operators=BACKUPS, given={"level": st.sampled_from(LEVELS)}, share=0.25)
def a_fair_coin_is_worth_nothing_to_iql_and_much_to_the_lucky_sample(port: Trial, level: float) -> None:
    """A coin between 2 and -2, gamma = 1/2: V = V* = 0 for IQL at every level, but 2 level - 1 for sarsa_expectile_backup."""
    reward = np.array([[0.0], [1.0], [-1.0]])
    due = np.array([0.0, 2.0, -2.0])
    if port.subject == "sarsa_expectile_backup":
        due = np.array([[2 * level - 1], [2.0], [-2.0]])
    found, error = port(port.subject, due, ALONE, FAIR_COIN, reward, expectile=level, discount=0.5)
    port.equal(found, due, error, "a fixed point")


@claim(
    "F3",
    source="plausible, and false: only the limit is so",
    operators=["sarsa_expectile_backup", "expectile"],
)
def the_joint_expectile_may_lie_below_the_mean_of_expectiles(port: Trial) -> None:
    """Refuted: for every level >= 1/2 the expectile over (s', a') is at least the mean over s' of the expectiles over a'.

    At 29/32, two equally likely successors with values -2, 0 at 1/2, 1/2 and 0, 1 at 29/32, 3/32: -1/160 < 5/32.
    """
    level = 29 / 32
    q, behavior = np.array([[0.0, 0.0], [-2.0, 0.0], [0.0, 1.0]]), np.array([[1.0, 0.0], [0.5, 0.5], [level, 1 - level]])
    coin = np.repeat(FAIR_COIN, 2, axis=1)
    joint, error = port("sarsa_expectile_backup", q, behavior, coin, np.zeros((3, 2)), expectile=level, discount=1.0)
    each, each_error = port("expectile", q, behavior, expectile=level)
    port.equal(joint[0, 0], Fraction(-1, 160), error[0, 0], "one expectile over (s', a')")
    mean, slack = (each[1] + each[2]) / 2, error[0, 0] + each_error.max()
    port.holds(joint[0, 0] + 0.15 < mean - slack, "the joint expectile is below the mean of the two", found=joint[0, 0], due=mean)
