"""The self-test: faults in the verifier are noticed, processes share the work, and the account adds up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import verify
from properties._runner import SuiteError
from properties._self_check import self_check
from properties._self_test import _pool, _table
from properties._self_test._faults import FAULTS, Fault
from properties._self_test._planted_faults import planted
from properties._self_test._pool import said
from properties._trial import Trial

ROW = {"bug": "gae/x", "concept": "returns", "answered": True, "theorem": "t", "agreement": "a", "named": True, "misnamed": False}
ROW["diagnosis"] = ["gae/x"]
NOTICED = {"fault": "f", "noticed": "it is"}


def test_the_suite_is_sound() -> None:
    assert self_check() == ""


def test_every_fault_in_the_verifier_is_noticed() -> None:
    noticed = {row["fault"]: row["noticed"] for row in said("faults", os.cpu_count() or 1)}
    assert set(noticed) == {fault.story for fault in FAULTS}
    assert [story for story, why in noticed.items() if not why] == []


def test_a_fault_is_planted_and_taken_out_again() -> None:
    fault = next(fault for fault in FAULTS if fault.function == "Trial.holds")
    code = Trial.holds.__code__
    with planted(fault):
        assert Trial.holds.__code__ is not code and self_check() != ""
    assert Trial.holds.__code__ is code and self_check() == ""


def test_a_fault_whose_text_is_gone_is_an_error_and_not_noticed_by_luck() -> None:
    with (
        pytest.raises(ValueError, match="must find its text once in Trial.holds; got 0"),
        planted(Fault("stale", "_trial", "Trial.holds", "no such text", "")),
    ):
        pass


# ------------------------------------------------------------------------------------------------------------ the account
@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"theorem": ""}, "no theorem refutes gae/x"),
        ({"agreement": ""}, "agreement does not refute gae/x"),
        ({"misnamed": True, "diagnosis": ["gae/y"]}, "gae/x is taken for gae/y"),
    ],
)
def test_what_must_not_be_is_complained_about(change: dict[str, Any], complaint: str) -> None:
    assert _table.complaints([ROW], [NOTICED], []) == []
    assert _table.complaints([ROW | change], [NOTICED], []) == [complaint]


def test_a_fault_that_is_not_noticed_is_complained_about() -> None:
    assert _table.complaints([ROW], [NOTICED | {"noticed": ""}], []) == ["not noticed: f"]


def test_agreement_is_not_asked_where_nothing_is_the_one_right_answer() -> None:
    assert _table.complaints([ROW | {"answered": False, "agreement": ""}], [NOTICED], []) == []


def test_the_generic_score_leaves_out_what_is_justified() -> None:
    rows = [
        {"verdict": v, "place": "p", "change": "c"} for v in ["killed"] * 97 + ["timeout", "survived", "survived", "equivalent"]
    ]
    *survivors, line = _table.generic(rows)
    assert survivors == ["survives: p c"] * 2
    assert line == "mutants: 101; 1 justified as equivalent, 98 of the other 100 killed: generic score 98.0%"
    assert list(_table.generic([{"absent": "no torch"}])) == ["mutants: not tried; no torch"]
    assert _table.complaints([ROW], [NOTICED], rows) == []
    assert _table.complaints([ROW], [NOTICED], rows + rows[-3:-1] * 2) == ["the generic score is below 97%"]


def test_a_process_that_breaks_breaks_the_self_test(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SuiteError, match="the self-test of nonsense broke"):
        list(said("nonsense", 1))


def test_the_self_test_is_an_option_and_its_verdict_the_exit_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    lines = {"bugs": [ROW], "faults": [NOTICED], "mutants": [{"absent": "no torch"}]}
    monkeypatch.setattr(_table, "said", lambda kind, jobs: iter(lines[kind]))
    assert verify.main(["--self-test", "--json", str(tmp_path / "told.json")]) == 0
    assert json.loads((tmp_path / "told.json").read_text())["bugs"] == [ROW]
    told = capsys.readouterr().out
    assert "catalogue: 1 bugs; 1 killed by theorem, 1 killed at all, 1 diagnosed correctly (100.0%)" in told
    lines["bugs"] = [ROW | {"theorem": ""}]
    assert verify.main(["--self-test"]) == 3
    assert "no theorem refutes gae/x" in capsys.readouterr().out


def test_shares_are_disjoint_and_complete() -> None:
    """Each process takes every n-th: asked for the last of very many shares it has one bug."""
    command = [sys.executable, "-m", "properties._self_test", "bugs", "3/1000"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(_pool.HOME), check=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 1 and rows[0]["theorem"] and rows[0]["named"]
