"""Bellman operators: error bounds, and B1 (monotone, shifted by gamma c, contractions); S1 is in _bellman_soft.py."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from properties import _bellman_chunks, _bellman_large, _bellman_policy, _bellman_soft  # noqa: F401  (register their claims)
from properties._bellman_bounds import (
    backup_error,
    certified_error,
    expected,
    expectile_error,
    furthest,
    leak,
    log_sum_error,
    reached,
    sizes,
    solve_error,
    supported,
)
from properties._bellman_calls import BACKUPS, TAKES, Knobs, applied, rough, with_knobs
from properties._bellman_equations import EQUATIONS
from properties._bounds import ELEMENTARY, UNIT, Floats, gamma, rounded
from properties._claim import TABULAR, claim, operator
from properties._draw import values
from properties._mdps import MDPCase
from properties._trial import Trial
from reference.finite_mdps import FiniteMDP

PUTERMAN = "Puterman 1994"


# ---------------------------------------------------------------------------------------------------------- operators
@operator("action_values", inputs=rough("action_values"), core=TABULAR)
def action_values_bound(unit: float, value: Floats, transition: Any, reward: Floats, *, discount: float) -> Floats:
    """gamma_(n+2) (|r| + gamma P|V|), n successors."""
    return backup_error(unit, value, transition, reward, discount)


@operator("evaluation_backup", inputs=rough("evaluation_backup"), core=TABULAR)
def evaluation_bound(unit: float, value: Floats, policy: Floats, transition: Any, reward: Floats, *, discount: float) -> Floats:
    """gamma_(n+3) pi.(|r| + gamma P|V|), n pairs (a, s') of positive mass: the two sums in any order, and pi."""
    pairs = (reached(transition, len(value)) * (policy > 0)).sum(axis=1)
    return np.asarray(gamma(pairs + 3, unit) * (policy * sizes(value, transition, reward, discount)).sum(axis=1))


@operator("optimality_backup", inputs=rough("optimality_backup"), core=TABULAR)
def optimality_bound(unit: float, value: Floats, transition: Any, reward: Floats, *, discount: float) -> Floats:
    """The largest error among the actions: max is 1-Lipschitz."""
    return np.asarray(backup_error(unit, value, transition, reward, discount).max(axis=1))


@operator("q_evaluation_backup", inputs=rough("q_evaluation_backup"), core=TABULAR)
def q_evaluation_bound(unit: float, q: Floats, policy: Floats, transition: Any, reward: Floats, *, discount: float) -> Floats:
    """gamma_(n+3) (|r| + gamma P(pi.|Q|)), n pairs (s', a') of positive mass."""
    pairs = reached(transition, len(q), (policy > 0).sum(axis=1))
    return gamma(pairs + 3, unit) * sizes((policy * np.abs(q)).sum(axis=1), transition, reward, discount)


@operator("q_optimality_backup", inputs=rough("q_optimality_backup"), core=TABULAR)
def q_optimality_bound(unit: float, q: Floats, transition: Any, reward: Floats, *, discount: float) -> Floats:
    """That of action_values at V = max Q, which is exact."""
    return backup_error(unit, q.max(axis=1), transition, reward, discount)


@operator("soft_backup", inputs=rough("soft_backup"), core=TABULAR)
def soft_bound(
    unit: float, value: Floats, prior: Floats, transition: Any, reward: Floats, *, temperature: float, discount: float
) -> Floats:
    """The error of q in the support, as the soft maximum is 1-Lipschitz, and that of t log sum rho exp(q/t)."""
    error = supported(prior, backup_error(unit, value, transition, reward, discount))
    log_mass = np.abs(np.log(np.where(prior > 0, prior, 1.0))).max(axis=1)
    size = supported(prior, sizes(value, transition, reward, discount))
    return error + log_sum_error(unit, size, (prior > 0).sum(axis=1), log_mass, temperature)


@operator("expectile_backup", inputs=rough("expectile_backup"), core=TABULAR)
def expectile_bound(
    unit: float, value: Floats, behavior: Floats, transition: Any, reward: Floats, *, expectile: float, discount: float
) -> Floats:
    """The error of q in the support, as an expectile is 1-Lipschitz, and that of the expectile over actions."""
    error = supported(behavior, backup_error(unit, value, transition, reward, discount))
    size = sizes(value, transition, reward, discount)
    mean, largest = (behavior * size).sum(axis=1), supported(behavior, size)
    return error + expectile_error(unit, mean, largest, (behavior > 0).sum(axis=1), expectile)


@operator("sarsa_expectile_backup", inputs=rough("sarsa_expectile_backup"), core=TABULAR)
def sarsa_expectile_bound(
    unit: float, q: Floats, behavior: Floats, transition: Any, reward: Floats, *, expectile: float, discount: float
) -> Floats:
    """gamma_2 max (|r| + gamma |Q(s',a')|) for the targets, and the error of their expectile over n pairs (s', a')."""
    pairs = reached(transition, len(q), (behavior > 0).sum(axis=1))
    mean = sizes((behavior * np.abs(q)).sum(axis=1), transition, reward, discount)
    largest = np.abs(reward) + discount * furthest(transition, supported(behavior, np.abs(q)))
    return gamma(2, unit) * largest + expectile_error(unit, mean, largest, pairs, expectile)


@operator("sampled_backup", inputs=rough("sampled_backup"), core=TABULAR)
def sampled_bound(
    unit: float, value: Floats, behavior: Floats, transition: Any, reward: Floats, *, samples: int, aggregate: str,
    temperature: float | None = None, discount: float,
) -> Floats:  # fmt: skip
    """The errors of q and of F, both 1-Lipschitz, and of the expectation: gamma_(A^n + 2nA + 2 ELEMENTARY + 2) max|q|.

    Enumerated, the A^n outcomes pass through A^n - 1 additions, n products and a multiplicity. From the distribution function,
    max = sum q (G - G'), G = F^n: an error of nA + ELEMENTARY roundings in G counts twice, each difference and product once.
    """
    error = supported(behavior, backup_error(unit, value, transition, reward, discount))
    size, actions = supported(behavior, sizes(value, transition, reward, discount)), (behavior > 0).sum(axis=1)
    t = float(temperature) if aggregate == "log_mean_exp" and temperature is not None else np.inf
    rounds = actions**samples + 2 * samples * actions + 2 * ELEMENTARY + 2
    return error + gamma(rounds, unit) * size + log_sum_error(unit, size, samples, np.log(samples), t)


@operator("solve_policy", inputs=rough("solve_policy"), core=TABULAR)
def solve_policy_bound(unit: float, policy: Floats, transition: Any, reward: Floats, *, discount: float) -> Floats:
    """A residual of rounding, times 1/(1 - gamma)."""
    states, actions = policy.shape
    largest = float((policy * np.abs(reward)).sum(axis=1).max())
    return np.full(states, solve_error(unit, states, actions, largest, discount))


@operator("solve_optimal", inputs=rough("solve_optimal"), core=TABULAR)
def solve_optimal_bound(unit: float, transition: Any, reward: Floats, *, discount: float) -> Floats:
    """solve_policy's for any policy, |V| <= max|r|/(1 - gamma), and for stopping at actions whose values tie up to rounding.

    Two values compared differ by at most 4 (n + 3) roundings of |r| + gamma P|V|, and a policy that is greedy up to e is within
    e/(1 - gamma) of the optimum.
    """
    largest, (states, actions) = float(np.abs(reward).max()), reward.shape
    ties = gamma(4 * (states + 3), unit) * largest / (1.0 - discount) ** 2
    return np.full(states, solve_error(unit, states, actions, largest, discount) + ties)


@operator("value_iteration", inputs=rough("value_iteration"), core=TABULAR)
def value_iteration_bound(
    unit: float, transition: Any, reward: Floats, *, discount: float, tolerance: float, max_iterations: int
) -> Floats:
    """The distance from V* that its certificate leaves, and rounding."""
    error = certified_error(unit, transition, reward, discount, tolerance, max_iterations)
    return np.full(len(reward), error)


@operator("q_value_iteration", inputs=rough("q_value_iteration"), core=TABULAR)
def q_value_iteration_bound(
    unit: float, transition: Any, reward: Floats, *, discount: float, tolerance: float, max_iterations: int
) -> Floats:
    """The distance from Q* that its certificate leaves, and rounding."""
    error = certified_error(unit, transition, reward, discount, tolerance, max_iterations)
    return np.full(reward.shape, error)


# -------------------------------------------------------------------------------------------------------------- claim
@claim("bellman", source=EQUATIONS, operators=BACKUPS, given=with_knobs, share=0.1)
def backups_reduce_to_means_and_maxima_of_action_values(port: Trial, case: MDPCase, knobs: Knobs) -> None:
    """On tables of any size: with q = R + gamma P V the mean mu.q is what expectile 1/2, temperature inf and one sample give,
    max q is optimality, and the backups of Q are q at V = pi.Q, max Q and, with expectile 1/2, mu.Q."""
    name = port.subject
    mean = knobs | {"expectile": 0.5, "temperature": np.inf, "sampling": {**knobs["sampling"], "samples": 1}}
    found, error = applied(port, name, case, mean)
    behavior = case.policy if "policy" in TAKES[name] else case.behavior
    after = case.value
    if "q" in TAKES[name]:
        after = case.q.max(axis=1) if name == "q_optimality_backup" else (behavior * case.q).sum(axis=1)
    q = case.mdp.reward + case.discount * expected(case.mdp.transition, after)
    slack = backup_error(2.0**-53, np.abs(after), case.mdp.transition, case.mdp.reward, case.discount)
    if name == "optimality_backup":
        q, slack = q.max(axis=1), slack.max(axis=1)
    elif q.shape != found.shape:
        q, slack = (behavior * q).sum(axis=1), (behavior * slack).sum(axis=1) + port.sum_error(behavior * q)
    port.equal(found, q, error + 2 * slack)


def _two(name: str, case: MDPCase) -> tuple[str, Floats, Floats]:
    """What a backup moves, by name, and two of it."""
    return ("q", case.q, case.other_q) if "q" in TAKES[name] else ("value", case.value, case.other_value)


@claim("B1", source="Bertsekas 2012 (vol. II), lemma 1.1.1", operators=BACKUPS, given=with_knobs, share=0.25)
def backups_are_monotone(port: Trial, case: MDPCase, knobs: Knobs) -> None:
    """V <= W in every state implies TV <= TW in every state."""
    field, low, other = _two(port.subject, case)
    one, one_error = applied(port, port.subject, case, knobs, **{field: low})
    two, two_error = applied(port, port.subject, case, knobs, **{field: np.maximum(low, other)})
    port.at_most(one, two, one_error + two_error)


def _with_shift(source: st.SearchStrategy[FiniteMDP]) -> dict[str, st.SearchStrategy[Any]]:
    return {**with_knobs(source), "shift": values((1,))}


@claim("B1", source="Bertsekas 2012 (vol. II), lemma 1.1.2", operators=BACKUPS, given=_with_shift, share=0.25)
def backups_pass_a_constant_on_discounted(port: Trial, case: MDPCase, knobs: Knobs, shift: Floats) -> None:
    """T(V + c) = TV + gamma c for every constant c."""
    field, start, _ = _two(port.subject, case)
    moved = rounded(start + shift, port.dtype)
    one, one_error = applied(port, port.subject, case, knobs, **{field: start})
    two, two_error = applied(port, port.subject, case, knobs, **{field: moved})
    c, g, drift = float(shift[0]), case.discount, leak(case.mdp.transition, len(start))
    inexact = np.abs(moved - start - shift).max() + gamma(2, UNIT["float64"]) * (np.abs(start).max() + abs(c)) + abs(c) * drift
    slack = one_error + two_error + g * inexact + port.sum_error(np.stack([one, np.full(one.shape, g * c)], -1))
    port.equal(two, one + g * c, slack)


@claim("B1", source=f"{PUTERMAN}, proposition 6.2.4; Banach", operators=BACKUPS, given=with_knobs, share=0.25)
def backups_contract_by_the_discount(port: Trial, case: MDPCase, knobs: Knobs) -> None:
    """max|TV - TW| <= gamma max|V - W|."""
    field, start, other = _two(port.subject, case)
    one, one_error = applied(port, port.subject, case, knobs, **{field: start})
    two, two_error = applied(port, port.subject, case, knobs, **{field: other})
    gap = case.discount * np.abs(start - other).max()
    slack = one_error + two_error + gap * (leak(case.mdp.transition, len(start)) + gamma(2, UNIT["float64"]))
    port.at_most(np.abs(one - two), gap, slack + port.sum_error(np.stack([one, two], -1)))
