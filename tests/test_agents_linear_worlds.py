"""Linear-quadratic worlds against a loop in NumPy; what learners in them say; steps in order as verify.py gives them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from accelerated import port
from accelerated.agents import agent, knowledge
from accelerated.agents.adapter import Learner
from accelerated.agents.continuous_adapter import ContinuousLearner
from accelerated.agents.linear_worlds import LinearProcess, LinearWorlds, linear_process
from accelerated.agents.subjects import rollout

Array = NDArray[np.float64]
G = np.random.default_rng(0)
MATRICES = tuple(G.normal(size=shape) / 2 for shape in ((3, 3), (3, 2), (3, 3), (2, 2)))
START, LOW, HIGH = np.array([1.0, -2.0, 0.5]), np.array([-1.0, -2.0]), np.array([1.0, 0.5])
CONTINUOUS = ("cem", "ddpg", "td3", "sac", "awr", "qwr", "reinforce", "ppo", "trpo", "qprop")


def process(**options: Any) -> LinearProcess:
    given = {name: torch.from_numpy(value) for name, value in {"low": LOW, "high": HIGH}.items()}
    return linear_process(*map(torch.from_numpy, (*MATRICES, START)), **given | options)


def worlds(seeds: tuple[int, ...] = (0, 1), envs: int = 2, dtype: torch.dtype = torch.float64, **options: Any) -> LinearWorlds:
    return LinearWorlds(process(**options), seeds=seeds, envs=envs, dtype=dtype)


# ------------------------------------------------------------------------------------------------------- the world


def test_it_steps_as_a_loop_does() -> None:
    """Nine steps with a limit of four: two whole episodes and a bit."""
    a, b, q, r = MATRICES
    arena, drawn = worlds(max_episode_steps=4), np.random.default_rng(1)
    x, scores = np.tile(START, (2, 2, 1)), np.zeros((2, 2))
    assert np.array_equal(arena.reset(), x)
    for number in range(1, 10):
        u, after, over = drawn.normal(size=(2, 2, 2)), np.zeros_like(x), number % 4 == 0
        step = arena.step(torch.from_numpy(u))
        for place in np.ndindex(2, 2):
            reward = -(x[place] @ q @ x[place] + u[place] @ r @ u[place])
            after[place], scores[place] = a @ x[place] + b @ u[place], scores[place] + reward
            np.testing.assert_allclose(step.rewards[place], reward, rtol=1e-14)
        np.testing.assert_allclose(step.next_observations, after, rtol=1e-13, atol=1e-13)
        assert not step.terminations.any() and bool(step.truncations.all()) == over == bool(step.truncations.any())
        assert [(one.place, one.env, one.length) for one in step.finished] == [(*place, 4) for place in np.ndindex(2, 2)] * over
        np.testing.assert_allclose([one.score for one in step.finished], scores.ravel()[: 4 * over], rtol=1e-13)
        x = np.tile(START, (2, 2, 1)) if over else after
        scores = scores * (not over)
        np.testing.assert_allclose(step.observations, x, rtol=1e-13, atol=1e-13)


def test_without_a_limit_nothing_ends() -> None:
    arena = worlds()
    arena.reset()
    steps = [arena.step(torch.zeros(2, 2, 2)) for _ in range(50)]
    assert not any(bool(step.truncations.any() | step.terminations.any()) for step in steps)


def test_first_states_are_drawn_within_their_width_by_each_seed_for_itself() -> None:
    wide = {"start_half_width": torch.tensor([0.5, 0.0, 2.0], dtype=torch.float64), "max_episode_steps": 1}
    arena, alone = worlds((3, 7), 400, **wide), worlds((7,), 400, **wide)
    first, other = (
        arena.reset(),
        LinearWorlds(process(**wide), seeds=(3, 7), envs=400, dtype=torch.float64, evaluation=True).reset(),
    )
    assert torch.equal(first[1:], alone.reset()) and not torch.equal(first[0], first[1]) and not torch.equal(first, other)
    away, width = first - torch.from_numpy(START), wide["start_half_width"]
    for farthest in (away.amax((0, 1)), -away.amin((0, 1))):
        assert (farthest <= width).all() and (farthest >= 0.9 * width).all()
    again = arena.step(torch.zeros(2, 400, 2)).observations
    assert not torch.equal(first, again), "each episode has a first state of its own"


def test_a_restored_world_goes_on_bit_for_bit() -> None:
    wide = {"start_half_width": torch.ones(3, dtype=torch.float64), "max_episode_steps": 3}
    one, other = worlds(**wide), worlds(**wide)
    one.reset()
    actions = torch.randn(8, 2, 2, 2, dtype=torch.float64)
    for action in actions[:4]:
        one.step(action)
    other.restore(one.tensors())
    assert torch.equal(one.observations, other.observations)
    for action in actions[4:]:
        found, due = other.step(action), one.step(action)
        assert all(torch.equal(mine, theirs) for mine, theirs in zip(found[:5], due[:5], strict=True))
        assert found.finished == due.finished


def test_a_copy_moves_alone_as_among_others() -> None:
    many, one = worlds((0, 1, 2), 5), worlds((1,), 1)
    many.reset()
    one.reset()
    for seed in range(20):
        action = torch.randn(1, 1, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        step = many.step(action.expand(3, 5, 2))
        assert torch.equal(step.next_observations[1:2, 3:4], one.step(action).next_observations)


def test_rewards_are_transformed_and_scores_are_not() -> None:
    arena = LinearWorlds(process(max_episode_steps=1), seeds=(0,), dtype=torch.float64, reward_transform=lambda r: 2 * r)
    plain = worlds((0,), 1, max_episode_steps=1)
    arena.reset()
    plain.reset()
    found, due = (each.step(torch.ones(1, 1, 2)) for each in (arena, plain))
    assert torch.equal(found.rewards, 2 * due.rewards) and found.finished == due.finished


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"low": torch.zeros(3)}, r"low must be \[2\]; got \[3\]"), ({"low": torch.tensor([2.0, 0.0])}, "low must lie below high"),
        ({"start_half_width": torch.zeros(2)}, "start_half_width must be"), ({"max_episode_steps": -1}, "no width or limit below"),
    ],
)  # fmt: skip
def test_a_world_that_does_not_fit_is_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        process(**options)


def test_actions_and_checkpoints_of_another_shape_are_refused() -> None:
    arena = worlds()
    with pytest.raises(ValueError, match=r"actions must be \[2, 2, 2\]"):
        arena.step(torch.zeros(2, 2, 1))
    with pytest.raises(ValueError, match="states saved"):
        arena.restore(worlds(envs=3).tensors())


# ---------------------------------------------------------------------------------------------------- learners in it


def learner(name: str, **options: Any) -> ContinuousLearner:
    which = name if name in ("cem", "ddpg", "td3", "qprop") else f"{name}_continuous"
    fields = agent(name).Config.__dataclass_fields__
    small = {"hidden": (4,), "critic_hidden": (4,), "batch_size": 4, "buffer_size": 32, "update_every": 8, "max_episode_steps": 5}
    given = {key: value for key, value in (small | options).items() if key in fields or key not in small}
    found: ContinuousLearner = getattr(port, f"{which}_agent")(
        *MATRICES, START, low=LOW, high=HIGH, discount=0.5, options=given, seeds=(0, 1)
    )
    return found


@pytest.mark.parametrize("name", CONTINUOUS)
def test_a_learner_answers_in_shape(name: str) -> None:
    one, s, a = learner(name), np.zeros((2, 4, 3)), np.zeros((2, 4, 2))
    assert all(q.shape[0] == 2 and q.shape[2] == 4 for q in one.critic(s, a).values())
    assert set(one.critic(s, a)) == {network for network in one.state.networks if "critic" in network}
    if name != "cem":
        assert all(part.shape == (2, 4, 2) for part in one.policy(s).values())
        assert set(one.policy(s)) == ({"mean", "target_policy"} if name in ("ddpg", "td3") else {"mean", "log_std"})
    if "value" in one.state.networks:
        assert one.value(s).shape == (2, 4)


@pytest.mark.parametrize("name", ["cem", "ddpg", "td3", "sac"])
def test_a_quadratic_critic_is_what_its_weights_say(name: str) -> None:
    one = learner(name, hidden=(), torso="quadratic")
    s, a = G.normal(size=(2, 4, 3)), G.normal(size=(2, 4, 2))
    z = np.concatenate([s, a], -1)
    features = np.concatenate([z, (z[..., :, None] * z[..., None, :]).reshape(2, 4, -1)], -1)
    weight, bias = (one.parameters()[f"critic/output0.{part}"] for part in ("weight", "bias"))
    due = np.einsum("snf,smfo->smn", features, weight) + bias
    np.testing.assert_allclose(one.critic(s, a)["critic"], due, rtol=1e-12, atol=1e-12)


def test_a_policys_mean_is_in_units_of_the_actions() -> None:
    centre, half = (LOW + HIGH) / 2, (HIGH - LOW) / 2
    s = G.normal(size=(2, 4, 3))
    raw = {"normalize_observations": False}
    cases = (("ddpg", {}, np.tanh), ("ddpg", {"tanh_mean": False}, np.asarray), ("sac", {}, np.tanh), ("ppo", raw, np.asarray))
    for name, options, inner in cases:
        one = learner(name, hidden=(), **options)
        weight, bias = (one.parameters()[f"policy/output0.{part}"][:, 0] for part in ("weight", "bias"))
        due = centre + half * inner((s @ weight + bias[:, None])[..., :2])
        np.testing.assert_allclose(one.policy(s)["mean"], due, rtol=1e-12, atol=1e-12)


def test_values_are_in_units_of_rewards_whatever_the_network_speaks_in() -> None:
    s = G.normal(size=(2, 4, 3))
    scaled, plain = (learner("awr", scale_values=flag, normalize_observations=False) for flag in (True, False))
    np.testing.assert_allclose(scaled.value(s), plain.value(s) / (1 - 0.5), rtol=1e-12)


# -------------------------------------------------------------------------------------------------- steps in order


def test_times_follow_from_cuts_and_the_last_step_is_one() -> None:
    ends = torch.tensor([[[False, True, False, False, False, False]]])
    cuts = torch.tensor([[[False, False, False, True, False, False]]])
    rest = dict.fromkeys(("observations", "actions", "rewards", "next_observations"), torch.zeros(1, 1, 6))
    found = rollout({"terminations": ends, "truncations": cuts} | rest)
    assert found.times.tolist() == [[[0, 1, 0, 1, 0, 1]]]
    assert found.truncations.tolist() == [[[False, False, False, True, False, True]]] and not cuts[..., -1].any()
    assert found.behavior is None


def test_exact_data_in_order_are_episodes_of_one_step_with_their_behavior() -> None:
    transition = np.zeros((2, 2, 2))
    transition[0, 0] = [0.5, 0.5]
    transition[0, 1, 1] = transition[1, :, 1] = 1.0
    behavior = np.array([[0.75, 0.25], [0.5, 0.5]])
    one = Learner(
        "awr", transition, [[1.0, 2.0], [0.0, 0.0]], [False, True], [1.0, 0.0], behavior=behavior, discount=0.5,
        options={"hidden": (), "value_steps": 1, "policy_steps": 1}, seeds=(0, 1),
    )  # fmt: skip
    steps: Any = one._subject._whole
    assert one.state.config.batch_size is None and steps.rewards.shape == (2, 1, 8)
    rows = list(zip(*(column[0, 0].tolist() for column in (steps.actions, steps.next_observations, steps.rewards)), strict=True))
    assert sorted(rows) == [(0, 0, 1.0)] * 3 + [(0, 1, 1.0)] * 3 + [(1, 1, 2.0)] * 2
    assert torch.equal(steps.terminations, steps.next_observations == 1)
    assert (steps.truncations | steps.terminations).all() and not (steps.truncations & steps.terminations)[..., :-1].any()
    np.testing.assert_allclose(steps.behavior.exp().numpy(), np.broadcast_to(behavior[0], (2, 1, 8, 2)))
    one.run(1)
    assert one.state.updates == 2


def test_knowledge_of_an_agent_without_a_value_is_not_made_up() -> None:
    assert knowledge.named(learner("ddpg").state, "policy") == ["policy", "target_policy"]
    assert not knowledge.named(learner("ppo").state, "critic")
