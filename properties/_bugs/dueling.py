"""Bugs of dueling heads: what is subtracted from the advantages, and its slope."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import reference
from properties._bugs._record import Behaves, Bug, Probe, Slope, primes, probe
from properties._bugs.exploration import first_best

Centre = Callable[[Any, str], Any]
GLOBAL_MEAN = "keras-rl-dueling-global-mean coach-dueling-global-mean dueling-deeprl-handson-global-mean"


def _dueling(centre: Centre) -> Behaves:
    return lambda value, advantage, *, baseline="mean": value[..., None] + advantage - centre(advantage, baseline)


def _base(advantage: Any, baseline: str, axis: Any = -1) -> Any:
    return (np.mean if baseline == "mean" else np.max)(advantage, axis=axis, keepdims=True)


def _value_centred(value: Any, advantage: Any, *, baseline: str = "mean") -> Any:
    return value[..., None] + advantage - np.mean(value)


def _slope(share: Centre) -> Behaves:
    return lambda value, advantage, *, baseline="mean": (
        np.eye(advantage.shape[-1]) - np.broadcast_to(share(advantage, baseline), (*advantage.shape, advantage.shape[-1]))
    )


def _detached(argument: Any, value: Any, advantage: Any, *, baseline: str = "mean", cotangent: Any = None) -> Any:
    """Automatic differentiation where the baseline is a constant."""
    weigh = np.ones(advantage.shape) if cotangent is None else np.asarray(cotangent)
    return weigh.sum(axis=-1) if argument in (0, "value") else weigh


BUGS = (
    Bug(
        "dueling_value",
        "mean-over-the-whole-batch",
        "the baseline is taken over batch and actions: Q of a state depends on the others in its batch",
        GLOBAL_MEAN,
        _dueling(lambda a, b: _base(a, b, None)),
    ),
    Bug(
        "dueling_value",
        "mean-over-the-batch-axis",
        "the baseline is taken over the batch, action by action",
        "rainbow-advantage-mean-axis",
        _dueling(lambda a, b: _base(a, b, 0 if a.ndim > 1 else -1)),
    ),
    Bug(
        "dueling_value",
        "baseline-loses-its-axis",
        "the row's baseline [B] meets [B, A] without a kept axis: an error, or the wrong rows where B = A",
        "coach-dueling-global-mean",
        _dueling(lambda a, b: _base(a, b)[..., 0]),
    ),
    Bug(
        "dueling_value",
        "mean-of-the-value-subtracted",
        "V + A - mean(V): the value's mean over the batch, not the advantages' over the actions",
        "dueling-val-mean-subtracted",
        _value_centred,
    ),
    Bug(
        "dueling_value",
        "nothing-subtracted",
        "V + A, as the lecture prints it: a constant may move between the two",
        "lecture-dueling-without-baseline",
        _dueling(lambda a, b: 0.0),
    ),
    Bug(
        "dueling_value",
        "no-gradient-through-the-baseline",
        "the baseline is detached: advantages learn as if nothing were subtracted",
        "",
        _detached,
        derivative=True,
    ),
    Bug(
        "dueling_value_gradient",
        "no-gradient-through-the-baseline",
        "the baseline is a constant: the identity",
        "",
        _slope(lambda a, b: 0.0),
    ),
    Bug(
        "dueling_value_gradient",
        "first-maximiser-takes-the-slope",
        "of equal maxima the first has all of the baseline's slope",
        "",
        _slope(lambda a, b: 1 / a.shape[-1] if b == "mean" else first_best(a)[..., None, :]),
    ),
    Bug(
        "dueling_value_gradient",
        "transposed",
        "rows are the advantage's, columns the value's",
        "",
        _slope(lambda a, b: 1 / a.shape[-1] if b == "mean" else reference.greedy(a)[..., :, None]),
    ),
    Bug(
        "dueling_value_gradient",
        "mean-over-the-whole-batch",
        "the baseline is taken over batch and actions: a share of 1 / (B A)",
        GLOBAL_MEAN,
        _slope(lambda a, b: 1 / a.size if b == "mean" else reference.greedy(a)[..., None, :]),
    ),
)

VALUE, ADVANTAGE = np.array([2.0, 3.0]), np.array([[5.0, 17.0, 17.0], [11.0, -13.0, 7.0]])
PROBES: dict[str, tuple[Probe, ...]] = {
    "dueling_value": (
        *(probe(VALUE, ADVANTAGE, baseline=baseline) for baseline in ("mean", "max")),
        probe(VALUE, ADVANTAGE[:, :2], baseline="max"),
        probe(primes(2, 2), primes(2, 2, 3, after=7)),
        Slope(1, probe(VALUE, ADVANTAGE, baseline="mean", cotangent=np.array([[2.0, 3.0, 5.0], [7.0, 11.0, 13.0]]))),
        Slope(1, probe(VALUE, ADVANTAGE, baseline="max", cotangent=np.array([[2.0, 3.0, 5.0], [7.0, 11.0, 13.0]]))),
    ),
    "dueling_value_gradient": tuple(probe(VALUE, ADVANTAGE, baseline=baseline) for baseline in ("mean", "max")),
}
OPEN: dict[str, str] = {}
