"""The discounted linear-quadratic regulator, in closed form: where a continuous-control gradient is known exactly.

x' = A x + B u + noise, reward = −(xᵀQ x + uᵀR u), policy u = K x, or u ~ N(K x, σ² I) where a `deviation` σ is given.
All averages over states are discounted and normalised, (1 − γ) Σ_t γᵗ E[·], and so is the objective: the average reward.
The deterministic policy gradient of states so averaged is then the objective's gradient itself, without a factor.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import solve, solve_discrete_are, solve_discrete_lyapunov

from reference._checks import FloatArray, finite_array, refuse_where, scalar, sized_array


class LinearQuadratic(NamedTuple):
    """A regulator with n state and d action dimensions; covariances are second moments, all means are 0.

    dynamics          A [n, n]   in the mean x' = A x + B u
    control           B [n, d]
    state_cost        Q [n, n]   symmetric, in units of reward
    control_cost      R [d, d]   symmetric, positive definite
    discount          γ in [0, 1)
    noise_covariance  W [n, n]   of what is added to x' at each step, symmetric; None stands for no noise
    start_covariance  [n, n]     E x_0 x_0ᵀ, symmetric
    """

    dynamics: ArrayLike
    control: ArrayLike
    state_cost: ArrayLike
    control_cost: ArrayLike
    discount: float
    noise_covariance: ArrayLike | None
    start_covariance: ArrayLike


class _Checked(NamedTuple):
    """The same in float64, with zeros for no noise."""

    a: FloatArray
    b: FloatArray
    q: FloatArray
    r: FloatArray
    discount: float
    noise: FloatArray
    start: FloatArray


def value_matrix(problem: LinearQuadratic, gain: ArrayLike) -> FloatArray:
    """P = Q + KᵀR K + γ (A + B K)ᵀ P (A + B K): V(x) = −xᵀP x − value_constant.

    A cost: the larger P, the *lower* the value. Here P = 1 + γ · (1/4) P:

    >>> problem = LinearQuadratic([[0.5]], [[1.0]], [[1.0]], [[1.0]], 0.8, None, [[1.0]])
    >>> value_matrix(problem, [[0.0]]).round(12)
    array([[1.25]])

    problem  LinearQuadratic
    gain     [d, n]           K
    returns  [n, n]           symmetric, in units of reward
    raises   ValueError if shapes do not fit, data is not finite, a matrix is not symmetric, R is not positive definite,
             γ is not in [0, 1), or √γ (A + B K) has an eigenvalue of modulus ≥ 1
    source   Bradtke 1993; Bertsekas 2017, §3.1 (with γ in the dynamics)
    """
    p, k = _checked(problem, gain)
    return _discounted_sum(_closed_loop(p, k).T, p.q + k.T @ p.r @ k)


def value_constant(problem: LinearQuadratic, gain: ArrayLike, *, deviation: float = 0.0) -> float:
    """c = ( γ tr(P (W + σ² B Bᵀ)) + σ² tr R ) / (1 − γ), in V(x) = −xᵀP x − c.

    What noise costs, in the world or in the policy; 0 without any:

    >>> problem = LinearQuadratic([[0.5]], [[1.0]], [[1.0]], [[1.0]], 0.8, [[3.0]], [[1.0]])
    >>> round(value_constant(problem, [[0.0]]), 12)
    15.0

    problem, gain  as in value_matrix
    deviation      scalar  σ in [0, inf), in units of action
    returns        in units of reward
    raises         ValueError as value_matrix, and if deviation is out of range
    source         Bertsekas 2017, §3.1
    """
    p, _ = _checked(problem, gain)
    noise = _policy_noise(p, deviation)
    cost = p.discount * np.sum(value_matrix(problem, gain) * (p.noise + noise)) + deviation**2 * np.trace(p.r)
    return float(cost / (1.0 - p.discount))


def state_second_moment(problem: LinearQuadratic, gain: ArrayLike, *, deviation: float = 0.0) -> FloatArray:
    """S = (1 − γ) Σ_t γᵗ E x_t x_tᵀ = (1 − γ) E x_0 x_0ᵀ + γ ((A + B K) S (A + B K)ᵀ + W + σ² B Bᵀ).

    An average over states, whose weights sum to 1: where nothing moves it is the start's own moment:

    >>> problem = LinearQuadratic([[1.0]], [[1.0]], [[1.0]], [[1.0]], 0.9, None, [[2.0]])
    >>> state_second_moment(problem, [[0.0]]).round(12)
    array([[2.]])

    problem, gain  as in value_matrix
    deviation      scalar  σ in [0, inf), in units of action
    returns        [n, n], symmetric
    raises         ValueError as value_constant
    source         the discounted state distribution of Silver et al. 2014, §2.1, normalised, in this linear system
    """
    p, k = _checked(problem, gain)
    arriving = (1.0 - p.discount) * p.start + p.discount * (p.noise + _policy_noise(p, deviation))
    return _discounted_sum(_closed_loop(p, k), arriving)


def objective(problem: LinearQuadratic, gain: ArrayLike, *, deviation: float = 0.0) -> float:
    """J(K) = (1 − γ) Σ_t γᵗ E r_t = −tr((Q + KᵀR K) S) − σ² tr R.

    To be maximised; never positive where Q is a cost. Doing nothing costs Q each time:

    >>> problem = LinearQuadratic([[1.0]], [[1.0]], [[3.0]], [[1.0]], 0.9, None, [[2.0]])
    >>> round(objective(problem, [[0.0]]), 12)
    -6.0

    It is (1 − γ) E V(x_0), noise in the world and in the policy included:

    >>> noisy, gain = LinearQuadratic([[0.5]], [[1.0]], [[1.0]], [[1.0]], 0.8, [[3.0]], [[1.0]]), [[0.1]]
    >>> cost = value_matrix(noisy, gain)[0, 0] + value_constant(noisy, gain, deviation=2.0)
    >>> bool(np.isclose(objective(noisy, gain, deviation=2.0), -(1.0 - 0.8) * cost))
    True

    problem, gain  as in value_matrix
    deviation      scalar  σ in [0, inf), in units of action
    returns        in units of reward; (1 − γ) times the expected return
    raises         ValueError as value_constant
    source         Silver et al. 2014, eq. (8), normalised
    """
    p, k = _checked(problem, gain)
    moment = state_second_moment(problem, gain, deviation=deviation)
    return float(-np.sum((p.q + k.T @ p.r @ k) * moment) - deviation**2 * np.trace(p.r))


def objective_gradient(problem: LinearQuadratic, gain: ArrayLike, *, deviation: float = 0.0) -> FloatArray:
    """dJ/dK = −2 [ (R + γ BᵀP B) K + γ BᵀP A ] S: E[ ∇_a Q(x, K x) xᵀ ] over the states of S.

    An ascent direction, 0 at the optimal gain. With a deviation it is the gradient in K of u ~ N(K x, σ² I): P does not
    know of σ, S does, so it tends to the deterministic gradient as σ → 0. Here it asks for a pull back towards 0:

    >>> problem = LinearQuadratic([[1.0]], [[1.0]], [[1.0]], [[1.0]], 0.5, None, [[1.0]])
    >>> objective_gradient(problem, [[0.0]]).round(12)
    array([[-2.]])

    problem, gain  as in value_matrix
    deviation      scalar  σ in [0, inf), in units of action
    returns        [d, n], in units of reward per unit of gain
    raises         ValueError as value_constant
    source         Fazel et al. 2018, Lemma 1, discounted; Silver et al. 2014, Theorems 1 and 2
    """
    p, k = _checked(problem, gain)
    slope = _curvature(p, value_matrix(problem, gain)) @ k + _coupling(p, value_matrix(problem, gain))
    return np.asarray(-2.0 * slope @ state_second_moment(problem, gain, deviation=deviation))


def action_value(problem: LinearQuadratic, gain: ArrayLike, state: ArrayLike, action: ArrayLike) -> FloatArray:
    """Q^K(x, u) = −xᵀQ x − uᵀR u − γ ( x̄'ᵀP x̄' + tr(P W) + c ), x̄' = A x + B u, c the value constant at σ = 0.

    A value, so the costs are subtracted; at u = K x it is V(x):

    >>> problem = LinearQuadratic([[0.5]], [[1.0]], [[1.0]], [[1.0]], 0.8, None, [[1.0]])
    >>> action_value(problem, [[0.0]], [[2.0]], [[0.0]]).round(12)
    array([-5.])

    problem, gain  as in value_matrix
    state, action  [..., n], [..., d], with the same leading axes
    returns        [...], in units of reward
    raises         ValueError as value_matrix, and if state or action does not fit
    source         Bradtke 1993, the quadratic Q function of a gain
    """
    p, _ = _checked(problem, gain)
    x, u = _points(p, state, action)
    following = x @ p.a.T + u @ p.b.T
    value = value_matrix(problem, gain)
    noise = p.discount * (np.sum(value * p.noise) + value_constant(problem, gain))
    return np.asarray(-_quadratic(x, p.q) - _quadratic(u, p.r) - p.discount * _quadratic(following, value) - noise)


def action_gradient(problem: LinearQuadratic, gain: ArrayLike, state: ArrayLike, action: ArrayLike) -> FloatArray:
    """∇_u Q^K(x, u) = −2 [ (R + γ BᵀP B) u + γ BᵀP A x ].

    It points where the value rises: back towards 0 when action and state push the same way:

    >>> problem = LinearQuadratic([[0.5]], [[1.0]], [[1.0]], [[1.0]], 0.8, None, [[1.0]])
    >>> action_gradient(problem, [[0.0]], [[2.0]], [[1.0]]).round(12)
    array([[-6.]])

    problem, gain  as in value_matrix
    state, action  [..., n], [..., d], with the same leading axes
    returns        [..., d], in units of reward per unit of action
    raises         ValueError as action_value
    source         the derivative of action_value
    """
    p, _ = _checked(problem, gain)
    x, u = _points(p, state, action)
    value = value_matrix(problem, gain)
    return np.asarray(-2.0 * (u @ _curvature(p, value) + x @ _coupling(p, value).T))


def optimal_gain(problem: LinearQuadratic) -> FloatArray:
    """K* = −(R + γ BᵀP B)⁻¹ γ BᵀP A, P the Riccati equation's stabilising solution: argmax_K J(K).

    Against the state's own motion, and 0 where the future does not count:

    >>> problem = LinearQuadratic([[1.0]], [[1.0]], [[1.0]], [[1.0]], 0.5, None, [[1.0]])
    >>> optimal_gain(problem).round(6), optimal_gain(problem._replace(discount=0.0))
    (array([[-0.414214]]), array([[0.]]))
    >>> bool(np.abs(objective_gradient(problem, optimal_gain(problem))).max() < 1e-12)
    True

    problem  LinearQuadratic
    returns  [d, n]
    raises   ValueError as value_matrix, and if the Riccati equation has no stabilising solution
    source   Bertsekas 2017, §3.1, with √γ A and √γ B in place of A and B
    """
    p, none = _checked(problem, np.zeros(np.shape(problem.control)[::-1]), stable=False)
    if p.discount == 0.0:
        return none
    root = math.sqrt(p.discount)
    try:
        value = np.asarray(solve_discrete_are(root * p.a, root * p.b, p.q, p.r), dtype=np.float64)
    except np.linalg.LinAlgError as error:
        raise ValueError(f"problem must have a stabilising gain; got none ({error})") from error
    return np.asarray(-solve(_curvature(p, value), _coupling(p, value)))


def _checked(problem: LinearQuadratic, gain: ArrayLike, stable: bool = True) -> tuple[_Checked, FloatArray]:
    """The regulator and the gain in float64, if all fits together and the return is finite."""
    sizes: dict[str, int] = {}
    a = _matrix("dynamics", problem.dynamics, "n n", sizes)
    b = _matrix("control", problem.control, "n d", sizes)
    q = _symmetric("state_cost", problem.state_cost, "n n", sizes)
    r = _symmetric("control_cost", problem.control_cost, "d d", sizes)
    smallest = float(np.linalg.eigvalsh(r)[0])
    if smallest <= 0.0:
        raise ValueError(f"control_cost must be positive definite; got smallest eigenvalue {smallest}")
    discount = scalar("discount", problem.discount, "[0, 1)")
    noise = np.zeros_like(a) if problem.noise_covariance is None else problem.noise_covariance
    w = _symmetric("noise_covariance", noise, "n n", sizes)
    start = _symmetric("start_covariance", problem.start_covariance, "n n", sizes)
    checked, k = _Checked(a, b, q, r, discount, w, start), _matrix("gain", gain, "d n", sizes)
    radius = float(np.abs(np.linalg.eigvals(_closed_loop(checked, k))).max())
    if stable and radius >= 1.0:
        raise ValueError(f"gain must make sqrt(discount) * (dynamics + control @ gain) stable; got spectral radius {radius}")
    return checked, k


def _matrix(name: str, value: ArrayLike, axes: str, sizes: dict[str, int]) -> FloatArray:
    """A finite matrix of these axes."""
    return sized_array(name, finite_array(name, value), axes, sizes)


def _symmetric(name: str, value: ArrayLike, axes: str, sizes: dict[str, int]) -> FloatArray:
    """A finite symmetric matrix of these axes."""
    matrix = _matrix(name, value, axes, sizes)
    refuse_where(matrix != matrix.T, matrix, name, "must be symmetric")
    return matrix


def _points(p: _Checked, state: ArrayLike, action: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """States [..., n] and actions [..., d] with the same leading axes."""
    x, u = finite_array("state", state), finite_array("action", action)
    if x.shape[-1:] != p.a.shape[:1]:
        raise ValueError(f"state has shape {x.shape}, dynamics has shape {p.a.shape}; state must be [..., n]")
    if u.shape != x.shape[:-1] + p.r.shape[:1]:
        raise ValueError(f"action has shape {u.shape}, state has shape {x.shape}; action must be [..., d]")
    return x, u


def _closed_loop(p: _Checked, gain: FloatArray) -> FloatArray:
    """√γ (A + B K): sums discounted by γ are undiscounted ones of this system."""
    return np.asarray(math.sqrt(p.discount) * (p.a + p.b @ gain))


def _discounted_sum(step: FloatArray, term: FloatArray) -> FloatArray:
    """X = step X stepᵀ + term, by one linear solve; made symmetric to the last bit."""
    x = np.asarray(solve_discrete_lyapunov(step, term, method="direct"))
    return np.asarray(0.5 * (x + x.T))


def _policy_noise(p: _Checked, deviation: float) -> FloatArray:
    """σ² B Bᵀ: what the policy's own noise adds to the next state."""
    return np.asarray(scalar("deviation", deviation, "[0, inf)") ** 2 * (p.b @ p.b.T))


def _curvature(p: _Checked, value: FloatArray) -> FloatArray:
    """R + γ BᵀP B."""
    return np.asarray(p.r + p.discount * (p.b.T @ value @ p.b))


def _coupling(p: _Checked, value: FloatArray) -> FloatArray:
    """γ BᵀP A."""
    return np.asarray(p.discount * (p.b.T @ value @ p.a))


def _quadratic(x: FloatArray, matrix: FloatArray) -> FloatArray:
    """xᵀ M x for each row."""
    return np.asarray(((x @ matrix) * x).sum(axis=-1))
