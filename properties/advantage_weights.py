"""Advantage weights and the loss that they weigh: error bounds, and what holds for single weights and advantages (W7, W8)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from properties._advantage_weights_policy import AWR, QWR, SHARES, Tilt, tilts
from properties._advantage_weights_regression import losses
from properties._aggregates_bounds import POSITIVE_TEMPERATURE, holds_in, mean_error, softmax_error
from properties._bounds import ELEMENTARY, Floats, gamma, stored
from properties._claim import Call, claim, operator
from properties._draw import BATCHES, ROUGH, STYLES, rows, values
from properties._oracles import exact
from properties._oracles.aggregates import exponential_weights_by_digits
from properties._trial import Trial

Draw = Callable[[st.SearchStrategy[Any]], Any]


# ----------------------------------------------------------------------------------------------------------- operators
class Weighing(NamedTuple):
    """Advantages, a temperature, and a cap or None; without a cap |A/t| <= 64, so that exp stays finite in float32."""

    advantage: Floats
    temperature: float
    max_weight: float | None


@st.composite
def weighings(draw: Draw, styles: tuple[str, ...] = STYLES, *, capped: bool | None = None) -> Weighing:
    """Advantages of any shape; with a cap A/t may be anything."""
    shape = (*draw(st.sampled_from(BATCHES)), draw(st.integers(1, 5)))
    advantage, temperature = draw(values(shape, styles)), draw(POSITIVE_TEMPERATURE)
    cap = draw(st.sampled_from([20.0, 100.0, 1.0, 0.5, 2.0**-10, 2.0**20])) if capped is not False else None
    if capped is None and draw(st.booleans()):
        cap = None
    return Weighing(advantage, temperature if cap else _mild(advantage, temperature), cap)


def _mild(advantage: Floats, temperature: float) -> float:
    """The temperature, or that at which the largest |A/t| is 60, if that is higher."""
    return max(temperature, float(np.abs(advantage).max()) / 60.0)


def _rowwise(**keywords: st.SearchStrategy[Any]) -> st.SearchStrategy[Call]:
    return st.builds(lambda q, k: Call((q,), k), rows(styles=ROUGH), st.fixed_dictionaries(keywords))


@operator("sampled_advantage", inputs=_rowwise())
def sampled_advantage_bound(unit: float, q: Floats) -> Floats:
    """The mean's error, and the difference's at the size of both: u (|q| + mean |q|)."""
    return np.asarray(mean_error(unit, q)[..., None] * (1 + unit) + unit * (np.abs(q) + np.abs(q).mean(axis=-1, keepdims=True)))


@operator(
    "exponential_weights",
    inputs=weighings(ROUGH).map(lambda w: Call((w.advantage,), {"temperature": w.temperature, "max_weight": w.max_weight})),
    core=0,
)
def exponential_bound(unit: float, advantage: Floats, *, temperature: float, max_weight: float | None = None) -> Floats:
    """Relative exp(e) - 1, e = 2u|A/t| + ELEMENTARY u: A/t costs two roundings (through 1/t), which exp turns into relative error.

    A cap on the weight costs nothing; as a cap log(max_weight) on the exponent it adds ELEMENTARY u |log max_weight| there. The
    cap itself does not enlarge errors, so that e counts |A/t| no further than up to the cap.
    """
    x = advantage / temperature
    ceiling = np.inf if max_weight is None else np.log(max_weight)
    size = 0.0 if max_weight is None else ELEMENTARY * unit * abs(ceiling)
    at_cap = x + 2 * unit * np.abs(x) + size >= ceiling
    x = np.minimum(x, ceiling)
    e = 2 * unit * np.abs(x) + np.where(at_cap, 2 * size, 0.0) + gamma(ELEMENTARY, unit)
    return np.where(e < 1, np.exp(x) * np.expm1(np.minimum(e, 1.0)), np.exp(x + e))


@operator("normalized_weights", inputs=_rowwise(temperature=POSITIVE_TEMPERATURE))
def normalized_bound(unit: float, advantage: Floats, *, temperature: float) -> Floats:
    """The softmax of A/t."""
    return softmax_error(unit, advantage, temperature)


@operator("weighted_policy_loss", inputs=losses().map(lambda pair: Call(pair, {})), core=0)
def weighted_policy_loss_bound(unit: float, log_prob: Floats, weight: Floats) -> Floats:
    """One product."""
    return np.asarray(gamma(1, unit) * weight * np.abs(log_prob))


@operator("weighted_policy_loss_gradient", inputs=losses().map(lambda pair: Call(pair, {})), core=0)
def weighted_policy_loss_gradient_bound(unit: float, log_prob: Floats, weight: Floats) -> Floats:
    """0: the weight with its sign turned."""
    return np.zeros(log_prob.shape)


def _policy_call(t: Tilt) -> Call:
    """Of the actions that the behavior never takes some are infinitely good: they must not be seen."""
    return Call((t.behavior, np.where((t.behavior == 0) & (t.other > 0), np.inf, t.q)), {"temperature": t.temperature})


@operator("improved_policy", inputs=tilts(styles=ROUGH).map(_policy_call))
def improved_bound(unit: float, behavior: Floats, q: Floats, *, temperature: float) -> Floats:
    """The softmax of log behavior + q/t over the support."""
    return softmax_error(unit, q, temperature, np.log(behavior))


# --------------------------------------------------------------------------------------------------- single weights
def _weights(port: Trial, w: Weighing) -> tuple[Floats, Floats]:
    return port("exponential_weights", w.advantage, temperature=w.temperature, max_weight=w.max_weight)


@claim(
    "W8",
    source=f"{AWR}, Algorithm 1",
    operators=["exponential_weights"],
    given={"w": weighings()},
    share=0.5,
    oracle="exponential_weights_by_digits",
)
def exponential_weights_are_capped_exponentials(port: Trial, w: Weighing) -> None:
    """exponential_weights = min(exp(A/t), max_weight) to 50 digits."""
    found, error = _weights(port, w)
    port.equal(found, exponential_weights_by_digits(w.advantage, temperature=w.temperature, max_weight=w.max_weight), error)


@claim("W8", source=f"{AWR}, Algorithm 1", operators=["exponential_weights"], given={"w": weighings()})
def better_advantages_never_weigh_less(port: Trial, w: Weighing) -> None:
    """Equal advantages get equal weights, larger ones no smaller weights; an average action, A = 0, weighs min(1, max_weight)."""
    ranked = np.sort(np.append(w.advantage.ravel(), 0.0))
    found, error = _weights(port, w._replace(advantage=ranked))
    port.at_most(found[:-1], found[1:], error[:-1] + error[1:])
    same = ranked[:-1] == ranked[1:]
    port.at_most(found[1:][same], found[:-1][same], (error[:-1] + error[1:])[same], "equal advantages get equal weights")
    average = ranked == 0
    port.equal(found[average], np.full(average.sum(), min(1.0, w.max_weight or 1.0)), error[average], "A = 0 weighs min(1, cap)")


@claim(
    "W8",
    source=f"{AWR}, Algorithm 1",
    operators=["exponential_weights"],
    given={"w": weighings(), "factor": st.sampled_from([2.0, 16.0])},
)
def colder_weights_differ_more(port: Trial, w: Weighing, factor: float) -> None:
    """Raising the temperature brings every weight nearer to 1: down where A >= 0, up where A <= 0."""
    cold, cold_error = _weights(port, w)
    hot, hot_error = _weights(port, w._replace(temperature=factor * w.temperature))
    sign = np.sign(w.advantage)
    port.at_most(sign * hot, sign * cold, cold_error + hot_error)


@claim("W8", source=f"{AWR}, Algorithm 1", operators=["exponential_weights"], given={"w": weighings(capped=False)})
def the_weight_of_a_sum_is_the_product_of_weights(port: Trial, w: Weighing) -> None:
    """exp((A + B)/t) = exp(A/t) exp(B/t): no weight depends on the other advantages of the batch, nor on their scale."""
    milder = w._replace(temperature=2 * w.temperature)
    if not holds_in(port.dtype, w.advantage + w.advantage[..., ::-1]):
        return
    one, one_error = _weights(port, milder)
    two, two_error = one[..., ::-1], one_error[..., ::-1]
    found, error = _weights(port, milder._replace(advantage=w.advantage + w.advantage[..., ::-1]))
    port.equal(found, exact(one) * exact(two), error + one * two_error + two * one_error + one_error * two_error)


@claim("W8", source=f"{AWR}, Algorithm 1", operators=["exponential_weights"], given={"w": weighings(), "power": st.integers(-9, 9)})
def weights_depend_on_advantage_over_temperature(port: Trial, w: Weighing, power: int) -> None:
    """Scaling A and t together changes no weight; so dividing by t agrees with multiplying A by the inverse temperature 1/t."""
    due, due_error = _weights(port, w)
    scaled = w._replace(advantage=w.advantage * 2.0**power, temperature=w.temperature * 2.0**power)
    found, error = _weights(port, scaled)
    port.equal(found, due, error + due_error)


@claim(
    "W8",
    source=AWR,
    operators=["exponential_weights", "normalized_weights", "improved_policy"],
    given={"power": st.integers(-20, 20)},
    share=0.25,
)
def weights_do_not_overflow(port: Trial, power: int) -> None:
    """At A/t = 10^4, 0, -10^4 the capped weights are the cap, 1 and 0, and the shares 1, 0 and 0."""
    keywords: dict[str, Any] = {"temperature": 2.0**power}
    arguments = [np.array([10_240.0, 0.0, -10_240.0]) * 2.0**power]
    due = [1.0, 0.0, 0.0]
    if port.subject == "exponential_weights":
        keywords, due = keywords | {"max_weight": 20.0}, [20.0, 1.0, 0.0]
    if port.subject == "improved_policy":
        arguments.insert(0, np.array([0.25, 0.25, 0.5]))
    found, error = port(port.subject, *arguments, **keywords)
    port.equal(found, due, error)


@claim(
    "W8",
    source=f"{AWR}, Algorithm 1; the limits of exp",
    operators=["exponential_weights", "normalized_weights"],
    given={"w": weighings(capped=True), "other": rows(shortest=5), "sign": st.sampled_from([1.0, -1.0])},
    share=0.5,
)
def infinite_advantages_weigh_all_or_nothing(port: Trial, w: Weighing, other: Floats, sign: float) -> None:
    """A = +inf weighs the cap, or inf without one, or shares all of the row; A = -inf weighs 0, but among its like; at t = inf
    all weigh alike. A cap of inf is no cap."""
    a = np.where(np.resize(other, w.advantage.shape) > 0, sign * np.inf, w.advantage)
    flat, infinite = w.temperature == np.inf, np.isinf(a)
    if port.subject == "normalized_weights":
        found, best = port.normalized_weights(a, temperature=w.temperature), a.max(axis=-1, keepdims=True)
        alike = flat | (a == best)
        due = alike / alike.sum(axis=-1, keepdims=True)
        known = flat | np.isinf(best) | infinite
        slack = stored(gamma(a.shape[-1] + 1, port.unit) * due, due, port.dtype)
        port.equal(np.where(known, found, 0.0), np.where(known, due, 0.0), slack)
        return
    for cap in (w.max_weight, np.inf, None):
        found = port.exponential_weights(a, temperature=w.temperature, max_weight=cap)
        weight = min(1.0, cap or np.inf) if flat else (cap or np.inf) if sign > 0 else 0.0
        port.equal(found[infinite], np.full(infinite.sum(), weight), 0.0)


# ----------------------------------------------------------------------------------------------- sampled advantages
@claim("W7", source=f"{QWR}, policy improvement", operators=["sampled_advantage"], given={"q": rows(styles=ROUGH)})
def sampled_advantages_are_values_less_their_mean(port: Trial, q: Floats) -> None:
    """A_i = q_i - (1/n) sum of q_j, which sums to 0 in every row and is 0 for a single sample."""
    found, error = port("sampled_advantage", q)
    port.equal(found, exact(q) - exact(q).sum(axis=-1, keepdims=True) / q.shape[-1], error)
    port.equal(np.zeros(found.shape[:-1]), exact(found).sum(axis=-1), error.sum(axis=-1), "the advantages of a row sum to 0")


@claim("W7", source=f"{QWR}, policy improvement", operators=["sampled_advantage"], given={"t": tilts()})
def sampled_advantages_forget_the_baseline(port: Trial, t: Tilt) -> None:
    """A constant added to all values of a state leaves sampled_advantage as it is."""
    if not holds_in(port.dtype, t.q + t.other[..., :1]):
        return
    due, due_error = port("sampled_advantage", t.q)
    found, error = port("sampled_advantage", t.q + t.other[..., :1])
    port.equal(found, due, error + due_error)


# ----------------------------------------------------------------------------------------------------------- constants
@claim(
    "B10",
    source=f"{AWR}, Algorithm 1 (the weight is a constant of the regression)",
    operators=["sampled_advantage", *SHARES],
    given={"t": tilts()},
    share=0.15,
)
def no_gradient_flows_through_advantages_and_shares(port: Trial, t: Tilt) -> None:
    """sum of c_i d y_i / d x is exactly 0 for any c: y a row's advantages or shares, whose sum is constant and would hide it."""
    keywords = {} if port.subject == "sampled_advantage" else {"temperature": t.temperature}
    arguments = (t.behavior, t.q) if port.subject == "improved_policy" else (t.q,)
    for place, argument in enumerate(arguments):
        slope = port.derivative(place, *arguments, cotangent=t.other, **keywords)
        port.equal(slope, np.zeros(argument.shape), 0.0, f"the gradient that flows into argument {place}")
