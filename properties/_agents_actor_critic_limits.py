"""On all data of a linear-quadratic world actor-critics come to Riccati's gain as near as their recursion from the same start."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from properties._agents_actor_critic_noise import KALASHNIKOV
from properties._agents_actor_critics import DDPG, NARROW, SAC, TD3, Cases, Read, largest, made, read, slack
from properties._claim import Undecided, claim
from properties._trial import Trial
from reference import actor_critics as due
from reference.actor_critics import Batch, Followed, Learned, Rule
from reference.linear_quadratic import LinearQuadratic

BRADTKE = "Bradtke 1993; Bertsekas 2017, §3.1"
SCALAR = LinearQuadratic([[0.75]], [[0.5]], [[1.0]], [[0.5]], 0.5, None, [[1.0]])
PLANE = LinearQuadratic([[0.75, 0.25], [0.0, 0.5]], [[0.0], [0.5]], np.eye(2), [[0.5]], 0.5, None, np.eye(2))
CRITIC_STEP, POLICY_STEP = 0.75, 0.0625


class Limit(NamedTuple):
    """Where a learner must be after so many updates, and how much its rounding may have become by then."""

    followed: Followed
    drift: float


def whole(problem: LinearQuadratic) -> Cases:
    """Every state and action on the grid -1, 0, 1, and what follows it; nothing ends."""
    dynamics, control = np.asarray(problem.dynamics), np.asarray(problem.control)
    n, d = control.shape
    points = np.stack(np.meshgrid(*[[-1.0, 0.0, 1.0]] * (n + d), indexing="ij"), axis=-1).reshape(-1, n + d)
    x, u = points[:, :n], points[:, n:]
    cost = ((x @ np.asarray(problem.state_cost)) * x).sum(axis=-1) + ((u @ np.asarray(problem.control_cost)) * u).sum(axis=-1)
    following, nothing_ends = x @ dynamics.T + u @ control.T, np.zeros((1, len(points)), dtype=np.bool_)
    return Cases(Batch(x[None], u[None], -cost[None], following[None], nothing_ends), problem.discount)


def first(one: Any) -> Any:
    """Of the first seed."""
    return type(one)(*(part[0] for part in one))


def limit(case: Cases, start: Read, rule: Rule, updates: int, w: float, misses: Any = None) -> Limit:
    """The recursion from the learner's start; w bounds its weights as it has them, `misses` what its search may miss each time."""
    followed = due.follow(first(start.learned), first(case.batch), rule, updates=updates)
    exact = Read(Learned(*(part[None] for part in followed.learned)), 0.0, 0.0)
    each = max(slack(exact, exact, case, rule, max(w, followed.size)))
    errors = np.full(updates + 1, each)
    errors[0] += max(start.critic_error, start.policy_error)
    if misses is not None:
        errors[1:] += [misses(one) for one in followed.path[:-1]]
    drift = float(followed.amplifications @ errors)
    if not drift < followed.margin:
        raise Undecided(f"from this start the twins came within {followed.margin} of each other: which is the smaller is not known")
    return Limit(followed, drift)


def arrived(port: Trial, problem: LinearQuadratic, found: Read, at: Limit, rule: Rule, what: str) -> None:
    """At the recursion's end but for rounding, and so as near to Riccati's as that: a twentieth of it, or less."""
    critic, policy = due.optimal(problem)
    goal = Learned(np.broadcast_to(critic, at.followed.learned.critics.shape), policy, critic, policy)
    for place, (name, size) in enumerate({"critics": np.abs(critic).max(), "policy": np.abs(policy).max()}.items()):
        if name == "policy" and rule.actor == "none":
            continue
        end, error = at.followed.learned[place], (found.critic_error, found.policy_error)[place]
        left = float(np.abs(due.coefficients(end) - goal[place] if name == "critics" else end - goal[place]).max())
        allowed = left + at.drift + error
        if not allowed <= size / 20:
            raise Undecided(f"from this start the recursion itself leads no nearer than {allowed}")
        port.equal(found.learned[place][0], end, at.drift + error, f"{what}: {name} and their recursion")
        port.at_most(np.abs(found.learned[place][0] - goal[place]).max(), allowed, 0.0, f"{what}: {name} and Riccati's")


def trained(
    port: Trial, problem: LinearQuadratic, options: dict[str, Any], rule: Rule, members: int, updates: int, misses: Any = None
) -> None:
    """All of the data at each update."""
    case = whole(problem)
    learner = made(port, case.sizes, case.discount, options, (rule.low, rule.high))
    start, w = read(port, learner, case.sizes, members, rule), largest(learner)
    at = limit(case, start, rule, updates, w, misses)
    for _ in range(updates):
        learner.update(**case.arrays)
    arrived(port, problem, read(port, learner, case.sizes, members, rule), at, rule, f"after {updates} updates")


RATES = {"critic_learning_rate": CRITIC_STEP / 2, "policy_learning_rate": POLICY_STEP, "tanh_mean": False}


@claim("A1", source=f"{DDPG}; {BRADTKE}", operators=["ddpg_agent"])
def ddpg_on_all_data_comes_to_riccatis_gain(port: Trial) -> None:
    """Full batches of a regulator with one state, and of one with two: critic and gain end where the equations' recursion leads
    from the same start, but for rounding times its derivative; and that is within a twentieth of Q* and of the optimal gain."""
    for problem, updates in ((SCALAR, 100), (PLANE, 140)):
        rule = Rule(problem.discount, CRITIC_STEP, POLICY_STEP, 0.75)
        trained(port, problem, RATES | {"polyak_step": 0.75}, rule, 1, updates)


@claim("A1", source=f"{TD3}; {BRADTKE}", operators=["td3_agent"])
def td3_without_noise_comes_to_riccatis_gain(port: Trial) -> None:
    """The same of a regulator with one state, both critics, and targets that wait with the policy for every second update."""
    rule = Rule(SCALAR.discount, CRITIC_STEP, 2 * POLICY_STEP, 1.0, policy_every=2, targets_wait=True)
    options = {"policy_learning_rate": 2 * POLICY_STEP, "polyak_step": 1.0, "policy_every": 2, "target_noise": 0.0}
    trained(port, SCALAR, RATES | options, rule, 2, 110)


@claim("S1", source=f"{SAC}; {BRADTKE}", operators=["sac_continuous_agent"])
def sac_without_spread_and_entropy_comes_to_riccatis_gain(port: Trial) -> None:
    """The same, with the policy's own next action, where entropy has no weight and each action is its mean."""
    rule = Rule(SCALAR.discount, CRITIC_STEP, POLICY_STEP, 0.75, follows=False, actor="smaller")
    options = {"critic_learning_rate": CRITIC_STEP, "policy_learning_rate": POLICY_STEP, "polyak_step": 0.75}
    quiet = {"squash": False, "entropy_coefficient": 0.0, "log_std_range": NARROW}
    trained(port, SCALAR, options | quiet, rule, 2, 100)


@claim("A4", source=f"{KALASHNIKOV}; {BRADTKE}", operators=["cem_agent"])
def q_learning_by_gradient_search_comes_to_riccatis_values(port: Trial) -> None:
    """The same with the maximum of Q' for the policy: from Q = 0 on every critic is concave in the action, so that k steps of a
    gradient search miss its maximum by no more than q |1 - step q|^2k (width / 2)² / 2, q the curvature."""
    box, size, steps = 2.0, 0.25, 24

    def misses(one: Learned) -> float:
        """By how much a search can shift a weight: no feature of the data is above 1."""
        bend = 2.0 * abs(float(one.target_critics[0, -1]))
        return float(CRITIC_STEP * SCALAR.discount * 0.5 * bend * (abs(1 - size * bend) ** steps * box) ** 2)

    rule = Rule(SCALAR.discount, CRITIC_STEP, polyak_step=0.75, actor="none", low=-box, high=box)
    options = {"critic_learning_rate": CRITIC_STEP / 2, "polyak_step": 0.75, "init": "zeros", "twin": False, "search": "gradient"}
    search = {"step_size": size, "tolerance": 0.0, "max_iterations": steps}
    trained(port, SCALAR, options | search, rule, 1, 80, misses)
