"""DDPG, TD3, SAC's limit without noise, and Q-learning with the maximum, update by update: quadratic critics, linear policies.

    Q(x, u) = w · (1, z, z ⊗ z), z = (x, u)          μ(x) = g(o), o = (1, x) G, g linear or a scaled tanh
    y = r + γ (1 − terminated) (min Q'(x', u') − α log π(u'|x'))          u' of μ', or the maximiser of Q'
    w ← w + s_Q · mean (y − Q(x, u)) (1, z, z ⊗ z)          one w for each critic, the same y
    G ← G + s_π · mean (1, x) ⊗ g'(o) ∇_u Q(x, μ(x))          with the new w
    w', G' ← (1 − p) w' + p w, (1 − p) G' + p G

A gradient step on weights of (1, z, z ⊗ z) is this one, whatever the weights: functions of the same values move alike. The limit on
data of a linear-quadratic world is Riccati's: `optimal` has it from linear_quadratic. `follow` bounds what rounding does meanwhile.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reference._checks import FloatArray, choice, integer, scalar
from reference.linear_quadratic import LinearQuadratic, optimal_gain, value_matrix

__all__ = ["Batch", "Followed", "Learned", "Rule", "coefficients", "features", "follow", "mean_action", "optimal", "step"]

Numbers = NDArray[Any]
STEP = 1e-30
"""Of the complex step: no difference is taken, so none is lost."""


class Learned(NamedTuple):
    """Weights of M critics, [..., M, F], F = 1 + (n + d) + (n + d)², of the policy, [..., 1 + n, d], and of what follows them."""

    critics: Numbers
    policy: Numbers
    target_critics: Numbers
    target_policy: Numbers


class Batch(NamedTuple):
    """Transitions, [..., B, n], [..., B, d], [..., B], [..., B, n], [..., B]."""

    observations: FloatArray
    actions: FloatArray
    rewards: FloatArray
    next_observations: FloatArray
    terminations: NDArray[np.bool_]


class Rule(NamedTuple):
    """How one of the family learns.

    discount       γ in [0, 1]
    critic_step    s_Q: the learning rate, times 2 where the loss is the mean of squares
    policy_step    s_π
    polyak_step    p
    policy_every   the policy moves at every so-manieth update; so do the targets where `targets_wait`
    targets_wait   TD3: targets stand still in between
    follows        whether the next action is the target policy's (DDPG, TD3) or the policy's own (SAC)
    actor          which critic the policy climbs: "first", the "smaller", or the "mean"; "none": u' maximises Q', d = 1
    low, high      the box of a tanh policy, or of the maximum; no bounds: the policy is linear
    entropy        α
    """

    discount: float
    critic_step: float
    policy_step: float = 0.0
    polyak_step: float = 1.0
    policy_every: int = 1
    targets_wait: bool = False
    follows: bool = True
    actor: str = "first"
    low: float = -np.inf
    high: float = np.inf
    entropy: float = 0.0


class Followed(NamedTuple):
    """Where many updates lead.

    path            the weights before and after each update
    amplifications  [updates + 1]: what an error of 1 in every weight there can have become in one weight at the end, to first order
    size            the largest weight or target on the way
    margin          how far apart the twins' values were wherever the smaller was taken, at least; inf for one critic
    """

    path: tuple[Learned, ...]
    amplifications: FloatArray
    size: float
    margin: float

    @property
    def learned(self) -> Learned:
        """At the end."""
        return self.path[-1]


def features(points: ArrayLike) -> Numbers:
    """(1, z, z ⊗ z): [..., m] -> [..., 1 + m + m²].

    >>> features([2.0, 3.0])
    array([1., 2., 3., 4., 6., 6., 9.])

    points   [..., m]  z, in any unit
    returns  [..., 1 + m + m²]
    """
    z = np.asarray(points)
    products = z[..., :, None] * z[..., None, :]
    return np.concatenate([np.ones_like(z[..., :1]), z, products.reshape(*z.shape[:-1], -1)], axis=-1)


def coefficients(weights: ArrayLike) -> Numbers:
    """The same function's weights with that of z_i z_j equal to that of z_j z_i: [..., 1 + m + m²].

    >>> coefficients([0.0, 0.0, 0.0, 1.0, 4.0, 0.0, 1.0])
    array([0., 0., 0., 1., 2., 2., 1.])

    weights  [..., 1 + m + m²]  in units of value
    returns  [..., 1 + m + m²]
    """
    w = np.array(weights)
    m = dimensions(w.shape[-1])
    square = w[..., 1 + m :].reshape(*w.shape[:-1], m, m)
    w[..., 1 + m :] = (0.5 * (square + np.swapaxes(square, -1, -2))).reshape(*w.shape[:-1], m * m)
    return w


def dimensions(count: int) -> int:
    """m of 1 + m + m²."""
    return int(round((4 * count - 3) ** 0.5 - 1)) // 2


def mean_action(policy: Numbers, observations: ArrayLike, rule: Rule) -> Numbers:
    """μ(x) = g((1, x) G): o itself, or centre + half width · tanh(o) inside a box.

    >>> float(mean_action(np.array([[1.0], [2.0]]), [3.0], Rule(discount=0.5, critic_step=1.0))[0])
    7.0

    policy        [..., 1 + n, d]  G
    observations  [..., n]         x
    rule          Rule             its box
    returns       [..., d], in units of action
    """
    output = _with_one(np.asarray(observations)) @ policy
    if not np.isfinite(rule.low):
        return np.asarray(output)
    return np.asarray(0.5 * (rule.low + rule.high) + 0.5 * (rule.high - rule.low) * np.tanh(output))


def step(
    learned: Learned, batch: Batch, rule: Rule, *, update: int = 1, next_actions: Any = None, next_log_prob: Any = None
) -> Learned:
    """The equations above, once: w + s_Q · mean (y − Q) φ, and what moves at this update besides.

    One transition from (1, 0) that ends with reward 8, where Q was 0: half of 8 in each weight that (1, 0) has, and no action
    was taken that the policy could learn to like:

    >>> none = Learned(np.zeros((1, 7)), np.zeros((2, 1)), np.zeros((1, 7)), np.zeros((2, 1)))
    >>> end = Batch(*map(np.array, ([[1.0]], [[0.0]], [8.0], [[0.0]], [True])))
    >>> after = step(none, end, Rule(discount=0.5, critic_step=0.5, policy_step=1.0, polyak_step=0.5))
    >>> after.critics, after.policy.ravel(), after.target_critics
    (array([[4., 4., 0., 4., 0., 0., 0.]]), array([0., 0.]), array([[2., 2., 0., 2., 0., 0., 0.]]))

    learned        Learned
    batch          Batch
    rule           Rule
    update         integer        the number of this update, from 1
    next_actions   [..., B, d]    u' where it is not what the rule says, as for smoothed ones
    next_log_prob  [..., B]       log π(u'|x') in nats; needed where entropy is not 0
    returns        Learned
    raises         ValueError if actor is unknown
    source         Lillicrap et al. 2016; Fujimoto et al. 2018; Haarnoja et al. 2018 (arXiv 1812.05905)
    """
    choice("actor", rule.actor, ("first", "smaller", "mean", "none"))
    target, _ = _target(learned, batch, rule, next_actions, next_log_prob)
    seen = features(np.concatenate([batch.observations, batch.actions], axis=-1))
    error = target[..., None, :] - _values(learned.critics, batch.observations, batch.actions)
    critics = learned.critics + rule.critic_step * (error @ seen) / seen.shape[-2]
    moves, p = update % rule.policy_every == 0, rule.polyak_step
    policy = learned.policy
    if moves and rule.actor != "none":
        policy = policy + rule.policy_step * _ascent(critics, policy, batch, rule)
    if rule.targets_wait and not moves:
        return Learned(critics, policy, learned.target_critics, learned.target_policy)
    following = (1.0 - p) * learned.target_critics + p * critics, (1.0 - p) * learned.target_policy + p * policy
    return Learned(critics, policy, *following)


def follow(start: Learned, batch: Batch, rule: Rule, *, updates: int) -> Followed:
    """θ_k = step(θ_{k−1}), and a_j = max_i Σ_l |(J_k J_{k−1} ... J_{j+1})_il|, J the derivative of each step: for k updates.

    An implementation that errs by at most ε_j in each weight at update j, and by ε_0 at the start, ends within Σ_j a_j ε_j of
    `learned`, to first order; as long as it stays below the margin no other twin is the smaller. Here each step halves the error:

    >>> none = Learned(np.zeros((1, 7)), np.zeros((2, 1)), np.zeros((1, 7)), np.zeros((2, 1)))
    >>> end = Batch(*map(np.array, ([[0.0]], [[0.0]], [8.0], [[0.0]], [True])))
    >>> followed = follow(none, end, Rule(discount=0.0, critic_step=0.5), updates=3)
    >>> float(followed.learned.critics[0, 0]), followed.size, followed.margin
    (7.0, 8.0, inf)

    start    Learned   without leading axes
    batch    Batch     likewise
    rule     Rule
    updates  integer   >= 0
    returns  Followed
    raises   ValueError as step, or if updates is negative
    source   Higham 2002, §1.4 (forward error by conditioning); Squire & Trapp 1998 (the complex step)
    """
    path, size, margin, jacobians = [start], 0.0, np.inf, []
    for update in range(1, integer("updates", updates, 0) + 1):
        target, gap = _target(path[-1], batch, rule, None, None)
        jacobians.append(_jacobian(path[-1], batch, rule, update))
        path.append(step(path[-1], batch, rule, update=update))
        size = max(size, float(np.abs(target).max()), *(float(np.abs(part).max()) for part in path[-1]))
        margin = min(margin, gap, _actors_gap(path[-1].critics, path[-2].policy, batch, rule))
    product = np.eye(sum(part.size for part in start))
    amplifications = [np.abs(product).sum(axis=-1).max()]
    for jacobian in reversed(jacobians):
        product = product @ jacobian
        amplifications.append(np.abs(product).sum(axis=-1).max())
    return Followed(tuple(path), np.array(amplifications[::-1]), size, margin)


def optimal(problem: LinearQuadratic) -> tuple[FloatArray, FloatArray]:
    """Weights of Q*(z) = −xᵀQx − uᵀRu − γ (Ax + Bu)ᵀP(Ax + Bu) and of the optimal policy, P of the optimal gain.

    >>> problem = LinearQuadratic([[1.0]], [[1.0]], [[1.0]], [[1.0]], 0.5, None, [[1.0]])
    >>> critic, policy = optimal(problem)
    >>> critic.round(3), policy.round(3).ravel()
    (array([ 0.   ,  0.   ,  0.   , -1.707, -0.707, -0.707, -1.707]), array([ 0.   , -0.414]))

    problem  LinearQuadratic  without noise
    returns  [1 + (n + d) + (n + d)²] in units of value, [1 + n, d]
    raises   ValueError as linear_quadratic.optimal_gain
    source   Bradtke 1993, the quadratic Q function of a gain
    """
    gain = optimal_gain(problem)
    value, (d, n) = value_matrix(problem, gain), gain.shape
    motion = np.hstack([np.asarray(problem.dynamics), np.asarray(problem.control)])
    costs = np.zeros((n + d, n + d))
    costs[:n, :n], costs[n:, n:] = problem.state_cost, problem.control_cost
    square = costs + scalar("discount", problem.discount, "[0, 1)") * motion.T @ value @ motion
    return np.concatenate([np.zeros(1 + n + d), -square.ravel()]), np.vstack([np.zeros((1, d)), gain.T])


def _with_one(x: Numbers) -> Numbers:
    return np.concatenate([np.ones_like(x[..., :1]), x], axis=-1)


def _target(learned: Learned, batch: Batch, rule: Rule, next_actions: Any, next_log_prob: Any) -> tuple[Numbers, float]:
    """y [..., B], and the smallest difference between twins that counted."""
    ahead = batch.next_observations
    if next_actions is None and rule.actor == "none":
        next_actions = _maximiser(learned.target_critics[..., 0, :], ahead, rule)
    elif next_actions is None:
        next_actions = mean_action(learned.target_policy if rule.follows else learned.policy, ahead, rule)
    values = _values(learned.target_critics, ahead, next_actions)
    gap = np.where(batch.terminations, np.inf, np.ptp(values.real, axis=-2)).min() if values.shape[-2] > 1 else np.inf
    least = values.min(axis=-2)
    if rule.entropy:
        least = least - rule.entropy * next_log_prob
    return batch.rewards + rule.discount * np.where(batch.terminations, 0.0, least), float(gap)


def _slopes(critics: Numbers, x: Numbers, u: Numbers) -> Numbers:
    """∇_u Q, [..., M, B, d]."""
    n, m = x.shape[-1], x.shape[-1] + u.shape[-1]
    square = critics[..., 1 + m :].reshape(*critics.shape[:-1], m, m)
    both = square + np.swapaxes(square, -1, -2)
    z = np.concatenate([np.broadcast_to(x, (*u.shape[:-1], n)), u], axis=-1)
    return np.asarray((critics[..., None, 1 : 1 + m] + z[..., None, :, :] @ both)[..., n:])


def _ascent(critics: Numbers, policy: Numbers, batch: Batch, rule: Rule) -> Numbers:
    """mean (1, x) ⊗ (g'(o) ∇_u Q(x, μ(x)) − α ∂ log π / ∂o), o in the tanh's case the place where log π has −log(1 − tanh²)."""
    x = _with_one(batch.observations)
    u = mean_action(policy, batch.observations, rule)
    slopes = _slopes(critics, batch.observations, u)
    if rule.actor == "first":
        rise = slopes[..., 0, :, :]
    elif rule.actor == "mean":
        rise = slopes.mean(axis=-3)
    else:
        lowest = _values(critics, batch.observations, u).real.argmin(axis=-2)
        rise = np.take_along_axis(slopes, lowest[..., None, :, None], axis=-3)[..., 0, :, :]
    if np.isfinite(rule.low):
        bent = np.tanh(x @ policy)
        rise = rise * 0.5 * (rule.high - rule.low) * (1.0 - bent**2) - rule.entropy * 2.0 * bent
    return np.asarray(np.swapaxes(x, -1, -2) @ rise / x.shape[-2])


def _actors_gap(critics: Numbers, policy: Numbers, batch: Batch, rule: Rule) -> float:
    """How far apart the twins are where the policy climbs the smaller."""
    if rule.actor != "smaller":
        return np.inf
    return float(np.ptp(_values(critics, batch.observations, mean_action(policy, batch.observations, rule)), axis=-2).min())


def _values(critics: Numbers, x: Numbers, u: Numbers) -> Numbers:
    """Q of each, [..., M, B]."""
    lead = np.broadcast_shapes(x.shape[:-1], u.shape[:-1])
    z = np.concatenate([np.broadcast_to(x, (*lead, x.shape[-1])), u], axis=-1)
    return np.asarray(critics @ np.swapaxes(features(z), -1, -2))


def _maximiser(critic: Numbers, x: Numbers, rule: Rule) -> Numbers:
    """argmax_u of one critic within the box, one dimension of action: the vertex where Q is concave, else the better end."""
    flat = np.zeros((*critic.shape[:-1], *x.shape[-2:-1], 1), dtype=critic.dtype)
    slope = _slopes(critic[..., None, :], x, flat)[..., 0, :, :]
    bend = 2.0 * critic[..., -1][..., None, None] + 0.0 * slope
    inside = -slope / np.where(bend == 0.0, 1.0, bend)
    vertex = np.where(inside.real < rule.low, rule.low, np.where(inside.real > rule.high, rule.high, inside))
    ends = np.where(slope.real * (rule.high - rule.low) + 0.5 * bend.real * (rule.high**2 - rule.low**2) > 0, rule.high, rule.low)
    return np.asarray(np.where(bend.real < 0.0, vertex, ends))


def _jacobian(learned: Learned, batch: Batch, rule: Rule, update: int) -> FloatArray:
    """d(all weights after) / d(all weights before), by a complex step in each."""
    sizes = [part.size for part in learned]
    count = sum(sizes)
    flat = np.concatenate([part.ravel() for part in learned]) + 1j * STEP * np.eye(count)
    parts = np.split(flat, np.cumsum(sizes)[:-1], axis=-1)
    moved = Learned(*(part.reshape(count, *old.shape) for part, old in zip(parts, learned, strict=True)))
    after = step(moved, batch, rule, update=update)
    return np.asarray(np.concatenate([part.reshape(count, -1) for part in after], axis=-1).imag.T / STEP)
