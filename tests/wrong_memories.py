"""Wrong operators of the concepts priorities and categorical: rows of tests/wrong_operators.py."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import log_softmax, softmax

import reference


def _weights(probability: Any, size: int, exponent: float, normalizer: Any, minimum: Any) -> Any:
    return reference.importance_weights(
        probability, size=size, exponent=exponent, normalizer=normalizer, minimum_probability=minimum
    )


def _importance(change: str) -> Any:
    def weights(p: Any, *, size: int, exponent: float, normalizer: Any = "batch", minimum_probability: Any = None) -> Any:
        if change == "memory" and normalizer == "batch" and minimum_probability is not None:
            normalizer = "memory"
        if change == "size" and normalizer is None:
            size = 1
        if change == "capped" and normalizer is None:
            return np.minimum(_weights(p, size, exponent, None, None), 1.0)
        if normalizer == "batch" and change in ("whole batch", "mean"):
            raw = _weights(p, size, exponent, None, None)
            return raw / (raw.max() if change == "whole batch" else raw.mean(axis=-1, keepdims=True))
        if change == "sign":
            raw = (size * p) ** exponent
            least = p.max(axis=-1, keepdims=True) if normalizer == "batch" else np.asarray(minimum_probability or 1.0)
            return raw if normalizer is None else raw / (size * least) ** exponent
        return _weights(p, size, exponent, normalizer, minimum_probability)

    return weights


def _mixed_exponents(p: Any) -> Any:
    old = np.where(np.arange(p.shape[-1]) % 2, p, np.sqrt(p))
    return reference.sampling_probabilities(old)


class _Tree:
    """A sum tree by a running sum, with one thing wrong."""

    def __init__(self, capacity: int, change: str) -> None:
        self._p, self._change, self._sum = np.zeros(capacity), change, np.float32(0.0) if change == "float32" else 0.0

    def __len__(self) -> int:
        return 2 ** (len(self._p) - 1).bit_length() if self._change == "rounded up" else len(self._p)

    @property
    def total(self) -> float:
        if self._change == "minimum":
            return float(self._p.min())
        return float(self._sum if self._change in ("float32", "drift") else self._p.sum())

    def update(self, index: Any, priority: Any) -> None:
        pairs = list(zip(np.atleast_1d(index).tolist(), np.atleast_1d(priority).tolist(), strict=True))
        if any(not 0 <= i < len(self._p) or not 0 <= new < np.inf for i, new in pairs):
            raise ValueError("index must lie in the tree, and priority must be >= 0 and finite")
        for i, new in pairs[::-1] if self._change == "first wins" else pairs:
            old = float(self._p[i])
            self._sum = type(self._sum)(self._sum + (new - old))
            self._p[i] = {"adds": old + new, "largest": max(old, new), "whole": float(int(new))}.get(self._change, new)

    def find(self, mass: Any) -> Any:
        wanted = np.asarray(mass) * (self.total if self._change == "fraction" else 1.0)
        if np.any(wanted < 0) or not np.all(np.asarray(mass) < self.total):
            raise ValueError(f"mass must lie in [0, {self.total})")
        found = np.searchsorted(np.cumsum(self._p), wanted, side="left" if self._change == "equality" else "right")
        return np.minimum(found, len(self._p) - 1 - (self._change == "last never" and len(self._p) > 1))


def _tree(change: str) -> Any:
    return lambda capacity: _Tree(capacity, change)


PRIORITIES = [
    ("priority", "the offset added outside the power", "", lambda d, *, exponent, offset: np.abs(d) ** exponent + offset),
    ("priority", "errors below zero count nothing", "", lambda d, *, exponent, offset: (np.maximum(d, 0) + offset) ** exponent),
    ("priority", "the offset forgotten", "", lambda d, *, exponent, offset: np.abs(d) ** exponent),
    ("priority", "stored as whole numbers", "per-priorities-stored-as-int", lambda d, *, exponent, offset: np.trunc(
        (np.abs(d) + offset) ** exponent)),
    ("priority", "errors clipped at one", "", lambda d, *, exponent, offset: (np.minimum(np.abs(d), 1) + offset) ** exponent),
    ("priority", "no error, no priority, exponent zero or not", "", lambda d, *, exponent, offset: np.where(
        np.abs(d) + offset == 0, 0.0, (np.abs(d) + offset) ** exponent)),
    ("priority", "a trailing axis appears", "ddpg-td-error-extra-dim", lambda d, *, exponent, offset: (
        (np.abs(d) + offset) ** exponent)[..., None]),
    ("sampling_probabilities", "softmax", "", lambda p: softmax(p, axis=-1)),
    ("sampling_probabilities", "over the whole batch", "", lambda p: p / p.sum()),
    ("sampling_probabilities", "none is ever zero", "", lambda p: reference.sampling_probabilities(p + 1e-6)),
    ("sampling_probabilities", "some entries with the old exponent", "per-alpha-annealing-mixed-exponents", _mixed_exponents),
    ("sampling_probabilities", "the squares' shares", "", lambda p: p**2 / (p**2).sum(axis=-1, keepdims=True)),
    ("importance_weights", "the memory's largest although the batch's was asked", "per-weights-normalised-by-memory-min",
     _importance("memory")),
    ("importance_weights", "the exponent's sign", "per-exponent-sign", _importance("sign")),
    ("importance_weights", "the size left out", "xlron-per-weights-missing-N", _importance("size")),
    ("importance_weights", "the largest of all rows", "", _importance("whole batch")),
    ("importance_weights", "divided by the mean", "", _importance("mean")),
    ("importance_weights", "raw weights capped at one", "", _importance("capped")),
    ("sum_tree", "parents hold the minimum", "sum-tree-uses-min", _tree("minimum")),
    ("sum_tree", "left on equality", "sumtree-left-on-equality", _tree("equality")),
    ("sum_tree", "float32, updated by differences", "sumtree-float32-drift", _tree("float32")),
    ("sum_tree", "updated by differences", "", _tree("drift")),
    ("sum_tree", "whole numbers only", "per-priorities-stored-as-int", _tree("whole")),
    ("sum_tree", "of repeated indices the first wins", "", _tree("first wins")),
    ("sum_tree", "an update adds", "", _tree("adds")),
    ("sum_tree", "an update never lowers", "", _tree("largest")),
    ("sum_tree", "the mass is a fraction", "", _tree("fraction")),
    ("sum_tree", "the last is never found", "", _tree("last never")),
    ("sum_tree", "capacity rounded up to a power of two", "", _tree("rounded up")),
]  # fmt: skip


def _neighbours(atoms: Any, target: Any, change: str) -> tuple[Any, Any, Any]:
    """The atoms below and above, and what of the mass goes to the upper one."""
    last = len(atoms) - 1
    if change == "equidistant" and last:
        place = (target - atoms[0]) / ((atoms[-1] - atoms[0]) / last)
        lower = np.clip(np.floor(place), 0, last).astype(int)
        return lower, np.minimum(lower + 1, last), place - lower
    upper = np.clip(np.searchsorted(atoms, target), 0, last)
    lower = np.where(atoms[upper] == target, upper, np.maximum(upper - 1, 0))
    share = np.where(lower < upper, (target - atoms[lower]) / np.where(lower < upper, atoms[upper] - atoms[lower], 1), 0.0)
    return lower, upper, {"nearest": np.round(share), "swapped": 1 - share}.get(change, share)


def _projection(change: str) -> Any:
    def project(atoms: Any, probability: Any, reward: Any, terminated: Any, *, discount: Any) -> Any:
        going = np.asarray(discount * (1.0 if change == "runs on" else ~np.asarray(terminated)))[..., None]
        target = going * (reward[..., None] + atoms) if change == "reward discounted" else reward[..., None] + going * atoms
        inside = (target >= atoms[0]) & (target <= atoms[-1])
        lower, upper, share = _neighbours(atoms, np.clip(target, atoms[0], atoms[-1]), change)
        mass = np.where(inside | (change != "not clipped"), probability, 0.0)
        mass = mass * (~np.asarray(terminated))[..., None] if change == "terminal" else mass
        mass = np.where(lower == upper, 0.0, mass) if change == "on an atom" else mass
        out = np.zeros(target.shape)
        for place in np.ndindex(target.shape):
            low, high = (*place[:-1], lower[place]), (*place[:-1], upper[place])
            before = (0.0, 0.0) if change == "overwritten" else (out[low], out[high])
            out[low] = before[0] + mass[place] * (1 - share[place])
            if low != high:
                out[high] = before[1] + mass[place] * share[place]
        return out

    return project


CATEGORICAL = [
    ("categorical_projection", "terminal targets have no mass", "c51-terminal-zero-mass", _projection("terminal")),
    ("categorical_projection", "mass beyond the support is lost", "c51-projection-out-of-range", _projection("not clipped")),
    ("categorical_projection", "of two masses on an atom the last stays", "c51-projection-duplicate-index-scatter",
     _projection("overwritten")),
    ("categorical_projection", "mass that falls on an atom is lost", "", _projection("on an atom")),
    ("categorical_projection", "atoms taken for equidistant", "", _projection("equidistant")),
    ("categorical_projection", "all mass to the nearest atom", "", _projection("nearest")),
    ("categorical_projection", "the neighbours' shares change places", "", _projection("swapped")),
    ("categorical_projection", "bootstraps beyond the end", "", _projection("runs on")),
    ("categorical_projection", "the reward is discounted, too", "", _projection("reward discounted")),
    ("categorical_loss", "mean over atoms", "", lambda x, t: -(t * log_softmax(x, axis=-1)).mean(axis=-1)),
    ("categorical_loss", "the sign", "", lambda x, t: (t * log_softmax(x, axis=-1)).sum(axis=-1)),
    ("categorical_loss", "a small number inside the logarithm", "", lambda x, t: -np.sum(
        t * np.log(softmax(x, axis=-1) + 1e-8), axis=-1)),
    ("categorical_loss", "the relative entropy", "", lambda x, t: reference.categorical_loss(x, t) - reference.categorical_loss(
        np.log(np.maximum(t, 1e-300)), t)),
    ("categorical_loss", "logits taken for logarithms of probabilities", "", lambda x, t: -(t * x).sum(axis=-1)),
    ("categorical_loss", "exp without subtracting the maximum", "", lambda x, t: -(t * (
        x - np.log(np.exp(x).sum(axis=-1, keepdims=True)))).sum(axis=-1)),
    ("categorical_loss_gradient", "the sign", "", lambda x, t: t - softmax(x, axis=-1)),
    ("categorical_loss_gradient", "mean over atoms", "", lambda x, t: (softmax(x, axis=-1) - t) / x.shape[-1]),
    ("categorical_loss_gradient", "the softmax's slope is left out", "", lambda x, t: -t / softmax(x, axis=-1)),
    ("categorical_loss_gradient", "softmax over the whole batch", "", lambda x, t: softmax(x) - t),
]  # fmt: skip

MEMORIES = [*PRIORITIES, *CATEGORICAL]
