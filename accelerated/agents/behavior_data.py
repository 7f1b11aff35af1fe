"""Data that hold each transition of a finite world exactly as often as a behavior makes it."""

from fractions import Fraction
from math import lcm
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from accelerated.agents.batch import Batch, Space
from accelerated.agents.datasets import Dataset
from accelerated.agents.finite_processes import FiniteProcess
from accelerated.agents.rollouts import Rollout, rollout_of

Array = NDArray[Any]
MOST = 4096
"""Probabilities of exact data are multiples of one over at most this."""


def exact_data(process: FiniteProcess, behavior: Array, device: str, following: bool) -> Dataset:
    """From each state before the end equally often, every (s, a, s'), and a' where `following`, as often as it is likely."""
    chances = np.asarray(process.model().transition) * behavior[:, :, None]
    alive = ~np.asarray(process.terminal)
    chances = chances * alive[:, None, None]
    if following:
        after = np.where(alive[:, None], behavior, np.eye(behavior.shape[1])[0])
        chances = chances[..., None] * after
    counts = multiples(chances)
    places = np.repeat(np.argwhere(counts > 0), counts[counts > 0], axis=0)
    columns = [torch.from_numpy(column.copy()).to(device) for column in places.T]
    s, a, after_s = columns[:3]
    rewards = process.payoff.amax(-1).to(device)[s, a]
    ends = process.terminal.to(device)[after_s]
    nobody = torch.zeros_like(ends)
    return Dataset(
        name="exact", source="exact", observations=s, actions=a, rewards=rewards, next_observations=after_s, terminations=ends,
        truncations=nobody, next_actions=columns[3] if following else torch.zeros_like(a),
        next_action_known=~nobody if following else nobody, rows_with_next_actions=torch.arange(len(s), device=device),
        space=Space((), torch.int64, behavior.shape[1], len(behavior)), environment=None, reference_scores=None,
    )  # fmt: skip


def multiples(chances: Array) -> NDArray[np.int64]:
    """The smallest whole numbers in these proportions."""
    parts = [Fraction(float(chance)).limit_denominator(MOST**2) for chance in np.unique(chances)]
    common = lcm(*(part.denominator for part in parts))
    if common > MOST:
        raise NotImplementedError(f"exact data need probabilities that are multiples of 1/{MOST} or more; got 1/{common}")
    return np.asarray(np.round(chances * common), dtype=np.int64)


def whole(dataset: Dataset, seeds: int, discount: float) -> Batch:
    """All of the data, for each seed."""
    columns = (dataset.observations, dataset.actions, dataset.rewards, dataset.next_observations, dataset.terminations)
    wide = [column.expand(seeds, -1) for column in columns]
    known = dataset.next_actions.expand(seeds, -1) if bool(dataset.next_action_known.any()) else None
    s, a, rewards, after, ends = wide
    return Batch(s, a, rewards, after, ends, discounts=torch.full_like(rewards, discount), next_actions=known)


def single_steps(dataset: Dataset, behavior: Array, seeds: int) -> Rollout:
    """All of the data as episodes of one step, for each seed; what the behavior says of each state is its log-probabilities."""
    log_behavior = torch.from_numpy(np.array(behavior, dtype=np.float64)).to(dataset.rewards.device).log()
    steps = rollout_of(dataset._replace(truncations=~dataset.terminations), seeds)
    return steps._replace(behavior=log_behavior[steps.observations])
