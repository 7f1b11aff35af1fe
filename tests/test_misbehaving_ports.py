"""Ports that misbehave: each gets its verdict, no other operator is accused, and the run goes on to its end."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from properties._claim import SENTENCES, Call
from properties._ports import COMMAND, load_port
from properties._run import Effort, run
from properties._trial import Trial

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = Path(__file__).with_name("misbehaving_program.py")
CLAIMS = ("port_equals_reference", "dtype_is_kept")
FRAME = "writes to stdout "
SOUND = ("max_aggregate", "mean_aggregate", "pinball_loss", "expectile_loss_gradient")
"""Those that answer in pieces, slowly, or while they flood stderr are among them."""
GUILTY: dict[str, tuple[str, ...]] = {
    "gae": (r"^crashes: the program died, signal 11 \(SIGSEGV\)",) * 2,
    "margin_returns": (r"^crashes: the program died, signal 6 \(SIGABRT\)",) * 2,
    "q_learning_target": ("^crashes: the program died, exit status 0",) * 2,
    "sarsa_target": ("^hangs: a call did not return within 1 s",) * 2,
    "expected_sarsa_target": ("^hangs: a call did not return within 1 s",) * 2,
    "discounted_returns": (f"^{FRAME}what is no frame; it begins with b'gamma is 0.9",) * 2,
    "n_step_returns": (f"^{FRAME}a frame that holds no message",) * 2,
    "expectile_loss": (rf"^{FRAME}(what was not asked for|what is no frame); it begins with b'done\\n'",) * 2,
    "double_q_target": (f"^{FRAME}what is no frame; it begins with b'TSF1",) * 2,
    "log_mean_exp": (f"^{FRAME}a frame that holds no message",) * 2,
    "exponential_weights": (f"^{FRAME}another call's answer: it is to call 0, where call ",) * 2,
    "normalized_weights": ("", ""),
    "clipped_double_target": ("", ""),
    "soft_target": (r"^the result has shape \(1,.*\), due is \(", ""),
    "value_target": ("", "^the result must be float64; got float32"),
    "lambda_returns": ("", "^the result must be floating; got bool"),
    "boltzmann": ("", "^the result must be floating; got int64"),
    "gaussian_entropy": (f"^{FRAME}a frame that is no answer: results must be called 0, 1, ...; got none",) * 2,
    "expectile": ("", "^the result could not be used"),
}
"""What is said of each of the two claims."""
KEPT = ("normalized_weights", "clipped_double_target", "soft_target")
"""Numbers of the right type, however wrong, keep the second claim."""


def verified(folder: Path, *words: str) -> tuple[int, dict[str, Any], str]:
    """The exit status, the report and the output of a run."""
    report = folder / "report.json"
    command = [sys.executable, "verify.py", "--profile", "dev", "--json", str(report), *words]
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, env=os.environ | {"PYTHONPATH": path})
    assert not done.stderr, done.stderr
    return done.returncode, json.loads(report.read_text()) if report.exists() else {}, done.stdout


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """The program at a path of its own, by which its processes are known."""
    return Path(shutil.copy(PROGRAM, tmp_path / "program.py"))


def command(program: Path, *words: str) -> str:
    return shlex.join([sys.executable, "-S", str(program), *words])


def processes(program: Path) -> list[int]:
    """Those that run the program."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        found += [int(folder.name)] if str(program).encode() in words else []
    return found


def gone(program: Path, seconds: float = 10.0) -> bool:
    """Whether no process of the program is left within that time."""
    ends = time.monotonic() + seconds
    while processes(program) and time.monotonic() < ends:
        time.sleep(0.05)
    return not processes(program)


# ------------------------------------------------------------------------------------------------------- a program
def test_a_program_that_misbehaves_gets_its_verdicts_and_the_run_goes_on(program: Path, tmp_path: Path) -> None:
    words = ("--port-command", command(program), "--patience", "1", "--jobs", "2", "--claims", ",".join(CLAIMS))
    status, report, output = verified(tmp_path, *words)
    assert status == 1 and output.strip().splitlines()[-1].startswith("FAILS: "), output
    found = {(each["operator"], each["claim"]): each for each in report["results"]}
    assert len(found) == report["planned"] == 2 * (len(SOUND) + len(GUILTY))
    for operator in SOUND:
        assert [found[operator, claim]["verdict"] for claim in CLAIMS] == ["holds", "holds"], operator
    for operator, details in GUILTY.items():
        for claim, detail in zip(CLAIMS, details, strict=True):
            verdict = "holds" if operator in KEPT and claim == CLAIMS[1] else "fails"
            result = found[operator, claim]
            assert result["verdict"] == verdict and re.search(detail, result["detail"]), result
            assert verdict == "holds" or f"port.{operator}(" in result["paste"]
    assert found["clipped_double_target", CLAIMS[0]]["found"].count("nan")
    assert gone(program)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("prints", "did not introduce itself: writes to stdout what is no frame; it begins with b'loading the model"),
        ("exits", "did not introduce itself: crashes: the program died, exit status 1; there is no model"),
    ],
)
def test_a_program_that_does_not_introduce_itself_is_no_port(how: str, said: str, program: Path, tmp_path: Path) -> None:
    status, report, output = verified(tmp_path, "--port-command", command(program, how))
    assert status == 2 and said in output and not report
    assert gone(program)


def test_an_interrupted_run_leaves_no_hanging_program(program: Path) -> None:
    words = ["--port-command", command(program), "--ops", "sarsa_target", "--jobs", "1", "--profile", "dev", "--patience", "60"]
    with subprocess.Popen(
        [sys.executable, "verify.py", *words],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    ) as begun:
        assert begun.stdout is not None
        try:
            while " trials: " not in (line := begun.stdout.readline()):
                assert line
            time.sleep(1.0)
            assert processes(program)
            begun.send_signal(signal.SIGINT)
            output, errors = begun.communicate(timeout=60)
        finally:
            begun.kill()
    assert begun.returncode == 2 and "interrupted" in output and not errors, output + errors
    assert gone(program)


def test_what_is_left_on_stdout_is_not_blamed_on_the_next_operator(program: Path) -> None:
    port, once = load_port(COMMAND + command(program)), Effort(examples=2, table_examples=0, seconds=20.0, climb=False)
    left = run(SENTENCES["critics_loss_is_squared"], "expectile_loss", port, once)
    time.sleep(0.2)
    next_one = run(SENTENCES["port_equals_reference"], "pinball_loss", port, once)
    assert (left.verdict, next_one.verdict) == ("fails", "holds"), (left, next_one)


# ----------------------------------------------------------------------------------------------------- in Python
IN_PYTHON = """
import sys, time
import numpy as np
import reference
from reference import max_aggregate

def pinball_loss(*arguments, **keywords):
    print("stdout", flush=True); print("x" * 100_000, file=sys.stderr); time.sleep(0.005)
    return reference.pinball_loss(*arguments, **keywords)

def clipped_double_target(reward, *_, **__): return np.full_like(reward, np.nan)
def soft_target(reward, *_, **__): return np.zeros((1, *reward.shape))
def value_target(reward, *_, **__): return np.zeros(reward.shape, dtype=np.float32)
def lambda_returns(reward, *_, **__): return np.ones(reward.shape, dtype=bool)
def boltzmann(q, *_, **__): return np.zeros(q.shape, dtype=np.int64)
def log_mean_exp(q, **__): return "high"
def gaussian_entropy(*_, **__): return ()
def expectile(values, *_, **__): return values[..., 0], values[..., 0]
def gae(reward, *_, **__): return None

before = 0.5
def normalized_weights(advantage, *_, **__):
    global before
    before, answer = np.full_like(advantage, advantage.sum()), before
    return answer
"""


def test_a_module_that_misbehaves_gets_its_verdicts_and_the_run_goes_on(tmp_path: Path) -> None:
    port = tmp_path / "misbehaving_module.py"
    port.write_text(IN_PYTHON)
    status, report, output = verified(tmp_path, "--port", str(port), "--jobs", "1", "--claims", ",".join(CLAIMS))
    verdicts = {(each["operator"], each["claim"]): each["verdict"] for each in report["results"]}
    guilty = {"clipped_double_target", "soft_target", "value_target", "lambda_returns", "boltzmann", "log_mean_exp",
              "gaussian_entropy", "expectile", "gae", "normalized_weights"}  # fmt: skip
    assert status == 1 and len(verdicts) == report["planned"] == 2 * (len(guilty) + 2), output
    for operator in ("max_aggregate", "pinball_loss"):
        assert [verdicts[operator, claim] for claim in CLAIMS] == ["holds", "holds"], output
    for operator in guilty:
        assert verdicts[operator, CLAIMS[0]] == "fails", operator
        assert verdicts[operator, CLAIMS[1]] == ("holds" if operator in KEPT else "fails"), operator


# ---------------------------------------------------------------------------------------------------------- memory
CASES = 5000


def resident(process: int) -> float:
    """Megabytes of memory that a process has."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="there is no /proc")
def test_memory_stays_bounded_over_many_cases(program: Path) -> None:
    port = load_port(COMMAND + command(program))
    trial, sizes = Trial(port, "pinball_loss"), []
    (child,) = processes(program)
    for case in range(CASES):
        trial.clear()
        errors = np.full((50, 40), float(case))
        assert trial.result(Call((errors,), {"quantile": 0.5})).shape == errors.shape
        if case in (CASES // 5, CASES - 1):
            sizes.append((resident(os.getpid()), resident(child)))
    assert processes(program) == [child]
    grown = np.subtract(sizes[1], sizes[0])
    assert (grown < 8.0).all(), f"megabytes grown in {CASES * 4 // 5} cases of {errors.nbytes} bytes: {grown}"
    del trial, port
    assert gone(program)
