"""Policy gradients and their surrogates: error bounds, REINFORCE with baselines (G1), and PPO's clipped objective (U3)."""

from __future__ import annotations

import math
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from properties import (  # noqa: F401  (register their records and claims)
    _policy_gradient_deterministic,
    _policy_gradient_shapes,
    _policy_gradient_soft,
)
from properties._aggregates_bounds import holds_in
from properties._bounds import ELEMENTARY, UNIT, Floats, gamma, stored
from properties._claim import Call, claim, operator
from properties._draw import BATCHES, ROUGH, STYLES, Shape, array_of, codes, distributions, values
from properties._oracles import exact
from properties._oracles.policy_gradient import ratios_by_digits, surrogate_slope_by_differences
from properties._trial import Trial

WILLIAMS = "Williams 1992 (REINFORCE)"
SCHULMAN = "Schulman et al. 2017 (PPO), eq. 7"


# ------------------------------------------------------------------------------------------------------------- drawing
class Surrogate(NamedTuple):
    """Log-ratios and advantages [...], and the clip."""

    log_ratio: Floats
    advantage: Floats
    clip: float


FAR = 10_000.0
"""exp overflows here, and underflows at minus this."""
CLIPS = (0.2, 0.5, 0.1, 0.25, 0.9, 2.0**-7, 1.0 / 3.0)


@cache
def surrogates(*, styles: tuple[str, ...] = STYLES, far: bool = False) -> st.SearchStrategy[Surrogate]:
    """Ratios around the clip on both sides, exactly 1, and far out (e^-32 to e^32); advantages of both signs, and 0.

    `far`: in a third of the draws the largest ratios are 0 or beyond the float range, and of good actions none is there.
    """
    size = max(math.prod(shape) for shape in BATCHES)

    def decode(bits: bytes) -> Surrogate:
        shape: Shape = BATCHES[bits[0] % len(BATCHES)]
        n, clip = math.prod(shape), CLIPS[bits[1] % len(CLIPS)]
        parts = [bits[4 + 2 * n * i : 4 + 2 * n * (i + 1)] for i in range(2)]
        log_ratio = np.asarray(np.clip(array_of(parts[0], shape, "generic") / (4, 64, 256, 1024)[bits[2] % 4], -32.0, 32.0))
        advantage = array_of(parts[1], shape, styles[bits[3] % len(styles)])
        if far and bits[2] // 4 % 3 == 2:
            large = np.abs(log_ratio) >= np.abs(log_ratio).max() / 2
            log_ratio = np.asarray(np.where(large, np.copysign(FAR, log_ratio), log_ratio))
            advantage = np.asarray(np.where(log_ratio == FAR, np.minimum(advantage, 0.0), advantage))
        return Surrogate(log_ratio, advantage, clip)

    return codes(4 + 4 * size).map(decode)


def _surrogate_calls() -> st.SearchStrategy[Call]:
    return surrogates(styles=ROUGH, far=True).map(lambda s: Call((s.log_ratio, s.advantage), {"clip": s.clip}))


def _pairs(styles: tuple[str, ...]) -> st.SearchStrategy[tuple[Any, ...]]:
    return (
        st.sampled_from(BATCHES).flatmap(lambda shape: values((2, *shape), styles)).map(lambda pair: tuple(map(np.asarray, pair)))
    )


# ------------------------------------------------------------------------------------------------------------- records
@operator("reinforce_loss", inputs=_pairs(ROUGH).map(lambda pair: Call(pair, {})), core=0)
def reinforce_bound(unit: float, log_prob: Floats, advantage: Floats) -> Floats:
    """One product."""
    return gamma(1, unit) * np.abs(log_prob * advantage)


@operator("reinforce_loss_gradient", inputs=_pairs(ROUGH).map(lambda pair: Call(pair, {})), core=0)
def reinforce_gradient_bound(unit: float, log_prob: Floats, advantage: Floats) -> Floats:
    """0: a change of sign."""
    return np.zeros(log_prob.shape)


def _branches(log_ratio: Floats, advantage: Floats, clip: float) -> tuple[Floats, Floats]:
    """rho A, and clip(rho, 1 - c, 1 + c) A; 0 where A = 0."""
    with np.errstate(over="ignore", invalid="ignore"):
        ratio = np.exp(log_ratio)
        free = np.where(advantage == 0, 0.0, ratio * advantage)
    return np.asarray(free), np.asarray(np.clip(ratio, 1 - clip, 1 + clip) * advantage)


@operator("clipped_surrogate", inputs=_surrogate_calls(), core=0)
def surrogate_bound(unit: float, log_ratio: Floats, advantage: Floats, *, clip: float) -> Floats:
    """gamma_(ELEMENTARY + 3) of the result: each branch is off by exp or 1 +- c, and a product, relative to itself; the smaller of
    two numbers of one sign is off by the larger of their relative errors."""
    return gamma(ELEMENTARY + 3, unit) * np.abs(np.minimum(*_branches(log_ratio, advantage, clip)))


@operator("clipped_surrogate_gradient", inputs=_surrogate_calls(), core=0)
def surrogate_gradient_bound(unit: float, log_ratio: Floats, advantage: Floats, *, clip: float) -> Floats:
    """gamma_(ELEMENTARY + 2) |rho A| where that is the derivative, 0 where 0 is; where rho is at the edge up to rounding, |rho A|:
    either side of it may be taken."""
    free, clipped = _branches(log_ratio, advantage, clip)
    edge = np.where(advantage > 0, 1 + clip, 1 - clip)
    with np.errstate(over="ignore"):
        near = np.abs(np.exp(log_ratio) / edge - 1) <= gamma(ELEMENTARY + 3, unit) + gamma(ELEMENTARY + 3, UNIT["float64"])
    size = np.abs(free)
    return np.where(near, size * (1 + 2 * ELEMENTARY * unit), np.where(free <= clipped, gamma(ELEMENTARY + 2, unit) * size, 0.0))


# ------------------------------------------------------------------------------------------------------------ REINFORCE
PAIR = {"pair": _pairs(ROUGH)}


@claim("policy_gradient", source=WILLIAMS, operators=["reinforce_loss", "reinforce_loss_gradient"], given=PAIR, share=0.5)
def reinforce_loss_is_minus_log_prob_times_advantage(port: Trial, pair: tuple[Floats, Floats]) -> None:
    """reinforce_loss = -log pi(a|s) A, element by element, for A of either sign; its derivative in log pi is -A, exactly."""
    log_prob, advantage = pair
    found, error = port(port.subject, log_prob, advantage)
    gradient = port.subject.endswith("_gradient")
    port.equal(found, -exact(advantage) if gradient else -exact(log_prob) * exact(advantage), error)


@claim("policy_gradient", source=WILLIAMS, operators=["reinforce_loss"], given=PAIR, share=0.25)
def differentiating_reinforce_loss_gives_minus_the_advantage(port: Trial, pair: tuple[Floats, Floats]) -> None:
    """Automatic differentiation: -A in log pi, and exactly 0 in A, which is a constant."""
    found = port.derivative(0, *pair)
    port.equal(found, -pair[1], 0.0, "in log pi")
    port.equal(port.derivative(1, *pair), np.zeros(found.shape), 0.0, "in the advantage")


class Bandit(NamedTuple):
    """A softmax policy over A actions whose probabilities are dyadic, the value of each action, and a baseline."""

    policy: Floats
    q: Floats
    baseline: Floats


def _bandits() -> st.SearchStrategy[Bandit]:
    def build(policy: Floats, both: Floats) -> Bandit:
        return Bandit(policy, both[0], both[1, :1])

    return st.integers(1, 5).flatmap(lambda n: st.builds(build, distributions((n,), positive=True), values((2, n))))


def _softmax_scores(policy: Floats) -> Any:
    """d log pi(a) / d logit_k = 1[a = k] - pi(k), exactly; [a, k]."""
    return exact(np.eye(len(policy))) - exact(policy)[None, :]


@claim("G1", source=f"{WILLIAMS}; Sutton & Barto 2018, eq. 13.11", operators=["reinforce_loss", "reinforce_loss_gradient"],
       given={"bandit": _bandits()})  # fmt: skip
def descending_reinforce_loss_ascends_the_value_whatever_the_baseline(port: Trial, bandit: Bandit) -> None:
    """Over all actions of a softmax, E d loss/d logits, with A = Q - b, is -pi (Q - pi.Q), the gradient of -pi.Q, for every b."""
    policy, scores = exact(bandit.policy), _softmax_scores(bandit.policy)
    ascent = policy * (exact(bandit.q) - (policy * exact(bandit.q)).sum())
    for b in (np.zeros(1), bandit.baseline):
        if not holds_in(port.dtype, bandit.q - b):
            continue
        slope, error = _slopes(port, bandit.q - b)
        found = (policy[:, None] * slope[:, None] * scores).sum(axis=0)
        off = (bandit.policy[:, None] * error[:, None] * np.abs(scores.astype(np.float64))).sum(axis=0)
        port.equal(found.astype(np.float64), -ascent, off + gamma(1, UNIT["float64"]) * np.abs(found.astype(np.float64)))


def _slopes(port: Trial, advantage: Floats) -> tuple[Any, Floats]:
    """d loss / d log pi for each action: the gradient's, or a difference of the loss, which is linear in log pi."""
    log_prob = np.full(advantage.shape, -0.5)
    if port.subject == "reinforce_loss_gradient":
        found, error = port("reinforce_loss_gradient", log_prob, advantage)
        return exact(found), error
    near, near_error = port("reinforce_loss", log_prob, advantage)
    far, far_error = port("reinforce_loss", log_prob - 1.0, advantage)
    return exact(near) - exact(far), near_error + far_error


@claim("policy_gradient", source=WILLIAMS, operators=["reinforce_loss_gradient"], given=PAIR, share=0.25)
def descent_raises_the_probability_of_what_was_better_than_expected(port: Trial, pair: tuple[Floats, Floats]) -> None:
    """A step against the gradient raises log pi iff A > 0, and lowers it iff A < 0: it is a loss."""
    found = port.reinforce_loss_gradient(*pair)
    port.holds(bool(np.all(np.sign(-found) == np.sign(pair[1]))), "the step has the sign of A", found=-found, due=pair[1])


# --------------------------------------------------------------------------------------------------- clipped surrogate
CLIPPED = {"s": surrogates()}


def _surrogate(port: Trial, s: Surrogate, name: str = "clipped_surrogate") -> tuple[Floats, Floats]:
    return port(name, s.log_ratio, s.advantage, clip=s.clip)


@claim("U3", source=SCHULMAN, operators=["clipped_surrogate"], given={"s": surrogates(styles=ROUGH)}, share=0.5,
       oracle="ratios_by_digits")  # fmt: skip
def clipped_surrogate_is_its_equation_to_fifty_digits(port: Trial, s: Surrogate) -> None:
    """min(rho A, clip(rho, 1 - c, 1 + c) A), rho = exp(log_ratio), element by element: an objective, to be maximised."""
    found, error = _surrogate(port, s)
    ratio, advantage, c = ratios_by_digits(s.log_ratio), exact(s.advantage), exact(s.clip)
    port.equal(found, np.minimum(ratio * advantage, np.clip(ratio, 1 - c, 1 + c) * advantage), error)


@claim("U3", source=SCHULMAN, operators=["clipped_surrogate"], given=CLIPPED, share=0.5, oracle="ratios_by_digits")
def clipped_surrogate_never_exceeds_the_unclipped(port: Trial, s: Surrogate) -> None:
    """clipped <= rho A, with equality while rho <= 1 + c (A > 0) or rho >= 1 - c (A < 0): it is pessimistic, never optimistic."""
    found, error = _surrogate(port, s)
    ratio, c = ratios_by_digits(s.log_ratio), exact(s.clip)
    free = np.asarray(ratio * exact(s.advantage))
    own = gamma(2, UNIT["float64"]) * np.abs(free.astype(np.float64))
    port.at_most(found, free.astype(np.float64), error + own)
    inside = np.where(s.advantage > 0, ratio <= 1 + c, ratio >= 1 - c).astype(bool)
    port.equal(np.where(inside, found, 0.0), np.where(inside, free, exact(0.0 * found)), error, "the improving side, inside")


@claim("U3", source=SCHULMAN, operators=["clipped_surrogate", "clipped_surrogate_gradient"], given=CLIPPED, share=0.5)
def at_ratio_one_the_surrogate_and_its_gradient_are_the_advantage(port: Trial, s: Surrogate) -> None:
    """At log_ratio = 0 the surrogate is A and its derivative is A, exactly, whatever the clip."""
    found = getattr(port, port.subject)(np.zeros(s.advantage.shape), s.advantage, clip=s.clip)
    port.equal(found, s.advantage, 0.0)


@claim("U3", source=SCHULMAN, operators=["clipped_surrogate_gradient"], given={"s": surrogates(styles=ROUGH)}, share=0.5,
       oracle="ratios_by_digits")  # fmt: skip
def surrogate_gradient_vanishes_outside_the_clip_on_the_improving_side_only(port: Trial, s: Surrogate) -> None:
    """d surrogate/d log_ratio = 0 if A > 0 and rho > 1 + c, or A < 0 and rho < 1 - c; everywhere else it is rho A."""
    found, error = _surrogate(port, s, "clipped_surrogate_gradient")
    port.equal(found, _slope(s), error)


def _slope(s: Surrogate) -> Any:
    """The derivative in log_ratio, to 50 digits."""
    ratio, c = ratios_by_digits(s.log_ratio), exact(s.clip)
    beyond = ((s.advantage > 0) & (ratio > 1 + c)) | ((s.advantage < 0) & (ratio < 1 - c))
    return np.where(beyond, exact(0.0 * s.advantage), ratio * exact(s.advantage))


STEP = 2.0**-40
"""A difference over this on either side is off by less than its square, relative to the slope: sinh(h)/h - 1 < h^2."""


@claim("U3", source=f"{SCHULMAN}, differentiated", operators=["clipped_surrogate_gradient"], given={"s": surrogates(styles=ROUGH)},
       share=0.5, oracle="surrogate_slope_by_differences")  # fmt: skip
def surrogate_gradient_is_a_difference_of_the_surrogate(port: Trial, s: Surrogate) -> None:
    """d surrogate/d log_ratio = (L(x + h) - L(x - h)) / 2h at 50 digits, L the smaller of both branches, h = 2^-40, unless an edge
    of the clip lies between."""
    found, error = _surrogate(port, s, "clipped_surrogate_gradient")
    due, size = surrogate_slope_by_differences(*s, step=STEP), np.exp(s.log_ratio) * np.abs(s.advantage)
    near = [np.abs(s.log_ratio - np.log1p(side * s.clip)) <= 2 * STEP for side in (1.0, -1.0)]
    between = np.logical_or(*near)
    port.equal(np.where(between, 0.0, found), np.where(between, exact(0.0 * found), due), error + 2 * STEP**2 * size)


@claim("U3", source=SCHULMAN, operators=["clipped_surrogate"], given={"s": surrogates(styles=ROUGH)}, share=0.25,
       oracle="ratios_by_digits")  # fmt: skip
def differentiating_the_clipped_surrogate(port: Trial, s: Surrogate) -> None:
    """Automatic differentiation in log_ratio: rho A, or 0 beyond the clip on the improving side; in the advantage exactly 0."""
    call = ((s.log_ratio, s.advantage), {"clip": s.clip})
    found = port.derivative(0, *call[0], **call[1])
    bound = surrogate_gradient_bound(port.unit, s.log_ratio, s.advantage, clip=s.clip)
    port.equal(found, _slope(s), stored(bound, found, port.dtype))
    port.equal(port.derivative(1, *call[0], **call[1]), np.zeros(found.shape), 0.0, "in the advantage")


@claim("U3", source=SCHULMAN, operators=["clipped_surrogate", "clipped_surrogate_gradient"], given=CLIPPED, share=0.5)
def ratios_of_zero_and_infinity_make_no_nan(port: Trial, s: Surrogate) -> None:
    """At rho = inf: (1 + c) A for A > 0, -inf for A < 0; at rho = 0: 0 for A > 0, (1 - c) A for A < 0; A = 0 gives 0 always."""
    gradient = port.subject.endswith("_gradient")
    for far in (FAR, -FAR):
        found = getattr(port, port.subject)(np.full(s.advantage.shape, far), s.advantage, clip=s.clip)
        good, bad = ((1 + s.clip) * s.advantage, -np.inf) if far > 0 else (0.0, (1 - s.clip) * s.advantage)
        if gradient:
            good, bad = 0.0, -np.inf if far > 0 else 0.0
        due = np.where(s.advantage > 0, good, np.where(s.advantage < 0, bad, 0.0))
        # 1 +- c and its product with A, the port's and the due's.
        bound = stored(
            gamma(4, port.unit) * np.where(np.isfinite(due), np.abs(due), 0.0), np.where(np.isfinite(due), due, 0.0), port.dtype
        )
        port.equal(found, due, bound, f"at log_ratio {far}")


@claim("U3", source=SCHULMAN, operators=["clipped_surrogate"], given=CLIPPED, share=0.1)
def differentiating_at_ratios_of_zero_and_infinity_makes_no_nan(port: Trial, s: Surrogate) -> None:
    """Automatic differentiation gives 0 at rho = inf with A >= 0, and 0 at rho = 0 for every A."""
    for far in (FAR, -FAR):
        advantage = np.asarray(np.abs(s.advantage)) if far > 0 else s.advantage
        found = port.derivative(0, np.full(advantage.shape, far), advantage, clip=s.clip)
        port.equal(found, np.zeros(found.shape), 0.0, f"at log_ratio {far}")


@claim("U3", source=SCHULMAN, operators=["clipped_surrogate"], given=CLIPPED, share=0.5)
def the_surrogate_rises_with_the_ratio_only_for_good_actions(port: Trial, s: Surrogate) -> None:
    """rho <= rho' implies surrogate <= surrogate' where A > 0 and >= where A < 0; it is bounded above by |A| (1 + c)."""
    low, low_error = _surrogate(port, s)
    high, high_error = _surrogate(port, s._replace(log_ratio=np.asarray(s.log_ratio + 0.25)))
    if holds_in(port.dtype, np.asarray(s.log_ratio + 0.25)) and np.all(s.log_ratio + 0.25 - 0.25 == s.log_ratio):
        sign = np.sign(s.advantage)
        port.at_most(sign * low, sign * high, low_error + high_error)
    port.at_most(low, (1 + s.clip) * np.abs(s.advantage), low_error + gamma(2, UNIT["float64"]) * 2 * np.abs(s.advantage))
