"""`--replay FILE`: one failure tried again, on exactly the example that failed, with the port as it is now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
from hypothesis.errors import DidNotReproduce, HypothesisException

from properties._arguments import Arguments
from properties._claim import RECORDS, SENTENCES, Absent, Claim, Declined, Refuted
from properties._failure import Failure, callable_as_stored
from properties._failure_files import read_failure
from properties._ports import KNOWN_DTYPES, Port, PortError
from properties._report import told
from properties._run import FAILS, HOLDS, PROFILES, Effort, Result, run
from properties._runner import Run, Task
from properties._trial import Trial

EXIT = {HOLDS: 0, FAILS: 1}
INCOMPLETE = 2


def replay(arguments: Arguments, say: Callable[[str], None]) -> int:
    """The exit status: 1 if it fails again, 0 if it holds now, 2 if neither can be said."""
    assert arguments.replay is not None
    try:
        failure = read_failure(arguments.replay)
        _check(failure, arguments.replay)
    except ValueError as error:
        say(str(error))
        return INCOMPLETE
    device = failure.device if arguments.device == "cpu" else arguments.device
    asked = replace(
        arguments, port=arguments.port or failure.port, profile=failure.profile, seed=failure.seed, device=device, failures=None
    )
    what = f"{failure.operator}, {failure.claim} [{failure.dtype}]"
    say(f"replay {what} on port {asked.port}; it failed with: {failure.detail or 'another value than is due'}")
    if failure.left_out:
        say(f"left out of the file: {failure.left_out}")
    with Run(asked.setting, jobs=1) as pool:
        _offered(failure, pool, asked.port)
        task = Task(failure.claim, failure.operator, failure.dtype, str(arguments.replay.resolve()))
        (result,) = pool.results([task])
    for line in told(result, asked) if result.verdict == FAILS or result.detail else ():
        if not line.startswith("  replay "):  # this is one
            say(line)
    say(f"{result.verdict.upper()} — {what}")
    return EXIT.get(result.verdict, INCOMPLETE)


def _check(failure: Failure, path: Path) -> None:
    """Whether this version of the suite knows what the file speaks of."""
    known: dict[str, Any] = {"claim": SENTENCES, "operator": RECORDS, "dtype": KNOWN_DTYPES, "profile": PROFILES}
    for what, names in known.items():
        if getattr(failure, what) not in names:
            raise ValueError(f"{path} cannot be replayed: no {what} is called {getattr(failure, what)!r} here")


def _offered(failure: Failure, pool: Run, port: str) -> None:
    offer = pool.load()
    if failure.operator not in offer.operators or failure.dtype not in offer.dtypes:
        raise PortError(f"port {port} does not offer {failure.operator} in {failure.dtype}")


# ------------------------------------------------------------------------------------------------------- in the worker
def tried_again(file: str, claim: Claim, operator: str, port: Port, effort: Effort, **how: Any) -> Result:
    """The verdict on the very example; where it cannot be made any more, on the stored calls and on the claim from its seed."""
    failure = read_failure(Path(file))
    if not failure.blob:
        why = "the example was not kept"
    elif failure.hypothesis != hypothesis.__version__:
        why = f"the example is of Hypothesis {failure.hypothesis}, here is {hypothesis.__version__}"
    else:
        try:
            return run(claim, operator, port, effort, example=(failure.part, failure.blob, len(failure.calls)), **how)
        except DidNotReproduce:
            why = "the claim draws other examples than it did"
        except HypothesisException as error:
            why = f"the example cannot be read: {error}"
    remark = f"{why}; {_asked_again(failure, port)}; then tried from seed {failure.seed}"
    result = run(claim, operator, port, effort, **how)
    return replace(result, detail=f"{remark}: {result.detail or result.verdict}")


def _asked_again(failure: Failure, port: Port) -> str:
    """What the port answers to the stored calls, beside what was found and due."""
    calls = [call for name, call in failure.calls if callable_as_stored(failure.operator, name, call)]
    trial, said = Trial(port, failure.operator), "neither by what was found nor by what is due"
    if not calls:
        return "none of its calls can be asked alone"
    for call in calls:
        try:
            answer = trial.result(call)
        except (Refuted, Declined, Absent) as error:
            return f"a stored call asked again: {error}"
        for part in answer if isinstance(answer, tuple) else (answer,):
            for side in ("due", "found"):
                if side in failure.values and np.array_equal(part, failure.values[side], equal_nan=True):
                    said = f"by what was {side}"
    return f"of {len(calls)} stored calls asked again the answer is {said}"
