"""The BitFlip benchmark at a tiny scale: what its files hold, and returns that can be counted by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from test_benchmarks import written

from benchmarks import bit_flip


def test_the_file_holds_what_the_figure_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = {
        name: (kind, options | {key: 2 for key in ("policy_steps", "critic_steps", "value_steps") if key in options})
        for name, (kind, options) in bit_flip.ALGORITHMS.items()
    }
    monkeypatch.setattr(bit_flip, "ALGORITHMS", few)
    monkeypatch.setattr(bit_flip, "STEPS", 2)
    bit_flip.experiment(tmp_path, bits=(2, 3), seeds=(0, 5), rounds=1, command=["python"])
    found = written(tmp_path)
    assert [(row["bits"], row["algorithm"]) for row in found["results"]] == [(n, name) for n in (2, 3) for name in few]
    assert all(len(row["return"]["values"]) == 2 for row in found["results"])
    assert all(abs(value) < 1 for row in found["results"] for value in row["return"]["values"])
    assert [part["bits"] for part in found["memory"]["of_bits"]] == [2, 3]


def test_turning_zeros_first_earns_the_largest_return() -> None:
    for count in (1, 3, 6):
        states = bit_flip.states_of(count)
        policy = torch.nn.functional.one_hot(states.argmin(-1), count)[None]  # a zero where there is one
        best = bit_flip.largest(count).double().mean()
        torch.testing.assert_close(bit_flip.returns_of(policy), best[None])
        even = torch.full((1, 2**count, count), 1 / count)
        torch.testing.assert_close(bit_flip.returns_of(even), torch.zeros(1, dtype=torch.float64))


def test_two_bits_by_hand() -> None:
    """From 11 five steps earn -1 at best, from 01 and 10 one, from 00 two less one."""
    assert bit_flip.largest(2).tolist() == [1.0, 1.0, 1.0, -1.0]


def test_a_memory_is_five_steps_of_the_world() -> None:
    memory = bit_flip.collected(3, (0, 1))
    assert memory.rewards.shape == (2, bit_flip.EPISODES, 5) and bool(memory.truncations[..., -1].all())
    turned = (memory.next_observations - memory.observations).gather(-1, memory.actions.unsqueeze(-1)).squeeze(-1)
    assert torch.equal(turned, memory.rewards) and set(turned.unique().tolist()) == {-1.0, 1.0}
    assert torch.equal(memory.observations[:, :, 1:], memory.next_observations[:, :, :-1])
    assert not torch.equal(memory.actions[0], memory.actions[1])
    covered = bit_flip.coverage(memory, 3)
    assert 2.5 < covered["actions_of_a_state"] <= 3 and covered["states_with_one_action"] < 0.1
