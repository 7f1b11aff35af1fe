"""Every wrong version of the later operators fails a theorem: agreement with the reference is not what finds it."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from properties import CLAIMS, OPERATORS
from properties._ports import Port
from properties._run import FAILS, PROFILES, run

sys.path.insert(0, str(Path(__file__).parent))
from wrong_operators import WRONG_OPERATORS, WrongOperator  # noqa: E402

EFFORT = replace(PROFILES["dev"], shrink=False)
LATER = {
    "exploration", "overestimation", "dueling", "target_networks", "priorities", "categorical", "gaussians", "policy_gradient",
    "control_variates", "trust_region", "action_search",
}  # fmt: skip


def refuting(wrong: WrongOperator) -> str:
    """The first theorem that this mistake fails; empty if none."""
    port = Port(SimpleNamespace(**{wrong.operator: wrong.function}), "wrong")
    theorems = [claim for claim in CLAIMS.values() if claim.kind == "theorem" and wrong.operator in claim.operators]
    return next((claim.name for claim in theorems if run(claim, wrong.operator, port, EFFORT).verdict == FAILS), "")


@pytest.mark.parametrize("name", WRONG_OPERATORS)
def test_a_theorem_fails_without_help_from_agreement(name: str) -> None:
    assert refuting(WRONG_OPERATORS[name])


def test_every_later_operator_that_is_not_random_is_tried_with_two_mistakes() -> None:
    tried = Counter(wrong.operator for wrong in WRONG_OPERATORS.values())
    owed = [name for name, record in OPERATORS.items() if record.concept in LATER and not record.random]
    assert [name for name in owed if tried[name] < 2] == []
