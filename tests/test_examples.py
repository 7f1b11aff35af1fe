"""The example ports: short enough to copy, and tried to a full report where their libraries are installed."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PORTS = {
    "rlax_port": ("rlax", "returns"),
    "torchrl_port": ("torchrl", "returns"),
    "torchrl_vec_port": ("torchrl", "returns"),
    "torchrl_modules_port": ("torchrl", "gaussians"),
    "torchrl_losses_port": ("torchrl", "policy_gradient"),
}
"""The library, and a concept in which each of them fails: a next value read at a terminal state, bounds and a clip in float32."""
SCREEN = 50


@pytest.mark.parametrize("name", PORTS)
def test_a_port_fits_on_three_screens(name: str) -> None:
    assert len((ROOT / "examples" / "ports" / f"{name}.py").read_text().splitlines()) <= 3 * SCREEN


@pytest.mark.parametrize("name", PORTS)
def test_a_port_runs_to_a_full_report(name: str) -> None:
    library, claims = PORTS[name]
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed: pip install -c constraints.txt -e '.[peers]'")
    arguments = ["--port", f"examples/ports/{name}.py", "--profile", "dev", "--claims", claims]
    done = subprocess.run([sys.executable, "verify.py", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 1
    assert done.stdout.strip().splitlines()[-1].startswith("FAILS: ") and not done.stderr


def test_every_port_is_in_the_findings() -> None:
    text = (ROOT / "examples" / "ports" / "README.md").read_text()
    assert all(f"{name}.py" in text for name in PORTS)
