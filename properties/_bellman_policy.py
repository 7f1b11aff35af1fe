"""Which actions the solvers of processes take: the first of equally good ones, none that is forbidden; and when iterations stop."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from scipy.sparse import csr_array

from properties._bellman_calls import KNOBS, OPTIMA, Knobs, call_of, rough_cases
from properties._bounds import UNIT, Floats, rounded
from properties._claim import claim
from properties._draw import dyadic, expectile_levels
from properties._mdps import MDPCase
from properties._trial import Trial, first

ITERATIONS = ("value_iteration", "q_value_iteration")
CHOICES, ENDS = 64, 5
"""States that have a choice, and states of either side in which it ends."""


@claim(
    "bellman",
    source="reference.solve_optimal: among optimal actions the first, up to the rounding of q",
    operators=["solve_optimal"],
    given={
        "key": st.integers(0, 2**16),
        "power": st.sampled_from((0, -60, 60)),
        "discount": st.sampled_from((0.5, 0.5, 0.0)),
        "csr": st.booleans(),
    },
    share=0.3,
)
def of_actions_that_tie_up_to_rounding_the_first_is_taken(port: Trial, key: int, power: int, discount: float, csr: bool) -> None:
    """Two actions with r + gamma sum of p V over the same terms in opposite order tie, and the first is taken; the second where
    the first earns less by 2^12 roundings of |r| + gamma P|V|, which are more than any way to compute q takes."""
    transition, reward, size = _mirrored(np.random.default_rng(key), discount, 2.0**power, port.dtype)
    rows: Any = csr_array(transition.reshape(reward.size, -1)) if csr else transition
    policy = port.solve_optimal(rows, reward, discount=discount)[1]
    port.equal(policy, np.zeros(len(reward)), 0.0, "the first of actions that tie")
    reward[:CHOICES, 0] = rounded(reward[:CHOICES, 0] - 2.0**12 * UNIT[port.dtype] * size, port.dtype)
    policy = port.solve_optimal(rows, reward, discount=discount)[1]
    port.equal(policy, (np.arange(len(reward)) < CHOICES).astype(np.float64), 0.0, "the better of actions that do not tie")


def _mirrored(rng: np.random.Generator, discount: float, scale: float, dtype: str) -> tuple[Floats, Floats, Floats]:
    """Choices between the ends x_1..x_n and, as likely, their copies in the order x_n..x_1; and |r| + gamma P|V| of the choices.

    An end earns for ever: at gamma 0 and 1/2 its value is once and twice its reward, without rounding.
    """
    states = CHOICES + 2 * ENDS
    chance = dyadic(rng.integers(0, 256, (CHOICES, ENDS), dtype=np.uint8), 32, 1)
    transition = np.zeros((states, 2, states))
    transition[:CHOICES, 0, CHOICES : CHOICES + ENDS] = chance
    transition[:CHOICES, 1, CHOICES + ENDS :] = chance[:, ::-1]
    ends = np.arange(CHOICES, states)
    transition[ends, :, ends] = 1.0
    pays = scale * rounded(rng.standard_normal(ENDS), dtype)
    own = scale * rounded(rng.standard_normal(CHOICES) * 2.0 ** rng.choice((-20, 0, 4, 4), CHOICES), dtype)
    reward = np.repeat(np.concatenate([own, pays, pays[::-1]])[:, None], 2, axis=1)
    return transition, reward, np.abs(own) + discount / (1 - discount) * (chance @ np.abs(pays))


@claim("bellman", source="reference.solve_optimal: among optimal actions the first, up to the rounding of q",
       operators=["solve_optimal"], given={"key": st.integers(0, 2**16)}, share=0.15)  # fmt: skip
def rounding_is_that_of_the_larger_terms(port: Trial, key: int) -> None:
    """An action of reward c whose ends are all worth -2c ties at gamma = 1/2 with one of reward 0 that ends at 0, however large c
    is: the first is taken, be it the one or the other."""
    rng = np.random.default_rng(key)
    states, cost = CHOICES + ENDS + 1, float(rounded(np.exp(8 * rng.random()), port.dtype))
    transition, reward = np.zeros((states, 2, states)), np.zeros((states, 2))
    here, ends = np.arange(CHOICES), np.arange(CHOICES, states)
    transition[ends, :, ends] = 1.0
    reward[CHOICES:-1] = -cost
    transition[here, here % 2, CHOICES:-1] = dyadic(rng.integers(0, 256, (CHOICES, ENDS), dtype=np.uint8), 32, 1)
    reward[here, here % 2] = cost
    transition[here, 1 - here % 2, -1] = 1.0
    policy = port.solve_optimal(transition, reward, discount=0.5)[1]
    port.equal(policy, np.zeros(states), 0.0, "the first of actions that tie")


@claim("bellman", source="the operator contract (rewards of -inf follow IEEE)", operators=OPTIMA, share=0.3,
       given={"case": rough_cases(below_one=True), "knobs": KNOBS})  # fmt: skip
def a_reward_of_minus_infinity_forbids_an_action(port: Trial, case: MDPCase, knobs: Knobs) -> None:
    """The optimum with one more action at -inf is the one with that action a copy of another; no policy takes it, its Q is -inf."""
    name, mdp = port.subject, case.mdp.dense()
    transition, reward = (np.concatenate([table[:, :1], table], axis=1) for table in (np.asarray(mdp.transition), mdp.reward))
    copied = call_of(name, case, knobs, mdp=mdp._replace(transition=transition, reward=reward))
    reward = reward.copy()
    reward[:, 0] = -np.inf
    due, error = port(name, *copied.arguments, **copied.keywords)
    result = getattr(port, name)(transition, reward, **copied.keywords)
    found, due = np.asarray(result[0]), np.asarray(first(due))
    if name == "solve_optimal":
        port.holds(bool((np.asarray(result[1]) > 0).all()), "a forbidden action is taken", found=result[1])
    if name == "q_value_iteration":
        port.holds(bool((found[:, 0] == -np.inf).all()), "Q of a forbidden action must be -inf", found=found)
        found, due, error = found[:, 1:], due[:, 1:], error[:, 1:]
    port.equal(found, due, 2 * error)


@claim("B2", source="Puterman 1994, §6.3 (the stopping rule)", operators=ITERATIONS, share=0.3,
       given={"reward": st.integers(1, 64), "sweeps": st.integers(2, 12)})  # fmt: skip
def an_iteration_stops_where_its_certificate_equals_the_tolerance(port: Trial, reward: int, sweeps: int) -> None:
    """On one state at gamma = 1/2, V_k = (2 - 2^(1-k)) r and the certificate is 2^(1-k) r, all without rounding: with that as the
    tolerance there are k sweeps."""
    tolerance = reward * 2.0 ** (1 - sweeps)
    table, pay = np.ones((1, 1, 1)), np.full((1, 1), float(reward))
    found = getattr(port, port.subject)(table, pay, discount=0.5, tolerance=tolerance, max_iterations=50)
    port.equal(found[1], sweeps, 0.0, "iterations")
    port.equal(found[2], tolerance, 0.0, "error_bound")
    port.equal(np.asarray(found[0]).ravel(), [2.0 * reward - tolerance], 0.0, "value")


@claim("bellman", source="the operator contract (rewards and values of +-inf follow IEEE)",
       operators=["expectile_backup", "sarsa_expectile_backup"], share=0.1,
       given={"level": expectile_levels(), "chance": st.sampled_from((0.5, 0.25, 1.0))})  # fmt: skip
def what_infinities_leave_unknown_is_answered_nan(port: Trial, level: float, chance: float) -> None:
    """-inf + gamma inf is nan in the backup of its state, where nothing was wrong with the arguments; nothing is raised."""
    behavior, reward = np.array([[chance, 1 - chance]] * 2), np.array([[-np.inf, 1.0], [2.0, 3.0]])
    transition = np.repeat(np.eye(2)[:, None], 2, axis=1)
    start = np.array([np.inf, 0.0])
    if port.subject == "sarsa_expectile_backup":
        start = np.repeat(start[:, None], 2, axis=1)
    found = getattr(port, port.subject)(start, behavior, transition, reward, expectile=level, discount=0.5)
    port.holds(bool(np.isnan(np.asarray(found).flat[0])), "inf - inf must be nan", found=found)
