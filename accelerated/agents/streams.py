"""Randomness of many seeds side by side: a seed draws the same numbers alone as among others."""

import hashlib
from collections.abc import Callable, Sequence

import torch
from torch import Tensor


class Streams:
    """One generator for each seed; every draw has a leading axis [seeds].

    seeds    the seeds; equal ones draw equal numbers
    purpose  what the numbers are for: streams of different purposes have nothing in common
    device   where the numbers are drawn and lie; the numbers of two devices differ
    """

    def __init__(self, seeds: Sequence[int], purpose: str, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self._generators = [torch.Generator(self.device).manual_seed(_mixed(seed, purpose)) for seed in seeds]

    def __len__(self) -> int:
        return len(self._generators)

    def normal(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Standard normal numbers [seeds, *shape]."""
        return self._each(lambda g: torch.randn(shape, generator=g, device=self.device, dtype=dtype))

    def uniform(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Numbers in [0, 1), [seeds, *shape]."""
        return self._each(lambda g: torch.rand(shape, generator=g, device=self.device, dtype=dtype))

    def integers(self, high: int, *shape: int) -> Tensor:
        """Numbers 0 ... high - 1, int64 [seeds, *shape]."""
        return self._each(lambda g: torch.randint(high, shape, generator=g, device=self.device))

    def each(self, draw: Callable[[int, torch.Generator], Tensor]) -> Tensor:
        """Whatever `draw(place of the seed, its generator)` returns, stacked along a leading axis."""
        return torch.stack([draw(place, generator) for place, generator in enumerate(self._generators)])

    def _each(self, draw: Callable[[torch.Generator], Tensor]) -> Tensor:
        if len(self._generators) == 1:
            return draw(self._generators[0])[None]
        return torch.stack([draw(generator) for generator in self._generators])

    def tensors(self) -> Tensor:
        """All that the next draws depend on, uint8 [seeds, bytes]."""
        return torch.stack([generator.get_state() for generator in self._generators])

    def restore(self, state: Tensor) -> None:
        """Go on from what `tensors` returned."""
        for generator, row in zip(self._generators, state, strict=True):
            generator.set_state(row.cpu().clone())  # torch crashes on a row that is a view


def _mixed(seed: int, purpose: str) -> int:
    """64 bits that differ between seeds and between purposes."""
    return int.from_bytes(hashlib.blake2b(f"{seed}:{purpose}".encode(), digest_size=8).digest(), "little")
