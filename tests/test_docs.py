"""The site builds without a warning, its generated pages are fresh, and every command of every page does what the page says."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from docs_pages import Command, Step, carry_out, differs, session, steps
from docs_shell import Shell

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(path.name for path in DOCS.glob("*.md"))
CARRIED = ("reference", "accelerated", "properties", "examples", "tests", "docs")
PATIENCE = 120.0
"""No command of a page takes longer."""


# ----------------------------------------------------------------------------------------------------------- the site
@pytest.mark.skipif(importlib.util.find_spec("sphinx") is None, reason="sphinx is not installed: pip install -e '.[docs]'")
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-n", "-q", "-b", "html", "-d", str(tmp_path / "trees")]
    done = subprocess.run([*command, str(DOCS), str(tmp_path / "site")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert all((tmp_path / "site" / page.replace(".md", ".html")).exists() for page in PAGES)


def test_generated_pages_are_fresh() -> None:
    done = subprocess.run([sys.executable, DOCS / "generate.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", PAGES)
def test_links_to_files_lead_somewhere(page: str) -> None:
    text = re.sub(r"```.*?```", "", (DOCS / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text):
        assert (DOCS / target).exists(), f"{page} links to {target}"


# ------------------------------------------------------------------------------------------------- what is run instead
def _installed(command: str) -> str:
    """`pip install`: nothing is fetched here; what it names must be there."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for named in re.findall(r"\[([\w,]+)\]", command):
        assert set(named.split(",")) <= set(extras), f"pyproject.toml has no extra {named}: {command}"
    for constraints in re.findall(r"-c (\S+)", command):
        assert (ROOT / Path(constraints).name).is_file(), command
    return "true"


INSTEAD: tuple[tuple[str, Callable[[str], str]], ...] = (
    (r"git clone \S+ (\S+)", lambda command: f'cp -rp "$REPOSITORY" {command.split()[-1]}'),
    (r"python3 -m venv \S+", lambda command: "true"),
    (r"(\.|source) \S+/bin/activate", lambda command: "true"),
    (r"(\S+/)?(python3? -m )?pip3? install .*", _installed),
)
"""Commands that need a network or an environment of their own, and what is run in their place."""
NEEDS: tuple[tuple[str, str, Callable[[], bool]], ...] = (
    (r"\b(g\+\+|make)\b|ports/cpp/", "g++ and make", lambda: all(map(shutil.which, ("g++", "make")))),
    (r"rlax_port", "rlax", lambda: importlib.util.find_spec("rlax") is not None),
    (r"sphinx", "sphinx", lambda: importlib.util.find_spec("sphinx") is not None),
)
"""What a command needs that may be missing: then the rest of its section is skipped."""


def _instead(command: str) -> str:
    for pattern, other in INSTEAD:
        if re.fullmatch(pattern, command.strip()):
            return other(command)
    return command


def _missing(step: Step) -> str:
    """What this step needs and is not here."""
    wanted = [name for each in step.commands for pattern, name, there in NEEDS if re.search(pattern, each.text) and not there()]
    return wanted[0] if wanted else ""


# ------------------------------------------------------------------------------------------------------- the commands
@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A shell in an empty folder, with a copy of the repository to clone, and the commands of this environment."""
    copy, programs, folder = tmp_path / "repository", tmp_path / "bin", tmp_path / "work"
    ignored = shutil.ignore_patterns(".*", "results", "_build", "port", "planted")
    for room in CARRIED:
        shutil.copytree(ROOT / room, copy / room, ignore=ignored)
    for path in ROOT.iterdir():
        if path.is_file() and not path.name.startswith("."):
            shutil.copy(path, copy)
    programs.mkdir()
    folder.mkdir()
    program = programs / "touchstone"
    program.write_text(f"#!{sys.executable}\nfrom verify import command\n\ncommand()\n")
    program.chmod(0o755)
    path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}
    plugged = any(each.name == "touchstone" for each in importlib.metadata.entry_points(group="pytest11"))
    settings = {
        "PYTEST_ADDOPTS": "" if plugged else "-p pytest_touchstone",
        "PATH": path,
        "PYTHONPATH": str(ROOT),
        "REPOSITORY": str(copy),
        "COLUMNS": "110",
        "CXXFLAGS": "-std=c++17",
    }
    with Shell(folder, kept | settings, PATIENCE) as opened:
        yield opened


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_does_what_the_page_says(page: str, shell: Shell) -> None:
    without: dict[str, str] = {}
    for step in steps((DOCS / page).read_text(encoding="utf-8")):
        if missing := _missing(step):
            without.setdefault(step.section, missing)
        if step.section in without:
            continue
        if step.verb:
            carry_out(step, shell.folder)
        else:
            follow(step, shell, page)
    if without:
        pytest.skip("; ".join(f"{section}: no {missing}" for section, missing in without.items()))


def follow(step: Step, shell: Shell, page: str) -> None:
    """Run the commands of one block. One that fails must be followed by `echo $?`, so that the page says with what status."""
    for command, after in zip(step.commands, [*step.commands[1:], Command("")], strict=True):
        status, output = shell.run(_instead(command.text))
        where = f"{page}:{step.line}: $ {command.text}"
        assert status == 0 or after.text == "echo $?", f"{where}\nexit status {status}\n{output}"
        if command.shown is not None:
            wrong = differs(command.shown, output)
            assert not wrong, f"{where}\n{wrong}\n--- the real output\n{output}"


# ---------------------------------------------------------------------------------------------------- the test itself
@pytest.mark.parametrize(
    ("shown", "real", "alike"),
    [
        ("a\nb", "a\nb\n", True),
        ("a", "a\nb", False),
        ("a\nb", "a", False),
        ("a\n…", "a\nb\nc", True),
        ("…\nc", "a\nb\nc", True),
        ("…\nb", "a\nb\nc", False),
        ("a\n…\nc", "a\nc", True),
        ("a … c", "a b c", True),
        ("a … c", "a b d", False),
        ("12 examples in 3.5 s", "15 examples in 0.1 s", True),
        ("12 hold", "13 hold", False),
    ],
)
def test_output_is_compared_line_by_line(shown: str, real: str, alike: bool) -> None:
    assert (differs(tuple(shown.split("\n")), real) == "") is alike


def test_a_page_is_read_as_files_and_commands() -> None:
    page = "## One\n\n<!-- file: a/b.py -->\n```python\nx = 1\n```\n\n```console\n$ ls \\\n    a\nb.py\n$ true\n```\n"
    first, second = steps(page)
    assert (first.verb, first.path, first.body, first.section) == ("file", "a/b.py", "x = 1\n", "One")
    assert second.commands == (Command("ls a", ("b.py",)), Command("true"))
    with pytest.raises(ValueError, match="begins with a command"):
        list(session("b.py\n"))


def test_a_command_that_fails_or_shows_something_else_fails(shell: Shell) -> None:
    with pytest.raises(AssertionError, match="exit status 1"):
        follow(Step("", 1, (Command("false"),)), shell, "page.md")
    with pytest.raises(AssertionError, match="shown, and not there: '2'"):
        follow(Step("", 1, (Command("echo 1", ("2",)),)), shell, "page.md")
    follow(Step("", 1, (Command("false"), Command("echo $?", ("1",)))), shell, "page.md")


def test_a_command_that_never_ends_is_ended(tmp_path: Path) -> None:
    with (
        Shell(tmp_path, dict(os.environ), 0.5) as impatient,
        pytest.raises(RuntimeError, match="waited longer than 0.5 s, in: sleep 60"),
    ):
        impatient.run("sleep 60")
