"""Deep Q-network (Mnih et al. 2015), and the six pieces that Rainbow adds to it, each a field of the configuration.

    y = r + discount · max_a' Q̂(s', a')        Q̂ a copy of Q that follows it every `target_every` updates
    loss = mean over the batch of w · ½ (y − Q(s, a))²

double       y = r + discount · Q̂(s', argmax_a' Q(s', a'))                        van Hasselt, Guez, Silver 2016
dueling      Q = V + A − mean A, two streams of one network                          Wang et al. 2016
prioritized  transitions drawn by the size of their last error; w undoes the bias   Schaul et al. 2016
n_step       r and discount span that many steps, as the memory builds them         Sutton 1988
categorical  the distribution of the return on fixed atoms; the loss is −Σ p log q   Bellemare, Dabney, Munos 2017
noisy        layers with learned noise explore instead of epsilon                    Fortunato et al. 2018
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from accelerated import categorical_loss, double_q_target, epsilon_greedy, expectile_loss, q_learning_target
from accelerated.agents import networks
from accelerated.agents.batch import Batch, Parameters, Space
from accelerated.agents.distributional import mean_values, projected_target, support, taken
from accelerated.agents.dqn_configuration import Config
from accelerated.agents.networks import Network, network_for
from accelerated.agents.optimizers import Optimizer
from accelerated.agents.state import State, streams_for
from accelerated.agents.streams import Streams

__all__ = [
    "LOSSES", "MEMORY", "NAME", "PRESETS", "Config", "Errors", "act", "action_values", "critic_loss", "epsilon", "errors", "init",
    "shape", "update",
]  # fmt: skip

NAME = "dqn"
MEMORY = "replay"

PRESETS: dict[str, dict[str, object]] = {
    "author": {},  # dqn_zoo's dqn/run_atari.py, frames divided by 4 into steps
    # rl-baselines3-zoo's hyperparams/dqn.yml and stable-baselines3's defaults. Its target network is copied by environment
    # steps: every 10 of them is, at a round of 128 updates every 256 steps, once a round. Its epsilon falls from step 0.
    "classic:cartpole": {  # 5e4 steps
        "learning_rate": 2.3e-3, "optimizer_eps": 1e-8, "batch_size": 64, "buffer_size": 100_000, "learning_starts": 1000,
        "target_every": 128, "update_every": 256, "updates_per_round": 128, "epsilon_end": 0.04, "epsilon_steps": 7000,
        "hidden": (256, 256), "max_grad_norm": 10.0,
    },
    "classic:acrobot": {  # 1e5 steps
        "learning_rate": 6.3e-4, "optimizer_eps": 1e-8, "batch_size": 128, "buffer_size": 50_000, "learning_starts": 0,
        "target_every": 250, "update_every": 4, "updates_per_round": 4, "epsilon_end": 0.1, "epsilon_steps": 12_000,
        "hidden": (256, 256), "max_grad_norm": 10.0,
    },
    "classic:lunarlander": {  # 1e5 steps, tuned on v2
        "learning_rate": 6.3e-4, "optimizer_eps": 1e-8, "batch_size": 128, "buffer_size": 50_000, "learning_starts": 0,
        "target_every": 250, "update_every": 4, "updates_per_round": 4, "epsilon_end": 0.1, "epsilon_steps": 12_000,
        "hidden": (256, 256), "max_grad_norm": 10.0,
    },
    # Dopamine's labs/atari_100k/configs/DrQ_eps.gin without the augmentation of images.
    "atari100k": {  # 1e5 steps
        "double": True, "dueling": True, "n_step": 10, "learning_rate": 1e-4, "learning_starts": 1600, "update_every": 1,
        "target_every": 1, "epsilon_end": 0.01, "epsilon_steps": 5000, "buffer_size": 100_000,
    },
}  # fmt: skip


# ------------------------------------------------------------------------------------------------ making, acting


@cache
def shape(config: Config, space: Space) -> Network:
    """The critic: one output for each action, or one for each action and atom.

    raises  ValueError if actions are not discrete
    """
    if not space.discrete:
        raise ValueError(f"the actions must be discrete; got {space.actions} dimensions between {space.low} and {space.high}")
    return network_for(
        space,
        outputs=space.actions,
        hidden=config.hidden,
        activation=config.activation,
        init=config.init,
        dueling=config.dueling,
        atoms=config.atoms if config.categorical else 1,
        noisy=config.noisy,
        noisy_scale=config.noisy_scale,
    )


def init(
    config: Config, space: Space, seeds: Sequence[int], *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
) -> State:
    """A critic for each seed, and its copy."""
    critic = shape(config, space).init(Streams(seeds, "networks", device), dtype=dtype, device=device)
    made = {"critic": critic, "target_critic": networks.copy(critic)}
    optimizer = Optimizer(
        critic,
        learning_rate=config.learning_rate,
        kind=config.optimizer,
        eps=config.optimizer_eps,
        max_grad_norm=config.max_grad_norm,
    )
    streams = streams_for(seeds, ("actions", "acting_noise", "learning_noise"), device)
    tensors = {"steps": torch.zeros((), dtype=torch.int64, device=device)}
    return State(config, space, tuple(seeds), made, {"critic": optimizer}, streams, tensors)


def epsilon(config: Config, steps: int) -> float:
    """Of the action after `steps` steps of one seed's environment."""
    if config.noisy:
        return 0.0
    part = min(max(steps - config.learning_starts, 0) / max(config.epsilon_steps, 1), 1.0)
    return config.epsilon_start + part * (config.epsilon_end - config.epsilon_start)


@torch.no_grad()
def act(state: State, observations: Tensor, *, explore: bool) -> Tensor:
    """The greedy action, or one that explores: epsilon-greedy, or greedy under fresh noise; [seeds, n, *] -> int64 [seeds, n]."""
    config = state.config
    if not explore:
        return action_values(state, observations).argmax(-1)
    q = action_values(state, observations, noise="acting_noise")
    rate = epsilon(config, int(state.tensors["steps"]))
    state.tensors["steps"] += observations.shape[1]
    if rate == 0:
        return q.argmax(-1)
    probability = epsilon_greedy(q, epsilon=rate, over=config.epsilon_over)
    return state.streams["actions"].each(
        lambda seed, generator: torch.multinomial(probability[seed], 1, generator=generator).squeeze(-1)
    )


@torch.no_grad()
def action_values(state: State, observations: Tensor, *, noise: str | None = None) -> Tensor:
    """Q of every action, the mean of its distribution where there is one; [seeds, n, *] -> [seeds, n, A]."""
    outputs = _outputs(state, "critic", observations, noise=noise)
    return mean_values(outputs, _atoms(state, outputs)) if state.config.categorical else outputs


def _outputs(state: State, network: str, observations: Tensor, *, noise: str | None) -> Tensor:
    """[seeds, batch, A] or [seeds, batch, A, K], under a fresh draw from the streams `noise` where the network is noisy."""
    critic = shape(state.config, state.space)
    parameters: Parameters = state.networks[network]
    if noise is None or not state.config.noisy:
        return critic(parameters, observations).squeeze(1)
    drawn = critic.draw_noise(state.streams[noise], dtype=next(iter(parameters.values())).dtype)
    return critic(parameters, observations, noise=drawn).squeeze(1)


def _atoms(state: State, like: Tensor) -> Tensor:
    return support(state.config.v_min, state.config.v_max, state.config.atoms, like)


# ------------------------------------------------------------------------------------------------------ learning


class Errors(NamedTuple):
    """Of each transition, [seeds, batch].

    loss      before its importance weight
    td_error  y − Q(s, a), or the cross-entropy where distributions are compared: what priorities are made from
    q         Q(s, a)
    """

    loss: Tensor
    td_error: Tensor
    q: Tensor


def errors(state: State, batch: Batch) -> Errors:
    """What each transition says about the critic; its target is a constant.

    The critic at s, the critic at s' (where it selects) and the target critic at s' have noise of their own.
    """
    predicted = _outputs(state, "critic", batch.observations, noise="learning_noise")
    with torch.no_grad():
        selecting = _outputs(state, "critic", batch.next_observations, noise="learning_noise") if state.config.double else None
        evaluating = _outputs(state, "target_critic", batch.next_observations, noise="learning_noise")
    if state.config.categorical:
        return _distribution_errors(state, batch, predicted, evaluating if selecting is None else selecting, evaluating)
    q = predicted.gather(-1, batch.actions.unsqueeze(-1)).squeeze(-1)
    step = batch.rewards, batch.terminations
    if selecting is None:
        target = q_learning_target(*step, evaluating, discount=batch.discounts)
    else:
        target = double_q_target(*step, selecting, evaluating, discount=batch.discounts)
    td_error = target - q
    return Errors(expectile_loss(td_error, expectile=0.5), td_error.detach(), q.detach())


def _distribution_errors(state: State, batch: Batch, predicted: Tensor, selecting: Tensor, evaluating: Tensor) -> Errors:
    """The cross-entropy is the loss and, as it is, the error."""
    atoms = _atoms(state, predicted)
    target = projected_target(
        selecting,
        evaluating,
        atoms,
        rewards=batch.rewards,
        terminations=batch.terminations,
        discounts=batch.discounts,
    )
    logits = taken(predicted, batch.actions)
    loss = categorical_loss(logits, target)
    return Errors(loss, loss.detach(), mean_values(logits.detach(), atoms))


def critic_loss(state: State, batch: Batch) -> Tensor:
    """The mean of the weighted losses; -> [seeds]."""
    return _mean(errors(state, batch).loss, batch)


def _mean(loss: Tensor, batch: Batch) -> Tensor:
    return (loss if batch.weights is None else batch.weights * loss).mean(-1)


LOSSES: dict[str, tuple[str, Callable[[State, Batch], Tensor]]] = {"critic_loss": ("critic", critic_loss)}


def update(state: State, batch: Batch) -> dict[str, Tensor]:
    """One step of the critic towards the target critic's values, then the target critic's step where it is due."""
    found = errors(state, batch)
    loss = _mean(found.loss, batch)
    state.optimizers["critic"].step(loss)
    state.updates += 1
    if state.updates % state.config.target_every == 0:
        networks.track(state.networks["target_critic"], state.networks["critic"], polyak_step=state.config.polyak_step)
    return {"critic_loss": loss.detach(), "q": found.q.mean(-1), "td_error": found.td_error}
