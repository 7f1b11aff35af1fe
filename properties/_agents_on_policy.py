"""One update of REINFORCE and PPO on drawn steps is its formula, for tables: advantages, ratios, clips, minibatches (U3).

Trust regions are in _agents_trust_regions.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from properties._agents_updates import PLAIN, RATE
from properties._agents_worlds import World, made, told, worlds
from properties._bounds import ELEMENTARY, UNIT, Floats, gamma
from properties._claim import claim
from properties._draw import codes, flags, indices
from properties._trial import Trial

Draw = Callable[[st.SearchStrategy[Any]], Any]
WILLIAMS = "Williams 1992, §4; Schulman et al. 2016, eq. (16)"
PPO = "Schulman et al. 2017 (PPO), eq. (7) and algorithm 1"
TRPO = "Schulman et al. 2015 (TRPO), §6 and appendix C"
TABLES: dict[str, Any] = PLAIN | {
    "standardize": False, "normalize_observations": False, "baseline": "network", "value_learning_rate": RATE, "policy_gain": 1.0,
    "max_grad_norm": None,
}  # fmt: skip
ONCE = {"value_epochs": 1, "value_batch_size": None}
GRADIENT: dict[str, dict[str, Any]] = {
    "reinforce_agent": TABLES | ONCE | {"policy_learning_rate": 1.0},
    "ppo_agent": TABLES | {"policy_learning_rate": 1.0, "schedule": "constant", "batch_size": None, "target_kl": None},
}
REGION: dict[str, Any] = TABLES | ONCE | {"cg_iterations": 20, "damping": 0.125, "shrink": 0.75, "max_backtracks": 12}
OPTIONS = GRADIENT | {"trpo_agent": REGION}
EPOCHS, CLIP, UPDATES = 3, 0.25, 2


class Steps(NamedTuple):
    """A world, and steps of each seed's environments in their order, [seeds, envs, T]: any state may follow any."""

    world: World
    rollout: dict[str, Any]

    @property
    def seeds(self) -> int:
        """How many there are."""
        return len(self.rollout["rewards"])

    @property
    def places(self) -> tuple[Any, Any, Any]:
        """seed, s, a of all steps, [seeds, N]."""
        x = self.rollout
        s, a = (x[name].reshape(self.seeds, -1) for name in ("observations", "actions"))
        return np.arange(self.seeds)[:, None] + 0 * s, s, a


@st.composite
def steps(draw: Draw, seeds: int = 2, longest: int = 4) -> Steps:
    """Drawn ones; s' is the next step's s unless the episode is cut there. Rewards are k/64, |k| <= 128."""
    w, envs, length = draw(worlds()), draw(st.integers(1, 2)), draw(st.integers(1, longest))
    shape = (seeds, envs, length)
    s, a, last = draw(indices(shape, w.states)), draw(indices(shape, w.actions)), draw(indices(shape, w.states))
    ends, cuts = draw(flags(shape)), draw(flags(shape))
    rewards = np.frombuffer(draw(codes(s.size)), dtype=np.int8).reshape(shape) / 64.0
    cuts = cuts & ~ends
    cuts[..., -1] = True
    after = np.where(ends, w.states, np.where(cuts, last, np.roll(s, -1, axis=-1)))
    return Steps(w, {
        "observations": s, "actions": a, "rewards": rewards, "next_observations": after,
        "terminations": ends, "truncations": cuts,
    })  # fmt: skip


class Known(NamedTuple):
    """The learner's tables, [seeds, S + 1, A] and [seeds, S + 1]."""

    policy: Floats
    value: Floats

    @property
    def logs(self) -> Floats:
        """log pi."""
        return np.log(self.policy)


def known(port: Trial, learner: Any, b: Steps) -> Known:
    """As they are now."""
    w = b.world
    policy = told(port, learner, "policy", (b.seeds, w.states + 1, w.actions))
    return Known(policy, told(port, learner, "value", (b.seeds, w.states + 1)))


def learner_on(port: Trial, b: Steps, options: dict[str, Any]) -> Any:
    """One whose rollouts are the drawn steps; seeds differ."""
    steps_of_a_seed = int(b.rollout["rewards"][0].size)
    sized = {"update_every": steps_of_a_seed, "envs": b.rollout["rewards"].shape[1]}
    return made(port, b.world, options | sized, seeds=tuple(range(b.seeds)))


def ahead(b: Steps, value: Floats) -> tuple[Floats, Floats]:
    """V of each step's state and of its true successor."""
    x, seed = b.rollout, np.arange(b.seeds)[:, None, None]
    return value[seed, x["observations"]], value[seed, x["next_observations"]]


def advantages(port: Trial, b: Steps, value: Floats, lambda_: float) -> Floats:
    """Generalised advantages by the learner's own V, [seeds, N]."""
    x = b.rollout
    given = (x["rewards"], x["terminations"], x["truncations"], *ahead(b, value))
    return np.asarray(port.gae(*given, lambda_=lambda_, discount=b.world.discount)).reshape(b.seeds, -1)


def regressed(port: Trial, b: Steps, value: Floats, lambda_: float, times: int = 1) -> Floats:
    """V after so many steps down the mean of (V - G)^2 / 2, G the lambda-returns by V as it was before the first."""
    x, (seed, s, _) = b.rollout, b.places
    given = (x["rewards"], x["terminations"], x["truncations"], ahead(b, value)[1])
    target = port.lambda_returns(*given, lambda_=lambda_, discount=b.world.discount).reshape(b.seeds, -1)
    found = value.copy()
    for _ in range(times):
        error = target - found[seed, s]
        np.add.at(found, (seed, s), RATE * error / s.shape[1])
    return found


def slope(policy: Floats, b: Steps, weight: Floats) -> Floats:
    """The mean over steps of weight * grad log pi(a|s) by the logits; weight [seeds, N]."""
    seed, s, a = b.places
    found = np.zeros_like(policy)
    np.add.at(found, (seed, s), weight[..., None] * (np.eye(policy.shape[-1])[a] - policy[seed, s]) / s.shape[1])
    return found


def softened(logits: Floats) -> Floats:
    """log softmax."""
    top = logits - logits.max(axis=-1, keepdims=True)
    return np.asarray(top - np.log(np.exp(top).sum(axis=-1, keepdims=True)))


def size(b: Steps, value: Floats) -> float:
    """No advantage, return or V is larger: T steps of |r| + 2 |V|."""
    x = b.rollout["rewards"]
    return float(x.shape[-1] * (np.abs(x).max() + 2 * np.abs(value).max()) + np.abs(value).max())


def mean_error(b: Steps, value: Floats) -> float:
    """What a mean over N steps of advantages, or errors, may lose: 3 T + 3 roundings in each, N + 8 in the mean and its place."""
    count = b.rollout["rewards"][0].size
    return float(gamma(3 * b.rollout["rewards"].shape[-1] + count + 12, UNIT["float64"]) * 2 * size(b, value))


def log_error(logs: Floats) -> float:
    """What log pi may lose on its way through probabilities and back: elementary functions of numbers up to its size."""
    return float(gamma(4 * ELEMENTARY + 16, UNIT["float64"]) * (8.0 + float(np.abs(logs).max())))


# ------------------------------------------------------------------------------------------------------------ first-order
@claim("agents", source=WILLIAMS, operators=["reinforce_agent"], share=0.1,
       given={"b": steps(), "lambda_": st.sampled_from([1.0, 0.5, 0.0])})  # fmt: skip
def an_update_of_reinforce_is_one_step_up_the_sampled_gradient(port: Trial, b: Steps, lambda_: float) -> None:
    """The logits move by the rate times the mean over all steps of A grad log pi(a|s), A from the learner's own V as it was: of the
    true successor where an episode is cut, of nothing where it is over. V moves by its rate times the mean of the return less V."""
    learner = learner_on(port, b, GRADIENT["reinforce_agent"] | {"lambda_": lambda_, "target_lambda": lambda_})
    before = known(port, learner, b)
    for _ in range(UPDATES):
        learner.update(**b.rollout)
        after = known(port, learner, b)
        advantage, slack = advantages(port, b, before.value, lambda_), mean_error(b, before.value)
        due = softened(before.logs + slope(before.policy, b, advantage))
        port.equal(after.logs, due, 2 * slack + 2 * log_error(due), "log pi")
        port.equal(after.value, regressed(port, b, before.value, lambda_), slack, "V")
        before = after


class Climb(NamedTuple):
    """Where a few steps up the clipped surrogate lead, and what rounding may have done; whether a ratio was near its clip's
    edge."""

    logs: Floats
    error: float
    close: bool


def climbed(port: Trial, b: Steps, policy: Floats, advantage: Floats, slack: float, many: int, target_kl: float | None) -> Climb:
    """So many steps of rate 1 up the mean of the clipped surrogate, each from where the one before led; a seed whose mean KL(old,
    new) is above target_kl after a step makes no more. `slack`: of a mean of advantages.

    A step x + grad f(x) enlarges an error of the logits by 1 + |Hessian| or less, and no Hessian of rho A is above 3 rho |A|.
    """
    seed, s, a = b.places
    logs, error, close, going = np.log(policy), log_error(np.log(policy)), False, np.ones((b.seeds, 1, 1), dtype=bool)
    first, old = logs, logs[seed, s, a]
    for _ in range(many):
        ratio = logs[seed, s, a] - old
        weight = port.clipped_surrogate_gradient(ratio, advantage, clip=CLIP)
        moved = softened(logs + slope(np.exp(logs), b, weight))
        steepest, largest = float((np.exp(ratio) * np.abs(advantage)).mean(axis=-1).max()), max(1.0, float(np.exp(ratio).max()))
        relative = float(gamma(4 * ELEMENTARY, UNIT["float64"])) + 2 * error
        error = error * (1 + 3 * steepest) + 2 * slack * largest + steepest * relative + log_error(moved)
        logs = np.where(going, moved, logs)
        kl = (policy * (first - logs)).sum(axis=-1)[seed, s].mean(axis=-1)
        limit = np.inf if target_kl is None else target_kl
        close |= bool((np.abs(np.abs(np.expm1(ratio)) - CLIP) < 1e-9).any() or (np.abs(kl - limit) < 1e-9).any())
        going = going & (kl <= limit)[:, None, None]
    return Climb(logs, error, close)


@claim("U3", source=PPO, operators=["ppo_agent"], share=0.1,
       given={"b": steps(), "lambda_": st.sampled_from([0.5, 1.0, 0.0]), "epochs": st.integers(1, EPOCHS),
              "target_kl": st.sampled_from([None, 0.125, 2.0**-7])})  # fmt: skip
def an_update_of_ppo_climbs_the_clipped_surrogate_epoch_by_epoch(
    port: Trial, b: Steps, lambda_: float, epochs: int, target_kl: float | None
) -> None:
    """The first step is up the mean of A grad log pi, for every ratio is 1; each later one up the clipped surrogate at the ratio to
    the policy that began the update, with the same A, until KL(old, new) is above target_kl. V goes all of the steps towards the
    same returns."""
    options = {"lambda_": lambda_, "target_lambda": lambda_, "clip": CLIP, "epochs": epochs, "target_kl": target_kl}
    learner = learner_on(port, b, GRADIENT["ppo_agent"] | options)
    before = known(port, learner, b)
    for _ in range(UPDATES):
        learner.update(**b.rollout)
        after, slack = known(port, learner, b), mean_error(b, before.value)
        climb = climbed(port, b, before.policy, advantages(port, b, before.value, lambda_), slack, epochs, target_kl)
        if climb.close:
            return
        port.equal(after.logs, climb.logs, 2 * climb.error, "log pi")
        port.equal(after.value, regressed(port, b, before.value, lambda_, epochs), epochs * slack, "V")
        before = after


@claim("U3", source=PPO, operators=["ppo_agent"], share=0.1,
       given={"b": steps(longest=1), "count": st.integers(1, 7), "batch": st.integers(1, 4),
              "epochs": st.integers(1, 2)})  # fmt: skip
def every_epoch_of_ppo_is_as_many_steps_as_there_are_batches(port: Trial, b: Steps, count: int, batch: int, epochs: int) -> None:
    """Of steps that are all alike every minibatch is the same, in whatever order: N of them in batches of size b are N / b steps an
    epoch, rounded up, and as many in every epoch."""
    x = {name: np.repeat(column[:, :1], count, axis=2) for name, column in b.rollout.items()}
    x["truncations"] = ~x["terminations"]
    same, many = Steps(b.world, x), epochs * -(-count // batch)
    options = {"lambda_": 0.0, "target_lambda": 0.0, "clip": CLIP, "epochs": epochs, "batch_size": batch}
    learner = learner_on(port, same, GRADIENT["ppo_agent"] | options)
    before = known(port, learner, same)
    learner.update(**x)
    after, slack = known(port, learner, same), mean_error(same, before.value)
    climb = climbed(port, same, before.policy, advantages(port, same, before.value, 0.0), slack, many, None)
    if not climb.close:
        port.equal(after.logs, climb.logs, 2 * climb.error, "log pi")
        port.equal(after.value, regressed(port, same, before.value, 0.0, many), many * slack, "V")


@claim("agents", source=f"{WILLIAMS}; {PPO}; {TRPO}", operators=["reinforce_agent", "ppo_agent", "trpo_agent"], share=0.1,
       given={"b": steps(), "standardize": st.booleans()})  # fmt: skip
def where_no_action_was_better_no_policy_moves(port: Trial, b: Steps, standardize: bool) -> None:
    """Where the advantages are all 0, or all the same and standardised, which makes them 0, not one logit moves, and none is
    NaN."""
    learner = learner_on(port, b, OPTIONS[port.subject] | {"lambda_": 0.0, "baseline": "none", "standardize": standardize})
    shape = (b.seeds, b.world.states + 1, b.world.actions)
    before, x = told(port, learner, "policy", shape), b.rollout
    learner.update(**x | {"rewards": np.full_like(x["rewards"], 0.5 if standardize else 0.0)})
    port.equal(told(port, learner, "policy", shape), before, 0.0, "pi")
