"""What the package refuses and no port hands over: mixed types, half types where a function is asked, other layouts, lists."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import accelerated

ONE = torch.ones(2)
MODEL = (torch.full((2, 1, 2), 0.5), torch.ones(2, 1))
CALLS: dict[str, tuple[Callable[[], Any], str]] = {
    "two types": (
        lambda: accelerated.value_target(ONE, ONE > 1, ONE.double(), discount=0.5),
        "next_value is float64, reward is float32",
    ),
    "NumPy's array": (lambda: accelerated.max_aggregate(np.ones(2)), "q must be a torch.Tensor of real .*got ndarray of float64"),
    "a list": (lambda: accelerated.max_aggregate([1.0, 2.0]), "q must be a torch.Tensor of real .*got list of no dtype"),
    "flags in a list": (
        lambda: accelerated.value_target(ONE, [True, False], ONE, discount=0.5),
        "terminated must be a torch.Tensor of booleans; got list",
    ),
    "a half type for a function": (
        lambda: accelerated.conjugate_gradient(lambda v: v, ONE.half(), iterations=1, tolerance=0.0, damping=0.0),
        "b must be a torch.Tensor of float32 or float64; got Tensor of torch.float16",
    ),
    "two types for a function": (
        lambda: accelerated.gradient_search(
            lambda a: (a, a), ONE, ONE, ONE.double(), step_size=1.0, tolerance=0.0, max_iterations=1
        ),
        "high is float64, low is float32",
    ),
    "coordinates": (
        lambda: accelerated.action_values(ONE, MODEL[0].reshape(2, 2).to_sparse_coo(), MODEL[1], discount=0.5),
        "transition must be dense or torch.sparse_csr; got sparse_coo",
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_is_refused_in_words(name: str) -> None:
    call, words = CALLS[name]
    with pytest.raises(ValueError, match=words):
        call()


def test_no_gradient_comes_back_from_a_function() -> None:
    scale = torch.tensor(2.0, requires_grad=True)
    found = accelerated.conjugate_gradient(lambda v: scale * v, ONE, iterations=1, tolerance=0.0, damping=0.0)
    assert found.solution.tolist() == [0.5, 0.5] and not found.solution.requires_grad


@pytest.mark.filterwarnings("ignore:Sparse CSR")
def test_values_are_not_read_where_checks_are_off() -> None:
    rows = torch.full((2, 1, 2), 0.75)
    for transition in (rows, rows.reshape(2, 2).to_sparse_csr()):
        with pytest.raises(ValueError, match="must sum to 1"):
            accelerated.action_values(ONE, transition, MODEL[1], discount=0.5)
        with accelerated.check_values(False):
            assert accelerated.action_values(ONE, transition, MODEL[1], discount=0.5).tolist() == [[1.75], [1.75]]
