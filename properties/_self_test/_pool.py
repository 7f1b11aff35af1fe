"""The processes of a self-test, and what they say, as it comes."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from properties._runner import SuiteError

HOME = str(Path(__file__).resolve().parent.parent.parent)


def said(kind: str, jobs: int) -> Iterator[dict[str, Any]]:
    """The lines of `jobs` processes that share one kind of trial; SuiteError if one of them breaks."""
    inbox: queue.Queue[tuple[int, str]] = queue.Queue()
    processes = [_started(kind, share, jobs) for share in range(jobs)]
    try:
        for share, process in enumerate(processes):
            threading.Thread(target=_listen, args=(share, process, inbox), daemon=True).start()
        running = len(processes)
        while running:
            share, line = inbox.get()
            if line:
                yield json.loads(line)
                continue
            running -= 1
            if code := processes[share].wait():
                raise SuiteError(f"the self-test of {kind} broke ({code}): {_last_words(processes[share])}")
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def _started(kind: str, share: int, shares: int) -> subprocess.Popen[str]:
    single = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    path = os.pathsep.join(filter(None, [HOME, os.environ.get("PYTHONPATH", "")]))
    return subprocess.Popen(
        [sys.executable, "-m", "properties._self_test", kind, f"{share}/{shares}"], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | single | {"PYTHONPATH": path},
    )  # fmt: skip


def _listen(share: int, process: subprocess.Popen[str], inbox: queue.Queue[tuple[int, str]]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        inbox.put((share, line))
    inbox.put((share, ""))


def _last_words(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    return (process.stderr.read().strip().splitlines() or [""])[-1][:300]
