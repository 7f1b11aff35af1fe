"""Fixed points of agents whose policy must not stray: from the behaviour (AWR, QWR), or from being even (SAC).

    awr on single steps                       advantage_regression_values
    qwr, actions enumerated or sampled        aggregated_values
    sac, actions enumerated, α fixed          soft_optimal_values

They continue reference/agents.py. `soft_learning_errors` bounds how far critics and policy of the last one may be after
finitely many updates; the critics of the others are covered by `learning_errors`, as F is no expansion.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from reference._checks import FloatArray, choice, flags, scalar
from reference._learning_errors import SoftErrors, policy_step_range, soft_learning_errors
from reference._transitions import TransitionLike, distribution, policy_mean, successors
from reference.advantage_weights import exponential_weights, improved_policy
from reference.agents import FixedPoint, _bound, _finite_process, _iterated, behavior_values, weighted_policy
from reference.aggregates import AGGREGATES
from reference.bellman import action_values, evaluation_backup, sampled_backup, soft_backup, solve_policy

__all__ = [
    "SoftErrors",
    "advantage_regression_values",
    "aggregated_values",
    "policy_step_range",
    "soft_learning_errors",
    "soft_optimal_values",
]


def advantage_regression_values(
    behavior: ArrayLike,
    transition: TransitionLike,
    reward: ArrayLike,
    *,
    temperature: float,
    max_weight: float | None = None,
    discount: float,
) -> FixedPoint:
    """V^μ, and π(a|s) ∝ μ(a|s) · Σ_s' P(s'|s,a) min(exp((R(s,a) + γ V^μ(s') − V^μ(s)) / t), max_weight).

    What a step brought is not what it was worth: each successor is weighed by itself. Without chance the policy is that
    of behavior_values; with chance luck is imitated. Here both actions are worth 1, but the second one gambles:

    >>> gamble = [[[0, 1, 0, 0], [0, 0, 0.5, 0.5]]] + [[[float(s == after) for after in range(4)]] * 2 for s in (1, 2, 3)]
    >>> reward = [[0, 0], [1, 1], [0, 0], [2, 2]]
    >>> args = [[0.5, 0.5]] * 4, gamble, reward
    >>> point = advantage_regression_values(*args, temperature=0.25, discount=0.5)
    >>> point.q[0], point.policy[0].round(3)
    (array([1., 1.]), array([0.035, 0.965]))

    behavior     [S, A]  μ, rows sum to 1
    transition   [S, A, S], or CSR [S*A, S]; rows sum to 1
    reward       [S, A]  finite, in units of reward
    temperature  scalar  t in (0, inf], in units of value
    max_weight   scalar or None  the cap, in (0, inf]
    discount     scalar  in [0, 1)
    returns      FixedPoint; q and value are the behaviour's
    raises       ValueError on bad shapes, NaN, an infinite reward, rows that do not sum to 1, or a scalar out of range
    source       Peng et al. 2019, Algorithm 1, with returns of one step and the bootstrap of V
    """
    point = behavior_values(behavior, transition, reward, discount=discount)
    matrix, payoff = _finite_process(transition, reward)
    after, chance = successors(matrix)  # [S*A, k]
    worth = payoff.reshape(-1, 1) + discount * point.value[after]
    gap = worth.reshape(*payoff.shape, -1) - point.value[:, None, None]
    share = policy_mean(chance, exponential_weights(gap, temperature=temperature, max_weight=max_weight).reshape(chance.shape))
    mass = distribution("behavior", behavior, "reward", payoff.shape) * share.reshape(payoff.shape)
    return point._replace(policy=np.asarray(mass / mass.sum(axis=1, keepdims=True)))


def aggregated_values(
    behavior: ArrayLike,
    transition: TransitionLike,
    reward: ArrayLike,
    *,
    aggregate: str,
    aggregate_temperature: float | None = None,
    samples: int | None = None,
    temperature: float = math.inf,
    max_weight: float | None = None,
    discount: float,
) -> FixedPoint:
    """Q = R + γ P V, V(s) = F{Q(s, a)}, a ~ μ: Σ_a μ Q (mean), t · log Σ_a μ exp(Q / t), max over the support.

    From the behaviour's value to the best that it can do. Enumerated actions weigh μ each; n samples 1 / n each, and F
    of them falls short of F of all:

    >>> args = [[0.75, 0.25]], [[[1.0], [1.0]]], [[0.0, 1.0]]
    >>> options = {"aggregate_temperature": 0.5, "discount": 0.5}
    >>> [float(aggregated_values(*args, aggregate=f, **options).value[0].round(3)) for f in ("mean", "log_mean_exp", "max")]
    [0.5, 0.954, 2.0]
    >>> [float(aggregated_values(*args, aggregate="max", samples=n, discount=0.5).value[0].round(3)) for n in (1, 2, 9)]
    [0.5, 0.875, 1.85]

    behavior     [S, A]  μ, rows sum to 1; an action of probability 0 is not read
    transition   [S, A, S], or CSR [S*A, S]; rows sum to 1
    reward       [S, A]  finite, in units of reward
    aggregate    "max", "mean" or "log_mean_exp"
    aggregate_temperature  scalar  t of log_mean_exp in [0, inf], in units of value; not read otherwise
    samples      integer n >= 1 with A^n at most 2 000 000, the expectation over n draws from μ; None: all actions, μ each
    temperature  scalar  of the policy, in (0, inf], in units of value
    max_weight   scalar or None  the cap of the policy's weights, in (0, inf]
    discount     scalar  in [0, 1)
    returns      FixedPoint; policy ∝ μ · min(exp((Q − Σ_a μ Q) / temperature), max_weight), whatever F is
    raises       ValueError on bad shapes, NaN, an infinite reward, rows that do not sum to 1, a scalar out of range, an
                 unknown aggregate, log_mean_exp without temperature, or too many outcomes
    source       Kozakowski et al. 2021, policy evaluation and policy improvement (AVG, LSE, MAX)
    """
    matrix, payoff = _finite_process(transition, reward)
    mu, gamma = distribution("behavior", behavior, "reward", payoff.shape), scalar("discount", discount, "[0, 1)")
    backup = _aggregating(mu, matrix, payoff, aggregate, aggregate_temperature, samples, gamma)
    value = _iterated(backup, solve_policy(mu, matrix, payoff, discount=gamma))
    bound = _bound(backup, value, payoff, gamma, operations=4 if samples is None else 8)
    q = action_values(value, matrix, payoff, discount=gamma)
    policy = weighted_policy(mu, q, policy_mean(mu, q), temperature=temperature, max_weight=max_weight)
    return FixedPoint(q, value, policy, bound)


def soft_optimal_values(
    transition: TransitionLike, reward: ArrayLike, terminal: ArrayLike, *, entropy_coefficient: float, discount: float
) -> FixedPoint:
    """Q = R + γ P V, V(s) = α · log Σ_a exp(Q(s, a) / α) before the end and 0 there, policy exp((Q − V) / α).

    Being undecided is worth something, but not after the end:

    >>> args = [[[0, 1], [0, 1]], [[0, 1], [0, 1]]], [[1, 1], [0, 0]], [False, True]
    >>> [float(soft_optimal_values(*args, entropy_coefficient=a, discount=0.5).value[0].round(3)) for a in (1.0, 0.001)]
    [1.693, 1.001]

    transition           [S, A, S], or CSR [S*A, S]; rows sum to 1; terminal states absorb without reward
    reward               [S, A]  finite, in units of reward
    terminal             [S]     boolean
    entropy_coefficient  scalar  α in (0, inf), in units of value per nat
    discount             scalar  in [0, 1)
    returns              FixedPoint
    raises               ValueError on bad shapes, NaN, an infinite reward, rows that do not sum to 1, or a scalar out of range
    source               Haarnoja et al. 2018 (arXiv 1812.05905), eqs. (2), (3), (4) and Theorem 1, for a fixed α
    """
    matrix, payoff = _finite_process(transition, reward)
    ends, alpha = flags("terminal", terminal), scalar("entropy_coefficient", entropy_coefficient, "(0, inf)")
    if ends.shape != payoff.shape[:1]:
        raise ValueError(f"terminal must have shape {payoff.shape[:1]}; got {ends.shape}")
    gamma, even = scalar("discount", discount, "[0, 1)"), np.full(payoff.shape, 1.0 / payoff.shape[1])
    most = alpha * math.log(payoff.shape[1])

    def backup(value: FloatArray) -> FloatArray:
        return np.where(ends, 0.0, soft_backup(value, even, matrix, payoff, temperature=alpha, discount=gamma) + most)

    value = _iterated(backup, np.zeros(len(payoff)))
    bound = _bound(backup, value, np.abs(payoff) + most, gamma, operations=4)
    q = action_values(value, matrix, payoff, discount=gamma)
    return FixedPoint(q, value, improved_policy(even, q, temperature=alpha), bound)


def _aggregating(
    mu: FloatArray,
    matrix: TransitionLike,
    payoff: FloatArray,
    aggregate: str,
    temperature: float | None,
    samples: int | None,
    gamma: float,
) -> Callable[[FloatArray], FloatArray]:
    """V ↦ F{R + γ P V}: over n draws, or over all actions, where maximum and mean are limits of the soft backup."""
    if choice("aggregate", aggregate, AGGREGATES) == "log_mean_exp" and temperature is None:
        raise ValueError("aggregate_temperature must be given with aggregate 'log_mean_exp'; got None")
    if samples is not None:
        drawn = {"samples": samples, "aggregate": aggregate, "temperature": temperature}
        return lambda value: sampled_backup(value, mu, matrix, payoff, **drawn, discount=gamma)  # type: ignore[arg-type]
    if aggregate == "mean":
        return lambda value: evaluation_backup(value, mu, matrix, payoff, discount=gamma)
    t = 0.0 if aggregate == "max" else float(temperature or 0.0)
    return lambda value: soft_backup(value, mu, matrix, payoff, temperature=t, discount=gamma)
