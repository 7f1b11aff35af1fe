"""Every claim holds for the reference and for its torch twin: claims x {reference, accelerated}, a test each."""

from __future__ import annotations

from dataclasses import replace

import pytest

from properties import CLAIMS, OPERATORS
from properties._ports import Port, load_port
from properties._run import ABSENT, HOLDS, PROFILES, run

EFFORT = replace(PROFILES["dev"], examples=25)
PORTS = {name: load_port(name) for name in ("reference", "accelerated")}


def trials() -> list[tuple[str, str, str, str]]:
    """(port, dtype, claim, operator) for everything that is planned; the reference is not compared with itself."""
    return [
        (name, dtype, claim.name, operator)
        for name, port in PORTS.items()
        for claim in CLAIMS.values()
        if not (name == "reference" and claim.name == "port_equals_reference")
        for operator in claim.operators
        for dtype in (port.dtypes if claim.every_dtype else port.dtypes[:1])
        if dtype in OPERATORS[operator].widths
    ]


@pytest.fixture(scope="session")
def ports() -> dict[tuple[str, str], Port]:
    return {(name, dtype): port.using(dtype, "cpu") for name, port in PORTS.items() for dtype in port.dtypes}


@pytest.mark.parametrize(("name", "dtype", "claim", "operator"), trials())
def test_claim_holds(ports: dict[tuple[str, str], Port], name: str, dtype: str, claim: str, operator: str) -> None:
    result = run(CLAIMS[claim], operator, ports[name, dtype], EFFORT)
    told = f"{result.detail} found {result.found} due {result.due} bound {result.bound}\n{result.paste}"
    if name == "reference" and result.verdict == ABSENT:
        assert result.detail == "reference does not offer gradient", "it lacks nothing but autodiff"
        return
    assert result.verdict == HOLDS, told
    assert result.examples >= 1
