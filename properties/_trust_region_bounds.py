"""What rounding does to conjugate gradients and to the natural step, carried along the recurrence or read off the residual.

Two bounds on the solution, both about the iterate at which exact arithmetic stops; the smaller one counts.

Running: each quantity of Hestenes and Stiefel's recurrence goes with a radius, and each operation adds the radii of its operands
and its own roundings. Sharp for a few iterations, and without end once the residual is of the size of its own radius.
A posteriori: x is off by |A^-1| times its residual. The one that the recurrence carries is at most the tolerance, or what the
iterations allow: a step is at least as good as one of steepest descent, whose A-norm error shrinks by (k - 1)/(k + 1), k the
condition number. b - Ax departs from it by what each step rounds.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from properties._bounds import UNIT, Floats, gamma


class Ball(NamedTuple):
    """A number or vector and how far a computed one may be from it."""

    value: Any
    radius: Any

    @property
    def size(self) -> Any:
        """The largest that a computed one may be."""
        return np.abs(self.value) + self.radius


def _product(unit: float, x: Ball, y: Ball) -> Ball:
    """x y, rounded once."""
    off = np.abs(x.value) * y.radius + x.radius * y.size
    return Ball(x.value * y.value, off + unit * x.size * y.size)


def _sum(unit: float, x: Ball, y: Ball) -> Ball:
    """x + y, rounded once."""
    value, off = x.value + y.value, x.radius + y.radius
    return Ball(value, off + unit * (np.abs(value) + off))


def _dot(unit: float, x: Ball, y: Ball) -> Ball:
    """x'y in any order: P products and P - 1 additions, and four more for a square root taken and squared again."""
    off = np.abs(x.value) @ y.radius + x.radius @ y.size
    return Ball(x.value @ y.value, off + gamma(len(x.value) + 4, unit) * (x.size @ y.size))


def _quotient(unit: float, x: Ball, y: Ball) -> Ball:
    """x / y, rounded once; without bound where y may be 0."""
    if not y.radius < y.value:
        return Ball(x.value / y.value if y.value else 0.0, np.inf)
    value = x.value / y.value
    off = (x.radius + np.abs(value) * y.radius) / (y.value - y.radius)
    return Ball(value, off + unit * (np.abs(value) + off))


class System(NamedTuple):
    """A linear system whose matrix is given by products: A, damping and b, and how it is to be solved."""

    matrix: Floats
    b: Floats
    iterations: int
    tolerance: float
    damping: float

    @property
    def damped(self) -> Floats:
        """A + damping I."""
        return np.asarray(self.matrix + self.damping * np.eye(len(self.b)))

    def image(self, unit: float, p: Ball) -> Ball:
        """(A + damping I) p: P products and sums in any order, the damping's product and sum."""
        size = np.abs(self.matrix) + self.damping * np.eye(len(self.b))
        return Ball(self.damped @ p.value, np.abs(self.damped) @ p.radius + gamma(len(self.b) + 2, unit) * (size @ p.size))


class Reached(NamedTuple):
    """Where exact arithmetic stops, with the radii of a computed run; the least residual norm on the way, radius included; and
    whether rounding may make a run stop elsewhere."""

    solution: Ball
    norm: Ball
    least: float
    doubtful: bool


def running(unit: float, system: System) -> Reached:
    """Hestenes and Stiefel's recurrence with radii."""
    zero = np.zeros_like(system.b)
    x, r = Ball(zero, zero), Ball(system.b, zero)
    p, square, done, least, doubtful = r, _dot(unit, r, r), 0, np.inf, False
    while True:
        norm = _root(unit, square)
        least = float(np.fmin(least, norm.size))
        if done == system.iterations:
            return Reached(x, norm, least, doubtful)
        doubtful = doubtful or not abs(norm.value - system.tolerance) > norm.radius
        if norm.value <= system.tolerance:
            return Reached(x, norm, least, doubtful)
        image = system.image(unit, p)
        length = _quotient(unit, square, _dot(unit, p, image))
        x = _sum(unit, x, _product(unit, length, p))
        r = _sum(unit, r, _product(unit, Ball(-length.value, length.radius), image))
        before, square, done = square, _dot(unit, r, r), done + 1
        p = _sum(unit, r, _product(unit, _quotient(unit, square, before), p))


def _root(unit: float, square: Ball) -> Ball:
    """The square root: off by radius / root, and by no more than the root of the radius."""
    root = float(np.sqrt(max(square.value, 0.0)))
    off = np.sqrt(square.radius)
    if root > 0:
        off = min(off, square.radius / root)
    return Ball(root, off + 2 * unit * (root + off))


MARGIN = 2.0**-20
"""More than rounding may do to eigenvalues and norms in float64: solvers are off by p^2 u of the largest at most (Golub & Van Loan
2013, §8.1), less than 2^-40 here, and condition numbers are below 2^10."""


class Spectrum(NamedTuple):
    """What the eigenvalues of A + damping I promise: the residual after at most `steps` iterations, the last that are needed."""

    least: float
    most: float
    residual: float
    steps: int


def spectrum(system: System) -> Spectrum:
    """The residual is at most root(k) times what steepest descent leaves, or the tolerance where that comes first."""
    values = np.linalg.eigvalsh(system.damped)
    least, most = float(values[0]), float(values[-1])
    shrink = (most - least) / (most + least) + MARGIN
    reach = np.sqrt(most / least) * np.linalg.norm(system.b) * shrink ** np.arange(system.iterations + 1)
    steps = int(np.argmax(reach <= system.tolerance)) if np.any(reach <= system.tolerance) else system.iterations
    return Spectrum(least, most, max(system.tolerance, float(reach[steps])), steps)


def drift(unit: float, system: System) -> float:
    """How far b - Ax may depart from the residual that the recurrence carries, in the 2-norm.

    Each step rounds x (the sum, and the product in it), r (likewise), and A p. Iterates grow towards the solution (Steihaug 1983),
    so that a step is at most twice as long as that, and steps shrink like the error does. All of it is of first order in u; what
    that leaves out is less than a thousandth of it.
    """
    known = spectrum(system)
    condition = np.sqrt(known.most / known.least)
    far = float(np.linalg.norm(np.linalg.solve(system.damped, system.b)))
    slow = (known.most - known.least) / (known.most + known.least)
    moved = 2 * far * min(known.steps, condition / (1 - slow))
    product = float(gamma(len(system.b) + 5, unit)) * float(np.linalg.norm(np.abs(system.matrix), 2) + system.damping)
    rounded = unit * known.steps * (known.most * far + condition * float(np.linalg.norm(system.b)))
    return float((rounded + (2 * unit * known.most + product) * moved) * (1 + 2.0**-10))


def a_posteriori(unit: float, system: System, least: float) -> float:
    """|A^-1| times the residual carried, at most `least` again after it was reached, and its drift; the residual counts twice,
    because the exact iterate has one, too."""
    known = spectrum(system)
    carried = min(known.residual, max(system.tolerance, np.sqrt(known.most / known.least) * least))
    return float((2 * carried + drift(unit, system)) / known.least)


class Radii(NamedTuple):
    """Errors of solution, iterations, and residual norm."""

    solution: Floats
    iterations: float
    norm: float


def conjugate_gradient_radii(unit: float, system: System) -> Radii:
    """The smaller of both bounds on the solution; the count is exact unless rounding may decide when to stop."""
    if not np.any(system.b):
        return Radii(np.zeros_like(system.b), 0.0, 0.0)
    reached = running(unit, system)
    after = np.full_like(system.b, a_posteriori(unit, system, reached.least))
    if reached.doubtful:
        return Radii(after, np.inf, np.inf)
    return Radii(np.fmin(reached.solution.radius, after), 0.0, float(reached.norm.radius))


def turned(system: System, max_kl: float, off: float) -> float:
    """How far apart two vectors are, both of quadratic KL max_kl, that are `off` apart before they are scaled to it, in the 2-norm.

    Two vectors e apart, scaled to length 1, are at most 2 e / |x| apart (Dunkl & Williams 1964), and never more than 2. Lengths are
    in the norm of A here, and the 2-norm is at most that over the root of the least eigenvalue.
    """
    x = running(UNIT["float64"], system).solution.value
    values = np.linalg.eigvalsh(system.damped)
    apart = 2 * np.sqrt(values[-1]) * off / np.sqrt(x @ system.damped @ x)
    return float(min(2.0, apart) * np.sqrt(2 * max_kl / values[0]))


def scale_error(unit: float, system: System, x: Floats) -> float:
    """The relative error of sqrt(2 max_kl / x'Ax): x'Ax is off by gamma_(2P+6) |x|'|A||x|, of which the root takes half; the whole
    for what that leaves out; eight roundings for 2 max_kl, quotient, root, and product."""
    absolute = np.abs(x) @ (np.abs(system.matrix) + system.damping * np.eye(len(x))) @ np.abs(x)
    return float(gamma(2 * len(x) + 6, unit) * absolute / (x @ system.damped @ x) + 8 * unit)


def natural_step_radius(unit: float, system: System, max_kl: float) -> Floats:
    """The error of the direction, turned into that of a vector of fixed length; then the rounding of the scale."""
    x, off = running(unit, system).solution.value, conjugate_gradient_radii(unit, system).solution
    if not np.any(x):
        return np.zeros_like(x)
    away = turned(system, max_kl, float(np.linalg.norm(off)))
    step = np.abs(x) * np.sqrt(2 * max_kl / (x @ system.damped @ x))
    return np.asarray(away + scale_error(unit, system, x) * (step + away))
