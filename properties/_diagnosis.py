"""Which known mistake a failing operator makes: the catalogue's bugs are asked what the port was asked, and must answer alike.

A bug explains a port if it gives the port's answers to every question, the counterexample and all probes, and differs from the
right answer to one of them. One that explains it is the diagnosis; several are listed; none is "unknown", and said so.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import reference
from properties._answers import Answer, FunctionAsked, PortAsked, Silent, alike, answer, arrays, bounded
from properties._bounds import UNIT
from properties._bugs import catalogue, probes
from properties._bugs._record import Bug, Draws, Life, Probe, Slope
from properties._claim import AGENTS, OPERATORS, Call
from properties._conventions import CONVENTIONS, is_infinite
from properties._ports import Port
from properties._trial import Trial

SILENT = "silent"
LONGEST = 12
"""So many calls of a counterexample are looked at, the last ones."""
SINGLE = "computed-in-float32"
"""The mistake that needs no entry: every answer is right to float32's rounding, and to no more."""


class Told(NamedTuple):
    """A question, what the port answered, and what is right; of a derivative the reference knows nothing."""

    question: Probe
    answer: Answer
    right: Answer

    @property
    def refused(self) -> bool:
        """The contract refuses this question: a port that does, too, or that does not look, tells nothing by it."""
        return self.right is None and not isinstance(self.question, Slope)

    @property
    def ordinary(self) -> bool:
        """Neither refused nor about infinite numbers."""
        return not (self.refused or (isinstance(self.question, Call) and is_infinite(self.question)))


def diagnosed(trial: Trial, answers: Sequence[tuple[Call, Any]], *, derivative: bool = False) -> tuple[str, ...]:
    """The ids of the bugs that explain what the port answered to these calls and to the operator's probes.

    A port may have one mistake, and besides check nothing, multiply with infinities, or compute in float32 inside: if nothing
    explains all that it answered, what explains its answers to ordinary questions does, and then what does so within float32's
    rounding. Mistakes in a derivative are looked for where a derivative was asked for.
    """
    if trial.subject in AGENTS:
        return ()  # a learner has no one right answer to compare: its claims say what is wrong
    seen = answers[-LONGEST:] if OPERATORS[trial.subject].compared else ()
    told = [*_probed(trial), *((call, arrays(told)) for call, told in seen)]
    found = [Told(question, told, _right(trial.subject, question, trial.dtype)) for question, told in told]
    ordinary = [each for each in found if each.ordinary]
    bugs = [bug for bug in suspects(trial.subject) if (derivative or not bug.derivative) and not _declared(trial, bug)]
    for candidates in (_variants(trial), bugs):
        for evidence in (found, ordinary):
            if ids := tuple(bug.id for bug in candidates if explains(bug, evidence, trial.dtype)):
                return ids
    return _in_single_precision(trial.subject, ordinary, trial.dtype) or _with_single_precision(bugs, ordinary, trial.dtype)


def _declared(trial: Trial, bug: Bug) -> bool:
    """A port whose callers detach has no mistake in that gradients flow."""
    detaches = any(convention.key == "constants" for convention in trial.port.declares(trial.subject))
    return detaches and bug.derivative and bug.mistake.startswith(("gradient-into", "gradient-flows"))


@cache
def suspects(operator: str) -> tuple[Bug, ...]:
    """The catalogued bugs of one operator."""
    return tuple(bug for bug in catalogue().values() if bug.operator == operator)


def _variants(trial: Trial) -> list[Bug]:
    """The conventions that the port might have declared, as if they were bugs: what they do cannot be both."""
    mine = trial.port.declares(trial.subject)
    others = [each for each in CONVENTIONS if each not in mine and trial.subject in each.variants]
    return [Bug(trial.subject, each.id, each.story, "", each.variants[trial.subject]) for each in others]


def explains(bug: Bug, found: Sequence[Told], dtype: str, *, unit: float | None = None) -> bool:
    """The same answer to every question, and another than the right one to at least one."""
    different = False
    for told in found:
        try:
            wrong = _of_bug(bug, told.question, dtype)
        except Silent:
            continue
        if told.refused and (told.answer is None or wrong is None):
            continue
        if not alike(bug.operator, told.question, told.answer, wrong, dtype, unit=unit):
            return False
        different = different or not alike(bug.operator, told.question, wrong, told.right, dtype, unit=unit)
    return different


_told: WeakKeyDictionary[Port, dict[str, list[tuple[Probe, Answer]]]] = WeakKeyDictionary()


def _probed(trial: Trial) -> list[tuple[Probe, Answer]]:
    """What the port answers to the probes of the operator on trial, as far as it does; asked once."""
    known = _told.setdefault(trial.port, {})
    if trial.subject not in known:
        asked = PortAsked(Trial(trial.port, trial.subject, clock=trial.clock))
        known[trial.subject] = []  # a program that dies of a probe is asked no more of them
        known[trial.subject] = [(each, said) for each in probes().get(trial.subject, ()) if (said := _said(asked, each)) != SILENT]
    return known[trial.subject]


def _said(asked: PortAsked, question: Probe) -> Any:
    """The answer, or SILENT."""
    try:
        return answer(asked, question)
    except Silent:
        return SILENT


_memory: dict[tuple[str, int, str], Answer] = {}


def _of_bug(bug: Bug, question: Probe, dtype: str) -> Answer:
    """A bug of the operator itself is silent about derivatives; one in the derivative leaves the operator right."""
    if bug.derivative:
        asked = FunctionAsked(getattr(reference, bug.operator), bug.behaves, dtype)
    else:
        asked = FunctionAsked(bug.behaves, None, dtype)
    return _remembered(bug.id, asked, question)


def _right(operator: str, question: Probe, dtype: str) -> Answer:
    """The reference's answer; it has no derivatives."""
    if isinstance(question, Slope):
        return None
    return _remembered(operator, FunctionAsked(getattr(reference, operator), None, dtype), question)


def _remembered(name: str, asked: FunctionAsked, question: Probe) -> Answer:
    """Answers that take long are computed once."""
    if not isinstance(question, (Draws, Life)):
        return answer(asked, question)
    key = (name, id(question), asked.dtype)
    if key not in _memory:
        _memory[key] = answer(asked, question)
    return _memory[key]


def _in_single_precision(operator: str, found: Sequence[Told], dtype: str) -> tuple[str, ...]:
    """Whether a float64 port is right within float32's rounding on every call, and not within its own."""
    if dtype != "float64" or not OPERATORS[operator].compared:
        return ()
    calls = [
        (each.question, bounded(operator, each.question, each.answer), bounded(operator, each.question, each.right))
        for each in found
        if isinstance(each.question, Call) and not each.refused
    ]
    exact = all(alike(operator, call, told, due, dtype) for call, told, due in calls)
    close = all(alike(operator, call, told, due, dtype, unit=UNIT["float32"]) for call, told, due in calls)
    return (f"{operator}/{SINGLE}",) if calls and close and not exact else ()


def _with_single_precision(bugs: Sequence[Bug], found: Sequence[Told], dtype: str) -> tuple[str, ...]:
    """The bugs that explain a float64 port within float32's rounding."""
    if dtype != "float64" or not bugs or not OPERATORS[bugs[0].operator].compared:
        return ()
    return tuple(bug.id for bug in bugs if explains(bug, found, dtype, unit=UNIT["float32"]))
