"""The catalogue: bugs that were seen in the wild, or printed, each as a function that behaves that way.

One file a concept holds BUGS, its entries, PROBES, the questions about each operator, and OPEN, the sightings that no operator of
the contract can show, each with the reason.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from types import ModuleType

from properties._bugs._record import Bug, Probe
from properties._claim import OPERATORS


@cache
def catalogue() -> dict[str, Bug]:
    """Every bug by its id."""
    bugs: dict[str, Bug] = {}
    for module in _files():
        for entry in getattr(module, "BUGS", ()):
            if entry.id in bugs or entry.operator not in OPERATORS:
                raise ValueError(
                    f"bugs must have distinct ids and an operator of the contract; got {entry.id} in {module.__name__}"
                )
            bugs[entry.id] = entry
    return bugs


@cache
def probes() -> dict[str, tuple[Probe, ...]]:
    """The questions about each operator."""
    asked: dict[str, tuple[Probe, ...]] = {}
    for module in _files():
        for operator, questions in getattr(module, "PROBES", {}).items():
            asked[operator] = asked.get(operator, ()) + tuple(questions)
    return asked


@cache
def open_sightings() -> dict[str, str]:
    """Sightings that no entry stands for, with the reason."""
    return {key: reason for module in _files() for key, reason in getattr(module, "OPEN", {}).items()}


def _files() -> list[ModuleType]:
    names = sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))
    return [importlib.import_module(f"{__name__}.{name}") for name in names]
