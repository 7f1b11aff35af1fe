"""What the pytest plugin asks and says, without pytest: its options as verify.py's, a failure's text, the summary's lines."""

from __future__ import annotations

import contextlib
import datetime
import io
from collections.abc import Sequence
from typing import Any

from properties import _ledger as ledger
from properties._arguments import Arguments, parse
from properties._likeness import diagnoses
from properties._port_settings import judged
from properties._report import Reporter, told
from properties._run import Result
from properties._runner import Offer, Task


def arguments_of(words: Sequence[str]) -> Arguments:
    """As verify.py reads them; what it refuses is a ValueError of one line."""
    refusals = io.StringIO()
    try:
        with contextlib.redirect_stderr(refusals):
            return parse(list(words))
    except SystemExit:
        raise ValueError(refusals.getvalue().strip().splitlines()[-1].partition("error: ")[2]) from None


def names_port(arguments: Arguments) -> bool:
    """Whether the port's own settings say which port it is."""
    return arguments.settings is not None and "port" in arguments.settings.options


def not_worth_running(arguments: Arguments, offer: Offer, tasks: Sequence[Task]) -> str:
    """Why there is nothing to be tried, or not everything that must be; empty if there is."""
    if lost := judged((), arguments.settings, tasks, datetime.date.today()).lines:
        return lost[0]
    if required := [name for name in arguments.require if name not in offer.operators]:
        return f"required and absent: {', '.join(required)}"
    return "" if tasks else f"port {arguments.port} offers nothing that could be tried"


def failure_text(result: Result, arguments: Arguments, tasks: Sequence[Task]) -> str:
    """As verify.py prints it, with its diagnosis; and that it was expected until lately."""
    lines = [f"{result.operator} fails: {result.claim} [{result.dtype}]", *told(result, arguments)]
    if found := diagnoses([result]):
        lines += ["", "diagnosis", *(f"  {line}" for each in found for line in each.lines())]
    return "\n".join([*lines, *judged([result], arguments.settings, tasks, datetime.date.today()).lines])


def summary(arguments: Arguments, offer: Offer, records: list[dict[str, Any]]) -> list[str]:
    """The statistical ledger, the absent operators, the versions."""
    reporter = Reporter(arguments)
    reporter.offer = offer
    lines = list(ledger.lines(records)) if records else []
    lines += [f"absent operators: {', '.join(reporter.absent)}"] if reporter.absent else []
    return [*lines, "versions: " + ", ".join(f"{name} {version}" for name, version in offer.versions.items())]
