"""Control variates and Q-Prop, in fractions. What a weight of 0 leaves out of a mixed gradient is not read."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from properties._exact import Exact, elementwise, exact_value, fraction, fractions, stacked
from properties._oracles.control_variates import second_moments


@exact_value("taylor_control_variate")
def taylor_control_variate(action: Any, mean: Any, action_gradient: Any) -> Exact:
    """The sum over d of g (a - m)."""
    return np.asarray((fractions(action_gradient) * (fractions(action) - fractions(mean))).sum(axis=-1), dtype=object)


def _quotient(covariance: Fraction, variance: Fraction) -> Fraction:
    return covariance / variance if variance else Fraction(0)


RULES = {
    "optimal": _quotient,
    "conservative": lambda covariance, _: Fraction(int(covariance > 0)),
    "aggressive": lambda covariance, _: Fraction((covariance > 0) - (covariance < 0)),
}
"""What becomes of Cov and Var."""


@exact_value("control_variate_weight")
def control_variate_weight(advantage: Any, control_variate: Any, *, rule: str, centered: bool = True) -> Exact:
    """1, Cov / Var, 1[Cov > 0] or sign Cov, about the samples' means or about 0; Cov / Var is 0 where Var is."""
    lead = np.shape(advantage)[:-1]
    if rule == "standard":
        return stacked([Fraction(1)] * int(np.prod(lead, dtype=int)), lead)
    found = second_moments(advantage, control_variate, centered=centered)
    return elementwise(RULES[rule], found.covariance, found.variance)


def _mean_chain_rule(action_gradient: Any, mean_jacobian: Any, weight: Any) -> Any:
    """The mean over b of w J'g."""
    pulled = (fractions(mean_jacobian) * fractions(action_gradient)[..., None]).sum(axis=1)
    return (weight * pulled).sum(axis=0) / Fraction(len(action_gradient))


def _mean_score(score: Any, advantage: Any) -> Any:
    """The mean over b of s A."""
    return (fractions(score) * advantage[:, None]).sum(axis=0) / Fraction(len(score))


@exact_value("q_prop_gradient")
def q_prop_gradient(
    score: Any, advantage: Any, control_variate: Any, weight: Any, action_gradient: Any, mean_jacobian: Any
) -> Exact:
    """The mean over b of s (A - w C) + w J'g."""
    w = fractions(weight)
    residual = fractions(advantage) - w * fractions(control_variate)
    return np.asarray(_mean_score(score, residual) + _mean_chain_rule(action_gradient, mean_jacobian, w[:, None]))


@exact_value("mixed_gradient")
def mixed_gradient(score: Any, advantage: Any, action_gradient: Any, mean_jacobian: Any, *, on_policy_fraction: float) -> Exact:
    """nu times the mean of s A, and 1 - nu times that of J'g."""
    nu = fraction(on_policy_fraction)
    halves = []
    if nu != 0:
        halves.append(nu * _mean_score(score, fractions(advantage)))
    if nu != 1:
        halves.append((1 - nu) * _mean_chain_rule(action_gradient, mean_jacobian, 1))
    return np.asarray(sum(halves))
