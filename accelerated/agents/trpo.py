"""Trust region policy optimisation with generalised advantages (Schulman et al. 2015, 2016).

    maximise  mean of ρ · A,  ρ = policy(a|s) / old policy(a|s)      subject to  mean KL(old policy, policy) <= max_kl

by one natural step and a search along it (trust_regions.py): what is accepted improves the surrogate and keeps the KL.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from accelerated import reinforce_loss
from accelerated.agents import baselines, on_policy, trust_regions
from accelerated.agents.batch import Parameters, Space
from accelerated.agents.networks import ACTIVATIONS
from accelerated.agents.on_policy import Samples, act
from accelerated.agents.optimizers import KINDS
from accelerated.agents.ranges import check
from accelerated.agents.rollouts import Rollout
from accelerated.agents.state import State

__all__ = [
    "LOSSES", "MEMORY", "NAME", "PRESETS", "Config", "act", "improve", "init", "policy_loss", "surrogate", "update", "value_loss",
]  # fmt: skip

NAME = "trpo"
MEMORY = "rollout"


@dataclass(frozen=True)
class Config:
    """The author's code, github.com/joschu/modular_rl, as its experiments/battery-trpo.yaml runs it for MuJoCo.

    lambda_, target_lambda  of the advantages, and of the baseline's targets
    max_kl                  the largest mean KL of a step
    cg_iterations, damping  of the conjugate gradients: (Fisher matrix + damping · I) x = gradient
    shrink, max_backtracks  of the search along the step, which is tried max_backtracks + 1 times
    baseline                "none"; "linear" in features of state and time, solved; "network": value_epochs passes in batches
    bootstrap_truncations   V of the last state where an episode was cut, else 0
    standardize             advantages to mean 0 and deviation 1 over the rollout
    update_every            steps of a seed, in all its envs, that make a rollout
    policy_gain             of the policy's outputs at the start
    observation_clip        of normalised observations, on both sides
    """

    discount: float = 0.995
    lambda_: float = 0.97
    target_lambda: float = 1.0
    max_kl: float = 0.01
    cg_iterations: int = 10
    damping: float = 0.1
    shrink: float = 0.5
    max_backtracks: int = 9
    baseline: str = "network"
    bootstrap_truncations: bool = True
    standardize: bool = True
    update_every: int = 25_000
    value_learning_rate: float = 1e-3
    value_epochs: int = 25
    value_batch_size: int | None = 1000
    optimizer: str = "adam"
    optimizer_eps: float = 1e-8
    max_grad_norm: float | None = None
    hidden: tuple[int, ...] = (64, 64)
    activation: str = "tanh"
    init: str = "orthogonal"
    policy_gain: float = 0.1
    initial_log_std: float = 0.0
    normalize_observations: bool = True
    observation_clip: float | None = 5.0
    envs: int = 1

    def __post_init__(self) -> None:
        check(self, baseline=baselines.KINDS, optimizer=KINDS, activation=tuple(ACTIVATIONS))

    @property
    def buffer_size(self) -> int:
        """Steps are used once."""
        return self.update_every


PRESETS: dict[str, dict[str, object]] = {
    # The author accepts a step whose surrogate grows by a tenth of what was expected, whatever its KL; V takes 25 iterations of
    # L-BFGS with weight decay, sees the time, and moves a tenth of the way; rewards are scaled, too. Here: the rule above, Adam.
    "author": {},
    "author:humanoid": {"update_every": 50_000},  # and ant
    # rllab's TRPO and GaussianMLPPolicy; its episodes are whole, its paths end in 0 at time limits, too
    "rllab": {
        "discount": 0.99, "lambda_": 1.0, "damping": 1e-5, "shrink": 0.8, "max_backtracks": 14, "baseline": "linear",
        "bootstrap_truncations": False, "update_every": 5000, "hidden": (32, 32), "policy_gain": 1.0,
        "normalize_observations": False,
    },
    # trpo_mpi/defaults.py of baselines, for one worker; it accepts a KL up to 1.5 max_kl; Fisher products are of every 5th step
    "baselines": {
        "discount": 0.99, "lambda_": 0.98, "target_lambda": 0.98, "update_every": 1024, "value_epochs": 5, "value_batch_size": 64,
        "hidden": (32, 32), "policy_gain": 0.01,
    },
    # spinup's trpo.py; it accepts a surrogate that is no worse, V takes 80 full-batch steps
    "spinup": {
        "discount": 0.99, "shrink": 0.8, "update_every": 4000, "value_epochs": 80, "value_batch_size": None,
        "initial_log_std": -0.5, "policy_gain": 1.0, "normalize_observations": False,
    },
    "classic:cartpole": {  # rl-baselines3-zoo's hyperparams/trpo.yml, 1e5 steps; 20 passes over V's batches of 512
        "discount": 0.99, "lambda_": 0.98, "target_lambda": 0.98, "damping": 1e-3, "shrink": 0.8, "update_every": 1024, "envs": 2,
        "value_epochs": 20, "value_batch_size": 512, "policy_gain": 0.01, "normalize_observations": False,
    },
}  # fmt: skip


def init(
    config: Any, space: Space, seeds: Sequence[int], *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
) -> State:
    """A new policy and baseline for each seed; only the baseline has an optimizer."""
    return on_policy.made(config, space, seeds, {"value": config.value_learning_rate}, device=device, dtype=dtype)


# ------------------------------------------------------------------------------------------------------ losses


def surrogate(state: State, given: Samples, parameters: Parameters | None = None) -> Tensor:
    """Mean of ρ · A at the state's parameters of the policy, or at others; -> [seeds]."""
    ratio = (on_policy.log_prob(state, given.observations, given.actions, parameters) - given.log_prob).exp()
    return -reinforce_loss(ratio, given.advantage).mean(-1)


def policy_loss(state: State, rollout: Rollout) -> Tensor:
    """-mean of ρ · A, where ρ is 1; -> [seeds]."""
    return -surrogate(state, signals(state, on_policy.samples(state, rollout)))


def value_loss(state: State, rollout: Rollout) -> Tensor:
    """Mean of ½(target - V)²; -> [seeds]."""
    given = on_policy.samples(state, rollout)
    return baselines.value_loss(state, given.observations, given.times, given.target)


LOSSES: dict[str, tuple[str, Callable[[State, Rollout], Tensor]]] = {
    "policy_loss": ("policy", policy_loss),
    "value_loss": ("value", value_loss),
}


# ------------------------------------------------------------------------------------------------------ update


def update(state: State, rollout: Rollout) -> dict[str, Tensor]:
    """One step of the policy, then the baseline's regression to the same rollout."""
    given = signals(state, on_policy.samples(state, rollout))
    metrics = improve(state, given)
    metrics |= baselines.fit(state, rollout, given.target)
    on_policy.finish(state, rollout)
    state.updates += 1
    return metrics


def signals(state: State, given: Samples) -> Samples:
    """With the advantages that the surrogate takes: standardised where the configuration says so."""
    return given._replace(advantage=on_policy.standardized(given.advantage)) if state.config.standardize else given


def improve(state: State, given: Samples) -> dict[str, Tensor]:
    """One step of the policy up the surrogate within the trust region."""
    config = state.config
    with torch.no_grad():
        old = on_policy.distribution(state, given.observations)

    def divergence(parameters: Parameters) -> Tensor:
        return on_policy.divergence(old, on_policy.distribution(state, given.observations, parameters)).mean(-1)

    metrics = trust_regions.ascend(
        state.networks["policy"],
        lambda parameters: surrogate(state, given, parameters),
        divergence,
        max_kl=config.max_kl,
        iterations=config.cg_iterations,
        damping=config.damping,
        shrink=config.shrink,
        max_backtracks=config.max_backtracks,
    )
    return metrics | {"entropy": on_policy.entropy(old).mean(-1)}
