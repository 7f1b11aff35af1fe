"""Prioritised replay: powers at 50 digits, shares in fractions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from properties._exact import Exact, along_last, exact_value, fraction
from properties._exact.precision import settled
from properties._oracles import priorities
from properties._oracles.aggregates import _DIGITS as CONVERSIONS

POWERS = (priorities._DIGITS, CONVERSIONS)


@exact_value("priority")
def priority(td_error: Any, *, exponent: float, offset: float) -> Exact:
    """(|delta| + offset)^exponent; 1 at exponent 0, and otherwise inf for an infinite error."""
    endless = np.isinf(td_error) & (exponent != 0)
    finite = np.where(np.isinf(td_error), 0.0, td_error)
    powers = settled(lambda: priorities.priority_by_digits(finite, exponent=exponent, offset=offset), *POWERS)
    return np.asarray(np.where(endless, math.inf, powers), dtype=object)


@exact_value("sampling_probabilities")
def sampling_probabilities(priority: Any) -> Exact:
    """p_i / sum of p, of every row."""

    def one(row: list[float]) -> list[Any]:
        sizes = [fraction(p) for p in row]
        return [size / sum(sizes) for size in sizes]

    return along_last(one, priority)


@exact_value("importance_weights")
def importance_weights(
    probability: Any,
    *,
    size: int,
    exponent: float,
    normalizer: str | None = "batch",
    minimum_probability: float | None = None,
) -> Exact:
    """(size P)^-exponent, over the row's largest, over that of the memory's smallest P, or as it is."""
    knobs: dict[str, Any] = {"size": size, "exponent": exponent, "normalizer": normalizer}
    knobs["minimum_probability"] = minimum_probability
    return np.asarray(settled(lambda: priorities.importance_weights_by_digits(probability, **knobs), *POWERS))
