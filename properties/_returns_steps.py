"""Returns and advantages: the shapes of what belongs to a step, a discount for each, and long products of discounts."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from properties._claim import claim
from properties._draw import Trajectory, codes
from properties._returns_calls import ALL, GIVEN, NEXT, RETURNS, SUTTON, applied, call_of
from properties._trial import Trial


@claim("R3", source="the operator contract (shapes match exactly)", operators=RETURNS, given=GIVEN, share=0.1)
def returns_of_shapes_that_differ_are_refused(port: Trial, t: Trajectory, knobs: dict[str, Any]) -> None:
    """[B, T] with [B, T, 1] or [1, B, T] raises ValueError, whichever argument has the extra axis, and is never broadcast."""
    for name in ALL if port.subject == "gae" else NEXT:
        for longer in (getattr(t, name)[..., None], getattr(t, name)[None]):
            answer = port.outcome(call_of(port.subject, t._replace(**{name: longer}), knobs))
            port.holds(
                isinstance(answer, ValueError), f"{name} of shape {longer.shape} among others of {t.reward.shape} must raise"
            )
    column = knobs | {"discount": np.full((*t.reward.shape, 1), 0.5)}
    answer = port.outcome(call_of(port.subject, t, column))
    port.holds(isinstance(answer, ValueError), "a discount for each step with an axis too many must raise")


STEPWISE = {**GIVEN, "powers": codes(8 * 6)}


@claim("R3", source=f"{SUTTON}, eq. 12.17 (a discount for each step)", operators=RETURNS, given=STEPWISE, share=0.5)
def discounts_of_each_step_are_a_change_of_units(port: Trial, t: Trajectory, knobs: dict[str, Any], powers: bytes) -> None:
    """P_t G_t is the undiscounted return of P_t r_t, P_(t+1) V'_t and P_t V_t, P_t the product of the discounts before step t."""
    discount = CHOICES[np.frombuffer(powers, dtype=np.uint8)[: t.reward.size] % len(CHOICES)].reshape(t.reward.shape)
    after = np.cumprod(discount, axis=-1)
    before = np.concatenate([np.ones_like(after[..., :1]), after[..., :-1]], axis=-1)
    units = t._replace(reward=before * t.reward, value=before * t.value, next_value=after * t.next_value)
    gain, gain_error = applied(port, port.subject, t, knobs | {"discount": discount})
    found, error = applied(port, port.subject, units, knobs | {"discount": 1.0})
    port.equal(found, before * gain, error + before * gain_error)


CHOICES = np.array([0.5, 1.0, 0.25, 0.125, 0.0])
"""Discounts by which a product is exact."""


LARGEST = {"float64": 1000, "float32": 120, "bfloat16": 120}
"""Exponents near the largest of each type."""
LONG = {
    "steps": st.integers(2, 40),
    "place": st.integers(0, 39),
    "part": st.integers(1, 100),
    "window": st.integers(1, 40),
    "half": st.booleans(),
    "bootstrapped": st.booleans(),
}


@claim("R3", source=f"{SUTTON}, eq. 3.8", operators=RETURNS, given=LONG, share=0.5, every_dtype=True)
def what_a_long_product_of_discounts_multiplies_is_not_lost(
    port: Trial, steps: int, place: int, part: int, window: int, half: bool, bootstrapped: bool
) -> None:
    """One reward of 2^m, or one bootstrap, is worth 2^(m - dk) k steps before, though the k discounts of 2^-d have a product that
    underflows: nothing else is in the row, and powers of two do not round."""
    place, most = place % steps, LARGEST[port.dtype]
    lambda_, step = 0.5 if half else 1.0, max(1, most * part // 256)
    one = np.zeros(steps)
    one[place] = np.ldexp(1.0, most)
    none, end = np.zeros(steps), one > 0
    t = Trajectory(one, end, end & False, none, none)
    if bootstrapped:
        t = Trajectory(none, end & False, end, none, one)
    knobs = {"n": window, "margin": window - 1, "lambda_": lambda_, "discount": 2.0**-step}
    found, error = applied(port, port.subject, t, knobs)
    away = place - np.arange(steps)
    reaches = (away >= 0) & ((away < window) | (port.subject not in ("n_step_returns", "margin_returns")))
    fading = step + (half and "lambda_" in call_of(port.subject, t, knobs).keywords)
    port.equal(found, np.where(reaches, np.ldexp(1.0, most - bootstrapped * step - fading * np.abs(away)), 0.0), error)
