"""Q-Prop as an agent: its update, that no weight known beforehand biases it and its own action's does, and its variance (Q1, Q2,
Q5, Q8).

Rewards are whatever advantages the claims want, unlike what the critic says. Where a gradient must be known and not only its
direction, a step is turned back into it: F step is along the gradient, and one of its coordinates is made to be known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from properties._agents_gaussian_steps import (
    FREE,
    PROBLEM,
    REGION,
    Batch,
    Linear,
    condition,
    jacobians,
    learner_in,
    natural,
    one_step_episodes,
    own_error,
    policy_of,
    samples,
    scores,
    spread,
)
from properties._agents_trust_regions import SOLVED
from properties._bounds import UNIT, Floats, gamma
from properties._claim import claim
from properties._trial import Trial

Draw = Callable[[st.SearchStrategy[Any]], Any]
GU = "Gu et al. 2017 (Q-Prop)"
OPTIONS: dict[str, Any] = FREE | REGION | {
    "hidden": (), "critic_hidden": (), "torso": "quadratic", "rule": "standard", "weight_from": "previous", "as_coded": False,
    "estimator": "q_prop", "learning_starts": 10**6, "batch_size": None, "buffer_size": 10**6, "initial_log_std": -0.5,
}  # fmt: skip
"""A critic that is quadratic in state and action, whatever it says, and that does not learn."""
RULES = ("standard", "optimal", "conservative", "aggressive")


class Sample(NamedTuple):
    """N steps of one seed's policy: states [N, n], actions [N, D], advantages [N]; and the critic's gradient by u at the mean [N,
    D]."""

    states: Floats
    actions: Floats
    advantage: Floats
    slope: Floats


def slopes(learner: Any, policy: Linear, states: Floats) -> Floats:
    """The gradient by u at the mean of the learner's quadratic critic, by central differences, which are exact; [seeds, N, D]."""
    mean = policy.mean(states)
    found = []
    for unit in np.eye(mean.shape[-1]):
        above, below = (np.asarray(learner.critic(states, mean + side * unit)["critic"])[:, 0] for side in (1.0, -1.0))
        found.append((above - below) / 2.0)
    return np.stack(found, axis=-1)


def variate(port: Trial, policy: Linear, x: Sample) -> Floats:
    """The critic's linear part at the actions, [N]."""
    return np.asarray(port.taylor_control_variate(x.actions, policy.mean(x.states[None])[0], x.slope))


def gradient_of(port: Trial, policy: Linear, x: Sample, weight: Floats) -> Floats:
    """(1/N) sum of grad log pi (A - w C) + w J'g, [P]."""
    rows = scores(port, policy, x.states, x.actions), x.advantage, variate(port, policy, x), weight, x.slope
    return np.asarray(port.q_prop_gradient(*rows, jacobians(x.states, x.actions.shape[1])[0]))


def due_step(port: Trial, policy: Linear, x: Sample, weight: Floats, gradient: Floats | None = None) -> tuple[Linear, Floats, bool]:
    """The policy after one update, the bound on its error, and whether rounding decides the search; the gradient where it is
    known."""
    mean, log_std = spread(policy, x.states)
    log_prob = port.gaussian_log_prob(x.actions, mean, log_std)
    signal = x.advantage - weight * variate(port, policy, x)

    def surrogate(there: Linear) -> float:
        new_mean, new_log_std = spread(there, x.states)
        ratio = np.exp(port.gaussian_log_prob(x.actions, new_mean, new_log_std) - log_prob)
        return float((ratio * signal).mean() + (weight[:, None] * x.slope * (new_mean - mean)).sum(axis=-1).mean())

    gradient = gradient_of(port, policy, x, weight) if gradient is None else gradient
    end = natural(port, policy, x.states, gradient, surrogate, REGION)
    terms = np.abs(scores(port, policy, x.states, x.actions)).max() * (
        np.abs(signal).max() + np.abs(weight).max() * np.abs(x.slope).max()
    )
    lost = float(gamma(len(signal) + 256, UNIT["float64"]) * terms) / max(float(np.linalg.norm(gradient)), 2.0**-40)
    bound = 4 * np.abs(end.full).max() * condition(policy, x.states) * (SOLVED + 2 * lost)
    return end.policy, bound + own_error(policy), end.close or lost > SOLVED


@claim("Q1", source=f"{GU}, §3.1, §3.2 and algorithm 1", operators=["qprop_agent"], share=0.1,
       given={"b": samples(), "rule": st.sampled_from(RULES), "estimator": st.sampled_from(["q_prop", "trpo"])})  # fmt: skip
def an_update_of_q_prop_is_its_natural_step(port: Trial, b: Batch, rule: str, estimator: str) -> None:
    """Gain, bias and log_std move by TRPO's natural step along the mean of grad log pi (A - w C) + w J'g, C = g'(u - mean) and g
    the critic's gradient at the mean: w is 1, or what the rule makes of A and C of the batch before, 0 in the first batch; 0 always
    for the estimator "trpo", which is TRPO."""
    count = b.advantage.shape[1]
    learner = learner_in(port, PROBLEM, OPTIONS | {"rule": rule, "estimator": estimator}, steps=count)
    weight = 1.0 if rule == "standard" and estimator == "q_prop" else 0.0
    for states, noise, advantage in zip(*b, strict=True):
        policy = policy_of(port, learner, 1, 2)
        mean, log_std = spread(policy, states)
        actions = mean + np.exp(log_std) * noise
        x = Sample(states, actions, advantage, slopes(learner, policy, states[None])[0])
        learner.update(**one_step_episodes(states[None], actions[None], advantage[None]))
        due, bound, close = due_step(port, policy, x, np.full(count, weight))
        if close:
            return
        port.equal(policy_of(port, learner, 1, 2).flat(), due.flat(), bound, "gain, bias, log_std")
        if estimator == "q_prop":
            weight = float(port.control_variate_weight(advantage, variate(port, policy, x), rule=rule, centered=False))


@claim("Q8", source="Gu et al. 2017 (Interpolated Policy Gradient), §3", operators=["qprop_agent"], share=0.1,
       given={"b": samples(), "fraction": st.sampled_from([0.25, 0.5, 1.0])})  # fmt: skip
def direct_mixing_leans_on_the_critic(port: Trial, b: Batch, fraction: float) -> None:
    """With the estimator "mixed" the update is the natural step along fraction grad log pi A + (1 - fraction) J'g: at fraction 1 it
    is TRPO's, below it what the critic says, right or wrong, and a bias no weight pays back."""
    states, noise, advantage = b.states[0], b.noise[0], b.advantage[0]
    options = OPTIONS | {"estimator": "mixed", "on_policy_fraction": fraction}
    learner = learner_in(port, PROBLEM, options, steps=len(advantage))
    policy = policy_of(port, learner, 1, 2)
    mean, log_std = spread(policy, states)
    x = Sample(states, mean + np.exp(log_std) * noise, advantage, slopes(learner, policy, states[None])[0])
    learner.update(**one_step_episodes(states[None], x.actions[None], advantage[None]))
    mixing = np.full(len(advantage), 1.0 - fraction)
    coded = x._replace(advantage=fraction * advantage + mixing * variate(port, policy, x))
    rows = scores(port, policy, states, x.actions), advantage, x.slope, jacobians(states, 2)[0]
    mixed = port.mixed_gradient(*rows, on_policy_fraction=fraction)
    port.equal(gradient_of(port, policy, coded, mixing), mixed, 1e-9 * (1.0 + np.abs(mixed)), "the same, written as Q-Prop's")
    due, bound, close = due_step(port, policy, coded, mixing)
    if not close:
        port.equal(policy_of(port, learner, 1, 2).flat(), due.flat(), bound, "gain, bias, log_std")


# ------------------------------------------------------------------------------------------------------------ the critic
LEARNING: dict[str, Any] = {"learning_starts": 1, "optimizer": "sgd", "critic_learning_rate": 2.0**-6, "polyak_step": 0.25}


def kernel(first: Floats, second: Floats) -> Floats:
    """By how much a step along the gradient of a quadratic's value at one point raises it at another; [N, n + D], [M, n + D] -> [N,
    M]."""
    inner = first @ second.T
    return np.asarray(1.0 + inner + inner**2)


@claim("agents", source=f"{GU}, algorithm 1; Lillicrap et al. 2016, eq. 4", operators=["qprop_agent"], share=0.1,
       given={"b": samples(), "over": st.lists(st.booleans(), min_size=5, max_size=5)})  # fmt: skip
def q_props_critic_learns_from_the_policys_mean_after_the_policy(port: Trial, b: Batch, over: list[bool]) -> None:
    """After the policy's step, which the critic of before made, the critic moves down the mean of (r + gamma Q'(s', mean(s')) -
    Q)^2: Q' the target critic as it was, 0 where an episode is over, the mean that of the policy as it is now. Then the target
    follows."""
    (states, after), actions, paid = b.states, b.noise[0], b.advantage[0]
    count, ends = len(paid), np.array(over[: len(paid)])
    learner = learner_in(port, PROBLEM, OPTIONS | LEARNING | {"updates_ratio": 1.0 / count}, steps=count)
    probes = np.concatenate([states, actions], axis=1)

    def asked(name: str, at: Floats, u: Floats) -> Floats:
        found: Floats = np.asarray(learner.critic(at[None], u[None])[name], dtype=np.float64)[0, 0]
        return found

    learner.update(**one_step_episodes(states[None], actions[None], 0 * paid[None]))  # the target is no longer the critic
    policy = policy_of(port, learner, 1, 2)
    x = Sample(states, actions, paid, slopes(learner, policy, states[None])[0])
    critic, target = (asked(name, states, actions) for name in ("critic", "target_critic"))
    rollout = one_step_episodes(states[None], actions[None], paid[None]) | {
        "next_observations": after[None, None], "terminations": ends[None, None], "truncations": ~ends[None, None],
    }  # fmt: skip
    twin = learner.save()
    learner.update(**rollout)
    moved, found = policy_of(port, learner, 1, 2), [asked(name, states, actions) for name in ("critic", "target_critic")]
    learner.restore(twin)
    following = asked("target_critic", after, moved.mean(after[None])[0])
    goal = port.value_target(paid, ends, following, discount=PROBLEM.discount)
    due = critic + 2 * LEARNING["critic_learning_rate"] * (kernel(probes, probes) @ (goal - critic)) / count
    slack = float(gamma(256, UNIT["float64"]) * kernel(probes, probes).max() * (4.0 + np.abs(critic).max() + np.abs(goal).max()))
    port.equal(found[0], due, slack, "Q where the steps were")
    port.equal(found[1], 0.75 * target + 0.25 * found[0], slack, "a quarter of the way to the critic")
    step, bound, close = due_step(port, policy, x, np.ones(count))
    if not close:
        port.equal(moved.flat(), step.flat(), bound, "the policy by the critic of before")
