"""How good an agent is: the returns of whole episodes, each world started from a seed of its own."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from accelerated.agents.environments import worlds
from accelerated.agents.state import State


class Evaluation(NamedTuple):
    """Returns and lengths of the episodes, each [seeds, episodes]; returns in the environment's own units."""

    returns: NDArray[np.float64]
    lengths: NDArray[np.int64]


def evaluate(agent: Any, state: State, environment: str, *, episodes: int, step: int, **options: Any) -> Evaluation:
    """Play `episodes` whole episodes with each seed's agent, without exploration.

    The episodes of one step are the same however the run came there: their seeds depend on the agent's seed and on the step
    only, so that a resumed run reports what an uninterrupted one does.
    """
    arena = worlds(
        environment,
        seeds=[_seed(seed, step) for seed in state.seeds],
        envs=episodes,
        device=state.device,
        evaluation=True,
        **options,
    )
    try:
        return play(lambda observations: agent.act(state, observations, explore=False), arena, (len(state.seeds), episodes))
    finally:
        arena.close()


@torch.no_grad()
def play(act: Callable[[torch.Tensor], torch.Tensor], arena: Any, shape: tuple[int, int]) -> Evaluation:
    """Step all worlds until each has ended its first episode."""
    returns, lengths = np.full(shape, np.nan), np.zeros(shape, dtype=np.int64)
    observations = arena.reset()
    while np.isnan(returns).any():
        step = arena.step(act(observations))
        for seed, env, total, length in step.finished:
            if np.isnan(returns[seed, env]):
                returns[seed, env], lengths[seed, env] = total, length
        observations = step.observations
    return Evaluation(returns, lengths)


def rows(evaluation: Evaluation, seeds: Sequence[int], step: int, score: Callable[[Any], Any] | None) -> list[dict[str, Any]]:
    """One row a seed: step, seed, mean return, mean length, and the normalized score where there is one."""
    found = []
    for place, seed in enumerate(seeds):
        mean = float(evaluation.returns[place].mean())
        row = {"step": step, "seed": seed, "return": mean, "length": float(evaluation.lengths[place].mean())}
        found.append(row | ({"score": float(score(mean))} if score else {}))
    return found


def _seed(seed: int, step: int) -> int:
    """A seed for this evaluation."""
    return int.from_bytes(hashlib.blake2b(f"evaluation:{seed}:{step}".encode(), digest_size=6).digest(), "little")
