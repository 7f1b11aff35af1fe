"""Normal densities under the integral: they sum to one, their scores to nothing, and entropies and divergences are expectations."""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from properties._bounds import ELEMENTARY, UNIT, Floats, gamma, rounded
from properties._claim import claim
from properties._draw import values
from properties._oracles import exact
from properties._quadrature import whole_grid
from properties._trial import Trial

WIDE = UNIT["float64"]
GAUSS = "Trefethen & Weideman 2014, §5 (the trapezoidal rule on the line)"
WILLIAMS = "Williams 1992 (REINFORCE)"


# ------------------------------------------------------------------------------------------------------- integrals to one
TRAPEZOID = 2.0**-60
"""The trapezoidal rule on the line errs by 2 exp(-2 (pi s / step)^2) <= 1.1e-19 for s >= 3/2 steps, and by the tails beyond ten
deviations, 1e-23: in two coordinates less than 2^-60 = 8.7e-19 together."""


class Line(NamedTuple):
    """A grid of step 2^e whose nodes no type rounds, and in each of D coordinates a normal of 1.5 to 3 steps' deviation on it."""

    step: float
    centre: Floats
    log_std: Floats


@st.composite
def lines(draw: Any, *, finest: int = -6, coarsest: int = 6) -> Line:
    """Normals of one or two coordinates."""
    size, step = draw(st.integers(1, 2)), 2.0 ** draw(st.integers(finest, coarsest))
    offset = np.array(draw(st.tuples(*[st.integers(-8, 8)] * size)))
    ratio = np.array(draw(st.tuples(*[st.sampled_from([2.0, 1.6, 1.75, 2.25, 2.7])] * size)))
    return Line(step, step * offset, np.log(step * ratio))


def _grid(line: Line) -> tuple[Floats, Floats, Floats]:
    """Nodes [n, D] up to 30 steps from the centre, and the normal repeated for each."""
    reach = np.arange(-30, 31) * line.step
    offsets = np.array(list(itertools.product(reach, repeat=len(line.centre))))
    nodes = line.centre + offsets
    return nodes, np.broadcast_to(line.centre, nodes.shape), np.broadcast_to(line.log_std, nodes.shape)


def _mass(line: Line, exponent: Floats, error: Floats) -> tuple[float, float]:
    """The integral of exp(exponent) over the grid, and how far off it may be."""
    mass = np.exp(exponent) * line.step ** len(line.centre)
    off = np.expm1(np.minimum(error + gamma(ELEMENTARY + 2, WIDE), 700.0))
    return float(mass.sum()), float((mass * off).sum() + gamma(mass.size, WIDE) * mass.sum() + TRAPEZOID)


@claim("gaussians", source=GAUSS, operators=["gaussian_log_prob"], given={"line": lines()}, share=0.2)
def gaussian_density_integrates_to_one(port: Trial, line: Line) -> None:
    """The integral of exp(log N(a; m, s)) over R^D is 1, D = 1, 2, by quadrature."""
    density, error = port("gaussian_log_prob", *_grid(line))
    mass, off = _mass(line, density, error)
    port.equal(mass, 1.0, off)


BOXES = st.sampled_from([(-1.0, 1.0), (-2.0, 2.0), (0.0, 3.0), (-0.25, 0.0)])


@claim("S2", source="Haarnoja et al. 2018, appendix C", operators=["tanh_gaussian_log_prob"],
       given={"line": lines(finest=-6, coarsest=1), "box": BOXES}, share=0.2)  # fmt: skip
def tanh_log_prob_integrates_to_one(port: Trial, line: Line, box: tuple[float, float]) -> None:
    """The integral of exp(log p(a)) over the box is 1, D = 1, 2: with a = a(u), da = (high - low)/2 (1 - tanh(u)^2) du."""
    nodes, centre, log_std = _grid(line)
    density, error = port("tanh_gaussian_log_prob", nodes, centre, log_std, low=box[0], high=box[1])
    slope = math.log((box[1] - box[0]) / 2) + 2 * (math.log(2.0) - np.abs(nodes) - np.log1p(np.exp(-2 * np.abs(nodes))))
    sizes = (8 + 3 * np.abs(nodes)).sum(axis=-1) + np.abs(density)
    mass, off = _mass(line, density + slope.sum(axis=-1), error + gamma(ELEMENTARY + 4 * nodes.shape[-1], WIDE) * sizes)
    port.equal(mass, 1.0, off)


@claim("S2", source="Haarnoja et al. 2018, appendix C", operators=["tanh_gaussian_log_prob", "tanh_action"],
       given={"line": lines(finest=-6, coarsest=-2), "box": BOXES}, share=0.2)  # fmt: skip
def mass_of_the_squashed_density_lies_where_its_actions_are(port: Trial, line: Line, box: tuple[float, float]) -> None:
    """Summed over neighbouring actions a_k = tanh_action(u_k), p (a_(k+1) - a_(k-1))/2 is 1 up to (2/3) h^2 exp(2h), h the step in
    u: the difference is 2h a' + (h^3/3) a''', whose share is at most 4 exp(2h) of a'."""
    line = Line(line.step, line.centre[:1], line.log_std[:1])
    nodes, centre, log_std = _grid(line)
    density, error = port("tanh_gaussian_log_prob", nodes, centre, log_std, low=box[0], high=box[1])
    action, action_error = port("tanh_action", nodes, low=box[0], high=box[1])
    inner = slice(1, -1)
    width, off = (action[2:, 0] - action[:-2, 0]) / 2, (action_error[2:, 0] + action_error[:-2, 0]) / 2
    chance = np.exp(density[inner])
    found = float((chance * width).sum())
    rounding = chance * (off + width * np.expm1(error[inner] + gamma(ELEMENTARY + 4, WIDE)))
    bend = 2 / 3 * line.step**2 * math.exp(2 * line.step)
    summed = float(gamma(len(width), WIDE)) * found + TRAPEZOID
    port.equal(found, 1.0, float(rounding.sum()) + bend * max(found, 1.0) + summed)


# ------------------------------------------------------------------------------------------------------ expectations
class Noisy(NamedTuple):
    """Two normals of D coordinates, near each other, and coefficients of a cubic in the noise, for each coordinate."""

    mean: Floats
    log_std: Floats
    other_mean: Floats
    other_log_std: Floats
    cubic: Floats


@st.composite
def noisy(draw: Any) -> Noisy:
    """D = 1, 2, 3."""
    size = draw(st.integers(1, 3))
    parts = draw(values((5, size), ("generic", "ties", "full mantissa")))
    return Noisy(parts[0] / 16, parts[1] / 64, parts[2] / 16, parts[3] / 64, draw(values((4, size), ("generic", "ties"))))


def _sample(port: Trial, case: Noisy, reach: int) -> tuple[Floats, Floats, Any, Floats]:
    """Actions m + s z on the whole-numbered nodes z [n, D], the nodes, their weights, and how far each action is from m + s z."""
    nodes, weights = whole_grid(reach, len(case.mean))
    std = np.exp(case.log_std)
    action = np.asarray(rounded(case.mean + std * nodes, port.dtype))
    off = np.abs(action - case.mean - std * nodes)
    return action, nodes, weights, off + gamma(4 * ELEMENTARY, WIDE) * (np.abs(action) + np.abs(case.mean) + std * np.abs(nodes))


def _for_each(case: Noisy, nodes: Floats) -> tuple[Floats, ...]:
    return tuple(np.broadcast_to(array, nodes.shape) for array in case[:4])


@claim(
    "K1",
    source="Cover & Thomas 2006, eq. 8.1",
    operators=["gaussian_entropy", "gaussian_log_prob"],
    given={"case": noisy()},
    share=0.3,
)
def entropy_is_the_mean_of_minus_log_prob(port: Trial, case: Noisy) -> None:
    """H = -E log N(a; m, s), a ~ N(m, s), D = 1, 2, 3, by a rule that is exact for squares."""
    action, nodes, weights, off = _sample(port, case, 1)
    mean, log_std = _for_each(case, nodes)[:2]
    entropy, slack = port("gaussian_entropy", case.log_std)
    density, error = port("gaussian_log_prob", action, mean, log_std)
    shift = off / np.exp(log_std)
    error = error + (shift * (np.abs(nodes) + shift)).sum(axis=-1)
    due = -sum(w * d for w, d in zip(weights, exact(density), strict=True))
    found_by = {"found": entropy, "due": np.array(due, dtype=object)}
    port.equal(found_by["found"], found_by["due"], float(slack) + _mean(weights, error))


def _mean(weights: Any, error: Floats) -> float:
    return float(sum(abs(float(w)) * e for w, e in zip(weights, error.tolist(), strict=True)))


@claim("K1", source="Kullback & Leibler 1951", operators=["gaussian_kl", "gaussian_log_prob"], given={"case": noisy()}, share=0.3)
def kl_is_the_mean_of_the_log_ratio(port: Trial, case: Noisy) -> None:
    """KL(p || q) = E [log p(a) - log q(a)], a ~ p, D = 1, 2, 3, by a rule that is exact for squares: p comes first."""
    action, nodes, weights, off = _sample(port, case, 1)
    mean, log_std, other_mean, other_log_std = _for_each(case, nodes)
    kl, slack = port("gaussian_kl", *case[:4])
    total, error = np.zeros(len(nodes), dtype=object), np.zeros(len(nodes))
    for sign, centre, spread in ((1, mean, log_std), (-1, other_mean, other_log_std)):
        density, density_error = port("gaussian_log_prob", action, centre, spread)
        shift, far = off / np.exp(spread), np.abs(action - centre) / np.exp(spread)
        total = total + sign * exact(density)
        error = error + density_error + (shift * (far + shift)).sum(axis=-1) * (1 + gamma(4 * ELEMENTARY, WIDE))
    due = np.array(sum(w * d for w, d in zip(weights, total, strict=True)), dtype=object)
    port.equal(kl, due, float(slack) + _mean(weights, error))


@claim("G1", source=WILLIAMS, operators=["gaussian_score"], given={"case": noisy()}, share=0.3)
def gaussian_score_has_mean_zero_and_the_fisher_information_as_covariance(port: Trial, case: Noisy) -> None:
    """E score = 0, so that no baseline adds to the gradient; E score score^T = diag(1/s^2) for the mean, 2 I for the log-std."""
    (slope, slope_error), (square, square_error), nodes, weights = _scores(port, case)
    w = np.array([float(weight) for weight in weights])[:, None]
    zero, one = np.zeros(len(case.mean)), np.ones(len(case.mean))
    own = gamma(len(nodes) + 8, WIDE) * (np.abs(w) * (1 + nodes**2) ** 2 * 2).sum(axis=0)
    port.equal((w * slope).sum(axis=0), zero, (np.abs(w) * slope_error).sum(axis=0) + own, "E score of the mean")
    port.equal((w * square).sum(axis=0), zero, (np.abs(w) * square_error).sum(axis=0) + own, "E score of the log-std")
    wide = slope_error * (2 * np.abs(nodes) + slope_error)
    port.equal((w * slope**2).sum(axis=0), one, (np.abs(w) * wide).sum(axis=0) + own, "s^2 E score^2 of the mean")
    wide = square_error * (2 * np.abs(nodes**2 - 1) + square_error)
    port.equal((w * square**2).sum(axis=0), 2 * one, (np.abs(w) * wide).sum(axis=0) + own, "E score^2 of the log-std")


def _scores(port: Trial, case: Noisy) -> Any:
    """s times the mean's score, and the log-std's, on the nodes of a rule exact up to degree 5, with error bounds against z."""
    action, nodes, weights, off = _sample(port, case, 2)
    mean, log_std = _for_each(case, nodes)[:2]
    (slope, square), (slope_error, square_error) = port("gaussian_score", action, mean, log_std)
    std = np.exp(log_std)
    shift = off / std * (1 + gamma(4 * ELEMENTARY, WIDE))
    own = gamma(2 * ELEMENTARY, WIDE) * np.abs(slope * std)
    return (
        (slope * std, slope_error * std + shift + own),
        (square, square_error + shift * (2 * np.abs(nodes) + shift)),
        nodes,
        weights,
    )


@claim("G1", source=f"{WILLIAMS}; Stein 1981, lemma 1", operators=["gaussian_score"], given={"case": noisy()}, share=0.3)
def expected_score_times_q_is_the_gradient_whatever_the_baseline(port: Trial, case: Noisy) -> None:
    """For Q cubic in z = (a - m)/s: s dE Q/dm = E Q' = c1 + 3 c3 and dE Q/dlog s = E (z^2 - 1) Q = 2 c2, with any constant c0."""
    (slope, slope_error), (square, square_error), nodes, weights = _scores(port, case)
    w = np.array([float(weight) for weight in weights])[:, None]
    c = case.cubic
    q = c[0] + nodes * (c[1] + nodes * (c[2] + nodes * c[3]))
    size = np.abs(c[0]) + np.abs(nodes) * (np.abs(c[1]) + np.abs(nodes) * (np.abs(c[2]) + np.abs(nodes * c[3])))
    own = gamma(len(nodes) + 12, WIDE) * (np.abs(w) * size * (1 + nodes**2)).sum(axis=0)
    error = (np.abs(w) * np.abs(q) * slope_error).sum(axis=0)
    port.equal((w * q * slope).sum(axis=0), c[1] + 3 * c[3], error + own, "the gradient of the mean")
    error = (np.abs(w) * np.abs(q) * square_error).sum(axis=0)
    port.equal((w * q * square).sum(axis=0), 2 * c[2], error + own, "the gradient of the log-std")


@claim("gaussians", source="the definition of the score", operators=["gaussian_score", "gaussian_log_prob"],
       given={"case": noisy()}, share=0.5)  # fmt: skip
def score_of_the_mean_is_an_exact_difference_of_log_prob(port: Trial, case: Noisy) -> None:
    """log N is quadratic in m, so (log N(a; m + h) - log N(a; m - h)) / (2h) = (a - m)/s^2 for any h, in every coordinate."""
    action, mean, log_std = case.other_mean, case.mean, case.log_std
    (slope, _), (slope_error, _) = port("gaussian_score", action, mean, log_std)
    for d in range(len(mean)):
        ends, errors = [], []
        for sign in (1.0, -1.0):
            moved = np.array(rounded(np.where(np.arange(len(mean)) == d, mean + sign * 0.5, mean), port.dtype))
            density, error = port("gaussian_log_prob", action, moved, log_std)
            ends.append((density, moved[d]))
            errors.append(float(error))
        width = ends[0][1] - ends[1][1]
        middle = (ends[0][1] + ends[1][1]) / 2
        scale = math.exp(-2 * log_std[d])
        due = (ends[0][0] - ends[1][0]) / width + (middle - mean[d]) * scale
        own = gamma(4 * ELEMENTARY, WIDE) * ((abs(ends[0][0]) + abs(ends[1][0])) / width + abs(middle - mean[d]) * scale)
        port.equal(slope[d], due, float(slope_error[d]) + sum(errors) / width + own, due_by="gaussian_log_prob")
