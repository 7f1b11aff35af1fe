"""Bellman operators: error bounds, their equations in exact arithmetic, and B1 (monotone, shifted by gamma c, contractions)."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import strategies as st

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
from properties._bellman_calls import BACKUPS, KNOBS, TAKES, Knobs, call_of, rough, rough_cases
from properties._bounds import ELEMENTARY, Floats, gamma, rounded
from properties._claim import TABULAR, claim, operator
from properties._draw import values
from properties._mdps import MDPCase, on_mdps
from properties._oracles import Exact, exact
from properties._oracles.aggregates import draws, expectation_over_draws, log_mean_exp_by_digits, soft_value_by_digits
from properties._oracles.dynamic_programming import (
    expectiles_by_fractions,
    joint_expectiles_by_fractions,
    q_by_fractions,
)
from properties._trial import Trial
from reference.finite_mdps import FiniteMDP

SUTTON = "Sutton & Barto 2018"
PUTERMAN = "Puterman 1994"
IQL = "Kostrikov et al. 2021 (IQL)"
QWR = "Kozakowski et al. 2021 (QWR)"


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
    return np.full(len(policy), solve_error(unit, *policy.shape, (policy * np.abs(reward)).sum(axis=1).max(), discount))


@operator("solve_optimal", inputs=rough("solve_optimal"), core=TABULAR)
def solve_optimal_bound(unit: float, transition: Any, reward: Floats, *, discount: float) -> Floats:
    """solve_policy's for any policy, |V| <= max|r|/(1 - gamma), and for stopping at actions whose values tie up to rounding.

    Two values compared differ by at most 4 (n + 3) roundings of |r| + gamma P|V|, and a policy that is greedy up to e is within
    e/(1 - gamma) of the optimum.
    """
    largest, states = np.abs(reward).max(), len(reward)
    ties = gamma(4 * (states + 3), unit) * largest / (1.0 - discount) ** 2
    return np.full(states, solve_error(unit, *reward.shape, largest, discount) + ties)


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


# -------------------------------------------------------------------------------------------------------------- claims
def _apply(port: Trial, name: str, case: MDPCase, knobs: Knobs, **other: Any) -> tuple[Floats, Floats]:
    """An operator on a case: value and error bound."""
    call = call_of(name, case, knobs, **other)
    return port(name, *call.arguments, **call.keywords)


def _due(name: str, case: MDPCase, knobs: Knobs) -> Exact:
    """What a backup is by its equation, exactly (logarithms to 50 digits)."""
    mdp, behavior = case.mdp, case.behavior
    if name == "sarsa_expectile_backup":
        return joint_expectiles_by_fractions(
            case.q, behavior, mdp.transition, mdp.reward, level=knobs["expectile"], discount=case.discount
        )
    after = {"q_evaluation_backup": (exact(case.policy) * exact(case.q)).sum(axis=1), "q_optimality_backup": case.q.max(axis=1)}
    q = q_by_fractions(after.get(name, case.value), mdp.transition, mdp.reward, discount=case.discount)
    if name == "evaluation_backup":
        return np.asarray((exact(case.policy) * q).sum(axis=1))
    if name == "optimality_backup":
        return np.asarray(q.max(axis=1))
    if name == "soft_backup":
        return soft_value_by_digits(behavior, q, temperature=knobs["temperature"])
    if name == "expectile_backup":
        return expectiles_by_fractions(q, behavior, level=knobs["expectile"])
    return _sampled(q, behavior, knobs) if name == "sampled_backup" else q


def _sampled(q: Exact, behavior: Floats, knobs: Knobs) -> Exact:
    """E F(q(a_1), ..., q(a_n)) in every state, by enumeration."""
    samples, aggregate = knobs["sampling"]["samples"], knobs["sampling"]["aggregate"]
    out = np.empty(len(q), dtype=object)
    for s in range(len(q)):
        tuples = q[s][draws(q.shape[1], samples)]
        if aggregate == "log_mean_exp":
            outcome = log_mean_exp_by_digits(tuples, temperature=knobs["temperature"])
        else:
            outcome = tuples.max(axis=1) if aggregate == "max" else tuples.sum(axis=1) * Fraction(1, samples)
        out[s] = expectation_over_draws(outcome, behavior[s], samples)
    return out


RATIONAL = tuple(name for name in BACKUPS if name not in ("soft_backup", "sampled_backup"))
EQUATIONS = f"{SUTTON}, eqs. 3.20, 4.5, 4.6, 4.10; {IQL}, §4.2 and eq. 5"


@claim(
    "bellman",
    source=EQUATIONS,
    operators=RATIONAL,
    given={"case": rough_cases(), "knobs": KNOBS},
    oracle="q_by_fractions",
    share=0.5,
)
def backups_are_their_equations_in_exact_arithmetic(port: Trial, case: MDPCase, knobs: Knobs) -> None:
    """With q = R + gamma P V: action_values q, evaluation pi.q, optimality max q, the expectile of q under mu; with V = pi.Q, max Q the
    backups of Q; sarsa_expectile one expectile of r + gamma Q(s',a') over all (s', a')."""
    found, error = _apply(port, port.subject, case, knobs)
    port.equal(found, _due(port.subject, case, knobs), error)


@claim("S1", source="Fox, Pakman & Tishby 2016, eq. 12; Haarnoja et al. 2017, eq. 3", operators=["soft_backup"],
       given={"case": rough_cases(), "knobs": KNOBS}, share=0.5, oracle="soft_value_by_digits")  # fmt: skip
def soft_backup_is_its_equation_to_fifty_digits(port: Trial, case: MDPCase, knobs: Knobs) -> None:
    """soft_backup = t log sum over a of prior exp((R + gamma P V)/t), the max over the prior's support at t = 0, its mean at t = inf."""
    found, error = _apply(port, "soft_backup", case, knobs)
    port.equal(found, _due("soft_backup", case, knobs), error)


@claim("W5", source=f"{QWR}, policy evaluation", operators=["sampled_backup"], given={"case": rough_cases(), "knobs": KNOBS},
       share=0.5, oracle="expectation_over_draws")  # fmt: skip
def sampled_backup_is_the_enumerated_expectation(port: Trial, case: MDPCase, knobs: Knobs) -> None:
    """sampled_backup = the sum over all a_1..a_n of the product of mu(a_i|s), times F(q(s,a_1), ..., q(s,a_n)), q = R + gamma P V."""
    found, error = _apply(port, "sampled_backup", case, knobs)
    port.equal(found, _due("sampled_backup", case, knobs), error)


def _on_tables(source: st.SearchStrategy[FiniteMDP]) -> dict[str, st.SearchStrategy[Any]]:
    return {**on_mdps(source), "knobs": KNOBS}


@claim("bellman", source=f"{EQUATIONS}; {QWR}", operators=BACKUPS, given=_on_tables, share=0.1)
def backups_reduce_to_means_and_maxima_of_action_values(port: Trial, case: MDPCase, knobs: Knobs) -> None:
    """On tables of any size: with q = R + gamma P V the mean mu.q is expectile 1/2, temperature inf and one sample; max q is
    optimality, and temperature 0 where all is supported; the backups of Q are q at V = mu.Q, pi.Q and max Q."""
    name = port.subject
    mean = knobs | {"expectile": 0.5, "temperature": np.inf, "sampling": {**knobs["sampling"], "samples": 1}}
    found, error = _apply(port, name, case, mean)
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


@claim("B1", source=f"{PUTERMAN}, lemma 6.1.2 and proposition 6.2.4", operators=BACKUPS, given=_on_tables, share=0.25)
def backups_are_monotone(port: Trial, case: MDPCase, knobs: Knobs) -> None:
    """V <= W in every state implies TV <= TW in every state."""
    field, low, other = _two(port.subject, case)
    one, one_error = _apply(port, port.subject, case, knobs, **{field: low})
    two, two_error = _apply(port, port.subject, case, knobs, **{field: np.maximum(low, other)})
    port.at_most(one, two, one_error + two_error)


def _with_shift(source: st.SearchStrategy[FiniteMDP]) -> dict[str, st.SearchStrategy[Any]]:
    return {**_on_tables(source), "shift": values((1,))}


@claim("B1", source=f"{PUTERMAN}, lemma 6.1.2; Bertsekas 2012, §1.1", operators=BACKUPS, given=_with_shift, share=0.25)
def backups_pass_a_constant_on_discounted(port: Trial, case: MDPCase, knobs: Knobs, shift: Floats) -> None:
    """T(V + c) = TV + gamma c for every constant c."""
    field, start, _ = _two(port.subject, case)
    moved = rounded(start + shift, port.dtype)
    one, one_error = _apply(port, port.subject, case, knobs, **{field: start})
    two, two_error = _apply(port, port.subject, case, knobs, **{field: moved})
    c, g = float(shift[0]), case.discount
    inexact = (
        np.abs(moved - start - shift).max()
        + 2.0**-52 * (np.abs(start).max() + abs(c))
        + abs(c) * leak(case.mdp.transition, len(start))
    )
    port.equal(
        two, one + g * c, one_error + two_error + g * inexact + port.sum_error(np.stack([one, np.full(one.shape, g * c)], -1))
    )


@claim("B1", source=f"{PUTERMAN}, proposition 6.2.4; Banach", operators=BACKUPS, given=_on_tables, share=0.25)
def backups_contract_by_the_discount(port: Trial, case: MDPCase, knobs: Knobs) -> None:
    """max|TV - TW| <= gamma max|V - W|."""
    field, start, other = _two(port.subject, case)
    one, one_error = _apply(port, port.subject, case, knobs, **{field: start})
    two, two_error = _apply(port, port.subject, case, knobs, **{field: other})
    gap = case.discount * np.abs(start - other).max()
    slack = (
        one_error
        + two_error
        + gap * leak(case.mdp.transition, len(start))
        + port.sum_error(np.stack([one, two], -1))
        + 2.0**-52 * gap
    )
    port.at_most(np.abs(one - two), gap, slack)
