"""Linear-quadratic control in exact arithmetic: the average reward of a gain, and its derivative by dual numbers; and what the
surrogates need at 50 digits."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from properties._oracles import Exact, exact, oracle
from properties._oracles.gaussians import DIGITS, in_digits


@dataclass(frozen=True)
class Dual:
    """value + slope e, e^2 = 0: arithmetic on these carries a derivative along, exactly."""

    value: Fraction
    slope: Fraction

    def __add__(self, other: Any) -> Dual:
        a = _dual(other)
        return Dual(self.value + a.value, self.slope + a.slope)

    def __mul__(self, other: Any) -> Dual:
        a = _dual(other)
        return Dual(self.value * a.value, self.value * a.slope + self.slope * a.value)

    def __neg__(self) -> Dual:
        return Dual(-self.value, -self.slope)

    def __sub__(self, other: Any) -> Dual:
        return self + -_dual(other)

    def __truediv__(self, other: Any) -> Dual:
        a = _dual(other)
        return Dual(self.value / a.value, (self.slope * a.value - self.value * a.slope) / a.value**2)

    __radd__, __rmul__ = __add__, __mul__


def _dual(value: Any) -> Dual:
    return value if isinstance(value, Dual) else Dual(Fraction(value), Fraction(0))


class Regulator(NamedTuple):
    """x' = A x + B u + w, w ~ N(0, W), x_0 ~ N(0, S); reward -(x'Q x + u'R u); all matrices of Fractions (or Duals)."""

    dynamics: Any
    control: Any
    state_cost: Any
    control_cost: Any
    noise: Any
    start: Any
    discount: Fraction


def _solved(system: list[list[Any]], right: list[Any]) -> list[Any]:
    """Gauss-Jordan elimination; the systems below are diagonally dominant, so no pivot is 0."""
    rows = [[*row, value] for row, value in zip(system, right, strict=True)]
    for k in range(len(rows)):
        pivot = rows[k][k]
        rows[k] = [entry / pivot for entry in rows[k]]
        for i in range(len(rows)):
            if i != k:
                factor = rows[i][k]
                rows[i] = [a - factor * b for a, b in zip(rows[i], rows[k], strict=True)]
    return [row[-1] for row in rows]


def _fixed_point(closed: Any, constant: Any, discount: Fraction) -> Any:
    """X = constant + discount C X C', solved as a linear system."""
    n = len(closed)
    pairs = [(i, j) for i in range(n) for j in range(n)]
    system = [[_dual((i, j) == (k, m)) - closed[i, k] * closed[j, m] * discount for k, m in pairs] for i, j in pairs]
    out = np.empty((n, n), dtype=object)
    out.ravel()[:] = _each(_solved(system, [_dual(constant[i, j]) for i, j in pairs]))
    return out


def _each(items: list[Any]) -> Any:
    """An object array of one axis."""
    out = np.empty(len(items), dtype=object)
    for i, item in enumerate(items):
        out[i] = item
    return out


def _duals(matrix: Any, marked: tuple[int, int] | None = None) -> Any:
    """A matrix as Duals; the entry marked moves at rate 1."""
    entries = [Dual(value, Fraction(int(index == marked))) for index, value in np.ndenumerate(matrix)]
    return _each(entries).reshape(np.shape(matrix))


def _carried(system: Regulator) -> Regulator:
    """The same regulator in Duals, all of them constant."""
    return Regulator(
        **{name: _duals(part) for name, part in system._asdict().items() if name != "discount"}, discount=system.discount
    )


def _moments(system: Regulator, gain: Any) -> Any:
    """(1 - g) sum over t of g^t E x_t x_t', which solves M = (1 - g) S + g W + g C M C', C = A + B K."""
    closed = system.dynamics + system.control @ gain
    return _fixed_point(closed, (1 - system.discount) * system.start + system.discount * system.noise, system.discount)


def _reward(system: Regulator, gain: Any) -> Any:
    """(1 - g) E sum over t of g^t r_t = -trace((Q + K'R K) M)."""
    cost = system.state_cost + gain.T @ system.control_cost @ gain
    return -np.trace(cost @ _moments(system, gain))


def _values(matrix: Any) -> Exact:
    return np.asarray(_each([entry.value for entry in matrix.ravel()]).reshape(matrix.shape))


@oracle(
    method="fractions.Fraction, dual numbers",
    derivation="the definition of the discounted average reward, differentiated entry by entry of the gain",
    identities="one state, A = 0, B = R = 1, Q = 0, g = 0: -2 K S; the gradient is 0 where Q = R = 0",
)
def regulator_gradient_by_duals(system: Regulator, gain: Any) -> Exact:
    """d/dK of the discounted average reward of u = K x, [d, n]."""
    constant = _carried(system)
    slopes = [_reward(constant, _duals(gain, index)).slope for index in np.ndindex(gain.shape)]
    return np.asarray(_each(slopes).reshape(gain.shape))


@oracle(
    method="fractions.Fraction",
    derivation="the recursion of the second moments: (1 - g) sum of g^t E x_t x_t'",
    identities="g = 0 gives S; A = B = 0 gives (1 - g) S + g W",
)
def regulator_moments(system: Regulator, gain: Any) -> Exact:
    """The discounted average of x x', [n, n]."""
    return _values(_moments(_carried(system), _duals(gain)))


@oracle(
    method="fractions.Fraction",
    derivation="Bellman's equation: Q(x, u) = -(x'Q x + u'R u) - g (Ax + Bu)'P(Ax + Bu) + const, P of the gain K",
    identities="g = 0: -2 R K; the best gain has slope 0",
)
def regulator_action_slope(system: Regulator, gain: Any) -> Exact:
    """The matrix E with which the gradient in u of Q^K(x, u) at u = K x is E x, [d, n]."""
    closed = system.dynamics + system.control @ gain
    cost = system.state_cost + gain.T @ system.control_cost @ gain
    future = _values(_fixed_point(_duals(closed.T), _duals(cost), system.discount))
    rate = system.control_cost @ gain + system.discount * system.control.T @ future @ closed
    return np.asarray(-2 * rate)


def regulator(system: Any, discount: float) -> Regulator:
    """Six matrices of floats, exactly."""
    dynamics, control, state_cost, control_cost, noise, start = (exact(part) for part in system)
    return Regulator(dynamics, control, state_cost, control_cost, noise, start, Fraction(discount))


@oracle(
    method="fractions.Fraction",
    derivation="Silver et al. 2014, theorem 3: the normal equations of least squares, sum of J'J w = sum of J'g",
    identities="J = 1 gives the mean of g; g = J v gives J w = g",
)
def least_squares_by_fractions(jacobian: Any, slope: Any) -> Exact:
    """A weight w [P] that minimises the sum over b of |J_b w - g_b|^2; where several do, one that is 0 in the free coordinates."""
    flat, right = exact(jacobian).reshape(-1, np.shape(jacobian)[-1]), exact(slope).ravel()
    rows = [[*row, value] for row, value in zip(flat.T @ flat, flat.T @ right, strict=True)]
    found, free = {}, 0
    for column in range(len(rows)):
        pivot = next((r for r in range(free, len(rows)) if rows[r][column] != 0), None)
        if pivot is None:
            continue
        rows[free], rows[pivot] = rows[pivot], rows[free]
        rows[free] = [entry / rows[free][column] for entry in rows[free]]
        for r in range(len(rows)):
            if r != free:
                rows[r] = [a - rows[r][column] * b for a, b in zip(rows[r], rows[free], strict=True)]
        found[column], free = free, free + 1
    return np.asarray(_each([rows[found[c]][-1] if c in found else Fraction(0) for c in range(len(rows))]))


@oracle(
    method="mpmath at 50 digits",
    derivation="Schulman et al. 2017, eq. 6: the ratio of probabilities, exp of the difference of their logarithms",
    identities="0 gives 1; log 2 gives 2 to the rounding of log 2",
    shares_code_with="the oracles of gaussians: conversion of digits",
)
def ratios_by_digits(log_ratio: Any) -> Exact:
    """exp(log_ratio), entry by entry."""
    return in_digits(DIGITS.exp, log_ratio)


@oracle(
    method="mpmath at 50 digits, by differences",
    derivation="Schulman et al. 2017, eq. 7: the difference over 2h of min(rho A, clip(rho, 1 - c, 1 + c) A)",
    identities="A = 1 at ratio 1: sinh(h)/h; ratio 4, A = 1, c = 1/2: 0; ratio 4, A = -1: -4 sinh(h)/h",
    shares_code_with="the oracles of gaussians: conversion of digits",
)
def surrogate_slope_by_differences(log_ratio: Any, advantage: Any, clip: float, *, step: float) -> Exact:
    """The central difference of PPO's clipped surrogate in log_ratio, entry by entry."""

    def surrogate(x: Any, a: Any) -> Any:
        ratio, c = DIGITS.exp(x), DIGITS.mpf(clip)
        return min(ratio * a, min(max(ratio, 1 - c), 1 + c) * a)

    return in_digits(lambda x, a: (surrogate(x + step, a) - surrogate(x - step, a)) / (2 * step), log_ratio, advantage)


@oracle(
    method="mpmath at 50 digits",
    derivation="Haarnoja et al. 2018 (arXiv 1812.05905), eq. 18, in log alpha: -alpha (log pi + target entropy)",
    identities="log alpha = 0: -(log pi + target); it is its own derivative",
    shares_code_with="the oracles of gaussians: conversion of digits",
)
def temperature_loss_by_digits(log_prob: Any, *, log_coefficient: float, target_entropy: float) -> Exact:
    """-exp(log_coefficient) (log_prob + target_entropy), entry by entry."""
    return in_digits(lambda p: -DIGITS.exp(DIGITS.mpf(log_coefficient)) * (p + DIGITS.mpf(target_entropy)), log_prob)
