"""Train what the README's tables show: `python -m benchmarks.experiments offline --data DIR`; others need no data.

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


class Offline(NamedTuple):
    """A dataset: its file, updates, evaluations, and for each agent its preset and changes to it."""

    file: str
    steps: int
    evaluations: int
    agents: dict[str, tuple[str, ...]]


def changed(*fields: str) -> tuple[str, ...]:
    """`--set` before each field."""
    return tuple(word for field in fields for word in ("--set", field))


def fast(*fields: str) -> tuple[str, ...]:
    """Narrower networks at larger rates: what a short run needs in the place of a million updates."""
    return changed("hidden=128,128", "policy_learning_rate=1e-3", *fields)


PLAIN = changed("reward_transform=none")
RATES = ("value_learning_rate=1e-3", "critic_learning_rate=1e-3", "polyak_step=0.01")
SOFTER = (*RATES, "inverse_temperature=1")
OFFLINE = {
    "maze2d-umaze-300k": Offline("maze2d-umaze-300k", 25_000, 10, {"iql": PLAIN, "one_step": PLAIN, "bc": ()}),
    "maze2d-umaze-300k-antmaze": Offline(
        "maze2d-umaze-300k", 15_000, 10, {"iql": ("--preset", "author:antmaze"), "one_step": ("--preset", "iql:antmaze"), "bc": ()}
    ),
    "hopper-tp-mixed-fast": Offline("hopper-tp-mixed", 40_000, 10, {"iql": fast(*RATES), "one_step": fast(*RATES), "bc": fast()}),
    "hopper-tp-mixed-fast-softer": Offline("hopper-tp-mixed", 40_000, 10, {"iql": fast(*SOFTER), "one_step": fast(*SOFTER)}),
    "hopper-tp-medium-expert-fast": Offline(
        "hopper-tp-medium-expert", 40_000, 10, {"iql": fast(*RATES), "one_step": fast(*RATES), "bc": fast()}
    ),
    "ogb-pointmaze-medium-navigate-fast": Offline(
        "ogb-pointmaze-medium-navigate",
        40_000,
        10,
        {
            "iql": ("--preset", "author:antmaze", *fast("reward_transform=none", *RATES)),
            "one_step": ("--preset", "iql:antmaze", *fast("reward_transform=none", *RATES)),
            "bc": fast(),
        },
    ),
    "door-human": Offline(
        "door-human",
        3_000,
        5,
        {"iql": ("--preset", "author:adroit"), "one_step": ("--preset", "iql:adroit"), "bc": ("--preset", "iql:adroit")},
    ),
}
"""Settings are the authors' for the domain; for the first maze CORL's (expectile 0.7, inverse temperature 3, raw rewards)."""
WEIGHTED: dict[str, tuple[tuple[str, ...], int]] = {
    "awr": (("awr", "--preset", "author:hopper"), 48_000),
    "qwr": (("qwr",), 40_000),
    "qwr_max": (("qwr", "--preset", "author:max"), 40_000),
    "qwr_mean": (("qwr", "--preset", "author:mean"), 40_000),
}
"""Regressions on data, with the authors' settings for acting: 40 rounds of AWR, 20 of QWR."""
EXPERTS = "hopper-tp-medium-expert"
PIECES = {
    "dqn": (),
    "double": ("double=true",),
    "dueling": ("dueling=true",),
    "prioritized": ("prioritized=true",),
    "n_step": ("n_step=3",),
    "categorical": ("categorical=true", "atoms=101"),
    "noisy": ("noisy=true",),
}


class Classic(NamedTuple):
    """An environment: the zoo's preset, steps, the range of its returns for categorical networks, and what was cut."""

    preset: str
    steps: int
    support: tuple[str, str]
    pieces: tuple[str, ...]
    cut: tuple[str, ...] = ()


EVERY = (*PIECES, "rainbow")
FEWER = ("--set", "updates_per_round=1")
"""One update every four steps where the zoo makes four."""
CLASSIC = {
    "CartPole-v1": Classic("classic:cartpole", 30_000, ("v_min=0", "v_max=100"), EVERY),
    "Acrobot-v1": Classic("classic:acrobot", 50_000, ("v_min=-100", "v_max=0"), EVERY),
    "LunarLander-v3": Classic("classic:lunarlander", 100_000, ("v_min=-300", "v_max=300"), ("dqn", "double", "rainbow"), FEWER),
}


SYSTEMS: dict[str, tuple[str, ...]] = {
    "awr": ("awr",),
    "qwr": ("qwr",),
    "td3": ("td3", "--set", "random_steps=5000"),
    "sac": ("sac",),
    "ddpg": ("ddpg",),
    "qwr_max": ("qwr", "--preset", "author:max"),
    "qwr_mean": ("qwr", "--preset", "author:mean"),
}
"""Agents of continuous control, what is asked for first; TD3's authors play 25,000 random steps, a quarter of these runs."""
TASKS = ("HalfCheetah-v4", "Hopper-v4", "Walker2d-v4")
AWR_PRESETS = {"Hopper-v4": "author:hopper", "Walker2d-v4": "author:walker2d"}
"""Its authors' learning rates are the task's."""


class Race(NamedTuple):
    """A task of which every episode has `length` steps: how long it is trained for, and which return counts as solved."""

    steps: int
    length: int
    threshold: float


RACES = {
    "Reacher-v4": Race(300_000, 50, -7.0),
    "Pendulum-v1": Race(300_000, 200, -300.0),
    "Swimmer-v4": Race(500_000, 1000, 90.0),
    "HalfCheetah-v4": Race(1_000_000, 1000, 1000.0),
}
"""Thresholds of Reacher and Swimmer are Q-Prop's; its HalfCheetah is raced to 4700, over ten million steps and more."""
RACERS: dict[str, tuple[str, ...]] = {
    "trpo": ("qprop", "--preset", "trpo", "--set", "envs=5"),
    "qprop": ("qprop", "--set", "envs=5"),
    "qprop_as_coded": ("qprop", "--preset", "author", "--set", "envs=5"),
    "ddpg": ("ddpg", "--preset", "q_prop"),
}
"""TRPO-GAE here is Q-Prop without its control variate: networks, baseline, batch and trust region are the same."""


def on_policy(data: Path) -> Iterator[Experiment]:
    """Q-Prop against TRPO-GAE and DDPG: how many episodes until a return."""
    for racer, words in RACERS.items():
        for task, race in RACES.items():
            yield Experiment(f"{task}-{racer}", (*words, "--env", task), race.steps, evaluations=30)


NARROW = ("--set", "hidden=64,64", "--set", "batch_size=128", "--set", "random_steps=500", "--set", "learning_starts=500")
FASTER = ("--set", "policy_learning_rate=1e-3", "--set", "critic_learning_rate=1e-3")
NEARER = ("--set", "discount=0.98", "--set", "polyak_step=0.01")
WORLD, ARM, POLE = "CliffWalking-v1", "Pendulum-v1", "CartPole-v1"
SMALL: dict[str, tuple[tuple[str, ...], str, int]] = {
    **{name: ((name,), WORLD, 100) for name in ("value_iteration", "q_value_iteration")},
    **{name: ((name,), WORLD, 20_000) for name in ("q_learning", "sarsa", "expected_sarsa", "online_q_iteration")},
    "double_q_learning": (("double_q_learning",), WORLD, 100_000),
    "fitted_q_iteration": (("fitted_q_iteration", *changed("epsilon_start=0.1", "epsilon_end=0.1")), WORLD, 20_000),
    "cem": (("cem", *NARROW, "--set", "critic_learning_rate=1e-3"), ARM, 6_000),
    "ddpg": (("ddpg", *NARROW, *FASTER, *NEARER), ARM, 20_000),
    "td3": (("td3", *NARROW, *FASTER, *NEARER), ARM, 20_000),
    "sac": (("sac", *NARROW, *FASTER), ARM, 20_000),
    "reinforce": (("reinforce", "--preset", "classic:cartpole"), POLE, 50_000),
    "ppo": (("ppo", "--preset", "classic:cartpole"), POLE, 50_000),
    "trpo": (("trpo", "--preset", "classic:cartpole"), POLE, 50_000),
}  # fmt: skip
"""Agent, world and steps of what is trained in minutes."""


def small(data: Path) -> Iterator[Experiment]:
    """Every agent that no other experiment shows, and those of continuous actions, in a small world."""
    for name, (words, world, steps) in SMALL.items():
        yield Experiment(f"{world}-{name}", (*words, "--env", world), steps)


def continuous(data: Path) -> Iterator[Experiment]:
    """The tasks of QWR's poster at 100,000 steps."""
    for system, words in SYSTEMS.items():
        for task in TASKS:
            preset = ("--preset", AWR_PRESETS[task]) if system == "awr" and task in AWR_PRESETS else ()
            yield Experiment(f"{task}-{system}", (*words, *preset, "--env", task), 100_000)


def offline(data: Path) -> Iterator[Experiment]:
    """IQL, one-step and cloning on each dataset, with the same networks and updates."""
    for name, (file, steps, evaluations, agents) in OFFLINE.items():
        for agent, words in agents.items():
            told = (agent, "--dataset", str(data / f"{file}.npz"), *words)
            yield Experiment(f"{name}-{agent}", told, steps, evaluations=evaluations)


def weighted(data: Path) -> Iterator[Experiment]:
    """AWR and QWR on data of half an expert."""
    for name, (words, steps) in WEIGHTED.items():
        yield Experiment(f"{EXPERTS}-{name}", (*words, "--dataset", str(data / f"{EXPERTS}.npz")), steps)


def classic(data: Path) -> Iterator[Experiment]:
    """DQN, each piece of Rainbow alone, and all of them."""
    for environment, (preset, steps, support, pieces, cut) in CLASSIC.items():
        for piece in pieces:
            changes = PIECES.get(piece, ()) + (support if piece == "categorical" else ())
            words = tuple(word for change in changes for word in ("--set", change))
            agent = "rainbow" if piece == "rainbow" else "dqn"
            yield Experiment(f"{environment}-{piece}", (agent, "--env", environment, "--preset", preset, *cut, *words), steps)


EXPERIMENTS = {
    "offline": offline,
    "classic": classic,
    "continuous": continuous,
    "on_policy": on_policy,
    "small": small,
    "weighted": weighted,
}


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
