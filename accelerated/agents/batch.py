"""What flows through an agent: spaces, transitions, and the networks' parameters."""

from typing import NamedTuple

import torch
from torch import Tensor

Parameters = dict[str, Tensor]
"""A network's weights by name, each [seeds, members, ...]."""


class Space(NamedTuple):
    """What an environment shows and takes.

    observation_shape  () where observations are the numbers of states, (C, H, W) where they are images
    observation_dtype  int64 for states, uint8 for images (0..255), else floating
    states             how many states there are; 0 where observations are no states
    actions            how many discrete actions there are, or how many dimensions a continuous one has
    low, high          bounds of each dimension of a continuous action; empty where actions are discrete
    """

    observation_shape: tuple[int, ...]
    observation_dtype: torch.dtype
    actions: int
    states: int = 0
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()

    @property
    def discrete(self) -> bool:
        """Whether actions are numbers 0 ... actions - 1."""
        return not self.low


class Batch(NamedTuple):
    """Transitions, one sample of the memory for each seed.

    observations       [seeds, batch, *shape]
    actions            [seeds, batch], int64, or [seeds, batch, D]
    rewards            [seeds, batch], the discounted sum over the window where one transition spans several steps
    next_observations  the true successor of the last step, the final observation and never the one after a reset
    terminations       [seeds, batch], boolean: whether the bootstrap is cut; a time limit cuts nothing
    discounts          [seeds, batch], of the bootstrap: discount to the power of the window's length
    next_actions       like actions: what was done next; None where it is not known
    weights            [seeds, batch], importance weights; None where sampling is uniform
    indices            [seeds, batch], where priorities go; None where there are none
    """

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    next_observations: Tensor
    terminations: Tensor
    discounts: Tensor
    next_actions: Tensor | None = None
    weights: Tensor | None = None
    indices: Tensor | None = None
