"""The oracles against themselves: each identity that its record claims, on numbers that a reader can check."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from properties._oracles import ORACLES, exact
from properties._oracles.aggregates import (
    draws,
    expectation_over_draws,
    expected_maximum_by_order_statistics,
    exponential_weights_by_digits,
    improved_policy_by_digits,
    kl_objective_by_digits,
    log_mean_exp_by_digits,
    soft_value_by_digits,
    softmax_by_digits,
)
from properties._oracles.dynamic_programming import (
    joint_expectiles_by_fractions,
    optimum_by_fractions,
    optimum_by_linear_program,
    policy_value_by_fractions,
    q_by_fractions,
)
from properties._oracles.expectiles import best_supported_value, expectile_by_balance
from properties._oracles.returns import advantages_by_sum, lambda_returns_by_mixture, n_step_by_window

Q = np.array([1.0, 4.0, 2.0])
MU = np.array([0.25, 0.25, 0.5])
FOREVER = (np.ones((1, 1, 1)), np.ones((1, 1)))
TWO = (np.array([[[0.0, 1.0], [1.0, 0.0]], [[0.0, 1.0], [0.5, 0.5]]]), np.array([[1.0, 2.0], [0.5, 0.0]]))
NEVER = np.zeros(3, dtype=bool)
RUN: dict[str, Any] = {"reward": np.array([1.0, 2.0, 3.0]), "terminated": NEVER, "truncated": NEVER}


def same(found: Any, due: Any) -> None:
    np.testing.assert_array_equal(np.asarray(found, dtype=object), np.asarray(due, dtype=object))


def close(found: Any, due: Any) -> None:
    """Equal as float64: the oracles carry 50 digits, `due` carries 16."""
    np.testing.assert_array_max_ulp(np.asarray(found, dtype=np.float64), np.asarray(due, dtype=np.float64), maxulp=2)


def test_log_mean_exp() -> None:
    same(log_mean_exp_by_digits(Q, temperature=0.0), 4)
    same(log_mean_exp_by_digits(Q, temperature=math.inf), Fraction(7, 3))
    close(log_mean_exp_by_digits(np.array([0.0, 1.0]), temperature=1.0), math.log((1 + math.e) / 2))


def test_soft_value() -> None:
    same(soft_value_by_digits(np.array([0.5, 0.0, 0.5]), Q, temperature=0.0), 2)
    same(soft_value_by_digits(MU, Q, temperature=math.inf), Fraction(9, 4))
    close(soft_value_by_digits(np.array([0.0, 1.0, 0.0]), Q, temperature=0.5), 4.0)


def test_improved_policy_and_softmax() -> None:
    close(improved_policy_by_digits(MU, Q, temperature=0.5).sum(), 1.0)
    same(improved_policy_by_digits(MU, Q, temperature=math.inf), exact(MU))
    close(improved_policy_by_digits(MU, np.ones(3), temperature=0.5), MU)
    close(improved_policy_by_digits(np.ones(1), np.array([7.0]), temperature=0.5), [1.0])
    close(softmax_by_digits(Q, temperature=2.0).sum(), 1.0)
    same(softmax_by_digits(np.array([1.0, 4.0, 4.0]), temperature=0.0), [0, Fraction(1, 2), Fraction(1, 2)])
    same(softmax_by_digits(Q, temperature=math.inf), [Fraction(1, 3)] * 3)
    close(softmax_by_digits(np.array([1.0, 1.0]), temperature=3.0), [0.5, 0.5])


@pytest.mark.parametrize(("cap", "due"), [(None, 1.0), (0.5, 0.5), (3.0, 1.0)])
def test_exponential_weights(cap: float | None, due: float) -> None:
    close(exponential_weights_by_digits(np.zeros(2), temperature=0.5, max_weight=cap), [due, due])
    close(exponential_weights_by_digits(Q, temperature=math.inf, max_weight=cap), [due] * 3)


def test_objective_of_the_improvement() -> None:
    same(kl_objective_by_digits(MU, MU, Q, temperature=0.5), Fraction(9, 4))
    best = np.asarray(improved_policy_by_digits(MU, Q, temperature=0.5), dtype=np.float64)
    assert float(kl_objective_by_digits(best, MU, Q, temperature=0.5)) == pytest.approx(
        float(soft_value_by_digits(MU, Q, temperature=0.5)), abs=2.0**-48
    )


def test_expectations_over_samples() -> None:
    assert expectation_over_draws(np.ones(len(draws(3, 2))), MU, 2) == 1
    assert expectation_over_draws(Q[draws(3, 1)[:, 0]], MU, 1) == Fraction(9, 4)
    assert expected_maximum_by_order_statistics(Q, MU, 1) == Fraction(9, 4)
    assert expected_maximum_by_order_statistics(Q, np.array([0.0, 0.0, 1.0]), 5) == 2
    enumerated = expectation_over_draws(Q[draws(3, 2)].max(axis=1), MU, 2)
    assert expected_maximum_by_order_statistics(Q, MU, 2) == enumerated


def test_action_values() -> None:
    value = np.array([3.0, 5.0])
    same(q_by_fractions(value, *TWO, discount=0.0), exact(TWO[1]))
    assert q_by_fractions(value, *TWO, discount=0.5)[0, 0] == Fraction(1) + Fraction(5, 2)


def test_expectiles() -> None:
    points, equal = np.array([0.0, 0.0, 0.0, 10.0]), np.ones(4)
    assert expectile_by_balance(points, np.array([0.0, 0.0, 0.0, 1.0]), expectile=0.75) == 10
    assert float(expectile_by_balance(points, equal, expectile=0.9).item()) == pytest.approx(7.5, rel=2.0**-50)
    close(expectile_by_balance(Q, np.ones(3), expectile=0.5), 7 / 3)
    assert expectile_by_balance(np.array([1.0, 3.0]), np.ones(2), expectile=0.75) == Fraction(1, 4) + Fraction(9, 4)
    level, m = Fraction(7, 8), expectile_by_balance(Q, MU, expectile=0.875).item()
    pairs = list(zip(map(Fraction, Q.tolist()), map(Fraction, MU.tolist()), strict=True))
    assert sum(w * (level if x > m else 1 - level) * (x - m) for x, w in pairs) == 0


def test_joint_expectiles_at_one_half_are_sarsas_expectation() -> None:
    q, behavior = np.array([[1.0, 3.0], [5.0, 7.0]]), np.array([[0.25, 0.75], [1.0, 0.0]])
    after = (exact(behavior) * exact(q)).sum(axis=1)
    due = exact(TWO[1]) + Fraction(1, 2) * (exact(TWO[0]) * after).sum(axis=-1)
    same(joint_expectiles_by_fractions(q, behavior, *TWO, level=0.5, discount=0.5), due)


def test_solutions() -> None:
    same(policy_value_by_fractions(np.ones((1, 1)), *FOREVER, discount=0.5), [2])
    same(policy_value_by_fractions(np.full((2, 2), 0.5), *TWO, discount=0.0), [Fraction(3, 2), Fraction(1, 4)])
    optimum = optimum_by_fractions(*TWO, discount=0.5)
    value = np.asarray(optimum[0])
    same(q_by_fractions(np.asarray(value, dtype=np.float64), *TWO, discount=0.0).max(axis=1), [2, Fraction(1, 2)])
    due = (exact(TWO[1]) + Fraction(1, 2) * (exact(TWO[0]) * value).sum(axis=-1)).max(axis=1)
    same(value, due)
    found, residual = optimum_by_linear_program(*TWO, discount=0.5)
    assert np.abs(found - value.astype(np.float64)).max() <= 2 * residual + 2.0**-50
    assert optimum_by_linear_program(*FOREVER, discount=0.5)[0] == pytest.approx([2.0], rel=2.0**-40)


def test_best_supported_value() -> None:
    single = np.array([[0.0, 1.0], [1.0, 0.0]])
    same(best_supported_value(*TWO, single, discount=0.5), policy_value_by_fractions(single, *TWO, discount=0.5))
    both = np.full((2, 2), 0.5)
    same(best_supported_value(*TWO, both, discount=0.5), np.asarray(optimum_by_fractions(*TWO, discount=0.5)[0]))


def test_returns() -> None:
    value, after = np.array([5.0, 7.0, 11.0]), np.array([7.0, 11.0, 13.0])
    delta = exact(RUN["reward"]) + Fraction(1, 2) * exact(after) - exact(value)
    same(advantages_by_sum(**RUN, value=value, next_value=after, lambda_=0.0, discount=0.5), delta)
    same(advantages_by_sum(*(a[:1] for a in RUN.values()), value[:1], after[:1], lambda_=0.9, discount=0.5), delta[:1])
    one_step = exact(RUN["reward"]) + Fraction(1, 2) * exact(after)
    same(n_step_by_window(**RUN, next_value=after, n=1, discount=0.5), one_step)
    assert n_step_by_window(**RUN, next_value=after, n=3, discount=0.5)[0] == Fraction(1) + 1 + Fraction(3, 4) + Fraction(13, 8)
    same(lambda_returns_by_mixture(**RUN, next_value=after, lambda_=0.0, discount=0.5), one_step)
    longest = n_step_by_window(**RUN, next_value=after, n=3, discount=0.5)
    same(lambda_returns_by_mixture(**RUN, next_value=after, lambda_=1.0, discount=0.5), longest)
    ones = {**RUN, "reward": np.zeros(3)}
    same(lambda_returns_by_mixture(**ones, next_value=np.ones(3), lambda_=0.25, discount=1.0), [1, 1, 1])


def test_every_oracle_is_tried() -> None:
    text = "".join(path.read_text() for path in Path(__file__).parent.glob("test_oracles*.py"))
    assert all(name in text for name in ORACLES), set(ORACLES)
