"""Finite distributions whose expectiles are asked for: how they are drawn, and how exact sides are compared."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from properties._bounds import Floats, own_rounding
from properties._draw import BATCHES, STYLES, array_of, codes, dyadic
from properties._oracles import exact
from properties._trial import Trial

IQL = "Kostrikov et al. 2021"
NEWEY = "Newey & Powell 1987"


class Sample(NamedTuple):
    """Two random variables on the same atoms [..., n] with their weights, a point for each row, and two levels."""

    values: Floats
    other: Floats
    weights: Floats
    point: Floats
    level: float
    other_level: float


LEVELS = (0.5, 0.75, 0.875, 0.25, 0.9375, 0.984375, 0.015625, *(k / 128 for k in range(1, 128)))
"""IQL's, the far tails, and between; exact in bfloat16, so that the complement is, too."""
PLAIN_LEVELS = (0.9, 0.7, 0.95, 0.99, 0.1, *LEVELS[:7])
LONGEST = 6


@cache
def samples(
    *, styles: tuple[str, ...] = STYLES, levels: tuple[float, ...] = LEVELS, longest: int = LONGEST
) -> st.SearchStrategy[Sample]:
    """1 to `longest` atoms; weights that sum to 1, with zeros, or any positive numbers. From one byte string, as steps() is."""
    size = max(math.prod(shape) for shape in BATCHES)
    return codes(6 + size * (2 + 7 * longest)).map(lambda bits: _decoded(bits, styles, levels, longest))


def _decoded(bits: bytes, styles: tuple[str, ...], levels: tuple[float, ...], longest: int) -> Sample:
    lead, style = BATCHES[bits[0] % len(BATCHES)], styles[bits[1] % len(styles)]
    size, n = math.prod(lead), 1 + bits[2] % longest
    shape, block = (*lead, n), 2 * size * n
    values, other, masses = (array_of(bits[6 + i * block :][:block], shape, style) for i in range(3))
    chances = np.frombuffer(bits[6 + 3 * block :][: size * n], dtype=np.uint8).reshape(shape)
    weights = dyadic(chances, (2, 8)[bits[3] % 2], 0)
    if bits[3] >= 192:
        weights = np.abs(masses) + np.abs(masses).max() + (masses.max() == 0)
    point = np.asarray(array_of(bits[6 + 7 * size * n :][: 2 * size], lead, style))
    return Sample(values, other, weights, point, levels[bits[4] % len(levels)], levels[bits[5] % len(levels)])


GIVEN = {"s": samples()}


def apply(port: Trial, s: Sample, **other: Any) -> tuple[Floats, Floats]:
    """The expectile of a sample, with some of its fields replaced: value and error bound."""
    s = s._replace(**other)
    return port("expectile", s.values, s.weights, expectile=s.level)


def column(value: Any) -> Any:
    """An exact number for each row, to be compared with all of the row."""
    return np.asarray(exact(value), dtype=object)[..., None]


def exact_side(error: Any, level: float) -> Any:
    """|level - 1[error < 0]|, in Fractions."""
    below = np.asarray(np.asarray(error) < 0, dtype=np.float64)
    return Fraction(level) + (1 - 2 * Fraction(level)) * exact(below)


def total_loss(s: Sample, point: Any) -> Any:
    """sum of w |level - 1[x < point]| (x - point)^2 over each row, in Fractions."""
    gap = exact(s.values) - column(point)
    return (exact(s.weights) * exact_side(gap, s.level) * gap**2).sum(axis=-1)


def at_most(port: Trial, left: Any, right: Any, slack: ArrayLike, what: str = "") -> None:
    """left <= right + slack, where both are exact: their difference is rounded once, and the slack at most 15 times."""
    port.at_most(np.asarray(left - right, dtype=np.float64), 0.0, np.asarray(slack) * own_rounding(16), what)
