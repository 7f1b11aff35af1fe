"""P4: prioritized draws come as often as their priorities say, from the sampler and from the tree alike."""

from __future__ import annotations

from fractions import Fraction
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from properties._bounds import UNIT, Floats
from properties._ledger import Case, coarse
from properties._sampled import Observations, Stream, cells, indices, sampled
from properties._trial import Trial

PER = "Schaul et al. 2016"

FEW = (0.75, 0.0, 1.0, 0.25, 1.5)
"""No power of two of them, one that must never be drawn, fractions, and a total so small that one step of mass counts."""
MANY = tuple(float(1 + i % 4) for i in range(18))
STEP = Fraction(1, 4)
"""Masses that fall on every multiple of this also fall on each boundary between two items."""


def _shares(priority: Floats) -> Floats:
    return np.asarray(priority / priority.sum())


def _all_but_the_newest(priority: Floats) -> Floats:
    return _shares(np.append(priority[:-1], 0.0))


def _one_too_far(priority: Floats) -> Floats:
    """The index after the one that the prefix sums point at; the last stays."""
    p = _shares(priority)
    return np.concatenate([[0.0], p[:-2], [p[-2] + p[-1]]])


def _left_on_equality(priority: Floats, step: Fraction = STEP) -> Floats:
    """The smallest index whose prefix sum is AT LEAST the mass, for masses on the multiples of `step` below the total."""
    ends = list(accumulate(Fraction(float(p)) for p in priority))
    masses = [step * k for k in range(int(ends[-1] / step))]
    found = [next(i for i, end in enumerate(ends) if end >= mass) for mass in masses]
    return np.bincount(found, minlength=len(priority)) / len(masses)


def _mistakes(priority: Floats) -> dict[str, Floats]:
    return {
        "the-newest-item-is-never-drawn": _all_but_the_newest(priority),
        "priorities-ignored": np.full(len(priority), 1 / len(priority)),
        "exponent-applied-twice": _shares(priority**2),
        "index-one-too-far": _one_too_far(priority),
    }


def _few(name: str, **more: Floats) -> Case:
    """Each item by itself."""
    priority = np.array(FEW)
    wrong = _mistakes(priority) | {"per-priorities-stored-as-int": _shares(np.trunc(priority))}
    wrong |= {mistake.replace("_", "-"): value for mistake, value in more.items()}
    return Case(name, tuple(f"item {i} drawn" for i in range(len(FEW))), _shares(priority), wrong, FEW)


GROUPS = np.array([4, *(i % 4 for i in range(1, len(MANY) - 1)), 5])
"""The first and the last of MANY by themselves, the others by their priority."""


def _grouped(p: Floats) -> Floats:
    return np.asarray(np.bincount(GROUPS, p), dtype=np.float64)


def _many(name: str) -> Case:
    """The newest of 18 items is a group of its own: it is the one that goes missing."""
    wrong = {name: _grouped(p) for name, p in _mistakes(np.array(MANY)).items()}
    names = (*(f"an item of priority {1 + g} drawn" for g in range(4)), "the oldest item drawn", "the newest item drawn")
    return Case(name, names, _grouped(_shares(np.array(MANY))), wrong, MANY)


def _observed(case: Case, drawn: Observations) -> Observations:
    """Cells of the items, or of their groups."""
    return cells(drawn if len(case.coordinates) == len(case.inputs) else GROUPS[drawn], len(case.coordinates))


@sampled(
    "P4", source=f"{PER}, eq. 1", operators=["sample_proportional"], share=0.04, cases=[_few("5 items"), _many("18 items")]
)  # fmt: skip
def proportional_draws_follow_the_priorities(port: Trial, case: Case, size: int, stream: Stream) -> Observations:
    """P(i) = p_i / sum of p, also for the newest item and for one of priority 0."""
    priority = np.array(case.inputs)
    found = port.sample_proportional(priority, size=size, generator=stream(0))
    return _observed(case, indices(port, found, (size,), len(priority)))


@sampled(
    "P4", source=f"{PER}, App. B.2.1", operators=["sum_tree"], share=0.04, every_dtype=False,
    cases=[_few("5 items", sumtree_left_on_equality=_left_on_equality(np.array(FEW))), _many("18 items")],
)  # fmt: skip
def the_tree_finds_items_as_often_as_their_priorities_say(port: Trial, case: Case, size: int, stream: Stream) -> Observations:
    """find(mass), mass uniform on the multiples of 1/4 below the total, is i with probability p_i / sum of p."""
    priority = np.array(case.inputs)
    tree = port.sum_tree(len(priority))
    for index, value in enumerate(priority):
        tree.update(index, float(value))
    steps = round(sum(case.inputs) / STEP)
    mass = stream.own(0).integers(steps, size=size) * float(STEP)
    return _observed(case, indices(port, tree.find(mass), (size,), len(priority)))


# ------------------------------------------------------------------------------------------------------------ independence
def _dependence() -> Case:
    """Neighbours in one call, and the same place in two calls; without replacement neighbours would never agree."""
    p = _shares(np.array(FEW))
    due = np.full(2, float(p @ p))
    wrong = {
        "one-draw-for-all": np.array([1.0, due[1]]),
        "drawn-without-replacement": np.array([0.0, due[1]]),
        "the-same-draws-in-every-call": np.array([due[0], 1.0]),
    }
    return Case("pairs", ("two neighbours agree", "two calls agree"), due, wrong, FEW)


@sampled("P4", source=f"{PER}, eq. 1", operators=["sample_proportional"], share=0.04, cases=[_dependence()])
def proportional_draws_are_independent(port: Trial, case: Case, size: int, stream: Stream) -> Observations:
    """Two draws of one call, and draws of calls with other seeds, agree with probability sum of P(i)^2."""
    parts = []
    for place in range(size):
        calls = [port.sample_proportional(np.array(FEW), size=2, generator=stream(2 * place + k)) for k in range(2)]
        one, other = (indices(port, call, (2,), len(FEW)) for call in calls)
        parts.append((one[0] == one[1], one[0] == other[0]))
    return np.array(parts)


# -------------------------------------------------------------------------------------------------------- stratified draws
PATTERN, SHARE = (5.0, 6.0, 5.0), 8.0
"""Three items to two shares of the mass: the first holds 5 of item 0 and 3 of item 1, the second 3 of item 1 and 5 of item 2."""


class Strata(NamedTuple):
    """How many shares one call has: four for each observation."""

    shares: int = 64

    @property
    def priority(self) -> Floats:
        return np.tile(PATTERN, self.shares // 2)


STRATA = Strata()


def _stratified_case() -> Case:
    """Of four shares: each draw is in its own share; the first and second take their longer item; first and third alike."""
    long = PATTERN[0] / SHARE
    due = np.array([1.0, long, long, long**2 + (1 - long) ** 2])
    total = STRATA.shares * SHARE
    item, double = PATTERN[0] / total, (PATTERN[0] + PATTERN[1]) / total
    wrong = {
        "per-stratified-sampling-missing": np.array([double**4, item, item, (1 - item) ** 2 + item**2]),
        "one-offset-for-all-shares": np.array([1.0, long, long, 1.0]),
        "the-middle-of-each-share": np.array([1.0, 1.0, 1.0, 1.0]),
    }
    names = (
        "four draws in their own shares",
        "longer item of an even share",
        "longer item of an odd share",
        "two even shares alike",
    )
    return Case("64 shares", names, due, wrong, STRATA, _strata_slack)


def _strata_slack(dtype: str) -> float:
    """Prefix sums of n probabilities are off by n u at most, which is n u `shares` of a share; one more n u for the draw."""
    return coarse(dtype) + 2 * len(STRATA.priority) * STRATA.shares * UNIT["float64" if dtype == "float64" else "float32"]


@sampled("P4", source=f"{PER}, App. B.2.1", operators=["sample_proportional"], share=0.04, cases=[_stratified_case()])
def stratified_draws_take_one_of_each_share(port: Trial, case: Case, size: int, stream: Stream) -> Observations:
    """The k-th draw lies in the k-th equal share of the mass, there proportional to the priorities, whatever the others are."""
    parts = []
    for place in range(-(-size // (STRATA.shares // 4))):
        found = port.sample_proportional(STRATA.priority, size=STRATA.shares, stratified=True, generator=stream(place))
        drawn = indices(port, found, (STRATA.shares,), len(STRATA.priority)).reshape(-1, 4)
        first = 3 * (np.arange(STRATA.shares).reshape(-1, 4) // 2) + np.array([0, 1, 0, 1])
        own = np.all((drawn == first) | (drawn == first + 1), axis=1)
        longer = drawn == first + np.array([0, 1, 0, 1])
        parts.append(np.stack([own, longer[:, 0], longer[:, 1], longer[:, 0] == longer[:, 2]], axis=-1))
    return np.concatenate(parts)
