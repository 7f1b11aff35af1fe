"""`--check-vectors`: the answers of a port, or those of a folder, held against a set of vectors."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress

from properties._arguments import Arguments
from properties._bounds import rounded
from properties._bugs import catalogue
from properties._claim import WIDTHS
from properties._conventions import CONVENTIONS
from properties._paste import as_python
from properties._report_files import atomically
from properties._run import ABSENT, FAILS, HOLDS, UNDECIDED
from properties._sides import shown, worst_place
from properties._vectors import BadSet, GoldenSet, read_set
from properties._vectors_answer import Errand, have_answered
from properties._vectors_answers import Answers, BadAnswers, read_answers
from properties._vectors_judge import Judged, judged, looks_like, strangers

EXIT = {HOLDS: 0, FAILS: 1, UNDECIDED: 2}
INCOMPLETE, DAMAGED = 2, 3
FULL_FAILURES = 2
"""So many failures of one operator are told whole, the others by name."""
MOST_LINKS = 3
ELSEWHERE = ("claims", "junit", "html", "failures", "budget")
"""Options that mean nothing here."""


def check_vectors(arguments: Arguments, say: Callable[[str], None]) -> int:
    """The exit status: 0 all hold, 1 one fails, 2 nothing or not everything was checked, 3 the set is damaged."""
    assert arguments.check_vectors is not None
    if odd := [f"--{option}" for option in ELSEWHERE if getattr(arguments, option)]:
        say(f"--check-vectors: {', '.join(odd)} cannot be used with it")
        return INCOMPLETE
    try:
        golden = read_set(arguments.check_vectors)
    except BadSet as error:
        say(f"the vectors are damaged, no verdict can be believed: {error}")
        return DAMAGED
    operators = arguments.ops or golden.operators
    if unknown := [name for name in operators if name not in golden.operators]:
        say(f"--ops: {arguments.check_vectors} has no vectors of {', '.join(unknown)}")
        return INCOMPLETE
    try:
        answers = read_answers(arguments.answers) if arguments.answers else _of_port(arguments, operators)
    except BadAnswers as error:
        say(f"--answers: {error}")
        return INCOMPLETE
    check = Check(golden, answers, operators, arguments.dtypes or WIDTHS, arguments.require)
    for line in check.lines():
        say(line)
    if arguments.json:
        atomically(arguments.json, json.dumps(check.as_json(), indent=1) + "\n")
    return EXIT[check.verdict]


def _of_port(arguments: Arguments, operators: Sequence[str]) -> Answers:
    """What the port answers, in a process of its own; PortError where it cannot be loaded."""
    setting = arguments.setting
    with tempfile.TemporaryDirectory(prefix="touchstone-") as folder, Progress(disable=not Console().is_terminal) as bar:
        task = bar.add_task("asking", total=len(operators))
        errand = Errand(
            setting.port, setting.device, setting.patience, dict(setting.conventions), str(arguments.check_vectors), folder,
            tuple(operators), arguments.dtypes,
        )  # fmt: skip
        have_answered(errand, lambda done: bar.update(task, completed=done))
        return read_answers(Path(folder))


class Check:
    """The verdicts on one set of answers."""

    def __init__(
        self, golden: GoldenSet, answers: Answers, operators: Sequence[str], dtypes: Sequence[str], require: Sequence[str] = ()
    ) -> None:
        self.golden, self.answers, self.operators = golden, answers, tuple(operators)
        self.verdicts = list(judged(golden, answers, operators, dtypes))
        self.strangers = strangers(golden, answers)
        self.absent = [name for name in operators if not any(answers.offers(name, dtype) for dtype in dtypes)]
        self.required = [name for name in require if name in self.absent or name not in operators]

    @property
    def counts(self) -> Counter[str]:
        """How many have which verdict."""
        return Counter(each.verdict for each in self.verdicts)

    @property
    def verdict(self) -> str:
        """The worst; undecided where nothing was checked, or not what is required."""
        if self.counts[FAILS] or self.strangers:
            return FAILS
        return UNDECIDED if self.counts[UNDECIDED] or self.required or not self.counts[HOLDS] else HOLDS

    def of(self, operator: str) -> list[Judged]:
        """The verdicts on one operator."""
        return [each for each in self.verdicts if each.vector.operator == operator]

    # ------------------------------------------------------------------------------------------------------------ for people
    def lines(self) -> Iterator[str]:
        """A line an operator, the failures, what is absent, and the verdict."""
        yield f"{self.answers.name}: {len(self.verdicts)} answers to {len(self.golden.vectors)} vectors"
        for operator in [operator for operator in self.operators if operator not in self.absent]:
            yield self._line(operator)
        for operator in self.operators:
            yield from self._failures(operator)
        yield from (f"{FAILS:10} {line}" for line in self.strangers)
        declined = Counter(f"{each.vector.operator} ({each.detail})" for each in self.verdicts if each.verdict == ABSENT)
        yield from (f"not applied: {count} of {what}" for what, count in declined.items())
        undecided = [f"{each.key} ({each.detail})" for each in self.verdicts if each.verdict == UNDECIDED]
        yield from (f"undecided: {what}" for what in undecided)
        if self.absent:
            yield f"absent operators: {', '.join(self.absent)}"
        yield self._last_line()

    def _line(self, operator: str) -> str:
        mine = self.of(operator)
        worst = FAILS if any(each.verdict == FAILS for each in mine) else HOLDS
        cells = []
        for dtype in dict.fromkeys(each.dtype for each in mine):
            counted = [each for each in mine if each.dtype == dtype and each.verdict in (HOLDS, FAILS)]
            held = [each for each in counted if each.verdict == HOLDS]
            ratio = f" ({max(each.ratio for each in held):.2f})" if held else ""
            cells.append(f"{dtype} {len(held)}/{len(counted)}{ratio}")
        return f"{worst:10} {operator:30} " + "  ".join(cells)

    def _failures(self, operator: str) -> Iterator[str]:
        failures = [each for each in self.of(operator) if each.verdict == FAILS]
        if not failures:
            return
        for each in failures[:FULL_FAILURES]:
            yield f"{operator} fails: {each.vector.id} [{each.dtype}]"
            yield from _told(each)
        for each in failures[FULL_FAILURES:]:
            yield f"  also fails: {each.key}: {each.detail}"
        for bug in looks_like(operator, self.of(operator), self.answers):
            yield f"  behaves like {_story(bug)}"

    def _last_line(self) -> str:
        counts = ", ".join(f"{self.counts[v]} {w}" for v, w in ((HOLDS, "hold"), (FAILS, "fail"), (UNDECIDED, "undecided")))
        wrong = dict.fromkeys(each.vector.operator for each in self.verdicts if each.verdict == FAILS)
        if self.verdict == FAILS:
            return f"FAILS: {', '.join(wrong) or 'answers to other vectors'} — {counts}"
        if self.required:
            return f"INCOMPLETE: required and absent: {', '.join(self.required)} — {counts}"
        return f"{'HOLDS' if self.verdict == HOLDS else 'INCOMPLETE: not everything was checked'} — {counts}"

    # ---------------------------------------------------------------------------------------------------------- for programs
    def as_json(self) -> dict[str, Any]:
        """Every verdict."""
        failed = dict.fromkeys(each.vector.operator for each in self.verdicts if each.verdict == FAILS)
        return {
            "answers": self.answers.name,
            "verdict": {UNDECIDED: "incomplete"}.get(self.verdict, self.verdict),
            "absent": self.absent,
            "strangers": self.strangers,
            "behaves_like": {name: list(looks_like(name, self.of(name), self.answers)) for name in failed},
            "results": [
                {"id": each.vector.id, "operator": each.vector.operator, "dtype": each.dtype, "verdict": each.verdict,
                 "detail": each.detail, "ratio": each.ratio if np.isfinite(each.ratio) else None}
                for each in self.verdicts
            ],
        }  # fmt: skip


def _told(each: Judged) -> Iterator[str]:
    """Found, due, bound, place, and the call to paste."""
    vector = each.vector
    yield f"  what    {each.detail}"
    if each.place is not None and each.found is not None:
        due, bound = vector.due[each.place], vector.bounds[each.dtype][each.place]
        yield from (f"  {label:7} {shown(value)}" for label, value in (("found", each.found), ("due", due), ("bound", bound)))
        if place := worst_place(each.found, due, bound):
            yield f"  where   the worst element is {place}"
    yield "  inputs  to paste after `import numpy as np`, with the port imported as `port`:"
    call = type(vector.call)(*rounded(tuple(vector.call), each.dtype))
    yield from (f"          {line}" for line in as_python(vector.operator, call).splitlines())


def _story(name: str) -> str:
    """A bug with its story and where it was seen; or the convention that could be declared."""
    for convention in CONVENTIONS:
        if convention.id == name:
            return f"a convention, not a bug: {convention.story}; declare {name}"
    bug = catalogue()[name]
    seen = ", ".join(bug.links[:MOST_LINKS])
    return f"{name}: {bug.story} ({f'seen in {seen}' if seen else 'not on public record'})"
