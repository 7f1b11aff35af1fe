"""Soft actor-critic: twin critics, a stochastic actor, and an entropy that is rewarded (Haarnoja et al. 2018).

    y = r + discount · (min(Q̂1, Q̂2)(s', a') - α · log π(a'|s'))     a' drawn from π; Q̂ copies that follow the critics
    critics: mean of ½ (y - Q1(s, a))² + ½ (y - Q2(s, a))²
    actor: mean of α · log π(a|s) - min(Q1, Q2)(s, a)                a drawn from π, reparameterised
    log α: mean of -α · (log π(a|s) + target entropy)                where it is learned

π is a Gaussian through tanh. Where actions are discrete, expectations over π are sums over all of them (Christodoulou 2019).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from accelerated import (
    expected_sarsa_target,
    gaussian_log_prob,
    sample_gaussian,
    soft_policy_loss,
    soft_target,
    tanh_gaussian_log_prob,
    temperature_loss,
)
from accelerated.agents import actor_critics, networks, policies
from accelerated.agents.batch import Batch, Parameters, Space
from accelerated.agents.networks import ACTIVATIONS
from accelerated.agents.optimizers import KINDS
from accelerated.agents.ranges import check
from accelerated.agents.state import State
from accelerated.agents.streams import Streams

NAME = "sac"
MEMORY = "replay"
ACTOR_CRITICS = ("min", "mean", "first")


@dataclass(frozen=True)
class Config:
    """The second paper's appendix D (arXiv 1812.05905).

    entropy_coefficient   α; None: learned, from initial_entropy_coefficient
    target_entropy        of the learned one; None: -D for D continuous dimensions, 0.98 · log A for A discrete actions
    actor_critic          of which the actor goes up: the "min" of the twins, their "mean", the "first"
    squash                whether actions go through tanh; else the Gaussian's are taken as they are, also beyond the box
    log_std_range         what the network's log standard deviation is clipped to
    random_steps          of one seed's environment, in which the actions are drawn uniformly
    torso, action_layer   of the critics, as of ddpg

    Log-densities are those of actions in units in which their box is [-1, 1].
    """

    discount: float = 0.99
    batch_size: int = 256
    policy_learning_rate: float = 3e-4
    critic_learning_rate: float = 3e-4
    temperature_learning_rate: float = 3e-4
    optimizer: str = "adam"
    max_grad_norm: float | None = None
    polyak_step: float = 0.005
    entropy_coefficient: float | None = None
    initial_entropy_coefficient: float = 1.0
    target_entropy: float | None = None
    actor_critic: str = "min"
    squash: bool = True
    log_std_range: tuple[float, float] = (-20.0, 2.0)
    hidden: tuple[int, ...] = (256, 256)
    activation: str = "relu"
    init: str = "torch"
    torso: str = "auto"
    action_layer: int = 0
    random_steps: int = 10_000
    buffer_size: int = 1_000_000
    learning_starts: int = 10_000
    update_every: int = 1
    updates_per_round: int = 1
    envs: int = 1

    def __post_init__(self) -> None:
        check(self, optimizer=KINDS, activation=tuple(ACTIVATIONS), actor_critic=ACTOR_CRITICS)


PRESETS: dict[str, dict[str, object]] = {
    "paper": {},  # random steps: ten paths of 1000, as in softlearning
    "author": {"actor_critic": "mean"},  # github.com/rail-berkeley/softlearning
    # github.com/haarnoja/sac, the first version. Its rewards are times 5 (20 on Humanoid, 25 on Swimmer) and its coefficient is 1:
    # the best policy is that of rewards as they are and 1/5. Besides, it has a V and its target, and decays the Gaussian's outputs.
    "author:v1": {"actor_critic": "first", "entropy_coefficient": 0.2, "random_steps": 1000, "learning_starts": 1000},
}


# --------------------------------------------------------------------------------------------------- making, acting


@cache
def policy_shape(config: Config, space: Space) -> policies.Policy:
    """Mean and log standard deviation before tanh, or the logits of discrete actions."""
    free = (math.inf,) * len(space.low)
    pre_tanh = space._replace(low=tuple(-bound for bound in free), high=free)
    return policies.policy_for(
        pre_tanh,
        hidden=config.hidden,
        log_std="network",
        log_std_range=config.log_std_range,
        initial_log_std=config.log_std_range[0],
        tanh_mean=False,
        activation=config.activation,
        init=config.init,
    )


def init(
    config: Config, space: Space, seeds: Sequence[int], *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
) -> State:
    """A policy, twin critics and their copies, and log α for each seed.

    raises  ValueError if the actions have no bounds where those are needed
    """
    actor_critics.in_bounds(config, space, config.squash)
    shapes = {"policy": policy_shape(config, space), "critic": actor_critics.critic_shape(config, space, 2)}
    made = {name: shape.init(Streams(seeds, name, device), dtype=dtype, device=device) for name, shape in shapes.items()}
    made["target_critic"] = networks.copy(made["critic"])
    log_coefficient = math.log(config.initial_entropy_coefficient)
    made["temperature"] = {"log_coefficient": torch.full((len(seeds), 1), log_coefficient, dtype=dtype, device=device)}
    return actor_critics.begun(config, space, seeds, made, ("actions", "policy", "target"))


@torch.no_grad()
def act(state: State, observations: Tensor, *, explore: bool) -> Tensor:
    """The mean's action, or one that explores: uniform in the first `random_steps` steps, drawn after."""
    if explore and actor_critics.at_random(state, observations.shape[1]):
        return actor_critics.uniform(state, observations.shape[1])
    policy, parameters = policy_shape(state.config, state.space), state.networks["policy"]
    if explore:
        chosen = policy.draw(parameters, observations, state.streams["actions"])
    else:
        chosen = policy.mode(parameters, observations)
    if state.space.discrete:
        return chosen
    return policies.clipped(state.space, actor_critics.in_box(state.space, chosen, squashed=state.config.squash))


# ----------------------------------------------------------------------------------------------------------- losses


class Draw(NamedTuple):
    """What the policy does in each state: one action of it, or all of them with their probabilities.

    actions        [seeds, batch, D]; None where they are discrete
    log_prob       [seeds, batch], or [seeds, batch, A]
    probabilities  [seeds, batch, A]; None where actions are continuous
    """

    actions: Tensor | None
    log_prob: Tensor
    probabilities: Tensor | None

    def expected(self, of_actions: Tensor) -> Tensor:
        """The mean over the actions that were looked at; -> [seeds, batch]."""
        return of_actions if self.probabilities is None else (self.probabilities * of_actions).sum(-1)


def draw(state: State, observations: Tensor, purpose: str) -> Draw:
    """From the policy, with noise of the stream `purpose`; differentiable."""
    policy, parameters = policy_shape(state.config, state.space), state.networks["policy"]
    if isinstance(policy, policies.Categorical):
        logits = policy.logits(parameters, observations)
        return Draw(None, logits.log_softmax(-1), logits.softmax(-1))
    mean, log_std = policy.distribution(parameters, observations)
    pre_tanh = state.streams[purpose].each(lambda seed, g: sample_gaussian(mean[seed], log_std[seed], generator=g))
    actions = actor_critics.in_box(state.space, pre_tanh, squashed=state.config.squash)
    if not state.config.squash:
        return Draw(actions, gaussian_log_prob(pre_tanh, mean, log_std), None)
    return Draw(actions, tanh_gaussian_log_prob(pre_tanh, mean, log_std, low=-1.0, high=1.0), None)


def critics_of(state: State, critic: Parameters, observations: Tensor, drawn: Draw) -> Tensor:
    """Q of each member at what was drawn; -> [seeds, members, batch], or [seeds, members, batch, A]."""
    if drawn.actions is None:
        return actor_critics.all_q(state, critic, observations)
    return actor_critics.q_of(state, critic, observations, drawn.actions)


def coefficient(state: State) -> Tensor:
    """α of each seed, [seeds, 1]."""
    log_coefficient, fixed = state.networks["temperature"]["log_coefficient"].detach(), state.config.entropy_coefficient
    return log_coefficient.exp() if fixed is None else torch.full_like(log_coefficient, fixed)


def weighted(state: State, log_prob: Tensor) -> Tensor:
    """α · log π, each seed with its own α, where the operators take one for all."""
    of_seed = coefficient(state)
    return (of_seed if log_prob.ndim == 2 else of_seed.unsqueeze(-1)) * log_prob


def critic_loss(state: State, batch: Batch, y: Tensor | None = None) -> Tensor:
    """Mean of ½ (y - Q1(s, a))² + ½ (y - Q2(s, a))²; -> [seeds]."""
    return 0.5 * actor_critics.squared_errors(state, batch, target(state, batch) if y is None else y)


@torch.no_grad()
def target(state: State, batch: Batch) -> Tensor:
    """y = r + discount · E(min(Q̂1, Q̂2)(s', a') - α · log π(a'|s')), the expectation of one draw or of all actions."""
    drawn = draw(state, batch.next_observations, "target")
    q1, q2 = critics_of(state, state.networks["target_critic"], batch.next_observations, drawn).unbind(1)
    surprise, step = weighted(state, drawn.log_prob), (batch.rewards, batch.terminations)
    if drawn.probabilities is None:
        return soft_target(*step, q1, q2, surprise, entropy_coefficient=1.0, discount=batch.discounts)
    soft_q = -soft_policy_loss(q1, q2, surprise, entropy_coefficient=1.0)
    return expected_sarsa_target(*step, soft_q, drawn.probabilities, discount=batch.discounts)


def policy_loss(state: State, batch: Batch, drawn: Draw | None = None) -> Tensor:
    """Mean of α · log π(a|s) - Q(s, a), Q by `actor_critic`; -> [seeds]."""
    drawn, rule = drawn or draw(state, batch.observations, "policy"), state.config.actor_critic
    critics = actor_critics.constant(state.networks["critic"], 1 if rule == "first" else None)
    q = critics_of(state, critics, batch.observations, drawn)
    q1, q2 = (q[:, 0], q[:, 1]) if rule == "min" else (q.mean(1),) * 2
    loss = soft_policy_loss(q1, q2, weighted(state, drawn.log_prob), entropy_coefficient=1.0)
    return drawn.expected(loss).mean(-1)


def log_coefficient_loss(state: State, batch: Batch, drawn: Draw | None = None) -> Tensor:
    """Mean of -α · (log π(a|s) + target entropy); -> [seeds]."""
    drawn = drawn or draw(state, batch.observations, "policy")
    each = zip(drawn.expected(drawn.log_prob), state.networks["temperature"]["log_coefficient"].unbind(), strict=True)
    goal = target_entropy(state.config, state.space)
    return torch.stack(
        [temperature_loss(log_prob, log_coefficient=one.squeeze(), target_entropy=goal) for log_prob, one in each]
    ).mean(-1)


def target_entropy(config: Config, space: Space) -> float:
    """What the learned coefficient steers the policy's entropy to."""
    if config.target_entropy is not None:
        return config.target_entropy
    return 0.98 * math.log(space.actions) if space.discrete else -float(space.actions)


LOSSES: dict[str, tuple[str, Callable[[State, Batch], Tensor]]] = {
    "critic_loss": ("critic", critic_loss),
    "policy_loss": ("policy", policy_loss),
    "temperature_loss": ("temperature", log_coefficient_loss),
}


# ----------------------------------------------------------------------------------------------------------- update


def update(state: State, batch: Batch) -> dict[str, Tensor]:
    """A step of the critics, one of the actor up the new critics, one of α where it is learned, one of the targets."""
    y = target(state, batch)
    losses = {"critic": critic_loss(state, batch, y)}
    state.optimizers["critic"].step(losses["critic"])
    drawn = draw(state, batch.observations, "policy")
    losses["policy"] = policy_loss(state, batch, drawn)
    if state.config.entropy_coefficient is None:
        losses["temperature"] = log_coefficient_loss(state, batch, drawn)
    used = coefficient(state)
    for name in [name for name in losses if name != "critic"]:
        state.optimizers[name].step(losses[name])
    actor_critics.track(state, "critic")
    state.updates += 1
    metrics = {f"{name}_loss": loss.detach() for name, loss in losses.items()}
    entropy = -drawn.expected(drawn.log_prob).detach().mean(-1)
    return metrics | {"target": y.mean(-1), "entropy": entropy, "entropy_coefficient": used[:, 0]}
