"""Proximal policy optimisation with the clipped surrogate (Schulman et al. 2017): several passes over each rollout in minibatches.

loss = -mean of min(ρ A, clip(ρ, 1 - clip, 1 + clip) A) - entropy_coefficient · mean entropy,  ρ = policy(a|s) / old policy(a|s)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from accelerated import clipped_surrogate
from accelerated.agents import baselines, on_policy
from accelerated.agents.batch import Space
from accelerated.agents.networks import ACTIVATIONS
from accelerated.agents.on_policy import Samples, act
from accelerated.agents.optimizers import KINDS, Optimizer
from accelerated.agents.ranges import check
from accelerated.agents.rollouts import Rollout
from accelerated.agents.state import State

__all__ = [
    "LOSSES", "MEMORY", "NAME", "PRESETS", "Config", "act", "init", "policy_loss", "surrogate_loss", "update", "value_loss",
]  # fmt: skip

NAME = "ppo"
MEMORY = "rollout"
SCHEDULES = ("linear", "constant")


@dataclass(frozen=True)
class Config:
    """The authors' code, ppo2 of github.com/openai/baselines, with its defaults for MuJoCo.

    epochs                  passes over a rollout, each in minibatches of batch_size in an order of its own
    target_kl               the policy of a seed whose mean KL from the old one is larger after a pass rests until the next rollout
    schedule                "linear": both learning rates fall to 0 over decay_steps steps of a seed's environments, round by round
    baseline                "network" learns with the policy, batch by batch; "linear" is solved after it; "none"
    bootstrap_truncations   V of the last state where an episode was cut, else 0
    standardize             advantages to mean 0 and deviation 1 over the minibatch
    max_grad_norm           of each network's gradient
    update_every            steps of a seed, in all its envs, that make a rollout
    policy_gain             of the policy's outputs at the start
    observation_clip        of normalised observations, on both sides
    """

    discount: float = 0.99
    lambda_: float = 0.95
    target_lambda: float = 0.95
    clip: float = 0.2
    epochs: int = 10
    batch_size: int | None = 64
    entropy_coefficient: float = 0.0
    target_kl: float | None = None
    baseline: str = "network"
    bootstrap_truncations: bool = True
    standardize: bool = True
    update_every: int = 2048
    policy_learning_rate: float = 3e-4
    value_learning_rate: float = 3e-4
    schedule: str = "linear"
    decay_steps: int = 1_000_000
    optimizer: str = "adam"
    optimizer_eps: float = 1e-5
    max_grad_norm: float | None = 0.5
    hidden: tuple[int, ...] = (64, 64)
    activation: str = "tanh"
    init: str = "orthogonal"
    policy_gain: float = 0.01
    initial_log_std: float = 0.0
    normalize_observations: bool = True
    observation_clip: float | None = 10.0
    envs: int = 1

    def __post_init__(self) -> None:
        check(self, baseline=baselines.KINDS, optimizer=KINDS, activation=tuple(ACTIVATIONS), schedule=SCHEDULES)

    @property
    def buffer_size(self) -> int:
        """Steps are used in one round only."""
        return self.update_every

    @property
    def updates_of_a_round(self) -> int:
        """Steps of the policy for one rollout."""
        count = self.update_every // self.envs * self.envs
        return self.epochs * (1 if self.batch_size is None else -(-count // self.batch_size))


PRESETS: dict[str, dict[str, object]] = {
    # ppo2/defaults.py. It also bounds the change of V by `clip`, clips the gradients of both networks together, scales rewards by
    # the deviation of their return, and takes time limits for ends. None of this is done here.
    "author": {},
    "author:atari": {  # clip stays 0.1 where theirs falls with the learning rate; policy and V share no layers here
        "lambda_": 0.95, "epochs": 4, "batch_size": 256, "update_every": 1024, "envs": 8, "clip": 0.1, "entropy_coefficient": 0.01,
        "policy_learning_rate": 2.5e-4, "value_learning_rate": 2.5e-4, "decay_steps": 10_000_000, "hidden": (512,),
        "activation": "relu", "normalize_observations": False,
    },
    "classic:cartpole": {  # rl-baselines3-zoo's hyperparams/ppo.yml, 1e5 steps; its clip falls with the learning rate
        "discount": 0.98, "lambda_": 0.8, "target_lambda": 0.8, "epochs": 20, "batch_size": 256, "update_every": 256, "envs": 8,
        "policy_learning_rate": 1e-3, "value_learning_rate": 1e-3, "decay_steps": 100_000, "normalize_observations": False,
    },
}  # fmt: skip


def init(
    config: Any, space: Space, seeds: Sequence[int], *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
) -> State:
    """A new policy and baseline for each seed."""
    rates = {"policy": config.policy_learning_rate, "value": config.value_learning_rate}
    return on_policy.made(config, space, seeds, rates, device=device, dtype=dtype)


# ------------------------------------------------------------------------------------------------------ losses


def surrogate_loss(state: State, given: Samples) -> Tensor:
    """-mean of the clipped surrogate, and the entropy's share; -> [seeds]."""
    config = state.config
    advantage = on_policy.standardized(given.advantage) if config.standardize else given.advantage
    log_ratio = on_policy.log_prob(state, given.observations, given.actions) - given.log_prob
    loss = -clipped_surrogate(log_ratio, advantage, clip=config.clip).mean(-1)
    if not config.entropy_coefficient:
        return loss
    entropy = on_policy.entropy(on_policy.distribution(state, given.observations)).mean(-1)
    regularized: Tensor = loss - config.entropy_coefficient * entropy
    return regularized


def policy_loss(state: State, rollout: Rollout) -> Tensor:
    """That of a whole rollout of the present policy, where ρ is 1; -> [seeds]."""
    return surrogate_loss(state, on_policy.samples(state, rollout))


def value_loss(state: State, rollout: Rollout) -> Tensor:
    """Mean of ½(target - V)²; -> [seeds]."""
    return regression_loss(state, on_policy.samples(state, rollout))


def regression_loss(state: State, given: Samples) -> Tensor:
    """The same of samples; -> [seeds]."""
    return baselines.value_loss(state, given.observations, given.times, given.target)


LOSSES: dict[str, tuple[str, Callable[[State, Rollout], Tensor]]] = {
    "policy_loss": ("policy", policy_loss),
    "value_loss": ("value", value_loss),
}


# ------------------------------------------------------------------------------------------------------ update


def update(state: State, rollout: Rollout) -> dict[str, Tensor]:
    """`epochs` passes over the rollout; log-probabilities, advantages and targets are those of before."""
    config, losses = state.config, []
    given = on_policy.samples(state, rollout)
    with torch.no_grad():
        old = on_policy.distribution(state, given.observations)
    resting = torch.zeros(len(state.seeds), dtype=torch.bool, device=state.device)
    _set_rates(state)
    for _ in range(config.epochs):
        for places in baselines.minibatches(rollout, state.streams["batches"], config.batch_size):
            losses.append(_step(state, on_policy.some(given, places), resting))
        if config.target_kl is not None:
            resting = resting | (_divergence(state, given, old) > config.target_kl)
    metrics = {name: torch.stack([loss[name] for loss in losses]).mean(0) for name in losses[0]}
    if config.baseline == "linear":
        metrics |= baselines.fit(state, rollout, given.target)
    metrics |= {"kl": _divergence(state, given, old), "entropy": on_policy.entropy(old).mean(-1)}
    on_policy.finish(state, rollout)
    return metrics


def _step(state: State, given: Samples, resting: Tensor) -> dict[str, Tensor]:
    """One step of the policy, except where it rests, and of the network of V; gradients before steps."""
    losses = {"policy": surrogate_loss(state, given)}
    if state.config.baseline == "network":
        losses["value"] = regression_loss(state, given)
    gradients = {name: state.optimizers[name].gradients(loss) for name, loss in losses.items()}
    for name, gradient in gradients.items():
        if name == "policy" and state.config.target_kl is not None:
            _apply_except(state.optimizers[name], gradient, resting)
        else:
            state.optimizers[name].apply(gradient)
    state.updates += 1
    return {f"{name}_loss": loss.detach() for name, loss in losses.items()}


@torch.no_grad()
def _apply_except(optimizer: Optimizer, gradients: list[Tensor], resting: Tensor) -> None:
    """A step of all seeds, taken back in parameters and moments where a seed rests; the count of steps goes on for all."""

    def parts() -> dict[str, Tensor]:
        return {name: tensor for name, tensor in (optimizer.parameters | optimizer.tensors()).items() if tensor.ndim > 0}

    before = {name: tensor.clone() for name, tensor in parts().items()}
    optimizer.apply(gradients)
    for name, tensor in parts().items():
        rests = resting.reshape(-1, *[1] * (tensor.ndim - 1))
        tensor.copy_(torch.where(rests, before.get(name, tensor), tensor))


@torch.no_grad()
def _divergence(state: State, given: Samples, old: tuple[Tensor, ...]) -> Tensor:
    return on_policy.divergence(old, on_policy.distribution(state, given.observations)).mean(-1)


def _set_rates(state: State) -> None:
    """The learning rates of this round, by how many rounds there were."""
    config = state.config
    steps = state.updates // config.updates_of_a_round * config.update_every
    part = max(1 - steps / config.decay_steps, 0.0) if config.schedule == "linear" else 1.0
    for name, optimizer in state.optimizers.items():
        optimizer.learning_rate = part * getattr(config, f"{name}_learning_rate")
