"""Declared conventions: who declares one is tried under it and holds, who does not is told which it is."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

import accelerated.port as twin
import reference
from properties import CLAIMS
from properties._conventions import CONVENTIONS, Convention
from properties._diagnosis import diagnosed
from properties._likeness import CONVENTION, diagnoses
from properties._ports import Port, PortError
from properties._run import ABSENT, FAILS, HOLDS, PROFILES, Result, run
from properties._trial import Trial

EFFORT = replace(PROFILES["dev"], shrink=False)
VARIANTS = [(each, operator) for each in CONVENTIONS for operator in each.variants]


def port_of(convention: Convention, operator: str, **declared: str) -> Port:
    return Port(SimpleNamespace(**{operator: convention.variants[operator]}, CONVENTIONS=declared), "other")


def results(port: Port, operator: str) -> list[Result]:
    return [run(claim, operator, port, EFFORT) for claim in CLAIMS.values() if operator in claim.operators]


@pytest.mark.parametrize(("convention", "operator"), VARIANTS, ids=lambda x: getattr(x, "id", x))
def test_a_declared_convention_holds(convention: Convention, operator: str) -> None:
    verdicts = {r.claim: r.verdict for r in results(port_of(convention, operator, **{convention.key: convention.value}), operator)}
    assert {name for name, verdict in verdicts.items() if verdict not in (HOLDS, ABSENT)} == set()
    assert verdicts["port_equals_reference" if "port_equals_reference" in verdicts else "dtype_is_kept"] == HOLDS


@pytest.mark.parametrize(("convention", "operator"), VARIANTS, ids=lambda x: getattr(x, "id", x))
def test_an_undeclared_convention_is_named_and_no_bug(convention: Convention, operator: str) -> None:
    found = results(port_of(convention, operator), operator)
    assert any(result.verdict == FAILS for result in found)
    assert diagnosed(Trial(port_of(convention, operator), operator), []) == (f"{operator}/{convention.id}",)
    told = diagnoses(found)
    assert [each.verdict for each in told] == [CONVENTION]
    assert convention.id in told[0].lines()[0] and "a convention, not a bug" in told[0].lines()[0]


@pytest.mark.parametrize(("convention", "operator"), VARIANTS, ids=lambda x: getattr(x, "id", x))
def test_a_bug_under_a_declared_convention_still_fails(convention: Convention, operator: str) -> None:
    def wrong(*arguments: Any, **keywords: Any) -> Any:
        answer = convention.variants[operator](*arguments, **keywords)
        return tuple(part + 1 for part in answer) if isinstance(answer, tuple) else answer + 1

    port = Port(SimpleNamespace(**{operator: wrong}, CONVENTIONS={convention.key: convention.value}), "wrong")
    assert any(result.verdict == FAILS for result in results(port, operator))


def test_every_excuse_is_a_claim_about_its_operators() -> None:
    for convention in CONVENTIONS:
        for name in convention.excuses:
            assert set(CLAIMS[name].operators) & set(convention.operators), name


def test_gradients_may_flow_where_the_caller_detaches() -> None:
    """A target that is differentiable fails, unless the port says that its callers detach."""
    right = twin.on(dtype="float64", device="cpu")

    def gradient(operator: str, argument: Any, *arguments: Any, **keywords: Any) -> Any:
        return right.gradient(operator, argument, *arguments, **keywords) + 1.0

    claim = CLAIMS["no_gradient_reaches_the_target"]
    for declared, verdict in (({}, FAILS), ({"constants": "caller detaches"}, ABSENT)):
        module = SimpleNamespace(value_target=right.value_target, gradient=gradient, CONVENTIONS=declared)
        assert run(claim, "value_target", Port(module, "flowing"), EFFORT).verdict == verdict


def test_infinities_may_be_undefined() -> None:
    """0 times infinity is NaN: refuted, unless the port says that infinite inputs have no answer."""

    def target(reward: Any, terminated: Any, next_value: Any, *, discount: Any) -> Any:
        reference.value_target(reward, terminated, next_value, discount=discount)
        return reward + discount * (1.0 - terminated) * next_value

    claims = [claim for claim in CLAIMS.values() if "value_target" in claim.operators]
    for declared, failing in (({}, True), ({"infinities": "undefined"}, False)):
        port = Port(SimpleNamespace(value_target=target, CONVENTIONS=declared), "plain")
        verdicts = [run(claim, "value_target", port, EFFORT).verdict for claim in claims]
        assert (FAILS in verdicts) == failing and verdicts.count(HOLDS) > 5


@pytest.mark.parametrize("declared", [{"ties": "last"}, {"tie": "first"}, {"bad_input": "checked"}])
def test_a_convention_that_does_not_exist_is_refused(declared: dict[str, str]) -> None:
    key, value = next(iter(declared.items()))
    with pytest.raises(PortError, match=f"CONVENTIONS: .*must be.*got {key!r}: {value!r}"):
        Port(SimpleNamespace(CONVENTIONS=declared), "misspelt")
