"""A wrong derivative fails its claim: each claim about automatic differentiation is tried with four mistakes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import accelerated.port as twin
from properties import CLAIMS, OPERATORS
from properties._ports import Port
from properties._run import FAILS, PROFILES, Effort, run

EFFORT = replace(PROFILES["dev"], shrink=False, diagnose=False)
LATER = {
    "exploration", "overestimation", "dueling", "target_networks", "priorities", "categorical", "gaussians", "policy_gradient",
    "control_variates", "trust_region", "action_search",
}  # fmt: skip

SLOPES = (
    "a_noisy_layer_passes_gradients_to_input_weights_and_scales", "a_dueling_head_passes_gradients_to_value_and_advantage",
    "differentiating_the_loss_gives_softmax_less_target", "differentiating_gaussian_log_prob_gives_the_score",
    "differentiating_gaussian_entropy_gives_one_for_each_coordinate", "differentiating_gaussian_kl_gives_its_four_derivatives",
    "differentiating_tanh_log_prob_stays_finite_at_saturation", "differentiating_tanh_action_gives_its_slope",
    "draws_can_be_differentiated_in_mean_and_log_std", "squashed_draws_can_be_differentiated",
    "differentiating_soft_policy_loss_gives_its_slopes", "differentiating_temperature_loss_moves_log_alpha_only",
    "differentiating_reinforce_loss_gives_minus_the_advantage", "differentiating_the_clipped_surrogate",
)  # fmt: skip
CONSTANT = ("no_gradient_flows_into_constants", "differentiating_at_ratios_of_zero_and_infinity_makes_no_nan")
"""What these speak of is 0. Their shares are small, and some calls have nothing to differentiate: more examples find a leak."""


def derived(change: Callable[[Any], Any]) -> Port:
    """The twin with its derivatives changed."""
    right = twin.on(dtype="float64", device="cpu")
    names = {name: getattr(right, name) for name in OPERATORS if hasattr(right, name)}
    return Port(SimpleNamespace(**names, gradient=lambda *a, **k: change(np.asarray(right.gradient(*a, **k)))), "wrong")


MISTAKES: dict[str, Callable[[Any], Any]] = {
    "doubled": lambda slope: 2 * slope,
    "turned": lambda slope: -slope,
    "detached": lambda slope: 0 * slope,
    "leaking": lambda slope: slope + 2.0**-20,
}


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("name", SLOPES)
def test_a_wrong_derivative_fails(name: str, mistake: str) -> None:
    fails_everywhere(name, derived(MISTAKES[mistake]), EFFORT)


@pytest.mark.parametrize("name", CONSTANT)
def test_a_leak_into_a_constant_fails(name: str) -> None:
    fails_everywhere(name, derived(MISTAKES["leaking"]), replace(EFFORT, examples=1000))


def fails_everywhere(name: str, port: Port, effort: Effort) -> None:
    """The claim fails for each of the later operators that it accuses."""
    accused = [operator for operator in CLAIMS[name].operators if OPERATORS[operator].concept in LATER]
    assert accused and [o for o in accused if run(CLAIMS[name], o, port, effort).verdict != FAILS] == []
