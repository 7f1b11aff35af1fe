"""Policy gradients and the actors' losses: products in fractions, ratios and temperatures at 50 digits.

Infinite data follow IEEE; where the advantage is 0, so is the clipped surrogate, of an infinite ratio too.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from properties._exact import DIGITS, Exact, digits, elementwise, exact_value, fraction, fractions
from properties._exact.precision import settled


# ---------------------------------------------------------------------------------------------------- score functions
@exact_value("reinforce_loss")
def reinforce_loss(log_prob: Any, advantage: Any) -> Exact:
    """-log pi A."""
    return elementwise(lambda p, a: -fraction(p) * fraction(a), log_prob, advantage)


@exact_value("reinforce_loss_gradient")
def reinforce_loss_gradient(log_prob: Any, advantage: Any) -> Exact:
    """-A."""
    return elementwise(lambda a: -fraction(a), advantage)


def _past(ratio: Any, advantage: Any, clip: Any) -> Any:
    """The edge that the ratio has passed on the side on which the surrogate would grow, or None."""
    if advantage > 0:
        return 1 + clip if ratio > 1 + clip else None
    return 1 - clip if ratio < 1 - clip else None


@exact_value("clipped_surrogate")
def clipped_surrogate(log_ratio: Any, advantage: Any, *, clip: float) -> Exact:
    """min(rho A, clip(rho, 1 - c, 1 + c) A): beyond the edge that improves, the edge times A, else rho A."""

    def one(x: float, a: float) -> Any:
        if a == 0:
            return Fraction(0)
        ratio, gain = DIGITS.exp(digits(x)), digits(a)
        edge = _past(ratio, gain, digits(clip))
        return (ratio if edge is None else edge) * gain

    return np.asarray(settled(lambda: elementwise(one, log_ratio, advantage), DIGITS))


@exact_value("clipped_surrogate_gradient")
def clipped_surrogate_gradient(log_ratio: Any, advantage: Any, *, clip: float) -> Exact:
    """rho A, or 0 beyond the edge that improves."""

    def one(x: float, a: float) -> Any:
        ratio, gain = DIGITS.exp(digits(x)), digits(a)
        return ratio * gain if a and _past(ratio, gain, digits(clip)) is None else Fraction(0)

    return np.asarray(settled(lambda: elementwise(one, log_ratio, advantage), DIGITS))


# ------------------------------------------------------------------------------------------------------- deterministic
@exact_value("deterministic_policy_gradient")
def deterministic_policy_gradient(action_gradient: Any, policy_jacobian: Any) -> Exact:
    """(1/B) sum over b of J'g."""
    terms = fractions(policy_jacobian) * fractions(action_gradient)[..., None]
    return np.asarray(terms.sum(axis=(0, 1)) / Fraction(len(action_gradient)))


@exact_value("compatible_features")
def compatible_features(action: Any, mean: Any, policy_jacobian: Any) -> Exact:
    """J'(a - m), of every row."""
    away = fractions(action) - fractions(mean)
    return np.asarray((fractions(policy_jacobian) * away[..., None]).sum(axis=-2))


# ---------------------------------------------------------------------------------------------------------------- soft
@exact_value("soft_policy_loss")
def soft_policy_loss(q1: Any, q2: Any, log_prob: Any, *, entropy_coefficient: float) -> Exact:
    """alpha log pi - min(Q1, Q2)."""
    alpha = fraction(entropy_coefficient)
    return elementwise(lambda a, b, p: alpha * fraction(p) - fraction(min(a, b)), q1, q2, log_prob)


@exact_value("soft_policy_loss_gradient")
def soft_policy_loss_gradient(q1: Any, q2: Any, log_prob: Any, *, entropy_coefficient: float) -> tuple[Exact, Exact, Exact]:
    """-1 for the smaller Q, 0 for the larger, -1/2 for each of two equal ones; alpha."""

    def slope(own: float, other: float) -> Fraction:
        return Fraction((own <= other) + (own < other), -2)

    alpha = fraction(entropy_coefficient)
    return elementwise(slope, q1, q2), elementwise(slope, q2, q1), elementwise(lambda _: alpha, log_prob)


@exact_value("temperature_loss")
def temperature_loss(log_prob: Any, *, log_coefficient: float, target_entropy: float) -> Exact:
    """-exp(log alpha) (log pi + target entropy)."""

    def one(p: float) -> Any:
        return -DIGITS.exp(digits(log_coefficient)) * (digits(p) + digits(target_entropy))

    return np.asarray(settled(lambda: elementwise(one, log_prob), DIGITS))


@exact_value("temperature_loss_gradient")
def temperature_loss_gradient(log_prob: Any, *, log_coefficient: float, target_entropy: float) -> Exact:
    """The derivative in log alpha, which is the loss: exp is its own."""
    return np.asarray(temperature_loss(log_prob, log_coefficient=log_coefficient, target_entropy=target_entropy))
