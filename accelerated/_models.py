"""A finite model behind one face, dense [S, A, S] or CSR [S·A, S]: checked, widened, and asked for expectations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from accelerated import _checks

CHUNK = 2**22
"""Entries of a temporary table that is made a chunk of rows at a time."""


class Model(NamedTuple):
    """Widened and without gradient; rewards [S, A]."""

    transition: Tensor
    reward: Tensor
    discount: float

    @property
    def is_dense(self) -> bool:
        return self.transition.layout == torch.strided

    def action_values(self, value: Tensor) -> Tensor:
        """R + discount·P V, [S, A]."""
        return self.reward.add(self.expected(value), alpha=self.discount)

    def expected(self, value: Tensor) -> Tensor:
        """P V, [S, A]: one matrix-vector product."""
        return (self.transition @ value).reshape(self.reward.shape)

    def successors(self, columns: int) -> Iterator[tuple[slice, Tensor, Tensor]]:
        """Chunks of the S·A rows, each with its states and probabilities [rows, K]; `columns` more per entry."""
        if self.is_dense:
            table = self.transition.flatten(0, 1)
            everyone = torch.arange(table.shape[1], device=table.device)
            for rows in chunks(table.shape[0], table.shape[1] * columns):
                yield rows, everyone.expand_as(table[rows]), table[rows]
            return
        starts, entries = self.transition.crow_indices().long(), self.transition.values()
        states = self.transition.col_indices().long()
        longest = int(starts.diff().max())
        slots = torch.arange(longest, device=entries.device)
        for rows in chunks(starts.shape[0] - 1, longest * columns):
            place = starts[:-1][rows, None] + slots
            inside = place < starts[1:][rows, None]
            place = place.clamp(max=entries.shape[0] - 1)
            yield rows, states[place], torch.where(inside, entries[place], 0.0)


def chunks(rows: int, width: int) -> Iterator[slice]:
    """Slices of `rows` rows such that a temporary table of `width` columns stays within CHUNK entries."""
    size = max(1, CHUNK // width)
    return (slice(start, start + size) for start in range(0, rows, size))


def model(transition: Tensor, reward: Tensor, discount: object, interval: str = "[0, 1]", **tables: Tensor) -> Model:
    """The model, after every check; `tables` are the operator's other arrays: value [S], all others [S, A]."""
    _check_layout(transition)
    _checks.reals(**tables, transition=transition, reward=reward)
    rate = _checks.scalar("discount", discount, interval)
    _check_shapes(transition, reward, tables)
    for name in ("policy", "prior", "behavior"):
        if name in tables:
            _checks.probabilities(name, tables[name])
    rewards = _checks.widened(reward.detach()).contiguous()
    if transition.layout == torch.strided:
        _checks.probabilities("transition", transition)
        return Model(_checks.widened(transition.detach()), rewards, rate)
    wide = _narrow_indices(transition.detach())
    _check_rows_of_csr(wide, transition.dtype)
    return Model(wide, rewards, rate)


def _check_layout(transition: object) -> None:
    layout = getattr(transition, "layout", torch.strided)
    if layout not in (torch.strided, torch.sparse_csr):
        raise ValueError(f"transition must be dense or torch.sparse_csr; got {str(layout).removeprefix('torch.')}")


def _check_shapes(transition: Tensor, reward: Tensor, tables: dict[str, Tensor]) -> None:
    """The first array says how many states there are; of the others, the odd one out is named."""
    first, like = next(iter(tables.items()), ("reward", reward))
    dense = transition.layout == torch.strided
    form = "[S, A, S]" if dense else "[S·A, S]"
    _checks.not_empty(first, like)
    if like.ndim != (1 if first == "value" else 2) or like.shape[0] == 0:
        raise ValueError(f"{_checks.shown(first, like)}; {first} must be {'[S]' if first == 'value' else '[S, A]'}")
    states = like.shape[0]
    if transition.ndim != (3 if dense else 2) or transition.shape[-1] != states:
        _disagree("transition", transition, first, like, form)
    _checks.not_empty("reward", reward)
    of_actions = {name: table for name, table in {**tables, "reward": reward}.items() if name != "value"}
    due = (states, transition.shape[1] if dense else transition.shape[0] // states)
    shapes = {tuple(table.shape) for table in of_actions.values()}
    if len(shapes) == 1 and reward.ndim == 2 and reward.shape[0] == states:
        due = (states, reward.shape[1])
    if tuple(transition.shape) != ((*due, states) if dense else (due[0] * due[1], states)):
        _disagree("transition", transition, "reward", reward, form)
    for name, table in of_actions.items():
        if tuple(table.shape) != due:
            _disagree(name, table, "transition", transition, "[S, A]")


def _disagree(name: str, tensor: Tensor, other: str, like: Tensor, form: str) -> None:
    raise ValueError(f"{_checks.shown(name, tensor)}, {_checks.shown(other, like)}; {name} must be {form}")


def _narrow_indices(transition: Tensor) -> Tensor:
    """Widened, with 32-bit indices where they suffice: products are bound by memory."""
    rows, columns, entries = transition.crow_indices(), transition.col_indices(), transition.values()
    if max(entries.shape[0], *transition.shape) < 2**31:
        rows, columns = rows.int(), columns.int()
    shape = tuple(transition.shape)
    return torch.sparse_csr_tensor(rows, columns, _checks.widened(entries), shape, check_invariants=False)


def _check_rows_of_csr(wide: Tensor, dtype: torch.dtype) -> None:
    if not _checks.values_are_checked():
        return
    _checks.not_negative("transition", wide)
    sums = wide @ wide.values().new_ones(wide.shape[1])
    slack = (wide.shape[1] + 1) * torch.finfo(dtype).eps / 2
    _checks.each("transition", sums, (sums - 1).abs() <= slack, "must sum to 1 along the last axis")
