"""Prioritised replay: powers at 50 digits, and the tree as a plain list of fractions."""

from __future__ import annotations

from fractions import Fraction
from itertools import accumulate
from typing import Any

import mpmath
import numpy as np

from properties._oracles import Exact, oracle
from properties._oracles.aggregates import _fraction, _mp, _rows, _stacked

_DIGITS = mpmath.MPContext()
_DIGITS.dps = 50


def _power(base: Fraction, exponent: float) -> Fraction:
    """base^exponent for base >= 0, with 0^0 = 1."""
    if exponent == 0 or base == 1:
        return Fraction(1)
    return _fraction(_DIGITS.power(_mp(base), _mp(exponent))) if base > 0 else Fraction(0)


@oracle(
    method="mpmath at 50 digits",
    derivation="Schaul et al. 2016, §3.3: (|delta| + offset)^exponent, of which P(i) is the share",
    identities="exponent 0 is 1, also of 0; exponent 1 is |delta| + offset; exponent 1/2 squares back",
    shares_code_with="_oracles/aggregates.py: conversions to and from 50 digits",
)
def priority_by_digits(td_error: Any, *, exponent: float, offset: float) -> Exact:
    """(|delta| + offset)^exponent of every error."""
    found = [_power(abs(Fraction(e)) + Fraction(offset), exponent) for e in np.ravel(td_error).tolist()]
    return _stacked(found, np.shape(td_error))


@oracle(
    method="mpmath at 50 digits",
    derivation="Schaul et al. 2016, §3.4: (1/N 1/P(i))^beta, over the largest of the batch or of the memory",
    identities="exponent 0 is 1; P = 1/N is 1 unnormalised; P = (1/4, 3/4), N = 2, exponent 1 over the batch: 1 and 1/3",
    shares_code_with="_oracles/aggregates.py: conversions to and from 50 digits",
)
def importance_weights_by_digits(
    probability: Any, *, size: int, exponent: float, normalizer: str | None, minimum_probability: float | None = None
) -> Exact:
    """(N P)^-exponent of every entry: divided by the row's largest, by that of `minimum_probability`, or as it is."""

    def one(row: list[float]) -> list[Fraction]:
        least = {"batch": min(row), "memory": minimum_probability}.get(normalizer or "", Fraction(1, size))
        return [_power(Fraction(least or 0) / Fraction(p), exponent) for p in row]

    return _stacked([one(row) for row in _rows(probability)], np.shape(probability))


class PlainList:
    """Priorities in a list; every question walks through all of it, in fractions."""

    def __init__(self, capacity: int) -> None:
        self.entries = [Fraction(0)] * capacity
        self._sums: list[Fraction] = []

    def update(self, index: int, priority: float) -> None:
        """Write one priority."""
        self.entries[index] = Fraction(priority)
        self._sums = []

    def prefixes(self) -> list[Fraction]:
        """The sums of the first 1, 2, ..., N priorities."""
        self._sums = self._sums or list(accumulate(self.entries))
        return self._sums

    def find(self, mass: Fraction) -> int:
        """The smallest index whose prefix sum exceeds the mass."""
        return next(index for index, upto in enumerate(self.prefixes()) if upto > mass)


@oracle(
    method="a walk over a plain list in fractions.Fraction",
    derivation="Schaul et al. 2016, App. B.2.1: the priority whose share of the running sum holds the mass",
    identities="(1, 0, 2): masses 0 and 1/2 find 0, 1 and 2 find 2",
)
def found_by_walking(priorities: list[float], mass: float) -> int:
    """The smallest index whose prefix sum exceeds the mass."""
    plain = PlainList(len(priorities))
    for index, priority in enumerate(priorities):
        plain.update(index, priority)
    return plain.find(Fraction(mass))
