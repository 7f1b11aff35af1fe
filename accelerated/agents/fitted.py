"""Q-iteration by regression, on a table or a network: fitted on batches (Ernst et al. 2005), or online a transition at a time.

    y = r + discount · max_a' Q_k(s', a')                      for the whole batch
    Q_{k+1} = argmin Σ ½ (y − Q(s, a))²                         fitted: inner_steps gradient steps from Q_k
    Q <- Q − learning_rate · gradient of ½ (y − Q(s, a))²       online: Q_k is Q itself, one step a transition

A network's loss is the mean over the batch. A table's is the sum over its pairs of the mean over the transitions of that pair, so
that one step of learning_rate 1 is the exact regression.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from accelerated import expectile_loss, q_learning_target
from accelerated.agents import networks
from accelerated.agents.batch import Batch, Parameters, Space
from accelerated.agents.networks import Network, network_for
from accelerated.agents.optimizers import KINDS, Optimizer
from accelerated.agents.ranges import check
from accelerated.agents.state import State, streams_for
from accelerated.agents.streams import Streams
from accelerated.agents.tables import EXPLORATIONS, OVER, Agent, explored, multiplicity, rows, table, taken

REGRESSORS = ("table", "network")


@dataclass(frozen=True)
class OnlineConfig:
    """Of online Q-iteration.

    regressor    "table" of states, which begins with initial_q, or "network" with `hidden` layers of these widths
    exploration  "epsilon_greedy", or "boltzmann" with the temperature, in units of value
    epsilon_*    in a line from start to end over epsilon_steps updates, shared by "all" actions or the "others" than the greedy
    """

    regressor: str = "table"
    discount: float = 0.99
    learning_rate: float = 0.1
    optimizer: str = "sgd"
    initial_q: float = 0.0
    hidden: tuple[int, ...] = (256, 256)
    init: str = "torch"
    exploration: str = "epsilon_greedy"
    epsilon_start: float = 0.1
    epsilon_end: float = 0.1
    epsilon_steps: int = 1
    epsilon_over: str = "all"
    temperature: float = 1.0
    envs: int = 1

    def __post_init__(self) -> None:
        check(self, regressor=REGRESSORS, optimizer=KINDS, exploration=EXPLORATIONS, epsilon_over=OVER)


@dataclass(frozen=True)
class FittedConfig:
    """Of fitted Q-iteration; fields as in OnlineConfig.

    inner_steps   gradient steps of one regression, all on the same batch and the same y
    batch_size    transitions of one regression
    update_every  steps of one seed's environment between updates_per_round regressions, from learning_starts on
    """

    regressor: str = "table"
    discount: float = 0.99
    learning_rate: float = 1.0
    optimizer: str = "sgd"
    inner_steps: int = 1
    initial_q: float = 0.0
    hidden: tuple[int, ...] = (256, 256)
    init: str = "torch"
    exploration: str = "epsilon_greedy"
    epsilon_start: float = 1.0
    epsilon_end: float = 1.0
    epsilon_steps: int = 1
    epsilon_over: str = "all"
    temperature: float = 1.0
    batch_size: int = 1024
    buffer_size: int = 100_000
    learning_starts: int = 1000
    update_every: int = 100
    updates_per_round: int = 1
    envs: int = 1

    def __post_init__(self) -> None:
        check(self, regressor=REGRESSORS, optimizer=KINDS, exploration=EXPLORATIONS, epsilon_over=OVER)


ONLINE_PRESETS: dict[str, dict[str, object]] = {
    "author": {},
    "network": {"regressor": "network", "learning_rate": 1e-3},
}
FITTED_PRESETS: dict[str, dict[str, object]] = {
    "author": {},
    "network": {"regressor": "network", "learning_rate": 1e-3, "optimizer": "adam", "inner_steps": 50},
}


@cache
def shape(config: Any, space: Space) -> Network:
    """The network regressor: one output for each action."""
    if not space.discrete:
        raise ValueError(f"the actions must be discrete; got {space.actions} dimensions between {space.low} and {space.high}")
    return network_for(space, outputs=space.actions, hidden=config.hidden, init=config.init)


def critic_for(config: Any, space: Space, seeds: Sequence[int], *, device: torch.device | str, dtype: torch.dtype) -> Parameters:
    """The first Q of each seed."""
    if config.regressor == "table":
        return {"q": table(space, seeds, 1, config.initial_q, dtype=dtype, device=device)}
    return shape(config, space).init(Streams(seeds, "networks", device), dtype=dtype, device=device)


def values(state: State, critic: str, observations: Tensor) -> Tensor:
    """Q(s, ·); [seeds, n, *] -> [seeds, 1, n, A]."""
    parameters = state.networks[critic]
    if state.config.regressor == "table":
        return rows(parameters["q"], observations)
    return shape(state.config, state.space)(parameters, observations)


def init(
    config: Any, space: Space, seeds: Sequence[int], *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
) -> State:
    """A regressor for each seed."""
    critic = critic_for(config, space, seeds, device=device, dtype=dtype)
    optimizer = Optimizer(critic, learning_rate=config.learning_rate, kind=config.optimizer)
    return State(config, space, tuple(seeds), {"critic": critic}, {"critic": optimizer}, streams_for(seeds, ("actions",), device))


def init_fitted(
    config: Any, space: Space, seeds: Sequence[int], *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
) -> State:
    """A regressor for each seed, and the copy of it that makes the targets."""
    state = init(config, space, seeds, device=device, dtype=dtype)
    state.networks["target_critic"] = networks.copy(state.networks["critic"])
    return state


@torch.no_grad()
def act(state: State, observations: Tensor, *, explore: bool) -> Tensor:
    """The first greedy action, or one that explores; [seeds, n, *] -> int64 [seeds, n]."""
    q = values(state, "critic", observations)[:, 0]
    return explored(q, state.config, state.updates, state.streams["actions"]) if explore else q.argmax(-1)


@torch.no_grad()
def target(state: State, batch: Batch, critic: str) -> Tensor:
    """y = r + discount · max_a' of this critic's Q(s', a'); -> [seeds, batch]."""
    next_q = values(state, critic, batch.next_observations)[:, 0]
    return q_learning_target(batch.rewards, batch.terminations, next_q, discount=batch.discounts)


def regression_loss(state: State, batch: Batch, y: Tensor) -> Tensor:
    """½ (y − Q(s, a))²: the mean over a network's batch, or over the transitions of each pair of a table; -> [seeds]."""
    q = taken(values(state, "critic", batch.observations), batch.actions)[:, 0]
    losses = expectile_loss(y - q, expectile=0.5)
    if state.config.regressor == "network":
        return losses.mean(-1)
    return (losses / multiplicity(state.space, batch.observations, batch.actions)).sum(-1)


def _loss(critic: str) -> Callable[[State, Batch], Tensor]:
    def critic_loss(state: State, batch: Batch) -> Tensor:
        return regression_loss(state, batch, target(state, batch, critic))

    return critic_loss


def update_online(state: State, batch: Batch) -> dict[str, Tensor]:
    """One gradient step towards the target of the regressor itself."""
    return _descended(state, batch, target(state, batch, "critic"), 1)


def update_fitted(state: State, batch: Batch) -> dict[str, Tensor]:
    """One regression: y of the whole batch from the last Q, then inner_steps towards it."""
    networks.track(state.networks["target_critic"], state.networks["critic"], polyak_step=1.0)
    return _descended(state, batch, target(state, batch, "target_critic"), state.config.inner_steps)


def _descended(state: State, batch: Batch, y: Tensor, steps: int) -> dict[str, Tensor]:
    """Gradient steps on one batch; the loss is that before the last."""
    for _ in range(steps):
        loss = regression_loss(state, batch, y)
        state.optimizers["critic"].step(loss)
    state.updates += 1
    return {"critic_loss": loss.detach(), "target": y.mean(-1)}


FITTED_Q_ITERATION = Agent(
    NAME="fitted_q_iteration",
    MEMORY="replay",
    summary="Fitted Q-iteration with a table or a network as the regressor.",
    Config=FittedConfig,
    PRESETS=FITTED_PRESETS,
    LOSSES={"critic_loss": ("critic", _loss("target_critic"))},
    init=init_fitted,
    act=act,
    update=update_fitted,
)
ONLINE_Q_ITERATION = Agent(
    NAME="online_q_iteration",
    MEMORY="latest",
    summary="Online Q-iteration: one transition, one gradient step, no target network.",
    Config=OnlineConfig,
    PRESETS=ONLINE_PRESETS,
    LOSSES={"critic_loss": ("critic", _loss("critic"))},
    init=init,
    act=act,
    update=update_online,
)
