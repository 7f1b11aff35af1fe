"""What learners rely on, without noise: fitted Q-iteration (B6), optimism (B8), semi-gradients (B9), BitFlip (W9), termination."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from properties._bounds import UNIT, Floats, gamma, rounded
from properties._claim import claim
from properties._draw import discounts, flags, indices, values
from properties._mdps import tables
from properties._oracles import exact
from properties._trial import Trial
from reference.finite_mdps import FiniteMDP, bit_flip, from_table

Draw = Callable[[st.SearchStrategy[Any]], Any]
SAMPLES = 4
"""Transitions drawn for each state and action; a data set holds the first 1, 2 or 4 of them."""


class Experience(NamedTuple):
    """Transitions [S, A, SAMPLES] from every state and action; the first `times` [S, A] of them are there. q [S, A]."""

    reward: Floats
    terminated: NDArray[np.bool_]
    successor: NDArray[np.int64]
    times: NDArray[np.int64]
    q: Floats
    discount: float


@st.composite
def experiences(draw: Draw) -> Experience:
    """Data of full support, spread over states and actions as the behaviour happened to act."""
    s, a = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    shape = (s, a, SAMPLES)
    times = 2 ** draw(indices((s, a), 3))
    return Experience(
        draw(values(shape)),
        draw(flags(shape)),
        draw(indices(shape, s)),
        times,
        draw(values((s, a))),
        draw(discounts(below_one=True)),
    )


def _empirical(data: Experience) -> FiniteMDP:
    """The process in which each pair (s, a) has the outcomes of its data, equally likely; the last state is the end."""

    def outcomes(s: int, a: int) -> list[tuple[float, int, float, bool]]:
        n = int(data.times[s, a])
        columns = (data.successor[s, a, :n], data.reward[s, a, :n], data.terminated[s, a, :n])
        return [(1.0 / n, int(after), float(r), bool(end)) for after, r, end in zip(*columns, strict=True)]

    states, actions = data.q.shape
    return from_table([[outcomes(s, a) for a in range(actions)] for s in range(states)], "empirical", dense=True)


def _continued(q: Floats) -> Floats:
    """Q with the row of the end, where nothing is earned."""
    return np.concatenate([q, np.zeros((1, q.shape[1]))])


@claim("B6", source="Ernst, Geurts & Wehenkel 2005, §3 (fitted Q-iteration), with Watkins & Dayan 1992",
       operators=["q_optimality_backup", "q_learning_target"], given={"data": experiences()}, share=0.5)  # fmt: skip
def tabular_fitted_q_iteration_is_q_value_iteration(port: Trial, data: Experience) -> None:
    """On data of full support the mean of the Q-learning targets over each (s, a) is the optimality backup of the empirical
    process, however often the behaviour tried which action: fitted Q-iteration is off-policy."""
    mdp, q = _empirical(data), data.q
    there = np.arange(SAMPLES) < data.times[..., None]
    dtype = port.dtype if port.subject == "q_optimality_backup" else "float64"
    inexact = float(np.abs(mdp.reward - rounded(mdp.reward, dtype)).max())
    for _ in range(2):
        target, error = port(
            "q_learning_target", data.reward[there], data.terminated[there], q[data.successor[there]], discount=data.discount
        )
        fitted, slack = np.zeros(there.shape), np.zeros(there.shape)
        fitted[there], slack[there] = target, error
        mean, rounding = fitted.sum(axis=-1) / data.times, slack.max(axis=-1) + port.sum_error(fitted)
        due, due_error = port("q_optimality_backup", _continued(q), mdp.transition, mdp.reward, discount=data.discount)
        port.equal(mean, due[:-1], rounding + due_error[:-1] + inexact)
        q = np.asarray(rounded(mean, port.dtype))


UPDATES = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.sampled_from([1.0, 0.5, 0.125])), min_size=1, max_size=12)


@claim("B8", source="Even-Dar & Mansour 2001 (optimistic Q-learning), for deterministic processes", operators=["q_learning_target"],
       given={"data": experiences(), "updates": UPDATES}, share=0.5)  # fmt: skip
def optimism_survives_q_learning_on_deterministic_processes(
    port: Trial, data: Experience, updates: list[tuple[int, int, float]]
) -> None:
    """Where successors are certain, Q_0 >= Q* stays >= Q* under every update Q(s,a) += step (target - Q(s,a)), step in (0, 1]."""
    data = data._replace(times=np.ones(data.q.shape, dtype=np.int64))
    mdp, (states, actions) = _empirical(data), data.q.shape
    best, error = port("solve_optimal", mdp.transition, mdp.reward, discount=data.discount)
    best_q, best_error = port("action_values", best, mdp.transition, mdp.reward, discount=data.discount)
    q, owed = best_q[:-1] + np.abs(data.q), float(best_error.max() + error.max())
    for s, a, step in updates:
        s, a = s % states, a % actions
        after, reward = data.successor[s, a, 0], data.reward[s, a, :1]
        target, target_error = port("q_learning_target", reward, data.terminated[s, a, :1], q[after][None], discount=data.discount)
        q[s, a] += step * (target[0] - q[s, a])
        owed += float(
            target_error[0]
            + UNIT[port.dtype] * np.abs(q[after]).max()
            + gamma(4, UNIT["float64"]) * (abs(q[s, a]) + abs(target[0]))
        )
        port.at_most(best_q[:-1], q, owed, "Q* <= Q")


CYCLE = np.array([[1, 0], [0, 1]])
"""Two states, two actions: where each leads."""
CHANCES = np.array([[0.125, 0.375], [0.25, 0.25]])
"""How often each pair is visited, d(s, a)."""
STEP = 0.5


def _field(port: Trial, q: Floats, ahead: Floats, discount: float) -> tuple[Floats, Floats]:
    """d (target(ahead) - Q), the mean update of Q-learning when its target looks ahead through another Q; and its error."""
    reward = np.array([[1.0, 0.5], [0.25, 2.0]])
    if port.subject == "q_learning_target":
        target, error = port(port.subject, reward, np.zeros((2, 2), dtype=bool), ahead[CYCLE], discount=discount)
    else:
        target, error = port("q_optimality_backup", ahead, np.eye(2)[CYCLE], reward, discount=discount)
    return CHANCES * (target - q), CHANCES * error


def _jacobian(port: Trial, discount: float, *, frozen: bool) -> tuple[Floats, Floats]:
    """dF/dQ, [4, 4], by differences that stay on one linear piece of F (the greedy actions stay), hence exact but for rounding."""
    q = np.array([[1.0, 3.0], [4.0, 2.0]])
    base, error = _field(port, q, q, discount)
    columns, slack = [], error.max()
    for moved in q + STEP * np.eye(4).reshape(4, 2, 2):
        field, error = _field(port, moved, q if frozen else moved, discount)
        columns.append((field - base).ravel() / STEP)
        slack = max(slack, error.max())
    return np.stack(columns, axis=1), np.full((4, 4), 2 * slack / STEP)


@claim("B9", source="Baird 1995; Sutton & Barto 2018, §9.3", operators=["q_learning_target", "q_optimality_backup"],
       given={"discount": st.sampled_from([0.5, 0.25, 0.75, 1.0])}, share=0.05)  # fmt: skip
def q_learning_is_not_gradient_descent(port: Trial, discount: float) -> None:
    """The mean update F(Q) = d (r + gamma P max Q - Q) has the Jacobian D (gamma P G - I), G the greedy choice: it is not symmetric
    here, so that no loss has F as its gradient. With the target's Q frozen it is -D, symmetric and negative definite: a regression.
    At gamma = 0 both agree."""
    choice = np.eye(4)[[1, 2]]  # max Q(0, .) is at (0, 1), max Q(1, .) at (1, 0)
    due = np.diag(CHANCES.ravel()) @ (discount * choice[CYCLE.ravel()] - np.eye(4))
    found, slack = _jacobian(port, discount, frozen=False)
    port.equal(found, due, slack, "the Jacobian of the semi-gradient field")
    port.holds(bool((np.abs(found - found.T) > 2 * slack).any()), "the Jacobian must not be symmetric", found=found)
    for still, same in ((discount, True), (0.0, True), (0.0, False)):
        found, slack = _jacobian(port, still, frozen=same)
        port.equal(found, -np.diag(CHANCES.ravel()), slack, "the Jacobian of a regression")


@claim("W9", source="Kozakowski et al. 2021 (QWR), BitFlip", operators=["optimality_backup", "q_optimality_backup"],
       given={"bits": st.integers(1, 5), "steps": st.integers(0, 8)}, share=0.25)  # fmt: skip
def bit_flip_pays_its_zeros_and_then_nothing(port: Trial, bits: int, steps: int) -> None:
    """The best return of k steps from z zeros is min(k, z) - ((k - min(k, z)) mod 2): k optimality backups of 0 with discount 1."""
    mdp = bit_flip(bits)
    value, error = np.zeros(2**bits), 0.0
    for _ in range(steps):
        if port.subject == "optimality_backup":
            value, slack = port(port.subject, value, mdp.transition, mdp.reward, discount=1.0)
        else:
            q, slack = port(port.subject, np.repeat(value[:, None], bits, axis=1), mdp.transition, mdp.reward, discount=1.0)
            value = q.max(axis=1)
        error += float(slack.max())
    zeros = bits - np.array([state.bit_count() for state in range(2**bits)])
    early = np.minimum(steps, zeros)
    port.equal(value, early - (steps - early) % 2, np.full(2**bits, error))


@claim("B11", source="Sutton & Barto 2018, §3.4; Gymnasium 1.4, toy_text",
       operators=["action_values", "q_evaluation_backup", "q_optimality_backup"],
       given={"data": experiences()}, share=0.5)  # fmt: skip
def terminated_transitions_of_a_table_do_not_bootstrap(port: Trial, data: Experience) -> None:
    """In a process from a table P[s][a] a terminated outcome is worth its reward, whatever state it names: a backup is the mean of
    r + gamma (1 - terminated) V(s') over the outcomes."""
    mdp, v = _empirical(data), data.q.max(axis=1)
    wide = np.repeat(np.append(v, 0.0)[:, None], data.q.shape[1], axis=1)
    chosen = np.eye(data.q.shape[1])[np.zeros(len(wide), dtype=np.int64)]
    first = {"action_values": (np.append(v, 0.0),), "q_evaluation_backup": (wide, chosen)}.get(port.subject, (wide,))
    found, error = port(port.subject, *first, mdp.transition, mdp.reward, discount=data.discount)
    there = np.arange(SAMPLES) < data.times[..., None]
    ahead = np.where(there & ~data.terminated, v[data.successor], 0.0)
    worth = exact(np.where(there, data.reward, 0.0)) + exact(data.discount) * exact(ahead)
    inexact = float(np.abs(mdp.reward - rounded(mdp.reward, port.dtype)).max())
    port.equal(found[:-1], worth.sum(axis=-1) * exact(1.0 / data.times), error[:-1] + inexact)
    port.equal(found[-1], np.zeros(data.q.shape[1]), error[-1], "the end is worth nothing")


DROP_OFF: Any = [[[(1.0, 1, -1.0, False)]], [[(1.0, 0, 20.0, True)]]]
"""A ride, then the drop-off, which pays 20, ends, and leads to where a ride could begin: as Taxi's table does."""


@claim("B11", source="Gymnasium 1.4, toy_text: Taxi's table", operators=["solve_optimal", "value_iteration", "q_value_iteration"])
def no_state_of_taxi_is_worth_more_than_the_drop_off(port: Trial) -> None:
    """Taxi's drop-off pays 20 and ends the episode, although the table names an ordinary state after it: max V* = 20."""
    found = [table for table in tables() if table.name == "Taxi"]
    for mdp in (*found, from_table(DROP_OFF, "drop-off")):
        stopping = {} if port.subject == "solve_optimal" else {"tolerance": 2.0**-20, "max_iterations": 300}
        value, error = port(port.subject, mdp.transition, mdp.reward, discount=0.875, **stopping)
        port.equal(value.max(), 20.0, error.max())
