"""Sampling in proportion to priorities: the tree against a plain list over random histories (P3), and what every draw obeys."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from properties._bounds import UNIT, Floats, gamma
from properties._claim import Call, Seeded, claim, operator
from properties._draw import ROUGH, SEEDS, values
from properties._exploration_first_numbers import FIRST_NUMBERS
from properties._oracles import exact
from properties._oracles.priorities import PlainList
from properties._trial import Trial

Draw = Callable[[st.SearchStrategy[Any]], Any]
SCHAUL = "Schaul et al. 2016, App. B.2.1"
CAPACITIES = (1, 2, 3, 5, 8, 13, 37, 64)
PLACES = st.integers(0, 2**16 - 1)
DYADIC = st.one_of(st.just(0.0), st.integers(0, 2**16 - 1).map(lambda k: k / 256))
ROUGH_PRIORITIES = st.one_of(st.just(0.0), st.floats(2.0**-30, 1.0), st.floats(1.0, 2.0**30))


# ----------------------------------------------------------------------------------------------------------- operators
@operator("sum_tree", inputs=st.sampled_from(CAPACITIES).map(lambda n: Call((n,), {})), stateful=True)
def sum_tree_bound(unit: float, capacity: int) -> float:
    """An object: its methods are tried on a history."""
    return 0.0


@st.composite
def memories(draw: Draw) -> Floats:
    """Priorities [N], zeros among them, the sum positive."""
    sizes = np.abs(draw(values((draw(st.integers(1, 9)),), ROUGH)))
    sizes[:: draw(st.sampled_from([2, 3, 10]))] *= draw(st.sampled_from([0.0, 1.0]))
    sizes[-1] += sizes.sum() == 0
    return np.asarray(sizes)


SIZES = st.sampled_from([1, 2, 7, 64])


@operator(
    "sample_proportional",
    inputs=st.builds(
        lambda p, size, g, s: Call((p,), {"size": size, "generator": g, "stratified": s}), memories(), SIZES, SEEDS, st.booleans()
    ),
    random=True,
)
def sample_proportional_bound(unit: float, priority: Floats, **_: Any) -> float:
    """Drawn: no error to bound."""
    return 0.0


# ------------------------------------------------------------------------------------------------------------ the tree
class History(RuleBasedStateMachine):
    """A tree and a list of fractions that live through the same updates.

    In half of the histories priorities are multiples of 1/256: every sum is exact then, and so must every answer be. In the others
    sums round, at most once for each of N - 1 additions, and so does the mass that is left at each of as many comparisons.
    """

    def __init__(self, trial: Trial) -> None:
        super().__init__()
        self.trial = trial

    @initialize(capacity=st.sampled_from(CAPACITIES), dyadic=st.booleans())
    def start(self, capacity: int, dyadic: bool) -> None:
        """An empty tree."""
        self.tree, self.plain, self.dyadic = self.trial.sum_tree(capacity), PlainList(capacity), dyadic
        self.trial.holds(len(self.tree) == capacity, "len() is the capacity", found=len(self.tree), due=capacity)

    def slack(self) -> float:
        """What rounding may do to the sum of all priorities."""
        total = float(sum(self.plain.entries))
        return 0.0 if self.dyadic else float(gamma(len(self.plain.entries), UNIT["float64"])) * total

    @rule(place=PLACES, data=st.data())
    def update_one(self, place: int, data: st.DataObject) -> None:
        """One priority, as a number."""
        index, priority = place % len(self.plain.entries), data.draw(DYADIC if self.dyadic else ROUGH_PRIORITIES)
        self.tree.update(index, priority)
        self.plain.update(index, priority)

    @rule(places=st.lists(PLACES, min_size=1, max_size=12), data=st.data())
    def update_many(self, places: list[int], data: st.DataObject) -> None:
        """Several at once; of repeated indices the last wins."""
        drawn = st.lists(DYADIC if self.dyadic else ROUGH_PRIORITIES, min_size=len(places), max_size=len(places))
        priorities = data.draw(drawn)
        indices = [place % len(self.plain.entries) for place in places]
        self.tree.update(np.array(indices, dtype=np.int64), np.array(priorities))
        for index, priority in zip(indices, priorities, strict=True):
            self.plain.update(index, priority)

    @rule(level=DYADIC)
    def level_all(self, level: float) -> None:
        """Every priority at once: what was huge may be small from now on, and nothing of it may remain."""
        size = len(self.plain.entries)
        self.tree.update(np.arange(size), np.full(size, level))
        for index in range(size):
            self.plain.update(index, level)

    @rule(places=st.lists(PLACES, min_size=1, max_size=4))
    def refuse(self, places: list[int]) -> None:
        """Indices outside the tree, priorities that are none, and masses outside [0, total) raise ValueError and change nothing."""
        size, total = len(self.plain.entries), float(self.tree.value_of("total"))
        entry, two = np.zeros(1, dtype=np.int64), np.ones(2)
        bad: list[tuple[Any, ...]] = [("update", size, 1.0), ("update", -1, 1.0)]
        bad += [("update", 0, wrong) for wrong in (-1.0, np.nan, np.inf)]
        bad += [("update", entry, two), ("update", 0, two), ("update", entry[None], two[None, :1]), ("update", entry, two[:1] * 1j)]
        bad += [("find", np.zeros((1, 1))), ("find", np.zeros(1) * 1j)]
        for method, *arguments in (*bad, ("find", total), ("find", -1.0), ("find", np.nan), ("find", np.array([0.0, total]))):
            answer = self.tree.refusal(method, *arguments)
            self.trial.holds(isinstance(answer, ValueError), f"{method}{tuple(arguments)} must raise ValueError; got {answer!r}")
            if method == "find":
                self.trial.holds("mass" in str(answer), f"the message must name mass; got {answer}")

    @rule(shares=st.lists(st.floats(0.0, 1.0, exclude_max=True), min_size=1, max_size=5))
    def find_shares(self, shares: list[float]) -> None:
        """Anywhere: in exact histories on multiples of 1/512, which lie on and between the prefix sums."""
        total = float(self.tree.value_of("total"))
        masses = [np.floor(share * total * 512) / 512 if self.dyadic else share * total for share in shares]
        self.search([mass for mass in masses if 0 <= mass < total])

    @rule()
    def find_boundaries(self) -> None:
        """0, every prefix sum below the total, and the last number below each of those."""
        total = float(self.tree.value_of("total"))
        sums = [float(upto) for upto in self.plain.prefixes()]
        masses = [0.0, *sums, *(float(np.nextafter(upto, -1.0)) for upto in (*sums, total))]
        self.search([mass for mass in masses if 0 <= mass < total])

    def search(self, masses: list[float]) -> None:
        """Find them at once, and the first alone."""
        if not masses:
            return
        found = np.asarray(self.tree.find(np.array(masses)))
        self.trial.holds(found.shape == (len(masses),), f"one index a mass; got shape {found.shape}")
        alone = np.asarray(self.tree.find(masses[0]))
        self.trial.holds(alone.shape == () and int(alone) == int(found[0]), "a mass alone is found as among others", found=alone)
        for index, mass in zip(found.tolist(), masses, strict=True):
            self.check(index, mass)

    def check(self, index: int, mass: float) -> None:
        """The smallest index whose prefix sum exceeds the mass; where sums round, one that may be it; never one of priority 0."""
        entries, upto = self.plain.entries, self.plain.prefixes()
        inside = isinstance(index, int) and 0 <= index < len(entries)
        self.trial.holds(inside, f"find({mass}) must be an index of the tree; got {index}")
        self.trial.holds(entries[index] > 0, f"find({mass}) is {index}, whose priority is 0")
        if self.dyadic and Fraction(mass) * 512 == int(Fraction(mass) * 512):
            due = self.plain.find(Fraction(mass))
            self.trial.holds(index == due, f"find({mass}) is the smallest index whose prefix sum exceeds it", found=index, due=due)
        slack = float(gamma(2 * len(entries), UNIT["float64"])) * float(upto[-1])
        self.trial.at_most(float(upto[index] - entries[index] - Fraction(mass)), 0.0, slack, f"the sum before {index} <= {mass}")
        self.trial.at_most(float(Fraction(mass) - upto[index]), 0.0, slack, f"{mass} <= the sum up to {index}")

    @invariant()
    def total_is_the_sum(self) -> None:
        """The total is the sum of what is stored now, whatever was stored before."""
        if not hasattr(self, "tree"):
            return
        found = self.tree.value_of("total")
        self.trial.equal(np.asarray(found), np.asarray(sum(self.plain.entries), dtype=object), self.slack(), "the total")


@claim("P3", source=SCHAUL, operators=["sum_tree"], machine=History, share=0.4, oracle="found_by_walking")
def a_sum_tree_is_a_plain_list(port: Trial) -> None:
    """Over any history of updates, a sum tree of any capacity has the total of a plain list, finds the smallest index whose prefix
    sum exceeds a mass (exactly where sums are exact, within their rounding elsewhere), and never an index of priority 0."""


@claim("P3", source=SCHAUL, operators=["sum_tree"], given={"priority": memories(), "seed": st.integers(0, 2**16)}, share=0.1)
def the_total_of_a_sum_tree_does_not_drift(port: Trial, priority: Floats, seed: int) -> None:
    """After 2000 updates with priorities from 2^-30 to 2^30, the total is that of the priorities that were put in last."""
    size, noise = len(priority), np.random.default_rng(seed)
    tree = port.sum_tree(size)
    for _ in range(20):
        tree.update(noise.integers(0, size, 100), 2.0 ** noise.uniform(-30, 30, 100))
    tree.update(np.arange(size), priority)
    slack = float(gamma(size, UNIT["float64"])) * priority.sum()
    port.equal(np.asarray(tree.value_of("total")), np.asarray(exact(priority).sum(), dtype=object), slack)


@claim("P3", source=SCHAUL, operators=["sum_tree"], given={"part": st.integers(1, 127), "power": st.integers(-20, 20)}, share=0.2)
def a_mass_that_rounds_up_to_the_sum_of_its_branch_is_found(port: Trial, part: int, power: int) -> None:
    """Of [a, 0, b, 0] with a + b = 1 - 2^-54, which is half-way to its total of 1, the largest mass below 1 less a rounds to b
    itself: it is that of index 2 all the same, where beyond b nothing is left."""
    b = 0.5 + part / 256
    priority = np.ldexp(np.array([1.0 - b - 2.0**-54, 0.0, b, 0.0]), power)
    tree = port.sum_tree(4)
    tree.update(np.arange(4), priority)
    port.equal(np.asarray(tree.value_of("total")), np.ldexp(1.0, power), 0.0, "the total")
    port.equal(np.asarray(tree.find(np.ldexp(1.0 - 2.0**-53, power))), 2.0, 0.0, "the index")


@claim("P3", source="the operator contract (float64 totals)", operators=["sum_tree"], share=0.1,
       given={"capacity": st.integers(2, 9), "power": st.integers(25, 52)})  # fmt: skip
def a_tree_sums_in_float64_whatever_comes(port: Trial, capacity: int, power: int) -> None:
    """The total of 1 and 2^-k, k >= 25, is 1 + 2^-k, and a mass of 1 is found in the second, though they come in float32."""
    tree = port.sum_tree(capacity)
    tree.update(np.array([0, capacity - 1]), np.array([1.0, 2.0**-power], dtype=np.float32))
    port.equal(np.asarray(tree.value_of("total")), 1.0 + 2.0**-power, 0.0, "the total")
    port.equal(np.asarray(tree.find(np.array([0.5, 1.0], dtype=np.float32))), np.array([0.0, capacity - 1.0]), 0.0, "the indices")


# ------------------------------------------------------------------------------------------------------------ the draws
@claim(
    "P4",
    source=f"{SCHAUL} (k equal ranges of the total, one draw from each)",
    operators=["sample_proportional"],
    given={"priority": memories(), "size": SIZES, "generator": SEEDS, "stratified": st.booleans()},
    share=0.4,
)
def draws_have_positive_priority_and_strata_their_range(
    port: Trial, priority: Floats, size: int, generator: Seeded, stratified: bool
) -> None:
    """Each draw is an index of positive priority; of stratified ones the k-th has a share of the k-th of `size` equal ranges."""
    found = np.asarray(port.sample_proportional(priority, size=size, generator=generator, stratified=stratified))
    port.holds(found.shape == (size,), f"due are {size} draws; got shape {found.shape}")
    port.holds(bool(np.all((found >= 0) & (found < len(priority)))), "every draw is an index", found=found)
    port.holds(bool(np.all(priority[found] > 0)), "no draw has priority 0", found=found)
    if stratified:
        _in_ranges(port, priority, found)


def _in_ranges(port: Trial, priority: Floats, found: Any) -> None:
    """The k-th of the indices found has a share of the k-th of as many equal ranges."""
    upto, k, size = np.cumsum(priority), np.arange(len(found)), len(found)
    # N - 1 additions of each prefix sum, the port's and these; the range's end, a quotient and a product; and the draw's.
    slack = gamma(2 * len(priority) + 8, port.unit) * upto[-1]
    port.at_most((upto - priority)[found], (k + 1) / size * upto[-1], slack, "the sum before it <= the end of its range")
    port.at_most(k / size * upto[-1], upto[found], slack, "the start of its range <= the sum up to it")
    port.holds(bool(np.all(np.diff(found) >= 0)), "ranges in their order", found=found)


@claim("P4", source=f"{SCHAUL} (k equal ranges of the total, one draw from each)", operators=["sample_proportional"], share=0.04,
       every_dtype=True, given={"priority": values((600,), ROUGH).map(lambda v: np.abs(v) % 1 + 1), "seed": SEEDS})  # fmt: skip
def strata_of_a_long_memory_are_not_shifted_by_rounding(port: Trial, priority: Floats, seed: Seeded) -> None:
    """Of 600 priorities from 1 to 2 each of 512 strata gives its own, in every type: sums in bfloat16 would be entries off."""
    _in_ranges(port, priority, np.asarray(port.sample_proportional(priority, size=512, generator=seed, stratified=True)))


@claim("P4", source=SCHAUL, operators=["sample_proportional"], given={"many": st.integers(1, 4), "generator": SEEDS}, share=0.1)
def every_positive_priority_is_drawn(port: Trial, many: int, generator: Seeded) -> None:
    """Of 4096 draws with replacement from up to four equal priorities all occur: chance misses one once in 2^1690 seeds."""
    priority = np.concatenate([np.zeros(1), np.ones(many), np.zeros(1)])
    for stratified in (False, True):
        found = np.asarray(port.sample_proportional(priority, size=4096, generator=generator, stratified=stratified))
        port.holds(set(found.tolist()) == set(range(1, many + 1)), "all of positive priority, and no other", found=np.unique(found))


@claim(
    "P4",
    source=SCHAUL,
    operators=["sample_proportional"],
    given={"lone": st.integers(1, 62), "generator": FIRST_NUMBERS, "stratified": st.booleans()},
    share=0.25,
)
def no_uniform_number_draws_a_priority_of_zero(port: Trial, lone: int, generator: Seeded, stratified: bool) -> None:
    """The only positive priority is drawn, though the first uniform number be 0 or the largest below 1."""
    priority = (np.arange(64) == lone) * 0.75
    drawn = port.sample_proportional(priority, size=3, generator=generator, stratified=stratified)
    port.equal(np.asarray(drawn), np.full(3, lone), 0.0, "the only positive priority")
