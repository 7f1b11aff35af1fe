"""Try an implementation of RL operators: arguments -> port -> claims -> report -> exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # its threads are in each other's way, and nothing here is for two

from properties._arguments import Arguments, parse  # noqa: E402  after the number of threads
from properties._ports import PortError  # noqa: E402
from properties._report import Reporter  # noqa: E402
from properties._runner import Offer, Run, SuiteError, plan  # noqa: E402
from properties._self_check import self_check  # noqa: E402

HOLDS, FAILS, INCOMPLETE, SUITE_BROKEN = 0, 1, 2, 3  # what exit statuses mean


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0 all holds, 1 something fails, 2 not everything was checked, 3 the suite is broken."""
    words = sys.argv[1:] if argv is None else list(argv)
    if words[:1] == ["init-port"]:
        from properties._init_port import init_port

        return init_port(words[1:])
    arguments = parse(words)
    if arguments.list or arguments.explain or arguments.bugs or arguments.self_test or arguments.write_vectors:
        from properties._explain import show

        return show(arguments)
    reporter = Reporter(arguments)
    if arguments.settings:
        reporter.say(arguments.settings.line)
    try:
        if broken := self_check():
            reporter.say(f"self-check failed, no verdict can be believed: {broken}")
            return SUITE_BROKEN
        if arguments.replay or arguments.check_vectors:
            return again(arguments, reporter)
        with Run(arguments.setting, arguments.jobs) as run:
            try_port(run, arguments, reporter)
    except PortError as error:
        reporter.say(str(error))
        return INCOMPLETE
    except SuiteError as error:
        reporter.say(f"the suite itself is broken, no verdict can be believed: {error}")
        return SUITE_BROKEN
    except KeyboardInterrupt:
        reporter.interrupted()
    reporter.write()
    return reporter.status


def try_port(run: Run, arguments: Arguments, reporter: Reporter) -> None:
    """Load the port, plan the tasks, and hand each verdict to the reporter as it comes."""
    offer: Offer = run.load()
    tasks = plan(
        offer,
        is_reference=arguments.port == "reference",
        operators=arguments.ops,
        claims=arguments.claims,
        dtypes=arguments.dtypes,
        agents=arguments.with_agents,
    )
    reporter.begin(offer, tasks)
    for result in run.results(tasks, arguments.budget):
        reporter.add(result)


def again(arguments: Arguments, reporter: Reporter) -> int:
    """`--replay`, `--check-vectors`: what was asked before is asked again."""
    if arguments.replay:
        from properties._replay import replay

        return replay(arguments, reporter.say)
    from properties._vectors_check import check_vectors

    return check_vectors(arguments, reporter.say)


def command() -> None:
    """The console script `touchstone`."""
    sys.exit(main())


if __name__ == "__main__":
    command()
