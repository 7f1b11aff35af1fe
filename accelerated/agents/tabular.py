"""Agents of one transition and a table: Q-learning, double Q-learning, SARSA, expected SARSA; and the other tabular ones.

    Q(s, a) <- Q(s, a) + step · (y − Q(s, a))      step = learning_rate · visits(s, a)^−step_power
    y = r + discount · (1 − terminated) · ...
        max_a' Q(s', a')                           q_learning         Watkins 1989
        Q_B(s', argmax_a' Q_A(s', a'))             double_q_learning  van Hasselt 2010: a coin says whether A or B learns
        Q(s', a'), a' what is done next            sarsa              Rummery & Niranjan 1994
        Σ_a' π(a'|s') Q(s', a'), π what explores   expected_sarsa     van Seijen et al. 2009

A batch may hold several transitions of one pair (s, a). All targets are made before anything moves, and the pair moves once,
towards the mean of its targets: with exact data this is the expected update.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from accelerated import double_q_target, expected_sarsa_target, expectile_loss, q_learning_target, sarsa_target
from accelerated.agents.batch import Batch, Space
from accelerated.agents.fitted import FITTED_Q_ITERATION, ONLINE_Q_ITERATION
from accelerated.agents.optimizers import Optimizer
from accelerated.agents.planning import Q_VALUE_ITERATION, VALUE_ITERATION
from accelerated.agents.ranges import check
from accelerated.agents.state import State, streams_for
from accelerated.agents.tables import EXPLORATIONS, OVER, Agent, entries, explored, multiplicity, policy, rows, table, visit

__all__ = [
    "DOUBLE_Q_LEARNING",
    "EXPECTED_SARSA",
    "FITTED_Q_ITERATION",
    "ONLINE_Q_ITERATION",
    "Q_LEARNING",
    "Q_VALUE_ITERATION",
    "SARSA",
    "VALUE_ITERATION",
    "Config",
]

LEARNS = ("one", "both")
Target = Callable[[State, Batch], Tensor]


@dataclass(frozen=True)
class Config:
    """Defaults are Sutton and Barto's where they have one.

    learning_rate  the step where step_power is 0, else the first one
    step_power     in [0, 1): the step falls with the updates of this pair to the power of this; 0 is a constant step
    initial_q      what every entry begins with; above every return it makes the agent try everything (optimism)
    exploration    "epsilon_greedy", or "boltzmann" with the temperature, in units of value
    epsilon_*      in a line from start to end over epsilon_steps updates, shared by "all" actions or the "others" than the greedy
    learns         of the two tables of double Q-learning: "one", by a coin for each update, or "both" from each other
    envs           of one seed, stepped together
    """

    discount: float = 0.99
    learning_rate: float = 0.1
    step_power: float = 0.0
    initial_q: float = 0.0
    exploration: str = "epsilon_greedy"
    epsilon_start: float = 0.1
    epsilon_end: float = 0.1
    epsilon_steps: int = 1
    epsilon_over: str = "all"
    temperature: float = 1.0
    learns: str = "one"
    envs: int = 1

    def __post_init__(self) -> None:
        check(self, exploration=EXPLORATIONS, epsilon_over=OVER, learns=LEARNS)


PRESETS: dict[str, dict[str, object]] = {
    "author": {},
    "sutton-barto:6.5": {"discount": 1.0},  # figure 6.5: step and epsilon 0.1
    # Van Hasselt 2010, the grid world; his epsilon, 1 / sqrt(n(s)), is not offered.
    "van-hasselt": {"learning_rate": 1.0, "step_power": 0.8, "discount": 0.95},
    "lecture": {"epsilon_over": "others"},  # epsilon / (A - 1) for each action but the greedy one
    "boltzmann": {"exploration": "boltzmann"},
    "optimistic": {"initial_q": 10.0, "epsilon_start": 0.0, "epsilon_end": 0.0},
}


# ------------------------------------------------------------------------------------------------------ targets


def greedy_target(state: State, batch: Batch) -> Tensor:
    """r + discount · max_a' Q(s', a'); -> [seeds, 1, batch]."""
    return q_learning_target(batch.rewards, batch.terminations, _next(state, batch)[:, 0], discount=batch.discounts).unsqueeze(1)


def cross_target(state: State, batch: Batch) -> Tensor:
    """Each table chooses the next action, the other one says what it is worth; -> [seeds, 2, batch]."""
    pair = _next(state, batch).unbind(1)
    targets = [
        double_q_target(batch.rewards, batch.terminations, select, evaluate, discount=batch.discounts)
        for select, evaluate in (pair, pair[::-1])
    ]
    return torch.stack(targets, 1)


def followed_target(state: State, batch: Batch) -> Tensor:
    """r + discount · Q(s', a') of the action a' that was done next; -> [seeds, 1, batch].

    raises  ValueError if the batch does not know it
    """
    if batch.next_actions is None:
        raise ValueError("next_actions must be known to SARSA; got None in the batch")
    next_q = _next(state, batch)[:, 0]
    return sarsa_target(batch.rewards, batch.terminations, next_q, batch.next_actions, discount=batch.discounts).unsqueeze(1)


def expected_target(state: State, batch: Batch) -> Tensor:
    """r + discount · the average of Q(s', ·) under the policy that explores; -> [seeds, 1, batch]."""
    next_q = _next(state, batch)[:, 0]
    chances = policy(next_q, state.config, state.updates)
    return expected_sarsa_target(batch.rewards, batch.terminations, next_q, chances, discount=batch.discounts).unsqueeze(1)


def _next(state: State, batch: Batch) -> Tensor:
    """Q(s', ·) of each table, a constant; -> [seeds, members, batch, A]."""
    return rows(state.networks["critic"]["q"].detach(), batch.next_observations)


# -------------------------------------------------------------------------------------------------------- agents


def act(state: State, observations: Tensor, *, explore: bool) -> Tensor:
    """By the mean of the agent's tables: the first greedy action, or one that explores; [seeds, n] -> int64 [seeds, n]."""
    q = rows(state.networks["critic"]["q"].detach(), observations).mean(1)
    return explored(q, state.config, state.updates, state.streams["actions"]) if explore else q.argmax(-1)


def weights(state: State, batch: Batch) -> Tensor:
    """visits^−step_power over how often the pair is in the batch, 0 in a table that does not learn; -> [seeds, members, batch]."""
    often = multiplicity(state.space, batch.observations, batch.actions).to(batch.rewards.dtype).unsqueeze(1)
    visits = entries(state.tensors["visits"], batch.observations, batch.actions).clamp(min=1.0)
    steps = visits.pow(-state.config.step_power) * state.tensors["chosen"].unsqueeze(-1)
    return torch.div(steps, often)


def agent_of(name: str, summary: str, target: Target, members: int = 1) -> Agent:
    """The agent whose tables move towards `target`."""

    def init(
        config: Config,
        space: Space,
        seeds: Sequence[int],
        *,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> State:
        """A table, or two, for each seed.

        raises  ValueError if the space is not finite, or config.learns is "both" where there is one table
        """
        if members == 1 and config.learns == "both":
            raise ValueError(f"learns must be 'one' where there is one table, as in {name}; got {config.learns!r}")
        q = table(space, seeds, members, config.initial_q, dtype=dtype, device=device)
        tensors = {"visits": torch.zeros_like(q), "chosen": torch.ones_like(q[:, :, 0, 0])}
        optimizer = Optimizer({"q": q}, learning_rate=config.learning_rate, kind="sgd")
        streams = streams_for(seeds, ("actions", "coin"), device)
        state = State(config, space, tuple(seeds), {"critic": {"q": q}}, {"critic": optimizer}, streams, tensors)
        toss(state)
        return state

    def errors(state: State, batch: Batch) -> Tensor:
        return target(state, batch) - entries(state.networks["critic"]["q"], batch.observations, batch.actions)

    def critic_loss(state: State, batch: Batch) -> Tensor:
        """Half the squared error of each pair's mean transition, times its visits^−step_power; -> [seeds]."""
        return _weighted(errors(state, batch), weights(state, batch))

    def update(state: State, batch: Batch) -> dict[str, Tensor]:
        """Count the visit, make all targets, move every pair once."""
        visit(state.tensors["visits"], batch.observations, batch.actions, state.tensors["chosen"])
        error = errors(state, batch)
        loss = _weighted(error, weights(state, batch))
        state.optimizers["critic"].step(loss)
        state.updates += 1
        toss(state)
        return {"critic_loss": loss.detach(), "td_error": error.detach().mean(1), "q": _mean_q(state, batch)}

    return Agent(name, "latest", summary, Config, PRESETS, {"critic_loss": ("critic", critic_loss)}, init, act, update)


def toss(state: State) -> None:
    """Which of two tables learns next; one table always does."""
    chosen = state.tensors["chosen"]
    if chosen.shape[1] == 2 and state.config.learns == "one":
        first = state.streams["coin"].integers(2, 1).to(chosen.dtype)
        state.tensors["chosen"] = torch.cat([first, 1 - first], 1)


def _weighted(error: Tensor, weight: Tensor) -> Tensor:
    """Σ weight · ½ error²; [seeds, members, batch] -> [seeds]."""
    return (weight * expectile_loss(error, expectile=0.5)).sum((1, 2))


def _mean_q(state: State, batch: Batch) -> Tensor:
    return entries(state.networks["critic"]["q"].detach(), batch.observations, batch.actions).mean((1, 2))


Q_LEARNING = agent_of("q_learning", "Q-learning in a table.", greedy_target)
DOUBLE_Q_LEARNING = agent_of(
    "double_q_learning", "Double Q-learning in two tables, against overestimation.", cross_target, members=2
)
SARSA = agent_of("sarsa", "SARSA in a table: the values of the policy that acts.", followed_target)
EXPECTED_SARSA = agent_of("expected_sarsa", "SARSA with the expectation over the next action in its place.", expected_target)
