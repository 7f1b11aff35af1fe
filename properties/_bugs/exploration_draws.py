"""Bugs of draws that explore: the wrong probabilities, numbers shared between rows, and noise that is never drawn anew."""

from __future__ import annotations

from typing import Any

import numpy as np

import reference
from properties._bugs._record import Behaves, Bug, Draws, Probe, probe
from properties._bugs.exploration import by_index, first_best, mixed, rest_explored, root
from properties._exploration_first_numbers import first_number

FROZEN = 7
"""The seed of what is drawn once and for all."""


def drawn(probability: Any, generator: Any, shape: tuple[int, ...] | None = None) -> Any:
    """Draws by the inverse distribution function; a `shape` smaller than the rows' shares uniform numbers among them."""
    p = np.asarray(probability)
    u = np.broadcast_to(generator.random(p.shape[:-1] if shape is None else shape), p.shape[:-1])
    return np.minimum((np.cumsum(p, axis=-1) <= u[..., None]).sum(axis=-1), p.shape[-1] - 1)


def _probabilities(change: str) -> Behaves:
    """Independent draws from other probabilities."""

    def sample(q: Any, *, epsilon: float, over: str = "all", generator: Any) -> Any:
        if change == "rest only":
            return drawn(rest_explored(q, epsilon, over), generator)
        best = {"first": first_best, "index": by_index}.get(change, reference.greedy)(q)
        epsilon = {"twice": 1 - (1 - epsilon) ** 2, "turned": 1 - epsilon}.get(change, epsilon)
        return drawn(mixed(best, epsilon, over), generator)

    return sample


def _coin_and_action(change: str) -> Behaves:
    """A coin, an exploring action and a greedy one for each row, some of them shared."""

    def sample(q: Any, *, epsilon: float, over: str = "all", generator: Any) -> Any:
        greedy = reference.greedy(q)
        generator = np.random.default_rng(FROZEN) if change == "frozen" else generator
        u = generator.random(() if change == "one coin" else q.shape[:-1])
        action = drawn(mixed(greedy, 1.0, over), generator, () if change == "one action" else None)
        explores = ~(u > epsilon) if change == "strict" else u < epsilon
        chosen = np.where(explores, action, drawn(greedy, generator))
        return np.broadcast_to(chosen.flat[0], chosen.shape) if change == "one draw" else chosen

    return sample


def _boltzmann(change: str) -> Behaves:
    def sample(q: Any, *, temperature: float, generator: Any) -> Any:
        generator = np.random.default_rng(FROZEN) if change == "frozen" else generator
        if change == "multiplied" and temperature > 0:
            temperature = 1 / temperature
        if change == "ignored" and temperature > 0:
            temperature = 1.0
        if change == "clipped":
            q = np.minimum(q, 88 * temperature) if temperature > 0 else q
        shape = {"one draw": (), "one column": (*q.shape[:-2], 1)[: q.ndim - 1]}.get(change)
        return drawn(reference.boltzmann(q, temperature=temperature), generator, shape)

    return sample


def _layer_noise(change: str) -> Behaves:
    def sample(inputs: int, outputs: int, *, generator: Any) -> Any:
        if change == "uniform":
            return generator.uniform(-1, 1, inputs), generator.uniform(-1, 1, outputs)
        generator = np.random.default_rng(FROZEN) if change == "frozen" else generator
        into, out = generator.standard_normal(inputs), generator.standard_normal(outputs)
        if change == "outputs frozen":
            out = np.random.default_rng(FROZEN).standard_normal(outputs)
        if change == "rooted":
            into, out = root(into), root(out)
        return into, np.resize(into, outputs) if change == "outputs are inputs" else out

    return sample


NOT_REDRAWN = "torchrl-noisylinear-constant noisy-target-noise-not-resampled"
EPSILON: tuple[tuple[str, str, str, Behaves], ...] = (
    ("epsilon-applied-twice", "epsilon is mixed in, and then a random action is taken with epsilon again",
     "dop-epsilon-applied-twice", _probabilities("twice")),
    ("epsilon-is-the-greedy-share", "epsilon is taken for the probability of the greedy action", "", _probabilities("turned")),
    ("values-compared-with-the-index", "ties are the actions whose VALUE equals the argmax INDEX",
     "bandits-argmax-compared-with-values", _probabilities("index")),
    ("tied-actions-never-explored", "exploring over the others skips every maximiser, not only the one drawn", "",
     _probabilities("rest only")),
    ("strict-comparison", "greedy where u > epsilon: at epsilon = 0 a uniform number of 0 explores",
     "epsilon-greedy-strict-comparison", _coin_and_action("strict")),
    ("one-coin-for-all-rows", "all rows explore or none does", "", _coin_and_action("one coin")),
    ("one-action-for-all-rows", "the rows that explore all take the same action", "", _coin_and_action("one action")),
    ("one-draw-for-all-rows", "every row takes the action of the first", "", _coin_and_action("one draw")),
    ("draws-not-redrawn", "the same actions in every call: a seed of its own in place of the generator", "", _coin_and_action(
        "frozen")),
)  # fmt: skip
BOLTZMANN: tuple[tuple[str, str, str, Behaves], ...] = (
    ("temperature-for-its-inverse", "softmax(q t) for softmax(q / t)", "", _boltzmann("multiplied")),
    ("temperature-ignored", "softmax(q), whatever the temperature", "", _boltzmann("ignored")),
    ("logits-clipped", "q / t is clipped against overflow: large values become equal", "boltzmann-exp-overflow",
     _boltzmann("clipped")),
    ("one-draw-for-all-rows", "one uniform number for all rows", "", _boltzmann("one draw")),
    ("one-draw-for-all-columns", "one uniform number for all of the last batch axis", "", _boltzmann("one column")),
    ("draws-not-redrawn", "the same actions in every call: a seed of its own in place of the generator", "", _boltzmann("frozen")),
)  # fmt: skip
NOISE: tuple[tuple[str, str, str, Behaves], ...] = (
    ("uniform-noise", "uniform on (-1, 1) for normal", "", _layer_noise("uniform")),
    ("root-taken-by-the-sampler", "sign(x) sqrt|x| is applied already, and by the layer again", "", _layer_noise("rooted")),
    ("outputs-take-the-noise-of-inputs", "one vector of noise serves inputs and outputs", "", _layer_noise("outputs are inputs")),
    ("noise-not-redrawn", "noise is drawn once, at construction, and kept", NOT_REDRAWN, _layer_noise("frozen")),
    ("outputs-not-redrawn", "the outputs' noise is drawn once and kept", "", _layer_noise("outputs frozen")),
)  # fmt: skip
TABLES = {"sample_epsilon_greedy": EPSILON, "sample_boltzmann": BOLTZMANN, "sample_layer_noise": NOISE}
BUGS = tuple(Bug(operator, *row) for operator, rows in TABLES.items() for row in rows)

# -------------------------------------------------------------------------------------------------------------- questions
STATES = np.array([[2.0, 7.0, 3.0, 5.0], [3.0, 3.0, -1.0, 2.0], [1.0, 5.0, 1.0, -11.0]])
"""One best action, two of them, and a value that is the index of the best."""
MANY = np.broadcast_to(STATES, (16, *STATES.shape))
PREFERRED = np.array([[0.0, 0.5, 1.0, 0.25], [128.0, 129.0, 127.0, 128.0]])
ALIKE = np.zeros((16, 4, 2))


def _frequencies(action: Any) -> Any:
    """How many rows of each state take each action, and how many pairs of neighbours, in and across states, take the same."""
    a = np.asarray(action)
    count = (a[..., None] == np.arange(4)).mean(axis=0).ravel()
    return np.concatenate([count, [(a[::2] == a[1::2]).mean()], [(a[:, 0] == a[:, -1]).mean()]])


def _columns(action: Any) -> Any:
    """How often two columns of one row, and two rows of one column, take the same action."""
    a = np.asarray(action)
    return np.array([a.mean(), (a[:, ::2] == a[:, 1::2]).mean(), (a[::2] == a[1::2]).mean()])


def _moments(noise: Any) -> Any:
    """Means of powers of the noise of either end, and of their product."""
    ends = [np.asarray(end) for end in noise]
    return np.array([*((end**power).mean() for end in ends for power in (1, 2, 4)), (ends[0] * ends[1]).mean()])


PROBES: dict[str, tuple[Probe, ...]] = {
    "sample_epsilon_greedy": (
        Draws(probe(MANY, epsilon=0.375, over="all"), _frequencies, 2000),
        Draws(probe(MANY, epsilon=0.375, over="others"), _frequencies, 2000),
        probe((np.arange(64) == 37) * 1.0, epsilon=0.0, generator=first_number(0, 3)),
    ),
    "sample_boltzmann": (
        Draws(probe(np.broadcast_to(PREFERRED, (16, 2, 4)), temperature=0.5), _frequencies, 1000),
        Draws(probe(ALIKE, temperature=1.0), _columns, 1000),
    ),
    "sample_layer_noise": (Draws(probe(64, 64), _moments, 400),),
}
OPEN: dict[str, str] = {}
