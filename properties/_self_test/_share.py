"""One process's share of a self-test: a line for each bug, fault or mutant, said as soon as it is known."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from properties._bugs import catalogue
from properties._mutation._score import score
from properties._mutation._source import PACKAGE
from properties._ports import PortError
from properties._self_check import self_check
from properties._self_test._faults import FAULTS
from properties._self_test._planted import planted, refutations
from properties._self_test._planted_faults import planted as faulty
from properties._self_test._processes import processes

Say = Callable[[dict[str, Any]], None]


def bugs(share: int, shares: int, say: Say) -> None:
    """What became of each planted bug; every `shares`-th is this process's."""
    for bug in list(catalogue().values())[share::shares]:
        began = time.monotonic()
        found = planted(bug)
        say(asdict(found) | {"named": found.named, "misnamed": found.misnamed, "seconds": time.monotonic() - began})


def faults(share: int, shares: int, say: Say) -> None:
    """What the self-check says of each fault in the verifier; empty where it does not notice."""
    for fault in FAULTS[share::shares]:
        with faulty(fault):
            noticed = self_check() or (processes() if fault.processes else "")
        say({"fault": fault.story, "noticed": noticed})


def mutants(share: int, shares: int, say: Say) -> None:
    """What became of each mutant of the torch package; one line says why not, where that is not installed."""
    warnings.simplefilter("ignore")
    try:
        score(
            PACKAGE,
            share=(share + 1, shares),
            told=lambda v, many: say(
                {"module": v.mutant.module, "place": v.mutant.place, "change": v.mutant.change, "verdict": v.verdict}
            ),
        )
    except (PortError, ModuleNotFoundError) as absent:
        say({"absent": str(absent)})


def matrix(share: int, shares: int, say: Say) -> None:
    """All claims that refute each bug."""
    for bug in list(catalogue().values())[share::shares]:
        say({"bug": bug.id, "claims": [r.claim for kind in ("theorem", "agreement") for r in refutations(bug, kind)]})
