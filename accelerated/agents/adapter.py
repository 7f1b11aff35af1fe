"""Agents and their memory as verify.py tries them: made from the arrays of a finite world, NumPy in and out, float64 inside."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from math import lcm
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

import accelerated
from accelerated.agents import agent as agent_named
from accelerated.agents import dqn, fitted, iql, loop
from accelerated.agents.batch import Batch, Space
from accelerated.agents.datasets import Dataset
from accelerated.agents.finite_processes import FiniteProcess, process_from_arrays
from accelerated.agents.finite_worlds import FiniteWorlds
from accelerated.agents.replay import Replay
from accelerated.agents.state import State
from accelerated.agents.streams import Streams

Array = NDArray[Any]
MOST = 4096
"""Probabilities of exact data are multiples of one over at most this."""


class Learner:
    """One agent for each seed in a finite world.

    behavior  [S, A], of the data of an offline agent, or None
    options   fields of the agent's configuration; `batch_size` draws batches of an offline agent's data, without it each update is
              given all of them; `max_episode_steps` is the world's
    """

    def __init__(
        self,
        name: str,
        transition: ArrayLike,
        reward: ArrayLike,
        terminal: ArrayLike,
        start: ArrayLike,
        *,
        behavior: ArrayLike | None = None,
        discount: float,
        options: Mapping[str, Any] | None = None,
        seeds: Sequence[int] = (0,),
        device: str = "cpu",
    ) -> None:
        self.agent, given = agent_named(name), dict(options or {})
        limit = given.pop("max_episode_steps", 0)
        process = process_from_arrays(transition, reward, terminal, start, max_episode_steps=limit)
        self.space = Space((), torch.int64, process.payoff.shape[1], len(process.start))
        config = self.agent.Config(discount=discount, **given)
        dataset = None
        if self.agent.MEMORY == "dataset":
            dataset = exact_data(process, np.asarray(behavior), device, getattr(self.agent, "NEEDS_NEXT_ACTIONS", False))
        self._whole = dataset if "batch_size" not in given else None
        run = loop.Run(name, config, tuple(seeds), 2**62, environment="given", device=device, dtype="float64")
        self.training = loop.Training(run, dataset, partial(FiniteWorlds, process))

    @property
    def state(self) -> State:
        """The agent."""
        return self.training.state

    def run(self, steps: int) -> None:
        """The agent's own loop; of an offline agent, updates."""
        for _ in range(steps):
            if self._whole is None:
                self.training.advance()
            else:
                self._update(whole(self._whole, len(self.state.seeds), self.state.config.discount))

    def update(self, **batch: ArrayLike) -> None:
        """One update on these transitions, [seeds, batch] each; nothing is given to an agent that knows the model."""
        self._update(self._batch(batch) if batch else None)

    def values(self) -> dict[str, Array]:
        """What it knows, as tables over states and actions."""
        with torch.no_grad():
            return {name: array(table) for name, table in tables(self.agent.NAME, self.state).items()}

    def parameters(self) -> dict[str, Array]:
        """Every number that it learns, a copy of each."""
        networks = self.state.networks
        return {f"{name}/{key}": array(tensor).copy() for name, network in networks.items() for key, tensor in network.items()}

    def routes(self, **batch: ArrayLike) -> dict[str, dict[str, float]]:
        """Of each loss the largest derivative in each network's parameters, in size; the agent stays as it is."""
        saved = {name: tensor.clone() for name, tensor in self.training.tensors().items()}
        given, found = self._batch(batch), {}
        for name, (_, loss) in self.agent.LOSSES.items():
            networks = {
                key: {part: tensor.detach().clone().requires_grad_() for part, tensor in network.items()}
                for key, network in self.state.networks.items()
            }
            with torch.enable_grad():
                value = loss(replace(self.state, networks=networks), given).sum()
            found[name] = {key: steepest(value, list(network.values())) for key, network in networks.items()}
        self.training.restore(saved)
        return found

    def save(self) -> bytes:
        """All that its future depends on, as a NumPy archive without pickles."""
        return packed(self.training.tensors())

    def restore(self, saved: bytes) -> None:
        """Go on from what `save` returned, in a learner made with the same arguments."""
        self.training.restore(unpacked(saved))

    def _update(self, batch: Batch | None) -> None:
        with accelerated.check_values(False):
            self.agent.update(self.state, batch)

    def _batch(self, given: Mapping[str, ArrayLike]) -> Batch:
        found = {name: self._tensor(np.asarray(value)) for name, value in given.items()}
        found.setdefault("discounts", torch.full_like(found["rewards"], self.state.config.discount))
        return Batch(**found)

    def _tensor(self, value: Array) -> Tensor:
        return torch.from_numpy(np.array(value)).to(self.state.device)


class Memory:
    """A replay memory of transitions between numbered states; `options` are its own."""

    def __init__(
        self,
        states: int,
        actions: int,
        *,
        seeds: int = 1,
        envs: int = 1,
        capacity: int,
        discount: float,
        n_step: int = 1,
        device: str = "cpu",
        **options: Any,
    ) -> None:
        space = Space((), torch.int64, actions, states)
        same: dict[str, Any] = {"capacity": capacity, "discount": discount, "n_step": n_step, "device": device, **options}
        self.seeds, self._replay = seeds, Replay(space, seeds=seeds, envs=envs, dtype=torch.float64, **same)

    def __len__(self) -> int:
        return len(self._replay)

    def add(self, **transitions: ArrayLike) -> None:
        """One step of every environment, [seeds, envs] each."""
        self._replay.add(**{name: torch.from_numpy(np.array(value)) for name, value in transitions.items()})

    def sample(self, seed: int, batch_size: int) -> dict[str, Array]:
        """A batch by its names, drawn from streams that start at this seed."""
        batch = self._replay.sample(Streams(range(seed, seed + self.seeds), "memory"), batch_size)
        return {name: array(value) for name, value in batch._asdict().items() if value is not None}

    def save(self) -> bytes:
        """All that the next batches depend on."""
        return packed(self._replay.tensors())

    def restore(self, saved: bytes) -> None:
        """Go on from what `save` returned."""
        self._replay.restore(unpacked(saved))


# ------------------------------------------------------------------------------------------------------------ tables


def tables(name: str, state: State) -> dict[str, Tensor]:
    """q [seeds, S, A], value [seeds, S], policy [seeds, S, A], critic, target_critic [seeds, members, S, A]: those it has."""
    states = torch.arange(state.space.states, device=state.device).expand(len(state.seeds), -1)
    if name in ("iql", "one_step", "bc"):
        return extracted(name, state, states)
    if name in ("dqn", "rainbow"):
        found = dqn.action_values(state, states)
        target = replace(state, networks={"critic": state.networks["target_critic"]})
        critics = {"critic": found, "target_critic": dqn.action_values(target, states)}
        return {"q": found} | {key: q.unsqueeze(1) for key, q in critics.items()} | distributions(state, states)
    if name in ("fitted_q_iteration", "online_q_iteration"):
        found = fitted.values(state, "critic", states)
        return {"q": found[:, 0], "critic": found}
    if name == "value_iteration":
        return {"value": state.networks["value"]["v"][:, 0]}
    found = state.networks["critic"]["q"]
    return {"q": found.mean(1), "critic": found}


def distributions(state: State, states: Tensor) -> dict[str, Tensor]:
    """[seeds, S, A, atoms] of critic and target under the mean weights; none where values are learned."""
    if not state.config.categorical:
        return {}
    critic = dqn.shape(state.config, state.space)
    named = {"distribution": "critic", "target_distribution": "target_critic"}
    return {name: critic(state.networks[network], states).squeeze(1).softmax(-1) for name, network in named.items()}


def extracted(name: str, state: State, states: Tensor) -> dict[str, Tensor]:
    """Of the agents that extract a policy."""
    policy = iql.policy_shape(state.config, state.space)
    assert not hasattr(policy, "tanh_mean"), "actions are numbered"
    found = {"policy": policy.probabilities(state.networks["policy"], states)}
    if name == "bc":
        return found
    shapes = iql.shapes(state.config, state.space)
    found |= {critic: shapes.critic(state.networks[critic], states) for critic in ("critic", "target_critic")}
    return found | {"q": found["critic"].amin(1), "value": shapes.value(state.networks["value"], states)[:, 0, :, 0]}


def steepest(value: Tensor, parameters: list[Tensor]) -> float:
    """The largest derivative in size; 0 where the value does not depend on them."""
    gradients = torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True, materialize_grads=True)
    return max(float(gradient.abs().max()) for gradient in gradients)


# -------------------------------------------------------------------------------------------------------------- data


def exact_data(process: FiniteProcess, behavior: Array, device: str, following: bool) -> Dataset:
    """From each state before the end equally often, every (s, a, s'), and a' where `following`, as often as it is likely."""
    chances = np.asarray(process.model().transition) * behavior[:, :, None]
    alive = ~np.asarray(process.terminal)
    chances = chances * alive[:, None, None]
    if following:
        after = np.where(alive[:, None], behavior, np.eye(behavior.shape[1])[0])
        chances = chances[..., None] * after
    counts = multiples(chances)
    places = np.repeat(np.argwhere(counts > 0), counts[counts > 0], axis=0)
    columns = [torch.from_numpy(column.copy()).to(device) for column in places.T]
    s, a, after_s = columns[:3]
    rewards = process.payoff.amax(-1).to(device)[s, a]
    ends = process.terminal.to(device)[after_s]
    nobody = torch.zeros_like(ends)
    return Dataset(
        name="exact", source="exact", observations=s, actions=a, rewards=rewards, next_observations=after_s, terminations=ends,
        truncations=nobody, next_actions=columns[3] if following else torch.zeros_like(a),
        next_action_known=~nobody if following else nobody, rows_with_next_actions=torch.arange(len(s), device=device),
        space=Space((), torch.int64, behavior.shape[1], len(behavior)), environment=None, reference_scores=None,
    )  # fmt: skip


def multiples(chances: Array) -> NDArray[np.int64]:
    """The smallest whole numbers in these proportions."""
    parts = [Fraction(float(chance)).limit_denominator(MOST**2) for chance in np.unique(chances)]
    common = lcm(*(part.denominator for part in parts))
    if common > MOST:
        raise NotImplementedError(f"exact data need probabilities that are multiples of 1/{MOST} or more; got 1/{common}")
    return np.asarray(np.round(chances * common), dtype=np.int64)


def whole(dataset: Dataset, seeds: int, discount: float) -> Batch:
    """All of the data, for each seed."""
    columns = (dataset.observations, dataset.actions, dataset.rewards, dataset.next_observations, dataset.terminations)
    wide = [column.expand(seeds, -1) for column in columns]
    known = dataset.next_actions.expand(seeds, -1) if bool(dataset.next_action_known.any()) else None
    s, a, rewards, after, ends = wide
    return Batch(s, a, rewards, after, ends, discounts=torch.full_like(rewards, discount), next_actions=known)


def packed(tensors: Mapping[str, Tensor]) -> bytes:
    """Tensors by name as a NumPy archive."""
    buffer = io.BytesIO()
    np.savez(buffer, **{name: array(tensor) for name, tensor in tensors.items()})  # type: ignore[arg-type]
    return buffer.getvalue()


def unpacked(saved: bytes) -> dict[str, Tensor]:
    """What `packed` was given."""
    with np.load(io.BytesIO(saved), allow_pickle=False) as archive:
        return {name: torch.from_numpy(archive[name]) for name in archive.files}


def array(tensor: Tensor) -> Array:
    """NumPy of it."""
    return np.asarray(tensor.detach().cpu().numpy())
