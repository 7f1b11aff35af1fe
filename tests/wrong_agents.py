"""Learners that make known mistakes: this package's own with one function replaced; memories are in wrong_memories.py."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
from wrong_memories import memory

from accelerated import categorical_projection, expected_sarsa_target, exponential_weights, q_learning_target
from accelerated.agents import adapter, bc, distributional, dqn, fitted, iql, networks, one_step, optimizers, rainbow, tabular
from accelerated.agents.finite_worlds import FiniteWorlds
from accelerated.agents.optimizers import Optimizer


@dataclass(frozen=True)
class Wrong:
    """What makes the mistake in the place of one agent, the claim that must refute it, and where it was seen."""

    operator: str
    claim: str
    make: Callable[..., Any]
    sighting: str = ""

    @property
    def port(self) -> Any:
        """A port that offers nothing else."""
        return SimpleNamespace(**{self.operator: self.make})


class Patched:
    """A learner of this package whose every method runs with some attributes replaced."""

    def __init__(self, name: str, patches: tuple[tuple[Any, str, Any], ...], *arguments: Any, **keywords: Any) -> None:
        self._patches = patches
        self._inside = self._within(adapter.Learner, name, *arguments, **keywords)

    def _within(self, call: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        with Patches(self._patches):
            return call(*arguments, **keywords)

    def __getattr__(self, method: str) -> Any:
        return lambda *arguments, **keywords: self._within(getattr(self._inside, method), *arguments, **keywords)


class Patches:
    """All patches at once."""

    def __init__(self, patches: tuple[tuple[Any, str, Any], ...]) -> None:
        self._made = [mock.patch.object(*patch) for patch in patches]

    def __enter__(self) -> None:
        for patch in self._made:
            patch.start()

    def __exit__(self, *_: object) -> None:
        for patch in reversed(self._made):
            patch.stop()


def patched(name: str, *patches: tuple[Any, str, Any]) -> Callable[..., Any]:
    """Makes such a learner."""
    return lambda *arguments, **keywords: Patched(name, patches, *arguments, **keywords)


def altered(name: str, **alter: Callable[[Any], Any]) -> Callable[..., Any]:
    """Makes a learner from keywords that were changed."""

    def make(*arguments: Any, **keywords: Any) -> Any:
        return adapter.Learner(name, *arguments, **{key: alter.get(key, lambda x: x)(value) for key, value in keywords.items()})

    return make


# ------------------------------------------------------------------------------------------------------ mistaken functions
def discount_forgotten(target: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *arguments, discount: target(*arguments, discount=torch.ones_like(discount))


def discounted_once(target: Callable[..., Any]) -> Callable[..., Any]:
    """Windows of several steps are bootstrapped as if of one, in a world whose discount is 1/2."""
    return lambda *arguments, discount: target(*arguments, discount=torch.full_like(discount, 0.5))


def no_preference(logits: Any, atoms: Any) -> Any:
    return torch.zeros_like(logits[..., 0])


def without_cap(advantage: Any, *, temperature: float, max_weight: float) -> Any:
    return exponential_weights(advantage, temperature=temperature, max_weight=None)


def temperature_for_its_inverse(advantage: Any, *, temperature: float, max_weight: float) -> Any:
    return exponential_weights(advantage, temperature=1 / temperature, max_weight=max_weight)


def maximum_for_next_action(reward: Any, terminated: Any, next_q: Any, next_action: Any, *, discount: Any) -> Any:
    return q_learning_target(reward, terminated, next_q, discount=discount)


def average_for_maximum(reward: Any, terminated: Any, next_q: Any, *, discount: Any) -> Any:
    even = torch.full_like(next_q, 1.0 / next_q.shape[-1])
    return expected_sarsa_target(reward, terminated, next_q, even, discount=discount)


def first_table_for_both(reward: Any, terminated: Any, select: Any, evaluate: Any, *, discount: Any) -> Any:
    return q_learning_target(reward, terminated, select, discount=discount)


STEP = FiniteWorlds.step


def autoreset_observation(self: Any, actions: Any) -> Any:
    found = STEP(self, actions)
    return found._replace(next_observations=found.observations)


def time_limit_as_terminal(self: Any, actions: Any) -> Any:
    found = STEP(self, actions)
    return found._replace(terminations=found.terminations | found.truncations)


UPDATE, INIT = dqn.update, dqn.init


def target_is_the_critic(*arguments: Any, **keywords: Any) -> Any:
    state = INIT(*arguments, **keywords)
    state.networks["target_critic"] = state.networks["critic"]
    return state


def counter_never_incremented(state: Any, batch: Any) -> Any:
    found = UPDATE(state, batch)
    state.updates = 0
    return found


def soft_step_besides(state: Any, batch: Any) -> Any:
    found = UPDATE(state, batch)
    networks.track(state.networks["target_critic"], state.networks["critic"], polyak_step=0.005)
    return found


OUTPUTS, VALUES = dqn._outputs, dqn.action_values


def prediction_by_the_target(state: Any, network: str, observations: Any, *, noise: Any) -> Any:
    """The value is the target network's, the gradient still the critic's: both are moved alike from where the target is."""
    found = OUTPUTS(state, network, observations, noise=noise)
    if network != "critic" or not found.requires_grad:
        return found
    return found + (OUTPUTS(state, "target_critic", observations, noise=noise) - found).detach()


def acts_by_the_target(state: Any, observations: Any, *, noise: Any = None) -> Any:
    critic = state.networks.get("target_critic", state.networks["critic"])
    return VALUES(SimpleNamespace(**{**vars(state), "networks": {"critic": critic}}), observations, noise=noise)


def online_head_in_the_minimum(state: Any, batch: Any) -> Any:
    with torch.no_grad():
        pair = [iql.q_of(state, critic, batch.observations, batch.actions) for critic in ("target_critic", "critic")]
        return torch.minimum(pair[0][:, 0], pair[1][:, 1])


def not_detached(state: Any, batch: Any) -> Any:
    return iql.q_of(state, "target_critic", batch.observations, batch.actions).amin(1)


VALUE_LOSS, POLICY_LOSS, STEPPED = iql.value_loss, iql.policy_loss, iql.step


def expectile_turned(error: Any, *, expectile: float) -> Any:
    from accelerated import expectile_loss

    return expectile_loss(-error, expectile=expectile)


def steps_at_once(state: Any, losses: dict[str, Any]) -> None:
    """The critic's optimizer is handed the sum of all losses, and steps with the value's."""
    STEPPED(state, losses)
    if "value" in losses:
        state.optimizers["policy"].step(sum(p.sum() for p in state.networks["policy"].values()).expand(len(state.seeds)) * 0.01)


RATE = Optimizer.rate


def climbs_back(self: Any) -> float:
    import math

    part = self.steps / max(self.decay_steps, 1)
    return self.learning_rate if self.schedule == "constant" else self.learning_rate * 0.5 * (1 + math.cos(math.pi * part))


def clipped_together(gradients: Any, largest: float) -> Any:
    norm = torch.stack([gradient.square().sum() for gradient in gradients]).sum().sqrt()
    return [gradient * largest / norm for gradient in gradients]


# --------------------------------------------------------------------------------------------------------- mistaken manners
FRESH = itertools.count(1000)


def any_seed(seeds: Any) -> Any:
    return tuple(next(FRESH) for _ in seeds)


def one_seed_for_all(seeds: Any) -> Any:
    return (seeds[0],) * len(seeds)


class Forgets(adapter.Learner):
    """Restores all but some."""

    forgotten = "streams/"

    def restore(self, saved: bytes) -> None:
        now = self.training.tensors()
        found = adapter.unpacked(saved)
        kept = {name: now[name].clone() if self.forgotten in name and name in now else tensor for name, tensor in found.items()}
        self.training.restore(kept)


class ForgetsMoments(Forgets):
    forgotten = "optimizers/"


class DrawsWhenAsked(adapter.Learner):
    """Evaluates with the generator that it explores with."""

    def values(self) -> Any:
        for streams in (*self.state.streams.values(), self.training.draws):
            streams.uniform(1)
        return super().values()


# -------------------------------------------------------------------------------------------------------------- the mistakes
Q_SWEEP = "each_covering_sweep_brings_q_learning_closer_to_the_optimum"
Q_LOOP, SARSA_LOOP = "q_learnings_loop_leads_where_enumeration_says", "sarsas_loop_leads_where_enumeration_says"
SARSA_SWEEP = "each_covering_sweep_brings_sarsa_closer_to_the_behaviors_values"
DOUBLE_LOOP = "double_q_learnings_loop_leads_where_enumeration_says"
TARGET, LIST = "dqn_follows_a_target_that_moves_at_its_time_only", "a_replay_is_a_plain_list"
IQL, ROUTES = "an_update_of_iql_is_its_three_equations", "each_loss_moves_its_own_network_and_no_other"
MAZE = "in_the_toy_maze_a_learner_lies_on_its_side_of_a_quarter_of_the_way"
RESUME = "a_restored_run_is_the_uninterrupted_one"
MEANS, EXTRACTED = "rainbows_means_on_all_data_come_to_the_optimum", "a_policy_on_all_data_comes_to_the_weighted_behavior"


def halved(discount: float) -> float:
    return discount / 2


def level_ignored(options: Any) -> Any:
    return {**options, "expectile": 0.5} if "expectile" in options else options


WRONG: dict[str, Wrong] = {
    "q-learning: discount forgotten": Wrong(
        "q_learning_agent", Q_SWEEP,
        patched("q_learning", (tabular, "q_learning_target", discount_forgotten(q_learning_target)))),
    "q-learning: average for the maximum": Wrong(
        "q_learning_agent", "a_q_learning_agent_overestimates_on_the_bias_chain",
        patched("q_learning", (tabular, "q_learning_target", average_for_maximum))),
    "q-learning: autoreset observation as successor": Wrong(
        "q_learning_agent", Q_LOOP, patched("q_learning", (FiniteWorlds, "step", autoreset_observation))),
    "q-learning: time limit as terminal": Wrong(
        "q_learning_agent", Q_LOOP, patched("q_learning", (FiniteWorlds, "step", time_limit_as_terminal)),
        "offpolicy-done-is-terminated-or-truncated"),
    "online q-iteration: discount forgotten": Wrong(
        "online_q_iteration_agent", Q_SWEEP,
        patched("online_q_iteration", (fitted, "q_learning_target", discount_forgotten(q_learning_target)))),
    "sarsa: maximum for the next action": Wrong(
        "sarsa_agent", SARSA_SWEEP, patched("sarsa", (tabular, "sarsa_target", maximum_for_next_action))),
    "sarsa: maximum in the mean": Wrong(
        "sarsa_agent", "sarsa_learns_the_mean_over_next_actions",
        patched("sarsa", (tabular, "sarsa_target", maximum_for_next_action))),
    "sarsa: autoreset observation as successor": Wrong(
        "sarsa_agent", SARSA_LOOP, patched("sarsa", (FiniteWorlds, "step", autoreset_observation))),
    "expected sarsa: maximum for the average": Wrong(
        "expected_sarsa_agent", "each_covering_sweep_brings_expected_sarsa_closer_to_its_values",
        patched("expected_sarsa", (tabular, "expected_sarsa_target", maximum_for_next_action))),
    "double q-learning: one table selects and evaluates": Wrong(
        "double_q_learning_agent", "a_double_q_learning_agent_does_not_overestimate_on_the_bias_chain",
        patched("double_q_learning", (tabular, "double_q_target", first_table_for_both))),
    "double q-learning: one table in the loop": Wrong(
        "double_q_learning_agent", DOUBLE_LOOP,
        patched("double_q_learning", (tabular, "double_q_target", first_table_for_both))),
    "double q-learning: half the discount": Wrong(
        "double_q_learning_agent", "both_tables_of_double_q_learning_come_to_the_optimum",
        altered("double_q_learning", discount=halved)),
    "value iteration: half the discount": Wrong(
        "value_iteration_agent", "planning_agents_come_closer_by_the_discount_each_sweep",
        altered("value_iteration", discount=halved)),
    "fitted q-iteration: average for the maximum": Wrong(
        "fitted_q_iteration_agent", "a_fitted_iteration_on_all_data_is_a_sweep",
        patched("fitted_q_iteration", (fitted, "q_learning_target", average_for_maximum))),
    "dqn: the target is the critic": Wrong(
        "dqn_agent", TARGET, patched("dqn", (dqn, "init", target_is_the_critic))),
    "dqn: updates are not counted": Wrong(
        "dqn_agent", TARGET, patched("dqn", (dqn, "update", counter_never_incremented)), "target-update-counter-never-incremented"),
    "dqn: copied and followed": Wrong(
        "dqn_agent", TARGET, patched("dqn", (dqn, "update", soft_step_besides)), "target-both-hard-and-soft"),
    "dqn: the target network predicts": Wrong(
        "dqn_agent", TARGET, patched("dqn", (dqn, "_outputs", prediction_by_the_target)), "lecture-q-prediction-by-target-network"),
    "dqn: the target network acts": Wrong(
        "dqn_agent", TARGET, patched("dqn", (dqn, "action_values", acts_by_the_target)), "exarl-act-with-target"),
    "dqn: the target stays": Wrong(
        "dqn_agent", "dqn_on_all_data_comes_to_the_optimum", patched("dqn", (dqn, "update", counter_never_incremented))),
    "dqn: a window discounted once": Wrong(
        "dqn_agent", "dqn_on_all_windows_comes_to_the_n_step_values",
        patched("dqn", (dqn, "q_learning_target", discounted_once(q_learning_target)))),
    "rainbow: a window discounted once": Wrong(
        "rainbow_agent", MEANS,
        patched("rainbow", (distributional, "categorical_projection", discounted_once(categorical_projection)))),
    "rainbow: the target stays": Wrong(
        "rainbow_agent", MEANS, patched("rainbow", (rainbow, "update", counter_never_incremented))),
    "rainbow: the first action's distribution for the best one's": Wrong(
        "rainbow_agent", MEANS, patched("rainbow", (distributional, "mean_values", no_preference))),
    "rainbow: the discount is not applied": Wrong(
        "rainbow_agent", "an_update_of_rainbow_moves_distributions_to_projected_ones",
        patched("rainbow", (distributional, "categorical_projection", discount_forgotten(categorical_projection)))),
    "iql: the online head in the minimum": Wrong(
        "iql_agent", IQL, patched("iql", (iql, "smaller_q", online_head_in_the_minimum)), "iql-twin-target-uses-online-head"),
    "iql: the targets stay": Wrong(
        "iql_agent", IQL, patched("iql", (iql, "track", lambda state: None)), "jax-corl-iql-target-updated-outside-loop"),
    "iql: the expectile's other side": Wrong(
        "iql_agent", IQL, patched("iql", (iql, "expectile_loss", expectile_turned))),
    "iql: an optimizer steps for another": Wrong("iql_agent", IQL, patched("iql", (iql, "step", steps_at_once))),
    "iql: discount forgotten": Wrong(
        "iql_agent", "iql_on_all_data_comes_to_the_in_sample_values",
        patched("iql", (iql, "value_target", discount_forgotten(iql.value_target)))),
    "iql: the target is not detached": Wrong("iql_agent", ROUTES, patched("iql", (iql, "smaller_q", not_detached))),
    "iql: the expectile is not read": Wrong("iql_agent", MAZE, altered("iql", options=level_ignored)),
    "iql: the schedule climbs back": Wrong(
        "iql_agent", "a_policy_whose_schedule_is_over_stands_still", patched("iql", (Optimizer, "rate", climbs_back)),
        "corl-cosine-climbs-back"),
    "iql: weights without a cap": Wrong(
        "iql_agent", EXTRACTED, patched("iql", (iql, "exponential_weights", without_cap))),
    "one-step: the temperature for its inverse": Wrong(
        "one_step_agent", EXTRACTED, patched("one_step", (iql, "exponential_weights", temperature_for_its_inverse))),
    "one-step: maximum for the next action": Wrong(
        "one_step_agent", "an_update_of_one_step_is_sarsa_and_one_regression",
        patched("one_step", (one_step, "sarsa_target", maximum_for_next_action))),
    "one-step: maximum on all data": Wrong(
        "one_step_agent", "one_step_on_all_data_comes_to_the_behaviors_values",
        patched("one_step", (one_step, "sarsa_target", maximum_for_next_action))),
    "one-step: maximum in the maze": Wrong(
        "one_step_agent", MAZE, patched("one_step", (one_step, "sarsa_target", maximum_for_next_action))),
    "bc: weights": Wrong(
        "bc_agent", "an_update_of_cloning_climbs_the_likelihood",
        patched("bc", (bc, "weighted_policy_loss", lambda log_prob, weight: -2.0 * log_prob))),
    "bc: the mean of pi for that of log pi": Wrong(
        "bc_agent", "cloning_on_all_data_comes_to_the_behavior",
        patched("bc", (bc, "weighted_policy_loss", lambda log_prob, weight: -log_prob.exp()))),
    "seeds from a global generator": Wrong(
        "q_learning_agent", "the_same_seed_is_the_same_run", altered("q_learning", seeds=any_seed)),
    "one batch for all seeds": Wrong(
        "iql_agent", "a_seed_among_others_learns_what_it_learns_alone", altered("iql", seeds=one_seed_for_all)),
    "one norm for the gradients of all seeds": Wrong(
        "rainbow_agent", "a_seed_learns_the_same_whoever_is_beside_it",
        patched("rainbow", (optimizers, "clipped", clipped_together))),
    "one world for all seeds": Wrong("dqn_agent", "seeds_differ", altered("dqn", seeds=one_seed_for_all)),
    "checkpoint without random numbers": Wrong(
        "dqn_agent", RESUME, lambda *arguments, **keywords: Forgets("dqn", *arguments, **keywords)),
    "checkpoint without moments": Wrong(
        "iql_agent", RESUME, lambda *arguments, **keywords: ForgetsMoments("iql", *arguments, **keywords)),
    "evaluation draws": Wrong(
        "bc_agent", "asking_changes_nothing", lambda *arguments, **keywords: DrawsWhenAsked("bc", *arguments, **keywords)),
    "replay: time limit as terminal": Wrong("replay", LIST, memory("time limit as terminal")),
    "replay: next state of the last": Wrong("replay", LIST, memory("next state of the last"), "tensorforce-next-state-of-last"),
    "replay: crosses episodes": Wrong("replay", LIST, memory("crosses episodes")),
    "replay: crosses the write head": Wrong("replay", LIST, memory("crosses the write head")),
    "replay: discount without its power": Wrong("replay", LIST, memory("discount without its power"), "rainbow-gamma-not-power-n"),
    "replay: modulo the total capacity": Wrong(
        "replay", LIST, memory("modulo the total capacity"), "ring-buffer-modulo-total-capacity"),
    "replay: wrong modulus": Wrong("replay", LIST, memory("wrong modulus"), "nstep-wraparound-wrong-modulus"),
    "replay: one draw for all seeds": Wrong("replay", LIST, memory("one draw for all seeds")),
    "replay: checkpoint without the head": Wrong("replay", LIST, memory("checkpoint without the head")),
}  # fmt: skip
