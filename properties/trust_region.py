"""Trust-region steps: error bounds, and conjugate gradients (U1); Fisher products, steps and searches go on in their own files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from properties import _trust_region_ends, _trust_region_fisher, _trust_region_steps  # noqa: F401  (register their claims)
from properties._bounds import ELEMENTARY, UNIT, Floats, gamma
from properties._claim import TABULAR, Call, claim, operator
from properties._draw import ROUGH, codes, values, whole_numbers
from properties._functions import WIDTHS, Linear, Raised, Tent
from properties._oracles import exact
from properties._oracles.trust_region import krylov_minimiser, solution_by_elimination
from properties._trial import Trial
from properties._trust_region_bounds import System, conjugate_gradient_radii, drift, natural_step_radius, running
from properties._trust_region_fisher import gaussian_calls
from properties._trust_region_steps import MANY, SMALL, UNEVEN, Search, searches

Draw = Callable[[st.SearchStrategy[Any]], Any]
HESTENES = "Hestenes & Stiefel 1952"


# ----------------------------------------------------------------------------------------------------------- operators
@st.composite
def symmetric(draw: Draw, size: int, *, rough: bool = True) -> Floats:
    """Symmetric matrices with eigenvalues between 3 and 9 (Gershgorin), times a power of two; or of few and equal ones.

    Diagonal 4 to 8 in quarters, the others at most 1 in absolute row sum; `rough` divides by 3.
    """
    bits = np.frombuffer(draw(codes(2 * size * size)), dtype=">u2").astype(np.int64).reshape(size, size)
    diagonal = 4.0 + ((np.diag(bits) + 3 * np.arange(size)) % 17) / 4.0
    beside = np.tril((bits // 17) % 17 - 8, -1) / (8.0 * 2 ** int(np.ceil(np.log2(size))))
    scale = draw(st.sampled_from([1.0, 1.0, 2.0**-5, 2.0**5]))
    matrix = (np.diag(diagonal) + (beside + beside.T) * draw(st.sampled_from([1.0, 1.0, 0.0]))) * scale
    return np.asarray(matrix / 3.0 if rough and draw(st.booleans()) else matrix)


DAMPING = st.sampled_from([0.0, 0.0, 0.5, 2.0**-6, 1.0 / 3.0])


def seldom_zero(draw: Draw, vector: Floats) -> Floats:
    """The vector drawn; 0, which is drawn often, mostly as 1, 2, 3, ..."""
    return np.arange(1.0, len(vector) + 1) if not vector.any() and draw(st.integers(0, 3)) else vector


@st.composite
def _systems(draw: Draw) -> Call:
    """A few iterations to whatever they reach, or enough of them for the tolerance."""
    size = draw(st.sampled_from([3, 1, 2, 4, 5]))
    matrix, b = draw(symmetric(size)), seldom_zero(draw, draw(values((size,), ROUGH)))
    enough = draw(st.booleans())
    iterations = 40 if enough else draw(st.sampled_from([max(size - 1, 1), min(2, size), size]))
    digits = draw(st.sampled_from([2, 8, 14])) if enough else 18
    tolerance = float(np.abs(b).max()) * 2.0**-digits if iterations > 1 else 0.0
    return Call((Linear(matrix), b), {"iterations": iterations, "tolerance": tolerance, "damping": draw(DAMPING)})


@operator("conjugate_gradient", inputs=_systems(), core=TABULAR, widths=WIDTHS)
def conjugate_gradient_bound(
    unit: float, matvec: Linear, b: Floats, *, iterations: int, tolerance: float, damping: float
) -> tuple[Any, ...]:
    """The recurrence with radii, or the residual, whichever tells more: see _trust_region_bounds."""
    return tuple(conjugate_gradient_radii(unit, System(matvec.matrix, b, iterations, tolerance, damping)))


@st.composite
def _score_calls(draw: Draw) -> Call:
    n, p = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    return Call((draw(values((p,), ROUGH)), draw(values((n, p), ROUGH))), {"damping": draw(DAMPING)})


@operator("fisher_vector_product", inputs=st.one_of(_score_calls(), gaussian_calls(ROUGH)), core=TABULAR)
def fisher_bound(
    unit: float, vector: Floats, jacobian: Floats, log_std: Any = None, log_std_jacobian: Any = None, *, damping: float
) -> Floats:
    """Each term s s'v: product, P - 1 additions, product, N - 1 additions, division by N or product with 1/N, and the damping's
    addition, as many if the matrix is formed first: gamma_(N+P+4). Damping: product and sum.

    Gaussians: D - 1 more additions; 1/std^2 from one exp or its square, twice used: 2 ELEMENTARY + 4 more; 2 K'K one more.
    """
    damped = gamma(3, unit) * damping * np.abs(vector)
    if log_std is None:
        return np.asarray(gamma(sum(jacobian.shape) + 4, unit) * _form(np.abs(jacobian), np.abs(vector)) + damped)
    n, d, p = jacobian.shape
    mean_rows = (np.abs(jacobian) * np.exp(-log_std)[..., None]).reshape(-1, p)
    total = d * _form(mean_rows, np.abs(vector))
    if log_std_jacobian is not None:
        total = total + 2 * d * _form(np.abs(log_std_jacobian).reshape(-1, p), np.abs(vector))
    return np.asarray(gamma(n + 2 * d + p + 2 * ELEMENTARY + 10, unit) * total + damped)


def _form(rows: Floats, vector: Floats) -> Floats:
    """The mean over rows of s s'v."""
    return np.asarray(rows.T @ (rows @ vector) / len(rows))


@st.composite
def _gradients(draw: Draw) -> Call:
    """Gradients of any length where the tolerance is said; where nothing is, also such as show what is meant."""
    size = draw(st.sampled_from([2, 1, 3, 4]))
    gradient, matrix = seldom_zero(draw, draw(values((size,), ("generic", "ties", "full mantissa")))), draw(symmetric(size))
    keywords: dict[str, Any] = {"max_kl": draw(st.sampled_from([0.01, 1.0, 2.0**-10, 3.0]))}
    kind = draw(st.sampled_from(["said", "small", "unsaid", "said", "many", "uneven"]))
    if kind in ("said", "small"):
        gradient = gradient * (SMALL if kind == "small" else 1.0)
        tolerance = float(np.abs(gradient).max()) * 2.0**-16
        keywords |= {"iterations": 40, "tolerance": tolerance, "damping": draw(st.sampled_from([0.5, 0.0, 1.0 / 3.0]))}
    if kind == "many":
        gradient, matrix = 1.0 + np.abs(draw(whole_numbers((len(MANY),), 8))), MANY
    return Call((UNEVEN[0], Linear(UNEVEN[1])) if kind == "uneven" else (gradient, Linear(matrix)), keywords)


@operator("natural_step", inputs=_gradients(), core=TABULAR, widths=WIDTHS)
def natural_step_bound(
    unit: float,
    gradient: Floats,
    matvec: Linear,
    *,
    max_kl: float,
    iterations: int = 10,
    tolerance: float = 1e-10,
    damping: float = 0.0,
) -> Floats:
    """The direction's error, turned into one of a vector of fixed length, and the rounding of that length."""
    return natural_step_radius(unit, System(matvec.matrix, gradient, iterations, tolerance, damping), max_kl)


def _search_call(asked: Search, level: float) -> Call:
    knobs = {"max_kl": asked.max_kl, "shrink": asked.shrink, "max_backtracks": asked.max_backtracks}
    return Call((Raised(asked.tent, level) if level else asked.tent, asked.step), knobs)


LEVELS = st.sampled_from([0.0, -64.0, 64.0])


@operator("backtracking_search", inputs=st.builds(_search_call, searches((0.5, 0.25)), LEVELS), core=TABULAR, widths=WIDTHS)
def backtracking_bound(
    unit: float, evaluate: Tent | Raised, step: Floats, *, max_kl: float, shrink: float, max_backtracks: int
) -> tuple[Any, ...]:
    """Shrunk by powers of two, on a landscape that is exact in every type: nothing is rounded, and nothing is in doubt."""
    return np.zeros_like(step), 0.0, 0.0


# -------------------------------------------------------------------------------------------------- conjugate gradients
@st.composite
def whole_systems(draw: Draw) -> tuple[Floats, Floats]:
    """Small systems in whole numbers and quarters."""
    size = draw(st.integers(1, 4))
    return draw(symmetric(size, rough=False)), draw(whole_numbers((size,), 5))


SYSTEM = {"system": whole_systems(), "damping": st.sampled_from([0.0, 0.5, 2.0])}


def solve(port: Trial, matrix: Floats, b: Floats, **keywords: Any) -> tuple[Floats, int, float, Floats]:
    """Solution, iterations, residual norm, and the solution's error bound."""
    (x, iterations, norm), errors = port("conjugate_gradient", Linear(matrix), b, **keywords)
    return x, int(iterations), float(norm), errors[0]


def nearly_nothing(b: Floats) -> float:
    """A tolerance that stops only a run with no residual left: small whole systems have none, or one that is far larger."""
    return float(np.abs(b).max()) * 2.0**-40


@claim("U1", source=f"{HESTENES}, §4", operators=["conjugate_gradient"], given=SYSTEM, share=0.5, oracle="krylov_minimiser")
def conjugate_gradients_are_optimal_at_every_step(port: Trial, system: tuple[Floats, Floats], damping: float) -> None:
    """After k iterations x minimises the A-norm of its error over span{b, Ab, ..., A^(k-1) b}; after P it is the solution."""
    matrix, b = system
    damped = matrix + damping * np.eye(len(b))
    for k in range(1, len(b) + 1):
        x, _, _, error = solve(port, matrix, b, iterations=k, tolerance=nearly_nothing(b), damping=damping)
        port.equal(x, krylov_minimiser(damped, b, k).point, error, f"after {k} iterations")


@claim(
    "U1",
    source=f"{HESTENES}, §6",
    operators=["conjugate_gradient"],
    given=SYSTEM,
    share=0.5,
    oracle="solution_by_elimination",
)
def the_error_falls_in_the_norm_of_the_matrix(port: Trial, system: tuple[Floats, Floats], damping: float) -> None:
    """Each iteration leaves (x - x*)' (A + damping) (x - x*) no larger."""
    matrix, b = system
    damped, due = exact(matrix + damping * np.eye(len(b))), solution_by_elimination(matrix + damping * np.eye(len(b)), b)
    before, slack_before = np.sqrt(float(_energy(damped, due))), 0.0
    for k in range(1, len(b) + 1):
        x, _, _, error = solve(port, matrix, b, iterations=k, tolerance=nearly_nothing(b), damping=damping)
        now, slack = np.sqrt(float(_energy(damped, exact(x) - due))), np.sqrt(error @ np.abs(damped.astype(float)) @ error)
        rounds = gamma(2, UNIT["float64"]) * (now + before)  # a fraction rounded, and its root
        port.at_most(now, before, slack + slack_before + rounds, f"A-norm of the error after {k} iterations")
        before, slack_before = now, slack


def _energy(matrix: Any, x: Any) -> Any:
    return ((matrix * x).sum(axis=-1) * x).sum()


@claim("U1", source=f"{HESTENES}, §4", operators=["conjugate_gradient"], given={
    **SYSTEM, "digits": st.sampled_from([4, 10, 20]),
})  # fmt: skip
def conjugate_gradients_solve_to_the_tolerance(port: Trial, system: tuple[Floats, Floats], damping: float, digits: int) -> None:
    """|b - (A + damping) x| <= tolerance, but for what the steps round; P iterations are enough, and the residual norm says so."""
    matrix, b = system
    tolerance = float(np.abs(b).max()) * 2.0**-digits
    x, iterations, norm, _ = solve(port, matrix, b, iterations=60, tolerance=tolerance, damping=damping)
    asked = System(matrix, b, 60, tolerance, damping)
    residual = _residual(asked, x)
    port.at_most(np.sqrt(float((residual * residual).sum())), tolerance, drift(port.unit, asked), "norm of b - Ax")
    port.at_most(norm, tolerance, 0.0, "residual norm returned")
    after = running(port.unit, asked._replace(iterations=len(b), tolerance=0.0))
    if after.norm.radius <= tolerance:
        port.at_most(iterations, len(b), 0.0, "iterations taken")


@claim("U1", source=f"{HESTENES}, §3: r = b - Ax", operators=["conjugate_gradient"], given=SYSTEM, share=0.5)
def the_residual_norm_is_that_of_the_residual(port: Trial, system: tuple[Floats, Floats], damping: float) -> None:
    """The norm returned after k iterations is |b - (A + damping) x|, but for what the steps round; and k is what was asked for."""
    matrix, b = system
    for k in range(1, len(b) + 1):
        x, iterations, norm, _ = solve(port, matrix, b, iterations=k, tolerance=nearly_nothing(b), damping=damping)
        asked = System(matrix, b, k, nearly_nothing(b), damping)
        due = np.sqrt(float(sum(entry * entry for entry in _residual(asked, x))))
        slack = drift(port.unit, asked) + gamma(len(b) + 4, port.unit) * due
        port.equal(np.asarray(norm), np.asarray(due), slack, f"residual norm after {k} iterations")
        port.at_most(iterations, k, 0.0, "iterations taken")


def _residual(asked: System, x: Floats) -> Any:
    """b - (A + damping I) x, exactly."""
    return exact(asked.b) - (exact(asked.damped) * exact(x)).sum(axis=-1)


@claim("U1", source="(A + damping I) x = b", operators=["conjugate_gradient"], given=SYSTEM)
def damping_is_added_to_the_matrix(port: Trial, system: tuple[Floats, Floats], damping: float) -> None:
    """Damping beside A gives what A + damping I gives without."""
    matrix, b = system
    keywords = {"iterations": len(b), "tolerance": nearly_nothing(b)}
    x, _, _, error = solve(port, matrix, b, **keywords, damping=damping)
    due, _, _, other = solve(port, matrix + damping * np.eye(len(b)), b, **keywords, damping=0.0)
    port.equal(x, due, error + other)


@claim("U1", source=f"{HESTENES}, §4", operators=["conjugate_gradient"], given={
    "place": st.integers(0, 2), "powers": st.tuples(st.integers(-6, 6), st.integers(-6, 6)), "sign": st.sampled_from([1.0, -1.0]),
}, share=0.5)  # fmt: skip
def a_residual_of_zero_ends_the_iteration(port: Trial, place: int, powers: tuple[int, int], sign: float) -> None:
    """A = 2^k I, b = 2^j e: x = 2^(j-k) e after one iteration, exactly, and what is left, 0, ends it even at tolerance 0."""
    b = sign * 2.0 ** powers[1] * np.eye(3)[place]
    x, iterations, norm, _ = solve(port, 2.0 ** powers[0] * np.eye(3), b, iterations=5, tolerance=0.0, damping=0.0)
    port.equal(x, b * 2.0 ** -powers[0], 0.0)
    port.equal([iterations, norm], [1, 0], 0.0, "iterations, residual norm")


@claim("U1", source="the contract: |b - Ax| <= tolerance in the 2-norm, not relative", operators=["conjugate_gradient"], given={
    "powers": st.tuples(st.integers(-6, 6), st.integers(-6, 6)), "sign": st.sampled_from([1.0, -1.0]),
}, share=0.5)  # fmt: skip
def the_tolerance_is_held_against_the_norm_itself(port: Trial, powers: tuple[int, int], sign: float) -> None:
    """A = 2^k I, b = 2^j (3, 4): |b| = 5 2^j, so tolerance 6 2^j or 5 2^j takes none, and 2.5 2^j one, which solves it."""
    scale = 2.0 ** powers[1]
    matrix, b = 2.0 ** powers[0] * np.eye(2), sign * scale * np.array([3.0, 4.0])
    for tolerance, steps in ((6 * scale, 0), (5 * scale, 0), (2.5 * scale, 1)):
        x, iterations, norm, error = solve(port, matrix, b, iterations=5, tolerance=tolerance, damping=0.0)
        port.equal([iterations], [steps], 0.0, f"iterations for tolerance {tolerance}, where |b| = {5 * scale}")
        port.equal(x, steps * b * 2.0 ** -powers[0], steps * error)
        port.equal([norm], [0.0 if steps else 5 * scale], gamma(8, port.unit) * 5 * scale, "residual norm")


@claim("U1", source=f"{HESTENES}, §3: x = 0 solves it", operators=["conjugate_gradient"], given={
    "size": st.integers(1, 4), "damping": DAMPING, "tolerance": st.sampled_from([0.0, 1.0]),
})  # fmt: skip
def a_right_hand_side_of_zero_takes_no_iteration(port: Trial, size: int, damping: float, tolerance: float) -> None:
    """b = 0: x = 0 after no iteration, with residual 0, and no division of 0 by 0."""
    keywords = {"iterations": 10, "tolerance": tolerance, "damping": damping}
    x, iterations, norm, _ = solve(port, np.eye(size), np.zeros(size), **keywords)
    port.equal(x, np.zeros(size), 0.0)
    port.equal([iterations, norm], [0, 0], 0.0, "iterations, residual norm")


REFUSED = {
    "not positive definite": (np.diag([1.0, -1.0]), np.array([0.0, 1.0])),
    "0 along a direction": (np.diag([1.0, -1.0]), np.array([1.0, 1.0])),
    "of another shape": (np.ones((3, 2)), np.array([1.0, 2.0])),
    "with NaN": (np.array([[np.nan, 0.0], [0.0, 1.0]]), np.array([1.0, 2.0])),
}


@claim("U1", source=f"{HESTENES}, §3: A is positive definite", operators=["conjugate_gradient", "natural_step"], given={
    "how": st.sampled_from(sorted(REFUSED)),
}, share=0.1)  # fmt: skip
def a_matrix_that_gives_no_step_is_refused(port: Trial, how: str) -> None:
    """A direction with p'Ap <= 0, an answer of another shape, or NaN in it raises ValueError and names matvec."""
    matrix, b = REFUSED[how]
    if port.subject == "natural_step":
        answer = port.outcome(Call((b, Linear(matrix)), {"max_kl": 1.0}))
    else:
        answer = port.outcome(Call((Linear(matrix), b), {"iterations": 5, "tolerance": 0.0, "damping": 0.0}))
    port.holds(isinstance(answer, ValueError), f"{how}: must raise ValueError; got {answer!r}")
    port.holds("matvec" in str(answer), f"{how}: the message must name matvec; got {answer}")
