"""Sums and quotients that are exact until they are rounded once, and products with exponentials that overflow only if the product
does."""

from __future__ import annotations

import math

import numpy as np

from reference._checks import FloatArray


def times_exp(x: FloatArray, exponent: FloatArray) -> FloatArray:
    """x · exp(exponent), which overflows or vanishes only if the product does; 0 at x = 0 whatever the exponent."""
    with np.errstate(all="ignore"):
        half = np.exp(0.5 * exponent)
        product = np.where(np.abs(exponent) <= 700.0, x * np.exp(exponent), x * half * half)
    return np.where(x == 0.0, 0.0, product)


def total(terms: FloatArray, axis: int = -1) -> FloatArray:
    """The sum along an axis, exact and then rounded once; +inf and −inf together are nan, as IEEE has it."""
    rows = np.moveaxis(terms, axis, -1)
    sums = [exact_sum(row) for row in rows.reshape(-1, rows.shape[-1]).tolist()]
    return np.array(sums, dtype=np.float64).reshape(rows.shape[:-1])


def exact_sum(row: list[float]) -> float:
    """The sum of the row; where it overflows on the way, in pieces so small that only the result can."""
    try:
        return math.fsum(row)
    except ValueError:
        return math.nan  # what fsum says of +inf and −inf
    except OverflowError:
        piece = 2.0 ** -len(row).bit_length()
        return exact_sum([x * piece for x in row]) / piece


def integers(row: list[float]) -> tuple[list[int], int]:
    """Integers and the unit they are counted in: each entry of the row is its integer / unit, exactly."""
    ratios = [x.as_integer_ratio() for x in row]
    unit = max(denominator for _, denominator in ratios)  # all are powers of two, so the largest is a multiple of each
    return [numerator * (unit // denominator) for numerator, denominator in ratios], unit


def quotient(numerator: int, denominator: int) -> float:
    """numerator / denominator, correctly rounded, ±inf beyond the float range."""
    try:
        return numerator / denominator
    except OverflowError:
        return math.inf if numerator > 0 else -math.inf
