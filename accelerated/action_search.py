"""Maximising a critic over a box of actions: the cross-entropy method and projected gradient ascent."""

from collections.abc import Callable
from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor

from accelerated import _checks


class Refit(NamedTuple):
    mean: Tensor
    std: Tensor


class Found(NamedTuple):
    action: Tensor
    value: Tensor


class Ascent(NamedTuple):
    action: Tensor
    value: Tensor
    iterations: Tensor


@torch.no_grad()
def cem_refit(actions: Tensor, scores: Tensor, *, elites: int) -> Refit:
    """Mean and population std of the highest scores, of equal ones the first; [..., n, D], [..., n] -> [..., D] twice."""
    _checks.reals(actions=actions, scores=scores)
    if actions.ndim < 2 or 0 in actions.shape[-2:]:
        raise ValueError(f"actions must be [..., n, D] with at least one entry on both axes; got shape {tuple(actions.shape)}")
    if actions.shape[:-1] != scores.shape:
        both = f"{_checks.shown('actions', actions)}, {_checks.shown('scores', scores)}"
        raise ValueError(f"{both}; actions must be the shape of scores and one more axis")
    _checks.finite(actions=actions)
    elites = _elites(elites, scores.shape[-1])
    mean, std = _refit(_checks.widened(actions), scores, elites)
    return Refit(mean.to(actions.dtype), std.to(actions.dtype))


def cross_entropy_search(
    q_fn: Callable[[Tensor], Tensor],
    low: Tensor,
    high: Tensor,
    *,
    iterations: int,
    population: int,
    elites: int,
    generator: torch.Generator,
) -> Found:
    """The best action of all samples from N(mean, std), clipped to the box, and its value; [..., D] twice -> [..., D], [...]."""
    _checks.function("q_fn", q_fn)
    low, high = _box(low=low, high=high)
    iterations = _checks.integer("iterations", iterations, minimum=1)
    population = _checks.integer("population", population, minimum=1)
    elites = _elites(elites, population)
    source = _checks.generator(generator, "low", low)
    mean, std = low / 2 + high / 2, high / 2 - low / 2
    found: list[Found] = []
    for _ in range(iterations):
        actions = _draw(mean, std, population, source).clamp(low.unsqueeze(-2), high.unsqueeze(-2))
        scores = _checks.answer("q_fn", q_fn(actions.clone()), actions[..., 0], "actions[..., 0]")
        found.append(_first_best(actions, scores))
        mean, std = _refit(actions, scores, elites)
    return reduce(_better, found)


def gradient_search(
    q_and_gradient: Callable[[Tensor], tuple[Tensor, Tensor]],
    start: Tensor,
    low: Tensor,
    high: Tensor,
    *,
    step_size: float,
    tolerance: float,
    max_iterations: int,
) -> Ascent:
    """a ← clip(a + step_size·∇q); a row stays where that moves it by <= tolerance·step_size; [..., D] -> [..., D], [...]."""
    _checks.function("q_and_gradient", q_and_gradient)
    _checks.single_or_double(start=start, low=low)
    _checks.finite(start=start)
    _checks.aligned(start=start, low=low)
    low, high = _box(low=low, high=high)  # which holds high to low
    step_size = _checks.scalar("step_size", step_size, "(0, inf)")
    nearly = _checks.scalar("tolerance", tolerance, "[0, inf)") * step_size
    max_iterations = _checks.integer("max_iterations", max_iterations, minimum=1)
    action = start.detach().clamp(low, high)
    moving = torch.ones_like(action[..., 0], dtype=torch.bool)
    iterations = torch.zeros_like(moving, dtype=torch.int64)
    for _ in range(max_iterations):
        value, gradient = _evaluated(q_and_gradient, action)
        further = (action + step_size * gradient).clamp(low, high)
        moving = moving & ((further - action).abs().amax(-1) > nearly)
        if not bool(moving.any()):
            return Ascent(action, value, iterations)
        action = torch.where(moving.unsqueeze(-1), further, action)
        iterations = iterations + moving
    return Ascent(action, _evaluated(q_and_gradient, action)[0], iterations)


def _elites(elites: int, samples: int) -> int:
    elites = _checks.integer("elites", elites, minimum=1)
    if elites > samples:
        raise ValueError(f"elites must not exceed the number of samples, {samples}; got {elites}")
    return elites


def _box(*, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    _checks.single_or_double(low=low, high=high)
    _checks.not_empty("low", low)
    _checks.aligned(low=low, high=high)
    _checks.finite(low=low, high=high)
    if _checks.values_are_checked():
        _checks.each("low", low, low < high, "must be less than high")
    return low.detach(), high.detach()


def _refit(actions: Tensor, scores: Tensor, elites: int) -> tuple[Tensor, Tensor]:
    """Shifted by the best, so that equal elites have std 0; scaled, so that no square under- or overflows."""
    order = (scores + 0.0).sort(dim=-1, descending=True, stable=True).indices[..., :elites]  # + 0.0: -0.0 ties with 0.0
    elite = actions.gather(-2, order.unsqueeze(-1).expand(*order.shape, actions.shape[-1]))
    first = elite[..., :1, :]
    shifted = elite - first
    centre = shifted.mean(-2, keepdim=True)
    deviation = shifted - centre
    largest = deviation.abs().amax(-2, keepdim=True)
    scaled = torch.where(largest > 0, deviation / largest, 0.0)
    std = largest * scaled.square().mean(-2, keepdim=True).sqrt()
    return (first + centre).squeeze(-2), std.squeeze(-2)


def _draw(mean: Tensor, std: Tensor, population: int, source: torch.Generator) -> Tensor:
    shape = (*mean.shape[:-1], population, mean.shape[-1])
    noise = torch.randn(shape, generator=source, dtype=mean.dtype, device=mean.device)
    return mean.unsqueeze(-2) + std.unsqueeze(-2) * noise


def _first_best(actions: Tensor, scores: Tensor) -> Found:
    best = scores.argmax(-1, keepdim=True)
    action = actions.gather(-2, best.unsqueeze(-1).expand(*best.shape, actions.shape[-1])).squeeze(-2)
    return Found(action, scores.gather(-1, best).squeeze(-1))


def _better(old: Found, new: Found) -> Found:
    higher = new.value > old.value
    return Found(torch.where(higher.unsqueeze(-1), new.action, old.action), torch.where(higher, new.value, old.value))


def _evaluated(q_and_gradient: Callable[[Tensor], tuple[Tensor, Tensor]], action: Tensor) -> tuple[Tensor, Tensor]:
    found: object = q_and_gradient(action.clone())
    if not (isinstance(found, tuple | list) and len(found) == 2):
        raise ValueError(f"q_and_gradient must return (q, gradient); got {type(found).__name__}")
    value = _checks.answer("q_and_gradient", found[0], action[..., 0], "action[..., 0]")
    return value, _checks.answer("q_and_gradient", found[1], action, "action")
