"""The claims that all operators share: port = reference, in value and gradient, and the manners of the contract."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis import target

import reference
from properties._bad_inputs import PROBABILITIES, Bad, bad_calls
from properties._bounds import UNIT, rounded
from properties._claim import OPERATORS, Call, Declined, Refuted, claim
from properties._trial import Trial, first, travelling, widened

CONTRACT = "the operator contract"
EVERY = tuple(name for name, record in OPERATORS.items() if not record.stateful)
COMPARED = tuple(name for name, record in OPERATORS.items() if record.compared)
ALL = tuple(OPERATORS)
PLACES = st.lists(st.integers(0, 2**16), min_size=1, max_size=4)
OBJECTS = tuple(name for name, record in OPERATORS.items() if record.stateful)
BATCHED = tuple(name for name, record in OPERATORS.items() if record.batched)
CHANCES = {
    name: [i for i, p in enumerate(inspect.signature(getattr(reference, name)).parameters) if {p, f"{name}.{p}"} & {*PROBABILITIES}]
    for name in EVERY
}
"""Where an operator takes probabilities."""


GIVEN = {"data": st.data()}


def _draw(port: Trial, data: Any) -> Call:
    """A valid call of the subject, rounded to the port's dtype."""
    call: Call = data.draw(OPERATORS[port.subject].inputs)
    return Call(*rounded(tuple(call), port.dtype))


def _due(port: Trial, call: Call) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The reference's results that have a bound, and how far an implementation's may be from them."""
    due = port.reference(call)
    bound, own = port.error(port.subject, due, *call.arguments, **call.keywords), port.reference_error(due, call)
    if isinstance(bound, tuple):
        return due, tuple(b + o for b, o in zip(bound, own, strict=True))
    return (first(due),), (bound + own,)


def _whole(port: Trial, call: Call) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The port's own results that have a bound, and the bounds."""
    value, error = port(port.subject, *call.arguments, **call.keywords)
    return (value, error) if isinstance(error, tuple) else ((value,), (error,))


def _results(answer: Any, many: int) -> tuple[Any, ...]:
    """As many of an answer's results as have a bound."""
    return tuple(answer)[:many] if isinstance(answer, tuple) else (answer,)


@claim("agreement", source=CONTRACT, operators=COMPARED, given=GIVEN, share=0.5, every_dtype=True)
def port_equals_reference(port: Trial, data: Any) -> None:
    """The port's result is the reference's, within the rounding that the operator may show in the port's dtype."""
    call = _draw(port, data)
    answer = port.result(call)
    due, bounds = _due(port, call)
    ratio = 0.0
    for found, wanted, bound in zip(_results(answer, len(due)), due, bounds, strict=True):
        port.equal(found, wanted, bound)
        ratio = max(ratio, port.last_ratio)
    target(ratio, label="error / bound")


@claim("agreement", source=CONTRACT, operators=OBJECTS, given=GIVEN, share=0.5)
def an_object_equals_the_references_object(port: Trial, data: Any) -> None:
    """After the same updates the port's object has the total and finds the indices that the reference's has and finds, exactly:
    priorities and masses are multiples of 2^-30 below 16, whose sums do not round, whatever huge ones were stored before."""
    call = _draw(port, data)
    size = int(call.arguments[0])
    held, due = getattr(port, port.subject)(*call.arguments), getattr(reference, port.subject)(*call.arguments)
    port.equal(np.asarray(len(held)), np.asarray(len(due)), 0.0, "the length")
    for flood in data.draw(st.lists(st.booleans(), min_size=1, max_size=4)):
        if flood:
            held.update(np.arange(size), np.full(size, 2.0**60))
        index = np.concatenate([np.arange(size) if flood else np.arange(0), data.draw(PLACES)]).astype(np.int64) % size
        parts = np.random.default_rng(data.draw(st.integers(0, 2**16))).integers(0, 2**34, len(index))
        for each in (held, due):
            each.update(index, parts * 2.0**-30)
        port.equal(held.value_of("total"), np.asarray(due.total), 0.0, "the total")
        masses = np.floor(np.arange(32) / 32 * due.total * 2**30) / 2**30
        port.equal(held.find(masses), due.find(masses), 0.0, "what is found")


@claim("agreement", source=CONTRACT, operators=EVERY, given=GIVEN, share=0.1, every_dtype=True)
def dtype_is_kept(port: Trial, data: Any) -> None:
    """float64 in, float64 out; float32 in, float32 out; bfloat16 (travelling as float32) holds bfloat16 values only; what is drawn
    from a finite set comes as integers. Of every result that is an array."""
    call = _draw(port, data)
    answer = port.bare(Call(*travelling(tuple(call), port.port.native)))
    due = port.reference(call)
    floats = any(isinstance(a, np.ndarray) and a.dtype.kind == "f" for a in call.arguments)
    for place, (found, wanted) in enumerate(zip(_parts(answer), _parts(due), strict=True)):
        if place == 0 or isinstance(found, np.ndarray):
            _of_one_dtype(port, np.asarray(found), np.asarray(wanted).dtype.kind, floats)


def _parts(answer: Any) -> tuple[Any, ...]:
    return tuple(answer) if isinstance(answer, tuple) else (answer,)


def _of_one_dtype(port: Trial, result: Any, kind: str, floats: bool) -> None:
    if kind == "i":
        port.holds(result.dtype.kind == "i", f"the result must be integers; got {result.dtype}")
    if kind in "ib" or not floats:
        return
    if result.dtype.kind != "f":
        raise Refuted(f"the result must be floating; got {result.dtype}")
    port.holds(result.dtype == port.port.native, f"the result must be {np.dtype(port.port.native)}; got {result.dtype}")
    if port.dtype == "bfloat16":
        wide = widened(result)
        port.equal(wide, rounded(wide, "bfloat16"), 0.0, "every value must be a bfloat16 value")


@claim("agreement", source=CONTRACT, operators=BATCHED, given=GIVEN, share=0.5)
def rows_of_a_batch_are_independent(port: Trial, data: Any) -> None:
    """Each row of a batch gets what it gets alone, and permuting the rows permutes the result."""
    call = _draw(port, data)
    own = _own(port.subject, call)
    lead = np.ndim(call.arguments[own.index(True)]) - OPERATORS[port.subject].core
    if lead == 0:
        return
    wholes, slacks = _whole(port, call)
    size = wholes[0].shape[0]
    order = np.arange(size)[::-1]
    if size > 1:
        turned = _results(port.result(_rows(call, own, order, size)), len(wholes))
        for found, whole, slack in zip(turned, wholes, slacks, strict=True):
            port.equal(found, whole[order], 2 * slack[order], "rows reversed")
    alone = _results(port.result(_rows(call, own, np.array([size - 1]), size)), len(wholes))
    for found, whole, slack in zip(alone, wholes, slacks, strict=True):
        port.equal(found, whole[-1:], 2 * slack[-1:], "the last row alone")


def _own(name: str, call: Call) -> list[bool]:
    """Which positional arguments have batch axes: all but the shared ones and the functions."""
    parameters = inspect.signature(getattr(reference, name)).parameters
    pairs = zip(parameters, call.arguments, strict=False)
    return [parameter not in OPERATORS[name].shared and not callable(value) for parameter, value in pairs]


def _rows(call: Call, own: list[bool], chosen: Any, size: int) -> Call:
    """The call restricted to some rows of its first axis."""

    def pick(value: Any) -> Any:
        return value[chosen] if isinstance(value, np.ndarray) and value.ndim and value.shape[0] == size else value

    shapes = {np.shape(a) for a, mine in zip(call.arguments, own, strict=True) if mine}
    keywords = {k: pick(v) if np.shape(v) in shapes else v for k, v in call.keywords.items()}
    return Call(tuple(pick(a) if mine else a for a, mine in zip(call.arguments, own, strict=True)), keywords)


@claim("agreement", source=CONTRACT, operators=COMPARED, given=GIVEN, share=0.25)
def memory_layout_changes_nothing(port: Trial, data: Any) -> None:
    """Strided, transposed and reversed views give what contiguous arrays give."""
    call = _draw(port, data)
    dues, slacks = _whole(port, call)
    for view in (_every_second, _transposed, _reversed):
        answer = _results(widened(port.bare(_mapped(call, view, port.port.native))), len(dues))
        for found, due, slack in zip(answer, dues, slacks, strict=True):
            port.equal(found, due, 2 * slack, f"{view.__name__.strip('_')} views")


def _every_second(array: Any) -> Any:
    wide = np.empty((*array.shape[:-1], 2 * array.shape[-1]), dtype=array.dtype)
    wide[..., ::2], wide[..., 1::2] = array, np.ones((), dtype=array.dtype)
    return wide[..., ::2]


def _transposed(array: Any) -> Any:
    return np.ascontiguousarray(array.T).T


def _reversed(array: Any) -> Any:
    return np.ascontiguousarray(array[..., ::-1])[..., ::-1]


def _mapped(call: Call, view: Any, native: Any) -> Call:
    """The call with every array that has an axis replaced by a view of another layout."""
    moving = travelling(tuple(call), native)

    def change(value: Any) -> Any:
        return view(value) if isinstance(value, np.ndarray) and value.ndim else value

    return Call(tuple(change(a) for a in moving[0]), {k: change(v) for k, v in moving[1].items()})


@claim("agreement", source=CONTRACT, operators=EVERY, given=GIVEN, share=0.25)
def arguments_are_left_alone_and_answers_repeat(port: Trial, data: Any) -> None:
    """After a call every input is bit-identical, and the same call gives the same answer again, bit for bit."""
    call = _draw(port, data)
    moving, again = (Call(*travelling(tuple(call), port.port.native)) for _ in range(2))
    before = [a.copy() if isinstance(a, np.ndarray) else a for a in (*moving.arguments, *moving.keywords.values())]
    once = np.array(first(port.bare(moving)), copy=True)
    for name, was, now in zip(_names(port.subject, call), before, (*moving.arguments, *moving.keywords.values()), strict=True):
        if isinstance(was, np.ndarray):
            port.holds(was.tobytes() == now.tobytes(), f"{name} was written to", found=now, due=was)
    second = np.asarray(first(port.bare(again)))
    port.holds(once.tobytes() == second.tobytes(), "the same call gave another answer", found=second, due=once)


def _names(operator: str, call: Call) -> list[str]:
    return [f"argument {i} of {operator}" for i in range(len(call.arguments))] + list(call.keywords)


@claim("agreement", source=CONTRACT, operators=ALL, given=GIVEN, share=0.1)
def bad_input_is_rejected(port: Trial, data: Any) -> None:
    """A wrong shape, dtype or range, NaN, or probabilities that do not sum to 1 raise ValueError instead of giving numbers."""
    for bad, answer in _spoilt(port, data):
        port.holds(isinstance(answer, ValueError), f"{bad.rule}: must raise ValueError; {_what_happened(answer)}")


@claim("agreement", source=CONTRACT, operators=ALL, given=GIVEN, share=0.1)
def rejections_name_rule_value_and_place(port: Trial, data: Any) -> None:
    """The message of a rejection names the argument, shows the value found (for an element, its index), and says the rule."""
    for bad, answer in _spoilt(port, data):
        if not isinstance(answer, ValueError):
            continue
        text = str(answer)
        port.holds(
            re.search(rf"\b{bad.name}\b", text) is not None,
            f"{bad.rule}: the message must name {bad.name}; got {text!r}",
        )
        port.holds(bad.value in text, f"{bad.rule}: the message must show {bad.value}; got {text!r}")
        port.holds("must" in text, f"{bad.rule}: the message must say what must hold; got {text!r}")


@claim(
    "agreement", source=CONTRACT, operators=tuple(name for name in EVERY if CHANCES[name]), given=GIVEN, share=0.1, every_dtype=True
)
def probabilities_may_miss_one_by_rounding(port: Trial, data: Any) -> None:
    """A row of n probabilities may miss 1 by n + 1 unit roundoffs of its type, as normalising n numbers may, above and below.

    The sums tried are exact in every order: whole roundoffs below 1, even numbers of them above.
    """
    call = _draw(port, data)
    for place in CHANCES[port.subject]:
        rows = call.arguments[place]
        most = rows.shape[-1] + 1
        for roundoffs in (-most, 2 * (most // 2)):
            changed = _with_sum(rows, roundoffs * UNIT[port.dtype])
            answer = port.outcome(call._replace(arguments=(*call.arguments[:place], changed, *call.arguments[place + 1 :])))
            what = f"a row of {most - 1} that sums to 1 {roundoffs:+} roundoffs is of probabilities"
            port.holds(not isinstance(answer, BaseException), f"{what}; {_what_happened(answer)}")


def _with_sum(rows: Any, excess: float) -> Any:
    """The last row replaced by two halves (of a sparse matrix, in entries that it has), the first of them more by the excess."""
    if hasattr(rows, "indptr"):
        data = np.concatenate([rows.data[: rows.indptr[-2]], _with_sum(rows.data[rows.indptr[-2] :], excess)])
        return type(rows)((data, rows.indices, rows.indptr), shape=rows.shape)
    changed = rows.copy()
    row = changed.reshape(-1, rows.shape[-1])[-1]
    row[:] = 0.0
    row[-1] = 0.5
    row[0] += 0.5 + excess
    return changed


def _spoilt(port: Trial, data: Any) -> Iterator[tuple[Bad, Any]]:
    """Every bad call that is made of a valid one, and what becomes of it; of a valid one that the port does not decline."""
    call = _draw(port, data)
    if OPERATORS[port.subject].compared:
        port.result(call)
    for bad in bad_calls(port.subject, call):
        try:
            answer = port.outcome(bad.call)
        except Declined:
            continue
        yield bad, answer


def _what_happened(answer: Any) -> str:
    if isinstance(answer, BaseException):
        return f"raised {type(answer).__name__}: {answer}"
    return f"answered {np.array2string(np.asarray(first(answer)), threshold=8)}"
