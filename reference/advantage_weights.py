"""Advantage-weighted regression: how much each action is imitated, and the policy that this imitation converges to.

One formula for AWR, QWR and IQL's extraction. `temperature` divides the advantage: the lower, the greedier. It is AWR's
and QWR's β, and 1/β for IQL's β, which multiplies.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from reference._checks import (
    FloatArray,
    last_axis,
    probability_rows,
    real_array,
    refuse_where,
    same_shape,
    scalar,
)
from reference.aggregates import _exponents, _gap, _mean, _scale, _softmax


def sampled_advantage(q: ArrayLike) -> FloatArray:
    """A_i = q_i − (1/n) Σ_j q_j over the last axis.

    Positive for actions better than the average sample; each row sums to 0:

    >>> sampled_advantage([[1.0, 2.0, 6.0]])
    array([[-2., -1.,  3.]])

    q        [..., n]  values of the actions sampled in one state, in units of value; inf − inf is nan
    returns  [..., n]  in units of value
    raises   ValueError if q has NaN, is not real, or has no entry on its last axis
    source   Kozakowski et al. 2021, policy improvement (Q(s, a) − V̂(s), V̂ the mean over sampled actions)
    """
    samples = real_array("q", q)
    last_axis("q", samples)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(samples - _mean(samples)[..., None])


def exponential_weights(advantage: ArrayLike, *, temperature: float, max_weight: float | None = None) -> FloatArray:
    """min(exp(A / t), max_weight), element by element, t = temperature.

    Better actions weigh more, average ones (A = 0) weigh 1; with a cap even A / t = 10⁴ is no overflow:

    >>> exponential_weights([-1.0, 0.0, 1.0, 1e4], temperature=1.0, max_weight=20.0).round(3)
    array([ 0.368,  1.   ,  2.718, 20.   ])

    advantage    [...]           A, in units of value; +inf weighs the cap, or inf without one, −inf weighs 0
    temperature  scalar          in (0, inf], in units of value; inf makes all weights exp(0)
    max_weight   scalar or None  the cap, in (0, inf]; None leaves exp alone: inf beyond A / t ≈ 709.8
    returns      [...]           a weight ≥ 0, without unit
    raises       ValueError if advantage has NaN or is not real; if temperature or max_weight is out of range
    source       Peng et al. 2019, §3 and Algorithm 1 (their β is our temperature, their ω_max our max_weight);
                 Kostrikov et al. 2021, eq. (7) (their β is 1 / temperature)
    """
    a = real_array("advantage", advantage)
    t = scalar("temperature", temperature, "(0, inf]")
    cap = math.inf if max_weight is None else scalar("max_weight", max_weight, "(0, inf]")
    with np.errstate(over="ignore", under="ignore"):
        # An overflowing exp is inf, and the minimum with a cap is then the cap: no inf reaches an arithmetic operation.
        weight = np.exp(np.zeros(a.shape) if math.isinf(t) else a / t)
    return np.asarray(np.minimum(weight, cap))


def normalized_weights(advantage: ArrayLike, *, temperature: float) -> FloatArray:
    """exp(A_i / t) / Σ_j exp(A_j / t) over the last axis, t = temperature.

    The better the advantage, the larger the share; a constant added to all of a row changes nothing:

    >>> normalized_weights([[0.0, 1.0], [1000.0, 1001.0]], temperature=1.0).round(3)
    array([[0.269, 0.731],
           [0.269, 0.731]])

    advantage    [..., n]  in units of value; entries of +inf share all of the mass, −inf has none unless all are −inf
    temperature  scalar    in (0, inf], in units of value; inf gives 1/n to each
    returns      [..., n]  a share, without unit; each row sums to 1
    raises       ValueError if advantage has NaN, is not real, or has no entry on its last axis; if temperature is out
                 of range
    source       Peng et al. 2019, §3, the weights exp(A / β) over their sum (their β is our temperature)
    """
    a = real_array("advantage", advantage)
    last_axis("advantage", a)
    return _softmax(a, scalar("temperature", temperature, "(0, inf]"))


def weighted_policy_loss(log_prob: ArrayLike, weight: ArrayLike) -> FloatArray:
    """−weight · log π(a|s), element by element.

    A loss, to be *minimised*: that raises the log-probability of heavy actions:

    >>> weighted_policy_loss([-2.0, -1.0], [3.0, 0.0])
    array([6., 0.])

    log_prob  [...]  log π(a|s), in nats; −inf costs inf, or nan at weight 0, as IEEE has 0 · inf
    weight    [...]  ≥ 0, +inf allowed, without unit; a constant: no gradient passes through it
    returns   [...]  in nats
    raises    ValueError if shapes differ, data has NaN or is not real, or a weight is negative
    source    Peng et al. 2019, Algorithm 1, with the sign of a loss; Kostrikov et al. 2021, eq. (7), likewise
    """
    log_p, w = _loss_inputs(log_prob, weight)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(-w * log_p)


def weighted_policy_loss_gradient(log_prob: ArrayLike, weight: ArrayLike) -> FloatArray:
    """∂ weighted_policy_loss / ∂ log π(a|s) = −weight, element by element.

    Never positive: more log-probability, less loss:

    >>> weighted_policy_loss_gradient([-2.0, -1.0], [3.0, 0.5])
    array([-3. , -0.5])

    log_prob  [...]  log π(a|s), in nats
    weight    [...]  ≥ 0, without unit
    returns   [...]  without unit
    raises    ValueError as weighted_policy_loss
    source    the derivative of Peng et al. 2019, Algorithm 1
    """
    return np.asarray(-_loss_inputs(log_prob, weight)[1])


def improved_policy(behavior: ArrayLike, q: ArrayLike, *, temperature: float) -> FloatArray:
    """π(a) = μ(a) · exp(q(a) / t) / Σ_b μ(b) · exp(q(b) / t), t = temperature: argmax_π π·q − t · KL(π ‖ μ).

    Mass moves towards larger q, never onto an action that the behaviour does not take:

    >>> improved_policy([0.5, 0.5, 0.0], [0.0, 1.0, 99.0], temperature=1.0).round(3)
    array([0.269, 0.731, 0.   ])
    >>> improved_policy([0.5, 0.5, 0.0], [0.0, 1.0, 99.0], temperature=float("inf"))
    array([0.5, 0.5, 0. ])

    behavior     [..., A]  μ(·|s), rows that sum to 1
    q            [..., A]  Q(s, ·) or the advantage, in units of value: a constant added to a row changes nothing
    temperature  scalar    in (0, inf], in units of value; inf gives the behaviour itself
    returns      [..., A]  π(·|s), rows that sum to 1; exactly 0 where the behaviour is, whatever q is there;
                           supported +inf share all of the mass, −inf have none unless all supported are −inf
    raises       ValueError if shapes differ, q has NaN or is not real, behavior has a negative entry or a row whose sum
                 is not 1, or temperature is not > 0
    source       Peng et al. 2019, §3 (their β is our temperature); Kozakowski et al. 2021, policy improvement
    """
    mu, value = probability_rows("behavior", behavior), real_array("q", q)
    same_shape("q", value, "behavior", mu.shape)
    t = scalar("temperature", temperature, "(0, inf]")
    if math.isinf(t):
        return mu
    # Actions without support stand on the smallest value: they neither set the shift nor meet an infinity.
    lowest = np.where(mu > 0.0, value, np.inf).min(axis=-1, keepdims=True)
    value = np.where(mu > 0.0, value, lowest)
    scale = _scale(value)
    x = _exponents(_gap(value * scale), t * scale)
    # Mass relative to the heaviest action, exp in two halves: where μ is tiny at the best action, neither exp(x) nor
    # μ · exp(x) may underflow before the division. A power of two keeps even the smallest μ from it, and is exact.
    with np.errstate(divide="ignore"):
        heaviest = np.argmax(np.log(mu) + x, axis=-1)[..., None]
    half = np.exp(0.5 * (x - np.take_along_axis(x, heaviest, axis=-1)))
    share = mu * 2.0**996
    mass = share * half / np.take_along_axis(share, heaviest, axis=-1) * half
    return np.asarray(mass / mass.sum(axis=-1, keepdims=True))


def _loss_inputs(log_prob: ArrayLike, weight: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """The loss's two arrays, checked."""
    log_p, w = real_array("log_prob", log_prob), real_array("weight", weight)
    same_shape("weight", w, "log_prob", log_p.shape)
    refuse_where(w < 0.0, w, "weight", "must not be negative")
    return log_p, w
