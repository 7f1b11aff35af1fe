"""What every learner owes: gradients that stay in their network, runs that repeat, seeds that do not mix, and checkpoints."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from properties._agents_linear_worlds import CONTINUOUS, pendulum, regulating, transitions
from properties._agents_updates import CRITICS, DQN, OFFLINE, PLAIN
from properties._agents_worlds import Batches, World, batches, coin_walk, made
from properties._claim import claim
from properties._trial import Trial

CONTRACT = "the contract of learners"
SMALL = {"hidden": (4,), "batch_size": 4, "learning_starts": 4, "update_every": 1, "buffer_size": 32, "learning_rate": 0.01}
RAINBOW = SMALL | {"atoms": 5, "v_min": -2.0, "v_max": 2.0, "target_every": 3, "n_step": 2}
DATA = {"hidden": (4,), "batch_size": 4, "reward_transform": "none"}
ACTOR = {
    "hidden": (4,), "batch_size": 4, "learning_starts": 4, "random_steps": 6, "update_every": 1, "buffer_size": 32,
    "critic_learning_rate": 0.01,
}  # fmt: skip
CRITIC = ACTOR | {"policy_learning_rate": 0.01}
ROUNDS = {"hidden": (4,), "update_every": 4}
REGRESSED = ROUNDS | {"batch_size": 4, "buffer_size": 16, "policy_steps": 2}
ON_POLICY: dict[str, dict[str, Any]] = {
    "reinforce": ROUNDS | {"baseline": "network", "value_epochs": 2, "value_batch_size": 2},
    "ppo": ROUNDS | {"epochs": 2, "batch_size": 2},
    "trpo": ROUNDS | {"value_epochs": 2, "value_batch_size": 2},
}
LIMITED = {"max_episode_steps": 5, "start_half_width": [0.25, 0.0]}
"""Of worlds that nothing else would end."""
ACTING: dict[str, dict[str, Any]] = {
    "value_iteration_agent": {}, "q_value_iteration_agent": {}, "q_learning_agent": {}, "double_q_learning_agent": {},
    "sarsa_agent": {}, "expected_sarsa_agent": {}, "online_q_iteration_agent": {},
    "fitted_q_iteration_agent": {"batch_size": 4, "learning_starts": 4, "update_every": 2, "buffer_size": 32},
    "dqn_agent": SMALL | {"target_every": 3, "prioritized": True}, "rainbow_agent": RAINBOW,
    "bc_agent": DATA, "one_step_agent": DATA, "iql_agent": DATA, "sac_agent": CRITIC,
    "awr_agent": REGRESSED | {"value_steps": 2}, "qwr_agent": REGRESSED | {"critic_steps": 2},
    **{f"{name}_agent": options for name, options in ON_POLICY.items()},
    "cem_agent": ACTOR | LIMITED | {"population": 8, "elites": 2, "epsilon": 0.25}, "ddpg_agent": CRITIC | LIMITED,
    "td3_agent": CRITIC | LIMITED, "sac_continuous_agent": CRITIC | LIMITED,
    "awr_continuous_agent": REGRESSED | LIMITED | {"value_steps": 2},
    "qwr_continuous_agent": REGRESSED | LIMITED | {"critic_steps": 2},
    **{f"{name}_continuous_agent": options | LIMITED for name, options in ON_POLICY.items()},
    "qprop_agent": ROUNDS | LIMITED | {"critic_hidden": (4,), "batch_size": 4, "buffer_size": 16, "learning_starts": 4},
}  # fmt: skip
"""Small networks, and memories that are soon full."""
BOTH = ("", "_continuous")
QUADRATIC = PLAIN | {"torso": "quadratic"}
UNSCALED = {"normalize_advantage": False, "normalize_observations": False}
TABLES: dict[str, dict[str, Any]] = {
    **ACTING, "dqn_agent": ACTING["dqn_agent"] | DQN, "bc_agent": DATA | OFFLINE, "one_step_agent": DATA | CRITICS,
    "iql_agent": DATA | CRITICS, "rainbow_agent": RAINBOW | DQN | {"noisy": False},
    "sac_agent": CRITIC | PLAIN,
    **{f"awr{which}_agent": ACTING[f"awr{which}_agent"] | PLAIN | UNSCALED | {"momentum": 0.0} for which in BOTH},
    **{f"qwr{which}_agent": ACTING[f"qwr{which}_agent"] | PLAIN | UNSCALED | {"q_normalization": "none"} for which in BOTH},
    **{f"{name}{which}_agent": ACTING[f"{name}{which}_agent"] | PLAIN for name in ON_POLICY for which in BOTH},
    **{name: ACTING[name] | QUADRATIC for name in ("cem_agent", "ddpg_agent", "td3_agent", "sac_continuous_agent")},
    "qprop_agent": ACTING["qprop_agent"] | QUADRATIC | {"critic_hidden": ()},
}  # fmt: skip
"""Tables in the place of networks: nothing is summed but over a batch of four. With continuous actions: functions that are linear
in features."""
OF_CRITIC, OF_POLICY, OF_VALUE = {"critic_loss": "critic"}, {"policy_loss": "policy"}, {"value_loss": "value"}
LOSSES: dict[str, dict[str, str]] = {
    "bc": OF_POLICY,
    **dict.fromkeys(("one_step", "iql", "qprop"), OF_VALUE | OF_POLICY | OF_CRITIC),
    **dict.fromkeys(("ddpg", "td3", "qwr"), OF_CRITIC | OF_POLICY),
    "sac": OF_CRITIC | OF_POLICY | {"temperature_loss": "temperature"},
    **dict.fromkeys(("awr", "reinforce", "ppo", "trpo"), OF_VALUE | OF_POLICY),
}
"""The one network that each loss moves; of the others' single loss it is the critic."""
STEPS = 16


IN_ORDER = ("awr", "qwr", "reinforce", "ppo", "trpo", "qprop")
"""Agents that learn from steps in their order."""


def kind(port: Trial) -> str:
    """The subject's name, in whatever world."""
    return port.subject.removesuffix("_agent").removesuffix("_continuous")


def learner_of(port: Trial, options: dict[str, dict[str, Any]], *seeds: int) -> Any:
    """The subject in the world of coins, or with continuous actions the pendulum."""
    if port.subject in CONTINUOUS:
        return regulating(port, pendulum(), options[port.subject], seeds=seeds)
    w = coin_walk()
    return made(port, w, options[port.subject], behavior=w.behavior, seeds=seeds)


def same(port: Trial, found: Any, due: Any, what: str) -> None:
    """Every number of two learners, bit for bit."""
    port.holds(found.keys() == due.keys(), f"{what}: the parameters must have the same names", found=list(found), due=list(due))
    for name, value in due.items():
        port.equal(np.asarray(found[name]), np.asarray(value), 0.0, f"{what}: {name}")


@claim("agents", source=CONTRACT, operators=tuple(ACTING))
def the_same_seed_is_the_same_run(port: Trial) -> None:
    """Two learners of one seed have, after equally many steps, the same numbers, bit for bit."""
    one, other = (learner_of(port, ACTING, 3) for _ in range(2))
    one.run(STEPS)
    other.run(STEPS)
    same(port, other.parameters(), one.parameters(), f"after {STEPS} steps")


@claim("agents", source=CONTRACT, operators=tuple(ACTING))
def a_seed_among_others_learns_what_it_learns_alone(port: Trial) -> None:
    """Each of three learners side by side has, bit for bit, the numbers of that seed alone: of tables, each of which is drawn for,
    acted by and learned by itself."""
    together = learner_of(port, TABLES, 5, 3, 8)
    together.run(STEPS)
    found = together.parameters()
    for place, seed in enumerate((5, 3, 8)):
        alone = learner_of(port, TABLES, seed)
        alone.run(STEPS)
        same(port, {name: value[place : place + 1] for name, value in found.items()}, alone.parameters(), f"seed {seed}")


DRAWING = tuple(name for name in ACTING if "value_iteration" not in name)


@claim("agents", source=CONTRACT, operators=DRAWING)
def a_seed_learns_the_same_whoever_is_beside_it(port: Trial) -> None:
    """The second of three learners has, bit for bit, the same numbers whatever the seeds of the first and the third are: networks
    as well, for whatever is computed has the same shape."""
    one, other = learner_of(port, ACTING, 3, 5, 8), learner_of(port, ACTING, 1, 5, 2)
    one.run(STEPS)
    other.run(STEPS)
    found, due = ({name: value[1:2] for name, value in each.parameters().items()} for each in (other, one))
    same(port, found, due, "seed 5")


@claim("agents", source=CONTRACT, operators=DRAWING)
def seeds_differ(port: Trial) -> None:
    """Of four seeds side by side no two end with the same numbers: what one draws no other does."""
    learner = learner_of(port, ACTING, 0, 1, 2, 3)
    learner.run(3 * STEPS)
    rows = np.concatenate([np.asarray(value).reshape(4, -1) for value in learner.parameters().values()], axis=1)
    port.holds(len(np.unique(rows, axis=0)) == 4, "no two of four seeds end alike", found=rows)


@claim("agents", source=CONTRACT, operators=tuple(ACTING), given={"cut": st.integers(0, STEPS)}, share=0.02)
def a_restored_run_is_the_uninterrupted_one(port: Trial, cut: int) -> None:
    """Saved after any number of steps and restored into a new learner, a run goes on bit for bit as if it had not been interrupted:
    moments, memory, worlds and random numbers are among what is saved."""
    whole, first, second = (learner_of(port, ACTING, 2, 4) for _ in range(3))
    whole.run(STEPS)
    first.run(cut)
    second.restore(first.save())
    same(port, second.parameters(), first.parameters(), "restored")
    second.run(STEPS - cut)
    same(port, second.parameters(), whole.parameters(), f"{STEPS} steps, saved after {cut}")


@claim("agents", source=CONTRACT, operators=tuple(ACTING))
def asking_changes_nothing(port: Trial) -> None:
    """Values, parameters, checkpoints and routes can be asked for at any time: the run goes on bit for bit as if nobody had."""
    silent, asked = (learner_of(port, ACTING, 6) for _ in range(2))
    for _ in range(4):
        silent.run(STEPS // 4)
        asked.run(STEPS // 4)
        questioned(port, asked)
        asked.parameters()
        asked.save()
        if port.subject in ROUTED:
            asked.routes(**given(port, shown(port), coin_walk()))
    same(port, asked.parameters(), silent.parameters(), f"after {STEPS} steps")


# ---------------------------------------------------------------------------------------------------------- gradients
ROUTED = tuple(name for name in ACTING if "value_iteration" not in name)


def questioned(port: Trial, learner: Any) -> None:
    """Whatever it can tell."""
    if port.subject not in CONTINUOUS:
        learner.values()
        return
    x = shown(port)
    learner.critic(x["observations"], x["actions"])
    if port.subject != "cem_agent":
        learner.policy(x["observations"])
    if "value_loss" in LOSSES.get(kind(port), {}):
        learner.value(x["observations"])


def shown(port: Trial) -> dict[str, Any]:
    """Three transitions in the world that the subject is in."""
    if port.subject in CONTINUOUS:
        return pendulum().steps(np.array([[[1.0, -0.5], [0.5, 0.5], [-1.0, 0.0]]]), np.array([[[0.5], [-0.25], [1.5]]]))
    names = ("observations", "actions", "rewards", "next_observations", "terminations", "next_actions")
    rows = ([0, 1, 1], [1, 0, 1], [0.5, -1.0, 2.0], [1, 0, 2], [False, False, True], [0, 1, 0])
    return {name: np.array([row]) for name, row in zip(names, rows, strict=True)}


def given(port: Trial, batch: dict[str, Any], w: World) -> dict[str, Any]:
    """Transitions as the subject takes them: where it learns from steps in order, as episodes of one step of one environment."""
    if kind(port) not in IN_ORDER:
        return batch
    found = {name: column[:, None] for name, column in batch.items() if name != "next_actions"}
    behavior = {"behavior": np.log(w.behavior)[found["observations"]]} if port.subject == "qwr_agent" else {}
    return found | behavior | {"truncations": ~found["terminations"]}


@claim("agents", operators=ROUTED,
       source="Mnih et al. 2015, eq. 3: the target is a constant; Kostrikov et al. 2021, eqs. 5-7; Silver et al. 2014, eq. 9",
       given={"b": batches(seeds=1), "c": transitions()}, share=0.05)  # fmt: skip
def each_loss_moves_its_own_network_and_no_other(port: Trial, b: Batches, c: dict[str, Any]) -> None:
    """d(loss)/d(parameter) is exactly 0 for every parameter of every network but the loss's own: not of its target, not of the
    critic behind an advantage or an actor. A wide batch does move its own."""
    options, w = ACTING[port.subject], coin_walk()
    if port.subject in CONTINUOUS:
        learner, drawn = learner_of(port, ACTING, 0), given(port, c, w)
    else:
        learner, drawn = made(port, b.world, options, behavior=b.world.behavior), given(port, b.batch, b.world)
    wanted, found = LOSSES.get(kind(port), OF_CRITIC), learner.routes(**drawn)
    port.holds(found.keys() == wanted.keys(), "the losses", found=list(found), due=list(wanted))
    for loss, own in wanted.items():
        for network, steepest in found[loss].items():
            if network != own:
                port.equal(np.asarray(steepest), 0.0, 0.0, f"d({loss})/d({network})")
    wide = learner_of(port, ACTING, 0).routes(**given(port, shown(port), w))
    for loss, own in wanted.items():
        port.holds(wide[loss].get(own, 0.0) > 0.0, f"{loss} must move {own}", found=list(wide[loss].values()))
