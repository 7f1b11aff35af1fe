"""Agents of continuous actions as verify.py tries them: made from the matrices of a linear-quadratic world, NumPy in and out."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from accelerated.agents import agent as agent_named
from accelerated.agents import knowledge, loop
from accelerated.agents.linear_worlds import LinearWorlds, linear_process
from accelerated.agents.subjects import Array, Subject, array

WORLD = ("max_episode_steps", "start_half_width")


class ContinuousLearner:
    """One agent for each seed in a linear-quadratic world; what any agent can do is its Subject's.

    dynamics ...  A, B, Q, R and the first state: x' = A x + B u, reward -(xᵀQ x + uᵀR u)
    low, high     [D], what the world clips actions to
    options       fields of the agent's configuration; `max_episode_steps` and `start_half_width` [n] are the world's
    """

    def __init__(
        self,
        name: str,
        dynamics: ArrayLike,
        control: ArrayLike,
        state_cost: ArrayLike,
        control_cost: ArrayLike,
        start: ArrayLike,
        *,
        low: ArrayLike,
        high: ArrayLike,
        discount: float,
        options: Mapping[str, Any] | None = None,
        seeds: Sequence[int] = (0,),
        device: str = "cpu",
    ) -> None:
        given, matrices = dict(options or {}), map(_double, (dynamics, control, state_cost, control_cost, start))
        world = {key: given.pop(key) for key in WORLD if key in given}
        if "start_half_width" in world:
            world["start_half_width"] = _double(world["start_half_width"])
        process = linear_process(*matrices, low=_double(low), high=_double(high), **world)
        config = agent_named(name).Config(discount=discount, **given)
        run = loop.Run(name, config, tuple(seeds), 2**62, environment="given", device=device, dtype="float64")
        self._subject = Subject(loop.Training(run, None, partial(LinearWorlds, process)))

    def __getattr__(self, name: str) -> Any:
        if name == "_subject":
            raise AttributeError(name)
        return getattr(self._subject, name)

    @torch.no_grad()
    def critic(self, observations: ArrayLike, actions: ArrayLike) -> dict[str, Array]:
        """Q of each critic and its target, by network; [seeds, n, N], [seeds, n, D] -> [seeds, members, n]."""
        pairs = self.tensor(observations), self.tensor(actions)
        named = knowledge.named(self.state, "critic")
        return {network: array(knowledge.critic(self.agent.NAME, self.state, network, *pairs)) for network in named}

    @torch.no_grad()
    def policy(self, observations: ArrayLike) -> dict[str, Array]:
        """Its "mean" before any clipping, "log_std" where there is one, and the target's mean as "target_policy"; [seeds, n, D]."""
        states, named = self.tensor(observations), knowledge.named(self.state, "policy")
        said = {network: knowledge.policy(self.agent.NAME, self.state, network, states) for network in named}
        mean, log_std = said.pop("policy")
        found = {"mean": mean} | {network: other.mean for network, other in said.items()}
        return {name: array(tensor) for name, tensor in (found | ({} if log_std is None else {"log_std": log_std})).items()}

    @torch.no_grad()
    def value(self, observations: ArrayLike) -> Array:
        """V where there is one; [seeds, n, N] -> [seeds, n]."""
        return array(knowledge.value(self.agent.NAME, self.state, self.tensor(observations)))


def _double(value: ArrayLike) -> Tensor:
    return torch.from_numpy(np.array(value, dtype=np.float64))
