"""Try an implementation of RL operators: arguments -> port -> claims -> report -> exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from properties._arguments import Arguments, parse
from properties._ports import PortError
from properties._report import Reporter
from properties._runner import Offer, Run, Setting, SuiteError, plan
from properties._self_check import self_check

HOLDS, FAILS, INCOMPLETE, SUITE_BROKEN = 0, 1, 2, 3  # what exit statuses mean


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0 all holds, 1 something fails, 2 not everything was checked, 3 the suite is broken."""
    arguments = parse(sys.argv[1:] if argv is None else list(argv))
    if arguments.list or arguments.explain or arguments.bugs or arguments.self_test:
        return show(arguments)
    reporter = Reporter(arguments)
    try:
        if broken := self_check():
            reporter.say(f"self-check failed, no verdict can be believed: {broken}")
            return SUITE_BROKEN
        with Run(
            Setting(arguments.port, arguments.device, arguments.profile, arguments.seed, arguments.patience),
            arguments.jobs,
        ) as run:
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


def show(arguments: Arguments) -> int:
    """`--list`, `--explain`, `--bugs`: what the suite holds; `--self-test`: what it finds. No port is tried."""
    if arguments.self_test:
        from properties._self_test._table import self_test

        return self_test(arguments.jobs, arguments.json)
    from properties._explain import bugs, explain, listing

    if arguments.explain:
        print(explain(arguments.explain))
    else:
        print(bugs(arguments.ops) if arguments.bugs else listing(arguments.ops, arguments.claims))
    return HOLDS


def command() -> None:
    """The console script `touchstone`."""
    sys.exit(main())


if __name__ == "__main__":
    command()
