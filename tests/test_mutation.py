"""The mutator: it makes the mistakes that it says, puts back what was, and its judge lets no sure mistake pass."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

from properties._mutation import _tables
from properties._mutation._code import compiled, live, planted, takes
from properties._mutation._judge import INVALID, KILLED, TIMEOUT, Judge, limited_memory
from properties._mutation._mutants import forced, mutants, of
from properties._mutation._score import _chosen, score
from properties._mutation._source import Function, Mutant, canonical, functions
from properties._ports import load_port

SAMPLE = 60
SAMPLED = (
    "value_target",
    "clipped_double_target",
    "soft_target",
    "lambda_returns",
    "margin_returns",
    "_mixed",
    "reinforce_loss",
    "gaussian_entropy",
)


@pytest.fixture(scope="module")
def everything() -> list[Mutant]:
    return mutants()


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge(killers=_tables.killers())


def function(source: str, name: str = "f") -> Function:
    tree = ast.parse(source).body[0]
    assert isinstance(tree, ast.FunctionDef)
    return Function("accelerated.targets", name, tree, Path("made.py"))


def changes(source: str) -> set[str]:
    return {f"{mutant.kind}: {mutant.change}" for mutant in of(function(source))}


# ----------------------------------------------------------------------------------------------------------- the mistakes
@pytest.mark.parametrize(
    ("body", "due"),
    [
        ("return 1 + (b - a)", {"operation: b - a -> b + a", "operand dropped: b - a -> b", "operand dropped: b - a -> a"}),
        ("return a.sum(-1)", {"function: a.sum(-1) -> a.mean(-1)", "constant: -1 -> 0", "constant: 1 -> 2"}),
        ("return a if b > 0 else 1", {"comparison: b > 0 -> b >= 0", "comparison: b > 0 -> b <= 0"}),
        ("return g(keepdim=True)", {"flag turned: True -> False"}),
        ("return where(c, a, b)", {"branches swapped: where(c, a, b) -> where(c, b, a)"}),
        ("return discount + 0", {"exponent: discount -> discount * discount", "exponent: discount -> discount / discount"}),
        ("return expectile + 0", {"complement: expectile -> 1 - expectile"}),
        ("return a / temperature", {"temperature dropped: temperature -> 1.0"}),
        (
            "return h(terminated)",
            {"flag negated: terminated -> ~terminated", "flag ignored: terminated -> terminated ^ terminated"},
        ),
        ("return g(a.detach())", {"call dropped: a.detach() -> a"}),
        ("wide = _checks.widened(a)\n return wide", {"call dropped: _checks.widened(a) -> a"}),
        ("return a.to(dtype)", {"gradient stopped: return a.to(dtype) -> return a.to(dtype).detach()"}),
        ("with torch.no_grad():\n  b = a\n return b", {"with dropped: with torch.no_grad(): ... -> b = a"}),
        ("return scalar('n', a, '[0, 1)')", {"interval: '[0, 1)' -> '(0, 1)'", "interval: '[0, 1)' -> '[0, 1]'"}),
        ("if a: raise ValueError(f'{1 + 1}')", {"statement dropped: if a: ... -> pass"}),
        ("_checks.reals(a=a, b=b)", {"keyword dropped: _checks.reals(a=a, b=b) -> _checks.reals(b=b)"}),
    ],
)
def test_a_node_becomes_the_mistakes_that_it_invites(body: str, due: set[str]) -> None:
    assert due <= changes(f"def f(a: Tensor, b: Tensor):\n {body}")


def test_what_only_speaks_is_left_alone() -> None:
    silent = 'def f(a: int = 1) -> "int":\n """Adds 1 + 1."""\n raise ValueError(f"{a + 1}", a + 1)'
    assert changes(silent) == set()


def test_a_key_belongs_to_the_function_as_it_is() -> None:
    def keys(source: str) -> dict[str, str]:
        return {mutant.change: mutant.key for mutant in of(function(source))}

    was = keys("def f(a, b):\n return a * b")
    assert keys('def f(a: int, b: str) -> int:\n """Now documented."""\n return a * b') == was
    assert set(keys("def f(a, b):\n c = 3\n return a * b").values()).isdisjoint(was.values())


# ------------------------------------------------------------------------------------------------------------ the package
def test_every_mutant_is_another_function_of_its_own(everything: list[Mutant]) -> None:
    assert len({mutant.key for mutant in everything}) == len(everything) > 3000
    assert sum(not takes(mutant) for mutant in everything) < len(everything) // 100


def test_a_mutant_is_met_by_every_reference_and_leaves_no_trace() -> None:
    port, where = load_port("accelerated"), "accelerated._recurrences"
    arguments = np.array([1.0, 2.0]), np.array([False, False]), np.array([False, False]), np.array([0.0, 4.0])
    sound, due = live(where, "solve").__code__, port.operator("discounted_returns")(*arguments, discount=0.5)
    made = next(f for f in functions() if (f.module, f.name) == (where, "solve"))
    for mutant in [m for m in of(made) if takes(m)][:5] + [forced(made)]:
        with planted(mutant):
            assert live(where, "solve").__code__ is mutant.code
        assert live(where, "solve").__code__ is sound
    with planted(forced(made)), pytest.raises(RuntimeError, match="forced"):
        port.operator("discounted_returns")(*arguments, discount=0.5)
    np.testing.assert_array_equal(port.operator("discounted_returns")(*arguments, discount=0.5), due)


def test_a_decorator_that_stops_the_gradient_can_be_left_out(everything: list[Mutant]) -> None:
    import torch

    mutant = next(m for m in everything if m.kind == "no_grad dropped" and m.function == "polyak_update")
    import accelerated

    online = torch.ones(2, requires_grad=True)
    assert not accelerated.polyak_update(online, online, polyak_step=0.5).requires_grad
    with planted(mutant):
        assert accelerated.polyak_update(online, online, polyak_step=0.5).requires_grad
    assert not accelerated.polyak_update(online, online, polyak_step=0.5).requires_grad


def test_what_must_fail_fails_wherever_a_recorded_call_comes(judge: Judge) -> None:
    met = {place for item in judge.items for place in item.reached}
    for made in functions():
        if (made.module, made.name) in met:
            assert judge(forced(made), claims=False).verdict == KILLED, made


def test_a_loop_without_end_is_interrupted(judge: Judge) -> None:
    made = next(f for f in functions() if f.name == "_one_step")
    endless = made._replace(tree=ast.copy_location(_endless(made.tree), made.tree))
    code = compiled(endless)
    assert judge(Mutant("", made.module, made.name, 1, "endless", "", "", code)).verdict == TIMEOUT
    assert judge(Mutant("", made.module, made.name, 1, "no code", "", "", None)).verdict == INVALID


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system does not tell how much memory a process has")
def test_what_allocates_without_bound_is_refused_memory() -> None:
    """Untouched zeros cost nothing, so that only the limit can refuse them; afterwards there is none again."""
    with limited_memory(1 << 30):
        np.zeros(1 << 29, dtype=np.uint8)
        with pytest.raises(MemoryError):
            np.zeros(3 << 30, dtype=np.uint8)
    assert np.zeros(3 << 30, dtype=np.uint8).nbytes == 3 << 30


def _endless(tree: ast.FunctionDef) -> ast.FunctionDef:
    return ast.FunctionDef(tree.name, tree.args, ast.parse("while True: pass").body, [], None, None)


def test_equivalents_are_there_and_say_why(everything: list[Mutant]) -> None:
    existing = {mutant.key: mutant for mutant in everything}
    for line in _tables.equivalents().values():
        assert line.key in existing, f"{line.function}: the function has changed, so the reason is void: {line.change}"
        assert (existing[line.key].file, existing[line.key].function) == (line.file, line.function)
        assert len(line.reason.split()) >= 4 and "surviv" not in line.reason.lower(), line


def test_no_reason_is_given_twice_and_no_killed_mutant_has_one() -> None:
    lines = [line for line in _tables.EQUIVALENTS.read_text().splitlines() if line and not line.startswith("#")]
    assert len({line.split("\t")[0] for line in lines}) == len(lines)
    assert not set(_tables.equivalents()) & set(_tables.killers())


def test_shares_and_samples_are_fixed_parts(everything: list[Mutant]) -> None:
    parts = [_chosen(everything, (), (), None, 1.0, (place, 3)) for place in (1, 2, 3)]
    assert sorted(m.key for part in parts for m in part) == sorted(m.key for m in everything)
    assert _chosen(everything, (), (), 7, 1.0, (1, 1)) == _chosen(everything, (), (), 7, 1.0, (1, 1))
    assert len(_chosen(everything, ("targets",), ("value_target",), None, 0.5, (1, 1))) > 1


def test_a_sample_of_mistakes_is_noticed(judge: Judge) -> None:
    found = score(functions=SAMPLED, limit=SAMPLE, judge=judge)
    assert found.total >= SAMPLE - 5 and found.existing > 3000 and not found.wrongly_justified
    assert not found.survivors, [(v.mutant.place, v.mutant.change) for v in found.survivors]
    assert found.value == 1.0 and sum(found.kills().values()) == found.total


def test_canonical_text_knows_no_position() -> None:
    assert canonical(ast.parse("a =  1").body) == canonical(ast.parse("\n\na = 1").body) != canonical(ast.parse("a = 2").body)
