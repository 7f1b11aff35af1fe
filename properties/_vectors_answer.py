"""The process in which a port answers vectors, and its keeper, who starts it again after a crash or a hang.

`python -m properties._vectors_answer JSON`: one file an operator as soon as that is done; before each call its name is written
down, so that the one that did not return is known.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import properties  # noqa: F401  (registers the operators)
from properties._child import cause
from properties._claim import Died, Refuted
from properties._conventions import CONVENTIONS
from properties._frames import Message, packed
from properties._ports import COMMAND, Port, PortError, first_line, load_port
from properties._trial import travelling
from properties._vectors import SUFFIX, Vector, read_set
from properties._vectors_answers import ABOUT, DECLINED, UNASKED, Key
from properties._wire import results_of

JOURNAL = "journal"
TICK = 0.05
DEATHS = 2
"""An operator that crashed or hung so often is asked nothing more."""
START_SECONDS = 120.0


@dataclass(frozen=True)
class Errand:
    """Which port is to answer which set into which folder; `instead` holds texts for calls that are not to be made."""

    port: str
    device: str
    patience: float
    conventions: Mapping[str, str]
    vectors: str
    answers: str
    operators: tuple[str, ...]
    dtypes: tuple[str, ...]
    instead: dict[str, str] = field(default_factory=dict)


# ------------------------------------------------------------------------------------------------------------- the process
def serve(errand: Errand) -> None:
    """Answer what is not answered yet; the file ABOUT comes last."""
    folder = Path(errand.answers)
    try:
        port = load_port(errand.port, device=errand.device, settings=errand.conventions, patience=errand.patience)
        ports = {dtype: port.using(dtype, errand.device) for dtype in port.dtypes if not errand.dtypes or dtype in errand.dtypes}
    except PortError as error:
        _put(folder / ABOUT, json.dumps({"failed": str(error)}).encode())
        return
    golden = read_set(Path(errand.vectors))
    for operator in errand.operators:
        path = folder / f"{operator}{SUFFIX}"
        if not path.exists() and any(each.offers(operator) for each in ports.values()):
            _put(path, packed(_answered(golden.of(operator), ports, errand, folder / JOURNAL)))
    kept = {key: value for key, value in port.conventions.items() if key != "bad_input" and not _is_translated(key, value)}
    _put(folder / ABOUT, json.dumps({"name": errand.port, "conventions": kept, "dtypes": list(ports)}).encode())


def _is_translated(key: str, value: str) -> bool:
    """Whether Port gives the contract's answer from what the convention says: the vectors apply then."""
    plain = CONVENTIONS[0].contract
    return any((each.key, each.value) == (key, value) and each.contract is not plain for each in CONVENTIONS)


def _answered(vectors: tuple[Vector, ...], ports: Mapping[str, Port], errand: Errand, journal: Path) -> Message:
    """One operator's answers in every type."""
    texts: dict[str, str] = {}
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    for dtype, port in ports.items():
        for vector in [vector for vector in vectors if dtype in vector.dtypes]:
            key = str(Key(vector.id, dtype))
            journal.write_text(key)
            found = errand.instead.get(key) or errand.instead.get(vector.operator) or _asked(port, vector)
            journal.write_text("")
            if isinstance(found, str):
                texts[key] = found
            else:
                arrays |= {f"{key}/{place}": array for place, array in found.items()}
    return Message(texts, arrays)


def _asked(port: Port, vector: Vector) -> str | dict[str, np.ndarray[Any, Any]]:
    """The results, or what went wrong."""
    arguments, keywords = travelling(tuple(vector.call), port.native)
    try:
        with np.errstate(all="ignore"):
            results = results_of(port.operator(vector.operator)(*arguments, **keywords))
    except NotImplementedError as error:
        return f"{DECLINED}{first_line(error)}"
    except Died as died:
        return str(died)
    except (Exception, SystemExit, Refuted) as error:
        return f"raised {type(error).__name__}: {first_line(error)}"
    odd = [f"{place} is {array.dtype}" for place, array in results.items() if array.dtype.kind not in "fiub"]
    return f"the results must be real numbers; {odd[0]}" if odd else results


def _put(path: Path, data: bytes) -> None:
    half = path.with_suffix(".half")
    half.write_bytes(data)
    os.replace(half, path)


# -------------------------------------------------------------------------------------------------------------- the keeper
def have_answered(errand: Errand, step: Callable[[int], None] = lambda done: None) -> None:
    """Have the port answer everything, whatever becomes of its process; PortError if it cannot be loaded."""
    folder, deaths = Path(errand.answers), Counter[str]()
    while not (folder / ABOUT).exists():
        how = _watched(errand, step)
        if (folder / ABOUT).exists():
            break
        key = (folder / JOURNAL).read_text() if (folder / JOURNAL).exists() else ""
        if not key:
            raise PortError(f"port {errand.port} died while it was loaded, or between calls: {how}")
        errand.instead[key] = how
        operator = key.rpartition("-")[0]
        deaths[operator] += 1
        if deaths[operator] >= DEATHS:
            errand.instead.setdefault(operator, f"{UNASKED}{operator} crashed or hung {DEATHS} times before")
    said = json.loads((folder / ABOUT).read_bytes())
    if "failed" in said:
        raise PortError(said["failed"])


def _watched(errand: Errand, step: Callable[[int], None]) -> str:
    """One life of the process; how it ended."""
    folder = Path(errand.answers)
    (folder / JOURNAL).unlink(missing_ok=True)
    quiet = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    home = str(Path(__file__).resolve().parent.parent)
    paths = os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH", ""))))
    words = [sys.executable, "-m", "properties._vectors_answer", json.dumps(asdict(errand))]
    nothing, environment = subprocess.DEVNULL, os.environ | quiet | {"PYTHONPATH": paths}
    with (folder / "stderr").open("wb") as errors:
        process = subprocess.Popen(words, stdin=nothing, stdout=nothing, stderr=errors, env=environment)
    try:
        late = _waited(process, errand, step)
    finally:
        process.kill()
        process.wait()
    lines = (folder / "stderr").read_text(errors="replace").strip().splitlines()
    return late or f"crashes: the process died, {cause(process.returncode)}" + (f"; {lines[-1][:200]}" if lines else "")


def _waited(process: subprocess.Popen[bytes], errand: Errand, step: Callable[[int], None]) -> str:
    """Wait for its end; what is wrong where a call does not return."""
    folder, began, last = Path(errand.answers), time.monotonic(), (-1, "")
    grace = START_SECONDS if errand.port.startswith(COMMAND) else 0.0  # such a program is ended by the process itself
    while process.poll() is None:
        time.sleep(TICK)
        journal = folder / JOURNAL
        now = (journal.stat().st_mtime_ns, journal.read_text()) if journal.exists() else (-1, "")
        began = began if now == last else time.monotonic()
        last = now
        step(len(list(folder.glob(f"*{SUFFIX}"))))
        if time.monotonic() - began > (errand.patience + grace if now[1] else START_SECONDS):
            return f"hangs: a call did not return within {errand.patience:g} s"
    return ""


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    serve(Errand(**given))
