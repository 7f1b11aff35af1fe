"""docs/contract.md: what every operator is, from the reference's docstrings and signatures."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib import import_module

from page_text import documented, fenced, in_line

import reference
from properties._claim import CONCEPTS, OPERATORS, SENTENCES, Operator
from properties._diagnosis import suspects

HEAD = """---
tocdepth: 2
---

# The contract

What a port offers: functions of these names, with these arguments. This page is made from the docstrings of `reference/`
(`python docs/generate.py`). `touchstone --explain NAME` prints the same for one operator, with its claims and the mistakes on
record.

What holds for all of them:

- Operators are pure functions of arrays. What stands before `*` is given by position, what stands after it by keyword.
- They act on the **last axis** (`A` actions, `n` samples, `T` steps of time, `K` atoms, `D` dimensions of an action). The axes
  before it, written `...`, are batch. Shapes must match exactly; nothing is broadcast.
- `terminated` and `truncated` are Gymnasium's flags. `terminated` cuts the bootstrap, `terminated | truncated` cuts the recursion.
  `next_value[t]` belongs to the true successor of step t: the final observation, never the one after a reset.
- `error` is target − prediction. Results are one for each element; to reduce them is the caller's part.
- Randomness is an argument: the noise itself, or a `numpy.random.Generator`.
- Nothing writes to its arguments, and the same call gives the same answer.
- Bad input raises `ValueError`, and the message names the rule, the value and the place. A port that does not check declares
  `bad_input`: `unchecked` ([conventions](port-authors.md#conventions)).

Each **error bound** says how far rounding may take a right answer. The code of it is named below each operator.
"""


def contract_page() -> str:
    """The whole page."""
    return HEAD + "\n" + "\n\n".join(_parts()) + "\n"


def _parts() -> Iterator[str]:
    concepts = [concept for concept in CONCEPTS if concept != "agents" and _of(concept)]
    yield "\n".join(
        f"- [{concept}](#{concept}): " + ", ".join(f"[`{each}`](#{each})" for each in _of(concept)) for concept in concepts
    )
    for concept in concepts:
        yield f"## {concept}"
        yield in_line((inspect.getdoc(import_module(f"reference.{concept}")) or "").split("\n\n")[0])
        yield from (_operator(OPERATORS[name]) for name in _of(concept))


def _of(concept: str) -> list[str]:
    """The operators that the reference's file of that name holds."""
    return [name for name in OPERATORS if _concept(name) == concept]


def _concept(name: str) -> str:
    """The reference's public file that offers an operator, though another may hold it."""
    own = getattr(reference, name).__module__.rpartition(".")[2]
    offering = [concept for concept in CONCEPTS if hasattr(import_module(f"reference.{concept}"), name)]
    return own if own in CONCEPTS else offering[0]


def _operator(record: Operator) -> str:
    function = getattr(reference, record.name)
    signature = f"{record.name}{inspect.signature(function)}".replace("'", "")
    file = record.bound.__module__.replace(".", "/") + ".py"
    about = [claim for claim in SENTENCES.values() if record.name in claim.operators and claim.kind == "theorem"]
    lines = [
        f"### `{record.name}`",
        fenced(signature, "python"),
        documented(inspect.getdoc(function) or ""),
        f"- **Tried in** {', '.join(record.widths)}{_kind(record)}.",
        f"- **Error bound** `{record.bound.__name__}` in `{file}`: {_bound(record)}",
        f"- **Theorems** {', '.join(f'[`{claim.name}`](claims.md#{claim.name})' for claim in about)}.",
        f"- **Mistakes on record** {len(suspects(record.name))}.",
    ]
    return "\n\n".join(lines[:3]) + "\n\n" + "\n".join(lines[3:])


def _bound(record: Operator) -> str:
    """What its docstring says first."""
    return in_line((inspect.getdoc(record.bound) or "").split("\n\n")[0])


def _kind(record: Operator) -> str:
    """What keeps a call from having one right answer."""
    return "; its answer is drawn" * record.random + "; its answer is an object with a history" * record.stateful
