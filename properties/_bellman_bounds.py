"""What the rounding errors of the Bellman operators are made of: how many terms, of what size, through how many roundings.

Every count allows any order of summation and any association: the means over actions and next states one after the other, or as one
sum over (a, s') or (s', a'); gamma before or after the sum; r inside or outside it. Terms of probability 0 are exact zeros.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from properties._bounds import ELEMENTARY, Floats, gamma


# ------------------------------------------------------------------------------------------------------- the next state
def expected(transition: Any, table: Floats) -> Floats:
    """sum over s' of P(s'|s,a) table(s'), [S, A], for dense [S, A, S] and CSR [S*A, S]."""
    return np.asarray(_flat(transition) @ table).reshape(len(table), -1)


def reached(transition: Any, states: int, each: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
    """How many next states have P > 0, [S, A]; `each` [S] counts a next state so many times."""
    flat = _flat(transition)
    times = np.ones(states, dtype=np.int64) if each is None else each
    if hasattr(flat, "indptr"):
        flat = type(flat)(((flat.data > 0).astype(np.int64), flat.indices, flat.indptr), shape=flat.shape)
        return np.asarray(flat @ times).reshape(states, -1)
    return np.asarray((flat > 0) @ times).reshape(states, -1)


def furthest(transition: Any, table: Floats) -> Floats:
    """The largest table(s') >= 0 among the next states with P > 0, [S, A]."""
    flat = _flat(transition)
    if hasattr(flat, "indptr"):
        stored = np.where(flat.data > 0, table[flat.indices], 0.0)
        return np.asarray(np.maximum.reduceat(stored, flat.indptr[:-1])).reshape(len(table), -1)
    return np.asarray(np.where(flat > 0, table, 0.0).max(axis=1)).reshape(len(table), -1)


def _flat(transition: Any) -> Any:
    return transition if hasattr(transition, "indptr") else transition.reshape(-1, transition.shape[-1])


def leak(transition: Any, states: int) -> float:
    """How far at most a row of P sums to something else than 1 (tables hold thirds), and what finding out may lose."""
    sums = expected(transition, np.ones(states))
    return float(np.max(np.abs(sums - 1.0) + gamma(reached(transition, states), 2.0**-53)))


# ------------------------------------------------------------------------------------------------------------- backups
def sizes(value: Floats, transition: Any, reward: Floats, discount: float) -> Floats:
    """|r| + gamma P |V|, [S, A]: the absolute terms of R + gamma P V."""
    return np.abs(reward) + discount * expected(transition, np.abs(value))


def backup_error(unit: float, value: Floats, transition: Any, reward: Floats, discount: float) -> Floats:
    """gamma_(n+2) (|r| + gamma P |V|), n successors: n - 1 additions, a product with P, one with gamma, and r."""
    count = reached(transition, len(value))
    return gamma(count + 2, unit) * sizes(value, transition, reward, discount)


def supported(weight: Floats, table: Floats) -> Floats:
    """The largest table(s, a) >= 0 among the actions of weight > 0, [S]."""
    return np.asarray(np.where(weight > 0, table, 0.0).max(axis=-1))


def log_sum_error(unit: float, size: Floats, count: Any, log_mass: Any, temperature: float) -> Floats:
    """Of t log sum of rho exp(q/t) over `count` actions, |q| <= size, |log rho| <= log_mass =: L >= log count.

    LSE is 1-Lipschitz in the exponents, for errors of any size. Dividing first: u|q/t|, ELEMENTARY u L for log rho and u(|q/t| + L)
    for adding it, u(|q/t| + L) for the shift. Shifting first: 2u (max - q)/t, which moves the result by 2u L t at most, as scaling
    all exponents by 1 + 2u does. Then exp and the sum, (count + ELEMENTARY) u; log, ELEMENTARY u |log sum| with |log sum| <= L;
    adding the shift and the product with t, 2u size. The form in expm1 and log1p, which loses nothing at large t, passes
    max - result <= t L through count + 2 ELEMENTARY + 4 roundings. At t = 0 nothing is added, at t = inf a mean remains.
    """
    t = 0.0 if math.isinf(temperature) else temperature
    rounds = count + ELEMENTARY + (count + 2 * ELEMENTARY + 4) * log_mass
    return np.asarray(gamma(count + 4, unit) * size + t * gamma(rounds, unit))


def expectile_error(unit: float, mean: Floats, largest: Floats, count: Any, level: float) -> Floats:
    """Of an expectile of `count` values whose sizes have this mean and this maximum: gamma_(n+8) (c mean + largest).

    The balance level sum w (x - m)+ - (1 - level) sum w (m - x)+ has n terms of n + 2 roundings, five for x - m, two weights
    multiplied and 1 - level among them; its slope is at least min(level, 1 - level) sum w, so a term's error reaches m with factor
    c = max/min of (level, 1 - level) at most. A form that starts from a neighbouring value also rounds at that value's size.
    """
    c = max(level, 1.0 - level) / min(level, 1.0 - level)
    return np.asarray(gamma(count + 8, unit) * (c * mean + largest))


# ------------------------------------------------------------------------------------------------------------- solvers
def solve_error(unit: float, states: int, actions: int, largest: float, discount: float) -> float:
    """(2 gamma_(3S) (1 + (S-1) gamma) + gamma_(S+A+4)) max pi.|r| / (1 - gamma)^2: the factors of Gauss, and forming the system.

    A V that satisfies its equation up to e is within e/(1 - gamma) of the solution, and max|V| <= max pi.|r| / (1 - gamma). Forming
    R^pi and I - gamma P^pi costs S + A + 4 roundings of terms of that size. Elimination solves (A + E)V = b with
    |E| <= gamma_(3S) |L||U| (Higham 2002, theorem 9.4). The Schur complements of A keep signs, diagonals of at most 1 and the gap
    1 - gamma by which the diagonal dominates its row, so that each entry eliminated is at most gamma, each row of U sums to at most
    twice its pivot, and |L||U| to at most 2 (1 + (S-1) gamma).
    """
    rounds = gamma(3 * states, unit) * 2 * (1 + (states - 1) * discount) + gamma(states + actions + 4, unit)
    return float(rounds * largest / (1.0 - discount) ** 2)


def sweeps_error(unit: float, transition: Any, reward: Floats, discount: float) -> float:
    """Of any number of sweeps from 0: gamma_(n+2) max|r| / (1 - gamma)^2: each adds its error and keeps gamma of the rest."""
    rounds = gamma(reached(transition, len(reward)).max() + 2, unit)
    return float(rounds * np.abs(reward).max() / (1.0 - discount) ** 2)


def certified_error(unit: float, transition: Any, reward: Floats, discount: float, tolerance: float, max_iterations: int) -> float:
    """The certificate of an iteration that has stopped, and its rounding.

    It stopped with a certificate <= tolerance, itself of five roundings, on iterates as they were rounded, where
    |V_k - V*| <= gamma/(1 - gamma) |V_k - V_(k-1)| + error of a sweep / (1 - gamma); or after k sweeps from 0, where without
    rounding |V_k - V*| <= gamma^k |V*| <= gamma^k/(1 - gamma) max|r|.
    """
    at_the_end = discount**max_iterations / (1.0 - discount) * float(np.abs(reward).max())
    stopped = max(tolerance, at_the_end) * (1.0 + float(gamma(5, unit)))
    return stopped + sweeps_error(unit, transition, reward, discount)
