"""Units: what an operator says of values in one unit it says in every other, up to where the numbers end (no overflow inside)."""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

import reference
from properties._bounds import rounded
from properties._claim import OPERATORS, Call, claim
from properties._trial import Trial, first

UNITS: dict[str, tuple[str, int]] = {
    **dict.fromkeys(("mean_aggregate", "max_aggregate", "sampled_advantage"), ("q", 1)),
    "log_mean_exp": ("q temperature", 1),
    "boltzmann": ("q temperature", 0),
    "normalized_weights": ("advantage temperature", 0),
    "exponential_weights": ("advantage temperature", 0),
    "improved_policy": ("q temperature", 0),
    "greedy": ("q", 0),
    "epsilon_greedy": ("q", 0),
    "dueling_value": ("value advantage", 1),
    "expectile": ("values", 1),
    "expected_maximum": ("means deviations", 1),
    "double_estimate": ("select evaluate", 1),
    "categorical_projection": ("atoms reward", 0),
    "cem_refit": ("actions", 1),
    "sampling_probabilities": ("priority", 0),
    "control_variate_weight": ("advantage control_variate", 0),
}
"""The arguments that have the unit, and how many units the result has."""
SUMS = ("sampled_advantage", "dueling_value", "expected_maximum", "cem_refit", "double_estimate", "control_variate_weight")
HEADROOM = 4
"""A difference of a few terms, each as large as the largest number scaled, is to be one itself; averages need no room."""


@claim(
    "units",
    source="the operator contract: dimensions; multiplying by a power of two is exact",
    operators=[name for name in UNITS if name in OPERATORS],
    given={"data": st.data(), "large": st.booleans()},
    share=0.3,
    every_dtype=True,
)
def units_do_not_matter(port: Trial, data: Any, large: bool) -> None:
    """f(2^k x) = 2^(k d) f(x), d the degree of f, however near to overflow 2^k x is."""
    names, degree = UNITS[port.subject]
    call = Call(*rounded(tuple(data.draw(OPERATORS[port.subject].inputs)), port.dtype))
    numbers = np.concatenate([np.ravel(np.abs(value)) for value in _with_unit(port.subject, call, names)])
    top = float(numbers.max())
    if not 0 < top < math.inf:
        return
    end = 128 if port.dtype != "float64" else 1024
    room = HEADROOM if port.subject in SUMS else 0
    power = end - room - math.frexp(top)[1] if large else 8
    scaled = Call(*_scaled(port.subject, call, names, power))
    value, error = port(port.subject, *call.arguments, **call.keywords)
    found = np.asarray(first(port.result(scaled)))
    value, error = first(value), first(error)
    port.equal(np.ldexp(found, -power * degree), value, 2 * error, f"in units 2^-{power} as large")


def _with_unit(name: str, call: Call, names: str) -> list[Any]:
    places = list(inspect.signature(getattr(reference, name)).parameters)
    given = dict(zip(places, call.arguments, strict=False)) | call.keywords
    return [given[key] for key in names.split() if given.get(key) is not None]


def _scaled(name: str, call: Call, names: str, power: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
    places = list(inspect.signature(getattr(reference, name)).parameters)
    unit = names.split()

    def change(key: str, value: Any) -> Any:
        if key not in unit or value is None:
            return value
        return np.ldexp(value, power) if isinstance(value, np.ndarray) else math.ldexp(value, power)

    arguments = tuple(change(key, value) for key, value in zip(places, call.arguments, strict=False))
    return arguments, {key: change(key, value) for key, value in call.keywords.items()}
