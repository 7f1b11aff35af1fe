"""Policy gradients and control variates in exact arithmetic: enumerated softmax policies, Gaussian policies by their moments.

None of these uses a score function where the claim under trial does: expectations are differentiated as what they are, rational
functions of the softmax probabilities, or polynomials in mean and standard deviation.
"""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product
from typing import Any, NamedTuple

import mpmath
import numpy as np

from properties._oracles import Exact, exact, oracle

DIGITS = 50


def exponents(dimensions: int, degree: int) -> list[tuple[int, ...]]:
    """The monomials in `dimensions` variables up to total degree `degree`, as powers."""
    return [powers for powers in product(range(degree + 1), repeat=dimensions) if sum(powers) <= degree]


class Moments(NamedTuple):
    """What a Gaussian policy at one state makes of a polynomial, exactly."""

    expectation: Fraction
    by_mean: list[Fraction]
    by_log_std: list[Fraction]


@oracle(
    method="fractions.Fraction",
    derivation="E (m + s Z)^k = sum over j of C(k, 2j) (2j - 1)!! m^(k-2j) s^(2j); its derivatives k E a^(k-1) by m, and "
    "k (k-1) s^2 E a^(k-2) by log s (the heat equation)",
    identities="E a = m, E a^2 = m^2 + s^2; the derivative of E a by the mean is 1; of E a^2 by log s is 2 s^2",
)
def gaussian_moments(coefficients: Any, degree: int, mean: Any, std: Any) -> Moments:
    """E A(a) of a polynomial under N(mean, diag(std^2)), and its derivatives by mean and log std; [D] each."""
    m, s = [Fraction(float(x)) for x in mean], [Fraction(float(x)) for x in std]
    power = [[_power(m[d], s[d], k) for k in range(degree + 1)] for d in range(len(m))]
    total, by_mean, by_log = Fraction(0), [Fraction(0)] * len(m), [Fraction(0)] * len(m)
    for coefficient, powers in zip(coefficients, exponents(len(m), degree), strict=True):
        c = Fraction(float(coefficient))
        if not c:
            continue
        total += c * math.prod((power[d][k] for d, k in enumerate(powers)), start=Fraction(1))
        for d, k in enumerate(powers):
            others = c * math.prod((power[e][j] for e, j in enumerate(powers) if e != d), start=Fraction(1))
            by_mean[d] += others * (k * power[d][k - 1] if k else 0)
            by_log[d] += others * (k * (k - 1) * s[d] ** 2 * power[d][k - 2] if k > 1 else 0)
    return Moments(total, by_mean, by_log)


def _power(m: Fraction, s: Fraction, k: int) -> Fraction:
    """E (m + s Z)^k."""
    odd = [math.prod(range(1, 2 * j, 2)) for j in range(k // 2 + 1)]
    return sum((math.comb(k, 2 * j) * odd[j] * m ** (k - 2 * j) * s ** (2 * j) for j in range(k // 2 + 1)), Fraction(0))


@oracle(
    method="fractions.Fraction",
    derivation="the chain rule on E A(a) under N(mean(theta), std(theta)): the derivatives by mean and log std times their "
    "Jacobians, averaged over states; no score function",
    identities="A(a) = a gives the mean's Jacobian; a constant A gives 0",
)
def gaussian_policy_gradient(
    coefficients: Any, degree: int, mean: Any, std: Any, mean_jacobian: Any, log_std_jacobian: Any
) -> Exact:
    """d/d theta of the mean over states of E A(a): coefficients [S, terms], mean and std [S, D], Jacobians [S, D, P] -> [P]."""
    total = exact(np.zeros(mean_jacobian.shape[-1]))
    for c, m, s, j, k in zip(coefficients, mean, std, exact(mean_jacobian), exact(log_std_jacobian), strict=True):
        part = gaussian_moments(c, degree, m, s)
        total = total + (j * np.array(part.by_mean, dtype=object)[:, None]).sum(axis=0)
        total = total + (k * np.array(part.by_log_std, dtype=object)[:, None]).sum(axis=0)
    return np.asarray(total / len(mean))


@oracle(
    method="enumeration, fractions.Fraction",
    derivation="the quotient rule on sum of p_a A_a, p = exp(theta) / sum exp(theta): p_k (A_k - sum p A); no score function",
    identities="sums to 0 over k; a constant A gives 0; shifting A changes nothing",
)
def softmax_policy_gradient(probability: Any, advantage: Any) -> Exact:
    """d/d logits of the mean over states of sum_a p_a A_a: probability and advantage [S, A] -> [A]."""
    p, a = exact(probability), exact(advantage)
    centred = a - (p * a).sum(axis=-1, keepdims=True)
    return np.asarray((p * centred).sum(axis=0) / len(p))


@oracle(
    method="fractions.Fraction",
    derivation="Gu et al. 2017 (Q-Prop), §3.2, written out: mean over b of score_b (A_b - w_b C_b) + w_b J_b' g_b",
    identities="weight 0 gives the mean of score A; score 0 gives the mean of w J'g",
)
def q_prop_by_fractions(
    score: Any, advantage: Any, control_variate: Any, weight: Any, action_gradient: Any, mean_jacobian: Any
) -> Exact:
    """The Q-Prop estimate of a batch: [B, P], [B], [B], [B], [B, D], [B, D, P] -> [P]."""
    s, a, c, w = exact(score), exact(advantage), exact(control_variate), exact(weight)
    analytic = (exact(mean_jacobian) * exact(action_gradient)[..., None]).sum(axis=1)
    return np.asarray((s * (a - w * c)[:, None] + w[:, None] * analytic).sum(axis=0) / len(a))


class Spread(NamedTuple):
    """Second moments of paired samples, each [...]."""

    covariance: Any
    variance: Any
    other: Any


@oracle(
    method="fractions.Fraction",
    derivation="Ross 2002, Simulation, §8.2: Cov and Var of equally likely samples, or about a known mean of 0",
    identities="Cov(f, f) = Var f; a constant has none; centring changes nothing where both means are 0",
)
def second_moments(advantage: Any, control_variate: Any, *, centered: bool) -> Spread:
    """Cov(A, C), Var C and Var A over the last axis, each sample as likely as another."""
    a, c = exact(advantage), exact(control_variate)
    n = a.shape[-1]
    if centered:
        a = a - a.sum(axis=-1, keepdims=True) / n
        c = c - c.sum(axis=-1, keepdims=True) / n
    return Spread((a * c).sum(axis=-1) / n, (c * c).sum(axis=-1) / n, (a * a).sum(axis=-1) / n)


@oracle(
    method="enumeration, fractions.Fraction",
    derivation="the definition: sum p x^2 - (sum p x)^2, summed over the entries of x",
    identities="a constant has none; a fair coin of 0 and 1 has 1/4",
)
def total_variance(probability: Any, outcomes: Any) -> Fraction:
    """The variance of a drawn vector, summed over its entries: probability [n], outcomes [n, P] (Fractions or floats)."""
    p, x = exact(probability), np.asarray(outcomes, dtype=object)
    mean = (p[:, None] * x).sum(axis=0)
    return Fraction(((p[:, None] * x * x).sum(axis=0) - mean * mean).sum())


def as_fraction(number: Any) -> Fraction:
    """The rational number that a number of mpmath is."""
    return Fraction(*map(int, mpmath.libmp.to_rational(mpmath.mpf(number)._mpf_)))


def partial_moments(low: float, high: float, degree: int) -> list[Fraction]:
    """The integrals of z^k phi(z) over [low, high], k = 0 to degree, to 50 digits: M_k = (k-1) M_(k-2) - [z^(k-1) phi(z)]."""
    with mpmath.workdps(DIGITS):
        edge = [(mpmath.mpf(z), mpmath.npdf(z) if mpmath.isfinite(z) else mpmath.mpf(0)) for z in (low, high)]
        moments = [mpmath.ncdf(edge[1][0]) - mpmath.ncdf(edge[0][0])]
        for k in range(1, degree + 1):
            ends = [density * (z ** (k - 1) if density else 0) for z, density in edge]
            moments.append((k - 1) * (moments[k - 2] if k > 1 else 0) + ends[0] - ends[1])
        return [as_fraction(moment) for moment in moments]


@oracle(
    method="mpmath at 50 digits",
    derivation="A = c (z - r) and C = g z under z ~ N(0, 1): the weight is constant between 0 and r, so the bias E[w (1 - z^2)] g "
    "is a sum of integrals of (1 - z^2) phi = (z phi)'",
    identities="r = 1, g = c = 1 gives -phi(1) for conservative and -2 phi(1) for aggressive; r = 0 gives 0",
)
def coupled_bias_of_a_gaussian(root: float, slope: float, gradient: float, *, rule: str) -> Fraction:
    """The bias of Q-Prop by the mean where the weight is the very action's: A = slope (z - root), C = gradient z, z ~ N(0, 1)."""
    with mpmath.workdps(DIGITS):
        inside = abs(mpmath.mpf(root)) * mpmath.npdf(root) * (1 if root else 0)
        same = slope * gradient > 0
        weight = {"conservative": (0, 1), "aggressive": (-1, 1)}[rule]
        between, outside = weight if same else weight[::-1]
        return as_fraction(mpmath.mpf(gradient) * (between - outside) * inside)
