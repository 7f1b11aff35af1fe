"""`python -m properties._mutation`: make every small mistake in the operators, and say which nothing notices."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from properties._mutation._judge import EQUIVALENT, INVALID, SPEND, SURVIVED, TIMEOUT, BrokenSuite, Verdict
from properties._mutation._mutants import mutants
from properties._mutation._score import DEAD, Score, score
from properties._mutation._source import PACKAGE
from properties._mutation._tables import write_killers

ALL_DEAD, SURVIVORS, BROKEN = 0, 1, 3


def main(argv: Sequence[str] | None = None) -> int:
    """0 if every mutant that counts is dead, 1 if one survives, 3 if no verdict can be believed."""
    given = _parser().parse_args(argv)
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False, soft_wrap=True)
    warnings.simplefilter("ignore")
    try:
        with _progress(console) as progress:
            found = score(
                given.package, modules=given.module, functions=given.function, limit=given.limit, fraction=given.fraction,
                share=given.share, claims=not given.quick, spend=given.spend, told=progress,
            )  # fmt: skip
    except (BrokenSuite, RuntimeError) as broken:
        console.print(f"no verdict can be believed: {broken}")
        return BROKEN
    report(found, console)
    if given.survivors:
        lines = (
            f"{v.mutant.key}\t{v.mutant.place}\t{v.mutant.function}\t{v.mutant.kind}\t{v.mutant.change}" for v in found.survivors
        )
        given.survivors.write_text("".join(line + "\n" for line in lines))
    if given.update:
        write_killers(found.killers, (mutant.key for mutant in mutants(given.package)))
    return BROKEN if found.wrongly_justified else SURVIVORS if found.survivors else ALL_DEAD


def report(found: Score, console: Console) -> None:
    """The table by module, then every survivor with its line."""
    table = Table(box=None, pad_edge=False)
    for heading in ("module", "mutants", "by calls", "by claims", "timeout", "equivalent", "survived", "score"):
        table.add_column(heading, justify="left" if heading == "module" else "right")
    parts = found.per(lambda mutant: mutant.module.rpartition(".")[2])
    for name, part in sorted(parts.items()):
        table.add_row(name, *_cells(part))
    table.add_row("all", *_cells(found))
    for verdict in found.survivors:
        console.print(f"survived  {_described(verdict)}", markup=False)
    for verdict in found.wrongly_justified:
        console.print(f"no equivalent: {verdict.by} of {verdict.operator} refutes {_described(verdict)}", markup=False)
    console.print(table)
    console.print(f"tried {len(found.verdicts)} of {found.existing} mutants; {found.count(INVALID)} do not compile")


def _cells(part: Score) -> list[str]:
    claims = part.count(*DEAD) - part.by_calls
    counts = (part.total, part.by_calls, claims, part.count(TIMEOUT), part.count(EQUIVALENT), part.count(SURVIVED))
    return [*map(str, counts), f"{part.value:.1%}" if part.total else "-"]


def _described(verdict: Verdict) -> str:
    mutant = verdict.mutant
    return f"{mutant.place}  {mutant.function}  {mutant.kind}: {mutant.change}"


class _Told:
    """Moves the bar."""

    def __init__(self, bar: Progress) -> None:
        self._bar, self._task = bar, bar.add_task("recording calls", total=None)

    def __call__(self, verdict: Verdict, many: int) -> None:
        self._bar.update(self._task, total=many, advance=1, description=verdict.mutant.place)


@contextmanager
def _progress(console: Console) -> Iterator[_Told]:
    columns = (TextColumn("{task.description:36}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield _Told(bar)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m properties._mutation", description=__doc__)
    add = parser.add_argument
    add("--package", default=PACKAGE, help=f"the package of operators, with its port (default: {PACKAGE})")
    add("--module", action="append", default=[], metavar="STEM", help="only this module; may be repeated")
    add("--function", action="append", default=[], metavar="NAME", help="only this function or Class.method; may be repeated")
    add("--limit", type=int, metavar="N", help="a fixed sample of at most N mutants")
    add("--fraction", type=float, default=1.0, metavar="F", help="a fixed sample of this part of the mutants")
    add("--share", type=_share, default=(1, 1), metavar="I/N", help="the I-th of N shares, for N processes")
    add("--quick", action="store_true", help="recorded calls only, no claims")
    add("--spend", type=float, default=SPEND, metavar="SECONDS", help=f"what one mutant may cost in claims (default: {SPEND:g})")
    add("--update", action="store_true", help="write the claims that killed to killers.tsv")
    add("--survivors", type=Path, metavar="FILE", help="write the survivors to a file, as the table of equivalents names them")
    return parser


def _share(text: str) -> tuple[int, int]:
    place, _, many = text.partition("/")
    if not (place.isdigit() and many.isdigit() and 1 <= int(place) <= int(many)):
        raise argparse.ArgumentTypeError(f"must be I/N with 1 <= I <= N; got {text!r}")
    return int(place), int(many)


if __name__ == "__main__":
    sys.exit(main())
