"""Rollouts are the steps that were added, in their order, cut where an episode or the memory's knowledge ends."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from accelerated.agents.batch import Space
from accelerated.agents.datasets import Dataset
from accelerated.agents.rollouts import Rollouts, drawn, flat, rollout_of, taken, transitions, windows
from accelerated.agents.streams import Streams

SPACE = Space((2,), torch.float32, 1, low=(-1.0,), high=(1.0,))
COLUMNS = ("observations", "actions", "rewards", "next_observations", "terminations", "truncations", "behavior")


def played(seeds: int, envs: int, steps: int, capacity: int, number: int) -> tuple[Rollouts, list[dict[str, Tensor]]]:
    """A memory, and the list of what it was told."""
    g = torch.Generator().manual_seed(number)
    memory = Rollouts(SPACE, seeds=seeds, envs=envs, capacity=capacity, discount=0.9)
    told, observations = [], torch.randn(seeds, envs, 2, generator=g)
    for _ in range(steps):
        after = torch.randn(seeds, envs, 2, generator=g)
        ends, stops = torch.rand(seeds, envs, generator=g) < 0.2, torch.rand(seeds, envs, generator=g) < 0.2
        row: dict[str, Any] = dict(
            zip(
                COLUMNS,
                (
                    observations, torch.randn(seeds, envs, 1, generator=g), torch.randn(seeds, envs, generator=g), after, ends,
                    stops & ~ends, torch.randn(seeds, envs, 3, generator=g),
                ),
                strict=True,
            )
        )  # fmt: skip
        memory.add(**row)
        told.append(row)
        fresh = torch.randn(seeds, envs, 2, generator=g)
        observations = torch.where((ends | stops)[..., None], fresh, after)
    return memory, told


@settings(max_examples=40)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 12), st.integers(1, 6), st.integers(0, 99))
def test_a_rollout_is_the_newest_steps_in_order(seeds: int, envs: int, steps: int, rows: int, number: int) -> None:
    memory, told = played(seeds, envs, steps, rows * envs + envs - 1, number)
    found, kept = memory.rollout(), told[-rows:]
    for name in COLUMNS:
        due = torch.stack([row[name] for row in kept], 2)
        if name == "truncations":
            due[..., -1] = True
        assert torch.equal(getattr(found, name), due), name
    assert len(memory) == len(kept) * envs


@settings(max_examples=20)
@given(st.integers(1, 20), st.integers(0, 99))
def test_times_count_from_the_beginning_of_the_episode(steps: int, number: int) -> None:
    memory, told = played(1, 2, steps, 2 * 7, number)
    clock, due = torch.zeros(1, 2, dtype=torch.int64), []
    for row in told:
        due.append(clock)
        clock = torch.where(row["terminations"] | row["truncations"], 0, clock + 1)
    assert torch.equal(memory.rollout().times, torch.stack(due[-7:], 2))


def test_a_restored_memory_goes_on_alike() -> None:
    memory, _ = played(2, 2, 9, 10, 0)
    other = Rollouts(SPACE, seeds=2, envs=2, capacity=10, discount=0.9)
    other.restore({name: tensor.clone() for name, tensor in memory.tensors().items()})
    _, told = played(2, 2, 12, 10, 0)
    for row in told[9:]:
        memory.add(**row)
        other.add(**row)
    for one, two in zip(memory.rollout(), other.rollout(), strict=True):
        assert one is not None and two is not None and torch.equal(one, two)


def test_a_window_never_leaves_its_environment() -> None:
    rollout = played(2, 2, 5, 100, 1)[0].rollout()
    places = torch.arange(10).expand(2, -1)
    found = windows(rollout, places, 3)
    for place in range(10):
        env, time = divmod(place, 5)
        wanted = [min(time + ahead, 4) for ahead in range(3)]
        assert torch.equal(found.rewards[:, place], rollout.rewards[:, env, wanted])
    assert bool(found.truncations[:, 3:5].any(-1).all()), "a window that reaches the newest step is cut there"


def test_all_places_or_drawn_ones() -> None:
    rollout = played(2, 3, 4, 100, 2)[0].rollout()
    assert torch.equal(drawn(rollout, Streams((0, 1), "x"), None), torch.arange(12).expand(2, -1))
    places = drawn(rollout, Streams((0, 1), "x"), 500)
    assert places.shape == (2, 500) and set(places.unique().tolist()) == set(range(12))
    batch = transitions(rollout, places, discount=0.5)
    assert torch.equal(batch.rewards, taken(flat(rollout).rewards, places)) and bool((batch.discounts == 0.5).all())


def test_a_dataset_is_one_environments_steps() -> None:
    place, nobody = torch.arange(7), torch.zeros(7, dtype=torch.bool)
    seen = torch.randn(7, 2)
    data = Dataset(
        name="made", source="made", observations=seen, actions=seen[:, :1], rewards=seen[:, 0], next_observations=seen,
        terminations=place == 2, truncations=place == 4, next_actions=seen[:, :1], next_action_known=nobody,
        rows_with_next_actions=place, space=SPACE, environment=None, reference_scores=None,
    )  # fmt: skip
    found = rollout_of(data, 3)
    assert found.rewards.shape == (3, 1, 7)
    assert found.times[0, 0].tolist() == [0, 1, 2, 0, 1, 0, 1]
    assert found.truncations[0, 0].tolist() == [False, False, False, False, True, False, True]
    assert found.terminations[0, 0].tolist() == [False, False, True, False, False, False, False]


def test_an_empty_memory_and_a_forgotten_behavior_are_refused() -> None:
    with pytest.raises(ValueError, match="must hold a step"):
        Rollouts(SPACE, seeds=1, capacity=3, discount=0.9).rollout()
    memory, told = played(1, 1, 2, 10, 3)
    with pytest.raises(ValueError, match="behavior must be given"):
        memory.add(**{**told[0], "observations": told[1]["next_observations"], "behavior": None})
