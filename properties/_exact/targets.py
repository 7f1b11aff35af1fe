"""One-step targets: r where terminated, else r + gamma times what follows, in fractions; log_mean_exp at 50 digits."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from properties._exact import Exact, along_last, elementwise, exact_value, fraction
from properties._exact._exponentials import aggregated

_Array = Any


def _bootstrapped(reward: _Array, terminated: _Array, following: Exact, discount: Any) -> Exact:
    """r + gamma (1 - terminated) V': what follows a terminated step is not read, be it infinite."""
    gamma = np.broadcast_to(discount, np.shape(reward))

    def one(r: float, ends: bool, after: Any, g: float) -> Any:
        return fraction(r) if ends else fraction(r) + fraction(g) * after

    return elementwise(one, reward, terminated, following, gamma)


def _mean(q: list[float], policy: list[float]) -> Any:
    """pi.q; 0 times an infinite value is NaN, as IEEE has it."""
    return sum((fraction(p) * fraction(x) for x, p in zip(q, policy, strict=True)), Fraction(0))


@exact_value("value_target")
def value_target(reward: _Array, terminated: _Array, next_value: _Array, *, discount: Any) -> Exact:
    """Sutton & Barto 2018, eq. 6.2."""
    return _bootstrapped(reward, terminated, elementwise(fraction, next_value), discount)


@exact_value("q_learning_target")
def q_learning_target(reward: _Array, terminated: _Array, next_q: _Array, *, discount: Any) -> Exact:
    """Sutton & Barto 2018, eq. 6.8."""
    best = along_last(lambda q: fraction(max(q)), next_q)
    return _bootstrapped(reward, terminated, best, discount)


@exact_value("sarsa_target")
def sarsa_target(reward: _Array, terminated: _Array, next_q: _Array, next_action: _Array, *, discount: Any) -> Exact:
    """Sutton & Barto 2018, eq. 6.7."""
    taken = along_last(lambda q, a: fraction(q[a[0]]), next_q, np.asarray(next_action)[..., None])
    return _bootstrapped(reward, terminated, taken, discount)


@exact_value("expected_sarsa_target")
def expected_sarsa_target(reward: _Array, terminated: _Array, next_q: _Array, next_policy: _Array, *, discount: Any) -> Exact:
    """Sutton & Barto 2018, eq. 6.9."""
    return _bootstrapped(reward, terminated, along_last(_mean, next_q, next_policy), discount)


@exact_value("double_q_target")
def double_q_target(reward: _Array, terminated: _Array, next_q_select: _Array, next_q_evaluate: _Array, *, discount: Any) -> Exact:
    """van Hasselt, Guez & Silver 2016, eq. 4; the first maximiser."""
    chosen = along_last(lambda q, other: fraction(other[q.index(max(q))]), next_q_select, next_q_evaluate)
    return _bootstrapped(reward, terminated, chosen, discount)


@exact_value("clipped_double_target")
def clipped_double_target(reward: _Array, terminated: _Array, next_q1: _Array, next_q2: _Array, *, discount: Any) -> Exact:
    """Fujimoto et al. 2018, eq. 10."""
    least = elementwise(lambda one, two: fraction(min(one, two)), next_q1, next_q2)
    return _bootstrapped(reward, terminated, least, discount)


@exact_value("soft_target")
def soft_target(
    reward: _Array, terminated: _Array, next_q1: _Array, next_q2: _Array, next_log_prob: _Array, *,
    entropy_coefficient: float, discount: Any,
) -> Exact:  # fmt: skip
    """Haarnoja et al. 2018, eqs. 2 and 3, with the twins' minimum."""
    alpha = fraction(entropy_coefficient)

    def soft(one: float, two: float, log_prob: float) -> Any:
        return fraction(min(one, two)) - alpha * fraction(log_prob)

    return _bootstrapped(reward, terminated, elementwise(soft, next_q1, next_q2, next_log_prob), discount)


@exact_value("sampled_target")
def sampled_target(
    reward: _Array, terminated: _Array, next_q: _Array, *, aggregate: str, temperature: float | None = None, discount: Any
) -> Exact:
    """Kozakowski et al. 2021: F of the sampled actions' values."""
    following = along_last(
        _unless_unread(lambda q: aggregated(q, aggregate, temperature)), next_q, np.asarray(terminated)[..., None]
    )
    return _bootstrapped(reward, terminated, following, discount)


def _unless_unread(one: Callable[[list[float]], Any]) -> Callable[[list[float], list[bool]], Any]:
    """The same of a row that is read, 0 of another."""
    return lambda row, ends: Fraction(0) if ends[0] else one(row)


@exact_value("smoothed_action")
def smoothed_action(action: _Array, noise: _Array, *, noise_clip: float, low: Any, high: Any) -> Exact:
    """Fujimoto et al. 2018, Algorithm 1: the noise is clipped, then the sum."""
    shape = np.shape(action)

    def one(a: float, e: float, least: float, most: float) -> Any:
        moved = fraction(a) + fraction(min(max(e, -noise_clip), noise_clip))
        return fraction(min(max(moved, fraction(least)), fraction(most)))

    return elementwise(one, action, noise, np.broadcast_to(low, shape), np.broadcast_to(high, shape))
