"""Q-learning by search: the search, the target, the fixed point of a scalar regulator, acting, what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import accelerated
from accelerated import port
from accelerated.agents import actor_critics, cem, policies
from accelerated.agents.batch import Batch, Space
from accelerated.agents.cem import Config
from accelerated.agents.state import State
from reference import linear_quadratic

DOUBLE = torch.float64
BOX = Space((2,), DOUBLE, actions=2, low=(-1.0, 0.0), high=(1.0, 3.0))
QUADRATIC: dict[str, Any] = {"hidden": (), "torso": "quadratic"}
SEARCHES: dict[str, dict[str, Any]] = {
    "gradient": {"search": "gradient", "step_size": 0.4, "tolerance": 1e-9, "max_iterations": 60},
    "cross_entropy": {"search": "cross_entropy", "iterations": 3, "population": 64, "elites": 6},
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with accelerated.check_values(False):
        yield
    torch.set_num_threads(threads)


def made(seeds: tuple[int, ...] = (0, 1), space: Space = BOX, **options: Any) -> State:
    return cem.init(Config(**options), space, seeds, dtype=DOUBLE)


def drawn(seeds: int = 2, size: int = 7, seed: int = 0) -> Batch:
    """Transitions of no world, some of them ends."""
    g = np.random.default_rng(seed)
    observations, actions, rewards, following = (
        torch.tensor(g.normal(size=(seeds, size, *shape))) for shape in ((2,), (2,), (), (2,))
    )
    ends = torch.tensor(g.random((seeds, size)) < 0.3)
    return Batch(observations, actions, rewards, following, ends, discounts=torch.full((seeds, size), 0.5, dtype=DOUBLE))


def peaked(state: State) -> Tensor:
    """Make the target critics -|a - p|² + member, of which the first alone is peaked at p; [seeds, D]."""
    peaks = torch.tensor([[0.25, 1.0], [-0.5, 2.5]], dtype=DOUBLE)
    for name in ("critic", "target_critic"):
        weight, bias = (state.networks[name][f"output0.{part}"].data for part in ("weight", "bias"))
        weight.zero_()
        bias.zero_()
        weight[:, 0, 2:4, 0] = 2 * peaks
        weight[:, 0, 4 + 4 * 2 + 2, 0] = weight[:, 0, 4 + 4 * 3 + 3, 0] = -1.0
        bias[:, 0, 0] = -peaks.square().sum(-1)
    return peaks


# ------------------------------------------------------------------------------------------------------ the search


@pytest.mark.parametrize("search", SEARCHES)
def test_a_search_finds_the_peak_of_the_first_critic(search: str) -> None:
    state = made(**QUADRATIC, **SEARCHES[search] | {"iterations": 8})
    peaks, states = peaked(state), torch.randn(2, 5, 2, dtype=DOUBLE)
    found = cem.act(state, states, explore=False)
    assert found.shape == (2, 5, 2)
    bound = 0.2 if search == "cross_entropy" else 1e-8  # a step of 0.4 leaves a fifth of the way; 4 rounds of few samples
    assert (found - peaks.unsqueeze(1)).abs().max() < bound


@pytest.mark.parametrize("search", SEARCHES)
def test_what_is_found_is_as_good_as_a_grid_on_any_quadratic_that_is_concave(search: str) -> None:
    state = made(**QUADRATIC, **SEARCHES[search] | {"iterations": 6, "step_size": 0.05, "max_iterations": 400})
    curved = state.networks["critic"]["output0.weight"].data
    g = torch.Generator().manual_seed(0)
    curved[:, :, 4:] = 0.5 * torch.randn(2, 2, 16, 1, generator=g, dtype=DOUBLE)
    curved[:, :, [4 + 10, 4 + 15]] -= 2.0
    states = torch.randn(2, 4, 2, generator=g, dtype=DOUBLE)
    sides = (torch.linspace(low, high, 61, dtype=DOUBLE) for low, high in zip(BOX.low, BOX.high, strict=True))
    grid = torch.cartesian_prod(*sides)
    rows = states.repeat_interleave(len(grid), 1)
    q = actor_critics.q_of(state, state.networks["critic"], rows, grid.repeat(2, 4, 1))[:, 0].reshape(2, 4, -1)
    found = cem.act(state, states, explore=False)
    value = actor_critics.q_of(state, state.networks["critic"], states, found)[:, 0]
    assert (value > q.amax(-1) - (0.1 if search == "cross_entropy" else 0.01)).all()
    assert torch.equal(found, policies.clipped(BOX, found))


def test_a_cross_entropy_search_asks_once_a_round_for_all_states_of_a_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    state, asked = made(), []
    right = actor_critics.q_of

    def counted(state: State, parameters: Any, observations: Tensor, actions: Tensor) -> Tensor:
        asked.append(tuple(actions.shape))
        return right(state, parameters, observations, actions)

    monkeypatch.setattr(actor_critics, "q_of", counted)
    cem.act(state, torch.zeros(2, 5, 2, dtype=DOUBLE), explore=False)
    assert asked == [(1, 5 * 64, 2)] * 4  # two seeds, two rounds


def test_a_start_may_be_drawn() -> None:
    """On a critic that is flat a gradient search stays where it starts."""
    for start, same in (("centre", True), ("uniform", False)):
        state = made(**QUADRATIC, search="gradient", start=start)
        for tensor in state.networks["critic"].values():
            tensor.data.zero_()
        found = cem.act(state, torch.zeros(2, 3, 2, dtype=DOUBLE), explore=False)
        assert (len(found.flatten(0, 1).unique(dim=0)) == 1) == same
        assert not same or torch.equal(found[0, 0], torch.tensor([0.0, 1.5], dtype=DOUBLE))


# ------------------------------------------------------------------------------------------------------ learning


@pytest.mark.parametrize("twin", [True, False])
def test_the_target_is_that_of_the_peak_and_of_twins_the_smaller(twin: bool) -> None:
    state, batch = made(**QUADRATIC, twin=twin, **SEARCHES["gradient"]), drawn()
    peaked(state)  # the first critic's best value is 0, the second is flat
    if twin:
        state.networks["target_critic"]["output0.bias"].data[:, 1] = torch.tensor([[-2.0], [3.0]], dtype=DOUBLE)
    best = torch.tensor([-2.0 if twin else 0.0, 0.0], dtype=DOUBLE)
    due = batch.rewards + 0.5 * torch.where(batch.terminations, 0.0, best.unsqueeze(-1))
    torch.testing.assert_close(cem.target(state, batch), due, rtol=0, atol=1e-12)


def test_the_target_critic_is_searched_and_the_critic_is_not() -> None:
    state, batch = made(**QUADRATIC, **SEARCHES["gradient"]), drawn()
    peaked(state)
    before = cem.target(state, batch)
    for tensor in state.networks["critic"].values():
        tensor.data.normal_(generator=torch.Generator().manual_seed(0))
    assert torch.equal(cem.target(state, batch), before)


def test_targets_move_at_their_time() -> None:
    state = made(target_every=3, polyak_step=0.25, hidden=(4,))
    before = state.networks["target_critic"]["output0.weight"].clone()
    for update in range(1, 4):
        cem.update(state, drawn(seed=update))
        moved = state.networks["target_critic"]["output0.weight"]
        assert torch.equal(moved, before) == (update < 3)
    torch.testing.assert_close(moved, torch.lerp(before, state.networks["critic"]["output0.weight"].detach(), 0.25))


SCALAR = linear_quadratic.LinearQuadratic([[0.5]], [[0.5]], [[1.0]], [[1.0]], 0.25, None, [[1.0]])
CYCLES, STEPS = 8, 30


@pytest.mark.parametrize("search", SEARCHES)
def test_it_learns_the_optimal_values_of_a_scalar_regulator(search: str) -> None:
    """From all nine (x, u) in {-1, 0, 1}², whose successors lie in the box of them, and whose best action lies inside it.

    Let e be the largest error in the box. A backup is discount · e away from Q*, and the discount times what the search misses;
    it is a quadratic again. STEPS steps of gradient descent leave `left` of the root mean square of what is between on the data,
    and a quadratic is nowhere in the box larger than `spread` times that. So after each copy of the target
    e <- (discount + (1 + discount) · spread · left) · e + discount · missed.
    """
    x, u = (part.reshape(-1, 1) for part in np.meshgrid([-1.0, 0.0, 1.0], [-1.0, 0.0, 1.0]))
    rate, left, spread = descent(np.hstack([x, u]))
    copies = {"twin": False, "polyak_step": 1.0, "target_every": STEPS}
    descending = {"init": "zeros", "optimizer": "sgd", "critic_learning_rate": rate}
    options = SEARCHES[search] | QUADRATIC | copies | descending
    learner = port.cem_agent(*SCALAR[:4], [1.0], low=[-1.0], high=[1.0], discount=SCALAR.discount, options=options)
    batch = {
        "observations": x[None], "actions": u[None], "rewards": -(x**2 + u**2).T, "next_observations": 0.5 * (x + u)[None],
        "terminations": np.zeros((1, 9), dtype=bool),
    }  # fmt: skip
    for _ in range(CYCLES * STEPS):
        learner.update(**batch)
    points = [part.reshape(-1, 1) for part in np.meshgrid(np.linspace(-1, 1, 9), np.linspace(-1, 1, 9))]
    gain = linear_quadratic.optimal_gain(SCALAR)
    due = linear_quadratic.action_value(SCALAR, gain, *points)
    found = learner.critic(points[0][None], points[1][None])["critic"][0, 0]
    slope = SCALAR.discount + (1 + SCALAR.discount) * spread * left
    assert slope < 0.5 and np.abs(gain).max() < 1
    missed = (
        1.2 / 16**2 if search == "cross_entropy" else 1e-12
    )  # the curvature is 1.13: an action off by 1/16, or by the tolerance
    assert np.abs(found - due).max() < slope**CYCLES * np.abs(due).max() + SCALAR.discount * missed / (1 - slope)


def descent(z: np.ndarray[Any, Any]) -> tuple[float, float, float]:
    """The best constant rate on [1, z, z zᵀ], what STEPS of it leave of a distance, and how far a quadratic rises from the data."""
    features = np.hstack([np.ones((len(z), 1)), z, (z[:, :, None] * z[:, None, :]).reshape(len(z), -1)])
    curvature = features.T @ features / len(z)
    sizes = np.linalg.eigvalsh(curvature)
    small, large = sizes[sizes > 1e-9][0], sizes[-1]
    spread = np.sqrt(np.einsum("nf,fg,ng->n", features, np.linalg.pinv(curvature), features).max())
    return 1 / (small + large), ((large - small) / (large + small)) ** STEPS, float(spread)


# -------------------------------------------------------------------------------------------------------- acting


def test_acting_explores_as_it_is_told() -> None:
    state = made(random_steps=4, exploration_noise=0.0, hidden=(4,))
    states = torch.randn(2, 4, 2, dtype=DOUBLE)
    random = cem.act(state, states, explore=True)
    assert len(random.flatten(0, 1).unique(dim=0)) == 8
    found = cem.act(state, states, explore=True)
    value, elsewhere = (actor_critics.q_of(state, state.networks["critic"], states, a)[:, 0] for a in (found, random))
    assert (value > elsewhere - 1e-9).float().mean() > 0.8, "the best of 128 samples"
    assert int(state.tensors["steps"]) == 8


def test_epsilon_is_the_part_of_uniform_actions_and_noise_counts_in_half_widths() -> None:
    states = torch.zeros(1, 4000, 2, dtype=DOUBLE)
    state = made((0,), **QUADRATIC, random_steps=0, exploration_noise=0.0, epsilon=0.25, search="gradient")
    peaked_at = torch.tensor([0.0, 1.5], dtype=DOUBLE)
    for tensor in state.networks["critic"].values():
        tensor.data.zero_()
    away = (cem.act(state, states, explore=True) != peaked_at).any(-1)
    assert abs(float(away.double().mean()) - 0.25) < 5 * (0.25 * 0.75 / 4000) ** 0.5
    noisy = made((0,), **QUADRATIC, random_steps=0, exploration_noise=0.1, search="gradient")
    noisy.networks = state.networks
    deviation = (cem.act(noisy, states, explore=True) - peaked_at).std(1)[0]
    torch.testing.assert_close(deviation, torch.tensor([0.1, 0.15], dtype=DOUBLE), rtol=5 / 8000**0.5, atol=0)


def test_an_evaluation_draws_nothing_that_training_draws() -> None:
    state, states = made(), torch.zeros(2, 3, 2, dtype=DOUBLE)
    before = {name: streams.tensors() for name, streams in state.streams.items()}
    assert torch.equal(cem.act(state, states, explore=False), cem.act(state, states, explore=False))
    assert all(torch.equal(streams.tensors(), before[name]) for name, streams in state.streams.items())
    assert int(state.tensors["steps"]) == 0


@pytest.mark.parametrize("preset", cem.PRESETS)
def test_every_preset_learns(preset: str) -> None:
    config = Config(**cem.PRESETS[preset])  # type: ignore[arg-type]
    state = cem.init(config, BOX._replace(observation_dtype=torch.float32), (0,))
    batch = Batch._make(column if column is None or not column.is_floating_point() else column.float() for column in drawn(1))
    before = {key: tensor.detach().clone() for key, tensor in state.networks["critic"].items()}
    metrics = cem.update(state, batch)
    assert metrics["critic_loss"].isfinite().all()
    assert all(not torch.equal(tensor, before[key]) for key, tensor in state.networks["critic"].items())


# -------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"search": "grid"}, "search must be one of"), ({"start": "corner"}, "start must be one of"),
        ({"elites": 65}, "elites must not exceed population = 64; got 65"), ({"population": 0}, "population must be at least 1"),
        ({"step_size": 0.0}, "step_size must be positive"), ({"epsilon": 1.5}, "epsilon must lie in"),
        ({"tolerance": -1.0}, "tolerance must not be negative"),
    ],
)  # fmt: skip
def test_a_configuration_keeps_its_rules(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Config(**options)


@pytest.mark.parametrize("space", [Space((2,), DOUBLE, 3), Space((2,), DOUBLE, 1, low=(-float("inf"),), high=(1.0,))])
def test_a_search_needs_a_box(space: Space) -> None:
    with pytest.raises(ValueError, match="finite bounds"):
        made(space=space)
