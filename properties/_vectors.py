"""Golden vectors: calls with their right answers as files, so that a port in any language is tried without this package.

A set is a folder: manifest.json says what each vector is, `<operator>.safetensors` holds its numbers, SHA256SUMS is what
`sha256sum -c` reads. docs/vectors.md is the format's description, and says all that a checker must do.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from properties._bounds import Floats
from properties._claim import Call
from properties._frames import BadFrame, Message, packed, unpacked
from properties._wire import LISTS, TEXT, call_of, decoded, encoded, named

FORMAT, VERSION = "touchstone golden vectors", 1
MANIFEST, SUMS, SUFFIX = "manifest.json", "SHA256SUMS", ".safetensors"
SHORT = 12
"""So many hexadecimal digits of a digest make an id."""
ROUNDED, REFERENCE = "correctly rounded", "reference"
"""Where an expected value comes from: exact arithmetic, or the float64 reference, whose own error the bound then includes."""


PROBE = "probe"
"""The flag of a vector that is one of the catalogue's own questions."""


class BadSet(ValueError):
    """A folder that is no sound set of vectors; the text names the file and what is wrong with it."""


@dataclass(frozen=True, eq=False)
class Vector:
    """One call, its right answer, and how far from it an answer may be in each type in which the inputs are exact.

    due           the results that have a bound: float64, or integers or booleans.
    bounds        dtype -> one array a result, of its shape.
    not_under     declared conventions, `key=value`, under which the vector does not apply.
    tells_apart   bug -> how far its answer is from the right one, in units of the bound, for each of `dtypes`; infinite for
                  another shape, NaN, or an exception; 0 where it is not told.
    flags         what is special about the inputs.
    is_probe      it is one of the catalogue's own questions.
    """

    operator: str
    call: Call
    due: tuple[NDArray[Any], ...]
    bounds: Mapping[str, tuple[Floats, ...]]
    origin: str
    not_under: tuple[str, ...] = ()
    tells_apart: Mapping[str, tuple[float, ...]] | None = None
    flags: tuple[str, ...] = ()
    is_probe: bool = False

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The types for which it is meant, widest first."""
        return tuple(self.bounds)

    @cached_property
    def id(self) -> str:
        """The operator and the beginning of the digest."""
        return identity(self.operator, self.digest)

    @cached_property
    def digest(self) -> str:
        """Of the operator and its inputs, every bit of them."""
        return digest(self.operator, self.call)


def digest(operator: str, call: Call) -> str:
    """SHA-256 of the operator's name, a zero byte, and the inputs as a message."""
    data = packed(encoded(named(operator, call, defaults=True)))
    return hashlib.sha256(operator.encode() + b"\0" + data).hexdigest()


def identity(operator: str, full: str) -> str:
    """The id of a vector with this digest."""
    return f"{operator}-{full[:SHORT]}"


# -------------------------------------------------------------------------------------------------------------- one vector
def tensors_of(vector: Vector) -> dict[str, NDArray[Any]]:
    """`<id>/in/<argument>`, `<id>/out/<result>`, `<id>/bound/<dtype>/<result>`."""
    inputs = encoded(named(vector.operator, vector.call, defaults=True)).arrays
    arrays = {f"in/{name}": array for name, array in inputs.items()}
    arrays |= {f"out/{place}": value for place, value in enumerate(vector.due)}
    for dtype, bounds in vector.bounds.items():
        arrays |= {f"bound/{dtype}/{place}": bound for place, bound in enumerate(bounds)}
    return {f"{vector.id}/{name}": np.asarray(array) for name, array in arrays.items()}


def entry_of(vector: Vector) -> dict[str, Any]:
    """What the manifest says about it."""
    values = named(vector.operator, vector.call, defaults=True)
    message = encoded(values)
    numbers = {name: _number(message.arrays[name]) for name in message.texts.get("numbers", "").split()}
    told = {bug: [_written(size) for size in sizes] for bug, sizes in (vector.tells_apart or {}).items()}
    return {
        "id": vector.id, "sha256": vector.digest, "operator": vector.operator, "arguments": list(values),
        "numbers": numbers, "texts": message.texts, "results": len(vector.due), "dtypes": list(vector.dtypes),
        "origin": vector.origin, "not_under": list(vector.not_under), "flags": list(vector.flags), "tells_apart": told,
    }  # fmt: skip


def _number(array: NDArray[Any]) -> dict[str, str]:
    """In decimal for people, and bit by bit."""
    value = array.item()
    if array.dtype.kind == "f":
        return {"decimal": repr(value), "f64": struct.pack(">d", value).hex()}
    return {"decimal": str(value).lower()}


def _written(size: float) -> float | None:
    """Three digits; JSON knows no infinity."""
    return float(f"{size:.3g}") if np.isfinite(size) else None


def vector_of(entry: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Vector:
    """The vector of a manifest's entry and its file's tensors; BadSet where it is not the one that its id says."""
    mine = {name.removeprefix(entry["id"] + "/"): array for name, array in arrays.items() if name.startswith(entry["id"] + "/")}
    texts = {name: text for name, text in entry["texts"].items() if name in LISTS or name.startswith(TEXT)}
    inputs = {name.removeprefix("in/"): array for name, array in mine.items() if name.startswith("in/")}
    places = range(entry["results"])
    try:
        call = call_of(entry["operator"], decoded(Message(texts, inputs)))
        due = tuple(mine[f"out/{place}"] for place in places)
        bounds = {dtype: tuple(mine[f"bound/{dtype}/{place}"] for place in places) for dtype in entry["dtypes"]}
    except KeyError as missing:
        raise BadSet(f"{entry['operator']}{SUFFIX}: {entry['id']} must have {missing.args[0]}") from missing
    told = {bug: tuple(np.inf if size is None else size for size in sizes) for bug, sizes in entry["tells_apart"].items()}
    vector = Vector(
        entry["operator"], call, due, bounds, entry["origin"], tuple(entry["not_under"]), told, tuple(entry["flags"]),
        PROBE in entry["flags"],
    )  # fmt: skip
    if vector.digest != entry["sha256"] or vector.id != entry["id"]:
        raise BadSet(f"{entry['operator']}{SUFFIX}: the inputs of {entry['id']} must be those of its id; they are {vector.id}'s")
    return vector


# ------------------------------------------------------------------------------------------------------------------- a set
@dataclass(frozen=True)
class GoldenSet:
    """The vectors of a folder, and its manifest."""

    vectors: tuple[Vector, ...]
    manifest: Mapping[str, Any]

    @property
    def operators(self) -> tuple[str, ...]:
        """In the contract's order."""
        return tuple(dict.fromkeys(vector.operator for vector in self.vectors))

    def of(self, operator: str) -> tuple[Vector, ...]:
        """The vectors of one operator."""
        return tuple(vector for vector in self.vectors if vector.operator == operator)


def read_set(folder: Path) -> GoldenSet:
    """A set, every byte of it checked; BadSet names what is damaged."""
    manifest = _manifest(folder)
    arrays: dict[str, Mapping[str, NDArray[Any]]] = {}
    for name, stated in manifest["files"].items():
        data = _bytes(folder, name)
        if hashlib.sha256(data).hexdigest() != stated["sha256"]:
            raise BadSet(f"{folder / name}: its SHA-256 must be {stated['sha256']}; got {hashlib.sha256(data).hexdigest()}")
        try:
            arrays[name.removesuffix(SUFFIX)] = unpacked(data).arrays
        except BadFrame as error:
            raise BadSet(f"{folder / name}: {error}") from error
    return GoldenSet(tuple(vector_of(entry, arrays[entry["operator"]]) for entry in manifest["vectors"]), manifest)


def _manifest(folder: Path) -> dict[str, Any]:
    """What manifest.json says, once SHA256SUMS says that it is whole."""
    data, sums = _bytes(folder, MANIFEST), _bytes(folder, SUMS).decode("ascii", "replace")
    stated = {name: full for full, _, name in (line.partition("  ") for line in sums.splitlines())}
    if stated.get(MANIFEST) != hashlib.sha256(data).hexdigest():
        found = hashlib.sha256(data).hexdigest()
        raise BadSet(f"{folder / MANIFEST}: its SHA-256 must be {stated.get(MANIFEST)}; got {found}")
    try:
        manifest: dict[str, Any] = json.loads(data)
    except ValueError as error:
        raise BadSet(f"{folder / MANIFEST}: must be JSON: {error}") from error
    if (manifest.get("format"), manifest.get("version")) != (FORMAT, VERSION):
        raise BadSet(f"{folder / MANIFEST}: must be {FORMAT}, version {VERSION}; got {manifest.get('format')}, "
                     f"{manifest.get('version')}")  # fmt: skip
    if stated != {MANIFEST: stated[MANIFEST]} | {name: file["sha256"] for name, file in manifest["files"].items()}:
        raise BadSet(f"{folder / SUMS}: must list {MANIFEST} and its files, with the sums that it states")
    return manifest


def _bytes(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise BadSet(f"{folder / name}: {error.strerror or error}") from error
