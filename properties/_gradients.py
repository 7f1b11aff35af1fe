"""Where no gradient may flow: targets, returns, weights and probabilities are constants to whoever descends a loss (B10)."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
from hypothesis import strategies as st

import reference
from properties._bounds import Floats, rounded
from properties._claim import OPERATORS, Call, claim
from properties._trial import Trial

CONSTANTS = {
    "discounted_returns": "reward bootstrap_value",
    **dict.fromkeys(("n_step_returns", "lambda_returns", "margin_returns"), "reward next_value"),
    "gae": "reward value next_value",
    "sampled_advantage": "q",
    "exponential_weights": "advantage",
    "normalized_weights": "advantage",
    "weighted_policy_loss": "weight",
    "improved_policy": "behavior q",
    **dict.fromkeys(("factorised_noise", "noisy_linear"), "noise_in noise_out"),
    "polyak_update": "target online",
    "priority": "td_error",
    "sampling_probabilities": "priority",
    "importance_weights": "probability",
    "categorical_projection": "atoms probability reward discount",
    "categorical_loss": "target",
    "reinforce_loss": "advantage",
    "clipped_surrogate": "advantage",
    "temperature_loss": "log_prob",
    "control_variate_weight": "advantage control_variate",
}
"""The arguments that are constants to whoever descends a loss made of the result; the targets have a claim of their own. One that
is a number in a call, or left out, has no gradient there."""


@claim(
    "B10",
    source="Mnih et al. 2015, Algorithm 1 (the target is a constant); Peng et al. 2019, Algorithm 1 (so is the weight)",
    operators=[name for name in CONSTANTS if name in OPERATORS],
    given={"data": st.data()},
    share=0.15,
)
def no_gradient_flows_into_constants(port: Trial, data: Any) -> None:
    """d result / d argument is exactly 0 for returns, weights, advantages, targets of losses: whatever is to be a constant."""
    flowing = inflow(port, Call(*rounded(tuple(data.draw(OPERATORS[port.subject].inputs)), port.dtype)), CONSTANTS[port.subject])
    for name, slope in flowing.items():
        port.equal(slope, np.zeros(np.shape(slope)), 0.0, f"the gradient that flows into {name}")


def inflow(port: Trial, call: Call, constants: str) -> dict[str, Floats]:
    """The gradient of a call's result in each of the named arguments that is there and is an array."""
    names = list(inspect.signature(getattr(reference, port.subject)).parameters)
    given: dict[str, int | str] = {name: place for place, name in enumerate(names[: len(call.arguments)])}
    given |= {name: name for name, value in call.keywords.items() if isinstance(value, np.ndarray)}
    reached = [name for name in constants.split() if name in given]
    return {name: port.derivative(given[name], *call.arguments, **call.keywords) for name in reached}
