"""Which transitions to draw by how wrong the last prediction of them was."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from accelerated import importance_weights, priority, sample_proportional, sampling_probabilities, sum_tree
from accelerated.agents.streams import Streams
from accelerated.priorities import NORMALIZERS


@dataclass(frozen=True)
class Priorities:
    """How prioritized replay draws (Schaul et al. 2016).

    exponent                 of the priority, (|TD error| + offset)^exponent; 0 draws uniformly
    importance_exponent      of the weights at first; 1 undoes the priorities in full
    importance_exponent_end  of the weights from anneal_steps on, and linear in the step until then
    offset                   > 0, added to every |TD error|, so that each transition can be drawn
    maximum                  a larger |TD error| counts as this; None: no limit
    normalizer               weights are divided by the largest of the "batch" or of the "memory"; None: by nothing
    uniform_mix              the share of uniform draws
    stratified               one draw from each of batch_size equal parts of the priorities' sum
    """

    exponent: float
    importance_exponent: float
    importance_exponent_end: float
    anneal_steps: int
    offset: float
    maximum: float | None = None
    normalizer: str | None = "batch"
    uniform_mix: float = 0.0
    stratified: bool = False

    def __post_init__(self) -> None:
        for name in ("exponent", "importance_exponent", "importance_exponent_end"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be >= 0; got {getattr(self, name)}")
        if not self.offset > 0 or (self.maximum is not None and not self.maximum > 0):
            raise ValueError(f"offset and maximum must be > 0; got {self.offset}, {self.maximum}")
        if not 0 <= self.uniform_mix <= 1:
            raise ValueError(f"uniform_mix must lie in [0, 1]; got {self.uniform_mix}")
        if self.normalizer not in NORMALIZERS:
            raise ValueError(f"normalizer must be one of {NORMALIZERS}; got {self.normalizer!r}")
        if self.anneal_steps < 1:
            raise ValueError(f"anneal_steps must be >= 1; got {self.anneal_steps}")

    def importance(self, step: int) -> float:
        """The importance exponent at this step."""
        part = min(max(step / self.anneal_steps, 0.0), 1.0)
        return self.importance_exponent + part * (self.importance_exponent_end - self.importance_exponent)


class Prioritized:
    """A priority for each slot of each seed, 0 where there is nothing to draw.

    New transitions get the largest priority that their seed has seen, 1 at first. On the CPU a sum tree finds the slots,
    a level at a time; on other devices the running sum of the priorities does, without waiting for the device.
    """

    def __init__(self, priorities: Priorities, *, seeds: int, slots: int, device: torch.device | str = "cpu") -> None:
        self.priorities = priorities
        self.values = torch.zeros(seeds, slots, dtype=torch.float64, device=device)
        self.largest = torch.ones(seeds, dtype=torch.float64, device=device)
        self._trees = [sum_tree(slots) for _ in range(seeds)] if self.values.device.type == "cpu" else []
        self._stale: list[Tensor] = []

    def insert(self, slots: Tensor) -> None:
        """New transitions of every seed at these slots, [k]."""
        self._write(slots.expand(len(self.values), -1), self.largest[:, None].expand(-1, len(slots)))

    def retire(self, slots: Tensor) -> None:
        """Nothing more to draw at these slots, [k]."""
        self._write(slots.expand(len(self.values), -1), torch.zeros_like(self.largest)[:, None].expand(-1, len(slots)))

    def update(self, indices: Tensor, td_error: Tensor) -> None:
        """What the last prediction says, both [seeds, batch]; of repeated slots the last counts."""
        error = td_error.detach().to(self.values.dtype).abs().clamp(min=0.0, max=self.priorities.maximum)
        found = priority(error, exponent=self.priorities.exponent, offset=self.priorities.offset)
        self.largest = torch.maximum(self.largest, found.amax(-1))
        self._write(indices, found.gather(-1, _last_equal(indices)))

    def draw(self, streams: Streams, batch_size: int) -> Tensor:
        """Slots in proportion to their priorities, int64 [seeds, batch]."""
        self._refresh()
        return streams.each(lambda seed, generator: self._find(seed, batch_size, generator))

    def probabilities(self, indices: Tensor, size: int) -> Tensor:
        """Of drawing each of these slots, with the uniform draws among `size` transitions; float64 [seeds, batch]."""
        return self._mixed(self.values.gather(-1, indices), size)

    def weights(self, indices: Tensor, size: int, step: int) -> Tensor:
        """Importance weights of drawn slots; float64 [seeds, batch]."""
        exponent, normalizer = self.priorities.importance(step), self.priorities.normalizer
        probability = self.probabilities(indices, size)
        if normalizer != "memory":
            return importance_weights(probability, size=size, exponent=exponent, normalizer=normalizer)
        least = torch.where(self.values > 0, self.values, torch.inf).amin(-1, keepdim=True)
        smallest = self._mixed(least, size)[:, 0].tolist()
        rows = [
            importance_weights(row, size=size, exponent=exponent, normalizer=normalizer, minimum_probability=one)
            for row, one in zip(probability, smallest, strict=True)
        ]
        return torch.stack(rows)

    def tensors(self) -> dict[str, Tensor]:
        """All that the next draws depend on; the trees follow from it."""
        return {"values": self.values, "largest": self.largest}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Go on from what `tensors` returned."""
        self.values.copy_(tensors["values"])
        self.largest = tensors["largest"].to(self.values.device).clone()
        every = torch.arange(self.values.shape[1], device=self.values.device)
        self._stale = [every.expand(len(self.values), -1)] if self._trees else []

    def _find(self, seed: int, count: int, generator: torch.Generator) -> Tensor:
        if not self._trees:
            values = self.values[seed]
            return sample_proportional(values, size=count, generator=generator, stratified=self.priorities.stratified)
        part = torch.rand(count, generator=generator, dtype=torch.float64)
        if self.priorities.stratified:
            part = (torch.arange(count) + part) / count
        total = torch.tensor(self._trees[seed].total, dtype=torch.float64)
        return self._trees[seed].find(torch.minimum(part * total, torch.nextafter(total, torch.zeros_like(total))))

    def _mixed(self, chosen: Tensor, size: int) -> Tensor:
        """Probabilities of priorities [seeds, k]: each against the sum of all others, then mixed with the uniform ones."""
        self._refresh()
        others = (self._totals()[:, None] - chosen).clamp(min=0.0)
        share = sampling_probabilities(torch.stack([chosen, others], -1))[..., 0]
        return torch.lerp(share, torch.full_like(share, 1 / size), self.priorities.uniform_mix)

    def _totals(self) -> Tensor:
        if not self._trees:
            return self.values.sum(-1)
        return torch.tensor([tree.total for tree in self._trees], dtype=torch.float64)

    def _write(self, slots: Tensor, values: Tensor) -> None:
        """The trees learn of it when they are next asked: one call for all that came since."""
        self.values.scatter_(-1, slots, values)
        if self._trees:
            self._stale.append(slots)

    def _refresh(self) -> None:
        if not self._stale:
            return
        slots, self._stale = torch.cat(self._stale, -1), []
        for tree, places, values in zip(self._trees, slots, self.values, strict=True):
            tree.update(places, values[places])


def _last_equal(indices: Tensor) -> Tensor:
    """For each entry the last place in its row that has the same index; [seeds, batch]."""
    equal = indices[:, :, None] == indices[:, None, :]
    return torch.where(equal, torch.arange(indices.shape[-1], device=indices.device), 0).amax(-1)
