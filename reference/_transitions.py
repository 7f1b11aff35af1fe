"""The transition table, dense [S, A, S] or CSR [S*A, S]: how it is checked, and the few ways in which it is used."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array, csr_matrix, issparse

from reference._checks import (
    FloatArray,
    IntArray,
    as_array,
    non_negative,
    probability_rows,
    real_array,
    same_shape,
    scalar,
    sums_to_one,
    unit_roundoff,
)

Transition: TypeAlias = FloatArray | csr_array
TransitionLike: TypeAlias = ArrayLike | csr_array | csr_matrix


def process(transition: TransitionLike, reward: ArrayLike) -> tuple[Transition, FloatArray]:
    """Return both arguments in float64 if they are a Markov decision process: shapes, probabilities, no NaN."""
    payoff = real_array("reward", reward)
    if payoff.ndim != 2 or payoff.size == 0:
        raise ValueError(f"reward must be [S, A] with at least one state and one action; got shape {payoff.shape}")
    if issparse(transition):
        return _csr(transition, payoff.shape), payoff
    dense = non_negative("transition", transition)
    _shape(dense.shape, payoff.shape, payoff.shape + payoff.shape[:1], "[S, A, S]")
    rows = dense.reshape(payoff.size, -1)
    _rows_sum_to_one(rows, rows.sum(axis=1), payoff.shape, unit_roundoff(transition))
    return dense, payoff


def state_values(name: str, value: ArrayLike, reward: FloatArray) -> FloatArray:
    """Return the argument in float64 if it has one number per state."""
    array = real_array(name, value)
    if array.shape != reward.shape[:1]:
        raise ValueError(f"{name} has shape {array.shape}, reward has shape {reward.shape}; {name} must be [S]")
    return array


def distribution(name: str, value: ArrayLike, other: str, shape: tuple[int, ...]) -> FloatArray:
    """Return the argument in float64 if it has one distribution over the actions per state."""
    same_shape(name, as_array(name, value), other, shape)
    return probability_rows(name, value)


def expected_next(transition: Transition, value: FloatArray) -> FloatArray:
    """Σ_s' P(s'|s,a) · value(s'), [S, A]. A successor of probability 0 is not read, so its value may be infinite."""
    with np.errstate(invalid="ignore", over="ignore"):
        if not isinstance(transition, np.ndarray):
            return np.asarray(transition @ value).reshape(len(value), -1)
        if np.isfinite(value).all():
            return np.asarray(transition.reshape(-1, len(value)) @ value).reshape(len(value), -1)
        return np.asarray(np.where(transition > 0, transition * value, 0.0).sum(axis=-1))


def backed_up(transition: Transition, reward: FloatArray, value: FloatArray, discount: float) -> FloatArray:
    """R + γ·P·value, [S, A]."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.asarray(reward + discount * expected_next(transition, value))


def lookahead(value: ArrayLike, transition: TransitionLike, reward: ArrayLike, discount: float) -> FloatArray:
    """R + γ·P·V, [S, A], from unchecked arguments."""
    matrix, payoff = process(transition, reward)
    state_value = state_values("value", value, payoff)
    return backed_up(matrix, payoff, state_value, scalar("discount", discount, "[0, 1]"))


def policy_mean(policy: FloatArray, q: FloatArray) -> FloatArray:
    """Σ_a π(a|s) · q(s,a), [S]. An action of probability 0 is not read."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.asarray(np.where(policy > 0, policy * q, 0.0).sum(axis=-1))


def successors(transition: Transition) -> tuple[IntArray, FloatArray]:
    """The states that can follow each row s*A + a and their probabilities, [S*A, k]; shorter rows end in zeros."""
    sparse = csr_array(transition.reshape(-1, len(transition))) if isinstance(transition, np.ndarray) else transition
    count = np.diff(sparse.indptr)
    stored = np.arange(count.max()) < count[:, None]
    state, probability = np.zeros(stored.shape, dtype=np.int64), np.zeros(stored.shape)
    state[stored], probability[stored] = sparse.indices, sparse.data
    return state, probability


def _csr(transition: csr_array | csr_matrix, shape: tuple[int, ...]) -> csr_array:
    """A checked copy in float64, without stored zeros: 0 · inf would be read."""
    if transition.format != "csr":
        raise ValueError(f"transition must be dense [S, A, S] or CSR [S*A, S]; got {type(transition).__name__}")
    _shape(transition.shape, shape, (shape[0] * shape[1], shape[0]), "CSR [S*A, S]")
    if transition.data.dtype.kind not in "fiu":
        raise ValueError(f"transition must be real numbers; got {transition.data.dtype}")
    data = transition.data.astype(np.float64)
    checked = csr_array((data, transition.indices, transition.indptr), shape=transition.shape, copy=True)
    for rule, bad in ("not be NaN", np.isnan(data)), ("not be negative", data < 0), ("be finite", np.isinf(data)):
        if bad.any():
            first = int(bad.argmax())
            row = int(np.searchsorted(checked.indptr, first, side="right")) - 1
            where = f"transition[{row}, {checked.indices[first]}]"
            raise ValueError(f"transition must {rule}; got {data[first]} at {where}")
    _rows_sum_to_one(checked, np.asarray(checked.sum(axis=1)), checked.shape[:1], unit_roundoff(transition.data))
    checked.eliminate_zeros()
    return checked


def _shape(found: tuple[int, ...], reward: tuple[int, ...], due: tuple[int, ...], words: str) -> None:
    if found != due:
        raise ValueError(f"transition has shape {found}, reward has shape {reward}; transition must be {words}")


def _rows_sum_to_one(rows: FloatArray | csr_array, sums: FloatArray, shape: tuple[int, ...], roundoff: float) -> None:
    """Judge the exact sums, but add up exactly only the rows whose plain sum is in doubt: there may be millions."""
    length = int(rows.shape[1])
    for row in np.flatnonzero(np.abs(sums - 1.0) > (length + 1) * roundoff):
        entries = rows[row] if isinstance(rows, np.ndarray) else rows.data[rows.indptr[row] : rows.indptr[row + 1]]
        sums[row] = math.fsum(entries)
    sums_to_one("transition", sums.reshape(shape), length, roundoff)
