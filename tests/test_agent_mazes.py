"""The mazes of the offline sets: their geometry, their rewards, their ends, and that an episode is its seed and its actions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("gymnasium")
pytest.importorskip("mujoco")

from accelerated.agents import mazes  # noqa: E402
from accelerated.agents.scores import REFERENCE_SCORES, WORLDS, normalized_score  # noqa: E402

MAZES = [name for name in mazes.ENVIRONMENTS if not name.startswith("door")]


def towards(rows: tuple[str, ...], goal: tuple[int, int]) -> dict[tuple[int, int], tuple[int, int]]:
    """From each free cell the next one on a shortest way to the goal."""
    found, queue = {goal: goal}, [goal]
    for i, j in queue:
        for cell in ((i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)):
            if rows[cell[0]][cell[1]] != "#" and cell not in found:
                found[cell] = (i, j)
                queue.append(cell)
    return found


def played(environment: Any, seed: int, act: Any) -> tuple[list[Any], float, bool]:
    """Observations, return, whether it terminated."""
    observation, _ = environment.reset(seed=seed)
    seen, total, over, terminated = [observation], 0.0, False, False
    while not over:
        observation, reward, terminated, truncated, _ = environment.step(act(observation))
        seen.append(observation)
        total, over = total + reward, terminated or truncated
    return seen, total, terminated


@pytest.mark.parametrize("name", MAZES)
def test_an_episode_is_its_seed_and_its_actions(name: str) -> None:
    """Also in an environment that has played other episodes before: nothing of the simulator survives a reset."""
    environment = mazes.make(name, max_episode_steps=100)
    runs = []
    for seed in (7, 8, 7):
        actions = np.random.default_rng(seed).uniform(-1, 1, (100, 2))
        script = iter(actions)
        runs.append(played(environment, seed, lambda _, script=script: next(script)))
    assert np.array_equal(runs[0][0], runs[2][0]) and not np.array_equal(runs[0][0], runs[1][0])
    assert len(runs[0][0]) == 101


def test_the_ball_of_the_u_maze_follows_newton() -> None:
    """v' = v + dt (force - damping v') / mass, x' = x + dt v': MuJoCo integrates the damping implicitly."""
    environment = mazes.make("maze2d-umaze-v1")
    environment.reset(seed=0, options={"state": [1.0, 2.0, 0.0, 0.0]})
    observation, reward, *_ = environment.step(np.array([0.0, 0.5]))
    mass = 1000 * 4 / 3 * np.pi * 0.1**3
    velocity = 0.01 * 50.0 / (mass + 0.01)
    assert np.allclose(observation, [1.0, 2.0 + 0.01 * velocity, 0.0, velocity], rtol=1e-12, atol=1e-12)
    assert reward == 0.0


def test_the_u_maze_pays_near_the_goal_and_never_ends() -> None:
    environment = mazes.make("maze2d-umaze-v1")
    environment.reset(seed=0, options={"state": [1.0, 1.45, 0.0, 0.0]})
    results = [environment.step(np.zeros(2)) for _ in range(300)]
    assert [result[1] for result in results] == [1.0] * 300
    assert not any(result[2] for result in results) and [result[3] for result in results].index(True) == 299


def test_walls_hold_the_ball() -> None:
    """Pushed against each side of the U maze's first cell, the ball stays in it: its centre no nearer than its radius."""
    environment = mazes.make("maze2d-umaze-v1")
    for push in ((-1.0, 0.0), (0.0, -1.0), (1.0, 0.0)):
        environment.reset(seed=0, options={"state": [0.8, 0.8, 0.0, 0.0]})
        for _ in range(200):
            observation, *_ = environment.step(np.array(push))
        assert (np.abs(observation[:2] - 0.8) < 0.4 + 0.06).all()


def test_a_shift_is_a_fifth_of_the_action_and_success_is_of_the_state_before() -> None:
    environment = mazes.make("pointmaze-medium-navigate-singletask-task1-v0")
    environment.reset(seed=0, options={"state": [18.9, 20.0]})
    observation, reward, terminated, *_ = environment.step(np.array([1.0, 0.0]))
    assert np.allclose(observation, [19.1, 20.0], rtol=0, atol=1e-12)
    assert (reward, terminated) == (-1.0, False)
    _, reward, terminated, *_ = environment.step(np.array([0.0, 0.0]))
    assert (reward, terminated) == (0.0, True)


def test_the_shortest_way_solves_every_task_of_the_medium_maze() -> None:
    for task, (_, goal) in enumerate(mazes.MEDIUM_TASKS, 1):
        way = towards(mazes.MEDIUM, goal)

        def act(position: Any, way: Any = way) -> Any:
            i, j = way[round((position[1] + 4) / 4), round((position[0] + 4) / 4)]
            gap = np.array([4.0 * j - 4, 4.0 * i - 4]) - position
            return gap / max(float(np.linalg.norm(gap)), 1.0)

        environment = mazes.make(f"pointmaze-medium-navigate-singletask-task{task}-v0")
        seen, total, terminated = played(environment, task, act)
        assert terminated and total == 2 - len(seen) and len(seen) < 250


def test_d4rls_controller_reaches_the_expert_score_in_the_u_maze() -> None:
    """Waypoints at the cells' centres, force 10 (waypoint - position) - velocity."""
    way, environment = towards(mazes.UMAZE, (1, 1)), mazes.make("maze2d-umaze-v1")

    def act(state: Any) -> Any:
        i, j = min(way, key=lambda cell: float(np.linalg.norm(np.array(cell) - 0.2 - state[:2])))
        waypoint = np.array(way[i, j]) - 0.2 if (i, j) != (1, 1) else np.ones(2)
        return np.clip(10 * (waypoint - state[:2]) - state[2:], -1, 1)

    returns = torch.tensor([played(environment, seed, act)[1] for seed in range(20)])
    assert float(normalized_score(returns, REFERENCE_SCORES["maze2d-umaze"]).mean()) > 100


def test_every_world_of_the_table_is_an_environment() -> None:
    import gymnasium

    for world in WORLDS.values():
        name = world.environment and world.environment.format(task=1)
        assert name is None or name in mazes.ENVIRONMENTS or name in gymnasium.registry


def test_wrong_names_tasks_and_horizons_are_refused() -> None:
    with pytest.raises(ValueError, match="must be one of maze2d-umaze-v1"):
        mazes.make("maze2d-tiny-v1")
    with pytest.raises(ValueError, match="task must be one of 1 to 5; got 6"):
        mazes.make("pointmaze-medium-navigate", task=6)
    with pytest.raises(ValueError, match="max_episode_steps must be at least 1; got 0"):
        mazes.make("maze2d-umaze-v1", max_episode_steps=0)


@pytest.mark.filterwarnings("ignore")
def test_the_door_pays_for_nearness_to_the_handle() -> None:
    """reward = -0.1 distance - 0.1 (angle - 1.57)^2 - 1e-5 |velocity|^2, plus bonuses for an open door."""
    pytest.importorskip("gymnasium_robotics")
    environment: Any = mazes.make("door-human-v1", max_episode_steps=5)
    environment.reset(seed=0)
    for _ in range(5):
        observation, reward, terminated, truncated, _ = environment.step(environment.action_space.sample() * 0)
        due = -0.1 * np.linalg.norm(observation[35:38]) - 0.1 * (observation[28] - 1.57) ** 2
        velocity = environment.unwrapped.data.qvel
        assert reward == pytest.approx(due - 1e-5 * (velocity**2).sum(), abs=1e-9)
    assert truncated and not terminated
