"""`touchstone init-port` and the workflow: what a team begins with is whole, pleases the tools, and is absent until filled in."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import pytest_touchstone
import reference
import verify
from properties._arguments import parse
from properties._claim import OPERATORS
from properties._ports import Port, load_port
from properties._settings_file import read_settings

WORKFLOW = Path(__file__).resolve().parent.parent / "examples" / "ci" / "github-actions.yml"
MEAN = "import numpy as np\n\n    return np.mean(q, axis=-1)"
Say = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(verify, "self_check", str)


def init(*words: str) -> int:
    return verify.main(["init-port", *words])


def functions(path: Path) -> dict[str, ast.FunctionDef]:
    return {node.name: node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}


def test_the_adapter_is_the_whole_contract(tmp_path: Path, capsys: Say) -> None:
    assert init() == 0
    assert capsys.readouterr().out.splitlines() == [
        "wrote my_port.py: 92 operators",
        "wrote touchstone.toml",
        "next: fill in what you have, then run: touchstone --profile dev",
    ]
    module = load_port("my_port.py")
    found = functions(tmp_path / "my_port.py")
    assert set(found) == set(reference.__all__) == set(OPERATORS)
    for name in OPERATORS:
        ours, due = (
            inspect.signature(each).parameters.values() for each in (getattr(module._module, name), getattr(reference, name))
        )
        assert [(p.name, p.kind, p.default) for p in ours] == [(p.name, p.kind, p.default) for p in due], name
        text, told = ast.get_docstring(found[name]) or "", inspect.getdoc(getattr(reference, name)) or ""
        assert text.splitlines()[0] == told.splitlines()[0] and re.search(r"^returns? ", text, re.MULTILINE), name
        assert ">>>" not in text, "an example that cannot run yet"


def test_the_tools_are_content(tmp_path: Path) -> None:
    init()
    for tool in ("ruff check --isolated", "ruff format --isolated --check", "mypy --config-file="):
        done = subprocess.run([sys.executable, "-m", *tool.split(), "my_port.py"], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    nodes = list(ast.walk(ast.parse((tmp_path / "my_port.py").read_text())))
    assert [node.names[0].name for node in nodes if isinstance(node, ast.Import)] == ["numpy"]
    assert [node.module for node in nodes if isinstance(node, ast.ImportFrom)] == ["__future__"]


def test_an_untouched_adapter_is_absent_and_not_green(capsys: Say) -> None:
    init("--ops", "gae,sum_tree")
    capsys.readouterr()
    assert verify.main(["--profile", "dev", "--jobs", "1"]) == 2
    out = capsys.readouterr().out
    assert "absent operators: sum_tree, gae" in out or "absent operators: gae, sum_tree" in out
    assert out.splitlines()[-1].startswith("INCOMPLETE: nothing was checked")


def test_what_is_filled_in_is_tried(tmp_path: Path, capsys: Say) -> None:
    init("--ops", "mean_aggregate,gae")
    path = tmp_path / "my_port.py"
    head, tail = path.read_text().split("def mean_aggregate", 1)
    path.write_text(head + "def mean_aggregate" + tail.replace("raise NotImplementedError", MEAN, 1))
    assert verify.main(["--profile", "dev", "--jobs", "1", "--claims", "maximum_and_mean_are_exact"]) == 0
    out = capsys.readouterr().out
    assert "absent operators: gae" in out and "HOLDS — 1 hold" in out


def test_only_a_body_that_can_do_nothing_else_counts_as_unwritten() -> None:
    class Offering:
        def gae(self, *a: object, **k: object) -> None:
            raise NotImplementedError

        def greedy(self, q: object) -> object:
            if q is None:
                raise NotImplementedError
            return q

        def td_error(self) -> None:
            return None

    port = Port(Offering(), "offering")
    assert not port.offers("gae") and port.offers("greedy") and not port.offers("nothing")


def test_the_settings_can_be_read_and_every_line_uncommented(tmp_path: Path) -> None:
    init("--ops", "gae,epsilon_greedy")
    path = tmp_path / "touchstone.toml"
    fresh = read_settings(path)
    assert fresh.options["port"] == "my_port.py" and set(fresh.options["ops"]) == {"gae", "epsilon_greedy"}
    kept: dict[str, str] = {}
    for line in path.read_text().splitlines():
        plain = re.sub(r"^# (?=[a-z_\[-]+( =|\]))", "", line)
        key = plain.partition(" =")[0]
        kept[key if not plain.startswith("#") else line] = plain  # of two values of one convention the last
    path.write_text("\n".join(kept.values()).replace("expires = 2030", "expires = 2099"))
    full = read_settings(path)
    assert set(full.options) == {"port", "ops", "claims", "dtypes", "profile", "require", "patience"}
    assert full.conventions["exploration"] == "others" and full.conventions["bad_input"] == "unchecked"
    assert full.expected[0].claim == "port_equals_reference"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["there.py"], "a file that exists is never overwritten; there.py does"),
        (["no/port.py"], "the folder must exist"),
        (["my-port.py"], "an adapter must be called like a Python module, my_port.py; got 'my-port.py'"),
        (["--ops", "gea"], "--ops: no operator is called 'gea'"),
        (["--config"], "a file that exists is never overwritten; touchstone.toml does"),
        (["--command"], "a file that exists is never overwritten; contract.md does"),
    ],
)
def test_nothing_is_overwritten_and_a_refusal_writes_nothing(tmp_path: Path, capsys: Say, words: list[str], says: str) -> None:
    for name in ("there.py", "touchstone.toml", "contract.md"):
        (tmp_path / name).write_text("mine")
    assert init(*words) == 2
    err = capsys.readouterr().err
    assert says in err and len(err.splitlines()) == 1
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(
        ("there.py", "touchstone.toml", "contract.md"), "mine"
    )


def test_settings_that_are_there_stay(tmp_path: Path, capsys: Say) -> None:
    (tmp_path / "touchstone.toml").write_text("mine")
    assert init("--ops", "gae") == 0
    assert "left touchstone.toml as it is" in capsys.readouterr().out
    assert (tmp_path / "touchstone.toml").read_text() == "mine"


def test_a_program_gets_the_contract_as_text(tmp_path: Path, capsys: Say) -> None:
    (tmp_path / "sub").mkdir()
    assert init("--command", "sub/my port") == 0
    text = (tmp_path / "sub" / "contract.md").read_text()
    assert [line[4:] for line in text.splitlines() if line.startswith("### ")] == list(OPERATORS)
    assert 'defaults: over = "all"' in text
    assert read_settings(tmp_path / "sub" / "touchstone.toml").options["port"] == "command:'sub/my port'"
    assert "touchstone --profile dev --config sub/touchstone.toml" in capsys.readouterr().out


def test_help_tells_everything(capsys: Say) -> None:
    with pytest.raises(SystemExit) as ended:
        init("--help")
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("FILE", "--ops", "--command", "--config", "touchstone.toml", "absent"))


# ---------------------------------------------------------------------------------------------------------- the workflow
def steps() -> list[dict[str, object]]:
    jobs = yaml.safe_load(WORKFLOW.read_text())["jobs"]
    assert set(jobs) == {"python", "cpp", "vectors"}
    return [step for job in jobs.values() for step in job["steps"]]


def commands() -> list[list[str]]:
    lines = [line for step in steps() for line in str(step.get("run", "")).splitlines()]
    return [shlex.split(line, comments=True) for line in lines]


def test_the_workflow_uses_known_actions_only() -> None:
    used = {str(step["uses"]) for step in steps() if "uses" in step}
    assert used == {"actions/checkout@v4", "actions/setup-python@v5", "actions/upload-artifact@v4"}
    assert all(("uses" in step) != ("run" in step) for step in steps())


def test_the_workflows_commands_exist(tmp_path: Path) -> None:
    for folder in ("reports", "vectors", "answers"):
        (tmp_path / folder).mkdir()
    ours = [words[1:] for words in commands() if words[:1] == ["touchstone"]]
    assert len(ours) == 4
    for words in ours:
        parse(words)  # refuses an option or a name that there is none of
    plugins = [word for words in commands() if "pytest" in words and "-m" in words for word in words if "--touchstone" in word]
    known = {f"--{pytest_touchstone.ROOT}", *(f"--{pytest_touchstone.ROOT}-{name}" for name in pytest_touchstone.VALUES)}
    assert plugins and set(plugins) <= known
