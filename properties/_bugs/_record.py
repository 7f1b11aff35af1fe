"""What an entry of the catalogue is, and the questions that tell one entry from another.

A bug is a function that behaves like the mistake. A probe is a question to an operator whose answer differs from bug to bug: its
inputs are distinct primes, so that a number that is out of its place is seen. No two bugs of an operator answer all of its
probes alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from properties._bounds import Floats
from properties._bugs._sightings import SIGHTINGS
from properties._claim import Call

Behaves = Callable[..., Any]


@dataclass(frozen=True)
class Bug:
    """A known mistake about one operator, in one line, and a NumPy function that makes it.

    mistake     what is wrong, as a slug; one mistake made in several operators has the same slug in each.
    seen        the keys of SIGHTINGS under which it is on record, separated by spaces; empty: nowhere in public.
    behaves     the operator as the mistake makes it; with `derivative`, the port's `gradient` without its first argument:
                (argument, *arguments, cotangent=None, **keywords), where the operator itself is right.
    """

    operator: str
    mistake: str
    story: str
    seen: str
    behaves: Behaves
    derivative: bool = False

    @property
    def id(self) -> str:
        """The operator and the mistake."""
        return f"{self.operator}/{self.mistake}"

    @property
    def links(self) -> tuple[str, ...]:
        """Where it was seen: addresses, or the printed page."""
        return tuple(SIGHTINGS[key] for key in self.seen.split())


class Slope(NamedTuple):
    """What is the derivative of this call, in one of its arguments?"""

    argument: int | str
    call: Call


class Life(NamedTuple):
    """What does an object answer to these (method, arguments) one after the other? An attribute is a method without a call."""

    making: Call
    steps: tuple[tuple[str, tuple[Any, ...]], ...]


class Draws(NamedTuple):
    """How are the answers to this call distributed? `features` makes numbers of one answer; `generator=` is added here."""

    call: Call
    features: Callable[[Any], Floats]
    seeds: int = 400


Probe = Call | Slope | Life | Draws


def probe(*arguments: Any, **keywords: Any) -> Call:
    """A question that is one call of the operator."""
    return Call(arguments, keywords)


def primes(*shape: int, after: int = 1) -> Floats:
    """The first distinct primes greater than `after`, as an array of that shape."""
    count, found, n = int(np.prod(shape)), list[int](), after
    while len(found) < count:
        n += 1
        if n > 1 and all(n % d for d in range(2, int(n**0.5) + 1)):
            found.append(n)
    return np.array(found, dtype=np.float64).reshape(shape)


def flags(text: str) -> Any:
    """ "0100 1" as an array of booleans; rows are separated by spaces where there are several."""
    rows = [[character == "1" for character in row] for row in text.split()]
    return np.array(rows if len(rows) > 1 else rows[0], dtype=bool)
