"""How a set becomes files: all of them or none, and no id that ever meant something else."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from properties._frames import Message, packed
from properties._vectors import MANIFEST, SUFFIX, SUMS, BadSet, Vector, entry_of, tensors_of

STARTER = Path(__file__).resolve().parent / "vectors"
"""The set that comes with the package."""
IDS = "ids.txt"
"""Beside a set: every id that was ever published there, with its whole digest."""


def published(folder: Path = STARTER) -> dict[str, str]:
    """Every id on record with its digest."""
    path = folder / IDS
    return dict(line.split() for line in path.read_text(encoding="ascii").splitlines()) if path.is_file() else {}


def without_collisions(vectors: Sequence[Vector], known: Mapping[str, str]) -> dict[str, str]:
    """The ids on record and those of the vectors; BadSet where one id would mean two inputs."""
    found = dict(known)
    for vector in vectors:
        if found.setdefault(vector.id, vector.digest) != vector.digest:
            raise BadSet(f"{vector.id} must not be used again: it is {found[vector.id]}'s, and would be {vector.digest}'s")
    return found


def writable(folder: Path) -> None:
    """BadSet unless the folder is new, empty, or a set that may be replaced."""
    if folder.exists() and not folder.is_dir():
        raise BadSet(f"{folder} must be a folder")
    others = sorted(set(os.listdir(folder)) - _own_names(folder)) if folder.is_dir() else []
    if others:
        raise BadSet(f"{folder} must be empty, new, or a set of vectors and nothing else; it holds {', '.join(others[:3])}")


def _own_names(folder: Path) -> set[str]:
    """What a set that is already there consists of."""
    try:
        files = json.loads((folder / MANIFEST).read_bytes())["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    return {MANIFEST, SUMS, IDS, *files}


def write_set(folder: Path, vectors: Sequence[Vector], manifest: dict[str, Any], *, publish: bool = False) -> int:
    """Write beside the target, then rename; how many bytes the set has. `publish` adds the ids to those on record."""
    writable(folder)
    ids = without_collisions(vectors, published(folder) or published())
    folder = folder.resolve()
    files = {f"{operator}{SUFFIX}": data for operator, data in _payloads(vectors)}
    stated = {name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)} for name, data in files.items()}
    files[MANIFEST] = _text(manifest | {"files": stated, "vectors": [entry_of(vector) for vector in vectors]}).encode()
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    files[SUMS] = "".join(f"{full}  {name}\n" for name, full in sums.items()).encode()
    size = sum(map(len, files.values()))
    if publish or (folder / IDS).is_file():
        files[IDS] = "".join(f"{name} {full}\n" for name, full in sorted(ids.items())).encode()
    _replace(folder, files)
    return size


def _payloads(vectors: Sequence[Vector]) -> Iterator[tuple[str, bytes]]:
    for operator in dict.fromkeys(vector.operator for vector in vectors):
        mine = [vector for vector in vectors if vector.operator == operator]
        yield operator, packed(Message({}, {name: array for vector in mine for name, array in tensors_of(vector).items()}))


def _replace(folder: Path, files: Mapping[str, bytes]) -> None:
    """The old folder is there until the new one is complete, and again if that cannot take its place."""
    fresh = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    old = fresh.with_name(f"{fresh.name}.old")
    try:
        fresh.chmod(0o755)
        for name, data in files.items():
            (fresh / name).write_bytes(data)
        if folder.exists():
            os.replace(folder, old)
        os.replace(fresh, folder)
    except BaseException:
        if old.exists() and not folder.exists():
            os.replace(old, folder)
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _text(manifest: Mapping[str, Any]) -> str:
    """JSON with a line for each bug, file and vector, so that two manifests can be compared."""
    return "{\n" + ",\n".join(f"{json.dumps(key)}: {_lines(value)}" for key, value in manifest.items()) + "\n}\n"


def _lines(value: Any) -> str:
    if isinstance(value, dict):
        return "{\n" + ",\n".join(f"{json.dumps(key)}: {_line(item)}" for key, item in value.items()) + "\n}"
    if isinstance(value, list):
        return "[\n" + ",\n".join(_line(item) for item in value) + "\n]"
    return _line(value)


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
