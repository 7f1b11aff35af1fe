"""Within which range each field of a configuration lies: fields of one name mean the same in every agent."""

from collections.abc import Callable
from math import isfinite
from typing import Any

RULES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "lie in [0, 1]": (
        "discount epsilon_start epsilon_end uniform_mix importance_start importance_end "
        "lambda_ target_lambda epsilon on_policy_fraction",
        lambda x: 0 <= x <= 1,
    ),
    "lie in (0, 1]": ("polyak_step noise_reversion", lambda x: 0 < x <= 1),
    "lie in (0, 1)": ("expectile shrink clip", lambda x: 0 < x < 1),
    "lie in [0, 1)": ("dropout step_power momentum", lambda x: 0 <= x < 1),
    "be positive": (
        "learning_rate policy_learning_rate value_learning_rate critic_learning_rate temperature_learning_rate "
        "inverse_temperature optimizer_eps "
        "step_size priority_offset priority_maximum noisy_scale max_kl policy_gain policy_std initial_entropy_coefficient",
        lambda x: x > 0,
    ),
    "be finite": ("initial_q initial_value learning_rate v_min v_max", isfinite),
    "be positive or none": ("max_grad_norm max_weight target_kl observation_clip", lambda x: x is None or x > 0),
    "not be negative": (
        "temperature learning_starts priority_exponent random_steps exploration_noise target_noise target_noise_clip "
        "critic_weight_decay action_layer tolerance bound_weight backup_temperature margin damping max_backtracks updates_ratio",
        lambda x: x >= 0,
    ),
    "not be negative, or none": ("entropy_coefficient", lambda x: x is None or x >= 0),
    "be finite or none": ("target_entropy", lambda x: x is None or isfinite(x)),
    "be two numbers in their order": ("log_std_range", lambda x: len(x) == 2 and x[0] < x[1]),
    "be at least 1": (
        "n_step target_every buffer_size update_every updates_per_round envs importance_steps epsilon_steps decay_steps "
        "inner_steps cg_iterations epochs value_epochs policy_every iterations population elites max_iterations "
        "value_steps critic_steps policy_steps normalizer_samples",
        lambda x: x >= 1,
    ),
    "be at least 1, or none for all there is": ("batch_size samples value_batch_size", lambda x: x is None or x >= 1),
    "be at least 2": ("atoms weight_samples", lambda x: x >= 2),
    "hold positive widths": ("hidden critic_hidden", lambda x: min(x or (1,)) >= 1),
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
