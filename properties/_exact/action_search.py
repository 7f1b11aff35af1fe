"""Searching the best action of a critic: elites and projected steps in fractions. The critic is the Slope of `_functions`.

Rows of a climb stop where exact arithmetic does. cross_entropy_search draws, and so has no exact value.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from properties._exact import Exact, exact_value, fraction
from properties._functions import Slope
from properties._oracles.action_search import ascended, elite_moments


@exact_value("cem_refit")
def cem_refit(actions: Any, scores: Any, *, elites: int) -> tuple[Exact, Exact]:
    """Mean and population standard deviation of the elites, of equal scores the first."""
    mean, std = elite_moments(actions, scores, elites=elites)
    return mean, std


@exact_value("gradient_search")
def gradient_search(
    q_and_gradient: Slope, start: Any, low: Any, high: Any, *, step_size: float, tolerance: float, max_iterations: int
) -> tuple[Exact, Exact, Any]:
    """Where each row stops: its action, the value there, and its steps."""
    far = fraction(step_size) * fraction(tolerance)
    action, _ = ascended(*q_and_gradient, start, low, high, step_size=step_size, steps=0)
    steps = np.zeros(np.shape(start)[:-1], dtype=np.int64)
    for _ in range(max_iterations):
        onward, _ = ascended(*q_and_gradient, action, low, high, step_size=step_size, steps=1)
        going = np.asarray(np.abs(onward - action).max(axis=-1) > far, dtype=bool)
        if not going.any():
            break
        action, steps = np.where(going[..., None], onward, action), steps + going
    _, value = ascended(*q_and_gradient, action, low, high, step_size=step_size, steps=0)
    return action, value, steps
