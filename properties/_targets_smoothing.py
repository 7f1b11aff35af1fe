"""smoothed_action, TD3's smoothing of the target action: error bound, equation, and what its two clips promise (A5)."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from hypothesis import strategies as st

from properties._bounds import Floats, gamma
from properties._claim import Call, claim, operator
from properties._draw import BATCHES, ROUGH, STYLES, values
from properties._oracles import exact
from properties._targets_steps import rejected
from properties._trial import Trial

FUJIMOTO = "Fujimoto et al. 2018"


@cache
def smoothings(*, styles: tuple[str, ...] = STYLES) -> st.SearchStrategy[Call]:
    """Calls of smoothed_action: noise within and beyond the clip; boxes open, closed, of one point, and one for each dimension."""
    frames = st.tuples(st.sampled_from(BATCHES), st.integers(1, 4), st.sampled_from(styles))
    return frames.flatmap(lambda frame: _parts((*frame[0], frame[1]), frame[2]).map(_as_call))


REACHES = st.sampled_from([0.5, 0.0, 1.0, 100.0, np.inf]) | st.floats(0.0, 64.0)
BOXES = st.sampled_from([(-1.0, 1.0), (-np.inf, np.inf), (0.0, 0.0), (-64.0, np.inf), (-np.inf, 2.0), (-32.0, 64.0)])


@cache
def _parts(shape: tuple[int, ...], style: str) -> st.SearchStrategy[tuple[Any, ...]]:
    each = values((2, shape[-1]), (style,)).map(lambda ends: (ends.min(axis=0), ends.max(axis=0)))
    return st.tuples(values((2, *shape), (style,)), REACHES, BOXES | each)


def _as_call(parts: tuple[Any, ...]) -> Call:
    (action, noise), reach, (low, high) = parts
    return Call((action, noise), {"noise_clip": reach, "low": low, "high": high})


@operator("smoothed_action", inputs=smoothings(styles=ROUGH))
def smoothed_bound(unit: float, action: Floats, noise: Floats, *, noise_clip: float, low: Any, high: Any) -> Floats:
    """One sum: clipping is exact and brings nothing further apart."""
    return gamma(1, unit) * np.abs(action + np.clip(noise, -noise_clip, noise_clip))


# -------------------------------------------------------------------------------------------- smoothing of the action
SMOOTHING = {"call": smoothings()}


def _smoothed(
    port: Trial, call: Call, action: Floats | None = None, noise: Floats | None = None, **keywords: Any
) -> tuple[Floats, Floats]:
    """smoothed_action with some of the arguments replaced: value and error bound."""
    first, second = (new if new is not None else old for new, old in zip((action, noise), call.arguments, strict=True))
    return port("smoothed_action", first, second, **(call.keywords | keywords))


@claim("targets", source=f"{FUJIMOTO}, §5.3", operators=["smoothed_action"], given=SMOOTHING)
def smoothed_action_is_its_equation(port: Trial, call: Call) -> None:
    """smoothed_action = clip(action + clip(noise, -c, c), low, high), against exact arithmetic."""
    found, error = _smoothed(port, call)
    action, noise = call.arguments
    reach, low, high = (np.broadcast_to(call.keywords[k], action.shape) for k in ("noise_clip", "low", "high"))
    limited = np.where(noise > reach, reach, np.where(noise < -reach, -reach, noise))
    moved = exact(action) + exact(limited)
    due = np.where(moved < low, low, np.where(moved > high, high, moved))
    port.equal(found, due, error)


@claim("A5", source=f"{FUJIMOTO}, §5.3, Algorithm 1", operators=["smoothed_action"], given=SMOOTHING)
def smoothed_action_stays_in_the_box(port: Trial, call: Call) -> None:
    """low <= smoothed_action <= high, without any slack, and no further than c from an action inside the box."""
    found, error = _smoothed(port, call)
    low, high = call.keywords["low"], call.keywords["high"]
    port.holds(
        np.all((low <= found) & (found <= high)), "low <= smoothed_action <= high", found=found, due=np.clip(found, low, high)
    )
    inside = np.clip(call.arguments[0], low, high)
    near, error = _smoothed(port, call, action=inside)
    port.at_most(np.abs(near - inside), call.keywords["noise_clip"], error + port.sum_error(np.stack([near, inside], -1)))


@claim("A5", source=f"{FUJIMOTO}, §5.3", operators=["smoothed_action"], given=SMOOTHING)
def smoothing_noise_is_clipped(port: Trial, call: Call) -> None:
    """Noise beyond +-c gives exactly what noise at +-c gives; no noise, or c = 0, gives exactly clip(action, low, high)."""
    action, noise = call.arguments
    found, _ = _smoothed(port, call)
    due, _ = _smoothed(port, call, noise=np.clip(noise, -call.keywords["noise_clip"], call.keywords["noise_clip"]))
    port.equal(found, due, 0.0, "noise beyond the clip")
    boxed = np.clip(action, call.keywords["low"], call.keywords["high"])
    port.equal(_smoothed(port, call, noise=np.zeros_like(noise))[0], boxed, 0.0, "no noise")
    port.equal(_smoothed(port, call, noise_clip=0.0)[0], boxed, 0.0, "c = 0")


@claim("targets", source=f"{FUJIMOTO}, §5.3", operators=["smoothed_action"], given=SMOOTHING, share=0.5)
def smoothing_is_symmetric(port: Trial, call: Call) -> None:
    """Turning the signs of action, noise and box turns the sign of the result: both sides of both clips are there."""
    due, error = _smoothed(port, call)
    action, noise = call.arguments
    found, _ = _smoothed(port, call, -action, -noise, low=-call.keywords["high"], high=-call.keywords["low"])
    port.equal(-found, due, 2 * error)


@claim("B10", source=f"{FUJIMOTO}, Algorithm 1 (a part of the target)", operators=["smoothed_action"], given=SMOOTHING, share=0.1)
def no_gradient_reaches_the_target_action(port: Trial, call: Call) -> None:
    """The derivative of smoothed_action in the target policy's action is exactly 0: it is a part of the target."""
    slope = port.derivative(0, *call.arguments, **call.keywords)
    port.equal(slope, np.zeros(call.arguments[0].shape), 0.0)


@claim("B11", source="the operator contract (shapes match exactly)", operators=["smoothed_action"], share=0.1,
       given={"pair": values((2, 3, 2))})  # fmt: skip
def one_noise_for_a_whole_batch_is_an_error(port: Trial, pair: Floats) -> None:
    """Noise [D] or [B, 1] with actions [B, D] raises ValueError and is never broadcast."""
    keywords = {"noise_clip": 0.5, "low": -1.0, "high": 1.0}
    for noise in (pair[1, 0], pair[1, :, :1], pair[1, None]):
        port.holds(rejected(port, Call((pair[0], noise), keywords)), f"noise of shape {noise.shape} with actions (3, 2) must raise")
