"""A memory of transitions for each seed: a ring that overwrites its oldest, and a dataset in front of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from accelerated import _checks, n_step_returns
from accelerated.agents.batch import Batch, Space
from accelerated.agents.frames import Frames, taken
from accelerated.agents.prioritized import Priorities, Prioritized
from accelerated.agents.streams import Streams

if TYPE_CHECKING:
    from accelerated.agents.datasets import Dataset

__all__ = ["Priorities", "Replay"]

KINDS = ("rewards", "terminations", "truncations", "actions")


class Replay:
    """Transitions of [seeds, envs] environments that step together; a batch never mixes seeds, episodes or write rounds.

    A slot is a place of one seed's transitions: the dataset's rows come first, then, row by row, the ring's; all seeds have
    the same slots. Every stored transition can be drawn, the oldest and the newest included. A window of n steps ends early
    where its episode is cut, and at the newest transition.

    capacity    transitions of one seed in the ring, rounded down to whole steps of all envs
    discount    per step; a batch's discounts are its powers
    n_step      steps of a window
    priorities  how to draw by TD error; None: uniformly
    stack       frames of one observation, of which each is stored once; `padding` as in Frames
    dataset     shared by the seeds and drawn from uniformly, together with the ring
    """

    def __init__(
        self,
        space: Space,
        *,
        seeds: int,
        envs: int = 1,
        capacity: int,
        discount: float,
        n_step: int = 1,
        priorities: Priorities | None = None,
        stack: int = 1,
        padding: str = "first",
        dataset: Dataset | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.rows = capacity // envs
        if min(seeds, envs, n_step) < 1 or self.rows < n_step:
            raise ValueError(
                "capacity must hold n_step >= 1 steps of every env, and seeds and envs must be >= 1; "
                f"got capacity {capacity}, n_step {n_step}, seeds {seeds}, envs {envs}"
            )
        if dataset is not None and (n_step > 1 or stack > 1 or priorities is not None):
            raise ValueError("a dataset is drawn from uniformly, one step at a time; got n_step > 1, stack > 1 or priorities")
        self.space, self.seeds, self.envs, self.discount, self.n_step = space, seeds, envs, discount, n_step
        self.dataset, self.device, self.dtype = dataset, torch.device(device), dtype
        self.frames = Frames(
            space, seeds=seeds, envs=envs, rows=self.rows, stack=stack, padding=padding, device=device, dtype=dtype
        )
        self._size = self.frames.size
        self._seed = torch.arange(seeds, device=device)[:, None]
        self._first = 0 if dataset is None else len(dataset.rewards)
        self._columns = self._empty(space)
        slots = self._size * envs
        self._prioritized = None if priorities is None else Prioritized(priorities, seeds=seeds, slots=slots, device=device)

    def __len__(self) -> int:
        """Transitions of one seed."""
        return self._first + self._stored() * self.envs

    @torch.no_grad()
    def add(
        self,
        observations: Tensor,
        actions: Tensor,
        rewards: Tensor,
        next_observations: Tensor,
        terminations: Tensor,
        truncations: Tensor,
    ) -> None:
        """One step of every environment, each [seeds, envs, ...]; `next_observations` are true final ones where it ended."""
        self._check(observations, actions, rewards, next_observations, terminations, truncations)
        row = self.frames.time % self._size
        self.frames.add(observations, next_observations, terminations | truncations)
        values = dict(zip(KINDS, (rewards, terminations, truncations, actions), strict=True))
        for name, value in values.items():
            self._columns[name][row].copy_(value)
        if self._prioritized is not None:
            self._prioritized.retire(self._slots_of((self.frames.time - 1 - self.rows) % self._size))
            self._prioritized.insert(self._slots_of(row))

    @torch.no_grad()
    def sample(self, streams: Streams, batch_size: int, *, step: int = 0) -> Batch:
        """A batch for each seed, drawn with replacement; `step` is the clock of the importance exponent."""
        indices = self.draw(streams, batch_size)
        batch = self.window(indices)
        if self._prioritized is None:
            return batch
        return batch._replace(weights=self._prioritized.weights(indices, len(self), step).to(self.dtype), indices=indices)

    @torch.no_grad()
    def draw(self, streams: Streams, batch_size: int) -> Tensor:
        """Slots, int64 [seeds, batch]."""
        if len(self) == 0:
            raise ValueError("a memory must hold a transition before it is drawn from; got an empty one")
        if self._prioritized is None:
            return self._uniform(streams, batch_size)
        slots = self._prioritized.draw(streams, batch_size)
        if mix := self._prioritized.priorities.uniform_mix:
            slots = torch.where(streams.uniform(batch_size) < mix, self._uniform(streams, batch_size), slots)
        return slots

    @torch.no_grad()
    def window(self, indices: Tensor) -> Batch:
        """The windows that start at these slots, int64 [seeds, batch]."""
        if _checks.values_are_checked():
            valid = self.valid()
            held = valid[_checks.indices("indices", indices, len(valid))]
            _checks.each("indices", indices, held, "must be slots that hold a transition")
        if self._first == 0:
            return self._ring(indices)
        if self._stored() == 0:
            return self._rows_of(indices)
        found = zip(
            self._rows_of(indices.clamp(max=self._first - 1)), self._ring((indices - self._first).clamp(min=0)), strict=True
        )
        old = indices < self._first
        return Batch(*(_choose(old, a, b) for a, b in found if a is not None and b is not None))

    def valid(self) -> Tensor:
        """Which slots hold a transition, the same for every seed; boolean [slots]."""
        valid = torch.zeros(self._first + self._size * self.envs, dtype=torch.bool, device=self.device)
        valid[: self._first] = True
        ages = torch.arange(self._stored(), device=self.device)
        valid[self._first :].reshape(self._size, self.envs)[(self.frames.time - 1 - ages) % self._size] = True
        return valid

    def truncated(self) -> Tensor:
        """Which of the ring's steps were truncated, [rows, seeds, envs] as they lie."""
        return self._columns["truncations"]

    @torch.no_grad()
    def update_priorities(self, indices: Tensor, td_error: Tensor) -> None:
        """New priorities of drawn slots, both [seeds, batch]; the last of repeated ones counts."""
        if self._prioritized is None:
            raise ValueError("a memory without priorities has none to update; got td_error for it")
        self._prioritized.update(indices, td_error)

    def tensors(self) -> dict[str, Tensor]:
        """All that the next batches depend on, without the dataset; large ones are views, to be written before the next `add`."""
        filled = min(self.frames.time, self._size)
        found = {name: column[:filled] for name, column in self._columns.items()}
        found |= {f"frames/{name}": tensor for name, tensor in self.frames.tensors().items()}
        if self._prioritized is not None:
            found |= {f"priorities/{name}": tensor for name, tensor in self._prioritized.tensors().items()}
        return found

    @torch.no_grad()
    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Go on from what `tensors` returned, in a memory made with the same arguments."""
        if missing := set(self.tensors()) - set(tensors):
            raise ValueError(f"the memory's tensors must be complete; {', '.join(sorted(missing))} is missing")
        for name, column in self._columns.items():
            if tensors[name].shape[1:] != column.shape[1:] or len(tensors[name]) > len(column):
                raise ValueError(f"{name} must fit {list(column.shape)}; the checkpoint has {list(tensors[name].shape)}")
            column.zero_()
            column[: len(tensors[name])] = tensors[name].to(column.device)
        self.frames.restore({name.removeprefix("frames/"): t for name, t in tensors.items() if name.startswith("frames/")})
        if self._prioritized is not None:
            own = {name.removeprefix("priorities/"): t for name, t in tensors.items() if name.startswith("priorities/")}
            self._prioritized.restore(own)

    def _ring(self, slots: Tensor) -> Batch:
        """Windows from the ring's slots, counted from its first."""
        places = self._places(slots)
        ends, terminated, returns, discounts = self._one_step(places) if self.n_step == 1 else self._several_steps(places)
        cut = terminated | self._at("truncations", ends)
        return Batch(
            observations=self.frames.observations(places),
            actions=self._at("actions", places),
            rewards=returns,
            next_observations=self.frames.next_observations(ends, cut),
            terminations=terminated,
            discounts=discounts,
        )

    def _one_step(self, places: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Windows' last places, whether they terminate there, their returns and discounts."""
        rewards = self._at("rewards", places)
        return places, self._at("terminations", places), rewards, torch.full_like(rewards, self.discount)

    def _several_steps(self, places: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """As `_one_step`; the newest transition ends a window like a truncation."""
        steps = torch.arange(self.n_step, device=places.device)
        ahead = self.frames.ahead(places[..., None], steps)
        rewards, terminated, truncated = (self._at(name, ahead) for name in KINDS[:3])
        left = (self.frames.time - 1 - places // (self.seeds * self.envs)) % self._size  # steps from here to the newest
        truncated = truncated | (left[..., None] == steps)
        cut = terminated | truncated
        cut[..., -1] = True
        last = cut.byte().argmax(-1, keepdim=True)
        returns, discounts = self._returns(rewards, terminated, truncated)
        return ahead.gather(-1, last)[..., 0], terminated.gather(-1, last)[..., 0], returns, discounts

    def _returns(self, rewards: Tensor, terminated: Tensor, truncated: Tensor) -> tuple[Tensor, Tensor]:
        """The windows' discounted sums, and the discounts of what comes after them; [seeds, batch, n] -> [seeds, batch]."""
        none = torch.zeros_like(rewards)
        both = n_step_returns(
            torch.stack([rewards, none]),
            torch.stack([terminated, torch.zeros_like(terminated)]),
            torch.stack([truncated, terminated | truncated]),
            torch.stack([none, torch.ones_like(none)]),
            n=self.n_step,
            discount=self.discount,
        )
        return both[0, ..., 0], both[1, ..., 0]

    def _rows_of(self, indices: Tensor) -> Batch:
        """Transitions of the dataset."""
        assert self.dataset is not None
        rewards = self.dataset.rewards[indices].to(self.dtype)
        return Batch(
            observations=self._cast(self.dataset.observations[indices]),
            actions=self._cast(self.dataset.actions[indices]),
            rewards=rewards,
            next_observations=self._cast(self.dataset.next_observations[indices]),
            terminations=self.dataset.terminations[indices],
            discounts=torch.full_like(rewards, self.discount),
        )

    def _uniform(self, streams: Streams, batch_size: int) -> Tensor:
        """Places from the oldest to the newest, then the slots where those lie."""
        places = streams.integers(len(self), batch_size).to(self.device)
        oldest = self.frames.time - self._stored()
        ring = (places - self._first + oldest * self.envs) % (self._size * self.envs) + self._first
        return torch.where(places < self._first, places, ring) if self._first else ring

    def _stored(self) -> int:
        return min(self.frames.time, self.rows)

    def _slots_of(self, row: int) -> Tensor:
        return torch.arange(row * self.envs, (row + 1) * self.envs, device=self.device)

    def _at(self, name: str, places: Tensor) -> Tensor:
        return taken(self._columns[name].flatten(0, 2), places)

    def _places(self, slots: Tensor) -> Tensor:
        """Where [rows, seeds, envs], flattened, has the ring's slots."""
        if self.seeds == 1:
            return slots
        return slots + (slots // self.envs * (self.seeds - 1) + self._seed) * self.envs

    def _cast(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.dtype) if tensor.is_floating_point() else tensor

    def _empty(self, space: Space) -> dict[str, Tensor]:
        axes = (self._size, self.seeds, self.envs)
        wide, kind = ((), torch.int64) if space.discrete else ((space.actions,), self.dtype)
        return {
            "rewards": torch.zeros(axes, dtype=self.dtype, device=self.device),
            "terminations": torch.zeros(axes, dtype=torch.bool, device=self.device),
            "truncations": torch.zeros(axes, dtype=torch.bool, device=self.device),
            "actions": torch.zeros(*axes, *wide, dtype=kind, device=self.device),
        }

    def _check(self, observations: Tensor, actions: Tensor, rewards: Tensor, next_observations: Tensor, *flags: Tensor) -> None:
        axes, seen = (self.seeds, self.envs), self.space.observation_shape
        due = {"observations": (observations, seen), "next_observations": (next_observations, seen)}
        due |= {"actions": (actions, () if self.space.discrete else (self.space.actions,)), "rewards": (rewards, ())}
        due |= dict(zip(KINDS[1:3], ((flag, ()) for flag in flags), strict=True))
        for name, (tensor, shape) in due.items():
            if tensor.shape != (*axes, *shape):
                raise ValueError(f"{name} must be {[*axes, *shape]}; got {list(tensor.shape)}")


def _choose(first: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return torch.where(first.reshape(*first.shape, *[1] * (a.ndim - first.ndim)), a, b)
