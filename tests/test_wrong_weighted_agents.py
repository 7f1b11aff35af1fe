"""Each wrong AWR, QWR and discrete SAC is refuted by the claim that it should be, and no claim about them goes without one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from wrong_weighted_agents import WRONG

from properties import AGENT_CLAIMS
from properties._ports import Port
from properties._run import FAILS, PROFILES, run

EFFORT = replace(PROFILES["dev"], examples=200, shrink=False, diagnose=False)
MODULES = ("_agents_weighted_regression", "_agents_weighted_fixed_points", "_agents_soft", "_agents_bit_flip")


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_agent_is_refuted_by_its_claim(name: str) -> None:
    wrong = WRONG[name]
    result = run(AGENT_CLAIMS[wrong.claim], wrong.operator, Port(wrong.port, "wrong"), EFFORT)
    assert result.verdict == FAILS, result.detail


def test_every_claim_here_can_fail() -> None:
    here = {name for name, claim in AGENT_CLAIMS.items() if claim.body.__module__.rpartition(".")[2] in MODULES}
    assert here == {wrong.claim for wrong in WRONG.values()}
