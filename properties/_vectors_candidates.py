"""The calls of which vectors are made: the catalogue's questions, and draws, each also rounded to the narrower types."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings

import reference
from properties._bounds import rounded
from properties._bugs import probes
from properties._claim import OPERATORS, Call
from properties._conventions import is_infinite
from properties._vectors import PROBE, Vector, digest
from properties._vectors_right import travels, worked_out
from properties._wire import call_of, named

DRAWS = 48
"""So many draws of each operator's inputs."""
STREAM = 20261
"""The seed of the draws."""
LARGEST = 256
"""Vectors hold at most so many numbers."""
EMPTY = "empty batch"


def candidates(operator: str) -> list[Vector]:
    """Every call that may become a vector, each once, with the reference's answer as the right one."""
    found: list[Vector] = []
    seen: set[str] = set()
    for call, is_probe in _calls(operator):
        call = call_of(operator, named(operator, call, defaults=True))  # a vector names every argument
        if not travels(operator, call) or (key := digest(operator, call)) in seen:
            continue
        seen.add(key)
        vector = worked_out(operator, call, exactly=False, is_probe=is_probe)
        if vector is not None and size_of(vector) <= LARGEST:
            found.append(vector)
    return found


def _calls(operator: str) -> Iterator[tuple[Call, bool]]:
    """Calls, and whether the catalogue asks them."""
    asked = [question for question in probes().get(operator, ()) if isinstance(question, Call)]
    drawn = _drawn(operator)
    for is_probe, calls in ((True, asked), (False, drawn)):
        for call in calls:
            for dtype in ("float64", "float32", "bfloat16"):
                yield Call(*rounded(tuple(call), dtype)), is_probe
    if OPERATORS[operator].batched:
        yield from ((empty, False) for call in drawn[:8] if (empty := _without_rows(operator, call)))


def _drawn(operator: str) -> list[Call]:
    """The same draws each time, by one version of Hypothesis."""
    calls: list[Call] = []

    def body(call: Call) -> None:
        calls.append(call)

    limits = settings(
        max_examples=DRAWS, database=None, deadline=None, derandomize=False, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    seed(STREAM)(limits(given(call=OPERATORS[operator].inputs)(body)))()
    return calls


def _without_rows(operator: str, call: Call) -> Call | None:
    """The call with no row in its batch, where all its arrays have the same leading axis."""
    shared = OPERATORS[operator].shared
    own = {name: value for name, value in named(operator, call).items() if isinstance(value, np.ndarray) and name not in shared}
    lengths = {value.shape[0] for value in own.values() if value.ndim}
    core = OPERATORS[operator].core
    first = next(iter(own.values()), np.zeros(()))
    if len(lengths) != 1 or first.ndim <= core or not all(value.ndim for value in own.values()):
        return None
    empty = {id(value): value[:0] for value in own.values()}
    keywords = {name: empty.get(id(value), value) for name, value in call.keywords.items()}
    return Call(tuple(empty.get(id(value), value) for value in call.arguments), keywords)


def size_of(vector: Vector) -> int:
    """How many numbers it takes and gives."""
    values = named(vector.operator, vector.call, defaults=True).values()
    return sum(_size(value) for value in values) + sum(part.size for part in vector.due)


def _size(value: Any) -> int:
    if hasattr(value, "indptr"):
        return int(value.data.size + value.indices.size + value.indptr.size)
    return sum(_size(item) for item in value) if isinstance(value, tuple) else int(np.size(value)) if value is not None else 0


# ------------------------------------------------------------------------------------------------------------------- flags
def flags_of(vector: Vector) -> tuple[str, ...]:
    """What is special about the inputs, as words."""
    values = named(vector.operator, vector.call, defaults=True)
    words = [word for name, value in values.items() for word in _words(name, value, _default(vector.operator, name))]
    words += ["infinite input"] * is_infinite(vector.call)
    words += ["infinite answer"] * any(not np.isfinite(part).all() for part in vector.due)
    words += [EMPTY] * any(part.size == 0 for part in vector.due)
    words += [PROBE] * vector.is_probe
    words += {3: ["exact in bfloat16"], 2: ["exact in float32"], 1: ["full mantissa"]}[len(vector.dtypes)]
    return tuple(dict.fromkeys(words))


def _default(operator: str, name: str) -> Any:
    return inspect.signature(getattr(reference, operator)).parameters[name].default


def _words(name: str, value: Any, default: Any) -> Iterator[str]:
    if isinstance(value, str | bool) or (value is None and default is not None):
        yield f"{name} {str(value).lower()}"
    elif isinstance(value, int | float):
        yield from (f"{name} {corner}" for corner in (0, 1) if value == corner)
    elif hasattr(value, "indptr"):
        yield f"{name} sparse"
    elif isinstance(value, np.ndarray):
        yield from _of_array(name, value)


def _of_array(name: str, value: np.ndarray[Any, Any]) -> Iterator[str]:
    if value.dtype.kind == "b" and value.any():
        yield f"{name} all" if value.all() else f"{name} some"
    elif value.dtype.kind == "f" and value.size > 1:
        rows = np.sort(value, axis=-1)
        yield from [f"{name} ties"] * bool((rows[..., 1:] == rows[..., :-1]).any())
    elif value.size == 1 and value.ndim:
        yield f"{name} of one"
