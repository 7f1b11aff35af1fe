"""Tables from real environments, against a reading of the same environment that shares nothing with finite_mdps."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest

import reference
from properties._mdps import GYMNASIUM_TABLES, missing_tables, newest, tables
from reference.finite_mdps import FiniteMDP, bias_chain, bit_flip, from_gymnasium, from_table, toy_maze

TABLES = {table.name: table for table in tables()}


def environment(title: str) -> Any:
    name, options = GYMNASIUM_TABLES[title]
    return gymnasium.make(name if "-v" in name else newest(name, list(gymnasium.registry)), **options)


def optimal_by_sweeping(table: dict[int, dict[int, list[Any]]], discount: float, sweeps: int) -> np.ndarray:
    """Value iteration written over P[s][a] itself: a terminated transition adds its reward and nothing more."""
    value = np.zeros(len(table))
    for _ in range(sweeps):
        value = np.array(
            [
                max(
                    sum(p * (r + (0.0 if end else discount * value[after])) for p, after, r, end in row) for row in actions.values()
                )
                for actions in table.values()
            ]
        )
    return value


@pytest.mark.parametrize("title", GYMNASIUM_TABLES)
def test_optimal_values_are_those_of_the_environments_own_table(title: str) -> None:
    due = optimal_by_sweeping(environment(title).unwrapped.P, 0.9, 300)
    found = reference.solve_optimal(TABLES[title].transition, TABLES[title].reward, discount=0.9).value
    largest = np.abs(TABLES[title].reward).max() / (1 - 0.9)
    np.testing.assert_allclose(found[: len(due)], due, rtol=0, atol=0.9**300 * largest + 1e3 * largest * 2.0**-53)


@pytest.mark.parametrize("title", GYMNASIUM_TABLES)
def test_rows_sum_to_one_and_the_absorbing_state_is_worth_nothing(title: str) -> None:
    table = TABLES[title].csr()
    np.testing.assert_allclose(table.transition.sum(axis=1), 1.0, rtol=0, atol=1e-12)
    value = reference.solve_optimal(table.transition, table.reward, discount=0.5).value
    assert table.terminal[-1] and value[-1] == 0.0


def test_all_named_tables_are_there() -> None:
    assert not missing_tables()
    assert {"FrozenLake 8x8 slippery", "Taxi", "CliffWalking"} <= set(TABLES)


def test_taxi_ends_with_the_delivery() -> None:
    """Taxi's terminated transitions lead to ordinary states; they must not be worth what those states are worth."""
    table = environment("Taxi").unwrapped.P
    ends = [(s, a) for s, actions in table.items() for a, row in actions.items() if any(end for *_, end in row)]
    assert ends
    value = np.full(TABLES["Taxi"].reward.shape[0], 1000.0)
    value[-1] = 0.0
    found = reference.action_values(value, TABLES["Taxi"].transition, TABLES["Taxi"].reward, discount=1.0)
    for s, a in ends:
        assert found[s, a] == 20.0


def test_from_table_adds_up_duplicates_and_terminated_mass() -> None:
    table = {0: {0: [(0.25, 0, 1.0, False), (0.25, 0, 1.0, False), (0.5, 0, 4.0, True)]}}
    mdp = from_table(table, "coin", dense=True)
    np.testing.assert_array_equal(mdp.transition, [[[0.5, 0.5]], [[0.0, 1.0]]])
    np.testing.assert_array_equal(mdp.reward, [[2.5], [0.0]])
    assert reference.solve_optimal(mdp.transition, mdp.reward, discount=0.5).value[0] == pytest.approx(2.5 / 0.75, rel=2.0**-50)


def test_a_bad_table_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="must"):
        from_table({0: {0: [(0.5, 0, 1.0, False)]}}, "half")


@pytest.mark.parametrize("mdp", [toy_maze(), bias_chain(arms=3), bit_flip(3)], ids=lambda mdp: mdp.name)
def test_dense_and_csr_are_one_process(mdp: FiniteMDP) -> None:
    dense, csr = mdp.dense(), mdp.csr()
    states, actions = mdp.reward.shape
    np.testing.assert_array_equal(dense.transition.reshape(states * actions, states), csr.transition.toarray())


def test_the_toy_maze_decays_with_small_expectiles() -> None:
    """IQL's figure: one-step values (expectile 1/2) vanish towards the start, high expectiles approach the optimum."""
    maze = toy_maze()
    states, actions = maze.reward.shape
    uniform = np.full((states, actions), 1 / actions)
    start = int(np.argmax(maze.start))
    at_start = []
    for expectile in (0.5, 0.7, 0.9, 0.95, 0.99):
        value = np.zeros(states)
        for _ in range(400):
            value = reference.expectile_backup(value, uniform, maze.transition, maze.reward, expectile=expectile, discount=0.9)
        at_start.append(value[start])
    best = reference.solve_optimal(maze.transition, maze.reward, discount=0.9).value[start]
    assert 0 < at_start[0] < 0.05 * best
    assert at_start == sorted(at_start) and at_start[-1] < best


def test_from_gymnasium_needs_a_table() -> None:
    with pytest.raises(ValueError, match="P"):
        from_gymnasium(gymnasium.make("CartPole-v1"))
