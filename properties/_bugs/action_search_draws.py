"""Bugs of cross-entropy search, told from one another by the distribution of what it finds."""

from __future__ import annotations

from typing import Any

import numpy as np

from properties._bounds import Floats
from properties._bugs._record import Behaves, Bug, Draws, Probe, probe
from properties._functions import Hill
from reference.action_search import Found


def _search(change: str) -> Behaves:
    """Cross-entropy search with one thing wrong."""
    kept: dict[Any, Floats] = {}

    def search(q_fn: Any, low: Any, high: Any, *, iterations: int, population: int, elites: int, generator: Any) -> Found:
        mean, std = (low + high) / 2, (high - low) / 2 * {"whole width": 2.0, "quarter width": 0.5}.get(change, 1.0)
        mean = {"from the lower bound": low, "kept": kept.get(low.shape, mean)}.get(change, mean)
        best, value = mean, np.full(mean.shape[:-1], -np.inf)
        for k in range(iterations + {"one more": 1, "one less": -(iterations > 1)}.get(change, 0)):
            actions = mean[..., None, :] + std[..., None, :] * _noise(
                change, (*mean.shape[:-1], population, mean.shape[-1]), generator, k
            )
            actions = _interleaved(actions) if change == "interleaved" else actions
            actions = _boxed(change, actions, low[..., None, :], high[..., None, :])
            scores = np.asarray(q_fn(actions.copy()), dtype=float)
            order = np.argsort(scores if change == "minimises" else -scores, axis=-1, kind="stable")
            top = _chosen(change, scores, order, elites, generator)[..., None]
            top_score = np.take_along_axis(scores, top, axis=-1)[..., 0]
            action = np.take_along_axis(actions, top[..., None], axis=-2)[..., 0, :]
            better = (top_score > value) | (k == 0) | (change in ("last best", "any", "an elite"))
            best, value = np.where(better[..., None], action, best), np.where(better, top_score, value)
            mean, std = _refitted(change, mean, std, np.take_along_axis(actions, order[..., :elites, None], axis=-2))
        kept[low.shape] = mean
        if change == "batch":
            place = np.argmax(value)
            best = np.broadcast_to(best.reshape(-1, best.shape[-1])[place], best.shape)
            value = np.full(value.shape, value.flat[place])
        return Found(mean if change == "last mean" else best, np.zeros_like(value) if change == "no value" else value)

    return search


def _interleaved(actions: Floats) -> Floats:
    """[n, states, D], as drawn, taken for [states, n, D]."""
    drawn = np.moveaxis(actions.reshape(-1, *actions.shape[-2:]), 0, 1)
    return np.ascontiguousarray(drawn).reshape(actions.shape)


def _noise(change: str, shape: tuple[int, ...], generator: Any, k: int) -> Any:
    if change == "uniform" and k == 0:
        return generator.uniform(-1, 1, shape)
    shared = {"shared by states": (*[1] * (len(shape) - 2), *shape[-2:]), "shared by dimensions": (*shape[:-1], 1)}
    return np.broadcast_to(generator.standard_normal(shared.get(change, shape)), shape)


def _boxed(change: str, actions: Floats, low: Floats, high: Floats) -> Floats:
    if change == "no box":
        return actions
    return np.clip(actions, *((-1.0, 1.0) if change == "unit box" else (low, high)))


def _chosen(change: str, scores: Floats, order: Any, elites: int, generator: Any) -> Any:
    """The place of the action that may come back."""
    if change == "any":
        return np.zeros(scores.shape[:-1], dtype=np.int64)
    if change == "an elite":  # with probability proportional to exp(score)
        kept = np.take_along_axis(scores, order[..., :elites], axis=-1)
        lot = np.argmax(kept - kept[..., :1] + generator.gumbel(size=kept.shape), axis=-1)
        return np.take_along_axis(order, lot[..., None], axis=-1)[..., 0]
    return order[..., 0]


def _refitted(change: str, mean: Floats, std: Floats, kept: Floats) -> tuple[Floats, Floats]:
    new, spread = kept.mean(axis=-2), kept.std(axis=-2)
    if change == "sample std" and kept.shape[-2] > 1:
        spread = kept.std(axis=-2, ddof=1)
    spread = {"variance": spread**2, "floor": np.maximum(spread, 1e-2)}.get(change, spread)
    fixed = change == "never refitted"
    return (mean if fixed or change == "mean stays" else new), (std if fixed or change == "deviation stays" else spread)


SEARCH = (
    ("last-mean-returned", "the mean of the last elites comes back, not the best action sampled", "", "last mean"),
    ("last-population-only", "the best of the last population comes back, if an earlier one was better or not", "", "last best"),
    ("any-sample-returned", "the first sample of the last population comes back", "", "any"),
    ("elite-drawn-by-its-weight", "one of the last elites is drawn, with probability proportional to exp(value)",
     "tdmpc-action-sampled-from-elites", "an elite"),
    ("value-never-filled-in", "the action's value is left at zero", "mjpc-cem-elite-avg-state-zero", "no value"),
    ("starts-where-the-last-search-ended", "the mean is kept from call to call", "mbrl-icem-elites-kept-across-calls", "kept"),
    ("minimises", "the lowest values are sought", "", "minimises"),
    ("box-not-applied", "samples are not clipped to the box", "", "no box"),
    ("box-taken-for-unit-box", "samples are clipped to [-1, 1], whatever the box", "exploration-noise-ignores-action-scale",
     "unit box"),
    ("deviation-is-the-whole-width", "the first deviation is the box's whole width", "", "whole width"),
    ("deviation-is-a-quarter-of-the-width", "the first deviation is a quarter of the box's width", "", "quarter width"),
    ("starts-at-the-lower-bound", "the first mean is the lower bound", "", "from the lower bound"),
    ("first-population-uniform", "the first population is uniform in the box", "", "uniform"),
    ("never-refitted", "mean and deviation stay as they were: random search", "", "never refitted"),
    ("mean-never-refitted", "only the deviation is refitted", "", "mean stays"),
    ("deviation-never-refitted", "only the mean is refitted", "", "deviation stays"),
    ("over-one-elite-less", "the deviation divides by k - 1", "", "sample std"),
    ("variance-for-deviation", "samples are mean + variance * noise", "", "variance"),
    ("deviation-floored", "the deviation is never less than 0.01", "", "floor"),
    ("states-share-their-noise", "one set of noise for all states", "", "shared by states"),
    ("dimensions-share-their-noise", "one number of noise for all dimensions of a sample", "", "shared by dimensions"),
    ("states-interleaved-with-samples", "samples drawn as [n, states, D] are reshaped to [states, n, D]",
     "iqn-reshape-interleaves-batch-and-tau", "interleaved"),
    ("best-of-the-whole-batch", "the best action of all states comes back for each", "dqn-max-over-batch", "batch"),
    ("one-population-more", "iterations + 1 populations", "", "one more"),
    ("one-population-less", "iterations - 1 populations", "", "one less"),
)  # fmt: skip

BUGS = tuple(Bug("cross_entropy_search", slug, story, seen, _search(change)) for slug, story, seen, change in SEARCH)

CENTRE = np.array([2.5, -2.25])
HILL = Hill(np.array([[2.0, 0.5], [0.5, 1.0]]), CENTRE)


def _one_sample(found: Any) -> Floats:
    """Where single samples lie, whether two coordinates or two states agree, and whether the value is right."""
    action, value = (np.asarray(each, dtype=np.float64) for each in found)
    side = np.sign(action - np.array([1.0, -1.0]))
    features = [(action == [3.0, 1.0]), (action == [-1.0, -3.0]), np.abs(action) <= 1, action <= -1, np.abs(side - 1) == 0]
    means = [each.reshape(-1, 2).mean(axis=0) for each in features]
    pairs = [(side[:, 0] * side[:, 1]).mean(), (side[::2] * side[1::2]).mean(), _right(action, value).mean()]
    return np.concatenate([*means, pairs, [action.mean(), np.abs(action).mean()]])


def _right(action: Floats, value: Floats) -> Any:
    """Whether the value is the action's, but for rounding."""
    due = HILL(action)
    return np.abs(value - due) <= 2.0**-10 * (1 + np.abs(due))


def _found(found: Any) -> Floats:
    """How far from the peak, in octaves and in the hill's height, and whether the value is the action's."""
    action, value = (np.asarray(each, dtype=np.float64) for each in found)
    octaves = np.log2(np.maximum(np.abs(action - CENTRE), 2.0**-20))
    height = np.log2(np.maximum(-HILL(action), 2.0**-40))
    return np.array([octaves.mean(), height.mean(), _right(action, value).mean(), np.mean(octaves > -4), np.mean(height > 0)])


def _near(found: Any) -> Floats:
    """How far from the peak of one coordinate, in octaves."""
    return np.array([np.log2(np.maximum(np.abs(np.asarray(found[0]) - 0.25), 2.0**-20)).mean()])


def _asked(features: Any, seeds: int, **numbers: int) -> Draws:
    low, high = (np.tile(corner, (32, 1)) for corner in ([-1.0, -3.0], [3.0, 1.0]))
    return Draws(probe(HILL, low, high, **numbers), features, seeds)


LINE = (Hill(np.eye(1), np.array([0.25])), np.full((256, 1), -1.0), np.ones((256, 1)))

PROBES: dict[str, tuple[Probe, ...]] = {
    "cross_entropy_search": (
        _asked(_one_sample, 100, iterations=1, population=1, elites=1),
        _asked(_found, 40, iterations=1, population=8, elites=8),
        _asked(_found, 60, iterations=10, population=2, elites=2),
        _asked(_found, 60, iterations=2, population=32, elites=6),
        Draws(probe(*LINE, iterations=8, population=12, elites=2), _near, 80),
        _asked(_found, 80, iterations=12, population=24, elites=6),
    ),
}
