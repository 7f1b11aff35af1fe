"""The matrix of verdicts, one for each concept: a row a claim, a column an operator, the dtypes of a cell together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element

from properties._claim import CONCEPTS, RECORDS, SENTENCES
from properties._html_style import WIDE
from properties._html_tags import Child, breakable, scrolled, sentence, spoken, tag
from properties._run import ABSENT, FAILS, HOLDS, UNDECIDED

Row = Mapping[str, Any]
EXPECTED = "expected"
MARKS = {FAILS: "✗", UNDECIDED: "?", EXPECTED: "E", HOLDS: "✓", ABSENT: "–"}
"""From the gravest: the mark of a cell is the first that one of its dtypes has."""
WORDS = {FAILS: "fails", UNDECIDED: "undecided", EXPECTED: "fails as expected", HOLDS: "holds", ABSENT: "not offered"}
SHORT = {"float64": "f64", "float32": "f32", "bfloat16": "bf16"}


def state(row: Row) -> str:
    """The verdict, and whether a failure was expected."""
    return EXPECTED if row["verdict"] == FAILS and row.get("expected") else str(row["verdict"])


def counted(rows: Sequence[Row]) -> str:
    """How many hold, fail, ..."""
    verdicts = Counter(state(row) for row in rows)
    words = WORDS | {HOLDS: "hold", FAILS: "fail", EXPECTED: "fail as expected"}
    return ", ".join(f"{verdicts[kind]} {words[kind]}" for kind in MARKS if verdicts[kind])


def matrices(rows: Sequence[Row], anchors: Mapping[int, str]) -> list[Child]:
    """One for each concept that was tried, open where something is wrong; `anchors` say where the row with that id is told."""
    return [_concept(concept, mine, anchors) for concept in CONCEPTS if (mine := [row for row in rows if _home(row) == concept])]


def _home(row: Row) -> str:
    """What all operators share is shown with the operator."""
    claim = SENTENCES[row["claim"]]
    return RECORDS[row["operator"]].concept if claim.kind == "agreement" else claim.concept


def _concept(concept: str, rows: Sequence[Row], anchors: Mapping[int, str]) -> Element:
    wrong = {FAILS, UNDECIDED, EXPECTED} & {state(row) for row in rows}
    marks = [
        tag("span", MARKS[kind], class_=f"mark {kind}", aria_hidden="true")
        for kind in MARKS
        if kind in wrong or not wrong and kind == HOLDS
    ]
    title = tag("summary", *marks[:1], f" {concept.replace('_', ' ')}", tag("span", counted(rows), class_="count"))
    operators = sorted({row["operator"] for row in rows}, key=list(RECORDS).index)
    table = tag(
        "table",
        tag("caption", f"{concept.replace('_', ' ')}: claims by operators"),
        tag(
            "thead", tag("tr", tag("th", "claim", scope="col"), *(tag("th", tag("span", name), scope="col") for name in operators))
        ),
        _body(rows, operators, anchors),
        class_="matrix",
    )
    across = "across" if len(operators) > WIDE else None
    return tag(
        "details",
        title,
        scrolled(table, f"claims about {concept.replace('_', ' ')}"),
        id=f"m-{concept}",
        class_=across,
        open="" if wrong else None,
    )


def _body(rows: Sequence[Row], operators: Sequence[str], anchors: Mapping[int, str]) -> Element:
    """Theorems, then what all operators share."""
    cells: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        cells.setdefault((row["claim"], row["operator"]), []).append(row)
    lines: list[Child] = []
    for kind, title in (("theorem", ""), ("agreement", "what all operators share")):
        names = [name for name, claim in SENTENCES.items() if claim.kind == kind and any(name == row["claim"] for row in rows)]
        if names and title:
            lines.append(tag("tr", tag("th", title, colspan=len(operators) + 1, scope="colgroup"), class_="part"))
        for name in names:
            told = [_cell(cells.get((name, operator), []), anchors) for operator in operators]
            lines.append(tag("tr", tag("th", _sentence(name), scope="row"), *told))
    return tag("tbody", *lines)


def _sentence(name: str) -> Element:
    """A claim by its name, which unfolds to what it says."""
    claim = SENTENCES[name]
    label = f"{claim.label} " if claim.label[-1:].isdigit() else ""
    return tag(
        "details",
        tag("summary", label, name.replace("_", " ")),
        sentence(claim.sentence),
        tag("p", tag("small", claim.source)),
        breakable(name),
    )


def _cell(rows: Sequence[Row], anchors: Mapping[int, str]) -> Element:
    if not rows:
        return tag("td")
    kinds = {state(row) for row in rows}
    kind = next(kind for kind in MARKS if kind in kinds)
    mine = [row for row in rows if state(row) == kind]
    said: list[Child] = [tag("span", MARKS[kind], aria_hidden="true"), spoken(WORDS[kind])]
    if len(mine) < len(rows) and kind != HOLDS:
        said.append(tag("small", " ".join(SHORT[row["dtype"]] for row in mine)))
    where = next((anchors[id(row)] for row in mine if id(row) in anchors), None)
    return tag("td", tag("a", *said, href=f"#{where}"), class_=kind) if where else tag("td", *said, class_=kind)
