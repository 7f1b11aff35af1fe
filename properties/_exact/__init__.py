"""What an operator's answer is before any rounding: every operator once more, in fractions or at 50 digits.

`EXACT[operator](*arguments, **keywords)` takes what the reference takes and answers with the contract's results as object arrays
of their shapes. It is written from the equations and shares no code with what it judges; `correctly_rounded` makes golden vectors
of it. An entry is a Fraction or a 50-digit number, an int or a bool where the contract says so, and a float only where it is inf
or NaN.
"""

from __future__ import annotations

import importlib
import math
import pkgutil
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
from numpy.typing import ArrayLike, NDArray

Exact = NDArray[np.object_]

EXACT: dict[str, Callable[..., Any]] = {}

DIGITS = mpmath.MPContext()
DIGITS.dps = 50
"""Arithmetic at 50 digits: DIGITS.exp, DIGITS.log, DIGITS.fsum, ...; numbers enter by `digits`."""

_LOWEST = -1100
"""Below 2^-1100 a number rounds to 0 in float64; its exact fraction might not fit into memory."""


def exact_value(operator: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register the decorated function as the operator's exact value."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        if operator in EXACT:
            raise ValueError(f"an operator has one exact value; got {operator} twice")
        EXACT[operator] = function
        return function

    return register


def fraction(value: Any) -> Any:
    """A number as a Fraction, exactly; ±inf and NaN stay floats, with which Fractions compute as IEEE says."""
    if hasattr(value, "_mpf_"):
        return _of_digits(value)
    if isinstance(value, Fraction):
        return value
    number = value.item() if isinstance(value, np.generic) else value
    return Fraction(number) if math.isfinite(number) else float(number)


def fractions(value: ArrayLike) -> Exact:
    """An array as Fractions, entry by entry: NumPy's + - * / sum max, comparisons and indices are then exact."""
    return elementwise(fraction, value)


def digits(value: Any) -> Any:
    """A number (a Fraction too) at 50 digits."""
    if isinstance(value, Fraction):
        return DIGITS.mpf(value.numerator) / value.denominator
    return DIGITS.mpf(value)


def elementwise(one: Callable[..., Any], *arrays: Any) -> Exact:
    """`one` of every entry of arrays of one shape, which is the result's."""
    shape = np.shape(arrays[0])
    return stacked([one(*entries) for entries in zip(*(_flat(a, (-1,)) for a in arrays), strict=True)], shape)


def along_last(one: Callable[..., Any], *arrays: Any) -> Exact:
    """`one` of every row (a list, along the last axis) of arrays of one batch: [...] of its numbers, or [..., N] of its lists."""
    lead = np.shape(arrays[0])[:-1]
    found = [one(*rows) for rows in zip(*(_flat(a, (-1, np.shape(a)[-1])) for a in arrays), strict=True)]
    if found and isinstance(found[0], list):
        return stacked([entry for row in found for entry in row], (*lead, len(found[0])))
    return stacked(found, lead)


def _flat(array: Any, shape: tuple[int, ...]) -> Any:
    return np.reshape(array, shape).tolist()


def stacked(entries: list[Any], shape: tuple[int, ...]) -> Exact:
    """Numbers, row after row, as an array of a shape."""
    out = np.empty(len(entries), dtype=object)
    out[:] = entries
    return out.reshape(shape)


def correctly_rounded(value: Any) -> Any:
    """Exact results as float64 arrays, each entry the nearest float64 (ties to even); ints and bools stay what they are.

    A tuple of results gives a tuple. Beyond the largest float64 an entry is inf, as IEEE rounds.
    """
    if isinstance(value, tuple):
        return tuple(correctly_rounded(item) for item in value)
    array = np.asarray(value)
    if array.dtype != object:
        return array
    entries = array.ravel().tolist()
    for kept, kind in ((bool, np.bool_), (int, np.int64)):
        if entries and all(isinstance(entry, kept) for entry in entries):
            return np.array(entries, dtype=kind).reshape(array.shape)
    return np.array([_nearest(entry) for entry in entries], dtype=np.float64).reshape(array.shape)


def _nearest(value: Any) -> float:
    """The float nearest to a number. Dividing whole numbers rounds once, to even, in Python; mpmath's own float() cuts."""
    exact = fraction(value)
    if isinstance(exact, float):
        return exact
    try:
        return float(exact.numerator / exact.denominator)
    except OverflowError:
        return math.inf if exact > 0 else -math.inf


def _of_digits(value: Any) -> Any:
    """A 50-digit number as a Fraction, digit for digit; 0 where it is far below every float."""
    sign, mantissa, exponent, bits = value._mpf_
    if not mantissa:
        return float(value) if exponent else Fraction(0)
    if exponent + bits < _LOWEST:
        return Fraction(0)
    if exponent + bits > -_LOWEST:
        return -math.inf if sign else math.inf
    size: Fraction = Fraction(int(mantissa)) * Fraction(2) ** int(exponent)
    return -size if sign else size


for _module in sorted(module.name for module in pkgutil.iter_modules(__path__)):
    importlib.import_module(f"{__name__}.{_module}")
