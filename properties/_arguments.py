"""The command line of verify.py, checked before anything starts."""

from __future__ import annotations

import argparse
import os
import secrets
import shlex
from dataclasses import dataclass
from pathlib import Path

from properties import OPERATORS
from properties._claim import RECORDS, SENTENCES
from properties._options import DEFAULT_PORT, command_line
from properties._port_settings import FILE, Settings
from properties._ports import COMMAND
from properties._runner import Setting
from properties._settings_file import SettingsError, read_settings


@dataclass(frozen=True)
class Arguments:
    """What the user asked for."""

    port: str
    ops: tuple[str, ...]
    claims: tuple[str, ...]
    dtypes: tuple[str, ...]
    device: str
    profile: str
    budget: float | None
    patience: float
    jobs: int
    seed: int
    require: tuple[str, ...]
    json: Path | None
    junit: Path | None
    html: Path | None
    failures: Path | None
    replay: Path | None
    write_vectors: Path | None
    check_vectors: Path | None
    answers: Path | None
    config: Path | None
    list: bool
    explain: str
    bugs: bool
    self_test: bool
    agents: bool
    settings: Settings | None = None

    @property
    def setting(self) -> Setting:
        """What the workers need to know."""
        declared = self.settings.conventions if self.settings else {}
        return Setting(self.port, self.device, self.profile, self.seed, self.patience, declared)

    @property
    def with_agents(self) -> bool:
        """Whether agents are tried besides the operators, though none is named."""
        return self.agents or self.profile in ("release", "deep")

    @property
    def port_words(self) -> str:
        """What names the port on a command line."""
        command = self.port.removeprefix(COMMAND)
        return f"--port {self.port}" if command == self.port else f"--port-command {shlex.quote(command)}"


def parse(argv: list[str], *, own_settings: bool = True) -> Arguments:
    """Arguments, with the port's own settings unless they are not wanted; or a clear line on stderr and exit status 2."""
    parser = command_line()
    given = parser.parse_args(argv)
    settings = _settings(parser, given) if own_settings else None
    if settings is not None:
        parser.set_defaults(**{key: value for key, value in settings.options.items() if key != "port"})
        given = parser.parse_args(argv)
    for option in ("ops", "claims", "require"):
        concepts = {claim.concept for claim in SENTENCES.values()}
        known = SENTENCES.keys() | concepts if option == "claims" else RECORDS.keys()
        for name in getattr(given, option):
            if name not in known and not (option == "require" and name == "all"):
                parser.error(
                    f"--{option}: no {'claim or concept' if option == 'claims' else 'operator'} is called {name!r}; see --list"
                )
    if given.explain and given.explain not in SENTENCES.keys() | RECORDS.keys():
        parser.error(f"--explain: no claim or operator is called {given.explain!r}; see --list")
    _check_paths(parser, given)
    require = tuple(OPERATORS) if "all" in given.require else given.require
    port = _port(parser, given)
    if not port and given.replay is None:  # a failure's file names the port
        port = (settings.options.get("port") if settings else None) or DEFAULT_PORT
    values = {**vars(given), "require": require, "seed": _seed(given.seed, given.profile), "port": port or ""}
    del values["port_command"]
    if settings is not None:
        with_agents = Arguments(**values).with_agents
        settings = settings.within(given.ops, given.claims, given.dtypes, agents=with_agents)
    return Arguments(**values, settings=settings)


def _settings(parser: argparse.ArgumentParser, given: argparse.Namespace) -> Settings | None:
    """The file that --config names; else the one of this folder, where a port is tried and none but the file's own is named."""
    shows = given.list or given.explain or given.bugs or given.self_test or given.write_vectors
    path: Path = given.config or Path(FILE)
    if not path.exists() or (shows and given.config is None):
        return None
    try:
        settings = read_settings(path)
    except SettingsError as error:
        parser.error(str(error))
    asked, own = _port(parser, given), settings.options.get("port")
    if given.config is None and asked and own and _whole(asked) != _whole(own):
        return settings.aside(own)
    return settings


def _whole(port: str) -> str:
    """The same for two spellings of one path."""
    return os.path.abspath(port) if port.endswith(".py") and not port.startswith(COMMAND) else port


def _check_paths(parser: argparse.ArgumentParser, given: argparse.Namespace) -> None:
    """What is to be written has a folder, and what is to be read is there."""
    for option in ("json", "junit", "html", "failures", "write_vectors"):
        path: Path | None = getattr(given, option)
        if path is not None and not path.resolve().parent.is_dir():
            parser.error(f"--{option.replace('_', '-')}: the folder {path.resolve().parent} does not exist")
    for option in ("replay", "check_vectors", "answers", "config"):
        path = getattr(given, option)
        if path is not None and not path.exists():
            parser.error(f"--{option.replace('_', '-')}: {path} does not exist")
    if given.answers is not None and given.check_vectors is None:
        parser.error("--answers: needs the vectors that were answered, --check-vectors DIR")


def _port(parser: argparse.ArgumentParser, given: argparse.Namespace) -> str | None:
    """The port as the workers load it, where the command line names one."""
    if given.port_command is None:
        return str(given.port) if given.port else None
    if given.port is not None:
        parser.error("--port-command: a port is a module or a command; --port was given, too")
    if not given.port_command.strip():
        parser.error("--port-command: needs a program")
    return COMMAND + str(given.port_command)


def _seed(asked: int | None, profile: str) -> int:
    """The one asked for; else 0 where runs should repeat, and a fresh one (the report prints it) where they should explore."""
    if asked is not None:
        return asked
    return 0 if profile in ("dev", "ci") else secrets.randbelow(2**31)
