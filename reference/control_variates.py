"""Q-Prop: a critic's linear part taken from the policy gradient where it is sampled and given back where it is known.

All gradients are ascent directions of the objective. The sums are exact up to the rounding of their terms.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from reference._checks import FloatArray, choice, finite_array, last_axis, real_array, same_shape, scalar, sized_array
from reference._exact_sums import integers, quotient, total

RULES = ("standard", "optimal", "conservative", "aggressive")


def taylor_control_variate(action: ArrayLike, mean: ArrayLike, action_gradient: ArrayLike) -> FloatArray:
    """C = Σ_d g_d (a_d − μ_d), g = ∇_a Q(s, a) at a = μ(s): the critic's linear part, without Q(s, μ).

    Positive where the action departs from the mean in the direction in which the critic rises, 0 at the mean:

    >>> taylor_control_variate([[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]], [[2.0, 5.0], [2.0, 5.0]])
    array([2., 0.])

    action, mean     [..., D]  a and μ(s), in units of action
    action_gradient  [..., D]  g, in units of value per unit of action, taken at the mean and not at the action
    returns          [...]     in units of value; its mean over a ~ π(·|s) is 0 for any policy of mean μ
    raises           ValueError if shapes differ, D is 0, or data has NaN or is not real
    source           Gu et al. 2017 (Q-Prop), §3.1: their Ā
    """
    a, m, g = real_array("action", action), real_array("mean", mean), real_array("action_gradient", action_gradient)
    last_axis("action", a)
    same_shape("mean", m, "action", a.shape)
    same_shape("action_gradient", g, "action", a.shape)
    with np.errstate(over="ignore", invalid="ignore"):
        return total(g * (a - m))


def control_variate_weight(advantage: ArrayLike, control_variate: ArrayLike, *, rule: str, centered: bool = True) -> FloatArray:
    """η = 1, Cov(A, C) / Var(C), 1[Cov > 0] or sign(Cov), over the last axis: how much of C to subtract from A.

    `optimal` leaves A − η C with the least variance; `conservative` switches C off where it would add to it:

    >>> a, c = [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]], [[2.0, 4.0, 6.0], [0.0, -1.0, -2.0]]
    >>> [control_variate_weight(a, c, rule=r).tolist() for r in ("standard", "optimal", "conservative", "aggressive")]
    [[1.0, 1.0], [0.5, -1.0], [1.0, 0.0], [1.0, -1.0]]

    advantage        [..., n]  A of n actions sampled in one state, in units of value, finite
    control_variate  [..., n]  C of the same actions, in units of value, finite
    rule             str       "standard", "optimal", "conservative" or "aggressive"
    centered         bool      True: population covariance and variance over the n samples, which needs n ≥ 2 but for
                               "standard"; False: mean(A · C) and mean(C²), for a C whose mean is known to be 0, n ≥ 1
    returns          [...]     without unit; correctly rounded and of the exact sign. A constant row has Cov = Var = 0,
                               and Var = 0 gives weight 0 under "optimal"
    raises           ValueError if shapes differ, data is not real, NaN or infinite, n is too small, or rule is none of these
    source           Ross 2002, §8.2 (c*, with the opposite sign); Gu et al. 2017 (Q-Prop), §3.2 and its one-sample
                     estimate (centered=False, n = 1). From the sample that it weighs, η biases q_prop_gradient
    """
    a, c = finite_array("advantage", advantage), finite_array("control_variate", control_variate)
    last_axis("advantage", a)
    same_shape("control_variate", c, "advantage", a.shape)
    choice("rule", rule, RULES)
    if not isinstance(centered, (bool, np.bool_)):
        raise ValueError(f"centered must be True or False; got {centered!r}")
    if rule == "standard":
        return np.ones(a.shape[:-1])
    n = a.shape[-1]
    if centered and n < 2:
        raise ValueError(f"advantage must have at least 2 entries on its last axis; got {n}: one sample needs centered=False")
    pairs = zip(a.reshape(-1, n).tolist(), c.reshape(-1, n).tolist(), strict=True)
    return np.array([_weight(*pair, rule, bool(centered)) for pair in pairs], dtype=np.float64).reshape(a.shape[:-1])


def q_prop_gradient(
    score: ArrayLike,
    advantage: ArrayLike,
    control_variate: ArrayLike,
    weight: ArrayLike,
    action_gradient: ArrayLike,
    mean_jacobian: ArrayLike,
) -> FloatArray:
    """(1/B) Σ_b [ s_b (A_b − w_b C_b) + w_b J_bᵀ g_b ], s = ∇_θ log π(a|s), J = ∂μ/∂θ, g = ∇_a Q(s, μ).

    An ascent direction. What w C takes from the sampled half is on average what w Jᵀg gives back, *added*, so the weight
    must be the same in both halves; with weight 0 it is the plain policy gradient:

    >>> sample = ([[2.0]], [3.0], [1.0])
    >>> [float(q_prop_gradient(*sample, [w], [[4.0]], [[[0.5]]])[0]) for w in (0.0, 1.0)]
    [6.0, 6.0]
    >>> float(q_prop_gradient([[2.0]], [3.0], [0.0], [1.0], [[4.0]], [[[0.5]]])[0])
    8.0

    score            [B, P]     s_b, of all parameters, those of log σ included
    advantage        [B]        A_b, in units of value
    control_variate  [B]        C_b of taylor_control_variate, in units of value
    weight           [B]        w_b of control_variate_weight; the result is unbiased for any that ignores the sampled action
    action_gradient  [B, D]     g_b, in units of value per unit of action, of the critic that C_b comes from
    mean_jacobian    [B, D, P]  J_b, 0 in the columns of log σ
    returns          [P]        in units of value per unit of parameter
    raises           ValueError if shapes do not fit, an axis is empty, or data has NaN or is not real
    source           Gu et al. 2017 (Q-Prop), §3.1 and, with w for their η, §3.2; nothing is rescaled between the halves
    """
    sizes: dict[str, int] = {}
    s = sized_array("score", score, "B P", sizes)
    a = sized_array("advantage", advantage, "B", sizes)
    c = sized_array("control_variate", control_variate, "B", sizes)
    w = sized_array("weight", weight, "B", sizes)
    g = sized_array("action_gradient", action_gradient, "B D", sizes)
    j = sized_array("mean_jacobian", mean_jacobian, "B D P", sizes)
    with np.errstate(over="ignore", invalid="ignore"):
        sampled = s * (a - w * c)[:, None]
        known = w[:, None, None] * (j * g[..., None])
        return total(np.concatenate([sampled, _flat(known)]), axis=0) / len(s)


def mixed_gradient(
    score: ArrayLike, advantage: ArrayLike, action_gradient: ArrayLike, mean_jacobian: ArrayLike, *, on_policy_fraction: float
) -> FloatArray:
    """ν (1/B) Σ_b s_b A_b + (1 − ν) (1/M) Σ_m J_mᵀ g_m, ν = on_policy_fraction.

    An ascent direction. ν weighs the *on-policy* half; the smaller it is, the more the critic's error biases it:

    >>> halves = ([[1.0]], [2.0], [[10.0], [30.0]], [[[1.0]], [[1.0]]])
    >>> [float(mixed_gradient(*halves, on_policy_fraction=f)[0]) for f in (0.0, 0.75, 1.0)]
    [20.0, 6.5, 2.0]

    score               [B, P]     ∇_θ log π(a|s) of B on-policy samples
    advantage           [B]        A_b, in units of value
    action_gradient     [M, D]     ∇_a Q(s, μ(s)) in M states, on-policy or not, in units of value per unit of action
    mean_jacobian       [M, D, P]  ∂μ/∂θ in the same states
    on_policy_fraction  scalar     ν in [0, 1]; 1 does not read the critic's half, 0 not the sampled half
    returns             [P]        in units of value per unit of parameter
    raises              ValueError if shapes do not fit, an axis is empty, data has NaN or is not real, or ν is out of range
    source              Gu et al. 2017 (Interpolated Policy Gradient), §3; their ν weighs the other half: it is 1 − ours
    """
    sizes: dict[str, int] = {}
    s = sized_array("score", score, "B P", sizes)
    a = sized_array("advantage", advantage, "B", sizes)
    g = sized_array("action_gradient", action_gradient, "M D", sizes)
    j = sized_array("mean_jacobian", mean_jacobian, "M D P", sizes)
    nu = scalar("on_policy_fraction", on_policy_fraction, "[0, 1]")
    with np.errstate(over="ignore", invalid="ignore"):
        sampled = np.zeros(s.shape[-1]) if nu == 0.0 else nu * (total(s * a[:, None], axis=0) / len(s))
        known = np.zeros(s.shape[-1]) if nu == 1.0 else (1.0 - nu) * (total(_flat(j * g[..., None]), axis=0) / len(j))
        return np.asarray(sampled + known)


def _flat(rows: FloatArray) -> FloatArray:
    """[B, D, P] as [B · D, P]."""
    return rows.reshape(-1, rows.shape[-1])


def _weight(advantage: list[float], control_variate: list[float], rule: str, centered: bool) -> float:
    """One row's weight, in integers: the signs of Cov and Var are those of the floats given, not of their rounding."""
    x, x_unit = integers(advantage)
    y, y_unit = integers(control_variate)
    covariance = sum(p * q for p, q in zip(x, y, strict=True))
    variance = sum(q * q for q in y)
    if centered:  # both times n², which cancels in their ratio
        covariance = len(x) * covariance - sum(x) * sum(y)
        variance = len(y) * variance - sum(y) ** 2
    if rule == "optimal":
        return quotient(covariance * y_unit, variance * x_unit) if variance > 0 else 0.0
    return float((covariance > 0) - (rule == "aggressive" and covariance < 0))
