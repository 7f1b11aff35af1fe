"""Sightings of mistakes that no operator can show and a claim about agents refutes."""

from __future__ import annotations

from typing import NamedTuple


class Caught(NamedTuple):
    """The claim that a learner with this mistake fails, and what it does, in one line."""

    claim: str
    story: str


TARGET, LIST = "dqn_follows_a_target_that_moves_at_its_time_only", "a_replay_is_a_plain_list"
IQL = "an_update_of_iql_is_its_three_equations"

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
}
"""By the key of _bugs/_sightings.py; tests/wrong_agents.py has the learner or memory that makes the mistake."""
