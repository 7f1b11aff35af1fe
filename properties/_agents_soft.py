"""SAC with numbered actions, all of them enumerated: one update, and the soft optimum that it comes to (S1, S3)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from properties._agents_fixed_points import near, rows
from properties._agents_updates import PLAIN, RATE, UPDATES, log_error, moved, places, rounding
from properties._agents_worlds import Batches, batches, coin_walk, made, told, update_error
from properties._bounds import Floats
from properties._claim import claim
from properties._trial import Trial
from reference import regularized_agents as regularized
from reference.agents import step_range

HAARNOJA = "Haarnoja et al. 2018 (arXiv 1812.05905), eqs. (5)-(7), (18) and Algorithm 1; Christodoulou 2019 for all actions"
POLYAK = 0.25
SAC: dict[str, Any] = PLAIN | {
    "policy_learning_rate": RATE, "critic_learning_rate": RATE, "temperature_learning_rate": RATE, "polyak_step": POLYAK,
    "actor_critic": "min", "max_grad_norm": None,
}  # fmt: skip


class Soft(NamedTuple):
    """Twin critics and targets [seeds, 2, S, A], the policy [seeds, S, A], log alpha [seeds] where it is learned."""

    critic: Floats
    target: Floats
    policy: Floats
    log_coefficient: Floats


def soft(port: Trial, learner: Any, b: Batches) -> Soft:
    """As they are now, the row of the end among them."""
    seeds, pairs = len(b.batch["rewards"]), (b.world.states + 1, b.world.actions)
    critic, target = (told(port, learner, name, (seeds, 2, *pairs)) for name in ("critic", "target_critic"))
    known = learner.parameters()
    port.holds("temperature/log_coefficient" in known, "parameters() must hold 'temperature/log_coefficient'", found=list(known))
    logs = np.asarray(known["temperature/log_coefficient"], dtype=np.float64).reshape(seeds)
    return Soft(critic, target, told(port, learner, "policy", (seeds, *pairs)), logs)


def excess(policy: Floats, q: Floats, alpha: Floats) -> Floats:
    """alpha log pi - min Q in every state, [seeds, S, A]."""
    return np.asarray(alpha[:, None, None] * np.log(policy) - q.min(axis=1))


def critics(t: Soft, b: Batches, alpha: Floats) -> Floats:
    """Both after one step towards r + gamma (1 - terminated) sum pi (min Q' - alpha log pi)."""
    seed, s, a, after, _ = places(b)
    ahead = -(t.policy * excess(t.policy, t.target, alpha)).sum(axis=-1)
    target = b.batch["rewards"] + b.world.discount * np.where(b.batch["terminations"], 0.0, ahead[seed, after])
    tables = [moved(t.critic[:, i], (seed, s, a), RATE * (target - t.critic[seed, i, s, a])) for i in range(2)]
    return np.stack(tables, axis=1)


def actor(t: Soft, b: Batches, q: Floats, alpha: Floats) -> Floats:
    """log pi after one step down the mean of sum_a pi (alpha log pi - min Q), whose slope in logit a is pi_a times the excess over
    its mean."""
    seed, s, _, _, _ = places(b)
    gain = excess(t.policy, q, alpha)
    slope = t.policy * (gain - (t.policy * gain).sum(axis=-1, keepdims=True))
    visits = np.zeros(t.policy.shape[:2])
    np.add.at(visits, (seed, s), 1.0 / s.shape[1])
    logits = np.log(t.policy) - RATE * visits[..., None] * slope
    return np.asarray(logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True)))


@claim("S3", source=HAARNOJA, operators=["sac_agent"], share=0.1,
       given={"b": batches(), "fixed": st.booleans(), "alpha": st.sampled_from([0.5, 2.0]),
              "goal": st.sampled_from([0.25, 1.5, -1.0])})  # fmt: skip
def an_update_of_sac_over_all_actions_is_its_equations(port: Trial, b: Batches, fixed: bool, alpha: float, goal: float) -> None:
    """Both critics move to r + gamma (1 - terminated) sum_a' pi (min(Q'_1, Q'_2) - alpha log pi), each along half its own squared
    error; the policy down the mean of sum_a pi (alpha log pi - min(Q_1, Q_2)), the new critics; log alpha, where it is learned,
    along alpha times the mean of sum pi log pi + target entropy; the targets polyak_step of the way to the new critics."""
    kept = {"entropy_coefficient": alpha} if fixed else {"initial_entropy_coefficient": alpha, "target_entropy": goal}
    learner = made(port, b.world, SAC | kept, seeds=tuple(range(len(b.batch["rewards"]))))
    seed, s, _, _, _ = places(b)
    before = soft(port, learner, b)
    if not fixed:
        port.equal(before.log_coefficient, np.full(len(seed), np.log(alpha)), 1e-15, "log alpha at the start")
    for _ in range(UPDATES):
        learner.update(**b.batch)
        found = soft(port, learner, b)
        now = np.full(len(seed), alpha) if fixed else np.exp(before.log_coefficient)
        q, logs = critics(before, b, now), np.log(before.policy)
        size = [before.critic, before.target, found.critic, now.max() * logs]
        slack = 16 * rounding(port, b, *size) + float(now.max()) * log_error(b, logs)
        port.equal(found.critic, q, slack, "the critics")
        due = actor(before, b, q, now)
        port.equal(np.log(found.policy), due, 4 * log_error(b, due, float(np.abs(q).max())) + 4 * slack, "log pi")
        surplus = (before.policy * logs).sum(axis=-1)[seed, s].mean(axis=-1) + goal
        rise = 0.0 if fixed else RATE * now * surplus
        port.equal(found.log_coefficient, before.log_coefficient + rise, 4 * log_error(b, logs) * max(now.max(), 1.0), "log alpha")
        port.equal(found.target, (1 - POLYAK) * before.target + POLYAK * found.critic, slack, "the targets")
        before = found


@claim("S1", source=f"{HAARNOJA}; Theorem 1 of its soft policy iteration, with the gaps kept", operators=["sac_agent"])
def sac_on_all_data_comes_to_the_soft_optimum(port: Trial) -> None:
    """With alpha fixed and the data of all pairs at each update critics and targets come to the soft Q*, the policy to softmax(Q* /
    alpha), as near as slow critics and a policy that trails them by little allow. Two actions: log pi(1|s) - log pi(0|s) then moves
    by c of the way to the difference of Q over alpha."""
    w, updates = coin_walk(), 90
    batch, share = rows(w)
    for alpha, polyak, part in ((2.0, 1.0, 0.2), (3.0, 0.75, 0.25)):
        point = regularized.soft_optimal_values(w.transition, w.reward, w.terminal, entropy_coefficient=alpha, discount=w.discount)
        mass = share.sum(axis=-1)
        rates = {"critic_learning_rate": float(part / share.max()), "policy_learning_rate": float(2.0 / (alpha * mass.max()))}
        learner = made(port, w, SAC | rates | {"entropy_coefficient": alpha, "polyak_step": polyak, "init": "zeros"})
        left = start(port, learner, point, alpha)
        gaps = np.abs(np.diff(point.q[:-1])).max() + 2 * left.critic
        pace = regularized.policy_step_range(
            mass, learning_rate=rates["policy_learning_rate"], entropy_coefficient=alpha, largest_logit=float(gaps / alpha)
        )
        begun = left.critic
        for _ in range(updates):
            learner.update(**batch)
            left = regularized.soft_learning_errors(
                1, left, discount=w.discount, entropy_coefficient=alpha, polyak_step=polyak, policy_step=pace,
                critic_step=step_range(share, learning_rate=rates["critic_learning_rate"], scale=1.0),
                roundoff=update_error(4 * begun, 64),
            )  # fmt: skip
            assert left.critic <= begun, "logits may be larger than they were taken to be"
        pairs = (1, 2, w.states + 1, w.actions)
        for name, allowed in (("critic", left.critic), ("target_critic", left.target)):
            near(port, told(port, learner, name, pairs)[0, :, :-1], point, allowed, f"{name} and the soft Q*")
        odds = np.diff(np.log(told(port, learner, "policy", (1, *pairs[2:]))[0, :-1]))
        due, slack = np.diff(point.q[:-1]) / alpha, left.lag + 2 * (left.critic + point.bound) / alpha
        assert slack <= np.abs(due).min() / 2, "a bound that says nothing"
        port.equal(odds, due, slack, "log pi(1|s) - log pi(0|s)")


def start(port: Trial, learner: Any, point: Any, alpha: float) -> regularized.SoftErrors:
    """How far the tables are from the soft optimum before they learn, and how far apart."""
    pairs = (1, 2, *point.q.shape)
    critic, target = (told(port, learner, name, pairs)[0, :, :-1] for name in ("critic", "target_critic"))
    odds = np.diff(np.log(told(port, learner, "policy", (1, *point.q.shape))[0, :-1]))
    lag = np.abs(odds - np.diff(critic.min(axis=0)) / alpha).max()
    far, farther = (float(np.abs(table - point.q[:-1]).max() + point.bound) for table in (critic, target))
    return regularized.SoftErrors(far, farther, float(lag), float(np.abs(critic - target).max()))
