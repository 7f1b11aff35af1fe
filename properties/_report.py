"""The report: progress while it runs, a table at the end, each failure as its reader needs it, and JSON and JUnit files."""

from __future__ import annotations

import datetime
import sys
import time
from collections import Counter
from collections.abc import Collection, Sequence
from importlib import metadata
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from properties import _ledger as ledger
from properties._arguments import Arguments
from properties._claim import AGENTS, OPERATORS, RECORDS, SENTENCES
from properties._likeness import diagnoses
from properties._mdps import missing_tables
from properties._port_settings import Judgement, Key, counted, judged
from properties._ports import KNOWN_DTYPES
from properties._report_files import document, replay_command, write_html, write_json, write_junit
from properties._run import ABSENT, FAILS, HOLDS, UNDECIDED, Result
from properties._runner import Offer, Task

FULL_FAILURES = 2
"""So many failures of one operator are printed whole, the others by name."""
SHORT = {"float64": "f64", "float32": "f32", "bfloat16": "bf16"}
STYLE = {HOLDS: "green", FAILS: "bold red", UNDECIDED: "yellow", ABSENT: "dim"}


class Reporter:
    """Collects verdicts, shows them as they come, and knows what is missing at the end."""

    def __init__(self, arguments: Arguments, console: Console | None = None) -> None:
        self.arguments = arguments
        self.results: list[Result] = []
        self.tasks: Sequence[Task] = ()
        self.offer: Offer | None = None
        self.began = time.monotonic()
        self._stopped = False
        self._ended: float | None = None
        width = None if sys.stdout.isatty() else 110
        self._console = console or Console(width=width, highlight=False, soft_wrap=True)
        self._progress: Progress | None = None
        self._left: Counter[str] = Counter()

    # ------------------------------------------------------------------------------------------------- while it runs
    def say(self, text: str) -> None:
        """One line, as it is."""
        self._console.print(Text(text))

    def begin(self, offer: Offer, tasks: Sequence[Task]) -> None:
        """What is about to be tried."""
        self.offer, self.tasks = offer, tasks
        self._left = Counter(task.operator for task in tasks)
        a, claims = self.arguments, {task.claim for task in tasks}
        types = ", ".join(dtype for dtype in offer.dtypes if not a.dtypes or dtype in a.dtypes)
        self.say(f"port {a.port} · {types} on {a.device} · profile {a.profile} · seed {a.seed}")
        if said := [
            f"{key.removeprefix('port')} {value}".strip() for key, value in offer.versions.items() if key.startswith("port")
        ]:
            self.say(f"the program says: {', '.join(said)}")
        self.say(f"{len(tasks)} trials: {len(claims)} claims on {len(self._left)} operators, {a.jobs} processes")
        if missing_tables():
            self.say(f"not tried, for want of Gymnasium: {', '.join(missing_tables())}")
        if self._console.is_terminal:
            self._progress = Progress(
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                console=self._console, transient=True,
            )  # fmt: skip
            self._progress.start()
            self._progress.add_task("trying", total=len(tasks))

    def add(self, result: Result) -> None:
        """One verdict: moves the bar on a terminal, a line per finished operator elsewhere; failures at once on both."""
        self.results.append(result)
        self._left[result.operator] -= 1
        if self._progress is not None:
            self._progress.update(self._progress.task_ids[0], advance=1, description=f"{result.operator:24}")
        if result.verdict in (FAILS, UNDECIDED):
            settings = self.arguments.settings
            expected = result.verdict == FAILS and settings is not None and settings.excuse(key(result), datetime.date.today())
            line = f"{'expected' if expected else result.verdict:10} {result.operator:24} {result.claim} [{result.dtype}]"
            self._console.print(Text(line, style="dim" if expected else STYLE[result.verdict]))
        elif self._progress is None and self._left[result.operator] == 0:
            verdicts = Counter(r.verdict for r in self.results if r.operator == result.operator)
            self.say(f"{'done':10} {result.operator:24} " + ", ".join(f"{n} {v}" for v, n in sorted(verdicts.items())))

    def interrupted(self) -> None:
        """Ctrl-C: what is known so far is still reported."""
        self._stopped = True
        self._stop_progress()
        self.say("interrupted: this is what is known so far")

    def _stop_progress(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    # -------------------------------------------------------------------------------------------------------- at the end
    @property
    def judgement(self) -> Judgement:
        """What became of the failures that the port's settings expect."""
        return judged(self.results, self.arguments.settings, self.tasks, datetime.date.today())

    @property
    def failures(self) -> list[Result]:
        """What fails and was not expected to."""
        expected = self.judgement.expected
        return [result for result in self.results if result.verdict == FAILS and key(result) not in expected]

    @property
    def failed(self) -> bool:
        """Whether any claim fails, or a failure is expected that is none."""
        return bool(self.failures) or self.judgement.broken

    @property
    def absent(self) -> tuple[str, ...]:
        """Operators of the contract (or of --ops) that the port does not offer; agents where they are asked for and it has any."""
        offered = self.offer.operators if self.offer else ()
        wanted = RECORDS if self.arguments.with_agents and set(AGENTS) & set(offered) else OPERATORS
        return tuple(name for name in self.arguments.ops or wanted if name not in offered)

    @property
    def incomplete(self) -> str:
        """Why the run cannot say that everything planned holds; empty if it can."""
        verdicts = Counter(result.verdict for result in self.results)
        required = [name for name in self.arguments.require if name in self.absent]
        if self._stopped:
            return "the run was interrupted"
        if required:
            return f"required and absent: {', '.join(required)}"
        if verdicts[HOLDS] + verdicts[FAILS] == 0:
            return "nothing was checked"
        if verdicts[UNDECIDED] or len(self.results) < len(self.tasks):
            return f"{len(self.tasks) - len(self.results) + verdicts[UNDECIDED]} trials are undecided"
        return ""

    @property
    def status(self) -> int:
        """The exit status: 1 if something fails, else 2 if something planned or required was not checked, else 0."""
        return 1 if self.failed else 2 if self.incomplete else 0

    def write(self) -> None:
        """The table, the failures, the last line, and the files."""
        self._stop_progress()
        self._ended = time.monotonic()
        if self.results:
            self._console.print(self._table())
        self._ledger()
        for name in dict.fromkeys(r.operator for r in self.failures):
            self._failures_of(name)
        self._diagnoses()
        self._remarks()
        self.say(self.last_line())
        self._write_files()

    def _write_files(self) -> None:
        """The same report for programs, for continuous integration, and as a page; and the failures, to be tried again."""
        a = self.arguments
        if a.json or a.junit or a.html:
            report = document(self)
            for path, write in ((a.json, write_json), (a.junit, write_junit), (a.html, write_html)):
                if path:
                    write(path, report)
        if a.failures:
            from properties._failure_files import write_failures

            write_failures(a.failures, self.results)

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for title, justify in (
            ("operator", "left"),
            ("agreement", "left"),
            ("theorems", "left"),
            ("error/bound", "left"),
        ):
            table.add_column(title, justify=justify)  # type: ignore[arg-type]
        for name in RECORDS:
            mine = [r for r in self.results if r.operator == name]
            if mine:
                kinds = [[r for r in mine if SENTENCES[r.claim].kind == kind] for kind in ("agreement", "theorem")]
                cells = [_cell(each, self.judgement.expected) for each in kinds]
                table.add_row(name, *cells, _worst(mine))
        return table

    @property
    def records(self) -> list[dict[str, Any]]:
        """What every case of every statistical claim came to."""
        return [record for result in self.results for record in result.ledger]

    def _ledger(self) -> None:
        """The account of the statistical claims."""
        if self.records:
            self.say("")
            for line in ledger.lines(self.records):
                self.say(line)

    def _failures_of(self, operator: str) -> None:
        """Theorems first: they say more than a disagreement does."""
        failures = [r for r in self.failures if r.operator == operator]
        failures.sort(key=lambda r: (SENTENCES[r.claim].kind == "agreement", r.dtype != "float64", len(r.paste)))
        for failure in failures[:FULL_FAILURES]:
            self.say("")
            self._console.print(Text(f"{operator} fails: {failure.claim} [{failure.dtype}]", style="bold red"))
            for line in told(failure, self.arguments):
                self.say(line)
        if others := [f"{r.claim} [{r.dtype}]" for r in failures[FULL_FAILURES:]]:
            self.say(f"  also fails: {', '.join(others)}")

    def _diagnoses(self) -> None:
        """What the failures look like; each mistake once, however many operators make it."""
        if found := diagnoses(self.failures):
            self.say("")
            self._console.print(Text("diagnosis", style="bold"))
            for line in [line for each in found for line in each.lines()]:
                self.say(f"  {line}")
            self.say("")

    def _remarks(self) -> None:
        judgement, settings, today = self.judgement, self.arguments.settings, datetime.date.today()
        for result in [r for r in self.results if key(r) in judgement.expected]:
            if settings and (known := settings.excuse(key(result), today)):
                self.say(
                    f"expected: {result.operator}, {result.claim} [{result.dtype}] fails until {known.expires}: {known.reason}"
                )
        for line in judgement.lines:
            self._console.print(Text(line, style="bold red"))
        for result in [r for r in self.results if r.verdict == UNDECIDED][:5]:
            self.say(f"undecided: {result.operator}, {result.claim} [{result.dtype}]: {result.detail}")
        if declined := sorted({f"{r.claim} ({r.detail})" for r in self.results if r.verdict == ABSENT}):
            self.say(f"not offered: {'; '.join(declined)}")
        if self.offer is not None and self.absent:
            self.say(f"absent operators: {', '.join(self.absent)}")
        if self.offer is not None and self.arguments.with_agents and not set(AGENTS) & set(self.offer.operators):
            self.say("agents: the port offers none")

    def last_line(self) -> str:
        """The verdict in one line."""
        verdicts, judgement = Counter(result.verdict for result in self.results), self.judgement
        verdicts[FAILS] = len(self.failures)
        words = ((HOLDS, "hold"), (FAILS, "fail"), (UNDECIDED, "undecided"))
        known = [counted(len(judgement.expected))] if judgement.expected else []
        counts = ", ".join([f"{verdicts[v]} {w}" for v, w in words if verdicts[v]] + known)
        examples = sum(result.examples for result in self.results)
        wrong = list(dict.fromkeys(r.operator for r in self.failures))
        if judgement.broken and self.arguments.settings:
            wrong.append(str(self.arguments.settings.path))
        verdict = f"FAILS: {', '.join(wrong)}" if wrong else f"INCOMPLETE: {self.incomplete}" if self.incomplete else "HOLDS"
        return f"{verdict} — {counts or 'no verdicts'}; {examples} examples in {self.seconds:.1f} s"

    @property
    def seconds(self) -> float:
        """How long the run took, or has taken so far."""
        return (self._ended or time.monotonic()) - self.began

    def expected(self, result: Result) -> str:
        """Why this failure is expected, and until when; empty if it is not."""
        settings = self.arguments.settings
        known = settings.excuse(key(result), datetime.date.today()) if settings else None
        return f"{known.reason} (until {known.expires})" if known else ""

    def as_json(self) -> dict[str, Any]:
        """Everything a program may want to know."""
        return {
            "summary": self.last_line(),
            "port": self.arguments.port,
            "profile": self.arguments.profile,
            "seed": self.arguments.seed,
            "device": self.arguments.device,
            "verdict": FAILS if self.failed else "incomplete" if self.incomplete else HOLDS,
            "incomplete": self.incomplete,
            "planned": len(self.tasks),
            "seconds": round(self.seconds, 3),
            "absent": list(self.absent),
            "dtypes": list(self.offer.dtypes) if self.offer else [],
            "conventions": dict(self.offer.conventions) if self.offer else {},
            "versions": _suite() | self.offer.versions if self.offer else _suite(),
            "diagnosis": [each.as_json() for each in diagnoses(self.results)],
            "ledger": ledger.account(self.records),
            "expected_failures": [list(each) for each in sorted(self.judgement.expected)],
            "settings": list(self.judgement.lines),
        }


def key(result: Result) -> Key:
    """Which trial it is the verdict of."""
    return result.claim, result.operator, result.dtype


def _suite() -> dict[str, str]:
    """The version of this suite, where it is installed."""
    try:
        return {"touchstone": metadata.version("touchstone")}
    except metadata.PackageNotFoundError:
        return {}


def _cell(results: list[Result], expected: Collection[Key] = ()) -> Text:
    verdicts = Counter("expected" if key(result) in expected else result.verdict for result in results)
    tried = sum(verdicts.values()) - verdicts[ABSENT]
    for verdict in (FAILS, UNDECIDED):
        if verdicts[verdict]:
            return Text(f"{verdict} {verdicts[verdict]}/{tried}", style=STYLE[verdict])
    known = f", {verdicts['expected']} expected" if verdicts["expected"] else ""
    return Text(f"{HOLDS} {verdicts[HOLDS]}/{tried}{known}", style=STYLE[HOLDS]) if tried else Text("-", style="dim")


def _worst(results: list[Result]) -> str:
    """The worst error/bound of the comparison with the reference, by dtype."""
    compared = [r for r in results if r.claim == "port_equals_reference" and r.verdict == HOLDS]
    compared.sort(key=lambda r: KNOWN_DTYPES.index(r.dtype))
    return "  ".join(f"{SHORT[r.dtype]} {r.worst:.2f}" for r in compared)


def told(failure: Result, arguments: Arguments) -> list[str]:
    """A failure as its reader needs it: sentence, source, found, due, bound, inputs, known bug, replay."""
    claim = SENTENCES[failure.claim]
    lines = [f"  claim   {' '.join(claim.sentence.split())}", f"  source  {claim.source}"]
    lines += [
        f"  {label:7} {text}" for label, text in (("what", failure.detail), ("found", failure.found), ("due", failure.due)) if text
    ]
    lines += [f"  bound   {failure.bound}"] if failure.bound else []
    lines += [f"  where   the worst element is {failure.where}"] if failure.where else []
    if failure.paste:
        lines += ["  inputs  the smallest found, to paste after `import numpy as np`, with the port imported as `port`:"]
        lines += ["          " + line for line in failure.paste.splitlines()]
    return [*lines, f"  replay  {replay_command(failure, arguments)}"]
