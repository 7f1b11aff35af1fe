"""A folder of answers to a set of vectors, made by `--check-vectors` for a port, or by anybody for anything.

For each operator `<operator>.safetensors`: tensors `<id>/<dtype>/<result>`; in its metadata, where there is none, the text
`<id>/<dtype>` says why: `declined: ...` for a call that is not taken, anything else for one that went wrong. answers.json, which
may be absent, says {"name": ..., "conventions": {"ties": "first"}}.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from properties._conventions import declared
from properties._frames import BadFrame, unpacked
from properties._vectors import SUFFIX

ABOUT = "answers.json"
DECLINED, UNASKED = "declined: ", "not asked: "
"""How the text begins where a port does not take a call, and where it was not put to it."""


class BadAnswers(ValueError):
    """A folder that is none of answers; the text names the file."""


class Key(NamedTuple):
    """Which vector in which type."""

    id: str
    dtype: str

    def __str__(self) -> str:
        return f"{self.id}/{self.dtype}"


@dataclass(frozen=True)
class Answers:
    """What was answered: results by their place, or a text in their stead."""

    results: Mapping[str, Mapping[Key, Mapping[str, NDArray[Any]]]]
    texts: Mapping[str, Mapping[Key, str]]
    name: str = ""
    conventions: Mapping[str, str] = field(default_factory=dict)
    stray: tuple[str, ...] = ()

    def offers(self, operator: str, dtype: str) -> bool:
        """Whether anything is said about this operator in this type."""
        said = [*self.results.get(operator, {}), *self.texts.get(operator, {})]
        return any(key.dtype == dtype for key in said)


def read_answers(folder: Path) -> Answers:
    """The answers of a folder; BadAnswers where a file is none."""
    if not folder.is_dir():
        raise BadAnswers(f"{folder} must be a folder of answers")
    results: dict[str, dict[Key, dict[str, NDArray[Any]]]] = {}
    texts: dict[str, dict[Key, str]] = {}
    stray: list[str] = []
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            message = unpacked(path.read_bytes())
        except (BadFrame, OSError) as error:
            raise BadAnswers(f"{path}: {error}") from error
        mine = results.setdefault(path.stem, {})
        for name, array in message.arrays.items():
            parts = name.split("/")
            if len(parts) == 3:
                mine.setdefault(Key(parts[0], parts[1]), {})[parts[2]] = array
            else:
                stray.append(f"{path.name}: {name} must be called <id>/<dtype>/<result>")
        said = {name: text for name, text in message.texts.items() if name.count("/") == 1}
        texts[path.stem] = {Key(*name.split("/")): text for name, text in said.items()}
    about = _about(folder / ABOUT)
    return Answers(results, texts, str(about.get("name", folder)), _conventions(folder, about), tuple(stray))


def _about(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        said = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BadAnswers(f"{path}: must be JSON: {error}") from error
    if not isinstance(said, dict):
        raise BadAnswers(f"{path}: must be an object; got {type(said).__name__}")
    return said


def _conventions(folder: Path, about: Mapping[str, Any]) -> dict[str, str]:
    found = about.get("conventions", {})
    try:
        declared(found)
    except (ValueError, TypeError, AttributeError) as error:
        raise BadAnswers(f"{folder / ABOUT}: {error}") from error
    return dict(found)
