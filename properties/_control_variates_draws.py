"""Q4: the Monte Carlo form of Q-Prop's unbiasedness, with drawn noise that is bounded and has the moments of the normal law."""

from __future__ import annotations

from itertools import product
from typing import Any, NamedTuple

import numpy as np

from properties._bounds import COMPUTED_IN, UNIT, Floats, gamma
from properties._ledger import Case
from properties._quadrature import repeated, whole_grid
from properties._sampled import Observations, Stream, sampled
from properties._trial import Trial

QPROP = "Gu et al. 2017 (Q-Prop), §3.2"

REACH = 2
"""Noise on -2, ..., 2 shares the normal moments up to degree 5: the score of log std times a cubic advantage."""
BLOCKS = 32
"""Independent estimates in one call: each has rows and parameters of its own."""


class State(NamedTuple):
    """One state: noise z moves the action by std z; all numbers are short fractions of powers of two, exact in every dtype."""

    std: float
    jacobian: float
    slope: float
    curvature: float
    skew: float
    action_gradient: float
    weight: float

    def advantage(self, z: Floats) -> Floats:
        """A cubic that the critic below knows in part."""
        return self.slope * z + self.curvature * z**2 + self.skew * z**3

    def score(self, z: Floats) -> Floats:
        """The scores of the mean's parameter and of log std, [..., 2]."""
        return np.stack([self.jacobian * z / self.std, z**2 - 1], axis=-1)

    def control_variate(self, z: Floats) -> Floats:
        """The critic's Taylor expansion: action_gradient times the action's deviation."""
        return self.action_gradient * self.std * z

    @property
    def gradient(self) -> Floats:
        """The policy gradient, E score A: by E z^2 = 1 and E z^4 = 3."""
        return np.array([self.jacobian / self.std * (self.slope + 3 * self.skew), 2 * self.curvature])

    @property
    def correction(self) -> Floats:
        """What the control variate takes away in the mean: weight J'g, nothing for log std."""
        return np.array([self.weight * self.jacobian * self.action_gradient, 0.0])


STATES = (State(0.5, 1.0, 2.0, 0.5, 0.0625, 4.0, 0.75), State(2.0, -1.0, -1.5, 0.375, -0.125, -0.5, 1.25))


def _estimates(z: Floats, subtracted: float = 1.0, added: float = 1.0, weighted: bool = True) -> Floats:
    """Q-Prop's estimate from one draw of each state, z [n, states]: [n, 2]; or with a part left out or changed."""
    rows = []
    for i, s in enumerate(STATES):
        signal = s.advantage(z[:, i]) - subtracted * s.weight * s.control_variate(z[:, i])
        rows.append(s.score(z[:, i]) * signal[:, None] + added * s.correction / (1.0 if weighted else s.weight))
    return np.asarray(np.mean(rows, axis=0))


def _mean_of(values: Any) -> Floats:
    return np.asarray(np.mean(list(values), axis=0))


class Box(NamedTuple):
    """The least and largest estimate of each parameter: observations are scaled to it."""

    least: Floats
    largest: Floats

    def scaled(self, estimate: Floats) -> Floats:
        """Where an estimate lies between them."""
        return np.asarray((estimate - self.least) / (self.largest - self.least))


def _case() -> Case:
    nodes, weights = whole_grid(REACH, len(STATES))
    right = _estimates(nodes)
    box = Box(right.min(axis=0), right.max(axis=0))
    wrong = {
        "control-variate-never-added-back": _estimates(nodes, added=0.0),
        "control-variate-never-subtracted": _estimates(nodes, subtracted=0.0),
        "correction-with-the-wrong-sign": _estimates(nodes, added=-1.0),
        "correction-without-its-weight": _estimates(nodes, weighted=False),
        "trpo-params-exclude-logstd": right * [1.0, 0.0],
        "sum-over-states": right * len(STATES),
    }
    chance = np.array([float(weight) for weight in weights])
    seen = {name: chance @ np.clip(box.scaled(estimate), 0.0, 1.0) for name, estimate in wrong.items()}
    due = box.scaled(_mean_of(s.gradient for s in STATES))
    return Case("two states", ("gradient of the mean", "gradient of log std"), due, seen, box, _slack)


def _slack(dtype: str) -> float:
    """Rounding of the result in its type, and of a mean over all rows in the type it is computed in, as a fraction of the range."""
    nodes, _ = whole_grid(REACH, len(STATES))
    every = np.abs(_estimates(nodes)).max(axis=0) + _mean_of(np.abs(s.correction) for s in STATES)
    terms = 2 * BLOCKS * len(STATES)
    unit = UNIT[dtype] + float(gamma(terms + 8, UNIT[COMPUTED_IN[dtype]]))
    return float(np.max(every / np.ptp(_estimates(nodes), axis=0))) * unit


def _call(z: Floats) -> tuple[Floats, ...]:
    """The arguments of q_prop_gradient for noise z [BLOCKS, states]: a row for each draw, two parameters for each block."""
    rows = list(product(range(BLOCKS), range(len(STATES))))
    score, jacobian = np.zeros((len(rows), 2 * BLOCKS)), np.zeros((len(rows), 1, 2 * BLOCKS))
    values = np.zeros((3, len(rows)))
    for row, (block, i) in enumerate(rows):
        state, noise = STATES[i], z[block, i]
        score[row, 2 * block : 2 * block + 2] = state.score(noise)
        jacobian[row, 0, 2 * block] = state.jacobian
        values[:, row] = state.advantage(noise), state.control_variate(noise), state.weight
    gradient = np.array([[STATES[i].action_gradient] for _, i in rows])
    return score, *values, gradient, jacobian


@sampled("Q4", source=QPROP, operators=["q_prop_gradient"], share=0.04, cases=[_case()])
def q_prop_estimates_average_to_the_policy_gradient(port: Trial, case: Case, size: int, stream: Stream) -> Observations:
    """The mean of q_prop_gradient over drawn actions is E score A, for the mean and for log std, whatever the critic."""
    line, parts = repeated(REACH, 1)[:, 0], []
    for place in range(-(-size // BLOCKS)):
        z = stream.own(place).choice(line, size=(BLOCKS, len(STATES)))
        estimate = np.asarray(port.q_prop_gradient(*_call(z)))
        port.holds(estimate.shape == (2 * BLOCKS,), f"the gradient must have shape {(2 * BLOCKS,)}; got {estimate.shape}")
        parts.append(case.inputs.scaled(BLOCKS * estimate.reshape(BLOCKS, 2)))
    return np.concatenate(parts)
