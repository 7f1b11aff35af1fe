"""Expectations of QWR's aggregates (W5), the fixed points of their backups (W6), and the bias of a maximum (M1, F1)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from properties._aggregates_bounds import EVERY_TEMPERATURE, holds_in
from properties._bounds import Floats, own_rounding, rounded
from properties._claim import claim
from properties._draw import distributions, values
from properties._mdps import drawn_mdps
from properties._oracles import exact
from properties._oracles.aggregates import (
    draws,
    expectation_over_draws,
    expected_maximum_by_order_statistics,
    soft_value_by_digits,
)
from properties._trial import Trial
from reference.finite_mdps import FiniteMDP

Draw = Callable[[st.SearchStrategy[Any]], Any]
QWR = "Kozakowski et al. 2021 (QWR), F = log-sum-exp"
AGGREGATES = ("max_aggregate", "mean_aggregate", "log_mean_exp")


def aggregated(port: Trial, name: str, q: Floats, temperature: float) -> tuple[Floats, Floats]:
    """An aggregate by name: value and error bound."""
    return port(name, q, **({"temperature": temperature} if name.startswith("log_mean_exp") else {}))


# -------------------------------------------------------------------------------------------------- sampling from mu
class Sampling(NamedTuple):
    """The values of a few actions, the behavior that samples them, and a temperature."""

    q: Floats
    behavior: Floats
    temperature: float


@st.composite
def samplings(draw: Draw) -> Sampling:
    """One to three actions."""
    shape = (draw(st.integers(1, 3)),)
    return Sampling(draw(values(shape)), draw(distributions(shape)), draw(EVERY_TEMPERATURE))


MOST_SAMPLES = 4
SAMPLED = {"s": samplings()}


def _expectations(port: Trial, name: str, s: Sampling) -> list[tuple[Fraction, float]]:
    """E F(q(a_1), ..., q(a_n)) for n = 1, 2, ...: F from the trial, the expectation exact; with F's error bound carried through."""
    found = []
    for n in range(1, MOST_SAMPLES + 1):
        chosen = draws(len(s.q), n)
        outcome, error = aggregated(port, name, s.q[chosen], s.temperature)
        due = expectation_over_draws(outcome, s.behavior, n)
        found.append((due, float((s.behavior[chosen].prod(axis=-1) * error).sum())))
    return found


def _at_most(port: Trial, low: tuple[Any, float], high: tuple[Any, float], what: str) -> None:
    """low <= high, where both are exact but for the bounds that they bring along."""
    port.at_most(float(low[0] - high[0]), 0.0, low[1] + high[1], what)


@claim(
    "W5",
    source=f"{QWR}, policy evaluation",
    operators=["mean_aggregate"],
    given=SAMPLED,
    share=0.5,
    oracle="expectation_over_draws",
)
def expected_mean_does_not_depend_on_the_number_of_samples(port: Trial, s: Sampling) -> None:
    """E mean of n independent samples = mu.q for every n, summed over all n-tuples of actions."""
    due = (exact(s.behavior) * exact(s.q)).sum()
    for found, error in _expectations(port, "mean_aggregate", s):
        _at_most(port, (abs(found - due), error), (Fraction(0), 0.0), "E mean of n samples = mu.q")


@claim(
    "W5",
    source=f"{QWR}, policy evaluation",
    operators=["max_aggregate"],
    given=SAMPLED,
    share=0.5,
    oracle="expected_maximum_by_order_statistics",
)
def expected_maximum_is_the_order_statistic(port: Trial, s: Sampling) -> None:
    """E max of n samples = sum of x (F(x)^n - F(x-)^n); it grows with n and is within (1 - p)^n span of the best, p its mass."""
    held = s.q[s.behavior > 0]
    missed = 1 - Fraction(s.behavior[s.q == held.max()].sum())
    before = (Fraction(-(2**40)), 0.0)
    for n, (found, error) in enumerate(_expectations(port, "max_aggregate", s), start=1):
        due = expected_maximum_by_order_statistics(s.q, s.behavior, n)
        _at_most(port, (abs(found - due), error), (Fraction(0), 0.0), "E max of n samples is the order statistic")
        _at_most(port, before, (found, error), "E max of n samples grows with n")
        lost = Fraction(held.max()) - missed**n * Fraction(np.ptp(held))
        _at_most(port, (lost, 0.0), (found, error), "max over the support - (1 - p)^n span <= E max")
        _at_most(port, (found, error), (Fraction(held.max()), 0.0), "E max <= max over the support")
        before = (found, error)


@claim(
    "W5", source=f"{QWR}, policy evaluation", operators=["log_mean_exp"], given=SAMPLED, share=0.5, oracle="soft_value_by_digits"
)
def expected_log_mean_exp_grows_with_samples_towards_the_soft_value(port: Trial, s: Sampling) -> None:
    """E log_mean_exp of n independent samples is mu.q at n = 1, grows with n, and never exceeds t log sum of mu exp(q/t)."""
    ceiling = soft_value_by_digits(s.behavior[None], s.q[None], temperature=s.temperature).item()
    reached = _expectations(port, "log_mean_exp", s)
    mean = (exact(s.behavior) * exact(s.q)).sum()
    _at_most(port, (abs(reached[0][0] - mean), reached[0][1]), (Fraction(0), 0.0), "one sample: mu.q")
    for fewer, more in itertools.pairwise(reached):
        _at_most(port, fewer, more, "E log_mean_exp grows with n")
    _at_most(port, reached[-1], (ceiling, 0.0), "E log_mean_exp <= t log sum of mu exp(q/t)")


@claim("W5", source=f"{QWR}, policy evaluation", operators=AGGREGATES, given=SAMPLED, share=0.3, oracle="expectation_over_draws")
def expected_log_mean_exp_lies_between_expected_mean_and_maximum(port: Trial, s: Sampling) -> None:
    """E mean <= E log_mean_exp <= E max at every n."""
    low, middle, high = (_expectations(port, name, s) for name in ("mean_aggregate", "log_mean_exp", "max_aggregate"))
    for n in range(MOST_SAMPLES):
        _at_most(port, low[n], middle[n], "E mean <= E log_mean_exp")
        _at_most(port, middle[n], high[n], "E log_mean_exp <= E max")


# ------------------------------------------------------------------------------------------------------ fixed points
class Sampled(NamedTuple):
    """An MDP, the behavior that samples its actions, a temperature and a discount of at most one half."""

    mdp: FiniteMDP
    behavior: Floats
    temperature: float
    discount: float


@st.composite
def sampled_mdps(draw: Draw) -> Sampled:
    """Small MDPs, and behaviors that leave actions out."""
    mdp = draw(drawn_mdps(states=3, actions=3))
    return Sampled(mdp, draw(distributions(mdp.reward.shape)), draw(EVERY_TEMPERATURE), draw(st.sampled_from([0.5, 0.25, 0.0])))


ON_SAMPLED = {"m": sampled_mdps()}
SWEEPS = 12
BACKUPS = ("sampled_backup", "soft_backup")


def _fixed_point(port: Trial, name: str, m: Sampled, **keywords: Any) -> tuple[Floats, float]:
    """The fixed point by successive approximation from 0, and how far off it is at most.

    |V_k - V| <= (gamma |V_k - V_(k-1)| + the error of the last backup) / (1 - gamma) in sup norm, whatever came before.
    """
    rest, keywords = (m.behavior, m.mdp.transition, m.mdp.reward), keywords | {"discount": m.discount}
    before = np.zeros(len(m.behavior))
    for _ in range(SWEEPS if m.discount > 0 else 0):
        before = getattr(port, name)(before, *rest, **keywords)
    value, error = port(name, before, *rest, **keywords)
    moved = np.abs(value - before).max()
    return value, float((m.discount * moved + np.max(error)) / (1 - m.discount) * own_rounding(5))


def _in_order(port: Trial, low: tuple[Floats, float], high: tuple[Floats, float], what: str) -> None:
    port.at_most(low[0], high[0], low[1] + high[1] + port.sum_error(np.stack([low[0], high[0]], -1)), what)


@claim("W6", source=f"{QWR}, policy evaluation", operators=BACKUPS, given=ON_SAMPLED, share=0.05)
def fixed_points_are_ordered_avg_lse_max(port: Trial, m: Sampled) -> None:
    """At equal n, AVG_n <= LSE_n <= MAX_n <= V* (the best in the support of mu), and LSE_n <= soft value with prior mu <= V*."""
    best = _fixed_point(port, "soft_backup", m, temperature=0.0)
    soft = _fixed_point(port, "soft_backup", m, temperature=m.temperature)
    chosen = {"samples": 2, "temperature": m.temperature}
    mean, lse, top = (_fixed_point(port, "sampled_backup", m, aggregate=F, **chosen) for F in ("mean", "log_mean_exp", "max"))
    _in_order(port, mean, lse, "AVG_n <= LSE_n")
    _in_order(port, lse, top, "LSE_n <= MAX_n")
    _in_order(port, top, best, "MAX_n <= V* in the support")
    _in_order(port, lse, soft, "LSE_n <= the soft value")
    _in_order(port, soft, best, "soft value <= V* in the support")


@claim("W6", source=f"{QWR}, policy evaluation", operators=["sampled_backup"], given=ON_SAMPLED, share=0.05)
def fixed_points_grow_with_the_number_of_samples(port: Trial, m: Sampled) -> None:
    """V^mu <= LSE_2 <= LSE_3 and V^mu <= MAX_2 <= MAX_3: more samples, more optimism."""
    value, error = port("solve_policy", m.behavior, m.mdp.transition, m.mdp.reward, discount=m.discount)
    for aggregate in ("log_mean_exp", "max"):
        chosen = {"aggregate": aggregate, "temperature": m.temperature}
        reached = [(value, float(error.max()))] + [_fixed_point(port, "sampled_backup", m, samples=n, **chosen) for n in (2, 3)]
        for fewer, more in itertools.pairwise(reached):
            _in_order(port, fewer, more, f"{aggregate}: fixed point at n <= at n + 1")


@claim(
    "W6",
    source=f"{QWR}, policy evaluation",
    operators=["sampled_backup"],
    given={**ON_SAMPLED, "samples": st.integers(1, 4)},
    share=0.3,
)
def the_mean_of_samples_evaluates_the_behavior(port: Trial, m: Sampled, samples: int) -> None:
    """V^mu is the fixed point of sampled_backup with the mean at every n, and with every aggregate at n = 1."""
    value, solve_error = port("solve_policy", m.behavior, m.mdp.transition, m.mdp.reward, discount=m.discount)
    start = rounded(value, port.dtype)
    start_error = m.discount * np.max(solve_error + np.abs(start - value))
    for aggregate, n in (("mean", samples), ("log_mean_exp", 1), ("max", 1)):
        chosen = {"samples": n, "aggregate": aggregate, "temperature": m.temperature, "discount": m.discount}
        found, error = port("sampled_backup", start, m.behavior, m.mdp.transition, m.mdp.reward, **chosen)
        port.equal(found, value, error + solve_error + start_error, f"{aggregate} of {n} samples")


# -------------------------------------------------------------------------------------------------------- maximisation
@claim(
    "M1",
    source="van Hasselt, Guez & Silver 2016, Theorem 1",
    operators=["max_aggregate"],
    given={"x": values((5,), ("generic", "ties")), "actions": st.integers(2, 5)},
)
def a_maximum_over_errors_that_average_zero_is_too_high(port: Trial, x: Floats, actions: int) -> None:
    """If the errors e of m estimates of V sum to 0 and C is the mean of e^2, then max(V + e) >= V + sqrt(C/(m-1))."""
    drawn = x[:actions]
    errors, value = actions * drawn - drawn.sum(), x[-1]
    if not holds_in(port.dtype, value + errors):
        return
    mean_square = (exact(errors) ** 2).sum() / actions
    found, error = port("max_aggregate", value + errors)
    root = math.sqrt(mean_square / (actions - 1))
    port.at_most(value + root, found, error + 2 * port.sum_error([value, root]))
    extreme, extreme_error = port("max_aggregate", value + np.array([1.0] * (actions - 1) + [1.0 - actions]))
    port.equal(extreme, exact(value) + 1, extreme_error, "m - 1 equal errors attain the bound")


@claim("F1", source="the lecture's bound, refuted", operators=["max_aggregate"])
def the_bound_with_the_sum_of_squares_is_false(port: Trial) -> None:
    """Refuted: sum of e = 0 and sum of e^2 = C imply max >= sqrt(C/(m-1)). For m = 2 and e = (1, -1), C = 2: max = 1 < 1.414."""
    found, error = port("max_aggregate", np.array([1.0, -1.0]))
    port.equal(found, exact(1.0), error)
    port.holds(
        bool(found < math.sqrt(2.0 / (2 - 1))), "the maximum stays below sqrt(C/(m-1)) with C the sum of squares", found=found
    )
