"""The two tables kept beside the code: mutants that are no mistakes, with the reason, and which claim killed which."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from properties._mutation._judge import Task
from properties._mutation._source import Mutant
from properties._report_files import atomically

FOLDER = Path(__file__).parent
EQUIVALENTS, KILLERS = FOLDER / "equivalents.tsv", FOLDER / "killers.tsv"


class Equivalent(NamedTuple):
    """A mutant that does what the sound code does wherever the contract looks, and why."""

    key: str
    file: str
    function: str
    change: str
    reason: str


def equivalents(path: Path = EQUIVALENTS) -> dict[str, Equivalent]:
    """By the key of the mutant, which changes with the function: a reason holds for the code that it was given for."""
    return {row[0]: Equivalent(*row) for row in _rows(path)}


def killers(path: Path = KILLERS) -> dict[str, Task]:
    """The claim that killed each mutant that outlived the recorded calls."""
    return {key: Task(*task) for key, *task in _rows(path)}


def justified(mutant: Mutant, reason: str) -> str:
    """The line of a mutant in the table of equivalents."""
    return "\t".join(Equivalent(mutant.key, mutant.file, mutant.function, mutant.change.replace("\t", " "), reason))


def write_killers(found: Mapping[str, Task], existing: Iterable[str], path: Path = KILLERS) -> None:
    """The table with what was found added, without mutants that exist no longer, sorted, whole or not at all."""
    known = set(existing)
    kept = {key: task for key, task in (killers(path) | dict(found)).items() if key in known}
    atomically(path, "".join("\t".join((key, *task)) + "\n" for key, task in sorted(kept.items())))


def _rows(path: Path) -> list[list[str]]:
    if not path.exists():
        return []
    return [line.split("\t") for line in path.read_text().splitlines() if line and not line.startswith("#")]
