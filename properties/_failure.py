"""A failure as bytes: the claim, what was tried, and every call of the smallest counterexample, complete; what --replay reads."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from importlib import metadata
from typing import Any

import hypothesis
import numpy as np

import reference
from properties._claim import Call, Refuted
from properties._frames import BadFrame, CannotTravel, Message, packed, unpacked
from properties._stateful import HELD, history
from properties._wire import call_of, decoded, encoded, named

FORM = "1"
"""Of this kind of file."""
MOST_CALLS = 200
LARGEST_CALL = 1 << 24
"""A call of more bytes is left out."""
NEEDED = ("claim", "operator", "dtype", "port", "seed", "profile")


@dataclass(frozen=True)
class Failure:
    """One failed trial: of what, how it was found, and what was found.

    part   which of the claim's examples it is one of: "main", "machine", or "table NAME"
    blob   Hypothesis' own name of that example, good for one version of it
    calls  what was called, by the name that a report prints
    """

    claim: str
    operator: str
    dtype: str
    port: str
    seed: int
    profile: str
    device: str = "cpu"
    detail: str = ""
    part: str = ""
    blob: str = ""
    touchstone: str = ""
    hypothesis: str = hypothesis.__version__
    left_out: str = ""
    calls: tuple[tuple[str, Call], ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)

    def packed(self) -> bytes:
        """As a message; the calls and values that none can hold are left out, which it says."""
        texts = {each.name: str(getattr(self, each.name)) for each in fields(self) if each.name not in ("calls", "values")}
        lost, arrays, calls = [], _numeric(self.values), history(list(self.calls), MOST_CALLS)
        if len(self.calls) > len(calls):
            lost.append(f"the first {len(self.calls) - len(calls)} of {len(self.calls)} calls")
        for place, (name, call) in enumerate(calls):
            prefix = f"call{place}"
            texts[prefix] = name
            try:
                parts = _encoded(self.operator, name, call)
            except CannotTravel as error:
                lost.append(f"{prefix}: {error}")
                continue
            texts |= {f"{prefix}/{key}": text for key, text in parts.texts.items()}
            arrays |= {f"{prefix}/{key}": array for key, array in parts.arrays.items()}
        texts |= {"failure": FORM, "touchstone": _version(), "left_out": "; ".join(lost)}
        return packed(Message(texts, arrays))


def unpacked_failure(data: bytes) -> Failure:
    """ValueError where the bytes are none."""
    try:
        message = unpacked(data)
    except BadFrame as error:
        raise ValueError(f"it must hold a failure: {error}") from error
    texts = message.texts
    missing = [name for name in NEEDED if name not in texts]
    if texts.get("failure") != FORM or missing:
        lacks = f"; it lacks {', '.join(missing)}" if missing else ""
        raise ValueError(f"it must hold a failure, with the text failure: {FORM!r}; got {texts.get('failure', 'none')!r}{lacks}")
    if not texts["seed"].isdigit():
        raise ValueError(f"its seed must be a whole number; got {texts['seed']!r}")
    known = {each.name: texts[each.name] for each in fields(Failure) if each.name in texts} | {"seed": int(texts["seed"])}
    values = {name: array for name, array in message.arrays.items() if "/" not in name}
    try:
        calls = tuple(_calls(message))
    except (KeyError, ValueError, TypeError) as error:
        raise ValueError(f"its calls must be complete; got {type(error).__name__}: {error}") from error
    return Failure(**known, calls=calls, values=values)  # type: ignore[arg-type]  # its texts are the fields of type str


def file_name(operator: str, claim: str, dtype: str) -> str:
    """What the file of a failure is called."""
    return f"{operator}-{claim}-{dtype}.safetensors"


def failure_of(refuted: Refuted, calls: Sequence[tuple[str, Call]], **known: Any) -> Failure:
    """What is known of a refutation."""
    sides = {name: getattr(refuted, name) for name in ("found", "due", "bound")}
    return Failure(**known, detail=refuted.text, calls=tuple(calls), values=sides)


# ---------------------------------------------------------------------------------------------------------------- calls
def _encoded(operator: str, name: str, call: Call) -> Message:
    """One call: of an operator or a derivative by the contract's names, of an object by position."""
    if name == "gradient":
        _, argument, *rest = call.arguments
        weight = {key: value for key, value in call.keywords.items() if key == "cotangent"}
        keywords = {key: value for key, value in call.keywords.items() if key != "cotangent"}
        message = encoded(named(operator, Call(tuple(rest), keywords)) | weight)
        texts = {**message.texts, "argument": str(argument)}
    elif name.startswith(f"{HELD}."):
        message = encoded({str(place): value for place, value in enumerate(call.arguments)} | call.keywords)
        texts = message.texts
    else:
        message = encoded(named(operator, call))
        texts = message.texts
    if len(packed(Message({}, message.arrays))) > LARGEST_CALL:
        raise CannotTravel(f"its arrays have more than {LARGEST_CALL} bytes")
    return Message(texts, message.arrays)


def _calls(message: Message) -> list[tuple[str, Call]]:
    """The calls, those that were left out excepted."""
    calls: list[tuple[str, Call]] = []
    for place in range(MOST_CALLS + 1):
        prefix = f"call{place}/"
        texts = {key.removeprefix(prefix): text for key, text in message.texts.items() if key.startswith(prefix)}
        arrays = {key.removeprefix(prefix): array for key, array in message.arrays.items() if key.startswith(prefix)}
        if texts or arrays:
            values = decoded(Message(texts, arrays))
            calls.append((message.texts[f"call{place}"], _call(message.texts, message.texts[f"call{place}"], values, texts)))
    return calls


def _call(head: Mapping[str, str], name: str, values: dict[str, Any], texts: Mapping[str, str]) -> Call:
    if name.startswith(f"{HELD}."):
        return Call(tuple(values[str(place)] for place in range(len(values))), {})
    call = call_of(head["operator"], values)
    if name != "gradient":
        return call
    argument: int | str = int(texts["argument"]) if texts["argument"].isdigit() else texts["argument"]
    weight = {"cotangent": values["cotangent"]} if "cotangent" in values else {}
    return Call((head["operator"], argument, *call.arguments), call.keywords | weight)


def callable_as_stored(operator: str, name: str, call: Call) -> bool:
    """Whether a stored call is one of the operator itself, with all that it needs (a function of no known kind is not stored)."""
    try:
        return name == operator and set(named(operator, call)) >= set(_required(operator))
    except CannotTravel:
        return False


def _required(operator: str) -> list[str]:
    return [p.name for p in inspect.signature(getattr(reference, operator)).parameters.values() if p.default is p.empty]


def _numeric(values: Mapping[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """Those that are numbers, as arrays; fractions as the nearest floats."""
    found: dict[str, np.ndarray[Any, Any]] = {}
    for name, value in values.items():
        if value is None or isinstance(value, tuple):
            continue
        try:
            array = np.asarray(value)
            found[name] = array.astype(np.float64) if array.dtype == object else array
        except (TypeError, ValueError):
            continue
    return {name: array for name, array in found.items() if array.dtype.kind in "fiub"}


def _version() -> str:
    try:
        return metadata.version("touchstone")
    except metadata.PackageNotFoundError:
        return "not installed"
