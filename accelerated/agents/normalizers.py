"""Numbers brought to mean 0 and deviation 1: observations by all that a seed has seen, advantages by their own batch.

The running moments are tensors of the agent's state. Pieces are merged exactly (Chan, Golub, LeVeque 1979), in float64: many
calls give what one call with everything would.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from accelerated.agents.batch import Space

COUNT, MEAN, SQUARES = "normalizer_count", "normalizer_mean", "normalizer_squares"
SMALLEST_DEVIATION = 1e-5
"""A dimension that varies less is only centred."""

PIECE = 65_536
"""Rows that are merged at once."""


def begin(space: Space, seeds: Sequence[int], device: torch.device | str = "cpu") -> dict[str, Tensor]:
    """Nothing seen yet: count [seeds], mean and summed squared distances [seeds, *shape]; empty for states and images."""
    if not space.observation_dtype.is_floating_point:
        return {}
    zeros = torch.zeros(len(seeds), *space.observation_shape, dtype=torch.float64, device=device)
    return {COUNT: zeros.new_zeros(len(seeds)), MEAN: zeros, SQUARES: zeros.clone()}


@torch.no_grad()
def observe(tensors: dict[str, Tensor], observations: Tensor, *, limit: int | None = None) -> None:
    """Take in [seeds, N, *shape], the first rows first, until each seed has seen `limit`; the entries are replaced."""
    if MEAN in tensors:
        for piece in torch.split(observations, PIECE, 1):
            _merge(tensors, piece, limit)


@torch.no_grad()
def normalized(tensors: dict[str, Tensor], observations: Tensor, *, clip: float | None = None) -> Tensor:
    """(x − mean) / deviation within ±clip, in the type of x; x itself where nothing is kept or nothing was seen.

    observations  [seeds, ..., *shape]
    """
    if MEAN not in tensors:
        return observations
    axes = [1] * (observations.ndim - tensors[MEAN].ndim)
    centre, scale = (part.reshape(len(part), *axes, *part.shape[1:]).to(observations.dtype) for part in moments(tensors))
    found = (observations - centre) / scale
    return found if clip is None else found.clamp(-clip, clip)


def moments(tensors: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (NumPy's) of all that was seen, [seeds, *shape], float64; 0 and 1 where there is none."""
    deviation = (tensors[SQUARES] / _wide(tensors[COUNT].clamp(min=1), tensors[SQUARES])).sqrt()
    return tensors[MEAN], torch.where(deviation > SMALLEST_DEVIATION, deviation, 1.0)


def standardized(x: Tensor, *, eps: float = 1e-5) -> Tensor:
    """(x − mean) / (deviation + eps) over everything of a seed, the deviation NumPy's; 0 where all are equal; [seeds, ...]."""
    rows = x.flatten(1)
    equal = rows.amax(1, keepdim=True) == rows.amin(1, keepdim=True)
    distance = torch.where(equal, 0.0, rows - rows.mean(1, keepdim=True))
    return (distance / (distance.square().mean(1, keepdim=True).sqrt() + eps)).reshape(x.shape)


def spread(x: Tensor, *, eps: float = 1e-5) -> Tensor:
    """Mean distance from the mean, plus eps, over everything of a seed; [seeds, ...] -> [seeds, 1, ...], as many axes as x."""
    rows = x.flatten(1)
    distance = (rows - rows.mean(1, keepdim=True)).abs().mean(1)
    return (distance + eps).reshape(-1, *[1] * (x.ndim - 1))


def _merge(tensors: dict[str, Tensor], observations: Tensor, limit: int | None) -> None:
    before, mean, squares = tensors[COUNT], tensors[MEAN], tensors[SQUARES]
    rows = before.unsqueeze(1) + torch.arange(observations.shape[1], device=before.device)
    counted = torch.ones_like(rows) if limit is None else (rows < limit).to(rows.dtype)
    seen, counted, count = observations.to(mean.dtype), _wide(counted, observations), counted.sum(1)
    centre = (counted * seen).sum(1) / _wide(count.clamp(min=1), mean)
    within = (counted * (seen - centre.unsqueeze(1)).square()).sum(1)
    share = _wide(count / (before + count).clamp(min=1), mean)
    between = _wide(before, mean) * share * (centre - mean).square()
    tensors.update({COUNT: before + count, MEAN: mean + share * (centre - mean), SQUARES: squares + within + between})


def _wide(x: Tensor, like: Tensor) -> Tensor:
    """Axes of 1 at the end, as many as `like` has more."""
    return x.reshape(*x.shape, *[1] * (like.ndim - x.ndim))
