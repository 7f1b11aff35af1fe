"""A3: what cross-entropy search finds, in distribution: the law of one population's best, and that refits lead to the maximiser."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtr

from properties._bounds import Floats
from properties._functions import Hill, Ledger, Watched
from properties._ledger import Case
from properties._sampled import Observations, Stream, sampled
from properties._trial import Trial

RUBINSTEIN = "Rubinstein 1999; Kalashnikov et al. 2018 (QT-Opt)"
HALF = 1.0
"""The box is [-1, 1] in each coordinate: the search starts at 0 with deviation 1."""


class Asked(NamedTuple):
    """One peak, equal in all coordinates, the radii around it that count, and the numbers of the search."""

    peak: float
    radii: Floats
    coordinates: int
    numbers: dict[str, int]

    @property
    def best(self) -> float:
        """The constrained maximiser's coordinate."""
        return min(self.peak, HALF)


def mass(asked: Asked, mean: float = 0.0, std: float = HALF) -> Floats:
    """The chance that one clipped sample of N(mean, std^2) lies within each radius of the maximiser, in every coordinate."""
    upper = np.where(asked.best + asked.radii >= HALF, np.inf, asked.best + asked.radii)
    one = ndtr((upper - mean) / std) - ndtr((asked.best - asked.radii - mean) / std)
    return np.asarray(one**asked.coordinates)


def reached(chance: Any, samples: int) -> Floats:
    """The chance that one of so many independent samples does."""
    return np.asarray(-np.expm1(samples * np.log1p(-np.asarray(chance))))


def _population(name: str, peak: float, radii: tuple[float, ...], size: int) -> Case:
    asked = Asked(peak, np.array(radii), 1, {"iterations": 1, "population": size, "elites": 1})
    flat = np.where(asked.best >= HALF, 0.0, np.array(radii))
    wrong = {
        "deviation-is-the-whole-width": reached(mass(asked, std=2 * HALF), size),
        "deviation-is-a-quarter-of-the-width": reached(mass(asked, std=HALF / 2), size),
        "starts-at-the-lower-bound": reached(mass(asked, mean=-HALF), size),
        "first-population-uniform": reached(flat, size),
        "any-sample-instead-of-the-best": mass(asked),
    }
    return Case(name, tuple(f"within {r:g}" for r in radii), reached(mass(asked), size), wrong, asked)


POPULATIONS = (_population("peak inside", 0.25, (1 / 64, 1 / 16, 1 / 4), 16), _population("peak beyond a wall", 3.0, (0.0,), 4))


@sampled("A3", source=RUBINSTEIN, operators=["cross_entropy_search"], share=0.03, cases=POPULATIONS)
def one_population_has_the_best_of_its_normal_samples(port: Trial, case: Case, size: int, stream: Stream) -> Observations:
    """With one iteration of n samples the action found lies within r of the maximiser x with probability 1 - (1 - p)^n, p the mass
    that N(centre, (width/2)^2), clipped to the box, has within r of x; in every state on its own."""
    return _found(port, case.inputs, size, stream)


def _convergence(name: str, coordinates: int, radius: float, population: int) -> Case:
    numbers = {"iterations": 20, "population": population, "elites": population // 4}
    asked = Asked(0.25, np.array([radius]), coordinates, numbers)
    samples = 20 * population
    wrong = {
        "never-refitted": reached(mass(asked), samples),
        "mean-never-refitted": reached(mass(asked, std=HALF / 2), samples),
        "deviation-never-refitted": reached(mass(asked, mean=asked.best), samples),
    }
    return Case(name, ("within the radius",), np.ones(1), wrong, asked, _one_in_four)


def _one_in_four(dtype: str) -> float:
    """The sentence is about most searches: one in four may miss."""
    return 0.25


CONVERGENCES = (_convergence("one coordinate", 1, 2.0**-16, 96), _convergence("two coordinates", 2, 2.0**-8, 192))


@sampled("A3", source=RUBINSTEIN, operators=["cross_entropy_search"], share=0.03, cases=CONVERGENCES)
def refits_lead_to_the_maximiser(port: Trial, case: Case, size: int, stream: Stream) -> Observations:
    """On a strictly concave quadratic at least three searches in four come within r of the maximiser in 20 iterations, r so small
    that as many samples without refits do so in one search out of five at most."""
    return _found(port, case.inputs, size, stream)


REACH = 0.75
"""In deviations: the far wall is at least one of them away from the mean, so no sample is clipped into reach."""


def _refitted() -> Case:
    """Two elites, where n - 1 for n would make the deviation larger by the root of two."""
    asked = Asked(0.25, np.array([REACH]), 1, {"iterations": 2, "population": 32, "elites": 2})
    chances = {scale: np.array([0.5, ndtr(REACH / scale) - 0.5]) for scale in (1.0, np.sqrt(2.0), 0.5)}
    wrong = {"deviation-over-one-elite-less": chances[np.sqrt(2.0)], "deviation-is-halved": chances[0.5]}
    return Case("two elites", ("towards the centre", "near and towards it"), chances[1.0], wrong, asked, _narrow_refits)


def _narrow_refits(dtype: str) -> float:
    """Two elites may be so near each other that rounding matters: in float32 for one in 2^12, by far."""
    return 2.0**-12


@sampled("A3", source=RUBINSTEIN, operators=["cross_entropy_search"], share=0.03, cases=[_refitted()])
def second_populations_have_the_refitted_deviation(port: Trial, case: Case, size: int, stream: Stream) -> Observations:
    """A sample of the second population lies on the centre's side of the elites' mean m with probability 1/2, and there within
    3/4 of their deviation s (divided by n, not n - 1) with that of N(m, s^2)."""
    asked, ledger = case.inputs, Ledger()
    high = np.full((size, 1), HALF)
    hill = Watched(Hill(np.eye(1), np.full(1, asked.peak)), ledger)
    port.cross_entropy_search(hill, -high, high, **asked.numbers, generator=stream(0))
    port.holds(len(ledger.asked) > 1, f"two populations must be asked for their values; got {len(ledger.asked)}")
    mean, std = port.cem_refit(ledger.asked[0], ledger.answered[0], elites=asked.numbers["elites"])
    inwards = (ledger.asked[1][:, 0] - mean) * np.where(mean > 0, -1.0, 1.0)
    return np.concatenate([inwards >= 0, (inwards >= 0) & (inwards <= asked.radii * std)], axis=-1)


def _found(port: Trial, asked: Asked, size: int, stream: Stream) -> Observations:
    """[size, radii]: whether each state's action is within each radius of the maximiser."""
    high = np.full((size, asked.coordinates), HALF)
    hill = Hill(np.eye(asked.coordinates), np.full(asked.coordinates, asked.peak))
    action = np.asarray(port.cross_entropy_search(hill, -high, high, **asked.numbers, generator=stream(0))[0])
    port.holds(action.shape == high.shape, f"the actions must have shape {high.shape}; got {action.shape}")
    return np.asarray(np.abs(action - asked.best).max(axis=-1)[:, None] <= asked.radii)
