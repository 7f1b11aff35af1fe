"""The offline agents made small, batches for them, and IQL once more: in NumPy, for linear networks, from the paper."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from accelerated.agents import agent
from accelerated.agents.batch import Batch, Space
from accelerated.agents.state import State

Array = NDArray[np.float64]
NAMES = ("iql", "one_step", "bc")
BOX = Space((3,), torch.float64, actions=2, low=(-1.0, -1.0), high=(1.0, 1.0))
CHOICE = Space((3,), torch.float64, actions=4)
LINEAR: dict[str, Any] = {"hidden": (), "optimizer": "sgd", "policy_schedule": "constant"}


def made(name: str, space: Space, seeds: tuple[int, ...] = (0, 1), **options: object) -> State:
    module = agent(name)
    fields = {field.name for field in dataclasses.fields(module.Config)}
    config = module.Config(**{key: value for key, value in options.items() if key in fields})
    return module.init(config, space, seeds, dtype=torch.float64)  # type: ignore[no-any-return]


def drawn(space: Space, seeds: int, size: int = 7, seed: int = 0) -> Batch:
    """Numbers that differ from each other in every role: unequal discounts, some terminations, shared by nobody."""
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> Tensor:
        return torch.tensor(rng.normal(size=(seeds, size, *shape)))

    def actions() -> Tensor:
        if space.discrete:
            return torch.tensor(rng.integers(space.actions, size=(seeds, size)))
        return torch.tensor(rng.uniform(-1, 1, size=(seeds, size, space.actions)))

    terminated = torch.tensor(rng.random((seeds, size)) < 0.3)
    discounts = torch.tensor(rng.uniform(0.5, 1, size=(seeds, size)))
    shape = space.observation_shape
    return Batch(normal(*shape), actions(), normal(), normal(*shape), terminated, discounts, actions())


def shift_targets(state: State) -> None:
    """Targets that differ from the critics, as they do in the middle of a run, and critics that differ from each other."""
    for index, tensor in enumerate(state.networks["target_critic"].values()):
        noise = np.random.default_rng(index).normal(size=tuple(tensor.shape))
        tensor += 0.3 * torch.tensor(noise)


class Hand:
    """IQL with linear networks for one seed, from the paper's equations, with gradients written out."""

    def __init__(self, state: State, place: int, space: Space) -> None:
        self.config, self.discrete = state.config, space.discrete
        self.net = {
            name: {key: tensor[place].detach().numpy().copy() for key, tensor in network.items()}
            for name, network in state.networks.items()
        }

    def features(self, s: Array, a: Array) -> Array:
        return s if self.discrete else np.concatenate([s, a], -1)

    def q(self, critic: str, s: Array, a: Array) -> Array:
        """[2, batch]."""
        net = self.net[critic]
        rows = self.features(s, a) @ net["output0.weight"] + net["output0.bias"].reshape(2, 1, -1)
        return np.asarray(rows[:, np.arange(len(s)), a] if self.discrete else rows[..., 0])

    def v(self, s: Array) -> Array:
        net = self.net["value"]
        return np.asarray((s @ net["output0.weight"][0] + net["output0.bias"].reshape(-1))[:, 0])

    def value_gradient(self, s: Array, q: Array) -> dict[str, Array]:
        """d/dV of mean |expectile - 1[u < 0]| u², u = q - V."""
        u = q - self.v(s)
        slope = -2 * np.where(u < 0, 1 - self.config.expectile, self.config.expectile) * u / len(u)
        return {"output0.weight": (s.T @ slope)[None, :, None], "output0.bias": slope.sum()}

    def policy_gradient(self, s: Array, a: Array, q: Array, v: Array) -> dict[str, Array]:
        weight = np.minimum(np.exp(self.config.inverse_temperature * (q - v)), 100.0) / len(q)
        net = self.net["policy"]
        out = s @ net["output0.weight"][0] + net["output0.bias"].reshape(-1)
        if self.discrete:
            chances = np.exp(out) / np.exp(out).sum(-1, keepdims=True)
            slope = weight[:, None] * (chances - np.eye(out.shape[-1])[a])
            return {"output0.weight": (s.T @ slope)[None], "output0.bias": slope.sum(0)}
        mean, deviation = np.tanh(out), np.exp(net["log_std"].reshape(-1))  # inside [-5, 2] here
        z = (a - mean) / deviation
        slope = -weight[:, None] * z / deviation * (1 - mean**2)
        log_std = -(weight[:, None] * (z**2 - 1)).sum(0)
        return {"output0.weight": (s.T @ slope)[None], "output0.bias": slope.sum(0), "log_std": log_std}

    def critic_gradient(self, s: Array, a: Array, y: Array) -> dict[str, Array]:
        """d/dQ of the sum (or the mean) over the two critics of mean (y - Q)²."""
        share = 1.0 if self.config.critic_reduction == "sum" else 0.5
        slope = share * -2 * (y - self.q("critic", s, a)) / len(y)  # [2, batch]
        taken = np.eye(self.net["critic"]["output0.weight"].shape[-1])[a] if self.discrete else np.ones((len(y), 1))
        each = slope[..., None] * taken  # [2, batch, outputs]
        return {"output0.weight": self.features(s, a).T @ each, "output0.bias": each.sum(1)}

    def step(self, name: str, gradient: dict[str, Array]) -> None:
        rate = getattr(self.config, f"{name}_learning_rate")
        for key, slope in gradient.items():
            self.net[name][key] = self.net[name][key] - rate * np.reshape(slope, self.net[name][key].shape)

    def polyak(self) -> None:
        p = self.config.polyak_step
        for key, online in self.net["critic"].items():
            self.net["target_critic"][key] = (1 - p) * self.net["target_critic"][key] + p * online

    def update(self, batch: Batch, place: int, sarsa: bool) -> None:
        s, a, r, s2, cut, discount, a2 = (x[place].numpy() for x in batch[:7])  # type: ignore[index]
        if self.config.order == "target_first":
            self.polyak()
        q = self.q("target_critic", s, a).min(0)
        value, v, v2 = self.value_gradient(s, q), self.v(s), self.v(s2)
        if self.config.order == "author":
            self.step("value", value)
            v, v2 = self.v(s), self.v(s2)
        following = self.q("target_critic", s2, a2).min(0) if sarsa else v2
        policy = self.policy_gradient(s, a, q, v)
        critic = self.critic_gradient(s, a, r + discount * np.where(cut, 0.0, following))
        if self.config.order != "author":
            self.step("value", value)
        self.step("policy", policy)
        self.step("critic", critic)
        if self.config.order != "target_first":
            self.polyak()
