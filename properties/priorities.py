"""Prioritised replay: error bounds, what a priority is and which share it has (P1), and the weights that undo it (P2)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from properties import _priorities_tree  # noqa: F401  (register its claims)
from properties._bounds import ELEMENTARY, Floats, gamma
from properties._claim import Call, claim, operator
from properties._draw import BATCHES, ROUGH, STYLES, batches, distributions, rows, values
from properties._oracles import exact
from properties._oracles.priorities import importance_weights_by_digits, priority_by_digits
from properties._trial import Trial, travelling, widened

Draw = Callable[[st.SearchStrategy[Any]], Any]
SCHAUL = "Schaul et al. 2016"
EXPONENTS = st.one_of(st.sampled_from([0.0, 0.5, 1.0, 0.6, 2.0]), st.floats(0.0, 2.0))
OFFSETS = st.sampled_from([0.0, 2.0**-10, 0.5, 0.01])


# -------------------------------------------------------------------------------------------------------------- bounds
def power_error(unit: float, size: Floats, exponent: float, logarithm: Floats) -> Floats:
    """The relative error of base^exponent, by pow or by exp(exponent log base), where log base may be a sum of two logarithms whose
    sizes add up to `logarithm`: the base's own rounding, exponent times; the logarithm's and two of its product; exp's.

    Nothing is linearised, as exponent times a large logarithm may be large: size expm1(r).
    """
    r = unit * (exponent * (1 + (ELEMENTARY + 2) * logarithm) + ELEMENTARY)
    return np.asarray(size * np.expm1(r))


def _logarithm(base: Any) -> Floats:
    return np.abs(np.log(np.where((base > 0) & np.isfinite(base), base, 1.0)))


# ----------------------------------------------------------------------------------------------------------- operators
def weighable(rough: Floats, every: int) -> Floats:
    """Priorities: sizes, each `every`-th one 0, and a 1 where a row would have none."""
    sizes = np.abs(rough)
    sizes[..., every::every] = 0.0
    sizes[..., 0] += sizes.sum(axis=-1) == 0
    return sizes


def priority_rows(styles: tuple[str, ...] = ROUGH) -> st.SearchStrategy[Floats]:
    """Rows [..., N] with a positive sum, zeros among them."""
    return st.builds(weighable, rows(styles=styles), st.sampled_from([9, 2, 3]))


class Sampled(NamedTuple):
    """Probabilities of a batch, the size of the memory, and the knobs of the weights."""

    probability: Floats
    size: int
    exponent: float
    normalizer: str | None
    minimum_probability: float | None


@st.composite
def batches_of_samples(draw: Draw, *, styles: tuple[str, ...] = ROUGH) -> Sampled:
    """Probabilities from 2^-10 to 1; the smallest of the memory is the batch's, a half, or a 64th; given unneeded, too."""
    rough = draw(rows(styles=styles))
    probability = np.minimum(np.abs(rough) % 1.0 + 2.0**-10, 1.0)
    normalizer = draw(st.sampled_from(["batch", None, "batch", None, "memory"]))
    least = float(probability.min()) * draw(st.sampled_from([1.0, 0.5, 2.0**-6]))
    size = draw(st.sampled_from([1, 2, 5, 1, 1000, 10**6]))
    given = normalizer == "memory" or draw(st.booleans())
    return Sampled(probability, size, draw(EXPONENTS), normalizer, least if given else None)


def _weights_call(s: Sampled) -> Call:
    knobs = {
        key: value for key, value in s._asdict().items() if key != "probability" and (value is not None or key == "normalizer")
    }
    return Call((s.probability,), knobs)


@operator(
    "priority",
    inputs=st.builds(
        lambda e, a, o: Call((e,), {"exponent": a, "offset": o}), batches().flatmap(lambda s: values(s, ROUGH)), EXPONENTS, OFFSETS
    ),
    core=0,
)
def priority_bound(unit: float, td_error: Floats, *, exponent: float, offset: float) -> Floats:
    """A sum, and a power; 0 where the power is that of 0 or of an infinity."""
    base = np.abs(td_error) + offset
    counted = (base > 0) & np.isfinite(base)
    size = np.where(counted, np.where(counted, base, 1.0) ** exponent, 0.0)
    return power_error(unit, size, exponent, _logarithm(base))


@operator("sampling_probabilities", inputs=priority_rows().map(lambda p: Call((p,), {})))
def sampling_bound(unit: float, priority: Floats) -> Floats:
    """N - 1 sums and a division, by way of a reciprocal, or of shares of the largest priority: two more."""
    share = priority / priority.max(axis=-1, keepdims=True)
    return np.asarray(gamma(priority.shape[-1] + 4, unit) * share / share.sum(axis=-1, keepdims=True))


@operator("importance_weights", inputs=batches_of_samples().map(_weights_call))
def importance_bound(
    unit: float,
    probability: Floats,
    *,
    size: int,
    exponent: float,
    normalizer: str | None = "batch",
    minimum_probability: float | None = None,
) -> Floats:
    """Two powers and their quotient, or the power of a quotient; without a normaliser one power."""
    logarithm = math.log(size) - np.log(probability)
    if normalizer is None:
        return power_error(unit, (size * probability) ** -exponent, exponent, logarithm)
    least = probability.min(axis=-1, keepdims=True) if normalizer == "batch" else np.asarray(minimum_probability)
    both = logarithm + math.log(size) - np.log(least)
    weight = (least / probability) ** exponent
    return power_error(unit, weight, exponent, both) * 2 + 2 * unit * weight


# ---------------------------------------------------------------------------------------------------------- priorities
ERRORS = {"td_error": batches().flatmap(lambda s: values(s, STYLES)), "exponent": EXPONENTS, "offset": OFFSETS}


@claim("P1", source=f"{SCHAUL}, §3.3", operators=["priority"], given=ERRORS, oracle="priority_by_digits")
def a_priority_is_a_power_of_the_error(port: Trial, td_error: Floats, exponent: float, offset: float) -> None:
    """priority = (|delta| + offset)^exponent to 50 digits, where 0^0 = 1; an infinite error has infinite priority."""
    found, error = port("priority", td_error, exponent=exponent, offset=offset)
    port.equal(found, priority_by_digits(td_error, exponent=exponent, offset=offset), error)
    for infinite in (math.inf, -math.inf):
        wild = port.priority(np.asarray(infinite), exponent=exponent, offset=offset)
        port.equal(wild, math.inf if exponent else 1.0, 0.0, "an infinite error")


@claim("P1", source=f"{SCHAUL}, §3.3", operators=["priority"], given=ERRORS)
def priorities_grow_with_the_size_of_the_error(port: Trial, td_error: Floats, exponent: float, offset: float) -> None:
    """The sign of an error does not count; a larger |delta| never has the smaller priority; exponent 1 gives |delta| + offset."""
    flat = np.sort(np.abs(td_error.ravel()))
    found, error = port("priority", flat, exponent=exponent, offset=offset)
    mirrored, _ = port("priority", -flat, exponent=exponent, offset=offset)
    port.equal(mirrored, found, 2 * error, "the sign of the error")
    port.at_most(found[:-1], found[1:], error[:-1] + error[1:])
    plain, off = port("priority", td_error, exponent=1.0, offset=offset)
    port.equal(plain, np.abs(exact(td_error)) + exact(offset), off, "exponent 1")


@claim("P1", source=f"{SCHAUL}, §3.3 (alpha > 0)", operators=["priority"], share=0.04, every_dtype=True,
       given={"power": st.integers(150, 1074)})  # fmt: skip
def a_positive_exponent_is_never_taken_for_zero(port: Trial, power: int) -> None:
    """With exponent 2^-k, however small and though the type of the data may lack it, an error 0 has priority 0, an infinite one
    infinite priority, and an error of 1 has 1."""
    td_error = np.resize([0.0, math.inf, 1.0, -math.inf], 64)
    arguments, keywords = travelling(((td_error,), {"exponent": 2.0**-power, "offset": 0.0}), port.port.native)
    port.equal(widened(port.bare(Call(arguments, keywords))), np.abs(td_error), 0.0)


@claim(
    "P1",
    source=f"{SCHAUL}, §3.3 (alpha = 0 is the uniform case)",
    operators=["priority", "sampling_probabilities"],
    given={"td_error": rows(), "offset": OFFSETS},
)
def exponent_zero_samples_uniformly(port: Trial, td_error: Floats, offset: float) -> None:
    """With exponent 0 every priority is 1, that of an error 0 too, and every sampling probability 1/N."""
    weight, off = port("priority", td_error, exponent=0.0, offset=offset)
    port.equal(weight, np.ones(td_error.shape), off, "exponent 0")
    found, error = port("sampling_probabilities", np.ones(td_error.shape))
    port.equal(found, exact(np.ones(td_error.shape)) / td_error.shape[-1], error)


@claim("P1", source=f"{SCHAUL}, eq. 1", operators=["sampling_probabilities"], given={"priority": priority_rows()})
def sampling_probabilities_are_the_shares_of_the_row(port: Trial, priority: Floats) -> None:
    """P(i) = p_i / sum of the row's p, in fractions; they sum to 1, and a priority of 0 has probability 0."""
    found, error = port("sampling_probabilities", priority)
    total = np.asarray(exact(priority).sum(axis=-1), dtype=object)[..., None]
    port.equal(found, exact(priority) / total, error)
    port.equal(np.ones(priority.shape[:-1]), exact(found).sum(axis=-1), error.sum(axis=-1), "each row sums to 1")
    port.equal(np.where(priority == 0, found, 0.0), np.zeros(found.shape), 0.0, "priority 0")


@claim("P1", source=f"{SCHAUL}, eq. 1", operators=["sampling_probabilities"], given={"priority": priority_rows(STYLES)}, share=0.5)
def sampling_probabilities_ignore_the_scale_of_priorities(port: Trial, priority: Floats) -> None:
    """P(c p) = P(p) for powers of two c, up to priorities whose sum is beyond the largest float."""
    due, error = port("sampling_probabilities", priority)
    most = 1023 if port.dtype == "float64" else 127
    _, exponent = np.frexp(priority.max())
    for power in (3, -3, most + 1 - int(exponent)):
        found = port.sampling_probabilities(np.ldexp(priority, power))
        port.equal(found, due, 2 * error, f"times 2^{power}")


# ------------------------------------------------------------------------------------------------------------- weights
def _weights(port: Trial, s: Sampled, **knobs: Any) -> tuple[Floats, Floats]:
    call = _weights_call(s._replace(**knobs))
    return port("importance_weights", *call.arguments, **call.keywords)


@st.composite
def memories(draw: Draw) -> tuple[Floats, Floats]:
    """Probabilities [..., N] of a whole memory, all positive, and a number for each of its entries."""
    shape = (*draw(st.sampled_from(BATCHES)), draw(st.integers(1, 6)))
    return draw(distributions(shape, positive=True)), draw(values(shape))


@claim("P2", source=f"{SCHAUL}, §3.4 (beta = 1 fully compensates)", operators=["importance_weights"], given={"memory": memories()})
def full_importance_weights_undo_the_sampling(port: Trial, memory: tuple[Floats, Floats]) -> None:
    """With exponent 1 and no normaliser, the sum over the memory of P(i) w_i f_i is the mean of f, for every f."""
    probability, f = memory
    size = probability.shape[-1]
    found, error = port("importance_weights", probability, size=size, exponent=1.0, normalizer=None)
    mean = (exact(probability) * exact(found) * exact(f)).sum(axis=-1) - exact(f).sum(axis=-1) / size
    port.equal(np.zeros(probability.shape[:-1]), mean, (probability * np.abs(f) * error).sum(axis=-1))


GIVEN = {"s": batches_of_samples()}


@claim(
    "P2", source=f"{SCHAUL}, §3.4", operators=["importance_weights"], given=GIVEN, share=0.5, oracle="importance_weights_by_digits"
)
def importance_weights_are_powers_of_the_odds(port: Trial, s: Sampled) -> None:
    """w = (N P)^-exponent over the largest of its row ('batch'), over that of the rarest of the memory ('memory'), or as it is."""
    found, error = _weights(port, s)
    port.equal(found, importance_weights_by_digits(s.probability, **_weights_call(s).keywords), error)


@claim("P2", source=f"{SCHAUL}, §3.4 (for stability, 1/max w)", operators=["importance_weights"], given=GIVEN)
def normalisers_differ_by_a_constant_and_leave_no_weight_above_one(port: Trial, s: Sampled) -> None:
    """w_batch_i w_memory_j = w_batch_j w_memory_i in a row; both are at most 1, the batch's largest is 1; N does not count."""
    least = float(s.probability.min()) / 2
    batch, batch_error = _weights(port, s, normalizer="batch", minimum_probability=None)
    memory, memory_error = _weights(port, s, normalizer="memory", minimum_probability=least)
    for weight, error in ((batch, batch_error), (memory, memory_error)):
        port.at_most(weight, np.ones(weight.shape), error, "w <= 1")
    port.equal(batch.max(axis=-1), np.ones(batch.shape[:-1]), batch_error.max(axis=-1), "the batch's largest weight")
    crossed = exact(batch) * exact(memory[..., ::-1]) - exact(batch[..., ::-1]) * exact(memory)
    slack = (batch + batch_error) * memory_error[..., ::-1] + batch_error * memory[..., ::-1]
    port.equal(np.zeros(batch.shape), crossed, slack + slack[..., ::-1], "proportional")
    alone, alone_error = _weights(port, s, normalizer="batch", minimum_probability=None, size=1)
    port.equal(alone, batch, batch_error + alone_error, "N does not count where weights are normalised")


@claim("P2", source=f"{SCHAUL}, §3.4 (for stability, 1/max w)", operators=["importance_weights"], given=GIVEN, share=0.5)
def only_the_memorys_normaliser_reads_its_smallest_probability(port: Trial, s: Sampled) -> None:
    """Normalised over the batch, or not at all, the weights are the same whatever the smallest probability of the memory."""
    for normalizer in ("batch", None):
        due, error = _weights(port, s, normalizer=normalizer, minimum_probability=None)
        for part in (1.0, 0.5, 2.0**-6):
            least = float(s.probability.min()) * part
            found, off = _weights(port, s, normalizer=normalizer, minimum_probability=least)
            port.equal(found, due, error + off, f"normalizer {normalizer!r}, minimum_probability {least}")


@claim("P2", source=f"{SCHAUL}, §3.4", operators=["importance_weights"], given=GIVEN)
def rarer_samples_weigh_more_and_fair_ones_weigh_one(port: Trial, s: Sampled) -> None:
    """P(i) <= P(j) implies w_i >= w_j; exponent 0 gives 1; P = 1/N gives 1 at every exponent, normalised or not."""
    found, error = _weights(port, s)
    order = np.argsort(s.probability, axis=-1, kind="stable")
    ranked, off = np.take_along_axis(found, order, axis=-1), np.take_along_axis(error, order, axis=-1)
    port.at_most(ranked[..., 1:], ranked[..., :-1], off[..., 1:] + off[..., :-1], "rarer weighs more")
    flat, off = _weights(port, s, exponent=0.0)
    port.equal(flat, np.ones(flat.shape), off, "exponent 0")
    for size in (1, 2, 64):
        fair = s._replace(probability=np.full(s.probability.shape, 1.0 / size), minimum_probability=None)
        for normalizer, least in (("batch", None), ("memory", 1.0 / size), (None, None)):
            even, off = _weights(port, fair, size=size, normalizer=normalizer, minimum_probability=least)
            port.equal(even, np.ones(even.shape), off, f"P = 1/{size}")
