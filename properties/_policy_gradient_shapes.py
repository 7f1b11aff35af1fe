"""Arrays that do not fit are refused: NumPy and torch would stretch them, and the mean over [B, B] is a plausible number."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from hypothesis import strategies as st

from properties._bounds import rounded
from properties._claim import OPERATORS, Call, claim
from properties._targets_steps import rejected
from properties._trial import Trial

SHAPES = "the operator contract (shapes match exactly)"
ELEMENTWISE = (
    "reinforce_loss", "reinforce_loss_gradient", "clipped_surrogate", "clipped_surrogate_gradient", "soft_policy_loss",
    "soft_policy_loss_gradient",
)  # fmt: skip
ALONE = {"deterministic_policy_gradient": 2, "compatible_features": 2}
"""The axis of the parameters, where only the Jacobian has it: any length fits."""


def refuses_what_broadcasts(port: Trial, data: Any) -> None:
    """A valid call with one array that has an axis more, or one entry for all along an axis, is refused."""
    call = Call(*rounded(tuple(data.draw(OPERATORS[port.subject].inputs)), port.dtype))
    for place, array in enumerate(call.arguments):
        for changed in _stretching(array, ALONE.get(port.subject)):
            arguments = (*call.arguments[:place], changed, *call.arguments[place + 1 :])
            text = f"argument {place} of shape {changed.shape} in place of {array.shape} must raise ValueError"
            port.holds(rejected(port, call._replace(arguments=arguments)), text)


def _stretching(array: Any, alone: int | None) -> Iterator[Any]:
    """What NumPy would stretch to the array's shape or beyond."""
    yield array[..., None]
    for axis, length in enumerate(array.shape):
        if length > 1 and axis != alone:
            yield np.take(array, [0], axis=axis)


@claim("B11", source=SHAPES, operators=[*ELEMENTWISE, *ALONE], given={"data": st.data()}, share=0.25)
def losses_of_a_policy_are_never_broadcast(port: Trial, data: Any) -> None:
    """[B] beside [B, 1], or one entry for all B, raises ValueError: no loss and no gradient is made of [B, B] numbers."""
    refuses_what_broadcasts(port, data)
