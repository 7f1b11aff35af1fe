"""Trust-region steps by other means: explicit Fisher matrices, Hessians of the KL divergence itself, Krylov spaces in Fractions."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, NamedTuple

import mpmath
import numpy as np

from properties._oracles import Exact, exact, oracle
from properties._oracles.control_variates import as_fraction

DIGITS = 50


@oracle(
    method="fractions.Fraction",
    derivation="Amari 1998, §2: F = (1/N) sum of s s', as a matrix, entry by entry; then F v + damping v",
    identities="one score of one entry gives its square; no score leaves damping v",
)
def fisher_of_scores(vector: Any, scores: Any, *, damping: float) -> Exact:
    """(F + damping I) v from scores [N, P]."""
    s = exact(scores)
    matrix = (s[:, :, None] * s[:, None, :]).sum(axis=0) / len(s)
    return np.asarray((matrix * exact(vector)).sum(axis=-1) + exact(damping) * exact(vector))


@oracle(
    method="mpmath at 50 digits for exp, fractions.Fraction otherwise",
    derivation="the Fisher matrix of N(mean, std^2) in (mean, log std) is diag(1/std^2, 2); pulled back by both Jacobians",
    identities="log std 0 and Jacobian 1 give 1; its Jacobian 1 gives 2",
)
def fisher_of_gaussians(vector: Any, mean_jacobian: Any, log_std: Any, log_std_jacobian: Any, *, damping: float) -> Exact:
    """(F + damping I) v from Jacobians [N, D, P] and log_std [N, D]."""
    j, k = exact(mean_jacobian), exact(log_std_jacobian)
    with mpmath.workdps(DIGITS):
        precision = np.vectorize(lambda x: as_fraction(mpmath.exp(-2 * mpmath.mpf(float(x)))), otypes=[object])(log_std)
    weighted = j[..., :, None] * j[..., None, :] * precision[..., None, None] + 2 * k[..., :, None] * k[..., None, :]
    matrix = weighted.sum(axis=(0, 1)) / len(j)
    return np.asarray((matrix * exact(vector)).sum(axis=-1) + exact(damping) * exact(vector))


def _hessian_times(function: Any, vector: Any) -> Exact:
    """sum over j of v_j d^2 f / d theta_i d theta_j at 0, one mixed derivative along (e_i, v) for each i."""
    size = len(vector)
    with mpmath.workdps(DIGITS):
        v = [mpmath.mpf(float(x)) for x in vector]

        def along(i: int) -> Any:
            return lambda s, t: function([t * v[j] + (s if i == j else 0) for j in range(size)])

        found = [mpmath.diff(along(i), (0, 0), (1, 1)) for i in range(size)]
        return np.array([as_fraction(x) for x in found], dtype=object)


def _moved(jacobian: Any, bend: Any, theta: Any) -> Any:
    """J theta + bend theta'theta / 2: parameters enter nonlinearly, and their second derivative must not matter."""
    linear = mpmath.fsum(float(x) * t for x, t in zip(jacobian, theta, strict=True))
    return linear + float(bend) * mpmath.fsum(t * t for t in theta) / 2


@oracle(
    method="mpmath at 50 digits: numerical mixed second derivatives of KL itself",
    derivation="Schulman et al. 2015 (TRPO), appendix C: the Hessian of the mean of sum_a p_a log(p_a / pi_theta(a)) at theta = 0",
    identities="one action gives 0; p = (1/2, 1/2) moved by one logit gives 1/4",
)
def kl_hessian_of_softmax(vector: Any, probability: Any, jacobian: Any, bend: Any) -> Exact:
    """H v for logits log p + J theta + bend theta'theta / 2: probability and bend [S, A], jacobian [S, A, P]."""

    def divergence(theta: Any) -> Any:
        total = mpmath.mpf(0)
        for p, j, b in zip(probability, jacobian, bend, strict=True):
            move = [_moved(j[a], b[a], theta) for a in range(len(p))]
            norm = mpmath.log(mpmath.fsum(float(p[a]) * mpmath.exp(move[a]) for a in range(len(p))))
            total += mpmath.fsum(float(p[a]) * (norm - move[a]) for a in range(len(p)))
        return total / len(probability)

    return _hessian_times(divergence, vector)


@oracle(
    method="mpmath at 50 digits: numerical mixed second derivatives of KL itself",
    derivation="the mean over states of log(s / s0) + (s0^2 + (m0 - m)^2) / (2 s^2) - 1/2, N(m0, s0^2) to N(m, s^2), at theta = 0",
    identities="m = theta, s = 1 gives 1; log s = theta gives 2",
)
def kl_hessian_of_gaussians(vector: Any, mean_jacobian: Any, log_std: Any, log_std_jacobian: Any, bend: Any) -> Exact:
    """H v for means J theta and log std log_std + K theta, both bent: [N, D, P], [N, D], [N, D, P], [N, D]."""

    def divergence(theta: Any) -> Any:
        total = mpmath.mpf(0)
        for place in np.ndindex(np.shape(log_std)):
            mean = _moved(mean_jacobian[place], bend[place], theta)
            change = _moved(log_std_jacobian[place], bend[place], theta)
            variance = mpmath.exp(2 * mpmath.mpf(float(log_std[place])))
            total += change + (variance + mean**2) / (2 * variance * mpmath.exp(2 * change)) - mpmath.mpf(1) / 2
        return total / len(mean_jacobian)

    return _hessian_times(divergence, vector)


class Minimiser(NamedTuple):
    """A minimiser of x'Ax/2 - b'x, and its distance from the solution in the norm of A, squared."""

    point: Exact
    squared_distance: Fraction


@oracle(
    method="fractions.Fraction",
    derivation="Hestenes & Stiefel 1952, §4: the k-th iterate minimises the A-norm of the error over span{b, Ab, ..., A^(k-1) b}; "
    "by the normal equations in that basis, no recurrence",
    identities="k = 1 is b'b / b'Ab b; k = P is the solution; A = I is solved at k = 1",
)
def krylov_minimiser(matrix: Any, b: Any, steps: int) -> Minimiser:
    """The best point of the Krylov space of that many dimensions, for symmetric positive definite A [P, P]."""
    a, right = exact(matrix), exact(b)
    solution = _solution(a, right)
    basis: list[Any] = []
    for _ in range(steps):
        basis.append(right if not basis else (a * basis[-1]).sum(axis=-1))
    while basis and not _independent(basis):
        basis.pop()
    if not basis:
        return Minimiser(right * 0, Fraction(_energy(a, solution)))
    v = np.array(basis, dtype=object)
    point = (_solution(_gram(a, v), (v * right).sum(axis=-1))[:, None] * v).sum(axis=0)
    return Minimiser(point, Fraction(_energy(a, solution - point)))


def _gram(a: Any, v: Any) -> Any:
    """V A V'."""
    return np.array([[((a * y).sum(axis=-1) * x).sum() for y in v] for x in v], dtype=object)


def _energy(a: Any, x: Any) -> Any:
    """x'Ax."""
    return ((a * x).sum(axis=-1) * x).sum()


def _independent(vectors: list[Any]) -> bool:
    """Whether their Gram matrix can be eliminated."""
    identity = exact(np.eye(len(vectors[0])))
    try:
        _solution(_gram(identity, np.array(vectors, dtype=object)), exact(np.zeros(len(vectors))))
    except ZeroDivisionError:
        return False
    return True


def _solution(matrix: Any, right: Any) -> Any:
    """The solution of a symmetric positive definite system, by elimination without exchanges (no pivot is 0)."""
    rows = [list(row) + [value] for row, value in zip(matrix, right, strict=True)]
    for c in range(len(rows)):
        rows[c] = [entry / rows[c][c] for entry in rows[c]]
        for r in range(len(rows)):
            if r != c:
                rows[r] = [x - rows[r][c] * y for x, y in zip(rows[r], rows[c], strict=True)]
    return np.array([row[-1] for row in rows], dtype=object)


@oracle(
    method="fractions.Fraction",
    derivation="gaussian elimination; no conjugate directions",
    identities="the identity gives the right-hand side; diag(2, 4) halves and quarters it",
)
def solution_by_elimination(matrix: Any, b: Any) -> Exact:
    """A^-1 b for symmetric positive definite A [P, P]."""
    return np.asarray(_solution(exact(matrix), exact(b)))
