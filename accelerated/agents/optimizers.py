"""Optimizers of one network for many seeds: clipping, schedules and moments never mix seeds."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from accelerated.agents.batch import Parameters

KINDS = ("adam", "sgd")
SCHEDULES = ("constant", "cosine")


class Optimizer:
    """Adam or SGD on one network's parameters.

    learning_rate  of the first step
    kind           "adam" or "sgd"; momentum, betas, eps, weight_decay as torch names them
    schedule       "constant", or "cosine": learning_rate * (1 + cos(pi * step / decay_steps)) / 2, and 0 from decay_steps on
    max_grad_norm  the largest Euclidean norm of a seed's whole gradient; a longer one is scaled down. None: no limit
    """

    def __init__(
        self,
        parameters: Parameters,
        *,
        learning_rate: float,
        kind: str = "adam",
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        schedule: str = "constant",
        decay_steps: int = 0,
        max_grad_norm: float | None = None,
    ) -> None:
        if kind not in KINDS or schedule not in SCHEDULES:
            raise ValueError(f"kind must be one of {KINDS} and schedule one of {SCHEDULES}; got {kind!r}, {schedule!r}")
        if schedule == "cosine" and decay_steps < 1:
            raise ValueError(f"a cosine schedule needs decay_steps >= 1; got {decay_steps}")
        self.parameters = parameters
        self.leaves = [tensor.requires_grad_() for tensor in parameters.values()]
        self.learning_rate, self.max_grad_norm = learning_rate, max_grad_norm
        self.schedule, self.decay_steps = schedule, decay_steps
        self.steps = 0
        self._optimizer: torch.optim.Optimizer
        if kind == "adam":
            self._optimizer = torch.optim.Adam(
                self.leaves, lr=learning_rate, betas=betas, eps=eps, weight_decay=weight_decay, fused=True
            )
        else:
            self._optimizer = torch.optim.SGD(
                self.leaves, lr=learning_rate, momentum=momentum, weight_decay=weight_decay, fused=True
            )

    def gradients(self, loss: Tensor) -> list[Tensor]:
        """d(loss)/d(parameters), the loss [seeds]; each seed's loss moves that seed's parameters only."""
        return list(torch.autograd.grad(loss.sum(), self.leaves, allow_unused=True, materialize_grads=True))

    def apply(self, gradients: Sequence[Tensor]) -> None:
        """One step along the gradients."""
        if self.max_grad_norm is not None:
            gradients = clipped(gradients, self.max_grad_norm)
        for leaf, gradient in zip(self.leaves, gradients, strict=True):
            leaf.grad = gradient
        self._optimizer.param_groups[0]["lr"] = self.rate()
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self.steps += 1

    def step(self, loss: Tensor) -> None:
        """One step down the loss [seeds]."""
        self.apply(self.gradients(loss))

    def rate(self) -> float:
        """The learning rate of the step to come."""
        if self.schedule == "constant":
            return self.learning_rate
        part = min(self.steps / self.decay_steps, 1.0)
        return self.learning_rate * 0.5 * (1.0 + math.cos(math.pi * part))

    def tensors(self) -> dict[str, Tensor]:
        """All that the next steps depend on, by name."""
        moments = {
            f"{name}.{key}": value
            for name, leaf in self.parameters.items()
            for key, value in self._optimizer.state[leaf].items()
            if isinstance(value, Tensor)
        }
        return moments | {"steps": torch.tensor(self.steps)}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Go on from what `tensors` returned; the parameters themselves are restored by whoever owns them."""
        self.steps = int(tensors["steps"])
        for name, leaf in self.parameters.items():
            found = {key.rpartition(".")[2]: value for key, value in tensors.items() if key.rpartition(".")[0] == name}
            self._optimizer.state[leaf] = {
                key: value.to(leaf.device if key != "step" else value.device).clone() for key, value in found.items()
            }


def clipped(gradients: Sequence[Tensor], largest: float) -> list[Tensor]:
    """Each seed's gradient scaled so that its norm over all parameters is at most `largest`."""
    squares = torch.stack([gradient.flatten(1).square().sum(1) for gradient in gradients]).sum(0)
    scale = torch.clamp(largest / squares.sqrt().clamp(min=1e-12), max=1.0)
    return [gradient * scale.reshape(-1, *[1] * (gradient.ndim - 1)) for gradient in gradients]
