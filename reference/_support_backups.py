"""Backups that stay inside the support of a behaviour: soft, expectile (IQL), and over sampled actions (QWR).

The public names are re-exported by bellman.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import ArrayLike

from reference._checks import FloatArray, IntArray, integer, real_array, same_shape, scalar
from reference._transitions import (
    TransitionLike,
    distribution,
    lookahead,
    policy_mean,
    process,
    successors,
)
from reference.aggregates import _aggregated
from reference.expectiles import expectile as exact_expectile

MAX_OUTCOMES = 2_000_000


def soft_backup(
    value: ArrayLike,
    prior: ArrayLike,
    transition: TransitionLike,
    reward: ArrayLike,
    *,
    temperature: float,
    discount: float,
) -> FloatArray:
    """t · log Σ_a prior(a|s) exp(q(s,a)/t), q = R + γPV, t = temperature; = max_π [π·q − t·KL(π‖prior)].

    A *higher* temperature moves it *down*, from the maximum over the prior's support to the mean under the prior:

    >>> args = [10.0], [[0.5, 0.5]], [[[1.0], [1.0]]], [[1.0, 3.0]]
    >>> [float(soft_backup(*args, temperature=t, discount=0.5).round(3)[0]) for t in (0.0, 1.0, float("inf"))]
    [8.0, 7.434, 7.0]

    value        [S]        in units of value
    prior        [S, A]     rows sum to 1; an action of prior 0 is never taken
    transition   [S, A, S], or CSR [S*A, S]; rows sum to 1
    reward       [S, A]     in units of reward
    temperature  scalar     in [0, inf], in units of value; no overflow or underflow on the way
    discount     scalar     in [0, 1]
    returns      [S]        in units of value, between the smallest and the largest supported q
    raises       ValueError on bad shapes, NaN, rows that do not sum to 1, temperature < 0, or discount outside [0, 1]
    source       Fox, Pakman & Tishby 2016 (G-learning; our temperature is their 1/β); Haarnoja et al. 2017, eq. 3,
                 which has no prior: a uniform one gives theirs minus t·log A
    """
    q = lookahead(value, transition, reward, discount)
    rho = distribution("prior", prior, "reward", q.shape)
    t = scalar("temperature", temperature, "[0, inf]")
    return _where_known(lambda x: _log_expectation(x, rho, t), q, rho)


def expectile_backup(
    value: ArrayLike,
    behavior: ArrayLike,
    transition: TransitionLike,
    reward: ArrayLike,
    *,
    expectile: float,
    discount: float,
) -> FloatArray:
    """(T_τ V)(s) = expectile over a ~ behavior(·|s) of R(s,a) + γ Σ_s' P(s'|s,a) V(s'); τ = expectile.

    The mean over next states is taken first, so luck is not mistaken for skill; the expectile is over actions only.
    A larger expectile lies nearer to the best supported action (q = 6, 8):

    >>> args = [10.0], [[0.5, 0.5]], [[[1.0], [1.0]]], [[1.0, 3.0]]
    >>> [float(expectile_backup(*args, expectile=e, discount=0.5).round(6)[0]) for e in (0.1, 0.5, 0.9)]
    [6.2, 7.0, 7.8]

    value       [S]        in units of value
    behavior    [S, A]     rows sum to 1; an action of probability 0 is not read
    transition  [S, A, S], or CSR [S*A, S]; rows sum to 1
    reward      [S, A]     in units of reward
    expectile   scalar     in (0, 1); 1/2 is evaluation_backup
    discount    scalar     in [0, 1]
    returns     [S]        in units of value
    raises      ValueError on bad shapes, NaN, rows that do not sum to 1, or a scalar out of range
    source      Kostrikov et al. 2021, eqs. 5 and 6 with exact minimisers; its fixed point is the V_τ of their Theorem 3
    """
    q = lookahead(value, transition, reward, discount)
    mu = distribution("behavior", behavior, "reward", q.shape)
    level = scalar("expectile", expectile, "(0, 1)")
    return _where_known(lambda x: exact_expectile(x, mu, expectile=level), q, mu)


def sarsa_expectile_backup(
    q: ArrayLike,
    behavior: ArrayLike,
    transition: TransitionLike,
    reward: ArrayLike,
    *,
    expectile: float,
    discount: float,
) -> FloatArray:
    """One expectile of R(s,a) + γ Q(s',a') over (s',a') jointly, with masses P(s'|s,a)·behavior(a'|s').

    The "lucky sample": above 1/2 it praises the action for a good draw of s'. Here s' is even between values 0 and 10,
    whose fair worth is 2.5:

    >>> fair = [[[0.5, 0.5]], [[0.5, 0.5]]]
    >>> sarsa_expectile_backup([[0.0], [10.0]], [[1.0], [1.0]], fair, [[0.0], [0.0]], expectile=0.9, discount=0.5)
    array([[4.5],
           [4.5]])

    q           [S, A]     in units of value
    behavior    [S, A]     rows sum to 1
    transition  [S, A, S], or CSR [S*A, S]; rows sum to 1
    reward      [S, A]     in units of reward
    expectile   scalar     in (0, 1); 1/2 is q_evaluation_backup
    discount    scalar     in [0, 1]
    returns     [S, A]     in units of value
    raises      ValueError on bad shapes, NaN, rows that do not sum to 1, or a scalar out of range
    source      Kostrikov et al. 2021, §4.2, the loss before eq. 5, given up there for this reason
    """
    table = real_array("q", q)
    mu = distribution("behavior", behavior, "q", table.shape)
    matrix, payoff = process(transition, reward)
    same_shape("q", table, "reward", payoff.shape)
    level, gamma = scalar("expectile", expectile, "(0, 1)"), scalar("discount", discount, "[0, 1]")
    state, probability = successors(matrix)  # [S*A, k]
    mass = (probability[:, :, None] * mu[state]).reshape(payoff.size, -1)
    with np.errstate(invalid="ignore", over="ignore"):
        target = payoff.reshape(-1, 1) + gamma * table[state].reshape(payoff.size, -1)
    result = _where_known(lambda x: exact_expectile(x, mass, expectile=level), target, mass)
    return result.reshape(payoff.shape)


def sampled_backup(
    value: ArrayLike,
    behavior: ArrayLike,
    transition: TransitionLike,
    reward: ArrayLike,
    *,
    samples: int,
    aggregate: str,
    temperature: float | None = None,
    discount: float,
) -> FloatArray:
    """E[F(q(s,a_1), …, q(s,a_n))], a_i ~ behavior(·|s) independent, q = R + γPV, n = samples, F = aggregate; exact.

    Optimism grows with n: for max it is 7, 7.5, … of q = 6, 8, evenly drawn; the mean stays 7.

    >>> args = [10.0], [[0.5, 0.5]], [[[1.0], [1.0]]], [[1.0, 3.0]]
    >>> [float(sampled_backup(*args, samples=n, aggregate="max", discount=0.5)[0]) for n in (1, 2, 3)]
    [7.0, 7.5, 7.75]

    value        [S]        in units of value
    behavior     [S, A]     rows sum to 1
    transition   [S, A, S], or CSR [S*A, S]; rows sum to 1
    reward       [S, A]     in units of reward
    samples      integer    >= 1, with A^samples at most 2 000 000 outcomes
    aggregate    "max", "mean" or "log_mean_exp"
    temperature  scalar     in [0, inf], in units of value; needed for log_mean_exp, not read otherwise
    discount     scalar     in [0, 1]
    returns      [S]        in units of value
    raises       ValueError on bad shapes, NaN, rows that do not sum to 1, a scalar out of range, an unknown aggregate,
                 log_mean_exp without temperature, or too many outcomes
    source       Kozakowski et al. 2021, QWR's policy evaluation (AVG, LSE, MAX; their τ is our temperature)
    """
    q = lookahead(value, transition, reward, discount)
    mu = distribution("behavior", behavior, "reward", q.shape)
    draws, orders = _draws(q.shape[1], integer("samples", samples, 1))
    result = np.empty(len(q))
    for state in range(len(q)):
        probability = orders * mu[state, draws].prod(axis=1)
        possible = draws[probability > 0]
        outcome = _where_known(lambda x: _aggregated(x, aggregate, temperature), q[state, possible], np.ones(possible.shape))
        with np.errstate(invalid="ignore", over="ignore"):
            result[state] = (probability[probability > 0] * outcome).sum()
    return result


def _log_expectation(q: FloatArray, prior: FloatArray, t: float) -> FloatArray:
    """t · log Σ prior·exp(q/t), [S], at half scale: the distance of two finite numbers may exceed the float range.

    With x = (q − max q)/t and y = Σ prior·expm1(x), t·log1p(y) = Σ [prior·(q − max q)·expm1(x)/x] · log1p(y)/y, whose
    ratios tend to 1 as t grows, so that nothing cancels or underflows. Far from there, log Σ prior·exp(x) is accurate.
    """
    peak = np.where(prior > 0, q, -np.inf).max(axis=1)
    if t == 0.0:
        return np.asarray(peak)
    low = np.where(prior > 0, q, np.inf).min(axis=1)
    if math.isinf(t):
        return np.clip(policy_mean(prior, q), low, peak)
    with np.errstate(all="ignore"):
        top = peak[:, None]
        gap = np.where((q == top) | (prior == 0), 0.0, q / 2 - top / 2)
        x = np.where(gap == 0.0, 0.0, gap / (t / 2))
        y = (prior * np.expm1(x)).sum(axis=1)
        slope = np.where(x == 0.0, 1.0, np.expm1(x) / x)
        near = (prior * gap * slope).sum(axis=1) * np.where(y == 0.0, 1.0, np.log1p(y) / y)
        far = t / 2 * np.where(y > -0.5, np.log1p(y), np.log((prior * np.exp(x)).sum(axis=1)))
        below = np.where((y > -0.5) & np.isfinite(near), near, far)
        return np.asarray(np.clip(2 * (peak / 2 + below), low, peak))


def _draws(actions: int, samples: int) -> tuple[IntArray, FloatArray]:
    """The unordered outcomes of n draws, [M, n], and in how many orders each comes, n!/Π count!, [M].

    F does not see the order, and unordered outcomes are far fewer; the limit still counts the ordered ones, A^n.
    """
    if samples * math.log(actions) > math.log(MAX_OUTCOMES):
        raise ValueError(f"samples must leave at most {MAX_OUTCOMES} outcomes; got {actions} ** {samples}")
    draws = list(combinations_with_replacement(range(actions), samples if actions > 1 else 1))
    orders = [math.factorial(len(draw)) / math.prod(math.factorial(draw.count(a)) for a in set(draw)) for draw in draws]
    return np.array(draws), np.array(orders)


def _where_known(function: Callable[[FloatArray], FloatArray], q: FloatArray, weight: FloatArray) -> FloatArray:
    """`function` over the last axis; nan where an entry with weight is nan, left by inf − inf: operators refuse nan."""
    unknown = np.isnan(q)
    result = function(np.where(unknown, 0.0, q))
    return np.where((unknown & (weight > 0)).any(axis=-1), np.nan, result)
