"""Train what the README's tables show: `python -m benchmarks.experiments offline --data DIR`, or `classic`.

Each run is one command of `accelerated.agents.train`; what it measured goes to benchmarks/results/<experiment>/<run>.json with the
command, configuration, seeds, versions, commit, machine and the source of its data. A run whose result is there is skipped.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.records import record

RESULTS = Path(__file__).parent / "results"


class Experiment(NamedTuple):
    """One training run: its name, and what `accelerated.agents.train` is told."""

    name: str
    arguments: tuple[str, ...]
    steps: int
    episodes: int = 10
    evaluations: int = 10


OFFLINE = {
    "maze2d-umaze-300k": ("maze2d-umaze-300k.npz", "author:locomotion", 40_000, 10),
    "hopper-tp-mixed": ("hopper-tp-mixed.npz", "author:locomotion", 40_000, 10),
    "hopper-tp-medium-expert": ("hopper-tp-medium-expert.npz", "author:locomotion", 20_000, 10),
    "ogb-pointmaze-medium-navigate": ("ogb-pointmaze-medium-navigate.npz", "author:antmaze", 20_000, 10),
    "door-human": ("door-human.npz", "author:adroit", 10_000, 10),
}
"""Dataset: its file, the authors' preset for the domain, updates, episodes of each evaluation and seed."""
PIECES = {
    "dqn": (),
    "double": ("double=true",),
    "dueling": ("dueling=true",),
    "prioritized": ("prioritized=true",),
    "n-step": ("n_step=3",),
    "categorical": ("categorical=true",),
    "noisy": ("noisy=true",),
}
CLASSIC = {"CartPole-v1": ("cartpole", 50_000), "Acrobot-v1": ("acrobot", 100_000), "LunarLander-v3": ("lunarlander", 100_000)}


def offline(data: Path) -> Iterator[Experiment]:
    """IQL, one-step and cloning on each dataset, with the same networks and updates."""
    for name, (file, preset, steps, episodes) in OFFLINE.items():
        for agent in ("iql", "one_step", "bc"):
            yield Experiment(f"{name}-{agent}", (agent, "--dataset", str(data / file), "--preset", preset), steps, episodes)


def classic(data: Path) -> Iterator[Experiment]:
    """DQN, each piece of Rainbow alone, and all of them."""
    for environment, (preset, steps) in CLASSIC.items():
        for piece, changes in PIECES.items():
            extra = tuple(word for change in changes for word in ("--set", change))
            yield Experiment(f"{environment}-{piece}", ("dqn", "--env", environment, "--preset", preset, *extra), steps)
        yield Experiment(f"{environment}-rainbow", ("rainbow", "--env", environment, "--preset", preset), steps)


EXPERIMENTS = {"offline": offline, "classic": classic}


def main() -> None:
    """Run what is asked for, one run after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", choices=EXPERIMENTS)
    parser.add_argument("--data", type=Path, default=Path("data"), help="the folder of the datasets")
    parser.add_argument("--only", default="", help="runs whose name contains this")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the steps")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--work", type=Path, default=Path("runs"), help="where the runs' folders go")
    options = parser.parse_args()
    for experiment in EXPERIMENTS[options.experiment](options.data):
        result = RESULTS / options.experiment / f"{experiment.name}.json"
        if options.only in experiment.name and not result.exists():
            carry_out(experiment, result, options)


def carry_out(experiment: Experiment, result: Path, options: argparse.Namespace) -> None:
    """Train, or go on with what was begun, and record it."""
    out, steps = options.work / options.experiment / experiment.name, max(int(experiment.steps * options.scale), 1)
    command = [
        *experiment.arguments, "--seeds", str(options.seeds), "--steps", str(steps), "--episodes", str(experiment.episodes),
        "--evaluate-every", str(max(steps // experiment.evaluations, 1)), "--processes", str(options.processes), "--out", str(out),
    ]  # fmt: skip
    words = ["--resume", str(out)] if (out / "run.json").exists() else command
    print(experiment.name, flush=True)
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "accelerated.agents.train", *words], check=True)
    record(out, result, command=["python", "-m", "accelerated.agents.train", *command], seconds=time.monotonic() - began)


if __name__ == "__main__":
    main()
