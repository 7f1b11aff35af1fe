"""The continuous agents made small, and once more: linear networks of one seed, moved by the papers' equations."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from accelerated.agents.batch import Batch, Parameters, Space
from accelerated.agents.state import State
from accelerated.agents.streams import Streams

NAMES = ("ddpg", "td3", "sac")
LOW, HIGH = (-2.0, 0.0), (1.0, 4.0)
BOX = Space((3,), torch.float64, actions=2, low=LOW, high=HIGH)
UNIT = Space((1,), torch.float64, actions=1, low=(-1.0,), high=(1.0,))
CHOICE = Space((3,), torch.float64, actions=4)
LINEAR: dict[str, Any] = {"hidden": (), "optimizer": "sgd"}
CENTRE, HALF = torch.tensor([-0.5, 2.0], dtype=torch.float64), torch.tensor([1.5, 2.0], dtype=torch.float64)
RULES: dict[str, Callable[[Tensor], Tensor]] = {"min": lambda q: q.amin(0), "mean": lambda q: q.mean(0), "first": lambda q: q[0]}


def in_bounds(batch: Batch) -> Batch:
    """Actions within the box, as the memory has them."""
    return batch._replace(actions=CENTRE + HALF * batch.actions) if batch.actions.is_floating_point() else batch


class Hand:
    """One seed's linear networks, moved by the papers' equations."""

    def __init__(self, state: State, place: int) -> None:
        self.config, self.updates = state.config, 0
        self.net: dict[str, Parameters] = {
            name: {key: tensor[place].detach().clone().requires_grad_() for key, tensor in network.items()}
            for name, network in state.networks.items()
        }
        self.noise = {purpose: Streams(state.seeds[place : place + 1], purpose) for purpose in ("policy", "target")}

    def output(self, name: str, x: Tensor) -> Tensor:
        return x @ self.net[name]["output0.weight"] + self.net[name]["output0.bias"].unsqueeze(1)

    def q(self, name: str, s: Tensor, a: Tensor) -> Tensor:
        return self.output(name, torch.cat([s, a], -1))[..., 0]

    def mu(self, name: str, s: Tensor) -> Tensor:
        return CENTRE + HALF * self.output(name, s)[0].tanh()

    def normal(self, purpose: str, like: Tensor) -> Tensor:
        return self.noise[purpose].normal(len(like), 2, dtype=torch.float64)[0]

    def move(self, name: str, loss: Tensor, rate: float) -> None:
        parameters = self.net[name].values()
        for tensor, slope in zip(parameters, torch.autograd.grad(loss, list(parameters)), strict=True):
            tensor.data -= rate * slope

    def follow(self, *names: str) -> None:
        for name in names:
            for key, tensor in self.net[f"target_{name}"].items():
                tensor.data += self.config.polyak_step * (self.net[name][key].data - tensor.data)

    def critics(self, s: Tensor, a: Tensor, y: Tensor, scale: float) -> None:
        errors = y.detach() - self.q("critic", s, a)
        self.move("critic", scale * errors.square().mean(-1).sum(), self.config.critic_learning_rate)

    def climb(self, s: Tensor) -> None:
        self.move("policy", -self.q("critic", s, self.mu("policy", s))[0].mean(), self.config.policy_learning_rate)

    def ddpg(self, s: Tensor, a: Tensor, r: Tensor, after: Tensor, discount: Tensor) -> None:
        self.critics(s, a, r + discount * self.q("target_critic", after, self.mu("target_policy", after))[0], 1.0)
        self.climb(s)
        self.follow("critic", "policy")

    def td3(self, s: Tensor, a: Tensor, r: Tensor, after: Tensor, discount: Tensor) -> None:
        noise = (self.config.target_noise * self.normal("target", s)).clamp(-0.5, 0.5)
        moved = (self.mu("target_policy", after) + HALF * noise).clamp(CENTRE - HALF, CENTRE + HALF)
        self.critics(s, a, r + discount * self.q("target_critic", after, moved).amin(0), 1.0)
        self.updates += 1
        if self.updates % self.config.policy_every == 0:
            self.climb(s)
            self.follow("critic", "policy")

    def sac(self, s: Tensor, a: Tensor, r: Tensor, after: Tensor, discount: Tensor) -> None:
        log_coefficient, fixed = self.net["temperature"]["log_coefficient"][0], self.config.entropy_coefficient
        alpha = log_coefficient.detach().exp() if fixed is None else fixed
        moved, log_prob = self.squashed(after, "target")
        self.critics(s, a, r + discount * (self.q("target_critic", after, moved).amin(0) - alpha * log_prob), 0.5)
        moved, log_prob = self.squashed(s, "policy")
        q = RULES[self.config.actor_critic](self.q("critic", s, moved))
        self.move("policy", (alpha * log_prob - q).mean(), self.config.policy_learning_rate)
        if fixed is None:
            surplus = (log_prob.detach() - 2).mean()  # two dimensions
            self.move("temperature", -log_coefficient.exp() * surplus, self.config.temperature_learning_rate)
        self.follow("critic")

    def squashed(self, s: Tensor, purpose: str) -> tuple[Tensor, Tensor]:
        mean, log_std = self.output("policy", s)[0].chunk(2, -1)
        noise = self.normal(purpose, s)
        u = mean + log_std.exp() * noise
        density = -(noise.square() / 2 + log_std + math.log(2 * math.pi) / 2) - (1 - u.tanh().square()).log()
        return CENTRE + HALF * u.tanh(), density.sum(-1)
