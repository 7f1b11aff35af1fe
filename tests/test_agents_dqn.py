"""DQN and Rainbow: their losses against the reference, where gradients go, fixed points, seeds, clocks and order."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import reference
from accelerated import check_values
from accelerated.agents import dqn, rainbow
from accelerated.agents.batch import Batch, Space
from accelerated.agents.distributional import projected_target
from accelerated.agents.state import State

SPACE = Space((3,), torch.float32, 4)
PIECES = ("double", "dueling", "categorical", "noisy")
COMBINATIONS = [tuple(itertools.compress(PIECES, chosen)) for chosen in itertools.product((False, True), repeat=4)]
SMALL: dict[str, Any] = {"hidden": (5, 6), "atoms": 7, "v_min": -3.0, "v_max": 3.0, "noisy_scale": 0.5, "target_every": 2}
DOUBLE = torch.float64


def made(pieces: tuple[str, ...] = (), seeds: tuple[int, ...] = (0, 1), **options: Any) -> State:
    """An agent whose two networks differ."""
    given: dict[str, Any] = dict.fromkeys(pieces, True) | SMALL | options
    config = dqn.Config(**given)
    state = dqn.init(config, SPACE, seeds, dtype=DOUBLE)
    other = dqn.init(config, SPACE, tuple(seed + 100 for seed in seeds), dtype=DOUBLE)
    state.networks["target_critic"] = other.networks["target_critic"]
    return state


def drawn(seeds: int = 2, size: int = 9, draw: int = 0) -> Batch:
    """Transitions with every number its own: discounts of windows, weights, ends."""
    g = np.random.default_rng(draw)
    return Batch(
        observations=torch.tensor(g.normal(size=(seeds, size, 3))),
        actions=torch.tensor(g.integers(4, size=(seeds, size))),
        rewards=torch.tensor(g.normal(size=(seeds, size))),
        next_observations=torch.tensor(g.normal(size=(seeds, size, 3))),
        terminations=torch.tensor(g.random((seeds, size)) < 0.3),
        discounts=torch.tensor(0.9 ** g.integers(1, 4, size=(seeds, size))),
        weights=torch.tensor(g.uniform(0.2, 1.0, size=(seeds, size))),
        indices=torch.tensor(g.integers(50, size=(seeds, size))),
    )


def twin(state: State) -> State:
    """The same agent in memory of its own."""
    found = dqn.init(state.config, state.space, state.seeds, dtype=DOUBLE)
    found.restore(state.flat())
    return found


# -------------------------------------------------------------------------------------------- what the losses are


def outputs(state: State, batch: Batch) -> dict[str, Any]:
    """Of the critic at s, of whatever selects at s' and of the target critic at s', under the noise that the loss will draw."""
    streams, critic = twin(state).streams["learning_noise"], dqn.shape(state.config, SPACE)
    asked = {"q": ("critic", batch.observations), "select": ("critic", batch.next_observations)}
    asked["evaluate"] = ("target_critic", batch.next_observations)
    if not state.config.double:
        del asked["select"]
    found = {
        name: critic(state.networks[network], observations, noise=critic.draw_noise(streams, dtype=DOUBLE))
        for name, (network, observations) in asked.items()
    }
    arrays = {name: tensor.detach().numpy()[:, 0] for name, tensor in found.items()}
    return {"select": arrays["evaluate"]} | arrays


def due_losses(state: State, batch: Batch) -> tuple[Any, Any]:
    """Loss and error of each transition by the reference."""
    found, config = outputs(state, batch), state.config
    actions, discount = batch.actions.numpy(), batch.discounts.numpy()
    step = batch.rewards.numpy(), batch.terminations.numpy()
    if not config.categorical:
        target = reference.double_q_target(*step, found["select"], found["evaluate"], discount=discount)
        error = target - np.take_along_axis(found["q"], actions[..., None], -1)[..., 0]
        return reference.expectile_loss(error, expectile=0.5), error
    atoms = np.linspace(config.v_min, config.v_max, config.atoms)
    softmax = {name: np.exp(x) / np.exp(x).sum(-1, keepdims=True) for name, x in found.items()}
    chosen = (softmax["select"] * atoms).sum(-1).argmax(-1)
    following = np.take_along_axis(softmax["evaluate"], chosen[..., None, None], -2)[..., 0, :]
    target = reference.categorical_projection(atoms, following, *step, discount=discount)
    logits = np.take_along_axis(found["q"], actions[..., None, None], -2)[..., 0, :]
    loss = reference.categorical_loss(logits, target)
    return loss, loss


@pytest.mark.parametrize("pieces", COMBINATIONS, ids="+".join)
def test_each_combination_of_pieces_has_the_loss_of_its_papers(pieces: tuple[str, ...]) -> None:
    """Double Q-learning of one network twice is Q-learning, so that one due value covers both."""
    state, batch = made(pieces), drawn()
    loss, error = due_losses(state, batch)
    metrics = dqn.update(state, batch)
    assert batch.weights is not None
    due = (batch.weights.numpy() * loss).mean(-1)
    np.testing.assert_allclose(metrics["critic_loss"].numpy(), due, rtol=1e-12)
    np.testing.assert_allclose(metrics["td_error"].numpy(), error, rtol=1e-10, atol=1e-12)


def test_double_differs_from_q_learning_where_the_networks_disagree() -> None:
    plain, double, batch = made(), made(("double",)), drawn()
    assert not torch.allclose(dqn.critic_loss(plain, batch), dqn.critic_loss(double, batch))
    for state in (plain, double):
        state.networks["target_critic"] = {name: tensor.detach().clone() for name, tensor in state.networks["critic"].items()}
    assert torch.equal(dqn.critic_loss(plain, batch), dqn.critic_loss(double, batch))


def test_the_network_has_what_its_pieces_need_and_no_more() -> None:
    plain = {name: tensor.shape for name, tensor in made().networks["critic"].items()}
    assert plain == {name: tensor.shape for name, tensor in made(("double",)).networks["critic"].items()}
    for options in ({"prioritized": True}, {"n_step": 3}):
        assert plain == {name: tensor.shape for name, tensor in made(**options).networks["critic"].items()}
    assert any("scale" in name for name in made(("noisy",)).networks["critic"])
    assert {name.split("0")[0] for name in made(("dueling",)).networks["critic"]} >= {"value", "advantage"}
    atoms = made(("categorical",)).networks["critic"]
    assert max(tensor.shape[-1] for tensor in atoms.values()) == 4 * SMALL["atoms"]


@pytest.mark.parametrize("pieces", COMBINATIONS, ids="+".join)
def test_the_loss_moves_every_parameter_of_the_critic_and_none_of_the_target(pieces: tuple[str, ...]) -> None:
    state, batch = made(pieces), drawn(size=64)
    online, target = state.networks["critic"], state.networks["target_critic"]
    leaves = [*online.values(), *(tensor.requires_grad_() for tensor in target.values())]
    for network, loss in dqn.LOSSES.values():
        assert network == "critic"
        found = torch.autograd.grad(loss(state, batch).sum(), leaves, allow_unused=True)
        assert all(gradient is not None and gradient.abs().amax() > 0 for gradient in found[: len(online)])
        assert all(gradient is None or not gradient.any() for gradient in found[len(online) :])


def test_a_terminated_transition_reads_nothing_of_its_successor() -> None:
    for pieces in COMBINATIONS:
        state, batch = made(pieces), drawn()._replace(terminations=torch.ones(2, 9, dtype=torch.bool))
        other = batch._replace(next_observations=batch.next_observations + 5)
        found, due = dqn.critic_loss(twin(state), other), dqn.critic_loss(twin(state), batch)
        assert torch.allclose(found, due, rtol=1e-14 if state.config.categorical else 0, atol=0)  # masses sum to 1 to rounding


# ------------------------------------------------------------------------------------------------- fixed points


class Table:
    """Three states and an end; each transition occurs as often as its probability says, so that a batch is the model."""

    def __init__(self, discount: float) -> None:
        self.discount = discount
        g = np.random.default_rng(3)
        counts = g.multinomial(4, np.full(4, 0.25), size=(3, 2))
        self.reward = g.normal(size=(3, 2))
        self.rows = [(s, a, t) for s, a, t in np.ndindex(3, 2, 4) for _ in range(counts[s, a, t])]
        self.transition = np.concatenate([counts / 4, np.eye(4)[3].reshape(1, 1, 4).repeat(2, 1)])

    def optimum(self) -> Any:
        """Q* of the three states [3, 2]."""
        reward = np.concatenate([self.reward, np.zeros((1, 2))])
        value = reference.solve_optimal(self.transition, reward, discount=self.discount)[0]
        return reference.action_values(value, self.transition, reward, discount=self.discount)[:3]

    def batch(self, seeds: int) -> Batch:
        state, action, following = (torch.tensor(column).expand(seeds, -1) for column in zip(*self.rows, strict=True))
        reward = torch.tensor(self.reward)[state, action]
        return Batch(state, action, reward, following, following == 3, torch.full_like(reward, self.discount))


def table_config(part: float, pairs: int, **options: Any) -> dqn.Config:
    """SGD whose step moves every entry by `part` of its error: the loss is a mean over `pairs` equally frequent pairs."""
    return dqn.Config(hidden=(), init="zeros", optimizer="sgd", learning_rate=part * pairs, **options)


@pytest.mark.parametrize(
    ("part", "options"),
    [
        (1.0, {"target_every": 1}),
        (0.5, {"target_every": 1, "double": True}),
        (0.5, {"target_every": 7}),
        (0.5, {"target_every": 1, "polyak_step": 0.1}),
    ],
    ids=["value iteration", "double", "hard copies", "polyak"],
)
def test_a_table_reaches_the_optimal_values(part: float, options: dict[str, Any]) -> None:
    """With e, f the largest errors of table and target: e <- (1 - part) e + part · discount · f, then f follows e as the target
    does; the sum of a batch of B rows rounds by at most B units of the largest number, and errors sum to 1/(part (1 - discount)).
    """
    table = Table(0.8)
    optimum, batch, config = table.optimum(), table.batch(2), table_config(part, 6, **options)
    state = dqn.init(config, Space((), torch.int64, 2, states=4), (0, 1), dtype=DOUBLE)
    online = target = largest = np.abs(optimum).max()
    for count in range(1, 401):
        with check_values(False):
            dqn.update(state, batch)
        online = (1 - part) * online + part * table.discount * target
        if count % config.target_every == 0:
            target = (1 - config.polyak_step) * target + config.polyak_step * online
    assert online < 1e-3 * largest
    rounding = (len(table.rows) + 10) * np.finfo(float).eps * (largest + np.abs(table.reward).max()) / (part * (1 - table.discount))
    q = dqn.action_values(state, torch.arange(3).expand(2, 3)).numpy()
    assert np.abs(q - optimum).max() <= online + rounding


def test_a_dueling_table_reaches_the_optimal_values() -> None:
    """A step on V and A moves Q(s, a) by 3/2 of its own error and 1/2 of the other action's: of K = (3/2, 1/2; 1/2, 3/2).

    |1 - part K| + part discount |K| = 1 - part (1 - 2 discount) in the largest norm, below 1 for a discount below 1/2.
    """
    table, part = Table(0.4), 0.25
    optimum, batch = table.optimum(), table.batch(1)
    state = dqn.init(table_config(part, 6, target_every=1, dueling=True), Space((), torch.int64, 2, states=4), (0,), dtype=DOUBLE)
    with check_values(False):
        for _ in range(400):
            dqn.update(state, batch)
    bound = np.abs(optimum).max() * (1 - part * (1 - 2 * table.discount)) ** 400
    assert bound < 1e-8
    assert np.abs(dqn.action_values(state, torch.arange(3)[None]).numpy() - optimum).max() <= bound + 1e-12


def returns_on_the_grid() -> tuple[Batch, Any, Any]:
    """State 0 ends by action 1 or goes on, for nothing, to state 1, whose actions end; rewards are atoms, each of them possible.

    Returns the batch, Q* [2, 2], and the atoms.
    """
    atoms = np.arange(4.0)
    often = {(0, 1): (4, 2, 1, 1), (1, 0): (1, 1, 2, 4), (1, 1): (3, 3, 1, 1)}
    rows = [
        (s, a, r, 2, True) for (s, a), counts in often.items() for r, count in zip(atoms, counts, strict=True) for _ in range(count)
    ]
    rows += [(0, 0, 0.0, 1, False)] * 8
    state, action, reward, following, end = (torch.tensor(column)[None] for column in zip(*rows, strict=True))
    mean = {pair: float(np.dot(counts, atoms)) / 8 for pair, counts in often.items()}
    optimum = np.array([[mean[1, 0], mean[0, 1]], [mean[1, 0], mean[1, 1]]])
    return Batch(state, action, reward.double(), following, end, torch.ones_like(reward, dtype=DOUBLE)), optimum, atoms


def test_the_mean_of_a_categorical_table_reaches_the_optimal_values() -> None:
    """The discount is 1 and all returns are atoms: the projection adds no error, and the target of a stage is a distribution p.

    The cross-entropy's curvature in the logits is at most 1/2, so that n steps of 1 leave KL(p, q) <= |z - log p|² / 2n
    (gradient descent on a convex function), the means differ by at most width · sqrt(KL / 2) (Pinsker), and stages add up.
    """
    batch, optimum, atoms = returns_on_the_grid()
    steps, pairs = 500, 4
    options: dict[str, Any] = {"categorical": True, "atoms": 4, "v_min": 0.0, "v_max": 3.0, "target_every": steps}
    state = dqn.init(table_config(1.0, pairs, **options), Space((), torch.int64, 2, states=3), (0,), dtype=DOUBLE)
    bound = 0.0
    for _ in range(2):
        logits = dqn._outputs(state, "critic", torch.arange(2)[None], noise=None).detach()
        following = dqn._outputs(state, "target_critic", batch.next_observations, noise=None)
        target = projected_target(
            following,
            following,
            torch.tensor(atoms),
            rewards=batch.rewards,
            terminations=batch.terminations,
            discounts=batch.discounts,
        )
        furthest = 0.0
        for s, a in np.ndindex(2, 2):
            mine = (batch.observations[0] == s) & (batch.actions[0] == a)
            p = target[0, mine].mean(0)
            z = (logits[0, s, a] - logits[0, s, a].mean()) - (p.log() - p.log().mean())
            furthest = max(furthest, float(z.square().sum()))
        bound += 3.0 * (furthest / (2 * steps) / 2) ** 0.5
        with check_values(False):
            for _ in range(steps):
                dqn.update(state, batch)
    found = dqn.action_values(state, torch.arange(2)[None])[0].numpy()
    assert bound < 0.25 < optimum[1, 0] - optimum[1, 1]
    assert np.abs(found - optimum).max() <= bound


# --------------------------------------------------------------------------------------- seeds, clocks and order


ALL: dict[str, Any] = dict.fromkeys((*PIECES, "prioritized"), True) | SMALL | {"max_grad_norm": 0.05, "learning_rate": 1e-2}


def changed(batch: Batch, change: Callable[[Tensor], Tensor]) -> Batch:
    """The batch with every part changed."""
    parts: dict[str, Any] = {name: None if part is None else change(part) for name, part in batch._asdict().items()}
    return Batch(**parts)


def lived(state: State, rounds: int, *, place: slice = slice(None), first: int = 0) -> list[Tensor]:
    """Act and learn; what was done and measured."""
    seen = []
    for draw in range(first, first + rounds):
        batch = changed(drawn(3, draw=draw), lambda part: part[place])
        seen.append(dqn.act(state, batch.observations, explore=True))
        seen += dqn.update(state, batch).values()
    return seen


@pytest.mark.parametrize("noisy", [False, True])
def test_a_seed_among_three_is_that_seed_alone(noisy: bool) -> None:
    """To rounding: a batched product may sum in another order."""
    config = dqn.Config(**(ALL | {"noisy": noisy, "epsilon_steps": 10, "learning_starts": 5}))
    together, alone = (dqn.init(config, SPACE, seeds, dtype=DOUBLE) for seeds in ((5, 6, 7), (6,)))
    many, one = lived(together, 5), lived(alone, 5, place=slice(1, 2))
    for a, b in zip(many, one, strict=True):
        assert torch.allclose(a[1:2].double(), b.double(), rtol=1e-9, atol=1e-12)
    for name, tensor in alone.networks["critic"].items():
        assert torch.allclose(together.networks["critic"][name][1:2], tensor, rtol=1e-9, atol=1e-12)
    assert not torch.equal(together.networks["critic"]["advantage0.weight"][0], alone.networks["critic"]["advantage0.weight"][0])


@pytest.mark.parametrize("noisy", [False, True])
def test_the_same_seed_gives_the_same_bits_and_so_does_a_resumed_agent(noisy: bool) -> None:
    config = dqn.Config(**(ALL | {"noisy": noisy, "epsilon_steps": 40, "learning_starts": 5}))
    first, second = (dqn.init(config, SPACE, (1, 2, 3)) for _ in range(2))
    batchless = [lived_in_single(agent, 3) for agent in (first, second)]
    assert all(torch.equal(a, b) for a, b in zip(*batchless, strict=True))
    resumed = dqn.init(config, SPACE, (1, 2, 3))
    resumed.restore({name: tensor.clone() for name, tensor in first.flat().items()})
    assert all(torch.equal(a, b) for a, b in zip(lived_in_single(first, 4), lived_in_single(resumed, 4), strict=True))
    assert all(torch.equal(tensor, resumed.flat()[name]) for name, tensor in first.flat().items())


def lived_in_single(state: State, rounds: int) -> list[Tensor]:
    """As `lived`, in float32, from the update on that the agent is at."""
    seen = []
    for draw in range(state.updates, state.updates + rounds):
        batch = changed(drawn(3, draw=draw), lambda part: part.float() if part.dtype == DOUBLE else part)
        seen.append(dqn.act(state, batch.observations, explore=True))
        seen += dqn.update(state, batch).values()
    return seen


@pytest.mark.parametrize("step", [1.0, 0.25])
def test_the_target_moves_after_the_step_and_only_when_due(step: float) -> None:
    state = made(target_every=3, polyak_step=step, learning_rate=0.1)
    for count in range(1, 7):
        before = {name: tensor.clone() for name, tensor in state.networks["target_critic"].items()}
        due_loss = dqn.critic_loss(twin(state), drawn(draw=count))
        assert torch.equal(dqn.update(state, drawn(draw=count))["critic_loss"], due_loss)
        assert state.updates == count
        for name, tensor in state.networks["target_critic"].items():
            online = state.networks["critic"][name].detach()
            due = before[name] if count % 3 else reference.polyak_update(before[name].numpy(), online.numpy(), polyak_step=step)
            np.testing.assert_allclose(tensor.numpy(), due, rtol=1e-15, atol=1e-15)
            assert not torch.equal(before[name], online)


def test_each_seed_has_its_own_gradient_clipped() -> None:
    """By SGD of rate 1 a step is the gradient; one seed's rewards are large, so that its norm alone is above the limit."""
    options: dict[str, Any] = {"optimizer": "sgd", "learning_rate": 1.0}
    batch = drawn()._replace(rewards=drawn().rewards * torch.tensor([[1000.0], [1.0]], dtype=DOUBLE))
    free, limited = made(**options), made(max_grad_norm=20.0, **options)
    before = {name: tensor.detach().clone() for name, tensor in free.networks["critic"].items()}
    norms = []
    for state in (free, limited):
        dqn.update(state, batch)
        moved = [(tensor.detach() - before[name]).flatten(1) for name, tensor in state.networks["critic"].items()]
        norms.append(torch.cat(moved, 1).norm(dim=1).numpy())
    assert norms[0][0] > 100 and norms[0][1] < 20
    np.testing.assert_allclose(norms[1], [20.0, norms[0][1]], rtol=1e-10)


def test_epsilon_stays_until_learning_starts_and_falls_in_a_line() -> None:
    config = dqn.Config(learning_starts=10, epsilon_start=0.9, epsilon_end=0.1, epsilon_steps=20)
    found = [dqn.epsilon(config, steps) for steps in (0, 10, 15, 20, 30, 1000)]
    np.testing.assert_allclose(found, [0.9, 0.9, 0.7, 0.5, 0.1, 0.1], rtol=1e-12)
    assert dqn.epsilon(dataclasses.replace(config, noisy=True), 0) == 0


def test_exploring_counts_steps_and_spreads_over_the_actions_it_may_take() -> None:
    observations = drawn(2, 200).observations
    for over in ("all", "others"):
        state = made(epsilon_over=over, learning_starts=10**6)
        best = dqn.act(state, observations, explore=False)
        actions = dqn.act(state, observations, explore=True)
        assert int(state.tensors["steps"]) == 200
        assert set(actions.flatten().tolist()) == {0, 1, 2, 3}
        assert bool((actions == best).any()) == (over == "all")


def test_without_epsilon_the_greedy_action_is_taken() -> None:
    state = made(epsilon_start=0.0, epsilon_end=0.0)
    observations = drawn().observations
    assert torch.equal(dqn.act(state, observations, explore=True), dqn.act(state, observations, explore=False))


@pytest.mark.parametrize("pieces", [(), PIECES], ids=["plain", "all"])
def test_evaluation_draws_nothing_and_changes_nothing(pieces: tuple[str, ...]) -> None:
    state = made(pieces)
    before = {name: tensor.clone() for name, tensor in state.flat().items()}
    actions = dqn.act(state, drawn().observations, explore=False)
    assert all(torch.equal(tensor, before[name]) for name, tensor in state.flat().items())
    outputs = dqn.shape(state.config, SPACE)(state.networks["critic"], drawn().observations)[:, 0]
    if state.config.categorical:
        outputs = (outputs.softmax(-1) * torch.linspace(-3, 3, 7, dtype=DOUBLE)).sum(-1)
    assert torch.equal(actions, outputs.argmax(-1))


def test_a_noisy_agent_explores_by_fresh_noise_alone() -> None:
    state = made(("noisy",))
    observations = drawn(2, 1).observations
    before = {name: streams.tensors().clone() for name, streams in state.streams.items()}
    actions = torch.stack([dqn.act(state, observations, explore=True) for _ in range(60)])
    assert all(len(set(actions[:, seed].flatten().tolist())) > 1 for seed in range(2))
    moved = {name for name, streams in state.streams.items() if not torch.equal(streams.tensors(), before[name])}
    assert moved == {"acting_noise"}


# ------------------------------------------------------------------------------------------------ configurations


@pytest.mark.parametrize("agent", [dqn, rainbow], ids=["dqn", "rainbow"])
def test_every_preset_is_a_configuration(agent: Any) -> None:
    assert {"author", "classic:cartpole", "classic:acrobot", "classic:lunarlander", "atari100k"} <= set(agent.PRESETS)
    for changes in agent.PRESETS.values():
        assert agent.Config(**changes).learning_rate > 0


def test_rainbow_is_dqn_with_all_six_pieces() -> None:
    config = rainbow.Config()
    assert config.double and config.dueling and config.categorical and config.noisy and config.n_step == 3
    assert config.priorities is not None and config.priorities.exponent == config.priority_exponent
    assert dqn.Config().priorities is None
    state = rainbow.init(rainbow.Config(**SMALL), SPACE, (0,), dtype=DOUBLE)
    assert rainbow.update(state, drawn(1))["td_error"].shape == (1, 9)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("discount", 1.5), ("polyak_step", 0.0), ("target_every", 0), ("n_step", 0), ("epsilon_over", "rest"), ("atoms", 1),
        ("v_min", 10.0), ("hidden", (5, 0)), ("max_grad_norm", 0.0), ("learning_rate", float("nan")), ("optimizer", "rmsprop"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named_with_its_value(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{field} .*must.*{value if not isinstance(value, tuple) else ''}"):
        dqn.Config(**{field: value})  # type: ignore[arg-type]


def test_actions_must_be_discrete() -> None:
    with pytest.raises(ValueError, match="actions must be discrete"):
        dqn.init(dqn.Config(), Space((3,), torch.float32, 2, low=(-1.0, -1.0), high=(1.0, 1.0)), (0,))
