"""Normal densities, plain and squashed by tanh, their entropies, divergences and derivatives, at 50 digits.

What is irrational is returned as the Fraction of its first 50 digits, so that a comparison with it loses nothing in float64.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np

from properties._oracles import Exact, oracle

DIGITS = mpmath.MPContext()
DIGITS.dps = 50
_INVISIBLE = -3000
"""Numbers below 2^-3000 become 0: no float is near them."""


def as_fraction(value: Any) -> Fraction:
    """An mpf as a Fraction, digit for digit."""
    sign, mantissa, exponent, bits = value._mpf_
    if mantissa == 0 or exponent + bits < _INVISIBLE:
        return Fraction(0)
    size: Fraction = Fraction(int(mantissa)) * Fraction(2) ** int(exponent)
    return -size if sign else size


def in_digits(function: Callable[..., Any], *arrays: Any) -> Exact:
    """A function of numbers, entry by entry of arrays of one shape."""
    shape = np.shape(arrays[0])
    entries = zip(*(np.ravel(array).tolist() for array in arrays), strict=True)
    out = np.empty(int(np.prod(shape, dtype=int)), dtype=object)
    out[:] = [as_fraction(function(*(DIGITS.mpf(x) for x in entry))) for entry in entries]
    return out.reshape(shape)


def _log_density(action: Any, mean: Any, log_std: Any) -> Any:
    """log of exp(-(a - m)^2 / (2 s^2)) / sqrt(2 pi s^2)."""
    variance = DIGITS.exp(2 * log_std)
    return -((action - mean) ** 2) / (2 * variance) - DIGITS.log(2 * DIGITS.pi * variance) / 2


@oracle(
    method="mpmath at 50 digits",
    derivation="the density of N(m, s^2) in each coordinate, their product",
    identities="N(0, 1) at 0 is -log(2 pi)/2; (1; 0, log 2) is -1/8 - log 2 - log(2 pi)/2; coordinates add",
)
def gaussian_log_prob_by_digits(action: Any, mean: Any, log_std: Any) -> Exact:
    """The log-density of a normal distribution with independent coordinates, for every row."""
    return np.asarray(in_digits(_log_density, action, mean, log_std).sum(axis=-1))


@oracle(
    method="mpmath at 50 digits",
    derivation="Cover & Thomas 2006, example 8.1.2: (1/2) log(2 pi e s^2) in each coordinate",
    identities="two coordinates of s = 1: 1 + log(2 pi)",
)
def gaussian_entropy_by_digits(log_std: Any) -> Exact:
    """The entropy of a normal distribution with independent coordinates, for every row."""
    one = in_digits(lambda s: DIGITS.log(2 * DIGITS.pi * DIGITS.e * DIGITS.exp(s) ** 2) / 2, log_std)
    return np.asarray(one.sum(axis=-1))


def _divergence(mean: Any, log_std: Any, other_mean: Any, other_log_std: Any) -> Any:
    """The divergence of N(m, s^2) from N(m', s'^2), in one coordinate: log(s'/s) + (s^2 + (m - m')^2) / (2 s'^2) - 1/2."""
    variance, other = DIGITS.exp(2 * log_std), DIGITS.exp(2 * other_log_std)
    return DIGITS.log(other / variance) / 2 + (variance + (mean - other_mean) ** 2) / (2 * other) - DIGITS.mpf(1) / 2


@oracle(
    method="mpmath at 50 digits",
    derivation="Kullback & Leibler 1951 for two normal densities, coordinates added",
    identities="0 for equal arguments; means 0 and 1, s = 1: 1/2; s = 1 against 2: log 2 - 3/8",
)
def gaussian_kl_by_digits(mean: Any, log_std: Any, other_mean: Any, other_log_std: Any) -> Exact:
    """KL(N(mean, std) || N(other_mean, other_std)), for every row."""
    return np.asarray(in_digits(_divergence, mean, log_std, other_mean, other_log_std).sum(axis=-1))


def _log_squashed(pre_tanh: Any, mean: Any, log_std: Any, low: Any, high: Any) -> Any:
    """The log-density of low + (high - low)(tanh u + 1)/2: that of u, less log of the slope (high - low) / (2 cosh(u)^2)."""
    slope = (high - low) / 2 / DIGITS.cosh(pre_tanh) ** 2
    return _log_density(pre_tanh, mean, log_std) - DIGITS.log(slope)


@oracle(
    method="mpmath at 50 digits",
    derivation="Haarnoja et al. 2018, appendix C: the change of variables through tanh, and the box's width",
    identities="u = 0 in (-1, 1): that of u itself; the derivative of tanh is 1/cosh^2; a box twice as wide: less log 2",
)
def tanh_gaussian_log_prob_by_digits(pre_tanh: Any, mean: Any, log_std: Any, *, low: Any, high: Any) -> Exact:
    """The log-density of the squashed action, for every row."""
    box = [np.broadcast_to(end, np.shape(pre_tanh)) for end in (low, high)]
    return np.asarray(in_digits(_log_squashed, pre_tanh, mean, log_std, *box).sum(axis=-1))


@oracle(
    method="mpmath at 50 digits",
    derivation="Haarnoja et al. 2018, appendix C: low + (high - low)(tanh u + 1)/2",
    identities="u = 0 is the centre; u = log(3)/2 is three quarters of the way",
)
def tanh_action_by_digits(pre_tanh: Any, *, low: Any, high: Any) -> Exact:
    """The squashed action, entry by entry."""
    box = [np.broadcast_to(end, np.shape(pre_tanh)) for end in (low, high)]
    return in_digits(lambda u, a, b: a + (b - a) * (DIGITS.tanh(u) + 1) / 2, pre_tanh, *box)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "gaussian_log_prob": _log_density, "gaussian_kl": _divergence, "tanh_gaussian_log_prob": _log_squashed,
    "tanh_action": lambda u, a, b: a + (b - a) * (DIGITS.tanh(u) + 1) / 2,
}  # fmt: skip


@oracle(
    method="mpmath at 50 digits, by differences",
    derivation="the definition of a derivative, of the densities above",
    identities="d/da of N(0, 1) at 1 is -1; d/dm is 1; d/d log s is 0 at one standard deviation",
)
def derivative_by_digits(operator: str, place: int, *arrays: Any) -> Exact:
    """The derivative of one of the functions above in its argument number `place`, entry by entry.

    A central difference with h = 10^-20 is off by h^2 times a third derivative, and by rounding over h: 60 digits of 80 remain. The
    slope of tanh is 10^-260 at 300, hence so many digits there.
    """
    function = FUNCTIONS[operator]

    def slope(*point: Any) -> Any:
        with DIGITS.workdps(360 if operator == "tanh_action" else 80):
            h = DIGITS.mpf(10) ** -20
            ends = [[x + sign * h if i == place else x for i, x in enumerate(point)] for sign in (1, -1)]
            return (function(*ends[0]) - function(*ends[1])) / (2 * h)

    return in_digits(slope, *np.broadcast_arrays(*arrays))


def corners(dimensions: int) -> Any:
    """The 2^D rows of signs."""
    return np.array(list(itertools.product((-1.0, 1.0), repeat=dimensions)))
