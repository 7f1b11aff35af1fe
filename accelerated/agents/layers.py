"""Affine layers of many networks side by side: one batched product for all seeds and members."""

from dataclasses import dataclass

import torch
from torch import Tensor

from accelerated import _checks, factorised_noise
from accelerated.agents.batch import Parameters
from accelerated.agents.initializers import initial_bias, initial_weight
from accelerated.agents.streams import Streams

Noise = dict[str, Tensor]
"""One draw for each noisy layer, by its name: [seeds, members, inputs + outputs]."""


@dataclass(frozen=True)
class Layer:
    """weight and bias, [seeds, members, inputs, outputs] and [seeds, members, outputs].

    kind         "linear"; "noisy"; "rows": the row of the weight that a state names, as of a one-hot input, and the bias;
                 "table": the row alone
    gain         of the orthogonal start
    noise_scale  the standard deviation of each weight of a noisy layer at the start, times sqrt(inputs)
    """

    name: str
    inputs: int
    outputs: int
    kind: str = "linear"
    gain: float = 1.0
    noise_scale: float = 0.0

    def init(self, streams: Streams, members: int, initializer: str) -> Parameters:
        """The layer's parameters by their full names, float64."""
        weight = initial_weight(initializer, streams, members, self.inputs, self.outputs, self.gain)
        if self.kind == "table":
            return {f"{self.name}.weight": weight}
        bias = initial_bias(initializer, streams, members, self.inputs, self.outputs)
        found = {f"{self.name}.weight": weight, f"{self.name}.bias": bias}
        if self.kind == "noisy":
            scale = self.noise_scale / self.inputs**0.5
            found |= {f"{key}_scale": torch.full_like(tensor, scale) for key, tensor in found.items()}
        return found

    def __call__(self, parameters: Parameters, x: Tensor, noise: Noise | None = None) -> Tensor:
        """[seeds, members or 1, batch, inputs], or states [seeds, batch] -> [seeds, members, batch, outputs]."""
        weight = parameters[f"{self.name}.weight"]
        if self.kind == "table":
            return rows(x, weight)
        bias = parameters[f"{self.name}.bias"]
        if self.kind == "rows":
            return rows(x, weight) + bias.unsqueeze(-2)
        if self.kind == "noisy" and noise is not None:
            scales = parameters[f"{self.name}.weight_scale"], parameters[f"{self.name}.bias_scale"]
            return affine(x, weight, bias) + deviation(x, *scales, noise[self.name])
        return affine(x, weight, bias)


def affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x @ weight + bias; [seeds, members, batch, inputs], with an axis of 1 where the members share their input."""
    seeds, members, inputs, outputs = weight.shape
    stacked = x.expand(-1, members, -1, -1).reshape(seeds * members, -1, inputs)
    product = torch.baddbmm(bias.reshape(-1, 1, outputs), stacked, weight.reshape(-1, inputs, outputs))
    return product.reshape(seeds, members, -1, outputs)


def rows(states: Tensor, weight: Tensor) -> Tensor:
    """weight[state]; [seeds, batch] -> [seeds, members, batch, outputs]."""
    seeds, members, count, outputs = weight.shape
    place = _checks.indices("observations", states, count)[:, None, :, None]
    return weight.gather(2, place.expand(seeds, members, -1, outputs))


def deviation(x: Tensor, weight_scale: Tensor, bias_scale: Tensor, noise: Tensor) -> Tensor:
    """What one draw of the noise adds to a layer: f(out) (S·(f(in) x) + s), which is (S∘(f(out) f(in)ᵀ))·x + s∘f(out).

    Two products of matrices: for the rows of a batch they take less time than building the noisy matrix does.
    """
    factors = factorised_noise(noise, torch.ones_like(noise[..., :1]))
    noise_in, noise_out = factors.tensor_split((weight_scale.shape[-2],), -1)
    return noise_out * affine(x * noise_in, weight_scale, bias_scale)
