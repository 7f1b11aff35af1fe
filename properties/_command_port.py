"""A port that is another program: what it said when it was started, and its operators as functions that ask it over its pipes.

The protocol is that of docs/protocol.md; what a message looks like is in _wire.py. The program is started once and serves every
call; after a death, a hang or an answer that is none it is started again, and that call is refuted (Died).
"""

from __future__ import annotations

import inspect
import re
import time
import typing
import weakref
from collections.abc import Callable, Mapping
from functools import cache, partial
from types import SimpleNamespace
from typing import Any

import numpy as np

import reference
from properties._child import Child, words_of
from properties._claim import OPERATORS, Call, Died, NotAsked, Refuted
from properties._frames import CannotTravel, Message
from properties._ports import COMMAND, KNOWN_DTYPES, PortError
from properties._wire import encoded, named, results_of

VERSION = "1"
"""Of the protocol."""
START_SECONDS = 100.0
"""Seconds that the program may take until it has introduced itself; fewer than the runner gives a port to import."""
OBJECTS = ("sum_tree",)


class CommandPort:
    """What _ports.Port asks of a module: DTYPES, CONVENTIONS, ABOUT, and `on`; PortError if the program is none that can be asked.

    patience   seconds that one call may take, functions of the caller's included
    started    is told the program's process group, and 0 once that is gone
    """

    def __init__(self, command: str, patience: float, started: Callable[[int], None]) -> None:
        self.name = COMMAND + command
        self._patience, self._number, self._lives = patience, 0, 0
        self._forgotten: list[tuple[int, str]] = []
        try:
            self._child = Child(words_of(command), started)
            said = self._start().texts
        except (ValueError, OSError) as error:
            raise PortError(f"port {self.name} cannot be started: {error}") from error
        except Died as died:
            raise PortError(f"port {self.name} did not introduce itself: {died}") from died
        self.OPERATORS = self._known("operators", said, OPERATORS)
        self.GRADIENTS = self._known("gradients", said, self.OPERATORS)
        self.DTYPES = self._known("dtypes", {"dtypes": "float64"} | said, KNOWN_DTYPES)
        self.CONVENTIONS = self._pairs("conventions", said)
        self.ABOUT = {"port": said.get("name", "")} | {f"port {k}": v for k, v in self._pairs("versions", said).items()}
        self.ABOUT |= {f"port {key}": said[key] for key in ("deterministic", "accumulates") if key in said}

    # ---------------------------------------------------------------------------------------------------- introductions
    def _start(self) -> Message:
        """A new process, and its answer to the first message."""
        self._child.start()
        self._lives += 1
        greeting = Message({"touchstone": VERSION})
        said = self._child.ask(greeting, time.monotonic() + START_SECONDS, START_SECONDS)
        if said.texts.get("touchstone") != VERSION:
            got = said.texts.get("touchstone", "none")
            raise self._child.died(f"the first answer must say touchstone: {VERSION!r}; got {got!r}")
        return said

    def _known(self, what: str, said: Mapping[str, str], known: typing.Iterable[str]) -> tuple[str, ...]:
        names = tuple(said.get(what, "").split())
        unknown = [name for name in names if name not in known]
        if unknown:
            rule = "be of the contract" if what == "operators" else f"be of {', '.join(known)}"
            self._refuse(f"{what} must {rule}; got {', '.join(unknown)}")
        if not names and what != "gradients":
            self._refuse(f"its introduction must name {what}")
        return names

    def _pairs(self, what: str, said: Mapping[str, str]) -> dict[str, str]:
        """`key=value key=value`; a value may hold spaces."""
        text = said.get(what, "").strip()
        if text and not re.match(r"\S+=", text):
            self._refuse(f"{what} must be key=value; got {text!r}")
        return {key: value.strip() for key, value in re.findall(r"([^\s=]+)=(.*?)(?=\s[^\s=]+=|$)", text)}

    def _refuse(self, why: str) -> None:
        self._child.kill()
        raise PortError(f"port {self.name}: {why}")

    # -------------------------------------------------------------------------------------------------------- operators
    def on(self, *, dtype: str, device: str) -> SimpleNamespace:
        """The operators in that dtype on that device, which the program is told with each call."""
        where = {"dtype": dtype, "device": device}
        operators = {name: partial(self._called, where, name) for name in self.OPERATORS if name not in OBJECTS}
        operators |= {name: partial(_Tree, self, where) for name in self.OPERATORS if name in OBJECTS}
        if self.GRADIENTS:
            operators["gradient"] = partial(self._sloped, where)
        return SimpleNamespace(**operators)

    def _called(self, where: dict[str, str], operator: str, *arguments: Any, **keywords: Any) -> Any:
        """One call of an operator."""
        return self._results(operator, self.answer({"operator": operator} | where, _arguments(operator, arguments, keywords)))

    def _sloped(
        self, where: dict[str, str], operator: str, argument: int | str, *arguments: Any, cotangent: Any = None, **keywords: Any
    ) -> Any:
        """One derivative: `argument` is a position or a keyword's name."""
        if operator not in self.GRADIENTS:
            raise NotImplementedError(f"no derivative of {operator}")
        name = list(inspect.signature(getattr(reference, operator)).parameters)[argument] if isinstance(argument, int) else argument
        weight = {} if cotangent is None else {"cotangent": cotangent}
        asked = {"operator": operator, "gradient": name} | where
        return self._results("", self.answer(asked, _arguments(operator, arguments, keywords) | weight))

    def _results(self, operator: str, answer: Message) -> Any:
        """The results as the contract has them: one or a tuple, numbers where the reference has numbers."""
        names = [str(place) for place in range(len(answer.arrays))]
        if not names or set(names) != set(answer.arrays):
            got = ", ".join(sorted(answer.arrays)) or "none"
            raise self._child.died(f"writes to stdout a frame that is no answer: results must be called 0, 1, ...; got {got}")
        numbers = _numbers(operator)
        arrays = [answer.arrays[name] for name in names]
        results = tuple(each.item() if i in numbers and each.ndim == 0 else each for i, each in enumerate(arrays))
        return results if len(results) > 1 else results[0]

    # ------------------------------------------------------------------------------------------------------------ calls
    def answer(self, asked: Mapping[str, str], values: Mapping[str, Any]) -> Message:
        """What the program answers to one request: its results, or the exception that it asks to be raised."""
        message = _encoded(values)
        request = Message({**message.texts, **asked}, message.arrays)
        self._revive()
        while self._forgotten:
            life, handle = self._forgotten.pop()
            if life == self._lives:
                self._exchanged(Message({"operator": OBJECTS[0], "object": handle, "method": "forget"}), {})
        return self._granted(self._exchanged(request, values))

    def forget(self, life: int, handle: str) -> None:
        """An object is not needed any more; the program is told before the next call."""
        self._forgotten.append((life, handle))

    def settled(self) -> None:
        """Died if the program wrote more than it was asked for: what it says after a call is that call's."""
        self._child.settled()

    @property
    def lives(self) -> int:
        """How often the program has been started; an object does not outlive it."""
        return self._lives

    def _revive(self) -> None:
        if self._child.alive:
            return
        try:
            self._start()
        except (Died, OSError) as error:
            raise Died(f"crashes: the program could not be started again: {error}") from error

    def _exchanged(self, request: Message, values: Mapping[str, Any]) -> Message:
        """Send a request and answer what the program asks until it answers, all of it within one patience."""
        deadline = time.monotonic() + self._patience
        self._number += 1
        number, lost, message = {"call": str(self._number)}, None, request
        while True:
            said = self._child.ask(Message({**message.texts, **number}, message.arrays), deadline, self._patience)
            if said.texts.get("call", number["call"]) != number["call"]:
                got = f"it is to call {said.texts['call']}, where call {number['call']} was made"
                raise self._child.died(f"writes to stdout another call's answer: {got}")
            if "ask" not in said.texts:
                break
            message, error = self._told(values, said)
            lost = lost or error
        if lost is not None:
            raise lost
        return said

    def _told(self, values: Mapping[str, Any], said: Message) -> tuple[Message, Exception | None]:
        """A function of the caller's answers; and what the call comes to if that answer cannot be sent."""
        name = said.texts["ask"]
        if not callable(values.get(name)):
            raise self._child.died(f"writes to stdout a frame that is no answer: the call has no function {name!r} to be asked")
        given = [said.arrays[str(place)] for place in range(len(said.arrays)) if str(place) in said.arrays]
        try:
            answer = values[name](*given)
            results = results_of(tuple(answer) if isinstance(answer, list) else answer)
            _sendable(name, results)
            return Message({"status": "ok"}, results), None
        except CannotTravel as error:
            return _failed(error), NotAsked(f"what {name} answered: {error}")
        except Refuted as refuted:
            return _failed(refuted), refuted
        except Exception as error:
            return _failed(error), None
        except BaseException:
            self._child.kill()
            raise

    def _granted(self, said: Message) -> Message:
        status, why = said.texts.get("status", ""), said.texts.get("message", "")
        if status == "ok":
            return said
        if status == "refused":
            raise ValueError(why)
        if status == "declined":
            raise NotImplementedError(why)
        if status == "error":
            raise _exception(said.texts.get("type", "RuntimeError"))(why)
        rule = "status must be ok, refused, declined or error"
        raise self._child.died(f"writes to stdout a frame that is no answer: {rule}; got {status or 'none'}")


class _Tree:
    """The program's sum tree, by its handle."""

    def __init__(self, port: CommandPort, where: dict[str, str], *arguments: Any, **keywords: Any) -> None:
        self._port, self._where = port, where | {"operator": "sum_tree"}
        said = port.answer(self._where, _arguments("sum_tree", arguments, keywords))
        if "object" not in said.texts:
            raise Died("writes to stdout a frame that is no answer: sum_tree must be answered by an object")
        self._handle, self._life = said.texts["object"], port.lives
        weakref.finalize(self, port.forget, self._life, self._handle).atexit = False

    def _asked(self, method: str, **arguments: Any) -> Message:
        """One call of a method; its arguments are called 0, 1, ..."""
        if self._port.lives != self._life:
            raise Died("crashes: the program died, and its sum_tree with it")
        values = {str(i): np.asarray(v) if isinstance(v, list | tuple) else v for i, v in enumerate(arguments.values())}
        try:
            return self._port.answer(self._where | {"object": self._handle, "method": method}, values)
        except NotAsked as error:
            raise NotAsked(f"{method} of {', '.join(arguments)}: {error}") from error

    def _number(self, method: str) -> Any:
        said = self._asked(method)
        if set(said.arrays) != {"0"}:
            raise ValueError(f"{method} must be answered by one result; got {len(said.arrays)}")
        return said.arrays["0"]

    def update(self, index: Any, priority: Any) -> None:
        """Set priorities."""
        self._asked("update", index=index, priority=priority)

    def find(self, mass: Any) -> Any:
        """The index of each mass."""
        said = self._asked("find", mass=mass)
        return said.arrays.get("0")

    @property
    def total(self) -> Any:
        """The sum of the priorities."""
        return self._number("total")

    def __len__(self) -> int:
        return int(self._number("len"))


def _arguments(operator: str, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> dict[str, Any]:
    """By the contract's names, defaults included."""
    try:
        return named(operator, Call(arguments, keywords), defaults=True)
    except CannotTravel as error:
        raise NotAsked(str(error)) from error


def _encoded(values: Mapping[str, Any]) -> Message:
    try:
        message = encoded(values)
        _sendable("", message.arrays)
    except CannotTravel as error:
        raise NotAsked(str(error)) from error
    return message


def _sendable(owner: str, arrays: Mapping[str, Any]) -> None:
    """CannotTravel unless a message can hold these arrays."""
    for name, array in arrays.items():
        if array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
            raise CannotTravel(f"{owner or name} must hold real numbers or booleans; got {array.dtype}")


def _failed(error: Exception) -> Message:
    return Message({"status": "error", "type": type(error).__name__, "message": str(error)})


@cache
def _numbers(operator: str) -> frozenset[int]:
    """At which places the reference's results are numbers, not arrays."""
    if not operator:
        return frozenset()
    result = typing.get_type_hints(getattr(reference, operator)).get("return")
    fields = typing.get_type_hints(result) if hasattr(result, "_fields") else {}
    return frozenset(place for place, kind in enumerate(fields.values()) if kind in (bool, int, float))


@cache
def _exception(name: str) -> type[RuntimeError]:
    """An exception of this name, none of those that mean something."""
    return type(name if name.isidentifier() else "RuntimeError", (RuntimeError,), {})
