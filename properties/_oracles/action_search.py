"""Elites picked one by one, and gradient steps in exact arithmetic."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from properties._oracles import Exact, exact, oracle
from properties._oracles.gaussians import DIGITS, as_fraction


@oracle(
    method="fractions.Fraction; square roots by mpmath at 50 digits",
    derivation="Rubinstein & Kroese 2004, ch. 5: mean and population deviation of the elite samples",
    identities="one elite: itself, 0; elites 0 and 2: 1 and 1",
    shares_code_with="the oracles of gaussians: conversion of digits",
)
def elite_moments(actions: Any, scores: Any, *, elites: int) -> tuple[Exact, Exact]:
    """Mean and population standard deviation of the elites of each row: the best score first, of equal ones the first."""
    size, dimensions = np.shape(actions)[-2:]
    flat, points = np.reshape(actions, (-1, size, dimensions)), np.reshape(scores, (-1, size)).tolist()
    mean, std = (np.empty((len(flat), dimensions), dtype=object) for _ in range(2))
    for i, row in enumerate(points):
        left, picked = list(range(size)), []
        for _ in range(elites):
            best = left[0]
            for j in left[1:]:
                best = j if row[j] > row[best] else best
            left.remove(best)
            picked.append(best)
        for d in range(dimensions):
            chosen = [Fraction(float(flat[i, j, d])) for j in picked]
            centre = sum(chosen, Fraction(0)) / elites
            variance = sum(((x - centre) ** 2 for x in chosen), Fraction(0)) / elites
            mean[i, d] = centre
            std[i, d] = as_fraction(DIGITS.sqrt(DIGITS.mpf(variance.numerator) / variance.denominator))
    shape = (*np.shape(actions)[:-2], dimensions)
    return mean.reshape(shape), std.reshape(shape)


@oracle(
    method="fractions.Fraction",
    derivation="Bertsekas 2016, eq. 3.17 (gradient projection): a <- clip(a + step H(x - a))",
    identities="no step: the start, clipped; D = 1, H = 1, step = 1: the centre, clipped",
)
def ascended(hessian: Any, centre: Any, start: Any, low: Any, high: Any, *, step_size: float, steps: int) -> tuple[Exact, Exact]:
    """Where `steps` steps up -(a - x)'H(a - x)/2 end, and the value there."""
    matrix, peak, floor, ceiling = exact(hessian), exact(centre), exact(low), exact(high)
    action = np.clip(exact(start), floor, ceiling)
    for _ in range(steps):
        gradient = ((peak - action)[..., None, :] * matrix).sum(axis=-1)
        action = np.clip(action + Fraction(step_size) * gradient, floor, ceiling)
    way = peak - action
    gradient = (way[..., None, :] * matrix).sum(axis=-1)
    return action, np.asarray(-(way * gradient).sum(axis=-1) * Fraction(1, 2))
