"""The oracles of exploration, overestimation, dueling, replay and categorical critics: each identity that its record claims."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from properties._oracles import exact
from properties._oracles.categorical import (
    cross_entropy_by_digits,
    cross_entropy_slope_by_differences,
    entropy_by_digits,
    projection_by_fractions,
    squared_cramer_distance,
)
from properties._oracles.dueling import dueling_by_fractions, dueling_slopes_by_differences
from properties._oracles.exploration import (
    entropy_objective_by_digits,
    epsilon_greedy_by_enumeration,
    factorised_noise_by_digits,
    greedy_by_enumeration,
    soft_maximum_by_digits,
)
from properties._oracles.overestimation import (
    expected_maximum_of_normals,
    expected_maximum_of_two_normals,
    expected_maximum_of_uniforms,
    expected_maximum_of_unit_normals,
)
from properties._oracles.priorities import found_by_walking, importance_weights_by_digits, priority_by_digits

Q = np.array([1.0, 4.0, 2.0])
THIRD, HALF = Fraction(1, 3), Fraction(1, 2)


def same(found: Any, due: Any) -> None:
    np.testing.assert_array_equal(np.asarray(found, dtype=object), np.asarray(due, dtype=object))


def close(found: Any, due: Any) -> None:
    """Equal as float64: the oracles carry 30 or 50 digits, `due` carries 16."""
    np.testing.assert_array_max_ulp(np.asarray(found, dtype=np.float64), np.asarray(due, dtype=np.float64), maxulp=4)


def test_greedy() -> None:
    same(greedy_by_enumeration(np.array([7.0])), [1])
    same(greedy_by_enumeration(np.ones(3)), [THIRD] * 3)
    same(greedy_by_enumeration(np.array([1.0, math.inf])), [0, 1])


@pytest.mark.parametrize("over", ["all", "others"])
def test_epsilon_greedy(over: str) -> None:
    same(epsilon_greedy_by_enumeration(Q, epsilon=0.3, over=over).sum(), 1)
    same(epsilon_greedy_by_enumeration(Q, epsilon=0.0, over=over), [0, 1, 0])
    same(epsilon_greedy_by_enumeration(Q[:1], epsilon=0.5, over=over), [1])
    due = [THIRD] * 3 if over == "all" else [HALF, 0, HALF]
    same(epsilon_greedy_by_enumeration(Q, epsilon=1.0, over=over), due)


def test_entropy_objective_and_its_maximum() -> None:
    same(entropy_objective_by_digits(np.array([0.0, 1.0, 0.0]), Q, temperature=2.0), 4)
    close(entropy_objective_by_digits(np.full(4, 0.25), np.array([1.0, 2.0, 3.0, 4.0]), temperature=2.0), 2.5 + 2 * math.log(4))
    same(soft_maximum_by_digits(Q[:1], temperature=3.0), 1)
    close(soft_maximum_by_digits(np.full(5, 2.0), temperature=3.0), 2 + 3 * math.log(5))


def test_factorised_noise() -> None:
    inside, out = np.array([4.0, -9.0]), np.array([1.0, -4.0])
    same(factorised_noise_by_digits(inside, out), [[2, -3], [-4, 6]])
    close(factorised_noise_by_digits(np.array([2.0]), np.array([3.0])) ** 2, [[6.0]])
    same(factorised_noise_by_digits(-inside, out), -factorised_noise_by_digits(inside, out))


def test_expected_maximum_of_uniforms() -> None:
    same(expected_maximum_of_uniforms([3.0], [2.0]), 3)
    same(expected_maximum_of_uniforms([1.0] * 4, [2.0] * 4), 1 + 2 * Fraction(3, 5))
    same(expected_maximum_of_uniforms([9.0, 1.0], [0.0, 2.0]), 9)


def test_expected_maximum_of_normals() -> None:
    close(expected_maximum_of_two_normals([0.0, 0.0], [1.0, 1.0]), 1 / math.sqrt(math.pi))
    same(expected_maximum_of_two_normals([1.0, 3.0], [0.0, 0.0]), 3)
    close(expected_maximum_of_normals([0.5, 0.25], [1.0, 7.0]), expected_maximum_of_two_normals([0.5, 0.25], [1.0, 7.0]))
    close(expected_maximum_of_normals([0.0] * 3, [1.0] * 3), 1.5 / math.sqrt(math.pi))


def test_expected_maximum_of_unit_normals() -> None:
    root = math.sqrt(math.pi)
    assert abs(expected_maximum_of_unit_normals(1)) < Fraction(1, 10**28)
    close(expected_maximum_of_unit_normals(2), 1 / root)
    close(expected_maximum_of_unit_normals(3), 1.5 / root)
    close(expected_maximum_of_unit_normals(5), 5 / root * (0.25 + 1.5 / math.pi * math.asin(1 / 3)))


def test_dueling() -> None:
    same(dueling_by_fractions(np.array([7.0]), np.array([[3.0]]), "mean"), [[7]])
    same(dueling_by_fractions(np.array(7.0), Q, "mean").sum(), 21)
    same(max(dueling_by_fractions(np.array(7.0), Q, "max")), 7)
    for baseline in ("mean", "max"):
        same(dueling_slopes_by_differences(np.array(7.0), Q, baseline).sum(axis=-1), [0, 0, 0])
        same(dueling_slopes_by_differences(np.array(7.0), Q[:1], baseline), [[0]])
    same(dueling_slopes_by_differences(np.array(7.0), Q, "mean"), exact(np.eye(3)) - THIRD)


def test_priorities() -> None:
    errors = np.array([0.0, -3.0])
    same(priority_by_digits(errors, exponent=0.0, offset=0.0), [1, 1])
    same(priority_by_digits(errors, exponent=1.0, offset=0.5), [HALF, Fraction(7, 2)])
    close(priority_by_digits(errors, exponent=0.5, offset=0.0) ** 2, [0.0, 3.0])


def test_importance_weights() -> None:
    odds = np.array([0.25, 0.75])
    for normalizer in ("batch", None):
        same(importance_weights_by_digits(odds, size=5, exponent=0.0, normalizer=normalizer), [1, 1])
    same(importance_weights_by_digits(np.full(2, 0.25), size=4, exponent=0.5, normalizer=None), [1, 1])
    close(importance_weights_by_digits(odds, size=2, exponent=1.0, normalizer="batch"), [1.0, 1 / 3])
    close(importance_weights_by_digits(odds, size=2, exponent=1.0, normalizer="memory", minimum_probability=0.125), [0.5, 1 / 6])


def test_walking_a_list() -> None:
    assert [found_by_walking([1.0, 0.0, 2.0], mass) for mass in (0.0, 0.5, 1.0, 2.0)] == [0, 0, 2, 2]


def test_projection() -> None:
    atoms, p, still = np.array([-1.0, 0.0, 3.0]), np.array([0.25, 0.25, 0.5]), (np.array(0.0), np.array(False))
    same(projection_by_fractions(atoms, p, *still, 1.0), exact(p))
    same(projection_by_fractions(atoms, p, np.array(0.7), np.array(False), 0.3).sum(), 1)
    same(projection_by_fractions(atoms[:1], np.ones(1), np.array(9.0), np.array(False), 0.5), [1])
    same(projection_by_fractions(atoms, p, np.array(math.inf), np.array(False), 1.0), [0, 0, 1])
    same(projection_by_fractions(atoms, p, np.array(1.5), np.array(True), 1.0), [0, HALF, HALF])


def test_cramer_distance() -> None:
    atoms = np.array([0.0, 2.0, 5.0])
    same(squared_cramer_distance(atoms, np.eye(3), np.eye(3)), [0, 0, 0])
    same(squared_cramer_distance(atoms, np.eye(3)[0], np.eye(3)[2]), 5)


def test_cross_entropy() -> None:
    target = np.array([0.25, 0.25, 0.5])
    close(cross_entropy_by_digits(np.ones(3), target), math.log(3))
    same(cross_entropy_by_digits(np.array([5.0]), np.ones(1)), 0)
    close(cross_entropy_by_digits(np.log(target), target), entropy_by_digits(target))
    slope = cross_entropy_slope_by_differences(np.ones(3), target)
    close(slope, 1 / 3 - target)
    assert abs(slope.sum()) < Fraction(1, 10**24)
    same(entropy_by_digits(np.array([0.0, 1.0])), 0)
    close(entropy_by_digits(np.full(4, 0.25)), math.log(4))
