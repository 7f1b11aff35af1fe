"""Probabilities of actions that explore, the noise of layers that explore, and draws from both."""

from typing import NamedTuple

import torch
from torch import Tensor

from accelerated import _checks
from accelerated.aggregates import exponents


class LayerNoise(NamedTuple):
    """One draw for a noisy layer, [I] and [O]."""

    noise_in: Tensor
    noise_out: Tensor


@torch.no_grad()
def greedy(q: Tensor) -> Tensor:
    """1/k on each of k maximisers; [..., A] -> [..., A]."""
    _check_actions(q)
    return _greedy(_checks.widened(q)).to(q.dtype)


@torch.no_grad()
def epsilon_greedy(q: Tensor, *, epsilon: float, over: str = "all") -> Tensor:
    """(1 − ε)·greedy + ε·(uniform over all, or over the others than the one preferred); [..., A] -> [..., A]."""
    return _epsilon_greedy(q, epsilon, over).to(q.dtype)


@torch.no_grad()
def boltzmann(q: Tensor, *, temperature: float) -> Tensor:
    """exp(q/t) / Σ exp(q/t), shifted by the maximum; [..., A] -> [..., A]."""
    return _boltzmann(q, temperature).to(q.dtype)


@torch.no_grad()
def factorised_noise(noise_in: Tensor, noise_out: Tensor) -> Tensor:
    """f(out)_o·f(in)_i with f(x) = sign(x)·√|x|; [..., I], [..., O] -> [..., O, I]."""
    data = {"noise_in": noise_in, "noise_out": noise_out}
    _checks.reals(**data)
    for name, noise in data.items():
        _checks.not_empty(name, noise)
    if noise_in.shape[:-1] != noise_out.shape[:-1]:
        found = f"{_checks.shown('noise_out', noise_out)}, {_checks.shown('noise_in', noise_in)}"
        raise ValueError(f"{found}; they must be equal before the last axis")
    return _factorised(_checks.widened(noise_in), _checks.widened(noise_out)).to(noise_in.dtype)


def noisy_linear(
    x: Tensor,
    weight: Tensor,
    weight_scale: Tensor,
    bias: Tensor,
    bias_scale: Tensor,
    noise_in: Tensor,
    noise_out: Tensor,
) -> Tensor:
    """(W + S∘(f(out) f(in)ᵀ))·x + b + s∘f(out), one product of matrices; x [..., I], weight [O, I] -> [..., O]."""
    layer = {"weight": weight, "weight_scale": weight_scale, "bias": bias, "bias_scale": bias_scale}
    layer |= {"noise_in": noise_in, "noise_out": noise_out}
    _checks.reals(x=x, **layer)
    _checks.not_empty("x", x)
    _checks.dimensions(layer, "OI", "OI", "O", "O", "I", "O")
    if x.shape[-1] != weight.shape[-1]:
        raise ValueError(f"{_checks.shown('x', x)}, {_checks.shown('weight', weight)}; x must be [..., I] where weight is [O, I]")
    with torch.no_grad():
        noise = _factorised(_checks.widened(noise_in), _checks.widened(noise_out))
        shift = _rooted(_checks.widened(noise_out))
    matrix = _checks.widened(weight) + _checks.widened(weight_scale) * noise
    offset = _checks.widened(bias) + _checks.widened(bias_scale) * shift
    return torch.nn.functional.linear(_checks.widened(x), matrix, offset).to(x.dtype)


@torch.no_grad()
def sample_epsilon_greedy(q: Tensor, *, epsilon: float, over: str = "all", generator: torch.Generator) -> Tensor:
    """One action of each row, as often as `epsilon_greedy` says; [..., A] -> int64 [...]."""
    return _drawn(_epsilon_greedy(q, epsilon, over), _checks.generator(generator, "q", q))


@torch.no_grad()
def sample_boltzmann(q: Tensor, *, temperature: float, generator: torch.Generator) -> Tensor:
    """One action of each row, as often as `boltzmann` says; [..., A] -> int64 [...]."""
    return _drawn(_boltzmann(q, temperature), _checks.generator(generator, "q", q))


@torch.no_grad()
def sample_layer_noise(inputs: int, outputs: int, *, generator: torch.Generator) -> LayerNoise:
    """Standard normal, on the device of the generator; [inputs], [outputs]."""
    sizes = _checks.integer("inputs", inputs, minimum=1), _checks.integer("outputs", outputs, minimum=1)
    source = _checks.generator(generator)
    return LayerNoise(*(torch.randn(size, generator=source, device=source.device) for size in sizes))


def _check_actions(q: Tensor) -> None:
    _checks.reals(q=q)
    _checks.not_empty("q", q)


def _greedy(q: Tensor) -> Tensor:
    best = (q == q.amax(-1, keepdim=True)).to(q.dtype)
    return best / best.sum(-1, keepdim=True)


def _epsilon_greedy(q: Tensor, epsilon: float, over: str) -> Tensor:
    """Not rounded to a half type, for the draws."""
    _check_actions(q)
    epsilon = _checks.scalar("epsilon", epsilon, "[0, 1]")
    _checks.choice("over", over, ("all", "others"))
    preferred, actions = _greedy(_checks.widened(q)), q.shape[-1]
    if over == "all":
        return (1 - epsilon) * preferred + epsilon / actions
    if actions == 1:  # there are no others
        return preferred
    return (1 - epsilon) * preferred + epsilon / (actions - 1) * (1 - preferred)


def _boltzmann(q: Tensor, temperature: float) -> Tensor:
    """Not rounded to a half type, for the draws."""
    _check_actions(q)
    temperature = _checks.scalar("temperature", temperature, "[0, inf]")
    wide = _checks.widened(q)
    if temperature == 0:
        return _greedy(wide)
    weight = exponents(wide, wide.amax(-1, keepdim=True), temperature).exp()
    return weight / weight.sum(-1, keepdim=True)


def _factorised(noise_in: Tensor, noise_out: Tensor) -> Tensor:
    return _rooted(noise_out).unsqueeze(-1) * _rooted(noise_in).unsqueeze(-2)


def _rooted(noise: Tensor) -> Tensor:
    return noise.abs().sqrt().copysign(noise)


def _drawn(probability: Tensor, generator: torch.Generator) -> Tensor:
    """A race of exponential clocks: the first to ring is i with probability p_i, and what has none never rings."""
    clock = torch.empty_like(probability).exponential_(generator=generator)
    return (probability / clock.clamp_(min=torch.finfo(clock.dtype).tiny)).argmax(-1)  # some clocks can draw 0
