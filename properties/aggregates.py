"""QWR's aggregates: error bounds, and what log_mean_exp is between mean and maximum (W4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from properties import _aggregates_extremes  # noqa: F401  (registers its claims)
from properties._aggregates_bounds import EVERY_TEMPERATURE, holds_in, log_mean_exp_error, mean_error, softmax_error
from properties._aggregates_sampling import AGGREGATES, QWR, aggregated
from properties._bounds import ELEMENTARY, UNIT, Floats, gamma, stored
from properties._claim import Call, claim, operator
from properties._draw import BATCHES, ROUGH, STYLES, rows, values
from properties._oracles import exact
from properties._oracles.aggregates import log_mean_exp_by_digits, softmax_by_digits
from properties._trial import Trial

Draw = Callable[[st.SearchStrategy[Any]], Any]


# ----------------------------------------------------------------------------------------------------------- operators
def _calls(**keywords: st.SearchStrategy[Any]) -> st.SearchStrategy[Call]:
    return st.builds(lambda q, k: Call((q,), k), rows(styles=ROUGH), st.fixed_dictionaries(keywords))


@operator("max_aggregate", inputs=_calls())
def max_bound(unit: float, q: Floats) -> Floats:
    """0: one of the entries, as it is."""
    return np.zeros(q.shape[:-1])


@operator("mean_aggregate", inputs=_calls())
def mean_bound(unit: float, q: Floats) -> Floats:
    """A sum and a division."""
    return mean_error(unit, q)


@operator("log_mean_exp", inputs=_calls(temperature=EVERY_TEMPERATURE))
def log_mean_exp_bound(unit: float, q: Floats, *, temperature: float) -> Floats:
    """0 at t = 0 (an entry), the mean's at t = inf, and between them that of any arrangement of t (logsumexp(q/t) - log n)."""
    return log_mean_exp_error(unit, q, temperature)


TIES = rows(styles=("ties", "equal", "generic"))
_TIES_AT_ZERO = TIES.map(lambda q: Call((q,), {"temperature": 0.0}))


@operator("log_mean_exp_gradient", inputs=_calls(temperature=EVERY_TEMPERATURE) | _TIES_AT_ZERO)
def log_mean_exp_gradient_bound(unit: float, q: Floats, *, temperature: float) -> Floats:
    """The softmax of q/t."""
    return softmax_error(unit, q, temperature)


# -------------------------------------------------------------------------------------------------------------- claims
class Pair(NamedTuple):
    """Two rows of samples of one shape and scale, so that sums of their entries are exact, and a temperature."""

    q: Floats
    other: Floats
    temperature: float


@st.composite
def pairs(draw: Draw, *, longest: int = 5) -> Pair:
    """Two arrays [..., n] in one style."""
    shape = (*draw(st.sampled_from(BATCHES)), draw(st.integers(1, longest)))
    style = (draw(st.sampled_from(STYLES)),)
    return Pair(draw(values(shape, style)), draw(values(shape, style)), draw(EVERY_TEMPERATURE))


GIVEN = {"pair": pairs()}


@claim(
    "W4",
    source=QWR,
    operators=["log_mean_exp"],
    given={"pair": pairs(longest=4)},
    share=0.5,
    oracle="log_mean_exp_by_digits",
)
def log_mean_exp_is_accurate_at_every_temperature(port: Trial, pair: Pair) -> None:
    """log_mean_exp = t log((1/n) sum of exp(q_i/t)) to 50 digits, t from 2^-60 to 2^20; it is max at t = 0, mean at t = inf."""
    found, error = port("log_mean_exp", pair.q, temperature=pair.temperature)
    port.equal(found, log_mean_exp_by_digits(pair.q, temperature=pair.temperature), error)


@claim("W4", source=QWR, operators=["log_mean_exp"], given={"q": rows(styles=ROUGH)})
def log_mean_exp_never_overflows(port: Trial, q: Floats) -> None:
    """For t so small that exp(q/t) is 0 or infinite for every q but 0, max q - t log n <= log_mean_exp <= max q still."""
    temperature = 2.0**-900 if port.dtype == "float64" else 2.0**-80
    for sign in (1.0, -1.0):
        found, error = port("log_mean_exp", sign * q, temperature=temperature)
        top = (sign * q).max(axis=-1)
        port.at_most(top, found, error + 2 * temperature * np.log(q.shape[-1]), "max q - t log n <= log_mean_exp")
        port.at_most(found, top, error, "log_mean_exp <= max q")


@claim("W4", source=QWR, operators=AGGREGATES, given=GIVEN)
def log_mean_exp_lies_between_mean_and_max(port: Trial, pair: Pair) -> None:
    """mean <= log_mean_exp <= max."""
    found, error = port("log_mean_exp", pair.q, temperature=pair.temperature)
    low, low_error = port("mean_aggregate", pair.q)
    high, high_error = port("max_aggregate", pair.q)
    port.at_most(low, found, error + low_error, "mean <= log_mean_exp")
    port.at_most(found, high, error + high_error, "log_mean_exp <= max")


@claim("W4", source=QWR, operators=["log_mean_exp", "max_aggregate"], given=GIVEN)
def log_mean_exp_reaches_the_maximum_at_rate_t_log_n(port: Trial, pair: Pair) -> None:
    """max - log_mean_exp <= t log(n/k), k the number of maximisers; so it tends to the maximum as t -> 0, and is it at t = 0."""
    found, error = port("log_mean_exp", pair.q, temperature=pair.temperature)
    high, high_error = port("max_aggregate", pair.q)
    ties = (pair.q == pair.q.max(axis=-1, keepdims=True)).sum(axis=-1)
    ratio = np.log(pair.q.shape[-1] / ties)
    off = gamma(1, UNIT["float64"]) + gamma(ELEMENTARY + 1, UNIT["float64"]) * ratio  # a quotient; its log, and a product
    room = np.where(ratio == 0, 0.0, pair.temperature * (ratio + off))
    port.at_most(high, found + room, error + high_error + port.sum_error(np.stack([found, room], -1)))


@claim("W4", source=f"{QWR}; Hoeffding 1963, eq. 4.16", operators=["log_mean_exp", "mean_aggregate"], given=GIVEN)
def log_mean_exp_reaches_the_mean_at_hoeffdings_rate(port: Trial, pair: Pair) -> None:
    """log_mean_exp - mean <= (max - min)^2 / (8 t); so it tends to the mean as t -> inf, and is it at t = inf."""
    found, error = port("log_mean_exp", pair.q, temperature=pair.temperature)
    low, low_error = port("mean_aggregate", pair.q)
    spread = np.ptp(pair.q, axis=-1)
    room = np.where(spread == 0, 0.0, spread * (spread / pair.temperature) / 8)
    port.at_most(found, low + room, error + low_error + 2 * port.sum_error(np.stack([low, room], -1)))


@claim("W4", source=QWR, operators=["log_mean_exp"], given={"pair": pairs(), "hotter": EVERY_TEMPERATURE})
def log_mean_exp_never_rises_with_temperature(port: Trial, pair: Pair, hotter: float) -> None:
    """t <= t' implies log_mean_exp at t' <= log_mean_exp at t."""
    low, high = sorted((pair.temperature, hotter))
    cold, cold_error = port("log_mean_exp", pair.q, temperature=low)
    hot, hot_error = port("log_mean_exp", pair.q, temperature=high)
    port.at_most(hot, cold, cold_error + hot_error)


@claim("W4", source=QWR, operators=AGGREGATES, given=GIVEN)
def aggregates_shift_with_their_samples(port: Trial, pair: Pair) -> None:
    """F(q + c) = F(q) + c."""
    shift = pair.other[..., :1]
    if not holds_in(port.dtype, pair.q + shift):
        return
    due, due_error = aggregated(port, port.subject, pair.q, pair.temperature)
    found, error = aggregated(port, port.subject, pair.q + shift, pair.temperature)
    port.equal(found, exact(due) + exact(shift[..., 0]), error + due_error)


@claim("W4", source=QWR, operators=AGGREGATES, given={"pair": pairs(), "factor": st.sampled_from([0.25, 2.0, 8.0])}, share=0.5)
def aggregates_scale_with_their_samples(port: Trial, pair: Pair, factor: float) -> None:
    """F(c q) at temperature c t = c F(q) at temperature t, c > 0: temperature has the unit of value and divides."""
    due, due_error = aggregated(port, port.subject, pair.q, pair.temperature)
    found, error = aggregated(port, port.subject, factor * pair.q, factor * pair.temperature)
    port.equal(found, factor * due, error + factor * due_error)


@claim("W4", source=QWR, operators=AGGREGATES, given=GIVEN, share=0.5)
def aggregates_are_monotone(port: Trial, pair: Pair) -> None:
    """q <= q' in every entry implies F(q) <= F(q')."""
    low, low_error = aggregated(port, port.subject, np.minimum(pair.q, pair.other), pair.temperature)
    high, high_error = aggregated(port, port.subject, np.maximum(pair.q, pair.other), pair.temperature)
    port.at_most(low, high, low_error + high_error)


@claim("W4", source=QWR, operators=AGGREGATES, given=GIVEN, share=0.5)
def aggregates_are_lipschitz(port: Trial, pair: Pair) -> None:
    """|F(q) - F(q')| <= the largest |q_i - q'_i|."""
    one, one_error = aggregated(port, port.subject, pair.q, pair.temperature)
    two, two_error = aggregated(port, port.subject, pair.other, pair.temperature)
    gap = np.abs(pair.q - pair.other).max(axis=-1)
    port.at_most(np.abs(one - two), gap, one_error + two_error + port.sum_error(np.stack([one, two], -1)))


@claim("W4", source=QWR, operators=AGGREGATES, given=GIVEN, share=0.5)
def aggregates_do_not_count_samples(port: Trial, pair: Pair) -> None:
    """F of every sample taken three times = F of the samples reversed = F(q): neither number nor order of samples counts."""
    due, due_error = aggregated(port, port.subject, pair.q, pair.temperature)
    for other in (np.repeat(pair.q, 3, axis=-1), pair.q[..., ::-1]):
        found, error = aggregated(port, port.subject, other, pair.temperature)
        port.equal(found, due, error + due_error)


@claim("W4", source="the definition", operators=["max_aggregate", "mean_aggregate"], given={"q": rows(styles=ROUGH)})
def maximum_and_mean_are_exact(port: Trial, q: Floats) -> None:
    """max_aggregate is the sample that no sample exceeds; mean_aggregate is the sum over n, in exact arithmetic."""
    found, error = port(port.subject, q)
    top = np.array([max(row) for row in q.reshape(-1, q.shape[-1]).tolist()]).reshape(q.shape[:-1])
    due = np.asarray(exact(q).sum(axis=-1) / q.shape[-1]) if port.subject == "mean_aggregate" else exact(top)
    port.equal(found, due, error)


# ------------------------------------------------------------------------------------------------------------ gradients
@claim(
    "W4",
    source=f"the derivative of {QWR}",
    operators=["log_mean_exp_gradient"],
    given={"pair": pairs(longest=4)},
    share=0.5,
    oracle="softmax_by_digits",
)
def log_mean_exp_gradient_is_the_softmax(port: Trial, pair: Pair) -> None:
    """The gradient of log_mean_exp is softmax(q/t) to 50 digits: ties share at t = 0, all share at t = inf."""
    found, error = port("log_mean_exp_gradient", pair.q, temperature=pair.temperature)
    port.equal(found, softmax_by_digits(pair.q, temperature=pair.temperature), error)
    port.holds(bool(np.all(found >= 0)), "no share is negative", found=found)


@claim("W4", source="the definition", operators=["log_mean_exp_gradient"], given={"q": TIES}, share=0.25)
def at_temperature_zero_the_maximisers_share_evenly(port: Trial, q: Floats) -> None:
    """At t = 0 each of k largest samples has the share 1/k, and every other has 0: no order of samples counts."""
    found, error = port("log_mean_exp_gradient", q, temperature=0.0)
    best = exact((q == q.max(axis=-1, keepdims=True)).astype(np.float64))
    port.equal(found, best / best.sum(axis=-1, keepdims=True), error)


@claim("W4", source=QWR, operators=["log_mean_exp_gradient", "log_mean_exp"], given=GIVEN)
def log_mean_exp_lies_above_its_tangents(port: Trial, pair: Pair) -> None:
    """log_mean_exp is convex: its value at q' is at least its value at q plus gradient(q) . (q' - q)."""
    t = pair.temperature
    here, here_error = port("log_mean_exp", pair.q, temperature=t)
    there, there_error = port("log_mean_exp", pair.other, temperature=t)
    slope, slope_error = port("log_mean_exp_gradient", pair.q, temperature=t)
    step = pair.other - pair.q
    slack = here_error + there_error + (slope_error * np.abs(step)).sum(axis=-1)
    terms = np.concatenate([here[..., None], slope * step, slope * step], axis=-1)
    port.at_most(here + (slope * step).sum(axis=-1), there, slack + port.sum_error(terms))


@claim("W4", source=QWR, operators=["log_mean_exp_gradient"], given=GIVEN)
def log_mean_exp_gradient_is_a_distribution_that_favours_larger_samples(port: Trial, pair: Pair) -> None:
    """The shares sum to 1 in each row; the larger sample never has the smaller share; shifting all samples changes none."""
    found, error = port("log_mean_exp_gradient", pair.q, temperature=pair.temperature)
    port.equal(np.ones(found.shape[:-1]), exact(found).sum(axis=-1), error.sum(axis=-1), "the shares sum to 1")
    order = np.argsort(pair.q, axis=-1, kind="stable")
    ranked, off = np.take_along_axis(found, order, axis=-1), np.take_along_axis(error, order, axis=-1)
    port.at_most(ranked[..., :-1], ranked[..., 1:], off[..., :-1] + off[..., 1:])
    if holds_in(port.dtype, pair.q + pair.other[..., :1]):
        shifted, shifted_error = port("log_mean_exp_gradient", pair.q + pair.other[..., :1], temperature=pair.temperature)
        port.equal(shifted, found, error + shifted_error)


@claim(
    "W4",
    source=f"the derivative of {QWR}",
    operators=["log_mean_exp"],
    given={"pair": pairs(longest=4)},
    share=0.5,
    oracle="softmax_by_digits",
)
def differentiating_log_mean_exp_gives_the_softmax(port: Trial, pair: Pair) -> None:
    """Automatic differentiation of c . log_mean_exp gives c softmax(q/t), c weighing the rows."""
    c = pair.other[..., 0]
    found = port.derivative(0, pair.q, temperature=pair.temperature, cotangent=c)
    due, size = softmax_by_digits(pair.q, temperature=pair.temperature), np.abs(c)[..., None]
    one = softmax_error(port.unit, pair.q, pair.temperature)
    bound = size * (one + gamma(1, port.unit) * (one + np.asarray(due, dtype=np.float64)))  # and a product
    port.equal(found, np.asarray(exact(c), dtype=object)[..., None] * due, stored(bound, found, port.dtype))


@claim("W4", source="the definition", operators=["max_aggregate", "mean_aggregate"], given=GIVEN, share=0.5)
def differentiating_max_and_mean_shares_one_among_their_samples(port: Trial, pair: Pair) -> None:
    """Automatic differentiation of mean_aggregate gives 1/n; of max_aggregate shares that sum to 1, all of them on maximisers."""
    found = port.derivative(0, pair.q)
    n = pair.q.shape[-1]
    slack = stored(np.full(found.shape, float(gamma(n + 1, port.unit))), found, port.dtype)
    if port.subject == "mean_aggregate":
        port.equal(found, exact(np.ones(found.shape)) / n, slack)
        return
    lower = pair.q < pair.q.max(axis=-1, keepdims=True)
    port.equal(np.where(lower, found, 0.0), np.zeros(found.shape), 0.0, "nothing flows to a sample below the maximum")
    port.holds(bool(np.all(found >= 0)), "no share is negative", found=found)
    port.equal(np.ones(found.shape[:-1]), exact(found).sum(axis=-1), slack.sum(axis=-1), "the shares sum to 1")
