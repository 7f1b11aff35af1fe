"""Claims by bugs: which claim refutes which bug of the catalogue, kept in kill_matrix.tsv beside this file, with its lists.

`python -m properties._self_test --matrix` tries every claim on every bug of its operators and writes the file anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from properties._claim import CLAIMS
from properties._report_files import atomically

TABLE = Path(__file__).resolve().parent / "kill_matrix.tsv"
LISTS = TABLE.with_name("kill_matrix_lists.txt")
HEAD = ("bug", "theorems that refute it", "agreement that refutes it")

Kills = Mapping[str, tuple[str, ...]]


@cache
def past_kills() -> dict[str, tuple[str, ...]]:
    """For each bug the claims that refuted it when the matrix was made, theorems first."""
    if not TABLE.exists():
        return {}
    rows = [line.split("\t") for line in TABLE.read_text(encoding="utf-8").splitlines()[1:]]
    return {bug: tuple(f"{theorems} {agreement}".split()) for bug, theorems, agreement in rows}


def written(kills: Kills) -> None:
    """Write the matrix, a row a bug, and its lists; a reader sees the old files or the new ones."""
    rows = [HEAD, *(_row(bug, kills[bug]) for bug in sorted(kills))]
    atomically(TABLE, "".join("\t".join(row) + "\n" for row in rows))
    atomically(LISTS, "\n".join(lists(dict(sorted(kills.items())))) + "\n")


def _row(bug: str, claims: tuple[str, ...]) -> tuple[str, str, str]:
    return bug, *(" ".join(sorted(c for c in claims if CLAIMS[c].kind == kind)) for kind in ("theorem", "agreement"))  # type: ignore[return-value]


def theorems(kills: Kills) -> dict[str, tuple[str, ...]]:
    """The same without agreement."""
    return {bug: tuple(c for c in claims if c in CLAIMS and CLAIMS[c].kind == "theorem") for bug, claims in kills.items()}


def by_one_only(kills: Kills) -> dict[str, str]:
    """The bugs that a single theorem refutes, with it."""
    return {bug: claims[0] for bug, claims in theorems(kills).items() if len(claims) == 1}


def without_a_kill_of_their_own(kills: Kills) -> list[str]:
    """The theorems that are never the only one to refute a bug: whatever they find is found by others, too."""
    alone = set(by_one_only(kills).values())
    return [name for name, claim in CLAIMS.items() if claim.kind == "theorem" and name not in alone]


def without_a_kill(kills: Kills) -> list[str]:
    """The theorems that refute no bug of the catalogue."""
    busy = Counter(claim for claims in kills.values() for claim in claims)
    return [name for name, claim in CLAIMS.items() if claim.kind == "theorem" and not busy[name]]


def lists(kills: Kills) -> Iterable[str]:
    """The three lists, as lines."""
    for title, names in (
        ("bugs that one theorem only refutes", [f"{bug}: {claim}" for bug, claim in by_one_only(kills).items()]),
        ("theorems that refute no bug of the catalogue", without_a_kill(kills)),
        ("theorems that are never alone in refuting a bug", without_a_kill_of_their_own(kills)),
    ):
        yield f"{title}: {len(names)}"
        yield from (f"  {name}" for name in names)
