"""The part of the self-check about what follows a trial: the plan, the report's verdict, and the diagnosis."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
from rich.console import Console

import reference
from properties._arguments import parse
from properties._bugs import catalogue
from properties._claim import CLAIMS, OPERATORS, Call
from properties._diagnosis import diagnosed
from properties._likeness import KNOWN, SEVERAL, UNKNOWN, diagnoses
from properties._ports import REFERENCE, Port
from properties._report import Reporter
from properties._run import ABSENT, FAILS, HOLDS, UNDECIDED, Result
from properties._runner import Offer, Task, plan
from properties._trial import Trial

GOOD = Result("gae_is_the_sum_of_discounted_td_errors", "gae", "float64", HOLDS, examples=3)
KNOWN_BUG = "gae/recursion-runs-over-truncation"


def verdicts() -> str:
    """Why no report can be believed; empty if it can."""
    return _plans() or _exits() or _names() or _summaries()


# ------------------------------------------------------------------------------------------------------------------ plans
def _plans() -> str:
    """Every claim for every operator on offer, in each type that it is to be tried in; agreement not for the reference."""
    names = tuple(OPERATORS)
    due = {
        Task(claim.name, name, dtype)
        for claim in CLAIMS.values()
        for name in claim.operators
        for dtype in (("float64", "float32") if claim.every_dtype else ("float64",))
    }
    offer = Offer(("float64", "float32"), names, {}, {})
    if (found := set(plan(offer, is_reference=False))) != due:
        return f"{len(due - found)} trials are not planned, {len(found - due)} are planned that are not due"
    missing = due - set(plan(offer, is_reference=True))
    return "" if {task.claim for task in missing} == {"port_equals_reference"} else "a reference is compared with itself"


# ------------------------------------------------------------------------------------------------------------------ exits
def _status(*results: Result, planned: int = 0, argv: tuple[str, ...] = ()) -> int:
    """The exit status of a report of these verdicts, where so many were planned and gae is on offer."""
    report = Reporter(parse(["--port", "planted", *argv], own_settings=False), Console(file=io.StringIO()))
    tasks = [Task("planted", "gae", "float64")] * (planned or len(results))
    report.begin(Offer(("float64",), ("gae",), {}, {}), tasks)
    for result in results:
        report.add(result)
    report.write()
    return report.status


def _exits() -> str:
    wrong, late, absent = (replace(GOOD, verdict=verdict) for verdict in (FAILS, UNDECIDED, ABSENT))
    due: dict[str, tuple[int, int]] = {
        "all holds": (0, _status(GOOD, absent)),
        "one fails": (1, _status(GOOD, wrong)),
        "one fails, one is undecided": (1, _status(late, wrong)),
        "one is undecided": (2, _status(GOOD, late)),
        "one is missing": (2, _status(GOOD, planned=2)),
        "all is absent": (2, _status(absent)),
        "nothing is planned": (2, _status()),
        "what is required is absent": (2, _status(GOOD, argv=("--require", "expectile"))),
    }
    mistaken = [f"{name}: exit status {found} for {wanted}" for name, (wanted, found) in due.items() if found != wanted]
    return mistaken[0] if mistaken else ""


# ------------------------------------------------------------------------------------------------------------------ names
def _short(behaves: Callable[..., Any]) -> list[tuple[Call, Any]]:
    """What gae answers on one step, where most of its bugs are alike."""
    step = Call(
        (np.array([2.0]), np.array([False]), np.array([False]), np.array([3.0]), np.array([5.0])), {"lambda_": 0.5, "discount": 0.5}
    )
    return [(step, behaves(*step.arguments, **step.keywords))]


def _named(function: Callable[..., Any], answers: list[tuple[Call, Any]]) -> tuple[str, ...]:
    return diagnosed(Trial(Port(SimpleNamespace(gae=function), "planted"), "gae"), answers)


def _names() -> str:
    """A known bug is named, from what the catalogue asks; the right operator and a stranger are not."""
    bug, right = catalogue()[KNOWN_BUG].behaves, reference.gae

    def single(*arguments: Any, **keywords: Any) -> Any:
        return np.asarray(right(*arguments, **keywords), dtype=np.float32).astype(np.float64)

    tried: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
        "the right operator": ((), _named(right, _short(right))),
        "a known bug": ((KNOWN_BUG,), _named(bug, _short(bug))),
        "a stranger": ((), _named(lambda *a, **k: 1.25 * right(*a, **k), [])),
        "a known bug that answers otherwise once": ((), _named(bug, _short(lambda *a, **k: 7.0 + right(*a, **k)))),
        "a narrow one": (("gae/computed-in-float32",), _named(single, [])),
    }
    mistaken = [f"{name} is diagnosed as {found or 'nothing'}" for name, (due, found) in tried.items() if found != due]
    return mistaken[0] if mistaken else ""


def _summaries() -> str:
    """A mistake must explain every failure of its operator, and is told once."""
    one, two = "recursion-runs-over-truncation", "rewards-shifted"
    both = replace(GOOD, verdict=FAILS, behaves_like=(f"gae/{one}", f"gae/{two}"))
    only = replace(both, behaves_like=(f"gae/{one}",))
    none = replace(both, behaves_like=())
    tried = {"both, then one": (KNOWN, [both, only]), "both": (SEVERAL, [both]), "one, then none": (UNKNOWN, [only, none])}
    mistaken = [name for name, (due, results) in tried.items() if [d.verdict for d in diagnoses(results)] != [due]]
    if mistaken:
        return f"the diagnosis of {mistaken[0]} is not {tried[mistaken[0]][0]}"
    return "" if not diagnoses([GOOD]) and REFERENCE.offers("gae") else "what holds is diagnosed"
