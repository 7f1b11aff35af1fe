"""Twin delayed DDPG (Fujimoto, van Hoof, Meger 2018): three remedies against overestimated values.

ã = mû(s') + clip(noise, ±target_noise_clip), within the box          the target is smoothed
y = r + discount · min(Q̂1(s', ã), Q̂2(s', ã))                          of twins the smaller is believed
critics: mean of (y - Q1(s, a))² + (y - Q2(s, a))²
actor: -mean of Q1(s, mu(s)), and all targets, every `policy_every` updates
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from accelerated import clipped_double_target
from accelerated.agents import actor_critics
from accelerated.agents.actor_critics import EXPLORATIONS, act, cut, policy_loss
from accelerated.agents.batch import Batch, Space
from accelerated.agents.networks import ACTIVATIONS
from accelerated.agents.optimizers import KINDS
from accelerated.agents.ranges import check
from accelerated.agents.state import State

__all__ = ["LOSSES", "MEMORY", "NAME", "PRESETS", "Config", "act", "critic_loss", "cut", "init", "policy_loss", "update"]

NAME = "td3"
MEMORY = "replay"


@dataclass(frozen=True)
class Config:
    """TD3.py and main.py of github.com/sfujim/TD3: the defaults.

    policy_every       updates of the critics for one of actor and targets
    target_noise       the standard deviation of the target action's noise; target_noise_clip: what it is clipped to. Both, and
                       exploration_noise, in half widths of the actions' box
    random_steps       of one seed's environment, in which the actions are drawn uniformly; of a run of 1e5 steps a quarter
    exploration, tanh_mean, torso, action_layer   as of ddpg
    """

    discount: float = 0.99
    batch_size: int = 256
    policy_learning_rate: float = 3e-4
    critic_learning_rate: float = 3e-4
    optimizer: str = "adam"
    max_grad_norm: float | None = None
    polyak_step: float = 0.005
    policy_every: int = 2
    target_noise: float = 0.2
    target_noise_clip: float = 0.5
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
    # The paper's table of hyper-parameters; 10 000 random steps are HalfCheetah's and Ant's, else 1000.
    "paper": {
        "hidden": (400, 300), "policy_learning_rate": 1e-3, "critic_learning_rate": 1e-3, "batch_size": 100,
        "random_steps": 10_000, "learning_starts": 10_000,
    },
}  # fmt: skip


def init(
    config: Config, space: Space, seeds: Sequence[int], *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
) -> State:
    """An actor and twin critics for each seed, and their copies.

    raises  ValueError if the actions are discrete, or have no bounds where those are needed
    """
    state = actor_critics.deterministic(config, space, seeds, 2, device=device, dtype=dtype)
    state.tensors["policy_loss"] = torch.zeros(len(seeds), dtype=dtype, device=device)  # the latest: told after every update
    return state


def critic_loss(state: State, batch: Batch, y: Tensor | None = None) -> Tensor:
    """Mean of (y - Q1(s, a))² + (y - Q2(s, a))²; -> [seeds]."""
    return actor_critics.squared_errors(state, batch, target(state, batch) if y is None else y)


@torch.no_grad()
def target(state: State, batch: Batch) -> Tensor:
    """y = r + discount · min(Q̂1, Q̂2)(s', ã); -> [seeds, batch]."""
    action = smoothed(state, batch.next_observations)
    q1, q2 = actor_critics.q_of(state, state.networks["target_critic"], batch.next_observations, action).unbind(1)
    return clipped_double_target(batch.rewards, batch.terminations, q1, q2, discount=batch.discounts)


def smoothed(state: State, observations: Tensor) -> Tensor:
    """The target actor's action with clipped noise, within the box; -> [seeds, batch, D]."""
    config, action = state.config, actor_critics.mean_action(state, "target_policy", observations)
    noise = config.target_noise * state.streams["target"].normal(*action.shape[1:], dtype=action.dtype)
    return actor_critics.perturbed(state.space, action, noise, noise_clip=config.target_noise_clip)


LOSSES: dict[str, tuple[str, Callable[[State, Batch], Tensor]]] = {
    "critic_loss": ("critic", critic_loss),
    "policy_loss": ("policy", policy_loss),
}


def update(state: State, batch: Batch) -> dict[str, Tensor]:
    """A step of the critics; where it is due one of the actor up the first of them, and one of all targets."""
    y = target(state, batch)
    loss = critic_loss(state, batch, y)
    state.optimizers["critic"].step(loss)
    state.updates += 1
    if state.updates % state.config.policy_every == 0:
        ascent = policy_loss(state, batch)
        state.optimizers["policy"].step(ascent)
        actor_critics.track(state, "critic", "policy")
        state.tensors["policy_loss"] = ascent.detach()
    return {"critic_loss": loss.detach(), "policy_loss": state.tensors["policy_loss"], "target": y.mean(-1)}
