"""Dueling heads in fractions."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from properties._exact import Exact, along_last, exact_value, fraction


@exact_value("dueling_value")
def dueling_value(value: Any, advantage: Any, *, baseline: str = "mean") -> Exact:
    """Wang et al. 2016, eqs. 8 (max) and 9 (mean); infinities as IEEE has them, so that inf - inf is NaN."""

    def one(state: list[float], row: list[float]) -> list[Any]:
        advantages = [fraction(a) for a in row]
        base = max(advantages) if baseline == "max" else sum(advantages, Fraction(0)) / len(row)
        return [fraction(state[0]) + (a - base) for a in advantages]

    return along_last(one, np.asarray(value)[..., None], advantage)


@exact_value("dueling_value_gradient")
def dueling_value_gradient(value: Any, advantage: Any, *, baseline: str = "mean") -> Exact:
    """1[a = b] - 1/A, or 1[a = b] - 1[A(b) is largest] / number of largest."""

    def one(row: list[float]) -> list[Fraction]:
        counted = [baseline == "mean" or a == max(row) for a in row]
        share = [Fraction(int(c), sum(counted)) for c in counted]
        return [int(a == b) - share[b] for a in range(len(row)) for b in range(len(row))]

    actions = np.shape(advantage)[-1]
    return along_last(one, advantage).reshape(*np.shape(advantage), actions)
