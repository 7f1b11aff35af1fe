"""Files become transitions: ends, next observations, next actions, tasks, bounds, rewards; and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from accelerated.agents import datasets
from accelerated.agents.datasets import RewardTransform, load, sample, space_of, trajectory_returns, transform_for
from accelerated.agents.scores import REFERENCE_SCORES, WORLDS, normalized_score, world_of
from accelerated.agents.streams import Streams

LENGTHS = (5, 3, 4)
"""Trajectories of the small data: the first terminates, the second times out, the third terminates."""


def arrays(**changed: Any) -> dict[str, Any]:
    """Positions on a line: trajectory k begins at 100 k and each step goes 1 further; the action is the position / 1000."""
    position = np.concatenate([100.0 * k + np.arange(n) for k, n in enumerate(LENGTHS)])
    last = np.cumsum(LENGTHS) - 1
    ends = np.isin(np.arange(len(position)), last)
    found = {
        "observations": np.stack([position, -position], 1).astype(np.float32),
        "actions": (position[:, None] / 1000).astype(np.float32),
        "rewards": np.arange(len(position), dtype=np.float64) / 7,
        "terminals": ends & (np.arange(len(position)) != last[1]),
        "timeouts": ends & (np.arange(len(position)) == last[1]),
        "boundary_next_obs": np.stack([position[last] + 1, -position[last] - 1], 1).astype(np.float32),
    }
    return {key: value for key, value in (found | changed).items() if value is not None}


def npz(path: Path, **changed: Any) -> str:
    np.savez(path, **arrays(**changed))
    return str(path)


def next_observations() -> Any:
    return arrays()["observations"] + np.array([1, -1], np.float32)


def refusal(path: str, **options: Any) -> str:
    """The error's text, which must be one line."""
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        load(path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---------------------------------------------------------------------------------------------------- what is read


def test_next_observations_are_the_next_row_and_at_the_ends_the_final_observation(tmp_path: Path) -> None:
    """boundary_next_obs, next_observations: two spellings of the same transitions."""
    boundary = load(npz(tmp_path / "line.npz"))
    given = load(npz(tmp_path / "given.npz", boundary_next_obs=None, next_observations=next_observations()))
    for data in (boundary, given):
        assert torch.equal(data.next_observations, torch.from_numpy(next_observations()))
        assert data.terminations.tolist() == arrays()["terminals"].tolist()
        assert data.truncations.tolist() == arrays()["timeouts"].tolist()
    assert boundary.observations.dtype == boundary.rewards.dtype == torch.float32


def test_trajectories_without_timeout_flags_are_split_where_the_next_observation_is_not_the_next_row(tmp_path: Path) -> None:
    """The author's rule: |observations[i + 1] - next_observations[i]| > 1e-6."""
    path = npz(tmp_path / "line.npz", boundary_next_obs=None, next_observations=next_observations(), timeouts=None)
    assert load(path).truncations.tolist() == arrays()["timeouts"].tolist()


def test_the_last_row_before_a_timeout_is_left_out_where_its_next_observation_is_nowhere(tmp_path: Path) -> None:
    """A terminal row stays: its next observation is never used."""
    data = load(npz(tmp_path / "line.npz", boundary_next_obs=None))
    assert len(data.rewards) == sum(LENGTHS) - 1
    assert not (data.observations[:, 0] == 102).any()
    assert data.truncations.nonzero().flatten().tolist() == [6]
    kept = ~data.terminations
    assert torch.equal(data.next_observations[kept, 0], data.observations[kept, 0] + 1)


def test_next_actions_are_the_next_rows_and_never_cross_an_end(tmp_path: Path) -> None:
    data = load(npz(tmp_path / "line.npz"))
    cut = data.terminations | data.truncations
    assert torch.equal(data.next_action_known, ~cut)
    assert torch.equal(data.next_actions[~cut], data.actions[1:][~cut[:-1]])
    assert not data.next_actions[cut].any()
    assert data.rows_with_next_actions.tolist() == (~data.truncations).nonzero().flatten().tolist()


def test_a_planner_that_goes_on_ends_no_trajectory(tmp_path: Path) -> None:
    """D4RL's maze2d: no flags; where the planner is done, the next row is still the next state."""
    changed = {"terminals": None, "timeouts": None, "boundary_next_obs": None}
    data = load(npz(tmp_path / "line.npz", planner_done=arrays()["terminals"], **changed))
    assert len(data.rewards) == sum(LENGTHS) - 1
    assert data.truncations.nonzero().flatten().tolist() == [sum(LENGTHS) - 2]
    assert not data.terminations.any()


def test_of_a_task_success_terminates_and_the_last_row_is_only_a_next_observation(tmp_path: Path) -> None:
    """OGBench: rewards -1 and 0, masks = 1 - success."""
    rewards = np.full((2, sum(LENGTHS)), -1, np.int8)
    rewards[1, 2] = 0
    changed = {"rewards": None, "timeouts": None, "boundary_next_obs": None}
    ends = arrays()["terminals"] | arrays()["timeouts"]
    path = npz(tmp_path / "ogb-pointmaze-medium-x.npz", terminals=ends, task_rewards=rewards, **changed)
    first, second = load(path), load(path + "#task=2")
    assert len(first.rewards) == len(second.rewards) == sum(LENGTHS) - len(LENGTHS)
    assert torch.equal(second.next_observations[:, 0], second.observations[:, 0] + 1)
    assert second.terminations.nonzero().flatten().tolist() == [2] == (second.rewards == 0).nonzero().flatten().tolist()
    assert second.truncations.nonzero().flatten().tolist() == [3, 5, 8]
    assert not first.terminations.any() and (first.rewards == -1).all()
    assert second.environment == "pointmaze-medium-navigate-singletask-task2-v0"
    assert "task must be one of 1 to 2; got 3" in refusal(path + "#task=3")


def test_hdf5_and_npz_give_the_same(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "line.hdf5", "w") as file:
        for key, value in arrays().items():
            file.create_dataset(key, data=value)
        file.create_dataset("infos/qpos", data=np.zeros(3))
    one, other = load(npz(tmp_path / "line.npz")), load(str(tmp_path / "line.hdf5"))
    for name, field in one._asdict().items():
        if isinstance(field, torch.Tensor):
            assert torch.equal(field, getattr(other, name)), name
    assert space_of(one) == space_of(other)
    assert one.source != other.source and "sha256:" in one.source


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_minari_and_npz_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Episodes of T + 1 observations; scores, environment and bounds from the metadata; nothing is fetched."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    stored("line/small-v0", lambda shown: shown, lambda spaces: spaces.Box(-np.inf, np.inf, (2,), np.float32))
    one, other = load(npz(tmp_path / "line.npz")), load("line/small-v0")
    for name, field in one._asdict().items():
        if isinstance(field, torch.Tensor):
            assert torch.equal(field, getattr(other, name)), name
    assert other.reference_scores == (1.0, 3.0)
    assert other.environment == "MountainCarContinuous-v0"
    assert space_of(other).low == (-2.0,)
    assert "there is no Minari data set line/other-v0" in refusal("line/other-v0")


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_parts_of_a_minari_observation_are_joined_as_flatten_observation_joins_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    spaces: Any = pytest.importorskip("gymnasium").spaces
    whole = spaces.Dict({name: spaces.Box(-np.inf, np.inf, (1,), np.float32) for name in ("observation", "goal")})
    stored("line/parts-v0", lambda shown: {"observation": shown[:, :1], "goal": shown[:, 1:]}, lambda _: whole)
    due = spaces.flatten(whole, {"observation": np.zeros(1, np.float32), "goal": np.ones(1, np.float32)})
    data = load("line/parts-v0")
    assert due.tolist() == [1.0, 0.0]
    assert torch.equal(data.observations, torch.from_numpy(arrays()["observations"][:, ::-1].copy()))


def stored(name: str, shown_as: Any, space: Any) -> None:
    """The small data as a Minari data set."""
    minari = pytest.importorskip("minari")
    pytest.importorskip("h5py")
    gymnasium: Any = pytest.importorskip("gymnasium")
    episode_of = pytest.importorskip("minari.data_collector").EpisodeBuffer

    rows, ends = arrays(), np.cumsum(LENGTHS)
    episodes = []
    for k, (start, end) in enumerate(zip(ends - LENGTHS, ends, strict=True)):
        shown = np.concatenate([rows["observations"][start:end], rows["boundary_next_obs"][k : k + 1]])
        columns = [rows[key][start:end] for key in ("actions", "rewards", "terminals", "timeouts")]
        episodes.append(episode_of(k, None, None, shown_as(shown), *columns, infos={}))
    minari.create_dataset_from_buffers(
        name,
        episodes,
        env="MountainCarContinuous-v0",
        observation_space=space(gymnasium.spaces),
        action_space=gymnasium.spaces.Box(-2.0, 2.0, (1,), np.float32),
        ref_min_score=1.0,
        ref_max_score=3.0,
    )


def test_discrete_actions_and_state_numbers_make_a_space_of_tables(tmp_path: Path) -> None:
    count = sum(LENGTHS)
    changed = {"observations": np.arange(count), "actions": np.arange(count) % 3, "boundary_next_obs": None}
    data = load(npz(tmp_path / "table.npz", **changed))
    assert data.observations.dtype == data.actions.dtype == torch.int64
    assert (data.space.states, data.space.actions, data.space.discrete) == (count, 3, True)
    lake = load(npz(tmp_path / "table.npz", **changed), environment="FrozenLake-v1")
    assert (lake.space.states, lake.space.actions) == (16, 4)


# ---------------------------------------------------------------------------------------------------- sampling


def test_a_seed_samples_the_same_alone_as_among_others(tmp_path: Path) -> None:
    data = load(npz(tmp_path / "line.npz"))
    both = sample(data, Streams([3, 4], "draws"), 64, discount=0.9)
    alone = sample(data, Streams([4], "draws"), 64, discount=0.9)
    assert both.observations.shape == (2, 64, 2) and both.rewards.shape == (2, 64)
    assert torch.equal(both.observations[1], alone.observations[0])
    assert not torch.equal(both.observations[0], both.observations[1])
    assert torch.equal(both.next_observations[..., 0], both.observations[..., 0] + 1)
    assert (both.discounts == torch.tensor(0.9)).all() and both.next_actions is None


def test_with_next_actions_no_row_is_drawn_whose_next_action_is_missing(tmp_path: Path) -> None:
    batch = sample(load(npz(tmp_path / "line.npz")), Streams([0], "draws"), 512, discount=0.9, with_next_actions=True)
    assert batch.next_actions is not None
    assert not (batch.observations[..., 0] == 102).any()
    going = ~batch.terminations
    assert torch.allclose(batch.next_actions[going][:, 0], batch.next_observations[going][:, 0] / 1000)


def test_continuous_actions_lie_strictly_inside_the_bounds(tmp_path: Path) -> None:
    """The author clips to 1 - 1e-5: a squashed policy gives the bound itself no probability."""
    data = load(npz(tmp_path / "line.npz", actions=np.ones((sum(LENGTHS), 1), np.float32)))
    assert (data.actions == torch.tensor(1 - 1e-5)).all()


# ---------------------------------------------------------------------------------------------------- rewards and scores


def test_returns_are_those_of_each_trajectory(tmp_path: Path) -> None:
    due = [part.sum() for part in np.split(arrays()["rewards"], np.cumsum(LENGTHS)[:-1])]
    found = trajectory_returns(load(npz(tmp_path / "line.npz")))
    assert np.allclose(found, due, rtol=sum(LENGTHS) * 2**-24)


def test_locomotion_spreads_the_returns_over_a_thousand(tmp_path: Path) -> None:
    data = load(npz(tmp_path / "line.npz"))
    scaled = data._replace(rewards=transform_for(data, "locomotion")(data.rewards))
    returns = trajectory_returns(scaled)
    assert float(returns.max() - returns.min()) == pytest.approx(1000.0, rel=sum(LENGTHS) * 2**-22)
    assert transform_for(data, "none") == RewardTransform()
    assert transform_for(data, "antmaze") == RewardTransform(shift=-1.0)
    with pytest.raises(ValueError, match="must be one of none, locomotion, antmaze; got 'maze'"):
        transform_for(data, "maze")
    with pytest.raises(ValueError, match="locomotion needs trajectories with different returns"):
        transform_for(data._replace(rewards=torch.zeros_like(data.rewards)), "locomotion")


def test_a_transition_is_worth_the_same_online_and_offline(tmp_path: Path) -> None:
    """A simulator's float64 reward, transformed, equals the stored float32 one, transformed: bit for bit."""
    rewards = np.random.default_rng(0).normal(size=sum(LENGTHS)) * 10.0
    data = load(npz(tmp_path / "line.npz", rewards=rewards))
    for kind in ("none", "locomotion", "antmaze"):
        transform = transform_for(data, kind)
        online = transform(torch.from_numpy(rewards))
        assert online.dtype == torch.float64
        assert torch.equal(online, transform(data.rewards).double())


def test_scores_are_zero_at_the_random_policy_and_a_hundred_at_the_expert() -> None:
    for low, high in REFERENCE_SCORES.values():
        found = normalized_score(torch.tensor([low, high, (low + high) / 2], dtype=torch.float64), (low, high))
        assert torch.allclose(found, torch.tensor([0.0, 100.0, 50.0], dtype=torch.float64), atol=1e-11)
    with pytest.raises(ValueError, match="min < max"):
        normalized_score(torch.zeros(1), (1.0, 1.0))


def test_a_files_name_says_where_it_is_evaluated() -> None:
    assert world_of("a/hopper_medium-v2.hdf5") == WORLDS["hopper"]
    assert world_of("cs285-expert-hopper-v4.npz") == WORLDS["cs285-expert-hopper"]
    assert world_of("mine.npz") is None
    assert world_of("mine.npz", "Hopper-v4") == WORLDS["hopper"]
    assert world_of("hopper.npz", "Elsewhere-v0") is None
    task = world_of("ogb-pointmaze-medium-navigate.npz", task=4)
    assert task is not None and task.environment == "pointmaze-medium-navigate-singletask-task4-v0"


# ---------------------------------------------------------------------------------------------------- what is refused

SHORT = {"actions": np.zeros((3, 1), np.float32)}
HOLE = {"observations": np.where(np.arange(24).reshape(12, 2) == 8, np.nan, 0.0)}
WIDE = {"actions": np.full((12, 1), 1.5, np.float32)}


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"actions": None}, "actions is missing"),
        ({"rewards": None}, "rewards is missing"),
        ({"terminals": None}, "terminals is missing"),
        (SHORT, "actions has 3 rows, observations has 12; they must be equal"),
        (HOLE, "observations must be finite; row 4 holds NaN"),
        (WIDE, "actions must lie in -1 to 1; row 0 is [1.5]"),
        ({"rewards": np.zeros((12, 1))}, "rewards must be [12], one number a row; got [12, 1]"),
        ({"rewards": np.float64(1.0)}, "rewards must have a row for each transition"),
        ({"boundary_next_obs": np.zeros((2, 2))}, "boundary_next_obs must have a row for each of 3 ends; got 2"),
        ({"boundary_next_obs": None, "next_observations": np.zeros((12, 3))}, "a row of next_observations must be [2]"),
        ({"actions": np.full(12, -1)}, "actions must be 0 to -1"),
        ({"actions": np.zeros(12)}, "actions must be [N] integers or [N, D] reals"),
        ({"observations": np.array(["a"] * 12)}, "observations must hold numbers"),
        ({"observations": np.array([None] * 12)}, "without pickled objects"),
        ({key: value[:0] for key, value in arrays().items()}, "is empty"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_one_line(tmp_path: Path, changed: dict[str, Any], text: str) -> None:
    path = npz(tmp_path / "line.npz", **changed)
    found = refusal(path)
    assert text in found and path in found


def test_no_file_no_archive_no_id_is_said_in_one_line(tmp_path: Path) -> None:
    assert "there is no" in refusal(str(tmp_path / "absent.npz"))
    for ending in ("npz", "hdf5"):
        (tmp_path / f"broken.{ending}").write_bytes(b"not an archive")
        assert f"a .{ending} must be" in refusal(str(tmp_path / f"broken.{ending}"))
    assert "or a Minari id" in refusal("walking.csv")
    assert "after # there must be" in refusal(npz(tmp_path / "line.npz") + "#tasks=1")
    assert "#task= is for files with task_rewards" in refusal(npz(tmp_path / "line.npz") + "#task=1")


def test_actions_outside_are_clipped_where_that_is_asked_for(tmp_path: Path) -> None:
    path = npz(tmp_path / "line.npz", **WIDE)
    assert (load(path + "#actions=clip").actions == torch.tensor(1 - 1e-5)).all()


def test_the_environments_bounds_count_where_one_is_named(tmp_path: Path) -> None:
    data = load(npz(tmp_path / "line.npz", **WIDE), environment="Pendulum-v1")
    assert data.space.low == (-2.0,) and data.environment == "Pendulum-v1"
    assert datasets.space_of(data).high == (2.0,)
