"""What every learner owes: gradients that stay in their network, runs that repeat, seeds that do not mix, and checkpoints."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from properties._agents_updates import CRITICS, DQN, OFFLINE
from properties._agents_worlds import Batches, batches, coin_walk, made
from properties._claim import claim
from properties._trial import Trial

CONTRACT = "the contract of learners"
SMALL = {"hidden": (4,), "batch_size": 4, "learning_starts": 4, "update_every": 1, "buffer_size": 32, "learning_rate": 0.01}
RAINBOW = SMALL | {"atoms": 5, "v_min": -2.0, "v_max": 2.0, "target_every": 3, "n_step": 2}
DATA = {"hidden": (4,), "batch_size": 4, "reward_transform": "none"}
ACTING: dict[str, dict[str, Any]] = {
    "value_iteration_agent": {}, "q_value_iteration_agent": {}, "q_learning_agent": {}, "double_q_learning_agent": {},
    "sarsa_agent": {}, "expected_sarsa_agent": {}, "online_q_iteration_agent": {},
    "fitted_q_iteration_agent": {"batch_size": 4, "learning_starts": 4, "update_every": 2, "buffer_size": 32},
    "dqn_agent": SMALL | {"target_every": 3, "prioritized": True}, "rainbow_agent": RAINBOW,
    "bc_agent": DATA, "one_step_agent": DATA, "iql_agent": DATA,
}  # fmt: skip
"""Small networks, and memories that are soon full."""
TABLES: dict[str, dict[str, Any]] = {
    **ACTING, "dqn_agent": ACTING["dqn_agent"] | DQN, "bc_agent": DATA | OFFLINE, "one_step_agent": DATA | CRITICS,
    "iql_agent": DATA | CRITICS, "rainbow_agent": RAINBOW | DQN | {"noisy": False},
}  # fmt: skip
"""Tables in the place of networks: nothing is summed but over a batch of four."""
LOSSES = {
    "bc_agent": {"policy_loss": "policy"},
    **{name: {"value_loss": "value", "policy_loss": "policy", "critic_loss": "critic"} for name in ("one_step_agent", "iql_agent")},
}
"""The one network that each loss moves; of the others' single loss it is the critic."""
STEPS = 16


def learner_of(port: Trial, options: dict[str, dict[str, Any]], *seeds: int) -> Any:
    """The subject in the world of coins."""
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
        asked.values()
        asked.parameters()
        asked.save()
        if port.subject in ROUTED:
            asked.routes(**example())
    same(port, asked.parameters(), silent.parameters(), f"after {STEPS} steps")


# ---------------------------------------------------------------------------------------------------------- gradients
ROUTED = tuple(name for name in ACTING if "value_iteration" not in name)


def example() -> dict[str, Any]:
    """Three transitions in the world of coins."""
    names = ("observations", "actions", "rewards", "next_observations", "terminations", "next_actions")
    rows = ([0, 1, 1], [1, 0, 1], [0.5, -1.0, 2.0], [1, 0, 2], [False, False, True], [0, 1, 0])
    return {name: np.array([row]) for name, row in zip(names, rows, strict=True)}


@claim("agents", source="Mnih et al. 2015, eq. 3: the target is a constant; Kostrikov et al. 2021, eqs. 5-7", operators=ROUTED,
       given={"b": batches(seeds=1)}, share=0.05)  # fmt: skip
def each_loss_moves_its_own_network_and_no_other(port: Trial, b: Batches) -> None:
    """d(loss)/d(parameter) is exactly 0 for every parameter of every network but the loss's own: not of its target, not of the
    critic behind an advantage. A wide batch does move its own."""
    options = {**ACTING[port.subject]}
    learner = made(port, b.world, options, behavior=b.world.behavior)
    wanted = LOSSES.get(port.subject, {"critic_loss": "critic"})
    found = learner.routes(**b.batch)
    port.holds(found.keys() == wanted.keys(), "the losses", found=list(found), due=list(wanted))
    for loss, own in wanted.items():
        for network, steepest in found[loss].items():
            if network != own:
                port.equal(np.asarray(steepest), 0.0, 0.0, f"d({loss})/d({network})")
    w = coin_walk()
    wide = made(port, w, options, behavior=w.behavior).routes(**example())
    for loss, own in wanted.items():
        port.holds(wide[loss].get(own, 0.0) > 0.0, f"{loss} must move {own}", found=wide[loss])
