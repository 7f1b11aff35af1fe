"""A port that is a program of the standard library alone, whose every operator misbehaves in a way of its own.

It is started for every death anew: without NumPy that takes a fiftieth of a second.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import sys
import time
from collections.abc import Callable
from typing import Any

CODES = {"F64": "d", "F32": "f", "I64": "q", "BOOL": "?"}
Array = tuple[str, list[int], list[Any]]
"""Type, shape, entries."""
Arrays = dict[str, Array]


def read() -> tuple[dict[str, str], Arrays]:
    """The next message; the program ends where stdin does."""
    head = sys.stdin.buffer.read(8)
    if not head:
        sys.exit(0)
    data = sys.stdin.buffer.read(struct.unpack("<4sI", head)[1])
    size = int.from_bytes(data[:8], "little")
    header, payload = json.loads(data[8 : 8 + size]), data[8 + size :]
    texts = header.pop("__metadata__", {})
    arrays = {}
    for name, about in header.items():
        begin, end = about["data_offsets"]
        code = CODES[about["dtype"]]
        entries = struct.unpack(f"<{(end - begin) // struct.calcsize('<' + code)}{code}", payload[begin:end])
        arrays[name] = (about["dtype"], about["shape"], list(entries))
    return texts, arrays


def frame(texts: dict[str, str], results: list[Array]) -> bytes:
    """A message on its way; a type that is none is stored as the bytes of its text."""
    header: dict[str, Any] = {"__metadata__": texts}
    payload = b""
    for place, (dtype, shape, entries) in enumerate(results):
        code = CODES.get(dtype)
        data = struct.pack(f"<{len(entries)}{code}", *entries) if code else repr(entries).encode()
        header[str(place)] = {"dtype": dtype, "shape": shape, "data_offsets": [len(payload), len(payload) + len(data)]}
        payload += data
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    body = len(text).to_bytes(8, "little") + text + payload
    return struct.pack("<4sI", b"TSF1", len(body)) + body


def write(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def mapped(arrays: Arrays, name: str, function: Callable[[float], float]) -> Array:
    """Element by element."""
    dtype, shape, entries = arrays[name]
    return dtype, shape, [function(entry) for entry in entries]


def rows(arrays: Arrays, function: Callable[[list[float]], float]) -> Array:
    """Of every row of q."""
    dtype, shape, entries = arrays["q"]
    return dtype, shape[:-1], [function(entries[at : at + shape[-1]]) for at in range(0, len(entries), shape[-1])]


def leaning(arrays: Arrays, level: str, function: Callable[[float, float], float]) -> Array:
    """A loss of the error and the weight of its side."""
    (high,) = arrays[level][2]
    return mapped(arrays, "error", lambda u: function(1 - high if u < 0 else high, u))


RIGHT: dict[str, Callable[[Arrays], Array]] = {
    "max_aggregate": lambda arrays: rows(arrays, max),
    "mean_aggregate": lambda arrays: rows(arrays, lambda row: sum(row) / len(row)),
    "pinball_loss": lambda arrays: leaning(arrays, "quantile", lambda side, u: side * abs(u)),
    "expectile_loss": lambda arrays: leaning(arrays, "expectile", lambda side, u: side * (u * u)),
    "expectile_loss_gradient": lambda arrays: leaning(arrays, "expectile", lambda side, u: 2 * side * u),
}
"""What is computed in earnest; the others never come to that."""


def filled(arrays: Arrays, value: Any, dtype: str = "F64") -> Array:
    """One value in the shape of the first that there is of these arguments."""
    name = next(name for name in ("reward", "error", "q", "advantage", "values", "td_error") if name in arrays)
    _, shape, entries = arrays[name]
    return dtype, shape, [value] * len(entries)


def died(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(600)


def half(data: bytes, then: Callable[[], Any]) -> None:
    """The first half of a frame, and then something else."""
    write(data[: len(data) // 2])
    then()


class Late:
    """Answers with what the call before came to, under its own number or under that of the call."""

    def __init__(self, honest: bool) -> None:
        self.honest, self.before = honest, ({"call": "0"}, ("F64", [1], [0.5]))

    def __call__(self, number: dict[str, str], arrays: Arrays) -> None:
        (texts, result), self.before = self.before, (number, filled(arrays, float(number["call"])))
        write(frame({"status": "ok"} | (texts if self.honest else number), [result]))


def answers(*results: Callable[[Arrays], Array]) -> Callable[[dict[str, str], Arrays], None]:
    """A whole frame with these results."""
    return lambda number, arrays: write(frame({"status": "ok"} | number, [result(arrays) for result in results]))


def right(operator: str, before: Callable[[], Any] = lambda: None, after: Callable[[], Any] = lambda: None) -> Any:
    """The right answer, and what else happens."""

    def answer(number: dict[str, str], arrays: Arrays) -> None:
        before()
        answers(RIGHT[operator])(number, arrays)
        after()

    return answer


def in_pieces(number: dict[str, str], arrays: Arrays) -> None:
    """A right answer, a few bytes at a time."""
    data = frame({"status": "ok"} | number, [RIGHT["mean_aggregate"](arrays)])
    for at in range(0, len(data), 50):
        write(data[at : at + 50])
        time.sleep(0.0005)


def flood() -> None:
    sys.stderr.write("x" * 200_000 + "\n")
    sys.stderr.flush()


WHOLE = frame({"status": "ok"}, [("F64", [1], [0.5])])
BEHAVIOURS: dict[str, Callable[[dict[str, str], Arrays], None]] = {
    # right, if odd
    "max_aggregate": right("max_aggregate"),
    "mean_aggregate": in_pieces,
    "pinball_loss": right("pinball_loss", flood),
    "expectile_loss_gradient": right("expectile_loss_gradient", lambda: time.sleep(0.02)),
    # no answer
    "gae": lambda number, arrays: died(signal.SIGSEGV),
    "margin_returns": lambda number, arrays: os.abort(),
    "q_learning_target": lambda number, arrays: half(WHOLE, lambda: os._exit(0)),
    "sarsa_target": lambda number, arrays: time.sleep(600),
    "expected_sarsa_target": lambda number, arrays: half(WHOLE, lambda: time.sleep(600)),
    # no frame
    "discounted_returns": lambda number, arrays: write(b"gamma is 0.9\n" + WHOLE),
    "n_step_returns": lambda number, arrays: half(WHOLE, lambda: write(b"n is 3\n" + WHOLE[len(WHOLE) // 2 :])),
    "expectile_loss": right("expectile_loss", after=lambda: write(b"done\n")),
    "double_q_target": lambda number, arrays: write(b"TSF1\xff\xff\xff\xff"),
    "log_mean_exp": answers(lambda arrays: filled(arrays, "high", "STR")),
    # another's
    "exponential_weights": Late(honest=True),
    "normalized_weights": Late(honest=False),
    # wrong numbers
    "clipped_double_target": answers(lambda arrays: filled(arrays, float("nan"))),
    "soft_target": answers(lambda arrays: ("F64", [1, *filled(arrays, 0.0)[1]], filled(arrays, 0.0)[2])),
    "value_target": answers(lambda arrays: filled(arrays, 0.0, "F32")),
    "lambda_returns": answers(lambda arrays: filled(arrays, True, "BOOL")),
    "boltzmann": answers(lambda arrays: filled(arrays, 0, "I64")),
    "gaussian_entropy": answers(),
    "expectile": answers(lambda arrays: filled(arrays, 0.0), lambda arrays: filled(arrays, 0.0)),
}


def main() -> None:
    """Serve until stdin ends; the first word says what is done before the introduction."""
    if sys.argv[1:] == ["prints"]:
        write(b"loading the model ...\n")
    if sys.argv[1:] == ["exits"]:
        sys.exit("there is no model")
    while True:
        texts, arrays = read()
        if "touchstone" in texts:
            write(frame({"touchstone": "1", "name": "misbehaving", "operators": " ".join(BEHAVIOURS), "dtypes": "float64"}, []))
        else:
            BEHAVIOURS[texts["operator"]]({"call": texts["call"]}, arrays)


if __name__ == "__main__":
    main()
