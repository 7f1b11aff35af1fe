"""Categorical return distributions: projection and Cramér distance in fractions, cross-entropy at 50 digits."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import accumulate, pairwise
from typing import Any

import mpmath
import numpy as np

from properties._oracles import Exact, oracle
from properties._oracles.aggregates import _fraction, _mp, _rows, _stacked

_DIGITS = mpmath.MPContext()
_DIGITS.dps = 50
_STEP = Fraction(1, 10**12)
DIFFERENCE_ERROR = float(_STEP**2)
"""A central difference is off by h^2/6 of a third derivative, which is at most 1 for log-sum-exp."""


def landed(atom: float, reward: float, terminated: bool, discount: float, low: float, high: float) -> Fraction:
    """clip(r + g z) of one atom; infinite rewards land on the ends."""
    if math.isinf(reward):
        return Fraction(high if reward > 0 else low)
    moved = Fraction(reward) + (0 if terminated else Fraction(discount) * Fraction(atom))
    return min(max(moved, Fraction(low)), Fraction(high))


def _hat(atoms: list[float], place: int, y: Fraction) -> Fraction:
    """The share of a mass at y that the atom gets: 1 at the atom, 0 at its neighbours, linear between."""
    z = Fraction(atoms[place])
    if y == z:
        return Fraction(1)
    beside = place + (1 if y > z else -1)
    if not 0 <= beside < len(atoms):
        return Fraction(0)
    return max(Fraction(0), 1 - abs(y - z) / abs(Fraction(atoms[beside]) - z))


@oracle(
    method="fractions.Fraction",
    derivation="Bellemare, Dabney & Munos 2017, eq. 7, with each atom's own gaps: sum over j of p_j hat_i(clip(r + g z_j))",
    identities="r = 0, g = 1 gives p; the rows sum to 1; one atom has all mass",
)
def projection_by_fractions(atoms: Any, probability: Any, reward: Any, terminated: Any, discount: Any) -> Exact:
    """The projected distribution of every row."""
    support = np.asarray(atoms).tolist()
    knobs = (np.ravel(part).tolist() for part in (reward, terminated, np.broadcast_to(discount, np.shape(reward))))
    found = []
    for row, r, ended, g in zip(_rows(probability), *knobs, strict=True):
        targets = [landed(z, r, ended, g, support[0], support[-1]) for z in support]
        held = [(Fraction(p), y) for p, y in zip(row, targets, strict=True) if p]
        found.append([sum((p * _hat(support, i, y) for p, y in held), Fraction(0)) for i in range(len(support))])
    return _stacked(found, np.shape(probability))


@oracle(
    method="fractions.Fraction",
    derivation="Rowland et al. 2018, eq. 6: the integral of (F - G)^2, F and G constant between atoms",
    identities="0 between equal distributions; point masses at 0 and x are at squared distance x",
)
def squared_cramer_distance(atoms: Any, one: Any, two: Any) -> Exact:
    """The squared Cramér distance of each pair of rows (floats or Fractions) on common atoms."""
    gaps = [Fraction(b) - Fraction(a) for a, b in pairwise(np.asarray(atoms).tolist())]
    rows = zip(np.reshape(one, (-1, np.shape(one)[-1])).tolist(), np.reshape(two, (-1, np.shape(two)[-1])).tolist(), strict=True)

    def distance(p: list[Any], q: list[Any]) -> Fraction:
        apart = accumulate(Fraction(a) - Fraction(b) for a, b in zip(p, q, strict=True))
        return sum((gap * d * d for gap, d in zip(gaps, apart, strict=False)), Fraction(0))

    return _stacked([distance(p, q) for p, q in rows], np.shape(one)[:-1])


def _loss(logits: list[Fraction], target: list[float]) -> Fraction:
    """- sum of target (logit - log sum exp), around the largest logit."""
    top = max(logits)
    rest = _fraction(_DIGITS.log(_DIGITS.fsum(_DIGITS.exp(_mp(x - top)) for x in logits)))
    return sum((Fraction(t) * (top + rest - x) for t, x in zip(target, logits, strict=True)), Fraction(0))


@oracle(
    method="mpmath at 50 digits",
    derivation="Bellemare, Dabney & Munos 2017, Algorithm 1: - sum of m_i log p_i, p the softmax of the logits",
    identities="equal logits give log K; one atom gives 0; at logits log m it is the entropy of m",
    shares_code_with="_oracles/aggregates.py: conversions to and from 50 digits",
)
def cross_entropy_by_digits(logits: Any, target: Any) -> Exact:
    """- sum target log softmax(logits) of every row."""
    rows = zip(_rows(logits), _rows(target), strict=True)
    return _stacked([_loss([Fraction(x) for x in row], t) for row, t in rows], np.shape(logits)[:-1])


@oracle(
    method="mpmath at 50 digits, central differences with h = 10^-12, off by at most DIFFERENCE_ERROR",
    derivation="the difference of the cross-entropy itself, one logit at a time",
    identities="each row sums to 0; equal logits give 1/K - target",
    shares_code_with="cross_entropy_by_digits",
)
def cross_entropy_slope_by_differences(logits: Any, target: Any) -> Exact:
    """d loss / d logit, (L(x + h e_i) - L(x - h e_i)) / 2h, of every row."""

    def slopes(row: list[float], t: list[float]) -> list[Fraction]:
        base = [Fraction(x) for x in row]
        moved = [[[*base[:i], base[i] + sign * _STEP, *base[i + 1 :]] for sign in (1, -1)] for i in range(len(row))]
        return [(_loss(up, t) - _loss(down, t)) / (2 * _STEP) for up, down in moved]

    return _stacked([slopes(*pair) for pair in zip(_rows(logits), _rows(target), strict=True)], np.shape(logits))


@oracle(
    method="mpmath at 50 digits",
    derivation="Shannon: - sum of p log p, 0 log 0 = 0",
    identities="a point mass has 0, n equal ones log n",
    shares_code_with="_oracles/aggregates.py: conversions to and from 50 digits",
)
def entropy_by_digits(target: Any) -> Exact:
    """The entropy of every row."""
    found = [_fraction(-_DIGITS.fsum(_mp(p) * _DIGITS.log(_mp(p)) for p in row if p)) for row in _rows(target)]
    return _stacked(found, np.shape(target)[:-1])
