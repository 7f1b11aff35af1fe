"""Failures on disk, one file each: written whole or not at all, and read with a clear word about what is none."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

from properties._failure import Failure, file_name, unpacked_failure
from properties._report_files import atomically_bytes
from properties._run import FAILS, Result

LARGEST = 1 << 30
"""A file of more bytes is none of ours."""


def write_failures(folder: Path, results: Sequence[Result]) -> list[str]:
    """A file for each failure; the folder is made if it is not there. Returns their names."""
    failures = [result for result in results if result.verdict == FAILS and result.file]
    folder.mkdir(parents=True, exist_ok=True)
    names = [file_name(result.operator, result.claim, result.dtype) for result in failures]
    for name, result in zip(names, failures, strict=True):
        atomically_bytes(folder / name, base64.b64decode(result.file))
    return names


def read_failure(path: Path) -> Failure:
    """ValueError, with the path and what it lacks, for anything that is not such a file."""
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"it must have at most {LARGEST} bytes; got {path.stat().st_size}")
        return unpacked_failure(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be replayed: {error}") from error
