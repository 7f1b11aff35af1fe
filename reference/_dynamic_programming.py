"""Solving a finite Markov decision process: exactly for one policy and for the best one, and by iteration at scale.

The public names are re-exported by bellman. Rewards of −inf forbid an action; they never enter a linear system.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import lu_factor, lu_solve
from scipy.sparse import csr_array, eye_array
from scipy.sparse.linalg import splu

from reference._checks import FloatArray, IntArray, integer, refuse_where, scalar
from reference._transitions import Transition, TransitionLike, backed_up, distribution, policy_mean, process


class Optimum(NamedTuple):
    """The optimal value [S], in units of value, and the first policy [S] (int64) that attains it."""

    value: FloatArray
    policy: IntArray


class IteratedValue(NamedTuple):
    """The last iterate [S], how many backups made it, and how far at most it is from the optimum, in units of value."""

    value: FloatArray
    iterations: int
    error_bound: float


class IteratedQ(NamedTuple):
    """The last iterate [S, A], how many backups made it, and how far at most it is from the optimum."""

    q: FloatArray
    iterations: int
    error_bound: float


def solve_policy(policy: ArrayLike, transition: TransitionLike, reward: ArrayLike, *, discount: float) -> FloatArray:
    """V = (I − γ P^π)⁻¹ R^π, the one solution of V = T^π V; by LU factors, sparse ones for CSR.

    A reward of 1 for ever is worth 1/(1 − γ):

    >>> solve_policy([[1.0]], [[[1.0]]], [[1.0]], discount=0.75)
    array([4.])

    policy      [S, A]     rows sum to 1
    transition  [S, A, S], or CSR [S*A, S] with row s*A + a; rows sum to 1
    reward      [S, A]     in units of reward; ±inf only where the policy does not act
    discount    scalar     in [0, 1)
    returns     [S]        in units of value
    raises      ValueError on bad shapes, NaN, rows that do not sum to 1, discount outside [0, 1), or an infinite
                reward of an action that the policy takes
    source      Puterman 1994, theorem 6.1.1; Sutton & Barto 2018, eq. 3.14
    """
    matrix, payoff = process(transition, reward)
    pi = distribution("policy", policy, "reward", payoff.shape)
    gamma = scalar("discount", discount, "[0, 1)")
    refuse_where((pi > 0) & np.isinf(payoff), payoff, "reward", "must be finite where the policy acts")
    return _policy_value(pi, matrix, payoff, gamma)


def solve_optimal(transition: TransitionLike, reward: ArrayLike, *, discount: float) -> Optimum:
    """V* = max_π (I − γ P^π)⁻¹ R^π, attained in every state at once by one deterministic policy; policy iteration.

    Among optimal actions the first is returned. Here both are optimal in state 0, and only the second in state 1:

    >>> solve_optimal([[[1, 0], [1, 0]], [[1, 0], [1, 0]]], [[1, 1], [0, 1]], discount=0.5)
    Optimum(value=array([2., 2.]), policy=array([0, 1]))

    transition  [S, A, S], or CSR [S*A, S] with row s*A + a; rows sum to 1
    reward      [S, A]     in units of reward; −inf forbids an action, but not all in one state
    discount    scalar     in [0, 1)
    returns     value [S] in units of value; policy [S], int64. Actions whose values differ by no more than the rounding
                of r + γ·Σ P V are equal here: that is the accuracy to which V itself solves its equation
    raises      ValueError on bad shapes, NaN, rows that do not sum to 1, discount outside [0, 1), or a state whose
                largest reward is infinite
    source      Howard 1960; Puterman 1994, §6.4; Sutton & Barto 2018, §4.3 and eq. 3.19
    """
    matrix, payoff = process(transition, reward)
    gamma = scalar("discount", discount, "[0, 1)")
    refuse_where(np.isinf(payoff.max(axis=1)), payoff.max(axis=1), "reward", "must have a finite largest entry")
    choice = payoff.argmax(axis=1)
    seen: set[bytes] = set()
    while choice.tobytes() not in seen:  # each round improves the policy, or only its rounding: never one twice
        seen.add(choice.tobytes())
        value = _policy_value(np.eye(payoff.shape[1])[choice], matrix, payoff, gamma)
        good = _good_actions(matrix, payoff, value, gamma)
        kept = np.take_along_axis(good, choice[:, None], axis=1)[:, 0]
        choice = np.where(kept, choice, good.argmax(axis=1))
    return Optimum(value, good.argmax(axis=1))


def value_iteration(
    transition: TransitionLike, reward: ArrayLike, *, discount: float, tolerance: float, max_iterations: int
) -> IteratedValue:
    """V_{k+1} = max_a (R + γ P V_k) from V_0 = 0, until γ/(1 − γ)·‖V_{k+1} − V_k‖∞ ≤ tolerance.

    That number bounds ‖V_{k+1} − V*‖∞, and is returned. Nothing is raised when the iterations run out first:

    >>> value_iteration([[[1.0]]], [[1.0]], discount=0.5, tolerance=0.25, max_iterations=100)
    IteratedValue(value=array([1.75]), iterations=3, error_bound=0.25)
    >>> value_iteration([[[1.0]]], [[1.0]], discount=0.5, tolerance=0.25, max_iterations=1)
    IteratedValue(value=array([1.]), iterations=1, error_bound=1.0)

    transition      [S, A, S], or CSR [S*A, S] with row s*A + a; rows sum to 1; 10⁶ sparse states are in reach
    reward          [S, A]  in units of reward; −inf forbids an action; an equal infinity is no change
    discount        scalar  in [0, 1)
    tolerance       scalar  in (0, inf), in units of value
    max_iterations  integer >= 1
    returns         value [S] in units of value, iterations, error_bound (rounding, some u·max|V|/(1 − γ), adds to it)
    raises          ValueError on bad shapes, NaN, rows that do not sum to 1, or a scalar out of range
    source          Puterman 1994, §6.3, theorem 6.3.1; Sutton & Barto 2018, eq. 4.10
    """
    matrix, payoff = process(transition, reward)
    gamma = scalar("discount", discount, "[0, 1)")

    def backup(value: FloatArray) -> FloatArray:
        return np.asarray(backed_up(matrix, payoff, value, gamma).max(axis=1))

    return IteratedValue(*_iterate(backup, np.zeros(len(payoff)), gamma, tolerance, max_iterations))


def q_value_iteration(
    transition: TransitionLike, reward: ArrayLike, *, discount: float, tolerance: float, max_iterations: int
) -> IteratedQ:
    """Q_{k+1} = R + γ P max_a' Q_k from Q_0 = 0, until γ/(1 − γ)·‖Q_{k+1} − Q_k‖∞ ≤ tolerance.

    Its maximum over the actions is the value iteration of the same length:

    >>> q_value_iteration([[[1.0], [1.0]]], [[1.0, 0.0]], discount=0.5, tolerance=0.25, max_iterations=100)
    IteratedQ(q=array([[1.75, 0.75]]), iterations=3, error_bound=0.25)

    transition      [S, A, S], or CSR [S*A, S] with row s*A + a; rows sum to 1
    reward          [S, A]  in units of reward; −inf forbids an action; an equal infinity is no change
    discount        scalar  in [0, 1)
    tolerance       scalar  in (0, inf), in units of value
    max_iterations  integer >= 1
    returns         q [S, A] in units of value, iterations, error_bound on ‖Q_{k+1} − Q*‖∞ (rounding adds to it)
    raises          ValueError on bad shapes, NaN, rows that do not sum to 1, or a scalar out of range
    source          Sutton & Barto 2018, eq. 3.20 as an iteration; Bertsekas & Tsitsiklis 1996, §5.6
    """
    matrix, payoff = process(transition, reward)
    gamma = scalar("discount", discount, "[0, 1)")

    def backup(q: FloatArray) -> FloatArray:
        return backed_up(matrix, payoff, q.max(axis=1), gamma)

    return IteratedQ(*_iterate(backup, np.zeros(payoff.shape), gamma, tolerance, max_iterations))


def _policy_value(policy: FloatArray, transition: Transition, reward: FloatArray, discount: float) -> FloatArray:
    """Solve (I − γ P^π) V = R^π by LU with its pivots on the diagonal, which is safe as the diagonal dominates.

    An absorbing state without reward is then worth exactly 0: no other row is mixed into its own.
    """
    states, actions = reward.shape
    payoff = policy_mean(policy, reward)
    if isinstance(transition, np.ndarray):
        chain = (policy[:, None, :] @ transition)[:, 0, :]
        # Dense pivoting goes by columns, and it is the rows that dominate: factor the transpose.
        return np.asarray(lu_solve(lu_factor((np.eye(states) - discount * chain).T), payoff, trans=1))
    pairs = np.arange(states * actions)
    average = csr_array((policy.ravel(), pairs, np.arange(0, pairs.size + 1, actions)), shape=(states, pairs.size))
    average.eliminate_zeros()
    system = eye_array(states) - discount * (average @ transition)
    return np.asarray(splu(system.tocsc(), diag_pivot_thresh=0.0).solve(payoff))


def _good_actions(transition: Transition, reward: FloatArray, value: FloatArray, discount: float) -> NDArray[np.bool_]:
    """Which actions are greedy, [S, A], up to the rounding of q: k products and sums of this size, twice compared."""
    q = backed_up(transition, reward, value, discount)
    size = backed_up(transition, np.where(np.isinf(reward), 0.0, np.abs(reward)), np.abs(value), discount)
    terms = transition.shape[-1] if isinstance(transition, np.ndarray) else int(np.diff(transition.indptr).max())
    rounding = (terms + 3) * 2.0**-53 * size.max(axis=1, keepdims=True)
    return np.asarray(q >= q.max(axis=1, keepdims=True) - 4 * rounding)


def _iterate(
    backup: Callable[[FloatArray], FloatArray],
    start: FloatArray,
    discount: float,
    tolerance: float,
    max_iterations: int,
) -> tuple[FloatArray, int, float]:
    """Repeat a γ-contraction until its certificate γ/(1 − γ)·‖change‖∞ is within the tolerance."""
    goal = scalar("tolerance", tolerance, "(0, inf)")
    limit = integer("max_iterations", max_iterations, 1)
    current, bound, done = start, float("nan"), 0
    while done < limit and not bound <= goal:  # nan, before the first backup or from inf − inf, certifies nothing
        following = backup(current)
        with np.errstate(invalid="ignore"):
            change = np.where(following == current, 0.0, np.abs(following - current)).max()
        current, bound, done = following, discount / (1.0 - discount) * float(change), done + 1
    return current, done, bound
