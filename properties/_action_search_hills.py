"""Concave quadratics over boxes: how they are drawn, their constrained maximum, and what evaluating them may lose."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from properties._bounds import Floats, gamma
from properties._draw import Shape, values
from properties._functions import Hill


class Landscape(NamedTuple):
    """A hill, a box [..., D], a start [..., D] anywhere, and a bound on the Hessian's eigenvalues, a power of two."""

    hill: Hill
    low: Floats
    high: Floats
    start: Floats
    steepest: float


@cache
def hills(*, leads: tuple[Shape, ...] = ((), (2,), (1,), (2, 2)), apart: bool = False) -> st.SearchStrategy[Landscape]:
    """Strictly concave quadratics of one or two coordinates, diagonal ones if `apart`; boxes with the peak inside, outside, at a
    corner. Everything is dyadic."""
    return st.tuples(st.sampled_from(leads), st.integers(1, 2)).flatmap(lambda s: _hills((*s[0], s[1]), apart))


@cache
def _hills(shape: Shape, apart: bool) -> st.SearchStrategy[Landscape]:
    size = shape[-1]
    curvature = st.tuples(*[st.sampled_from([1.0, 0.25, 3.0, 0.625])] * size)
    leaning = st.sampled_from([0.0, 0.125, -0.1875])
    boxes = st.tuples(values((3, *shape), ("generic", "ties")), values((size,), ("generic", "ties")))

    def build(curved: tuple[float, ...], lean: float, drawn: tuple[Any, Any]) -> Landscape:
        hessian = np.diag(curved) + (0.0 if apart else lean) * (1.0 - np.eye(size))
        corner, width, start = drawn[0] / 16
        low = np.asarray(corner)
        high = np.asarray(corner + np.maximum(np.abs(width), 0.25))
        steepest = 2.0 ** np.ceil(np.log2(np.abs(hessian).sum(axis=-1).max()))
        return Landscape(Hill(hessian, drawn[1] / 16), low, high, np.asarray(start), float(steepest))

    return st.builds(build, curvature, leaning, boxes)


def peak(h: Landscape) -> Floats:
    """The constrained maximiser, for a diagonal Hessian."""
    return np.asarray(np.clip(h.hill.centre, h.low, h.high))


def value_error(unit: float, hill: Hill, action: Floats) -> Floats:
    """(a - x)'H(a - x)/2: a difference twice, two products, D^2 sums in any order."""
    way = np.abs(hill.centre - action)
    size = ((way[..., None, :] * np.abs(hill.hessian)).sum(axis=-1) * way).sum(axis=-1) / 2
    return np.asarray(gamma(2 * action.shape[-1] + 4, unit) * size)
