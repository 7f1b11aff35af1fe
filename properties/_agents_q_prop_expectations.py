"""What Q-Prop's updates climb on average: no weight known beforehand biases it, its own action's does; and its variance (Q1, Q2,
Q5).

Actions are the nodes of quadrature rules. Where a gradient must be known and not only its direction, a step is turned back into it:
F step is along the gradient, and one of its coordinates is made to be known.
"""

from __future__ import annotations

from itertools import product
from typing import Any, NamedTuple

import numpy as np

from properties._agents_gaussian_steps import (
    FAZEL,
    PROBLEM,
    REGION,
    ROWS,
    Linear,
    condition,
    expected,
    jacobians,
    learner_in,
    one_step_episodes,
    own_error,
    policy_of,
    spread,
    whole_rule,
)
from properties._agents_q_prop import GU, OPTIONS, Sample, due_step, gradient_of, slopes, variate
from properties._agents_trust_regions import SOLVED
from properties._bounds import Floats
from properties._claim import claim
from properties._quadrature import gauss_hermite
from properties._trial import Trial
from reference import linear_quadratic as regulator

ONE_CONTROL = PROBLEM._replace(control=np.array([[1.0], [0.5]]), control_cost=np.array([[0.5]]))
NODES = gauss_hermite(3)
"""Exact up to degree 5: a cubic advantage times a quadratic score."""
GAUGE = 8.0
"""The advantage of the steps that tell how long a gradient is: large, so that the step is up its surrogate."""


def advantage_at(noise: Floats) -> Floats:
    """A cubic in the noise that owes the critic nothing."""
    return np.asarray(0.5 - 1.5 * noise + 0.75 * noise**2 + 0.5 * noise**3)


def pairs() -> tuple[Floats, Floats]:
    """The noise of two independent actions at all pairs of nodes, [9, 2], and their weights [9]."""
    noise = np.array(list(product(NODES.nodes[:, 0], repeat=2)))
    return noise, np.array([first * second for first, second in product(NODES.weights, repeat=2)])


class Gauged(NamedTuple):
    """Two environments' rollouts of each seed: in each a step in state (1, 0) with noise of its own, and one in (0, 1) with noise
    1.

    Of the latter grad log pi by the gain's second entry is 1 / sigma, times A - w C, plus w g: A / sigma whatever the weight.
    """

    states: Floats
    noise: Floats
    advantage: Floats


def gauged(noise: Floats, advantage: Floats, height: float = GAUGE) -> Gauged:
    """Noise and advantages [seeds, 2] of the two steps in (1, 0), and the advantage of those in (0, 1)."""
    seeds = len(noise)
    states = np.broadcast_to(np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]), (seeds, 4, 2)).copy()
    ones, heights = np.ones(seeds), np.full(seeds, height)
    noises = np.stack([noise[:, 0], ones, noise[:, 1], ones], axis=1)
    return Gauged(states, noises, np.stack([advantage[:, 0], heights, advantage[:, 1], heights], axis=1))


def gradients(port: Trial, learner: Any, x: Gauged) -> tuple[Floats, Linear, Floats]:
    """What each seed's update climbed, [seeds, P], the policy before it, and the critic's slopes [seeds, 4, 1]."""
    seeds = len(x.states)
    policy = policy_of(port, learner, seeds, 2)
    deviation = np.exp(policy.log_std)[:, None]
    actions, slope = policy.mean(x.states) + deviation * x.noise[..., None], slopes(learner, policy, x.states)
    learner.update(**one_step_episodes(x.states, actions, x.advantage, envs=2))
    step = policy_of(port, learner, seeds, 2).flat() - policy.flat()
    found = np.array([metric(port, policy.one(seed), x.states[seed], step[seed]) for seed in range(seeds)])
    port.holds(bool((found[:, 1] > 0).all()), "each update must climb what it was shown", found=found[:, 1])
    known = 0.5 * GAUGE / deviation[:, 0, 0]
    return found * (known / found[:, 1])[:, None], policy, slope


def metric(port: Trial, policy: Linear, states: Floats, step: Floats) -> Floats:
    """(F + damping) step."""
    rows, log_std_rows = jacobians(states, 1)
    return np.asarray(port.fisher_vector_product(step, rows, spread(policy, states)[1], log_std_rows, damping=REGION["damping"]))


def gradient_error(policy: Linear, x: Gauged, found: Floats) -> float:
    """What turning a step back may lose: the residual that the solver leaves, and rounding of parameters beside steps as short as
    sqrt(2 max_kl / condition); in units of the largest coordinate."""
    wide = condition(policy.one(0), x.states[0])
    shortest = np.sqrt(2 * REGION["max_kl"] / wide) * REGION["shrink"] ** REGION["max_backtracks"] / wide
    return float(8 * np.abs(found).max() * (SOLVED + own_error(policy) / shortest))


def before(port: Trial, learner: Any, seeds: int) -> None:
    """One update on the same steps in all seeds: what the next one takes from it was known beforehand."""
    noise = np.broadcast_to(np.array([0.75, -0.5]), (seeds, 2))
    x = gauged(noise, advantage_at(noise))
    learner.update(**one_step_episodes(x.states, x.noise[..., None], x.advantage, envs=2))


SOURCES = (
    ("standard", "previous"), ("optimal", "previous"), ("aggressive", "previous"), ("optimal", "halves"),
    ("conservative", "halves"), ("optimal", "critic"),
)  # fmt: skip


@claim("Q1", source=f"{GU}, §3.1 and §3.2", operators=["qprop_agent"])
def weights_from_other_samples_leave_q_prop_unbiased(port: Trial) -> None:
    """Over both actions of two environments, at every pair of quadrature nodes: the mean of what the updates climb is the policy
    gradient, for every rule, with the weight of the batch before, of the other environment, or of the critic's own samples."""
    for rule, source in SOURCES:
        unbiased(port, rule, source)


def unbiased(port: Trial, rule: str, source: str) -> None:
    """The same with one rule and source."""
    noise, chance = pairs()
    seeds = len(noise)
    options = OPTIONS | {"rule": rule, "weight_from": source, "max_kl": 2.0**-10}
    learner = learner_in(port, ONE_CONTROL, options, steps=4, envs=2, seeds=seeds)
    before(port, learner, seeds)
    x = gauged(noise, advantage_at(noise))
    found, policy, slope = gradients(port, learner, x)
    port.holds(bool(np.abs(slope).max() > 2.0**-6), "the critic must say something of actions", found=slope)
    due = np.zeros(found.shape[1])
    for seed in range(seeds):
        deviation = np.exp(policy.log_std[seed])
        actions = policy.one(seed).mean(x.states[seed][None])[0] + deviation * x.noise[seed][:, None]
        sample = Sample(x.states[seed], actions, x.advantage[seed], slope[seed])
        due += chance[seed] * gradient_of(port, policy.one(seed), sample, np.zeros(4))
    port.equal(chance @ found, due, gradient_error(policy, x, found), f"the mean gradient with {rule} weights, {source}")


@claim("Q5", source=f"{GU}, §3.2: the rules of one sample; read in the authors' code", operators=["qprop_agent"])
def the_form_that_was_coded_is_biased(port: Trial) -> None:
    """With `as_coded` each update is the natural step of grad log pi z(A - w C) + w J'g, w = 1[A C > 0] of the very sample and z
    standardising over the batch: and over the actions that differs from the policy gradient in direction, by far more than
    rounding."""
    noise, chance = pairs()
    seeds = len(noise)
    options = OPTIONS | {"rule": "conservative", "as_coded": True}
    learner = learner_in(port, ONE_CONTROL, options, steps=4, envs=2, seeds=seeds)
    x = gauged(noise, advantage_at(noise), 0.25)
    policy = policy_of(port, learner, seeds, 2)
    actions = policy.mean(x.states) + np.exp(policy.log_std)[:, None] * x.noise[..., None]
    slope = slopes(learner, policy, x.states)
    learner.update(**one_step_episodes(x.states, actions, x.advantage, envs=2))
    found, climbed, right = policy_of(port, learner, seeds, 2), np.zeros(4), np.zeros(4)
    for seed in range(seeds):
        one, sample = policy.one(seed), Sample(x.states[seed], actions[seed], x.advantage[seed], slope[seed])
        weight = port.control_variate_weight(
            sample.advantage[:, None], variate(port, one, sample)[:, None], rule="conservative", centered=False
        )
        signal = sample.advantage - weight * variate(port, one, sample)
        signal = (signal - signal.mean()) / (signal.std() + 1e-8)
        coded = sample._replace(advantage=signal + weight * variate(port, one, sample))
        climbed += chance[seed] * gradient_of(port, one, coded, weight)
        right += chance[seed] * gradient_of(port, one, sample, np.zeros(4))
        due, bound, close = due_step(port, one, coded, weight)
        if not close:
            port.equal(found.one(seed).flat(), due.flat(), bound, f"gain, bias, log_std at nodes {noise[seed]}")
    cosine = climbed @ right / np.linalg.norm(climbed) / np.linalg.norm(right)
    port.holds(bool(cosine < 0.99), "what was coded must differ from the policy gradient in direction", found=cosine)


@claim("Q2", source=f"{GU}, §3.1; Ross 2002, §8.2", operators=["qprop_agent"])
def a_right_critic_takes_its_share_of_the_variance(port: Trial) -> None:
    """On the same batches, one action at every node, where A = g'(u - mean) (1 + bend (noise - 1/noise)), g the critic's own
    gradient: the variance of Q-Prop's gradient by the gain is (1 - rho^2) of TRPO's, rho the correlation of grad log pi A and grad
    log pi C; without a bend it is 0, whatever was drawn."""
    for bend in (0.0, 0.25, 0.5):
        variances(port, bend)


def variances(port: Trial, bend: float) -> None:
    """The same with one bend; gradients are moved by the first environment's action alone, whose score times A has degree 3."""
    rule = gauss_hermite(4)
    noise, chance, seeds = np.hstack([rule.nodes, np.ones((4, 1))]), rule.weights, 4
    spreads, x = {}, gauged(noise, noise)
    for estimator in ("trpo", "q_prop"):
        options = OPTIONS | {"estimator": estimator, "max_kl": 2.0**-10}
        learner = learner_in(port, ONE_CONTROL, options, steps=4, envs=2, seeds=seeds)
        policy = policy_of(port, learner, seeds, 2)
        scale = slopes(learner, policy, x.states)[:, ::2, 0] * np.exp(policy.log_std)
        found, _, _ = gradients(port, learner, gauged(noise, scale * (noise + bend * (noise**2 - 1))))
        spreads[estimator] = variance(chance, found[:, 0])
    signal, linear = (noise[:, 0] * part[:, 0] for part in (noise + bend * (noise**2 - 1), noise))
    both = chance @ (signal * (linear - chance @ linear))
    remaining = 1.0 - both**2 / (variance(chance, signal) * variance(chance, linear))
    error = gradient_error(policy, x, found)
    slack = 4 * error * (np.sqrt(spreads["trpo"]) + error)
    port.equal(spreads["q_prop"], remaining * spreads["trpo"], slack, f"Var of Q-Prop's gradient with bend {bend}")
    port.at_most(spreads["q_prop"], 0.6 * spreads["trpo"], slack, "which is less than TRPO's")
    port.at_most(16 * slack, spreads["trpo"], 0.0, "which says something")


def variance(chance: Floats, values: Floats) -> Floats:
    """Of values with such chances."""
    return np.asarray(chance @ (values - chance @ values) ** 2)


@claim("A1", source=f"{FAZEL}; {GU}, §3.1", operators=["qprop_agent"])
def q_props_expected_update_is_the_regulators_gradient(port: Trial) -> None:
    """In a linear-quadratic world with Q(x, u) of the regulator for the advantage, and whatever the critic says: over states of the
    discounted second moment, and actions whose plain mean is the expectation, the update is the natural step along the gradient of
    the objective in closed form."""
    learner = learner_in(port, PROBLEM, OPTIONS, steps=ROWS)
    policy = policy_of(port, learner, 1, 2)
    port.holds(not policy.bias.any(), "the bias begins as 0", found=policy.bias)
    moment = regulator.state_second_moment(PROBLEM, policy.gain[0], deviation=float(np.exp(policy.log_std[0, 0])))
    states, actions = whole_rule(policy, moment)
    paid = regulator.action_value(PROBLEM, policy.gain[0], states, actions)
    x = Sample(states, actions, paid, slopes(learner, policy, states[None])[0])
    port.holds(bool(np.abs(x.slope).max() > 2.0**-6), "the critic must say something of actions", found=x.slope)
    learner.update(**one_step_episodes(states[None], actions[None], paid[None]))
    due, bound, close = due_step(port, policy, x, np.ones(ROWS), expected(policy)[0])
    assert not close, "a search that rounding decides"
    port.equal(policy_of(port, learner, 1, 2).flat(), due.flat(), bound, "gain, bias, log_std")
