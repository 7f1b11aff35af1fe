"""What a whole learner makes of noisy rewards: Q-learning overestimates where double Q-learning does not (M6), enumerated.

Sutton and Barto's chain: from A one action ends with reward 0, the other leads to B, whose arms all pay -1 or 3/4, equally likely:
-1/8 on average. Each learner sees every arm of B twice and then updates A once. All sequences of rewards are learners of one
batch: the mean over the batch is the expectation, and as rewards, steps (1, 1/2) and discount are dyadic nothing is rounded away.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np

from properties._bounds import Floats
from properties._claim import claim
from properties._trial import Trial

ARMS, VISITS, DISCOUNT = 3, 2, 0.5
PAYS, MEAN = (-1.0, 0.75), -0.125
SUTTON = "Sutton & Barto 2018, §6.7 and example 6.7; van Hasselt 2010, §3"


class Learned(NamedTuple):
    """A's learned value of going to B, one number a learner, and what rounding may have done to it."""

    value: Floats
    error: Floats


def learners(tables: int) -> Floats:
    """Every sequence of rewards [learner, table, visit, arm]."""
    shape = (tables, VISITS, ARMS)
    return np.array(list(product(PAYS, repeat=tables * VISITS * ARMS))).reshape(-1, *shape)


def averaged(reward: Floats) -> Floats:
    """B's arms, learned with step 1/k from [learner, visit, arm]; each visit ends the episode, so that its target is the reward."""
    q = np.zeros(reward[:, 0].shape)
    for k in range(VISITS):
        q += (reward[:, k] - q) / (k + 1)
    return q


def expectation(port: Trial, learned: Learned) -> tuple[Floats, Floats]:
    """The mean over all learners, which are equally likely, and its error."""
    return np.asarray(learned.value.mean()), np.asarray(learned.error.mean() + port.sum_error(learned.value) / learned.value.size)


@claim("M6", source=SUTTON, operators=["q_learning_target"])
def q_learning_overestimates_on_the_bias_chain(port: Trial) -> None:
    """After two visits of each arm, E Q(A, left) = gamma E max of the arms' averages, 47/256, though going left is worth -1/16."""
    q = averaged(learners(1)[:, 0])
    nothing, running = np.zeros(len(q)), np.zeros(len(q), dtype=bool)
    found, error = expectation(port, Learned(*port("q_learning_target", nothing, running, q, discount=DISCOUNT)))
    port.equal(found, DISCOUNT * np.mean(q.max(axis=-1)), error, "E Q(A, left)")
    port.holds(bool(found - error > 0.0), "Q-learning must overestimate: E Q(A, left) > 0", found=found)


@claim("M6", source=SUTTON, operators=["double_q_target"], share=0.1)
def double_q_learning_does_not_overestimate_on_the_bias_chain(port: Trial) -> None:
    """With two tables, each from its own rewards, E Q(A, left) = gamma (-1/8), exactly what going left is worth."""
    rewards = learners(2)
    select, evaluate = averaged(rewards[:, 0]), averaged(rewards[:, 1])
    nothing, running = np.zeros(len(select)), np.zeros(len(select), dtype=bool)
    found, error = expectation(port, Learned(*port("double_q_target", nothing, running, select, evaluate, discount=DISCOUNT)))
    port.equal(found, DISCOUNT * MEAN, error, "E Q(A, left)")
