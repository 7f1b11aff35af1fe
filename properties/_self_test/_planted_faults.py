"""Put a fault into the running verifier: one function gets the code of its text with the fault in it."""

from __future__ import annotations

import ast
import functools
import importlib
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from properties._self_test._faults import Fault


@contextmanager
def planted(fault: Fault) -> Iterator[None]:
    """Inside the block the verifier has the fault, wherever the function was imported to."""
    module = importlib.import_module(f"properties.{fault.module}")
    function = _function(module, fault.function)
    sound = function.__code__
    function.__code__ = _changed(module, fault)
    try:
        yield
    finally:
        function.__code__ = sound


def _function(module: Any, name: str) -> FunctionType:
    """A function or method, under its decorators."""
    found: Any = functools.reduce(lambda holder, part: vars(holder)[part], name.split("."), module)
    found = found.fget if isinstance(found, property) else found
    while hasattr(found, "__wrapped__"):
        found = found.__wrapped__
    return found  # type: ignore[no-any-return]


def _changed(module: Any, fault: Fault) -> CodeType:
    """The function's code with the text changed; ValueError where the text is not there exactly once."""
    text = Path(module.__file__).read_text(encoding="utf-8")
    node: Any = ast.parse(text)
    for part in fault.function.split("."):
        node = next(child for child in node.body if getattr(child, "name", "") == part)
    node.decorator_list = []
    lines = text.splitlines()[node.lineno - 1 : node.end_lineno]
    source = textwrap.dedent("\n".join(lines))
    if source.count(fault.old) != 1:
        raise ValueError(f"the fault `{fault.story}` must find its text once in {fault.function}; got {source.count(fault.old)}")
    compiled = compile("from __future__ import annotations\n" + source.replace(fault.old, fault.new), module.__file__, "exec")
    name = fault.function.rpartition(".")[2]
    return next(c for c in compiled.co_consts if isinstance(c, CodeType) and c.co_name == name)
