"""How far from the best policy an agent that climbs an exact gradient can still be.

Softmax policies, of a bandit (one state, action a pays r(a)) or of any finite MDP. What is left of the gap after so many updates
follows from inequalities, not from simulation, so that a bound is a bound for every implementation.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from reference._checks import finite_array, integer, scalar, sized_array

__all__ = ["natural_gradient_gap", "policy_gradient_gap", "trust_region_gap", "trust_region_growth"]

SMOOTHNESS = 2.5
"""π·r is 5/2-smooth in the logits for r in [0, 1]: Mei et al. 2020, Lemma 2. The step 1 / 2.5 descends the most for sure."""


def policy_gradient_gap(best: ArrayLike, *, gap: float) -> float:
    """δ_T ≤ 1 / (1/δ_0 + Σ_{t<T} π_t(a*)² / 5): gradient ascent with step 2/5 on the logits of π·r, r in [0, 1].

    Each step brings at least |∇|²/5, and |∇| ≥ π(a*) δ. Were the best action certain all along, 5 / T would be left:

    >>> policy_gradient_gap([1.0] * 45, gap=1.0)
    0.1

    best     [T]     π_t(a*), t = 0, …, T − 1: the chance of the best action before each update, in [0, 1]
    gap      scalar  δ_0 = (π* − π_0)·r in (0, 1], in units of reward
    returns  in units of reward
    raises   ValueError if best is not [T] or leaves [0, 1], or gap is out of range
    source   Mei et al. 2020, Theorem 2 and its proof (their c is the least π_t(a*): δ_T ≤ 5 / (c² T))
    """
    chances = sized_array("best", finite_array("best", best), "T", {})
    if chances.min() < 0.0 or chances.max() > 1.0:
        raise ValueError(f"best must lie in [0, 1]; got values from {chances.min()} to {chances.max()}")
    start = scalar("gap", gap, "(0, 1]")
    return float(1.0 / (1.0 / start + np.square(chances).sum() / (2.0 * SMOOTHNESS)))


def trust_region_growth(*, max_kl: float, damping: float, shrink: float) -> float:
    """min( √(2 δ / (1/4 + λ/2)), s √(8 δ) ): by how much each update of TRPO raises the log-odds of the better of two actions.

    The natural step moves them by √(2 δ / (π(1 − π) + λ/2)); KL(old, new) of a change α is at most α²/8, so that the search shrinks
    no step below s √(8 δ):

    >>> round(trust_region_growth(max_kl=0.02, damping=0.0, shrink=0.5), 12)
    0.2
    >>> round(trust_region_growth(max_kl=0.02, damping=1.5, shrink=0.9), 12)
    0.2

    max_kl   scalar  δ in (0, inf), in nats
    damping  scalar  λ in [0, inf)
    shrink   scalar  s in (0, 1)
    returns  in nats
    raises   ValueError if a number is out of range
    source   Schulman et al. 2015 (TRPO), appendix C, for two actions; Hoeffding's lemma
    """
    budget, damp = scalar("max_kl", max_kl, "(0, inf)"), scalar("damping", damping, "[0, inf)")
    factor = scalar("shrink", shrink, "(0, 1)")
    return float(min(math.sqrt(2.0 * budget / (0.25 + 0.5 * damp)), factor * math.sqrt(8.0 * budget)))


def trust_region_gap(updates: int, *, gap: float, odds: float, growth: float) -> float:
    """Δ / (1 + exp(u_0 + T g)): what is left after T updates that raise the log-odds u of the better of two actions by g or more.

    Geometric, where plain gradients leave a gap like 1 / T:

    >>> [round(trust_region_gap(t, gap=1.0, odds=0.0, growth=1.0), 3) for t in (0, 1, 5)]
    [0.5, 0.269, 0.007]

    updates  integer  T ≥ 0
    gap      scalar   Δ = r(a*) − r(a) in (0, inf), in units of reward
    odds     scalar   u_0 = log π_0(a*) − log π_0(a), finite, in nats
    growth   scalar   g of trust_region_growth, in [0, inf), in nats
    returns  in units of reward
    raises   ValueError if a number is out of range
    source   the softmax of two logits
    """
    count, most = integer("updates", updates, 0), scalar("gap", gap, "(0, inf)")
    start, rise = scalar("odds", odds, "(-inf, inf)"), scalar("growth", growth, "[0, inf)")
    return float(most * np.exp(-np.logaddexp(0.0, start + count * rise)))


def natural_gradient_gap(step: ArrayLike, rise: ArrayLike, *, divergence: float, discount: float) -> float:
    """V*(ρ) − V_T(ρ) ≤ (KL_0 + Σ_t c_t (V_{t+1} − V_t)(d*)) / ((1 − γ) Σ_t c_t), logits moving by c_t A_t in every state.

    In each update c_t (1 − γ) (V* − V_t)(ρ) is what KL(π*, π) falls by on average over d*, and log Z_t, which is at most
    c_t (V_{t+1} − V_t)(d*); and no value ever falls. With steps of one length the gap is like 1 / T:

    >>> [natural_gradient_gap([2.0] * t, [0.0] * t, divergence=1.0, discount=0.5) for t in (1, 10)]
    [1.0, 0.1]

    step        [T]     c_t > 0, in nats per unit of value
    rise        [T]     (V_{t+1} − V_t)(d*) ≥ 0, over the states that the best policy visits from ρ, in units of value
    divergence  scalar  KL_0, of π* and the first policy, on average over d*, in [0, inf), in nats
    discount    scalar  γ in [0, 1)
    returns     in units of value
    raises      ValueError if shapes do not fit, or a number is out of range
    source      Agarwal et al. 2021, §5.3 (natural policy gradient), the proof of its rate with a step size for each update
    """
    sizes: dict[str, int] = {}
    lengths, rises = (sized_array(name, finite_array(name, x), "T", sizes) for name, x in (("step", step), ("rise", rise)))
    if lengths.min() <= 0.0 or rises.min() < 0.0:
        raise ValueError(f"step must be positive and rise not negative; got {lengths.min()} and {rises.min()}")
    start, gamma = scalar("divergence", divergence, "[0, inf)"), scalar("discount", discount, "[0, 1)")
    return float((start + lengths @ rises) / ((1.0 - gamma) * lengths.sum()))
