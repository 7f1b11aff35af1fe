"""Deep deterministic policy gradient: an actor that climbs its critic (Lillicrap et al. 2016).

y = r + discount · Q̂(s', mû(s'))      Q̂ and mû copies that follow critic and actor by polyak_step at each update
critic: mean of (y - Q(s, a))²         actor: -mean of Q(s, mu(s))
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from accelerated import value_target
from accelerated.agents import actor_critics
from accelerated.agents.actor_critics import EXPLORATIONS, act, cut, policy_loss
from accelerated.agents.batch import Batch, Space
from accelerated.agents.networks import ACTIVATIONS
from accelerated.agents.optimizers import KINDS
from accelerated.agents.ranges import check
from accelerated.agents.state import State

__all__ = ["LOSSES", "MEMORY", "NAME", "PRESETS", "Config", "act", "critic_loss", "cut", "init", "policy_loss", "update"]

NAME = "ddpg"
MEMORY = "replay"


@dataclass(frozen=True)
class Config:
    """OurDDPG.py of github.com/sfujim/TD3, to which TD3's paper compares: the defaults.

    exploration        "gaussian" noise, or "ornstein_uhlenbeck", which is 0 before each episode:
                       x <- (1 - noise_reversion) · x + exploration_noise · N(0, 1)
    exploration_noise  the standard deviation of what is new in a step's noise, in half widths of the actions' box
    random_steps       of one seed's environment, in which the actions are drawn uniformly
    tanh_mean          mu is tanh of the network's output, scaled to the box; else the output, which only acting clips
    torso              of the critic: "auto", or "quadratic", which reads the products of its inputs as well
    action_layer       how many of the critic's hidden layers come before the one that reads the actions
    """

    discount: float = 0.99
    batch_size: int = 256
    policy_learning_rate: float = 3e-4
    critic_learning_rate: float = 3e-4
    critic_weight_decay: float = 0.0
    optimizer: str = "adam"
    max_grad_norm: float | None = None
    polyak_step: float = 0.005
    hidden: tuple[int, ...] = (256, 256)
    activation: str = "relu"
    init: str = "torch"
    torso: str = "auto"
    action_layer: int = 0
    tanh_mean: bool = True
    exploration: str = "gaussian"
    exploration_noise: float = 0.1
    noise_reversion: float = 0.15
    random_steps: int = 25_000
    buffer_size: int = 1_000_000
    learning_starts: int = 25_000
    update_every: int = 1
    updates_per_round: int = 1
    envs: int = 1

    def __post_init__(self) -> None:
        check(self, optimizer=KINDS, activation=tuple(ACTIVATIONS), exploration=EXPLORATIONS)


PRESETS: dict[str, dict[str, object]] = {
    "author": {},
    # DDPG.py of the same code, which mirrors the paper, with the paper's noise and no random steps. The last layers begin as
    # torch's, not within 3e-3 of zero; there is no batch normalisation.
    "paper": {
        "hidden": (400, 300), "action_layer": 1, "policy_learning_rate": 1e-4, "critic_learning_rate": 1e-3,
        "critic_weight_decay": 1e-2, "batch_size": 64, "polyak_step": 0.001, "exploration": "ornstein_uhlenbeck",
        "exploration_noise": 0.2, "random_steps": 0, "learning_starts": 64,
    },
    # rllabplusplus' ddpg.py and ou_strategy.py, Q-Prop's baseline; its actor and critic have one size here
    "q_prop": {
        "hidden": (100, 100), "action_layer": 1, "policy_learning_rate": 1e-3, "critic_learning_rate": 1e-3, "batch_size": 64,
        "polyak_step": 0.001, "exploration": "ornstein_uhlenbeck", "exploration_noise": 0.3, "random_steps": 0,
        "learning_starts": 1000,
    },
}  # fmt: skip


def init(
    config: Config, space: Space, seeds: Sequence[int], *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
) -> State:
    """An actor and a critic for each seed, and their copies.

    raises  ValueError if the actions are discrete, or have no bounds where those are needed
    """
    return actor_critics.deterministic(config, space, seeds, 1, device=device, dtype=dtype)


def critic_loss(state: State, batch: Batch, y: Tensor | None = None) -> Tensor:
    """Mean of (y - Q(s, a))²; -> [seeds]."""
    return actor_critics.squared_errors(state, batch, target(state, batch) if y is None else y)


@torch.no_grad()
def target(state: State, batch: Batch) -> Tensor:
    """y = r + discount · Q̂(s', mû(s')); -> [seeds, batch]."""
    action = actor_critics.mean_action(state, "target_policy", batch.next_observations)
    next_q = actor_critics.q_of(state, state.networks["target_critic"], batch.next_observations, action)
    return value_target(batch.rewards, batch.terminations, next_q[:, 0], discount=batch.discounts)


LOSSES: dict[str, tuple[str, Callable[[State, Batch], Tensor]]] = {
    "critic_loss": ("critic", critic_loss),
    "policy_loss": ("policy", policy_loss),
}


def update(state: State, batch: Batch) -> dict[str, Tensor]:
    """A step of the critic, one of the actor up the new critic, one of both targets."""
    y = target(state, batch)
    losses = {"critic": critic_loss(state, batch, y)}
    state.optimizers["critic"].step(losses["critic"])
    losses["policy"] = policy_loss(state, batch)
    state.optimizers["policy"].step(losses["policy"])
    actor_critics.track(state, "critic", "policy")
    state.updates += 1
    return {f"{name}_loss": loss.detach() for name, loss in losses.items()} | {"target": y.mean(-1)}
