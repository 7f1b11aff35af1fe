"""DDPG, TD3 and SAC: updates written out, gradient routes, fixed points, exploration, bounds, repetition, what is refused."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from continuous_agents import BOX, CENTRE, CHOICE, HALF, LINEAR, NAMES, UNIT, Hand, in_bounds
from offline_agents import drawn, made, shift_targets
from torch import Tensor

import accelerated
from accelerated.agents import agent, sac
from accelerated.agents.actor_critics import exploration_noise
from accelerated.agents.batch import Batch, Space
from accelerated.agents.networks import network_for
from accelerated.agents.policies import Gaussian
from accelerated.agents.state import State
from accelerated.agents.streams import Streams


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with accelerated.check_values(False):
        yield
    torch.set_num_threads(threads)


# ------------------------------------------------------------------------------------------- updates written out

WRITTEN = [
    ("ddpg", {}), ("td3", {"target_noise": 0.8, "policy_every": 3}), ("sac", {}), ("sac", {"actor_critic": "mean"}),
    ("sac", {"actor_critic": "first", "entropy_coefficient": 0.3}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options"), WRITTEN)
def test_updates_are_those_written_out(name: str, options: dict[str, Any]) -> None:
    """Rates so large that another order, another twin, another scale would show."""
    rates = {"policy_learning_rate": 0.1, "critic_learning_rate": 0.05, "temperature_learning_rate": 0.2, "polyak_step": 0.25}
    state = made(name, BOX, (3, 5), **LINEAR, **rates, **options)
    shift_targets(state)
    hands = [Hand(state, place) for place in range(2)]
    for number in range(4):
        batch = in_bounds(drawn(BOX, 2, seed=number))
        agent(name).update(state, batch)
        bootstrap = batch.discounts * ~batch.terminations
        for place, hand in enumerate(hands):
            columns = (batch.observations, batch.actions, batch.rewards, batch.next_observations, bootstrap)
            getattr(hand, name)(*(column[place] for column in columns))
    for place, hand in enumerate(hands):
        for network, parameters in hand.net.items():
            for key, due in parameters.items():
                torch.testing.assert_close(state.networks[network][key][place].detach(), due.detach(), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(("name", "space"), [*((name, BOX) for name in NAMES), ("sac", CHOICE)])
def test_a_loss_moves_its_own_network_and_no_other(name: str, space: Space) -> None:
    state, batch = made(name, space, hidden=(8,)), in_bounds(drawn(space, 2))
    for loss, (own, function) in agent(name).LOSSES.items():
        found = function(state, batch)
        assert found.shape == (2,)
        for network, parameters in state.networks.items():
            leaves = [tensor.requires_grad_() for tensor in parameters.values()]
            slopes = torch.autograd.grad(found.sum(), leaves, allow_unused=True, retain_graph=True, materialize_grads=True)
            assert any(bool((slope != 0).any()) for slope in slopes) == (network == own), f"{loss} and {network}"


@pytest.mark.parametrize(("name", "preset"), [(name, preset) for name in NAMES for preset in agent(name).PRESETS])
def test_every_preset_learns(name: str, preset: str) -> None:
    """In single precision every network with an optimizer moves, and stays finite."""
    module, space = agent(name), BOX._replace(observation_dtype=torch.float32)
    config = module.Config(**module.PRESETS[preset])
    state = module.init(config, space, (0,))
    before = {key: tensor.clone() for key, tensor in state.flat().items()}
    batch = Batch(*(x.float() if x.is_floating_point() else x for x in in_bounds(drawn(space, 1))[:6]))
    for _ in range(2):
        metrics = module.update(state, batch)
    fixed = getattr(config, "entropy_coefficient", None) is not None
    for network in set(state.optimizers) - ({"temperature"} if fixed else set()):
        for key, tensor in state.networks[network].items():
            assert tensor.isfinite().all() and not torch.equal(tensor, before[f"networks/{network}/{key}"]), (network, key)
    assert all(value.shape == (1,) and value.isfinite().all() for value in metrics.values())


# -------------------------------------------------------------------------------------------------- fixed points


def bandit(streams: Streams, size: int = 64) -> Batch:
    """One step in one state: the reward of an action is -(action - 0.3)²."""
    actions = 2 * streams.uniform(size, 1, dtype=torch.float64) - 1
    ones = torch.ones(len(streams), size, 1, dtype=torch.float64)
    none = torch.zeros(len(streams), size, dtype=torch.float64)
    return Batch(ones, actions, -(actions[..., 0] - 0.3).square(), ones, torch.ones_like(none, dtype=torch.bool), none)


QUADRATIC = {"hidden": (), "torso": "quadratic", "policy_learning_rate": 0.02, "critic_learning_rate": 0.05}


def taught(name: str, rounds: int, **options: Any) -> tuple[State, dict[str, Tensor]]:
    state, streams = made(name, UNIT, (0, 1), **options), Streams((0, 1), "bandit")
    for _ in range(rounds):
        metrics = agent(name).update(state, bandit(streams))
    return state, metrics


@pytest.mark.parametrize("name", ["ddpg", "td3"])
@pytest.mark.parametrize("tanh_mean", [True, False])
def test_actors_find_the_best_action(name: str, tanh_mean: bool) -> None:
    """The critic can be -(a - 0.3)² exactly, so that Adam's steps of 0.02, shrinking, are all that is left."""
    state, _ = taught(name, 250, tanh_mean=tanh_mean, **QUADRATIC)
    found = agent(name).act(state, torch.ones(2, 1, 1, dtype=torch.float64), explore=False)
    assert (found - 0.3).abs().max() < 0.01


@pytest.mark.parametrize("goal", [None, -0.5])
def test_the_soft_policy_is_the_gaussian_that_the_coefficient_says(goal: float | None) -> None:
    """exp(-(a - 0.3)² / α) is normal with variance α / 2; a learned α is that at which the entropy is the target."""
    coefficient = 0.1 if goal is None else 2 * math.exp(2 * goal) / (2 * math.pi * math.e)
    options = {"temperature_learning_rate": 0.01, "initial_entropy_coefficient": 0.04, "target_entropy": goal}
    fixed = coefficient if goal is None else None
    state, _ = taught("sac", 1000, squash=False, entropy_coefficient=fixed, **options, **QUADRATIC)
    policy = sac.policy_shape(state.config, UNIT)
    assert isinstance(policy, Gaussian)
    mean, log_std = policy.distribution(state.networks["policy"], torch.ones(2, 1, 1, dtype=torch.float64))
    # Adam divides a gradient of slope s by its noise n, so that x <- x - r (s x / n + z) with variance r n / (2 s). Mean and
    # log deviation are each weight + bias, which doubles r. n is the deviation of one sample's gradient over the root of 64:
    # of the mean 2 std against s = 2; of log std sqrt(2) α against 2 α; of log α sqrt(1/2) α against α / 2. Log std follows half
    # of log α, and log α all of log std. Four deviations.
    own = {"mean": (0.02 * 2 * (coefficient / 2) ** 0.5 / 8 / 2) ** 0.5, "log std": (0.02 * 2**0.5 / 8 / 2) ** 0.5}
    own["log coefficient"] = 0.0 if fixed else (0.01 * 0.5**0.5 / 8) ** 0.5
    assert (mean - 0.3).abs().max() < 4 * own["mean"]
    assert (log_std - math.log(coefficient / 2) / 2).abs().max() < 4 * (own["log std"] + own["log coefficient"] / 2)
    far = (sac.coefficient(state) / coefficient).log().abs().max()
    assert far == 0 if fixed else far < 4 * (own["log std"] + own["log coefficient"])


def test_the_squashed_policy_reaches_the_target_entropy() -> None:
    """-1 for one dimension; the mean of 4000 draws is within 0.02 of it."""
    state, _ = taught("sac", 500, temperature_learning_rate=0.02, initial_entropy_coefficient=0.1, **QUADRATIC)
    log_prob = sac.draw(state, torch.ones(2, 4000, 1, dtype=torch.float64), "policy").log_prob
    assert (log_prob.mean(-1) - 1).abs().max() < 0.1


def triangle() -> tuple[Batch, Tensor, Tensor]:
    """A deterministic world of three states and two actions: every transition once, where each leads, and its reward."""
    after = torch.tensor([[1, 2], [2, 0], [0, 1]])
    reward = torch.tensor([[1.0, 0.0], [0.5, -1.0], [0.0, 0.3]], dtype=torch.float64)
    s, a = torch.arange(3).repeat_interleave(2)[None], torch.arange(2).repeat(3)[None]
    none = torch.zeros(1, 6, dtype=torch.float64)
    return Batch(s, a, reward.reshape(1, 6), after.reshape(1, 6), none > 0, none + 0.8), after, reward


TABLE = LINEAR | {"init": "zeros", "critic_learning_rate": 3.0, "policy_learning_rate": 6.0, "polyak_step": 0.5}


@pytest.mark.parametrize("coefficient", [0.5, 0.25])
def test_the_discrete_agent_reaches_the_soft_optimum(coefficient: float) -> None:
    """Q = r + discount · α log Σ exp(Q(s')/α), and the policy that is its softmax."""
    batch, after, reward = triangle()
    due = torch.zeros_like(reward)
    for _ in range(300):
        due = reward + 0.8 * coefficient * (due / coefficient).logsumexp(-1)[after]
    state = made("sac", Space((), torch.int64, 2, 3), (0,), **TABLE, entropy_coefficient=coefficient)
    for _ in range(800):
        sac.update(state, batch)
    policy = sac.draw(state, torch.arange(3)[None], "policy").probabilities
    for q in state.networks["critic"]["output0.weight"].detach().unbind(1):
        torch.testing.assert_close(q[0], due, rtol=0, atol=1e-6)
    assert policy is not None
    torch.testing.assert_close(policy.detach()[0], (due / coefficient).softmax(-1), rtol=0, atol=1e-5)


def test_the_discrete_agents_entropy_becomes_the_target() -> None:
    """0.98 · log 2, the mean over the states of the batch."""
    batch, _, _ = triangle()
    options = TABLE | {"policy_learning_rate": 1.0, "temperature_learning_rate": 0.3}
    state = made("sac", Space((), torch.int64, 2, 3), (0,), **options)
    for _ in range(500):
        metrics = sac.update(state, batch)
    assert (metrics["entropy"] - 0.98 * math.log(2)).abs() < 1e-3


# ------------------------------------------------------------------------------------------------ critics' shapes


def test_a_quadratic_torso_is_any_quadratic_function() -> None:
    critic = network_for(BOX, outputs=1, hidden=(), with_actions=True, torso="quadratic")
    streams, batch = Streams((0,), "test"), in_bounds(drawn(BOX, 1))
    parameters = critic.init(streams, dtype=torch.float64)
    constant, slope, curve = (streams.normal(*shape, dtype=torch.float64)[0] for shape in ((), (5,), (5, 5)))
    parameters["output0.weight"][0, 0, :, 0] = torch.cat([slope, curve.flatten()])
    parameters["output0.bias"][:] = constant
    z = torch.cat([batch.observations, batch.actions], -1)[0]
    due = constant + z @ slope + torch.einsum("bi,ij,bj->b", z, curve, z)
    torch.testing.assert_close(critic(parameters, batch.observations, batch.actions)[0, 0, :, 0], due, rtol=1e-12, atol=1e-12)


def test_actions_join_at_the_second_layer() -> None:
    critic = network_for(BOX, outputs=1, hidden=(7, 6), with_actions=True, action_layer=1)
    batch, p = in_bounds(drawn(BOX, 1)), critic.init(Streams((0,), "test"), dtype=torch.float64)
    first = (batch.observations[0] @ p["hidden0.weight"][0, 0]).relu()
    second = (torch.cat([first, batch.actions[0]], -1) @ p["output0.weight"][0, 0]).relu()
    found = critic(p, batch.observations, batch.actions)[0, 0]
    torch.testing.assert_close(found, second @ p["output1.weight"][0, 0], rtol=1e-12, atol=1e-12)


# ---------------------------------------------------------------------------------------------------- exploration


@pytest.mark.parametrize("name", NAMES)
def test_acting_keeps_the_bounds_and_begins_at_random(name: str) -> None:
    """Uniform in the first steps, of all envs together; then of the policy, never beyond the box."""
    state = made(name, BOX, (0, 1), hidden=(8,), random_steps=600, exploration_noise=5.0)
    seen = torch.randn(2, 300, 3, dtype=torch.float64)
    actions = [agent(name).act(state, seen, explore=True) for _ in range(3)]
    low, high = CENTRE - HALF, CENTRE + HALF
    units = torch.stack([(action - low) / (high - low) for action in actions])
    assert ((units >= 0) & (units <= 1)).all() and int(state.tensors["steps"]) == 900
    ranks = units[:2].movedim(0, 1).reshape(2, 600, 2).sort(1).values
    distance = (ranks - torch.arange(600, dtype=torch.float64).unsqueeze(-1) / 600).abs().amax(1)
    assert (distance < 0.09).all(), "four samples of 600 are uniform: Kolmogorov and Smirnov's 0.09 has a chance of 1e-4"
    assert (units[2].std(1) - 12**-0.5 > 0.03).any() or name == "sac", "noise of five half widths lies at the bounds"


@pytest.mark.parametrize("name", NAMES)
def test_acting_without_exploration_is_the_mean_and_draws_nothing(name: str) -> None:
    state = made(name, BOX, (0, 1), **LINEAR)
    seen, before = torch.randn(2, 5, 3, dtype=torch.float64), {key: tensor.clone() for key, tensor in state.flat().items()}
    found, p = agent(name).act(state, seen, explore=False), state.networks["policy"]
    due = CENTRE + HALF * (seen @ p["output0.weight"][:, 0, :, :2] + p["output0.bias"][..., :2]).tanh()
    torch.testing.assert_close(found, due.detach(), rtol=1e-12, atol=1e-12)
    assert all(torch.equal(tensor, before[key]) for key, tensor in state.flat().items())


def test_ornstein_uhlenbeck_noise_reverts_and_begins_anew() -> None:
    options = {"exploration": "ornstein_uhlenbeck", "exploration_noise": 0.3, "noise_reversion": 0.2, "envs": 3, "random_steps": 0}
    state, kicks = made("ddpg", BOX, (4, 7), **options), Streams((4, 7), "actions")
    due = torch.zeros(2, 3, 2, dtype=torch.float64)
    ends = torch.tensor([[True, False, False], [False, False, True]])
    for step in range(6):
        due = 0.8 * due + 0.3 * kicks.normal(3, 2, dtype=torch.float64)
        torch.testing.assert_close(exploration_noise(state, due), due, rtol=1e-12, atol=1e-12)
        if step == 3:
            agent("ddpg").cut(state, ends)
            due[ends] = 0.0


# ------------------------------------------------------------------------------------------- runs, configurations


@pytest.mark.parametrize("name", NAMES)
def test_a_restored_agent_goes_on_and_a_seed_is_itself_among_others(name: str) -> None:
    options: dict[str, Any] = {"hidden": (8,), "random_steps": 4, "exploration": "ornstein_uhlenbeck", "envs": 2}
    whole, again, alone = (made(name, BOX, seeds, **options) for seeds in ((1, 6), (1, 6), (6,)))
    for number in range(5):
        batch, seen = in_bounds(drawn(BOX, 2, seed=number)), torch.ones(2, 2, 3, dtype=torch.float64)
        for state, only in ((whole, slice(None)), (again, slice(None)), (alone, slice(1, 2))):
            agent(name).update(state, Batch._make(None if x is None else x[only] for x in batch))
            agent(name).act(state, seen[only], explore=True)
        if number == 2:
            saved = {key: tensor.clone() for key, tensor in again.flat().items()}
            again = made(name, BOX, (1, 6), **options)
            again.restore(saved)
    found = whole.flat()
    assert all(torch.equal(tensor, found[key]) for key, tensor in again.flat().items())
    for network, parameters in alone.networks.items():
        for key, tensor in parameters.items():
            torch.testing.assert_close(tensor[0], whole.networks[network][key][1], rtol=1e-10, atol=1e-12)


WRONG = [
    ("ddpg", {"exploration": "none"}, "exploration must be one of gaussian, ornstein_uhlenbeck; got 'none'"),
    ("ddpg", {"noise_reversion": 0.0}, "noise_reversion must lie in (0, 1]; got 0.0"),
    ("ddpg", {"critic_weight_decay": -1.0}, "critic_weight_decay must not be negative; got -1.0"),
    ("td3", {"policy_every": 0}, "policy_every must be at least 1; got 0"),
    ("td3", {"target_noise_clip": -0.5}, "target_noise_clip must not be negative; got -0.5"),
    ("td3", {"exploration_noise": -0.1}, "exploration_noise must not be negative; got -0.1"),
    ("td3", {"random_steps": -1}, "random_steps must not be negative; got -1"),
    ("sac", {"actor_critic": "max"}, "actor_critic must be one of min, mean, first; got 'max'"),
    ("sac", {"entropy_coefficient": -0.1}, "entropy_coefficient must not be negative, or none; got -0.1"),
    ("sac", {"initial_entropy_coefficient": 0.0}, "initial_entropy_coefficient must be positive; got 0.0"),
    ("sac", {"target_entropy": math.inf}, "target_entropy must be finite or none; got inf"),
    ("sac", {"log_std_range": (2.0, -20.0)}, "log_std_range must be two numbers in their order; got (2.0, -20.0)"),
]


@pytest.mark.parametrize(("name", "options", "message"), WRONG)
def test_a_wrong_configuration_is_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as refusal:
        agent(name).Config(**options)
    assert str(refusal.value) == message


@pytest.mark.parametrize("name", NAMES)
def test_a_space_that_does_not_fit_is_refused(name: str) -> None:
    free = BOX._replace(low=(-math.inf, 0.0))
    with pytest.raises(ValueError, match="need finite bounds"):
        made(name, free)
    if name != "sac":
        with pytest.raises(ValueError, match="must be continuous; got 4 discrete ones"):
            made(name, CHOICE)
