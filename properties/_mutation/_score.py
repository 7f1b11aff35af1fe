"""The score: how many of the mistakes that could be made in a package the claims would notice."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from properties._mutation._judge import EQUIVALENT, INVALID, KILLED, SPEND, SURVIVED, TIMEOUT, Judge, Task, Verdict
from properties._mutation._mutants import mutants
from properties._mutation._source import PACKAGE, Mutant
from properties._mutation._tables import equivalents, killers

DEAD = (KILLED, TIMEOUT)


@dataclass(frozen=True)
class Score:
    """The verdicts on the mutants that were tried, of all that there are."""

    verdicts: tuple[Verdict, ...]
    existing: int

    def count(self, *verdicts: str) -> int:
        """How many mutants met one of these ends."""
        return sum(verdict.verdict in verdicts for verdict in self.verdicts)

    @property
    def total(self) -> int:
        """What counts: all but what does not compile and what is justified as no mistake."""
        return self.count(*DEAD, SURVIVED)

    @property
    def value(self) -> float:
        """Killed of those that count; nothing tried is nothing proved."""
        return self.count(*DEAD) / self.total if self.total else math.nan

    @property
    def by_calls(self) -> int:
        """Killed by recorded calls alone."""
        return sum(verdict.verdict in DEAD and verdict.task is None for verdict in self.verdicts)

    @property
    def survivors(self) -> tuple[Verdict, ...]:
        """The mistakes that nothing notices."""
        return tuple(verdict for verdict in self.verdicts if verdict.verdict == SURVIVED)

    @property
    def wrongly_justified(self) -> tuple[Verdict, ...]:
        """Killed although a reason says that they are no mistakes."""
        return tuple(v for v in self.verdicts if v.verdict == EQUIVALENT and v.by)

    @property
    def killers(self) -> dict[str, Task]:
        """The claim that killed each mutant that outlived the recorded calls."""
        return {verdict.mutant.key: verdict.task for verdict in self.verdicts if verdict.task}

    def per(self, name: Callable[[Mutant], str]) -> dict[str, Score]:
        """The scores of the mutants' parts: `score.per(lambda mutant: mutant.module)`."""
        groups: dict[str, list[Verdict]] = {}
        for verdict in self.verdicts:
            groups.setdefault(name(verdict.mutant), []).append(verdict)
        return {key: Score(tuple(group), len(group)) for key, group in groups.items()}

    def kills(self) -> Counter[str]:
        """How many mutants each claim killed first."""
        return Counter(verdict.by for verdict in self.verdicts if verdict.verdict in DEAD)


def score(
    package: str = PACKAGE,
    *,
    modules: Sequence[str] = (),
    functions: Sequence[str] = (),
    limit: int | None = None,
    fraction: float = 1.0,
    share: tuple[int, int] = (1, 1),
    claims: bool = True,
    spend: float = SPEND,
    judge: Judge | None = None,
    told: Callable[[Verdict, int], None] | None = None,
) -> Score:
    """Try the mutants of a package: all, those of some modules or functions, a fixed sample, or the i-th of n shares.

    claims  try the claims; without them survives what the recorded calls do not kill.
    spend   seconds of the processor that one mutant may cost in claims.
    judge   one that is there already: recording calls takes it seconds.
    told    is called with each verdict and the number of mutants to try.
    """
    everything = mutants(package)
    chosen = _chosen(everything, modules, functions, limit, fraction, share)
    known, verdicts = equivalents(), []
    judge = judge or Judge(package, killers(), spend)
    for mutant in chosen:
        verdict = _verdict(judge, mutant, claims, mutant.key in known)
        verdicts.append(verdict)
        if told is not None:
            told(verdict, len(chosen))
    return Score(tuple(verdicts), len(everything))


def _chosen(
    everything: list[Mutant],
    modules: Sequence[str],
    functions: Sequence[str],
    limit: int | None,
    fraction: float,
    share: tuple[int, int],
) -> list[Mutant]:
    """By key, which is a hash: a sample spreads over the package, and repeats as long as the code does."""
    place, shares = share
    chosen = [
        m for m in everything
        if (not modules or m.module.rpartition(".")[2] in modules) and (not functions or m.function in functions)
        and int(m.key, 16) % shares == place - 1
    ]  # fmt: skip
    many = min(math.ceil(fraction * len(chosen)), len(chosen) if limit is None else limit)
    sample = {mutant.key for mutant in sorted(chosen, key=lambda mutant: mutant.key)[:many]}
    return [mutant for mutant in chosen if mutant.key in sample]


def _verdict(judge: Judge, mutant: Mutant, claims: bool, justified: bool) -> Verdict:
    """A justified mutant meets the recorded calls all the same: a reason that they refute is wrong."""
    if not justified:
        return judge(mutant, claims=claims)
    verdict = judge(mutant, claims=False)
    return replace(verdict, verdict=INVALID if verdict.verdict == INVALID else EQUIVALENT)
