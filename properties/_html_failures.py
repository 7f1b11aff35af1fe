"""What failed, told whole: the sentence, what was found and due, the counterexample, what it looks like, how to try it again."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element

import reference
from properties._claim import OPERATORS, SENTENCES
from properties._html_matrix import EXPECTED, MARKS, Row, state
from properties._html_tags import Child, breakable, link, listed, sentence, tag
from properties._likeness import CONVENTION, KNOWN, MANNERS, SEVERAL
from properties._run import FAILS

OPEN_FAILURES = 2
"""So many failures of one operator are shown unfolded, theorems first: they say more than a disagreement does."""
MOST_LINKS = 12
BEHAVES = {
    KNOWN: "behaves like a known bug.",
    SEVERAL: "behaves like several known bugs, which these inputs do not tell apart.",
    CONVENTION: "a convention, not a bug: declare it.",
    MANNERS: "the answers are right; the claims that fail say what is wrong with the manners.",
}
UNKNOWN_MISTAKE = "unknown: no mistake on record explains all of its failures."


def failing(rows: Iterable[Row]) -> list[Row]:
    """By operator, theorems first, the widest dtype first, the shortest counterexample first; what was expected last."""
    rows = list(rows)
    place = {name: number for number, name in enumerate(dict.fromkeys(row["operator"] for row in rows))}

    def rank(row: Row) -> tuple[Any, ...]:
        agreement = SENTENCES[row["claim"]].kind == "agreement"
        return place[row["operator"]], state(row) == EXPECTED, agreement, row["dtype"] != "float64", len(row["paste"])

    return sorted((row for row in rows if row["verdict"] == FAILS), key=rank)


def diagnosis(found: Sequence[Mapping[str, Any]]) -> list[Child]:
    """Each mistake once, with its story and where it was seen."""
    said: list[Child] = []
    for number, each in enumerate(found):
        who = ", ".join(each["operators"])
        said.append(tag("h3", who, id=f"d-{number}"))
        said.append(tag("p", BEHAVES.get(each["verdict"], UNKNOWN_MISTAKE)))
        if each["mistakes"] and each["verdict"] not in BEHAVES:
            said.append(tag("p", "Some of them look like:"))
        said += [_mistake(mistake) for mistake in each["mistakes"]]
    return said


def _mistake(mistake: Mapping[str, Any]) -> Element:
    seen, more = mistake["seen"][:MOST_LINKS], len(mistake["seen"]) - MOST_LINKS
    links = [tag("li", link(address)) for address in seen] + ([tag("li", f"and {more} more")] if more > 0 else [])
    return listed(
        [
            ("mistake", tag("code", mistake["mistake"])),
            ("what it does", mistake["story"]),
            ("seen in", tag("ul", *links) if links else "not on public record"),
        ]
    )


def failures(rows: Sequence[Row], anchors: Mapping[int, str], found: Sequence[Mapping[str, Any]]) -> list[Child]:
    """One part an operator, the first failures unfolded."""
    said: list[Child] = []
    for operator in dict.fromkeys(row["operator"] for row in rows):
        mine = [row for row in rows if row["operator"] == operator]
        alike = [number for number, each in enumerate(found) if operator in [name.partition(" ")[0] for name in each["operators"]]]
        title = tag("h3", breakable(operator), f" fails {len(mine)} claims" if len(mine) > 1 else " fails a claim")
        said.append(tag("hgroup", title, _equation(operator)))
        said += [
            _failure(row, anchors[id(row)], found, alike, unfolded=place < OPEN_FAILURES and state(row) == FAILS)
            for place, row in enumerate(mine)
        ]
    return said


def _equation(operator: str) -> Element | None:
    """The operator's own, as the contract has it."""
    if operator not in OPERATORS:
        return None
    return tag("p", "the contract: ", (inspect.getdoc(getattr(reference, operator)) or "").splitlines()[0])


def _failure(row: Row, anchor: str, found: Sequence[Mapping[str, Any]], alike: Sequence[int], *, unfolded: bool) -> Element:
    claim, kind = SENTENCES[row["claim"]], state(row)
    title = tag(
        "summary", tag("span", MARKS[kind], class_=f"mark {kind}", aria_hidden="true"),
        f" {claim.name.replace('_', ' ')} ", tag("span", f"[{row['dtype']}]", class_="count"),
    )  # fmt: skip
    body = listed(
        [
            ("expected", row["expected"] or None),
            ("claim", sentence(claim.sentence)),
            ("source", claim.source),
            ("what", row["detail"]),
            *((name, _text(row[name])) for name in ("found", "due", "bound")),
            ("where", f"the worst element is {row['where']}" if row["where"] else None),
            ("smallest input", _counterexample(row["paste"])),
            ("looks like", _likeness(row, found, alike)),
            ("replay", _text(row["replay"])),
        ]
    )
    return tag("details", title, tag("div", body, id=anchor), open="" if unfolded else None)


def _text(text: str) -> Element | None:
    return tag("pre", text) if text else None


def _counterexample(paste: str) -> list[Child] | None:
    if not paste:
        return None
    how = tag("small", "to paste after ", tag("code", "import numpy as np"), ", with the port imported as ", tag("code", "port"))
    return [tag("pre", paste, class_="code", tabindex=0, role="region", aria_label="the smallest input"), how]


def _likeness(row: Row, found: Sequence[Mapping[str, Any]], alike: Sequence[int]) -> Element | None:
    """The mistakes that explain this failure; each links to its story."""
    slugs = dict.fromkeys(each.partition("/")[2] for each in row["behaves_like"])
    told = {mistake["mistake"]: (number, mistake) for number in alike for mistake in found[number]["mistakes"]}
    items: list[Element] = []
    for slug in slugs:
        number, mistake = told.get(slug, (None, {"story": ""}))
        name: Child = tag("a", slug, href=f"#d-{number}") if number is not None else tag("code", slug)
        items.append(tag("li", name, f": {mistake['story']}" if mistake["story"] else ""))
    return tag("ul", *items) if items else None
