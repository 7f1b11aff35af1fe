"""AWR, QWR and the normalisers: rounds by hand from the papers' equations, routes, behaviours, seeds, resumption, short runs."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from accelerated.agents import agent, awr, behaviors, normalizers, qwr
from accelerated.agents.batch import Space
from accelerated.agents.loop import Run, Training
from accelerated.agents.rollouts import Rollout, windows
from accelerated.agents.state import State
from accelerated.agents.streams import Streams

Array = NDArray[np.float64]
TABLE = Space((), torch.int64, actions=3, states=4)
CHOICE = Space((3,), torch.float64, actions=3)
BOX = Space((3,), torch.float64, actions=2, low=(-1.0, -4.0), high=(1.0, 2.0))
EXACT: dict[str, Any] = {"hidden": (), "optimizer": "sgd", "batch_size": None, "normalize_observations": False, "discount": 0.9}
SEEDS, ENVS, STEPS = 2, 2, 9


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def made(name: str, space: Space, seeds: tuple[int, ...] = (0, 1), **options: Any) -> State:
    return agent(name).init(agent(name).Config(**options), space, seeds, dtype=torch.float64)  # type: ignore[no-any-return]


def rollout(space: Space, seed: int = 0) -> Rollout:
    """Two environments, whose episodes are connected, with a terminal, a time limit, and both at once; the rest is random."""
    rng = np.random.default_rng(seed)
    axes = (SEEDS, ENVS, STEPS)
    ends, limits = np.zeros((2, *axes), dtype=bool)
    ends[0, 0, 3] = limits[0, 1, 2] = ends[1, 0, 5] = limits[1, 0, 5] = limits[1, 1, 0] = True
    limits[..., -1] = True
    first, final = (states(space, rng, axes) for _ in range(2))
    after = np.roll(first, -1, 2)
    cut = ends | limits
    after[cut] = final[cut]
    begins = np.concatenate([np.ones((SEEDS, ENVS, 1), dtype=bool), cut[..., :-1]], -1)
    times = np.arange(STEPS) - np.maximum.accumulate(np.where(begins, np.arange(STEPS), 0), -1)
    actions: NDArray[Any] = rng.integers(space.actions, size=axes) if space.discrete else rng.normal(size=(*axes, space.actions))
    if space.discrete:
        behaved = rng.normal(size=(*axes, space.actions))
    else:
        behaved = np.concatenate([actions + 0.1, rng.normal(size=actions.shape) - 3], -1)
    columns = (first, actions, rng.normal(size=axes), after, ends, limits, times, behaved)
    return Rollout._make(torch.tensor(column) for column in columns)


def states(space: Space, rng: np.random.Generator, axes: tuple[int, ...]) -> NDArray[Any]:
    return rng.integers(space.states, size=axes) if space.states else rng.normal(size=(*axes, *space.observation_shape))


def of_seed(steps: Rollout, place: int) -> dict[str, NDArray[Any]]:
    return {name: column[place].numpy() for name, column in steps._asdict().items() if column is not None}


def table(state: State, network: str, place: int) -> Array:
    """A copy [states, outputs]."""
    found: Array = state.networks[network]["output0.weight"][place, 0].detach().numpy().copy()
    return found


def log_softmax(rows: Array) -> Array:
    found: Array = rows - np.log(np.exp(rows).sum(-1, keepdims=True))
    return found


def shake(state: State, networks: tuple[str, ...]) -> None:
    """Tables away from zero, other ones for each seed."""
    with torch.no_grad():
        for number, name in enumerate(networks):
            for tensor in state.networks[name].values():
                tensor += torch.tensor(np.random.default_rng(number).normal(size=tuple(tensor.shape)))


# ------------------------------------------------------------------------------------------------ normalisers


def test_pieces_merge_to_numpys_moments_of_everything_seen() -> None:
    space, seen = Space((3, 2), torch.float32, 1, low=(-1.0,), high=(1.0,)), torch.randn(2, 100, 3, 2, dtype=torch.float64) * 3 + 50
    seen[:, :, 0, 0] = 4.0  # never varies
    tensors = normalizers.begin(space, (0, 1))
    assert torch.equal(normalizers.normalized(tensors, seen), seen)
    for piece in torch.split(seen, [1, 30, 0, 60, 9], 1):
        normalizers.observe(tensors, piece)
    mean, deviation = seen.numpy().mean(1), seen.numpy().std(1)
    np.testing.assert_allclose(tensors[normalizers.MEAN], mean, rtol=1e-13)
    deviation[:, 0, 0] = 1.0
    np.testing.assert_allclose(normalizers.moments(tensors)[1], deviation, rtol=1e-12)
    found = normalizers.normalized(tensors, seen.reshape(2, 10, 10, 3, 2), clip=1.5)
    due = np.clip((seen.numpy() - mean[:, None]) / deviation[:, None], -1.5, 1.5)
    np.testing.assert_allclose(found.reshape(2, 100, 3, 2), due, atol=1e-12)


def test_a_normaliser_stops_at_its_limit_within_a_piece() -> None:
    tensors, seen = normalizers.begin(CHOICE, (0,)), torch.randn(1, 50, 3, dtype=torch.float64)
    for piece in torch.split(seen, 20, 1):
        normalizers.observe(tensors, piece, limit=33)
    np.testing.assert_allclose(tensors[normalizers.MEAN], seen[:, :33].numpy().mean(1), rtol=1e-12)
    assert tensors[normalizers.COUNT].tolist() == [33]


def test_states_and_images_are_not_normalised() -> None:
    for space in (TABLE, Space((4, 84, 84), torch.uint8, 3)):
        assert not normalizers.begin(space, (0,))
    assert normalizers.normalized({}, torch.arange(3)[None]).tolist() == [[0, 1, 2]]


def test_standardised_and_spread_are_numpys_of_each_seed() -> None:
    x = torch.randn(3, 7, 4, dtype=torch.float64) * torch.tensor([1.0, 10.0, 100.0], dtype=torch.float64)[:, None, None]
    for row, found, spread in zip(x.numpy(), normalizers.standardized(x), normalizers.spread(x), strict=True):
        np.testing.assert_allclose(found, (row - row.mean()) / (row.std() + 1e-5), rtol=1e-12)
        np.testing.assert_allclose(spread, [[np.abs(row - row.mean()).mean() + 1e-5]], rtol=1e-12)


def test_equal_numbers_are_standardised_to_zero() -> None:
    """Their mean is rounded: 0.1 seven times is not seven times 0.1."""
    assert (normalizers.standardized(torch.full((2, 7), 0.1)) == 0).all()


@pytest.mark.parametrize("name", ["awr", "qwr"])
def test_the_moments_are_those_of_what_was_acted_on_each_step_once(name: str) -> None:
    few = {"policy_steps": 1, "hidden": (4,), "buffer_size": 64, "update_every": 10, "envs": 2, "batch_size": 4}
    few |= {"value_steps": 1} if name == "awr" else {"critic_steps": 1}
    training = Training(Run(name, agent(name).Config(**few), (0, 1), 30, environment="CartPole-v1"))
    acted: list[Tensor] = []
    act = training._act

    def watched(observations: Tensor) -> Tensor:
        acted.append(observations.clone())
        return act(observations)

    training._act = watched  # type: ignore[method-assign]
    while training.step < 30:
        training.advance()
    np.testing.assert_allclose(training.state.tensors[normalizers.MEAN], torch.cat(acted, 1).double().numpy().mean(1), atol=1e-12)
    assert training.state.tensors[normalizers.COUNT].tolist() == [30, 30]


# -------------------------------------------------------------------------------------------------------- AWR


def td_lambda(steps: dict[str, NDArray[Any]], after: Array, *, lam: float, discount: float) -> Array:
    """Backwards, a step at a time."""
    found = np.zeros_like(after)
    for env, step in itertools.product(range(ENVS), reversed(range(STEPS))):
        bootstrap = 0.0 if steps["terminations"][env, step] else after[env, step]
        cut = steps["terminations"][env, step] or steps["truncations"][env, step]
        later = bootstrap if cut else (1 - lam) * bootstrap + lam * found[env, step + 1]
        found[env, step] = steps["rewards"][env, step] + discount * later
    return found


@pytest.mark.parametrize("paper", [False, True])
def test_a_round_of_awr_is_the_one_written_out_by_hand(paper: bool) -> None:
    """Tables and momentum; the second regression sees the values after the first, and each of several steps all places."""
    rates = {"value_learning_rate": 0.5, "policy_learning_rate": 0.3, "value_steps": 3, "policy_steps": 2, "temperature": 0.7}
    options = (
        EXACT
        | rates
        | ({"normalize_advantage": False, "max_weight": None, "scale_values": False} if paper else {"max_weight": 1.5})
    )
    state = made("awr", TABLE, **options, lambda_=1.0 if paper else 0.6, momentum=0.9)
    shake(state, ("value", "policy"))
    before = [(table(state, "value", place)[:, 0], table(state, "policy", place)) for place in range(SEEDS)]
    awr.update(state, steps := rollout(TABLE))
    for place, (value, logits) in enumerate(before):
        awr_round(state.config, of_seed(steps, place), value, logits)
        np.testing.assert_allclose(table(state, "value", place)[:, 0], value, rtol=1e-10)
        np.testing.assert_allclose(table(state, "policy", place), logits, rtol=1e-10)
    assert state.updates == 5


def awr_round(config: Any, steps: dict[str, NDArray[Any]], value: Array, logits: Array) -> None:
    """In place; `value` is the network's output."""
    unit = 1 - config.discount if config.scale_values else 1.0
    s, a = steps["observations"].flatten(), steps["actions"].flatten()

    def returns() -> Array:
        after = value[steps["next_observations"]] / unit
        return td_lambda(steps, after, lam=config.lambda_, discount=config.discount).flatten()

    target, velocity = returns(), np.zeros_like(value)
    for _ in range(config.value_steps):
        slope = np.zeros_like(value)
        np.add.at(slope, s, (value[s] - unit * target) / len(s))
        velocity = config.momentum * velocity + slope
        value -= config.value_learning_rate * velocity
    advantage = returns() - value[s] / unit
    if config.normalize_advantage:
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-5)
    weight = np.minimum(np.exp(advantage / config.temperature), config.max_weight or np.inf)
    heavy = np.zeros_like(logits)
    for _ in range(config.policy_steps):
        slopes = np.zeros_like(logits)
        np.add.at(slopes, s, weight[:, None] * (np.exp(log_softmax(logits[s])) - np.eye(3)[a]) / len(s))
        heavy = config.momentum * heavy + slopes
        logits -= config.policy_learning_rate * heavy


def test_the_bounds_cost_half_the_squared_distance_of_the_mean_in_units_of_the_box() -> None:
    state = made("awr", BOX, **EXACT, bound_weight=10.0)
    with torch.no_grad():
        state.networks["policy"]["output0.bias"] += torch.tensor([1.5, -2.0])
    zeros = torch.zeros(2, 5, 3, dtype=torch.float64)
    given = zeros, torch.zeros(2, 5, 2, dtype=torch.float64), torch.zeros(2, 5, dtype=torch.float64)
    np.testing.assert_allclose(awr.imitation(state, *given).detach(), 10 * 0.5 * (0.5**2 + 1.0**2), rtol=1e-12)
    state.config = dataclasses.replace(state.config, bound_weight=0.0)
    np.testing.assert_allclose(awr.imitation(state, *given).detach(), 0.0)


# -------------------------------------------------------------------------------------------------------- QWR


def window_return(steps: dict[str, NDArray[Any]], after: Array, env: int, start: int, config: Any) -> float:
    """TD(lambda) of at most 1 + margin steps, forwards: each reward, and the part of the weight that bootstraps after it."""
    found, reach, discount = 0.0, 1.0, 1.0
    for ahead in range(config.margin + 1):
        step = start + ahead
        found += reach * discount * steps["rewards"][env, step]
        discount *= config.discount
        if steps["terminations"][env, step]:
            return float(found)
        last = ahead == config.margin or step == STEPS - 1 or steps["truncations"][env, step]
        found += reach * (1.0 if last else 1 - config.lambda_) * discount * after[env, step]
        if last:
            return float(found)
        reach *= config.lambda_
    raise AssertionError


def enumerated(q: Array, mu: Array, config: Any, scale: float) -> Array:
    if config.aggregate == "max":
        return np.asarray(q.max(-1))
    if config.aggregate == "mean":
        return np.asarray((mu * q).sum(-1))
    t = config.backup_temperature
    return np.asarray(scale * t * np.log((mu * np.exp(q / scale / t)).sum(-1)))


@pytest.mark.parametrize("aggregate", qwr.AGGREGATES)
@pytest.mark.parametrize(("margin", "plain"), [(0, True), (2, False), (20, True)])
def test_a_round_of_qwr_is_the_one_written_out_by_hand(aggregate: str, margin: int, plain: bool) -> None:
    """Tables and all actions; the target critic is copied after steps 2 and 3 of 3, and mu after a time limit is the policy's."""
    options = EXACT | {"critic_learning_rate": 0.5, "policy_learning_rate": 0.3, "critic_steps": 3, "policy_steps": 2}
    options |= {"samples": None, "aggregate": aggregate, "margin": margin, "lambda_": 0.7, "target_every": 2, "max_grad_norm": None}
    options |= {"temperature": 20.0 if plain else 0.8}
    options |= {"normalize_advantage": False, "max_weight": None, "q_normalization": "none"} if plain else {"max_weight": 1.5}
    state = made("qwr", TABLE, **options)
    shake(state, ("critic", "target_critic", "policy"))
    before = [[table(state, name, place) for name in ("critic", "target_critic", "policy")] for place in range(SEEDS)]
    qwr.update(state, steps := rollout(TABLE))
    for place, (critic, target, logits) in enumerate(before):
        qwr_round(state.config, of_seed(steps, place), critic, target, logits)
        for name, due in (("critic", critic), ("target_critic", target), ("policy", logits)):
            np.testing.assert_allclose(table(state, name, place), due, rtol=1e-9, atol=1e-12, err_msg=name)
        np.testing.assert_array_equal(target, critic)
    assert state.updates == 5


def qwr_round(config: Any, steps: dict[str, NDArray[Any]], critic: Array, target: Array, logits: Array) -> None:
    """In place."""
    unit, s, a = 1 - config.discount, steps["observations"].flatten(), steps["actions"].flatten()
    mu = np.exp(log_softmax(steps["behavior"]))
    after_mu = np.roll(mu, -1, 1)
    after_mu[steps["truncations"]] = np.exp(log_softmax(logits))[steps["next_observations"][steps["truncations"]]]
    for number in range(1, config.critic_steps + 1):
        q = target[steps["next_observations"]] / unit
        places = [(env, start) for env in range(ENVS) for start in range(STEPS)]
        ahead = [[(env, min(start + i, STEPS - 1)) for i in range(config.margin + 1)] for env, start in places]
        batch = np.array([[q[place] for place in row] for row in ahead])
        scale = 1.0 if config.q_normalization == "none" else np.abs(batch - batch.mean()).mean() + 1e-5
        after = enumerated(q, after_mu, config, scale)
        due = np.array([window_return(steps, after, env, start, config) for env, start in places])
        slope = np.zeros_like(critic)
        np.add.at(slope, (s, a), (critic[s, a] - unit * due) / len(s))
        critic -= config.critic_learning_rate * slope
        if number in (2, 3):
            target[:] = critic
    mu = mu.reshape(-1, mu.shape[-1])
    q = target[s] / unit
    advantage = q - (mu * q).sum(-1, keepdims=True)
    if config.normalize_advantage:
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-5)
    weight = mu * np.minimum(np.exp(advantage / config.temperature), config.max_weight or np.inf)
    for _ in range(config.policy_steps):
        slopes = np.zeros_like(logits)
        chances = np.exp(log_softmax(logits[s]))
        np.add.at(slopes, s, (weight.sum(-1, keepdims=True) * chances - weight) / len(s))
        logits -= config.policy_learning_rate * slopes


def test_sampled_actions_are_drawn_from_what_was_stored() -> None:
    """Mean and deviation of 40000 draws within 6 of their standard errors, neither of which is the policy's."""
    state = made("qwr", BOX, **EXACT, samples=40_000)
    behaved = torch.tensor([[[0.5, -3.0, -1.0, 0.2]], [[7.0, 1.0, -5.0, 1.0]]], dtype=torch.float64)
    actions, probability = behaviors.sample(state, behaved)
    assert probability is None
    deviation = behaved[..., 2:].exp()
    assert ((actions.mean(2) - behaved[..., :2]).abs() < 6 * deviation / 200).all()
    assert ((actions.std(2) / deviation - 1).abs() < 6 / math.sqrt(80_000)).all()


def test_discrete_samples_are_drawn_from_what_was_stored() -> None:
    state = made("qwr", CHOICE, **EXACT, samples=40_000)
    chances = torch.tensor([[[0.7, 0.2, 0.1]], [[0.0, 0.5, 0.5]]], dtype=torch.float64)
    actions, _ = behaviors.sample(state, chances.log())
    found = torch.nn.functional.one_hot(actions, 3).double().mean(2)
    assert ((found - chances).abs() <= 6 * (chances * (1 - chances) / 40_000).sqrt()).all()


def test_sampled_targets_are_those_of_the_actions_drawn() -> None:
    """A behaviour without width draws its mean: F of equal values is the value, and the target that of a critic at that action."""
    state = made("qwr", BOX, **EXACT, samples=3, margin=2)
    shake(state, ("critic", "target_critic"))
    steps = rollout(BOX)
    assert steps.behavior is not None
    steps.behavior[..., 2:] = -60.0
    state.networks["policy"]["output0.bias"].data += 0.3
    coming = behaviors.ahead(state, steps)
    places = torch.arange(ENVS * STEPS).expand(SEEDS, -1)
    found = qwr.targets(state, windows(coming, places, 3))
    for place in range(SEEDS):
        mine = of_seed(steps, place)
        mean = np.roll(mine["behavior"][..., :2], -1, 1)
        cut = mine["truncations"] & ~mine["terminations"]
        assert coming.behavior is not None
        mean[cut] = coming.behavior[place].numpy()[cut][:, :2]  # the policy's; its draws have a width
        weight, bias = (state.networks["target_critic"][f"output0.{part}"][place].numpy() for part in ("weight", "bias"))
        inputs = np.concatenate([mine["next_observations"], mean], -1)
        after = (inputs @ weight[0] + bias[0])[..., 0] / 0.1
        due = [window_return(mine, after, env, start, state.config) for env in range(ENVS) for start in range(STEPS)]
        exact = [sure(mine, env, start, 3) for env in range(ENVS) for start in range(STEPS)]
        np.testing.assert_allclose(found[place].numpy()[exact], np.array(due)[exact], rtol=1e-9)
        assert sum(exact) >= 5


@pytest.mark.parametrize("plain", [True, False])
def test_the_policy_loss_of_sampled_actions_is_the_one_written_out_by_hand(plain: bool) -> None:
    options: dict[str, Any] = {"normalize_advantage": False, "max_weight": None} if plain else {"max_weight": 1.3}
    state, steps = made("qwr", BOX, **EXACT, **options, samples=3, temperature=4.0), rollout(BOX)
    shake(state, ("critic", "target_critic", "policy"))
    assert steps.behavior is not None
    drawn = state.streams["samples"].tensors()
    actions = behaviors.sample(state, steps.behavior.flatten(1, 2)).actions.numpy()
    state.streams["samples"].restore(drawn)
    found = qwr.policy_loss(state, steps).detach()
    for place in range(SEEDS):
        s = of_seed(steps, place)["observations"].reshape(-1, 3)
        net = {name: {key: tensor[place, 0].detach().numpy() for key, tensor in parameters.items()}
               for name, parameters in state.networks.items()}  # fmt: skip
        inputs = np.concatenate([np.repeat(s[:, None], 3, 1), actions[place]], -1)
        q = (inputs @ net["target_critic"]["output0.weight"] + net["target_critic"]["output0.bias"])[..., 0] / 0.1
        advantage = q - q.mean(-1, keepdims=True)
        if not plain:
            advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-5)
        weight = np.minimum(np.exp(advantage / 4), np.inf if plain else 1.3)
        half = np.array([1.0, 3.0])
        mean = np.array([0.0, -1.0]) + half * (s @ net["policy"]["output0.weight"] + net["policy"]["output0.bias"])
        z = (actions[place] - mean[:, None]) / (0.4 * half)
        log_prob = -(z**2 / 2 + np.log(0.4 * half) + np.log(2 * np.pi) / 2).sum(-1)
        np.testing.assert_allclose(found[place], -(weight * log_prob).mean(), rtol=1e-10)


def sure(steps: dict[str, NDArray[Any]], env: int, start: int, length: int) -> bool:
    """Whether no time limit lies in the window."""
    for step in range(start, min(start + length, STEPS)):
        if steps["terminations"][env, step]:
            return True
        if steps["truncations"][env, step]:
            return False
    return True


def test_after_a_time_limit_the_policy_stands_for_the_behaviour() -> None:
    state, steps = made("qwr", BOX, **EXACT), rollout(BOX)
    shake(state, ("policy",))
    coming = behaviors.ahead(state, steps)
    assert steps.behavior is not None and coming.behavior is not None
    cut = steps.truncations & ~steps.terminations
    now = qwr.behavior(state, steps.next_observations.flatten(1, 2)).reshape(steps.behavior.shape)
    torch.testing.assert_close(coming.behavior[cut], now[cut])
    inside = ~(steps.truncations | steps.terminations)
    assert torch.equal(coming.behavior[inside], steps.behavior.roll(-1, 2)[inside])


def test_data_without_a_behaviour_have_one_around_their_actions_or_none() -> None:
    steps = rollout(BOX)._replace(behavior=None)
    found = behaviors.remembered(made("qwr", BOX, **EXACT), steps).behavior
    assert found is not None
    assert torch.equal(found[..., :2], steps.actions)
    np.testing.assert_allclose(found[0, 0, 0, 2:].exp(), [0.4 * 1, 0.4 * 3], rtol=1e-12)  # in units of half the box
    with pytest.raises(ValueError, match="behavior must be given where actions are discrete"):
        qwr.update(made("qwr", CHOICE, **EXACT), rollout(CHOICE)._replace(behavior=None))


@pytest.mark.parametrize(
    ("name", "space", "wrong"),
    [
        ("qwr", BOX, {"samples": None}), ("qwr", BOX, {"samples": 0}), ("qwr", BOX, {"margin": -1}),
        ("qwr", BOX, {"aggregate": "median"}), ("awr", BOX, {"discount": 1.0}), ("awr", BOX, {"max_weight": 0.0}),
        ("awr", BOX, {"policy_std": 0.0}), ("awr", BOX, {"lambda_": 1.5}), ("awr", BOX, {"value_steps": 0}),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_by_its_name(name: str, space: Space, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="scale_values" if "discount" in wrong else next(iter(wrong))):
        made(name, space, **wrong)


# ------------------------------------------------------------------------------------------- what both must keep


@pytest.mark.parametrize("space", [BOX, CHOICE, TABLE], ids=["box", "choice", "table"])
@pytest.mark.parametrize("name", ["awr", "qwr"])
def test_a_loss_moves_its_own_network_and_no_other(name: str, space: Space) -> None:
    state, steps = made(name, space, hidden=(8,)), rollout(space)
    for loss, (own, function) in agent(name).LOSSES.items():
        assert function(state, steps).shape == (SEEDS,)
        for network, parameters in state.networks.items():
            leaves = [tensor.requires_grad_() for tensor in parameters.values()]
            found = torch.autograd.grad(function(state, steps).sum(), leaves, allow_unused=True)
            largest = max(0.0 if slope is None else float(slope.abs().max()) for slope in found)
            assert (largest > 0) == (network == own), f"{loss} moves {network} by {largest}"


@pytest.mark.parametrize("space", [BOX, CHOICE], ids=["box", "choice"])
@pytest.mark.parametrize("name", ["awr", "qwr"])
def test_a_seed_is_the_same_alone_and_goes_on_where_it_was(name: str, space: Space) -> None:
    options: dict[str, Any] = {"hidden": (8,), "batch_size": 5, "policy_steps": 4}
    options |= {"value_steps": 3} if name == "awr" else {"critic_steps": 3, "target_every": 2}
    both, alone, later = (made(name, space, seeds, **options) for seeds in ((0, 1), (1,), (0, 1)))
    module, first, second = agent(name), rollout(space), rollout(space, 1)
    module.update(both, first)
    module.update(alone, Rollout._make(None if column is None else column[1:] for column in first))
    later.restore({key: tensor.clone() for key, tensor in both.flat().items()})
    for state in (both, later):
        module.act(state, first.observations[:, :, 0], explore=True)
        module.update(state, second)
    module.act(alone, first.observations[1:, :, 0], explore=True)
    module.update(alone, Rollout._make(None if column is None else column[1:] for column in second))
    for key, tensor in both.flat().items():
        assert torch.equal(tensor, later.flat()[key]), key
        if key.startswith("networks/"):
            torch.testing.assert_close(tensor[1:], alone.flat()[key], rtol=1e-9, atol=1e-11, msg=key)


@pytest.mark.parametrize("name", ["awr", "qwr"])
def test_data_stand_for_the_environment(name: str) -> None:
    """Without acting the moments are those of all the data, taken once."""
    few: dict[str, Any] = {"policy_steps": 2, "hidden": (4,), "batch_size": 4} | (
        {"value_steps": 2} if name == "awr" else {"critic_steps": 2}
    )
    state, steps = made(name, BOX, **few), rollout(BOX)._replace(behavior=None)
    for _ in range(2):
        agent(name).update(state, steps)
    assert state.tensors[normalizers.COUNT].tolist() == [ENVS * STEPS] * SEEDS
    np.testing.assert_allclose(state.tensors[normalizers.MEAN], steps.observations.flatten(1, 2).numpy().mean(1), rtol=1e-12)


def test_actions_are_stored_as_drawn_and_their_mode_is_clipped() -> None:
    state = made("qwr", BOX, hidden=())
    state.networks["policy"]["output0.bias"].data += 50.0
    shown = torch.zeros(2, 3, 3, dtype=torch.float64)
    assert (qwr.act(state, shown, explore=True) > 20).all()
    assert qwr.act(state, shown, explore=False)[0, 0].tolist() == [1.0, 2.0]


@pytest.mark.parametrize("name", ["awr", "qwr"])
def test_every_preset_is_a_configuration(name: str) -> None:
    for changes in agent(name).PRESETS.values():
        agent(name).Config(**changes)


# ---------------------------------------------------------------------------------------------------- short runs


def played(name: str, environment: str, steps: int, **options: Any) -> tuple[Training, list[tuple[int, float]]]:
    """The training after `steps`, and (step, return) of every episode."""
    training = Training(Run(name, agent(name).Config(**options), (0, 1), steps, environment=environment))
    found: list[tuple[int, float]] = []
    original = training.worlds.step

    def step(actions: Tensor) -> Any:
        result = original(actions)
        found.extend((training.step, episode.score) for episode in result.finished)
        return result

    training.worlds.step = step
    while training.step < steps:
        training.advance()
    return training, found


SMALL: dict[str, Any] = {"hidden": (32, 32), "envs": 4}
FAST: dict[str, dict[str, Any]] = {
    "awr": SMALL | {"policy_learning_rate": 5e-3, "value_steps": 60, "policy_steps": 150, "batch_size": 128, "update_every": 1000},
    "qwr": SMALL
    | {"policy_learning_rate": 1e-3, "critic_learning_rate": 2e-3, "critic_steps": 100, "policy_steps": 60, "batch_size": 64}
    | {"update_every": 500},
}


@pytest.mark.parametrize(("name", "steps"), [("awr", 6000), ("qwr", 3000)])
def test_the_pole_stays_up_longer(name: str, steps: int) -> None:
    """Random play keeps it up for 22 steps; the last sixth of the run for more than 40."""
    pytest.importorskip("gymnasium")
    _, found = played(name, "CartPole-v1", steps, **FAST[name])
    last = [score for step, score in found if step > steps * 5 / 6]
    assert np.mean(last) > 40


@pytest.mark.parametrize("name", ["awr", "qwr"])
def test_bits_are_flipped(name: str) -> None:
    options = FAST[name] | {"hidden": ()} | ({"samples": None} if name == "qwr" else {})
    training, found = played(name, "BitFlip-4", 1000, **options)
    assert len(found) == 2 * 4 * 2
    assert all(tensor.isfinite().all() for network in training.state.networks.values() for tensor in network.values())


def test_streams_are_drawn_from_in_every_round() -> None:
    """Two rounds never see the same minibatches."""
    state, steps = made("qwr", BOX, hidden=(), batch_size=4), rollout(BOX)
    first, second = (next(awr.minibatches(state, steps, 1)) for _ in range(2))
    assert not torch.equal(first, second)
    assert torch.equal(first, Streams((0, 1), "minibatches").integers(ENVS * STEPS, 4))
