"""Bugs of draws in proportion to priorities: the newest missing, the wrong probabilities, strata forgotten."""

from __future__ import annotations

from typing import Any

import numpy as np

from properties._bugs._record import Behaves, Bug, Draws, Probe, probe
from properties._exploration_first_numbers import first_number

FROZEN = 7
"""The seed of what is drawn once and for all."""


def _found(p: Any, uniform: Any, side: Any = "right") -> Any:
    """The indices at these shares of the mass."""
    ends = np.cumsum(p)
    return np.minimum(np.searchsorted(ends, uniform * ends[-1], side=side), len(p) - 1)


def _proportional(change: str) -> Behaves:
    def sample(priority: Any, *, size: int, generator: Any, stratified: bool = False) -> Any:
        p = np.ones(len(priority)) if change == "uniform" else np.asarray(priority)
        generator = np.random.default_rng(FROZEN) if change == "frozen" else generator
        if change == "without replacement" and not stratified and size <= np.count_nonzero(p):
            return generator.choice(len(p), size=size, replace=False, p=p / p.sum())
        strata = np.arange(size) if stratified and change != "iid" else np.zeros(size)
        u = np.full(size, generator.random()) if change in ("one offset", "one draw") else generator.random(size)
        if change == "one offset" and not stratified:
            u = generator.random(size)
        if change == "middle" and stratified:
            u = np.full(size, 0.5)
        share = (strata + u) / (size if stratified and change != "iid" else 1)
        if change == "not the newest":
            share = share * (p[:-1].sum() / p.sum())
        found = _found(p, share, "left" if change == "equality" else "right")
        return np.minimum(found + 1, len(p) - 1) if change == "one too far" else found

    return sample


ROWS: tuple[tuple[str, str, str, Behaves], ...] = (
    ("newest-never-drawn", "the mass is drawn below sum(0, n - 1), its end left out: the newest is never drawn",
     "baselines-per-newest-never-sampled", _proportional("not the newest")),
    ("priorities-ignored", "every index is as likely as any other", "", _proportional("uniform")),
    ("index-one-too-far", "the index after the one that the prefix sums point at", "", _proportional("one too far")),
    ("left-on-equality", "a mass on a boundary belongs to the left: a first priority of 0 is drawn at 0",
     "sumtree-left-on-equality", _proportional("equality")),
    ("drawn-without-replacement", "no index comes twice in one call", "", _proportional("without replacement")),
    ("one-draw-for-all", "one uniform number for the whole call", "", _proportional("one draw")),
    ("draws-not-redrawn", "the same indices in every call: a seed of its own in place of the generator", "",
     _proportional("frozen")),
    ("strata-forgotten", "independent draws from the whole mass where one from each share is asked for",
     "per-stratified-sampling-missing", _proportional("iid")),
    ("one-offset-for-all-shares", "every share is entered equally far", "", _proportional("one offset")),
    ("middle-of-each-share", "every share is entered in its middle", "", _proportional("middle")),
)  # fmt: skip
BUGS = tuple(Bug("sample_proportional", *row) for row in ROWS)

FEW, PATTERN = np.array([0.75, 0.0, 1.0, 0.25, 1.5]), np.tile([5.0, 6.0, 5.0], 8)
"""One that is never drawn; and three items to two shares of the mass, 16 shares."""


def _frequencies(found: Any) -> Any:
    """How often each index comes, and how often two neighbouring draws are the same."""
    index = np.asarray(found)
    return np.append((index[:, None] == np.arange(len(FEW))).mean(axis=0), (index[::2] == index[1::2]).mean())


def _shares(found: Any) -> Any:
    """How many draws take the longer item of their share, how many the shorter, and how often two even or two odd shares agree."""
    index, share = np.asarray(found), np.arange(16)
    longer = index == 3 * (share // 2) + 2 * (share % 2)
    shorter = index == 3 * (share // 2) + 1
    alike = longer.reshape(-1, 4)[:, :2] == longer.reshape(-1, 4)[:, 2:]
    return np.array([longer.mean(), shorter.mean(), alike.mean()])


PROBES: dict[str, tuple[Probe, ...]] = {
    "sample_proportional": (
        Draws(probe(FEW, size=64), _frequencies, 400),
        Draws(probe(FEW, size=2), _frequencies, 2000),
        Draws(probe(PATTERN, size=16, stratified=True), _shares, 1000),
        probe((np.arange(8) == 5) * 3.0, size=3, generator=first_number(0, 3)),
    ),
}
OPEN: dict[str, str] = {}
