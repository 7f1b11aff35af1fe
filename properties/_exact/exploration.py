"""Policies that explore, in fractions, and at 50 digits where there is an exp or a root."""

from __future__ import annotations

from typing import Any

import numpy as np

from properties._exact import DIGITS, Exact, along_last, digits, exact_value
from properties._exact._exponentials import even, shares
from properties._exact.precision import settled
from properties._oracles.exploration import epsilon_greedy_by_enumeration, greedy_by_enumeration


@exact_value("greedy")
def greedy_policy(q: Any) -> Exact:
    """Evenly over the maximisers."""
    return np.asarray(greedy_by_enumeration(q))


@exact_value("epsilon_greedy")
def epsilon_greedy(q: Any, *, epsilon: float, over: str = "all") -> Exact:
    """The two-stage experiment: a maximiser, then with chance epsilon another action of all, or of all but it."""
    return np.asarray(epsilon_greedy_by_enumeration(q, epsilon=epsilon, over=over))


@exact_value("boltzmann")
def boltzmann(q: Any, *, temperature: float) -> Exact:
    """Sutton & Barto 2018, eq. 2.11."""
    return along_last(lambda row: shares(row, even(len(row)), temperature), q)


def _root(x: float) -> Any:
    """sign(x) sqrt|x|."""
    size = DIGITS.sqrt(digits(abs(x)))
    return -size if x < 0 else size


def _outer(inside: list[float], outside: list[float]) -> list[Any]:
    """f(out) f(in), row by row."""
    return [_root(o) * _root(i) for o in outside for i in inside]


@exact_value("factorised_noise")
def factorised_noise(noise_in: Any, noise_out: Any) -> Exact:
    """Fortunato et al. 2018, eq. 10."""
    return along_last(_outer, noise_in, noise_out).reshape(*np.shape(noise_out), np.shape(noise_in)[-1])


@exact_value("noisy_linear")
def noisy_linear(x: Any, weight: Any, weight_scale: Any, bias: Any, bias_scale: Any, noise_in: Any, noise_out: Any) -> Exact:
    """Fortunato et al. 2018, eqs. 9 to 11."""
    tables = [np.asarray(a, dtype=np.float64).tolist() for a in (weight, weight_scale, bias, bias_scale, noise_in, noise_out)]
    return along_last(lambda row: list(settled(lambda: _layer(row, *tables), DIGITS)), x)


def _layer(row: list[float], weight: Any, weight_scale: Any, bias: Any, bias_scale: Any, *noise: list[float]) -> tuple[Any, ...]:
    """The layer's outputs for one input."""
    inside, outside = ([_root(e) for e in each] for each in noise)

    def unit(o: int, e: Any) -> Any:
        terms = [(digits(weight[o][i]) + digits(weight_scale[o][i]) * e * f) * digits(row[i]) for i, f in enumerate(inside)]
        return DIGITS.fsum([*terms, digits(bias[o]), digits(bias_scale[o]) * e])

    return tuple(unit(o, e) for o, e in enumerate(outside))
