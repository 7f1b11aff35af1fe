"""The verdict on one answer to one vector, and which known mistake an operator's answers look like."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from properties._answers import Answer, FunctionAsked, alike, answer
from properties._bounds import rounded
from properties._bugs._record import Bug
from properties._conventions import CONVENTIONS
from properties._diagnosis import suspects
from properties._run import ABSENT, FAILS, HOLDS, UNDECIDED
from properties._vectors import GoldenSet, Vector
from properties._vectors_answers import DECLINED, UNASKED, Answers, Key

MISSING = "there is no answer"
WIDTH = {"float64": np.float64, "float32": np.float32, "bfloat16": np.float32}
"""The types in which answers travel; bfloat16 as float32 numbers that it holds."""
Parts = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Judged:
    """What became of one vector in one type; `ratio` is its error in units of the bound, `place` the result that is wrong."""

    vector: Vector
    dtype: str
    verdict: str
    detail: str = ""
    ratio: float = 0.0
    place: int | None = None
    found: NDArray[Any] | None = None

    @property
    def key(self) -> Key:
        """The name of its answer."""
        return Key(self.vector.id, self.dtype)


def judged(golden: GoldenSet, answers: Answers, operators: Sequence[str], dtypes: Sequence[str]) -> Iterator[Judged]:
    """Every vector that applies, in every type in which the operator is on offer."""
    for operator in operators:
        for dtype in dtypes:
            for vector in golden.of(operator) if answers.offers(operator, dtype) else ():
                if dtype in vector.dtypes:
                    yield _verdict(vector, dtype, answers)


def _verdict(vector: Vector, dtype: str, answers: Answers) -> Judged:
    key = Key(vector.id, dtype)
    others = [f"{k}={v}" for k, v in answers.conventions.items() if f"{k}={v}" in vector.not_under]
    if others:
        return Judged(vector, dtype, ABSENT, f"declared {others[0]}")
    text = answers.texts.get(vector.operator, {}).get(key, "")
    if text.startswith((DECLINED, UNASKED)):
        return Judged(vector, dtype, ABSENT if text.startswith(DECLINED) else UNDECIDED, text)
    parts = answers.results.get(vector.operator, {}).get(key)
    if text or parts is None:
        return Judged(vector, dtype, FAILS, text or MISSING)
    return _compared(vector, dtype, parts)


def _compared(vector: Vector, dtype: str, parts: Parts) -> Judged:
    """Every result that has a bound."""
    largest = 0.0
    for place, (due, bound) in enumerate(zip(vector.due, vector.bounds[dtype], strict=True)):
        found = parts.get(str(place))
        if found is None:
            return Judged(vector, dtype, FAILS, f"result {place} is missing", place=place)
        if wrong := _malformed(place, found, due, dtype):
            return Judged(vector, dtype, FAILS, f"result {place} {wrong}", np.inf, place, found)
        ratio = np.max(ratios(found, due, bound), initial=0.0)
        if not ratio <= 1.0:
            return Judged(vector, dtype, FAILS, f"result {place} is off by more than its bound", float(ratio), place, found)
        largest = max(largest, float(ratio))
    return Judged(vector, dtype, HOLDS, ratio=largest)


def _malformed(place: int, found: NDArray[Any], due: NDArray[Any], dtype: str) -> str:
    """What is wrong with the array, whatever its numbers are; a number besides the first result may be float64 in any type."""
    if found.shape != due.shape:
        return f"has shape {found.shape}; due is {due.shape}"
    if due.dtype.kind in "iub":
        kinds = "b" if due.dtype.kind == "b" else "iu"
        return "" if found.dtype.kind in kinds else f"is {found.dtype}; due is {'bool' if kinds == 'b' else 'an integer type'}"
    wide = place > 0 and due.ndim == 0 and found.dtype == np.float64
    if found.dtype != WIDTH[dtype] and not wide:
        return f"is {found.dtype}; due is {np.dtype(WIDTH[dtype])}"
    if np.isnan(found).any():
        return "holds NaN"
    if dtype == "bfloat16" and not wide and not np.array_equal(rounded(found, dtype), found):
        return "holds values that bfloat16 does not"
    return ""


def ratios(found: NDArray[Any], due: NDArray[Any], bound: NDArray[Any]) -> NDArray[np.float64]:
    """|found - due| / bound, entry by entry; 0 between equals, infinities too."""
    found, due = found.astype(np.float64), due.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        return np.asarray(np.where(found == due, 0.0, np.abs(found - due) / bound))


def strangers(golden: GoldenSet, answers: Answers) -> list[str]:
    """Answers to questions that the set does not ask."""
    asked = {vector.id: vector for vector in golden.vectors}
    lines = list(answers.stray)
    for operator in sorted({*answers.results, *answers.texts}):
        for key in dict.fromkeys([*answers.results.get(operator, {}), *answers.texts.get(operator, {})]):
            if key.id not in asked or asked[key.id].operator != operator:
                lines.append(f"{operator}: {key} is an answer to no vector of this set")
            elif key.dtype not in asked[key.id].dtypes:
                lines.append(f"{operator}: {key} is an answer in a type for which the vector is not meant")
    return lines


# ---------------------------------------------------------------------------------------------------------------- diagnosis
def looks_like(operator: str, verdicts: Sequence[Judged], answers: Answers) -> tuple[str, ...]:
    """The bugs (or undeclared conventions) whose answers are the port's: to all vectors, else to all that fail."""
    declared = {(key, value) for key, value in answers.conventions.items()}
    variants = [c for c in CONVENTIONS if operator in c.variants and (c.key, c.value) not in declared]
    conventions = [Bug(operator, c.id, c.story, "", c.variants[operator]) for c in variants]
    bugs = [bug for bug in suspects(operator) if not bug.derivative]
    for evidence in (verdicts, [each for each in verdicts if each.verdict == FAILS]):
        said = [(each, _said(each, answers)) for each in evidence if each.verdict in (HOLDS, FAILS)]
        for candidates in (conventions, bugs):
            if found := tuple(bug.id for bug in candidates if said and _explains(bug, said)):
                return found
    return ()


def _said(each: Judged, answers: Answers) -> Answer:
    """The results that have a bound; None where there are none."""
    parts = answers.results.get(each.vector.operator, {}).get(each.key, {})
    many = range(len(each.vector.due))
    if any(str(place) not in parts for place in many):
        return None
    return tuple(np.asarray(parts[str(place)], dtype=np.float64) for place in many)


def _explains(bug: Bug, said: Sequence[tuple[Judged, Answer]]) -> bool:
    """The same answer everywhere, and another than the right one somewhere."""
    different = False
    for each, told in said:
        call, dtype = each.vector.call, each.dtype
        wrong = answer(FunctionAsked(bug.behaves, None, dtype), call)
        wrong = wrong and wrong[: len(each.vector.due)]
        if not alike(bug.operator, call, told, wrong, dtype):
            return False
        right = tuple(part.astype(np.float64) for part in each.vector.due)
        different = different or not alike(bug.operator, call, wrong, right, dtype)
    return different
