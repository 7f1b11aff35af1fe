"""Implicit Q-learning: expectile regression of V, advantage-weighted regression of the policy (Kostrikov, Nair, Levine 2021).

The due values are those of the fixed point V(s) = expectile over a ~ data of Q(s, a), Q(s, a) = r + discount · E V(s').
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from accelerated import expectile_loss, exponential_weights, value_target, weighted_policy_loss
from accelerated.agents import networks, policies
from accelerated.agents.batch import Batch, Space
from accelerated.agents.optimizers import KINDS, SCHEDULES, Optimizer
from accelerated.agents.ranges import check
from accelerated.agents.state import State, streams_for
from accelerated.agents.streams import Streams

NAME = "iql"
MEMORY = "dataset"
ORDERS = ("author", "simultaneous", "target_first")
REDUCTIONS = ("sum", "mean")
TRANSFORMS = ("none", "locomotion", "antmaze")


@dataclass(frozen=True)
class Config:
    """The authors' code, github.com/ikostrikov/implicit_q_learning; its defaults are those for locomotion.

    expectile            of the action values that V regresses to
    inverse_temperature  multiplies the advantage in the policy's weights, which max_weight bounds after the exponential
    critic_reduction     how the squared errors of the two critics make one loss
    order                "author": V, then policy and critic with the new V, then the targets; "simultaneous": all three from the
                         old parameters, then the targets; "target_first": the targets, then all three from the old parameters
    policy_schedule      of the policy's learning rate; over decay_steps, the number of updates
    dropout              of the policy's hidden layers, while it learns
    reward_transform     what datasets.py does to rewards, offline and online
    buffer_size ...      of online fine-tuning: one update for every step in the environment
    """

    discount: float = 0.99
    expectile: float = 0.7
    inverse_temperature: float = 3.0
    max_weight: float = 100.0
    batch_size: int = 256
    policy_learning_rate: float = 3e-4
    value_learning_rate: float = 3e-4
    critic_learning_rate: float = 3e-4
    optimizer: str = "adam"
    policy_schedule: str = "cosine"
    decay_steps: int = 1_000_000
    polyak_step: float = 0.005
    hidden: tuple[int, ...] = (256, 256)
    init: str = "orthogonal"
    dropout: float = 0.0
    critic_reduction: str = "sum"
    order: str = "author"
    reward_transform: str = "locomotion"
    buffer_size: int = 2_000_000
    learning_starts: int = 0
    update_every: int = 1
    updates_per_round: int = 1
    envs: int = 1

    def __post_init__(self) -> None:
        options = {"order": ORDERS, "critic_reduction": REDUCTIONS, "reward_transform": TRANSFORMS}
        check(self, **options, optimizer=KINDS, policy_schedule=SCHEDULES)


PRESETS: dict[str, dict[str, object]] = {  # configs/*.py of the authors' code
    "author": {},
    "author:locomotion": {"expectile": 0.7, "inverse_temperature": 3.0, "reward_transform": "locomotion"},
    "author:antmaze": {"expectile": 0.9, "inverse_temperature": 10.0, "reward_transform": "antmaze"},
    "author:kitchen": {"expectile": 0.7, "inverse_temperature": 0.5, "dropout": 0.1, "reward_transform": "none"},
    "author:adroit": {"expectile": 0.7, "inverse_temperature": 0.5, "dropout": 0.1, "reward_transform": "none"},
    "author:antmaze-finetune": {
        "expectile": 0.9,
        "inverse_temperature": 10.0,
        "reward_transform": "antmaze",
        "policy_schedule": "constant",
    },
}


# ---------------------------------------------------------------------------------------------------- networks


class Networks(NamedTuple):
    """The shapes of what State.networks holds; the target critic is shaped like the critic."""

    critic: networks.Network
    value: networks.Network
    policy: policies.Policy


@cache
def shapes(config: Any, space: Space) -> Networks:
    """Twin critics, of state and action or with one output for each discrete action; one V; the policy."""
    options: dict[str, Any] = {"hidden": config.hidden, "init": config.init}
    outputs = space.actions if space.discrete else 1
    return Networks(
        networks.network_for(space, outputs=outputs, members=2, with_actions=not space.discrete, **options),
        networks.network_for(space, outputs=1, **options),
        policy_shape(config, space),
    )


@cache
def policy_shape(config: Any, space: Space) -> policies.Policy:
    """N(tanh(network), exp(log_std)²) with one log_std for all states, not squashed; softmax where actions are discrete."""
    return policies.policy_for(space, hidden=config.hidden, init=config.init, dropout=config.dropout)


def init(
    config: Any, space: Space, seeds: Sequence[int], *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
) -> State:
    """New networks for each seed; the target critics start as the critics."""
    made: dict[str, Any] = {
        name: network.init(Streams(seeds, name, device), dtype=dtype, device=device)
        for name, network in shapes(config, space)._asdict().items()
    }
    made["target_critic"] = networks.copy(made["critic"])
    moved = ("policy", "value", "critic")
    optimizers = {name: optimizer_of(config, name, made[name]) for name in moved}
    return State(config, space, tuple(seeds), made, optimizers, streams_for(seeds, ("actions", "dropout"), device))


def optimizer_of(config: Any, name: str, parameters: dict[str, Tensor]) -> Optimizer:
    """The optimizer of one network; the policy's rate alone follows a schedule."""
    schedule = config.policy_schedule if name == "policy" else "constant"
    rate = getattr(config, f"{name}_learning_rate")
    return Optimizer(parameters, learning_rate=rate, kind=config.optimizer, schedule=schedule, decay_steps=config.decay_steps)


@torch.no_grad()
def act(state: State, observations: Tensor, *, explore: bool) -> Tensor:
    """The policy's mode, or a draw from it, clipped to the action's bounds; [seeds, n, *] -> [seeds, n] or [seeds, n, D]."""
    policy, parameters = policy_shape(state.config, state.space), state.networks["policy"]
    if explore:
        return policy.sample(parameters, observations, state.streams["actions"])
    return policy.mode(parameters, observations)


# ------------------------------------------------------------------------------------------------------ losses


class Estimates(NamedTuple):
    """What the losses take as given, [seeds, batch] each: min Q(s, a) of the target critics, V(s) and V(s')."""

    q: Tensor
    value: Tensor
    next_value: Tensor


def value_loss(state: State, batch: Batch, target_q: Tensor | None = None) -> Tensor:
    """Mean of expectile_loss(Q(s, a) - V(s)), Q the smaller target critic; -> [seeds]."""
    q = smaller_q(state, batch) if target_q is None else target_q
    value = shapes(state.config, state.space).value(state.networks["value"], batch.observations)
    return expectile_loss(q - value[:, 0, :, 0], expectile=state.config.expectile).mean(-1)


def policy_loss(state: State, batch: Batch, given: Estimates | None = None) -> Tensor:
    """-mean of min(exp(inverse_temperature · (Q - V)), max_weight) · log policy(a|s); -> [seeds]."""
    config, given = state.config, given or estimates(state, batch)
    weight = exponential_weights(given.q - given.value, temperature=1 / config.inverse_temperature, max_weight=config.max_weight)
    return weighted_policy_loss(log_prob(state, batch), weight).mean(-1)


def critic_loss(state: State, batch: Batch, given: Estimates | None = None) -> Tensor:
    """Squared distance of each critic from r + discount · V(s'), the mean over the batch; -> [seeds]."""
    given = given or estimates(state, batch)
    target = value_target(batch.rewards, batch.terminations, given.next_value, discount=batch.discounts)
    return squared_errors(state, batch, target)


LOSSES: dict[str, tuple[str, Callable[[State, Batch], Tensor]]] = {
    "value_loss": ("value", value_loss),
    "policy_loss": ("policy", policy_loss),
    "critic_loss": ("critic", critic_loss),
}


def log_prob(state: State, batch: Batch) -> Tensor:
    """log policy(a|s) with fresh dropout where there is some; -> [seeds, batch]."""
    dropout = state.streams["dropout"] if state.config.dropout else None
    policy = policy_shape(state.config, state.space)
    return policy.log_prob(state.networks["policy"], batch.observations, batch.actions, dropout=dropout)


def squared_errors(state: State, batch: Batch, target: Tensor) -> Tensor:
    """Σ or mean over the critics of (target - Q)², the mean over the batch; expectile_loss at 0.5 is half a square; -> [seeds]."""
    q = q_of(state, "critic", batch.observations, batch.actions)
    error = target.unsqueeze(1).expand_as(q) - q
    squares = 2 * expectile_loss(error, expectile=0.5).mean(-1)
    return squares.sum(-1) if state.config.critic_reduction == "sum" else squares.mean(-1)


def q_of(state: State, critic: str, observations: Tensor, actions: Tensor) -> Tensor:
    """Q(s, a) of each of the two critics; -> [seeds, 2, batch]."""
    network, parameters = shapes(state.config, state.space).critic, state.networks[critic]
    if not state.space.discrete:
        return network(parameters, observations, actions).squeeze(-1)
    q = network(parameters, observations)
    return q.gather(-1, actions[:, None, :, None].expand(*q.shape[:-1], 1)).squeeze(-1)


@torch.no_grad()
def smaller_q(state: State, batch: Batch) -> Tensor:
    """The smaller of the two target critics at (s, a); -> [seeds, batch]."""
    return q_of(state, "target_critic", batch.observations, batch.actions).amin(1)


@torch.no_grad()
def estimates(state: State, batch: Batch, target_q: Tensor | None = None) -> Estimates:
    """Everything that is given to the losses; V of both states in one pass."""
    q = smaller_q(state, batch) if target_q is None else target_q
    both = torch.cat([batch.observations, batch.next_observations], 1)
    values = shapes(state.config, state.space).value(state.networks["value"], both)[:, 0, :, 0]
    size = batch.rewards.shape[1]
    return Estimates(q, values[:, :size], values[:, size:])


# ------------------------------------------------------------------------------------------------------ update


def update(state: State, batch: Batch) -> dict[str, Tensor]:
    """One step of V, policy and critic in the order of the configuration, and one of the target critics."""
    return descend(state, batch, critic_loss)


def descend(state: State, batch: Batch, critic: Callable[[State, Batch, Estimates], Tensor]) -> dict[str, Tensor]:
    """`update` with any loss of the critic; policy and critic read nothing of each other, so their steps may be made as one."""
    order = state.config.order
    if order == "target_first":
        track(state)
    q = smaller_q(state, batch)
    losses = {"value": value_loss(state, batch, q)}
    if order == "author":
        step(state, losses)
    given = estimates(state, batch, q)
    later = {"policy": policy_loss(state, batch, given), "critic": critic(state, batch, given)}
    step(state, later if order == "author" else losses | later)
    if order != "target_first":
        track(state)
    state.updates += 1
    metrics = {f"{name}_loss": loss.detach() for name, loss in (losses | later).items()}
    return metrics | {"q": q.mean(-1), "value": given.value.mean(-1)}


def step(state: State, losses: dict[str, Tensor]) -> None:
    """One step of each network down its loss [seeds], all gradients before any step."""
    gradients = {name: state.optimizers[name].gradients(loss) for name, loss in losses.items()}
    for name, gradient in gradients.items():
        state.optimizers[name].apply(gradient)


def track(state: State) -> None:
    """The target critics follow the critics."""
    networks.track(state.networks["target_critic"], state.networks["critic"], polyak_step=state.config.polyak_step)
