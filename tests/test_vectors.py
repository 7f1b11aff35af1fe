"""Golden vectors: the set that is committed is right and tells bugs apart, and every wrong answer or damaged file is noticed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import verify
from properties._answers import FunctionAsked, answer
from properties._arguments import parse
from properties._bugs import catalogue
from properties._claim import OPERATORS, WIDTHS, Call
from properties._frames import Message, packed, unpacked
from properties._run import FAILS, HOLDS
from properties._vectors import MANIFEST, ROUNDED, SUFFIX, BadSet, GoldenSet, Vector, entry_of, read_set, tensors_of
from properties._vectors_answer import Errand, have_answered, serve
from properties._vectors_answers import ABOUT, Answers, Key, read_answers
from properties._vectors_check import Check, check_vectors
from properties._vectors_files import IDS, STARTER, published, without_collisions, writable, write_set
from properties._vectors_judge import looks_like
from properties._vectors_right import Disagreement, _right
from properties._vectors_write import PACKAGES, made, manifest_of, write_vectors

DOCS = Path(__file__).resolve().parent.parent / "docs" / "vectors.md"
COMPARED = tuple(name for name, record in OPERATORS.items() if record.compared)
FEW = ("gae", "conjugate_gradient", "greedy", "gaussian_score")
"""Operators of all sorts of results: floats, integers, several, functions as arguments."""


@pytest.fixture(scope="module")
def golden() -> GoldenSet:
    return read_set(STARTER)


def errand(port: str, answers: Path, operators: tuple[str, ...] = FEW, dtypes: tuple[str, ...] = ()) -> Errand:
    return Errand(port, "cpu", 5.0, {}, str(STARTER), str(answers), operators, dtypes)


def checked(*words: str) -> int:
    """The exit status of a command line."""
    return check_vectors(parse(list(words)), print)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The right answers to the vectors of some operators, in every type."""
    folder = tmp_path_factory.mktemp("answers")
    serve(errand("accelerated", folder))
    return folder


# ------------------------------------------------------------------------------------------------------- the starter set
def test_every_operator_with_one_right_answer_has_vectors_of_both_kinds(golden: GoldenSet) -> None:
    assert golden.operators == COMPARED
    for operator in COMPARED:
        flags = {flag for vector in golden.of(operator) for flag in vector.flags}
        assert {"exact in bfloat16", "exact in float32"} & flags, operator
        assert "full mantissa" in flags or operator == "backtracking_search", operator  # its landscapes are of whole numbers


@pytest.mark.parametrize("port", ["reference", "accelerated"])
def test_the_starter_set_holds_for(port: str, golden: GoldenSet, tmp_path: Path) -> None:
    serve(errand(port, tmp_path, COMPARED))
    check = Check(golden, read_answers(tmp_path), COMPARED, WIDTHS)
    assert check.verdict == HOLDS, "\n".join(check.lines())
    assert not check.absent and check.counts[HOLDS] == sum(
        len(vector.dtypes) if port == "accelerated" else 1 for vector in golden.vectors
    )


def test_every_bug_that_the_manifest_says_is_told_fails(golden: GoldenSet) -> None:
    for bug in golden.manifest["bugs"]:
        answers = planted(golden, bug)
        check = Check(golden, answers, [catalogue()[bug].operator], ["float64"])
        assert check.verdict == FAILS, bug


def test_planted_bugs_are_named(golden: GoldenSet) -> None:
    unnamed = []
    for bug in list(golden.manifest["bugs"])[::9]:
        operator, answers = catalogue()[bug].operator, planted(golden, bug)
        found = looks_like(operator, Check(golden, answers, [operator], ["float64"]).verdicts, answers)
        assert not found or bug in found, f"{bug} is taken for {found}"
        unnamed += [] if found else [bug]
    assert not unnamed


def planted(golden: GoldenSet, bug: str) -> Answers:
    """What an operator with this bug answers in float64."""
    behaves, operator = catalogue()[bug].behaves, catalogue()[bug].operator
    results: dict[Key, dict[str, Any]] = {}
    texts = {}
    for vector in golden.of(operator):
        found = answer(FunctionAsked(behaves, None, "float64"), vector.call)
        if found is None:
            texts[Key(vector.id, "float64")] = "raised ValueError"
            continue
        kinds = [due.dtype for due in vector.due] + [np.dtype(np.float64)] * len(found)
        results[Key(vector.id, "float64")] = {
            str(i): part.astype(kind, casting="unsafe") if np.isfinite(part).all() else part
            for i, (part, kind) in enumerate(zip(found, kinds, strict=False))
        }
    return Answers({operator: results}, {operator: texts})


def test_what_is_said_of_the_catalogue_adds_up(golden: GoldenSet) -> None:
    bugs = {bug.id for bug in catalogue().values() if bug.operator in COMPARED}
    told, untold = set(golden.manifest["bugs"]), golden.manifest["untold"]
    assert told | set(untold) == bugs and not told & set(untold)
    assert len(told) == golden.manifest["told"]["float64"] >= 0.95 * golden.manifest["told"]["of"]
    assert {bug for vector in golden.vectors for bug in vector.tells_apart or {}} == told


def test_the_set_is_written_again_to_the_same_bytes(golden: GoldenSet) -> None:
    if any(golden.manifest["made_with"][name] != metadata.version(name) for name in PACKAGES):
        pytest.skip("the set was made with other versions")
    for operator in ("gae", "expectile_loss", "dueling_value"):
        again = made([operator], starter=True)
        assert [entry_of(vector) for vector in again] == [e for e in golden.manifest["vectors"] if e["operator"] == operator]
        tensors = {name: array for vector in again for name, array in tensors_of(vector).items()}
        assert packed(Message({}, tensors)) == (STARTER / f"{operator}{SUFFIX}").read_bytes()


def test_a_set_survives_writing_and_reading(golden: GoldenSet, tmp_path: Path) -> None:
    write_set(tmp_path / "set", golden.vectors, {k: v for k, v in golden.manifest.items() if k not in ("files", "vectors")})
    assert (tmp_path / "set" / MANIFEST).read_bytes() == (STARTER / MANIFEST).read_bytes()


# -------------------------------------------------------------------------------------------------------------------- ids
def test_the_ids_are_on_record_and_none_is_used_twice(golden: GoldenSet) -> None:
    record = published()
    assert {vector.id: vector.digest for vector in golden.vectors}.items() <= record.items()
    assert list(record) == sorted(record) and all(full.startswith(name.rpartition("-")[2]) for name, full in record.items())


def test_another_input_has_another_id_and_a_collision_is_refused(golden: GoldenSet) -> None:
    vector = golden.of("gae")[0]
    other = replace(vector, call=Call(vector.call.arguments, vector.call.keywords | {"discount": 0.123}))
    assert other.id != vector.id
    with pytest.raises(BadSet, match="must not be used again"):
        without_collisions([vector], {vector.id: other.digest})


# ----------------------------------------------------------------------------------------------------------------- damage
@pytest.mark.parametrize("name", [f"gae{SUFFIX}", MANIFEST, "SHA256SUMS"])
def test_a_damaged_file_is_named_and_the_exit_status_is_3(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "set"
    shutil.copytree(STARTER, folder)
    data = bytearray((folder / name).read_bytes())
    if name.endswith(SUFFIX):  # an expected value, which no id speaks for
        message = unpacked(bytes(data))
        data = bytearray(packed(Message({}, {key: a + 1.0 if "/out/" in key else a for key, a in message.arrays.items()})))
    else:
        data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    assert checked("--port", "reference", "--check-vectors", str(folder), "--ops", "gae") == 3
    said = capsys.readouterr().out.replace("\n", "")
    assert name in said or MANIFEST in said
    (folder / name).unlink()
    with pytest.raises(BadSet, match=re.escape(name)):
        read_set(folder)


def test_inputs_that_are_not_those_of_the_id_are_refused(golden: GoldenSet, tmp_path: Path) -> None:
    vector = golden.of("gae")[0]
    other = Call(vector.call.arguments, vector.call.keywords | {"discount": 0.123})
    changed = replace(vector)
    vars(changed).update(call=other, id=vector.id, digest=vector.digest)
    write_set(tmp_path / "set", [changed], {k: v for k, v in golden.manifest.items() if k not in ("files", "vectors")})
    with pytest.raises(BadSet, match="must be those of its id"):
        read_set(tmp_path / "set")


def test_an_exact_value_that_the_reference_contradicts_is_not_written(golden: GoldenSet, monkeypatch: pytest.MonkeyPatch) -> None:
    vector = golden.of("gae")[0]
    monkeypatch.setitem(_right.__globals__["EXACT"], "gae", lambda *arguments, **keywords: vector.due[0] + 1.0)
    with pytest.raises(Disagreement, match="gae"):
        _right("gae", vector.call, vector.due, exactly=True)


# ---------------------------------------------------------------------------------------------------------- wrong answers
Change = Callable[[dict[str, np.ndarray[Any, Any]], dict[str, str], str], None]


def _set(name: str, change: Callable[[Any], Any]) -> Change:
    def changed(arrays: dict[str, np.ndarray[Any, Any]], texts: dict[str, str], key: str) -> None:
        arrays[f"{key}/{name}"] = np.asarray(change(arrays[f"{key}/{name}"]))

    return changed


def _gone(text: str = "") -> Change:
    def changed(arrays: dict[str, np.ndarray[Any, Any]], texts: dict[str, str], key: str) -> None:
        del arrays[f"{key}/0"]
        texts |= {key: text} if text else {}

    return changed


def _stranger(arrays: dict[str, np.ndarray[Any, Any]], texts: dict[str, str], key: str) -> None:
    arrays["gae-000000000000/float64/0"] = np.zeros(2)


WRONG: dict[str, tuple[Change, str, int]] = {
    "right": (_set("0", lambda a: a), "HOLDS", 0),
    "off": (_set("0", lambda a: a + 1.0), "off by more than its bound", 1),
    "NaN": (_set("0", lambda a: np.full_like(a, np.nan)), "holds NaN", 1),
    "infinite": (_set("0", lambda a: np.full_like(a, np.inf)), "off by more than its bound", 1),
    "shape": (_set("0", lambda a: a[..., None]), "has shape", 1),
    "dtype": (_set("0", lambda a: a.astype(np.float16)), "is float16", 1),
    "missing": (_gone(), "there is no answer", 1),
    "refused": (_gone("raised ValueError: no"), "raised ValueError: no", 1),
    "declined": (_gone("declined: too long"), "declined: too long", 0),
    "not asked": (_gone("not asked: crashed"), "INCOMPLETE", 2),
    "stranger": (_stranger, "gae-000000000000/float64 is an answer to no vector", 1),
}


@pytest.fixture(scope="module")
def checker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checker that the page shows."""
    (body,) = re.findall(r"^```python\n(.*?)^```", DOCS.read_text(encoding="utf-8"), flags=re.S | re.M)
    assert len(body.splitlines()) == 30
    path = tmp_path_factory.mktemp("checker") / "check.py"
    path.write_text(body)
    return path


def theirs(checker: Path, answers: Path, golden: Path = STARTER) -> int:
    done = subprocess.run([sys.executable, str(checker), str(golden), str(answers)], capture_output=True, text=True)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode


def test_the_contract_of_a_checker_has_30_lines() -> None:
    (lines,) = re.findall(r"^```text\n(.*?)^```", DOCS.read_text(encoding="utf-8"), flags=re.S | re.M)
    assert [int(line[:2]) for line in lines.splitlines()] == list(range(1, 31))


@pytest.mark.parametrize("what", WRONG)
def test_an_answer_gets_its_verdict_and_the_checker_of_30_lines_agrees(
    what: str, golden: GoldenSet, few: Path, checker: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, said, status = WRONG[what]
    folder = tmp_path / "answers"
    shutil.copytree(few, folder)
    message = unpacked((folder / f"gae{SUFFIX}").read_bytes())
    arrays, texts = dict(message.arrays), dict(message.texts)
    change(arrays, texts, str(Key(golden.of("gae")[0].id, "float64")))
    (folder / f"gae{SUFFIX}").write_bytes(packed(Message(texts, arrays)))
    assert checked("--check-vectors", str(STARTER), "--answers", str(folder)) == status
    assert said in capsys.readouterr().out.replace("\n", " ")
    assert theirs(checker, folder) == status


@pytest.mark.parametrize(
    ("operator", "result", "change"),
    [
        ("conjugate_gradient", "1", lambda a: a.astype(np.float64)),
        ("conjugate_gradient", "1", lambda a: a + 1),
        ("gaussian_score", "1", lambda a: a + 1),
        ("gae", "0", lambda a: np.nextafter(a, np.float32(np.inf))),
    ],
)
def test_every_result_in_every_type_is_looked_at(
    operator: str, result: str, change: Callable[[Any], Any], golden: GoldenSet, few: Path, checker: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "answers"
    shutil.copytree(few, folder)
    message = unpacked((folder / f"{operator}{SUFFIX}").read_bytes())
    dtype = "bfloat16" if operator == "gae" else "float32"
    vector = next(vector for vector in golden.of(operator) if dtype in vector.dtypes)
    arrays = dict(message.arrays)
    _set(result, change)(arrays, {}, str(Key(vector.id, dtype)))
    (folder / f"{operator}{SUFFIX}").write_bytes(packed(Message(message.texts, arrays)))
    check = Check(golden, read_answers(folder), [operator], WIDTHS)
    assert [(each.vector.id, each.dtype) for each in check.verdicts if each.verdict == FAILS] == [(vector.id, dtype)]
    assert theirs(checker, folder) == 1


def test_a_failure_is_told_with_all_that_its_reader_needs(golden: GoldenSet) -> None:
    bug = "gae/done-is-terminated-or-truncated"
    lines = "\n".join(Check(golden, planted(golden, bug), ["gae"], ["float64"]).lines())
    for part in ("found ", "due ", "bound ", "where   the worst element is [", "port.gae(", f"behaves like {bug}: ", "FAILS: gae"):
        assert part in lines, part


def test_a_declared_convention_leaves_its_vectors_out(golden: GoldenSet, few: Path, checker: Path, tmp_path: Path) -> None:
    (vector, *_) = [vector for vector in golden.of("greedy") if "ties=first" in vector.not_under]
    folder = tmp_path / "answers"
    shutil.copytree(few, folder)
    message = unpacked((folder / f"greedy{SUFFIX}").read_bytes())
    arrays = {name: array * 0 if name.startswith(vector.id) else array for name, array in message.arrays.items()}
    (folder / f"greedy{SUFFIX}").write_bytes(packed(Message(message.texts, arrays)))
    assert Check(golden, read_answers(folder), ["greedy"], WIDTHS).verdict == FAILS and theirs(checker, folder) == 1
    (folder / ABOUT).write_text(json.dumps({"conventions": {"ties": "first"}}))
    assert Check(golden, read_answers(folder), ["greedy"], WIDTHS).verdict == HOLDS and theirs(checker, folder) == 0


def test_nothing_answered_is_incomplete_and_damage_is_noticed_by_both(checker: Path, few: Path, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    assert checked("--check-vectors", str(STARTER), "--answers", str(tmp_path / "none")) == 2
    assert theirs(checker, tmp_path / "none") == 2
    shutil.copytree(STARTER, tmp_path / "set")
    (tmp_path / "set" / MANIFEST).write_text("{}")
    assert theirs(checker, few, tmp_path / "set") == 3


# ----------------------------------------------------------------------------------------------------------- bad requests
def test_a_port_that_crashes_or_hangs_costs_its_answer_alone(golden: GoldenSet, tmp_path: Path) -> None:
    port = tmp_path / "bad_port.py"
    port.write_text(
        "import os, time\nfrom reference import *\n"
        "def expectile_loss(error, *, expectile):\n    os._exit(5) if error.size < 3 else time.sleep(9)\n"
        "def greedy(q):\n    print('noise')\n    raise NotImplementedError('too few')\n"
    )
    (tmp_path / "answers").mkdir()
    have_answered(replace(errand(str(port), tmp_path / "answers", ("expectile_loss", "greedy", "gae")), patience=1.0))
    check = Check(golden, read_answers(tmp_path / "answers"), ("expectile_loss", "greedy", "gae"), WIDTHS)
    told = {each.vector.operator: each.detail for each in check.verdicts}
    assert told["gae"] == "" and told["greedy"] == "declined: too few"
    assert re.match("crashes: the process died, exit status 5|hangs: a call did not return within 1 s", told["expectile_loss"])
    assert {each.verdict for each in check.of("gae")} == {HOLDS} and check.verdict == FAILS


def test_writing_refuses_a_folder_that_holds_something_else(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("the only copy")
    said: list[str] = []
    assert write_vectors(tmp_path, ("greedy",), say=said.append) == 2 and "thesis.txt" in said[0]
    assert (tmp_path / "thesis.txt").read_text() == "the only copy" and list(tmp_path.iterdir()) == [tmp_path / "thesis.txt"]
    with pytest.raises(BadSet, match="must be a folder"):
        writable(tmp_path / "thesis.txt")


def test_a_full_set_of_one_operator_replaces_the_one_before(tmp_path: Path) -> None:
    said: list[str] = []
    assert write_vectors(tmp_path / "set", ("greedy", "value_target"), say=said.append) == 0
    assert write_vectors(tmp_path / "set", ("greedy",), say=said.append) == 0 and "5 of 5 bugs told apart" in said[1]
    again = read_set(tmp_path / "set")
    assert 8 <= len(again.vectors) <= 12 and sorted(each.name for each in tmp_path.iterdir()) == ["set"]
    assert {"empty batch", "infinite input"} & {flag for vector in again.vectors for flag in vector.flags}
    assert not (tmp_path / "set" / f"value_target{SUFFIX}").exists() and not (tmp_path / "set" / IDS).exists()
    assert write_vectors(tmp_path / "set", ("sample_boltzmann",), say=said.append) == 2 and "sample_boltzmann" in said[-1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--ops", "sum_tree"], "has no vectors of sum_tree"),
        (["--junit", "x.xml"], "--junit cannot be used with it"),
        (["--claims", "R1"], "no claim or concept is called"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status = checked("--port", "reference", "--check-vectors", str(STARTER), *words)
    except SystemExit as ended:
        status = ended.code  # type: ignore[assignment]
    captured = capsys.readouterr()
    assert status == 2 and said in (captured.out + captured.err).replace("\n", " ")


def test_json_says_every_verdict(few: Path, tmp_path: Path) -> None:
    words = ["--check-vectors", str(STARTER), "--answers", str(few), "--ops", "gae,greedy", "--dtype", "float32"]
    assert verify.main([*words, "--json", str(tmp_path / "out.json")]) == 0
    said = json.loads((tmp_path / "out.json").read_text())
    assert said["verdict"] == HOLDS and {each["operator"] for each in said["results"]} == {"gae", "greedy"}
    assert {each["dtype"] for each in said["results"]} == {"float32"}


def test_vectors_of_the_reference_alone_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(_right.__globals__, "EXACT", {})
    vectors: list[Vector] = made(["greedy"], starter=True)
    assert {vector.origin for vector in vectors} == {"reference"} != {ROUNDED}
    assert manifest_of(vectors, ["greedy"])["told"]["of"] == 5
