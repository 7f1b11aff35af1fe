"""Means of bounded observations, judged by betting: valid at every time, with both kinds of error stated beforehand.

One observation X lies in [0, 1]. A bet of size l on its mean being other than c multiplies a capital of 1 by 1 + l (X - c), which
stays positive for |l| < 1; where the mean given the past is c the capital is a non-negative martingale, so it ever reaches 1/a
with probability at most a (Ville). An average of such capitals over a fixed grid of bets is one, too, and adapts to the variance
by itself (Waudby-Smith & Ramdas 2024, §4.4, the grid of hedged capital).

For each coordinate three capitals run side by side: one against |mean - due| <= slack, which raises the alarm at 1/alpha, and two
against mean >= due + effect and mean <= due - effect, which together prove that the mean is within the effect.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from properties._bounds import Floats

BETS = 1.9 * 2.0 ** -np.arange(1, 12)
"""Sizes of the bets: halved eleven times, one of them is within a factor of 1.42 of the best for every effect above 0.001."""
MISSED = 1e-6
"""The chance that a mean off by the effect raises no alarm within the planned draws, and that it is proved to be right."""
UNPROVED = 1e-9
"""The chance, per coordinate and side, that a right mean is not proved within the planned draws."""
BLOCK = 32
"""Capitals are looked at after so many observations, and after the last: every look is a stopping time."""
FARTHEST = 99.0
"""A trajectory shows powers of ten up to this one: a deviation that cannot be is proved beyond measure."""
POWERS = np.geomspace(0.02, 8.0, 60)
"""Exponents tried in Chernoff's bound."""


class Mean(NamedTuple):
    """What K coordinates of one observation are due, [K] or scalar each: probabilities (or means in [0, 1]) and what may be off."""

    due: Floats
    effect: float
    alpha: float
    slack: float = 0.0


class Capital:
    """Mixture capitals of K coordinates against the null means `centre` [K, J], one for each of J bets, in logarithms."""

    def __init__(self, centre: Floats, bets: Floats) -> None:
        self._bets = bets
        self._lose, self._win = np.log1p(-bets * centre), np.log1p(bets * (1.0 - centre))
        self._centre = centre
        self._total = np.zeros(centre.shape)

    def after(self, observations: NDArray[Any], block: int = BLOCK) -> Floats:
        """log capital of every coordinate and bet [looks, K, J] after each block of the observations [n, K], and keeps the last."""
        starts = np.arange(0, len(observations), block)
        growth = self._growth(observations, starts)
        path = self._total + np.cumsum(growth, axis=0)
        self._total = path[-1]
        return np.asarray(path)

    def _growth(self, observations: NDArray[Any], starts: NDArray[np.int64]) -> Floats:
        """The log capital gained in each block; of yes-or-no observations the count says it all."""
        if observations.dtype == np.bool_:
            yes = np.add.reduceat(observations.astype(np.int64), starts, axis=0)[:, :, None]
            size = np.diff(np.append(starts, len(observations)))[:, None, None]
            return np.asarray(yes * self._win + (size - yes) * self._lose)
        gained = np.log1p(self._bets * (observations[:, :, None] - self._centre))
        return np.asarray(np.add.reduceat(gained, starts, axis=0))


def mixture(log_capital: Floats) -> Floats:
    """log of the average over the last axis."""
    top = log_capital.max(axis=-1, keepdims=True)
    return np.asarray(top[..., 0] + np.log(np.mean(np.exp(log_capital - top), axis=-1)))


class Judgement:
    """The running verdict on K means: evidence against each, and which are proved to be within the effect."""

    def __init__(self, mean: Mean) -> None:
        due, out = mean.due[:, None], len(BETS)
        both = np.concatenate([BETS, -BETS])
        sides = np.concatenate([np.full(out, mean.slack), np.full(out, -mean.slack)])
        goal = np.concatenate([np.full(out, -mean.effect), np.full(out, mean.effect)])
        self.mean, self.draws = mean, 0
        null = np.clip(due + sides, 0.0, 1.0)  # a mean in [0, 1] is never beyond
        self._capital = Capital(np.concatenate([null, due + goal], axis=1), np.concatenate([both, both]))
        self._sum = np.zeros(len(mean.due))
        self.trajectory: list[tuple[int, float, float]] = []
        self.log_evidence = np.full(len(mean.due), -np.inf)
        beyond = np.stack([mean.due + mean.effect > 1.0, mean.due - mean.effect < 0.0])
        self._log_proof = np.where(beyond, np.inf, -np.inf)

    def add(self, observations: NDArray[Any], block: int = BLOCK) -> None:
        """More observations [n, K] in [0, 1], independent of those before given what was looked at."""
        path, out = self._capital.after(observations, block), len(BETS)
        self.draws += len(observations)
        self._sum += observations.sum(axis=0)
        self.log_evidence = np.maximum(self.log_evidence, mixture(path[..., : 2 * out]).max(axis=0))
        below, above = mixture(path[..., 2 * out : 3 * out]), mixture(path[..., 3 * out :])
        self._log_proof = np.maximum(self._log_proof, [above.max(axis=0), below.max(axis=0)])
        against, proof = np.clip([self.log_evidence.max(), self._log_proof.min()] / np.log(10), -FARTHEST, FARTHEST)
        self.trajectory.append((self.draws, round(float(against), 2), round(float(proof), 2)))

    @property
    def frequency(self) -> Floats:
        """The mean of what was observed [K]."""
        return np.asarray(self._sum / max(self.draws, 1))

    @property
    def alarmed(self) -> NDArray[np.bool_]:
        """Which means are not what is due, up to a chance of alpha each, whenever one looks."""
        return np.asarray(self.log_evidence >= -np.log(self.mean.alpha))

    @property
    def proved(self) -> NDArray[np.bool_]:
        """Which means are within the effect of what is due, up to a chance of MISSED each, whenever one looks."""
        return np.asarray(np.all(self._log_proof >= -np.log(MISSED), axis=0))


# --------------------------------------------------------------------------------------------------------------- planning
def needed(centre: Floats, truth: Floats, log_threshold: float, missed: float) -> Floats:
    """Draws after which the mixture against `centre` has passed its threshold, save with probability `missed`, if `truth` holds.

    For each bet l towards the truth and each power s, P(capital_n < t) <= t^s (E (1 + l (X - c))^-s)^n. The expectation of that
    convex decreasing function is largest for an X that is 0 or 1 and for the smallest mean, so the number holds for every X in
    [0, 1] whose mean is `truth` or beyond. The mixture is at least 1/J of its best bet: `log_threshold` carries the log J.
    """
    cost = POWERS[:, None] * log_threshold - np.log(missed)
    shrink = -_log_moments(centre, truth)
    draws = np.where(shrink > 0, cost / np.where(shrink > 0, shrink, 1.0), np.inf)
    return np.asarray(np.ceil(draws.min(axis=(-1, -2))))


def missed(draws: int, centre: Floats, truth: Floats, log_threshold: float) -> Floats:
    """The same bound read the other way: the chance that `draws` observations do not pass the threshold."""
    exponent = POWERS[:, None] * log_threshold + draws * _log_moments(centre, truth)
    return np.asarray(np.exp(np.minimum(exponent.min(axis=(-1, -2)), 0.0)))


def _log_moments(centre: Floats, truth: Floats) -> Floats:
    """log E (1 + l (X - c))^-s for X in {0, 1} of mean `truth`, [..., powers, bets]; bets point from the centre to the truth."""
    c, p = (np.asarray(x, dtype=np.float64)[..., None, None] for x in (centre, truth))
    bets, s = np.sign(p - c) * BETS, POWERS[:, None]
    return np.asarray(np.log((1 - p) * (1 - bets * c) ** -s + p * (1 + bets * (1 - c)) ** -s))


class Plan(NamedTuple):
    """How many observations suffice, and the chance that a coordinate off by the effect raises the alarm within them."""

    draws: int
    power: float


def plan(mean: Mean) -> Plan:
    """Draws for alarm and proof alike, worst over the coordinates and both sides."""
    alarm, proof = np.log(2 * len(BETS) / mean.alpha), np.log(len(BETS) / MISSED)
    off, near = (np.concatenate([mean.due - size, mean.due + size]) for size in (mean.effect, mean.slack))
    possible = (off >= 0) & (off <= 1)
    off, near = off[possible], np.clip(near[possible], 0.0, 1.0)
    found = needed(near, off, alarm, MISSED)
    proved = needed(off, near, proof, UNPROVED)
    draws = int(max(np.max(found), np.max(proved)))
    return Plan(draws, 1.0 - float(np.max(missed(draws, near, off, alarm))) - MISSED)
