"""Bugs of natural steps and of backtracking searches."""

from __future__ import annotations

from typing import Any

import numpy as np

import reference
from properties._bounds import Floats
from properties._bugs._record import Behaves, Bug, Probe, primes, probe
from properties._bugs.trust_region import checked, same
from properties._functions import Linear, Raised, Tent
from reference.trust_region import Search

EPSILON = 1e-8
"""What spinningup and rllab add to x'Fx; and what baselines takes for a gradient of 0."""


def _natural(change: str, unsaid: tuple[int, float, float] = (10, 1e-10, 0.0)) -> Behaves:
    """`unsaid`: iterations, tolerance, and damping by default."""
    most, near, damped = unsaid

    def step(
        gradient: Any, matvec: Any, *, max_kl: float, iterations: int = most, tolerance: float = near, damping: float = damped
    ) -> Any:
        g, inner = np.asarray(gradient), 0.0 if change == "undamped" else damping
        x = reference.conjugate_gradient(matvec, g, iterations=iterations, tolerance=tolerance, damping=inner).solution
        if (not np.any(x) and change != "nan") or (change == "close to zero" and np.all(np.abs(g) <= EPSILON)):
            return 0.0 * x
        spent = x @ (np.asarray(matvec(x)) + (0.0 if change == "damping not spent" else damping) * x)
        spent = {"euclidean": x @ x, "gradient": g @ g, "epsilon": spent + EPSILON}.get(change, spent)
        budget = max_kl if change == "no two" else 2 * max_kl
        return _scale(change, budget, spent) * x

    return checked("natural_step", step, same)


def _scale(change: str, budget: float, spent: float) -> Any:
    if change == "unscaled":
        return 1.0
    root = np.sqrt(np.divide(budget, spent))
    return {"no root": root * root, "descent": -root, "never longer": min(root, 1.0)}.get(change, root)


def _backtracking(change: str) -> Behaves:
    def search(evaluate: Any, step: Any, *, max_kl: float, shrink: float, max_backtracks: int) -> Search:
        old = 0.0 if change == "over zero" else evaluate(np.zeros_like(step))[0]
        tried = step
        for k in range(max_backtracks + (change != "one less")):
            tried = _shrunk(change, step, shrink, k)
            if _accepted(change, evaluate(tried), old, max_kl):
                return Search(step if change == "full anyway" else tried, True, k + (change == "counted from one"))
        last = {"kept": tried, "full anyway": step}.get(change, np.zeros_like(step))
        return Search(last, change == "always accepted", max_backtracks)

    return checked("backtracking_search", search, _level)


def _level(displacement: Any) -> tuple[float, float]:
    """A surrogate that never improves."""
    return 0.0, 0.0


def _shrunk(change: str, step: Floats, shrink: float, k: int) -> Floats:
    if change == "linear":
        return np.asarray(step * (1 - k * (1 - shrink)))
    return np.asarray(step * shrink ** {"at once": k + 1, "compound": k * (k + 1) // 2}.get(change, k))


def _accepted(change: str, found: tuple[float, float], old: float, max_kl: float) -> bool:
    """Whether a step of that surrogate and KL is taken."""
    surrogate, kl = found
    budget = max_kl * (1.5 if "half more" in change else 1.0)
    near = {"nan near": not kl > budget, "strict": kl < budget, "kl unchecked": True}.get(change, kl <= budget)
    better = {"nan better": not surrogate <= old, "minimised": surrogate < old}.get(change, surrogate > old)
    if "no worse" in change:
        better = surrogate >= old
    if change.startswith("or"):
        return bool(better or near)
    return bool(near if change == "kl only" else better and near)


STEP = (
    ("two-left-out-of-the-budget", "max_kl in place of 2 max_kl under the root", "", _natural("no two")),
    ("not-scaled-to-the-budget", "F^-1 g as it is", "", _natural("unscaled")),
    ("root-left-out", "scaled by 2 max_kl / x'Fx, not by its root", "", _natural("no root")),
    ("descends", "the step leads downhill", "", _natural("descent")),
    ("euclidean-length", "x'x in place of x'Fx", "", _natural("euclidean")),
    ("length-of-the-gradient", "g'g in place of x'Fx", "", _natural("gradient")),
    ("damping-not-in-the-budget", "the system is damped, but what is spent is x'Fx", "", _natural("damping not spent")),
    ("damping-only-in-the-budget", "what is spent is damped, but not the system", "", _natural("undamped")),
    ("only-shortened", "a step within the budget is not made longer", "", _natural("never longer")),
    ("zero-gradient-gives-nan", "0/0 at a gradient of zero", "hands-on-cg-no-epsilon", _natural("nan")),
    ("epsilon-added-to-the-curvature", "1e-8 is added to x'Fx, which is as small as that for a small gradient",
     "spinningup-trpo rllab-step-size", _natural("epsilon")),
    ("small-gradient-taken-for-zero", "no step if every entry of g is at most 1e-8", "baselines-trpo modular-rl-trpo",
     _natural("close to zero")),
    ("five-iterations-by-default", "five iterations, unless said otherwise", "", _natural("", (5, 1e-10, 0.0))),
    ("damped-by-default", "damping 0.1, unless said otherwise", "", _natural("", (10, 1e-10, 0.1))),
    ("coarse-tolerance-by-default", "tolerance 1e-6, unless said otherwise", "", _natural("", (10, 1e-6, 0.0))),
)  # fmt: skip

LINE = (
    ("kl-or-improvement", "a step is accepted if one of both conditions holds", "trpo-line-search-or-instead-of-and", "or"),
    ("kl-half-more-or-no-worse", "accepted if kl <= 1.5 max_kl, or if the surrogate is no worse",
     "trpo-line-search-or-instead-of-and", "or half more, no worse"),
    ("failed-search-keeps-the-last-step", "where no step passes, the last one tried stays", "trpo-line-search-failure-keeps-step",
     "kept"),
    ("failed-search-accepted", "where no step passes, success is reported", "", "always accepted"),
    ("result-thrown-away", "the full step is taken whatever the search found", "modular-rl-trpo", "full anyway"),
    ("budget-half-more", "kl up to 1.5 max_kl is accepted", "", "half more"),
    ("budget-half-more-and-no-worse", "kl up to 1.5 max_kl is accepted, and a surrogate as good as the old one", "baselines-trpo",
     "half more, no worse"),
    ("kl-not-checked", "improvement is enough", "modular-rl-line-search-without-kl", "kl unchecked"),
    ("improvement-not-checked", "kl within the budget is enough", "", "kl only"),
    ("no-worse-accepted", "a surrogate equal to the old one is accepted", "spinningup-trpo", "no worse"),
    ("surrogate-minimised", "a step is accepted if the surrogate falls", "", "minimised"),
    ("budget-itself-refused", "kl = max_kl is refused", "", "strict"),
    ("last-backtrack-not-tried", "max_backtracks tries in all, the full step included",
     "modular-rl-trpo spinningup-trpo", "one less"),
    ("full-step-not-tried", "the step is shrunk before the first try", "", "at once"),
    ("shrunk-by-equal-amounts", "1, 1 - (1 - shrink), 1 - 2 (1 - shrink), ... times the step", "", "linear"),
    ("shrinking-compounds", "the k-th try shrinks the one before by shrink^k", "", "compound"),
    ("counted-from-one", "backtracks counts the accepted try, too", "", "counted from one"),
    ("better-than-zero", "the surrogate is held against 0, not against the old one", "", "over zero"),
    ("nan-kl-accepted", "not kl > max_kl, which NaN passes", "", "nan near"),
    ("nan-surrogate-accepted", "not surrogate <= old, which NaN passes", "", "nan better"),
)  # fmt: skip

BUGS = (
    *(Bug("natural_step", *row) for row in STEP),
    *(Bug("backtracking_search", slug, story, seen, _backtracking(change)) for slug, story, seen, change in LINE),
)

METRIC = Linear(np.array([[5.0, 1.0, -1.0], [1.0, 3.0, 0.5], [-1.0, 0.5, 2.0]]))
MANY = Linear(np.diag(np.arange(1.0, 17.0)))
KNOBS = {"iterations": 3, "tolerance": 0.0, "damping": 0.75}
HIGH = 1000.0


def _line(tent: Tent | Raised, *step: float, max_kl: float = 1.0, tries: int = 0) -> Probe:
    return probe(tent, np.array(step), max_kl=max_kl, shrink=0.5, max_backtracks=tries)


def _slope(rise: float, stiffness: float, *, ridge: float = HIGH, cliff: float = HIGH, fog: float = HIGH) -> Tent:
    return Tent(np.array([rise]), ridge, cliff, fog, stiffness)


SKEW = Tent(np.array([3.0, -2.0]), HIGH, HIGH, HIGH, 1.0)

PROBES: dict[str, tuple[Probe, ...]] = {
    "natural_step": (
        probe(primes(3, after=10), METRIC, max_kl=0.375, **KNOBS),
        probe(primes(3, after=10), METRIC, max_kl=24.0, **KNOBS),
        probe(primes(16), MANY, max_kl=0.5),
        probe(np.array([8.0, 2.0**-30]), Linear(np.diag([1.0, 4.0])), max_kl=0.5),
        probe(np.zeros(2), Linear(np.eye(2)), max_kl=0.5),
        probe(np.array([2.0**-13]), Linear(np.eye(1)), max_kl=0.5, iterations=1, tolerance=0.0),
        probe(np.array([2.0**-28]), Linear(2.0**40 * np.eye(1)), max_kl=0.5, iterations=1, tolerance=0.0),
    ),
    "backtracking_search": (
        _line(SKEW, 7.0, 5.0, max_kl=4.0, tries=2),
        _line(SKEW, 7.0, 5.0, max_kl=4.0, tries=9),
        _line(SKEW, 7.0, 5.0, max_kl=2.75, tries=9),
        _line(SKEW, 7.0, 5.0, max_kl=1.0, tries=1),
        _line(_slope(-1.0, 0.0), 3.0, tries=2),
        _line(_slope(-1.0, 1.0), 3.0, tries=3),
        _line(_slope(1.0, 0.0, ridge=1.5), 3.0),
        _line(_slope(1.0, 2.0, ridge=1.5), 3.0),
        _line(_slope(1.0, 0.0, fog=1.0), 3.0, tries=3),
        _line(_slope(1.0, 0.0, cliff=1.0), 3.0, tries=3),
        _line(Raised(_slope(1.0, 0.0, ridge=1.0), 64.0), 3.0),
    ),
}
