"""Finite decision processes in exact rational arithmetic, and the linear program whose solution is the optimal value."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import csr_array, eye_array, kron

from properties._oracles import Exact, exact, oracle
from properties._oracles.expectiles import expectile_by_balance


class ExactOptimum(NamedTuple):
    """V* [S] and Q* [S, A]."""

    value: Exact
    q: Exact


def _rows(transition: Any, states: int, actions: int) -> Exact:
    """P(s'|s,a) as Fractions, [S, A, S], from a dense or a CSR table."""
    dense = transition.toarray() if hasattr(transition, "indptr") else transition
    return np.asarray(exact(dense.reshape(states, actions, states)))


def _q(value: Exact, transition: Exact, reward: Exact, discount: Fraction) -> Exact:
    return np.asarray(reward + discount * (transition * value).sum(axis=-1))


@oracle(
    method="fractions.Fraction",
    derivation="Sutton & Barto 2018, eq. 4.6: r(s,a) + gamma sum of P(s'|s,a) V(s')",
    identities="gamma = 0 gives r; one certain successor gives r + gamma V(s')",
)
def q_by_fractions(value: Any, transition: Any, reward: Any, *, discount: float) -> Exact:
    """R + gamma P V for every state and action; `value` may hold Fractions."""
    rows = _rows(transition, *np.shape(reward))
    return _q(exact(value), rows, exact(reward), Fraction(discount))


@oracle(
    method="fractions.Fraction",
    derivation="Kostrikov et al. 2021, §4.2: the loss before eq. 5, over the pairs (s', a') of mass P(s'|s,a) behavior(a'|s')",
    identities="1/2 gives R + gamma P (behavior . Q)",
    shares_code_with="expectile_by_balance",
)
def joint_expectiles_by_fractions(q: Any, behavior: Any, transition: Any, reward: Any, *, level: float, discount: float) -> Exact:
    """One expectile of r(s,a) + gamma Q(s',a') over all pairs (s', a'), for every state and action."""
    states, actions = np.shape(reward)
    mass = _rows(transition, states, actions)[..., None] * exact(behavior)
    target = exact(reward)[..., None] + Fraction(discount) * exact(q).ravel()
    return np.asarray(expectile_by_balance(target, mass.reshape(states, actions, -1), expectile=level))


def _solve(matrix: Exact, right: Exact) -> Exact:
    """Gauss's elimination; the matrix is diagonally dominant, so that no pivot is 0."""
    a, b = matrix.copy(), right.copy()
    for k in range(len(b)):
        for i in range(k + 1, len(b)):
            factor = a[i, k] / a[k, k]
            a[i] = a[i] - factor * a[k]
            b[i] = b[i] - factor * b[k]
    for k in reversed(range(len(b))):
        b[k] = (b[k] - (a[k, k + 1 :] * b[k + 1 :]).sum()) / a[k, k]
    return b


@oracle(
    method="fractions.Fraction, Gauss's elimination",
    derivation="Puterman 1994, theorem 6.1.1: (I - gamma P^pi) V = R^pi",
    identities="gamma = 0 gives R^pi; a reward of 1 for ever gives 1/(1 - gamma)",
)
def policy_value_by_fractions(policy: Any, transition: Any, reward: Any, *, discount: float) -> Exact:
    """V^pi, exactly."""
    pi, rows = exact(policy), _rows(transition, *np.shape(reward))
    identity = exact(np.eye(len(pi)))
    return _solve(identity - Fraction(discount) * (pi[..., None] * rows).sum(axis=1), (pi * exact(reward)).sum(axis=1))


@oracle(
    method="fractions.Fraction, policy iteration",
    derivation="Howard 1960; Puterman 1994, §6.4: solve, take the first greedy action, until no action is better",
    identities="V* = max of Q*; gamma = 0 gives max of r; satisfies the optimality equation exactly",
    shares_code_with="policy_value_by_fractions",
)
def optimum_by_fractions(transition: Any, reward: Any, *, discount: float) -> ExactOptimum:
    """V* and Q*, exactly."""
    states, actions = np.shape(reward)
    rows, payoff, gamma = _rows(transition, states, actions), exact(reward), Fraction(discount)
    choice = np.zeros(states, dtype=np.int64)
    while True:
        value = policy_value_by_fractions(np.eye(actions)[choice], transition, reward, discount=discount)
        q = _q(value, rows, payoff, gamma)
        if all(q[s, choice[s]] == max(q[s]) for s in range(states)):
            return ExactOptimum(value, q)
        choice = np.array([list(q[s]).index(max(q[s])) for s in range(states)])


@oracle(
    method="scipy's HiGHS, and a certificate of its own answer",
    derivation="Puterman 1994, §6.9: the least V with V(s) >= r(s,a) + gamma sum of P(s'|s,a) V(s') for all s, a",
    identities="a reward of 1 for ever gives 1/(1 - gamma); satisfies the optimality equation up to what it reports",
)
def optimum_by_linear_program(transition: Any, reward: Any, *, discount: float) -> tuple[NDArray[np.float64], float]:
    """V* to HiGHS's feasibility, and the bound |V - T*V| / (1 - gamma) on its error, which any V has."""
    states, actions = np.shape(reward)
    rows = csr_array(transition if hasattr(transition, "indptr") else transition.reshape(-1, states))
    scale = float(np.abs(reward).max()) or 1.0
    repeat = kron(eye_array(states), np.ones((actions, 1)))
    constraints: Any = csr_array(discount * rows - repeat)
    mean, bounds = np.ones(states) / states, (None, None)
    answer: Any = linprog(mean, A_ub=constraints, b_ub=-np.ravel(reward) / scale, bounds=bounds, method="highs")
    if not answer.success:
        raise RuntimeError(f"HiGHS did not solve the program: {answer.message}")
    value = np.asarray(answer.x) * scale
    best = (reward + discount * (rows @ value).reshape(states, actions)).max(axis=1)
    terms = (states + 4) * 2.0**-52 * float(np.abs(reward).max() + np.abs(value).max())
    return value, (float(np.abs(best - value).max()) + terms) / (1.0 - discount)
