"""Functions as arguments: records of arrays that can be called, so that they are drawn, rounded, and printed like any other input.

Each computes in the dtype of what it is given, and returns that dtype.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.floating[Any]]
WIDTHS = ("float64", "float32")
"""Operators that call functions of the caller's compute in no half type."""


class Linear(NamedTuple):
    """v -> matrix @ v."""

    matrix: NDArray[Any]

    def __call__(self, vector: Vector) -> Vector:
        """The product, in the vector's dtype."""
        return np.asarray(np.asarray(self.matrix, dtype=vector.dtype) @ vector)


class Tent(NamedTuple):
    """displacement -> (surrogate, kl), a landscape for line searches along t = direction'displacement.

    The surrogate rises with t up to the ridge and falls behind it; beyond the cliff it is NaN, and beyond the fog kl is. kl grows
    with |t|. For whole numbers all of it is exact in every type.
    """

    direction: NDArray[Any]
    ridge: float
    cliff: float
    fog: float
    stiffness: float

    def __call__(self, displacement: Vector) -> tuple[float, float]:
        """Surrogate and kl, of numbers in the displacement's dtype."""
        t = float(np.asarray(self.direction, dtype=displacement.dtype) @ displacement)
        surrogate = np.nan if t > self.cliff else min(t, 2 * self.ridge - t)
        return surrogate, np.nan if t > self.fog else self.stiffness * abs(t)


class Raised(NamedTuple):
    """The same landscape with its surrogate higher by a constant."""

    tent: Tent
    level: float

    def __call__(self, displacement: Vector) -> tuple[float, float]:
        """Surrogate and kl."""
        surrogate, kl = self.tent(displacement)
        return surrogate + self.level, kl


class Hill(NamedTuple):
    """Actions [..., D] -> -(a - x)'H(a - x)/2 [...], concave for H positive semi-definite [D, D], highest at the centre x [D]."""

    hessian: NDArray[Any]
    centre: NDArray[Any]

    def __call__(self, actions: Vector) -> Vector:
        """The values."""
        return self.climbed(actions)[0]

    def climbed(self, actions: Vector) -> tuple[Vector, Vector]:
        """Values and gradients, H(x - a)."""
        way = np.asarray(self.centre, dtype=actions.dtype) - actions
        gradient = (way[..., None, :] * np.asarray(self.hessian, dtype=actions.dtype)).sum(axis=-1)
        return np.asarray(-(way * gradient).sum(axis=-1) / 2, dtype=actions.dtype), gradient


class Slope(NamedTuple):
    """The same hill, with its gradient: actions -> (values, gradients)."""

    hessian: NDArray[Any]
    centre: NDArray[Any]

    def __call__(self, actions: Vector) -> tuple[Vector, Vector]:
        """Values and gradients."""
        return Hill(self.hessian, self.centre).climbed(actions)


class TwoHills(NamedTuple):
    """a [..., 1] -> a/4 - (a^2 - 1)^2 and its derivative: maxima near -0.97 and 1.03, the second higher by a half."""

    tilt: NDArray[Any]

    def __call__(self, actions: Vector) -> tuple[Vector, Vector]:
        """Values and gradients; tilt [1] is 1/4."""
        tilt = np.asarray(self.tilt, dtype=actions.dtype)
        excess = actions * actions - 1
        return np.asarray((tilt * actions - excess * excess).sum(axis=-1)), tilt - 4 * actions * excess


class Ledger:
    """What a function was asked and answered, call by call, in float64."""

    def __init__(self) -> None:
        self.asked: list[NDArray[np.float64]] = []
        self.answered: list[NDArray[np.float64]] = []

    def __repr__(self) -> str:
        return "Ledger()"


class Watched(NamedTuple):
    """A hill whose every call is written down."""

    hill: Hill
    ledger: Ledger

    def __call__(self, actions: Vector) -> Vector:
        """The hill's values."""
        values = self.hill(actions)
        self.ledger.asked.append(np.array(actions, dtype=np.float64))
        self.ledger.answered.append(np.array(values, dtype=np.float64))
        return values
