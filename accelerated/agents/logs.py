"""What a run leaves to look at: rows in CSV files, TensorBoard events, and a progress line with rate and time left."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text
from torch import Tensor

from accelerated.agents.checkpoints import write_atomically

EVALUATIONS, METRICS, EVENTS = "evaluations.csv", "metrics.csv", "tensorboard"

Row = Mapping[str, Any]


class Table:
    """Rows of a CSV file that has a column "step"; a line that a killed run left half written is dropped.

    path  made with the first row; its columns are those of all rows so far, empty where a row lacks one
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.columns, rows, whole = _read(path)
        if not whole:
            self._write(rows)

    def append(self, rows: Sequence[Row]) -> None:
        """Add rows at the end; a new column is given to the rows before, too."""
        new = [name for name in dict.fromkeys(name for row in rows for name in row) if name not in self.columns]
        if new:
            before = _read(self.path)[1]
            self.columns += new
            self._write(before)
        with open(self.path, "a", newline="") as file:
            file.write(self._lines(rows))

    def truncate(self, step: int) -> None:
        """Drop the rows of later steps: a run that goes on from `step` writes them again."""
        _, rows, _ = _read(self.path)
        kept = [row for row in rows if int(row["step"]) <= step]
        if len(kept) < len(rows):
            self._write(kept)

    def _write(self, rows: Sequence[Row]) -> None:
        header = dict(zip(self.columns, self.columns, strict=True))
        write_atomically(self.path, self._lines([header, *rows] if self.columns else []).encode())

    def _lines(self, rows: Sequence[Row]) -> str:
        text = io.StringIO()
        csv.DictWriter(text, self.columns, restval="", lineterminator="\n").writerows(rows)
        return text.getvalue()


class Log:
    """The records of one run in its folder.

    step   where the run goes on: rows of later steps are dropped, at 0 all of them
    total  steps of the whole run
    quiet  whether to show no progress; there is none without a terminal either
    """

    def __init__(self, folder: Path, step: int, total: int, *, quiet: bool = False, console: Console | None = None) -> None:
        self._tables = {name: Table(folder / name) for name in (EVALUATIONS, METRICS)}
        for table in self._tables.values():
            table.truncate(step if step else -1)
        self._events = _event_writer(folder / EVENTS, step)
        console = console or Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=console, disable=quiet or not console.is_terminal, refresh_per_second=2)
        self._task = self._progress.add_task("", total=total, completed=step)
        self._progress.start()

    def metrics(self, step: int, seeds: Sequence[int], metrics: Mapping[str, Tensor]) -> None:
        """What the last update measured, each [seeds]; nothing is written where nothing was measured."""
        self._progress.update(self._task, completed=step)
        if metrics:
            columns = {name: values.detach().tolist() for name, values in metrics.items()}
            rows = [
                {"step": step, "seed": seed} | {name: of[place] for name, of in columns.items()} for place, seed in enumerate(seeds)
            ]
            self._add(METRICS, rows)

    def evaluation(self, rows: Sequence[Row]) -> None:
        """Rows of one evaluation, each with "step", "seed" and "return"."""
        if rows:
            returns = [float(row["return"]) for row in rows]
            told = f"return {sum(returns) / len(returns):.6g}"
            self._progress.update(self._task, completed=int(rows[-1]["step"]), description=told)
            self._add(EVALUATIONS, rows)

    def close(self) -> None:
        """Leave the files whole and the terminal as it was."""
        self._progress.stop()
        if self._events is not None:
            self._events.close()

    def _add(self, name: str, rows: Sequence[Row]) -> None:
        self._tables[name].append(rows)
        if self._events is None:
            return
        group = name.removesuffix(".csv")
        for row in rows:
            for key, value in row.items():
                if key not in ("step", "seed"):
                    self._events.add_scalar(f"{group}/{key}/seed {row['seed']}", value, row["step"])
        self._events.flush()


class _Rate(ProgressColumn):
    """Steps a second of late."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f} steps/s")


def _event_writer(folder: Path, step: int) -> Any:
    """TensorBoard's, which is told that later events are void; None where it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step + 1 if step else 0)


def _read(path: Path) -> tuple[list[str], list[dict[str, str]], bool]:
    """Columns, rows, and whether the file was whole: each line ended, and as long as the first."""
    if not path.exists():
        return [], [], True
    text = path.read_text()
    whole = text[: text.rfind("\n") + 1]
    lines = list(csv.reader(io.StringIO(whole)))
    columns = lines[0] if lines else []
    good = [line for line in lines[1:] if len(line) == len(columns)]
    return columns, [dict(zip(columns, line, strict=True)) for line in good], whole == text and len(good) == max(len(lines) - 1, 0)
