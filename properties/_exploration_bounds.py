"""The rounding errors of shares and softmaxes that may have infinite entries, and how such rows are drawn."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from properties._aggregates_bounds import softmax_error
from properties._bounds import Floats, gamma
from properties._draw import ROUGH, fractions_of_one, rows

SUTTON = "Sutton & Barto 2018, §2.2"
SOFTMAX = "Sutton & Barto 2018, eq. 2.11"
LECTURE = "Agrawal 2021, Computational Sensorimotor Learning, lecture 4"


def shares(q: Floats) -> Floats:
    """1/k on each of the k largest entries of a row."""
    best = q == q.max(axis=-1, keepdims=True)
    return np.asarray(best / best.sum(axis=-1, keepdims=True))


def boltzmann_error(unit: float, q: Floats, t: float) -> Floats:
    """The softmax's error among the finite entries; two roundings (a reciprocal and a product) of equal shares where nothing else
    counts: at t = inf, at t = 0, and where the largest entry is infinite. An entry of -inf has no share."""
    if math.isinf(t):
        return np.full(q.shape, float(gamma(2, unit)) / q.shape[-1])
    top = q.max(axis=-1, keepdims=True)
    even = gamma(2, unit) * shares(q)
    if t == 0:
        return np.asarray(even)
    finite = np.isfinite(q) & np.isfinite(top)
    weighed = np.where(np.isfinite(top), np.where(finite, 0.0, -np.inf), 0.0)
    return np.where(np.isfinite(top), softmax_error(unit, np.where(finite, q, 0.0), t, weighed), even)


def poked(q: Floats, infinite: float, every: int) -> Floats:
    """q with each `every`-th action of a row made infinite; 0 leaves q as it is."""
    out = q.copy()
    if infinite:
        out[..., ::every] = infinite
    return out


def infinite_rows(styles: tuple[str, ...] = ROUGH) -> st.SearchStrategy[Floats]:
    """Rows of values, +inf or -inf among them."""
    return st.builds(poked, rows(styles=styles), st.sampled_from([0.0, 0.0, 0.0, math.inf, -math.inf]), st.integers(1, 3))


def crowded_rows() -> st.SearchStrategy[Floats]:
    """Rows of which every second action is as good as the best, or worse by one millionth of it: a tie or none, but not all."""

    def crowd(q: Floats, gap: float) -> Floats:
        out = q.copy()
        out[..., ::2] = q.max(axis=-1, keepdims=True) * (1.0 - gap)
        return out

    return st.builds(crowd, rows(styles=ROUGH), st.sampled_from([2.0**-20, 0.0]))


EPSILON = {"epsilon": fractions_of_one(), "over": st.sampled_from(["all", "others"])}
