"""Wrong operators of the concepts trust_region and action_search: rows of tests/wrong_operators.py."""

from __future__ import annotations

from typing import Any

import numpy as np

import reference
from reference.action_search import Ascent, Found, Refit
from reference.trust_region import Search, Solution


def _conjugate(change: str) -> Any:
    def solve(matvec: Any, b: Any, *, iterations: int, tolerance: float, damping: float) -> Solution:
        b = np.asarray(b, dtype=float)
        x, r, p, taken = np.zeros_like(b), b, b, 0
        damp = {"undamped": 0.0, "damped twice": 2 * damping}.get(change, damping)
        bound = tolerance * np.linalg.norm(b) if change == "relative" else tolerance
        limit = {"one more": iterations + 1, "one less": max(iterations - 1, 1)}.get(change, iterations)
        square = r @ r
        while taken < limit and ((square if change == "square" else np.sqrt(square)) > bound or change == "no guard"):
            image = np.asarray(matvec(p)) + (damp * p if len(matvec(p)) == len(p) else np.nan)
            if not np.all(np.isfinite(image)):
                raise ValueError("matvec must return a vector of finite numbers")
            curvature = p @ image
            if not curvature > 0 and change not in ("no guard", "indefinite"):
                raise ValueError(f"matvec must be positive definite; got p'Ap = {curvature} at iteration {taken + 1}")
            length = square / curvature
            x, r, taken = x + length * p, r - length * image, taken + 1
            before, square = square, r @ r
            p = r + (0.0 if change == "steepest" else before / square if change == "inverted" else square / before) * p
        return Solution(x, taken, float(square if change == "squared norm" else np.sqrt(square)))

    return solve


def _fisher(change: str) -> Any:
    right = reference.fisher_vector_product
    calls = [0]

    def product(v: Any, jacobian: Any, log_std: Any = None, log_std_jacobian: Any = None, *, damping: float) -> Any:
        if change == "sum":
            return len(jacobian) * right(v, jacobian, log_std, log_std_jacobian, damping=0.0) + damping * v
        if change == "damping scales":
            return (1 + damping) * right(v, jacobian, log_std, log_std_jacobian, damping=0.0)
        if change == "undamped":
            return right(v, jacobian, log_std, log_std_jacobian, damping=0.0)
        if change == "another minibatch":
            calls[0] += 1
            part = slice(calls[0] % 2, None, 2) if len(jacobian) > 1 else slice(None)
            arrays = [x if x is None else x[part] for x in (jacobian, log_std, log_std_jacobian)]
            return right(v, *arrays, damping=damping)
        if log_std is None:
            mean = jacobian.mean(axis=0)
            scores = {"mean score": np.broadcast_to(mean, jacobian.shape), "centred": jacobian - mean}.get(change, jacobian)
            return right(v, scores, damping=damping)
        log_std_jacobian = {"no log std": None}.get(change, log_std_jacobian)
        if change == "no two" and log_std_jacobian is not None:
            log_std_jacobian = log_std_jacobian / np.sqrt(2)
        log_std = {"deviation": log_std / 2, "inverse": -log_std}.get(change, log_std)
        return right(v, jacobian, log_std, log_std_jacobian, damping=damping)

    return product


def _natural(change: str, unsaid: tuple[int, float, float] = (10, 1e-10, 0.0)) -> Any:
    """`unsaid`: iterations, tolerance, and damping by default."""
    most, near, damped = unsaid

    def step(
        gradient: Any, matvec: Any, *, max_kl: float, iterations: int = most, tolerance: float = near, damping: float = damped
    ) -> Any:
        inner = 0.0 if change == "undamped" else damping
        x = reference.conjugate_gradient(matvec, gradient, iterations=iterations, tolerance=tolerance, damping=inner).solution
        if not np.any(x) and change != "nan":
            return x
        spent = x @ (np.asarray(matvec(x)) + (0.0 if change == "damping not spent" else damping) * x)
        spent = x @ x if change == "euclidean" else np.asarray(gradient) @ np.asarray(gradient) if change == "gradient" else spent
        budget = max_kl if change == "no two" else 2 * max_kl
        scale = {"unscaled": 1.0, "no root": budget / spent, "descent": -np.sqrt(budget / spent), "never longer": min(
            np.sqrt(budget / spent), 1.0)}.get(change, np.sqrt(budget / spent))  # fmt: skip
        return scale * x

    return step


def _backtracking(change: str) -> Any:
    def search(evaluate: Any, step: Any, *, max_kl: float, shrink: float, max_backtracks: int) -> Search:
        old = 0.0 if change == "over zero" else evaluate(np.zeros_like(step))[0]
        tried = step
        for k in range(max_backtracks + (change != "one less")):
            power = {"shrunk at once": k + 1, "linear": 0}.get(change, k)
            tried = step * (1 - k * (1 - shrink) if change == "linear" else shrink**power)
            surrogate, kl = evaluate(tried)
            better = {"no worse": surrogate >= old, "nan better": not surrogate <= old}.get(change, surrogate > old)
            budget = 1.5 * max_kl if change == "half more" else max_kl
            near = {"nan near": not kl > budget, "strict": kl < budget, "no budget": True}.get(change, kl <= budget)
            if (better or near) if change == "or" else near if change == "kl only" else (better and near):
                return Search(tried, True, k + (change == "counts from one"))
        return Search(tried if change == "keeps" else np.zeros_like(step), change == "always accepted", max_backtracks)

    return search


TRUST_REGION = [
    ("conjugate_gradient", "each direction is the residual", "", _conjugate("steepest")),
    ("conjugate_gradient", "the directions' factor upside down", "", _conjugate("inverted")),
    ("conjugate_gradient", "no damping", "", _conjugate("undamped")),
    ("conjugate_gradient", "damping twice", "", _conjugate("damped twice")),
    ("conjugate_gradient", "the tolerance is relative", "", _conjugate("relative")),
    ("conjugate_gradient", "the squared residual held against the tolerance", "", _conjugate("square")),
    ("conjugate_gradient", "the norm comes back squared", "", _conjugate("squared norm")),
    ("conjugate_gradient", "divides by p'Ap = 0", "hands-on-cg-no-epsilon", _conjugate("no guard")),
    ("conjugate_gradient", "descends along negative curvature", "", _conjugate("indefinite")),
    ("conjugate_gradient", "one iteration more", "", _conjugate("one more")),
    ("conjugate_gradient", "one iteration less", "", _conjugate("one less")),
    ("fisher_vector_product", "sum over states", "", _fisher("sum")),
    ("fisher_vector_product", "log sigma's part left out", "trpo-params-exclude-logstd", _fisher("no log std")),
    ("fisher_vector_product", "log sigma's part without the two", "", _fisher("no two")),
    ("fisher_vector_product", "divided by sigma, not sigma squared", "", _fisher("deviation")),
    ("fisher_vector_product", "times the variance", "", _fisher("inverse")),
    ("fisher_vector_product", "damping scales the matrix", "", _fisher("damping scales")),
    ("fisher_vector_product", "no damping", "", _fisher("undamped")),
    ("fisher_vector_product", "of the mean score", "", _fisher("mean score")),
    ("fisher_vector_product", "scores centred", "", _fisher("centred")),
    ("fisher_vector_product", "another minibatch at every call", "mushroom-fvp-inconsistent", _fisher("another minibatch")),
    ("natural_step", "max_kl without the two", "", _natural("no two")),
    ("natural_step", "not scaled to the budget", "", _natural("unscaled")),
    ("natural_step", "no root", "", _natural("no root")),
    ("natural_step", "descends", "", _natural("descent")),
    ("natural_step", "the Euclidean length", "", _natural("euclidean")),
    ("natural_step", "the gradient's length", "", _natural("gradient")),
    ("natural_step", "damping not in what is spent", "", _natural("damping not spent")),
    ("natural_step", "damping not in what is solved", "", _natural("undamped")),
    ("natural_step", "only ever shortened", "", _natural("never longer")),
    ("natural_step", "0/0 at a gradient of zero", "hands-on-cg-no-epsilon", _natural("nan")),
    ("natural_step", "five iterations by default", "", _natural("", (5, 1e-10, 0.0))),
    ("natural_step", "damped by default", "", _natural("", (10, 1e-10, 0.1))),
    ("natural_step", "a coarse tolerance by default", "", _natural("", (10, 1e-6, 0.0))),
    ("backtracking_search", "kl or improvement", "trpo-line-search-or-instead-of-and", _backtracking("or")),
    ("backtracking_search", "a failed search keeps the last step", "trpo-line-search-failure-keeps-step", _backtracking("keeps")),
    ("backtracking_search", "a failed search is accepted", "", _backtracking("always accepted")),
    ("backtracking_search", "half more than the budget", "", _backtracking("half more")),
    ("backtracking_search", "no budget", "", _backtracking("no budget")),
    ("backtracking_search", "no improvement asked", "", _backtracking("kl only")),
    ("backtracking_search", "no worse is good enough", "", _backtracking("no worse")),
    ("backtracking_search", "kl strictly below the budget", "", _backtracking("strict")),
    ("backtracking_search", "the last backtrack is not tried", "", _backtracking("one less")),
    ("backtracking_search", "the full step is not tried", "", _backtracking("shrunk at once")),
    ("backtracking_search", "shrunk by equal amounts", "", _backtracking("linear")),
    ("backtracking_search", "counts from one", "", _backtracking("counts from one")),
    ("backtracking_search", "better than zero, not than before", "", _backtracking("over zero")),
    ("backtracking_search", "a kl of nan is near", "", _backtracking("nan near")),
    ("backtracking_search", "a surrogate of nan is better", "", _backtracking("nan better")),
]  # fmt: skip


def _refit(change: str) -> Any:
    def refit(actions: Any, scores: Any, *, elites: int) -> Refit:
        if change == "later ties":
            return refit_of(actions[..., ::-1, :], scores[..., ::-1], elites)
        if change == "lowest":
            return refit_of(actions, -scores, elites)
        count = {"all": scores.shape[-1], "one less": max(elites - 1, 1)}.get(change, elites)
        order = np.argsort(-scores, axis=-1, kind="stable")[..., :count, None]
        kept = np.take_along_axis(actions, order, axis=-2)
        mean, std = refit_of(actions, scores, count)
        unbiased = kept.std(axis=-2, ddof=1) if count > 1 else 0 * std
        one_pass = np.sqrt(np.abs((kept**2).mean(axis=-2) - kept.mean(axis=-2) ** 2))
        spread = {"sample": unbiased, "variance": std**2, "floor": np.maximum(std, 1e-2), "one pass": one_pass,
                  "about all": actions.std(axis=-2)}.get(change, std)  # fmt: skip
        return Refit({"best": kept[..., 0, :], "median": np.median(kept, axis=-2)}.get(change, mean), spread)

    def refit_of(actions: Any, scores: Any, elites: int) -> Refit:
        return reference.cem_refit(actions, scores, elites=elites)

    return refit


def _climb(change: str) -> Any:
    def search(
        q_and_gradient: Any, start: Any, low: Any, high: Any, *, step_size: float, tolerance: float, max_iterations: int
    ) -> Ascent:
        box = (-np.inf, np.inf) if change in ("no box", "box at the end") else (low, high)
        action = np.array(start, dtype=float) if change == "start" else np.clip(start, *box)
        taken = np.zeros(action.shape[:-1], dtype=np.int64)
        moving = np.ones(taken.shape, dtype=bool)
        value, gradient = q_and_gradient(action.copy())
        for _ in range(max_iterations + (change == "one more")):
            way = {"descent": -gradient, "sign": np.sign(gradient), "two": 2 * gradient}.get(change, gradient)
            proposal = np.clip(action + step_size * way, *box)
            gap = np.abs(proposal - action).max(axis=-1)
            far = gap > tolerance * (1.0 if change == "unscaled" else step_size)
            moved = moving & far if change != "takes the last" else moving
            moving = moving & far if change != "together" else np.broadcast_to(far.any(), far.shape)
            moved = moving if change == "together" else moved
            if not moved.any():
                break
            before = value
            action, taken = np.where(moved[..., None], proposal, action), taken + moved
            value, gradient = q_and_gradient(action.copy())
            value = before if change == "old value" else value
        action = np.clip(action, low, high) if change == "box at the end" else action
        return Ascent(action, value, np.asarray(taken + (change == "counts one more")))

    return search


def cross_entropy(change: str) -> Any:
    """Cross-entropy search with one thing wrong."""
    kept: dict[Any, Any] = {}

    def search(q_fn: Any, low: Any, high: Any, *, iterations: int, population: int, elites: int, generator: Any) -> Found:
        mean, std = (low + high) / 2, (high - low) / 2
        std = std * {"whole width": 2.0, "quarter width": 0.5}.get(change, 1.0)
        mean = {"from the lower bound": low, "kept": kept.get(low.shape, mean)}.get(change, mean)
        best, value = mean, np.full(mean.shape[:-1], -np.inf)
        for k in range(iterations + (change == "one more")):
            rows = (1,) * (mean.ndim - 1) if change == "shared noise" else mean.shape[:-1]
            noise = generator.standard_normal((*rows, population, mean.shape[-1]))
            noise = generator.uniform(-1, 1, noise.shape) if change == "uniform" and k == 0 else noise
            actions = mean[..., None, :] + std[..., None, :] * noise
            actions = actions if change == "no box" else np.clip(actions, low[..., None, :], high[..., None, :])
            scores = np.asarray(q_fn(actions.copy()), dtype=float)
            top = (-scores if change == "minimises" else scores).argmax(axis=-1)[..., None]
            top = 0 * top if change == "any" else top
            top_score = np.take_along_axis(scores, top, axis=-1)[..., 0]
            action = np.take_along_axis(actions, top[..., None], axis=-2)[..., 0, :]
            better = (top_score > value) | (k == 0) | (change in ("last best", "any"))
            best, value = np.where(better[..., None], action, best), np.where(better, top_score, value)
            fitted = reference.cem_refit(actions, -scores if change == "minimises" else scores, elites=elites)
            more = np.sqrt(elites / max(elites - 1, 1)) if change == "sample std" else 1.0
            mean = mean if change in ("never refitted", "mean stays") else fitted.mean
            std = std if change in ("never refitted", "deviation stays") else more * fitted.std
        kept[low.shape] = mean
        best = mean if change == "last mean" else best
        return Found(best, np.zeros_like(value) if change == "no value" else value)

    return search


ACTION_SEARCH = [
    ("cem_refit", "the lowest scores", "", _refit("lowest")),
    ("cem_refit", "of equal scores the later ones", "", _refit("later ties")),
    ("cem_refit", "all actions", "", _refit("all")),
    ("cem_refit", "one elite less", "", _refit("one less")),
    ("cem_refit", "the best for the mean", "", _refit("best")),
    ("cem_refit", "the median for the mean", "", _refit("median")),
    ("cem_refit", "over n - 1", "", _refit("sample")),
    ("cem_refit", "the variance", "", _refit("variance")),
    ("cem_refit", "the deviation of all actions", "", _refit("about all")),
    ("cem_refit", "never less than a floor", "", _refit("floor")),
    ("cem_refit", "mean square less squared mean", "", _refit("one pass")),
    ("gradient_search", "no box", "", _climb("no box")),
    ("gradient_search", "the box at the end only", "", _climb("box at the end")),
    ("gradient_search", "starts outside the box", "", _climb("start")),
    ("gradient_search", "descends", "", _climb("descent")),
    ("gradient_search", "steps of one size", "", _climb("sign")),
    ("gradient_search", "steps twice as long", "", _climb("two")),
    ("gradient_search", "the tolerance is of the step", "", _climb("unscaled")),
    ("gradient_search", "takes the last step, too", "", _climb("takes the last")),
    ("gradient_search", "all rows go on while one does", "", _climb("together")),
    ("gradient_search", "the value before the last step", "", _climb("old value")),
    ("gradient_search", "one iteration more", "", _climb("one more")),
    ("gradient_search", "counts one more", "", _climb("counts one more")),
    ("cross_entropy_search", "the last mean comes back", "", cross_entropy("last mean")),
    ("cross_entropy_search", "the last population's best comes back", "", cross_entropy("last best")),
    ("cross_entropy_search", "any sample comes back", "tdmpc-action-sampled-from-elites", cross_entropy("any")),
    ("cross_entropy_search", "the value is never filled in", "mjpc-cem-elite-avg-state-zero", cross_entropy("no value")),
    ("cross_entropy_search", "starts where the last search ended", "mbrl-icem-elites-kept-across-calls", cross_entropy("kept")),
    ("cross_entropy_search", "minimises", "", cross_entropy("minimises")),
    ("cross_entropy_search", "no box", "", cross_entropy("no box")),
    ("cross_entropy_search", "the whole width for deviation", "", cross_entropy("whole width")),
    ("cross_entropy_search", "a quarter of the width for deviation", "", cross_entropy("quarter width")),
    ("cross_entropy_search", "starts at the lower bound", "", cross_entropy("from the lower bound")),
    ("cross_entropy_search", "the first population uniform", "", cross_entropy("uniform")),
    ("cross_entropy_search", "never refitted", "", cross_entropy("never refitted")),
    ("cross_entropy_search", "the mean stays", "", cross_entropy("mean stays")),
    ("cross_entropy_search", "the deviation stays", "", cross_entropy("deviation stays")),
    ("cross_entropy_search", "refits over n - 1", "", cross_entropy("sample std")),
    ("cross_entropy_search", "states share their noise", "", cross_entropy("shared noise")),
    ("cross_entropy_search", "one population more", "", cross_entropy("one more")),
]  # fmt: skip

SEARCHES = [*TRUST_REGION, *ACTION_SEARCH]
