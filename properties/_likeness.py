"""What a report says about the mistakes behind its failures: each once, with its story and where it was seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from properties._bugs import catalogue
from properties._conventions import CONVENTIONS
from properties._diagnosis import SINGLE, suspects
from properties._run import FAILS, Result

KNOWN, SEVERAL, CONVENTION, UNKNOWN = "known bug", "several known bugs", "declared convention", "unknown"
MOST_LINKS = 3
STORY_OF_SINGLE = "float64 in and out, but only as accurate as float32: something inside is narrower"


@dataclass(frozen=True)
class Mistake:
    """One of the mistakes that a port may make: as a slug, as a sentence, and where it was seen."""

    slug: str
    story: str
    links: tuple[str, ...]

    def __str__(self) -> str:
        links = ", ".join(self.links[:MOST_LINKS]) or "not on public record"
        return f"{self.slug}: {self.story} ({'seen in ' if self.links else ''}{links})"


@dataclass(frozen=True)
class Diagnosis:
    """What one or several failing operators behave like."""

    operators: tuple[str, ...]
    verdict: str
    mistakes: tuple[Mistake, ...]

    def lines(self) -> list[str]:
        """For people."""
        who, behave = ", ".join(self.operators), "behaves" if len(self.operators) == 1 else "behave"
        if self.verdict == UNKNOWN:
            known = sum(len(suspects(operator)) for operator in self.operators)
            return [
                f"{who}: unknown; it is none of the {known} mistakes on record about {'it' if len(self.operators) == 1 else 'them'}"
            ]
        if self.verdict == KNOWN:
            return [f"{who} {behave} like {self.mistakes[0]}"]
        if self.verdict == CONVENTION:
            return [f"{who}: a convention, not a bug: {self.mistakes[0].story}; declare {self.mistakes[0].slug}"]
        return [
            f"{who} {behave} like several known bugs, which these inputs do not tell apart:",
            *(f"  {m}" for m in self.mistakes),
        ]

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        mistakes = [{"mistake": m.slug, "story": m.story, "seen": list(m.links)} for m in self.mistakes]
        return {"operators": list(self.operators), "verdict": self.verdict, "mistakes": mistakes}


def diagnoses(results: Sequence[Result]) -> list[Diagnosis]:
    """One for each mistake, however many operators make it; a mistake must explain every failure of its operator."""
    found: dict[tuple[str, ...], list[str]] = {}
    for operator in dict.fromkeys(result.operator for result in results if result.verdict == FAILS):
        explained = [set(r.behaves_like) for r in results if r.operator == operator and r.verdict == FAILS and r.examples]
        common = set.intersection(*explained) if explained else set[str]()
        key = tuple(sorted(each.partition("/")[2] for each in common)) or (operator,)
        found.setdefault(key if common else ("", operator), []).append(operator)
    return [_diagnosis(slugs, tuple(operators)) for slugs, operators in found.items()]


def _diagnosis(slugs: tuple[str, ...], operators: tuple[str, ...]) -> Diagnosis:
    if slugs[0] == "":
        return Diagnosis(operators, UNKNOWN, ())
    mistakes = tuple(_mistake(slug, operators) for slug in slugs)
    convention = any(each.id == slugs[0] for each in CONVENTIONS)
    return Diagnosis(operators, CONVENTION if convention else KNOWN if len(slugs) == 1 else SEVERAL, mistakes)


def _mistake(slug: str, operators: tuple[str, ...]) -> Mistake:
    """The story as it is told of the first operator; the sightings of all."""
    if slug == SINGLE:
        return Mistake(slug, STORY_OF_SINGLE, ())
    for convention in CONVENTIONS:
        if convention.id == slug:
            return Mistake(slug, convention.story, ())
    bugs = [catalogue()[f"{operator}/{slug}"] for operator in operators]
    return Mistake(slug, bugs[0].story, tuple(dict.fromkeys(link for bug in bugs for link in bug.links)))
