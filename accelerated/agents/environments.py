"""Environments by name: [seeds, envs] copies whose episodes are functions of their seeds and actions alone."""

import difflib
import functools
import importlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import Tensor

from accelerated.agents import probes
from accelerated.agents.atari import AtariCopies, register_games
from accelerated.agents.episodes import Array, Copies, Episode, Flags, RewardTransform, Step, episode_seed
from accelerated.agents.finite_processes import FiniteModel, FiniteProcess, process_from_table
from accelerated.agents.finite_worlds import FINITE, FiniteWorlds, finite_process
from accelerated.agents.gymnasium_copies import GymnasiumCopies, check_options, made

LIMIT = 1000
"""Steps after which an episode of a table without a time limit is truncated: a policy that never arrives must not play for ever."""


class Worlds:
    """[seeds, envs] copies of one environment.

    Every episode starts from a seed of its own, made of (seed, environment, number of the episode), so that seed i is the same
    alone as among others, and a checkpoint holds no simulator: `restore` plays the actions since the last reset again.

    name              as `worlds` takes it, but no table
    seeds             of the agents, one each
    envs              copies for each seed
    reward_transform  of the rewards that `step` returns; episodes' scores are untransformed
    evaluation        other episode seeds than in training
    options           the environment's own
    """

    def __init__(
        self,
        name: str,
        *,
        seeds: Sequence[int],
        envs: int = 1,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        reward_transform: RewardTransform | None = None,
        evaluation: bool = False,
        **options: Any,
    ) -> None:
        if not seeds or envs < 1:
            raise ValueError(f"there must be at least one seed and one environment; got {len(seeds)} and {envs}")
        copies = copies_of(name, len(seeds) * envs, evaluation=evaluation, **options)
        self.name, self.seeds, self.envs, self.evaluation = name, tuple(seeds), envs, evaluation
        self.device, self.dtype = torch.device(device), dtype
        floating = copies.space.observation_dtype.is_floating_point
        self.space = copies.space._replace(observation_dtype=dtype) if floating else copies.space
        self._copies, self._transform = copies, reward_transform or getattr(copies, "reward_transform", None)
        count = len(self.seeds) * envs
        self._episodes, self._lengths, self._scores = np.full(count, -1), np.zeros(count, np.int64), np.zeros(count)
        self._history: deque[Array] = deque()

    @property
    def stack(self) -> int:
        """How many frames one observation holds: channels that are the images of the last steps."""
        return int(getattr(self._copies, "stack", 1))

    def model(self) -> FiniteModel:
        """What value iteration takes; only tables have it."""
        raise ValueError(f"value iteration needs a table of transitions; {self.name} has none")

    @property
    def observations(self) -> Tensor:
        """What to act on now, [seeds, envs, *obs]."""
        return self._tensor(self._copies.observations)

    def reset(self) -> Tensor:
        """Start a new episode everywhere; the observations."""
        self._begin(np.ones(len(self._episodes), dtype=bool))
        return self.observations

    def step(self, actions: Tensor) -> Step:
        """Take one action in each environment, [seeds, envs] or [seeds, envs, D]; start an episode where one has ended."""
        taken = self._taken(actions)
        turn = self._copies.step(taken)
        self._record(taken, turn.rewards)
        next_observations = self._tensor(turn.next_observations)
        finished = self._finished(turn.over)
        if finished:
            self._begin(turn.over)
        acted_on = next_observations if self._copies.observations is turn.next_observations else self.observations
        rewards = torch.as_tensor(turn.rewards.reshape(self._shape), dtype=self.dtype, device=self.device)
        return Step(
            next_observations,
            rewards if self._transform is None else self._transform(rewards),
            self._flags(turn.terminations),
            self._flags(turn.truncations),
            acted_on,
            finished,
        )

    def tensors(self) -> dict[str, Tensor]:
        """All that the next steps depend on: which episodes run, and what was done in them."""
        actions = np.stack(self._history) if self._history else np.zeros((0, len(self._episodes)))
        return {
            "episodes": torch.from_numpy(self._episodes.reshape(self._shape).copy()),
            "lengths": torch.from_numpy(self._lengths.reshape(self._shape).copy()),
            "scores": torch.from_numpy(self._scores.reshape(self._shape).copy()),
            "actions": torch.from_numpy(actions.reshape(len(actions), *self._shape, *actions.shape[2:])),
        }

    def restore(self, tensors: dict[str, Tensor]) -> Tensor:
        """Go on from what `tensors` returned: play the running episodes again, bit for bit; the observations."""
        saved = {key: tensors[key].cpu().numpy() for key in ("episodes", "lengths", "scores", "actions")}
        if saved["lengths"].shape != self._shape:
            raise ValueError(f"there must be {list(self._shape)} environments saved; there are {list(saved['lengths'].shape)}")
        self._episodes, self._lengths = (saved[key].reshape(-1).copy() for key in ("episodes", "lengths"))
        actions = saved["actions"].reshape(len(saved["actions"]), len(self._lengths), *saved["actions"].shape[3:])
        self._history = deque(actions.copy())
        self._scores = self._replayed(actions)
        if not np.array_equal(self._scores, saved["scores"].reshape(-1)):
            raise ValueError(f"{self.name} must play saved actions to the same rewards; another version, or not deterministic")
        return self.observations

    def close(self) -> None:
        """Free what the environments hold."""
        self._copies.close()

    @property
    def _shape(self) -> tuple[int, int]:
        return len(self.seeds), self.envs

    def _begin(self, mask: Flags) -> None:
        self._episodes[mask] += 1
        self._lengths[mask], self._scores[mask] = 0, 0.0
        self._forget()
        self._copies.reset(self._episode_seeds(), mask)

    def _episode_seeds(self) -> list[int]:
        places = [(seed, env) for seed in self.seeds for env in range(self.envs)]
        return [episode_seed(seed, env, int(n), self.evaluation) for (seed, env), n in zip(places, self._episodes, strict=True)]

    def _record(self, taken: Array, rewards: Array) -> None:
        self._history.append(taken)
        self._lengths += 1
        self._scores += rewards

    def _forget(self) -> None:
        """Drop the actions that are older than every running episode."""
        while len(self._history) > self._lengths.max():
            self._history.popleft()

    def _finished(self, over: Flags) -> list[Episode]:
        return [Episode(*divmod(int(i), self.envs), float(self._scores[i]), int(self._lengths[i])) for i in np.flatnonzero(over)]

    def _replayed(self, actions: Array) -> Array:
        """Play so that all running episodes arrive together: the longest first; what a copy does before its turn does not count."""
        seeds, scores = self._episode_seeds(), np.zeros(len(self._lengths))
        self._copies.reset(seeds, np.ones(len(seeds), dtype=bool))
        for left, row in zip(range(len(actions), 0, -1), actions, strict=True):
            turn = self._copies.step(row)
            running = self._lengths >= left
            scores[running] += turn.rewards[running]
            scores[running & turn.over] = np.nan  # it cannot have ended yet
            again = turn.over | (self._lengths == left - 1)
            if again.any():
                self._copies.reset(seeds, again)
        return scores

    def _taken(self, actions: Tensor) -> Array:
        due = self._shape if self.space.discrete else (*self._shape, self.space.actions)
        if tuple(actions.shape) != due:
            raise ValueError(f"actions must be {list(due)} for {self.name}; got {list(actions.shape)}")
        return actions.detach().cpu().numpy().reshape(-1, *due[2:])

    def _tensor(self, observations: Array) -> Tensor:
        found = torch.from_numpy(observations.reshape(*self._shape, *observations.shape[1:]))
        return found.to(device=self.device, dtype=self.space.observation_dtype)

    def _flags(self, flags: Flags) -> Tensor:
        return torch.from_numpy(flags.reshape(self._shape).copy()).to(self.device)


def worlds(
    name: str,
    *,
    seeds: Sequence[int],
    envs: int = 1,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    reward_transform: RewardTransform | None = None,
    evaluation: bool = False,
    **options: Any,
) -> Worlds | FiniteWorlds:
    """[seeds, envs] copies of the environment of that name.

    name     an id of Gymnasium ("Hopper-v4"; a toy text as a table), "ALE/Pong-v5", a probe ("probe/delay"), "BitFlip-8",
             "ToyMaze", "BiasChain", one of those in which offline data is evaluated, or "module:id" of another package
    options  the environment's own
    raises   ValueError if there is no such environment, ImportError if its package is not installed
    """
    same: dict[str, Any] = {"seeds": seeds, "envs": envs, "device": device, "dtype": dtype}
    same |= {"reward_transform": reward_transform, "evaluation": evaluation}
    process = finite_process(name, **options) or _published_table(name, **options)
    return FiniteWorlds(process, **same) if process else Worlds(name, **same, **options)


def copies_of(name: str, copies: int, *, evaluation: bool = False, **options: Any) -> Copies:
    """Copies of the environment of that name, which is no table."""
    if name.startswith("ALE/") or name.endswith("NoFrameskip-v4"):
        register_games(name)
        _check_known(name)
        check_options(name, AtariCopies, {"name": name, "copies": copies, **options})
        return AtariCopies(name, copies, evaluation=evaluation, **options)
    processes = bool(options.pop("processes", False))
    for named in (probes.PROBES, maze_factories()):
        if name in named:
            check_options(name, named[name], options)
            return GymnasiumCopies(functools.partial(named[name], **options), copies, processes=processes)
    _check_known(name)
    return GymnasiumCopies(functools.partial(made, name, **options), copies, processes=processes)


def maze_factories() -> Mapping[str, Callable[..., Any]]:
    """The environments in which offline data is evaluated."""
    try:
        return importlib.import_module("accelerated.agents.mazes").ENVIRONMENTS  # type: ignore[no-any-return]
    except ModuleNotFoundError:
        return {}


def _published_table(name: str, **options: Any) -> FiniteProcess | None:
    """The table of a Gymnasium toy text, where it tells all."""
    if "toy_text" not in str(getattr(gymnasium.registry.get(name), "entry_point", "")):
        return None
    environment = made(name, **options)
    bare, limit = environment.unwrapped, environment.spec.max_episode_steps
    if not hasattr(bare, "P") or getattr(bare, "fickle_passenger", False):
        return None
    return process_from_table(bare.P, bare.initial_state_distrib, name=name, max_episode_steps=limit or LIMIT)


def _check_known(name: str) -> None:
    if ":" in name:  # Gymnasium imports the module before the colon, which registers its own
        return
    known = sorted({*gymnasium.registry, *probes.PROBES, *maze_factories(), *FINITE})
    if name not in known:
        near = ", ".join(difflib.get_close_matches(name, known, 4, 0.5)) or "none"
        raise ValueError(f"there is no environment {name!r}; near it: {near}")
