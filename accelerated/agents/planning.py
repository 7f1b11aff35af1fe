"""Agents that are given the model: value iteration and Q-value iteration, one backup of every state an update.

V <- max_a (R + discount · P V)          value_iteration
Q <- R + discount · P max_a Q            q_value_iteration
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from accelerated import action_values, optimality_backup, q_optimality_backup
from accelerated.agents.batch import Space
from accelerated.agents.ranges import check
from accelerated.agents.state import State
from accelerated.agents.tables import Agent, finite, rows, table


@dataclass(frozen=True)
class Config:
    """`initial_value` is what every entry begins with, terminal states too; those are worth 0 after the first update."""

    discount: float = 0.99
    initial_value: float = 0.0

    def __post_init__(self) -> None:
        check(self)


PRESETS: dict[str, dict[str, object]] = {"author": {}, "lecture": {"discount": 0.9}}


def known(model: Any, space: Space, *, dtype: torch.dtype, device: torch.device | str) -> dict[str, Tensor]:
    """The model's tensors in the agent's type; of a sparse transition its three parts, which a checkpoint can hold.

    raises  ValueError without a model, or if it does not fit the space
    """
    finite(space)
    if model is None:
        raise ValueError("model must be (transition, reward, terminal, start); got None")
    transition, reward = (part.to(device=device, dtype=dtype) for part in model[:2])
    pairs = space.states, space.actions
    due = (*pairs, space.states) if transition.layout == torch.strided else (space.states * space.actions, space.states)
    if tuple(reward.shape) != pairs or tuple(transition.shape) != due:
        found = f"transition {list(transition.shape)} and reward {list(reward.shape)}"
        raise ValueError(f"the model must have {space.states} states and {space.actions} actions; got {found}")
    if transition.layout == torch.strided:
        return {"transition": transition, "reward": reward}
    parts = {"crow": transition.crow_indices(), "col": transition.col_indices(), "probability": transition.values()}
    return parts | {"reward": reward}


def model_of(state: State) -> tuple[Tensor, Tensor]:
    """transition, dense [S, A, S] or CSR [S*A, S], and reward [S, A]."""
    held = state.tensors
    if "transition" in held:
        return held["transition"], held["reward"]
    shape = state.space.states * state.space.actions, state.space.states
    matrix = torch.sparse_csr_tensor(held["crow"], held["col"], held["probability"], shape, check_invariants=False)
    return matrix, held["reward"]


def init_value(
    config: Config,
    space: Space,
    seeds: Sequence[int],
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    model: Any = None,
) -> State:
    """V [seeds, 1, S] for each seed, all alike: nothing here is random."""
    tensors = known(model, space, dtype=dtype, device=device)
    v = torch.full((len(seeds), 1, space.states), config.initial_value, dtype=dtype, device=device)
    return State(config, space, tuple(seeds), {"value": {"v": v}}, tensors=tensors)


def init_q(
    config: Config,
    space: Space,
    seeds: Sequence[int],
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    model: Any = None,
) -> State:
    """Q [seeds, 1, S, A] for each seed, all alike."""
    tensors = known(model, space, dtype=dtype, device=device)
    q = table(space, seeds, 1, config.initial_value, dtype=dtype, device=device)
    return State(config, space, tuple(seeds), {"critic": {"q": q}}, tensors=tensors)


@torch.no_grad()
def update_value(state: State, batch: None = None) -> dict[str, Tensor]:
    """One optimality backup; `change` is the largest of any state, [seeds]."""
    transition, reward = model_of(state)
    return _moved(
        state, state.networks["value"]["v"], lambda v: optimality_backup(v, transition, reward, discount=state.config.discount)
    )


@torch.no_grad()
def update_q(state: State, batch: None = None) -> dict[str, Tensor]:
    """One optimality backup; `change` is the largest of any entry, [seeds]."""
    transition, reward = model_of(state)
    return _moved(
        state, state.networks["critic"]["q"], lambda q: q_optimality_backup(q, transition, reward, discount=state.config.discount)
    )


def _moved(state: State, held: Tensor, backup: Any) -> dict[str, Tensor]:
    """Each seed's table replaced by its backup."""
    before = held.clone()
    held.copy_(torch.stack([backup(one[0]) for one in held]).unsqueeze(1))
    state.updates += 1
    return {"change": (held - before).abs().flatten(1).amax(1), "value": held.flatten(1).mean(1)}


@torch.no_grad()
def act_value(state: State, observations: Tensor, *, explore: bool) -> Tensor:
    """The first action that is greedy in R + discount · P V; [seeds, n] -> int64 [seeds, n]."""
    transition, reward = model_of(state)
    values = state.networks["value"]["v"][:, 0]
    q = torch.stack([action_values(v, transition, reward, discount=state.config.discount) for v in values])
    return rows(q.unsqueeze(1), observations)[:, 0].argmax(-1)


@torch.no_grad()
def act_q(state: State, observations: Tensor, *, explore: bool) -> Tensor:
    """The first greedy action; [seeds, n] -> int64 [seeds, n]."""
    return rows(state.networks["critic"]["q"], observations)[:, 0].argmax(-1)


VALUE_ITERATION = Agent(
    "value_iteration",
    "model",
    "Value iteration on the environment's own table.",
    Config,
    PRESETS,
    {},
    init_value,
    act_value,
    update_value,
)
Q_VALUE_ITERATION = Agent(
    "q_value_iteration", "model", "Q-value iteration on the environment's own table.", Config, PRESETS, {}, init_q, act_q, update_q
)
