"""Linear-quadratic worlds acted in: where every value and every gradient of continuous control is known in closed form."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from accelerated.agents.batch import Space
from accelerated.agents.episodes import Episode, RewardTransform, Step
from accelerated.agents.streams import Streams


class LinearProcess(NamedTuple):
    """x' = A x + B u, reward -(xᵀQ x + uᵀR u) of the state before the step; nothing but a time limit ends an episode; float64.

    dynamics           A, [n, n]
    control            B, [n, D]
    state_cost         Q, [n, n]
    control_cost       R, [D, D]
    start              [n], the first state
    low, high          [D], bounds of the actions
    start_half_width   [n]; the first state is uniform between start - half width and start + half width
    max_episode_steps  the time limit; 0: none
    """

    dynamics: Tensor
    control: Tensor
    state_cost: Tensor
    control_cost: Tensor
    start: Tensor
    low: Tensor
    high: Tensor
    start_half_width: Tensor
    max_episode_steps: int = 0


def linear_process(
    dynamics: Tensor,
    control: Tensor,
    state_cost: Tensor,
    control_cost: Tensor,
    start: Tensor,
    *,
    low: Tensor,
    high: Tensor,
    start_half_width: Tensor | None = None,
    max_episode_steps: int = 0,
) -> LinearProcess:
    """The same after a look at the shapes.

    raises  ValueError naming what does not fit
    """
    (n, d), width = control.shape, torch.zeros_like(start) if start_half_width is None else start_half_width
    due = {"dynamics": (n, n), "state_cost": (n, n), "control_cost": (d, d), "start": (n,), "low": (d,), "high": (d,)}
    found = LinearProcess(dynamics, control, state_cost, control_cost, start, low, high, width, max_episode_steps)
    for name, shape in (due | {"start_half_width": (n,)}).items():
        if tuple(getattr(found, name).shape) != shape:
            raise ValueError(f"{name} must be {list(shape)}; got {list(getattr(found, name).shape)}")
    if not bool((low < high).all()) or not bool((width >= 0).all()) or max_episode_steps < 0:
        raise ValueError(f"low must lie below high, no width or limit below 0; got {low}, {high}, {width}, {max_episode_steps}")
    return found


class LinearWorlds:
    """[seeds, envs] copies of one process, with the face of `environments.Worlds`.

    Sums are made row by row, so that a copy moves alone as among others, to the last bit. First states are drawn on the CPU.

    process     what to step
    evaluation  other first states than in training
    """

    def __init__(
        self,
        process: LinearProcess,
        *,
        seeds: Sequence[int],
        envs: int = 1,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        reward_transform: RewardTransform | None = None,
        evaluation: bool = False,
    ) -> None:
        if not seeds or envs < 1:
            raise ValueError(f"there must be at least one seed and one environment; got {len(seeds)} and {envs}")
        self.name, self.seeds, self.envs, self.process = "linear-quadratic", tuple(seeds), envs, process
        self.device, self.dtype, self._transform = torch.device(device), dtype, reward_transform
        low, high = (tuple(bound.tolist()) for bound in (process.low, process.high))
        self.space = Space((len(process.start),), dtype, len(low), 0, low, high)
        self._streams = Streams(seeds, "evaluation worlds" if evaluation else "training worlds")
        matrices = (process.dynamics, process.control, process.state_cost, process.control_cost)
        self._a, self._b, self._q, self._r = (matrix.to(self.device, torch.float64) for matrix in matrices)
        self._states = process.start.to(self.device, torch.float64).expand(len(seeds), envs, -1)
        self._lengths = torch.zeros(len(seeds), envs, dtype=torch.int64, device=self.device)
        self._scores = torch.zeros(len(seeds), envs, dtype=torch.float64, device=self.device)

    @property
    def observations(self) -> Tensor:
        """What to act on now, [seeds, envs, n]."""
        return self._states.to(self.dtype)

    def reset(self) -> Tensor:
        """Start a new episode everywhere; the states."""
        self._states = self._first_states()
        self._lengths, self._scores = torch.zeros_like(self._lengths), torch.zeros_like(self._scores)
        return self.observations

    def step(self, actions: Tensor) -> Step:
        """Take one action in each copy, [seeds, envs, D]; start an episode where one has ended."""
        due = (*self._lengths.shape, self.space.actions)
        if actions.shape != due:
            raise ValueError(f"actions must be {list(due)} for {self.name}; got {list(actions.shape)}")
        x, u = self._states, actions.detach().to(torch.float64)
        rewards = -(_quadratic(self._q, x) + _quadratic(self._r, u))
        following = _times(self._a, x) + _times(self._b, u)
        self._lengths, self._scores = self._lengths + 1, self._scores + rewards
        limit = self.process.max_episode_steps
        truncations = self._lengths >= limit if limit else torch.zeros_like(self._lengths, dtype=torch.bool)
        finished = self._restart(truncations, following)
        shown = rewards.to(self.dtype)
        shown = shown if self._transform is None else self._transform(shown)
        return Step(following.to(self.dtype), shown, torch.zeros_like(truncations), truncations, self.observations, finished)

    def tensors(self) -> dict[str, Tensor]:
        """All that the next steps depend on."""
        return {
            "states": self._states.clone(),
            "lengths": self._lengths.clone(),
            "scores": self._scores.clone(),
            "streams": self._streams.tensors(),
        }

    def restore(self, tensors: dict[str, Tensor]) -> Tensor:
        """Go on from what `tensors` returned; the states."""
        if tensors["states"].shape != self._states.shape:
            due, found = list(self._states.shape), list(tensors["states"].shape)
            raise ValueError(f"there must be {due} states saved; the checkpoint has {found}")
        self._states, self._lengths, self._scores = (
            tensors[name].to(self.device).clone() for name in ("states", "lengths", "scores")
        )
        self._streams.restore(tensors["streams"])
        return self.observations

    def close(self) -> None:
        """Nothing is held."""

    def _restart(self, over: Tensor, following: Tensor) -> list[Episode]:
        """Go on to `following`, or to a first state where the episode is over; those that are. All copies end together."""
        self._states = following
        ended = over.nonzero().tolist()
        if not ended:
            return []
        found = [Episode(place, env, float(self._scores[place, env]), int(self._lengths[place, env])) for place, env in ended]
        self._states = torch.where(over.unsqueeze(-1), self._first_states(), following)
        self._lengths, self._scores = self._lengths.masked_fill(over, 0), self._scores.masked_fill(over, 0.0)
        return found

    def _first_states(self) -> Tensor:
        start, width = self.process.start.double(), self.process.start_half_width.double()
        drawn = self._streams.uniform(self.envs, len(start), dtype=torch.float64)
        return torch.lerp(start - width, start + width, drawn).to(self.device)


def _times(matrix: Tensor, rows: Tensor) -> Tensor:
    """matrix @ row for each row, [m, n], [..., n] -> [..., m]."""
    return (matrix * rows.unsqueeze(-2)).sum(-1)


def _quadratic(matrix: Tensor, rows: Tensor) -> Tensor:
    """rowᵀ matrix row for each row."""
    return (rows * _times(matrix, rows)).sum(-1)
