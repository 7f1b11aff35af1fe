"""What is tried of any agent, whatever world it was made in: NumPy in and out, float64 inside."""

import io
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

import accelerated
from accelerated.agents.batch import Batch
from accelerated.agents.loop import Training
from accelerated.agents.rollouts import Rollout
from accelerated.agents.state import State

Array = NDArray[Any]
Data = Batch | Rollout


class Subject:
    """One agent for each seed in its own loop.

    training  the loop
    whole     what each update of an agent that learns from data is given; None: what its loop gives it
    """

    def __init__(self, training: Training, whole: Data | None = None) -> None:
        self.training, self._whole = training, whole

    @property
    def agent(self) -> Any:
        """Its module."""
        return self.training.agent

    @property
    def state(self) -> State:
        """The agent."""
        return self.training.state

    def run(self, steps: int) -> None:
        """The agent's own loop; of an offline agent, updates."""
        for _ in range(steps):
            if self._whole is None:
                self.training.advance()
            else:
                self._update(self._whole)

    def update(self, **data: ArrayLike) -> None:
        """One update on these transitions, [seeds, batch] each, or on these steps in order, [seeds, envs, T] each."""
        self._update(self._data(data) if data else None)

    def parameters(self) -> dict[str, Array]:
        """Every number that it learns, a copy of each."""
        networks = self.state.networks
        return {f"{name}/{key}": array(tensor).copy() for name, network in networks.items() for key, tensor in network.items()}

    def routes(self, **data: ArrayLike) -> dict[str, dict[str, float]]:
        """Of each loss the largest derivative in each network's parameters, in size; the agent stays as it is."""
        saved = {name: tensor.clone() for name, tensor in self.training.tensors().items()}
        given, found = self._data(data), {}
        for name, (_, loss) in self.agent.LOSSES.items():
            networks = {
                key: {part: tensor.detach().clone().requires_grad_() for part, tensor in network.items()}
                for key, network in self.state.networks.items()
            }
            with torch.enable_grad():
                value = loss(replace(self.state, networks=networks), given).sum()
            found[name] = {key: steepest(value, list(network.values())) for key, network in networks.items()}
        self.training.restore(saved)
        return found

    def save(self) -> bytes:
        """All that its future depends on, as a NumPy archive without pickles."""
        return packed(self.training.tensors())

    def restore(self, saved: bytes) -> None:
        """Go on from what `save` returned, in a learner made with the same arguments."""
        self.training.restore(unpacked(saved))

    def tensor(self, value: ArrayLike) -> Tensor:
        """A copy of it where the agent is."""
        return torch.from_numpy(np.array(value)).to(self.state.device)

    def _update(self, data: Data | None) -> None:
        with accelerated.check_values(False):
            self.agent.update(self.state, data)

    def _data(self, given: Mapping[str, ArrayLike]) -> Data:
        """A batch, or a rollout for those that learn from one."""
        found = {name: self.tensor(value) for name, value in given.items()}
        if self.agent.MEMORY == "rollout":
            return rollout(found)
        found.setdefault("discounts", torch.full_like(found["rewards"], self.state.config.discount))
        return Batch(**found)


def rollout(given: Mapping[str, Tensor]) -> Rollout:
    """Its columns by name, [seeds, envs, T, ...]; the last step is a cut, and times are what the cuts say."""
    found = {name: tensor for name, tensor in given.items() if name in Rollout._fields}
    truncations = found.get("truncations", torch.zeros_like(found["terminations"])).clone()
    truncations[..., -1] = True
    place = torch.arange(truncations.shape[-1], device=truncations.device)
    begins = torch.roll(truncations | found["terminations"], 1, -1)  # the last step is a cut: so the first begins
    times = place - torch.where(begins, place, 0).cummax(-1).values
    return Rollout(**{"times": times} | found | {"truncations": truncations})


def steepest(value: Tensor, parameters: list[Tensor]) -> float:
    """The largest derivative in size; 0 where the value does not depend on them."""
    gradients = torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True, materialize_grads=True)
    return max(float(gradient.abs().max()) for gradient in gradients)


def packed(tensors: Mapping[str, Tensor]) -> bytes:
    """Tensors by name as a NumPy archive."""
    buffer = io.BytesIO()
    np.savez(buffer, **{name: array(tensor) for name, tensor in tensors.items()})  # type: ignore[arg-type]
    return buffer.getvalue()


def unpacked(saved: bytes) -> dict[str, Tensor]:
    """What `packed` was given."""
    with np.load(io.BytesIO(saved), allow_pickle=False) as archive:
        return {name: torch.from_numpy(archive[name]) for name in archive.files}


def array(tensor: Tensor) -> Array:
    """NumPy of it."""
    return np.asarray(tensor.detach().cpu().numpy())
