"""The report's files, JSON and JUnit XML, written whole or not at all."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol
from xml.etree import ElementTree

from properties._claim import SENTENCES
from properties._run import ABSENT, FAILS, UNDECIDED, Result


class Reported(Protocol):
    """What a report file is made from."""

    results: list[Result]

    def as_json(self) -> dict[str, Any]:
        """The report's head."""
        ...


def write_json(path: Path, report: Reported) -> None:
    """Every verdict with what belongs to it: {port, profile, seed, verdict, versions, ..., results: [...]}."""
    results = [asdict(r) | {"kind": SENTENCES[r.claim].kind, "concept": SENTENCES[r.claim].concept} for r in report.results]
    atomically(path, json.dumps(report.as_json() | {"results": results}, indent=1) + "\n")


def write_junit(path: Path, results: Sequence[Result], port: str) -> None:
    """One suite an operator, one case a claim and dtype; undecided is an error, absent is skipped."""
    root = ElementTree.Element("testsuites", name=f"touchstone {port}")
    for operator in dict.fromkeys(result.operator for result in results):
        mine = [result for result in results if result.operator == operator]
        suite = ElementTree.SubElement(root, "testsuite", name=operator, tests=str(len(mine)))
        for attribute, verdict in (("failures", FAILS), ("errors", UNDECIDED), ("skipped", ABSENT)):
            suite.set(attribute, str(_count(mine, verdict)))
        for result in mine:
            _case(suite, result)
    ElementTree.indent(root)
    atomically(path, ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n")


def _case(suite: ElementTree.Element, result: Result) -> None:
    name = f"{result.claim}[{result.dtype}]"
    case = ElementTree.SubElement(suite, "testcase", classname=result.operator, name=name, time=f"{result.seconds:.3f}")
    tag = {FAILS: "failure", UNDECIDED: "error", ABSENT: "skipped"}.get(result.verdict)
    if tag:
        text = "\n".join(
            filter(
                None,
                [
                    result.detail,
                    result.found and f"found {result.found}",
                    result.due and f"due {result.due}",
                    result.paste,
                    "behaves like " * bool(result.behaves_like) + ", ".join(result.behaves_like),
                ],
            )
        )
        ElementTree.SubElement(case, tag, message=_printable(result.detail or SENTENCES[result.claim].sentence)).text = _printable(
            text
        )


def _count(results: Sequence[Result], verdict: str) -> int:
    return sum(result.verdict == verdict for result in results)


def _printable(text: str) -> str:
    """Without the control characters that XML forbids."""
    return re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", "?", text)


def atomically(path: Path, text: str) -> None:
    """Write beside the target, then rename: a reader sees the old file or the new one, never half of one."""
    handle, name = tempfile.mkstemp(dir=path.resolve().parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
