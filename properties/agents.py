"""What learns: the protocol of learners and of their memory, and where the claims about them are.

Agents are no operators: they are tried with `verify.py --agents`, when they or their claims are named, and before a release.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import ArrayLike

from properties._claim import agent

LEARNERS = (
    "value_iteration_agent", "q_value_iteration_agent", "q_learning_agent", "double_q_learning_agent", "sarsa_agent",
    "expected_sarsa_agent", "fitted_q_iteration_agent", "online_q_iteration_agent", "dqn_agent", "rainbow_agent", "bc_agent",
    "one_step_agent", "iql_agent",
)  # fmt: skip


@agent(*LEARNERS)
def learner(
    transition: ArrayLike,
    reward: ArrayLike,
    terminal: ArrayLike,
    start: ArrayLike,
    *,
    behavior: ArrayLike | None = None,
    discount: float,
    options: Mapping[str, Any] | None = None,
    seeds: Sequence[int] = (0,),
) -> Any:
    """One agent for each seed, side by side, in a finite world.

    transition [S, A, S], reward [S, A], terminal [S], start [S]: the world; what ends leads to a terminal state
    behavior   [S, A], of an offline agent: its data hold, from each state before the end equally often, every (s, a, s'), and the
               next action a', as often as behavior and transition say
    options    hyper-parameters by name: learning_rate, polyak_step, ...; what is not given has the agent's default.
               max_episode_steps is the world's time limit; without batch_size an offline agent's updates are given all its data
    returns an object with
      run(steps)                 its own loop: steps in the world (online), or updates on its data or model
      update(**batch)            one update on observations, actions, rewards, next_observations, terminations and next_actions,
                                 [seeds, batch] each; with discounts [seeds, batch] where they are windows of several steps
      values()                   tables by name, those that it has: q [seeds, S, A], what it acts by; value [seeds, S];
                                 policy [seeds, S, A], probabilities; critic and target_critic [seeds, members, S, A];
                                 distribution and target_distribution [seeds, S, A, atoms], where that is learned
      parameters()               every number that it learns, by "network/name"
      routes(**batch)            {loss: {network: the largest |d(loss)/d(parameter)|}}, for every loss and every network
      save() -> bytes, restore(bytes)   all that its future depends on
    """


@agent("replay")
def memory(
    states: int, actions: int, *, seeds: int = 1, envs: int = 1, capacity: int, discount: float, n_step: int = 1, **options: Any
) -> Any:
    """The memory of transitions between states, one ring for each seed and environment.

    capacity  transitions of one seed
    n_step    of the windows that are sampled: each starts at a stored transition and ends n steps on, where its episode is cut
              or at the newest transition, whichever comes first
    returns an object with
      add(observations, actions, rewards, next_observations, terminations, truncations)   [seeds, envs] each
      sample(seed, batch_size)   arrays by the names of an update's batch and discounts, [seeds, batch_size] each
      len()                      transitions of one seed
      save() -> bytes, restore(bytes)
    """


import properties._agents_descents  # noqa: E402
import properties._agents_fixed_points  # noqa: E402
import properties._agents_learning  # noqa: E402
import properties._agents_manners  # noqa: E402
import properties._agents_replay  # noqa: E402
import properties._agents_updates  # noqa: E402, F401
