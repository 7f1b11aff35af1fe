"""Bellman operators of a finite Markov decision process: one backup of a value or of a Q table, and the solvers.

Everywhere P(s'|s,a) is `transition`, dense [S, A, S] or CSR [S*A, S] with row s*A + a, and R(s,a) is `reward`. What has
probability 0 is not read: an infinite value there does no harm. Elsewhere ±inf follows IEEE (0·inf, inf − inf are nan).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from reference._checks import FloatArray, real_array, same_shape, scalar
from reference._dynamic_programming import q_value_iteration, solve_optimal, solve_policy, value_iteration
from reference._support_backups import expectile_backup, sampled_backup, sarsa_expectile_backup, soft_backup
from reference._transitions import TransitionLike, backed_up, distribution, lookahead, policy_mean, process

__all__ = [
    "action_values",
    "evaluation_backup",
    "expectile_backup",
    "optimality_backup",
    "q_evaluation_backup",
    "q_optimality_backup",
    "q_value_iteration",
    "sampled_backup",
    "sarsa_expectile_backup",
    "soft_backup",
    "solve_optimal",
    "solve_policy",
    "value_iteration",
]


def action_values(value: ArrayLike, transition: TransitionLike, reward: ArrayLike, *, discount: float) -> FloatArray:
    """q(s,a) = R(s,a) + γ Σ_s' P(s'|s,a) V(s').

    The reward comes undiscounted, the next state's value discounted once:

    >>> action_values([10.0], [[[1.0], [1.0]]], [[1.0, 3.0]], discount=0.5)
    array([[6., 8.]])

    value       [S]        in units of value
    transition  [S, A, S], or CSR [S*A, S]; rows sum to 1
    reward      [S, A]     in units of reward
    discount    scalar     in [0, 1]
    returns     [S, A]     in units of value
    raises      ValueError on bad shapes, NaN, rows that do not sum to 1, or discount outside [0, 1]
    source      Sutton & Barto 2018, eq. 4.6
    """
    return lookahead(value, transition, reward, discount)


def evaluation_backup(
    value: ArrayLike, policy: ArrayLike, transition: TransitionLike, reward: ArrayLike, *, discount: float
) -> FloatArray:
    """(T^π V)(s) = Σ_a π(a|s) [R(s,a) + γ Σ_s' P(s'|s,a) V(s')].

    With q = 6, 8 as in `action_values`, a policy that prefers the first action stays nearer to its 6:

    >>> evaluation_backup([10.0], [[0.75, 0.25]], [[[1.0], [1.0]]], [[1.0, 3.0]], discount=0.5)
    array([6.5])

    value       [S]        in units of value
    policy      [S, A]     rows sum to 1
    transition  [S, A, S], or CSR [S*A, S]; rows sum to 1
    reward      [S, A]     in units of reward
    discount    scalar     in [0, 1]
    returns     [S]        in units of value
    raises      ValueError on bad shapes, NaN, rows that do not sum to 1, or discount outside [0, 1]
    source      Sutton & Barto 2018, eq. 4.5; Puterman 1994, §6.1
    """
    q = action_values(value, transition, reward, discount=discount)
    return policy_mean(distribution("policy", policy, "reward", q.shape), q)


def optimality_backup(value: ArrayLike, transition: TransitionLike, reward: ArrayLike, *, discount: float) -> FloatArray:
    """(T* V)(s) = max_a [R(s,a) + γ Σ_s' P(s'|s,a) V(s')]: one step of value iteration.

    The better of q = 6, 8:

    >>> optimality_backup([10.0], [[[1.0], [1.0]]], [[1.0, 3.0]], discount=0.5)
    array([8.])

    value       [S]        in units of value
    transition  [S, A, S], or CSR [S*A, S]; rows sum to 1
    reward      [S, A]     in units of reward; −inf forbids an action
    discount    scalar     in [0, 1]
    returns     [S]        in units of value
    raises      ValueError on bad shapes, NaN, rows that do not sum to 1, or discount outside [0, 1]
    source      Sutton & Barto 2018, eq. 4.10; Puterman 1994, §6.2
    """
    return np.asarray(action_values(value, transition, reward, discount=discount).max(axis=1))


def q_evaluation_backup(
    q: ArrayLike, policy: ArrayLike, transition: TransitionLike, reward: ArrayLike, *, discount: float
) -> FloatArray:
    """(T^π Q)(s,a) = R(s,a) + γ Σ_s' P(s'|s,a) Σ_a' π(a'|s') Q(s',a'): the expectation of SARSA's target.

    The policy acts in the next state; here it makes 12 of Q = 8, 16:

    >>> q_evaluation_backup([[8.0, 16.0]], [[0.5, 0.5]], [[[1.0], [1.0]]], [[1.0, 3.0]], discount=0.5)
    array([[7., 9.]])

    q           [S, A]     in units of value
    policy      [S, A]     rows sum to 1
    transition  [S, A, S], or CSR [S*A, S]; rows sum to 1
    reward      [S, A]     in units of reward
    discount    scalar     in [0, 1]
    returns     [S, A]     in units of value
    raises      ValueError on bad shapes, NaN, rows that do not sum to 1, or discount outside [0, 1]
    source      Sutton & Barto 2018, eqs. 4.4 and 6.9
    """
    table = real_array("q", q)
    pi = distribution("policy", policy, "q", table.shape)
    matrix, payoff = process(transition, reward)
    same_shape("q", table, "reward", payoff.shape)
    return backed_up(matrix, payoff, policy_mean(pi, table), scalar("discount", discount, "[0, 1]"))


def q_optimality_backup(q: ArrayLike, transition: TransitionLike, reward: ArrayLike, *, discount: float) -> FloatArray:
    """(T* Q)(s,a) = R(s,a) + γ Σ_s' P(s'|s,a) max_a' Q(s',a'): one step of Q-value iteration.

    The maximum is taken in the next state, inside the expectation:

    >>> q_optimality_backup([[8.0, 16.0]], [[[1.0], [1.0]]], [[1.0, 3.0]], discount=0.5)
    array([[ 9., 11.]])

    q           [S, A]     in units of value
    transition  [S, A, S], or CSR [S*A, S]; rows sum to 1
    reward      [S, A]     in units of reward
    discount    scalar     in [0, 1]
    returns     [S, A]     in units of value
    raises      ValueError on bad shapes, NaN, rows that do not sum to 1, or discount outside [0, 1]
    source      Sutton & Barto 2018, eq. 3.20; Watkins & Dayan 1992
    """
    table = real_array("q", q)
    matrix, payoff = process(transition, reward)
    same_shape("q", table, "reward", payoff.shape)
    return backed_up(matrix, payoff, table.max(axis=1), scalar("discount", discount, "[0, 1]"))
