"""Atari games as the literature plays them: no-ops, frames skipped, pooled, grey, small and stacked."""

import importlib
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import Tensor

from accelerated.agents.batch import Space
from accelerated.agents.episodes import Array, Flags, RewardTransform, Turn

SIDE = 84
"""Height and width of a frame, in pixels."""


class AtariCopies:
    """Copies of one game by ale-py's vector environment, which also resizes and pools.

    The frames of an observation [stack, 84, 84] are the last ones, newest last; the first stands for those before it.
    A lost life cuts the bootstrap and begins a new stack, but never a new game: an episode is a whole game, and its score, too.

    name                       "ALE/Pong-v5" or "PongNoFrameskip-v4"
    evaluation                 lost lives cut nothing, and rewards are not clipped
    terminal_on_life_loss      in training only
    clip_rewards               to [-1, 1], in training only
    repeat_action_probability  of sticky actions; None: the id's (0.25 for ALE/*-v5, 0 for *NoFrameskip-v4)
    noop_max                   up to so many frames without action at the start
    fire_reset                 press FIRE at the start of a game, where the game has that button
    max_frames                 of a game, after which it is truncated
    threads                    0: as many as there are cores
    source                     Mnih et al. 2015; Machado et al. 2018
    """

    def __init__(
        self,
        name: str,
        copies: int,
        *,
        evaluation: bool = False,
        terminal_on_life_loss: bool = True,
        clip_rewards: bool = True,
        repeat_action_probability: float | None = None,
        noop_max: int = 30,
        frame_skip: int = 4,
        stack: int = 4,
        fire_reset: bool = False,
        full_action_space: bool = False,
        max_frames: int = 108_000,
        threads: int = 0,
    ) -> None:
        register_games(name)
        registered = gymnasium.registry[name].kwargs
        sticky = registered["repeat_action_probability"] if repeat_action_probability is None else repeat_action_probability
        if not 0 <= sticky <= 1 or min(frame_skip, stack) < 1 or max_frames < frame_skip:
            raise ValueError(
                f"{name} must have repeat_action_probability in [0, 1], frame_skip and stack >= 1 and max_frames >= frame_skip; "
                f"got {sticky}, {frame_skip}, {stack}, {max_frames}"
            )
        self._games: Any = importlib.import_module("ale_py.vector_env").AtariVectorEnv(
            registered["game"],
            copies,
            num_threads=min(threads, copies),
            # One step longer than the limit: at its own, the last frames would be missing from the final observation.
            max_num_frames_per_episode=max_frames + 2 * frame_skip,
            repeat_action_probability=sticky,
            full_action_space=full_action_space,
            stack_num=1,
            frameskip=frame_skip,
            noop_max=noop_max,
            reward_clipping=False,
            use_fire_reset=fire_reset,
        )
        self.stack, self._limit = stack, max_frames // frame_skip
        self.space = Space((stack, SIDE, SIDE), torch.uint8, int(self._games.single_action_space.n))
        self._lives_count = terminal_on_life_loss and not evaluation
        self.reward_transform: RewardTransform | None = clipped_reward if clip_rewards and not evaluation else None
        self.observations: Array = np.zeros((copies, *self.space.observation_shape), dtype=np.uint8)
        self._lives, self._steps = np.zeros(copies, dtype=np.int64), np.zeros(copies, dtype=np.int64)

    def reset(self, seeds: list[int], mask: Flags) -> None:
        """Start a game in the copies of the mask, each from its seed."""
        chosen = np.array([seed % 2**31 for seed, one in zip(seeds, mask, strict=True) if one])
        # Before the first game of all copies there is nothing to leave untouched.
        options = None if mask.all() else {"reset_mask": mask}
        frames, infos = self._games.reset(seed=chosen, options=options)
        self.observations = self.observations.copy()
        self.observations[mask] = frames[mask]
        self._lives[mask], self._steps[mask] = infos["lives"][mask], 0

    def step(self, actions: Array) -> Turn:
        """Take one action in each game."""
        frames, rewards, ended, _, infos = self._games.step(actions)
        self._steps += 1
        ended, cut = ended.copy(), self._steps >= self._limit
        lost = (infos["lives"] < self._lives) & ~ended if self._lives_count else np.zeros_like(ended)
        self._lives = infos["lives"].astype(np.int64)
        following = np.concatenate([self.observations[:, 1:], frames], axis=1)
        self.observations = following
        if lost.any():
            self.observations = following.copy()
            self.observations[lost] = frames[lost]
        return Turn(following, rewards.astype(np.float64), ended | lost, cut, ended | cut)

    def close(self) -> None:
        """Free the emulators."""
        self._games.close()


def register_games(name: str) -> None:
    """Have ale-py's ids in Gymnasium's registry; `name` is whom it is for."""
    try:
        gymnasium.register_envs(importlib.import_module("ale_py"))
    except ModuleNotFoundError as error:
        raise ImportError(f'{name} needs ale-py, which is not installed: pip install "touchstone[agents]"') from error


def clipped_reward(rewards: Tensor) -> Tensor:
    """Rewards in [-1, 1], so that one learning rate suits all games."""
    return rewards.clamp(-1.0, 1.0)
