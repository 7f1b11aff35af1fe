"""What can be chosen about a deep Q-network, and within which ranges."""

from __future__ import annotations

from dataclasses import dataclass

from accelerated.agents.optimizers import KINDS
from accelerated.agents.prioritized import Priorities
from accelerated.agents.ranges import check

OVER = ("all", "others")


@dataclass(frozen=True)
class Config:
    """Defaults are those of dqn_zoo's Atari agent, but for the optimizer: Adam as Dopamine's, not centred RMSProp.

    hidden              widths of the hidden layers; None: 512 behind convolutions, else 256 and 256
    target_every        updates between two steps of the target network, polyak_step of the way: 1.0 is a copy
    epsilon_start       until learning_starts steps of one seed's environment, then in a line to epsilon_end over epsilon_steps
                        more; 0 throughout where the network is noisy
    epsilon_over        which actions share epsilon: "all", or the "others" than the greedy one
    priority_exponent   of |error| + priority_offset; priority_maximum bounds the error before it; uniform_mix is the part of
                        draws that is uniform
    importance_*        exponent of the weights, from its start to its end over importance_steps updates
    atoms, v_min, v_max the returns that a categorical network knows; others are clipped to them
    noisy_scale         of the noise's initial weights, over the root of the layer's inputs
    envs                of one seed, stepped together; update_every and the like count the steps of all of them
    """

    double: bool = False
    dueling: bool = False
    prioritized: bool = False
    n_step: int = 1
    categorical: bool = False
    noisy: bool = False
    discount: float = 0.99
    batch_size: int = 32
    learning_rate: float = 6.25e-5
    optimizer: str = "adam"
    optimizer_eps: float = 1.5e-4
    max_grad_norm: float | None = None
    target_every: int = 2500
    polyak_step: float = 1.0
    hidden: tuple[int, ...] | None = None
    activation: str = "relu"
    init: str = "torch"
    epsilon_start: float = 1.0
    epsilon_end: float = 0.1
    epsilon_steps: int = 1_000_000
    epsilon_over: str = "all"
    buffer_size: int = 1_000_000
    learning_starts: int = 50_000
    update_every: int = 4
    updates_per_round: int = 1
    envs: int = 1
    priority_exponent: float = 0.5
    priority_offset: float = 1e-6
    priority_maximum: float = 100.0
    uniform_mix: float = 1e-3
    importance_start: float = 0.4
    importance_end: float = 1.0
    importance_steps: int = 12_500_000
    atoms: int = 51
    v_min: float = -10.0
    v_max: float = 10.0
    noisy_scale: float = 0.1

    def __post_init__(self) -> None:
        check(self, optimizer=KINDS, epsilon_over=OVER)
        ordered(self)

    @property
    def priorities(self) -> Priorities | None:
        """How the memory draws; None is uniformly."""
        if not self.prioritized:
            return None
        return Priorities(
            exponent=self.priority_exponent,
            importance_exponent=self.importance_start,
            importance_exponent_end=self.importance_end,
            anneal_steps=self.importance_steps,
            offset=self.priority_offset,
            maximum=self.priority_maximum,
            uniform_mix=self.uniform_mix,
        )


def ordered(config: Config) -> None:
    """The atoms lie between two different returns.

    raises  ValueError naming both
    """
    if not config.v_min < config.v_max:
        raise ValueError(f"v_min must be less than v_max; got {config.v_min} and {config.v_max}")
