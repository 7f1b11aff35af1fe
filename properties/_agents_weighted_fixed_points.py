"""Where AWR and QWR come to on exact data: their values, and policies weighed by them (W1, W6), with derived bounds.

A round holds the policy's weights still, and the loss is then convex in the logits. With weights that are within a factor of
exp(e) of those due, what it descends to is pi^ with |log pi^ - log pi| <= 2e, hence |pi^ - pi| <= exp(2e) - 1; and how near descent
comes to pi^ is the bound of _agents_descents.
"""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import Any

import numpy as np

from properties._agents_descents import NESTEROV, apart, gradient_left, logit_error
from properties._agents_fixed_points import SUP, near, shares
from properties._agents_weighted_regression import AWR, QWR
from properties._agents_worlds import World, chancy, coin_walk, made, told, update_error
from properties._bounds import Floats
from properties._claim import claim
from properties._trial import Trial
from reference import agents as due
from reference import regularized_agents as regularized

TEMPERATURE, CAP = 0.5, 1.25
WEIGHED = {"temperature": TEMPERATURE, "max_weight": CAP}


def extracted(
    port: Trial, before: Floats, found: Floats, policy: Floats, rate: Any, steps: int, wrong: float, entries: int
) -> None:
    """The policy [S, A] after so many steps from `before`, at a rate of rate(s) <= 2 a state, with log-weights that are `wrong`."""
    allowed = gradient_left(rate, steps, 0.0, apart(before, policy) + 2 * 2**0.5 * wrong) + np.expm1(2 * wrong)
    assert float(np.max(allowed)) <= 1 / 20, "a bound that says nothing"
    distance = np.linalg.norm(found - policy, axis=-1)
    port.at_most(distance, allowed, logit_error(steps, entries), "the policy and the weighted behavior")


# ------------------------------------------------------------------------------------------------------------------ AWR
@claim("W1", source=f"{SUP}; {NESTEROV}; Peng et al. 2019, Algorithm 1", operators=["awr_agent"])
def awr_on_single_steps_comes_to_the_behaviors_values_and_its_weighted_actions(port: Trial) -> None:
    """Data that hold every (s, a, s') as often as they must, each as an episode of its own: V comes to V^mu as near as k steps
    towards the returns of each round allow, and the policy to mu(a|s) E min(exp((r + gamma V(s') - V(s)) / t), cap), the mean over
    s': without chance that is mu exp(A / t), with chance luck is imitated."""
    w, rounds, values, policies = coin_walk(), 12, 12, 100
    mass = shares(w).sum(axis=-1)
    point = regularized.advantage_regression_values(w.behavior, w.transition, w.reward, **WEIGHED, discount=w.discount)
    rate, policy_rate = float(0.5 / mass.max()), float(2.0 / (CAP * mass.max()))
    options = {"value_learning_rate": rate, "policy_learning_rate": policy_rate, "value_steps": values, "policy_steps": policies}
    learner = made(port, w, AWR | WEIGHED | options, behavior=w.behavior)
    start = w.size + float(np.abs(told(port, learner, "value", (1, w.states + 1))).max())
    learner.run(rounds - 1)
    before = told(port, learner, "policy", (1, w.states + 1, w.actions))[0, :-1]
    learner.run(1)
    left = due.learning_errors(
        rounds * values, due.Errors(start, start), discount=w.discount, target_period=values,
        critic_step=due.step_range(mass, learning_rate=rate, scale=1.0), roundoff=update_error(2 * start, 64),
    )  # fmt: skip
    near(port, told(port, learner, "value", (1, w.states + 1))[:, :-1], point, left.critic, "V and V^mu")
    step = w.reward[:, :, None] + w.discount * point.value - point.value[:, None, None]
    weight = np.minimum(np.exp(step / TEMPERATURE), CAP)[:-1]
    wrong = (1 + w.discount) * (left.critic + point.bound) / TEMPERATURE
    total = mass * (w.behavior[:-1, :, None] * w.transition[:-1] * weight).sum(axis=(1, 2)) * np.exp(-wrong)
    found = told(port, learner, "policy", (1, w.states + 1, w.actions))[0, :-1]
    extracted(port, before, found, point.policy[:-1], policy_rate * total, policies, wrong, 64)


# ------------------------------------------------------------------------------------------------------------------ QWR
LAYERS = 3


@cache
def stairs() -> World:
    """Three layers of two states each: a step leads to either state of the next layer by a fair coin, the last one to the end."""
    states = 2 * LAYERS
    transition = np.zeros((states, 2, states + 1))
    for s, a in product(range(states), range(2)):
        down = 2 * (s // 2 + 1)
        transition[s, a, down : down + 2 if down < states else down + 1] = 0.5 if down < states else 1.0
    reward = [[0.0, 1.0], [0.5, 0.0], [0.25, 1.0], [1.0, 0.25], [0.0, 2.0], [1.0, 0.0]]
    behavior = [[0.75, 0.25], [0.5, 0.5], [0.5, 0.5], [0.25, 0.75], [0.75, 0.25], [0.5, 0.5]]
    return chancy(transition, reward, 0.75, start=[0.5, 0.5, 0.0, 0.0, 0.0, 0.0], behavior=behavior)


@cache
def episodes() -> tuple[dict[str, Any], Floats]:
    """All episodes of the stairs as environments of one rollout, each as often as its chance says; and d(s, a)."""
    w, ways = stairs(), []
    for first, turns in product(range(2), product(range(2), range(2), repeat=LAYERS)):
        lands, acts = (first, *(2 * (layer + 1) + coin for layer, coin in enumerate(turns[1::2]))), turns[::2]
        if turns[-1] == 0:  # one end
            chance = np.prod([w.behavior[s, a] for s, a in zip(lands, acts, strict=False)])
            ways += [(lands[:LAYERS], acts)] * round(float(chance) * 4**LAYERS)
    s, a = (np.array(column)[None] for column in zip(*ways, strict=True))
    after = np.concatenate([s[..., 1:], np.full_like(s[..., :1], w.states)], axis=-1)
    rollout = {
        "observations": s, "actions": a, "rewards": w.reward[s, a], "next_observations": after, "terminations": w.terminal[after],
        "truncations": w.terminal[after], "behavior": np.log(w.behavior)[s],
    }  # fmt: skip
    share = np.zeros((w.states, w.actions))
    np.add.at(share, (s.ravel(), a.ravel()), 1.0 / s.size)
    return rollout, share


BACKUP = 0.25


def fitted(port: Trial, aggregate: str, **options: Any) -> tuple[Any, Floats, float]:
    """A QWR learner after one round on those episodes, its policy before, and how far its critic may be from what is due."""
    w, (rollout, share), steps = stairs(), episodes(), 160
    rate = float(1.0 / share.max())
    learning = {"critic_learning_rate": rate, "critic_steps": steps, "target_every": 4, "backup_temperature": BACKUP}
    learner = made(port, w, QWR | WEIGHED | learning | {"aggregate": aggregate} | options)
    pairs = (1, 1, w.states + 1, w.actions)
    start = w.size + max(float(np.abs(told(port, learner, name, pairs)).max()) for name in ("critic", "target_critic"))
    before = told(port, learner, "policy", (1, *pairs[2:]))[0, :-1]
    learner.update(**rollout)
    left = due.learning_errors(
        steps, due.Errors(start, start), discount=w.discount, target_period=4,
        critic_step=due.step_range(share, learning_rate=rate, scale=1.0), roundoff=update_error(2 * start, 64),
    )  # fmt: skip
    return learner, before, left.target


@claim("W6", source=f"{SUP}; Kozakowski et al. 2021, policy evaluation (AVG, LSE, MAX)", operators=["qwr_agent"])
def qwrs_critics_on_all_episodes_come_to_their_values_in_order(port: Trial) -> None:
    """Actions enumerated, each by its chance: the critic comes to Q^mu with the mean, also of longer returns; to the fixed point of
    the soft backup with prior mu with log_mean_exp; to the best that mu can do with the maximum. They lie in this order, and
    further apart than what is left."""
    w = stairs()
    ordered: list[tuple[Floats, Floats, float]] = []
    for aggregate, margin in (("mean", 0), ("mean", 2), ("log_mean_exp", 0), ("max", 0)):
        options = {"margin": margin, "lambda_": 0.5, "policy_steps": 1, "policy_learning_rate": 1.0}
        learner, _, left = fitted(port, aggregate, **options)
        tables = w.behavior, w.transition, w.reward
        point = regularized.aggregated_values(*tables, aggregate=aggregate, aggregate_temperature=BACKUP, discount=w.discount)
        for name in ("critic", "target_critic"):
            found = told(port, learner, name, (1, 1, w.states + 1, w.actions))[0, :, :-1]
            near(port, found, point, left, f"{name} with {aggregate} and margin {margin}")
        ordered.append((found[0], point.q[:-1], left + point.bound))
    for (lower, low, error), (upper, high, other) in zip(ordered[1:], ordered[2:], strict=False):
        below = (high - low > 2 * (error + other))[: w.states - 2]  # from the last layer nothing is looked ahead to
        assert below.all(), "fixed points too near to each other"
        port.at_most(lower, upper, error + other, "each aggregate and the next larger one")
        apart_by = np.where(high - low > 0, (high - low) / 2, 0.0)[: w.states - 2]
        port.at_most(lower[: w.states - 2] + apart_by, upper[: w.states - 2], 0.0, "how far they are apart")


@claim("W1", source=f"{NESTEROV}; Kozakowski et al. 2021, policy improvement", operators=["qwr_agent"])
def qwrs_policy_on_all_episodes_comes_to_the_weighted_behavior(port: Trial) -> None:
    """Whatever F: pi comes to mu min(exp((Q - sum mu Q) / t), cap), Q what the critic comes to, as near as its distance and the
    steps of the regression allow; without a cap in reach that is the improved policy."""
    w, steps = stairs(), 250
    for aggregate, cap, t in (("mean", CAP, 1.0), ("max", CAP, 1.0), ("log_mean_exp", 64.0, 2.0)):
        point = regularized.aggregated_values(
            w.behavior, w.transition, w.reward, aggregate=aggregate, aggregate_temperature=BACKUP, temperature=t, max_weight=cap,
            discount=w.discount,
        )  # fmt: skip
        advantage = point.q - (w.behavior * point.q).sum(axis=-1, keepdims=True)
        most = min(float(np.exp(advantage / t).max()), cap)
        if cap > most:
            best = port.improved_policy(w.behavior, point.q, temperature=t)
            port.equal(point.policy, best, update_error(8.0, 64), "the weighted behavior and the improved policy")
        mass = episodes()[1].sum(axis=-1)
        rate = float(1.8 / (most * mass.max()))
        options = {"temperature": t, "max_weight": cap, "policy_learning_rate": rate, "policy_steps": steps, "margin": 0}
        learner, before, left = fitted(port, aggregate, **options)
        wrong = 2 * (left + point.bound) / t
        assert np.exp(wrong) <= 2.0 / 1.8, "a rate beyond what is smooth"
        weight = np.minimum(np.exp(advantage / t), cap)[:-1]
        total = mass * (w.behavior[:-1] * weight).sum(axis=-1) * np.exp(-wrong)
        found = told(port, learner, "policy", (1, w.states + 1, w.actions))[0, :-1]
        extracted(port, before, found, point.policy[:-1], rate * total, steps, wrong, 2048)
