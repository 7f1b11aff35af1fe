"""The weighted regression: its loss, and its optimum on a table: improved_policy, or cloning with one action per state (W3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from properties._advantage_weights_policy import AWR, QWR
from properties._bounds import UNIT, Floats, gamma, own_rounding, rounded, stored
from properties._claim import Call, claim
from properties._draw import BATCHES, ROUGH, distributions, indices, temperatures, values
from properties._oracles import exact
from properties._trial import Trial

Draw = Callable[[st.SearchStrategy[Any]], Any]


# --------------------------------------------------------------------------------------------------------------- loss
@st.composite
def losses(draw: Draw) -> tuple[Floats, Floats]:
    """log_prob and weight >= 0 of one shape."""
    shape = (*draw(st.sampled_from(BATCHES)), draw(st.integers(1, 5)))
    return draw(values(shape, ROUGH)), np.abs(draw(values(shape, ROUGH)))


LOSSES = {"pair": losses()}


@claim("W3", source=f"{AWR}, Algorithm 1", operators=["weighted_policy_loss"], given=LOSSES)
def the_loss_is_the_weighted_negative_log_likelihood(port: Trial, pair: tuple[Floats, Floats]) -> None:
    """weighted_policy_loss = -weight log pi: per element, neither averaged nor normalised."""
    found, error = port("weighted_policy_loss", *pair)
    port.equal(found, -exact(pair[1]) * exact(pair[0]), error)


@claim("W3", source=f"{AWR}, Algorithm 1", operators=["weighted_policy_loss_gradient"], given=LOSSES)
def the_gradient_of_the_loss_is_minus_the_weight(port: Trial, pair: tuple[Floats, Floats]) -> None:
    """d weighted_policy_loss / d log pi = -weight, whatever log pi is."""
    found, error = port("weighted_policy_loss_gradient", *pair)
    port.equal(found, -pair[1], error)


@claim("W3", source=f"{AWR}, Algorithm 1", operators=["weighted_policy_loss"], given=LOSSES, share=0.5)
def differentiating_the_loss_gives_minus_the_weight(port: Trial, pair: tuple[Floats, Floats]) -> None:
    """Automatic differentiation of weighted_policy_loss with respect to log pi gives -weight."""
    found = port.derivative(0, *pair)
    port.equal(found, -pair[1], stored(np.zeros(found.shape), found, port.dtype))


@claim("W3", source=f"{AWR}, Algorithm 1", operators=["weighted_policy_loss"], given=LOSSES, share=0.5)
def no_gradient_flows_into_the_weights(port: Trial, pair: tuple[Floats, Floats]) -> None:
    """The weight is a constant of the regression: automatic differentiation with respect to it gives 0."""
    found = port.derivative(1, *pair)
    port.equal(found, np.zeros(found.shape), 0.0)


@claim(
    "W3",
    source="the operator contract (shapes match exactly)",
    operators=["weighted_policy_loss", "weighted_policy_loss_gradient"],
    given=LOSSES,
    share=0.2,
)
def a_weight_belongs_to_one_log_probability(port: Trial, pair: tuple[Floats, Floats]) -> None:
    """[B] log-probabilities with [B, 1] or [1, B] weights raise ValueError: no [B, B] losses of one sample weighed by another."""
    log_prob, weight = pair
    for longer in (weight[..., None], weight[None]):
        refused = isinstance(port.outcome(Call((log_prob, longer), {})), ValueError)
        port.holds(refused, f"a weight of shape {longer.shape} with log_prob of {log_prob.shape} must raise ValueError")


# ---------------------------------------------------------------------------------------------------------- regression
class Sample(NamedTuple):
    """Actions sampled in one state, one, two, four or eight of them, with the table of their values."""

    action: NDArray[np.int64]
    q: Floats
    weight: Floats
    policy: Floats
    temperature: float


@st.composite
def samples(draw: Draw, *, actions: int = 3) -> Sample:
    """Positive weights, and another policy that is positive everywhere."""
    n, a = draw(st.sampled_from([1, 2, 4, 8])), draw(st.integers(1, actions))
    q, temperature = draw(values((a,))), draw(temperatures())
    mild = max(temperature, 2.0 ** float(np.ceil(np.log2(max(float(np.abs(q).max()), 2.0**-30) / 32.0))))
    weight = np.abs(draw(values((n,)))) + 1.0
    return Sample(draw(indices((n,), a)), q, weight, draw(distributions((a,), positive=True)), mild)


def _as_floats(value: Any) -> Floats:
    return np.asarray(value, dtype=np.float64)


def _regressed(action: NDArray[np.int64], weight: Any, actions: int) -> Any:
    """The table that maximises sum of weight_i log pi(a_i): pi(a) = the weights of a over all weights, exactly."""
    total = [exact(weight)[action == a].sum() for a in range(actions)]
    return np.array(total, dtype=object) / sum(total)


@claim(
    "W3",
    source=f"{AWR}, §3; {QWR}, §3",
    operators=["exponential_weights", "normalized_weights", "improved_policy"],
    given={"s": samples()},
    share=0.5,
)
def weighted_regression_on_samples_is_improved_policy(port: Trial, s: Sample) -> None:
    """On a table, the optimum of the weighted regression on samples of a state is improved_policy of their frequencies mu."""
    size = len(s.q)
    mu = np.bincount(s.action, minlength=size) / len(s.action)
    policy, policy_error = port("improved_policy", mu, s.q, temperature=s.temperature)
    for name in ("exponential_weights", "normalized_weights"):
        weight, error = port(name, s.q[s.action], temperature=s.temperature)
        due = _regressed(s.action, weight, size)
        per_action = np.bincount(s.action, error, minlength=size)
        slack = (per_action + _as_floats(due) * error.sum()) / (weight.sum() - error.sum())
        port.equal(policy, due, policy_error + slack * own_rounding(2 * len(s.action) + 4), name)


@claim("W3", source=f"{QWR}, §3 (AWR with one action per state)", operators=["weighted_policy_loss"], given={"s": samples()})
def regression_on_one_action_is_cloning_whatever_the_weight(port: Trial, s: Sample) -> None:
    """With one action per state the loss is 0 where that action is certain and positive elsewhere, for every positive weight."""
    certain, certain_error = port("weighted_policy_loss", np.zeros(s.weight.shape), s.weight)
    log_prob = np.log(s.policy)[s.action]
    other, other_error = port("weighted_policy_loss", log_prob, s.weight)
    port.equal(certain, np.zeros(certain.shape), certain_error)
    port.at_most(certain, other, certain_error + other_error)
    port.holds(bool(np.all((other > 0) | (log_prob == 0))), "any other policy has a positive loss", found=other)


@claim("W3", source=f"{AWR}, §3", operators=["weighted_policy_loss"], given={"s": samples()}, share=0.5)
def the_loss_is_least_at_the_weighted_frequencies(port: Trial, s: Sample) -> None:
    """With several actions of a state the summed loss is least where pi(a) = the weights of a over all weights."""
    best = _as_floats(_regressed(s.action, s.weight, len(s.q)))
    totals, slack = [], 0.0
    for policy in (best, s.policy):
        log_prob = rounded(np.log(np.where(policy > 0, policy, 1.0)), port.dtype)[s.action]
        loss, error = port("weighted_policy_loss", log_prob, s.weight)
        totals.append(exact(loss).sum())
        off = 2 * UNIT[port.dtype] * np.abs(log_prob) + gamma(8, UNIT["float64"])  # where least, the loss is flat in the policy
        slack += float(error.sum() + (s.weight * off).sum())
    port.at_most(float(totals[0] - totals[1]), 0.0, slack)


@claim("W3", source=f"{AWR}, §3", operators=["weighted_policy_loss_gradient"], given={"s": samples()}, share=0.5)
def the_gradient_vanishes_at_the_weighted_frequencies(port: Trial, s: Sample) -> None:
    """For pi = softmax(logits), sum of gradient_i (1[a_i = a] - pi(a)) is 0 where pi(a) = the weights of a over all weights."""
    best = _regressed(s.action, s.weight, len(s.q))
    slope, error = port("weighted_policy_loss_gradient", np.log(s.policy)[s.action], s.weight)
    chosen = s.action[:, None] == np.arange(len(s.q))
    pull = (exact(slope)[:, None] * (exact(chosen * 1.0) - best)).sum(axis=0)
    port.equal(np.zeros(len(s.q)), pull, np.full(len(s.q), error.sum()))
