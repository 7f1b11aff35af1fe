"""Bugs of QWR's aggregates."""

from __future__ import annotations

from typing import Any

import numpy as np

import reference
from properties._bounds import Floats
from properties._bugs._record import Behaves, Bug, Probe, Slope, primes, probe


def _divided(x: Any, by: float) -> Floats:
    """As IEEE has it, whatever it is divided by."""
    return np.asarray(np.divide(x, by))


# ------------------------------------------------------------------------------------------------- maximum and mean
def _maximum(change: str) -> Behaves:
    def aggregate(q: Any) -> Any:
        right, x = reference.max_aggregate(q), np.asarray(q)
        return {
            "batch": np.full(right.shape, x.max()), "axis": x.max(axis=0), "floor": np.maximum(right, 0.0),
            "size": np.abs(x).max(axis=-1), "smallest": x.min(axis=-1),
        }[change]  # fmt: skip

    return aggregate


def _mean(change: str) -> Behaves:
    def aggregate(q: Any) -> Any:
        right, x = reference.mean_aggregate(q), np.asarray(q)
        return {
            "sum": x.sum(axis=-1), "batch": np.full(right.shape, x.mean()), "axis": x.mean(axis=0), "scalar": x.mean(),
            "rows": x.sum(axis=-1) / len(x), "softmax": _boltzmann(x, 1.0),
        }[change]  # fmt: skip

    return aggregate


def _spread(change: str) -> Behaves:
    """What differentiating the maximum or the mean gives."""

    def derivative(argument: int | str, q: Any, *, cotangent: Any = None) -> Any:
        x = np.asarray(q)
        best = x == x.max(axis=-1, keepdims=True)
        share = {"detached": 0.0 * x, "ones": np.ones(x.shape), "every": np.full(x.shape, 1 / x.shape[-1]), "ties": 1.0 * best}
        return share[change] * (1.0 if cotangent is None else np.asarray(cotangent)[..., None])

    return derivative


# ----------------------------------------------------------------------------------------------------- log-mean-exp
def _boltzmann(q: Floats, temperature: float) -> Floats:
    return np.asarray((reference.log_mean_exp_gradient(q, temperature=temperature) * q).sum(axis=-1))


def _scaled(change: str) -> Behaves:
    """With the temperature, or log n, in the wrong place; at 0 and inf as IEEE has it."""

    def aggregate(q: Any, *, temperature: float) -> Any:
        right, x, t = reference.log_mean_exp(q, temperature=temperature), np.asarray(q), temperature
        logs = np.log(x.shape[-1])
        if change == "inverse":
            return reference.log_mean_exp(q, temperature=float(_divided(1.0, t)))
        return {
            "sum": right + t * logs, "log n alone": right + t * logs - logs, "other n": right + t * (logs - np.log(len(x))),
            "not multiplied": _divided(right, t), "not divided": t * reference.log_mean_exp(x, temperature=1.0),
        }[change] if x.ndim else right  # fmt: skip

    return aggregate


def _shifted(change: str) -> Behaves:
    """t log mean exp((q - c)/t) + c, for c that is not the row's largest; the limits at 0 and inf are right."""

    def aggregate(q: Any, *, temperature: float) -> Any:
        right, x = reference.log_mean_exp(q, temperature=temperature), np.asarray(q)
        if change == "limits":
            top = x.max(axis=-1, keepdims=True)
            return top[..., 0] + temperature * np.log(np.exp(_divided(x - top, temperature)).mean(axis=-1))
        if temperature == 0 or np.isinf(temperature):
            return right
        shift = {"none": 0.0, "batch": x.max()}[change]
        return shift + temperature * np.log(np.exp((x - shift) / temperature).mean(axis=-1))

    return aggregate


def _other(change: str) -> Behaves:
    """Another aggregate than log-mean-exp."""

    def aggregate(q: Any, *, temperature: float) -> Any:
        right, x = reference.log_mean_exp(q, temperature=temperature), np.asarray(q)
        if change == "normalised":
            spread = np.abs(x - x.mean()).mean() + 1e-5
            return reference.log_mean_exp(x, temperature=temperature * spread)
        if change == "batch":
            return np.full(right.shape, reference.log_mean_exp(x.ravel(), temperature=temperature))
        return {"softmax": _boltzmann(x, temperature), "no maximum": right - x.max(axis=-1)}[change]

    return aggregate


# ---------------------------------------------------------------------------------------------------- its gradient
def _softmax(change: str) -> Behaves:
    def gradient(q: Any, *, temperature: float) -> Any:
        right, x, t = reference.log_mean_exp_gradient(q, temperature=temperature), np.asarray(q), temperature
        best, n = x == x.max(axis=-1, keepdims=True), x.shape[-1]
        if change in ("none", "limits", "batch's top"):
            shift = {"none": 0.0, "limits": x.max(axis=-1, keepdims=True), "batch's top": x.max()}[change]
            mass = np.exp(_divided(x - shift, t))
            return mass / mass.sum(axis=-1, keepdims=True) if t > 0 or change == "limits" else right
        if change == "inverse":
            return reference.log_mean_exp_gradient(x, temperature=float(_divided(1.0, t)))
        return {
            "no temperature": reference.log_mean_exp_gradient(x, temperature=1.0), "divided": _divided(right, t), "mean": right / n,
            "first": np.eye(n)[x.argmax(axis=-1)] if t == 0 else right, "maximum": best / best.sum(axis=-1, keepdims=True),
            "flat": reference.log_mean_exp_gradient(x.ravel(), temperature=t).reshape(x.shape), "detached": 0.0 * x,
        }[change]  # fmt: skip

    return gradient


def _differentiated(change: str) -> Behaves:
    """The same shares, as what differentiating log_mean_exp gives."""

    def derivative(argument: int | str, q: Any, *, temperature: float, cotangent: Any = None) -> Any:
        weight = 1.0 if cotangent is None else np.asarray(cotangent)[..., None]
        return _softmax(change)(q, temperature=temperature) * weight

    return derivative


# -------------------------------------------------------------------------------------------------------------- entries
NORMALISED, OVER_BATCH = "trax-lse-temperature-on-normalised-q", "dqn-max-over-batch"
DETACHED = "the result is cut off from the values: nothing is learnt through it"
AXIS = "taken over the first axis, the batch, instead of over the samples"
INVERSE = "temperature and inverse temperature are confused"
OVERFLOW = "exp(q / t) without subtracting the largest first: infinite, or 0, for large |q / t|"
BATCH_TOP = "the whole batch's largest is subtracted: rows far below it underflow"
LIMITS = "no limit at temperature 0 or infinity: 0 / 0"

BUGS = (
    Bug("max_aggregate", "max-over-the-batch", "the maximum runs over the whole batch", OVER_BATCH, _maximum("batch")),
    Bug("max_aggregate", "axis-of-the-batch", AXIS, "", _maximum("axis")),
    Bug("max_aggregate", "maximum-starts-from-zero", "a running maximum that starts from 0: never negative", "", _maximum("floor")),
    Bug("max_aggregate", "largest-in-size", "the largest absolute value", "", _maximum("size")),
    Bug("max_aggregate", "minimum-for-maximum", "the smallest sample, as of twin critics", "", _maximum("smallest")),
    Bug("max_aggregate", "gradient-detached", DETACHED, "", _spread("detached"), derivative=True),
    Bug("max_aggregate", "gradient-to-every-sample", "the gradient is shared by all samples, not by the largest", "",
        _spread("every"), derivative=True),
    Bug("max_aggregate", "whole-gradient-to-each-tie", "each of several largest gets all of the gradient, not its share", "",
        _spread("ties"), derivative=True),
    Bug("mean_aggregate", "summed-not-averaged", "the sum: it grows with the number of samples", "", _mean("sum")),
    Bug("mean_aggregate", "mean-over-the-batch", "one mean of all rows for every row", "", _mean("batch")),
    Bug("mean_aggregate", "reduced-to-a-scalar", "every axis is averaged: one number is returned", "", _mean("scalar")),
    Bug("mean_aggregate", "axis-of-the-batch", AXIS, "", _mean("axis")),
    Bug("mean_aggregate", "divided-by-the-batch", "divided by the number of rows, not of samples", "", _mean("rows")),
    Bug("mean_aggregate", "softmax-weighted", "samples are weighed by softmax(q) instead of alike", "", _mean("softmax")),
    Bug("mean_aggregate", "gradient-detached", DETACHED, "", _spread("detached"), derivative=True),
    Bug("mean_aggregate", "gradient-not-divided", "each sample gets the whole gradient, not 1/n of it", "", _spread("ones"),
        derivative=True),
    Bug("log_mean_exp", "log-sum-for-log-mean", "log-sum-exp without - log n: the backup grows with the number of samples", "",
        _scaled("sum")),
    Bug("log_mean_exp", "log-n-without-temperature", "log n is subtracted, not t log n", "", _scaled("log n alone")),
    Bug("log_mean_exp", "log-n-of-the-batch", "n is the number of rows, not of samples", "", _scaled("other n")),
    Bug("log_mean_exp", "temperature-for-its-inverse", f"{INVERSE}: log mean exp(t q) / t", "", _scaled("inverse")),
    Bug("log_mean_exp", "temperature-not-multiplied-back", "log mean exp(q / t) without the factor t", "",
        _scaled("not multiplied")),
    Bug("log_mean_exp", "temperature-missing-inside", "t log mean exp(q): q is not divided by t", "", _scaled("not divided")),
    Bug("log_mean_exp", "exp-without-subtracting-the-maximum", OVERFLOW, "", _shifted("none")),
    Bug("log_mean_exp", "largest-of-the-batch-subtracted", BATCH_TOP, "", _shifted("batch")),
    Bug("log_mean_exp", "limits-divided-by-zero", LIMITS, "", _shifted("limits")),
    Bug("log_mean_exp", "maximum-not-added-back", "the largest is subtracted before exp, and not added again", "",
        _other("no maximum")),
    Bug("log_mean_exp", "temperature-on-normalised-q", "q is divided by its mean deviation in the batch first: t has no unit",
        NORMALISED, _other("normalised")),
    Bug("log_mean_exp", "boltzmann-average-for-log-mean-exp", "the mean weighed by softmax(q / t): not monotone, no contraction",
        "", _other("softmax")),
    Bug("log_mean_exp", "reduced-over-the-batch", "one log-mean-exp of all rows together for every row", "", _other("batch")),
    Bug("log_mean_exp", "gradient-detached", DETACHED, "", _differentiated("detached"), derivative=True),
    Bug("log_mean_exp", "softmax-without-temperature", "differentiating gives softmax(q), not softmax(q / t)", "",
        _differentiated("no temperature"), derivative=True),
    Bug("log_mean_exp", "gradient-divided-by-temperature", "differentiating gives softmax(q / t) / t", "",
        _differentiated("divided"), derivative=True),
    Bug("log_mean_exp", "gradient-of-the-maximum", "differentiating gives everything to the largest sample", "",
        _differentiated("maximum"), derivative=True),
    Bug("log_mean_exp_gradient", "temperature-for-its-inverse", f"{INVERSE}: softmax(t q)", "", _softmax("inverse")),
    Bug("log_mean_exp_gradient", "softmax-without-temperature", "softmax(q), whatever the temperature", "",
        _softmax("no temperature")),
    Bug("log_mean_exp_gradient", "gradient-divided-by-temperature", "softmax(q / t) / t: the factor t in front was forgotten", "",
        _softmax("divided")),
    Bug("log_mean_exp_gradient", "gradient-divided-by-n", "softmax(q / t) / n: log n is a constant and divides nothing", "",
        _softmax("mean")),
    Bug("log_mean_exp_gradient", "normalised-over-the-whole-batch", "the shares sum to 1 over the whole batch, not in each row", "",
        _softmax("flat")),
    Bug("log_mean_exp_gradient", "exp-without-subtracting-the-maximum", OVERFLOW, "", _softmax("none")),
    Bug("log_mean_exp_gradient", "largest-of-the-batch-subtracted", BATCH_TOP, "", _softmax("batch's top")),
    Bug("log_mean_exp_gradient", "limits-divided-by-zero", LIMITS, "", _softmax("limits")),
    Bug("log_mean_exp_gradient", "first-maximiser-takes-all", "at temperature 0 the first of several largest takes all", "",
        _softmax("first")),
)  # fmt: skip

_ROWS = np.array([[2.0, 3.0, -5.0], [7.0, -11.0, 13.0]])
_BELOW = -primes(2, 3) / 8
_FAR = np.array([[2.0, 3.0], [-1024.0, 2048.0], [-4096.0, -4096.0]])

PROBES: dict[str, tuple[Probe, ...]] = {
    "max_aggregate": (probe(_ROWS), probe(_BELOW), Slope(0, probe(_ROWS)), Slope(0, probe(np.array([[2.0, 2.0, -3.0]])))),
    "mean_aggregate": (probe(_ROWS), Slope(0, probe(_ROWS))),
    "log_mean_exp": (
        probe(_ROWS, temperature=2.0),
        probe(_FAR, temperature=0.5),
        probe(_ROWS, temperature=0.0),
        probe(_BELOW, temperature=float("inf")),
        Slope(0, probe(_ROWS, temperature=2.0)),
    ),
    "log_mean_exp_gradient": (
        probe(_ROWS, temperature=2.0),
        probe(_FAR, temperature=0.5),
        probe(np.array([[2.0, 2.0, -3.0]]), temperature=0.0),
    ),
}

OPEN: dict[str, str] = {}
