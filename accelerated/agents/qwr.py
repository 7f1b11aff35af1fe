"""Q-value weighted regression: AWR with a critic, and several actions for each state (Kozakowski et al. 2021).

    V(s) = F{Q̂(s, a_k)}, a_k ~ mu(·|s)        mu the distribution that acted in s, stored with it; Q̂ a copy of Q; F log_mean_exp
    y = margin return of r and V              Q <- argmin mean ½ (y − Q(s, a))²
    A_k = Q̂(s, a_k) − mean_k Q̂(s, a_k)        policy <- argmax mean_k min(exp(A_k / temperature), max_weight) · log policy(a_k|s)

Where all actions of a discrete space are enumerated, mu weighs them in F, in the mean and in the policy's loss: nothing is drawn.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from accelerated import (
    expected_sarsa_target,
    expectile_loss,
    gaussian_log_prob,
    log_mean_exp,
    margin_returns,
    max_aggregate,
    mean_aggregate,
    sampled_advantage,
    weighted_policy_loss,
)
from accelerated.agents import awr, networks, normalizers, policies
from accelerated.agents.awr import act, policy_shape, unit
from accelerated.agents.batch import Space
from accelerated.agents.behaviors import ahead, behavior, remembered, sample
from accelerated.agents.optimizers import KINDS
from accelerated.agents.ranges import check
from accelerated.agents.rollouts import Rollout, drawn, flat, taken, windows
from accelerated.agents.state import State, streams_for
from accelerated.agents.streams import Streams

__all__ = [
    "LOSSES", "MEMORY", "NAME", "OFFLINE", "PRESETS", "Config", "act", "behavior", "critic_loss", "init", "policy_loss", "update",
]  # fmt: skip

NAME = "qwr"
MEMORY = "rollout"
OFFLINE = True
AGGREGATES = ("log_mean_exp", "max", "mean")
NORMALIZATIONS = ("abs", "none")
PIECE = 128
"""States whose sampled actions are valued at once on a CPU: what is between two layers then stays in its cache."""


@dataclass(frozen=True)
class Config:
    """The authors' code, trax/rl/actor_critic.py of github.com/google/trax, with their settings for MuJoCo.

    Their critic multiplies features of the state with tanh of features of the action; here both are concatenated.

    samples              actions of each state; none: all of a discrete space
    aggregate            F; backup_temperature is that of log_mean_exp, in units of q_normalization
    q_normalization      "abs": in F, values are in units of their mean distance from their mean in the batch
    margin               steps of a return beyond the first; lambda_ weighs their bootstraps
    temperature ...      of the policy's weights, as in AWR; advantages are standardised over the batch and its samples
    target_every         critic steps between two copies; there is one more before the policy learns
    critic_steps, ...    minibatches a round, the critic's first; an update is one of either
    """

    discount: float = 0.99
    lambda_: float = 0.95
    margin: int = 3
    samples: int | None = 4
    aggregate: str = "log_mean_exp"
    backup_temperature: float = 0.3
    q_normalization: str = "abs"
    temperature: float = 1.0
    max_weight: float | None = 20.0
    normalize_advantage: bool = True
    policy_std: float = 0.4
    scale_values: bool = True
    batch_size: int | None = 256
    critic_steps: int = 1000
    policy_steps: int = 1000
    target_every: int = 50
    critic_learning_rate: float = 1e-3
    policy_learning_rate: float = 1e-4
    optimizer: str = "adam"
    optimizer_eps: float = 1e-5
    max_grad_norm: float | None = 50.0
    hidden: tuple[int, ...] = (256, 256)
    activation: str = "relu"
    init: str = "orthogonal"
    normalize_observations: bool = True
    normalizer_samples: int = 300_000
    buffer_size: int = 100_000
    update_every: int = 1000
    envs: int = 1

    def __post_init__(self) -> None:
        check(self, optimizer=KINDS, aggregate=AGGREGATES, q_normalization=NORMALIZATIONS)
        awr.check_scale(self)


PRESETS: dict[str, dict[str, object]] = {  # light_mujoco.gin and light_atari.gin of the commit "update the configs for QWR"
    "author": {},
    "author:max": {"aggregate": "max"},
    "author:mean": {"aggregate": "mean"},
    "author:atari": {"samples": 8, "max_grad_norm": 0.5, "hidden": (512,)},
    # the poster's equations with the paper's 8 samples: one step, values, advantages and weights as they are
    "paper": {"margin": 0, "samples": 8, "q_normalization": "none", "normalize_advantage": False, "max_weight": None},
}


# ---------------------------------------------------------------------------------------------------- networks


class Networks(NamedTuple):
    """The shapes of what State.networks holds; the target critic is shaped like the critic."""

    critic: networks.Network
    policy: policies.Policy


@cache
def shapes(config: Config, space: Space) -> Networks:
    """Q of state and action, or with one output for each discrete action; AWR's policy.

    raises  ValueError where continuous actions were to be enumerated
    """
    if config.samples is None and not space.discrete:
        raise ValueError("samples must be a number where actions are continuous; got None")
    options: dict[str, Any] = {"hidden": config.hidden, "activation": config.activation, "init": config.init, "last_gain": 1.0}
    outputs = space.actions if space.discrete else 1
    critic = networks.network_for(space, outputs=outputs, with_actions=not space.discrete, **options)
    return Networks(critic, policy_shape(config, space))


def init(
    config: Config, space: Space, seeds: Sequence[int], *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
) -> State:
    """New networks for each seed; the target critic starts as the critic."""
    made: dict[str, Any] = {
        name: network.init(Streams(seeds, name, device), dtype=dtype, device=device)
        for name, network in shapes(config, space)._asdict().items()
    }
    optimizers = {
        name: awr.optimizer_of(config, parameters, getattr(config, f"{name}_learning_rate")) for name, parameters in made.items()
    }
    made["target_critic"] = networks.copy(made["critic"])
    streams = streams_for(seeds, ("actions", "minibatches", "samples"), device)
    return State(config, space, tuple(seeds), made, optimizers, streams, awr.counters(config, space, seeds, device))


# ------------------------------------------------------------------------------------------------------ values


def outputs_of(state: State, critic: str, shown: Tensor, actions: Tensor) -> Tensor:
    """What the critic says of k actions of each state, in its own units; -> [seeds, batch, k]."""
    network, parameters = shapes(state.config, state.space).critic, state.networks[critic]
    if state.space.discrete:
        return network(parameters, shown)[:, 0].gather(-1, actions)
    rows = shown.repeat_interleave(actions.shape[2], 1)
    return network(parameters, rows, actions.flatten(1, 2))[:, 0, :, 0].reshape(actions.shape[:3])


@torch.no_grad()
def sampled_values(state: State, shown: Tensor, actions: Tensor) -> Tensor:
    """Q of the target critic in the units of the rewards; -> [seeds, batch, k]."""
    if state.space.discrete or shown.device.type != "cpu":
        return outputs_of(state, "target_critic", shown, actions) / unit(state.config)
    pieces = zip(torch.split(shown, PIECE, 1), torch.split(actions, PIECE, 1), strict=True)
    return torch.cat([outputs_of(state, "target_critic", *piece) for piece in pieces], 1) / unit(state.config)


@torch.no_grad()
def aggregated(config: Config, q: Tensor, probability: Tensor | None) -> Tensor:
    """F over the last axis of [seeds, batch, k]; a probability enters log_mean_exp as temperature · log(k · probability)."""
    if config.aggregate == "mean":
        return mean_aggregate(q) if probability is None else expected(q, probability)
    scale = normalizers.spread(q) if config.q_normalization == "abs" else torch.ones_like(q[:, :1, :1])
    scaled, temperature = q / scale, config.backup_temperature if config.aggregate == "log_mean_exp" else 0.0
    if probability is not None:
        prior = temperature * (q.shape[-1] * probability).log()
        scaled = torch.where(probability > 0, scaled + prior, -torch.inf)
    found = max_aggregate(scaled) if temperature == 0 else log_mean_exp(scaled, temperature=temperature)
    return scale[..., 0] * found


def expected(q: Tensor, probability: Tensor) -> Tensor:
    """Σ probability · q, as the target of a step without reward; [seeds, batch, k] -> [seeds, batch]."""
    nothing = torch.zeros_like(q[..., 0])
    return expected_sarsa_target(nothing, nothing.bool(), q, probability, discount=1.0)


@torch.no_grad()
def targets(state: State, window: Rollout) -> Tensor:
    """Margin returns of the first step of windows of `ahead`, [seeds, batch, 1 + margin, ...] -> [seeds, batch]."""
    config, shown = state.config, window.next_observations.flatten(1, 2)
    assert window.behavior is not None
    found = sample(state, window.behavior.flatten(1, 2))
    value = aggregated(config, sampled_values(state, shown, found.actions), found.probability).reshape(window.rewards.shape)
    steps = window.rewards, window.terminations, window.truncations, value
    return margin_returns(*steps, lambda_=config.lambda_, margin=config.margin, discount=config.discount)[..., 0]


# ------------------------------------------------------------------------------------------------------ losses


def critic_loss(state: State, rollout: Rollout) -> Tensor:
    """Mean of half the squared distance of Q from the margin returns, in the network's units; -> [seeds]."""
    shown = ahead(state, remembered(state, rollout))
    return regression(state, shown, drawn(shown, state.streams["minibatches"], None))


def policy_loss(state: State, rollout: Rollout) -> Tensor:
    """−mean of weight · log policy(a_k|s); -> [seeds]."""
    steps = flat(remembered(state, rollout))
    assert steps.behavior is not None
    return imitation(state, steps.observations, steps.behavior)


LOSSES: dict[str, tuple[str, Callable[[State, Rollout], Tensor]]] = {
    "critic_loss": ("critic", critic_loss),
    "policy_loss": ("policy", policy_loss),
}


def regression(state: State, shown: Rollout, places: Tensor) -> Tensor:
    """Mean of ½ (unit · target − network)² over steps of `ahead`; -> [seeds]."""
    window = windows(shown, places, 1 + state.config.margin)
    first = window.observations[:, :, 0], window.actions[:, :, :1]
    error = unit(state.config) * targets(state, window) - outputs_of(state, "critic", *first)[..., 0]
    return expectile_loss(error, expectile=0.5).mean(-1)


def imitation(state: State, shown: Tensor, behaved: Tensor) -> Tensor:
    """−mean of weight · log policy over actions drawn from the behaviour, or over all of them by their probability; -> [seeds]."""
    actions, probability = sample(state, behaved)
    q = sampled_values(state, shown, actions)
    advantage = sampled_advantage(q) if probability is None else q - expected(q, probability).unsqueeze(-1)
    weight, log_prob = awr.weights(state, advantage), log_probs(state, shown, actions)
    if probability is None:
        return weighted_policy_loss(log_prob, weight).mean((1, 2))
    return weighted_policy_loss(log_prob, probability * weight).sum(-1).mean(-1)


def log_probs(state: State, shown: Tensor, actions: Tensor) -> Tensor:
    """log policy(a_k|s), one pass for all k; -> [seeds, batch, k]."""
    policy, parameters = policy_shape(state.config, state.space), state.networks["policy"]
    if isinstance(policy, policies.Categorical):
        return policy.logits(parameters, shown).log_softmax(-1).gather(-1, actions)
    mean, log_std = (part.unsqueeze(2).expand_as(actions) for part in policy.distribution(parameters, shown))
    return gaussian_log_prob(actions, mean, log_std)


# ------------------------------------------------------------------------------------------------------ update


def update(state: State, rollout: Rollout) -> dict[str, Tensor]:
    """One round: the critic, whose copy follows it in jumps, then the policy by the copy's values."""
    awr.look(state, rollout)
    config, shown = state.config, remembered(state, rollout)
    coming, steps = ahead(state, shown), flat(shown)
    for number, places in enumerate(awr.minibatches(state, shown, config.critic_steps), 1):
        critic = regression(state, coming, places)
        awr.step(state, "critic", critic)
        if number % config.target_every == 0 or number == config.critic_steps:
            networks.track(state.networks["target_critic"], state.networks["critic"], polyak_step=1.0)
    assert steps.behavior is not None
    for places in awr.minibatches(state, shown, config.policy_steps):
        policy = imitation(state, taken(steps.observations, places), taken(steps.behavior, places))
        awr.step(state, "policy", policy)
    return {"critic_loss": critic.detach(), "policy_loss": policy.detach()}
