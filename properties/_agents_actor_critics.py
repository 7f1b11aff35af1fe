"""One update of an actor-critic of continuous actions is what its equations say, read off quadratic critics and linear policies."""

from __future__ import annotations

from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from properties._agents_worlds import Draw
from properties._bounds import ELEMENTARY, UNIT, Floats, gamma
from properties._claim import claim
from properties._draw import codes, flags
from properties._trial import Trial
from reference import actor_critics as due
from reference.actor_critics import Batch, Learned, Rule

DDPG = "Lillicrap et al. 2016, algorithm 1; Silver et al. 2014, eq. 9"
TD3 = "Fujimoto, van Hoof, Meger 2018, algorithm 1"
SAC = "Haarnoja et al. 2018 (arXiv 1812.05905), algorithm 1 and eqs. 5-7, 17, 18"
PLAIN = {
    "hidden": (), "torso": "quadratic", "optimizer": "sgd", "max_grad_norm": None, "random_steps": 0, "buffer_size": 16,
    "batch_size": 4, "learning_starts": 4,
}  # fmt: skip
"""Critics whose function is any quadratic, policies that are linear, moved by gradient descent; and a memory that nobody fills."""
CRITIC_RATE, POLICY_RATE = 2.0**-9, 2.0**-7
"""Small enough for features and states up to 2: neither critics nor what goes through tanh grow beyond a few units."""
NARROW = (-100.0, -99.0)
"""A range of log standard deviations at whose upper end, too, an action is its mean to the last bit."""
FREE, BOX = (-np.inf, np.inf), (-2.0, 1.0)


class Cases(NamedTuple):
    """Transitions [seeds, batch, ...] that no world need have made."""

    batch: Batch
    discount: float

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """Seeds, transitions, and dimensions of state and action."""
        return (*self.batch.actions.shape[:2], self.batch.observations.shape[-1], self.batch.actions.shape[-1])

    @property
    def arrays(self) -> dict[str, Any]:
        """By their names in an update."""
        return self.batch._asdict()


@st.composite
def cases(draw: Draw, seeds: int = 2, longest: int = 4, states: int = 2, actions: int = 2) -> Cases:
    """For each seed a batch of transitions with one or two dimensions; multiples of 1/4 up to 2 in size."""
    size, n, d = draw(st.integers(1, longest)), draw(st.integers(1, states)), draw(st.integers(1, actions))

    def grid(*shape: int) -> Floats:
        return np.asarray((np.frombuffer(draw(codes(int(np.prod(shape)))), np.uint8) % 17 / 4.0 - 2.0).reshape(shape))

    lead = (seeds, size)
    batch = Batch(grid(*lead, n), grid(*lead, d), grid(*lead), grid(*lead, n), draw(flags(lead)))
    return Cases(batch, draw(st.sampled_from([0.5, 0.75, 1.0, 0.0])))


# -------------------------------------------------------------------------------------------------------- reading off
class Read(NamedTuple):
    """What a learner's functions say of its weights, and by how much each may be off."""

    learned: Learned
    critic_error: float
    policy_error: float


def made(port: Trial, sizes: tuple[int, int, int, int], discount: float, options: dict[str, Any], box: tuple[float, float]) -> Any:
    """The subject in a world of these sizes: its matrices are those of nothing, as only updates are made."""
    seeds, _, n, d = sizes
    world = np.zeros((n, n)), np.zeros((n, d)), np.eye(n), np.eye(d), np.zeros(n)
    bounds = {"low": np.full(d, box[0]), "high": np.full(d, box[1])}
    return getattr(port, port.subject)(*world, **bounds, discount=discount, options=PLAIN | options, seeds=tuple(range(seeds)))


def said(port: Trial, found: Any, name: str, shape: tuple[int, ...]) -> Floats:
    """One of a learner's answers; refuted where it is missing, of another shape or not finite."""
    port.holds(name in found, f"the learner must answer {name!r}; got {', '.join(found)}")
    array = np.asarray(found[name], dtype=np.float64)
    port.holds(array.shape == shape, f"{name} must have shape {shape}; got {array.shape}")
    port.holds(bool(np.isfinite(array).all()), f"{name} must be finite", found=array)
    return array


def read(port: Trial, learner: Any, sizes: tuple[int, int, int, int], members: int, rule: Rule) -> Read:
    """Weights of critics and policies, and of the targets of both (of a policy without one, its own)."""
    seeds, _, n, d = sizes
    w = max((float(np.abs(value).max()) for value in learner.parameters().values()), default=0.0)
    critics = [quadratic(port, learner, sizes, members, name) for name in ("critic", "target_critic")]
    count = critics[0].shape[-1]
    critic_error = float(gamma(2 * count, UNIT["float64"]) * 4 * 4 * count * w)
    if rule.actor == "none":
        nothing = np.zeros((seeds, 1 + n, d))
        return Read(Learned(critics[0], nothing, critics[1], nothing), critic_error, 0.0)
    names = ("mean", "target_policy") if rule.follows else ("mean", "mean")
    policies = [linear(port, learner, sizes, name, rule) for name in names]
    steepest = np.cosh(max(float(np.abs(each).max()) for each in policies) * 2) ** 2 if np.isfinite(rule.low) else 1.0
    policy_error = float(gamma(2 * n + 4 * ELEMENTARY, UNIT["float64"]) * 4 * (1 + n) * (1 + w) * steepest)
    return Read(Learned(critics[0], policies[0], critics[1], policies[1]), critic_error, policy_error)


def quadratic(port: Trial, learner: Any, sizes: tuple[int, int, int, int], members: int, name: str) -> Floats:
    """c, l and S of Q = c + l z + zᵀS z, [seeds, members, F], from the values at 0, ± e_i and e_i + e_j."""
    seeds, _, n, d = sizes
    m = n + d
    unit, pairs = np.eye(m), list(combinations(range(m), 2))
    points = np.vstack([np.zeros((1, m)), unit, -unit, *(unit[i : i + 1] + unit[j : j + 1] for i, j in pairs)])
    z = np.broadcast_to(points, (seeds, *points.shape))
    q = said(port, learner.critic(z[..., :n], z[..., n:]), name, (seeds, members, len(points)))
    constant, plus, minus, both = q[..., :1], q[..., 1 : 1 + m], q[..., 1 + m : 1 + 2 * m], q[..., 1 + 2 * m :]
    square = np.zeros((*q.shape[:-1], m, m))
    square[..., range(m), range(m)] = 0.5 * (plus + minus) - constant
    for place, (i, j) in enumerate(pairs):
        mixed = 0.5 * (both[..., place] - plus[..., i] - plus[..., j] + constant[..., 0])
        square[..., i, j] = square[..., j, i] = mixed
    return np.concatenate([constant, 0.5 * (plus - minus), square.reshape(*q.shape[:-1], -1)], axis=-1)


def linear(port: Trial, learner: Any, sizes: tuple[int, int, int, int], name: str, rule: Rule) -> Floats:
    """G of what is scaled into the box, if any, [seeds, 1 + n, d], from the means at 0 and e_i."""
    seeds, _, n, d = sizes
    points = np.broadcast_to(np.vstack([np.zeros((1, n)), np.eye(n)]), (seeds, 1 + n, n))
    mean = said(port, learner.policy(points), name, (seeds, 1 + n, d))
    if np.isfinite(rule.low):
        part = (mean - 0.5 * (rule.low + rule.high)) / (0.5 * (rule.high - rule.low))
        port.holds(bool((np.abs(part) < 1).all()), "a policy through tanh stays inside the box", found=mean)
        mean = np.arctanh(part)
    return np.concatenate([mean[:, :1], mean[:, 1:] - mean[:, :1]], axis=1)


class Slack(NamedTuple):
    """What a critic's weight and a policy's may differ by."""

    critic: float
    policy: float


def slack(before: Read, after: Read, case: Cases, rule: Rule, w: float) -> Slack:
    """What one update may lose, and reading off before and after it.

    A target is a sum of F products of weights up to w and features up to f; a step adds s f (y - Q) to a weight, and s times what
    the target was off by; so the policy's slopes are off by 2 m z times what critics are, and 2 w times what its action is.
    """
    _, size, n, d = case.sizes
    z = 2.0 + max(float(np.abs(part).max()) for part in before.learned[1::2]) * (1 + 2 * n)
    z = max(z, abs(rule.low), abs(rule.high)) if np.isfinite(rule.low) else z
    count, m, x = 1 + (n + d) + (n + d) ** 2, n + d, 1.0 + 2 * n
    f, unit = max(1.0, z * z), float(gamma(4 * (size + 1 + n + (n + d + 1) ** 2) + 4 * ELEMENTARY + 64, UNIT["float64"]))
    target = 2.0 + count * f * w
    moved = w + rule.critic_step * f * 2 * target
    off = unit * target + count * f * (before.critic_error + 2 * w * before.policy_error * x)
    critic = unit * 4 * moved + before.critic_error + rule.critic_step * f * 2 * off + after.critic_error
    half = 1.0 if not np.isfinite(rule.low) else 0.5 * (rule.high - rule.low)
    slopes = 2 * m * z * moved
    slopes_off = unit * 4 * slopes + 2 * m * z * critic + 2 * moved * m * half * x * before.policy_error
    bend = slopes * half * before.policy_error * x * 4 + rule.entropy * 4 * before.policy_error * x
    policy = unit * 4 * (w + rule.policy_step * x * slopes * half) + rule.policy_step * x * (half * slopes_off + bend)
    return Slack(critic, policy + before.policy_error + after.policy_error)


def judged(port: Trial, after: Read, wanted: Learned, allowed: Slack, rule: Rule, update: int) -> None:
    """Each of the four kinds of weights, or of three."""
    for name, found, right in zip(Learned._fields, after.learned, wanted, strict=True):
        if name == "target_policy" and not rule.follows:
            continue
        limit = allowed.policy if "policy" in name else allowed.critic
        port.equal(found, right, limit, f"{name.replace('_', ' ')} after update {update}")


def largest(learner: Any) -> float:
    """Among all that it learns."""
    return max(float(np.abs(value).max()) for value in learner.parameters().values())


def every_update(port: Trial, case: Cases, options: dict[str, Any], rule: Rule, members: int, updates: int) -> None:
    """One after the other, each judged from where the learner was before it."""
    learner = made(port, case.sizes, case.discount, options, (rule.low, rule.high))
    before, w = read(port, learner, case.sizes, members, rule), largest(learner)
    if members > 1:
        apart = np.abs(before.learned.critics[:, 0] - before.learned.critics[:, 1]).max()
        port.holds(bool(apart > 0), "twins must begin apart", found=before.learned.critics)
    for update in range(1, updates + 1):
        learner.update(**case.arrays)
        after = read(port, learner, case.sizes, members, rule)
        wanted = due.step(before.learned, case.batch, rule, update=update)
        judged(port, after, wanted, slack(before, after, case, rule, max(w, largest(learner))), rule, update)
        before, w = after, largest(learner)


# ------------------------------------------------------------------------------------------------------ without noise
RATES = {"critic_learning_rate": CRITIC_RATE, "policy_learning_rate": POLICY_RATE}


@claim("A1", source=DDPG, operators=["ddpg_agent"], share=0.2,
       given={"case": cases(), "inside": st.booleans(), "step": st.sampled_from([0.25, 1.0])})  # fmt: skip
def an_update_of_ddpg_is_its_two_equations(port: Trial, case: Cases, inside: bool, step: float) -> None:
    """The critic moves down the mean of (y - Q(s, a))², y = r + gamma (1 - terminated) Q'(s', mu'(s')); then the policy up the mean
    of Q(s, mu(s)), of the new critic; last both targets polyak_step of the way. Linear policies, and ones through tanh."""
    low, high = BOX if inside else FREE
    rule = Rule(case.discount, 2 * CRITIC_RATE, POLICY_RATE, step, low=low, high=high)
    every_update(port, case, RATES | {"tanh_mean": inside, "polyak_step": step}, rule, 1, 3)


@claim("A5", source=TD3, operators=["td3_agent"], share=0.2,
       given={"case": cases(), "inside": st.booleans(), "every": st.sampled_from([2, 1, 3]),
              "step": st.sampled_from([0.25, 1.0])})  # fmt: skip
def an_update_of_td3_is_its_equations(port: Trial, case: Cases, inside: bool, every: int, step: float) -> None:
    """Without noise: both critics move down the mean of (y - Q_i(s, a))², y = r + gamma (1 - terminated) min(Q'_1, Q'_2)(s', a'),
    a' = mu'(s'); at every policy_every-th update the policy moves up the mean of the first new critic, and all targets polyak_step
    of the way; in between policy and targets stand still."""
    low, high = BOX if inside else FREE
    rule = Rule(case.discount, 2 * CRITIC_RATE, POLICY_RATE, step, policy_every=every, targets_wait=True, low=low, high=high)
    options = RATES | {"tanh_mean": inside, "polyak_step": step, "policy_every": every, "target_noise": 0.0}
    every_update(port, case, options, rule, 2, 2 * every + 1)


@claim("S1", source=SAC, operators=["sac_continuous_agent"], share=0.2,
       given={"case": cases(), "inside": st.booleans(), "actor": st.sampled_from(["min", "mean", "first"]),
              "step": st.sampled_from([0.25, 1.0])})  # fmt: skip
def an_update_of_sac_without_spread_is_its_equations(port: Trial, case: Cases, inside: bool, actor: str, step: float) -> None:
    """With entropy_coefficient 0, and so small a deviation that each action is its mean: both critics move down the mean of
    (y - Q_i(s, a))² / 2, y = r + gamma (1 - terminated) min(Q'_1, Q'_2)(s', a'), a' the policy's own; the policy up the mean of the
    smaller new critic (of both, or of the first, where actor_critic says so); the target critics polyak_step of the way."""
    low, high = BOX if inside else FREE
    kind = {"min": "smaller"}.get(actor, actor)
    rule = Rule(case.discount, CRITIC_RATE, POLICY_RATE, step, follows=False, actor=kind, low=low, high=high)
    options = {"squash": inside, "polyak_step": step, "entropy_coefficient": 0.0, "actor_critic": actor, "log_std_range": NARROW}
    every_update(port, case, RATES | options, rule, 2, 3)
