"""A trial: the port as a claim sees it, and the comparisons that can refute the claim."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from properties._bounds import COMPUTED_IN, UNIT, Floats, gamma, rounded, stored
from properties._claim import RECORDS, Absent, Call, Declined, Died, NotAsked, Refuted, Seeded
from properties._conventions import OtherConvention
from properties._paste import as_python
from properties._ports import REFERENCE, Port
from properties._stateful import Held

RATIO_BINS = 16
"""Comparisons are counted by their largest error/bound: none, below 2^-13, from there to 1 by powers of two, and beyond."""


class Clock:
    """When the running call of the port began (0 between calls): lets the runner tell a hanging port from a slow claim."""

    value: float = 0.0


class Trial:
    """One claim against one operator of a port.

    `trial.gae(...)` calls the port's gae if gae is the subject, the reference's otherwise; `trial("gae", ...)` returns the value
    *and* its derived error bound. Results come back as float64 arrays. `equal`, `at_most` and `holds` are the only ways to refute.
    """

    def __init__(self, port: Port, subject: str, *, clock: Any = None, journal: Path | None = None, salt: int = 0) -> None:
        self.port, self.subject, self.salt = port, subject, salt
        self.dtype = port.dtype
        self.unit = UNIT[COMPUTED_IN[port.dtype]]
        self.calls: list[tuple[str, Call]] = []
        self.answers: list[tuple[Call, Any]] = []
        self.evidence: list[dict[str, Any]] = []
        self.refuted: Refuted | None = None
        self.worst, self.last_ratio, self.examples, self.asked, self.answered = 0.0, 0.0, 0, 0, 0
        self.ratios = [0] * RATIO_BINS
        self.clock = clock or Clock()
        self._journal = journal

    # ------------------------------------------------------------------ calling
    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *arguments, **keywords: self._call(name, Call(arguments, keywords))

    def __call__(self, name: str, *arguments: Any, **keywords: Any) -> tuple[Any, Floats]:
        """The (first) result of an operator and the bound on its error; all results and theirs, where each has a bound."""
        result = self._call(name, Call(arguments, keywords))
        bound = self.error(name, result, *arguments, **keywords)
        return (result if isinstance(bound, tuple) else first(result)), bound

    def error(self, name: str, value: Any, *arguments: Any, **keywords: Any) -> Any:
        """The derived bound on the error of a result `value` of this call, in the subject's dtype or the reference's float64."""
        dtype = self.dtype if name == self.subject else "float64"
        derived = self.port.bound(name) if name == self.subject else RECORDS[name].bound
        bound = derived(UNIT[COMPUTED_IN[dtype]], *rounded(arguments, dtype), **rounded(keywords, dtype))
        return _stored(bound, value, dtype)

    def _call(self, name: str, call: Call) -> Any:
        if RECORDS[name].stateful and name == self.subject:
            return Held(self, name, call)
        if name != self.subject:
            return self._known(REFERENCE.operator(name), call)
        return self.result(Call(*rounded(tuple(call), self.dtype)))

    def result(self, call: Call) -> Any:
        """The subject's answer to a call already rounded to the port's dtype."""
        answer = widened(self.bare(Call(*travelling(tuple(call), self.port.native))))
        self.answers.append((call, answer))
        return answer

    def clear(self) -> None:
        """Forget the calls of the example before."""
        self.calls.clear()
        self.answers.clear()

    def bare(self, call: Call) -> Any:
        """The subject's answer to a call that travels as it is: arrays and types untouched."""
        self.noted(call)
        return self.ask(self.subject, call)

    def noted(self, call: Call) -> None:
        """Remember a call of the subject for the report."""
        self.calls.append((self.subject, call))

    def reference(self, call: Call) -> Any:
        """The reference's answer to the same call, or what a declared convention puts in its place."""
        return self._known(self.port.due(self.subject), call)

    def _known(self, function: Callable[..., Any], call: Call) -> Any:
        """A right answer; what the port's type holds exactly travels in that type, so that its rounding is allowed for."""
        arguments, keywords = seeded(narrowed(tuple(call), self.port.native))
        return widened(function(*arguments, **keywords))

    def reference_error(self, due: Any, call: Call) -> Any:
        """The derived bound on the reference's own error, in float64."""
        return _stored(self.port.bound(self.subject)(UNIT["float64"], *call.arguments, **call.keywords), due, "float64")

    def ask(self, name: str, call: Call) -> Any:
        """The port's bare answer; whatever it raises refutes, save for declining."""
        operator = self.port.operator(name)
        if self._journal:
            self._journal.write_text(as_python(name, call))
        return self.timed(name, lambda: operator(*call.arguments, **call.keywords))

    def timed(self, name: str, call: Callable[[], Any]) -> Any:
        """What a call of the port's code answers; whatever it raises refutes, save for declining and a claim's own refutation."""
        self.asked += 1
        self.clock.value = time.monotonic()
        try:
            answer = call()
            self.answered += 1
            return answer
        except NotImplementedError as error:
            raise Declined(f"{self.port.name} declines {name}: {error}") from error
        except Refuted as refuted:
            self.refuted = refuted
            raise
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise self.refutation(f"{name} raised {type(error).__name__} on valid input: {error}") from error
        finally:
            self.clock.value = 0.0

    def outcome(self, call: Call) -> Any:
        """What the subject answers to a call that may be bad, or the exception that it raises; timed like any other call.

        Bad input is not declined: torch raises NotImplementedError itself, for a type that one of its kernels lacks.
        """
        if self.port.conventions.get("bad_input") == "unchecked":
            raise Absent(f"{self.port.name} declares bad input unchecked")
        operator = self.port.operator(self.subject)
        self.noted(call)
        if self._journal:
            self._journal.write_text(as_python(self.subject, call))
        arguments, keywords = travelling(tuple(call), self.port.native)
        self.asked += 1
        self.clock.value = time.monotonic()
        try:
            answer = operator(*arguments, **keywords)
            self.answered += 1
            return answer
        except (OtherConvention, NotAsked) as declined:
            raise Declined(str(declined)) from declined
        except Died as died:
            self.refuted = died
            raise
        except (Exception, SystemExit) as error:
            self.answered += 1
            return error
        finally:
            self.clock.value = 0.0

    def derivative(self, argument: int | str, *arguments: Any, cotangent: Any = None, **keywords: Any) -> Floats:
        """What the port's automatic differentiation says d(sum of the subject's result)/d(argument) is; Absent without one.

        `argument` is a position or a keyword's name; `cotangent` weighs the result's entries before they are summed.
        """
        weight = {} if cotangent is None else {"cotangent": cotangent}
        call = Call(*rounded((arguments, keywords | weight), self.dtype))
        self.calls.append(("gradient", Call((self.subject, argument, *call.arguments), call.keywords)))
        moving = Call(*travelling(tuple(call), self.port.native))
        return np.asarray(widened(self.ask("gradient", Call((self.subject, argument, *moving.arguments), moving.keywords))))

    # ---------------------------------------------------------------- comparing
    def equal(self, found: ArrayLike, due: Any, bound: ArrayLike, what: str = "", *, due_by: str = "") -> None:
        """Refute unless |found - due| <= bound, element by element; infinities must be equal, and NaN is never right.

        `due` may hold Fractions: the error is then exact. `due_by` names the operator behind `due`: when that is the accused, the
        report calls it found.
        """
        sides = (np.asarray(found), np.asarray(due))
        found, due = sides[::-1] if due_by == self.subject else sides
        if found.shape != due.shape:
            raise self.refutation(f"{what or 'the result'} has shape {found.shape}, due is {due.shape}", found=found, due=due)
        error = _distance(found, due)
        if due.dtype.kind == "f":
            error = np.where(np.isinf(due) & (found != due), np.nan, error)  # whatever the bound
        self._compare(error, bound, found, due, what)

    def at_most(self, left: ArrayLike, right: ArrayLike, slack: ArrayLike, what: str = "") -> None:
        """Refute unless left <= right + slack, element by element."""
        left, right = np.asarray(left, dtype=np.float64), np.asarray(right, dtype=np.float64)
        excess = np.where(left <= right, 0.0, _distance(left, np.broadcast_to(right, np.broadcast_shapes(left.shape, right.shape))))
        self._compare(excess, slack, left, right, what or "left <= right")

    def holds(self, condition: bool | np.bool_, what: str, *, found: Any = None, due: Any = None) -> None:
        """Refute unless the condition is true."""
        if not condition:
            raise self.refutation(what, found=found, due=due)

    def refutation(self, text: str, **sides: Any) -> Refuted:
        """A refutation, remembered as the latest."""
        self.refuted = Refuted(text, **sides)
        return self.refuted

    def _compare(self, error: Floats, bound: ArrayLike, found: Any, due: Any, what: str) -> None:
        bound = np.asarray(bound, dtype=np.float64)
        wrong = ~(error <= bound)
        if np.any(wrong):
            self.ratios[-1] += self.refuted is None  # what shrinking makes of it tells nothing new
            raise self.refutation(what, found=found, due=due, bound=np.broadcast_to(bound, wrong.shape) if wrong.shape else bound)
        vacuous = ~np.isfinite(bound) | (bound == 0)
        ratio = np.where(vacuous, 0.0, error / np.where(vacuous, 1.0, bound))
        self.last_ratio = float(np.max(ratio, initial=0.0))
        self.worst = max(self.worst, self.last_ratio)
        self.ratios[ratio_bin(self.last_ratio)] += 1

    # ------------------------------------------------------------------ rounding
    def sum_error(self, terms: ArrayLike, axis: int | tuple[int, ...] = -1) -> Floats:
        """What summing `terms` in float64 along `axis` may lose, in any order: gamma_(n-1) times the sum of absolute terms."""
        terms = np.abs(np.asarray(terms, dtype=np.float64))
        length = terms.size if terms.ndim == 0 else int(np.prod([terms.shape[a] for a in np.atleast_1d(axis)]))
        return np.asarray(gamma(max(length, 1), UNIT["float64"]) * terms.sum(axis=axis))


def ratio_bin(ratio: float) -> int:
    """Where an error/bound is counted: 0 by itself, then by powers of two, up to 1; what is beyond has the last bin."""
    return 0 if ratio == 0 else RATIO_BINS - 1 if ratio > 1 else max(1, math.frexp(ratio)[1] + RATIO_BINS - 2 - (ratio == 1))


def _distance(found: Any, due: Any) -> Floats:
    """|found - due|: exactly where due holds Fractions, 0 between equal infinities, and NaN where either is NaN."""
    if due.dtype == object:
        pairs = zip(found.ravel().tolist(), due.ravel().tolist(), strict=True)
        gaps = [abs(float(Fraction(f) - d)) if np.isfinite(f) else np.inf for f, d in pairs]
        return np.array(gaps, dtype=np.float64).reshape(found.shape)
    found, due = found.astype(np.float64), due.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        return np.asarray(np.where(found == due, 0.0, np.abs(found - due)))


def widened(result: Any) -> Any:
    """Results as float64 arrays (integers and booleans stay); a port that answers something else is refuted."""
    if isinstance(result, tuple):
        return tuple(widened(item) for item in result)
    array = np.asarray(result)
    if array.dtype.kind not in "fbiu":
        raise Refuted(f"the result must be real numbers; got {type(result).__name__} of {array.dtype}", found=result)
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def first(result: Any) -> Any:
    """The principal result of an operator that may have several."""
    return result[0] if isinstance(result, tuple) else result


def _stored(bound: Any, value: Any, dtype: str) -> Any:
    """Each bound with what storing its result adds."""
    if isinstance(bound, tuple):
        return tuple(stored(b, v, dtype) for b, v in zip(bound, value, strict=True))
    return stored(bound, first(value), dtype)


def narrowed(value: Any, native: type[np.floating[Any]]) -> Any:
    """Float arrays that `native` holds exactly, in that type (a table's rows sum to 1 within its rounding); others as they are."""
    if native is np.float64:
        return value
    if isinstance(value, (tuple, list, dict)):
        return _each(lambda item: narrowed(item, native), value)
    data = value.data if hasattr(value, "indptr") else value
    if not isinstance(data, np.ndarray) or data.dtype.kind != "f":
        return value
    return travelling(value, native) if np.array_equal(data.astype(native), data, equal_nan=True) else value


def travelling(value: Any, native: type[np.floating[Any]]) -> Any:
    """Float arrays in the type in which they travel to the port, drawn generators as fresh ones; everything else as it is."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return value.astype(native)
    if hasattr(value, "indptr"):
        return type(value)((value.data.astype(native), value.indices, value.indptr), shape=value.shape)
    if isinstance(value, Seeded):
        return Drawn(value.seed)
    if isinstance(value, (tuple, dict)):
        return _each(lambda item: travelling(item, native), value)
    return value


def seeded(value: Any) -> Any:
    """Drawn generators as fresh ones; everything else as it is."""
    if isinstance(value, Seeded):
        return Drawn(value.seed)
    return _each(seeded, value) if isinstance(value, (tuple, dict)) else value


class Drawn(np.random.Generator):
    """`numpy.random.default_rng(key)`, which remembers its key so that a report can print it."""

    def __init__(self, key: int) -> None:
        super().__init__(np.random.PCG64(key))
        self.key = key

    def __repr__(self) -> str:
        return f"np.random.default_rng({self.key})"


def _each(change: Callable[[Any], Any], value: Any) -> Any:
    """A container of the same type with every item changed; records (NamedTuples, a function's among them) stay records."""
    if isinstance(value, dict):
        return {key: change(item) for key, item in value.items()}
    items = [change(item) for item in value]
    return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
