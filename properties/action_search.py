"""Searching the best action of a critic: error bounds, elites and where they lead (A3); the ascent is in a file of its own."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from properties import _action_search_ascent  # noqa: F401  (registers its record and claims)
from properties._action_search_hills import hills, value_error
from properties._bounds import UNIT, Floats, gamma, rounded
from properties._claim import Call, Seeded, claim, operator
from properties._draw import BATCHES, ROUGH, SEEDS, STYLES, values
from properties._functions import WIDTHS, Hill, Ledger, Watched
from properties._oracles.action_search import elite_moments
from properties._trial import Trial

RUBINSTEIN = "Rubinstein & Kroese 2004, ch. 5"


# ------------------------------------------------------------------------------------------------------------- records
class Scored(NamedTuple):
    """Actions [..., n, D] with scores [..., n], and how many are elite."""

    actions: Floats
    scores: Floats
    elites: int


@st.composite
def scored(draw: Any, *, styles: tuple[str, ...] = STYLES, infinite: bool = True) -> Scored:
    """Up to six actions of up to three coordinates; scores that tie, and now and then infinite ones."""
    lead, size, dimensions = draw(st.sampled_from(BATCHES)), draw(st.sampled_from([3, 1, 2, 4, 5, 6])), draw(st.integers(1, 3))
    actions, scores = draw(values((*lead, size, dimensions), styles)), draw(values((*lead, size), styles))
    if infinite and draw(st.sampled_from([False, False, True])):
        scores = np.where(scores > 1, np.inf, np.where(scores < -1, -np.inf, scores))
    return Scored(actions, np.asarray(scores), draw(st.sampled_from([2 % size + 1, *range(1, size + 1)])))


def _far(s: Scored) -> Scored:
    return s._replace(actions=2.0**15 + 1.0 / 3.0 + s.actions)


def _apart(s: Scored) -> Scored:
    """The same scores, which tie as they did, of actions that differ."""
    size, dimensions = s.actions.shape[-2:]
    return s._replace(actions=s.actions + np.arange(size)[:, None] ** 2 * (1.0 + np.arange(dimensions)))


def anywhere() -> st.SearchStrategy[Scored]:
    """As drawn, or apart, or far, or both."""
    drawn = scored(styles=ROUGH)
    near = drawn | drawn.map(_apart)
    return near | near.map(_far)


ANYWHERE = {"s": anywhere()}


@operator("cem_refit", inputs=ANYWHERE["s"].map(lambda s: Call((s.actions, s.scores), {"elites": s.elites})), core=2)
def refit_bound(unit: float, actions: Floats, scores: Floats, *, elites: int) -> tuple[Floats, Floats]:
    """Mean: gamma_(k+1) mean |a|. Std: about a mean off by e it is at most e more, and its own k squares, sum, 1/k and root lose
    gamma_(k+6) of it; a running (Welford's) sum loses k u of the root mean square (Chan, Golub & LeVeque 1983)."""
    order = np.argsort(-scores, axis=-1, kind="stable")[..., :elites, None]
    chosen = np.take_along_axis(actions, order, axis=-2)
    spread, root = chosen.std(axis=-2), np.sqrt((chosen**2).mean(axis=-2))
    mean = gamma(elites + 1, unit) * np.abs(chosen).mean(axis=-2)
    return mean, gamma(elites + 6, unit) * spread + gamma(elites + 1, unit) * (root if elites > 1 else 0.0 * root)


class Search(NamedTuple):
    """A hill, a box [..., D] that may hold its peak or not, and how to search it."""

    hill: Hill
    low: Floats
    high: Floats
    iterations: int
    population: int
    elites: int
    seed: Seeded

    def numbers(self) -> dict[str, Any]:
        """The keywords."""
        sizes = {"iterations": self.iterations, "population": self.population, "elites": self.elites}
        return {**sizes, "generator": self.seed}


@cache
def searches() -> st.SearchStrategy[Search]:
    """Small searches: one or two coordinates, up to three iterations."""
    sizes = st.tuples(st.integers(1, 3), st.integers(1, 8), st.integers(1, 8), SEEDS)
    return st.builds(
        lambda h, s: Search(h.hill, h.low, h.high, s[0], max(s[1:3]), min(s[1:3]), s[3]), hills(leads=((), (2,), (1,))), sizes
    )


@operator("cross_entropy_search", inputs=searches().map(lambda s: Call((s.hill, s.low, s.high), s.numbers())), random=True,
          shared=("q_fn",), widths=WIDTHS)  # fmt: skip
def search_bound(unit: float, *arguments: Any, **keywords: Any) -> float:
    """A draw has no right answer."""
    return 0.0


# ------------------------------------------------------------------------------------------------------------- elites
SCORED = {"s": scored()}


@claim("A3", source=RUBINSTEIN, operators=["cem_refit"], given=ANYWHERE, oracle="elite_moments")
def elite_refit_is_exact(port: Trial, s: Scored) -> None:
    """Mean and population standard deviation (divided by k) of the k highest scores, of equal ones the first, exactly; also where
    the actions are far from 0 and near each other."""
    (mean, std), (mean_error, std_error) = port("cem_refit", s.actions, s.scores, elites=s.elites)
    due_mean, due_std = elite_moments(s.actions, s.scores, elites=s.elites)
    port.equal(mean, due_mean, mean_error, "mean")
    port.equal(std, due_std, std_error, "std")
    port.holds(bool(np.all(std >= 0)), "std >= 0", found=std)


@claim("A3", source=RUBINSTEIN, operators=["cem_refit"], given=SCORED, share=0.5)
def one_elite_is_the_best_action_and_has_no_spread(port: Trial, s: Scored) -> None:
    """With elites = 1 the mean is the first action of the highest score, and std is 0, both exactly."""
    mean, std = port.cem_refit(s.actions, s.scores, elites=1)
    best = np.argmax(s.scores, axis=-1)[..., None, None]
    port.equal(mean, np.take_along_axis(s.actions, best, axis=-2)[..., 0, :], 0.0, "mean")
    port.equal(std, np.zeros(std.shape), 0.0, "std")


@claim("A3", source="a batch may have no states", operators=["cem_refit"], given={"size": st.integers(1, 3)}, share=0.1)
def no_states_have_no_refit(port: Trial, size: int) -> None:
    """Actions [0, n, D] have a mean and std of [0, D]."""
    for found in port.cem_refit(np.zeros((0, size, 2)), np.zeros((0, size)), elites=1):
        port.equal(found, np.zeros((0, 2)), 0.0)


@claim("A3", source=RUBINSTEIN, operators=["cem_refit"], given=SCORED, share=0.5)
def only_the_order_of_the_scores_counts(port: Trial, s: Scored) -> None:
    """Scores 4 or 2^-90 times as large choose the same elites; actions twice as large, reversed in sign, give mean and std so."""
    (mean, std), (mean_error, std_error) = port("cem_refit", s.actions, s.scores, elites=s.elites)
    for factor in (4.0, 2.0**-90):
        again = port.cem_refit(s.actions, factor * s.scores, elites=s.elites)
        port.equal(again[0], mean, 2 * mean_error, "mean")
        port.equal(again[1], std, 2 * std_error, "std")
    turned = port.cem_refit(-2.0 * s.actions, s.scores, elites=s.elites)
    port.equal(turned[0], -2 * mean, 4 * mean_error, "the mean of -2 a")
    port.equal(turned[1], 2 * std, 4 * std_error, "the std of -2 a")


class Line(NamedTuple):
    """A concave quadratic of one coordinate, where it is searched from, and whether a wall keeps its peak out."""

    peak: Floats
    start: Floats
    std: float
    walled: bool


def _lines() -> st.SearchStrategy[Line]:
    near = st.integers(-256, 256).map(lambda k: np.array([k / 256.0]))
    return st.builds(Line, near, near, st.sampled_from([1.0, 2.0]), st.booleans())


NODES = np.arange(-4, 5) / 2.0
SHRINK = 0.40825
"""(1/2) sqrt(2/3), the deviation of three neighbouring nodes."""


@claim("A3", source=f"{RUBINSTEIN}; the proof is in its comments", operators=["cem_refit"], given={"line": _lines()}, share=0.3)
def refits_converge_linearly_to_the_constrained_maximiser(port: Trial, line: Line) -> None:
    """Refitting 3 of the 9 actions m + s (-2, -1.5, ..., 2), clipped, on a concave quadratic: |m_t - x*| <= 2 (0.40825)^t s_0, x*
    its maximiser (behind no wall, or at the wall that keeps its peak out)."""
    # Say |x* - m| <= 2 s, and h = s/2. The nearest three to x* are neighbours at gaps of at most h (at the wall one may repeat):
    # their deviation is at most sqrt(2/3) h, and their mean no further from x* than sqrt(3/2) deviations (x* at an end of them),
    # so again |x* - m| <= 2 s. At a wall with three nodes behind it the mean is x* and s = 0.
    # Rounding: an action (8 at most) and its score are off by three roundings, so that of two nodes the further one may be taken if
    # it is further by so much of the distance. Those of one step add up with the refit's own, and later steps multiply what is off
    # in s by 2 (1 + 0.40825 + ...) < 4.
    low, high = (-64.0, 64.0) if not line.walled else (-64.0, float(min(line.peak[0] - 1 / 64, line.start[0] + 2 * line.std)))
    best = np.clip(line.peak, low, high)
    if np.abs(best - line.start)[0] > 2 * line.std:
        return
    mean, std, off = line.start, np.array([line.std]), 0.0
    narrow = float(gamma(3, UNIT[port.dtype]))
    for step in range(1, 7):
        actions = np.asarray(rounded(np.clip(mean + std * NODES[:, None], low, high), port.dtype))
        scores = np.asarray(rounded(-((actions[:, 0] - line.peak[0]) ** 2), port.dtype))
        (mean, std), (mean_error, std_error) = port("cem_refit", actions, scores, elites=3)
        off += float(mean_error[0] + 2 * std_error[0]) + narrow * (8.0 + float(np.sqrt(np.abs(scores).max())))
        port.at_most(np.abs(mean - best), 2 * SHRINK**step * line.std, 4 * off, f"after {step} refits")


# ------------------------------------------------------------------------------------------------------------- search
SEARCH = {"s": searches()}


def _searched(port: Trial, s: Search) -> tuple[Floats, Floats, Ledger]:
    """A search, and all that it asked."""
    ledger = Ledger()
    action, value = port.cross_entropy_search(Watched(s.hill, ledger), s.low, s.high, **s.numbers())
    return action, value, ledger


@claim("A3", source=RUBINSTEIN, operators=["cross_entropy_search"], given=SEARCH, share=0.5)
def search_returns_the_best_action_ever_sampled(port: Trial, s: Search) -> None:
    """value = q(action) = the highest value of all that was asked, in every state; the action is one of those, inside the box."""
    action, value, ledger = _searched(port, s)
    asked, answered = np.concatenate(ledger.asked, axis=-2), np.concatenate(ledger.answered, axis=-1)
    port.equal(value, answered.max(axis=-1), 0.0, "value = the highest sampled")
    port.holds(
        bool(np.all((s.low <= action) & (action <= s.high))),
        "low <= action <= high",
        found=action,
        due=np.clip(action, s.low, s.high),
    )
    own = np.all(asked == action[..., None, :], axis=-1) & (answered == value[..., None])
    port.holds(bool(np.all(own.any(axis=-1))), "the action is one of those sampled, with its value", found=action)
    port.equal(value, s.hill(action), value_error(port.unit, s.hill, action), "value = q(action)")


@claim("A3", source=RUBINSTEIN, operators=["cross_entropy_search"], given=SEARCH, share=0.25)
def search_asks_for_one_population_in_the_box_each_iteration(port: Trial, s: Search) -> None:
    """q is called once an iteration, with [..., population, D] actions, all of them inside the box."""
    ledger = _searched(port, s)[2]
    due = [(*s.low.shape[:-1], s.population, s.low.shape[-1])] * s.iterations
    port.holds(
        [a.shape for a in ledger.asked] == due, "one population for each iteration", found=[list(a.shape) for a in ledger.asked][:1]
    )
    for asked in ledger.asked:
        inside = (s.low[..., None, :] <= asked) & (asked <= s.high[..., None, :])
        port.holds(bool(np.all(inside)), "low <= sampled <= high", found=asked)


@claim("A3", source=RUBINSTEIN, operators=["cross_entropy_search"], given=SEARCH, share=0.5)
def with_one_elite_the_second_population_is_the_best_of_the_first(port: Trial, s: Search) -> None:
    """One elite has no spread: every later sample is the best action of the first population, exactly."""
    ledger = _searched(port, s._replace(elites=1, iterations=3))[2]
    best = ledger.answered[0].argmax(axis=-1)[..., None, None]
    due = np.broadcast_to(np.take_along_axis(ledger.asked[0], best, axis=-2), ledger.asked[0].shape)
    for asked in ledger.asked[1:]:
        port.equal(asked, due, 0.0)


@claim("A3", source=RUBINSTEIN, operators=["cross_entropy_search"], given=SEARCH, share=0.5)
def the_second_population_is_drawn_about_the_refit_of_the_first(port: Trial, s: Search) -> None:
    """The same generator's noise for two critics: ((a - mean)/std) of the second population is the same for both, with each one's
    own refit of its first, wherever neither was clipped."""
    s = s._replace(iterations=2)
    one = _second(port, s)
    two = _second(port, s._replace(hill=s.hill._replace(centre=-s.hill.centre[::-1])))
    port.equal(one.first, two.first, 0.0, "the first population does not depend on the critic")
    low, high = s.low[..., None, :], s.high[..., None, :]
    free = (one.second > low) & (one.second < high) & (two.second > low) & (two.second < high)
    # (a - mean) std of the other: each a - mean and each std is off on both sides, in the port's type and in float64.
    left, right = (one.second - one.mean) * two.std, (two.second - two.mean) * one.std
    slack = 2 * (one.moved(port) * two.std + two.moved(port) * one.std)
    slack = slack + np.abs(one.second - one.mean) * two.std_off + np.abs(two.second - two.mean) * one.std_off
    slack = 2 * slack + 2 * one.std_off * two.std_off
    port.equal(np.where(free, left, 0.0), np.where(free, right, 0.0), slack)


@claim("A3", source=f"{RUBINSTEIN}: a product of normals", operators=["cross_entropy_search"], given=SEARCH, share=0.5)
def coordinates_have_noise_of_their_own(port: Trial, s: Search) -> None:
    """(a - centre) / (width/2) differs from coordinate to coordinate in at least one of three samples or more that no wall clipped:
    it is the same in all three by chance with probability below 2^-60."""
    ledger = _searched(port, s._replace(population=16, iterations=1))[2]
    centre, half = ((s.low + s.high) / 2)[..., None, :], ((s.high - s.low) / 2)[..., None, :]
    asked = ledger.asked[0]
    noise, slack = (asked - centre) / half, 2 * gamma(4, port.unit) * (np.abs(asked) + np.abs(centre)) / half
    free = np.all((asked > s.low[..., None, :]) & (asked < s.high[..., None, :]), axis=-1)
    apart = np.abs(noise[..., 0] - noise[..., -1]) > slack[..., 0] + slack[..., -1]
    few = free.sum(axis=-1) < 3
    port.holds(bool(np.all(few | np.any(free & apart, axis=-1) | (s.low.shape[-1] == 1))), "the coordinates differ", found=noise)


class Populations(NamedTuple):
    """The first two populations of a search, the refit of the first, and how far off that may be."""

    first: Floats
    second: Floats
    mean: Floats
    std: Floats
    mean_off: Floats
    std_off: Floats

    def moved(self, port: Trial) -> Floats:
        """How far off a - mean may be."""
        return np.asarray(self.mean_off + gamma(4, port.unit) * (np.abs(self.second) + np.abs(self.mean)))


def _second(port: Trial, s: Search) -> Populations:
    ledger = _searched(port, s)[2]
    first, scores = ledger.asked[0], ledger.answered[0]
    mean, std = port.cem_refit(first, scores, elites=s.elites)
    mean_off, std_off = refit_bound(port.unit, first, scores, elites=s.elites)
    return Populations(first, ledger.asked[1], *(m[..., None, :] for m in (mean, std, mean_off, std_off)))


@claim("A3", source=RUBINSTEIN, operators=["cross_entropy_search"], given=SEARCH, share=0.5)
def a_box_and_a_critic_twice_as_wide_give_an_action_twice_as_large(port: Trial, s: Search) -> None:
    """q'(a) = 4 q(a/2) on the box (2 low, 2 high): the same noise finds 2 a, as the search starts at the box's centre and width."""
    action, _, _ = _searched(port, s)
    double = s._replace(hill=s.hill._replace(centre=2.0 * s.hill.centre), low=2.0 * s.low, high=2.0 * s.high)
    port.equal(_searched(port, double)[0], 2.0 * action, 0.0)


WAYS = st.sampled_from([1.0, -2.0, 16.0])


@claim("A3", source=RUBINSTEIN, operators=["cross_entropy_search"], given=SEARCH | {"way": WAYS}, share=0.5)
def a_shifted_box_is_searched_from_its_own_centre(port: Trial, s: Search, way: float) -> None:
    """The box (low + c, high + c): the same noise asks for the same first population, c away."""
    s = s._replace(iterations=1)
    low, high = s.low[..., None, :], s.high[..., None, :]
    asked = _searched(port, s)[2].asked[0]
    moved = _searched(port, s._replace(low=s.low + way, high=s.high + way))[2].asked[0]
    # Each side: centre and half width rounded, a product, a sum, at most as large as both ends together; c added here.
    size = 2 * (np.abs(low) + np.abs(high)) + 4 * abs(way)
    port.equal(moved, asked + way, 2 * gamma(5, port.unit) * np.broadcast_to(size, asked.shape))
