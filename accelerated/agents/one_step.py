"""One step of policy improvement: the behaviour's own Q by SARSA, then advantage-weighted regression (Brandfonbrener et al. 2021).

The critics' targets read the action that the data took next, so that Q is that of the data's policy; V is its mean over actions.
Networks, steps and the policy's loss are those of IQL, from which it differs in the critics' target and in V's expectile alone.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from accelerated import sarsa_target, value_target
from accelerated.agents import iql
from accelerated.agents.batch import Batch
from accelerated.agents.iql import act, init, policy_loss, value_loss
from accelerated.agents.optimizers import KINDS, SCHEDULES
from accelerated.agents.ranges import check
from accelerated.agents.state import State

__all__ = ["LOSSES", "MEMORY", "NAME", "NEEDS_NEXT_ACTIONS", "PRESETS", "Config", "act", "critic_loss", "init", "update"]

NAME = "one_step"
MEMORY = "dataset"
NEEDS_NEXT_ACTIONS = True


@dataclass(frozen=True)
class Config:
    """The fields of IQL with its values; the expectile is 0.5, the mean, and no setting.

    The authors' own code, github.com/davidbrandfonbrener/onestep-rl, bounds the weights by 100, too, and has no V: it
    averages Q over actions of a cloned behaviour. Where it has two critics, they share the smaller one's target, as here.
    """

    discount: float = 0.99
    inverse_temperature: float = 3.0
    max_weight: float = 100.0
    batch_size: int = 256
    policy_learning_rate: float = 3e-4
    value_learning_rate: float = 3e-4
    critic_learning_rate: float = 3e-4
    optimizer: str = "adam"
    policy_schedule: str = "cosine"
    decay_steps: int = 1_000_000
    polyak_step: float = 0.005
    hidden: tuple[int, ...] = (256, 256)
    init: str = "orthogonal"
    dropout: float = 0.0
    critic_reduction: str = "sum"
    order: str = "author"
    reward_transform: str = "locomotion"

    def __post_init__(self) -> None:
        options = {"order": iql.ORDERS, "critic_reduction": iql.REDUCTIONS, "reward_transform": iql.TRANSFORMS}
        check(self, **options, optimizer=KINDS, policy_schedule=SCHEDULES)

    @property
    def expectile(self) -> float:
        """The one that is the mean."""
        return 0.5


PRESETS: dict[str, dict[str, object]] = {"author": {}} | {  # "author" stands for the defaults; the others are IQL's
    name.replace("author", "iql"): {key: value for key, value in changes.items() if key != "expectile"}
    for name, changes in iql.PRESETS.items()
    if name not in ("author", "author:antmaze-finetune")
}


def critic_loss(state: State, batch: Batch, given: iql.Estimates | None = None) -> Tensor:
    """Squared distance of each critic from r + discount · Q(s', a'), Q the smaller target critic; -> [seeds]."""
    return iql.squared_errors(state, batch, target_of(state, batch))


@torch.no_grad()
def target_of(state: State, batch: Batch) -> Tensor:
    """r + discount · Q(s', a'), with the action that was taken next; -> [seeds, batch]."""
    if batch.next_actions is None:
        raise ValueError("next_actions must be given: SARSA learns from the action that was taken next; got None in the batch")
    rewards, cut = batch.rewards, batch.terminations
    if not state.space.discrete:
        q = iql.q_of(state, "target_critic", batch.next_observations, batch.next_actions).amin(1)
        return value_target(rewards, cut, q, discount=batch.discounts)
    critic = iql.shapes(state.config, state.space).critic
    rows = critic(state.networks["target_critic"], batch.next_observations).amin(1)
    return sarsa_target(rewards, cut, rows, batch.next_actions, discount=batch.discounts)


LOSSES: dict[str, tuple[str, Callable[[State, Batch], Tensor]]] = {
    "value_loss": ("value", value_loss),
    "policy_loss": ("policy", policy_loss),
    "critic_loss": ("critic", critic_loss),
}


def update(state: State, batch: Batch) -> dict[str, Tensor]:
    """One step of V, policy and critic in the order of the configuration, and one of the target critics."""
    return iql.descend(state, batch, critic_loss)
