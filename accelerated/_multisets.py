"""Expectations over n independent draws from a finite distribution, by counting draws instead of listing them."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from accelerated._models import chunks


def expected_maximum(q: Tensor, probability: Tensor, samples: int) -> Tensor:
    """E max of `samples` draws, [S, A] -> [S]: by order statistics.

    With C the cumulated probabilities of the sorted values, value j is the maximum with probability
    C_j^n − C_(j−1)^n. Written as p_j Σ_i C_j^i C_(j−1)^(n−1−i) nothing cancels.
    """
    ordered, order = q.sort(-1)
    chance = probability.gather(-1, order)
    upto = chance.cumsum(-1)
    below = torch.cat([torch.zeros_like(upto[..., :1]), upto[..., :-1]], -1)
    total, power = torch.ones_like(chance), torch.ones_like(chance)
    for _ in range(samples - 1):
        power = power * below
        total = total * upto + power
    return torch.where(chance > 0, chance * total * ordered, 0.0).sum(-1)


def expected_over_draws(q: Tensor, probability: Tensor, samples: int, aggregate: Callable[[Tensor], Tensor]) -> Tensor:
    """E of a symmetric aggregate of `samples` draws, [S, A] -> [S]: over multisets, each as often as it is drawn."""
    draws, counts = multisets(q.shape[-1], samples, q.device)
    counts = counts.to(q.dtype)
    found = []
    for rows in chunks(q.shape[0], draws.numel()):
        chance = counts * probability[rows][:, draws].prod(-1)
        found.append(torch.where(chance > 0, chance * aggregate(q[rows][:, draws]), 0.0).sum(-1))
    return torch.cat(found)


def multisets(kinds: int, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Every non-decreasing sequence [M, size] of indices below `kinds`, and the number [M] of its rearrangements."""
    draws = torch.arange(kinds, device=device)[:, None]
    run, repeats = torch.ones_like(draws[:, 0]), torch.ones_like(draws[:, 0])
    for _ in range(size - 1):
        last = draws[:, -1]
        choices = kinds - last
        parent = torch.arange(len(draws), device=device).repeat_interleave(choices)
        offset = torch.arange(len(parent), device=device) - (choices.cumsum(0) - choices)[parent]
        run = torch.where(offset == 0, run[parent] + 1, 1)
        repeats = repeats[parent] * run
        draws = torch.cat([draws[parent], (last[parent] + offset)[:, None]], -1)
    return draws, math.factorial(size) // repeats
