"""Bugs of gaussians: draws that are too wide, too narrow, shared among rows, or not reparameterised."""

from __future__ import annotations

from typing import Any

import numpy as np

import reference
from properties._bounds import Floats
from properties._bugs._record import Behaves, Bug, Draws, Probe, Slope, probe
from properties._bugs.gaussians import HALVED, ONE
from properties._claim import Seeded
from reference.gaussians import TanhSample


# ------------------------------------------------------------------------------------------------------------ samplers
def _noise(change: str, shape: tuple[int, ...], generator: Any) -> Floats:
    """Normal noise; one array of it for all rows or all dimensions, the same at each call, of another law, or correlated."""
    if change == "not redrawn":
        generator = np.random.default_rng(7)
    if change == "uniform":
        return np.asarray(generator.uniform(-np.sqrt(3), np.sqrt(3), shape))
    if change == "correlated":
        return np.asarray(np.sqrt(0.5) * (generator.standard_normal(shape) + generator.standard_normal((*shape[:-1], 1))))
    smaller = {"one draw": (1, *shape[1:]), "one dimension": (*shape[:-1], 1), "no noise": ()}.get(change, shape)
    return np.asarray(generator.standard_normal(smaller) * (change != "no noise"))


def _width(change: str, log_std: Any) -> Floats:
    """The standard deviation, or what is taken for it."""
    if change == "one sigma":
        log_std = log_std[..., :1]
    if change == "log-std":
        return np.asarray(log_std)
    return np.asarray(np.exp({"variance": 2.0, "log-variance": 0.5, "unit": 0.0}.get(change, 1.0) * log_std))


def _drawn(change: str, mean: Any, log_std: Any, generator: Any) -> Floats:
    mean, log_std = np.asarray(mean), np.asarray(log_std)
    noise = _noise(change, mean.shape, generator)
    if change == "first row":
        mean, log_std = (np.broadcast_to(part[..., :1, :] if part.ndim > 1 else part, part.shape) for part in (mean, log_std))
    return np.asarray((0.0 if change == "no mean" else mean) + _width(change, log_std) * noise)


def _gaussian(change: str) -> Behaves:
    """sample_gaussian with one change."""
    return lambda mean, log_std, *, generator: _drawn(change, mean, log_std, generator)


def _squashed(change: str) -> Behaves:
    """sample_tanh_gaussian with one change, of the draw or of its squashing."""

    def sample(mean: Any, log_std: Any, *, low: Any, high: Any, generator: Any) -> TanhSample:
        before = _drawn(change, np.tanh(mean) if change == "mean squashed" else mean, log_std, generator)
        inner = np.tanh(before) if change == "tanh twice" else before
        action = reference.tanh_action(inner, low=low, high=high)
        if change == "no box":
            action = np.tanh(before)
        if change == "clipped":
            action = np.asarray(np.clip(before, low, high))
        if change == "another draw":
            before = _drawn("", mean, log_std, generator)
        return TanhSample(action, action if change == "action for draw" else before)

    return sample


def _gaussian_slope(through_mean: bool) -> Behaves:
    """The derivative of a draw in its mean, or of one that has none."""

    def slope(argument: int | str, mean: Any, log_std: Any, *, generator: Any, cotangent: Any = None) -> Floats:
        weight = np.ones(mean.shape) if cotangent is None else np.asarray(cotangent)
        return np.asarray(weight * (through_mean and argument in (0, "mean")))

    return slope


def _squashed_slope(through_mean: bool) -> Behaves:
    """The derivative of action + pre_tanh in the mean, or of a draw that has none."""

    def slope(argument: int | str, mean: Any, log_std: Any, *, low: Any, high: Any, generator: Any, **weight: Any) -> Floats:
        if not through_mean or argument not in (0, "mean"):
            return np.zeros(mean.shape)
        u = reference.sample_gaussian(mean, log_std, generator=generator)
        return np.asarray(1 + (np.asarray(high) - low) / 2 * (1 - np.tanh(u) ** 2))

    return slope


G, T = "sample_gaussian", "sample_tanh_gaussian"
BOTH = (
    ("variance-for-standard-deviation", "the noise is scaled by sigma^2", "", "variance"),
    ("log-std-read-as-log-variance", HALVED, "", "log-variance"),
    ("log-std-read-as-sigma", "the noise is scaled by log sigma: its exponential is forgotten", "", "log-std"),
    ("unit-variance", "log sigma is not read: the noise has variance 1", "", "unit"),
    ("one-sigma-for-all-dimensions", ONE, "gaussian-logstd-single-parameter", "one sigma"),
    ("mean-missing", "the noise is not centred at the mean", "", "no mean"),
    ("mean-for-draw", "the mean is returned: nothing is drawn", "", "no noise"),
    ("uniform-noise", "uniform noise of that variance: the tails are missing", "", "uniform"),
    ("one-draw-for-all-rows", "the rows of a batch share their noise", "", "one draw"),
    ("one-draw-for-all-dimensions", "the dimensions share their noise", "", "one dimension"),
    ("dimensions-correlated", "half of the variance is shared by the dimensions", "", "correlated"),
    ("first-row-for-all-rows", "every row is drawn with the first row's mean and sigma", "", "first row"),
    ("noise-not-redrawn", "the noise is the same at each call", "", "not redrawn"),
)
"""Mistakes of the draw; a squashed draw makes them, too."""
BUGS = (
    *(Bug(G, mistake, story, seen, _gaussian(change)) for mistake, story, seen, change in BOTH),
    *(Bug(T, mistake, story, seen, _squashed(change)) for mistake, story, seen, change in BOTH),
    Bug(T, "mean-squashed-twice", "the mean is squashed before the draw around it", "gaussian-policy-mean-squashed-twice",
        _squashed("mean squashed")),
    Bug(T, "tanh-twice", "the action is squashed twice: none is beyond 0.762 of the box", "sac-double-tanh",
        _squashed("tanh twice")),
    Bug(T, "always-the-unit-box", "tanh u: the bounds are not read", "exploration-noise-ignores-action-scale", _squashed("no box")),
    Bug(T, "clipped-not-squashed", "clip(u, low, high) for the action", "", _squashed("clipped")),
    Bug(T, "pre-tanh-of-another-draw", "the u that is returned is drawn anew: it is not what the action came from", "",
        _squashed("another draw")),
    Bug(T, "action-for-pre-tanh", "the action is returned for u, too: its density is taken at the wrong place", "",
        _squashed("action for draw")),
    Bug(G, "not-reparameterised", "draws have no gradient: sample() where rsample() is meant", "sac-sample-not-rsample",
        _gaussian_slope(False), derivative=True),
    Bug(G, "log-std-no-parameter", "draws have no gradient in log sigma, only in the mean", "",
        _gaussian_slope(True), derivative=True),
    Bug(T, "not-reparameterised", "draws have no gradient: sample() where rsample() is meant", "sac-sample-not-rsample",
        _squashed_slope(False), derivative=True),
    Bug(T, "log-std-no-parameter", "draws have no gradient in log sigma, only in the mean", "",
        _squashed_slope(True), derivative=True),
)  # fmt: skip


# -------------------------------------------------------------------------------------------------------------- probes
ROWS, SEEDS = 256, 100
MEAN = np.resize([[0.5, -1.0], [-0.75, 1.5]], (ROWS, 2))
LOG_STD = np.resize([[-1.0, 0.5], [0.75, -1.25]], (ROWS, 2))
BOX = {"low": np.array([-2.0, 0.5]), "high": np.array([1.0, 4.5])}
LEVELS = [reference.tanh_action(MEAN + z * np.exp(LOG_STD), **BOX) for z in (0.0, 0.25, 1.0)]


def _of_draws(draw: Any) -> Floats:
    """How often draws are high, far out and very far out, in even and odd rows; how often two rows or two dimensions agree."""
    z = (np.asarray(draw) - MEAN) / np.exp(LOG_STD)
    size = np.abs(z)
    each = np.stack([z > 0.25, size > 1, size > 2]).reshape(3, ROWS // 2, 2, 2).mean(axis=1)
    shared = [np.mean(side[::2] == side[1::2]) for side in (z > 0, size > 1)]
    shared += [np.mean(side[:, 0] == side[:, 1]) for side in (z > 0, size > 1)]
    return np.concatenate([each.ravel(), shared])


def _of_actions(drawn: Any) -> Floats:
    """The same of u; how often actions are high; and how often action and u lie on one side of the middle."""
    action, before = np.asarray(drawn[0]), np.asarray(drawn[1])
    high = np.stack([action > LEVELS[1], action > LEVELS[2]]).reshape(2, ROWS // 2, 2, 2).mean(axis=1)
    together = np.mean((action > LEVELS[0]) == (before > MEAN))
    return np.concatenate([_of_draws(before), high.ravel(), [together]])


SEED = Seeded(3)
FEW = (np.array([[0.5, -1.0]]), np.array([[-60.0, -60.0]]))
"""Draws that are their mean but for rounding: their derivatives do not depend on the noise."""

PROBES: dict[str, tuple[Probe, ...]] = {
    G: (
        Draws(probe(MEAN, LOG_STD), _of_draws, SEEDS),
        Slope(0, probe(*FEW, generator=SEED)),
        Slope(1, probe(*FEW, generator=SEED)),
    ),
    T: (
        Draws(probe(MEAN, LOG_STD, **BOX), _of_actions, SEEDS),
        Slope(0, probe(*FEW, **BOX, generator=SEED)),
        Slope(1, probe(*FEW, **BOX, generator=SEED)),
    ),
}

OPEN: dict[str, str] = {}
