"""Agents: every claim about them holds for this package's own, and each wrong one is refuted by the claim that it should be."""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from wrong_agents import WRONG
from wrong_continuous_agents import WRONG_CONTINUOUS
from wrong_memories import PlainMemory
from wrong_on_policy_agents import WRONG as WRONG_ON_POLICY
from wrong_weighted_agents import WRONG as WRONG_WEIGHTED

import properties._agents_draws as draws
from properties import AGENT_CLAIMS, AGENTS, CLAIMS, OPERATORS
from properties._agents_sightings import CAUGHT
from properties._arguments import parse
from properties._explain import bugs, explain, listing
from properties._ledger import LEDGER
from properties._ports import Port, load_port
from properties._report import Reporter
from properties._run import ABSENT, FAILS, HOLDS, PROFILES, run
from properties._runner import Offer, plan

EFFORT = replace(PROFILES["dev"], examples=40, shrink=False, diagnose=False)
PORT = load_port("accelerated")
TRIALS = [(claim.name, operator) for claim in AGENT_CLAIMS.values() for operator in claim.operators]
ROOT = Path(__file__).resolve().parent.parent
EVERY = [*WRONG.values(), *WRONG_CONTINUOUS.values(), *WRONG_ON_POLICY.values(), *WRONG_WEIGHTED.values()]
"""This file tries the first of them, files of their own the others."""


@pytest.mark.parametrize(("claim", "operator"), TRIALS)
def test_claim_holds(claim: str, operator: str) -> None:
    result = run(AGENT_CLAIMS[claim], operator, PORT, EFFORT)
    assert result.verdict == HOLDS, f"{result.detail} found {result.found} due {result.due} bound {result.bound}\n{result.paste}"


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_agent_is_refuted_by_its_claim(name: str) -> None:
    wrong = WRONG[name]
    result = run(AGENT_CLAIMS[wrong.claim], wrong.operator, Port(wrong.port, "wrong"), replace(EFFORT, examples=200))
    assert result.verdict == FAILS, result.detail


def test_a_plain_memory_is_a_plain_list() -> None:
    result = run(AGENT_CLAIMS["a_replay_is_a_plain_list"], "replay", Port(SimpleNamespace(replay=PlainMemory), "plain"), EFFORT)
    assert result.verdict == HOLDS, result.detail


def test_every_claim_can_fail_and_every_agent_can_be_refuted() -> None:
    assert set(AGENT_CLAIMS) - {wrong.claim for wrong in EVERY} == set()
    assert {operator for _, operator in TRIALS} == set(AGENTS)


def test_what_is_caught_is_caught_by_a_wrong_agent() -> None:
    seen = {(wrong.sighting, wrong.claim) for wrong in EVERY if wrong.sighting}
    assert {slug for slug, _ in seen} == set(CAUGHT)
    assert {(slug, caught.claim) for slug, caught in CAUGHT.items()} <= seen


def test_operators_and_agents_are_kept_apart() -> None:
    assert not set(OPERATORS) & set(AGENTS) and not set(CLAIMS) & set(AGENT_CLAIMS)
    assert all(set(claim.operators) <= set(AGENTS) for claim in AGENT_CLAIMS.values())


def test_the_port_imports_no_agent_before_one_is_asked_for() -> None:
    text = "import sys, accelerated.port; assert not [m for m in sys.modules if m.startswith('accelerated.agents')]"
    subprocess.run([sys.executable, "-c", text], check=True, cwd=ROOT)


def test_an_agent_whose_packages_are_missing_is_absent_and_not_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "accelerated.agents.adapter", None)
    monkeypatch.delattr("accelerated.agents.adapter")
    assert run(AGENT_CLAIMS["seeds_differ"], "bc_agent", PORT, EFFORT).verdict == ABSENT


# ------------------------------------------------------------------------------------------ what is due, by another method
def simulated(rule: str, drawn: np.random.Generator) -> np.ndarray[Any, Any]:
    """One learner's Q after its steps, played and written down once more."""
    w, tables = draws.coins(), 2 if rule == "double_q_learning" else 1
    q, s, a, length = np.zeros((tables, 3, 2)), 0, drawn.integers(2), 0
    for _ in range(draws.STEPS):
        after, length, coin = drawn.choice(3, p=w.transition[s, a]), length + 1, drawn.integers(tables)
        following = drawn.integers(2)
        if rule == "sarsa":
            ahead = q[0, after, following]
        else:
            ahead = q[1 - coin if tables == 2 else 0, after, q[coin, after].argmax()]
        q[coin, s, a] = w.reward[s, a] + draws.DISCOUNT * ahead
        cut = after == 2 or length == draws.LIMIT
        s, a, length = (0, drawn.integers(2), 0) if cut else (after, following, length)
    return np.asarray(q.mean(axis=0))


@pytest.mark.parametrize("name", [name for name in LEDGER if hasattr(draws, name)])
def test_what_is_due_of_a_loop_is_what_simulation_says(name: str) -> None:
    case = LEDGER[name].cases[0]
    rule = case.name.rpartition(" ")[2]
    found = np.stack([simulated(rule, np.random.default_rng(seed)) for seed in range(3000)])
    assert np.abs(draws.exceed(found, case.inputs).mean(axis=0) - case.due).max() < 5 * 0.5 / 3000**0.5


# -------------------------------------------------------------------------------------------------------- the command line
OFFER = Offer(("float64", "float32"), (*OPERATORS, *AGENTS), {}, {})


def test_agents_are_planned_when_asked_for_or_named() -> None:
    def planned(**asked: Any) -> set[str]:
        return {task.operator for task in plan(OFFER, is_reference=False, **asked)}

    assert planned() == set(OPERATORS) and planned(agents=True) == {*OPERATORS, *AGENTS}
    assert planned(operators=("iql_agent", "gae")) == {"iql_agent", "gae"}
    assert planned(claims=("agents",)) == set(AGENTS) and planned(claims=("seeds_differ",)) <= set(AGENTS)
    assert {task.dtype for task in plan(OFFER, is_reference=False, operators=("iql_agent",))} == {"float64"}
    assert [parse(["--profile", name]).with_agents for name in ("dev", "ci", "release", "deep")] == [False, False, True, True]
    assert parse(["--agents"]).with_agents


def report(*argv: str, offered: tuple[str, ...]) -> str:
    text = io.StringIO()
    made = Reporter(parse(list(argv)), Console(file=text, width=120))
    made.begin(Offer(("float64",), offered, {}, {}), [])
    made.write()
    return text.getvalue()


def test_a_port_without_agents_is_told_so_in_one_line() -> None:
    text = report("--agents", offered=tuple(OPERATORS))
    assert text.count("agents: the port offers none") == 1 and "iql_agent" not in text
    assert "agents" not in report(offered=tuple(OPERATORS))
    assert "absent operators: replay" in report("--agents", offered=(*OPERATORS, *set(AGENTS) - {"replay"}))


def test_agents_and_their_claims_are_listed_and_explained() -> None:
    listed, told = listing(), explain("iql_agent")
    assert all(name in listed for name in (*AGENTS, *AGENT_CLAIMS))
    assert "update(**batch)" in told and "an_update_of_iql_is_its_three_equations" in told
    assert "Kostrikov" in explain("an_update_of_iql_is_its_three_equations")
    assert all(caught.claim in bugs() and slug in bugs() for slug, caught in CAUGHT.items())


def test_agents_are_tried_by_the_command() -> None:
    asked = ("--ops", "bc_agent,gae", "--claims", "seeds_differ,gae_with_lambda_zero_is_the_td_error", "--profile", "dev")
    done = subprocess.run([sys.executable, "verify.py", *asked], capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "bc_agent" in done.stdout and "2 hold" in done.stdout
