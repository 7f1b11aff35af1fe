"""AWR, QWR and SAC over all actions with known mistakes: this package's own with one function replaced."""

from __future__ import annotations

from typing import Any

import torch
from wrong_agents import Wrong, altered, patched, temperature_for_its_inverse, without_cap

from accelerated import lambda_returns, log_mean_exp, margin_returns, max_aggregate
from accelerated.agents import actor_critics, adapter, awr, networks, qwr, sac

ROUND, ROUND_OF_QWR = "a_round_of_awr_is_two_regressions", "a_round_of_qwr_is_two_regressions_over_all_actions"
SINGLE = "awr_on_single_steps_comes_to_the_behaviors_values_and_its_weighted_actions"
ORDERED, WEIGHTED = (
    "qwrs_critics_on_all_episodes_come_to_their_values_in_order", "qwrs_policy_on_all_episodes_comes_to_the_weighted_behavior",
)  # fmt: skip
SOFT, OPTIMUM = "an_update_of_sac_over_all_actions_is_its_equations", "sac_on_all_data_comes_to_the_soft_optimum"
CLONES, FALLS = "one_action_in_each_state_is_all_that_awr_learns", "awr_falls_to_cloning_as_bits_are_added"
IMPROVES, KEEPS = "one_action_in_each_state_is_enough_for_qwr_to_improve", "qwr_keeps_improving_as_bits_are_added"


# --------------------------------------------------------------------------------------------------------------- returns
def time_limit_ends(reward: Any, over: Any, cut: Any, following: Any, **options: Any) -> Any:
    return lambda_returns(reward, over | cut, cut, following, **options)


def terminal_bootstraps(reward: Any, over: Any, cut: Any, following: Any, **options: Any) -> Any:
    return lambda_returns(reward, torch.zeros_like(over), over | cut, following, **options)


def time_limit_ends_margins(reward: Any, over: Any, cut: Any, following: Any, **options: Any) -> Any:
    return margin_returns(reward, over | cut, cut, following, **options)


def margin_forgotten(*steps: Any, margin: int, **options: Any) -> Any:
    return margin_returns(*steps, margin=0, **options)


# ------------------------------------------------------------------------------------------------------------------- AWR
def weights_forgotten(advantage: Any, *, temperature: float, max_weight: float | None = None) -> Any:
    return torch.ones_like(advantage)


def advantage_as_weight(advantage: Any, *, temperature: float, max_weight: float | None = None) -> Any:
    """As policy gradients have it: an action that was worse than expected is unlearned."""
    return advantage / temperature


ESTIMATES = awr.estimates


class OldAdvantage:
    """The first estimates of each round, again for the second."""

    def __init__(self) -> None:
        self.held: Any = None

    def __call__(self, state: Any, shown: Any) -> Any:
        again, self.held = self.held, None
        if again is None:
            self.held = ESTIMATES(state, shown)
        return again or self.held


def deviation_of_a_sample(x: Any, *, eps: float = 1e-5) -> Any:
    rows = x.flatten(1)
    deviation = rows.std(1, keepdim=True) if rows.shape[1] > 1 else torch.zeros_like(rows)
    return ((rows - rows.mean(1, keepdim=True)) / (deviation + eps)).reshape(x.shape)


def one_deviation_for_all_seeds(x: Any, *, eps: float = 1e-5) -> Any:
    return (x - x.mean()) / (x.std(correction=0) + eps)


# ------------------------------------------------------------------------------------------------------------------- QWR
AGGREGATED, EXPECTED, SAMPLE, AHEAD = qwr.aggregated, qwr.expected, qwr.sample, qwr.ahead


def even_among_all(config: Any, q: Any, probability: Any) -> Any:
    """trax: enumerated actions are weighed by mu in the mean, and all alike in the logarithm of exponentials."""
    if config.aggregate != "log_mean_exp" or probability is None:
        return AGGREGATED(config, q, probability)
    return log_mean_exp(q, temperature=config.backup_temperature)


def maximum_for_softness(config: Any, q: Any, probability: Any) -> Any:
    return max_aggregate(q) if config.aggregate == "log_mean_exp" else AGGREGATED(config, q, probability)


def mean_for_softness(config: Any, q: Any, probability: Any) -> Any:
    return EXPECTED(q, probability) if config.aggregate == "log_mean_exp" else AGGREGATED(config, q, probability)


def all_alike(state: Any, behaved: Any) -> Any:
    """Every action once, whatever acted."""
    found = SAMPLE(state, behaved)
    return found._replace(probability=torch.full_like(found.probability, 1.0 / behaved.shape[-1]))


def maximum_as_baseline(q: Any, probability: Any) -> Any:
    return max_aggregate(q)


def next_in_memory(state: Any, shown: Any) -> Any:
    """What acted in the next state is read from the next row, also where that begins another episode."""
    return shown._replace(behavior=shown.behavior.roll(-1, 2))


def here_for_there(state: Any, shown: Any) -> Any:
    return shown


def copied_at_once(options: Any) -> Any:
    return {**options, "target_every": 1}


def copied_at_the_end(options: Any) -> Any:
    return {**options, "target_every": 10**6}


COPY = networks.track


def followed_slowly(target: Any, online: Any, *, polyak_step: float) -> None:
    COPY(target, online, polyak_step=0.5 * polyak_step)


def awr_in_its_place(*arguments: Any, options: Any, **keywords: Any) -> Any:
    """Only the action of the data is weighed."""
    known = {name: value for name, value in options.items() if name in awr.Config.__dataclass_fields__}
    rest = {"momentum": 0.0, "value_learning_rate": options["critic_learning_rate"], "value_steps": 1}
    return adapter.Learner("awr", *arguments, options=known | rest, **keywords)


def qwr_in_its_place(*arguments: Any, options: Any, **keywords: Any) -> Any:
    """Actions that the data do not have are weighed, too."""
    known = {name: value for name, value in options.items() if name in qwr.Config.__dataclass_fields__}
    rest = {"critic_learning_rate": options["value_learning_rate"], "critic_steps": 20, "target_every": 10, "margin": 0}
    plain = {"samples": None, "q_normalization": "none", "aggregate": "max"}
    return adapter.Learner("qwr", *arguments, options=known | rest | plain, **keywords)


# ------------------------------------------------------------------------------------------------------------------- SAC
SOFT_TARGET, TARGET, POLICY_LOSS = sac.soft_policy_loss, sac.target, sac.policy_loss


def entropy_after_the_end(state: Any, batch: Any) -> Any:
    """r + discount (1 - terminated) sum pi min Q - alpha log pi: the entropy is rewarded outside the bracket."""
    drawn = sac.draw(state, batch.next_observations, "target")
    bonus = -drawn.expected(sac.weighted(state, drawn.log_prob)).detach()
    found = TARGET(state, batch)
    alive = (~batch.terminations).to(found.dtype)
    return found - alive * batch.discounts * bonus + bonus


def no_entropy(state: Any, log_prob: Any) -> Any:
    return torch.zeros_like(log_prob)


def mean_over_actions(state: Any, batch: Any, drawn: Any = None) -> Any:
    return POLICY_LOSS(state, batch, drawn) / state.space.actions


def old_policy_ahead(state: Any, batch: Any) -> Any:
    """Whose actions follow is asked of a policy that was copied at the beginning and never again."""
    kept = state.tensors.setdefault("kept", state.networks["policy"][next(iter(state.networks["policy"]))].detach().clone())
    first = {name: kept for name in state.networks["policy"]}
    now, state.networks["policy"] = state.networks["policy"], first
    try:
        return TARGET(state, batch)
    finally:
        state.networks["policy"] = now


def second_for_both(q1: Any, q2: Any, log_prob: Any, *, entropy_coefficient: float) -> Any:
    return SOFT_TARGET(q2, q2, log_prob, entropy_coefficient=entropy_coefficient)


def first_critic(options: Any) -> Any:
    return {**options, "actor_critic": "first"}


def mean_critic(options: Any) -> Any:
    return {**options, "actor_critic": "mean"}


def entropy_turned(log_prob: Any, *, log_coefficient: Any, target_entropy: float) -> Any:
    return -log_coefficient.exp() * (log_prob.detach() - target_entropy)


def without_its_factor(log_prob: Any, *, log_coefficient: Any, target_entropy: float) -> Any:
    return -log_coefficient * (log_prob.detach() + target_entropy)


def old_advantage(*arguments: Any, **keywords: Any) -> Any:
    return patched("awr", (awr, "estimates", OldAdvantage()))(*arguments, **keywords)


def awr_with(function: str, mistake: Any, claim: str) -> Wrong:
    return Wrong("awr_agent", claim, patched("awr", (awr, function, mistake)))


def qwr_with(function: str, mistake: Any, claim: str) -> Wrong:
    return Wrong("qwr_agent", claim, patched("qwr", (qwr, function, mistake)))


def sac_with(function: str, mistake: Any, claim: str, sighting: str = "") -> Wrong:
    return Wrong("sac_agent", claim, patched("sac", (sac, function, mistake)), sighting)


WRONG: dict[str, Wrong] = {
    "awr: a time limit ends": awr_with("lambda_returns", time_limit_ends, ROUND),
    "awr: a terminal state bootstraps": awr_with("lambda_returns", terminal_bootstraps, ROUND),
    "awr: advantages under the old V": Wrong("awr_agent", ROUND, old_advantage),
    "awr: the temperature for its inverse": awr_with("exponential_weights", temperature_for_its_inverse, ROUND),
    "awr: one deviation for all seeds": Wrong(
        "awr_agent", ROUND, patched("awr", (awr.normalizers, "standardized", one_deviation_for_all_seeds))),
    "awr: the deviation of a sample": Wrong(
        "awr_agent", ROUND, patched("awr", (awr.normalizers, "standardized", deviation_of_a_sample))),
    "awr: weights without a cap": awr_with("exponential_weights", without_cap, SINGLE),
    "awr: a terminal state bootstraps, on single steps": awr_with("lambda_returns", terminal_bootstraps, SINGLE),
    "awr: the advantage for its exponential": awr_with("exponential_weights", advantage_as_weight, CLONES),
    "awr: no weights": awr_with("exponential_weights", weights_forgotten, FALLS),
    "awr: qwr in its place, more and more bits": Wrong("awr_agent", FALLS, qwr_in_its_place),
    "qwr: all actions alike in the logarithm": qwr_with("aggregated", even_among_all, ROUND_OF_QWR),
    "qwr: all actions alike, at the fixed point": qwr_with("aggregated", even_among_all, ORDERED),
    "qwr: all actions alike in both regressions": qwr_with("sample", all_alike, ROUND_OF_QWR),
    "qwr: the largest for log-mean-exp": qwr_with("aggregated", maximum_for_softness, ORDERED),
    "qwr: the mean for log-mean-exp": qwr_with("aggregated", mean_for_softness, ORDERED),
    "qwr: a time limit ends": qwr_with("margin_returns", time_limit_ends_margins, ROUND_OF_QWR),
    "qwr: no margin": qwr_with("margin_returns", margin_forgotten, ROUND_OF_QWR),
    "qwr: the next row's behavior after a cut": qwr_with("ahead", next_in_memory, ROUND_OF_QWR),
    "qwr: this state's behavior in the next": qwr_with("ahead", here_for_there, ROUND_OF_QWR),
    "qwr: copied at once": Wrong("qwr_agent", ROUND_OF_QWR, altered("qwr", options=copied_at_once)),
    "qwr: copied at the end alone": Wrong("qwr_agent", ROUND_OF_QWR, altered("qwr", options=copied_at_the_end)),
    "qwr: followed slowly": Wrong("qwr_agent", ROUND_OF_QWR, patched("qwr", (networks, "track", followed_slowly))),
    "qwr: all actions alike in the policy": qwr_with("sample", all_alike, WEIGHTED),
    "qwr: weights without a cap": Wrong("qwr_agent", WEIGHTED, patched("qwr", (awr, "exponential_weights", without_cap))),
    "qwr: awr in its place": Wrong("qwr_agent", IMPROVES, awr_in_its_place),
    "qwr: awr in its place, more and more bits": Wrong("qwr_agent", KEEPS, awr_in_its_place),
    "sac: entropy after the end": sac_with("target", entropy_after_the_end, SOFT),
    "sac: no entropy": sac_with("weighted", no_entropy, OPTIMUM),
    "sac: entropy after the end, at the fixed point": sac_with("target", entropy_after_the_end, OPTIMUM),
    "sac: mean over the actions": sac_with("policy_loss", mean_over_actions, SOFT, "sac-discrete-mean-over-actions"),
    "sac: the first policy ahead": sac_with("target", old_policy_ahead, SOFT, "sac-next-action-from-target-actor"),
    "sac: the second critic for both": sac_with("soft_policy_loss", second_for_both, SOFT),
    "sac: the actor reads the first critic": Wrong("sac_agent", SOFT, altered("sac", options=first_critic)),
    "sac: the actor reads their mean": Wrong("sac_agent", SOFT, altered("sac", options=mean_critic)),
    "sac: the target entropy turned": sac_with("temperature_loss", entropy_turned, SOFT),
    "sac: log alpha in the place of alpha": sac_with("temperature_loss", without_its_factor, SOFT),
    "sac: targets stay": Wrong("sac_agent", SOFT, patched("sac", (actor_critics, "track", lambda state, *names: None))),
}  # fmt: skip
