"""A replay memory in plain Python, and the mistakes that such memories make."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np


class PlainMemory:
    """A ring for each seed and environment, in plain Python; right if the mistake is empty."""

    def __init__(
        self, states: int, actions: int, *, seeds: int = 1, envs: int = 1, capacity: int, discount: float, n_step: int = 1,
        mistake: str = "",
    ) -> None:  # fmt: skip
        self.shape, self.n, self.discount, self.mistake = (seeds, envs), n_step, discount, mistake
        self.rows = capacity if mistake == "modulo the total capacity" else capacity // envs
        self.rings: list[Any] = [[[] for _ in range(envs)] for _ in range(seeds)]
        self.time = 0

    def __len__(self) -> int:
        return len(self.rings[0][0]) * self.shape[1]

    def add(self, **columns: Any) -> None:
        names = ("observations", "actions", "rewards", "next_observations", "terminations", "truncations")
        for seed, env in np.ndindex(*self.shape):
            row, ring = [columns[name][seed, env].item() for name in names], self.rings[seed][env]
            if len(ring) < self.rows:
                ring.append(row)
            else:
                ring[self.time % self.rows] = row
        self.time += 1

    def window(self, ring: list[Any], start: int) -> tuple[Any, ...]:
        newest, reward, length = (self.time - 1) % self.rows, 0.0, 0
        modulus = max(self.rows - 1, 1) if self.mistake == "wrong modulus" else self.rows
        crosses = self.mistake == "crosses episodes"
        for step in range(self.n):
            at = (start + step) % modulus if step else start
            row = ring[at % len(ring)]
            reward, length = reward + self.discount**length * row[2], length + 1
            if (row[4] or row[5]) and not crosses or (at == newest and self.mistake != "crosses the write head"):
                break
        following, ended = row[3], row[4]
        if self.mistake == "next state of the last":
            following = ring[(at + 1) % len(ring)][0]
        if self.mistake == "time limit as terminal":
            ended = row[4] or row[5]
        power = 1 if self.mistake == "discount without its power" else length
        return ring[start][0], ring[start][1], reward, following, ended, self.discount**power

    def sample(self, seed: int, batch_size: int) -> dict[str, Any]:
        names = ("observations", "actions", "rewards", "next_observations", "terminations", "discounts")
        places = np.random.default_rng(seed).integers(0, len(self), (self.shape[0], batch_size))
        if self.mistake == "one draw for all seeds":
            places[:] = places[0] // 2
        held = len(self.rings[0][0])
        pairs = list(zip(self.rings, places, strict=True))
        rows = [[self.window(ring[place // held], place % held) for place in line] for ring, line in pairs]
        return {name: np.array([[row[k] for row in line] for line in rows]) for k, name in enumerate(names)}

    def save(self) -> bytes:
        return json.dumps([self.rings, self.time]).encode()

    def restore(self, saved: bytes) -> None:
        rings, time = json.loads(saved)
        self.rings, self.time = rings, 0 if self.mistake == "checkpoint without the head" else time


def memory(mistake: str) -> Callable[..., Any]:
    """Makes such a memory."""
    return lambda *arguments, **keywords: PlainMemory(*arguments, **keywords, mistake=mistake)
