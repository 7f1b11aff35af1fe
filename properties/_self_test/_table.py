"""`verify.py --self-test`: what was planted, what was found, and what was named; by concept, and in one line."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from properties._bugs import catalogue, open_sightings
from properties._mutation._judge import EQUIVALENT, INVALID, SURVIVED
from properties._report_files import atomically
from properties._runner import SuiteError
from properties._self_test._faults import FAULTS
from properties._self_test._pool import said

NAMED, GENERIC = 0.95, 0.97
"""What is promised: so many of the bugs diagnosed as what they are, so many of the mutants killed."""

Rows = Sequence[dict[str, Any]]


def self_test(jobs: int, json_file: Path | None = None) -> int:
    """Run all of it and print the account; 0 if all is as promised, 3 if not."""
    began, console = time.monotonic(), Console(width=None if sys.stdout.isatty() else 110, highlight=False, soft_wrap=True)
    try:
        bugs = followed("bugs", jobs, len(catalogue()), console)
        faults = followed("faults", jobs, len(FAULTS), console)
        mutants = followed("mutants", jobs, None, console)
    except SuiteError as broken:
        console.print(str(broken), markup=False)
        return 3
    wrong, seconds = complaints(bugs, faults, mutants), time.monotonic() - began
    console.print(by_concept(bugs))
    for line in [*account(bugs, faults), *generic(mutants), *wrong]:
        console.print(line, markup=False)
    console.print(f"self-test: {seconds:.1f} s with {jobs} processes", markup=False)
    if json_file:
        told = {"bugs": bugs, "faults": faults, "mutants": mutants, "complaints": wrong, "seconds": round(seconds, 3)}
        atomically(json_file, json.dumps(told, indent=1) + "\n")
    return 3 if wrong else 0


def followed(kind: str, jobs: int, total: int | None, console: Console) -> list[dict[str, Any]]:
    """What the processes say, with a bar on a terminal."""
    rows = []
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(kind, total=total)
        for row in said(kind, jobs):
            rows.append(row)
            progress.advance(task)
    return rows


def by_concept(bugs: Rows) -> Table:
    """Bugs, killed by a theorem, killed by agreement where there is a right answer, diagnosed as what they are."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("concept", "bugs", "by theorem", "by agreement", "named", "misnamed"):
        table.add_column(title, justify="left" if title == "concept" else "right")
    for concept in [*dict.fromkeys(row["concept"] for row in bugs), ""]:
        mine = [row for row in bugs if concept in ("", row["concept"])]
        table.add_row(concept or "all", *(str(n) for n in counts(mine)))
    return table


def counts(bugs: Rows) -> tuple[str, ...]:
    """The row of a concept."""
    answered = [row for row in bugs if row["answered"]]
    numbers = (len(bugs), *(sum(bool(row[key]) for row in bugs) for key in ("theorem", "named", "misnamed")))
    agreed = f"{sum(bool(row['agreement']) for row in answered)} of {len(answered)}"
    return str(numbers[0]), str(numbers[1]), agreed, str(numbers[2]), str(numbers[3])


def complaints(bugs: Rows, faults: Rows, mutants: Rows) -> list[str]:
    """What must not be: a bug that lives or is taken for another, a fault that is not noticed, too many mutants that live."""
    found = [f"no theorem refutes {row['bug']}" for row in bugs if not row["theorem"]]
    found += [f"agreement does not refute {row['bug']}" for row in bugs if row["answered"] and not row["agreement"]]
    found += [f"{row['bug']} is taken for {', '.join(row['diagnosis'])}" for row in bugs if row["misnamed"]]
    if named(bugs) < NAMED:
        found.append(f"fewer than {NAMED:.0%} of the bugs are diagnosed as what they are")
    found += [f"not noticed: {row['fault']}" for row in faults if not row["noticed"]]
    killed, counted = killed_of(mutants)
    return found + [f"the generic score is below {GENERIC:.0%}"] * (killed < GENERIC * counted)


def named(bugs: Rows) -> float:
    """The share of bugs that are diagnosed as what they are and nothing else."""
    return float(np.mean([row["named"] for row in bugs])) if bugs else 0.0


def killed_of(mutants: Rows) -> tuple[int, int]:
    """How many mutants are killed, of how many that are not justified as equivalent."""
    verdicts = Counter(row.get("verdict", INVALID) for row in mutants)
    counted = sum(verdicts.values()) - verdicts[INVALID] - verdicts[EQUIVALENT]
    return counted - verdicts[SURVIVED], counted


def account(bugs: Rows, faults: Rows) -> Iterable[str]:
    """The totals, in lines."""
    killed = sum(bool(row["theorem"]) for row in bugs)
    at_all = sum(bool(row["theorem"] or row["agreement"]) for row in bugs)
    right = f"{sum(row['named'] for row in bugs)} diagnosed correctly ({named(bugs):.1%})"
    yield f"catalogue: {len(bugs)} bugs; {killed} killed by theorem, {at_all} killed at all, {right}"
    yield f"open: {len(open_sightings())} sightings that no operator of the contract can show"
    yield f"verifier: {sum(bool(row['noticed']) for row in faults)} of {len(faults)} faults in it are noticed by its self-check"


def generic(mutants: Rows) -> Iterable[str]:
    """The mutation score of the torch package, and each survivor."""
    if absent := [row["absent"] for row in mutants if "absent" in row]:
        yield f"mutants: not tried; {absent[0]}"
        return
    killed, counted = killed_of(mutants)
    equivalent = sum(row["verdict"] == EQUIVALENT for row in mutants)
    yield from (f"survives: {row['place']} {row['change']}" for row in mutants if row["verdict"] == SURVIVED)
    yield (
        f"mutants: {counted + equivalent}; {equivalent} justified as equivalent, "
        f"{killed} of the other {counted} killed: generic score {killed / max(counted, 1):.1%}"
    )
