"""Trust-region steps: conjugate gradients over conjugate bases of Krylov spaces, in fractions; roots at 50 digits.

Conjugate gradients stop where exact arithmetic does: where the residual is near the tolerance others may stop elsewhere, as the
bound allows. Functions are those of `_functions`: Linear, and the landscapes Tent and Raised. Data are finite.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

from properties._exact import DIGITS, Exact, digits, elementwise, exact_value, fraction, fractions
from properties._functions import Linear, Raised, Tent
from properties._oracles.trust_region import fisher_of_gaussians, fisher_of_scores


def _root(square: Any) -> Any:
    """The square root of a fraction, as a fraction where it is one; of squares far below every float, too."""
    numerator, denominator = math.isqrt(square.numerator), math.isqrt(square.denominator)
    if numerator**2 == square.numerator and denominator**2 == square.denominator:
        return Fraction(numerator, denominator)
    return DIGITS.sqrt(digits(square))


def _number(value: Any) -> Exact:
    """One number as an array without axes."""
    out = np.empty((), dtype=object)
    out[()] = value
    return out


# --------------------------------------------------------------------------------------------------- conjugate gradients
def _damped(matvec: Linear, damping: float) -> Exact:
    """A + damping I."""
    size = len(matvec.matrix)
    return np.asarray(fractions(matvec.matrix) + fractions(damping) * fractions(np.eye(size)))


def _conjugate(power: Exact, directions: list[tuple[Exact, Exact]]) -> Exact:
    """What is left of a vector without its parts along the directions p, each given with Ap (Gram and Schmidt)."""
    for p, image in directions:
        power = power - (power * image).sum() / (p * image).sum() * p
    return power


def _iterate(matrix: Exact, b: Exact, iterations: int, tolerance: float) -> tuple[Exact, int, Fraction]:
    """The first iterate whose residual is within the tolerance, or the last; its number; and the residual's square.

    The k-th minimises x'Ax/2 - b'x over span{b, Ab, ..., A^(k-1) b}: along conjugate directions p each by itself, at p'b / p'Ap.
    """
    x, power, directions = 0 * b, b, list[tuple[Exact, Exact]]()
    for taken in range(iterations + 1):
        residual = b - (matrix * x).sum(axis=-1)
        square = (residual * residual).sum()
        if square <= fraction(tolerance) ** 2 or taken == iterations:
            break
        p = _conjugate(power, directions)
        directions.append((p, (matrix * p).sum(axis=-1)))
        x = x + (p * b).sum() / (p * directions[-1][1]).sum() * p
        power = (matrix * power).sum(axis=-1)
    return x, taken, square


@exact_value("conjugate_gradient")
def conjugate_gradient(matvec: Linear, b: Any, *, iterations: int, tolerance: float, damping: float) -> tuple[Exact, Exact, Exact]:
    """The iterate, its number, and the norm of its residual."""
    x, taken, square = _iterate(_damped(matvec, damping), fractions(b), iterations, tolerance)
    return x, _number(taken), _number(_root(square))


@exact_value("natural_step")
def natural_step(
    gradient: Any, matvec: Linear, *, max_kl: float, iterations: int = 10, tolerance: float = 1e-10, damping: float = 0.0
) -> Exact:
    """sqrt(2 max_kl / x'(F + damping I) x) x, of the iterate x; 0 where x is 0."""
    matrix = _damped(matvec, damping)
    x, _, _ = _iterate(matrix, fractions(gradient), iterations, tolerance)
    form = (x * (matrix * x).sum(axis=-1)).sum()
    if not form:
        return x
    budget = 2 * fraction(max_kl) / form
    return elementwise(lambda entry: (-1 if entry < 0 else 1) * _root(budget * entry**2), x)


@exact_value("fisher_vector_product")
def fisher_vector_product(
    vector: Any, jacobian: Any, log_std: Any = None, log_std_jacobian: Any = None, *, damping: float
) -> Exact:
    """(F + damping I) v, of scores or of a normal policy."""
    if log_std is None:
        return np.asarray(fisher_of_scores(vector, jacobian, damping=damping))
    spread = np.zeros(np.shape(jacobian)) if log_std_jacobian is None else log_std_jacobian
    return np.asarray(fisher_of_gaussians(vector, jacobian, log_std, spread, damping=damping))


# ----------------------------------------------------------------------------------------------------------- line search
def _heights(landscape: Tent | Raised, displacement: Exact) -> tuple[Any, Any]:
    """Surrogate and kl at a displacement; NaN beyond the cliff, and in the fog."""
    tent, level = (landscape.tent, landscape.level) if isinstance(landscape, Raised) else (landscape, 0.0)
    t = (fractions(tent.direction) * displacement).sum()
    surrogate = math.nan if t > tent.cliff else min(t, 2 * fraction(tent.ridge) - t) + fraction(level)
    return surrogate, math.nan if t > tent.fog else fraction(tent.stiffness) * abs(t)


@exact_value("backtracking_search")
def backtracking_search(
    evaluate: Tent | Raised, step: Any, *, max_kl: float, shrink: float, max_backtracks: int
) -> tuple[Exact, Exact, Exact]:
    """The first multiple of the step that improves within max_kl, whether there is one, and how often it was shrunk."""
    displacement = fractions(step)
    before, _ = _heights(evaluate, 0 * displacement)
    for backtracks in range(max_backtracks + 1):
        surrogate, kl = _heights(evaluate, displacement)
        if surrogate > before and kl <= max_kl:
            return displacement, _number(True), _number(backtracks)
        displacement = fraction(shrink) * displacement
    return fractions(np.zeros(np.shape(step))), _number(False), _number(max_backtracks)
