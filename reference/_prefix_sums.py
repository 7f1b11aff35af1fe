"""A binary tree of sums over a row of priorities: O(log n) update and prefix search."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from reference._checks import FloatArray, IntArray, indices, integer, non_negative, real_array, refuse_where


class SumTree:
    """Σ of priorities, and the index at which their prefix sum passes a given mass.

    The leaves hold the priorities and every other node the float64 sum of its two children, computed anew after each
    update and never adjusted by a difference: the total depends on the present priorities alone, not on their history.
    """

    def __init__(self, capacity: int) -> None:
        """Start with priority 0 at each of `capacity` indices."""
        self._capacity = integer("capacity", capacity, 1)
        # The root is node 1, the children of node k are 2k and 2k + 1. Leaves beyond the capacity stay 0: never found.
        self._leaves = 1 << (self._capacity - 1).bit_length()
        self._sums: FloatArray = np.zeros(2 * self._leaves)

    def __len__(self) -> int:
        """The capacity."""
        return self._capacity

    @property
    def total(self) -> float:
        """Σ_i p_i, off the exact sum by at most log2(capacity) roundings; inf if it leaves the float range."""
        return float(self._sums[1])

    def update(self, index: ArrayLike, priority: ArrayLike) -> None:
        """p[index] = priority; of repeated indices the last wins.

        index     scalar or [n]  integers in [0, capacity)
        priority  scalar or [n]  ≥ 0 and finite, one for each index
        raises    ValueError if shapes differ, an index or a priority is out of range; then nothing has changed
        """
        where, new = indices("index", index, self._capacity), non_negative("priority", priority)
        _flat("index", where.shape)
        if new.shape != where.shape:
            raise ValueError(f"priority has shape {new.shape}, index has shape {where.shape}; they must be equal")
        nodes = self._leaves + np.atleast_1d(where)
        for node, value in zip(nodes.tolist(), np.atleast_1d(new).tolist(), strict=True):
            self._sums[node] = abs(value)  # no −0
        while nodes.size and nodes[0] > 1:
            nodes = np.unique(nodes // 2)
            with np.errstate(over="ignore"):
                self._sums[nodes] = self._sums[2 * nodes] + self._sums[2 * nodes + 1]

    def find(self, mass: ArrayLike) -> IntArray:
        """min{i : p_0 + … + p_i > mass}: never an index of priority 0.

        mass     scalar or [n]  in [0, total)
        returns  scalar or [n]  int64, of mass's shape
        raises   ValueError if a mass is negative or not below the total, with both
        """
        masses = real_array("mass", mass)
        _flat("mass", masses.shape)
        refuse_where((masses < 0.0) | (masses >= self.total), masses, "mass", f"must lie in [0, total), total = {self.total}")
        found = [self._leaf(m) for m in np.atleast_1d(masses).tolist()]
        return np.array(found, dtype=np.int64).reshape(masses.shape)

    def _leaf(self, mass: float) -> int:
        """Descend with mass < the node's sum at every node, so that the leaf's priority is positive."""
        node = 1
        while node < self._leaves:
            left, right = float(self._sums[2 * node]), float(self._sums[2 * node + 1])
            if mass < left:
                node = 2 * node
            else:
                # Not below `left` but below the sum: right > 0. Rounding must not lift the rest to `right` itself.
                mass = min(mass - left, float(np.nextafter(right, 0.0)))
                node = 2 * node + 1
        return node - self._leaves


def _flat(name: str, shape: tuple[int, ...]) -> None:
    """Raise unless the argument is a scalar or has one axis."""
    if len(shape) > 1:
        raise ValueError(f"{name} must be a scalar or one-dimensional; got shape {shape}")
