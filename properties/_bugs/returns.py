"""Bugs that every return and advantage can have, those of discounted returns, and the questions about all five operators."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

import reference
from properties._bounds import Floats
from properties._bugs._record import Behaves, Bug, Probe, Slope, flags, primes, probe
from properties._claim import Call

RETURNS = ("discounted_returns", "n_step_returns", "lambda_returns", "margin_returns", "gae")


# ------------------------------------------------------------------------------------ other flags, rewards or axes than meant
def _on(change: Callable[..., tuple[Any, ...]]) -> Callable[[str], Behaves]:
    """The operator on what `change` makes of (reward, terminated, truncated); its value and next value stay."""

    def of(operator: str) -> Behaves:
        def behaves(reward: Any, terminated: Any, truncated: Any, *values: Any, **knobs: Any) -> Any:
            return getattr(reference, operator)(*change(reward, terminated, truncated), *values, **knobs)

        return behaves

    return of


def _from_next(array: Any) -> Any:
    """What belongs to the step after; the last one keeps its own."""
    return np.concatenate([array[..., 1:], array[..., -1:]], axis=-1)


def _from_previous(array: Any) -> Any:
    """What belongs to the step before; nothing at the first."""
    return np.concatenate([np.zeros_like(array[..., :1]), array[..., :-1]], axis=-1)


def in_float32(number: Any) -> Any:
    """Rounded to float32, and float64 again."""
    single = np.asarray(number, dtype=np.float32).astype(np.float64)
    return single if single.ndim else float(single)


def _ended(reward: Any, terminated: Any, truncated: Any) -> tuple[Any, ...]:
    last = np.arange(np.shape(reward)[-1]) == np.shape(reward)[-1] - 1
    return reward, terminated | (last & ~truncated), truncated


def _masked(operator: str) -> Behaves:
    """gamma (1 - terminated) V': a product where the value must not be read; in a recursion NaN passes every cut."""

    def behaves(reward: Any, terminated: Any, truncated: Any, *values: Any, discount: Any, **knobs: Any) -> Any:
        weight = np.asarray(discount, dtype=np.float64) * ~terminated
        cut = terminated | truncated
        found = getattr(reference, operator)(reward, cut & False, cut, *values, discount=weight, **knobs)
        if operator in ("n_step_returns", "margin_returns"):
            return found
        later = np.flip(np.logical_or.accumulate(np.flip(np.isnan(found), axis=-1), axis=-1), axis=-1)
        return np.where(later, np.nan, found)

    return behaves


def _broadcast(operator: str) -> Behaves:
    """Shapes that differ are broadcast."""

    def behaves(*arguments: Any, discount: Any, **knobs: Any) -> Any:
        *same, g = np.broadcast_arrays(*arguments, np.asarray(discount, dtype=np.float64))
        return getattr(reference, operator)(*same, discount=g, **knobs)

    return behaves


def _first_axis(operator: str) -> Behaves:
    """The recursion runs over axis 0."""

    def behaves(*arguments: Any, discount: Any, **knobs: Any) -> Any:
        *turned, g = (np.moveaxis(a, 0, -1) if np.ndim(a) else a for a in (*arguments, discount))
        return np.moveaxis(getattr(reference, operator)(*turned, discount=g, **knobs), -1, 0)

    return behaves


def _squeezed(operator: str) -> Behaves:
    return lambda *arguments, **knobs: np.squeeze(getattr(reference, operator)(*arguments, **knobs))


def _slope(operator: str) -> Behaves:
    """The true derivative; the operator is linear in rewards and values."""
    function = getattr(reference, operator)
    names = list(inspect.signature(function).parameters)

    def behaves(argument: int | str, *arguments: Any, cotangent: Any = None, **knobs: Any) -> Floats:
        place = argument if isinstance(argument, int) else names.index(argument)
        arguments = tuple(a if np.asarray(a).dtype == bool else np.zeros_like(a) for a in arguments)
        out, weight = np.zeros(np.shape(arguments[place])), 1.0 if cotangent is None else cotangent
        for each in np.ndindex(out.shape):
            unit = np.zeros(out.shape)
            unit[each] = 1.0
            out[each] = np.sum(weight * function(*arguments[:place], unit, *arguments[place + 1 :], **knobs))
        return out

    return behaves


ANYWHERE: tuple[tuple[str, str, Callable[[str], Behaves]], ...] = (
    (
        "done-is-terminated-or-truncated",
        "a time limit forbids the bootstrap as if the episode had terminated",
        _on(lambda r, ended, limit: (r, ended | limit, limit)),
    ),
    (
        "recursion-runs-over-truncation",
        "a truncation does not cut: what comes later in the row, of the next episode, is added",
        _on(lambda r, ended, limit: (r, ended, limit & False)),
    ),
    (
        "terminal-bootstrapped",
        "a terminated step is bootstrapped like a truncated one",
        _on(lambda r, ended, limit: (r, ended & False, ended | limit)),
    ),
    (
        "truncation-overrides-termination",
        "a step that both terminates and is truncated is bootstrapped",
        _on(lambda r, ended, limit: (r, ended & ~limit, limit)),
    ),
    (
        "end-of-data-taken-for-terminal",
        "an episode that is unfinished at the last index gets no bootstrap",
        _on(_ended),
    ),
    (
        "flags-of-the-next-step",
        "done[t + 1] is read for done[t]: cut one step early, bootstrapped at the terminal step",
        _on(lambda r, ended, limit: (r, _from_next(ended), _from_next(limit))),
    ),
    (
        "flags-of-the-previous-step",
        "the flag before step t is read for the one after it: cut one step late",
        _on(lambda r, ended, limit: (r, _from_previous(ended), _from_previous(limit))),
    ),
    (
        "rewards-shifted",
        "each step is credited with the reward received before it",
        _on(lambda r, ended, limit: (_from_previous(r), ended, limit)),
    ),
    (
        "zero-times-infinity",
        "the next value is multiplied by 1 - terminated: an infinite one makes a terminal step NaN",
        _masked,
    ),
    ("column-broadcast", "[B] against [B, 1] is broadcast to [B, B] instead of being refused", _broadcast),
    ("time-axis-first", "the recursion runs over the first axis, not the last: batch and time are confused", _first_axis),
)
"""Mistake, story, and what it makes of an operator."""

SEEN = {
    "gae/done-is-terminated-or-truncated": "gae-terminated-read-from-done-key gae-time-limit-flag-zeroes-bootstrap",
    "lambda_returns/done-is-terminated-or-truncated": "gae-terminated-read-from-done-key",
    "discounted_returns/done-is-terminated-or-truncated": "bad-masks-argument-ignored steptype-terminal-vs-timeout-priority",
    "n_step_returns/done-is-terminated-or-truncated": "runner-terminal-on-time-limit",
    "gae/recursion-runs-over-truncation": "skrl-truncation-not-episode-end gae-time-limit-flag-zeroes-bootstrap",
    "discounted_returns/recursion-runs-over-truncation": "calql-returns-episode-boundary",
    "gae/flags-of-the-next-step": "ppo-gae-done-next-index gae-nonterminal-uses-done-of-wrong-step",
    "gae/rewards-shifted": "spinningup-rewards-shifted",
    "discounted_returns/zero-times-infinity": "rlax-returns-multiply-the-mask torchrl-estimators-multiply-the-mask",
    "n_step_returns/zero-times-infinity": "rlax-returns-multiply-the-mask",
    "lambda_returns/zero-times-infinity": "rlax-returns-multiply-the-mask torchrl-estimators-multiply-the-mask",
    "margin_returns/zero-times-infinity": "rlax-returns-multiply-the-mask",
    "gae/zero-times-infinity": "rlax-returns-multiply-the-mask torchrl-estimators-multiply-the-mask",
    "lambda_returns/column-broadcast": "lambda-return-shape-broadcast",
}
FLOWS = {
    "gae": "a2c-critic-loss-through-gae torchrl-estimators-are-differentiable rlax-returns-are-differentiable",
    "discounted_returns": "torchrl-estimators-are-differentiable rlax-returns-are-differentiable",
    "lambda_returns": "torchrl-estimators-are-differentiable rlax-returns-are-differentiable",
    "n_step_returns": "rlax-returns-are-differentiable",
    "margin_returns": "rlax-returns-are-differentiable",
}
UNDETACHED = "the result is not detached: gradients flow into rewards and values"


# ------------------------------------------------------------------------------------------------- discounted returns alone
def _return_late(reward: Any, *rest: Any, **knobs: Any) -> Any:
    return reference.discounted_returns(reward, *rest, **knobs) - reward


def _never_cut(reward: Any, terminated: Any, truncated: Any, bootstrap_value: Any, **knobs: Any) -> Any:
    never, tail = terminated & False, np.where(terminated, 0.0, bootstrap_value)
    return reference.discounted_returns(reward, never, never, tail, **knobs)


def _flag_carried(reward: Any, terminated: Any, truncated: Any, bootstrap_value: Any, *, discount: Any) -> Any:
    """carry = done where carry *= 1 - done is meant; what is bootstrapped is right."""
    every = truncated | True
    one_step = reference.discounted_returns(reward, terminated, every, bootstrap_value, discount=discount)
    stopped = truncated | (np.arange(np.shape(reward)[-1]) == np.shape(reward)[-1] - 1)
    return np.where(~terminated & stopped, one_step, reward + np.asarray(discount) * terminated)


def _from_the_first_step(reward: Any, *rest: Any, discount: Any) -> Any:
    gain = reference.discounted_returns(reward, *rest, discount=discount)
    g = np.array(np.broadcast_to(np.asarray(discount, dtype=np.float64), np.shape(reward)))
    return gain * np.cumprod(np.concatenate([np.ones_like(g[..., :1]), g[..., :-1]], axis=-1), axis=-1)


def _first_for_all(reward: Any, terminated: Any, truncated: Any, *rest: Any, **knobs: Any) -> Any:
    gain = np.array(reference.discounted_returns(reward, terminated, truncated, *rest, **knobs))
    for t in range(1, gain.shape[-1]):
        begins = (terminated | truncated)[..., t - 1]
        gain[..., t] = np.where(begins, gain[..., t], gain[..., t - 1])
    return gain


ONLY_DISCOUNTED = (
    Bug(
        "discounted_returns",
        "current-reward-dropped",
        "the return-to-go starts with the next reward: total minus cumulated sum",
        "rtg-excludes-current-reward",
        _return_late,
    ),
    Bug(
        "discounted_returns",
        "recursion-not-masked",
        "no flag cuts the sum: rewards of the next episodes are added",
        "",
        _never_cut,
    ),
    Bug(
        "discounted_returns",
        "carry-overwritten-by-the-flag",
        "the carried return is set to float(done) instead of being multiplied by 1 - done",
        "reward-norm-return-reset-to-done",
        _flag_carried,
    ),
    Bug(
        "discounted_returns",
        "discounted-from-the-first-step",
        "rewards are discounted from the first index of the row, not from step t",
        "",
        _from_the_first_step,
    ),
    Bug(
        "discounted_returns",
        "return-of-the-first-step-for-all",
        "every step of an episode gets the return of its first step",
        "reinforce-uses-G0-for-all-steps",
        _first_for_all,
    ),
)

BUGS = (
    *(Bug(op, slug, story, SEEN.get(f"{op}/{slug}", ""), of(op)) for op in RETURNS for slug, story, of in ANYWHERE),
    *(
        Bug(op, "squeeze-drops-the-batch-axis", "squeeze() removes every axis of length 1: a batch of one row", seen, _squeezed(op))
        for op, seen in (("gae", "gae-squeeze-drops-batch-axis"), ("discounted_returns", ""))
    ),
    *(Bug(op, "gradient-into-constants", UNDETACHED, seen, _slope(op), derivative=True) for op, seen in FLOWS.items()),
    *ONLY_DISCOUNTED,
)  # fmt: skip

# --------------------------------------------------------------------------------------------------------------- questions
REWARD, VALUE = primes(2, 6), primes(2, 6, after=100)
NEXT_VALUE = primes(2, 6, after=40) * np.array([1.0, -1.0, -1.0, 1.0, -1.0, 1.0])
KNOBS: dict[str, dict[str, Any]] = {
    "discounted_returns": {},
    "n_step_returns": {"n": 3},
    "lambda_returns": {"lambda_": 0.75},
    "margin_returns": {"lambda_": 0.75, "margin": 2},
    "gae": {"lambda_": 0.75},
}
FULL = np.array([1.0, 0.0, 0.0]) / 3


def _asked(operator: str, reward: Any, terminated: Any, truncated: Any, value: Any, next_value: Any, **knobs: Any) -> Call:
    values = (value, next_value) if operator == "gae" else (next_value,)
    return probe(reward, terminated, truncated, *values, **KNOBS[operator] | knobs)


def _questions(operator: str) -> tuple[Probe, ...]:
    """Cuts in the middle and at the end, both at once, infinity, shapes, a discount for each step, full mantissas."""
    never, r, v, w = flags("000"), REWARD[0, :3], VALUE[0, :3], NEXT_VALUE[0, :3]
    wild = np.where(flags("010"), np.inf, w)
    step = np.array([[0.5, 0.25, 0.75], [0.75, 0.5, 0.125]])
    batch = _asked(
        operator, REWARD, flags("001000 000001"), flags("000000 001000"), VALUE, NEXT_VALUE, discount=0.5,
    )  # fmt: skip
    row = _asked(
        operator, REWARD[1], flags("010010"), flags("010001"), VALUE[1], NEXT_VALUE[1], discount=0.5,
    )  # fmt: skip
    return (
        batch,
        row,
        _asked(operator, r, flags("010"), never, v, wild, discount=0.5),
        _asked(operator, r[None], never[None], never[None], v[None], w[None], discount=0.5),
        _asked(operator, r, never, never, v, w[:, None], discount=0.5),
        _asked(operator, REWARD[:, :3], flags("000 001"), flags("000 000"), VALUE[:, :3], NEXT_VALUE[:, :3], discount=step),
        _asked(operator, FULL, never, never, 0 * r, 0 * r, discount=0.5),
        _asked(operator, 0 * r, never, never, 0 * r, w, discount=0.9),
        _asked(operator, 2.0**30 * np.eye(6)[5], flags("000001"), flags("000000"), 0 * VALUE[0], 0 * VALUE[0], discount=2.0**-6),
        Slope(0, row),
        Slope(len(row.arguments) - 1, row),
    )


PROBES: dict[str, tuple[Probe, ...]] = {operator: _questions(operator) for operator in RETURNS}

OPEN = {
    "offpolicy-trace-ratio-twice": "no operator of the contract has importance ratios in a trace",
    "emphatic-followon-current-rho": "no such operator in the contract: the follow-on trace of emphatic TD",
    "bootstrap-value-half-batch-index": "a sampler's: halves of a batch are joined where it is collected, before any operator",
}
