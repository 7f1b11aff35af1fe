"""The replay memory against plain lists of transitions: the same windows, whatever was written, cut, saved or overwritten."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from safetensors.torch import load, save
from torch import Tensor

from accelerated.agents.batch import Batch, Space
from accelerated.agents.prioritized import _last_equal
from accelerated.agents.replay import Priorities, Replay
from accelerated.agents.streams import Streams

STATE = Space((), torch.int64, actions=3, states=10**6)
VECTOR = Space((6,), torch.float32, actions=2, low=(-1.0, -1.0), high=(1.0, 1.0))
IMAGE = Space((6, 2, 3), torch.uint8, actions=3)
DISCOUNT = 0.5  # and whole rewards: every sum below is exact
EPS = torch.finfo(torch.float64).eps


class Plain(NamedTuple):
    """One transition as a person would write it down; observations are tuples of frame numbers, oldest first."""

    observation: tuple[int, ...]
    action: int
    reward: float
    next_observation: tuple[int, ...]
    terminated: bool
    truncated: bool


@dataclass
class World:
    """Invents frames that are all different, so that a wrong one tells where it comes from."""

    stack: int
    number: int
    frames: list[int] = field(default_factory=list)
    remembered: list[Plain] = field(default_factory=list)

    def fresh(self) -> int:
        self.number += 1
        return self.number

    def shown(self) -> tuple[int, ...]:
        padded = [self.frames[0]] * (self.stack - 1) + self.frames
        return tuple(padded[-self.stack :])

    def step(self, action: int, reward: float, terminated: bool, truncated: bool) -> Plain:
        if not self.frames:
            self.frames = [self.fresh()]
        before = self.shown()
        self.frames.append(self.fresh())
        found = Plain(before, action, reward, self.shown(), terminated, truncated)
        if terminated or truncated:
            self.frames = []
        self.remembered.append(found)
        return found


def plain_window(steps: list[Plain], start: int, n: int) -> tuple[Any, ...]:
    """Observation, action, discounted sum, successor, whether terminated, discount of what follows."""
    total, power, last = 0.0, 1.0, steps[start]
    for last in steps[start : start + n]:
        total += power * last.reward
        power *= DISCOUNT
        if last.terminated or last.truncated:
            break
    return steps[start].observation, steps[start].action, total, last.next_observation, last.terminated, power


def encoded(numbers: list[list[tuple[int, ...]]], space: Space) -> Tensor:
    """Stacks [seeds, envs, stack] of frame numbers as observations: a frame's first entry is number // 250, others are % 250."""
    found = torch.tensor(numbers)
    if space.observation_shape == ():
        return found[..., 0]
    seeds, envs, stack = found.shape
    entries = math.prod(space.observation_shape) // stack
    frames = torch.cat([found[..., None] // 250, (found % 250)[..., None].expand(-1, -1, -1, entries - 1)], -1)
    return frames.reshape(seeds, envs, *space.observation_shape).to(space.observation_dtype)


def decoded(observation: Tensor, space: Space, stack: int) -> tuple[int, ...]:
    if space.observation_shape == ():
        return (int(observation),)
    frames = observation.reshape(stack, -1).long()
    assert bool((frames[:, 1:] == frames[:, 1:2]).all()), "a frame was put together from two"
    return tuple((frames[:, 0] * 250 + frames[:, 1]).tolist())


def windows(batch: Batch, space: Space, stack: int, seed: int) -> list[tuple[Any, ...]]:
    found = []
    for place in range(batch.rewards.shape[1]):
        action = batch.actions[seed, place]
        found.append(
            (
                decoded(batch.observations[seed, place], space, stack),
                int(action.reshape(-1)[0]),
                float(batch.rewards[seed, place]),
                decoded(batch.next_observations[seed, place], space, stack),
                bool(batch.terminations[seed, place]),
                float(batch.discounts[seed, place]),
            )
        )
    return found


class ReplayIsAList(RuleBasedStateMachine):
    """Every valid slot is one remembered transition, once; its window is the plain one; draws are valid slots."""

    @initialize(
        space=st.sampled_from([STATE, VECTOR, IMAGE]),
        seeds=st.integers(1, 3),
        envs=st.integers(1, 3),
        n_step=st.integers(1, 5),
        beyond=st.integers(0, 9),
        stack=st.integers(1, 3),
        prioritized=st.booleans(),
        trees=st.booleans(),
    )
    def make(
        self, space: Space, seeds: int, envs: int, n_step: int, beyond: int, stack: int, prioritized: bool, trees: bool
    ) -> None:
        self.space, self.seeds, self.envs, self.n_step = space, seeds, envs, n_step
        self.stack = 1 if space is STATE else stack
        self.rows = n_step + beyond // envs
        self.capacity = n_step * envs + beyond
        self.priorities = Priorities(1.0, 0.5, 1.0, 100, offset=0.25, maximum=8.0) if prioritized else None
        self.trees = trees
        self.replay = self.empty()
        self.streams = Streams(range(seeds), "draws")
        self.worlds = [[World(self.stack, 5_000 * (seed * envs + env)) for env in range(envs)] for seed in range(seeds)]
        self.known: list[dict[int, float]] = [{} for _ in range(seeds)]
        self.largest = [1.0] * seeds

    def empty(self) -> Replay:
        replay = Replay(
            self.space,
            seeds=self.seeds,
            envs=self.envs,
            capacity=self.capacity,
            discount=DISCOUNT,
            n_step=self.n_step,
            priorities=self.priorities,
            stack=self.stack,
            dtype=torch.float64,
        )
        if replay._prioritized is not None and not self.trees:
            replay._prioritized._trees = []  # as on other devices than the CPU
        return replay

    @rule(data=st.data(), steps=st.integers(1, 4))
    def add(self, data: st.DataObject, steps: int) -> None:
        for _ in range(steps):
            drawn = st.tuples(st.integers(0, 2), st.integers(-8, 8), st.sampled_from("ggggtcb"))
            rows = [
                [
                    world.step(action, float(reward), end in "tb", end in "cb")
                    for world, (action, reward, end) in zip(own, data.draw(st.tuples(*[drawn] * self.envs)), strict=True)
                ]
                for own in self.worlds
            ]
            self.write(rows)

    def write(self, rows: list[list[Plain]]) -> None:
        actions = torch.tensor([[one.action for one in own] for own in rows])
        flags = [torch.tensor([[getattr(one, name) for one in own] for own in rows]) for name in ("terminated", "truncated")]
        self.replay.add(
            encoded([[one.observation for one in own] for own in rows], self.space),
            actions if self.space.discrete else torch.stack([actions, -actions], -1).double(),
            torch.tensor([[one.reward for one in own] for own in rows], dtype=torch.float64),
            encoded([[one.next_observation for one in own] for own in rows], self.space),
            *flags,
        )
        for seed, own in enumerate(self.worlds):
            for world, one in zip(own, rows[seed], strict=True):
                for gone in world.remembered[: -self.rows]:
                    self.known[seed].pop(gone.observation[-1], None)
                world.remembered = world.remembered[-self.rows :]
                self.known[seed][one.observation[-1]] = self.largest[seed]

    @rule(batch=st.integers(1, 6), step=st.integers(0, 150))
    def draw_and_learn(self, batch: int, step: int) -> None:
        if len(self.replay) == 0:
            with pytest.raises(ValueError, match="must hold a transition"):
                self.replay.sample(self.streams, batch)
            return
        found = self.replay.sample(self.streams, batch, step=step)
        due = self.due()
        for seed in range(self.seeds):
            for one in windows(found, self.space, self.stack, seed):
                assert one in due[seed]
        if self.priorities is not None:
            self.learn(found, step)

    def learn(self, found: Batch, step: int) -> None:
        assert found.indices is not None and found.weights is not None
        exponent = 0.5 + 0.5 * min(step / 100, 1.0)
        error = found.rewards - found.discounts  # dyadic, so that sums are exact
        for seed in range(self.seeds):
            names = [one[0][-1] for one in windows(found, self.space, self.stack, seed)]
            total = sum(self.known[seed].values())
            probability = [self.known[seed][name] / total for name in names]
            due = [(min(probability) / one) ** exponent for one in probability]
            # a quotient and a power on either side, of 4 roundings each at most
            assert found.weights[seed].tolist() == pytest.approx(due, rel=16 * EPS, abs=0)
            for name, delta in zip(names, error[seed].tolist(), strict=True):
                self.known[seed][name] = min(abs(delta), 8.0) + 0.25
                self.largest[seed] = max(self.largest[seed], self.known[seed][name])
        self.replay.update_priorities(found.indices, error)

    @rule()
    def save_and_load(self) -> None:
        saved = load(save({name: tensor.contiguous() for name, tensor in self.replay.tensors().items()}))
        other = self.empty()
        other.restore(saved)
        again = other.tensors()
        assert set(again) == set(saved)
        for name, tensor in saved.items():
            assert again[name].dtype == tensor.dtype and torch.equal(again[name], tensor), name
        if len(other):
            pair = [replay.sample(Streams(range(self.seeds), "after"), 7) for replay in (self.replay, other)]
            assert all(a is b or torch.equal(a, b) for a, b in zip(*pair, strict=True))
        self.replay = other

    def due(self) -> list[list[tuple[Any, ...]]]:
        return [
            [plain_window(world.remembered, start, self.n_step) for world in own for start in range(len(world.remembered))]
            for own in self.worlds
        ]

    @invariant()
    def every_slot_is_a_window(self) -> None:
        if not hasattr(self, "replay"):
            return
        slots = self.replay.valid().nonzero()[:, 0]
        due = self.due()
        assert len(self.replay) == len(slots) == len(due[0])
        if not len(slots):
            return
        batch = self.replay.window(slots.expand(self.seeds, -1))
        for seed in range(self.seeds):
            assert sorted(windows(batch, self.space, self.stack, seed)) == sorted(due[seed])

    @rule()
    def every_slot_can_be_drawn(self) -> None:
        if 0 < len(self.replay) <= 12:
            drawn = self.replay.draw(self.streams, 40 * 33 * len(self.replay))
            slots = set(self.replay.valid().nonzero()[:, 0].tolist())
            # the least priority is 1/33 of the largest: one slot is missed with probability e^-40 at most
            assert all(set(row.tolist()) == slots for row in drawn)


ReplayIsAList.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestReplayIsAList = ReplayIsAList.TestCase


def walked(replay: Replay, steps: int, *, seeds: range = range(1), cut_every: int = 5, padded: bool = True) -> Replay:
    """One env a seed whose observations count up from 1000 times the seed; episodes last `cut_every` steps."""
    for time in range(steps):
        at = torch.tensor([[1000 * seed + 2 * time + 2 * (time // cut_every)] for seed in seeds])
        stop = torch.full(at.shape, time % cut_every == cut_every - 1)
        replay.add(at, at % 3, at.double(), at + 2, stop & (at % 4 == 0), stop)
    return replay


def states(*, seeds: int = 1, **options: Any) -> Replay:
    given: dict[str, Any] = {"capacity": 7, "discount": 0.9, "dtype": torch.float64} | options
    return Replay(STATE, seeds=seeds, **given)


@pytest.mark.parametrize("priorities", [None, Priorities(0.6, 0.4, 1.0, 10, offset=1e-3)])
@pytest.mark.parametrize("steps", [1, 2, 7, 8, 23])
def test_the_newest_and_the_oldest_are_drawn(steps: int, priorities: Priorities | None) -> None:
    """baselines#171: with three items of equal priority the newest never came."""
    replay = walked(states(priorities=priorities), steps)
    seen = set(replay.sample(Streams([0], "draws"), 1000).observations.flatten().tolist())
    assert seen == {2 * time + 2 * (time // 5) for time in range(max(0, steps - 7), steps)}


def test_uniform_draws_are_uniform() -> None:
    replay, draws = walked(states(), 23), 70_000
    counts = replay.draw(Streams([0], "draws"), draws).flatten().bincount(minlength=8)
    counts = counts[replay.valid()]
    # a binomial count leaves six standard deviations with probability 2e-9
    assert float((counts - draws / 7).abs().max()) < 6 * math.sqrt(draws * 6 / 49)


@pytest.mark.parametrize("mix", [0.0, 0.3])
@pytest.mark.parametrize("stratified", [False, True])
def test_draws_follow_the_priorities(mix: float, stratified: bool) -> None:
    priorities = Priorities(0.5, 1.0, 1.0, 1, offset=1e-2, uniform_mix=mix, stratified=stratified, normalizer=None)
    replay, draws = walked(states(priorities=priorities), 23), 100_000
    slots = replay.valid().nonzero()[:, 0][None]
    error = torch.arange(7, dtype=torch.float64)[None] - 2
    replay.update_priorities(slots, error)
    due = [(abs(delta) + 1e-2) ** 0.5 for delta in error[0].tolist()]
    due = [(1 - mix) * one / sum(due) + mix / 7 for one in due]
    batch = replay.sample(Streams([0], "draws"), draws)
    assert batch.indices is not None and batch.weights is not None
    for slot, probability in zip(slots[0].tolist(), due, strict=True):
        chosen = batch.indices[0] == slot
        assert abs(int(chosen.sum()) - draws * probability) < 6 * math.sqrt(draws * probability)
        # weights with exponent 1 are 1 / (size * probability), here within 16 roundings
        assert float(batch.weights[0][chosen][0]) == pytest.approx(1 / (7 * probability), rel=16 * EPS)


def test_weights_over_the_memory_divide_by_its_largest() -> None:
    priorities = Priorities(1.0, 0.4, 0.8, 10, offset=1.0, normalizer="memory")
    replay = walked(states(priorities=priorities), 23)
    slots = replay.valid().nonzero()[:, 0][None]
    replay.update_priorities(slots, torch.tensor([[3.0, 1, 1, 7, 1, 1, 3]]))
    batch = replay.sample(Streams([0], "draws"), 50, step=5)
    assert batch.indices is not None and batch.weights is not None
    due = {4.0: 0.5**0.6, 2.0: 1.0, 8.0: 0.25**0.6}
    amounts = dict(zip(slots[0].tolist(), [4.0, 2, 2, 8, 2, 2, 4], strict=True))
    expected = [due[amounts[slot]] for slot in batch.indices[0].tolist()]
    assert batch.weights[0].tolist() == pytest.approx(expected, rel=16 * EPS)


def test_the_last_of_repeated_updates_counts() -> None:
    replay = walked(states(priorities=Priorities(1.0, 0.0, 0.0, 1, offset=1e-9)), 7)
    replay.update_priorities(torch.tensor([[0, 1, 2, 3, 4, 5, 6, 3, 2, 3]]), torch.tensor([[0.0] * 7 + [9.0, 0.0, 5.0]]))
    assert set(replay.draw(Streams([0], "draws"), 1000).flatten().tolist()) == {3}
    assert float(replay.tensors()["priorities/values"][0, 3]) == 5.0 + 1e-9


def test_repeated_slots_are_given_one_value_whatever_order_a_device_writes_in() -> None:
    assert _last_equal(torch.tensor([[4, 1, 4, 1, 2], [3, 3, 3, 0, 3]])).tolist() == [[2, 3, 2, 3, 4], [4, 4, 4, 3, 4]]


def test_a_window_discounts_as_written_down() -> None:
    replay = walked(states(n_step=4, capacity=50), 40, cut_every=7)
    batch = replay.window(replay.valid().nonzero()[:, 0][None])
    for time in range(40):
        length = min(4, 7 - time % 7, 40 - time)
        rewards = [2 * t + 2 * (t // 7) for t in range(time, time + length)]
        due = sum(0.9**k * reward for k, reward in enumerate(rewards))
        # a sum and a product for each step
        assert float(batch.rewards[0, time]) == pytest.approx(due, rel=8 * EPS)
        assert float(batch.discounts[0, time]) == pytest.approx(0.9**length, rel=8 * EPS)


@pytest.mark.parametrize("priorities", [None, Priorities(0.7, 0.4, 1.0, 10, offset=1e-3)])
def test_a_seed_among_others_is_that_seed_alone(priorities: Priorities | None) -> None:
    def batches(seeds: range) -> list[Batch]:
        replay, streams, found = states(seeds=len(seeds), priorities=priorities, n_step=3), Streams(seeds, "draws"), []
        for _ in range(4):
            walked(replay, 1, seeds=seeds, cut_every=1)
            found.append(replay.sample(streams, 9, step=3))
            if priorities:
                assert found[-1].indices is not None
                replay.update_priorities(found[-1].indices, found[-1].rewards)
        return found

    for together, alone in zip(batches(range(3)), batches(range(1, 2)), strict=True):
        for name in Batch._fields:
            ours, its = getattr(together, name), getattr(alone, name)
            assert (ours is None and its is None) or torch.equal(ours[1:2], its), name


def test_only_the_remembered_finals_are_kept() -> None:
    replay = walked(states(capacity=10), 400, cut_every=1)
    assert len(replay.tensors()["frames/finals"]) == 10
    assert len(walked(states(capacity=10), 400, cut_every=4).tensors()["frames/finals"]) in (2, 3)


def test_finals_stay_theirs_when_there_come_more_of_them() -> None:
    """The queue has gone round by then, so that growing it means to move each final to where it is looked for."""
    replay = walked(walked(states(capacity=40), 100, cut_every=4), 30, cut_every=1)
    batch = replay.window(replay.valid().nonzero()[:, 0][None])
    assert torch.equal(batch.next_observations, batch.observations + 2)


def test_a_restored_memory_draws_and_adds_by_the_same_priorities() -> None:
    replay = walked(states(priorities=Priorities(1.0, 0.5, 1.0, 10, offset=1.0)), 10)
    replay.update_priorities(replay.valid().nonzero()[:, 0][None], torch.tensor([[0.0, 90, 1, 2, 3, 4, 5]]))
    replay.update_priorities(replay.valid().nonzero()[:, 0][None], torch.arange(7.0)[None])
    other = states(priorities=Priorities(1.0, 0.5, 1.0, 10, offset=1.0))
    other.restore({name: tensor.clone() for name, tensor in replay.tensors().items()})
    for one in (replay, other):
        walked(one, 1)
        assert float(one.tensors()["priorities/values"].max()) == 91.0
    pair = [one.sample(Streams([4], "draws"), 200) for one in (replay, other)]
    assert all(a is b or torch.equal(a, b) for a, b in zip(*pair, strict=True))


class Rows(NamedTuple):
    """What the memory reads of a data set."""

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    next_observations: Tensor
    terminations: Tensor


def test_a_dataset_in_front_is_drawn_with_the_ring_and_never_copied() -> None:
    at = torch.arange(-5, 0)
    rows: Any = Rows(at, at % 3, at.float(), at - 100, at == -3)
    replay, streams = states(seeds=2, dataset=rows), Streams([0, 1], "draws")
    assert len(replay) == 5 and set(replay.tensors()) == set(states(seeds=2).tensors())
    assert set(replay.sample(streams, 500).observations[1].tolist()) == set(range(-5, 0))
    walked(replay, 23, seeds=range(2))
    assert len(replay) == 12 and int(replay.valid().sum()) == 12
    batch = replay.sample(streams, 2000)
    assert set(batch.observations[1].tolist()) == set(range(-5, 0)) | {1000 + 2 * time + 2 * (time // 5) for time in range(16, 23)}
    old = batch.observations < 0
    assert torch.equal(batch.next_observations[old], batch.observations[old] - 100)
    assert torch.equal(batch.next_observations[~old], batch.observations[~old] + 2)
    assert torch.equal(batch.terminations[old], batch.observations[old] == -3)
    assert batch.rewards.dtype == torch.float64 and torch.equal(batch.rewards.long(), batch.observations)


def test_zero_padding_is_kept_apart_from_first_frames() -> None:
    replay = Replay(VECTOR, seeds=1, capacity=9, discount=0.9, stack=3, padding="zero")
    shown = [[0, 0, 1], [0, 1, 2], [1, 2, 3], [0, 0, 5], [0, 5, 6]]
    after = [[0, 1, 2], [1, 2, 3], [2, 3, 4], [0, 5, 6], [5, 6, 7]]
    as_given = [[torch.tensor(one, dtype=torch.float32).repeat_interleave(2) for one in rows] for rows in (shown, after)]
    for time, (one, next_one) in enumerate(zip(*as_given, strict=True)):
        flag = torch.tensor([[time == 2]])
        replay.add(one[None, None], torch.zeros(1, 1, 2), torch.zeros(1, 1), next_one[None, None], ~flag & flag, flag)
    batch = replay.window(torch.arange(5)[None])
    assert torch.equal(batch.observations[0], torch.stack(as_given[0]))
    assert torch.equal(batch.next_observations[0], torch.stack(as_given[1]))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"capacity": 2, "n_step": 3}, "capacity must hold n_step"),
        ({"capacity": 5, "n_step": 3, "envs": 2}, "capacity must hold n_step"),
        ({"stack": 2}, "stack must be >= 1 and divide"),
        ({"dataset": Rows(*[torch.zeros(1)] * 5), "n_step": 2}, "a dataset is drawn from uniformly"),
    ],
)
def test_a_memory_that_cannot_be_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        states(**options)


@pytest.mark.parametrize(
    "options",
    [{"exponent": -1}, {"offset": 0.0}, {"maximum": 0.0}, {"uniform_mix": 2}, {"normalizer": "all"}, {"anneal_steps": 0}],
)
def test_priorities_that_cannot_be_are_refused(options: dict[str, Any]) -> None:
    (name,) = options
    due: dict[str, Any] = {
        "exponent": 1.0,
        "importance_exponent": 0.4,
        "importance_exponent_end": 1.0,
        "anneal_steps": 1,
        "offset": 1e-3,
    }
    with pytest.raises(ValueError, match=name):
        Priorities(**due | options)


def test_steps_that_cannot_be_are_refused() -> None:
    replay = walked(states(), 3)
    at, no = torch.tensor([[6]]), torch.tensor([[False]])
    with pytest.raises(ValueError, match=r"rewards must be \[1, 1\]; got \[1\]"):
        replay.add(at, at, torch.zeros(1), at, no, no)
    with pytest.raises(ValueError, match="must be the last next_observations where the episode goes on; got False at observations"):
        replay.add(at + 1, at, at.double(), at, no, no)
    with pytest.raises(ValueError, match="must be slots that hold a transition"):
        replay.window(torch.tensor([[3]]))
    with pytest.raises(ValueError, match="has none to update"):
        replay.update_priorities(at, at)
    stacked, zeros = Replay(VECTOR, seeds=1, capacity=9, discount=0.9, stack=3, padding="zero"), torch.zeros(1, 1)
    with pytest.raises(ValueError, match="stacks must be padded by the 'zero' frame"):
        stacked.add(torch.ones(1, 1, 6), torch.zeros(1, 1, 2), zeros, torch.ones(1, 1, 6), no, no)
