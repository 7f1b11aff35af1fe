"""`python -m properties._self_test KIND I/N`: a process's share, in JSON lines; `--matrix` makes the kill matrix anew."""

from __future__ import annotations

import json
import os
import sys

from properties._self_test import _kill_matrix, _share
from properties._self_test._pool import said

SHARES = {"bugs": _share.bugs, "faults": _share.faults, "mutants": _share.mutants, "matrix": _share.matrix}


def main(argv: list[str]) -> None:
    """Answer one share, or make the matrix."""
    if argv[:1] == ["--matrix"]:
        rows = list(said("matrix", os.cpu_count() or 1))
        kills = {row["bug"]: tuple(row["claims"]) for row in rows}
        _kill_matrix.written(kills)
        print("\n".join(_kill_matrix.lists(kills)))
        return
    share, shares = map(int, argv[1].split("/"))
    SHARES[argv[0]](share, shares, lambda line: print(json.dumps(line), flush=True))


if __name__ == "__main__":
    main(sys.argv[1:])
