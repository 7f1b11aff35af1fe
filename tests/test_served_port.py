"""examples/ports/serve.py: any Python port behind the protocol, in an environment of its own."""

from __future__ import annotations

import ast
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse

import reference
from properties._functions import Linear
from properties._ports import COMMAND, Port, load_port

ROOT = Path(__file__).resolve().parent.parent
SERVE = ROOT / "examples" / "ports" / "serve.py"
MODULE = """
import sys
import reference
from reference import *

OPERATORS = tuple(reference.__all__)
DTYPES = ("float64", "float32")
CONVENTIONS = {"constants": "caller detaches", "bad_input": "unchecked"}
print("loading the model ...")


def gae(reward, terminated, truncated, value, next_value, **knobs):
    print("gae", sys.stdin.read())
    return reference.gae(reward, terminated, truncated, value, next_value, **knobs).astype(reward.dtype)

def expectile(values, *, expectile):
    return reference.expectile(values, expectile=expectile)

def pinball_loss(error, *, quantile):
    raise NotImplementedError("not yet")

def max_aggregate(q):
    raise KeyError("q")

def gradient(operator, argument, *arguments, cotangent=None, **keywords):
    assert (operator, argument) == ("expectile_loss", 0), (operator, argument)
    return reference.expectile_loss_gradient(*arguments, **keywords) * (1.0 if cotangent is None else cotangent)
"""


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Port]:
    module = tmp_path_factory.mktemp("served") / "my_port.py"
    module.write_text(MODULE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        yield load_port(COMMAND + shlex.join([sys.executable, str(SERVE), str(module)]))


def path(dtype: Any) -> list[Any]:
    columns = np.random.default_rng(1).normal(size=(3, 2, 4)).astype(dtype)
    flags = np.random.default_rng(2).random(size=(2, 2, 4)) < 0.2
    return [columns[0], *flags, *columns[1:]]


def test_what_it_says_of_itself(port: Port) -> None:
    assert port.dtypes == ("float64", "float32")
    assert port.conventions == {"constants": "caller detaches", "bad_input": "unchecked"}
    assert all(port.offers(name) for name in reference.__all__)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_arrays_numbers_and_flags_arrive_and_what_the_port_prints_is_no_answer(port: Port, dtype: str) -> None:
    found = port.using(dtype, "cpu").operator("gae")(*path(dtype), lambda_=0.5, discount=0.9)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, reference.gae(*path(dtype), lambda_=0.5, discount=0.9).astype(dtype))


def test_strings_seeds_sparse_matrices_and_functions_arrive(port: Port) -> None:
    q = np.arange(6.0).reshape(2, 3)
    drawn = [room(q, temperature=1.0, generator=np.random.default_rng(3)) for room in (port.operator("sample_boltzmann"),) * 2]
    np.testing.assert_array_equal(*drawn)
    dense = np.array([[0.5, 0.5], [0.0, 1.0], [1.0, 0.0], [0.25, 0.75]])
    for name, arguments, keywords in (
        ("dueling_value", (np.ones(2), q), {"baseline": "max"}),
        (
            "evaluation_backup",
            (np.ones(2), np.full((2, 2), 0.5), scipy.sparse.csr_array(dense), np.ones((2, 2))),
            {"discount": 0.9},
        ),
    ):
        np.testing.assert_array_equal(port.operator(name)(*arguments, **keywords), getattr(reference, name)(*arguments, **keywords))
    solved = port.operator("conjugate_gradient")(Linear(np.eye(2)), np.ones(2), iterations=3, tolerance=0.0, damping=1.0)
    assert solved[0].tolist() == [0.5, 0.5] and solved[1:] == (1, 0.0)


def test_objects_live_in_the_program(port: Port) -> None:
    trees = [port.operator("sum_tree")(4) for _ in range(2)]
    for tree, priorities in zip(trees, ([1.0, 2.0], [3.0, 4.0]), strict=True):
        tree.update(np.array([0, 3]), np.array(priorities))
    assert [float(tree.total) for tree in trees] == [3.0, 7.0] and len(trees[0]) == 4
    assert trees[1].find(np.array([2.5, 3.5])).tolist() == [0, 3]


def test_what_it_raises_comes_back(port: Port) -> None:
    with pytest.raises(ValueError, match="reward must not be NaN; got nan at reward"):
        port.operator("gae")(np.full((2, 4), np.nan), *path("float64")[1:], lambda_=0.5, discount=0.9)
    with pytest.raises(NotImplementedError, match="not yet"):
        port.operator("pinball_loss")(np.ones(2), quantile=0.5)
    with pytest.raises(RuntimeError, match="q") as raised:
        port.operator("max_aggregate")(np.ones(2))
    assert type(raised.value).__name__ == "KeyError"


def test_what_is_none_may_be_missing_among_the_parameters_and_nothing_else(port: Port) -> None:
    assert port.operator("expectile")(np.array([0.0, 1.0]), expectile=0.5) == 0.5
    with pytest.raises(RuntimeError, match="unexpected keyword argument 'weights'") as raised:
        port.operator("expectile")(np.array([0.0, 1.0]), np.ones(2), expectile=0.5)
    assert type(raised.value).__name__ == "TypeError"


def test_derivatives_are_asked_by_position_as_in_python(port: Port) -> None:
    slope, error = port.operator("gradient"), np.array([1.0, -2.0])
    for weight in (None, np.array([2.0, 3.0])):
        due = reference.expectile_loss_gradient(error, expectile=0.7) * (1.0 if weight is None else weight)
        np.testing.assert_array_equal(slope("expectile_loss", 0, error, expectile=0.7, cotangent=weight), due)


def test_it_knows_nothing_of_ours_and_is_short() -> None:
    text = SERVE.read_text()
    imported = {alias.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)}
    assert imported - set(sys.stdlib_module_names) == {"numpy", "safetensors.numpy"}
    assert len(text.splitlines()) <= 150
