"""REINFORCE (Williams 1992) with a baseline that may depend on the state: one step for the steps of one rollout, used once.

    loss = -mean of A · log policy(a|s), A the return from the step on, less the baseline's V(s)

The baseline learns from a rollout after the policy did: it must not depend on the actions whose returns it is subtracted from.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from accelerated import reinforce_loss
from accelerated.agents import baselines, on_policy
from accelerated.agents.batch import Space
from accelerated.agents.networks import ACTIVATIONS
from accelerated.agents.on_policy import Samples, act
from accelerated.agents.optimizers import KINDS
from accelerated.agents.ranges import check
from accelerated.agents.rollouts import Rollout
from accelerated.agents.state import State

__all__ = ["LOSSES", "MEMORY", "NAME", "PRESETS", "Config", "act", "init", "policy_loss", "update", "value_loss"]

NAME = "reinforce"
MEMORY = "rollout"


@dataclass(frozen=True)
class Config:
    """The vanilla policy gradient of rllab (Duan et al. 2016); the paper of 1992 names no numbers.

    lambda_                 of the advantages; 1: Monte Carlo returns up to a cut
    target_lambda           of the baseline's targets
    baseline                "none"; "linear" in features of state and time, solved; "network": value_epochs passes in batches
    bootstrap_truncations   V of the last state where an episode was cut, else 0
    standardize             advantages to mean 0 and deviation 1 over the rollout
    update_every            steps of a seed, in all its envs, that make a rollout
    policy_gain             of the policy's outputs at the start
    observation_clip        of normalised observations, on both sides
    """

    discount: float = 0.99
    lambda_: float = 1.0
    target_lambda: float = 1.0
    baseline: str = "linear"
    bootstrap_truncations: bool = True
    standardize: bool = True
    update_every: int = 5000
    policy_learning_rate: float = 1e-3
    value_learning_rate: float = 1e-3
    value_epochs: int = 80
    value_batch_size: int | None = None
    optimizer: str = "adam"
    optimizer_eps: float = 1e-8
    max_grad_norm: float | None = None
    hidden: tuple[int, ...] = (32, 32)
    activation: str = "tanh"
    init: str = "orthogonal"
    policy_gain: float = 0.01
    initial_log_std: float = 0.0
    normalize_observations: bool = False
    observation_clip: float | None = 5.0
    envs: int = 1

    def __post_init__(self) -> None:
        check(self, baseline=baselines.KINDS, optimizer=KINDS, activation=tuple(ACTIVATIONS))

    @property
    def buffer_size(self) -> int:
        """Steps are used once."""
        return self.update_every


PRESETS: dict[str, dict[str, object]] = {
    # rllab's VPG. Its episodes are whole, its paths end in 0 at time limits, too; here a path cut by the rollout's end bootstraps.
    "author": {},
    # spinup's vpg.py (4000 steps, 80 full-batch steps of V)
    "spinup": {
        "lambda_": 0.97, "baseline": "network", "update_every": 4000, "policy_learning_rate": 3e-4, "hidden": (64, 64),
        "initial_log_std": -0.5,
    },
    "paper": {"baseline": "none", "standardize": False, "optimizer": "sgd", "policy_learning_rate": 1e-2},  # no baseline at all
    "classic:cartpole": {"update_every": 1000, "policy_learning_rate": 1e-2},  # ours
}  # fmt: skip


def init(
    config: Any, space: Space, seeds: Sequence[int], *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
) -> State:
    """A new policy and baseline for each seed."""
    rates = {"policy": config.policy_learning_rate, "value": config.value_learning_rate}
    return on_policy.made(config, space, seeds, rates, device=device, dtype=dtype)


def policy_loss(state: State, rollout: Rollout, given: Samples | None = None) -> Tensor:
    """-mean of A · log policy(a|s); -> [seeds]."""
    given = given or on_policy.samples(state, rollout)
    advantage = on_policy.standardized(given.advantage) if state.config.standardize else given.advantage
    return reinforce_loss(on_policy.log_prob(state, given.observations, given.actions), advantage).mean(-1)


def value_loss(state: State, rollout: Rollout, given: Samples | None = None) -> Tensor:
    """Mean of ½(target - V)²; -> [seeds]."""
    given = given or on_policy.samples(state, rollout)
    return baselines.value_loss(state, given.observations, given.times, given.target)


LOSSES: dict[str, tuple[str, Callable[[State, Rollout], Tensor]]] = {
    "policy_loss": ("policy", policy_loss),
    "value_loss": ("value", value_loss),
}


def update(state: State, rollout: Rollout) -> dict[str, Tensor]:
    """One step of the policy, then the baseline's regression to the same rollout."""
    given = on_policy.samples(state, rollout)
    loss = policy_loss(state, rollout, given)
    entropy = on_policy.entropy(on_policy.distribution(state, given.observations)).mean(-1)
    state.optimizers["policy"].step(loss)
    metrics = {"policy_loss": loss.detach(), "entropy": entropy.detach()}
    metrics |= baselines.fit(state, rollout, given.target)
    on_policy.finish(state, rollout)
    state.updates += 1
    return metrics
