"""The page's numbers: how near each operator comes to its bounds, and the ledger of the statistical claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element

from properties._claim import RECORDS, SENTENCES
from properties._html_matrix import MARKS, Row
from properties._html_plots import histogram, legend, scale, trajectory
from properties._html_tags import Child, breakable, scrolled, tag
from properties._ledger import LEDGER
from properties._ports import KNOWN_DTYPES

COMPARED = "port_equals_reference"


# --------------------------------------------------------------------------------------------------------- error / bound
def bounds(rows: Sequence[Row]) -> list[Child]:
    """A line an operator; for each dtype the comparisons with the reference, and those in the theorems."""
    measured = [row for row in rows if row["ratios"]]
    dtypes = [dtype for dtype in KNOWN_DTYPES if any(row["dtype"] == dtype for row in measured)]
    parts = [(kind, dtype) for kind in ("reference", "theorems") for dtype in dtypes]
    parts = [part for part in parts if any(_part(row) == part for row in measured)]
    heads = [
        tag("th", f"{dtype}, {'against the reference' if kind == 'reference' else 'in theorems'}", scale(), scope="col")
        for kind, dtype in parts
    ]
    lines = []
    for operator in [name for name in RECORDS if any(row["operator"] == name for row in measured)]:
        mine = [row for row in measured if row["operator"] == operator]
        cells = [_bars([row for row in mine if _part(row) == part]) for part in parts]
        lines.append(tag("tr", tag("th", breakable(operator), scope="row"), *cells))
    if not lines:
        return [tag("p", "Nothing was compared within a bound.")]
    caption = "largest error/bound of each comparison; under it the largest of all. 1 is the bound."
    head = tag("thead", tag("tr", tag("th", "operator", scope="col"), *heads))
    return [scrolled(tag("table", tag("caption", caption), head, tag("tbody", *lines)), "error over bound by operator and type")]


def _part(row: Row) -> tuple[str, str]:
    return "reference" if row["claim"] == COMPARED else "theorems", row["dtype"]


def _bars(rows: Sequence[Row]) -> Element:
    if not rows:
        return tag("td")
    counts = [sum(row["ratios"][place] for row in rows) for place in range(len(rows[0]["ratios"]))]
    worst, beyond = max(row["worst"] or 0.0 for row in rows), counts[-1]
    label = f"{sum(counts)} comparisons, the largest error/bound that holds {worst:.2g}" + f", {beyond} beyond the bound" * bool(
        beyond
    )
    more = [tag("strong", f"; {beyond} beyond")] if beyond else []
    return tag("td", histogram(counts, label), f"{worst:.2g}", *more)


# ------------------------------------------------------------------------------------------------------------ the ledger
HEADS = (
    "verdict", "claim: case", "operator", "type", "share", "alpha", "effect", "power", "draws / planned", "evidence", "trajectory",
    "the mistake hardest to see",
)  # fmt: skip


def ledger(account: Mapping[str, Any]) -> list[Child]:
    """What the ledger promises, and what every case came to."""
    promises = tag(
        "p",
        f"False alarms: at most {account['run_budget']:.0e} a run, {account['false_alarms_a_year']:.1e} in a year of two a day. "
        f"{account['shared_out']:.0%} of it is shared out among {len(LEDGER)} claims, {account['reserve']:.0%} is in reserve. "
        f"A sampler that is off by the effect holds with probability at most {account['passed']:.0e}, and alarms with the power "
        f"stated; a right one is left open with probability at most {account['unproved']:.0e} for each number and side.",
    )
    if not account["records"]:
        return [promises, tag("p", "No statistical claim was tried.")]
    head = tag("thead", tag("tr", *(tag("th", title, scope="col") for title in HEADS)))
    lines = [_record(record) for record in account["records"]]
    caption = "what every case of every statistical claim came to; trajectories over the planned draws, in powers of ten"
    table = tag("table", tag("caption", caption), head, tag("tbody", *lines), class_="ledger")
    return [promises, legend(), tag("div", scrolled(table, "the statistical ledger"), class_="across")]


def _record(record: Mapping[str, Any]) -> Element:
    verdict = record["verdict"]
    numbers = (
        f"{record['share']:.2f}", f"{record['alpha']:.1e}", f"{record['effect']:.4f}", f"{record['power']:.6f}",
        f"{record['draws']} / {record['planned']}", f"10^{max(record['evidence'] or 0.0, 0.0):.1f}",
    )  # fmt: skip
    return tag(
        "tr",
        tag("td", tag("span", f"{MARKS[verdict]} {verdict}", class_=f"mark {verdict}")),
        tag("th", f"{record['label']} {record['claim'].replace('_', ' ')}: {record['case']}", scope="row"),
        tag("td", breakable(record["operator"])),
        tag("td", record["dtype"]),
        *(tag("td", number, class_="number") for number in numbers),
        tag("td", trajectory(record) if record["trajectory"] else None),
        tag("td", record["effect_of"]),
    )


def about(rows: Sequence[Row]) -> str:
    """How much was tried."""
    claims, operators = {row["claim"] for row in rows}, {row["operator"] for row in rows}
    theorems = sum(SENTENCES[name].kind == "theorem" for name in claims)
    return f"{len(rows)} trials: {len(claims)} claims, {theorems} of them theorems, about {len(operators)} operators"
