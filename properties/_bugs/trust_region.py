"""Bugs of conjugate gradients and of Fisher-vector products; natural steps and searches are in trust_region_steps."""

from __future__ import annotations

from typing import Any

import numpy as np

import reference
from properties._bounds import Floats
from properties._bugs._record import Behaves, Bug, Probe, primes, probe
from properties._functions import Linear
from reference.trust_region import Solution

EPSILON = 1e-8
"""What spinningup and rllab add to p'Ap."""
UNGUARDED = ("never checked", "checked after", "squared after", "indefinite")


def checked(operator: str, behaves: Behaves, harmless: Any) -> Behaves:
    """Refuses the arguments that the reference refuses, before the mistake; `harmless` stands for the caller's function there."""
    right = getattr(reference, operator)

    def wrong(*arguments: Any, **keywords: Any) -> Any:
        right(*(harmless if callable(argument) else argument for argument in arguments), **keywords)
        return behaves(*arguments, **keywords)

    return wrong


def same(vector: Any) -> Any:
    """The product with the identity."""
    return vector


def _conjugate(change: str) -> Behaves:
    """Hestenes and Stiefel's recurrence with one thing wrong."""

    def solve(matvec: Any, b: Any, *, iterations: int, tolerance: float, damping: float) -> Solution:
        b = np.asarray(b, dtype=float)
        x, r, p, taken = np.zeros_like(b), b, b, 0
        limit = {"one more": iterations + 1, "one less": max(iterations - 1, 1)}.get(change, iterations)
        bound = tolerance * np.linalg.norm(b) if change == "relative" else tolerance
        while taken < limit and _goes_on(change, float(r @ r), float(bound), taken):
            image = _image(change, matvec, p, damping)
            length = (r @ r) / _curvature(change, p @ image)
            before, x, r, taken = r @ r, x + length * p, r - length * image, taken + 1
            p = r + _factor(change, before, r @ r) * (r if change == "aliased" and taken == 1 else p)
        norm = r @ r if change == "squared norm" else np.sqrt(r @ r)
        return Solution(x, max(taken - (change == "counted from zero"), 0), float(norm))

    return checked("conjugate_gradient", solve, same)


def _goes_on(change: str, square: float, bound: float, taken: int) -> bool:
    """Whether the tolerance asks for another iteration."""
    if change == "never checked" or (taken == 0 and change in ("checked after", "squared after")):
        return True
    if change == "squared after":
        return not square < bound
    return bool((square if change == "squared" else np.sqrt(square)) > bound)


def _image(change: str, matvec: Any, p: Floats, damping: float) -> Floats:
    """(A + damping I) p."""
    image = np.asarray(matvec(p))
    if image.shape != p.shape or not np.all(np.isfinite(image)):
        raise ValueError("matvec must return a vector of finite numbers")
    if change == "scaling":
        return np.asarray((1 + damping) * image)
    return np.asarray(image + {"undamped": 0.0, "damped twice": 2.0}.get(change, 1.0) * damping * p)


def _curvature(change: str, curvature: float) -> float:
    if not curvature > 0 and change not in UNGUARDED:
        raise ValueError(f"matvec must be positive definite; got p'Ap = {curvature}")
    return float(curvature + EPSILON if change == "epsilon" else curvature)


def _factor(change: str, before: float, after: float) -> float:
    """Of the direction before, in the new one."""
    if change == "steepest":
        return 0.0
    return float(np.divide(before, after) if change == "inverted" else np.divide(after, before))


def _fisher(change: str) -> Behaves:
    right = reference.fisher_vector_product

    def product(v: Any, jacobian: Any, log_std: Any = None, log_std_jacobian: Any = None, *, damping: float) -> Any:
        if change == "no two" and log_std_jacobian is not None:
            log_std_jacobian = log_std_jacobian / np.sqrt(2)
        if log_std is not None:
            log_std = {"deviation": log_std / 2, "inverse": -log_std}.get(change, log_std)
        else:
            mean = jacobian.mean(axis=0)
            jacobian = {"mean score": mean[None], "centred": jacobian - mean}.get(change, jacobian)
        data = (jacobian, log_std, None if change == "no log std" else log_std_jacobian)
        if change == "diagonal":
            return [right(e, *data, damping=damping)[i] for i, e in enumerate(np.eye(len(v)))] * v
        bare, mean_of = right(v, *data, damping=0.0), jacobian.shape[1] if log_std is not None else 1
        n = len(jacobian)
        factor = {"sum": n, "twice": 1 / n, "scaling": 1 + damping, "dimensions": 1 / mean_of, "nothing detached": 0.0}.get(
            change, 1.0
        )
        return factor * bare + (0.0 if change in ("undamped", "scaling") else damping) * v

    return product


def _kl_to_itself(mean: Any, log_std: Any, other_mean: Any, other_log_std: Any) -> Any:
    return reference.gaussian_kl(other_mean, other_log_std, other_mean, other_log_std)


SOLVER = (
    ("direction-is-the-residual", "each direction is the residual: steepest descent, not conjugate gradients", "", "steepest"),
    ("direction-factor-upside-down", "the factor of the direction before is r'r before over r'r after", "", "inverted"),
    ("residual-and-direction-share-memory", "r and p start as one buffer, so that r -= a A p overwrites p, too",
     "mushroom-fvp-inconsistent", "aliased"),
    ("damping-left-out", "the damping is not used", "", "undamped"),
    ("damping-added-twice", "the damping is added by the solver and by the product", "", "damped twice"),
    ("damping-scales-the-matrix", "(1 + damping) A in place of A + damping I", "", "scaling"),
    ("tolerance-is-relative", "the tolerance is held against |r| / |b|", "", "relative"),
    ("squared-residual-against-the-tolerance", "r'r, not its root, is held against the tolerance", "", "squared"),
    ("residual-norm-squared", "r'r comes back for |r|", "", "squared norm"),
    ("tolerance-never-checked", "the iteration has no end but its number: 0/0 once the residual is 0", "spinningup-trpo",
     "never checked"),
    ("tolerance-checked-after-the-step", "the first step is taken before the residual is looked at: 0/0 for b = 0",
     "hands-on-cg-no-epsilon", "checked after"),
    ("squared-residual-checked-after-the-step", "stops if r'r < tolerance, and not before the first step",
     "hands-on-cg-no-epsilon baselines-cg", "squared after"),
    ("epsilon-added-to-the-curvature", "1e-8 is added to p'Ap, which is as small as that for a small b", "spinningup-trpo",
     "epsilon"),
    ("negative-curvature-descended", "p'Ap <= 0 is divided by as if the matrix were positive definite", "", "indefinite"),
    ("one-iteration-more", "iterations + 1 of them", "", "one more"),
    ("one-iteration-less", "iterations - 1 of them", "", "one less"),
    ("iterations-counted-from-zero", "the loop's index comes back for the number of iterations", "", "counted from zero"),
)  # fmt: skip

METRIC = (
    ("sum-over-states", "the sum over states in place of their mean", "ddpg-actor-gradient-sum-not-mean", "sum"),
    ("divided-by-the-batch-twice", "a mean of a mean: divided by the number of states twice", "ddpg-double-batch-division",
     "twice"),
    ("log-std-left-out", "the parameters of log sigma are not in the metric", "trpo-params-exclude-logstd", "no log std"),
    ("two-left-out-of-log-std", "K'K in place of 2 K'K", "", "no two"),
    ("divided-by-sigma", "J'J is divided by sigma, not by sigma squared", "", "deviation"),
    ("multiplied-by-the-variance", "J'J is multiplied by sigma squared", "", "inverse"),
    ("damping-scales-the-matrix", "(1 + damping) F in place of F + damping I", "", "scaling"),
    ("damping-left-out", "the damping is not used", "", "undamped"),
    ("product-of-the-mean-score", "the mean score times itself, not the mean of the products", "", "mean score"),
    ("scores-centred", "the covariance of the scores: their mean is subtracted first", "", "centred"),
    ("mean-over-action-dimensions", "KL is averaged over action dimensions where it is a sum",
     "rebrac-bc-term-mean-over-dims", "dimensions"),
    ("diagonal-only", "only the diagonal of F multiplies the vector", "", "diagonal"),
    ("nothing-detached-in-the-kl", "both sides of the KL move with the parameters: F = 0, damping v is left",
     "kl-penalty-between-identical-dists", "nothing detached"),
)  # fmt: skip

BUGS = (
    *(Bug("conjugate_gradient", slug, story, seen, _conjugate(change)) for slug, story, seen, change in SOLVER),
    *(Bug("fisher_vector_product", slug, story, seen, _fisher(change)) for slug, story, seen, change in METRIC),
    Bug(
        "gaussian_kl",
        "both-distributions-are-the-new-one",
        "the old distribution is rebuilt from the current parameters: the KL is 0",
        "kl-penalty-between-identical-dists",
        _kl_to_itself,
    ),
)

MATRIX = Linear(np.array([[11.0, 2.0, -1.0], [2.0, 7.0, 3.0], [-1.0, 3.0, 5.0]]))
ENDLESS = {"iterations": 9, "damping": 0.0}


def _solving(matrix: Linear, *b: float, **keywords: Any) -> Probe:
    return probe(matrix, np.array(b), **keywords)


PROBES: dict[str, tuple[Probe, ...]] = {
    "conjugate_gradient": (
        _solving(MATRIX, 13.0, -17.0, 19.0, iterations=2, tolerance=0.0, damping=0.5),
        _solving(MATRIX, 13.0, -17.0, 19.0, iterations=3, tolerance=4.0, damping=0.5),
        _solving(Linear(np.eye(2)), 3.0, 4.0, iterations=1, tolerance=6.0, damping=0.0),
        _solving(Linear(np.diag([1.0, 3.0])), 2.0, 1.0, tolerance=0.375, **ENDLESS),
        _solving(Linear(np.eye(2)), 0.0, 0.0, tolerance=0.0, **ENDLESS),
        _solving(Linear(np.eye(1)), 2.0**-13, tolerance=0.0, **ENDLESS),
        _solving(Linear(np.diag([1.0, -3.0])), 1.0, 2.0, iterations=1, tolerance=0.0, damping=0.0),
    ),
    "fisher_vector_product": (
        probe(primes(3) * [1, -1, 1], primes(3, 3, after=7) * [1, 1, -1] / 4, damping=0.5),
        probe(
            primes(3) * [1, -1, 1],
            primes(3, 2, 3, after=7) * [1, -1, 1] / 8,
            np.array([[0.5, -0.25], [1.0, 0.75], [-0.5, 0.125]]),
            primes(3, 2, 3, after=80)[::-1] / 64,
            damping=0.5,
        ),
    ),
}

OPEN = {"mpo-kl-penalty-raw-multiplier": "no such operator in the contract: MPO's Lagrange multiplier"}
