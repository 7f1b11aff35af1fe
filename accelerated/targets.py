"""One-step targets: constants for the gradient, whatever their inputs carry."""

import torch
from torch import Tensor

from accelerated import _checks
from accelerated.aggregates import aggregated


def value_target(reward: Tensor, terminated: Tensor, next_value: Tensor, *, discount: float | Tensor) -> Tensor:
    """Selects instead of multiplying by (1 − terminated), as every target here."""
    _checks.reals(reward=reward, next_value=next_value)
    _checks.flags(terminated=terminated)
    _checks.aligned(reward=reward, terminated=terminated, next_value=next_value)
    return _one_step(reward, terminated, _checks.widened(next_value), discount)


def q_learning_target(reward: Tensor, terminated: Tensor, next_q: Tensor, *, discount: float | Tensor) -> Tensor:
    """The maximum is a reduction over the last axis."""
    _check_rows(reward, terminated, next_q=next_q)
    return _one_step(reward, terminated, _checks.widened(next_q).amax(-1), discount)


def sarsa_target(reward: Tensor, terminated: Tensor, next_q: Tensor, next_action: Tensor, *, discount: float | Tensor) -> Tensor:
    """The taken action is gathered."""
    _check_rows(reward, terminated, next_q=next_q)
    action = _checks.indices("next_action", next_action, next_q.shape[-1])
    _checks.aligned(reward=reward, next_action=next_action)
    return _one_step(reward, terminated, _picked(_checks.widened(next_q), action), discount)


def expected_sarsa_target(
    reward: Tensor, terminated: Tensor, next_q: Tensor, next_policy: Tensor, *, discount: float | Tensor
) -> Tensor:
    """A sum of products rather than a matmul, which may round to TF32; 0 · inf is nan."""
    _check_rows(reward, terminated, next_q=next_q, next_policy=next_policy)
    _checks.aligned(next_q=next_q, next_policy=next_policy)
    _checks.probabilities("next_policy", next_policy)
    expected = (_checks.widened(next_policy) * _checks.widened(next_q)).sum(-1)
    return _one_step(reward, terminated, expected, discount)


def double_q_target(
    reward: Tensor, terminated: Tensor, next_q_select: Tensor, next_q_evaluate: Tensor, *, discount: float | Tensor
) -> Tensor:
    """`argmax` promises the first maximiser."""
    _check_rows(reward, terminated, next_q_select=next_q_select, next_q_evaluate=next_q_evaluate)
    _checks.aligned(next_q_select=next_q_select, next_q_evaluate=next_q_evaluate)
    chosen = _picked(_checks.widened(next_q_evaluate), next_q_select.argmax(-1))
    return _one_step(reward, terminated, chosen, discount)


def clipped_double_target(
    reward: Tensor, terminated: Tensor, next_q1: Tensor, next_q2: Tensor, *, discount: float | Tensor
) -> Tensor:
    """The minimum is element by element."""
    _checks.reals(reward=reward, next_q1=next_q1, next_q2=next_q2)
    _checks.flags(terminated=terminated)
    _checks.aligned(reward=reward, terminated=terminated, next_q1=next_q1, next_q2=next_q2)
    smaller = torch.minimum(_checks.widened(next_q1), _checks.widened(next_q2))
    return _one_step(reward, terminated, smaller, discount)


def soft_target(
    reward: Tensor,
    terminated: Tensor,
    next_q1: Tensor,
    next_q2: Tensor,
    next_log_prob: Tensor,
    *,
    entropy_coefficient: float,
    discount: float | Tensor,
) -> Tensor:
    """The entropy bonus is inside the selection: a terminated step earns none."""
    data = {"reward": reward, "next_q1": next_q1, "next_q2": next_q2, "next_log_prob": next_log_prob}
    _checks.reals(**data)
    _checks.flags(terminated=terminated)
    _checks.aligned(**data, terminated=terminated)
    coefficient = _checks.scalar("entropy_coefficient", entropy_coefficient, "[0, inf)")
    smaller = torch.minimum(_checks.widened(next_q1), _checks.widened(next_q2))
    return _one_step(reward, terminated, smaller - coefficient * _checks.widened(next_log_prob), discount)


def sampled_target(
    reward: Tensor,
    terminated: Tensor,
    next_q: Tensor,
    *,
    aggregate: str,
    temperature: float | None = None,
    discount: float | Tensor,
) -> Tensor:
    """The aggregates are those of aggregates.py."""
    _check_rows(reward, terminated, next_q=next_q)
    value = aggregated(_checks.widened(next_q), aggregate=aggregate, temperature=temperature)
    return _one_step(reward, terminated, value, discount)


@torch.no_grad()
def smoothed_action(action: Tensor, noise: Tensor, *, noise_clip: float, low: float | Tensor, high: float | Tensor) -> Tensor:
    """`low` and `high` are scalars, or tensors [D] where the dimensions differ."""
    _checks.reals(action=action, noise=noise)
    _checks.not_empty("action", action)
    _checks.aligned(action=action, noise=noise)
    clip = _checks.scalar("noise_clip", noise_clip, "[0, inf]")
    smallest, largest = _bound("low", low, action), _bound("high", high, action)
    if _checks.values_are_checked() or not (isinstance(low, Tensor) or isinstance(high, Tensor)):
        ordered = smallest <= largest
        _checks.each("low", smallest.expand_as(ordered), ordered, "must not exceed high")
    moved = _checks.widened(action) + _checks.widened(noise).clamp(-clip, clip)
    return torch.minimum(torch.maximum(moved, smallest), largest).to(action.dtype)


def _check_rows(reward: Tensor, terminated: Tensor, **rows: Tensor) -> None:
    _checks.reals(reward=reward, **rows)
    _checks.flags(terminated=terminated)
    _checks.aligned(reward=reward, terminated=terminated)
    _checks.aligned_rows("reward", reward, **rows)


def _picked(next_q: Tensor, action: Tensor) -> Tensor:
    return next_q.gather(-1, action.unsqueeze(-1)).squeeze(-1)


def _one_step(reward: Tensor, terminated: Tensor, next_value: Tensor, discount: float | Tensor) -> Tensor:
    """`next_value` comes widened; the selection keeps a terminated step from reading it, be it infinite."""
    with torch.no_grad():
        now = _checks.widened(reward)
        later = now + _checks.discount(discount, reward) * next_value
        return torch.where(terminated, now, later).to(reward.dtype)


def _bound(name: str, bound: float | Tensor, action: Tensor) -> Tensor:
    if not isinstance(bound, Tensor):
        return _checks.widened(action).new_tensor(_checks.scalar(name, bound, "[-inf, inf]"))
    _checks.reals(action=action, **{name: bound})
    if bound.shape != action.shape[-1:]:
        raise ValueError(f"{_checks.shown(name, bound)}, {_checks.shown('action', action)}; {name} must be [D]")
    return _checks.widened(bound)
