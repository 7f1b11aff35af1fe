"""What a run measured, with all that it depends on: one JSON file a run, and its curve beside it."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accelerated.agents.checkpoints import commit, machine, versions, write_json


def record(run: Path, result: Path, *, command: Sequence[str], seconds: float) -> None:
    """Gather a finished run's folder into `result`.json, `result`.csv (every evaluation) and `result`.png.

    Paths in what is recorded are reduced to the files' names: a dataset is told by its name and its sha256.
    """
    told = json.loads((run / "run.json").read_text())
    summary = json.loads((run / "scores.json").read_text())
    result.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "command": [Path(word).name if "/" in word and Path(word).exists() else word for word in command],
        "run": told | {"dataset": told["dataset"] and Path(told["dataset"]).name},
        "source": _named(summary.get("source")),
        "evaluations": rows(run / "evaluations.csv"),
        "summary": {"final": summary["final"]},
        "seconds": round(seconds, 1),
        "versions": versions(),
        "machine": machine(),
        "commit": commit(),
    }
    shutil.copyfile(run / "curve.png", result.with_suffix(".png"))
    shutil.copyfile(run / "evaluations.csv", result.with_suffix(".csv"))
    write_json(result, content)


def _named(source: str | None) -> str | None:
    """A source without the folder that it was read from."""
    return source and source.rpartition("/")[2]


def rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a CSV file, numbers as numbers."""
    with open(path, newline="") as file:
        return [{key: _number(value) for key, value in row.items()} for row in csv.DictReader(file)]


def _number(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
