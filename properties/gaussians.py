"""Normal policies with independent coordinates: error bounds, equations, and what entropies and divergences promise (K1)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

from properties import _gaussians_gradients, _gaussians_quadrature, _gaussians_squashed  # noqa: F401  (register their claims)
from properties._aggregates_bounds import holds_in
from properties._bounds import ELEMENTARY, UNIT, Floats, gamma, rounded, stored
from properties._claim import Call, claim, operator
from properties._draw import ROUGH, SEEDS
from properties._gaussians_cases import (
    HALF_LOG_TWO_PI,
    PER_EXP,
    Normal,
    log_std_error,
    normals,
    squares,
    squash,
    squashings,
)
from properties._oracles import exact
from properties._oracles.gaussians import gaussian_entropy_by_digits, gaussian_kl_by_digits, gaussian_log_prob_by_digits
from properties._trial import Trial

COVER = "Cover & Thomas 2006"
CHAIN = "the definition of the normal density"


def _part(*names: str, **keywords: st.SearchStrategy[Any]) -> st.SearchStrategy[Call]:
    return st.builds(
        lambda normal, k: Call(tuple(getattr(normal, name) for name in names), k),
        normals(styles=ROUGH),
        st.fixed_dictionaries(keywords),
    )


# -------------------------------------------------------------------------------------------------------------- bounds
@operator("gaussian_log_prob", inputs=_part("action", "mean", "log_std"))
def log_prob_bound(unit: float, action: Floats, mean: Floats, log_std: Floats) -> Floats:
    """3 D terms in any order. z^2/2: a - m, exp(-log_std) and their product twice (or 1/s^2 in other ways), and a factor;
    log_std; log(2 pi)/2, where log counts."""
    terms = 3 * action.shape[-1]
    half = gamma(terms + PER_EXP + 8, unit) * squares(action, mean, log_std) / 2
    constant = gamma(terms + ELEMENTARY + 2, unit) * HALF_LOG_TWO_PI
    return np.asarray((half + log_std_error(unit, log_std, terms) + constant).sum(axis=-1))


@operator("gaussian_entropy", inputs=_part("log_std"))
def entropy_bound(unit: float, log_std: Floats) -> Floats:
    """2 D terms in any order: log_std and (1 + log(2 pi))/2."""
    terms = 2 * log_std.shape[-1]
    constant = gamma(terms + ELEMENTARY + 2, unit) * (0.5 + HALF_LOG_TWO_PI)
    return np.asarray((log_std_error(unit, log_std, terms) + constant).sum(axis=-1))


@operator("gaussian_kl", inputs=_part("mean", "log_std", "other_mean", "other_log_std"))
def kl_bound(unit: float, mean: Floats, log_std: Floats, other_mean: Floats, other_log_std: Floats) -> Floats:
    """4 D terms in any order: the log-stds, (s/s')^2/2 and ((m - m')/s')^2/2, 1/2. The ratio is a quotient of exponentials, or
    exp of a rounded difference, which costs 2 |log s - log s'| u."""
    terms, apart = 4 * mean.shape[-1], np.abs(log_std - other_log_std)
    ratio = np.exp(2.0 * (log_std - other_log_std)) / 2
    far = squares(mean, other_mean, other_log_std) / 2
    logs = log_std_error(unit, log_std, terms) + log_std_error(unit, other_log_std, terms)
    rounds = terms + 2 * PER_EXP + 8
    each = gamma(rounds + 2 * apart, unit) * ratio + gamma(rounds, unit) * far + logs + gamma(terms, unit) / 2
    return np.asarray(each.sum(axis=-1))


@operator("gaussian_score", inputs=_part("action", "mean", "log_std"))
def score_bound(unit: float, action: Floats, mean: Floats, log_std: Floats) -> tuple[Floats, Floats]:
    """(a - m)/s^2: a difference, 1/s^2, a product; z^2 - 1: that times a - m, and a difference; or (z - 1)(z + 1), of three."""
    slope = np.abs(action - mean) * np.exp(-2.0 * log_std)
    square = squares(action, mean, log_std)
    return gamma(PER_EXP + 6, unit) * slope, gamma(PER_EXP + 9, unit) * square + gamma(3, unit)


@operator("tanh_gaussian_log_prob", inputs=squashings(styles=ROUGH))
def tanh_log_prob_bound(unit: float, pre_tanh: Floats, mean: Floats, log_std: Floats, *, low: Any, high: Any) -> Floats:
    """That of log N(u), and three terms a coordinate: log of the half width, whose difference rounds once, and
    log(1 - tanh^2) = 2 (log 2 - u - softplus(-2u)), whose terms are at most 4 log 2 + 6 |u| together."""
    terms = 6 * pre_tanh.shape[-1]
    width = np.abs(np.log((np.asarray(high) - np.asarray(low)) / 2))
    slope = gamma(terms + ELEMENTARY + 4, unit) * (4 * math.log(2.0) + 6 * np.abs(pre_tanh))
    box = gamma(terms + ELEMENTARY, unit) * width + gamma(2 + ELEMENTARY, unit)
    own = log_prob_bound(unit, pre_tanh, mean, log_std)
    carried = gamma(terms, unit) * (squares(pre_tanh, mean, log_std) / 2 + np.abs(log_std) + HALF_LOG_TWO_PI).sum(axis=-1)
    return np.asarray(own + carried + np.broadcast_to(slope + box, pre_tanh.shape).sum(axis=-1))


@operator("tanh_action", inputs=squashings(styles=ROUGH).map(lambda call: Call(call.arguments[:1], call.keywords)))
def tanh_action_bound(unit: float, pre_tanh: Floats, *, low: Any, high: Any) -> Floats:
    """low + half width (1 + tanh u), or centre + half width tanh u, or low + width / (1 + exp(-2u)): tanh, or exp and a quotient,
    at the size of the way gone; six roundings at the size of the bounds."""
    ends = np.abs(np.asarray(low)) + np.abs(np.asarray(high))
    return np.asarray(gamma(6, unit) * ends + gamma(PER_EXP, unit) * squash(pre_tanh, 0.0, np.asarray(high) - np.asarray(low)))


@operator("sample_gaussian", inputs=_part("mean", "log_std", generator=SEEDS), random=True)
def sample_bound(unit: float, mean: Floats, log_std: Floats, *, generator: Any) -> float:
    """A draw has no right answer."""
    return 0.0


@st.composite
def _squashed_draws(draw: Any) -> Call:
    call = draw(squashings(styles=ROUGH))
    return Call(call.arguments[1:], {**call.keywords, "generator": draw(SEEDS)})


@operator("sample_tanh_gaussian", inputs=_squashed_draws(), random=True)
def sample_tanh_bound(unit: float, mean: Floats, log_std: Floats, *, low: Any, high: Any, generator: Any) -> float:
    """A draw has no right answer."""
    return 0.0


# -------------------------------------------------------------------------------------------------------------- claims
GIVEN = {"normal": normals(most=3)}
ROUGH_GIVEN = {"normal": normals(styles=ROUGH, most=2)}


@claim(
    "gaussians", source=CHAIN, operators=["gaussian_log_prob"], given=ROUGH_GIVEN, share=0.5, oracle="gaussian_log_prob_by_digits"
)
def gaussian_log_prob_is_its_equation_to_fifty_digits(port: Trial, normal: Normal) -> None:
    """log N(a; m, s) = the sum over d of -(a_d - m_d)^2/(2 s_d^2) - log s_d - log(2 pi)/2."""
    found, error = port("gaussian_log_prob", *normal[:3])
    port.equal(found, gaussian_log_prob_by_digits(*normal[:3]), error)


@claim("K1", source=f"{COVER}, example 8.1.2", operators=["gaussian_entropy"], given=ROUGH_GIVEN, share=0.5,
       oracle="gaussian_entropy_by_digits")  # fmt: skip
def gaussian_entropy_is_its_equation_to_fifty_digits(port: Trial, normal: Normal) -> None:
    """H = the sum over d of log s_d + (1 + log(2 pi))/2: the constant counts once for every coordinate."""
    found, error = port("gaussian_entropy", normal.log_std)
    port.equal(found, gaussian_entropy_by_digits(normal.log_std), error)


@claim("K1", source=f"{COVER}, theorem 8.6.4", operators=["gaussian_entropy"], given=GIVEN, share=0.5)
def scaling_a_gaussian_by_c_adds_log_c_to_its_entropy_for_each_coordinate(port: Trial, normal: Normal) -> None:
    """H(log s + c) = H(log s) + D c; and the entropy of D coordinates is the sum of theirs."""
    found, error = port("gaussian_entropy", normal.log_std)
    shifted, shifted_error = port("gaussian_entropy", normal.log_std + 0.5)
    size = normal.log_std.shape[-1]
    if holds_in(port.dtype, normal.log_std + 0.5) and np.array_equal(normal.log_std + 0.5 - 0.5, normal.log_std):
        port.equal(shifted, exact(found) + exact(np.asarray(0.5 * size)), error + shifted_error)
    parts, slack = port("gaussian_entropy", normal.log_std[..., None])
    port.equal(found, exact(parts).sum(axis=-1), error + slack.sum(axis=-1), "the sum over coordinates")


@claim(
    "K1", source="Kullback & Leibler 1951", operators=["gaussian_kl"], given=ROUGH_GIVEN, share=0.5, oracle="gaussian_kl_by_digits"
)
def gaussian_kl_is_its_equation_to_fifty_digits(port: Trial, normal: Normal) -> None:
    """KL(p || q) = the sum over d of log(s'/s) + (s^2 + (m - m')^2)/(2 s'^2) - 1/2, q with primes."""
    found, error = port("gaussian_kl", *normal[1:])
    port.equal(found, gaussian_kl_by_digits(*normal[1:]), error)


@claim("K1", source=f"{COVER}, theorem 8.6.1", operators=["gaussian_kl"], given={"normal": normals(styles=ROUGH)})
def kl_of_a_gaussian_from_itself_is_exactly_zero(port: Trial, normal: Normal) -> None:
    """KL(p || p) = 0, without rounding, whatever the scale."""
    found = port.gaussian_kl(normal.mean, normal.log_std, normal.mean, normal.log_std)
    port.equal(found, np.zeros(found.shape), 0.0)


NEAR = (2.0**-30, 2.0**-27, 2.0**-12, 2.0**-4, 1.0)


@claim("K1", source=f"{COVER}, theorem 8.6.1", operators=["gaussian_kl"], given={"normal": normals(styles=ROUGH)}, share=0.5)
def kl_is_never_negative_and_at_least_half_the_squared_distance_of_the_means(port: Trial, normal: Normal) -> None:
    """KL(p || q) >= (1/2) sum of ((m - m')/s')^2, as x - 1 - log x >= 0; and >= 0 without any slack, for q near p, too."""
    close = [(normal.mean + near * normal.other_mean, normal.log_std + near * normal.other_log_std / 32) for near in NEAR]
    for mean, log_std in (*rounded(tuple(close), port.dtype), (normal.other_mean, normal.other_log_std)):
        found, error = port("gaussian_kl", normal.mean, normal.log_std, mean, log_std)
        port.holds(bool(np.all(found >= 0)), "KL >= 0", found=found, due=np.maximum(found, 0.0))
        least = squares(normal.mean, mean, log_std).sum(axis=-1) / 2
        port.at_most(least, found, error + gamma(PER_EXP + 8, UNIT["float64"]) * least)


@claim("K1", source=f"{COVER}, theorem 8.6.4; Higham 2002, §1.14.1", operators=["gaussian_kl"], share=0.1,
       given={"base": st.integers(-16, 16)}, oracle="gaussian_kl_by_digits")  # fmt: skip
def kl_of_two_spreads_does_not_cancel(port: Trial, base: int) -> None:
    """With one mean KL = (exp(x) - 1 - x)/2, x = 2 (log s - log s'), whatever the size of the log-stds: that of x counts alone."""
    apart = np.arange(-32.0, 33.0) / 32
    other = np.full((3 * len(apart), 1), base / 4.0)
    log_std = np.asarray(rounded(other + np.concatenate([apart, apart / 2**12, apart / 2**27])[:, None], port.dtype))
    zero = np.zeros(other.shape)
    found = port.gaussian_kl(zero, log_std, zero, other)
    x = 2 * (log_std - other)
    # x is rounded once, of which exp(x) - 1 takes |x|; below 1 that is expm1, beyond it may be exp, or a square, less 1.
    size = np.where(np.abs(x) < 1, gamma(ELEMENTARY + 4, port.unit), gamma(PER_EXP + 4, port.unit) * 2)
    each = (size * (np.abs(np.expm1(x)) + np.abs(x)) + gamma(2, port.unit) * np.abs(x * np.expm1(x))) / 2
    port.equal(found, gaussian_kl_by_digits(zero, log_std, zero, other), stored(each.sum(axis=-1), found, port.dtype))


@claim("K1", source=f"{COVER}, theorem 2.5.3 (chain rule)", operators=["gaussian_kl"], given=GIVEN, share=0.5)
def kl_of_independent_coordinates_adds_up(port: Trial, normal: Normal) -> None:
    """KL of D coordinates = the sum of the D divergences of one coordinate."""
    found, error = port("gaussian_kl", *normal[1:])
    parts, slack = port("gaussian_kl", *(array[..., None] for array in normal[1:]))
    port.equal(found, exact(parts).sum(axis=-1), error + slack.sum(axis=-1))
