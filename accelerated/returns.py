"""Returns and advantages: every operator is one backward linear recurrence, solved in blocks or by doubling windows."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from accelerated import _checks
from accelerated._recurrences import solve, solve_windows


class _Steps(NamedTuple):
    """A trajectory with time first, widened; `last` is r where terminated, else r + discount·next_value."""

    reward: Tensor
    discount: Tensor
    cut: Tensor
    next_value: Tensor
    last: Tensor


def discounted_returns(
    reward: Tensor, terminated: Tensor, truncated: Tensor, bootstrap_value: Tensor, *, discount: float | Tensor
) -> Tensor:
    """A blocked scan; the bootstrap is part of the last step of its segment, and no other is read."""
    steps = _steps(reward, terminated, truncated, discount, bootstrap_value=bootstrap_value)
    offset = torch.where(steps.cut, steps.last, steps.reward)
    return _time_last(solve(offset, steps.discount, steps.cut), reward)


def n_step_returns(
    reward: Tensor, terminated: Tensor, truncated: Tensor, next_value: Tensor, *, n: int, discount: float | Tensor
) -> Tensor:
    """All windows at once: n − 1 passes over the whole trajectory, or log₂ n joins where n is large."""
    length = _checks.integer("n", n, minimum=1)
    steps = _steps(reward, terminated, truncated, discount, next_value=next_value)
    offset = torch.where(steps.cut, steps.last, steps.reward)
    return _time_last(solve_windows(offset, steps.discount, steps.cut, steps.last, length=length), reward)


def lambda_returns(
    reward: Tensor,
    terminated: Tensor,
    truncated: Tensor,
    next_value: Tensor,
    *,
    lambda_: float,
    discount: float | Tensor,
) -> Tensor:
    """A blocked scan."""
    lam = _checks.scalar("lambda_", lambda_, "[0, 1]")
    steps = _steps(reward, terminated, truncated, discount, next_value=next_value)
    return _time_last(solve(_mixed(steps, lam), steps.discount * lam, steps.cut), reward)


def gae(
    reward: Tensor,
    terminated: Tensor,
    truncated: Tensor,
    value: Tensor,
    next_value: Tensor,
    *,
    lambda_: float,
    discount: float | Tensor,
) -> Tensor:
    """A blocked scan over the TD errors."""
    lam = _checks.scalar("lambda_", lambda_, "[0, 1]")
    _checks.reals(reward=reward, value=value)
    _checks.aligned(reward=reward, value=value)
    steps = _steps(reward, terminated, truncated, discount, next_value=next_value)
    error = steps.last - _time_first(value)
    return _time_last(solve(error, steps.discount * lam, steps.cut), reward)


def margin_returns(
    reward: Tensor,
    terminated: Tensor,
    truncated: Tensor,
    next_value: Tensor,
    *,
    lambda_: float,
    margin: int,
    discount: float | Tensor,
) -> Tensor:
    """The mixture telescopes to a λ-return whose last step bootstraps in full: windows as in n_step_returns."""
    lam = _checks.scalar("lambda_", lambda_, "[0, 1]")
    length = 1 + _checks.integer("margin", margin, minimum=0)
    steps = _steps(reward, terminated, truncated, discount, next_value=next_value)
    decay = steps.discount * lam
    return _time_last(solve_windows(_mixed(steps, lam), decay, steps.cut, steps.last, length=length), reward)


def _steps(reward: Tensor, terminated: Tensor, truncated: Tensor, discount: float | Tensor, **after: Tensor) -> _Steps:
    """Checks everything; `after` is the one tensor of values after the steps, by its name."""
    _checks.reals(reward=reward, **after)
    _checks.flags(terminated=terminated, truncated=truncated)
    _checks.not_empty("reward", reward)
    _checks.aligned(reward=reward, terminated=terminated, truncated=truncated, **after)
    rate = _checks.discount(discount, reward)
    (next_value,) = after.values()
    wide, later, ended = _time_first(reward), _time_first(next_value), terminated.movedim(-1, 0)
    rates = _rates(rate, wide)
    cut = (ended | truncated.movedim(-1, 0)).contiguous()
    cut[-1] = True
    return _Steps(wide, rates, cut, later, torch.where(ended, wide, wide + rates * later))


def _rates(rate: float | Tensor, wide: Tensor) -> Tensor:
    """The discount per step, [T, ...]; a scalar keeps batch axes of length 1: powers are taken once for all rows."""
    if isinstance(rate, Tensor):
        return _time_first(rate)
    return wide.new_full((wide.shape[0],) + (1,) * (wide.ndim - 1), rate)


def _mixed(steps: _Steps, lam: float) -> Tensor:
    """The part of a λ-return's step that does not depend on the next return."""
    passing = steps.reward + steps.discount * ((1.0 - lam) * steps.next_value)
    return torch.where(steps.cut, steps.last, passing)


def _time_first(x: Tensor) -> Tensor:
    return _checks.widened(x.detach()).movedim(-1, 0).contiguous()


def _time_last(x: Tensor, like: Tensor) -> Tensor:
    return x.movedim(0, -1).to(like.dtype).contiguous()
