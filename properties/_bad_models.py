"""Models of the wrong shape: from a valid call of a tabular operator, each array of it with a shape that the others do not have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from properties._claim import Call

Spoilt = tuple[str, Call, str, str]
"""The rule, the call, and the name and the value that the message must show."""


def bad_models(names: Sequence[str], valid: Call) -> Iterator[Spoilt]:
    """`names` are those of the arguments: tables, values and policies, then transition and reward."""
    given = dict(zip(names, valid.arguments, strict=False))

    def spoilt(rule: str, name: str, shown: Any = None, **arrays: Any) -> Spoilt:
        value = str(arrays[name].shape) if shown is None else str(shown)
        return f"{name} {rule}", valid._replace(arguments=tuple((given | arrays).values())), name, value

    transition, (states, actions) = given["transition"], given["reward"].shape
    for name in given:
        if name != "transition":
            yield from (spoilt(rule, name, **{name: array}) for rule, array in _tables(given[name]))
    if states > 1:
        yield spoilt("of fewer states than the transition", "transition", transition.shape, reward=given["reward"][1:])
    if actions > 1:
        yield spoilt("of more actions than the reward", "transition", transition.shape, reward=given["reward"][:, 1:])
    for rule, matrix in _dense(transition) if isinstance(transition, np.ndarray) else _sparse(transition):
        yield spoilt(rule, "transition", transition=matrix)
    for rule, parts in _nothing(given, states, actions):
        yield rule, valid._replace(arguments=tuple(parts.values())), "shape", "(0" if "states" in rule else f"({states}, 0)"


def _tables(array: Any) -> Iterator[tuple[str, Any]]:
    """A table or a vector with an axis too many and too few, and an entry short on each."""
    yield "with an axis too many", array[..., None]
    yield "with an axis too few", array[..., 0]
    for axis in range(array.ndim):
        if array.shape[axis] > 1:
            yield f"an entry short on axis {axis}", np.delete(array, 0, axis)


def _dense(transition: Any) -> Iterator[tuple[str, Any]]:
    """An entry short on each axis, a successor that nothing reaches, and the rows as in the sparse form, all or one."""
    for axis in range(3):
        yield f"an entry short on axis {axis}", np.delete(transition, 0, axis)
    yield "with a successor too many", np.concatenate([transition, np.zeros_like(transition[..., :1])], axis=2)
    yield "with an axis too few", transition.reshape(-1, transition.shape[2])
    yield "with a row alone", transition[0, 0]
    yield "with an axis too many", transition[..., None, :]


def _sparse(transition: Any) -> Iterator[tuple[str, Any]]:
    """A row short, and a successor that nothing reaches."""
    rows, columns = transition.shape
    if rows > 1:
        yield "a row short", transition[1:]
    parts = (transition.data, transition.indices, transition.indptr)
    yield "with a successor too many", type(transition)(parts, shape=(rows, columns + 1))


def _nothing(given: dict[str, Any], states: int, actions: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """No states, or no actions: shapes that agree, of a model that there is not."""
    transition = given["transition"]
    tables = {name: array for name, array in given.items() if name != "transition"}
    if isinstance(transition, np.ndarray):
        yield "no states", given | {name: array[:0] for name, array in tables.items()} | {"transition": transition[:0, :, :0]}
    none = transition[:, :0] if isinstance(transition, np.ndarray) else transition[:0]
    yield "no actions", given | {name: array[:, :0] for name, array in tables.items() if array.ndim == 2} | {"transition": none}
