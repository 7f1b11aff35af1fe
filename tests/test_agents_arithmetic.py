"""An agent holds no arithmetic that the reference does not know: what is left to it is listed here, expression by expression."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import accelerated

ROOM = Path(accelerated.__file__).parent / "agents"
MATHEMATICS = set(
    """exp log log_softmax softmax logsumexp clamp clip clip_ clamp_ max amax amin min minimum maximum where lerp lerp_ square pow
    sqrt rsqrt tanh mul mul_ sub sub_ add_ div matmul einsum std var cumsum
    cumprod addcmul sigmoid softplus abs norm dot bmm reciprocal
    mse_loss huber_loss smooth_l1_loss cross_entropy nll_loss kl_div relu""".split()
)
OPERATORS = set(accelerated.__all__)

LEFT = {
    "bc": {},
    "dqn": {
        "max(steps - config.learning_starts, 0) / max(config.epsilon_steps, 1)": "a schedule's time",
        "config.epsilon_start + part * (config.epsilon_end - config.epsilon_start)": "a schedule",
        "target - q": "the error that a loss takes",
        "batch.weights * loss": "the weight of a loss",
        "state.updates % state.config.target_every": "counting",
    },
    "distributional": {
        "logits.softmax(-1) @ atoms": "the network's head: the mean of its distribution",
        "taken(evaluating, chosen).softmax(-1)": "the network's head",
    },
    "rainbow": {},
    "iql": {
        "q - value[:, 0, :, 0]": "the error that a loss takes",
        "given.q - given.value": "the advantage that weights take",
        "1 / config.inverse_temperature": "the same setting by its other name",
        "target.unsqueeze(1).expand_as(q) - q": "the error that a loss takes",
        "2 * expectile_loss(error, expectile=0.5).mean(-1)": "the squared error, whose half the operator is",
        "q_of(state, 'target_critic', batch.observations, batch.actions).amin(1)": "the smaller of the twins",
    },
    "one_step": {
        "iql.q_of(state, 'target_critic', batch.next_observations, batch.next_actions).amin(1)": "the smaller of the twins",
        "critic(state.networks['target_critic'], batch.next_observations).amin(1)": "the smaller of the twins",
    },
    "tabular": {
        "entries(state.tensors['visits'], batch.observations, batch.actions).clamp(min=1.0)": "counting",
        "visits.pow(-state.config.step_power) * state.tensors['chosen'].unsqueeze(-1)": "a schedule of steps",
        "torch.div(steps, often)": "the mean over a batch's equal pairs",
        "target(state, batch) - entries(state.networks['critic']['q'], batch.observations, batch.actions)": "the error",
        "1 - first": "the other one of two tables",
        "weight * expectile_loss(error, expectile=0.5)": "the weight of a loss",
    },
    "fitted": {
        "y - q": "the error that a loss takes",
        "losses / multiplicity(state.space, batch.observations, batch.actions)": "the mean over a batch's equal pairs",
    },
    "planning": {
        "space.states * space.actions": "counting",
        "state.space.states * state.space.actions": "counting",
        "(held - before).abs().flatten(1).amax(1)": "what is logged",
    },
}
"""File: the expressions that are no operator's, and what each is."""


def arithmetic(tree: ast.AST) -> Iterator[str]:
    """The outermost expressions that compute, types and texts aside."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation is not None:
            yield from arithmetic(node.value) if isinstance(node, ast.AnnAssign) and node.value is not None else ()
            continue
        if computes(node):
            yield ast.unparse(node)
        else:
            yield from arithmetic(node)


def computes(node: ast.AST) -> bool:
    if isinstance(node, ast.BinOp):
        words = (ast.JoinedStr, ast.List, ast.Tuple, ast.Dict, ast.SetComp, ast.ListComp)
        return not isinstance(node.op, ast.BitOr | ast.BitAnd) and not any(
            isinstance(side, words) for side in (node.left, node.right)
        )
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    return node.func.attr in MATHEMATICS and node.func.attr not in OPERATORS


@pytest.mark.parametrize("stem", LEFT)
def test_an_agent_holds_no_arithmetic_of_its_own(stem: str) -> None:
    found = list(arithmetic(ast.parse((ROOM / f"{stem}.py").read_text())))
    assert set(found) - set(LEFT[stem]) == set(), "what an operator should compute"
    assert set(LEFT[stem]) - set(found) == set(), "what is listed and no longer there"


@pytest.mark.parametrize("wrong", ["r + g * v.max(-1)", "torch.exp(a / b)", "(q - y).square().mean()", "x.logsumexp(-1)"])
def test_arithmetic_is_seen_where_it_is(wrong: str) -> None:
    assert list(arithmetic(ast.parse(f"def loss(x):\n    return {wrong}")))


@pytest.mark.parametrize("right", ["value_target(r, t, v, discount=d)", "loss.mean(-1)", "q.gather(-1, a).squeeze(-1)", "a | b"])
def test_calls_of_operators_and_means_are_none(right: str) -> None:
    assert not list(arithmetic(ast.parse(f"def loss(x: int | None) -> int | None:\n    return {right}")))
