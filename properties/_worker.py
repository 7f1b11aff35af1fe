"""The process in which a port lives: tasks come in as JSON lines, results go out as JSON lines, and nothing else gets through."""

from __future__ import annotations

import json
import mmap
import os
import platform
import signal
import struct
import sys
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import IO, Any

CLOCK_BYTES = 16


class SharedClock:
    """When the running call began, and the process group of the port's program, in a file that the runner maps too."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), CLOCK_BYTES)

    @property
    def value(self) -> float:
        """Seconds of the monotonic clock, 0 between calls."""
        return float(struct.unpack("d", self._memory[:8])[0])

    @value.setter
    def value(self, seconds: float) -> None:
        self._memory[:8] = struct.pack("d", seconds)

    @property
    def group(self) -> int:
        """The process group of a port that is a program, 0 while there is none."""
        return int(struct.unpack("q", self._memory[8:])[0])

    @group.setter
    def group(self, number: int) -> None:
        self._memory[8:] = struct.pack("q", number)

    def started(self, number: int) -> None:
        """Note the process group."""
        self.group = number


def own_streams() -> tuple[IO[str], IO[str]]:
    """Take stdin and stdout for the protocol and leave the port an empty input and stderr, whatever it prints or reads."""
    tasks, answers = os.fdopen(os.dup(0), "r"), os.fdopen(os.dup(1), "w", buffering=1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    return tasks, answers


def main(arguments: str) -> None:
    """Serve one port until the input ends."""
    tasks, answers = own_streams()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    given = json.loads(arguments)
    import properties  # noqa: F401  late: a port's own output must not reach the protocol
    from properties._claim import RECORDS, SENTENCES
    from properties._ports import PortError, load_port
    from properties._run import PROFILES

    def answer(**message: Any) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    clock = SharedClock(Path(given["clock"]))
    try:
        port = load_port(
            given["port"], settings=given["conventions"], patience=given["patience"], started=clock.started
        )  # fmt: skip
        ports = {dtype: port.using(dtype, given["device"]) for dtype in port.dtypes}
        widest = ports[port.dtypes[0]]
        offered = [name for name in RECORDS if widest.offers(name)]
    except PortError as error:
        answer(failed=str(error))
        return
    except Exception as error:
        answer(failed=f"port {given['port']} cannot be set up: {type(error).__name__}: {error}")
        return
    about = versions() | port.about
    answer(ready={"dtypes": port.dtypes, "operators": offered, "conventions": port.conventions, "versions": about})
    for line in tasks:
        task = json.loads(line)
        journal = Path(task["journal"]) if task["journal"] else None
        result = attempt(
            SENTENCES[task["claim"]], task["operator"], ports[task["dtype"]], PROFILES[given["profile"]],
            salt=given["salt"], clock=clock, journal=journal, failure=task["failure"],
        )  # fmt: skip
        answer(**result)


def attempt(*arguments: Any, failure: str, **keywords: Any) -> dict[str, Any]:
    """The verdict as a message; an exception here is the suite's own fault, never the port's."""
    from properties._replay import tried_again
    from properties._run import run

    try:
        return {"result": asdict(tried_again(failure, *arguments, **keywords) if failure else run(*arguments, **keywords))}
    except Exception as error:
        return {"broken": f"{arguments[0].name} for {arguments[1]}: {type(error).__name__}: {error}"}


def versions() -> dict[str, str]:
    """What a report should say about the machine and the packages."""
    found = {"python": platform.python_version(), "machine": platform.machine(), "system": platform.system()}
    for name in ("numpy", "scipy", "hypothesis", "mpmath", "torch", "jax", "rlax", "torchrl", "tensordict", "gymnasium"):
        if name == "gymnasium" or name in sys.modules:
            try:
                found[name] = metadata.version(name)
            except metadata.PackageNotFoundError:
                continue
    return found


if __name__ == "__main__":
    main(sys.argv[1])
