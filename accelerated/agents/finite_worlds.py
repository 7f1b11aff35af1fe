"""Finite decision processes acted in: all chains of all seeds step in a few tensor operations."""

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from accelerated.agents import finite_processes
from accelerated.agents.batch import Space
from accelerated.agents.episodes import Episode, RewardTransform, Step
from accelerated.agents.finite_processes import FiniteModel, FiniteProcess
from accelerated.agents.gymnasium_copies import check_options
from accelerated.agents.streams import Streams

BLOCK = 128
"""Steps for which random numbers are drawn at once."""


class FiniteWorlds:
    """[seeds, envs] chains of one process, with the face of `environments.Worlds`.

    Observations are the numbers of states. Random numbers are drawn on the CPU, so that every device plays the same episodes.

    process     what to step
    evaluation  other random numbers than in training
    """

    def __init__(
        self,
        process: FiniteProcess,
        *,
        seeds: Sequence[int],
        envs: int = 1,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        reward_transform: RewardTransform | None = None,
        evaluation: bool = False,
    ) -> None:
        if not seeds or envs < 1:
            raise ValueError(f"there must be at least one seed and one environment; got {len(seeds)} and {envs}")
        self.name, self.seeds, self.envs, self.process = process.name, tuple(seeds), envs, process
        self.device, self.dtype, self._transform = torch.device(device), dtype, reward_transform
        states, actions, _ = process.probability.shape
        self.space = Space((), torch.int64, actions, states)
        self._streams = Streams(seeds, "evaluation worlds" if evaluation else "training worlds")
        self._noisy = bool(process.deviation.any())
        self._thresholds = _thresholds(process.probability).flatten(0, 1).to(self.device)
        self._starts = _thresholds(process.start).to(self.device)
        self._successor, self._payoff = (table.flatten(0, 1).to(self.device) for table in (process.successor, process.payoff))
        self._deviation, self._terminal = process.deviation.flatten().to(self.device), process.terminal.to(self.device)
        self.observations = torch.zeros(len(seeds), envs, dtype=torch.int64, device=self.device)
        self._lengths = torch.zeros_like(self.observations)
        self._scores = torch.zeros(len(seeds), envs, dtype=torch.float64, device=self.device)
        self._drawn, self._before, self._uniform, self._normal = 0, torch.empty(0), torch.empty(0), torch.empty(0)
        self._draw_block()

    def model(self) -> FiniteModel:
        """What value iteration takes: transition, reward, terminal, start; float64."""
        return self.process.model(self.device)

    @property
    def transition(self) -> Tensor:
        """P(s'|s,a), [S, A, S]."""
        return self.model().transition

    @property
    def reward(self) -> Tensor:
        """E[r|s,a], [S, A]."""
        return self.model().reward

    @property
    def terminal(self) -> Tensor:
        """[S], boolean."""
        return self._terminal

    @property
    def start(self) -> Tensor:
        """[S], probabilities of the first state."""
        return self.process.start.to(self.device)

    def reset(self) -> Tensor:
        """Start a new episode everywhere; the states."""
        uniform, _ = self._draws()
        self.observations = self._first_states(uniform[..., 1])
        self._lengths, self._scores = torch.zeros_like(self._lengths), torch.zeros_like(self._scores)
        return self.observations

    def step(self, actions: Tensor) -> Step:
        """Take one action in each chain, [seeds, envs]; start an episode where one has ended."""
        if actions.shape != self.observations.shape:
            raise ValueError(f"actions must be {list(self.observations.shape)} for {self.name}; got {list(actions.shape)}")
        uniform, normal = self._draws()
        row = self.observations * self.space.actions + actions
        outcome = (uniform[..., :1] >= self._thresholds[row]).sum(-1)
        following, rewards = self._successor[row, outcome], self._payoff[row, outcome]
        if self._noisy:
            rewards = rewards + self._deviation[row] * normal
        self._lengths, self._scores = self._lengths + 1, self._scores + rewards
        terminations, truncations = self._terminal[following], self._limited(self._lengths)
        finished = self._restart(terminations | truncations, following, uniform[..., 1])
        shown = rewards.to(self.dtype)
        shown = shown if self._transform is None else self._transform(shown)
        return Step(following, shown, terminations, truncations, self.observations, finished)

    def tensors(self) -> dict[str, Tensor]:
        """All that the next steps depend on."""
        return {
            "states": self.observations.clone(),
            "lengths": self._lengths.clone(),
            "scores": self._scores.clone(),
            "streams": self._before.clone(),
            "drawn": torch.tensor(self._drawn),
        }

    def restore(self, tensors: dict[str, Tensor]) -> Tensor:
        """Go on from what `tensors` returned; the states."""
        if tensors["states"].shape != self.observations.shape:
            due, found = list(self.observations.shape), list(tensors["states"].shape)
            raise ValueError(f"there must be {due} states saved; the checkpoint has {found}")
        self.observations, self._lengths, self._scores = (
            tensors[name].to(self.device).clone() for name in ("states", "lengths", "scores")
        )
        self._streams.restore(tensors["streams"])
        self._draw_block()
        self._drawn = int(tensors["drawn"])
        return self.observations

    def close(self) -> None:
        """Nothing is held."""

    def _limited(self, lengths: Tensor) -> Tensor:
        limit = self.process.max_episode_steps
        return lengths >= limit if limit else torch.zeros_like(lengths, dtype=torch.bool)

    def _restart(self, over: Tensor, following: Tensor, uniform: Tensor) -> list[Episode]:
        """Go on to `following`, or to a first state where the episode is over; those that are."""
        self.observations = following
        ended = over.nonzero().tolist()
        if not ended:
            return []
        found = [Episode(place, env, float(self._scores[place, env]), int(self._lengths[place, env])) for place, env in ended]
        self.observations = torch.where(over, self._first_states(uniform), following)
        self._lengths, self._scores = self._lengths.masked_fill(over, 0), self._scores.masked_fill(over, 0.0)
        return found

    def _first_states(self, uniform: Tensor) -> Tensor:
        return torch.searchsorted(self._starts, uniform.contiguous(), right=True)

    def _draws(self) -> tuple[Tensor, Tensor]:
        """Numbers of this step: uniform [seeds, envs, 2], normal [seeds, envs]."""
        if self._drawn == BLOCK:
            self._draw_block()
        place, self._drawn = self._drawn, self._drawn + 1
        return self._uniform[:, place], self._normal[:, place] if self._noisy else self._normal

    def _draw_block(self) -> None:
        self._before, self._drawn = self._streams.tensors(), 0
        self._uniform = self._streams.uniform(BLOCK, self.envs, 2, dtype=torch.float64).to(self.device)
        if self._noisy:
            self._normal = self._streams.normal(BLOCK, self.envs, dtype=torch.float64).to(self.device)


FINITE: dict[str, Callable[..., FiniteProcess]] = {
    "BitFlip-8": finite_processes.bit_flip,
    "ToyMaze": finite_processes.toy_maze,
    "BiasChain": finite_processes.bias_chain,
}
"""Tables by name; the number of bits is part of a BitFlip's."""


def finite_process(name: str, **options: Any) -> FiniteProcess | None:
    """The process of that name; None where the name is no table's."""
    bits = re.fullmatch(r"BitFlip-(\d+)", name)
    make = functools.partial(finite_processes.bit_flip, int(bits[1])) if bits else FINITE.get(name)
    if make is None:
        return None
    check_options(name, make, options)
    return make(**options)


def _thresholds(probability: Tensor) -> Tensor:
    """What a uniform number must reach for the next outcome: sums of probability, infinite from the last possible outcome on."""
    later = probability.flip(-1).cumsum(-1).flip(-1) - probability
    return torch.where(later > 0, probability.cumsum(-1), torch.inf)
