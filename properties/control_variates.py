"""Control variates and Q-Prop: error bounds, and what each operator is (Q1, Q5); bias and variance go on in their own files."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from properties import _control_variates_coupling  # noqa: F401  (register its claims)
from properties._bounds import UNIT, Floats, gamma
from properties._claim import TABULAR, Call, claim, operator
from properties._control_variates_bias import MIXING, QPROP
from properties._control_variates_variance import ROSS
from properties._draw import BATCHES, FINE, ROUGH, STYLES, array_of, batches, codes, fractions_of_one, values
from properties._oracles import exact
from properties._oracles.control_variates import q_prop_by_fractions, second_moments
from properties._policy_gradient_shapes import SHAPES, refuses_what_broadcasts
from properties._trial import Trial

Draw = Callable[[st.SearchStrategy[Any]], Any]
RULES = ("standard", "optimal", "conservative", "aggressive")


# ----------------------------------------------------------------------------------------------------------- operators
@st.composite
def _taylor_calls(draw: Draw) -> Call:
    shape = (*draw(batches()), draw(st.integers(1, 5)))
    return Call(tuple(draw(values(shape, ROUGH)) for _ in range(3)), {})


@operator("taylor_control_variate", inputs=_taylor_calls())
def taylor_bound(unit: float, action: Floats, mean: Floats, action_gradient: Floats) -> Floats:
    """The difference, the product, and D - 1 additions: gamma_(D+1) sum of |g| |a - mu|.

    g.a - g.mu cancels and is not allowed for: the first-order term of an action next to the mean would drown in the rounding.
    """
    return np.asarray(gamma(action.shape[-1] + 1, unit) * np.abs(action_gradient * (action - mean)).sum(axis=-1))


LONGEST = 6
"""So many samples of a state at most."""


def _weight_calls() -> st.SearchStrategy[Call]:
    """Unrelated samples, or some that rise or fall together, now and then far from 0; in a batch the last row of one is constant:
    its covariance is 0.

    All from one byte string: rules, styles and relations then vary from draw to draw by themselves.
    """
    return codes(8 + 4 * LONGEST * max(math.prod(shape) for shape in BATCHES)).map(_weight_call)


def _weight_call(bits: bytes) -> Call:
    rule, centered = (*RULES, *RULES[1:], *RULES[1:2] * 4)[bits[0] % 11], bits[1] % 3 < 2
    least = 2 if centered and rule != "standard" else 1
    shape = (*BATCHES[bits[2] % len(BATCHES)], least + bits[3] % (LONGEST + 1 - least))
    size = 2 * math.prod(shape)
    a, c = (array_of(bits[8 + size * i : 8 + size * (i + 1)], shape, ROUGH[bits[4 + i] % len(ROUGH)]) for i in range(2))
    far = (0.0, 0.0, 2.0**15 + 1.0 / 3.0)[bits[6] // 16 % 3]
    samples = [far + a, np.asarray(far + c / 16 + (bits[6] % 3 - 1.0) * a)]
    if len(shape) > 1 and shape[0] > 1:
        one = samples[bits[7] % 2]
        samples[bits[7] % 2] = np.concatenate([one[:-1], np.repeat(one[-1:, ..., :1], shape[-1], axis=-1)])
    return Call(tuple(samples), {"rule": rule} if centered and bits[7] > 127 else {"rule": rule, "centered": centered})


class _Estimate(NamedTuple):
    """A second moment and how far rounding may take it."""

    value: Floats
    error: Floats


@operator("control_variate_weight", inputs=_weight_calls())
def weight_bound(unit: float, advantage: Floats, control_variate: Floats, *, rule: str, centered: bool = True) -> Floats:
    """The quotient's error for `optimal`; for the signs of Cov none, or a whole step where rounding may hide the sign.

    Cov (1 + a) / (Var (1 + b)) is off by (e_cov + |w| e_var) / (Var - e_var), and by u of itself for the division; nothing is
    promised where e_var reaches Var. A row that is constant has Cov = Var = 0 whatever rounding, and its weight is 0 exactly.
    """
    if rule == "standard":
        return np.zeros(advantage.shape[:-1])
    cov = _second_moment(unit, advantage, control_variate, centered)
    constant = cov.error == 0
    if rule != "optimal":
        doubt = np.abs(cov.value) <= cov.error + _second_moment(UNIT["float64"], advantage, control_variate, centered).error
        return np.where(doubt & ~constant, {"conservative": 1.0, "aggressive": 2.0}[rule], 0.0)
    var = _second_moment(unit, control_variate, control_variate, centered)
    rest = np.where(var.error < var.value, var.value - var.error, np.nan)
    weight = np.abs(cov.value) / np.where(var.value > 0, var.value, 1.0)
    error = (cov.error + weight * var.error) / rest
    return np.where(constant, 0.0, np.nan_to_num(error + unit * (weight + error), nan=np.inf))


def _second_moment(unit: float, a: Floats, c: Floats, centered: bool) -> _Estimate:
    """mean of A C, or their covariance, and its error; an error of 0 says that one of the rows is constant (or 0).

    Uncentred: a product, n - 1 additions, a division by n or product with 1/n: gamma_(n+2) mean |A C|.
    Centred: each mean is off by h = gamma_(n+1) mean |.|, but an offset leaves sum of the other's deviations 0, so that only the
    product h_A h_C of the two stays. Deviations, |a - mean| + h at most, are rounded, multiplied, summed, divided: gamma_(n+4).
    """
    n = a.shape[-1]
    if not centered:
        return _Estimate((a * c).mean(axis=-1), np.asarray(gamma(n + 2, unit) * np.abs(a * c).mean(axis=-1)))
    offset = [gamma(n + 1, unit) * np.abs(x).mean(axis=-1) for x in (a, c)]
    one, two = (x - x.mean(axis=-1, keepdims=True) for x in (a, c))
    size = ((np.abs(one) + offset[0][..., None]) * (np.abs(two) + offset[1][..., None])).mean(axis=-1)
    varied = np.logical_and(*(x.max(axis=-1) > x.min(axis=-1) for x in (a, c)))
    return _Estimate((one * two).mean(axis=-1), np.where(varied, offset[0] * offset[1] + gamma(n + 4, unit) * size, 0.0))


class Batch(NamedTuple):
    """What Q-Prop takes of a batch: [B, P], [B], [B], [B], [B, D], [B, D, P]."""

    score: Floats
    advantage: Floats
    control_variate: Floats
    weight: Floats
    action_gradient: Floats
    mean_jacobian: Floats


@st.composite
def batches_of_q_prop(draw: Draw, styles: tuple[str, ...] = ROUGH) -> Batch:
    """One to five samples, one to four parameters, one to three action dimensions."""
    b, p, d = draw(st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(1, 3)))
    return Batch(*(draw(values(shape, styles)) for shape in ((b, p), (b,), (b,), (b,), (b, d), (b, d, p))))


@operator("q_prop_gradient", inputs=batches_of_q_prop().map(lambda batch: Call(tuple(batch), {})), core=TABULAR)
def q_prop_bound(
    unit: float, score: Floats, advantage: Floats, control_variate: Floats, weight: Floats, gradient: Floats, jacobian: Floats
) -> Floats:
    """w C: product, difference, product with the score; w J'g: two products, D - 1 additions; then both are added, and the mean
    over B takes B - 1 additions and a division, or a product with 1/B: gamma_(B+5) and gamma_(B+D+5) times the absolute terms."""
    b, d = gradient.shape
    residual = np.abs(score) * (np.abs(advantage) + np.abs(weight * control_variate))[:, None]
    analytic = np.abs(weight)[:, None] * _pulled_back(np.abs(jacobian), np.abs(gradient))
    return np.asarray(gamma(b + 5, unit) * residual.mean(axis=0) + gamma(b + d + 5, unit) * analytic.mean(axis=0))


def _pulled_back(jacobian: Floats, gradient: Floats) -> Floats:
    """J'g for each row."""
    return np.asarray((jacobian * gradient[..., None]).sum(axis=1))


@st.composite
def _mixed_calls(draw: Draw) -> Call:
    """A half of no weight is infinite: it is not read."""
    b, m, p, d = draw(st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3)))
    nu, unread = draw(fractions_of_one()), {0.0: (0, 1), 1.0: (2, 3)}
    arrays = [draw(values(shape, ROUGH)) for shape in ((b, p), (b,), (m, d), (m, d, p))]
    for place in unread.get(nu, ()):
        arrays[place] = np.full(arrays[place].shape, np.inf)
    return Call(tuple(arrays), {"on_policy_fraction": nu})


@operator("mixed_gradient", inputs=_mixed_calls(), core=TABULAR)
def mixed_bound(
    unit: float, score: Floats, advantage: Floats, gradient: Floats, jacobian: Floats, *, on_policy_fraction: float
) -> Floats:
    """On policy: product, B - 1 additions, division or product with 1/B, the fraction, the last addition: gamma_(B+4). Off policy
    D - 1 more additions, and the rounding of 1 - nu: gamma_(M+D+4)."""
    (b, (m, d)), nu = (len(score), gradient.shape), on_policy_fraction
    on_policy = nu * (np.abs(score) * np.abs(advantage)[:, None]).mean(axis=0) if nu > 0 else 0.0
    off_policy = (1 - nu) * _pulled_back(np.abs(jacobian), np.abs(gradient)).mean(axis=0) if nu < 1 else 0.0
    return np.asarray(gamma(b + 4, unit) * on_policy + gamma(m + d + 4, unit) * off_policy)


# --------------------------------------------------------------------------------------------- the Taylor control variate
@st.composite
def _expansions(draw: Draw) -> dict[str, Floats]:
    """A quadratic critic, an action and a mean: values of few bits, so that the critic's own arithmetic is exact."""
    lead, d = draw(batches()), draw(st.integers(1, 3))
    whole = {name: np.rint(draw(values((*lead, d), FINE))) for name in ("action", "mean", "slope")}
    return whole | {"hessian": np.rint(draw(values((d, d), FINE)) / 16)}


@claim("Q1", source=f"{QPROP}, §3.1", operators=["taylor_control_variate"], given={"case": _expansions()})
def taylor_control_variate_is_the_critic_to_first_order(port: Trial, case: dict[str, Floats]) -> None:
    """Q(a) = Q(mu) + control variate + (a - mu)' H (a - mu) / 2 for a quadratic critic: nothing of first order is left."""
    action, mean, slope, hessian = (exact(case[name]) for name in ("action", "mean", "slope", "hessian"))
    symmetric = hessian + hessian.T
    gradient = slope + (symmetric * mean[..., None, :]).sum(axis=-1)
    found, error = port("taylor_control_variate", case["action"], case["mean"], gradient.astype(np.float64))
    step = action - mean
    second = (step * (symmetric * step[..., None, :]).sum(axis=-1)).sum(axis=-1) / 2
    port.equal(found, _critic(action, slope, symmetric) - _critic(mean, slope, symmetric) - second, error)


def _critic(action: Any, slope: Any, symmetric: Any) -> Any:
    """slope' a + a' H a / 2."""
    return (slope * action).sum(axis=-1) + (action * (symmetric * action[..., None, :]).sum(axis=-1)).sum(axis=-1) / 2


# --------------------------------------------------------------------------------------------------------- the weights
@st.composite
def paired_samples(draw: Draw, styles: tuple[str, ...] = STYLES) -> dict[str, Floats]:
    """Advantages and control variates of the same actions, [..., n]."""
    shape = (*draw(batches()), draw(st.integers(2, 6)))
    return {"advantage": draw(values(shape, styles)), "control_variate": draw(values(shape, styles))}


RULED = {"case": paired_samples(), "rule": st.sampled_from(RULES)}


@claim(
    "Q5",
    source=f"{QPROP}, §3.2; {ROSS}",
    operators=["control_variate_weight"],
    given={**RULED, "centered": st.booleans()},
    oracle="second_moments",
)
def control_variate_weight_is_its_rule(port: Trial, case: dict[str, Floats], rule: str, centered: bool) -> None:
    """standard 1, optimal Cov/Var, conservative 1[Cov > 0], aggressive sign Cov, from population moments about the samples' means
    or about 0; 0 where the moments are."""
    found, error = port("control_variate_weight", *case.values(), rule=rule, centered=centered)
    moments = second_moments(*case.values(), centered=centered)
    port.equal(found, _by_rule(rule, moments.covariance, moments.variance), error)


def _by_rule(rule: str, covariance: Any, variance: Any) -> Any:
    def one(cov: Fraction, var: Fraction) -> Fraction:
        sign = (cov > 0) - (cov < 0)
        optimal = cov / var if var else Fraction(0)
        return {"standard": Fraction(1), "optimal": optimal, "conservative": Fraction(cov > 0), "aggressive": Fraction(sign)}[rule]

    return np.vectorize(one, otypes=[object])(covariance, variance)


@claim(
    "Q5",
    source=f"{ROSS} (Cov and Var do not see a shift)",
    operators=["control_variate_weight"],
    given={"case": paired_samples(FINE), "rule": st.sampled_from(RULES), "shift": values((2,), ("generic",))},
)
def shifting_either_sample_leaves_the_weight(port: Trial, case: dict[str, Floats], rule: str, shift: Floats) -> None:
    """Adding a constant to the advantages, and one to the control variates, changes no centred weight."""
    due, error = port("control_variate_weight", *case.values(), rule=rule)
    moved = [sample + constant for sample, constant in zip(case.values(), shift, strict=True)]
    found, other = port("control_variate_weight", *moved, rule=rule)
    port.equal(found, due, error + other)


@claim("Q5", source=f"{ROSS} (Cov and Var of a constant are 0)", operators=["control_variate_weight"], given={
    "row": values((3, 13), ("full mantissa", "generic")), "rule": st.sampled_from(RULES[1:]),
    "n": st.sampled_from([2, 3, 7, 5, 11, 13]),
    "which": st.integers(0, 2),
})  # fmt: skip
def a_constant_row_gets_no_weight(port: Trial, row: Floats, rule: str, n: int, which: int) -> None:
    """Where the advantages or the control variates of a row are all equal, each adaptive weight is exactly 0, whatever rounding."""
    other, constant = row[..., :n], np.repeat(row[..., :1], n, axis=-1)
    samples = ((other, constant), (constant, other), (constant, constant))[which]
    found, _ = port("control_variate_weight", *samples, rule=rule)
    port.equal(found, np.zeros(found.shape), 0.0)


@claim("B10", source=f"{QPROP}, §3.2 (the weight is no part of what is differentiated)", operators=["control_variate_weight"],
       given={"case": paired_samples(), "centered": st.booleans()}, share=0.25)  # fmt: skip
def no_gradient_flows_through_the_optimal_weight(port: Trial, case: dict[str, Floats], centered: bool) -> None:
    """d(Cov/Var) by the advantages and by the control variates is exactly 0: whoever descends a loss takes the weight as given."""
    for place, sample in enumerate(case.values()):
        slope = port.derivative(place, *case.values(), rule="optimal", centered=centered)
        port.equal(slope, np.zeros(sample.shape), 0.0, f"in argument {place}")


@claim("B11", source=SHAPES, operators=["taylor_control_variate", "control_variate_weight", "q_prop_gradient", "mixed_gradient"],
       given={"data": st.data()}, share=0.25)  # fmt: skip
def control_variates_and_gradients_are_never_broadcast(port: Trial, data: Any) -> None:
    """[B] beside [B, 1], or one entry for all B, raises ValueError: neither a mean of one state nor a weight of one serves all."""
    refuses_what_broadcasts(port, data)


# ----------------------------------------------------------------------------------------------------------- the estimate
EXACT_BATCH = {"batch": batches_of_q_prop(FINE)}


@claim("Q1", source=f"{QPROP}, §3.2", operators=["q_prop_gradient"], given=EXACT_BATCH, oracle="q_prop_by_fractions")
def q_prop_gradient_is_residual_plus_analytic_half(port: Trial, batch: Batch) -> None:
    """The mean over the batch of score (A - w C) + w J'g, both halves with the same weight: an ascent direction."""
    found, error = port("q_prop_gradient", *batch)
    port.equal(found, q_prop_by_fractions(*batch), error)


@claim("Q1", source=f"{QPROP}, §3.2 with weight 0; Williams 1992", operators=["q_prop_gradient"], given=EXACT_BATCH)
def q_prop_with_weight_zero_is_the_likelihood_ratio_gradient(port: Trial, batch: Batch) -> None:
    """With weight 0 neither critic nor control variate is felt: the mean of score times advantage is left."""
    found, error = port("q_prop_gradient", *batch._replace(weight=np.zeros(len(batch.weight))))
    due = (exact(batch.score) * exact(batch.advantage)[:, None]).sum(axis=0) / len(batch.advantage)
    port.equal(found, due, error)


@claim("Q1", source="a mean is linear", operators=["q_prop_gradient", "mixed_gradient"], given=EXACT_BATCH)
def repeating_a_batch_changes_no_gradient(port: Trial, batch: Batch) -> None:
    """Every sample twice gives the same gradient: it is a mean over the batch, not a sum."""
    mixed = port.subject == "mixed_gradient"
    parts, keywords = (batch[:2] + batch[4:], {"on_policy_fraction": 0.25}) if mixed else (tuple(batch), {})
    due, error = port(port.subject, *parts, **keywords)
    found, other = port(port.subject, *(np.repeat(part, 2, axis=0) for part in parts), **keywords)
    port.equal(found, due, error + other)


@claim("Q8", source=MIXING, operators=["mixed_gradient"], given={
    "batch": batches_of_q_prop(FINE), "fraction": fractions_of_one(),
})  # fmt: skip
def mixed_gradient_is_the_weighted_sum_of_both_gradients(port: Trial, batch: Batch, fraction: float) -> None:
    """The fraction times the on-policy mean, plus its complement times the critic's mean: 1 is on-policy, 0 off-policy."""
    found, error = port("mixed_gradient", *batch[:2], *batch[4:], on_policy_fraction=fraction)
    none = np.zeros(len(batch.weight))
    on_policy = q_prop_by_fractions(*batch._replace(weight=none))
    off_policy = q_prop_by_fractions(*batch._replace(weight=none + 1, advantage=none, control_variate=none))
    port.equal(found, exact(fraction) * on_policy + (1 - exact(fraction)) * off_policy, error)


@claim("Q8", source=MIXING, operators=["mixed_gradient"], given={
    "batch": batches_of_q_prop(("generic",)), "fraction": st.sampled_from([0.0, 1.0]),
})  # fmt: skip
def a_half_of_no_weight_is_not_read(port: Trial, batch: Batch, fraction: float) -> None:
    """At fraction 1 nothing of the off-policy half is felt, not even infinities, nor at 0 of the on-policy half."""
    halves = [list(batch[:2]), list(batch[4:])]
    due, error = port("mixed_gradient", *halves[0], *halves[1], on_policy_fraction=fraction)
    unread = halves[int(fraction)]
    unread[:] = [np.full(part.shape, np.inf) for part in unread]
    found, _ = port("mixed_gradient", *halves[0], *halves[1], on_policy_fraction=fraction)
    port.equal(found, due, 2 * error)
