"""The codec: what is drawn for every operator survives the journey, the bytes repeat, and nothing else is taken for a message."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from properties import OPERATORS
from properties._claim import Call, Seeded
from properties._frames import LARGEST, MARK, BadFrame, CannotTravel, Message, framed, packed, received, unpacked
from properties._functions import Raised, Tent
from properties._paste import as_python
from properties._wire import call_of, decoded, encoded, named, results_of

MESSAGE = Message(
    {"operator": "gae", "text:over": "été"}, {"0": np.array([1.5, -0.0, np.nan, np.inf]), "1": np.zeros((0, 3), bool)}
)


def told(data: bytes) -> Message:
    return received(io.BytesIO(data).read)


def same(one: Any, two: Any) -> bool:
    """Alike in kind, too; a NumPy scalar travels as an array without axes."""
    two = np.asarray(two) if isinstance(two, np.generic) else two
    if isinstance(one, np.ndarray):
        return isinstance(two, np.ndarray) and bool(
            one.dtype == two.dtype and one.shape == two.shape and one.tobytes() == two.tobytes()
        )
    if hasattr(one, "indptr"):
        return one.shape == two.shape and all(
            same(getattr(one, part), getattr(two, part)) for part in ("data", "indices", "indptr")
        )
    if isinstance(one, tuple):
        return type(one) is type(two) and all(same(a, b) for a, b in zip(one, two, strict=True))
    return type(one) is type(two) and bool(one == two or one != one)


@pytest.mark.parametrize("name", OPERATORS)
def test_every_drawn_call_survives_the_journey(name: str) -> None:
    seen: list[Call] = []

    @settings(max_examples=15, database=None, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
    @given(OPERATORS[name].inputs)
    def journey(call: Call) -> None:
        values = named(name, call)
        data = framed(encoded(values))
        back = decoded(told(data))
        assert back.keys() == values.keys() and all(same(back[key], value) for key, value in values.items())
        assert framed(encoded(back)) == data
        seen.append(call_of(name, back))

    journey()
    given_again = [call_of(name, named(name, call)) for call in seen]
    assert [as_python(name, call) for call in seen] == [as_python(name, call) for call in given_again]


def test_the_default_of_an_argument_travels_where_it_is_wanted() -> None:
    call = Call((np.ones(2),), {"temperature": 1.0})
    assert named("exponential_weights", call, defaults=True)["max_weight"] is None
    assert "max_weight" not in named("exponential_weights", call)


def test_kinds_of_values_keep_their_kind() -> None:
    tent = Tent(np.ones(2), 1.0, np.inf, 2.0, 0.5)
    values = {
        "b": True, "i": -3, "f": float("nan"), "s": "", "n": None, "z": np.float32(0.5), "g": Seeded(7), "t": Raised(tent, 0.25),
    }  # fmt: skip
    back = decoded(told(framed(encoded(values))))
    assert back.keys() == values.keys()
    assert all(same(back[key], value) for key, value in values.items())


def test_the_same_message_gives_the_same_bytes_in_any_order() -> None:
    texts, arrays = ({str(i): "x" for i in order} for order in (range(40), range(39, -1, -1))), {"a": np.arange(3)}
    assert len({packed(Message(each, arrays)) for each in texts}) == 1


def test_a_message_is_what_the_safetensors_library_reads() -> None:
    from safetensors.numpy import load

    found = load(packed(MESSAGE))
    assert all(same(found[name], array) for name, array in MESSAGE.arrays.items())
    assert told(framed(MESSAGE)).texts == MESSAGE.texts


def test_a_reader_that_is_behind_finds_the_next_frame() -> None:
    pipe = io.BytesIO(framed(MESSAGE) + framed(Message()))
    assert received(pipe.read).texts == MESSAGE.texts and received(pipe.read) == Message()
    with pytest.raises(EOFError):
        received(pipe.read)


@pytest.mark.parametrize(
    "data",
    [
        b"hello, world\n",
        b"hi",
        struct.pack("<4sI", MARK, LARGEST + 1),
        struct.pack("<4sI", MARK, 9) + b"too short",
        framed(MESSAGE)[:-1],
        framed(MESSAGE)[:5],
        struct.pack("<4sI", MARK, 0),
        struct.pack("<4sI", MARK, 16) + (2**60).to_bytes(8, "little") + b"{}      ",
        struct.pack("<4sI", MARK, 10) + (2).to_bytes(8, "little") + b"[]",
        struct.pack("<4sI", MARK, 10) + (2).to_bytes(8, "little") + b"\xff\xfe",
    ],
)
def test_whatever_is_no_frame_is_seen_as_such(data: bytes) -> None:
    with pytest.raises(BadFrame):
        told(data)


def test_no_truncation_is_taken_for_a_message() -> None:
    data = packed(MESSAGE)
    for size in range(len(data)):
        with pytest.raises(BadFrame):
            unpacked(data[:size])


@pytest.mark.parametrize("value", [np.array(["a"]), np.array([1j]), np.array([None])])
def test_arrays_of_other_things_cannot_travel(value: Any) -> None:
    with pytest.raises(CannotTravel, match="reward"):
        packed(encoded({"reward": value}))


@pytest.mark.parametrize("value", [(), [1.0], object(), 2**70])
def test_other_values_cannot_travel(value: Any) -> None:
    with pytest.raises(CannotTravel, match="discount"):
        encoded({"discount": value})


def test_a_call_with_unknown_arguments_cannot_travel() -> None:
    with pytest.raises(CannotTravel, match="gae"):
        named("gae", Call((np.ones(1),), {"gamma": 0.9}))


def test_results_are_numbered() -> None:
    assert list(results_of((np.ones(2), 3, True))) == ["0", "1", "2"] and results_of(np.ones(2))["0"].shape == (2,)


def test_an_absurd_length_is_never_read() -> None:
    asked: list[int] = []
    head = io.BytesIO(struct.pack("<4sI", MARK, LARGEST + 1))
    with pytest.raises(BadFrame, match="no frame"):
        received(lambda size: asked.append(size) or head.read(size))  # type: ignore[func-returns-value]
    assert asked == [8]
