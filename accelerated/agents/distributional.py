"""A return's distribution as what a network predicts: fixed atoms, their probabilities, and the targets between them."""

import torch
from torch import Tensor

from accelerated import categorical_projection


def support(v_min: float, v_max: float, atoms: int, like: Tensor) -> Tensor:
    """The returns that have a probability, evenly spaced from v_min to v_max, in the dtype and on the device of `like`; [atoms]."""
    return torch.linspace(v_min, v_max, atoms, dtype=like.dtype, device=like.device)


def mean_values(logits: Tensor, atoms: Tensor) -> Tensor:
    """What the head reads out as action values: a softmax and a linear layer whose weights are the atoms; [..., K] -> [...]."""
    return logits.softmax(-1) @ atoms


@torch.no_grad()
def projected_target(
    selecting: Tensor, evaluating: Tensor, atoms: Tensor, *, rewards: Tensor, terminations: Tensor, discounts: Tensor
) -> Tensor:
    """The distribution of rewards + discounts · return, projected on the atoms.

    selecting   logits [..., A, K] whose largest mean chooses the action, the first one where several are largest
    evaluating  logits [..., A, K] whose distribution of that action is moved; the same tensor where one network does both
    rewards, terminations, discounts  [...]
    returns     [..., K], a constant
    """
    chosen = mean_values(selecting, atoms).argmax(-1)
    probability = taken(evaluating, chosen).softmax(-1)
    return categorical_projection(atoms, probability, rewards, terminations, discount=discounts)


def taken(logits: Tensor, actions: Tensor) -> Tensor:
    """The row of each action; [..., A, K], [...] -> [..., K]."""
    index = actions[..., None, None].expand(*actions.shape, 1, logits.shape[-1])
    return logits.gather(-2, index).squeeze(-2)
