"""How far from its fixed point a table may be after k gradient steps on exact data: recursions, with their proofs.

The public names are re-exported by agents. Exact data: the batch holds each (s, a, s') as often as d(s,a)·P(s'|s,a)
says, so that a target's mean over the batch is its expectation. All distances are suprema over the pairs of the data
(d > 0) and over its states; whatever a target bootstraps from must lie among those, or be cut by a termination.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from numpy.typing import ArrayLike

from reference._checks import choice, integer, non_negative, refuse_where, scalar

ORDERS = ("author", "simultaneous", "target_first")


class Errors(NamedTuple):
    """Suprema of the distances to the fixed point, in units of value; `value` is not read where no value is learned."""

    critic: float
    target: float
    value: float = 0.0


def step_range(weight: ArrayLike, *, learning_rate: float, scale: float = 2.0) -> tuple[float, float]:
    """c(s,a) = scale · learning_rate · d(s,a), the smallest and the largest where d > 0.

    One gradient step on Σ d(s,a)·(y − Q(s,a))² moves each entry by c of the way to its target's mean:

    >>> step_range([[0.5, 0.0], [0.25, 0.25]], learning_rate=0.5)
    (0.25, 0.5)

    weight         [S, A]  d, the share of each pair in the batch, >= 0 and finite; or [S], of each state
    learning_rate  scalar  in (0, inf)
    scale          scalar  2 for the mean of squares, 1 for half of it
    returns        two scalars, the range that learning_errors takes
    raises         ValueError if weight has no positive entry, is negative, infinite or NaN, or a scalar is out of range
    source         the derivative of the mean squared error in one entry of the table
    """
    share = non_negative("weight", weight)
    refuse_where(share.max(keepdims=True) <= 0.0, share.max(keepdims=True), "weight", "must have a positive entry")
    rate = scalar("learning_rate", learning_rate, "(0, inf)") * scalar("scale", scale, "(0, inf)")
    steps = rate * share[share > 0.0]
    return float(steps.min()), float(steps.max())


def value_step_range(weight: ArrayLike, *, learning_rate: float, expectile: float) -> tuple[float, float]:
    """κ(s) between 2·learning_rate·d(s)·min(τ, 1 − τ) and 2·learning_rate·d(s)·max(τ, 1 − τ), τ = expectile, d(s) = Σ_a d(s,a).

    At 1/2 an expectile step is an ordinary one on half the squared error:

    >>> value_step_range([[0.5, 0.5]], learning_rate=0.5, expectile=0.5)
    (0.5, 0.5)
    >>> tuple(round(k, 6) for k in value_step_range([[0.5, 0.5]], learning_rate=0.5, expectile=0.9))
    (0.1, 0.9)

    weight         [S, A]  d, the share of each pair in the batch, >= 0 and finite
    learning_rate  scalar  in (0, inf)
    expectile      scalar  in (0, 1)
    returns        two scalars, the range that learning_errors takes
    raises         ValueError as step_range, or expectile outside (0, 1)
    source         the derivative of Kostrikov et al. 2021, eq. 5, in one entry of the table; see learning_errors
    """
    level = scalar("expectile", expectile, "(0, 1)")
    low, high = step_range(non_negative("weight", weight).sum(axis=-1), learning_rate=learning_rate)
    return low * min(level, 1.0 - level), high * max(level, 1.0 - level)


def learning_errors(
    updates: int,
    start: Errors,
    *,
    discount: float,
    critic_step: tuple[float, float],
    value_step: tuple[float, float] | None = None,
    polyak_step: float = 1.0,
    target_period: int = 1,
    order: str = "author",
    roundoff: float = 0.0,
) -> Errors:
    """e_q ← max_c |1 − c|·e_q + c·γ·e_boot;  e_v ← max_κ |1 − κ|·e_v + κ·e_t;  e_t ← (1 − p)·e_t + p·e_q: after k updates.

    e_boot is the value's error where a value is learned (IQL), else the target's (Q-learning, SARSA, DQN). Value
    iteration is the plain case: every update multiplies the error by γ.

    >>> learning_errors(3, Errors(8.0, 8.0), discount=0.5, critic_step=(1.0, 1.0)).critic
    1.0

    A slow target delays:

    >>> learning_errors(3, Errors(8.0, 8.0), discount=0.5, critic_step=(1.0, 1.0), polyak_step=0.5).critic
    2.25

    updates        integer  k >= 0
    start          Errors   suprema of the distances at the start
    discount       scalar   γ in [0, 1]; γ^n for n-step targets
    critic_step    two scalars  the range of c, 0 <= low <= high, as step_range
    value_step     two scalars, or None where no value is learned: the range of κ, as value_step_range
    polyak_step    scalar   p in [0, 1], of each update of the target
    target_period  integer  the target moves at every target_period-th update
    order          str      "author": value, critic with the new value, target. "simultaneous": value and critic with the
                            old value, target. "target_first": target, then value and critic with the old value
    roundoff       scalar   >= 0: what rounding adds to each block in each update, in units of value
    returns        Errors   upper bounds on the three distances; they shrink only if c < 2 / (1 + γ), without a value, and
                            κ <= 1 or little more
    raises         ValueError if a scalar is out of range or order is unknown
    source         Bertsekas & Tsitsiklis 1996, §4.3 (sup-norm contractions); the proofs are in the code
    """
    k, period = integer("updates", updates, 0), integer("target_period", target_period, 1)
    gamma, p = scalar("discount", discount, "[0, 1]"), scalar("polyak_step", polyak_step, "[0, 1]")
    critics, values = _range("critic_step", critic_step), None if value_step is None else _range("value_step", value_step)
    noise, first = scalar("roundoff", roundoff, "[0, inf)"), choice("order", order, ORDERS) == "target_first"
    q, t, v = (scalar(f"start.{name}", getattr(start, name), "[0, inf)") for name in Errors._fields)
    for update in range(1, k + 1):
        # Target: T' − Q° = (1 − p)(T − Q°) + p(Q − Q°), entry by entry.
        if first and update % period == 0:
            t = (1.0 - p) * t + p * q + noise
        before = v
        # Value: φ(u) = |τ − 1[u < 0]|·u rises everywhere, with slopes between min(τ, 1 − τ) and max(τ, 1 − τ). At the fixed
        # point Σ_a d φ(Q° − V°) = 0, so the step V' = V + 2·rate·Σ_a d φ(T − V) has
        #   V' − V° = (V − V°) + 2·rate·Σ_a d·slope_a·[(T_a − Q°_a) − (V − V°)] = (1 − κ)(V − V°) + Σ_a κ_a (T_a − Q°_a)
        # with κ_a = 2·rate·d·slope_a >= 0 and κ their sum. The smaller of twins is no farther from Q° than the farther twin:
        # |min(x, y) − z| ≤ max(|x − z|, |y − z|).
        if values is not None:
            v = max(abs(1.0 - kappa) * v + kappa * t for kappa in values) + noise
        # Critic: Q' − Q° = (1 − c)(Q − Q°) + c·(y − Q°), and y − Q° = γ P (bootstrap − its fixed point), where the maximum,
        # an average, an expectile and the smaller of twins are all non-expansions. |1 − c|·e + c·γ·e' is convex in c: its
        # maximum over a range is at an end. Every right-hand side rises in the errors, so bounds may stand for them.
        boot = t if values is None else (v if order == "author" else before)
        q = max(abs(1.0 - c) * q + c * gamma * boot for c in critics) + noise
        if not first and update % period == 0:
            t = (1.0 - p) * t + p * q + noise
    return Errors(q, t, v)


def double_q_errors(
    updates: int,
    error: float,
    difference: float,
    *,
    discount: float,
    critic_step: tuple[float, float],
    roundoff: float = 0.0,
) -> tuple[float, float]:
    """d ← max_c (1 − c + c·γ)·d;  e ← max_c (1 − c)·e + c·γ·(e + d): double Q-learning whose two tables both learn each time.

    Equal tables are Q-learning, and stay equal; unequal ones first have to agree:

    >>> double_q_errors(2, 8.0, 0.0, discount=0.5, critic_step=(1.0, 1.0))
    (2.0, 0.0)
    >>> double_q_errors(2, 8.0, 4.0, discount=0.5, critic_step=(1.0, 1.0))
    (4.0, 1.0)

    updates      integer  k >= 0
    error        scalar   e >= 0, the largest distance of either table to Q*, in units of value
    difference   scalar   d >= 0, the largest distance between the tables, in units of value
    discount     scalar   γ in [0, 1]
    critic_step  two scalars  the range of c within [0, 1]
    roundoff     scalar   >= 0: what rounding adds to each entry in each update, in units of value
    returns      (e, d)   upper bounds after k updates
    raises       ValueError if a scalar is out of range
    source       van Hasselt 2010, the proof of theorem 1 (there in expectation over the coin)
    """
    k, gamma, noise = (
        integer("updates", updates, 0),
        scalar("discount", discount, "[0, 1]"),
        scalar("roundoff", roundoff, "[0, inf)"),
    )
    e, d = scalar("error", error, "[0, inf)"), scalar("difference", difference, "[0, inf)")
    low, high = _range("critic_step", critic_step)
    scalar("critic_step", high, "[0, 1]")
    for _ in range(k):
        # Let a and b maximise A and B in s'. A's target has B(a), B's has A(b). As B(a) ≤ B(b) and A(b) ≤ A(a),
        #   A(a) − B(a) ≤ d  and  −d ≤ B(a) − A(a) ≤ B(a) − A(b) ≤ B(b) − A(b) ≤ d,
        # so the targets differ by γ·d at most, and A's lies within γ·d of r + γ·max A, whose error is γ·e.
        e = max((1.0 - c) * e + c * gamma * (e + d) for c in (low, high)) + noise
        d = max((1.0 - c + c * gamma) * d for c in (low, high)) + 2.0 * noise
    return e, d


class SoftErrors(NamedTuple):
    """Of critics and targets suprema of the distances to the soft fixed point, in units of value; and two of lags.

    lag  of |x − ΔQ / α|, x = log π(1|s) − log π(0|s), Q the smaller critic, ΔQ = Q(s,1) − Q(s,0); without unit
    gap  of the distance between critics and their targets, in units of value
    """

    critic: float
    target: float
    lag: float = 0.0
    gap: float = 0.0


def policy_step_range(
    weight: ArrayLike, *, learning_rate: float, entropy_coefficient: float, largest_logit: float
) -> tuple[float, float]:
    """c(s) = 2 · learning_rate · d(s) · α · π(0|s) π(1|s), where |log π(1|s) − log π(0|s)| ≤ largest_logit.

    One gradient step of two logits down Σ_s d(s) Σ_a π (α log π − Q) moves the difference of the logits by c of the way
    to (Q(s,1) − Q(s,0)) / α. It is slow where the policy is nearly certain:

    >>> tuple(round(c, 4) for c in policy_step_range([0.5, 0.5], learning_rate=2.0, entropy_coefficient=0.5, largest_logit=2.0))
    (0.105, 0.25)

    weight               [S]     d(s), the share of each state in the batch, >= 0 and finite
    learning_rate        scalar  in (0, inf)
    entropy_coefficient  scalar  α in (0, inf), in units of value per nat
    largest_logit        scalar  in [0, 700]
    returns              two scalars, the range that soft_learning_errors takes
    raises               ValueError as step_range, or if a scalar is out of range
    source               the derivative of Haarnoja et al. 2018 (arXiv 1812.05905), eq. (7), in a softmax of two logits
    """
    alpha = scalar("entropy_coefficient", entropy_coefficient, "(0, inf)")
    low, high = step_range(weight, learning_rate=learning_rate, scale=2.0 * alpha)
    # π(0) π(1) = 1 / (2 + 2 cosh x) with x the difference of the logits.
    return low / (2.0 + 2.0 * math.cosh(scalar("largest_logit", largest_logit, "[0, 700]"))), high / 4.0


def soft_learning_errors(
    updates: int,
    start: SoftErrors,
    *,
    discount: float,
    entropy_coefficient: float,
    critic_step: tuple[float, float],
    policy_step: tuple[float, float],
    polyak_step: float = 1.0,
    roundoff: float = 0.0,
) -> SoftErrors:
    """e_b = e_t + α·(l + 2·g / α)² / 8;  e_q ← max_c |1 − c|·e_q + c·γ·e_b;  l ← max_c (1 − c)·(l + 2·δ / α);  then targets.

    Discrete SAC with two actions: critics, then the policy with the new critics, then the targets. δ = c·(e_q + γ·e_b) is
    how far a critic moves, g and l are how far target and policy trail behind. A policy that trails costs value in the
    second order only:

    >>> options = {"discount": 0.5, "entropy_coefficient": 1.0, "critic_step": (1.0, 1.0), "policy_step": (0.0, 0.0)}
    >>> [soft_learning_errors(1, SoftErrors(8.0, 8.0, lag), **options).critic for lag in (0.0, 0.5, 1.0)]
    [4.0, 4.015625, 4.0625]

    updates              integer     k >= 0
    start                SoftErrors  at the start
    discount             scalar      γ in [0, 1]
    entropy_coefficient  scalar      α in (0, inf), in units of value per nat
    critic_step          two scalars the range of c, as step_range
    policy_step          two scalars the range of c within [0, 1], as policy_step_range
    polyak_step          scalar      p in [0, 1], of each update of the target
    roundoff             scalar      >= 0: what rounding adds to each block in each update
    returns              SoftErrors  upper bounds; |x − x°| is at most lag + 2·critic / α
    raises               ValueError if a scalar is out of range
    source               Haarnoja et al. 2018 (arXiv 1812.05905), Lemmas 1 and 2, with their gaps kept; proofs in the code
    """
    k, gamma, p = (
        integer("updates", updates, 0),
        scalar("discount", discount, "[0, 1]"),
        scalar("polyak_step", polyak_step, "[0, 1]"),
    )
    alpha, noise = scalar("entropy_coefficient", entropy_coefficient, "(0, inf)"), scalar("roundoff", roundoff, "[0, inf)")
    critics, policies = _range("critic_step", critic_step), _range("policy_step", policy_step)
    scalar("policy_step", policies[1], "[0, 1]")
    q, t, lag, gap = (scalar(f"start.{name}", getattr(start, name), "[0, inf)") for name in SoftErrors._fields)
    for _ in range(k):
        # Bootstrap: Σ π (T − α log π) = V_T − α KL(π ‖ π_T), T the smaller target, π_T ∝ exp(T / α), V_T = α log Σ exp(T / α),
        # which is no expansion. The KL of two softmaxes is the Bregman distance of log Σ exp between their logits, whose
        # second derivative in the difference x of two logits is π(0) π(1) ≤ 1/4: KL ≤ (x − ΔT / α)² / 8.
        boot = t + alpha * (lag + 2.0 * gap / alpha) ** 2 / 8.0
        step = critics[1] * (q + gamma * boot) + noise
        q = max(abs(1.0 - c) * q + c * gamma * boot for c in critics) + noise
        # Policy: ∂/∂θ_a of Σ π (α log π − Q) is π_a times what α log π_a − Q_a exceeds its mean by; with two logits that is
        # ±π(0) π(1) (α x − ΔQ). So x' = (1 − c) x + c ΔQ / α; and ΔQ has moved by two critic steps at most.
        lag = max((1.0 - c) * (lag + 2.0 * step / alpha) for c in policies) + noise
        t, gap = (1.0 - p) * t + p * q + noise, (1.0 - p) * (gap + step) + noise
    return SoftErrors(q, t, lag, gap)


def _range(name: str, ends: tuple[float, float]) -> tuple[float, float]:
    low, high = (scalar(name, end, "[0, inf)") for end in ends)
    if low > high:
        raise ValueError(f"{name} must be (low, high) with low <= high; got {ends}")
    return low, high
