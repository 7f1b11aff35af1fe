"""The C++ port: it holds in both types, its planted bug is found and named, and no frame makes it misbehave."""

from __future__ import annotations

import io
import json
import random
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from properties._claim import Call
from properties._frames import Message, framed, packed, received
from properties._functions import Linear
from properties._wire import encoded, named

ROOT = Path(__file__).resolve().parent.parent
CPP = ROOT / "examples" / "ports" / "cpp"
OPERATORS = {"gae", "expectile_loss", "log_mean_exp", "conjugate_gradient"}
SOURCES = ("safetensors.hpp", "touchstone.hpp", "arguments.hpp", "port.cpp")
SCREEN = 50
MUTANTS = 2000
WATCHED = ("-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


# -------------------------------------------------------------------------------------------------------- building
@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with ./port and ./planted."""
    if not shutil.which("g++") or not shutil.which("make"):
        pytest.skip("there is no g++, or no make")
    folder = tmp_path_factory.mktemp("cpp")
    for name in ("Makefile", *SOURCES):
        shutil.copy(CPP / name, folder)
    for words in (["port"], ["planted", "CXXFLAGS=-std=c++17"]):  # the flags that are shipped, and what compiles faster
        subprocess.run(["make", "-C", str(folder), *words], check=True, capture_output=True, text=True)
    return folder


@pytest.fixture(scope="module")
def watched(built: Path) -> Path:
    """The same port with the compiler's checks of memory and arithmetic built in, where it has them."""
    program = built / "watched"
    command = ["g++", "-std=c++17", *WATCHED, "-o", str(program), str(CPP / "port.cpp")]
    if subprocess.run(command, capture_output=True).returncode != 0 or fed(program, greeting())[0] != 0:
        pytest.skip("g++ has no -fsanitize=address,undefined")
    return program


def verified(program: Path, report: Path, *words: str) -> tuple[int, dict[str, Any]]:
    """The exit status and the report of a run."""
    command = [sys.executable, "verify.py", "--port-command", str(program), "--profile", "dev", "--json", str(report), *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert report.exists(), done.stdout + done.stderr
    return done.returncode, json.loads(report.read_text())


# -------------------------------------------------------------------------------------------------------- verdicts
def test_the_port_holds_in_both_types(built: Path, tmp_path: Path) -> None:
    status, report = verified(built / "port", tmp_path / "report.json")
    assert status == 0
    assert (report["verdict"], report["dtypes"]) == ("holds", ["float64", "float32"])
    assert {each["operator"] for each in report["results"]} == OPERATORS and not OPERATORS & set(report["absent"])
    unheld = {(each["operator"], each["claim"]): each["verdict"] for each in report["results"] if each["verdict"] != "holds"}
    assert unheld == {
        ("gae", "no_gradient_flows_into_constants"): "absent",
        ("log_mean_exp", "differentiating_log_mean_exp_gives_the_softmax"): "absent",
    }
    for operator in OPERATORS:
        held = {(each["claim"], each["dtype"]) for each in report["results"] if each["operator"] == operator}
        assert {("port_equals_reference", "float64"), ("port_equals_reference", "float32")} <= held
        assert {("bad_input_is_rejected", "float64"), ("rejections_name_rule_value_and_place", "float64")} <= held


def test_the_planted_bug_is_found_shrunk_and_named(built: Path, tmp_path: Path) -> None:
    words = ("--claims", "gae_with_lambda_one_is_return_minus_value")
    status, report = verified(built / "planted", tmp_path / "report.json", *words)
    assert status == 1
    failures = [each for each in report["results"] if each["verdict"] == "fails"]
    assert {each["operator"] for each in failures} == {"gae"}
    (found,) = [each for each in failures if each["claim"] == "gae_with_lambda_one_is_return_minus_value"]
    assert found["paste"].count("np.array([False])") == found["paste"].count("np.array([True])") == 1, found["paste"]
    (diagnosis,) = report["diagnosis"]
    assert [each["mistake"] for each in diagnosis["mistakes"]] == ["done-is-terminated-or-truncated"]


def test_the_example_is_short_enough_to_copy() -> None:
    lengths = {path.name: len(path.read_text().splitlines()) for path in CPP.glob("*.?pp")}
    assert set(lengths) == set(SOURCES)
    assert max(lengths.values()) <= 5 * SCREEN and sum(lengths.values()) <= 15 * SCREEN
    assert "ffast-math" not in (CPP / "Makefile").read_text()


# ---------------------------------------------------------------------------------------------------------- frames
def greeting() -> bytes:
    return framed(Message({"touchstone": "1"}))


def request(operator: str, *arguments: Any, dtype: str = "float64", **keywords: Any) -> Message:
    """A call as it goes down the pipe."""
    message = encoded(named(operator, Call(arguments, keywords), defaults=True))
    return Message({"operator": operator, "dtype": dtype, "device": "cpu", "call": "7", **message.texts}, message.arrays)


def requests() -> list[Message]:
    path = (np.array([[1.0, 2.0]]), np.array([[False, True]]), np.array([[True, False]]), np.ones((1, 2)), np.ones((1, 2)))
    return [
        request("gae", *path, lambda_=0.5, discount=0.9),
        request("gae", *path, lambda_=0.5, discount=np.full((1, 2), 0.9)),
        request("gae", *(each.astype(np.float32) if each.dtype == float else each for each in path), lambda_=1.0, discount=0.9,
                dtype="float32"),
        request("expectile_loss", np.array([1.0, -2.0]), expectile=0.7),
        request("log_mean_exp", np.arange(6.0).reshape(2, 3), temperature=0.5),
    ]  # fmt: skip


def solving() -> Message:
    return request("conjugate_gradient", Linear(np.eye(2)), np.ones(2), iterations=3, tolerance=0.0, damping=1.0)


def fed(program: Path, stream: bytes) -> tuple[int, list[Message], str]:
    """Exit status, answers and stderr of a program that reads these bytes; what it writes must be frames."""
    done = subprocess.run([str(program)], input=stream, capture_output=True, timeout=60)
    pipe, answers = io.BytesIO(done.stdout), []
    while pipe.tell() < len(done.stdout):
        answers.append(received(pipe.read))
    return done.returncode, answers, done.stderr.decode(errors="replace")


def changed(message: Message, **arrays: Any) -> bytes:
    return framed(Message(message.texts, {**message.arrays, **arrays}))


def test_calls_are_answered_in_their_type(built: Path) -> None:
    status, answers, errors = fed(built / "port", greeting() + b"".join(map(framed, requests())))
    assert (status, errors) == (0, "") and set(answers[0].texts["operators"].split()) == OPERATORS
    assert [answer.texts for answer in answers[1:]] == [{"status": "ok", "call": "7"}] * 5
    assert [str(answer.arrays["0"].dtype) for answer in answers[1:]] == ["float64", "float64", "float32", "float64", "float64"]
    np.testing.assert_allclose(answers[4].arrays["0"], [0.7, 1.2], rtol=1e-15)


def test_a_function_is_asked_back(built: Path) -> None:
    reply = framed(Message({"status": "ok"}, {"0": np.ones(2)}))
    status, answers, _ = fed(built / "port", framed(solving()) + reply)
    assert [answer.texts.get("ask", "") for answer in answers] == ["matvec", ""] and status == 0
    assert answers[1].arrays["0"].tolist() == [0.5, 0.5] and answers[1].arrays["1"].dtype == np.int64
    status, answers, errors = fed(built / "port", framed(solving()))
    assert status == 1 and len(answers) == 1 and "stdin ended while matvec was asked" in errors


def test_messages_that_are_none_are_answered_with_an_error_and_the_next_is_served(built: Path) -> None:
    gae = requests()[0]
    data = packed(gae)
    spoilt = [b"", b"\0" * 7, data[:-1], data + b"\0", (2**63).to_bytes(8, "little") + data[8:],
              data.replace(b"[16,32]", b"[16,99]"), data.replace(b"F64", b"F63"), data.replace(b"[1,2]", b"[9,9]"),
              data.replace(b'"shape"', b'"shape'), data.replace(b"data_offsets", b"data_offsetz"),
              data.replace(b"[1,2]", b"[1,-]"), data.replace(b'"call":"7"', b'"call":"\\u12')]  # fmt: skip
    assert all(each != data for each in spoilt)
    stream = b"".join(struct.pack("<4sI", b"TSF1", len(each)) + each for each in spoilt)
    status, answers, errors = fed(built / "port", stream + framed(gae))
    assert (status, errors, len(answers)) == (0, "", len(spoilt) + 1)
    assert {answer.texts["status"] for answer in answers[:-1]} == {"error"} and answers[-1].texts["status"] == "ok"


def test_arguments_that_are_wrong_are_refused_or_missed(built: Path) -> None:
    gae = requests()[0]
    without = Message(gae.texts, {name: array for name, array in gae.arrays.items() if name != "value"})
    other = Message({**gae.texts, "operator": "nae"}, gae.arrays)
    half = changed(gae, reward=np.ones((1, 2), dtype=np.float16))
    flags = changed(gae, terminated=np.ones((1, 2)))
    short = changed(gae, value=np.ones((1, 1)))
    status, answers, _ = fed(built / "port", framed(without) + framed(other) + half + flags + short)
    said = [(answer.texts["status"], answer.texts["message"]) for answer in answers]
    assert status == 0 and said == [
        ("error", "the call has no argument value"),
        ("declined", "no operator, or no derivative of it: nae"),
        ("declined", "reward is float16, which this port does not read"),
        ("refused", "terminated must be boolean; got float64"),
        ("refused", "value has shape (1, 1), reward has shape (1, 2); they must be equal"),
    ]


@pytest.mark.parametrize(
    "stream", [b"hello, world", b"TSF1\xff\xff\xff\xff", b"TSF1\0\0\0\x40", b"TSF", framed(Message({"a": "b"}))[:-3]]
)
def test_a_stream_without_frames_ends_the_program(built: Path, stream: bytes) -> None:
    status, answers, errors = fed(built / "port", stream)
    assert status == 1 and not answers and ("frame" in errors)


# ------------------------------------------------------------------------------------------------------- any bytes
def mutated(data: bytes, choose: random.Random) -> bytes:
    """Bytes overwritten, cut out, doubled, or a number of the header replaced."""
    spoilt = bytearray(data)
    for _ in range(choose.randint(1, 3)):
        place = choose.randrange(len(spoilt))
        end = place + choose.randint(1, 8)
        piece = choose.choice(
            [bytes([choose.randrange(256)]), b"", bytes(spoilt[place:end]) * 2, b"99999999999999999999", b'"', b"[]"]
        )
        spoilt[place : choose.choice([place + len(piece), end])] = piece
        spoilt = spoilt or bytearray(1)
    return bytes(spoilt)


def test_no_message_makes_it_read_or_write_out_of_bounds(watched: Path) -> None:
    choose = random.Random(7)
    bodies = [mutated(packed(choose.choice(requests())), choose) for _ in range(MUTANTS)]
    stream = b"".join(struct.pack("<4sI", b"TSF1", len(each)) + each for each in bodies)
    status, count, errors = _tally(watched, stream)
    assert (status, errors) == (0, "") and count == MUTANTS


def test_a_header_that_claims_to_wrap_round_is_not_read(watched: Path) -> None:
    body = (2**64 - 4).to_bytes(8, "little") + b'{"reward'
    status, answers, errors = fed(watched, struct.pack("<4sI", b"TSF1", len(body)) + body)
    assert (status, errors) == (0, "") and answers[0].texts["message"] == "the header is longer than the message"


def test_no_answer_to_a_function_nor_stream_does(watched: Path) -> None:
    choose = random.Random(8)
    reply = framed(Message({"status": "ok"}, {"0": np.ones(2)}))
    for _ in range(20):
        whole = b"".join(framed(solving()) + reply for _ in range(5))
        bodies = [mutated(packed(solving()), choose), mutated(reply[8:], choose)] * 5
        framing = b"".join(struct.pack("<4sI", b"TSF1", len(each)) + each for each in bodies)
        for stream in (mutated(whole, choose), framing):
            status, _, errors = _tally(watched, stream)
            assert status in (0, 1) and "Sanitizer" not in errors and "runtime error" not in errors, errors


def _tally(program: Path, stream: bytes) -> tuple[int, int, str]:
    """Exit status, number of frames and stderr, whatever the texts of the answers are."""
    done = subprocess.run([str(program)], input=stream, capture_output=True, timeout=60)
    place, count = 0, 0
    while place < len(done.stdout):
        mark, size = struct.unpack_from("<4sI", done.stdout, place)
        assert mark == b"TSF1"
        place, count = place + 8 + size, count + 1
    assert place == len(done.stdout)
    return done.returncode, count, done.stderr.decode(errors="replace")
