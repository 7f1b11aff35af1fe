"""Markdown of plain text: docstrings and sentences, so that what they say is what is read."""

from __future__ import annotations

import re
from collections.abc import Sequence

_EMPHASIS = re.compile(r"(?<![\w*])\*\w[\w ]*\*(?![\w*])")
_CODE = re.compile(r"`[^`\n]+`")
_MARKS = re.compile(r"[\\`*]|(?<!\w)_|_(?!\w)|<(?=[A-Za-z/!?])|\[(?=[^\]]*\][(:])")


def plain(text: str) -> str:
    """Text in which only `code` and *emphasis* are Markdown; each paragraph on one line."""
    return "\n\n".join(_one_line(part) for part in re.split(r"\n\s*\n", text.strip()))


def in_line(text: str) -> str:
    """The same, all on one line."""
    return plain(text).replace("\n\n", " ")


def _one_line(text: str) -> str:
    """What stands between code and emphasis has its marks escaped."""
    line = " ".join(text.split())
    kept = sorted([*_CODE.finditer(line), *_EMPHASIS.finditer(line)], key=lambda match: match.start())
    done, at = "", 0
    for match in kept:
        if match.start() >= at:
            done, at = done + _escaped(line[at : match.start()]) + match[0], match.end()
    return done + _escaped(line[at:])


def _escaped(text: str) -> str:
    return _MARKS.sub(lambda mark: "\\" + mark[0], text)


def fenced(text: str, language: str = "text") -> str:
    """A block of code."""
    return f"```{language}\n{text.rstrip()}\n```"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; the cells are Markdown."""
    lines = [header, ["---"] * len(header), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def documented(text: str) -> str:
    """A docstring of the reference: the equation, what is said of it with its examples, and the table of what goes in and out."""
    *told, fields = re.split(r"\n\s*\n", text.strip())
    equation, *more = told
    parts = [fenced(equation), *(fenced(part, "pycon") if part.startswith(">>>") else plain(part) for part in more)]
    return "\n\n".join([*parts, table(("name", "shape", "what it is"), _fields(fields))])


def _fields(text: str) -> list[list[str]]:
    """`name  [shape]  words`, and the lines that go on; what has no shape has words alone."""
    entries: list[list[str]] = []
    for line in text.splitlines():
        if line.startswith(" "):
            entries[-1].append(line.strip())
        else:
            entries.append([line])
    return [_field(first, rest) for first, *rest in entries]


def _field(first: str, rest: Sequence[str]) -> list[str]:
    name, words = re.match(r"(\w+(?:, \w+)*)\s*(.*)", first).groups()  # type: ignore[union-attr]  # every entry begins with a name
    shape, gap, told = words.partition("  ")
    if name in ("raises", "source") or not gap:
        shape, told = "", words
    return [f"`{name}`", f"`{shape}`" if shape else "", in_line(" ".join([told.strip(), *rest]))]
