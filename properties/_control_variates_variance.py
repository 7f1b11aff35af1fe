"""What a control variate does to the variance: the signal's (Q2, Q3, Q6) and the gradient's (Q7), and two hopes refuted (F5, F6).

Variances are of equally likely samples, in exact rational arithmetic; only the weights and the estimates are the port's.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import strategies as st

from properties._bounds import TINY, UNIT, Floats, gamma
from properties._claim import claim
from properties._control_variates_bias import QPROP
from properties._draw import FINE, values, whole_numbers
from properties._oracles import exact
from properties._oracles.control_variates import second_moments, total_variance
from properties._trial import Trial

ROSS = "Ross 2002, Simulation, §8.2"


# ------------------------------------------------------------------------------------------------------------ the signal
def _pairs(least: int, styles: tuple[str, ...] = FINE) -> st.SearchStrategy[tuple[Floats, Floats]]:
    """f and g of the same few samples; half of the draws follow each other closely, as a good critic's do."""

    def decode(drawn: tuple[Floats, Floats, bool]) -> tuple[Floats, Floats]:
        one, two, close = drawn
        return one, np.asarray(one / 2 + np.rint(two / 16)) if close else two

    sizes = st.integers(least, 5)
    return sizes.flatmap(lambda n: st.tuples(values((n,), styles), values((n,), styles), st.booleans()).map(decode))


def estimates(port: Trial, f: Floats, g: Floats, weight: float, mean: float) -> tuple[Floats, Floats]:
    """f - w g + w mean for each sample: Q-Prop's estimate with a score of 1 and a mean that moves with its only parameter."""
    one = np.ones((1, 1))
    pairs = [
        port("q_prop_gradient", one, f[i : i + 1], g[i : i + 1], np.array([weight]), mean * one, np.ones((1, 1, 1)))
        for i in range(len(f))
    ]
    return np.array([found[0] for found, _ in pairs]), np.array([error[0] for _, error in pairs])


def variance(samples: Any) -> Fraction:
    """The variance of equally likely samples."""
    return Fraction(second_moments(samples, samples, centered=True).variance)


def variance_slack(samples: Any, error: Floats) -> float:
    """Samples off by e change their variance by 2 Cov(x, e) + Var e: at most 2 max|e| mean|x - mean| + max e^2, itself of n + 8
    roundings or fewer."""
    apart = np.abs(samples - samples.mean()).mean()
    worst = float(np.max(error))
    return float(2 * worst * apart + worst**2) * (1 + float(gamma(len(samples) + 8, UNIT["float64"])))


WEIGHTS = st.integers(-64, 64).map(lambda k: k / 16)


@claim(
    "Q2",
    source=ROSS,
    operators=["q_prop_gradient"],
    given={"pair": _pairs(1), "weight": WEIGHTS, "mean": st.integers(-16, 16).map(float)},
    oracle="second_moments",
)
def variance_with_a_control_variate(port: Trial, pair: tuple[Floats, Floats], weight: float, mean: float) -> None:
    """Var(f - w g + w m) = Var f + w^2 Var g - 2 w Cov(f, g), whatever constant m."""
    found, error = estimates(port, *pair, weight, mean)
    covariance, of_g, of_f = second_moments(*pair, centered=True)
    w = exact(weight)
    due = np.asarray(of_f + w * w * of_g - 2 * w * covariance, dtype=object)
    shown = float(variance(found))
    port.equal(np.asarray(shown), due, variance_slack(found, error) + abs(shown) * UNIT["float64"])


@claim("Q2", source=ROSS, operators=["q_prop_gradient"], given={"pair": _pairs(1), "weight": WEIGHTS})
def a_control_variate_about_its_mean_keeps_the_mean(port: Trial, pair: tuple[Floats, Floats], weight: float) -> None:
    """E(f - w g + w E g) = E f: samples in fours, so that E g is a number."""
    f, g = (np.resize(part, 4) for part in pair)
    found, error = estimates(port, f, g, weight, float(g.mean()))
    shown = float(exact(found).sum() / 4)
    port.equal(np.asarray(shown), np.asarray(exact(f).sum() / 4, dtype=object), error.mean() + abs(shown) * UNIT["float64"])


OPTIMAL = {"pair": _pairs(2, (*FINE, "tiny")), "other": WEIGHTS}


def _optimal(port: Trial, pair: tuple[Floats, Floats]) -> tuple[Fraction, Fraction]:
    """The variance with the port's optimal weight, and how much above the least the weight's rounding may take it: Var(g) e^2."""
    weight, error = port("control_variate_weight", *pair, rule="optimal")
    slack = Fraction(second_moments(*pair, centered=True).variance) * Fraction(float(error)) ** 2 if np.isfinite(error) else None
    left = variance(exact(pair[0]) - exact(float(weight)) * exact(pair[1]))
    return left, left if slack is None else slack


@claim("Q2", source=ROSS, operators=["control_variate_weight"], given=OPTIMAL, oracle="second_moments")
def the_optimal_weight_minimises_the_variance(port: Trial, pair: tuple[Floats, Floats], other: float) -> None:
    """Var(f - w g) at w = Cov/Var is at most what any other weight gives."""
    left, slack = _optimal(port, pair)
    right = variance(exact(pair[0]) - exact(other) * exact(pair[1]))
    port.holds(left <= right + slack, f"variance with the optimal weight <= with {other}", found=float(left), due=float(right))


@claim("Q2", source=ROSS, operators=["control_variate_weight"], given=OPTIMAL, oracle="second_moments")
def the_optimal_weight_leaves_one_minus_the_squared_correlation(port: Trial, pair: tuple[Floats, Floats], other: float) -> None:
    """Var(f - w g) = (1 - rho^2) Var f at w = Cov/Var, rho the correlation; at w + e it is Var(g) e^2 more."""
    left, slack = _optimal(port, pair)
    covariance, of_g, of_f = second_moments(*pair, centered=True)
    least = of_f - covariance**2 / of_g if of_g else of_f
    port.holds(least <= left <= least + slack, "variance with the optimal weight is the least", found=float(left), due=float(least))
    drawn = variance(exact(pair[0]) - exact(other) * exact(pair[1]))
    best = covariance / of_g if of_g else Fraction(0)
    port.holds(drawn == least + of_g * (exact(other) - best) ** 2, "and grows with the square of the distance from it")


@claim("Q3", source=f"{QPROP}, §3.2 (adaptive Q-Prop)", operators=["control_variate_weight"], given=OPTIMAL)
def the_optimal_weight_never_raises_the_signals_variance(port: Trial, pair: tuple[Floats, Floats], other: float) -> None:
    """Var(A - w C) <= Var A with w = Cov/Var of the same state's samples, shifted as they may be."""
    moved = (pair[0] + other, pair[1] - other)
    left, slack = _optimal(port, moved)
    port.holds(left <= variance(moved[0]) + slack, "the variance may not rise", found=float(left), due=float(variance(moved[0])))


def _change(port: Trial, pair: tuple[Floats, Floats], rule: str) -> Fraction:
    """How much the rule's weight raises the signal's variance."""
    weight = float(port.control_variate_weight(*pair, rule=rule))
    return variance(exact(pair[0]) - exact(weight) * exact(pair[1])) - variance(pair[0])


def _dyadic_pairs() -> st.SearchStrategy[tuple[Floats, Floats]]:
    """Two or four samples of small whole numbers: means, and so the sign of Cov, are exact in every type."""
    return st.sampled_from([2, 4]).flatmap(lambda n: st.tuples(whole_numbers((n,), 9), whole_numbers((n,), 9)))


SIGNED = {"pair": _dyadic_pairs()}


@claim("Q6", source=f"{QPROP}, §3.2 (conservative Q-Prop)", operators=["control_variate_weight"], given=SIGNED)
def conservative_never_hurts_where_the_critic_is_not_correlated(port: Trial, pair: tuple[Floats, Floats]) -> None:
    """Where Cov <= 0 the conservative weight is 0 and the variance stays what it was."""
    if second_moments(*pair, centered=True).covariance <= 0:
        change = _change(port, pair, "conservative")
        port.holds(change == 0, "the variance must not change", found=float(change), due=0.0)


@claim("Q6", source=f"{QPROP}, §3.2; {ROSS}", operators=["control_variate_weight"], given=SIGNED)
def conservative_helps_exactly_where_twice_the_covariance_exceeds_the_variance(port: Trial, pair: tuple[Floats, Floats]) -> None:
    """Where Cov > 0, the conservative weight lowers the variance if 2 Cov > Var g, and raises it if 2 Cov < Var g; the aggressive
    one likewise by 2 |Cov|."""
    covariance, of_g, _ = second_moments(*pair, centered=True)
    for rule, size in (("conservative", max(covariance, Fraction(0))), ("aggressive", abs(covariance))):
        change = _change(port, pair, rule)
        due = of_g - 2 * size if size else Fraction(0)
        port.holds(change == due, f"{rule} changes the variance by Var g - 2 Cov", found=float(change), due=float(due))


@claim("Q6", source=f"{QPROP}, §3.2", operators=["control_variate_weight"])
def conservative_can_raise_the_variance(port: Trial) -> None:
    """f = (0, 1), g = (-2, 2): Cov = 1 > 0, yet Var(f - g) = 9/4 > 1/4 = Var f, because 2 Cov < Var g = 4."""
    change = _change(port, (np.array([0.0, 1.0]), np.array([-2.0, 2.0])), "conservative")
    port.holds(change == 2, "the variance rises from 1/4 to 9/4", found=float(change), due=2.0)


@claim("F6", source="refuted: correlated => Q-Prop with weight 1 lowers the variance", operators=[
    "control_variate_weight", "q_prop_gradient",
])  # fmt: skip
def a_correlated_control_variate_of_weight_one_can_raise_the_variance(port: Trial) -> None:
    """Refuted: where f and g are correlated, f - g + E g varies less than f. f = (0, 1), g = (-2, 2) are fully correlated, and the
    variance is 9/4 instead of 1/4."""
    f, g = np.array([0.0, 1.0]), np.array([-2.0, 2.0])
    weight = float(port.control_variate_weight(f, g, rule="standard"))
    found, error = estimates(port, f, g, weight, 0.0)
    port.equal(found, np.array([2.0, -1.0]), error)
    slack = variance_slack(found, error)
    port.holds(variance(found) > variance(f) + Fraction(slack), "the variance rises", found=float(variance(found)), due=0.25)


# ---------------------------------------------------------------------------------------------------------- the gradient
@claim(
    "Q7",
    source=f"{QPROP}, §3.2 bounds the signal only; {ROSS}",
    operators=["q_prop_gradient", "control_variate_weight"],
    oracle="total_variance",
)
def the_optimal_weight_can_raise_the_gradients_variance(port: Trial) -> None:
    """Actions 1 and 0, p = (1/4, 3/4), A = (1, -3), slope 1: the optimal weight is 4 and takes the signal's variance from 3 to 0,
    the gradient's by each logit from 0 to 3/4."""
    before, after, signal = _gradient_of_each_action(port)
    port.equal(np.asarray(float(before[0])), np.asarray(Fraction(0), dtype=object), before[1], "variance before")
    port.equal(np.asarray(float(after[0])), np.asarray(Fraction(3, 2), dtype=object), after[1], "variance after")
    port.holds(signal < 3, "the signal's variance falls", found=float(signal), due=0.0)


@claim("F5", source="refuted: a control variate with the optimal weight always lowers the gradient's variance", operators=[
    "q_prop_gradient", "control_variate_weight",
])  # fmt: skip
def an_optimal_weight_does_not_always_lower_the_gradients_variance(port: Trial) -> None:
    """Refuted: the optimal weight lowers the gradient's variance. Actions 1 and 0, p = (1/4, 3/4), A = (1, -3), slope 1: without a
    control variate every sample's gradient is the same, with the optimal weight its variance is 3/2."""
    before, after, _ = _gradient_of_each_action(port)
    port.holds(
        after[0] - Fraction(after[1]) > before[0] + Fraction(before[1]), "it rises", found=float(after[0]), due=float(before[0])
    )


def _gradient_of_each_action(port: Trial) -> tuple[tuple[Fraction, float], tuple[Fraction, float], Fraction]:
    """The gradient's variance over both logits with weight 0 and with the optimal one, with slack, and the signal's with it."""
    p, advantage, variate = np.array([0.25, 0.75]), np.array([1.0, -3.0]), np.array([0.75, -0.25])
    drawn = np.array([0, 1, 1, 1])
    optimal = float(port.control_variate_weight(advantage[drawn], variate[drawn], rule="optimal"))
    results = []
    for weight in (0.0, optimal):
        rows, errors = [], []
        for a in (0, 1):
            found, error = port(
                "q_prop_gradient", (np.eye(2) - p)[[a]], advantage[[a]], variate[[a]], np.array([weight]), np.ones((1, 1)),
                np.array([[[0.1875, -0.1875]]]),
            )  # fmt: skip
            rows.append(exact(found))
            errors.append(error)
        shown = np.array(rows).astype(np.float64)
        # mean|x - mean| of two samples is at least as large when they are equally likely as when they are not
        slack = sum(variance_slack(shown[:, k], np.array(errors)[:, k]) for k in range(2))
        results.append((total_variance(p, rows), slack))
    return results[0], results[1], variance(exact(advantage[drawn]) - exact(optimal) * exact(variate[drawn]))


ENDS = st.sampled_from([(600, 600), (-900, -400), (0, -600), (1023, 1023), (1023, 500), (-1074, -1074), (-1000, 100)])


@claim("Q5", source=f"{QPROP}, §3.2: its one-sample estimate", operators=["control_variate_weight"], given={
    "pair": values((2,), ("full mantissa",)), "powers": ENDS, "zeros": st.integers(0, 2),
}, share=0.5)  # fmt: skip
def one_sample_is_weighed_by_its_own_quotient(port: Trial, pair: Floats, powers: tuple[int, int], zeros: int) -> None:
    """One sample, or one beside zeros, about 0: A C / C^2 = A / C, 1[A C > 0], and sign A C, also where such products leave the
    range of the numbers."""
    mantissas = np.frexp(np.where(pair == 0, 1.0, pair))[0] * 2
    advantage, control = (np.ldexp(mantissa, power)[None] for mantissa, power in zip(mantissas, powers, strict=True))
    quotient = (np.ldexp(advantage, -powers[0]) / np.ldexp(control, -powers[1]))[0]
    advantage, control = (np.append(sample, np.zeros(zeros)) for sample in (advantage, control))
    found = port.control_variate_weight(advantage, control, rule="optimal", centered=False)
    due = np.ldexp(quotient, powers[0] - powers[1])
    port.equal(found, due, gamma(5, port.unit) * np.abs(due) + TINY["float64"])
    for rule, sign in (("conservative", quotient > 0), ("aggressive", np.sign(quotient))):
        port.equal(port.control_variate_weight(advantage, control, rule=rule, centered=False), np.asarray(sign), 0.0, rule)
