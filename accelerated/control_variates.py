"""Q-Prop's control variates: the Taylor term, its weight, and the gradients with it; constants for autograd."""

import torch
from torch import Tensor

from accelerated import _checks
from accelerated.policy_gradient import pulled_back

RULES = ("standard", "optimal", "conservative", "aggressive")


@torch.no_grad()
def taylor_control_variate(action: Tensor, mean: Tensor, action_gradient: Tensor) -> Tensor:
    """Σ g·(action − mean); [..., D] three times -> [...]."""
    data = {"action": action, "mean": mean, "action_gradient": action_gradient}
    _checks.reals(**data)
    _checks.not_empty("action", action)
    _checks.aligned(**data)
    distance = _checks.widened(action) - _checks.widened(mean)
    return (_checks.widened(action_gradient) * distance).sum(-1).to(action.dtype)


@torch.no_grad()
def control_variate_weight(advantage: Tensor, control_variate: Tensor, *, rule: str, centered: bool = True) -> Tensor:
    """1, Cov/Var, 1[Cov > 0] or sign Cov of the n samples, about their means or about 0; [..., n] twice -> [...]."""
    _checks.reals(advantage=advantage, control_variate=control_variate)
    _checks.not_empty("advantage", advantage)
    _checks.aligned(advantage=advantage, control_variate=control_variate)
    _checks.finite(advantage=advantage, control_variate=control_variate)
    _checks.choice("rule", rule, RULES)
    _check_centered(centered, rule, advantage)
    if rule == "standard":
        return torch.ones_like(advantage[..., 0])
    a, c = _checks.widened(advantage), _checks.widened(control_variate)
    if centered:
        a, c = _deviations(a), _deviations(c)
    return _weight(a, c, rule).to(advantage.dtype)


@torch.no_grad()
def q_prop_gradient(
    score: Tensor, advantage: Tensor, control_variate: Tensor, weight: Tensor, action_gradient: Tensor, mean_jacobian: Tensor
) -> Tensor:
    """(1/B) Σ score·(A − wC) + w·Jᵀg, the direction of ascent; [B, P], [B] three times, [B, D], [B, D, P] -> [P]."""
    data = {"score": score, "advantage": advantage, "control_variate": control_variate, "weight": weight}
    data |= {"action_gradient": action_gradient, "mean_jacobian": mean_jacobian}
    _checks.reals(**data)
    _checks.dimensions(data, "BP", "B", "B", "B", "BD", "BDP")
    a, c, w = map(_checks.widened, (advantage, control_variate, weight))
    residual = pulled_back(score, a - w * c)
    analytic = pulled_back(mean_jacobian, w.unsqueeze(-1) * _checks.widened(action_gradient))
    return ((residual + analytic) / len(score)).to(score.dtype)


@torch.no_grad()
def mixed_gradient(
    score: Tensor, advantage: Tensor, action_gradient: Tensor, mean_jacobian: Tensor, *, on_policy_fraction: float
) -> Tensor:
    """ν·(1/B) Σ score·A + (1 − ν)·(1/M) Σ Jᵀg, what has no share unread; [B, P], [B], [M, D], [M, D, P] -> [P]."""
    data = {"score": score, "advantage": advantage, "action_gradient": action_gradient, "mean_jacobian": mean_jacobian}
    _checks.reals(**data)
    _checks.dimensions(data, "BP", "B", "MD", "MDP")
    fraction = _checks.scalar("on_policy_fraction", on_policy_fraction, "[0, 1]")
    halves = ((fraction, score, advantage), (1 - fraction, mean_jacobian, action_gradient))
    shares = [share / len(rows) * pulled_back(rows, _checks.widened(by)) for share, rows, by in halves if share > 0]
    return sum(shares[1:], shares[0]).to(score.dtype)


def _check_centered(centered: object, rule: str, advantage: Tensor) -> None:
    if not isinstance(centered, bool):
        raise ValueError(f"centered must be True or False; got {centered!r}")
    if centered and rule != "standard" and advantage.shape[-1] < 2:
        few = f"got shape {tuple(advantage.shape)}"
        raise ValueError(f"advantage must have at least two entries on its last axis, or pass centered=False; {few}")


def _deviations(samples: Tensor) -> Tensor:
    """From the mean, of which only the product of two roundings is felt; exactly 0 in a constant row."""
    constant = (samples == samples[..., :1]).all(-1, keepdim=True)
    return torch.where(constant, 0.0, samples - samples.mean(-1, keepdim=True))


def _weight(a: Tensor, c: Tensor, rule: str) -> Tensor:
    """Of two rows scaled near 1, so that no product of small numbers loses its sign to underflow."""
    a_scale, c_scale = _power_of_two(a), _power_of_two(c)
    a, c = a / a_scale, c / c_scale
    covariance, variance = (a * c).mean(-1), (c * c).mean(-1)
    if rule == "conservative":
        return covariance > 0
    if rule == "aggressive":
        return covariance.sign()
    ratio = covariance / variance * (a_scale / c_scale).squeeze(-1)
    return torch.where(covariance == 0, 0.0, ratio)


def _power_of_two(rows: Tensor) -> Tensor:
    """Near the largest entry of each row; a quotient by it is exact."""
    return (rows.abs().amax(-1, keepdim=True).frexp().exponent - 1).to(rows.dtype).exp2()
