"""Expectiles of finite distributions, and the two losses that are mistaken for each other."""

import math

import torch
from torch import Tensor

from accelerated import _checks


def expectile_loss(error: Tensor, *, expectile: float) -> Tensor:
    """Selects the factor by the sign of the error."""
    _checks.reals(error=error)
    upper = _checks.scalar("expectile", expectile, "(0, 1)")
    wide = _checks.widened(error)
    return (torch.where(wide < 0, (1 - upper) * wide, upper * wide) * wide).to(error.dtype)


def pinball_loss(error: Tensor, *, quantile: float) -> Tensor:
    """Selects the slope by the sign of the error."""
    _checks.reals(error=error)
    upper = _checks.scalar("quantile", quantile, "(0, 1)")
    wide = _checks.widened(error)
    return torch.where(wide < 0, (upper - 1) * wide, upper * wide).to(error.dtype)


def expectile(values: Tensor, weights: Tensor | None = None, *, expectile: float) -> Tensor:
    """Sorts, finds the segment from cumulative sums in which nothing cancels, and solves the linear equation there."""
    data = {"values": values} if weights is None else {"values": values, "weights": weights}
    _checks.reals(**data)
    _checks.not_empty("values", values)
    _checks.aligned(**data)
    if weights is not None:
        _checks.weights("weights", weights)
    upper = _checks.scalar("expectile", expectile, "(0, 1)")
    wide, mass = _supported(_checks.widened(values), weights)
    infinite = torch.where(wide.isfinite(), 0.0, wide).sum(-1)  # inf, -inf, nan where both, else 0: what IEEE adds up
    return (_finite(wide.nan_to_num(0.0, 0.0, 0.0), mass, upper) + infinite).to(values.dtype)


def _supported(values: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
    """Weights with largest entry 1; a value without weight becomes the largest value that has some."""
    if weights is None:
        return values, torch.ones_like(values)
    mass = _checks.widened(weights)
    highest = torch.where(mass > 0, values, -torch.inf).amax(-1, keepdim=True)
    return torch.where(mass > 0, values, highest), mass / mass.amax(-1, keepdim=True)


def _finite(values: Tensor, mass: Tensor, upper: float) -> Tensor:
    """The root of upper·E(v − e)⁺ − lower·E(e − v)⁺, which is linear between neighbouring values."""
    scale = _power_of_two(values)
    values, order = (values / scale).sort(-1)
    mass = mass.gather(-1, order)
    smallest = torch.finfo(values.dtype).tiny
    upper, lower = max(upper, smallest), max(1 - upper, smallest)  # neither may vanish in the dtype of the values
    up_to, from_on = mass.cumsum(-1), mass.flip(-1).cumsum(-1).flip(-1)
    gap = values.diff(dim=-1)
    none = torch.zeros_like(values[..., :1])
    above = torch.cat([(gap * from_on[..., 1:]).flip(-1).cumsum(-1).flip(-1), none], -1)  # E(v − v_k)⁺
    below = torch.cat([none, (gap * up_to[..., :-1]).cumsum(-1)], -1)  # E(v_k − v)⁺
    surplus = upper * above - lower * below  # falls with k; the root lies after its last entry >= 0
    slope = upper * torch.cat([from_on[..., 1:], none], -1) + lower * up_to
    k = (surplus >= 0).sum(-1, keepdim=True) - 1
    root = values.gather(-1, k) + surplus.gather(-1, k) / slope.gather(-1, k)
    return (torch.minimum(root, values[..., -1:]) * scale).squeeze(-1)


def _power_of_two(values: Tensor) -> Tensor:
    """Brings a row into [-2, 2] without rounding, so that no gap overflows and no product with a weight underflows."""
    smallest = math.frexp(torch.finfo(values.dtype).tiny)[1]
    exponent = values.detach().abs().amax(-1, keepdim=True).frexp().exponent.clamp(min=smallest)
    return (exponent - 1).to(values.dtype).exp2()
