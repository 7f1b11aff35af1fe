"""Tables of action values for many seeds side by side: their entries, how to act by them, and the agents that keep them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from accelerated import boltzmann, epsilon_greedy, sample_boltzmann, sample_epsilon_greedy
from accelerated.agents.batch import Batch, Space
from accelerated.agents.state import State
from accelerated.agents.streams import Streams

EXPLORATIONS = ("epsilon_greedy", "boltzmann")
OVER = ("all", "others")
Loss = Callable[[State, Batch], Tensor]


@dataclass(frozen=True)
class Agent:
    """What an agent that has no module of its own offers, by the names that a module has; `summary` is its documentation."""

    NAME: str
    MEMORY: str
    summary: str
    Config: type
    PRESETS: dict[str, dict[str, object]]
    LOSSES: dict[str, tuple[str, Loss]]
    init: Callable[..., State]
    act: Callable[..., Tensor]
    update: Callable[[State, Any], dict[str, Tensor]]

    def __post_init__(self) -> None:
        object.__setattr__(self, "__doc__", self.summary)


# ------------------------------------------------------------------------------------------------------ entries


def table(
    space: Space, seeds: Sequence[int], members: int, fill: float, *, dtype: torch.dtype, device: torch.device | str
) -> Tensor:
    """[seeds, members, S, A], every entry `fill`.

    raises  ValueError unless observations are states and actions are discrete
    """
    finite(space)
    return torch.full((len(seeds), members, space.states, space.actions), fill, dtype=dtype, device=device)


def finite(space: Space) -> None:
    """ValueError unless the space has finitely many states and actions."""
    if not space.states or not space.discrete:
        found = f"{space.states} states and {'discrete' if space.discrete else 'continuous'} actions"
        raise ValueError(f"a table needs numbered states and discrete actions; got {found}")


def rows(q: Tensor, states: Tensor) -> Tensor:
    """Q(s, ·) of each member; [seeds, members, S, A], [seeds, n] -> [seeds, members, n, A]."""
    return q.gather(2, states[:, None, :, None].expand(-1, q.shape[1], -1, q.shape[3]))


def taken(q: Tensor, actions: Tensor) -> Tensor:
    """The entry of each action; [seeds, members, n, A], [seeds, n] -> [seeds, members, n]."""
    return q.gather(-1, actions[:, None, :, None].expand(*q.shape[:-1], 1)).squeeze(-1)


def entries(q: Tensor, states: Tensor, actions: Tensor) -> Tensor:
    """Q(s, a) of each member; [seeds, members, S, A], [seeds, n], [seeds, n] -> [seeds, members, n]."""
    return taken(rows(q, states), actions)


def multiplicity(space: Space, states: Tensor, actions: Tensor) -> Tensor:
    """How often each transition's pair of state and action is in its seed's batch; [seeds, n], [seeds, n] -> int64 [seeds, n]."""
    pair = states * space.actions + actions
    counts = pair.new_zeros(pair.shape[0], space.states * space.actions)
    return counts.scatter_add_(1, pair, torch.ones_like(pair)).gather(1, pair)


def visit(visits: Tensor, states: Tensor, actions: Tensor, chosen: Tensor) -> None:
    """One more visit of each pair in the batch, however often it is there, in the members that are `chosen` [seeds, members]."""
    pair = (states * visits.shape[-1] + actions).unsqueeze(1).expand(-1, visits.shape[1], -1)
    flat = visits.flatten(2)  # a view
    flat.scatter_(-1, pair, flat.gather(-1, pair) + chosen.unsqueeze(-1))


# -------------------------------------------------------------------------------------------------- exploration


def epsilon(config: Any, updates: int) -> float:
    """In a line from epsilon_start to epsilon_end over epsilon_steps updates."""
    part = min(updates / config.epsilon_steps, 1.0)
    return float(config.epsilon_start + part * (config.epsilon_end - config.epsilon_start))


def policy(q: Tensor, config: Any, updates: int) -> Tensor:
    """The probabilities that the agent explores with; [..., A] -> [..., A]."""
    if config.exploration == "boltzmann":
        return boltzmann(q, temperature=config.temperature)
    return epsilon_greedy(q, epsilon=epsilon(config, updates), over=config.epsilon_over)


@torch.no_grad()
def explored(q: Tensor, config: Any, updates: int, streams: Streams) -> Tensor:
    """A draw from `policy`, each seed's from its own stream; [seeds, n, A] -> int64 [seeds, n]."""
    if config.exploration == "boltzmann":
        return streams.each(lambda seed, generator: sample_boltzmann(q[seed], temperature=config.temperature, generator=generator))
    rate, over = epsilon(config, updates), config.epsilon_over
    return streams.each(lambda seed, generator: sample_epsilon_greedy(q[seed], epsilon=rate, over=over, generator=generator))
