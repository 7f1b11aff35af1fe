"""Bellman's operators on tables, in fractions; where there is an exp, at 50 digits.

Probabilities are taken as they are given, also where a row misses 1 by its rounding, and what has probability 0 is not read.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from itertools import combinations_with_replacement
from typing import Any

import numpy as np

from properties._exact import Exact, digits, exact_value, fraction, stacked
from properties._exact._exponentials import aggregated, log_sum
from properties._exact.expectiles import balanced
from properties._oracles.aggregates import expected_maximum_by_order_statistics

Row = list[Any]
Successors = list[tuple[int, Fraction]]


def successors(transition: Any) -> list[Successors]:
    """For each pair (s, a), in order, its next states of positive probability, of a dense or a CSR table."""
    if hasattr(transition, "indptr"):
        data, at, ends = (getattr(transition, part).tolist() for part in ("data", "indices", "indptr"))
        pieces = [list(zip(at[a:b], data[a:b], strict=True)) for a, b in zip(ends[:-1], ends[1:], strict=True)]
    else:
        table = np.reshape(transition, (-1, np.shape(transition)[-1])).tolist()
        pieces = [list(enumerate(row)) for row in table]
    return [[(state, Fraction(p)) for state, p in piece if p] for piece in pieces]


def looked_ahead(value: Row, transition: Any, reward: Any, discount: float) -> list[Row]:
    """R + gamma P V, one row for each state."""
    gamma, ways = Fraction(discount), iter(successors(transition))
    return [[fraction(r) + gamma * _mean(value, next(ways)) for r in row] for row in np.asarray(reward).tolist()]


def _mean(value: Row, chances: Successors) -> Any:
    return sum((p * value[state] for state, p in chances), Fraction(0))


def mixed(policy: list[float], q: Row) -> Any:
    """pi.q over the actions that are taken."""
    return sum((Fraction(p) * x for p, x in zip(policy, q, strict=True) if p), Fraction(0))


def listed(array: Any) -> list[Any]:
    """A vector or a table as (rows of) Fractions."""
    entries = np.asarray(array).tolist()
    return [[fraction(x) for x in row] if isinstance(row, list) else fraction(row) for row in entries]


def table(rows: list[Row]) -> Exact:
    """Rows as an array."""
    return stacked([x for row in rows for x in row], (len(rows), len(rows[0])))


def vector(entries: Row) -> Exact:
    """Entries as an array."""
    return stacked(entries, (len(entries),))


def _over_actions(one: Callable[[Row, list[float]], Any], chances: Any, value: Any, mdp: tuple[Any, Any], discount: float) -> Exact:
    """one(q(s, .), chances(s, .)) of every state, q = R + gamma P V."""
    rows = looked_ahead(listed(value), *mdp, discount)
    return vector([one(q, held) for q, held in zip(rows, np.asarray(chances).tolist(), strict=True)])


@exact_value("action_values")
def action_values(value: Any, transition: Any, reward: Any, *, discount: float) -> Exact:
    """Sutton & Barto 2018, eq. 4.6."""
    return table(looked_ahead(listed(value), transition, reward, discount))


@exact_value("evaluation_backup")
def evaluation_backup(value: Any, policy: Any, transition: Any, reward: Any, *, discount: float) -> Exact:
    """Sutton & Barto 2018, eq. 4.5."""
    return _over_actions(lambda q, pi: mixed(pi, q), policy, value, (transition, reward), discount)


@exact_value("optimality_backup")
def optimality_backup(value: Any, transition: Any, reward: Any, *, discount: float) -> Exact:
    """Sutton & Barto 2018, eq. 4.10."""
    return vector([max(q) for q in looked_ahead(listed(value), transition, reward, discount)])


@exact_value("q_evaluation_backup")
def q_evaluation_backup(q: Any, policy: Any, transition: Any, reward: Any, *, discount: float) -> Exact:
    """Sutton & Barto 2018, eqs. 4.4 and 6.9."""
    value = [mixed(pi, row) for pi, row in zip(np.asarray(policy).tolist(), listed(q), strict=True)]
    return table(looked_ahead(value, transition, reward, discount))


@exact_value("q_optimality_backup")
def q_optimality_backup(q: Any, transition: Any, reward: Any, *, discount: float) -> Exact:
    """Sutton & Barto 2018, eq. 3.20."""
    return table(looked_ahead([max(row) for row in listed(q)], transition, reward, discount))


@exact_value("soft_backup")
def soft_backup(value: Any, prior: Any, transition: Any, reward: Any, *, temperature: float, discount: float) -> Exact:
    """Fox, Pakman & Tishby 2016: t log of the sum of prior exp(q/t)."""

    def one(q: Row, held: list[float]) -> Any:
        return log_sum(q, [Fraction(p) for p in held], temperature)

    return _over_actions(one, prior, value, (transition, reward), discount)


@exact_value("expectile_backup")
def expectile_backup(value: Any, behavior: Any, transition: Any, reward: Any, *, expectile: float, discount: float) -> Exact:
    """Kostrikov et al. 2021, eqs. 5 and 6: the expectile over the actions of the mean over next states."""

    def one(q: Row, mu: list[float]) -> Any:
        return balanced(q, mu, expectile)

    return _over_actions(one, behavior, value, (transition, reward), discount)


@exact_value("sarsa_expectile_backup")
def sarsa_expectile_backup(q: Any, behavior: Any, transition: Any, reward: Any, *, expectile: float, discount: float) -> Exact:
    """Kostrikov et al. 2021, before eq. 5: one expectile of r + gamma Q(s', a') over the pairs (s', a')."""
    values, chances, gamma, ways = listed(q), listed(behavior), Fraction(discount), iter(successors(transition))

    def one(r: float) -> Any:
        pairs = [(p * mu, x) for state, p in next(ways) for mu, x in zip(chances[state], values[state], strict=True) if mu]
        return balanced([fraction(r) + gamma * x for _, x in pairs], [mass for mass, _ in pairs], expectile)

    return table([[one(r) for r in row] for row in np.asarray(reward).tolist()])


@exact_value("sampled_backup")
def sampled_backup(
    value: Any, behavior: Any, transition: Any, reward: Any, *,
    samples: int, aggregate: str, temperature: float | None = None, discount: float,
) -> Exact:  # fmt: skip
    """Kozakowski et al. 2021: the expectation of F over n actions drawn independently."""

    def one(q: Row, mu: list[float]) -> Any:
        held = [(x, Fraction(p)) for x, p in zip(q, mu, strict=True) if p]
        if aggregate == "mean":
            return mixed(mu, q)
        if aggregate == "max" and not any(math.isinf(x) for x, _ in held):
            return expected_maximum_by_order_statistics(*(vector(list(column)) for column in zip(*held, strict=True)), samples)
        return _over_draws(held, samples, lambda row: aggregated(row, aggregate, temperature))

    return _over_actions(one, behavior, value, (transition, reward), discount)


def _over_draws(held: list[tuple[Any, Fraction]], samples: int, outcome: Callable[[Row], Any]) -> Any:
    """The expectation over n draws whose order does not count, each drawn bag weighed by how many orders it has."""
    total = digits(0)
    for bag in combinations_with_replacement(range(len(held)), samples):
        orders = math.factorial(samples) // math.prod(math.factorial(c) for c in Counter(bag).values())
        total += digits(orders * math.prod(held[a][1] for a in bag)) * digits(outcome([held[a][0] for a in bag]))
    return total
