"""The house's rules, read from the source: stems, signatures, imports, documentation."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from pathlib import Path

import pytest

import accelerated
import reference
from properties import CLAIMS, OPERATORS
from properties._claim import CONCEPTS
from properties._oracles import ORACLES

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("reference", "accelerated", "properties", "tests")
FORBIDDEN_STEMS = {"utils", "helpers", "common", "base", "misc"}
NUMERIC = {"numpy", "scipy"}


def sources(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def stems(room: str) -> set[str]:
    return {path.stem for path in (ROOT / room).glob("*.py") if not path.stem.startswith("_")}


def imported(path: Path) -> set[str]:
    """The top-level packages that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("room", ["accelerated", "properties"])
def test_every_concept_file_has_a_reference_file_of_that_name(room: str) -> None:
    assert stems(room) - {"agreement", "port"} <= stems("reference")


def test_the_concepts_are_the_files_of_properties() -> None:
    assert set(CONCEPTS) == stems("properties") - {"agreement"}


def test_no_file_is_called_a_bin_or_by_the_name_of_a_function_in_it() -> None:
    for path in [p for room in ROOMS for p in sources(room)]:
        assert path.stem.strip("_") not in FORBIDDEN_STEMS, path
        functions = {n.name for n in ast.parse(path.read_text()).body if isinstance(n, ast.FunctionDef)}
        assert path.stem not in functions, f"{path} bears the name of a function in it"


def test_reference_imports_numpy_and_scipy_only() -> None:
    standard = set(sys.stdlib_module_names)
    for path in sources("reference"):
        assert imported(path) <= NUMERIC | standard | {"reference"}, path


def test_accelerated_is_a_stranger_to_reference_and_properties() -> None:
    for path in sources("accelerated"):
        assert not imported(path) & {"reference", "properties"}, path


def test_properties_never_imports_torch_nor_the_twin() -> None:
    for path in sources("properties"):
        assert not imported(path) & {"torch", "accelerated", "jax"}, path


def test_oracles_share_nothing_with_what_they_judge() -> None:
    for path in sources("properties/_oracles"):
        assert not imported(path) & {"reference", "accelerated", "torch"}, path
        named = re.findall(r"from properties\.(\S+) import", path.read_text())
        assert all(name.startswith("_oracles") for name in named), path


def test_every_oracle_a_claim_rests_on_is_on_record() -> None:
    for claim in CLAIMS.values():
        assert not claim.oracle or claim.oracle in ORACLES, claim.name
    for record in ORACLES.values():
        assert record.method and record.derivation and record.identities and record.shares_code_with, record.name


def test_nothing_loads_a_pickle() -> None:
    for path in [p for room in ROOMS for p in sources(room)] + [ROOT / "verify.py"]:
        assert not imported(path) & {"pickle", "dill", "cloudpickle", "shelve", "joblib"}, path


OWN = [name for name in reference.__all__ if name.removesuffix("_gradient") not in set(reference.__all__) - {name}]
"""The operators that are no derivative of another; the twin has those by autograd."""


def test_the_twin_offers_what_the_reference_offers() -> None:
    assert set(OWN) == set(accelerated.__all__) - {"check_values"}


@pytest.mark.parametrize("name", OWN)
def test_signatures_are_equal(name: str) -> None:
    """Names, order and kinds; annotations and the spelling of defaults may differ between the rooms."""
    ours, twins = (inspect.signature(getattr(room, name)).parameters.values() for room in (reference, accelerated))
    assert [(p.name, p.kind, p.default) for p in ours] == [(p.name, p.kind, p.default) for p in twins]


@pytest.mark.parametrize("name", reference.__all__)
def test_every_operator_has_a_record_and_a_theorem(name: str) -> None:
    assert name in OPERATORS
    theorems = [claim.name for claim in CLAIMS.values() if claim.kind == "theorem" and name in claim.operators]
    assert theorems, f"no theorem is about {name}"


def test_every_claim_accuses_operators_that_exist() -> None:
    for claim in CLAIMS.values():
        assert claim.operators, claim.name
        assert set(claim.operators) <= set(OPERATORS), claim.name


@pytest.mark.parametrize("name", reference.__all__)
def test_reference_docstrings_are_complete(name: str) -> None:
    """Equation, sign as a doctest, shapes, errors, source."""
    text = inspect.getdoc(getattr(reference, name)) or ""
    assert re.search(r"[=≤·|∑Σ−+()]", text.splitlines()[0]), "the first line must be the equation"
    for part, pattern in {
        "a doctest": r"^>>> ",
        "shapes": r"\[[^\]]*\]|scalar",
        "returns": r"^returns? ",
        "raises": r"^raises ",
        "source": r"^source ",
    }.items():
        assert re.search(pattern, text, re.MULTILINE), f"{name} lacks {part}"


def functions(path: Path) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]


def test_no_function_is_longer_than_sixty_lines() -> None:
    for path in [p for room in ROOMS for p in sources(room)]:
        for function in functions(path):
            length = (function.end_lineno or 0) - function.lineno + 1
            doc = ast.get_docstring(function, clean=False)
            assert length - len((doc or "").splitlines()) <= 60, f"{path}: {function.name} has {length} lines"


def test_files_are_one_concept_each() -> None:
    for path in [p for room in ROOMS[:3] for p in sources(room)]:
        assert len(path.read_text().splitlines()) <= 360, f"{path} is too long for one concept"


def test_verify_only_wires() -> None:
    assert len((ROOT / "verify.py").read_text().splitlines()) <= 100


def test_the_project_speaks_of_itself_alone() -> None:
    word = re.compile(r"/(?:work|home|root|tmp)/")
    for path in [p for room in ROOMS for p in sources(room)] + [ROOT / "verify.py", ROOT / "README.md", ROOT / "CHANGELOG.md"]:
        if path.name != "test_layout.py":
            assert not word.search(path.read_text()), f"{path} names a machine's path"


def test_claims_compare_through_the_trial_only() -> None:
    """No hand-written tolerance, no bare assert, no allclose in properties/."""
    for path in sources("properties"):
        text = path.read_text()
        assert not re.search(r"\b(rtol|atol|rel_tol|abs_tol)\s*=|allclose|isclose", text), path
        asserts = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Assert)]
        assert path.stem.startswith("_") or not asserts, path
