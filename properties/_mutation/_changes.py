"""The small mistakes: what one node of a function's syntax tree could wrongly be instead."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

Nodes = ast.AST | list[ast.stmt]


class Scope(NamedTuple):
    """What a change must know of its surroundings: the parameters with their types, which of them may be taken for which, whether
    the place is inside a check, whether no gradient flows, and the node above."""

    parameters: dict[str, str]
    neighbour: dict[str, str]
    checking: bool
    constant: bool
    above: ast.AST


class Proposal(NamedTuple):
    """A mistake by its kind, and the tree that makes it."""

    kind: str
    new: Nodes


Proposals = Iterator[Proposal]
ARITHMETIC: dict[type[ast.operator], ast.operator] = {
    ast.Add: ast.Sub(), ast.Sub: ast.Add(), ast.Mult: ast.Div(), ast.Div: ast.Mult(), ast.FloorDiv: ast.Mult(), ast.Pow: ast.Mult(),
    ast.LShift: ast.RShift(), ast.RShift: ast.LShift(), ast.BitAnd: ast.BitOr(), ast.BitOr: ast.BitAnd(),
}  # fmt: skip
COMPARISONS: dict[type[ast.cmpop], tuple[ast.cmpop, ...]] = {
    ast.Lt: (ast.LtE(), ast.GtE()), ast.LtE: (ast.Lt(), ast.Gt()), ast.Gt: (ast.GtE(), ast.LtE()), ast.GtE: (ast.Gt(), ast.Lt()),
    ast.Eq: (ast.NotEq(),), ast.NotEq: (ast.Eq(),), ast.Is: (ast.IsNot(),), ast.IsNot: (ast.Is(),), ast.In: (ast.NotIn(),),
    ast.NotIn: (ast.In(),),
}  # fmt: skip
RENAMED = {
    one: other
    for pair in (
        "sum mean",
        "amax amin",
        "max min",
        "maximum minimum",
        "exp expm1",
        "log log1p",
        "argmax argmin",
        "floor ceil",
        "any all",
        "zeros_like ones_like",
        "cumsum cumprod",
        "randn rand",
        "diff flip",
    )  # fmt: skip
    for one, other in (pair.split(), pair.split()[::-1])
} | {"exponential_": "normal_", "exp2": "exp", "sort": "sort"}
"""What is called by mistake for what."""
DROPPED = frozenset(
    """abs square sqrt exp log exp2 tanh sign flip clamp clamp_ clone detach float double to unsqueeze squeeze cumsum expm1 log1p
    nan_to_num copysign cummax softmax log_softmax reversed widened nextafter""".split()
)
"""Calls that are left out: the first argument, or the object of the method, is what remains."""
SYMMETRIC = frozenset("maximum minimum max min dot isinstance where aligned reals zip getattr".split())
DEVICE = frozenset("device dtype".split())
"""Keywords that change nothing on the only device, or whose absence any dtype shows."""
FLAGS = frozenset("terminated truncated cut ended closed".split())
RATES = frozenset("discount rate rates decay lam".split())
FRACTIONS = frozenset(
    "expectile quantile upper lower step polyak_step fraction on_policy_fraction epsilon level lam shrink".split()
)
FIELDS = {
    "reward": "last", "last": "reward", "lowest": "highest", "highest": "lowest", "centre": "half_width", "half_width": "centre",
    "offset": "mantissa", "crow_indices": "col_indices",
}  # fmt: skip
"""Attributes that are taken for one another."""
LIKE = frozenset("shape ndim layout len zeros_like ones_like empty_like full_like new_tensor new_zeros new_ones new_full".split())
"""What is asked of a tensor for its shape or type alone."""
INTERVAL = re.compile(r"[\[(]-?(inf|[\d.]+), -?(inf|[\d.]+)[\])]")
SMALL = 8
"""Constants from here on are sizes and exponents, of which the next one is as good: they become 0."""


def called(node: ast.AST) -> str:
    """The name of what is called, without its object."""
    if not isinstance(node, ast.Call):
        return ""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


# ---------------------------------------------------------------------------------------------------- expressions
def arithmetic(node: ast.AST, scope: Scope) -> Proposals:
    """One operation for another; an operand or a sign left out."""
    if isinstance(node, ast.BinOp):
        if type(node.op) in ARITHMETIC:
            yield Proposal("operation", ast.BinOp(node.left, ARITHMETIC[type(node.op)], node.right))
        yield Proposal("operand dropped", node.left)
        yield Proposal("operand dropped", node.right)
    elif isinstance(node, ast.UnaryOp) and not isinstance(node.operand, ast.Constant):
        yield Proposal("sign or negation dropped", node.operand)
    elif isinstance(node, ast.AugAssign) and type(node.op) in ARITHMETIC:
        yield Proposal("operation", ast.AugAssign(node.target, ARITHMETIC[type(node.op)], node.value))


def constants(node: ast.AST, scope: Scope) -> Proposals:
    """One more than a small number, 0 for a large one; a flag turned; an axis or a place -1 made 0; an interval's end."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        yield Proposal("constant", ast.Constant(0))
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield Proposal("flag turned", ast.Constant(not node.value))
    elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        yield Proposal("constant", ast.Constant(node.value + 1 if abs(node.value) < SMALL else type(node.value)(0)))
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and INTERVAL.fullmatch(node.value):
        first, last = {"[": "(", "(": "["}, {"]": ")", ")": "]"}
        yield Proposal("interval", ast.Constant(first[node.value[0]] + node.value[1:]))
        yield Proposal("interval", ast.Constant(node.value[:-1] + last[node.value[-1]]))


def comparisons(node: ast.AST, scope: Scope) -> Proposals:
    """The boundary, and the direction."""
    if isinstance(node, ast.Compare):
        for place, operator in enumerate(node.ops):
            for wrong in COMPARISONS.get(type(operator), ()):
                yield Proposal(
                    "comparison", ast.Compare(node.left, [*node.ops[:place], wrong, *node.ops[place + 1 :]], node.comparators)
                )


def conditions(node: ast.AST, scope: Scope) -> Proposals:
    """and for or, a condition left out, a choice turned round."""
    if isinstance(node, ast.BoolOp):
        yield Proposal("and or", ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values))
        for value in node.values:
            rest = [other for other in node.values if other is not value]
            yield Proposal("condition dropped", rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest))
    elif isinstance(node, ast.IfExp):
        yield Proposal("branches swapped", ast.IfExp(node.test, node.orelse, node.body))
    elif isinstance(node, (ast.If, ast.While)) and not isinstance(node.test, (ast.Compare, ast.UnaryOp)):
        negated = ast.UnaryOp(ast.Not(), node.test)
        yield Proposal("condition negated", type(node)(negated, node.body, node.orelse))


def calls(node: ast.AST, scope: Scope) -> Proposals:
    """A function for its neighbour, or left out."""
    if not isinstance(node, ast.Call):
        return
    name, function = called(node), node.func
    if RENAMED.get(name, name) != name:
        other = RENAMED[name]
        changed = (
            ast.Attribute(function.value, other, ast.Load()) if isinstance(function, ast.Attribute) else ast.Name(other, ast.Load())
        )
        yield Proposal("function", ast.Call(changed, node.args, node.keywords))
    if name == "widened" and isinstance(scope.above, (ast.BinOp, ast.Call, ast.keyword)):
        return  # what is computed together is promoted together
    if name in DROPPED and isinstance(function, ast.Attribute):
        module = isinstance(function.value, ast.Name) and function.value.id in ("_checks", "torch", "math")
        if not module:
            yield Proposal("call dropped", function.value)
        elif node.args:
            yield Proposal("call dropped", node.args[0])
    elif name in DROPPED and node.args:
        yield Proposal("call dropped", node.args[0])


def arguments(node: ast.AST, scope: Scope) -> Proposals:
    """Neighbours swapped: branches of a choice, bounds, operands; a keyword left out, or given its neighbour's value."""
    if not isinstance(node, ast.Call):
        return
    name, args = called(node), node.args
    if name == "where" and len(args) == 3:
        yield Proposal("branches swapped", ast.Call(node.func, [args[0], args[2], args[1]], node.keywords))
    if name not in SYMMETRIC and not scope.checking:
        for place in range(len(args) - 1):
            if all(isinstance(a, (ast.Name, ast.Attribute, ast.Call)) for a in args[place : place + 2]):
                turned = [*args[:place], args[place + 1], args[place], *args[place + 2 :]]
                yield Proposal("arguments swapped", ast.Call(node.func, turned, node.keywords))
    for keyword in node.keywords:
        if keyword.arg not in DEVICE:
            yield Proposal("keyword dropped", ast.Call(node.func, args, [k for k in node.keywords if k is not keyword]))
    for one, two in zip(node.keywords, node.keywords[1:], strict=False):
        if one.arg and two.arg and not scope.checking:
            swapped = {one.arg: two.value, two.arg: one.value}
            keywords = [ast.keyword(k.arg, swapped.get(k.arg or "", k.value)) for k in node.keywords]
            yield Proposal("arguments swapped", ast.Call(node.func, args, keywords))


def names(node: ast.AST, scope: Scope) -> Proposals:
    """A parameter for its neighbour of the same type; an attribute for another."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in scope.neighbour and not _likened(scope):
        yield Proposal("name", ast.Name(scope.neighbour[node.id], ast.Load()))
    elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and node.attr in FIELDS:
        yield Proposal("name", ast.Attribute(node.value, FIELDS[node.attr], ast.Load()))


def _likened(scope: Scope) -> bool:
    """Inside a check, or where only the shape or the type is asked: parameters mostly share those."""
    return scope.checking or called(scope.above) in LIKE or (isinstance(scope.above, ast.Attribute) and scope.above.attr in LIKE)


# --------------------------------------------------------------------------------------------- reinforcement learning
def rates(node: ast.AST, scope: Scope) -> Proposals:
    """A discount or a lambda to the wrong power, once too often or not at all; a fraction for its complement."""
    name = _loaded(node)
    if not name or scope.checking:
        return
    assert isinstance(node, ast.expr)
    if name in RATES:
        yield Proposal("exponent", ast.BinOp(node, ast.Mult(), node))
        yield Proposal("exponent", ast.BinOp(node, ast.Div(), node))
    if name in FRACTIONS:
        yield Proposal("complement", ast.BinOp(ast.Constant(1), ast.Sub(), node))
    if name == "temperature":
        yield Proposal("temperature dropped", ast.Constant(1.0))


def cuts(node: ast.AST, scope: Scope) -> Proposals:
    """An end of an episode ignored, seen everywhere but there, or one kind of end taken for the other."""
    name = _loaded(node)
    if name not in FLAGS or scope.checking:
        return
    assert isinstance(node, ast.expr)
    yield Proposal("flag negated", ast.UnaryOp(ast.Invert(), node))
    yield Proposal("flag ignored", ast.BinOp(node, ast.BitXor(), node))
    other = {"terminated": "truncated", "truncated": "terminated"}.get(name, "")
    if other in scope.parameters:
        yield Proposal("flag swapped", ast.Name(other, ast.Load()))


def _loaded(node: ast.AST) -> str:
    """The name that a bare name or an attribute reads."""
    if not isinstance(node, (ast.Name, ast.Attribute)) or not isinstance(node.ctx, ast.Load):
        return ""
    return node.id if isinstance(node, ast.Name) else node.attr


# ------------------------------------------------------------------------------------------------------- statements
def deletions(node: ast.AST, scope: Scope) -> Proposals:
    """A statement left out, where what follows can still be run."""
    if isinstance(node, (ast.If, ast.For, ast.While, ast.AugAssign, ast.Break, ast.Continue)):
        yield Proposal("statement dropped", ast.Pass())
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield Proposal("statement dropped", ast.Pass())
    elif isinstance(node, ast.Assign):
        targets = [t for target in node.targets for t in (target.elts if isinstance(target, ast.Tuple) else [target])]
        if all(isinstance(t, ast.Subscript) or (isinstance(t, ast.Name) and t.id in scope.parameters) for t in targets):
            yield Proposal("statement dropped", ast.Pass())


def returns(node: ast.AST, scope: Scope) -> Proposals:
    """The first argument returned; a result cut off from the gradient."""
    if not isinstance(node, ast.Return) or node.value is None:
        return
    first = next((name for name in scope.parameters if name not in ("self", "ctx")), "")
    if first and not (isinstance(node.value, ast.Name) and node.value.id == first):
        yield Proposal("argument returned", ast.Return(ast.Name(first, ast.Load())))
    if not scope.constant and (called(node.value) == "to" or isinstance(node.value, ast.BinOp)):
        detached = ast.Call(ast.Attribute(node.value, "detach", ast.Load()), [], [])
        yield Proposal("gradient stopped", ast.Return(detached))


def blocks(node: ast.AST, scope: Scope) -> Proposals:
    """A `with` whose manager is left out: the gradient flows, the values are checked."""
    if isinstance(node, ast.With) and all(item.optional_vars is None for item in node.items):
        yield Proposal("with dropped", node.body)


OPERATORS: tuple[Callable[[ast.AST, Scope], Proposals], ...] = (
    arithmetic, constants, comparisons, conditions, calls, arguments, names, rates, cuts, deletions, returns, blocks,
)  # fmt: skip
