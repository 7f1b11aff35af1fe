"""Bugs of expectiles and of the losses around them."""

from __future__ import annotations

from typing import Any

import numpy as np

import reference
from properties._bounds import Floats
from properties._bugs._record import Behaves, Bug, Probe, Slope, flags, primes, probe


def _side(error: Any, level: float) -> Floats:
    return np.where(np.asarray(error) < 0, 1.0 - level, level)


def _huber(error: Any) -> Floats:
    """Half the square up to 1, linear beyond."""
    size = np.abs(error)
    return np.asarray(np.where(size <= 1, 0.5 * size**2, size - 0.5))


# ----------------------------------------------------------------------------------------------------------- the losses
def _loss(change: str) -> Behaves:
    def loss(error: Any, *, expectile: float) -> Any:
        reference.expectile_loss(error, expectile=expectile)
        u, side = np.asarray(error), _side(error, expectile)
        return {
            "twice": 2 * side * u**2, "mean": np.mean(side * u**2), "huber": side * _huber(u),
            "early": (side * u) ** 2, "one side": expectile * u**2, "no absolute": (expectile - (u < 0)) * u**2,
            "turned": _side(-u, expectile) * u**2, "pinball": side * np.abs(u),
        }[change]  # fmt: skip

    return loss


def _slope(change: str) -> Behaves:
    """Of the expectile loss, in the error."""

    def gradient(error: Any, *, expectile: float) -> Any:
        reference.expectile_loss_gradient(error, expectile=expectile)
        u, side = np.asarray(error), _side(error, expectile)
        return {
            "once": side * u, "minus": -2 * side * u, "raw": -u, "no side": 2 * u, "detached": 0 * u, "mean": 2 * side * u / u.size,
            "turned": 2 * _side(-u, expectile) * u, "no absolute": 2 * (expectile - (u < 0)) * u, "pinball": side * np.sign(u),
        }[change]  # fmt: skip

    return gradient


def _differentiated(change: str) -> Behaves:
    """The same slopes, as what differentiating the loss gives."""

    def derivative(argument: int | str, error: Any, *, expectile: float, cotangent: Any = None) -> Any:
        return _slope(change)(error, expectile=expectile) * (1.0 if cotangent is None else cotangent)

    return derivative


def _pinball(change: str) -> Behaves:
    def loss(error: Any, *, quantile: float) -> Any:
        reference.pinball_loss(error, quantile=quantile)
        u, side = np.asarray(error), _side(error, quantile)
        return {
            "square": side * u**2, "one side": quantile * np.abs(u), "no absolute": side * u, "huber": side * _huber(u),
            "mean": np.mean(side * np.abs(u)), "turned": _side(-u, quantile) * np.abs(u),
        }[change]  # fmt: skip

    return loss


# -------------------------------------------------------------------------------------------------------- the expectile
def _expectile(change: str) -> Behaves:
    def statistic(values: Any, weights: Any = None, *, expectile: float) -> Any:
        reference.expectile(values, weights, expectile=expectile)
        x = np.asarray(values)
        w = np.ones(x.shape) if weights is None else np.asarray(weights)
        if change == "quantile":
            return _quantile(x, w, expectile)
        if change == "one step":
            return _one_step(np.where(w > 0, x, 0.0), w, expectile)
        if change == "pooled":
            return np.full(x.shape[:-1], reference.expectile(x.ravel(), w.ravel(), expectile=expectile))
        if change == "nan":
            unseen = np.isinf(x) & (w == 0)
            return np.where(unseen.any(axis=-1), np.nan, reference.expectile(x, w, expectile=expectile))
        w = {"unweighted": np.ones(x.shape), "squared": (w / w.max(axis=-1, keepdims=True)) ** 2}.get(change, w)
        return reference.expectile(x, w, expectile=1 - expectile if change == "turned" else expectile)

    return statistic


def _quantile(x: Floats, w: Floats, level: float) -> Floats:
    """The smallest value with that share of the mass up to it."""
    order = np.argsort(x, axis=-1, kind="stable")
    mass = np.cumsum(np.take_along_axis(w, order, axis=-1), axis=-1)
    place = np.take_along_axis(order, (mass >= level * mass[..., -1:]).argmax(axis=-1)[..., None], axis=-1)
    return np.asarray(np.take_along_axis(x, place, axis=-1)[..., 0])


def _one_step(x: Floats, w: Floats, level: float) -> Floats:
    """The mean, weighted anew by the side of the mean on which each value lies."""
    mean = (w * x).sum(axis=-1, keepdims=True) / w.sum(axis=-1, keepdims=True)
    anew = w * _side(x - mean, level)
    return np.asarray((anew * x).sum(axis=-1) / anew.sum(axis=-1))


# -------------------------------------------------------------------------------------------------------------- entries
NOTE, RAW = "iql-note-pinball-as-expectile", "iql-expectile-gradient-sign-weight"
REVERSED, BOTH_SIDES = "rlax-expectile-docstring-reversed", "qrdqn-indicator-on-absolute-error"
TURNED = "expectile > 1/2 punishes predicting too high (rlax's documentation says so)"
MEAN = "the mean over the batch is returned, not the loss of each element"

BUGS = (
    Bug("expectile_loss", "expectile-sign-turned", TURNED, REVERSED, _loss("turned")),
    Bug("expectile_loss", "pinball-for-expectile", "max(tau u, (tau - 1) u) is the quantile's loss", NOTE, _loss("pinball")),
    Bug("expectile_loss", "twice-the-loss", "doubled, so that expectile 1/2 gives the squared error", "", _loss("twice")),
    Bug("expectile_loss", "mean-over-the-batch", MEAN, "", _loss("mean")),
    Bug("expectile_loss", "huber-for-the-square", "Huber's loss, linear beyond 1, for the square: its minimiser is none", "",
        _loss("huber")),
    Bug("expectile_loss", "side-inside-the-square", "the error is weighed by its side before it is squared", "", _loss("early")),
    Bug("expectile_loss", "indicator-of-the-absolute-error", "the sign is read after the absolute value: both sides weigh tau",
        BOTH_SIDES, _loss("one side")),
    Bug("expectile_loss", "absolute-value-missing", "tau - 1[u < 0] for its absolute value: predicting too high is rewarded", "",
        _loss("no absolute")),
    Bug("expectile_loss", "factor-two-missing", "differentiating gives |tau - 1[u < 0]| u, half of the slope", "",
        _differentiated("once"), derivative=True),
    Bug("expectile_loss", "gradient-sign-turned", "differentiating gives the slope in the prediction, not in the error", "",
        _differentiated("minus"), derivative=True),
    Bug("expectile_loss", "raw-difference-for-the-gradient", "the gradient is the bare difference: no sign, no 2, no expectile",
        RAW, _differentiated("raw"), derivative=True),
    Bug("expectile_loss", "side-missing-in-the-gradient", "differentiating gives 2 u: both sides pull alike, towards the mean", "",
        _differentiated("no side"), derivative=True),
    Bug("expectile_loss", "gradient-of-the-mean", "the mean over the batch is differentiated", "", _differentiated("mean"),
        derivative=True),
    Bug("expectile_loss", "gradient-detached", "the error is cut off: nothing is learnt", "", _differentiated("detached"),
        derivative=True),
    Bug("expectile_loss_gradient", "expectile-sign-turned", TURNED, REVERSED, _slope("turned")),
    Bug("expectile_loss_gradient", "pinball-for-expectile", "the pinball loss' slope: tau or tau - 1, whatever the size", NOTE,
        _slope("pinball")),
    Bug("expectile_loss_gradient", "sign-turned", "the slope in the prediction, not in the error", "", _slope("minus")),
    Bug("expectile_loss_gradient", "raw-difference-for-the-gradient", "the bare difference: no sign, no 2, no expectile", RAW,
        _slope("raw")),
    Bug("expectile_loss_gradient", "side-missing-in-the-gradient", "2 u: both sides pull alike, towards the mean", "",
        _slope("no side")),
    Bug("expectile_loss_gradient", "absolute-value-missing", "tau - 1[u < 0] for its absolute value: errors below 0 pull away", "",
        _slope("no absolute")),
    Bug("expectile_loss_gradient", "mean-over-the-batch", "divided by the size of the batch", "", _slope("mean")),
    Bug("pinball_loss", "expectile-for-pinball", "the square for the absolute value: its minimiser is no quantile", "",
        _pinball("square")),
    Bug("pinball_loss", "expectile-sign-turned", "quantile > 1/2 punishes predicting too high",
        "chainerrl-iqn-indicator-turned", _pinball("turned")),
    Bug("pinball_loss", "indicator-of-the-absolute-error", "the sign is read after the absolute value: both sides weigh tau",
        BOTH_SIDES, _pinball("one side")),
    Bug("pinball_loss", "absolute-value-missing", "tau - 1[u < 0] times |u|: predicting too high is rewarded",
        "sklearn-quantile-loss-sign", _pinball("no absolute")),
    Bug("pinball_loss", "huber-for-the-absolute-value", "Huber's loss, a square up to 1, for the absolute value", "",
        _pinball("huber")),
    Bug("pinball_loss", "mean-over-the-batch", MEAN, "", _pinball("mean")),
    Bug("expectile", "quantile-for-expectile", "the quantile: 10, not 7.5, of 0, 0, 0, 10 at 0.9", NOTE, _expectile("quantile")),
    Bug("expectile", "expectile-sign-turned", "the expectile at 1 - level: below the mean where it should be above", REVERSED,
        _expectile("turned")),
    Bug("expectile", "weights-not-read", "every value counts the same, those of weight 0 included", "", _expectile("unweighted")),
    Bug("expectile", "weights-squared", "the weights multiply the residuals before these are squared", "", _expectile("squared")),
    Bug("expectile", "one-step-from-the-mean", "values are weighed by their side of the mean, and that is not repeated", "",
        _expectile("one step")),
    Bug("expectile", "pooled-over-the-batch", "one expectile of all rows together", "", _expectile("pooled")),
    Bug("expectile", "zero-times-infinity", "an infinite value of weight 0 makes nan: 0 inf is summed", "", _expectile("nan")),
)  # fmt: skip

_ERRORS = np.where(flags("001 110"), -primes(2, 3) / 8, primes(2, 3) / 8)
_WEIGHTS = np.array([[0.5, 0.25, 0.125, 0.125], [0.125, 0.0, 0.375, 0.5]])
_SKEWED = np.array([[2.0, 3.0, 7.0, 29.0], [-13.0, 5.0, 17.0, -19.0]])

PROBES: dict[str, tuple[Probe, ...]] = {
    "expectile_loss": (probe(_ERRORS, expectile=0.75), Slope(0, probe(_ERRORS, expectile=0.75))),
    "expectile_loss_gradient": (probe(_ERRORS, expectile=0.75),),
    "pinball_loss": (probe(_ERRORS, quantile=0.75),),
    "expectile": (
        probe(_SKEWED, _WEIGHTS, expectile=0.75),
        probe(np.where(_WEIGHTS > 0, _SKEWED, np.inf), _WEIGHTS, expectile=0.875),
    ),
}

_IQL = "an agent's: the policy of continuous actions (iql); claims about agents are tried on numbered ones"

OPEN: dict[str, str] = {
    "iql-policy-mean-unbounded": _IQL,
    "jax-corl-iql-no-tanh": _IQL,
}
