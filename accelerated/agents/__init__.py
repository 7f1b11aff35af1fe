"""Agents that learn through the verified operators, each a module of functions over one State.

agent("iql").init(config, space, seeds) -> State
agent("iql").act(state, observations, explore=...) -> actions
agent("iql").update(state, batch) -> metrics
"""

import difflib
import importlib
from typing import Any

AGENTS = {
    "value_iteration": "tabular:VALUE_ITERATION",
    "q_value_iteration": "tabular:Q_VALUE_ITERATION",
    "q_learning": "tabular:Q_LEARNING",
    "double_q_learning": "tabular:DOUBLE_Q_LEARNING",
    "sarsa": "tabular:SARSA",
    "expected_sarsa": "tabular:EXPECTED_SARSA",
    "fitted_q_iteration": "tabular:FITTED_Q_ITERATION",
    "online_q_iteration": "tabular:ONLINE_Q_ITERATION",
    "dqn": "dqn",
    "rainbow": "rainbow",
    "bc": "bc",
    "one_step": "one_step",
    "iql": "iql",
    "cem": "cem",
    "ddpg": "ddpg",
    "td3": "td3",
    "sac": "sac",
    "awr": "awr",
    "qwr": "qwr",
    "reinforce": "reinforce",
    "ppo": "ppo",
    "trpo": "trpo",
    "qprop": "qprop",
}
"""Where each agent is: a module of this package, or an object in one."""


def agent(name: str) -> Any:
    """What has NAME, MEMORY, Config, PRESETS, LOSSES, init, act and update; ValueError for a name that is none."""
    if name not in AGENTS:
        near = difflib.get_close_matches(name, AGENTS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"the agent must be one of {', '.join(AGENTS)}; got {name!r}{hint}")
    stem, _, attribute = AGENTS[name].partition(":")
    module = importlib.import_module(f"accelerated.agents.{stem}")
    return getattr(module, attribute) if attribute else module
