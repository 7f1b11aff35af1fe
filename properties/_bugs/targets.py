"""Bugs that any one-step target can have, and the questions about all of them; each one's own are in the files beside this one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import reference
from properties._bounds import Floats
from properties._bugs._record import Bug, Probe, Slope, flags, probe

Target = Callable[..., Any]


def bootstrapped(following: Target) -> Target:
    """r + gamma (1 - terminated) `following`, which is wrong."""

    def target(reward: Any, terminated: Any, *after: Any, discount: Any, **knobs: Any) -> Any:
        reference.value_target(reward, terminated, np.zeros_like(reward), discount=discount)  # which checks them
        with np.errstate(all="ignore"):
            return np.where(terminated, reward, reward + discount * following(*after, **knobs))

    return target


def entry_at(row: Any, index: Any) -> Floats:
    return np.asarray(np.take_along_axis(row, index[..., None], axis=-1)[..., 0])


def first_best(row: Any) -> Any:
    """The first maximiser, one-hot."""
    return np.arange(row.shape[-1]) == row.argmax(axis=-1)[..., None]


# ------------------------------------------------------------------------------------------------- mistakes of any target
TARGETS = (
    "value_target", "q_learning_target", "sarsa_target", "expected_sarsa_target", "double_q_target", "clipped_double_target",
    "soft_target", "sampled_target",
)  # fmt: skip


def assembled(name: str, assemble: Target) -> Target:
    """The right next value, wrongly put together with reward, flag and discount."""

    def target(reward: Any, terminated: Any, *after: Any, discount: Any, **knobs: Any) -> Any:
        nothing, never = np.zeros_like(reward), np.zeros_like(terminated)
        following = getattr(reference, name)(nothing, never, *after, discount=1.0, **knobs)
        reference.value_target(reward, terminated, nothing, discount=discount)
        with np.errstate(all="ignore"):
            return assemble(reward, terminated, np.asarray(discount), following)

    return target


ASSEMBLIES: dict[str, tuple[str, Target]] = {
    "discount-missing": (
        "the next value is not discounted: r + V",
        lambda r, ended, g, v: r + np.where(ended, 0.0, v),
    ),
    "terminal-not-masked": (
        "a terminated step bootstraps like any other",
        lambda r, ended, g, v: r + g * v,
    ),
    "terminated-read-as-continuing": (
        "the flag is used as the mask itself: only terminated steps bootstrap",
        lambda r, ended, g, v: np.where(ended, r + g * v, r),
    ),
    "reward-inside-the-mask": (
        "(1 - terminated)(r + gamma V): the last reward of an episode is lost",
        lambda r, ended, g, v: np.where(ended, 0.0, r + g * v),
    ),
    "mask-multiplied": (
        "(1 - terminated) V in place of a selection: an infinite V after the end makes nan",
        lambda r, ended, g, v: r + g * (1.0 - ended) * v,
    ),
}
SEEN = {
    ("value_target", "discount-missing"): "iql-note-without-gamma",
    ("q_learning_target", "discount-missing"): "lecture-q-target-without-gamma",
    ("value_target", "mask-multiplied"): "torchrl-terminal-value-times-zero",
}
ANY = tuple(
    Bug(name, mistake, story, SEEN.get((name, mistake), ""), assembled(name, assemble))
    for name in TARGETS
    for mistake, (story, assemble) in ASSEMBLIES.items()
)


# ---------------------------------------------------------------------------------------------------- gradients that flow
def _lower(q1: Any, q2: Any, *rest: Any, entropy_coefficient: float = 0.0) -> tuple[Any, ...]:
    return q1 <= q2, q1 > q2, np.full(np.shape(q1), -entropy_coefficient)


def _samples(q: Any, *, aggregate: str, temperature: float = 0.0) -> tuple[Any, ...]:
    if aggregate == "log_mean_exp":
        return (reference.log_mean_exp_gradient(q, temperature=temperature),)
    return (first_best(q) if aggregate == "max" else np.full(q.shape, 1.0 / q.shape[-1]),)


SLOPES: dict[str, Target] = {
    "value_target": lambda v: (np.ones(np.shape(v)),),
    "q_learning_target": lambda q: (first_best(q),),
    "sarsa_target": lambda q, action: (np.arange(q.shape[-1]) == action[..., None],),
    "expected_sarsa_target": lambda q, policy: (policy, q),
    "double_q_target": lambda select, evaluate: (np.zeros(select.shape), first_best(select)),
    "clipped_double_target": _lower,
    "soft_target": _lower,
    "sampled_target": _samples,
}
"""What each next value is differentiated to in its arguments."""


def _flowing(name: str) -> Target:
    def slope(argument: int, reward: Any, terminated: Any, *after: Any, cotangent: Any = 1.0, discount: Any, **knobs: Any) -> Any:
        live = np.where(terminated, 0.0, discount) * cotangent
        if argument == 0:
            return np.ones(np.shape(reward)) * cotangent
        part = np.asarray(SLOPES[name](*after, **knobs)[argument - 2], dtype=np.float64)
        return live[..., None] * part if part.ndim > live.ndim else live * part

    return slope


FLOWS = tuple(
    Bug(
        name,
        "gradient-flows-into-the-target",
        "the target is not detached: its derivative in the next values is not 0",
        "torchrl-td0-not-detached" if name == "value_target" else "",
        _flowing(name),
        derivative=True,
    )
    for name in TARGETS
)


BUGS = (*ANY, *FLOWS)


# -------------------------------------------------------------------------------------------------------------- questions
REWARD, ENDED = np.array([2.0, 3.0, 5.0, 7.0]), flags("0101")
VALUE, TWIN = np.array([-11.0, 13.0, 17.0, -19.0]), np.array([-23.0, 29.0, 31.0, 37.0])
ROW = np.array([[-43.0, -41.0, -47.0], [53.0, 59.0, -61.0], [67.0, -71.0, 73.0], [79.0, 83.0, -89.0]])
SELECT = np.array([[101.0, 97.0, 103.0], [107.0, -109.0, 113.0], [-127.0, 139.0, 131.0], [149.0, 151.0, -157.0]])
ACTION = np.array([2, 0, 1, 1])
POLICY = np.array([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.125, 0.25, 0.625], [0.25, 0.25, 0.5]])
LOG_PROB = np.array([-1.5, -2.5, -3.5, 0.75])
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "value_target": (VALUE,),
    "q_learning_target": (ROW,),
    "sarsa_target": (ROW, ACTION),
    "expected_sarsa_target": (ROW, POLICY),
    "double_q_target": (SELECT, ROW),
    "clipped_double_target": (VALUE, TWIN),
    "soft_target": (VALUE, TWIN, LOG_PROB),
    "sampled_target": (ROW,),
}


def _questions(name: str) -> tuple[Probe, ...]:
    """One call; one with infinite values after the end; and the derivative in the last array that has one."""
    after, knobs = ARGUMENTS[name], dict[str, Any]({"entropy_coefficient": 2.0} if name == "soft_target" else {})
    if name == "sampled_target":
        knobs = {"aggregate": "log_mean_exp", "temperature": 16.0}
    call = probe(REWARD, ENDED, *after, discount=0.75, **knobs)
    last = 1 + (1 if name in ("sarsa_target", "expected_sarsa_target") else len(after))
    beyond = probe(REWARD, ENDED, *(_infinite_at_the_end(each) for each in after), discount=0.75, **knobs)
    return call, Slope(last, call), beyond


def _infinite_at_the_end(array: Any) -> Any:
    if array is POLICY or array is ACTION:
        return array
    return np.where(ENDED[..., None] if array.ndim > 1 else ENDED, np.inf, array)


PROBES: dict[str, tuple[Probe, ...]] = {name: _questions(name) for name in TARGETS}
PROBES["value_target"] += (probe(REWARD, ENDED, VALUE[:, None], discount=0.75),)
"""And what it makes of a column."""

_CQL = "no such operator in the contract: the conservative penalty of CQL and its backup"
OPEN: dict[str, str] = {
    "maro-double-dqn-missing-selection": "every call lacks an argument and crashes: nothing tells that from another crash",
    "cql-deterministic-backup-sampled-action": _CQL,
    "cql-next-policy-actions-evaluated-at-next-obs": _CQL,
    "bootstrap-mask-mean-normalisation": "no such operator in the contract: a mean over the samples that an ensemble's mask keeps",
}

_TORCHRL = "https://github.com/pytorch/rl/blob/main/torchrl/objectives/value/functional.py"
