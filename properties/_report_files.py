"""The report's files, JSON, JUnit XML and the page, written whole or not at all: all are made from one document."""

from __future__ import annotations

import json
import math
import os
import shlex
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol
from xml.etree import ElementTree

from properties._arguments import Arguments
from properties._claim import SENTENCES
from properties._failure import file_name
from properties._html import page
from properties._html_tags import printable
from properties._run import ABSENT, FAILS, UNDECIDED, Result

SCHEMA = 1
"""The version of the document, which properties/report.schema.json describes; it rises when something is taken out or changed."""
KEPT_ELSEWHERE = {"file"}
"""What a result carries for other files than these."""
Row = Mapping[str, Any]


class Reported(Protocol):
    """What the document is made from."""

    results: list[Result]
    arguments: Arguments

    def as_json(self) -> dict[str, Any]:
        """The report's head."""
        ...

    def expected(self, result: Result) -> str:
        """Why this failure is expected; empty if it is not."""
        ...


def document(report: Reported) -> dict[str, Any]:
    """Every verdict with what belongs to it: {schema, port, profile, seed, verdict, versions, ..., results: [...]}."""
    found: dict[str, Any] = _finite({"schema": SCHEMA} | report.as_json() | {"results": [_row(r, report) for r in report.results]})
    return found


def _row(result: Result, report: Reported) -> dict[str, Any]:
    claim, failed = SENTENCES[result.claim], result.verdict == FAILS
    kept = {key: value for key, value in asdict(result).items() if key not in KEPT_ELSEWHERE}
    return kept | {
        "kind": claim.kind,
        "concept": claim.concept,
        "expected": report.expected(result) if failed else "",
        "replay": replay_command(result, report.arguments) if failed else "",
    }


def _finite(value: Any) -> Any:
    """JSON knows neither NaN nor infinity: what is no finite number is null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, (list, tuple)) else value


def replay_command(failure: Result, arguments: Arguments) -> str:
    """The command that tries this claim again, on the same examples; or on the one that failed, where that is written to a file."""
    device = "" if arguments.device == "cpu" else f" --device {arguments.device}"
    device += f" --config {shlex.quote(str(arguments.config))}" if arguments.config else ""
    program = "touchstone" if Path(sys.argv[0]).name == "touchstone" else "python verify.py"
    if arguments.failures and failure.file:
        file = arguments.failures / file_name(failure.operator, failure.claim, failure.dtype)
        return f"{program} {arguments.port_words} --replay {shlex.quote(str(file))}{device}"
    what = f"--claims {failure.claim} --ops {failure.operator} --dtype {failure.dtype}"
    return f"{program} {arguments.port_words} {what} --profile {arguments.profile} --seed {arguments.seed}{device}"


# -------------------------------------------------------------------------------------------------------------- the files
def write_json(path: Path, report: Mapping[str, Any]) -> None:
    """A line for each result."""
    head = json.dumps({key: value for key, value in report.items() if key != "results"}, indent=1, allow_nan=False)
    rows = ",\n  ".join(json.dumps(row, allow_nan=False) for row in report["results"])
    atomically(path, f'{head[:-2]},\n "results": [\n  {rows}\n ]\n}}\n')


def write_html(path: Path, report: Mapping[str, Any]) -> None:
    """One page."""
    atomically(path, page(report))


def write_junit(path: Path, report: Mapping[str, Any]) -> None:
    """One suite an operator, one case a claim and dtype; undecided is an error; absent is skipped, and so are expected failures.

    There is no time stamp and no host: two runs of one port differ in their seconds only.
    """
    rows, root = report["results"], ElementTree.Element("testsuites", name=f"touchstone {report['port']}")
    _count(root, rows)
    for operator in dict.fromkeys(row["operator"] for row in rows):
        mine = [row for row in rows if row["operator"] == operator]
        suite = ElementTree.SubElement(root, "testsuite", name=operator)
        _count(suite, mine)
        _properties(suite, report)
        for row in mine:
            _case(suite, row)
    ElementTree.indent(root)
    atomically(path, ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n")


def _tag(row: Row) -> str:
    """What a case has in it; nothing, if it holds."""
    return "skipped" if row["expected"] else {FAILS: "failure", UNDECIDED: "error", ABSENT: "skipped"}.get(row["verdict"], "")


def _count(element: ElementTree.Element, rows: Sequence[Row]) -> None:
    element.set("tests", str(len(rows)))
    for attribute, kind in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        element.set(attribute, str(sum(_tag(row) == kind for row in rows)))
    element.set("time", f"{sum(row['seconds'] for row in rows):.3f}")


def _properties(suite: ElementTree.Element, report: Mapping[str, Any]) -> None:
    """What was tried, and with what."""
    parent = ElementTree.SubElement(suite, "properties")
    said = {key: report[key] for key in ("port", "profile", "seed", "device")}
    said |= {f"version of {name}": version for name, version in report["versions"].items()}
    said |= {f"convention {name}": value for name, value in report["conventions"].items()}
    for name, value in said.items():
        ElementTree.SubElement(parent, "property", name=printable(name), value=printable(str(value)))


def _case(suite: ElementTree.Element, row: Row) -> None:
    name = f"{row['claim']}[{row['dtype']}]"
    case = ElementTree.SubElement(suite, "testcase", classname=row["operator"], name=name, time=f"{row['seconds']:.3f}")
    kind = _tag(row)
    if not kind:
        return
    sentence = " ".join(SENTENCES[row["claim"]].sentence.split())
    expected = f"expected to fail: {row['expected']}" if row["expected"] else ""
    inner = ElementTree.SubElement(case, kind, message=printable(expected or row["detail"] or sentence))
    if kind != "skipped":
        inner.set("type", row["verdict"])
    inner.text = printable("\n".join(filter(None, _told(row, sentence))))


def _told(row: Row, sentence: str) -> list[str]:
    """The failure as text."""
    sides = [f"{name} {row[name]}" for name in ("found", "due", "bound", "where") if row[name]]
    like = "behaves like " * bool(row["behaves_like"]) + ", ".join(row["behaves_like"])
    return [sentence, SENTENCES[row["claim"]].source, row["detail"], *sides, row["paste"], like, row["replay"]]


def atomically(path: Path, text: str) -> None:
    """Write beside the target, then rename: a reader sees the old file or the new one, never half of one."""
    atomically_bytes(path, text.encode())


def atomically_bytes(path: Path, data: bytes) -> None:
    """The same of bytes."""
    handle, name = tempfile.mkstemp(dir=path.resolve().parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
