"""REINFORCE, PPO and TRPO, and what they share: gradients by hand, the trust region, baselines, seeds, resumption, learning."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import reference
from accelerated.agents import agent, baselines, on_policy, ppo, reinforce, trpo, trust_regions
from accelerated.agents.batch import Space
from accelerated.agents.loop import Run, Training
from accelerated.agents.rollouts import Rollout
from accelerated.agents.state import State
from accelerated.agents.streams import Streams

NAMES = ("reinforce", "ppo", "trpo")
BOX = Space((3,), torch.float64, actions=2, low=(-2.0, -1.0), high=(2.0, 1.0))
CHOICE = Space((3,), torch.float64, actions=4)
TABLE = Space((), torch.int64, actions=3, states=2)
SPACES = pytest.mark.parametrize("space", [BOX, CHOICE], ids=["box", "choice"])
EXACT: dict[str, Any] = {
    "hidden": (), "optimizer": "sgd", "standardize": False, "normalize_observations": False, "max_grad_norm": None,
    "schedule": "constant", "batch_size": None, "value_batch_size": None, "epochs": 1, "value_epochs": 1,
}  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def made(name: str, space: Space, seeds: tuple[int, ...] = (0, 1), **options: object) -> State:
    module = agent(name)
    fields = {field.name for field in dataclasses.fields(module.Config)}
    config = module.Config(**{key: value for key, value in options.items() if key in fields})
    state: State = module.init(config, space, seeds, dtype=torch.float64)
    for number, tensor in enumerate(state.networks["policy"].values()):  # away from uniform, from mean 0 and from deviation 1
        noise = np.random.default_rng(number).normal(size=tuple(tensor[:1].shape))
        tensor.data += 0.4 * torch.tensor(noise)
    return state


def rolled(space: Space, seeds: int = 2, envs: int = 2, steps: int = 12, seed: int = 0) -> Rollout:
    """Episodes of different lengths; the last step of each environment is a cut."""
    rng = np.random.default_rng(seed)
    axes = (seeds, envs, steps)

    def shown() -> Tensor:
        if space.states:
            return torch.tensor(rng.integers(space.states, size=axes))
        return torch.tensor(rng.normal(size=(*axes, *space.observation_shape)))

    actions = rng.integers(space.actions, size=axes) if space.discrete else rng.normal(size=(*axes, space.actions))
    ends, cuts = rng.random(axes) < 0.15, rng.random(axes) < 0.1
    cuts[..., -1] = True
    times = np.zeros(axes, dtype=np.int64)
    for t in range(1, steps):
        times[..., t] = np.where(ends[..., t - 1] | cuts[..., t - 1], 0, times[..., t - 1] + 1)
    rewards = torch.tensor(rng.normal(size=axes))
    flags = torch.tensor(ends), torch.tensor(cuts)
    return Rollout(shown(), torch.tensor(actions), rewards, shown(), *flags, torch.tensor(times))


def of_seed(rollout: Rollout, place: int) -> Rollout:
    return Rollout._make(None if column is None else column[place : place + 1] for column in rollout)


def copied(state: State) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in state.flat().items()}


def softmax(logits: Any) -> Any:
    weight = np.exp(logits - logits.max(-1, keepdims=True))
    return weight / weight.sum(-1, keepdims=True)


def table_gradient(theta: Any, states: Any, actions: Any, slope: Any) -> Any:
    """d/dθ of mean f(log π(a|s)), `slope` its derivative; θ [S, A]."""
    found, chance = np.zeros_like(theta), softmax(theta)
    for s, a, by in zip(states, actions, slope, strict=True):
        found[s] += by * (np.eye(theta.shape[1])[a] - chance[s])
    return found / len(states)


# ------------------------------------------------------------------------------------- gradients and whole updates


@pytest.mark.parametrize("name", ["reinforce", "ppo"])
def test_an_update_of_a_table_is_the_gradient_written_out(name: str) -> None:
    rate = 0.3
    state = made(name, TABLE, **EXACT, baseline="none", policy_learning_rate=rate, lambda_=0.8, clip=0.2)
    before, rollout = state.networks["policy"]["output0.weight"].detach().clone(), rolled(TABLE)
    agent(name).update(state, rollout)
    for place in range(2):
        s, a, r, _, end, cut = (column[place].numpy() for column in rollout[:6])
        zero = np.zeros_like(r)
        advantage = reference.gae(r, end, cut, zero, zero, lambda_=0.8, discount=0.99).ravel()
        theta = before[place, 0].numpy()
        if name == "reinforce":
            slope = reference.reinforce_loss_gradient(np.zeros_like(advantage), advantage)
        else:
            slope = -reference.clipped_surrogate_gradient(np.zeros_like(advantage), advantage, clip=0.2)
        due = theta - rate * table_gradient(theta, s.ravel(), a.ravel(), slope)
        np.testing.assert_allclose(state.networks["policy"]["output0.weight"][place, 0].detach(), due, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("options", [{}, {"entropy_coefficient": 0.3, "standardize": True}], ids=["plain", "entropy"])
@SPACES
@pytest.mark.parametrize("name", NAMES)
def test_losses_have_the_slopes_of_finite_differences(name: str, space: Space, options: dict[str, object]) -> None:
    state, rollout = made(name, space, **EXACT | options, baseline="network"), rolled(space)
    given = on_policy.samples(state, rollout)
    given = given._replace(log_prob=given.log_prob + torch.tensor([[0.02], [-0.03]]))  # away from ratio 1, within the clip

    def function(state: State, given: on_policy.Samples) -> Tensor:
        if name == "reinforce":
            return reinforce.policy_loss(state, rollout, given)
        return ppo.surrogate_loss(state, given) if name == "ppo" else trpo.surrogate(state, given)

    for key, tensor in state.networks["policy"].items():
        tensor.requires_grad_()
        (slope,) = torch.autograd.grad(function(state, given).sum(), tensor)
        for place in range(tensor[0].numel()):
            values = []
            for shift in (1e-6, -1e-6):
                with torch.no_grad():
                    tensor.view(2, -1)[:, place] += shift
                    values.append(function(state, given))
                    tensor.view(2, -1)[:, place] -= shift
            due = (values[0] - values[1]) / 2e-6
            torch.testing.assert_close(slope.view(2, -1)[:, place], due, rtol=1e-6, atol=1e-8, msg=f"{key} {place}")


def test_nothing_pulls_where_the_ratio_is_clipped() -> None:
    """Beyond the clip on the improving side of every sample; one back inside moves the policy again."""
    state = made("ppo", BOX, **EXACT, baseline="none")
    given = on_policy.samples(state, rolled(BOX))
    outside = given._replace(log_prob=given.log_prob - torch.sign(given.advantage) * 0.5)
    leaves = [tensor.requires_grad_() for tensor in state.networks["policy"].values()]
    assert all(not slope.any() for slope in torch.autograd.grad(ppo.surrogate_loss(state, outside).sum(), leaves))
    outside.log_prob[0, 3] = given.log_prob[0, 3]
    slopes = torch.autograd.grad(ppo.surrogate_loss(state, outside).sum(), leaves)
    assert all(slope[0].any() and not slope[1].any() for slope in slopes)


# ---------------------------------------------------------------------------------------------------- trust region


def step_of(state: State, before: dict[str, Tensor], place: int) -> Any:
    policy = state.networks["policy"]
    return np.concatenate([(policy[k] - before[f"networks/policy/{k}"])[place].detach().numpy().ravel() for k in policy])


def test_a_step_on_a_table_is_the_natural_step_of_the_exact_fisher_matrix() -> None:
    state = made("trpo", TABLE, **EXACT, baseline="none", damping=1e-3, max_kl=1e-6, cg_iterations=20)
    before, rollout = copied(state), rolled(TABLE)
    given = on_policy.samples(state, rollout)
    assert trpo.update(state, rollout)["backtracks"].tolist() == [0, 0]
    for place in range(2):
        theta = before["networks/policy/output0.weight"][place, 0].numpy()
        s, a = given.observations[place].numpy(), given.actions[place].numpy()
        gradient = table_gradient(theta, s, a, given.advantage[place].numpy()).ravel()
        fisher, chance = np.zeros((2, 3, 2, 3)), softmax(theta)
        for state_ in range(2):
            row = chance[state_]
            fisher[state_, :, state_, :] = (s == state_).mean() * (np.diag(row) - np.outer(row, row))
        matrix = fisher.reshape(6, 6)
        due = reference.natural_step(gradient, matrix.__matmul__, max_kl=1e-6, damping=1e-3, iterations=20)
        np.testing.assert_allclose(step_of(state, before, place), due, rtol=1e-7, atol=1e-14)


def test_a_gaussian_step_is_that_of_its_exact_fisher_matrix_whatever_its_deviation() -> None:
    """Means W's + b in units of the half width h: d mean / d W = h s, and KL bends by h² s s'/std² and by 2 in log std."""
    state = made("trpo", BOX, **EXACT, baseline="none", damping=1e-3, max_kl=1e-8, cg_iterations=30, initial_log_std=-1.0)
    before, rollout = copied(state), rolled(BOX)
    given = on_policy.samples(state, rollout)
    leaves = [tensor.requires_grad_() for tensor in state.networks["policy"].values()]
    slopes = torch.autograd.grad(trpo.surrogate(state, given).sum(), leaves)
    trpo.update(state, rollout)
    for place in range(2):
        s = given.observations[place].numpy()
        log_std = before["networks/policy/log_std"][place, 0].numpy()  # in units of the half width: h²/std² = exp(-2 log_std)
        bend = np.zeros((10, 10))
        rows = np.concatenate([s, np.ones((len(s), 1))], 1)
        for action in range(2):
            places = [2 * k + action for k in range(3)] + [6 + action]
            bend[np.ix_(places, places)] = rows.T @ rows / len(s) * np.exp(-2 * log_std[action])
            bend[8 + action, 8 + action] = 2
        gradient = np.concatenate([slope[place].numpy().ravel() for slope in slopes])
        due = reference.natural_step(gradient, bend.__matmul__, max_kl=1e-8, damping=1e-3, iterations=30)
        np.testing.assert_allclose(step_of(state, before, place), due, rtol=1e-6, atol=1e-13)


def test_a_search_that_fails_leaves_every_bit() -> None:
    """The second seed's surrogate falls at once; also the zeros keep their signs."""
    parameters = {"a": torch.tensor([[0.5, -0.0, 0.1], [0.5, -0.0, 0.1]]), "b": torch.tensor([[[1.0]], [[1.0]]])}
    begin = {name: tensor.clone() for name, tensor in parameters.items()}
    steep = torch.tensor([0.0, 1e12])

    def surrogate(at: dict[str, Tensor]) -> Tensor:
        return at["a"].sum(1) - steep * (at["a"] - begin["a"]).square().sum(1) + at["b"].flatten(1).sum(1)

    def divergence(at: dict[str, Tensor]) -> Tensor:
        return sum((at[name] - begin[name]).square().flatten(1).sum(1) for name in at)  # type: ignore[return-value]

    options: dict[str, Any] = {"max_kl": 0.01, "iterations": 10, "damping": 0.0, "shrink": 0.5, "max_backtracks": 3}
    found = trust_regions.ascend(parameters, surrogate, divergence, **options)
    assert found["accepted"].tolist() == [1, 0] and found["backtracks"][1] == 3 and found["kl"][1] == 0
    assert 0 < found["kl"][0] <= 0.01
    for name, tensor in parameters.items():
        assert (tensor[0] != begin[name][0]).all()
        assert tensor[1].numpy().tobytes() == begin[name][1].numpy().tobytes()


def test_a_seed_without_curvature_stays_and_the_others_go() -> None:
    """The second seed's divergence bends down, which a mean KL does only by rounding; gradients that are no numbers are told."""
    parameters = {"a": torch.tensor([[0.5, 1.0], [0.5, 1.0]])}
    begin, bend = parameters["a"].clone(), torch.tensor([1.0, -1.0])

    def surrogate(at: dict[str, Tensor]) -> Tensor:
        return at["a"].sum(1)

    def divergence(at: dict[str, Tensor]) -> Tensor:
        return bend * (at["a"] - begin).square().sum(1)

    options: dict[str, Any] = {"max_kl": 0.01, "iterations": 10, "damping": 0.0, "shrink": 0.5, "max_backtracks": 3}
    found = trust_regions.ascend(parameters, surrogate, divergence, **options)
    assert found["accepted"].tolist() == [1, 0] and found["kl"][1] == 0
    assert bool((parameters["a"][0] != begin[0]).all()) and torch.equal(parameters["a"][1], begin[1])
    with pytest.raises(ValueError, match="must not be NaN"):
        trust_regions.ascend(parameters, lambda at: at["a"].sum(1) * torch.nan, divergence, **options)


@SPACES
def test_after_every_round_the_policy_is_within_the_trust_region(space: Space) -> None:
    """The KL of the policies before and after, by formulas of this test."""
    state = made("trpo", space, hidden=(8,), baseline="linear", normalize_observations=False, damping=1e-5, max_kl=0.02)
    moved = 0.0
    for number in range(5):
        rollout = rolled(space, steps=40, seed=number)
        s = rollout.observations.flatten(1, 2)
        old = [part.detach().numpy() for part in on_policy.distribution(state, s)]
        metrics = trpo.update(state, rollout)
        new = [part.detach().numpy() for part in on_policy.distribution(state, s)]
        if space.discrete:
            p, q = softmax(old[0]), softmax(new[0])
            kl = (p * np.log(p / q)).sum(-1).mean(-1)
        else:
            (m, k), (n, j) = old, new
            kl = (j - k + (np.exp(2 * k) + (m - n) ** 2) / (2 * np.exp(2 * j)) - 0.5).sum(-1).mean(-1)
        np.testing.assert_allclose(metrics["kl"], kl, rtol=1e-9)
        assert (kl <= 0.02).all()
        moved += kl.sum()
    assert moved > 0.05


# -------------------------------------------------------------------------------------------- baselines, advantages


def test_the_linear_baseline_is_least_squares_with_a_ridge() -> None:
    state, rollout = made("reinforce", BOX, baseline="linear"), rolled(BOX, steps=30)
    rollout.observations[0, 0, 0] = 50.0  # clipped to 10
    target = torch.tensor(np.random.default_rng(1).normal(size=(2, 2, 30)))
    baselines.fit(state, rollout, target)
    value, next_value = baselines.values(state, rollout)

    def rows(observations: Tensor, times: Tensor, place: int) -> Any:
        o, t = observations[place].reshape(60, 3).numpy().clip(-10, 10), times[place].reshape(60, 1).numpy() / 100
        return np.concatenate([o, o**2, t, t**2, t**3, np.ones_like(t)], 1)

    for place in range(2):
        phi = rows(rollout.observations, rollout.times, place)
        stacked = np.concatenate([phi, np.sqrt(1e-5) * np.eye(10)])
        weight = np.linalg.lstsq(stacked, np.concatenate([target[place].ravel(), np.zeros(10)]), rcond=None)[0]
        np.testing.assert_allclose(value[place].ravel(), phi @ weight, rtol=1e-6)
        after = rows(rollout.next_observations, rollout.times + 1, place)
        np.testing.assert_allclose(next_value[place].ravel(), after @ weight, rtol=1e-6)


def test_cuts_bootstrap_where_the_configuration_says_so() -> None:
    for bootstrap in (True, False):
        state = made("trpo", BOX, baseline="linear", bootstrap_truncations=bootstrap, target_lambda=0.5)
        with torch.no_grad():
            state.networks["value"]["weight"].fill_(0.7)
        rollout = rolled(BOX)
        found, given = on_policy.advantages(state, rollout), baselines.values(state, rollout)
        ends = rollout.terminations if bootstrap else rollout.terminations | rollout.truncations
        r, end, cut, v, w = (x.numpy() for x in (rollout.rewards, ends, rollout.truncations, *given))
        np.testing.assert_allclose(found.advantage, reference.gae(r, end, cut, v, w, lambda_=0.97, discount=0.995), rtol=1e-9)
        np.testing.assert_allclose(found.target, reference.lambda_returns(r, end, cut, w, lambda_=0.5, discount=0.995), rtol=1e-9)


def test_standardized_advantages() -> None:
    found = on_policy.standardized(torch.tensor([[[1.0, 3.0], [5.0, 7.0]], [[0.1, 0.1], [0.1, 0.1]]]))
    torch.testing.assert_close(found[0].flatten(), torch.tensor([-3.0, -1.0, 1.0, 3.0]) / 5**0.5)
    assert not found[1].any()


@SPACES
def test_entropy_is_that_of_the_distribution(space: Space) -> None:
    state = made("ppo", space, hidden=())
    found = on_policy.distribution(state, rolled(space).observations.flatten(1, 2))
    last = found[-1].detach().numpy()
    due = -(softmax(last) * np.log(softmax(last))).sum(-1) if space.discrete else (last + np.log(2 * np.pi * np.e) / 2).sum(-1)
    np.testing.assert_allclose(on_policy.entropy(found).detach(), due, rtol=1e-12)


def test_losses_by_hand() -> None:
    """Half a square for V, less where entropy is high, a ratio and no logarithm; only exploration leaves the bounds."""
    state, rollout = made("ppo", BOX, hidden=(), baseline="network", standardize=False, entropy_coefficient=0.5), rolled(BOX)
    given = on_policy.samples(state, rollout)
    error = given.target - baselines.predicted(state, given.observations, given.times)
    torch.testing.assert_close(ppo.value_loss(state, rollout), error.square().mean(1) / 2, rtol=1e-12, atol=0)
    due = -given.advantage.mean(1) - 0.5 * on_policy.entropy(on_policy.distribution(state, given.observations)).mean(1)
    torch.testing.assert_close(ppo.policy_loss(state, rollout), due, rtol=1e-12, atol=0)
    moved = given._replace(log_prob=given.log_prob + given.advantage)
    due = ((-given.advantage).exp() * given.advantage).mean(1)
    torch.testing.assert_close(trpo.surrogate(state, moved), due, rtol=1e-9, atol=1e-12)
    shown = rollout.observations.flatten(1, 2)
    assert ppo.act(state, shown, explore=True).abs().amax() > 2 > 1.999 > ppo.act(state, shown * 0, explore=False).abs().amax()


def test_the_baseline_learns_from_a_rollout_after_the_policy_did() -> None:
    """A policy's step does not depend on how the baseline takes in the same steps."""
    for name in NAMES:
        rates = ({"value_learning_rate": rate} for rate in (1e-9, 0.1))
        ends = []
        for rate in rates:
            state = made(name, BOX, **EXACT | rate, baseline="network")
            agent(name).update(state, rolled(BOX))
            ends.append(copied(state))
        assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0] if key.startswith("networks/policy"))
        assert not torch.equal(ends[0]["networks/value/output0.weight"], ends[1]["networks/value/output0.weight"])


def test_a_pass_takes_every_step_once_in_an_order_of_each_seed() -> None:
    streams = Streams((0, 1), "x")
    whole = torch.cat(list(baselines.minibatches(rolled(BOX), streams, 7)), 1)
    assert whole.shape == (2, 24) and not torch.equal(whole[0], whole[1])
    assert torch.equal(whole.sort(1).values, torch.arange(24).expand(2, -1))
    (ordered,) = baselines.minibatches(rolled(BOX), streams, None)
    assert torch.equal(ordered, torch.arange(24).expand(2, -1))


# ------------------------------------------------------------------------------- routes, seeds, resumption, schedules

SMALL: dict[str, Any] = {"hidden": (8,), "batch_size": 5, "epochs": 2, "value_epochs": 2, "value_batch_size": 5, "target_kl": 1e-3}


@pytest.mark.parametrize("baseline", ["linear", "network"])
@SPACES
@pytest.mark.parametrize("name", NAMES)
def test_a_loss_moves_its_own_network_and_no_other(name: str, space: Space, baseline: str) -> None:
    state, rollout = made(name, space, **SMALL, baseline=baseline, entropy_coefficient=0.1), rolled(space)
    for loss, (own, function) in agent(name).LOSSES.items():
        for network, parameters in state.networks.items():
            leaves = [tensor.requires_grad_() for tensor in parameters.values()]
            values = function(state, rollout)
            assert values.shape == (2,)
            found = torch.autograd.grad(values.sum(), leaves, allow_unused=True)
            largest = max(0.0 if slope is None else float(slope.abs().max()) for slope in found)
            assert (largest > 0) == (network == own), f"{loss} moves {network} by {largest}"


@pytest.mark.parametrize("baseline", baselines.KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_a_seed_learns_alone_what_it_learns_among_others(name: str, baseline: str) -> None:
    both, alone = made(name, BOX, **SMALL, baseline=baseline), made(name, BOX, (1,), **SMALL, baseline=baseline)
    for number in range(3):
        rollout = rolled(BOX, seed=number)
        agent(name).update(both, rollout)
        agent(name).update(alone, of_seed(rollout, 1))
    for network, parameters in alone.networks.items():
        for key, tensor in parameters.items():
            torch.testing.assert_close(both.networks[network][key][1:], tensor, rtol=1e-8, atol=1e-10, msg=f"{network} {key}")


@pytest.mark.parametrize("name", NAMES)
def test_a_resumed_agent_goes_on_bit_for_bit(name: str) -> None:
    first, second = (made(name, BOX, **SMALL, baseline="network", normalize_observations=True) for _ in range(2))
    agent(name).update(first, rolled(BOX))
    second.restore(copied(first))
    ends = []
    for state in (first, second):
        agent(name).update(state, rolled(BOX, seed=1))
        shown = rolled(BOX, seed=2).observations.flatten(1, 2)
        ends.append(copied(state) | {"actions": agent(name).act(state, shown, explore=True)})
    assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0])


@pytest.mark.parametrize("name", NAMES)
def test_the_normalizer_stands_still_until_a_rollout_is_used_up(name: str) -> None:
    state, rollout = made(name, BOX, **SMALL, normalize_observations=True), rolled(BOX)
    shown = rollout.observations.flatten(1, 2)
    assert torch.equal(baselines.seen(state, shown), shown)
    agent(name).update(state, rollout)
    deviation = shown.std(1, correction=0, keepdim=True)
    torch.testing.assert_close(baselines.seen(state, shown), (shown - shown.mean(1, keepdim=True)) / deviation)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_policy_that_went_too_far_rests_while_the_others_learn(optimizer: str) -> None:
    """The first seed goes too far in its first pass, whose end it keeps; without a target it went on."""
    options = SMALL | {"epochs": 4, "target_kl": 0.003, "standardize": False, "optimizer": optimizer, "clip": 0.9}
    options |= {"max_grad_norm": None, "schedule": "constant", "baseline": "none", "policy_learning_rate": 0.01}
    rollout = rolled(BOX)
    rollout.rewards[1] *= 1e-9  # no signal to speak of, and none at all where Adam adds 1e-5
    once, often, free = (made("ppo", BOX, **options | changed) for changed in ({"epochs": 1}, {}, {"target_kl": None}))
    for state in (once, often, free):
        ppo.update(state, rollout)
    resting = [torch.equal(t[0], once.networks["policy"][key][0]) for key, t in often.networks["policy"].items()]
    going = [not torch.equal(t[1], once.networks["policy"][key][1]) for key, t in often.networks["policy"].items()]
    assert all(resting) and all(going)
    assert not any(torch.equal(t[0], once.networks["policy"][key][0]) for key, t in free.networks["policy"].items())
    if optimizer == "adam":  # and its momentum is that of then
        held = {name: t for name, t in often.optimizers["policy"].tensors().items() if t.ndim}
        assert all(torch.equal(t[0], once.optimizers["policy"].tensors()[name][0]) for name, t in held.items())


def test_learning_rates_fall_in_a_line() -> None:
    state, found = made("ppo", BOX, **SMALL, update_every=24, decay_steps=96), []
    for number in range(5):
        ppo.update(state, rolled(BOX, seed=number))
        found.append([state.optimizers[name].rate() / 3e-4 for name in ("policy", "value")])
    np.testing.assert_allclose(found, [[1 - k / 4] * 2 for k in range(5)], atol=1e-15)
    assert state.updates == 5 * state.config.updates_of_a_round


@pytest.mark.parametrize("name", NAMES)
def test_presets_are_configurations_and_bad_values_are_refused(name: str) -> None:
    module = agent(name)
    for options in module.PRESETS.values():
        config = module.Config(**options)
        assert config.buffer_size == config.update_every
    for field, value in {
        "baseline": "tree",
        "lambda_": 1.5,
        "policy_gain": 0.0,
        "value_epochs": 0,
        "clip": 1.0,
        "shrink": 1.0,
    }.items():
        if hasattr(module.Config(), field):
            with pytest.raises(ValueError, match=field):
                module.Config(**{field: value})


# --------------------------------------------------------------------------------------------------------- learning


@pytest.mark.parametrize("name", NAMES)
def test_cartpole_is_learned(name: str) -> None:
    """A random policy balances for 22 steps on average; the mean episode of training rises beyond 40 within 5000 steps."""
    preset = agent(name).PRESETS["classic:cartpole"]
    config = agent(name).Config(**preset | {"envs": 4, "update_every": 500})
    training = Training(Run(name, config, (0, 1), 5000, "CartPole-v1"))
    lengths = []
    while training.step < 5000:
        training.advance()
        if training.step % 500 == 0:
            lengths.append(training.memory.rollout().terminations.float().sum((1, 2)))
    training.close()
    late = 1000 / (lengths[-1] + lengths[-2]).clamp(min=1)
    assert (late > 40).all(), late
