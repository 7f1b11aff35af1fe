"""Returns and advantages in fractions, for a discount that may differ from step to step.

A value behind a terminated step, and any other that the equation does not reach, is not read; infinities that are go through the
recursions as IEEE has them.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from properties._exact import Exact, along_last, exact_value, fraction

_Array = Any


class _Row(NamedTuple):
    """One trajectory."""

    reward: list[Any]
    terminated: list[bool]
    truncated: list[bool]
    next_value: list[Any]
    discount: list[Any]

    def last(self, start: int) -> int:
        """The last step of the segment in which `start` lies."""
        end = len(self.reward) - 1
        return next((t for t in range(start, end) if self.terminated[t] or self.truncated[t]), end)

    def bootstrapped(self, t: int) -> Any:
        """r + gamma (1 - terminated) V'."""
        return self.reward[t] + (0 if self.terminated[t] else self.discount[t] * self.next_value[t])

    def window(self, start: int, end: int) -> Any:
        """The rewards of steps start to end, discounted, and the value behind the end, where it did not terminate."""
        gain, weight = Fraction(0), Fraction(1)
        for t in range(start, end):
            gain, weight = gain + weight * self.reward[t], weight * self.discount[t]
        return gain + weight * self.bootstrapped(end)


def _per_row(one: Callable[[_Row], list[Any]], arrays: tuple[_Array, ...], discount: Any) -> Exact:
    """One list for each trajectory."""

    def of(reward: list[float], terminated: list[bool], truncated: list[bool], value: list[float], gamma: list[float]) -> list[Any]:
        numbers = ([fraction(x) for x in row] for row in (reward, value, gamma))
        exact_reward, exact_value_, exact_gamma = numbers
        return one(_Row(exact_reward, terminated, truncated, exact_value_, exact_gamma))

    return along_last(of, *arrays, np.broadcast_to(discount, np.shape(arrays[0])))


def _backwards(row: _Row, step: Callable[[int, Any], Any]) -> list[Any]:
    """What step(t, that of t + 1) makes of each step, from the last; None where the segment ends."""
    found: list[Any] = [None] * len(row.reward)
    for t in reversed(range(len(found))):
        found[t] = step(t, None if row.last(t) == t else found[t + 1])
    return found


@exact_value("discounted_returns")
def discounted_returns(reward: _Array, terminated: _Array, truncated: _Array, bootstrap_value: _Array, *, discount: Any) -> Exact:
    """Sutton & Barto 2018, eq. 3.9."""

    def one(row: _Row) -> list[Any]:
        def step(t: int, after: Any) -> Any:
            return row.bootstrapped(t) if after is None else row.reward[t] + row.discount[t] * after

        return _backwards(row, step)

    return _per_row(one, (reward, terminated, truncated, bootstrap_value), discount)


@exact_value("n_step_returns")
def n_step_returns(reward: _Array, terminated: _Array, truncated: _Array, next_value: _Array, *, n: int, discount: Any) -> Exact:
    """Sutton & Barto 2018, eq. 7.1: each window by itself."""

    def one(row: _Row) -> list[Any]:
        return [row.window(t, min(t + n - 1, row.last(t))) for t in range(len(row.reward))]

    return _per_row(one, (reward, terminated, truncated, next_value), discount)


def _trusting(trust: Any, row: _Row, start: int, end: int) -> Any:
    """The mixture of n-step returns from `start` that ends with the window to `end`, by its recursion."""
    gain = row.bootstrapped(end)
    for t in reversed(range(start, end)):
        gain = row.reward[t] + row.discount[t] * ((1 - trust) * row.next_value[t] + trust * gain)
    return gain


@exact_value("lambda_returns")
def lambda_returns(
    reward: _Array, terminated: _Array, truncated: _Array, next_value: _Array, *, lambda_: float, discount: Any
) -> Exact:
    """Sutton & Barto 2018, eq. 12.18."""

    def one(row: _Row) -> list[Any]:
        return [_trusting(fraction(lambda_), row, t, row.last(t)) for t in range(len(row.reward))]

    return _per_row(one, (reward, terminated, truncated, next_value), discount)


@exact_value("margin_returns")
def margin_returns(
    reward: _Array, terminated: _Array, truncated: _Array, next_value: _Array, *, lambda_: float, margin: int, discount: Any
) -> Exact:
    """Sutton & Barto 2018, eq. 12.9: n up to 1 + margin, the longest window with what is left."""

    def one(row: _Row) -> list[Any]:
        return [_trusting(fraction(lambda_), row, t, min(t + margin, row.last(t))) for t in range(len(row.reward))]

    return _per_row(one, (reward, terminated, truncated, next_value), discount)


@exact_value("gae")
def gae(
    reward: _Array, terminated: _Array, truncated: _Array, value: _Array, next_value: _Array, *, lambda_: float, discount: Any
) -> Exact:
    """Schulman et al. 2016, eq. 16: deltas that decay by gamma lambda, to the end of the segment."""
    trust = fraction(lambda_)

    def one(row: _Row, values: list[Any]) -> list[Any]:
        def step(t: int, after: Any) -> Any:
            delta = row.bootstrapped(t) - values[t]
            return delta if after is None else delta + row.discount[t] * trust * after

        return _backwards(row, step)

    def of(r: Any, ends: Any, cut: Any, v: Any, after: Any, gamma: Any) -> list[Any]:
        numbers = [[fraction(x) for x in each] for each in (r, after, gamma, v)]
        return one(_Row(numbers[0], ends, cut, numbers[1], numbers[2]), numbers[3])

    gammas = np.broadcast_to(discount, np.shape(reward))
    return along_last(of, reward, terminated, truncated, value, next_value, gammas)
