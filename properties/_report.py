"""The report: progress while it runs, a table at the end, each failure as its reader needs it, and JSON and JUnit files."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence
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
from properties._ports import KNOWN_DTYPES
from properties._report_files import write_json, write_junit
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
            line = f"{result.verdict:10} {result.operator:24} {result.claim} [{result.dtype}]"
            self._console.print(Text(line, style=STYLE[result.verdict]))
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
    def failed(self) -> bool:
        """Whether any claim fails."""
        return any(result.verdict == FAILS for result in self.results)

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
        if self.results:
            self._console.print(self._table())
        self._ledger()
        for name in dict.fromkeys(r.operator for r in self.results if r.verdict == FAILS):
            self._failures_of(name)
        self._diagnoses()
        self._remarks()
        self.say(self.last_line())
        if self.arguments.json:
            write_json(self.arguments.json, self)
        if self.arguments.junit:
            write_junit(self.arguments.junit, self.results, self.arguments.port)

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
                cells = [_cell([r for r in mine if SENTENCES[r.claim].kind == kind]) for kind in ("agreement", "theorem")]
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
        failures = [r for r in self.results if r.operator == operator and r.verdict == FAILS]
        failures.sort(key=lambda r: (SENTENCES[r.claim].kind == "agreement", r.dtype != "float64", len(r.paste)))
        for failure in failures[:FULL_FAILURES]:
            self.say("")
            self._console.print(Text(f"{operator} fails: {failure.claim} [{failure.dtype}]", style="bold red"))
            for line in _told(failure, self.arguments):
                self.say(line)
        if others := [f"{r.claim} [{r.dtype}]" for r in failures[FULL_FAILURES:]]:
            self.say(f"  also fails: {', '.join(others)}")

    def _diagnoses(self) -> None:
        """What the failures look like; each mistake once, however many operators make it."""
        if found := diagnoses(self.results):
            self.say("")
            self._console.print(Text("diagnosis", style="bold"))
            for line in [line for each in found for line in each.lines()]:
                self.say(f"  {line}")
            self.say("")

    def _remarks(self) -> None:
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
        verdicts = Counter(result.verdict for result in self.results)
        counts = ", ".join(
            f"{verdicts[v]} {w}" for v, w in ((HOLDS, "hold"), (FAILS, "fail"), (UNDECIDED, "undecided")) if verdicts[v]
        )
        examples = sum(result.examples for result in self.results)
        seconds = time.monotonic() - self.began
        wrong = dict.fromkeys(r.operator for r in self.results if r.verdict == FAILS)
        verdict = f"FAILS: {', '.join(wrong)}" if wrong else f"INCOMPLETE: {self.incomplete}" if self.incomplete else "HOLDS"
        return f"{verdict} — {counts or 'no verdicts'}; {examples} examples in {seconds:.1f} s"

    def as_json(self) -> dict[str, Any]:
        """Everything a program may want to know."""
        return {
            "port": self.arguments.port,
            "profile": self.arguments.profile,
            "seed": self.arguments.seed,
            "device": self.arguments.device,
            "verdict": FAILS if self.failed else "incomplete" if self.incomplete else HOLDS,
            "incomplete": self.incomplete,
            "planned": len(self.tasks),
            "seconds": round(time.monotonic() - self.began, 3),
            "absent": list(self.absent),
            "dtypes": list(self.offer.dtypes) if self.offer else [],
            "versions": self.offer.versions if self.offer else {},
            "diagnosis": [each.as_json() for each in diagnoses(self.results)],
            "ledger": ledger.account(self.records),
        }


def _cell(results: list[Result]) -> Text:
    verdicts = Counter(result.verdict for result in results)
    tried = sum(verdicts.values()) - verdicts[ABSENT]
    for verdict in (FAILS, UNDECIDED):
        if verdicts[verdict]:
            return Text(f"{verdict} {verdicts[verdict]}/{tried}", style=STYLE[verdict])
    return Text(f"{HOLDS} {verdicts[HOLDS]}/{tried}", style=STYLE[HOLDS]) if tried else Text("-", style="dim")


def _worst(results: list[Result]) -> str:
    """The worst error/bound of the comparison with the reference, by dtype."""
    compared = [r for r in results if r.claim == "port_equals_reference" and r.verdict == HOLDS]
    compared.sort(key=lambda r: KNOWN_DTYPES.index(r.dtype))
    return "  ".join(f"{SHORT[r.dtype]} {r.worst:.2f}" for r in compared)


def _told(failure: Result, arguments: Arguments) -> list[str]:
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
    device = "" if arguments.device == "cpu" else f" --device {arguments.device}"
    replay = f"python verify.py --port {arguments.port} --claims {claim.name} --ops {failure.operator} --dtype {failure.dtype}"
    return [*lines, f"  replay  {replay} --profile {arguments.profile} --seed {arguments.seed}{device}"]
