"""What reference/on_policy_agents.py allows, against exact ascents in plain NumPy: never exceeded, and not vacuous."""

from __future__ import annotations

import numpy as np
import pytest

from reference import action_values, solve_optimal, solve_policy
from reference.finite_mdps import random_mdp
from reference.on_policy_agents import natural_gradient_gap, policy_gradient_gap, trust_region_gap, trust_region_growth

RANDOM = np.random.default_rng(5)


def softmax(logits: np.ndarray) -> np.ndarray:
    chances = np.exp(logits - logits.max())
    return chances / chances.sum()


@pytest.mark.parametrize("arms", [2, 3, 6])
def test_gradient_ascent_is_at_least_as_fast_as_its_bound(arms: int) -> None:
    for _ in range(5):
        reward = RANDOM.permutation(np.linspace(0.0, 1.0, arms)) ** RANDOM.uniform(0.5, 2.0)
        logits, best = RANDOM.normal(size=arms), []
        gap = 1.0 - softmax(logits) @ reward
        for _ in range(2000):
            policy = softmax(logits)
            best.append(policy[reward.argmax()])
            logits = logits + 0.4 * policy * (reward - policy @ reward)
        left, allowed = 1.0 - softmax(logits) @ reward, policy_gradient_gap(best, gap=float(gap))
        assert left <= allowed <= 1 / 20
        assert allowed <= 5 / (min(best) ** 2 * 2000), "the sum is sharper than the theorem's constant"


def test_trust_region_steps_are_at_least_as_long_as_their_bound() -> None:
    for max_kl, damping, shrink in ((0.01, 0.0, 0.8), (0.01, 0.5, 0.5), (0.5, 0.1, 0.9), (4.0, 0.001, 0.5)):
        growth, tightest = trust_region_growth(max_kl=max_kl, damping=damping, shrink=shrink), np.inf
        for odds in np.linspace(-12.0, 12.0, 97):
            p = 1.0 / (1.0 + np.exp(-odds))
            rise = np.sqrt(2 * max_kl / (p * (1 - p) + damping / 2))
            while p * odds - np.logaddexp(0.0, odds) + np.logaddexp(0.0, odds + rise) - p * (odds + rise) > max_kl:
                rise *= shrink
            tightest = min(tightest, rise / growth)
        assert 1.0 <= tightest * (1 + 1e-12) and tightest <= 2.0


def test_a_gap_shrinks_with_the_odds() -> None:
    for updates in (0, 3, 50):
        odds = 0.25 + 0.5 * updates
        assert trust_region_gap(updates, gap=2.0, odds=0.25, growth=0.5) == pytest.approx(2.0 / (1.0 + np.exp(odds)), rel=1e-12)


@pytest.mark.parametrize("bad", [{"gap": 0.0}, {"gap": 1.5}, {"best": [1.5]}, {"best": []}])
def test_bad_numbers_are_refused(bad: dict[str, object]) -> None:
    good: dict[str, object] = {"best": [0.5], "gap": 0.5}
    with pytest.raises(ValueError, match="must"):
        policy_gradient_gap(**(good | bad))  # type: ignore[arg-type]


@pytest.mark.parametrize("longest", [0.5, 5.0])
def test_natural_gradients_are_at_least_as_fast_as_their_bound(longest: float) -> None:
    for _ in range(5):
        world, discount = random_mdp(RANDOM, 5, 3, 3), 0.8
        tables = world.transition, world.reward
        best = solve_optimal(*tables, discount=discount)
        chosen = np.eye(3)[action_values(best.value, *tables, discount=discount).argmax(axis=1)]
        onward = np.einsum("sa,sat->st", chosen, np.asarray(world.dense().transition))
        visits = (1 - discount) * np.linalg.solve(np.eye(5) - discount * onward.T, np.full(5, 0.2))
        logits, steps, values = RANDOM.normal(size=(5, 3)), [], []
        first = np.log(np.array([softmax(row) for row in logits]))
        for update in range(201):
            policy = np.array([softmax(row) for row in logits])
            values.append(solve_policy(policy, *tables, discount=discount))
            steps.append(RANDOM.uniform(0.1, longest))
            logits = logits + steps[-1] * (action_values(values[-1], *tables, discount=discount) - values[-1][:, None])
            if update in (1, 10, 200):
                rises = np.maximum(np.diff(np.array(values) @ visits), 0.0)
                divergence = float(-visits @ (chosen * first).sum(axis=1))
                allowed = natural_gradient_gap(steps[:update], rises, divergence=divergence, discount=discount)
                assert (best.value - values[-1]).mean() <= allowed + 1e-12
