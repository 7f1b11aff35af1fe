"""touchstone.toml: what it says is done, what it expects is held to its word, and every mistake in it is one line."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest

import verify
from properties._arguments import parse
from properties._failure import Failure
from properties._port_settings import Settings, judged
from properties._run import ABSENT, FAILS, HOLDS, UNDECIDED, Result
from properties._runner import Task
from properties._settings_file import SettingsError, read_settings

OPERATOR, WRONG, RIGHT = "mean_aggregate", "maximum_and_mean_are_exact", "aggregates_shift_with_their_samples"
MEDIAN = "import numpy as np\ndef mean_aggregate(q):\n    return np.median(q, axis=-1)\n"
"""Shifts with its samples, and is no mean."""
TODAY = datetime.date(2026, 6, 1)
PASTE = "port.mean_aggregate(np.array([0.0, 1.0, 5.0]))"


def entry(**changed: str) -> str:
    """One expected failure."""
    said = {
        "operator": f'"{OPERATOR}"',
        "claim": f'"{WRONG}"',
        "reason": '"why"',
        "counterexample": f"'{PASTE}'",
        "expires": "2099-01-31",
    }
    return "[[expected-failure]]\n" + "\n".join(f"{key} = {value}" for key, value in (said | changed).items() if value) + "\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "touchstone.toml"
    path.write_text(text)
    return path


def settings(folder: Path, text: str) -> Settings:
    return read_settings(written(folder, text))


# -------------------------------------------------------------------------------------------------------------- the file
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("port = ", "TOML"),
        ("prot = 'x'", "key: 'prot' is not known; did you mean 'port'?"),
        ("port = 3", "port must be a text; got 3"),
        ("port = 'a'\nport-command = 'b'", "port-command is given, too"),
        ("port-command = \"./a 'b\"", "port-command must be a command"),
        ("ops = 'gae'", "ops must be a list of names; got 'gae'"),
        ("ops = ['gea']", "ops: 'gea' is not known; did you mean 'gae'?"),
        ("claims = ['retruns']", "did you mean 'returns'?"),
        ("dtypes = ['float16']", "dtypes: 'float16' is not known"),
        ("profile = 'CI'", "profile: 'CI' is not known"),
        ("require = ['everything']", "require: 'everything' is not known"),
        ("patience = 0", "patience must be a positive number of seconds; got 0"),
        ("patience = true", "patience must be a positive number of seconds; got True"),
        ("[conventions]\nties = 'last'", "'ties' must be one of ['first']; got 'ties': 'last'"),
        ("[conventions]\nties = 1", "conventions must be a table of texts"),
        ("conventions = 1", "conventions must be a table of texts; got 1"),
        ("expected-failure = 1", "each is a table of its own, [[expected-failure]]"),
        (entry(operater="'x'"), "[[expected-failure]] 1: key: 'operater' is not known; did you mean 'operator'?"),
        (entry(reason=""), "reason is missing"),
        (entry(reason="'  '"), "reason must be a text; got '  '"),
        (entry(claim="'no'"), "claim: 'no' is not known"),
        (entry(claim="'gae_with_lambda_zero_is_the_td_error'"), "is not about mean_aggregate"),
        (entry(dtype="'float16'"), "dtype: 'float16' is not known"),
        (entry(expires="'2099-01-31'"), "expires must be a date, as in 2027-01-31 without quotes; got '2099-01-31'"),
        (entry(expires="2099-01-31T00:00:00"), "expires must be a date"),
        (entry(expires=""), "expires is missing"),
        (entry(counterexample="'lost.safetensors'"), "lost.safetensors is no failure file that can be read"),
        (entry(counterexample="'see the wiki'"), "counterexample must be a .safetensors file or Python; got 'see the wiki'"),
        (entry(counterexample="'port.gae([1.0])'"), "counterexample must call port.mean_aggregate"),
        (entry() + entry(), "[[expected-failure]] 2: claim: mean_aggregate, maximum_and_mean_are_exact is expected twice"),
        (entry() + entry(dtype="'float64'"), "is expected twice"),
        ("ops = ['gae']\n" + entry(), "mean_aggregate is not among the file's ops: gae"),
        ("claims = ['returns']\n" + entry(), "is not among the file's claims: returns"),
        ("dtypes = ['float32']\n" + entry(dtype="'float64'"), "float64 is not among the file's dtypes: float32"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_with_file_key_and_value(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(SettingsError) as refused:
        settings(tmp_path, text)
    line = str(refused.value)
    assert says in line and line.startswith(str(tmp_path / "touchstone.toml")) and "\n" not in line


def test_a_counterexample_may_be_a_failure_file_about_the_same(tmp_path: Path) -> None:
    about = Failure(claim=WRONG, operator=OPERATOR, dtype="float64", port="p", seed=0, profile="dev")
    (tmp_path / "one.safetensors").write_bytes(about.packed())
    assert settings(tmp_path, entry(counterexample="'one.safetensors'")).expected[0].counterexample == "one.safetensors"
    with pytest.raises(SettingsError, match=f"is about {OPERATOR}, {WRONG}; {OPERATOR}, {RIGHT} is due"):
        settings(tmp_path, entry(counterexample="'one.safetensors'", claim=f"'{RIGHT}'"))


def test_the_command_line_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, "port = 'my.port'\nops = ['gae']\nprofile = 'dev'\npatience = 5\nrequire = ['all']\ndtypes = ['float64']\n")
    monkeypatch.chdir(tmp_path)
    read = parse([])
    assert (read.port, read.ops, read.profile, read.patience, read.dtypes) == ("my.port", ("gae",), "dev", 5.0, ("float64",))
    assert len(read.require) > 90
    given = parse(["--profile", "deep", "--ops", "expectile", "--patience", "7", "--dtype", "float32"])
    assert (given.port, given.ops, given.profile, given.patience, given.dtypes) == (
        "my.port", ("expectile",), "deep", 7.0, ("float32",),
    )  # fmt: skip
    assert parse(["--list"]).ops == ()


def test_a_file_of_another_port_is_not_used_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, "port = 'my_port.py'\nops = ['mean_aggregate']\n" + entry())
    monkeypatch.chdir(tmp_path)
    other, same = parse(["--port", "reference"]), parse(["--port", "./my_port.py"])
    assert other.ops == () and other.settings and not other.settings.expected
    assert other.settings.line == "settings: touchstone.toml is for port my_port.py, and not used"
    assert same.ops == (OPERATOR,) and same.settings and len(same.settings.expected) == 1
    asked = parse(["--port", "reference", "--config", "touchstone.toml"])
    assert asked.port == "reference" and asked.ops == (OPERATOR,) and asked.setting.conventions == {}


def test_paths_in_the_file_are_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    for text, port in (
        ("port = 'my_port.py'", "sub/my_port.py"),
        ("port = 'a.module'", "a.module"),
        ("port-command = './my_port --fast'", "command:sub/my_port --fast"),
        ("port-command = 'python serve.py'", "command:python serve.py"),
    ):
        path = written(tmp_path / "sub", text)
        assert parse(["--config", str(path.relative_to(tmp_path))]).port == port
    assert settings(tmp_path, "port-command = './my port'").options["port"] == "command:./my port"


# ------------------------------------------------------------------------------------------------------------ judgement
def trial(verdict: str, dtype: str = "float64", claim: str = WRONG) -> Result:
    return Result(claim, OPERATOR, dtype, verdict)


def judge(known: Settings, *results: Result) -> tuple[int, int, int, int, bool]:
    tasks = [Task(r.claim, r.operator, r.dtype) for r in results]
    found = judged(results, known, tasks, TODAY)
    parts = (found.expected, found.unexpected_passes, found.expired, found.unmatched)
    assert len(found.lines) == sum(map(len, parts[1:]))
    return (*map(len, parts), found.broken)  # type: ignore[return-value]


def test_expected_failures_are_strict(tmp_path: Path) -> None:
    known = settings(tmp_path, entry())
    assert judge(known, trial(FAILS), trial(FAILS, claim=RIGHT)) == (1, 0, 0, 0, False)
    assert judge(known, trial(FAILS), trial(HOLDS, "float32")) == (1, 1, 0, 0, True), "it holds in one type"
    assert judge(known, trial(HOLDS)) == (0, 1, 0, 0, True)
    assert judge(known, trial(UNDECIDED)) == (0, 0, 0, 0, False)
    assert judge(known, trial(ABSENT)) == (0, 0, 0, 1, True), "declined: no trial is about it"
    assert judge(known, trial(FAILS, claim=RIGHT)) == (0, 0, 0, 1, True)
    assert judged([], None, [], TODAY).broken is False


def test_an_expired_entry_excuses_nothing(tmp_path: Path) -> None:
    assert judge(settings(tmp_path, entry(expires="2026-06-01")), trial(FAILS)) == (1, 0, 0, 0, False), "the last day"
    assert judge(settings(tmp_path, entry(expires="2026-05-31")), trial(FAILS)) == (0, 0, 1, 0, False)
    assert judge(settings(tmp_path, entry(expires="2026-05-31")), trial(HOLDS)) == (0, 1, 0, 0, True)


def test_an_entry_of_one_type_is_about_no_other(tmp_path: Path) -> None:
    known = settings(tmp_path, entry(dtype="'float32'"))
    assert judge(known, trial(FAILS), trial(FAILS, "float32")) == (1, 0, 0, 0, False)
    assert judge(known, trial(FAILS)) == (0, 0, 0, 1, True)


def test_what_the_command_line_narrows_away_is_not_missed(tmp_path: Path) -> None:
    known, other = settings(tmp_path, entry()), trial(HOLDS, claim=RIGHT)
    for operators, claims, dtypes in (([OPERATOR], [RIGHT], []), (["gae"], [], []), ([], ["returns"], []), ([], [], ["bfloat16"])):
        narrowed = known.within(operators, claims, dtypes, agents=False)
        assert not judged([other], narrowed, [Task(RIGHT, OPERATOR, "float64")], TODAY).broken
    assert judged([other], known.within([OPERATOR], [], [], agents=False), [Task(RIGHT, OPERATOR, "float64")], TODAY).broken
    single = settings(tmp_path, entry(dtype="'float32'")).within([], [], ["float64"], agents=False)
    assert not single.expected


# ------------------------------------------------------------------------------------------------------------- the runs
Say = pytest.CaptureFixture[str]


def tried(folder: Path, text: str, *words: str, claims: str = f"{WRONG},{RIGHT}") -> tuple[int, dict[str, str]]:
    """The exit status of verify.py in a folder with a port and its settings, and the verdicts."""
    (folder / "median_port.py").write_text(MEDIAN)
    written(folder, f"port = 'median_port.py'\nprofile = 'dev'\nops = ['{OPERATOR}']\n" + text)
    narrowed = ["--claims", claims] if claims else []
    status = verify.main([*narrowed, "--jobs", "1", "--json", "out.json", *words])
    out = folder / "out.json"
    return status, {r["claim"]: r["verdict"] for r in json.loads(out.read_text())["results"]} if out.exists() else {}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the port's folder; the suite's own self-check is tried elsewhere."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(verify, "self_check", str)


def test_an_expected_failure_does_not_fail_the_run(tmp_path: Path, capsys: Say) -> None:
    status, verdicts = tried(tmp_path, entry())
    out = capsys.readouterr().out.splitlines()
    assert (status, verdicts) == (0, {WRONG: FAILS, RIGHT: HOLDS})
    assert out[0] == "settings of touchstone.toml: 1 expected failure"
    assert any(line.split() == ["expected", OPERATOR, WRONG, "[float64]"] for line in out)
    assert f"expected: {OPERATOR}, {WRONG} [float64] fails until 2099-01-31: why" in out
    assert out[-1].startswith("HOLDS — 1 hold, 1 expected failure; ")
    assert not any("counts again" in line or line.startswith(f"{OPERATOR} fails") for line in out)


@pytest.mark.parametrize(
    ("text", "claims", "says", "last"),
    [
        (entry(claim=f"'{RIGHT}'"), RIGHT, f"{RIGHT} [float64] no longer fails: remove it", "FAILS: touchstone.toml — 1 hold;"),
        (entry(expires="2020-01-31"), WRONG, "fail until 2020-01-31, and counts again: why", f"FAILS: {OPERATOR} — 1 fail;"),
        (
            entry(dtype="'float32'"), "aggregates", f"{OPERATOR}, {WRONG} [float32] is about no trial of this port: remove it",
            "FAILS: mean_aggregate, touchstone.toml",
        ),
    ],
)  # fmt: skip
def test_what_is_no_longer_so_fails_the_run(tmp_path: Path, capsys: Say, text: str, claims: str, says: str, last: str) -> None:
    status, _ = tried(tmp_path, text, *(["--dtype", "float32,float64"] if claims == "aggregates" else []), claims=claims)
    out = capsys.readouterr().out
    assert status == 1
    assert f"touchstone.toml: expected failure {OPERATOR}, " in out and says in out
    assert last in out.splitlines()[-1]


def test_conventions_of_the_file_reach_the_port(tmp_path: Path, capsys: Say) -> None:
    status, verdicts = tried(tmp_path, "[conventions]\nbad_input = 'unchecked'\n", claims=f"{RIGHT},bad_input_is_rejected")
    assert (status, verdicts) == (0, {RIGHT: HOLDS, "bad_input_is_rejected": ABSENT})
    assert "settings of touchstone.toml: bad_input = unchecked" in capsys.readouterr().out


def test_a_contradiction_of_file_and_port_is_one_line(tmp_path: Path, capsys: Say) -> None:
    (tmp_path / "torn.py").write_text(MEDIAN + "CONVENTIONS = {'exploration': 'all'}\n")
    written(tmp_path, "port = 'torn.py'\n[conventions]\nexploration = 'others'\n")
    assert verify.main(["--jobs", "1"]) == 2
    assert capsys.readouterr().out.splitlines()[1:] == [
        "port torn.py: its CONVENTIONS say 'exploration': 'all', its settings 'others'"
    ]


def test_a_bad_file_is_refused_before_anything_starts(tmp_path: Path, capsys: Say) -> None:
    written(tmp_path, "profile = 'quick'\n")
    with pytest.raises(SystemExit) as ended:
        verify.main([])
    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1] == "verify.py: error: touchstone.toml: profile: 'quick' is not known"
