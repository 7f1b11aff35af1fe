"""What actors with critics of state and action share: networks, the box of actions, exploration, targets that follow."""

from collections.abc import Sequence
from functools import cache
from math import inf, isfinite
from typing import Any

import torch
from torch import Tensor

from accelerated import expectile_loss, polyak_update, smoothed_action, tanh_action
from accelerated.agents import networks, policies
from accelerated.agents.batch import Batch, Parameters, Space
from accelerated.agents.networks import Network, network_for
from accelerated.agents.optimizers import Optimizer
from accelerated.agents.state import State, streams_for
from accelerated.agents.streams import Streams

EXPLORATIONS = ("gaussian", "ornstein_uhlenbeck")

# ------------------------------------------------------------------------------------------------------- networks


@cache
def actor_shape(config: Any, space: Space) -> Network:
    """One output for each dimension of the action."""
    return network_for(space, outputs=space.actions, hidden=config.hidden, activation=config.activation, init=config.init)


@cache
def critic_shape(config: Any, space: Space, members: int) -> Network:
    """Q of state and action, or of every discrete action in a state."""
    return network_for(
        space,
        outputs=space.actions if space.discrete else 1,
        hidden=config.hidden,
        members=members,
        with_actions=not space.discrete,
        action_layer=0 if space.discrete else config.action_layer,
        torso=config.torso,
        activation=config.activation,
        init=config.init,
    )


def begun(config: Any, space: Space, seeds: Sequence[int], made: dict[str, Parameters], purposes: Sequence[str]) -> State:
    """A State of these networks, of which those with a learning rate in the configuration have an optimizer."""
    like = next(iter(made["critic"].values()))
    optimizers = {name: optimizer_of(config, name, made[name]) for name in made if hasattr(config, f"{name}_learning_rate")}
    tensors = {"steps": torch.zeros((), dtype=torch.int64, device=like.device)}
    if getattr(config, "exploration", None) == "ornstein_uhlenbeck":
        tensors["noise"] = like.new_zeros(len(seeds), config.envs, space.actions, requires_grad=False)
    return State(config, space, tuple(seeds), made, optimizers, streams_for(seeds, purposes, like.device), tensors)


def deterministic(
    config: Any, space: Space, seeds: Sequence[int], members: int, *, device: str | torch.device, dtype: torch.dtype
) -> State:
    """Actor and critics of each seed, and copies of both; noise is drawn for "actions" and for "target"s."""
    if space.discrete:
        raise ValueError(f"the actions must be continuous; got {space.actions} discrete ones")
    in_bounds(config, space, config.tanh_mean)
    shapes = {"policy": actor_shape(config, space), "critic": critic_shape(config, space, members)}
    made = {name: shape.init(Streams(seeds, name, device), dtype=dtype, device=device) for name, shape in shapes.items()}
    made |= {f"target_{name}": networks.copy(parameters) for name, parameters in made.items()}
    return begun(config, space, seeds, made, ("actions", "target"))


def in_bounds(config: Any, space: Space, squashed: bool) -> None:
    """Actions that are squashed, or drawn uniformly, have bounds.

    raises  ValueError naming those of the space
    """
    if (squashed or config.random_steps) and not all(map(isfinite, space.low + space.high)):
        raise ValueError(f"squashed or uniformly random actions need finite bounds; got {space.low}, {space.high}")


def optimizer_of(config: Any, name: str, parameters: Parameters) -> Optimizer:
    """The optimizer of one network; weights of the critic alone may decay."""
    return Optimizer(
        parameters,
        learning_rate=getattr(config, f"{name}_learning_rate"),
        kind=config.optimizer,
        weight_decay=getattr(config, "critic_weight_decay", 0.0) if name == "critic" else 0.0,
        max_grad_norm=config.max_grad_norm,
    )


# -------------------------------------------------------------------------------------------------- values, losses


def q_of(state: State, parameters: Parameters, observations: Tensor, actions: Tensor) -> Tensor:
    """Q(s, a) of each member; -> [seeds, members, batch]."""
    if not state.space.discrete:
        return shape_of(state, parameters)(parameters, observations, actions).squeeze(-1)
    q = all_q(state, parameters, observations)
    return q.gather(-1, actions[:, None, :, None].expand(*q.shape[:-1], 1)).squeeze(-1)


def all_q(state: State, parameters: Parameters, observations: Tensor) -> Tensor:
    """Q(s, ·) of each member over discrete actions; -> [seeds, members, batch, A]."""
    return shape_of(state, parameters)(parameters, observations)


def shape_of(state: State, critic: Parameters) -> Network:
    """The shape of these critics, however many there are."""
    return critic_shape(state.config, state.space, next(iter(critic.values())).shape[1])


def constant(critic: Parameters, members: int | None = None) -> Parameters:
    """The same critics, or the first of them, as constants: their gradient reaches the actions and no weight."""
    return {name: tensor.detach()[:, :members] for name, tensor in critic.items()}


def mean_action(state: State, actor: str, observations: Tensor) -> Tensor:
    """What the actor does in each state; [seeds, batch, *] -> [seeds, batch, D]."""
    output = actor_shape(state.config, state.space)(state.networks[actor], observations)
    return in_box(state.space, output[:, 0], squashed=state.config.tanh_mean)


def policy_loss(state: State, batch: Batch) -> Tensor:
    """-mean Q(s, mu(s)) of the first critic, whose gradient is -E[∇_a Q ∇mu] (Silver et al. 2014); -> [seeds]."""
    critic = constant(state.networks["critic"], 1)
    q = q_of(state, critic, batch.observations, mean_action(state, "policy", batch.observations))
    return -q[:, 0].mean(-1)


def squared_errors(state: State, batch: Batch, target: Tensor) -> Tensor:
    """(target - Q(s, a))² of each critic, their sum, the mean over the batch; -> [seeds]."""
    error = target.unsqueeze(1) - q_of(state, state.networks["critic"], batch.observations, batch.actions)
    return 2 * expectile_loss(error, expectile=0.5).mean(-1).sum(-1)


def track(state: State, *names: str) -> None:
    """The targets of these networks follow them."""
    for name in names:
        networks.track(state.networks[f"target_{name}"], state.networks[name], polyak_step=state.config.polyak_step)


# -------------------------------------------------------------------------------------------------------- actions


def in_box(space: Space, outputs: Tensor, *, squashed: bool) -> Tensor:
    """Outputs in units in which the box is [-1, 1] in those of the actions: through tanh, or as they are, also beyond it."""
    box = policies.bounds(space, outputs)
    if squashed:
        return tanh_action(outputs, low=box.low, high=box.high)
    return torch.addcmul(box.centre, box.half_width, outputs)


@torch.no_grad()
def perturbed(space: Space, actions: Tensor, noise: Tensor, *, noise_clip: float = inf) -> Tensor:
    """Actions with `smoothed_action`'s noise, which counts in units in which the box is [-1, 1]; clipped to the box."""
    box = policies.bounds(space, actions)
    units, low, high = ((each - box.centre) / box.half_width for each in (actions, box.low, box.high))
    moved = smoothed_action(units, noise, noise_clip=noise_clip, low=low, high=high)
    return policies.clipped(space, in_box(space, moved, squashed=False))


@torch.no_grad()
def act(state: State, observations: Tensor, *, explore: bool) -> Tensor:
    """The actor's action, or one that explores: uniform in the first `random_steps` steps, noisy after; [seeds, n, D]."""
    if explore and at_random(state, observations.shape[1]):
        return uniform(state, observations.shape[1])
    action = mean_action(state, "policy", observations)
    if not explore:
        return policies.clipped(state.space, action)
    return perturbed(state.space, action, exploration_noise(state, action))


def at_random(state: State, count: int) -> bool:
    """Whether the next steps are of the first `random_steps` of a seed's environment; they are counted."""
    steps = int(state.tensors["steps"])
    state.tensors["steps"] += count
    return bool(steps < state.config.random_steps)


def uniform(state: State, count: int) -> Tensor:
    """Actions that are all equally likely, in the type of the networks."""
    like = next(iter(state.networks["policy"].values()))
    return policies.uniform(state.space, state.streams["actions"], count, dtype=like.dtype)


def exploration_noise(state: State, like: Tensor) -> Tensor:
    """Independent in each step, or with reversion and the same kicks: x <- (1 - reversion) · x + noise."""
    config = state.config
    noise = torch.mul(config.exploration_noise, state.streams["actions"].normal(*like.shape[1:], dtype=like.dtype))
    if config.exploration == "ornstein_uhlenbeck":
        noise = polyak_update(state.tensors["noise"], noise / config.noise_reversion, polyak_step=config.noise_reversion)
        state.tensors["noise"] = noise
    return noise


def cut(state: State, cut: Tensor) -> None:
    """Correlated noise begins anew where an episode ended; bool [seeds, envs]."""
    if "noise" in state.tensors:
        state.tensors["noise"] = state.tensors["noise"].masked_fill(cut.unsqueeze(-1), 0.0)
