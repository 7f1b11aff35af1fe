"""The catalogue of known bugs: every one is refuted by a theorem, refuted by agreement, and named as what it is."""

from __future__ import annotations

import os
import re
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import accelerated.port as twin
import reference
from properties import AGENT_CLAIMS, CLAIMS, OPERATORS
from properties._agents_sightings import CAUGHT
from properties._bugs import catalogue, open_sightings, probes
from properties._bugs._record import Bug
from properties._bugs._sightings import SIGHTINGS
from properties._diagnosis import diagnosed
from properties._ports import REFERENCE, Port
from properties._self_test._kill_matrix import LISTS, by_one_only, lists, past_kills, without_a_kill
from properties._self_test._pool import said
from properties._trial import Trial

PEERS = (
    "trax-td-k-terminal-inside-the-margin", "trax-gaussian-entropy-exp-std", "trax-enumerated-qwr-uniform",
    "rlax-expectile-docstring-reversed", "baselines-per-newest-never-sampled", "mushroom-unconverged-value-iteration",
    "corl-cosine-climbs-back", "modular-rl-reward-filter-after-storing", "modular-rl-line-search-without-kl",
    "rllabpp-q-prop-halves-differ", "jax-corl-iql-no-tanh",
)  # fmt: skip
"""The defects found in reading the code of eleven peers."""


@cache
def planted() -> dict[str, dict[str, Any]]:
    """What became of every bug, each planted as a port of its own; all cores share the work."""
    return {row["bug"]: row for row in said("bugs", os.cpu_count() or 1)}


# ------------------------------------------------------------------------------------------------------------ the verdicts
def test_every_bug_is_planted() -> None:
    assert set(planted()) == set(catalogue()) and len(catalogue()) >= 120


def test_every_bug_fails_a_theorem_without_help_from_agreement() -> None:
    assert [bug for bug, row in planted().items() if not row["theorem"]] == []


def test_every_bug_that_has_a_right_answer_fails_agreement() -> None:
    assert [bug for bug, row in planted().items() if row["answered"] and not row["agreement"]] == []


CHECKS = {"bad_input_is_rejected", "rejections_name_rule_value_and_place"}
LENIENT = re.compile(r"broadcast|negative-curvature")
"""Mistakes that valid input does not show: what is missing is a check."""


def test_agreement_is_about_answers_but_where_a_check_is_what_is_missing() -> None:
    by_checks = [bug for bug, row in planted().items() if row["agreement"] in CHECKS]
    assert [bug for bug in by_checks if not LENIENT.search(bug)] == []


def test_every_bug_is_named_and_none_is_taken_for_another() -> None:
    assert [bug for bug, row in planted().items() if row["misnamed"]] == []
    named = sum(row["named"] for row in planted().values())
    assert named / len(planted()) >= 0.95


# ----------------------------------------------------------------------------------------------------- what is not diagnosed
@pytest.mark.parametrize("operator", OPERATORS)
def test_the_right_operator_is_no_bug(operator: str) -> None:
    assert diagnosed(Trial(REFERENCE, operator), []) == ()


@pytest.mark.parametrize("dtype", twin.DTYPES)
@pytest.mark.parametrize("operator", OPERATORS)
def test_the_twin_is_no_bug_in_any_type(operator: str, dtype: str) -> None:
    if dtype in OPERATORS[operator].widths:
        assert diagnosed(Trial(Port(twin, "twin", dtype), operator), []) == ()


def test_a_bug_is_recognised_in_narrower_types_and_with_other_rounding() -> None:
    """A port made of the twin, written without sight of the catalogue, with the same mistake."""

    class Wrong:
        DTYPES = twin.DTYPES

        @staticmethod
        def on(*, dtype: str, device: str) -> Any:
            right = twin.on(dtype=dtype, device=device)

            def gae(reward: Any, terminated: Any, truncated: Any, *values: Any, **knobs: Any) -> Any:
                return right.gae(reward, terminated | truncated, truncated, *values, **knobs)

            def log_mean_exp(q: Any, *, temperature: float) -> Any:
                return right.log_mean_exp(q, temperature=temperature) + temperature * np.log(q.dtype.type(q.shape[-1]))

            return SimpleNamespace(gae=gae, log_mean_exp=log_mean_exp)

    for dtype in ("float64", "float32"):
        port = Port(Wrong, "wrong", dtype)
        assert diagnosed(Trial(port, "gae"), []) == ("gae/done-is-terminated-or-truncated",)
        assert diagnosed(Trial(port, "log_mean_exp"), []) == ("log_mean_exp/log-sum-for-log-mean",)


def test_a_port_that_checks_nothing_is_still_recognised() -> None:
    class Careless:
        @staticmethod
        def sarsa_target(reward: Any, terminated: Any, next_q: Any, next_action: Any, *, discount: Any) -> Any:
            picked = np.take_along_axis(next_q, next_action[..., None], -1)[..., 0]
            return reward + discount * picked

    found = diagnosed(Trial(Port(Careless, "careless"), "sarsa_target"), [])
    assert len(found) == 1 and "terminated" in catalogue()[found[0]].story + found[0]


# ------------------------------------------------------------------------------------------------------------- the entries
@pytest.mark.parametrize("bug", catalogue().values(), ids=lambda bug: bug.id)
def test_an_entry_is_complete(bug: Bug) -> None:
    assert re.fullmatch(r"[a-z0-9_]+/[a-z0-9]+(-[a-z0-9]+)*", bug.id)
    assert 10 <= len(bug.story) <= 120 and "\n" not in bug.story and not bug.story.endswith(".")
    assert all(link.startswith("https://") or " " in link for link in bug.links)
    assert probes()[bug.operator]


def test_every_sighting_is_an_entry_or_caught_in_an_agent_or_open_with_a_reason() -> None:
    seen = {key for bug in catalogue().values() for key in bug.seen.split()}
    assert set(SIGHTINGS) == seen | set(open_sightings()) | set(CAUGHT)
    assert not seen & set(open_sightings()) and not set(CAUGHT) & (seen | set(open_sightings()))
    assert all(len(reason) > 15 for reason in open_sightings().values())


def test_what_agents_show_is_caught_by_a_claim_about_them() -> None:
    assert {caught.claim for caught in CAUGHT.values()} <= set(AGENT_CLAIMS)
    assert all(10 <= len(caught.story) <= 120 and not caught.story.endswith(".") for caught in CAUGHT.values())


def test_the_defects_of_peers_are_all_accounted_for() -> None:
    assert set(PEERS) <= set(SIGHTINGS)


def test_every_operator_has_bugs() -> None:
    assert [name for name in reference.__all__ if not any(bug.operator == name for bug in catalogue().values())] == []


# --------------------------------------------------------------------------------------------------------- the kill matrix
def test_the_kill_matrix_is_of_this_catalogue_and_these_claims() -> None:
    assert set(past_kills()) == set(catalogue())
    for bug, claims in past_kills().items():
        assert {claim for claim in claims if catalogue()[bug].operator not in CLAIMS[claim].operators} == set()
        assert any(CLAIMS[claim].kind == "theorem" for claim in claims)


def test_the_lists_of_the_kill_matrix_are_as_committed() -> None:
    assert LISTS.read_text(encoding="utf-8") == "\n".join(lists(past_kills())) + "\n"
    assert set(by_one_only(past_kills()).values()).isdisjoint(without_a_kill(past_kills()))
