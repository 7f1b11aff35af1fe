"""Returns and advantages: on what their claims call them, and how."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from properties._bounds import Floats
from properties._claim import Call
from properties._draw import Trajectory, discounts, fractions_of_one, trajectories
from properties._trial import Trial

SUTTON = "Sutton & Barto 2018"
RETURNS = ("discounted_returns", "n_step_returns", "lambda_returns", "margin_returns", "gae")
NEXT = ("reward", "terminated", "truncated", "next_value")
ALL = ("reward", "terminated", "truncated", "value", "next_value")


def call_of(name: str, t: Trajectory, knobs: dict[str, Any]) -> Call:
    """The operator `name` on a trajectory, with what it takes of `knobs`."""
    arguments = [getattr(t, field) for field in (ALL if name == "gae" else NEXT)]
    takes = {
        "n_step_returns": ["n"],
        "lambda_returns": ["lambda_"],
        "gae": ["lambda_"],
        "margin_returns": ["lambda_", "margin"],
    }
    return Call(tuple(arguments), {key: knobs[key] for key in [*takes.get(name, []), "discount"]})


def applied(port: Trial, name: str, t: Trajectory, knobs: dict[str, Any]) -> tuple[Floats, Floats]:
    """Value and error bound of that call."""
    call = call_of(name, t, knobs)
    return port(name, *call.arguments, **call.keywords)


KNOBS = st.fixed_dictionaries(
    {"n": st.integers(1, 4), "margin": st.integers(0, 3), "lambda_": fractions_of_one(), "discount": discounts()}
)
GIVEN = {"t": trajectories(), "knobs": KNOBS}
