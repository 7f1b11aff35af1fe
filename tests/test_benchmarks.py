"""The benchmarks' programs at a tiny scale: what their files hold, and figures that can be computed by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import accelerated
from accelerated.agents.finite_processes import toy_maze
from benchmarks import maze_data, overestimation, tables
from benchmarks import toy_maze as maze
from benchmarks.maze_figure import cells, laid_out

WHERE = {"command", "versions", "machine", "commit", "seconds"}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def written(folder: Path) -> dict[str, Any]:
    (path,) = folder.glob("*.json")
    assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    found = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert set(found) >= WHERE
    return dict(found)


# ------------------------------------------------------------------------------------------------------ the maze


def test_the_toy_mazes_file_holds_what_its_figure_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maze, "EXPECTILES", (0.95,))
    maze.experiment(tmp_path, seeds=(3, 4), updates=3, command=["python"])
    found = written(tmp_path)
    assert set(found["algorithms"]) == {"one_step", "iql 0.95"}
    one = found["algorithms"]["one_step"]
    assert set(one) == {"start_value", "exact_start_value", "distance_to_optimal", "returns", "from_fixed_point"}
    assert set(one["returns"]) == {"extracted", "exact_extracted", "greedy_critic", "greedy_exact_critic"}
    for part in (one["start_value"], one["distance_to_optimal"], found["iql_0.95_closer_to_optimal_than_one_step"]):
        assert len(part["values"]) == 2 and part["mean"] == pytest.approx(sum(part["values"]) / 2)


def test_the_optimal_value_is_that_of_sweeps_by_hand() -> None:
    """max_a of 0.75 · where the move leads + 0.25 · the mean over all four, with 10 for entering the goal."""
    number = {cell: state for state, cell in enumerate(cells())}
    value = np.zeros(len(number))
    for _ in range(300):
        for (row, column), state in number.items():
            landings = [number.get((row + y, column + x), state) for y, x in ((-1, 0), (0, 1), (1, 0), (0, -1))]
            worth = [10.0 if landing == 0 else maze.DISCOUNT * value[landing] for landing in landings]
            value[state] = 0.0 if state == 0 else 0.75 * max(worth) + 0.25 * np.mean(worth)
    model = toy_maze().model()
    best = accelerated.solve_optimal(model.transition, model.reward, discount=maze.DISCOUNT)
    np.testing.assert_allclose(best.value.numpy(), value, atol=1e-9)


def test_the_figure_puts_states_where_the_maze_has_them() -> None:
    grid = laid_out(np.arange(30.0))
    assert grid[0, 0] == 0 and grid[4, 0] == 23 and np.isnan(grid[2, :5]).all() and np.isnan(grid).sum() == 5
    with pytest.raises(ValueError, match="must be a value for each of the 30 cells; got 3"):
        laid_out(np.zeros(3))


def hand_data() -> maze_data.Data:
    """1 -0-> 2 -1-> goal (10);  1 -1-> 1 -0-> 1 (cut);  2 -0-> 2 (cut)."""
    columns = [
        [1, 2, 1, 1, 2],
        [0, 1, 1, 0, 0],
        [0, 10, 0, 0, 0],
        [2, 0, 1, 1, 2],
        [0, 1, 0, 0, 0],
        [1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0],
    ]
    kinds = [torch.int64, torch.int64, torch.float64, torch.int64, torch.bool, torch.int64, torch.bool]
    return maze_data.Data(*(torch.tensor(x).to(kind) for x, kind in zip(columns, kinds, strict=True)))


def test_the_fixed_points_of_data_small_enough_for_pencil_and_paper() -> None:
    """SARSA: Q(2,1) = 10, Q(1,0) = 9, Q(1,1) = 8.1. Mean: V(2) = (10 + 0.9 V(2)) / 2, which is 100 / 11."""
    used = maze_data.with_next_actions(hand_data())
    one = maze_data.sarsa_fixed_point(used, 3, 2, discount=0.9)
    np.testing.assert_allclose(one.q[1:].numpy(), [[9.0, 8.1], [0.0, 10.0]], atol=1e-12)
    np.testing.assert_allclose(one.value.numpy(), [0.0, 8.55, 10.0], atol=1e-12)
    mean = maze_data.expectile_fixed_point(hand_data(), 3, 2, expectile=0.5, discount=0.9)
    assert float(mean.value[2]) == pytest.approx(100 / 11)
    assert mean.times.tolist() == [[0, 0], [2, 1], [1, 1]]


def test_balancing_keeps_what_happens_within_each_state() -> None:
    data = hand_data()
    shorter = maze_data.Data(*(column[:2] for column in data))
    batch = maze_data.balanced([data, shorter], discount=0.9, dtype=torch.float64)
    counts = torch.bincount(batch.observations[0] * 2 + batch.actions[0], minlength=6).reshape(3, 2)
    assert counts[1:].tolist() == [[170, 85], [128, 128]]
    filled = batch.observations[1] == 0
    assert bool(batch.terminations[1][filled].all()) and not bool(batch.rewards[1][filled].any())


# ------------------------------------------------------------------------------------------------ overestimation


def test_overestimation_holds_estimate_truth_and_their_difference(tmp_path: Path) -> None:
    """CartPole pays 1 a step: the return of an episode of n steps averages to Σ_k (1 - 0.99^k) / 0.01 / n over its states."""
    changes = ["hidden=8", "batch_size=8", "learning_starts=8", "update_every=8", "updates_per_round=1"]
    overestimation.experiment(
        tmp_path,
        environment="CartPole-v1",
        seeds=(0, 1),
        steps=40,
        evaluations=2,
        episodes=1,
        overrides=changes,
        command=["python"],
    )
    found = written(tmp_path)
    rows = found["readings"]
    assert isinstance(rows, list) and len(rows) == 2 * 2 * 2
    for row in rows:
        length = int(row["states"])
        assert row["returns"] == length < 500
        assert row["truth"] == pytest.approx(np.mean([(1 - 0.99**k) / 0.01 for k in range(1, length + 1)]))
        assert row["difference"] == pytest.approx(row["estimate"] - row["truth"])
    final = found["final_difference"]
    assert isinstance(final, dict) and set(final) == {"DQN", "Double DQN", "DQN minus Double DQN"}
    gaps = [final["DQN"]["seeds"][i] - final["Double DQN"]["seeds"][i] for i in range(2)]
    assert final["DQN minus Double DQN"]["seeds"] == pytest.approx(gaps)


def test_only_states_with_complete_returns_count() -> None:
    """At discount 0.1 two steps complete a return. The first world terminates; the second is cut by a limit after 3 steps."""
    flags = {name: torch.zeros(1, 2, 4, dtype=torch.bool) for name in ("terminations", "truncations", "going")}
    flags["terminations"][0, 0, 1] = flags["truncations"][0, 1, 2] = True
    flags["going"][0, 0, :2] = flags["going"][0, 1, :3] = True
    rewards = torch.tensor([[[1.0, 2.0, 50.0, 50.0], [3.0, 4.0, 5.0, 50.0]]])
    estimates = torch.tensor([[[1.0, 2.0, 90.0, 90.0], [3.0, 6.0, 90.0, 90.0]]])
    found = overestimation.averages(overestimation.Visits(estimates, rewards, **flags), discount=0.1)
    assert found.states.tolist() == [4] and found.returns.tolist() == [7.5]
    assert found.estimate.tolist() == [3.0]
    assert found.truth == pytest.approx(np.mean([1.2, 2.0, 3.45, 4.5]))


def test_where_no_state_counts_nothing_is_made_up() -> None:
    """A limit shorter than the horizon leaves no complete return: NaN here, null in the file."""
    cut = torch.tensor([[[False, True]]])
    visits = overestimation.Visits(torch.ones(1, 1, 2), torch.ones(1, 1, 2), torch.zeros_like(cut), cut, torch.ones_like(cut))
    found = overestimation.averages(visits, discount=0.99)
    assert np.isnan(found.truth).all() and found.states.tolist() == [0]
    both = overestimation.Readings(*(np.stack([part, part]) for part in found))
    told = overestimation.summary({"DQN": both, "Double DQN": both}, [1, 2], [0])
    assert told["readings"][0]["truth"] is None and told["final_difference"]["DQN"]["mean"] is None


def test_the_readmes_tables_are_those_of_the_results() -> None:
    """No figure is written by hand: what `python -m benchmarks.tables` would write is there."""
    text = (Path(__file__).parent.parent / "README.md").read_text()
    assert text.count("<!-- table:") == len(tables.TABLES)
    assert tables.rewritten(text) == text
    assert tables.rewritten(text.replace("| 1.711 |", "| 9.999 |")) == text, "a figure changed by hand is put right"
