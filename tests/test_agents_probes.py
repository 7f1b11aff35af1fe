"""Every agent with a network comes to the known values of the probes, nearer than halfway to what a mistake would give."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("gymnasium")

import torch  # noqa: E402
from offline_agents import Array  # noqa: E402

from accelerated.agents import agent, dqn, fitted, iql, policies, probes  # noqa: E402
from accelerated.agents.datasets import Dataset  # noqa: E402
from accelerated.agents.environments import worlds  # noqa: E402
from accelerated.agents.episodes import Step  # noqa: E402
from accelerated.agents.loop import Run, Training  # noqa: E402
from reference.expectiles import expectile as expectile_of  # noqa: E402

DISCOUNT = 0.6
"""The values of the wrong ways differ most from the right ones in the middle."""
GAPS = {
    "constant": 1.0,  # nothing is learned: 0
    "observation": 1.0,  # observations are not seen, or others': 0, the mean
    "delay": 0.4,  # no discount: 1, not 0.6; no bootstrap: 0
    "action": 1.0,  # actions are not seen: 0, the mean
    "observation-action": 1.0,  # the same
    "greedy-delay": 0.3,  # the mean for the best next action: 0.3, not 0.6
    "time-limit": 0.9375,  # the observation after the reset: 1.5625, not 2.5; the limit as the end: 1
    "action-continuous": 7 / 12,  # actions are not seen: the mean 5/12, not 1
    "observation-action-continuous": 0.5,  # observations of others: -1/2 for the best action, not 0
}
"""By how much the values of the nearest mistake that the probe is for differ from the right ones."""
DISCRETE = [name for name in probes.PROBES if not name.endswith("-continuous")]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def tolerance(name: str) -> float:
    """Half of the gap: nearer to the right value than to the wrong one."""
    stem = name.removeprefix("probe/")
    return GAPS.get(stem, GAPS[stem.removesuffix("-continuous")] if stem.endswith("-continuous") else 0.0) / 2


# ------------------------------------------------------------------------------------------------- agents that act
NETWORK: dict[str, Any] = {"discount": DISCOUNT, "hidden": (16,), "learning_rate": 1e-2, "envs": 8}
REGRESSOR = NETWORK | {"regressor": "network", "optimizer": "adam", "epsilon_start": 1.0, "epsilon_end": 1.0}
DQN = NETWORK | {
    "batch_size": 32, "learning_starts": 64, "update_every": 8, "target_every": 10, "optimizer_eps": 1e-8, "epsilon_end": 1.0,
    "buffer_size": 4096, "atoms": 13, "v_min": -2.0, "v_max": 4.0, "noisy_scale": 0.1, "importance_steps": 100,
}  # fmt: skip
ACTING: dict[str, tuple[str, dict[str, Any], int]] = {
    "dqn": ("dqn", DQN, 100),
    **{piece: ("dqn", DQN | {piece: True}, 100) for piece in ("double", "dueling", "prioritized", "categorical", "noisy")},
    "n_step": ("dqn", DQN | {"n_step": 3}, 100),
    "rainbow": ("rainbow", DQN, 120),
    "online_q_iteration": ("online_q_iteration", REGRESSOR, 160),
    "fitted_q_iteration": (
        "fitted_q_iteration",
        REGRESSOR | {"inner_steps": 30, "batch_size": 64, "learning_starts": 64, "update_every": 8},
        16,
    ),
}
"""Agent, configuration, and steps of eight environments each, in which actions are random but where layers are noisy."""


def trained(agent_name: str, options: dict[str, Any], probe: str, steps: int, opened: Callable[..., Any] | None = None) -> Training:
    """After so many steps of the loop."""
    run = Run(agent_name, agent(agent_name).Config(**options), (0,), 2**62, environment=probe)
    training = Training(run, opened=opened)
    for _ in range(steps):
        training.advance()
    training.close()
    return training


def q_of(training: Training, observations: Array) -> Array:
    """[N, A] at observations [N, 1]."""
    shown = torch.tensor(observations, dtype=torch.float32)[None]
    with torch.no_grad():
        if training.run.agent in ("dqn", "rainbow"):
            return np.asarray(dqn.action_values(training.state, shown)[0])
        return np.asarray(fitted.values(training.state, "critic", shown)[0, 0])


def due_of(piece: str, probe: str) -> probes.KnownValues:
    """The best policy's; windows of several steps follow random actions: from 0 the way to 1 is worth half."""
    known = probes.known_values(probe, DISCOUNT)
    if piece == "n_step" and probe == "probe/greedy-delay":
        known.q[0, 1] = DISCOUNT / 2
    return known


@pytest.mark.parametrize("probe", DISCRETE)
@pytest.mark.parametrize("name", ACTING)
def test_an_agent_that_acts_comes_to_the_known_values(name: str, probe: str) -> None:
    agent_name, options, steps = ACTING[name]
    if name == "rainbow" and probe == "probe/greedy-delay":
        options = options | {"n_step": 1}  # windows of more steps have the value of what noise explored
    due = due_of(name, probe)
    found = q_of(trained(agent_name, options, probe, steps), due.observations)
    if name in ("noisy", "rainbow"):  # their noise need not try an action again that it has left: the best one's value is known
        assert np.abs(found.max(-1) - due.value).max() < tolerance(probe)
        return
    assert np.abs(found - due.q).max() < tolerance(probe)


# -------------------------------------------------------------------------------------------- agents that learn from data
OFFLINE: dict[str, Any] = {
    "discount": DISCOUNT, "hidden": (32,), "batch_size": 256, "policy_learning_rate": 1e-2, "policy_schedule": "constant",
    "reward_transform": "none",
}  # fmt: skip
CRITICS = OFFLINE | {"value_learning_rate": 1e-2, "critic_learning_rate": 1e-2, "polyak_step": 0.2}
LEARNING: dict[str, tuple[str, dict[str, Any], float]] = {
    "one_step": ("one_step", CRITICS, 0.5),
    "iql at 0.5": ("iql", CRITICS | {"expectile": 0.5}, 0.5),
    "iql at 0.9": ("iql", CRITICS | {"expectile": 0.9}, 0.9),
}
"""Agent, configuration, and the expectile of the values that it must come to; 0.5 is the mean, the data's own policy."""
UPDATES = 150
Player = Callable[[Array, np.random.Generator], NDArray[Any]]


def uniform(shown: Array, drawn: np.random.Generator, *, continuous: bool) -> NDArray[Any]:
    return np.asarray(drawn.uniform(-1, 1, (*shown.shape, 1)) if continuous else drawn.integers(2, size=shown.shape))


def skilled(shown: Array, drawn: np.random.Generator, *, continuous: bool, seeing: bool) -> NDArray[Any]:
    """The best action three times out of four; of continuous ones the best and up to a half more or less."""
    side = np.where(shown < 0, -1.0, 1.0) if seeing else np.ones_like(shown)
    if continuous:
        return np.asarray((side / 2 + drawn.uniform(-0.5, 0.5, shown.shape))[..., None])
    return np.where(drawn.random(shown.shape) < 0.75, side > 0, side < 0).astype(np.int64)


def recorded(probe: str, player: Player, steps: int = 128, envs: int = 16) -> Dataset:
    """What the player did, trajectory by trajectory; it names its next action at the last observation of each, too."""
    arena, drawn, kept = worlds(probe, seeds=(0,), envs=envs), np.random.default_rng(0), []
    observations, actions, last = arena.reset(), None, np.zeros((1, envs), dtype=bool)
    for _ in range(steps):
        fresh = player(observations[..., 0].numpy().astype(np.float64), drawn)
        actions = fresh if actions is None else np.where(last.reshape(last.shape + (1,) * (fresh.ndim - 2)), fresh, actions)
        taken = torch.tensor(actions, dtype=torch.int64 if arena.space.discrete else torch.float32)
        step = arena.step(taken)
        last = (step.terminations | step.truncations).numpy()
        actions = player(step.next_observations[..., 0].numpy().astype(np.float64), drawn)
        following = torch.tensor(actions, dtype=taken.dtype)
        kept.append((observations, taken, step.rewards, step.next_observations, step.terminations, step.truncations, following))
        observations = step.observations
    arena.close()
    columns = [torch.stack([row[place][0] for row in kept], 1).flatten(0, 1) for place in range(7)]  # environment by environment
    every = torch.arange(steps * envs)
    return Dataset._make(["recorded", "play", *columns, every >= 0, every, arena.space, None, None])


@cache
def played_at_random(probe: str) -> Dataset:
    return recorded(probe, partial(uniform, continuous=probe.endswith("-continuous")))


def cloned(agent_name: str, options: dict[str, Any], dataset: Dataset, updates: int = UPDATES) -> Training:
    """After so many updates on the data."""
    training = Training(Run(agent_name, agent(agent_name).Config(**options), (0,), updates), dataset)
    for _ in range(updates):
        training.advance()
    return training


class Due:
    """At the observations of a probe: the values at an expectile of the actions of random play, and the policy extracted there."""

    def __init__(self, probe: str, level: float, inverse_temperature: float = 3.0, max_weight: float = 100.0) -> None:
        rules, known = probes.PROBES[probe]().rules, probes.known_values(probe, DISCOUNT)
        self.actions = (np.arange(200) + 0.5) / 100 - 1 if rules.continuous else np.arange(2.0)
        self.observations, value = known.observations, dict.fromkeys(known.observations[:, 0], 0.0)
        for _ in range(100):  # 0.6^100 is 1e-22
            self.q = np.array([[self._worth(rules.move(shown, float(a)), value) for a in self.actions] for shown in value])
            value = dict(zip(value, expectile_of(self.q, expectile=level).tolist(), strict=True))
        self.value = np.array(list(value.values()))
        weight = np.minimum(np.exp(inverse_temperature * (self.q - self.value[:, None])), max_weight)
        self.policy = weight / weight.sum(-1, keepdims=True)

    @staticmethod
    def _worth(moved: tuple[float, float, bool], value: dict[float, float]) -> float:
        following, reward, ends = moved
        return reward if ends else reward + DISCOUNT * value[following]


def learned(training: Training, due: Due) -> tuple[Array, Array]:
    """V [N], and the mean of the critics [N, M] at the actions of `due`."""
    state, shown = training.state, torch.tensor(due.observations, dtype=torch.float32)[None]
    shapes = iql.shapes(state.config, state.space)
    with torch.no_grad():
        value = shapes.value(state.networks["value"], shown)[0, 0, :, 0].numpy()
        if state.space.discrete:
            return value, shapes.critic(state.networks["critic"], shown)[0].mean(0).numpy()
        many = len(due.actions)
        taken = torch.tensor(due.actions, dtype=torch.float32).tile(shown.shape[1])[None, :, None]
        q = shapes.critic(state.networks["critic"], shown.repeat_interleave(many, 1), taken)[0, :, :, 0].mean(0)
        return value, q.reshape(-1, many).numpy()


def extracted(training: Training, observations: Array) -> Array:
    """The probability of action 1, or the mean action, [N]."""
    state, shown = training.state, torch.tensor(observations, dtype=torch.float32)[None]
    policy = iql.policy_shape(state.config, state.space)
    with torch.no_grad():
        if isinstance(policy, policies.Categorical):
            return np.asarray(policy.probabilities(state.networks["policy"], shown)[0, :, 1])
        return np.asarray(policy.mode(state.networks["policy"], shown)[0, :, 0])


@pytest.mark.parametrize("probe", probes.PROBES)
@pytest.mark.parametrize("name", LEARNING)
def test_an_agent_that_learns_from_random_play_comes_to_its_values(name: str, probe: str) -> None:
    agent_name, options, level = LEARNING[name]
    due = Due(probe, level)
    training = cloned(agent_name, options, played_at_random(probe))
    value, q = learned(training, due)
    assert np.abs(value - due.value).max() < tolerance(probe)
    assert np.abs(q - due.q).max() < tolerance(probe)
    if "action" in probe:
        near_policy(training, due, 0.0 if probe.endswith("-continuous") else 0.5)


def near_policy(training: Training, due: Due, unweighted: float) -> None:
    """Nearer than halfway from what extraction gives to what random play does."""
    mean = due.policy @ due.actions
    assert (np.abs(extracted(training, due.observations) - mean) < np.abs(mean - unweighted) / 2).all()


@pytest.mark.parametrize("probe", [name for name in probes.PROBES if "action" in name])
def test_a_clone_of_a_skilled_player_does_as_it_does(probe: str) -> None:
    """Three out of four, and the mean of continuous actions; halfway is what it does at the other observation, or at none."""
    continuous, seeing = probe.endswith("-continuous"), "observation" in probe
    dataset = recorded(probe, partial(skilled, continuous=continuous, seeing=seeing))
    observations = probes.known_values(probe, DISCOUNT).observations
    found = extracted(cloned("bc", OFFLINE, dataset), observations)
    side = np.sign(observations[:, 0]) if seeing else np.ones(1)
    due, nothing = (side / 2, 0.0) if continuous else (0.5 + side / 4, 0.5)
    assert (np.abs(found - due) < np.abs(due - nothing) / 2).all()


# ------------------------------------------------------------------------------------------------------ seen to fail
def limit_as_end(step: Step) -> Step:
    return step._replace(terminations=step.terminations | step.truncations)


def after_the_reset(step: Step) -> Step:
    return step._replace(next_observations=step.observations)


def mistaken(mistake: Callable[[Step], Step], **same: Any) -> Any:
    """Worlds of the time-limit probe whose steps are told wrongly."""
    arena = worlds("probe/time-limit", **same)
    right = arena.step
    arena.step = lambda actions: mistake(right(actions))  # type: ignore[method-assign]
    return arena


@pytest.mark.parametrize(("mistake", "wrong"), [(limit_as_end, 1.0), (after_the_reset, 1 / (1 - DISCOUNT**2))])
def test_an_agent_that_does_not_bootstrap_at_the_time_limit_is_seen(mistake: Callable[[Step], Step], wrong: float) -> None:
    name, probe = "dqn", "probe/time-limit"
    due = probes.known_values(probe, DISCOUNT)
    found = q_of(trained(name, ACTING[name][1], probe, ACTING[name][2], partial(mistaken, mistake)), due.observations)
    assert np.abs(found - due.q).max() > tolerance(probe)
    assert np.abs(found[1] - wrong).max() < tolerance(probe)


@pytest.mark.parametrize("name", LEARNING)
def test_data_whose_time_limits_are_ends_is_seen(name: str) -> None:
    agent_name, options, level = LEARNING[name]
    right, due = played_at_random("probe/time-limit"), Due("probe/time-limit", level)
    wrong = right._replace(terminations=right.terminations | right.truncations)
    value, _ = learned(cloned(agent_name, options, wrong), due)
    assert abs(value[1] - due.value[1]) > tolerance("probe/time-limit") > abs(value[1] - 1.0)
