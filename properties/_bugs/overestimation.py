"""Bugs of overestimation: the bound on a maximum's bias, the expected maximum, and the double estimate."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import ndtr

import reference
from properties._bugs._record import Behaves, Bug, Probe, probe
from properties._bugs.exploration import first_best, last_best


def _clarks(means: Any, deviations: Any, distribution: str) -> Any:
    """Clark 1961 one after the other, as if each maximum were normal."""
    if distribution == "uniform":
        return reference.expected_maximum(means, deviations, distribution)
    mean, variance = means[..., 0], deviations[..., 0] ** 2
    for k in range(1, means.shape[-1]):
        other, spread = means[..., k], deviations[..., k] ** 2
        a = np.sqrt(variance + spread)
        t = np.where(a > 0, (mean - other) / np.where(a > 0, a, 1), np.inf * np.sign(mean - other + (mean == other)))
        density = np.where(np.isfinite(t), np.exp(-t * t / 2) / np.sqrt(2 * np.pi), 0.0)
        first = mean * ndtr(t) + other * ndtr(-t) + a * density
        second = (mean**2 + variance) * ndtr(t) + (other**2 + spread) * ndtr(-t) + (mean + other) * a * density
        mean, variance = first, np.maximum(second - first**2, 0.0)
    return mean


def _simulated(means: Any, deviations: Any, distribution: str) -> Any:
    noise = np.random.default_rng(0).standard_normal((4000, means.shape[-1]))
    noise = 2 * ndtr(noise) - 1 if distribution == "uniform" else noise
    return np.mean([np.max(means + deviations * z, axis=-1) for z in noise], axis=0)


def _expected(change: str) -> Behaves:
    def expected(means: Any, deviations: Any, distribution: str) -> Any:
        if change == "largest deviation":
            deviations = np.broadcast_to(np.max(deviations, axis=-1, keepdims=True), deviations.shape)
        if change == "standard uniform" and distribution == "uniform":
            deviations = deviations * np.sqrt(3)
        if change == "variances":
            deviations = np.sqrt(deviations)
        return reference.expected_maximum(means, deviations, change if change in ("normal", "uniform") else distribution)

    return expected


BOUND: tuple[tuple[str, str, str, Behaves], ...] = (
    ("divided-by-m", "C / m for C / (m - 1)", "", lambda c, *, actions: np.sqrt(c / actions)),
    ("root-forgotten", "C / (m - 1) without the root", "", lambda c, *, actions: np.asarray(c) / (actions - 1)),
    ("sum-of-squares-for-their-mean", "C is taken for the sum of the squared errors, as the lecture prints it",
     "lecture-max-bias-sum-of-squares", lambda c, *, actions: np.sqrt(c / (actions * (actions - 1)))),
    ("root-of-the-error-only", "sqrt(C) / (m - 1)", "", lambda c, *, actions: np.sqrt(c) / (actions - 1)),
)  # fmt: skip
MAXIMUM: tuple[tuple[str, str, str, Behaves], ...] = (
    ("largest-mean", "the maximum of the expectations for the expectation of the maximum", "", lambda m, d, distribution: np.max(
        m, axis=-1)),
    ("always-normal", "uniform errors are taken for normal ones", "", _expected("normal")),
    ("half-width-for-the-deviation", "a uniform's half width is read as its standard deviation", "", _expected("standard uniform")),
    ("deviations-for-variances", "deviations are read as variances", "", _expected("variances")),
    ("largest-deviation-for-all", "every estimate gets the largest deviation of its row", "", _expected("largest deviation")),
    ("each-maximum-taken-for-normal", "Clark's two-variable formula one after the other, as if maxima were normal", "", _clarks),
    ("simulated", "the mean of four thousand draws for the expectation", "", _simulated),
)  # fmt: skip
DOUBLE: tuple[tuple[str, str, str, Behaves], ...] = (
    ("double-in-name-only", "selected and evaluated by the same estimate: its maximum", "dqn-called-double-but-max-on-target",
     lambda select, evaluate: evaluate.max(axis=-1)),
    ("maximum-of-the-selecting-estimate", "the choice is valued by the estimate that made it", "",
     lambda select, evaluate: select.max(axis=-1)),
    ("select-and-evaluate-change-places", "the evaluating estimate selects, the selecting one evaluates", "",
     lambda select, evaluate: reference.double_estimate(evaluate, select)),
    ("last-maximiser", "of equal maxima the last is chosen", "", lambda select, evaluate: (
        evaluate * last_best(select)).sum(axis=-1)),
    ("max-of-the-masked-row", "max of the row masked by the one-hot choice: a negative value becomes 0",
     "double-dqn-max-after-onehot-mask", lambda select, evaluate: (evaluate * first_best(select)).max(axis=-1)),
    ("all-maximisers-averaged", "the values of all equal maxima are averaged", "", lambda select, evaluate: (
        evaluate * reference.greedy(select)).sum(axis=-1)),
)  # fmt: skip
TABLES = {"max_bias_bound": BOUND, "expected_maximum": MAXIMUM, "double_estimate": DOUBLE}
BUGS = tuple(Bug(operator, *row) for operator, rows in TABLES.items() for row in rows)

MEANS, DEVIATIONS = np.array([[2.0, 3.0, 5.0], [7.0, 1.0, -2.0]]), np.array([[1.0, 3.0, 2.0], [0.5, 11.0, 13.0]])
"""The third question of the expected maximum has an answer near 0, where an approximation is seen in any type."""
PROBES: dict[str, tuple[Probe, ...]] = {
    "max_bias_bound": (probe(np.array([[2.0, 3.0], [5.0, 7.0]]), actions=11),),
    "expected_maximum": (
        probe(MEANS, DEVIATIONS, "uniform"),
        probe(MEANS, DEVIATIONS, "normal"),
        probe(np.full(16, -73 / 128), 2.0 ** -np.arange(16), "normal"),
    ),
    "double_estimate": (
        probe(
            np.array([[2.0, 11.0, 11.0], [5.0, 3.0, -7.0], [7.0, 5.0, 13.0]]),
            np.array([[17.0, -3.0, 2.0], [-19.0, 23.0, -29.0], [31.0, 37.0, 5.0]]),
        ),
    ),
}
OPEN: dict[str, str] = {}
