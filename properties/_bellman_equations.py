"""The backups as equations, in exact arithmetic: what each must be on small processes, to the last bit that rounding leaves."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from properties._bellman_calls import BACKUPS, KNOBS, Knobs, applied, rough_cases
from properties._bounds import Floats
from properties._claim import claim
from properties._mdps import MDPCase
from properties._oracles import Exact, exact
from properties._oracles.aggregates import draws, expectation_over_draws, log_mean_exp_by_digits, soft_value_by_digits
from properties._oracles.dynamic_programming import joint_expectiles_by_fractions, q_by_fractions
from properties._oracles.expectiles import expectile_by_balance
from properties._trial import Trial

SUTTON = "Sutton & Barto 2018"
IQL = "Kostrikov et al. 2021 (IQL)"
QWR = "Kozakowski et al. 2021 (QWR)"


def _due(name: str, case: MDPCase, knobs: Knobs) -> Exact:
    """What a backup is by its equation, exactly (logarithms to 50 digits)."""
    mdp, behavior = case.mdp, case.behavior
    if name == "sarsa_expectile_backup":
        levels = {"level": knobs["expectile"], "discount": case.discount}
        return np.asarray(joint_expectiles_by_fractions(case.q, behavior, mdp.transition, mdp.reward, **levels))
    after = {"q_evaluation_backup": (exact(case.policy) * exact(case.q)).sum(axis=1), "q_optimality_backup": case.q.max(axis=1)}
    q = q_by_fractions(after.get(name, case.value), mdp.transition, mdp.reward, discount=case.discount)
    if name == "evaluation_backup":
        return np.asarray((exact(case.policy) * q).sum(axis=1))
    if name == "optimality_backup":
        return np.asarray(q.max(axis=1))
    if name == "soft_backup":
        return np.asarray(soft_value_by_digits(behavior, q, temperature=knobs["temperature"]))
    if name == "expectile_backup":
        return np.asarray(expectile_by_balance(q, behavior, expectile=knobs["expectile"]))
    return _sampled(q, behavior, knobs) if name == "sampled_backup" else np.asarray(q)


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
    """With q = R + gamma P V: action_values is q, evaluation pi.q, optimality max q, expectile that of q under mu; the backups of Q
    are q at V = pi.Q and V = max Q; sarsa_expectile is one expectile of r + gamma Q(s',a') over all (s', a')."""
    found, error = applied(port, port.subject, case, knobs)
    port.equal(found, _due(port.subject, case, knobs), error)


@claim("S1", source="Fox, Pakman & Tishby 2016 (G-learning); Haarnoja et al. 2017, eq. 3", operators=["soft_backup"],
       given={"case": rough_cases(), "knobs": KNOBS}, share=0.5, oracle="soft_value_by_digits")  # fmt: skip
def soft_backup_is_its_equation_to_fifty_digits(port: Trial, case: MDPCase, knobs: Knobs) -> None:
    """soft_backup = t log sum over a of prior exp(q/t), q = R + gamma P V; the maximum over the prior's support at t = 0, the
    mean under it at t = inf."""
    found, error = applied(port, "soft_backup", case, knobs)
    port.equal(found, _due("soft_backup", case, knobs), error)


@claim("W5", source=f"{QWR}, policy evaluation", operators=["sampled_backup"], given={"case": rough_cases(), "knobs": KNOBS},
       share=0.5, oracle="expectation_over_draws")  # fmt: skip
def sampled_backup_is_the_enumerated_expectation(port: Trial, case: MDPCase, knobs: Knobs) -> None:
    """sampled_backup sums over all a_1..a_n of the product of the mu(a_i|s) times F(q(s,a_1), ..., q(s,a_n)), q = R + gamma P V."""
    found, error = applied(port, "sampled_backup", case, knobs)
    port.equal(found, _due("sampled_backup", case, knobs), error)
