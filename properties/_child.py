"""A program at the other end of three pipes: started, asked under a deadline, and ended, whatever it does."""

from __future__ import annotations

import os
import selectors
import shlex
import signal
import subprocess
import time
import weakref
from collections.abc import Callable
from contextlib import suppress

from properties._claim import Died
from properties._frames import LARGEST, MARK, BadFrame, Message, framed, unpacked

HEAD = len(MARK) + 4
CHUNK = 1 << 18
"""So many bytes are read at once."""
TICK = 0.2
"""Seconds after which a silent program is looked at: it may be dead, and a program of its own hold the pipe."""
SETTLING = 0.002
"""Seconds after a trial's last answer in which more output is looked for."""
GRACE = 1.0
"""Seconds that a program has to exit after its input is closed."""
REMEMBERED = 4096
"""So much of what it says on stderr is kept, the end of it."""
SHOWN = 40
"""So many bytes are shown of what is no frame."""


class Child:
    """One program: `ask` sends a message and waits for the next one. Whatever it does amiss ends it and raises Died.

    started  is told the program's process group, which is its own, and 0 once that is gone.
    """

    def __init__(self, words: list[str], started: Callable[[int], None]) -> None:
        self._words, self._started = words, started
        self._process: subprocess.Popen[bytes] | None = None
        self._inbox, self._said = bytearray(), bytearray()

    @property
    def alive(self) -> bool:
        """Whether there is one to be asked."""
        return self._process is not None

    def start(self) -> None:
        """A new process; OSError if there is no such program, or none that can be run."""
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(self._words, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0, process_group=0)
        self._started(self._process.pid)
        self._inbox.clear()
        self._said.clear()
        ends = (self._process.stdin, self._process.stdout, self._process.stderr)
        self._pipes = tuple(end.fileno() for end in ends if end is not None)
        self._selector = selectors.DefaultSelector()
        for number in self._pipes:
            os.set_blocking(number, False)
        for number in self._pipes[1:]:
            self._selector.register(number, selectors.EVENT_READ)
        self._end = weakref.finalize(self, _ended, self._process, self._selector, self._started)

    def end(self) -> None:
        """Close its input, wait for a moment, and kill what is left of it."""
        if self._process is not None:
            self._end()
            self._process = None

    def kill(self) -> None:
        """End it at once, with what it has started."""
        if self._process is not None:
            _killed(self._process)
            self.end()

    def ask(self, message: Message, deadline: float, patience: float) -> Message:
        """The message that comes next; Died if none does by the deadline, `patience` seconds after the call began."""
        try:
            self._listened()
            return self._exchanged(memoryview(framed(message)), deadline)
        except EOFError:
            raise self.died(f"crashes: the program {self._cause()}{self._quoted()}") from None
        except TimeoutError:
            raise self.died(f"hangs: a call did not return within {patience:g} s{self._quoted()}") from None
        except BadFrame as garbage:
            raise self.died(f"writes to stdout {garbage}") from garbage

    def settled(self) -> None:
        """Died if it has written what was not asked for; one that is gone is noticed when it is asked."""
        if self._process is None:
            return
        self._selector.select(SETTLING)
        try:
            self._listened()
        except BadFrame as garbage:
            raise self.died(f"writes to stdout {garbage}") from garbage
        except EOFError:
            return

    def died(self, how: str) -> Died:
        """What to raise after a violation, of which no more can come of this process."""
        self.kill()
        return Died(how)

    # ------------------------------------------------------------------------------------------------------------- pipes
    def _listened(self) -> None:
        """Nothing may have been written before anything is asked: it would be taken for the answer."""
        self._drained(self._pipes[1])
        if self._inbox:
            raise BadFrame(f"what was not asked for; it begins with {bytes(self._inbox[:SHOWN])!r}")

    def _exchanged(self, outgoing: memoryview, deadline: float) -> Message:
        """Write and read in turns, as far as the pipes take and give, so that neither side waits for the other."""
        outgoing = self._written(outgoing)
        if outgoing:
            self._selector.register(self._pipes[0], selectors.EVENT_WRITE)
        answer = None
        while answer is None or outgoing:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            ready = {key.fd for key, _ in self._selector.select(min(left, TICK))}
            if not ready and self._process is not None and self._process.poll() is not None:
                raise EOFError
            if self._pipes[2] in ready:
                self._overheard()
            if self._pipes[0] in ready:
                outgoing = self._written(outgoing)
                if not outgoing:
                    self._selector.unregister(self._pipes[0])
            if self._pipes[1] in ready:
                self._drained(self._pipes[1])
            answer = answer or self._message()
        return answer

    def _written(self, outgoing: memoryview) -> memoryview:
        """What is left to be written; nothing, if it reads no more, for it may have answered all the same."""
        with suppress(BlockingIOError):
            try:
                while outgoing:
                    outgoing = outgoing[os.write(self._pipes[0], outgoing) :]
            except BrokenPipeError:
                return outgoing[:0]
        return outgoing

    def _drained(self, pipe: int) -> None:
        with suppress(BlockingIOError):
            read = os.read(pipe, CHUNK)
            self._inbox += read
            if not read:
                raise EOFError

    def _overheard(self) -> None:
        """The end of what it says on stderr."""
        with suppress(BlockingIOError):
            read = os.read(self._pipes[2], CHUNK)
            if not read:
                self._selector.unregister(self._pipes[2])
            self._said = (self._said + read)[-REMEMBERED:]

    def _message(self) -> Message | None:
        """The message at the front of what has come; None before its end."""
        mark = bytes(self._inbox[: len(MARK)])
        size = int.from_bytes(self._inbox[len(MARK) : HEAD], "little")
        if not MARK.startswith(mark) or size > LARGEST:
            raise BadFrame(f"what is no frame; it begins with {bytes(self._inbox[:SHOWN])!r}")
        if len(self._inbox) < HEAD or len(self._inbox) < HEAD + size:
            return None
        data = bytes(self._inbox[HEAD : HEAD + size])
        del self._inbox[: HEAD + size]
        try:
            return unpacked(data)
        except BadFrame as error:
            raise BadFrame(f"a frame that holds no message: {error}") from error

    # ------------------------------------------------------------------------------------------------------------- words
    def _cause(self) -> str:
        assert self._process is not None
        with suppress(subprocess.TimeoutExpired):
            return f"died, {cause(self._process.wait(GRACE))}"
        return "closed its output"

    def _quoted(self) -> str:
        """The last line on stderr, if any."""
        end = time.monotonic() + TICK
        while self._pipes[2] in self._selector.get_map() and time.monotonic() < end:
            if self._selector.select(0.0) == []:
                break
            self._overheard()
        lines = self._said.decode(errors="replace").strip().splitlines()
        return f"; {lines[-1][:200]}" if lines else ""


def cause(code: int) -> str:
    """How a process ended, by its exit status as Python has it."""
    if code >= 0:
        return f"exit status {code}"
    names = {int(each): f" ({each.name})" for each in signal.Signals}
    return f"signal {-code}{names.get(-code, '')}"


def end_group(group: int) -> None:
    """Kill a process group, if it is still there."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _killed(process: subprocess.Popen[bytes]) -> None:
    end_group(process.pid)
    process.wait()


def _ended(process: subprocess.Popen[bytes], selector: selectors.BaseSelector, started: Callable[[int], None]) -> None:
    """Gently, if it lets itself be."""
    selector.close()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE)
    _killed(process)
    started(0)


def words_of(command: str) -> list[str]:
    """The words of a command line, as a shell would split them; ValueError if it has quotes left open, or no words."""
    words = shlex.split(command)
    if not words:
        raise ValueError("no program is named")
    return words
