"""The oracles of control variates against themselves, the quadrature they go with, and the gap that Q1 names."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest

from properties import CLAIMS, _control_variates_bias, _control_variates_coupling
from properties._oracles import exact
from properties._oracles.control_variates import (
    coupled_bias_of_a_gaussian,
    exponents,
    gaussian_moments,
    gaussian_policy_gradient,
    partial_moments,
    q_prop_by_fractions,
    second_moments,
    softmax_policy_gradient,
    total_variance,
)
from properties._ports import REFERENCE
from properties._quadrature import expectation, gauss_hermite, normal_moment, repeated, solved, whole_grid, whole_normal
from properties._run import HOLDS, PROFILES, run


def same(found: Any, due: Any) -> None:
    np.testing.assert_array_equal(np.asarray(found, dtype=object), np.asarray(due, dtype=object))


# ------------------------------------------------------------------------------------------------------------ quadrature
def test_normal_moments() -> None:
    assert [normal_moment(k) for k in range(9)] == [1, 0, 1, 0, 3, 0, 15, 0, 105]


@pytest.mark.parametrize("reach", range(1, 9))
def test_whole_rules_have_the_normals_moments(reach: int) -> None:
    rule = whole_normal(reach)
    for k in range(2 * reach + 2):
        assert sum(w * Fraction(z) ** k for z, w in zip(rule.nodes, rule.weights, strict=True)) == normal_moment(k)
    assert all(w >= 0 for w in rule.weights) == (reach <= 5)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_repeated_noise_is_an_expectation(dimensions: int) -> None:
    noise = repeated(2, dimensions)
    assert len(noise) == 12**dimensions
    for powers in exponents(dimensions, 5):
        due = math.prod(normal_moment(k) for k in powers)
        assert np.prod(noise**powers, axis=-1).sum() == due * len(noise)
    nodes, weights = whole_grid(2, dimensions)
    same((exact(nodes) ** 2 * np.array(weights, dtype=object)[:, None]).sum(axis=0), [1] * dimensions)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 10, 40])
def test_gauss_hermite_rules_are_exact_but_for_one_rounding(size: int) -> None:
    rule = gauss_hermite(size)
    for k in range(0, 2 * size, 2):
        found = sum(Fraction(w) * Fraction(z) ** k for z, w in zip(rule.nodes[:, 0], rule.weights, strict=True))
        assert abs(found - normal_moment(k)) <= Fraction(2) ** -53 * (k + 2) * normal_moment(k)
    assert gauss_hermite(size, 2).nodes.shape == (size**2, 2)
    assert abs(expectation(lambda z: z[:, 0] ** 2, gauss_hermite(3, 2)) - 1.0) <= 9 * 2.0**-53


def test_elimination_solves() -> None:
    assert solved([[Fraction(0), Fraction(2)], [Fraction(4), Fraction(0)]], [Fraction(1), Fraction(1)]) == [
        Fraction(1, 4),
        Fraction(1, 2),
    ]


# --------------------------------------------------------------------------------------------------------------- oracles
def test_gaussian_moments() -> None:
    first = gaussian_moments([0.0, 1.0, 0.0], 2, [3.0], [0.5])
    assert first == (3, [1], [0])
    second = gaussian_moments([0.0, 0.0, 1.0], 2, [3.0], [0.5])
    assert second == (Fraction(37, 4), [6], [Fraction(1, 2)])


def test_gaussian_policy_gradient() -> None:
    jacobian = np.array([[[2.0, -1.0]]])
    mean, std = np.zeros((1, 1)), np.ones((1, 1))
    same(gaussian_policy_gradient(np.array([[0.0, 1.0]]), 1, mean, std, jacobian, jacobian), [2, -1])
    same(gaussian_policy_gradient(np.array([[5.0, 0.0]]), 1, mean, std, jacobian, jacobian), [0, 0])


def test_softmax_policy_gradient() -> None:
    p = np.array([[0.25, 0.75]])
    same(softmax_policy_gradient(p, np.array([[1.0, 0.0]])), [Fraction(3, 16), Fraction(-3, 16)])
    same(softmax_policy_gradient(p, np.array([[8.0, 7.0]])), softmax_policy_gradient(p, np.array([[1.0, 0.0]])))
    same(softmax_policy_gradient(p, np.array([[2.0, 2.0]])), [0, 0])


def test_q_prop() -> None:
    batch = [np.array([[2.0]]), np.array([3.0]), np.array([5.0]), np.array([0.0]), np.array([[7.0]]), np.array([[[11.0]]])]
    same(q_prop_by_fractions(*batch), [6])
    same(q_prop_by_fractions(np.zeros((1, 1)), *batch[1:3], np.array([2.0]), *batch[4:]), [154])


def test_second_moments_and_variance() -> None:
    f = np.array([1.0, 2.0, 4.0])
    spread = second_moments(f, f, centered=True)
    assert spread.covariance == spread.variance == spread.other == Fraction(14, 9)
    assert second_moments(f, np.ones(3), centered=True)[:2] == (0, 0)
    balanced = np.array([-1.0, 0.0, 1.0])
    assert second_moments(balanced, balanced, centered=True) == second_moments(balanced, balanced, centered=False)
    assert total_variance(np.array([0.5, 0.5]), exact(np.array([[0.0], [1.0]]))) == Fraction(1, 4)
    assert total_variance(np.array([0.5, 0.5]), exact(np.ones((2, 3)))) == 0


def test_partial_moments_add_up() -> None:
    parts = [partial_moments(*ends, 3) for ends in ((-math.inf, 0.0), (0.0, 1.0), (1.0, math.inf))]
    for k in range(4):
        assert abs(sum(part[k] for part in parts) - normal_moment(k)) < Fraction(10) ** -48


@pytest.mark.parametrize(("rule", "times"), [("conservative", -1), ("aggressive", -2)])
def test_coupled_bias(rule: str, times: int) -> None:
    with mpmath.workdps(50):
        density = times * mpmath.npdf(1)
        for slope in (1.0, -1.0):
            found = coupled_bias_of_a_gaussian(1.0, slope, 1.0, rule=rule)
            assert abs(mpmath.mpf(found.numerator) / found.denominator - slope * density) < mpmath.mpf(10) ** -48
    assert coupled_bias_of_a_gaussian(0.0, 1.0, 1.0, rule=rule) == 0


# --------------------------------------------------------------------------------------------------------------- the gap
@pytest.mark.parametrize(
    "name",
    [
        "q_prop_gradient_is_unbiased_for_gaussian_policies",
        "q_prop_gradient_is_unbiased_node_by_node",
        "q_prop_gradient_is_unbiased_for_softmax_policies",
    ],
)
def test_the_derived_bound_of_unbiasedness_is_below_its_gap(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the cap at 1e-10 never decides: in float64 the derived bound alone says as much, and more."""
    bounds = []

    def seen(_: Any, error: Any) -> Any:
        bounds.append(float(np.max(error)))
        return error

    for module in (_control_variates_bias, _control_variates_coupling):
        monkeypatch.setattr(module, "capped", seen)
    assert run(CLAIMS[name], "q_prop_gradient", REFERENCE, PROFILES["ci"]).verdict == HOLDS
    assert 0 < max(bounds) <= _control_variates_bias.GAP
