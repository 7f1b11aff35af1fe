"""Tables inside pages, made from the suite: what stands between `<!-- table:NAME -->` and `<!-- end -->`."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from page_text import in_line, table

from properties._bugs import catalogue, open_sightings
from properties._claim import CLAIMS, OPERATORS
from properties._conventions import CONVENTIONS
from properties._ledger import LEDGER
from properties._run import PROFILES

ROOT = Path(__file__).resolve().parent.parent
LISTS = ROOT / "properties" / "_self_test" / "kill_matrix_lists.txt"


def with_tables(text: str) -> str:
    """The page with every table counted anew; KeyError for a table that nobody counts."""
    return re.sub(r"(<!-- table:(\w+) -->\n).*?(<!-- end -->)", lambda m: f"{m[1]}{TABLES[m[2]]()}\n{m[3]}", text, flags=re.DOTALL)


def figures() -> str:
    """How much the suite knows, and what it knows only once."""
    bugs, lists = catalogue().values(), LISTS.read_text(encoding="utf-8")
    mutants = re.search(r"^mutants: (\d+); (\d+) justified as equivalent, (\d+) of the other (\d+) killed", _readme(), re.MULTILINE)
    assert mutants is not None, "the README tells the score of the mutants"
    rows = [
        ("operators; theorems about them", f"{len(OPERATORS)}; {sum(claim.kind == 'theorem' for claim in CLAIMS.values())}"),
        ("mistakes on record, all refuted by a theorem", str(len(bugs))),
        ("of these, refuted by one theorem only", _counted(lists, "bugs that one theorem only refutes")),
        ("of these, mistakes in a derivative: only a port with `gradient` can be told", str(sum(bug.derivative for bug in bugs))),
        ("theorems that refute no mistake on record", _counted(lists, "theorems that refute no bug of the catalogue")),
        ("public sightings that no operator can show (`--bugs`)", str(len(open_sightings()))),
        ("small changes of the torch code; without effect, each with its reason; that nothing noticed",
         f"{mutants[1]}; {mutants[2]}; {int(mutants[4]) - int(mutants[3])}"),
    ]  # fmt: skip
    return table(("", "count"), rows)


def sightings() -> str:
    """The open sightings by their reason."""
    reasons = Counter(open_sightings().values())
    return table(("why no operator shows it", "sightings"), [(in_line(why), str(many)) for why, many in reasons.most_common()])


def power() -> str:
    """For each statistical claim about operators the smallest effect that it must see."""
    rows = []
    for name in [name for name in CLAIMS if name in LEDGER]:
        smallest = min(LEDGER[name].cases, key=lambda case: case.effect)
        rows.append((f"[`{name}`](claims.md#{name})", f"{smallest.effect:.3f}", in_line(smallest.effect_of)))
    return table(("claim", "smallest effect", "of the mistake"), rows)


def profiles() -> str:
    """How many examples a claim gets."""
    rows = [(f"`{name}`", str(effort.examples), f"{effort.seconds:g} s") for name, effort in PROFILES.items()]
    return table(("profile", "examples a claim", "at most, a claim"), rows)


def conventions() -> str:
    """What may be declared."""
    rows = [("`bad_input`", "`unchecked`", "bad input is undefined behaviour; nothing is tried on it", "all")]
    for each in CONVENTIONS:
        who = (
            "all"
            if len(each.operators) == len(OPERATORS)
            else ", ".join(f"[`{name}`](contract.md#{name})" for name in each.operators)
        )
        rows.append((f"`{each.key}`", f"`{each.value}`", in_line(each.story), who))
    return table(("key", "value", "meaning", "operators"), rows)


TABLES = {"figures": figures, "sightings": sightings, "power": power, "profiles": profiles, "conventions": conventions}


def _counted(lists: str, title: str) -> str:
    found = re.search(rf"^{title}: (\d+)$", lists, re.MULTILINE)
    assert found is not None, f"kill_matrix_lists.txt says how many: {title}"
    return found[1]


def _readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")
