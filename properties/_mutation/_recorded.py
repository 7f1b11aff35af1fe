"""Calls recorded once, with the reference's answers and the derived bounds: what most mutants fail at, in a millisecond each."""

from __future__ import annotations

import hashlib
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from properties._bad_inputs import Bad, bad_calls
from properties._bounds import rounded
from properties._claim import OPERATORS, Call, Refuted
from properties._mutation._code import cached, forget, live
from properties._mutation._source import functions
from properties._ports import Port
from properties._trial import Trial, first, travelling, widened
from properties.agreement import _due, _results

MANY = {"float64": 24, "float32": 8, "bfloat16": 8}
"""Calls of each operator in each dtype: values in the widest tell mistakes apart, the others show where widening is left out."""
SPOILT = 3
"""Valid calls that are spoilt in every way."""

Reached = frozenset[tuple[str, str]]


@dataclass
class Item:
    """One call, and what is due: values within bounds, or the shape and type alone where the answer is drawn, or a rejection."""

    operator: str
    dtype: str
    call: Call
    due: tuple[Any, ...] = ()
    bounds: tuple[Any, ...] | None = None
    bad: Bad | None = None
    reached: Reached = field(default_factory=frozenset)

    @property
    def name(self) -> str:
        """What a report calls it."""
        return f"recorded {'bad call' if self.bad else 'call'}"


class Tracer:
    """Which functions of the package run meanwhile."""

    def __init__(self, package: str) -> None:
        self._known: dict[CodeType, tuple[str, str]] = {}
        modules = set()
        for function in functions(package):
            self._known[live(function.module, function.name).__code__] = (function.module, function.name)
            modules.add(function.module)
        self._caches = [clear for module in sorted(modules) for clear in cached(module)]

    @contextmanager
    def watching(self) -> Iterator[set[tuple[str, str]]]:
        """The set grows while the block runs."""
        found: set[tuple[str, str]] = set()
        known = self._known

        def look(frame: Any, event: str, _: Any) -> None:
            if event == "call" and frame.f_code in known:
                found.add(known[frame.f_code])

        forget(self._caches)
        sys.setprofile(look)
        try:
            yield found
        finally:
            sys.setprofile(None)


def record(port: Port, tracer: Tracer) -> list[Item]:
    """Every operator's calls in every dtype of the port; a call that the sound package gets wrong is a broken suite."""
    items = []
    for name, operator in OPERATORS.items():
        if operator.stateful or not port.offers(name):
            continue
        for dtype in port.dtypes:
            if dtype in operator.widths:
                items += list(_of_operator(port.using(dtype, port.device), name, tracer))
    return items


def _of_operator(port: Port, name: str, tracer: Tracer) -> Iterator[Item]:
    trial = Trial(port, name)
    calls = [
        Call(*rounded(tuple(call), port.dtype)) for call in _drawn(OPERATORS[name].inputs, MANY[port.dtype], name + port.dtype)
    ]
    items = [_expected(trial, call) for call in calls]
    if port.dtype == port.dtypes[0]:
        bads = [bad for call in calls[-SPOILT:] for bad in bad_calls(name, call)]
        items += [Item(name, port.dtype, bad.call, bad=bad) for bad in bads]
    for item in items:
        with tracer.watching() as found:
            wrong = refutation(item, port)
        if wrong:
            raise RuntimeError(f"the sound package fails a {item.name} of {name} in {port.dtype}: {wrong}")
        item.reached = frozenset(found)
        yield item


def _drawn(strategy: st.SearchStrategy[Call], many: int, key: str) -> list[Call]:
    """The same calls in every run."""
    found: list[Call] = []
    limits = settings(
        max_examples=many, database=None, deadline=None, derandomize=False, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    stream = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")

    def keep(call: Call) -> None:
        found.append(call)

    seed(stream)(limits(given(strategy)(keep)))()
    return found


def _expected(trial: Trial, call: Call) -> Item:
    with np.errstate(all="ignore"):
        if OPERATORS[trial.subject].compared:
            return Item(trial.subject, trial.dtype, call, *_due(trial, call))
        due = trial.reference(call)
    return Item(trial.subject, trial.dtype, call, due if isinstance(due, tuple) else (due,))


def refutation(item: Item, port: Port) -> str:
    """Why the port's answer is wrong; empty if it is right."""
    trial = Trial(port, item.operator)
    try:
        with np.errstate(all="ignore"):
            _rejected(trial, item.bad) if item.bad else _right(trial, item)
    except Exception as error:  # what the sound package answers must not be declined either
        return f"{type(error).__name__}: {error}"
    return ""


def _right(trial: Trial, item: Item) -> None:
    answer = trial.bare(Call(*travelling(tuple(item.call), trial.port.native)))
    kind = np.asarray(first(answer)).dtype
    arrays = any(isinstance(a, np.ndarray) and a.dtype.kind == "f" for a in item.call.arguments)
    wide = _results(widened(answer), len(item.due))
    if np.asarray(item.due[0]).dtype.kind == "i":
        trial.holds(kind.kind == "i", "the result must be integers")
    elif arrays:
        trial.holds(kind == trial.port.native, f"the result must be {np.dtype(trial.port.native)}")
        if trial.dtype == "bfloat16":
            for found in wide:
                trial.equal(found, rounded(found, "bfloat16"), 0.0)
    if item.bounds is not None:
        for found, due, bound in zip(wide, item.due, item.bounds, strict=True):
            trial.equal(found, due, bound)
    elif [np.shape(one) for one in wide] != [np.shape(one) for one in item.due]:
        raise Refuted("the result has another shape")


def _rejected(trial: Trial, bad: Bad) -> None:
    answer = trial.outcome(bad.call)
    trial.holds(isinstance(answer, ValueError), "must raise ValueError")
    text = str(answer)
    trial.holds(re.search(rf"\b{bad.name}\b", text) is not None, f"must name {bad.name}")
    trial.holds(bad.value in text and "must" in text, "must show the value and the rule")


# ------------------------------------------------------------------------------------------------------------ reached
def reached_by(port: Port, name: str, items: Sequence[Item], tracer: Tracer, tried: Callable[[], Any]) -> set[tuple[str, str]]:
    """All that an operator's calls run: the recorded ones, their gradients, and (of an object) what its claims do."""
    found = {function for item in items for function in item.reached}
    with tracer.watching() as more:
        for item in items:
            if item.bad is None and item.dtype == port.dtype:
                _differentiated(port, item)
        if OPERATORS[name].stateful:
            tried()
    return found | more


def _differentiated(port: Port, item: Item) -> None:
    """Its gradient in every array argument; what cannot be differentiated is left."""
    places: list[int | str] = [i for i, value in enumerate(item.call.arguments) if _floats(value)]
    places += [name for name, value in item.call.keywords.items() if _floats(value)]
    trial = Trial(port, item.operator)
    for place in places:
        try:
            with np.errstate(all="ignore"):
                trial.derivative(place, *item.call.arguments, **item.call.keywords)
        except Exception:  # an operator without a gradient there
            continue


def _floats(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f" and not inspect.isfunction(value)
