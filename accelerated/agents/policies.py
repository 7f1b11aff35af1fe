"""Policies: Gaussian for continuous actions, categorical for discrete ones; every function is that of one member per seed."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from accelerated import gaussian_log_prob, sample_boltzmann, sample_gaussian, tanh_action
from accelerated.agents.batch import Parameters, Space
from accelerated.agents.networks import network_for
from accelerated.agents.streams import Streams

LOG_STDS = ("parameter", "network", "fixed")


class Normal(NamedTuple):
    """Mean and log standard deviation in the units of the actions, [seeds, batch, D] each."""

    mean: Tensor
    log_std: Tensor


class Gaussian:
    """Normal density with diagonal covariance; the network speaks in units in which the box of actions is [-1, 1].

    log_std          "parameter": one for all states; "network": of the state; "fixed": `initial_log_std`
    log_std_range    what it is clipped to
    initial_log_std  of the parameter, or the fixed one
    tanh_mean        the mean is tanh of the network's output, else the output itself
    network          whatever else `network_for` takes
    """

    def __init__(
        self,
        space: Space,
        *,
        hidden: Sequence[int] | None = None,
        log_std: str = "parameter",
        log_std_range: tuple[float, float] = (-5.0, 2.0),
        initial_log_std: float = 0.0,
        tanh_mean: bool = True,
        **network: Any,
    ) -> None:
        if log_std not in LOG_STDS:
            raise ValueError(f"log_std must be one of {', '.join(LOG_STDS)}; got {log_std!r}")
        if space.discrete:
            raise ValueError("a Gaussian policy needs continuous actions; the space has discrete ones")
        if tanh_mean and not all(map(math.isfinite, space.low + space.high)):
            raise ValueError(f"tanh_mean needs finite bounds of the actions; got {space.low}, {space.high}")
        if not log_std_range[0] <= initial_log_std <= log_std_range[1]:
            raise ValueError(f"initial_log_std must lie in log_std_range {log_std_range}; got {initial_log_std}")
        self.space, self.log_std, self.tanh_mean = space, log_std, tanh_mean
        self.log_std_range, self.initial_log_std = log_std_range, initial_log_std
        outputs = space.actions * (2 if log_std == "network" else 1)
        self.network = network_for(space, outputs=outputs, hidden=hidden, **network)

    def init(self, streams: Streams, *, dtype: torch.dtype = torch.float32, device: torch.device | str | None = None) -> Parameters:
        """The network's parameters, and "log_std" [seeds, 1, D] where that is one."""
        parameters = self.network.init(streams, dtype=dtype, device=device)
        if self.log_std == "parameter":
            shape = (len(streams), 1, self.space.actions)
            parameters["log_std"] = torch.full(shape, self.initial_log_std, dtype=dtype, device=device or streams.device)
        return parameters

    def distribution(self, parameters: Parameters, observations: Tensor, dropout: Streams | None = None) -> Normal:
        """Mean and log standard deviation of the action in each state."""
        output = self.network(parameters, observations, dropout=dropout)[:, 0]
        mean = output[..., : self.space.actions]
        box = _box(self.space, mean.dtype, mean.device)
        if self.tanh_mean:
            mean = tanh_action(mean, low=box.low, high=box.high)
        else:
            mean = box.centre + box.half_width * mean
        log_std = self._log_std(parameters, output).clamp(*self.log_std_range) + box.log_half_width
        return Normal(mean, log_std.expand_as(mean))

    def log_prob(self, parameters: Parameters, observations: Tensor, actions: Tensor, dropout: Streams | None = None) -> Tensor:
        """Log-density of each action in the units of the actions; -> [seeds, batch]."""
        return gaussian_log_prob(actions, *self.distribution(parameters, observations, dropout))

    @torch.no_grad()
    def mode(self, parameters: Parameters, observations: Tensor) -> Tensor:
        """The mean, clipped to the box; [seeds, batch, D]."""
        return self._clipped(self.distribution(parameters, observations).mean)

    @torch.no_grad()
    def sample(self, parameters: Parameters, observations: Tensor, streams: Streams) -> Tensor:
        """One draw in each state, clipped to the box; [seeds, batch, D]."""
        return self._clipped(self.draw(parameters, observations, streams))

    @torch.no_grad()
    def draw(self, parameters: Parameters, observations: Tensor, streams: Streams) -> Tensor:
        """One draw in each state as it is, also beyond the box: the action that `log_prob` is of; [seeds, batch, D]."""
        mean, log_std = self.distribution(parameters, observations)
        return streams.each(lambda seed, g: sample_gaussian(mean[seed], log_std[seed], generator=g))

    def _log_std(self, parameters: Parameters, output: Tensor) -> Tensor:
        if self.log_std == "network":
            return output[..., self.space.actions :]
        if self.log_std == "parameter":
            return parameters["log_std"]
        return torch.full_like(output, self.initial_log_std)

    def _clipped(self, actions: Tensor) -> Tensor:
        return clipped(self.space, actions)


class Categorical:
    """Softmax of a network's outputs; `network` is whatever else `network_for` takes."""

    def __init__(self, space: Space, *, hidden: Sequence[int] | None = None, **network: Any) -> None:
        if not space.discrete:
            raise ValueError("a categorical policy needs discrete actions; the space has continuous ones")
        self.space = space
        self.network = network_for(space, outputs=space.actions, hidden=hidden, **network)

    def init(self, streams: Streams, *, dtype: torch.dtype = torch.float32, device: torch.device | str | None = None) -> Parameters:
        """The network's parameters."""
        return self.network.init(streams, dtype=dtype, device=device)

    def logits(self, parameters: Parameters, observations: Tensor, dropout: Streams | None = None) -> Tensor:
        """[seeds, batch, A]."""
        return self.network(parameters, observations, dropout=dropout)[:, 0]

    def log_prob(self, parameters: Parameters, observations: Tensor, actions: Tensor, dropout: Streams | None = None) -> Tensor:
        """Log-probability of each action; -> [seeds, batch]."""
        log_probabilities = self.logits(parameters, observations, dropout).log_softmax(-1)
        return log_probabilities.gather(-1, actions.unsqueeze(-1)).squeeze(-1)

    def probabilities(self, parameters: Parameters, observations: Tensor) -> Tensor:
        """[seeds, batch, A], differentiable."""
        return self.logits(parameters, observations).softmax(-1)

    @torch.no_grad()
    def mode(self, parameters: Parameters, observations: Tensor) -> Tensor:
        """The likeliest action, the first of several; int64 [seeds, batch]."""
        return self.logits(parameters, observations).argmax(-1)

    @torch.no_grad()
    def sample(self, parameters: Parameters, observations: Tensor, streams: Streams) -> Tensor:
        """One draw in each state; int64 [seeds, batch]."""
        return self.draw(parameters, observations, streams)

    @torch.no_grad()
    def draw(self, parameters: Parameters, observations: Tensor, streams: Streams) -> Tensor:
        """The same; a discrete action has no bounds."""
        logits = self.logits(parameters, observations)
        return streams.each(lambda seed, g: sample_boltzmann(logits[seed], temperature=1.0, generator=g))


Policy = Gaussian | Categorical


def policy_for(
    space: Space,
    *,
    hidden: Sequence[int] | None = None,
    log_std: str = "parameter",
    log_std_range: tuple[float, float] = (-5.0, 2.0),
    initial_log_std: float = 0.0,
    tanh_mean: bool = True,
    **network: Any,
) -> Policy:
    """A Gaussian policy for continuous actions; for discrete ones a categorical, which has neither log_std nor tanh_mean."""
    if space.discrete:
        return Categorical(space, hidden=hidden, **network)
    return Gaussian(
        space,
        hidden=hidden,
        log_std=log_std,
        log_std_range=log_std_range,
        initial_log_std=initial_log_std,
        tanh_mean=tanh_mean,
        **network,
    )


def clipped(space: Space, actions: Tensor) -> Tensor:
    """What an environment does with actions beyond its bounds; discrete ones have none."""
    if space.discrete:
        return actions
    box = _box(space, actions.dtype, actions.device)
    return torch.minimum(torch.maximum(actions, box.low), box.high)


def uniform(space: Space, streams: Streams, count: int, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """Actions that are all equally likely, [seeds, count] or [seeds, count, D]."""
    if space.discrete:
        return streams.integers(space.actions, count)
    box = _box(space, dtype, streams.device)
    return torch.lerp(box.low, box.high, streams.uniform(count, space.actions, dtype=dtype))


class Box(NamedTuple):
    """Each [D]; a dimension without bounds has centre 0 and half width 1."""

    low: Tensor
    high: Tensor
    centre: Tensor
    half_width: Tensor
    log_half_width: Tensor


def bounds(space: Space, like: Tensor) -> Box:
    """The box of actions in the type and on the device of `like`."""
    return _box(space, like.dtype, like.device)


@lru_cache(maxsize=64)
def _box(space: Space, dtype: torch.dtype, device: torch.device) -> Box:
    """The bounds, kept on their device for any kind of graph."""
    with torch.inference_mode(False):
        low, high = (torch.tensor(bound, dtype=dtype, device=device) for bound in (space.low, space.high))
        bounded = low.isfinite() & high.isfinite()
        centre = torch.where(bounded, (low + high) / 2, 0.0)
        half_width = torch.where(bounded, (high - low) / 2, 1.0)
        return Box(low, high, centre, half_width, half_width.log())
