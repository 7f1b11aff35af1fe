"""`--html`: the report as one page, made from what `--json` writes; no script, no network, nothing beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element

from properties._conventions import CONVENTIONS
from properties._html_failures import diagnosis, failing, failures
from properties._html_figures import about, bounds, ledger
from properties._html_matrix import MARKS, WORDS, Row, matrices
from properties._html_style import style
from properties._html_tags import Child, breakable, html, listed, tag
from properties._run import ABSENT, FAILS, HOLDS, UNDECIDED

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""What a browser may load for this page: nothing."""
SIGNS = {HOLDS: "✓", FAILS: "✗", "incomplete": "?"}


def page(document: Mapping[str, Any]) -> str:
    """The page of one report, the document that `--json` writes."""
    rows: list[Row] = document["results"]
    failed = failing(rows)
    anchors = {id(row): f"f-{number}" for number, row in enumerate(failed)}
    sections: list[tuple[str, str, list[Child]]] = [
        ("diagnosis", "What it looks like", diagnosis(document["diagnosis"])),
        ("failures", "Failures", failures(failed, anchors, document["diagnosis"])),
        ("undecided", "Undecided", _reasons(rows, UNDECIDED)),
        ("matrix", "Every verdict", [tag("p", about(rows)), *matrices(rows, anchors)]),
        ("bounds", "Error and bound", bounds(rows)),
        ("ledger", "Statistical claims", ledger(document["ledger"])),
        ("absent", "Not offered", _absent(document, rows)),
        ("conventions", "Conventions declared", _conventions(document["conventions"])),
        ("reading", "How to read this", _reading()),
        ("versions", "Versions", [listed(document["versions"].items())]),
    ]
    told = [(anchor, title, said) for anchor, title, said in sections if said]
    return html(tag("html", _head(document), _body(document, told), lang="en"))


def _head(document: Mapping[str, Any]) -> Element:
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{document['verdict']}: {document['port']} — touchstone"),
        tag("style", style()),
    )


def _body(document: Mapping[str, Any], sections: Sequence[tuple[str, str, Sequence[Child]]]) -> Element:
    links = [tag("li", tag("a", title, href=f"#{anchor}")) for anchor, title, _ in sections]
    return tag(
        "body",
        tag("a", "to the results", href="#results", class_="skip"),
        tag("header", *_verdict(document)),
        tag("nav", tag("ul", *links), aria_label="Parts of this report"),
        tag("main", *(_section(*section) for section in sections), id="results", tabindex=-1),
        tag("footer", tag("p", f"Touchstone, report {document['schema']}")),
    )


def _section(anchor: str, title: str, said: Sequence[Child]) -> Element:
    return tag("section", tag("h2", title, id=f"{anchor}-title"), *said, id=anchor, aria_labelledby=f"{anchor}-title")


def _verdict(document: Mapping[str, Any]) -> list[Child]:
    """The last line of the terminal's report first, then what was tried, how, and for how long."""
    verdict, rows = document["verdict"], document["results"]
    facts = {
        "device": document["device"], "types": ", ".join(document["dtypes"]) or "none", "profile": document["profile"],
        "seed": str(document["seed"]), "trials": f"{len(rows)} of {document['planned']}",
        "examples": f"{sum(row['examples'] for row in rows):,}", "calls of the port": f"{sum(row['calls'] for row in rows):,}",
        "seconds": f"{document['seconds']:.1f}",
    }  # fmt: skip
    return [
        tag("h1", "Touchstone: ", tag("code", document["port"])),
        tag("p", f"{SIGNS[verdict]} {document['summary']}", class_=f"verdict {verdict}"),
        *(tag("p", remark) for remark in document["settings"]),
        tag("dl", *(tag("div", tag("dt", name), tag("dd", said)) for name, said in facts.items()), class_="facts"),
    ]


# ------------------------------------------------------------------------------------------------------ what was not tried
def _reasons(rows: Iterable[Row], verdict: str) -> list[Child]:
    """Each reason once, with the trials that it kept from a verdict."""
    reasons: dict[str, list[Row]] = {}
    for row in rows:
        if row["verdict"] == verdict:
            reasons.setdefault(row["detail"], []).append(row)
    return [_reason(text, mine) for text, mine in reasons.items()]


def _reason(text: str, rows: Sequence[Row]) -> Element:
    items = [tag("li", breakable(row["operator"]), f": {row['claim'].replace('_', ' ')} [{row['dtype']}]") for row in rows]
    return tag("details", tag("summary", text or "no reason given", tag("span", str(len(rows)), class_="count")), tag("ul", *items))


def _absent(document: Mapping[str, Any], rows: Sequence[Row]) -> list[Child]:
    """Operators, then claims that the port declines."""
    names = document["absent"]
    listing = [child for name in names for child in (tag("code", name), ", ")][:-1]
    operators = [tag("p", f"{len(names)} operator{'s' * (len(names) > 1)} of the contract: ", *listing)] if names else []
    return [*operators, *_reasons(rows, ABSENT)]


def _conventions(declared: Mapping[str, str]) -> list[Child]:
    """As the port says it, and what it means."""
    stories = {(each.key, each.value): each.story for each in CONVENTIONS}
    stories["bad_input", "unchecked"] = "bad input is undefined behaviour; nothing is tried on it"
    return [listed((f"{key} = {value}", stories.get((key, value), value)) for key, value in declared.items())] if declared else []


# ---------------------------------------------------------------------------------------------------------- how to read it
def _reading() -> list[Child]:
    meanings = {
        HOLDS: "within its derived rounding bound, on every example",
        FAILS: "refuted; the smallest counterexample found is above",
        "expected": "refuted, and the port's settings say why that is known, until when",
        UNDECIDED: "time ran out, or the operator crashed before: nothing is said",
        ABSENT: "the port does not offer it: nothing is said, and it is never a pass",
    }
    marks = [
        tag("li", tag("span", MARKS[kind], class_=f"mark {kind}", aria_hidden="true"), f" {WORDS[kind]}: {meaning}")
        for kind, meaning in meanings.items()
    ]
    return [
        tag("ul", *marks),
        tag(
            "p",
            "A row is a claim, a sentence that must hold; its name unfolds to it. A column is an operator: the claim is tried for "
            "each operator that it accuses, taken from the port, and every other one from the reference. A mark stands for all "
            "types in which the claim was tried; small letters (f64, f32, bf16) say in which of them it is so. An empty place: the "
            "claim is not about that operator.",
        ),
        tag(
            "p",
            "No tolerance is tuned: every bound is derived from the inputs and the type's rounding. The bars count comparisons by "
            "their largest error/bound, on a scale of powers of two from 2^-13; exact answers stand at 0, the bound at 1.",
        ),
        tag(
            "p",
            "Claims about samplers are judged by betting: a line that passes the alarm refutes, one that passes the other "
            "threshold proves that the sampler is within the effect of what is due. Both are valid whenever one looks.",
        ),
    ]
