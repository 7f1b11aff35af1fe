"""Rounding: unit roundoffs, Higham's gamma, and the record that ties an operator to its derived error bound.

The counting rule (Higham 2002, §3.1): a term that passes through at most k roundings contributes at most
gamma_k = k u / (1 - k u) times its absolute value. Bounds count *any* order of summation (k = n - 1 for n terms), so that
loops, scans, trees and atomics all meet them. They are functions of the inputs, evaluated in float64, first order in u with
Higham's denominators; each is tried for soundness (nothing exceeds it) and for tightness (it is not vacuous) in tests/.

bfloat16 and float16 are contracted to compute in float32 and to round once at the end, because an any-order bound in
bfloat16 says nothing beyond 128 terms.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

UNIT = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
TINY = {"float64": 2.0**-1022, "float32": 2.0**-126, "float16": 2.0**-14, "bfloat16": 2.0**-126}
COMPUTED_IN = {"float64": "float64", "float32": "float32", "float16": "float32", "bfloat16": "float32"}

ELEMENTARY = 8
"""exp, log, expm1, log1p: this many u of relative error, 4 ulp; tests/test_bounds.py measures NumPy's and torch's."""


def gamma(roundings: ArrayLike, unit: float) -> Floats:
    """k u / (1 - k u), and infinity once k u reaches one half: beyond that nothing is promised."""
    product = np.asarray(roundings, dtype=np.float64) * unit
    return np.asarray(np.where(product < 0.5, product / np.where(product < 0.5, 1.0 - product, 1.0), np.inf))


def own_rounding(roundings: ArrayLike) -> Floats:
    """The factor for a slack that was itself computed in float64, through at most so many roundings of terms of one sign."""
    return np.asarray(1.0 + gamma(roundings, UNIT["float64"]))


def stored(error: ArrayLike, due: ArrayLike, dtype: str) -> Floats:
    """The bound on a result computed with `error`, then rounded once to `dtype` (where that is not the compute type)."""
    error = np.asarray(error, dtype=np.float64)
    size = np.abs(np.asarray(due, dtype=np.float64))
    narrow = narrowing(dtype)
    return np.asarray(error + (narrow * (size + error) if narrow else 0.0) + TINY[dtype])  # 0 inf must not enter


def narrowing(dtype: str) -> float:
    """What rounding to the type takes of a result computed in another; 0 in the types that are computed in."""
    return 0.0 if COMPUTED_IN[dtype] == dtype else UNIT[dtype]


def rounded(value: Any, dtype: str) -> Any:
    """`value` with every float in it rounded to `dtype` and widened again: arrays, scalars, tuples, records, sparse matrices."""
    if isinstance(value, np.ndarray):
        return _round_array(value, dtype) if value.dtype.kind == "f" else value
    if isinstance(value, float):
        return float(_round_array(np.asarray(value), dtype))
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(rounded(item, dtype) for item in value))
    if isinstance(value, (tuple, list)):
        return type(value)(rounded(item, dtype) for item in value)
    if isinstance(value, dict):
        return {key: rounded(item, dtype) for key, item in value.items()}
    if hasattr(value, "indptr"):
        return type(value)((_round_array(value.data, dtype), value.indices, value.indptr), shape=value.shape)
    return value


def _round_array(value: NDArray[Any], dtype: str) -> Floats:
    if dtype == "float64":
        return np.asarray(value, dtype=np.float64)
    with np.errstate(over="ignore", under="ignore"):
        if dtype == "float16":
            return np.asarray(value.astype(np.float16), dtype=np.float64)
        single = value.astype(np.float32)
    return np.asarray(single if dtype == "float32" else to_bfloat16(single), dtype=np.float64)


def to_bfloat16(value: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32 to the nearest bfloat16, ties to even, as float32: add half of the dropped part to the bits, then cut."""
    bits = np.atleast_1d(np.ascontiguousarray(value, dtype=np.float32)).view(np.uint32)
    nearest = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) & np.uint32(0xFFFF0000)
    result = np.where(np.isnan(value), value, nearest.view(np.float32).reshape(np.shape(value)))
    return np.asarray(result, dtype=np.float32).reshape(np.shape(value))
