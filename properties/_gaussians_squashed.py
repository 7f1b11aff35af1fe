"""Actions squashed into a box by tanh: the density that SAC needs, at saturation, too (S2)."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from properties._bounds import ELEMENTARY, UNIT, Floats, gamma
from properties._claim import Call, claim
from properties._draw import ROUGH, values
from properties._gaussians_cases import SATURATED, squashings
from properties._oracles.gaussians import derivative_by_digits, tanh_action_by_digits, tanh_gaussian_log_prob_by_digits
from properties._trial import Trial

HAARNOJA = "Haarnoja et al. 2018, appendix C"
SQUASHED = {"call": squashings(most=3)}
HELD = ((-1.0, 1.0), (0.0, 1.0), (-2.0, 2.0), (-0.5, 1.5), (-32.0, -16.0))


@claim("S2", source=HAARNOJA, operators=["tanh_gaussian_log_prob"], given={"call": squashings(styles=ROUGH, most=2)}, share=0.5,
       oracle="tanh_gaussian_log_prob_by_digits")  # fmt: skip
def tanh_log_prob_is_the_density_of_the_action_to_fifty_digits(port: Trial, call: Call) -> None:
    """log p(a) = log N(u; m, s) - sum over d of log((high - low)/2 (1 - tanh(u)^2)), a the action, u before tanh."""
    found, error = port("tanh_gaussian_log_prob", *call.arguments, **call.keywords)
    port.equal(found, tanh_gaussian_log_prob_by_digits(*call.arguments, **call.keywords), error)


@claim("S2", source=HAARNOJA, operators=["tanh_gaussian_log_prob"], given=SQUASHED)
def tanh_log_prob_is_finite_at_saturation(port: Trial, call: Call) -> None:
    """At u = +-20 and +-1000, where 1 - tanh(u)^2 is 2^-56 or underflows, log p(a) is finite, and differs from log N(u) by
    2|u| - log 4 - log((high - low)/2) a coordinate, up to 2 exp(-2|u|)."""
    width = np.asarray(call.keywords["high"]) - np.asarray(call.keywords["low"])
    for far in SATURATED:
        u = np.full(call.arguments[0].shape, far)
        found, error = port("tanh_gaussian_log_prob", u, *call.arguments[1:], **call.keywords)
        port.holds(bool(np.all(np.isfinite(found))), f"finite at u = {far}", found=found)
        plain, plain_error = port("gaussian_log_prob", u, *call.arguments[1:])
        slope = np.broadcast_to(2 * abs(far) - np.log(4.0) - np.log(width / 2), u.shape)
        due = plain + slope.sum(axis=-1)
        terms = np.concatenate([plain[..., None], slope, slope, slope], axis=-1)
        tail = 2 * u.shape[-1] * math.exp(-2 * abs(far)) + gamma(ELEMENTARY, UNIT["float64"]) * (np.abs(slope) + 4).sum(axis=-1)
        port.equal(found, due, error + plain_error + tail + port.sum_error(terms), f"at u = {far}")


@claim("S2", source=f"{HAARNOJA}; the change of variables", operators=["tanh_gaussian_log_prob", "gaussian_log_prob"],
       given=SQUASHED, share=0.5, oracle="derivative_by_digits")  # fmt: skip
def tanh_log_prob_is_the_change_of_variables(port: Trial, call: Call) -> None:
    """log p(a) = log N(u) - sum over d of log da/du, the derivative of the action taken by differences at 50 digits."""
    u, box = call.arguments[0], call.keywords
    found, error = port("tanh_gaussian_log_prob", *call.arguments, **box)
    plain, plain_error = port("gaussian_log_prob", *call.arguments)
    slope = derivative_by_digits("tanh_action", 0, u, box["low"], box["high"])
    if np.abs(u).max() > 300.0:
        return
    rate = np.log(slope.astype(np.float64))
    own = gamma(ELEMENTARY + 1, UNIT["float64"]) * (1 + np.abs(rate)).sum(axis=-1)
    terms = np.concatenate([plain[..., None], rate], axis=-1)
    due_by = "gaussian_log_prob"
    port.equal(found, plain - rate.sum(axis=-1), error + plain_error + own + port.sum_error(terms), due_by=due_by)


@claim("S2", source=HAARNOJA, operators=["tanh_gaussian_log_prob"], given=SQUASHED, share=0.5)
def a_box_twice_as_wide_halves_the_density_in_every_coordinate(port: Trial, call: Call) -> None:
    """log p(2a) in the box (2 low, 2 high) = log p(a) - D log 2: the action's scale is subtracted, it does not divide."""
    found, error = port("tanh_gaussian_log_prob", *call.arguments, **call.keywords)
    wide = {key: 2.0 * end for key, end in call.keywords.items()}
    wider, wider_error = port("tanh_gaussian_log_prob", *call.arguments, **wide)
    less = np.full(found.shape, call.arguments[0].shape[-1] * math.log(2.0))
    port.equal(wider, found - less, error + wider_error + port.sum_error(np.stack([found, less, less, less], -1)))


@claim("S2", source=HAARNOJA, operators=["tanh_gaussian_log_prob"], given=SQUASHED, share=0.5)
def mirrored_actions_have_mirrored_densities(port: Trial, call: Call) -> None:
    """Turning the signs of u, of the mean and of the box changes nothing: neither tail is stable at the other's cost."""
    u, mean, log_std = call.arguments
    found, error = port("tanh_gaussian_log_prob", u, mean, log_std, **call.keywords)
    box = {"low": -np.asarray(call.keywords["high"]), "high": -np.asarray(call.keywords["low"])}
    ends = box if np.ndim(box["low"]) else {key: float(end) for key, end in box.items()}
    mirrored, mirrored_error = port("tanh_gaussian_log_prob", -u, -mean, log_std, **ends)
    port.equal(mirrored, found, error + mirrored_error)


@claim("S2", source=HAARNOJA, operators=["tanh_action"], given={"call": squashings(styles=ROUGH, most=2)}, share=0.5,
       oracle="tanh_action_by_digits")  # fmt: skip
def tanh_action_is_its_equation_to_fifty_digits(port: Trial, call: Call) -> None:
    """tanh_action = low + (high - low)(tanh(u) + 1)/2."""
    found, error = port("tanh_action", call.arguments[0], **call.keywords)
    port.equal(found, tanh_action_by_digits(call.arguments[0], **call.keywords), error)


@claim("S2", source=HAARNOJA, operators=["tanh_action"], given=SQUASHED)
def tanh_action_stays_in_the_box_and_never_turns_back(port: Trial, call: Call) -> None:
    """low <= tanh_action <= high without any slack, at any u; and u <= u' implies tanh_action(u) <= tanh_action(u')."""
    u, box = call.arguments[0], call.keywords
    for point in (u, *(np.full(u.shape, far) for far in SATURATED)):
        found = port.tanh_action(point, **box)
        inside = (box["low"] <= found) & (found <= box["high"])
        port.holds(bool(np.all(inside)), "low <= action <= high", found=found, due=np.clip(found, box["low"], box["high"]))
    low, low_error = port("tanh_action", np.minimum(u, call.arguments[1]), **box)
    high, high_error = port("tanh_action", np.maximum(u, call.arguments[1]), **box)
    port.at_most(low, high, low_error + high_error)


@claim("S2", source=HAARNOJA, operators=["tanh_action"], given={"u": values((4,)), "box": st.sampled_from(HELD)}, share=0.25,
       every_dtype=True)  # fmt: skip
def saturated_actions_are_the_ends_of_the_box(port: Trial, u: Floats, box: tuple[float, float]) -> None:
    """tanh_action(+-1000) is high and low, exactly, where half of their sum and difference are numbers of few digits."""
    far = np.where(u < 0, -1000.0, 1000.0)
    port.equal(port.tanh_action(far, low=box[0], high=box[1]), np.where(u < 0, *box), 0.0)


@claim("S2", source=HAARNOJA, operators=["tanh_action"], given={"u": values((4,)), "digits": st.integers(0, 255)}, share=0.25,
       every_dtype=True)  # fmt: skip
def actions_stay_in_a_box_whose_ends_the_type_cannot_hold(port: Trial, u: Floats, digits: int) -> None:
    """low <= tanh_action <= high without any slack where the ends are whole numbers of more digits than the type has: the nearest
    ones that it has may lie outside. (In float64 the ends are numbers of that type.)"""
    whole = min(round(-math.log2(UNIT[port.dtype])), 52)
    ends = 2**whole + digits % 16, 2**whole + digits // 16
    for low, high in ((-ends[0], ends[1]), (ends[0], 2 * ends[1] + 32), (-2 * ends[0] - 32, -ends[1])):
        for point in (u, np.where(u < 0, *SATURATED[2:][::-1])):
            found = port.tanh_action(point, low=low, high=high)
            inside = (low <= found) & (found <= high)
            port.holds(bool(np.all(inside)), f"{low} <= action <= {high}", found=found, due=np.clip(found, low, high))
