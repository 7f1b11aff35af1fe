"""The machinery: what it draws, what it prints, how it decides; and that its own checks can fail."""

from __future__ import annotations

import io
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

import properties._self_check as self_check_module
import reference
from properties import CLAIMS
from properties._arguments import parse
from properties._bad_inputs import bad_calls
from properties._bounds import rounded
from properties._claim import OPERATORS, Call, Refuted, claim, operator
from properties._draw import ROUGH, array_of, distributions, trajectories, values
from properties._mdps import drawn_mdps, mdps
from properties._paste import as_python
from properties._ports import REFERENCE, Port, PortError, load_port
from properties._report import Reporter
from properties._report_files import atomically
from properties._run import ABSENT, FAILS, HOLDS, PROFILES, UNDECIDED, Result, run
from properties._runner import Offer, Task, plan
from properties._trial import Trial

QUICK = replace(PROFILES["dev"], examples=20)


# ------------------------------------------------------------------------------------------------------------- drawing
@settings(max_examples=200, deadline=None, database=None)
@given(values((3, 4)), values((3, 4)))
def test_grid_values_add_exactly_in_float32(one: np.ndarray, two: np.ndarray) -> None:
    if max(np.abs(one).max(), np.abs(two).max()) <= 128 and min(np.abs(one).max(), np.abs(two).max()) >= 2.0**-8:
        single = one.astype(np.float32) + two.astype(np.float32)
        np.testing.assert_array_equal(single.astype(np.float64), one + two)


@settings(max_examples=200, deadline=None, database=None)
@given(st.sampled_from([(1,), (2, 3), (4, 3, 5), (2, 8)]).flatmap(distributions))
def test_probabilities_sum_to_exactly_one_in_every_dtype(rows: np.ndarray) -> None:
    for dtype in ("float64", "float32", "bfloat16"):
        np.testing.assert_array_equal(rounded(rows, dtype), rows)
    np.testing.assert_array_equal(rows.sum(axis=-1), np.ones(rows.shape[:-1]))
    assert rows.min() >= 0


@settings(max_examples=300, deadline=None, database=None)
@given(trajectories(styles=ROUGH))
def test_trajectories_have_one_shape_and_both_cuts(t: Any) -> None:
    assert len({array.shape for array in t}) == 1
    assert t.terminated.dtype == t.truncated.dtype == bool


@settings(max_examples=200, deadline=None, database=None)
@given(st.one_of(mdps(), drawn_mdps()))
def test_drawn_mdps_are_mdps(mdp: Any) -> None:
    states, actions = mdp.reward.shape
    rows = np.asarray(mdp.csr().transition.sum(axis=1)).reshape(states, actions)
    np.testing.assert_array_equal(rows, np.ones((states, actions))) if mdp.name == "drawn" else None
    assert rows == pytest.approx(1.0)


def test_zero_bytes_are_zeros_so_that_shrinking_ends_there() -> None:
    np.testing.assert_array_equal(array_of(bytes(8), (4,)), np.zeros(4))
    np.testing.assert_array_equal(array_of(bytes([0, 1, 0, 2, 128, 0]), (3,)), [1.0, -1.0, 0.5])


# ------------------------------------------------------------------------------------------------------------ printing
@pytest.mark.parametrize(
    "value",
    [
        np.array([0.1, -0.0, 1e-300, np.inf, -np.inf, np.nan]),
        np.array([[True, False]]),
        np.array([1, 2], dtype=np.int32),
        np.zeros((0, 3)),
        np.float64(0.1),
        np.array([1 / 3], dtype=np.float32),
        0.1,
        float("inf"),
        None,
        "max",
    ],
)
def test_pasted_arguments_are_bit_identical(value: Any) -> None:
    text = as_python("f", Call((value,), {"key": value}), module="port")
    port = SimpleNamespace(f=lambda *arguments, **keywords: (arguments[0], keywords["key"]))
    for back in eval(text, {"np": np, "port": port}):
        np.testing.assert_array_equal(np.asarray(back), np.asarray(value))
        assert np.asarray(back).dtype == np.asarray(value).dtype and np.shape(back) == np.shape(value)


def test_pasted_sparse_matrices_are_equal() -> None:
    matrix = scipy.sparse.csr_array(np.array([[0.0, 0.25], [0.75, 0.0]]))
    port = SimpleNamespace(f=lambda m: m)
    back = eval(as_python("f", Call((matrix,), {})), {"np": np, "scipy": scipy, "port": port})
    np.testing.assert_array_equal(back.toarray(), matrix.toarray())


# ------------------------------------------------------------------------------------------------------------- deciding
def port_with(**wrong: Any) -> Port:
    names = {name: getattr(reference, name) for name in reference.__all__}
    return Port(SimpleNamespace(**names | wrong), "made")


def test_comparisons_refuse_what_they_should() -> None:
    trial = Trial(REFERENCE, "gae")
    for found, due, bound in [
        (1.5, 1.0, 0.25),
        (np.nan, np.nan, 1.0),
        (np.inf, 1.0, 1e300),
        (1.0, np.inf, 1e300),
        (np.inf, -np.inf, np.inf * 0),
    ]:
        with pytest.raises(Refuted):
            trial.equal(found, due, bound)
    with pytest.raises(Refuted):
        trial.at_most([0.0, 1.0], [0.0, 0.5], [0.0, 0.25])
    trial.at_most([0.0, 1.0], [0.0, 0.5], [0.0, 0.5])
    trial.equal([np.inf, 1.0], [np.inf, 1.0], 0.0)


def test_an_absent_operator_is_absent_and_no_pass() -> None:
    result = run(CLAIMS["gae_with_lambda_zero_is_the_td_error"], "gae", Port(SimpleNamespace(), "empty"), QUICK)
    assert result.verdict == ABSENT and result.calls == 0


def test_a_declined_call_is_absent() -> None:
    def declines(*_: Any, **__: Any) -> Any:
        raise NotImplementedError("dense transitions only")

    result = run(CLAIMS["gae_with_lambda_zero_is_the_td_error"], "gae", port_with(gae=declines), QUICK)
    assert result.verdict == ABSENT and "dense transitions only" in result.detail


def test_too_little_time_is_undecided() -> None:
    result = run(CLAIMS["gae_with_lambda_zero_is_the_td_error"], "gae", REFERENCE, replace(QUICK, seconds=0.0))
    assert result.verdict == UNDECIDED and "out of time" in result.detail


def test_a_claim_that_breaks_by_itself_is_not_blamed_on_the_port() -> None:
    broken = replace(CLAIMS["gae_with_lambda_zero_is_the_td_error"], body=lambda port, **_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(broken, "gae", REFERENCE, QUICK)


def test_an_unstable_port_fails_rather_than_crash_the_search() -> None:
    calls = [0]

    def flaky(*arguments: Any, **keywords: Any) -> Any:
        calls[0] += 1
        return reference.gae(*arguments, **keywords) + (calls[0] == 7)

    result = run(CLAIMS["gae_is_the_sum_of_discounted_td_errors"], "gae", port_with(gae=flaky), QUICK)
    assert result.verdict == FAILS


def test_counterexamples_shrink_to_zeros_and_ones() -> None:
    def off_by_a_reward(reward: Any, *rest: Any, **keywords: Any) -> Any:
        return reference.gae(reward, *rest, **keywords) + (np.abs(reward) > 2)

    result = run(CLAIMS["gae_with_lambda_zero_is_the_td_error"], "gae", port_with(gae=off_by_a_reward), PROFILES["ci"])
    assert result.paste.count("np.array([0.0])") == 2, "only the reward matters"
    assert any(f"np.array([{reward}])" in result.paste for reward in ("3.0", "-3.0", "2.00390625")), result.paste


def test_the_self_check_passes_and_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    assert self_check_module.self_check() == ""
    monkeypatch.setattr(Trial, "_compare", lambda *_: None)
    assert "accepted" in self_check_module.self_check()
    monkeypatch.undo()
    monkeypatch.setattr(self_check_module, "FAULTS", [("gae", "port_equals_reference", reference.gae)])
    assert "planted fault" in self_check_module.self_check()
    monkeypatch.undo()
    monkeypatch.setattr(reference, "gae", lambda *a, **k: np.zeros(np.shape(a[0])) + 0.5)
    assert "reference's own gae" in self_check_module.self_check()


def test_names_are_registered_once() -> None:
    with pytest.raises(ValueError, match="unique"):
        operator("gae", inputs=st.nothing())(lambda unit: np.zeros(()))
    with pytest.raises(ValueError, match="sentence"):
        claim("X", source="", operators=["gae"])(lambda port: None)


# ------------------------------------------------------------------------------------------------------------- planning
OFFER = Offer(("float64", "float32"), tuple(OPERATORS), {}, {})


def test_the_reference_is_not_compared_with_itself() -> None:
    assert not [task for task in plan(OFFER, is_reference=True) if task.claim == "port_equals_reference"]
    assert {task.dtype for task in plan(OFFER, is_reference=False) if task.claim == "port_equals_reference"} == {
        "float64",
        "float32",
    }


def test_every_operator_and_claim_is_planned() -> None:
    tasks = plan(OFFER, is_reference=False)
    assert {task.operator for task in tasks} == set(OPERATORS) and {task.claim for task in tasks} == set(CLAIMS)


def test_a_dtype_that_is_not_offered_is_refused() -> None:
    with pytest.raises(PortError, match="bfloat16"):
        plan(OFFER, is_reference=False, dtypes=("bfloat16",))


def test_seeds_repeat_in_ci_and_explore_before_a_release() -> None:
    assert parse([]).seed == parse(["--profile", "dev"]).seed == 0
    assert parse(["--profile", "release"]).seed != parse(["--profile", "release"]).seed
    assert parse(["--profile", "release", "--seed", "3"]).seed == 3


def reporter(*results: Result, planned: int | None = None, argv: tuple[str, ...] = ()) -> tuple[Reporter, str]:
    text = io.StringIO()
    made = Reporter(parse(list(argv)), Console(file=text, width=120))
    tasks = [Task(r.claim, r.operator, r.dtype) for r in results] + [Task("x", "gae", "float64")] * (
        (planned or len(results)) - len(results)
    )
    made.begin(OFFER, tasks)
    for result in results:
        made.add(result)
    made.write()
    return made, text.getvalue()


GOOD = Result("gae_with_lambda_zero_is_the_td_error", "gae", "float64", HOLDS, examples=3)


def test_a_run_is_green_only_if_everything_planned_holds() -> None:
    assert not reporter(GOOD)[0].incomplete and not reporter(GOOD)[0].failed
    assert reporter(GOOD, planned=2)[0].incomplete
    assert reporter(replace(GOOD, verdict=UNDECIDED))[0].incomplete
    assert reporter(replace(GOOD, verdict=ABSENT))[0].incomplete == "nothing was checked"
    assert reporter()[0].incomplete == "nothing was checked"
    assert reporter(GOOD, replace(GOOD, verdict=FAILS))[0].failed


def test_the_report_says_what_was_found_and_how_to_replay() -> None:
    failure = replace(
        GOOD, verdict=FAILS, found="[1]", due="[2]", bound="[0.5]", paste="port.gae()", behaves_like=("gae/rewards-shifted",)
    )
    _, text = reporter(failure)
    for part in (
        "found   [1]",
        "due     [2]",
        "bound   [0.5]",
        "port.gae()",
        "gae behaves like rewards-shifted: ",
        "Schulman",
        "--claims gae_with_lambda_zero",
    ):
        assert part in text


def test_files_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    atomically(target, "old")
    with pytest.raises(UnicodeEncodeError):
        atomically(target, "half \ud800")
    assert target.read_text() == "old" and list(tmp_path.iterdir()) == [target]


# --------------------------------------------------------------------------------------------------------------- ports
def test_ports_are_found_by_name_and_by_path(tmp_path: Path) -> None:
    path = tmp_path / "some_port.py"
    path.write_text("DTYPES = ('float32',)\ndef gae(*a, **k): ...\n")
    port = load_port(str(path))
    assert port.offers("gae") and not port.offers("expectile") and port.dtypes == ("float32",)
    assert load_port("accelerated").dtypes == ("float64", "float32", "bfloat16")
    path.write_text("DTYPES = ('float8',)\n")
    with pytest.raises(PortError, match="float8"):
        _ = load_port(str(path)).dtypes


@pytest.mark.parametrize("name", reference.__all__)
def test_every_operator_has_bad_inputs_and_the_reference_refuses_them(name: str) -> None:
    seen: set[tuple[str, str]] = set()

    @settings(max_examples=15, deadline=None, database=None)
    @given(OPERATORS[name].inputs)
    def search(call: Call) -> None:
        for bad in bad_calls(name, call):
            seen.add((bad.rule, bad.value))
            with pytest.raises(ValueError, match="must"):
                getattr(reference, name)(*bad.call.arguments, **bad.call.keywords)

    search()
    assert len(seen) >= 2


# ------------------------------------------------------------------------------------------- ports that decline, are late
def test_declined_examples_do_not_count_and_the_others_do() -> None:
    def zero_lambda_declined(*arguments: Any, lambda_: float, **keywords: Any) -> Any:
        if lambda_ == 0:
            raise NotImplementedError("lambda = 0")
        return reference.gae(*arguments, lambda_=lambda_, **keywords)

    some = run(CLAIMS["gae_is_the_sum_of_discounted_td_errors"], "gae", port_with(gae=zero_lambda_declined), QUICK)
    assert some.verdict == HOLDS and some.examples > 0
    none = run(CLAIMS["gae_with_lambda_zero_is_the_td_error"], "gae", port_with(gae=zero_lambda_declined), QUICK)
    assert none.verdict == ABSENT and "lambda = 0" in none.detail


def test_a_claim_of_which_no_call_was_answered_is_absent() -> None:
    """Some examples have no batch, and ask nothing: they are no evidence."""

    def declines(*_: Any, **__: Any) -> Any:
        raise NotImplementedError("later")

    result = run(CLAIMS["rows_of_a_batch_are_independent"], "gae", port_with(gae=declines), QUICK)
    assert result.verdict == ABSENT and "later" in result.detail


def test_an_infinity_that_is_due_is_no_matter_of_the_bound() -> None:
    trial = Trial(REFERENCE, "gae")
    trial.equal(np.array([np.inf, -np.inf]), np.array([np.inf, -np.inf]), np.inf)
    trial.equal(np.array([np.inf]), np.array([1e308]), np.inf)  # an overflow that the bound allows
    for found in (1.0, -np.inf, np.nan):
        with pytest.raises(Refuted):
            trial.equal(np.array([found]), np.array([np.inf]), np.inf)


@pytest.mark.parametrize("name", ["port_equals_reference", "gae_with_lambda_zero_is_the_td_error"])
def test_a_slow_port_is_undecided_and_does_not_break_the_suite(name: str) -> None:
    def slow(*arguments: Any, **keywords: Any) -> Any:
        time.sleep(0.15)
        return reference.gae(*arguments, **keywords)

    result = run(CLAIMS[name], "gae", port_with(gae=slow), replace(QUICK, seconds=0.5))
    assert result.verdict == UNDECIDED and "out of time" in result.detail


def test_the_accused_is_what_was_found_on_either_side_of_an_identity() -> None:
    late = port_with(discounted_returns=lambda *a, **k: reference.discounted_returns(*a, **k) + 64.0)
    result = run(CLAIMS["gae_with_lambda_one_is_return_minus_value"], "discounted_returns", late, QUICK)
    assert "64" in result.found and "64" not in result.due


def test_float32_ports_are_asked_in_float32() -> None:
    def kind(q: Any) -> Any:
        return np.asarray(np.asarray(q).mean(axis=-1), dtype=np.asarray(q).dtype)

    port = Port(SimpleNamespace(mean_aggregate=kind, DTYPES=("float32",)), "single", "float32")
    assert run(CLAIMS["dtype_is_kept"], "mean_aggregate", port, QUICK).verdict == HOLDS
    wide = Port(SimpleNamespace(mean_aggregate=reference.mean_aggregate, DTYPES=("float32",)), "wide", "float32")
    failure = run(CLAIMS["dtype_is_kept"], "mean_aggregate", wide, QUICK)
    assert failure.verdict == FAILS and "dtype=np.float32" in failure.paste
