"""Failures as files: each holds all of its counterexample; tried again it fails as it did, or holds where the port is mended."""

from __future__ import annotations

import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import reference
from properties import CLAIMS
from properties._arguments import parse
from properties._claim import Call, Refuted
from properties._failure import Failure, unpacked_failure
from properties._failure_files import read_failure, write_failures
from properties._frames import Message, packed
from properties._functions import Linear
from properties._ports import Port
from properties._replay import replay, tried_again
from properties._run import FAILS, HOLDS, PROFILES, Result, run
from properties._runner import Run, Setting, Task

ROOT = Path(__file__).resolve().parent.parent
QUICK = replace(PROFILES["dev"], examples=40, table_examples=1, shrink=False)
AGREES, EXACT = "port_equals_reference", "gae_is_the_sum_of_discounted_td_errors"


def port_with(**wrong: Any) -> Port:
    names = {name: getattr(reference, name) for name in reference.__all__}
    return Port(SimpleNamespace(**names | wrong), "made")


def done(reward: Any, terminated: Any, truncated: Any, *values: Any, **knobs: Any) -> Any:
    return reference.gae(reward, terminated | truncated, truncated, *values, **knobs)


class Forgetful:
    """Finds the first, whatever its priority."""

    def __init__(self, capacity: int) -> None:
        self._held = reference.sum_tree(capacity)

    def __len__(self) -> int:
        return len(self._held)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._held, name)

    def find(self, mass: Any) -> Any:
        return 0 * self._held.find(mass)


def scaled_solution(matvec: Any, b: Any, **knobs: Any) -> Any:
    found = reference.conjugate_gradient(matvec, b, **knobs)
    return (1.5 * found[0], *found[1:])


def raising(q: Any) -> Any:
    raise RuntimeError("no kernel")


WRONG = [
    ("gae", EXACT, done),
    ("gae", AGREES, done),
    ("sum_tree", "a_sum_tree_is_a_plain_list", Forgetful),
    ("conjugate_gradient", AGREES, scaled_solution),
    ("mean_aggregate", AGREES, raising),
    ("mean_aggregate", "bad_input_is_rejected", np.mean),
]


def failed(operator: str, claim: str, wrong: Any, folder: Path) -> tuple[Result, Path]:
    result = run(CLAIMS[claim], operator, port_with(**{operator: wrong}), QUICK, salt=7)
    (name,) = write_failures(folder / "made", [result])
    return result, folder / "made" / name


@pytest.mark.parametrize(("operator", "claim", "wrong"), WRONG)
def test_a_failure_fails_again_and_holds_where_it_is_mended(tmp_path: Path, operator: str, claim: str, wrong: Any) -> None:
    result, path = failed(operator, claim, wrong, tmp_path)
    assert path.name == f"{operator}-{claim}-float64.safetensors" and read_failure(path).seed == 7
    again = tried_again(str(path), CLAIMS[claim], operator, port_with(**{operator: wrong}), QUICK, salt=7)
    assert (again.verdict, again.detail, again.found, again.paste) == (FAILS, result.detail, result.found, result.paste)
    assert again.examples == 1
    mended = tried_again(str(path), CLAIMS[claim], operator, port_with(), QUICK, salt=7)
    assert (mended.verdict, mended.detail) == (HOLDS, "")


def test_the_example_of_a_named_table_is_found_again(tmp_path: Path) -> None:
    claim = "backups_reduce_to_means_and_maxima_of_action_values"
    operator = next(name for name in CLAIMS[claim].operators if name.startswith("evaluation"))

    def wrong(value: Any, *arguments: Any, **knobs: Any) -> Any:
        return getattr(reference, operator)(value, *arguments, **knobs) + (len(value) > 9)

    result, path = failed(operator, claim, wrong, tmp_path)
    assert result.verdict == FAILS and read_failure(path).part.startswith("table ")
    again = tried_again(str(path), CLAIMS[claim], operator, port_with(**{operator: wrong}), QUICK, salt=7)
    assert (again.verdict, again.paste) == (FAILS, result.paste)


def test_every_call_is_there_in_full(tmp_path: Path) -> None:
    failure = read_failure(failed("gae", EXACT, done, tmp_path)[1])
    ((name, call),) = failure.calls
    wrong, right = done(*call.arguments, **call.keywords), reference.gae(*call.arguments, **call.keywords)
    np.testing.assert_array_equal(wrong, failure.values["found"])
    assert name == "gae" and not np.array_equal(wrong, right) and "bound" in failure.values


def test_calls_of_all_kinds_come_back() -> None:
    long, knobs = np.arange(1000.0), {"iterations": 2, "tolerance": 0.0, "damping": 0.5}
    calls = (
        ("conjugate_gradient", Call((Linear(np.eye(2)), np.ones(2)), knobs)),
        ("gradient", Call(("conjugate_gradient", 1, Linear(np.eye(2)), np.ones(2)), knobs | {"cotangent": long})),
    )
    back = unpacked_failure(Failure("c", "conjugate_gradient", "float64", "p", 1, "dev", calls=calls).packed())
    same(back, calls)
    np.testing.assert_array_equal(back.calls[1][1].keywords["cotangent"], long)
    life = (("held = port.sum_tree", Call((3,), {})), ("held.update", Call((0, 2.5), {})), ("held.find", Call((np.ones(2),), {})))
    same(unpacked_failure(Failure("c", "sum_tree", "float64", "p", 1, "dev", calls=life).packed()), life)


def same(back: Failure, calls: tuple[tuple[str, Call], ...]) -> None:
    assert not back.left_out
    for (name, call), (due_name, due) in zip(back.calls, calls, strict=True):
        assert name == due_name
        assert str(call.arguments) == str(due.arguments)
        assert str(sorted(call.keywords.items())) == str(sorted(due.keywords.items()))


def test_what_cannot_be_kept_is_left_out_and_said() -> None:
    calls = (("mean_aggregate", Call((np.ones(2) * 1j,), {})), ("mean_aggregate", Call((np.ones(2),), {})))
    back = unpacked_failure(Failure("c", "mean_aggregate", "float64", "p", 1, "dev", calls=calls).packed())
    assert len(back.calls) == 1 and "call0: q must hold real numbers or booleans; got complex128" in back.left_out
    many = (("mean_aggregate", Call((np.ones(1),), {})),) * 500
    back = unpacked_failure(Failure("c", "mean_aggregate", "float64", "p", 1, "dev", calls=many).packed())
    assert back.left_out == f"the first {500 - len(back.calls)} of 500 calls"


def test_an_example_of_another_hypothesis_is_tried_by_its_calls_and_its_seed(tmp_path: Path) -> None:
    result, path = failed("gae", EXACT, done, tmp_path)
    other = replace(read_failure(path), hypothesis="1.0")
    path.write_bytes(other.packed())
    again = tried_again(str(path), CLAIMS[EXACT], "gae", port_with(gae=done), QUICK, salt=7)
    assert again.verdict == FAILS and again.paste == result.paste
    assert again.detail.startswith("the example is of Hypothesis 1.0, here is ")
    assert "of 1 stored calls asked again the answer is by what was found; then tried from seed 7" in again.detail
    mended = tried_again(str(path), CLAIMS[EXACT], "gae", port_with(), QUICK, salt=7)
    assert mended.verdict == HOLDS and "the answer is by what was due" in mended.detail


@pytest.mark.parametrize("blob", ["", "!"])
def test_an_example_that_cannot_be_read_is_said_to_be_none(tmp_path: Path, blob: str) -> None:
    _, path = failed("gae", EXACT, done, tmp_path)
    path.write_bytes(replace(read_failure(path), blob=blob).packed())
    again = tried_again(str(path), CLAIMS[EXACT], "gae", port_with(gae=done), QUICK, salt=7)
    assert again.verdict == FAILS and "then tried from seed 7" in again.detail


NONE = {
    "another file": (b"hello, this is text", "it must hold a failure: "),
    "an empty file": (b"", "it must hold a failure: "),
    "another message": (packed(Message({"a": "b"})), "with the text failure: '1'; got 'none'; it lacks claim, operator,"),
    "half of one": (Failure("c", "gae", "float64", "p", 1, "dev").packed()[:-9], "it must hold a failure: "),
}


@pytest.mark.parametrize("what", NONE)
def test_what_is_no_failure_is_refused_in_words(tmp_path: Path, what: str) -> None:
    data, rule = NONE[what]
    (tmp_path / "f").write_bytes(data)
    with pytest.raises(ValueError, match="cannot be replayed") as refused:
        read_failure(tmp_path / "f")
    assert rule in str(refused.value)


def test_no_failure_no_file(tmp_path: Path) -> None:
    assert write_failures(tmp_path / "none", [Result("c", "gae", "float64", HOLDS)]) == []
    assert Refuted("x").found is None


# -------------------------------------------------------------------------------------------------------- the command line
def replayed(*words: str) -> tuple[int, list[str]]:
    """What `verify.py --replay` says after its self-check."""
    said: list[str] = []
    return replay(parse(["--replay", *words]), said.append), said


def test_the_command_line_replays(tmp_path: Path) -> None:
    child = shlex.join([sys.executable, str(ROOT / "tests" / "children.py")])
    words = ("--port-command", f"{child} Wrong", "--claims", EXACT, "--dtype", "float64", "--failures", str(tmp_path / "f"))
    found = subprocess.run([sys.executable, "verify.py", *words], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert found.returncode == 1, found.stdout + found.stderr
    path = tmp_path / "f" / f"gae-{EXACT}-float64.safetensors"
    assert f"--replay {path}" in found.stdout
    status, said = replayed(str(path))
    assert status == 1 and said[-1] == f"FAILS — gae, {EXACT} [float64]"
    inputs = found.stdout[found.stdout.index("  inputs") : found.stdout.index("  replay")]
    assert inputs in "\n".join(said) + "\n"
    status, said = replayed(str(path), "--port", "reference")
    assert status == 0 and said[-1] == f"HOLDS — gae, {EXACT} [float64]" and len(said) == 2


def test_a_file_that_is_none_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "none").write_bytes(b"nothing")
    status, said = replayed(str(tmp_path / "none"))
    assert status == 2 and len(said) == 1 and "cannot be replayed" in said[0]


def test_a_failure_of_an_unknown_claim_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(Failure("no_such_claim", "gae", "float64", "reference", 1, "dev").packed())
    status, said = replayed(str(tmp_path / "old"))
    assert status == 2 and len(said) == 1 and "no claim is called 'no_such_claim' here" in said[0]


def test_a_crash_in_process_can_be_replayed(tmp_path: Path) -> None:
    port = tmp_path / "port.py"
    port.write_text("import os\n\n\ndef mean_aggregate(q):\n    os._exit(3)\n")
    with Run(Setting(str(port), profile="dev", salt=3), jobs=1) as pool:
        pool.load()
        (result,) = pool.results([Task(AGREES, "mean_aggregate", "float64")])
    (name,) = write_failures(tmp_path, [result])
    status, said = replayed(str(tmp_path / name))
    assert status == 1 and "  what    crashes: the process died, exit status 3" in said
