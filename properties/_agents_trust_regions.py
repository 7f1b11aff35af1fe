"""One update of TRPO on drawn steps is its natural step, for tables, and no trust region is ever left (U1, U2)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from properties._agents_on_policy import (
    REGION,
    TRPO,
    UPDATES,
    Known,
    Steps,
    advantages,
    known,
    learner_on,
    log_error,
    mean_error,
    regressed,
    slope,
    softened,
    steps,
)
from properties._bounds import UNIT, Floats, gamma
from properties._claim import claim
from properties._trial import Trial

SOLVED = 1e-9
"""The residual that a solver may leave, in units of the gradient's norm."""


class Region(NamedTuple):
    """One seed's trust region at its policy [S + 1, A]: the steps that it was given, and their advantages [N]."""

    logs: Floats
    s: Any
    a: Any
    advantage: Floats

    @property
    def share(self) -> Floats:
        """The part of the steps that each state has, [S + 1, 1]."""
        return np.asarray(np.bincount(self.s, minlength=len(self.logs)) / len(self.s))[:, None]

    def surrogate(self, logs: Floats) -> float:
        """The mean of rho A at another log pi."""
        return float((np.exp((logs - self.logs)[self.s, self.a]) * self.advantage).mean())

    def divergence(self, logs: Floats) -> float:
        """The mean over steps of KL(old, new)."""
        return float((self.share * np.exp(self.logs) * (self.logs - logs)).sum())

    def metric(self, vector: Floats) -> Floats:
        """The exact Fisher matrix times a vector: its part for each state is share * (diag(pi) - pi pi')."""
        v, p = vector.reshape(self.logs.shape), np.exp(self.logs)
        return np.asarray(self.share * (p * v - p * (p * v).sum(axis=-1, keepdims=True))).ravel()

    def evaluated(self, step: Floats) -> tuple[float, float]:
        """Surrogate and divergence at a displacement of the logits."""
        logs = softened(self.logs + step.reshape(self.logs.shape))
        return self.surrogate(logs), self.divergence(logs)

    def close(self, step: Floats, shrink: float, backtracks: int, max_kl: float) -> bool:
        """Whether rounding decides if one of the steps tried is accepted."""
        tried = [self.evaluated(step * shrink**k) for k in range(backtracks + 1)]
        size = 1.0 + float(np.abs(self.advantage).max())
        return any(abs(kl - max_kl) < 1e-7 * max_kl or abs(value - self.surrogate(self.logs)) < 1e-12 * size for value, kl in tried)


def regions(port: Trial, b: Steps, before: Known, lambda_: float) -> list[Region]:
    """One for each seed."""
    _, s, a = b.places
    advantage = advantages(port, b, before.value, lambda_)
    return [Region(before.logs[seed], s[seed], a[seed], advantage[seed]) for seed in range(b.seeds)]


class Trusted(NamedTuple):
    """log pi after the natural step and the search, the full step of the logits, and whether rounding decides the search."""

    logs: Floats
    full: Floats
    close: bool


def trusted(port: Trial, region: Region, gradient: Floats, max_kl: float) -> Trusted:
    """Where one update leads, from the mean of A grad log pi, [S + 1, A]."""
    same = {"iterations": REGION["cg_iterations"], "damping": REGION["damping"], "tolerance": 1e-12 * np.linalg.norm(gradient)}
    full = port.natural_step(gradient.ravel(), region.metric, max_kl=max_kl, **same)
    search = {"shrink": REGION["shrink"], "max_backtracks": REGION["max_backtracks"]}
    step, _, backtracks = port.backtracking_search(region.evaluated, full, max_kl=max_kl, **search)
    close = region.close(full, REGION["shrink"], int(backtracks), max_kl)
    return Trusted(softened(region.logs + step.reshape(region.logs.shape)), full, close)


def solved(region: Region, gradient: Floats) -> float:
    """By how much of its length a step may be off: residuals of SOLVED, and what N terms lose in the gradient, both magnified by
    the condition of F + damping, as no eigenvalue of F is above 1/2."""
    size, damping = float(np.linalg.norm(gradient)), REGION["damping"]
    lost = float(gamma(len(region.s) + 32, UNIT["float64"])) * (1.0 + float(np.abs(region.advantage).max()))
    return float((SOLVED + (2 * lost / size if size else 0.0)) * (0.5 + damping) / damping)


BUDGETS = st.sampled_from([0.0625, 1.0, 4.0])


@claim("U1", source=TRPO, operators=["trpo_agent"], share=0.1,
       given={"b": steps(), "lambda_": st.sampled_from([0.5, 1.0, 0.0]), "max_kl": BUDGETS})  # fmt: skip
def an_update_of_trpo_is_its_natural_step(port: Trial, b: Steps, lambda_: float, max_kl: float) -> None:
    """For each seed log pi becomes that of the logits and sqrt(2 max_kl / x'(F + damping) x) x shrink^k: (F + damping) x the mean
    of A grad log pi, F the Fisher matrix over the steps' states, k the least at which KL(old, new) <= max_kl and the mean of rho A
    rose. V moves towards the returns."""
    learner = learner_on(port, b, REGION | {"lambda_": lambda_, "target_lambda": lambda_, "max_kl": max_kl})
    before = known(port, learner, b)
    for _ in range(UPDATES):
        learner.update(**b.rollout)
        after, moves = known(port, learner, b), slope(before.policy, b, advantages(port, b, before.value, lambda_))
        for seed, region in enumerate(regions(port, b, before, lambda_)):
            if 0 < np.linalg.norm(moves[seed]) < 2**20 * mean_error(b, before.value):
                return  # a direction made of rounding
            due = trusted(port, region, moves[seed], max_kl)
            if due.close:
                return
            slack = 2 * log_error(due.logs) + 4 * float(np.abs(due.full).max()) * solved(region, moves[seed])
            port.equal(after.logs[seed], due.logs, slack, f"log pi of seed {seed}")
        port.equal(after.value, regressed(port, b, before.value, lambda_), mean_error(b, before.value), "V")
        before = after


SIDES = (1.0, -1.0, 1.0)


@claim("U2", source=TRPO, operators=["trpo_agent"], given={"b": steps(), "max_kl": BUDGETS}, share=0.1)
def a_trust_region_is_never_left_nor_the_surrogate_lowered(port: Trial, b: Steps, max_kl: float) -> None:
    """After every update, on whatever steps, also where rewards change their sign and a sure policy must turn: the mean of KL(old,
    new) is at most max_kl, and the mean of rho A is no lower than before."""
    learner = learner_on(port, b, REGION | {"lambda_": 0.5, "max_kl": max_kl, "damping": 2.0**-8})
    before = known(port, learner, b)
    for side in SIDES:
        now = b._replace(rollout=b.rollout | {"rewards": side * b.rollout["rewards"]})
        learner.update(**now.rollout)
        after = known(port, learner, b)
        for seed, region in enumerate(regions(port, now, before, 0.5)):
            slack = 4 * mean_error(now, before.value) + 8 * log_error(after.logs) * (1.0 + float(np.abs(region.advantage).max()))
            port.at_most(region.divergence(after.logs[seed]), max_kl, slack, f"KL of seed {seed}")
            port.at_most(region.surrogate(region.logs), region.surrogate(after.logs[seed]), slack, f"surrogate of seed {seed}")
        before = after
