"""QWR's aggregates of sampled values: in fractions, and at 50 digits where there is an exp."""

from __future__ import annotations

from typing import Any

from properties._exact import Exact, along_last, exact_value
from properties._exact._exponentials import aggregated, even, shares


@exact_value("max_aggregate")
def max_aggregate(q: Any) -> Exact:
    """max q."""
    return along_last(lambda row: aggregated(row, "max", None), q)


@exact_value("mean_aggregate")
def mean_aggregate(q: Any) -> Exact:
    """(1/n) sum of q."""
    return along_last(lambda row: aggregated(row, "mean", None), q)


@exact_value("log_mean_exp")
def log_mean_exp(q: Any, *, temperature: float) -> Exact:
    """t log((1/n) sum of exp(q/t))."""
    return along_last(lambda row: aggregated(row, "log_mean_exp", temperature), q)


@exact_value("log_mean_exp_gradient")
def log_mean_exp_gradient(q: Any, *, temperature: float) -> Exact:
    """exp(q_i/t) / sum of exp(q_j/t)."""
    return along_last(lambda row: shares(row, even(len(row)), temperature), q)
