"""The command line as users meet it: exit codes, messages, files, interruption, and ports that misbehave."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from properties import CLAIMS, OPERATORS

ROOT = Path(__file__).resolve().parent.parent
WRONG_GAE = "from reference import *\nfrom wrong_ports import WRONG\ngae = WRONG['gae/done-is-terminated-or-truncated'].function\n"


def command(*arguments: str) -> list[str]:
    return [sys.executable, str(ROOT / "verify.py"), *arguments]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}


def verify(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, cwd=cwd, env=environment(), timeout=300)


def port(folder: Path, text: str) -> str:
    path = folder / "my_port.py"
    path.write_text(text)
    return str(path)


def test_a_sound_port_holds(tmp_path: Path) -> None:
    done = verify("--ops", "gae", "--profile", "dev", "--json", str(tmp_path / "out.json"), "--junit", str(tmp_path / "out.xml"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip().splitlines()[-1].startswith("HOLDS")
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["verdict"] == "holds" and report["planned"] == len(report["results"])
    assert report["versions"]["numpy"] and {r["dtype"] for r in report["results"]} == {"float64", "float32", "bfloat16"}
    suites = ElementTree.parse(tmp_path / "out.xml").getroot()
    assert [suite.get("name") for suite in suites] == ["gae"]
    assert suites[0].get("failures") == "0" and len(suites[0].findall("testcase")) == len(report["results"])


def test_one_wrong_operator_is_named_and_no_other(tmp_path: Path) -> None:
    done = verify(
        "--port",
        port(tmp_path, WRONG_GAE),
        "--profile",
        "dev",
        "--claims",
        "returns,agreement,targets",
        "--junit",
        str(tmp_path / "o.xml"),
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.strip().splitlines()[-1].startswith("FAILS: gae —")
    assert "gae behaves like done-is-terminated-or-truncated: " in done.stdout
    assert "port.gae(" in done.stdout and "replay  python verify.py --port" in done.stdout
    failed = {s.get("name") for s in ElementTree.parse(tmp_path / "o.xml").getroot() if s.get("failures") != "0"}
    assert failed == {"gae"}


def test_the_replay_command_replays(tmp_path: Path) -> None:
    done = verify("--port", port(tmp_path, WRONG_GAE), "--profile", "dev", "--ops", "gae")
    replay = next(line for line in done.stdout.splitlines() if line.startswith("  replay  ")).split()[3:]
    again = verify(*replay)
    assert again.returncode == 1
    counterexample = done.stdout[done.stdout.index("  inputs") : done.stdout.index("  replay")]
    assert counterexample in again.stdout


def test_an_empty_module_is_not_green(tmp_path: Path) -> None:
    done = verify("--port", port(tmp_path, ""))
    assert done.returncode == 2
    assert "nothing was checked" in done.stdout and "absent operators: " in done.stdout


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("import not_there_at_all", "does not import: ModuleNotFoundError"),
        ("raise SystemExit(0)", "SystemExit"),
        ("1/0", "ZeroDivision"),
    ],
)
def test_a_module_that_does_not_import_gives_one_line(tmp_path: Path, text: str, says: str) -> None:
    done = verify("--port", port(tmp_path, text))
    assert done.returncode == 2
    assert says in done.stdout and len(done.stdout.strip().splitlines()) == 1 and not done.stderr


@pytest.mark.parametrize("where", ["no_such_module", "no/such/port.py", "1 + 1"])
def test_a_port_that_is_not_there_gives_one_line(where: str) -> None:
    done = verify("--port", where)
    assert done.returncode == 2
    assert where in done.stdout and len(done.stdout.strip().splitlines()) == 1 and not done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("--ops", "no_such_operator"),
        ("--claims", "no_such_claim"),
        ("--explain", "nothing"),
        ("--dtype", "float8"),
        ("--budget", "-1"),
        ("--jobs", "0"),
        ("--json", "no/such/folder/out.json"),
        ("--require", "no_such_operator"),
    ],
)
def test_bad_arguments_are_refused_before_anything_starts(arguments: tuple[str, str]) -> None:
    done = verify(*arguments)
    assert done.returncode == 2
    assert arguments[0] in done.stderr and not done.stdout


def test_required_operators_must_be_there(tmp_path: Path) -> None:
    text = "from reference import gae\n"
    assert (
        verify("--port", port(tmp_path, text), "--profile", "dev", "--claims", "gae_with_lambda_zero_is_the_td_error").returncode
        == 0
    )
    strict = verify("--port", str(tmp_path / "my_port.py"), "--profile", "dev", "--claims", "returns", "--require", "gae,expectile")
    assert strict.returncode == 2 and "required and absent: expectile" in strict.stdout


MISBEHAVING = {
    "exits": ("import sys", "sys.exit(0)", "raised SystemExit"),
    "crashes": ("import os, signal", "os.kill(os.getpid(), signal.SIGSEGV)", "crashes: the process died, signal 11 (SIGSEGV)"),
    "dies quietly": ("import os", "os._exit(0)", "crashes: the process died, exit status 0"),
    "hangs": ("import time", "time.sleep(600)", "hangs: a call did not return within 1 s"),
    "raises": ("", "raise RuntimeError('no kernel')", "raised RuntimeError on valid input: no kernel"),
    "answers text": ("", "return 'ready'", "must be real numbers"),
    "answers nothing": ("", "return None", "must be real numbers"),
    "answers another shape": ("", "return reference.gae(*a, **k)[..., None]", "shape"),
    "answers NaN": ("", "return reference.gae(*a, **k) * float('nan')", "found   nan"),
}


@pytest.mark.parametrize("how", MISBEHAVING)
def test_a_misbehaving_operator_costs_its_verdicts_and_not_the_run(tmp_path: Path, how: str) -> None:
    first, body, says = MISBEHAVING[how]
    text = f"{first}\nimport reference\nfrom reference import *\nprint('hello')\ndef gae(*a, **k):\n    {body}\n"
    claims = "gae_plus_value_is_the_lambda_return,gae_is_the_sum_of_discounted_td_errors,margin_zero_is_one_step"
    done = verify("--port", port(tmp_path, text), "--profile", "dev", "--claims", claims, "--patience", "1", "--jobs", "2")
    assert done.returncode == 1, done.stdout + done.stderr
    assert says in done.stdout.replace("[nan", "nan")
    assert done.stdout.strip().splitlines()[-1].startswith("FAILS: gae —")
    assert "2 hold" in done.stdout.splitlines()[-1], "the other operators are judged all the same"
    if how in ("crashes", "hangs"):
        assert "port.gae(" in done.stdout, "the fatal call is shown"


def test_a_port_that_hangs_on_bad_input_is_found_out(tmp_path: Path) -> None:
    body = "if np.iscomplexobj(reward):\n        time.sleep(600)\n    return reference.gae(reward, *a, **k)"
    text = f"import time\nimport numpy as np\nimport reference\ndef gae(reward, *a, **k):\n    {body}\n"
    done = verify("--port", port(tmp_path, text), "--profile", "dev", "--claims", "bad_input_is_rejected", "--patience", "1")
    assert done.returncode == 1 and "hangs: a call did not return within 1 s" in done.stdout, done.stdout


def test_a_port_that_dies_while_it_is_imported_gives_one_line(tmp_path: Path) -> None:
    done = verify("--port", port(tmp_path, "import os\nos._exit(3)"))
    assert done.returncode == 2
    assert "died while it was imported (exit status 3)" in done.stdout


def test_a_spent_budget_leaves_undecided_and_says_so() -> None:
    done = verify("--port", "reference", "--profile", "release", "--budget", "4", "--claims", "returns")
    assert done.returncode == 2
    assert "undecided" in done.stdout and "the budget of 4 s was spent" in done.stdout


def test_an_interrupted_run_says_what_it_knows() -> None:
    running = subprocess.Popen(
        command("--port", "reference", "--profile", "release", "--claims", "returns"),
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    assert running.stdout is not None
    assert running.stdout.readline().startswith("port reference")
    time.sleep(1.0)
    running.send_signal(signal.SIGINT)
    rest, _ = running.communicate(timeout=60)
    assert running.returncode == 2
    assert "interrupted: this is what is known so far" in rest


def test_list_shows_every_operator_and_claim() -> None:
    done = verify("--list")
    assert done.returncode == 0
    assert all(name in done.stdout for name in (*OPERATORS, *CLAIMS))


@pytest.mark.parametrize("name", ["gae_is_the_sum_of_discounted_td_errors", "gae"])
def test_explain_tells_the_sentence_and_the_source(name: str) -> None:
    done = verify("--explain", name)
    assert done.returncode == 0
    assert "Schulman et al. 2016" in done.stdout
    assert "fractions.Fraction" in done.stdout or "error bound" in done.stdout


def test_bugs_lists_the_catalogue_and_what_is_open() -> None:
    done = verify("--bugs", "--ops", "gae")
    assert done.returncode == 0
    assert "gae/rewards-shifted: " in done.stdout and "https://github.com/openai/spinningup/issues/50" in done.stdout
    assert "polyak_update/" not in done.stdout and "modular-rl-reward-filter-after-storing: " in done.stdout


def test_the_same_seed_gives_the_same_run(tmp_path: Path) -> None:
    def worst(seed: str) -> list[float]:
        verify(
            "--ops",
            "gae",
            "--claims",
            "port_equals_reference",
            "--profile",
            "dev",
            "--seed",
            seed,
            "--json",
            str(tmp_path / "o.json"),
        )
        return sorted(r["worst"] for r in json.loads((tmp_path / "o.json").read_text())["results"])

    assert worst("1") == worst("1") != worst("2")
