"""Seeds spread over processes: on a CPU small networks fill one thread better than several."""

from __future__ import annotations

import multiprocessing
import os
from dataclasses import replace

from accelerated.agents.arguments import RUN, Request
from accelerated.agents.checkpoints import write_json

ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "33554432", "MALLOC_TRIM_THRESHOLD_": "1073741824", "MALLOC_TOP_PAD_": "67108864"}
"""What keeps glibc from giving a network's temporaries back to the system and faulting them in again at every update."""

PATIENCE = 120.0
"""Seconds that a part waits for an orphan of a killed run to let go of its folder."""


def parts(request: Request) -> list[Request]:
    """The requests of the processes: every P-th seed each, in a folder of its own."""
    return [
        replace(
            request,
            run=replace(request.run, seeds=request.run.seeds[part :: request.processes]),
            out=request.out / f"part-{part}",
            processes=1,
        )
        for part in range(request.processes)
    ]


def spread(request: Request) -> None:
    """Train all parts at once; each has its own checkpoints, and a killed one goes on from its own.

    raises  ChildProcessError if a part did not finish
    """
    for name, size in ALLOCATOR.items():
        os.environ.setdefault(name, size)
    context = multiprocessing.get_context("spawn")
    children = []
    for place, part in enumerate(parts(request)):
        part.out.mkdir(parents=True, exist_ok=True)
        if not (part.out / RUN).exists():
            write_json(part.out / RUN, part.told())
        children.append(context.Process(target=_train, args=(part, place == 0), daemon=True))
    for child in children:
        child.start()
    for child in children:
        child.join()
    if failed := [place for place, child in enumerate(children) if child.exitcode]:
        raise ChildProcessError(f"every part must finish; {', '.join(f'part-{place}' for place in failed)} did not")


def _train(part: Request, tells: bool) -> None:
    """What a child process does; the first one shows its progress for all."""
    from accelerated.agents import running

    with running.alone(part.out, PATIENCE):
        running.train(part, quiet=not tells)
