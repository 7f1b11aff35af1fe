"""What an agent is at one moment: all that its next action and its next update depend on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from accelerated.agents.batch import Parameters, Space
from accelerated.agents.optimizers import Optimizer
from accelerated.agents.streams import Streams


@dataclass
class State:
    """One agent for each seed, side by side.

    networks    parameters by network: "critic", "target_critic", "value", "policy"; a table is a network, too
    optimizers  by the network that they move; target networks have none
    streams     random numbers by purpose
    tensors     whatever else must go on: visit counts, running statistics
    updates     how many updates were made
    """

    config: Any
    space: Space
    seeds: tuple[int, ...]
    networks: dict[str, Parameters]
    optimizers: dict[str, Optimizer] = field(default_factory=dict)
    streams: dict[str, Streams] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    updates: int = 0

    @property
    def device(self) -> torch.device:
        """Where the parameters lie."""
        return next(tensor.device for network in self.networks.values() for tensor in network.values())

    def flat(self) -> dict[str, Tensor]:
        """Everything by one name each: what a checkpoint holds."""
        found = {f"networks/{name}/{key}": t.detach() for name, network in self.networks.items() for key, t in network.items()}
        found |= {f"optimizers/{name}/{key}": t for name, one in self.optimizers.items() for key, t in one.tensors().items()}
        found |= {f"streams/{name}": streams.tensors() for name, streams in self.streams.items()}
        found |= {f"tensors/{name}": tensor for name, tensor in self.tensors.items()}
        return found | {"updates": torch.tensor(self.updates)}

    @torch.no_grad()
    def restore(self, flat: Mapping[str, Tensor]) -> None:
        """Go on from what `flat` returned, on a state made by the same `init`."""
        expected = {key for key in self.flat() if not key.startswith("optimizers/")}
        if missing := expected - set(flat):
            raise ValueError(f"the checkpoint must hold every part of the agent; {', '.join(sorted(missing))} is missing")
        for name, network in self.networks.items():
            for key, tensor in network.items():
                saved = flat[f"networks/{name}/{key}"]
                if saved.shape != tensor.shape:
                    raise ValueError(f"networks/{name}/{key} must be {list(tensor.shape)}; the checkpoint has {list(saved.shape)}")
                tensor.copy_(saved)
        for name, optimizer in self.optimizers.items():
            optimizer.restore(_under(f"optimizers/{name}/", flat))
        for name, streams in self.streams.items():
            streams.restore(flat[f"streams/{name}"])
        self.tensors = {key: tensor.to(self.device).clone() for key, tensor in _under("tensors/", flat).items()}
        self.updates = int(flat["updates"])


def streams_for(seeds: Sequence[int], purposes: Sequence[str], device: torch.device | str) -> dict[str, Streams]:
    """Streams of their own for each purpose."""
    return {purpose: Streams(seeds, purpose, device) for purpose in purposes}


def _under(prefix: str, flat: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key[len(prefix) :]: tensor for key, tensor in flat.items() if key.startswith(prefix)}
