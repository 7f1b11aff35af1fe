"""Point mazes in which policies of offline data are evaluated: D4RL's maze2d-umaze and OGBench's pointmaze-medium.

    ENVIRONMENTS["maze2d-umaze-v1"](max_episode_steps=300) -> gymnasium.Env

Both are MuJoCo models built here from the published parameters, so that neither D4RL nor OGBench need be installed.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from accelerated.agents.manipulation import make_door

Array = NDArray[np.float64]
Forces = NDArray[np.float32]

UMAZE = ("#####", "#G..#", "###.#", "#...#", "#####")
MEDIUM = ("########", "#..##..#", "#..#...#", "##...###", "#..#...#", "#.#..#.#", "#...#..#", "########")
MEDIUM_TASKS = (((1, 1), (6, 6)), ((6, 1), (1, 6)), ((5, 3), (4, 2)), ((6, 5), (6, 1)), ((2, 6), (1, 1)))
"""Start and goal of OGBench's five tasks, as (row, column)."""


class Physics(NamedTuple):
    """The point mass of a maze, a sphere on two sliding joints, and its walls, square boxes.

    lift   the height of the sphere's centre
    wall   height of a box's centre, half its height, half its side
    start  where the sphere is at position (0, 0)
    """

    radius: float
    lift: float
    density: float
    damping: float
    gear: float
    wall: tuple[float, float, float]
    start: tuple[float, float]
    surface: str
    option: str


D4RL = Physics(
    radius=0.1,
    lift=0.0,
    density=1000.0,
    damping=1.0,
    gear=100.0,
    wall=(0.0, 0.2, 0.5),
    start=(1.2, 1.2),
    surface="friction='.5 .1 .1' margin='0.002' condim='1'",
    option="timestep='0.01' gravity='0 0 0' iterations='20'",
)
OGBENCH = Physics(
    radius=0.7,
    lift=0.7,
    density=100.0,
    damping=0.0,
    gear=1.0,
    wall=(1.0, 1.0, 2.0),
    start=(0.0, 0.0),
    surface="friction='1 .5 .5' margin='0' condim='3'",
    option="timestep='0.02' integrator='RK4'",
)


class ForceMaze(gymnasium.Env[Array, Forces]):
    """D4RL's maze2d: a force on a ball, reward 1 within 0.5 of the goal, and no end but the horizon.

    observations  [4] position and velocity; cell (row, column) has its centre at (row - 0.2, column - 0.2)
    actions       [2] in [-1, 1], a force of 100 each; velocities are clipped to [-5, 5] before each step
    reward        1.0 where the position after the step lies within 0.5 of the goal, (1, 1) in the U maze, else 0.0; D4RL's
                  stored reward of a row is that of the position before the step
    episodes      start in any free cell, the goal's too, +-0.1, at velocities N(0, 0.1^2); max_episode_steps truncates
    source        Fu et al. 2020, D4RL, pointmaze/maze_model.py: MazeEnv
    """

    metadata: dict[str, Any] = {"render_modes": []}

    def __init__(self, rows: tuple[str, ...], *, max_episode_steps: int) -> None:
        import mujoco

        walls = [(i + 1.0, j + 1.0) for i, row in enumerate(rows) for j, cell in enumerate(row) if cell == "#"]
        self._mujoco, self.max_episode_steps = mujoco, _horizon(max_episode_steps)
        self.model = mujoco.MjModel.from_xml_string(model_text(D4RL, walls))
        self.data = mujoco.MjData(self.model)
        cells = [(i, j, cell) for i, row in enumerate(rows) for j, cell in enumerate(row)]
        self.starts = np.array([(i, j) for i, j, cell in cells if cell == "."] + [(i, j) for i, j, cell in cells if cell == "G"])
        self.goal = np.array([(i, j) for i, j, cell in cells if cell == "G"][0], float)
        self.observation_space = Box(-np.inf, np.inf, (4,), np.float64)
        self.action_space = Box(-1.0, 1.0, (2,), np.float32)
        self._steps = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """Put the ball into a free cell; options={"state": [4]} puts it there instead."""
        super().reset(seed=seed)
        cell = self.starts[self.np_random.integers(len(self.starts))]
        position = cell + self.np_random.uniform(-0.1, 0.1, 2)
        state = np.concatenate([position, 0.1 * self.np_random.standard_normal(2)])
        state = np.asarray((options or {}).get("state", state), float)
        self._steps = 0
        self._mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[:], self.data.qvel[:] = state[:2], state[2:]
        self._mujoco.mj_forward(self.model, self.data)
        return self._state(), {}

    def step(self, action: Forces) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Push for 0.01 seconds."""
        np.clip(self.data.qvel, -5.0, 5.0, out=self.data.qvel)
        self.data.ctrl[:] = np.clip(action, -1.0, 1.0)
        self._mujoco.mj_step(self.model, self.data)
        self._steps += 1
        state = self._state()
        inside = bool(np.linalg.norm(state[:2] - self.goal) <= 0.5)
        return state, float(inside), False, self._steps >= self.max_episode_steps, {"success": inside}

    def _state(self) -> Array:
        return np.concatenate([self.data.qpos, self.data.qvel])


class ShiftMaze(gymnasium.Env[Array, Forces]):
    """OGBench's pointmaze with one task: an action moves the ball by a fifth of itself, reaching the goal ends the episode.

    observations  [2] position; cell (row, column) has its centre at (4 column - 4, 4 row - 4)
    actions       [2] in [-1, 1]
    reward        0 where the state BEFORE the step lies within 1 of the goal, else -1; the episode then terminates. The state
                  before, because that is what the rewards of a relabelled data set mean (success_timing="pre")
    episodes      start at the task's cell, +-1 in both directions; max_episode_steps truncates
    source        Park et al. 2024, OGBench, ogbench/locomaze/{maze,point}.py, singletask
    """

    metadata: dict[str, Any] = {"render_modes": []}

    def __init__(self, rows: tuple[str, ...], start: tuple[int, int], goal: tuple[int, int], *, max_episode_steps: int) -> None:
        import mujoco

        walls = [_center((i, j)) for i, row in enumerate(rows) for j, cell in enumerate(row) if cell == "#"]
        self._mujoco, self.max_episode_steps = mujoco, _horizon(max_episode_steps)
        self.model = mujoco.MjModel.from_xml_string(model_text(OGBENCH, walls))
        self.data = mujoco.MjData(self.model)
        self.start, self.goal = np.array(_center(start)), np.array(_center(goal))
        self.observation_space = Box(-np.inf, np.inf, (2,), np.float64)
        self.action_space = Box(-1.0, 1.0, (2,), np.float32)
        self._steps = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """Put the ball near the task's start; options={"state": [2]} puts it there instead."""
        super().reset(seed=seed)
        position = self.start + self.np_random.uniform(-1.0, 1.0, 2)
        self._steps = 0
        self._mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[:] = np.asarray((options or {}).get("state", position), float)
        self._mujoco.mj_forward(self.model, self.data)
        return self.data.qpos.copy(), {}

    def step(self, action: Forces) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Shift the ball, then let walls push it out for 0.1 seconds."""
        success = bool(np.linalg.norm(self.data.qpos - self.goal) <= 1.0)
        self.data.qpos[:] += 0.2 * np.clip(action, -1.0, 1.0)
        self.data.qvel[:] = 0.0
        self._mujoco.mj_step(self.model, self.data, nstep=5)
        self._steps += 1
        cut = self._steps >= self.max_episode_steps
        return self.data.qpos.copy(), float(success) - 1.0, success, cut, {"success": success}


def model_text(physics: Physics, walls: list[tuple[float, float]]) -> str:
    """A MuJoCo model of the ball among walls at these places."""
    z, half_height, half = physics.wall
    axes = {"x": "1 0 0", "y": "0 1 0"}
    boxes = "".join(f"<geom type='box' pos='{x} {y} {z}' size='{half} {half} {half_height}' {physics.surface}/>" for x, y in walls)
    joints = "".join(
        f"<joint name='{name}' type='slide' axis='{axis}' damping='{physics.damping}'/>" for name, axis in axes.items()
    )
    motors = "".join(f"<motor joint='{name}' gear='{physics.gear}' ctrlrange='-1 1' ctrllimited='true'/>" for name in axes)
    sphere = f"<geom type='sphere' pos='0 0 {physics.lift}' size='{physics.radius}' density='{physics.density}' {physics.surface}/>"
    body = f"<body pos='{physics.start[0]} {physics.start[1]} 0'>{joints}{sphere}</body>"
    world = f"<worldbody>{boxes}{body}</worldbody><actuator>{motors}</actuator>"
    return f"<mujoco><compiler inertiafromgeom='true'/><option {physics.option}/>{world}</mujoco>"


def make(name: str, **options: Any) -> gymnasium.Env[Any, Any]:
    """The environment of that name; max_episode_steps replaces the published horizon."""
    if name not in ENVIRONMENTS:
        raise ValueError(f"the environment must be one of {', '.join(ENVIRONMENTS)}; got {name!r}")
    return ENVIRONMENTS[name](**options)


def make_umaze(*, max_episode_steps: int = 300) -> gymnasium.Env[Any, Any]:
    """D4RL's maze2d-umaze-v1."""
    return ForceMaze(UMAZE, max_episode_steps=max_episode_steps)


def make_medium(*, task: int, max_episode_steps: int = 1000) -> gymnasium.Env[Any, Any]:
    """OGBench's pointmaze-medium with one of its five tasks."""
    if not 1 <= task <= len(MEDIUM_TASKS):
        raise ValueError(f"task must be one of 1 to {len(MEDIUM_TASKS)}; got {task}")
    start, goal = MEDIUM_TASKS[task - 1]
    return ShiftMaze(MEDIUM, start, goal, max_episode_steps=max_episode_steps)


def _center(cell: tuple[int, int]) -> tuple[float, float]:
    return 4.0 * cell[1] - 4.0, 4.0 * cell[0] - 4.0


def _horizon(steps: int) -> int:
    if steps < 1:
        raise ValueError(f"max_episode_steps must be at least 1; got {steps}")
    return int(steps)


ENVIRONMENTS: dict[str, Callable[..., gymnasium.Env[Any, Any]]] = {
    "maze2d-umaze-v1": make_umaze,
    **{f"pointmaze-medium-navigate-singletask-task{task}-v0": partial(make_medium, task=task) for task in range(1, 6)},
    "pointmaze-medium-navigate": partial(make_medium, task=1),
    "door-human-v1": make_door,
}
