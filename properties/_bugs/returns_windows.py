"""Bugs of the returns that have a window or a mixture of windows: n steps, lambda, a margin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import reference
from properties._bounds import Floats
from properties._bugs._record import Behaves, Bug
from properties._bugs.returns import in_float32


# ----------------------------------------------------------------------------------------------------------------- n steps
def _windows(
    weight: Callable[[Any, int, int], Any] = lambda g, length, n: np.prod(g),
    state: Callable[[int, int], int] = lambda start, last: last,
    flag: Callable[[int, int], int] = lambda start, last: last,
) -> Behaves:
    """n-step returns from each window: its bootstrap's weight, and of which of its steps are the next value and the flag."""

    def behaves(reward: Any, terminated: Any, truncated: Any, next_value: Any, *, n: int, discount: Any) -> Floats:
        shape = np.shape(reward)
        g = np.broadcast_to(np.asarray(discount, dtype=np.float64), shape)
        gain = np.array(reference.n_step_returns(reward, terminated, truncated, np.zeros_like(next_value), n=n, discount=discount))
        for *row, start in np.ndindex(shape):
            last = _last(terminated[tuple(row)] | truncated[tuple(row)], start, n)
            if not terminated[(*row, flag(start, last))]:
                decay = weight(g[tuple(row)][start : last + 1], last + 1 - start, n)
                gain[(*row, start)] += decay * next_value[(*row, state(start, last))]
        return gain

    return behaves


def _last(cut: Any, start: int, n: int) -> int:
    """The last step of the window from `start`."""
    end = min(start + n, len(cut)) - 1
    return next((t for t in range(start, end) if cut[t]), end)


def _unseen(operator: str) -> Behaves:
    """Windows run over every flag; a terminated step's own next value is 0."""

    def behaves(reward: Any, terminated: Any, truncated: Any, next_value: Any, **knobs: Any) -> Any:
        never = terminated & False
        return getattr(reference, operator)(reward, never, never, np.where(terminated, 0.0, next_value), **knobs)

    return behaves


def _first_flag(operator: str) -> Behaves:
    """Windows run over every flag but that of their own first step; nothing later is masked."""

    def behaves(reward: Any, terminated: Any, truncated: Any, next_value: Any, **knobs: Any) -> Any:
        never, every = terminated & False, terminated | True
        stopped = getattr(reference, operator)(reward, terminated, every, next_value, **knobs)
        onward = getattr(reference, operator)(reward, never, never, next_value, **knobs)
        return np.where(terminated | truncated, stopped, onward)

    return behaves


def _wrapped(*arguments: Any, n: int, discount: Any) -> Any:
    """The row is a ring: a window that reaches the end goes on with the oldest steps."""
    steps = np.shape(arguments[0])[-1]
    twice = [np.concatenate([a, a], axis=-1) for a in arguments]
    g = np.concatenate([discount, discount], axis=-1) if np.ndim(discount) else discount
    return reference.n_step_returns(*twice, n=min(n, steps), discount=g)[..., :steps]


def _longer(*arguments: Any, n: int, discount: Any) -> Any:
    return reference.n_step_returns(*arguments, n=n + 1, discount=discount)


# -------------------------------------------------------------------------------------------------------- lambda and margin
def _tail_dropped(*arguments: Any, lambda_: float, discount: Any, margin: int | None = None) -> Any:
    """Less lambda^N times the longest return."""
    steps = np.shape(arguments[0])[-1]
    n = steps if margin is None else 1 + margin
    whole = reference.margin_returns(*arguments, lambda_=lambda_, margin=n - 1, discount=discount)
    longest = reference.n_step_returns(*arguments, n=n, discount=discount)
    return whole - lambda_ ** _lengths(arguments[1] | arguments[2], n) * longest


def _lengths(cut: Any, n: int) -> Floats:
    """How many steps the window from each step has."""
    rows = np.reshape(cut, (-1, np.shape(cut)[-1]))
    found = [[_last(row, t, n) + 1.0 - t for t in range(len(row))] for row in rows]
    return np.reshape(np.array(found), np.shape(cut))


def _lambda_unmasked(reward: Any, terminated: Any, truncated: Any, next_value: Any, *, lambda_: Any, discount: Any) -> Any:
    """R = r + gamma (lambda R' + (1 - lambda) (1 - d) V')."""
    g = np.broadcast_to(np.asarray(discount, dtype=np.float64), np.shape(reward))
    after = np.where(terminated, 0.0, next_value)
    out, carry = np.zeros(np.shape(reward)), after[..., -1]
    for t in range(out.shape[-1] - 1, -1, -1):
        carry = reward[..., t] + g[..., t] * ((1 - lambda_) * after[..., t] + lambda_ * carry)
        out[..., t] = carry
    return out


def _complement(operator: str) -> Behaves:
    def behaves(*arguments: Any, lambda_: float, **knobs: Any) -> Any:
        return getattr(reference, operator)(*arguments, lambda_=1.0 - lambda_, **knobs)

    return behaves


def _bootstrapped(chosen: Callable[..., Any]) -> Behaves:
    """lambda-returns with another next value, made of (terminated, truncated, next_value, lambda)."""

    def behaves(reward: Any, terminated: Any, truncated: Any, next_value: Any, *, lambda_: float, discount: Any) -> Any:
        after = chosen(terminated, truncated, next_value, lambda_)
        return reference.lambda_returns(reward, terminated, truncated, after, lambda_=lambda_, discount=discount)

    return behaves


def _one_later(terminated: Any, truncated: Any, next_value: Any, lambda_: float) -> Any:
    return np.concatenate([next_value[..., 1:], next_value[..., -1:]], axis=-1)


def _carry_of_zero(terminated: Any, truncated: Any, next_value: Any, lambda_: float) -> Any:
    """At the unfinished end (1 - lambda) V' + lambda 0."""
    last = np.arange(np.shape(next_value)[-1]) == np.shape(next_value)[-1] - 1
    return np.where(last & ~truncated & ~terminated, (1 - lambda_) * np.where(terminated, 0.0, next_value), next_value)


def _cut_to_zero(terminated: Any, truncated: Any, next_value: Any, lambda_: float) -> Any:
    """At a truncation (1 - lambda) V' + lambda 0."""
    return np.where(truncated & ~terminated, (1 - lambda_) * np.where(terminated, 0.0, next_value), next_value)


def _rolled(reward: Any, terminated: Any, truncated: Any, next_value: Any, *, lambda_: float, discount: Any) -> Any:
    """Rewards are weighted by products of gamma from t, next values by products from t + 1."""
    knobs = {"lambda_": lambda_}
    after = np.where(terminated, 0.0, next_value)
    late = np.roll(discount, -1, axis=-1) if np.ndim(discount) else discount
    gain = reference.lambda_returns(reward, terminated, truncated, np.zeros_like(after), discount=discount, **knobs)
    return gain + reference.lambda_returns(np.zeros_like(reward), terminated, truncated, after, discount=late, **knobs)


def _single(reward: Any, terminated: Any, truncated: Any, next_value: Any, *, lambda_: float, discount: Any) -> Any:
    r, after, trace, g = (in_float32(a) for a in (reward, next_value, lambda_, discount))
    return reference.lambda_returns(r, terminated, truncated, after, lambda_=trace, discount=g)


def _longest(*arguments: Any, lambda_: float, margin: int, discount: Any) -> Any:
    return reference.n_step_returns(*arguments, n=1 + margin, discount=discount)


def _short_margin(*arguments: Any, margin: int, **knobs: Any) -> Any:
    return reference.margin_returns(*arguments, margin=max(margin - 1, 0), **knobs)


TRAX = "trax-td-k-terminal-inside-the-margin"


def _n_step(mistake: str, story: str, seen: str, behaves: Behaves) -> Bug:
    return Bug("n_step_returns", mistake, story, seen, behaves)


def _lambda(mistake: str, story: str, seen: str, behaves: Behaves) -> Bug:
    return Bug("lambda_returns", mistake, story, seen, behaves)


def _margin(mistake: str, story: str, seen: str, behaves: Behaves) -> Bug:
    return Bug("margin_returns", mistake, story, seen, behaves)


MISSED = "terminal-inside-the-window-missed", "flags inside a window are not read: rewards of the next episode leak in"
FIRST = "flag-of-the-first-step-only", "of a window's flags only its first step's is read: no later one cuts or masks (td_k)"
TAIL = "tail-weight-dropped", "the weights (1 - lambda) lambda^(n-1) lack the last return's lambda^(N-1): they sum to 1 - lambda^N"
COMPLEMENT = "lambda-for-its-complement", "lambda and 1 - lambda are exchanged: lambda = 1 is the one-step target"

BUGS = (
    _n_step(
        "gamma-for-gamma-to-the-n",
        "the bootstrap is discounted by gamma instead of gamma^n",
        "fasttd3-nstep-gamma",
        _windows(weight=lambda g, length, n: g[-1]),
    ),
    _n_step(
        "short-window-full-discount",
        "a window shortened by a cut or the end still has its bootstrap times gamma^n",
        "nstep-truncated-window-full-discount",
        _windows(weight=lambda g, length, n: np.prod(g) * g[-1] ** (n - length)),
    ),
    _n_step(
        "bootstrap-not-discounted",
        "the bootstrap's exponent is filled with the terminal flag: gamma^0 wherever it counts",
        "nstep-interval-filled-with-terminal",
        _windows(weight=lambda g, length, n: 1.0),
    ),
    _n_step(
        "next-value-of-the-first-step",
        "the bootstrap is the value after the window's first step, discounted as if after its last",
        "",
        _windows(state=lambda start, last: start),
    ),
    _n_step(
        "terminated-of-the-first-step",
        "the window stops where it should, but its bootstrap is masked by the first step's flag",
        "torchrl-multistep-keeps-the-first-flag",
        _windows(flag=lambda start, last: start),
    ),
    _n_step(*MISSED, "rainbow-nonterminal-only-last-of-window", _unseen("n_step_returns")),
    _n_step(*FIRST, TRAX, _first_flag("n_step_returns")),
    _n_step("window-one-step-too-long", "windows of n + 1 steps", "", _longer),
    _n_step(
        "window-wraps-round-the-end",
        "a window at the end of a full ring buffer goes on with its oldest steps",
        "fasttd3-nstep-gamma",
        _wrapped,
    ),
    _lambda(*TAIL, "lambda-return-truncated-tail-weight", _tail_dropped),
    _lambda(*COMPLEMENT, "", _complement("lambda_returns")),
    _lambda(
        "recursion-not-masked",
        "only the one-step bootstrap is masked: lambda G_(t+1) runs across episode ends",
        "q-lambda-recursion-not-masked",
        _lambda_unmasked,
    ),
    _lambda(
        "bootstrap-of-the-state-after-next",
        "the value cached one step later is read: V(s_(t+2)) for V(s_(t+1)), the final one twice",
        "pqn-cached-q-of-next-state",
        _bootstrapped(_one_later),
    ),
    _lambda(
        "recursion-starts-at-zero",
        "the backward scan starts from 0: the last value has weight 1 - lambda instead of 1",
        "",
        _bootstrapped(_carry_of_zero),
    ),
    _lambda(
        "truncation-loses-lambda",
        "a truncation zeroes lambda G_(t+1) and leaves the bootstrap its weight 1 - lambda instead of 1",
        "",
        _bootstrapped(_cut_to_zero),
    ),
    _lambda(
        "next-values-take-the-next-discount",
        "of a discount for each step, rewards get the products from t, next values those from t + 1",
        "td-lambda-tensor-gamma-vectorised",
        _rolled,
    ),
    _lambda("computed-in-float32", "a float64 operator that works in float32", "", _single),
    _margin(*MISSED, "", _unseen("margin_returns")),
    _margin(*FIRST, TRAX, _first_flag("margin_returns")),
    _margin(*TAIL, "", _tail_dropped),
    _margin(*COMPLEMENT, "", _complement("margin_returns")),
    _margin("longest-return-for-the-mixture", "the return of 1 + margin steps, whatever lambda is", "", _longest),
    _margin("window-one-step-too-short", "margin counts the first step, too: windows of max(margin, 1) steps", "", _short_margin),
)
