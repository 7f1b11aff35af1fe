"""Where exact gradients lead REINFORCE, PPO and TRPO: to the best action, as fast as their theorems say; and what a loop can lead
to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from properties._agents_on_policy import (
    CLIP,
    GRADIENT,
    OPTIONS,
    REGION,
    Known,
    Steps,
    advantages,
    log_error,
    mean_error,
    regressed,
    slope,
    softened,
)
from properties._agents_trust_regions import SOLVED, Region, solved, trusted
from properties._agents_worlds import World, chancy, coin_walk, evaluated, made, optimal, told, world
from properties._bounds import Floats
from properties._claim import claim
from properties._trial import Trial
from reference import on_policy_agents as due

MEI = "Mei et al. 2020, Theorem 2"
PLAIN = {"lambda_": 1.0, "baseline": "none"}


def bandit(rewards: Floats) -> World:
    """One state; every action ends the episode."""
    return world(np.full((1, len(rewards)), 1), np.asarray(rewards)[None], 0.5)


def every_action(w: World, policy: Floats) -> dict[str, Any]:
    """Each action of the one state once, paid A pi(a) r(a), A of them: the mean of that times grad log pi is the exact gradient."""
    s, a, over = (
        np.zeros((1, 1, w.actions), dtype=np.int64),
        np.arange(w.actions)[None, None],
        np.ones((1, 1, w.actions), dtype=bool),
    )
    paid = w.actions * policy[0] * w.reward[0]
    return {
        "observations": s, "actions": a, "rewards": paid[None, None], "next_observations": s + 1, "terminations": over,
        "truncations": over & (a == w.actions - 1),
    }  # fmt: skip


def ascent(port: Trial, w: World, options: dict[str, Any], updates: int) -> Floats:
    """From equal chances, the policy before and after each of so many updates on exact gradients, [updates + 1, A]."""
    sized = PLAIN | {"update_every": w.actions, "envs": 1}
    learner, found = made(port, w, options | sized | {"init": "zeros"}), []
    for update in range(updates + 1):
        policy = told(port, learner, "policy", (1, 2, w.actions))[0]
        found.append(policy[0])
        if update < updates:
            learner.update(**every_action(w, policy))
    return np.array(found)


@claim("agents", source=MEI, operators=["reinforce_agent", "ppo_agent"])
def exact_policy_gradients_come_to_the_best_arm_as_fast_as_their_rate_says(port: Trial) -> None:
    """Three arms that pay 1, 1/2 and 0; steps of 2/5 up the exact gradient, which PPO's first epoch takes, too: after T of them
    what is lost against the best arm is at most 1 / (1/loss_0 + sum of pi_t(best)^2 / 5), and it never grows on the way."""
    w, updates = bandit(np.array([1.0, 0.5, 0.0])), 200
    epochs = {"epochs": 1} if port.subject == "ppo_agent" else {}
    policies = ascent(port, w, GRADIENT[port.subject] | {"policy_learning_rate": 0.4} | epochs, updates)
    lost = 1.0 - policies @ w.reward[0]
    allowed = due.policy_gradient_gap(policies[:-1, 0], gap=float(lost[0]))
    slack = updates * log_error(np.log(policies))
    port.at_most(lost[-1], allowed, slack, f"the loss after {updates} updates")
    port.at_most(lost[1:], lost[:-1], log_error(np.log(policies)), "the loss from update to update")
    port.at_most(allowed, 1 / 20, 0.0, "what the theorem allows, as the best action grows likely")


@claim("agents", source="Schulman et al. 2015 (TRPO), appendix C; Kakade 2002", operators=["trpo_agent"])
def trust_regions_come_to_the_better_arm_geometrically(port: Trial) -> None:
    """Two arms that pay 1 and 0, exact gradients: each update raises the log-odds of the better one by the least of
    sqrt(2 max_kl / (1/4 + damping/2)) and shrink sqrt(8 max_kl), or more; so after 40 nearly nothing is lost."""
    w, updates, max_kl = bandit(np.array([1.0, 0.0])), 40, 0.02
    policies = ascent(port, w, REGION | {"max_kl": max_kl}, updates)
    growth = due.trust_region_growth(max_kl=max_kl, damping=REGION["damping"], shrink=REGION["shrink"])
    odds = np.log(policies[:, 0]) - np.log(policies[:, 1])
    slack = 4 * log_error(np.log(policies)) + 1e-8 * growth
    port.at_most(growth, np.diff(odds), slack, "the rise of the log-odds in each update")
    allowed = due.trust_region_gap(updates, gap=1.0, odds=float(odds[0]), growth=growth)
    assert allowed <= 1 / 1000, "a bound that says nothing"
    port.at_most(policies[-1, 1], allowed, updates * slack, f"the loss after {updates} updates")


def every_pair(w: World, policy: Floats, advantage: Floats) -> dict[str, Any]:
    """Each pair before the end once, an episode each, paid A pi(a|s) A(s, a): the natural gradient of that is the advantage."""
    s, a = (places.ravel()[None, None] for places in np.indices((w.states, w.actions)))
    over = np.ones(s.shape, dtype=bool)
    return {
        "observations": s, "actions": a, "rewards": w.actions * (policy * advantage)[s, a], "next_observations": 0 * s + w.states,
        "terminations": over, "truncations": ~over,
    }  # fmt: skip


@claim("agents", source="Agarwal et al. 2021, §5.3; Schulman et al. 2015 (TRPO), appendix C", operators=["trpo_agent"])
def trust_regions_on_exact_advantages_come_to_the_best_policy(port: Trial) -> None:
    """In a world of coins with the exact advantages of its policy and no damping, each update moves every state's logits by the
    same c A: so no value falls, and V* - V is at most (KL_0 + sum of c (rise of V)) / ((1 - gamma) sum of c), which after 14 is a
    twentieth."""
    w, updates = coin_walk(), 14
    best, _ = optimal(port, w)
    chosen = best.argmax(axis=-1)
    visits = (1 - w.discount) * np.linalg.solve(
        np.eye(w.states) - w.discount * w.transition[np.arange(w.states), chosen][:, :-1].T, w.start[:-1]
    )
    options = REGION | PLAIN | {"max_kl": 2.0**-7, "damping": 0.0, "update_every": best.size, "envs": 1, "init": "zeros"}
    learner, steps, values = made(port, w, options), [], []
    for update in range(updates + 1):
        policy = told(port, learner, "policy", (1, w.states + 1, w.actions))[0]
        q, error = evaluated(port, w, policy)
        values.append((policy[:-1] * q).sum(axis=-1))
        advantage, odds = q - values[-1][:, None], np.diff(np.log(policy[:-1]), axis=-1)[:, 0]
        if update == updates:
            break
        learner.update(**every_pair(w, policy[:-1], advantage))
        after = told(port, learner, "policy", (1, w.states + 1, w.actions))[0]
        moved, apart = np.diff(np.log(after[:-1]), axis=-1)[:, 0] - odds, np.diff(advantage, axis=-1)[:, 0]
        steps.append(float(moved @ apart / (apart @ apart)))
        least = float((policy[:-1].prod(axis=-1) / w.states).min())
        slack = 4 * log_error(np.log(after)) + 8 * (SOLVED + error / np.abs(apart).min()) * np.abs(moved).max() / least
        port.equal(moved, steps[-1] * apart, slack, f"the log-odds' change in update {update}, along the advantages")
    rounding = 4 * error + log_error(np.log(policy))
    rises = np.diff(np.array(values) @ visits)
    port.at_most(np.zeros((updates, w.states)), np.diff(values, axis=0), rounding, "no value falls")
    nats = float(visits @ np.full(w.states, np.log(w.actions)))
    allowed = due.natural_gradient_gap(steps, np.maximum(rises, 0.0), divergence=nats, discount=w.discount)
    port.at_most(w.start[:-1] @ (best.max(axis=-1) - values[-1]), allowed, rounding, "V* - V from where episodes start")
    port.at_most(allowed, 1 / 8, 0.0, "what the theorem allows")


# ------------------------------------------------------------------------------------------------------------- the loop
LIMIT, LENGTH, SEEDS = 2, 3, 32
MAX_KL = 0.0625
ONCE_ONLY: dict[str, dict[str, Any]] = {"ppo_agent": {"epochs": 1, "clip": CLIP}, "trpo_agent": {"max_kl": MAX_KL}}
LOOP: dict[str, Any] = {
    "lambda_": 1.0,
    "target_lambda": 1.0,
    "baseline": "network",
    "update_every": LENGTH,
    "max_episode_steps": LIMIT,
    "envs": 1,
}


def coins() -> World:
    """Episodes start in the first state, and are cut after two steps; every pair pays another reward."""
    transition = [[[0.0, 1.0, 0.0], [0.0, 0.5, 0.5]], [[0.5, 0.5, 0.0], [0.0, 1.0, 0.0]]]
    return chancy(transition, [[1.0, 0.5], [0.25, 2.0]], 0.5, start=[1.0, 0.0])


class Past(NamedTuple):
    """The steps up to now, each (s, a, r, s', over, cut), and where the next one begins."""

    steps: tuple[tuple[Any, ...], ...]
    state: int
    length: int


def pasts(w: World) -> list[Past]:
    """Every history of LENGTH steps of the loop."""

    def onwards(past: Past) -> Iterator[Past]:
        for a in range(w.actions):
            for after in np.flatnonzero(w.transition[past.state, a]):
                over, cut = bool(w.terminal[after]), past.length + 1 == LIMIT
                step = (past.state, a, w.reward[past.state, a], int(after), over, cut and not over)
                begins = over or cut
                yield Past((*past.steps, step), 0 if begins else int(after), 0 if begins else past.length + 1)

    found = [Past((), 0, 0)]
    for _ in range(LENGTH):
        found = [later for past in found for later in onwards(past)]
    return found


def rolled(w: World, found: list[Past]) -> Steps:
    """Histories as the rollouts of so many seeds."""
    names = ("observations", "actions", "rewards", "next_observations", "terminations", "truncations")
    columns = [np.array([[step[place] for step in past.steps] for past in found])[:, None] for place in range(len(names))]
    columns[-1][..., -1] = True
    return Steps(w, dict(zip(names, columns, strict=True)))


def outcomes(port: Trial, start: Known) -> tuple[Known, Floats, float]:
    """pi and V after one update on each history from the first seed's tables, and how far off log pi [histories] and V may be."""
    w = coins()
    b = rolled(w, pasts(w))
    start = Known(*(np.repeat(table[:1], b.seeds, axis=0) for table in start))
    advantage, value, slack = (
        advantages(port, b, start.value, 1.0),
        regressed(port, b, start.value, 1.0),
        mean_error(b, start.value),
    )
    moves = slope(start.policy, b, advantage)
    if port.subject != "trpo_agent":
        logs = softened(start.logs + moves)
        return Known(np.exp(logs), value), np.full(b.seeds, slack + 4 * log_error(logs)), slack
    _, s, a = b.places
    every = [Region(*parts) for parts in zip(start.logs, s, a, advantage, strict=True)]
    ends = [trusted(port, region, move, MAX_KL) for region, move in zip(every, moves, strict=True)]
    logs, wide = np.array([end.logs for end in ends]), [solved(region, move) for region, move in zip(every, moves, strict=True)]
    bound = [4 * log_error(logs) + 4 * float(np.abs(end.full).max()) * wide_of for end, wide_of in zip(ends, wide, strict=True)]
    return Known(np.exp(logs), value), np.array(bound), slack


@claim("agents", source="Sutton & Barto 2018, §13.3-13.5; Pardo et al. 2018 (time limits)",
       operators=["reinforce_agent", "ppo_agent", "trpo_agent"])  # fmt: skip
def what_a_loop_learns_is_what_one_of_its_histories_teaches(port: Trial) -> None:
    """Each of 32 seeds has, after three steps in a world of coins whose episodes are cut after two, the policy and the V that the
    update makes of one of all the histories there are: a time limit ends no value, the successor of a last step is its own, and
    what the policy did is what it learns from. Both actions of the first step are among those done."""
    w, shape = coins(), (SEEDS, 3, 2)
    taught = rolled(w, pasts(w)[5:6]).rollout
    learner = made(port, w, OPTIONS[port.subject] | LOOP | ONCE_ONLY.get(port.subject, {}) | {"init": "zeros"}, seeds=range(SEEDS))
    learner.update(**{name: np.repeat(column, SEEDS, axis=0) for name, column in taught.items()})
    before = Known(told(port, learner, "policy", shape), told(port, learner, "value", shape[:2]))
    port.holds(
        bool(before.value.any()) and bool((before.policy == before.policy[0]).all()), "equal seeds learn the same of the same"
    )
    learner.run(LENGTH)
    found = Known(told(port, learner, "policy", shape), told(port, learner, "value", shape[:2]))
    ends, policy_slack, value_slack = outcomes(port, before)
    gaps = np.abs(found.logs[:, None] - ends.logs).max(axis=(-1, -2)), np.abs(found.value[:, None] - ends.value).max(axis=-1)
    far = np.maximum(gaps[0] / policy_slack, gaps[1] / value_slack)
    port.at_most(far.min(axis=-1), 1.0, 0.0, "how far each seed is from the nearest history, in units of what rounding may do")
    first = np.array([past.steps[0][1] for past in pasts(w)])
    seen = [bool((far[:, first == a] <= 1.0).any()) for a in range(w.actions)]
    port.holds(all(seen), "every action must be done first by some seed", found=seen)
