"""The oracles of gaussians, policy_gradient and action_search against themselves, and linear-quadratic control against them."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from properties._oracles import exact
from properties._oracles.action_search import ascended, elite_moments
from properties._oracles.gaussians import (
    derivative_by_digits,
    gaussian_entropy_by_digits,
    gaussian_kl_by_digits,
    gaussian_log_prob_by_digits,
    tanh_action_by_digits,
    tanh_gaussian_log_prob_by_digits,
)
from properties._oracles.policy_gradient import (
    Regulator,
    least_squares_by_fractions,
    ratios_by_digits,
    regulator,
    regulator_action_slope,
    regulator_gradient_by_duals,
    regulator_moments,
    surrogate_slope_by_differences,
    temperature_loss_by_digits,
)
from reference import linear_quadratic

LOG_2_PI = math.log(2 * math.pi)
ZERO, ONE = np.zeros(1), np.ones(1)


def same(found: Any, due: Any) -> None:
    np.testing.assert_array_equal(np.asarray(found, dtype=object), np.asarray(due, dtype=object))


def close(found: Any, due: Any) -> None:
    """Equal as float64: the oracles carry 50 digits, `due` carries 16."""
    np.testing.assert_array_max_ulp(np.asarray(found, dtype=np.float64), np.asarray(due, dtype=np.float64), maxulp=4)


def test_gaussian_log_prob() -> None:
    close(gaussian_log_prob_by_digits(ZERO, ZERO, ZERO), -LOG_2_PI / 2)
    close(gaussian_log_prob_by_digits(ONE, ZERO, np.log([2.0])), -1 / 8 - math.log(2) - LOG_2_PI / 2)
    close(gaussian_log_prob_by_digits(np.zeros(2), np.zeros(2), np.zeros(2)), -LOG_2_PI)


def test_gaussian_entropy() -> None:
    close(gaussian_entropy_by_digits(np.zeros(2)), 1 + LOG_2_PI)


def test_gaussian_kl() -> None:
    same(gaussian_kl_by_digits(ONE, ONE, ONE, ONE), 0)
    same(gaussian_kl_by_digits(ZERO, ZERO, ONE, ZERO), Fraction(1, 2))
    close(gaussian_kl_by_digits(ZERO, ZERO, ZERO, np.log([2.0])), math.log(2) - 3 / 8)


def test_squashed() -> None:
    box = {"low": -1.0, "high": 1.0}
    same(tanh_gaussian_log_prob_by_digits(ZERO, ONE, ZERO, **box), gaussian_log_prob_by_digits(ZERO, ONE, ZERO))
    wide = tanh_gaussian_log_prob_by_digits(ONE, ZERO, ZERO, low=-2.0, high=2.0)
    close(tanh_gaussian_log_prob_by_digits(ONE, ZERO, ZERO, **box) - wide, math.log(2))
    same(tanh_action_by_digits(ZERO, low=1.0, high=3.0), [2])
    close(tanh_action_by_digits(np.array([math.log(3) / 2]), low=0.0, high=4.0), [3.0])
    close(derivative_by_digits("tanh_action", 0, ONE, -1.0, 1.0), [1 / math.cosh(1) ** 2])


def test_derivatives_of_the_normal_density() -> None:
    close(derivative_by_digits("gaussian_log_prob", 0, ONE, ZERO, ZERO), [-1.0])
    close(derivative_by_digits("gaussian_log_prob", 1, ONE, ZERO, ZERO), [1.0])
    assert abs(derivative_by_digits("gaussian_log_prob", 2, ONE, ZERO, ZERO)[0]) < Fraction(1, 10**30)


def test_ratios_and_temperature() -> None:
    same(ratios_by_digits(ZERO), [1])
    close(ratios_by_digits(np.log([2.0])), [2.0])
    same(temperature_loss_by_digits(ONE, log_coefficient=0.0, target_entropy=2.0), [-3])


def test_slope_of_the_surrogate() -> None:
    h = 2.0**-40
    close(surrogate_slope_by_differences(ZERO, ONE, 0.5, step=h), [math.sinh(h) / h])
    log_four = 2 * np.log([2.0])
    same(surrogate_slope_by_differences(log_four, ONE, 0.5, step=h), [0])
    close(surrogate_slope_by_differences(log_four, -ONE, 0.5, step=h), [-4.0])


SCALAR: dict[str, Any] = {"state_cost": 0.0, "control_cost": 1.0, "noise": 0.0, "start": 2.0}


def scalar(*, discount: float = 0.0, dynamics: float = 0.0, **parts: float) -> Regulator:
    names = ("dynamics", "control", "state_cost", "control_cost", "noise", "start")
    given = {"dynamics": dynamics, "control": 1.0, **SCALAR, **parts}
    return regulator([np.array([[given[name]]]) for name in names], discount)


def test_regulator() -> None:
    gain = exact(np.array([[0.25]]))
    same(regulator_gradient_by_duals(scalar(), gain), [[-1]])
    same(regulator_gradient_by_duals(scalar(control_cost=0.0), gain), [[0]])
    same(regulator_action_slope(scalar(), gain), [[Fraction(-1, 2)]])
    same(regulator_moments(scalar(dynamics=0.5), gain), [[2]])
    still = regulator([np.array([[part]]) for part in (0.0, 0.0, 1.0, 1.0, 4.0, 2.0)], 0.5)
    same(regulator_moments(still, gain), [[3]])


def drawn(seed: int) -> tuple[linear_quadratic.LinearQuadratic, Any]:
    """A stable regulator of two states and two actions, dyadic."""
    generator = np.random.default_rng(seed)
    a, b, k = (generator.integers(-4, 5, (2, 2)) / scale for scale in (16.0, 4.0, 32.0))
    q, r, w, s = (m @ m.T + np.eye(2) for m in generator.integers(-4, 5, (4, 2, 2)) / 4.0)
    return linear_quadratic.LinearQuadratic(a, b, q, r, 0.75, w, s), k


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("deviation", [0.0, 0.5])
def test_linear_quadratic_control_is_the_exact_one(seed: int, deviation: float) -> None:
    """The closed-form gradient = the derivative of the objective by dual numbers; moments and slopes of Q likewise."""
    problem, gain = drawn(seed)
    parts = [problem.dynamics, problem.control, problem.state_cost, problem.control_cost, problem.noise_covariance]
    system = regulator([*parts, problem.start_covariance], problem.discount)
    noise = system.noise + exact(deviation) ** 2 * system.control @ system.control.T
    system, exactly = system._replace(noise=noise), exact(gain)
    states = np.eye(2)
    rate = regulator_action_slope(system, exactly)
    for found, due in (
        (linear_quadratic.state_second_moment(problem, gain, deviation=deviation), regulator_moments(system, exactly)),
        (linear_quadratic.objective_gradient(problem, gain, deviation=deviation), regulator_gradient_by_duals(system, exactly)),
        (linear_quadratic.action_gradient(problem, gain, states, states @ gain.T), rate.T),
        (rate @ regulator_moments(system, exactly), regulator_gradient_by_duals(system, exactly)),
    ):
        due = np.asarray(due, dtype=np.float64)
        assert np.abs(np.asarray(found, dtype=np.float64) - due).max() <= 2.0**-44 * np.abs(due).max()


def test_least_squares() -> None:
    jacobian = np.ones((3, 1, 1))
    same(least_squares_by_fractions(jacobian, np.array([[1.0], [2.0], [6.0]])), [3])
    jacobian = np.array([[[1.0, 2.0]], [[2.0, 4.0]]])
    weight = least_squares_by_fractions(jacobian, jacobian.sum(axis=2))
    same((exact(jacobian) * weight).sum(axis=2), exact(jacobian.sum(axis=2)))


def test_elites_and_ascent() -> None:
    mean, std = elite_moments(np.array([[0.0], [2.0], [9.0]]), np.array([1.0, 1.0, 0.0]), elites=2)
    same(mean, [1])
    same(std, [1])
    one = elite_moments(np.array([[0.0], [2.0]]), np.array([1.0, 1.0]), elites=1)
    same(one[0], [0])
    same(one[1], [0])
    land = (np.eye(1), np.array([5.0]), np.array([-9.0]), np.array([-1.0]), np.array([1.0]))
    same(ascended(*land, step_size=1.0, steps=0)[0], [-1])
    same(ascended(*land, step_size=1.0, steps=1)[0], [1])
