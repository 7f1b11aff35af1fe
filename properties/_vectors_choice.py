"""Which candidates become vectors: few that tell apart what can be told, then those that are special in another way."""

from __future__ import annotations

from collections.abc import Sequence

from properties._vectors import Vector
from properties._vectors_candidates import EMPTY, flags_of, size_of

STARTER, LEAST, MOST = 4, 8, 12
"""Vectors an operator: at most, in the starter set; at least and at most, in a full one."""
KINDS = ("exact in bfloat16", "full mantissa")
"""The first two are one of each, where there is one."""


def chosen(pool: Sequence[Vector], *, starter: bool) -> list[Vector]:
    """A greedy cover of (bug, type) pairs; a full set goes on with flags that no vector has yet, then with the smallest."""
    choice = _Choice([vector for vector in pool if not (starter and EMPTY in flags_of(vector))])
    for kind in KINDS:
        choice.take_for_bugs(
            [v for v in choice.pool if kind in choice.flags[v.id] and EMPTY not in choice.flags[v.id]], always=True
        )
    most = STARTER if starter else MOST
    while len(choice.taken) < most and choice.take_for_bugs(choice.pool):
        pass
    while not starter and len(choice.taken) < most and choice.take_for_flags():
        pass
    for vector in sorted(choice.pool, key=size_of) if not starter else ():
        if len(choice.taken) < LEAST and vector not in choice.taken:
            choice.taken.append(vector)
    return choice.taken


class _Choice:
    """What is taken, and what that covers."""

    def __init__(self, pool: Sequence[Vector]) -> None:
        self.pool = pool
        self.flags = {vector.id: set(flags_of(vector)) for vector in pool}
        self.sizes = {vector.id: size_of(vector) for vector in pool}
        self.taken: list[Vector] = []
        self.told: set[tuple[str, str]] = set()
        self.special: set[str] = set()

    def take_for_bugs(self, pool: Sequence[Vector], *, always: bool = False) -> bool:
        """The one that tells most that is not told yet, counting bugs in float64 first; of equals, the smallest."""
        left = [vector for vector in pool if vector not in self.taken]
        if not left:
            return False
        best = max(left, key=lambda vector: (self._new(vector), -self.sizes[vector.id], vector.id))
        if self._new(best) == (0, 0) and not always:
            return False
        self._take(best)
        return True

    def take_for_flags(self) -> bool:
        """The one with most flags that none has yet; of equals, the smallest."""
        left = [vector for vector in self.pool if vector not in self.taken]
        best = max(left, key=lambda v: (len(self.flags[v.id] - self.special), -self.sizes[v.id], v.id), default=None)
        if best is None or not self.flags[best.id] - self.special:
            return False
        self._take(best)
        return True

    def _new(self, vector: Vector) -> tuple[int, int]:
        new = pairs(vector) - self.told
        return sum(dtype == "float64" for _, dtype in new), len(new)

    def _take(self, vector: Vector) -> None:
        self.taken.append(vector)
        self.told |= pairs(vector)
        self.special |= self.flags[vector.id]


def pairs(vector: Vector) -> set[tuple[str, str]]:
    """The bugs that it tells, each with the type in which it does."""
    told = (vector.tells_apart or {}).items()
    return {(bug, dtype) for bug, sizes in told for dtype, size in zip(vector.dtypes, sizes, strict=True) if size}
