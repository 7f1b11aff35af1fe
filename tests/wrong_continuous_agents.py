"""Learners of continuous actions that make known mistakes: this package's own with some functions replaced."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from wrong_agents import Patches, Wrong

from accelerated import clipped_double_target, gradient_search, soft_target, temperature_loss, value_target
from accelerated.agents import actor_critics, cem, continuous_adapter, ddpg, networks, sac, td3


class Patched:
    """A learner of continuous actions whose every method runs with some attributes replaced."""

    def __init__(self, name: str, patches: tuple[tuple[Any, str, Any], ...], *arguments: Any, **keywords: Any) -> None:
        self._patches = patches
        self._inside = self._within(continuous_adapter.ContinuousLearner, name, *arguments, **keywords)

    def _within(self, call: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        with Patches(self._patches):
            return call(*arguments, **keywords)

    def __getattr__(self, method: str) -> Any:
        return lambda *arguments, **keywords: self._within(getattr(self._inside, method), *arguments, **keywords)


def patched(name: str, *patches: tuple[Any, str, Any]) -> Callable[..., Any]:
    """Makes such a learner."""
    return lambda *arguments, **keywords: Patched(name, patches, *arguments, **keywords)


def optioned(name: str, **options: Any) -> Callable[..., Any]:
    """Makes a learner that does not hear what it is asked for."""

    def make(*arguments: Any, **keywords: Any) -> Any:
        heard = {key: value for key, value in options.items() if key in keywords["options"]}
        return continuous_adapter.ContinuousLearner(name, *arguments, **keywords | {"options": keywords["options"] | heard})

    return make


# ---------------------------------------------------------------------------------------------------------------- targets
TARGET, TD3_TARGET, SAC_TARGET = ddpg.target, td3.target, sac.target


def at_the_current_pair(state: Any, batch: Any) -> Any:
    """r + discount · Q̂(s, a)."""
    q = actor_critics.q_of(state, state.networks["target_critic"], batch.observations, batch.actions)
    return value_target(batch.rewards, batch.terminations, q[:, 0].detach(), discount=batch.discounts)


def end_ignored(target: Callable[..., Any]) -> Callable[..., Any]:
    return lambda state, batch: target(state, batch._replace(terminations=torch.zeros_like(batch.terminations)))


def sign_turned(target: Callable[..., Any]) -> Callable[..., Any]:
    return lambda state, batch: target(state, batch._replace(discounts=-batch.discounts))


def half_the_discount(target: Callable[..., Any]) -> Callable[..., Any]:
    return lambda state, batch: target(state, batch._replace(discounts=batch.discounts / 2))


def without_target_networks(target: Callable[..., Any]) -> Callable[..., Any]:
    def found(state: Any, batch: Any) -> Any:
        own = {f"target_{name}": state.networks[name] for name in ("critic", "policy") if name in state.networks}
        return target(replace(state, networks=state.networks | own), batch)

    return found


def larger_twin(reward: Any, terminated: Any, q1: Any, q2: Any, *, discount: Any) -> Any:
    larger = torch.maximum(q1, q2)
    return clipped_double_target(reward, terminated, larger, larger, discount=discount)


def own_target_for_each(state: Any, batch: Any, target: Any) -> Any:
    """The twins' errors to targets of their own, of which the second is as if the smaller were the larger."""
    with mocked((td3, "clipped_double_target", larger_twin), (sac, "soft_target", soft_of_the_larger)):
        other = (td3 if state.config.__class__ is td3.Config else sac).target(state, batch)
    q = actor_critics.q_of(state, state.networks["critic"], batch.observations, batch.actions)
    return ((target - q[:, 0]) ** 2).mean(-1) + ((other - q[:, 1]) ** 2).mean(-1)


def soft_of_the_larger(reward: Any, terminated: Any, q1: Any, q2: Any, log_prob: Any, **options: Any) -> Any:
    larger = torch.maximum(q1, q2)
    return soft_target(reward, terminated, larger, larger, log_prob, **options)


def mocked(*patches: tuple[Any, str, Any]) -> Patches:
    return Patches(patches)


def entropy_outside(
    reward: Any, terminated: Any, q1: Any, q2: Any, log_prob: Any, *, entropy_coefficient: float, discount: Any
) -> Any:
    """y = r - α log π + discount (1 - terminated) min Q."""
    return clipped_double_target(reward, terminated, q1, q2, discount=discount) - entropy_coefficient * log_prob


def entropy_punished(reward: Any, terminated: Any, q1: Any, q2: Any, log_prob: Any, **options: Any) -> Any:
    return soft_target(reward, terminated, q1, q2, -log_prob, **options)


# ------------------------------------------------------------------------------------------------------ actors, networks
POLICY_LOSS, SAC_POLICY_LOSS = actor_critics.policy_loss, sac.policy_loss


def summed(state: Any, batch: Any) -> Any:
    return POLICY_LOSS(state, batch) * batch.rewards.shape[1]


def divided_twice(state: Any, batch: Any) -> Any:
    return POLICY_LOSS(state, batch) / batch.rewards.shape[1]


def climbs_the_target(state: Any, batch: Any) -> Any:
    return POLICY_LOSS(replace(state, networks=state.networks | {"critic": state.networks["target_critic"]}), batch)


def climbs_both(state: Any, batch: Any) -> Any:
    action = actor_critics.mean_action(state, "policy", batch.observations)
    return -actor_critics.q_of(state, actor_critics.constant(state.networks["critic"]), batch.observations, action).mean((1, 2))


def critics_follow_alone(state: Any, *names: str) -> None:
    TRACK(state, "critic")


TRACK, DDPG_UPDATE, TD3_UPDATE, SAC_UPDATE, BEGUN = (
    actor_critics.track, ddpg.update, td3.update, sac.update, actor_critics.begun,
)  # fmt: skip


def nothing_follows(state: Any, *names: str) -> None:
    return None


def targets_move_always(state: Any, batch: Any) -> Any:
    found = TD3_UPDATE(state, batch)
    if state.updates % state.config.policy_every:
        TRACK(state, "critic", "policy")
    return found


def actor_first(state: Any, batch: Any) -> Any:
    """The actor goes up the old critic."""
    state.optimizers["policy"].step(POLICY_LOSS(state, batch))
    state.optimizers["critic"].step(ddpg.critic_loss(state, batch))
    TRACK(state, "critic", "policy")
    state.updates += 1
    return {}


def twins_alike(*arguments: Any, **keywords: Any) -> Any:
    state = BEGUN(*arguments, **keywords)
    for name in ("critic", "target_critic"):
        for tensor in state.networks[name].values():
            with torch.no_grad():
                tensor.copy_(tensor[:, :1].expand_as(tensor).clone())
    return state


def critics_learn_from_the_actors_loss(state: Any, batch: Any) -> Any:
    """One optimizer for all parameters: the actor's loss moves the critics, too."""
    found = SAC_UPDATE(state, batch)
    with mocked((actor_critics, "constant", lambda critic, members=None: critic)):
        state.optimizers["critic"].step(SAC_POLICY_LOSS(state, batch))
    return found


def one_gradient_for_both(state: Any, batch: Any, target: Any) -> Any:
    q = actor_critics.q_of(state, state.networks["critic"], batch.observations, batch.actions)
    error = (target - q[:, 0]).detach()
    return (-2 * error.unsqueeze(1) * q).mean(-1).sum(-1)


# ----------------------------------------------------------------------------------------------------------------- noise
PERTURBED, DRAW, IN_BOX, SAC_INIT = actor_critics.perturbed, sac.draw, actor_critics.in_box, sac.init


def unclipped(space: Any, actions: Any, noise: Any, *, noise_clip: float = 0.0) -> Any:
    return PERTURBED(space, actions, noise)


def beyond_the_box(space: Any, actions: Any, noise: Any, *, noise_clip: float = 0.0) -> Any:
    return actions + 0.5 * (space.high[0] - space.low[0]) * noise.clamp(-noise_clip, noise_clip)


def noise_of_one_sign(space: Any, actions: Any, noise: Any, *, noise_clip: float = 0.0) -> Any:
    return PERTURBED(space, actions, noise.abs(), noise_clip=noise_clip)


def half_widths_forgotten(space: Any, actions: Any, noise: Any, *, noise_clip: float = 0.0) -> Any:
    moved = actions + noise.clamp(-noise_clip, noise_clip)
    return moved.clamp(space.low[0], space.high[0])


def not_reparameterised(state: Any, observations: Any, purpose: str) -> Any:
    found = DRAW(state, observations, purpose)
    return found._replace(actions=found.actions.detach())


def entropy_a_constant(state: Any, observations: Any, purpose: str) -> Any:
    found = DRAW(state, observations, purpose)
    return found._replace(log_prob=found.log_prob.detach())


def the_mean_for_a_draw(state: Any, observations: Any, purpose: str) -> Any:
    found = DRAW(state, observations, purpose)
    mean, _ = sac.policy_shape(state.config, state.space).distribution(state.networks["policy"], observations)
    return found._replace(actions=mean)


def squashed_twice(space: Any, outputs: Any, *, squashed: bool) -> Any:
    return IN_BOX(space, outputs.tanh() if squashed else outputs, squashed=squashed)


def density_of_the_gaussian(pre_tanh: Any, mean: Any, log_std: Any, *, low: float, high: float) -> Any:
    return sac.gaussian_log_prob(pre_tanh, mean, log_std)


def first_policy_forever(state: Any, observations: Any, purpose: str) -> Any:
    """The next action is a target actor's that is never updated."""
    if purpose != "target":
        return DRAW(state, observations, purpose)
    return DRAW(replace(state, networks=state.networks | {"policy": state.networks["target_policy"]}), observations, purpose)


def with_target_policy(*arguments: Any, **keywords: Any) -> Any:
    state = SAC_INIT(*arguments, **keywords)
    state.networks["target_policy"] = networks.copy(state.networks["policy"])
    return state


def coefficient_for_its_logarithm(log_prob: Any, *, log_coefficient: Any, target_entropy: float) -> Any:
    """The derivative is that by α."""
    return -log_coefficient * (log_prob.detach() + target_entropy)


def target_entropy_turned(log_prob: Any, *, log_coefficient: Any, target_entropy: float) -> Any:
    return temperature_loss(log_prob, log_coefficient=log_coefficient, target_entropy=-target_entropy)


# -------------------------------------------------------------------------------------------------------------- searches
BEST = cem.best_actions


def no_search(state: Any, network: str, observations: Any, streams: Any) -> Any:
    return torch.zeros_like(BEST(state, network, observations, streams))


def searched_in_the_online_critic(state: Any, network: str, observations: Any, streams: Any) -> Any:
    return BEST(state, "critic", observations, streams)


def downhill(q_and_gradient: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    def turned(action: Any) -> Any:
        q, gradient = q_and_gradient(action)
        return -q, -gradient

    return gradient_search(turned, *arguments, **options)


def beyond(state: Any, network: str, observations: Any, streams: Any) -> Any:
    return 2 * BEST(state, network, observations, streams)


# ---------------------------------------------------------------------------------------------------------- the mistakes
DDPG, TD3 = "an_update_of_ddpg_is_its_two_equations", "an_update_of_td3_is_its_equations"
SAC, SMOOTHED = "an_update_of_sac_without_spread_is_its_equations", "target_noise_is_clipped_and_the_action_after_it"
SOFT, WARM = (
    "sacs_entropy_counts_inside_the_discount_and_not_at_the_end",
    "sacs_coefficient_grows_where_entropy_is_below_its_target",
)
SPREAD = "sacs_deviation_moves_by_the_same_draw_as_its_mean"
SEARCH = "an_update_of_cem_moves_to_the_best_action_that_a_search_finds"
GAIN, TWIN_GAIN = "ddpg_on_all_data_comes_to_riccatis_gain", "td3_without_noise_comes_to_riccatis_gain"
SOFT_GAIN, VALUES = (
    "sac_without_spread_and_entropy_comes_to_riccatis_gain",
    "q_learning_by_gradient_search_comes_to_riccatis_values",
)


def in_ddpg(claim: str, *patches: tuple[Any, str, Any], sighting: str = "") -> Wrong:
    return Wrong("ddpg_agent", claim, patched("ddpg", *patches), sighting)


def in_td3(claim: str, *patches: tuple[Any, str, Any], sighting: str = "") -> Wrong:
    return Wrong("td3_agent", claim, patched("td3", *patches), sighting)


def in_sac(claim: str, *patches: tuple[Any, str, Any], sighting: str = "") -> Wrong:
    return Wrong("sac_continuous_agent", claim, patched("sac", *patches), sighting)


def in_cem(claim: str, *patches: tuple[Any, str, Any]) -> Wrong:
    return Wrong("cem_agent", claim, patched("cem", *patches))


WRONG_CONTINUOUS: dict[str, Wrong] = {
    "ddpg: the target at the current pair": in_ddpg(
        DDPG, (ddpg, "target", at_the_current_pair), sighting="lecture-ddpg-target-at-the-current-pair"),
    "ddpg: the end is ignored": in_ddpg(DDPG, (ddpg, "target", end_ignored(TARGET))),
    "ddpg: the discount's sign": in_ddpg(DDPG, (ddpg, "target", sign_turned(TARGET))),  # lecture-ddpg-critic-loss
    "ddpg: no target networks": in_ddpg(DDPG, (ddpg, "target", without_target_networks(TARGET))),
    "ddpg: the target actor stays": in_ddpg(DDPG, (actor_critics, "track", critics_follow_alone)),  # jorldy-...-never-updated
    "ddpg: the actor's sum for its mean": in_ddpg(DDPG, (ddpg, "policy_loss", summed)),  # ddpg-actor-gradient-sum-not-mean
    "ddpg: the actor's mean divided again": in_ddpg(DDPG, (ddpg, "policy_loss", divided_twice)),  # ddpg-double-batch-division
    "ddpg: the actor climbs the target critic": in_ddpg(DDPG, (ddpg, "policy_loss", climbs_the_target)),
    "ddpg: the actor climbs the old critic": in_ddpg(DDPG, (ddpg, "update", actor_first)),
    "ddpg: tanh twice": in_ddpg(DDPG, (actor_critics, "in_box", squashed_twice)),
    "ddpg: half the discount, on all data": in_ddpg(GAIN, (ddpg, "target", half_the_discount(TARGET))),
    "ddpg: the targets stay, on all data": in_ddpg(GAIN, (actor_critics, "track", nothing_follows)),
    "td3: the larger of the twins": in_td3(TD3, (td3, "clipped_double_target", larger_twin)),
    "td3: a target for each twin": in_td3(TD3, (actor_critics, "squared_errors", own_target_for_each)),
    "td3: the end is ignored": in_td3(TD3, (td3, "target", end_ignored(TD3_TARGET))),
    "td3: no target networks": in_td3(TD3, (td3, "target", without_target_networks(TD3_TARGET))),
    "td3: the actor moves at every update": Wrong(
        "td3_agent", TD3, optioned("td3", policy_every=1), "td3-policy-delay-off-by-one"),
    "td3: targets move at every update": in_td3(TD3, (td3, "update", targets_move_always)),
    "td3: the actor climbs both critics": in_td3(TD3, (td3, "policy_loss", climbs_both)),
    "td3: twins begin alike": in_td3(TD3, (actor_critics, "begun", twins_alike), sighting="twin-critics-identical-init"),
    "td3: noise is not clipped": in_td3(SMOOTHED, (actor_critics, "perturbed", unclipped)),
    "td3: the smoothed action is not clipped": in_td3(SMOOTHED, (actor_critics, "perturbed", beyond_the_box)),  # agilerl-...
    "td3: noise has one sign": in_td3(SMOOTHED, (actor_critics, "perturbed", noise_of_one_sign)),
    "td3: the clip in units of the action": in_td3(SMOOTHED, (actor_critics, "perturbed", half_widths_forgotten)),
    "td3: the larger twin, on all data": in_td3(TWIN_GAIN, (td3, "clipped_double_target", larger_twin)),
    "td3: half the discount, on all data": in_td3(TWIN_GAIN, (td3, "target", half_the_discount(TD3_TARGET))),
    "sac: the larger of the twins": in_sac(SAC, (sac, "soft_target", soft_of_the_larger)),
    "sac: a target for each twin": in_sac(SAC, (actor_critics, "squared_errors", own_target_for_each)),  # sac-twin-q-own-targets
    "sac: one gradient for both critics": in_sac(
        SAC, (actor_critics, "squared_errors", one_gradient_for_both)),  # skrl-jax-sac-shared-gradient
    "sac: the target critics stay": in_sac(SAC, (actor_critics, "track", nothing_follows)),  # sac-target-never-synced
    "sac: the actor's loss moves the critics": in_sac(
        SAC, (sac, "update", critics_learn_from_the_actors_loss), sighting="sac-pi-loss-updates-critics"),
    "sac: the next action is a first policy's": in_sac(
        SAC, (sac, "init", with_target_policy), (sac, "draw", first_policy_forever), sighting="sac-next-action-from-target-actor"),
    "sac: draws without a gradient": in_sac(SAC, (sac, "draw", not_reparameterised)),  # sac-sample-not-rsample
    "sac: tanh twice": in_sac(SAC, (actor_critics, "in_box", squashed_twice)),  # sac-double-tanh
    "sac: the actor climbs the first critic": Wrong(
        "sac_continuous_agent", SAC, optioned("sac", actor_critic="first")),  # haarnoja-sac-actor-uses-first-critic
    "sac: entropy at the end": in_sac(SOFT, (sac, "soft_target", entropy_outside)),  # sac-entropy-not-masked-elegantrl
    "sac: entropy is punished": in_sac(SOFT, (sac, "soft_target", entropy_punished)),
    "sac: the density before tanh": in_sac(SOFT, (sac, "tanh_gaussian_log_prob", density_of_the_gaussian)),
    "sac: the policy does not see its entropy": in_sac(SPREAD, (sac, "draw", entropy_a_constant)),
    "sac: the policy climbs at its mean": in_sac(SPREAD, (sac, "draw", the_mean_for_a_draw)),
    "sac: the derivative by the coefficient": in_sac(
        WARM, (sac, "temperature_loss", coefficient_for_its_logarithm)),  # sac-alpha-gradient-wrong-variable
    "sac: the target entropy's sign": in_sac(
        WARM, (sac, "temperature_loss", target_entropy_turned)),  # discrete-sac-target-entropy-sign
    "sac: half the discount, on all data": in_sac(SOFT_GAIN, (sac, "target", half_the_discount(SAC_TARGET))),
    "cem: the end is ignored": in_cem(SEARCH, (cem, "target", end_ignored(cem.target))),
    "cem: no search": in_cem(SEARCH, (cem, "best_actions", no_search)),
    "cem: the search is in the online critic": in_cem(SEARCH, (cem, "best_actions", searched_in_the_online_critic)),
    "cem: the online critic's value": in_cem(SEARCH, (cem, "target", without_target_networks(cem.target))),
    "cem: the gradient goes down": in_cem(SEARCH, (cem, "gradient_search", downhill)),
    "cem: a search beyond the box": in_cem(SEARCH, (cem, "best_actions", beyond)),
    "cem: the larger of the twins": in_cem(SEARCH, (cem, "clipped_double_target", larger_twin)),
    "cem: one step for many, on all data": Wrong("cem_agent", VALUES, optioned("cem", max_iterations=1)),
    "cem: half the discount, on all data": in_cem(VALUES, (cem, "target", half_the_discount(cem.target))),
}  # fmt: skip
