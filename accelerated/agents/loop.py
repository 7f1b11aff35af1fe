"""One loop for all agents: where transitions come from differs, what is done with them does not."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

import accelerated
from accelerated.agents import agent as agent_named
from accelerated.agents import datasets, policies
from accelerated.agents.batch import Batch, Space
from accelerated.agents.replay import Replay
from accelerated.agents.rollouts import Rollouts, rollout_of
from accelerated.agents.state import State
from accelerated.agents.streams import Streams

Metrics = dict[str, Tensor]


@dataclass(frozen=True)
class Run:
    """All that decides what a run computes.

    steps        updates from a dataset or of a model; steps of each seed's environment for agents that act. A round of an agent
                 that learns from rollouts makes many updates from a dataset at once, and may end beyond `steps`
    environment  where the agent acts, and is evaluated; None: it is not evaluated
    dataset      a path or an id for agents that learn from data
    finetune     steps in the environment after the `steps` on the dataset
    """

    agent: str
    config: Any
    seeds: tuple[int, ...]
    steps: int
    environment: str | None = None
    dataset: str | None = None
    finetune: int = 0
    device: str = "cpu"
    dtype: str = "float32"

    @property
    def total(self) -> int:
        """Steps in all."""
        return self.steps + self.finetune


class Training:
    """A run in progress: `advance` makes one step, `tensors` is all that the next ones depend on.

    run      what to do
    dataset  its data, already loaded; None for agents that learn from the environment or a model
    opened   what makes the worlds of the keywords seeds, envs, device, dtype, reward_transform; without: the run's environment
    """

    def __init__(self, run: Run, dataset: datasets.Dataset | None = None, opened: Callable[..., Any] | None = None) -> None:
        self._opened = opened or partial(_named, run.environment)
        self.run, self.agent, self.step = run, agent_named(run.agent), 0
        self.device, self.dtype = torch.device(run.device), getattr(torch, run.dtype)
        self.draws = Streams(run.seeds, "memory", self.device)
        self.transform = (
            None if dataset is None else datasets.transform_for(dataset, getattr(run.config, "reward_transform", "none"))
        )
        # The same object changes the data's rewards and every reward to come, so that equal transitions keep equal rewards.
        self.dataset = None if dataset is None else _prepared(dataset, self.transform, self.dtype)
        self.worlds: Any = None
        self.memory: Any = None
        self._observations: Tensor | None = None
        self._next_actions: Tensor | None = None
        self.offline = dataset is not None
        self._held = (
            rollout_of(self.dataset, len(run.seeds)) if self.dataset is not None and self.agent.MEMORY == "rollout" else None
        )
        if not self.offline:
            self._enter()
        self.state = self._made()

    # ------------------------------------------------------------------ making
    def _made(self) -> State:
        model = self.worlds.model() if self.agent.MEMORY == "model" else None
        options: dict[str, Any] = {"device": self.device, "dtype": self.dtype} | ({"model": model} if model is not None else {})
        return self.agent.init(self.run.config, self._space(), self.run.seeds, **options)  # type: ignore[no-any-return]

    def _space(self) -> Space:
        return self.worlds.space if self.dataset is None else datasets.space_of(self.dataset)

    def _enter(self) -> None:
        """Open the worlds that the agent acts in, and the memory that it keeps of them."""
        config, run = self.run.config, self.run
        self.worlds = self._opened(
            seeds=run.seeds,
            envs=getattr(config, "envs", 1),
            device=self.device,
            dtype=self.dtype,
            reward_transform=self.transform,
        )
        same: dict[str, Any] = {
            "seeds": len(run.seeds), "envs": getattr(config, "envs", 1), "discount": config.discount,
            "stack": getattr(self.worlds, "stack", 1), "device": self.device, "dtype": self.dtype,
        }  # fmt: skip
        if self.agent.MEMORY == "rollout":
            self.memory = Rollouts(self.worlds.space, capacity=config.buffer_size, **same)
        if self.agent.MEMORY in ("replay", "dataset"):
            self.memory = Replay(
                self.worlds.space,
                capacity=config.buffer_size,
                n_step=getattr(config, "n_step", 1),
                priorities=getattr(config, "priorities", None),
                dataset=self.dataset,
                **same,
            )

    # ------------------------------------------------------------------ stepping
    def advance(self) -> Metrics:
        """One step; what the update measured, [seeds] each, and nothing where none was made."""
        with accelerated.check_values(False):
            if self.agent.MEMORY == "model":
                metrics = self.agent.update(self.state, None)
                self.step += 1
            elif self.offline and self.step < self.run.steps:
                before = self.state.updates
                metrics = self.agent.update(self.state, self._from_dataset() if self._held is None else self._held)
                self.step += self.state.updates - before
            else:
                metrics = self._interact()
        return {name: value for name, value in metrics.items() if name != "td_error"}

    def _from_dataset(self) -> Batch:
        config = self.run.config
        assert self.dataset is not None
        return datasets.sample(
            self.dataset,
            self.draws,
            config.batch_size,
            discount=config.discount,
            with_next_actions=getattr(self.agent, "NEEDS_NEXT_ACTIONS", False),
        )

    def _interact(self) -> Metrics:
        """Act once in every world, remember, and learn as often as is due."""
        if self.worlds is None:
            self._enter()
        if self._observations is None:
            self._observations = self.worlds.reset()
        actions = self._next_actions if self._next_actions is not None else self._act(self._observations)
        behavior = self._behavior(self._observations)
        result = self.worlds.step(policies.clipped(self.worlds.space, actions))
        before, observations = self.step, self._observations
        self.step, self._observations = self.step + actions.shape[1], result.observations
        transition = (observations, actions, result.rewards, result.next_observations, result.terminations)
        if self.agent.MEMORY == "latest":
            return self._learn_at_once(transition, result.truncations)
        if self.agent.MEMORY == "rollout":
            self.memory.add(*transition, result.truncations, behavior)
            return self._learn_from_rollout(before)
        self.memory.add(*transition, result.truncations)
        if hasattr(self.agent, "cut"):
            self.agent.cut(self.state, result.terminations | result.truncations)
        return self._learn_from_memory(before)

    @torch.no_grad()
    def _act(self, observations: Tensor) -> Tensor:
        return self.agent.act(self.state, observations, explore=True)  # type: ignore[no-any-return]

    @torch.no_grad()
    def _behavior(self, observations: Tensor) -> Tensor | None:
        """What the agent remembers of the distribution that it acted from, where it does."""
        return self.agent.behavior(self.state, observations) if hasattr(self.agent, "behavior") else None

    def _learn_from_rollout(self, before: int) -> Metrics:
        """One round each time that `update_every` more steps were made."""
        every = self.run.config.update_every
        if self.step // every == before // every:
            return {}
        return self.agent.update(self.state, self.memory.rollout())  # type: ignore[no-any-return]

    def _learn_at_once(self, transition: tuple[Tensor, ...], truncations: Tensor) -> Metrics:
        """The next action is chosen before the update, and done unless the episode was cut."""
        following = self._act(transition[3])
        cut = transition[4] | truncations
        batch = Batch._make([*transition, self._discounts(transition[2]), following, None, None])
        metrics = self.agent.update(self.state, batch)
        assert self._observations is not None
        self._next_actions = torch.where(cut, self._act(self._observations), following)
        return metrics  # type: ignore[no-any-return]

    def _discounts(self, like: Tensor) -> Tensor:
        return torch.full_like(like, self.run.config.discount)

    def _learn_from_memory(self, before: int) -> Metrics:
        """`updates_per_round` updates each time that `update_every` more steps were made, from `learning_starts` on."""
        config, metrics = self.run.config, {}
        began = self.run.steps if self.offline else 0
        if self.step - began < config.learning_starts or len(self.memory) < config.batch_size:
            return {}
        rounds = (self.step - began) // config.update_every - (before - began) // config.update_every
        for _ in range(rounds * config.updates_per_round):
            batch = self.memory.sample(self.draws, config.batch_size, step=self.state.updates)
            metrics = self.agent.update(self.state, batch)
            if batch.indices is not None:
                self.memory.update_priorities(batch.indices, metrics["td_error"])
        return metrics

    # ------------------------------------------------------------------ continuing
    def tensors(self) -> dict[str, Tensor]:
        """All that the next steps depend on, by name."""
        found = {f"state/{name}": tensor for name, tensor in self.state.flat().items()}
        found |= {"step": torch.tensor(self.step), "draws": self.draws.tensors()}
        if self.worlds is not None and self._observations is not None:
            found |= {f"worlds/{name}": tensor for name, tensor in self.worlds.tensors().items()}
            found |= {"observations": self._observations}
            found |= {} if self._next_actions is None else {"next_actions": self._next_actions}
        if self.memory is not None:
            found |= {f"memory/{name}": tensor for name, tensor in self.memory.tensors().items()}
        return found

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from what `tensors` returned, on a Training of the same run."""
        self.state.restore(_under("state/", tensors))
        self.step = int(tensors["step"])
        self.draws.restore(tensors["draws"])
        acted = "observations" in tensors
        if acted and self.worlds is None:
            self._enter()
        if acted:
            self.worlds.restore(_under("worlds/", tensors))
            self._observations = tensors["observations"].to(self.device)
        if "next_actions" in tensors:
            self._next_actions = tensors["next_actions"].to(self.device)
        if self.memory is not None and (held := _under("memory/", tensors)):
            self.memory.restore(held)

    def close(self) -> None:
        """Shut the worlds."""
        if self.worlds is not None:
            self.worlds.close()


def _named(environment: str | None, **same: Any) -> Any:
    """The worlds of that name; the simulators are imported only where a run has one."""
    from accelerated.agents.environments import worlds

    assert environment is not None
    return worlds(environment, **same)


def _prepared(dataset: datasets.Dataset, transform: Any, dtype: torch.dtype) -> datasets.Dataset:
    """The data with the agent's rewards, its floating numbers in the run's type."""
    changed = dataset._replace(rewards=transform(dataset.rewards))
    floating = {
        name: value.to(dtype)
        for name, value in changed._asdict().items()
        if isinstance(value, Tensor) and value.is_floating_point()
    }
    return changed._replace(**floating)  # type: ignore[arg-type]


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
