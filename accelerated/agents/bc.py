"""Behavioural cloning: the policy of largest likelihood, with IQL's network and optimizer; its due value is the data's policy."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from accelerated import weighted_policy_loss
from accelerated.agents import iql
from accelerated.agents.batch import Batch, Space
from accelerated.agents.iql import act, log_prob, optimizer_of, policy_shape
from accelerated.agents.optimizers import KINDS, SCHEDULES
from accelerated.agents.ranges import check
from accelerated.agents.state import State, streams_for
from accelerated.agents.streams import Streams

__all__ = ["LOSSES", "MEMORY", "NAME", "PRESETS", "Config", "act", "init", "policy_loss", "update"]

NAME = "bc"
MEMORY = "dataset"


@dataclass(frozen=True)
class Config:
    """The fields of IQL that concern the policy, with its values; discount and rewards are read by nobody."""

    discount: float = 0.99
    batch_size: int = 256
    policy_learning_rate: float = 3e-4
    optimizer: str = "adam"
    policy_schedule: str = "cosine"
    decay_steps: int = 1_000_000
    hidden: tuple[int, ...] = (256, 256)
    init: str = "orthogonal"
    dropout: float = 0.0
    reward_transform: str = "none"

    def __post_init__(self) -> None:
        check(self, optimizer=KINDS, policy_schedule=SCHEDULES, reward_transform=iql.TRANSFORMS)


PRESETS: dict[str, dict[str, object]] = {  # IQL's policies
    "author": {},
    "iql:kitchen": {"dropout": 0.1},
    "iql:adroit": {"dropout": 0.1},
}


def init(
    config: Config, space: Space, seeds: Sequence[int], *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
) -> State:
    """A new policy for each seed: the one that IQL starts from."""
    policy = policy_shape(config, space).init(Streams(seeds, "policy", device), dtype=dtype, device=device)
    optimizers = {"policy": optimizer_of(config, "policy", policy)}
    return State(config, space, tuple(seeds), {"policy": policy}, optimizers, streams_for(seeds, ("actions", "dropout"), device))


def policy_loss(state: State, batch: Batch) -> Tensor:
    """-mean of log policy(a|s): the weighted loss with equal weights; -> [seeds]."""
    log_probs = log_prob(state, batch)
    return weighted_policy_loss(log_probs, torch.ones_like(log_probs)).mean(-1)


LOSSES: dict[str, tuple[str, Callable[[State, Batch], Tensor]]] = {"policy_loss": ("policy", policy_loss)}


def update(state: State, batch: Batch) -> dict[str, Tensor]:
    """One step of the policy."""
    loss = policy_loss(state, batch)
    state.optimizers["policy"].step(loss)
    state.updates += 1
    return {"policy_loss": loss.detach()}
