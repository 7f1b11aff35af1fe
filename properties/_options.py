"""The options of verify.py, as --help shows them, and how each word is read."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from properties._port_settings import FILE
from properties._ports import KNOWN_DTYPES, PATIENCE
from properties._run import PROFILES

DEFAULT_PORT = "accelerated"
EXITS = """exit status:
  0  everything planned holds (operators that the port does not offer are listed)
  1  something fails
  2  nothing, or not everything planned, was checked; or the port cannot be loaded
  3  the suite's own self-check failed

`verify.py init-port` writes the adapter of a new port: see `init-port --help`.
"""
Add = Callable[..., Any]


def command_line() -> argparse.ArgumentParser:
    """The parser of verify.py."""
    parser = argparse.ArgumentParser(
        prog="verify.py",
        description="Try an implementation of RL operators against the exact reference and the theorems.",
        epilog=EXITS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    groups = {"what to try": _subject, "how hard to try": _effort, "files to write": _files, "again": _again, "the suite": _suite}
    for title, fill in groups.items():
        fill(parser.add_argument_group(title).add_argument)
    return parser


def _subject(add: Add) -> None:
    add("--port", metavar="MODULE_OR_PATH", help=f"a module or a .py file (default: {DEFAULT_PORT})")
    add("--port-command", metavar="COMMAND", help="a program that speaks the port protocol on stdin and stdout")
    add("--config", type=Path, metavar="FILE", help=f"the port's own settings (default: {FILE}, if it is in this folder)")
    add("--ops", type=_names, default=(), metavar="A,B", help="only these operators")
    add("--claims", type=_names, default=(), metavar="A,B", help="only these claims, or the claims of these concepts")
    add("--dtype", dest="dtypes", type=_dtypes, default=(), metavar="A,B", help=f"only these of {', '.join(KNOWN_DTYPES)}")
    add("--agents", action="store_true", help="the agents, too, which takes minutes (always in profiles release and deep)")
    add("--device", default="cpu", help="where the port computes, e.g. cuda (default: cpu)")
    add("--require", type=_names, default=(), metavar="A,B|all", help="operators whose absence is an error")


def _effort(add: Add) -> None:
    add("--profile", choices=tuple(PROFILES), default="ci", help=_profiles())
    add("--budget", type=_seconds, metavar="SECONDS", help="stop after this long; what was not reached is undecided")
    hangs = f"a call that takes longer hangs (default: {PATIENCE:g})"
    add("--patience", type=_seconds, default=PATIENCE, metavar="SECONDS", help=hangs)
    add("--jobs", type=_count, default=os.cpu_count() or 1, metavar="N", help="worker processes (default: one a core)")
    add("--seed", type=int, metavar="N", help="the stream of examples (default: 0 in dev and ci, else a fresh one, printed)")


def _files(add: Add) -> None:
    add("--html", type=Path, metavar="FILE", help="the report as one page that needs no network")
    also = "every verdict as JSON; with --self-test, what became of each bug, fault and mutant"
    add("--json", type=Path, metavar="FILE", help=also)
    add("--junit", type=Path, metavar="FILE", help="every verdict as JUnit XML")
    add("--failures", type=Path, metavar="DIR", help="each failure as a file, for --replay")


def _again(add: Add) -> None:
    add("--replay", type=Path, metavar="FILE", help="try one failure again, on the port; and stop")
    add("--write-vectors", type=Path, metavar="DIR", help="write golden vectors (of --ops) for ports in any language; and stop")
    add("--check-vectors", type=Path, metavar="DIR", help="check answers to golden vectors: the port's, or those in --answers")
    add("--answers", type=Path, metavar="DIR", help="the answers to the vectors of --check-vectors, made elsewhere")


def _suite(add: Add) -> None:
    add("--list", action="store_true", help="list operators and claims, and stop")
    one = "print one claim (or operator): sentence, source, oracle; and stop"
    add("--explain", default="", metavar="CLAIM", help=one)
    add("--bugs", action="store_true", help="list the known bugs (of --ops) with where they were seen, and what is open; and stop")
    plant = "plant every bug of the catalogue, every mutant of the torch package and faults in the verifier; print what was found"
    add("--self-test", action="store_true", help=plant)


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
