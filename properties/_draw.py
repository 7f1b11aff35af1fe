"""How inputs are drawn: arrays as byte strings, so that drawing is fast and shrinking ends in zeros and ones.

Values lie on the grid k/256, |k| < 2^15: sums of a few of them, and products with small dyadic numbers, are exact in float32 and
float64, so a theorem such as T(V + c) = TV + gamma c loses nothing in its own arithmetic. Probabilities are multiples of 1/64 and
sum to exactly 1 in every dtype. `style` adds what convenient inputs hide: ties, equal rows, other scales, full mantissas.
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from properties._bounds import Floats
from properties._claim import Seeded

Shape = tuple[int, ...]
_CODES = np.arange(65536)
_WHOLE = (_CODES & 255) + 1
_GRID = np.where(_WHOLE % 2, -(_WHOLE // 2), _WHOLE // 2) + (_CODES >> 8) / 256.0
"""The first byte is the fraction, the second the whole part, 0, 1, -1, 2, -2, ...: either shrinks by itself, the fraction first."""
_THIRD = 1.0 + 1.0 / 3.0
_SCALES = {"generic": 1.0, "tiny": 2.0**-20, "huge": 2.0**20, "full mantissa": _THIRD}

STYLES = ("generic", "ties", "equal", "tiny", "huge")
"""Styles on the grid: exact under sums."""
ROUGH = (*STYLES, "full mantissa", "full mantissa", "full mantissa")
"""Styles for agreement, where every bit of the mantissa should count."""
FINE = ("generic", "ties", "equal")
"""Values of few bits and one scale: sums and products of some of them are exact in float32, too."""


def array_of(codes: bytes, shape: Shape, style: str = "generic") -> Floats:
    """Decode two bytes a value, so that shrinking bytes towards 0 shrinks values towards 0, 1, -1, 2, -2, ..."""
    values = _GRID[np.frombuffer(codes, dtype=">u2")].reshape(shape)
    if style == "ties":
        return np.asarray(np.clip(np.round(values / 64), -1, 1) + 0.0)
    if style == "equal":
        return np.full(shape, values.flat[0] if values.size else 0.0)
    return np.asarray(values * _SCALES[style])


@cache
def codes(size: int) -> st.SearchStrategy[bytes]:
    """Byte strings of one length; cached, because Hypothesis validates every new strategy object anew."""
    return st.binary(min_size=size, max_size=size)


SEEDS = st.integers(0, 2**32 - 1).map(Seeded)


@cache
def values(shape: Shape, styles: tuple[str, ...] = STYLES) -> st.SearchStrategy[Floats]:
    """Real arrays of one shape."""
    return st.tuples(codes(2 * math.prod(shape)), st.sampled_from(styles)).map(lambda pair: array_of(pair[0], shape, pair[1]))


@cache
def whole_numbers(shape: Shape, below: int) -> st.SearchStrategy[Floats]:
    """Whole numbers less than `below` in size, of either sign, 0 first."""

    def decode(bits: bytes) -> Floats:
        number = np.frombuffer(bits, dtype=np.uint8).astype(np.int64)
        return np.asarray(np.fmod(np.where(number % 2, -(number // 2) - 1, number // 2), below).astype(np.float64).reshape(shape))

    return codes(math.prod(shape)).map(decode)


FEW = (0, 128, 40, 256)
"""How many of 256 byte values mean True: none, half, few, all."""


def decode_flags(bits: bytes, true_values: int, shape: Shape) -> NDArray[np.bool_]:
    """One byte a flag: True for the `true_values` largest of the 256 byte values."""
    return (np.frombuffer(bits, dtype=np.uint8).astype(np.int64) > 255 - true_values).reshape(shape)


@cache
def flags(shape: Shape) -> st.SearchStrategy[NDArray[np.bool_]]:
    """Boolean arrays: none, all, few, half."""
    return st.tuples(codes(math.prod(shape)), st.sampled_from(FEW)).map(lambda pair: decode_flags(*pair, shape))


@cache
def distributions(shape: Shape, *, positive: bool = False) -> st.SearchStrategy[Floats]:
    """Probability rows along the last axis: multiples of 1/64 that sum to exactly 1, with zeros unless `positive`."""

    def decode(pair: tuple[bytes, int]) -> Floats:
        return dyadic(np.frombuffer(pair[0], dtype=np.uint8).reshape(shape), pair[1], int(positive))

    return st.tuples(codes(math.prod(shape)), st.sampled_from((2, 8, 32))).map(decode)


def dyadic(codes: NDArray[np.uint8], most: int, least: int) -> Floats:
    """Rows of counts below `most` (plus `least`), as shares of 64 that sum to 64, over 64."""
    counts = codes.astype(np.int64) % most + least
    counts[..., 0] += counts.sum(axis=-1) == 0
    shares = np.maximum(counts * 64 // counts.sum(axis=-1, keepdims=True), least)
    top = np.argmax(shares, axis=-1)[..., None]
    rest = 64 - shares.sum(axis=-1, keepdims=True)
    np.put_along_axis(shares, top, np.take_along_axis(shares, top, axis=-1) + rest, axis=-1)
    return np.asarray(shares / 64.0)


@cache
def indices(shape: Shape, below: int) -> st.SearchStrategy[NDArray[np.int64]]:
    """Integer arrays in [0, below)."""
    return codes(math.prod(shape)).map(lambda c: (np.frombuffer(c, dtype=np.uint8) % below).astype(np.int64).reshape(shape))


BATCHES: tuple[Shape, ...] = ((), (1,), (2,), (3,), (2, 3), (3, 1))


@cache
def batches() -> st.SearchStrategy[Shape]:
    """Leading axes; none, one, several, and a length of one among them."""
    return st.sampled_from(BATCHES)


@cache
def discounts(*, below_one: bool = False) -> st.SearchStrategy[float]:
    """gamma: the corners 0 and 1, the usual values, and anything between (at most 0.95 where an inverse of 1 - gamma is taken)."""
    usual = [0.5, 0.9, 0.0, 0.25, 0.75] + ([] if below_one else [1.0, 0.99])
    return st.sampled_from(usual) | st.floats(0.0, 0.95 if below_one else 1.0)


@cache
def fractions_of_one() -> st.SearchStrategy[float]:
    """lambda and the like: 0, 1, and between."""
    return st.sampled_from([0.5, 0.0, 1.0, 0.95, 0.25]) | st.floats(0.0, 1.0)


@cache
def expectile_levels() -> st.SearchStrategy[float]:
    """Expectiles: one half, IQL's, and the far tails, all exact in bfloat16 so that the complement is, too."""
    return st.sampled_from([0.5, 0.75, 0.875, 0.25, 0.9375, 0.984375, 0.015625]) | st.integers(1, 127).map(lambda k: k / 128)


@cache
def temperatures() -> st.SearchStrategy[float]:
    """Temperatures: around one, small, large."""
    return st.sampled_from([1.0, 0.5, 2.0, 0.125, 16.0, 1024.0, 2.0**-10]) | st.floats(0.0625, 64.0)


class Trajectory(NamedTuple):
    """Rewards, flags and values, all [..., T]; next_value is drawn apart from value, as a final observation's would be."""

    reward: Floats
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    value: Floats
    next_value: Floats


@cache
def trajectories(*, longest: int = 8, batched: bool = True, styles: tuple[str, ...] = STYLES) -> st.SearchStrategy[Trajectory]:
    """Trajectories of 1 to `longest` steps, with cuts of both kinds anywhere.

    Shape, style, flags and values all come from one byte string: one choice for Hypothesis is several times faster than ten.
    """
    leads: tuple[Shape, ...] = BATCHES if batched else ((),)
    most = longest * max(math.prod(lead) for lead in leads)

    def decode(bits: bytes) -> Trajectory:
        shape = (*leads[bits[0] % len(leads)], 1 + bits[1] % longest)
        style, size = styles[bits[2] % len(styles)], math.prod(shape)
        reals = [array_of(bits[start : start + 2 * size], shape, style) for start in range(5, 5 + 6 * size, 2 * size)]
        cuts = bits[5 + 6 * size :]
        ends, limits = FEW[bits[3] % len(FEW)], FEW[bits[4] % len(FEW)]
        terminated, truncated = (
            decode_flags(cuts[:size], ends, shape),
            decode_flags(cuts[size : 2 * size], limits, shape),
        )
        return Trajectory(reals[0], terminated, truncated, reals[1], reals[2])

    return codes(5 + 8 * most).map(decode)


@cache
def rows(*, shortest: int = 1, longest: int = 6, styles: tuple[str, ...] = STYLES) -> st.SearchStrategy[Floats]:
    """Arrays [..., n]: action values, samples, errors."""
    shapes = st.tuples(batches(), st.integers(shortest, longest))
    return shapes.flatmap(lambda s: values((*s[0], s[1]), styles))
