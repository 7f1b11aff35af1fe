"""What a report says about the mistakes behind its failures: each once, with its story and where it was seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from properties._bugs import catalogue
from properties._claim import DEADLY
from properties._conventions import CONVENTIONS
from properties._diagnosis import SINGLE, suspects
from properties._run import FAILS, Result

KNOWN, SEVERAL, CONVENTION = "known bug", "several known bugs", "declared convention"
MANNERS, UNKNOWN = "manners", "unknown"
MANNERLY = (
    "dtype_is_kept", "memory_layout_changes_nothing", "arguments_are_left_alone_and_answers_repeat", "bad_input_is_rejected",
    "rejections_name_rule_value_and_place",
)  # fmt: skip
"""Claims that right answers can fail; what they say is the diagnosis."""
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
    """What one or several failing operators behave like; where no mistake explains every failure, those that explain some."""

    operators: tuple[str, ...]
    verdict: str
    mistakes: tuple[Mistake, ...]

    def lines(self) -> list[str]:
        """For people."""
        who, behave = ", ".join(self.operators), "behaves" if len(self.operators) == 1 else "behave"
        listed = [f"  {mistake}" for mistake in self.mistakes]
        if self.verdict == KNOWN:
            return [f"{who} {behave} like {self.mistakes[0]}"]
        if self.verdict == CONVENTION:
            return [f"{who}: a convention, not a bug: {self.mistakes[0].story}; declare {self.mistakes[0].slug}"]
        if self.verdict == SEVERAL:
            return [f"{who} {behave} like several known bugs, which these inputs do not tell apart:", *listed]
        if self.verdict == MANNERS:
            return [f"{who}: the answers are right; the claims that fail say what is wrong with the manners"]
        known = len(suspects(self.operators[0].partition(" ")[0]))
        partly = "; some of its failures look like" if listed else ""
        return [f"{who}: unknown; none of the {known} mistakes on record explains all of its failures{partly}", *listed]

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        mistakes = [{"mistake": m.slug, "story": m.story, "seen": list(m.links)} for m in self.mistakes]
        return {"operators": list(self.operators), "verdict": self.verdict, "mistakes": mistakes}


def diagnoses(results: Sequence[Result]) -> list[Diagnosis]:
    """One for each mistake, however many operators make it; a mistake must explain every failure of its operator."""
    found: dict[tuple[str, tuple[str, ...], str], list[str]] = {}
    for who, mine in _groups(results):
        verdict, slugs = _explained(mine)
        found.setdefault((verdict, slugs, who if verdict == UNKNOWN else ""), []).append(who)
    return [_diagnosis(verdict, slugs, tuple(operators)) for (verdict, slugs, _), operators in found.items()]


def _groups(results: Sequence[Result]) -> list[tuple[str, list[Result]]]:
    """The failures that were diagnosed, by operator; by type, too, where the types are explained by different mistakes."""
    groups: list[tuple[str, list[Result]]] = []
    failed = [r for r in results if r.verdict == FAILS and r.examples and not r.detail.startswith(DEADLY)]
    for operator in dict.fromkeys(r.operator for r in failed):
        mine = [r for r in failed if r.operator == operator]
        by_type = {dtype: [r for r in mine if r.dtype == dtype] for dtype in dict.fromkeys(r.dtype for r in mine)}
        apart = _explained(mine)[0] == UNKNOWN and any(_explained(part)[0] in (KNOWN, CONVENTION) for part in by_type.values())
        groups += [(f"{operator} [{dtype}]", part) for dtype, part in by_type.items()] if apart else [(operator, mine)]
    return groups


def _explained(failures: Sequence[Result]) -> tuple[str, tuple[str, ...]]:
    """The verdict on some failures of one operator, and the slugs that explain all of them, or else some."""
    telling = [r for r in failures if r.claim not in MANNERLY or r.behaves_like]
    if not telling:
        return MANNERS, ()
    sets = [{each.partition("/")[2] for each in r.behaves_like} for r in telling]
    common, some = tuple(sorted(set.intersection(*sets))), tuple(sorted(set.union(*sets)))
    if not common:
        return UNKNOWN, some
    if any(convention.id == common[0] for convention in CONVENTIONS):
        return CONVENTION, common
    return KNOWN if len(common) == 1 else SEVERAL, common


def _diagnosis(verdict: str, slugs: tuple[str, ...], operators: tuple[str, ...]) -> Diagnosis:
    bare = tuple(operator.partition(" ")[0] for operator in operators)
    return Diagnosis(operators, verdict, tuple(_mistake(slug, bare) for slug in slugs))


def _mistake(slug: str, operators: tuple[str, ...]) -> Mistake:
    """The story as it is told of the first operator; the sightings of all."""
    if slug == SINGLE:
        return Mistake(slug, STORY_OF_SINGLE, ())
    for convention in CONVENTIONS:
        if convention.id == slug:
            return Mistake(slug, convention.story, ())
    bugs = [catalogue()[f"{operator}/{slug}"] for operator in operators]
    return Mistake(slug, bugs[0].story, tuple(dict.fromkeys(link for bug in bugs for link in bug.links)))
