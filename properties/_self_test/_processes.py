"""The part of the self-check that takes seconds: a port that crashes, hangs or is cut short costs verdicts, and none is lost."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from properties._run import FAILS, UNDECIDED, Result
from properties._runner import Run, Setting, Task

PORT = """
import os, time

def gae(*arguments, **keywords):
    os._exit(3)

def mean_aggregate(q):
    time.sleep(60)
"""
CRASHES, HANGS = (Task("port_equals_reference", name, "float64") for name in ("gae", "mean_aggregate"))
SHORT, LONG = 0.5, 20.0
"""Seconds: less and more than the calls need."""


def processes() -> str:
    """Why the runner cannot be trusted; empty if it can."""
    with tempfile.TemporaryDirectory(prefix="touchstone-") as folder:
        port = Path(folder) / "planted.py"
        port.write_text(PORT, encoding="utf-8")
        due = {
            "a crash": ([CRASHES], FAILS, SHORT, LONG),
            "a hanging call": ([HANGS], FAILS, SHORT, LONG),
            "no time": ([HANGS, CRASHES], UNDECIDED, LONG, SHORT),
        }
        for name, (tasks, verdict, patience, budget) in due.items():
            found = _verdicts(port, tasks, patience, budget)
            if found != [verdict] * len(tasks):
                return f"{name} gives {found or 'no verdict'}, where {verdict} is due"
    return ""


def _verdicts(port: Path, tasks: Sequence[Task], patience: float, budget: float) -> list[str]:
    with Run(Setting(str(port), patience=patience), jobs=1) as run:
        run.load()
        results: list[Result] = list(run.results(tasks, budget))
    return [result.verdict for result in results]
