"""Exponentials and logarithms at 50 digits, and expectations over n independent samples by enumeration, exactly.

What is irrational is returned as the Fraction of its first 50 digits, so that a comparison with it loses nothing in float64.
"""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np

from properties._oracles import Exact, oracle

_DIGITS = mpmath.MPContext()
_DIGITS.dps = 50
_INVISIBLE = -3000
"""Numbers below 2^-3000 become 0: no float is near, and as Fractions the far tails of exp would not fit into memory."""


def _mp(value: float | Fraction) -> Any:
    """A float or Fraction as mpf."""
    return _DIGITS.mpf(value.numerator) / value.denominator if isinstance(value, Fraction) else _DIGITS.mpf(value)


def _fraction(value: Any) -> Fraction:
    """An mpf as a Fraction, digit for digit."""
    sign, mantissa, exponent, bits = value._mpf_
    if mantissa == 0 or exponent + bits < _INVISIBLE:
        return Fraction(0)
    size: Fraction = Fraction(int(mantissa)) * Fraction(2) ** int(exponent)
    return -size if sign else size


def _rows(array: Any) -> list[list[float]]:
    return np.reshape(array, (-1, np.shape(array)[-1])).tolist()  # type: ignore[no-any-return]


def _stacked(rows: list[Any], shape: tuple[int, ...]) -> Exact:
    """One Fraction, or one list of them, per row, as an array."""
    out = np.empty(int(np.prod(shape, dtype=int)), dtype=object)
    out[:] = list(itertools.chain(*rows)) if rows and isinstance(rows[0], list) else rows
    return out.reshape(shape)


def _log_expectation(q: list[float], mass: list[Fraction], temperature: float) -> Fraction:
    """t log sum of mass exp(q/t), around the maximum over the support; its limits at t = 0 and t = inf."""
    held = [(Fraction(x), m) for x, m in zip(q, mass, strict=True) if m > 0]
    peak = max(x for x, _ in held)
    if temperature == 0:
        return peak
    if math.isinf(temperature):
        return sum((m * x for x, m in held), Fraction(0))
    t = _mp(temperature)
    total = _DIGITS.fsum(_mp(m) * _DIGITS.exp(_mp(x - peak) / t) for x, m in held)
    return peak + _fraction(t * _DIGITS.log(total))


@oracle(
    method="mpmath at 50 digits",
    derivation="Kozakowski et al. 2021, F = log-sum-exp: t log((1/n) sum of exp(q_i / t))",
    identities="t = 0 is the maximum, t = inf the mean; (0, 1) at t = 1 gives log((1 + e)/2)",
)
def log_mean_exp_by_digits(q: Any, *, temperature: float) -> Exact:
    """t log mean exp(q/t) of every row."""
    share = Fraction(1, np.shape(q)[-1])
    found = [_log_expectation(row, [share] * len(row), temperature) for row in _rows(q)]
    return _stacked(found, np.shape(q)[:-1])


@oracle(
    method="mpmath at 50 digits",
    derivation="Peng et al. 2019, §3: the maximum over policies of pi.q - t KL(pi, mu), which is t log sum of mu exp(q/t)",
    identities="t = 0 is the maximum over the support, t = inf the mean under mu; a point mass gives its q",
)
def soft_value_by_digits(behavior: Any, q: Any, *, temperature: float) -> Exact:
    """t log of the sum over actions of mu exp(q/t), for every row."""
    pairs = zip(_rows(q), _rows(behavior), strict=True)
    found = [_log_expectation(row, [Fraction(m) for m in mu], temperature) for row, mu in pairs]
    return _stacked(found, np.shape(q)[:-1])


def _tilted(q: list[float], mass: list[Fraction], temperature: float) -> list[Fraction]:
    """mass exp(q/t), normalised; at t = 0 the mass of the maximisers alone, at t = inf the mass itself."""
    peak = max(Fraction(x) for x, m in zip(q, mass, strict=True) if m > 0)
    if math.isinf(temperature):
        weight = list(mass)
    elif temperature == 0:
        weight = [m if x == peak else Fraction(0) for x, m in zip(q, mass, strict=True)]
    else:
        t = _mp(temperature)
        held = [_mp(m) * _DIGITS.exp(_mp(Fraction(x) - peak) / t) if m > 0 else _DIGITS.zero for x, m in zip(q, mass, strict=True)]
        total = _DIGITS.fsum(held)
        return [_fraction(h / total) for h in held]
    return [w / sum(weight) for w in weight]


@oracle(
    method="mpmath at 50 digits",
    derivation="Peng et al. 2019, §3: the policy in proportion to mu exp(A/t)",
    identities="rows sum to 1; t = inf gives mu; equal q give mu; one action gives 1",
)
def improved_policy_by_digits(behavior: Any, q: Any, *, temperature: float) -> Exact:
    """mu exp(q/t) / sum of mu exp(q/t), for every row."""
    pairs = zip(_rows(q), _rows(behavior), strict=True)
    return _stacked([_tilted(row, [Fraction(m) for m in mu], temperature) for row, mu in pairs], np.shape(q))


@oracle(
    method="mpmath at 50 digits",
    derivation="the derivative of t log mean exp(q/t): exp(q_i/t) / sum of exp(q_j/t)",
    identities="rows sum to 1; t = 0 shares among the maximisers, t = inf among all; equal entries give 1/n",
)
def softmax_by_digits(q: Any, *, temperature: float) -> Exact:
    """softmax(q/t) of every row."""
    return _stacked([_tilted(row, [Fraction(1, len(row))] * len(row), temperature) for row in _rows(q)], np.shape(q))


@oracle(
    method="mpmath at 50 digits",
    derivation="Peng et al. 2019, Algorithm 1: min(exp(A/t), cap)",
    identities="A = 0 gives min(1, cap); t = inf gives min(1, cap)",
)
def exponential_weights_by_digits(advantage: Any, *, temperature: float, max_weight: float | None) -> Exact:
    """min(exp(A/t), cap), element by element."""
    cap = None if max_weight is None else Fraction(max_weight)
    found = []
    for a in np.ravel(advantage).tolist():
        weight = _DIGITS.exp(_DIGITS.mpf(a) / _DIGITS.mpf(temperature))
        found.append(cap if cap is not None and weight > _mp(cap) else _fraction(weight))
    return _stacked(found, np.shape(advantage))


@oracle(
    method="mpmath at 50 digits",
    derivation="Peng et al. 2019, eq. 6 (its Lagrangian, one state): pi.q - t sum of pi log(pi/mu)",
    identities="pi = mu gives mu.q; at the optimum it is t log sum of mu exp(q/t)",
)
def kl_objective_by_digits(policy: Any, behavior: Any, q: Any, *, temperature: float) -> Exact:
    """pi.q - t KL(pi, mu) of every row; pi must vanish where mu does and need not sum to exactly 1."""

    def one(pi: list[float], mu: list[float], row: list[float]) -> Fraction:
        held = [(_mp(p), _mp(m), _mp(x)) for p, m, x in zip(pi, mu, row, strict=True) if p > 0]
        return _fraction(_DIGITS.fsum(p * (x - _mp(temperature) * _DIGITS.log(p / m)) for p, m, x in held))

    rows = zip(_rows(policy), _rows(behavior), _rows(q), strict=True)
    return _stacked([one(*row) for row in rows], np.shape(q)[:-1])


def draws(actions: int, samples: int) -> Any:
    """Every n-tuple of actions, [actions^samples, samples]."""
    return np.array(list(itertools.product(range(actions), repeat=samples)), dtype=np.int64)


@oracle(
    method="enumeration in fractions.Fraction",
    derivation="Kozakowski et al. 2021: E over a_1..a_n from mu is the sum over all tuples of mu(a_1)...mu(a_n) f",
    identities="the probabilities sum to 1; n = 1 is the sum of mu f",
)
def expectation_over_draws(outcome: Any, behavior: Any, samples: int) -> Fraction:
    """The expectation of `outcome` (one number per tuple of `draws`) under n independent draws from `behavior`."""
    chances = itertools.product([Fraction(m) for m in behavior.tolist()], repeat=samples)
    pairs = zip(chances, outcome.tolist(), strict=True)
    return sum((math.prod(chance, start=Fraction(1)) * Fraction(f) for chance, f in pairs if all(chance)), Fraction(0))


@oracle(
    method="fractions.Fraction",
    derivation="order statistics: P(max of n <= x) = F(x)^n",
    identities="n = 1 is the mean under mu; a point mass gives its value",
)
def expected_maximum_by_order_statistics(q: Any, behavior: Any, samples: int) -> Fraction:
    """E max(q(a_1), ..., q(a_n)), from the distribution function of q under the behavior."""
    masses: dict[Fraction, Fraction] = {}
    for x, m in zip(q.tolist(), behavior.tolist(), strict=True):
        masses[Fraction(x)] = masses.get(Fraction(x), Fraction(0)) + Fraction(m)
    total, below = Fraction(0), Fraction(0)
    for x in sorted(masses):
        total += x * ((below + masses[x]) ** samples - below**samples)
        below += masses[x]
    return total
