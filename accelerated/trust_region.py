"""Natural gradients within a trust region: conjugate gradients, Fisher products, the step and its line search."""

from collections.abc import Callable
from numbers import Real
from typing import NamedTuple

import torch
from torch import Tensor

from accelerated import _checks
from accelerated.policy_gradient import pulled_back

Matvec = Callable[[Tensor], Tensor]


class Solution(NamedTuple):
    solution: Tensor
    iterations: int
    residual_norm: float


class Search(NamedTuple):
    step: Tensor
    accepted: bool
    backtracks: int


def conjugate_gradient(matvec: Matvec, b: Tensor, *, iterations: int, tolerance: float, damping: float) -> Solution:
    """(A + damping·I) x = b from x = 0; A is symmetric, given by its products with vectors; [P] -> [P]."""
    _checks.function("matvec", matvec)
    _check_vector("b", b)
    return _solve(matvec, b.detach(), iterations, tolerance, damping)


@torch.no_grad()
def fisher_vector_product(
    vector: Tensor,
    jacobian: Tensor,
    log_std: Tensor | None = None,
    log_std_jacobian: Tensor | None = None,
    *,
    damping: float,
) -> Tensor:
    """(1/N) Σ s(s·v), s [N, P]; of Gaussians (1/N) Σ Jᵀ std⁻² Jv + 2 KᵀKv, J and K [N, D, P]; + damping·v; [P] -> [P]."""
    given = {"vector": vector, "jacobian": jacobian, "log_std": log_std, "log_std_jacobian": log_std_jacobian}
    data = {name: tensor for name, tensor in given.items() if tensor is not None}
    _checks.reals(**data)
    _checks.finite(vector=vector)
    damping = _checks.scalar("damping", damping, "[0, inf)")
    v = _checks.widened(vector)
    if log_std is None:
        if log_std_jacobian is not None:
            raise ValueError("log_std must be given with log_std_jacobian; got None")
        _checks.dimensions(data, "P", "NP")
        product = pulled_back(jacobian, _pushed(jacobian, v))
    else:
        _checks.dimensions(data, *("P", "NDP", "ND", "NDP")[: len(data)])
        _checks.finite(log_std=log_std)
        product = pulled_back(jacobian, _over_variance(_pushed(jacobian, v), _checks.widened(log_std)))
        if log_std_jacobian is not None:
            product = product + 2 * pulled_back(log_std_jacobian, _pushed(log_std_jacobian, v))
    return (product / len(jacobian) + damping * v).to(vector.dtype)


def natural_step(
    gradient: Tensor, matvec: Matvec, *, max_kl: float, iterations: int = 10, tolerance: float = 1e-10, damping: float = 0.0
) -> Tensor:
    """√(2·max_kl / xᵀ(F + damping·I)x)·x, x the solution for the gradient: its quadratic KL is max_kl; [P] -> [P]."""
    _checks.function("matvec", matvec)
    _check_vector("gradient", gradient)
    max_kl = _checks.scalar("max_kl", max_kl, "(0, inf)")
    x = _solve(matvec, gradient.detach(), iterations, tolerance, damping).solution
    if not bool(x.any()):
        return x
    scale = _power_of_two(x)
    curvature = torch.dot(x / scale, _damped(matvec, x, damping) / scale)
    if not curvature > 0:
        raise ValueError(f"matvec must be positive definite; got x'Fx = {(curvature * scale * scale).item()} at the solution x")
    return (2 * max_kl / curvature).sqrt() * (x / scale)


def backtracking_search(
    evaluate: Callable[[Tensor], tuple[float | Tensor, float | Tensor]],
    step: Tensor,
    *,
    max_kl: float,
    shrink: float,
    max_backtracks: int,
) -> Search:
    """The first step·shrinkᵏ with surrogate > that of no step, and kl <= max_kl; else no step; [P] -> [P]."""
    _checks.function("evaluate", evaluate)
    _check_vector("step", step)
    max_kl = _checks.scalar("max_kl", max_kl, "(0, inf)")
    shrink = _checks.scalar("shrink", shrink, "(0, 1)")
    max_backtracks = _checks.integer("max_backtracks", max_backtracks, minimum=0)
    nowhere = torch.zeros_like(step)
    before, _ = _numbers(evaluate(nowhere.clone()))
    for backtracks in range(max_backtracks + 1):
        tried = step.detach() * shrink**backtracks
        surrogate, kl = _numbers(evaluate(tried.clone()))
        if surrogate > before and kl <= max_kl:
            return Search(tried, True, backtracks)
    return Search(nowhere, False, max_backtracks)


def _check_vector(name: str, vector: Tensor) -> None:
    _checks.single_or_double(**{name: vector})
    _checks.dimensions({name: vector}, "P")
    _checks.finite(**{name: vector})


def _solve(matvec: Matvec, b: Tensor, iterations: int, tolerance: float, damping: float) -> Solution:
    """Products of two vectors are taken of their quotients by a power of two: then they neither over- nor underflow."""
    iterations = _checks.integer("iterations", iterations, minimum=1)
    enough = _checks.scalar("tolerance", tolerance, "[0, inf)")
    damping = _checks.scalar("damping", damping, "[0, inf)")
    limits = torch.finfo(b.dtype)
    enough = max(enough, limits.tiny / limits.eps)  # smaller residuals lose their digits: they are 0 but for that
    solution, residual, direction, done = torch.zeros_like(b), b, b, 0
    scale = _power_of_two(residual)
    square = torch.dot(residual / scale, residual / scale)
    norm = (scale * square.sqrt()).item()
    while norm > enough and done < iterations:
        image = _damped(matvec, direction, damping)
        curvature = torch.dot(direction / scale, image / scale)
        length = square / curvature
        solution = solution + length * direction
        residual = residual - length * image
        remaining = torch.dot(residual / scale, residual / scale)
        bend, norm = torch.stack([curvature, scale * remaining.sqrt()]).tolist()
        done += 1
        if not bend > 0:
            bend = (curvature * scale * scale).item()
            raise ValueError(f"matvec must be positive definite; got p'Ap = {bend} at iteration {done}")
        direction = residual + remaining / square * direction
        scale = _power_of_two(residual)
        square = torch.dot(residual / scale, residual / scale)
    return Solution(solution, done, norm)


def _power_of_two(vector: Tensor) -> Tensor:
    """Near its largest entry; a quotient by it is exact."""
    return (vector.abs().amax().frexp().exponent - 1).to(vector.dtype).exp2()


def _damped(matvec: Matvec, vector: Tensor, damping: float) -> Tensor:
    """The caller's function, in the caller's mode: it may need autograd."""
    return _checks.answer("matvec", matvec(vector.clone()), vector, "vector") + damping * vector


def _pushed(jacobian: Tensor, vector: Tensor) -> Tensor:
    """Jv, for each of the leading axes; a matrix-vector product, which no TF32 rounds."""
    return _checks.widened(jacobian).flatten(0, -2).mv(vector).reshape(jacobian.shape[:-1])


def _over_variance(change: Tensor, log_std: Tensor) -> Tensor:
    """No change counts for nothing, however small the variance."""
    return torch.where(change == 0, 0.0, change * (-2 * log_std).exp())


def _numbers(found: object) -> tuple[float, float]:
    if not (isinstance(found, tuple | list) and len(found) == 2):
        raise ValueError(f"evaluate must return (surrogate, kl); got {type(found).__name__}")
    surrogate, kl = (_number(name, value) for name, value in zip(("surrogate", "kl"), found, strict=True))
    return surrogate, kl


def _number(name: str, value: object) -> float:
    if isinstance(value, Tensor) and value.ndim == 0:
        return float(value.item())
    if isinstance(value, bool) or not isinstance(value, Real):
        what = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(f"evaluate must return numbers; got {what} as {name}")
    return float(value)
