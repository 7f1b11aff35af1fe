"""What noise may do to one update: smoothed targets, entropies of draws, and the maximum that a search finds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

from properties._agents_actor_critics import (
    CRITIC_RATE,
    FREE,
    NARROW,
    POLICY_RATE,
    RATES,
    SAC,
    TD3,
    Cases,
    Read,
    Slack,
    cases,
    judged,
    largest,
    made,
    read,
    said,
    slack,
)  # fmt: skip
from properties._bounds import ELEMENTARY, UNIT, Floats, gamma
from properties._claim import claim
from properties._trial import Trial
from reference import actor_critics as due
from reference.actor_critics import Batch, Learned, Rule

KALASHNIKOV = "Kalashnikov et al. 2018 (QT-Opt), §4.2; Watkins 1989"


# ------------------------------------------------------------------------------------------------- smoothed targets
WIDE, CLIP = 2.0**60, 0.5
"""Noise of this deviation lies beyond the clip but for one draw in 2^60."""


def rows(after: Read, wanted: list[Learned], allowed: Slack) -> Any:
    """Which of the wanted critics each seed has, [candidates, seeds]."""
    found = after.learned.critics
    return np.array([np.abs(found - one.critics).max(axis=(1, 2)) <= allowed.critic for one in wanted])


@claim("A5", source=TD3, operators=["td3_agent"], given={"case": cases(seeds=8, longest=1, actions=1)}, share=0.05)
def target_noise_is_clipped_and_the_action_after_it(port: Trial, case: Cases) -> None:
    """With noise far beyond its clip c the target's action is clip(mu'(s') + c) or clip(mu'(s') - c), c in half widths of the box:
    each update moves both critics as one of the two says. Of 48 draws some have either sign, but for one time in 2^47."""
    low, high = -0.75, 0.75
    rule = Rule(case.discount, 2 * CRITIC_RATE, POLICY_RATE, 0.5, targets_wait=True, low=low, high=high)
    options = RATES | {"polyak_step": 0.5, "policy_every": 1, "target_noise": WIDE, "target_noise_clip": CLIP}
    learner = made(port, case.sizes, case.discount, options, (low, high))
    seen = np.zeros(2, dtype=np.int64)
    for update in range(1, 7):
        before, w = read(port, learner, case.sizes, 2, rule), largest(learner)
        learner.update(**case.arrays)
        after = read(port, learner, case.sizes, 2, rule)
        mean = due.mean_action(before.learned.target_policy, case.batch.next_observations, rule)
        wanted = [
            due.step(before.learned, case.batch, rule, next_actions=port.smoothed_action(
                mean, np.full(mean.shape, sign), noise_clip=CLIP * high, low=low, high=high))
            for sign in (-1.0, 1.0)
        ]  # fmt: skip
        allowed = slack(before, after, case, rule, max(w, largest(learner)))
        fits = rows(after, wanted, allowed)
        port.holds(bool(fits.any(axis=0).all()), f"update {update} is that of neither end of the clip", found=after.learned.critics,
                   due=np.array([one.critics for one in wanted]))  # fmt: skip
        seen += fits.sum(axis=1)
    port.holds(bool((seen > 0).all()), "noise of both signs is drawn", found=seen)


# ----------------------------------------------------------------------------------------------------------- entropies
FARTHEST = 40.0
"""log pi of a draw lies at most so far below that of the mean, but for one in e^37: half of epsilon² summed over two dimensions."""


def highest(d: int, inside: bool, mean: Floats) -> Floats:
    """log pi at the mean of the narrowest policy, in units in which the box is [-1, 1]."""
    normal = -d * (NARROW[1] + 0.5 * math.log(2 * math.pi))
    return np.asarray(normal - (np.log1p(-(np.tanh(mean) ** 2)).sum(axis=-1) if inside else 0.0))


def implied(before: Read, after: Read, case: Cases, rule: Rule) -> Floats:
    """The target that the first critic's constant was moved to, [seeds, 1]."""
    z = due.features(np.concatenate([case.batch.observations, case.batch.actions], axis=-1))
    moved = (after.learned.critics - before.learned.critics)[:, :1, 0] / rule.critic_step
    return np.asarray(moved + (before.learned.critics[:, 0, None] @ np.swapaxes(z, -1, -2))[:, 0])


@claim("S3", source=SAC, operators=["sac_continuous_agent"], share=0.1,
       given={"case": cases(seeds=4, longest=1), "inside": st.booleans(), "part": st.sampled_from([0.125, 1.0])})  # fmt: skip
def sacs_entropy_counts_inside_the_discount_and_not_at_the_end(port: Trial, case: Cases, inside: bool, part: float) -> None:
    """Where (s, a, s') is final both critics move to r, whatever is drawn; else to r + gamma (min(Q'_1, Q'_2) - alpha log pi) of a'
    in s', one log pi for both, which is at most that of the mean and, but for one draw in e^37, at most 40 less. The policy climbs
    the smaller critic minus alpha log pi."""
    low, high = (-1.0, 1.0) if inside else FREE
    rule = Rule(case.discount, CRITIC_RATE, POLICY_RATE, 0.25, follows=False, actor="smaller", low=low, high=high, entropy=part)
    options = RATES | {"squash": inside, "polyak_step": 0.25, "entropy_coefficient": part, "log_std_range": NARROW}
    learner = made(port, case.sizes, case.discount, options, (low, high))
    for update in (1, 2):
        before, w = read(port, learner, case.sizes, 2, rule), largest(learner)
        learner.update(**case.arrays)
        after = read(port, learner, case.sizes, 2, rule)
        bare = due.step(before.learned, case.batch, rule._replace(entropy=0.0))
        plain = Read(bare, before.critic_error, before.policy_error)
        size = max(w, largest(learner)) + part * (case.sizes[-1] * 100 + FARTHEST)
        allowed = slack(before, after, case, rule, size)
        off = allowed.critic / CRITIC_RATE
        surprise = (implied(before, plain, case, rule) - implied(before, after, case, rule)) / max(part * case.discount, 1e-300)
        counted = ~case.batch.terminations & (case.discount > 0)
        log_prob = np.where(counted, surprise, 0.0)
        output = due.mean_action(before.learned.policy, case.batch.next_observations, rule._replace(low=-np.inf))
        peak = highest(case.sizes[-1], inside, output)
        doubt = 2 * off / max(part * case.discount, 1e-300)
        port.at_most(np.where(counted, log_prob, peak), peak, doubt, "log pi of a draw is at most that of the mean")
        port.at_most(peak - FARTHEST, np.where(counted, log_prob, peak), doubt, "log pi of a draw is near that of the mean")
        wanted = due.step(before.learned, case.batch, rule, next_log_prob=log_prob)
        judged(port, after, wanted, Slack(3 * allowed.critic, 3 * allowed.policy), rule, update)


@claim("S1", source=SAC, operators=["sac_continuous_agent"], share=0.1,
       given={"case": cases(seeds=4, longest=1, actions=1), "part": st.sampled_from([0.125, 1.0, 0.0])})  # fmt: skip
def sacs_deviation_moves_by_the_same_draw_as_its_mean(port: Trial, case: Cases, part: float) -> None:
    """In one state, with a = mu + sigma eps: mu moves by rate g |(1, s)|², g = Q'(a) of the new critic that the policy climbs, log
    sigma by rate (alpha + g (a - mu)) |(1, s)|². For a quadratic Q, a - mu = (g - Q'(mu)) / Q'': so one move tells the other."""
    options = {"squash": False, "entropy_coefficient": part, "actor_critic": "first", "log_std_range": (-1000.0, 1000.0)}
    rule = Rule(case.discount, CRITIC_RATE, POLICY_RATE, follows=False)
    learner = made(port, case.sizes, case.discount, RATES | options, FREE)
    x, n = case.batch.observations, case.sizes[2]
    scale = POLICY_RATE * (1 + (x**2).sum(axis=-1, keepdims=True))
    before, w = normal(port, learner, x), largest(learner)
    learner.update(**case.arrays)
    after, found = normal(port, learner, x), read(port, learner, case.sizes, 2, rule)
    g, rise = ((new - old) / scale for new, old in zip(after, before, strict=True))
    critic = found.learned.critics[:, 0]
    slope, bend = slopes(critic, x, before[0]), 2 * critic[:, -1, None, None]
    lost = gamma(64 + 4 * n, UNIT["float64"]) * (1 + 2 * n) * (1 + max(w, largest(learner))) / scale
    lost = lost + (1 + 4 * n + 2 * np.abs(before[0])) * found.critic_error
    size = 1 + np.abs(bend) + np.abs(rise - part) + 2 * np.abs(g) + np.abs(slope)
    allowed = 16 * lost * size
    port.equal(bend * (rise - part), g * (g - slope), allowed, "log sigma's move and mu's")
    port.holds(bool((np.abs(g - slope) > allowed).any()), "what is climbed is a draw's and not the mean's", found=g, due=slope)


def normal(port: Trial, learner: Any, x: Floats) -> list[Floats]:
    """mu and log sigma, [seeds, 1, 1] each."""
    found = learner.policy(x)
    return [said(port, found, name, (len(x), 1, 1)) for name in ("mean", "log_std")]


def slopes(critic: Floats, x: Floats, u: Floats) -> Floats:
    """dQ/du of one action dimension, critic [seeds, F], x [seeds, 1, n] -> [seeds, 1, 1]."""
    n = x.shape[-1]
    mixed = critic[:, None, 2 + n :].reshape(-1, n + 1, n + 1)[:, None, :n, n]
    return np.asarray(
        critic[:, 1 + n, None, None] + 2 * (mixed * x).sum(axis=-1, keepdims=True) + 2 * critic[:, -1, None, None] * u
    )


@claim("S1", source=SAC, operators=["sac_continuous_agent"], share=0.1,
       given={"case": cases(seeds=2), "goal": st.sampled_from([-1000.0, 1000.0, 0.0]),
              "first": st.sampled_from([0.125, 1.0, 2.0])})  # fmt: skip
def sacs_coefficient_grows_where_entropy_is_below_its_target(port: Trial, case: Cases, goal: float, first: float) -> None:
    """A step down the mean of -alpha (log pi + target entropy): log alpha moves by rate alpha mean(log pi + target entropy), log pi
    of draws, between 40 below that of the mean and that of the mean. It begins where initial_entropy_coefficient says."""
    rate = 2.0**-16
    options = RATES | {"squash": False, "log_std_range": NARROW, "target_entropy": goal, "initial_entropy_coefficient": first}
    learner = made(port, case.sizes, case.discount, options | {"temperature_learning_rate": rate}, FREE)
    peak, before = highest(case.sizes[-1], False, np.zeros(1)), coefficient(port, learner, case)
    port.equal(before, np.full(before.shape, math.log(first)), gamma(2 * ELEMENTARY, UNIT["float64"]), "log alpha at the beginning")
    for _ in range(3):
        learner.update(**case.arrays)
        after, step = coefficient(port, learner, case), rate * np.exp(before)
        mean = (after - before) / step - goal
        lost = gamma(4, UNIT["float64"]) * (np.abs(before) + np.abs(after)) / step
        doubt = lost + gamma(case.sizes[1] + 4 * ELEMENTARY, UNIT["float64"]) * (abs(goal) + 300)
        port.at_most(mean, peak, doubt, "the mean of log pi is at most that of the mean")
        port.at_most(peak - FARTHEST, mean, doubt, "the mean of log pi is near that of the mean")
        before = after


def coefficient(port: Trial, learner: Any, case: Cases) -> Floats:
    """log alpha of each seed."""
    found = learner.parameters()
    port.holds("temperature/log_coefficient" in found, "the logarithm of the coefficient is learned", found=list(found))
    return np.asarray(found["temperature/log_coefficient"], dtype=np.float64).reshape(case.sizes[0])


# ------------------------------------------------------------------------------------------------------------- searches
SIDE, SEARCH_RATE = 1.0, 0.125
SEARCH: dict[str, dict[str, Any]] = {
    "gradient": {"step_size": 0.25, "tolerance": 0.0, "max_iterations": 60},
    "cross_entropy": {"iterations": 2, "population": 512, "elites": 16},
}
NEAR = 0.25
"""Of 512 draws from N(0, 1) one lies within 1/4 of any place in [-1, 1], and 1 of them beyond 1, but for one search in 2^40."""


def fitted(learner: Any, b: Batch) -> None:
    """Make the critics concave in the action, target and online ones in unlike ways: from Q = 0 two steps down towards rewards that
    end all, the second below whatever the first made."""
    ends = b._replace(terminations=np.full(b.terminations.shape, True))
    first = np.where(b.actions == 0, 0.5, b.actions / 2)
    learner.update(**ends._replace(actions=first, rewards=-(1 + np.abs(b.rewards)) / 16)._asdict())
    second = {"observations": b.next_observations, "actions": -first, "rewards": -5 - np.abs(b.rewards)}
    learner.update(**ends._replace(**second)._asdict())


def most(before: Read, case: Cases, rule: Rule) -> Floats:
    """The target that is as high as any action's can be, [seeds, 1]: at most that of either critic's own maximum."""
    w, found = before.learned, []
    for place in range(w.critics.shape[1]):
        one = w._replace(critics=w.critics[:, :1], target_critics=w.target_critics[:, place : place + 1])
        moved = due.step(one, case.batch, rule)
        found.append(implied(Read(one, 0.0, 0.0), Read(moved, 0.0, 0.0), case, rule))
    return np.asarray(np.min(found, axis=0))


@claim("A4", source=KALASHNIKOV, operators=["cem_agent"], share=0.1,
       given={"case": cases(seeds=8, longest=1, actions=1), "search": st.sampled_from(list(SEARCH)),
              "members": st.sampled_from([1, 2])})  # fmt: skip
def an_update_of_cem_moves_to_the_best_action_that_a_search_finds(port: Trial, case: Cases, search: str, members: int) -> None:
    """Each critic moves down the mean of (y - Q_i(s, a))², y = r + gamma (1 - terminated) min_i Q'_i(s', a*), never more than the
    least maximum over the box. Of one concave critic, with curvature q and vertex v, Q'(s', a*) is no less than at
    v (1 - (1 - step q)^k), where k steps of a gradient search lead from the centre; the best of 512 draws is at an end that is
    best, or within 1/4 of v."""
    rule = Rule(case.discount, 2 * SEARCH_RATE, polyak_step=0.5, actor="none", low=-SIDE, high=SIDE)
    options = {"critic_learning_rate": SEARCH_RATE, "polyak_step": 0.5, "twin": members > 1, "target_every": 1, "search": search}
    begin = {"init": "zeros"} if members == 1 else {}
    learner = made(port, case.sizes, case.discount, options | begin | SEARCH[search], (-SIDE, SIDE))
    if members == 1:
        fitted(learner, case.batch)
    before, w = read(port, learner, case.sizes, members, rule), largest(learner)
    learner.update(**case.arrays)
    after = read(port, learner, case.sizes, members, rule)
    allowed = slack(before, after, case, rule, max(w, largest(learner)))
    top, found, off = most(before, case, rule), implied(before, after, case, rule), allowed.critic / rule.critic_step * 2
    port.at_most(found, top, off, "a search finds no more than the maximum")
    if members == 1:
        least = top - case.discount * np.where(case.batch.terminations, 0.0, shortfall(search, before.learned, case.batch))
        port.at_most(least, found, off, "a search finds nearly the maximum")
    ends = case.batch._replace(rewards=found, terminations=np.full(found.shape, True))
    wanted = due.step(before.learned, ends, rule)
    judged(port, after, wanted, Slack(4 * allowed.critic, 0.0), rule._replace(follows=False), 1)


def shortfall(search: str, learned: Learned, batch: Batch) -> Floats:
    """By how much a search may miss the maximum of the first target critic in [-1, 1] at each next state, [seeds, 1]."""
    w = learned.target_critics[:, 0]
    curvature = np.abs(2 * w[:, -1])
    if search == "cross_entropy":
        return np.asarray(0.5 * curvature[:, None] * NEAR**2)
    vertex = slopes(w, batch.next_observations, np.zeros((len(w), 1, 1)))[:, 0, 0] / curvature
    options = SEARCH["gradient"]
    near = vertex * (1 - (1 - options["step_size"] * curvature) ** options["max_iterations"])
    apart = [np.clip(place, -SIDE, SIDE) - vertex for place in (near, vertex)]
    return np.asarray(0.5 * curvature * (apart[0] ** 2 - apart[1] ** 2))[:, None]
