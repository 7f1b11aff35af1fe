"""IQL, one-step and behavioural cloning on a finite world: as near their fixed points as their contraction says."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from offline_agents import Array, made
from torch import Tensor

import accelerated
from accelerated.agents import agent, iql
from accelerated.agents.batch import Batch, Space
from accelerated.agents.state import State


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


DISCOUNT, EXPECTILE, END = 0.8, 0.8, 4
BEHAVIOR = np.array([[1, 1], [3, 1], [1, 3], [1, 1]]) / np.array([[2], [4], [4], [2]])
"""[4, 2] of the four states that do not end the episode; state 4 does."""


class World:
    """Five states, two actions, two successors each with chances 1/2, exact data of it, and the model for the operators."""

    def __init__(self) -> None:
        rng = np.random.default_rng(5)
        self.reward = np.vstack([rng.normal(size=(4, 2)), np.zeros((1, 2))])
        self.transition = np.zeros((5, 2, 5))
        for s, a in itertools.product(range(4), range(2)):
            self.transition[s, a, rng.choice(5, 2, replace=False)] = 0.5
        self.transition[END, :, END] = 1.0
        self.behavior = np.vstack([BEHAVIOR, [[0.5, 0.5]]])
        self.space = Space((), torch.int64, actions=2, states=5)

    def rows(self) -> list[tuple[int, int, int, int]]:
        """(s, a, s', a') as often as behavior(a|s) · P(s'|s, a) · behavior(a'|s') says, every s equally often."""
        found = []
        for s, a, s2, a2 in itertools.product(range(4), range(2), range(5), range(2)):
            share = self.behavior[s, a] * self.transition[s, a, s2] * self.behavior[s2, a2]
            found += [(s, a, s2, a2)] * round(32 * share)
        return found

    def batch(self) -> Batch:
        s, a, s2, a2 = torch.tensor(self.rows()).T.unsqueeze(1)
        discounts = torch.full(s.shape, DISCOUNT, dtype=torch.float64)
        return Batch(s, a, torch.tensor(self.reward)[s, a], s2, s2 == END, discounts, a2)

    def model(self) -> list[Tensor]:
        return [torch.tensor(x) for x in (self.behavior, self.transition, self.reward)]

    def v_fixed(self, expectile: float) -> Array:
        """Iterating the contraction 200 times leaves 0.8^200 of the first error, 1e-19."""
        value = torch.zeros(5, dtype=torch.float64)
        for _ in range(200):
            value = accelerated.expectile_backup(value, *self.model(), expectile=expectile, discount=DISCOUNT)
        return value.numpy()

    def q_of(self, value: Array) -> Array:
        return np.asarray(self.reward + DISCOUNT * self.transition @ value)


def table(state: State, name: str) -> Array:
    """[states, outputs] of the first seed's first member."""
    return np.asarray(next(iter(state.networks[name].values())).detach().numpy()[0, 0])


def farthest(factors: Array, here: float, there: float) -> float:
    """The largest (1 - x) · here + x · there for x among the factors."""
    return float(((1 - factors) * here + factors * there).max())


def spreads(rows: list[tuple[int, int, int, int]], rate: float) -> tuple[Array, Array]:
    """How far one step moves V(s) and Q(s, a) per unit of mean slope: rate · the share of the rows that are theirs."""
    of_state = np.bincount([s for s, *_ in rows], minlength=4) / len(rows)
    of_pair = np.bincount([2 * s + a for s, a, *_ in rows], minlength=8) / len(rows)
    return rate * of_state, rate * of_pair


STEPS, RATE, POLYAK = 500, 1.6, 0.5
TABLES: dict[str, Any] = {"hidden": (), "init": "zeros", "optimizer": "sgd", "policy_schedule": "constant", "discount": DISCOUNT}
TABLES |= {"value_learning_rate": RATE, "critic_learning_rate": RATE, "polyak_step": POLYAK}


def trained(name: str, world: World, steps: int = STEPS, **options: Any) -> State:
    """A wrong V of the terminal state stays where it is and must leak nowhere."""
    state, batch = made(name, world.space, (0,), **TABLES, **options), world.batch()
    with torch.no_grad():
        for tensor in state.networks.get("value", {}).values():
            tensor[0, 0, END] = 1e3
    for _ in range(steps):
        agent(name).update(state, batch)
    return state


@pytest.mark.parametrize("order", iql.ORDERS)
def test_iql_comes_as_near_the_expectile_fixed_point_as_its_contraction_says(order: str) -> None:
    """Bounds of |V - V*|, |Q - Q*|, |target - Q*| (largest over the table), each step from the ones before.

    V step: phi(u) = 2|expectile - 1[u < 0]|u rises with a slope in [m, M] = [2(1 - expectile), 2 expectile]. With
    k = rate · share of the rows of s, V(s) - V*(s) becomes (1 - kS)(V - V*) + k Σ behavior · slope · (target - Q*) with
    S in [m, M]: a mixture of the two errors with a factor in [km, kM], if kM <= 1. Its bound is linear in the factor, so
    that an end is the worst. Q step: a mixture with factor 2 · rate · share, where V's error is discounted. Polyak: p.
    """
    world = World()
    fixed = world.v_fixed(EXPECTILE)
    q_fixed = world.q_of(fixed)
    of_state, of_pair = spreads(world.rows(), RATE)
    v_factors = np.concatenate([of_state * 2 * (1 - EXPECTILE), of_state * 2 * EXPECTILE])
    q_factors = 2 * of_pair
    assert v_factors.max() <= 1 and q_factors.max() <= 1
    v, q = np.abs(fixed).max(), np.abs(q_fixed).max()
    target, begin = q, v
    for _ in range(STEPS):
        if order == "target_first":
            target = (1 - POLYAK) * target + POLYAK * q
        new_v = farthest(v_factors, v, target)
        q = farthest(q_factors, q, DISCOUNT * (new_v if order == "author" else v))
        v = new_v
        if order != "target_first":
            target = (1 - POLYAK) * target + POLYAK * q
    state = trained("iql", world, expectile=EXPECTILE, order=order)
    # a step sums 128 rows; what its roundings leave, the recursion adds up 1 / (1 - discount) times
    rounding = 1e-13 * np.abs(q_fixed).max() / (1 - DISCOUNT)
    assert v < 1e-3 * begin, "the bound says something"
    assert np.abs(table(state, "value")[:4, 0] - fixed[:4]).max() <= v + rounding
    assert np.abs(table(state, "critic")[:4] - q_fixed[:4]).max() <= q + rounding
    assert np.abs(table(state, "target_critic")[:4] - q_fixed[:4]).max() <= target + rounding


def test_one_step_reaches_the_values_of_the_behavior() -> None:
    """Q: a mixture with the discounted target's error; V: as above with slope 1 for both signs."""
    world = World()
    fixed = world.v_fixed(0.5)
    q_fixed = world.q_of(fixed)
    solved = accelerated.solve_policy(*world.model(), discount=DISCOUNT)
    np.testing.assert_allclose(fixed, solved.numpy(), atol=1e-12)
    of_state, of_pair = spreads(world.rows(), RATE)
    v, q = np.abs(fixed).max(), np.abs(q_fixed).max()
    target, begin = q, v
    for _ in range(STEPS):
        v, q = farthest(of_state, v, target), farthest(2 * of_pair, q, DISCOUNT * target)
        target = (1 - POLYAK) * target + POLYAK * q
    state = trained("one_step", world)
    assert v < 1e-3 * begin, "the bound says something"
    assert np.abs(table(state, "value")[:4, 0] - fixed[:4]).max() <= v + 1e-12
    assert np.abs(table(state, "critic")[:4] - q_fixed[:4]).max() <= q + 1e-12


def divergence(due: Array, found: Array) -> Array:
    return np.asarray((due * np.log(due / found)).sum(-1))


def test_bc_comes_as_near_the_behavior_as_convexity_says() -> None:
    """Gradient descent on a convex function of smoothness 1/2 (log-sum-exp), with steps e = rate · share <= 2.

    After t steps f - min f <= |start - best|² / (2 e t); f - min f is KL(behavior | policy), best = log behavior, centred.
    """
    world = World()
    rate = 8.0
    of_state, _ = spreads(world.rows(), rate)
    assert of_state.max() <= 2
    state = trained("bc", world, policy_learning_rate=rate)
    best = np.log(BEHAVIOR) - np.log(BEHAVIOR).mean(-1, keepdims=True)
    bound = (best**2).sum(-1) / (2 * of_state * STEPS)
    found = torch.tensor(table(state, "policy")[:4]).softmax(-1).numpy()
    assert bound.max() < 1e-3
    assert (divergence(BEHAVIOR, found) <= bound + 1e-14).all()


def test_iqls_policy_comes_as_near_the_weighted_behavior_as_convexity_says() -> None:
    """Started at the fixed point, V and Q stay there; the policy's due is behavior · exp(A · inverse_temperature), normalised.

    As for BC, with the step e = rate · the sum of the weights of the rows of s, over the size of the batch.
    """
    world, rate, inverse_temperature = World(), 4.0, 2.0
    fixed = world.v_fixed(EXPECTILE)
    q_fixed = world.q_of(fixed)
    options = {"expectile": EXPECTILE, "policy_learning_rate": rate, "inverse_temperature": inverse_temperature}
    state = made("iql", world.space, (0,), **TABLES, **options)
    with torch.no_grad():
        for name, values in (("value", fixed[:, None]), ("critic", q_fixed), ("target_critic", q_fixed)):
            next(iter(state.networks[name].values())).copy_(torch.tensor(values))
    batch = world.batch()
    for _ in range(STEPS):
        iql.update(state, batch)
    weight = np.exp(inverse_temperature * (q_fixed - fixed[:, None]))[:4]
    steps = spreads(world.rows(), rate)[0] * (BEHAVIOR * weight).sum(-1)
    assert steps.max() <= 2
    prior, q = torch.tensor(BEHAVIOR), torch.tensor(q_fixed[:4])
    due = accelerated.improved_policy(prior, q, temperature=1 / inverse_temperature).numpy()
    best = np.log(due) - np.log(due).mean(-1, keepdims=True)
    bound = (best**2).sum(-1) / (2 * steps * STEPS)
    found = torch.tensor(table(state, "policy")[:4]).softmax(-1).numpy()
    assert bound.max() < 1e-2
    assert (divergence(due, found) <= bound + 1e-12).all()
    np.testing.assert_allclose(table(state, "critic")[:4], q_fixed[:4], atol=1e-12)
