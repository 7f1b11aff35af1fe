"""Policy gradients and the actors' losses: score-function, clipped, deterministic and soft.

Losses are to be minimised; clipped_surrogate is an objective and the gradients [P] are ascent directions, both to be
followed upwards. ±inf data follow IEEE unless said otherwise.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from reference._checks import BoolArray, FloatArray, real_array, same_shape, scalar, sized_array
from reference._exact_sums import times_exp, total


class SoftPolicyGradient(NamedTuple):
    """The gradient of soft_policy_loss in each of its three arrays."""

    q1: FloatArray
    q2: FloatArray
    log_prob: FloatArray


def reinforce_loss(log_prob: ArrayLike, advantage: ArrayLike) -> FloatArray:
    """−log π(a|s) · A, element by element.

    A loss: minimised, it makes actions of positive advantage likelier and those of negative advantage less likely:

    >>> reinforce_loss([-2.0, -2.0], [3.0, -1.0])
    array([ 6., -2.])

    log_prob   [...]  log π(a|s), in nats
    advantage  [...]  A, in units of value, of any sign; a constant: no gradient passes through it
    returns    [...]  in nats times units of value
    raises     ValueError if shapes differ, or data has NaN or is not real
    source     Williams 1992, §4; Sutton & Barto 2018, eq. (13.11), with the sign of a loss
    """
    log_p, a = _pair("log_prob", log_prob, "advantage", advantage)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(-log_p * a)


def reinforce_loss_gradient(log_prob: ArrayLike, advantage: ArrayLike) -> FloatArray:
    """∂ reinforce_loss / ∂ log π(a|s) = −A, element by element.

    Against the advantage, as it is followed downwards:

    >>> reinforce_loss_gradient([-2.0, -2.0], [3.0, -1.0])
    array([-3.,  1.])

    log_prob   [...]  log π(a|s), in nats
    advantage  [...]  A, in units of value
    returns    [...]  in units of value
    raises     ValueError as reinforce_loss
    source     the derivative of Williams 1992, §4
    """
    return np.asarray(-_pair("log_prob", log_prob, "advantage", advantage)[1])


def clipped_surrogate(log_ratio: ArrayLike, advantage: ArrayLike, *, clip: float) -> FloatArray:
    """min( ρ A, clip(ρ, 1 − c, 1 + c) · A ), ρ = exp(log_ratio), c = clip, element by element.

    An objective, to be *maximised*. It stops rewarding a good action beyond 1 + c and a bad one below 1 − c, but never
    forgives a ratio on the wrong side:

    >>> clipped_surrogate([1e4, 1e4, -1e4, -1e4], [1.0, -1.0, 1.0, -1.0], clip=0.25)
    array([ 1.25,  -inf,  0.  , -0.75])

    log_ratio  [...]   log π(a|s) − log π_old(a|s), in nats; ρ may be 0 or beyond the float range
    advantage  [...]   A, in units of value; a constant: no gradient passes through it. Where it is 0, so is the result
    clip       scalar  c in (0, 1), without unit
    returns    [...]   in units of value, never above ρ A; no nan but at A = ±inf where ρ is 0
    raises     ValueError if shapes differ, data has NaN or is not real, or clip is out of range
    source     Schulman et al. 2017 (PPO), eq. (7) (their ε is our clip)
    """
    ratio, a = _pair("log_ratio", log_ratio, "advantage", advantage)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.where(_is_clipped(ratio, a, clip), (1.0 + np.sign(a) * clip) * a, times_exp(a, ratio))


def clipped_surrogate_gradient(log_ratio: ArrayLike, advantage: ArrayLike, *, clip: float) -> FloatArray:
    """∂ clipped_surrogate / ∂ log_ratio = ρ A where ρ A ≤ clip(ρ, 1 − c, 1 + c) · A, else 0, element by element.

    0 outside the clip on the improving side only; on the other side it still leads back:

    >>> clipped_surrogate_gradient([1.0, 1.0, -1.0, -1.0], [1.0, -1.0, 1.0, -1.0], clip=0.25).round(3)
    array([ 0.   , -2.718,  0.368,  0.   ])

    log_ratio  [...]   log π(a|s) − log π_old(a|s), in nats
    advantage  [...]   A, in units of value
    clip       scalar  c in (0, 1), without unit
    returns    [...]   in units of value, with the sign of A; at an edge of the clip the unclipped branch's ρ A
    raises     ValueError as clipped_surrogate
    source     the derivative of Schulman et al. 2017 (PPO), eq. (7)
    """
    ratio, a = _pair("log_ratio", log_ratio, "advantage", advantage)
    return np.where(_is_clipped(ratio, a, clip), 0.0, times_exp(a, ratio))


def deterministic_policy_gradient(action_gradient: ArrayLike, policy_jacobian: ArrayLike) -> FloatArray:
    """(1/B) Σ_b J_bᵀ g_b, J = ∂μ/∂θ, g = ∇_a Q(s, a) at a = μ(s).

    An ascent direction: parameters move the action to where the critic rises, on average over the states:

    >>> deterministic_policy_gradient([[2.0], [4.0]], [[[1.0, 0.0]], [[0.0, 1.0]]])
    array([1., 2.])

    action_gradient  [B, D]     g_b, in units of value per unit of action
    policy_jacobian  [B, D, P]  J_b, in units of action per unit of parameter
    returns          [P]        in units of value per unit of parameter
    raises           ValueError if shapes do not fit, an axis is empty, or data has NaN or is not real
    source           Silver et al. 2014, Theorem 1; Lillicrap et al. 2016, eq. (6)
    """
    sizes: dict[str, int] = {}
    g = sized_array("action_gradient", action_gradient, "B D", sizes)
    j = sized_array("policy_jacobian", policy_jacobian, "B D P", sizes)
    with np.errstate(over="ignore", invalid="ignore"):
        return total((j * g[..., None]).reshape(-1, sizes["P"]), axis=0) / sizes["B"]


def compatible_features(action: ArrayLike, mean: ArrayLike, policy_jacobian: ArrayLike) -> FloatArray:
    """φ_b = J_bᵀ (a_b − μ_b), J = ∂μ/∂θ.

    A critic w·φ has ∇_a Q = J w; its features are 0 at the mean and change sign with a − μ:

    >>> compatible_features([[3.0], [-1.0]], [[1.0], [1.0]], [[[1.0, 0.5]], [[1.0, 0.5]]])
    array([[ 2.,  1.],
           [-2., -1.]])

    action, mean     [B, D]     a_b and μ_b, in units of action
    policy_jacobian  [B, D, P]  J_b, in units of action per unit of parameter
    returns          [B, P]     in units of action² per unit of parameter
    raises           ValueError as deterministic_policy_gradient
    source           Silver et al. 2014, §4.3 and Theorem 3
    """
    sizes: dict[str, int] = {}
    a, m = sized_array("action", action, "B D", sizes), sized_array("mean", mean, "B D", sizes)
    j = sized_array("policy_jacobian", policy_jacobian, "B D P", sizes)
    with np.errstate(over="ignore", invalid="ignore"):
        return total(j * (a - m)[..., None], axis=1)


def soft_policy_loss(q1: ArrayLike, q2: ArrayLike, log_prob: ArrayLike, *, entropy_coefficient: float) -> FloatArray:
    """α · log π(a|s) − min(Q1, Q2)(s, a), α = entropy_coefficient, element by element.

    A loss: it falls as the more pessimistic critic rises, and an unlikely action (log π < 0) costs *less*:

    >>> soft_policy_loss([6.0, 6.0], [5.0, 7.0], [-2.0, 1.0], entropy_coefficient=0.5)
    array([-6. , -5.5])

    q1, q2               [...]   the twin critics at the same (s, a), a drawn from the current policy, in units of value
    log_prob             [...]   log π(a|s), in nats
    entropy_coefficient  scalar  α in [0, inf), in units of value per nat
    returns              [...]   in units of value
    raises               ValueError if shapes differ, data has NaN or is not real, or α is negative or infinite
    source               Haarnoja et al. 2018 (arXiv 1812.05905), eq. (7), with the twins of its Algorithm 1
    """
    first, second, log_p, alpha = _soft_inputs(q1, q2, log_prob, entropy_coefficient)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(alpha * log_p - np.minimum(first, second))


def soft_policy_loss_gradient(
    q1: ArrayLike, q2: ArrayLike, log_prob: ArrayLike, *, entropy_coefficient: float
) -> SoftPolicyGradient:
    """∂ soft_policy_loss / ∂Q1 = −1[Q1 < Q2], / ∂Q2 = −1[Q2 < Q1], −½ each at a tie, / ∂ log π = α.

    Only the smaller critic is raised, and the log-probability is lowered:

    >>> gradient = soft_policy_loss_gradient([6.0, 5.0], [5.0, 5.0], [-2.0, 0.0], entropy_coefficient=0.25)
    >>> [part.tolist() for part in gradient]
    [[0.0, -0.5], [-1.0, -0.5], [0.25, 0.25]]

    q1, q2               [...]   the twin critics, in units of value
    log_prob             [...]   log π(a|s), in nats
    entropy_coefficient  scalar  α in [0, inf), in units of value per nat
    returns              q1, q2 [...] without unit, log_prob [...] in units of value per nat
    raises               ValueError as soft_policy_loss
    source               the derivatives of Haarnoja et al. 2018 (arXiv 1812.05905), eq. (7)
    """
    first, second, log_p, alpha = _soft_inputs(q1, q2, log_prob, entropy_coefficient)
    share = np.where(first == second, 0.5, np.where(first < second, 1.0, 0.0))
    return SoftPolicyGradient(q1=0.0 - share, q2=share - 1.0, log_prob=np.full(log_p.shape, alpha))


def temperature_loss(log_prob: ArrayLike, *, log_coefficient: float, target_entropy: float) -> FloatArray:
    """−exp(log_coefficient) · (log π(a|s) + target_entropy), element by element.

    A loss in log_coefficient = log α: an action less likely than the target asks (−log π > target_entropy) lets α fall,
    a likelier one makes it grow:

    >>> temperature_loss([-3.0, 1.0], log_coefficient=0.0, target_entropy=1.0)
    array([ 2., -2.])

    log_prob         [...]   log π(a|s), in nats; a constant: no gradient passes through it
    log_coefficient  scalar  log α, finite
    target_entropy   scalar  the entropy below which α is to grow, finite, in nats; often −D
    returns          [...]   in units of value
    raises           ValueError if log_prob has NaN or is not real, or a number is not finite
    source           Haarnoja et al. 2018 (arXiv 1812.05905), eq. (18), with α = exp(log_coefficient)
    """
    log_p = real_array("log_prob", log_prob)
    exponent = scalar("log_coefficient", log_coefficient, "(-inf, inf)")
    surplus = log_p + scalar("target_entropy", target_entropy, "(-inf, inf)")
    return times_exp(0.0 - surplus, np.full(log_p.shape, exponent))


def temperature_loss_gradient(log_prob: ArrayLike, *, log_coefficient: float, target_entropy: float) -> FloatArray:
    """∂ temperature_loss / ∂ log_coefficient = −exp(log_coefficient) · (log π(a|s) + target_entropy), element by element.

    The chain factor α is in it. Positive, so that α falls, where the action was less likely than the target asks:

    >>> temperature_loss_gradient([-3.0, 1.0], log_coefficient=0.6931471805599453, target_entropy=1.0).round(9)
    array([ 4., -4.])

    log_prob         [...]   log π(a|s), in nats
    log_coefficient  scalar  log α, finite
    target_entropy   scalar  finite, in nats
    returns          [...]   in units of value; equal to the loss, as exp is its own derivative
    raises           ValueError as temperature_loss
    source           the derivative of Haarnoja et al. 2018 (arXiv 1812.05905), eq. (18)
    """
    return temperature_loss(log_prob, log_coefficient=log_coefficient, target_entropy=target_entropy)


def _pair(name: str, value: ArrayLike, other: str, other_value: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Two arrays of one shape, checked."""
    first, second = real_array(name, value), real_array(other, other_value)
    same_shape(other, second, name, first.shape)
    return first, second


def _is_clipped(log_ratio: FloatArray, advantage: FloatArray, clip: float) -> BoolArray:
    """Whether the clipped branch is strictly the smaller: told by ρ itself, as ρ A may be nan or round to a tie."""
    c = scalar("clip", clip, "(0, 1)")
    with np.errstate(over="ignore", under="ignore"):
        ratio = np.exp(log_ratio)
    return np.asarray(((advantage > 0.0) & (ratio > 1.0 + c)) | ((advantage < 0.0) & (ratio < 1.0 - c)))


def _soft_inputs(
    q1: ArrayLike, q2: ArrayLike, log_prob: ArrayLike, entropy_coefficient: float
) -> tuple[FloatArray, FloatArray, FloatArray, float]:
    """The soft policy loss's arguments, checked."""
    first, second = _pair("q1", q1, "q2", q2)
    log_p = real_array("log_prob", log_prob)
    same_shape("log_prob", log_p, "q1", first.shape)
    return first, second, log_p, scalar("entropy_coefficient", entropy_coefficient, "[0, inf)")
