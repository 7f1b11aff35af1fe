"""Scores of offline learning: 0 is the random policy, 100 the expert, and which set is evaluated in which world."""

from pathlib import PurePath
from typing import NamedTuple

from torch import Tensor

REFERENCE_SCORES: dict[str, tuple[float, float]] = {
    "hopper": (-20.272305, 3234.3),
    "halfcheetah": (-280.178953, 12135.0),
    "walker2d": (1.629008, 4592.3),
    "ant": (-325.6, 3879.7),
    "door": (-56.512833, 2880.5693087),
    "pen": (96.262799, 3076.8331018),
    "hammer": (-274.856578, 12794.1348252),
    "relocate": (-6.425911, 4233.8777977),
    "maze2d-umaze": (23.85, 161.86),
    "maze2d-medium": (13.13, 277.39),
    "maze2d-large": (6.7, 273.99),
    "antmaze": (0.0, 1.0),
    "kitchen": (0.0, 4.0),
    "pointmaze-medium": (-1000.0, 0.0),
}
"""Returns of D4RL's random policy and of its expert (d4rl/infos.py). pointmaze-medium is OGBench's and D4RL does not know
it: there the scale runs from an episode of 1000 steps at -1 to an episode at the goal from the start."""


class World(NamedTuple):
    """Where a policy learned from a set is evaluated.

    environment  what `environments.worlds` takes
    reference    the name in REFERENCE_SCORES, None where there is no agreed scale
    bound        the environment's actions lie in [-bound, bound]; 0 where they are discrete
    actions      how many discrete actions there are; 0 where they are continuous
    clips        whether the environment itself clips what lies outside, so that a file may hold such actions
    """

    environment: str | None
    reference: str | None
    bound: float = 1.0
    actions: int = 0
    clips: bool = False


WORLDS: dict[str, World] = {
    "maze2d-umaze": World("maze2d-umaze-v1", "maze2d-umaze"),
    "maze2d-medium": World(None, "maze2d-medium"),
    "maze2d-large": World(None, "maze2d-large"),
    "ogb-pointmaze-medium": World("pointmaze-medium-navigate-singletask-task{task}-v0", "pointmaze-medium"),
    "pointmaze-medium": World("pointmaze-medium-navigate-singletask-task{task}-v0", "pointmaze-medium"),
    "imitation-expert-cartpole": World("CartPole-v1", None, bound=0.0, actions=2),
    "imitation-expert-pendulum": World("Pendulum-v1", None, bound=2.0),
    "hopper": World("Hopper-v4", "hopper"),
    "halfcheetah": World("HalfCheetah-v4", "halfcheetah"),
    "walker2d": World("Walker2d-v4", "walker2d"),
    "door": World("door-human-v1", "door"),
    "cs285-expert-hopper": World("Hopper-v4", "hopper", clips=True),
    "cs285-expert-walker2d": World("Walker2d-v4", "walker2d", clips=True),
}
"""By how the file's name starts, small letters, `_` as `-`; version 4 where D4RL's papers are compared with: Walker2d-v5 has
another friction and other returns."""


def world_of(name: str, environment: str | None = None, task: int = 1) -> World | None:
    """The entry of WORLDS with the longest name that the file's name starts with; None without any.

    Where an environment is named that is not this entry's, the first entry of that environment counts.
    """
    stem = PurePath(name).name.lower().replace("_", "-")
    table = {
        key: world._replace(environment=world.environment and world.environment.format(task=task)) for key, world in WORLDS.items()
    }
    found = sorted((key for key in table if stem.startswith(key)), key=len)
    if found and environment in (None, table[found[-1]].environment):
        return table[found[-1]]
    return next((world for world in table.values() if environment and world.environment == environment), None)


def normalized_score(returns: Tensor, reference_scores: tuple[float, float]) -> Tensor:
    """100 * (return - min) / (max - min), element by element.

    returns           [...]  sums of untransformed rewards over whole episodes
    reference_scores  (min, max), the returns that are given 0 and 100
    raises            ValueError unless min < max
    source            Fu et al. 2020, D4RL, section 4; Minari's get_normalized_score is the same without the 100
    """
    low, high = reference_scores
    if not low < high:
        raise ValueError(f"reference_scores must be (min, max) with min < max; got {reference_scores}")
    return 100.0 * (returns - low) / (high - low)
