"""The trial of a mutant: recorded calls first, then the real claims of every operator that runs the mutated function."""

from __future__ import annotations

import contextvars
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from properties._claim import CLAIMS, OPERATORS
from properties._mutation._code import planted, takes
from properties._mutation._mutants import forced
from properties._mutation._recorded import Item, Tracer, reached_by, record, refutation
from properties._mutation._source import PACKAGE, Mutant, functions
from properties._ports import load_port
from properties._run import FAILS, HOLDS, Effort, run

KILLED, SURVIVED, TIMEOUT, INVALID, EQUIVALENT = "killed", "survived", "timeout", "invalid", "equivalent"
TRIED = Effort(examples=25, table_examples=0, seconds=3600.0, climb=False, shrink=False)
"""Little for each claim, because there are many; the watchdog limits the time, not the clock on the wall."""
PATIENCE, FLOOR = 5.0, 1.0
"""A mutant may take so many times what the sound package takes, and so many seconds: of the processor, not of a busy machine."""
SPEND = 60.0
"""Seconds of the processor that one mutant may cost in claims; one that outlives them survives."""

ROOM = 4 << 30
"""Bytes that a trial may allocate beyond what the process has."""
MOST = 400
"""Recorded calls that one mutant meets at most; the claims come afterwards."""


class Task(NamedTuple):
    """One claim for one operator in one dtype."""

    claim: str
    operator: str
    dtype: str


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant; `by` names the claim (or the recorded calls) that refuted it."""

    mutant: Mutant
    verdict: str
    by: str = ""
    operator: str = ""
    dtype: str = ""
    tried: int = 0

    @property
    def task(self) -> Task | None:
        """The claim that killed, if it was one."""
        return Task(self.by, self.operator, self.dtype) if self.by in CLAIMS else None


class BrokenSuite(Exception):
    """The sound package fails, or what must fail does not: no verdict can be believed."""


class OutOfTime(BaseException):
    """A mutant takes too long; nothing that catches errors may take it for one."""


class Watchdog:
    """Interrupts what takes longer, and goes on interrupting what catches that."""

    def __init__(self) -> None:
        self.expired = False

    @contextmanager
    def allowing(self, seconds: float) -> Iterator[None]:
        """At most so much processor time for the block."""
        self.expired = False
        before = signal.signal(signal.SIGPROF, self._bark)
        signal.setitimer(signal.ITIMER_PROF, seconds, 1.0)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0.0)
            signal.signal(signal.SIGPROF, before)

    def _bark(self, number: int, frame: FrameType | None) -> None:
        self.expired = True
        raise OutOfTime


@contextmanager
def limited_memory(room: int = ROOM) -> Iterator[None]:
    """At most so many bytes of addresses beyond those that the process has: more is a MemoryError, not the end of the machine's.

    Where the system does not tell how many it has, there is no limit.
    """
    held = Path("/proc/self/statm")
    if not held.exists():
        yield
        return
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    soft = int(held.read_text().split()[0]) * resource.getpagesize() + room
    resource.setrlimit(resource.RLIMIT_AS, (soft if before[1] == resource.RLIM_INFINITY else min(soft, before[1]), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@dataclass(frozen=True)
class Clean:
    """What a task did with the sound package: seconds of the processor, and the functions that it ran."""

    seconds: float
    reached: frozenset[tuple[str, str]]


class Judge:
    """Knows how the sound package behaves, and tries mutants against that. One at a time, in the main thread."""

    def __init__(self, package: str = PACKAGE, killers: Mapping[str, Task] | None = None, spend: float = SPEND) -> None:
        port = load_port(package)
        self.ports = {dtype: port.using(dtype, port.device) for dtype in port.dtypes}
        self.widest = self.ports[port.dtypes[0]]
        self.killers, self.spend = dict(killers or {}), spend
        self._tracer, self._watchdog = Tracer(package), Watchdog()
        self.items = record(port, self._tracer)
        self._clean: dict[Task, Clean | None] = {}
        self._items: dict[tuple[str, str], list[Item]] = {}
        self._reached = {name: self._operator_reaches(name) for name in OPERATORS if self.widest.offers(name)}
        self._kills: Counter[tuple[tuple[str, str], Task]] = Counter()
        self._claims: Counter[tuple[str, str]] = Counter()
        self._forced_fail(package)

    def __call__(self, mutant: Mutant, *, claims: bool = True) -> Verdict:
        """The verdict on one mutant, of the claims too or of the recorded calls alone; then the sound code is back in place."""
        if not takes(mutant):
            return Verdict(mutant, INVALID)
        return contextvars.copy_context().run(self._tried, mutant, claims)  # a mutant may leave the checks off

    def _tried(self, mutant: Mutant, claims: bool) -> Verdict:
        verdict = self._against_items(mutant)
        return verdict or (self._against_claims(mutant) if claims else Verdict(mutant, SURVIVED))

    # ------------------------------------------------------------------------------------------------- recorded calls
    def _against_items(self, mutant: Mutant) -> Verdict | None:
        items = self._items_of(mutant)
        for place, item in enumerate(items):
            wrong = self._limited(mutant, FLOOR, partial(refutation, item, self.ports[item.dtype]))
            if wrong:
                items.insert(0, items.pop(place))
                return Verdict(
                    mutant, TIMEOUT if self._watchdog.expired else KILLED, item.name, item.operator, item.dtype, place + 1
                )
        return None

    def _items_of(self, mutant: Mutant) -> list[Item]:
        """Those that run the function; what killed last comes first."""
        function = (mutant.module, mutant.function)
        if function not in self._items:
            self._items[function] = _spread([item for item in self.items if function in item.reached])
        return self._items[function]

    def _limited(self, mutant: Mutant, seconds: float, trial: Any) -> Any:
        try:
            with planted(mutant), limited_memory(), self._watchdog.allowing(seconds):
                return trial()
        except OutOfTime:
            return TIMEOUT

    # --------------------------------------------------------------------------------------------------------- claims
    def _against_claims(self, mutant: Mutant) -> Verdict:
        function, spent, tried = (mutant.module, mutant.function), 0.0, 0
        for task in self._tasks(mutant):
            clean = self.clean(task)
            if clean is None or function not in clean.reached:
                continue
            if spent > self.spend:
                break
            began = time.process_time()
            failed = self._limited(mutant, FLOOR + PATIENCE * clean.seconds, partial(self._fails, task))
            spent, tried = spent + time.process_time() - began, tried + 1
            if failed:
                self._kills[function, task] += 1
                self._claims[mutant.module, task.claim] += 1
                return Verdict(mutant, TIMEOUT if self._watchdog.expired else KILLED, *task, tried)
        return Verdict(mutant, SURVIVED, tried=tried)

    def _fails(self, task: Task) -> bool:
        """Whether the verdict is another than the sound package's: what is declined or left undecided is noticed, too."""
        try:
            return run(CLAIMS[task.claim], task.operator, self.ports[task.dtype], TRIED).verdict != HOLDS
        except Exception:  # the claim could not digest what it was given, as it could from the sound package
            return True

    def _tasks(self, mutant: Mutant) -> list[Task]:
        """Past killers of this mutant, of this function, of this module, then what costs least.

        Where no recorded call runs the function, any claim about an operator that runs its module may.
        """
        function = (mutant.module, mutant.function)
        operators = [name for name, reached in self._reached.items() if function in reached]
        operators = operators or [
            name for name, reached in self._reached.items() if mutant.module in {place for place, _ in reached}
        ]
        tasks = [task for name in operators for task in self._about(name)]
        past = self.killers.get(mutant.key)

        def order(task: Task) -> tuple[float, ...]:
            clean = self._clean.get(task)
            cost = clean.seconds if clean else CLAIMS[task.claim].share
            return -(task == past), -self._kills[function, task], -self._claims[mutant.module, task.claim], cost

        return sorted(tasks, key=order)

    def _about(self, operator: str) -> Iterator[Task]:
        for claim in CLAIMS.values():
            if operator in claim.operators:
                for dtype in OPERATORS[operator].widths:
                    if dtype in self.ports and (claim.every_dtype or dtype == self.widest.dtype):
                        yield Task(claim.name, operator, dtype)

    def clean(self, task: Task) -> Clean | None:
        """How the sound package passes the claim; None where that is undecided or absent."""
        if task not in self._clean:
            began = time.process_time()
            with self._tracer.watching() as found:
                result = run(CLAIMS[task.claim], task.operator, self.ports[task.dtype], TRIED)
            if result.verdict == FAILS:
                raise BrokenSuite(f"the sound package fails {task.claim} for {task.operator} in {task.dtype}: {result.detail}")
            passed = Clean(time.process_time() - began, frozenset(found))
            self._clean[task] = passed if result.verdict == HOLDS else None
        return self._clean[task]

    # ------------------------------------------------------------------------------------------------------ beforehand
    def _operator_reaches(self, name: str) -> set[tuple[str, str]]:
        items = [item for item in self.items if item.operator == name]

        def tried() -> None:
            for task in list(self._about(name)):
                run(CLAIMS[task.claim], task.operator, self.ports[task.dtype], TRIED)

        return reached_by(self.widest, name, items, self._tracer, tried)

    def _forced_fail(self, package: str) -> None:
        """A function that only raises must be refuted, in each module that recorded calls run."""
        met = {function for item in self.items for function in item.reached}
        first = {function.module: function for function in functions(package)[::-1] if function[:2] in met}
        for function in first.values():
            if self(forced(function)).verdict != KILLED:
                raise BrokenSuite(f"{function.module}.{function.name} may raise whatever it is given, and nothing notices")


def _spread(items: list[Item]) -> list[Item]:
    """At most MOST of them, of every operator as many: what all operators share needs not all calls of all."""
    if len(items) <= MOST:
        return items
    rank: Counter[tuple[str, str, bool]] = Counter()
    ranked: list[tuple[int, int, Item]] = []
    for item in items:
        kind = (item.operator, item.dtype, item.bad is None)
        ranked.append((rank[kind], len(ranked), item))
        rank[kind] += 1
    return [item for _, _, item in sorted(ranked, key=lambda entry: entry[:2])[:MOST]]
