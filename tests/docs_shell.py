"""A shell that lives as long as a page: what one command sets, the next one sees."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from pathlib import Path
from types import TracebackType

END = "==end-of-command=="


class Shell:
    """Runs commands one after the other; stdout and stderr come together."""

    def __init__(self, folder: Path, environment: dict[str, str], patience: float) -> None:
        self.patience = patience
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"], cwd=folder, env=environment, text=True, encoding="utf-8", errors="replace",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def run(self, command: str) -> tuple[int, str]:
        """The exit status and the output; it waits no longer than its patience."""
        assert self._bash.stdin is not None and self._bash.stdout is not None
        clock = threading.Timer(self.patience, self._end)
        clock.start()
        self._bash.stdin.write(f"{{\n{command}\n}} </dev/null\n__status=$?; printf '\\n{END} %d\\n' $__status; (exit $__status)\n")
        self._bash.stdin.flush()
        lines: list[str] = []
        for line in self._bash.stdout:
            if line.startswith(END):
                clock.cancel()
                return int(line.split()[1]), "".join(lines)[:-1]
            lines.append(line)
        clock.cancel()
        raise RuntimeError(f"the shell ended, or waited longer than {self.patience:g} s, in: {command}\n{''.join(lines)}")

    def _end(self) -> None:
        """Bash, and whatever it started."""
        os.killpg(self._bash.pid, signal.SIGKILL)

    @property
    def folder(self) -> Path:
        """Where it is now."""
        return Path(self.run("pwd")[1].strip())

    def __enter__(self) -> Shell:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        assert self._bash.stdin is not None and self._bash.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._bash.stdin.close()
        self._bash.wait(10)
        self._bash.stdout.close()
