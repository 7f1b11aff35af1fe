"""Objectives and losses of policies, differentiable in the policy, and the deterministic gradient from its Jacobians."""

import torch
from torch import Tensor

from accelerated import _checks


def reinforce_loss(log_prob: Tensor, advantage: Tensor) -> Tensor:
    """−log_prob · advantage, the advantage a constant; [...] twice -> [...]."""
    _checks.reals(log_prob=log_prob, advantage=advantage)
    _checks.aligned(log_prob=log_prob, advantage=advantage)
    return -advantage.detach() * log_prob


def clipped_surrogate(log_ratio: Tensor, advantage: Tensor, *, clip: float) -> Tensor:
    """min(ρA, clip(ρ, 1 − c, 1 + c)·A), ρ = exp(log_ratio), to be maximised; [...] twice -> [...]."""
    _checks.reals(log_ratio=log_ratio, advantage=advantage)
    _checks.aligned(log_ratio=log_ratio, advantage=advantage)
    clip = _checks.scalar("clip", clip, "(0, 1)")
    wide, gain = _checks.widened(log_ratio), _checks.widened(advantage).detach()
    ratio = wide.detach().exp()
    smaller = torch.where(gain > 0, ratio <= 1 + clip, ratio >= 1 - clip)
    # where ρ is not read it is 1, so that neither 0 · inf nor its derivative is a nan
    unclipped = torch.where(smaller & (gain != 0), wide, 0.0).exp() * gain
    clipped = torch.where(gain > 0, (1 + clip) * gain, (1 - clip) * gain)
    return torch.where(smaller, unclipped, clipped).to(log_ratio.dtype)


@torch.no_grad()
def deterministic_policy_gradient(action_gradient: Tensor, policy_jacobian: Tensor) -> Tensor:
    """(1/B) Σ Jᵀg, the direction of ascent; [B, D], [B, D, P] -> [P]."""
    data = {"action_gradient": action_gradient, "policy_jacobian": policy_jacobian}
    _checks.reals(**data)
    _checks.dimensions(data, "BD", "BDP")
    return (pulled_back(policy_jacobian, _checks.widened(action_gradient)) / len(policy_jacobian)).to(action_gradient.dtype)


@torch.no_grad()
def compatible_features(action: Tensor, mean: Tensor, policy_jacobian: Tensor) -> Tensor:
    """Jᵀ(action − mean), state by state; [B, D] twice, [B, D, P] -> [B, P]."""
    data = {"action": action, "mean": mean, "policy_jacobian": policy_jacobian}
    _checks.reals(**data)
    _checks.dimensions(data, "BD", "BD", "BDP")
    distance = _checks.widened(action) - _checks.widened(mean)
    # a sum of products: a batched matmul may round to TF32
    return (_checks.widened(policy_jacobian) * distance.unsqueeze(-1)).sum(1).to(action.dtype)


def soft_policy_loss(q1: Tensor, q2: Tensor, log_prob: Tensor, *, entropy_coefficient: float) -> Tensor:
    """α·log_prob − min(q1, q2), to be minimised; ties share the gradient evenly; [...] three times -> [...]."""
    data = {"q1": q1, "q2": q2, "log_prob": log_prob}
    _checks.reals(**data)
    _checks.aligned(**data)
    coefficient = _checks.scalar("entropy_coefficient", entropy_coefficient, "[0, inf)")
    smaller = torch.minimum(_checks.widened(q1), _checks.widened(q2))
    return (coefficient * _checks.widened(log_prob) - smaller).to(log_prob.dtype)


def temperature_loss(log_prob: Tensor, *, log_coefficient: float | Tensor, target_entropy: float) -> Tensor:
    """−exp(log_coefficient)·(log_prob + target_entropy), differentiable in the coefficient alone; [...] -> [...]."""
    _checks.reals(log_prob=log_prob)
    target = _checks.scalar("target_entropy", target_entropy, "(-inf, inf)")
    surplus = _checks.widened(log_prob).detach() + target
    return (-_logarithm("log_coefficient", log_coefficient, log_prob).exp() * surplus).to(log_prob.dtype)


def pulled_back(jacobian: Tensor, gradient: Tensor) -> Tensor:
    """Σ Jᵀg over states; the gradient [B, D] comes widened. One matrix-vector product, which no TF32 rounds."""
    return _checks.widened(jacobian).flatten(0, -2).T.mv(gradient.flatten())


def _logarithm(name: str, value: float | Tensor, like: Tensor) -> Tensor:
    """A number becomes a tensor without axes in float64 on the cpu, which widens and moves no other tensor."""
    if not isinstance(value, Tensor):
        return torch.tensor(_checks.scalar(name, value, "(-inf, inf)"), dtype=torch.float64)
    _checks.reals(**{name: value})
    if value.ndim > 0:
        raise ValueError(f"{name} must be a number or a tensor without axes; got shape {tuple(value.shape)}")
    _checks.one_device(log_prob=like, **{name: value})
    _checks.finite(**{name: value})
    return _checks.widened(value)
