"""Q-Prop is biased by weights that see the action (Q5, F4) and unbiased by all others (Q1); direct mixing is biased (Q8).

Softmax policies are enumerated: a batch of 64 in which action a occurs 64 p_a times, so that its mean is the expectation.
Gaussian ones, whose weights jump where A C changes sign, are integrated interval by interval.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from properties._bounds import Floats
from properties._claim import claim
from properties._control_variates_bias import MIXING, QPROP, agrees, capped
from properties._draw import distributions, values
from properties._oracles import exact
from properties._oracles.control_variates import coupled_bias_of_a_gaussian, partial_moments, softmax_policy_gradient
from properties._quadrature import solved
from properties._trial import Trial

Draw = Callable[[st.SearchStrategy[Any]], Any]
SINGLE_SAMPLE = ("conservative", "aggressive")


# ------------------------------------------------------------------------------------------------------- softmax policies
class Softmax(NamedTuple):
    """A softmax policy over a few actions, which are points, a linear critic's gradient, and what the actions are worth."""

    probability: Floats
    points: Floats
    gradient: Floats
    advantage: Floats


@st.composite
def softmaxes(draw: Draw) -> Softmax:
    """Two to four actions in one or two dimensions; probabilities are multiples of 1/64."""
    a, d = draw(st.tuples(st.integers(2, 4), st.integers(1, 2)))
    whole = [np.rint(draw(values(shape, ("generic",))) / 8) for shape in ((a, d), (d,), (a,))]
    return Softmax(draw(distributions((a,), positive=True)), *whole)


SHARES = 64


class Enumerated(NamedTuple):
    """What Q-Prop takes at each action of a softmax policy by its logits, [A, ...]; all exact."""

    score: Floats
    advantage: Floats
    control_variate: Floats
    action_gradient: Floats
    mean_jacobian: Floats

    def terms(self, weight: Floats) -> tuple[Floats, ...]:
        """The arguments of q_prop_gradient with a weight for each action."""
        return (*self[:3], weight, *self[3:])


def enumerated(case: Softmax) -> Enumerated:
    """Score e_a - p; control variate g (x_a - mean); the mean's Jacobian by the logits is sum of p_a x_a (e_a - p)."""
    p, points = case.probability, case.points
    scores = np.eye(len(p)) - p
    jacobian = np.einsum("a,ad,ak->dk", p, points, scores)
    variate = (points - p @ points) @ case.gradient
    same = [np.broadcast_to(part, (len(p), *part.shape)) for part in (case.gradient, jacobian)]
    return Enumerated(scores, case.advantage, variate, *same)


def occurring(probability: Floats) -> Any:
    """Indices of 64 draws in which action a occurs 64 p_a times: their mean is the expectation."""
    return np.repeat(np.arange(len(probability)), (SHARES * probability).astype(int))


@claim(
    "Q1",
    source=f"{QPROP}, §3; the score-function identity",
    operators=["q_prop_gradient"],
    given={"case": softmaxes(), "weight": values((1,), ("generic",))},
    oracle="softmax_policy_gradient",
)
def q_prop_gradient_is_unbiased_for_softmax_policies(port: Trial, case: Softmax, weight: Floats) -> None:
    """E over the enumerated actions of q_prop_gradient = the gradient of sum p_a A_a by the logits, for every fixed weight, where
    the control variate is linear in the action; within the derived bound and within 1e-10."""
    terms = enumerated(case).terms(np.repeat(np.rint(weight) / 32, len(case.probability)))
    found, error = port("q_prop_gradient", *(part[occurring(case.probability)] for part in terms))
    due = softmax_policy_gradient(case.probability[None], case.advantage[None])
    port.equal(found, due, capped(port, error))


# ------------------------------------------------------------------------------------------ weights that see the action
def coupled_bias(case: Softmax, rule: str) -> Any:
    """E w_a (J'g - score_a C_a), exactly: what the weight of the very action adds to the expectation."""
    part = enumerated(case)
    sign = np.sign(part.advantage) * np.sign(part.control_variate)
    weight = exact(np.maximum(sign, 0.0) if rule == "conservative" else sign)
    analytic = (exact(part.mean_jacobian) * exact(part.action_gradient)[..., None]).sum(axis=1)
    seen = exact(part.score) * exact(part.control_variate)[:, None]
    return (exact(case.probability)[:, None] * weight[:, None] * (analytic - seen)).sum(axis=0)


def weights_of(port: Trial, part: Enumerated, rule: str) -> Floats:
    """The single-sample weight of each action."""
    found = port.control_variate_weight(part.advantage[:, None], part.control_variate[:, None], rule=rule, centered=False)
    return np.asarray(found)


BOTH = ["q_prop_gradient", "control_variate_weight"]
COUPLED = {"case": softmaxes(), "rule": st.sampled_from(SINGLE_SAMPLE)}


@claim(
    "Q5", source=f"{QPROP}, §3.2, and its code (adapt1, adapt2)", operators=BOTH, given=COUPLED, oracle="softmax_policy_gradient"
)
def weights_of_the_same_sample_bias_q_prop_by_what_they_see(port: Trial, case: Softmax, rule: str) -> None:
    """With w(a) = 1[A C > 0] or sign(A C) of the very action, E[q_prop_gradient] = the policy gradient + E[w (J'g - score C)]."""
    part = enumerated(case)
    terms = part.terms(weights_of(port, part, rule))
    found, error = port("q_prop_gradient", *(x[occurring(case.probability)] for x in terms))
    due = softmax_policy_gradient(case.probability[None], case.advantage[None])
    port.equal(found, due + coupled_bias(case, rule), error)


@claim("Q5", source=f"{QPROP}, §3.2", operators=["q_prop_gradient"], given=COUPLED, share=0.5, oracle="softmax_policy_gradient")
def weights_of_an_independent_sample_leave_q_prop_unbiased(port: Trial, case: Softmax, rule: str) -> None:
    """With the weight of another action, drawn apart from the first, E over both of q_prop_gradient = the policy gradient."""
    part, p = enumerated(case), case.probability
    weights, drawn = weights_of(port, part, rule), occurring(p)
    total, slack = exact(np.zeros(len(p))), np.zeros(len(p))
    for share, weight in zip(p, weights, strict=True):
        found, error = port("q_prop_gradient", *(x[drawn] for x in part.terms(np.repeat(weight, len(p)))))
        total, slack = total + exact(share) * exact(found), slack + share * error
    agrees(port, total, softmax_policy_gradient(p[None], case.advantage[None]), slack)


@claim("Q5", source=f"{QPROP}, §3.2; (z phi)' = (1 - z^2) phi", operators=BOTH, given={
    "root": st.integers(-12, 12).map(lambda k: k / 4), "slope": st.sampled_from([1.0, -1.0, 2.0]),
    "gradient": st.sampled_from([1.0, -1.0, 0.5]), "rule": st.sampled_from(SINGLE_SAMPLE),
}, share=0.25, oracle="coupled_bias_of_a_gaussian")  # fmt: skip
def weights_of_the_same_gaussian_action_bias_q_prop_in_closed_form(
    port: Trial, root: float, slope: float, gradient: float, rule: str
) -> None:
    """For A = c (a - r), C = g a, a ~ N(0, 1), the gradient by the mean is c; Q-Prop with the action's own weight is off by
    -g |r| phi(r) (conservative, c g > 0), twice that (aggressive): integrated interval by interval of constant weight."""
    total, slack = Fraction(0), 0.0
    for action, share in sign_intervals(root):
        advantage, variate, one = np.array([slope * (action - root)]), np.array([gradient * action]), np.ones((1, 1))
        weight = port.control_variate_weight(advantage, variate, rule=rule, centered=False)
        found, error = port(
            "q_prop_gradient", action * one, advantage, variate, np.atleast_1d(weight), gradient * one, np.ones((1, 1, 1))
        )
        total, slack = total + share * Fraction(float(found[0])), slack + float(abs(share) * error[0])
    due = Fraction(slope) + coupled_bias_of_a_gaussian(root, slope, gradient, rule=rule)
    agrees(port, [total], np.array([due]), slack)


@cache
def sign_intervals(root: float) -> list[tuple[float, Fraction]]:
    """Nodes and weights that integrate cubics times phi over (-inf, lo), (lo, hi), (hi, inf), lo and hi being 0 and the root.

    Four nodes inside each interval, all dyadic, and the weights that fit its four first moments at 50 digits.
    """
    low, high = sorted((0.0, root))
    spans = [(-math.inf, low, [low - k / 2 for k in range(1, 5)]), (high, math.inf, [high + k / 2 for k in range(1, 5)])]
    if low < high:
        spans.append((low, high, [low + (high - low) * k / 8 for k in (1, 3, 5, 7)]))
    rule: list[tuple[float, Fraction]] = []
    for start, end, nodes in spans:
        system = [[Fraction(node) ** k for node in nodes] for k in range(4)]
        rule += zip(nodes, solved(system, list(partial_moments(start, end, 3))), strict=True)
    return rule


@claim("F4", source="refuted: conservative Q-Prop with single-sample covariance is unbiased", operators=BOTH)
def conservative_weights_of_one_sample_are_biased(port: Trial) -> None:
    """Refuted: conservative Q-Prop with the covariance of one sample is unbiased. Two actions 1 and 0, p = (1/4, 3/4), A = (1, 0),
    critic's slope 1: E[q_prop_gradient] = 3/32, the policy gradient is 3/16."""
    case = Softmax(np.array([0.25, 0.75]), np.array([[1.0], [0.0]]), np.ones(1), np.array([1.0, 0.0]))
    part = enumerated(case)
    terms = part.terms(weights_of(port, part, "conservative"))
    found, error = port("q_prop_gradient", *(x[occurring(case.probability)] for x in terms))
    port.equal(found, exact([3 / 32, -3 / 32]), error)
    due = softmax_policy_gradient(case.probability[None], case.advantage[None])
    port.holds(bool(np.all(np.abs(found - due.astype(np.float64)) > error)), "it is not 3/16", found=found, due=due)


# --------------------------------------------------------------------------------------------------------- direct mixing
FRACTIONS = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])


@claim("Q8", source=MIXING, operators=["mixed_gradient"], given={
    "case": softmaxes(), "fraction": FRACTIONS,
}, oracle="softmax_policy_gradient")  # fmt: skip
def mixed_gradient_is_biased_by_the_critics_share(port: Trial, case: Softmax, fraction: float) -> None:
    """E[mixed_gradient] = the policy gradient + (1 - fraction)(J'g - the policy gradient): exact at 1, and nowhere else unless the
    critic's gradient happens to be right."""
    found, error = _expected_mixture(port, case, fraction)
    due = softmax_policy_gradient(case.probability[None], case.advantage[None])
    part = enumerated(case)
    analytic = (exact(part.mean_jacobian[0]) * exact(case.gradient)[:, None]).sum(axis=0)
    port.equal(found, due + (1 - exact(fraction)) * (analytic - due), error)


def _expected_mixture(port: Trial, case: Softmax, fraction: float) -> tuple[Floats, Floats]:
    part, drawn = enumerated(case), occurring(case.probability)
    off_policy = part.action_gradient[:1], part.mean_jacobian[:1]
    return port("mixed_gradient", part.score[drawn], part.advantage[drawn], *off_policy, on_policy_fraction=fraction)


@claim("Q8", source=MIXING, operators=["mixed_gradient"])
def mixing_pulls_where_nothing_is_to_be_gained(port: Trial) -> None:
    """Two equally likely actions 1 and 0, all advantages 0, critic's slope 1: the policy gradient is 0, mixed half and half 1/8."""
    case = Softmax(np.array([0.5, 0.5]), np.array([[1.0], [0.0]]), np.ones(1), np.zeros(2))
    found, error = _expected_mixture(port, case, 0.5)
    port.equal(found, exact([0.125, -0.125]), error)
    found, error = _expected_mixture(port, case, 1.0)
    port.equal(found, np.zeros(2), error)
