"""The expected maximum of independent estimates: its error bound, its values, and by how much it overestimates (M2, M4, M5)."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from properties._aggregates_bounds import holds_in
from properties._bounds import ELEMENTARY, UNIT, Floats, gamma
from properties._claim import Call, claim, operator
from properties._draw import BATCHES, ROUGH, STYLES, values
from properties._oracles import exact
from properties._oracles.overestimation import (
    expected_maximum_of_normals,
    expected_maximum_of_two_normals,
    expected_maximum_of_uniforms,
    expected_maximum_of_unit_normals,
)
from properties._trial import Trial

Draw = Callable[[st.SearchStrategy[Any]], Any]
THRUN = "Thrun & Schwartz 1993, §3"
DISTRIBUTIONS = ("uniform", "normal")
KINDS = st.sampled_from(DISTRIBUTIONS)
REACH = {"uniform": 1.0, "normal": 9.0}
"""Deviations from its mean within which an estimate lies, but for 1e-19."""


class Estimates(NamedTuple):
    """Means and deviations [..., m] of independent estimates."""

    means: Floats
    deviations: Floats


@st.composite
def estimates(draw: Draw, *, most: int = 5, styles: tuple[str, ...] = STYLES, batched: bool = True) -> Estimates:
    """Means and deviations of one scale, save that deviations may be 0, or differ by 2^10."""
    shape = (*draw(st.sampled_from(BATCHES if batched else ((),))), draw(st.integers(1, most)))
    style = (draw(st.sampled_from(styles)),)
    means, deviations = draw(values(shape, style)), np.abs(draw(values(shape, style)))
    factor, every = draw(st.sampled_from([1.0, 1.0, 0.0, 2.0**-10])), draw(st.integers(1, 3))
    deviations[..., ::every] *= factor
    return Estimates(means, deviations)


@operator(
    "expected_maximum",
    inputs=st.builds(lambda e, kind: Call((*e, kind), {}), estimates(styles=ROUGH), KINDS),
)
def expected_maximum_bound(unit: float, means: Floats, deviations: Floats, distribution: str) -> Floats:
    """E max = c + an integral; what counts is only what reaches the highest of the lower ends.

    - Rounding x - mean, its quotient with the deviation, and c moves each distribution function by at most 8 u of the sizes, and
      the expectation of a maximum no further than the largest move.
    - Each of m distribution functions, and their product: ELEMENTARY + 3 roundings where they rise (four deviations), and one over
      the rest of the range, where they are 1.
    - Nodes, weights and the sum: 64 roundings of an integral that is at most the sum of deviations.
    """
    reach = REACH[distribution] * deviations
    low = (means - reach).max(axis=-1, keepdims=True)
    rises = means + reach >= low
    spread = (means + reach).max(axis=-1) - low[..., 0]
    moved = np.where(rises, np.abs(means) + reach, 0.0).max(axis=-1)
    rising = np.where(rises, deviations, 0.0).sum(axis=-1)
    summed = gamma(64, unit) * np.minimum(spread, rising)
    return np.asarray(
        gamma(8, unit) * moved + gamma(4 * (ELEMENTARY + 3), unit) * rising + unit * rises.sum(axis=-1) * spread + summed
    )


def _by_row(oracle: Callable[..., Fraction], e: Estimates) -> Any:
    """The oracle's answer for every row, as an array of fractions."""
    wide = (part.reshape(-1, part.shape[-1]).tolist() for part in e)
    out = np.empty(e.means.shape[:-1], dtype=object)
    out.ravel()[:] = [oracle(*row) for row in zip(*wide, strict=True)]
    return out


@claim(
    "M4",
    source=THRUN,
    operators=["expected_maximum"],
    given={"e": estimates(most=4)},
    share=0.3,
    oracle="expected_maximum_of_uniforms",
)
def the_expected_maximum_of_uniforms_is_a_polynomial(port: Trial, e: Estimates) -> None:
    """E max of independent uniforms = the integral of piecewise polynomials, in fractions; 0 deviations and 2^10 apart included."""
    found, error = port("expected_maximum", *e, "uniform")
    port.equal(found, _by_row(expected_maximum_of_uniforms, e), error)


@claim(
    "M4",
    source="Clark 1961",
    operators=["expected_maximum"],
    given={"e": estimates(most=2)},
    share=0.5,
    oracle="expected_maximum_of_two_normals",
)
def the_expected_maximum_of_two_normals_is_clarks(port: Trial, e: Estimates) -> None:
    """E max(X, Y) = mu1 Phi(a) + mu2 Phi(-a) + s phi(a) with s^2 = the sum of the variances, a = (mu1 - mu2)/s."""
    pair = Estimates(*(np.concatenate([part, part], axis=-1)[..., :2] for part in e))
    found, error = port("expected_maximum", *pair, "normal")
    port.equal(found, _by_row(expected_maximum_of_two_normals, pair), error)


@claim(
    "M4",
    source="the definition",
    operators=["expected_maximum"],
    given={"e": estimates(most=4, batched=False)},
    share=0.02,
    oracle="expected_maximum_of_normals",
)
def the_expected_maximum_of_normals_is_the_integral(port: Trial, e: Estimates) -> None:
    """E max of independent normals = c + the integral above c of 1 - prod F_i - the integral below c of prod F_i, by quadrature."""
    found, error = port("expected_maximum", *e, "normal")
    port.equal(found, np.asarray(expected_maximum_of_normals(*(part.tolist() for part in e)), dtype=object), error)


@claim(
    "M4",
    source=f"{THRUN}, the maximum of m uniform errors; David & Nagaraja 2003, §3.1",
    operators=["expected_maximum"],
    given={"actions": st.sampled_from([1, 2, 3, 5, 64]), "centre": values((2,)), "kind": KINDS},
    share=0.25,
    oracle="expected_maximum_of_unit_normals",
)
def equal_means_gain_with_the_number_of_actions(port: Trial, actions: int, centre: Floats, kind: str) -> None:
    """With m equal means v and errors of one size e, E max = v + e (m-1)/(m+1) for uniform ones and v + e E max of m N(0, 1)."""
    size = np.abs(centre[1])
    rows = 1100 if actions == 1 else 1  # more than are integrated at once
    found, error = port("expected_maximum", np.full((rows, actions), centre[0]), np.full((rows, actions), size), kind)
    gain = Fraction(actions - 1, actions + 1) if kind == "uniform" else expected_maximum_of_unit_normals(actions)
    port.equal(found, np.full(rows, exact(centre[0]) + gain * exact(size), dtype=object), error)


# ----------------------------------------------------------------------------------------------------- what never fails
@claim(
    "M2",
    source="van Hasselt 2010, §2.1 (Jensen)",
    operators=["expected_maximum"],
    given={"e": estimates(), "kind": KINDS},
    share=0.5,
)
def the_expected_maximum_exceeds_every_mean_and_no_reach(port: Trial, e: Estimates, kind: str) -> None:
    """max E X <= E max X <= max E X + the sum of E|X - E X|; one estimate gives its mean; uniforms stay below their ends."""
    found, error = port("expected_maximum", *e, kind)
    port.at_most(e.means.max(axis=-1), found, error, "max E X <= E max X")
    size = 0.5 if kind == "uniform" else np.sqrt(2 / np.pi)
    room = size * e.deviations.sum(axis=-1) * (e.means.shape[-1] > 1)
    slack = error + port.sum_error(np.concatenate([e.means, e.deviations, e.deviations], axis=-1))
    port.at_most(found, e.means.max(axis=-1) + room, slack, "E max X <= max E X + sum of E|X - E X|")
    if kind == "uniform":
        port.at_most(found, (e.means + e.deviations).max(axis=-1), slack, "E max X <= the largest upper end")


@claim("M4", source="the definition", operators=["expected_maximum"], given={"e": estimates(), "kind": KINDS}, share=0.25)
def the_expected_maximum_moves_and_scales_with_its_estimates(port: Trial, e: Estimates, kind: str) -> None:
    """E max(X + c) = E max X + c; E max(4 X) = 4 E max X; the order of the estimates does not count."""
    due, due_error = port("expected_maximum", *e, kind)
    found, error = port("expected_maximum", 4 * e.means, 4 * e.deviations, kind)
    port.equal(found, 4 * due, error + 4 * due_error, "times 4")
    found, error = port("expected_maximum", e.means[..., ::-1], e.deviations[..., ::-1], kind)
    port.equal(found, due, error + due_error, "reversed")
    shift = e.means[..., :1] - 1.0
    if holds_in(port.dtype, e.means + shift) and np.array_equal(exact(e.means + shift), exact(e.means) + exact(shift)):
        found, error = port("expected_maximum", e.means + shift, e.deviations, kind)
        port.equal(found, exact(due) + exact(shift[..., 0]), error + due_error, "shifted")


@claim(
    "M4",
    source="the maximum is monotone and convex",
    operators=["expected_maximum"],
    given={"e": estimates(), "grow": values((5,)), "kind": KINDS},
    share=0.25,
)
def the_expected_maximum_grows_with_means_deviations_and_actions(port: Trial, e: Estimates, grow: Floats, kind: str) -> None:
    """A larger mean, a larger deviation (a spread that keeps the mean) and one estimate more never lower E max."""
    due, due_error = port("expected_maximum", *e, kind)
    more = np.abs(grow[: e.means.shape[-1]])
    for means, deviations in (
        (np.maximum(e.means, e.means + more), e.deviations),
        (e.means, np.maximum(e.deviations, e.deviations + more)),
        (np.concatenate([e.means, e.deviations[..., :1]], -1), np.concatenate([e.deviations, e.deviations[..., :1]], -1)),
    ):
        if holds_in(port.dtype, means, deviations):
            found, error = port("expected_maximum", means, deviations, kind)
            port.at_most(due, found, error + due_error + UNIT["float64"] * np.abs(due))


@claim(
    "M4",
    source="E|w Z| <= w",
    operators=["expected_maximum"],
    given={"below": st.integers(1, 7) | st.integers(8, 64), "scale": st.sampled_from([20, -20, 0]), "kind": KINDS},
    share=0.5,
)
def an_estimate_that_is_nearly_certain_counts_as_certain(port: Trial, below: int, scale: int, kind: str) -> None:
    """A deviation of w beside a certain -c moves E max by at most w, and is no trouble where w is a roundoff of c or less."""
    size, few = 2.0**scale, 1.5 * port.unit * 2.0 ** np.arange(-8, 9)
    means = np.broadcast_to(size * np.array([0.0, -below / 8.0]), (len(few), 2))
    due, due_error = port("expected_maximum", means, size * np.stack([np.ones(len(few)), 0 * few], axis=-1), kind)
    found, error = port("expected_maximum", means, size * np.stack([np.ones(len(few)), few], axis=-1), kind)
    port.equal(found, due, error + due_error + size * few)


@claim(
    "M4", source="the definition", operators=["expected_maximum"], given={"e": estimates(batched=False), "kind": KINDS}, share=0.25
)
def a_hopeless_estimate_changes_nothing(port: Trial, e: Estimates, kind: str) -> None:
    """An estimate more than 20 deviations below the others, and a certain one below their lower ends, leave E max as it is."""
    due, due_error = port("expected_maximum", *e, kind)
    low = (e.means - 20 * e.deviations).max() - 2.0**30
    for deviation in (0.0, 2.0**20):
        means, deviations = np.append(e.means, low - 32 * deviation), np.append(e.deviations, deviation)
        found, error = port("expected_maximum", *(np.float32(part).astype(np.float64) for part in (means, deviations)), kind)
        if holds_in("float32", *e):
            port.equal(found, due, error + due_error)


@claim(
    "M5", source="Fujimoto et al. 2018, §4.1", operators=["expected_maximum"], given={"e": estimates(), "kind": KINDS}, share=0.25
)
def an_expected_minimum_lies_below_every_mean(port: Trial, e: Estimates, kind: str) -> None:
    """E min X = -E max(-X) <= min E X; for two estimates E max + E min = the sum of the means."""
    lowest, error = port("expected_maximum", -e.means, e.deviations, kind)
    port.at_most(-lowest, e.means.min(axis=-1), error, "E min X <= min E X")
    if e.means.shape[-1] == 2:
        highest, off = port("expected_maximum", *e, kind)
        slack = error + off
        port.equal(
            np.zeros(lowest.shape), exact(highest) - exact(lowest) - exact(e.means).sum(axis=-1), slack, "E max + E min - sum"
        )
