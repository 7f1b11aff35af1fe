"""Bugs of the backups inside a behaviour's support: soft, expectile (IQL), and over sampled actions (QWR)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

import numpy as np
from scipy.special import logsumexp, softmax

import reference
from properties._bounds import Floats
from properties._bugs._record import Bug, Probe, probe
from properties._bugs.bellman import CHANCES, CHOICE, PAYOFF, VALUE, Backup, Q, dense, undiscounted, uniform


# ----------------------------------------------------------------------------------------------------------------- soft
def _soft(wrong: Callable[[Any, Any, float], Any]) -> Backup:
    """(q, prior, t) -> value; the limits t = 0 and t = inf are right."""

    def backup(value: Any, prior: Any, transition: Any, reward: Any, *, temperature: float, discount: float) -> Any:
        right = reference.soft_backup(value, prior, transition, reward, temperature=temperature, discount=discount)
        if temperature in (0.0, np.inf):
            return right
        q = reference.action_values(value, transition, reward, discount=discount)
        with np.errstate(all="ignore"):
            return wrong(q, prior, temperature)

    return backup


SOFT = (
    Bug(
        "soft_backup",
        "prior-ignored",
        "every action weighs 1/A in log sum exp, whatever the prior is",
        "trax-enumerated-qwr-uniform",
        uniform("soft_backup"),
    ),
    Bug(
        "soft_backup",
        "log-sum-for-log-mean",
        "t log sum exp(q / t) without the prior: it grows with the number of actions",
        "",
        _soft(lambda q, prior, t: t * logsumexp(q / t, axis=1)),
    ),
    Bug(
        "soft_backup",
        "softmax-mean-for-log-mean-exp",
        "the mean of q under softmax(q / t + log prior) in place of t log sum prior exp(q / t)",
        "",
        _soft(lambda q, prior, t: (softmax(q / t + np.log(prior), axis=1) * q).sum(axis=1)),
    ),
    Bug(
        "soft_backup",
        "temperature-inverted",
        "log sum prior exp(t q) / t: the temperature is read as its inverse",
        "",
        _soft(lambda q, prior, t: logsumexp(t * q + np.log(prior), axis=1) / t),
    ),
    Bug(
        "soft_backup",
        "exp-without-the-shift",
        "exp(q / t) without subtracting the maximum: infinite where q / t exceeds 709",
        "",
        _soft(lambda q, prior, t: t * np.log((prior * np.exp(q / t)).sum(axis=1))),
    ),
    Bug(
        "soft_backup",
        "prior-never-zero",
        "log(prior + 1e-8): actions that the prior excludes take part",
        "",
        _soft(lambda q, prior, t: t * logsumexp(q / t + np.log(prior + 1e-8), axis=1)),
    ),
    Bug("soft_backup", "discount-missing", "the next value is not discounted", "", undiscounted("soft_backup")),
)


# ------------------------------------------------------------------------------------------------------------ expectiles
def _turned(*arguments: Any, expectile: float, discount: float) -> Any:
    return reference.expectile_backup(*arguments, expectile=1.0 - expectile, discount=discount)


def _lucky(value: Any, behavior: Any, transition: Any, reward: Any, *, expectile: float, discount: float) -> Any:
    """One expectile over (a, s')."""
    reference.expectile_backup(value, behavior, transition, reward, expectile=expectile, discount=discount)
    mass = (behavior[..., None] * dense(transition, reward)).reshape(len(value), -1)
    target = (reward[..., None] + discount * value).reshape(len(value), -1)
    return reference.expectile(target, mass, expectile=expectile)


def _unlucky(q: Any, behavior: Any, transition: Any, reward: Any, *, expectile: float, discount: float) -> Any:
    """IQL's: the expectile over a', then the mean over s'."""
    reference.sarsa_expectile_backup(q, behavior, transition, reward, expectile=expectile, discount=discount)
    value = reference.expectile(q, behavior, expectile=expectile)
    return reference.action_values(value, transition, reward, discount=discount)


def _expected(q: Any, behavior: Any, transition: Any, reward: Any, *, expectile: float, discount: float) -> Any:
    """The mean over a', then the expectile over s'."""
    reference.sarsa_expectile_backup(q, behavior, transition, reward, expectile=expectile, discount=discount)
    target = reward[..., None] + discount * (behavior * q).sum(axis=1)
    return reference.expectile(target, dense(transition, reward), expectile=expectile)


EXPECTILES = (
    Bug(
        "expectile_backup",
        "expectile-sign-turned",
        "the expectile 1 - tau: above 1/2 it leans to the worst supported action",
        "",
        _turned,
    ),
    Bug(
        "expectile_backup",
        "behavior-ignored",
        "the expectile of the plain list of action values, whatever the behavior is",
        "",
        uniform("expectile_backup"),
    ),
    Bug(
        "expectile_backup",
        "luck-mistaken-for-skill",
        "one expectile over actions and next states: a good draw of s' counts as a good action",
        "",
        _lucky,
    ),
    Bug("expectile_backup", "discount-missing", "the next value is not discounted", "", undiscounted("expectile_backup")),
    Bug(
        "sarsa_expectile_backup",
        "expectile-before-the-mean",
        "the expectile over a', then the mean over s': IQL's backup, not the joint expectile",
        "",
        _unlucky,
    ),
    Bug(
        "sarsa_expectile_backup",
        "mean-before-the-expectile",
        "the mean over a', then the expectile over s': luck remains, skill is averaged away",
        "",
        _expected,
    ),
)


# ------------------------------------------------------------------------------------------------------- sampled actions
def _aggregated(q: Any, aggregate: str, temperature: float | None) -> Floats:
    if aggregate == "log_mean_exp" and temperature is not None:
        return np.asarray(reference.log_mean_exp(q, temperature=temperature))
    return np.asarray(reference.max_aggregate(q) if aggregate == "max" else reference.mean_aggregate(q))


def _sampled(wrong: Callable[..., Any]) -> Backup:
    """(q, behavior, right, samples, aggregate, temperature) -> value."""

    def backup(value: Any, behavior: Any, transition: Any, reward: Any, *, discount: float, **knobs: Any) -> Any:
        right = reference.sampled_backup(value, behavior, transition, reward, discount=discount, **knobs)
        q = reference.action_values(value, transition, reward, discount=discount)
        return wrong(q, behavior, right, **{"temperature": None, **knobs})

    return backup


def _enumerated(q: Any, behavior: Any, right: Any, samples: int, aggregate: str, temperature: float | None) -> Any:
    """All actions in place of draws; only the mean is weighted."""
    return (behavior * q).sum(axis=1) if aggregate == "mean" else _aggregated(q, aggregate, temperature)


def _distinct(q: Any, behavior: Any, right: Any, samples: int, aggregate: str, temperature: float | None) -> Any:
    """Draws without replacement, as many as there are."""
    out = np.zeros(len(q))
    for s, chances in enumerate(behavior):
        support = np.flatnonzero(chances)
        for drawn in permutations(support, min(samples, len(support))):
            left = 1.0 - np.concatenate([[0.0], np.cumsum(chances[list(drawn)])[:-1]])
            out[s] += np.prod(chances[list(drawn)] / left) * _aggregated(q[s, list(drawn)], aggregate, temperature)
    return out


def _summed(q: Any, behavior: Any, right: Any, samples: int, aggregate: str, temperature: float | None) -> Any:
    return right + (temperature * np.log(samples) if aggregate == "log_mean_exp" and temperature is not None else 0.0)


SAMPLED = (
    Bug(
        "sampled_backup",
        "actions-enumerated-alike",
        "all actions in place of draws: the mean is weighted by the behavior, the others are not",
        "trax-enumerated-qwr-uniform",
        _sampled(_enumerated),
    ),
    Bug(
        "sampled_backup",
        "drawn-without-replacement",
        "the sampled actions are all different, as if drawn without replacement",
        "",
        _sampled(_distinct),
    ),
    Bug(
        "sampled_backup",
        "behavior-ignored",
        "the actions are drawn uniformly, whatever the behavior is",
        "",
        uniform("sampled_backup"),
    ),
    Bug(
        "sampled_backup",
        "log-sum-for-log-mean",
        "log-sum-exp without - log n: the backup grows with the number of samples",
        "",
        _sampled(_summed),
    ),
)

BUGS = (*SOFT, *EXPECTILES, *SAMPLED)

_WORLD: tuple[Any, ...] = (VALUE, CHOICE, CHANCES, PAYOFF)
PROBES: dict[str, tuple[Probe, ...]] = {
    "soft_backup": (
        probe(*_WORLD, temperature=16.0, discount=0.75),
        probe(*_WORLD, temperature=2.0**-6, discount=0.75),
    ),
    "expectile_backup": (probe(*_WORLD, expectile=0.875, discount=0.75),),
    "sarsa_expectile_backup": (probe(Q, CHOICE, CHANCES, PAYOFF, expectile=0.875, discount=0.75),),
    "sampled_backup": (
        probe(*_WORLD, samples=2, aggregate="max", discount=0.75),
        probe(*_WORLD, samples=2, aggregate="mean", discount=0.75),
        probe(*_WORLD, samples=2, aggregate="log_mean_exp", temperature=16.0, discount=0.75),
    ),
}

OPEN: dict[str, str] = {}
