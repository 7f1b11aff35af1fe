"""The reference against exact values: an independent check of each, which every bug of the catalogue fails."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import mpmath
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings

import reference
from properties import OPERATORS
from properties._bounds import UNIT, Floats, stored
from properties._bugs import catalogue, probes
from properties._claim import Call
from properties._exact import DIGITS, EXACT, correctly_rounded, digits, exact_value, fraction, fractions

HERE = Path(__file__).resolve().parent.parent / "properties" / "_exact"
DRAWS = {"expected_maximum": 5}
"""How many calls are drawn, where it is not 30: integrals of normals at 50 digits take most of a second."""
WITHOUT: dict[str, str] = {}
"""Compared operators of which no exact value makes sense, with the reason."""
LENIENT = re.compile(r"broadcast|negative-curvature")
"""Mistakes that valid input does not show: what is missing is a check."""


class Question(NamedTuple):
    """A call, the exact answers that have a bound, how far from them a float64 answer may be, and the kind that it is of."""

    call: Call
    exact: tuple[Any, ...]
    bounds: tuple[Floats, ...]
    kinds: tuple[str, ...]


def _tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, tuple) else (value,)


def drawn(operator: str) -> list[Call]:
    """Calls of the operator's own strategy, the same ones every time."""
    calls: list[Call] = []

    @settings(
        max_examples=DRAWS.get(operator, 30), derandomize=True, database=None, deadline=None,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(OPERATORS[operator].inputs)
    def collect(call: Call) -> None:
        calls.append(call)

    collect()
    return calls


def asked(operator: str, call: Call) -> Question | None:
    """The question that a call is; None where the reference refuses it."""
    try:
        due = _tuple(getattr(reference, operator)(*call.arguments, **call.keywords))
    except ValueError:
        return None
    with np.errstate(all="ignore"):
        bounds = _tuple(OPERATORS[operator].bound(UNIT["float64"], *call.arguments, **call.keywords))
    wide = tuple(np.broadcast_to(stored(b, d, "float64"), np.shape(d)) for b, d in zip(bounds, due, strict=False))
    exact = _tuple(EXACT[operator](*call.arguments, **call.keywords))
    assert len(exact) == len(due), f"{operator} has {len(due)} results, its exact value {len(exact)}"
    return Question(call, exact[: len(wide)], wide, tuple(np.asarray(d).dtype.kind for d in due[: len(wide)]))


@cache
def questions(operator: str) -> tuple[Question, ...]:
    calls = chain(drawn(operator), (p for p in probes().get(operator, ()) if isinstance(p, Call)))
    return tuple(question for question in (asked(operator, call) for call in calls) if question is not None)


def wrong(answer: Any, question: Question) -> str:
    """Why the answer is not the exact one up to its bound; nothing where it is."""
    for found, exact, bound in zip(_tuple(answer), question.exact, question.bounds, strict=False):
        array = np.asarray(found, dtype=np.float64)
        if array.shape != np.shape(exact):
            return f"has shape {array.shape}, due is {np.shape(exact)}"
        for place in np.ndindex(array.shape):
            value, due = array[place].item(), fraction(np.asarray(exact)[place])
            if not _near(value, due, float(bound[place])):
                return f"is {value!r} at {place}, due is {correctly_rounded(due)} within {bound[place]:.3g}"
    return ""


def _near(value: float, due: Any, bound: float) -> bool:
    if isinstance(due, float) or not math.isfinite(value):
        return value == due or (value != value and due != due)
    return bool(abs(Fraction(value) - due) <= (Fraction(bound) if math.isfinite(bound) else math.inf))


def refuted(function: Callable[..., Any], operator: str) -> bool:
    """Whether a function in the reference's place gives itself away."""
    for question in questions(operator):
        try:
            with np.errstate(all="ignore"):
                answer = function(*question.call.arguments, **question.call.keywords)
            if wrong(answer, question):
                return True
        except Exception:
            return True
    return False


# -------------------------------------------------------------------------------------------------- the reference is right
def test_every_compared_operator_has_an_exact_value() -> None:
    compared = {name for name, record in OPERATORS.items() if record.compared}
    assert set(EXACT) | set(WITHOUT) == compared
    assert not set(EXACT) & set(WITHOUT)


@pytest.mark.parametrize("operator", EXACT)
def test_the_reference_is_within_its_bound_of_the_exact_value(operator: str) -> None:
    assert len(questions(operator)) >= min(DRAWS.get(operator, 25), 25)
    for question in questions(operator):
        answer = getattr(reference, operator)(*question.call.arguments, **question.call.keywords)
        assert not wrong(answer, question), (wrong(answer, question), question.call)


@pytest.mark.parametrize("operator", EXACT)
def test_rounded_values_have_the_shapes_and_types_of_the_reference(operator: str) -> None:
    for question in questions(operator)[:10]:
        for exact, kind, bound in zip(correctly_rounded(question.exact), question.kinds, question.bounds, strict=True):
            assert exact.dtype.kind == kind and exact.shape == bound.shape, (exact, question.call)


# ------------------------------------------------------------------------------------------------------- and can be wrong
BUGS = {name: [bug for bug in catalogue().values() if bug.operator == name and not bug.derivative] for name in EXACT}


@pytest.mark.parametrize("operator", [name for name in EXACT if BUGS[name]])
def test_every_known_bug_in_the_references_place_is_refuted(operator: str) -> None:
    missed = [bug.id for bug in BUGS[operator] if not LENIENT.search(bug.mistake) and not refuted(bug.behaves, operator)]
    assert missed == []


def test_a_nudge_of_two_bounds_is_refuted() -> None:
    missed = []
    for operator in EXACT:
        question = next((q for q in questions(operator) if q.bounds[0].size and np.isfinite(q.bounds[0]).all()), None)
        if question is None or not np.isfinite(exact := correctly_rounded(question.exact[0]).astype(np.float64)).all():
            continue
        nudged = exact + 2 * question.bounds[0] + np.spacing(np.abs(exact))
        missed += [] if wrong((nudged, *question.exact[1:]), question) else [operator]
    assert missed == []


# -------------------------------------------------------------------------------------------------------------- rounding
def test_rounding_is_to_the_nearest_and_to_even() -> None:
    half, tiny = Fraction(1, 2**53), Fraction(1, 2**1074)
    assert correctly_rounded(np.array([1 + half, 1 + 3 * half, 1 + half + tiny], dtype=object)).tolist() == [
        1.0, 1.0 + 2.0**-51, 1.0 + 2.0**-52,
    ]  # fmt: skip
    assert correctly_rounded(np.array([tiny / 2, tiny * 3 / 2, tiny * 2 / 3], dtype=object)).tolist() == [0.0, 1e-323, 5e-324]
    assert correctly_rounded(np.array([Fraction(10) ** 309, -(Fraction(10) ** 309)], dtype=object)).tolist() == [np.inf, -np.inf]


def test_fifty_digits_round_once() -> None:
    third, two = DIGITS.mpf(2) / 3, DIGITS.mpf(2)
    assert correctly_rounded(np.array([third, two**-1074, two**-1076, two**5000], dtype=object)).tolist() == [
        2 / 3, 5e-324, 0.0, np.inf,
    ]  # fmt: skip
    assert float(mpmath.mpf(third)) <= 2 / 3
    below = np.array([DIGITS.exp(-745), DIGITS.mpf("-inf"), DIGITS.exp(-(DIGITS.mpf(10) ** 400))], dtype=object)
    assert correctly_rounded(below).tolist() == [5e-324, -np.inf, 0.0]


def test_whole_numbers_and_flags_stay_and_tuples_too() -> None:
    whole, flag, real = correctly_rounded((3, np.array([True, False], dtype=object), fractions([0.5, 2.0])))
    assert whole.dtype == np.int64 and whole.shape == () and flag.dtype == np.bool_
    assert real.dtype == np.float64 and real.tolist() == [0.5, 2.0]


def test_infinities_and_nan_pass() -> None:
    lifted = fractions([np.inf, 1.0, np.nan])
    assert isinstance(lifted[1], Fraction) and correctly_rounded(lifted).tolist()[:2] == [np.inf, 1.0]
    assert np.isnan(correctly_rounded(lifted * Fraction(2)))[2] and digits(Fraction(1, 4)) == 0.25


def test_an_operator_has_one_exact_value() -> None:
    with pytest.raises(ValueError, match=r"one exact value; got gae twice"):
        exact_value("gae")(lambda: None)


def test_expected_maxima_of_normals_have_fifty_digits() -> None:
    pi = DIGITS.pi
    for count, due in ((2, 1 / DIGITS.sqrt(pi)), (3, 3 / (2 * DIGITS.sqrt(pi)))):
        found = EXACT["expected_maximum"](np.zeros(count), np.ones(count), "normal")[()]
        assert abs(found - due) < DIGITS.mpf(10) ** -48


# ---------------------------------------------------------------------------------------------------------- independence
def test_exact_values_share_nothing_with_what_they_judge() -> None:
    for path in HERE.glob("*.py"):
        nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, (ast.Import, ast.ImportFrom))]
        names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        names |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
        assert not {n for n in names if n.partition(".")[0] in {"reference", "accelerated", "torch"}}, path
        own = [n for n in names if n.startswith("properties")]
        assert all(re.match(r"properties\.(_exact|_oracles|_functions)\b", n) for n in own), (path, own)
