"""A finite model behind one face, dense [S, A, S] or CSR [S·A, S]: checked, widened, and asked for expectations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from accelerated import _checks

CHUNK = 2**20
"""Entries of a temporary table that is made a chunk of rows at a time."""


class Model(NamedTuple):
    """Widened; rewards [S, A]. Operators on models forbid gradients."""

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
    rewards = _checks.widened(reward).contiguous()
    if transition.layout == torch.strided:
        _checks.probabilities("transition", transition)
        return Model(_checks.widened(transition), rewards, rate)
    wide = _narrow_indices(transition)
    _check_rows_of_csr(wide, transition)
    return Model(wide, rewards, rate)


def _check_layout(transition: object) -> None:
    layout = getattr(transition, "layout", torch.strided)
    if layout not in (torch.strided, torch.sparse_csr):
        raise ValueError(f"transition must be dense or torch.sparse_csr; got {str(layout).removeprefix('torch.')}")


def _check_shapes(transition: Tensor, reward: Tensor, tables: dict[str, Tensor]) -> None:
    """The rewards say how many states and actions there are."""
    if reward.ndim != 2 or 0 in reward.shape:
        raise ValueError(f"{_checks.shown('reward', reward)}; reward must be [S, A] with at least one state and one action")
    states, actions = reward.shape
    rows = (states, actions) if transition.layout == torch.strided else (states * actions,)
    forms = {"transition": ((*rows, states), "[S, A, S], or [S·A, S] in CSR"), "value": ((states,), "[S]")}
    for name, table in {"transition": transition, **tables}.items():
        due, form = forms.get(name, ((states, actions), "[S, A]"))
        if table.shape != due:
            raise ValueError(f"{_checks.shown(name, table)}, {_checks.shown('reward', reward)}; {name} must be {form}")


def _narrow_indices(transition: Tensor) -> Tensor:
    """Widened, with 32-bit indices where they suffice: products are bound by memory."""
    rows, columns, entries = transition.crow_indices(), transition.col_indices(), transition.values()
    if max(entries.shape[0], *transition.shape) < 2**31:
        rows, columns = rows.int(), columns.int()
    shape = tuple(transition.shape)
    return torch.sparse_csr_tensor(rows, columns, _checks.widened(entries), shape, check_invariants=False)


def _check_rows_of_csr(wide: Tensor, transition: Tensor) -> None:
    if not _checks.values_are_checked():
        return
    _checks.not_negative("transition", wide)
    _checks.sum_to_one("transition", wide @ wide.values().new_ones(wide.shape[1]), transition)
