"""One round of AWR and of QWR, tables in the place of networks, is what their equations say on drawn rollouts."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from properties._agents_updates import PLAIN, RATE, cloned, log_error, moved, rounding
from properties._agents_worlds import Batches, Draw, World, made, told, worlds
from properties._bounds import Floats
from properties._claim import claim
from properties._draw import FINE, flags, indices, values
from properties._trial import Trial

PENG = "Peng et al. 2019, Algorithm 1, and the authors' code: advantages under the new V, standardised, weights bounded"
KOZAKOWSKI = "Kozakowski et al. 2021, policy evaluation and policy improvement, with the margin of the authors' code"
ROUND: dict[str, Any] = PLAIN | {
    "max_grad_norm": None, "normalize_observations": False, "normalize_advantage": False, "scale_values": False, "batch_size": None,
    "temperature": 2.0, "max_weight": 4.0, "policy_learning_rate": RATE, "policy_steps": 2,
}  # fmt: skip
"""Plain gradient steps on all that is remembered, in the units of the rewards; nothing is drawn."""
AWR: dict[str, Any] = ROUND | {"momentum": 0.0, "value_learning_rate": RATE, "value_steps": 2}
QWR: dict[str, Any] = ROUND | {"samples": None, "q_normalization": "none", "critic_learning_rate": RATE, "backup_temperature": 0.5}
ROUNDS = 2
"""So many are compared, each with what is due from the tables before it."""


# ------------------------------------------------------------------------------------------------------------- rollouts
class Steps(NamedTuple):
    """What was done in some environments of a world, [seeds, envs, T] by name; behavior [seeds, envs, T, A] are log mu."""

    world: World
    rollout: dict[str, Any]

    @property
    def flat(self) -> Batches:
        """The same steps as transitions [seeds, envs * T]; no action after them is known."""
        names = ("observations", "actions", "rewards", "next_observations", "terminations")
        found = {name: self.rollout[name].reshape(len(self.rollout[name]), -1) for name in names}
        return Batches(self.world, found | {"next_actions": 0 * found["actions"]})

    @property
    def behavior(self) -> Floats:
        """mu(.|s_t), [seeds, envs, T, A]."""
        return np.asarray(np.exp(self.rollout["behavior"]))

    def returned(self, function: Any, following: Floats, **options: Any) -> Floats:
        """A return [seeds, envs * T] that bootstraps from `following` [seeds, envs, T]."""
        x = self.rollout
        steps = x["rewards"], x["terminations"], x["truncations"], following
        return np.asarray(function(*steps, discount=self.world.discount, **options)).reshape(len(following), -1)


@st.composite
def steps(draw: Draw, seeds: int = 2, envs: int = 2, longest: int = 4) -> Steps:
    """Drawn ones: where nothing is cut, a step begins where the one before has led; the last one is always cut."""
    w = draw(worlds())
    shape = (seeds, envs, draw(st.integers(1, longest)))
    begins, after = draw(indices(shape, w.states)), draw(indices(shape, w.states + 1))
    truncated, terminated = draw(flags(shape)), w.terminal[after]
    truncated[..., -1] = True
    for t in range(1, shape[-1]):
        cut = truncated[..., t - 1] | terminated[..., t - 1]
        begins[..., t] = np.where(cut, begins[..., t], after[..., t - 1])
    counts = 1.0 + draw(indices((*shape, w.actions), 4))
    columns = {
        "observations": begins, "actions": draw(indices(shape, w.actions)), "rewards": draw(values(shape, FINE)),
        "next_observations": after, "terminations": terminated, "truncations": truncated,
        "behavior": np.log(counts / counts.sum(axis=-1, keepdims=True)),
    }  # fmt: skip
    return Steps(w, columns)


def learner_of(port: Trial, found: Steps, options: dict[str, Any]) -> tuple[Any, int]:
    """The subject, and how many seeds the steps have."""
    seeds = len(found.rollout["rewards"])
    return made(port, found.world, options, seeds=tuple(range(seeds))), seeds


# ------------------------------------------------------------------------------------------------------------------ AWR
LAMBDAS = st.sampled_from([0.5, 0.0, 1.0])


@claim("agents", source=PENG, operators=["awr_agent"], share=0.1,
       given={"found": steps(), "lambda_": LAMBDAS, "standard": st.booleans()})  # fmt: skip
def a_round_of_awr_is_two_regressions(port: Trial, found: Steps, lambda_: float, standard: bool) -> None:
    """V moves along the mean of y - V(s), y the lambda-returns under the V that the round began with; then the logits along the
    mean of min(exp(A / t), cap) grad log pi, A the lambda-returns under the new V less the new V(s), standardised over all steps
    where that is asked for. A time limit bootstraps, a terminal state does not; whatever is truncated ends its return."""
    options = AWR | {"lambda_": lambda_, "normalize_advantage": standard}
    learner, seeds = learner_of(port, found, options)
    flat, w = found.flat, found.world
    s, seed = flat.batch["observations"], np.arange(seeds)[:, None]
    place, after = (np.arange(seeds)[:, None, None], found.rollout["next_observations"]), (seeds, w.states + 1)
    for _ in range(ROUNDS):
        before, policy = told(port, learner, "value", after), told(port, learner, "policy", (*after, w.actions))
        learner.update(**found.rollout)
        value, target = before, found.returned(port.lambda_returns, before[place], lambda_=lambda_)
        for _ in range(options["value_steps"]):
            value = moved(value, (seed, s), RATE * (target - value[seed, s]))
        slack = 16 * rounding(port, flat, before, value, target)
        port.equal(told(port, learner, "value", after), value, slack, "V")
        advantage = found.returned(port.lambda_returns, value[place], lambda_=lambda_) - value[seed, s]
        error = 8 * slack
        if standard:
            width = advantage.std(axis=-1, keepdims=True) + 1e-5
            advantage = (advantage - advantage.mean(axis=-1, keepdims=True)) / width
            error *= float((4 + np.abs(advantage).max()) / width.min())
        logs = climbed(port, policy, flat, advantage)
        allowed = 4 * log_error(flat, logs, float(np.abs(advantage).max())) + 4 * error
        port.equal(np.log(told(port, learner, "policy", policy.shape)), logs, allowed, "log pi")


def climbed(port: Trial, policy: Floats, b: Batches, advantage: Floats) -> Floats:
    """log pi after all steps of the regression on the actions of the data."""
    weight = port.exponential_weights(advantage, temperature=ROUND["temperature"], max_weight=ROUND["max_weight"])
    for _ in range(ROUND["policy_steps"]):
        policy = np.exp(cloned(policy, b, weight))
    return np.log(policy)


# ------------------------------------------------------------------------------------------------------------------ QWR
def aggregated(q: Floats, chances: Floats, aggregate: str, temperature: float) -> Floats:
    """F over the last axis of all actions, each with its chance: the mean, t log sum mu exp(q / t), the largest supported one."""
    if aggregate == "mean":
        return np.asarray((chances * q).sum(axis=-1))
    peak = np.where(chances > 0, q, -np.inf).max(axis=-1)
    if aggregate == "max":
        return np.asarray(peak)
    return np.asarray(peak + temperature * np.log((chances * np.exp((q - peak[..., None]) / temperature)).sum(axis=-1)))


def ahead(found: Steps, policy: Floats) -> Floats:
    """Which distribution would act in each next state: the next step's own, and the policy as it is where no step followed."""
    seed = np.arange(len(policy))[:, None, None]
    now = policy[seed, found.rollout["next_observations"]]
    later = np.concatenate([found.behavior[:, :, 1:], now[:, :, -1:]], axis=2)
    return np.asarray(np.where(found.rollout["truncations"][..., None], now, later))


def imitated(policy: Floats, found: Steps, q: Floats) -> Floats:
    """log pi after one step along the mean over states of sum_a mu(a|s) min(exp((Q - sum mu Q) / t), cap) grad log pi(a|s)."""
    s, chances = found.flat.batch["observations"], found.behavior.reshape(len(q), -1, q.shape[-1])
    worth = q[np.arange(len(q))[:, None], s]
    advantage = worth - (chances * worth).sum(axis=-1, keepdims=True)
    weight = chances * np.minimum(np.exp(advantage / ROUND["temperature"]), ROUND["max_weight"])
    logits = np.log(policy)
    for place in range(s.shape[1]):
        one = (np.arange(len(q)), s[:, place])
        share = weight[:, place]
        logits[one] += RATE * (share - share.sum(axis=-1, keepdims=True) * policy[one]) / s.shape[1]
    return np.asarray(logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True)))


QWR_GIVEN = {
    "found": steps(), "aggregate": st.sampled_from(["log_mean_exp", "max", "mean"]), "margin": st.integers(0, 2),
    "lambda_": st.sampled_from([0.5, 1.0]), "every": st.sampled_from([1, 2, 5]),
}  # fmt: skip


@claim("agents", source=KOZAKOWSKI, operators=["qwr_agent"], given=QWR_GIVEN, share=0.2)
def a_round_of_qwr_is_two_regressions_over_all_actions(
    port: Trial, found: Steps, aggregate: str, margin: int, lambda_: float, every: int
) -> None:
    """Q(s, a) moves along the mean of y - Q(s, a), y the margin returns that bootstrap from F of the copy's values of all actions,
    each by its chance under the distribution that acted there. The copy is renewed at every target_every-th step and after the
    last one, and stands still between. Then the logits move along the mean over states of
    sum_a mu(a|s) min(exp(A / t), cap) grad log pi(a|s), A = Q^(s, a) - sum mu Q^(s, .), the action of the data unread."""
    count = 3
    options = QWR | {"aggregate": aggregate, "margin": margin, "lambda_": lambda_, "target_every": every, "critic_steps": count}
    learner, seeds = learner_of(port, found, options)
    flat, w = found.flat, found.world
    seed, s, a = np.arange(seeds)[:, None], flat.batch["observations"], flat.batch["actions"]
    after, shape = (np.arange(seeds)[:, None, None], found.rollout["next_observations"]), (seeds, 1, w.states + 1, w.actions)
    for _ in range(ROUNDS):
        q, copy = (told(port, learner, name, shape)[:, 0] for name in ("critic", "target_critic"))
        policy = told(port, learner, "policy", (seeds, *shape[2:]))
        learner.update(**found.rollout)
        chances, sizes = ahead(found, policy), [q, copy]
        for step in range(1, count + 1):
            following = aggregated(copy[after], chances, aggregate, QWR["backup_temperature"])
            target = found.returned(port.margin_returns, following, lambda_=lambda_, margin=margin)
            q = moved(q, (seed, s, a), RATE * (target - q[seed, s, a]))
            copy = q if step % every == 0 or step == count else copy
            sizes += [q, target]
        slack = 64 * rounding(port, flat, *sizes)
        port.equal(told(port, learner, "critic", shape)[:, 0], q, slack, "Q")
        port.equal(told(port, learner, "target_critic", shape)[:, 0], copy, slack, "the copy of Q")
        for _ in range(QWR["policy_steps"]):
            policy = np.exp(imitated(policy, found, copy))
        logs = np.log(policy)
        allowed = 4 * log_error(flat, logs, 2 * float(np.abs(copy).max())) + 16 * slack
        port.equal(np.log(told(port, learner, "policy", policy.shape)), logs, allowed, "log pi")
