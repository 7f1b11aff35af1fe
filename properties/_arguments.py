"""The command line of verify.py: every option, checked before anything starts."""

from __future__ import annotations

import argparse
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from properties import OPERATORS
from properties._claim import RECORDS, SENTENCES
from properties._ports import KNOWN_DTYPES
from properties._run import PROFILES
from properties._runner import PATIENCE

EXITS = """exit status:
  0  everything planned holds (operators that the port does not offer are listed)
  1  something fails
  2  nothing, or not everything planned, was checked; or the port cannot be loaded
  3  the suite's own self-check failed
"""


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
    list: bool
    explain: str
    bugs: bool
    self_test: bool
    agents: bool

    @property
    def with_agents(self) -> bool:
        """Whether agents are tried besides the operators, though none is named."""
        return self.agents or self.profile in ("release", "deep")


def parse(argv: list[str]) -> Arguments:
    """Arguments, or a clear line on stderr and exit status 2."""
    parser = _parser()
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
    for option in ("json", "junit"):
        path: Path | None = getattr(given, option)
        if path is not None and not path.resolve().parent.is_dir():
            parser.error(f"--{option}: the folder {path.resolve().parent} does not exist")
    require = tuple(OPERATORS) if "all" in given.require else given.require
    return Arguments(**{**vars(given), "require": require, "seed": _seed(given.seed, given.profile)})


def _seed(asked: int | None, profile: str) -> int:
    """The one asked for; else 0 where runs should repeat, and a fresh one (the report prints it) where they should explore."""
    if asked is not None:
        return asked
    return 0 if profile in ("dev", "ci") else secrets.randbelow(2**31)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="verify.py",
        description="Try an implementation of RL operators against the exact reference and the theorems.",
        epilog=EXITS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--port",
        default="accelerated",
        metavar="MODULE_OR_PATH",
        help="what to try: a module or a .py file (default: accelerated)",
    )
    add("--ops", type=_names, default=(), metavar="A,B", help="only these operators")
    add("--agents", action="store_true", help="try the agents, too, which takes minutes (always in profiles release and deep)")
    add("--claims", type=_names, default=(), metavar="A,B", help="only these claims, or the claims of these concepts")
    add(
        "--dtype",
        dest="dtypes",
        type=_dtypes,
        default=(),
        metavar="A,B",
        help=f"only these of {', '.join(KNOWN_DTYPES)}",
    )
    add("--device", default="cpu", help="where the port computes, e.g. cuda (default: cpu)")
    add("--profile", choices=tuple(PROFILES), default="ci", help="how hard to try: " + _profiles())
    add("--budget", type=_seconds, metavar="SECONDS", help="stop after this long; what was not reached is undecided")
    add(
        "--patience",
        type=_seconds,
        default=PATIENCE,
        metavar="SECONDS",
        help=f"a call that takes longer hangs (default: {PATIENCE:g})",
    )
    add("--jobs", type=_count, default=os.cpu_count() or 1, metavar="N", help="worker processes (default: one a core)")
    add("--seed", type=int, metavar="N", help="the stream of examples (default: 0 in dev and ci, else a fresh one, printed)")
    add("--require", type=_names, default=(), metavar="A,B|all", help="operators whose absence is an error")
    add(
        "--json",
        type=Path,
        metavar="FILE",
        help="write every verdict as JSON; with --self-test, what became of each bug, fault and mutant",
    )
    add("--junit", type=Path, metavar="FILE", help="write every verdict as JUnit XML")
    add("--list", action="store_true", help="list operators and claims, and stop")
    add(
        "--explain",
        default="",
        metavar="CLAIM",
        help="print one claim (or operator): sentence, source, oracle; and stop",
    )
    add("--bugs", action="store_true", help="list the known bugs (of --ops) with where they were seen, and what is open; and stop")
    add(
        "--self-test",
        action="store_true",
        help="plant every bug of the catalogue, every mutant of the torch package and faults in the verifier; print what was found",
    )
    return parser


def _profiles() -> str:
    return ", ".join(f"{name} = {effort.examples} examples a claim" for name, effort in PROFILES.items()) + " (default: ci)"


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise argparse.ArgumentTypeError("needs at least one name")
    return names


def _dtypes(text: str) -> tuple[str, ...]:
    names = _names(text)
    for name in names:
        if name not in KNOWN_DTYPES:
            raise argparse.ArgumentTypeError(f"must be of {', '.join(KNOWN_DTYPES)}; got {name!r}")
    return names


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number of seconds; got {text!r}") from None
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a positive number of seconds; got {text}")
    return value


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be an integer >= 1; got {text!r}")
    return int(text)
