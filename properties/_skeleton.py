"""What a new port begins with: the contract as an adapter to fill in, as a sheet for other languages, and as its settings file."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence

import reference
from properties._claim import OPERATORS
from properties._conventions import CONVENTIONS
from properties._ports import KNOWN_DTYPES
from properties._run import PROFILES

WIDTH = 88
"""A line of code is no longer, so that formatters leave it as it is."""
UNCHECKED = "bad input is undefined behaviour; nothing is tried on it"
ADAPTER = '''\
"""A port for touchstone: your operators under the contract's names, NumPy in and NumPy out.

Fill in what you have and delete the rest; what still raises NotImplementedError is absent,
never a pass. A call that you do not support (one choice of a keyword, say) may raise it,
too: that example does not count. Arrays may have batch axes in front, the "..." below, and
are not yours to change. The answer has the type of the input. On bad input, listed under
"raises", raise ValueError with the rule, the value and the place. A generator is a
numpy.random.Generator: draw a seed for your own from it.

Try it with {command}; see one claim with touchstone --explain NAME.
"""

from __future__ import annotations

import numpy as np

# The types that you offer, of {dtypes}; without it, float64 is tried. bfloat16
# values travel as float32 arrays.
# DTYPES = ("float64", "float32")

# What you do otherwise than the contract, on purpose. It is tried as declared.
# CONVENTIONS = {{
{conventions}
# }}


# An object with the operators for one type and device, where they differ. Without it the
# functions below are asked in every type, on the CPU.
# def on(*, dtype: str, device: str) -> object:
#     return MyOperators(dtype, device)


# What your automatic differentiation says d(sum of cotangent * result) / d(argument) is,
# of the operator of this name, the argument a position or a keyword's name. Without it the
# claims about derivatives are absent.
# def gradient(operator, argument, *args, cotangent=None, **kwargs) -> np.ndarray:
#     raise NotImplementedError
'''
SHEET = """\
# The contract for {program}

Each heading is an operator: the first line is what it computes, then what it is given, by name, then what it returns. A program is
asked on stdin and answers on stdout, one frame each, with the arguments under these names and the results as `0`, `1`, … in this
order; defaults are always sent. Offer some of the operators or all of them. On bad input, listed under "raises", answer
`status: refused` and a message with the rule, the value and the place. Arrays may have batch axes in front, the `...` below.
"""
SETTINGS = """\
# How touchstone tries this port. Read by `touchstone` (or --config FILE) and by `pytest --touchstone`; the command line wins.
{port}
# profile = "ci"  # examples a claim: {profiles}
{ops}
# claims = ["agreement"]  # only these claims, or the claims of these concepts; touchstone --list shows all
# dtypes = ["float64"]  # only these of what the port offers
# require = ["all"]  # operators whose absence is an error
# patience = 20  # seconds; a call that takes longer hangs

# What the port does otherwise than the contract, on purpose: here or in its own CONVENTIONS.
[conventions]
{conventions}

# A failure that you know and live with for now: it does not fail the run, until it is mended (then remove it) or expires.
# [[expected-failure]]
# operator = "{operator}"
# claim = "port_equals_reference"
# dtype = "float64"  # without it: in every type
# reason = "why, and where it is tracked"
# counterexample = "port.{operator}(...)"  # what the report prints under inputs, or a file that --failures wrote
# expires = 2030-01-31  # its last day
"""


def adapter(operators: Sequence[str], command: str) -> str:
    """A module with every operator's signature and what it must return, each still absent."""
    stories = "\n".join(_conventions(operators, "#     # {}", '#     "{}": "{}",'))
    head = ADAPTER.format(command=command, dtypes=", ".join(KNOWN_DTYPES), conventions=stories)
    parts = [head.rstrip("\n")]
    for concept, names in by_concept(operators).items():
        rule = f"# {'-' * (WIDTH - 4 - len(concept))} {concept}"
        parts.append(rule + "\n" + "\n\n\n".join(_function(name) for name in names))
    return "\n\n\n".join(parts) + "\n"


def sheet(operators: Sequence[str], program: str) -> str:
    """The contract for a program in any language."""
    lines = [SHEET.format(program=program)]
    for concept, names in by_concept(operators).items():
        lines.append(f"## {concept}\n")
        for name in names:
            lines += [f"### {name}\n", "```", *_told(name), *_defaults(name), "```\n"]
    return "\n".join(lines)


def settings(operators: Sequence[str], port: str, *, some: bool) -> str:
    """A touchstone.toml of which all but the port (and the operators, where only `some` are wanted) is commented out."""
    profiles = ", ".join(f"{name} {effort.examples}" for name, effort in PROFILES.items())
    names = ", ".join(f'"{name}"' for name in (operators if some else operators[:2]))
    return SETTINGS.format(
        port=port, profiles=profiles, operator=operators[0],
        conventions="\n".join(_conventions(operators, "# # {}", '# {} = "{}"')),
        ops=f"ops = [{names}]" if some else f"# ops = [{names}]  # only these operators",
    )  # fmt: skip


def by_concept(operators: Iterable[str]) -> Mapping[str, list[str]]:
    """The operators under their concepts, in the order of the contract."""
    found: dict[str, list[str]] = {}
    for name in sorted(operators, key=list(OPERATORS).index):
        found.setdefault(OPERATORS[name].concept, []).append(name)
    return found


def _conventions(operators: Sequence[str], story: str, form: str) -> list[str]:
    """What these operators may declare, each below what it means."""
    known = [(each.key, each.value, each.story) for each in CONVENTIONS if set(each.operators) & set(operators)]
    told = [(story.format(text), form.format(key, value)) for key, value, text in [("bad_input", "unchecked", UNCHECKED), *known]]
    return [line for lines in told for line in lines]


def _told(name: str) -> list[str]:
    """The equation and the table of shapes: the first and the last paragraph of the reference's documentation."""
    first, *_, table = (inspect.getdoc(getattr(reference, name)) or "").split("\n\n")
    return [*first.splitlines(), "", *table.splitlines()]


def _defaults(name: str) -> list[str]:
    """What a keyword is where the caller gives none."""
    places = inspect.signature(getattr(reference, name)).parameters.values()
    given = [f"{place.name} = {_literal(place.default)}" for place in places if place.default is not place.empty]
    return [f"defaults: {', '.join(given)}"] if given else []


def _literal(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _function(name: str) -> str:
    """One operator, absent until it is written."""
    first, *more = _told(name)
    body = [f'    """{first}', *(f"    {line}".rstrip() for line in more), '    """', "    raise NotImplementedError"]
    return "\n".join([_signature(name), *body])


def _signature(name: str) -> str:
    """The contract's own, laid out as formatters do."""
    record, signature = OPERATORS[name], inspect.signature(getattr(reference, name))
    array = signature.return_annotation in ("FloatArray", "IntArray")
    answer = "object" if record.stateful else "np.ndarray" if array else "tuple"
    places: list[str] = []
    starred = False
    for place in signature.parameters.values():
        if place.kind is place.KEYWORD_ONLY and not starred:
            places.append("*")
            starred = True
        places.append(place.name if place.default is place.empty else f"{place.name}={_literal(place.default)}")
    line = ", ".join(places)
    whole = f"def {name}({line}) -> {answer}:"
    if len(whole) <= WIDTH:
        return whole
    inner = f"    {line}" if len(line) + 4 <= WIDTH else "\n".join(f"    {place}," for place in places)
    return f"def {name}(\n{inner}\n) -> {answer}:"
