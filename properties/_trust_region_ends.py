"""Conjugate gradients (U1) where squares leave the range of the numbers, and where nothing but rounding is left to do."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from properties._bounds import Floats
from properties._claim import claim
from properties._draw import whole_numbers
from properties._functions import Linear
from properties._trial import Trial
from properties._trust_region_bounds import System, a_posteriori

HESTENES = "Hestenes & Stiefel 1952"
MATRIX = np.array([[5.0, 1.0, -0.5], [1.0, 4.0, 0.25], [-0.5, 0.25, 7.0]])
"""Positive definite, by Gershgorin."""
SIGN = st.sampled_from([1.0, -1.0])


@claim("U1", source=f"{HESTENES}, §3: linear in b; powers of two are exact", operators=["conjugate_gradient"], given={
    "b": whole_numbers((3,), 6), "sign": SIGN, "power": st.sampled_from([-900, 900, -300, 1010]), "steps": st.integers(1, 3),
}, share=0.25)  # fmt: skip
def the_unit_of_the_right_hand_side_does_not_matter(port: Trial, b: Floats, sign: float, power: int, steps: int) -> None:
    """2^k b, solved to 2^k times the tolerance, gives 2^k x and 2^k times the residual norm after as many iterations, also where
    the squares of such numbers are none: k = -900 to 1010."""
    b = sign * np.abs(b)
    keywords = {"iterations": steps, "tolerance": float(np.abs(b).max()) * 2.0**-40, "damping": 0.5}
    (x, taken, norm), (error, _, off) = port("conjugate_gradient", Linear(MATRIX), b, **keywords)
    keywords["tolerance"] = float(np.ldexp(keywords["tolerance"], power))
    found, also, left = port.conjugate_gradient(Linear(MATRIX), np.ldexp(b, power), **keywords)
    port.equal(np.ldexp(found, -power), x, 2 * error, f"x in units of 2^{power}")
    if np.isfinite(off):
        port.equal(also, taken, 0.0, "iterations taken")
        port.equal(np.ldexp(left, -power), np.asarray(norm), 2 * off, f"residual norm in units of 2^{power}")


@claim("U1", source="the contract: the norm of the residual", operators=["conjugate_gradient"], given={
    "place": st.integers(0, 2), "sign": SIGN, "end": st.sampled_from([2.0**-1074, 2.0**-1022, 1.5 * 2.0**1023]),
}, share=0.25)  # fmt: skip
def the_norm_of_the_smallest_and_the_largest_is_their_size(port: Trial, place: int, sign: float, end: float) -> None:
    """b = +-e times the smallest or nearly the largest number, within the tolerance: x = 0 after no iteration, and |b| is left."""
    b = sign * end * np.eye(3)[place]
    tolerance = max(1.75 * 2.0**1023 * (end > 1), 1.0)
    x, taken, norm = port.conjugate_gradient(Linear(np.eye(3)), b, iterations=3, tolerance=tolerance, damping=0.0)
    port.equal(x, np.zeros(3), 0.0)
    port.equal(taken, 0, 0.0, "iterations taken")
    port.equal(norm, np.asarray(end), 2.0**-1022 + 2.0**-50 * end * (end > 1), "residual norm")


SPREAD = np.arange(1.0, 17.0)
"""So many eigenvalues that residuals shrink by a few bits at each iteration."""


@claim("U1", source="the contract: the tolerance may be 0", operators=["conjugate_gradient"], given={
    "b": whole_numbers((16,), 8), "power": st.sampled_from([-80, 0, -60, 60]),
}, share=0.05)  # fmt: skip
def a_tolerance_of_zero_ends_and_refuses_nothing(port: Trial, b: Floats, power: int) -> None:
    """A = 2^k diag(1, ..., 16) with tolerance 0: iterations go on until what is left is below 2^-960, which is 0 but for that; a
    residual of few digits is no proof that A is not positive definite."""
    b = b + 8.0 * (b == 0)
    matrix = np.ldexp(np.diag(SPREAD), power)
    x, taken, norm = port.conjugate_gradient(Linear(matrix), b, iterations=4000, tolerance=0.0, damping=0.0)
    port.holds(taken < 4000, "it ends before 4000 iterations", found=taken)
    port.at_most(norm, 2.0**-960, 0.0, "residual norm")
    due = np.ldexp(b / SPREAD, -power)
    bound = a_posteriori(port.unit, System(matrix, b, int(taken), 0.0, 0.0), float(norm))
    port.equal(x, due, bound + 2.0**-52 * np.abs(due))
