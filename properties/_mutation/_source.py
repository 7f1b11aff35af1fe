"""The source of a package of operators: its functions, what a mutant of one is, and its text."""

from __future__ import annotations

import ast
import importlib
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple

PACKAGE = "accelerated"
UNMUTATED = ("__init__", "port")
"""The doors of the package, which hold no operator."""
BESIDE = ("one_device", "check_values", "values_are_checked", "_bicgstab")
"""Functions about which no claim can say anything: there is one device, a port has no way to leave its checks out, and what the
iterative solver proposes is judged by its residual: a bad proposal costs time, and plain backups take its place."""


class Function(NamedTuple):
    """One function or method of the package, as its source has it."""

    module: str
    name: str
    tree: ast.FunctionDef
    path: Path


@dataclass(frozen=True)
class Mutant:
    """One mistake in one function; `code` is None where it does not compile or cannot take the place of the sound code."""

    key: str
    module: str
    function: str
    line: int
    kind: str
    change: str
    file: str
    code: CodeType | None

    @property
    def place(self) -> str:
        """File and line."""
        return f"{self.file}:{self.line}"


def functions(package: str = PACKAGE) -> list[Function]:
    """The module-level functions, and the methods of module-level classes."""
    found = []
    for path in sorted(_folder(package).glob("*.py")):
        if path.stem in UNMUTATED:
            continue
        module = f"{package}.{path.stem}"
        for node in ast.parse(path.read_text()).body:
            inside = node.body if isinstance(node, ast.ClassDef) else [node]
            prefix = f"{node.name}." if isinstance(node, ast.ClassDef) else ""
            found += [
                Function(module, prefix + f.name, f, path)
                for f in inside
                if isinstance(f, ast.FunctionDef) and f.name not in BESIDE
            ]
    return found


def _folder(package: str) -> Path:
    return Path(str(importlib.import_module(package).__file__)).parent


def canonical(node: Any) -> str:
    """The tree as text, the same under every Python: without positions, annotations, docstrings and empty fields."""
    if isinstance(node, list):
        return "[" + ",".join(map(canonical, node)) + "]"
    if not isinstance(node, ast.AST):
        return repr(node)
    parts = []
    for name, value in ast.iter_fields(node):
        if value is None or value == [] or name in ("ctx", "annotation", "returns", "kind", "type_comment"):
            continue
        body = name == "body" and isinstance(node, ast.FunctionDef) and ast.get_docstring(node) is not None
        parts.append(f"{name}={canonical(value[1:] if body else value)}")
    return f"{type(node).__name__}({','.join(parts)})"
