"""Prioritised replay: how urgent a transition is, how often it is drawn, and what corrects for that.

priority → sampling_probabilities → a draw → importance_weights. Beside them SumTree, which finds the drawn transition
in logarithmic time and is nothing but a search in prefix sums.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from reference._checks import (
    FloatArray,
    IntArray,
    integer,
    last_axis,
    non_negative,
    random_generator,
    real_array,
    refuse_where,
    scalar,
)
from reference._prefix_sums import SumTree

NORMALIZERS = ("batch", "memory", None)


def priority(td_error: ArrayLike, *, exponent: float, offset: float) -> FloatArray:
    """p = (|δ| + offset)^exponent, element by element.

    The sign of the error does not matter, and the offset keeps a transition of error 0 alive:

    >>> priority([-3.0, 0.0, 8.0], exponent=0.5, offset=1.0)
    array([2., 1., 3.])

    td_error  [...]   δ, in units of value, *not* multiplied by an importance weight; ±inf gives inf
    exponent  scalar  in [0, inf); 0 makes all priorities 1, of error 0 and of infinite error too
    offset    scalar  in [0, inf), in units of value
    returns   [...]   ≥ 0, in units of value^exponent; inf beyond the float range
    raises    ValueError if td_error has NaN or is not real; if exponent or offset is out of range
    source    Schaul et al. 2016, §3.3: p_i = |δ_i| + ε, and the numerator of eq. (1) (their α is our exponent)
    """
    size = np.abs(real_array("td_error", td_error))
    power = scalar("exponent", exponent, "[0, inf)")
    extra = scalar("offset", offset, "[0, inf)")
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        urgency = size + extra
        # The sum may leave the float range where its power does not: (x/2 + y/2)^e · 2^e.
        halves = (0.5 * size + 0.5 * extra) ** power * np.float64(2.0) ** power
        return np.where(np.isinf(urgency), halves, urgency**power)


def sampling_probabilities(priority: ArrayLike) -> FloatArray:
    """P(i) = p_i / Σ_k p_k over the last axis.

    Proportional to the priority, whose exponent is in it already; priority 0 is never drawn:

    >>> sampling_probabilities([3.0, 0.0, 1.0])
    array([0.75, 0.  , 0.25])

    priority  [..., N]  ≥ 0 and finite, in any unit: a common factor changes nothing, however large or small
    returns   [..., N]  probabilities; each row sums to 1
    raises    ValueError if a priority is negative, infinite, NaN or not real, or a row has no positive one
    source    Schaul et al. 2016, eq. (1)
    """
    mass = _scaled_mass(priority)
    total = np.array([math.fsum(row) for row in mass.reshape(-1, mass.shape[-1]).tolist()])
    return np.asarray(mass / total.reshape(mass.shape[:-1])[..., None])


def importance_weights(
    probability: ArrayLike,
    *,
    size: int,
    exponent: float,
    normalizer: str | None = "batch",
    minimum_probability: float | None = None,
) -> FloatArray:
    """w_i = (size · P(i))^−exponent, over the row's largest w, or over (size · min P)^−exponent, or as it is.

    What is drawn *more* often counts *less*; normalised weights only ever scale an update down:

    >>> importance_weights([0.5, 0.25], size=4, exponent=1.0)
    array([0.5, 1. ])
    >>> importance_weights([0.5, 0.25], size=4, exponent=1.0, normalizer="memory", minimum_probability=0.125)
    array([0.25, 0.5 ])
    >>> importance_weights([0.5, 0.25], size=40, exponent=1.0, normalizer=None)
    array([0.05, 0.1 ])

    probability          [..., B]        P(i) of the transitions drawn, in (0, 1]; rows need not sum to 1
    size                 integer >= 1    the number of transitions in the memory
    exponent             scalar          in [0, inf); 0 does not correct, 1 corrects in full
    normalizer           str or None     "batch": the row's largest weight is exactly 1; "memory": the whole memory's
                                         largest would be; None: unbiased with exponent 1, Σ_i P(i) w_i f_i = mean f
    minimum_probability  scalar or None  the smallest P in the memory, in (0, 1]; required with "memory", else ignored
    returns              [..., B]        without unit, in [0, 1] if normalised; without a normalizer inf beyond the range
    raises               ValueError if a probability is not in (0, 1], a row is empty, an argument is out of range,
                         minimum_probability is missing with "memory" or exceeds a probability
    source               Schaul et al. 2016, §3.4: w_i = (1/N · 1/P(i))^β, over max_j w_j (their β is our exponent)
    """
    p = real_array("probability", probability)
    last_axis("probability", p)
    refuse_where((p <= 0.0) | (p > 1.0), p, "probability", "must lie in (0, 1]")
    count = scalar("size", integer("size", size, 1), "[1, inf)")
    power = scalar("exponent", exponent, "[0, inf)")
    if normalizer is None:
        with np.errstate(over="ignore", under="ignore"):
            return np.asarray((count * p) ** -power)
    if not isinstance(normalizer, str) or normalizer not in NORMALIZERS:
        raise ValueError(f"normalizer must be one of {', '.join(map(repr, NORMALIZERS))}; got {normalizer!r}")
    rarest = p.min(axis=-1, keepdims=True) if normalizer == "batch" else _smallest(minimum_probability, p)
    # The size cancels: (size · P)^−e / (size · min P)^−e = (min P / P)^e, which neither overflows nor exceeds 1.
    return _ratio_power(rarest, p, power)


def sum_tree(capacity: int) -> SumTree:
    """total = Σ_i p_i and find(m) = min{i : p_0 + … + p_i > m}, under updates of single p_i.

    Index i answers for exactly p_i of the mass, from its prefix sum on: a mass *on* a boundary belongs to the right:

    >>> tree = sum_tree(3)
    >>> tree.update([0, 1, 2], [10.0, 5.0, 2.0])
    >>> tree.total, tree.find([0.0, 9.5, 10.0, 15.0])
    (17.0, array([0, 0, 1, 2]))

    capacity  integer >= 1  the number of indices, not necessarily a power of two; all priorities start at 0
    returns   SumTree       `update(index, priority)`, `total`, `find(mass)`, `len()`; see there, [n] or scalars
    raises    ValueError if capacity is not such an integer
    source    Schaul et al. 2016, §3.3 and Appendix B.2.1
    """
    return SumTree(capacity)


def sample_proportional(priority: ArrayLike, *, size: int, generator: np.random.Generator, stratified: bool = False) -> IntArray:
    """i_1, …, i_size ~ P(i) = p_i / Σ_k p_k, independently, or the k-th of them from the k-th of `size` equal shares.

    Larger priorities come up more often, with replacement. Stratified draws have the same mean frequencies and spread
    less, and come in increasing order: of two equal priorities, two stratified draws take one each:

    >>> sample_proportional([0.0, 2.0, 0.0], size=3, generator=np.random.default_rng(0))
    array([1, 1, 1])
    >>> sample_proportional([2.0, 2.0], size=2, generator=np.random.default_rng(0), stratified=True)
    array([0, 1])

    priority    [N]           ≥ 0 and finite, in any unit
    size        integer >= 1  the number of draws
    generator   Generator     advanced by `size` uniform numbers
    stratified  bool          whether the k-th draw is uniform in the k-th share of the total mass
    returns     [size]        int64 in [0, N); priority 0 is never drawn
    raises      ValueError as sampling_probabilities; if there is more than one axis; if size, generator or stratified is
                none of these
    source      Schaul et al. 2016, eq. (1) and Appendix B.2.1 (stratified)
    """
    mass = _scaled_mass(priority)
    if mass.ndim != 1:
        raise ValueError(f"priority must be [N]; got shape {mass.shape}")
    draws = integer("size", size, 1)
    if not isinstance(stratified, (bool, np.bool_)):
        raise ValueError(f"stratified must be a bool; got {stratified!r}")
    uniform = random_generator(generator).random(draws)
    prefix = np.cumsum(mass)
    if stratified:
        share = np.arange(draws)
        # k + u may round up to k + 1, which is the next share.
        uniform = np.minimum(share + uniform, np.nextafter(share + 1.0, 0.0)) / draws
    below = np.minimum(uniform * prefix[-1], np.nextafter(prefix[-1], 0.0))
    return np.asarray(np.searchsorted(prefix, below, side="right"), dtype=np.int64)


def _scaled_mass(priority: ArrayLike) -> FloatArray:
    """The priorities, checked, times a power of two for each row that puts the largest into [½, 1): no sum overflows."""
    p = non_negative("priority", priority)
    last_axis("priority", p)
    largest = p.max(axis=-1)
    refuse_where(largest == 0.0, largest, "priority", "must have a positive sum along the last axis")
    return np.asarray(np.ldexp(p, -np.frexp(largest)[1][..., None]))


def _smallest(minimum_probability: float | None, p: FloatArray) -> FloatArray:
    """The memory's smallest probability, checked against those drawn."""
    if minimum_probability is None:
        raise ValueError("minimum_probability must be given with normalizer 'memory'; got None")
    smallest = scalar("minimum_probability", minimum_probability, "(0, 1]")
    refuse_where(p < smallest, p, "probability", f"must be at least minimum_probability = {smallest}")
    return np.asarray(smallest)


def _ratio_power(small: FloatArray, large: FloatArray, power: float) -> FloatArray:
    """(small / large)^power for 0 < small ≤ large ≤ 1; a subnormal quotient has few bits, so it is taken 2^540 higher."""
    with np.errstate(under="ignore"):
        ratio = small / large
        tiny = ratio < 2.0**-1000
        lifted = np.where(tiny, np.ldexp(small, 540) / large, 1.0)
        return np.where(tiny, lifted**power * 2.0 ** (-540.0 * power), ratio**power)
