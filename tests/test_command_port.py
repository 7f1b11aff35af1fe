"""Ports that are programs: they agree over the pipe; whatever they do wrong is a verdict and never the end of the run."""

from __future__ import annotations

import base64
import gc
import json
import os
import shlex
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import reference
from properties import CLAIMS
from properties._claim import Died
from properties._failure import unpacked_failure
from properties._ports import COMMAND, Port, PortError, load_port
from properties._run import ABSENT, FAILS, HOLDS, PROFILES, UNDECIDED, run
from properties._runner import Run, Setting, Task

CHILDREN = Path(__file__).parent / "children.py"
QUICK = replace(PROFILES["dev"], examples=12, table_examples=0, shrink=False)
EXACT = "gae_is_the_sum_of_discounted_td_errors"
AGREES = "port_equals_reference"


def command(how: str, *words: str) -> str:
    return COMMAND + shlex.join([sys.executable, str(CHILDREN), how, *words])


@pytest.fixture(scope="module")
def served() -> Iterator[Port]:
    yield load_port(command("Port"), patience=30.0)


# ------------------------------------------------------------------------------------------------------------ agreement
KINDS = [
    ("gae", AGREES, "float32"),
    ("gae", "bad_input_is_rejected", "float64"),
    ("gae", "arguments_are_left_alone_and_answers_repeat", "float64"),
    ("evaluation_backup", AGREES, "float64"),
    ("evaluation_backup", "bad_input_is_rejected", "float64"),
    ("value_iteration", "dtype_is_kept", "float32"),
    ("importance_weights", AGREES, "float64"),
    ("epsilon_greedy", AGREES, "float64"),
    ("fisher_vector_product", AGREES, "float64"),
    ("conjugate_gradient", AGREES, "float64"),
    ("conjugate_gradient", "bad_input_is_rejected", "float64"),
    ("backtracking_search", "a_pair_may_be_a_list_of_arrays", "float64"),
    ("gradient_search", "a_function_may_overwrite_what_it_is_given", "float64"),
    ("cross_entropy_search", "arguments_are_left_alone_and_answers_repeat", "float64"),
    ("sample_proportional", "draws_have_positive_priority_and_strata_their_range", "float64"),
    ("sum_tree", "an_object_equals_the_references_object", "float64"),
    ("sum_tree", "a_sum_tree_is_a_plain_list", "float64"),
    ("sum_tree", "bad_input_is_rejected", "float64"),
]


@pytest.mark.parametrize(("operator", "claim", "dtype"), KINDS)
def test_the_reference_agrees_with_itself_over_the_pipe(served: Port, operator: str, claim: str, dtype: str) -> None:
    result = run(CLAIMS[claim], operator, served.using(dtype, "cpu"), QUICK)
    assert result.verdict == HOLDS and result.calls, result


def test_what_comes_back_is_what_went(served: Port) -> None:
    found = served.operator("q_value_iteration")(
        np.full((2, 1, 2), 0.5), np.ones((2, 1)), discount=0.5, tolerance=0.01, max_iterations=99
    )
    due = reference.q_value_iteration(np.full((2, 1, 2), 0.5), np.ones((2, 1)), discount=0.5, tolerance=0.01, max_iterations=99)
    assert isinstance(found, tuple) and [type(part) for part in found] == [type(part) for part in due]
    np.testing.assert_array_equal(found[0], due[0])


def test_derivatives_are_asked_for_by_name(served: Port) -> None:
    error, weight = np.array([1.0, -2.0]), np.array([1.0, 3.0])
    found = served.operator("gradient")("expectile_loss", 0, error, expectile=0.75, cotangent=weight)
    np.testing.assert_array_equal(found, weight * reference.expectile_loss_gradient(error, expectile=0.75))
    with pytest.raises(NotImplementedError, match="no derivative of gae"):
        served.operator("gradient")("gae", 0, error)


def test_a_claim_about_a_derivative_that_is_not_offered_is_absent(served: Port) -> None:
    assert run(CLAIMS["no_gradient_flows_into_constants"], "gae", served, QUICK).verdict == ABSENT


def test_it_says_who_it_is(served: Port) -> None:
    assert served.about == {"port": "served reference", "port numpy": np.__version__, "port deterministic": "yes"}
    assert served.dtypes == ("float64", "float32")


def test_what_cannot_be_sent_is_not_asked(served: Port) -> None:
    with pytest.raises(NotImplementedError, match="complex128"):
        served.operator("mean_aggregate")(np.ones(2) * 1j)
    with pytest.raises(NotImplementedError, match="what matvec answered: matvec must hold real numbers"):
        served.operator("conjugate_gradient")(lambda v: None, np.ones(2), iterations=2, tolerance=0.0, damping=0.0)


def test_calls_leave_no_memory_behind(served: Port) -> None:
    call, tree = served.operator("mean_aggregate"), served.operator("sum_tree")

    def work(times: int) -> int:
        for _ in range(times):
            call(np.ones(3))
            len(tree(3))
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    before = work(200)
    after = work(800)
    tracemalloc.stop()
    assert after - before < 20_000


def test_big_messages_and_a_flood_of_words_do_not_block() -> None:
    big = np.ones(1 << 20)
    found = load_port(command("Chatters"), patience=60.0).operator("value_target")(big, big > 2, big, discount=0.5)
    assert found.shape == big.shape


# ------------------------------------------------------------------------------------------------------------ wrong ports
def test_a_planted_bug_is_found_made_small_and_named() -> None:
    result = run(CLAIMS[EXACT], "gae", load_port(command("Wrong")), replace(QUICK, examples=40, shrink=True))
    assert result.verdict == FAILS and result.behaves_like == ("gae/done-is-terminated-or-truncated",)
    assert "np.array([True])" in result.paste, "one step, cut"


MISBEHAVING = {
    "Crashes": "crashes: the program died, signal 11 (SIGSEGV); last words",
    "CrashesOnCuts": "crashes: the program died, exit status 3",
    "Hangs": "hangs: a call did not return within 0.5 s",
    "Prints": "writes to stdout what is no frame; it begins with b'computing gae",
    "AnswersLate": "writes to stdout another call's answer: it is to call ",
    "NoStatus": "writes to stdout a frame that is no answer: status must be ok, refused, declined or error; got none",
    "NoResults": "writes to stdout a frame that is no answer: results must be called 0, 1, ...; got none",
    "AsksForNothing": "writes to stdout a frame that is no answer: the call has no function 'matvec' to be asked",
}


@pytest.mark.parametrize("how", MISBEHAVING)
def test_misbehaviour_is_a_verdict_and_the_next_operator_is_tried(how: str) -> None:
    port = load_port(command(how), patience=0.5 if how == "Hangs" else 20.0)
    result = run(CLAIMS[EXACT], "gae", port, QUICK)
    assert result.verdict == FAILS and result.detail.startswith(MISBEHAVING[how]), result.detail
    assert "port.gae(" in result.paste and not result.behaves_like
    failure = unpacked_failure(base64.b64decode(result.file))
    assert failure.detail == result.detail and failure.calls and failure.blob
    assert run(CLAIMS["margin_zero_is_one_step"], "lambda_returns", port, QUICK).verdict in (HOLDS, ABSENT)
    assert run(CLAIMS[AGREES], "lambda_returns", port, QUICK).verdict == HOLDS


def test_two_answers_to_one_call_are_not_taken_for_one() -> None:
    port = load_port(command("AnswersTwice"))
    call = (np.ones(1), np.array([False]), np.array([False]), np.ones(1), np.ones(1))
    port.operator("gae")(*call, lambda_=0.5, discount=0.5)
    time.sleep(0.3)
    with pytest.raises(Died, match="what was not asked for|another call's answer"):
        port.operator("lambda_returns")(*call[:3], call[4], lambda_=0.5, discount=0.5)


def test_a_program_that_dies_is_shrunk_as_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("properties._run.SHRINKING_SECONDS", 4.0)
    first = run(CLAIMS[EXACT], "gae", load_port(command("CrashesOnCuts")), replace(QUICK, examples=40))
    small = run(CLAIMS[EXACT], "gae", load_port(command("CrashesOnCuts")), replace(QUICK, examples=40, shrink=True))
    assert small.verdict == FAILS and small.detail == "crashes: the program died, exit status 3"
    assert len(small.paste) < len(first.paste)


def test_a_death_is_no_answer_to_bad_input() -> None:
    for claim in ("bad_input_is_rejected", "rejections_name_rule_value_and_place"):
        result = run(CLAIMS[claim], "gae", load_port(command("HangsOnNaN"), patience=0.5), QUICK)
        assert result.verdict == FAILS and result.detail.startswith("hangs: ")


def test_an_object_that_dies_is_refuted() -> None:
    result = run(CLAIMS["a_sum_tree_is_a_plain_list"], "sum_tree", load_port(command("Crashes")), QUICK)
    assert result.verdict == FAILS and result.detail.startswith("crashes: ")
    assert result.paste.startswith("held = port.sum_tree(")


# --------------------------------------------------------------------------------------------------------- introductions
HELLO = {"touchstone": "1", "operators": "gae"}
INTRODUCTIONS = {
    "no version": ({"operators": "gae"}, "must say touchstone: '1'; got 'none'"),
    "another version": (HELLO | {"touchstone": "2"}, "must say touchstone: '1'; got '2'"),
    "no operators": ({"touchstone": "1"}, "its introduction must name operators"),
    "an unknown operator": (HELLO | {"operators": "gae ggae"}, "operators must be of the contract; got ggae"),
    "an unknown type": (HELLO | {"dtypes": "float64 float8"}, "dtypes must be of float64, float32, bfloat16; got float8"),
    "an unknown derivative": (HELLO | {"gradients": "priority"}, "gradients must be of gae; got priority"),
    "no pairs": (HELLO | {"conventions": "first"}, "conventions must be key=value; got 'first'"),
    "an unknown convention": (HELLO | {"conventions": "ties=last"}, "'ties' must be one of ['first']; got 'ties': 'last'"),
}


@pytest.mark.parametrize("how", INTRODUCTIONS)
def test_a_bad_introduction_is_one_clear_line(how: str) -> None:
    said, rule = INTRODUCTIONS[how]
    with pytest.raises(PortError) as refused:
        load_port(command("Said", json.dumps(said)))
    assert rule in str(refused.value) and str(refused.value).startswith("port command:") and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        ("./no_such_program", "cannot be started: .*No such file"),
        (str(CHILDREN), "cannot be started: .*Permission denied"),
        ("'open", "cannot be started: No closing quotation"),
        (f"{sys.executable} -c 'print(1)'", r"did not introduce itself: writes to stdout what is no frame; it begins with b'1"),
        (f"{sys.executable} -c 'raise SystemExit(3)'", "did not introduce itself: crashes: the program died, exit status 3"),
        (f"{sys.executable} -c 'import not_there'", "exit status 1; ModuleNotFoundError: No module named 'not_there'"),
    ],
)
def test_what_is_no_port_is_one_clear_line(words: str, rule: str) -> None:
    with pytest.raises(PortError, match=rule):
        load_port(COMMAND + words)


def test_a_convention_may_be_of_several_words() -> None:
    said = HELLO | {"conventions": "constants=caller detaches ties=first"}
    assert load_port(command("Said", json.dumps(said))).conventions == {"constants": "caller detaches", "ties": "first"}


# --------------------------------------------------------------------------------------------------------------- the run
def alive(number: int) -> bool:
    """Whether a process runs; one that is dead and not yet buried does not."""
    try:
        os.kill(number, 0)
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def left(folder: Path) -> list[int]:
    """The programs that were started and still run, a moment later."""
    started = [int(path.name) for path in folder.iterdir()]
    assert started
    time.sleep(0.2)
    return [number for number in started if alive(number)]


def test_a_hanging_operator_does_not_eat_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHILDREN", str(tmp_path))
    gaes = (EXACT, "nothing_after_a_cut_is_read", "gae_with_lambda_zero_is_the_td_error")
    tasks = [*(Task(name, "gae", "float64") for name in gaes), Task(AGREES, "lambda_returns", "float64")]
    with Run(Setting(command("Hangs"), profile="dev", patience=0.3), jobs=1) as pool:
        assert pool.load().versions["port"] == "served reference"
        results = list(pool.results(tasks))
    assert [r.verdict for r in results] == [FAILS, FAILS, UNDECIDED, HOLDS]
    assert results[0].detail == "hangs: a call did not return within 0.3 s"
    assert not left(tmp_path)


def test_no_program_outlives_a_worker_that_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHILDREN", str(tmp_path))
    with Run(Setting(command("Hangs"), profile="dev", patience=600.0), jobs=1) as pool:
        pool.load()
        (result,) = pool.results([Task(EXACT, "gae", "float64")], budget=1.0)
    assert result.verdict == UNDECIDED and not left(tmp_path)


def test_no_program_outlives_an_interrupted_run(tmp_path: Path) -> None:
    root, words = CHILDREN.parent.parent, command("Hangs").removeprefix(COMMAND)
    asked = [sys.executable, str(root / "verify.py"), "--port-command", words, "--claims", EXACT, "--jobs", "1"]
    running = subprocess.Popen(
        asked, cwd=root, env=os.environ | {"CHILDREN": str(tmp_path)}, stdout=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert running.stdout is not None and running.stdout.readline().startswith("port command:")
    said = f"the program says: served reference, numpy {np.__version__}, deterministic yes\n"
    assert running.stdout.readline() == said
    time.sleep(0.5)
    running.send_signal(signal.SIGINT)
    rest: Any = running.communicate(timeout=60)[0]
    assert running.returncode == 2 and "interrupted" in rest and not left(tmp_path)
