"""Expected maxima of unbiased estimates: of uniforms in fractions, of normals at 50 digits."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cache
from itertools import pairwise
from typing import Any

from properties._exact import DIGITS, Exact, along_last, digits, elementwise, exact_value, fraction
from properties._oracles.overestimation import expected_maximum_of_uniforms

_REACH = 16
"""Standard deviations beyond which a normal's tail, 1e-57, is below 50 digits."""
_NODES = 64


@cache
def _gauss() -> list[tuple[Any, Any]]:
    """Nodes and weights of Gauss and Legendre on [-1, 1], by Newton's method from the usual first guess."""
    found = []
    for k in range(_NODES):
        x = DIGITS.cos(DIGITS.pi * (k + DIGITS.mpf(3) / 4) / (_NODES + DIGITS.mpf(1) / 2))
        for _ in range(8):
            value, slope = _legendre(x)
            x -= value / slope
        found.append((x, 2 / ((1 - x * x) * _legendre(x)[1] ** 2)))
    return found


def _legendre(x: Any) -> tuple[Any, Any]:
    """Legendre's polynomial of that degree and its derivative, by the recurrence."""
    before, now = DIGITS.one, x
    for n in range(2, _NODES + 1):
        before, now = now, ((2 * n - 1) * x * now - (n - 1) * before) / n
    return now, _NODES * (x * now - before) / (x * x - 1)


def _integral(function: Callable[[Any], Any], low: Any, high: Any, deviations: list[tuple[Any, Any]]) -> Any:
    """Of what bends within the reach of some estimates only, in pieces of at most three deviations of the narrowest of them."""
    edges = {low, high, *(m + sign * _REACH * d for m, d in deviations for sign in (-1, 1))}
    total = DIGITS.zero
    for left, right in pairwise(sorted(x for x in edges if low <= x <= high)):
        bending = [d for m, d in deviations if d and m - _REACH * d < right and left < m + _REACH * d]
        pieces = int(DIGITS.ceil((right - left) / (3 * min(bending)))) if bending else 1
        half = (right - left) / (2 * pieces)
        middles = [left + (2 * k + 1) * half for k in range(pieces)]
        total += half * DIGITS.fsum(w * function(middle + half * x) for middle in middles for x, w in _gauss())
    return total


def _below(pairs: list[tuple[Any, Any]]) -> Callable[[Any], Any]:
    """The distribution function of the maximum, with equal estimates as one power."""
    counts = {pair: pairs.count(pair) for pair in pairs}

    def chance(x: Any) -> Any:
        product = DIGITS.one
        for (mean, deviation), count in counts.items():
            if deviation == 0 or abs(x - mean) > _REACH * deviation:
                if x < mean:
                    return DIGITS.zero
            else:
                product *= DIGITS.ncdf((x - mean) / deviation) ** count
        return product

    return chance


def _of_normals(means: list[float], deviations: list[float]) -> Any:
    """c plus the integral of 1 - F above c, less that of F below, c the largest mean and F the maximum's distribution function."""
    pairs = [(digits(m), digits(d)) for m, d in zip(means, deviations, strict=True)]
    centre = max(m for m, _ in pairs)
    start, end = (max(m + sign * _REACH * d for m, d in pairs) for sign in (-1, 1))
    below = _below(pairs)
    higher = _integral(lambda x: 1 - below(x), centre, end, pairs)
    lower = _integral(below, min(start, centre), centre, pairs)
    return centre + (higher - lower)


@exact_value("expected_maximum")
def expected_maximum(means: Any, deviations: Any, distribution: str) -> Exact:
    """E max of independent estimates; uniform on mean -+ deviation, or normal."""

    def one(mean: list[float], deviation: list[float]) -> Any:
        if not any(deviation):
            return Fraction(max(mean))
        return expected_maximum_of_uniforms(mean, deviation) if distribution == "uniform" else _of_normals(mean, deviation)

    return along_last(one, means, deviations)


@exact_value("max_bias_bound")
def max_bias_bound(mean_square_error: Any, *, actions: int) -> Exact:
    """van Hasselt, Guez & Silver 2016, Theorem 1: sqrt(C / (m - 1))."""
    return elementwise(lambda c: DIGITS.sqrt(digits(Fraction(c) / (actions - 1))), mean_square_error)


@exact_value("double_estimate")
def double_estimate(select: Any, evaluate: Any) -> Exact:
    """What one table says of the first action that is the other's best."""
    return along_last(lambda chooses, says: fraction(says[chooses.index(max(chooses))]), select, evaluate)
