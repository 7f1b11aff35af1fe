"""Target networks: the error bound of a Polyak step, and what it keeps, copies and never shares (T1)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from properties._bounds import UNIT, Floats, gamma
from properties._claim import Call, claim, operator
from properties._draw import ROUGH, STYLES, batches, fractions_of_one, values
from properties._oracles import exact
from properties._trial import Trial, travelling

Draw = Callable[[st.SearchStrategy[Any]], Any]
POLYAK = "Lillicrap et al. 2016, §3 (theta' <- tau theta + (1 - tau) theta')"
COPY = "Mnih et al. 2015, Algorithm 1 (every C steps reset the target)"
STEPS = st.one_of(fractions_of_one(), st.sampled_from([0.005, 0.995, 2.0**-10]))


class Networks(NamedTuple):
    """Parameters of the target and of the online network."""

    target: Floats
    online: Floats


@st.composite
def networks(draw: Draw, *, styles: tuple[str, ...] = STYLES) -> Networks:
    """Two arrays of one shape, with axes or without, each of its own scale."""
    shape = draw(st.one_of(batches(), st.just((2, 2, 2))))
    return Networks(draw(values(shape, styles)), draw(values(shape, styles)))


@st.composite
def _copies(draw: Draw) -> Call:
    """Steps of 0 and of 1, between networks of which either may hold an infinite parameter."""
    both = draw(networks(styles=ROUGH))
    which, infinite = draw(st.integers(0, 1)), draw(st.sampled_from([0.0, math.inf, -math.inf]))
    if infinite:
        both[which].ravel()[:: draw(st.integers(1, 3))] = infinite
    return Call(tuple(both), {"polyak_step": draw(st.sampled_from([0.0, 1.0]))})


@operator(
    "polyak_update",
    inputs=st.builds(lambda both, step: Call(tuple(both), {"polyak_step": step}), networks(styles=ROUGH), STEPS) | _copies(),
    core=0,
)
def polyak_bound(unit: float, target: Floats, online: Floats, *, polyak_step: float) -> Floats:
    """0 at p = 0 and p = 1, which are copies. Else three roundings of (1 - p) T + p O, of T + p (O - T), or, where p >= 1/2, of
    O - (1 - p)(O - T), whichever is largest."""
    p = polyak_step
    t, o = np.abs(target), np.abs(online)
    if p in (0.0, 1.0):
        return np.zeros(target.shape)
    from_target, from_online = t + p * (t + o), o + (1 - p) * (t + o)
    size = np.maximum(from_target, from_online) if p >= 0.5 else from_target
    return np.asarray(gamma(3, unit) * size)


GIVEN = {"n": networks(), "step": STEPS}


@claim("T1", source=POLYAK, operators=["polyak_update"], given=GIVEN)
def a_polyak_step_is_the_convex_combination(port: Trial, n: Networks, step: float) -> None:
    """polyak_update = (1 - p) target + p online, so it lies between the two: p is the fraction that moves."""
    found, error = port("polyak_update", *n, polyak_step=step)
    port.equal(found, (1 - exact(step)) * exact(n.target) + exact(step) * exact(n.online), error)
    port.at_most(found, np.maximum(*n), error, "at most the larger")
    port.at_most(np.minimum(*n), found, error, "at least the smaller")


@claim(
    "T1", source=f"{COPY}; {POLYAK}", operators=["polyak_update"], given={"n": networks(styles=ROUGH), "every": st.integers(1, 3)}
)
def step_zero_keeps_and_step_one_copies(port: Trial, n: Networks, every: int) -> None:
    """polyak_step 0 returns the target's numbers and 1 the online network's, bit for bit, though the other be infinite."""
    for step, (kept, other) in ((0.0, n), (1.0, n[::-1])):
        wild = np.array(other)
        wild.ravel()[::every] = math.inf
        for beside in (other, wild):
            pair = (kept, beside) if step == 0 else (beside, kept)
            port.equal(port.polyak_update(*pair, polyak_step=step), kept, 0.0, f"polyak_step {step:g}")
            due = np.asarray(port.polyak_update(*pair[::-1], polyak_step=step))
            port.equal(due, beside, 0.0, f"polyak_step {step:g}, exchanged")


@claim("T1", source=POLYAK, operators=["polyak_update"], given={**GIVEN, "steps": st.integers(1, 8)}, share=0.5)
def k_steps_toward_a_constant_close_the_gap_geometrically(port: Trial, n: Networks, step: float, steps: int) -> None:
    """After k steps toward a constant online network the target has moved 1 - (1 - p)^k of the way."""
    moving, slack = n.target, np.zeros(n.target.shape)
    for _ in range(steps):
        moving, error = port("polyak_update", moving, n.online, polyak_step=step)
        slack = (1 - step) * slack + error
    share = 1 - (1 - exact(step)) ** steps
    slack = slack * (1 + gamma(3 * steps, UNIT["float64"]))  # its own recurrence takes three roundings a step
    port.equal(moving, exact(n.target) + share * (exact(n.online) - exact(n.target)), slack)


@claim(
    "T1",
    source=POLYAK,
    operators=["polyak_update"],
    given={"n": networks(), "step": st.sampled_from([0.25, 0.5, 0.875])},
    share=0.5,
)
def infinite_parameters_stay_infinite(port: Trial, n: Networks, step: float) -> None:
    """For 0 < p < 1 a step from or toward an infinite parameter is that infinity, and leaves the parameters beside it alone."""
    due, error = port("polyak_update", *n, polyak_step=step)
    first = np.arange(n.target.size).reshape(n.target.shape) == 0
    for infinite in (math.inf, -math.inf):
        for pair in ((np.where(first, infinite, n.target), n.online), (n.target, np.where(first, infinite, n.online))):
            found = port.polyak_update(*pair, polyak_step=step)
            port.equal(found, np.where(first, infinite, due), 2 * error)


@claim("T1", source=f"{COPY}; {POLYAK}", operators=["polyak_update"], given=GIVEN, share=0.5)
def target_and_online_networks_never_share_memory(port: Trial, n: Networks, step: float) -> None:
    """The result shares memory with neither network, at p = 0 and p = 1 too, and neither network changes."""
    for p in (step, 0.0, 1.0):
        moving = Call(*travelling((tuple(np.array(part) for part in n), {"polyak_step": p}), port.port.native))
        before = [part.tobytes() for part in moving.arguments]
        found = np.asarray(port.bare(moving))
        for name, part, was in zip(Networks._fields, moving.arguments, before, strict=True):
            port.holds(not np.shares_memory(found, part), f"the result is the memory of {name} at polyak_step {p:g}")
            port.holds(part.tobytes() == was, f"{name} was written to", found=part)
