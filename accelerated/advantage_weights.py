"""Weights from advantages, constants for the gradient, and the loss that they weigh."""

import math

import torch
from torch import Tensor

from accelerated import _checks
from accelerated.aggregates import exponents, soft_maximum


@torch.no_grad()
def sampled_advantage(q: Tensor) -> Tensor:
    """The mean is that of `mean_aggregate`, which does not overflow."""
    _checks.reals(q=q)
    _checks.not_empty("q", q)
    wide = _checks.widened(q)
    return (wide - soft_maximum(wide, None, math.inf).unsqueeze(-1)).to(q.dtype)


@torch.no_grad()
def exponential_weights(advantage: Tensor, *, temperature: float, max_weight: float | None = None) -> Tensor:
    """The cap follows the exponential, and is held below the dtype's infinity."""
    _checks.reals(advantage=advantage)
    temperature = _checks.scalar("temperature", temperature, "(0, inf]")
    cap = math.inf if max_weight is None else _checks.scalar("max_weight", max_weight, "(0, inf]")
    wide = _checks.widened(advantage)
    weight = exponents(wide, torch.zeros_like(wide), temperature).exp()
    if cap < math.inf:
        weight = weight.clamp(max=min(cap, torch.finfo(advantage.dtype).max))
    return weight.to(advantage.dtype)


@torch.no_grad()
def normalized_weights(advantage: Tensor, *, temperature: float) -> Tensor:
    """Shifted by the maximum."""
    _checks.reals(advantage=advantage)
    _checks.not_empty("advantage", advantage)
    temperature = _checks.scalar("temperature", temperature, "(0, inf]")
    wide = _checks.widened(advantage)
    weight = exponents(wide, wide.amax(-1, keepdim=True), temperature).exp()
    return (weight / weight.sum(-1, keepdim=True)).to(advantage.dtype)


@torch.no_grad()
def improved_policy(behavior: Tensor, q: Tensor, *, temperature: float) -> Tensor:
    """Shifted at the largest product behavior·exp(q/t)."""
    _checks.reals(behavior=behavior, q=q)
    _checks.not_empty("behavior", behavior)
    _checks.aligned(behavior=behavior, q=q)
    _checks.probabilities("behavior", behavior)
    temperature = _checks.scalar("temperature", temperature, "(0, inf]")
    return _tilted(_checks.widened(behavior), _checks.widened(q), temperature).to(q.dtype)


def weighted_policy_loss(log_prob: Tensor, weight: Tensor) -> Tensor:
    """The weight is detached."""
    _checks.reals(log_prob=log_prob, weight=weight)
    _checks.aligned(log_prob=log_prob, weight=weight)
    _checks.not_negative("weight", weight)
    return -weight.detach() * log_prob


def _tilted(prior: Tensor, q: Tensor, temperature: float) -> Tensor:
    """prior·exp(q/t), normalised; what the prior excludes is unread."""
    possible = prior > 0
    q = torch.where(possible, q, -math.inf)
    product = exponents(q, q.amax(-1, keepdim=True), temperature) + prior.log()
    top = product.argmax(-1, keepdim=True)
    # relative to the largest product, whose prior may be tiny, and by halves: no factor leaves the range of the dtype
    half = (exponents(q, q.gather(-1, top), temperature) / 2).exp()
    share = prior * (2.0**-26 / torch.finfo(prior.dtype).tiny)
    weight = torch.where(possible, share * half / share.gather(-1, top) * half, 0.0)
    return weight / weight.sum(-1, keepdim=True)
