"""Data sets of transitions on the device, read once, sampled uniformly with a stream for each seed."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from accelerated.agents import dataset_files
from accelerated.agents.batch import Batch, Space
from accelerated.agents.dataset_files import Array, Rows
from accelerated.agents.reward_transforms import RewardTransform, transform_for_returns
from accelerated.agents.scores import REFERENCE_SCORES, World, world_of
from accelerated.agents.streams import Streams

__all__ = ["Dataset", "RewardTransform", "load", "sample", "space_of", "trajectory_returns", "transform_for"]

INSIDE = 1e-5
"""Continuous actions are clipped to this part of their half range inside the bounds (the author's dataset_utils.py)."""


class Dataset(NamedTuple):
    """Transitions in the order they happened, one row each, shared by all seeds.

    name                    the file's stem or the Minari id, with the task where there are several
    source                  path or id, and the SHA-256 of what was read
    terminations            [N] whether the bootstrap is cut
    truncations             [N] whether the trajectory ends here without termination; the next row is then another trajectory
    next_actions            like actions; what was done in the next row where next_action_known, else zeros
    rows_with_next_actions  [M] rows that a SARSA target can use: the next action is known, or not needed
    environment             where a policy is evaluated; reference_scores (min, max) of its normalised score
    """

    name: str
    source: str
    observations: Tensor
    actions: Tensor
    rewards: Tensor
    next_observations: Tensor
    terminations: Tensor
    truncations: Tensor
    next_actions: Tensor
    next_action_known: Tensor
    rows_with_next_actions: Tensor
    space: Space
    environment: str | None
    reference_scores: tuple[float, float] | None


def load(path_or_id: str, *, device: torch.device | str = "cpu", environment: str | None = None, download: bool = False) -> Dataset:
    """The data set of a .npz or .hdf5 file in D4RL's layout, or of a Minari id.

    path_or_id   `PATH#task=3` picks one of an OGBench file's tasks (without: 1), `PATH#actions=clip` lets actions lie outside
    environment  where it is evaluated; without: what the data says, or what its name starts with (scores.WORLDS)
    download     whether a Minari data set that is not here may be fetched
    raises       FileNotFoundError or ValueError with one line: the rule, what was found, and where
    """
    name, options = _options(path_or_id)
    rows = dataset_files.read(name, task=options["task"], download=download)
    file = name.endswith(dataset_files.ENDINGS)
    world = world_of(name, environment, options["task"] or 1) if file else None
    environment = environment or rows.environment or (world.environment if world else None)
    space = _space(rows, world, environment, clip=options["clip"] or (world is not None and world.clips))
    scores = rows.reference_scores or (REFERENCE_SCORES[world.reference] if world and world.reference else None)
    label = (Path(name).stem if file else name) + (f"#task={options['task']}" if options["task"] else "")
    return _dataset(label, rows, space, environment, scores, torch.device(device))


def space_of(dataset: Dataset) -> Space:
    """What the environment behind the data shows and takes."""
    return dataset.space


def sample(dataset: Dataset, streams: Streams, batch_size: int, *, discount: float, with_next_actions: bool = False) -> Batch:
    """Transitions drawn uniformly with replacement, [seeds, batch, ...].

    with_next_actions  only from rows whose next action is known or whose bootstrap is cut
    """
    rows = dataset.rows_with_next_actions if with_next_actions else None
    if rows is not None and not len(rows):
        raise ValueError(f"next actions must be known somewhere; {dataset.name} has no two transitions that follow each other")
    index = streams.integers(len(dataset.rewards) if rows is None else len(rows), batch_size).to(dataset.rewards.device)
    index = index if rows is None else rows[index]
    return Batch(
        dataset.observations[index],
        dataset.actions[index],
        dataset.rewards[index],
        dataset.next_observations[index],
        dataset.terminations[index],
        torch.full(index.shape, discount, dtype=dataset.rewards.dtype, device=index.device),
        dataset.next_actions[index] if with_next_actions else None,
    )


def trajectory_returns(dataset: Dataset) -> Tensor:
    """The undiscounted return of each trajectory, in order, float64."""
    ends = torch.nonzero(dataset.terminations | dataset.truncations).flatten()
    return torch.diff(dataset.rewards.double().cumsum(0)[ends], prepend=dataset.rewards.new_zeros(1, dtype=torch.float64))


def transform_for(dataset: Dataset, kind: str) -> RewardTransform:
    """The author's rule of that name for this data: "none", "locomotion" or "antmaze"."""
    return transform_for_returns(kind, trajectory_returns(dataset))


def _options(path_or_id: str) -> tuple[str, dict[str, Any]]:
    """The path without what follows #, and what follows."""
    found: dict[str, Any] = {"task": None, "clip": False}
    name, _, fragment = path_or_id.partition("#")
    for part in fragment.split("&") if fragment else []:
        if part == "actions=clip":
            found["clip"] = True
        elif part.startswith("task=") and part[5:].isdigit():
            found["task"] = int(part[5:])
        else:
            raise ValueError(f"after # there must be task=NUMBER or actions=clip; got {part!r} in {path_or_id!r}")
    return name, found


def _space(rows: Rows, world: World | None, environment: str | None, *, clip: bool) -> Space:
    """What the data shows, completed by what its environment says."""
    observations, actions = rows.observations, rows.actions
    shown, taken = _spaces(environment) if environment and world is None and rows.environment is None else (None, None)
    numbers = observations.ndim == 1 and observations.dtype.kind in "iu"
    states = _count(rows, observations, "observations", rows.states or int(getattr(shown, "n", 0))) if numbers else 0
    if observations.ndim == 1 and not states:
        raise ValueError(f"observations must be [N, ...], or [N] state numbers; got [N] {observations.dtype} in {rows.source}")
    dtype = torch.int64 if states else torch.uint8 if observations.dtype == np.uint8 else torch.float32
    if actions.dtype.kind in "iu" and actions.ndim == 1:
        count = rows.discrete_actions or (world.actions if world else 0) or int(getattr(taken, "n", 0))
        return Space(observations.shape[1:], dtype, _count(rows, actions, "actions", count), states)
    if actions.ndim != 2 or actions.dtype.kind != "f":
        raise ValueError(
            f"actions must be [N] integers or [N, D] reals; got {actions.dtype} {list(actions.shape)} in {rows.source}"
        )
    if (world and world.actions) or hasattr(taken, "n"):
        raise ValueError(f"actions must be [N] integers, as {environment} takes them; got {list(actions.shape)} in {rows.source}")
    low, high = rows.bounds or _bounds(taken, world, actions.shape[1])
    _inside(rows, low, high, clip)
    return Space(observations.shape[1:], dtype, actions.shape[1], states, tuple(map(float, low)), tuple(map(float, high)))


def _count(rows: Rows, found: Array, key: str, known: int) -> int:
    """How many numbers there are: what is known of the environment, else as many as the data shows."""
    seen = int(found.max()) + 1
    if int(found.min()) < 0 or (known and seen > known):
        raise ValueError(f"{key} must be 0 to {(known or seen) - 1}; got {found.min()} to {seen - 1} in {rows.source}")
    return known or seen


def _bounds(taken: Any, world: World | None, dimensions: int) -> tuple[Array, Array]:
    """The environment's bounds, where it says any; -1 and 1 where nobody does."""
    if hasattr(taken, "low"):
        return np.ravel(taken.low), np.ravel(taken.high)
    bound = np.full(dimensions, world.bound if world else 1.0)
    return -bound, bound


def _inside(rows: Rows, low: Array, high: Array, clip: bool) -> None:
    if len(low) != rows.actions.shape[1]:
        raise ValueError(f"actions have {rows.actions.shape[1]} dimensions, the environment's {len(low)} in {rows.source}")
    outside = ((rows.actions < low - INSIDE) | (rows.actions > high + INSIDE)).any(1)
    if outside.any() and not clip:
        row = int(np.flatnonzero(outside)[0])
        raise ValueError(
            f"actions must lie in {low.min():g} to {high.max():g}; row {row} is {rows.actions[row].tolist()} in {rows.source}; "
            "#actions=clip clips them, environment names another world"
        )


def _spaces(environment: str) -> tuple[Any, Any]:
    """What the environment shows and takes; nothing where it cannot be made here."""
    import gymnasium

    from accelerated.agents.mazes import ENVIRONMENTS

    try:
        made = ENVIRONMENTS[environment]() if environment in ENVIRONMENTS else gymnasium.make(environment)
    except (gymnasium.error.Error, ImportError, ValueError):
        return None, None
    made.close()
    return made.observation_space, made.action_space


def _dataset(
    name: str, rows: Rows, space: Space, environment: str | None, scores: tuple[float, float] | None, device: torch.device
) -> Dataset:
    def moved(array: Array, dtype: torch.dtype) -> Tensor:
        return torch.as_tensor(np.ascontiguousarray(array)).to(device, dtype)

    actions = moved(rows.actions, torch.int64 if space.discrete else torch.float32)
    if not space.discrete:
        actions = clipped_inside(actions, space)
    terminations, ends = moved(rows.terminations, torch.bool), moved(rows.ends, torch.bool)
    known = ~(terminations | ends)
    next_actions = torch.roll(actions, -1, 0) * known.reshape(-1, *[1] * (actions.ndim - 1))
    return Dataset(
        name,
        rows.source,
        moved(rows.observations, space.observation_dtype),
        actions,
        moved(rows.rewards, torch.float32),
        moved(rows.next_observations, space.observation_dtype),
        terminations,
        ends & ~terminations,
        next_actions,
        known,
        torch.nonzero(known | terminations).flatten(),
        space,
        environment,
        scores,
    )


def clipped_inside(actions: Tensor, space: Space) -> Tensor:
    """Actions no nearer to the bounds than INSIDE of the half range: a squashed policy gives them a finite probability."""
    low, high = actions.new_tensor(space.low), actions.new_tensor(space.high)
    margin = INSIDE * 0.5 * (high - low)
    return actions.clamp(low + margin, high - margin)
