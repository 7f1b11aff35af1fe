"""Expected maxima of independent estimates: of uniforms in fractions, of normals at 30 digits; and of finitely many outcomes."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from itertools import pairwise
from typing import Any

import mpmath

from properties._oracles import oracle
from properties._oracles.aggregates import _fraction

_DIGITS = mpmath.MPContext()
_DIGITS.dps = 30
_REACH = 12
"""Standard deviations beyond which a normal's tail, 1e-32, is below these digits."""


def _times(polynomial: list[Fraction], constant: Fraction, slope: Fraction) -> list[Fraction]:
    """polynomial(t) (constant + slope t), coefficients in rising powers."""
    out = [constant * c for c in polynomial] + [Fraction(0)]
    for power, c in enumerate(polynomial):
        out[power + 1] += slope * c
    return out


def _area(ends: list[tuple[Fraction, Fraction]], left: Fraction, right: Fraction) -> Fraction:
    """The integral over [left, right] of the product of the uniforms' distribution functions, a polynomial there."""
    product = [Fraction(1)]
    for low, high in ends:
        if high > left:
            product = _times(product, (left - low) / (high - low), 1 / (high - low))
    return sum((c * (right - left) ** (power + 1) / (power + 1) for power, c in enumerate(product)), Fraction(0))


@oracle(
    method="fractions.Fraction, piecewise polynomials",
    derivation="E max = b - integral over x <= b of prod P(X_i <= x), b the largest upper end; 0 where any factor is",
    identities="one estimate gives its mean; m equal ones give mean + deviation (m-1)/(m+1); a certain best one gives itself",
)
def expected_maximum_of_uniforms(means: list[float], deviations: list[float]) -> Fraction:
    """E max of independent uniforms on means -+ deviations."""
    ends = [(Fraction(m) - Fraction(d), Fraction(m) + Fraction(d)) for m, d in zip(means, deviations, strict=True)]
    low, high = max(a for a, _ in ends), max(b for _, b in ends)
    inner = {x for pair in ends for x in pair if low < x < high}
    return high - sum((_area(ends, *piece) for piece in pairwise(sorted({low, high} | inner))), Fraction(0))


@oracle(
    method="mpmath at 30 digits",
    derivation="Clark 1961, eq. 2-3: mu1 Phi(a) + mu2 Phi(-a) + s phi(a), s^2 the sum of the variances, a = (mu1 - mu2)/s",
    identities="equal unit normals give 1/sqrt(pi); no deviation gives the larger mean",
    shares_code_with="_oracles/aggregates.py: conversion to fractions",
)
def expected_maximum_of_two_normals(means: list[float], deviations: list[float]) -> Fraction:
    """E max of two independent normals."""
    (one, two), spread = map(_DIGITS.mpf, means), _DIGITS.hypot(*map(_DIGITS.mpf, deviations))
    if spread == 0:
        return Fraction(max(means))
    a = (one - two) / spread
    excess = _DIGITS.npdf(a) * spread - abs(one - two) * _DIGITS.ncdf(-abs(a))
    return Fraction(max(means)) + _fraction(excess)


@oracle(
    method="mpmath quadrature at 30 digits, between the points where a distribution function bends",
    derivation="E max = c + integral above c of (1 - prod F_i) - integral below c of prod F_i",
    identities="two normals give Clark's formula; three equal ones 3/(2 sqrt(pi))",
    shares_code_with="_oracles/aggregates.py: conversion to fractions",
)
def expected_maximum_of_normals(means: list[float], deviations: list[float]) -> Fraction:
    """E max of independent normals."""
    pairs = [(_DIGITS.mpf(m), _DIGITS.mpf(d)) for m, d in zip(means, deviations, strict=True)]
    start, end = (max(m + sign * _REACH * d for m, d in pairs) for sign in (-1, 1))
    bends = {m + k * d for m, d in pairs for k in (-_REACH, -6, -3, -1, 0, 1, 3, 6, _REACH)}
    points = sorted({start, end, *(x for x in bends if start < x < end)})

    def below(x: Any) -> Any:
        return _DIGITS.fprod(_DIGITS.ncdf((x - m) / d) if d else _DIGITS.mpf(x >= m) for m, d in pairs)

    return _fraction(end - _DIGITS.quad(below, points)) if start < end else _fraction(end)


@cache
@oracle(
    method="mpmath quadrature at 30 digits",
    derivation="David & Nagaraja 2003, eq. 3.1.1: the integral of x m phi(x) Phi(x)^(m-1)",
    identities="m = 1: 0; 2: 1/sqrt(pi); 3: 3/(2 sqrt(pi)); 5: 5/sqrt(pi) (1/4 + 3/(2 pi) asin(1/3))",
    shares_code_with="_oracles/aggregates.py: conversion to fractions",
)
def expected_maximum_of_unit_normals(number: int) -> Fraction:
    """E max of so many independent N(0, 1)."""

    def density(x: Any) -> Any:
        return x * number * _DIGITS.npdf(x) * _DIGITS.ncdf(x) ** (number - 1)

    return _fraction(_DIGITS.quad(density, [-_REACH, -4, -2, 0, 2, 4, _REACH]))
