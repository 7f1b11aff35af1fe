"""How calls of the Bellman operators are drawn, and which part of a case each of them takes."""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import Any

import numpy as np
from hypothesis import strategies as st

from properties._bounds import Floats
from properties._claim import Call
from properties._draw import ROUGH, discounts, distributions, expectile_levels, values
from properties._mdps import MDPCase, drawn_mdps, on_mdps
from properties._trial import Trial
from reference.finite_mdps import FiniteMDP

Knobs = dict[str, Any]

TEMPERATURES = (1.0, 0.5, 16.0, 0.0, np.inf, 2.0**-10, 0.3, 7.7, 1024.0, 0.125)
AGGREGATES = ("max", "mean", "log_mean_exp", "log_mean_exp")
TOLERANCES = (2.0**-100, 2.0**-10, 1.0, 64.0)
"""The smallest is reached only where nothing changes any more: 70 sweeps see to that for discounts up to 1/2."""
KNOBS = st.tuples(
    st.sampled_from(TEMPERATURES),
    expectile_levels(),
    st.sampled_from(list(product((1, 2, 3), AGGREGATES))),
    st.sampled_from(list(product(TOLERANCES, (70, 1, 2, 5, 70)))),
).map(lambda drawn: _knobs(*drawn))
"""Temperature, expectile, samples, aggregate, and when to stop iterating."""


def _knobs(temperature: float, expectile: float, sampling: tuple[int, str], stopping: tuple[float, int]) -> Knobs:
    aggregate: Knobs = {"samples": sampling[0], "aggregate": sampling[1]}
    if sampling[1] == "log_mean_exp":
        aggregate["temperature"] = temperature
    iteration = {"tolerance": stopping[0], "max_iterations": stopping[1]}
    return {"temperature": temperature, "expectile": expectile, "sampling": aggregate, "iteration": iteration}


TAKES: dict[str, tuple[str, ...]] = {
    "action_values": ("value",),
    "evaluation_backup": ("value", "policy"),
    "optimality_backup": ("value",),
    "q_evaluation_backup": ("q", "policy"),
    "q_optimality_backup": ("q",),
    "soft_backup": ("value", "behavior", "temperature"),
    "expectile_backup": ("value", "behavior", "expectile"),
    "sarsa_expectile_backup": ("q", "behavior", "expectile"),
    "sampled_backup": ("value", "behavior", "sampling"),
    "solve_policy": ("policy",),
    "solve_optimal": (),
    "value_iteration": ("iteration",),
    "q_value_iteration": ("iteration",),
}
"""What each operator takes beside transition, reward and discount: arrays, then knobs."""
BACKUPS = tuple(name for name, takes in TAKES.items() if {"value", "q"} & set(takes))
SOLVERS = tuple(name for name in TAKES if name not in BACKUPS)
OPTIMA = ("solve_optimal", "value_iteration", "q_value_iteration")
EVERY = BACKUPS + SOLVERS


def call_of(name: str, case: MDPCase, knobs: Knobs, **other: Any) -> Call:
    """The call of an operator on a case; `other` replaces fields of the case: value=..., q=..., discount=..."""
    fields = {**case._asdict(), **other}
    arrays = [fields[part] for part in TAKES[name] if part in fields]
    words = {part: knobs[part] for part in TAKES[name] if part in ("temperature", "expectile")}
    words |= next((knobs[part] for part in TAKES[name] if part in ("sampling", "iteration")), {})
    mdp: FiniteMDP = fields["mdp"]
    return Call((*arrays, mdp.transition, mdp.reward), {**words, "discount": fields["discount"]})


def applied(port: Trial, name: str, case: MDPCase, knobs: Knobs, **other: Any) -> tuple[Floats, Floats]:
    """An operator on a case: value and error bound."""
    call = call_of(name, case, knobs, **other)
    value, error = port(name, *call.arguments, **call.keywords)
    return np.asarray(value), error


def with_knobs(source: st.SearchStrategy[FiniteMDP]) -> dict[str, st.SearchStrategy[Any]]:
    """For `given=`: `case` on drawn MDPs and on every named table, and `knobs`."""
    return {**on_mdps(source), "knobs": KNOBS}


@cache
def _parts(states: int, actions: int, below_one: bool) -> st.SearchStrategy[tuple[Any, ...]]:
    value, q, chances = values((states,), ROUGH), values((states, actions), ROUGH), distributions((states, actions))
    return st.tuples(value, value, q, q, chances, chances, discounts(below_one=below_one))


@cache
def rough_cases(*, below_one: bool = False) -> st.SearchStrategy[MDPCase]:
    """Drawn cases, dense or CSR, whose arrays are rough and each on a scale of its own; a discount of 1 among them."""

    def cases(mdp: FiniteMDP) -> st.SearchStrategy[MDPCase]:
        return _parts(*mdp.reward.shape, below_one).map(lambda parts: MDPCase(mdp, *parts))

    return drawn_mdps(styles=ROUGH).flatmap(cases)


def _with_samples(samples: int, call: Call) -> Call:
    return call._replace(keywords=call.keywords | {"samples": samples}) if samples else call


@cache
def _corridors(name: str) -> st.SearchStrategy[Call]:
    """Up to four states in a row: stay for a little or go on at a cost, and the last one pays. The optimum takes an improvement
    for each state; an iteration goes on until the tolerance is reached, which is a part of the largest reward, on any scale."""

    def call(drawn: tuple[int, Floats, float, float]) -> Call:
        states, discount = drawn[0], drawn[2]
        here, size = np.arange(states), drawn[3] * (1.0 + np.abs(drawn[1][:states]))
        transition = np.eye(states)[np.stack([here, np.minimum(here + 1, states - 1)], axis=1)]
        reward = np.stack([size, -size], axis=1) / 64.0
        reward[-1] = size.max()
        knobs = {"tolerance": float(size.max()) / 64.0, "max_iterations": 200} if "iteration" in TAKES[name] else {}
        return Call((transition, reward), {**knobs, "discount": discount})

    far = [0.875, 0.75, 0.9375] if "iteration" in TAKES[name] else [0.3, 0.6, 0.2]
    return st.tuples(st.integers(1, 4), values((4,), ROUGH), st.sampled_from(far), st.sampled_from((1.0, 2.0**-40, 2.0**20))).map(
        call
    )


def rough(name: str) -> st.SearchStrategy[Call]:
    """Calls for agreement: an operator on a rough case."""
    drawn = st.tuples(rough_cases(below_one=name in SOLVERS), KNOBS).map(lambda pair: call_of(name, *pair))
    if name == "sampled_backup":  # now and then more samples than actions by far
        return st.tuples(st.sampled_from((0, 0, 0, 8)), drawn).map(lambda both: _with_samples(*both))
    if name not in OPTIMA:
        return drawn
    return st.tuples(st.sampled_from((0, 1)), drawn, _corridors(name)).map(lambda both: both[1 + both[0]])
