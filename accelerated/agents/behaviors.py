"""The distribution that acted, stored with every step: what is known of it in each state, and actions drawn from it again."""

from typing import NamedTuple

import torch
from torch import Tensor

from accelerated import boltzmann, sample_boltzmann, sample_gaussian
from accelerated.agents import normalizers, policies
from accelerated.agents.awr import policy_shape, prepared
from accelerated.agents.rollouts import Rollout
from accelerated.agents.state import State


@torch.no_grad()
def behavior(state: State, observations: Tensor) -> Tensor:
    """The policy's logits, or mean and log standard deviation; [seeds, n, *] -> [seeds, n, A] or [seeds, n, 2 D]."""
    return said(state, normalizers.normalized(state.tensors, observations))


def said(state: State, shown: Tensor) -> Tensor:
    """`behavior` where the observations are normalised."""
    policy, parameters = policy_shape(state.config, state.space), state.networks["policy"]
    if isinstance(policy, policies.Categorical):
        return policy.logits(parameters, shown)
    return torch.cat(policy.distribution(parameters, shown), -1)


@torch.no_grad()
def remembered(state: State, rollout: Rollout) -> Rollout:
    """The rollout with observations normalised and with a behaviour: of data without one, a Gaussian around the action taken.

    raises  ValueError where the actions are discrete and come without
    """
    shown = prepared(state, rollout)
    if shown.behavior is not None:
        return shown
    policy = policy_shape(state.config, state.space)
    if isinstance(policy, policies.Categorical):
        raise ValueError("behavior must be given where actions are discrete: QWR samples from it; got None")
    log_std = policy.distribution(state.networks["policy"], shown.observations[:, 0, :1]).log_std
    return shown._replace(behavior=torch.cat([shown.actions, log_std.unsqueeze(1).expand_as(shown.actions)], -1))


@torch.no_grad()
def ahead(state: State, shown: Rollout) -> Rollout:
    """The rollout with the behaviour in each next state: the next step's, and the policy's as it is where no step followed."""
    assert shown.behavior is not None
    after = shown.behavior.roll(-1, 2)
    open_ends = (shown.truncations & ~shown.terminations).flatten(1)
    places = open_ends.any(0).nonzero().squeeze(-1)
    known, now = after.flatten(1, 2), said(state, shown.next_observations.flatten(1, 2)[:, places])
    known[:, places] = torch.where(open_ends[:, places].unsqueeze(-1), now, known[:, places])
    return shown._replace(behavior=known.reshape(after.shape))


class Sample(NamedTuple):
    """Actions [seeds, batch, k] or [seeds, batch, k, D], and their probability where they are all that there are."""

    actions: Tensor
    probability: Tensor | None


@torch.no_grad()
def sample(state: State, behaved: Tensor) -> Sample:
    """Draws from the behaviour [seeds, batch, W], or every action."""
    count, streams = state.config.samples, state.streams["samples"]
    if count is None:
        probability = boltzmann(behaved, temperature=1.0)
        return Sample(torch.arange(state.space.actions, device=behaved.device).expand(behaved.shape), probability)
    wide = behaved.unsqueeze(2).expand(-1, -1, count, -1)
    if state.space.discrete:
        return Sample(streams.each(lambda seed, g: sample_boltzmann(wide[seed], temperature=1.0, generator=g)), None)
    mean, log_std = wide.chunk(2, -1)
    return Sample(streams.each(lambda seed, g: sample_gaussian(mean[seed], log_std[seed], generator=g)), None)
