"""The hand that opens a door, as D4RL's door sets were recorded and scored."""

from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray


class DoorReward(gymnasium.Wrapper[Any, Any, Any, Any]):
    """AdroitHandDoor-v1 with the palm's distance to the handle subtracted, where gymnasium-robotics 1.2.1 to 1.4 add it.

    reward   less 0.2 * distance than what v1 returns: the sign of 0.1 * distance turned; v2 of the environment is the same
    source   Rajeswaran et al. 2018, hand_dapg: door_v0.py; Gymnasium-Robotics pull request 220
    """

    def step(self, action: NDArray[Any]) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """As recorded: reward after the step."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        palm_to_handle = observation[35:38]
        return observation, float(reward) - 0.2 * float(np.linalg.norm(palm_to_handle)), terminated, truncated, info


def make_door(*, max_episode_steps: int = 200) -> gymnasium.Env[Any, Any]:
    """AdroitHandDoor with D4RL's reward and horizon; needs gymnasium-robotics."""
    try:
        import gymnasium_robotics
    except ImportError as error:
        raise ImportError("door-human-v1 needs gymnasium-robotics, which is not installed") from error
    gymnasium.register_envs(gymnasium_robotics)
    if "AdroitHandDoor-v2" in gymnasium.registry:
        return gymnasium.make("AdroitHandDoor-v2", max_episode_steps=max_episode_steps, disable_env_checker=True)
    return DoorReward(gymnasium.make("AdroitHandDoor-v1", max_episode_steps=max_episode_steps, disable_env_checker=True))
