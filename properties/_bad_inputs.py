"""Bad inputs, made from a valid call and the names of its arguments, each with what a useful message must name."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

import reference
from properties._claim import Call

FLAGS = ("terminated", "truncated")
INDICES = ("next_action",)
PROBABILITIES = ("transition", "policy", "prior", "behavior", "next_policy")
NON_NEGATIVE = ("weight", "weights", *PROBABILITIES)
SCALARS: dict[str, tuple[Any, ...]] = {
    "discount": (-0.1, 1.5, float("nan"), "0.9"),
    "lambda_": (-0.1, 1.5, float("nan")),
    "expectile": (0.0, 1.0, -0.5, float("nan")),
    "quantile": (0.0, 1.0, 1.5, float("nan")),
    "entropy_coefficient": (-0.5, float("nan")),
    "n": (0, -1, 1.5),
    "margin": (-1, 0.5),
    "samples": (0, 1.5),
    "aggregate": ("sum", None),
    "max_weight": (0.0, -1.0, float("nan")),
    "noise_clip": (-1.0, float("nan")),
    "tolerance": (0.0, float("nan")),
    "max_iterations": (0, 2.5),
}
BELOW_ONE = ("solve_policy", "solve_optimal", "value_iteration", "q_value_iteration")
POSITIVE_TEMPERATURE = ("exponential_weights", "normalized_weights", "improved_policy")


class Bad(NamedTuple):
    """One invalid call, the argument at fault, and the value that the message must show."""

    rule: str
    call: Call
    name: str
    value: str


def bad_calls(operator: str, valid: Call) -> Iterator[Bad]:
    """Every way in which `valid` can be spoilt by one argument."""
    parameters = list(inspect.signature(getattr(reference, operator)).parameters.values())
    arrays = [(i, p.name) for i, p in enumerate(parameters[: len(valid.arguments)]) if isinstance(valid.arguments[i], np.ndarray)]
    for place, name in arrays:
        yield from _bad_array(valid, place, name, first=place == arrays[0][0], alone=len(arrays) == 1)
    for place, matrix in enumerate(valid.arguments):
        if hasattr(matrix, "indptr"):
            yield from _bad_csr(valid, place, parameters[place].name)
    for name in valid.keywords:
        for value in _bad_scalars(operator, name):
            yield Bad(f"{name} out of range", valid._replace(keywords=valid.keywords | {name: value}), name, str(value))


def _bad_scalars(operator: str, name: str) -> tuple[Any, ...]:
    if name == "temperature":
        return (-1.0, float("nan"), *((0.0,) if operator in POSITIVE_TEMPERATURE else ()))
    if name == "discount" and operator in BELOW_ONE:
        return (1.0, *SCALARS[name])
    return SCALARS.get(name, ())


def _bad_csr(valid: Call, place: int, name: str) -> Iterator[Bad]:
    matrix = valid.arguments[place]
    row, column = int(np.flatnonzero(np.diff(matrix.indptr))[0]), int(matrix.indices[0])
    entry = f"{name}[{row}, {column}]"
    for rule, first, value in (
        ("with NaN", np.nan, entry),
        ("with a negative entry", -1.0, entry),
        ("of too little mass", 0.0, f"{name}[{row}"),
    ):
        data = matrix.data.copy()
        data[0] = first
        spoilt = type(matrix)((data, matrix.indices, matrix.indptr), shape=matrix.shape)
        arguments = valid.arguments[:place] + (spoilt,) + valid.arguments[place + 1 :]
        yield Bad(f"{name} {rule}", valid._replace(arguments=arguments), name, value)


def _bad_array(valid: Call, place: int, name: str, *, first: bool, alone: bool) -> Iterator[Bad]:
    array = valid.arguments[place]

    def spoilt(rule: str, replacement: Any, value: str, named: str = name) -> Bad:
        arguments = valid.arguments[:place] + (replacement,) + valid.arguments[place + 1 :]
        return Bad(f"{name} {rule}", valid._replace(arguments=arguments), named, value)

    if array.dtype == bool:
        yield spoilt("of numbers", array.astype(np.float64), "float")
    if array.dtype.kind == "i":
        yield spoilt("of reals", array.astype(np.float64), "float")
        yield spoilt("out of range", np.full_like(array, 10**6), "1000000")
    if array.dtype.kind == "f" and array.size:
        yield spoilt("of complex numbers", array.astype(np.complex128), "complex")
        poisoned, where = array.copy(), (0,) * array.ndim
        poisoned[where] = np.nan
        yield spoilt("with NaN", poisoned, f"{name}[{', '.join(map(str, where))}]" if where else name)
    if name in NON_NEGATIVE:
        negative = array.copy()
        negative[(0,) * array.ndim] = -1.0
        yield spoilt("with a negative entry", negative, "-1.0")
    if name in PROBABILITIES:
        yield spoilt("that does not sum to 1", array * 0.5, "0.5")
    if not alone and not first:
        yield spoilt("of another shape", array[..., None], str((*array.shape, 1)))
