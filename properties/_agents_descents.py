"""Logits that descend on exact data: how near distributions of returns, and extracted policies, come to what is due (agents).

Of convex f, smooth with L, gradient descent at a rate h <= 1 / L satisfies for every y, and every k and N = 2k,

    f(x_k) - f(y) <= |x_0 - y|^2 / (2hk)        h/2 sum_{k <= i < N} |grad f(x_i)|^2 <= f(x_k) - min f
    |grad f(x_N)| <= |grad f(x_i)|, i <= N      so |grad f(x_N)|^2 <= 4 / (hN) (f(y) - min f + |x_0 - y|^2 / (hN)).

For the cross-entropy of m and softmax(x) the gradient is softmax(x) - m, L = 1/2, and f(y) - min f = KL(m, softmax(y)).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from properties._agents_fixed_points import left_of, near, rates, shares, trained, whole_windows
from properties._agents_updates import CRITICS, DQN
from properties._agents_worlds import BATCH, World, coin_walk, made, q_table, told, update_error
from properties._bounds import ELEMENTARY, UNIT, Floats, gamma
from properties._claim import claim
from properties._trial import Trial
from reference import agents as due

NESTEROV = "Nesterov 2004, §2.1 (convex and smooth functions)"


def gradient_left(rate: Any, updates: int, spare: Any, farthest: Any) -> Floats:
    """What is left of |softmax(x) - m| after an even number of updates at a rate of at most 2, with |x_0 - y| = farthest."""
    return np.asarray(np.sqrt(4 / (rate * updates) * (spare + farthest**2 / (rate * updates))))


def apart(one: Floats, other: Floats) -> Floats:
    """The distance between the logits of two distributions, which a constant does not change."""
    gap = np.log(one) - np.log(other)
    return np.asarray(np.linalg.norm(gap - gap.mean(axis=-1, keepdims=True), axis=-1))


def logit_error(updates: int, entries: int) -> float:
    """What rounding leaves of a probability after so many updates of logits below 64: descent never enlarges what was lost."""
    return float(updates * gamma(4 * ELEMENTARY + entries, UNIT["float64"]) * 64)


# ----------------------------------------------------------------------------------------------------------- distributions
ATOMS = np.linspace(0.0, 2.0, 5)
C51 = {"dueling": False, "noisy": False, "double": False, "atoms": len(ATOMS), "v_min": 0.0, "v_max": 2.0}
SHAPE = (1, *coin_walk().reward.shape, len(ATOMS))
SPREAD = float(np.linalg.norm(ATOMS - ATOMS.mean()))


def moved(port: Trial, w: World, found: Floats, batch: dict[str, Any]) -> Floats:
    """For each pair the mean over its windows of return + discount z, projected on the atoms, z as `found` has it where the window
    ends, for the action whose mean is largest there."""
    best = found[np.arange(len(found)), (found @ ATOMS).argmax(axis=-1)]
    s, a, gain, after, ends, discount = (batch[name][0] for name in (*BATCH[:5], "discounts"))
    goal = np.zeros((w.states, w.actions, len(ATOMS)))
    np.add.at(goal, (s, a), port.categorical_projection(ATOMS, best[after], gain, ends, discount=discount))
    return np.asarray(goal / goal.sum(axis=-1, keepdims=True))


def distribution_left(found: Floats, goal: Floats, rate: float, updates: int) -> float:
    """The bound above, the largest over the pairs; y is the goal mixed with a little of everything, as little as serves best."""
    best = np.full(goal.shape[:-1], np.inf)
    for part in 2.0 ** -np.arange(2, 40):
        mixed = (1 - part) * goal + part / goal.shape[-1]
        spare = np.where(goal > 0, goal * np.log(np.where(goal > 0, goal, 1.0) / mixed), 0.0).sum(axis=-1)
        best = np.minimum(best, gradient_left(rate, updates, spare, apart(found, mixed)))
    return float(best.max())


@claim("agents", source=f"{NESTEROV}; Bellemare, Dabney, Munos 2017; Hessel et al. 2018", operators=["rainbow_agent"])
def rainbows_means_on_all_data_come_to_the_optimum(port: Trial) -> None:
    """While the target stands, the distribution of each pair descends to the projected one, whose mean is that of the optimality
    backup, as the atoms span all returns. So the means' distance to Q* goes in each such stage from e to
    gamma e + |atoms - their mean| |p - m|, with |p - m| as descent leaves it. The same with gamma^2 of windows of two steps."""
    w = coin_walk()
    for steps, stages, updates in ((1, 6, 260), (2, 3, 160)):
        batch, share = whole_windows(w, steps)
        point = due.n_step_values(w.behavior, w.transition, w.reward, n=steps, discount=w.discount)
        options = {"learning_rate": float(2.0 / share.max()), "target_every": updates, "n_step": steps}
        learner = made(port, w, DQN | C51 | options)
        distance = float(np.abs(q_table(port, learner, w)[0] - point.q[:-1]).max())
        for _ in range(stages):
            found, target = (told(port, learner, name, SHAPE)[0] for name in ("distribution", "target_distribution"))
            left = distribution_left(found[:-1], moved(port, w, target, batch), 2.0, updates)
            distance = w.discount**steps * distance + SPREAD * (left + logit_error(updates, batch["rewards"].size))
            for _ in range(updates):
                learner.update(**batch)
        near(port, q_table(port, learner, w), point, distance, f"the means and the {steps}-step values")


# ---------------------------------------------------------------------------------------------------------------- policies
WEIGHTS: dict[str, Any] = {"inverse_temperature": 2.0, "max_weight": 1.25}


def settled(w: World, start: float, updates: int, level: float, *, value: bool) -> float:
    """How far from their fixed points critics, targets and V are after so many updates, and ever after."""
    left = left_of(w, start, updates, level, value=value)
    if value:
        return max(left)
    half = left_of(w, start, updates // 2, level, value=False)
    slowest = due.value_step_range(shares(w), learning_rate=rates(w, level)["value_learning_rate"], expectile=level)[0]
    return max(*left, (1.0 - slowest) ** (updates - updates // 2) * start + max(half))


@claim("agents", source=f"{NESTEROV}; Kostrikov et al. 2021, eq. 7; Brandfonbrener et al. 2021",
       operators=["iql_agent", "one_step_agent"])  # fmt: skip
def a_policy_on_all_data_comes_to_the_weighted_behavior(port: Trial) -> None:
    """Once Q and V are within e of theirs, the weights are within w (exp(2e / t) - 1) of w = min(exp((Q - V) / t), cap), and the
    policy descends, but for those, on the cross-entropy of pi proportional to mu w: its distance to pi is what descent leaves, and
    half of what all wrong weights together can have moved the logits by."""
    w, level, value = coin_walk(), 0.75 if port.subject == "iql_agent" else 0.5, port.subject == "iql_agent"
    same = {"discount": w.discount, "temperature": 1 / WEIGHTS["inverse_temperature"], "max_weight": WEIGHTS["max_weight"]}
    tables = w.behavior, w.transition, w.reward
    point = due.in_sample_values(*tables, expectile=level, **same) if value else due.behavior_values(*tables, **same)
    advantage = (point.q - point.value[:, None])[:-1]
    weight = np.minimum(np.exp(WEIGHTS["inverse_temperature"] * advantage), WEIGHTS["max_weight"])
    mass = shares(w).sum(axis=-1)
    total = mass * (w.behavior[:-1] * weight).sum(axis=-1)
    rate, first, then = float(2.0 / total.max()), 160, 100
    options = CRITICS | rates(w, level) | WEIGHTS | {"policy_learning_rate": rate} | ({"expectile": level} if value else {})
    learner, start = trained(port, w, options, first)
    before = told(port, learner, "policy", (1, w.states + 1, w.actions))[0, :-1]
    learner.run(then)
    found = told(port, learner, "policy", (1, w.states + 1, w.actions))[0, :-1]
    wrong = 2 * (settled(w, start, first, level, value=value) + point.bound + update_error(2 * start, 4 * then))
    drift = then * rate * mass * weight.max() * np.expm1(WEIGHTS["inverse_temperature"] * wrong)
    allowed = gradient_left(rate * total, then, 0.0, apart(before, point.policy[:-1])) + drift
    assert allowed.max() <= 1 / 20, "a bound that says nothing"
    distance = np.linalg.norm(found - point.policy[:-1], axis=-1)
    port.at_most(distance, allowed, logit_error(then, 64), "the policy and the weighted behavior")
