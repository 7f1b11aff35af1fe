"""Bad inputs of steps, searches and weights that no rule for one argument makes: matrices, boxes, and what functions answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from properties._bad_models import Spoilt
from properties._claim import Call
from properties._functions import Linear


def bad_searches(operator: str, valid: Call) -> Iterator[Spoilt]:
    """Of the operators named below, every way; of others none."""
    yield from _MAKERS.get(operator, _none)(valid)


def _none(valid: Call) -> Iterator[Spoilt]:
    yield from ()


def _with(valid: Call, place: int, value: Any) -> Call:
    return valid._replace(arguments=valid.arguments[:place] + (value,) + valid.arguments[place + 1 :])


def _vectors(valid: Call, place: int, name: str) -> Iterator[Spoilt]:
    vector = valid.arguments[place]
    for rule, wrong in (("of two axes", vector[None]), ("without entries", vector[:0])):
        yield f"{name} {rule}", _with(valid, place, wrong), name, str(wrong.shape)


def _solutions(valid: Call) -> Iterator[Spoilt]:
    """On b = (4, ..., 4) the first p'Ap of -I is minus 16 times the size, exactly."""
    yield from _vectors(valid, 1, "b")
    size, plain = len(valid.arguments[1]), valid.keywords | {"damping": 0.0, "tolerance": 0.0}
    call = Call((Linear(-np.eye(size)), np.full(size, 4.0)), plain)
    yield "matvec of a negative definite matrix", call, "matvec", f"= {-16.0 * size}"
    flat = Call((Linear(np.zeros((size, size))), np.full(size, 4.0)), plain | {"iterations": 1})
    yield "matvec of a matrix of zeros", flat, "matvec", "0.0"


def _steps(valid: Call) -> Iterator[Spoilt]:
    """Of the last two matrices, which are not symmetric, every direction p has p'Fp > 0, but the solution, (1, 1/2) and (1, 0),
    has x'Fx = -1/2 and 0."""
    yield from _vectors(valid, 0, "gradient")
    for entries, found in (([[-1.0, 2.0], [-4.0, 6.0]], "-0.5"), ([[0.0, 2.0], [-2.0, 8.0]], "0.0")):
        call = Call((np.ones(2), Linear(np.array(entries))), {"max_kl": 1.0, "iterations": 2})
        yield "matvec that is not positive at the solution", call, "matvec", found


def _line_searches(valid: Call) -> Iterator[Spoilt]:
    evaluate = valid.arguments[0]
    yield from _vectors(valid, 1, "step")
    for rule, change in (("flags", _flag), ("words", str), ("arrays of one entry", _boxed), ("complex numbers", complex)):
        yield f"evaluate answering {rule}", _with(valid, 0, _changed(evaluate, change)), "evaluate", "surrogate"
    yield "evaluate answering three numbers", _with(valid, 0, lambda at: (*evaluate(at), 0.0)), "evaluate", ""


def _flag(value: Any) -> bool:
    return True


def _boxed(value: Any) -> Any:
    return np.array([value])


def _changed(function: Callable[[Any], Any], change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def answer(given: Any) -> Any:
        return tuple(map(change, function(given)))

    return answer


def _boxes(valid: Call, place: int) -> Iterator[Spoilt]:
    """The box's ends at `place` and after it, with one entry that leaves no room."""
    low, high = valid.arguments[place : place + 2]
    first = (0,) * low.ndim
    where = f"low[{', '.join('0' * low.ndim)}]"
    for rule, value in (("equal to high", high[first]), ("above high", high[first] + 1.0)):
        wrong = low.copy()
        wrong[first] = value
        yield f"low {rule} in one entry", _with(valid, place, wrong), "low", where
    endless = low.copy()
    endless[first] = -np.inf
    yield "low without end", _with(valid, place, endless), "low", "-inf"


def _cross_entropies(valid: Call) -> Iterator[Spoilt]:
    yield from _boxes(valid, 1)


def _ascents(valid: Call) -> Iterator[Spoilt]:
    """Start and box of different shapes, each of which would go by itself."""
    slope, start, low, high = valid.arguments
    yield from _boxes(valid, 2)
    yield "start of another shape", _with(valid, 1, start[None]), "start", str(start[None].shape)
    other = valid._replace(arguments=(slope, start, low[None], high[None]))
    yield "low and high of another shape than start", other, "low", str(low[None].shape)
    yield "q_and_gradient answering three things", _with(valid, 0, lambda at: (*slope(at), 0.0)), "q_and_gradient", ""


def _refits(valid: Call) -> Iterator[Spoilt]:
    """No samples, or one that is not among samples."""
    actions, scores = valid.arguments
    none = Call((actions[..., :0, :], scores[..., :0]), valid.keywords)
    yield "actions without samples", none, "actions", str(none.arguments[0].shape)
    alone = Call((actions[(0,) * scores.ndim], scores[(0,) * scores.ndim + (None,)][0]), valid.keywords)
    yield "actions of one axis", alone, "actions", str(alone.arguments[0].shape)


def _weights(valid: Call) -> Iterator[Spoilt]:
    """One sample has no deviation from its mean."""
    one = Call(tuple(sample[..., :1] for sample in valid.arguments), {"rule": "optimal"})
    yield "advantage of one sample, centred", one, "advantage", "1"


def _fishers(valid: Call) -> Iterator[Spoilt]:
    """The log std's Jacobian without the log std."""
    vector = valid.arguments[0]
    call = Call((vector, np.ones((2, len(vector))), None, np.ones((2, 1, len(vector)))), valid.keywords)
    yield "log_std left out", call, "log_std", "None"


_MAKERS: dict[str, Callable[[Call], Iterator[Spoilt]]] = {
    "conjugate_gradient": _solutions,
    "natural_step": _steps,
    "backtracking_search": _line_searches,
    "cross_entropy_search": _cross_entropies,
    "gradient_search": _ascents,
    "cem_refit": _refits,
    "control_variate_weight": _weights,
    "fisher_vector_product": _fishers,
}
