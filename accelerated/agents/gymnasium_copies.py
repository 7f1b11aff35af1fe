"""Copies of a Gymnasium environment that start no episode by themselves."""

import functools
import inspect
import sys
import warnings
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

from accelerated.agents.batch import Space
from accelerated.agents.episodes import Array, Flags, Turn


class GymnasiumCopies:
    """Gymnasium's vector environment with its automatic resets disabled.

    make       makes one environment; its spaces must be Box or Discrete
    processes  one process for each copy: worth it where a step takes longer than some 100 microseconds
    """

    def __init__(self, make: Callable[[], Any], copies: int, *, processes: bool = False) -> None:
        kind: Any = AsyncVectorEnv if processes else SyncVectorEnv
        self._environments = kind([make] * copies, autoreset_mode=AutoresetMode.DISABLED)
        shown, taken = self._environments.single_observation_space, self._environments.single_action_space
        try:
            self.space = space_of_environment(shown, taken)
        except ValueError:
            self.close()
            raise
        self._first_action, self._first_state = int(getattr(taken, "start", 0)), int(getattr(shown, "start", 0))
        self._action_shape, self._action_dtype = taken.shape, taken.dtype
        self._channels_last = self.space.observation_shape != tuple(shown.shape)
        self.observations: Array = np.zeros((copies, *self.space.observation_shape), dtype=shown.dtype)

    def reset(self, seeds: list[int], mask: Flags) -> None:
        """Start an episode in the copies of the mask, each from its seed."""
        shown, _ = self._environments.reset(seed=seeds, options={"reset_mask": mask})
        self.observations = self._shown(shown)

    def step(self, actions: Array) -> Turn:
        """Take one action in each copy."""
        taken = actions.reshape(len(actions), *self._action_shape) + self._first_action
        shown, rewards, terminations, truncations, _ = self._environments.step(taken.astype(self._action_dtype))
        self.observations = self._shown(shown)
        # The vector environment goes on writing into the arrays that it returned.
        ended, cut = terminations.astype(bool), truncations.astype(bool)
        return Turn(self.observations, rewards.astype(np.float64), ended, cut, ended | cut)

    def close(self) -> None:
        """Free what the environments hold."""
        self._environments.close()

    def _shown(self, observations: Array) -> Array:
        if self._channels_last:
            return np.ascontiguousarray(np.moveaxis(observations, -1, 1))
        return observations - self._first_state if self._first_state else observations


def space_of_environment(shown: Any, taken: Any) -> Space:
    """The space of an environment that shows `shown` and takes `taken`, both of gymnasium.spaces."""
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    if isinstance(taken, Box) and np.issubdtype(taken.dtype, np.floating):
        low, high = tuple(taken.low.ravel().tolist()), tuple(taken.high.ravel().tolist())
    elif not isinstance(taken, Discrete):
        raise ValueError(f"actions must be Discrete or a floating Box; got {taken!s:.80}")
    actions = len(low) or int(taken.n)
    if isinstance(shown, Discrete):
        return Space((), torch.int64, actions, int(shown.n), low, high)
    if not isinstance(shown, Box):
        raise ValueError(f"observations must be Discrete or a Box; got {shown!s:.80}")
    shape = tuple(int(size) for size in shown.shape)
    image = shown.dtype == np.uint8 and len(shape) == 3
    if image and shape[-1] in (1, 3, 4):
        shape = (shape[-1], *shape[:-1])
    return Space(shape, torch.uint8 if image else torch.float32, actions, 0, low, high)


class Renewed(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Made anew for every episode: for simulators that keep something of the one before, as Box2D's world does."""

    def __init__(self, make: Callable[[], Any]) -> None:
        super().__init__(make())
        self._make, self._used = make, False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode in an environment that has seen none."""
        if self._used:
            self.env.close()
            self.env = self._make()
        self._used = True
        return self.env.reset(seed=seed, options=options)


def made(name: str, **options: Any) -> Any:
    """One environment of Gymnasium's registry; a missing package and an unknown option are one clear line each."""
    try:
        make = functools.partial(_quietly_made, name, **options)
        entry = str(getattr(gymnasium.registry.get(name), "entry_point", ""))
        if "mujoco" in entry:
            _hear_mujoco()
        return Renewed(make) if "box2d" in entry else make()
    except (ImportError, gymnasium.error.DependencyNotInstalled) as error:
        text = f'{name} needs a package that is not installed; try pip install "touchstone[agents]"'
        raise ImportError(f"{text}: {str(error).splitlines()[0]}") from error
    except gymnasium.error.UnregisteredEnv as error:
        raise ValueError(f"there is no environment {name!r}: {str(error).splitlines()[0]}") from error
    except TypeError as error:
        raise ValueError(f"options of {name} must be its own; got {sorted(options)}: {str(error).splitlines()[0]}") from error


def _quietly_made(name: str, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there is a newer version
        return gymnasium.make(name, disable_env_checker=True, **options)


TOLD: set[str] = set()
"""What MuJoCo has warned of in this process."""


def _hear_mujoco() -> None:
    """Take MuJoCo's warnings, which it would print for every copy of an environment."""
    import mujoco

    if mujoco.get_mju_user_warning() is None:
        mujoco.set_mju_user_warning(told_once)


def told_once(text: str) -> None:
    """Print a warning, but none twice, and none of what a later version of MuJoCo will not read: the models are Gymnasium's."""
    subject = text.partition(".")[0]
    if "is deprecated" not in text and subject not in TOLD:
        TOLD.add(subject)
        print(f"mujoco: {text}", file=sys.stderr)


def check_options(name: str, make: Callable[..., Any], options: dict[str, Any]) -> None:
    """Refuse what `make` does not take."""
    try:
        inspect.signature(make).bind(**options)
    except TypeError as error:
        raise ValueError(f"options of {name} must be {inspect.signature(make)}: {error}") from error
