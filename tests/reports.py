"""Reports to look at: of ports that hold, that fail in every way, and of which nothing was decided; and one of every claim."""

from __future__ import annotations

import atexit
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console

from properties._arguments import parse
from properties._claim import OPERATORS, SENTENCES
from properties._ledger import LEDGER, Record
from properties._report import Reporter
from properties._report_files import document, write_html, write_json, write_junit
from properties._run import ABSENT, FAILS, HOLDS, UNDECIDED, Result
from properties._runner import Offer, plan

ROOT = Path(__file__).resolve().parent.parent
SOUND = "from reference import *\nDTYPES = ('float64', 'float32')\n"
WRONG = """
import numpy as np
import reference
from properties._bugs import catalogue
from reference import *
DTYPES = ("float64", "float32")
CONVENTIONS = {"ties": "first"}
del soft_backup
gae = catalogue()["gae/done-is-terminated-or-truncated"].behaves
sample_epsilon_greedy = catalogue()["sample_epsilon_greedy/epsilon-is-the-greedy-share"].behaves

def expectile_loss(*arguments, **keywords):
    return reference.expectile_loss(*arguments, **keywords) + np.inf

def q_learning_target(reward, terminated, next_q, *, discount):
    raise RuntimeError("</pre><script>alert(1)</script> & \\x00\\x1b[31m <img src=https://example.org/x>")
"""
"""Wrong, infinite, raising markup, drawing wrongly, lacking something."""
CLAIMS = {
    "sound": "gae_with_lambda_zero_is_the_td_error,port_equals_reference,gae_plus_value_is_the_lambda_return",
    "wrong": "gae_with_lambda_one_is_return_minus_value,gae_with_lambda_zero_is_the_td_error,port_equals_reference,"
    "q_learning_target_takes_the_largest_entry_of_its_own_row,epsilon_greedy_draws_follow_their_probabilities,"
    "no_gradient_flows_into_constants",
    "late": "returns",
}
OPS = {
    "sound": "gae,lambda_returns",
    "wrong": "gae,lambda_returns,q_learning_target,sample_epsilon_greedy,expectile_loss,soft_backup",
    "late": "gae",
}
OPTIONS = {"sound": [], "wrong": ["--config", "expected.toml"], "late": ["--budget", "0.001"]}
EXPECTED = '''
[[expected-failure]]
operator = "gae"
claim = "port_equals_reference"
dtype = "float32"
reason = "a <known> one"
counterexample = """port.gae(
    np.array([0.0]), np.array([False]), np.array([True]), np.array([0.0]), np.array([1.0]), lambda_=1.0, discount=0.5
)"""
expires = 2999-12-31
'''
STATUS = {"sound": 0, "wrong": 1, "late": 2}


class Files(NamedTuple):
    """What one run wrote."""

    json: Path
    junit: Path
    html: Path

    @property
    def document(self) -> dict[str, Any]:
        """What the JSON file says."""
        found: dict[str, Any] = json.loads(self.json.read_text())
        return found


@cache
def folder() -> Path:
    """Where they are, until this process ends."""
    made = tempfile.mkdtemp(prefix="touchstone-reports-")
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return Path(made)


def files(name: str) -> Files:
    return Files(*(folder() / f"{name}.{ending}" for ending in ("json", "xml", "html")))


@cache
def report(name: str) -> Files:
    """One run of verify.py, once a process; `every` is made, not run."""
    made = files(name)
    if name == "every":
        whole = every_claim()
        for path, write in zip(made, (write_json, write_junit, write_html), strict=True):
            write(path, whole)
        return made
    (folder() / "expected.toml").write_text(EXPECTED)
    (folder() / f"{name}.py").write_text(WRONG if name == "wrong" else SOUND)
    words = ["--port", f"{name}.py", "--profile", "dev", "--jobs", "1", "--claims", CLAIMS[name], "--ops", OPS[name]]
    paths = ["--json", str(made.json), "--junit", str(made.junit), "--html", str(made.html)]
    done = subprocess.run(
        [sys.executable, str(ROOT / "verify.py"), *words, *OPTIONS[name], *paths], capture_output=True, text=True, cwd=folder(),
        env=os.environ | {"PYTHONPATH": str(ROOT)}, timeout=300,
    )  # fmt: skip
    assert done.returncode == STATUS[name], done.stdout + done.stderr
    return made


def every_claim() -> dict[str, Any]:
    """A report of every claim for every operator in every type, with each verdict in it: as large as reports of one port get."""
    reporter = Reporter(parse(["--port", "made.py", "--seed", "0"]), Console(file=io.StringIO()))
    types = ("float64", "float32", "bfloat16")
    reporter.offer = Offer(types, tuple(OPERATORS), {"ties": "first"}, {"python": "3"})
    reporter.tasks = plan(reporter.offer, is_reference=False)
    draws = np.random.default_rng(0)
    for place, task in enumerate(reporter.tasks):
        verdict = {100: FAILS, 200: UNDECIDED, 300: ABSENT}.get(place % 400, HOLDS)
        ratios = tuple(int(n) for n in draws.integers(0, 40, size=16)) if SENTENCES[task.claim].kind == "theorem" else ()
        detail = f"{'what is wrong ' * 5}{place}" if verdict != HOLDS else ""
        paste = "port.f(np.array([1.0]))" * (verdict == FAILS)
        name, operator, dtype = task.claim, task.operator, task.dtype
        records = _records(name, operator, dtype) if name in LEDGER else ()
        result = Result(
            name, operator, dtype, verdict, detail=detail, paste=paste, examples=40, ratios=ratios, ledger=records
        )  # fmt: skip
        reporter.results.append(result)
    return document(reporter)


def _records(claim: str, operator: str, dtype: str) -> tuple[dict[str, Any], ...]:
    entry = LEDGER[claim]
    path = tuple((125 * step, 0.1 * step, 1.7 * step) for step in range(1, 9))
    return tuple(
        Record(
            claim, entry.label, operator, dtype, case.name, entry.share, entry.alpha, case.effect, case.effect_of, 0.999, 1000,
            1000, 0.8, case.coordinates[0], HOLDS, path,
        )._asdict()
        for case in entry.cases
    )  # fmt: skip
