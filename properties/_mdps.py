"""Finite MDPs to try theorems on: drawn ones (small, exact, shrinkable) and the named tables."""

from __future__ import annotations

import math
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from scipy import sparse

from properties._bounds import Floats
from properties._draw import STYLES, array_of, discounts, distributions, dyadic, values
from reference.finite_mdps import FiniteMDP, bias_chain, bit_flip, from_gymnasium, random_mdp, toy_maze

GYMNASIUM_TABLES: dict[str, tuple[str, dict[str, Any]]] = {
    "FrozenLake 4x4 slippery": ("FrozenLake-v1", {"map_name": "4x4", "is_slippery": True}),
    "FrozenLake 4x4": ("FrozenLake-v1", {"map_name": "4x4", "is_slippery": False}),
    "FrozenLake 8x8 slippery": ("FrozenLake-v1", {"map_name": "8x8", "is_slippery": True}),
    "FrozenLake 8x8": ("FrozenLake-v1", {"map_name": "8x8", "is_slippery": False}),
    "Taxi": ("Taxi", {}),
    "CliffWalking": ("CliffWalking", {}),
}


class MDPCase(NamedTuple):
    """An MDP with what its operators take: values and q on the grid, a policy, a behavior with zeros, a discount below 1."""

    mdp: FiniteMDP
    value: Floats
    other_value: Floats
    q: Floats
    other_q: Floats
    policy: Floats
    behavior: Floats
    discount: float


@cache
def drawn_mdps(*, states: int = 4, actions: int = 3, styles: tuple[str, ...] = STYLES) -> st.SearchStrategy[FiniteMDP]:
    """Random MDPs with dyadic probabilities, dense or CSR; everything shrinks towards one state, one action, zero reward."""
    shapes = st.tuples(st.integers(1, states), st.integers(1, actions), st.booleans())
    return shapes.flatmap(lambda s: _drawn(s[0], s[1], s[2], styles))


@cache
def _drawn(states: int, actions: int, csr: bool, styles: tuple[str, ...]) -> st.SearchStrategy[FiniteMDP]:
    start, terminal = np.full(states, 1.0 / states), np.zeros(states, dtype=bool)

    def build(pair: tuple[Any, Floats]) -> FiniteMDP:
        transition = sparse.csr_array(pair[0].reshape(states * actions, states)) if csr else pair[0]
        return FiniteMDP("drawn", transition, pair[1], start, terminal)

    return st.tuples(distributions((states, actions, states)), values((states, actions), styles)).map(build)


@cache
def mdps() -> st.SearchStrategy[FiniteMDP]:
    """Mostly drawn MDPs; now and then a small structured one."""
    structured = st.sampled_from([bias_chain(arms=3), bit_flip(2), bit_flip(3)])
    return st.one_of(drawn_mdps(), drawn_mdps(), drawn_mdps(), structured)


def _cases(source: st.SearchStrategy[FiniteMDP]) -> st.SearchStrategy[MDPCase]:
    return source.flatmap(lambda mdp: _parts(*mdp.reward.shape).map(lambda parts: MDPCase(mdp, *parts)))


LARGE = 256
"""Beyond so many states times actions, values are made from a drawn seed: Hypothesis bounds what one example may draw."""


@cache
def _parts(states: int, actions: int) -> st.SearchStrategy[tuple[Any, ...]]:
    if states * actions > LARGE:
        return st.tuples(st.integers(0, 2**32 - 1), discounts(below_one=True)).map(lambda d: (*_made(states, actions, d[0]), d[1]))
    value, q, chances = values((states,)), values((states, actions)), distributions((states, actions))
    return st.tuples(value, value, q, q, chances, chances, discounts(below_one=True))


def on_mdps(source: st.SearchStrategy[FiniteMDP]) -> dict[str, st.SearchStrategy[Any]]:
    """For `given=`: one argument `case`, an MDPCase."""
    return {"case": _cases(source)}


@cache
def tables() -> tuple[FiniteMDP, ...]:
    """The named tables on which every claim about MDPs also runs; Gymnasium's where Gymnasium is installed."""
    own = (toy_maze(), bias_chain(), bit_flip(5), random_mdp(np.random.default_rng(7), 200, 4, 5, sparse=True))
    return own + tuple(_gymnasium_tables())


def _gymnasium_tables() -> list[FiniteMDP]:
    try:
        import gymnasium
    except ImportError:
        return []
    made = []
    for title, (environment, options) in GYMNASIUM_TABLES.items():
        name = environment if "-v" in environment else newest(environment, list(gymnasium.registry))
        table = from_gymnasium(gymnasium.make(name, **options))
        made.append(table._replace(name=title))
    return made


def newest(environment: str, registered: list[str]) -> str:
    """The registered id of the highest version, e.g. Taxi-v4."""
    versions = [name for name in registered if name.rpartition("-v")[0] == environment and name.rpartition("-v")[2].isdigit()]
    return max(versions, key=lambda name: int(name.rpartition("-v")[2]))


def missing_tables() -> tuple[str, ...]:
    """The named tables that cannot be built here."""
    built = {table.name for table in tables()}
    return tuple(title for title in GYMNASIUM_TABLES if title not in built)


def _made(states: int, actions: int, seed: int) -> tuple[Floats, ...]:
    """Two values, two q, a policy and a behavior, as drawn ones but from a seed."""
    generator = np.random.default_rng(seed)
    shapes = [(states,), (states,), (states, actions), (states, actions)]
    reals = [array_of(generator.bytes(2 * math.prod(shape)), shape) for shape in shapes]
    codes = generator.integers(0, 256, (2, states, actions), dtype=np.uint8)
    return (*reals, dyadic(codes[0], 8, 0), dyadic(codes[1], 2, 0))
