"""Bugs of generalised advantages alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import reference
from properties._bounds import Floats
from properties._bugs._record import Behaves, Bug
from properties._bugs.returns import RETURNS, in_float32


class _Steps(NamedTuple):
    """What the recursion A_t = error_t + decay_t A_(t+1) is made of; it is cut where `cut`."""

    error: Floats
    cut: Any
    terminated: Any
    truncated: Any
    next_value: Any
    discount: Floats
    trace: float


def _recursion(made: Callable[[_Steps], Floats]) -> Behaves:
    """An operator from what it makes of the steps."""

    def behaves(
        reward: Any, terminated: Any, truncated: Any, value: Any, next_value: Any, *, lambda_: float, discount: Any
    ) -> Floats:
        error = reference.gae(reward, terminated, truncated, value, next_value, lambda_=0.0, discount=discount)
        g = np.broadcast_to(np.asarray(discount, dtype=np.float64), np.shape(reward))
        return made(_Steps(error, terminated | truncated, terminated, truncated, next_value, g, lambda_))

    return behaves


def _backwards(error: Any, decay: Any, cut: Any, after_the_end: Any = 0.0) -> Floats:
    """A_t = error_t + decay_t A_(t+1), where not cut."""
    out = np.zeros(np.shape(error))
    carry = after_the_end
    for t in range(out.shape[-1] - 1, -1, -1):
        carry = error[..., t] + np.where(cut[..., t], 0.0, decay[..., t] * carry)
        out[..., t] = carry
    return out


def _twice(s: _Steps) -> Floats:
    return _backwards(s.error, s.discount * s.trace, s.cut, s.next_value[..., -1])


def _assigned(s: _Steps) -> Floats:
    """Every trace is set to gamma lambda after each step, however old: errors of all later steps count alike."""
    out, weight = np.array(s.error), s.discount * s.trace
    for t in range(out.shape[-1]):
        going = np.ones(out.shape[:-1], dtype=bool)
        for k in range(t + 1, out.shape[-1]):
            going = going & ~s.cut[..., k - 1]
            out[..., t] += np.where(going, weight[..., k - 1] * s.error[..., k], 0.0)
    return out


def _next_discount(s: _Steps) -> Floats:
    """The trace of step t is decayed by the discount of the transition whose error is credited: 0 where that one terminates."""
    live = s.discount * s.trace * ~s.terminated
    return _backwards(s.error, np.concatenate([live[..., 1:], live[..., -1:]], axis=-1), s.cut)


def _dropped(s: _Steps) -> Floats:
    return _backwards(np.where(s.truncated, 0.0, s.error), s.discount * s.trace, s.cut)


def _of_the_next_return(s: _Steps) -> Floats:
    """r + gamma (V(s') + A'), as in V-trace: the first step is discounted by gamma alone, and a truncated one is 0."""
    later = _dropped(s)
    onward = np.concatenate([later[..., 1:], np.zeros_like(later[..., :1])], axis=-1)
    return np.where(s.truncated, 0.0, s.error + np.where(s.cut, 0.0, s.discount * onward))


# ------------------------------------------------------------------------------------------------------- the wrong bootstrap
def _bootstrapped(chosen: Callable[[Any, Any, Any], Any]) -> Behaves:
    """gae with another next value, made of (truncated, value, next_value)."""

    def behaves(reward: Any, terminated: Any, truncated: Any, value: Any, next_value: Any, **knobs: Any) -> Any:
        return reference.gae(reward, terminated, truncated, value, chosen(truncated, value, next_value), **knobs)

    return behaves


def _of_the_last_state(truncated: Any, value: Any, next_value: Any) -> Any:
    return np.concatenate([next_value[..., :-1], value[..., -1:]], axis=-1)


def _rolled(truncated: Any, value: Any, next_value: Any) -> Any:
    return np.concatenate([next_value[..., :-1], value[..., :1]], axis=-1)


def _of_the_row(truncated: Any, value: Any, next_value: Any) -> Any:
    return np.concatenate([value[..., 1:], next_value[..., -1:]], axis=-1)


def _lambda_one(*arguments: Any, lambda_: float, discount: Any) -> Any:
    return reference.gae(*arguments, lambda_=1.0, discount=discount)


def _with_value(reward: Any, terminated: Any, truncated: Any, value: Any, next_value: Any, **knobs: Any) -> Any:
    return reference.gae(reward, terminated, truncated, value, next_value, **knobs) + value


def _stale(reward: Any, *rest: Any, **knobs: Any) -> Any:
    return np.zeros_like(reward)


# --------------------------------------------------------------------------------------------------- what precision is lost
def _single_discount(operator: str) -> Behaves:
    def behaves(*arguments: Any, discount: Any, **knobs: Any) -> Any:
        return getattr(reference, operator)(*arguments, discount=in_float32(discount), **knobs)

    return behaves


def _short_series(operator: str) -> Behaves:
    """Weights below 1e-7 are left out of the sum over later steps; where all are, there is nothing to take the first of."""

    def behaves(*arguments: Any, discount: Any, **knobs: Any) -> Any:
        decay = np.asarray(discount, dtype=np.float64) * knobs.get("lambda_", 1.0)
        if decay.ndim or decay == 1.0:
            return getattr(reference, operator)(*arguments, discount=discount, **knobs)
        if decay < 1e-7:
            raise IndexError("index 0 is out of bounds for dimension 0 with size 0")
        longest = int(np.log(1e-7) / np.log(decay))
        return _windowed(operator, longest, arguments, float(discount), knobs)

    return behaves


def _windowed(operator: str, longest: int, arguments: tuple[Any, ...], discount: float, knobs: dict[str, Any]) -> Any:
    """The return whose sum of one-step errors, each relative to a value of 0 or to V, ends after `longest` steps."""
    reward, terminated, truncated, *values = arguments
    g, trace = discount, knobs.get("lambda_", 1.0)
    after = np.where(terminated, 0.0, values[-1])
    cut = terminated | truncated
    stops = cut | (np.arange(np.shape(reward)[-1]) == np.shape(reward)[-1] - 1)
    own = values[0] if operator == "gae" else 0.0
    kept = 1.0 if operator == "gae" else np.where(stops, 1.0, 1.0 - trace)
    term, out = reward + g * kept * after - own, np.zeros(np.shape(reward))
    for t in range(out.shape[-1]):
        going = np.ones(out.shape[:-1], dtype=bool)
        for k in range(t, min(t + longest, out.shape[-1])):
            out[..., t] += np.where(going, (g * trace) ** (k - t) * term[..., k], 0.0)
            going = going & ~cut[..., k]
    return out


def _bug(mistake: str, story: str, seen: str, behaves: Behaves) -> Bug:
    return Bug("gae", mistake, story, seen, behaves)


GEOMETRIC = "torchrl-geometric-series-below-1e-7"
SINGLE = "torchrl-discount-in-float32"

BUGS = (
    _bug(
        "bootstrap-counted-twice",
        "the backward scan starts from V(s_T), which the last TD error already contains",
        "double-count-window-bootstrap",
        _recursion(_twice),
    ),
    _bug(
        "recursion-not-masked",
        "only the TD error is masked: advantages of the next episode flow back over its start",
        "",
        _recursion(lambda s: _backwards(s.error, s.discount * s.trace, s.cut & False)),
    ),
    _bug(
        "discount-missing-in-the-trace",
        "later TD errors are weighted by lambda^k instead of (gamma lambda)^k",
        "",
        _recursion(lambda s: _backwards(s.error, np.full_like(s.discount, s.trace), s.cut)),
    ),
    _bug(
        "trace-assigned-not-decayed",
        "traces are set to gamma lambda after each step instead of being multiplied by it",
        "sarsa-lambda-trace-assigned-not-decayed",
        _recursion(_assigned),
    ),
    _bug(
        "trace-decayed-with-the-next-discount",
        "traces decay by the discount after the step: 0 at a termination, whose reward credits nobody",
        "td-lambda-trace-decayed-with-next-discount",
        _recursion(_next_discount),
    ),
    _bug(
        "truncated-step-zeroed",
        "the TD error of a truncated step is multiplied by 0: its reward counts nowhere",
        "brax-truncated-error-zeroed",
        _recursion(_dropped),
    ),
    _bug(
        "advantage-of-the-next-return",
        "r + gamma (V' + A') - V: lambda is missing once; truncated steps get 0",
        "brax-truncated-error-zeroed",
        _recursion(_of_the_next_return),
    ),
    _bug(
        "final-bootstrap-of-the-same-state",
        "the rollout ends with V(s_(T-1)) of the last forward pass instead of V(s_T)",
        "gae-bootstrap-value-of-wrong-state vtrace-scan-after-shuffle",
        _bootstrapped(_of_the_last_state),
    ),
    _bug(
        "time-limit-bootstrap-of-the-same-state",
        "a truncated step is bootstrapped with V(s_t), the value before the step",
        "rsl-rl-timeout-bootstrap-current-value embodichain-bootstrap-pre-action-value",
        _bootstrapped(lambda truncated, value, next_value: np.where(truncated, value, next_value)),
    ),
    _bug(
        "bootstrap-of-the-state-after-the-reset",
        "value[t + 1] is read for the next value, at a truncation that of the next episode's first state",
        "",
        _bootstrapped(_of_the_row),
    ),
    _bug(
        "final-bootstrap-of-the-first-state",
        "the values are rolled by one: the last step is bootstrapped with the value at index 0",
        "",
        _bootstrapped(_rolled),
    ),
    _bug("lambda-ignored", "TD errors are weighted by gamma^k instead of (gamma lambda)^k", "", _lambda_one),
    _bug("return-for-the-advantage", "V is not subtracted: what comes back is the lambda-return", "", _with_value),
    _bug(
        "stale-storage-returned",
        "the advantages are read from their storage before they are written to it: 0",
        "gae-returns-from-stale-storage",
        _stale,
    ),
    _bug(
        "discount-rounded-to-float32",
        "the discount passes through float32, as Python numbers do that meet an integer tensor of torch",
        SINGLE,
        _single_discount("gae"),
    ),
    *(
        Bug(
            operator,
            "decays-below-1e-7-dropped",
            "weights below 1e-7 are dropped from the geometric series; none is left where gamma lambda is 0: it raises",
            GEOMETRIC,
            _short_series(operator),
        )
        for operator in RETURNS
        if operator in ("discounted_returns", "lambda_returns", "gae")
    ),
)
