"""Exploration: error bounds, and what greedy and epsilon-greedy are (X1)."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from properties import _exploration_boltzmann, _exploration_every_draw, _exploration_noise  # noqa: F401  (register their claims)
from properties._aggregates_bounds import EVERY_TEMPERATURE, holds_in
from properties._bounds import UNIT, Floats, gamma
from properties._claim import Call, claim, operator
from properties._draw import ROUGH, SEEDS, STYLES, rows, temperatures, values
from properties._exploration_bounds import EPSILON, LECTURE, SUTTON, boltzmann_error, crowded_rows, infinite_rows, shares
from properties._oracles import exact
from properties._oracles.exploration import epsilon_greedy_by_enumeration, greedy_by_enumeration
from properties._trial import Trial


# ----------------------------------------------------------------------------------------------------------- operators
def _calls(q: st.SearchStrategy[Floats], **keywords: st.SearchStrategy[Any]) -> st.SearchStrategy[Call]:
    return st.builds(lambda q, k: Call((q,), k), q, st.fixed_dictionaries(keywords))


CROWDED = st.one_of(infinite_rows(), crowded_rows(), crowded_rows())
LONE = rows(longest=1, styles=ROUGH)


@operator("greedy", inputs=_calls(CROWDED))
def greedy_bound(unit: float, q: Floats) -> Floats:
    """1/k: a reciprocal, and a product with the mask."""
    return np.asarray(gamma(2, unit) * shares(q))


@operator("epsilon_greedy", inputs=_calls(CROWDED | LONE, **EPSILON))
def epsilon_greedy_bound(unit: float, q: Floats, *, epsilon: float, over: str = "all") -> Floats:
    """(1 - eps) g + eps u with g of two roundings, u = 1/A or (1 - g)/(A - 1) of four, a product and two sums; g + eps (u - g)
    is a form, too, hence the size g + eps u."""
    g, actions = shares(q), q.shape[-1]
    other = np.full(q.shape, 1.0 / actions) if over == "all" else (1.0 - g) / max(actions - 1, 1)
    return np.asarray(gamma(7, unit) * (g + epsilon * other))


INFINITE = _calls(infinite_rows(), temperature=temperatures())


@operator("boltzmann", inputs=_calls(rows(styles=ROUGH), temperature=EVERY_TEMPERATURE) | INFINITE)
def boltzmann_bound(unit: float, q: Floats, *, temperature: float) -> Floats:
    """The softmax of q/t."""
    return boltzmann_error(unit, q, temperature)


@operator("sample_epsilon_greedy", inputs=_calls(infinite_rows(), **EPSILON, generator=SEEDS), random=True)
def sample_epsilon_greedy_bound(unit: float, q: Floats, **_: Any) -> float:
    """Drawn: no error to bound."""
    return 0.0


@operator("sample_boltzmann", inputs=_calls(rows(styles=ROUGH), temperature=EVERY_TEMPERATURE, generator=SEEDS), random=True)
def sample_boltzmann_bound(unit: float, q: Floats, **_: Any) -> float:
    """Drawn: no error to bound."""
    return 0.0


PROBABILITIES = ("greedy", "epsilon_greedy", "boltzmann")


# ------------------------------------------------------------------------------------------------------- epsilon-greedy
@claim("X1", source=SUTTON, operators=["greedy"], given={"q": infinite_rows()}, oracle="greedy_by_enumeration")
def greedy_shares_one_among_the_maximisers(port: Trial, q: Floats) -> None:
    """greedy is 1/k on each of the k maximisers, exactly 0 elsewhere; +inf ties with +inf, and neighbouring floats do not tie."""
    found, error = port("greedy", q)
    port.equal(found, greedy_by_enumeration(q), error)
    port.equal(port.greedy(np.array([1.0, 1.0 + 2 * UNIT[port.dtype]])), [0.0, 1.0], 0.0, "neighbouring floats")


@claim(
    "X1",
    source=f"{SUTTON} (all); {LECTURE} (others)",
    operators=["epsilon_greedy"],
    given={"q": infinite_rows(), **EPSILON},
    oracle="epsilon_greedy_by_enumeration",
)
def epsilon_greedy_is_the_two_stage_experiment(port: Trial, q: Floats, epsilon: float, over: str) -> None:
    """With probability 1 - epsilon a maximiser, drawn evenly; else one of all actions, or of all but that maximiser."""
    found, error = port("epsilon_greedy", q, epsilon=epsilon, over=over)
    port.equal(found, epsilon_greedy_by_enumeration(q, epsilon=epsilon, over=over), error)


@claim(
    "X1", source=SUTTON, operators=["epsilon_greedy", "greedy"], given={"q": infinite_rows(), "over": EPSILON["over"]}, share=0.5
)
def epsilon_zero_is_greedy_and_epsilon_one_explores(port: Trial, q: Floats, over: str) -> None:
    """epsilon = 0 is greedy; epsilon = 1 over all is uniform, and over the others leaves a sole maximiser nothing."""
    due, due_error = port("greedy", q)
    found, error = port("epsilon_greedy", q, epsilon=0.0, over=over)
    port.equal(found, due, error + due_error, "epsilon = 0", due_by="greedy")
    if port.subject == "greedy":
        return
    everything, off = port("epsilon_greedy", q, epsilon=1.0, over="all")
    port.equal(everything, exact(np.ones(q.shape)) / q.shape[-1], off, "epsilon = 1 over all")
    others, off = port("epsilon_greedy", q, epsilon=1.0, over="others")
    sole = (shares(q) == 1.0) & (q.shape[-1] > 1)
    port.equal(np.where(sole, others, 0.0), np.zeros(q.shape), np.where(sole, off, 0.0), "epsilon = 1 over the others")


@claim("X1", source=f"{SUTTON}; {LECTURE}", operators=["epsilon_greedy"], given={"q": rows(longest=4), "steps": st.integers(0, 64)})
def exploring_over_others_less_often_is_exploring_over_all(port: Trial, q: Floats, steps: int) -> None:
    """epsilon (A-1)/A over the others = epsilon over all: the share of exploration that falls on the greedy action explores not."""
    q = q[..., : 2 ** (q.shape[-1].bit_length() - 1)]
    actions = q.shape[-1]
    due, due_error = port("epsilon_greedy", q, epsilon=steps / 64, over="all")
    found, error = port("epsilon_greedy", q, epsilon=steps / 64 * (actions - 1) / actions, over="others")
    port.equal(found, due, error + due_error)


@claim(
    "X1",
    source=SUTTON,
    operators=PROBABILITIES,
    given={"q": infinite_rows(STYLES), **EPSILON, "temperature": temperatures()},
)
def exploration_gives_probabilities(port: Trial, q: Floats, temperature: float, **epsilon: Any) -> None:
    """No probability is negative, and each row sums to 1."""
    keywords = {"epsilon_greedy": epsilon, "boltzmann": {"temperature": temperature}}.get(port.subject, {})
    found, error = port(port.subject, q, **keywords)
    port.holds(bool(np.all(found >= 0)), "no probability is negative", found=found)
    port.equal(np.ones(q.shape[:-1]), exact(found).sum(axis=-1), error.sum(axis=-1), "each row sums to 1")


@claim(
    "X1", source=SUTTON, operators=["greedy", "epsilon_greedy"], given={"q": rows(), "shift": values((1,)), **EPSILON}, share=0.5
)
def only_the_order_of_values_matters_to_greed(port: Trial, q: Floats, shift: Floats, **epsilon: Any) -> None:
    """greedy and epsilon_greedy of 4q, and of q + c, are those of q."""
    keywords = epsilon if port.subject == "epsilon_greedy" else {}
    due, error = port(port.subject, q, **keywords)
    for other in (4.0 * q, q + shift):
        if holds_in(port.dtype, other) and np.array_equal(exact(other), exact(q) * 4) | np.array_equal(other - shift, q):
            port.equal(port(port.subject, other, **keywords)[0], due, 2 * error)
