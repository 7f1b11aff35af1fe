"""How sharp the suite is: each bug of the catalogue is planted, and must be found and named; each mutant must be killed.

`verify.py --self-test` runs it over as many processes as there are cores; each answers in JSON lines, a bug or a mutant a line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

import reference
from properties._bugs._record import Bug
from properties._claim import CLAIMS, OPERATORS, Claim
from properties._diagnosis import diagnosed
from properties._ports import Port
from properties._run import FAILS, Effort, Result, run
from properties._self_test._kill_matrix import past_kills
from properties._trial import Trial

TRIED = Effort(examples=40, table_examples=1, seconds=20.0, climb=False, shrink=False, diagnose=False)
"""A planted bug is found with far less effort than a port deserves."""
CHECKS = ("bad_input_is_rejected", "rejections_name_rule_value_and_place")
LAST_BITS = 2.0**-50
"""How far off, relatively, another team's rounding may put the same mistake's answers."""


@dataclass(frozen=True)
class Planted:
    """What became of one bug: the theorem that refutes it without agreement, the agreement that does, and what it is taken for.

    answered   the reference has the one right answer to agree with: not to what is drawn, nor to a derivative.
    """

    bug: str
    concept: str
    answered: bool
    theorem: str
    agreement: str
    diagnosis: tuple[str, ...]
    seconds: float = 0.0

    @property
    def named(self) -> bool:
        """Diagnosed as itself and nothing else."""
        return self.diagnosis == (self.bug,)

    @property
    def misnamed(self) -> bool:
        """Diagnosed as something that it is not."""
        return bool(self.diagnosis) and self.bug not in self.diagnosis


def port_of(bug: Bug, change: Callable[[Any], Any] = lambda answer: answer, dtype: str = "float64") -> Port:
    """A port that offers the one operator, with the mistake in it or in its derivative; `change` alters its answers."""

    def behaves(*arguments: Any, **keywords: Any) -> Any:
        return change(bug.behaves(*arguments, **keywords))

    if not bug.derivative:
        return Port(SimpleNamespace(**{bug.operator: behaves}), "planted", dtype)
    right = getattr(reference, bug.operator)
    names = {bug.operator: right, "gradient": lambda operator, *arguments, **keywords: behaves(*arguments, **keywords)}
    return Port(SimpleNamespace(**names), "planted", dtype)


def planted(bug: Bug) -> Planted:
    """Try the theorems, then agreement, then the diagnosis of the bug as it is and as another team would round it."""
    record = OPERATORS[bug.operator]
    answered = not (record.random or bug.derivative)
    theorem = next(refutations(bug, "theorem"), None)
    agreement = next(refutations(bug, "agreement"), None) if answered else None
    ports = port_of(bug), port_of(bug, _otherwise_rounded)
    seen = [set(diagnosed(Trial(port, bug.operator), [], derivative=bug.derivative)) for port in ports]
    diagnosis = tuple(sorted(set.union(*seen) if seen[0] != seen[1] else seen[0]))
    return Planted(
        bug.id, record.concept, answered, theorem.claim if theorem else "", agreement.claim if agreement else "", diagnosis
    )


def refutations(bug: Bug, kind: str, effort: Effort = TRIED) -> Iterator[Result]:
    """The failing verdicts of the claims of one kind, those first that refuted it when the kill matrix was made.

    Claims about refusals come last: many a bug's function checks less than an operator should, which is not its mistake.
    """
    past = past_kills().get(bug.id, ())
    claims = [claim for claim in CLAIMS.values() if claim.kind == kind and bug.operator in claim.operators]
    for claim in sorted(claims, key=lambda claim: (claim.name in CHECKS, _turn(claim, past))):
        result = run(claim, bug.operator, port_of(bug), effort)
        if result.verdict == FAILS:
            yield result


def _turn(claim: Claim, past: tuple[str, ...]) -> int:
    return past.index(claim.name) if claim.name in past else len(past)


def _otherwise_rounded(answer: Any) -> Any:
    """Alternating last bits off; whole numbers, objects and infinities as they are."""
    if isinstance(answer, tuple):
        return tuple(_otherwise_rounded(part) for part in answer)
    if not isinstance(answer, (float, np.floating, np.ndarray)) or np.asarray(answer).dtype.kind != "f":
        return answer
    array = np.asarray(answer)
    whole = array == np.trunc(array)
    sign = np.where(np.arange(array.size).reshape(array.shape) % 2, 1.0, -1.0)
    return np.where(whole, array, array * (1.0 + LAST_BITS * sign))
