"""What the twin computes for others to use as data carries no gradient, and what agents learn through does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings

from properties import OPERATORS
from properties._bounds import rounded
from properties._claim import Call
from properties._gradients import CONSTANTS, inflow
from properties._ports import load_port
from properties._trial import Trial

DATA = {
    **dict.fromkeys(
        ("action_values", "evaluation_backup", "optimality_backup", "soft_backup", "expectile_backup", "sampled_backup"), "value"
    ),
    **dict.fromkeys(
        ("q_evaluation_backup", "q_optimality_backup", "sarsa_expectile_backup", "greedy", "epsilon_greedy", "boltzmann"), "q"
    ),
    "max_bias_bound": "mean_square_error",
    "expected_maximum": "means deviations",
    "double_estimate": "select evaluate",
    "deterministic_policy_gradient": "action_gradient policy_jacobian",
    "gaussian_score": "action mean log_std",
    "compatible_features": "action mean policy_jacobian",
    "taylor_control_variate": "action mean action_gradient",
    "q_prop_gradient": "score advantage control_variate weight action_gradient mean_jacobian",
    "mixed_gradient": "score advantage action_gradient mean_jacobian",
    "conjugate_gradient": "b",
    "fisher_vector_product": "vector jacobian log_std log_std_jacobian",
    "natural_step": "gradient",
    "backtracking_search": "step",
    "cem_refit": "actions scores",
    "cross_entropy_search": "low high",
    "gradient_search": "start low high",
}
"""A port may let these carry a gradient; this package's do not."""
LEARNT_THROUGH = {
    "expectile_loss": "error",
    "log_mean_exp": "q",
    "noisy_linear": "x weight weight_scale bias bias_scale",
    "dueling_value": "value advantage",
    "categorical_loss": "logits",
    "gaussian_log_prob": "action mean log_std",
    "gaussian_entropy": "log_std",
    "gaussian_kl": "mean log_std other_mean other_log_std",
    "tanh_gaussian_log_prob": "pre_tanh mean log_std",
    "tanh_action": "pre_tanh",
    "reinforce_loss": "log_prob",
    "clipped_surrogate": "log_ratio",
    "soft_policy_loss": "q1 q2 log_prob",
}
TWIN = load_port("accelerated")


def inflows(operator: str, names: str, each: Callable[[dict[str, Any]], None]) -> None:
    @settings(max_examples=15, deadline=None, database=None)
    @given(OPERATORS[operator].inputs)
    def search(call: Call) -> None:
        each(inflow(Trial(TWIN, operator), Call(*rounded(tuple(call), "float64")), names))

    search()


@pytest.mark.parametrize("operator", DATA)
def test_data_carries_no_gradient(operator: str) -> None:
    inflows(operator, DATA[operator], lambda found: [pytest.fail(name) for name, slope in found.items() if slope.any()])


@pytest.mark.parametrize("operator", LEARNT_THROUGH)
def test_what_is_learnt_through_carries_one(operator: str) -> None:
    seen: set[str] = set()
    inflows(operator, LEARNT_THROUGH[operator], lambda found: seen.update(name for name, slope in found.items() if slope.any()))
    assert seen == set(LEARNT_THROUGH[operator].split())


def test_nothing_is_a_constant_and_learnt_through() -> None:
    for operator, names in LEARNT_THROUGH.items():
        assert not set(names.split()) & set((CONSTANTS.get(operator, "") + " " + DATA.get(operator, "")).split())
