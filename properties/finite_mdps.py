"""Finite decision processes: the solvers against two oracles, B2 to B5, and what holds of any table: labels and storage."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

import properties._finite_mdps_learning  # noqa: F401  (B6, B8, B9 and W9: the concept goes on there)
from properties._bellman_bounds import leak, sweeps_error
from properties._bellman_calls import EVERY, KNOBS, Knobs, applied, call_of, rough_cases, with_knobs
from properties._bounds import COMPUTED_IN, UNIT, Floats, stored
from properties._claim import claim
from properties._mdps import MDPCase, on_mdps
from properties._oracles.dynamic_programming import (
    optimum_by_fractions,
    optimum_by_linear_program,
    policy_value_by_fractions,
)
from properties._trial import Trial

PUTERMAN = "Puterman 1994"
SUTTON = "Sutton & Barto 2018"
NEVER = 2.0**-100
"""A tolerance that is met only where nothing changes any more, so that rounding cannot change when an iteration stops."""
ITERATIONS = ("value_iteration", "q_value_iteration")
SWEEPS = ("optimality_backup", "q_optimality_backup")


def _call(port: Trial, name: str, case: MDPCase, knobs: Knobs, **other: Any) -> tuple[Floats, Floats]:
    """An operator on a case: value and error; that of an iteration is here its rounding alone, as tolerance ends none."""
    if name not in ITERATIONS:
        return applied(port, name, case, knobs, **other)
    call = call_of(name, case, knobs | {"iteration": knobs["iteration"] | {"tolerance": NEVER}}, **other)
    value = getattr(port, name)(*call.arguments, **call.keywords)[0]
    return value, _rounding(port, name, case, value)


def _rounding(port: Trial, name: str, case: MDPCase, value: Floats) -> Floats:
    """What rounding may do to an iteration from 0, in the dtype of whoever computes it; 2 NEVER for having stopped."""
    dtype = port.dtype if name == port.subject else "float64"
    error = sweeps_error(UNIT[COMPUTED_IN[dtype]], case.mdp.transition, case.mdp.reward, case.discount)
    return stored(np.full(np.shape(value), error + 2 * NEVER), value, dtype)


def _optimum(port: Trial, case: MDPCase, name: str) -> tuple[Floats, float]:
    """V*, or Q* for the operators of Q, and its error."""
    call = call_of("solve_optimal", case, {})
    value, error = port("solve_optimal", *call.arguments, **call.keywords)
    if not name.startswith("q_"):
        return value, float(error.max())
    q, q_error = port("action_values", value, *call.arguments, discount=case.discount)
    return q, float(q_error.max() + case.discount * error.max() * (1 + leak(case.mdp.transition, len(value))))


def _start(name: str, case: MDPCase) -> tuple[str, Floats]:
    return ("q", case.q) if name.startswith("q_") else ("value", case.value)


# -------------------------------------------------------------------------------------------------- B2, B3: iterating
@claim("B2", source=f"{PUTERMAN}, theorem 6.3.3", operators=[*SWEEPS, *ITERATIONS], given=with_knobs, share=0.15)
def iteration_approaches_the_optimum_geometrically(port: Trial, case: MDPCase, knobs: Knobs) -> None:
    """max|V_k - V*| <= gamma^k max|V_0 - V*| after k sweeps, and the same for Q; V_0 = 0 in value_iteration."""
    name, g = port.subject, case.discount
    due, due_error = _optimum(port, case, name)
    if name in ITERATIONS:
        call = call_of(name, case, knobs)
        now, k = getattr(port, name)(*call.arguments, **call.keywords)[:2]
        port.holds(1 <= k <= knobs["iteration"]["max_iterations"], "iterations lie in 1..max_iterations", found=k)
        before, sweeps, owed = np.zeros(due.shape), int(k), float(_rounding(port, name, case, now).max())
    else:
        field, before = _start(name, case)
        now, sweeps, owed = before, 3, 0.0
        for _ in range(sweeps):
            now, error = _call(port, name, case, knobs, **{field: now})
            owed = owed + float(error.max())
    far = g**sweeps * np.abs(before - due).max()
    inexact = port.sum_error(np.stack([now, due], -1)).max() + far * (sweeps + 4) * (leak(case.mdp.transition, len(due)) + 2.0**-52)
    port.at_most(np.abs(now - due).max(), far, owed + 2 * due_error + inexact)


@claim("B2", source=f"{PUTERMAN}, theorem 6.3.1; Bertsekas 2012, §2.1", operators=SWEEPS, given=with_knobs, share=0.15)
def the_last_change_certifies_the_distance(port: Trial, case: MDPCase, knobs: Knobs) -> None:
    """max|TV - V*| <= gamma/(1 - gamma) max|TV - V|, and the same for Q."""
    name, g = port.subject, case.discount
    due, due_error = _optimum(port, case, name)
    field, before = _start(name, case)
    now, error = _call(port, name, case, knobs, **{field: before})
    certificate = g / (1 - g) * np.abs(now - before).max()
    inexact = (
        certificate * (leak(case.mdp.transition, len(due)) / (1 - g) + 2.0**-50) + port.sum_error(np.stack([now, due], -1)).max()
    )
    port.at_most(np.abs(now - due).max(), certificate, error.max() / (1 - g) + due_error + inexact)


@claim("B2", source=f"{PUTERMAN}, §6.3 (the stopping rule)", operators=ITERATIONS, given=with_knobs, share=0.15)
def iteration_stops_by_its_certificate(port: Trial, case: MDPCase, knobs: Knobs) -> None:
    """error_bound = gamma/(1 - gamma) max|V_k - V_(k-1)| >= max|V_k - V*|; k is the first with error_bound <= tolerance, or
    max_iterations."""
    name, g, stopping = port.subject, case.discount, knobs["iteration"]
    ask = getattr(port, name)
    call = call_of(name, case, knobs)
    now, k, bound = ask(*call.arguments, **call.keywords)
    rounding, unit = float(_rounding(port, name, case, now).max()), UNIT[port.dtype]
    due, due_error = _optimum(port, case, name)
    inexact = bound * (8 * unit + leak(case.mdp.transition, len(due)) / (1 - g))
    port.at_most(np.abs(now - due).max(), bound, 2 * rounding + due_error + inexact)
    last = np.zeros(due.shape)
    if k > 1:
        last, _, earlier = ask(*call.arguments, **call.keywords | {"max_iterations": int(k) - 1})
        port.at_most(stopping["tolerance"], earlier, 8 * unit * stopping["tolerance"], "it should have stopped earlier")
    if k < stopping["max_iterations"]:
        port.at_most(bound, stopping["tolerance"], 8 * unit * stopping["tolerance"], "it stopped before the tolerance was met")
    change = g / (1 - g) * np.abs(now - last).max()
    port.equal(bound, change, 2 * g / (1 - g) * rounding + 8 * unit * change, "error_bound")


@claim("B3", source=f"{SUTTON}, eqs. 3.19 and 3.20", operators=[*SWEEPS, *ITERATIONS], given=with_knobs, share=0.15)
def value_and_q_iteration_coincide(port: Trial, case: MDPCase, knobs: Knobs) -> None:
    """V_k = max over a of Q_k(., a) for all k when V_0 = max over a of Q_0(., a)."""
    if port.subject in ITERATIONS:
        v, v_error = _call(port, "value_iteration", case, knobs)
        q, q_error = _call(port, "q_value_iteration", case, knobs)
        port.equal(v, q.max(axis=1), v_error + q_error.max(axis=1))
        return
    v, q, owed = case.q.max(axis=1), case.q, np.zeros(len(case.value))
    for _ in range(3):
        v, v_error = _call(port, "optimality_backup", case, knobs, value=v)
        q, q_error = _call(port, "q_optimality_backup", case, knobs, q=q)
        owed = case.discount * owed.max() * (1 + leak(case.mdp.transition, len(v))) + v_error + q_error.max(axis=1)
        port.equal(v, q.max(axis=1), owed)


# ----------------------------------------------------------------------------------------------- B4: greedy policies
def _greedy(q: Floats) -> Floats:
    return np.asarray(np.eye(q.shape[1])[q.argmax(axis=1)])


@claim(
    "B4",
    source=f"{PUTERMAN}, theorem 6.2.7; {SUTTON}, §3.6",
    operators=["solve_optimal", "solve_policy"],
    given=on_mdps,
    share=0.15,
)
def the_greedy_policy_attains_the_optimum(port: Trial, case: MDPCase) -> None:
    """The policy of solve_optimal has the value V* in every state, and so has the greedy policy of Q*."""
    mdp, g = case.mdp, case.discount
    best, policy = port.solve_optimal(mdp.transition, mdp.reward, discount=g)
    error = port.error("solve_optimal", best, mdp.transition, mdp.reward, discount=g)
    port.holds(
        policy.shape == best.shape and policy.dtype.kind == "i", "policy holds one action, an integer, per state", found=policy
    )
    port.holds(bool(((policy >= 0) & (policy < mdp.reward.shape[1])).all()), "policy holds actions", found=policy)
    q, q_error = port("action_values", best, mdp.transition, mdp.reward, discount=g)
    greedy_loss = 2 * (q_error.max() + g * error.max()) / (1 - g)
    for chosen, loss in ((np.eye(mdp.reward.shape[1])[policy], 0.0), (_greedy(q), greedy_loss)):
        value, value_error = port("solve_policy", chosen, mdp.transition, mdp.reward, discount=g)
        port.equal(value, best, error + value_error + loss)


@claim("B4", source="Singh & Yee 1994, corollary 2", operators=["solve_policy", "solve_optimal"], given=on_mdps, share=0.15)
def greedy_on_any_q_loses_little(port: Trial, case: MDPCase) -> None:
    """V^pi >= V* - 2 max|Q - Q*| / (1 - gamma) for pi greedy on Q; V^pi <= V* for every pi."""
    mdp, g = case.mdp, case.discount
    best, error = port("solve_optimal", mdp.transition, mdp.reward, discount=g)
    due, due_error = port("action_values", best, mdp.transition, mdp.reward, discount=g)
    for q in (case.q, due + np.sign(case.q) * np.abs(due).max() / 16):
        value, value_error = port("solve_policy", _greedy(q), mdp.transition, mdp.reward, discount=g)
        loss = 2 * np.abs(q - due).max() / (1 - g)
        slack = error + value_error + port.sum_error(np.stack([best, value], -1))
        port.at_most(best - value, loss, slack + (2 * (due_error.max() + g * error.max()) + 2.0**-50 * loss) / (1 - g))
    value, value_error = port("solve_policy", case.policy, mdp.transition, mdp.reward, discount=g)
    port.at_most(value, best, error + value_error)


# --------------------------------------------------------------------------------------------- B5: against the oracles
@claim("B5", source=f"{PUTERMAN}, theorem 6.1.1", operators=["solve_policy"],
       given={"case": rough_cases(below_one=True)}, share=0.5, oracle="policy_value_by_fractions")  # fmt: skip
def policy_values_solve_their_linear_system_exactly(port: Trial, case: MDPCase) -> None:
    """solve_policy = (I - gamma P^pi)^-1 R^pi, in exact rational arithmetic."""
    mdp = case.mdp
    found, error = port("solve_policy", case.policy, mdp.transition, mdp.reward, discount=case.discount)
    port.equal(found, policy_value_by_fractions(case.policy, mdp.transition, mdp.reward, discount=case.discount), error)


@claim("B5", source=f"Howard 1960; {PUTERMAN}, theorem 6.4.2", operators=["solve_optimal", *ITERATIONS],
       given={"case": rough_cases(below_one=True), "knobs": KNOBS}, share=0.3, oracle="optimum_by_fractions")  # fmt: skip
def optima_are_those_of_exact_policy_iteration(port: Trial, case: MDPCase, knobs: Knobs) -> None:
    """V* and Q*, as far as an iteration certifies them, are those of policy iteration in rational arithmetic; the policy
    returned is optimal, and at gamma = 0 takes the first action of largest reward."""
    mdp, name = case.mdp, port.subject
    best = optimum_by_fractions(mdp.transition, mdp.reward, discount=case.discount)
    call = call_of(name, case, knobs)
    result = getattr(port, name)(*call.arguments, **call.keywords)
    error = port.error(name, result[0], *call.arguments, **call.keywords)
    port.equal(result[0], best.q if name.startswith("q_") else best.value, error)
    if name == "solve_optimal":
        chosen = best.q[np.arange(len(best.q)), result[1]]
        port.equal(chosen.astype(np.float64), best.value, 2 * error, "Q* of the policy's actions")
        if case.discount == 0:
            port.equal(result[1], mdp.reward.argmax(axis=1), 0.0, "the first action of largest reward")


@claim("B5", source=f"{PUTERMAN}, §6.9 (the linear program)", operators=["solve_optimal", *ITERATIONS], given=with_knobs, share=0.1,
       oracle="optimum_by_linear_program")  # fmt: skip
def optima_solve_the_linear_program(port: Trial, case: MDPCase, knobs: Knobs) -> None:
    """V* is the least V with V >= r + gamma P V for every action: the optimum of HiGHS, which iterates neither policy nor value."""
    mdp, name = case.mdp, port.subject
    value, due_error = optimum_by_linear_program(mdp.transition, mdp.reward, discount=case.discount)
    call = call_of(name, case, knobs)
    found, error = port(name, *call.arguments, **call.keywords)
    flat, slack = (found.max(axis=1), error.max(axis=1)) if name.startswith("q_") else (found, error)
    port.equal(flat, value, slack + due_error)


@claim(
    "B5",
    source=f"Howard 1960; {SUTTON}, §4.2 (policy improvement)",
    operators=["solve_policy", "action_values"],
    given=on_mdps,
    share=0.1,
)
def policy_iteration_improves_monotonically(port: Trial, case: MDPCase) -> None:
    """Acting greedily on Q^pi lowers the value of no state, and where it changes nothing V^pi is the optimum."""
    mdp, g = case.mdp, case.discount
    value, error = port("solve_policy", case.policy, mdp.transition, mdp.reward, discount=g)
    for _ in range(3):
        q, q_error = port("action_values", value, mdp.transition, mdp.reward, discount=g)
        better, better_error = port("solve_policy", _greedy(q), mdp.transition, mdp.reward, discount=g)
        inexact = q_error.max() + g * (error.max() + UNIT[port.dtype] * np.abs(value).max())
        slack = error + better_error + 2 * inexact / (1 - g)
        port.at_most(value, better, slack)
        gain = np.abs(q.max(axis=1) - value).max()
        best, best_error = port("solve_optimal", mdp.transition, mdp.reward, discount=g)
        slack = slack + best_error + port.sum_error(np.stack([best, value], -1)) + 2.0**-50 * gain / (1 - g)
        port.at_most(best - value, gain / (1 - g), slack)
        value, error = better, better_error


FIXED = {"solve_policy": "evaluation_backup", "solve_optimal": "optimality_backup"}


@claim("B5", source=f"{PUTERMAN}, theorems 6.1.1 and 6.2.5", operators=[*FIXED, *FIXED.values()], given=with_knobs, share=0.15)
def solutions_are_fixed_points_of_their_backups(port: Trial, case: MDPCase, knobs: Knobs) -> None:
    """T^pi V^pi = V^pi and T* V* = V*."""
    for solver, backup in FIXED.items():
        if port.subject in (solver, backup):
            value, error = _call(port, solver, case, knobs)
            again, again_error = _call(port, backup, case, knobs, value=value)
            carried = case.discount * (1 + leak(case.mdp.transition, len(value)))
            slack = error.max() + carried * (error.max() + UNIT[port.dtype] * np.abs(value).max())
            port.equal(again, value, again_error + slack)


# ------------------------------------------------------------------------------------------- what holds of any table
@claim("bellman", source="the operator contract (dense or CSR)", operators=EVERY, given=with_knobs, share=0.1)
def csr_and_dense_transitions_agree(port: Trial, case: MDPCase, knobs: Knobs) -> None:
    """A transition stored dense [S, A, S] and as CSR [S*A, S] with row s*A + a gives the same."""
    if port.subject in FIXED and len(case.value) > 200:
        return  # factors of a dense matrix of that size take seconds
    one, one_error = _call(port, port.subject, case, knobs, mdp=case.mdp.dense())
    two, two_error = _call(port, port.subject, case, knobs, mdp=case.mdp.csr())
    port.equal(one, two, one_error + two_error)


def _relabelled(case: MDPCase, states: Any, actions: Any) -> MDPCase:
    """State i of the result is states[i] of the case; action j is actions[j]."""
    mdp = case.mdp
    dense = mdp.dense()._replace(transition=np.asarray(mdp.dense().transition)[np.ix_(states, actions, states)])
    turned = dense._replace(reward=mdp.reward[np.ix_(states, actions)])
    pairs = {name: getattr(case, name)[np.ix_(states, actions)] for name in ("q", "other_q", "policy", "behavior")}
    lists = {name: getattr(case, name)[states] for name in ("value", "other_value")}
    return case._replace(mdp=turned if isinstance(mdp.transition, np.ndarray) else turned.csr(), **pairs, **lists)


@claim("bellman", source="the definition of a decision process", operators=EVERY, share=0.2,
       given={"case": rough_cases(below_one=True), "knobs": KNOBS, "seed": st.integers(0, 99)})  # fmt: skip
def relabelling_states_and_actions_relabels_results(port: Trial, case: MDPCase, knobs: Knobs, seed: int) -> None:
    """Renaming states and actions renames the entries of the result and changes nothing else."""
    shuffle = np.random.default_rng(seed)
    states, actions = (shuffle.permutation(n) for n in case.mdp.reward.shape)
    due, due_error = _call(port, port.subject, case, knobs)
    found, error = _call(port, port.subject, _relabelled(case, states, actions), knobs)
    place = np.ix_(states, actions) if due.ndim == 2 else states
    port.equal(found, due[place], error + due_error[place])
