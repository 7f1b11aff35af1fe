"""Distributions of returns on fixed atoms: the projected target, a constant, and the loss towards it."""

import torch
from torch import Tensor

from accelerated import _checks


@torch.no_grad()
def categorical_projection(
    atoms: Tensor, probability: Tensor, reward: Tensor, terminated: Tensor, *, discount: float | Tensor
) -> Tensor:
    """The mass p_j at clip(r + g·z_j), shared linearly between two atoms; [K], [..., K], [...], [...] -> [..., K]."""
    _checks.reals(atoms=atoms, probability=probability, reward=reward)
    _checks.flags(terminated=terminated)
    _checks.aligned(reward=reward, terminated=terminated)
    _check_atoms(atoms)
    _checks.aligned_rows("reward", reward, probability=probability)
    if probability.shape[-1] != len(atoms):
        found = f"{_checks.shown('probability', probability)}, {_checks.shown('atoms', atoms)}"
        raise ValueError(f"{found}; probability must be [..., K] where atoms is [K]")
    _checks.probabilities("probability", probability)
    rate = _checks.discount(discount, reward)
    rate = rate.unsqueeze(-1) if isinstance(rate, Tensor) else rate
    support, now = _scaled(_checks.widened(atoms), _checks.widened(reward).unsqueeze(-1))
    moved = torch.where(terminated.unsqueeze(-1), now, now + rate * support).clamp(support[0], support[-1])
    return _shared(support, _checks.widened(probability), moved).to(probability.dtype)


def categorical_loss(logits: Tensor, target: Tensor) -> Tensor:
    """−Σ target·log softmax(logits), the target being detached and what it excludes unread; [..., K], [..., K] -> [...]."""
    _checks.reals(logits=logits, target=target)
    _checks.not_empty("logits", logits)
    _checks.aligned(logits=logits, target=target)
    _checks.finite(logits=logits)
    _checks.probabilities("target", target)
    mass, log_prob = _checks.widened(target).detach(), _checks.widened(logits).log_softmax(-1)
    return -torch.where(mass > 0, mass * log_prob, 0.0).sum(-1).to(logits.dtype)


def _check_atoms(atoms: Tensor) -> None:
    _checks.dimensions({"atoms": atoms}, "K")
    _checks.finite(atoms=atoms)
    if _checks.values_are_checked():
        first = torch.ones_like(atoms[:1], dtype=torch.bool)
        _checks.each("atoms", atoms, torch.cat([first, atoms.diff() > 0]), "must be strictly increasing")


def _scaled(atoms: Tensor, reward: Tensor) -> tuple[Tensor, Tensor]:
    """By a power of two where the distance of two atoms could overflow; the shares do not change."""
    scale = torch.where(atoms.abs().amax() > torch.finfo(atoms.dtype).max / 4, 0.25, 1.0).to(atoms.dtype)
    return atoms * scale, reward * scale


def _shared(atoms: Tensor, probability: Tensor, moved: Tensor) -> Tensor:
    """Accumulates where several values meet on one atom."""
    above = torch.searchsorted(atoms, moved.contiguous()).clamp(max=len(atoms) - 1)
    below = (above - 1).clamp(min=0)
    gap = atoms[above] - atoms[below]
    share = torch.where(gap > 0, (moved - atoms[below]) / gap, 1.0)  # no gap: at or below the first atom
    rest = torch.where(gap > 0, (atoms[above] - moved) / gap, 0.0)
    projected = torch.zeros_like(probability).scatter_add_(-1, above, probability * share)
    return projected.scatter_add_(-1, below, probability * rest)
