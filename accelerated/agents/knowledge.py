"""What each agent says of states and actions, in the units of the rewards and of the actions: what verify.py compares."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from accelerated.agents import actor_critics, awr, baselines, iql, normalizers, on_policy, policies, qprop, qwr, sac
from accelerated.agents.state import State

EXTRACTED = ("iql", "one_step", "bc")
WEIGHTED = ("awr", "qwr")
ON_POLICY = ("reinforce", "ppo", "trpo", "qprop")
"""Agents whose networks are those of iql.py, of awr.py and of on_policy.py; others' are those of actor_critics.py."""


class Said(NamedTuple):
    """What a policy does: the action without noise and before any clipping, and the log standard deviation of the noise, if any.

    mean     [seeds, n, D]; where noise goes through tanh, that of no noise
    log_std  [seeds, n, D], of what goes through tanh where something does; None where there is no noise
    """

    mean: Tensor
    log_std: Tensor | None


def named(state: State, kind: str) -> list[str]:
    """The networks of a kind: "critic" and "target_critic"."""
    return [name for name in state.networks if name in (kind, f"target_{kind}")]


def shown(name: str, state: State, observations: Tensor) -> Tensor:
    """What the networks see of observations."""
    if name in ON_POLICY:
        return baselines.seen(state, observations)
    return normalizers.normalized(state.tensors, observations) if name in WEIGHTED else observations


def critic(name: str, state: State, network: str, observations: Tensor, actions: Tensor | None = None) -> Tensor:
    """Q of each member at actions, [seeds, members, n], or without them at every discrete action, [seeds, members, n, A]."""
    parameters, pair = state.networks[network], (shown(name, state, observations), actions)
    if name in EXTRACTED:
        found = iql.shapes(state.config, state.space).critic(parameters, *pair)
    elif name == "qwr":
        found = qwr.shapes(state.config, state.space).critic(parameters, *pair) / awr.unit(state.config)
    elif name == "qprop":
        found = qprop.critic_shape(state.config, state.space)(parameters, *pair)
    else:
        found = actor_critics.shape_of(state, parameters)(parameters, *pair)
    return found if actions is None else found[..., 0]


def value(name: str, state: State, observations: Tensor) -> Tensor:
    """V, at the beginning of an episode where it knows the time; [seeds, n, *] -> [seeds, n]."""
    if name in EXTRACTED:
        return iql.shapes(state.config, state.space).value(state.networks["value"], observations)[:, 0, :, 0]
    if name == "awr":
        return awr.values(state, shown(name, state, observations).unsqueeze(1))[:, 0]
    times = torch.zeros(observations.shape[:2], dtype=torch.int64, device=observations.device)
    return baselines.predicted(state, observations, times)


def policy(name: str, state: State, network: str, observations: Tensor) -> Said:
    """Of continuous actions."""
    if hasattr(state.config, "tanh_mean"):
        return Said(actor_critics.mean_action(state, network, observations), None)
    shape, parameters = shape_of_policy(name, state), state.networks[network]
    assert isinstance(shape, policies.Gaussian)
    mean, log_std = shape.distribution(parameters, shown(name, state, observations))
    if name != "sac":
        return Said(mean, log_std)
    action = actor_critics.in_box(state.space, mean, squashed=state.config.squash)
    return Said(action, log_std if state.config.squash else log_std + policies.bounds(state.space, mean).log_half_width)


def probabilities(name: str, state: State, observations: Tensor) -> Tensor:
    """Of each discrete action, [seeds, n, A]."""
    shape = shape_of_policy(name, state)
    assert isinstance(shape, policies.Categorical)
    return shape.probabilities(state.networks["policy"], shown(name, state, observations))


def shape_of_policy(name: str, state: State) -> policies.Policy:
    """A head of policies.py."""
    given: tuple[Any, Any] = (state.config, state.space)
    if name in ON_POLICY:
        return on_policy.shapes(*given).policy
    if name in WEIGHTED:
        return awr.policy_shape(*given)
    return iql.policy_shape(*given) if name in EXTRACTED else sac.policy_shape(*given)
