"""What of Q-Prop can be chosen (the agent is qprop.py)."""

from dataclasses import dataclass

from accelerated.agents import baselines
from accelerated.agents.networks import ACTIVATIONS
from accelerated.agents.optimizers import KINDS
from accelerated.agents.ranges import check

ESTIMATORS = ("q_prop", "mixed", "trpo")
RULES = ("standard", "optimal", "conservative", "aggressive")
SOURCES = ("previous", "halves", "critic")
MEANS = ("none", "halves", "batch")


@dataclass(frozen=True)
class Config:
    """The paper's with its unbiased estimator; sizes and rates are those of the paper and of the authors' rllabplusplus.

    rule                how η is made from covariances; weight_from: of which samples (control_variate_terms.py), weight_samples
                        of them in a state where the critic is asked
    subtract_mean       of what multiplies ρ, which lowers the variance where the baseline is off: "halves" that of the other half,
                        which biases nothing, as a baseline; "batch" its own, as standardising does: BIASED by O(1/N)
    on_policy_fraction  ν of the estimator "mixed"
    update_every        the newest steps of the rollout are the batch of the policy, all `buffer_size` of it the pool of the critic
    updates_ratio       updates of the critic for each step of the batch, from learning_starts steps in the pool on
    action_layer        how many hidden layers of the critic come before the actions are joined
    hidden, value_...   of policy and baseline; these and what is not named here is as in trpo.py
    """

    estimator: str = "q_prop"
    rule: str = "conservative"
    weight_from: str = "previous"
    weight_samples: int = 8
    subtract_mean: str = "none"
    as_coded: bool = False
    on_policy_fraction: float = 0.5
    discount: float = 0.99
    lambda_: float = 0.97
    max_kl: float = 0.01
    cg_iterations: int = 10
    damping: float = 1e-5
    shrink: float = 0.8
    max_backtracks: int = 14
    update_every: int = 5000
    buffer_size: int = 1_000_000
    learning_starts: int = 1000
    updates_ratio: float = 1.0
    batch_size: int | None = 64
    critic_learning_rate: float = 1e-3
    polyak_step: float = 0.001
    optimizer: str = "adam"
    hidden: tuple[int, ...] = (100, 50, 25)
    activation: str = "tanh"
    policy_gain: float = 0.1
    initial_log_std: float = 0.0
    critic_hidden: tuple[int, ...] = (100, 100)
    action_layer: int = 0
    torso: str = "auto"
    init: str = "orthogonal"
    baseline: str = "linear"
    target_lambda: float = 1.0
    value_learning_rate: float = 1e-3
    value_epochs: int = 5
    value_batch_size: int | None = 64
    optimizer_eps: float = 1e-8
    max_grad_norm: float | None = None
    bootstrap_truncations: bool = True
    normalize_observations: bool = False
    observation_clip: float | None = None
    envs: int = 1

    def __post_init__(self) -> None:
        check(
            self,
            estimator=ESTIMATORS,
            rule=RULES,
            weight_from=SOURCES,
            subtract_mean=MEANS,
            optimizer=KINDS,
            baseline=baselines.KINDS,
            activation=tuple(ACTIVATIONS),
        )
        if self.update_every % self.envs or self.buffer_size < self.update_every:
            raise ValueError(
                f"update_every must be whole steps of {self.envs} envs and at most buffer_size = {self.buffer_size}; "
                f"got {self.update_every}"
            )
        if self.as_coded and (self.estimator != "q_prop" or self.rule == "optimal"):
            raise ValueError(f"as_coded knows q_prop without the rule optimal; got {self.estimator!r}, {self.rule!r}")
