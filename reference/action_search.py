"""Looking for the best continuous action: the cross-entropy method and projected gradient ascent inside an action box."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from reference._checks import (
    FloatArray,
    IntArray,
    finite_array,
    function,
    integer,
    last_axis,
    random_generator,
    real_array,
    refuse_where,
    returned_array,
    same_shape,
    scalar,
)
from reference._exact_sums import integers, quotient
from reference.gaussians import _half_width


class Refit(NamedTuple):
    """The Gaussian fitted to the elites."""

    mean: FloatArray
    std: FloatArray


class Found(NamedTuple):
    """The best action sampled, and its value."""

    action: FloatArray
    value: FloatArray


class Ascent(NamedTuple):
    """Where the ascent stopped, the value there, and the steps taken."""

    action: FloatArray
    value: FloatArray
    iterations: IntArray


def cem_refit(actions: ArrayLike, scores: ArrayLike, *, elites: int) -> Refit:
    """Mean and √((1/k) Σ (a − mean)²) of the k = elites actions of highest score, for each dimension.

    The *highest* scores are kept, of equal ones the first; the deviation divides by k, not k − 1:

    >>> cem_refit([[0.0], [4.0], [2.0], [9.0]], [1.0, 3.0, 3.0, 0.0], elites=2)
    Refit(mean=array([3.]), std=array([1.]))

    actions  [..., n, D]  finite, in units of action
    scores   [..., n]     the higher the better; ±inf allowed
    elites   integer      k in [1, n]
    returns  mean, std [..., D], in units of action; each but one rounding from exact, so equal elites have std 0
    raises   ValueError if shapes do not fit, n or D is 0, actions has NaN or inf, scores has NaN, or elites is out of range
    source   Rubinstein & Kroese 2004, ch. 5; Kalashnikov et al. 2018 (QT-Opt)
    """
    a, score = finite_array("actions", actions), real_array("scores", scores)
    if a.ndim < 2 or 0 in a.shape[-2:]:
        raise ValueError(f"actions must be [..., n, D] with at least one action and one dimension; got shape {a.shape}")
    same_shape("scores", score, "one score per action", a.shape[:-1])
    kept = integer("elites", elites, 1)
    if kept > a.shape[-2]:
        raise ValueError(f"elites must lie in [1, {a.shape[-2]}]; got {elites}")
    order = np.argsort(-score, axis=-1, kind="stable")[..., :kept, None]
    return _moments(np.moveaxis(np.take_along_axis(a, order, axis=-2), -2, -1))


def cross_entropy_search(
    q_fn: Callable[[FloatArray], ArrayLike],
    low: ArrayLike,
    high: ArrayLike,
    *,
    iterations: int,
    population: int,
    elites: int,
    generator: np.random.Generator,
) -> Found:
    """argmax q over all actions sampled from N(mean, std²), clipped to the box, mean and std refitted to the elites.

    Starts from the centre of the box with half its width as std, afresh at every call, and *maximises*; the best action
    ever sampled comes back, not the last mean:

    >>> best = cross_entropy_search(
    ...     lambda a: -((a[..., 0] - 0.25) ** 2), [-1.0], [1.0],
    ...     iterations=20, population=50, elites=5, generator=np.random.default_rng(0))
    >>> bool(abs(best.action[0] - 0.25) < 1e-6), bool(best.value == -((best.action[0] - 0.25) ** 2))
    (True, True)

    q_fn        function   actions [..., n, D] → their values [..., n], ±inf allowed
    low, high   [..., D]   the action box of each state, finite, low < high, in units of action
    iterations  integer    ≥ 1, refits
    population  integer    n ≥ 1, actions sampled in each iteration
    elites      integer    in [1, population]
    generator   Generator  advanced by iterations · population draws for each dimension of each state
    returns     action [..., D] inside the box, value [...] in units of value
    raises      ValueError if a shape, a number or the generator is not as above, or q_fn answers another shape or NaN
    source      Rubinstein & Kroese 2004, ch. 5; Kalashnikov et al. 2018 (QT-Opt)
    """
    function("q_fn", q_fn)
    floor, ceiling = _boxes(low, high)
    rounds, count = integer("iterations", iterations, 1), integer("population", population, 1)
    if integer("elites", elites, 1) > count:
        raise ValueError(f"elites must lie in [1, {count}]; got {elites}")
    source = random_generator(generator)
    mean, std = 0.5 * floor + 0.5 * ceiling, _half_width(floor, ceiling)
    best, value = mean, np.full(mean.shape[:-1], -math.inf)
    for k in range(rounds):
        noise = source.standard_normal((*mean.shape[:-1], count, mean.shape[-1]))
        with np.errstate(over="ignore"):
            drawn = mean[..., None, :] + std[..., None, :] * noise
        actions = np.clip(drawn, floor[..., None, :], ceiling[..., None, :])
        scores = returned_array("q_fn", q_fn(actions.copy()), "one value per action", actions.shape[:-1])
        top = scores.argmax(axis=-1)[..., None]
        top_score = np.take_along_axis(scores, top, axis=-1)[..., 0]
        better = (top_score > value) | (k == 0)
        best = np.where(better[..., None], np.take_along_axis(actions, top[..., None], axis=-2)[..., 0, :], best)
        value = np.where(better, top_score, value)
        mean, std = cem_refit(actions, scores, elites=elites)
    return Found(best, value)


def gradient_search(
    q_and_gradient: Callable[[FloatArray], tuple[ArrayLike, ArrayLike]],
    start: ArrayLike,
    low: ArrayLike,
    high: ArrayLike,
    *,
    step_size: float,
    tolerance: float,
    max_iterations: int,
) -> Ascent:
    """a ← clip(a + step_size · ∇_a q(a), low, high), until the step, divided by step_size, is within the tolerance.

    Uphill, and to whichever local maximum is uphill from the start; at a wall it stops although the gradient goes on:

    >>> def q_and_gradient(a):
    ...     return 4.0 * a[..., 0] - a[..., 0] ** 2, 4.0 - 2.0 * a
    >>> gradient_search(q_and_gradient, [0.0], [-1.0], [1.0], step_size=0.25, tolerance=1e-9, max_iterations=100)
    Ascent(action=array([1.]), value=array(3.), iterations=array(1))

    q_and_gradient  function  a [..., D] → (q [...], ∇_a q [..., D])
    start           [..., D]  finite, clipped into the box first, in units of action
    low, high       [..., D]  the action box of each state, finite, low < high
    step_size       scalar    in (0, inf), in units of action² per unit of value; ≤ 1/L never descends
    tolerance       scalar    in [0, inf), of the projected gradient max_d |a' − a| / step_size
    max_iterations  integer   ≥ 1
    returns         action [..., D]; value [...], q there; iterations [...], the steps each row took. A row stops, and
                    stays, at the first action whose next step would be within the tolerance; it does not take that step
    raises          ValueError if a shape or a number is not as above, or q_and_gradient answers anything else, or NaN
    source          Bertsekas 2016, §3.3 (gradient projection)
    """
    function("q_and_gradient", q_and_gradient)
    begin = finite_array("start", start)
    last_axis("start", begin)
    floor, ceiling = _boxes(low, high)
    same_shape("low", floor, "start", begin.shape)
    rate, bound = scalar("step_size", step_size, "(0, inf)"), scalar("tolerance", tolerance, "[0, inf)")
    limit = integer("max_iterations", max_iterations, 1)
    action = np.clip(begin, floor, ceiling)
    taken = np.zeros(action.shape[:-1], dtype=np.int64)
    moving = np.ones(taken.shape, dtype=np.bool_)
    value, gradient = _climbed(q_and_gradient, action)
    for _ in range(limit):
        with np.errstate(over="ignore"):
            proposal = np.clip(action + rate * gradient, floor, ceiling)
            moving = moving & (np.abs(proposal - action).max(axis=-1) > bound * rate)
        if not moving.any():
            break
        action, taken = np.where(moving[..., None], proposal, action), taken + moving
        value, gradient = _climbed(q_and_gradient, action)
    return Ascent(action, value, np.asarray(taken))


def _boxes(low: ArrayLike, high: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """One bounded action box for each state."""
    floor, ceiling = finite_array("low", low), finite_array("high", high)
    last_axis("low", floor)
    same_shape("high", ceiling, "low", floor.shape)
    refuse_where(floor >= ceiling, floor, "low", "must be less than high")
    return floor, ceiling


def _moments(x: FloatArray) -> Refit:
    """Mean and population deviation over the last axis."""
    rows = [_row_moments(row) for row in x.reshape(-1, x.shape[-1]).tolist()]
    both = np.array(rows, dtype=np.float64).reshape(*x.shape[:-1], 2)
    return Refit(mean=both[..., 0], std=both[..., 1])


def _row_moments(row: list[float]) -> tuple[float, float]:
    """Mean and population deviation of a row, in integers up to the last division."""
    x, unit = integers(row)
    n, total = len(x), sum(x)
    variance = n * sum(q * q for q in x) - total * total  # times (n · unit)²
    # 128 more bits make the integer square root good to 2⁻⁶⁴ of itself, well below the rounding of the quotient.
    return quotient(total, n * unit), quotient(math.isqrt(variance << 128), (n * unit) << 64)


def _climbed(
    q_and_gradient: Callable[[FloatArray], tuple[ArrayLike, ArrayLike]], action: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The value and its gradient at the actions, of which the function gets a copy."""
    answer = q_and_gradient(action.copy())
    if not isinstance(answer, (tuple, list)) or len(answer) != 2:
        raise ValueError(f"q_and_gradient must return a pair (q, gradient); got {type(answer).__name__}")
    value = returned_array("q_and_gradient", answer[0], "one value per state", action.shape[:-1])
    return value, returned_array("q_and_gradient", answer[1], "action", action.shape)
