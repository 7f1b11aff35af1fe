"""Target networks: parameters that follow the online network's at a distance."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from reference._checks import FloatArray, real_array, same_shape, scalar


def polyak_update(target: ArrayLike, online: ArrayLike, *, polyak_step: float) -> FloatArray:
    """(1 − p) · target + p · online, element by element, p = polyak_step.

    p is the fraction *moved*, not the fraction kept: a small step stays near the target:

    >>> polyak_update([0.0, 8.0], [8.0, 0.0], polyak_step=0.25)
    array([2., 6.])

    k steps towards the same online parameters go 1 − (1 − p)^k of the way:

    >>> moved = 0.0
    >>> for _ in range(3):
    ...     moved = polyak_update(moved, 1.0, polyak_step=0.5)
    >>> float(moved)
    0.875

    target       [...]   the target's parameters, in any unit
    online       [...]   the online network's, likewise
    polyak_step  scalar  p in [0, 1]; 0 returns the target's values and 1 the online ones, exactly and of infinities too
    returns      [...]   a new array, never a view of either argument; between the two, whatever the rounding;
                         ±inf follow IEEE for 0 < p < 1: inf and −inf give nan
    raises       ValueError if shapes differ, data has NaN or is not real, or polyak_step is outside [0, 1]
    source       Lillicrap et al. 2016, Algorithm 1 (their τ is our polyak_step); Polyak & Juditsky 1992 for the averaging
    """
    kept, followed = real_array("target", target), real_array("online", online)
    same_shape("online", followed, "target", kept.shape)
    step = scalar("polyak_step", polyak_step, "[0, 1]")
    if step in (0.0, 1.0):
        return followed if step == 1.0 else kept  # copies already; 0 · inf must not enter
    with np.errstate(over="ignore", invalid="ignore"):
        mixed = (1.0 - step) * kept + step * followed
    # Rounding of the two weights may leave the interval by an ulp, at the end of the float range even for infinity.
    return np.asarray(np.clip(mixed, np.minimum(kept, followed), np.maximum(kept, followed)))
