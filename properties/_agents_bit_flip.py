"""BitFlip: where each state was seen with one action, AWR can only repeat it, and QWR improves (W10).

With one action in each state the weighted likelihood is largest where that action is certain, whatever the weights (W3): AWR is
cloning. QWR asks its critic about all actions, and what it has learned of one of them says how good the others are beside it.
Bits are 2^N states with N actions each: a memory of so many steps holds the fewer actions of each state the larger N is.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from hypothesis import strategies as st

from properties._agents_descents import NESTEROV, apart, distribution_left, gradient_left, logit_error
from properties._agents_updates import OFFLINE
from properties._agents_weighted_regression import AWR, QWR
from properties._agents_worlds import Draw, Indices, World, chancy, made, told, update_error
from properties._bounds import Floats
from properties._claim import claim
from properties._draw import indices
from properties._ledger import Case
from properties._sampled import Observations, Stream, sampled
from properties._trial import Trial
from reference.finite_mdps import bit_flip

POSTER = "Kozakowski et al. 2021: BitFlip, and why AWR is not sample-efficient"


@cache
def bits(count: int, discount: float) -> World:
    """BitFlip of so many bits; the end, which no step leads to, is its last state."""
    table = bit_flip(count).dense()
    transition = np.concatenate([np.asarray(table.transition), np.zeros((2**count, count, 1))], axis=-1)
    return chancy(transition, table.reward, discount)


def steps_of(w: World, s: Indices, a: Indices) -> dict[str, Any]:
    """A rollout of one environment, [seeds, 1, T], of steps that are episodes of their own; all actions were equally likely."""
    after = w.transition[s, a].argmax(axis=-1)
    over = np.ones(s.shape, dtype=bool)
    columns = {
        "observations": s, "actions": a, "rewards": w.reward[s, a], "next_observations": after, "terminations": ~over,
        "truncations": over, "behavior": np.full((*s.shape, w.actions), -np.log(w.actions)),
    }  # fmt: skip
    return {name: column[:, None] for name, column in columns.items()}


# ------------------------------------------------------------------------------------------------- one action in each state
@st.composite
def memories(draw: Draw) -> tuple[World, Indices]:
    """Bits, and an action for each state, [2, S]: and in the second row those of the mirror image, in which every bit is turned."""
    count = draw(st.integers(2, 4))
    action = draw(indices((2**count,), count))
    return bits(count, 0.0), np.stack([action, action[::-1]])


def taught(port: Trial, w: World, action: Indices, options: dict[str, Any]) -> tuple[Floats, Floats]:
    """The policies [2, S, A] before and after one round on each state with its one action."""
    learner = made(port, w, options | {"init": "zeros"}, behavior=None if port.subject != "bc_agent" else w.behavior, seeds=(0, 1))
    shape = (2, w.states + 1, w.actions)
    before = told(port, learner, "policy", shape)[:, :-1]
    rollout = steps_of(w, np.tile(np.arange(w.states), (2, 1)), action)
    if port.subject == "bc_agent":
        batch = {name: column[:, 0] for name, column in rollout.items() if name not in ("truncations", "behavior")}
        for _ in range(STEPS):
            learner.update(**batch, next_actions=0 * action)
    else:
        learner.update(**rollout)
    return before, told(port, learner, "policy", shape)[:, :-1]


STEPS = 400
MEMORY = {"memory": memories(), "temperature": st.sampled_from([1.0, 2.0])}


@claim("W10", source=f"{POSTER}; {NESTEROV}", operators=["awr_agent", "bc_agent"], given=MEMORY, share=0.02)
def one_action_in_each_state_is_all_that_awr_learns(port: Trial, memory: tuple[World, Indices], temperature: float) -> None:
    """The policy comes to that action, whatever the weights: as near as descent does at their least. So it is cloning's, and earns
    what the data's actions do: on a memory and its mirror image, in which every bit is turned, together nothing, which is what the
    uniform behavior earns."""
    w, action = memory
    weights = np.exp(np.array([-0.5, 0.5]) / temperature)  # V goes half the way to the reward, which is 1 or -1
    if port.subject == "bc_agent":
        weights = np.ones(2)
    rate = 2.0 * w.states / weights[1]
    options = (
        OFFLINE if port.subject == "bc_agent" else AWR | {"value_learning_rate": 0.5 * w.states, "value_steps": 1, "lambda_": 1.0}
    )
    if port.subject == "awr_agent":
        options = options | {"temperature": temperature, "max_weight": 4.0, "policy_steps": STEPS}
    before, found = taught(port, w, action, options | {"policy_learning_rate": float(rate)})
    one = np.eye(w.actions)[action]
    allowed = distribution_left(before, one, float(2.0 * weights[0] / weights[1]), STEPS)
    assert allowed <= 1 / 20, "a bound that says nothing"
    slack = logit_error(STEPS, w.states)
    port.at_most(np.linalg.norm(found - one, axis=-1), allowed, slack, "the policy and the data's one action")
    earned = (found * w.reward[:-1]).sum(axis=-1).mean(axis=-1)
    port.at_most(abs(earned.sum()), 4 * allowed, 4 * slack, "what is earned on the memory and on its mirror image")


@claim("W10", source=f"{POSTER}; {NESTEROV}", operators=["qwr_agent"], given=MEMORY, share=0.02)
def one_action_in_each_state_is_enough_for_qwr_to_improve(port: Trial, memory: tuple[World, Indices], temperature: float) -> None:
    """The critic knows the reward of that action, 1 or -1, and 0 of each other one. The policy comes to exp(Q / t) over its sum,
    which earns in each state at least what the uniform behavior does, and more by (pi(a) - 1/N) (r - the mean of the others): at
    least half of that on the whole."""
    w, action = memory
    one, reward = np.eye(w.actions)[action], w.reward[:-1]
    paid = np.take_along_axis(np.tile(reward, (2, 1, 1)), action[..., None], axis=-1)[..., 0]
    q = paid[..., None] * one
    policy = np.exp(q / temperature) / np.exp(q / temperature).sum(axis=-1, keepdims=True)
    weight = np.exp((q - q.mean(axis=-1, keepdims=True)) / temperature)
    rate = 2.0 * w.states / weight.mean(axis=-1).max()
    options = {
        "critic_learning_rate": float(w.states), "critic_steps": 2, "target_every": 2, "margin": 0, "lambda_": 1.0,
        "aggregate": "max", "temperature": temperature, "max_weight": 8.0, "policy_learning_rate": float(rate),
        "policy_steps": STEPS,
    }  # fmt: skip
    before, found = taught(port, w, action, QWR | options)
    allowed = gradient_left(rate * weight.mean(axis=-1) / w.states, STEPS, 0.0, apart(before, policy))
    slack = logit_error(STEPS, w.states) + update_error(4.0 / temperature, 4)
    port.at_most(np.linalg.norm(found - policy, axis=-1), allowed, slack, "the policy and exp(Q / t) over its sum")
    least, gain = (found * reward).sum(axis=-1), ((policy - 1 / w.actions) * reward).sum(axis=-1)
    even = np.tile(reward.mean(axis=-1), (2, 1))
    size = w.actions**0.5
    port.at_most(even + gain, least, size * (allowed + slack), "what is earned in each state")
    assert (gain >= -slack).all() and gain.mean() > 4 * (size * allowed).mean(), "nothing to be gained"
    port.at_most(even.mean() + gain.mean() / 2, least.mean(), 0.0, "half of what is to be gained")


# ------------------------------------------------------------------------------------------------------- more and more bits
STORED, DISCOUNT, HORIZON = 64, 0.5, 5
"""Steps in the memory, spread evenly over all states; the discount of the learners; how long an episode is that is tried."""
FEW, MORE, MANY = 2, 4, 6
LEARNING: dict[str, Any] = {"init": "zeros", "temperature": 0.5, "max_weight": 4.0, "lambda_": 1.0, "policy_steps": 60}


def earned(w: World, policy: Floats) -> Floats:
    """The return of an episode from an evenly drawn state, by enumeration, over the most that there is (W9); [n, S, A] -> [n]."""
    after, zeros = w.transition[:-1].argmax(axis=-1), w.actions - np.array([state.bit_count() for state in range(w.states)])
    value, early = np.zeros((len(policy), w.states)), np.minimum(HORIZON, zeros)
    for _ in range(HORIZON):
        value = (policy * (w.reward[:-1] + value[:, after])).sum(axis=-1)
    return np.asarray(value.mean(axis=-1) / (early - (HORIZON - early) % 2).mean())


def remembered(port: Trial, count: int, size: int, stream: Stream) -> tuple[Floats, Floats]:
    """What cloning and the subject earn after one round on uniformly random actions: one memory of STORED steps for each seed."""
    w, first = bits(count, DISCOUNT), stream(0).seed % 2**31
    s = np.tile(np.repeat(np.arange(w.states), STORED // w.states), (size, 1))
    a = stream.own(0).integers(w.actions, size=s.shape)
    rates: dict[str, Any] = {"value_learning_rate": float(w.states), "value_steps": 1}
    if port.subject == "qwr_agent":
        rates = {"critic_learning_rate": float(w.states), "critic_steps": 20, "target_every": 10, "margin": 0, "aggregate": "max"}
    options = (QWR if port.subject == "qwr_agent" else AWR) | LEARNING | rates
    options |= {"policy_learning_rate": 2.0 * w.states / LEARNING["max_weight"]}
    learner = made(port, w, options, seeds=tuple(range(first, first + size)))
    learner.update(**steps_of(w, s, a))
    cloned = np.zeros((size, w.states, w.actions))
    np.add.at(cloned, (np.arange(size)[:, None], s, a), w.states / STORED)
    found = told(port, learner, "policy", (size, w.states + 1, w.actions))[:, :-1]
    return earned(w, cloned), earned(w, found)


def most(_: str) -> float:
    """A sentence about 9 of 10 memories, or more."""
    return 0.1


def case(count: int, coordinate: str, mistake: str, chance: float) -> Case:
    """Nearly all memories of so many bits, where with the mistake it would be at most that part of them."""
    return Case(f"{count} bits", (coordinate,), np.ones(1), {mistake: np.array([chance])}, count, most)


NO_BETTER, BETTER = "no more than an eighth above cloning", "a quarter above cloning"


@sampled("W10", source=POSTER, operators=["awr_agent"], share=0.003, every_dtype=False,
         cases=[case(FEW, BETTER, "weights-forgotten", 0.0), case(MANY, NO_BETTER, "other-actions-weighed", 0.5)])  # fmt: skip
def awr_falls_to_cloning_as_bits_are_added(port: Trial, case: Case, size: int, stream: Stream) -> Observations:
    """From 64 steps at random, evenly over all states, AWR's return is more than a quarter of the largest one above cloning's with
    two bits, 16 steps in each state; with six bits, one step in each, no more than an eighth: of nine memories in ten, or more."""
    clone, found = remembered(port, case.inputs, size, stream)
    return np.asarray(found - clone > 0.25 if case.inputs == FEW else found - clone <= 0.125)[:, None]


@sampled("W10", source=POSTER, operators=["qwr_agent"], share=0.003, every_dtype=False,
         cases=[case(count, "an eighth of the largest return", "cloning", 0.5) for count in (FEW, MORE, MANY)])  # fmt: skip
def qwr_keeps_improving_as_bits_are_added(port: Trial, case: Case, size: int, stream: Stream) -> Observations:
    """From the same memories QWR's return is more than an eighth of the largest one with two, four and six bits, of nine memories
    in ten, or more. Cloning's is as likely below 0 as above it: turning every bit turns its sign."""
    return np.asarray(remembered(port, case.inputs, size, stream)[1] > 0.125)[:, None]
