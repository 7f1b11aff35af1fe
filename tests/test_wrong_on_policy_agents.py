"""Agents that learn from their newest steps: each wrong one is refuted by the claim that it should be."""

from __future__ import annotations

from dataclasses import replace

import pytest
from wrong_on_policy_agents import WRONG

from properties import AGENT_CLAIMS
from properties._ports import Port
from properties._run import FAILS, PROFILES, run

EFFORT = replace(PROFILES["dev"], examples=200, shrink=False, diagnose=False)
ROOMS = ("on_policy", "trust_regions", "ascents", "gaussian_steps", "q_prop", "q_prop_expectations")


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_on_policy_agent_is_refuted_by_its_claim(name: str) -> None:
    wrong = WRONG[name]
    result = run(AGENT_CLAIMS[wrong.claim], wrong.operator, Port(wrong.port, "wrong"), EFFORT)
    assert result.verdict == FAILS, result.detail
    assert "could not be used" not in result.detail, "refuted by the claim, and not because the claim broke"


def test_every_claim_about_on_policy_agents_can_fail() -> None:
    claims = {name for name, claim in AGENT_CLAIMS.items() if claim.body.__module__.removeprefix("properties._agents_") in ROOMS}
    assert claims == {wrong.claim for wrong in WRONG.values()}
