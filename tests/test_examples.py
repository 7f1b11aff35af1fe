"""The example ports: short enough to copy, and tried to a full report where their libraries are installed."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PORTS = {"rlax_port": "rlax", "torchrl_port": "torchrl", "torchrl_vec_port": "torchrl"}


@pytest.mark.parametrize("name", PORTS)
def test_a_port_fits_on_a_screen(name: str) -> None:
    assert len((ROOT / "examples" / "ports" / f"{name}.py").read_text().splitlines()) <= 60


@pytest.mark.parametrize("name", PORTS)
def test_a_port_runs_to_a_full_report(name: str) -> None:
    if importlib.util.find_spec(PORTS[name]) is None:
        pytest.skip(f"{PORTS[name]} is not installed: pip install -c constraints.txt -e '.[peers]'")
    arguments = ["--port", f"examples/ports/{name}.py", "--profile", "dev", "--claims", "returns"]
    done = subprocess.run([sys.executable, "verify.py", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 1, "each of them reads infinite next values at terminal states"
    assert done.stdout.strip().splitlines()[-1].startswith("FAILS: ") and not done.stderr


def test_every_port_is_in_the_findings() -> None:
    text = (ROOT / "examples" / "ports" / "README.md").read_text()
    assert all(f"{name}.py" in text for name in PORTS)
