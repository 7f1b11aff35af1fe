"""Bad inputs, made from a valid call and the names of its arguments, each with what a useful message must name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

import reference
from properties._bad_models import bad_models
from properties._bad_searches import bad_searches
from properties._claim import OPERATORS, Call

FLAGS = ("terminated", "truncated")
INDICES = ("next_action",)
PROBABILITIES = (
    "transition", "policy", "prior", "behavior", "next_policy", "categorical_projection.probability", "categorical_loss.target",
)  # fmt: skip
NON_NEGATIVE = (
    "weights", "weighted_policy_loss.weight", "weighted_policy_loss_gradient.weight", "mean_square_error", "deviations",
    "probability", "sampling_probabilities.priority", "sample_proportional.priority", *PROBABILITIES,
)  # fmt: skip
WEIGHTS = ("weights", "sampling_probabilities.priority", "sample_proportional.priority")
FINITE = (
    "weights", "mean_square_error", "means", "deviations", "priority", "atoms", "logits", "gaussian_log_prob.action", "log_std",
    "pre_tanh", "b", "vector", "natural_step.gradient", "gradient_search.start", "gradient_search.low", "gradient_search.high",
    "cross_entropy_search.low", "cross_entropy_search.high", "step", "cem_refit.actions", "control_variate_weight.control_variate",
    "control_variate_weight.advantage",
    *PROBABILITIES,
)  # fmt: skip
"""A name alone, or of one operator only."""
SCALARS: dict[str, tuple[Any, ...]] = {
    "discount": (-0.1, 1.5, float("nan"), "0.9"),
    "lambda_": (-0.1, 1.5, float("nan")),
    "expectile": (0.0, 1.0, -0.5, float("nan")),
    "quantile": (0.0, 1.0, 1.5, float("nan")),
    "entropy_coefficient": (-0.5, float("nan"), float("inf")),
    "n": (0, -1, 1.5),
    "margin": (-1, 0.5),
    "samples": (0, 1.5),
    "aggregate": ("sum", None),
    "max_weight": (0.0, -1.0, float("nan")),
    "noise_clip": (-1.0, float("nan")),
    "tolerance": (-1.0, float("nan"), float("inf")),
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
    "exponent": (-1.0, float("nan"), float("inf")),
    "offset": (-1.0, float("nan"), float("inf")),
    "size": (0, 1.5),
    "normalizer": ("sum",),
    "minimum_probability": (0.0, -0.5, 2.0, float("nan")),
    "stratified": (None, "yes"),
    "capacity": (0, -1, 2.5),
    "clip": (0.0, 1.0, float("nan")),
    "log_coefficient": (float("nan"), "1", float("inf"), float("-inf")),
    "target_entropy": (float("nan"), "1", float("inf"), float("-inf")),
    "rule": ("random", None),
    "centered": (None, "yes"),
    "on_policy_fraction": (-0.1, 1.5, float("nan")),
    "iterations": (0, 1.5),
    "damping": (-1.0, float("nan"), float("inf")),
    "max_kl": (0.0, -1.0, float("nan"), float("inf")),
    "shrink": (0.0, 1.0, float("nan")),
    "max_backtracks": (-1, 0.5),
    "elites": (0, 10**6, 1.5),
    "population": (0, 1.5),
    "step_size": (0.0, -1.0, float("nan"), float("inf")),
}
POSITIVE_TOLERANCE = ("value_iteration", "q_value_iteration")
TWICE_NAMED = {
    **dict.fromkeys(("categorical_loss", "categorical_loss_gradient"), "logits|target"),
    "gradient_search": "start|low|high",
}
"""Without entries several arrays are at fault, and rooms may differ in which they name."""
FREE = ("factorised_noise.noise_out", "q_prop_gradient.action_gradient", "mixed_gradient.action_gradient")
"""Arrays whose last axis has no size to agree with."""
HUGE = 10**400
"""A whole number beyond every float; a message may give its size instead."""
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
    for place, matrix in enumerate(valid.arguments):
        if hasattr(matrix, "indptr"):
            yield from _bad_csr(valid, place, parameters[place].name)
    names = [parameter.name for parameter in parameters]
    for place, name in arrays:
        rules = {name, f"{operator}.{name}"}
        yield from _bad_array(valid, place, name, rules)
        if len(arrays) > 1 and place != arrays[0][0] and "transition" not in names:
            yield from _misshapen(operator, valid, place, name)
    if "transition" in names:
        yield from (Bad(*spoilt) for spoilt in bad_models(names, valid))
    if arrays:
        yield from _emptied(operator, valid, arrays)
    if operator in SQUASHED:
        yield from _bad_boxes(valid)
    if operator == "categorical_projection":
        atoms, probability = valid.arguments[:2]
        more = _replaced(valid, 0, np.append(atoms, atoms[-1] + 1.0))
        yield Bad("probability an entry short of the atoms", more, "probability", str(probability.shape))
    if operator == "noisy_linear":
        wider = np.concatenate([valid.arguments[0], valid.arguments[0][..., :1]], axis=-1)
        yield Bad("x an entry long", _replaced(valid, 0, wider), "x", str(wider.shape))
    yield from (Bad(*spoilt) for spoilt in bad_searches(operator, valid))
    if operator == "sample_proportional":
        yield Bad("priority of two axes", _replaced(valid, 0, valid.arguments[0][None]), "priority", "(1, ")
    if operator == "temperature_loss":
        for rule, log in (("with an axis", np.array([0.5])), ("of complex numbers", np.array(0.5j))):
            yield Bad(f"log_coefficient {rule}", _replaced(valid, "log_coefficient", log), "log_coefficient", "")
    if operator == "importance_weights":
        yield from _bad_minimum(valid)
    if operator == "sampled_backup" and np.shape(valid.arguments[1])[1] > 1:
        many = {"samples": 64, "aggregate": "log_mean_exp", "temperature": 1.0}
        yield Bad("samples of too many outcomes", valid._replace(keywords=valid.keywords | many), "samples", "** 64")
    for place, parameter in enumerate(parameters[: len(valid.arguments)]):
        if not isinstance(valid.arguments[place], np.ndarray):
            if parameter.name in FUNCTIONS and all(np.any(valid.arguments[i]) for i, _ in arrays):  # of a 0 nothing is asked
                yield from _bad_functions(valid, place, parameter.name)
            for value in _bad_scalars(operator, parameter.name):
                yield Bad(f"{parameter.name} out of range", _replaced(valid, place, value), parameter.name, _shown(value))
    for name, array in valid.keywords.items():
        if isinstance(array, np.ndarray):
            yield from _bad_array(valid, name, name, {name, f"{operator}.{name}"})
            if name == "discount":
                for wrong in (-0.5, 1.5):
                    yield Bad(
                        "discount with an entry out of range", _replaced(valid, name, np.full_like(array, wrong)), name, str(wrong)
                    )
            yield from _misshapen(operator, valid, name, name)
    if operator == "smoothed_action" and all(np.ndim(valid.keywords[end]) == 0 for end in ("low", "high")):
        above = float(valid.keywords["high"]) + 1.0
        if np.isfinite(above):
            yield Bad("low above high", valid._replace(keywords=valid.keywords | {"low": above}), "low", str(above))
    for name in [name for name in valid.keywords if name != "minimum_probability"]:
        for value in _bad_scalars(operator, name):
            yield Bad(f"{name} out of range", valid._replace(keywords=valid.keywords | {name: value}), name, _shown(value))


def _bad_boxes(valid: Call) -> Iterator[Bad]:
    """Boxes without an inside, and without an end."""
    low, high = (valid.keywords[end] for end in ("low", "high"))
    first = low if np.ndim(low) == 0 else low[0]
    yield Bad("low equal to high", valid._replace(keywords=valid.keywords | {"high": low}), "low", str(first))
    for name, end in (("low", -np.inf), ("high", np.inf)):
        endless: Any = end if np.ndim(low) == 0 else np.full_like(low, end)
        yield Bad(f"{name} without end", valid._replace(keywords=valid.keywords | {name: endless}), name, "inf")


def _bad_minimum(valid: Call) -> Iterator[Bad]:
    """The smallest probability of the memory: none, no chance, more than certain, and above one that was drawn."""
    name, half = "minimum_probability", _replaced(valid, 0, np.full_like(valid.arguments[0], 0.5))
    for value in (None, *SCALARS[name]):
        call = half._replace(keywords=half.keywords | {"normalizer": "memory", name: value})
        yield Bad(f"{name} out of range", call, name, _shown(value))
    above = half._replace(keywords=half.keywords | {"normalizer": "memory", name: 0.75})
    yield Bad(f"probability below the {name}", above, "probability", "0.75")


def _argument(valid: Call, place: int | str) -> Any:
    """An argument by its position or, of a keyword, by its name."""
    return valid.keywords[place] if isinstance(place, str) else valid.arguments[place]


def _replaced(valid: Call, place: int | str, value: Any) -> Call:
    """The call with one argument replaced."""
    if isinstance(place, str):
        return valid._replace(keywords=valid.keywords | {place: value})
    return valid._replace(arguments=valid.arguments[:place] + (value,) + valid.arguments[place + 1 :])


def _shown(value: Any) -> str:
    """What a message must show: a number or word as it is, another object by its type; of what is long, nothing."""
    if value is HUGE:
        return ""
    return str(value) if isinstance(value, (int, float, str)) or value is None else type(value).__name__


def _bad_scalars(operator: str, name: str) -> tuple[Any, ...]:
    if name in ("low", "high") and operator in SQUASHED:
        return (float("nan"), float("inf"), 1e9) if name == "low" else (float("nan"), float("-inf"))
    if name in ("low", "high") and operator == "smoothed_action":
        return (float("nan"),)
    if name in FUNCTIONS:
        return ((),)  # a tuple: nothing that could be called
    if name == "temperature":
        return (-1.0, float("nan"), HUGE, *((0.0,) if operator in POSITIVE_TEMPERATURE else ()))
    if name == "discount" and operator in BELOW_ONE:
        return (1.0, *SCALARS[name])
    if name == "tolerance" and operator in POSITIVE_TOLERANCE:
        return (0.0, *SCALARS[name])
    known = SCALARS.get(name, ())
    beyond = [HUGE] if known and isinstance(known[0], float) else []
    return (*known, "1", True, *beyond) if known and isinstance(known[0], (int, float)) else known


def _bad_functions(valid: Call, place: int, name: str) -> Iterator[Bad]:
    """Functions that answer nothing, or with another shape, or with NaN."""
    sound = valid.arguments[place]

    def changed(change: Callable[[Any], Any]) -> Callable[..., Any]:
        def function(*arguments: Any) -> Any:
            answer = sound(*arguments)
            return tuple(map(change, answer)) if isinstance(answer, tuple) else change(answer)

        return function

    yield Bad(f"{name} answering nothing", _replaced(valid, place, lambda *_: None), name, "")
    if name != "evaluate":
        yield Bad(
            f"{name} answering another shape", _replaced(valid, place, changed(lambda a: np.asarray(a)[..., None])), name, "shape"
        )
        yield Bad(f"{name} answering NaN", _replaced(valid, place, changed(lambda a: np.full_like(a, np.nan))), name, "nan")


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


def _misshapen(operator: str, valid: Call, place: int | str, name: str) -> Iterator[Bad]:
    array = _argument(valid, place)
    longer = array[..., None]
    yield Bad(f"{name} of another shape", _replaced(valid, place, longer), name, str(longer.shape))
    twins = sum(getattr(other, "shape", None) == array.shape for other in valid.arguments)
    if twins > 1 and array.ndim and array.shape[-1] > 1 and f"{operator}.{name}" not in FREE:
        shorter = array[..., :-1]
        yield Bad(f"{name} an entry short", _replaced(valid, place, shorter), name, str(shorter.shape))


def _emptied(operator: str, valid: Call, arrays: list[tuple[int, str]]) -> Iterator[Bad]:
    """The first array without entries, or, where it has no axis of its own, the first that has rows for its entries."""
    if OPERATORS[operator].core > 0:
        yield _empty(valid, arrays[0][0], TWICE_NAMED.get(operator, arrays[0][1]))
        if len(arrays) == 1:
            place, name = arrays[0]
            yield Bad(
                f"{name} without axes", _replaced(valid, place, valid.arguments[place].reshape(-1)[:1].reshape(())), name, "()"
            )
    if OPERATORS[operator].core == 0 and not operator.endswith("_gradient"):
        lead = valid.arguments[arrays[0][0]].shape
        rows = [each for each in arrays[1:] if lead == valid.arguments[each[0]].shape[:-1] != ()]
        yield from (_empty(valid, *each) for each in rows[:1])


def _empty(valid: Call, place: int, name: str) -> Bad:
    """Nothing on the last axis of an array, nor of those that have its shape, of which the operator needs something."""
    shape = valid.arguments[place].shape
    emptied = tuple(a[..., :0] if getattr(a, "shape", None) == shape else a for a in valid.arguments)
    return Bad(f"{name} without entries", valid._replace(arguments=emptied), name, str(emptied[place].shape))


def _bad_array(valid: Call, place: int | str, name: str, rules: set[str]) -> Iterator[Bad]:
    array = _argument(valid, place)

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
        yield spoilt("below 0", np.full_like(array, -1), "-1")
    if array.dtype.kind == "f" and array.size:
        yield spoilt("with NaN", with_first(np.nan), f"{name}[{', '.join('0' * array.ndim)}]" if array.ndim else name)
        yield spoilt("of complex numbers", array.astype(np.complex128), "complex")
    if isinstance(place, int):
        yield spoilt("of words", array.astype(np.str_), "<U")
    if rules & set(FINITE):
        yield spoilt("with an infinite entry", with_first(np.inf), "inf")
    if rules & set(NON_NEGATIVE):
        yield spoilt("with a negative entry", with_first(-1.0), "-1.0")
    if rules & set(PROBABILITIES):
        yield spoilt("that does not sum to 1", array * 0.5, "0.5")
        yield spoilt("whose sum is a little less than 1", array * (1 - 2.0**-20), "0.99999")
    if rules & set(WEIGHTS):
        yield spoilt("of zeros", np.zeros_like(array), "0.0")
        if array.ndim > 1:
            spared = array.copy()
            spared[-1] = 0.0
            yield spoilt("whose last rows are of zeros", spared, "0.0")
    if "importance_weights.probability" in rules:
        yield spoilt("with a chance of 0", with_first(0.0), "0.0")
        yield spoilt("with a chance above 1", with_first(1.5), "1.5")
    if "atoms" in rules and array.size > 1:
        yield spoilt("of which two are equal", np.append(array[:1], array[:-1]), "increasing")
        yield spoilt("that do not increase", array[::-1].copy(), "increasing")
