"""The oracles of trust-region steps against themselves, and the carried radii of conjugate gradients against exact arithmetic."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from properties._oracles import exact
from properties._oracles.trust_region import (
    fisher_of_gaussians,
    fisher_of_scores,
    kl_hessian_of_gaussians,
    kl_hessian_of_softmax,
    krylov_minimiser,
    solution_by_elimination,
)
from properties._trust_region_bounds import System, a_posteriori, conjugate_gradient_radii, running

ONE = np.ones(1)
A = np.array([[4.0, 1.0, 0.0], [1.0, 3.0, 1.0], [0.0, 1.0, 5.0]])
B = np.array([1.0, 2.0, -3.0])


def same(found: Any, due: Any) -> None:
    np.testing.assert_array_equal(np.asarray(found, dtype=object), np.asarray(due, dtype=object))


def near(found: Any, due: Any) -> None:
    """Equal to what numerical differentiation at 50 digits leaves."""
    assert all(abs(f - d) < Fraction(10) ** -30 for f, d in zip(found, due, strict=True)), (found, due)


def test_fisher_matrices() -> None:
    same(fisher_of_scores(ONE, np.array([[3.0]]), damping=0.5), [Fraction(19, 2)])
    same(fisher_of_scores(ONE, np.array([[0.0]]), damping=0.5), [Fraction(1, 2)])
    one, none, flat = np.ones((1, 1, 1)), np.zeros((1, 1, 1)), np.zeros((1, 1))
    same(fisher_of_gaussians(ONE, one, flat, none, damping=0.0), [1])
    same(fisher_of_gaussians(ONE, none, flat, one, damping=0.0), [2])


def test_kl_hessians() -> None:
    near(kl_hessian_of_softmax(ONE, np.ones((1, 1)), np.ones((1, 1, 1)), np.ones((1, 1))), [0])
    half = np.array([[0.5, 0.5]])
    near(kl_hessian_of_softmax(ONE, half, np.array([[[1.0], [0.0]]]), np.zeros((1, 2))), [Fraction(1, 4)])
    one, none, flat = np.ones((1, 1, 1)), np.zeros((1, 1, 1)), np.zeros((1, 1))
    near(kl_hessian_of_gaussians(ONE, one, flat, none, flat + 3), [1])
    near(kl_hessian_of_gaussians(ONE, none, flat, one, flat), [2])


def test_krylov_minimisers() -> None:
    first = krylov_minimiser(A, B, 1).point
    b = exact(B)
    same(first, b * ((b * b).sum() / ((exact(A) * b).sum(axis=-1) * b).sum()))
    same(krylov_minimiser(A, B, 3).point, solution_by_elimination(A, B))
    assert krylov_minimiser(A, B, 3).squared_distance == 0
    same(krylov_minimiser(np.eye(3), B, 2).point, B)
    same(krylov_minimiser(A, np.zeros(3), 2).point, np.zeros(3))
    distances = [krylov_minimiser(A, B, k).squared_distance for k in (1, 2, 3)]
    assert distances == sorted(distances, reverse=True)


def test_elimination() -> None:
    same(solution_by_elimination(np.diag([2.0, 4.0]), np.ones(2)), [Fraction(1, 2), Fraction(1, 4)])
    same(solution_by_elimination(np.eye(3), B), B)


@pytest.mark.parametrize("unit", [2.0**-53, 2.0**-24])
def test_radii_hold_the_krylov_minimisers(unit: float) -> None:
    """The centres are exact but for float64's rounding, radii grow with the unit, and the smaller of both bounds is taken."""
    for k in (1, 2, 3):
        system = System(A, B, k, 0.0, 0.0)
        reached = running(unit, system)
        due = krylov_minimiser(A, B, k).point
        assert all(
            abs(Fraction(x) - d) <= Fraction(r)
            for x, d, r in zip(reached.solution.value, due, reached.solution.radius, strict=True)
        )
        radii = conjugate_gradient_radii(unit, system).solution
        assert np.all(radii <= a_posteriori(unit, system, reached.least)) and np.all(radii <= reached.solution.radius)
        assert np.all(radii < 2.0**14 * unit)
