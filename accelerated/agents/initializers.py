"""How weights begin: orthogonal, as torch's layers do, or zero; each seed's from its own stream, all in float64."""

import torch
from torch import Tensor

from accelerated.agents.streams import Streams

INITIALIZERS = ("orthogonal", "torch", "zeros")


def initial_weight(initializer: str, streams: Streams, members: int, inputs: int, outputs: int, gain: float) -> Tensor:
    """A matrix for each seed and member, [seeds, members, inputs, outputs]; the gain is that of the orthogonal one."""
    if initializer == "orthogonal":
        return gain * _orthogonal(streams, members, inputs, outputs)
    return _small(initializer, streams, inputs, (members, inputs, outputs))


def initial_bias(initializer: str, streams: Streams, members: int, inputs: int, outputs: int) -> Tensor:
    """Zero, or uniform like the weights of torch's layers; [seeds, members, outputs]."""
    return _small(initializer, streams, inputs, (members, outputs))


def _orthogonal(streams: Streams, members: int, inputs: int, outputs: int) -> Tensor:
    """Orthonormal columns, or rows where these are fewer (Saxe et al. 2014)."""
    longer, shorter = max(inputs, outputs), min(inputs, outputs)

    def draw(_: int, generator: torch.Generator) -> Tensor:
        normal = torch.randn(members, longer, shorter, generator=generator, device=streams.device, dtype=torch.float64)
        return torch.stack([_orthonormal_columns(matrix) for matrix in normal])

    columns = streams.each(draw)
    return columns if inputs >= outputs else columns.mT


def _orthonormal_columns(normal: Tensor) -> Tensor:
    """Q of the QR factorisation whose R has a positive diagonal: the one that is uniform among all such matrices."""
    q, r = torch.linalg.qr(normal)
    columns: Tensor = torch.where(r.diagonal() < 0, -q, q)
    return columns


def _small(initializer: str, streams: Streams, inputs: int, shape: tuple[int, ...]) -> Tensor:
    """Uniform within 1/sqrt(inputs) of zero for torch's layers, else zero."""
    if initializer != "torch":
        return torch.zeros(len(streams), *shape, dtype=torch.float64, device=streams.device)
    return torch.mul(2 * streams.uniform(*shape, dtype=torch.float64) - 1, inputs**-0.5)
