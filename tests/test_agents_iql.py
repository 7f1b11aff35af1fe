"""IQL, one-step and behavioural cloning: updates by hand, gradient routes, the policy, seeds, repetition, resumption."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from offline_agents import BOX, CHOICE, LINEAR, NAMES, Hand, drawn, made, shift_targets

from accelerated.agents import agent, iql, one_step
from accelerated.agents.batch import Batch, Space
from accelerated.agents.state import State


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("space", [BOX, CHOICE], ids=["box", "choice"])
@pytest.mark.parametrize("order", iql.ORDERS)
@pytest.mark.parametrize("name", ["iql", "one_step"])
def test_updates_are_those_written_out_by_hand(name: str, order: str, space: Space) -> None:
    """Large rates, so that the orders differ by far more than rounding; the second update sees the moved targets."""
    rates = {"policy_learning_rate": 0.1, "value_learning_rate": 0.2, "critic_learning_rate": 0.15, "polyak_step": 0.25}
    reduction = "mean" if order == "simultaneous" else "sum"
    options = LINEAR | rates | {"order": order, "critic_reduction": reduction, "inverse_temperature": 2.0}
    state = made(name, space, **options)
    shift_targets(state)
    hands = [Hand(state, place, space) for place in range(2)]
    for number in range(2):
        batch = drawn(space, 2, seed=number)
        agent(name).update(state, batch)
        for place, hand in enumerate(hands):
            hand.update(batch, place, sarsa=name == "one_step")
    for place, hand in enumerate(hands):
        for network, parameters in hand.net.items():
            for key, due in parameters.items():
                found = state.networks[network][key][place].detach().numpy()
                np.testing.assert_allclose(found, due, rtol=1e-9, atol=1e-11, err_msg=f"{network} {key}")


def test_the_orders_differ() -> None:
    """Else the tests above could not tell them apart."""
    ends = []
    for order in iql.ORDERS:
        state = made("iql", BOX, **LINEAR, order=order, value_learning_rate=0.2, critic_learning_rate=0.15, polyak_step=0.25)
        shift_targets(state)
        for number in range(2):
            iql.update(state, drawn(BOX, 2, seed=number))
        ends.append(torch.cat([tensor.flatten() for tensor in state.networks["critic"].values()]))
    assert all((first - second).abs().max() > 1e-3 for first, second in itertools.combinations(ends, 2))


# ------------------------------------------------------------------------------------------ routes, weights


@pytest.mark.parametrize("space", [BOX, CHOICE], ids=["box", "choice"])
@pytest.mark.parametrize("name", NAMES)
def test_a_loss_moves_its_own_network_and_no_other(name: str, space: Space) -> None:
    state, batch = made(name, space, hidden=(8,), dropout=0.1), drawn(space, 2)
    for loss, (own, function) in agent(name).LOSSES.items():
        for network, parameters in state.networks.items():
            leaves = [tensor.requires_grad_() for tensor in parameters.values()]
            found = torch.autograd.grad(function(state, batch).sum(), leaves, allow_unused=True)
            largest = max(0.0 if slope is None else float(slope.abs().max()) for slope in found)
            assert (largest > 0) == (network == own), f"{loss} moves {network} by {largest}"


@pytest.mark.parametrize("name", NAMES)
def test_a_loss_is_one_number_for_each_seed_and_that_of_its_own_batch(name: str) -> None:
    state, batch = made(name, BOX, hidden=(8,)), drawn(BOX, 2)
    other = batch._replace(rewards=batch.rewards.clone(), actions=batch.actions.clone())
    other.rewards[1] += 1
    other.actions[1] /= 2
    for _, function in agent(name).LOSSES.values():
        before, after = function(state, batch), function(state, other)
        assert before.shape == (2,) and torch.equal(before[0], after[0])


@pytest.mark.parametrize("name", ["iql", "one_step"])
def test_weights_are_bounded_after_the_exponential(name: str) -> None:
    """V far below Q: every weight is 100, not exp of something bounded; V far above: none is left."""
    state, batch = made(name, BOX, **LINEAR), drawn(BOX, 2)
    chances = iql.log_prob(state, batch).mean(-1)
    for level, due in ((-50.0, 100.0), (50.0, 0.0)):
        with torch.no_grad():
            state.networks["value"]["output0.bias"].fill_(level)
        loss = agent(name).LOSSES["policy_loss"][1](state, batch)
        torch.testing.assert_close(loss, -due * chances, rtol=1e-12, atol=1e-30)


def test_an_update_reports_the_losses_it_went_down() -> None:
    state, batch = made("iql", BOX, hidden=(8,), order="simultaneous"), drawn(BOX, 2)
    due = {name: function(state, batch).detach() for name, (_, function) in iql.LOSSES.items()}
    found = iql.update(state, batch)
    for name, loss in due.items():
        torch.testing.assert_close(found[name], loss, rtol=1e-12, atol=0)


# ------------------------------------------------------------------------------------- the policy, its options


def test_the_policy_is_the_authors() -> None:
    """N(tanh(·), exp(clip(log_std, -5, 2))²), not squashed."""
    state = made("iql", BOX, **LINEAR)
    policy, batch = state.networks["policy"], drawn(BOX, 2)
    mean = torch.tanh(batch.observations @ policy["output0.weight"][:, 0] + policy["output0.bias"].reshape(2, 1, -1))
    for log_std, clipped in ((0.0, 0.0), (-9.0, -5.0), (3.0, 2.0)):
        with torch.no_grad():
            policy["log_std"].fill_(log_std)
        z = (batch.actions - mean) / math.exp(clipped)
        due = -(z**2 / 2 + clipped + math.log(2 * math.pi) / 2).sum(-1)
        torch.testing.assert_close(iql.log_prob(state, batch), due, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(iql.act(state, batch.observations, explore=False), mean.detach())
    bold = iql.act(state, batch.observations, explore=True)
    assert bold.abs().max() == 1 and not torch.equal(bold, iql.act(state, batch.observations, explore=True))


def test_the_policys_rate_alone_falls_as_a_cosine() -> None:
    state, batch = made("iql", BOX, hidden=(4,), decay_steps=4), drawn(BOX, 2)
    rates = []
    for _ in range(6):
        rates.append({name: optimizer.rate() for name, optimizer in state.optimizers.items()})
        iql.update(state, batch)
    due = [3e-4 * (1 + math.cos(math.pi * min(k / 4, 1))) / 2 for k in range(6)]
    assert [rate["policy"] for rate in rates] == pytest.approx(due, abs=1e-18)
    assert all(rate["value"] == rate["critic"] == 3e-4 for rate in rates)


@pytest.mark.parametrize("name", NAMES)
def test_acting_without_exploration_draws_nothing_and_dropout_is_for_learning_only(name: str) -> None:
    state, batch = made(name, BOX, hidden=(16,), dropout=0.5), drawn(BOX, 2)
    before = {key: streams.tensors() for key, streams in state.streams.items()}
    first, second = (agent(name).act(state, batch.observations, explore=False) for _ in range(2))
    assert torch.equal(first, second)
    assert all(torch.equal(streams.tensors(), before[key]) for key, streams in state.streams.items())
    assert not torch.equal(iql.log_prob(state, batch), iql.log_prob(state, batch))


@pytest.mark.parametrize("name", NAMES)
def test_presets_are_configurations(name: str) -> None:
    module = agent(name)
    for changes in module.PRESETS.values():
        module.Config(**changes)
    assert module.PRESETS["author"] == {}


def test_the_authors_presets() -> None:
    found = {key: iql.Config(**changes) for key, changes in iql.PRESETS.items()}  # type: ignore[arg-type]
    assert found["author"] == found["author:locomotion"] == iql.Config()
    assert [(c.expectile, c.inverse_temperature, c.dropout, c.reward_transform, c.policy_schedule) for c in found.values()] == [
        (0.7, 3.0, 0.0, "locomotion", "cosine"),
        (0.7, 3.0, 0.0, "locomotion", "cosine"),
        (0.9, 10.0, 0.0, "antmaze", "cosine"),
        (0.7, 0.5, 0.1, "none", "cosine"),
        (0.7, 0.5, 0.1, "none", "cosine"),
        (0.9, 10.0, 0.0, "antmaze", "constant"),
    ]


@pytest.mark.parametrize(
    "changes",
    [{"expectile": 1.0}, {"order": "paper"}, {"critic_reduction": "max"}, {"dropout": 1.0}, {"polyak_step": 0.0}]
    + [{"inverse_temperature": -1.0}, {"hidden": (0,)}, {"reward_transform": "adroit"}, {"batch_size": 0}, {"discount": 1.1}],
)
def test_a_wrong_field_is_refused_by_name(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(changes))} must .*got"):
        iql.Config(**changes)


def test_one_step_needs_the_next_actions() -> None:
    state, batch = made("one_step", BOX, **LINEAR), drawn(BOX, 2)._replace(next_actions=None)
    with pytest.raises(ValueError, match="next_actions must be given"):
        one_step.update(state, batch)


# ------------------------------------------------------------------------------- seeds, repetition, resumption

NETS: dict[str, Any] = {"hidden": (16, 16), "dropout": 0.2, "decay_steps": 20}


def after(name: str, state: State, places: list[int], numbers: range) -> State:
    for number in numbers:
        batch = drawn(BOX, 3, seed=number)
        agent(name).update(state, Batch(*[None if x is None else x[places] for x in batch]))  # type: ignore[arg-type]
        agent(name).act(state, batch.observations[places], explore=True)
    return state


@pytest.mark.parametrize("order", iql.ORDERS)
@pytest.mark.parametrize("name", NAMES)
def test_a_seed_learns_the_same_alone(name: str, order: str) -> None:
    together = after(name, made(name, BOX, (4, 5, 6), **NETS, order=order), [0, 1, 2], range(5)).flat()
    alone = after(name, made(name, BOX, (5,), **NETS, order=order), [1], range(5)).flat()
    for key, tensor in alone.items():
        if tensor.ndim:
            torch.testing.assert_close(together[key][1:2], tensor, rtol=1e-9, atol=1e-10, msg=key)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seeds_learn_the_same_bits(name: str) -> None:
    first, second = (after(name, made(name, BOX, (4, 5), **NETS), [0, 1], range(5)).flat() for _ in range(2))
    assert first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)
    assert not any(torch.equal(*first[key]) for key in first if key.startswith("streams/")), "seeds share no randomness"
    other = after(name, made(name, BOX, (4, 6), **NETS), [0, 1], range(5)).flat()
    same = {key: torch.equal(first[key][0], other[key][0]) for key in first if first[key].ndim}
    assert all(same.values()), "what another seed does is nobody's business"


@pytest.mark.parametrize("order", iql.ORDERS)
@pytest.mark.parametrize("name", NAMES)
def test_a_resumed_run_is_the_uninterrupted_one(name: str, order: str) -> None:
    """With the moments, the schedule's clock, and the streams of dropout and actions."""
    state = after(name, made(name, BOX, (4, 5), **NETS, order=order), [0, 1], range(3))
    saved = {key: tensor.clone() for key, tensor in state.flat().items()}
    resumed = made(name, BOX, (4, 5), **NETS, order=order)
    resumed.restore(saved)
    first, second = (after(name, one, [0, 1], range(3, 6)).flat() for one in (state, resumed))
    assert first.keys() == second.keys() and int(first["updates"]) == 6
    assert all(torch.equal(first[key], second[key]) for key in first)
