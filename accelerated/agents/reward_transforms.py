"""Reward scales of the authors: one rule for stored and for new rewards, so that a transition is worth the same in both."""

from dataclasses import dataclass

import torch
from torch import Tensor

TRANSFORMS = ("none", "locomotion", "antmaze")


@dataclass(frozen=True)
class RewardTransform:
    """scale * reward + shift, computed in float32 whatever the rewards' dtype.

    A simulator gives float64 rewards and files hold float32: rounding first makes both the same number, bit for bit.
    """

    scale: float = 1.0
    shift: float = 0.0

    def __call__(self, rewards: Tensor) -> Tensor:
        """Transformed rewards, of the shape and dtype given."""
        return (rewards.to(torch.float32) * self.scale + self.shift).to(rewards.dtype)


def transform_for_returns(kind: str, returns: Tensor) -> RewardTransform:
    """The author's rule, given the returns of the data's trajectories.

    none        rewards as they are (kitchen, adroit)
    locomotion  scale = 1000 / (largest return - smallest return)
    antmaze     reward - 1
    raises      ValueError for another kind, and for locomotion where all returns are equal
    source      ikostrikov/implicit_q_learning, train_offline.py: normalize, make_env_and_dataset
    """
    if kind not in TRANSFORMS:
        raise ValueError(f"the reward transform must be one of {', '.join(TRANSFORMS)}; got {kind!r}")
    if kind == "none":
        return RewardTransform()
    if kind == "antmaze":
        return RewardTransform(shift=-1.0)
    spread = float(returns.max() - returns.min())
    if not spread > 0.0:
        raise ValueError(f"locomotion needs trajectories with different returns; got {returns.numel()}, all {float(returns[0])}")
    return RewardTransform(scale=1000.0 / spread)
