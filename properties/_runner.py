"""The run: a pool of worker processes, so that a port that crashes, hangs or exits costs one verdict and never the run."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

from properties._child import cause, end_group
from properties._claim import CLAIMS, DEADLY, RECORDS, SENTENCES, Claim
from properties._failure import Failure
from properties._ports import COMMAND, PATIENCE, PortError
from properties._run import FAILS, UNDECIDED, Result
from properties._worker import CLOCK_BYTES, SharedClock

START_SECONDS = 120.0
"""Seconds that a port may take to import."""
DEATHS = 2
"""After so many crashes or hangs of one operator its remaining claims are left undecided."""


class SuiteError(Exception):
    """A claim broke by itself: no verdict of this run can be believed."""


class Task(NamedTuple):
    """One claim for one operator in one dtype; or, again, the failure of it that a file holds."""

    claim: str
    operator: str
    dtype: str
    failure: str = ""


@dataclass(frozen=True)
class Offer:
    """What the port said when it was loaded."""

    dtypes: tuple[str, ...]
    operators: tuple[str, ...]
    conventions: dict[str, str]
    versions: dict[str, str]


@dataclass(frozen=True)
class Setting:
    """What every worker of a run shares."""

    port: str
    device: str = "cpu"
    profile: str = "ci"
    salt: int = 0
    patience: float = PATIENCE
    conventions: Mapping[str, str] = field(default_factory=dict)


class Worker:
    """One process with the port in it, and a thread that brings its answers to the run's queue."""

    def __init__(self, setting: Setting, folder: Path, inbox: queue.Queue[tuple[Worker, dict[str, Any]]]) -> None:
        self.task: Task | None = None
        self.journal: Path | None = None
        self._clock_path = _empty_file(folder, CLOCK_BYTES)
        self._errors = _empty_file(folder, 0)
        # The worker ends a program that hangs; only one that cannot do so is ended, later, itself.
        self._grace = START_SECONDS if setting.port.startswith(COMMAND) else 0.0
        shared = ("port", "device", "profile", "salt", "conventions", "patience")
        message = {k: getattr(setting, k) for k in shared} | {"clock": str(self._clock_path)}
        quiet = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        with self._errors.open("w") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "properties._worker", json.dumps(message)], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=errors, text=True, env=os.environ | quiet | {"PYTHONPATH": _search_path()},
            )  # fmt: skip
        self._clock = SharedClock(self._clock_path)
        self._ear = threading.Thread(target=self._listen, args=(inbox,), daemon=True)
        self._ear.start()

    def _listen(self, inbox: queue.Queue[tuple[Worker, dict[str, Any]]]) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            inbox.put((self, json.loads(line)))
        inbox.put((self, {"died": self._process.wait()}))

    def give(self, task: Task, journal: Path | None = None) -> None:
        """Hand over one task; a worker that is already gone is reported by its own thread."""
        self.task, self.journal = task, journal
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({**task._asdict(), "journal": str(journal) if journal else ""}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return

    def waiting(self) -> float:
        """Seconds since the running call of the port began (a program's: since it was to be given up); 0 between calls."""
        began = self._clock.value
        return time.monotonic() - began - self._grace if began else 0.0

    def kill(self) -> None:
        """End the process at once, and the program that it had started."""
        self._process.kill()
        self._process.wait()
        self._ear.join(timeout=1.0)
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        if not self._ear.is_alive():  # else a process that the port started holds the other end
            self._process.stdout.close()
        if self._clock.group:
            end_group(self._clock.group)
            self._clock.group = 0

    def last_words(self) -> str:
        """The last line that the process wrote to stderr."""
        lines = self._errors.read_text(errors="replace").strip().splitlines()
        return lines[-1][:200] if lines else ""


class Run:
    """A pool of workers over one port. Use as a context manager; `results` yields verdicts as they come."""

    def __init__(self, setting: Setting, jobs: int) -> None:
        self.setting, self.jobs = setting, max(1, jobs)
        self._folder = tempfile.TemporaryDirectory(prefix="touchstone-")
        self._inbox: queue.Queue[tuple[Worker, dict[str, Any]]] = queue.Queue()
        self._workers: list[Worker] = []
        self._idle: list[Worker] = []
        self._waiting: deque[Task] = deque()
        self._deaths: Counter[str] = Counter()

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.kill()
        self._folder.cleanup()

    def load(self) -> Offer:
        """Start one worker and return what the port offers; PortError if it cannot be loaded."""
        worker = self._hire()
        try:
            _, message = self._inbox.get(timeout=START_SECONDS)
        except queue.Empty:
            raise PortError(f"port {self.setting.port} did not import within {START_SECONDS:g} s") from None
        if "died" in message:
            raise PortError(f"port {self.setting.port} died while it was imported ({cause(message['died'])}) {worker.last_words()}")
        if "failed" in message:
            raise PortError(message["failed"])
        ready = message["ready"]
        self._idle.append(worker)
        return Offer(tuple(ready["dtypes"]), tuple(ready["operators"]), ready["conventions"], ready["versions"])

    def results(self, tasks: Sequence[Task], budget: float | None = None) -> Iterator[Result]:
        """Try every task; verdicts come in the order in which they are reached."""
        ends = None if budget is None else time.monotonic() + budget
        self._waiting = deque(tasks)
        for _ in range(min(self.jobs, len(tasks)) - len(self._workers)):
            self._hire()
        busy = 0
        while self._waiting or busy:
            if ends is not None and time.monotonic() > ends:
                yield from self._give_up(f"the budget of {budget:g} s was spent")
                return
            yield from self._dispatch()
            busy = sum(worker.task is not None for worker in self._workers)
            if busy or self._waiting:
                yield from self._listen()
            busy = sum(worker.task is not None for worker in self._workers)

    def _hire(self) -> Worker:
        worker = Worker(self.setting, Path(self._folder.name), self._inbox)
        self._workers.append(worker)
        return worker

    def _dispatch(self) -> Iterator[Result]:
        while self._idle and self._waiting:
            task = self._waiting.popleft()
            if self._deaths[task.operator] >= DEATHS:
                yield _verdict(task, UNDECIDED, f"not tried: {task.operator} crashed or hung {DEATHS} times before")
                continue
            self._idle.pop().give(task)

    def _listen(self) -> Iterator[Result]:
        """One message, or a look at the clocks."""
        try:
            worker, message = self._inbox.get(timeout=0.2)
        except queue.Empty:
            for worker in [w for w in self._workers if w.task and w.waiting() > self.setting.patience]:
                yield from self._died(worker, f"hangs: a call did not return within {self.setting.patience:g} s")
            return
        if worker not in self._workers:
            return
        if "result" in message:
            worker.task = None
            self._idle.append(worker)
            result = _result(message["result"])
            self._deaths[result.operator] += result.detail.startswith(DEADLY)
            yield result
        elif "ready" in message:
            self._idle += [worker] if worker.task is None else []
        elif "failed" in message:
            raise PortError(message["failed"])
        elif "broken" in message:
            raise SuiteError(message["broken"])
        elif worker.task is None:
            raise PortError(f"a worker died while it was idle ({cause(message['died'])}) {worker.last_words()}")
        else:
            words = worker.last_words()
            yield from self._died(worker, f"crashes: the process died, {cause(message['died'])}" + (f"; {words}" if words else ""))

    def _died(self, worker: Worker, how: str) -> Iterator[Result]:
        """Replace a dead or hanging worker; try the task once more with a journal, so that the fatal call is known."""
        worker.kill()
        self._workers.remove(worker)
        task, journal = worker.task, worker.journal
        assert task is not None
        fresh = self._hire()
        if journal is None:
            fresh.give(task, _empty_file(Path(self._folder.name), 0))
            return
        self._deaths[task.operator] += 1
        yield _verdict(task, FAILS, how, paste=journal.read_text(), file=self._filed(task, how))

    def _filed(self, task: Task, how: str) -> str:
        """The failure for its file: the claim and the seed, for what was called is known as text only."""
        s = self.setting
        known = {"port": s.port, "device": s.device, "profile": s.profile, "seed": s.salt, "detail": how}
        return base64.b64encode(Failure(task.claim, task.operator, task.dtype, **known).packed()).decode()  # type: ignore[arg-type]

    def _give_up(self, why: str) -> Iterator[Result]:
        for worker in self._workers:
            if worker.task is not None:
                yield _verdict(worker.task, UNDECIDED, why)
        for task in self._waiting:
            yield _verdict(task, UNDECIDED, why)


def plan(
    offer: Offer,
    *,
    is_reference: bool,
    operators: Sequence[str] = (),
    claims: Sequence[str] = (),
    dtypes: Sequence[str] = (),
    agents: bool = False,
) -> list[Task]:
    """Every claim for every operator on offer, one operator after the other; the reference is not compared with itself.

    Agents, which take longer, are tried if `agents` says so or if they or their claims are named.
    """
    types = [dtype for dtype in offer.dtypes if not dtypes or dtype in dtypes]
    if not types:
        raise PortError(f"the port offers {', '.join(offer.dtypes)}; none of {', '.join(dtypes)}")
    offered = SENTENCES if agents or operators or claims else CLAIMS
    chosen = [claim for name, claim in offered.items() if not claims or name in claims or claim.concept in claims]
    tasks = [
        Task(claim.name, name, dtype)
        for claim in chosen
        if not (is_reference and claim.name == "port_equals_reference")
        for name in claim.operators
        if name in offer.operators and (not operators or name in operators)
        for dtype in _dtypes_of(claim, [dtype for dtype in types if dtype in RECORDS[name].widths])
    ]
    order = {name: place for place, name in enumerate(RECORDS)}
    return sorted(tasks, key=lambda task: order[task.operator])


def _dtypes_of(claim: Claim, types: Sequence[str]) -> Sequence[str]:
    """Theorems shift and scale values on a grid of 16 bits, which bfloat16 does not hold: the widest type of the others."""
    return types if claim.every_dtype else [dtype for dtype in types if dtype != "bfloat16"][:1]


def _verdict(task: Task, verdict: str, detail: str, paste: str = "", file: str = "") -> Result:
    return Result(task.claim, task.operator, task.dtype, verdict, detail=detail, paste=paste, file=file)


def _result(message: dict[str, Any]) -> Result:
    known = {f.name for f in fields(Result)}
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in message.items() if key in known
    }
    return Result(**values)


def _empty_file(folder: Path, size: int) -> Path:
    handle, name = tempfile.mkstemp(dir=folder)
    with os.fdopen(handle, "wb") as file:
        file.write(bytes(size))
    return Path(name)


def _search_path() -> str:
    """Where the workers import from: this package's home, then the caller's own path."""
    home = str(Path(__file__).resolve().parent.parent)
    return os.pathsep.join([home, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))])
