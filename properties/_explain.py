"""`--list`, `--explain`, `--bugs`: the suite's contents as text; what tries no port is called from here."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence

import reference
from properties._agents_sightings import CAUGHT
from properties._arguments import Arguments
from properties._bugs import open_sightings
from properties._bugs._sightings import SIGHTINGS
from properties._claim import AGENTS, OPERATORS, RECORDS, SENTENCES, Claim, Operator
from properties._diagnosis import suspects
from properties._ledger import LEDGER, Entry, promises
from properties._oracles import ORACLES


def show(arguments: Arguments) -> int:
    """`--list`, `--explain`, `--bugs`: what the suite holds; `--self-test`: what it finds; `--write-vectors`. No port is tried."""
    if arguments.write_vectors:
        from properties._vectors_write import write_vectors

        return write_vectors(arguments.write_vectors, arguments.ops)
    if arguments.self_test:
        from properties._self_test._table import self_test

        return self_test(arguments.jobs, arguments.json)
    if arguments.explain:
        print(explain(arguments.explain))
    else:
        print(bugs(arguments.ops) if arguments.bugs else listing(arguments.ops, arguments.claims))
    return 0


def listing(operators: Sequence[str] = (), claims: Sequence[str] = ()) -> str:
    """Operators by concept, then claims by concept, each with its label and first line."""
    lines = ["operators"]
    for concept in dict.fromkeys(record.concept for record in RECORDS.values()):
        names = [name for name, record in RECORDS.items() if record.concept == concept]
        lines.append(f"  {concept:18} {', '.join(names)}")
    lines.append("\nclaims")
    for name, claim in SENTENCES.items():
        chosen = (not claims or name in claims or claim.concept in claims) and (
            not operators or set(operators) & set(claim.operators)
        )
        if chosen:
            lines.append(f"  {claim.concept:18} {claim.label:10} {name}")
    return "\n".join(lines)


def bugs(operators: Sequence[str] = ()) -> str:
    """The catalogue: every bug by operator with its story and where it was seen; then what is open, and why."""
    lines = ["bugs on record"]
    for bug in [bug for name in operators or OPERATORS for bug in suspects(name)]:
        lines.append(f"  {bug.id}: {bug.story}")
        lines += [f"      {link}" for link in bug.links]
    lines += ["", "bugs of agents, each with the claim that refutes it"]
    for key, caught in CAUGHT.items():
        lines += [f"  {key}: {caught.story}", f"      {caught.claim}", f"      {SIGHTINGS[key]}"]
    lines += ["", "open: seen in public, and shown by no operator of the contract and no claim about agents"]
    return "\n".join(lines + [f"  {key}: {reason}\n      {SIGHTINGS[key]}" for key, reason in open_sightings().items()])


def explain(name: str) -> str:
    """A claim: its sentence, source and oracle; or an operator: its documentation, its claims and the mistakes on record."""
    if name in AGENTS:
        return _agent(name)
    return _claim(SENTENCES[name]) if name in SENTENCES else _operator(name)


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
    if claim.name in LEDGER:
        lines += ["", *_statistics([LEDGER[claim.name]])]
    return "\n".join(lines)


def _operator(name: str) -> str:
    record, function = OPERATORS[name], getattr(reference, name)
    lines = [f"{name}{inspect.signature(function)}".replace("'", ""), "", inspect.getdoc(function) or "", ""]
    lines += [f"tried in     {', '.join(record.widths)}{_kind(record)}"]
    bound = (inspect.getdoc(record.bound) or "").splitlines()
    lines += [f"error bound  {bound[0]}", *(f"             {line}".rstrip() for line in bound[1:])]
    about = [claim for claim in SENTENCES.values() if name in claim.operators]
    lines += _theorems(about)
    lines += ["", "agreement"]
    for claim in (claim for claim in about if claim.kind == "agreement"):
        lines += [f"  {claim.name}", f"       {_first_line(claim)}"]
    lines += ["", "mistakes on record", *(f"  {bug.mistake}: {bug.story}" for bug in suspects(name))]
    if drawn := [LEDGER[claim.name] for claim in about if claim.name in LEDGER]:
        lines += ["", *_statistics(drawn)]
    return "\n".join(lines)


def _agent(name: str) -> str:
    """What makes it and what it must answer, then its claims."""
    about = [claim for claim in SENTENCES.values() if name in claim.operators]
    drawn = [LEDGER[claim.name] for claim in about if claim.name in LEDGER]
    protocol = RECORDS[name].bound
    lines = [f"{name}{inspect.signature(protocol)}".replace("'", ""), "", inspect.getdoc(protocol) or "", *_theorems(about)]
    return "\n".join([*lines, *(["", *_statistics(drawn)] if drawn else [])])


def _theorems(about: Sequence[Claim]) -> list[str]:
    """Label, name and first line of each."""
    told = [[f"  {claim.label:4} {claim.name}", f"       {_first_line(claim)}"] for claim in about if claim.kind == "theorem"]
    return ["", "theorems", *(line for lines in told for line in lines)]


def _first_line(claim: Claim) -> str:
    """Of its sentence; dots say that it goes on."""
    first, *more = claim.sentence.splitlines()
    return f"{first} ..." if more and more[0] else first


def _kind(record: Operator) -> str:
    """What keeps a call from having one right answer."""
    return "; its answer is drawn" * record.random + "; its answer is an object with a history" * record.stateful


def _statistics(entries: Iterable[Entry]) -> list[str]:
    """Each entry of the ledger with its cases: the smallest mistake that must be seen, and with what power in how many draws."""
    lines = [f"statistics (false alarms of all claims together: at most {promises()['run_budget']:.0e} a run)"]
    for entry in entries:
        lines.append(f"  {entry.label:4} {entry.claim}: share {entry.share:g}, {entry.alpha:.1e} for each number")
        for case in entry.cases:
            planned = entry.plan(case, "float64")
            seen = f"{case.effect_of}, {case.effect:.4f} off, is seen with power {planned.power:.6f} in {planned.draws} draws"
            lines.append(f"       {case.name}: {seen}")
    return lines
