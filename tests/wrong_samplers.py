"""Samplers that are wrong, each by one mistake that somebody made or could: the statistical claims must find them all."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from wrong_searches import cross_entropy

import reference


class WrongSampler(NamedTuple):
    """An operator and the function that replaces it."""

    operator: str
    function: Any


def _drawn(probability: Any, generator: Any, shape: tuple[int, ...] | None = None) -> Any:
    """Inverse-cdf draws; `shape` smaller than the rows' shares uniform numbers among them."""
    p = np.asarray(probability)
    u = np.broadcast_to(generator.random(p.shape[:-1] if shape is None else shape), p.shape[:-1])
    return np.minimum((np.cumsum(p, axis=-1) <= u[..., None]).sum(axis=-1), p.shape[-1] - 1)


def _epsilon(change: str) -> Any:
    def sample(q: Any, *, epsilon: float, over: str = "all", generator: Any) -> Any:
        q = np.asarray(q, dtype=float)
        rows = q.shape[:-1]
        if change == "over":
            over = "others"
        if change == "twice":
            epsilon = 1 - (1 - epsilon) ** 2
        if change == "constant seed":
            generator = np.random.default_rng(7)
        greedy = np.eye(q.shape[-1])[q.argmax(axis=-1)] if change == "first maximiser" else reference.greedy(q)
        other = (1 - greedy) / (q.shape[-1] - 1) if over == "others" else np.full(q.shape, 1 / q.shape[-1])
        coin = generator.random(() if change == "one coin" else rows) < epsilon
        action = _drawn(other, generator, () if change == "one action" else None)
        best = _drawn(greedy, generator)
        chosen = np.where(coin, action, best)
        return np.broadcast_to(chosen.flat[0], rows) if change == "one draw" else chosen

    return sample


def _boltzmann(change: str) -> Any:
    def sample(q: Any, *, temperature: float, generator: Any) -> Any:
        q = np.asarray(q, dtype=float)
        if change == "multiplied":
            temperature = 1 / temperature
        if change == "clipped":
            q = np.minimum(q, 88 * temperature)
        shape = {"one draw": (), "one column": (*q.shape[:-2], 1)}.get(change)
        return _drawn(reference.boltzmann(q, temperature=temperature), generator, shape)

    return sample


def _layer_noise(change: str) -> Any:
    def sample(inputs: int, outputs: int, *, generator: Any) -> Any:
        draw = generator.standard_normal
        if change == "uniform":
            return generator.uniform(-1, 1, inputs), generator.uniform(-1, 1, outputs)
        if change == "rooted":
            return tuple(np.sign(z) * np.sqrt(np.abs(z)) for z in (draw(inputs), draw(outputs)))
        noise_in = draw(inputs)
        if change == "outputs are inputs":
            return noise_in, np.resize(noise_in, outputs)
        return noise_in, np.random.default_rng(7).standard_normal(outputs)

    return sample


def _layer(change: str) -> Any:
    def noisy(x: Any, weight: Any, scale: Any, bias: Any, bias_scale: Any, noise_in: Any, noise_out: Any) -> Any:
        noise = np.outer(noise_out, noise_in) if change == "not rooted" else reference.factorised_noise(noise_in, noise_out)
        f_out = noise_out if change == "not rooted" else np.sign(noise_out) * np.sqrt(np.abs(noise_out))
        if change == "no bias noise":
            f_out = 0 * f_out
        return (weight + scale * noise) @ x + bias + bias_scale * f_out

    return noisy


def _proportional(change: str) -> Any:
    def sample(priority: Any, *, size: int, generator: Any, stratified: bool = False) -> Any:
        p = np.array(priority, dtype=float)
        if change == "not the newest" and len(p) < 40:
            p[-1] = 0.0
        if change == "uniform":
            p[:] = 1.0
        if change == "without replacement" and size <= 3:
            return generator.choice(len(p), size=size, replace=False, p=p / p.sum())
        if change == "one offset" and stratified:
            mass = (np.arange(size) + generator.random()) / size * p.sum()
            return np.searchsorted(np.cumsum(p), mass, side="right")
        found = reference.sample_proportional(p, size=size, generator=generator, stratified=stratified and change != "iid")
        return np.minimum(found + 1, len(p) - 1) if change == "one too far" else found

    return sample


class _Tree:
    """A sum tree by a running sum, with a wrong search."""

    def __init__(self, capacity: int, change: str) -> None:
        self._priority, self._change = np.zeros(capacity), change

    def __len__(self) -> int:
        return len(self._priority)

    @property
    def total(self) -> float:
        return float(self._priority.sum())

    def update(self, index: Any, priority: Any) -> None:
        self._priority[index] = np.trunc(priority) if self._change == "whole numbers" else priority

    def find(self, mass: Any) -> Any:
        ends = np.cumsum(self._priority)
        if self._change == "not the newest":
            mass = np.asarray(mass) * (ends[-2] / ends[-1])
        if self._change == "whole numbers":
            mass = np.asarray(mass) % ends[-1]
        side = "left" if self._change == "left on equality" else "right"
        found = np.searchsorted(ends, mass, side=side)
        return np.minimum(found + (self._change == "one too far"), len(ends) - 1)


def _gaussian(change: str) -> Any:
    def sample(mean: Any, log_std: Any, *, generator: Any) -> Any:
        mean, log_std = np.asarray(mean), np.asarray(log_std)
        shape = {"one draw": (1, *mean.shape[1:]), "one dimension": (*mean.shape[:-1], 1)}.get(change, mean.shape)
        noise = np.random.default_rng(7).standard_normal(shape) if change == "not redrawn" else generator.standard_normal(shape)
        if change == "correlated":
            noise = np.sqrt(0.5) * noise + np.sqrt(0.5) * generator.standard_normal((*mean.shape[:-1], 1))
        if change == "uniform":
            noise = generator.uniform(-np.sqrt(3), np.sqrt(3), shape)
        power = {"variance": 2.0, "log variance": 0.5}.get(change, 1.0)
        std = np.exp(power * (log_std[..., :1] if change == "one std" else log_std))
        return mean + std * noise

    return sample


def _squashed(change: str) -> Any:
    def sample(mean: Any, log_std: Any, *, low: Any, high: Any, generator: Any) -> Any:
        before = _gaussian(change)(np.tanh(mean) if change == "mean twice" else mean, log_std, generator=generator)
        inner = np.tanh(before) if change == "tanh twice" else before
        action = np.tanh(before) if change == "no bounds" else low + (high - low) * (np.tanh(inner) + 1) / 2
        return action, before

    return sample


def _q_prop(change: str) -> Any:
    def gradient(score: Any, advantage: Any, control_variate: Any, weight: Any, action_gradient: Any, jacobian: Any) -> Any:
        kept = {"unweighted": np.ones_like(weight), "never added": 0 * weight, "wrong sign": -weight}.get(change, weight)
        signal = advantage - (0 if change == "never subtracted" else weight * control_variate)
        back = np.einsum("bdp,bd->bp", jacobian, action_gradient)
        return np.mean(score * signal[:, None] + kept[:, None] * back, axis=0)

    return gradient


def _each(operator: str, maker: Any, *changes: str) -> dict[str, WrongSampler]:
    return {f"{operator}: {change}": WrongSampler(operator, maker(change)) for change in changes}


WRONG_SAMPLERS: dict[str, WrongSampler] = {
    **_each(
        "sample_epsilon_greedy", _epsilon,
        "over", "twice", "first maximiser", "one coin", "one action", "one draw", "constant seed",
    ),
    **_each("sample_boltzmann", _boltzmann, "multiplied", "clipped", "one draw", "one column"),
    **_each(
        "sample_layer_noise", _layer_noise, "uniform", "rooted", "outputs are inputs", "outputs not redrawn",
    ),
    **_each("noisy_linear", _layer, "not rooted", "no bias noise"),
    **_each(
        "sample_proportional", _proportional,
        "not the newest", "uniform", "one too far", "without replacement", "iid", "one offset",
    ),
    **_each(
        "sum_tree", lambda change: lambda capacity: _Tree(capacity, change),
        "not the newest", "one too far", "left on equality", "whole numbers",
    ),
    **_each(
        "sample_gaussian", _gaussian,
        "variance", "log variance", "one std", "uniform", "one draw", "one dimension", "correlated", "not redrawn",
    ),
    **_each("sample_tanh_gaussian", _squashed, "variance", "one draw", "one dimension", "mean twice", "tanh twice", "no bounds"),
    **_each(
        "cross_entropy_search", cross_entropy,
        "whole width", "quarter width", "from the lower bound", "uniform", "any", "never refitted", "mean stays", "deviation stays",
        "sample std",
    ),
    **_each("q_prop_gradient", _q_prop, "unweighted", "never added", "wrong sign", "never subtracted"),
}  # fmt: skip
