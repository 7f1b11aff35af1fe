"""Rainbow (Hessel et al. 2018): DQN with all six of its pieces, each of which can be taken away."""

from dataclasses import dataclass

from accelerated.agents import dqn_configuration
from accelerated.agents.dqn import LOSSES, MEMORY, act, init, update

__all__ = ["LOSSES", "MEMORY", "NAME", "PRESETS", "Config", "act", "init", "update"]

NAME = "rainbow"


@dataclass(frozen=True)
class Config(dqn_configuration.Config):
    """Defaults are those of dqn_zoo's Atari agent; its fields are DQN's."""

    double: bool = True
    dueling: bool = True
    prioritized: bool = True
    n_step: int = 3
    categorical: bool = True
    noisy: bool = True
    optimizer_eps: float = 1.5625e-4
    max_grad_norm: float | None = 10.0
    target_every: int = 2000
    learning_starts: int = 20_000


# Supports of classic control, from bounds of the discounted return at 0.99: CartPole earns 1 a step, at most 100; Acrobot
# -1 a step, at least -100; LunarLander a potential of about 200 and 100 at the end, of either sign.
_CLASSIC: dict[str, object] = {
    "learning_rate": 5e-4, "optimizer_eps": 1.5e-4, "batch_size": 64, "hidden": (256, 256), "noisy_scale": 0.5,
    "buffer_size": 50_000, "learning_starts": 1000, "update_every": 1, "target_every": 250, "importance_steps": 100_000,
}  # fmt: skip

PRESETS: dict[str, dict[str, object]] = {
    "author": {},  # dqn_zoo's rainbow/run_atari.py, frames divided by 4 into steps
    "classic:cartpole": _CLASSIC | {"atoms": 101, "v_min": 0.0, "v_max": 100.0},
    "classic:acrobot": _CLASSIC | {"atoms": 101, "v_min": -100.0, "v_max": 0.0},
    "classic:lunarlander": _CLASSIC | {"atoms": 121, "v_min": -300.0, "v_max": 300.0},
    # Data-efficient Rainbow (van Hasselt, Hessel, Aslanides 2019) as Dopamine's labs/atari_100k/configs/DER.gin.
    "atari100k": {  # 1e5 steps
        "n_step": 10, "learning_rate": 1e-4, "optimizer_eps": 1.5e-4, "learning_starts": 1600, "update_every": 1,
        "target_every": 2000, "buffer_size": 100_000, "importance_steps": 98_400,
    },
}  # fmt: skip
