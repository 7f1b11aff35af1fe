"""An agent's configuration from its defaults, a named preset, and single fields given as text."""

import ast
import dataclasses
import difflib
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any


def configured(agent: Any, preset: str, overrides: Iterable[str], fallback: Mapping[str, object] | None = None) -> Any:
    """The agent's Config: its defaults, then `fallback` (what the run implies), then the preset, then `key=value` texts.

    raises  ValueError for an unknown preset or key, a value of another type, or one that the Config refuses
    """
    if preset not in agent.PRESETS:
        raise ValueError(f"the preset of {agent.NAME} must be one of {', '.join(agent.PRESETS)}; got {preset!r}")
    fields = {field.name for field in dataclasses.fields(agent.Config)}
    implied = {key: value for key, value in (fallback or {}).items() if key in fields}
    given = dict(implied) | dict(agent.PRESETS[preset])
    for text in overrides:
        key, value = assignment(agent, text)
        given[key] = value
    return agent.Config(**given)


def assignment(agent: Any, text: str) -> tuple[str, Any]:
    """A field's name and its value from `key=value`."""
    key, equals, value = text.partition("=")
    hints = typing.get_type_hints(agent.Config)
    if not equals or key not in hints:
        near = difflib.get_close_matches(key, hints, n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; its keys are {', '.join(hints)}"
        raise ValueError(f"--set takes KEY=VALUE with a key of {agent.NAME}'s configuration; got {text!r}{hint}")
    return key, typed(key, value, hints[key])


def typed(key: str, text: str, hint: Any) -> Any:
    """The text as a value of the annotated type: true/false, numbers, words, lists as `256,256`, or none."""
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union else (hint,)
    if types.NoneType in options and text.lower() == "none":
        return None
    for option in options:
        found = _as(option, text)
        if found is not None:
            return found
    names = " or ".join(getattr(option, "__name__", str(option)) for option in options)
    raise ValueError(f"{key} must be {names}; got {text!r}")


def _as(option: Any, text: str) -> Any:
    """The value, or None where the text is none of this type."""
    if option is bool:
        return {"true": True, "false": False}.get(text.lower())
    if option is str:
        return text
    if typing.get_origin(option) is tuple:
        inner = typing.get_args(option)[0]
        parts = [part for part in text.strip("()[] ").split(",") if part.strip()]
        values = tuple(_as(inner, part.strip()) for part in parts)
        return None if any(value is None for value in values) else values
    if option in (int, float):
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return option(value) if option is float or float(value).is_integer() else None
    return None


def told(config: Any) -> dict[str, Any]:
    """The configuration as JSON takes it."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in dataclasses.asdict(config).items()}


def presets(agent: Any) -> list[tuple[str, str]]:
    """Each preset, what it changes from the defaults, and what the agent's NOTES warn of."""
    notes = getattr(agent, "NOTES", {})
    found = []
    for name, changes in agent.PRESETS.items():
        told = ", ".join(f"{key}={value}" for key, value in changes.items()) or "the defaults"
        found.append((name, f"{told}; {notes[name]}" if name in notes else told))
    return found
