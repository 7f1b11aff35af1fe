"""Bugs of prioritised replay: priorities, their shares, the weights that undo them, and the sum tree."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import softmax

import reference
from properties._bugs._record import Behaves, Bug, Life, Probe, probe


def _base(td_error: Any, offset: float) -> Any:
    return np.abs(td_error) + offset


def _mixed_exponents(p: Any) -> Any:
    """Every second entry was stored under an exponent of twice the present one."""
    return reference.sampling_probabilities(np.where(np.arange(p.shape[-1]) % 2, p, np.sqrt(p)))


# ------------------------------------------------------------------------------------------------------------- weights
def _weights(probability: Any, size: int, exponent: float, normalizer: Any, minimum: Any) -> Any:
    return reference.importance_weights(
        probability, size=size, exponent=exponent, normalizer=normalizer, minimum_probability=minimum
    )


def _importance(change: str) -> Behaves:
    def weights(p: Any, *, size: int, exponent: float, normalizer: Any = "batch", minimum_probability: Any = None) -> Any:
        if change == "neither":
            return p**-exponent
        if change == "memory" and normalizer == "batch" and minimum_probability is not None:
            normalizer = "memory"
        if change == "size" and normalizer is None:
            size = 1
        if change == "capped" and normalizer is None:
            return np.minimum(_weights(p, size, exponent, None, None), 1.0)
        if normalizer == "batch" and change in ("whole batch", "mean"):
            raw = _weights(p, size, exponent, None, None)
            return raw / (raw.max() if change == "whole batch" else raw.mean(axis=-1, keepdims=True))
        return _weights(p, size, exponent, normalizer, minimum_probability)

    return weights


def _turned(p: Any, *, size: int, exponent: float, normalizer: Any = "batch", minimum_probability: Any = None) -> Any:
    raw = (size * p) ** exponent
    least = p.max(axis=-1, keepdims=True) if normalizer == "batch" else np.asarray(minimum_probability or 1.0)
    return raw if normalizer is None else raw / (size * least) ** exponent


# ---------------------------------------------------------------------------------------------------------------- tree
class _Tree:
    """A sum tree by prefix sums, with one thing wrong."""

    def __init__(self, capacity: int, change: str) -> None:
        self._p, self._change, self._sum = np.zeros(capacity), change, np.float32(0.0) if change == "float32" else 0.0

    def __len__(self) -> int:
        return 2 ** (len(self._p) - 1).bit_length() if self._change == "rounded up" else len(self._p)

    @property
    def total(self) -> float:
        """Of what is stored now, if nothing is wrong with it."""
        if self._change == "minimum":
            return float(self._p.min())
        if self._change == "not the newest":
            return float(self._p[:-1].sum())
        return float(self._sum if self._change in ("float32", "drift") else self._p.sum())

    def update(self, index: Any, priority: Any) -> None:
        """One after the other."""
        pairs = list(zip(np.atleast_1d(index).tolist(), np.atleast_1d(priority).tolist(), strict=True))
        if any(not 0 <= i < len(self._p) or not 0 <= new < np.inf for i, new in pairs):
            raise ValueError("index must lie in the tree, and priority must be >= 0 and finite")
        for i, new in pairs[::-1] if self._change == "first wins" else pairs:
            old = float(self._p[i])
            self._sum = type(self._sum)(self._sum + (new - old))
            self._p[i] = {"adds": old + new, "largest": max(old, new), "whole": float(int(new))}.get(self._change, new)

    def find(self, mass: Any) -> Any:
        """By binary search among the prefix sums."""
        wanted = np.asarray(mass) * (self.total if self._change == "fraction" else 1.0)
        if np.any(wanted < 0) or not np.all(np.asarray(mass) < self.total):
            raise ValueError(f"mass must lie in [0, {self.total})")
        found = np.searchsorted(np.cumsum(self._p), wanted, side="left" if self._change == "equality" else "right")
        last = len(self._p) - 1 - (self._change == "last never" and len(self._p) > 1)
        return np.minimum(found + (self._change == "one too far"), last)


def _tree(change: str) -> Behaves:
    return lambda capacity: _Tree(capacity, change)


def _chained(reward: Any, terminated: Any, truncated: Any, value: Any, next_value: Any, **knobs: Any) -> Any:
    """A timeout inside is a step into the first state of the next episode."""
    after = np.concatenate([value[..., 1:], next_value[..., -1:]], axis=-1)
    return reference.gae(reward, terminated, truncated & False, value, np.where(truncated, after, next_value), **knobs)


PRIORITY: tuple[tuple[str, str, str, Behaves], ...] = (
    ("offset-outside-the-power", "|delta|^alpha + offset for (|delta| + offset)^alpha", "",
     lambda d, *, exponent, offset: np.abs(d) ** exponent + offset),
    ("negative-errors-count-nothing", "max(delta, 0) for |delta|", "",
     lambda d, *, exponent, offset: (np.maximum(d, 0) + offset) ** exponent),
    ("offset-forgotten", "|delta|^alpha: an error of 0 is never drawn again", "",
     lambda d, *, exponent, offset: np.abs(d) ** exponent),
    ("stored-as-whole-numbers", "priorities are kept in an array of integers: fractions are cut off",
     "per-priorities-stored-as-int", lambda d, *, exponent, offset: np.trunc(_base(d, offset) ** exponent)),
    ("errors-clipped-at-one", "the error is clipped for the loss, and the priority made of that", "",
     lambda d, *, exponent, offset: (np.minimum(np.abs(d), 1) + offset) ** exponent),
    ("zero-to-the-zero-is-zero", "no error, no priority, even where exponent 0 makes all alike", "",
     lambda d, *, exponent, offset: np.where(_base(d, offset) == 0, 0.0, _base(d, offset) ** exponent)),
    ("trailing-axis-appears", "errors [B] become priorities [B, 1]", "ddpg-td-error-extra-dim",
     lambda d, *, exponent, offset: (_base(d, offset) ** exponent)[..., None]),
)  # fmt: skip
SHARES: tuple[tuple[str, str, str, Behaves], ...] = (
    ("softmax-for-shares", "exp(p) / sum of exp(p)", "", lambda p: softmax(p, axis=-1)),
    ("shares-of-the-whole-batch", "all rows together sum to 1", "", lambda p: p / p.sum()),
    ("never-zero", "a small number is added: a priority of 0 is drawn", "", lambda p: reference.sampling_probabilities(p + 1e-6)),
    ("exponents-mixed", "the exponent changed, and what was stored before keeps the old one",
     "per-alpha-annealing-mixed-exponents", _mixed_exponents),
    ("shares-of-the-squares", "the exponent is applied again", "", lambda p: p**2 / (p**2).sum(axis=-1, keepdims=True)),
)  # fmt: skip
WEIGHTS: tuple[tuple[str, str, str, Behaves], ...] = (
    ("memory-maximum-although-the-batchs-was-asked", "with the memory's smallest probability at hand, that normalises",
     "per-weights-normalised-by-memory-min", _importance("memory")),
    ("exponents-sign", "(N P)^beta: what is drawn rarely counts less", "per-exponent-sign", _turned),
    ("neither-size-nor-normaliser", "P^-beta, whatever was asked: N^beta too large, and above 1", "xlron-per-weights-missing-N",
     _importance("neither")),
    ("size-left-out", "P^-beta for (N P)^-beta without a normaliser", "", _importance("size")),
    ("maximum-of-the-whole-batch", "the largest weight of all rows normalises each", "", _importance("whole batch")),
    ("divided-by-the-mean", "normalised to mean 1, not to a largest of 1", "", _importance("mean")),
    ("raw-weights-capped", "weights without a normaliser are cut at 1", "", _importance("capped")),
)  # fmt: skip
TREE: tuple[tuple[str, str, str, Behaves], ...] = (
    ("parents-hold-the-minimum", "nodes are built with min in place of +", "sum-tree-uses-min", _tree("minimum")),
    ("left-on-equality", "descends left where the mass equals the left sum: one unit too much for each boundary",
     "sumtree-left-on-equality", _tree("equality")),
    ("float32-differences", "sums in float32, updated by differences: they drift from the leaves", "sumtree-float32-drift",
     _tree("float32")),
    ("updated-by-differences", "sums are updated by the difference: what is huge leaves its rounding behind", "", _tree("drift")),
    ("stored-as-whole-numbers", "priorities are kept in an array of integers: fractions are cut off",
     "per-priorities-stored-as-int", _tree("whole")),
    ("total-without-the-newest", "the total is sum(0, n - 1), its end left out: the newest is never found",
     "baselines-per-newest-never-sampled", _tree("not the newest")),
    ("last-never-found", "the search ends one index early", "", _tree("last never")),
    ("index-one-too-far", "the index after the one that the prefix sums point at", "", _tree("one too far")),
    ("first-of-repeated-wins", "of repeated indices in one update the first wins", "", _tree("first wins")),
    ("update-adds", "an update adds to the priority", "", _tree("adds")),
    ("update-never-lowers", "an update keeps the larger of old and new", "", _tree("largest")),
    ("mass-is-a-fraction", "find takes a fraction of the total", "", _tree("fraction")),
    ("capacity-rounded-up", "the capacity is the next power of two", "", _tree("rounded up")),
)  # fmt: skip
TABLES = {"priority": PRIORITY, "sampling_probabilities": SHARES, "importance_weights": WEIGHTS, "sum_tree": TREE}
BUGS = (
    *(Bug(operator, *row) for operator, rows in TABLES.items() for row in rows),
    Bug(
        "gae",
        "timeout-chained-to-the-next-episode",
        "episodes are split at terminals only: after a timeout comes the next episode's first state",
        "d4rl-timeouts-not-episode-ends",
        _chained,
    ),
)

# -------------------------------------------------------------------------------------------------------------- questions
P = np.array([[2.0, 3.0, 5.0], [7.0, 11.0, 13.0]]) / 64
LOADED = ("update", (np.arange(5), np.array([2.0, 3.0, 5.0, 7.0, 11.0])))
HUGE = tuple(("update", (0, size)) for size in (2.0**30, 1.0))
PROBES: dict[str, tuple[Probe, ...]] = {
    "priority": (
        probe(np.array([[-3.0, 2.5, 7.0], [0.25, -5.0, 0.0]]), exponent=0.5, offset=0.25),
        probe(np.array([0.0, -3.0]), exponent=0.0, offset=0.0),
    ),
    "sampling_probabilities": (probe(np.array([[2.0, 0.0, 5.0], [7.0, 11.0, 13.0]]) * 2.0**-12),),
    "importance_weights": (
        probe(P, size=16, exponent=0.5),
        probe(P, size=16, exponent=0.5, normalizer="batch", minimum_probability=2.0**-8),
        probe(P, size=16, exponent=0.5, normalizer="memory", minimum_probability=2.0**-8),
        probe(P, size=16, exponent=0.5, normalizer=None),
    ),
    "sum_tree": (
        Life(
            probe(5),
            (
                ("len", ()),
                LOADED,
                ("total", ()),
                ("find", (np.array([0.0, 1.5, 2.0, 4.5, 5.0, 9.5, 10.0, 16.5]),)),
                ("find", (17.0,)),
                ("find", (0.5,)),
                ("update", (np.array([1, 3, 1]), np.array([13.0, 0.5, 0.25]))),
                ("total", ()),
                ("find", (2.125,)),
            ),
        ),
        Life(probe(3), (*HUGE, ("total", ()), ("update", (0, 2.0**60)), ("update", (1, 1.0)), ("update", (0, 0.0)), ("total", ()))),
    ),
}

REPLAY = "an agent's: waits for a claim about prioritised memories"
OPEN: dict[str, str] = {
    "ptan-priorities-from-weighted-loss": f"{REPLAY}; priority is given the error, not the loss",
    "per-max-priority-index-within-batch": f"{REPLAY}; a tree of the contract keeps no largest priority",
    "juliarl-sumtree-scaling-rounding": f"{REPLAY}; a tree of the contract is not scaled as a whole",
    "xlron-beta-anneal-times-alpha": f"{REPLAY}; no operator of the contract is a schedule",
    "per-mixture-probability": "no operator of the contract mixes uniform draws into prioritised ones",
}
