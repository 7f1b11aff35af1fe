"""What is expected of a state, subtracted from returns: nothing, a linear function of features, or a network.

State.config says which: baseline "none", "linear" or "network". The parameters are State.networks["value"], so that resumption and
the checks of gradients treat all kinds alike.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from accelerated import expectile_loss
from accelerated.agents import normalizers
from accelerated.agents.batch import Parameters, Space
from accelerated.agents.networks import Network, network_for
from accelerated.agents.rollouts import Rollout, taken
from accelerated.agents.state import State
from accelerated.agents.streams import Streams

KINDS = ("none", "linear", "network")
RIDGE = 1e-5
FARTHEST = 10.0
"""Observations are clipped to this on both sides before they are features."""


class Values(NamedTuple):
    """V(s) and V(s'), [seeds, envs, T] each."""

    value: Tensor
    next_value: Tensor


@cache
def network(config: Any, space: Space) -> Network:
    """The network baseline's shape; the outputs begin with gain 1."""
    return network_for(space, outputs=1, hidden=config.hidden, activation=config.activation, init=config.init, last_gain=1.0)


def begin(config: Any, space: Space, streams: Streams, *, dtype: torch.dtype, device: torch.device | str) -> Parameters:
    """The first parameters of the baseline; a linear one begins as 0, no baseline has none."""
    if config.baseline == "none":
        return {}
    if config.baseline == "network":
        return network(config, space).init(streams, dtype=dtype, device=device)
    return {"weight": torch.zeros(len(streams), 1, features_of(space), dtype=dtype, device=device)}


@torch.no_grad()
def values(state: State, rollout: Rollout) -> Values:
    """V of both states of every step, constants."""
    now = predicted(state, rollout.observations, rollout.times)
    return Values(now, predicted(state, rollout.next_observations, rollout.times + 1))


def predicted(state: State, observations: Tensor, times: Tensor) -> Tensor:
    """V, differentiable in State.networks["value"]; [seeds, ..., *shape], [seeds, ...] -> [seeds, ...]."""
    rows, clock = observations.flatten(1, times.ndim - 1), times.flatten(1)
    if state.config.baseline == "none":
        like = next(iter(state.networks["policy"].values()))
        return like.new_zeros(times.shape)
    parameters = state.networks["value"]
    if state.config.baseline == "network":
        found = network(state.config, state.space)(parameters, seen(state, rows))[:, 0, :, 0]
    else:
        weight = parameters["weight"]
        found = (features(state.space, rows, clock) @ weight.double().mT)[..., 0].to(weight.dtype)
    return found.reshape(times.shape)


def value_loss(state: State, observations: Tensor, times: Tensor, target: Tensor) -> Tensor:
    """The mean of ½(target − V)², which is `expectile_loss` at 0.5; [seeds, n, *shape], [seeds, n] twice -> [seeds]."""
    return expectile_loss(target - predicted(state, observations, times), expectile=0.5).mean(-1)


def fit(state: State, rollout: Rollout, target: Tensor) -> dict[str, Tensor]:
    """Regress V to the targets, [seeds, envs, T] or flat: by one solution, or `value_epochs` passes of the network's optimizer."""
    if state.config.baseline == "none":
        return {}
    rows = rollout.observations.flatten(1, 2), rollout.times.flatten(1), target.flatten(1)
    if state.config.baseline == "linear":
        solution = solve(features(state.space, rows[0], rows[1]), rows[2].double())
        with torch.no_grad():
            state.networks["value"]["weight"].copy_(solution.unsqueeze(1))
        return {"value_loss": value_loss(state, *rows).detach()}
    losses = []
    for _ in range(state.config.value_epochs):
        for places in minibatches(rollout, state.streams["value_batches"], state.config.value_batch_size):
            loss = value_loss(state, *(taken(column, places) for column in rows))
            state.optimizers["value"].step(loss)
            losses.append(loss.detach())
    return {"value_loss": torch.stack(losses).mean(0)}


def minibatches(rollout: Rollout, streams: Streams, batch_size: int | None) -> Iterator[Tensor]:
    """Places in the flat rollout, int64 [seeds, batch], each exactly once a pass in an order of the seed's own.

    The last batch is smaller where the size does not divide; None: all places at once, in order, nothing drawn.
    """
    seeds, count = rollout.rewards.shape[0], rollout.rewards[0].numel()
    device = rollout.rewards.device
    if batch_size is None:
        yield torch.arange(count, device=device).expand(seeds, -1)
        return
    order = streams.each(lambda _, generator: torch.randperm(count, generator=generator, device=streams.device))
    yield from torch.split(order.to(device), batch_size, 1)


# ---------------------------------------------------------------------------------------------------- the linear one


def features_of(space: Space) -> int:
    """How many features there are.

    raises  ValueError for images
    """
    if len(space.observation_shape) > 1:
        raise ValueError(f"a linear baseline takes states or flat observations; got shape {space.observation_shape}")
    return (space.states or 2 * torch.Size(space.observation_shape).numel()) + 4


def features(space: Space, observations: Tensor, times: Tensor) -> Tensor:
    """[o, o², t, t², t³, 1] in float64, o clipped to ±10 and t the time / 100 (rllab's LinearFeatureBaseline); [seeds, n, F].

    A state is one-hot, and its own square.
    """
    clock = times.double().unsqueeze(-1) / 100
    time = [clock, clock.square(), clock**3, torch.ones_like(clock)]
    if space.states:
        return torch.cat([torch.nn.functional.one_hot(observations, space.states).double(), *time], -1)
    o = observations.double().clamp(-FARTHEST, FARTHEST)
    return torch.cat([o, o.square(), *time], -1)


def solve(rows: Tensor, target: Tensor) -> Tensor:
    """argmin |rows·w − target|² + ridge·|w|² of each seed, [seeds, n, F], [seeds, n] -> [seeds, F].

    Least squares of the rows with √ridge·I below them, which squares no condition number.
    """
    below = torch.eye(rows.shape[-1], dtype=rows.dtype, device=rows.device).mul(RIDGE**0.5).expand(len(rows), -1, -1)
    right = torch.cat([target, target.new_zeros(below.shape[:2])], 1)
    found = torch.linalg.lstsq(torch.cat([rows, below], 1), right.unsqueeze(-1), driver="gels")
    solution: Tensor = found.solution[..., 0]
    return solution


def seen(state: State, observations: Tensor) -> Tensor:
    """What the networks are shown of observations [seeds, n, *shape]: normalised where the configuration says so."""
    if not state.config.normalize_observations:
        return observations
    return normalizers.normalized(state.tensors, observations, clip=state.config.observation_clip)
