"""Expectations over normal noise without sampling: Gauss-Hermite rules, rules with whole nodes, and their tensor grids.

Two kinds. `gauss_hermite(m)` is exact for polynomials up to degree 2m - 1 but its nodes are irrational, so each is rounded once.
`whole_normal(m)` sits on the whole numbers -m, ..., m and has rational weights, so it is exact for polynomials up to degree 2m + 1
with no rounding at all: it is a random variable that shares those moments with N(0, 1). Its weights are positive for m <= 5, and
`repeated` writes it as a batch in which each node occurs as often as it should: a mean over that batch, taken by the operator
itself, is an expectation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from itertools import product
from typing import Any, NamedTuple

import mpmath
import numpy as np

from properties._bounds import Floats

DIGITS = 50


class Rule(NamedTuple):
    """Nodes [n, D] and the weights [n] with which f(nodes) sums to an expectation; float64, each correctly rounded."""

    nodes: Floats
    weights: Floats


class WholeRule(NamedTuple):
    """Nodes that are whole numbers, and rational weights: nothing is rounded."""

    nodes: tuple[int, ...]
    weights: tuple[Fraction, ...]


def normal_moment(power: int) -> int:
    """E Z^power for Z ~ N(0, 1): (power - 1)!! for even powers, 0 for odd ones."""
    return 0 if power % 2 else math.prod(range(1, power, 2))


@cache
def gauss_hermite(size: int, dimensions: int = 1) -> Rule:
    """The rule with `size` nodes an axis: E f(Z) = sum w f(z) for Z ~ N(0, I), f of degree up to 2 size - 1 in each coordinate.

    Nodes are the zeros of the probabilists' Hermite polynomial He_n, by Newton from float64 ones, at 50 digits; weights are
    n! / (n He_(n-1)(z))^2. Both then round once, so a monomial of degree k at a node is off by at most gamma_k.
    """
    with mpmath.workdps(DIGITS):
        zeros = [_polished(float(z), size) for z in np.polynomial.hermite_e.hermegauss(size)[0]]
        weights = [mpmath.factorial(size) / (size * _hermite(size, z)[1]) ** 2 for z in zeros]
        grid = list(product(range(size), repeat=dimensions))
        nodes = [[float(zeros[i]) for i in index] for index in grid]
        return Rule(np.array(nodes), np.array([float(mpmath.fprod(weights[i] for i in index)) for index in grid]))


def _hermite(size: int, z: Any) -> tuple[Any, Any]:
    """He_n(z) and He_(n-1)(z), by the recurrence He_(k+1) = z He_k - k He_(k-1)."""
    now, before = mpmath.mpf(1), mpmath.mpf(0)
    for k in range(size):
        now, before = z * now - k * before, now
    return now, before


def _polished(start: float, size: int) -> Any:
    """The zero of He_n next to `start`: He_n' = n He_(n-1), and each step doubles the digits."""
    z = mpmath.mpf(start if abs(start) > 2.0**-20 else 0.0)
    for _ in range(5):
        value, before = _hermite(size, z)
        z -= value / (size * before)
    return z


@cache
def whole_normal(reach: int) -> WholeRule:
    """The rule on -reach, ..., reach that has the moments of N(0, 1) up to degree 2 reach + 1.

    By symmetry only even moments bind: 2 sum_k w_k k^(2j) = (2j - 1)!! for j = 0, ..., reach, solved in Fractions.
    """
    powers = range(reach + 1)
    system = [[Fraction(k ** (2 * j) * (2 if k else 1)) for k in powers] for j in powers]
    half = solved(system, [Fraction(normal_moment(2 * j)) for j in powers])
    return WholeRule(tuple(range(-reach, reach + 1)), tuple(half[abs(k)] for k in range(-reach, reach + 1)))


def repeated(reach: int, dimensions: int) -> Floats:
    """Noise [n, D] whose plain mean over n is the expectation under `whole_normal(reach)` in each of the D coordinates."""
    return _repeated(reach, dimensions).copy()


@cache
def _repeated(reach: int, dimensions: int) -> Floats:
    rule = whole_normal(reach)
    size = math.lcm(*(weight.denominator for weight in rule.weights))
    line = [node for node, weight in zip(rule.nodes, rule.weights, strict=True) for _ in range(int(weight * size))]
    return np.array(list(product(line, repeat=dimensions)), dtype=np.float64)


def whole_grid(reach: int, dimensions: int) -> tuple[Floats, list[Fraction]]:
    """The tensor grid of `whole_normal`: nodes [n, D], exact in float64, and their rational weights."""
    rule = whole_normal(reach)
    nodes = np.array(list(product(rule.nodes, repeat=dimensions)), dtype=np.float64)
    return nodes, [math.prod(weights, start=Fraction(1)) for weights in product(rule.weights, repeat=dimensions)]


def solved(matrix: list[list[Any]], right: list[Any]) -> list[Any]:
    """The solution of a square system by elimination with exchange of rows: exact in Fractions, 50 digits in mpmath."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    size = len(rows)
    for column in range(size):
        pivot = max(range(column, size), key=lambda r: abs(rows[r][column]))
        rows[column], rows[pivot] = rows[pivot], rows[column]
        rows[column] = [entry / rows[column][column] for entry in rows[column]]
        for r in range(size):
            if r != column:
                rows[r] = [a - rows[r][column] * b for a, b in zip(rows[r], rows[column], strict=True)]
    return [row[-1] for row in rows]


def expectation(function: Callable[[Floats], Any], rule: Rule) -> Any:
    """sum of w f(z) over the nodes, f called once with all of them [n, D] and answering [n, ...]."""
    return np.tensordot(rule.weights, np.asarray(function(rule.nodes)), axes=1)
