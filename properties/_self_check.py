"""Before any verdict is believed: a clean run must pass, planted faults must fail, and whatever decides must decide rightly."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np

import reference
from properties._claim import CLAIMS, OPERATORS, Refuted
from properties._mdps import tables
from properties._ports import REFERENCE, Port, first_line
from properties._run import ABSENT, FAILS, HOLDS, UNDECIDED, Effort, Result, run
from properties._self_check_statistics import statistics
from properties._self_check_verdicts import verdicts
from properties._trial import Trial

QUICK = Effort(examples=24, table_examples=1, seconds=20.0, climb=False, shrink=False, diagnose=False)
"""Enough to find the planted faults, which are wrong on nearly every input."""
AGREES = "port_equals_reference"
ULPS = 1.0 + 2.0**-45
"""256 units of roundoff: far beyond what one product may lose, and far within a thousand times that."""


def self_check() -> str:
    """Why the suite cannot be trusted; empty if it passes what is right, refutes what is planted and counts what it did."""
    try:
        return _comparisons() or _clean_runs() or _planted_faults() or _no_verdicts() or statistics() or verdicts()
    except Exception as error:
        return f"{type(error).__name__}: {first_line(error)}"


# ------------------------------------------------------------------------------------------------------------ comparisons
def _comparisons() -> str:
    trial, one = Trial(REFERENCE, "gae"), np.array([1.0])
    refusals: dict[str, Callable[[], None]] = {
        "equal beyond its bound": lambda: trial.equal(np.array([1.0, 2.0]), np.array([1.0, 2.5]), 0.25),
        "equal with NaN": lambda: trial.equal(np.array([np.nan]), np.array([np.nan]), 1.0),
        "equal of two shapes": lambda: trial.equal(np.zeros(2), np.zeros((2, 1)), 1.0),
        "equal to an infinity": lambda: trial.equal(one, np.array([np.inf]), 1.0),
        "equal to an infinity within an infinite bound": lambda: trial.equal(one, np.array([np.inf]), np.inf),
        "equal to a fraction": lambda: trial.equal(one, np.array([Fraction(2)], dtype=object), 0.5),
        "at_most beyond its slack": lambda: trial.at_most(one, np.array([0.5]), 0.25),
        "at_most minus infinity": lambda: trial.at_most(one, np.array([-np.inf]), 1.0),
        "at_most with NaN": lambda: trial.at_most(np.array([np.nan]), one, 0.25),
        "holds of a false condition": lambda: trial.holds(False, "false"),
    }
    for name, comparison in refusals.items():
        try:
            comparison()
        except Refuted:
            continue
        return f"the comparison `{name}` accepted"
    trial.equal(np.array([1.0, np.inf]), np.array([1.25, np.inf]), 0.25)
    trial.at_most(np.array([1.25]), one, 0.25)
    return _asked_in_its_type()


def _asked_in_its_type() -> str:
    """A float32 port must be asked, and in float32, on what float32 holds."""
    asked: list[Any] = []

    def priority(td_error: Any, **knobs: Any) -> Any:
        asked.append(td_error)
        return td_error

    Trial(Port(SimpleNamespace(priority=priority), "single", "float32"), "priority").priority(
        np.array([0.1]), exponent=1.0, offset=0.0
    )
    right = [a.dtype == np.float32 and float(a[0]) == float(np.float32(0.1)) for a in asked]
    return "" if right == [True] else "a float32 port was not asked in float32"


# -------------------------------------------------------------------------------------------------------------- clean runs
TABULATED = "backups_reduce_to_means_and_maxima_of_action_values"
CLEAN = {
    "gae_is_the_sum_of_discounted_td_errors": "gae",
    AGREES: "lambda_returns",
    "bad_input_is_rejected": "mean_aggregate",
    TABULATED: "evaluation_backup",
}
"""A theorem, an agreement, and claims about bad input and about tables."""


def _clean_runs() -> str:
    for claim, operator in CLEAN.items():
        result = run(CLAIMS[claim], operator, REFERENCE, QUICK)
        wanted = max(1, round(QUICK.examples * CLAIMS[claim].share)) + len(tables()) * (claim == TABULATED)
        if result.verdict != HOLDS or result.examples < wanted:
            return f"{claim} {result.verdict} for the reference's own {operator} after {result.examples} of {wanted} examples"
    single = Port(SimpleNamespace(weighted_policy_loss=lambda log_prob, weight: -(weight * log_prob)), "single", "float32")
    verdict = run(CLAIMS[AGREES], "weighted_policy_loss", single, QUICK).verdict
    return "" if verdict == HOLDS else f"{AGREES} {verdict} for a right product in float32"


# ----------------------------------------------------------------------------------------------------------- planted faults
def _scaled(operator: str, factor: float = 1.25) -> Callable[..., Any]:
    """The reference's operator, its first result off by a factor."""

    def wrong(*arguments: Any, **keywords: Any) -> Any:
        answer = getattr(reference, operator)(*arguments, **keywords)
        return (factor * answer[0], *answer[1:]) if isinstance(answer, tuple) else factor * answer

    return wrong


def _in_place(q: Any) -> Any:
    answer = reference.sampled_advantage(q)
    q -= 1.0
    return answer


def _unstable() -> Callable[..., Any]:
    calls = itertools.count()
    return lambda q: reference.mean_aggregate(q) + next(calls)


def _of_the_batch(q: Any) -> Any:
    return reference.mean_aggregate(q) + np.mean(q)


def _raising(*arguments: Any, **keywords: Any) -> Any:
    raise RuntimeError("planted")


class _ForgetfulTree:
    """Finds the first, whatever its priority."""

    def __init__(self, capacity: int) -> None:
        self._held, self.total = reference.sum_tree(capacity), 0.0

    def __len__(self) -> int:
        return len(self._held)

    def update(self, index: Any, priority: Any) -> None:
        self._held.update(index, priority)
        self.total = self._held.total

    def find(self, mass: Any) -> Any:
        return np.zeros(np.shape(mass), dtype=np.int64)


FAULTS: list[tuple[str, str, Callable[..., Any]]] = [
    ("gae", "gae_is_the_sum_of_discounted_td_errors", _scaled("gae")),
    ("lambda_returns", AGREES, _scaled("lambda_returns")),
    ("weighted_policy_loss", AGREES, _scaled("weighted_policy_loss", ULPS)),
    ("value_target", "value_target_is_its_equation", _scaled("value_target", ULPS)),
    ("gae", AGREES, _raising),
    ("mean_aggregate", AGREES, lambda q: np.asarray(reference.mean_aggregate(q), dtype=complex)),
    ("mean_aggregate", "dtype_is_kept", lambda q: np.asarray(reference.mean_aggregate(q), dtype=np.float32)),
    ("mean_aggregate", "rows_of_a_batch_are_independent", _of_the_batch),
    ("mean_aggregate", "arguments_are_left_alone_and_answers_repeat", _unstable()),
    ("sampled_advantage", "arguments_are_left_alone_and_answers_repeat", _in_place),
    ("mean_aggregate", "bad_input_is_rejected", lambda q: np.zeros(np.shape(q)[:-1])),
    ("sum_tree", "a_sum_tree_is_a_plain_list", _ForgetfulTree),
]
"""Each is wrong in a way of its own, and refuted by the claim beside it."""


def _planted_faults() -> str:
    for operator, claim, fault in FAULTS:
        for declared in ({}, {"exploration": "all", "constants": "caller detaches"}):
            result = run(CLAIMS[claim], operator, _port(operator, fault, declared), QUICK)
            if result.verdict != FAILS:
                return f"{claim} {result.verdict} for a planted fault in {operator}"
            if not result.paste:
                return f"{claim} shows no inputs for a planted fault in {operator}"
    return _conventions()


def _port(operator: str, function: Callable[..., Any], declared: dict[str, str]) -> Port:
    return Port(SimpleNamespace(**{operator: function}, CONVENTIONS=declared), "planted")


def _conventions() -> str:
    """What is declared is tried all the same, on the calls that it leaves."""
    port = _port("epsilon_greedy", reference.epsilon_greedy, {"exploration": "all"})
    result = run(CLAIMS[AGREES], "epsilon_greedy", port, QUICK)
    return "" if result.verdict == HOLDS and result.examples else f"a declared convention leaves {result.verdict}"


# -------------------------------------------------------------------------------------------------------------- no verdicts
def _declining(*arguments: Any, **keywords: Any) -> Any:
    raise NotImplementedError


def _no_verdicts() -> str:
    """What was not tried must not read as tried."""
    claim, seconds = CLAIMS["gae_is_the_sum_of_discounted_td_errors"], Effort(24, 1, -1.0, climb=False, shrink=False)
    declining, rows = Port(SimpleNamespace(gae=_declining), "declining"), CLAIMS["rows_of_a_batch_are_independent"]
    tried: dict[str, tuple[str, Result]] = {
        "an empty port": (ABSENT, run(claim, "gae", Port(SimpleNamespace(), "empty"), QUICK)),
        "a port that declines all": (ABSENT, run(claim, "gae", declining, QUICK)),
        "a port that declines all that it is asked": (ABSENT, run(rows, "gae", declining, QUICK)),
        "a port without time": (UNDECIDED, run(claim, "gae", REFERENCE, seconds)),
    }
    for name, (due, result) in tried.items():
        if result.verdict != due:
            return f"{name} {result.verdict}, where {due} is due"
    return "" if OPERATORS and CLAIMS else "nothing is registered"
