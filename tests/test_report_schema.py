"""The report for programs: real ones are as the published schema says, damaged ones are not; and JUnit's readers find their way."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import numpy as np
import pytest
from reports import report

from properties import _report_files
from properties._claim import Refuted
from properties._ports import REFERENCE
from properties._run import Result
from properties._statistics import Judgement, Mean
from properties._trial import Trial, ratio_bin

SCHEMA = json.loads((Path(_report_files.__file__).parent / "report.schema.json").read_text())
CHECK = jsonschema.Draft202012Validator(SCHEMA)
KINDS = ("sound", "wrong", "late", "every")


def errors(document: Any) -> list[str]:
    return [f"{'/'.join(map(str, error.absolute_path))}: {error.message[:200]}" for error in CHECK.iter_errors(document)]


def test_the_schema_is_one_and_describes_everything() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for part in [SCHEMA, *SCHEMA["$defs"].values()]:
        assert part["additionalProperties"] is False and part["description"]
        for name, inner in part["properties"].items():
            assert {"description", "$ref", "const"} & inner.keys(), name


def test_the_schema_has_the_version_that_reports_carry() -> None:
    assert SCHEMA["properties"]["schema"]["const"] == _report_files.SCHEMA
    assert SCHEMA["$id"] == f"urn:touchstone:report:{_report_files.SCHEMA}"


@pytest.mark.parametrize("kind", KINDS)
def test_reports_are_as_the_schema_says(kind: str) -> None:
    assert errors(report(kind).document) == []


def test_the_reports_are_of_every_kind() -> None:
    """What the schema is tried on has everything in it."""
    wrong = report("wrong").document
    assert [report(kind).document["verdict"] for kind in KINDS[:3]] == ["holds", "fails", "incomplete"]
    assert {row["verdict"] for kind in KINDS for row in report(kind).document["results"]} == {
        "holds",
        "fails",
        "undecided",
        "absent",
    }
    assert wrong["absent"] == ["soft_backup"] and wrong["conventions"] == {"ties": "first"} and wrong["diagnosis"]
    assert any(row["expected"] for row in wrong["results"]) and any(row["ratios"] for row in wrong["results"])
    assert any(record["verdict"] == "fails" and record["trajectory"] for record in wrong["ledger"]["records"])
    assert {"touchstone", "python", "numpy"} <= wrong["versions"].keys()


DAMAGE: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a verdict that there is not": lambda d: d["results"][0].update(verdict="passes"),
    "a field that there is not": lambda d: d.update(extra=1),
    "a field of a result that there is not": lambda d: d["results"][0].update(file="AAAA"),
    "no version": lambda d: d.pop("schema"),
    "another version": lambda d: d.update(schema=2),
    "no results": lambda d: d.pop("results"),
    "a result without its operator": lambda d: d["results"][0].pop("operator"),
    "a type that there is not": lambda d: d["results"][0].update(dtype="float16"),
    "fewer than no examples": lambda d: d["results"][0].update(examples=-1),
    "examples in words": lambda d: d["results"][0].update(examples="40"),
    "too few bins": lambda d: d["results"][0].update(ratios=[1, 2]),
    "a record without its draws": lambda d: d["ledger"]["records"][0].pop("draws"),
    "a trajectory with a step of two numbers": lambda d: d["ledger"]["records"][0].update(trajectory=[[1, 2.0]]),
    "a certain alarm": lambda d: d["ledger"]["records"][0].update(alpha=0),
    "a diagnosis of nobody": lambda d: d["diagnosis"][0].update(operators=[]),
    "a summary that is none": lambda d: d.update(summary="fine"),
    "a seed that is none": lambda d: d.update(seed="0"),
    "a profile that is none": lambda d: d.update(profile="fast"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_report_is_refused(damage: str) -> None:
    whole = copy.deepcopy(report("wrong").document)
    DAMAGE[damage](whole)
    assert errors(whole) != []


def refused(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_are_finite_for_every_parser(kind: str) -> None:
    json.loads(report(kind).json.read_text(), parse_constant=refused)


def test_what_is_not_finite_is_null(tmp_path: Path) -> None:
    rows = [{"worst": math.inf, "ledger": ({"evidence": -math.inf, "trajectory": ((3, math.nan, 1.0),)},), "found": "[nan]"}]
    _report_files.write_json(tmp_path / "o.json", _report_files._finite({"seconds": 1.0, "results": rows}))
    read = json.loads((tmp_path / "o.json").read_text(), parse_constant=refused)
    due = [{"worst": None, "ledger": [{"evidence": None, "trajectory": [[3, None, 1.0]]}], "found": "[nan]"}]
    assert read == {"seconds": 1.0, "results": due}


def test_a_report_without_results_is_json(tmp_path: Path) -> None:
    _report_files.write_json(tmp_path / "o.json", {"seconds": 1.0, "results": []})
    assert json.loads((tmp_path / "o.json").read_text()) == {"seconds": 1.0, "results": []}


def test_failure_files_are_left_out() -> None:
    """Their bytes have files of their own."""
    assert {name for name in Result.__dataclass_fields__ if name not in report("sound").document["results"][0]} <= {"file"}


# --------------------------------------------------------------------------------------------- what is gathered on the way
@pytest.mark.parametrize(
    ("ratio", "place"),
    [(0.0, 0), (1e-300, 1), (2.0**-13, 2), (0.4, 13), (0.5, 14), (1.0, 14), (1.1, 15), (math.inf, 15)],
)
def test_ratios_are_counted_by_powers_of_two(ratio: float, place: int) -> None:
    assert ratio_bin(ratio) == place


def test_comparisons_are_counted_and_of_refutations_the_first() -> None:
    trial = Trial(REFERENCE, "gae")
    trial.equal(np.array([1.0, 1.0]), np.array([1.0, 1.0]), 1.0)
    trial.equal(np.array([1.0, 1.3]), np.array([1.0, 1.0]), 1.0)
    for _ in range(3):
        with pytest.raises(Refuted):
            trial.equal(np.array(3.0), np.array(1.0), 1.0)
    assert (trial.ratios[0], trial.ratios[13], trial.ratios[15]) == (1, 1, 1) and sum(trial.ratios) == 3


def test_a_trajectory_has_the_evidence_after_each_batch() -> None:
    judgement = Judgement(Mean(np.array([0.5, 0.0]), 0.25, 1e-9))
    draws = np.random.default_rng(0)
    for _ in range(4):
        judgement.add(draws.random((200, 2)) < [0.5, 0.0])
    taken, against, proof = zip(*judgement.trajectory, strict=True)
    assert taken == (200, 400, 600, 800) and all(0 <= power < 9 for power in against)
    assert list(proof) == sorted(proof) and proof[-1] >= 6 and judgement.proved.all()


# ----------------------------------------------------------------------------------------------------------------- JUnit
TAGS = {"failures": "failure", "errors": "error", "skipped": "skipped"}


@pytest.mark.parametrize("kind", KINDS)
def test_junit_counts_are_those_of_its_cases(kind: str) -> None:
    root = ElementTree.parse(report(kind).junit).getroot()
    assert root.tag == "testsuites"
    for group in [root, *root]:
        cases = group.findall(".//testcase")
        assert group.get("tests") == str(len(cases)) and group.get("name")
        for attribute, tag in TAGS.items():
            assert group.get(attribute) == str(sum(case.find(tag) is not None for case in cases))
        total = sum(float(case.get("time", "")) for case in cases)
        assert abs(float(group.get("time", "")) - total) <= 0.001 * (len(cases) + 1)


@pytest.mark.parametrize("kind", KINDS)
def test_junit_groups_by_operator_and_names_each_case_once(kind: str) -> None:
    root, rows = ElementTree.parse(report(kind).junit).getroot(), report(kind).document["results"]
    assert [suite.get("name") for suite in root] == list(dict.fromkeys(row["operator"] for row in rows))
    names = [(case.get("classname"), case.get("name")) for case in root.iter("testcase")]
    assert len(set(names)) == len(names) == len(rows)
    assert all(case.get("classname") == suite.get("name") for suite in root for case in suite.findall("testcase"))


def test_junit_says_what_failed_with_what() -> None:
    root, document = ElementTree.parse(report("wrong").junit).getroot(), report("wrong").document
    for suite in root:
        assert suite[0].tag == "properties"
        said = {one.get("name"): one.get("value") for one in suite[0]}
        assert said["seed"] == "0" and said["port"] == "wrong.py" and said["version of numpy"] == document["versions"]["numpy"]
    for failure in root.iter("failure"):
        assert failure.get("message") and failure.get("type") == "fails"
        assert "python verify.py --port wrong.py" in (failure.text or "")
    skipped = [one.get("message") for one in root.iter("skipped")]
    assert "expected to fail: a <known> one (until 2999-12-31)" in skipped


def test_junit_and_json_agree() -> None:
    root, rows = ElementTree.parse(report("wrong").junit).getroot(), report("wrong").document["results"]
    for case, row in zip(root.iter("testcase"), rows, strict=True):
        assert case.get("name") == f"{row['claim']}[{row['dtype']}]"
        assert (case.find("failure") is not None) == (row["verdict"] == "fails" and not row["expected"])
