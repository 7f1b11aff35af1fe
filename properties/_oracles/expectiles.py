"""Expectiles by their balance equation, and the best value within a behavior's support, both in exact rational arithmetic."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import numpy as np

from properties._oracles import Exact, exact, oracle


@oracle(
    method="fractions.Fraction, enumeration",
    derivation="Newey & Powell 1987, eq. 2.7: level E(x - m)+ = (1 - level) E(m - x)+, linear in m between neighbouring values",
    identities="level 1/2 is the mean; two equally likely values give (1 - level) low + level high; the balance at m is exactly 0",
)
def expectile_by_balance(values: Any, weights: Any, *, expectile: float) -> Exact:
    """The expectile along the last axis: each interval's linear balance is solved, and the root that lies inside is kept."""
    x, w, level = exact(values), exact(weights), Fraction(expectile)
    out = np.empty(np.shape(values)[:-1], dtype=object)
    for place in np.ndindex(out.shape):
        out[place] = _root_inside(list(zip(x[place], w[place], strict=True)), level)
    return out


def _root_inside(atoms: list[tuple[Fraction, Fraction]], level: Fraction) -> Fraction:
    points = sorted({x for x, w in atoms if w > 0})
    for low, high in itertools.pairwise(points):
        scaled = [(x, w * (level if x > low else 1 - level)) for x, w in atoms if w > 0]
        root = sum((x * c for x, c in scaled), Fraction(0)) / sum((c for _, c in scaled), Fraction(0))
        if low <= root <= high:
            return root
    return points[0]


@oracle(
    method="fractions.Fraction, enumeration",
    derivation="Puterman 1994, Theorem 6.2.7: some deterministic policy attains the optimum; each is solved by elimination",
    identities="one supported action: that policy's value; the result is a fixed point of the maximum over the support",
)
def best_supported_value(transition: Any, reward: Any, behavior: Any, *, discount: float) -> Exact:
    """The largest value [S] that deterministic policies reach within the behavior's support; transition dense [S, A, S]."""
    p, r, g = exact(transition), exact(reward), Fraction(discount)
    supported = [np.flatnonzero(row > 0).tolist() for row in np.asarray(behavior)]
    best: list[Fraction] | None = None
    for policy in itertools.product(*supported):
        states = range(len(policy))
        matrix = [[Fraction(s == t) - g * p[s, policy[s], t] for t in states] + [r[s, policy[s]]] for s in states]
        value = _solved(matrix)
        best = value if best is None else [max(pair) for pair in zip(best, value, strict=True)]
    out = np.empty(len(supported), dtype=object)
    out[:] = best
    return out


def _solved(matrix: list[list[Fraction]]) -> list[Fraction]:
    """Gauss-Jordan elimination of [M | b]; 1 - gamma P has no zero pivot, as its rows are dominated by their diagonal."""
    for i, pivot in enumerate(matrix):
        pivot[:] = [entry / pivot[i] for entry in pivot]
        for j, row in enumerate(matrix):
            if j != i and row[i] != 0:
                row[:] = [entry - row[i] * lead for entry, lead in zip(row, pivot, strict=True)]
    return [row[-1] for row in matrix]
