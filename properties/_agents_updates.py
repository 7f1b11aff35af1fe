"""One update of a learner that is a table is what its equations say, and target networks follow at their time (T1)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from properties._agents_worlds import Batches, batches, made, told
from properties._bounds import ELEMENTARY, UNIT, Floats, gamma
from properties._claim import claim
from properties._trial import Trial

IQL = "Kostrikov et al. 2021, eqs. 5-7, and the order of the authors' code"
MNIH = "Mnih et al. 2015, eq. 2 and algorithm 1; van Hasselt, Guez, Silver 2016"
RATE = 0.25
PLAIN = {"hidden": (), "optimizer": "sgd"}
"""A table of numbers, moved by gradient descent."""
OFFLINE = PLAIN | {"policy_schedule": "constant", "policy_learning_rate": RATE, "reward_transform": "none"}
CRITICS = OFFLINE | {
    "value_learning_rate": RATE, "critic_learning_rate": RATE, "critic_reduction": "sum", "polyak_step": 0.25, "order": "author",
    "inverse_temperature": 0.5, "max_weight": 4.0,
}  # fmt: skip
DQN = PLAIN | {"learning_rate": RATE, "max_grad_norm": None}
UPDATES = 3
"""So many are compared, each with what is due from the tables before it."""


class Tables(NamedTuple):
    """What a learner knows, [seeds, members, S, A], [seeds, S] and [seeds, S, A]."""

    critic: Floats
    target: Floats
    value: Floats
    policy: Floats


def tables(port: Trial, learner: Any, b: Batches) -> Tables:
    """As they are now, the row of the end among them."""
    w, seeds = b.world, len(b.batch["rewards"])
    states, pairs = w.states + 1, (w.states + 1, w.actions)
    critic, target = (told(port, learner, name, (seeds, 2, *pairs)) for name in ("critic", "target_critic"))
    return Tables(critic, target, told(port, learner, "value", (seeds, states)), told(port, learner, "policy", (seeds, *pairs)))


def places(b: Batches) -> tuple[Any, Any, Any, Any, Any]:
    """seed, s, a, s' and the action after it, each [seeds, batch]."""
    x = b.batch
    seed = np.arange(len(x["rewards"]))[:, None] + 0 * x["actions"]
    return seed, x["observations"], x["actions"], x["next_observations"], x["next_actions"]


def moved(table: Floats, index: tuple[Any, ...], by: Floats) -> Floats:
    """The table with the mean over the batch added: `by` [seeds, batch] at its place."""
    found = table.copy()
    np.add.at(found, index, by / by.shape[-1])
    return found


def rounding(port: Trial, b: Batches, *sizes: Any) -> float:
    """What one update may lose: each entry is a sum over the batch of terms of four operations on numbers of these sizes."""
    size = sum(float(np.abs(x).max(initial=0.0)) for x in (*sizes, b.batch["rewards"]))
    return float(gamma(b.batch["rewards"].shape[1] + 16, UNIT["float64"]) * 4 * size)


def regressed(port: Trial, t: Tables, b: Batches, expectile: float) -> Floats:
    """V after one step towards the expectile of the smaller target critic."""
    seed, s, a, _, _ = places(b)
    error = t.target[seed, :, s, a].min(axis=-1) - t.value[seed, s]
    return moved(t.value, (seed, s), RATE * port.expectile_loss_gradient(error, expectile=expectile))


def weighed(port: Trial, t: Tables, value: Floats, b: Batches) -> tuple[Floats, float]:
    """log pi after one step of regression on the actions, weighed by min(exp((Q - V) / 2), 4), and its error."""
    seed, s, a, _, _ = places(b)
    advantage = t.target[seed, :, s, a].min(axis=-1) - value[seed, s]
    weight = port.exponential_weights(advantage, temperature=2.0, max_weight=4.0)
    return cloned(t.policy, b, weight), float(np.abs(advantage).max())


def cloned(policy: Floats, b: Batches, weight: Floats) -> Floats:
    """log pi after one step of the logits along the mean of weight * (1[a] - pi)."""
    seed, s, a, _, _ = places(b)
    logits = np.log(policy)
    for place in range(s.shape[1]):
        one = (seed[:, place], s[:, place])
        rise = np.eye(policy.shape[-1])[a[:, place]] - policy[one]
        logits[one] += RATE * weight[:, place, None] * rise / s.shape[1]
    return np.asarray(logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True)))


def log_error(b: Batches, logs: Floats, exponent: float = 0.0) -> float:
    """What log pi may lose: elementary functions of numbers up to the logs' size, and weights up to 4 of exponents like that."""
    size = 8.0 + float(np.abs(logs).max()) + exponent
    return float(gamma(b.batch["rewards"].shape[1] + 4 * ELEMENTARY + 16, UNIT["float64"]) * 8 * size)


def judged(port: Trial, before: Tables, after: Tables, b: Batches, expectile: float, ahead: Any) -> None:
    """V, policy, critics and targets after an update in the authors' order; `ahead` makes next values of (tables, new V)."""
    seed, s, a, _, _ = places(b)
    slack = rounding(port, b, before.critic, before.target, before.value, after.critic)
    value = regressed(port, before, b, expectile)
    port.equal(after.value, value, slack, "V")
    logs, exponent = weighed(port, before, value, b)
    port.equal(np.log(after.policy), logs, log_error(b, logs, exponent) + slack, "log pi")
    target = port.value_target(b.batch["rewards"], b.batch["terminations"], ahead(before, value), discount=b.world.discount)
    for member in range(2):
        error = 2 * RATE * (target - before.critic[seed, member, s, a])
        due = moved(before.critic[:, member], (seed, s, a), error)
        port.equal(after.critic[:, member], due, 2 * slack, f"critic {member}")
    port.equal(after.target, 0.75 * before.target + 0.25 * after.critic, slack, "a quarter of the way to the critics")


def every_update(port: Trial, b: Batches, options: dict[str, Any], expectile: float, ahead: Any) -> None:
    """The learner's own updates one after the other, each judged from where it was before."""
    learner = made(port, b.world, options, behavior=b.world.behavior, seeds=tuple(range(len(b.batch["rewards"]))))
    before = tables(port, learner, b)
    for _ in range(UPDATES):
        learner.update(**b.batch)
        after = tables(port, learner, b)
        judged(port, before, after, b, expectile, ahead)
        before = after


@claim("agents", source=IQL, operators=["iql_agent"], given={"b": batches(), "level": st.sampled_from([0.75, 0.5, 0.875])},
       share=0.1)  # fmt: skip
def an_update_of_iql_is_its_three_equations(port: Trial, b: Batches, level: float) -> None:
    """V moves along the expectile's gradient to the smaller target critic; with the new V the logits move along the mean of
    min(exp(inverse temperature (Q - V)), cap) grad log pi, both critics to r + gamma V(s'), a step of their own squared error each;
    last the targets move polyak_step of the way. Nothing else moves."""

    def ahead(t: Tables, value: Floats) -> Floats:
        seed, _, _, after, _ = places(b)
        return np.asarray(value[seed, after])

    every_update(port, b, CRITICS | {"expectile": level}, level, ahead)


@claim("agents", source="Brandfonbrener et al. 2021, with IQL's networks", operators=["one_step_agent"], given={"b": batches()},
       share=0.1)  # fmt: skip
def an_update_of_one_step_is_sarsa_and_one_regression(port: Trial, b: Batches) -> None:
    """Like IQL's at expectile 1/2, but that the critics move to r + gamma Q(s', a'), Q the smaller target critic, a' what the data
    did next."""

    def ahead(t: Tables, value: Floats) -> Floats:
        seed, _, _, after, action = places(b)
        return np.asarray(t.target[seed, :, after, action].min(axis=-1))

    every_update(port, b, CRITICS, 0.5, ahead)


@claim("agents", source="maximum likelihood; Pomerleau 1991", operators=["bc_agent"], given={"b": batches()}, share=0.1)
def an_update_of_cloning_climbs_the_likelihood(port: Trial, b: Batches) -> None:
    """The logits move along the mean of grad log pi(a|s) over the batch, rewards unread."""
    w, seeds = b.world, len(b.batch["rewards"])
    learner = made(port, w, OFFLINE, behavior=w.behavior, seeds=tuple(range(seeds)))
    for _ in range(UPDATES):
        before = told(port, learner, "policy", (seeds, w.states + 1, w.actions))
        learner.update(**b.batch)
        logs = cloned(before, b, np.ones(b.batch["rewards"].shape))
        found = told(port, learner, "policy", before.shape)
        port.equal(np.log(found), logs, log_error(b, logs), "log pi")


@claim("T1", source=MNIH, operators=["dqn_agent"], share=0.1,
       given={"b": batches(), "double": st.booleans(), "every": st.sampled_from([1, 2, 3]),
              "step": st.sampled_from([1.0, 0.25])})  # fmt: skip
def dqn_follows_a_target_that_moves_at_its_time_only(port: Trial, b: Batches, double: bool, every: int, step: float) -> None:
    """Q(s, a) moves to r + gamma Q^(s', argmax Q^(s', .)), with `double` argmax Q(s', .), along half its squared error; the critic
    acts. The target moves polyak_step of the way at every target_every-th update, and in between it stands still."""
    w, seeds = b.world, len(b.batch["rewards"])
    options = DQN | {"double": double, "target_every": every, "polyak_step": step}
    learner = made(port, w, options, seeds=tuple(range(seeds)))
    seed, s, a, after, _ = places(b)
    names, shape = ("critic", "target_critic"), (seeds, 1, w.states + 1, w.actions)
    for update in range(1, 2 * every + 2):
        critic, target = (told(port, learner, name, shape)[:, 0] for name in names)
        port.equal(told(port, learner, "q", (seeds, *shape[2:])), critic, 0.0, "the critic acts")
        learner.update(**b.batch)
        given = b.batch["rewards"], b.batch["terminations"]
        chosen = (critic if double else target)[seed, after]
        due = port.double_q_target(*given, chosen, target[seed, after], discount=w.discount)
        found, follower = (told(port, learner, name, shape)[:, 0] for name in names)
        slack = rounding(port, b, critic, target, found)
        port.equal(found, moved(critic, (seed, s, a), RATE * (due - critic[seed, s, a])), slack, "the critic")
        still = update % every != 0
        goal = target if still else (1 - step) * target + step * found
        port.equal(follower, goal, 0.0 if still or step == 1 else slack, "the target")


ATOMS = np.linspace(-2.0, 2.0, 5)
RAINBOW = DQN | {"dueling": False, "noisy": False, "atoms": len(ATOMS), "v_min": -2.0, "v_max": 2.0, "target_every": 2}


@claim("agents", source="Bellemare, Dabney, Munos 2017, algorithm 1; Hessel et al. 2018", operators=["rainbow_agent"], share=0.1,
       given={"b": batches(), "double": st.booleans()})  # fmt: skip
def an_update_of_rainbow_moves_distributions_to_projected_ones(port: Trial, b: Batches, double: bool) -> None:
    """The logits of (s, a) move along the mean of m - p: p their softmax, m the projection of r + gamma z, z as the target network
    has it for the action whose mean is largest there, with `double` in the online network. What acts is the mean of p."""
    w, seeds = b.world, len(b.batch["rewards"])
    learner = made(port, w, RAINBOW | {"double": double}, seeds=tuple(range(seeds)))
    seed, s, a, after, _ = places(b)
    shape = (seeds, w.states + 1, w.actions, len(ATOMS))
    for _ in range(UPDATES):
        p, target = (told(port, learner, name, shape) for name in ("distribution", "target_distribution"))
        chosen = ((p if double else target)[seed, after] @ ATOMS).argmax(axis=-1)
        given = target[seed, after, chosen], b.batch["rewards"], b.batch["terminations"]
        goal = port.categorical_projection(ATOMS, *given, discount=w.discount)
        logits = np.log(p)
        np.add.at(logits, (seed, s, a), RATE * (goal - p[seed, s, a]) / s.shape[1])
        learner.update(**b.batch)
        logs, found = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True)), told(port, learner, "distribution", shape)
        port.equal(np.log(found), logs, 4 * log_error(b, logs), "log p")
        port.equal(told(port, learner, "q", shape[:-1]), found @ ATOMS, log_error(b, logs), "the mean acts")


@claim("agents", source="Kostrikov et al. 2021, the authors' schedule; Loshchilov & Hutter 2017, eq. 5", given={"b": batches()},
       operators=["iql_agent", "one_step_agent", "bc_agent"], share=0.05)  # fmt: skip
def a_policy_whose_schedule_is_over_stands_still(port: Trial, b: Batches) -> None:
    """With the cosine schedule the policy moves until decay_steps updates are made, and never again: the rate stays 0."""
    w, seeds = b.world, len(b.batch["rewards"])
    options = {**(OFFLINE if port.subject == "bc_agent" else CRITICS), "policy_schedule": "cosine", "decay_steps": 3}
    learner = made(port, w, options, behavior=w.behavior, seeds=tuple(range(seeds)))
    shape = (seeds, w.states + 1, w.actions)
    seen = [told(port, learner, "policy", shape)]
    for _ in range(7):
        learner.update(**b.batch)
        seen.append(told(port, learner, "policy", shape))
    port.holds(not np.array_equal(seen[0], seen[3]), "the policy must learn while the schedule lasts", found=seen[3])
    for late in seen[4:]:
        port.equal(late, seen[3], 0.0, "the policy after the schedule's end")
