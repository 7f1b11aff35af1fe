"""Memory of runner, worker and program while many cases are tried: `python -m benchmarks.port_memory --cases 100000`.

`port_equals_reference` is tried for operators of examples/ports/cpp in both types, by one worker, in profile release, again and
again until so many calls were made. After each trial the memory of the three processes is looked at; reported are the readings at a
tenth of the calls and at the end. The runner is this process, which holds torch besides, for the record's sake; verify.py does not.
Results go to benchmarks/results/ports/memory.json.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shlex
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accelerated.agents.checkpoints import commit, machine, versions, write_json
from benchmarks.port_throughput import RESULTS, compiled
from properties._ports import COMMAND
from properties._runner import Run, Setting, Task

OPERATORS = ("expectile_loss", "log_mean_exp")
DTYPES = ("float64", "float32")
PROCESSES = ("runner", "worker", "program")


def main() -> None:
    """Measure, print, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--note", default="", help="what else the machine did")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    command = ["python", "-m", "benchmarks.port_memory", f"--cases={options.cases}"]
    content = experiment(options.out, cases=options.cases, note=options.note, command=command)
    for reading in (content["at_a_tenth"], content["at_the_end"]):
        print(f"{reading['cases']:>8,} cases: " + ", ".join(f"{who} {reading[who]:.1f} MB" for who in PROCESSES))


def experiment(out: Path, *, cases: int, note: str, command: Sequence[str]) -> dict[str, Any]:
    """One run; what was read, as it is in the JSON."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        readings = watched(compiled(Path(folder) / "port"), cases)
    tenth = next(each for each in readings if each["cases"] >= cases / 10)
    content = {
        "command": list(command), "versions": versions(), "machine": machine(), "commit": commit(), "note": note,
        "load": os.getloadavg(), "operators": OPERATORS, "dtypes": DTYPES, "unit": "2^20 bytes resident",
        "at_a_tenth": tenth, "at_the_end": readings[-1], "trials": len(readings),
        "most": {who: max(each[who] for each in readings) for who in PROCESSES},
        "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "memory.json", content)
    return content


def watched(program: Path, cases: int) -> list[dict[str, Any]]:
    """The memory of runner, worker and program after every trial, until so many calls were made."""
    round_of = [Task("port_equals_reference", name, dtype) for name in OPERATORS for dtype in DTYPES]
    readings: list[dict[str, Any]] = []
    done = 0
    with Run(Setting(COMMAND + shlex.quote(str(program)), profile="release"), jobs=1) as run:
        run.load()
        for task in itertools.cycle(round_of):
            for result in run.results([task]):
                if result.verdict != "holds":
                    raise RuntimeError(f"every trial must hold; {result.operator} {result.verdict}: {result.detail}")
                done += result.calls
            found = zip(PROCESSES, (os.getpid(), *processes(program)), strict=True)
            readings.append({"cases": done} | {who: round(resident(process), 1) for who, process in found})
            if done >= cases:
                return readings
    return readings


def processes(program: Path) -> tuple[int, int]:
    """The worker, and the program that it started."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "cmdline").read_bytes().split(b"\0")[0] == str(program).encode():
                return int((folder / "stat").read_text().rpartition(")")[2].split()[1]), int(folder.name)
        except OSError:
            continue
    raise RuntimeError("the program must be running between trials; it is not")


def resident(process: int) -> float:
    """Megabytes of memory that a process has."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
