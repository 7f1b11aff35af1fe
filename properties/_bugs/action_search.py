"""Bugs of elite refits and of gradient ascent; those of cross-entropy search are in action_search_draws."""

from __future__ import annotations

from typing import Any

import numpy as np

import reference
from properties._bounds import Floats
from properties._bugs._record import Behaves, Bug, Probe, primes, probe
from properties._bugs.trust_region import checked
from properties._functions import Slope
from reference.action_search import Ascent, Refit


def _refit(change: str) -> Behaves:
    def refit(actions: Any, scores: Any, *, elites: int) -> Refit:
        right = reference.cem_refit(actions, scores, elites=elites)
        if change == "lowest":
            return reference.cem_refit(actions, -scores, elites=elites)
        if change == "batch":
            every = reference.cem_refit(actions.reshape(-1, actions.shape[-1]), scores.ravel(), elites=elites)
            return Refit(*(np.broadcast_to(each, right.mean.shape) for each in every))
        if change == "later ties":
            return reference.cem_refit(actions[..., ::-1, :], scores[..., ::-1], elites=elites)
        count = {"all": scores.shape[-1], "one less": max(elites - 1, 1)}.get(change, elites)
        order = np.argsort(-scores, axis=-1, kind="stable")[..., :count]
        kept = np.take_along_axis(actions, order[..., None], axis=-2)
        mean, std = (right.mean, right.std) if count == elites else (kept.mean(axis=-2), kept.std(axis=-2))
        return Refit(_centre(change, kept, np.take_along_axis(scores, order, axis=-1), mean), _spread(change, kept, actions, std))

    return refit


def _centre(change: str, kept: Floats, scores: Floats, mean: Floats) -> Floats:
    if change == "weighted":
        better = np.exp(np.nan_to_num(scores - scores[..., :1], nan=0.0, neginf=-np.inf))
        return np.asarray((kept * (better / better.sum(axis=-1, keepdims=True))[..., None]).sum(axis=-2))
    return {"best": kept[..., 0, :], "median": np.median(kept, axis=-2)}.get(change, mean)


def _spread(change: str, kept: Floats, actions: Floats, std: Floats) -> Floats:
    if change == "sample":
        return np.asarray(kept.std(axis=-2, ddof=1) if kept.shape[-2] > 1 else 0.0 * std)
    if change == "one pass":
        return np.asarray(np.sqrt(np.abs((kept**2).mean(axis=-2) - kept.mean(axis=-2) ** 2)))
    if change == "all dimensions":
        return np.asarray(np.broadcast_to(std.mean(axis=-1, keepdims=True), std.shape))
    several: dict[str, Floats] = {
        "variance": std**2,
        "floor": np.maximum(std, 1e-2),
        "constant": std + 1e-6,
        "about all": actions.std(axis=-2),
    }
    return several.get(change, std)


def _climb(change: str) -> Behaves:
    def search(
        q_and_gradient: Any, start: Any, low: Any, high: Any, *, step_size: float, tolerance: float, max_iterations: int
    ) -> Ascent:
        box = {"no box": (-np.inf, np.inf), "box at the end": (-np.inf, np.inf), "unit box": (-1.0, 1.0)}.get(change, (low, high))
        action = np.array(start, dtype=float) if change == "start" else np.clip(start, *box)
        taken = np.zeros(action.shape[:-1], dtype=np.int64)
        moving = np.ones(taken.shape, dtype=bool)
        value, gradient = q_and_gradient(action.copy())
        for _ in range(max_iterations + (change == "one more")):
            proposal = np.clip(action + step_size * _way(change, gradient), *box)
            far = _far(change, proposal - action, gradient, tolerance, step_size)
            moved = moving & far if change != "takes the last" else moving
            moving = moving & far if change != "together" else np.broadcast_to(far.any(), far.shape)
            moved = moving if change == "together" else moved
            if not moved.any():
                break
            before = value
            action, taken = np.where(moved[..., None], proposal, action), taken + moved
            value, gradient = q_and_gradient(action.copy())
            value = before if change == "old value" else value
        action = np.clip(action, low, high) if change == "box at the end" else action
        return Ascent(action, value, np.asarray(taken + (change == "counts one more")))

    return checked("gradient_search", search, _plain)


def _plain(actions: Any) -> tuple[Any, Any]:
    """A critic without a slope."""
    return np.zeros(np.shape(actions)[:-1]), np.zeros(np.shape(actions))


def _way(change: str, gradient: Floats) -> Floats:
    if change == "unit length":
        return np.asarray(gradient / np.maximum(np.linalg.norm(gradient, axis=-1, keepdims=True), 1e-8))
    ways = {
        "descent": -gradient,
        "sign": np.sign(gradient),
        "two": 2 * gradient,
        "batch": gradient / len(gradient.reshape(-1, gradient.shape[-1])),
    }
    return np.asarray(ways.get(change, gradient))


def _far(change: str, gap: Floats, gradient: Floats, tolerance: float, step_size: float) -> Any:
    """Which rows go on."""
    if change == "unprojected":
        return np.abs(gradient).max(axis=-1) > tolerance
    size = np.linalg.norm(gap, axis=-1) if change == "norm" else np.abs(gap).max(axis=-1)
    return size > tolerance * (1.0 if change == "unscaled" else step_size)


REFIT = (
    ("lowest-scores", "the elites are those of the lowest scores", "", "lowest"),
    ("later-of-equal-scores", "of equal scores the later ones are kept", "", "later ties"),
    ("elites-of-the-whole-batch", "the highest scores are sought over batch and samples, not for each state",
     "resampling-softmax-over-batch-and-samples dqn-max-over-batch", "batch"),
    ("all-actions", "all actions are elites", "", "all"),
    ("one-elite-less", "elites - 1 of them are kept", "", "one less"),
    ("best-for-the-mean", "the best action in place of the elites' mean", "", "best"),
    ("median-for-the-mean", "the median of the elites in place of their mean", "", "median"),
    ("weighted-mean", "the mean is weighted by exp(score), as in MPPI", "", "weighted"),
    ("over-one-elite-less", "the deviation divides by k - 1", "", "sample"),
    ("variance-for-deviation", "no root is taken", "", "variance"),
    ("deviation-of-all-actions", "the deviation of the population, not of the elites", "", "about all"),
    ("deviation-of-all-dimensions", "one deviation for all dimensions, their mean", "gaussian-logstd-single-parameter",
     "all dimensions"),
    ("deviation-floored", "the deviation is never less than 0.01", "", "floor"),
    ("constant-added-to-the-deviation", "1e-6 is added to the deviation, which never gets to 0", "", "constant"),
    ("mean-square-less-squared-mean", "the variance is E[a^2] - E[a]^2, of which cancellation leaves noise", "", "one pass"),
)  # fmt: skip

CLIMB = (
    ("box-not-applied", "actions are not clipped to the box", "", "no box"),
    ("box-at-the-end-only", "actions are clipped when the search is over", "", "box at the end"),
    ("box-taken-for-unit-box", "actions are clipped to [-1, 1], whatever the box", "exploration-noise-ignores-action-scale",
     "unit box"),
    ("start-not-clipped", "a start outside the box stays there until the first step", "", "start"),
    ("descends", "the steps lead downhill", "", "descent"),
    ("sign-of-the-gradient", "steps of one size in every coordinate", "", "sign"),
    ("gradient-normalised", "the gradient is divided by its length", "", "unit length"),
    ("gradient-of-the-batch-mean", "the gradient is that of the mean over states: each is divided by their number",
     "ddpg-double-batch-division", "batch"),
    ("steps-twice-as-long", "two step sizes at a time", "", "two"),
    ("tolerance-of-the-step", "the tolerance is held against the step, not against the step over its size", "", "unscaled"),
    (
        "tolerance-of-the-gradient",
        "the tolerance is held against the gradient: at a wall the search never stops",
        "",
        "unprojected",
    ),
    ("tolerance-of-the-norm", "the tolerance is held against the Euclidean length, not the largest coordinate", "", "norm"),
    ("last-step-taken", "the step within the tolerance is taken, too", "", "takes the last"),
    ("rows-stop-together", "all rows go on while one does", "", "together"),
    ("value-before-the-last-step", "the value is that of the action before", "", "old value"),
    ("one-iteration-more", "max_iterations + 1 of them", "", "one more"),
    ("iterations-counted-from-one", "the count is one too many", "", "counts one more"),
)  # fmt: skip

BUGS = (
    *(Bug("cem_refit", slug, story, seen, _refit(change)) for slug, story, seen, change in REFIT),
    *(Bug("gradient_search", slug, story, seen, _climb(change)) for slug, story, seen, change in CLIMB),
)

BOWL = Slope(np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([3.0, -2.0]))


def _up(start: Any, low: Any, high: Any, tolerance: float, most: int) -> Probe:
    boxes = (np.array(each, dtype=np.float64) for each in (start, low, high))
    return probe(BOWL, *boxes, step_size=0.25, tolerance=tolerance, max_iterations=most)


PROBES: dict[str, tuple[Probe, ...]] = {
    "cem_refit": (
        probe(primes(2, 5, 2, after=6) * [1, -1], np.array([[5.0, 2.0, 7.0, 3.0, 1.0], [1.0, 3.0, 3.5, 2.0, 3.0]]), elites=3),
        probe(primes(4, 1, after=6), np.array([1.0, 3.0, 3.0, 3.0]), elites=2),
        probe(np.array([[5.0], [7.0], [5.0]]), np.array([3.0, 1.0, 2.0]), elites=2),
        probe(np.array([[4097.0], [4098.0], [4100.0]]) * 2.0**16, np.array([3.0, 1.0, 2.0]), elites=3),
    ),
    "gradient_search": (
        _up([[5.0, -7.0], [0.5, 1.0]], [[-4.0, -3.0], [-9.0, -8.0]], [[2.0, 4.0], [8.0, 9.0]], 0.5, 9),
        _up([[0.5, 1.0], [2.0, -1.0]], [[-9.0, -8.0]] * 2, [[8.0, 9.0]] * 2, 2.0**-6, 3),
        _up([5.0, -7.0], [-4.0, -3.0], [2.0, 4.0], 64.0, 5),
        _up([0.5, 1.0], [-0.25, -0.5], [2.5, 4.0], 0.125, 30),
    ),
}
