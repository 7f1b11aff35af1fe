"""Before any verdict is believed: a clean run must pass, a planted fault must fail, comparisons must refuse."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

import reference
from properties._claim import CLAIMS, Refuted
from properties._ports import REFERENCE, Port, first_line
from properties._run import ABSENT, FAILS, HOLDS, Effort, run
from properties._trial import Trial

QUICK = Effort(examples=25, table_examples=0, seconds=20.0, climb=False, shrink=False)
"""Enough to find the planted faults, which are wrong on nearly every input."""
TRIED = {"gae": "gae_is_the_sum_of_discounted_td_errors", "lambda_returns": "port_equals_reference"}
"""A theorem and an agreement, each on a clean port and on a port with a planted fault."""


def self_check() -> str:
    """Why the suite cannot be trusted; empty if a clean run passes, planted faults fail and the comparisons refuse."""
    try:
        return _comparisons() or _clean_run() or _planted_faults() or _empty_port()
    except Exception as error:
        return f"{type(error).__name__}: {first_line(error)}"


def _comparisons() -> str:
    trial = Trial(REFERENCE, "gae")
    refusals: dict[str, Any] = {
        "equal beyond its bound": lambda: trial.equal(np.array([1.0, 2.0]), np.array([1.0, 2.5]), 0.25),
        "equal with NaN": lambda: trial.equal(np.array([np.nan]), np.array([np.nan]), 1.0),
        "equal of two shapes": lambda: trial.equal(np.zeros(2), np.zeros((2, 1)), 1.0),
        "at_most beyond its slack": lambda: trial.at_most(np.array([1.0]), np.array([0.5]), 0.25),
        "holds of a false condition": lambda: trial.holds(False, "false"),
    }
    for name, comparison in refusals.items():
        try:
            comparison()
        except Refuted:
            continue
        return f"the comparison `{name}` accepted"
    trial.equal(np.array([1.0, np.inf]), np.array([1.25, np.inf]), 0.25)
    return ""


def _clean_run() -> str:
    for operator, claim in TRIED.items():
        verdict = run(CLAIMS[claim], operator, REFERENCE, QUICK).verdict
        if verdict != HOLDS:
            return f"{claim} {verdict} for the reference's own {operator}"
    return ""


def _planted_faults() -> str:
    for operator, claim in TRIED.items():
        verdict = run(CLAIMS[claim], operator, Port(_planted(operator), "planted"), QUICK).verdict
        if verdict != FAILS:
            return f"{claim} {verdict} for a planted fault in {operator}"
    return ""


def _planted(operator: str) -> SimpleNamespace:
    """The reference with one operator a quarter off."""
    sound = getattr(reference, operator)
    names = {name: getattr(reference, name) for name in reference.__all__}
    return SimpleNamespace(**{**names, operator: lambda *args, **kwargs: 1.25 * sound(*args, **kwargs)})


def _empty_port() -> str:
    operator, claim = next(iter(TRIED.items()))
    verdict = run(CLAIMS[claim], operator, Port(SimpleNamespace(), "empty"), QUICK).verdict
    return "" if verdict == ABSENT else f"an empty port's {operator} {verdict}"
