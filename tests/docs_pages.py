"""A page of docs/ as what its reader does: files that are written, commands that are run, output that must come."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,})(?P<language>[\w{}-]*)\s*$")
MARKER = re.compile(r"^ *<!-- (?P<verb>file|append|insert|replace): (?P<path>\S+)(?: (?:after|line): (?P<text>.*?))? -->$")
SHELLS = ("sh", "console")
GAP = "…"


@dataclass(frozen=True)
class Command:
    """One command, and the output that the page shows: None where it shows none."""

    text: str
    shown: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Step:
    """A block: commands, or a change of a file (`verb`, `path`, `text` its place, `body`)."""

    section: str
    line: int
    commands: tuple[Command, ...] = ()
    verb: str = ""
    path: str = ""
    text: str = ""
    body: str = ""


@dataclass
class _Block:
    language: str
    indent: int
    ticks: str
    line: int
    lines: list[str] = field(default_factory=list)

    @property
    def body(self) -> str:
        return textwrap.dedent("\n".join(self.lines)) + "\n"


def steps(page: str) -> list[Step]:
    """What the page's reader does, in order."""
    return list(_steps(page.splitlines()))


def _steps(lines: list[str]) -> Iterator[Step]:
    section, marker, block = "", None, None
    for number, line in enumerate(lines, 1):
        fence = FENCE.match(line)
        if block is not None:
            if fence and fence["ticks"] == block.ticks and not fence["language"]:
                yield from _done(block, marker, section)
                block, marker = None, None
            else:
                block.lines.append(line)
        elif fence:
            block = _Block(fence["language"], len(fence["indent"]), fence["ticks"], number)
        elif line.startswith(("## ", "### ")):
            section = line.lstrip("# ")
        elif found := MARKER.match(line):
            marker = found
        elif line.strip() and marker is not None:
            raise ValueError(f"line {number}: a marker must stand before a block; got {line!r}")
    if block is not None or marker is not None:
        raise ValueError("the page ends inside a block, or after a marker")


def _done(block: _Block, marker: re.Match[str] | None, section: str) -> Iterator[Step]:
    if marker is not None:
        yield Step(section, block.line, (), marker["verb"], marker["path"], marker["text"] or "", block.body)
    elif block.language in SHELLS:
        read = session if block.language == "console" else script
        yield Step(section, block.line, tuple(read(block.body)))


def script(body: str) -> Iterator[Command]:
    """A block of commands alone, one a line; a backslash at its end goes on."""
    for line in re.sub(r"\\\n\s*", "", body).splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            yield Command(line)


def session(body: str) -> Iterator[Command]:
    """Commands after `$ `, each with the lines below it."""
    first, *rest = re.split(r"^\$ ", re.sub(r"\\\n\s*", "", body), flags=re.MULTILINE)
    if first.strip():
        raise ValueError(f"a console begins with a command after `$ `; got {first.splitlines()[0]!r}")
    for part in rest:
        command, *shown = part.rstrip("\n").split("\n")
        yield Command(command, tuple(shown) or None)


def carry_out(step: Step, folder: Path) -> None:
    """Write, append, insert after the first line that has the text, or replace that line."""
    path = folder / step.path
    path.parent.mkdir(parents=True, exist_ok=True)
    if step.verb == "file":
        path.write_text(step.body, encoding="utf-8")
        return
    was = path.read_text(encoding="utf-8")
    if step.verb == "append":
        path.write_text(f"{was}\n\n{step.body}", encoding="utf-8")
        return
    lines = was.splitlines(keepends=True)
    places = [place for place, line in enumerate(lines) if step.text.strip("`") in line]
    if not places:
        raise ValueError(f"{step.path} has no line with {step.text!r}")
    lines[places[0] : places[0] + 1] = ([] if step.verb == "replace" else [lines[places[0]]]) + [step.body]
    path.write_text("".join(lines), encoding="utf-8")


# ------------------------------------------------------------------------------------------------------------- comparing
VARYING = (
    (re.compile(r"\b\d+ examples\b"), "N examples"),
    (re.compile(r"\b\d+(\.\d+)? ?s\b"), "S s"),
    (re.compile(r"\b\d+ process(es)?\b"), "N processes"),
)


def differs(shown: tuple[str, ...], real: str) -> str:
    """Where the real output is not what the page shows, or nothing. A line `…` stands for any lines, one inside for any text."""
    due, found = [_normal(line) for line in shown], [_normal(line) for line in real.splitlines()]
    while found and not found[-1]:
        found.pop()
    while due and not due[-1]:
        due.pop()
    place, open_end = 0, False
    for line in due:
        if line == GAP:
            open_end = True
            continue
        pattern = re.compile(".*".join(re.escape(part) for part in line.split(GAP)) + r"\Z")
        reach = range(place, len(found)) if open_end else range(place, min(place + 1, len(found)))
        at = next((i for i in reach if pattern.match(found[i])), None)
        if at is None:
            return f"shown, and not there: {line!r}; instead: {found[place] if place < len(found) else 'the end'!r}"
        place, open_end = at + 1, False
    return "" if open_end or place == len(found) else f"there, and not shown: {found[place]!r}"


def _normal(line: str) -> str:
    for pattern, words in VARYING:
        line = pattern.sub(words, line)
    return line.rstrip()
