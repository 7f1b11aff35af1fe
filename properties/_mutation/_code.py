"""Compiling one function alone, and putting its code in place of the sound one: every reference to the function meets it."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import CodeType
from typing import Any

from properties._mutation._source import Function, Mutant


def compiled(function: Function) -> CodeType | None:
    """The function's code alone, its lines those of the file."""
    tree = function.tree
    alone = ast.FunctionDef(tree.name, _unannotated(tree.args), tree.body, [], None, None)
    alone.type_params = []  # type: ignore[attr-defined,unused-ignore]  # since Python 3.12
    module = ast.Module([ast.copy_location(alone, tree)], [])
    for node in ast.walk(module):
        if isinstance(node, (ast.stmt, ast.expr, ast.keyword, ast.arg)) and not hasattr(node, "lineno"):
            ast.copy_location(node, tree)
            node.lineno, node.end_lineno, node.col_offset, node.end_col_offset = tree.lineno, tree.lineno, 0, 0
    try:
        outer = compile(module, str(function.path), "exec", dont_inherit=True)
    except (SyntaxError, ValueError, TypeError):
        return None
    return next(c for c in outer.co_consts if isinstance(c, CodeType) and c.co_name == tree.name)


def _unannotated(arguments: ast.arguments) -> ast.arguments:
    bare = {name: [ast.arg(a.arg) for a in getattr(arguments, name)] for name in ("posonlyargs", "args", "kwonlyargs")}
    star, stars = (a and ast.arg(a.arg) for a in (arguments.vararg, arguments.kwarg))
    made = ast.arguments(bare["posonlyargs"], bare["args"], star, bare["kwonlyargs"], [None for _ in bare["kwonlyargs"]], stars, [])
    return made


def wrapper(function: Function) -> CodeType | None:
    """The code of a decorator's wrapper that only calls; it closes over the same names."""
    outermost = _attribute(function.module, function.name)
    names = getattr(getattr(outermost, "__code__", None), "co_freevars", ())
    if "func" not in names:
        return None
    source = f"def make({', '.join(names)}):\n def call(*args, **kwargs):\n  ({', '.join(names)},)\n  return func(*args, **kwargs)"
    outer = compile(source, str(function.path), "exec", dont_inherit=True)
    make = next(c for c in outer.co_consts if isinstance(c, CodeType))
    return next(c for c in make.co_consts if isinstance(c, CodeType))


def same(one: CodeType, other: CodeType) -> bool:
    """Whether the compiler made the same of both."""
    consts = [c for c in one.co_consts if not isinstance(c, CodeType)] == [
        c for c in other.co_consts if not isinstance(c, CodeType)
    ]
    return one == other or (consts and one.co_code == other.co_code and one.co_names == other.co_names and _closed(one, other))


def _closed(one: CodeType, other: CodeType) -> bool:
    inner = [[c for c in code.co_consts if isinstance(c, CodeType)] for code in (one, other)]
    return one.co_varnames == other.co_varnames and len(inner[0]) == len(inner[1]) and all(map(same, *inner))


# ---------------------------------------------------------------------------------------------------------- in place
def _attribute(module: str, name: str) -> Any:
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = vars(found)[part]
    return found


def live(module: str, name: str, *, outermost: bool = False) -> Any:
    """The running function, under its decorators."""
    found = _attribute(module, name)
    while not outermost:
        inner = getattr(found, "__func__", None) or getattr(found, "fget", None) or getattr(found, "__wrapped__", None)
        if inner is None:
            break
        found = inner
    return found


def takes(mutant: Mutant) -> bool:
    """Whether the mutant's code can stand in place of the sound one."""
    if mutant.code is None:
        return False
    target = live(mutant.module, mutant.function, outermost=mutant.kind == "no_grad dropped")
    return bool(target.__code__.co_freevars == mutant.code.co_freevars)


@contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    """The package with the mutant in it; every reference to the function meets it, and the sound code comes back at the end."""
    target = live(mutant.module, mutant.function, outermost=mutant.kind == "no_grad dropped")
    sound, caches = target.__code__, cached(mutant.module)
    target.__code__ = mutant.code
    forget(caches)
    try:
        yield
    finally:
        target.__code__ = sound
        forget(caches)


def cached(module: str) -> list[Callable[[], None]]:
    """What empties the caches of a module's functions."""
    return [value.cache_clear for value in vars(importlib.import_module(module)).values() if hasattr(value, "cache_clear")]


def forget(caches: Sequence[Callable[[], None]]) -> None:
    """Empty them, so that nothing computed with other code is left."""
    for clear in caches:
        clear()
