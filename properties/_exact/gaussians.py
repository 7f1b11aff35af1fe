"""Normal densities, plain and squashed by tanh: at 50 digits, or as many more as their terms cancel."""

from __future__ import annotations

from typing import Any

import numpy as np

from properties._exact import Exact, exact_value
from properties._exact.precision import settled
from properties._oracles import gaussians
from properties._oracles.gaussians import DIGITS, in_digits


@exact_value("gaussian_log_prob")
def gaussian_log_prob(action: Any, mean: Any, log_std: Any) -> Exact:
    """The sum over d of -(a - m)^2 / (2 s^2) - log s - log(2 pi) / 2."""
    return np.asarray(settled(lambda: gaussians.gaussian_log_prob_by_digits(action, mean, log_std), DIGITS))


@exact_value("gaussian_entropy")
def gaussian_entropy(log_std: Any) -> Exact:
    """The sum over d of log s + log(2 pi e) / 2."""
    return np.asarray(settled(lambda: gaussians.gaussian_entropy_by_digits(log_std), DIGITS))


@exact_value("gaussian_kl")
def gaussian_kl(mean: Any, log_std: Any, other_mean: Any, other_log_std: Any) -> Exact:
    """The sum over d of log(s' / s) + (s^2 + (m - m')^2) / (2 s'^2) - 1/2."""
    arrays = (mean, log_std, other_mean, other_log_std)
    return np.asarray(settled(lambda: gaussians.gaussian_kl_by_digits(*arrays), DIGITS))


@exact_value("gaussian_score")
def gaussian_score(action: Any, mean: Any, log_std: Any) -> tuple[Exact, Exact]:
    """(a - m) / s^2, and ((a - m) / s)^2 - 1, entry by entry."""

    def parts() -> tuple[Exact, Exact]:
        slope = in_digits(lambda a, m, s: (a - m) * DIGITS.exp(-2 * s), action, mean, log_std)
        return slope, in_digits(lambda a, m, s: ((a - m) / DIGITS.exp(s)) ** 2 - 1, action, mean, log_std)

    found: tuple[Exact, Exact] = settled(parts, DIGITS)
    return found


@exact_value("tanh_gaussian_log_prob")
def tanh_gaussian_log_prob(pre_tanh: Any, mean: Any, log_std: Any, *, low: Any, high: Any) -> Exact:
    """The log-density of u, less the sum over d of log((high - low) / 2 (1 - tanh(u)^2))."""
    compute = gaussians.tanh_gaussian_log_prob_by_digits
    return np.asarray(settled(lambda: compute(pre_tanh, mean, log_std, low=low, high=high), DIGITS))


@exact_value("tanh_action")
def tanh_action(pre_tanh: Any, *, low: Any, high: Any) -> Exact:
    """low + (high - low) (tanh(u) + 1) / 2, entry by entry."""
    return np.asarray(settled(lambda: gaussians.tanh_action_by_digits(pre_tanh, low=low, high=high), DIGITS))
