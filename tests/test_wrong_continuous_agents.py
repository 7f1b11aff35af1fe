"""Claims about actor-critics of continuous actions: each wrong learner is refuted by its own, and what is due is Riccati's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from wrong_continuous_agents import WRONG_CONTINUOUS

import reference
from properties import AGENT_CLAIMS
from properties._agents_actor_critic_limits import CRITIC_STEP, PLANE, POLICY_STEP, SCALAR, first, whole
from properties._bugs._sightings import SIGHTINGS
from properties._ports import Port
from properties._run import FAILS, PROFILES, run
from reference import actor_critics as due
from reference.actor_critics import Batch, Learned, Rule
from reference.linear_quadratic import LinearQuadratic, action_value, optimal_gain

EFFORT = replace(PROFILES["dev"], examples=200, shrink=False, diagnose=False)
OWN = [name for name, claim in AGENT_CLAIMS.items() if claim.body.__module__.startswith("properties._agents_actor_critic")]


@pytest.mark.parametrize("name", WRONG_CONTINUOUS)
def test_a_wrong_agent_is_refuted_by_its_claim(name: str) -> None:
    wrong = WRONG_CONTINUOUS[name]
    result = run(AGENT_CLAIMS[wrong.claim], wrong.operator, Port(wrong.port, "wrong"), EFFORT)
    assert result.verdict == FAILS, result.detail
    assert "raised" not in result.detail and "could not be used" not in result.detail, result.detail


def test_every_claim_can_fail() -> None:
    assert OWN and set(OWN) == {wrong.claim for wrong in WRONG_CONTINUOUS.values()}
    assert {wrong.sighting for wrong in WRONG_CONTINUOUS.values()} <= {"", *SIGHTINGS}


# -------------------------------------------------------------------------------------------------------- what is due
def begun(problem: LinearQuadratic, members: int, seed: int = 0) -> Learned:
    """Weights near nothing, targets of their own."""
    drawn = np.random.default_rng(seed)
    n, d = np.shape(problem.control)
    shapes = ((members, 1 + n + d + (n + d) ** 2), (1 + n, d))
    return Learned(*(drawn.uniform(-0.5, 0.5, shape) for shape in (*shapes, *shapes)))


RULES = {
    "ddpg": (1, Rule(0.5, CRITIC_STEP, POLICY_STEP, 0.75)),
    "td3": (2, Rule(0.5, CRITIC_STEP, 2 * POLICY_STEP, 1.0, policy_every=2, targets_wait=True)),
    "sac": (2, Rule(0.5, CRITIC_STEP, POLICY_STEP, 0.75, follows=False, actor="smaller")),
    "mean": (2, Rule(0.5, CRITIC_STEP, POLICY_STEP, 0.75, follows=False, actor="mean")),
}


@pytest.mark.parametrize("problem", [SCALAR, PLANE], ids=["one state", "two states"])
@pytest.mark.parametrize("name", RULES)
def test_recursions_lead_to_riccatis_gain(name: str, problem: LinearQuadratic) -> None:
    members, rule = RULES[name]
    batch, learned = first(whole(problem).batch), begun(problem, members)
    for update in range(1, 1201):
        learned = due.step(learned, batch, rule, update=update)
    critic, policy = due.optimal(problem)
    assert np.abs(due.coefficients(learned.critics) - critic).max() < 1e-9
    assert np.abs(learned.policy - policy).max() < 1e-9


def test_the_optimum_is_linear_quadratic_own() -> None:
    drawn = np.random.default_rng(1)
    x, u = drawn.normal(size=(5, 2)), drawn.normal(size=(5, 1))
    critic, policy = due.optimal(PLANE)
    q = due.features(np.hstack([x, u])) @ critic
    np.testing.assert_allclose(q, action_value(PLANE, optimal_gain(PLANE), x, u), rtol=1e-12)
    np.testing.assert_array_equal(policy[1:].T, optimal_gain(PLANE))


@pytest.mark.parametrize("inside", [False, True])
def test_a_step_is_the_operators(inside: bool) -> None:
    """Targets by clipped_double_target and soft_target, the actor by deterministic_policy_gradient, targets by polyak_update."""
    drawn = np.random.default_rng(2)
    low, high = (-2.0, 1.0) if inside else (-np.inf, np.inf)
    learned, rule = begun(PLANE, 2), Rule(0.5, 0.25, 0.125, 0.75, low=low, high=high)
    x, u, x1 = drawn.normal(size=(4, 2)), drawn.normal(size=(4, 1)), drawn.normal(size=(4, 2))
    batch = Batch(x, u, drawn.normal(size=4), x1, np.array([False, True, False, False]))

    def q(critics: Any, x: Any, u: Any) -> Any:
        return critics @ due.features(np.hstack([x, u])).T

    after = due.step(learned, batch, rule)
    twins = q(learned.target_critics, x1, due.mean_action(learned.target_policy, x1, rule))
    y = reference.clipped_double_target(batch.rewards, batch.terminations, *twins, discount=0.5)
    log_prob = drawn.normal(size=4)
    soft = due.step(learned, batch, rule._replace(entropy=0.5, follows=True), next_log_prob=log_prob)
    y_soft = reference.soft_target(
        batch.rewards, batch.terminations, *twins, log_prob, entropy_coefficient=0.5, discount=0.5
    )  # fmt: skip
    seen = due.features(np.hstack([x, u]))
    for found, target in ((after, y), (soft, y_soft)):
        moved = learned.critics + 0.25 * (target - q(learned.critics, x, u)) @ seen / 4
        np.testing.assert_allclose(found.critics, moved, rtol=1e-12)
    mu, near = due.mean_action(learned.policy, x, rule), 2.0**-12
    rise = (q(after.critics, x, mu + near)[0] - q(after.critics, x, mu - near)[0]) / (2 * near)
    places = np.eye(3).reshape(3, 3, 1)
    jacobian = [
        due.mean_action(learned.policy + near * e, x, rule) - due.mean_action(learned.policy - near * e, x, rule) for e in places
    ]
    climb = reference.deterministic_policy_gradient(rise[:, None], np.stack(jacobian, axis=-1) / (2 * near))
    np.testing.assert_allclose(after.policy[:, 0], learned.policy[:, 0] + 0.125 * climb, atol=1e-6)
    for place in (0, 1):
        np.testing.assert_allclose(after[2 + place], reference.polyak_update(learned[2 + place], after[place], polyak_step=0.75))


@pytest.mark.parametrize("name", RULES)
def test_errors_on_the_way_grow_as_the_derivative_says(name: str) -> None:
    """Weights disturbed at the start and after each update end within what `follow` allows, and not far within."""
    members, rule = RULES[name]
    batch, drawn, size, worst = first(whole(SCALAR).batch), np.random.default_rng(3), 1e-9, 0.0
    start = begun(SCALAR, members)
    followed = due.follow(start, batch, rule, updates=30)
    allowed = float(followed.amplifications.sum()) * size
    assert allowed < followed.margin
    for _ in range(20):
        learned = Learned(*(part + size * drawn.choice([-1.0, 1.0], part.shape) for part in start))
        for update in range(1, 31):
            after = due.step(learned, batch, rule, update=update)
            learned = Learned(*(part + size * drawn.choice([-1.0, 1.0], part.shape) for part in after))
        apart = max(float(np.abs(one - other).max()) for one, other in zip(learned, followed.learned, strict=True))
        worst = max(worst, apart / allowed)
    assert 1 / 50 < worst <= 1


def test_the_maximiser_is_the_best_of_many() -> None:
    drawn = np.random.default_rng(4)
    rule, grid = Rule(1.0, 1.0, actor="none", low=-1.0, high=2.0), np.linspace(-1.0, 2.0, 3001)
    for _ in range(50):
        critic, x = drawn.normal(size=(1, 7)), drawn.normal(size=(1, 1))
        batch = Batch(x, np.zeros((1, 1)), np.zeros(1), x, np.array([False]))
        after = due.step(Learned(np.zeros((1, 7)), np.zeros((2, 1)), critic, np.zeros((2, 1))), batch, rule)
        best = (due.features(np.column_stack([np.full(3001, x[0, 0]), grid])) @ critic[0]).max()
        np.testing.assert_allclose(after.critics[0, 0], best, atol=1e-5)
        assert after.critics[0, 0] >= best - 1e-12
