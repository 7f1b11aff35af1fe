"""Wrong operators of exploration, overestimation, dueling and target_networks: rows of tests/wrong_operators.py."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import ndtr, softmax

import reference


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


def _rooted(noise_in: Any, noise_out: Any) -> Any:
    return _root(noise_in), _root(noise_out)


def _layer(noise: Any = _rooted, scale: Any = lambda s: s, bias: Any = lambda s, i, o: s * _root(o)) -> Any:
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
    return lambda value, advantage, *, baseline="mean": (
        np.eye(advantage.shape[-1]) - np.broadcast_to(share(advantage, baseline), (*advantage.shape, advantage.shape[-1]))
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

CHOICES = [*EXPLORATION, *NOISE, *OVERESTIMATION, *HEADS]
