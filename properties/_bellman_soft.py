"""The soft backup: how near it is to the hard one, what it maximises, and that the policy which attains it improves (S1)."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from properties._bellman_bounds import expected, supported
from properties._bounds import ELEMENTARY, UNIT, Floats, gamma
from properties._claim import claim
from properties._mdps import MDPCase, on_mdps
from properties._trial import Trial
from reference.finite_mdps import FiniteMDP

HAARNOJA = "Haarnoja et al. 2018 (SAC)"
TEMPERATURES = st.sampled_from([1.0, 0.5, 2.0**-10, 16.0, 0.125, 256.0])
WIDE = UNIT["float64"]


def _softly(source: st.SearchStrategy[FiniteMDP]) -> dict[str, st.SearchStrategy[Any]]:
    return {**on_mdps(source), "temperature": TEMPERATURES}


def _action_values(port: Trial, case: MDPCase) -> tuple[Floats, Floats]:
    return port("action_values", case.value, case.mdp.transition, case.mdp.reward, discount=case.discount)


def _soft(port: Trial, case: MDPCase, prior: Floats, temperature: float) -> tuple[Floats, Floats]:
    arrays = (case.value, prior, case.mdp.transition, case.mdp.reward)
    return port("soft_backup", *arrays, temperature=temperature, discount=case.discount)


@claim(
    "S1",
    source=f"{HAARNOJA}, §4.1; Fox, Pakman & Tishby 2016",
    operators=["soft_backup", "action_values"],
    given=_softly,
    share=0.3,
)
def soft_backup_reaches_the_hard_one_at_rate_t(port: Trial, case: MDPCase, temperature: float) -> None:
    """0 <= max q - soft <= t log(1/p), the maximum over the prior's support, p the prior's mass where it is attained; so the soft
    backup tends to the hard one with the entropy coefficient, and is it at 0."""
    prior = case.behavior
    q, q_error = _action_values(port, case)
    within = np.where(prior > 0, q, -np.inf)
    hard, off = within.max(axis=1), supported(prior, q_error)
    mass = (prior * (within == hard[:, None])).sum(axis=1)
    soft, error = _soft(port, case, prior, temperature)
    room = temperature * -np.log(mass)
    slack = off + error + gamma(ELEMENTARY + 2, WIDE) * (room + temperature) + port.sum_error(np.stack([soft, room], -1))
    port.at_most(soft, hard, off + error, "soft <= hard")
    port.at_most(hard, soft + room, slack, "hard - soft <= t log(1/p)")
    none, error = _soft(port, case, prior, 0.0)
    port.equal(none, hard, off + error, "at temperature 0", due_by="action_values")


def _entropies(policy: Floats) -> Floats:
    """-pi log pi, and 0 where pi = 0."""
    return -policy * np.log(np.where(policy > 0, policy, 1.0))


def _free(policy: Floats, q: Floats, temperature: float) -> tuple[Floats, Floats]:
    """pi.q + t H(pi) in every state, and what computing it in float64 may lose."""
    terms = np.concatenate([policy * q, temperature * _entropies(policy)], axis=1)
    return terms.sum(axis=1), gamma(terms.shape[1] + ELEMENTARY + 2, WIDE) * np.abs(terms).sum(axis=1)


def _share_error(policy: Floats, q: Floats, temperature: float, error: Floats) -> Floats:
    """What shares that are each off by `error` change pi.q + t H(pi): |q| + t |log pi| + t each; -e log e where one may be 0."""
    lost = error * (np.abs(q) + temperature * (np.abs(np.log(np.maximum(policy, 2.0**-1000))) + 1.0))
    vanishing = np.where(policy <= error, temperature * error * (1.0 - np.log(np.maximum(error, 2.0**-1000))), 0.0)
    return np.asarray((lost + vanishing).sum(axis=1))


@claim(
    "S1",
    source=f"{HAARNOJA}, eq. 3; Haarnoja et al. 2017, theorem 1",
    operators=["soft_backup", "boltzmann"],
    given=_softly,
    share=0.3,
)
def soft_value_is_the_maximum_of_value_and_entropy(port: Trial, case: MDPCase, temperature: float) -> None:
    """With a uniform prior, soft + t log A = max over pi of pi.q + t H(pi): attained by boltzmann(q), exceeded by no policy."""
    actions = case.policy.shape[1]
    q, q_error = _action_values(port, case)
    soft, error = _soft(port, case, np.full(case.policy.shape, 1.0 / actions), temperature)
    most = soft + temperature * np.log(actions)
    uniform = temperature * (2 * UNIT[port.dtype] + gamma(ELEMENTARY + 4, WIDE) * (1 + np.log(actions)))
    slack = error + q_error.max(axis=1) + uniform + gamma(2, WIDE) * (np.abs(soft) + np.abs(most))
    other, own = _free(case.policy, q, temperature)
    port.at_most(other, most, slack + own, "pi.q + t H(pi) <= the soft value")
    policy, policy_error = port("boltzmann", q, temperature=temperature)
    moved = _rounding(port, q, temperature)
    reached, own = _free(policy, q, temperature)
    port.equal(reached, most, slack + own + _share_error(policy, q, temperature, policy_error + moved * policy), "at boltzmann(q)")


def _rounding(port: Trial, q: Floats, temperature: float) -> Floats:
    """The relative change of a share when q is rounded to the port's type on its way to it: at most exp(2 max|dq|/t) - 1."""
    if port.subject != "boltzmann" or port.dtype == "float64":
        return np.zeros((len(q), 1))
    apart = 2 * UNIT[port.dtype] * np.abs(q).max(axis=1, keepdims=True) / temperature
    return np.asarray(np.expm1(np.minimum(apart, 700.0)))


def _soft_value(port: Trial, case: MDPCase, policy: Floats, temperature: float) -> tuple[Floats, Floats]:
    """V of a policy whose every step also earns t H(pi)."""
    reward = case.mdp.reward + temperature * _entropies(policy).sum(axis=1, keepdims=True)
    value, error = port("solve_policy", policy, case.mdp.transition, reward, discount=case.discount)
    inexact = gamma(policy.shape[1] + ELEMENTARY + 3, WIDE) + (UNIT[port.dtype] if port.subject == "solve_policy" else 0.0)
    return value, error + inexact * np.abs(reward).max() / (1 - case.discount)


@claim(
    "S1", source=f"{HAARNOJA}, lemma 2 (soft policy improvement)", operators=["boltzmann", "solve_policy"], given=_softly, share=0.2
)
def soft_policy_improvement_is_monotone(port: Trial, case: MDPCase, temperature: float) -> None:
    """pi' = boltzmann(Q of pi, t) has V of pi' >= V of pi in every state, V with t H(pi) in every step's reward."""
    value, error = _soft_value(port, case, case.policy, temperature)
    g = case.discount
    q = case.mdp.reward + g * expected(case.mdp.transition, value)
    improved, share_error = port("boltzmann", q, temperature=temperature)
    better, better_error = _soft_value(port, case, improved, temperature)
    lost = _share_error(improved, q, temperature, share_error + _rounding(port, q, temperature) * improved)
    own = gamma(case.policy.shape[1] + case.policy.shape[0] + ELEMENTARY + 8, WIDE) * 4 * (np.abs(q).max() + temperature * 8)
    slack = error + better_error + (lost.max() + own + 2 * g * error.max()) / (1 - g)
    port.at_most(value, better, slack)
