"""Q-Prop: its surrogate against the operators, its weights, its bias where it has one, its variance, and its order of steps."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import accelerated
from accelerated.agents import control_variate_terms, on_policy, qprop, qprop_configuration, rollouts
from accelerated.agents.batch import Parameters, Space
from accelerated.agents.loop import Run, Training
from accelerated.agents.rollouts import Rollout
from accelerated.agents.state import State
from benchmarks import gradient_variance

BOX = Space((3,), torch.float64, actions=2, low=(-1.0, -1.0), high=(1.0, 1.0))
SMALL: dict[str, Any] = {
    "hidden": (5,), "critic_hidden": (6,), "update_every": 24, "envs": 2, "batch_size": None, "learning_starts": 1,
    "policy_gain": 1.0,
}  # fmt: skip
UNBIASED = [("standard", "previous"), ("optimal", "halves"), ("conservative", "critic"), ("aggressive", "previous")]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def made(seeds: tuple[int, ...] = (0, 1), space: Space = BOX, **options: Any) -> State:
    state = qprop.init(qprop.Config(**(SMALL | options)), space, seeds, dtype=torch.float64)
    state.tensors["weight"] += 0.37
    return state


def drawn(seeds: int = 2, envs: int = 2, steps: int = 12, seed: int = 0) -> Rollout:
    """Numbers that differ in every role, with ends of both kinds."""
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> Tensor:
        return torch.tensor(rng.normal(size=(seeds, envs, steps, *shape)))

    ends = torch.tensor(rng.random((seeds, envs, steps)) < 0.15)
    cuts = torch.tensor(rng.random((seeds, envs, steps)) < 0.1)
    cuts[..., -1] = True
    times = torch.tensor(rng.integers(0, 30, size=(seeds, envs, steps)))
    return Rollout(normal(3), normal(2), normal(), normal(3), ends, cuts, times)


def leaves(parameters: Parameters) -> list[Tensor]:
    return [tensor.requires_grad_() for tensor in parameters.values()]


def gradient(state: State, given: qprop.Estimate) -> Tensor:
    """Of the surrogate at the policy as it is, [seeds, P]."""
    parameters = leaves(state.networks["policy"])
    found = torch.autograd.grad(qprop.surrogate(state, given).sum(), parameters)
    return torch.cat([part.flatten(1) for part in found], 1)


def rows(state: State, seed: int, function: Any) -> Tensor:
    """d(function(parameters) [seeds, N, ...])[seed]/d(parameters of the seed), [N, ..., P], one entry after the other."""
    parameters = leaves(state.networks["policy"])
    values = function(state.networks["policy"])[seed]
    found = [torch.autograd.grad(entry, parameters, retain_graph=True, allow_unused=True, materialize_grads=True)
             for entry in values.flatten()]  # fmt: skip
    return torch.stack([torch.cat([part[seed].flatten() for part in one]) for one in found]).reshape(*values.shape, -1)


# ------------------------------------------------------------------------------------------------- the operators


@pytest.mark.parametrize(("rule", "source"), UNBIASED)
def test_the_surrogates_gradient_is_the_operators(rule: str, source: str) -> None:
    state, rollout = made(rule=rule, weight_from=source), drawn()
    given = qprop.estimate(state, rollout)
    steps, advantage = rollouts.flat(rollout), on_policy.advantages(state, rollout).advantage.flatten(1)
    found = gradient(state, given)
    for seed in range(2):
        score = rows(state, seed, lambda p: on_policy.log_prob(state, steps.observations, steps.actions, p))
        jacobian = rows(state, seed, lambda p: on_policy.distribution(state, steps.observations, p)[0])
        slope = given.expansion.action_gradient[seed]
        variate = accelerated.taylor_control_variate(steps.actions[seed], given.expansion.mean[seed], slope)
        due = accelerated.q_prop_gradient(score, advantage[seed], variate, given.weight[seed], slope, jacobian)
        torch.testing.assert_close(found[seed], due, rtol=1e-11, atol=1e-13)


def test_the_mixed_gradient_is_the_operators() -> None:
    """With ν = 0.3 of the newest steps, and the states of the whole pool."""
    state, pool = made(estimator="mixed", on_policy_fraction=0.3, update_every=10), drawn()
    batch = Rollout._make(None if column is None else column[:, :, 7:] for column in pool)
    steps, every = rollouts.flat(batch), pool.observations.flatten(1, 2)
    advantage = on_policy.advantages(state, batch).advantage.flatten(1)
    given = qprop.estimate(state, pool)
    found = gradient(state, given)
    for seed in range(2):
        score = rows(state, seed, lambda p: on_policy.log_prob(state, steps.observations, steps.actions, p))
        jacobian = rows(state, seed, lambda p: on_policy.distribution(state, every, p)[0])
        slope = given.expansion.action_gradient[seed]
        due = accelerated.mixed_gradient(score, advantage[seed], slope, jacobian, on_policy_fraction=0.3)
        torch.testing.assert_close(found[seed], due, rtol=1e-11, atol=1e-13)


def test_the_action_gradient_is_the_critics_at_the_mean() -> None:
    state, rollout = made(), drawn()
    expansion = qprop.estimate(state, rollout).expansion
    step = 1e-6 * torch.tensor([1.0, 0.0], dtype=torch.float64)
    ahead, behind = (qprop.q(state, expansion.observations, expansion.mean + sign * step) for sign in (1, -1))
    torch.testing.assert_close(expansion.action_gradient[..., 0], ((ahead - behind) / 2e-6).detach(), rtol=1e-6, atol=1e-8)


def test_with_weight_0_the_update_is_that_without_a_critic() -> None:
    ends = []
    for options in ({"estimator": "trpo"}, {"rule": "conservative"}):
        state = made(**options)
        state.tensors["weight"].zero_()
        found = qprop.update(state, drawn())
        assert bool((found["accepted"] == 1).all())
        ends.append(torch.cat([tensor.detach().flatten() for tensor in state.networks["policy"].values()]))
    torch.testing.assert_close(*ends, rtol=1e-12, atol=1e-14)


# ------------------------------------------------------------------------------------------------------- weights


def test_the_previous_weight_is_that_of_the_batch_before() -> None:
    """Cov/Var about 0, of advantages and variates as they were before anything was learned from that batch."""
    state, first, second = made(rule="optimal"), drawn(seed=1), drawn(seed=2)
    advantage = on_policy.advantages(state, first).advantage.flatten(1)
    variate = qprop.estimate(state, first).expansion.at(first.actions.flatten(1, 2))
    assert bool((qprop.estimate(state, first).weight == 0.37).all())
    qprop.update(state, first)
    due = (advantage * variate).mean(1) / variate.square().mean(1)
    torch.testing.assert_close(qprop.estimate(state, second).weight, due[:, None].expand(-1, 24))


@pytest.mark.parametrize("envs", [1, 2])
def test_a_halfs_weight_knows_nothing_of_its_own_actions(envs: int) -> None:
    state, rollout = made(rule="optimal", weight_from="halves", envs=envs), drawn(envs=envs)
    half = control_variate_terms.halves(rollout)
    assert bool(half.any(1).all()) and not bool(half.all(1).any())
    before = qprop.estimate(state, rollout).weight
    moved = rollout.actions + half.reshape(2, envs, 12, 1)
    after = qprop.estimate(state, rollout._replace(actions=moved)).weight
    assert bool((before == after)[half].all()) and not bool((before == after)[~half].any())
    if envs == 2:
        advantage, variate = torch.randn(2, 24, dtype=torch.float64), torch.randn(2, 24, dtype=torch.float64)
        found = control_variate_terms.weights_of_other_half(advantage, variate, half, "optimal")
        torch.testing.assert_close(found[:, 0], (advantage * variate)[:, 12:].sum(1) / variate[:, 12:].square().sum(1))


def test_halves_are_whole_trajectories_of_a_single_environment() -> None:
    rollout = drawn(seeds=1, envs=1)
    cut, half = (rollout.terminations | rollout.truncations)[0, 0], control_variate_terms.halves(rollout)[0]
    assert bool((half[1:] == (half[:-1] ^ cut[:-1])).all())


def test_the_critics_weights_come_from_other_actions() -> None:
    state, rollout = made(rule="optimal", weight_from="critic", weight_samples=3), drawn()
    before = state.streams["weights"].tensors()
    first = qprop.estimate(state, rollout).weight
    state.streams["weights"].restore(before)
    assert bool((first == qprop.estimate(state, rollout._replace(actions=-rollout.actions)).weight).all())
    assert bool((first.std(1) > 0.01).all()), "each state has its own"


def test_a_linear_critic_is_its_own_expansion() -> None:
    """Then Cov/Var of Q and its Taylor term is 1."""
    state = made(rule="optimal", weight_from="critic", weight_samples=4, critic_hidden=())
    torch.testing.assert_close(qprop.estimate(state, drawn()).weight, torch.ones(2, 24, dtype=torch.float64))


# --------------------------------------------------------------------------- bias and variance on a one-step problem


COPIES, SIZE = 400, 16
CURVES = torch.tensor([[-1.0, 0.3], [0.3, -0.8]], dtype=torch.float64)
TIES = torch.tensor([[0.5, -0.4], [0.2, 0.6], [-0.7, 0.1]], dtype=torch.float64)
SLOPE = torch.tensor([0.6, -0.9], dtype=torch.float64)


def reward_of(s: Tensor, a: Tensor) -> Tensor:
    """(s M + v)·a + aᵀ C a: concave in the action."""
    return ((s @ TIES + SLOPE) * a).sum(-1) + ((a @ CURVES) * a).sum(-1)


def one_step(**options: Any) -> State:
    """As many equal agents side by side as there are batches to draw, with the exact critic, quadratic in state and action."""
    fields = {"hidden": (), "critic_hidden": (), "torso": "quadratic", "optimizer": "sgd", "baseline": "none", "envs": 1}
    state = made((0,) * COPIES, **(fields | {"update_every": SIZE, "initial_log_std": -0.5} | options))
    weight, bias = (state.networks["critic"][f"output0.{part}"] for part in ("weight", "bias"))
    products = torch.zeros(5, 5, dtype=torch.float64)
    products[:3, 3:], products[3:, 3:] = TIES, CURVES
    with torch.no_grad():
        weight.copy_(torch.cat([torch.zeros(3), SLOPE, products.flatten()]).reshape(1, 1, 30, 1).expand_as(weight))
        bias.zero_()
    return state


def batches(state: State, seed: int = 0, noise: float = 1.0, offset: float | None = 2.0) -> Rollout:
    """Episodes of one step; the reward has noise, and an offset that no baseline takes away; None: what the mean gets."""
    generator = torch.Generator().manual_seed(seed)
    s = torch.randn(COPIES, 1, SIZE, 3, dtype=torch.float64, generator=generator)
    mean, log_std = (part.detach() for part in on_policy.distribution(state, s[:, 0]))
    a = (mean + log_std.exp() * torch.randn(mean.shape, dtype=torch.float64, generator=generator)).unsqueeze(1)
    beside = -reward_of(s, mean.unsqueeze(1)) if offset is None else offset
    reward = reward_of(s, a) + beside + noise * torch.randn(s.shape[:-1], dtype=torch.float64, generator=generator)
    ends = torch.ones_like(reward, dtype=torch.bool)
    return Rollout(s, a, reward, s, ends, ends, torch.zeros_like(ends, dtype=torch.int64))


def exact_gradient(state: State) -> Tensor:
    """Of E[reward] over s ~ N(0, I), in closed form: μ = sK + b, so that E = tr(MᵀK) + v·b + tr(C(KᵀK + bbᵀ + diag σ²))."""
    policy = {name: tensor[:1].detach().requires_grad_() for name, tensor in state.networks["policy"].items()}
    k, b, log_std = (policy[name].squeeze(0).squeeze(0) for name in ("output0.weight", "output0.bias", "log_std"))
    second = k.T @ k + torch.outer(b, b) + torch.diag((2 * log_std).exp())
    value = (TIES * k).sum() + SLOPE @ b + (CURVES * second).sum()
    return torch.cat([part.flatten() for part in torch.autograd.grad(value, list(policy.values()))])


def estimates(state: State, rounds: int = 10, **options: Any) -> Tensor:
    """One gradient for each of rounds * COPIES batches."""
    return torch.cat([gradient(state, qprop.estimate(state, batches(state, seed, **options))) for seed in range(rounds)])


def deviation(found: Tensor, due: Tensor) -> float:
    """The largest distance of a mean from what is due, in standard errors."""
    error = found.std(0) / math.sqrt(len(found))
    return float(((found.mean(0) - due).abs() / error).max())


@pytest.mark.parametrize(("rule", "source"), UNBIASED)
def test_weights_of_other_samples_leave_the_mean_where_it_was(rule: str, source: str) -> None:
    """5 standard errors of 4000 batches of 16; eight parameters."""
    state = one_step(rule=rule, weight_from=source)
    assert deviation(estimates(state), exact_gradient(state)) < 5


def test_the_mean_of_the_other_half_leaves_it_too_and_lowers_the_variance() -> None:
    """The reward has an offset that no baseline takes away."""
    plain, centred = (one_step(estimator="trpo", subtract_mean=mean) for mean in ("none", "halves"))
    found = estimates(centred)
    assert deviation(found, exact_gradient(centred)) < 5
    assert float(found.var(0).sum()) < 0.8 * float(estimates(plain, rounds=2).var(0).sum())


@pytest.mark.parametrize(("mean", "due"), [("none", [1.0, 3.0, 2.0]), ("halves", [-2.0, 1.5, -1.0]), ("batch", [-1.0, 1.0, 0.0])])
def test_which_mean_is_subtracted(mean: str, due: list[float]) -> None:
    """Three episodes of one step are in one half, the other, and the one again."""
    state, rollout = made((0,), update_every=3, envs=1, baseline="none", estimator="trpo", subtract_mean=mean), drawn(1, 1, 3)
    ends = torch.ones_like(rollout.terminations)
    rewards = torch.tensor([[[1.0, 3.0, 2.0]]], dtype=torch.float64)
    rollout = rollout._replace(terminations=ends, rewards=rewards)
    assert qprop.estimate(state, rollout).residual.advantage.tolist() == [due]


def test_weights_of_the_sample_itself_do_not() -> None:
    """The bias is the authors' rule's, before anything is standardised."""
    state, found = one_step(rule="conservative", initial_log_std=-1.5), []
    for seed in range(10):
        rollout = batches(state, seed, offset=None)
        given, advantage = qprop.estimate(state, rollout), rollout.rewards.flatten(1)
        variate = given.expansion.at(rollout.actions.flatten(1, 2))
        weight = control_variate_terms.own_weights(advantage, variate, "conservative")
        assert bool((weight == (advantage * variate > 0)).all())
        found.append(
            gradient(state, given._replace(residual=given.residual._replace(advantage=advantage - weight * variate), weight=weight))
        )
    assert deviation(torch.cat(found), exact_gradient(state)) > 10


@pytest.mark.parametrize(("options", "biased"), [({"as_coded": True}, True), ({"as_coded": False}, False)])
def test_as_coded_the_mean_points_elsewhere(options: dict[str, Any], biased: bool) -> None:
    """What of the mean is at right angles to the gradient, since a positive factor would do no harm in a trust region."""
    state = one_step(rule="conservative", **options)
    due = exact_gradient(state)
    found = estimates(state, noise=3.0)
    across = found - (found @ due / (due @ due)).unsqueeze(-1) * due
    assert (deviation(across, torch.zeros_like(due)) > 20) == biased


def test_an_exact_critic_lowers_the_variance() -> None:
    """Of the reward's noise alone something must remain; here most of the variance is the action's."""
    variances = {}
    for rule in ("standard", "optimal", "trpo"):
        options = {"estimator": "trpo"} if rule == "trpo" else {"rule": rule, "weight_from": "halves"}
        state = one_step(**options, initial_log_std=-1.5)
        variances[rule] = float(estimates(state, rounds=2, noise=0.1, offset=None).var(0).sum())
    assert max(variances["standard"], variances["optimal"]) < 0.3 * variances["trpo"]


def test_the_surrogates_expectation_away_from_the_policy_does_not_depend_on_the_weight() -> None:
    """The difference of weight 1 and weight 0 has mean 0 at any parameters, since both halves are expanded about the old mean."""
    state = one_step(rule="standard")
    rollout = batches(state)
    given = qprop.estimate(state, rollout)
    plain = given._replace(
        residual=given.residual._replace(advantage=rollout.rewards.flatten(1)), weight=torch.zeros_like(given.weight)
    )
    generator = torch.Generator().manual_seed(7)
    moved = {name: t.detach() + 0.2 * torch.randn(t[:1].shape, dtype=t.dtype, generator=generator)
             for name, t in state.networks["policy"].items()}  # fmt: skip
    gap = qprop.surrogate(state, given, moved) - qprop.surrogate(state, plain, moved)
    old = state.networks["policy"]
    constant = qprop.surrogate(state, given, old) - qprop.surrogate(state, plain, old)
    change = (gap - constant).detach()
    assert float(change.std()) > 0.01
    assert abs(float(gap.mean())) < 5 * float(gap.std()) / math.sqrt(COPIES)


# --------------------------------------------------------------------------------------------- order, routes, runs


@pytest.mark.parametrize(("as_coded", "depends"), [(False, False), (True, True)])
def test_the_policys_step_sees_the_trained_critic_only_as_coded(as_coded: bool, depends: bool) -> None:
    ends = []
    for ratio in (0.0, 0.5):
        state = made(as_coded=as_coded, updates_ratio=ratio)
        qprop.update(state, drawn())
        assert state.updates == 1 + round(24 * ratio)
        ends.append(torch.cat([tensor.detach().flatten() for tensor in state.networks["policy"].values()]))
    assert bool((ends[0] != ends[1]).any()) == depends


@pytest.mark.parametrize("options", [{}, {"as_coded": True}, {"estimator": "mixed"}, {"weight_from": "critic"}])
def test_a_loss_moves_its_own_network_and_no_other(options: dict[str, Any]) -> None:
    state, rollout = made(**options), drawn()
    for loss, (own, function) in qprop.LOSSES.items():
        for network, parameters in state.networks.items():
            chosen = leaves(parameters)
            found = torch.autograd.grad(function(state, rollout).sum(), chosen, allow_unused=True)
            largest = max(0.0 if slope is None else float(slope.abs().max()) for slope in found)
            assert (largest > 0) == (network == own), f"{loss} moves {network} by {largest}"


def test_the_critic_is_pulled_to_the_target_critic_at_the_policys_mean() -> None:
    state, rollout = made(), drawn()
    for tensor in state.networks["target_critic"].values():
        tensor += 0.3
    steps = rollouts.flat(rollout)
    mean = on_policy.distribution(state, steps.next_observations)[0]
    following = qprop.q(state, steps.next_observations, mean, network="target_critic")
    target = steps.rewards + 0.99 * (~steps.terminations) * following
    due = (target - qprop.q(state, steps.observations, steps.actions)).square().mean(1)
    torch.testing.assert_close(qprop.critic_loss(state, rollout), due)


def test_the_target_critic_follows_each_update_of_the_critic() -> None:
    state = made(updates_ratio=1 / 24, polyak_step=0.25)
    before = {name: tensor.clone() for name, tensor in state.networks["target_critic"].items()}
    qprop.update(state, drawn())
    for name, tensor in state.networks["critic"].items():
        due = 0.75 * before[name] + 0.25 * tensor
        torch.testing.assert_close(state.networks["target_critic"][name], due)
        assert bool((tensor != before[name]).any())


@pytest.mark.parametrize("options", [{}, {"as_coded": True}, {"estimator": "mixed"}, {"weight_from": "critic", "rule": "optimal"}])
def test_a_seed_among_others_learns_as_alone(options: dict[str, Any]) -> None:
    together = made((4, 7), batch_size=8, **options)
    for number in range(2):
        qprop.update(together, drawn(seed=number))
    for place, seed in enumerate((4, 7)):
        alone = made((seed,), batch_size=8, **options)
        for number in range(2):
            qprop.update(alone, Rollout._make(c if c is None else c[place : place + 1] for c in drawn(seed=number)))
        for network, parameters in alone.networks.items():
            for key, tensor in parameters.items():
                torch.testing.assert_close(tensor[0], together.networks[network][key][place], rtol=1e-8, atol=1e-10)


def test_a_resumed_run_goes_on_as_if_nothing_had_been() -> None:
    state = made(batch_size=8, weight_from="previous")
    qprop.update(state, drawn())
    copy = made(batch_size=8)
    copy.restore(state.flat())
    for one in (state, copy):
        qprop.update(one, drawn(seed=1))
    for name, tensor in state.flat().items():
        assert bool((tensor == copy.flat()[name]).all()), name


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"as_coded": True, "rule": "optimal"}, "optimal"),
        ({"as_coded": True, "estimator": "trpo"}, "as_coded"),
        ({"update_every": 25}, "update_every"),
        ({"buffer_size": 20}, "buffer_size"),
        ({"weight_from": "same"}, "weight_from"),
        ({"on_policy_fraction": 1.5}, "on_policy_fraction"),
        ({"weight_samples": 1}, "weight_samples"),
        ({"updates_ratio": -1.0}, "updates_ratio"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        qprop.Config(**(SMALL | options))


@pytest.mark.parametrize("preset", qprop.PRESETS)
def test_a_short_run_stays_in_its_trust_region(preset: str) -> None:
    options = {"update_every": 200, "learning_starts": 100, "updates_ratio": 0.1, "envs": 2}
    training = Training(Run("qprop", qprop.Config(**(qprop.PRESETS[preset] | options)), (0,), 400, environment="Pendulum-v1"))
    found = [metrics for _ in range(200) if (metrics := training.advance())]
    training.close()
    assert len(found) == 2 and all(float(metrics["kl"]) <= 0.01 for metrics in found)
    assert all(bool(value.isfinite().all()) for metrics in found for value in metrics.values())


# ------------------------------------------------------------------------------------------------- the benchmark


def test_the_total_variance_is_the_trace_of_the_covariance() -> None:
    rng = np.random.default_rng(0)
    rows, times = rng.normal(size=(6, 4)), np.array([[1.0] * 6, [3.0, 0.0, 1.0, 1.0, 0.0, 1.0]])
    found = gradient_variance.total_variance(rows, times)
    for row, due in zip(times, found, strict=True):
        again = rows.repeat(row.astype(int), axis=0)
        assert np.trace(np.cov(again.T)) == pytest.approx(due, rel=1e-12)


def test_a_ratio_lies_in_its_interval_and_a_shifted_mean_is_seen() -> None:
    rng = np.random.default_rng(1)
    basis = rng.normal(size=(50, 5))
    found = gradient_variance.compared(0.5 * basis + 0.1 * rng.normal(size=basis.shape) + 3.0, basis)
    assert 0.2 < found["low"] < found["ratio"] < found["high"] < 0.35 and found["mean_distance"] > 10
    same = gradient_variance.compared(basis, basis)
    assert same["ratio"] == same["low"] == same["high"] == 1 and same["mean_distance"] == 0


def test_the_benchmarks_file_holds_every_estimator(tmp_path: Path) -> None:
    small = ("hidden=8", "critic_hidden=8", "update_every=100", "learning_starts=50", "updates_ratio=0.1")
    gradient_variance.experiment(
        tmp_path, environment="Pendulum-v1", preset="paper", seeds=(3, 4), steps=100, measurements=1, batches=3, batch_steps=40,
        overrides=small, command=["python"],
    )  # fmt: skip
    assert (tmp_path / "Pendulum-v1.png").read_bytes().startswith(b"\x89PNG")
    readings = json.loads((tmp_path / "Pendulum-v1.json").read_text(), parse_constant=pytest.fail)["readings"]
    names = {row["estimator"] for row in readings}
    assert len(readings) == 2 * len(names) and {f"Q-Prop, {rule}" for rule in qprop_configuration.RULES} < names
    assert all(row["ratio"] == 1 for row in readings if row["estimator"] == gradient_variance.BASIS)
