"""Tabular agents: each reaches its fixed point on finite processes, within a bound derived from steps, not tuned."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from accelerated.agents import agent, fitted, planning, tabular
from accelerated.agents.batch import Batch, Space
from accelerated.agents.state import State
from reference.agents import (
    Errors,
    FixedPoint,
    behavior_values,
    double_q_errors,
    epsilon_greedy_values,
    learning_errors,
    optimal_values,
    step_range,
)

SHARES = 4
"""Probabilities of the small worlds are multiples of 1 / SHARES, so that a batch can hold them exactly."""


class World(NamedTuple):
    """P [S, A, S] and R [S, A]; the last state is terminal. `behavior` [S, A] is a fixed policy."""

    transition: np.ndarray
    reward: np.ndarray
    behavior: np.ndarray

    @property
    def space(self) -> Space:
        states, actions = self.reward.shape
        return Space((), torch.int64, actions, states)

    @property
    def model(self) -> tuple[Tensor, ...]:
        terminal = torch.arange(len(self.reward)) == len(self.reward) - 1
        return torch.tensor(self.transition), torch.tensor(self.reward), terminal, torch.eye(len(self.reward))[0]


def world(deterministic: bool, states: int = 5, actions: int = 3) -> World:
    random = np.random.default_rng(7)
    draws = random.integers(states, size=(states, actions, 1 if deterministic else SHARES))
    transition = np.eye(states)[draws].mean(axis=2)
    reward = random.normal(size=(states, actions))
    transition[-1], reward[-1] = np.eye(states)[-1], 0.0
    behavior = random.multinomial(SHARES - actions, np.full(actions, 1 / actions), size=states) + 1.0
    return World(transition, reward, behavior / SHARES)


WORLDS = {"deterministic": world(True), "stochastic": world(False)}
each_world = pytest.mark.parametrize("name", WORLDS)


def exact(place: World, *, discount: float, following: bool = False) -> Batch:
    """Every (s, a, s'), with a' if `following`, as often as the world (and the behaviour) say; s not terminal; one seed."""
    rows = []
    for (s, a, after), p in np.ndenumerate(place.transition[:-1]):
        for action, chance in enumerate(place.behavior[after]) if following else [(0, 1 / SHARES)]:
            rows += [(s, a, after, action)] * round(p * chance * SHARES**2)
    s, a, after, action = torch.tensor(rows).T[:, None]
    reward = torch.tensor(place.reward)[s, a]
    return Batch(
        s, a, reward, after, after == len(place.reward) - 1, torch.full_like(reward, discount), action if following else None
    )


def distance(q: Tensor, point: FixedPoint) -> float:
    """The largest |q − q°| outside the terminal state, whose entries nobody bootstraps from, and of any seed or member."""
    return float(np.abs(q.detach().numpy() - point.q)[..., :-1, :].max())


def disagreement(q: Tensor) -> float:
    """The largest difference of two tables outside the terminal state."""
    return float((q[:, 0] - q[:, 1]).detach()[:, :-1].abs().max())


def roundoff(place: World, point: FixedPoint, start: float, terms: int) -> float:
    """What one update may round: sums of `terms` products, none larger than the rewards and the values on the way."""
    largest = float(np.abs(place.reward).max() + np.abs(point.q).max()) + start
    return 2 * (terms + 10) * 2.0**-53 * largest


def begun(name: str, place: World, seeds: tuple[int, ...] = (0,), **options: Any) -> tuple[Any, State]:
    learner = agent(name)
    model = {"model": place.model} if learner.MEMORY == "model" else {}
    return learner, learner.init(learner.Config(**options), place.space, seeds, dtype=torch.float64, **model)


def reaches(
    name: str,
    place: World,
    point: FixedPoint,
    batch: Batch | None,
    bound: Callable[[int, float, float], float],
    updates: int,
    **options: Any,
) -> None:
    """The distance stays within bound(updates so far, distance at the start, rounding), which shrinks to a millionth."""
    learner, state = begun(name, place, **options)
    q = state.networks["critic"]["q"]
    start = distance(q, point) + point.bound
    noise = roundoff(place, point, start, 1 if batch is None else batch.rewards.shape[1])
    for done in range(1, updates + 1):
        learner.update(state, batch)
        if done & (done - 1) == 0 or done == updates:
            assert distance(q, point) <= bound(done, start, noise) + point.bound, f"{name} after {done} updates"
    assert bound(updates, start, noise) < 1e-6 * start


def plain(discount: float, low: float, high: float | None = None, **options: Any) -> Callable[[int, float, float], float]:
    """The bound of an agent that bootstraps from its own table, or from a copy of it."""

    def bound(updates: int, start: float, noise: float) -> float:
        errors = Errors(start, start)
        return learning_errors(updates, errors, discount=discount, critic_step=(low, high or low), roundoff=noise, **options).critic

    return bound


# ------------------------------------------------------------------------------------------------ fixed points


@each_world
def test_value_iteration_and_q_value_iteration_contract_by_the_discount(name: str) -> None:
    place, gamma = WORLDS[name], 0.8
    point = optimal_values(place.transition, place.reward, discount=gamma)
    reaches("q_value_iteration", place, point, None, plain(gamma, 1.0), 100, discount=gamma, initial_value=-3.0)
    learner, state = begun("value_iteration", place, discount=gamma, initial_value=-3.0)
    start = float(np.abs(-3.0 - point.value).max()) + point.bound
    noise = roundoff(place, point, start, len(point.value))
    for done in range(1, 101):
        learner.update(state, None)
        due = plain(gamma, 1.0)(done, start, noise) + point.bound
        assert np.abs(state.networks["value"]["v"].numpy()[0, 0] - point.value).max() <= due
    acted = learner.act(state, torch.arange(4)[None], explore=False)[0].numpy()
    assert (point.policy[np.arange(4), acted] > 0).all()


@each_world
def test_q_learning_reaches_the_optimal_values(name: str) -> None:
    place, gamma = WORLDS[name], 0.8
    point, batch = optimal_values(place.transition, place.reward, discount=gamma), exact(place, discount=gamma)
    reaches("q_learning", place, point, batch, plain(gamma, 0.5), 200, discount=gamma, learning_rate=0.5)
    reaches("q_learning", place, point, batch, plain(gamma, 1.0), 80, discount=gamma, learning_rate=1.0, initial_q=9.0)


@each_world
def test_q_learning_reaches_the_optimal_values_by_falling_steps(name: str) -> None:
    place, gamma, power = WORLDS[name], 0.4, 0.5
    point, batch = optimal_values(place.transition, place.reward, discount=gamma), exact(place, discount=gamma)

    def bound(updates: int, start: float, noise: float) -> float:
        errors = Errors(start, start)
        for visit in range(1, updates + 1):
            step = visit**-power * (1 + 2.0**-50)
            errors = learning_errors(1, errors, discount=gamma, critic_step=(step * (1 - 2.0**-49), step), roundoff=noise)
        return errors.critic

    reaches("q_learning", place, point, batch, bound, 400, discount=gamma, learning_rate=1.0, step_power=power)


@each_world
def test_sarsa_reaches_the_behaviors_values(name: str) -> None:
    place, gamma = WORLDS[name], 0.8
    point = behavior_values(place.behavior, place.transition, place.reward, discount=gamma)
    batch = exact(place, discount=gamma, following=True)
    reaches("sarsa", place, point, batch, plain(gamma, 0.5), 200, discount=gamma, learning_rate=0.5)


@each_world
@pytest.mark.parametrize("over", ["all", "others"])
def test_expected_sarsa_reaches_the_values_of_its_own_exploration(name: str, over: str) -> None:
    place, gamma = WORLDS[name], 0.8
    point = epsilon_greedy_values(place.transition, place.reward, epsilon=0.3, over=over, discount=gamma)
    options = {"epsilon_start": 0.3, "epsilon_end": 0.3, "epsilon_over": over}
    batch = exact(place, discount=gamma)
    reaches("expected_sarsa", place, point, batch, plain(gamma, 0.5), 200, discount=gamma, learning_rate=0.5, **options)


@each_world
def test_double_q_learning_reaches_the_optimal_values_where_both_tables_learn(name: str) -> None:
    place, gamma = WORLDS[name], 0.8
    point, batch = optimal_values(place.transition, place.reward, discount=gamma), exact(place, discount=gamma)
    learner, state = begun("double_q_learning", place, discount=gamma, learning_rate=0.5, learns="both")
    q = state.networks["critic"]["q"]
    with torch.no_grad():
        q[0, 0] += torch.linspace(-4, 4, q[0, 0].numel(), dtype=q.dtype).reshape(q[0, 0].shape)
    start, apart = distance(q, point) + point.bound, disagreement(q)
    noise = roundoff(place, point, start, batch.rewards.shape[1])
    for done in range(1, 301):
        learner.update(state, batch)
        if done % 50 == 0:
            due = double_q_errors(done, start, apart, discount=gamma, critic_step=(0.5, 0.5), roundoff=noise)
            assert distance(q, point) <= due[0] + point.bound
            assert disagreement(q) <= due[1]
    assert due[0] < 1e-6 * start


@each_world
def test_double_q_learning_reaches_the_optimal_values_by_its_coin(name: str) -> None:
    """With u the error above and l below: u_A' = (1 − c) u_A + c γ u_B, l_A' = (1 − c) l_A + c γ (l_B + l_A + u_A).

    The action that A prefers is worth at least V* − (u_A + l_A), and B may say l_B less. This contracts for γ < 1/3.
    """
    place, gamma, step = WORLDS[name], 0.3, 0.5
    point, batch = optimal_values(place.transition, place.reward, discount=gamma), exact(place, discount=gamma)
    learner, state = begun("double_q_learning", place, discount=gamma, learning_rate=step)
    q = state.networks["critic"]["q"]
    start = distance(q, point) + point.bound
    noise, above, below, learned = roundoff(place, point, start, batch.rewards.shape[1]), [start] * 2, [start] * 2, [0, 0]
    for _ in range(500):
        a = int(state.tensors["chosen"][0, 1])
        below[a] = (1 - step) * below[a] + step * gamma * (below[1 - a] + below[a] + above[a]) + noise
        above[a] = (1 - step) * above[a] + step * gamma * above[1 - a] + noise
        learned[a] += 1
        learner.update(state, batch)
    for a in range(2):
        assert distance(q[0, a], point) <= max(above[a], below[a]) + point.bound
    assert max(above + below) < 1e-6 * start and min(learned) > 200


@each_world
def test_fitted_and_online_q_iteration_reach_the_optimal_values(name: str) -> None:
    place, gamma = WORLDS[name], 0.8
    point, batch = optimal_values(place.transition, place.reward, discount=gamma), exact(place, discount=gamma)
    reaches("fitted_q_iteration", place, point, batch, plain(gamma, 1.0), 80, discount=gamma)
    reaches("online_q_iteration", place, point, batch, plain(gamma, 0.5), 200, discount=gamma, learning_rate=0.5)

    def unfinished(updates: int, start: float, noise: float) -> float:
        return plain(gamma, 0.5, target_period=3)(3 * updates, start, noise)

    options = {"learning_rate": 0.5, "inner_steps": 3}
    reaches("fitted_q_iteration", place, point, batch, unfinished, 100, discount=gamma, **options)


@each_world
def test_a_network_of_one_row_for_each_state_is_a_table_whose_steps_follow_the_data(name: str) -> None:
    place, gamma, rate = WORLDS[name], 0.5, 9.0
    point, batch = optimal_values(place.transition, place.reward, discount=gamma), exact(place, discount=gamma)
    share = np.zeros(place.reward.shape)
    np.add.at(share, (batch.observations[0].numpy(), batch.actions[0].numpy()), 1 / batch.rewards.shape[1])
    step = step_range(share, learning_rate=rate, scale=1.0)
    options = {"regressor": "network", "hidden": (), "init": "zeros", "learning_rate": rate, "optimizer": "sgd"}
    for learner_name, inner in ("online_q_iteration", {}), ("fitted_q_iteration", {"inner_steps": 4}):
        learner, state = begun(learner_name, place, discount=gamma, **options, **inner)
        start = float(np.abs(point.q[:-1]).max()) + point.bound
        noise, period = roundoff(place, point, start, batch.rewards.shape[1]), inner.get("inner_steps", 1)
        for _ in range(60):
            learner.update(state, batch)
        due = plain(gamma, *step, target_period=period)(60 * period, start, noise)
        found = fitted.values(state, "critic", torch.arange(len(point.q) - 1)[None])[0]
        assert np.abs(found.detach().numpy() - point.q[:-1]).max() <= due + point.bound
        assert due < 1e-6 * start


# ---------------------------------------------------------------------------------- acting in a deterministic world


def acted(
    place: World, learner: Any, state: State, steps: int, watch: Callable[[Batch], None] = lambda batch: None
) -> list[Tensor]:
    """Play and learn; every step of an episode that lasts 20 steps at most. Returns the states and actions met."""
    following, met = place.transition.argmax(-1), []
    s = torch.zeros(len(state.seeds), 1, dtype=torch.int64)
    a = learner.act(state, s, explore=True)
    for step in range(steps):
        after = torch.tensor(following)[s, a]
        reward, ended = torch.tensor(place.reward)[s, a], after == len(following) - 1
        next_a = learner.act(state, after, explore=True)
        batch = Batch(s, a, reward, after, ended, torch.full_like(reward, state.config.discount), next_a)
        watch(batch)
        learner.update(state, batch)
        met.append(torch.stack([s, a]))
        cut = ended | (step % 20 == 19)
        s = torch.where(cut, (s + step) % (len(following) - 1), after)
        a = torch.where(cut, learner.act(state, s, explore=True), next_a)
    return met


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({"epsilon_start": 0.5, "epsilon_end": 0.5}, 1e-2),
        ({"epsilon_start": 1.0, "epsilon_end": 0.3, "epsilon_steps": 500, "epsilon_over": "others"}, 1e-2),
        ({"exploration": "boltzmann", "temperature": 2.0}, 1e-2),
        ({"initial_q": 20.0, "epsilon_start": 0.1, "epsilon_end": 0.1}, 0.1),  # soon content, it then tries the rest rarely
    ],
)
def test_q_learning_reaches_the_optimal_values_however_it_explores(options: dict[str, Any], left: float) -> None:
    """e(s, a) <- (1 − c) e(s, a) + c γ max_a' e(s', a'), entry by entry, along the steps that were in fact made."""
    place, gamma, step = WORLDS["deterministic"], 0.5, 0.8
    point = optimal_values(place.transition, place.reward, discount=gamma)
    learner, state = begun("q_learning", place, (1, 2, 3), discount=gamma, learning_rate=step, **options)
    q = state.networks["critic"]["q"]
    error = np.abs(q.detach().numpy()[:, 0] - point.q) + point.bound
    start = error[:, :-1].max()
    noise, seeds = roundoff(place, point, start, 1), np.arange(3)

    def follow(batch: Batch) -> None:
        s, a, after, ended = (
            x[:, 0].numpy() for x in (batch.observations, batch.actions, batch.next_observations, batch.terminations)
        )
        later = np.where(ended, 0.0, gamma * error[seeds, after].max(axis=-1))
        error[seeds, s, a] = (1 - step) * error[seeds, s, a] + step * later + noise

    acted(place, learner, state, 700, follow)
    assert (np.abs(q.detach().numpy()[:, 0] - point.q) <= error + point.bound)[:, :-1].all()
    assert error[:, :-1].max() < left * start


def test_optimistic_values_never_fall_below_the_optimum() -> None:
    place, gamma = WORLDS["deterministic"], 0.8
    point = optimal_values(place.transition, place.reward, discount=gamma)
    learner, state = begun("q_learning", place, (4,), discount=gamma, initial_q=20.0, epsilon_start=0.0, epsilon_end=0.0)
    met = acted(place, learner, state, 600)
    noise = 600 * roundoff(place, point, 20.0, 1)
    assert (state.networks["critic"]["q"].detach().numpy()[0, 0] >= point.q - noise)[:-1].all()
    assert len({tuple(pair[:, 0, 0].tolist()) for pair in met}) == point.q[:-1].size


ONLINE = ["q_learning", "double_q_learning", "sarsa", "expected_sarsa", "online_q_iteration"]


@pytest.mark.parametrize("name", ONLINE)
def test_a_seed_among_others_is_the_seed_alone(name: str) -> None:
    place, found = WORLDS["deterministic"], []
    for seeds in (5, 6, 7), (6,):
        learner, state = begun(name, place, seeds)
        acted(place, learner, state, 60)
        found.append(state.networks["critic"]["q"])
    assert torch.equal(found[0][1:2], found[1]) and not torch.equal(found[0][0], found[0][1])


@pytest.mark.parametrize("name", ONLINE)
def test_a_restored_agent_goes_on_bit_for_bit(name: str) -> None:
    place = WORLDS["deterministic"]
    options = {"exploration": "boltzmann"} | ({} if name == "online_q_iteration" else {"step_power": 0.7})
    learner, state = begun(name, place, (5, 6), **options)
    acted(place, learner, state, 60)
    saved = {key: tensor.clone() for key, tensor in state.flat().items()}
    again = begun(name, place, (5, 6), **options)[1]
    again.restore(saved)
    for one in state, again:
        acted(place, learner, one, 60)
    assert all(torch.equal(tensor, again.flat()[key]) for key, tensor in state.flat().items())


# ------------------------------------------------------------------------------------------------------ contract


def test_transitions_of_one_pair_move_it_once_towards_their_mean() -> None:
    place = WORLDS["deterministic"]
    learner, state = begun("q_learning", place, (0, 1), learning_rate=0.5, step_power=0.5, initial_q=2.0)
    s, a = torch.tensor([[0, 0, 1], [0, 1, 1]]), torch.tensor([[1, 1, 1], [1, 1, 1]])
    reward = torch.tensor([[4.0, 8.0, 3.0], [4.0, 8.0, 3.0]], dtype=torch.float64)
    batch = Batch(s, a, reward, s, torch.ones_like(s, dtype=torch.bool), torch.ones_like(reward))
    learner.update(state, batch)
    q = state.networks["critic"]["q"].detach()[:, 0]
    assert q[:, :2, 1].tolist() == [[4.0, 2.5], [3.0, 3.75]]
    assert state.tensors["visits"][:, 0, :3, 1].tolist() == [[1, 1, 0], [1, 1, 0]]
    learner.update(state, batch)  # the second step is 0.5 / sqrt(2)
    assert float(q[0, 0, 1]) == pytest.approx(4.0 + 0.5 * 2**-0.5 * (6.0 - 4.0), rel=1e-15)


@pytest.mark.parametrize(
    "name", ["q_learning", "double_q_learning", "sarsa", "expected_sarsa", "fitted_q_iteration", "online_q_iteration"]
)
def test_a_loss_moves_its_own_network_only_and_by_what_update_applies(name: str) -> None:
    place = WORLDS["stochastic"]
    learner, state = begun(name, place, (0,), learning_rate=0.25)
    batch = exact(place, discount=0.9, following=True)
    learner.update(state, batch)
    for moved, loss in learner.LOSSES.values():
        names = {key: list(network.values()) for key, network in state.networks.items()}
        for tensor in sum(names.values(), []):
            tensor.requires_grad_()
        for key, tensors in names.items():
            gradients = torch.autograd.grad(loss(state, batch).sum(), tensors, allow_unused=True)
            sizes = [0.0 if g is None else float(g.abs().max()) for g in gradients]
            assert (max(sizes) > 0) == (key == moved)


@pytest.mark.parametrize("name", ONLINE)
def test_evaluation_draws_nothing_and_is_greedy(name: str) -> None:
    place = WORLDS["deterministic"]
    learner, state = begun(name, place, (5, 6), epsilon_start=1.0, epsilon_end=1.0)
    acted(place, learner, state, 50)
    before = {key: tensor.clone() for key, tensor in state.flat().items()}
    states = torch.arange(4).expand(2, -1)
    found = learner.act(state, states, explore=False)
    assert torch.equal(found, state.networks["critic"]["q"].mean(1)[:, :4].argmax(-1))
    assert all(torch.equal(tensor, state.flat()[key]) for key, tensor in before.items())


def test_every_agent_offers_what_the_house_asks_for() -> None:
    for name in [*ONLINE, "fitted_q_iteration", "value_iteration", "q_value_iteration"]:
        one = agent(name)
        assert one.NAME == name and one.__doc__ == one.summary
        for changes in one.PRESETS.values():
            one.Config(**changes)
        assert list(inspect.signature(one.init).parameters)[:3] == ["config", "space", "seeds"]
        assert list(inspect.signature(one.act).parameters) == ["state", "observations", "explore"]


@pytest.mark.filterwarnings("ignore:Sparse CSR")
def test_sparse_models_are_planned_in_as_dense_ones_are() -> None:
    place = WORLDS["stochastic"]
    transition, *rest = place.model
    for name in "value_iteration", "q_value_iteration":
        learner, dense = begun(name, place)
        model = (transition.flatten(0, 1).to_sparse_csr(), *rest)
        sparse = learner.init(learner.Config(), place.space, (0,), dtype=torch.float64, model=model)
        for _ in range(5):
            learner.update(dense, None)
            learner.update(sparse, None)
        key = f"networks/{learner.NAME == 'value_iteration' and 'value/v' or 'critic/q'}"
        torch.testing.assert_close(dense.flat()[key], sparse.flat()[key], rtol=1e-14, atol=1e-14)
        assert all(tensor.layout == torch.strided for tensor in sparse.flat().values())


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("q_learning", {"discount": 1.5}, r"discount must lie in \[0, 1\]; got 1.5"),
        ("q_learning", {"exploration": "ucb"}, "exploration must be one of epsilon_greedy, boltzmann; got 'ucb'"),
        ("sarsa", {"learns": "both"}, "learns must be 'one' where there is one table, as in sarsa; got 'both'"),
        ("fitted_q_iteration", {"inner_steps": 0}, "inner_steps must be at least 1; got 0"),
        ("online_q_iteration", {"regressor": "tree"}, "regressor must be one of table, network; got 'tree'"),
        ("value_iteration", {"initial_value": float("nan")}, "initial_value must be finite; got nan"),
    ],
)
def test_a_wrong_configuration_is_refused_in_words(name: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        begun(name, WORLDS["stochastic"], **options)


def test_what_a_table_cannot_do_is_refused_in_words() -> None:
    place = WORLDS["stochastic"]
    with pytest.raises(ValueError, match="a table needs numbered states and discrete actions; got 0 states"):
        agent("q_learning").init(tabular.Config(), Space((4,), torch.float32, 2), (0,))
    with pytest.raises(ValueError, match="next_actions must be known to SARSA; got None in the batch"):
        learner, state = begun("sarsa", place)
        learner.update(state, exact(place, discount=0.9))
    with pytest.raises(ValueError, match=r"model must be \(transition, reward, terminal, start\); got None"):
        agent("value_iteration").init(planning.Config(), place.space, (0,))


# -------------------------------------------------------------------------------------- mistakes that must not pass


def undiscounted(operator: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def wrong(*data: Tensor, discount: Any) -> Tensor:
        return operator(*data, discount=discount**2)

    return wrong


def unterminated(operator: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def wrong(reward: Tensor, terminated: Tensor, *data: Tensor, discount: Any) -> Tensor:
        return operator(reward, torch.zeros_like(terminated), *data, discount=discount)

    return wrong


def maximizing(operator: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def wrong(reward: Tensor, terminated: Tensor, next_q: Tensor, other: Tensor, *, discount: Any) -> Tensor:
        return tabular.q_learning_target(reward, terminated, next_q, discount=discount)

    return wrong


MISTAKES = [
    (planning, "q_optimality_backup", undiscounted, test_value_iteration_and_q_value_iteration_contract_by_the_discount),
    (planning, "optimality_backup", undiscounted, test_value_iteration_and_q_value_iteration_contract_by_the_discount),
    (tabular, "q_learning_target", undiscounted, test_q_learning_reaches_the_optimal_values),
    (tabular, "q_learning_target", unterminated, test_q_learning_reaches_the_optimal_values),
    (tabular, "sarsa_target", maximizing, test_sarsa_reaches_the_behaviors_values),
    (tabular, "double_q_target", undiscounted, test_double_q_learning_reaches_the_optimal_values_where_both_tables_learn),
    (tabular, "double_q_target", undiscounted, test_double_q_learning_reaches_the_optimal_values_by_its_coin),
    (fitted, "q_learning_target", undiscounted, test_fitted_and_online_q_iteration_reach_the_optimal_values),
    (fitted, "q_learning_target", undiscounted, test_a_network_of_one_row_for_each_state_is_a_table_whose_steps_follow_the_data),
]


@pytest.mark.parametrize(("module", "operator", "mistake", "test"), MISTAKES)
def test_the_bounds_catch(monkeypatch: pytest.MonkeyPatch, module: Any, operator: str, mistake: Any, test: Any) -> None:
    monkeypatch.setattr(module, operator, mistake(getattr(module, operator)))
    with pytest.raises(AssertionError):
        test("stochastic")


def test_the_bound_catches_expected_sarsa_that_takes_the_maximum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tabular, "expected_sarsa_target", maximizing(tabular.expected_sarsa_target))
    with pytest.raises(AssertionError):
        test_expected_sarsa_reaches_the_values_of_its_own_exploration("stochastic", "all")
