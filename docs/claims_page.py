"""docs/claims.md: every claim with its sentence, its source, whom it accuses and what it rests on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from page_text import in_line, plain, table

from properties._claim import AGENT_CLAIMS, CLAIMS, OPERATORS, SENTENCES, Claim
from properties._ledger import LEDGER
from properties._oracles import ORACLES

README = Path(__file__).resolve().parent.parent / "README.md"
TITLES = {
    "agreement": "agreement with the reference",
    "agents": "agents",
    "caller_functions": "functions of the caller's",
    "gradients": "gradients",
    "units": "units",
}
HEAD = """---
tocdepth: 2
---

# The claims

Each sentence below must hold, for each operator named under it. This page is made from the suite itself
(`python docs/generate.py`); `touchstone --explain NAME` prints one claim.

A claim is tried for one operator at a time: that operator comes from the port, every other one from the reference. So a wrong
operator is named, and no other. *Exact* claims compare with exact or 50-digit arithmetic, with enumeration, or with another call
of the port, within a derived rounding bound. *Drawn* claims are about random operators and about agents that draw; they share one
budget of false alarms, 10⁻⁶ a run.
"""


def claims_page() -> str:
    """The whole page."""
    return HEAD + "\n" + "\n\n".join(_parts()) + "\n"


def _parts() -> Iterator[str]:
    concepts = list(dict.fromkeys(claim.concept for claim in SENTENCES.values()))
    concepts.sort(key=lambda concept: (concept == "agents", concept == "agreement"))
    drawn = [name for name in SENTENCES if name in LEDGER]
    counted = table(("", "claims"), [("about operators", str(len(CLAIMS))), ("about agents (`--agents`)", str(len(AGENT_CLAIMS))),
                                     ("of these drawn", str(len(drawn)))])  # fmt: skip
    yield counted
    yield "\n".join(f"- [{_title(concept)}](#{_slug(_title(concept))}), {len(_of(concept))}" for concept in concepts)
    yield "## Plausible, and false"
    yield "Each sentence is refuted by the smallest case that is known. A port that follows it fails."
    yield "\n".join(_listed(claim) for claim in CLAIMS.values() if re.fullmatch(r"F\d", claim.label))
    yield "## What papers and lectures print wrongly"
    yield "A port written from the left column fails the claim of the right one. The reference does what the middle says."
    yield _errata()
    for concept in concepts:
        yield f"## {_title(concept)}"
        yield from (_claim(claim) for claim in _of(concept))


def _of(concept: str) -> list[Claim]:
    return [claim for claim in SENTENCES.values() if claim.concept == concept]


def _title(concept: str) -> str:
    return TITLES.get(concept, concept)


def _slug(title: str) -> str:
    return re.sub(r"[^\w -]", "", title).replace(" ", "-")


def _listed(claim: Claim) -> str:
    return f"- {claim.label}, [`{claim.name}`](#{claim.name}): {in_line(claim.sentence)}"


def _errata() -> str:
    """The README's table, each claim a link."""
    section = README.read_text(encoding="utf-8").split("## What papers and lectures print wrongly")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return "\n".join(re.sub(r"`(\w+)`", lambda m: _linked(m[1]), row) for row in rows)


def _linked(name: str) -> str:
    return f"[`{name}`](#{name})" if name in SENTENCES else f"`{name}`"


def _claim(claim: Claim) -> str:
    lines = [f"### `{claim.name}`", "", f"{claim.label}. {plain(claim.sentence)}", "", f"- **Source** {in_line(claim.source)}"]
    lines.append(f"- **Accuses** {_accused(claim.operators)}")
    if claim.oracle:
        oracle = ORACLES[claim.oracle]
        lines.append(f"- **Oracle** {plain(f'{oracle.computes} By {oracle.method}; from {oracle.derivation}.')}")
        lines.append(f"  It shares code with {plain(oracle.shares_code_with)}; checked by itself: {plain(oracle.identities)}.")
    return "\n".join([*lines, *_drawn(claim)])


def _accused(operators: Sequence[str]) -> str:
    if len(operators) > len(OPERATORS) // 2:
        return f"{len(operators)} operators"
    return ", ".join(f"[`{name}`](contract.md#{name})" if name in OPERATORS else f"`{name}`" for name in operators)


def _drawn(claim: Claim) -> list[str]:
    """What a statistical claim must see: the smallest effect of a known mistake, and with what power."""
    if claim.name not in LEDGER:
        return []
    entry = LEDGER[claim.name]
    smallest = min(entry.cases, key=lambda case: case.effect)
    power = min(entry.plan(case, "float64").power for case in entry.cases)
    seen = f"smallest effect {smallest.effect:.4f} ({plain(smallest.effect_of)}), power at least {power:.6f}"
    cases = "1 case" if len(entry.cases) == 1 else f"{len(entry.cases)} cases"
    return [f"- **Drawn** {cases}; false alarms at most {entry.share:g} · 10⁻⁶ a run; {seen}"]
