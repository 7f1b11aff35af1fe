"""What a vector says: the right answer, the bounds on an answer's error, and who would answer otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

import reference
from properties._answers import FunctionAsked, answer
from properties._bounds import COMPUTED_IN, UNIT, Floats, rounded, stored
from properties._claim import OPERATORS, Call
from properties._conventions import CONVENTIONS, Convention
from properties._diagnosis import suspects
from properties._exact import EXACT, correctly_rounded
from properties._frames import CannotTravel, packed
from properties._vectors import REFERENCE, ROUNDED, Vector
from properties._wire import encoded, named

LARGEST = {"float64": np.finfo(np.float64).max, "float32": np.finfo(np.float32).max, "bfloat16": 3.38e38}
"""A finite answer must stay finite in the type."""
CLEARLY = 2.0
"""A bug is told apart where it is off by more than this many bounds: a port that has it rounds, too, by one bound at most."""
DIGITS = 12
"""Bounds are rounded up to so many bits, so that they are the same on every machine."""

Results = tuple[NDArray[Any], ...]


class Disagreement(AssertionError):
    """The exact value and the reference differ by more than the reference may err: one of the two is wrong."""


def worked_out(operator: str, call: Call, *, exactly: bool, is_probe: bool = False) -> Vector | None:
    """The vector of a call that travels; None where the call is refused, or has no right answer within finite bounds."""
    with np.errstate(all="ignore"):
        known = _known(operator, call)
        if known is None:
            return None
        due, error, origin = _right(operator, call, known, exactly=exactly)
        bounds = {dtype: found for dtype in OPERATORS[operator].widths if (found := _bounds(operator, call, due, error, dtype))}
        if "float64" not in bounds:
            return None
        told = _tells_apart(operator, call, due, bounds, is_probe=is_probe)
        others = tuple(f"{c.key}={c.value}" for c in CONVENTIONS if _differs(c, operator, call, due, bounds["float64"]))
    return Vector(operator, call, due, bounds, origin, others, told, is_probe=is_probe)


def travels(operator: str, call: Call) -> bool:
    """Nothing random, and no function but of the kinds that have a name."""
    try:
        texts = encoded(named(operator, call, defaults=True)).texts
    except CannotTravel:
        return False
    return "seeds" not in texts and all(":" in each for each in texts.get("functions", "").split())


def _known(operator: str, call: Call) -> Results | None:
    """The reference's results that have a bound; None where it refuses or answers NaN."""
    try:
        found = getattr(reference, operator)(*call.arguments, **call.keywords)
        many = len(_derived(operator, call, UNIT["float64"]))
    except (ValueError, TypeError):
        return None
    results = tuple(np.asarray(part) for part in (found if isinstance(found, tuple) else (found,)))[:many]
    return None if any(np.isnan(part).any() for part in results) else results


def _derived(operator: str, call: Call, unit: float) -> tuple[Any, ...]:
    """The operator's error bounds, one a result."""
    found = OPERATORS[operator].bound(unit, *call.arguments, **call.keywords)
    return found if isinstance(found, tuple) else (found,)


# -------------------------------------------------------------------------------------------------------- right, and bounds
def _right(operator: str, call: Call, known: Results, *, exactly: bool) -> tuple[Results, tuple[Floats, ...], str]:
    """The results as they are published, how far each may be from the truth, and where they come from."""
    own = tuple(stored(b, r, "float64") for b, r in zip(_derived(operator, call, UNIT["float64"]), known, strict=True))
    exact = _exact(operator, call, len(known)) if exactly else None
    if exact is None:
        return known, own, REFERENCE
    due = tuple(k if k.dtype.kind in "iub" else e.reshape(k.shape) for k, e in zip(known, exact, strict=True))
    for place, (rounded_, held, slack) in enumerate(zip(due, known, own, strict=True)):
        apart = (rounded_ != held) & ~(np.abs(rounded_.astype(np.float64) - held.astype(np.float64)) <= slack)
        if apart.any():
            raise Disagreement(f"{operator}, result {place}: exactly {rounded_}, by the reference {held}, which may err by {slack}")
    return due, tuple(np.where(np.isfinite(d), np.spacing(np.abs(d.astype(np.float64))) / 2, 0.0) for d in due), ROUNDED


def _exact(operator: str, call: Call, many: int) -> Results | None:
    """Correctly rounded; None where nothing exact is known."""
    if operator not in EXACT:
        return None
    try:
        found = EXACT[operator](*call.arguments, **call.keywords)
    except NotImplementedError:
        return None
    parts = found if isinstance(found, tuple) else (found,)
    return tuple(np.asarray(correctly_rounded(part)) for part in parts[:many])


def _bounds(operator: str, call: Call, due: Results, error: tuple[Floats, ...], dtype: str) -> tuple[Floats, ...]:
    """How far an answer in this type may be from what is published; nothing where the inputs are not exact in it."""
    if not _is_exact_in(operator, call, dtype):
        return ()
    derived = _derived(operator, call, UNIT[COMPUTED_IN[dtype]])
    bounds = []
    for bound, value, own in zip(derived, due, error, strict=True):
        finite = np.isfinite(value)
        size = np.where(finite, value, 0.0)
        slack = np.where(finite, np.broadcast_to(stored(bound, size, dtype), value.shape) + own, 0.0)
        if not (np.isfinite(slack).all() and (np.abs(size) + slack < LARGEST[dtype]).all()):
            return ()
        bounds.append(_rounded_up(slack))
    return tuple(bounds)


def _is_exact_in(operator: str, call: Call, dtype: str) -> bool:
    given, held = (packed(encoded(named(operator, each))) for each in (call, Call(*rounded(tuple(call), dtype))))
    return given == held


def _rounded_up(bound: Floats) -> Floats:
    """To the next number of few bits."""
    mantissa, exponent = np.frexp(bound)
    return np.asarray(np.ldexp(np.ceil(np.ldexp(mantissa, DIGITS)), exponent - DIGITS), dtype=np.float64)


# ------------------------------------------------------------------------------------------------------ who answers otherwise
def _tells_apart(
    operator: str, call: Call, due: Results, bounds: Mapping[str, tuple[Floats, ...]], *, is_probe: bool
) -> dict[str, tuple[float, ...]]:
    """Bug -> how far off, for each type. That it raises counts on the catalogue's own question, which was made for it."""
    told: dict[str, tuple[float, ...]] = {}
    if any(part.size == 0 for part in due):
        return told
    for bug in suspects(operator):
        if bug.derivative:
            continue
        found = answer(FunctionAsked(bug.behaves, None, "float64"), call)
        if found is None and not is_probe:
            continue
        sizes = tuple(np.inf if found is None else _size(found[: len(due)], due, bounds[dtype]) for dtype in bounds)
        sizes = tuple(size if size > CLEARLY else 0.0 for size in sizes)
        if any(sizes):
            told[bug.id] = sizes
    return told


def _size(found: tuple[Floats, ...], due: Results, bounds: tuple[Floats, ...]) -> float:
    """The largest distance in units of the bound; infinite for another shape or NaN."""
    if len(found) < len(due) or any(f.shape != d.shape or np.isnan(f).any() for f, d in zip(found, due, strict=True)):
        return np.inf
    largest = 0.0
    for f, d, bound in zip(found, due, bounds, strict=True):
        gap = np.where(f == d, 0.0, np.abs(f - d.astype(np.float64)))
        largest = max(largest, float(np.max(np.where(gap == 0, 0.0, gap / bound), initial=0.0)))
    return largest


def _differs(convention: Convention, operator: str, call: Call, due: Results, bounds: tuple[Floats, ...]) -> bool:
    """Whether a port that declares the convention is not asked this, or answers otherwise."""
    if operator not in convention.operators or operator in convention.slopes:
        return False
    variant: Callable[..., Any] | None = convention.variants.get(operator)
    try:
        if convention.declines(operator, call):
            return True
    except (TypeError, ValueError, IndexError):
        return False
    if variant is None:
        return False
    found = answer(FunctionAsked(variant, None, "float64"), call)
    return found is None or _size(found[: len(due)], due, bounds) > 1.0
