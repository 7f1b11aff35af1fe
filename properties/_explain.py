"""`--list` and `--explain`: the suite's contents as text."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

import reference
from properties import CLAIMS, OPERATORS
from properties._claim import Claim
from properties._oracles import ORACLES


def listing(operators: Sequence[str] = (), claims: Sequence[str] = ()) -> str:
    """Operators by concept, then claims by concept, each with its label and first line."""
    lines = ["operators"]
    for concept in dict.fromkeys(record.concept for record in OPERATORS.values()):
        names = [name for name, record in OPERATORS.items() if record.concept == concept]
        lines.append(f"  {concept:18} {', '.join(names)}")
    lines.append("\nclaims")
    for name, claim in CLAIMS.items():
        chosen = (not claims or name in claims or claim.concept in claims) and (
            not operators or set(operators) & set(claim.operators)
        )
        if chosen:
            lines.append(f"  {claim.concept:18} {claim.label:10} {name}")
    return "\n".join(lines)


def explain(name: str) -> str:
    """A claim with its sentence, source and oracle; or an operator with its documentation and its claims."""
    return _claim(CLAIMS[name]) if name in CLAIMS else _operator(name)


def _claim(claim: Claim) -> str:
    lines = [f"{claim.name}  ({claim.label}, {claim.concept})", "", claim.sentence, "", f"source     {claim.source}"]
    lines.append(f"operators  {', '.join(claim.operators)}")
    if claim.oracle:
        record = ORACLES[claim.oracle]
        lines += [
            f"oracle     {record.name}: {record.computes}",
            f"           by {record.method}; from {record.derivation}",
            f"           shares code with {record.shares_code_with}; checked itself: {record.identities}",
        ]
    return "\n".join(lines)


def _operator(name: str) -> str:
    record = OPERATORS[name]
    function = getattr(reference, name)
    lines = [f"{name}{inspect.signature(function)}".replace("'", ""), "", inspect.getdoc(function) or "", ""]
    bound = inspect.getdoc(record.bound) or ""
    lines += [f"error bound  {bound}", "", "claims"]
    lines += [f"  {c.label:10} {c.name}" for c in CLAIMS.values() if name in c.operators and c.kind == "theorem"]
    return "\n".join(lines)
