"""The functions of a caller's that operators call: what they may do to what they are given, and in what they may answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from properties._bounds import rounded
from properties._claim import OPERATORS, Call, claim
from properties._trial import Trial

CONTRACT = "the operator contract"
CALLING = ("conjugate_gradient", "natural_step", "backtracking_search", "cross_entropy_search", "gradient_search")
PAIRS = ("backtracking_search", "gradient_search")
"""Those of which the function answers two things."""
GIVEN = {"data": st.data()}


class Overwriting(NamedTuple):
    """A function that spoils what it was given, after it has answered."""

    function: Callable[[Any], Any]

    def __call__(self, given: Any) -> Any:
        """The function's answer."""
        answer = self.function(given.copy())
        given[...] = np.nan
        return answer


class Listing(NamedTuple):
    """A function that answers a list where the other answers a tuple, and arrays without axes where that answers numbers."""

    function: Callable[[Any], Any]

    def __call__(self, given: Any) -> Any:
        """The function's answer."""
        return list(map(np.asarray, self.function(given)))


def _wrapped(call: Call, wrapper: Callable[[Any], Any]) -> Call:
    return call._replace(arguments=tuple(wrapper(a) if callable(a) else a for a in call.arguments))


@claim("functions", source=CONTRACT, operators=CALLING, given=GIVEN, share=0.25)
def a_function_may_overwrite_what_it_is_given(port: Trial, data: Any) -> None:
    """A function of the caller's gets copies: one that writes NaN over them is answered what one that does not is, bit for bit."""
    call = Call(*rounded(tuple(data.draw(OPERATORS[port.subject].inputs)), port.dtype))
    _same_answer(port, call, _wrapped(call, Overwriting), "what the function was given was used again")


@claim("functions", source=CONTRACT, operators=PAIRS, given=GIVEN, share=0.1)
def a_pair_may_be_a_list_of_arrays(port: Trial, data: Any) -> None:
    """A function that is to answer a pair may answer a list, and a number may be an array without axes."""
    call = Call(*rounded(tuple(data.draw(OPERATORS[port.subject].inputs)), port.dtype))
    _same_answer(port, call, _wrapped(call, Listing), "a list in place of a tuple gave another answer")


def _same_answer(port: Trial, one: Call, two: Call, what: str) -> None:
    for due, found in zip(port.result(one), port.result(two), strict=True):
        port.equal(np.asarray(found, dtype=np.float64), np.asarray(due, dtype=np.float64), 0.0, what)
