"""What environments return, and the seed of each episode."""

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from accelerated.agents.batch import Space

Array = NDArray[Any]
Flags = NDArray[np.bool_]
RewardTransform = Callable[[Tensor], Tensor]


class Episode(NamedTuple):
    """One that has ended: the place of its seed, its environment, the sum of its untransformed rewards, its steps."""

    place: int
    env: int
    score: float
    length: int


class Step(NamedTuple):
    """What one action in each environment led to; tensors are [seeds, envs, ...].

    next_observations  the true successors: final observations where an episode ended
    rewards            transformed, where there is a transform
    terminations       boolean: whether the bootstrap is cut
    truncations        boolean: whether a time limit ended the episode
    observations       what to act on next: the first observation of a new episode where one has begun
    finished           the episodes that ended now
    """

    next_observations: Tensor
    rewards: Tensor
    terminations: Tensor
    truncations: Tensor
    observations: Tensor
    finished: list[Episode]


class Turn(NamedTuple):
    """What one action in each copy led to, before anything is reset; arrays are [copies, ...].

    over  whether the episode has ended; a lost life may cut the bootstrap (terminations) without ending anything
    """

    next_observations: Array
    rewards: Array
    terminations: Flags
    truncations: Flags
    over: Flags


class Copies(Protocol):
    """Copies of one environment that start no episode by themselves, and each from the seed given."""

    space: Space
    observations: Array
    """[copies, ...], what to act on now."""

    def reset(self, seeds: list[int], mask: Flags) -> None:
        """Start an episode in the copies of the mask; what it is like depends on the seed alone."""
        ...

    def step(self, actions: Array) -> Turn:
        """Take one action [copies, ...] in each copy."""
        ...

    def close(self) -> None:
        """Free what the copies hold."""
        ...


def episode_seed(seed: int, env: int, episode: int, evaluation: bool) -> int:
    """63 bits that differ between seeds, environments, episodes, and training and evaluation."""
    purpose = "evaluation" if evaluation else "training"
    digest = hashlib.blake2b(f"{seed}:{env}:{episode}:{purpose}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1
