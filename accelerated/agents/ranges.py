"""Within which range each field of a configuration lies: fields of one name mean the same in every agent."""

from collections.abc import Callable
from math import isfinite
from typing import Any

RULES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "lie in [0, 1]": ("discount epsilon_start epsilon_end uniform_mix importance_start importance_end", lambda x: 0 <= x <= 1),
    "lie in (0, 1]": ("polyak_step", lambda x: 0 < x <= 1),
    "lie in (0, 1)": ("expectile", lambda x: 0 < x < 1),
    "lie in [0, 1)": ("dropout step_power", lambda x: 0 <= x < 1),
    "be positive": (
        "learning_rate policy_learning_rate value_learning_rate critic_learning_rate inverse_temperature max_weight optimizer_eps "
        "priority_offset priority_maximum noisy_scale",
        lambda x: x > 0,
    ),
    "be finite": ("initial_q initial_value learning_rate v_min v_max", isfinite),
    "be positive or none": ("max_grad_norm", lambda x: x is None or x > 0),
    "not be negative": ("temperature learning_starts priority_exponent", lambda x: x >= 0),
    "be at least 1": (
        "n_step batch_size target_every buffer_size update_every updates_per_round envs importance_steps epsilon_steps decay_steps "
        "inner_steps",
        lambda x: x >= 1,
    ),
    "be at least 2": ("atoms", lambda x: x >= 2),
    "hold positive widths": ("hidden", lambda x: min(x or (1,)) >= 1),
}


def check(config: Any, **choices: tuple[str, ...]) -> None:
    """Every field that the configuration has keeps its rule; each of `choices` is one of the words given.

    raises  ValueError naming the field, the rule and the value found
    """
    for name, options in choices.items():
        if getattr(config, name) not in options:
            raise ValueError(f"{name} must be one of {', '.join(options)}; got {getattr(config, name)!r}")
    for rule, (names, good) in RULES.items():
        for name in names.split():
            if hasattr(config, name) and not good(getattr(config, name)):
                raise ValueError(f"{name} must {rule}; got {getattr(config, name)!r}")
