"""Oracles: independent ways to know the right answer, each with the record of its independence.

An oracle is evidence only if it shares nothing with what it judges, so each says from which equation it was derived, by what means
it computes, and with what it shares code. None may call reference/ or a port; tests/test_layout.py reads that from the imports.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Exact = NDArray[np.object_]


@dataclass(frozen=True)
class Oracle:
    """Where an oracle's truth comes from."""

    name: str
    computes: str
    method: str
    derivation: str
    shares_code_with: str
    identities: str


ORACLES: dict[str, Oracle] = {}


def oracle(*, method: str, derivation: str, identities: str, shares_code_with: str = "nothing") -> Callable[[Any], Any]:
    """Record an oracle's independence; its docstring's first line says what it computes.

    method            how: fractions.Fraction, mpmath at 50 digits, enumeration, scipy's HiGHS, ...
    derivation        the paper's equation that it was written from
    identities        what it was checked against by itself
    shares_code_with  other code of this repository that it runs through
    """

    def register(function: Any) -> Any:
        line = (function.__doc__ or "").strip().splitlines()[0]
        ORACLES[function.__name__] = Oracle(function.__name__, line, method, derivation, shares_code_with, identities)
        return function

    return register


def exact(value: ArrayLike) -> Any:
    """A float, or an array of floats, as Fractions (an object array, on which NumPy's + - * are then exact)."""
    array = np.asarray(value)
    if array.ndim == 0:
        return Fraction(array.item())
    out = np.empty(array.shape, dtype=object)
    out.ravel()[:] = [Fraction(item) for item in array.ravel().tolist()]
    return out
