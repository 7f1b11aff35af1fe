"""Every mutant of a package: each node of each function, with each mistake that it invites."""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from properties._claim import CLAIMS
from properties._mutation._changes import OPERATORS, Nodes, Scope, called
from properties._mutation._code import compiled, same, wrapper
from properties._mutation._source import BESIDE, PACKAGE, Function, Mutant, canonical, functions

CHECKS = frozenset("reals flags aligned aligned_rows dimensions not_empty finite one_device weights probabilities each".split())
"""Calls that only look: whose arguments they take for one another shows in messages alone."""
UNSEEN = re.compile(r"\.device\b|values_are_checked\(\)")
"""What a condition must not read to be mutated, for the same reasons."""
SKIPPED = ("decorator_list", "args", "returns", "annotation")


class Site(NamedTuple):
    """A node, where it hangs, and what surrounds it."""

    node: ast.AST
    parent: ast.AST
    field: str
    place: int | None
    scope: Scope


def mutants(package: str = PACKAGE) -> list[Mutant]:
    """All of them, in the order of the source; no two are the same."""
    return [mutant for function in functions(package) for mutant in of(function, package)]


def of(function: Function, package: str = PACKAGE) -> Iterator[Mutant]:
    """The mutants of one function."""
    sound, seen = canonical(function.tree), set()
    original = compiled(function)
    seen.add(sound)
    for site, kind, new in _changes(function):
        with _changed(site, new):
            text = canonical(function.tree)
            if text in seen:
                continue
            seen.add(text)
            code = wrapper(function) if kind == "no_grad dropped" else compiled(function)
        if code is not None and original is not None and same(code, original):
            continue
        key = hashlib.sha256("\n".join((function.module, function.name, sound, text)).encode()).hexdigest()[:16]
        line = getattr(site.node, "lineno", function.tree.lineno)
        shown = f"{_line(site.node)} -> {_line(new)}"
        yield Mutant(key, function.module, function.name, line, kind, shown, f"{package}/{function.path.name}", code)


def forced(function: Function) -> Mutant:
    """The mutant that only raises: it must die."""
    sound = function.tree
    raising = ast.FunctionDef(sound.name, sound.args, ast.parse("raise RuntimeError('forced')").body, [], None, None)
    code = compiled(function._replace(tree=ast.copy_location(raising, sound)))
    return Mutant("", function.module, function.name, sound.lineno, "forced", "raises at once", function.path.name, code)


def _changes(function: Function) -> Iterator[tuple[Site, str, Nodes]]:
    for site in _sites(function.tree):
        if site.field == "decorator_list":
            if _is_no_grad(site.node) and function.name in _constants():
                yield site, "no_grad dropped", []
            continue
        for operator in OPERATORS:
            for proposal in operator(site.node, site.scope):
                if proposal.kind == "condition negated" and UNSEEN.search(ast.unparse(site.node.test)):  # type: ignore[attr-defined]
                    continue
                yield site, proposal.kind, proposal.new


def _constants() -> frozenset[str]:
    """The operators of which a claim says where no gradient may flow: of the others it may."""
    return frozenset(name for claim in CLAIMS.values() if claim.label == "B10" for name in claim.operators)


def _sites(function: ast.FunctionDef) -> Iterator[Site]:
    arguments = [*function.args.args, *function.args.kwonlyargs]
    kinds = {a.arg: ast.unparse(a.annotation) if a.annotation else "" for a in arguments}
    neighbour: dict[str, str] = {}
    for kind in set(kinds.values()) - {""}:
        group = [name for name in kinds if kinds[name] == kind]
        neighbour |= {name: group[(i + 1) % len(group)] for i, name in enumerate(group) if len(group) > 1}
    constant = function.name.startswith("_") or any(map(_is_no_grad, function.decorator_list))
    for place, decorator in enumerate(function.decorator_list):
        yield Site(decorator, function, "decorator_list", place, Scope(kinds, neighbour, False, True, function))
    yield from _inside(
        function, Scope(kinds, neighbour, False, constant, function), body_from=ast.get_docstring(function) is not None
    )


def _inside(node: ast.AST, scope: Scope, *, body_from: bool = False) -> Iterator[Site]:
    for field, value in ast.iter_fields(node):
        if field in SKIPPED and not isinstance(node, ast.Call):
            continue
        for place, child in enumerate(value if isinstance(value, list) else [value]):
            if _silent(child) or (body_from and field == "body" and place == 0):
                continue
            here = _narrowed(child, scope)._replace(above=node)
            yield Site(child, node, field, place if isinstance(value, list) else None, here)
            yield from _inside(child, here)


def _silent(node: object) -> bool:
    """What only speaks, types and devices, and conditions on what no claim can change."""
    if not isinstance(node, ast.AST) or isinstance(node, (ast.Raise, ast.JoinedStr)):
        return True
    if isinstance(node, ast.Attribute):
        return node.attr in ("dtype", "device")
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow) and isinstance(node.left, ast.Constant):
        return True  # a power of two that scales: any other would do
    if isinstance(node, ast.Expr) and called(node.value) in BESIDE:
        return True
    if isinstance(node, ast.If):
        return ".device" in ast.unparse(node.test)
    return isinstance(node, (ast.BoolOp, ast.Compare)) and UNSEEN.search(ast.unparse(node)) is not None


def _narrowed(node: ast.AST, scope: Scope) -> Scope:
    """The scope at a node: inside a check, or where no gradient flows."""
    if called(node) in CHECKS or called(node).startswith("_check"):
        return scope._replace(checking=True)
    if isinstance(node, ast.With) and any(map(_is_no_grad, (item.context_expr for item in node.items))):
        return scope._replace(constant=True)
    return scope


def _is_no_grad(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.no_grad"


@contextmanager
def _changed(site: Site, new: Nodes) -> Iterator[None]:
    """The tree with one node replaced, and then as it was."""
    before = getattr(site.parent, site.field)
    if site.place is None:
        after: Any = new
    else:
        after = [*before[: site.place], *(new if isinstance(new, list) else [new]), *before[site.place + 1 :]]
    setattr(site.parent, site.field, after)
    try:
        yield
    finally:
        setattr(site.parent, site.field, before)


def _line(node: Nodes) -> str:
    text = "; ".join(map(ast.unparse, node)) if isinstance(node, list) else ast.unparse(node)
    first, *rest = (" ".join(line.split()) for line in text.splitlines()) if text else ("nothing",)
    shown = first + (" ..." if rest else "")
    return shown if len(shown) <= 110 else shown[:107] + "..."
