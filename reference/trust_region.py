"""The trust-region step: conjugate gradients on Fisher-vector products, scaled to a KL budget, then searched backwards.

Inner products add their rounded terms exactly. Vectors far from 1 in size are shifted by powers of two, which is exact,
so that no square leaves the float range; functions that are passed in are taken to be linear in their vector.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from reference._checks import FloatArray, finite_array, function, integer, returned_array, scalar, sized_array
from reference._exact_sums import exact_sum, times_exp, total

MatVec = Callable[[FloatArray], ArrayLike]


class Solution(NamedTuple):
    """What conjugate gradients reached: x, the steps taken, and the norm of the residual they carried along."""

    solution: FloatArray
    iterations: int
    residual_norm: float


class Search(NamedTuple):
    """The accepted step, or zero; whether there is one; how many times the step was shrunk."""

    step: FloatArray
    accepted: bool
    backtracks: int


def conjugate_gradient(matvec: MatVec, b: ArrayLike, *, iterations: int, tolerance: float, damping: float) -> Solution:
    """x with (A + damping · I) x = b, by conjugate gradients from x = 0, where A v = matvec(v).

    Two distinct eigenvalues need two iterations; damping *adds* to each eigenvalue, so it shortens x:

    >>> conjugate_gradient(lambda v: [2.0, 4.0] * v, [2.0, 4.0], iterations=9, tolerance=1e-12, damping=0.0).solution.round(9)
    array([1., 1.])
    >>> conjugate_gradient(lambda v: 2.0 * v, [2.0, 4.0], iterations=9, tolerance=0.0, damping=2.0)
    Solution(solution=array([0.5, 1. ]), iterations=1, residual_norm=0.0)

    matvec      function  [P] → [P], v ↦ A v, A symmetric and A + damping · I positive definite
    b           [P]       the right-hand side, finite
    iterations  integer   ≥ 1, at most so many products with A
    tolerance   scalar    in [0, inf): stops once the 2-norm of the residual is no larger, in units of b; not relative
    damping     scalar    in [0, inf), in units of A
    returns     solution [P]; iterations taken, 0 where b is within the tolerance; residual_norm of the residual
                carried by the recursion, which rounding may part from that of b − (A + damping · I) x
    raises      ValueError if b is not [P], or a number is out of range; if matvec answers another shape, NaN or inf, or
                pᵀ(A + damping · I)p ≤ 0 for a direction p
    source      Hestenes & Stiefel 1952, eqs. (3:1); Schulman et al. 2015 (TRPO), appendix C
    """
    function("matvec", matvec)
    residual = _vector("b", b)
    limit = integer("iterations", iterations, 1)
    bound = scalar("tolerance", tolerance, "[0, inf)")
    damp = scalar("damping", damping, "[0, inf)")
    solution = np.zeros_like(residual)
    direction = residual
    exponent = taken = 0  # residual and direction are kept divided by 2^exponent
    with np.errstate(all="ignore"):
        while True:
            shift = _far_exponent(residual)
            residual, direction = np.ldexp(residual, -shift), np.ldexp(direction, -shift)
            exponent += shift
            square = _inner(residual, residual)
            norm = float(np.ldexp(math.sqrt(square), exponent))
            if norm <= bound or taken == limit:
                return Solution(solution, taken, norm)
            taken += 1
            image = _image(matvec, direction, damp)
            length = square / _curvature(direction, image, exponent, taken)
            solution = solution + np.ldexp(length * direction, exponent)
            residual = residual - length * image
            direction = residual + (_inner(residual, residual) / square) * direction


def fisher_vector_product(
    vector: ArrayLike,
    jacobian: ArrayLike,
    log_std: ArrayLike | None = None,
    log_std_jacobian: ArrayLike | None = None,
    *,
    damping: float,
) -> FloatArray:
    """(F + damping · I) v, F = (1/N) Σ_b s_b s_bᵀ from scores s_b, or of a Gaussian policy, exactly:

    F = (1/N) Σ_b [ J_bᵀ diag(1/σ_b²) J_b + 2 K_bᵀ K_b ], J_b = ∂μ/∂θ and K_b = ∂ log σ/∂θ in state b. With log_std the
    second form is meant; a wide policy has little information on its mean, and vᵀ F v is never negative:

    >>> fisher_vector_product([1.0, 1.0], [[1.0, 0.0], [0.0, 2.0]], damping=0.0)
    array([0.5, 2. ])
    >>> fisher_vector_product([1.0], [[[1.0]]], [[0.6931471805599453]], damping=0.0).round(9)
    array([0.25])
    >>> fisher_vector_product([1.0], [[[0.0]]], [[0.0]], [[[1.0]]], damping=0.5)
    array([2.5])

    vector            [P]                   v, in units of the parameters
    jacobian          [N, P] or [N, D, P]   scores without log_std, else the mean's J
    log_std           [N, D] or None        log σ of each state, finite, in nats
    log_std_jacobian  [N, D, P] or None     K; None stands for a log σ that does not depend on the parameters
    damping           scalar                in [0, inf)
    returns           [P]                   the gradient in w at w = v of the quadratic KL ½ wᵀ(F + damping · I) w
    raises            ValueError if shapes do not fit, data is NaN or not real, log_std is infinite, damping is out of
                      range, or log_std_jacobian comes without log_std
    source            Amari 1998; Schulman et al. 2015 (TRPO), appendix C
    """
    v = _vector("vector", vector)
    damp = scalar("damping", damping, "[0, inf)")
    with np.errstate(all="ignore"):
        rows, count = _fisher_rows(v, jacobian, log_std, log_std_jacobian)
        return np.asarray(total(rows * total(rows * v)[:, None], axis=0) / count + damp * v)


def natural_step(
    gradient: ArrayLike,
    matvec: MatVec,
    *,
    max_kl: float,
    iterations: int = 10,
    tolerance: float = 1e-10,
    damping: float = 0.0,
) -> FloatArray:
    """√(2 · max_kl / xᵀ(F + damping · I)x) · x, x = (F + damping · I)⁻¹ g by conjugate gradients.

    An ascent step: it points uphill along g and has quadratic KL ½ stepᵀ(F + damping · I) step = max_kl, whatever the
    length of g; parameters that hardly matter to the policy (small F) move further:

    >>> natural_step([1.0, 1.0], lambda v: [1.0, 4.0] * v, max_kl=0.625).round(9)
    array([1.  , 0.25])

    gradient               [P]       g, of the objective to be maximised, finite
    matvec                 function  [P] → [P], v ↦ F v, F symmetric and F + damping · I positive definite
    max_kl                 scalar    in (0, inf), in nats
    iterations, tolerance, damping   as in conjugate_gradient
    returns                [P]       in units of the parameters; 0 where g is 0 or its 2-norm is within the tolerance
    raises                 ValueError as conjugate_gradient, and if max_kl is out of range
    source                 Schulman et al. 2015 (TRPO), appendix C (their δ is our max_kl); Kakade 2002
    """
    budget = scalar("max_kl", max_kl, "(0, inf)")
    x, taken, _ = conjugate_gradient(
        matvec, _vector("gradient", gradient), iterations=iterations, tolerance=tolerance, damping=damping
    )
    if not np.any(x):
        return x
    with np.errstate(all="ignore"):
        exponent = _far_exponent(x)  # the step does not depend on the length of x
        x = np.ldexp(x, -exponent)
        curvature = _curvature(x, _image(matvec, x, damping), exponent, taken)
        return np.asarray(math.sqrt(budget) / math.sqrt(0.5 * curvature) * x)


def backtracking_search(
    evaluate: Callable[[FloatArray], tuple[Any, Any]], step: ArrayLike, *, max_kl: float, shrink: float, max_backtracks: int
) -> Search:
    """The first of step · shrink^k, k = 0, …, max_backtracks, with surrogate > the old surrogate AND kl ≤ max_kl.

    Both must hold; where no multiple passes, the old parameters come back, a step of 0:

    >>> backtracking_search(lambda d: (d[0], d[0] ** 2), [4.0], max_kl=1.0, shrink=0.5, max_backtracks=9)
    Search(step=array([1.]), accepted=True, backtracks=2)
    >>> backtracking_search(lambda d: (-d[0], d[0] ** 2), [4.0], max_kl=1.0, shrink=0.5, max_backtracks=9)
    Search(step=array([0.]), accepted=False, backtracks=9)

    evaluate        function  [P] → (surrogate, kl), two numbers, at old parameters + displacement; called at 0 first;
                              the surrogate is to be maximised, kl in nats; nan in either is never accepted
    step            [P]       the full step, finite, in units of the parameters
    max_kl          scalar    in (0, inf), in nats
    shrink          scalar    in (0, 1)
    max_backtracks  integer   ≥ 0
    returns         step [P], accepted, and backtracks, the k of the accepted step or max_backtracks where none is
    raises          ValueError if step is not [P], a number is out of range, or evaluate answers anything but two numbers
    source          Schulman et al. 2015 (TRPO), appendix C
    """
    function("evaluate", evaluate)
    full = _vector("step", step)
    budget = scalar("max_kl", max_kl, "(0, inf)")
    factor = scalar("shrink", shrink, "(0, 1)")
    limit = integer("max_backtracks", max_backtracks, 0)
    old, _ = _evaluated(evaluate, np.zeros_like(full))
    for k in range(limit + 1):
        tried = full * factor**k
        surrogate, kl = _evaluated(evaluate, tried)
        if surrogate > old and kl <= budget:
            return Search(tried, True, k)
    return Search(np.zeros_like(full), False, limit)


def _vector(name: str, value: ArrayLike) -> FloatArray:
    """The argument in float64, if it is one vector of finite numbers."""
    return sized_array(name, finite_array(name, value), "P", {})


def _far_exponent(x: FloatArray) -> int:
    """The power of two to divide x by: 0 while squares of its entries are safe, else what brings the largest near 1."""
    exponent = int(np.frexp(np.abs(x).max())[1])
    return exponent if abs(exponent) > 200 else 0


def _inner(x: FloatArray, y: FloatArray) -> float:
    """xᵀy."""
    return exact_sum((x * y).tolist())


def _image(matvec: MatVec, direction: FloatArray, damping: float) -> FloatArray:
    """(A + damping · I) p; matvec gets a copy, so that it cannot write into the recursion."""
    image = returned_array("matvec", matvec(direction.copy()), "vector", direction.shape)
    return finite_array("matvec", image) + damping * direction


def _curvature(direction: FloatArray, image: FloatArray, exponent: int, iteration: int) -> float:
    """pᵀ(A + damping · I)p of the shifted direction, if it is positive and finite; a message names the unshifted one."""
    curvature = _inner(direction, image)
    if not 0.0 < curvature < math.inf:
        found = float(np.ldexp(curvature, 2 * exponent))
        raise ValueError(f"matvec must be positive definite; got p'Ap = {found} at iteration {iteration}")
    return curvature


def _fisher_rows(
    vector: FloatArray, jacobian: ArrayLike, log_std: ArrayLike | None, log_std_jacobian: ArrayLike | None
) -> tuple[FloatArray, int]:
    """Rows r with N · F = Σ r rᵀ, and N: the scores, or J/σ and √2 · K of every state and dimension."""
    sizes = {"P": vector.size}
    if log_std is None:
        if log_std_jacobian is not None:
            raise ValueError("log_std must be given with log_std_jacobian; got None")
        rows = sized_array("jacobian", jacobian, "N P", sizes)
        return rows, len(rows)
    mean_rows = sized_array("jacobian", jacobian, "N D P", sizes)
    spread = sized_array("log_std", finite_array("log_std", log_std), "N D", sizes)
    rows = times_exp(mean_rows, -spread[..., None]).reshape(-1, vector.size)
    if log_std_jacobian is None:
        return rows, len(mean_rows)
    log_std_rows = sized_array("log_std_jacobian", log_std_jacobian, "N D P", sizes).reshape(rows.shape)
    return np.concatenate([rows, math.sqrt(2.0) * log_std_rows]), len(mean_rows)


def _evaluated(evaluate: Callable[[FloatArray], tuple[Any, Any]], displacement: FloatArray) -> tuple[float, float]:
    """The surrogate and the KL at a displacement, of which evaluate gets a copy."""
    answer = evaluate(displacement.copy())
    if not isinstance(answer, (tuple, list)) or len(answer) != 2:
        raise ValueError(f"evaluate must return two numbers, (surrogate, kl); got {answer!r}")
    surrogate, kl = (_number(name, value) for name, value in zip(("surrogate", "kl"), answer, strict=True))
    return surrogate, kl


def _number(name: str, value: object) -> float:
    """One number of the answer, nan and infinity included, from a scalar or an array without axes."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiu" or array.ndim != 0:
        raise ValueError(f"evaluate must return two numbers, (surrogate, kl); got {value!r} as {name}")
    return float(array)
