"""Each derived bound is sound (the twin, pushed towards it, never exceeds it) and tight enough to mean something."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch

from properties import CLAIMS, OPERATORS
from properties._bounds import ELEMENTARY, UNIT, gamma, rounded, to_bfloat16
from properties._ports import Port, load_port
from properties._run import HOLDS, PROFILES, Result, run

CLIMB = replace(PROFILES["release"], examples=150)
"""hypothesis.target climbs towards the bound; so a bound that can be broken is broken here first."""
FLOOR = 0.005
"""A worst error below this fraction of its bound, over all cases tried, would call the bound vacuous. In float32 the reference is
as good as exact; in float64 twin and reference may round alike, which says nothing of the (same) formula."""
EXACT = {
    "max_aggregate": "a comparison rounds nothing",
    "weighted_policy_loss_gradient": "a change of sign rounds nothing",
    "reinforce_loss_gradient": "a change of sign rounds nothing",
    "soft_policy_loss_gradient": "0, 1/2, 1 and the coefficient as it is",
    "double_estimate": "an entry as it is",
    "backtracking_search": "shrunk by powers of two on a landscape of whole numbers: nothing is rounded",
    "value_iteration": "both sides stop within the same tolerance, which dwarfs rounding",
    "q_value_iteration": "both sides stop within the same tolerance, which dwarfs rounding",
}
TWIN = load_port("accelerated")


@pytest.fixture(scope="session")
def ports() -> dict[str, Port]:
    return {dtype: TWIN.using(dtype, "cpu") for dtype in TWIN.dtypes}


def climbed(port: Port, operator: str) -> Result:
    return run(CLAIMS["port_equals_reference"], operator, port, CLIMB)


@pytest.mark.parametrize(
    ("operator", "dtype"), [(name, dtype) for name, record in OPERATORS.items() if record.compared for dtype in record.widths]
)
def test_bound_is_sound_and_not_vacuous(ports: dict[str, Port], operator: str, dtype: str) -> None:
    result = climbed(ports[dtype], operator)
    assert result.verdict == HOLDS, f"{result.detail} {result.found} {result.due} {result.bound}\n{result.paste}"
    assert result.worst <= 1.0
    if operator not in EXACT and dtype != "float64":
        assert result.worst >= FLOOR, f"the worst error is {result.worst:.2g} of the bound"


def test_every_exception_from_tightness_is_an_operator() -> None:
    assert set(EXACT) <= set(OPERATORS)


def test_gamma_is_highams_and_promises_nothing_beyond_one_half() -> None:
    unit = 2.0**-8
    assert gamma(3, unit) == 3 * unit / (1 - 3 * unit)
    assert np.isinf(gamma(128, unit))
    assert gamma(0, unit) == 0.0


@pytest.mark.parametrize(("dtype", "kind"), [("float32", torch.float32), ("float16", torch.float16), ("bfloat16", torch.bfloat16)])
def test_rounding_is_the_formats(dtype: str, kind: torch.dtype) -> None:
    """Against torch's own conversion, to the last bit, at every magnitude, and at ties."""
    generator = np.random.default_rng(0)
    values = generator.standard_normal(20_000) * 2.0 ** generator.integers(-20, 15, 20_000)
    values = np.concatenate([values, np.arange(-600, 600) / 256.0, [0.0, -0.0, np.inf, -np.inf]])
    if dtype != "float32":
        values = values.astype(np.float32).astype(np.float64)
    due = torch.from_numpy(values).to(torch.float32).to(kind).to(torch.float64).numpy()
    np.testing.assert_array_equal(rounded(values, dtype), due)


def test_bfloat16_rounds_to_nearest_even() -> None:
    half_steps = np.array([1 + 2.0**-8, 1 + 3 * 2.0**-8], dtype=np.float32)
    np.testing.assert_array_equal(to_bfloat16(half_steps), np.array([1.0, 1 + 4 * 2.0**-8], dtype=np.float32))


@pytest.mark.parametrize("function", ["exp", "log", "expm1", "log1p"])
def test_elementary_functions_are_within_their_allowance(function: str) -> None:
    """The constant that the bounds take for exp and log, measured over float32 against float64, for NumPy and torch."""
    generator = np.random.default_rng(1)
    size = 400_000
    x = generator.uniform(-80, 80, size) if function.startswith("exp") else 2.0 ** generator.uniform(-100, 100, size)
    x = x.astype(np.float32)
    due = getattr(np, function)(x.astype(np.float64))
    for found in (getattr(np, function)(x), getattr(torch, function)(torch.from_numpy(x)).numpy()):
        normal = np.abs(due) > 2.0**-120
        error = np.abs(found.astype(np.float64) - due)[normal] / np.abs(due)[normal]
        assert error.max() <= ELEMENTARY * UNIT["float32"]


def test_exact_dues_are_compared_exactly() -> None:
    """A Fraction that no float holds is not rounded before it is compared."""
    from properties._ports import REFERENCE
    from properties._trial import Trial

    trial = Trial(REFERENCE, "gae")
    due = np.array([Fraction(1, 3)], dtype=object)
    trial.equal(np.array([1 / 3]), due, 2.0**-54)
    with pytest.raises(AssertionError):
        trial.equal(np.array([1 / 3]), due, 2.0**-57)
