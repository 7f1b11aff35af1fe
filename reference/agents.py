"""For each agent the fixed point that it must reach on a finite Markov decision process, and how far it may still be.

    value_iteration, q_value_iteration, q_learning, double_q_learning, online_q_iteration, fitted_q_iteration,
    dqn and its pieces at n_step 1, rainbow's means inside its support      optimal_values
    dqn and rainbow at n_step > 1 on a fixed behaviour's data               n_step_values
    expected_sarsa, and sarsa acting ε-greedily on its own q                epsilon_greedy_values
    sarsa under a fixed behaviour, bc, one_step                             behavior_values
    iql                                                                     in_sample_values
    awr, qwr, sac with discrete actions                                     reference/regularized_agents.py

`learning_errors` and `double_q_errors` bound the distance after finitely many updates, `step_range` and
`value_step_range` give the step sizes that they take. Boltzmann exploration on an agent's own q has no line: its
average is no non-expansion, and may have several fixed points (Asadi & Littman 2017).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from reference._checks import FloatArray, choice, integer, real_array, refuse_where, same_shape, scalar
from reference._learning_errors import Errors, double_q_errors, learning_errors, step_range, value_step_range
from reference._transitions import Transition, TransitionLike, distribution, process
from reference.advantage_weights import improved_policy
from reference.bellman import action_values, evaluation_backup, expectile_backup, optimality_backup, solve_optimal, solve_policy
from reference.expectiles import expectile as exact_expectile
from reference.exploration import EXPLORED, epsilon_greedy

__all__ = [
    "Errors",
    "FixedPoint",
    "behavior_values",
    "double_q_errors",
    "epsilon_greedy_values",
    "in_sample_values",
    "learning_errors",
    "n_step_values",
    "optimal_values",
    "step_range",
    "value_step_range",
    "weighted_policy",
]


class FixedPoint(NamedTuple):
    """What an agent must reach.

    q       [S, A]  in units of value; of every action, also of one that the behaviour never takes
    value   [S]     what the agent bootstraps from
    policy  [S, A]  what it acts by, or extracts
    bound           how far at most q and value are from the exact fixed point, in units of value: the residual and all
                    rounding over 1 − contraction factor
    """

    q: FloatArray
    value: FloatArray
    policy: FloatArray
    bound: float


def optimal_values(transition: TransitionLike, reward: ArrayLike, *, discount: float) -> FixedPoint:
    """Q* = R + γ P V*, V* = max_a Q*, and the policy that is even over all optimal actions.

    Waiting is worth γ times as much as taking the reward now:

    >>> point = optimal_values([[[0, 1], [1, 0]], [[0, 1], [0, 1]]], [[1, 0], [0, 0]], discount=0.5)
    >>> point.q, point.policy
    (array([[1. , 0.5],
           [0. , 0. ]]), array([[1. , 0. ],
           [0.5, 0.5]]))

    transition  [S, A, S], or CSR [S*A, S] with row s*A + a; rows sum to 1; terminal states absorb without reward
    reward      [S, A]  finite, in units of reward
    discount    scalar  in [0, 1)
    returns     FixedPoint; actions within 2·bound of the best are optimal here, so no truly optimal one is left out
    raises      ValueError on bad shapes, NaN, an infinite reward, rows that do not sum to 1, or discount outside [0, 1)
    source      Puterman 1994, §6.2; Watkins & Dayan 1992 (Q-learning); van Hasselt 2010 (double Q-learning)
    """
    matrix, payoff = _finite_process(transition, reward)
    gamma = scalar("discount", discount, "[0, 1)")
    value = solve_optimal(matrix, payoff, discount=gamma).value
    bound = _bound(lambda v: optimality_backup(v, matrix, payoff, discount=gamma), value, payoff, gamma)
    q = action_values(value, matrix, payoff, discount=gamma)
    return FixedPoint(q, value, _best(q, bound), bound)


def n_step_values(behavior: ArrayLike, transition: TransitionLike, reward: ArrayLike, *, n: int, discount: float) -> FixedPoint:
    """Q_n = R + γ P (T^μ)^(n−1) max_a Q_n: n − 1 steps of the behaviour without correction, then the maximum.

    It falls short of Q* where the behaviour does, the more the larger n. Here the second action earns nothing:

    >>> args = [[0.5, 0.5]], [[[1.0], [1.0]]], [[1.0, 0.0]]
    >>> [float(n_step_values(*args, n=n, discount=0.5).value[0].round(3)) for n in (1, 2, 3)]
    [2.0, 1.667, 1.571]

    behavior    [S, A]  μ, rows sum to 1
    transition  [S, A, S], or CSR [S*A, S]; rows sum to 1
    reward      [S, A]  finite, in units of reward
    n           integer >= 1; 1 is optimal_values
    discount    scalar  in [0, 1)
    returns     FixedPoint; value is max_a q, policy even over the best actions
    raises      ValueError as behavior_values, or n is not an integer >= 1
    source      Hessel et al. 2018, the multi-step target; Hernandez-Garcia & Sutton 2019 (uncorrected n-step Q-learning)
    """
    matrix, payoff = _finite_process(transition, reward)
    mu = distribution("behavior", behavior, "reward", payoff.shape)
    steps, gamma = integer("n", n, 1), scalar("discount", discount, "[0, 1)")

    def followed(value: FloatArray) -> FloatArray:
        for _ in range(steps - 1):
            value = evaluation_backup(value, mu, matrix, payoff, discount=gamma)
        return value

    def backup(value: FloatArray) -> FloatArray:
        return optimality_backup(followed(value), matrix, payoff, discount=gamma)

    value = _iterated(backup, solve_optimal(matrix, payoff, discount=gamma).value)
    bound = _bound(backup, value, payoff, gamma, factor=gamma**steps, operations=steps)
    q = action_values(followed(value), matrix, payoff, discount=gamma)
    return FixedPoint(q, value, _best(q, bound), bound)


def epsilon_greedy_values(
    transition: TransitionLike, reward: ArrayLike, *, epsilon: float, over: str = "all", discount: float
) -> FixedPoint:
    """Q = R + γ P Σ_a π(a|s') Q(s', a), π = epsilon_greedy(Q) itself: ε-soft policy iteration.

    π·Q = (1 − κ)·max Q + κ·mean Q with κ = ε over "all" and ε A / (A − 1) over the "others". For κ in [0, 1] that is a
    non-expansion, so there is exactly one fixed point. Mistakes that will be made cost value now:

    >>> args = [[[1.0], [1.0]]], [[1.0, 0.0]]
    >>> [float(epsilon_greedy_values(*args, epsilon=e, discount=0.5).value[0]) for e in (0.0, 0.5, 1.0)]
    [2.0, 1.5, 1.0]

    transition  [S, A, S], or CSR [S*A, S]; rows sum to 1
    reward      [S, A]  finite, in units of reward
    epsilon     scalar  in [0, 1]; over "others" at most (A − 1) / A
    over        str     "all" or "others"
    discount    scalar  in [0, 1)
    returns     FixedPoint; policy is epsilon_greedy(q), which ties make arbitrary but π·q is the same for all of them
    raises      ValueError on bad shapes, NaN, an infinite reward, rows that do not sum to 1, or a scalar out of range
    source      van Seijen et al. 2009 (expected SARSA); Sutton & Barto 2018, §5.4 (ε-soft policy iteration)
    """
    matrix, payoff = _finite_process(transition, reward)
    gamma, actions = scalar("discount", discount, "[0, 1)"), payoff.shape[1]
    most = (actions - 1) / actions if choice("over", over, EXPLORED) == "others" and actions > 1 else 1.0
    scalar("epsilon", epsilon, f"[0, {most!r}]")

    def chosen(value: FloatArray) -> FloatArray:
        return epsilon_greedy(action_values(value, matrix, payoff, discount=gamma), epsilon=epsilon, over=over)

    def backup(value: FloatArray) -> FloatArray:
        return evaluation_backup(value, chosen(value), matrix, payoff, discount=gamma)

    value = _policy_iterated(chosen, matrix, payoff, gamma)
    q = action_values(value, matrix, payoff, discount=gamma)
    return FixedPoint(q, value, epsilon_greedy(q, epsilon=epsilon, over=over), _bound(backup, value, payoff, gamma))


def behavior_values(
    behavior: ArrayLike,
    transition: TransitionLike,
    reward: ArrayLike,
    *,
    discount: float,
    temperature: float = math.inf,
    max_weight: float | None = None,
) -> FixedPoint:
    """Q^μ = R + γ P V^μ, V^μ = Σ_a μ Q^μ, and the one-step policy ∝ μ · min(exp((Q^μ − V^μ) / t), max_weight).

    SARSA's critic under a fixed behaviour. Without a temperature the policy is the behaviour itself, as in cloning:

    >>> args = [[0.5, 0.5]], [[[1.0], [1.0]]], [[1.0, 0.0]]
    >>> behavior_values(*args, discount=0.5).q, behavior_values(*args, discount=0.5, temperature=1.0).policy.round(3)
    (array([[1.5, 0.5]]), array([[0.731, 0.269]]))

    behavior     [S, A]  μ, rows sum to 1
    transition   [S, A, S], or CSR [S*A, S]; rows sum to 1
    reward       [S, A]  finite, in units of reward
    discount     scalar  in [0, 1)
    temperature  scalar  t in (0, inf], in units of value
    max_weight   scalar or None  the cap, in (0, inf]
    returns      FixedPoint; the policy as weighted_policy
    raises       ValueError on bad shapes, NaN, an infinite reward, rows that do not sum to 1, or a scalar out of range
    source       Sutton & Barto 2018, eq. 4.4; Brandfonbrener et al. 2021 (one-step: evaluate the behaviour, improve once)
    """
    matrix, payoff = _finite_process(transition, reward)
    mu = distribution("behavior", behavior, "reward", payoff.shape)
    gamma = scalar("discount", discount, "[0, 1)")
    value = solve_policy(mu, matrix, payoff, discount=gamma)
    q = action_values(value, matrix, payoff, discount=gamma)
    bound = _bound(lambda v: evaluation_backup(v, mu, matrix, payoff, discount=gamma), value, payoff, gamma)
    return FixedPoint(q, value, weighted_policy(mu, q, value, temperature=temperature, max_weight=max_weight), bound)


def in_sample_values(
    behavior: ArrayLike,
    transition: TransitionLike,
    reward: ArrayLike,
    *,
    expectile: float,
    discount: float,
    temperature: float = math.inf,
    max_weight: float | None = None,
) -> FixedPoint:
    """V_τ(s) = expectile over a ~ μ of Q_τ(s, a), Q_τ = R + γ P V_τ, τ = expectile: what IQL converges to.

    From the behaviour's value at 1/2 towards the best supported action's as the expectile tends to 1:

    >>> args = [[0.5, 0.5]], [[[1.0], [1.0]]], [[1.0, 0.0]]
    >>> [float(in_sample_values(*args, expectile=e, discount=0.5).value[0].round(6)) for e in (0.1, 0.5, 0.9)]
    [0.2, 1.0, 1.8]

    behavior     [S, A]  μ, rows sum to 1; an action of probability 0 is not read
    transition   [S, A, S], or CSR [S*A, S]; rows sum to 1
    reward       [S, A]  finite, in units of reward
    expectile    scalar  in (0, 1)
    discount     scalar  in [0, 1)
    temperature  scalar  t in (0, inf], in units of value; 1 / t is IQL's inverse temperature
    max_weight   scalar or None  the cap, in (0, inf]
    returns      FixedPoint; the policy as weighted_policy. q of an action that μ never takes is R + γ P V_τ, too, but no
                 data tells a learner so
    raises       ValueError on bad shapes, NaN, an infinite reward, rows that do not sum to 1, or a scalar out of range
    source       Kostrikov et al. 2021, eqs. 5-7 and Theorem 3 (their V_τ)
    """
    matrix, payoff = _finite_process(transition, reward)
    mu = distribution("behavior", behavior, "reward", payoff.shape)
    gamma, level = scalar("discount", discount, "[0, 1)"), scalar("expectile", expectile, "(0, 1)")

    def backup(value: FloatArray) -> FloatArray:
        return expectile_backup(value, mu, matrix, payoff, expectile=level, discount=gamma)

    # The expectile is the mean under μ reweighted by τ above it and 1 − τ below it. For τ >= 1/2 no reweighting within
    # these two limits has a larger mean, for τ <= 1/2 none has a smaller one: so this is policy iteration.
    def weighted(value: FloatArray) -> FloatArray:
        q = action_values(value, matrix, payoff, discount=gamma)
        middle = exact_expectile(q, mu, expectile=level)[:, None]
        share = mu * np.where(q >= middle, level, 1.0 - level)
        return np.asarray(share / share.sum(axis=1, keepdims=True))

    value = _policy_iterated(weighted, matrix, payoff, gamma)
    steepness = max(level, 1.0 - level) / min(level, 1.0 - level)
    bound = _bound(backup, value, payoff, gamma, operations=math.ceil(steepness))
    q = action_values(value, matrix, payoff, discount=gamma)
    return FixedPoint(q, value, weighted_policy(mu, q, value, temperature=temperature, max_weight=max_weight), bound)


def weighted_policy(
    behavior: ArrayLike, q: ArrayLike, value: ArrayLike, *, temperature: float, max_weight: float | None = None
) -> FloatArray:
    """π(a|s) ∝ μ(a|s) · min(exp((q(s,a) − V(s)) / t), max_weight): argmax_π E_{a~μ} weight · log π(a|s).

    A cap stops mass from moving on; without one this is improved_policy, and V does not matter:

    >>> weighted_policy([[0.5, 0.5]], [[0.0, 9.0]], [0.0], temperature=1.0, max_weight=3.0)
    array([[0.25, 0.75]])

    behavior     [S, A]  μ, rows sum to 1
    q            [S, A]  in units of value
    value        [S]     in units of value
    temperature  scalar  t in (0, inf], in units of value; inf gives the behaviour itself
    max_weight   scalar or None  the cap, in (0, inf]
    returns      [S, A]  rows sum to 1, exactly 0 where the behaviour is
    raises       ValueError on bad shapes, NaN, rows that do not sum to 1, or a scalar out of range
    source       Kostrikov et al. 2021, eq. 7, with the cap of the authors' code; Peng et al. 2019, §3
    """
    table, baseline = real_array("q", q), real_array("value", value)
    same_shape("value", baseline, "q without its last axis", table.shape[:-1])
    t = scalar("temperature", temperature, "(0, inf]")
    cap = math.inf if max_weight is None else scalar("max_weight", max_weight, "(0, inf]")
    if math.isinf(t) or math.isinf(cap):
        return improved_policy(behavior, table, temperature=t)
    # min(exp(A / t), cap) = exp(min(A, t · log cap) / t)
    return improved_policy(behavior, np.minimum(table - baseline[..., None], t * math.log(cap)), temperature=t)


def _finite_process(transition: TransitionLike, reward: ArrayLike) -> tuple[Transition, FloatArray]:
    matrix, payoff = process(transition, reward)
    refuse_where(np.isinf(payoff), payoff, "reward", "must be finite")
    return matrix, payoff


def _best(q: FloatArray, bound: float) -> FloatArray:
    """Even over the actions that may be the best: exact values that differ by 0 differ by at most 2·bound here."""
    best = q >= q.max(axis=1, keepdims=True) - 2.0 * bound
    return np.asarray(best / best.sum(axis=1, keepdims=True))


def _iterated(backup: Callable[[FloatArray], FloatArray], value: FloatArray) -> FloatArray:
    """Repeat a contraction until rounding keeps the change from shrinking."""
    following = backup(value)
    change, before = float(np.abs(following - value).max()), math.inf
    while 0.0 < change < before:
        value, before, following = following, change, backup(following)
        change = float(np.abs(following - value).max())
    return following


def _policy_iterated(
    chosen: Callable[[FloatArray], FloatArray], transition: Transition, reward: FloatArray, discount: float
) -> FloatArray:
    """Evaluate the policy chosen at V, and choose again: each round improves V, or only its rounding, never one twice."""
    policy = chosen(np.zeros(len(reward)))
    seen: set[bytes] = set()
    while policy.tobytes() not in seen:
        seen.add(policy.tobytes())
        value = solve_policy(policy, transition, reward, discount=discount)
        policy = chosen(value)
    return value


def _bound(
    backup: Callable[[FloatArray], FloatArray],
    value: FloatArray,
    reward: FloatArray,
    discount: float,
    *,
    factor: float | None = None,
    operations: int = 1,
) -> float:
    """‖V − V°‖ ≤ ‖T V − V‖ / (1 − factor) of a contraction T with fixed point V°; factor is the discount if None.

    Rounding joins the residual twice, once for T V and once for the q made of V. One backup sums at most S products and
    then A of them, each of size at most |R| + γ|V|; `operations` counts backups, or how much the last one magnifies.
    """
    contraction = discount if factor is None else factor
    size = float(np.abs(reward).max() + discount * np.abs(value).max())
    rounding = operations * (reward.shape[0] + 2 * reward.shape[1] + 8) * 2.0**-53 * size
    residual = float(np.abs(backup(value) - value).max())
    return float((residual + 2.0 * rounding) / (1.0 - contraction))
