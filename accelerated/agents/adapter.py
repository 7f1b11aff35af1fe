"""Agents and their memory as verify.py tries them: made from the arrays of a finite world, NumPy in and out, float64 inside."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from accelerated.agents import agent as agent_named
from accelerated.agents import dqn, fitted, knowledge, loop
from accelerated.agents.batch import Space
from accelerated.agents.behavior_data import exact_data, single_steps, whole
from accelerated.agents.finite_processes import process_from_arrays
from accelerated.agents.finite_worlds import FiniteWorlds
from accelerated.agents.replay import Replay
from accelerated.agents.state import State
from accelerated.agents.streams import Streams
from accelerated.agents.subjects import Array, Data, Subject, array, packed, unpacked

__all__ = ["Learner", "Memory", "packed", "tables", "unpacked"]


class Learner:
    """One agent for each seed in a finite world; what any agent can do is its Subject's.

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
        agent, given = agent_named(name), dict(options or {})
        limit = given.pop("max_episode_steps", 0)
        process = process_from_arrays(transition, reward, terminal, start, max_episode_steps=limit)
        self.space = Space((), torch.int64, process.payoff.shape[1], len(process.start))
        drawn, steps = "batch_size" in given, agent.MEMORY == "rollout"
        offline = agent.MEMORY == "dataset" or (behavior is not None and getattr(agent, "OFFLINE", False))
        if offline and steps:
            given.setdefault("batch_size", None)  # every row once, in order
        config = agent.Config(discount=discount, **given)
        dataset, data = None, None
        if offline:
            likely = np.asarray(behavior, dtype=np.float64)
            dataset = exact_data(process, likely, device, getattr(agent, "NEEDS_NEXT_ACTIONS", False))
            data = self._data(dataset, likely, len(seeds), discount, drawn, steps)
        run = loop.Run(name, config, tuple(seeds), 2**62, environment="given", device=device, dtype="float64")
        self._subject = Subject(loop.Training(run, dataset, partial(FiniteWorlds, process)), data)

    def __getattr__(self, name: str) -> Any:
        if name == "_subject":
            raise AttributeError(name)
        return getattr(self._subject, name)

    def values(self) -> dict[str, Array]:
        """What it knows, as tables over states and actions."""
        with torch.no_grad():
            return {name: array(table) for name, table in tables(self.agent.NAME, self.state).items()}

    @staticmethod
    def _data(dataset: Any, behavior: Array, seeds: int, discount: float, drawn: bool, steps: bool) -> Data | None:
        """What each update is given: steps in order, all transitions, or (None) what the loop draws of them."""
        if steps:
            return single_steps(dataset, behavior, seeds)
        return None if drawn else whole(dataset, seeds, discount)


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
    if "q" in state.networks.get("critic", {}):
        found = state.networks["critic"]["q"]
        return {"q": found.mean(1), "critic": found}
    return learned(name, state, states)


def distributions(state: State, states: Tensor) -> dict[str, Tensor]:
    """[seeds, S, A, atoms] of critic and target under the mean weights; none where values are learned."""
    if not state.config.categorical:
        return {}
    critic = dqn.shape(state.config, state.space)
    named = {"distribution": "critic", "target_distribution": "target_critic"}
    return {name: critic(state.networks[network], states).squeeze(1).softmax(-1) for name, network in named.items()}


def learned(name: str, state: State, states: Tensor) -> dict[str, Tensor]:
    """Of agents with a policy: that, and V and critics where there are some; q is the smaller critic's."""
    found = {network: knowledge.critic(name, state, network, states) for network in knowledge.named(state, "critic")}
    found |= {"q": found["critic"].amin(1)} if "critic" in found else {}
    found |= {"value": knowledge.value(name, state, states)} if "value" in state.networks else {}
    return found | {"policy": knowledge.probabilities(name, state, states)}
