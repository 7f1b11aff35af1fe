"""Multi-step returns and advantages over time: the last axis is T consecutive steps, computed from the end backwards.

A step is *cut* where `terminated | truncated`, and nothing is read across a cut; the last index is an end, as if
truncated. `terminated` alone forbids the bootstrap. `next_value[t]` is the value of the true successor of step t: the
final observation's, never that of the state after a reset. A terminated step selects its reward, so that its next value
may be infinite; elsewhere ±inf follows IEEE: a weight of 0 (discount, λ or 1 − λ) times an infinite value is nan.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from reference._checks import (
    BoolArray,
    FloatArray,
    flags,
    integer,
    last_axis,
    like_reward,
    real_array,
    same_shape,
    scalar,
    step_discount,
)


def discounted_returns(
    reward: ArrayLike, terminated: ArrayLike, truncated: ArrayLike, bootstrap_value: ArrayLike, *, discount: ArrayLike
) -> FloatArray:
    """G_t = r_t if terminated, r_t + γ · bootstrap_value_t if truncated or last, else r_t + γ · G_{t+1}.

    The future is discounted once per step, and a truncated or unfinished episode is completed by its bootstrap value:

    >>> no, end = [False, False], [False, True]
    >>> discounted_returns([1.0, 1.0], end, no, [7.0, 8.0], discount=0.5)
    array([1.5, 1. ])
    >>> discounted_returns([1.0, 1.0], no, end, [7.0, 8.0], discount=0.5)
    array([3.5, 5. ])

    reward           [..., T]            in units of reward
    terminated       [..., T]            boolean
    truncated        [..., T]            boolean
    bootstrap_value  [..., T]            V of the true successor, in units of value; read only where the episode is
                                         truncated (and not terminated), or at the last index if not terminated
    discount         scalar or [..., T]  γ in [0, 1]
    returns          [..., T]            in units of value
    raises           ValueError if shapes differ, T is 0, data has NaN or is not real, a flag is not boolean, or γ is
                     outside [0, 1]
    source           Sutton & Barto 2018, eqs. (3.8), (3.9)
    """
    path = _path(reward, terminated, truncated, discount)
    stopped = path.one_step(like_reward("bootstrap_value", bootstrap_value, path.reward))
    result = stopped.copy()
    with np.errstate(over="ignore", invalid="ignore"):
        for t in reversed(range(result.shape[-1] - 1)):
            onward = path.reward[..., t] + path.discount[..., t] * result[..., t + 1]
            result[..., t] = np.where(path.cut[..., t], stopped[..., t], onward)
    return result


def n_step_returns(
    reward: ArrayLike,
    terminated: ArrayLike,
    truncated: ArrayLike,
    next_value: ArrayLike,
    *,
    n: int,
    discount: ArrayLike,
) -> FloatArray:
    """G_t = Σ_{i<k} γ^i r_{t+i} + γ^k · (1 − terminated_{t+k−1}) · V'_{t+k−1}, k = n or fewer up to the cut or the end.

    A window that is cut short discounts its bootstrap by its *own* length:

    >>> no = [False, False, False]
    >>> n_step_returns([1.0, 1.0, 1.0], no, no, [8.0, 8.0, 8.0], n=2, discount=0.5)
    array([3.5, 3.5, 5. ])
    >>> n_step_returns([1.0, 1.0, 1.0], [False, True, False], no, [8.0, 8.0, 8.0], n=2, discount=0.5)
    array([1.5, 1. , 5. ])

    reward      [..., T]            in units of reward
    terminated  [..., T]            boolean
    truncated   [..., T]            boolean
    next_value  [..., T]            V' = V of the true successor of each step, in units of value
    n           integer ≥ 1         steps; n ≥ T gives discounted_returns
    discount    scalar or [..., T]  γ in [0, 1]; per step, γ^k is the product over the window
    returns     [..., T]            in units of value
    raises      ValueError as discounted_returns, and if n is not an integer ≥ 1
    source      Sutton & Barto 2018, eq. (7.1)
    """
    path = _path(reward, terminated, truncated, discount)
    one_step = path.one_step(like_reward("next_value", next_value, path.reward))
    window = integer("n", n, 1)
    result = one_step
    with np.errstate(over="ignore", invalid="ignore"):
        # The k-step return is r + γ · the (k − 1)-step return of the next step; beyond T − 1 windows nothing changes.
        for _ in range(min(window, one_step.shape[-1]) - 1):
            result = np.where(path.cut, one_step, path.reward + path.discount * _of_next_step(result))
    return result


def lambda_returns(
    reward: ArrayLike,
    terminated: ArrayLike,
    truncated: ArrayLike,
    next_value: ArrayLike,
    *,
    lambda_: float,
    discount: ArrayLike,
) -> FloatArray:
    """G_t = r_t + γ · [(1 − λ) · V'_t + λ · G_{t+1}], at a cut or the end G_t = r_t + γ · (1 − terminated_t) · V'_t.

    λ = 0 trusts the next value at once, λ = 1 only where the episode is cut:

    >>> no = [False, False]
    >>> [lambda_returns([1.0, 1.0], no, no, [8.0, 4.0], lambda_=x, discount=0.5).tolist() for x in (0.0, 0.5, 1.0)]
    [[5.0, 3.0], [3.75, 3.0], [2.5, 3.0]]

    reward      [..., T]            in units of reward
    terminated  [..., T]            boolean
    truncated   [..., T]            boolean
    next_value  [..., T]            V' = V of the true successor of each step, in units of value
    lambda_     scalar              λ in [0, 1]
    discount    scalar or [..., T]  γ in [0, 1]
    returns     [..., T]            in units of value
    raises      ValueError as discounted_returns, and if λ is outside [0, 1]
    source      Sutton & Barto 2018, eqs. (12.3), (12.18)
    """
    path = _path(reward, terminated, truncated, discount)
    following = like_reward("next_value", next_value, path.reward)
    trace = scalar("lambda_", lambda_, "[0, 1]")
    one_step = path.one_step(following)
    result = one_step.copy()
    with np.errstate(over="ignore", invalid="ignore"):
        for t in reversed(range(result.shape[-1] - 1)):
            mixed = (1.0 - trace) * following[..., t] + trace * result[..., t + 1]
            onward = path.reward[..., t] + path.discount[..., t] * mixed
            result[..., t] = np.where(path.cut[..., t], one_step[..., t], onward)
    return result


def gae(
    reward: ArrayLike,
    terminated: ArrayLike,
    truncated: ArrayLike,
    value: ArrayLike,
    next_value: ArrayLike,
    *,
    lambda_: float,
    discount: ArrayLike,
) -> FloatArray:
    """A_t = δ_t + γ λ (1 − cut_t) · A_{t+1}, δ_t = r_t + γ · (1 − terminated_t) · V'_t − V_t.

    Positive where the rewards were better than the value said; truncation cuts the sum but keeps its own bootstrap:

    >>> no, cut = [False, False], [True, False]
    >>> gae([1.0, 1.0], no, no, [2.0, 2.0], [2.0, 4.0], lambda_=1.0, discount=0.5)
    array([0.5, 1. ])
    >>> gae([1.0, 1.0], no, cut, [2.0, 2.0], [6.0, 4.0], lambda_=1.0, discount=0.5)
    array([2., 1.])

    reward      [..., T]            in units of reward
    terminated  [..., T]            boolean: cuts the bootstrap and the recursion
    truncated   [..., T]            boolean: cuts the recursion only
    value       [..., T]            V of the state in which step t begins, in units of value
    next_value  [..., T]            V' = V of the true successor of each step, in units of value
    lambda_     scalar              λ in [0, 1]
    discount    scalar or [..., T]  γ in [0, 1]
    returns     [..., T]            in units of value; adding value gives lambda_returns
    raises      ValueError as discounted_returns, and if λ is outside [0, 1]
    source      Schulman et al. 2016, eq. (16)
    """
    path = _path(reward, terminated, truncated, discount)
    current = like_reward("value", value, path.reward)
    following = like_reward("next_value", next_value, path.reward)
    trace = scalar("lambda_", lambda_, "[0, 1]")
    with np.errstate(over="ignore", invalid="ignore"):
        error = path.one_step(following) - current
        result = error.copy()
        for t in reversed(range(result.shape[-1] - 1)):
            onward = error[..., t] + path.discount[..., t] * trace * result[..., t + 1]
            result[..., t] = np.where(path.cut[..., t], error[..., t], onward)
    return result


def margin_returns(
    reward: ArrayLike,
    terminated: ArrayLike,
    truncated: ArrayLike,
    next_value: ArrayLike,
    *,
    lambda_: float,
    margin: int,
    discount: ArrayLike,
) -> FloatArray:
    """Σ_{n<N} (1 − λ) λ^{n−1} G^(n) + λ^{N−1} G^(N), G^(n) the n-step return, N = 1 + margin or up to the cut or end.

    QWR's TD(λ), truncated after 1 + margin steps; margin 0 is the one-step target, and the longest window takes all the
    weight that is left:

    >>> no = [False, False, False]
    >>> r, v = [1.0, 1.0, 1.0], [8.0, 4.0, 2.0]
    >>> [float(margin_returns(r, no, no, v, lambda_=0.5, margin=m, discount=0.5)[0]) for m in (0, 1, 2, 9)]
    [5.0, 3.75, 3.625, 3.625]

    reward      [..., T]            in units of reward
    terminated  [..., T]            boolean
    truncated   [..., T]            boolean
    next_value  [..., T]            V' = V of the true successor of each step, in units of value
    lambda_     scalar              λ in [0, 1]
    margin      integer ≥ 0         steps beyond the first; margin ≥ T − 1 gives lambda_returns
    discount    scalar or [..., T]  γ in [0, 1]
    returns     [..., T]            in units of value
    raises      ValueError as discounted_returns, if λ is outside [0, 1], or if margin is not an integer ≥ 0
    source      Kozakowski et al. 2021, "margin" of the multi-step targets; Sutton & Barto 2018, eq. (12.9) with its
                horizon h = t + 1 + margin
    """
    path = _path(reward, terminated, truncated, discount)
    following = like_reward("next_value", next_value, path.reward)
    trace = scalar("lambda_", lambda_, "[0, 1]")
    steps = integer("margin", margin, 0)
    one_step = path.one_step(following)
    result = one_step
    with np.errstate(over="ignore", invalid="ignore"):
        # Taking r + γ · [...] out of the sum leaves the same sum, one step shorter, for the next step.
        for _ in range(min(steps, one_step.shape[-1] - 1)):
            mixed = (1.0 - trace) * following + trace * _of_next_step(result)
            result = np.where(path.cut, one_step, path.reward + path.discount * mixed)
    return result


class _Path(NamedTuple):
    """Checked steps of one shape [..., T]; `cut` also holds at the last index."""

    reward: FloatArray
    terminated: BoolArray
    cut: BoolArray
    discount: FloatArray

    def one_step(self, next_value: FloatArray) -> FloatArray:
        """r + γ · (1 − terminated) · V', selected."""
        with np.errstate(over="ignore", invalid="ignore"):
            return np.where(self.terminated, self.reward, self.reward + self.discount * next_value)


def _path(reward: ArrayLike, terminated: ArrayLike, truncated: ArrayLike, discount: ArrayLike) -> _Path:
    """Check what all returns share, and mark the cuts and the end."""
    r = real_array("reward", reward)
    last_axis("reward", r)
    ended, interrupted = flags("terminated", terminated), flags("truncated", truncated)
    same_shape("terminated", ended, "reward", r.shape)
    same_shape("truncated", interrupted, "reward", r.shape)
    cut = ended | interrupted
    cut[..., -1] = True
    return _Path(r, ended, cut, step_discount(discount, r.shape))


def _of_next_step(x: FloatArray) -> FloatArray:
    """x_{t+1} at t; what wraps round to the last index is never read, for the last step is a cut."""
    return np.roll(x, -1, axis=-1)
