"""QWR's aggregates of sampled values, on the last axis; all differentiable."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from accelerated import _checks

AGGREGATES = ("max", "mean", "log_mean_exp")


def log_mean_exp(q: Tensor, *, temperature: float) -> Tensor:
    """Shifted by the maximum; log1p and expm1 where the spread is small against t, the mean where it is lost in t."""
    temperature = _checks.scalar("temperature", temperature, "[0, inf]")
    return _aggregate(q, "log_mean_exp", temperature)


def max_aggregate(q: Tensor) -> Tensor:
    """Ties share the gradient evenly."""
    return _aggregate(q, "max", None)


def mean_aggregate(q: Tensor) -> Tensor:
    """Does not overflow where the sum would."""
    return _aggregate(q, "mean", None)


def _aggregate(q: Tensor, aggregate: str, temperature: float | None) -> Tensor:
    _checks.reals(q=q)
    _checks.not_empty("q", q)
    return aggregated(_checks.widened(q), aggregate=aggregate, temperature=temperature).to(q.dtype)


def aggregated(q: Tensor, *, aggregate: str, temperature: float | None) -> Tensor:
    """The aggregate by its name, of a widened `q` already checked."""
    _checks.choice("aggregate", aggregate, AGGREGATES)
    if aggregate == "max":
        return q.amax(-1)
    if aggregate == "mean":
        return soft_maximum(q, None, math.inf)
    return soft_maximum(q, None, _checks.scalar("temperature", temperature, "[0, inf]"))


def soft_maximum(q: Tensor, probability: Tensor | None, temperature: float) -> Tensor:
    """t·log Σ p·exp(q/t) of widened tensors, t in [0, inf]; p is uniform where None, and what it excludes is unread."""
    result: Tensor = _SoftMaximum.apply(q, probability, temperature)  # type: ignore[no-untyped-call]
    return result


def exponents(q: Tensor, shift: Tensor, temperature: float) -> Tensor:
    """(q − shift) / t without nan for any t in [0, inf]: 0 where q equals the shift, however infinite."""
    if temperature == math.inf:
        return torch.zeros_like(q)
    scale, scaled = _scaled(q, temperature)
    return torch.where(q == shift, 0.0, (q * scale - shift * scale) / scaled)


class _SoftMaximum(torch.autograd.Function):
    """Its gradient is the softmax; autograd would divide by t what it had multiplied by t, be t 0, inf or tiny."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, probability: Tensor | None, temperature: float) -> Tensor:
        supported = torch.ones_like(q, dtype=torch.bool) if probability is None else probability > 0
        q = torch.where(supported, q, -math.inf)
        highest = q.amax(-1)
        x = exponents(q, highest.unsqueeze(-1), temperature)
        if ctx.needs_input_grad[0]:
            weights = x.exp()  # with a probability no caller asks for the gradient
            ctx.save_for_backward(weights / weights.sum(-1, keepdim=True))
        lowest = torch.where(supported, q, math.inf).amin(-1)
        if temperature == math.inf:
            result = _mean(q, probability)
        else:
            result = _soft(x, probability, temperature, highest)
            if temperature > 1:  # else what x has lost to underflow is lost in the result too
                flat = exponents(lowest, highest, temperature) >= -torch.finfo(q.dtype).eps
                result = torch.where(flat, _mean(q, probability), result)
        return result.clamp(lowest, highest)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (weights,) = ctx.saved_tensors
        return gradient.unsqueeze(-1) * weights, None, None


def _soft(x: Tensor, probability: Tensor | None, temperature: float, highest: Tensor) -> Tensor:
    """max + t·log E exp(x), x <= 0 having a zero: near 1 the logarithm needs expm1, far from 1 it must not have it."""
    below = _expected(x.expm1(), probability)
    logarithm = torch.where(below > -0.5, below.log1p(), _expected(x.exp(), probability).log())
    scale, scaled = _scaled(highest, temperature)
    return (highest * scale + scaled * logarithm) / scale


def _mean(q: Tensor, probability: Tensor | None) -> Tensor:
    """Of values made smaller by a power of two, so that the sum does not overflow."""
    scale = 2.0 ** -q.shape[-1].bit_length()
    return _expected(q * scale, probability) / scale


def _expected(values: Tensor, probability: Tensor | None) -> Tensor:
    if probability is None:
        return values.mean(-1)
    return torch.where(probability > 0, probability * values, 0.0).sum(-1)


def _scaled(q: Tensor, temperature: float) -> tuple[float, float]:
    """A power of two, and t times it, against overflow of q − shift and of t; under a smaller t overflow is due."""
    largest = torch.finfo(q.dtype).max
    scale = 2.0**-64 if temperature > largest * 2.0**-28 else 1.0
    return scale, min(temperature * scale, largest)  # where this cuts t off, every quotient is lost against 1
