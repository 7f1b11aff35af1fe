"""What learns: the protocol of learners and of their memory, and where the claims about them are.

Agents are no operators: they are tried with `verify.py --agents`, when they or their claims are named, and before a release.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import ArrayLike

from properties._agents_linear_worlds import CONTINUOUS
from properties._claim import agent

LEARNERS = (
    "value_iteration_agent", "q_value_iteration_agent", "q_learning_agent", "double_q_learning_agent", "sarsa_agent",
    "expected_sarsa_agent", "fitted_q_iteration_agent", "online_q_iteration_agent", "dqn_agent", "rainbow_agent", "bc_agent",
    "one_step_agent", "iql_agent", "sac_agent", "awr_agent", "qwr_agent", "reinforce_agent", "ppo_agent", "trpo_agent",
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
               next action a', as often as behavior and transition say. To an agent that learns from steps in order each of these
               is an episode of its own, truncated where it does not end
    options    hyper-parameters by name: learning_rate, polyak_step, ...; what is not given has the agent's default.
               max_episode_steps is the world's time limit; without batch_size an offline agent's updates are given all its data
    returns an object with
      run(steps)                 its own loop: steps in the world (online), or updates on its data or model
      update(**batch)            one update on observations, actions, rewards, next_observations, terminations and next_actions,
                                 [seeds, batch] each; with discounts [seeds, batch] where they are windows of several steps.
                                 Of an agent that learns from steps in order: one round of updates on observations, actions,
                                 rewards, next_observations, terminations and truncations, [seeds, envs, T] each; behavior
                                 [seeds, envs, T, A], logits of what acted; times [seeds, envs, T], of each step in its episode
      values()                   tables by name, those that it has: q [seeds, S, A], what it acts by; value [seeds, S];
                                 policy [seeds, S, A], probabilities; critic and target_critic [seeds, members, S, A];
                                 distribution and target_distribution [seeds, S, A, atoms], where that is learned
      parameters()               every number that it learns, by "network/name"
      routes(**batch)            {loss: {network: the largest |d(loss)/d(parameter)|}}, for every loss and every network
      save() -> bytes, restore(bytes)   all that its future depends on
    """


@agent(*CONTINUOUS)
def continuous_learner(
    dynamics: ArrayLike,
    control: ArrayLike,
    state_cost: ArrayLike,
    control_cost: ArrayLike,
    start: ArrayLike,
    *,
    low: ArrayLike,
    high: ArrayLike,
    discount: float,
    options: Mapping[str, Any] | None = None,
    seeds: Sequence[int] = (0,),
) -> Any:
    """One agent for each seed, side by side, in a linear-quadratic world: x' = A x + B u, reward -(x'Q x + u'R u) of the state
    before the step. An agent that is also made in finite worlds is here called <name>_continuous_agent.

    dynamics [n, n], control [n, D], state_cost [n, n], control_cost [D, D], start [n]: A, B, Q, R and the first state
    low, high  [D], to which the world clips actions before they cost and move anything; infinite ones where nothing is squashed or
               drawn uniformly
    options    hyper-parameters by name; what is not given has the agent's default. torso "quadratic" with hidden () is a critic
               w.[z, z z'] + b of z = [x, u], hidden () a linear policy, tanh_mean False one without tanh.
               max_episode_steps is the world's time limit, the only end that an episode has; start_half_width [n] draws the first
               state uniformly that far about start
    returns an object with run, update, parameters, routes, save and restore as learners in finite worlds have, observations
    [seeds, batch, n] or [seeds, envs, T, n], actions with D and behavior with 2 D (mean and log_std) in the place of n, and
      critic(observations, actions)   [seeds, N, n], [seeds, N, D] -> Q by network, "critic" and "target_critic",
                                      [seeds, members, N]
      policy(observations)            "mean" [seeds, N, D], the action: after tanh, in the world's units, before any clipping;
                                      "log_std" where there is one, "target_policy", the mean of the target's, where there is one
      value(observations)             V where there is one, [seeds, N]; at the beginning of an episode where it depends on time
    parameters() of an agent that learns its entropy coefficient has "temperature/log_coefficient". Critics of ddpg, td3, cem and
    qprop move down (y - Q)², those of sac down half of that; noise and its clips count in half widths of the box.
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


import properties._agents_actor_critic_limits  # noqa: E402
import properties._agents_actor_critic_noise  # noqa: E402
import properties._agents_actor_critics  # noqa: E402
import properties._agents_ascents  # noqa: E402
import properties._agents_bit_flip  # noqa: E402
import properties._agents_descents  # noqa: E402
import properties._agents_fixed_points  # noqa: E402
import properties._agents_gaussian_steps  # noqa: E402
import properties._agents_learning  # noqa: E402
import properties._agents_manners  # noqa: E402
import properties._agents_on_policy  # noqa: E402
import properties._agents_q_prop  # noqa: E402
import properties._agents_q_prop_expectations  # noqa: E402
import properties._agents_replay  # noqa: E402
import properties._agents_soft  # noqa: E402
import properties._agents_trust_regions  # noqa: E402
import properties._agents_updates  # noqa: E402
import properties._agents_weighted_fixed_points  # noqa: E402
import properties._agents_weighted_regression  # noqa: E402, F401
