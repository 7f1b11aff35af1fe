"""Tables that learn from transitions: what every sweep brings (B7), and what noise makes of them (M6)."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from hypothesis import strategies as st

from properties._agents_worlds import World, evaluated, made, optimal, q_table, sweeps, told, update_error, world, worlds
from properties._bounds import Floats
from properties._claim import claim
from properties._draw import indices
from properties._trial import Trial
from reference import agents as due

WATKINS = "Watkins & Dayan 1992; Bertsekas & Tsitsiklis 1996, §4.3 and §5.6 (asynchronous contractions)"
STEPS = (1.0, 0.5, 0.125)
SWEEPS = 5


def shrinks(port: Trial, w: World, learner: Any, point: tuple[Floats, float], step: float, data: Any, following: Any) -> None:
    """After each sweep over all pairs, in any order and some of them twice, |Q - point| <= (1 - step (1 - gamma)) what it was."""
    target, error = point
    rate = 1.0 - step * (1.0 - w.discount)
    before = q_table(port, learner, w)[0]
    size = max(w.size, float(np.abs(before).max()))
    for _ in range(SWEEPS):
        order = data.draw(sweeps(w.states * w.actions))
        for place in order:
            s, a = divmod(place, w.actions)
            learner.update(**w.row(s, a, int(following[int(w.transition[s, a].argmax())])))
        after = q_table(port, learner, w)[0]
        distance, was = np.abs(after - target).max(), np.abs(before - target).max()
        port.at_most(distance, rate * was, 2 * error + update_error(size, len(order)), "the distance after a covering sweep")
        before = after


GIVEN = {"w": worlds(), "step": st.sampled_from(STEPS), "data": st.data()}


@claim("B7", source=WATKINS, operators=["q_learning_agent", "online_q_iteration_agent"], given=GIVEN, share=0.1)
def each_covering_sweep_brings_q_learning_closer_to_the_optimum(port: Trial, w: World, step: float, data: Any) -> None:
    """Without chance, whatever explores: once every pair was updated with a step in (0, 1], the largest distance of Q to Q* has
    shrunk by the factor 1 - step (1 - gamma) or more. The action taken next does not matter."""
    learner = made(port, w, {"learning_rate": step})
    shrinks(port, w, learner, optimal(port, w), step, data, data.draw(indices((w.states + 1,), w.actions)))


@claim("B7", source=f"{WATKINS}; van Seijen et al. 2009", operators=["expected_sarsa_agent"], share=0.2,
       given={**GIVEN, "epsilon": st.sampled_from([0.5, 1.0, 0.0, 0.125])})  # fmt: skip
def each_covering_sweep_brings_expected_sarsa_closer_to_its_values(
    port: Trial, w: World, step: float, data: Any, epsilon: float
) -> None:
    """The same of expected SARSA and Q = R + gamma P (epsilon-greedy average of Q), its own policy's values."""
    learner = made(port, w, {"learning_rate": step, "epsilon_start": epsilon, "epsilon_end": epsilon})
    point = due.epsilon_greedy_values(w.transition, w.reward, epsilon=epsilon, discount=w.discount)
    shrinks(port, w, learner, (point.q[:-1], point.bound), step, data, np.zeros(w.states + 1, dtype=np.int64))


@claim("B7", source=f"{WATKINS}; Sutton & Barto 2018, §6.4", operators=["sarsa_agent"], given=GIVEN, share=0.1)
def each_covering_sweep_brings_sarsa_closer_to_the_behaviors_values(port: Trial, w: World, step: float, data: Any) -> None:
    """Without chance, for a behavior mu without chance: once every pair was updated, the next action being mu's, the largest
    distance of Q to Q^mu has shrunk by the factor 1 - step (1 - gamma) or more."""
    mu = data.draw(indices((w.states + 1,), w.actions))
    learner = made(port, w, {"learning_rate": step})
    shrinks(port, w, learner, evaluated(port, w, np.eye(w.actions)[mu]), step, data, mu)


@claim("B7", source="Sutton & Barto 2018, §6.4; the update is linear in Q", operators=["sarsa_agent"], share=0.05,
       given={"w": worlds(states=2, actions=2), "step": st.sampled_from(STEPS), "pairs": indices((4,), 4)})  # fmt: skip
def sarsa_learns_the_mean_over_next_actions(port: Trial, w: World, step: float, pairs: Any) -> None:
    """Over all sequences of next actions, equally likely, E Q moves to r + gamma mean E Q(s', .): SARSA's target is right in the
    mean, so that it reaches the values of a behavior with chance, too."""
    following = np.array(list(product(range(w.actions), repeat=len(pairs))))
    learner = made(port, w, {"learning_rate": step}, seeds=(0,) * len(following))
    mean = q_table(port, learner, w, len(following))[0]
    size = max(w.size, float(np.abs(mean).max()))
    for place, pair in enumerate(pairs):
        s, a = divmod(int(pair) % (w.states * w.actions), w.actions)
        row = {name: np.repeat(value, len(following), axis=0) for name, value in w.row(s, a).items()}
        learner.update(**row | {"next_actions": following[:, place : place + 1]})
        after = int(row["next_observations"][0, 0])
        ahead = 0.0 if w.terminal[after] else mean[after].mean()
        mean[s, a] += step * (w.reward[s, a] + w.discount * ahead - mean[s, a])
    found = q_table(port, learner, w, len(following))
    slack = update_error(size, 2 * len(pairs)) + port.sum_error(found, axis=0) / len(following)
    port.equal(found.mean(axis=0), mean, slack, "E Q")


# ----------------------------------------------------------------------------------------------------------- overestimation
ARMS, DISCOUNT, STEP = 3, 0.5, 0.5
PAYS, MEAN = (-1.0, 0.75), -0.125
SUTTON = "Sutton & Barto 2018, §6.7 and example 6.7; van Hasselt 2010, §3"


def chain() -> World:
    """From A (0) the first action leads to B (1), each other one to the end; so do all arms of B, which pay -1/8 on average."""
    after = np.full((2, ARMS), 2)
    after[0, 0] = 1
    return world(after, np.array([[0.0] * ARMS, [MEAN] * ARMS]), DISCOUNT)


def rewards(visits: int) -> Floats:
    """Every sequence of rewards [learner, visit, arm], all equally likely."""
    return np.array(list(product(PAYS, repeat=visits * ARMS))).reshape(-1, visits, ARMS)


def trained(port: Trial, paid: Floats) -> Any:
    """Learners of equal seeds, one for each sequence: every arm of B as often as there are visits, then going left from A."""
    w, many = chain(), len(paid)
    learner = made(port, w, {"learning_rate": STEP}, seeds=(0,) * many)
    for visit in range(paid.shape[1]):
        for arm in range(ARMS):
            row = {name: np.repeat(value, many, axis=0) for name, value in w.row(1, arm).items()}
            learner.update(**row | {"rewards": paid[:, visit, arm, None]})
    for _ in range(2):
        learner.update(**{name: np.repeat(value, many, axis=0) for name, value in w.row(0, 0).items()})
    return learner


@claim("M6", source=SUTTON, operators=["q_learning_agent"])
def a_q_learning_agent_overestimates_on_the_bias_chain(port: Trial) -> None:
    """Over all rewards of two visits to each arm, E Q(A, left) is 3/4 gamma E max of what is learned of the arms, which is more
    than 0, though going left is worth -1/16."""
    paid = rewards(2)
    learner = trained(port, paid)
    arms = STEP * paid[:, 1] + (1 - STEP) * STEP * paid[:, 0]
    left = (1 - (1 - STEP) ** 2) * DISCOUNT * arms.max(axis=-1)
    found = q_table(port, learner, chain(), len(paid))[:, 0, 0]
    port.equal(found, left, update_error(1.0, 8), "Q(A, left) of each sequence of rewards")
    port.holds(bool(found.mean() > 0.0), "Q-learning must overestimate: E Q(A, left) > 0", found=found.mean())


@claim("M6", source=SUTTON, operators=["double_q_learning_agent"])
def a_double_q_learning_agent_does_not_overestimate_on_the_bias_chain(port: Trial) -> None:
    """Whatever its coins: over all rewards of four visits to each arm, neither table's E Q(A, left) is above 0, where learning
    started."""
    paid = rewards(4)
    learner = trained(port, paid)
    tables = told(port, learner, "critic", (len(paid), 2, 3, ARMS))
    slack = update_error(1.0, 14) + port.sum_error(tables[:, :, 0, 0], axis=0) / len(paid)
    port.at_most(tables[:, :, 0, 0].mean(axis=0), 0.0, slack, "E Q(A, left) <= 0 in either table")
    port.holds(bool((tables[:, :, 1] != 0).any()), "what arms pay must be learned", found=tables[0, :, 1])
