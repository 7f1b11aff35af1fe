"""What `python -m accelerated.agents.train` is asked: parsed, checked, and everything wrong told in one line before it starts."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from accelerated.agents import AGENTS, agent, configurations
from accelerated.agents.loop import Run

RUN = "run.json"
DESCRIPTION = """Train an agent, many seeds side by side.

  python -m accelerated.agents.train iql --dataset data.npz --env Hopper-v4 --seeds 4 --steps 100000 --out runs/hopper
  python -m accelerated.agents.train rainbow --env ALE/Pong-v5 --preset atari100k --seeds 1 --steps 100000 --out runs/pong
  python -m accelerated.agents.train --resume runs/hopper
"""


@dataclass(frozen=True)
class Request:
    """A run, and how it is watched.

    evaluate_every, checkpoint_every, log_every  in steps of the run
    episodes   per evaluation and seed
    processes  that share the seeds, each with `threads` threads
    preset, overrides  what the configuration was made from
    """

    run: Run
    out: Path
    evaluate_every: int
    episodes: int
    checkpoint_every: int
    log_every: int
    processes: int
    threads: int
    preset: str
    overrides: tuple[str, ...]

    def told(self) -> dict[str, Any]:
        """As JSON: what `--resume` reads back."""
        run = self.run
        return {
            "agent": run.agent, "preset": self.preset, "set": list(self.overrides), "seeds": list(run.seeds), "steps": run.steps,
            "finetune": run.finetune, "env": run.environment, "dataset": run.dataset, "device": run.device, "dtype": run.dtype,
            "evaluate_every": self.evaluate_every, "episodes": self.episodes, "checkpoint_every": self.checkpoint_every,
            "log_every": self.log_every, "processes": self.processes, "threads": self.threads,
            "config": configurations.told(run.config),
        }  # fmt: skip


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    it = argparse.ArgumentParser(
        prog="python -m accelerated.agents.train", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    it.add_argument("agent", nargs="?", metavar="AGENT", help=f"one of {', '.join(AGENTS)}")
    it.add_argument("--dataset", metavar="PATH_OR_ID", help=".npz or .hdf5 in D4RL's layout, or the id of a Minari dataset")
    it.add_argument(
        "--env", metavar="ID", help="where the agent acts and is evaluated; a dataset may name its own; `none`: no evaluation"
    )
    it.add_argument("--preset", default=None, metavar="NAME", help="named hyper-parameters (default: the first of --list-presets)")
    it.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="any field of the configuration; repeatable")
    it.add_argument("--seeds", type=positive, default=1, metavar="N", help="independent agents trained side by side (default: 1)")
    it.add_argument("--first-seed", type=natural, default=0, metavar="I", help="the seeds are I ... I + N - 1 (default: 0)")
    it.add_argument("--steps", type=positive, metavar="N", help="updates on a dataset or model, or environment steps of each seed")
    it.add_argument("--finetune", type=natural, default=0, metavar="N", help="environment steps after the steps on the dataset")
    it.add_argument("--device", default="auto", metavar="D", help="auto, cpu, cuda, cuda:1 (default: auto)")
    it.add_argument("--dtype", default="float32", choices=("float32", "float64"))
    it.add_argument("--out", type=Path, metavar="DIR", help="where checkpoints, logs and curves go; must not hold another run")
    it.add_argument("--resume", type=Path, metavar="DIR", help="go on with the run in DIR from its last checkpoint, bit for bit")
    it.add_argument(
        "--evaluate-every", type=positive, metavar="N", help="steps between evaluations (default: a twentieth of the run)"
    )
    it.add_argument("--episodes", type=positive, default=10, metavar="N", help="per evaluation and seed (default: 10)")
    it.add_argument(
        "--checkpoint-every", type=positive, metavar="N", help="steps between checkpoints (default: a twentieth of the run)"
    )
    it.add_argument("--log-every", type=positive, metavar="N", help="steps between rows of metrics (default: a two-hundredth)")
    it.add_argument("--processes", type=positive, default=1, metavar="P", help="processes that share the seeds (faster on a CPU)")
    it.add_argument("--threads", type=natural, default=0, metavar="T", help="threads of each process (default: cores / processes)")
    it.add_argument("--list", action="store_true", help="the agents")
    it.add_argument("--list-presets", action="store_true", help="the presets of AGENT, or of all")
    return it


def natural(text: str) -> int:
    """A whole number from 0, for argparse; `100_000` and `1e5` are fine."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number; got {text!r}") from None
    if not value.is_integer() or value < 0:
        raise argparse.ArgumentTypeError(f"must be a whole number from 0; got {text!r}")
    return int(value)


def positive(text: str) -> int:
    """A whole number from 1, for argparse."""
    value = natural(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1; got {text!r}")
    return value


def requested(options: argparse.Namespace) -> Request:
    """The run that the options ask for.

    raises  ValueError in one line for anything missing, unknown or contradictory
    """
    if options.agent is None:
        raise ValueError(f"an AGENT is needed: one of {', '.join(AGENTS)} (or --resume DIR, --list, --list-presets)")
    one = agent(options.agent)
    _consistent(one, options)
    total = options.steps + options.finetune
    preset = options.preset or next(iter(one.PRESETS))
    # A decayed learning rate falls over the whole run unless the preset or the user says otherwise.
    config = configurations.configured(one, preset, options.set, {"decay_steps": options.steps})
    if options.finetune and getattr(config, "policy_schedule", "") == "cosine":
        raise ValueError("--finetune needs policy_schedule=constant: with cosine the policy's learning rate is 0 by then")
    run = Run(
        options.agent, config, tuple(range(options.first_seed, options.first_seed + options.seeds)), options.steps,
        options.env, options.dataset, options.finetune, device(options.device), options.dtype,
    )  # fmt: skip
    processes = min(options.processes, options.seeds)
    return Request(
        run, options.out, options.evaluate_every or max(total // 20, 1), options.episodes,
        options.checkpoint_every or max(total // 20, 1), options.log_every or max(total // 200, 1), processes,
        options.threads or max(torch.get_num_threads() // processes, 1), preset, tuple(options.set),
    )  # fmt: skip


def _consistent(one: Any, options: argparse.Namespace) -> None:
    """What each kind of agent needs, and what it has no use for."""
    either = getattr(one, "OFFLINE", False) and options.dataset is not None
    offline = one.MEMORY == "dataset" or either
    if options.steps is None:
        raise ValueError("--steps N is needed: how long to train")
    if options.out is None:
        raise ValueError("--out DIR is needed: where checkpoints, logs and curves go")
    if offline and options.dataset is None:
        raise ValueError(f"{one.NAME} learns from data: --dataset PATH_OR_ID is needed")
    if not offline and options.dataset is not None:
        raise ValueError(f"{one.NAME} learns from an environment: --dataset is for agents that learn from data")
    if not offline and options.env in (None, "none"):
        raise ValueError(f"{one.NAME} learns from an environment: --env ID is needed")
    if options.finetune and not (one.MEMORY == "dataset" and hasattr(one.Config, "learning_starts")):
        raise ValueError(f"--finetune is for agents that go on online after a dataset; {one.NAME} does not")
    if (options.out / RUN).exists():
        raise ValueError(f"--out must not hold another run; {options.out} does (go on with --resume {options.out})")


def resumed(folder: Path) -> Request:
    """The run that a folder holds.

    raises  ValueError if it holds none
    """
    path = folder / RUN
    if not path.exists():
        raise ValueError(f"--resume takes the folder of a run; {path} does not exist")
    try:
        told = json.loads(path.read_text())
        one = agent(told["agent"])
        config = one.Config(**{key: tuple(v) if isinstance(v, list) else v for key, v in told["config"].items()})
        run = Run(
            told["agent"], config, tuple(told["seeds"]), told["steps"], told["env"], told["dataset"], told["finetune"],
            told["device"], told["dtype"],
        )  # fmt: skip
        return Request(
            run, folder, told["evaluate_every"], told["episodes"], told["checkpoint_every"], told["log_every"],
            told["processes"], told["threads"], told["preset"], tuple(told["set"]),
        )  # fmt: skip
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} must describe a run; {type(error).__name__}: {error}") from error


def device(name: str) -> str:
    """The device's name; `auto` is the GPU where there is one."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(name).type
    except RuntimeError as error:
        raise ValueError(f"--device must be auto, cpu or cuda; got {name!r}") from error
    if kind == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"--device {name} needs a GPU; there is none")
    return name


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options of a command line."""
    return parser().parse_args(argv)
