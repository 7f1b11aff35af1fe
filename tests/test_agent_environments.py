"""Environments: true final observations, seeds of episodes, exact resumption, and worlds whose values are known."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
gymnasium = pytest.importorskip("gymnasium")

from accelerated.agents import gymnasium_copies, probes  # noqa: E402
from accelerated.agents.environments import Worlds, worlds  # noqa: E402
from accelerated.agents.episodes import Step, episode_seed  # noqa: E402
from accelerated.agents.finite_processes import process_from_arrays, process_from_table  # noqa: E402
from accelerated.agents.finite_worlds import FiniteWorlds  # noqa: E402
from reference import finite_mdps  # noqa: E402


def needs(package: str) -> Any:
    return pytest.mark.skipif(importlib.util.find_spec(package) is None, reason=f"{package} is not installed")


GAMES = ["ALE/Pong-v5", "ALE/Breakout-v5"]
CHEAP = ["CartPole-v1", "FrozenLake-v1", "BiasChain", "BitFlip-4", "probe/observation", "probe/action-continuous"]
COSTLY = [pytest.param(name, marks=needs("mujoco")) for name in ("Hopper-v4", "HalfCheetah-v4", "maze2d-umaze-v1")]
COSTLY += [pytest.param(name, marks=needs("Box2D")) for name in ("LunarLander-v3", "BipedalWalker-v3")]
COSTLY += [pytest.param(name, marks=needs("ale_py")) for name in GAMES]


def actions_for(world: Any, seeds: int, envs: int, steps: int) -> list[Any]:
    """Random actions that are the same for seed i and environment j whatever else there is."""
    space, found = world.space, np.zeros((steps, seeds, envs, *(() if world.space.discrete else (world.space.actions,))))
    for seed in range(seeds):
        for env in range(envs):
            generator = np.random.default_rng([world.seeds[seed], env])
            shape = found[:, seed, env].shape
            drawn = generator.integers(space.actions, size=shape) if space.discrete else generator.uniform(-1, 1, shape)
            found[:, seed, env] = drawn
    return list(torch.from_numpy(found).to(torch.int64 if space.discrete else torch.float32))


def played(world: Any, actions: list[Any]) -> list[Step]:
    return [world.step(action) for action in actions]


def same(one: Step, other: Step) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one[:5], other[:5], strict=True)) and one.finished == other.finished


@pytest.fixture
def opened() -> Iterator[Any]:
    """`worlds`, closed at the end."""
    found: list[Any] = []

    def make(name: str, **options: Any) -> Any:
        found.append(worlds(name, **options))
        return found[-1]

    yield make
    for world in found:
        world.close()


def test_final_observations_are_the_true_ones(opened: Any) -> None:
    world = opened("CartPole-v1", seeds=[0, 1], envs=2)
    world.reset()
    ended = 0
    for step in played(world, [torch.ones(2, 2, dtype=torch.int64)] * 30):
        over = step.terminations
        ended += int(over.sum())
        fallen = (step.next_observations[..., 2].abs() > 0.2095) | (step.next_observations[..., 0].abs() > 2.4)
        assert torch.equal(fallen, over) and not step.truncations.any()
        assert (step.observations[over].abs() <= 0.05).all()
        assert torch.equal(step.observations[~over], step.next_observations[~over])
        assert [(place, env) for place, env, _, _ in step.finished] == [tuple(cell) for cell in over.nonzero().tolist()]
    assert ended >= 8


def test_a_time_limit_truncates_and_does_not_terminate(opened: Any) -> None:
    for name in ("CartPole-v1", "FrozenLake-v1", "BitFlip-4"):
        world = opened(name, seeds=[0, 1], max_episode_steps=2)
        world.reset()
        first, second = played(world, [torch.zeros(2, 1, dtype=torch.int64)] * 2)
        assert not first.truncations.any() and second.truncations.all() and not second.terminations.any()
        assert [episode.length for episode in second.finished] == [2, 2]


def test_every_episode_has_a_seed_of_its_own(opened: Any) -> None:
    cases = [(s, e, n, v) for s in range(5) for e in range(5) for n in range(5) for v in (False, True)]
    assert len({episode_seed(*case) for case in cases}) == len(cases)
    shown = []
    for evaluation in (False, True):
        world = opened("CartPole-v1", seeds=[0, 1], envs=2, evaluation=evaluation, max_episode_steps=1)
        shown.append(world.reset())
        shown += [step.observations for step in played(world, [torch.zeros(2, 2, dtype=torch.int64)] * 3)]
    rows = torch.stack(shown).reshape(-1, 4)
    assert len(rows.unique(dim=0)) == len(rows) == 2 * 4 * 4


@pytest.mark.parametrize("name", [*CHEAP, *COSTLY[-1:]])
def test_a_seed_among_others_is_that_seed_alone(name: str, opened: Any) -> None:
    envs, steps = (2, 150) if name in CHEAP else (1, 60)
    several, alone = opened(name, seeds=[3, 7, 5], envs=envs), opened(name, seeds=[7], envs=envs)
    assert torch.equal(several.reset()[1:2], alone.reset())
    found = played(several, actions_for(several, 3, envs, steps)), played(alone, actions_for(alone, 1, envs, steps))
    for many, one in zip(*found, strict=True):
        assert all(torch.equal(a[1:2], b) for a, b in zip(many[:5], one[:5], strict=True))
        assert [episode[1:] for episode in many.finished if episode.place == 1] == [episode[1:] for episode in one.finished]


@pytest.mark.parametrize("name", [*CHEAP, *COSTLY])
def test_going_on_in_the_middle_of_an_episode_is_bit_exact(name: str, opened: Any) -> None:
    envs, steps = (1, 250) if name in GAMES else (2, 137)
    first, second = opened(name, seeds=[0, 1], envs=envs), opened(name, seeds=[0, 1], envs=envs)
    actions = actions_for(first, 2, envs, steps + 60)
    first.reset()
    before = played(first, actions[:steps])
    saved = {key: tensor.clone() for key, tensor in first.tensors().items()}
    second.reset()  # what a world did before it is restored must not matter
    played(second, actions[:3])
    assert torch.equal(second.restore(saved), before[-1].observations)
    assert torch.equal(second.observations, before[-1].observations)
    again = second.tensors()
    assert all(torch.equal(again[key], saved[key]) for key in saved) and again.keys() == saved.keys()
    after = zip(played(first, actions[steps:]), played(second, actions[steps:]), strict=True)
    assert all(same(one, other) for one, other in after)


def test_scores_are_of_untransformed_rewards(opened: Any) -> None:
    for name in ("CartPole-v1", "CliffWalking-v1"):
        world = opened(name, seeds=[0], envs=2, reward_transform=lambda rewards: rewards / 8 - 1)
        world.reset()
        steps, total = played(world, actions_for(world, 1, 2, 1000)), np.zeros(2)
        for step in steps:
            total += (step.rewards[0].numpy() + 1) * 8
            for _, env, score, _ in step.finished:
                assert score == total[env]
                total[env] = 0
        assert any(step.finished for step in steps)


class Restless(gymnasium.Env):  # type: ignore[misc,name-defined]
    """Does not do the same again."""

    observation_space = gymnasium.spaces.Discrete(3)
    action_space = gymnasium.spaces.Discrete(2)
    plays = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return 0, {}

    def step(self, action: Any) -> Any:
        Restless.plays += 1
        return 1, float(Restless.plays), False, False, {}


def test_what_is_not_deterministic_is_not_resumed(monkeypatch: pytest.MonkeyPatch, opened: Any) -> None:
    monkeypatch.setitem(probes.PROBES, "probe/restless", Restless)
    world = opened("probe/restless", seeds=[0])
    assert world.space.states == 3
    world.reset()
    played(world, [torch.zeros(1, 1, dtype=torch.int64)] * 2)
    with pytest.raises(ValueError, match="same rewards"):
        world.restore(world.tensors())


@pytest.mark.parametrize("name", ["CartPol-v1", "FrozenLak-v1", "ToyMase", "probe/dela", "nothing at all"])
def test_an_unknown_name_is_refused_with_its_neighbours(name: str) -> None:
    with pytest.raises(ValueError, match="there is no environment") as caught:
        worlds(name, seeds=[0])
    assert "\n" not in str(caught.value) and ("near it: none" in str(caught.value)) == (name == "nothing at all")


def test_bad_input_is_refused(opened: Any) -> None:
    with pytest.raises(ValueError, match="observations must be Discrete or a Box"):
        worlds("Blackjack-v1", seeds=[0])
    for name in ("CartPole-v1", "FrozenLake-v1", "BitFlip-4", "ToyMaze", "probe/delay"):
        with pytest.raises(ValueError, match=f"options of {name}"):
            worlds(name, seeds=[0], colour="red")
    with pytest.raises(ImportError, match="there_is_none"):
        worlds("there_is_none:Some-v0", seeds=[0])
    with pytest.raises(ValueError, match="there is no environment"):
        worlds("gymnasium:Some-v0", seeds=[0])
    with pytest.raises(ValueError, match="at least one seed"):
        worlds("CartPole-v1", seeds=[])
    for name in ("CartPole-v1", "ToyMaze"):
        world = opened(name, seeds=[0, 1])
        with pytest.raises(ValueError, match="actions must be"):
            world.reset(), world.step(torch.zeros(2, dtype=torch.int64))
        with pytest.raises(ValueError, match="saved"):
            world.restore(opened(name, seeds=[0]).tensors())
    with pytest.raises(ValueError, match="needs a table"):
        opened("CartPole-v1", seeds=[0]).model()


# ---------------------------------------------------------------------- tables
@pytest.mark.parametrize("name", ["FrozenLake-v1", "CliffWalking-v1", "BitFlip-5", "ToyMaze", "BiasChain"])
def test_models_are_those_of_the_reference(name: str, opened: Any) -> None:
    made = {"BitFlip-5": lambda: finite_mdps.bit_flip(5), "ToyMaze": finite_mdps.toy_maze, "BiasChain": finite_mdps.bias_chain}
    due = (made[name]() if name in made else finite_mdps.from_gymnasium(gymnasium.make(name))).dense()
    found = opened(name, seeds=[0]).model()
    assert np.allclose(found.transition, due.transition, 0, 1e-15) and np.allclose(found.reward, due.reward, 0, 1e-15)
    assert np.array_equal(found.terminal, due.terminal) and np.allclose(found.start, due.start, 0, 1e-15)


def test_large_models_are_compressed(opened: Any) -> None:
    found, due = opened("BitFlip-11", seeds=[0]).model().transition, finite_mdps.bit_flip(11).transition
    parts = found.crow_indices(), found.col_indices(), found.values()
    assert all(np.array_equal(a, b) for a, b in zip(parts, (due.indptr, due.indices, due.data), strict=True))


def test_outcomes_come_as_often_as_the_table_says() -> None:
    """Deterministic: fixed seeds; five standard deviations of a binomial."""
    generator = np.random.default_rng(0)
    transition = generator.dirichlet(np.ones(4) / 2, (4, 2))
    transition[:, 0, 1] = 0
    transition /= transition.sum(-1, keepdims=True)
    process = process_from_arrays(transition, np.zeros((4, 2)), np.zeros(4, dtype=bool), np.ones(4) / 4)
    world = FiniteWorlds(process, seeds=range(64), envs=8)
    counts, states = np.zeros((4, 2, 4)), world.reset().numpy()
    for action in actions_for(world, 64, 8, 200):
        following = world.step(action).observations.numpy()
        np.add.at(counts, (states, action.numpy(), following), 1)
        states = following
    total = counts.sum(-1, keepdims=True)
    assert (np.abs(counts - total * transition) <= 5 * np.sqrt(total * transition * (1 - transition))).all()


def test_the_arms_of_the_bias_chain_are_noisy(opened: Any) -> None:
    world = opened("BiasChain", seeds=range(50), envs=20)
    world.reset()
    first, second = played(world, [torch.zeros(50, 20, dtype=torch.int64)] * 2)
    assert not first.rewards.any() and not first.terminations.any() and second.terminations.all()
    assert abs(second.rewards.mean() + 0.1) < 5 / 1000**0.5 and abs(second.rewards.std() - 1) < 5 / 2000**0.5


def test_a_terminated_outcome_leads_to_the_extra_state() -> None:
    process = process_from_table([[[(0.5, 0, 1.0, False), (0.5, 0, 4.0, True)]]], None, name="coin")
    world = FiniteWorlds(process, seeds=[0], envs=1000)
    world.reset()
    step = world.step(torch.zeros(1, 1000, dtype=torch.int64))
    assert torch.equal(step.terminations, step.next_observations == 1) and torch.equal(step.terminations, step.rewards == 4)
    assert not step.observations.any() and 400 < step.terminations.sum() < 600
    assert process.model().reward[:, 0].tolist() == [2.5, 0.0]


def test_tables_must_be_tables() -> None:
    with pytest.raises(ValueError, match="sum to 1"):
        process_from_arrays(np.ones((2, 1, 2)), np.zeros((2, 1)), np.zeros(2), np.ones(2) / 2)
    with pytest.raises(ValueError, match=r"\[S, A, S\]"):
        process_from_arrays(np.ones((2, 1, 3)), np.zeros((2, 1)), np.zeros(2), np.ones(2) / 2)


# ---------------------------------------------------------------------- probes
def observed(rules: probes.Rules) -> dict[tuple[float, float], tuple[float, float, bool]]:
    """What each action does at each observation, found by playing at random without a time limit."""
    environment, generator, found = probes.Probe(replace(rules, limit=0)), np.random.default_rng(0), {}
    samples = np.linspace(-1, 1, 5) if rules.continuous else np.arange(rules.actions)
    for seed in range(40):
        (shown,), ended = environment.reset(seed=seed)[0], False
        for _ in range(8):
            action = generator.choice(samples)
            (following,), reward, ended, _, _ = environment.step([action] if rules.continuous else action)
            found[float(shown), float(action)] = float(following), reward, ended
            if ended:
                break
            shown = following
    return found


@pytest.mark.parametrize("discount", [0.5, 0.9])
@pytest.mark.parametrize("name", probes.PROBES)
def test_known_values_are_those_of_what_was_observed(name: str, discount: float) -> None:
    known, model = probes.known_values(name, discount), observed(probes.PROBES[name]().rules)
    value = dict.fromkeys([shown for shown, _ in model], 0.0)
    for _ in range(500):
        q = {(s, a): reward + discount * (not ended) * value.get(to, 0.0) for (s, a), (to, reward, ended) in model.items()}
        value = {s: max(q[key] for key in q if key[0] == s) for s in value}
    assert sorted(known.observations[:, 0]) == sorted(value)
    for (shown,), actions, row, best in zip(*known, strict=True):
        assert best == pytest.approx(value[shown], abs=1e-12)
        assert row == pytest.approx([q[shown, float(np.ravel(action)[0])] for action in actions], abs=1e-12)


def test_the_time_limit_probe_tells_three_agents_apart(opened: Any) -> None:
    world = opened("probe/time-limit", seeds=[0])
    assert world.reset().item() == 0
    first, last = played(world, [torch.zeros(1, 1, dtype=torch.int64)] * 2)
    assert (first.next_observations.item(), last.next_observations.item(), last.observations.item()) == (1, 1, 0)
    assert last.truncations.item() and not last.terminations.item() and last.rewards.item() == 1
    known = probes.known_values("probe/time-limit", 0.9)
    assert known.value[1] == pytest.approx(10) and known.value[1] not in (1, 1 / (1 - 0.81))


# ---------------------------------------------------------------------- Atari
@needs("ale_py")
def test_a_lost_life_cuts_the_bootstrap_but_not_the_game(opened: Any) -> None:
    world = opened("ALE/Breakout-v5", seeds=[0], repeat_action_probability=0.0)
    assert world.stack == 4 and world.space.observation_shape == (4, 84, 84)
    shown, lives, finished = world.reset(), 0, []
    assert (shown == shown[:, :, :1]).all()
    for action in actions_for(world, 1, 1, 400):
        step = world.step(action)
        assert torch.equal(step.next_observations[:, :, :3], shown[:, :, 1:])
        if step.terminations.item():
            lives += 1
            assert (step.observations == step.observations[:, :, :1]).all()
            assert bool(step.finished) != torch.equal(step.observations[:, :, -1], step.next_observations[:, :, -1])
        shown, finished = step.observations, finished + step.finished
    assert lives == 5 * len(finished) + lives % 5 and finished


@needs("ale_py")
def test_evaluation_plays_whole_games_and_the_limit_truncates(opened: Any) -> None:
    world = opened("ALE/Breakout-v5", seeds=[0], evaluation=True)
    world.reset()
    steps = played(world, actions_for(world, 1, 1, 300))
    ends = [step for step in steps if step.finished]
    assert ends and all(step.terminations.any() == (not step.truncations.any()) for step in ends)
    assert not any(step.terminations.any() for step in steps if not step.finished)
    short = opened("ALE/Pong-v5", seeds=[0], max_frames=40)
    short.reset()
    last = played(short, [torch.zeros(1, 1, dtype=torch.int64)] * 10)[-1]
    assert last.truncations.all() and not last.terminations.any() and last.finished[0].length == 10


@needs("ale_py")
def test_rewards_are_clipped_in_training_and_scores_are_not() -> None:
    found = {}
    for evaluation in (False, True):
        world = Worlds("ALE/MsPacman-v5", seeds=[0], evaluation=evaluation, max_frames=400)
        world.reset()
        steps = played(world, actions_for(world, 1, 1, 100))
        found[evaluation] = max(step.rewards.max().item() for step in steps)
        assert next(step.finished for step in steps if step.finished)[0].score > 20
        world.close()
    assert found[False] == 1 and found[True] >= 10


@needs("ale_py")
def test_unknown_games_and_options_are_refused() -> None:
    with pytest.raises(ValueError, match="near it: ALE/Pong-v5"):
        worlds("ALE/Pomg-v5", seeds=[0])
    for option in ({"repeat_action_probability": 2.0}, {"colour": "red"}):
        with pytest.raises(ValueError, match="repeat_action_probability"):
            worlds("ALE/Pong-v5", seeds=[0], **option)


def test_mujocos_warnings_are_told_once_and_those_about_models_never(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mujoco")
    monkeypatch.setattr(gymnasium_copies, "TOLD", set())
    for _ in range(2):
        worlds("HalfCheetah-v4", seeds=(0, 1)).close()
    assert capfd.readouterr().err == ""
    for time in (1, 2):
        gymnasium_copies.told_once(f"Nan, Inf or huge value in QACC at DOF 0. The simulation is unstable. Time = {time}")
    assert capfd.readouterr().err == "mujoco: Nan, Inf or huge value in QACC at DOF 0. The simulation is unstable. Time = 1\n"
