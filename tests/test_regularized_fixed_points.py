"""What reference/regularized_agents.py calls fixed points, against plain iteration and search; its bounds, against simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from test_fixed_points import WORLDS, agrees, each_world, iterated, partial

from reference import action_values, evaluation_backup, log_mean_exp, max_aggregate, sampled_backup
from reference.agents import behavior_values, optimal_values, step_range
from reference.finite_mdps import FiniteMDP, toy_maze
from reference.regularized_agents import (
    SoftErrors,
    advantage_regression_values,
    aggregated_values,
    policy_step_range,
    soft_learning_errors,
    soft_optimal_values,
)

TEMPERATURE = 0.4


def behavior_of_quarters(world: FiniteMDP) -> np.ndarray:
    """A behaviour whose chances are multiples of 1/4: four equal samples are all of it."""
    random = np.random.default_rng(4)
    return np.stack([random.multinomial(4, np.full(world.reward.shape[1], 1 / world.reward.shape[1])) / 4 for _ in world.reward])


@each_world
@pytest.mark.parametrize("aggregate", ["mean", "max", "log_mean_exp"])
def test_aggregated_values_are_what_copies_of_the_actions_give(name: str, aggregate: str) -> None:
    """Where mu is a multiple of 1/4, F over mu is F over a list in which each action stands 4 mu times."""
    world, gamma, times = WORLDS[name], 0.9, 350
    mu = behavior_of_quarters(world)
    copies = np.stack([np.repeat(np.arange(mu.shape[1]), np.round(4 * row).astype(int)) for row in mu])

    def backup(value: np.ndarray) -> np.ndarray:
        listed = np.take_along_axis(action_values(value, world.transition, world.reward, discount=gamma), copies, axis=1)
        if aggregate == "mean":
            return np.asarray(listed.mean(axis=1))
        return max_aggregate(listed) if aggregate == "max" else log_mean_exp(listed, temperature=TEMPERATURE)

    point = aggregated_values(
        mu, world.transition, world.reward, aggregate=aggregate, aggregate_temperature=TEMPERATURE, discount=gamma
    )
    agrees(point, iterated(backup, 0 * point.value, times), world, gamma, times)
    due = action_values(point.value, world.transition, world.reward, discount=gamma)
    assert np.abs(point.q - due).max() <= 2 * point.bound


@each_world
@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("aggregate", ["mean", "max", "log_mean_exp"])
def test_aggregated_values_of_samples_are_what_the_sampled_backup_converges_to(name: str, samples: int, aggregate: str) -> None:
    world, gamma, times = WORLDS[name], 0.8, 170
    options = {"samples": samples, "aggregate": aggregate, "discount": gamma}
    args = partial(world), world.transition, world.reward
    point = aggregated_values(*args, aggregate_temperature=TEMPERATURE, **options)
    found = iterated(lambda v: sampled_backup(v, *args, temperature=TEMPERATURE, **options), 0 * point.value, times)
    agrees(point, found, world, gamma, times)


@each_world
def test_aggregates_lie_in_order_between_the_behavior_and_the_optimum(name: str) -> None:
    world, same = WORLDS[name], {"discount": 0.9, "aggregate_temperature": TEMPERATURE}
    args = partial(world), world.transition, world.reward
    found = [aggregated_values(*args, aggregate=f, **same) for f in ("mean", "log_mean_exp", "max")]
    ends = [behavior_values(*args, discount=0.9), *found, optimal_values(*args[1:], discount=0.9)]
    for lower, upper in zip(ends, ends[1:], strict=False):
        assert (lower.value <= upper.value + lower.bound + upper.bound).all()
    assert np.abs(ends[0].value - found[0].value).max() <= ends[0].bound + found[0].bound


@each_world
@pytest.mark.parametrize("cap", [None, 1.5])
def test_the_policy_of_aggregated_values_is_weighed_against_the_mean(name: str, cap: float | None) -> None:
    world, t = WORLDS[name], 0.7
    mu = partial(world)
    options = {"aggregate": "max", "temperature": t, "max_weight": cap, "discount": 0.9}
    point = aggregated_values(mu, world.transition, world.reward, **options)
    weight = np.exp((point.q - (mu * point.q).sum(axis=1, keepdims=True)) / t)
    mass = mu * (weight if cap is None else np.minimum(weight, cap))
    np.testing.assert_allclose(point.policy, mass / mass.sum(axis=1, keepdims=True), rtol=1e-10, atol=1e-300)


def test_log_mean_exp_needs_its_temperature() -> None:
    world = WORLDS["random"]
    with pytest.raises(ValueError, match="aggregate_temperature must be given"):
        aggregated_values(partial(world), world.transition, world.reward, aggregate="log_mean_exp", discount=0.5)


@each_world
@pytest.mark.parametrize("cap", [None, 1.25])
def test_advantage_regression_is_the_best_log_likelihood_of_weighted_steps(name: str, cap: float | None) -> None:
    """No policy near it has a larger E weight log pi over mu(a|s) P(s'|s,a); without chance it is that of behavior_values."""
    world, t, gamma = WORLDS[name].dense(), 0.8, 0.9
    mu, options = partial(world), {"temperature": t, "max_weight": cap, "discount": gamma}
    point = advantage_regression_values(mu, world.transition, world.reward, **options)
    gap = world.reward[:, :, None] + gamma * point.value - point.value[:, None, None]
    weight = np.minimum(np.exp(gap / t), math.inf if cap is None else cap)
    mass = (mu[:, :, None] * world.transition * weight).sum(axis=-1)

    def likelihood(policy: np.ndarray) -> np.ndarray:
        return np.asarray((mass * np.log(np.where(mass > 0, policy, 1.0))).sum(axis=1))

    drawn = np.random.default_rng(1)
    for _ in range(20):
        other = point.policy * np.exp(0.1 * drawn.normal(size=mu.shape))
        assert (likelihood(other / other.sum(axis=1, keepdims=True)) <= likelihood(point.policy) + 1e-12).all()
    once = behavior_values(mu, world.transition, world.reward, **options)
    assert np.array_equal(point.q, once.q) and np.array_equal(point.value, once.value)
    if name == "deterministic":
        np.testing.assert_allclose(point.policy, once.policy, atol=1e-12)
    elif name == "random":
        assert np.abs(point.policy - once.policy).max() > 1e-3


# ------------------------------------------------------------------------------------------------------------- entropy
def rewarded(value: np.ndarray, policy: np.ndarray, world: FiniteMDP, alpha: float, gamma: float) -> np.ndarray:
    """The evaluation backup of rewards that the policy's entropy adds to before the end."""
    entropy = np.where(world.terminal, 0.0, -(policy * np.log(policy)).sum(axis=1))
    return evaluation_backup(value, policy, world.transition, world.reward, discount=gamma) + alpha * entropy


@each_world
@pytest.mark.parametrize("alpha", [0.05, 1.0, 20.0])
def test_soft_optimal_values_are_the_best_that_a_policy_with_entropy_earns(name: str, alpha: float) -> None:
    """The policy's own soft value is V, and no policy nearby, nor an even one, has a larger one."""
    world, gamma, times = WORLDS[name], 0.9, 400
    point = soft_optimal_values(world.transition, world.reward, world.terminal, entropy_coefficient=alpha, discount=gamma)
    largest = (np.abs(world.reward).max() + alpha * math.log(world.reward.shape[1])) / (1 - gamma)
    slack = 2 * point.bound + gamma**times * largest
    assert point.bound <= 1e-9 * largest

    def worth(policy: np.ndarray) -> np.ndarray:
        policy = np.maximum(policy, 1e-300)
        return iterated(lambda v: rewarded(v, policy, world, alpha, gamma), 0 * point.value, times)

    assert np.abs(worth(point.policy) - point.value).max() <= slack + 1e-9 * largest
    drawn = np.random.default_rng(2)
    for spread in (0.1, 10.0):
        other = np.exp(np.log(np.maximum(point.policy, 1e-300)) + spread * drawn.normal(size=point.policy.shape))
        assert (worth(other / other.sum(axis=1, keepdims=True)) <= point.value + slack).all()
    assert (point.value[world.terminal] == 0).all()


def test_soft_values_tend_to_hard_ones() -> None:
    world = toy_maze()
    hard = optimal_values(world.transition, world.reward, discount=0.9)
    soft = soft_optimal_values(world.transition, world.reward, world.terminal, entropy_coefficient=1e-6, discount=0.9)
    allowed = soft.bound + hard.bound + 1e-6 * math.log(4) / 0.1
    assert (soft.value >= hard.value - allowed).all() and np.abs(soft.value - hard.value).max() <= allowed


def test_terminal_must_fit() -> None:
    with pytest.raises(ValueError, match=r"terminal must have shape \(1,\)"):
        soft_optimal_values([[[1.0]]], [[0.0]], [False, True], entropy_coefficient=1.0, discount=0.5)


def test_soft_learning_errors_bound_twins_targets_and_policy_of_a_soft_learner() -> None:
    """Gradient descent on exact data, written from the losses: the distances stay below the recursion at every update."""
    random, gamma, alpha, p = np.random.default_rng(12), 0.5, 2.0, 0.8
    chances, reward = random.dirichlet(np.ones(5), size=(5, 2)), 0.3 * random.normal(size=(5, 2))
    chances[4], reward[4], ends = np.eye(5)[4], 0.0, np.arange(5) == 4
    point = soft_optimal_values(chances, reward, ends, entropy_coefficient=alpha, discount=gamma)
    d = random.dirichlet(np.full(8, 50.0)).reshape(4, 2)
    q, logits = 0.3 * random.normal(size=(2, 4, 2)), 0.3 * random.normal(size=(4, 2))
    target, rate, policy_rate = q + 0.1, 0.05 / d.max(), 3.0
    due = np.diff(np.log(point.policy[:4]), axis=1)[:, 0]

    def errors() -> SoftErrors:
        distances = [float(np.abs(x - point.q[:4]).max()) for x in (q, target)]
        trailing = np.abs(np.diff(logits, axis=1) - np.diff(q.min(axis=0), axis=1) / alpha).max()
        return SoftErrors(*distances, float(trailing), float(np.abs(q - target).max()))

    start = errors()
    largest = max(np.abs(np.diff(logits, axis=1)).max(), (np.abs(np.diff(point.q[:4], axis=1)).max() + 2 * start.critic) / alpha)
    rates = {"learning_rate": policy_rate, "entropy_coefficient": alpha, "largest_logit": largest}
    steps = {"critic_step": step_range(d, learning_rate=rate), "policy_step": policy_step_range(d.sum(axis=1), **rates)}
    bound, tight = start, 0.0
    for _ in range(900):
        policy = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        ahead = np.append((policy * (target.min(axis=0) - alpha * np.log(policy))).sum(axis=1), 0.0)
        q = q + 2 * rate * d * (action_values(ahead, chances, reward, discount=gamma)[:4] - q)
        gain = alpha * np.log(policy) - q.min(axis=0)
        slope = policy * (gain - (policy * gain).sum(axis=1, keepdims=True))
        logits = logits - policy_rate * d.sum(axis=1, keepdims=True) * slope
        target = (1 - p) * target + p * q
        bound = soft_learning_errors(1, bound, discount=gamma, entropy_coefficient=alpha, polyak_step=p, roundoff=1e-13, **steps)
        assert all(found <= most + point.bound for found, most in zip(errors(), bound, strict=True))
        assert np.abs(np.diff(logits, axis=1)[:, 0] - due).max() <= bound.lag + 2 * bound.critic / alpha
        assert bound.critic <= start.critic
        tight = max(tight, errors().critic / bound.critic)
    assert bound.critic < 1e-2 * start.critic and tight > 0.5
