"""One transition with all that may stand for its next value: how it is drawn, and how a target is called on it."""

from __future__ import annotations

import math
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from properties._bounds import Floats
from properties._claim import Call
from properties._draw import BATCHES, FEW, STYLES, Shape, array_of, codes, decode_flags, dyadic
from properties._oracles import exact
from properties._trial import Trial

SUTTON = "Sutton & Barto 2018"


class Step(NamedTuple):
    """One transition and everything that may stand for its next value, twice; rows and policy [..., A], all else [...]."""

    reward: Floats
    value: Floats
    twin: Floats
    other_value: Floats
    other_twin: Floats
    log_prob: Floats
    row: Floats
    select: Floats
    other_row: Floats
    terminated: NDArray[np.bool_]
    action: NDArray[np.int64]
    policy: Floats
    discount: Any
    entropy_coefficient: float
    aggregate: str
    temperature: float


DISCOUNTS = (0.5, 1.0, 0.9, 0.0, 0.25, 0.75, 0.99)
COEFFICIENTS = (0.5, 0.0, 1.0, 0.2, 2.0)
TEMPERATURES = (1.0, 0.5, 2.0, 0.125, 16.0, 1024.0, 2.0**-10, 0.0, np.inf)
AGGREGATES = ("max", "mean", "log_mean_exp")
MOST_ACTIONS = 5


@cache
def steps(*, styles: tuple[str, ...] = STYLES, shapes: tuple[Shape, ...] = BATCHES) -> st.SearchStrategy[Step]:
    """Batches of transitions with 1 to 5 next actions, and one discount for all or one for each.

    Everything comes from one byte string: one choice for Hypothesis is several times faster than ten.
    """
    longest = 13 + max(math.prod(shape) for shape in shapes) * (2 * 6 + 3 + (2 * 3 + 1) * MOST_ACTIONS)
    return codes(longest).map(lambda bits: _decoded(bits, styles, shapes))


def _decoded(bits: bytes, styles: tuple[str, ...], shapes: tuple[Shape, ...]) -> Step:
    shape, style = shapes[bits[0] % len(shapes)], styles[bits[1] % len(styles)]
    size, actions = math.prod(shape), 1 + bits[2] % MOST_ACTIONS
    row, wide, start = (*shape, actions), size * actions, 13
    parts = []
    for length in (12 * size, 6 * wide, size, size, size, wide):
        parts.append(bits[start : start + length])
        start += length
    real, rows = array_of(parts[0], (6, *shape), style), array_of(parts[1], (3, *row), style)
    chosen, each, chances = (np.frombuffer(part, dtype=np.uint8) for part in parts[3:])
    named: dict[str, Any] = dict(zip(Step._fields[:6], (real[i, ...] for i in range(6)), strict=True))
    named |= dict(zip(Step._fields[6:9], rows, strict=True))
    return Step(
        **named,
        terminated=decode_flags(parts[2], FEW[bits[3] % len(FEW)], shape),
        action=(chosen % actions).astype(np.int64).reshape(shape),
        policy=dyadic(chances.reshape(row), (2, 8, 32)[bits[4] % 3], 0),
        discount=(each / 256.0).reshape(shape) if bits[5] % 3 == 2 else _scalar(DISCOUNTS, 1.0, bits[6:8]),
        entropy_coefficient=_scalar(COEFFICIENTS, 4.0, bits[8:10]),
        aggregate=AGGREGATES[bits[10] % 3],
        temperature=_scalar(TEMPERATURES, 64.0, bits[11:13]),
    )


def _scalar(usual: tuple[float, ...], most: float, bits: bytes) -> float:
    """One of the usual values, or, half the time, anything up to `most`."""
    code = int.from_bytes(bits, "big")
    return usual[code % len(usual)] if code < 2**15 else most * (code - 2**15 + 1) / 2**15 * (1 - 2.0**-40)


FOLLOWING: dict[str, tuple[str, ...]] = {
    "value_target": ("value",),
    "q_learning_target": ("row",),
    "sarsa_target": ("row", "action"),
    "expected_sarsa_target": ("row", "policy"),
    "double_q_target": ("select", "row"),
    "clipped_double_target": ("value", "twin"),
    "soft_target": ("value", "twin", "log_prob"),
    "sampled_target": ("row",),
}
"""What each target takes after reward and terminated, as fields of Step."""
TARGETS = tuple(FOLLOWING)


def target_call(name: str, step: Step) -> Call:
    keywords: dict[str, Any] = {"discount": step.discount}
    if name == "soft_target":
        keywords["entropy_coefficient"] = step.entropy_coefficient
    if name == "sampled_target":
        keywords["aggregate"] = step.aggregate
        if step.aggregate == "log_mean_exp":
            keywords["temperature"] = step.temperature
    fields = ("reward", "terminated", *FOLLOWING[name])
    return Call(tuple(np.asarray(getattr(step, field)) for field in fields), keywords)


def apply(port: Trial, name: str, step: Step) -> tuple[Floats, Floats]:
    """The target `name` of a step: value and error bound."""
    call = target_call(name, step)
    return port(name, *call.arguments, **call.keywords)


GIVEN = {"step": steps()}


def infinite_at_the_end(step: Step, infinity: float) -> Step:
    """The step with this for its next values and log-probabilities wherever it is terminated."""
    ended = step.terminated
    wild: dict[str, Any] = {field: np.where(ended, infinity, getattr(step, field)) for field in ("value", "twin", "log_prob")}
    wild |= {field: np.where(ended[..., None], infinity, getattr(step, field)) for field in ("row", "select")}
    return step._replace(**wild)


def live_discount(step: Step) -> Floats:
    """gamma (1 - terminated), without rounding."""
    return np.asarray(np.where(step.terminated, 0.0, step.discount))


def worth(step: Step, following: Any) -> Any:
    """r + gamma (1 - terminated) following, in Fractions."""
    return exact(step.reward) + exact(live_discount(step)) * following


def rejected(port: Trial, call: Call) -> bool:
    """Whether the subject raises ValueError."""
    return isinstance(port.outcome(call), ValueError)
