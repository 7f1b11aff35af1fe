"""What a claim is, what an operator's record is, and the two lists that hold them all.

A claim is a plain function. Its docstring is the sentence that must hold, `source` says who proved it, `given` says from what
its inputs are drawn, and `operators` says whom it accuses when it fails: the claim is tried once for each of them, with that one
operator taken from the port and every other one from the reference, so that a wrong operator is named and no other is.
"""

from __future__ import annotations

import inspect
import unittest
from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from hypothesis import strategies as st

Given = Mapping[str, st.SearchStrategy[Any]]
GivenOnMDPs = Callable[[st.SearchStrategy[Any]], Given]


class Call(NamedTuple):
    """The arguments of one call of an operator."""

    arguments: tuple[Any, ...]
    keywords: dict[str, Any]


class Seeded(NamedTuple):
    """A drawn generator: it travels as a fresh `numpy.random.default_rng(seed)` at each call."""

    seed: int


WIDTHS = ("float64", "float32", "bfloat16")
"""The types in which an operator can be tried, widest first."""


@dataclass(frozen=True)
class Operator:
    """What agreement needs to know: how valid inputs are drawn, the derived error bound, and which axes are batch."""

    name: str
    concept: str
    inputs: st.SearchStrategy[Call]
    bound: Callable[..., Any]
    core: int
    shared: tuple[str, ...] = ()
    widths: tuple[str, ...] = WIDTHS
    random: bool = False
    stateful: bool = False

    @property
    def compared(self) -> bool:
        """Whether a call has one right answer: a random operator has a distribution of them, an object has a history."""
        return not (self.random or self.stateful)

    @property
    def batched(self) -> bool:
        """Whether leading axes are batch (tables of an MDP have none)."""
        return self.compared and self.core >= 0


@dataclass(frozen=True)
class Claim:
    """One sentence that must hold, with its source and the trial that can refute it."""

    name: str
    label: str
    concept: str
    sentence: str
    source: str
    operators: tuple[str, ...]
    body: Callable[..., None]
    given: Given | GivenOnMDPs
    share: float
    oracle: str
    every_dtype: bool
    machine: Callable[..., Any] | None = None

    @property
    def kind(self) -> str:
        """`agreement` (the port against the reference and the contract) or `theorem`."""
        return "agreement" if self.concept == "agreement" else "theorem"


CONCEPTS = (
    "bellman", "targets", "returns", "expectiles", "aggregates", "advantage_weights", "exploration", "overestimation", "dueling",
    "target_networks", "priorities", "categorical", "gaussians", "policy_gradient", "control_variates", "trust_region",
    "action_search", "finite_mdps", "agents",
)  # fmt: skip
"""The files of this room, in the order of the contract; a long concept goes on in `_<concept>_<part>.py`."""

OPERATORS: dict[str, Operator] = {}
CLAIMS: dict[str, Claim] = {}
AGENTS: dict[str, Operator] = {}
AGENT_CLAIMS: dict[str, Claim] = {}
"""What learns, and what must hold of it: kept apart, for the contract is about operators, and agents are tried on request."""
RECORDS = ChainMap(AGENTS, OPERATORS)
SENTENCES = ChainMap(AGENT_CLAIMS, CLAIMS)
"""Both kinds; those of the contract come first."""

TABULAR = -1


def operator(
    name: str,
    *,
    inputs: st.SearchStrategy[Call],
    core: int = 1,
    shared: Sequence[str] = (),
    widths: Sequence[str] = WIDTHS,
    random: bool = False,
    stateful: bool = False,
) -> Callable[[Callable[..., Any]], Any]:
    """Register an operator; the decorated function is its error bound: (unit, *arguments, **keywords) -> array like the result.

    core      how many axes of the first argument belong to the operator itself (0 for an element-wise one); the axes before
              those are batch. TABULAR: no batch axes.
    shared    the parameters that have no batch axes, a layer's weights say; `core` is about the first of the others.
    widths    the types in which it is tried; one that takes functions of the caller's computes in no half type.
    random    its answer is drawn: the claims about it are about every draw, or about the distribution.
    stateful  its answer is an object with methods.
    The bound is on the absolute error of the first result, or a tuple of bounds on each, computed with unit roundoff `unit`;
    underflow and the final rounding to a narrower type are added by `_bounds.stored`.
    """

    def register(bound: Callable[..., Any]) -> Callable[..., Any]:
        if name in OPERATORS:
            raise ValueError(f"operator names must be unique; got {name} twice")
        concept = concept_of(bound.__module__)
        OPERATORS[name] = Operator(name, concept, inputs, bound, core, tuple(shared), tuple(widths), random, stateful)
        return bound

    return register


def agent(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register what makes learners (or their memory); the decorated function's docstring is the protocol. Float64 only."""

    def register(protocol: Callable[..., Any]) -> Callable[..., Any]:
        for name in names:
            AGENTS[name] = Operator(name, "agents", st.nothing(), protocol, TABULAR, widths=WIDTHS[:1], stateful=True)
        return protocol

    return register


def claim(
    label: str,
    *,
    source: str,
    operators: Sequence[str],
    given: Given | GivenOnMDPs | None = None,
    share: float = 1.0,
    oracle: str = "",
    every_dtype: bool = False,
    machine: Callable[..., Any] | None = None,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a claim about `operators`; `label` is its number in the list of claims, e.g. "R1".

    given        strategies for the body's arguments, or a function from a strategy of MDPs to those: the claim then runs on
                 drawn MDPs and on every named table. Nothing given: the body runs once.
    share        the fraction of the profile's examples that this claim gets (an expensive body takes less).
    oracle       a key of `_oracles.ORACLES`, where the claim rests on one.
    every_dtype  run in every type of the port, not only in its widest.
    machine      a function of the Trial that makes one of Hypothesis' rule-based state machines: its runs are the examples, and
                 the body is not called.
    """

    def register(body: Callable[..., None]) -> Callable[..., None]:
        if body.__name__ in SENTENCES:
            raise ValueError(f"claim names must be unique; got {body.__name__} twice")
        if not inspect.getdoc(body):
            raise ValueError(f"a claim needs its sentence as docstring: {body.__name__} has none")
        concept = concept_of(body.__module__)
        claims = AGENT_CLAIMS if concept == "agents" else CLAIMS
        claims[body.__name__] = Claim(
            body.__name__, label, concept, inspect.getdoc(body) or "", source,
            tuple(operators), body, given or {}, share, oracle, every_dtype, machine,
        )  # fmt: skip
        return body

    return register


def concept_of(module: str) -> str:
    """The concept that a module of this room belongs to: `properties._bellman_bounds` is about bellman."""
    stem = module.rpartition(".")[2].lstrip("_")
    return next((concept for concept in CONCEPTS if stem.startswith(concept)), stem)


class Absent(unittest.SkipTest):
    """The port does not offer the operator (or the ability) that a claim is about."""


class Undecided(unittest.SkipTest):
    """A claim ran out of what it may spend before it could tell."""


class Declined(Exception):
    """The port declines one call (NotImplementedError): that example does not count."""


class NotAsked(NotImplementedError):
    """A call that this kind of port cannot be asked, good or bad: no message carries its arguments."""


class Refuted(AssertionError):
    """A claim does not hold; carries what was found, what was due, and the bound between them."""

    def __init__(self, text: str, *, found: Any = None, due: Any = None, bound: Any = None) -> None:
        super().__init__(text)
        self.text, self.found, self.due, self.bound = text, found, due, bound


class Died(Refuted):
    """The program behind a port crashed, hung or wrote what is no answer; the text begins with one of DEADLY."""


DEADLY = ("crashes: ", "hangs: ", "writes to stdout ")
"""How the detail begins of a verdict on a call that did not come back."""
