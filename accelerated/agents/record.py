"""Record a dataset: `python -m accelerated.agents.record --env Pendulum-v1 --steps 100000 --out pendulum.npz`.

Uniformly random actions, or those of a trained agent: `--run DIR` plays the last checkpoint of a run, `--random 0.3` with that
part of the actions random. The file is in D4RL's layout, with the true next observations, and every training command reads it.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from accelerated.agents.arguments import positive, resumed
from accelerated.agents.batch import Space
from accelerated.agents.checkpoints import load_checkpoint, write_atomically
from accelerated.agents.environments import worlds
from accelerated.agents.loop import Training
from accelerated.agents.streams import Streams

Act = Callable[[Tensor], Tensor]


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status: 0 recorded, 2 asked for something that cannot be."""
    options = parser().parse_args(argv)
    try:
        written = recorded(options)
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    print(written)
    return 0


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    it = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    it.add_argument("--env", metavar="ID", help="where to act (default: the run's environment)")
    it.add_argument("--run", type=Path, metavar="DIR", help="whose last checkpoint acts, its first seed; without: random actions")
    it.add_argument("--random", type=float, default=0.0, metavar="P", help="part of random actions of an agent (default: 0)")
    it.add_argument("--steps", type=positive, required=True, metavar="N")
    it.add_argument("--seed", type=int, default=0)
    it.add_argument("--out", type=Path, required=True, metavar="FILE.npz")
    return it


def recorded(options: argparse.Namespace) -> str:
    """Act, and write what happened; one line about it."""
    if options.out.suffix != ".npz" or options.out.exists():
        raise ValueError(f"--out must be a new file whose name ends in .npz; got {options.out}")
    if not 0 <= options.random <= 1:
        raise ValueError(f"--random must lie in [0, 1]; got {options.random}")
    request = None if options.run is None else resumed(options.run)
    name: str | None = options.env or (request.run.environment if request is not None else None)
    if name is None:
        raise ValueError("--env ID is needed: where to act")
    arena = worlds(name, seeds=[options.seed])
    draws = Streams([options.seed], "recording")
    chance = 1.0 if request is None else options.random
    greedy = None if request is None else _trained(request, arena.space)
    arrays = rollout(arena, lambda observations: mixed(observations, arena.space, draws, greedy, chance), options.steps)
    arena.close()
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **arrays)
    write_atomically(options.out, content.getvalue())
    ends = arrays["terminals"] | arrays["timeouts"]
    return (
        f"{options.out}: {options.steps} steps of {name} in {int(ends.sum())} episodes, mean reward {arrays['rewards'].mean():.4g}"
    )


def _trained(request: Any, space: Space) -> Act:
    """The greedy actions of a run's first seed."""
    saved = load_checkpoint(request.out)
    if saved is None or request.processes > 1:
        raise ValueError(f"--run needs a checkpoint in its folder (of several processes, a part's folder); {request.out} has none")
    data = None
    if request.run.dataset is not None:
        from accelerated.agents import datasets

        data = datasets.load(request.run.dataset)
    training = Training(request.run, data)
    training.state.restore({key.removeprefix("state/"): value for key, value in saved[0].items() if key.startswith("state/")})
    if training.state.space.observation_shape != space.observation_shape or training.state.space.actions != space.actions:
        raise ValueError(f"the agent must fit the environment; it knows {training.state.space}, the environment has {space}")
    seeds = len(request.run.seeds)

    def act(observations: Tensor) -> Tensor:
        shared = observations.expand(seeds, *observations.shape[1:])
        return training.agent.act(training.state, shared, explore=False)[:1]  # type: ignore[no-any-return]

    return act


@torch.no_grad()
def mixed(observations: Tensor, space: Space, draws: Streams, greedy: Act | None, chance: float) -> Tensor:
    """The agent's action, or with that chance a uniformly random one; [1, 1, *] -> [1, 1] or [1, 1, D]."""
    if space.discrete:
        random = draws.integers(space.actions, 1)
    else:
        low, high = torch.tensor(space.low), torch.tensor(space.high)
        if not torch.isfinite(low + high).all():
            raise ValueError(f"random actions need bounds; the environment's are {space.low} to {space.high}")
        random = low + (high - low) * draws.uniform(1, space.actions)
    instead = draws.uniform(1) < chance
    if greedy is None or bool(instead):
        return random
    return greedy(observations).to(random.dtype)


def rollout(arena: Any, act: Act, steps: int) -> dict[str, np.ndarray[Any, Any]]:
    """`steps` transitions of one environment, in D4RL's layout; the last one is a time-out if its episode goes on."""
    kept: dict[str, list[Tensor]] = {
        key: [] for key in ("observations", "actions", "rewards", "next_observations", "terminals", "timeouts")
    }
    observations = arena.reset()
    for _ in range(steps):
        actions = act(observations)
        step = arena.step(actions)
        row = (observations, actions, step.rewards, step.next_observations, step.terminations, step.truncations)
        for column, value in zip(kept.values(), row, strict=True):
            column.append(value[0, 0].clone())
        observations = step.observations
    arrays = {key: torch.stack(column).numpy() for key, column in kept.items()}
    arrays["timeouts"][-1] |= not arrays["terminals"][-1]
    return arrays


if __name__ == "__main__":
    sys.exit(main())
