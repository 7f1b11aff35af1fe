"""On-policy learners that make known mistakes: this package's own with one function replaced, each refuted by its claim.

Many of these were seen as mistakes of an operator, too, and are in the catalogue of properties/_bugs with their sightings: returns
that confuse terminations and truncations, clips and searches that accept too much, half a control variate. Here whole agents make
them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from wrong_agents import Patches, Wrong

from accelerated import (
    backtracking_search,
    clipped_surrogate,
    gae,
    gaussian_kl,
    gaussian_log_prob,
    lambda_returns,
    natural_step,
    reinforce_loss,
    value_target,
)
from accelerated.agents import (
    adapter,
    baselines,
    continuous_adapter,
    networks,
    on_policy,
    policies,
    ppo,
    qprop,
    reinforce,
    trust_regions,
)
from accelerated.agents import control_variate_terms as terms
from accelerated.agents.finite_worlds import FiniteWorlds

Patch = tuple[Any, str, Any]


class Patched:
    """A learner of this package whose every method runs with some attributes replaced."""

    def __init__(self, make: Callable[..., Any], patches: tuple[Patch, ...], *arguments: Any, **keywords: Any) -> None:
        self._patches = patches
        self._inside = self._within(make, *arguments, **keywords)

    def _within(self, call: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        with Patches(self._patches):
            return call(*arguments, **keywords)

    def __getattr__(self, method: str) -> Any:
        return lambda *arguments, **keywords: self._within(getattr(self._inside, method), *arguments, **keywords)


def wrong(operator: str, claim: str, *patches: Patch, sighting: str = "") -> Wrong:
    """The subject `operator` with these patches."""
    stem = operator.removesuffix("_agent")
    continuous = stem.endswith("_continuous") or stem == "qprop"
    learner = continuous_adapter.ContinuousLearner if continuous else adapter.Learner

    def make(*arguments: Any, **keywords: Any) -> Any:
        return Patched(learner, patches, stem.removesuffix("_continuous"), *arguments, **keywords)

    return Wrong(operator, claim, make, sighting)


# ------------------------------------------------------------------------------------------------------ returns
def flags_changed(change: Callable[[Tensor, Tensor], Tensor]) -> tuple[Patch, ...]:
    """Both returns with other terminations."""
    return (
        (on_policy, "gae", lambda r, over, cut, *v, **k: gae(r, change(over, cut), cut, *v, **k)),
        (on_policy, "lambda_returns", lambda r, over, cut, v, **k: lambda_returns(r, change(over, cut), cut, v, **k)),
    )


TIME_LIMIT_ENDS = flags_changed(lambda over, cut: over | cut)
TERMINAL_BOOTSTRAPS = flags_changed(lambda over, cut: torch.zeros_like(over))


def first_for_all(*arguments: Any, **keywords: Any) -> Tensor:
    found = gae(*arguments, **keywords)
    return found[..., :1].expand_as(found)


def of_the_step_before(*arguments: Any, **keywords: Any) -> Tensor:
    return gae(*arguments, **keywords).roll(1, -1)


def of_all_seeds(*arguments: Any, **keywords: Any) -> Tensor:
    found = gae(*arguments, **keywords)
    return found.mean(0, keepdim=True).expand_as(found)


def runs_over_cuts(reward: Tensor, over: Tensor, cut: Tensor, *values: Tensor, **keywords: Any) -> Tensor:
    return gae(reward, over, torch.zeros_like(cut), *values, **keywords)


def value_twice(reward: Tensor, over: Tensor, cut: Tensor, value: Tensor, following: Tensor, **keywords: Any) -> Tensor:
    return gae(reward, over, cut, value, value, **keywords)


STEP, SAMPLES, STANDARDIZED = FiniteWorlds.step, on_policy.samples, on_policy.standardized


def autoreset_observation(self: Any, actions: Any) -> Any:
    found = STEP(self, actions)
    return found._replace(next_observations=found.observations)


def time_limit_as_terminal(self: Any, actions: Any) -> Any:
    found = STEP(self, actions)
    return found._replace(terminations=found.terminations | found.truncations)


def greedy(state: Any, observations: Tensor, *, explore: bool) -> Tensor:
    return on_policy.act(state, observations, explore=False)


def unguarded(advantage: Tensor) -> Tensor:
    rows = advantage.flatten(1)
    return ((rows - rows.mean(1, keepdim=True)) / rows.std(1, correction=0, keepdim=True)).reshape(advantage.shape)


def always_standardized(state: Any, rollout: Any) -> Any:
    found = SAMPLES(state, rollout)
    return found._replace(advantage=STANDARDIZED(found.advantage))


def summed(log_prob: Tensor, advantage: Tensor) -> Tensor:
    return reinforce_loss(log_prob, advantage) * advantage.shape[1]


def turned(log_prob: Tensor, advantage: Tensor) -> Tensor:
    return -reinforce_loss(log_prob, advantage)


def baseline_first(state: Any, rollout: Any) -> Any:
    before = SAMPLES(state, rollout)
    baselines.fit(state, rollout, before.target.reshape(rollout.rewards.shape))
    return SAMPLES(state, rollout)


# ------------------------------------------------------------------------------------------------------ PPO
def ratio_always_one(log_ratio: Tensor, advantage: Tensor, *, clip: float) -> Tensor:
    return clipped_surrogate(log_ratio - log_ratio.detach(), advantage, clip=clip)


def ratio_not_one_at_start(log_ratio: Tensor, advantage: Tensor, *, clip: float) -> Tensor:
    return clipped_surrogate(log_ratio + 0.125, advantage, clip=clip)


def clipped_branch_only(log_ratio: Tensor, advantage: Tensor, *, clip: float) -> Tensor:
    return log_ratio.exp().clamp(1 - clip, 1 + clip) * advantage


def unclipped(log_ratio: Tensor, advantage: Tensor, *, clip: float) -> Tensor:
    return log_ratio.exp() * advantage


def signed_estimate(state: Any, given: Any, old: Any) -> Tensor:
    return (given.log_prob - on_policy.log_prob(state, given.observations, given.actions)).mean(-1)


LOSS, MINIBATCHES = ppo.surrogate_loss, baselines.minibatches
SEEN: list[Any] = []


def entropy_always(state: Any, given: Any) -> Tensor:
    return LOSS(state, given) - 0.5 * on_policy.entropy(on_policy.distribution(state, given.observations)).mean(-1)


def first_epoch_only(rollout: Any, streams: Any, size: int | None) -> Iterator[Tensor]:
    """An iterator that is used up is not made anew."""
    if SEEN and SEEN[-1] is rollout.rewards:
        return
    SEEN[:] = [rollout.rewards]
    yield from MINIBATCHES(rollout, streams, size)


def last_dropped(rollout: Any, streams: Any, size: int | None) -> Iterator[Tensor]:
    for places in MINIBATCHES(rollout, streams, size):
        yield places[:, :-1] if places.shape[1] > 1 else places


def count_for_size(rollout: Any, streams: Any, size: int | None) -> Iterator[Tensor]:
    if size is not None:
        size = max(rollout.rewards[0].numel() // size, 1)
    yield from MINIBATCHES(rollout, streams, size)


# ------------------------------------------------------------------------------------------------------ TRPO
def without_kl(evaluate: Callable[[Tensor], Any], step: Tensor, **keywords: Any) -> Any:
    return backtracking_search(lambda there: (evaluate(there)[0], 0.0), step, **keywords)


def without_improvement(evaluate: Callable[[Tensor], Any], step: Tensor, **keywords: Any) -> Any:
    return backtracking_search(lambda there: (there.abs().sum(), evaluate(there)[1]), step, **keywords)


def last_step_kept(evaluate: Callable[[Tensor], Any], step: Tensor, *, shrink: float, **keywords: Any) -> Any:
    found = backtracking_search(evaluate, step, shrink=shrink, **{**keywords, "max_backtracks": 0})
    return found if found.accepted else found._replace(step=step * shrink, accepted=True)


def reversed_divergence(old: Any, new: Any) -> Tensor:
    if len(old) == 1:
        first, second = new[0].log_softmax(-1), old[0].log_softmax(-1)
        return (first.exp() * (first - second)).sum(-1)
    return gaussian_kl(*new, *(part.detach() for part in old))


def doubled_length(gradient: Tensor, matvec: Any, *, max_kl: float, **keywords: Any) -> Tensor:
    return natural_step(gradient, matvec, max_kl=4 * max_kl, **keywords)


def damping_forgotten(gradient: Tensor, matvec: Any, *, damping: float, **keywords: Any) -> Tensor:
    return natural_step(gradient, matvec, damping=1e-6, **keywords)


def plain_gradient(gradient: Tensor, matvec: Any, *, max_kl: float, **keywords: Any) -> Tensor:
    return gradient


def spread_detached(self: Any, parameters: Any, output: Tensor) -> Tensor:
    return LOG_STD(self, parameters, output).detach()


LOG_STD = policies.Gaussian._log_std


def mean_over_dimensions(action: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    return gaussian_log_prob(action, mean, log_std) / mean.shape[-1]


def bias_left_out(gradient: Tensor, matvec: Any, **keywords: Any) -> Tensor:
    """The last parameters, those of log_std, are not among those that move."""
    kept = torch.ones_like(gradient)
    kept[-2:] = 0
    return natural_step(gradient * kept, lambda v: kept * matvec(kept * v), **keywords)


# ------------------------------------------------------------------------------------------------------ Q-Prop
ANALYTIC, ESTIMATE, WEIGHTS, LEARN, MIXED = qprop.analytic, qprop.estimate, qprop.weights, qprop.learn_critic, qprop._mixed


def nothing_given_back(state: Any, expansion: Any, parameters: Any = None) -> Tensor:
    return 0 * ANALYTIC(state, expansion, parameters)


def critics_half_alone(state: Any, rollout: Any) -> Any:
    found = ESTIMATE(state, rollout)
    return found._replace(residual=found.residual._replace(advantage=torch.zeros_like(found.residual.advantage)))


def full_critic_subtracted(self: Any, actions: Tensor) -> Tensor:
    return (self.action_gradient * actions).sum(-1)


def turned_deviation(self: Any, actions: Tensor) -> Tensor:
    return (self.action_gradient * (self.mean - actions)).sum(-1)


def own_weights(advantage: Tensor, variate: Tensor, half: Tensor, rule: str) -> Tensor:
    return terms.own_weights(advantage, variate, rule)


def weights_of_all(advantage: Tensor, variate: Tensor, half: Tensor, rule: str) -> Tensor:
    return terms.weight_of(advantage, variate, rule).unsqueeze(-1).expand_as(advantage)


def weight_of_this_batch(state: Any, batch: Any, advantage: Tensor, variate: Tensor, expansion: Any) -> Tensor:
    if state.config.weight_from == "previous" and state.config.estimator == "q_prop":
        return terms.weight_of(advantage, variate, state.config.rule).unsqueeze(-1).expand_as(advantage)
    return WEIGHTS(state, batch, advantage, variate, expansion)


def weight_ignored(state: Any, batch: Any, advantage: Tensor, variate: Tensor, expansion: Any) -> Tensor:
    return torch.zeros_like(WEIGHTS(state, batch, advantage, variate, expansion))


def other_weight_in_one_half(state: Any, rollout: Any) -> Any:
    found = ESTIMATE(state, rollout)
    return found._replace(weight=found.weight / 2)


def fraction_turned(state: Any, rollout: Any, *steps: Any) -> Any:
    other = replace(state.config, on_policy_fraction=1 - state.config.on_policy_fraction)
    return MIXED(replace(state, config=other), rollout, *steps)


def not_standardized(signal: Tensor) -> Tensor:
    return signal


def critic_first(state: Any, rollout: Any) -> Any:
    LEARN(state, rollout)
    return ESTIMATE(state, rollout)


def no_critic_later(state: Any, rollout: Any) -> Any:
    return {}


def bootstraps_through_the_end(reward: Tensor, over: Tensor, following: Tensor, *, discount: Any) -> Tensor:
    return value_target(reward, torch.zeros_like(over), following, discount=discount)


def target_stays(*arguments: Any, **keywords: Any) -> None:
    return None


# ------------------------------------------------------------------------------------------------------ the mistakes
REINFORCE = "an_update_of_reinforce_is_one_step_up_the_sampled_gradient"
CLIPPED, BATCHES = (
    "an_update_of_ppo_climbs_the_clipped_surrogate_epoch_by_epoch",
    "every_epoch_of_ppo_is_as_many_steps_as_there_are_batches",
)
STILL, LOOP = "where_no_action_was_better_no_policy_moves", "what_a_loop_learns_is_what_one_of_its_histories_teaches"
NATURAL, REGION = "an_update_of_trpo_is_its_natural_step", "a_trust_region_is_never_left_nor_the_surrogate_lowered"
GAUSSIAN = "a_gaussian_trust_region_is_never_left_nor_the_surrogate_lowered"
ARMS, BETTER = (
    "exact_policy_gradients_come_to_the_best_arm_as_fast_as_their_rate_says",
    "trust_regions_come_to_the_better_arm_geometrically",
)
Q_REGULATOR = "q_props_expected_update_is_the_regulators_gradient"
ADVANTAGES = "trust_regions_on_exact_advantages_come_to_the_best_policy"
REGULATOR = "the_expected_update_is_the_regulators_gradient"
Q_PROP, UNBIASED = "an_update_of_q_prop_is_its_natural_step", "weights_from_other_samples_leave_q_prop_unbiased"
CODED, VARIANCE = "the_form_that_was_coded_is_biased", "a_right_critic_takes_its_share_of_the_variance"
MIXING, CRITIC = "direct_mixing_leans_on_the_critic", "q_props_critic_learns_from_the_policys_mean_after_the_policy"

WRONG: dict[str, Wrong] = {
    "reinforce: the first return for all": wrong("reinforce_agent", REINFORCE, (on_policy, "gae", first_for_all)),
    "reinforce: time limit as terminal": wrong("reinforce_agent", REINFORCE, *TIME_LIMIT_ENDS),
    "reinforce: a terminal bootstraps": wrong("reinforce_agent", REINFORCE, *TERMINAL_BOOTSTRAPS),
    "reinforce: advantage of the step before": wrong("reinforce_agent", REINFORCE, (on_policy, "gae", of_the_step_before)),
    "reinforce: the recursion runs over cuts": wrong("reinforce_agent", REINFORCE, (on_policy, "gae", runs_over_cuts)),
    "reinforce: V of the state for its successor's": wrong("reinforce_agent", REINFORCE, (on_policy, "gae", value_twice)),
    "reinforce: mean over seeds": wrong("reinforce_agent", REINFORCE, (on_policy, "gae", of_all_seeds)),
    "reinforce: sum for mean": wrong("reinforce_agent", REINFORCE, (reinforce, "reinforce_loss", summed)),
    "reinforce: the baseline learns first": wrong("reinforce_agent", REINFORCE, (on_policy, "samples", baseline_first)),
    "reinforce: descends": wrong("reinforce_agent", ARMS, (reinforce, "reinforce_loss", turned)),
    "reinforce: standardised without a guard": wrong("reinforce_agent", STILL, (on_policy, "standardized", unguarded)),
    "reinforce: the loop's time limit as terminal": wrong("reinforce_agent", LOOP, (FiniteWorlds, "step", time_limit_as_terminal)),
    "reinforce: greedy": wrong("reinforce_agent", LOOP, (reinforce, "act", greedy)),
    "ppo: old log-probabilities made anew": wrong("ppo_agent", CLIPPED, (ppo, "clipped_surrogate", ratio_always_one)),
    "ppo: ratio not one at the start": wrong(
        "ppo_agent", CLIPPED, (ppo, "clipped_surrogate", ratio_not_one_at_start), sighting="trlx-ratio-not-one-at-start"),
    "ppo: the clipped branch alone": wrong("ppo_agent", CLIPPED, (ppo, "clipped_surrogate", clipped_branch_only)),
    "ppo: not clipped": wrong("ppo_agent", CLIPPED, (ppo, "clipped_surrogate", unclipped)),
    "ppo: time limit as terminal": wrong("ppo_agent", CLIPPED, *TIME_LIMIT_ENDS),
    "ppo: signed estimate of the divergence": wrong(
        "ppo_agent", CLIPPED, (ppo, "_divergence", signed_estimate), sighting="approx-kl-signed-estimator"),
    "ppo: the last step is dropped": wrong(
        "ppo_agent", CLIPPED, (baselines, "minibatches", last_dropped), sighting="ppo-last-sample-dropped"),
    "ppo: one epoch": wrong(
        "ppo_agent", BATCHES, (baselines, "minibatches", first_epoch_only), sighting="ppo-batcher-not-reset"),
    "ppo: the number of batches for their size": wrong(
        "ppo_agent", BATCHES, (baselines, "minibatches", count_for_size), sighting="minibatch-split-count"),
    "ppo: a bonus for entropy": wrong("ppo_agent", ARMS, (ppo, "surrogate_loss", entropy_always)),
    "ppo: successors after the reset": wrong("ppo_agent", LOOP, (FiniteWorlds, "step", autoreset_observation)),
    "trpo: a search without the divergence": wrong("trpo_agent", REGION, (trust_regions, "backtracking_search", without_kl)),
    "trpo: a Gaussian's search without the divergence": wrong(
        "trpo_continuous_agent", GAUSSIAN, (trust_regions, "backtracking_search", without_kl)),
    "trpo: a search without the surrogate": wrong(
        "trpo_continuous_agent", GAUSSIAN, (trust_regions, "backtracking_search", without_improvement)),
    "trpo: KL(new, old) of Gaussians": wrong("trpo_continuous_agent", GAUSSIAN, (on_policy, "divergence", reversed_divergence)),
    "trpo: a failed search keeps its step": wrong("trpo_agent", REGION, (trust_regions, "backtracking_search", last_step_kept)),
    "trpo: KL(new, old)": wrong("trpo_agent", REGION, (on_policy, "divergence", reversed_divergence)),
    "trpo: twice as far": wrong("trpo_agent", NATURAL, (trust_regions, "natural_step", doubled_length)),
    "trpo: without damping": wrong("trpo_agent", NATURAL, (trust_regions, "natural_step", damping_forgotten)),
    "trpo: time limit as terminal": wrong("trpo_agent", NATURAL, *TIME_LIMIT_ENDS),
    "trpo: always standardised": wrong("trpo_agent", NATURAL, (on_policy, "samples", always_standardized)),
    "trpo: the plain gradient": wrong("trpo_agent", BETTER, (trust_regions, "natural_step", plain_gradient)),
    "trpo: the plain gradient in two states": wrong("trpo_agent", ADVANTAGES, (trust_regions, "natural_step", plain_gradient)),
    "trpo: successors after the reset": wrong("trpo_agent", LOOP, (FiniteWorlds, "step", autoreset_observation)),
    "reinforce: density averaged over dimensions": wrong(
        "reinforce_continuous_agent", REGULATOR, (policies, "gaussian_log_prob", mean_over_dimensions)),
    "ppo: log_std does not learn": wrong(
        "ppo_continuous_agent", REGULATOR, (policies.Gaussian, "_log_std", spread_detached)),
    "trpo: log_std is no parameter": wrong(
        "trpo_continuous_agent", REGULATOR, (trust_regions, "natural_step", bias_left_out)),
    "q-prop: nothing is given back": wrong("qprop_agent", Q_PROP, (qprop, "analytic", nothing_given_back)),
    "q-prop: the critic's half alone": wrong("qprop_agent", Q_PROP, (qprop, "estimate", critics_half_alone)),
    "q-prop: weight of this very batch": wrong("qprop_agent", Q_PROP, (qprop, "weights", weight_of_this_batch)),
    "q-prop: another weight in one half": wrong("qprop_agent", UNBIASED, (qprop, "estimate", other_weight_in_one_half)),
    "q-prop: the full critic is subtracted": wrong("qprop_agent", UNBIASED, (terms.Expansion, "at", full_critic_subtracted)),
    "q-prop: weights of the same action": wrong("qprop_agent", UNBIASED, (terms, "weights_of_other_half", own_weights)),
    "q-prop: weights of both halves": wrong("qprop_agent", UNBIASED, (terms, "weights_of_other_half", weights_of_all)),
    "q-prop: the critic's half alone in a regulator": wrong("qprop_agent", Q_REGULATOR, (qprop, "estimate", critics_half_alone)),
    "q-prop: weight zero": wrong("qprop_agent", VARIANCE, (qprop, "weights", weight_ignored)),
    "q-prop: what was coded is not standardised": wrong("qprop_agent", CODED, (on_policy, "standardized", not_standardized)),
    "q-prop: the deviation turned": wrong("qprop_agent", UNBIASED, (terms.Expansion, "at", turned_deviation)),
    "q-prop: the fraction's complement": wrong("qprop_agent", MIXING, (qprop, "_mixed", fraction_turned)),
    "q-prop: the critic learns first": wrong(
        "qprop_agent", CRITIC, (qprop, "estimate", critic_first), (qprop, "learn_critic", no_critic_later)),
    "q-prop: the critic bootstraps through the end": wrong(
        "qprop_agent", CRITIC, (qprop, "value_target", bootstraps_through_the_end)),
    "q-prop: the target stays": wrong("qprop_agent", CRITIC, (networks, "track", target_stays)),
}  # fmt: skip
"""By what is wrong. Sightings are those that no operator can show."""
