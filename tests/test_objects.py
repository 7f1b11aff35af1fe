"""What a trial hands over beyond arrays: objects with a history, functions, generators, several results, derivatives."""

from __future__ import annotations

import ast
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import reference
from properties import CLAIMS, OPERATORS
from properties._claim import Call, Refuted, Seeded
from properties._functions import Linear
from properties._paste import as_python
from properties._ports import REFERENCE, Port, load_port
from properties._run import ABSENT, FAILS, HOLDS, PROFILES, run
from properties._runner import Offer, plan
from properties._trial import Drawn, Trial, travelling

QUICK = replace(PROFILES["dev"], examples=100)
LIST = CLAIMS["a_sum_tree_is_a_plain_list"]


def port_with(**operators: Any) -> Port:
    return Port(SimpleNamespace(**({name: getattr(reference, name) for name in reference.__all__} | operators)), "wrong")


class Forgetful(SimpleNamespace):
    """A tree that finds the item before the right one."""

    def __init__(self, capacity: int) -> None:
        self.inside = reference.sum_tree(capacity)

    def __len__(self) -> int:
        return len(self.inside)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inside, name)

    def find(self, mass: Any) -> Any:
        return np.maximum(self.inside.find(mass) - 1, 0)


class Explosive(Forgetful):
    """A tree whose update raises."""

    def update(self, index: Any, priority: Any) -> None:
        raise RuntimeError("out of paper")


# ------------------------------------------------------------------------------------------------------------- objects
def test_a_wrong_object_is_refuted_with_its_history() -> None:
    result = run(LIST, "sum_tree", port_with(sum_tree=Forgetful), QUICK)
    assert result.verdict == FAILS
    lines = result.paste.splitlines()
    assert lines[0].startswith("held = port.sum_tree(")
    assert any(line.startswith("held.update(") for line in lines) and any("held.find(" in line for line in lines)


def replayed(paste: str, make: Any) -> list[Any]:
    """What every call of a printed history answers, on an object made afresh."""
    scope: dict[str, Any] = {"np": np, "port": SimpleNamespace(sum_tree=make)}
    answers = []
    for line in ast.parse(paste).body:
        text = ast.unparse(line)
        if isinstance(line, ast.Expr):
            answers.append(eval(text, scope))
        else:
            exec(text, scope)
    return [np.asarray(answer).tolist() for answer in answers]


def test_the_history_that_is_printed_shows_the_fault_again() -> None:
    paste = run(LIST, "sum_tree", port_with(sum_tree=Forgetful), QUICK).paste
    assert replayed(paste, Forgetful) != replayed(paste, reference.sum_tree)


def test_an_object_that_raises_refutes_with_what_it_raised() -> None:
    result = run(LIST, "sum_tree", port_with(sum_tree=Explosive), QUICK)
    assert result.verdict == FAILS and "RuntimeError" in result.detail and "out of paper" in result.detail


def test_an_object_without_a_method_fails_and_a_port_without_the_object_is_absent() -> None:
    bare = run(LIST, "sum_tree", port_with(sum_tree=lambda capacity: SimpleNamespace()), QUICK)
    assert bare.verdict == FAILS
    assert run(LIST, "sum_tree", Port(SimpleNamespace(), "empty"), QUICK).verdict == ABSENT


def test_runs_of_a_machine_count_as_examples_and_repeat() -> None:
    first, second = (run(LIST, "sum_tree", REFERENCE, QUICK, salt=5) for _ in range(2))
    assert first.verdict == HOLDS and first.examples > 1
    assert (first.examples, first.calls) == (second.examples, second.calls)


# ------------------------------------------------------------------------------------------------ functions, generators
def test_functions_travel_in_the_ports_type_and_print_as_python() -> None:
    call = Call((Linear(np.eye(2)), np.ones(2)), {})
    narrow = travelling(tuple(call), np.float32)[0]
    assert isinstance(narrow[0], Linear) and narrow[0].matrix.dtype == np.float32
    assert narrow[0](np.ones(2, dtype=np.float32)).dtype == np.float32
    assert "properties._functions.Linear(matrix=np.array(" in as_python("conjugate_gradient", call)


def test_a_drawn_generator_is_fresh_at_each_call_and_prints_its_seed() -> None:
    one, other = (travelling((Seeded(7),), np.float64)[0] for _ in range(2))
    assert isinstance(one, np.random.Generator) and one is not other
    assert one.random() == other.random() == np.random.default_rng(7).random()
    assert repr(Drawn(7)) == "np.random.default_rng(7)"
    assert "generator=np.random.default_rng(7)" in as_python("sample_boltzmann", Call((), {"generator": Seeded(7)}))


def test_a_sampler_that_ignores_its_generator_is_found() -> None:
    generator = np.random.default_rng(0)

    def careless(q: Any, *, temperature: Any, generator: Any) -> Any:
        return reference.sample_boltzmann(q, temperature=temperature, generator=own)

    own = generator
    claim = CLAIMS["arguments_are_left_alone_and_answers_repeat"]
    assert run(claim, "sample_boltzmann", port_with(sample_boltzmann=careless), PROFILES["ci"]).verdict == FAILS


def test_operators_that_take_functions_are_not_planned_in_half_types() -> None:
    offer = Offer(("float64", "float32", "bfloat16"), ("conjugate_gradient", "gae"), {}, {})
    tasks = plan(offer, is_reference=False)
    assert {t.dtype for t in tasks if t.operator == "conjugate_gradient"} == {"float64", "float32"}
    assert {t.dtype for t in tasks if t.operator == "gae"} == {"float64", "float32", "bfloat16"}


# ------------------------------------------------------------------------------------------------------ several results
@pytest.mark.parametrize("wrong", ["mean", "std"])
def test_every_result_that_has_a_bound_is_compared(wrong: str) -> None:
    def off(*arguments: Any, **keywords: Any) -> Any:
        refit = reference.cem_refit(*arguments, **keywords)
        return (refit.mean + 1.0, refit.std) if wrong == "mean" else (refit.mean, refit.std + 1.0)

    result = run(CLAIMS["port_equals_reference"], "cem_refit", port_with(cem_refit=off), QUICK)
    assert result.verdict == FAILS


# ---------------------------------------------------------------------------------------------------------- derivatives
def test_a_derivative_can_be_weighed_and_taken_in_a_keyword() -> None:
    port = load_port("accelerated")
    value, advantage = np.array(2.0), np.array([1.0, 3.0])
    slope = Trial(port, "dueling_value").derivative(1, value, advantage, cotangent=np.array([1.0, 0.0]), baseline="mean")
    np.testing.assert_array_equal(slope, [0.5, -0.5])
    log_prob = np.array([0.0, 1.0])
    by_name = Trial(port, "temperature_loss").derivative("log_coefficient", log_prob, log_coefficient=0.0, target_entropy=1.0)
    np.testing.assert_allclose(by_name, -3.0, rtol=1e-15)


def test_a_gradient_that_leaks_into_a_constant_is_found() -> None:
    sound = load_port("accelerated").operator("gradient")

    def leaks(operator: str, argument: Any, *arguments: Any, **keywords: Any) -> Any:
        return sound(operator, argument, *arguments, **keywords) + (operator == "reinforce_loss" and argument == 1)

    port = port_with(gradient=leaks)
    claim = CLAIMS["no_gradient_flows_into_constants"]
    assert run(claim, "reinforce_loss", port, QUICK).verdict == FAILS
    assert run(claim, "clipped_surrogate", port, QUICK).verdict == HOLDS


def test_no_claim_accuses_an_object_of_what_only_calls_can_be() -> None:
    stateful = [name for name, record in OPERATORS.items() if record.stateful]
    assert stateful == ["sum_tree"]
    assert "sum_tree" not in CLAIMS["port_equals_reference"].operators
    with pytest.raises(Refuted):
        Trial(port_with(sum_tree=Explosive), "sum_tree").sum_tree(3).update(np.array([0]), np.array([1.0]))
