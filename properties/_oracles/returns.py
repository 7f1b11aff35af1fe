"""Returns and advantages as sums over explicit windows, in exact rational arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from properties._oracles import Exact, oracle


def _window(terminated: Any, truncated: Any, start: int) -> int:
    """The last step of the segment that `start` lies in: the first cut at or after it, or the end."""
    last = len(terminated) - 1
    return next((t for t in range(start, last + 1) if terminated[t] or truncated[t]), last)


def _per_row(one: Callable[..., list[Fraction]], *arrays: Any) -> Exact:
    """Apply `one` to every row of the trajectories, each row as a list."""
    shape = np.shape(arrays[0])
    flat = [np.reshape(a, (-1, shape[-1])) for a in arrays]
    exact = [[list(map(Fraction, row.tolist())) if row.dtype.kind == "f" else row.tolist() for row in a] for a in flat]
    out = np.empty((len(exact[0]), shape[-1]), dtype=object)
    for i, row in enumerate(zip(*exact, strict=True)):
        out[i] = one(*row)
    return out.reshape(shape)


@oracle(
    method="fractions.Fraction",
    derivation="Schulman et al. 2016, eq. 16: the sum over l of (gamma lambda)^l delta_(t+l), to the end of the segment",
    identities="lambda = 0 gives delta; a single step gives delta",
)
def advantages_by_sum(
    reward: Any, terminated: Any, truncated: Any, value: Any, next_value: Any, *, lambda_: float, discount: float
) -> Exact:
    """GAE without recursion: for each t, the sum of (gamma lambda)^l delta_(t+l) over the rest of its segment."""
    g, lam = Fraction(discount), Fraction(lambda_)

    def one(r: Any, term: Any, trunc: Any, v: Any, nv: Any) -> list[Fraction]:
        delta = [r[t] + (0 if term[t] else g * nv[t]) - v[t] for t in range(len(r))]
        return [sum((g * lam) ** (k - t) * delta[k] for k in range(t, _window(term, trunc, t) + 1)) for t in range(len(r))]

    return _per_row(one, reward, terminated, truncated, value, next_value)


def _n_step(r: Any, term: Any, nv: Any, g: Fraction, start: int, last: int) -> Fraction:
    """The return from `start` over the window that ends with step `last`, bootstrapped there unless it terminated."""
    gain: Fraction = sum((g ** (k - start) * r[k] for k in range(start, last + 1)), Fraction(0))
    return gain if term[last] else gain + g ** (last + 1 - start) * nv[last]


@oracle(
    method="fractions.Fraction",
    derivation="Sutton & Barto 2018, eq. 7.1: rewards of the window times gamma^k, plus gamma^length times the value after it",
    identities="n = 1 is the TD(0) target; n >= T is the discounted return",
)
def n_step_by_window(reward: Any, terminated: Any, truncated: Any, next_value: Any, *, n: int, discount: float) -> Exact:
    """n-step returns, each from its own explicit window."""
    g = Fraction(discount)

    def one(r: Any, term: Any, trunc: Any, nv: Any) -> list[Fraction]:
        return [_n_step(r, term, nv, g, t, min(t + n - 1, _window(term, trunc, t))) for t in range(len(r))]

    return _per_row(one, reward, terminated, truncated, next_value)


@oracle(
    method="fractions.Fraction",
    derivation="Sutton & Barto 2018, eq. 12.3 (truncated lambda-return): (1 - l) sum l^(n-1) G^(n) + l^(N-1) G^(N)",
    identities="lambda = 0 is one step, lambda = 1 the longest window; the weights sum to 1",
)
def lambda_returns_by_mixture(
    reward: Any,
    terminated: Any,
    truncated: Any,
    next_value: Any,
    *,
    lambda_: float,
    discount: float,
    longest: int | None = None,
) -> Exact:
    """lambda-returns as the explicit mixture of n-step returns, with windows of at most `longest` steps."""
    g, lam = Fraction(discount), Fraction(lambda_)

    def one(r: Any, term: Any, trunc: Any, nv: Any) -> list[Fraction]:
        out = []
        for t in range(len(r)):
            steps = _window(term, trunc, t) - t + 1
            steps = steps if longest is None else min(steps, longest)
            parts = [_n_step(r, term, nv, g, t, t + n - 1) for n in range(1, steps + 1)]
            mixed = sum(((1 - lam) * lam**i * part for i, part in enumerate(parts[:-1])), Fraction(0))
            out.append(mixed + lam ** (steps - 1) * parts[-1])
        return out

    return _per_row(one, reward, terminated, truncated, next_value)
