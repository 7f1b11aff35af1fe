"""Exact solutions of (I − discount·P) V = r, and policy iteration on top of them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from accelerated._models import Model

DENSE_STATES = 1024
"""Up to here a sparse model is solved as a dense [S, S] system; [S·A, S] is never made dense."""

ROUNDINGS = 4
"""A backup is off by about so many machine epsilons of |R| + discount·P |V|: what is closer counts as equal."""

STEPS = 200
"""Of BiCGSTAB before it restarts, and of plain backups where it fails."""

IMPROVEMENTS = 1000
"""Policy iteration needs about ten; rounding might make it go round in circles."""


def policy_value(model: Model, policy: Tensor, reward: Tensor) -> Tensor:
    """The value of a policy [S, A] that earns reward [S] a step."""
    if model.is_dense or reward.shape[0] <= DENSE_STATES:
        return _direct(_transition_of(model, policy), reward, model.discount)
    return _iterative(lambda value: model.discount * (policy * model.expected(value)).sum(-1), reward)


def optimum(model: Model) -> tuple[Tensor, Tensor]:
    """Policy iteration from the greedy policy of the rewards; an action changes only for more than rounding."""
    policy = model.reward.argmax(-1, keepdim=True)
    unit = ROUNDINGS * torch.finfo(model.reward.dtype).eps
    for _ in range(IMPROVEMENTS):
        taken = torch.zeros_like(model.reward).scatter_(-1, policy, 1.0)
        value = policy_value(model, taken, model.reward.gather(-1, policy).squeeze(-1))
        q = model.action_values(value)
        size = model.reward.abs() + model.discount * model.expected(value.abs())
        size = torch.where(size.isfinite(), size, 0.0)
        best = q.argmax(-1, keepdim=True)
        worse = q < q.gather(-1, best) - unit * (size + size.gather(-1, best))
        better = worse.gather(-1, policy)
        if not bool(better.any()):
            break
        policy = torch.where(better, best, policy)
    return value, worse.int().argmin(-1)


def _transition_of(model: Model, policy: Tensor) -> Tensor:
    """P under the policy, dense [S, S]; sums of products, because a batched matmul may round to TF32."""
    states, actions = policy.shape
    if model.is_dense:
        found = policy[:, :1] * model.transition[:, 0]
        for action in range(1, actions):
            found = found.addcmul(policy[:, action : action + 1], model.transition[:, action])
        return found
    entries = model.transition.values()
    rows = torch.arange(states * actions, device=policy.device)
    rows = rows.repeat_interleave(model.transition.crow_indices().diff())
    place = (rows // actions, model.transition.col_indices().long())
    found = policy.new_zeros(states, states)
    found.index_put_(place, policy.flatten()[rows] * entries, accumulate=True)
    return found


def _direct(transition: Tensor, reward: Tensor, discount: float) -> Tensor:
    """LU, and one step of refinement: then the residual is that of a single backup."""
    system = torch.eye(reward.shape[0], dtype=reward.dtype, device=reward.device) - discount * transition
    factors, pivots = torch.linalg.lu_factor(system)
    value: Tensor = torch.linalg.lu_solve(factors, pivots, reward[:, None])[:, 0]
    residual = reward + discount * (transition @ value) - value
    value += torch.linalg.lu_solve(factors, pivots, residual[:, None])[:, 0]
    return value


def _iterative(later: Callable[[Tensor], Tensor], reward: Tensor) -> Tensor:
    """V = r + later(V), corrected until the residual is rounding: then |error| <= |residual| / (1 − discount).

    A correction by BiCGSTAB that does not halve the residual gives way to plain backups, which always contract.
    """
    unit = ROUNDINGS * torch.finfo(reward.dtype).eps
    value, residual = torch.zeros_like(reward), reward
    while not _largest(residual) <= unit * _largest(value):
        found = value + _bicgstab(lambda x: x - later(x), residual)
        left = reward + later(found) - found
        if not _largest(left) <= _largest(residual) / 2:
            found = value
            for _ in range(STEPS):
                found = reward + later(found)
            left = reward + later(found) - found
        if not _largest(left) < _largest(residual):
            return found
        value, residual = found, left
    return value


def _largest(vector: Tensor) -> float:
    return float(vector.abs().max())


def _bicgstab(apply: Callable[[Tensor], Tensor], right: Tensor) -> Tensor:
    """van der Vorst 1992, unpreconditioned; whatever breaks down shows in the caller's residual."""
    found = torch.zeros_like(right)
    residual = shadow = direction = right
    product = shadow.dot(residual)
    enough = torch.finfo(right.dtype).eps * right.norm()
    for _ in range(STEPS):
        image = apply(direction)
        length = product / shadow.dot(image)
        half = residual - length * image
        turned = apply(half)
        weight = turned.dot(half) / turned.dot(turned).clamp(min=torch.finfo(right.dtype).tiny)
        found = found + length * direction + weight * half
        residual = half - weight * turned
        if not bool(residual.norm() > enough):
            break
        previous, product = product, shadow.dot(residual)
        direction = residual + (product / previous) * (length / weight) * (direction - weight * image)
    return found
