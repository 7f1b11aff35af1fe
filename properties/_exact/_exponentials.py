"""t log sum m exp(q/t) and its derivative at 50 digits, with their limits at t = 0, t = inf, q = ±inf and m = 0."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from properties._exact import DIGITS, digits, fraction
from properties._exact.precision import settled


def log_sum(q: list[Any], masses: list[Fraction], temperature: float) -> Any:
    """t log of the sum of m exp(q/t): at t = 0 the maximum over m > 0, at t = inf the sum of m q.

    Around the maximum, as log1p of sums of expm1, and with as many digits as the sum of its parts takes away.
    """
    held = [(fraction(x), m) for x, m in zip(q, masses, strict=True) if m > 0]
    peak = max(x for x, _ in held)
    if math.isinf(temperature):
        return sum((m * x for x, m in held), Fraction(0))
    if temperature == 0 or math.isinf(peak):
        return peak
    return settled(lambda: _around(peak, held, temperature), DIGITS)


def _around(peak: Any, held: list[tuple[Any, Fraction]], temperature: float) -> Any:
    """log_sum of finite values at a finite temperature."""
    t = digits(temperature)
    grown = DIGITS.fsum(digits(m) * DIGITS.expm1(digits(x - peak) / t) for x, m in held)
    excess = sum((m for _, m in held), Fraction(-1))
    return digits(peak) + t * DIGITS.log1p(digits(excess) + grown)


def shares(q: list[Any], masses: list[Fraction], temperature: float) -> list[Any]:
    """m exp(q/t), over its sum: at t = inf the masses, at t = 0 or where the largest q is infinite those of the maximisers."""
    if math.isinf(temperature):
        return list(masses)
    values = [fraction(x) for x in q]
    peak = max(x for x, m in zip(values, masses, strict=True) if m > 0)
    if temperature == 0 or math.isinf(peak):
        weights: list[Any] = [m if x == peak else Fraction(0) for x, m in zip(values, masses, strict=True)]
        return [w / sum(weights, Fraction(0)) for w in weights]
    t = digits(temperature)
    weights = [digits(m) * DIGITS.exp(digits(x - peak) / t) if m > 0 else DIGITS.zero for x, m in zip(values, masses, strict=True)]
    total = DIGITS.fsum(weights)
    return [w / total for w in weights]


def even(count: int) -> list[Fraction]:
    """1/n, n times."""
    return [Fraction(1, count)] * count


def aggregated(q: list[Any], aggregate: str, temperature: float | None) -> Any:
    """QWR's F of a row of samples: max, mean or log_mean_exp."""
    if aggregate == "max":
        return max(fraction(x) for x in q)
    limit = math.inf if aggregate == "mean" or temperature is None else temperature
    return log_sum(q, even(len(q)), limit)
