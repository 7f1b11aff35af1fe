"""Target networks, in fractions."""

from __future__ import annotations

from typing import Any

from properties._exact import Exact, elementwise, exact_value, fraction


@exact_value("polyak_update")
def polyak_update(target: Any, online: Any, *, polyak_step: float) -> Exact:
    """(1 - p) target + p online; one of them alone at p = 0 and p = 1, whatever the other is."""
    p = fraction(polyak_step)
    if p in (0, 1):
        return elementwise(fraction, online if p else target)
    return elementwise(lambda t, o: (1 - p) * fraction(t) + p * fraction(o), target, online)
