"""Boltzmann exploration: invariances, limits with their rates, and what it maximises (X2)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from properties._aggregates_bounds import EVERY_TEMPERATURE, holds_in
from properties._bounds import ELEMENTARY, UNIT, Floats, gamma
from properties._claim import claim
from properties._draw import STYLES, distributions, rows, temperatures, values
from properties._exploration_bounds import SOFTMAX, infinite_rows
from properties._oracles.aggregates import softmax_by_digits
from properties._oracles.exploration import entropy_objective_by_digits, soft_maximum_by_digits
from properties._trial import Trial

Draw = Callable[[st.SearchStrategy[Any]], Any]
ENTROPY = "Ziebart et al. 2008; Haarnoja et al. 2017, eq. 4"


class Softened(NamedTuple):
    """Action values, another policy over them, a shift, and a temperature."""

    q: Floats
    policy: Floats
    shift: Floats
    temperature: float


@st.composite
def softened(draw: Draw, longest: int = 4) -> Softened:
    """Rows of one scale, so that shifting them loses nothing."""
    style = (draw(st.sampled_from(STYLES)),)
    q = draw(rows(longest=longest, styles=style))
    return Softened(q, draw(distributions(q.shape)), draw(values((*q.shape[:-1], 1), style)), draw(EVERY_TEMPERATURE))


GIVEN = {"s": softened()}


@claim("X2", source=SOFTMAX, operators=["boltzmann"], given=GIVEN, share=0.5, oracle="softmax_by_digits")
def boltzmann_is_the_softmax_of_q_over_t(port: Trial, s: Softened) -> None:
    """boltzmann = exp(q/t) / sum of exp(q/t) to 50 digits, t from 2^-60 to 2^20; greedy at t = 0, uniform at t = inf."""
    found, error = port("boltzmann", s.q, temperature=s.temperature)
    port.equal(found, softmax_by_digits(s.q, temperature=s.temperature), error)


@claim("X2", source=SOFTMAX, operators=["boltzmann"], given=GIVEN)
def boltzmann_ignores_the_level_of_values(port: Trial, s: Softened) -> None:
    """boltzmann(q + c) = boltzmann(q)."""
    if not holds_in(port.dtype, s.q + s.shift):
        return
    due, due_error = port("boltzmann", s.q, temperature=s.temperature)
    found, error = port("boltzmann", s.q + s.shift, temperature=s.temperature)
    port.equal(found, due, error + due_error)


@claim("X2", source=SOFTMAX, operators=["boltzmann"], given={**GIVEN, "factor": st.sampled_from([0.25, 2.0, 8.0])}, share=0.5)
def temperature_has_the_unit_of_value(port: Trial, s: Softened, factor: float) -> None:
    """boltzmann of c q at temperature c t is that of q at t, c > 0: temperature divides."""
    due, due_error = port("boltzmann", s.q, temperature=s.temperature)
    found, error = port("boltzmann", factor * s.q, temperature=factor * s.temperature)
    port.equal(found, due, error + due_error)


@claim("X2", source=SOFTMAX, operators=["boltzmann"], given=GIVEN)
def boltzmann_keeps_the_order_of_values(port: Trial, s: Softened) -> None:
    """q_i <= q_j implies p_i <= p_j; equal values have equal probabilities; the best action has at least 1/A."""
    found, error = port("boltzmann", s.q, temperature=s.temperature)
    order = np.argsort(s.q, axis=-1, kind="stable")
    ranked, value, off = (np.take_along_axis(x, order, axis=-1) for x in (found, s.q, error))
    port.at_most(ranked[..., :-1], ranked[..., 1:], off[..., :-1] + off[..., 1:])
    tied = value[..., :-1] == value[..., 1:]
    port.equal(np.where(tied, ranked[..., :-1], 0), np.where(tied, ranked[..., 1:], 0), off[..., :-1] + off[..., 1:], "ties")
    port.at_most(1.0 / s.q.shape[-1], ranked[..., -1], off[..., -1] + UNIT["float64"], "the best action has at least 1/A")


def _rate(x: Floats) -> tuple[Floats, Floats]:
    """exp(x), and the error of x in float64 (two roundings) and of exp; beyond +-2^20 that is 0 or at least exp(700) either way."""
    value = np.exp(np.minimum(x, 700.0))
    return value, value * gamma(2 * np.minimum(np.abs(x), 2.0**20) + ELEMENTARY, UNIT["float64"])


@claim("X2", source=SOFTMAX, operators=["boltzmann", "greedy"], given=GIVEN)
def boltzmann_tends_to_greedy_exponentially(port: Trial, s: Softened) -> None:
    """|boltzmann - greedy| <= (sum of exp(-gap/t) over what is not greedy) / k at every action, and 0 at t = 0."""
    found, error = port("boltzmann", s.q, temperature=s.temperature)
    due, due_error = port("greedy", s.q)
    gap = s.q.max(axis=-1, keepdims=True) - s.q
    with np.errstate(divide="ignore", invalid="ignore"):
        rate, off = _rate(np.where(gap > 0, -gap / s.temperature, -np.inf))
    ties = (gap == 0).sum(axis=-1, keepdims=True)
    summed = off + rate * gamma(s.q.shape[-1] + 1, UNIT["float64"])  # A - 1 additions, a division, |found - due|
    room, slack = (np.where(gap > 0, term, 0.0).sum(axis=-1, keepdims=True) / ties for term in (rate, summed))
    port.at_most(np.abs(found - due), np.broadcast_to(room, due.shape), error + due_error + slack + UNIT["float64"] * due)


@claim("X2", source=SOFTMAX, operators=["boltzmann"], given=GIVEN)
def boltzmann_tends_to_uniform_as_span_over_t(port: Trial, s: Softened) -> None:
    """exp(-span/t) <= A p <= exp(span/t), span = max q - min q; and p = 1/A at t = inf."""
    found, error = port("boltzmann", s.q, temperature=s.temperature)
    span, actions = np.ptp(s.q, axis=-1)[..., None], s.q.shape[-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        x = np.where(span > 0, span / s.temperature, 0.0)
    (low, low_off), (high, high_off) = _rate(-x), _rate(x)
    slack = actions * error + UNIT["float64"] * actions * found
    port.at_most(np.broadcast_to(low, found.shape), actions * found, slack + low_off, "exp(-span/t) <= A p")
    port.at_most(actions * found, np.broadcast_to(high, found.shape), slack + high_off, "A p <= exp(span/t)")


def _entropy_slack(found: Floats, error: Floats, s: Softened) -> Floats:
    """How far pi.q + t H(pi) may lie from t log sum exp(q/t) where pi is off by `error`.

    As q_i - t log p_i = V for every i, the objective of p + e is V sum(p + e) - t sum (p + e) log((p + e)/p). The last sum is at
    most e in size for each e < 0, and e/(1 - e/(p + e)) <= 2e for each e > 0 below half of p + e; probabilities of which rounding
    leaves no half are off by an exponent of less than |log error| + gap/t.
    """
    top = s.q.max(axis=-1, keepdims=True)
    value = np.abs(top) + s.temperature * np.log(s.q.shape[-1])
    depth = (top - s.q) / s.temperature + np.abs(np.log(np.maximum(found + error, UNIT["float64"] ** 40))) + np.log(s.q.shape[-1])
    each = np.where(error <= found / 2, 2.0, 2.0 * depth) * error
    return np.asarray((value * error + s.temperature * each).sum(axis=-1))


@claim("X2", source=ENTROPY, operators=["boltzmann"], given={"s": softened(3)}, share=0.5, oracle="entropy_objective_by_digits")
def boltzmann_maximises_value_plus_entropy(port: Trial, s: Softened) -> None:
    """boltzmann maximises pi.q + t H(pi) over policies, and its value there is t log sum of exp(q/t)."""
    if not 0 < s.temperature < math.inf:
        return
    found, error = port("boltzmann", s.q, temperature=s.temperature)
    best = np.asarray(entropy_objective_by_digits(found, s.q, temperature=s.temperature))
    slack = _entropy_slack(found, error, s)
    port.equal(np.zeros(best.shape), best - soft_maximum_by_digits(s.q, temperature=s.temperature), slack, "its value")
    other = np.asarray(entropy_objective_by_digits(s.policy, s.q, temperature=s.temperature) - best)
    port.at_most(other.astype(np.float64), np.zeros(best.shape), slack, "no policy is better")


@claim("X2", source=SOFTMAX, operators=["boltzmann", "greedy"], given={"q": infinite_rows(), "near": temperatures()}, share=0.5)
def boltzmann_never_overflows(port: Trial, q: Floats, near: float) -> None:
    """Where q/t is beyond the largest float, or q is infinite, boltzmann is greedy still; -inf has no mass beside a number."""
    power = 900 if port.dtype == "float64" else 80
    large = np.where(np.isfinite(q), q * 2.0**power, q)
    due, due_error = port("greedy", q)
    found = port.boltzmann(large, temperature=2.0**-power)
    error = port.error("boltzmann", found, q, temperature=0.0)
    port.equal(found, due, error + due_error, "q/t beyond the largest float", due_by="greedy")
    warm, off = port("boltzmann", q, temperature=near)
    unbounded = np.isinf(q.max(axis=-1, keepdims=True)) & np.ones(q.shape, dtype=bool)
    port.equal(np.where(unbounded, warm, 0), np.where(unbounded, due, 0), off + due_error, "infinite values", due_by="greedy")
    hopeless = ~unbounded & (q == -math.inf)
    port.equal(np.where(hopeless, warm, 0.0), np.zeros(q.shape), 0.0, "-inf beside a number")
