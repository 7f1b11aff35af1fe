"""Derivatives of normal densities, of the actions squashed from them, and of reparameterised draws."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

from properties._bounds import ELEMENTARY, UNIT, Floats, gamma, narrowing, rounded, stored
from properties._claim import Absent, Call, Seeded, claim
from properties._draw import ROUGH, SEEDS
from properties._gaussians_cases import PER_EXP, SATURATED, Normal, normals, squares, squash, squashings
from properties._oracles.gaussians import derivative_by_digits
from properties._trial import Trial

GIVEN = {"normal": normals(styles=ROUGH, most=2)}
KINGMA = "Kingma & Welling 2014, §2.4 (reparameterisation)"


@claim("gaussians", source="the definition of the score", operators=["gaussian_score"], given=GIVEN, share=0.25,
       oracle="derivative_by_digits")  # fmt: skip
def gaussian_score_is_the_gradient_of_log_prob(port: Trial, normal: Normal) -> None:
    """score = (d log N/dm, d log N/d log s) = ((a - m)/s^2, ((a - m)/s)^2 - 1), against differences at 50 digits."""
    found, errors = port("gaussian_score", *normal[:3])
    for place, (value, error) in enumerate(zip(found, errors, strict=True), start=1):
        due = derivative_by_digits("gaussian_log_prob", place, *normal[:3])
        port.equal(value, due, error, ("the mean's", "the log-std's")[place - 1])


@claim("gaussians", source="the definition of the score", operators=["gaussian_score"], given=GIVEN)
def both_scores_come_from_one_distance(port: Trial, normal: Normal) -> None:
    """score of log s = (a - m) times score of m, less 1; at a = m they are 0, exactly, and -1."""
    (slope, square), (slope_error, square_error) = port("gaussian_score", *normal[:3])
    apart = normal.action - normal.mean
    own = gamma(4, UNIT["float64"]) * (np.abs(apart * slope) + 1)
    port.equal(square, apart * slope - 1, square_error + np.abs(apart) * slope_error + own)
    at_mean, (_, own_error) = port("gaussian_score", normal.mean, normal.mean, normal.log_std)
    port.equal(at_mean[0], np.zeros(apart.shape), 0.0, "the mean's score at the mean")
    port.equal(at_mean[1], -np.ones(apart.shape), own_error, "the log-std's score at the mean")


# ---------------------------------------------------------------------------------------------------- autodifferentiation
def _casts(port: Trial) -> float:
    """A leaf in a half type may be cast up to four times: what flows back through each cast is rounded, as are their sums."""
    return 8 * narrowing(port.dtype)


def log_prob_slopes(port: Trial, action: Floats, mean: Floats, log_std: Floats) -> tuple[Floats, Floats, Floats]:
    """Error bounds of the derivatives of log N: -(a - m)/s^2, its negative, and z^2 - 1; each may add up two ways of z^2."""
    slope = (gamma(PER_EXP + 10, port.unit) + _casts(port)) * np.abs(action - mean) * np.exp(-2.0 * log_std)
    square = (gamma(PER_EXP + 12, port.unit) + _casts(port)) * squares(action, mean, log_std)
    return slope, slope, square + gamma(ELEMENTARY, port.unit) + _casts(port)


@claim("gaussians", source="the definition of the score", operators=["gaussian_log_prob"], given=GIVEN, share=0.2,
       oracle="derivative_by_digits")  # fmt: skip
def differentiating_gaussian_log_prob_gives_the_score(port: Trial, normal: Normal) -> None:
    """Automatic differentiation of log N in the action, the mean and the log-std."""
    bounds = log_prob_slopes(port, *normal[:3])
    for place in range(3):
        found = port.derivative(place, *normal[:3])
        due = derivative_by_digits("gaussian_log_prob", place, *normal[:3])
        port.equal(found, due, stored(bounds[place], found, port.dtype), f"in argument {place}")


@claim("K1", source="the derivative of the entropy", operators=["gaussian_entropy"], given=GIVEN, share=0.2)
def differentiating_gaussian_entropy_gives_one_for_each_coordinate(port: Trial, normal: Normal) -> None:
    """dH/d log s = 1 in every coordinate."""
    found = port.derivative(0, normal.log_std)
    port.equal(found, np.ones(found.shape), stored(np.full(found.shape, gamma(PER_EXP, port.unit)), found, port.dtype))


@claim("K1", source="the derivative of the divergence", operators=["gaussian_kl"], given=GIVEN, share=0.2,
       oracle="derivative_by_digits")  # fmt: skip
def differentiating_gaussian_kl_gives_its_four_derivatives(port: Trial, normal: Normal) -> None:
    """d KL: (m - m')/s'^2 in m, (s/s')^2 - 1 in log s, -(m - m')/s'^2 in m', 1 - (s/s')^2 - ((m - m')/s')^2 in log s'."""
    mean, log_std, other_mean, other_log_std = normal[1:]
    slope = np.abs(mean - other_mean) * np.exp(-2.0 * other_log_std)
    apart = 2 * np.abs(log_std - other_log_std)
    ratio = gamma(2 * PER_EXP + 10 + apart, port.unit) * np.exp(2.0 * (log_std - other_log_std)) + gamma(ELEMENTARY, port.unit)
    moved, far = gamma(PER_EXP + 10, port.unit) * slope, gamma(PER_EXP + 12, port.unit) * squares(mean, other_mean, other_log_std)
    casts = _casts(port) * (1 + np.exp(2.0 * (log_std - other_log_std)) + slope + squares(mean, other_mean, other_log_std))
    for place, bound in enumerate((moved + casts, ratio + casts, moved + casts, ratio + far + casts)):
        found = port.derivative(place, *normal[1:])
        due = derivative_by_digits("gaussian_kl", place, *normal[1:])
        port.equal(found, due, stored(bound, found, port.dtype), f"in argument {place}")


@claim("S2", source="Haarnoja et al. 2018, appendix C", operators=["tanh_gaussian_log_prob"],
       given={"call": squashings(styles=ROUGH, most=2)}, share=0.2, oracle="derivative_by_digits")  # fmt: skip
def differentiating_tanh_log_prob_stays_finite_at_saturation(port: Trial, call: Call) -> None:
    """d log p/du = -(u - m)/s^2 + 2 tanh(u), finite at u = +-20 and +-1000, too; in m and log s as for log N."""
    u, mean, log_std = call.arguments
    box = (call.keywords["low"], call.keywords["high"])
    for point in (u, np.full(u.shape, SATURATED[0]), np.full(u.shape, SATURATED[3])):
        bounds = log_prob_slopes(port, point, mean, log_std)
        # 2 tanh u, or -2 + 4 sigmoid(-2 u): terms of at most 6 together.
        extra = ((gamma(PER_EXP + 10, port.unit) + _casts(port)) * 6, 0.0, 0.0)
        for place in range(3):
            found = port.derivative(place, point, mean, log_std, **call.keywords)
            port.holds(bool(np.all(np.isfinite(found))), "finite", found=found)
            due = derivative_by_digits("tanh_gaussian_log_prob", place, point, mean, log_std, *box)
            port.equal(found, due, stored(bounds[place] + extra[place], found, port.dtype), f"in argument {place}")


@claim("S2", source="Haarnoja et al. 2018, appendix C", operators=["tanh_action"], given={"call": squashings(styles=ROUGH, most=2)},
       share=0.2, oracle="derivative_by_digits")  # fmt: skip
def differentiating_tanh_action_gives_its_slope(port: Trial, call: Call) -> None:
    """d action/du = (high - low)/2 (1 - tanh(u)^2): an action inside the box is never clipped on the way."""
    u, (low, high) = call.arguments[0], (call.keywords["low"], call.keywords["high"])
    found = port.derivative(0, u, low=low, high=high)
    half = np.broadcast_to((np.asarray(high) - np.asarray(low)) / 2, u.shape)
    bound = gamma(2 * PER_EXP + 6, port.unit) * half
    port.equal(found, derivative_by_digits("tanh_action", 0, u, low, high), stored(bound, found, port.dtype))


@claim("S2", source="Haarnoja et al. 2018, appendix C", operators=["tanh_action"],
       given={"half": st.sampled_from([1.0, 2.0, 0.5]), "tenths": st.integers(26, 60)}, share=0.2, every_dtype=True)  # fmt: skip
def an_action_that_is_rounded_to_the_end_keeps_its_slope(port: Trial, half: float, tenths: int) -> None:
    """d action/du = half/cosh(u)^2 in (-half, half) at |u| from 2.6 to 6, where a half type rounds the action to the end; and 0 at
    u = +-1000, where exp(2|u|) overflows."""
    u = np.asarray(rounded(np.array([tenths / 10, -tenths / 10, 1000.0, -1000.0]), port.dtype))
    found = port.derivative(0, u, low=-half, high=half)
    bound = gamma(2 * PER_EXP + 6, port.unit) * half + _casts(port) * np.abs(found)
    port.equal(found, half / np.cosh(np.minimum(np.abs(u), 300.0)) ** 2, stored(bound, found, port.dtype))


# ------------------------------------------------------------------------------------------------------------- draws
def _noise(port: Trial, shape: tuple[int, ...], seed: Seeded) -> Floats:
    """The noise of a seed: the draw of N(0, I)."""
    return np.asarray(port.sample_gaussian(np.zeros(shape), np.zeros(shape), generator=seed))


def _placed(port: Trial, noise: Floats, mean: Floats, log_std: Floats) -> tuple[Floats, Floats]:
    """mean + std noise, and what rounding it may lose: exp, a product, a sum, and the noise itself as it was stored."""
    moved = np.exp(log_std) * noise
    error = (gamma(ELEMENTARY + 4, port.unit) + narrowing(port.dtype)) * np.abs(moved) + gamma(2, port.unit) * np.abs(mean)
    return mean + moved, stored(error, np.abs(mean) + np.abs(moved), port.dtype)


@claim("gaussians", source=KINGMA, operators=["sample_gaussian"], given={"normal": normals(styles=ROUGH), "seed": SEEDS})
def drawn_actions_are_mean_plus_std_times_noise(port: Trial, normal: Normal, seed: Seeded) -> None:
    """sample_gaussian(m, log s) = m + s noise, with the noise that the same generator gives N(0, I), coordinate by coordinate."""
    found = port.sample_gaussian(normal.mean, normal.log_std, generator=seed)
    noise = _noise(port, normal.mean.shape, seed)
    port.holds(bool(np.all(np.isfinite(noise))), "noise is finite", found=noise)
    port.equal(found, *_placed(port, noise, normal.mean, normal.log_std))


@claim("gaussians", source=f"{KINGMA}; the operator contract", operators=["sample_gaussian"],
       given={"seed": SEEDS, "log_std": st.sampled_from([2.0**-8, 0.375, -0.625])}, share=0.05, every_dtype=True)  # fmt: skip
def draws_are_rounded_to_their_type_once(port: Trial, seed: Seeded, log_std: float) -> None:
    """With m = 0 a draw is s noise up to half a unit in its last place, the noise being known to half a unit in its own; and where
    the type is computed in a wider one, the noise has more digits than are stored: some draw is not s times the stored noise."""
    zero = np.zeros(4096)
    noise = np.asarray(port.sample_gaussian(zero, zero, generator=seed))
    found = np.asarray(port.sample_gaussian(zero, zero + log_std, generator=seed))
    std, narrow = math.exp(log_std), narrowing(port.dtype)
    off = narrow * (_last_place(found) + std * _last_place(noise))
    own = gamma(ELEMENTARY + 4, port.unit) * (np.abs(found) + std * np.abs(noise))
    port.equal(found, std * noise, off + own)
    again = np.asarray(rounded(std * noise, port.dtype))
    port.holds(not narrow or not np.array_equal(found, again), "noise of more digits than the type has", found=found, due=again)


def _last_place(x: Floats) -> Floats:
    """The power of two at or below |x|, of which half a unit in the last place is a unit roundoff."""
    return np.ldexp(0.5, np.frexp(x)[1])


@claim("gaussians", source=KINGMA, operators=["sample_gaussian"], given={"seed": SEEDS}, share=0.25)
def coordinates_and_rows_draw_noise_of_their_own(port: Trial, seed: Seeded) -> None:
    """No coordinate and no row repeats another's noise throughout (6 rows of 5: two equal by chance once in 2^35 at most)."""
    noise = _noise(port, (6, 5), seed)
    for axis in (0, 1):
        lines = np.moveaxis(noise, axis, 0)
        distinct = len({line.tobytes() for line in lines})
        port.holds(distinct == len(lines), "equal noise in two rows or two coordinates", found=noise)


@claim("S2", source=f"{KINGMA}; Haarnoja et al. 2018, appendix C", operators=["sample_tanh_gaussian"],
       given={"call": squashings(styles=ROUGH), "seed": SEEDS})  # fmt: skip
def squashed_draws_come_with_their_own_pre_tanh(port: Trial, call: Call, seed: Seeded) -> None:
    """action = tanh_action(pre_tanh), inside the box without slack; pre_tanh = m + s noise, the noise of N(0, I)."""
    mean, log_std = call.arguments[1:]
    action, pre_tanh = port.sample_tanh_gaussian(mean, log_std, generator=seed, **call.keywords)
    low, high = call.keywords["low"], call.keywords["high"]
    port.holds(
        bool(np.all((low <= action) & (action <= high))), "low <= action <= high", found=action, due=np.clip(action, low, high)
    )
    plain = {"low": -1.0, "high": 1.0}
    noise = port.sample_tanh_gaussian(np.zeros(mean.shape), np.zeros(mean.shape), generator=seed, **plain)[1]
    port.equal(pre_tanh, *_placed(port, noise, mean, log_std), "pre_tanh")
    slope = (np.asarray(high) - np.asarray(low)) / 2 * narrowing(port.dtype) * np.abs(pre_tanh)
    port.equal(action, squash(pre_tanh, low, high), _squash_error(port, pre_tanh, low, high) + slope, "the action")


def _squash_error(port: Trial, pre_tanh: Floats, low: Any, high: Any) -> Floats:
    """The port's rounding and the due's, each that of tanh_action: the way gone, too, is at most |low| + |high|."""
    ends = np.broadcast_to(np.abs(np.asarray(low)) + np.abs(np.asarray(high)), pre_tanh.shape)
    return stored(2 * gamma(PER_EXP + 6, port.unit) * ends, ends, port.dtype)


@claim(
    "gaussians", source=KINGMA, operators=["sample_gaussian"], given={"normal": normals(styles=ROUGH), "seed": SEEDS}, share=0.25
)
def draws_can_be_differentiated_in_mean_and_log_std(port: Trial, normal: Normal, seed: Seeded) -> None:
    """d action/dm = 1 and d action/d log s = s noise = action - m."""
    arguments = (normal.mean, normal.log_std)
    slope = port.derivative(0, *arguments, generator=seed)
    port.equal(slope, np.ones(slope.shape), 0.0, "in the mean")
    found = port.derivative(1, *arguments, generator=seed)
    port.equal(found, *_placed(port, _noise(port, slope.shape, seed), 0.0 * normal.mean, normal.log_std), "in the log-std")


@claim("S2", source=f"{KINGMA}; Haarnoja et al. 2018, appendix C", operators=["sample_tanh_gaussian"],
       given={"call": squashings(styles=ROUGH), "seed": SEEDS}, share=0.25)  # fmt: skip
def squashed_draws_can_be_differentiated(port: Trial, call: Call, seed: Seeded) -> None:
    """d(action + u)/dm = 1 + (high - low)/2 (1 - tanh(u)^2), and in log s that times s noise, u = m + s noise."""
    mean, log_std = call.arguments[1:]
    if narrowing(port.dtype):
        raise Absent("in a half type the action is that of a rounded u, through which the derivative goes")
    low, high = call.keywords["low"], call.keywords["high"]
    pre_tanh = port.sample_tanh_gaussian(mean, log_std, generator=seed, **call.keywords)[1]
    noise = port.sample_tanh_gaussian(0.0 * mean, 0.0 * log_std, generator=seed, low=-1.0, high=1.0)[1]
    half = (np.asarray(high) - np.asarray(low)) / 2
    rate = 1 + half / np.cosh(np.minimum(np.abs(pre_tanh), 300.0)) ** 2
    # 1 - tanh^2, in which tanh counts twice (PER_EXP each), and the half width, the port's and the due's: terms of at most half.
    off = gamma(2 * PER_EXP + 12, port.unit) * (1 + half)
    slope = port.derivative(0, mean, log_std, generator=seed, **call.keywords)
    port.equal(slope, rate, off, "in the mean")
    moved = np.exp(log_std) * noise
    found = port.derivative(1, mean, log_std, generator=seed, **call.keywords)
    port.equal(found, rate * moved, np.abs(moved) * (2 * off + gamma(PER_EXP + 8, port.unit) * rate), "in the log-std")
