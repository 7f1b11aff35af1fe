"""Q-Prop's pieces of a batch of steps: Taylor terms about the policy's mean, and weights that no step's own action enters.

An estimate stays unbiased under any weight that is fixed before the action is drawn. The covariance that makes a good weight is
that of Â and Ā over actions of one state, and a rollout has one action in a state: whatever is estimated from that very action is
biased. What is left are other samples. Since Ā has mean 0 in every state, moments about 0 are the moments averaged over states, and
one number serves for all states of a batch:

previous  of the batch before, with the critic and the policy of then: it was known before this batch began, so that nothing more
          need be assumed. The first batch has weight 0 (the rule "standard" 1, which knows no covariance)
halves    of the other half of this batch: its environments where there are several, which know nothing of each other; else every
          other trajectory, which are independent as long as the length of one does not decide how many others fit into the batch
critic    of each state its own, from further actions drawn there, with Q(s, a) in the place of Â: it cannot tell that Q is wrong
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from accelerated import control_variate_weight, taylor_control_variate
from accelerated.agents.rollouts import Rollout

Critic = Callable[[Tensor, Tensor], Tensor]
"""Observations [seeds, N, *], actions [seeds, N, D] -> Q [seeds, N]."""


class Expansion(NamedTuple):
    """Q about the policy's mean, Ā(a) = g·(a − mean): constants.

    observations     [seeds, N, *shape]
    mean             [seeds, N, D]
    action_gradient  g = the gradient of Q(s, a) by a at the mean, [seeds, N, D]
    """

    observations: Tensor
    mean: Tensor
    action_gradient: Tensor

    def at(self, actions: Tensor) -> Tensor:
        """Ā of one action in each state; [seeds, N, D] -> [seeds, N]."""
        return taylor_control_variate(actions, self.mean, self.action_gradient)


def expanded(critic: Critic, observations: Tensor, mean: Tensor) -> Expansion:
    """The critic to first order about these means; no gradient flows out of it."""
    with torch.enable_grad():
        actions = mean.detach().clone().requires_grad_()
        (slope,) = torch.autograd.grad(critic(observations, actions).sum(), actions)
    return Expansion(observations, mean.detach(), slope.detach())


def weight_of(advantage: Tensor, control_variate: Tensor, rule: str) -> Tensor:
    """One number for N samples, from moments about 0; [..., N] twice -> [...]."""
    return control_variate_weight(advantage, control_variate, rule=rule, centered=False)


def own_weights(advantage: Tensor, control_variate: Tensor, rule: str) -> Tensor:
    """Of each sample from itself alone, as the authors' code has it: BIASED; [seeds, N] twice -> [seeds, N]."""
    return weight_of(advantage.unsqueeze(-1), control_variate.unsqueeze(-1), rule)


def weights_of_other_half(advantage: Tensor, control_variate: Tensor, half: Tensor, rule: str) -> Tensor:
    """For each half the weight of the other, 0 where the other is empty; `half` is boolean; [seeds, N] each -> [seeds, N]."""
    first, second = (
        weight_of(advantage, torch.where(half == other, control_variate, 0.0), rule).unsqueeze(-1) for other in (True, False)
    )
    return torch.where(half, second, first)


def without_mean(signal: Tensor, half: Tensor | None) -> Tensor:
    """Less its mean over the batch, or over the other half, whose actions are others: nothing where that is empty; [seeds, N]."""
    if half is None:
        return signal - signal.mean(-1, keepdim=True)
    first, second = (
        torch.where(half == one, signal, 0.0).sum(-1, keepdim=True) / (half == one).sum(-1, keepdim=True).clamp(min=1)
        for one in (True, False)
    )
    return signal - torch.where(half, second, first)


def weights_of_critic(critic: Critic, expansion: Expansion, actions: Tensor, rule: str) -> Tensor:
    """Of each state from n actions drawn there for this, [seeds, N, n, D] -> [seeds, N]."""
    seeds, states, count, _ = actions.shape
    often = Expansion._make(column.repeat_interleave(count, 1) for column in expansion)
    rows = actions.flatten(1, 2)
    q, variate = critic(often.observations, rows).detach(), often.at(rows)
    q, variate = (column.reshape(seeds, states, count) for column in (q, variate))
    return control_variate_weight(q, variate, rule=rule)


def halves(rollout: Rollout) -> Tensor:
    """Which half each step of `rollouts.flat` is in: of the environments, or every other trajectory of a single one; [seeds, N]."""
    cut = rollout.terminations | rollout.truncations
    _, envs, steps = cut.shape
    if envs > 1:
        place = torch.arange(envs, device=cut.device)[:, None].expand(envs, steps)
        return (place % 2 == 0).expand_as(cut).flatten(1, 2)
    before = cut.long().cumsum(-1) - cut.long()
    return (before % 2 == 0).flatten(1, 2)


def newest(rollout: Rollout, steps: int) -> Rollout:
    """The last `steps` of each environment, or all where there are fewer."""
    return Rollout._make(None if column is None else column[:, :, -steps:] for column in rollout)
