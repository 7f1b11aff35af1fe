"""What reference/agents.py calls fixed points, against plain iteration; its error bounds, against simulation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from reference import (
    action_values,
    evaluation_backup,
    expectile,
    expectile_backup,
    exponential_weights,
    optimality_backup,
    q_evaluation_backup,
    q_optimality_backup,
)
from reference.agents import (
    Errors,
    FixedPoint,
    behavior_values,
    double_q_errors,
    epsilon_greedy_values,
    in_sample_values,
    learning_errors,
    n_step_values,
    optimal_values,
    step_range,
    value_step_range,
    weighted_policy,
)
from reference.exploration import epsilon_greedy
from reference.finite_mdps import FiniteMDP, random_mdp, toy_maze

RANDOM = np.random.default_rng(11)
WORLDS = {"random": random_mdp(RANDOM, 7, 3, 3), "deterministic": random_mdp(RANDOM, 6, 4, 1), "maze": toy_maze()}
each_world = pytest.mark.parametrize("name", WORLDS)


def partial(world: FiniteMDP) -> np.ndarray:
    """A behaviour that never takes some actions."""
    random = np.random.default_rng(3)
    mass = random.exponential(size=world.reward.shape) * (random.random(world.reward.shape) < 0.7)
    mass[:, 0] += 0.1
    return mass / mass.sum(axis=1, keepdims=True)


def iterated(backup: Callable[[np.ndarray], np.ndarray], start: np.ndarray, times: int) -> np.ndarray:
    for _ in range(times):
        start = backup(start)
    return start


def agrees(point: FixedPoint, value: np.ndarray, world: FiniteMDP, discount: float, times: int) -> None:
    """Plain iteration is within γ^times of the start's distance, and of its own rounding, which is at most the point's."""
    largest = np.abs(world.reward).max() / (1 - discount)
    assert np.abs(point.value - value).max() <= 2 * point.bound + discount**times * largest
    assert point.bound <= 1e-9 * largest


@each_world
@pytest.mark.parametrize("level", [0.05, 0.3, 0.5, 0.9, 0.99])
def test_in_sample_values_are_what_the_expectile_backup_converges_to(name: str, level: float) -> None:
    world, gamma, times = WORLDS[name], 0.9, 350
    mu = partial(world)
    args = mu, world.transition, world.reward
    point = in_sample_values(*args, expectile=level, discount=gamma)
    agrees(
        point,
        iterated(lambda v: expectile_backup(v, *args, expectile=level, discount=gamma), 0 * point.value, times),
        world,
        gamma,
        times,
    )
    assert np.abs(expectile(point.q, mu, expectile=level) - point.value).max() <= 2 * point.bound
    if level == 0.5:
        assert np.abs(point.value - behavior_values(*args, discount=gamma).value).max() <= 2 * point.bound


@each_world
@pytest.mark.parametrize(("epsilon", "over"), [(0.0, "all"), (0.3, "all"), (1.0, "all"), (0.3, "others")])
def test_epsilon_greedy_values_are_a_fixed_point_and_the_only_one(name: str, epsilon: float, over: str) -> None:
    world, gamma, times = WORLDS[name], 0.9, 350

    def backup(q: np.ndarray) -> np.ndarray:
        policy = epsilon_greedy(q, epsilon=epsilon, over=over)
        return q_evaluation_backup(q, policy, world.transition, world.reward, discount=gamma)

    point = epsilon_greedy_values(world.transition, world.reward, epsilon=epsilon, over=over, discount=gamma)
    found = iterated(backup, np.full(world.reward.shape, 5.0), times)
    assert np.abs(found - point.q).max() <= 2 * point.bound + gamma**times * (5 + np.abs(point.q).max())
    if epsilon == 0:
        assert np.abs(point.q - optimal_values(world.transition, world.reward, discount=gamma).q).max() <= 2 * point.bound


def test_epsilon_over_the_others_beyond_uniform_is_refused() -> None:
    world = WORLDS["random"]
    with pytest.raises(ValueError, match="epsilon must lie in"):
        epsilon_greedy_values(world.transition, world.reward, epsilon=0.7, over="others", discount=0.5)


@each_world
@pytest.mark.parametrize("n", [1, 2, 5])
def test_n_step_values_follow_the_behavior_and_then_the_maximum(name: str, n: int) -> None:
    world, gamma, times = WORLDS[name], 0.8, 170
    args = partial(world), world.transition, world.reward

    def backup(value: np.ndarray) -> np.ndarray:
        value = iterated(lambda v: evaluation_backup(v, *args, discount=gamma), value, n - 1)
        return optimality_backup(value, *args[1:], discount=gamma)

    point = n_step_values(*args, n=n, discount=gamma)
    agrees(point, iterated(backup, 0 * point.value, times), world, gamma, times)
    best, followed = optimal_values(*args[1:], discount=gamma), behavior_values(*args, discount=gamma)
    margin = point.bound + best.bound + followed.bound
    assert (point.q <= best.q + margin).all() and (point.q >= followed.q - margin).all()
    if n == 1:
        assert np.abs(point.q - best.q).max() <= margin


@each_world
def test_the_fixed_points_of_a_sparse_process_are_those_of_the_dense_one(name: str) -> None:
    dense, sparse, mu = WORLDS[name], WORLDS[name].csr(), partial(WORLDS[name])
    for solve in (
        lambda world: optimal_values(world.transition, world.reward, discount=0.9),
        lambda world: n_step_values(mu, world.transition, world.reward, n=3, discount=0.9),
        lambda world: epsilon_greedy_values(world.transition, world.reward, epsilon=0.2, discount=0.9),
        lambda world: behavior_values(mu, world.transition, world.reward, discount=0.9, temperature=0.5),
        lambda world: in_sample_values(mu, world.transition, world.reward, expectile=0.8, discount=0.9, temperature=0.5),
    ):
        one, other = solve(dense), solve(sparse)
        assert np.abs(one.q - other.q).max() <= one.bound + other.bound
        assert np.abs(one.value - other.value).max() <= one.bound + other.bound


def test_optimal_policies_are_even_over_ties() -> None:
    maze = WORLDS["maze"]
    policy = optimal_values(maze.transition, maze.reward, discount=0.9).policy
    assert policy[maze.terminal].tolist() == [[0.25] * 4] and (policy.max(axis=1)[~maze.terminal] > 0.4).all()


@pytest.mark.parametrize("max_weight", [None, 0.5, 3.0])
def test_weighted_policy_is_the_capped_weights_normalised(max_weight: float | None) -> None:
    world = WORLDS["random"]
    mu, t = partial(world), 0.3
    point = behavior_values(mu, world.transition, world.reward, discount=0.9)
    mass = mu * exponential_weights(point.q - point.value[:, None], temperature=t, max_weight=max_weight)
    found = weighted_policy(mu, point.q, point.value, temperature=t, max_weight=max_weight)
    np.testing.assert_allclose(found, mass / mass.sum(axis=1, keepdims=True), rtol=1e-12, atol=0)


def test_weighted_policy_survives_weights_that_overflow() -> None:
    found = weighted_policy([[0.5, 0.25, 0.25]], [[9e5, 8e5, 0.0]], [0.0], temperature=1.0, max_weight=100.0)
    np.testing.assert_allclose(found, [[0.664452, 0.332226, 0.003322]], rtol=0, atol=1e-6)  # 100 : 50 : 0.5 of 150.5, halved


# ------------------------------------------------------------------------------------------------ error bounds


def iql_step(
    q: np.ndarray,
    target: np.ndarray,
    value: np.ndarray,
    d: np.ndarray,
    world: FiniteMDP,
    *,
    order: str,
    rate: float,
    level: float,
    p: float,
    gamma: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradient descent on the batch that d describes, twins [2, S, A], written from the losses."""
    if order == "target_first":
        target = (1 - p) * target + p * q
    gap = target.min(axis=0) - value[:, None]
    following = value + rate * 2 * (d * np.where(gap < 0, 1 - level, level) * gap).sum(axis=1)
    seen = following if order == "author" else value
    q = q + rate * 2 * d * (action_values(seen, world.transition, world.reward, discount=gamma) - q)
    if order != "target_first":
        target = (1 - p) * target + p * q
    return q, target, following


@pytest.mark.parametrize("order", ["author", "simultaneous", "target_first"])
@pytest.mark.parametrize("level", [0.2, 0.5, 0.9])
def test_learning_errors_bound_the_twins_and_the_value_of_iql(order: str, level: float) -> None:
    world, gamma, p, random = WORLDS["random"], 0.7, 0.4, np.random.default_rng(5)
    mu = partial(world)
    d = mu * random.dirichlet(np.full(len(mu), 9.0))[:, None]
    point = in_sample_values(mu, world.transition, world.reward, expectile=level, discount=gamma)
    rate = 0.4 / d.sum(axis=1).max()
    q, value = random.normal(size=(2, *d.shape)), random.normal(size=len(d))
    target, steps = q.copy(), {"critic_step": step_range(d, learning_rate=rate)}
    steps["value_step"] = value_step_range(d, learning_rate=rate, expectile=level)

    def errors() -> Errors:
        return Errors(
            *(float(np.abs(x - point.q)[..., d > 0].max()) for x in (q, target)), float(np.abs(value - point.value).max())
        )

    bound = Errors(*(error + point.bound for error in errors()))
    for _ in range(300):
        q, target, value = iql_step(q, target, value, d, world, order=order, rate=rate, level=level, p=p, gamma=gamma)
        bound = learning_errors(1, bound, discount=gamma, polyak_step=p, order=order, roundoff=1e-13, **steps)
        assert all(found <= due + point.bound for found, due in zip(errors(), bound, strict=True))
    assert learning_errors(40_000, bound, discount=gamma, polyak_step=p, order=order, **steps).critic < 1e-6


def test_learning_errors_bound_a_critic_with_a_target_copied_now_and_then() -> None:
    world, gamma, random = WORLDS["random"], 0.7, np.random.default_rng(6)
    point, c = optimal_values(world.transition, world.reward, discount=gamma), random.uniform(0.2, 1.1, size=world.reward.shape)
    q = random.normal(size=c.shape)
    target, start = q.copy(), float(np.abs(q - point.q).max())
    for done in range(1, 201):
        q = q + c * (q_optimality_backup(target, world.transition, world.reward, discount=gamma) - q)
        target = q.copy() if done % 5 == 0 else target
        options = {"discount": gamma, "critic_step": (float(c.min()), float(c.max())), "target_period": 5, "roundoff": 1e-13}
        due = learning_errors(done, Errors(start, start), **options)
        assert np.abs(q - point.q).max() <= due.critic + point.bound and np.abs(target - point.q).max() <= due.target + point.bound
    assert due.critic < 1e-2 * start


def test_double_q_errors_bound_two_tables_that_teach_each_other() -> None:
    world, gamma, random = WORLDS["random"], 0.7, np.random.default_rng(8)
    point, c = optimal_values(world.transition, world.reward, discount=gamma), random.uniform(0.2, 1.0, size=world.reward.shape)
    a, b = random.normal(size=(2, *c.shape))
    e, d = float(np.abs([a - point.q, b - point.q]).max()), float(np.abs(a - b).max())
    for _ in range(200):
        worth = [other[np.arange(len(a)), one.argmax(axis=1)] for one, other in ((a, b), (b, a))]
        a, b = (
            q + c * (action_values(v, world.transition, world.reward, discount=gamma) - q)
            for q, v in zip((a, b), worth, strict=True)
        )
        e, d = double_q_errors(1, e, d, discount=gamma, critic_step=(float(c.min()), float(c.max())), roundoff=1e-14)
        assert np.abs([a - point.q, b - point.q]).max() <= e + point.bound and np.abs(a - b).max() <= d
    assert e < 1e-2
