"""What the toy maze's data is, and what tables must learn from it: the fixed points of its empirical process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

import accelerated
from accelerated.agents.batch import Batch
from accelerated.agents.finite_processes import FiniteProcess
from accelerated.agents.finite_worlds import FiniteWorlds
from accelerated.agents.streams import Streams

GOAL = 0
ROWS_OF_A_STATE = 256
"""What the rows of rarely visited states are repeated up to."""


class Data(NamedTuple):
    """One data seed's transitions, [N] each; `known` is whether the next action is known, or not needed."""

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    next_observations: Tensor
    terminations: Tensor
    next_actions: Tensor
    known: Tensor


class FixedPoint(NamedTuple):
    """What tables converge to: V [S] and Q [S, A], and how many times each action was taken in each state, [S, A]."""

    value: Tensor
    q: Tensor
    times: Tensor


def collected(process: FiniteProcess, best: Tensor, *, seeds: Sequence[int], trajectories: int) -> list[Data]:
    """One trajectory of the policy `best` [S], the others uniformly random, for each data seed."""
    worlds = FiniteWorlds(process, seeds=seeds, envs=trajectories, dtype=torch.float64)
    random = Streams(seeds, "behaviour").integers(worlds.space.actions, process.max_episode_steps, trajectories)
    observations, steps = worlds.reset(), []
    going = torch.ones_like(observations, dtype=torch.bool)
    for time in range(process.max_episode_steps):
        actions = random[:, time].clone()
        actions[:, 0] = best[observations[:, 0]]
        found = worlds.step(actions)
        steps.append((observations, actions, found.rewards, found.next_observations, found.terminations, going))
        observations, going = found.observations, going & ~(found.terminations | found.truncations)
    # [seeds, trajectories, time] each: rows of a trajectory follow each other
    *columns, lived = (torch.stack(column, -1) for column in zip(*steps, strict=True))
    following = torch.cat([columns[1][..., 1:], torch.zeros_like(columns[1][..., :1])], -1)
    later = torch.cat([lived[..., 1:], torch.zeros_like(lived[..., :1])], -1)
    columns += [following, later | columns[4]]
    return [Data(*(column[place][lived[place]] for column in columns)) for place in range(len(seeds))]


def with_next_actions(data: Data) -> Data:
    """The rows that a SARSA target can use."""
    return Data(*(column[data.known] for column in data))


def balanced(data: Sequence[Data], *, discount: float, dtype: torch.dtype) -> Batch:
    """All rows of each seed's data in one batch [seeds, B], those of rarely visited states repeated.

    A table's fixed point depends on what was done and what followed within each state, not on how often the state was visited:
    each row of a state is repeated equally often, so that a step moves all states at a like rate. Shorter data is filled up with
    rows of the goal, which is never acted in and whose value is never read.
    """
    rows = [_repeated(one.observations) for one in data]
    size = max(map(len, rows))

    def column(name: str, fill: float) -> Tensor:
        picked = [getattr(one, name)[row] for one, row in zip(data, rows, strict=True)]
        return torch.stack([torch.cat([x, x.new_full((size - len(x),), fill)]) for x in picked])

    return Batch(
        column("observations", GOAL),
        column("actions", 0),
        column("rewards", 0).to(dtype),
        column("next_observations", GOAL),
        column("terminations", True),
        torch.full((len(data), size), discount, dtype=dtype),
        column("next_actions", 0),
    )


def _repeated(states: Tensor) -> Tensor:
    visits = torch.bincount(states).clamp(min=1)
    times = (ROWS_OF_A_STATE / visits).round().clamp(min=1).long()
    return torch.repeat_interleave(torch.arange(len(states)), times[states])


def largest_shares(batch: Batch, states: int, actions: int) -> tuple[float, float]:
    """The largest part of a batch that one state has, and that one state and action have; the goal is not counted."""
    pairs = batch.observations * actions + batch.actions
    counts = torch.stack([torch.bincount(row, minlength=states * actions) for row in pairs]).reshape(-1, states, actions)
    shares = counts[:, GOAL + 1 :].double() / batch.actions.shape[1]
    return float(shares.sum(-1).max()), float(shares.max())


def counted(data: Data, states: int, actions: int) -> Tensor:
    """How often each action was taken in each state, [S, A]."""
    return torch.bincount(data.observations * actions + data.actions, minlength=states * actions).reshape(states, actions).double()


def behavior(count: Tensor) -> Tensor:
    """The share of each action [S, A]; uniform where no action was taken."""
    total = count.sum(-1, keepdim=True)
    return torch.where(total > 0, count / total.clamp(min=1), 1 / count.shape[-1])


def empirical_model(data: Data, states: int, actions: int) -> tuple[Tensor, Tensor]:
    """Transition [S, A, S] and reward [S, A] as they occurred; what never occurred stays where it is, unpaid."""
    return _averages(data.observations * actions + data.actions, data.next_observations, data.rewards, states * actions, states)


def _averages(pairs: Tensor, successors: Tensor, rewards: Tensor, rows: int, states: int) -> tuple[Tensor, Tensor]:
    """Means over the transitions of each pair (s, a), the pairs of one state next to each other."""
    count = torch.bincount(pairs, minlength=rows).double()
    seen = torch.bincount(pairs * states + successors, minlength=rows * states).reshape(rows, states).double()
    itself = torch.eye(states, dtype=torch.float64).repeat_interleave(rows // states, 0)
    transition = torch.where(count[:, None] > 0, seen / count.clamp(min=1)[:, None], itself)
    reward = torch.bincount(pairs, weights=rewards, minlength=rows) / count.clamp(min=1)
    return transition.reshape(states, -1, states), reward.reshape(states, -1)


def expectile_fixed_point(data: Data, states: int, actions: int, *, expectile: float, discount: float) -> FixedPoint:
    """IQL's: V(s) the expectile of Q(s, a) over the data's actions; iterated until rounding is all that moves."""
    transition, reward = empirical_model(data, states, actions)
    count = counted(data, states, actions)
    chances, value = behavior(count), reward.new_zeros(states)
    with accelerated.check_values(False):
        for _ in range(1000):
            before = value
            value = accelerated.expectile_backup(value, chances, transition, reward, expectile=expectile, discount=discount)
            if float((value - before).abs().max()) < 1e-12:
                break
    return FixedPoint(value, accelerated.action_values(value, transition, reward, discount=discount), count)


def sarsa_fixed_point(data: Data, states: int, actions: int, *, discount: float) -> FixedPoint:
    """One-step's: Q of the process whose states are the pairs (s, a), each followed by the pair that followed it; V its mean.

    data  with next actions only
    """
    pairs, size = data.observations * actions + data.actions, states * actions
    following = torch.where(data.terminations, GOAL * actions, data.next_observations * actions + data.next_actions)
    transition, reward = _averages(pairs, following, data.rewards, size, size)
    one = torch.ones(size, 1, dtype=torch.float64)
    q = accelerated.solve_policy(one, transition, reward, discount=discount).reshape(states, actions)
    count = counted(data, states, actions)
    return FixedPoint(accelerated.expectile(q, behavior(count), expectile=0.5), q, count)
