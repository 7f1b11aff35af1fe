"""Sightings of mistakes that no operator can show and a claim about agents refutes."""

from __future__ import annotations

from typing import NamedTuple


class Caught(NamedTuple):
    """The claim that a learner with this mistake fails, and what it does, in one line."""

    claim: str
    story: str


TARGET, LIST = "dqn_follows_a_target_that_moves_at_its_time_only", "a_replay_is_a_plain_list"
IQL = "an_update_of_iql_is_its_three_equations"
TD3, SAC = "an_update_of_td3_is_its_equations", "an_update_of_sac_without_spread_is_its_equations"
CLIPPED = "an_update_of_ppo_climbs_the_clipped_surrogate_epoch_by_epoch"
BATCHES = "every_epoch_of_ppo_is_as_many_steps_as_there_are_batches"

CAUGHT: dict[str, Caught] = {
    "target-both-hard-and-soft": Caught(TARGET, "the target network is copied at its period and followed slowly besides"),
    "target-update-counter-never-incremented": Caught(TARGET, "updates are not counted, so that the target network never moves"),
    "lecture-q-prediction-by-target-network": Caught(TARGET, "the prediction, too, is the target network's"),
    "exarl-act-with-target": Caught(TARGET, "actions are greedy in the target network's values"),
    "iql-twin-target-uses-online-head": Caught(IQL, "the minimum is over one target critic and the other online critic"),
    "jax-corl-iql-target-updated-outside-loop": Caught(IQL, "of several updates only the last one moves the target critics"),
    "corl-cosine-climbs-back": Caught(
        "a_policy_whose_schedule_is_over_stands_still", "the cosine of the learning rate rises again after its last step"
    ),
    "offpolicy-done-is-terminated-or-truncated": Caught(
        "q_learnings_loop_leads_where_enumeration_says", "a time limit cuts the bootstrap as a termination does"
    ),
    "rainbow-gamma-not-power-n": Caught(LIST, "the bootstrap of an n-step window is discounted once"),
    "tensorforce-next-state-of-last": Caught(LIST, "an episode's last step is followed by the next episode's first observation"),
    "ring-buffer-modulo-total-capacity": Caught(LIST, "rows of several environments wrap at the capacity of all of them together"),
    "nstep-wraparound-wrong-modulus": Caught(LIST, "windows wrap at another row than writes do"),
    "lecture-ddpg-target-at-the-current-pair": Caught(
        "an_update_of_ddpg_is_its_two_equations", "the next value is taken at the current state and action"
    ),
    "td3-policy-delay-off-by-one": Caught(TD3, "the actor is updated at other times than every second update"),
    "twin-critics-identical-init": Caught(TD3, "both critics begin alike, so that they stay alike"),
    "sac-pi-loss-updates-critics": Caught(SAC, "the actor's loss moves the critics, too"),
    "sac-next-action-from-target-actor": Caught(SAC, "the next action is drawn from an older policy"),
    "sac-discrete-mean-over-actions": Caught(
        "an_update_of_sac_over_all_actions_is_its_equations", "the policy's loss is a mean over actions, not a sum"
    ),
    "trlx-ratio-not-one-at-start": Caught(CLIPPED, "the ratio to the old policy is not 1 before the first step"),
    "approx-kl-signed-estimator": Caught(
        CLIPPED, "the divergence that ends the epochs is a signed estimate, which may be negative"
    ),
    "ppo-last-sample-dropped": Caught(CLIPPED, "the last step of a rollout enters no loss"),
    "ppo-batcher-not-reset": Caught(BATCHES, "the minibatches are used up after the first epoch"),
    "minibatch-split-count": Caught(BATCHES, "the number of minibatches is taken for their size"),
}
"""By the key of _bugs/_sightings.py; a file tests/wrong_*agents.py has the learner or memory that makes the mistake."""
