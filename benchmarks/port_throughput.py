"""Calls and examples per second of a port in this process and behind a pipe: `python -m benchmarks.port_throughput`.

Three ports compute gae [B, 16] in float64: the reference as a module, the reference served by examples/ports/serve.py, and
examples/ports/cpp. A call is what a claim makes of one: arguments rounded and typed, the port asked, its answer widened. An example
is one of `port_equals_reference`: drawn, asked, compared with the reference. The ports take turns in every round, and the figure is
the median over rounds, so that what else the machine does falls on all of them.
Results go to benchmarks/results/ports/throughput.json.
"""

from __future__ import annotations

import argparse
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from accelerated.agents.checkpoints import commit, machine, versions, write_json
from properties._claim import CLAIMS, Call
from properties._ports import COMMAND, Port, load_port
from properties._run import Effort, run
from properties._trial import Trial

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples" / "ports"
RESULTS = Path(__file__).parent / "results" / "ports"
BATCHES = (1, 32, 1024)
STEPS = 16
SERVED = "from reference import gae\n\nOPERATORS = ('gae',)\n"


def main() -> None:
    """Measure, print, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each measurement")
    parser.add_argument("--examples", type=int, default=100, help="of port_equals_reference in a round")
    parser.add_argument("--note", default="", help="what else the machine did")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    words = [f"--rounds={options.rounds}", f"--seconds={options.seconds:g}", f"--examples={options.examples}"]
    content = experiment(
        options.out, rounds=options.rounds, seconds=options.seconds, examples=options.examples, note=options.note,
        command=["python", "-m", "benchmarks.port_throughput", *words],
    )  # fmt: skip
    print(table(content))


def experiment(out: Path, *, rounds: int, seconds: float, examples: int, note: str, command: Sequence[str]) -> dict[str, Any]:
    """All ports in turns; what was measured, as it is in the JSON."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        each = ports(Path(folder))
        readings = [reading(kind, port, seconds, examples) for _ in range(rounds) for kind, port in each.items()]
    figures = {
        kind: {what: summary([one[what] for one in readings if one["port"] == kind]) for what in readings[0] if what != "port"}
        for kind in dict.fromkeys(one["port"] for one in readings)
    }
    content = {
        "command": list(command), "versions": versions(), "machine": machine(), "commit": commit(), "note": note,
        "load": os.getloadavg(), "rounds": rounds, "steps": STEPS, "per_second": figures,
        "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "throughput.json", content)
    return content


def ports(folder: Path) -> dict[str, Port]:
    """The same operator three times; the programs are left to end when this process does."""
    module = folder / "served_gae.py"
    module.write_text(SERVED)
    compiled(folder / "port")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH", "")])])
    served = shlex.join([sys.executable, str(EXAMPLES / "serve.py"), str(module)])
    return {
        "in process": load_port(str(module)),
        "Python program": load_port(COMMAND + served),
        "C++ program": load_port(COMMAND + shlex.quote(str(folder / "port"))),
    }


def compiled(program: Path) -> Path:
    """The C++ port, with the flags of its Makefile."""
    subprocess.run(["g++", "-std=c++17", "-O2", "-o", str(program), str(EXAMPLES / "cpp" / "port.cpp")], check=True)
    return program


def reading(kind: str, port: Port, seconds: float, examples: int) -> dict[str, Any]:
    """One round of one port: calls a second at every batch size, and examples a second."""
    found: dict[str, Any] = {"port": kind}
    for batch in BATCHES:
        trial, call = Trial(port, "gae"), path(batch)
        found[f"calls [{batch}, {STEPS}]"] = rate(lambda trial=trial, call=call: asked(trial, call), seconds)  # type: ignore[misc]
    effort = Effort(examples=2 * examples, table_examples=0, seconds=600.0, climb=False)  # of which that claim takes half
    result = run(CLAIMS["port_equals_reference"], "gae", port, effort)
    if result.verdict != "holds":
        raise RuntimeError(f"{kind}: gae must hold; it {result.verdict}: {result.detail}")
    return found | {"examples": result.examples / result.seconds}


def asked(trial: Trial, call: Call) -> None:
    """One call, as a claim makes it."""
    trial.clear()
    trial.result(call)


def path(batch: int) -> Call:
    """Trajectories with an end, a cut and numbers of all sizes."""
    draw = np.random.default_rng(batch)
    reward, value, following = draw.normal(size=(3, batch, STEPS))
    terminated, truncated = draw.random(size=(2, batch, STEPS)) < 0.1
    return Call((reward, terminated, truncated, value, following), {"lambda_": 0.95, "discount": 0.99})


def rate(once: Callable[[], None], seconds: float) -> float:
    """How often a second."""
    once()
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        once()
        count += 1
    return count / (time.perf_counter() - began)


def summary(values: Sequence[float]) -> dict[str, float]:
    """The median of the rounds, and how far they went."""
    return {"median": round(statistics.median(values), 1), "least": round(min(values), 1), "most": round(max(values), 1)}


def table(content: dict[str, Any]) -> str:
    """The medians."""
    kinds = content["per_second"]
    heads = list(next(iter(kinds.values())))
    lines = [f"| a second | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    lines += [f"| {kind} | {' | '.join(format(each['median'], ',.0f') for each in of.values())} |" for kind, of in kinds.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
