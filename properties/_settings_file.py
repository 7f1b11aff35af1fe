"""Reading touchstone.toml: every mistake in it is one line that names the file, the key and the value."""

from __future__ import annotations

import ast
import datetime
import difflib
import os
import shlex
import tomllib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from properties._claim import OPERATORS, RECORDS, SENTENCES
from properties._conventions import declared
from properties._failure import unpacked_failure
from properties._port_settings import ExpectedFailure, Settings
from properties._ports import COMMAND, KNOWN_DTYPES
from properties._run import PROFILES

FAILURE_FILE = ".safetensors"
ENTRY = ("operator", "claim", "dtype", "reason", "counterexample", "expires")


class SettingsError(ValueError):
    """A mistake in the file; the text is one line for the user."""


def read_settings(path: Path) -> Settings:
    """The settings of a file; SettingsError for the first mistake in it."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path} is no TOML file that can be read: {error}") from error
    try:
        _known("key", table, (*OPTIONS, "conventions", "expected-failure"))
        if "port" in table and "port-command" in table:
            raise SettingsError("port: a port is a module or a command; port-command is given, too")
        options = dict(OPTIONS[key](key, value, path.parent) for key, value in table.items() if key in OPTIONS)
        options["require"] = tuple(OPERATORS) if "all" in options.get("require", ()) else options.get("require", ())
        return Settings(path, options, _conventions(table.get("conventions", {})), _expected(table, options, path.parent))
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from error


def _known(where: str, names: Collection[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            raise SettingsError(f"{where}: {name!r} is not known" + (f"; did you mean {near[0]!r}?" if near else ""))


def _text(key: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise SettingsError(f"{key} must be a text; got {value!r}")
    return value


def _texts(key: str, value: Any, known: Collection[str]) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(name, str) for name in value):
        raise SettingsError(f"{key} must be a list of names; got {value!r}")
    _known(key, value, known)
    return tuple(value)


# ---------------------------------------------------------------------------------------------------------------- options
Option = Callable[[str, Any, Path], tuple[str, Any]]


def _port(key: str, value: Any, folder: Path) -> tuple[str, str]:
    """A module; a path to a file is one beside the settings."""
    name = _text(key, value)
    return "port", _beside(folder, name) if name.endswith(".py") or "/" in name else name


def _command(key: str, value: Any, folder: Path) -> tuple[str, str]:
    """A program; one that is given by its path lies beside the settings."""
    try:
        words = shlex.split(_text(key, value))
    except ValueError as error:
        raise SettingsError(f"{key} must be a command; got {value!r}: {error}") from error
    program = _beside(folder, words[0])
    return "port", COMMAND + (value if not program or program == words[0] else shlex.join([program, *words[1:]]))


def _beside(folder: Path, name: str) -> str:
    """The path from here, where it is relative to another folder."""
    here = "/" not in name and not name.endswith(".py") or os.path.isabs(name) or folder.resolve() == Path.cwd()
    return name if here else os.path.relpath(folder / name)


def _names_of(known: Callable[[], Collection[str]]) -> Option:
    return lambda key, value, folder: (key, _texts(key, value, known()))


def _profile(key: str, value: Any, folder: Path) -> tuple[str, str]:
    _known(key, [_text(key, value)], PROFILES)
    return key, value


def _patience(key: str, value: Any, folder: Path) -> tuple[str, float]:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise SettingsError(f"{key} must be a positive number of seconds; got {value!r}")
    return key, float(value)


OPTIONS: dict[str, Option] = {
    "port": _port,
    "port-command": _command,
    "ops": _names_of(lambda: RECORDS),
    "claims": _names_of(lambda: [*SENTENCES, *{claim.concept for claim in SENTENCES.values()}]),
    "dtypes": _names_of(lambda: KNOWN_DTYPES),
    "profile": _profile,
    "require": _names_of(lambda: ["all", *RECORDS]),
    "patience": _patience,
}


# ------------------------------------------------------------------------------------------------------------ conventions
def _conventions(table: Any) -> dict[str, str]:
    if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()):
        raise SettingsError(f"conventions must be a table of texts; got {table!r}")
    try:
        declared(table)
    except ValueError as error:
        raise SettingsError(f"[conventions] {str(error).removeprefix('CONVENTIONS: ')}") from error
    return dict(table)


# ------------------------------------------------------------------------------------------------------ expected failures
def _expected(table: Mapping[str, Any], options: Mapping[str, Any], folder: Path) -> tuple[ExpectedFailure, ...]:
    entries = table.get("expected-failure", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise SettingsError("expected-failure: each is a table of its own, [[expected-failure]]")
    found: list[ExpectedFailure] = []
    for place, entry in enumerate(entries, 1):
        try:
            found.append(_entry(entry, options, folder))
            _not_twice(found)
        except SettingsError as error:
            raise SettingsError(f"[[expected-failure]] {place}: {error}") from error
    return tuple(found)


def _not_twice(found: list[ExpectedFailure]) -> None:
    last = found[-1]
    for other in found[:-1]:
        if (other.operator, other.claim) == (last.operator, last.claim) and (
            "" in (other.dtype, last.dtype) or other.dtype == last.dtype
        ):
            raise SettingsError(f"claim: {last.name} is expected twice")


def _entry(entry: dict[str, Any], options: Mapping[str, Any], folder: Path) -> ExpectedFailure:
    _known("key", entry, ENTRY)
    for key in ENTRY:
        if key not in entry and key != "dtype":
            raise SettingsError(f"{key} is missing")
    texts = {key: _text(key, entry[key]) for key in ENTRY if key in entry and key != "expires"}
    expires = entry["expires"]
    if type(expires) is not datetime.date:
        raise SettingsError(f"expires must be a date, as in 2027-01-31 without quotes; got {expires!r}")
    _can_be_tried(texts["operator"], texts["claim"], texts.get("dtype", ""), options)
    _check_counterexample(texts["counterexample"], texts["operator"], texts["claim"], folder)
    return ExpectedFailure(**{"dtype": ""} | texts, expires=expires)


def _can_be_tried(operator: str, claim: str, dtype: str, options: Mapping[str, Any]) -> None:
    """A run of what the file asks for has this trial."""
    _known("operator", [operator], RECORDS)
    _known("claim", [claim], SENTENCES)
    if operator not in SENTENCES[claim].operators:
        raise SettingsError(f"claim: {claim} is not about {operator}; see --explain {claim}")
    if dtype:
        _known("dtype", [dtype], RECORDS[operator].widths)
    chosen = (("ops", {operator}), ("claims", {claim, SENTENCES[claim].concept}), ("dtypes", {dtype} if dtype else set()))
    for key, names in chosen:
        if names and options.get(key) and not names & set(options[key]):
            raise SettingsError(f"{' or '.join(sorted(names))} is not among the file's {key}: {', '.join(options[key])}")


def _check_counterexample(text: str, operator: str, claim: str, folder: Path) -> None:
    """A failure file that is about this, or what the report printed to paste."""
    if not text.strip().endswith(FAILURE_FILE):
        return _check_paste(text, operator)
    path = folder / text.strip()
    try:
        about = unpacked_failure(path.read_bytes())
    except (OSError, ValueError) as error:
        raise SettingsError(f"counterexample: {path} is no failure file that can be read: {error}") from error
    if (about.operator, about.claim) != (operator, claim):
        raise SettingsError(f"counterexample: {path} is about {about.operator}, {about.claim}; {operator}, {claim} is due")
    return None


def _check_paste(text: str, operator: str) -> None:
    shown = text.strip().splitlines()[0][:60]
    try:
        names = {node.id for node in ast.walk(ast.parse(text.strip())) if isinstance(node, ast.Name)}
    except SyntaxError as error:
        raise SettingsError(f"counterexample must be a {FAILURE_FILE} file or Python; got {shown!r}: {error.msg}") from error
    if "port" not in names or operator not in text:
        raise SettingsError(f"counterexample must call port.{operator}, as the report prints it; got {shown!r}")
