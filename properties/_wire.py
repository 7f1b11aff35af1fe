"""Calls and answers as messages: every argument under the contract's own name, so that a port in any language finds it.

Arrays are arrays. A number is an array without axes (its name is listed in the text `numbers`), a string is a text, None is listed
in `nones`. A sparse matrix is its parts, `transition.data`, `.indices`, `.indptr`, `.shape` (listed in `sparse`). A generator is a
seed (listed in `seeds`). A function is listed in `functions` as `name:Kind` where its kind is one of _functions.py, its fields then
being `name.field`; or as `name` alone, a function that can only be asked.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse

import reference
from properties import _functions as functions
from properties._claim import Call, Seeded
from properties._frames import CannotTravel, Message

LISTS = ("numbers", "nones", "sparse", "seeds", "functions")
"""Texts that list names, separated by spaces."""
TEXT = "text:"
"""The text `text:over` is the string that the argument `over` is."""
KINDS = {kind.__name__: kind for kind in (functions.Linear, functions.Tent, functions.Raised, functions.Hill, functions.Slope)}


def named(operator: str, call: Call, *, defaults: bool = False) -> dict[str, Any]:
    """The arguments of a call by the contract's names; with those that have a default and were not given, if wanted."""
    if not hasattr(reference, operator):
        raise CannotTravel(f"{operator} is no operator, and its calls have no names for their arguments")
    try:
        bound = inspect.signature(getattr(reference, operator)).bind(*call.arguments, **call.keywords)
    except TypeError as error:
        raise CannotTravel(f"{operator}: {error}") from error
    if defaults:
        bound.apply_defaults()
    return dict(bound.arguments)


def call_of(operator: str, values: Mapping[str, Any]) -> Call:
    """The call with these arguments, keyword-only ones as keywords."""
    keyword_only = inspect.Parameter.KEYWORD_ONLY
    places = inspect.signature(getattr(reference, operator)).parameters
    keywords = {name: values[name] for name, place in places.items() if name in values and place.kind is keyword_only}
    return Call(tuple(values[name] for name in places if name in values and name not in keywords), keywords)


def encoded(values: Mapping[str, Any]) -> Message:
    """Named values as a message; CannotTravel for one that none of the kinds above is."""
    writer = _Writer()
    for name, value in values.items():
        writer.put(name, value)
    lists = {kind: " ".join(sorted(names)) for kind, names in writer.lists.items() if names}
    return Message(writer.texts | lists, writer.arrays)


class _Writer:
    """A message in the making."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.arrays: dict[str, np.ndarray[Any, Any]] = {}
        self.lists: dict[str, list[str]] = {kind: [] for kind in LISTS}

    def put(self, name: str, value: Any) -> None:
        """One value."""
        if value is None:
            self.lists["nones"].append(name)
        elif isinstance(value, str):
            self.texts[TEXT + name] = value
        elif isinstance(value, bool | int | float) and not isinstance(value, np.generic):
            self.lists["numbers"].append(name)
            self.arrays[name] = _number(name, value)
        elif isinstance(value, Seeded | np.random.Generator):
            self.lists["seeds"].append(name)
            self.arrays[name] = np.asarray(value.seed if isinstance(value, Seeded) else value.integers(2**63), dtype=np.int64)
        elif getattr(value, "format", None) == "csr":
            self.lists["sparse"].append(name)
            parts = {"data": value.data, "indices": value.indices, "indptr": value.indptr, "shape": np.array(value.shape)}
            self.arrays |= {f"{name}.{part}": array for part, array in parts.items()}
        elif callable(value):
            self._put_function(name, value)
        elif isinstance(value, np.ndarray | np.generic):
            self.arrays[name] = np.asarray(value)
        else:
            raise CannotTravel(f"{name} is a {type(value).__name__}, which no message carries")

    def _put_function(self, name: str, value: Any) -> None:
        kind = type(value).__name__
        if KINDS.get(kind) is not type(value):
            self.lists["functions"].append(name)
            return
        self.lists["functions"].append(f"{name}:{kind}")
        for part, item in zip(value._fields, value, strict=True):
            self.put(f"{name}.{part}", item)


def _number(name: str, value: float | int | bool) -> np.ndarray[Any, Any]:
    """0-dimensional: BOOL, I64 or F64."""
    try:
        return np.asarray(value, dtype=np.bool_ if isinstance(value, bool) else np.int64 if isinstance(value, int) else np.float64)
    except OverflowError as error:
        raise CannotTravel(f"{name} must be a 64-bit number; got {value}") from error


def decoded(message: Message) -> dict[str, Any]:
    """The named values of a message, as they were encoded; seeds come back as Seeded, functions of no known kind not at all."""
    lists = {kind: message.texts.get(kind, "").split() for kind in LISTS}
    values: dict[str, Any] = dict(message.arrays)
    values |= {name.removeprefix(TEXT): text for name, text in message.texts.items() if name.startswith(TEXT)}
    values |= {name: None for name in lists["nones"]}
    values |= {name: message.arrays[name].item() for name in lists["numbers"]}
    values |= {name: Seeded(int(message.arrays[name])) for name in lists["seeds"]}
    for name in lists["sparse"]:
        data, indices, indptr, shape = (values.pop(f"{name}.{part}") for part in ("data", "indices", "indptr", "shape"))
        values[name] = scipy.sparse.csr_array((data, indices, indptr), shape=tuple(shape.tolist()))
    for listed in sorted((each for each in lists["functions"] if ":" in each), key=lambda each: -each.count(".")):
        name, _, kind = listed.partition(":")
        values[name] = KINDS[kind](**{part: values.pop(f"{name}.{part}") for part in KINDS[kind]._fields})
    return values


def results_of(answer: Any) -> dict[str, np.ndarray[Any, Any]]:
    """The results of one answer as arrays named 0, 1, ..."""
    parts = tuple(answer) if isinstance(answer, tuple) else (answer,)
    return {str(place): np.asarray(part) for place, part in enumerate(parts)}
