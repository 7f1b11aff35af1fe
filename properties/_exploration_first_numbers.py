"""Generators whose next uniform number is chosen: 0 and the largest below 1 come once in 2^53 draws, in float32 in 2^24."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.random.bit_generator import ISeedSequence

from properties._claim import Seeded

MULTIPLIER = 0x2360ED051FC65DA44385DF649FCCF645
WIDTH = 1 << 128
LARGEST = (1 << 64) - 1


class FirstNumber(ISeedSequence):
    """A seed of PCG64 from which its first 64 bits are all alike, 0 or `LARGEST`; what comes after them depends on the key.

    PCG64 answers the two halves of its state, one xor the other, rotated: 0 where they are equal. Before the first answer the
    state takes two steps, (inc + seed) M + inc and that times M + inc, which are undone here.
    """

    def __init__(self, bits: int, key: int) -> None:
        self.bits, self.key = bits, key

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> Any:
        """The four words that PCG64 asks for: its seed and its stream."""
        increment, undone = 2 * self.key + 1, pow(MULTIPLIER, -1, WIDTH)
        half = (self.key * MULTIPLIER) >> 64 & LARGEST
        state = half << 64 | (half ^ self.bits)
        for _ in range(2):
            state = (state - increment) * undone % WIDTH
        seed = (state - increment) % WIDTH
        return np.array([seed >> 64, seed & LARGEST, self.key >> 64, self.key & LARGEST], dtype=np.uint64)

    def __repr__(self) -> str:
        return f"{__name__}.FirstNumber({self.bits}, {self.key})"


def first_number(bits: int, key: int) -> Seeded:
    """A generator that starts so."""
    seed: Any = FirstNumber(bits, key)
    return Seeded(seed)


FIRST_NUMBERS = st.builds(first_number, st.sampled_from([0, LARGEST]), st.integers(1, 2**16))
