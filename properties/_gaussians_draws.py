"""S2: Gaussian and squashed Gaussian draws, judged by how often they exceed levels, alone and together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtr

from properties._bounds import UNIT, Floats
from properties._ledger import Case, coarse
from properties._sampled import DEPENDENT, Observations, Stream, agreements, halfway, sampled
from properties._trial import Trial

SAC = "Haarnoja et al. 2018, App. C"
Sample = Callable[[Floats], Floats]

# The second of two rows has other parameters, so that one that is used for the other is seen.
MEAN = np.array([[0.5, -1.0, 2.0], [-0.75, 0.25, 1.5]])
LOG_STD = np.array([[-1.0, -0.5, 0.5], [-0.5, 0.75, -1.25]])
LOW, HIGH = np.array([-2.0, 0.5, -1.0]), np.array([1.0, 4.5, 1.0])


class Normal(NamedTuple):
    """Normal draws by their parameters: what exceeds a level is known exactly."""

    mean: Floats
    std: Floats

    def exceeds(self, levels: Floats) -> Floats:
        """P(x > level) for levels [rows, D, levels]."""
        return np.asarray(ndtr((self.mean[..., None] - levels) / self.std[..., None]))


def _levels(mean: Floats, std: Floats, squash: Sample) -> Floats:
    """Levels near the mean and one standard deviation on either side, where rounding decides nothing."""
    near = [squash(mean + z * std) for z in (-1.0, 0.1, 1.0)]
    return np.asarray(np.vectorize(halfway)(np.stack(near, axis=-1)))


def _plain(x: Floats) -> Floats:
    return x


def _squashed(x: Floats) -> Floats:
    return np.asarray(LOW + (HIGH - LOW) * (np.tanh(x) + 1) / 2)


def _unsquashed(levels: Floats) -> Floats:
    """The pre-tanh level of an action's level; beyond the range, infinity of its sign."""
    share = 2 * (levels - LOW[:, None]) / (HIGH - LOW)[:, None] - 1
    with np.errstate(divide="ignore"):
        return np.asarray(np.arctanh(np.clip(share, -1.0, 1.0)))


RIGHT = Normal(MEAN, np.exp(LOG_STD))
LEVELS, ACTION_LEVELS = (_levels(*RIGHT, squash) for squash in (_plain, _squashed))


def _wrong() -> dict[str, Normal]:
    """Parameters misread, as a Normal of its own."""
    std = np.exp(LOG_STD)
    return {
        "variance-as-standard-deviation": Normal(MEAN, std**2),
        "log-std-read-as-log-variance": Normal(MEAN, std**0.5),
        "log-std-read-as-std": Normal(MEAN, np.abs(LOG_STD)),
        "gaussian-logstd-single-parameter": Normal(MEAN, np.broadcast_to(std[:, :1], std.shape)),
        "unit-variance": Normal(MEAN, np.ones_like(std)),
        "mean-ignored": Normal(np.zeros_like(MEAN), std),
        "first-row-for-all-rows": Normal(np.broadcast_to(MEAN[0], MEAN.shape), np.broadcast_to(std[0], std.shape)),
    }


def _names(what: str, levels: Floats) -> tuple[str, ...]:
    return tuple(f"{what}[{r}, {d}] > {levels[r, d, k]:.4g}" for r, d, k in np.ndindex(*levels.shape))


def _uniform(levels: Floats) -> Floats:
    """P(x > level) of uniform noise of the same variance."""
    return np.asarray(np.clip((1 - (levels - MEAN[..., None]) / RIGHT.std[..., None] / np.sqrt(3)) / 2, 0, 1))


def _plain_case() -> Case:
    wrong = {name: normal.exceeds(LEVELS).ravel() for name, normal in _wrong().items()}
    wrong["uniform-noise"] = _uniform(LEVELS).ravel()
    return Case("levels", _names("draw", LEVELS), RIGHT.exceeds(LEVELS).ravel(), wrong)


def _squashed_case() -> Case:
    """Levels of the action and of what it was before tanh; the mistakes of squashing leave the second as it should be."""
    before, action = RIGHT.exceeds(LEVELS), _unsquashed(ACTION_LEVELS)
    due = np.concatenate([RIGHT.exceeds(action).ravel(), before.ravel()])
    wrong = {name: np.concatenate([n.exceeds(action).ravel(), n.exceeds(LEVELS).ravel()]) for name, n in _wrong().items()}
    wrong["uniform-noise"] = np.concatenate([_uniform(action).ravel(), _uniform(LEVELS).ravel()])
    twice = Normal(np.tanh(MEAN), RIGHT.std)
    wrong["gaussian-policy-mean-squashed-twice"] = np.concatenate([twice.exceeds(action).ravel(), twice.exceeds(LEVELS).ravel()])
    for name, levels in {"sac-double-tanh": _untwice(action), "bounds-ignored": _unscaled(ACTION_LEVELS)}.items():
        wrong[name] = np.concatenate([RIGHT.exceeds(levels).ravel(), before.ravel()])
    return Case("levels", _names("action", ACTION_LEVELS) + _names("pre_tanh", LEVELS), due, wrong, slack=_squashed_slack)


def _squashed_slack(dtype: str) -> float:
    """An action is off by 16 roundings of float32 of its range or bounds, and near a bound its density is high."""
    u = _unsquashed(ACTION_LEVELS)
    density = np.exp(-(((u - MEAN[..., None]) / RIGHT.std[..., None]) ** 2) / 2) / RIGHT.std[..., None]
    slope = (HIGH - LOW)[:, None] / 2 * (1 - np.tanh(u) ** 2)
    return coarse(dtype) + float(np.max(density / slope)) * 16 * UNIT["float32"] * float(np.max(HIGH - LOW + np.abs(LOW)))


def _untwice(levels: Floats) -> Floats:
    """tanh(tanh u) > share where u exceeds this."""
    inner = np.tanh(levels)
    with np.errstate(divide="ignore"):
        return np.asarray(np.arctanh(np.clip(np.arctanh(np.clip(inner, -np.tanh(1.0), np.tanh(1.0))), -1.0, 1.0)))


def _unscaled(levels: Floats) -> Floats:
    """tanh u > level where u exceeds this."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.arctanh(np.clip(levels, -1.0, 1.0)))


def _over(found: Any, levels: Floats, size: int, port: Trial) -> Observations:
    found = np.asarray(found)
    shape = (size, *levels.shape[:-1])
    port.holds(found.shape == shape, f"draws must have shape {shape}; got {found.shape}")
    return np.asarray((found[..., None] > levels).reshape(size, -1))


@sampled("S2", source=SAC, operators=["sample_gaussian"], share=0.04, cases=[_plain_case()])
def gaussian_draws_have_their_mean_and_spread(port: Trial, case: Case, size: int, stream: Stream) -> Observations:
    """P(x_d > z) = 1 - Phi((z - mean_d) / std_d) near the mean and one standard deviation on either side."""
    mean, log_std = (np.broadcast_to(x, (size, *x.shape)) for x in (MEAN, LOG_STD))
    return _over(port.sample_gaussian(mean, log_std, generator=stream(0)), LEVELS, size, port)


@sampled("S2", source=SAC, operators=["sample_tanh_gaussian"], share=0.04, cases=[_squashed_case()])
def squashed_draws_have_their_distribution(port: Trial, case: Case, size: int, stream: Stream) -> Observations:
    """P(action_d > low + (high - low) (tanh z + 1) / 2) = P(pre_tanh_d > z) = 1 - Phi((z - mean_d) / std_d)."""
    mean, log_std = (np.broadcast_to(x, (size, *x.shape)) for x in (MEAN, LOG_STD))
    action, before = port.sample_tanh_gaussian(mean, log_std, low=LOW, high=HIGH, generator=stream(0))
    return np.concatenate([_over(action, ACTION_LEVELS, size, port), _over(before, LEVELS, size, port)], axis=1)


# ------------------------------------------------------------------------------------------------------------ independence
SIDE = LEVELS[0, :2, 1]
"""Levels near the means of the first two dimensions."""
SPREAD = np.abs(LEVELS[0, :2, 2] - MEAN[0, :2])
"""Distances of about one standard deviation from them: dimensions may share their size and not their sign."""


def _dependence() -> Case:
    """Rows, columns and calls as for every sampler, by the sides of a level of dimension 0; two dimensions by side and by size."""
    above = RIGHT.exceeds(LEVELS)[0, :2, 1]
    far = 2 * ndtr(-SPREAD / RIGHT.std[0, :2])
    alike = [float(p[0] * p[1] + (1 - p[0]) * (1 - p[1])) for p in (above, far)]
    due = np.array([*np.full(3, above[0] ** 2 + (1 - above[0]) ** 2), *alike])
    shared = {mistake: np.where(np.arange(5) == place, 1.0, due) for place, mistake in enumerate(DEPENDENT)}
    overlap = [1 - abs(float(p[0] - p[1])) for p in (above, far)]
    shared["one-draw-for-all-dimensions"] = np.array([*due[:3], *overlap])
    shared["dimensions-correlated-by-one-half"] = np.array([*due[:3], _same_side(0.5), due[4]])
    names = ("two rows agree", "two columns agree", "two calls agree", "two dimensions on one side", "two dimensions equally far")
    return Case("pairs", names, due, shared)


def _same_side(correlation: float) -> float:
    """P(both above their level or both below) of correlated normal draws: Gauss-Legendre over the first, exact over the second."""
    levels = (SIDE - MEAN[0, :2]) / RIGHT.std[0, :2]
    node, weight = np.polynomial.legendre.leggauss(200)
    total = 0.0
    for sign in (-1.0, 1.0):
        z = levels[0] + sign * 5 * (node + 1)
        below = ndtr(sign * (correlation * z - levels[1]) / np.sqrt(1 - correlation**2))
        total += float(5 * weight @ (np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi) * below))
    return total


def _pairs(port: Trial, calls: list[Any], rows: int) -> Observations:
    """Observations of that case from two calls [rows, 2, D]."""
    for call in calls:
        port.holds(np.shape(call) == (rows, 2, 3), f"draws must have shape {(rows, 2, 3)}; got {np.shape(call)}")
    one, other = (np.asarray(call)[..., 0] > SIDE[0] for call in calls)
    both = np.asarray(calls[0])[::2, 0, :2]
    side, far = both > SIDE, np.abs(both - MEAN[0, :2]) > SPREAD
    return np.column_stack([agreements(one, other), side[:, 0] == side[:, 1], far[:, 0] == far[:, 1]])


@sampled(
    "S2", source=SAC, operators=["sample_gaussian", "sample_tanh_gaussian"], share=0.04, cases=[_dependence()],
)  # fmt: skip
def gaussian_draws_are_independent(port: Trial, case: Case, size: int, stream: Stream) -> Observations:
    """Rows, columns, calls with other seeds and dimensions lie on one side of their levels as independent draws do."""
    mean, log_std = (np.broadcast_to(x[0], (2 * size, 2, 3)) for x in (MEAN, LOG_STD))
    if port.subject == "sample_gaussian":
        calls = [port.sample_gaussian(mean, log_std, generator=stream(k)) for k in range(2)]
    else:
        calls = [port.sample_tanh_gaussian(mean, log_std, low=LOW, high=HIGH, generator=stream(k))[1] for k in range(2)]
    return _pairs(port, calls, 2 * size)
