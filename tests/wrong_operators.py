"""Operators that are wrong, each by one mistake that somebody made or could: theorems must find them all, without agreement's help.

The rows are in five tables, by concept: the operator, the story in one line, the name of the mistake in the catalogue of bugs seen
in the wild (empty: not on record), and the function that makes it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from wrong_choices import CHOICES
from wrong_gaussians import GAUSSIANS
from wrong_memories import MEMORIES
from wrong_policies import POLICIES
from wrong_searches import SEARCHES


class WrongOperator(NamedTuple):
    """One mistake."""

    operator: str
    story: str
    seen: str
    function: Any


ROWS = [*CHOICES, *MEMORIES, *GAUSSIANS, *POLICIES, *SEARCHES]
WRONG_OPERATORS = {f"{row[0]}: {row[1]}": WrongOperator(*row) for row in ROWS}
