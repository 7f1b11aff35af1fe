"""Q-Prop is unbiased under Gaussian policies, whatever the critic (Q1).

Expectations over actions are not sampled: they are taken on noise whose plain mean is the expectation of every polynomial up to
degree 5, all in whole numbers, so that one call on that batch is the expectation; and node by node on Gauss-Hermite grids, for
quartic advantages and every bit of the mantissa.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from properties._bounds import UNIT, Floats, gamma
from properties._claim import claim
from properties._draw import codes
from properties._oracles import exact
from properties._oracles.control_variates import (
    exponents,
    gaussian_policy_gradient,
)
from properties._quadrature import gauss_hermite, repeated
from properties._trial import Trial

Draw = Callable[[st.SearchStrategy[Any]], Any]
QPROP = "Gu et al. 2017 (Q-Prop)"
MIXING = "Gu et al. 2017 (Interpolated Policy Gradient), §3 (direct mixing)"


GAP = 1e-10
"""The gap that the sentence Q1 names. In float64 the derived bounds at the magnitudes drawn here are below it, so that both hold:
the bound is what refutes, and this says that it is worth something."""


def capped(port: Trial, error: Floats) -> Floats:
    """The derived bound, and in float64 no more than the gap."""
    return np.minimum(error, GAP) if port.dtype == "float64" else error


# ------------------------------------------------------------------------------------------------------ Gaussian policies
class Gaussian(NamedTuple):
    """A Gaussian policy at a few states, its critic, an advantage that owes the critic nothing, and a weight for each state."""

    mean: Floats
    std: Floats
    mean_jacobian: Floats
    log_std_jacobian: Floats
    critic: Floats
    advantage: Floats
    weight: Floats


SIZES = ((1, 1, 1), (2, 1, 2), (1, 2, 3), (2, 2, 2), (3, 1, 3), (1, 3, 2), (1, 2, 1))
"""States, action dimensions, parameters."""


@st.composite
def gaussians(draw: Draw, *, degree: int, whole: bool) -> Gaussian:
    """Jacobians are drawn for each state, as those of any nonlinear mean and log std are; so are cubic critics.

    `whole`: quarters between -1 and 1 and standard deviations 1/2 or 1, so that actions, scores and polynomials are exact.
    """
    s, d, p = draw(st.sampled_from(SIZES))
    terms = len(exponents(d, degree))
    shapes = ((s, d), (s, d), (s, d, p), (s, d, p), (s, len(exponents(d, 3))), (s, terms), (s,))
    bits = np.frombuffer(draw(codes(2 * sum(map(_size, shapes)))), dtype=">u2").astype(np.int64)
    parts = np.split(bits, np.cumsum([_size(shape) for shape in shapes])[:-1])
    arrays = [_between(part.reshape(shape), whole) for part, shape in zip(parts, shapes, strict=True)]
    std = np.where(parts[1].reshape(s, d) % 2, 0.5, 1.0) if whole else 0.75 + arrays[1] / 4
    return Gaussian(arrays[0], std, *arrays[2:])


def _size(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape))


def _between(numbers: Any, whole: bool) -> Floats:
    """Numbers of 16 bits as values between -1 and 1, 0 first: quarters, or thirds of 2^-14, which fill the mantissa."""
    signed = np.where(numbers % 2, -(numbers // 2) - 1, numbers // 2)
    return np.asarray(np.fmod(signed, 5) / 4.0 if whole else signed / 32768.0 * (1.0 - 2.0**-30 / 3.0))


def polynomial(coefficients: Floats, degree: int, action: Floats) -> Floats:
    """A polynomial for each state at actions [S, n, D] -> [S, n]."""
    power = [np.ones(action.shape)]
    for _ in range(degree):
        power.append(power[-1] * action)
    monomials = [np.multiply.reduce([power[k][..., d] for d, k in enumerate(term)]) for term in exponents(action.shape[-1], degree)]
    return np.asarray((coefficients[:, None, :] * np.stack(monomials, axis=-1)).sum(axis=-1))


def critic_gradient(case: Gaussian) -> Floats:
    """The gradient by action of the cubic critic at the mean [S, D]."""
    powers = np.array(exponents(case.mean.shape[-1], 3))
    lowered = np.maximum(powers - np.eye(powers.shape[1], dtype=int)[:, None], 0)
    monomials = powers.T * np.prod(case.mean[:, None, None, :] ** lowered, axis=-1)
    return np.asarray((case.critic[:, None, :] * monomials).sum(axis=-1))


def score(case: Gaussian, noise: Floats) -> Floats:
    """The gradient of log pi by the parameters at mean + std noise, [S, n, P]."""
    by_mean = np.einsum("sdp,snd->snp", case.mean_jacobian, noise / case.std[:, None])
    return np.asarray(by_mean + np.einsum("sdp,snd->snp", case.log_std_jacobian, noise**2 - 1))


def rows(part: Floats, many: int) -> Floats:
    """Each state's entry `many` times, states first: [S, ...] -> [S many, ...]."""
    return np.repeat(part, many, axis=0)


WHOLE = {"case": gaussians(degree=3, whole=True)}


@claim(
    "Q1",
    source=f"{QPROP}, §3.1 and §3.2",
    operators=["q_prop_gradient", "taylor_control_variate"],
    given=WHOLE,
    share=0.5,
    oracle="gaussian_policy_gradient",
)
def q_prop_gradient_is_unbiased_for_gaussian_policies(port: Trial, case: Gaussian) -> None:
    """E over actions of q_prop_gradient = the policy gradient, by the parameters of mean and log std alike, for every critic,
    every advantage, and every weight that is fixed before the action is drawn; within the derived bound and within 1e-10."""
    noise = np.broadcast_to(repeated(2, case.mean.shape[-1]), (len(case.mean), *repeated(2, case.mean.shape[-1]).shape))
    many = noise.shape[1]
    action = case.mean[:, None] + case.std[:, None] * noise
    advantage = polynomial(case.advantage, 3, action).ravel()
    gradient = rows(critic_gradient(case), many)
    mean = rows(case.mean, many)
    variate, variate_error = port("taylor_control_variate", action.reshape(mean.shape), mean, gradient)
    scores, weight = score(case, noise).reshape(len(mean), -1), rows(case.weight, many)
    found, error = port("q_prop_gradient", scores, advantage, variate, weight, gradient, rows(case.mean_jacobian, many))
    error = error + (np.abs(scores) * (np.abs(weight) * variate_error)[:, None]).mean(axis=0)
    due = gaussian_policy_gradient(case.advantage, 3, *case[:4])
    port.equal(found, due, capped(port, error))


@claim(
    "Q1",
    source=f"{QPROP}, §3.1 (the control variate's mean is known)",
    operators=["taylor_control_variate"],
    given=WHOLE,
    share=0.5,
)
def taylor_control_variate_has_mean_zero_under_its_policy(port: Trial, case: Gaussian) -> None:
    """E over actions of the control variate = 0."""
    noise = repeated(2, case.mean.shape[-1])
    action = case.mean[:, None] + case.std[:, None] * noise
    parts = [np.broadcast_to(part[:, None], action.shape) for part in (case.mean, critic_gradient(case))]
    found, error = port("taylor_control_variate", action, *parts)
    port.equal(exact(found).sum(axis=-1) / len(noise), np.zeros(len(action)), error.mean(axis=-1))


QUARTIC = {"case": gaussians(degree=4, whole=False)}


@claim(
    "Q1",
    source=f"{QPROP}, §3.1 and §3.2",
    operators=["q_prop_gradient"],
    given=QUARTIC,
    share=0.2,
    oracle="gaussian_policy_gradient",
)
def q_prop_gradient_is_unbiased_node_by_node(port: Trial, case: Gaussian) -> None:
    """The same for quartic advantages, by Gauss-Hermite quadrature over calls at one action each; within 1e-10."""
    rule = gauss_hermite(4, case.mean.shape[-1])
    gradient = critic_gradient(case)
    total, slack = exact(np.zeros(case.mean_jacobian.shape[-1])), np.zeros(case.mean_jacobian.shape[-1])
    for node, weight in zip(rule.nodes, rule.weights, strict=True):
        noise = np.broadcast_to(node, (len(case.mean), 1, len(node)))
        action = case.mean[:, None] + case.std[:, None] * noise
        advantage = polynomial(case.advantage, 4, action)[:, 0]
        variate = (gradient * (action[:, 0] - case.mean)).sum(axis=-1)
        found, error = port(
            "q_prop_gradient", score(case, noise)[:, 0], advantage, variate, case.weight, gradient, case.mean_jacobian
        )
        total, slack = total + exact(weight) * exact(found), slack + weight * (error + _node_error(port.unit, case, np.abs(noise)))
    due = gaussian_policy_gradient(case.advantage, 4, *case[:4])
    agrees(port, total, due, capped(port, slack))


def _node_error(unit: float, case: Gaussian, noise: Floats) -> Floats:
    """What rounding the rule, the action, the score and the advantage at one node may do to its term.

    A monomial of degree 4 takes 4 times (node, product with std, sum with mean), 4 products and T - 1 additions; the control
    variate subtracts the mean again; the score at most 2 (node) + 4 + D + D; the weight one. At most T + 40 roundings of each
    absolute term; no difference is taken but of such terms.
    """
    absolute = Gaussian(*map(np.abs, case))
    action = absolute.mean[:, None] + absolute.std[:, None] * noise
    advantage = polynomial(absolute.advantage, 4, action)[:, 0]
    gradient = critic_gradient(absolute)
    variate = (gradient * (action[:, 0] + absolute.mean)).sum(axis=-1)
    by_mean = np.einsum("sdp,sd->sp", absolute.mean_jacobian, noise[:, 0] / absolute.std)
    scores = by_mean + np.einsum("sdp,sd->sp", absolute.log_std_jacobian, noise[:, 0] ** 2 + 1)
    terms = scores * (advantage + absolute.weight * variate)[:, None]
    analytic = absolute.weight[:, None] * np.einsum("sdp,sd->sp", absolute.mean_jacobian, gradient)
    return np.asarray(gamma(case.advantage.shape[1] + 40, unit) * (terms + analytic).mean(axis=0))


def agrees(port: Trial, total: Any, due: Any, slack: Any) -> None:
    """Compare an exact expectation of the port's answers, rounded once to be shown, with what is due."""
    shown = np.asarray(total).astype(np.float64)
    port.equal(shown, due, slack + UNIT["float64"] * np.abs(shown))
