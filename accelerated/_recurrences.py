"""Backward linear recurrences over time that select at cuts: x_t = offset_t where cut, else offset_t + decay_t x_(t+1).

Time is the first axis here, and the last step must be cut. Products of decays are kept as mantissa and exponent: a long
product underflows before the term that it multiplies stops to matter, and 0 times infinity would then be NaN.
"""

from __future__ import annotations

from math import frexp, isqrt
from typing import NamedTuple

import torch
from torch import Tensor

SHORT_WINDOW = 16
"""Up to here one pass a step is cheaper than doubling."""


class _Maps(NamedTuple):
    """For each start, several steps at once: x -> offset where closed, else offset + mantissa 2^exponent x."""

    offset: Tensor
    mantissa: Tensor
    exponent: Tensor
    closed: Tensor


def solve(offset: Tensor, decay: Tensor, cut: Tensor) -> Tensor:
    """About sqrt(T) blocks of sqrt(T) steps: the blocks' totals, the carries between blocks, then the steps again."""
    steps = offset.shape[0]
    length = isqrt(steps - 1) + 1
    offset, decay, cut = (_blocks(x, length) for x in (offset, decay, cut))
    totals = _fill(offset, decay, cut, torch.zeros_like(offset[:, 0]))[:, 0]
    blocks = _Maps(totals, *_product(decay), cut.any(1))
    carry, carries = torch.zeros_like(totals[0]), []
    for one in reversed(range(totals.shape[0])):
        carries.append(carry)
        carry = _apply(_Maps(*(part[one] for part in blocks)), carry)
    return _fill(offset, decay, cut, torch.stack(carries[::-1])).flatten(0, 1)[:steps]


def solve_windows(offset: Tensor, decay: Tensor, cut: Tensor, last: Tensor, *, length: int) -> Tensor:
    """The recurrence stopped after `length` steps, the last of which gives `last`; long windows compose by doubling."""
    if length >= offset.shape[0]:
        return solve(offset, decay, cut)
    if length > SHORT_WINDOW:
        return _apply(_power(_Maps(offset, *torch.frexp(decay), cut), length - 1), _ahead(last, length - 1))
    found = last
    for _ in range(length - 1):
        found = torch.where(cut, offset, offset + decay * _ahead(found, 1))
    return found


def _blocks(x: Tensor, length: int) -> Tensor:
    """[T, ...] -> [blocks, length, ...]; what is added at the end lies beyond the last cut."""
    count = -(-x.shape[0] // length)
    beyond = x.new_zeros(count * length - x.shape[0], *x.shape[1:])
    return torch.cat([x, beyond]).reshape(count, length, *x.shape[1:])


def _fill(offset: Tensor, decay: Tensor, cut: Tensor, after: Tensor) -> Tensor:
    """Every block's steps from the value after the block, all blocks at once."""
    found = torch.empty_like(offset)
    for step in reversed(range(offset.shape[1])):
        after = torch.where(cut[:, step], offset[:, step], torch.addcmul(offset[:, step], decay[:, step], after))
        found[:, step] = after
    return found


def _product(decay: Tensor) -> tuple[Tensor, Tensor]:
    """The product over axis 1, by halves."""
    mantissa, exponent = torch.frexp(decay)
    while mantissa.shape[1] > 1:
        half = mantissa.shape[1] // 2
        paired, carried = torch.frexp(mantissa[:, :half] * mantissa[:, half : 2 * half])
        carried = carried + exponent[:, :half] + exponent[:, half : 2 * half]
        mantissa = torch.cat([paired, mantissa[:, 2 * half :]], 1)
        exponent = torch.cat([carried, exponent[:, 2 * half :]], 1)
    return mantissa[:, 0], exponent[:, 0]


def _power(step: _Maps, count: int) -> _Maps:
    """`count` consecutive steps from each start, count >= 1."""
    found, length = step, 1
    for bit in bin(count)[3:]:
        found, length = _join(found, found, length), 2 * length
        if bit == "1":
            found, length = _join(found, step, length), length + 1
    return found


def _join(first: _Maps, second: _Maps, length: int) -> _Maps:
    """First `first`, of `length` steps, then `second`."""
    second = _Maps(*(_ahead(part, length) for part in second))
    mantissa, exponent = torch.frexp(first.mantissa * second.mantissa)
    exponent = exponent + first.exponent + second.exponent
    return _Maps(_apply(first, second.offset), mantissa, exponent, first.closed | second.closed)


def _ahead(x: Tensor, steps: int) -> Tensor:
    """x at t + steps; zeros beyond the end, where a window is closed."""
    return torch.cat([x[steps:], torch.zeros_like(x[:steps])])


def _apply(maps: _Maps, x: Tensor) -> Tensor:
    """The maps at x; the power of two in three parts, because it may lie below the smallest number."""
    moved, left = maps.mantissa * x, maps.exponent
    least = frexp(torch.finfo(x.dtype).tiny)[1] - 1
    for _ in range(3):
        part = left.clamp(min=least)
        moved, left = moved * torch.exp2(part.to(x.dtype)), left - part
    return torch.where(maps.closed, maps.offset, maps.offset + moved)
