"""Target networks: constants that follow the online network a step at a time."""

import torch
from torch import Tensor

from accelerated import _checks


@torch.no_grad()
def polyak_update(target: Tensor, online: Tensor, *, polyak_step: float) -> Tensor:
    """(1 − p)·target + p·online in new memory, a copy of the one or the other at p = 0 and 1; [...] -> [...]."""
    _checks.reals(target=target, online=online)
    _checks.aligned(target=target, online=online)
    step = _checks.scalar("polyak_step", polyak_step, "[0, 1]")
    if step in (0, 1):
        return (online if step == 1 else target).clone()
    return ((1 - step) * _checks.widened(target)).add_(_checks.widened(online), alpha=step).to(target.dtype)
