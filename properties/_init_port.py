"""`touchstone init-port`: writes what a new port begins with, and overwrites nothing."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path

from properties._claim import OPERATORS
from properties._port_settings import FILE
from properties._report_files import atomically
from properties._skeleton import adapter, settings, sheet

WRITTEN, REFUSED = 0, 2
WHAT = f"""\
Write what a new port begins with: a Python adapter with one function for each operator, documented by its equation and shapes,
and a commented {FILE} beside it, unless there is one. An operator that is not written yet is absent, so an untouched
adapter is not green.
"""
EXAMPLES = """examples:
  touchstone init-port my_port.py --ops gae,greedy       an adapter for two operators, and touchstone.toml
  touchstone init-port --command ./my_port               for a program in any language: contract.md, and touchstone.toml
  touchstone init-port my_port.py --config               touchstone.toml alone, for a port that is there already
"""


def init_port(words: list[str]) -> int:
    """The exit status: 0 written, 2 refused, with one line that says why."""
    given = _parser().parse_args(words)
    try:
        _write(given)
    except (ValueError, OSError) as error:
        print(f"touchstone init-port: {error}", file=sys.stderr)
        return REFUSED
    return WRITTEN


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="touchstone init-port", description=WHAT, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", nargs="?", metavar="FILE", help="the adapter (default: my_port.py), or with --command the program")
    parser.add_argument("--ops", default="", metavar="A,B", help="only these operators (default: the whole contract)")
    parser.add_argument("--command", action="store_true", help="the port is a program: write the contract as text, contract.md")
    parser.add_argument("--config", action="store_true", help=f"write {FILE} alone")
    return parser


def _write(given: argparse.Namespace) -> None:
    """Check everything first: either all of it is written or nothing."""
    asked = [name.strip() for name in given.ops.split(",") if name.strip()]
    for name in asked:
        if name not in OPERATORS:
            raise ValueError(f"--ops: no operator is called {name!r}; see touchstone --list")
    operators = [name for name in OPERATORS if not asked or name in asked]
    file = Path(given.file or ("my_port" if given.command else "my_port.py"))
    texts, command = {}, _command(file.parent)
    if not given.config:
        path = file.parent / "contract.md" if given.command else file
        texts[path] = sheet(operators, file.name) if given.command else adapter(operators, command)
        _may_be_written(path, python=not given.command)
    config = file.parent / FILE
    if given.config:
        _may_be_written(config, python=False)
    if not config.exists():
        port = f"port-command = {_quoted(_program(file.name))}" if given.command else f"port = {_quoted(file.name)}"
        texts[config] = settings(operators, port, some=bool(asked))
    for path, text in texts.items():
        atomically(path, text)
        print(f"wrote {path}" + (f": {len(operators)} operators" if path != config else ""))
    if config not in texts:
        print(f"left {config} as it is")
    print(f"next: fill in what you have, then run: {command}")


def _may_be_written(path: Path, *, python: bool) -> None:
    """A new file in a folder that is there."""
    if os.path.lexists(path):
        raise ValueError(f"a file that exists is never overwritten; {path} does")
    if not path.resolve().parent.is_dir():
        raise ValueError(f"the folder must exist; {path.resolve().parent} does not")
    if python and not (path.suffix == ".py" and path.stem.isidentifier()):
        raise ValueError(f"an adapter must be called like a Python module, my_port.py; got {path.name!r}")


def _command(folder: Path) -> str:
    """What tries the port from here."""
    elsewhere = folder.resolve() != Path.cwd()
    return "touchstone --profile dev" + (f" --config {shlex.quote(str(folder / FILE))}" if elsewhere else "")


def _program(name: str) -> str:
    return shlex.quote(f"./{name}")


def _quoted(text: str) -> str:
    """As a TOML string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
