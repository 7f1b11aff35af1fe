"""Exact values where fifty digits cancel, where data are infinite, and where an oracle says the same by other means."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest

from properties._exact import DIGITS, EXACT, correctly_rounded, digits, fraction, fractions
from properties._exact.precision import settled
from properties._functions import Linear, Raised, Tent
from properties._oracles.trust_region import krylov_minimiser

MANY = mpmath.MPContext()
MANY.dps = 1000
INF = math.inf


def relative(found: Any, due: Any) -> float:
    """How far a fraction is from a number of a thousand digits, relative to that."""
    number = fraction(found)
    return float(abs(MANY.mpf(number.numerator) / number.denominator / due - 1))


@pytest.mark.parametrize("u", [-1.0, -40.0, -60.0, -130.0, -300.0, -370.0])
def test_an_action_next_to_the_end_of_its_box_keeps_forty_digits(u: float) -> None:
    found = EXACT["tanh_action"](np.array([u]), low=0.0, high=1.0)
    grown = MANY.exp(2 * MANY.mpf(u))
    assert relative(found[0], grown / (1 + grown)) < 1e-39


@pytest.mark.parametrize("apart", [2.0**-10, 2.0**-60, 2.0**-300])
def test_a_divergence_next_to_zero_keeps_forty_digits(apart: float) -> None:
    zero, log_std = np.zeros(1), np.array([apart])
    x = 2 * MANY.mpf(apart)
    due = (MANY.expm1(x) - x) / 2
    assert relative(EXACT["gaussian_kl"](zero, log_std, zero, zero)[()], due) < 1e-39


def test_a_score_that_cancels_keeps_forty_digits() -> None:
    action, log_std = math.exp(-0.5), -0.5
    found = EXACT["gaussian_score"](np.array([action]), np.zeros(1), np.array([log_std]))[1]
    assert relative(found[0], MANY.mpf(action) ** 2 * MANY.e - 1) < 1e-39


@pytest.mark.parametrize("gap", [30.0, 200.0, 700.0])
def test_the_loss_of_a_certain_prediction_keeps_forty_digits(gap: float) -> None:
    logits, target = np.array([gap, 0.0]), np.array([1.0, 0.0])
    assert relative(EXACT["categorical_loss"](logits, target)[()], MANY.log1p(MANY.exp(-MANY.mpf(gap)))) < 1e-39
    slope = EXACT["categorical_loss_gradient"](logits, target)[0]
    assert relative(slope, -1 / (1 + MANY.exp(MANY.mpf(gap)))) < 1e-39


def test_what_is_zero_stays_zero() -> None:
    one = np.array([1.0, -2.0])
    assert EXACT["gaussian_kl"](one, one, one, one)[()] == 0
    assert list(EXACT["clipped_surrogate_gradient"](np.array([5.0, INF]), np.array([1.0, 0.0]), clip=0.25)) == [0, 0]


def test_digits_are_added_until_two_levels_agree() -> None:
    tried: list[int] = []

    def compute() -> Any:
        tried.append(DIGITS.dps)
        return np.array([DIGITS.exp(digits(-150.0)) + 1 - 1], dtype=object)

    assert relative(settled(compute, DIGITS)[0], MANY.exp(-150)) < 1e-39
    assert tried == [50, 100, 200, 400]
    assert DIGITS.dps == 50


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 4])
def test_conjugate_gradients_are_the_minimisers_over_krylov_spaces(steps: int) -> None:
    generator = np.random.default_rng(steps)
    for size in (1, 2, 4):
        root = generator.normal(size=(size, size))
        matrix, b = root @ root.T + np.eye(size), generator.normal(size=size)
        matrix = (matrix + matrix.T) / 2
        solution, taken, _ = EXACT["conjugate_gradient"](Linear(matrix), b, iterations=max(steps, 1), tolerance=0.0, damping=0.25)
        damped = fractions(matrix) + Fraction(1, 4) * fractions(np.eye(size))
        assert list(solution) == list(krylov_minimiser(damped, b, max(steps, 1)).point)
        assert taken[()] == min(max(steps, 1), size)


def test_conjugate_gradients_stop_at_the_tolerance() -> None:
    """b = (1, 2^-30), A = diag(1, 4): one step leaves a residual of about 3 2^-30, with whatever is smaller a second one."""
    system = (Linear(np.diag([1.0, 4.0])), np.array([1.0, 2.0**-30]))
    for tolerance, due in ((1.0, 1), (2.0**-28, 1), (2.0**-29, 2), (0.0, 2)):
        _, taken, norm = EXACT["conjugate_gradient"](*system, iterations=9, tolerance=tolerance, damping=0.0)
        assert (taken[()], fraction(norm[()]) <= Fraction(tolerance)) == (due, True)
    solved = EXACT["conjugate_gradient"](*system, iterations=9, tolerance=2.0, damping=0.0)
    assert [part.tolist() for part in solved[:2]] == [[0, 0], 0]


INFINITE = [
    ("polyak_update", ([INF, 1.0, INF], [1.0, -INF, -INF]), {"polyak_step": 0.5}, [INF, -INF, math.nan]),
    ("polyak_update", ([INF, 1.0], [1.0, -INF]), {"polyak_step": 1.0}, [1.0, -INF]),
    ("polyak_update", ([INF, 1.0], [1.0, -INF]), {"polyak_step": 0.0}, [INF, 1.0]),
    ("priority", ([INF, -INF, 0.0],), {"exponent": 0.5, "offset": 0.25}, [INF, INF, 0.5]),
    ("priority", ([INF, -INF, 0.0],), {"exponent": 0.0, "offset": 0.0}, [1.0, 1.0, 1.0]),
    ("reinforce_loss", ([-INF, -2.0, -INF], [1.0, INF, 0.0]), {}, [INF, INF, math.nan]),
    ("clipped_surrogate", ([INF, INF, -INF, -INF, INF], [1.0, -1.0, 1.0, -1.0, 0.0]), {"clip": 0.25}, [1.25, -INF, 0, -0.75, 0]),
    ("clipped_surrogate_gradient", ([INF, INF, -INF, -INF], [1.0, -1.0, 1.0, -1.0]), {"clip": 0.25}, [0.0, -INF, 0.0, 0.0]),
    ("soft_policy_loss", ([INF, 1.0], [2.0, -INF], [1.0, 1.0]), {"entropy_coefficient": 0.5}, [-1.5, INF]),
    ("temperature_loss", ([-INF, INF],), {"log_coefficient": 0.0, "target_entropy": 1.0}, [INF, -INF]),
    ("taylor_control_variate", ([[INF]], [[0.0]], [[-1.0]]), {}, [-INF]),
    ("mixed_gradient", ([[INF]], [2.0], [[3.0]], [[[1.0]]]), {"on_policy_fraction": 0.0}, [3.0]),
    ("mixed_gradient", ([[2.0]], [2.0], [[INF]], [[[INF]]]), {"on_policy_fraction": 1.0}, [4.0]),
    ("categorical_projection", ([0.0, 1.0, 3.0], [[0.5, 0.5, 0.0]] * 2, [INF, -INF], [False, True]), {"discount": 0.5},
     [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]),
]  # fmt: skip


@pytest.mark.parametrize(("operator", "arguments", "keywords", "due"), INFINITE)
def test_infinite_data_give_what_the_contract_says(operator: str, arguments: Any, keywords: Any, due: Any) -> None:
    found = correctly_rounded(EXACT[operator](*map(np.array, arguments), **keywords))
    np.testing.assert_array_equal(found, due)


def test_a_search_takes_the_first_multiple_that_improves_within_the_budget() -> None:
    """Along t the surrogate rises to 2 and falls; kl is |t|/2: of 8, 4, 2, 1 the first that is no worse than t = 0 is 2."""
    tent = Tent(np.array([1.0]), ridge=2.0, cliff=INF, fog=INF, stiffness=0.5)
    for landscape in (tent, Raised(tent, -64.0)):
        for max_kl, due in ((4.0, (2, True, 2)), (0.75, (1, True, 3)), (0.125, (0, False, 3))):
            found = EXACT["backtracking_search"](landscape, np.array([8.0]), max_kl=max_kl, shrink=0.5, max_backtracks=3)
            assert (found[0][0], found[1][()], found[2][()]) == due
    blind = tent._replace(cliff=-1.0)
    found = EXACT["backtracking_search"](blind, np.array([1.0]), max_kl=4.0, shrink=0.5, max_backtracks=1)
    assert (found[0][0], found[1][()], found[2][()]) == (0, False, 1)
