"""`--write-vectors`: the best vectors for each operator, and what the manifest says of the catalogue's bugs.

`python -m properties._vectors_write` makes the starter set anew and adds its ids to those on record.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

import reference
from properties._answers import FunctionAsked, Silent, answer
from properties._bugs import probes
from properties._bugs._record import Bug
from properties._claim import OPERATORS, RECORDS, WIDTHS, Call
from properties._diagnosis import suspects
from properties._vectors import FORMAT, ROUNDED, VERSION, BadSet, Vector
from properties._vectors_candidates import candidates, flags_of
from properties._vectors_choice import chosen, pairs
from properties._vectors_files import STARTER, writable, write_set
from properties._vectors_right import Disagreement, worked_out

DONE, REFUSED, BROKEN = 0, 2, 3
PACKAGES = ("touchstone", "numpy", "scipy", "hypothesis", "mpmath", "safetensors")


def write_vectors(folder: Path, ops: tuple[str, ...], *, starter: bool = False, say: Callable[[str], None] = print) -> int:
    """Write a set of these operators (all that have one right answer); the exit status, what was written being said."""
    drawn = [name for name in ops if not (name in OPERATORS and RECORDS[name].compared)]
    if drawn:
        say(f"--write-vectors: a vector needs one right answer, and {', '.join(drawn)} has a distribution or a history")
        return REFUSED
    names = [name for name, record in OPERATORS.items() if record.compared and (not ops or name in ops)]
    try:
        writable(folder)
        vectors = made(names, starter=starter)
        size = write_set(folder, vectors, manifest_of(vectors, names), publish=starter)
    except BadSet as error:
        say(f"--write-vectors: {error}")
        return REFUSED
    except Disagreement as error:
        say(f"the suite itself is broken, no vectors were written: {error}")
        return BROKEN
    say(_summary(folder, vectors, names, size))
    return DONE


def made(names: Sequence[str], *, starter: bool) -> list[Vector]:
    """The vectors of these operators, with what is known exactly in place of the reference's answers."""
    vectors = []
    for name in _shown(names):
        for rough in chosen(candidates(name), starter=starter):
            vector = worked_out(name, rough.call, exactly=True, is_probe=rough.is_probe)
            assert vector is not None
            vectors.append(replace(vector, flags=flags_of(vector)))
    return vectors


def _shown(names: Sequence[str]) -> Iterable[str]:
    """With a bar where somebody looks."""
    console = Console(stderr=True)
    return track(names, "vectors", console=console, transient=True) if console.is_terminal else names


# ---------------------------------------------------------------------------------------------------------------- manifest
def manifest_of(vectors: Sequence[Vector], names: Sequence[str]) -> dict[str, Any]:
    """Everything but the files and the vectors themselves."""
    told = {bug for vector in vectors for bug in vector.tells_apart or {}}
    mine = [bug for name in names for bug in suspects(name)]
    calls = [bug for bug in mine if not bug.derivative]
    return {
        "format": FORMAT,
        "version": VERSION,
        "made_with": {"python": platform.python_version()} | {name: metadata.version(name) for name in PACKAGES},
        "operators": {name: [v.id for v in vectors if v.operator == name] for name in names},
        "told": {"of": len(calls)} | _counts(vectors),
        "bugs": {b.id: {"story": b.story, "links": list(b.links)} for b in calls if b.id in told},
        "untold": {bug.id: why_untold(bug) for bug in mine if bug.derivative or bug.id not in told},
    }


def _counts(vectors: Sequence[Vector]) -> dict[str, int]:
    """How many bugs are told apart in each type."""
    told = {pair for vector in vectors for pair in pairs(vector)}
    return {dtype: sum(pair[1] == dtype for pair in told) for dtype in WIDTHS}


def why_untold(bug: Bug) -> str:
    """The reason why no vector shows a bug."""
    if bug.derivative:
        return "it is in the derivative, and vectors ask for values"
    for question in [question for question in probes().get(bug.operator, ()) if isinstance(question, Call)]:
        try:
            right = answer(FunctionAsked(getattr(reference, bug.operator), None, "float64"), question)
            wrong = answer(FunctionAsked(bug.behaves, None, "float64"), question)
        except Silent:
            continue
        if right is None and wrong is not None:
            return "it shows on input that the contract refuses"
    return "it shows where an argument is left to its default, and vectors name every argument"


def _summary(folder: Path, vectors: Sequence[Vector], names: Sequence[str], size: int) -> str:
    manifest = manifest_of(vectors, names)
    exact = sum(vector.origin == ROUNDED for vector in vectors)
    return (
        f"{folder}: {len(vectors)} vectors of {len(names)} operators, {size / 1024:.0f} kB; {exact} correctly rounded; "
        f"{len(manifest['bugs'])} of {manifest['told']['of']} bugs told apart"
    )


if __name__ == "__main__":
    sys.exit(write_vectors(STARTER, (), starter=True))
