"""A port with one operator wrong is told so: that operator and no other, with a counterexample that can be pasted."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import reference
from properties import CLAIMS
from properties._ports import Port
from properties._run import ABSENT, FAILS, HOLDS, PROFILES, Result, run

sys.path.insert(0, str(Path(__file__).parent))
from wrong_ports import KNOWN, WRONG, module  # noqa: E402

EFFORT = replace(PROFILES["dev"], examples=60, table_examples=0, shrink=False)


@cache
def tried(name: str) -> tuple[Result, ...]:
    """Every claim about the wrong operator; unshrunk, because only the verdicts are asked for."""
    port, operator = Port(module(name), "wrong"), WRONG[name].operator
    return tuple(run(claim, operator, port, EFFORT) for claim in CLAIMS.values() if operator in claim.operators)


@pytest.mark.parametrize("name", WRONG)
def test_the_wrong_operator_fails(name: str) -> None:
    failures = [result for result in tried(name) if result.verdict == FAILS]
    assert failures
    assert all(result.paste for result in failures)


AGREEMENT_ONLY = {"float32 inside", "written in place", "[B, 1] broadcast", "hidden state"}
"""Mistakes of manners and of precision: the contract's claims are there for them."""


@pytest.mark.parametrize("name", [name for name in WRONG if name not in AGREEMENT_ONLY])
def test_a_theorem_fails_without_help_from_agreement(name: str) -> None:
    theorems = {r.claim for r in tried(name) if r.verdict == FAILS and CLAIMS[r.claim].kind == "theorem"}
    assert theorems


@pytest.mark.parametrize(
    "name", ["gae/done-is-terminated-or-truncated", "log_mean_exp/log-sum-for-log-mean", "max at the same state"]
)
def test_no_other_operator_is_accused(name: str) -> None:
    others = [op for op in reference.__all__ if op != WRONG[name].operator]
    port = Port(module(name), "wrong")
    for claim in [c for c in CLAIMS.values() if WRONG[name].operator in c.operators]:
        for operator in set(claim.operators) & set(others):
            assert run(claim, operator, port, replace(EFFORT, examples=5)).verdict in (HOLDS, ABSENT)


@pytest.mark.parametrize(
    "name", ["gae/done-is-terminated-or-truncated", "expectile_loss/expectile-sign-turned", "double_q_target/max-of-the-masked-row"]
)
def test_the_counterexample_can_be_pasted(name: str) -> None:
    failure = next(r for r in tried(name) if r.verdict == FAILS and r.claim == "port_equals_reference")
    wrong = eval(failure.paste, {"np": np, "port": module(name), "wrong": module(name)})
    right = eval(failure.paste, {"np": np, "port": reference, "wrong": reference})
    assert not np.array_equal(wrong, right)


@pytest.mark.parametrize("name", KNOWN)
def test_every_failure_of_a_known_bug_is_diagnosed_as_that_bug(name: str) -> None:
    assert {r.behaves_like for r in tried(name) if r.verdict == FAILS} == {(name,)}


def test_a_stranger_is_unknown() -> None:
    assert {r.behaves_like for r in tried("hidden state") if r.verdict == FAILS} == {()}


def test_a_narrow_port_is_told_so() -> None:
    assert ("lambda_returns/computed-in-float32",) in {r.behaves_like for r in tried("float32 inside")}
