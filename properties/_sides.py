"""What was found and what was due, as a report shows them."""

from __future__ import annotations

from typing import Any

import numpy as np

LONGEST = 40
"""Arrays of more entries are abbreviated."""


def shown(value: Any) -> str:
    """Numbers with all their digits; nothing for None."""
    if value is None:
        return ""
    array = np.asarray(value)
    if array.dtype == object:
        array = np.vectorize(float, otypes=[np.float64])(array)
    return np.array2string(array, threshold=LONGEST, separator=", ", formatter={"float_kind": lambda x: f"{x:.17g}"})


def worst_place(found: Any, due: Any, bound: Any = None) -> str:
    """Where they are furthest apart, in units of the bound where there is one, as an index; nothing for what has no axes."""
    found, due = np.asarray(found), np.asarray(due)
    if found.shape != due.shape or found.ndim == 0 or found.dtype.kind not in "fiub":
        return ""
    bound = np.asarray(1.0 if bound is None else bound, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        gap = np.abs(found.astype(np.float64) - due.astype(np.float64))
        gap = np.where(gap == 0, 0.0, gap / (bound if bound.shape in ((), gap.shape) else 1.0))
    place = np.unravel_index(int(np.argmax(np.where(np.isnan(gap), np.inf, gap))), gap.shape)
    return "[" + ", ".join(str(int(i)) for i in place) + "]"
