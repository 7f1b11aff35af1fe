"""The convolutions of the Nature network, for many networks side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from accelerated.agents.batch import Parameters
from accelerated.agents.initializers import initial_bias, initial_weight
from accelerated.agents.streams import Streams

NATURE = ((32, 8, 4), (64, 4, 2), (64, 3, 1))
"""Outputs, kernel and stride of each layer (Mnih et al. 2015)."""


@dataclass(frozen=True)
class Convolution:
    """weight and bias, [seeds, members, outputs, channels, kernel, kernel] and [seeds, members, outputs]; no padding."""

    name: str
    channels: int
    outputs: int
    kernel: int
    stride: int
    gain: float = 1.0

    def init(self, streams: Streams, members: int, initializer: str) -> Parameters:
        """As a linear layer of the channels * kernel² numbers that one output sees; float64."""
        inputs, window = self.channels * self.kernel**2, (self.channels, self.kernel, self.kernel)
        weight = initial_weight(initializer, streams, members, inputs, self.outputs, self.gain)
        bias = initial_bias(initializer, streams, members, inputs, self.outputs)
        return {f"{self.name}.weight": weight.mT.reshape(len(streams), members, self.outputs, *window), f"{self.name}.bias": bias}

    def __call__(self, parameters: Parameters, x: Tensor) -> Tensor:
        """[seeds, members or 1, batch, channels, H, W] -> [seeds, members, batch, outputs, H', W'].

        One convolution for each seed and member: measured faster than one in groups.
        """
        weight, bias = parameters[f"{self.name}.weight"], parameters[f"{self.name}.bias"]
        seeds, members = weight.shape[:2]
        images = x.expand(-1, members, *x.shape[2:])
        if seeds == members == 1:
            return conv2d(images[0, 0], weight[0, 0], bias[0, 0], stride=self.stride)[None, None]
        per_seed = zip(images.unbind(0), weight.unbind(0), bias.unbind(0), strict=True)
        return torch.stack([self._members(*seed) for seed in per_seed])

    def _members(self, images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        per_member = zip(images.unbind(0), weight.unbind(0), bias.unbind(0), strict=True)
        return torch.stack([conv2d(*member, stride=self.stride) for member in per_member])


def nature_convolutions(shape: Sequence[int], gain: float) -> tuple[tuple[Convolution, ...], int]:
    """The layers for images [C, H, W], and how many numbers come out of the last."""
    channels, *size = shape
    layers = []
    for place, (outputs, kernel, stride) in enumerate(NATURE):
        layers.append(Convolution(f"convolution{place}", channels, outputs, kernel, stride, gain))
        channels, size = outputs, [(side - kernel) // stride + 1 for side in size]
    if min(size) < 1:
        raise ValueError(f"images must be at least 36 by 36 for the Nature network; got {list(shape)}")
    return tuple(layers), channels * size[0] * size[1]
