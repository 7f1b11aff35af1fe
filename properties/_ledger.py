"""The budget of false alarms: one for the whole run, shared out beforehand, and the account of how it was spent.

Every statistical claim owns a fixed share of RUN_BUDGET; inside a claim the share is divided by the operators, dtypes, cases and
coordinates that are planned, whether or not they run. By the union bound a run on a right port raises a false alarm with
probability at most RUN_BUDGET, whatever the claims have in common. What is not shared out is kept for claims to come, so that no
alarm level that is in use ever moves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from properties._bounds import UNIT, Floats, own_rounding
from properties._claim import WIDTHS
from properties._statistics import MISSED, UNPROVED, Mean, Plan, plan

RUN_BUDGET = 1e-6
"""The chance that a run on a right port raises any statistical alarm."""
SHARED_OUT = 0.8
"""The shares of all claims sum to at most this; the rest is in reserve."""
RUNS_A_YEAR = 2 * 365


def coarse(dtype: str) -> float:
    """What rounding may move a probability in any dtype: draws of 24 random bits, and 60 roundings of float32 on the way."""
    return 64 * UNIT["float32"]


class Case(NamedTuple):
    """One fixed instance: what each coordinate of an observation is due, and what it is under each known mistake.

    `inputs` is what the sampler is given. The effect that must not be missed is the smallest, over the mistakes, of the largest
    deviation that the mistake causes in any coordinate.
    """

    name: str
    coordinates: tuple[str, ...]
    due: Floats
    wrong: Mapping[str, Floats]
    inputs: Any = None
    slack: Callable[[str], float] = coarse

    @property
    def effects(self) -> dict[str, float]:
        """For each mistake the largest deviation that it causes."""
        return {name: float(np.max(np.abs(np.asarray(wrong) - self.due))) for name, wrong in self.wrong.items()}

    @property
    def effect_of(self) -> str:
        """The mistake that is hardest to see."""
        return min(self.effects, key=self.effects.__getitem__)

    @property
    def effect(self) -> float:
        """How far that mistake moves the coordinate that it moves most."""
        return self.effects[self.effect_of]

    def mistake(self, frequency: Floats) -> str:
        """The mistake whose probabilities are those observed; empty unless all else, what is due included, is twice as far."""
        far = {name: float(np.max(np.abs(np.asarray(wrong) - frequency))) for name, wrong in self.wrong.items()}
        nearest = min(far, key=far.__getitem__)
        others = [distance for name, distance in far.items() if name != nearest]
        return nearest if 2 * far[nearest] < min([float(np.max(np.abs(self.due - frequency))), *others]) else ""


class Entry(NamedTuple):
    """One statistical claim in the ledger."""

    claim: str
    label: str
    operators: tuple[str, ...]
    share: float
    cases: tuple[Case, ...]

    @property
    def alpha(self) -> float:
        """The chance of a false alarm that each coordinate of each case has, in one dtype, for one operator."""
        coordinates = sum(len(case.coordinates) for case in self.cases)
        return RUN_BUDGET * self.share / (len(self.operators) * len(WIDTHS) * coordinates)

    def mean(self, case: Case, dtype: str) -> Mean:
        """What is to be judged."""
        return Mean(np.asarray(case.due, dtype=np.float64), case.effect, self.alpha, case.slack(dtype))

    def plan(self, case: Case, dtype: str) -> Plan:
        """How many draws are planned, and with what power."""
        return plan(self.mean(case, dtype))


LEDGER: dict[str, Entry] = {}


def enter(entry: Entry) -> Entry:
    """Put a claim into the ledger; refused if the shares then exceed what may be shared out."""
    total = sum(other.share for other in LEDGER.values()) + entry.share
    if not 0 < entry.share or total > SHARED_OUT * own_rounding(len(LEDGER) + 1):
        raise ValueError(f"shares must be positive and sum to at most {SHARED_OUT}; got {total:.3f} with {entry.claim}")
    for case in entry.cases:
        if not 2 * max(case.slack(dtype) for dtype in WIDTHS) < case.effect:
            raise ValueError(f"an effect must exceed twice its slack; got {case.effect} in case {case.name} of {entry.claim}")
    LEDGER[entry.claim] = entry
    return entry


# ------------------------------------------------------------------------------------------------------------ the account
class Record(NamedTuple):
    """What one case of one claim came to, for one operator in one dtype."""

    claim: str
    label: str
    operator: str
    dtype: str
    case: str
    share: float
    alpha: float
    effect: float
    effect_of: str
    power: float
    planned: int
    draws: int
    evidence: float
    coordinate: str
    verdict: str
    trajectory: tuple[tuple[int, float, float], ...] = ()
    """After each batch: the draws so far, and the powers of ten of the evidence against what is due, and of the proof of it."""


def account(records: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The ledger as plain data, for a JSON report."""
    return {**promises(), "shares": {name: entry.share for name, entry in LEDGER.items()}, "records": [dict(r) for r in records]}


def promises() -> dict[str, float]:
    """What the ledger promises, whatever is run: all but the planned draws."""
    given = sum(entry.share for entry in LEDGER.values())
    return {
        "run_budget": RUN_BUDGET,
        "shared_out": round(given, 12),
        "reserve": round(1.0 - given, 12),
        "false_alarms_a_year": RUNS_A_YEAR * RUN_BUDGET,
        "passed": MISSED,
        "unproved": UNPROVED,
    }


def lines(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """The ledger as text: what it promises, then one line for each case that was tried, in however many dtypes."""
    kept, told = promises(), [Record(**record) for record in records]
    text = [
        f"false alarms: at most {kept['run_budget']:.0e} a run, {kept['false_alarms_a_year']:.1e} in a year of two runs a day; "
        f"{kept['shared_out']:.0%} shared out among {len(LEDGER)} claims, {kept['reserve']:.0%} in reserve",
        f"a sampler off by the effect holds with probability at most {kept['passed']:.0e}, and alarms with the power stated",
    ]
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for record in told:
        groups.setdefault((record.claim, record.operator, record.case), []).append(record)
    header = ("verdict", "claim: case", "share", "alpha", "effect", "power", "draws", "evidence", "the mistake hardest to see")
    rows = [header, *(_cells(group) for group in groups.values())]
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    return text + ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows if told]


def _cells(group: list[Record]) -> tuple[str, ...]:
    """One case over the dtypes it was tried in: the worst verdict, the least power, the most draws, the most evidence."""
    verdict = next(v for v in ("fails", "undecided", "holds") if v in {record.verdict for record in group})
    r, evidence = max(group, key=lambda record: record.draws), max(record.evidence for record in group)
    return (
        verdict, f"{r.label} {r.claim}: {r.case}", f"{r.share:.2f}", f"{r.alpha:.1e}", f"{r.effect:.4f}",
        f"{min(record.power for record in group):.6f}", f"{r.draws}/{r.planned}", f"10^{max(evidence, 0.0):.1f}", r.effect_of,
    )  # fmt: skip
