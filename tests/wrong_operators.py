"""Operators that are wrong, each by one mistake that somebody made or could: theorems must find them all, without agreement's help.

Here: exploration to categorical, which act on finitely many actions. A row is the operator, the story in one line, the name of the
mistake in the catalogue of bugs seen in the wild (empty: not on record), and the function that makes it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.special import log_softmax, ndtr, softmax
from wrong_policies import POLICIES
from wrong_searches import SEARCHES

import reference


class WrongOperator(NamedTuple):
    """One mistake."""

    operator: str
    story: str
    seen: str
    function: Any


def _first(q: Any) -> Any:
    return np.eye(q.shape[-1])[q.argmax(axis=-1)]


def _last(q: Any) -> Any:
    return np.eye(q.shape[-1])[q.shape[-1] - 1 - q[..., ::-1].argmax(axis=-1)]


def _shared(best: Any) -> Any:
    return best / best.sum(axis=-1, keepdims=True)


def _lone_action(q: Any, *, epsilon: float, over: str = "all") -> Any:
    if over == "all":
        return reference.epsilon_greedy(q, epsilon=epsilon)
    best = reference.greedy(q)
    return (1 - epsilon) * best + epsilon * (1 - best) / max(q.shape[-1] - 1, 1)


def _plain_softmax(q: Any, *, temperature: float) -> Any:
    if temperature == 0:
        return reference.greedy(q)
    weight = np.exp(q / temperature)
    return weight / weight.sum(axis=-1, keepdims=True)


def _clipped_softmax(q: Any, *, temperature: float) -> Any:
    with np.errstate(divide="ignore", invalid="ignore"):
        return softmax(np.clip(np.nan_to_num(q / temperature), -88.0, 88.0), axis=-1)


EXPLORATION = [
    ("greedy", "the first maximiser takes all", "", _first),
    ("greedy", "the last maximiser takes all", "", _last),
    ("greedy", "values compared with the index of the maximiser", "bandits-argmax-compared-with-values",
     lambda q: _shared((q == q.argmax(axis=-1)[..., None]) + 1e-300)),
    ("greedy", "nearly best is best", "", lambda q: _shared(np.isclose(q, q.max(axis=-1, keepdims=True)))),
    ("greedy", "the maximum of the whole batch", "", lambda q: _shared((q == q.max()) + 1e-300)),
    ("greedy", "a maximiser's mass is not shared", "", lambda q: 1.0 * (q == q.max(axis=-1, keepdims=True))),
    ("epsilon_greedy", "explores among all when told the others", "", lambda q, *, epsilon, over="all":
     reference.epsilon_greedy(q, epsilon=epsilon)),
    ("epsilon_greedy", "explores among the others when told all", "", lambda q, *, epsilon, over="all":
     reference.epsilon_greedy(q, epsilon=epsilon, over="others")),
    ("epsilon_greedy", "epsilon mixed in twice", "dop-epsilon-applied-twice", lambda q, *, epsilon, over="all":
     reference.epsilon_greedy(q, epsilon=1 - (1 - epsilon) ** 2, over=over)),
    ("epsilon_greedy", "epsilon is the chance of the greedy action", "", lambda q, *, epsilon, over="all":
     reference.epsilon_greedy(q, epsilon=1 - epsilon, over=over)),
    ("epsilon_greedy", "the first maximiser takes all", "", lambda q, *, epsilon, over="all":
     reference.epsilon_greedy(_first(q), epsilon=epsilon, over=over)),
    ("epsilon_greedy", "a lone action has no others and loses epsilon", "", _lone_action),
    ("boltzmann", "multiplied by the temperature", "", lambda q, *, temperature: softmax(q * temperature, axis=-1)),
    ("boltzmann", "exp without subtracting the maximum", "boltzmann-exp-overflow", _plain_softmax),
    ("boltzmann", "logits clipped against overflow", "openai-lab-boltzmann-float32-overflow", _clipped_softmax),
    ("boltzmann", "a small number added to the temperature", "", lambda q, *, temperature:
     reference.boltzmann(q, temperature=temperature + 1e-6)),
    ("boltzmann", "normalised over the whole batch", "", lambda q, *, temperature: reference.boltzmann(
        q.reshape(-1), temperature=temperature).reshape(q.shape)),
    ("boltzmann", "infinite values make nan", "", lambda q, *, temperature: np.where(
        np.isinf(q).any(axis=-1, keepdims=True), np.nan, reference.boltzmann(q, temperature=temperature))),
]  # fmt: skip


def _root(x: Any) -> Any:
    return np.sign(x) * np.sqrt(np.abs(x))


def _outer(out: Any, into: Any) -> Any:
    return np.asarray(out)[..., :, None] * np.asarray(into)[..., None, :]


def _layer(noise: Any = lambda i, o: (_root(i), _root(o)), scale: Any = lambda s: s, bias: Any = lambda s, i, o: s * _root(o)) -> Any:
    def noisy(x: Any, weight: Any, weight_scale: Any, b: Any, bias_scale: Any, noise_in: Any, noise_out: Any) -> Any:
        into, out = noise(noise_in, noise_out)
        return x @ (weight + scale(weight_scale) * _outer(out, into)).T + b + bias(bias_scale, noise_in, noise_out)

    return noisy


def _frozen_layer() -> Any:
    """The noise of the first call, while the shapes allow."""
    kept: dict[Any, Any] = {}

    def noisy(x: Any, weight: Any, weight_scale: Any, b: Any, bias_scale: Any, *noise: Any) -> Any:
        noise = kept.setdefault(weight.shape, tuple(np.array(n) for n in noise))
        return reference.noisy_linear(x, weight, weight_scale, b, bias_scale, *noise)

    return noisy


NOISE = [
    ("factorised_noise", "not rooted", "", lambda i, o: _outer(o, i)),
    ("factorised_noise", "the sign is lost", "", lambda i, o: _outer(np.sqrt(np.abs(o)), np.sqrt(np.abs(i)))),
    ("factorised_noise", "inputs and outputs change places", "", lambda i, o: _outer(_root(i), _root(o)).reshape(
        *o.shape, i.shape[-1])),
    ("factorised_noise", "only the inputs are rooted", "", lambda i, o: _outer(o, _root(i))),
    ("factorised_noise", "the root of one plus the size", "", lambda i, o: _outer(
        np.sign(o) * np.sqrt(1 + np.abs(o)), np.sign(i) * np.sqrt(1 + np.abs(i)))),
    ("noisy_linear", "weight noise not rooted", "", _layer(noise=lambda i, o: (i, o))),
    ("noisy_linear", "bias noise not rooted", "", _layer(bias=lambda s, i, o: s * o)),
    ("noisy_linear", "no noise on the bias", "", _layer(bias=lambda s, i, o: 0.0)),
    ("noisy_linear", "no noise on the weights", "", _layer(scale=lambda s: 0 * s)),
    ("noisy_linear", "scales taken by their size", "", _layer(scale=np.abs)),
    ("noisy_linear", "the noise of the first call is kept", "torchrl-noisylinear-constant", _frozen_layer()),
]  # fmt: skip


def _clarks(means: Any, deviations: Any, distribution: str) -> Any:
    """Clark 1961 one after the other, as if each maximum were normal."""
    if distribution == "uniform":
        return reference.expected_maximum(means, deviations, distribution)
    mean, variance = means[..., 0], deviations[..., 0] ** 2
    for k in range(1, means.shape[-1]):
        other, spread = means[..., k], deviations[..., k] ** 2
        a = np.sqrt(variance + spread)
        t = np.where(a > 0, (mean - other) / np.where(a > 0, a, 1), np.inf * np.sign(mean - other + (mean == other)))
        density = np.where(np.isfinite(t), np.exp(-t * t / 2) / np.sqrt(2 * np.pi), 0.0)
        first = mean * ndtr(t) + other * ndtr(-t) + a * density
        second = (mean**2 + variance) * ndtr(t) + (other**2 + spread) * ndtr(-t) + (mean + other) * a * density
        mean, variance = first, np.maximum(second - first**2, 0.0)
    return mean


def _simulated(means: Any, deviations: Any, distribution: str) -> Any:
    noise = np.random.default_rng(0).standard_normal((4000, means.shape[-1]))
    noise = 2 * ndtr(noise) - 1 if distribution == "uniform" else noise
    return np.mean([np.max(means + deviations * z, axis=-1) for z in noise], axis=0)


OVERESTIMATION = [
    ("max_bias_bound", "divided by m, not m - 1", "", lambda c, *, actions: np.sqrt(c / actions)),
    ("max_bias_bound", "no root", "", lambda c, *, actions: np.asarray(c) / (actions - 1)),
    ("max_bias_bound", "C is the sum of squares", "", lambda c, *, actions: np.sqrt(c / (actions * (actions - 1)))),
    ("max_bias_bound", "the root of C only", "", lambda c, *, actions: np.sqrt(c) / (actions - 1)),
    ("expected_maximum", "the largest mean", "", lambda m, d, distribution: np.max(m, axis=-1)),
    ("expected_maximum", "always normal", "", lambda m, d, distribution: reference.expected_maximum(m, d, "normal")),
    ("expected_maximum", "a uniform's half width read as its deviation", "", lambda m, d, distribution:
     reference.expected_maximum(m, d * np.sqrt(3) if distribution == "uniform" else d, distribution)),
    ("expected_maximum", "deviations read as variances", "", lambda m, d, distribution: reference.expected_maximum(
        m, np.sqrt(d), distribution)),
    ("expected_maximum", "the largest deviation for all", "", lambda m, d, distribution: reference.expected_maximum(
        m, np.broadcast_to(np.max(d, axis=-1, keepdims=True), d.shape), distribution)),
    ("expected_maximum", "pairs one after the other, each maximum taken for normal", "", _clarks),
    ("expected_maximum", "four thousand draws", "", _simulated),
    ("double_estimate", "evaluated and selected by the same estimate", "dqn-called-double-but-max-on-target",
     lambda select, evaluate: evaluate.max(axis=-1)),
    ("double_estimate", "the maximum of the selecting estimate", "", lambda select, evaluate: select.max(axis=-1)),
    ("double_estimate", "the two change places", "", lambda select, evaluate: reference.double_estimate(evaluate, select)),
    ("double_estimate", "the last maximiser", "", lambda select, evaluate: (evaluate * _last(select)).sum(axis=-1)),
    ("double_estimate", "maximum of the row masked by the choice", "double-dqn-max-after-onehot-mask",
     lambda select, evaluate: (evaluate * _first(select)).max(axis=-1)),
    ("double_estimate", "all maximisers averaged", "", lambda select, evaluate: (evaluate * reference.greedy(select)).sum(axis=-1)),
]  # fmt: skip


def _dueling(centre: Any) -> Any:
    return lambda value, advantage, *, baseline="mean": value[..., None] + advantage - centre(advantage, baseline)


def _base(advantage: Any, baseline: str, axis: Any = -1) -> Any:
    reduce = np.mean if baseline == "mean" else np.max
    return reduce(advantage, axis=axis, keepdims=True)


def _slope(share: Any) -> Any:
    return lambda value, advantage, *, baseline="mean": np.eye(advantage.shape[-1]) - np.broadcast_to(
        share(advantage, baseline), (*advantage.shape, advantage.shape[-1])
    )


def _part_moves(target: Any, online: Any, *, polyak_step: float) -> Any:
    moved = np.array(reference.polyak_update(target, online, polyak_step=polyak_step))
    moved.reshape(-1)[: moved.size // 2] = np.reshape(target, -1)[: moved.size // 2]
    return moved


HEADS = [
    ("dueling_value", "mean over the whole batch", "keras-rl-dueling-global-mean", _dueling(lambda a, b: _base(a, b, None))),
    ("dueling_value", "the value's mean subtracted", "dueling-val-mean-subtracted", lambda value, advantage, *, baseline="mean":
     value[..., None] + advantage - np.mean(value)),
    ("dueling_value", "always the maximum", "", _dueling(lambda a, b: _base(a, "max"))),
    ("dueling_value", "always the mean", "", _dueling(lambda a, b: _base(a, "mean"))),
    ("dueling_value", "nothing subtracted", "", _dueling(lambda a, b: 0.0)),
    ("dueling_value", "mean over the batch axis", "rainbow-advantage-mean-axis", _dueling(
        lambda a, b: _base(a, b, 0 if a.ndim > 1 else -1))),
    ("dueling_value_gradient", "the baseline is a constant", "", _slope(lambda a, b: 0.0)),
    ("dueling_value_gradient", "always the mean's", "", _slope(lambda a, b: 1 / a.shape[-1])),
    ("dueling_value_gradient", "the first maximiser takes the slope", "", _slope(
        lambda a, b: 1 / a.shape[-1] if b == "mean" else _first(a)[..., None, :])),
    ("dueling_value_gradient", "transposed", "", _slope(
        lambda a, b: 1 / a.shape[-1] if b == "mean" else reference.greedy(a)[..., :, None])),
    ("dueling_value_gradient", "mean over the whole batch", "coach-dueling-global-mean", _slope(
        lambda a, b: 1 / a.size if b == "mean" else reference.greedy(a)[..., None, :])),
    ("polyak_update", "the two change places", "", lambda t, o, *, polyak_step: reference.polyak_update(
        o, t, polyak_step=polyak_step)),
    ("polyak_update", "the given step ignored", "gdrl-init-copy-uses-default-tau", lambda t, o, *, polyak_step:
     reference.polyak_update(t, o, polyak_step=0.005)),
    ("polyak_update", "never moves", "agilerl-dqn-soft-update-not-applied", lambda t, o, *, polyak_step: np.array(t)),
    ("polyak_update", "copied at every step", "target-both-hard-and-soft", lambda t, o, *, polyak_step: np.array(o)),
    ("polyak_update", "half of the parameters left out", "sac-target-excludes-cnn-params", _part_moves),
    ("polyak_update", "infinite parameters make nan", "", lambda t, o, *, polyak_step: (1 - polyak_step) * t + polyak_step * o),
    ("polyak_update", "step one does not quite arrive", "", lambda t, o, *, polyak_step: t + polyak_step * (o - t)),
    ("polyak_update", "shares memory at step zero", "", lambda t, o, *, polyak_step: t if polyak_step == 0 else
     reference.polyak_update(t, o, polyak_step=polyak_step)),
]  # fmt: skip


def _weights(probability: Any, size: int, exponent: float, normalizer: Any, minimum: Any) -> Any:
    return reference.importance_weights(
        probability, size=size, exponent=exponent, normalizer=normalizer, minimum_probability=minimum
    )


def _importance(change: str) -> Any:
    def weights(p: Any, *, size: int, exponent: float, normalizer: Any = "batch", minimum_probability: Any = None) -> Any:
        if change == "memory" and normalizer == "batch" and minimum_probability is not None:
            normalizer = "memory"
        if change == "size" and normalizer is None:
            size = 1
        if change == "capped" and normalizer is None:
            return np.minimum(_weights(p, size, exponent, None, None), 1.0)
        if normalizer == "batch" and change in ("whole batch", "mean"):
            raw = _weights(p, size, exponent, None, None)
            return raw / (raw.max() if change == "whole batch" else raw.mean(axis=-1, keepdims=True))
        if change == "sign":
            raw = (size * p) ** exponent
            least = p.max(axis=-1, keepdims=True) if normalizer == "batch" else np.asarray(minimum_probability or 1.0)
            return raw if normalizer is None else raw / (size * least) ** exponent
        return _weights(p, size, exponent, normalizer, minimum_probability)

    return weights


def _mixed_exponents(p: Any) -> Any:
    old = np.where(np.arange(p.shape[-1]) % 2, p, np.sqrt(p))
    return reference.sampling_probabilities(old)


class _Tree:
    """A sum tree by a running sum, with one thing wrong."""

    def __init__(self, capacity: int, change: str) -> None:
        self._p, self._change, self._sum = np.zeros(capacity), change, np.float32(0.0) if change == "float32" else 0.0

    def __len__(self) -> int:
        return 2 ** (len(self._p) - 1).bit_length() if self._change == "rounded up" else len(self._p)

    @property
    def total(self) -> float:
        if self._change == "minimum":
            return float(self._p.min())
        return float(self._sum if self._change in ("float32", "drift") else self._p.sum())

    def update(self, index: Any, priority: Any) -> None:
        pairs = list(zip(np.atleast_1d(index).tolist(), np.atleast_1d(priority).tolist(), strict=True))
        for i, new in pairs[::-1] if self._change == "first wins" else pairs:
            old = float(self._p[i])
            self._sum = type(self._sum)(self._sum + (new - old))
            self._p[i] = {"adds": old + new, "largest": max(old, new), "whole": float(int(new))}.get(self._change, new)

    def find(self, mass: Any) -> Any:
        wanted = np.asarray(mass) * (self.total if self._change == "fraction" else 1.0)
        found = np.searchsorted(np.cumsum(self._p), wanted, side="left" if self._change == "equality" else "right")
        return np.minimum(found, len(self._p) - 1 - (self._change == "last never" and len(self._p) > 1))


def _tree(change: str) -> Any:
    return lambda capacity: _Tree(capacity, change)


PRIORITIES = [
    ("priority", "the offset added outside the power", "", lambda d, *, exponent, offset: np.abs(d) ** exponent + offset),
    ("priority", "errors below zero count nothing", "", lambda d, *, exponent, offset: (np.maximum(d, 0) + offset) ** exponent),
    ("priority", "the offset forgotten", "", lambda d, *, exponent, offset: np.abs(d) ** exponent),
    ("priority", "stored as whole numbers", "per-priorities-stored-as-int", lambda d, *, exponent, offset: np.trunc(
        (np.abs(d) + offset) ** exponent)),
    ("priority", "errors clipped at one", "", lambda d, *, exponent, offset: (np.minimum(np.abs(d), 1) + offset) ** exponent),
    ("priority", "no error, no priority, exponent zero or not", "", lambda d, *, exponent, offset: np.where(
        np.abs(d) + offset == 0, 0.0, (np.abs(d) + offset) ** exponent)),
    ("priority", "a trailing axis appears", "ddpg-td-error-extra-dim", lambda d, *, exponent, offset: (
        (np.abs(d) + offset) ** exponent)[..., None]),
    ("sampling_probabilities", "softmax", "", lambda p: softmax(p, axis=-1)),
    ("sampling_probabilities", "over the whole batch", "", lambda p: reference.sampling_probabilities(p.reshape(-1)).reshape(p.shape)),
    ("sampling_probabilities", "none is ever zero", "", lambda p: reference.sampling_probabilities(p + 1e-6)),
    ("sampling_probabilities", "some entries with the old exponent", "per-alpha-annealing-mixed-exponents", _mixed_exponents),
    ("sampling_probabilities", "the squares' shares", "", lambda p: p**2 / (p**2).sum(axis=-1, keepdims=True)),
    ("importance_weights", "the memory's largest although the batch's was asked", "per-weights-normalised-by-memory-min",
     _importance("memory")),
    ("importance_weights", "the exponent's sign", "per-exponent-sign", _importance("sign")),
    ("importance_weights", "the size left out", "xlron-per-weights-missing-N", _importance("size")),
    ("importance_weights", "the largest of all rows", "", _importance("whole batch")),
    ("importance_weights", "divided by the mean", "", _importance("mean")),
    ("importance_weights", "raw weights capped at one", "", _importance("capped")),
    ("sum_tree", "parents hold the minimum", "sum-tree-uses-min", _tree("minimum")),
    ("sum_tree", "left on equality", "sumtree-left-on-equality", _tree("equality")),
    ("sum_tree", "float32, updated by differences", "sumtree-float32-drift", _tree("float32")),
    ("sum_tree", "updated by differences", "", _tree("drift")),
    ("sum_tree", "whole numbers only", "per-priorities-stored-as-int", _tree("whole")),
    ("sum_tree", "of repeated indices the first wins", "", _tree("first wins")),
    ("sum_tree", "an update adds", "", _tree("adds")),
    ("sum_tree", "an update never lowers", "", _tree("largest")),
    ("sum_tree", "the mass is a fraction", "", _tree("fraction")),
    ("sum_tree", "the last is never found", "", _tree("last never")),
    ("sum_tree", "capacity rounded up to a power of two", "", _tree("rounded up")),
]  # fmt: skip


def _neighbours(atoms: Any, target: Any, change: str) -> tuple[Any, Any, Any]:
    """The atoms below and above, and what of the mass goes to the upper one."""
    last = len(atoms) - 1
    if change == "equidistant" and last:
        place = (target - atoms[0]) / ((atoms[-1] - atoms[0]) / last)
        lower = np.clip(np.floor(place), 0, last).astype(int)
        return lower, np.minimum(lower + 1, last), place - lower
    upper = np.clip(np.searchsorted(atoms, target), 0, last)
    lower = np.where(atoms[upper] == target, upper, np.maximum(upper - 1, 0))
    share = np.where(lower < upper, (target - atoms[lower]) / np.where(lower < upper, atoms[upper] - atoms[lower], 1), 0.0)
    return lower, upper, {"nearest": np.round(share), "swapped": 1 - share}.get(change, share)


def _projection(change: str) -> Any:
    def project(atoms: Any, probability: Any, reward: Any, terminated: Any, *, discount: Any) -> Any:
        going = np.asarray(discount * (1.0 if change == "runs on" else ~np.asarray(terminated)))[..., None]
        target = going * (reward[..., None] + atoms) if change == "reward discounted" else reward[..., None] + going * atoms
        inside = (target >= atoms[0]) & (target <= atoms[-1])
        lower, upper, share = _neighbours(atoms, np.clip(target, atoms[0], atoms[-1]), change)
        mass = np.where(inside | (change != "not clipped"), probability, 0.0)
        mass = mass * (~np.asarray(terminated))[..., None] if change == "terminal" else mass
        mass = np.where(lower == upper, 0.0, mass) if change == "on an atom" else mass
        out = np.zeros(target.shape)
        for place in np.ndindex(target.shape):
            low, high = (*place[:-1], lower[place]), (*place[:-1], upper[place])
            before = (0.0, 0.0) if change == "overwritten" else (out[low], out[high])
            out[low] = before[0] + mass[place] * (1 - share[place])
            if low != high:
                out[high] = before[1] + mass[place] * share[place]
        return out

    return project


CATEGORICAL = [
    ("categorical_projection", "terminal targets have no mass", "c51-terminal-zero-mass", _projection("terminal")),
    ("categorical_projection", "mass beyond the support is lost", "c51-projection-out-of-range", _projection("not clipped")),
    ("categorical_projection", "of two masses on an atom the last stays", "c51-projection-duplicate-index-scatter",
     _projection("overwritten")),
    ("categorical_projection", "mass that falls on an atom is lost", "", _projection("on an atom")),
    ("categorical_projection", "atoms taken for equidistant", "", _projection("equidistant")),
    ("categorical_projection", "all mass to the nearest atom", "", _projection("nearest")),
    ("categorical_projection", "the neighbours' shares change places", "", _projection("swapped")),
    ("categorical_projection", "bootstraps beyond the end", "", _projection("runs on")),
    ("categorical_projection", "the reward is discounted, too", "", _projection("reward discounted")),
    ("categorical_loss", "mean over atoms", "", lambda x, t: -(t * log_softmax(x, axis=-1)).mean(axis=-1)),
    ("categorical_loss", "the sign", "", lambda x, t: (t * log_softmax(x, axis=-1)).sum(axis=-1)),
    ("categorical_loss", "a small number inside the logarithm", "", lambda x, t: -(t * np.log(softmax(x, axis=-1) + 1e-8)).sum(axis=-1)),
    ("categorical_loss", "the relative entropy", "", lambda x, t: reference.categorical_loss(x, t) - reference.categorical_loss(
        np.log(np.maximum(t, 1e-300)), t)),
    ("categorical_loss", "logits taken for logarithms of probabilities", "", lambda x, t: -(t * x).sum(axis=-1)),
    ("categorical_loss", "exp without subtracting the maximum", "", lambda x, t: -(t * (
        x - np.log(np.exp(x).sum(axis=-1, keepdims=True)))).sum(axis=-1)),
    ("categorical_loss_gradient", "the sign", "", lambda x, t: t - softmax(x, axis=-1)),
    ("categorical_loss_gradient", "mean over atoms", "", lambda x, t: (softmax(x, axis=-1) - t) / x.shape[-1]),
    ("categorical_loss_gradient", "the softmax's slope is left out", "", lambda x, t: -t / softmax(x, axis=-1)),
    ("categorical_loss_gradient", "softmax over the whole batch", "", lambda x, t: softmax(x) - t),
]  # fmt: skip

ROWS = [*EXPLORATION, *NOISE, *OVERESTIMATION, *HEADS, *PRIORITIES, *CATEGORICAL, *POLICIES, *SEARCHES]
WRONG_OPERATORS = {f"{row[0]}: {row[1]}": WrongOperator(*row) for row in ROWS}
