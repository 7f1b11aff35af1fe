"""Normal policies with independent coordinates: how they are drawn, and what the rounding errors of their densities are made of."""

from __future__ import annotations

import math
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from properties._bounds import ELEMENTARY, Floats, gamma
from properties._claim import Call
from properties._draw import BATCHES, STYLES, Shape, array_of, codes, values

HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)
PER_EXP = 2 * ELEMENTARY
"""1/s^2 is a power of exp(log_std) or of its inverse: exp counts twice."""


# ------------------------------------------------------------------------------------------------------------- drawing
class Normal(NamedTuple):
    """A normal distribution, another one of the same shape, and an action; all [..., D]."""

    action: Floats
    mean: Floats
    log_std: Floats
    other_mean: Floats
    other_log_std: Floats


@cache
def normals(*, styles: tuple[str, ...] = STYLES, most: int = 4, batched: bool = True) -> st.SearchStrategy[Normal]:
    """Normals of 1 to `most` coordinates: standard deviations from e^-20 to e^8, and means and actions at any distance."""
    leads: tuple[Shape, ...] = BATCHES if batched else ((),)
    size = max(math.prod(lead) for lead in leads) * most

    def decode(bits: bytes) -> Normal:
        shape = (*leads[bits[0] % len(leads)], 1 + bits[1] % most)
        n = math.prod(shape)
        place, spread = styles[bits[2] % len(styles)], styles[bits[3] % len(styles)]
        parts = [bits[4 + 2 * n * i : 4 + 2 * n * (i + 1)] for i in range(5)]
        points = [array_of(parts[i], shape, place) for i in (0, 1, 3)]
        logs = [np.clip(array_of(parts[i], shape, spread) / 16, -20.0, 8.0) for i in (2, 4)]
        return Normal(points[0], points[1], logs[0], points[2], logs[1])

    return codes(4 + 10 * size).map(decode)


@cache
def boxes(dimensions: int) -> st.SearchStrategy[tuple[Any, Any]]:
    """Bounds of an action: one pair of numbers for all coordinates, or a pair for each."""
    ends = st.sampled_from(
        [(-1.0, 1.0), (-2.0, 2.0), (0.0, 1.0), (-0.5, 3.0), (-1.0 / 3.0, 2.0 / 3.0), (1.0, 1.015625), (-1e4, 64.0)]
    )
    each = values((2, dimensions), ("generic", "full mantissa"))
    return ends | each.map(lambda pair: (pair[0], pair[0] + np.maximum(np.abs(pair[1]), 0.25) + np.abs(pair[0]) / 8))


SATURATED = (20.0, -20.0, 1000.0, -1000.0)
"""Where 1 - tanh(u)^2 is 1.7e-17 and where it underflows."""


@st.composite
def squashings(draw: Any, *, styles: tuple[str, ...] = STYLES, most: int = 4, batched: bool = True) -> Call:
    """(pre_tanh, mean, log_std) and a box; pre_tanh is far out, near 0, at +-11, +-20 or +-1000."""
    normal = draw(normals(styles=styles, most=most, batched=batched))
    low, high = draw(boxes(normal.mean.shape[-1]))
    reach = draw(st.sampled_from([1.0 / 64, 1.0, 0.0]))
    far = np.where(normal.other_mean > 0, 1.0, -1.0) * draw(st.sampled_from([20.0, 1000.0, 11.0]))
    pre_tanh = normal.action * reach if reach else far
    mean = normal.mean * (reach or 1.0)
    return Call((pre_tanh, mean, np.clip(normal.log_std, -20.0, 4.0)), {"low": low, "high": high})


# -------------------------------------------------------------------------------------------------------------- bounds
def squares(action: Floats, mean: Floats, log_std: Floats) -> Floats:
    """z^2 = ((a - m)/s)^2, coordinate by coordinate."""
    return np.asarray((action - mean) ** 2 * np.exp(-2.0 * log_std))


def log_std_error(unit: float, log_std: Floats, additions: int) -> Floats:
    """A log-std among `additions` terms, as it is or as log(exp(log_std)), whose argument is off by ELEMENTARY u relative."""
    return gamma(additions + ELEMENTARY, unit) * np.abs(log_std) + gamma(ELEMENTARY, unit)


def squash(pre_tanh: Floats, low: ArrayLike, high: ArrayLike) -> Floats:
    """low + (high - low)(1 + tanh u)/2, in float64."""
    return np.asarray(low + (np.asarray(high) - np.asarray(low)) * (1.0 + np.tanh(pre_tanh)) / 2)
