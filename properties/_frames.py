"""Frames: one codec for golden vectors, failure files, and the conversation with a port that is another program.

A message is named arrays and named texts. It is stored as safetensors, the texts as its metadata; on a pipe the same bytes follow
eight more, the mark `TSF1` and their length as a little-endian 32-bit number, so that anything else on the pipe is seen as such.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

MARK = b"TSF1"
LARGEST = 1 << 30
"""A frame holds at most so many bytes."""
_HEAD = struct.Struct("<4sI")


class BadFrame(ValueError):
    """Bytes that are no frame, or no message; the text says what they look like."""


class CannotTravel(TypeError):
    """A value that no message can carry; the text names it."""


@dataclass(frozen=True)
class Message:
    """Named texts and named arrays."""

    texts: dict[str, str] = field(default_factory=dict)
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)


def packed(message: Message) -> bytes:
    """The message as the bytes of a safetensors file; the same message gives the same bytes."""
    for name, array in message.arrays.items():
        if array.dtype.kind not in "fiub":
            raise CannotTravel(f"{name} must hold real numbers or booleans; got {array.dtype}")
    arrays = {name: np.array(message.arrays[name], order="C") for name in sorted(message.arrays)}
    return _repeatable(save(arrays, message.texts or None))


def _repeatable(data: bytes) -> bytes:
    """The same file with its header's entries in alphabetical order: the library leaves the order of texts open."""
    size = int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8 : 8 + size]), sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[8 + size :]


def unpacked(data: bytes) -> Message:
    """The message of these bytes; BadFrame where they are no safetensors file."""
    try:
        arrays = load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise BadFrame(f"a message must be a safetensors file: {error}") from error
    return Message(dict(header.get("__metadata__", {})), arrays)


def framed(message: Message) -> bytes:
    """The message as it goes down a pipe."""
    data = packed(message)
    if len(data) > LARGEST:
        raise CannotTravel(f"a message must be at most {LARGEST} bytes; got {len(data)}")
    return _HEAD.pack(MARK, len(data)) + data


def received(read: Callable[[int], bytes]) -> Message:
    """The next message of a pipe, `read(n)` giving exactly n bytes (fewer at its end): EOFError at a clean end."""
    head = read(_HEAD.size)
    if not head:
        raise EOFError("the pipe is closed")
    mark, size = _HEAD.unpack(head.ljust(_HEAD.size, b"\0"))
    if mark != MARK or size > LARGEST:
        raise BadFrame(f"what came is no frame; it begins with {head!r}")
    data = read(size)
    if len(data) < size:
        raise BadFrame(f"a frame of {size} bytes broke off after {len(data)}")
    return unpacked(data)
