"""Expectiles and the losses that have them, or quantiles, as minimisers; in fractions."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

from properties._exact import Exact, along_last, elementwise, exact_value, fraction
from properties._oracles.expectiles import expectile_by_balance


def _tilt(level: float, error: float) -> Fraction:
    """|level - 1[error < 0]|."""
    return abs(Fraction(level) - (1 if error < 0 else 0))


@exact_value("expectile_loss")
def expectile_loss(error: Any, *, expectile: float) -> Exact:
    """Kostrikov et al. 2021, eq. 5."""
    return elementwise(lambda e: _tilt(expectile, e) * fraction(e) * fraction(e), error)


@exact_value("expectile_loss_gradient")
def expectile_loss_gradient(error: Any, *, expectile: float) -> Exact:
    """2 |expectile - 1[error < 0]| error."""
    return elementwise(lambda e: 2 * _tilt(expectile, e) * fraction(e), error)


@exact_value("pinball_loss")
def pinball_loss(error: Any, *, quantile: float) -> Exact:
    """Koenker & Bassett 1978: |quantile - 1[error < 0]| |error|."""
    return elementwise(lambda e: _tilt(quantile, e) * abs(fraction(e)), error)


def balanced(values: list[Any], masses: list[Any], level: float) -> Any:
    """The expectile of a row by its balance equation; infinite values of positive mass have the last word, both together none."""
    infinite = {x for x, m in zip(values, masses, strict=True) if m > 0 and math.isinf(x)}
    if infinite:
        return sum(infinite)
    held = [(x, m) for x, m in zip(values, masses, strict=True) if m > 0]
    points, weights = (np.array(column, dtype=object)[None] for column in zip(*held, strict=True))
    return expectile_by_balance(points, weights, expectile=level)[0]


@exact_value("expectile")
def expectile_of_a_distribution(values: Any, weights: Any = None, *, expectile: float) -> Exact:
    """Newey & Powell 1987, eq. 2.7."""
    masses = np.ones(np.shape(values)) if weights is None else weights
    return along_last(lambda x, w: balanced(x, w, expectile), values, masses)
