"""What must hold: every claim and every operator's and agent's record, gathered on import."""

import importlib
from pathlib import Path

from properties._claim import CONCEPTS

for _stem in CONCEPTS:
    if (Path(__file__).parent / f"{_stem}.py").exists():
        importlib.import_module(f"properties.{_stem}")
for _path in sorted(Path(__file__).parent.glob("_*_draws.py")):
    importlib.import_module(f"properties.{_path.stem}")
importlib.import_module("properties._gradients")
importlib.import_module("properties._units")
importlib.import_module("properties._caller_functions")
importlib.import_module("properties.agreement")
from properties._claim import AGENT_CLAIMS, AGENTS, CLAIMS, OPERATORS  # noqa: E402

__all__ = ["AGENTS", "AGENT_CLAIMS", "CLAIMS", "OPERATORS"]
