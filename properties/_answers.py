"""Questions put to a port or to a function of ours, and when two answers are the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from properties._bounds import COMPUTED_IN, UNIT, Floats, narrowing, rounded, stored
from properties._bugs._record import Draws, Life, Probe, Slope
from properties._claim import OPERATORS, Absent, Call, Declined, Died, Refuted, Seeded
from properties._trial import Trial, seeded

Answer = tuple[Floats, ...] | None
"""The results of one question as arrays; None where the answer was an exception."""

ROUNDINGS = 256
"""How a mistake rounds is not known: so many units of its own answer, and as often the derived bound of the operator's."""
DEVIATIONS = 6.0
"""Means of draws that differ by less than so many standard errors are taken for equal; 2e-9 for each by chance."""
STREAM = 20_000
"""The first seed of a question about a distribution."""


class Silent(Exception):
    """The one asked declines this question, or has no derivatives: its silence tells nothing."""


class Asked(Protocol):
    """Who can be asked: how an operator is called, differentiated, or made into an object."""

    dtype: str

    def call(self, call: Call) -> Any:
        """The results of one call, as they come."""

    def slope(self, argument: int | str, call: Call) -> Any:
        """The derivative of one call."""

    def make(self, call: Call) -> Any:
        """An object, with its methods."""


class PortAsked:
    """The subject of a trial; each call is timed, so that one that hangs is seen."""

    def __init__(self, trial: Trial) -> None:
        self._trial, self.dtype = trial, trial.dtype

    def call(self, call: Call) -> Any:
        """Rounded to the port's type on the way."""
        return self._trial.result(Call(*rounded(tuple(call), self.dtype)))

    def slope(self, argument: int | str, call: Call) -> Any:
        """By the port's own differentiation."""
        return self._trial.derivative(argument, *call.arguments, **call.keywords)

    def make(self, call: Call) -> Any:
        """The port's own object."""
        return self._trial.port.operator(self._trial.subject)(*call.arguments, **call.keywords)


class FunctionAsked:
    """A function of ours: an operator of the reference, or a bug, which may be one of its derivative only."""

    def __init__(self, value: Callable[..., Any] | None, slope: Callable[..., Any] | None, dtype: str) -> None:
        self._value, self._slope, self.dtype = value, slope, dtype

    def call(self, call: Call) -> Any:
        """In float64, on the numbers that the port was given."""
        if self._value is None:
            raise Silent
        arguments, keywords = seeded(rounded(tuple(call), self.dtype))
        return self._value(*arguments, **keywords)

    def slope(self, argument: int | str, call: Call) -> Any:
        """Of bugs in a derivative."""
        if self._slope is None:
            raise Silent
        arguments, keywords = seeded(rounded(tuple(call), self.dtype))
        return self._slope(argument, *arguments, **keywords)

    make = call


def answer(asked: Asked, question: Probe) -> Answer:
    """What is answered; Silent where it is declined."""
    try:
        with np.errstate(all="ignore"):
            return _ANSWERED[type(question)](asked, question)
    except (Silent, Absent, Declined) as declined:
        raise Silent from declined
    except Died:
        raise
    except (Refuted, Exception):
        return None


def _called(asked: Asked, call: Call) -> Answer:
    return arrays(asked.call(call))


def _sloped(asked: Asked, question: Slope) -> Answer:
    return arrays(asked.slope(question.argument, question.call))


def _lived(asked: Asked, life: Life) -> Answer:
    """Every step's answer in a row; a step that is refused answers NaN."""
    held, said = asked.make(life.making), list[Floats]()
    for method, arguments in life.steps:
        try:
            found = len(held) if method == "len" else getattr(held, method)
            said.append(np.asarray(found(*arguments) if callable(found) else found, dtype=np.float64))
        except Died:
            raise
        except Exception:
            said.append(np.asarray(np.nan))
    return tuple(said)


def _drawn(asked: Asked, question: Draws) -> Answer:
    """The means of the features and of their squares, and the standard error of each."""
    seeds = range(STREAM, STREAM + question.seeds)
    calls = [Call(question.call.arguments, question.call.keywords | {"generator": Seeded(seed)}) for seed in seeds]
    rows = np.array([np.ravel(question.features(asked.call(call))) for call in calls], dtype=np.float64)
    rows = np.concatenate([rows, rows**2], axis=1)
    return rows.mean(axis=0), rows.std(axis=0) / np.sqrt(len(rows))


_ANSWERED: dict[type, Callable[[Any, Any], Answer]] = {Call: _called, Slope: _sloped, Life: _lived, Draws: _drawn}


def arrays(result: Any) -> tuple[Floats, ...]:
    """Results as float64 arrays."""
    return tuple(np.asarray(part, dtype=np.float64) for part in (result if isinstance(result, tuple) else (result,)))


# ------------------------------------------------------------------------------------------------------------ comparing
def alike(operator: str, question: Probe, one: Answer, two: Answer, dtype: str, *, unit: float | None = None) -> bool:
    """The same answer but for rounding in `dtype` (or with another unit roundoff), or for chance where it was drawn."""
    if one is None or two is None:
        return one is two
    if isinstance(question, Draws):
        slack = DEVIATIONS * np.hypot(one[1], two[1]) + ROUNDINGS * UNIT[COMPUTED_IN[dtype]] * np.abs(two[0])
        return _within(one[0], two[0], slack)
    slacks = _slacks(operator, question, two, dtype, UNIT[COMPUTED_IN[dtype]] if unit is None else unit)
    return len(one) == len(two) and all(_within(*each) for each in zip(one, two, slacks, strict=True))


def bounded(operator: str, question: Call, told: Answer) -> Answer:
    """The results on whose error there is a derived bound, of all that were told."""
    return told and told[: max(len(_bounds(operator, question, UNIT["float64"])), 1)]


def _bounds(operator: str, question: Probe, unit: float) -> tuple[Any, ...]:
    """The derived bounds; none where the question is bad on purpose, as they are derived for valid input."""
    if not isinstance(question, Call):
        return ()
    try:
        with np.errstate(all="ignore"):
            found = OPERATORS[operator].bound(unit, *question.arguments, **question.keywords)
    except Exception:
        return ()
    return found if isinstance(found, tuple) else (found,)


def _slacks(operator: str, question: Probe, answers: tuple[Floats, ...], dtype: str, unit: float) -> list[Floats]:
    given = Call(*rounded(tuple(question), dtype)) if isinstance(question, Call) else question
    bounds, slacks = _bounds(operator, given, unit), []
    for place, value in enumerate(answers):
        size = np.where(np.isfinite(value), np.abs(value), 0.0)  # what is infinite or NaN has no rounding
        own = (ROUNDINGS * unit + 2 * narrowing(dtype)) * size
        slacks.append(stored(_added(own, bounds[place] if place < len(bounds) else 0.0), size, dtype))
    return slacks


def _added(slack: Floats, bound: Any) -> Floats:
    """With the operator's bound, where that fits."""
    bound = ROUNDINGS * np.nan_to_num(np.asarray(bound, dtype=np.float64), nan=0.0, posinf=0.0)
    return np.asarray(slack + (bound if bound.shape == slack.shape or bound.ndim == 0 else bound.max(initial=0.0)))


def _within(one: Floats, two: Floats, slack: Floats) -> bool:
    if one.shape != two.shape:
        return False
    with np.errstate(invalid="ignore"):
        return bool(np.all((one == two) | (np.abs(one - two) <= slack) | (np.isnan(one) & np.isnan(two))))
