"""Natural steps spend the whole KL budget (U1); searches accept what improves within it, or nothing (U2)."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from properties._bounds import ELEMENTARY, UNIT, Floats, gamma
from properties._claim import claim
from properties._draw import codes, values, whole_numbers
from properties._functions import Linear, Raised, Tent
from properties._oracles import exact
from properties._oracles.trust_region import solution_by_elimination
from properties._trial import Trial
from properties._trust_region_bounds import System, scale_error, turned

Draw = Callable[[st.SearchStrategy[Any]], Any]
TRPO = "Schulman et al. 2015 (TRPO), appendix C"
KAKADE = "Kakade 2002"


# -------------------------------------------------------------------------------------------------------- natural steps
class Asked(NamedTuple):
    """A gradient, a metric, and a budget."""

    gradient: Floats
    metric: Floats
    max_kl: float
    damping: float


@st.composite
def _asked(draw: Draw) -> Asked:
    """Metrics in sixteenths with eigenvalues between 1 and 7; gradients in whole numbers, not 0."""
    p = draw(st.integers(1, 4))
    bits = np.frombuffer(draw(codes(2 * p * p)), dtype=">u2").astype(np.int64).reshape(p, p)
    beside = np.tril(bits % 17 - 8, -1) / (8.0 * p)
    metric = np.rint(16 * (np.diag(2.0 + np.diag(bits) % 5) + beside + beside.T)) / 16
    gradient = np.rint(draw(values((p,), ("generic", "ties"))))
    gradient[0] += not gradient.any()
    return Asked(gradient, metric, draw(st.sampled_from([1.0, 0.01, 2.0**-10, 8.0])), draw(st.sampled_from([0.0, 0.5, 2.0])))


STEP = {"asked": _asked()}


def _knobs(asked: Asked) -> dict[str, Any]:
    """As many iterations as parameters, which is enough, and a tolerance that only stops a run with nothing left to do."""
    tolerance = float(np.abs(asked.gradient).max()) * 2.0**-40
    return {"max_kl": asked.max_kl, "iterations": len(asked.gradient), "tolerance": tolerance, "damping": asked.damping}


def _system(asked: Asked) -> System:
    knobs = _knobs(asked)
    return System(asked.metric, asked.gradient, knobs["iterations"], knobs["tolerance"], asked.damping)


@claim("U1", source=TRPO, operators=["natural_step"], given=STEP)
def the_natural_step_spends_the_whole_budget(port: Trial, asked: Asked) -> None:
    """(1/2) step' (F + damping I) step = max_kl, whatever the gradient's length."""
    step = port.natural_step(asked.gradient, Linear(asked.metric), **_knobs(asked))
    system = _system(asked)
    metric, s = exact(system.damped), exact(step)
    found = float(((metric * s).sum(axis=-1) * s).sum() / 2)
    port.holds(bool(step.any()), "a gradient that is not 0 moves the parameters", found=step)
    own = scale_error(port.unit, system, step) + port.unit
    absolute = np.abs(step) @ np.abs(system.damped) @ np.abs(step)
    slack = asked.max_kl * 2 * own * (1 + own) + port.unit * absolute * (1 + own) + UNIT["float64"] * found
    port.equal(np.asarray(found), exact(np.asarray(asked.max_kl)), slack)


@claim("U1", source=f"{KAKADE}; {TRPO}", operators=["natural_step"], given=STEP, share=0.5, oracle="solution_by_elimination")
def the_natural_step_is_the_best_of_its_budget(port: Trial, asked: Asked) -> None:
    """step = sqrt(2 max_kl / g'F^-1 g) F^-1 g, uphill: no other step of that quadratic KL has a larger product with g."""
    step, error = port("natural_step", asked.gradient, Linear(asked.metric), **_knobs(asked))
    system = _system(asked)
    ideal = solution_by_elimination(system.damped, asked.gradient)
    gain = float((exact(asked.gradient) * ideal).sum())
    due = ideal.astype(np.float64) * np.sqrt(2 * asked.max_kl / gain)
    known = turned(system, asked.max_kl, float(system.tolerance / np.linalg.eigvalsh(system.damped)[0]))
    # the due: two fractions rounded, 2 max_kl over one of them, its root, a product
    port.equal(step, due, error + known + gamma(5, UNIT["float64"]) * np.abs(due))
    best = np.sqrt(2 * asked.max_kl * gain)
    slack = np.abs(asked.gradient) @ (error + known) + gamma(len(step) + 5, UNIT["float64"]) * best
    port.equal(np.asarray(float((exact(asked.gradient) * exact(step)).sum())), np.asarray(best), slack, "gain to first order")


SMALL = 2.0**-40
"""Gradients this much smaller are below 1e-8, and what x'Fx is for them far below that."""


@claim("U1", source=f"{KAKADE}: units of the objective do not matter", operators=["natural_step"], given={
    **STEP, "factor": st.sampled_from([4.0, SMALL]),
}, share=0.5)  # fmt: skip
def the_gradients_length_leaves_the_natural_step(port: Trial, asked: Asked, factor: float) -> None:
    """c times the gradient gives the same step, for c = 4 and for c = 2^-40."""
    step, error = port("natural_step", asked.gradient, Linear(asked.metric), **_knobs(asked))
    scaled = asked._replace(gradient=factor * asked.gradient)
    found, other = port("natural_step", scaled.gradient, Linear(asked.metric), **_knobs(scaled))
    port.equal(found, step, error + other)


MANY = np.diag(np.arange(1.0, 17.0))
"""A metric of sixteen eigenvalues: ten iterations do not reach the solution."""
UNEVEN = (np.array([8.0, 2.0**-30]), np.diag([1.0, 4.0]))
"""After one iteration the residual is 3 2^-30, between 1e-10 and any coarser tolerance."""


@claim("U1", source=f"{TRPO}: 10 iterations", operators=["natural_step"], given={
    **STEP, "many": st.tuples(*[st.integers(1, 8)] * 16),
}, share=0.15)  # fmt: skip
def a_natural_step_by_default_takes_ten_iterations_without_damping(port: Trial, asked: Asked, many: tuple[int, ...]) -> None:
    """Unsaid, iterations are 10, the tolerance is 1e-10, and there is no damping; also where ten iterations are too few."""
    said = {"iterations": 10, "tolerance": 1e-10, "damping": 0.0}
    for gradient, metric in ((asked.gradient, asked.metric), (np.array(many, dtype=np.float64), MANY), UNEVEN):
        found, error = port("natural_step", gradient, Linear(metric), max_kl=asked.max_kl)
        due, other = port("natural_step", gradient, Linear(metric), max_kl=asked.max_kl, **said)
        port.equal(found, due, error + other)


@claim("U1", source=f"{TRPO}: nothing to be gained", operators=["natural_step"], given={"size": st.integers(1, 4)}, share=0.1)
def a_gradient_of_zero_takes_no_step(port: Trial, size: int) -> None:
    """g = 0, or within the tolerance: the step is 0, not 0/0, and not g."""
    none, metric = np.zeros(size), Linear(np.eye(size))
    port.equal(port.natural_step(none, metric, max_kl=0.5), none, 0.0)
    port.equal(port.natural_step(none + 0.25, metric, max_kl=0.5, tolerance=1.0), none, 0.0, "within the tolerance")


# ------------------------------------------------------------------------------------------------------------- searches
class Search(NamedTuple):
    """A landscape, a full step, and how it is shrunk."""

    tent: Tent
    step: Floats
    max_kl: float
    shrink: float
    max_backtracks: int

    @property
    def far(self) -> float:
        """How far along the landscape's direction the full step leads."""
        return abs(float(self.tent.direction @ self.step))

    def on(self, **changed: Any) -> Search:
        """The same search on a landscape that is changed so."""
        return self._replace(tent=self.tent._replace(**changed))


def _as_drawn(search: Search) -> Search:
    return search


def _missed_by_a_third(search: Search) -> Search:
    """The full step costs a third more than the budget, and improves."""
    far = search.far + (search.far == 0)
    return search.on(ridge=1000.0, cliff=1000.0, fog=1000.0, stiffness=1.0)._replace(max_kl=0.75 * far)


def _level(search: Search) -> Search:
    """The full step, or the next, costs nothing and is as high as the start."""
    return search.on(ridge=search.far * search.shrink ** (search.max_backtracks % 2) / 2, stiffness=0.0)


def _over_the_cliff(search: Search) -> Search:
    """The full step costs nothing, and its surrogate is NaN."""
    return search.on(ridge=1000.0, cliff=0.75 * search.far, stiffness=0.0)


def _into_the_fog(search: Search) -> Search:
    """The full step improves, and its kl is NaN."""
    return search.on(ridge=1000.0, cliff=1000.0, fog=0.75 * search.far)


CORNERS = (_as_drawn, _missed_by_a_third, _level, _as_drawn, _over_the_cliff, _into_the_fog)


@st.composite
def searches(draw: Draw, shrinks: tuple[float, ...]) -> Search:
    """Landscapes in whole numbers and powers of two; now and then with a cliff or fog, even where the search starts.

    Nearly all lead uphill; half of the budgets are met exactly by one of the steps, or missed by a third. About half of the
    searches find a step, most of those a shrunk one. Two of three are moved to a corner.
    """
    size = draw(st.integers(1, 3))
    direction, step = draw(whole_numbers((size,), 5)), draw(whole_numbers((size,), 9))
    direction[0] += not direction.any()
    step = step + direction * (direction @ step == 0 and draw(st.integers(0, 7)) < 7)
    step = step * (-1.0 if direction @ step < 0 and draw(st.integers(0, 7)) < 7 else 1.0)
    edge = st.sampled_from([1000.0] * 9 + [8.0, 1.0, -1.0])
    stiffness, shrink = draw(st.sampled_from([1.0, 0.125, 8.0, 0.0])), draw(st.sampled_from(shrinks))
    tent = Tent(direction, draw(st.sampled_from([1000.0, 32.0, 4.0, 1000.0, 0.0, -8.0])), draw(edge), draw(edge), stiffness)
    longest, met = draw(st.integers(0, 8)), draw(st.integers(-4, 4))
    exactly = stiffness * abs(float(direction @ step)) * shrink ** abs(met) * draw(st.sampled_from([1.0, 0.75]))
    max_kl = exactly if met >= 0 and exactly > 0 else draw(st.sampled_from([1.0, 4.0, 64.0, 0.25]))
    corner: Callable[[Search], Search] = draw(st.sampled_from(CORNERS))
    return corner(Search(tent, step, max_kl, shrink, longest))


class Found(NamedTuple):
    """What a search answers."""

    step: Floats
    accepted: bool
    backtracks: int


def _search(port: Trial, asked: Search) -> Found:
    keywords = {"max_kl": asked.max_kl, "shrink": asked.shrink, "max_backtracks": asked.max_backtracks}
    step, accepted, backtracks = port.backtracking_search(asked.tent, asked.step, **keywords)
    return Found(step, bool(accepted), int(backtracks))


ANY = {"asked": searches((0.5, 0.75, 0.8, 0.25, 0.9))}
EXACT = {"asked": searches((0.5, 0.25))}


@claim("U2", source=TRPO, operators=["backtracking_search"], given=ANY)
def an_accepted_step_improves_within_the_budget_and_a_failed_search_restores(port: Trial, asked: Search) -> None:
    """surrogate(step) > surrogate(0) and kl(step) <= max_kl, both; or the step is 0, and not accepted."""
    found = _search(port, asked)
    if not found.accepted:
        port.equal(found.step, np.zeros_like(asked.step), 0.0, "a failed search leaves the old parameters")
        return
    native = found.step.astype(port.port.native)
    (old, _), (surrogate, kl) = asked.tent(np.zeros_like(native)), asked.tent(native)
    port.holds(surrogate > old, "the surrogate must improve", found=surrogate, due=old)
    port.holds(kl <= asked.max_kl, "kl must not exceed max_kl", found=kl, due=asked.max_kl)


@claim("U2", source=TRPO, operators=["backtracking_search"], given=EXACT)
def the_first_acceptable_step_is_taken(port: Trial, asked: Search) -> None:
    """step shrink^k for the least k in 0, ..., max_backtracks that improves within the budget, and that k; 0 if none does. The
    budget itself is within, no change is no improvement, and NaN is neither."""
    found = _search(port, asked)
    tries = [asked.step * asked.shrink**k for k in range(asked.max_backtracks + 1)]
    good = [_acceptable(asked, tried) for tried in tries]
    port.holds(found.accepted == any(good), "accepted if and only if some step is acceptable", found=found.accepted, due=any(good))
    port.equal(found.step, tries[good.index(True)] if any(good) else np.zeros_like(asked.step), 0.0)
    if any(good):
        port.equal(found.backtracks, good.index(True), 0.0, "backtracks")


def _acceptable(asked: Search, tried: Floats) -> bool:
    (old, _), (surrogate, kl) = asked.tent(np.zeros_like(tried)), asked.tent(tried)
    return surrogate > old and kl <= asked.max_kl


@claim("U2", source=TRPO, operators=["backtracking_search"], given=ANY)
def every_step_tried_is_the_full_one_shrunk(port: Trial, asked: Search) -> None:
    """An accepted step is step shrink^backtracks, and 0 <= backtracks <= max_backtracks."""
    found = _search(port, asked)
    port.holds(0 <= found.backtracks <= asked.max_backtracks, "backtracks are counted from 0", found=found.backtracks)
    if found.accepted:
        due = exact(asked.step) * Fraction(asked.shrink) ** found.backtracks
        rounds = gamma(found.backtracks + ELEMENTARY + 1, port.unit)
        port.equal(found.step, due, rounds * np.abs(due.astype(np.float64)))


ALONG = np.array([1.0])


@claim("U2", source=TRPO, operators=["backtracking_search"])
def improvement_does_not_buy_kl_nor_kl_improvement(port: Trial) -> None:
    """kl = 10 max_kl with improvement is rejected, and so is kl = 0 without; kl = max_kl with improvement is accepted; a surrogate
    that stays as it is does not improve, at the same parameters or at others."""
    high = 1000.0
    dear, worse = Tent(ALONG, high, high, high, 10.0), Tent(-ALONG, high, high, high, 0.0)
    fair, level = Tent(ALONG, high, high, high, 1.0), Tent(ALONG, 0.5, high, high, 0.0)
    for tent, step, due in ((dear, 1.0, False), (worse, 1.0, False), (fair, 1.0, True), (level, 1.0, False), (fair, 0.0, False)):
        found = _search(port, Search(tent, step * ALONG, 1.0, 0.5, 0))
        port.holds(found.accepted == due, f"of step {step} in {tent}", found=found.accepted, due=due)
        port.equal(found.step, ALONG * due, 0.0)


@claim("U2", source=f"{TRPO}: the improvement of the surrogate", operators=["backtracking_search"], given={
    "level": st.sampled_from([-64.0, -1.0, 1.0, 64.0]), "way": st.integers(-8, 8), "ridge": st.sampled_from([1000.0, 2.0, 0.0]),
    "stiffness": st.sampled_from([0.0, 0.25, 1.0]), "tries": st.integers(0, 6),
}, share=0.5)  # fmt: skip
def only_the_surrogates_gain_counts(port: Trial, level: float, way: int, ridge: float, stiffness: float, tries: int) -> None:
    """surrogate + c is searched as the surrogate is, for every c: the same step, exactly, accepted or not, after as many tries."""
    tent, step = Tent(ALONG, ridge, 1000.0, 1000.0, stiffness), way * ALONG
    due = _search(port, Search(tent, step, 1.0, 0.5, tries))
    keywords = {"max_kl": 1.0, "shrink": 0.5, "max_backtracks": tries}
    raised, accepted, backtracks = port.backtracking_search(Raised(tent, level), step, **keywords)
    port.equal(raised, due.step, 0.0, f"the surrogate raised by {level}")
    port.equal([int(accepted), int(backtracks)], [int(due.accepted), due.backtracks], 0.0, "accepted, backtracks")


@claim("U2", source="NaN compares with nothing", operators=["backtracking_search"], given={
    "start": st.booleans(), "fog": st.booleans(), "tries": st.integers(0, 5),
}, share=0.25)  # fmt: skip
def nan_is_never_accepted(port: Trial, start: bool, fog: bool, tries: int) -> None:
    """A NaN surrogate or a NaN kl is rejected, and so is everything where the old surrogate is NaN."""
    edges = (1000.0, 2.0**-10) if fog else (-1.0 if start else 2.0**-10, 1000.0)
    found = _search(port, Search(Tent(ALONG, 1000.0, *edges, 0.0), ALONG, 1.0, 0.5, tries))
    port.holds(not found.accepted, "NaN must not be accepted", found=found.step)
    port.equal(found.step, np.zeros(1), 0.0)
