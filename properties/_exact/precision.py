"""As many digits as an answer needs: terms that cancel, and numbers next to 0 or 1, take more than fifty."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from fractions import Fraction
from typing import Any

import numpy as np

from properties._exact import fraction

LEVELS = (50, 100, 200, 400, 800)
"""Digits tried. Floats reach from 10^-324 to 10^308, so that 800 digits tell any two of them apart."""

_CLOSE = Fraction(1, 10**40)


def settled(compute: Callable[[], Any], *contexts: Any) -> Any:
    """compute(), with more and more digits in mpmath's `contexts`, until all entries agree with those before to 40 digits.

    An entry of 0 agrees with nothing, as it may be one that is too small for the digits so far, until no more are left.
    """
    before = None
    for digits in LEVELS:
        with ExitStack() as stack:
            for context in contexts:
                stack.enter_context(context.workdps(digits))
            found = compute()
        if before is not None and all(map(_agree, _entries(before), _entries(found))):
            return found
        before = found
    return found


def _entries(result: Any) -> list[Any]:
    parts = result if isinstance(result, tuple) else (result,)
    return [fraction(entry) for part in parts for entry in np.ravel(np.asarray(part, dtype=object)).tolist()]


def _agree(before: Any, now: Any) -> bool:
    if isinstance(before, float) or isinstance(now, float):
        return bool(before == now or (before != before and now != now))
    return bool(now != 0 and abs(now - before) <= _CLOSE * abs(now))
