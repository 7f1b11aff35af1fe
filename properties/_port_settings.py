"""A port's own settings, touchstone.toml: how it is tried, what it declares, and which of its failures are expected.

An expected failure is strict: it has a reason, a counterexample and a last day; one that no longer fails, or that no trial
is about, fails the run, so that the file never says more than what is so.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from properties._claim import AGENTS, SENTENCES
from properties._run import ABSENT, FAILS, HOLDS, Result
from properties._runner import Task

FILE = "touchstone.toml"
Key = tuple[str, str, str]
"""Claim, operator and dtype of one trial."""


@dataclass(frozen=True)
class ExpectedFailure:
    """A failure that the port's team knows: of one operator and claim, in one dtype or, where none is named, in each."""

    operator: str
    claim: str
    dtype: str
    reason: str
    counterexample: str
    expires: datetime.date

    @property
    def name(self) -> str:
        """As the report names it."""
        return f"{self.operator}, {self.claim}" + (f" [{self.dtype}]" if self.dtype else "")

    def covers(self, key: Key) -> bool:
        """Whether a trial is one that this is about."""
        claim, operator, dtype = key
        return (self.claim, self.operator) == (claim, operator) and self.dtype in ("", dtype)

    def expired(self, today: datetime.date) -> bool:
        """Whether its last day has passed."""
        return today > self.expires


@dataclass(frozen=True)
class Settings:
    """What one file says; `options` are named as the command line's are, and `remark` says why the file is not used."""

    path: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    conventions: Mapping[str, str] = field(default_factory=dict)
    expected: tuple[ExpectedFailure, ...] = ()
    remark: str = ""
    some_dtypes: bool = False

    @property
    def line(self) -> str:
        """The first line of a report."""
        if self.remark:
            return f"settings: {self.path} {self.remark}"
        said = [f"{key} = {value}" for key, value in self.conventions.items()]
        said += [counted(len(self.expected))] if self.expected else []
        return f"settings of {self.path}" + (f": {', '.join(said)}" if said else "")

    def aside(self, port: str) -> Settings:
        """Nothing but the remark that the file belongs to another port."""
        return Settings(self.path, remark=f"is for port {port}, and not used")

    def within(self, operators: Sequence[str], claims: Sequence[str], dtypes: Sequence[str], *, agents: bool) -> Settings:
        """The same with only those expected failures that a run of these tries."""

        def asked(entry: ExpectedFailure) -> bool:
            named = not claims or entry.claim in claims or SENTENCES[entry.claim].concept in claims
            planned = bool(agents or operators or claims) or entry.operator not in AGENTS
            return (
                planned
                and named
                and entry.operator in (operators or [entry.operator])
                and entry.dtype in ("", *(dtypes or [entry.dtype]))
            )

        narrowed = tuple(dtypes) != self.options.get("dtypes", ())
        return replace(self, expected=tuple(filter(asked, self.expected)), some_dtypes=narrowed)

    def excuse(self, key: Key, today: datetime.date) -> ExpectedFailure | None:
        """The entry by which a trial is expected to fail today."""
        return next((each for each in self.expected if each.covers(key) and not each.expired(today)), None)


@dataclass(frozen=True)
class Judgement:
    """What expected failures came to: `expected` are failures that do not count; the others are told."""

    expected: frozenset[Key] = frozenset()
    unexpected_passes: tuple[Key, ...] = ()
    expired: tuple[ExpectedFailure, ...] = ()
    unmatched: tuple[ExpectedFailure, ...] = ()
    lines: tuple[str, ...] = ()

    @property
    def broken(self) -> bool:
        """Whether the file itself fails the run: something in it is no longer so."""
        return bool(self.unexpected_passes or self.unmatched)


def judged(results: Iterable[Result], settings: Settings | None, tasks: Iterable[Task], today: datetime.date) -> Judgement:
    """Which failures were expected, and which expectations are wrong; `tasks` is everything that was planned."""
    if settings is None:
        return Judgement()
    verdicts = {(r.claim, r.operator, r.dtype): r.verdict for r in results}
    planned: list[Key] = [(task.claim, task.operator, task.dtype) for task in tasks]
    failing = [key for key, verdict in verdicts.items() if verdict == FAILS]
    passes = [key for key, verdict in verdicts.items() if verdict == HOLDS and any(e.covers(key) for e in settings.expected)]
    expired = tuple(e for e in settings.expected if e.expired(today) and any(map(e.covers, failing)))
    unmatched = tuple(e for e in settings.expected if _matches_nothing(e, planned, verdicts, some=settings.some_dtypes))
    return Judgement(
        frozenset(key for key in failing if settings.excuse(key, today)), tuple(passes), expired, unmatched,
        tuple(_told(settings, passes, expired, unmatched)),
    )  # fmt: skip


def _matches_nothing(entry: ExpectedFailure, planned: Sequence[Key], verdicts: Mapping[Key, str], *, some: bool) -> bool:
    """No trial is about it, or the port declined all that are; a run of `some` types cannot tell of an entry about each."""
    mine = [key for key in planned if entry.covers(key)]
    if not mine:
        return not (some and not entry.dtype)
    return all(verdicts.get(key) == ABSENT for key in mine)


def _told(
    settings: Settings, passes: Iterable[Key], expired: Iterable[ExpectedFailure], unmatched: Iterable[ExpectedFailure]
) -> list[str]:
    """One line for each."""
    lines = [f"{operator}, {claim} [{dtype}] no longer fails: remove it" for claim, operator, dtype in passes]
    lines += [f"{each.name} was expected to fail until {each.expires}, and counts again: {each.reason}" for each in expired]
    lines += [f"{each.name} is about no trial of this port: remove it" for each in unmatched]
    return [f"{settings.path}: expected failure {line}" for line in lines]


def counted(number: int) -> str:
    """So many expected failures, in words."""
    return f"{number} expected failure{'s' * (number != 1)}"
