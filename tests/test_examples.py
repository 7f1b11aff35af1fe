"""The example ports: short enough to copy, and tried to a full report where their libraries are installed."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PORTS = {
    "rlax_port": ("rlax", "gaussians"),
    "torchrl_port": ("torchrl", "returns"),
    "torchrl_vec_port": ("torchrl", "returns"),
    "torchrl_modules_port": ("torchrl", "gaussians"),
    "torchrl_losses_port": ("torchrl", "policy_gradient"),
}
"""The library, and a concept in which each of them fails: a divergence below 0, a discount, bounds and a clip in float32."""
KNOWN = [
    ("torchrl_port", "expectile_loss", "float64", "computed-in-float32"),
    ("torchrl_losses_port", "clipped_surrogate", "float32", "infinity-times-zero"),
]
"""An operator of a port, a type, and the mistake that its library makes in it."""
SCREEN = 50


@pytest.mark.parametrize("name", PORTS)
def test_a_port_fits_on_three_screens(name: str) -> None:
    assert len((ROOT / "examples" / "ports" / f"{name}.py").read_text().splitlines()) <= 3 * SCREEN


def _verified(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    library, _ = PORTS[name]
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed: pip install -c constraints.txt -e '.[peers]'")
    command = [sys.executable, "verify.py", "--port", f"examples/ports/{name}.py", "--profile", "dev", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)


@pytest.mark.parametrize("name", PORTS)
def test_a_port_runs_to_a_full_report(name: str) -> None:
    _, claims = PORTS[name]
    done = _verified(name, "--claims", claims)
    assert done.returncode == 1
    assert done.stdout.strip().splitlines()[-1].startswith("FAILS: ") and not done.stderr


@pytest.mark.parametrize(("name", "operator", "dtype", "mistake"), KNOWN)
def test_a_librarys_known_bug_is_named(name: str, operator: str, dtype: str, mistake: str, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = _verified(name, "--ops", operator, "--dtype", dtype, "--claims", "port_equals_reference", "--json", str(report))
    assert done.returncode == 1, done.stderr
    (diagnosis,) = json.loads(report.read_text())["diagnosis"]
    assert (diagnosis["operators"], diagnosis["verdict"]) == ([operator], "known bug")
    assert [each["mistake"] for each in diagnosis["mistakes"]] == [mistake]


def test_every_port_is_in_the_findings() -> None:
    text = (ROOT / "examples" / "ports" / "README.md").read_text()
    assert all(f"{name}.py" in text for name in PORTS)
