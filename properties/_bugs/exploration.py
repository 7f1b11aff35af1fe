"""Bugs of exploration: which action is greedy, how often each is tried, and the noise of layers."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import softmax

import reference
from properties._bugs._record import Behaves, Bug, Probe, probe


def first_best(q: Any) -> Any:
    """All on the first maximiser."""
    return np.eye(q.shape[-1])[q.argmax(axis=-1)]


def last_best(q: Any) -> Any:
    """All on the last maximiser."""
    return np.eye(q.shape[-1])[q.shape[-1] - 1 - q[..., ::-1].argmax(axis=-1)]


def by_index(q: Any) -> Any:
    """The tie set is where the VALUE equals the argmax INDEX; where there is none, the first maximiser."""
    same = q == q.argmax(axis=-1)[..., None]
    return np.where(same.any(axis=-1, keepdims=True), same / np.maximum(same.sum(axis=-1, keepdims=True), 1), first_best(q))


def _shared(best: Any) -> Any:
    return best / best.sum(axis=-1, keepdims=True)


def _nearly_best(q: Any) -> Any:
    """Ties by NumPy's test of closeness, with its defaults."""
    top = q.max(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore"):
        return _shared((q == top) | (np.isfinite(top) & (np.abs(q - top) <= 1e-8 + 1e-5 * np.abs(top))))


def mixed(best: Any, epsilon: float, over: str) -> Any:
    """Epsilon-greedy about any greedy policy."""
    actions = best.shape[-1]
    if over == "all":
        return (1 - epsilon) * best + epsilon / actions
    return best if actions == 1 else (1 - epsilon) * best + epsilon * (1 - best) / (actions - 1)


def rest_explored(q: Any, epsilon: float, over: str) -> Any:
    """Exploring over the others never tries a maximiser; where all tie there is nothing to explore."""
    best = reference.greedy(q)
    rest = best == 0
    left = rest.sum(axis=-1, keepdims=True)
    if over == "all":
        return mixed(best, epsilon, over)
    return np.where(left > 0, (1 - epsilon) * best + epsilon * rest / np.maximum(left, 1), best)


def _lone_action(q: Any, *, epsilon: float, over: str = "all") -> Any:
    if over == "all":
        return reference.epsilon_greedy(q, epsilon=epsilon)
    best = reference.greedy(q)
    return (1 - epsilon) * best + epsilon * (1 - best) / max(q.shape[-1] - 1, 1)


def _epsilon(change: str) -> Behaves:
    def probabilities(q: Any, *, epsilon: float, over: str = "all") -> Any:
        if change == "rest only":
            return rest_explored(q, epsilon, over)
        epsilon = {"twice": 1 - (1 - epsilon) ** 2, "turned": 1 - epsilon}.get(change, epsilon)
        return mixed(by_index(q) if change == "index" else reference.greedy(q), epsilon, over)

    return probabilities


def _plain_softmax(q: Any, *, temperature: float) -> Any:
    if temperature == 0:
        return reference.greedy(q)
    weight = np.exp(q / temperature)
    return weight / weight.sum(axis=-1, keepdims=True)


def _clipped_softmax(q: Any, *, temperature: float) -> Any:
    with np.errstate(divide="ignore", invalid="ignore"):
        return softmax(np.clip(np.nan_to_num(q / temperature), -88.0, 88.0), axis=-1)


def _whole_batch(q: Any, *, temperature: float) -> Any:
    return reference.boltzmann(q.reshape(-1), temperature=temperature).reshape(q.shape)


def _not_a_number(q: Any, *, temperature: float) -> Any:
    return np.where(np.isinf(q).any(axis=-1, keepdims=True), np.nan, reference.boltzmann(q, temperature=temperature))


# --------------------------------------------------------------------------------------------------------------- noise
def root(x: Any) -> Any:
    """sign(x) sqrt|x|."""
    return np.sign(x) * np.sqrt(np.abs(x))


def _size_root(x: Any) -> Any:
    return np.sqrt(np.abs(x))


def _one_more_root(x: Any) -> Any:
    return np.sign(x) * np.sqrt(1 + np.abs(x))


def _outer(out: Any, into: Any) -> Any:
    return np.asarray(out)[..., :, None] * np.asarray(into)[..., None, :]


def _layer(change: str) -> Behaves:
    def noisy(x: Any, weight: Any, weight_scale: Any, bias: Any, bias_scale: Any, noise_in: Any, noise_out: Any) -> Any:
        into, out = (noise_in, noise_out) if change == "weights not rooted" else (root(noise_in), root(noise_out))
        if change == "second axis":
            into = into[: x.shape[1]]
        scale = {"no weights": 0 * weight_scale, "sizes": np.abs(weight_scale)}.get(change, weight_scale)
        shift = {"no bias": 0 * noise_out, "bias not rooted": noise_out}.get(change, root(noise_out))
        return x @ (weight + scale * _outer(out, into)).T + bias + bias_scale * shift

    return noisy


# ------------------------------------------------------------------------------------------------- seen next to exploring
def _tiled(reward: Any, terminated: Any, next_q: Any, next_action: Any, *, discount: Any) -> Any:
    value = (next_q * np.asarray(next_action)[..., None]).sum(axis=-1)
    return reference.value_target(reward, terminated, value, discount=discount)


def _unit_box(action: Any, noise: Any, *, noise_clip: float, low: Any, high: Any) -> Any:
    return np.clip(action + np.clip(noise, -noise_clip, noise_clip), -1.0, 1.0)


GREEDY: tuple[tuple[str, str, str, Behaves], ...] = (
    ("last-maximiser-takes-all", "of several best actions the last takes all", "", last_best),
    ("values-compared-with-the-index", "ties are the actions whose VALUE equals the argmax INDEX",
     "bandits-argmax-compared-with-values", by_index),
    ("nearly-best-is-best", "values that are close to the largest count as ties", "", _nearly_best),
    ("maximum-of-the-whole-batch", "the largest value of the batch is looked for in every row", "",
     lambda q: _shared((q == q.max()) + 1e-300)),
    ("ties-not-shared", "each of several best actions has probability 1", "", lambda q: 1.0 * (q == q.max(axis=-1, keepdims=True))),
)  # fmt: skip
EPSILON: tuple[tuple[str, str, str, Behaves], ...] = (
    ("epsilon-applied-twice", "epsilon is mixed in, and then a random action is taken with epsilon again",
     "dop-epsilon-applied-twice", _epsilon("twice")),
    ("epsilon-is-the-greedy-share", "epsilon is taken for the probability of the greedy action", "", _epsilon("turned")),
    ("values-compared-with-the-index", "ties are the actions whose VALUE equals the argmax INDEX",
     "bandits-argmax-compared-with-values", _epsilon("index")),
    ("tied-actions-never-explored", "exploring over the others skips every maximiser, not only the one drawn", "",
     _epsilon("rest only")),
    ("lone-action-loses-epsilon", "a lone action has no others, and epsilon of its probability is lost", "", _lone_action),
)  # fmt: skip
BOLTZMANN: tuple[tuple[str, str, str, Behaves], ...] = (
    ("temperature-for-its-inverse", "softmax(q t) for softmax(q / t)", "", lambda q, *, temperature: softmax(
        q * temperature, axis=-1)),
    ("exp-without-subtracting-the-maximum", "exp(q / t) overflows: inf / inf is nan", "openai-lab-boltzmann-float32-overflow",
     _plain_softmax),
    ("logits-clipped", "q / t is clipped against overflow: large values become equal", "boltzmann-exp-overflow", _clipped_softmax),
    ("small-number-added-to-the-temperature", "divides by t + 1e-6", "", lambda q, *, temperature: reference.boltzmann(
        q, temperature=temperature + 1e-6)),
    ("normalised-over-the-whole-batch", "the sum of exponentials runs over all rows", "", _whole_batch),
    ("infinite-values-make-nan", "inf - inf where the best value is infinite", "", _not_a_number),
)  # fmt: skip
FACTORISED: tuple[tuple[str, str, str, Behaves], ...] = (
    ("noise-not-rooted", "products of the noise itself, without sign(x) sqrt|x|", "", lambda i, o: _outer(o, i)),
    ("sign-of-the-noise-lost", "sqrt|x| for sign(x) sqrt|x|", "", lambda i, o: _outer(_size_root(o), _size_root(i))),
    ("inputs-and-outputs-change-places", "the noise of output i and input o lands at [o, i]", "", lambda i, o: _outer(
        root(i), root(o)).reshape(*o.shape, i.shape[-1])),
    ("only-the-inputs-rooted", "the outputs' noise goes in as it is", "", lambda i, o: _outer(o, root(i))),
    ("root-of-one-plus-the-size", "sign(x) sqrt(1 + |x|)", "", lambda i, o: _outer(_one_more_root(o), _one_more_root(i))),
)  # fmt: skip
LAYER: tuple[tuple[str, str, str, Behaves], ...] = (
    ("noise-not-rooted", "the weights' noise goes in without sign(x) sqrt|x|", "", _layer("weights not rooted")),
    ("bias-noise-not-rooted", "the biases' noise goes in without sign(x) sqrt|x|", "", _layer("bias not rooted")),
    ("no-noise-on-the-bias", "the biases stay without noise", "", _layer("no bias")),
    ("no-noise-on-the-weights", "the weights stay without noise", "", _layer("no weights")),
    ("scales-by-their-size", "|S| for S: a negative scale turns its noise", "", _layer("sizes")),
    ("inputs-counted-on-the-second-axis", "the number of inputs is x.shape[1], which an input without batch lacks",
     "noisy-init-fan-in-batch-axis", _layer("second axis")),
)  # fmt: skip
OTHERS = (
    Bug(
        "sarsa_target",
        "index-tiled-not-one-hot",
        "the action is spread over the row instead of one-hot: sum of Q(s', b) a' over all b",
        "discrete-action-tiled-not-onehot",
        _tiled,
    ),
    Bug(
        "smoothed_action",
        "clipped-to-the-unit-box",
        "the noisy action is clipped to [-1, 1], whatever the box",
        "exploration-noise-ignores-action-scale",
        _unit_box,
    ),
)
TABLES = {
    "greedy": GREEDY, "epsilon_greedy": EPSILON, "boltzmann": BOLTZMANN, "factorised_noise": FACTORISED, "noisy_linear": LAYER,
}  # fmt: skip
BUGS = (*(Bug(operator, *row) for operator, rows in TABLES.items() for row in rows), *OTHERS)

TIES = np.array([[3.0, 7.0, 7.0, 2.0], [1.0, 5.0, 1.0, -11.0], [-3.0, -5.0, -3.0, -3.0], [13.0, 2.0, 3.0, 5.0]])
"""Several best; a value that is the index of the best; negative values only; the largest of all."""
PROBES: dict[str, tuple[Probe, ...]] = {
    "greedy": (probe(TIES), probe(np.array([[2.0**-30, 2.0**-28, -3.0], [0.0, -(2.0**-30), 0.0]]))),
    "epsilon_greedy": (
        probe(TIES, epsilon=0.25, over="all"),
        probe(TIES, epsilon=0.25, over="others"),
        probe(np.array([[7.0], [-3.0]]), epsilon=0.25, over="others"),
    ),
    "boltzmann": (
        probe(np.array([[2.0, 3.0, 5.0], [7.0, 11.0, 13.0]]) / 8, temperature=0.5),
        probe(np.array([1024.0, 1032.0]), temperature=1.0),
        probe(np.array([1.0, 2.0, 0.0]) * 2.0**-20, temperature=2.0**-20),
        probe(np.array([[np.inf, 2.0, 3.0], [-np.inf, 2.0, 3.0]]), temperature=0.5),
    ),
    "factorised_noise": (probe(np.array([[4.0, -9.0, 2.0], [25.0, 3.0, -5.0]]), np.array([[-1.0, 16.0], [7.0, -11.0]])),),
    "noisy_linear": tuple(
        probe(
            x,
            np.array([[2.0, 3.0], [5.0, 7.0], [11.0, 13.0]]),
            np.array([[17.0, -19.0], [23.0, -29.0], [-31.0, 37.0]]) / 8,
            np.array([41.0, 43.0, 47.0]),
            np.array([53.0, -59.0, 61.0]) / 8,
            np.array([4.0, -25.0]),
            np.array([9.0, -16.0, 2.0]),
        )
        for x in (np.array([[1.0, 2.0], [3.0, -5.0]]), np.array([3.0, -5.0]))
    ),
}

REPLAY = "an agent's memory of frames or of scaled numbers; the claim about memories is tried on numbered states"
OPEN: dict[str, str] = {
    "random-warmup-actions-unscaled-in-buffer": REPLAY,
    "offpolicy-normalised-obs-stored": REPLAY,
    "cs285-frame-stack-crosses-head": REPLAY,
    "dopamine-truncated-stack-valid": REPLAY,
    "dopamine-extra-terminal-elements": REPLAY,
    "ppo1-dataset-always-shuffled": "an agent's: the order of minibatches; waits for accelerated/agents (ppo)",
}
