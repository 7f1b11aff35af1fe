"""The pytest plugin as a team uses it: in a folder with a port, its settings, and tests of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from xml.etree import ElementTree

import pytest

import verify
from properties._arguments import parse
from properties._in_pytest import not_worth_running
from properties._runner import Offer, Task

ROOT = Path(__file__).resolve().parent.parent
EXACT, SHIFT, MONOTONE = "maximum_and_mean_are_exact", "aggregates_shift_with_their_samples", "aggregates_are_monotone"
TELESCOPE, SHARES = "gae_with_lambda_one_is_return_minus_value", "greedy_shares_one_among_the_maximisers"
PORT = """
import os
import numpy as np
import reference

def mean_aggregate(q):
    return np.median(q, axis=-1)

def max_aggregate(q):
    os._exit(5)

def gae(reward, terminated, truncated, value, next_value, **knobs):
    return reference.gae(reward, terminated | truncated, truncated, value, next_value, **knobs)

def greedy(q):
    if q is not None:
        raise NotImplementedError("not this one")
    return q
"""
SOUND = "from reference import mean_aggregate\n"
DECLINING = "def greedy(q):\n    if q is not None:\n        raise NotImplementedError('not yet')\n    return q\n"
SETTINGS = f"""
port = "my_port.py"
profile = "dev"
claims = ["{EXACT}", "{SHIFT}", "{MONOTONE}", "{TELESCOPE}", "{SHARES}"]
""" + "".join(
    f"""
[[expected-failure]]
operator = "mean_aggregate"
claim = "{claim}"
reason = "a median, see ticket 7"
counterexample = "port.mean_aggregate(np.array([0.0, 1.0, 5.0]))"
expires = 2099-01-31
"""
    for claim in (EXACT, SHIFT)
)
QUICKLY = "import properties._self_check as suite\nsuite.self_check = str\n"
"""A conftest: the suite's check of itself is tried in one run, not in all."""
BROKEN = "import properties._self_check as suite\nsuite.self_check = lambda: 'planted'\n"


def folder(path: Path, port: str = SOUND, conftest: str = QUICKLY, settings: str = "") -> Path:
    for name, text in (("my_port.py", port), ("conftest.py", conftest), ("touchstone.toml", settings)):
        if text:
            (path / name).write_text(text)
    (path / "test_own.py").write_text("def test_own():\n    pass\n")
    return path


def tried(path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Pytest in that folder, with the plugin, whether this installation has its entry point yet or not."""
    installed = any(each.value == "pytest_touchstone" for each in entry_points(group="pytest11"))
    plugin = [] if installed else ["-p", "pytest_touchstone"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTEST_ADDOPTS": "", "COLUMNS": "400"}
    command = [sys.executable, "-m", "pytest", *plugin, "-p", "no:cacheprovider", "-W", "error", "-rA", *words]
    return subprocess.run(command, cwd=path, capture_output=True, text=True, env=environment, timeout=300)


def test_the_entry_point_is_declared() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    assert '[project.entry-points.pytest11]\ntouchstone = "pytest_touchstone"' in text
    assert '"pytest_touchstone"' in text.partition("py-modules")[2].splitlines()[0]


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """One whole run: everything that a trial can come to, beside a test of the team's own."""
    path = folder(tmp_path_factory.mktemp("team"), PORT, "", SETTINGS)
    words = ("--touchstone", "--junitxml=out.xml", "-k", f"not (max_aggregate and ({SHIFT} or {MONOTONE}))")
    return path, tried(path, *words)


Session = tuple[Path, subprocess.CompletedProcess[str]]


def test_each_trial_is_a_test_with_its_own_outcome(session: Session) -> None:
    _, done = session
    assert done.returncode == 1, done.stdout + done.stderr
    outcomes = {
        name: outcome for outcome, name in re.findall(r"^(PASSED|FAILED|XFAIL|ERROR) (\S+::\S+)", done.stdout, re.MULTILINE)
    }
    assert outcomes == {
        "test_own.py::test_own": "PASSED",
        f"touchstone::mean_aggregate::{EXACT}[float64]": "XFAIL",
        f"touchstone::mean_aggregate::{SHIFT}[float64]": "FAILED",
        f"touchstone::mean_aggregate::{MONOTONE}[float64]": "PASSED",
        f"touchstone::max_aggregate::{EXACT}[float64]": "FAILED",
        f"touchstone::gae::{TELESCOPE}[float64]": "FAILED",
    }
    assert re.search(r"SKIPPED \[1\] .*my_port.py declines greedy: not this one", done.stdout)
    assert re.search(r"3 failed, 2 passed, 1 skipped, 2 deselected, 1 xfailed", done.stdout)


def test_what_failed_is_said_as_verify_says_it(
    session: Session, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, done = session
    monkeypatch.chdir(path)
    monkeypatch.setattr(verify, "self_check", str)
    assert verify.main(["--claims", TELESCOPE, "--ops", "gae", "--jobs", "1"]) == 1
    printed = capsys.readouterr().out
    failure = printed[printed.index("gae fails: ") : printed.index("FAILS: gae")].strip()
    assert "behaves like done-is-terminated-or-truncated" in failure and "  replay  python verify.py" in failure
    assert failure in done.stdout
    assert "Traceback" not in done.stdout


def test_a_crash_is_a_failed_test_with_its_call(session: Session) -> None:
    _, done = session
    text = done.stdout[done.stdout.index(f"max_aggregate fails: {EXACT}") :]
    assert "crashes: the process died, exit status 5" in text and "port.max_aggregate(" in text


def test_expected_failures_are_strict(session: Session) -> None:
    _, done = session
    assert "a median, see ticket 7 (until 2099-01-31)" in done.stdout
    assert f"touchstone.toml: expected failure mean_aggregate, {SHIFT}[float64] no longer fails: remove it" in done.stdout


def test_the_summary_tells_what_is_absent_and_the_versions(session: Session) -> None:
    _, done = session
    summary = done.stdout.partition("= touchstone =")[2]
    assert "absent operators: action_values, " in summary and "versions: python " in summary
    assert "touchstone: port my_port.py, profile dev, seed 0, 8 trials" in done.stdout
    assert "touchstone: settings of touchstone.toml: 2 expected failures" in done.stdout


def test_junit_groups_by_operator(session: Session) -> None:
    path, _ = session
    cases = list(ElementTree.parse(path / "out.xml").iter("testcase"))
    named = {(case.get("classname"), case.get("name")) for case in cases}
    assert ("touchstone.gae", f"{TELESCOPE}[float64]") in named and len(cases) == 7
    failure = next(case for case in cases if case.get("classname") == "touchstone.gae").find("failure")
    assert failure is not None and "Schulman" in (failure.text or "")


def test_xdist_shares_the_trials_among_its_processes(tmp_path: Path) -> None:
    path = folder(tmp_path, SOUND, settings=f'port = "my_port.py"\nprofile = "dev"\nclaims = ["{EXACT}", "{SHIFT}"]\n')
    done = tried(path, "--touchstone", "-n", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.findall(r"^PASSED (\S+)", done.stdout, re.MULTILINE)
    assert sorted(passed) == sorted(
        ["test_own.py::test_own", *(f"touchstone::mean_aggregate::{claim}[float64]" for claim in (EXACT, SHIFT))]
    )
    assert "versions: python " in done.stdout


def test_node_ids_choose_and_collection_alone_tries_nothing(tmp_path: Path) -> None:
    words = ["--touchstone-port", "my_port", "--collect-only", "-q", "--touchstone-claims", "aggregates"]
    done = tried(folder(tmp_path, conftest=BROKEN), *words, f"touchstone::mean_aggregate::{SHIFT}")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, f"touchstone::mean_aggregate::{SHIFT}[float64]")
    assert "1 test collected" in done.stdout


def test_a_suite_that_is_broken_is_not_believed(tmp_path: Path) -> None:
    done = tried(folder(tmp_path, conftest=BROKEN), "--touchstone-port", "my_port.py", "--touchstone-claims", SHIFT)
    assert done.returncode == 3
    assert "touchstone: self-check failed, no verdict can be believed: planted" in done.stdout
    assert "PASSED" not in done.stdout


def test_nothing_to_try_and_what_is_required_are_usage_errors() -> None:
    offer = Offer(("float64",), ("gae",), {}, {})
    assert not_worth_running(parse(["--port", "p"]), offer, []) == "port p offers nothing that could be tried"
    assert (
        not_worth_running(parse(["--require", "gae,greedy"]), offer, [Task(TELESCOPE, "gae", "float64")])
        == "required and absent: greedy"
    )
    assert not_worth_running(parse(["--require", "gae"]), offer, [Task(TELESCOPE, "gae", "float64")]) == ""


def test_a_port_that_declines_everything_is_not_green(tmp_path: Path) -> None:
    done = tried(
        folder(tmp_path, DECLINING), "--touchstone-port=my_port.py", "--touchstone-profile=dev", f"--touchstone-claims={SHARES}"
    )
    assert done.returncode == 1
    assert "NOT VERIFIED: the port declines everything that was tried" in done.stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--touchstone-port", "lost"], "touchstone: port lost does not import: ModuleNotFoundError: No module named 'lost'"),
        (["--touchstone-port", "my_port", "--touchstone-ops", "gea"], "--touchstone-ops: no operator is called 'gea'; see --list"),
        (["--touchstone-seed", "1"], "--touchstone-seed: needs --touchstone-port, --touchstone-command or --touchstone"),
        (["--touchstone"], "--touchstone: needs a touchstone.toml here that names the port"),
    ],
)  # fmt: skip
def test_a_mistake_is_a_usage_error_of_one_line(tmp_path: Path, words: list[str], says: str) -> None:
    done = tried(folder(tmp_path), *words)
    assert done.returncode == 4
    assert [line for line in done.stderr.splitlines() if line] == [f"ERROR: {says}"]


def test_without_its_options_the_plugin_costs_nothing(tmp_path: Path) -> None:
    check = "import sys\ndef pytest_sessionfinish():\n    print('loaded', sorted({'properties', 'numpy'} & set(sys.modules)))\n"
    done = tried(folder(tmp_path, conftest=check), "-p", "no:hypothesispytest")
    assert done.returncode == 0 and "loaded []" in done.stdout and "touchstone:" not in done.stdout
