"""The part of the self-check about chance: the ledger keeps to its budget, a bet on a right mean is fair, wrong draws are seen."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import numpy as np

from properties import _sampled
from properties._bounds import own_rounding
from properties._claim import CLAIMS, WIDTHS
from properties._ledger import LEDGER, RUN_BUDGET, Case, Entry, enter
from properties._ports import REFERENCE, Port
from properties._run import FAILS, HOLDS, UNDECIDED, Effort, run
from properties._statistics import BETS, MISSED, Capital, Plan, mixture
from properties._trial import Trial

SAMPLED, SAMPLER = "boltzmann_draws_follow_their_probabilities", "sample_boltzmann"
ONCE = Effort(examples=1, table_examples=0, seconds=20.0, climb=False, shrink=False, diagnose=False)


def statistics() -> str:
    """Why no statistical verdict can be believed; empty if they can."""
    return _budget() or _refusals() or _fair_bets() or _samplers() or _streams()


def _budget() -> str:
    """The alarms of all coordinates together stay within the run's budget, and each case has the power that it states."""
    spent = sum(
        entry.alpha * len(case.coordinates) * len(entry.operators) * len(WIDTHS)
        for entry in LEDGER.values()
        for case in entry.cases
    )
    if not spent <= RUN_BUDGET * float(own_rounding(len(LEDGER) * len(WIDTHS))):
        return f"the ledger spends {spent:.1e} of {RUN_BUDGET:.0e}"
    weak = [entry.claim for entry in LEDGER.values() for case in entry.cases if entry.plan(case, "float64").power < 1 - 3 * MISSED]
    return f"too few draws are planned for {weak[0]}" if weak else ""


def _refusals() -> str:
    """A share beyond the budget and an effect within the rounding are refused."""
    case = Case("planted", ("one",), np.array([0.5]), {"planted": np.array([0.75])})
    near = Case("planted", ("one",), np.array([0.5]), {"planted": np.array([0.5])})
    for name, entry in (
        ("a share", Entry("planted", "", ("gae",), 1.0, (case,))),
        ("an effect", Entry("planted", "", ("gae",), 1e-9, (near,))),
    ):
        try:
            enter(entry)
        except ValueError:
            continue
        finally:
            LEDGER.pop("planted", None)
        return f"the ledger accepted {name} that it must refuse"
    return ""


def _fair_bets() -> str:
    """Over all sequences of eight fair coins the capital against a fair coin is 1 in the mean."""
    bets, centre = np.concatenate([BETS, -BETS]), np.full((1, 2 * len(BETS)), 0.5)
    ends = []
    for coins in itertools.product((False, True), repeat=8):
        path = Capital(centre, bets).after(np.array(coins)[:, None])
        ends.append(float(np.exp(mixture(path)[-1, 0])))
    mean = float(np.mean(ends))
    return "" if abs(mean - 1.0) <= 2.0**-30 else f"a fair bet pays {mean:.6f} in the mean"


def _uniform(q: Any, *, temperature: float, generator: Any) -> Any:
    return generator.integers(np.shape(q)[-1], size=np.shape(q)[:-1])


def _samplers() -> str:
    """The right sampler holds and leaves an account; a uniform one alarms; without draws nothing is decided."""
    claim = CLAIMS[SAMPLED]
    right = run(claim, SAMPLER, REFERENCE, ONCE)
    if right.verdict != HOLDS or not right.ledger or right.ledger[0]["draws"] <= 0:
        return f"{SAMPLED} {right.verdict} for the reference's own draws, {len(right.ledger)} cases on account"
    wrong = run(claim, SAMPLER, Port(SimpleNamespace(**{SAMPLER: _uniform}), "planted"), ONCE)
    if wrong.verdict != FAILS or wrong.ledger[-1]["verdict"] != FAILS:
        return f"{SAMPLED} {wrong.verdict} for uniform draws"
    planned, Entry.plan = Entry.plan, lambda self, case, dtype: Plan(8, 0.0)  # type: ignore[method-assign]
    try:
        few = run(claim, SAMPLER, REFERENCE, ONCE).verdict
    finally:
        Entry.plan = planned  # type: ignore[method-assign]
    return "" if few == UNDECIDED else f"eight draws are taken to decide: {few}"


def _streams() -> str:
    """No two batches are drawn from the same numbers."""
    entry, seen = LEDGER[SAMPLED], list[str]()

    def draw(port: Trial, case: Case, size: int, stream: _sampled.Stream) -> Any:
        seen.append(stream.key)
        count = len(case.coordinates)
        return np.random.default_rng(stream(0).seed).random((8, count)) < case.due

    _sampled._judged(Trial(REFERENCE, SAMPLER), entry, entry.cases[0], draw)
    return "" if len(set(seen)) == len(seen) > 1 else "batches are drawn from the same numbers"
