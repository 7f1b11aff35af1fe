"""Dueling heads in fractions."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from properties._oracles import Exact, exact, oracle


def _head(value: Fraction, advantage: list[Fraction], baseline: str) -> list[Fraction]:
    base = max(advantage) if baseline == "max" else sum(advantage, Fraction(0)) / len(advantage)
    return [value + a - base for a in advantage]


@oracle(
    method="fractions.Fraction",
    derivation="Wang et al. 2016, eq. 8 (max) and 9 (mean)",
    identities="one action gives V; with the mean the row averages V, with the maximum its largest entry is V",
)
def dueling_by_fractions(value: Any, advantage: Any, baseline: str) -> Exact:
    """V + A - (mean or max) A of every row; [...] and [..., A], floats or Fractions."""
    value, rows = np.ravel(value).tolist(), np.reshape(advantage, (-1, np.shape(advantage)[-1])).tolist()
    found = [_head(Fraction(v), [Fraction(a) for a in row], baseline) for v, row in zip(value, rows, strict=True)]
    out = np.empty(np.shape(advantage), dtype=object)
    out.reshape(-1)[:] = [q for row in found for q in row]
    return out


@oracle(
    method="fractions.Fraction, differences that a piecewise linear function makes exact",
    derivation="Wang et al. 2016, eq. 8 and 9: (Q(A + h e_b) - Q(A - h e_b)) / 2h, h below half of every gap between advantages",
    identities="each row sums to 0; one action gives 0; the mean's is delta_ab - 1/A",
)
def dueling_slopes_by_differences(value: Any, advantage: Any, baseline: str) -> Exact:
    """d Q_a / d A_b as [..., a, b], where no two advantages of a row are equal; h = 2^-40."""
    step, actions = Fraction(1, 2**40), np.shape(advantage)[-1]
    columns = []
    for b in range(actions):
        move = step * exact(np.arange(actions) == b)
        up, down = (dueling_by_fractions(value, exact(advantage) + sign * move, baseline) for sign in (1, -1))
        columns.append((up - down) / (2 * step))
    return np.stack(columns, axis=-1)
