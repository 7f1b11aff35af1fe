"""Advantages, their exponential weights at 50 digits, and what a policy improves to."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from properties._exact import DIGITS, Exact, along_last, digits, elementwise, exact_value, fraction
from properties._exact._exponentials import even, shares


@exact_value("sampled_advantage")
def sampled_advantage(q: Any) -> Exact:
    """q_i - (1/n) sum of q_j."""

    def one(row: list[float]) -> list[Any]:
        values = [fraction(x) for x in row]
        mean = sum(values, Fraction(0)) / len(values)
        return [x - mean for x in values]

    return along_last(one, q)


@exact_value("exponential_weights")
def exponential_weights(advantage: Any, *, temperature: float, max_weight: float | None = None) -> Exact:
    """Peng et al. 2019, Algorithm 1: min(exp(A/t), cap); all are exp(0) at t = inf."""
    cap = digits(math.inf if max_weight is None else max_weight)

    def one(a: float) -> Any:
        return min(DIGITS.exp(0 if math.isinf(temperature) else digits(a) / digits(temperature)), cap)

    return elementwise(one, advantage)


@exact_value("normalized_weights")
def normalized_weights(advantage: Any, *, temperature: float) -> Exact:
    """exp(A_i/t) / sum of exp(A_j/t)."""
    return along_last(lambda row: shares(row, even(len(row)), temperature), advantage)


@exact_value("weighted_policy_loss")
def weighted_policy_loss(log_prob: Any, weight: Any) -> Exact:
    """-w log pi."""
    return elementwise(lambda x, w: -fraction(w) * fraction(x), log_prob, weight)


@exact_value("weighted_policy_loss_gradient")
def weighted_policy_loss_gradient(log_prob: Any, weight: Any) -> Exact:
    """-w."""
    return elementwise(lambda x, w: -fraction(w), log_prob, weight)


@exact_value("improved_policy")
def improved_policy(behavior: Any, q: Any, *, temperature: float) -> Exact:
    """Peng et al. 2019, section 3: mu exp(q/t), divided by its sum."""
    return along_last(lambda mu, row: shares(row, [Fraction(m) for m in mu], temperature), behavior, q)
