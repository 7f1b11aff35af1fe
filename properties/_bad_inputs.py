"""Bad inputs, made from a valid call and the names of its arguments, each with what a useful message must name."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

import reference
from properties._claim import Call
from properties._functions import Linear

FLAGS = ("terminated", "truncated")
INDICES = ("next_action",)
PROBABILITIES = (
    "transition", "policy", "prior", "behavior", "next_policy", "categorical_projection.probability", "categorical_loss.target",
)  # fmt: skip
NON_NEGATIVE = (
    "weights", "weighted_policy_loss.weight", "weighted_policy_loss_gradient.weight", "mean_square_error", "deviations",
    "probability", "sampling_probabilities.priority", "sample_proportional.priority", *PROBABILITIES,
)  # fmt: skip
FINITE = (
    "weights", "mean_square_error", "means", "deviations", "priority", "atoms", "logits", "gaussian_log_prob.action", "log_std",
    "pre_tanh", "b", "vector", "natural_step.gradient", "step", "cem_refit.actions", "control_variate_weight.control_variate",
    *PROBABILITIES,
)  # fmt: skip
"""A name alone, or of one operator only."""
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
    "tolerance": (-1.0, float("nan")),
    "max_iterations": (0, 2.5),
    "epsilon": (-0.1, 1.5, float("nan")),
    "over": ("some", None),
    "generator": ((),),
    "inputs": (0, 1.5),
    "outputs": (0, 1.5),
    "actions": (1, 2.5),
    "distribution": ("cauchy", None),
    "baseline": ("median", None),
    "polyak_step": (-0.1, 1.5, float("nan")),
    "exponent": (-1.0, float("nan")),
    "offset": (-1.0, float("nan")),
    "size": (0, 1.5),
    "normalizer": ("sum",),
    "minimum_probability": (0.0, -0.5, 2.0, float("nan")),
    "stratified": (None, "yes"),
    "capacity": (0, -1, 2.5),
    "clip": (0.0, 1.0, float("nan")),
    "log_coefficient": (float("nan"), "1"),
    "target_entropy": (float("nan"), "1"),
    "rule": ("random", None),
    "centered": (None, "yes"),
    "on_policy_fraction": (-0.1, 1.5, float("nan")),
    "iterations": (0, 1.5),
    "damping": (-1.0, float("nan")),
    "max_kl": (0.0, -1.0, float("nan")),
    "shrink": (0.0, 1.0, float("nan")),
    "max_backtracks": (-1, 0.5),
    "elites": (0, 10**6, 1.5),
    "population": (0, 1.5),
    "step_size": (0.0, -1.0, float("nan")),
}
POSITIVE_TOLERANCE = ("value_iteration", "q_value_iteration")
FUNCTIONS = ("matvec", "evaluate", "q_fn", "q_and_gradient")
BELOW_ONE = ("solve_policy", "solve_optimal", "value_iteration", "q_value_iteration")
SQUASHED = ("tanh_gaussian_log_prob", "tanh_action", "sample_tanh_gaussian")
"""Their box must be finite and not empty; 1e9 exceeds every bound that is drawn."""
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
        rules = {name, f"{operator}.{name}"}
        yield from _bad_array(valid, place, name, rules)
        if len(arrays) > 1 and place != arrays[0][0]:
            yield _misshapen(valid, place, name)
    for place, matrix in enumerate(valid.arguments):
        if hasattr(matrix, "indptr"):
            yield from _bad_csr(valid, place, parameters[place].name)
    if operator == "conjugate_gradient":
        yield _negative_definite(valid)
    for place, parameter in enumerate(parameters[: len(valid.arguments)]):
        if not isinstance(valid.arguments[place], np.ndarray):
            for value in _bad_scalars(operator, parameter.name):
                yield Bad(f"{parameter.name} out of range", _replaced(valid, place, value), parameter.name, _shown(value))
    for name in [name for name in valid.keywords if name != "minimum_probability" or valid.keywords["normalizer"] == "memory"]:
        for value in _bad_scalars(operator, name):
            yield Bad(f"{name} out of range", valid._replace(keywords=valid.keywords | {name: value}), name, _shown(value))


def _negative_definite(valid: Call) -> Bad:
    """On b = (1, ..., 1) the first p'Ap is minus the size, exactly."""
    size = len(valid.arguments[1])
    call = Call((Linear(-np.eye(size)), np.ones(size)), valid.keywords | {"damping": 0.0, "tolerance": 0.0})
    return Bad("matvec of a negative definite matrix", call, "matvec", f"= {-float(size)}")


def _replaced(valid: Call, place: int, value: Any) -> Call:
    """The call with one positional argument replaced."""
    return valid._replace(arguments=valid.arguments[:place] + (value,) + valid.arguments[place + 1 :])


def _shown(value: Any) -> str:
    """What a message must show: a number or word as it is, another object by its type."""
    return str(value) if isinstance(value, (int, float, str)) or value is None else type(value).__name__


def _bad_scalars(operator: str, name: str) -> tuple[Any, ...]:
    if name in ("low", "high") and operator in SQUASHED:
        return (float("nan"), float("inf"), 1e9) if name == "low" else (float("nan"), float("-inf"))
    if name in FUNCTIONS:
        return ((),)  # a tuple: nothing that could be called
    if name == "temperature":
        return (-1.0, float("nan"), *((0.0,) if operator in POSITIVE_TEMPERATURE else ()))
    if name == "discount" and operator in BELOW_ONE:
        return (1.0, *SCALARS[name])
    if name == "tolerance" and operator in POSITIVE_TOLERANCE:
        return (0.0, *SCALARS[name])
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


def _misshapen(valid: Call, place: int, name: str) -> Bad:
    longer = valid.arguments[place][..., None]
    return Bad(f"{name} of another shape", _replaced(valid, place, longer), name, str(longer.shape))


def _bad_array(valid: Call, place: int, name: str, rules: set[str]) -> Iterator[Bad]:
    array = valid.arguments[place]

    def spoilt(rule: str, replacement: Any, value: str) -> Bad:
        return Bad(f"{name} {rule}", _replaced(valid, place, replacement), name, value)

    def with_first(value: float) -> Any:
        changed = array.copy()
        changed[(0,) * array.ndim] = value
        return changed

    if array.dtype == bool:
        yield spoilt("of numbers", array.astype(np.float64), "float")
    if array.dtype.kind == "i":
        yield spoilt("of reals", array.astype(np.float64), "float")
        yield spoilt("out of range", np.full_like(array, 10**6), "1000000")
    if array.dtype.kind == "f" and array.size:
        yield spoilt("of complex numbers", array.astype(np.complex128), "complex")
        yield spoilt("with NaN", with_first(np.nan), f"{name}[{', '.join('0' * array.ndim)}]" if array.ndim else name)
    if rules & set(FINITE):
        yield spoilt("with an infinite entry", with_first(np.inf), "inf")
    if rules & set(NON_NEGATIVE):
        yield spoilt("with a negative entry", with_first(-1.0), "-1.0")
    if rules & set(PROBABILITIES):
        yield spoilt("that does not sum to 1", array * 0.5, "0.5")
    if "importance_weights.probability" in rules:
        yield spoilt("with a chance of 0", with_first(0.0), "0.0")
        yield spoilt("with a chance above 1", with_first(1.5), "1.5")
    if "atoms" in rules and array.size > 1:
        yield spoilt("that do not increase", array[::-1].copy(), "increasing")
