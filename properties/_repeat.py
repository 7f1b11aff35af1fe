"""The whole statistical part of a port, again and again with fresh salts: a right port raises no alarm, run after run.

python -m properties._repeat --port accelerated.port --runs 200
"""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from properties import _control_variates_draws, _exploration_draws, _gaussians_draws, _priorities_draws  # noqa: F401  (register)
from properties._claim import RECORDS, SENTENCES, Absent, Declined, Refuted, Undecided
from properties._ledger import LEDGER
from properties._ports import Port, load_port
from properties._trial import Trial


class Tally(NamedTuple):
    """Verdicts by claim, operator and dtype; the account of every case; what each alarm said."""

    verdicts: Counter[tuple[str, str, str, str]]
    records: list[dict[str, Any]]
    alarms: list[str]

    def count(self, verdict: str) -> int:
        """How many trials came to this verdict."""
        return sum(number for key, number in self.verdicts.items() if key[-1] == verdict)


def repeat(port: Port, salts: Iterable[int], dtypes: Sequence[str] = ()) -> Tally:
    """Try every statistical claim on every operator that the port offers, once for each salt and dtype."""
    tally = Tally(Counter(), [], [])
    for salt in salts:
        for dtype in dtypes or port.dtypes:
            _run(port.using(dtype, port.device), salt, tally)
    return tally


def _run(port: Port, salt: int, tally: Tally) -> None:
    for claim, operator in ((claim, operator) for claim, entry in LEDGER.items() for operator in entry.operators):
        if not port.offers(operator) or port.dtype not in RECORDS[operator].widths:
            continue
        if not SENTENCES[claim].every_dtype and port.dtype != port.dtypes[0]:
            continue
        trial = Trial(port, operator, salt=salt)
        verdict = "holds"
        try:
            with np.errstate(all="ignore"):
                SENTENCES[claim].body(trial)
        except (Undecided, Absent, Declined) as open_:
            verdict = "undecided" if isinstance(open_, Undecided) else "absent"
        except Refuted as refuted:
            verdict = "fails"
            tally.alarms.append(f"salt {salt}, {operator}, {port.dtype}, {claim}: {refuted}")
        tally.verdicts[claim, operator, port.dtype, verdict] += 1
        tally.records.extend(trial.evidence)


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0 if all holds, 1 if something alarmed or was left undecided, 2 if nothing was tried."""
    parser = argparse.ArgumentParser(prog="python -m properties._repeat", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--port", default="reference")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--salt", type=int, default=None, help="the first salt; drawn and printed if not given")
    parser.add_argument("--dtype", action="append", default=[])
    given = parser.parse_args(argv)
    first = secrets.randbits(48) if given.salt is None else given.salt
    began = time.monotonic()
    tally = repeat(load_port(given.port), range(first, first + given.runs), given.dtype)
    seconds, trials = time.monotonic() - began, sum(tally.verdicts.values())
    print("\n".join(tally.alarms))
    print(f"port {given.port}, {given.runs} runs from salt {first}: {trials} trials, {len(tally.records)} cases; ", end="")
    print(f"{tally.count('fails')} alarms, {tally.count('undecided')} undecided; {seconds / max(given.runs, 1):.2f} s a run")
    return 2 if not trials else int(tally.count("holds") < trials)


if __name__ == "__main__":
    sys.exit(main())
