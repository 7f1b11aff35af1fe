"""Q-learning of continuous actions whose maximum is a search (Kalashnikov et al. 2018, QT-Opt).

    a* = argmax_a Q̂(s', a) by search, of the first critic where there are two       y = r + discount · min over critics of Q̂(s', a*)
    loss = Σ over critics of the mean over the batch of (y − Q(s, a))²              Q̂ a copy of Q that follows it

search  "cross_entropy": the best of all samples of `cross_entropy_search`; "gradient": where `gradient_search` ends, which may be a
        local maximum
Acting searches as well, in Q; there is no policy.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor

from accelerated import clipped_double_target, cross_entropy_search, gradient_search, value_target
from accelerated.agents import actor_critics, networks, policies
from accelerated.agents.batch import Batch, Space
from accelerated.agents.networks import ACTIVATIONS
from accelerated.agents.optimizers import KINDS
from accelerated.agents.ranges import check
from accelerated.agents.state import State
from accelerated.agents.streams import Streams

NAME = "cem"
MEMORY = "replay"
SEARCHES = ("cross_entropy", "gradient")
STARTS = ("centre", "uniform")


@dataclass(frozen=True)
class Config:
    """The search and the twin targets of QT-Opt; sizes, rates and exploration are TD3's, for small tasks.

    twin               two critics: the first is searched, the smaller one is the value
    iterations ...     of the cross-entropy search: its rounds, samples in each, and to how many of them the next is fitted
    step_size ...      of the gradient search, in units of the actions: a <- a + step_size · ∇Q until a step is no longer than
                       step_size · tolerance, or after max_iterations
    start              of the gradient search: the "centre" of the box of actions, or "uniform" in it
    target_every       updates between two steps of the target critics, polyak_step of the way
    random_steps       of one seed's environment, in which the actions are drawn uniformly
    exploration_noise  standard deviation of what is added to the action found, in half widths of the box
    epsilon            the part of actions that is uniform instead
    torso              "auto", or "quadratic", which reads the products of its inputs as well
    action_layer       how many of the critic's hidden layers come before the one that reads the actions
    """

    search: str = "cross_entropy"
    iterations: int = 2
    population: int = 64
    elites: int = 6
    step_size: float = 0.1
    tolerance: float = 1e-3
    max_iterations: int = 50
    start: str = "centre"
    twin: bool = True
    discount: float = 0.99
    batch_size: int = 256
    critic_learning_rate: float = 3e-4
    optimizer: str = "adam"
    max_grad_norm: float | None = None
    polyak_step: float = 0.005
    target_every: int = 1
    hidden: tuple[int, ...] = (256, 256)
    activation: str = "relu"
    init: str = "torch"
    torso: str = "auto"
    action_layer: int = 0
    random_steps: int = 1000
    exploration_noise: float = 0.1
    epsilon: float = 0.0
    buffer_size: int = 1_000_000
    learning_starts: int = 1000
    update_every: int = 1
    updates_per_round: int = 1
    envs: int = 1

    def __post_init__(self) -> None:
        check(self, search=SEARCHES, start=STARTS, optimizer=KINDS, activation=tuple(ACTIVATIONS))
        if self.elites > self.population:
            raise ValueError(f"elites must not exceed population = {self.population}; got {self.elites}")


PRESETS: dict[str, dict[str, object]] = {
    "paper": {},  # 2 iterations of 64 samples, 6 of them elite
    "qt_opt": {"iterations": 2, "population": 64, "elites": 6, "twin": True},
    # the lecture's two ways to max_a Q(s, a), in Q-learning with one critic
    "lecture": {"search": "gradient", "twin": False},
    "lecture:cross_entropy": {"search": "cross_entropy", "twin": False},
}


# ------------------------------------------------------------------------------------------------ making, acting


def init(
    config: Config, space: Space, seeds: Sequence[int], *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
) -> State:
    """Critics for each seed, and their copies.

    raises  ValueError if the actions are discrete or without bounds
    """
    if space.discrete or not all(map(isfinite, space.low + space.high)):
        raise ValueError(f"a search needs continuous actions between finite bounds; got {space.actions}, {space.low}, {space.high}")
    shape = actor_critics.critic_shape(config, space, 2 if config.twin else 1)
    critic = shape.init(Streams(seeds, "critic", device), dtype=dtype, device=device)
    made = {"critic": critic, "target_critic": networks.copy(critic)}
    return actor_critics.begun(config, space, seeds, made, ("actions", "acting_search", "learning_search"))


@torch.no_grad()
def act(state: State, observations: Tensor, *, explore: bool) -> Tensor:
    """The action that the search finds; exploring, one near it, or any at all; [seeds, n, *] -> [seeds, n, D].

    The numbers of an evaluation's search are its own, the same at each call.
    """
    if not explore:
        return best_actions(state, "critic", observations, Streams(state.seeds, "evaluating_search", state.device))
    config, streams, count = state.config, state.streams["actions"], observations.shape[1]
    anything = policies.uniform(state.space, streams, count, dtype=_like(state).dtype)
    if actor_critics.at_random(state, count):
        return anything
    found = best_actions(state, "critic", observations, state.streams["acting_search"])
    noise = config.exploration_noise * streams.normal(*found.shape[1:], dtype=found.dtype)
    near = actor_critics.perturbed(state.space, found, noise)
    return torch.where(streams.uniform(count, 1) < config.epsilon, anything, near)


# ---------------------------------------------------------------------------------------------------- searching


def best_actions(state: State, network: str, observations: Tensor, streams: Streams) -> Tensor:
    """argmax_a Q(s, a) of the first critic, as the search finds it; [seeds, n, *] -> [seeds, n, D]."""
    box = policies.bounds(state.space, _like(state))
    low, high = (bound.expand(observations.shape[1], -1) for bound in (box.low, box.high))
    if state.config.search == "cross_entropy":
        return _sampled(state, network, observations, streams, low, high)
    seeds = len(state.seeds)
    uniform = state.config.start == "uniform"
    start = policies.uniform(state.space, streams, len(low), dtype=low.dtype) if uniform else box.centre.expand(seeds, *low.shape)
    return _climbed(state, network, observations, start, low.expand(seeds, -1, -1), high.expand(seeds, -1, -1))


def _sampled(state: State, network: str, observations: Tensor, streams: Streams, low: Tensor, high: Tensor) -> Tensor:
    """One search for each seed with its own random numbers, in all of its states at once."""
    config = state.config

    def search(seed: int, generator: torch.Generator) -> Tensor:
        return cross_entropy_search(
            lambda actions: _values(state, network, seed, observations[seed], actions),
            low,
            high,
            iterations=config.iterations,
            population=config.population,
            elites=config.elites,
            generator=generator,
        ).action

    return streams.each(search)


def _climbed(state: State, network: str, observations: Tensor, start: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """One search in all states of all seeds: each goes its own way, as far as it needs."""
    config = state.config
    return gradient_search(
        lambda actions: _values_and_slopes(state, network, observations, actions),
        start,
        low,
        high,
        step_size=config.step_size,
        tolerance=config.tolerance,
        max_iterations=config.max_iterations,
    ).action


def _values(state: State, network: str, seed: int, observations: Tensor, actions: Tensor) -> Tensor:
    """Q of one seed's first critic, of several actions in each state; [n, *], [n, population, D] -> [n, population]."""
    first = {name: tensor[seed : seed + 1, :1] for name, tensor in state.networks[network].items()}
    rows = observations.repeat_interleave(actions.shape[1], 0)
    return actor_critics.q_of(state, first, rows[None], actions.flatten(0, 1)[None]).reshape(actions.shape[:-1])


@torch.enable_grad()
def _values_and_slopes(state: State, network: str, observations: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
    """Q of the first critics and its gradient in the actions; [seeds, n, D] -> [seeds, n], [seeds, n, D]."""
    leaf = actions.detach().requires_grad_()
    q = actor_critics.q_of(state, actor_critics.constant(state.networks[network], 1), observations, leaf)[:, 0]
    return q.detach(), torch.autograd.grad(q.sum(), leaf)[0]


def _like(state: State) -> Tensor:
    """A parameter, for its type and its device."""
    return next(iter(state.networks["critic"].values()))


# ------------------------------------------------------------------------------------------------------ learning


@torch.no_grad()
def target(state: State, batch: Batch) -> Tensor:
    """y = r + discount · Q̂(s', a*), of two critics the smaller one; -> [seeds, batch]."""
    found = best_actions(state, "target_critic", batch.next_observations, state.streams["learning_search"])
    q = actor_critics.q_of(state, state.networks["target_critic"], batch.next_observations, found).unbind(1)
    if state.config.twin:
        return clipped_double_target(batch.rewards, batch.terminations, *q, discount=batch.discounts)
    return value_target(batch.rewards, batch.terminations, *q, discount=batch.discounts)


def critic_loss(state: State, batch: Batch) -> Tensor:
    """Σ over the critics of the mean of (y − Q(s, a))²; -> [seeds]."""
    return actor_critics.squared_errors(state, batch, target(state, batch))


LOSSES: dict[str, tuple[str, Callable[[State, Batch], Tensor]]] = {"critic_loss": ("critic", critic_loss)}


def update(state: State, batch: Batch) -> dict[str, Tensor]:
    """One step of the critics, then the target critics' where it is due."""
    loss = critic_loss(state, batch)
    state.optimizers["critic"].step(loss)
    state.updates += 1
    if state.updates % state.config.target_every == 0:
        actor_critics.track(state, "critic")
    return {"critic_loss": loss.detach()}
