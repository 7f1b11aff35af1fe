"""Tabular backups and their fixed points on a dense or a sparse CSR model, without gradient."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from accelerated import _checks, expectiles
from accelerated._models import Model, model
from accelerated._multisets import expected_maximum, expected_over_draws
from accelerated._solvers import optimum, policy_value
from accelerated.aggregates import aggregated, soft_maximum

MOST_OUTCOMES = 2_000_000
"""What sampled_backup agrees to enumerate, in sequences of actions a state."""


class Optimum(NamedTuple):
    value: Tensor
    policy: Tensor


class ValueIteration(NamedTuple):
    value: Tensor
    iterations: int
    error_bound: float


class QValueIteration(NamedTuple):
    q: Tensor
    iterations: int
    error_bound: float


@torch.no_grad()
def action_values(value: Tensor, transition: Tensor, reward: Tensor, *, discount: float) -> Tensor:
    """One matrix-vector product for all actions."""
    mdp = model(transition, reward, discount, value=value)
    return mdp.action_values(_checks.widened(value)).to(value.dtype)


@torch.no_grad()
def evaluation_backup(value: Tensor, policy: Tensor, transition: Tensor, reward: Tensor, *, discount: float) -> Tensor:
    """Weighs the action values instead of the model's rows; 0 · inf is nan."""
    mdp = model(transition, reward, discount, value=value, policy=policy)
    q = mdp.action_values(_checks.widened(value))
    return (_checks.widened(policy) * q).sum(-1).to(value.dtype)


@torch.no_grad()
def optimality_backup(value: Tensor, transition: Tensor, reward: Tensor, *, discount: float) -> Tensor:
    """The maximum is a reduction over the last axis."""
    mdp = model(transition, reward, discount, value=value)
    return mdp.action_values(_checks.widened(value)).amax(-1).to(value.dtype)


@torch.no_grad()
def q_evaluation_backup(q: Tensor, policy: Tensor, transition: Tensor, reward: Tensor, *, discount: float) -> Tensor:
    """The policy is averaged over before the product with P; 0 · inf is nan."""
    mdp = model(transition, reward, discount, q=q, policy=policy)
    value = (_checks.widened(policy) * _checks.widened(q)).sum(-1)
    return mdp.action_values(value).to(q.dtype)


@torch.no_grad()
def q_optimality_backup(q: Tensor, transition: Tensor, reward: Tensor, *, discount: float) -> Tensor:
    """The maximum is taken before the product with P."""
    mdp = model(transition, reward, discount, q=q)
    return mdp.action_values(_checks.widened(q).amax(-1)).to(q.dtype)


@torch.no_grad()
def soft_backup(value: Tensor, prior: Tensor, transition: Tensor, reward: Tensor, *, temperature: float, discount: float) -> Tensor:
    """Shifted by the maximum over the prior's support; actions outside it are not read."""
    t = _checks.scalar("temperature", temperature, "[0, inf]")
    mdp = model(transition, reward, discount, value=value, prior=prior)
    q = mdp.action_values(_checks.widened(value))
    return soft_maximum(q, _checks.widened(prior), t).to(value.dtype)


@torch.no_grad()
def expectile_backup(
    value: Tensor, behavior: Tensor, transition: Tensor, reward: Tensor, *, expectile: float, discount: float
) -> Tensor:
    """All states in one call of the sorting expectile."""
    level = _checks.scalar("expectile", expectile, "(0, 1)")
    mdp = model(transition, reward, discount, value=value, behavior=behavior)
    q = mdp.action_values(_checks.widened(value))
    return _expectile(q, _checks.widened(behavior), level).to(value.dtype)


@torch.no_grad()
def sarsa_expectile_backup(
    q: Tensor, behavior: Tensor, transition: Tensor, reward: Tensor, *, expectile: float, discount: float
) -> Tensor:
    """Rows of the joint distribution over (s', a') made of the successors alone, a chunk of rows at a time."""
    level = _checks.scalar("expectile", expectile, "(0, 1)")
    mdp = model(transition, reward, discount, q=q, behavior=behavior)
    following, chances = mdp.discount * _checks.widened(q), _checks.widened(behavior)
    rewards, found = mdp.reward.flatten()[:, None], list[Tensor]()
    for rows, states, probability in mdp.successors(q.shape[1]):
        weights = (probability[..., None] * chances[states]).flatten(1)
        found.append(_expectile(rewards[rows] + following[states].flatten(1), weights, level))
    return torch.cat(found).reshape(q.shape).to(q.dtype)


@torch.no_grad()
def sampled_backup(
    value: Tensor,
    behavior: Tensor,
    transition: Tensor,
    reward: Tensor,
    *,
    samples: int,
    aggregate: str,
    temperature: float | None = None,
    discount: float,
) -> Tensor:
    """`max` by order statistics, `mean` in closed form, `log_mean_exp` over multisets instead of sequences."""
    draws = _checks.integer("samples", samples, minimum=1)
    mdp = model(transition, reward, discount, value=value, behavior=behavior)
    draws = _drawable(draws, behavior.shape[1])
    q, chances = mdp.action_values(_checks.widened(value)), _checks.widened(behavior)
    if aggregate == "max":
        return expected_maximum(q, chances, draws).to(value.dtype)
    if aggregate == "mean":
        return soft_maximum(q, chances, torch.inf).to(value.dtype)
    of_draws = partial(aggregated, aggregate=aggregate, temperature=temperature)
    return expected_over_draws(q, chances, draws, of_draws).to(value.dtype)


@torch.no_grad()
def solve_policy(policy: Tensor, transition: Tensor, reward: Tensor, *, discount: float) -> Tensor:
    """LU with one refinement; a sparse model of many states by BiCGSTAB to a residual of rounding size, never dense."""
    mdp = model(transition, reward, discount, "[0, 1)", policy=policy)
    wide = _checks.widened(policy)
    return policy_value(mdp, wide, (wide * mdp.reward).sum(-1)).to(policy.dtype)


@torch.no_grad()
def solve_optimal(transition: Tensor, reward: Tensor, *, discount: float) -> Optimum:
    """Policy iteration; actions within the rounding of one backup count as ties, of which the first is returned."""
    value, policy = optimum(model(transition, reward, discount, "[0, 1)"))
    return Optimum(value.to(reward.dtype), policy)


@torch.no_grad()
def value_iteration(
    transition: Tensor, reward: Tensor, *, discount: float, tolerance: float, max_iterations: int
) -> ValueIteration:
    """All states at once; the model is checked once."""
    mdp = model(transition, reward, discount, "[0, 1)")
    start = mdp.reward.new_zeros(mdp.reward.shape[0])
    value, iterations, bound = _iterate(lambda value: mdp.action_values(value).amax(-1), start, mdp, tolerance, max_iterations)
    return ValueIteration(value.to(reward.dtype), iterations, bound)


@torch.no_grad()
def q_value_iteration(
    transition: Tensor, reward: Tensor, *, discount: float, tolerance: float, max_iterations: int
) -> QValueIteration:
    """All states and actions at once; the model is checked once."""
    mdp = model(transition, reward, discount, "[0, 1)")
    start = torch.zeros_like(mdp.reward)
    q, iterations, bound = _iterate(lambda q: mdp.action_values(q.amax(-1)), start, mdp, tolerance, max_iterations)
    return QValueIteration(q.to(reward.dtype), iterations, bound)


def _iterate(
    backup: Callable[[Tensor], Tensor], current: Tensor, mdp: Model, tolerance: float, max_iterations: int
) -> tuple[Tensor, int, float]:
    """One host synchronisation an iteration, for the stopping rule."""
    enough = _checks.scalar("tolerance", tolerance, "(0, inf)")
    most = _checks.integer("max_iterations", max_iterations, minimum=1)
    factor = mdp.discount / (1 - mdp.discount)
    iterations, bound = 0, torch.inf
    while iterations < most and not bound <= enough:
        previous, current = current, backup(current)
        bound = factor * float(torch.where(current == previous, 0.0, current - previous).abs().max())
        iterations += 1
    return current, iterations, bound


def _expectile(values: Tensor, weights: Tensor, level: float) -> Tensor:
    """What the backups make is not an argument of anybody's: no values are checked."""
    with _checks.check_values(False):
        return expectiles.expectile(values, weights, expectile=level)


def _drawable(samples: int, actions: int) -> int:
    """Any number of draws of a single action are one draw."""
    if actions == 1:
        return 1
    if actions ** min(samples, 64) > MOST_OUTCOMES:
        raise ValueError(f"samples must leave at most {MOST_OUTCOMES} outcomes (actions ** samples); got {actions} ** {samples}")
    return samples
