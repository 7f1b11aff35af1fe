"""Probe environments: each fails for one reason only, and its values are known for every discount."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

Array = NDArray[np.float64]


class KnownValues(NamedTuple):
    """Of the best policy, at the N observations that occur.

    observations  [N, 1]
    actions       [N, M] numbers of discrete actions, or [N, M, 1] samples of a continuous one
    q             [N, M], of these actions
    value         [N], the maximum over all actions
    """

    observations: Array
    actions: Array
    q: Array
    value: Array


@dataclass(frozen=True)
class Rules:
    """One probe.

    tests   what an agent gets wrong that misses the values
    starts  first observations, equally likely
    move    (observation, action) -> next observation, reward, whether it ends; a continuous action lies in [-1, 1]
    value   discount -> value of the best policy at every observation that is acted on
    limit   steps of an episode; 0: none
    """

    tests: str
    starts: tuple[float, ...]
    move: Callable[[float, float], tuple[float, float, bool]]
    value: Callable[[float], dict[float, float]]
    actions: int = 2
    continuous: bool = False
    limit: int = 0

    def known_values(self, discount: float) -> KnownValues:
        """Values for this discount."""
        value = self.value(discount)
        samples = np.linspace(-1.0, 1.0, 5) if self.continuous else np.arange(self.actions, dtype=float)
        q = np.array([[self._q(shown, action, value, discount) for action in samples] for shown in value])
        actions = np.broadcast_to(samples, q.shape)
        shown = np.array(list(value))[:, None]
        return KnownValues(shown, actions[..., None] if self.continuous else actions, q, np.array(list(value.values())))

    def _q(self, shown: float, action: float, value: dict[float, float], discount: float) -> float:
        following, reward, ends = self.move(shown, float(action))
        return reward if ends else reward + discount * value[following]


class Probe(gymnasium.Env[NDArray[np.float32], Any]):
    """A probe as a Gymnasium environment; observations [1]."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.observation_space = Box(-1.0, 1.0, (1,), np.float32)
        self.action_space = Box(-1.0, 1.0, (1,), np.float32) if rules.continuous else Discrete(rules.actions)
        self._shown, self._steps = 0.0, 0

    def known_values(self, discount: float) -> KnownValues:
        """Values for this discount."""
        return self.rules.known_values(discount)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start an episode."""
        super().reset(seed=seed)
        self._shown, self._steps = float(self.np_random.choice(self.rules.starts)), 0
        return self._observation(), {}

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Take one action."""
        self._shown, reward, ends = self.rules.move(self._shown, float(np.asarray(action).item()))
        self._steps += 1
        return self._observation(), reward, ends, self._steps == self.rules.limit, {}

    def _observation(self) -> NDArray[np.float32]:
        return np.array([self._shown], dtype=np.float32)


RULES = {
    "constant": Rules(
        "the value network learns nothing at all, or the end bootstraps",
        starts=(0.0,),
        move=lambda shown, action: (0.0, 1.0, True),
        value=lambda discount: {0.0: 1.0},
    ),
    "observation": Rules(
        "observations do not reach the value network, or not those that belong to the rewards",
        starts=(-1.0, 1.0),
        move=lambda shown, action: (shown, shown, True),
        value=lambda discount: {-1.0: -1.0, 1.0: 1.0},
    ),
    "delay": Rules(
        "no bootstrap, or a wrong discount",
        starts=(0.0,),
        move=lambda shown, action: (1.0, 0.0, False) if shown == 0.0 else (0.0, 1.0, True),
        value=lambda discount: {0.0: discount, 1.0: 1.0},
    ),
    "action": Rules(
        "values or the policy do not depend on actions, or not on those that were taken",
        starts=(0.0,),
        move=lambda shown, action: (0.0, 1.0 if action == 1.0 else -1.0, True),
        value=lambda discount: {0.0: 1.0},
    ),
    "observation-action": Rules(
        "actions and observations of different steps are mixed",
        starts=(-1.0, 1.0),
        move=lambda shown, action: (shown, 1.0 if (action == 1.0) == (shown == 1.0) else -1.0, True),
        value=lambda discount: {-1.0: 1.0, 1.0: 1.0},
    ),
    "greedy-delay": Rules(
        "the bootstrap is not the best next action's: the first action pays a little and ends, or nothing and goes on to 1",
        starts=(0.0,),
        move=lambda shown, action: (
            (1.0, 0.0, False) if (shown, action) == (0.0, 1.0) else (0.0, 0.25 if shown == 0.0 else action, True)
        ),
        value=lambda discount: {0.0: max(0.25, discount), 1.0: 1.0},
    ),
    "time-limit": Rules(
        "the time limit ends the future (value of 1 is 1), or the observation after the reset is taken for the final one "
        "(value of 1 is 1 / (1 - discount^2))",
        starts=(0.0,),
        move=lambda shown, action: (1.0, shown, False),
        value=lambda discount: {0.0: discount / (1 - discount), 1.0: 1 / (1 - discount)},
        limit=2,
    ),
}
CONTINUOUS = {
    "action": Rules(
        "values or the policy do not depend on continuous actions",
        starts=(0.0,),
        move=lambda shown, action: (0.0, 1.0 - (action - 0.5) ** 2, True),
        value=lambda discount: {0.0: 1.0},
        continuous=True,
    ),
    "observation-action": Rules(
        "continuous actions and observations of different steps are mixed",
        starts=(-1.0, 1.0),
        move=lambda shown, action: (shown, -((action - shown / 2) ** 2), True),
        value=lambda discount: {-1.0: 0.0, 1.0: 0.0},
        continuous=True,
    ),
}


def _all_rules() -> dict[str, Rules]:
    """Discrete probes; those that do not look at the action also with a continuous one; those made for it."""
    found = {f"probe/{name}": rules for name, rules in RULES.items()}
    blind = [name for name in RULES if "action" not in name and name != "greedy-delay"]
    found |= {f"probe/{name}-continuous": _with_continuous_action(RULES[name]) for name in blind}
    return found | {f"probe/{name}-continuous": rules for name, rules in CONTINUOUS.items()}


def _with_continuous_action(rules: Rules) -> Rules:
    return Rules(rules.tests, rules.starts, rules.move, rules.value, continuous=True, limit=rules.limit)


PROBES: dict[str, Callable[[], Probe]] = {name: partial(Probe, rules) for name, rules in _all_rules().items()}
"""Makers by the name that `environments.worlds` takes."""


def known_values(name: str, discount: float) -> KnownValues:
    """Values of the probe of that name for this discount."""
    if name not in PROBES:
        raise ValueError(f"there is no probe {name!r}; there are {', '.join(PROBES)}")
    return _all_rules()[name].known_values(discount)
