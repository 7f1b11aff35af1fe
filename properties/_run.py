"""run(claim, operator, port) -> Result: the trial of one claim, with Hypothesis set up afresh each time."""

from __future__ import annotations

import base64
import hashlib
import re
import time
import unittest
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, reject, reproduce_failure, seed, settings
from hypothesis import __version__ as hypothesis_version
from hypothesis import strategies as st
from hypothesis.control import current_build_context
from hypothesis.core import encode_failure
from hypothesis.errors import DidNotReproduce, Flaky, HypothesisException, Unsatisfiable
from hypothesis.stateful import run_state_machine_as_test

from properties._bounds import rounded
from properties._claim import Absent, Call, Claim, Declined, Died, Refuted, Undecided
from properties._diagnosis import diagnosed
from properties._failure import failure_of
from properties._mdps import mdps, tables
from properties._paste import as_python
from properties._ports import Port, first_line
from properties._sides import shown, worst_place
from properties._stateful import history
from properties._trial import Trial

HOLDS, FAILS, UNDECIDED, ABSENT = "holds", "fails", "undecided", "absent"


@dataclass(frozen=True)
class Effort:
    """How hard to try: examples a claim, draws a named table, seconds a claim; to climb towards the bound; to shrink."""

    examples: int
    table_examples: int
    seconds: float
    climb: bool
    shrink: bool = True
    diagnose: bool = True


PROFILES = {
    "dev": Effort(examples=40, table_examples=1, seconds=30.0, climb=False),
    "ci": Effort(examples=150, table_examples=1, seconds=60.0, climb=False),
    "release": Effort(examples=1000, table_examples=5, seconds=300.0, climb=True),
    "deep": Effort(examples=50_000, table_examples=50, seconds=3600.0, climb=True),
}


@dataclass(frozen=True)
class Result:
    """The verdict on one claim for one operator in one dtype, and what a report needs to say about it.

    file   of a failure, what --failures writes: the bytes of _failure.Failure, in base64
    """

    claim: str
    operator: str
    dtype: str
    verdict: str
    detail: str = ""
    found: str = ""
    due: str = ""
    bound: str = ""
    paste: str = ""
    behaves_like: tuple[str, ...] = ()
    where: str = ""
    examples: int = 0
    calls: int = 0
    worst: float = 0.0
    ratios: tuple[int, ...] = ()
    seconds: float = 0.0
    ledger: tuple[dict[str, Any], ...] = ()
    file: str = ""


class _OutOfTime(Undecided):
    """The claim's seconds are spent: SkipTest is what Hypothesis lets through at once."""


HOPELESS = 200
"""A claim of which the port declines so many examples, and takes none, is absent."""
SHRINKING_SECONDS = 10.0
"""A counterexample is made smaller for this long; then the smallest so far is reported."""


def run(
    claim: Claim,
    operator: str,
    port: Port,
    effort: Effort,
    *,
    salt: int = 0,
    clock: Any = None,
    journal: Path | None = None,
    example: tuple[str, str, int] | None = None,
) -> Result:
    """Try one claim for one operator of one port (already in its dtype); never raises for what the port does.

    example  the part and the blob of a Failure, and how many calls it made: that alone is tried; DidNotReproduce if it cannot be
    """
    began = time.monotonic()
    trial = Trial(port, operator, clock=clock, journal=journal, salt=salt)
    with suppress(Died):
        port.settled()  # what is left of the trial before is no fault of this operator's
    search = _Search(claim, trial, effort, salt, began + effort.seconds)
    done = Result(claim.name, operator, port.dtype, HOLDS)
    try:
        search.everything() if example is None else search.one(*example[:2])
        if search.declines and not trial.answered:
            raise Absent(search.declined)
        search.settled()
    except Absent as absent:
        done = replace(done, verdict=ABSENT, detail=str(absent))
    except Undecided as late:
        done = replace(done, verdict=UNDECIDED, detail=str(late))
    except DidNotReproduce as past:
        # One that holds now may go on where it failed, and draw more than was drawn.
        if "completed" not in str(past) and not (example and 0 < example[2] <= len(trial.calls)):
            raise
    except (Refuted, Flaky, Unsatisfiable) as error:
        search.note(error)
        verdict, detail = search.without_counterexample()
        done = replace(done, verdict=verdict, detail=detail)
    if search.refuted is not None:
        done = replace(_refuted(done, search.refuted, search.calls), file=search.filed())
        done = replace(done, behaves_like=search.likeness() if effort.diagnose else ())
    seconds, ledger = time.monotonic() - began, tuple(trial.evidence)
    counts = tuple(trial.ratios) if any(trial.ratios) else ()
    done = replace(done, examples=trial.examples, calls=trial.asked, worst=trial.worst, ratios=counts)
    return replace(done, seconds=seconds, ledger=ledger)


class _Search:
    """The search for a counterexample; keeps the last one found, which shrinking makes the smallest.

    What the port answered on the first one is kept, too: it is generic, and tells known bugs apart that agree on the smallest.
    """

    def __init__(self, claim: Claim, trial: Trial, effort: Effort, salt: int, deadline: float) -> None:
        self.claim, self.trial, self.effort, self.salt, self.deadline = claim, trial, effort, salt, deadline
        self.refuted: Refuted | None = None
        self.calls: list[tuple[str, Call]] = []
        self.answers: list[tuple[Call, Any]] = []
        self.first_answers: list[tuple[Call, Any]] = []
        self.late, self.declined, self.declines = "", "", 0
        self.part, self.refuted_part, self.blob, self.only = "main", "main", "", ""

    def everything(self) -> None:
        """On what the claim draws; for a claim about MDPs also on each named table."""
        self.trial.port.operator(self.trial.subject)
        if excuse := self.trial.port.excuse(self.claim.name, self.trial.subject):
            raise Absent(excuse)
        examples = max(1, round(self.effort.examples * self.claim.share))
        if self.claim.machine is not None:
            self.over_machine(self.claim.machine, examples)
        elif not callable(self.claim.given):
            self.over(dict(self.claim.given), examples)
        else:
            self.over(dict(self.claim.given(mdps())), examples)
            for table in tables() if self.effort.table_examples else ():
                self.part = f"table {table.name}"
                self.over(dict(self.claim.given(st.just(table))), self.effort.table_examples)

    def one(self, part: str, blob: str) -> None:
        """The example that Hypothesis calls so, of one part of what `everything` tries."""
        self.trial.port.operator(self.trial.subject)
        self.part, self.only, given_ = part, blob, self.claim.given
        named = {f"table {table.name}": table for table in tables()}
        if self.claim.machine is not None:
            self.over_machine(self.claim.machine, 1)
        elif callable(given_):
            self.over(dict(given_(st.just(named[part]) if part in named else mdps())), 1)
        else:
            self.over(dict(given_), 1)

    def stream(self, body: Any) -> Any:
        """With the seed of this trial, or with the one example that is wanted."""
        if self.only:
            return reproduce_failure(hypothesis_version, self.only.encode())(body)
        return seed(_stream(self.claim, self.trial, self.salt))(body)

    def over(self, drawn: dict[str, Any], examples: int) -> None:
        """Build `settings(given(...))` afresh (decorating twice raises) and run it from a seed of its own."""
        if not drawn:
            self.once()
            return
        limits = self.limits(examples)

        def body(**arguments: Any) -> None:
            self.once(**arguments)

        self.stream(limits(given(**drawn)(body)))()

    def limits(self, examples: int) -> settings:
        """Hypothesis' settings, made afresh."""
        wanted = {Phase.generate: True, Phase.target: self.effort.climb, Phase.shrink: self.effort.shrink}
        return settings(
            max_examples=examples, database=None, deadline=None, derandomize=False,
            phases=[phase for phase, used in wanted.items() if used],
            report_multiple_bugs=False, print_blob=True, suppress_health_check=list(HealthCheck),
        )  # fmt: skip

    def over_machine(self, machine: Callable[[Trial], Any], examples: int) -> None:
        """Runs of a rule-based state machine, each on a fresh object of the port."""
        self.part = "machine"

        def fresh() -> Any:
            self.start_example()
            return machine(self.trial)

        try:
            with np.errstate(all="ignore"):
                run_state_machine_as_test(self.stream(fresh), settings=self.limits(examples))
        except Declined as declined:
            raise Absent(str(declined)) from declined
        finally:
            if self.trial.refuted is not None:
                self.remember(self.trial.refuted)

    def start_example(self) -> None:
        """Count one, unless time is up."""
        if time.monotonic() > self.deadline:
            self.late = f"{self.trial.examples} examples in {self.effort.seconds:g} s, then out of time"
            raise _OutOfTime(self.late)
        self.trial.examples += 1
        self.trial.clear()

    def once(self, **arguments: Any) -> None:
        """One example: rounded to the port's dtype, tried, and remembered if it refutes."""
        self.start_example()
        asked = self.trial.asked
        try:
            with np.errstate(all="ignore"):
                self.claim.body(self.trial, **rounded(arguments, self.trial.dtype))
        except Refuted as refuted:
            self.remember(refuted)
            raise
        except Declined as declined:
            self.declined, self.declines = str(declined), self.declines + 1
            self.trial.examples -= 1
            if not arguments or (self.trial.examples == 0 and self.declines == HOPELESS):
                raise Absent(self.declined) from declined
            reject()
        except (unittest.SkipTest, HypothesisException):
            raise
        except Exception as error:
            if self.trial.asked == asked:
                raise
            unusable = Refuted(f"the result could not be used: {type(error).__name__}: {first_line(error)}")
            self.remember(unusable)
            raise unusable from error

    def without_counterexample(self) -> tuple[str, str]:
        """What it means that Hypothesis gave up and nothing was refuted: no time, no example accepted, or unstable answers."""
        if self.late:
            return UNDECIDED, self.late
        if self.declined and self.trial.examples == 0:
            return ABSENT, self.declined
        if self.declined:
            return UNDECIDED, f"too many calls declined: {self.declined}"
        return FAILS, "the same call gave different answers"

    def remember(self, refuted: Refuted) -> None:
        """Keep this counterexample, and give shrinking its seconds from the first one on."""
        if self.refuted is None:
            self.deadline = time.monotonic() + SHRINKING_SECONDS
            self.first_answers = list(self.trial.answers)
        self.refuted, self.calls, self.answers = refuted, list(self.trial.calls), list(self.trial.answers)
        self.refuted_part, self.blob = self.part, _running_example()

    def settled(self) -> None:
        """What the port does after the last answer is this operator's, too."""
        try:
            self.trial.port.settled()
        except Died as died:
            self.remember(died)
            raise

    def note(self, error: BaseException) -> None:
        """Hypothesis' own name of the smallest counterexample, which it adds to what it raises."""
        found = re.search(r"@reproduce_failure\([^,]*, b'([^']*)'\)", "\n".join(getattr(error, "__notes__", ())))
        self.blob = found[1] if found else self.blob

    def filed(self) -> str:
        """The failure as text that travels."""
        assert self.refuted is not None
        port, subject = self.trial.port, self.trial.subject
        profile = next((name for name, effort in PROFILES.items() if effort == self.effort), "ci")
        failure = failure_of(
            self.refuted, self.calls, claim=self.claim.name, operator=subject, dtype=port.dtype, port=port.name, device=port.device,
            seed=self.salt, profile=profile, part=self.refuted_part, blob=self.blob,
        )  # fmt: skip
        return base64.b64encode(failure.packed()).decode()

    def likeness(self) -> tuple[str, ...]:
        """The known bugs that explain it; of a program that died none is looked for, as it would die of the same again."""
        if isinstance(self.refuted, Died):
            return ()
        sloped = any(name == "gradient" for name, _ in self.calls)
        try:
            return diagnosed(self.trial, self.first_answers + self.answers, derivative=sloped)
        except Died:
            return ()


def _running_example() -> str:
    """Hypothesis' own name of the running example, for when it is not given the time to tell; empty if there is none."""
    try:
        return encode_failure(current_build_context().data.choices).decode()
    except (HypothesisException, AttributeError):
        return ""


def _stream(claim: Claim, trial: Trial, salt: int) -> int:
    """The seed of one trial: a hash, so that a part of a run repeats exactly what the whole run did."""
    key = f"{salt}:{claim.name}:{trial.subject}:{trial.dtype}".encode()
    return int.from_bytes(hashlib.sha256(key).digest()[:8], "big")


def _refuted(done: Result, refuted: Refuted, calls: list[tuple[str, Call]]) -> Result:
    return replace(
        done,
        verdict=FAILS,
        detail=refuted.text,
        where=worst_place(refuted.found, refuted.due, refuted.bound),
        found=shown(refuted.found),
        due=shown(refuted.due),
        bound=shown(refuted.bound),
        paste="\n".join(as_python(*call) for call in history(calls)),
    )
