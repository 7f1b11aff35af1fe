"""Steps in the order in which they happened: what agents learn from whose returns span many steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from accelerated.agents.batch import Batch, Space
from accelerated.agents.replay import Replay
from accelerated.agents.streams import Streams

if TYPE_CHECKING:
    from accelerated.agents.datasets import Dataset


class Rollout(NamedTuple):
    """T steps of each environment, oldest first, [seeds, envs, T, ...]; windows of it are [seeds, batch, T, ...].

    observations       [seeds, envs, T, *shape]
    actions            [seeds, envs, T], int64, or [seeds, envs, T, D]: as they were drawn, also beyond the bounds to which the
                       environment then clipped them
    rewards            [seeds, envs, T]
    next_observations  the true successors, final observations and never those after a reset
    terminations       boolean: whether the bootstrap is cut
    truncations        boolean: whether the episode, or what is known of it, ends here; true of every last step
    times              int64: how many steps of its episode came before
    behavior           [seeds, envs, T, W], what the agent's `behavior` said of the distribution that the action is from, or None
    """

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    next_observations: Tensor
    terminations: Tensor
    truncations: Tensor
    times: Tensor
    behavior: Tensor | None = None


class Rollouts:
    """A memory that gives back its steps in their order, the newest `capacity` of each seed.

    capacity  steps of one seed, rounded down to whole steps of all envs
    """

    def __init__(
        self,
        space: Space,
        *,
        seeds: int,
        envs: int = 1,
        capacity: int,
        discount: float,
        stack: int = 1,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.replay = Replay(
            space, seeds=seeds, envs=envs, capacity=capacity, discount=discount, stack=stack, device=device, dtype=dtype
        )
        self.axes = (seeds, envs)
        self._clock = torch.zeros(self.axes, dtype=torch.int64, device=device)
        self._times = torch.zeros(self.replay.frames.size, *self.axes, dtype=torch.int64, device=device)
        self._behavior: Tensor | None = None

    def __len__(self) -> int:
        """Steps of one seed."""
        return len(self.replay)

    @torch.no_grad()
    def add(
        self,
        observations: Tensor,
        actions: Tensor,
        rewards: Tensor,
        next_observations: Tensor,
        terminations: Tensor,
        truncations: Tensor,
        behavior: Tensor | None = None,
    ) -> None:
        """One step of every environment, each [seeds, envs, ...]; `behavior` always or never."""
        row = self.replay.frames.time % self.replay.frames.size
        if behavior is not None and self._behavior is None:
            self._behavior = behavior.new_zeros(len(self._times), *behavior.shape)
        self.replay.add(observations, actions, rewards, next_observations, terminations, truncations)
        self._times[row] = self._clock
        self._clock = torch.where(terminations | truncations, 0, self._clock + 1)
        if self._behavior is not None:
            if behavior is None:
                raise ValueError("behavior must be given at every step once it was; got None")
            self._behavior[row] = behavior

    @torch.no_grad()
    def rollout(self) -> Rollout:
        """All that is remembered.

        raises  ValueError if that is nothing
        """
        if not len(self):
            raise ValueError("a memory must hold a step before it is read; got an empty one")
        frames, (seeds, envs) = self.replay.frames, self.axes
        count = len(self) // envs
        rows = (frames.time - count + torch.arange(count, device=self._clock.device)) % frames.size
        slots = (rows * envs + torch.arange(envs, device=rows.device)[:, None]).flatten().expand(seeds, -1)
        found = self.replay.window(slots)
        times, cut = self._ordered(self._times, rows), self._ordered(self.replay.truncated(), rows)
        cut[..., -1] = True
        columns = (found.observations, found.actions, found.rewards, found.next_observations, found.terminations)
        shaped = [column.reshape(seeds, envs, count, *column.shape[2:]) for column in columns]
        behavior = None if self._behavior is None else self._ordered(self._behavior, rows)
        return Rollout._make([*shaped, cut, times, behavior])

    def tensors(self) -> dict[str, Tensor]:
        """All that the next rollouts depend on."""
        found = {f"replay/{name}": tensor for name, tensor in self.replay.tensors().items()}
        found |= {"clock": self._clock.clone(), "times": self._times.clone()}
        return found if self._behavior is None else found | {"behavior": self._behavior.clone()}

    @torch.no_grad()
    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Go on from what `tensors` returned, in a memory made with the same arguments."""
        own = {name.removeprefix("replay/"): tensor for name, tensor in tensors.items() if name.startswith("replay/")}
        self.replay.restore(own)
        self._clock, self._times = (tensors[name].to(self._clock.device).clone() for name in ("clock", "times"))
        self._behavior = tensors["behavior"].to(self._clock.device).clone() if "behavior" in tensors else None

    def _ordered(self, column: Tensor, rows: Tensor) -> Tensor:
        """[rows, seeds, envs, ...] -> [seeds, envs, T, ...]."""
        return column[rows].movedim(0, 2).clone()


def rollout_of(dataset: Dataset, seeds: int) -> Rollout:
    """A dataset as one environment's steps, the same memory for each seed; what is no rows' time is where its trajectory begins."""
    cut = (dataset.terminations | dataset.truncations).clone()
    truncations = dataset.truncations.clone()
    cut[-1] = truncations[-1] = True
    place = torch.arange(len(cut), device=cut.device)
    begins = torch.cat([cut.new_ones(1), cut[:-1]])
    times = place - torch.where(begins, place, 0).cummax(0).values
    columns = (dataset.observations, dataset.actions, dataset.rewards, dataset.next_observations, dataset.terminations)
    wide = [column.expand(seeds, 1, *column.shape) for column in (*columns, truncations, times)]
    return Rollout._make([*wide, None])


def flat(rollout: Rollout) -> Rollout:
    """[seeds, envs, T, ...] -> [seeds, envs * T, ...]: the steps of all environments one after the other."""
    return Rollout._make(None if column is None else column.flatten(1, 2) for column in rollout)


def drawn(rollout: Rollout, streams: Streams, batch_size: int | None) -> Tensor:
    """Places in `flat(rollout)`, with replacement, int64 [seeds, batch]; None: every place once, in order."""
    seeds, envs, steps = rollout.rewards.shape
    if batch_size is None:
        return torch.arange(envs * steps, device=rollout.rewards.device).expand(seeds, -1)
    return streams.integers(envs * steps, batch_size).to(rollout.rewards.device)


def taken(column: Tensor, places: Tensor) -> Tensor:
    """column[seed, places]; [seeds, N, ...], int64 [seeds, ...] -> [seeds, ..., ...]."""
    seed = torch.arange(len(places), device=places.device).reshape(-1, *[1] * (places.ndim - 1))
    return column[seed, places]


def windows(rollout: Rollout, places: Tensor, length: int) -> Rollout:
    """The `length` steps from each place of `flat(rollout)` on, [seeds, batch, length, ...].

    A window that leaves its environment's steps repeats the last of them, which is a cut: no return passes it.
    """
    steps = rollout.rewards.shape[2]
    ahead = torch.arange(length, device=places.device)
    last = places // steps * steps + (steps - 1)
    wanted = torch.minimum(places.unsqueeze(-1) + ahead, last.unsqueeze(-1))
    return Rollout._make(None if column is None else taken(column, wanted) for column in flat(rollout))


def transitions(rollout: Rollout, places: Tensor, *, discount: float) -> Batch:
    """Single steps of `flat(rollout)` as a batch."""
    s, a, rewards, after, ends = (taken(column, places) for column in flat(rollout)[:5] if column is not None)
    return Batch(s, a, rewards, after, ends, discounts=torch.full_like(rewards, discount))
