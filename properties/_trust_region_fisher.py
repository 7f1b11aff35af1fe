"""Fisher-vector products (U1): the explicit matrix, the Hessian of KL, and one policy's two forms against each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from properties._bounds import Floats
from properties._claim import Call, claim
from properties._draw import FINE, distributions, values
from properties._oracles import exact
from properties._oracles.trust_region import (
    fisher_of_gaussians,
    fisher_of_scores,
    kl_hessian_of_gaussians,
    kl_hessian_of_softmax,
)
from properties._quadrature import repeated
from properties._trial import Trial

Draw = Callable[[st.SearchStrategy[Any]], Any]
TRPO = "Schulman et al. 2015 (TRPO), appendix C"
AMARI = "Amari 1998"
DAMPING = st.sampled_from([0.0, 0.5, 2.0])
FISHER = ["fisher_vector_product"]
DIGITS_LEFT = 2.0**-100
"""What numerical differentiation at 50 digits may leave of a Hessian's entry; the sizes drawn here are below 2^10."""


@st.composite
def gaussian_calls(draw: Draw, styles: tuple[str, ...]) -> Call:
    """Products for a Gaussian policy, with or without a log std that depends on the parameters."""
    n, d, p = draw(st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 4)))
    parts = [draw(values(shape, styles)) for shape in ((p,), (n, d, p), (n, d, p))]
    log_std = draw(values((n, d), ("generic", "full mantissa"))) / 64
    last = (parts[2],) if draw(st.booleans()) else ()
    return Call((parts[0], parts[1], log_std, *last), {"damping": draw(st.sampled_from([0.0, 0.5, 1.0 / 3.0]))})


@st.composite
def _scored(draw: Draw) -> dict[str, Floats]:
    n, p = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    return {"vector": draw(values((p,), FINE)), "jacobian": draw(values((n, p), FINE))}


@claim("U1", source=AMARI, operators=FISHER, given={"case": _scored(), "damping": DAMPING}, oracle="fisher_of_scores")
def fisher_product_is_the_mean_of_outer_products_times_the_vector(port: Trial, case: dict[str, Floats], damping: float) -> None:
    """fisher_vector_product of scores = ((1/N) sum of s s' + damping I) v, the matrix written out."""
    found, error = port("fisher_vector_product", *case.values(), damping=damping)
    port.equal(found, fisher_of_scores(case["vector"], case["jacobian"], damping=damping), error)


GAUSSIAN = {"call": gaussian_calls(FINE)}


@claim("U1", source=f"{AMARI}; {TRPO}", operators=FISHER, given=GAUSSIAN, oracle="fisher_of_gaussians")
def fisher_product_of_a_gaussian_has_the_log_std_in_it(port: Trial, call: Call) -> None:
    """(1/N) sum of J' diag(1/std^2) J + 2 K'K, + damping I, times v: the parameters of log std are in the metric, too."""
    found, error = port("fisher_vector_product", *call.arguments, **call.keywords)
    vector, jacobian, log_std = call.arguments[:3]
    last = call.arguments[3] if len(call.arguments) > 3 else np.zeros_like(jacobian)
    port.equal(found, fisher_of_gaussians(vector, jacobian, log_std, last, **call.keywords), error)


# ------------------------------------------------------------------------------------------------------ the Hessian of KL
class Policy(NamedTuple):
    """A softmax policy at a few states: probabilities [S, A], Jacobian of the logits [S, A, P], their bend [S, A], and a vector."""

    vector: Floats
    probability: Floats
    jacobian: Floats
    bend: Floats


@st.composite
def _softmaxes(draw: Draw) -> Policy:
    s, a, p = draw(st.tuples(st.integers(1, 2), st.integers(2, 3), st.integers(1, 3)))
    vector, jacobian, bend = (np.rint(draw(values(shape, FINE))) / 16 for shape in ((p,), (s, a, p), (s, a)))
    return Policy(vector, draw(distributions((s, a), positive=True)), jacobian, bend)


def _scores_as_often_as_drawn(policy: Policy) -> Floats:
    """The score of each action of each state 64 p times: their mean is the expectation."""
    scores = policy.jacobian - (policy.probability[..., None] * policy.jacobian).sum(axis=1, keepdims=True)
    return np.repeat(scores.reshape(-1, scores.shape[-1]), (64 * policy.probability).astype(int).ravel(), axis=0)


@claim(
    "U1",
    source=f"{TRPO}; {AMARI}",
    operators=FISHER,
    given={"policy": _softmaxes(), "damping": DAMPING},
    share=0.3,
    oracle="kl_hessian_of_softmax",
)
def fisher_product_of_scores_is_the_hessian_of_kl(port: Trial, policy: Policy, damping: float) -> None:
    """Under a softmax policy whose logits are any function of theta, E[s s'] v = the Hessian of KL(pi || pi_theta) at theta
    times v; the expectation is enumerated."""
    found, error = port("fisher_vector_product", policy.vector, _scores_as_often_as_drawn(policy), damping=damping)
    port.equal(found, kl_hessian_of_softmax(*policy) + exact(damping) * exact(policy.vector), error + DIGITS_LEFT)


@st.composite
def _gaussian_policies(draw: Draw) -> tuple[Floats, ...]:
    n, d, p = draw(st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(1, 2)))
    shapes = ((p,), (n, d, p), (n, d), (n, d, p), (n, d))
    return tuple(np.rint(draw(values(shape, FINE))) / 64 for shape in shapes)


@claim(
    "U1",
    source=f"{TRPO}; {AMARI}",
    operators=FISHER,
    given={"policy": _gaussian_policies(), "damping": DAMPING},
    share=0.3,
    oracle="kl_hessian_of_gaussians",
)
def fisher_product_of_a_gaussian_is_the_hessian_of_kl(port: Trial, policy: tuple[Floats, ...], damping: float) -> None:
    """Under a Gaussian policy whose mean and log std are any functions of theta, it is the Hessian of KL(pi || pi_theta) at theta,
    times v."""
    found, error = port("fisher_vector_product", *policy[:4], damping=damping)
    port.equal(found, kl_hessian_of_gaussians(*policy) + exact(damping) * exact(policy[0]), error + DIGITS_LEFT)


@claim("U1", source=f"{AMARI}: E[s s'] by the moments of normal noise", operators=FISHER, given={
    "policy": _gaussian_policies(), "damping": DAMPING,
}, share=0.5)  # fmt: skip
def both_forms_of_a_gaussians_fisher_product_agree(port: Trial, policy: tuple[Floats, ...], damping: float) -> None:
    """The scores of a Gaussian of std 1, over noise with the normal's moments, give what the form in J, log std and K gives."""
    vector, mean_jacobian, _, log_std_jacobian, _ = policy
    noise = repeated(2, mean_jacobian.shape[1])
    scores = np.einsum("mdp,nd->nmp", mean_jacobian, noise) + np.einsum("mdp,nd->nmp", log_std_jacobian, noise**2 - 1)
    found, error = port("fisher_vector_product", vector, scores.reshape(-1, len(vector)), damping=damping)
    flat = np.zeros(mean_jacobian.shape[:2])
    due, other = port("fisher_vector_product", vector, mean_jacobian, flat, log_std_jacobian, damping=damping)
    port.equal(found, due, error + other)


# ------------------------------------------------------------------------------------------------------- what a metric is
@claim(
    "U1",
    source=f"{AMARI}: a metric is symmetric and not negative",
    operators=FISHER,
    given={**GAUSSIAN, "other": values((4,), FINE)},
)
def the_fisher_product_is_that_of_one_symmetric_positive_matrix(port: Trial, call: Call, other: Floats) -> None:
    """u'Fv = v'Fu and v'Fv >= 0: products with different vectors belong to one metric, without which no solver ends."""
    vector, rest = call.arguments[0], call.arguments[1:]
    other = other[: len(vector)]
    one, one_error = port("fisher_vector_product", vector, *rest, **call.keywords)
    two, two_error = port("fisher_vector_product", other, *rest, **call.keywords)
    left, right = exact(other) * exact(one), exact(vector) * exact(two)
    gap = float((left - right).sum())
    port.equal(gap, np.asarray(0.0), (np.abs(other) * one_error + np.abs(vector) * two_error).sum(), "u'Fv - v'Fu")
    port.at_most(0.0, float((exact(vector) * exact(one)).sum()), (np.abs(vector) * one_error).sum(), "v'Fv")


@claim("U1", source=f"{TRPO}: damping times the identity", operators=FISHER, given={**GAUSSIAN, "damping": DAMPING})
def damping_adds_a_multiple_of_the_vector(port: Trial, call: Call, damping: float) -> None:
    """(F + damping I) v - F v = damping v."""
    found, error = port("fisher_vector_product", *call.arguments, damping=damping)
    bare, bare_error = port("fisher_vector_product", *call.arguments, damping=0.0)
    port.equal(found, exact(bare) + exact(damping) * exact(call.arguments[0]), error + bare_error)


@claim("U1", source=f"{TRPO}: a state-independent std has no Jacobian by the mean's parameters", operators=FISHER, given=GAUSSIAN)
def no_log_std_jacobian_is_one_of_zeros(port: Trial, call: Call) -> None:
    """Left out, the Jacobian of log std counts as 0."""
    bare = call.arguments[:3]
    found, error = port("fisher_vector_product", *bare, **call.keywords)
    due, other = port("fisher_vector_product", *bare, np.zeros_like(bare[1]), **call.keywords)
    port.equal(found, due, error + other)
