"""Gaussian policies with linear means: updates on actions that are a quadrature rule, so that a sampled gradient is its
expectation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from properties._agents_on_policy import OPTIONS
from properties._agents_trust_regions import SOLVED
from properties._bounds import UNIT, Floats, gamma
from properties._claim import claim
from properties._draw import codes
from properties._quadrature import repeated
from properties._trial import Trial
from reference import linear_quadratic as regulator
from reference.linear_quadratic import LinearQuadratic

FAZEL = "Fazel et al. 2018, Lemma 1; Williams 1992, §4"
PROBLEM = LinearQuadratic(
    np.array([[0.5, 0.25], [0.0, 0.75]]), np.array([[1.0, 0.0], [0.5, 1.0]]), np.eye(2), np.array([[1.0, 0.25], [0.25, 0.5]]),
    0.5, None, np.array([[1.0, 0.5], [0.5, 2.0]]),
)  # fmt: skip
RATE = 1 / 64


class Linear(NamedTuple):
    """Policies of so many seeds: u ~ N(gain x + bias, exp(log_std)^2), [seeds, D, n], [seeds, D] and [seeds, D]."""

    gain: Floats
    bias: Floats
    log_std: Floats

    def mean(self, states: Floats) -> Floats:
        """[seeds, N, n] -> [seeds, N, D]."""
        return np.asarray(np.einsum("bdn,bkn->bkd", self.gain, states) + self.bias[:, None])

    def flat(self) -> Floats:
        """Every parameter, [seeds, P]."""
        return np.concatenate([part.reshape(len(part), -1) for part in self], axis=1)

    def moved(self, step: Floats) -> Linear:
        """All parameters changed by [seeds, P]."""
        cuts = np.cumsum([part[0].size for part in self])[:-1]
        return Linear(*(part + change.reshape(part.shape) for part, change in zip(self, np.split(step, cuts, axis=1), strict=True)))

    def one(self, seed: int) -> Linear:
        """That of one seed."""
        return Linear(*(part[seed : seed + 1] for part in self))


def learner_in(port: Trial, problem: LinearQuadratic, options: dict[str, Any], *, steps: int, envs: int = 1, seeds: int = 1) -> Any:
    """The subject, equal in all seeds, whose rollouts have so many steps; actions are in units of the policy's own."""
    a, b, q, r = map(np.asarray, problem[:4])
    side = np.ones(b.shape[1])
    sized = {"update_every": steps, "envs": envs}
    make = getattr(port, port.subject)
    return make(
        a, b, q, r, np.zeros(len(a)), low=-side, high=side, discount=problem.discount, options=options | sized, seeds=(0,) * seeds
    )


def policy_of(port: Trial, learner: Any, seeds: int, n: int) -> Linear:
    """As it is now, asked at 0 and at the unit vectors."""
    found = learner.policy(np.broadcast_to(np.vstack([np.zeros(n), np.eye(n)]), (seeds, n + 1, n)).copy())
    mean, log_std = (np.asarray(found[name], dtype=np.float64) for name in ("mean", "log_std"))
    port.holds(bool(np.isfinite(mean).all() and np.isfinite(log_std).all()), "the policy must be finite", found=mean)
    return Linear((mean[:, 1:] - mean[:, :1]).swapaxes(1, 2), mean[:, 0], log_std[:, 0])


def one_step_episodes(states: Floats, actions: Floats, advantage: Floats, envs: int = 1) -> dict[str, Any]:
    """[seeds, N, ...] as rollouts in which every step ends its episode: without a baseline its reward is its advantage."""
    seeds, count = advantage.shape
    shape = (seeds, envs, count // envs)
    columns = {"observations": states, "actions": actions, "next_observations": states}
    found = {name: np.ascontiguousarray(column).reshape(*shape, -1) for name, column in columns.items()}
    over = np.ones(shape, dtype=bool)
    return found | {"rewards": advantage.reshape(shape).copy(), "terminations": over, "truncations": over & False}


def jacobians(states: Floats, dimensions: int) -> tuple[Floats, Floats]:
    """d mean / d parameters and d log_std / d parameters in each state; [N, n] -> [N, D, P] twice."""
    count, n = states.shape
    each = np.eye(dimensions)
    by_gain = np.einsum("de,kn->kden", each, states).reshape(count, dimensions, dimensions * n)
    ones, nothing = np.broadcast_to(each, (count, dimensions, dimensions)), np.zeros((count, dimensions, dimensions))
    return np.concatenate([by_gain, ones, nothing], axis=2), np.concatenate([0 * by_gain, nothing, ones], axis=2)


def scores(port: Trial, policy: Linear, states: Floats, actions: Floats) -> Floats:
    """grad log pi(a|s) of one seed by all parameters, [N, P]."""
    mean = policy.mean(states[None])[0]
    by_mean, by_log_std = port.gaussian_score(actions, mean, np.broadcast_to(policy.log_std, mean.shape))
    mean_rows, log_std_rows = jacobians(states, mean.shape[1])
    return np.asarray(np.einsum("kd,kdp->kp", by_mean, mean_rows) + np.einsum("kd,kdp->kp", by_log_std, log_std_rows))


Draw = Callable[[st.SearchStrategy[Any]], Any]
Objective = Callable[[Linear], float]


class Natural(NamedTuple):
    """The policy after a natural step and its search, the full step, and whether rounding decides the search."""

    policy: Linear
    full: Floats
    close: bool


def natural(
    port: Trial, policy: Linear, states: Floats, gradient: Floats, surrogate: Objective, options: dict[str, Any]
) -> Natural:
    """Of one seed, up the gradient [P], KL and Fisher matrix over the states [N, n]."""
    mean_rows, log_std_rows = jacobians(states, policy.bias.shape[1])
    mean, log_std = policy.mean(states[None])[0], np.broadcast_to(policy.log_std, (len(states), policy.bias.shape[1]))
    tried: list[tuple[float, float]] = []

    def metric(vector: Floats) -> Floats:
        return np.asarray(port.fisher_vector_product(vector, mean_rows, log_std, log_std_rows, damping=0.0))

    def evaluated(step: Floats) -> tuple[float, float]:
        there = policy.moved(step[None])
        kl = port.gaussian_kl(mean, log_std, there.mean(states[None])[0], np.broadcast_to(there.log_std, log_std.shape))
        tried.append((surrogate(there), float(kl.mean())))
        return tried[-1]

    max_kl, tolerance = options["max_kl"], 1e-12 * float(np.linalg.norm(gradient))
    solver = {"iterations": options["cg_iterations"], "damping": options["damping"], "tolerance": tolerance}
    full = port.natural_step(gradient, metric, max_kl=max_kl, **solver)
    search = {"shrink": options["shrink"], "max_backtracks": options["max_backtracks"]}
    step, _, _ = port.backtracking_search(evaluated, full, max_kl=max_kl, **search)
    size = 1e-12 * (1.0 + abs(tried[0][0]))
    close = any(abs(kl - max_kl) < 1e-7 * max_kl or abs(value - tried[0][0]) < size for value, kl in tried[1:])
    return Natural(policy.moved(step[None]), full, close)


# --------------------------------------------------------------------------------------------------------- the expectation
def whole_rule(policy: Linear, moment: Floats) -> tuple[Floats, Floats]:
    """States whose plain mean of x x' is `moment`, each with actions whose plain mean is the policy's expectation, up to degree
    5."""
    root = np.linalg.cholesky(moment) * np.sqrt(len(moment))
    points, noise = np.vstack([root.T, -root.T]), repeated(2, policy.bias.shape[1])
    states = np.repeat(points, len(noise), axis=0)
    deviation = np.exp(policy.log_std) * np.tile(noise, (len(points), 1))
    return states, policy.mean(states[None])[0] + deviation


def expected(policy: Linear) -> tuple[Floats, Floats]:
    """The policy gradient in closed form, [P], where the bias is 0 and one deviation serves all dimensions; and its scale."""
    gain, deviation = policy.gain[0], float(np.exp(policy.log_std[0, 0]))
    by_gain = regulator.objective_gradient(PROBLEM, gain, deviation=deviation)
    control = np.asarray(PROBLEM.control)
    curvature = PROBLEM.control_cost + PROBLEM.discount * control.T @ regulator.value_matrix(PROBLEM, gain) @ control
    by_log_std = -2.0 * deviation**2 * np.diag(curvature)
    return np.concatenate([by_gain.ravel(), np.zeros(len(gain)), by_log_std]), np.abs(by_gain)


OPERATORS = ["reinforce_continuous_agent", "ppo_continuous_agent", "trpo_continuous_agent"]
FREE = {"baseline": "none", "lambda_": 1.0, "initial_log_std": -1.0, "policy_gain": 0.25}
REGION = {"max_kl": 0.0625, "shrink": 0.75, "max_backtracks": 12, "damping": 0.125, "cg_iterations": 20}


@claim("A1", source=FAZEL, operators=OPERATORS)
def the_expected_update_is_the_regulators_gradient(port: Trial) -> None:
    """In a linear-quadratic world with Q(x, u) for the advantage: over states of the discounted second moment, and actions whose
    plain mean is the expectation, REINFORCE and PPO move gain, bias and log_std by the rate times the gradient of the objective in
    closed form; TRPO by the natural step along it. Whatever of Q does not depend on u changes nothing."""
    options = OPTIONS[port.subject.replace("_continuous", "")] | FREE
    own: dict[str, dict[str, Any]] = {"reinforce": {}, "ppo": {"epochs": 1}, "trpo": REGION}
    options |= own[port.subject.partition("_")[0]]
    learner = learner_in(port, PROBLEM, options | ({} if "trpo" in port.subject else {"policy_learning_rate": RATE}), steps=ROWS)
    policy = policy_of(port, learner, 1, 2)
    port.holds(not policy.bias.any(), "the bias begins as 0", found=policy.bias)
    moment = regulator.state_second_moment(PROBLEM, policy.gain[0], deviation=float(np.exp(policy.log_std[0, 0])))
    states, actions = whole_rule(policy, moment)
    paid = regulator.action_value(PROBLEM, policy.gain[0], states, actions)
    learner.update(**one_step_episodes(states[None], actions[None], paid[None]))
    found, (gradient, _) = policy_of(port, learner, 1, 2), expected(policy)
    terms = np.abs(scores(port, policy, states, actions)).max() * np.abs(paid).max()
    lost = float(gamma(ROWS + 256, UNIT["float64"]) * terms)
    if "trpo" not in port.subject:
        port.equal(found.flat(), (policy.flat() + RATE * gradient), RATE * lost + own_error(policy), "gain, bias, log_std")
        return
    log_prob = port.gaussian_log_prob(actions, *spread(policy, states))

    def surrogate(there: Linear) -> float:
        return float((np.exp(port.gaussian_log_prob(actions, *spread(there, states)) - log_prob) * paid).mean())

    due = natural(port, policy, states, gradient, surrogate, REGION)
    assert not due.close, "a search that rounding decides"
    slack = 4 * np.abs(due.full).max() * condition(policy, states) * (SOLVED + 2 * lost / np.linalg.norm(gradient))
    port.equal(found.flat(), due.policy.flat(), slack + own_error(policy), "gain, bias, log_std")


ROWS = 4 * len(repeated(2, 2))


def spread(policy: Linear, states: Floats) -> tuple[Floats, Floats]:
    """One seed's mean and log_std in each state, [N, D] twice."""
    mean = policy.mean(states[None])[0]
    return mean, np.broadcast_to(policy.log_std, mean.shape)


def own_error(policy: Linear) -> float:
    """What asking for parameters, and adding to them, may lose."""
    return float(gamma(32, UNIT["float64"]) * (4.0 + np.abs(policy.flat()).max()))


def condition(policy: Linear, states: Floats) -> float:
    """Of F + damping: no eigenvalue of F is above the mean of (|x|^2 + 1) / sigma^2, or 2."""
    largest = float(max(np.mean((states**2).sum(axis=-1) + 1) * np.exp(-2 * policy.log_std).max(), 2.0))
    return (largest + REGION["damping"]) / REGION["damping"]


# ------------------------------------------------------------------------------------------------------------ drawn steps
class Batch(NamedTuple):
    """States, noise and advantages of two updates, [2, N, n], [2, N, D], [2, N]."""

    states: Floats
    noise: Floats
    advantage: Floats


@st.composite
def samples(draw: Draw, longest: int = 5) -> Batch:
    """Of the world with two actions: multiples of 1/64 below 2 in size."""
    count = draw(st.integers(1, longest))

    def numbers(*shape: int) -> Floats:
        return np.frombuffer(draw(codes(int(np.prod(shape)))), dtype=np.int8).reshape(shape) / 64.0

    return Batch(numbers(2, count, 2), numbers(2, count, 2), numbers(2, count))


@claim("U2", source="Schulman et al. 2015 (TRPO), appendix C", operators=["trpo_continuous_agent"], share=0.1,
       given={"b": samples(), "max_kl": st.sampled_from([0.0625, 1.0, 4.0])})  # fmt: skip
def a_gaussian_trust_region_is_never_left_nor_the_surrogate_lowered(port: Trial, b: Batch, max_kl: float) -> None:
    """The same of a Gaussian policy, whose mean can go too far and whose deviation can shrink too much: after every update KL(old,
    new) is at most max_kl on average, and the mean of rho A no lower than before."""
    options = OPTIONS["trpo_agent"] | FREE | REGION | {"max_kl": max_kl, "damping": 2.0**-8}
    learner = learner_in(port, PROBLEM, options, steps=b.advantage.shape[1])
    before = policy_of(port, learner, 1, 2)
    for states, noise, advantage in zip(*b, strict=True):
        mean, log_std = spread(before, states)
        actions = mean + np.exp(log_std) * noise
        learner.update(**one_step_episodes(states[None], actions[None], advantage[None]))
        after = policy_of(port, learner, 1, 2)
        ratio = np.exp(port.gaussian_log_prob(actions, *spread(after, states)) - port.gaussian_log_prob(actions, mean, log_std))
        kl, error = port("gaussian_kl", mean, log_std, *spread(after, states))
        largest = (1.0 + (noise**2).sum(axis=-1).max()) * (1.0 + ratio.max()) * np.abs(advantage).max()
        lost = float(own_error(after) * np.exp(-after.log_std.min()) ** 2 * 64)
        port.at_most(kl.mean(), max_kl, error.mean() + lost * (1.0 + kl.max()), "KL(old, new)")
        port.at_most(advantage.mean(), (ratio * advantage).mean(), lost * largest, "the mean of rho A before and after")
        before = after
