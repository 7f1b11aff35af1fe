"""Where no gradient may flow: targets, returns, weights and probabilities are constants to whoever descends a loss (B10)."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
from hypothesis import strategies as st

import reference
from properties._bounds import rounded
from properties._claim import OPERATORS, Call, claim
from properties._trial import Trial

CONSTANTS = {
    **dict.fromkeys(
        ("action_values", "evaluation_backup", "optimality_backup", "soft_backup", "expectile_backup", "sampled_backup"), "value"
    ),
    **dict.fromkeys(
        ("q_evaluation_backup", "q_optimality_backup", "sarsa_expectile_backup", "greedy", "epsilon_greedy", "boltzmann"), "q"
    ),
    "discounted_returns": "reward bootstrap_value",
    **dict.fromkeys(("n_step_returns", "lambda_returns", "margin_returns"), "reward next_value"),
    "gae": "reward value next_value",
    "sampled_advantage": "q",
    "exponential_weights": "advantage",
    "normalized_weights": "advantage",
    "weighted_policy_loss": "weight",
    "improved_policy": "behavior q",
    **dict.fromkeys(("factorised_noise", "noisy_linear"), "noise_in noise_out"),
    "max_bias_bound": "mean_square_error",
    "expected_maximum": "means deviations",
    "double_estimate": "select evaluate",
    "polyak_update": "target online",
    "priority": "td_error",
    "sampling_probabilities": "priority",
    "importance_weights": "probability",
    "categorical_projection": "atoms probability reward discount",
    "categorical_loss": "target",
    "reinforce_loss": "advantage",
    "clipped_surrogate": "advantage",
    "temperature_loss": "log_prob",
    "deterministic_policy_gradient": "action_gradient policy_jacobian",
    "gaussian_score": "action mean log_std",
    **dict.fromkeys(("tanh_gaussian_log_prob", "tanh_action", "sample_tanh_gaussian"), "low high"),
    "compatible_features": "action mean policy_jacobian",
    "taylor_control_variate": "action mean action_gradient",
    "control_variate_weight": "advantage control_variate",
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
"""The arguments of each operator that the contract makes constants of its result; the targets have a claim of their own. One that
is a number in a call, or left out, has no gradient there."""


@claim(
    "B10",
    source="Mnih et al. 2015, Algorithm 1 (the target is a constant); Peng et al. 2019, Algorithm 1 (so is the weight)",
    operators=[name for name in CONSTANTS if name in OPERATORS],
    given={"data": st.data()},
    share=0.15,
)
def no_gradient_flows_into_constants(port: Trial, data: Any) -> None:
    """d result / d argument is exactly 0 for targets, returns, weights, advantages, probabilities: whatever is to be a constant."""
    call = Call(*rounded(tuple(data.draw(OPERATORS[port.subject].inputs)), port.dtype))
    names = list(inspect.signature(getattr(reference, port.subject)).parameters)
    given: dict[str, int | str] = {name: place for place, name in enumerate(names[: len(call.arguments)])}
    given |= {name: name for name, value in call.keywords.items() if isinstance(value, np.ndarray)}
    for name in CONSTANTS[port.subject].split():
        if name in given:
            slope = port.derivative(given[name], *call.arguments, **call.keywords)
            port.equal(slope, np.zeros(np.shape(slope)), 0.0, f"the gradient that flows into {name}")
