"""The fixed point that each agent must reach, with the bound that contraction and the number of updates leave (B7, I9)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from properties._agents_updates import CRITICS, DQN, OFFLINE
from properties._agents_worlds import World, chancy, coin_walk, made, q_table, told, update_error
from properties._bounds import Floats
from properties._claim import claim
from properties._trial import Trial
from reference import agents as due
from reference.finite_mdps import toy_maze

SUP = "Bertsekas & Tsitsiklis 1996, §4.3 (sup-norm contractions)"
IQL = "Kostrikov et al. 2021, Theorem 3 and eqs. 5-7"


def shares(w: World) -> Floats:
    """d(s, a) before the end: the part of the exact data that starts with each pair."""
    found = w.behavior[:-1] / w.states
    return np.asarray(found / found.sum())


def rows(w: World) -> tuple[dict[str, Any], Floats]:
    """Data of all pairs alike, each s' as often as the transition says, as one batch; and d(s, a)."""
    chances = w.transition[:-1]
    parts = int(round(1.0 / chances[chances > 0].min()))
    while not np.array_equal(np.round(chances * parts), chances * parts):
        parts += 1
    places = np.repeat(np.argwhere(chances > 0), np.round(chances[chances > 0] * parts).astype(np.int64), axis=0)
    s, a, after = (column[None] for column in places.T)
    batch = {
        "observations": s, "actions": a, "rewards": w.reward[s, a], "next_observations": after,
        "terminations": w.terminal[after], "next_actions": 0 * a,
    }  # fmt: skip
    return batch, np.full((w.states, w.actions), 1.0 / (w.states * w.actions))


def near(port: Trial, found: Floats, point: due.FixedPoint, allowed: float, what: str) -> None:
    """Each value within the bound, which must be worth something: a twentieth of the largest value or less."""
    size = float(np.abs(point.q[:-1]).max())
    assert allowed <= size / 20, "a bound that says nothing"
    table = point.q[:-1] if found.ndim == 3 else point.value[:-1]
    port.at_most(np.abs(found - table).max(), allowed + point.bound, 0.0, what)


# ----------------------------------------------------------------------------------------------------------- with a model
@claim("B2", source=SUP, operators=["value_iteration_agent", "q_value_iteration_agent"])
def planning_agents_come_closer_by_the_discount_each_sweep(port: Trial) -> None:
    """After k sweeps the distance to V* (or Q*) is at most gamma^k what it was at the start: in the maze, and where coins fall."""
    for w in (coin_walk(), maze()):
        point = due.optimal_values(w.transition, w.reward, discount=w.discount)
        learner = made(port, w)
        kind, target = ("value", point.value) if port.subject == "value_iteration_agent" else ("q", point.q)
        start = np.abs(told(port, learner, kind, (1, *target.shape))[0] - target).max()
        for sweeps in (1, 2, 40):
            learner.run(sweeps)
        found = told(port, learner, kind, (1, *target.shape))[0]
        slack = point.bound + update_error(w.size, 43)
        port.at_most(np.abs(found - target).max(), w.discount**43 * start, slack, f"{kind} after 43 sweeps")
        best = found[:-1] if kind == "q" else port.action_values(found, w.transition, w.reward, discount=w.discount)[:-1]
        port.equal(best, point.q[:-1], w.discount**43 * start + slack, "the values of actions")


# ------------------------------------------------------------------------------------------------------------ from targets
@claim("B7", source=f"{SUP}; Mnih et al. 2015", operators=["dqn_agent"])
def dqn_on_all_data_comes_to_the_optimum(port: Trial) -> None:
    """Gradient descent on all of the data at once, with a target that is copied at every 3rd update, or follows slowly: the largest
    distance to Q* stays within what the contraction allows."""
    w = coin_walk()
    batch, share = rows(w)
    point = due.optimal_values(w.transition, w.reward, discount=w.discount)
    rate = float(1.0 / share.max())
    for every, step in ((3, 1.0), (1, 0.5)):
        learner = made(port, w, DQN | {"learning_rate": 0.5 * rate, "target_every": every, "polyak_step": step})
        distance = float(np.abs(q_table(port, learner, w)[0] - point.q[:-1]).max())
        for _ in range(60):
            learner.update(**batch)
        left = due.learning_errors(
            60, due.Errors(distance, distance), discount=w.discount, polyak_step=step, target_period=every,
            critic_step=due.step_range(share, learning_rate=0.5 * rate, scale=1.0), roundoff=update_error(w.size + distance, 2),
        )  # fmt: skip
        near(port, q_table(port, learner, w), point, left.critic, "Q and Q*")


def windows(w: World, steps: int) -> Iterator[tuple[float, Any]]:
    """Every window of so many steps, shorter only at the end, from a pair onwards by the behavior: its chance, and s, a, return,
    successor, whether that is the end, and the discount of what follows."""
    for s, a in np.ndindex(w.states, w.actions):
        ahead: list[tuple[float, int, int, float]] = [(1.0, s, a, 0.0)]
        for step in range(steps):
            moved = [
                (chance * float(w.transition[at, by, after]), int(after), gain + w.discount**step * float(w.reward[at, by]))
                for chance, at, by, gain in ahead
                for after in np.flatnonzero(w.transition[at, by])
            ]
            last = step == steps - 1
            for chance, after, gain in moved:
                if last or w.terminal[after]:
                    yield chance, (s, a, gain, after, w.terminal[after], w.discount ** (step + 1))
            ahead = [
                (chance * float(w.behavior[after, by]), after, by, gain)
                for chance, after, gain in moved
                for by in range(w.actions)
                if not w.terminal[after]
            ]


def whole_windows(w: World, steps: int) -> tuple[dict[str, Any], Floats]:
    """All of them as one batch, each as often as its chance says, where all chances are multiples of 1/4; and d(s, a)."""
    unit = 4.0 ** (2 * steps - 1)
    places = [place for chance, place in windows(w, steps) for _ in range(round(chance * unit))]
    names = ("observations", "actions", "rewards", "next_observations", "terminations", "discounts")
    batch = {name: np.array(column)[None] for name, column in zip(names, zip(*places, strict=True), strict=True)}
    return batch, np.full((w.states, w.actions), 1.0 / (w.states * w.actions))


@claim("B7", source="Hessel et al. 2018, the multi-step target; Hernandez-Garcia & Sutton 2019", operators=["dqn_agent"])
def dqn_on_all_windows_comes_to_the_n_step_values(port: Trial) -> None:
    """Batches that hold every window of three steps as often as the behavior and the transition say, each with its own discount:
    the distance to the uncorrected 3-step values, which lie below Q*, shrinks as with the discount gamma^3."""
    w, steps, updates = coin_walk(), 3, 12
    batch, share = whole_windows(w, steps)
    point = due.n_step_values(w.behavior, w.transition, w.reward, n=steps, discount=w.discount)
    rate = float(0.75 / share.max())
    learner = made(port, w, DQN | {"learning_rate": rate, "target_every": 1, "n_step": steps})
    distance = float(np.abs(q_table(port, learner, w)[0] - point.q[:-1]).max())
    for _ in range(updates):
        learner.update(**batch)
    left = due.learning_errors(
        updates, due.Errors(distance, distance), discount=w.discount**steps,
        critic_step=due.step_range(share, learning_rate=rate, scale=1.0),
        roundoff=update_error(w.size + distance, batch["rewards"].size),
    )  # fmt: skip
    near(port, q_table(port, learner, w), point, left.critic, "Q and the 3-step values")


@claim("B6", source="Ernst, Geurts & Wehenkel 2005, §3", operators=["fitted_q_iteration_agent"])
def a_fitted_iteration_on_all_data_is_a_sweep(port: Trial) -> None:
    """With a table as the regressor each iteration on data of all pairs is one optimality backup of Q, so that k of them leave at
    most gamma^k of the distance to Q*."""
    for w in (coin_walk(), maze()):
        batch, _ = rows(w)
        learner = made(port, w)
        point = due.optimal_values(w.transition, w.reward, discount=w.discount)
        before = told(port, learner, "q", (1, w.states + 1, w.actions))[0]
        distance = float(np.abs(before - point.q)[:-1].max())
        slack = update_error(w.size + distance, 1 + batch["rewards"].size // w.reward.size)
        for _ in range(12):
            learner.update(**batch)
            sweep = port.q_optimality_backup(before, w.transition, w.reward, discount=w.discount)
            before = told(port, learner, "q", (1, w.states + 1, w.actions))[0]
            port.equal(before[:-1], sweep[:-1], slack, "one sweep of Q-value iteration")
        near(port, before[None, :-1], point, w.discount**12 * distance + 12 * slack, "Q and Q*")


@claim("B7", source="van Hasselt 2010, theorem 1", operators=["double_q_learning_agent"])
def both_tables_of_double_q_learning_come_to_the_optimum(port: Trial) -> None:
    """On all of the data at once, both tables in each update: how far they are from Q*, and from each other, shrinks as their
    recursion says."""
    w, updates = coin_walk(), 40
    batch, _ = rows(w)
    point = due.optimal_values(w.transition, w.reward, discount=w.discount)
    learner = made(port, w, {"learning_rate": 0.5, "learns": "both"})
    shape = (1, 2, w.states + 1, w.actions)
    tables = told(port, learner, "critic", shape)[0, :, :-1]
    start, apart = float(np.abs(tables - point.q[:-1]).max()), float(np.abs(tables[0] - tables[1]).max())
    for _ in range(updates):
        learner.update(**batch)
    left, _ = due.double_q_errors(
        updates, start, apart, discount=w.discount, critic_step=(0.5, 0.5), roundoff=update_error(w.size + start, 4)
    )
    near(port, told(port, learner, "critic", shape)[0, :, :-1], point, left, "both tables and Q*")


# ---------------------------------------------------------------------------------------------------------------- from data
def rates(w: World, expectile: float) -> dict[str, Any]:
    """Learning rates at which the largest step is a whole one, and targets that follow three quarters of the way."""
    share = shares(w)
    value = 0.5 / (share.sum(axis=-1).max() * max(expectile, 1 - expectile))
    return {"critic_learning_rate": float(0.5 / share.max()), "value_learning_rate": float(value), "polyak_step": 0.75}


def trained(port: Trial, w: World, options: dict[str, Any], updates: int) -> tuple[Any, float]:
    """A learner after so many updates on exact data, and how far from any fixed point its tables can have been at the start."""
    learner = made(port, w, options, behavior=w.behavior)
    pairs = (1, 2, w.states + 1, w.actions)
    found = [told(port, learner, name, pairs) for name in ("critic", "target_critic")]
    found.append(told(port, learner, "value", (1, w.states + 1)))
    learner.run(updates)
    return learner, w.size + max(float(np.abs(table).max()) for table in found)


def left_of(w: World, start: float, updates: int, expectile: float, *, value: bool) -> due.Errors:
    """What so many updates leave of the distance, where the critics bootstrap from the value, or from their targets."""
    chosen, share = rates(w, expectile), shares(w)
    steps = due.value_step_range(share, learning_rate=chosen["value_learning_rate"], expectile=expectile)
    return due.learning_errors(
        updates, due.Errors(start, start, start if value else 0.0), discount=w.discount, polyak_step=0.75,
        critic_step=due.step_range(share, learning_rate=chosen["critic_learning_rate"]), value_step=steps if value else None,
        roundoff=update_error(2 * start, 4),
    )  # fmt: skip


@claim("I5", source=IQL, operators=["iql_agent"])
def iql_on_all_data_comes_to_the_in_sample_values(port: Trial) -> None:
    """V, both critics and their targets come to V_expectile and Q_expectile as near as the contraction allows: data that hold every
    (s, a, s') as often as they must, all of them at each update."""
    w = coin_walk()
    for level in (0.5, 0.75):
        point = due.in_sample_values(w.behavior, w.transition, w.reward, expectile=level, discount=w.discount)
        learner, start = trained(port, w, CRITICS | rates(w, level) | {"expectile": level}, 300)
        left = left_of(w, start, 300, level, value=True)
        near(port, told(port, learner, "value", (1, w.states + 1))[:, :-1], point, left.value, "V and V_expectile")
        for name in ("critic", "target_critic"):
            table = told(port, learner, name, (1, 2, w.states + 1, w.actions))[0, :, :-1]
            near(port, table, point, max(left.critic, left.target), f"{name} and Q_expectile")


@claim("B7", source=f"{SUP}; Brandfonbrener et al. 2021", operators=["one_step_agent"])
def one_step_on_all_data_comes_to_the_behaviors_values(port: Trial) -> None:
    """The critics come to Q^mu as near as the contraction allows, and V to V^mu: in the second half of the updates it goes part
    of the way, or more, to the mean of targets that are no farther off than after the first half."""
    w, half = coin_walk(), 100
    point = due.behavior_values(w.behavior, w.transition, w.reward, discount=w.discount)
    learner, start = trained(port, w, CRITICS | rates(w, 0.5), 2 * half)
    left = left_of(w, start, 2 * half, 0.5, value=False)
    critics = told(port, learner, "critic", (1, 2, w.states + 1, w.actions))[0, :, :-1]
    near(port, critics, point, left.critic, "the critics and Q^mu")
    least = due.value_step_range(shares(w), learning_rate=rates(w, 0.5)["value_learning_rate"], expectile=0.5)[0]
    allowed = (1.0 - least) ** half * start + left_of(w, start, half, 0.5, value=False).target
    near(port, told(port, learner, "value", (1, w.states + 1))[:, :-1], point, allowed, "V and V^mu")


# ----------------------------------------------------------------------------------------------------------------- policies
def likelihood_gap(rate: float, updates: int, farthest: float) -> float:
    """What gradient descent with a rate of at most 1 / smoothness leaves of a convex loss: |x_0 - x*|^2 / (2 rate k)."""
    return farthest**2 / (2 * rate * updates)


@claim("agents", source="Nesterov 2004, Corollary 2.1.2; Pinsker's inequality", operators=["bc_agent"])
def cloning_on_all_data_comes_to_the_behavior(port: Trial) -> None:
    """The loss is convex in the logits x, and smooth with d(s) / 2 = 1/4: after k steps of rate h <= 4 it is within
    |x_0 - x*|^2 / (2hk) of the least, and by Pinsker's inequality sum_s d(s) (sum_a |pi - mu|)^2 is at most twice that."""
    w, updates, rate = coin_walk(), 1500, 4.0
    learner = made(port, w, OFFLINE | {"policy_learning_rate": rate}, behavior=w.behavior)
    first = told(port, learner, "policy", (1, w.states + 1, w.actions))[0, :-1]
    learner.run(updates)
    found = told(port, learner, "policy", (1, w.states + 1, w.actions))[0, :-1]
    gap = np.log(first) - np.log(w.behavior[:-1])
    farthest = np.linalg.norm(gap - gap.mean(axis=-1, keepdims=True))
    distance = np.abs(found - w.behavior[:-1]).sum(axis=-1)
    allowed = 2 * likelihood_gap(rate, updates, float(farthest))
    port.at_most(np.mean(distance**2), allowed, update_error(1.0, 16), "the mean of |pi - mu|^2")


# ------------------------------------------------------------------------------------------------------------ the toy maze
def maze(discount: float = 0.75) -> World:
    """The toy maze with its goal last, a behavior that knows nothing, and all of its states alike among the first."""
    table = toy_maze()
    order = np.append(np.flatnonzero(~table.terminal), np.flatnonzero(table.terminal))
    transition = np.asarray(table.dense().transition)[order][:, :, order]
    return chancy(transition[:-1], table.reward[order][:-1], discount)


@claim("I9", source="Kostrikov et al. 2021, fig. 2", operators=["iql_agent", "one_step_agent"])
def in_the_toy_maze_a_learner_lies_on_its_side_of_a_quarter_of_the_way(port: Trial) -> None:
    """From data of a uniform behavior, in every state but the goal: IQL at expectile 0.95 comes closer to V* than V^mu is, and no
    value above V*; one-step improvement does not, it comes to V^mu. So IQL is the closer one, state by state."""
    w = maze()
    best = due.optimal_values(w.transition, w.reward, discount=w.discount)
    mean = due.behavior_values(w.behavior, w.transition, w.reward, discount=w.discount)
    level, updates = (0.95, 800) if port.subject == "iql_agent" else (0.5, 200)
    options = CRITICS | rates(w, level) | ({"expectile": level} if port.subject == "iql_agent" else {})
    learner, _ = trained(port, w, options, updates)
    found = told(port, learner, "value", (1, w.states + 1))[0, :-1]
    middle = mean.value[:-1] + 0.25 * (best.value - mean.value)[:-1]
    port.at_most(found, best.value[:-1], 0.0, "V <= V*")
    if port.subject == "iql_agent":
        port.at_most(middle, found, 0.0, "IQL has gone a quarter of the way from V^mu to V*, or more")
    else:
        port.at_most(found, middle, 0.0, "one-step improvement has not")
