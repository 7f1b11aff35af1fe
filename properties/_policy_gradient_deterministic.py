"""The deterministic policy gradient: its equation, linear-quadratic control where it is known exactly (A1), and critics that may
replace the true one (A2)."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from properties._aggregates_bounds import holds_in
from properties._bounds import ELEMENTARY, UNIT, Floats, gamma, rounded
from properties._claim import TABULAR, Call, claim, operator
from properties._draw import ROUGH, STYLES, values
from properties._oracles import exact
from properties._oracles.policy_gradient import (
    Regulator,
    least_squares_by_fractions,
    regulator,
    regulator_action_slope,
    regulator_gradient_by_duals,
    regulator_moments,
)
from properties._quadrature import whole_grid
from properties._trial import Trial
from reference.linear_quadratic import LinearQuadratic, action_gradient, objective_gradient, state_second_moment, value_matrix

SILVER = "Silver et al. 2014"


class Batch(NamedTuple):
    """Actions, means and slopes of Q [B, D], and Jacobians of the mean [B, D, P]."""

    action: Floats
    mean: Floats
    slope: Floats
    jacobian: Floats


@cache
def jacobians(styles: tuple[str, ...] = STYLES) -> st.SearchStrategy[Batch]:
    """1 to 4 states, 1 to 3 action dimensions, 1 to 3 parameters; each array in a style of its own."""
    sizes = st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3))
    return sizes.flatmap(lambda s: st.builds(Batch, *[values(s[:2], styles)] * 3, values(s, styles)))


@operator(
    "deterministic_policy_gradient", inputs=jacobians(ROUGH).map(lambda b: Call((b.slope, b.jacobian), {})), core=TABULAR
)  # fmt: skip
def deterministic_bound(unit: float, action_gradient: Floats, policy_jacobian: Floats) -> Floats:
    """B D products and B D - 1 sums in any order, and 1/B with its product."""
    size = np.einsum("bd,bdp->p", np.abs(action_gradient), np.abs(policy_jacobian)) / len(action_gradient)
    return np.asarray(gamma(action_gradient.size + 2, unit) * size)


@operator("compatible_features", inputs=jacobians(ROUGH).map(lambda b: Call((b.action, b.mean, b.jacobian), {})))
def features_bound(unit: float, action: Floats, mean: Floats, policy_jacobian: Floats) -> Floats:
    """a - mu, D products and D - 1 sums in any order."""
    return np.asarray(gamma(action.shape[-1] + 1, unit) * np.einsum("bd,bdp->bp", np.abs(action - mean), np.abs(policy_jacobian)))


BATCH = {"b": jacobians()}


def _pulled(slope: Any, jacobian: Any) -> Any:
    """(1/B) sum over b of J_b'g_b, exactly."""
    return np.asarray((slope[:, :, None] * exact(jacobian)).sum(axis=(0, 1)) * Fraction(1, len(slope)))


@claim("policy_gradient", source=f"{SILVER}, eq. 9", operators=["deterministic_policy_gradient"], given=BATCH, share=0.5)
def deterministic_policy_gradient_is_the_mean_of_the_chain_rule(port: Trial, b: Batch) -> None:
    """(1/B) sum over states of J'g, the mean and not the sum, in exact arithmetic; an ascent direction: with D = P = 1, J = 1 it is
    the mean of g itself."""
    found, error = port("deterministic_policy_gradient", b.slope, b.jacobian)
    port.equal(found, _pulled(exact(b.slope), b.jacobian), error)
    plain, plain_error = port("deterministic_policy_gradient", b.slope[:, :1], np.ones((len(b.slope), 1, 1)))
    port.equal(plain, exact(b.slope[:, :1]).sum(axis=0) * Fraction(1, len(b.slope)), plain_error, "J = 1")


@claim("policy_gradient", source=f"{SILVER}, eq. 9", operators=["deterministic_policy_gradient"], given=BATCH, share=0.5)
def every_state_counts_once(port: Trial, b: Batch) -> None:
    """Each state taken twice, and the states reversed, change nothing."""
    due, error = port("deterministic_policy_gradient", b.slope, b.jacobian)
    for order in (np.repeat(np.arange(len(b.slope)), 2), np.arange(len(b.slope))[::-1]):
        found, found_error = port("deterministic_policy_gradient", b.slope[order], b.jacobian[order])
        port.equal(found, due, error + found_error)


# ------------------------------------------------------------------------------------------------ linear-quadratic control
class Control(NamedTuple):
    """A stable regulator, a gain, a discount, and how wide the policy explores."""

    dynamics: Floats
    control: Floats
    state_cost: Floats
    control_cost: Floats
    noise: Floats
    start: Floats
    gain: Floats
    discount: float
    deviation: float


@st.composite
def controls(draw: Any) -> Control:
    """n, d in {1, 2}; rows of A + BK sum to at most 1, so every discount below 1 is stable."""
    n, d = draw(st.sampled_from([(1, 1), (2, 1), (1, 2), (2, 2)]))

    def matrix(shape: tuple[int, ...], most: float) -> Floats:
        return np.asarray(draw(values(shape, ("generic",))) * (most / 128.0))

    def positive(size: int, least: float) -> Floats:
        root = matrix((size, size), 1.0)
        return np.asarray(root @ root.T + least * np.eye(size))

    return Control(
        dynamics=matrix((n, n), 0.25),
        control=matrix((n, d), 1.0),
        state_cost=positive(n, 0.0),
        control_cost=positive(d, 0.25),
        noise=positive(n, 0.0),
        start=positive(n, 0.0625),
        gain=matrix((d, n), 0.125),
        discount=draw(st.sampled_from([0.75, 0.0, 0.5, 0.9375])),
        deviation=draw(st.sampled_from([1.0, 0.25])),
    )


def _points(case: Control, port: Trial, deviation: float) -> tuple[Regulator, Floats, Floats, Floats]:
    """States whose second moment is the discounted average one, the slope of Q at the action of each, the Jacobian of u = K x in
    the entries of K, and the size of what rounding these may change.

    sqrt(n) times the columns of M's Cholesky factor have the mean M of x x'. Each entry is a few float64 roundings of sqrt and
    division off and one of the port's type, and the slope E x one more of each.
    """
    noise = exact(case.noise) + exact(deviation) ** 2 * exact(case.control) @ exact(case.control).T
    system = regulator(case[:6], case.discount)._replace(noise=noise)
    gain = exact(case.gain)
    moment, rate = regulator_moments(system, gain), regulator_action_slope(system, gain)
    states, jacobian = _spread(moment.astype(np.float64), case.gain, port)
    slope = states @ rate.astype(np.float64).T
    size = np.abs(states) @ np.abs(rate.astype(np.float64)).T
    moved = np.einsum("bd,bdp->p", size, np.abs(jacobian)) / len(moment)
    return system, slope, jacobian, moved * _inexact(moment.astype(np.float64), port)


def _spread(moment: Floats, gain: Floats, port: Trial) -> tuple[Floats, Floats]:
    """As many states as coordinates with that second moment, and the Jacobian of u = K x at each."""
    n = len(moment)
    states = np.asarray(rounded(np.sqrt(n) * np.linalg.cholesky(moment).T, port.dtype))
    return states, np.einsum("de,bj->bdej", np.eye(len(gain)), states).reshape(n, len(gain), -1)


def _inexact(moment: Floats, port: Trial) -> float:
    """What rounding the states and slopes, and the factor of M, may change, relative to the sizes of the terms.

    In the port's type: states count twice in a term and slopes once, and one more for what is of second order. In float64: the
    moment, its factor and the products with it take less than 16 n roundings, of which Cholesky's are magnified by the condition.
    """
    condition = float(np.trace(moment) / np.linalg.eigvalsh(moment)[0])
    return 4 * UNIT[port.dtype] + float(gamma(16 * len(moment), UNIT["float64"])) * condition


@claim("A1", source=f"{SILVER}, theorem 1; Fazel et al. 2018, lemma 1", operators=["deterministic_policy_gradient"],
       given={"case": controls()}, share=0.1, oracle="regulator_gradient_by_duals")  # fmt: skip
def deterministic_policy_gradient_is_the_derivative_of_the_regulators_reward(port: Trial, case: Control) -> None:
    """On linear-quadratic control, over states of the discounted average distribution, (1/B) sum of J'g = d/dK of the average
    reward, differentiated exactly by dual numbers."""
    system, slope, jacobian, inexact = _points(case, port, 0.0)
    found, error = port("deterministic_policy_gradient", slope, jacobian)
    due = regulator_gradient_by_duals(system, exact(case.gain)).ravel()
    port.equal(found, due, error + inexact)


@claim("A1", source=f"{SILVER}, theorem 1; Fazel et al. 2018, lemma 1", operators=["deterministic_policy_gradient"],
       given={"case": controls()}, share=0.25)  # fmt: skip
def deterministic_policy_gradient_is_the_regulators_closed_form(port: Trial, case: Control) -> None:
    """On linear-quadratic control, with states, slopes of Q and the gradient of the average reward all in closed form (Lyapunov
    equations): (1/B) sum of J'g = -2 ((R + g B'P B) K + g B'P A) M."""
    problem = LinearQuadratic(*case[:4], case.discount, case.noise, case.start)
    moment = state_second_moment(problem, case.gain)
    states, jacobian = _spread(moment, case.gain, port)
    slope = action_gradient(problem, case.gain, states, states @ case.gain.T)
    found, error = port("deterministic_policy_gradient", slope, jacobian)
    # Both sides are the same polynomial of the same float64 P and M, whatever rounding made of those: of its terms, of size
    # 2 (R|K| + g|B|'|P| (|A| + |B||K|)) mean |x||x|', each goes through at most 32 roundings (five products of two terms a side).
    reached = np.abs(case.dynamics) + np.abs(case.control) @ np.abs(case.gain)
    ahead = case.discount * np.abs(case.control).T @ np.abs(value_matrix(problem, case.gain)) @ reached
    terms = 2 * (np.abs(case.control_cost) @ np.abs(case.gain) + ahead) @ (np.abs(states).T @ np.abs(states) / len(states))
    inexact = _inexact(moment, port) + float(gamma(32, UNIT["float64"]))
    port.equal(found, objective_gradient(problem, case.gain).ravel(), error + inexact * terms.ravel())


@claim("A1", source=f"{SILVER}, theorem 2", operators=["deterministic_policy_gradient"], given={"case": controls()}, share=0.1,
       oracle="regulator_gradient_by_duals")  # fmt: skip
def the_regulators_stochastic_gradient_tends_to_it_as_sigma_squared(port: Trial, case: Control) -> None:
    """For u ~ N(Kx, sigma^2) on linear-quadratic control the gradient differs from the deterministic one by sigma^2 times what it
    differs by at sigma = 1."""
    found = [_points(case, port, deviation) for deviation in (0.0, case.deviation, 1.0)]
    none, some, one = (port("deterministic_policy_gradient", slope, jacobian) for _, slope, jacobian, _ in found)
    # Of the four terms none occurs twice, all with weights of at most 1.
    slack = none[1] + some[1] + one[1] + sum(part[3] for part in found)
    own = gamma(4, UNIT["float64"]) * (np.abs(none[0]) + np.abs(some[0]) + np.abs(one[0]))
    port.equal(some[0] - none[0], case.deviation**2 * (one[0] - none[0]), 2 * slack + own)
    due = regulator_gradient_by_duals(found[1][0], exact(case.gain)).ravel()
    port.equal(some[0], due, some[1] + found[1][3], "the stochastic gradient")


class Quartics(NamedTuple):
    """States with a feature each [B, 1], Q(mu + y) = c1 y + ... + c4 y^4, and the policy's deviation."""

    feature: Floats
    coefficients: Floats
    halvings: int


def _quartics() -> st.SearchStrategy[Quartics]:
    sizes = st.integers(1, 3)
    return sizes.flatmap(lambda b: st.builds(Quartics, values((b, 1)), values((b, 4)), st.integers(0, 6)))


@claim("A1", source=f"{SILVER}, theorem 2",
       operators=["deterministic_policy_gradient", "gaussian_score", "reinforce_loss_gradient"], given={"case": _quartics()},
       share=0.5)  # fmt: skip
def the_stochastic_gradient_tends_to_the_deterministic_one_as_sigma_squared(port: Trial, case: Quartics) -> None:
    """E[-d loss/d log pi score] (d mu/d theta), a ~ N(mu, sigma), less the deterministic gradient, is sigma^2 mean(3 c3 phi)."""
    nodes, weights = whole_grid(2, 1)
    z, w = nodes[:, 0], np.array([float(x) for x in weights])
    sigma, c = 2.0**-case.halvings, case.coefficients
    y = sigma * z
    q = sum((exact(c[:, k - 1])[:, None] * exact(y)[None, :] ** k for k in range(1, 5)), exact(np.zeros((len(c), len(z)))))
    log_std = np.asarray(rounded(np.full((len(z), 1), np.log(sigma)), port.dtype))
    advantage = np.asarray(rounded(q.astype(np.float64), port.dtype))
    (score, _), (score_error, _) = port("gaussian_score", y[:, None], np.zeros((len(z), 1)), log_std)
    slope, slope_error = port("reinforce_loss_gradient", np.zeros(advantage.shape), advantage)
    stochastic = (w * -slope * score[:, 0]).sum(axis=1) @ case.feature / len(c)
    plain, error = port("deterministic_policy_gradient", c[:, :1], case.feature[:, :, None])
    due = exact(sigma) ** 2 * 3 * (exact(c[:, 2]) @ exact(case.feature)) * Fraction(1, len(c))
    # The advantage and log sigma as the port gets them, which moves 1/sigma by a factor of 1 + |log sigma| u; in float64 exp and
    # log of sigma, the products of each term, and the sums over nodes and states.
    narrow = 2 * UNIT[port.dtype] * (1 + abs(np.log(sigma))) + gamma(3 * ELEMENTARY + 16, UNIT["float64"])
    size = np.abs(w * advantage * np.abs(score[:, 0])).sum(axis=1) @ np.abs(case.feature) / len(c)
    apart = np.abs(w) * (np.abs(advantage) * score_error[:, 0] + slope_error * np.abs(score[:, 0]))
    slack = error + narrow * size + apart.sum(axis=1) @ np.abs(case.feature) / len(c)
    port.equal(stochastic - plain, due, slack + gamma(2, UNIT["float64"]) * (np.abs(stochastic) + np.abs(plain)))


# ------------------------------------------------------------------------------------------------ compatible features
@claim("A2", source=f"{SILVER}, theorem 3", operators=["compatible_features"], given=BATCH, share=0.5)
def compatible_features_are_the_jacobian_times_the_deviation(port: Trial, b: Batch) -> None:
    """phi = J'(a - mu), state by state, in exact arithmetic."""
    found, error = port("compatible_features", b.action, b.mean, b.jacobian)
    due = ((exact(b.action) - exact(b.mean))[:, :, None] * exact(b.jacobian)).sum(axis=1)
    port.equal(found, np.asarray(due), error)


@claim("A2", source=f"{SILVER}, theorem 3", operators=["compatible_features"], given=BATCH, share=0.5)
def compatible_features_are_odd_about_the_mean(port: Trial, b: Batch) -> None:
    """phi(mu) = 0 exactly and phi(mu + n) = -phi(mu - n): noise that is symmetric leaves them mean 0, so they add no baseline."""
    port.equal(port.compatible_features(b.mean, b.mean, b.jacobian), np.zeros(b.jacobian.shape[::2]), 0.0, "at the mean")
    ahead, behind = b.mean + b.slope, b.mean - b.slope
    if not holds_in(port.dtype, ahead, behind) or not np.array_equal(ahead - b.mean, b.mean - behind):
        return
    one, one_error = port("compatible_features", ahead, b.mean, b.jacobian)
    two, two_error = port("compatible_features", behind, b.mean, b.jacobian)
    port.equal(one, -two, one_error + two_error)


def _critic_slopes(port: Trial, b: Batch, weight: Any) -> tuple[Any, Floats]:
    """The slope in a of the critic w.phi(s, a), [B, D], by differences: w.(phi(mu + e_d) - phi(mu)), phi being linear in a."""
    sizes = b.mean.shape
    slopes, errors = np.empty(sizes, dtype=object), np.zeros(sizes)
    for d in range(sizes[1]):
        unit = np.zeros(sizes)
        unit[:, d] = 1.0
        features, error = port("compatible_features", unit, np.zeros(sizes), b.jacobian)
        slopes[:, d] = (exact(features) * weight).sum(axis=1)
        errors[:, d] = (error * np.abs(weight.astype(np.float64))).sum(axis=1)
    return slopes, errors


@claim("A2", source=f"{SILVER}, theorem 3", operators=["compatible_features", "deterministic_policy_gradient"], given=BATCH,
       share=0.3, oracle="least_squares_by_fractions")  # fmt: skip
def a_compatible_critic_of_least_squared_slope_error_gives_the_exact_gradient(port: Trial, b: Batch) -> None:
    """With w least in sum |J w - dQ/da|^2, the critic w.phi may replace Q: (1/B) sum of J'J w = (1/B) sum of J' dQ/da."""
    weight = least_squares_by_fractions(b.jacobian, b.slope)
    slopes, off = _critic_slopes(port, b, weight)
    given = np.asarray(rounded(slopes.astype(np.float64), port.dtype))
    found, error = port("deterministic_policy_gradient", given, b.jacobian)
    rest = (slopes - exact(given))[:, :, None] * exact(b.jacobian)
    due = _pulled(exact(b.slope), b.jacobian) - rest.sum(axis=(0, 1)) * Fraction(1, len(given))
    port.equal(found, np.asarray(due), error + np.einsum("bd,bdp->p", off, np.abs(b.jacobian)) / len(given))


@claim("A2", source=f"{SILVER}, theorem 3 (condition 2)", operators=["deterministic_policy_gradient"], given=BATCH, share=0.3,
       oracle="least_squares_by_fractions")  # fmt: skip
def a_critic_that_does_not_minimise_gives_another_gradient(port: Trial, b: Batch) -> None:
    """With w + v the gradient is off by (1/B) sum of J'J v, which is not 0 unless J v = 0; for B = D = P = 1, J = 1, dQ/da = 1 and
    w = 2 instead of 1 it is 2 instead of 1."""
    found = port.deterministic_policy_gradient(np.array([[2.0]]), np.ones((1, 1, 1)))
    port.equal(found, np.array([2.0]), 0.0, "the exhibit: w = 2")
    shift = exact(np.ones(b.jacobian.shape[-1]))
    weight = least_squares_by_fractions(b.jacobian, b.slope) + shift
    slopes = (exact(b.jacobian) * weight).sum(axis=2)
    given = np.asarray(rounded(slopes.astype(np.float64), port.dtype))
    found, error = port("deterministic_policy_gradient", given, b.jacobian)
    rest = exact(given) - slopes + (exact(b.jacobian) * shift).sum(axis=2)
    due = _pulled(exact(b.slope), b.jacobian) + _pulled(rest, b.jacobian)
    port.equal(found, np.asarray(due), error)
