"""Train an agent: `python -m accelerated.agents.train iql --dataset PATH_OR_ID --seeds 8 --steps 1000000 --out DIR`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from accelerated.agents import AGENTS, agent, configurations
from accelerated.agents.arguments import RUN, Request, parsed, requested, resumed
from accelerated.agents.checkpoints import write_json

DONE, WRONG, STOPPED = 0, 2, 130  # exit statuses


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status: 0 trained, 2 asked for something that cannot be, 130 interrupted (go on with --resume)."""
    options = parsed(argv)
    try:
        if options.list or options.list_presets:
            print(listing(options.agent, presets=options.list_presets))
            return DONE
        return carried_out(resumed(options.resume) if options.resume else requested(options), fresh=options.resume is None)
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return WRONG
    except KeyboardInterrupt:
        print("interrupted; --resume goes on from the last checkpoint", file=sys.stderr)
        return STOPPED


def carried_out(request: Request, *, fresh: bool) -> int:
    """Check the request against its data and environment, then train in this process or in several."""
    from accelerated.agents import processes, running

    request = running.checked(request)
    if fresh:
        request.out.mkdir(parents=True, exist_ok=True)
        write_json(request.out / RUN, request.told())
    with running.alone(request.out):
        if request.processes > 1:
            processes.spread(request)
        else:
            running.train(request)
        print(running.concluded(request))
    return DONE


def listing(name: str | None, *, presets: bool) -> str:
    """The agents, one a line; or the presets of one or of all."""
    names = list(AGENTS) if name is None else [name]
    if not presets:
        return "\n".join(f"{each:22} {_summary(agent(each))}" for each in names)
    lines: list[str] = []
    for each in names:
        lines += [f"{each}: {preset:24} {changes}" for preset, changes in configurations.presets(agent(each))]
    return "\n".join(lines)


def _summary(one: Any) -> str:
    """The first line of an agent's documentation."""
    return (one.__doc__ or "").strip().splitlines()[0]


if __name__ == "__main__":
    sys.exit(main())
