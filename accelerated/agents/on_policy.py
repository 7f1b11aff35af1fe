"""What agents that learn from their own newest steps share: networks, acting, advantages, and the samples that losses take.

All functions take raw rollouts: observations are normalised where networks are shown them, by statistics that stand still from the
first action of a rollout to the last gradient that it is used for, so that log-probabilities of old actions are exact.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from accelerated import categorical_loss, gae, gaussian_entropy, gaussian_kl, lambda_returns
from accelerated.agents import baselines, normalizers, policies
from accelerated.agents.baselines import seen
from accelerated.agents.batch import Parameters, Space
from accelerated.agents.networks import Network
from accelerated.agents.optimizers import Optimizer
from accelerated.agents.rollouts import Rollout, taken
from accelerated.agents.state import State, streams_for
from accelerated.agents.streams import Streams


class Networks(NamedTuple):
    """Shapes of what State.networks holds; no value network where the baseline is none or linear."""

    policy: policies.Policy
    value: Network | None


class Advantages(NamedTuple):
    """Of every step, [seeds, envs, T] each: its advantage, and what V of its state should have been."""

    advantage: Tensor
    target: Tensor


class Samples(NamedTuple):
    """Steps in any order, [seeds, batch, ...], constants.

    observations  as they were
    actions       as they were drawn
    times         how many steps of the episode came before
    log_prob      of the actions, by the policy that drew them
    advantage     not standardised
    target        of V
    """

    observations: Tensor
    actions: Tensor
    times: Tensor
    log_prob: Tensor
    advantage: Tensor
    target: Tensor


# ---------------------------------------------------------------------------------------------- networks and acting


@cache
def shapes(config: Any, space: Space) -> Networks:
    """A Gaussian with linear mean and one log_std for all states, or a softmax; and the network of V."""
    policy = policies.policy_for(
        space,
        hidden=config.hidden,
        initial_log_std=config.initial_log_std,
        log_std_range=LOG_STD_RANGE,
        tanh_mean=False,
        activation=config.activation,
        init=config.init,
        last_gain=config.policy_gain,
    )
    return Networks(policy, baselines.network(config, space) if config.baseline == "network" else None)


LOG_STD_RANGE = (-20.0, 4.0)
"""No author bounds it; these keep the density within float32."""


def made(config: Any, space: Space, seeds: Sequence[int], rates: dict[str, float], **where: Any) -> State:
    """Policy and baseline of each seed, and an optimizer for each of `rates`; `where`: device and dtype."""
    device, dtype = where["device"], where["dtype"]
    policy = shapes(config, space).policy.init(Streams(seeds, "policy", device), dtype=dtype, device=device)
    found = {"policy": policy}
    if config.baseline != "none":
        found["value"] = baselines.begin(config, space, Streams(seeds, "value", device), **where)
    options: dict[str, Any] = {"kind": config.optimizer, "eps": config.optimizer_eps, "max_grad_norm": config.max_grad_norm}
    moved = [name for name in rates if name == "policy" or config.baseline == "network"]
    optimizers = {name: Optimizer(found[name], learning_rate=rates[name], **options) for name in moved}
    streams = streams_for(seeds, ("actions", "batches", "value_batches"), device)
    tensors = normalizers.begin(space, seeds, device) if config.normalize_observations else {}
    return State(config, space, tuple(seeds), found, optimizers, streams, tensors)


@torch.no_grad()
def act(state: State, observations: Tensor, *, explore: bool) -> Tensor:
    """A draw from the policy as it is, or its mode; [seeds, n, *shape] -> [seeds, n] or [seeds, n, D]."""
    policy, parameters = shapes(state.config, state.space).policy, state.networks["policy"]
    if explore:
        return policy.draw(parameters, seen(state, observations), state.streams["actions"])
    return policy.mode(parameters, seen(state, observations))


def finish(state: State, rollout: Rollout) -> None:
    """After the last use of a rollout: its observations are counted in, for the next one."""
    if state.config.normalize_observations:
        normalizers.observe(state.tensors, rollout.observations.flatten(1, 2))


# ------------------------------------------------------------------------------------------------------- advantages


@torch.no_grad()
def advantages(state: State, rollout: Rollout) -> Advantages:
    """GAE by the baseline as it is before it learns from these steps, and its targets; a cut bootstraps, where so configured."""
    config, (value, next_value) = state.config, baselines.values(state, rollout)
    ended = rollout.terminations if config.bootstrap_truncations else rollout.terminations | rollout.truncations
    same: dict[str, Any] = {"discount": config.discount}
    advantage = gae(rollout.rewards, ended, rollout.truncations, value, next_value, lambda_=config.lambda_, **same)
    target = lambda_returns(rollout.rewards, ended, rollout.truncations, next_value, lambda_=config.target_lambda, **same)
    return Advantages(advantage, target)


@torch.no_grad()
def samples(state: State, rollout: Rollout) -> Samples:
    """Every step of the rollout, those of all environments one after the other."""
    found = advantages(state, rollout)
    observations, actions = rollout.observations.flatten(1, 2), rollout.actions.flatten(1, 2)
    old = log_prob(state, observations, actions)
    return Samples(observations, actions, rollout.times.flatten(1), old, found.advantage.flatten(1), found.target.flatten(1))


def some(whole: Samples, places: Tensor) -> Samples:
    """The samples at places [seeds, batch]."""
    return Samples._make(taken(column, places) for column in whole)


def standardized(advantage: Tensor) -> Tensor:
    """(A − mean) / (standard deviation + 1e-8) over everything of a seed; 0 where all are equal; [seeds, ...]."""
    return normalizers.standardized(advantage, eps=1e-8)


# -------------------------------------------------------------------------------------------------- distributions


def log_prob(state: State, observations: Tensor, actions: Tensor, parameters: Parameters | None = None) -> Tensor:
    """log policy(a|s), of the state's parameters or those given; -> [seeds, n]."""
    own = state.networks["policy"] if parameters is None else parameters
    return shapes(state.config, state.space).policy.log_prob(own, seen(state, observations), actions)


def distribution(state: State, observations: Tensor, parameters: Parameters | None = None) -> tuple[Tensor, ...]:
    """Mean and log_std, or logits alone; [seeds, n, D] twice, or [seeds, n, A]."""
    own = state.networks["policy"] if parameters is None else parameters
    policy, shown = shapes(state.config, state.space).policy, seen(state, observations)
    if isinstance(policy, policies.Gaussian):
        return tuple(policy.distribution(own, shown))
    return (policy.logits(own, shown),)


def divergence(old: tuple[Tensor, ...], new: tuple[Tensor, ...]) -> Tensor:
    """KL(old, new) of what `distribution` returned, `old` a constant; of softmaxes the cross entropy less the old one's own.

    -> [seeds, n]
    """
    if len(old) == 1:
        (logits,) = old
        logits = logits.detach()
        probability = logits.softmax(-1)
        return categorical_loss(new[0], probability) - categorical_loss(logits, probability)
    return gaussian_kl(*(part.detach() for part in old), *new)


def entropy(found: tuple[Tensor, ...]) -> Tensor:
    """Of what `distribution` returned, differentiable; -> [seeds, n]."""
    if len(found) == 2:
        return gaussian_entropy(found[1])
    log_probability = found[0].log_softmax(-1)
    return -(log_probability.exp() * log_probability).sum(-1)
