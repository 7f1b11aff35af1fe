"""Touchstone in pytest: one test for each claim, operator and dtype of a port, beside a team's own tests.

    pytest --touchstone-port my_package.port        pytest --touchstone-command ./my_port        pytest --touchstone

The last takes the port from touchstone.toml. Every run of pytest loads this file, so nothing else is imported until one of these
options is used. The port lives in a process of its own: a crash is a failed test, and the others go on.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import re
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from properties._arguments import Arguments
    from properties._run import Result
    from properties._runner import Offer, Run, Task

ROOT = "touchstone"
"""What every node id begins with, and every option."""
VALUES = {
    "port": "the port: a module or a .py file",
    "command": "the port: a program that speaks the port protocol",
    "profile": "how hard to try: dev, ci (default), release or deep",
    "ops": "only these operators: A,B",
    "claims": "only these claims, or the claims of these concepts: A,B",
    "dtype": "only these types: A,B",
    "seed": "the stream of examples: a number",
}
WORDS = {"command": "--port-command"}
"""Where verify.py's option has another name."""
SUITE_BROKEN = 3


class Fails(Exception):
    """A claim that does not hold; the text is what verify.py prints."""


class Untold(Exception):
    """A claim without a verdict, or an expected failure that is none; the text says why."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Our options, in a group of their own."""
    group = parser.getgroup(ROOT, "RL operators of a port against the exact reference and the theorems")
    group.addoption(f"--{ROOT}", action="store_true", help="try the port that touchstone.toml names")
    for name, text in VALUES.items():
        group.addoption(f"--{ROOT}-{name}", metavar=name.upper(), help=text)


def pytest_configure(config: pytest.Config) -> None:
    """Nothing, unless a port is asked for."""
    given = [name for name in VALUES if config.getoption(f"{ROOT}_{name}") is not None]
    if config.getoption(ROOT) or {"port", "command"} & set(given):
        config.pluginmanager.register(Trials(config), "touchstone-trials")
    elif given:
        raise pytest.UsageError(f"--{ROOT}-{given[0]}: needs --{ROOT}-port, --{ROOT}-command or --{ROOT}")


class Trials:
    """The trials of one session: the port in its processes, what was planned, and what became of it."""

    run: Run
    offer: Offer
    arguments: Arguments

    def __init__(self, config: pytest.Config) -> None:
        self.config, self.is_worker = config, hasattr(config, "workerinput")
        self.tasks: list[Task] = []
        self.verdicts: list[dict[str, Any]] = []
        self._open = contextlib.ExitStack()

    # ------------------------------------------------------------------------------------------------------ before the tests
    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Load the port and plan; what is wrong with either is one line."""
        from properties._in_pytest import not_worth_running
        from properties._ports import PortError
        from properties._runner import Run, plan

        self.arguments = a = _arguments(self.config)
        self.config.option.touchstone_seed = str(a.seed)  # a fresh one is the same for every process of xdist
        self.run = self._open.enter_context(Run(a.setting, jobs=1))
        try:
            with self._importable():
                self.offer = self.run.load()
            self.tasks = plan(
                self.offer,
                is_reference=a.port == "reference",
                operators=a.ops,
                claims=a.claims,
                dtypes=a.dtypes,
                agents=a.with_agents,
            )
        except PortError as error:
            raise pytest.UsageError(f"{ROOT}: {error}") from None
        if wrong := not_worth_running(a, self.offer, self.tasks):
            raise pytest.UsageError(f"{ROOT}: {wrong}")

    @contextlib.contextmanager
    def _importable(self) -> Iterator[None]:
        """Pytest's own `pythonpath` holds in the port's processes, too."""
        before = os.environ.get("PYTHONPATH")
        paths = [str(path) for path in self.config.getini("pythonpath")]
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [*paths, before]))
        try:
            yield
        finally:
            if before is None:
                del os.environ["PYTHONPATH"]
            else:
                os.environ["PYTHONPATH"] = before

    def pytest_report_header(self) -> list[str]:
        """What is tried."""
        a = self.arguments
        lines = [f"{ROOT}: port {a.port}, profile {a.profile}, seed {a.seed}, {len(self.tasks)} trials"]
        return lines + ([f"{ROOT}: {a.settings.line}"] if a.settings else [])

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        """Node ids of ours are no files: they choose among the trials."""
        ours = [word for word in self.config.args if word.split("::")[0] == ROOT and not Path(ROOT).exists()]
        self.config.args[:] = [word for word in self.config.args if word not in ours]
        self._chosen = ours

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, session: pytest.Session, items: list[pytest.Item]) -> None:
        """One test for each trial, after the team's own."""
        port = Group.from_parent(session, name=ROOT, nodeid=ROOT)
        groups = {task.operator: Group.from_parent(port, name=task.operator) for task in self.tasks}
        mine = [Trial.of(task, groups[task.operator], self) for task in self.tasks]
        chosen = [item for item in mine if not self._chosen or any(map(item.is_in, self._chosen))]
        self.config.hook.pytest_collectreport(report=pytest.CollectReport(ROOT, "passed", None, list(chosen)))
        items += chosen

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """No verdict is believed before the suite has tried itself; once, not in every process."""
        mine = self.config.pluginmanager.hasplugin("dsession") or any(isinstance(item, Trial) for item in session.items)
        if self.is_worker or self.config.option.collectonly or not mine:
            return
        from properties._self_check import self_check

        if broken := self_check():
            pytest.exit(f"{ROOT}: self-check failed, no verdict can be believed: {broken}", returncode=SUITE_BROKEN)

    # ------------------------------------------------------------------------------------------------------------- the tests
    def verdict(self, task: Task) -> Result:
        """Of one trial; a suite that breaks ends the session."""
        from properties._ports import PortError
        from properties._runner import SuiteError

        try:
            with self._importable():
                return list(self.run.results([task]))[0]
        except PortError as error:
            raise Untold(str(error)) from None
        except SuiteError as error:
            text = f"{ROOT}: the suite itself is broken, no verdict can be believed: {error}"
            if self.is_worker:
                raise Untold(text) from None
            return pytest.exit(text, returncode=SUITE_BROKEN)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """A report carries what the summary needs, from xdist's processes, too."""
        report = yield
        if isinstance(item, Trial) and report.when == "call" and item.result is not None:
            vars(report)["touchstone"] = {"verdict": item.result.verdict, "ledger": [dict(each) for each in item.result.ledger]}
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what came."""
        if found := getattr(report, "touchstone", None):
            self.verdicts.append(found)

    # -------------------------------------------------------------------------------------------------------- after the tests
    def _unchecked(self) -> bool:
        """Everything was asked, and nothing was answered: skipped tests must not look green."""
        verdicts = Counter(each["verdict"] for each in self.verdicts)
        return 0 < len(self.tasks) == len(self.verdicts) and not verdicts["holds"] + verdicts["fails"]

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """A port that declines everything is not checked, and that is no success."""
        if not self.is_worker and self._unchecked():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """What is absent, the statistical ledger, the versions."""
        if not self.verdicts:
            return
        from properties._in_pytest import summary

        terminalreporter.section(ROOT)
        for line in summary(self.arguments, self.offer, [record for each in self.verdicts for record in each["ledger"]]):
            terminalreporter.write_line(line)
        if self._unchecked():
            terminalreporter.write_line("NOT VERIFIED: the port declines everything that was tried")

    def pytest_unconfigure(self) -> None:
        """End the port's processes."""
        self._open.close()


class Group(pytest.Collector):
    """The port, or one of its operators."""

    def collect(self) -> list[pytest.Item]:
        """Nothing by itself: the plan is the collection."""
        return []


class Trial(pytest.Item):
    """One claim for one operator in one dtype."""

    task: Task
    trials: Trials
    result: Result | None = None

    @classmethod
    def of(cls, task: Task, group: Group, trials: Trials) -> Trial:
        """The test of one task."""
        item: Trial = cls.from_parent(group, name=f"{task.claim}[{task.dtype}]")
        item.task, item.trials = task, trials
        return item

    def is_in(self, word: str) -> bool:
        """Whether a node id on the command line is this one's, its operator's, or the whole port's."""
        return f"{self.nodeid}::".startswith(f"{word}::") or self.nodeid.startswith(f"{word}[")

    def runtest(self) -> None:
        """Pass, fail, skip what the port does not offer, and hold an expected failure to its word."""
        result = self.result = self.trials.verdict(self.task)
        key, settings = (self.task.claim, self.task.operator, self.task.dtype), self.trials.arguments.settings
        expected = settings.excuse(key, datetime.date.today()) if settings else None
        if result.verdict == "fails":
            if expected:
                pytest.xfail(f"{expected.reason} (until {expected.expires})")
            from properties._in_pytest import failure_text

            raise Fails(failure_text(result, self.trials.arguments, self.trials.tasks))
        if result.verdict == "undecided":
            raise Untold(f"{self.task.operator} is undecided: {self.name}\n  what    {result.detail}")
        if settings and any(entry.covers(key) for entry in settings.expected):
            came = "no longer fails" if result.verdict == "holds" else f"is not tried ({result.detail})"
            raise Untold(f"{settings.path}: expected failure {self.task.operator}, {self.name} {came}: remove it")
        if result.verdict == "absent":
            pytest.skip(result.detail)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The text alone: a traceback through the suite says nothing about the port."""
        return str(excinfo.value) if isinstance(excinfo.value, Fails | Untold) else super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Where this is: in no file."""
        return self.path, None, self.nodeid


def _arguments(config: pytest.Config) -> Arguments:
    """The options as verify.py has them, and its refusals as pytest's."""
    from properties._in_pytest import arguments_of, names_port

    given = [(name, value) for name in VALUES if (value := config.getoption(f"{ROOT}_{name}")) is not None]
    try:
        arguments = arguments_of([*(f"{WORDS.get(name, f'--{name}')}={value}" for name, value in given), *_settings(config)])
    except ValueError as error:
        raise pytest.UsageError(re.sub(r"^(argument )?--(port-)?", f"--{ROOT}-", str(error))) from None
    if not names_port(arguments) and not {"port", "command"} & {name for name, _ in given}:
        raise pytest.UsageError(f"--{ROOT}: needs a touchstone.toml here that names the port")
    return arguments


def _settings(config: pytest.Config) -> list[str]:
    """The settings beside pytest's own, where the current folder has none."""
    path = config.rootpath / "touchstone.toml"
    return ["--config", str(path)] if config.getoption(ROOT) and not Path(path.name).exists() and path.exists() else []
