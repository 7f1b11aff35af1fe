"""The cross-entropy of a categorical critic: its error bound, where it is least, and its gradient (C3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from properties._aggregates_bounds import holds_in, softmax_error, tilted
from properties._bounds import ELEMENTARY, TINY, UNIT, Floats, gamma, rounded, stored
from properties._claim import Call, claim, operator
from properties._draw import BATCHES, ROUGH, STYLES, distributions, values
from properties._oracles import exact
from properties._oracles.aggregates import softmax_by_digits
from properties._oracles.categorical import (
    DIFFERENCE_ERROR,
    cross_entropy_by_digits,
    cross_entropy_slope_by_differences,
    entropy_by_digits,
)
from properties._trial import Trial

Draw = Callable[[st.SearchStrategy[Any]], Any]
C51 = "Bellemare, Dabney & Munos 2017, Algorithm 1"
GIBBS = f"{C51}; Cover & Thomas 2006, Theorem 2.6.3"


NOTHING = -2048.0
"""The logit of no mass."""


class Fit(NamedTuple):
    """Logits and a target distribution, both [..., K]."""

    logits: Floats
    target: Floats


@st.composite
def fits(draw: Draw, *, styles: tuple[str, ...] = STYLES, most: int = 4) -> Fit:
    """One to four atoms; zero masses among them."""
    shape = (*draw(st.sampled_from(BATCHES)), draw(st.integers(1, most)))
    return Fit(draw(values(shape, styles)), draw(distributions(shape)))


SHIFTS = st.sampled_from([0.0, 0.0, 1024.0, -1024.0])
"""What is added to all logits of a call: exp overflows, or underflows."""
CALLS = st.builds(lambda fit, shift: Call((fit.logits + shift, fit.target), {}), fits(styles=ROUGH, most=6), SHIFTS)


# ----------------------------------------------------------------------------------------------------------- operators
@operator("categorical_loss", inputs=CALLS)
def categorical_loss_bound(unit: float, logits: Floats, target: Floats) -> Floats:
    """Of logsumexp: the drift of its exponents, n - 1 sums of exp (ELEMENTARY), a logarithm (ELEMENTARY of at most log n). Then
    - target (logit - logsumexp), or target.logit and logsumexp apart: n + 3 roundings of target (|logit| + |logsumexp|)."""
    n = logits.shape[-1]
    part = tilted(unit, logits, 1.0)
    total = np.abs(logits.max(axis=-1)) + np.log(n)
    exponents = part.drift + gamma(n + ELEMENTARY * (1 + np.log(n)), unit)
    return np.asarray(exponents + gamma(n + 3, unit) * ((target * np.abs(logits)).sum(axis=-1) + total))


@operator("categorical_loss_gradient", inputs=CALLS)
def categorical_loss_gradient_bound(unit: float, logits: Floats, target: Floats) -> Floats:
    """softmax - target, or, as differentiating gives it, softmax times the sum of the target, less the target."""
    n = logits.shape[-1]
    share = np.exp(tilted(unit, logits, 1.0).log_share)
    return np.asarray(softmax_error(unit, logits, 1.0) + gamma(n + 1, unit) * share + 2 * unit * (share + target))


# -------------------------------------------------------------------------------------------------------------- claims
GIVEN = {"fit": fits()}


@claim("C3", source=C51, operators=["categorical_loss"], given=GIVEN, share=0.5, oracle="cross_entropy_by_digits")
def the_loss_is_the_cross_entropy(port: Trial, fit: Fit) -> None:
    """categorical_loss = - sum of target log softmax(logits) to 50 digits, for logits up to 2^27 too: it never overflows."""
    found, error = port("categorical_loss", *fit)
    port.equal(found, cross_entropy_by_digits(*fit), error)


@claim("C3", source=C51, operators=["categorical_loss"], given=GIVEN, share=0.1)
def the_loss_ignores_what_has_no_mass_however_unlikely(port: Trial, fit: Fit) -> None:
    """Logits of +-2^1023 are finite numbers whose difference is not: where the target is 0 the loss does not see it."""
    found = port.categorical_loss(np.where(fit.target > 0, 1.0, -1.0) * 2.0 / TINY[port.dtype], fit.target)
    port.holds(bool(np.all(np.isfinite(found))), "a finite loss", found=found)


@claim("C3", source=GIBBS, operators=["categorical_loss"], given=GIVEN, share=0.5, oracle="entropy_by_digits")
def the_loss_is_least_exactly_at_the_target(port: Trial, fit: Fit) -> None:
    """loss >= H(target) + |softmax - target|_1^2 / 2 (Pinsker), so it is least only where softmax(logits) = target."""
    found, error = port("categorical_loss", *fit)
    apart = np.abs(softmax_by_digits(fit.logits, temperature=1.0) - exact(fit.target)).sum(axis=-1)
    excess = np.asarray(exact(found) - entropy_by_digits(fit.target) - apart**2 / 2)
    port.at_most(np.zeros(error.shape), excess.astype(np.float64), error)


@claim("C3", source=GIBBS, operators=["categorical_loss", "categorical_loss_gradient"], given=GIVEN, share=0.5)
def at_the_logarithm_of_the_target_the_loss_is_its_entropy(port: Trial, fit: Fit) -> None:
    """At logits log target + c the loss is H(target) and its gradient 0, for every c.

    Rounding (of the logarithm, the sum, and to the port's type) moves those logits by at most `off`, hence the softmax from the
    target by a factor of exp(2 off), and the loss, which is stationary there, by off^2. An atom without mass is 2048 below:
    exp(-2048) is 0 in every type.
    """
    held = fit.target > 0
    logarithm = np.where(held, np.log(np.where(held, fit.target, 1.0)), NOTHING)
    for shift in (0.0, 16.0):
        logits = rounded(logarithm + shift, port.dtype)
        size = np.where(held, np.abs(logarithm), 0.0).max(axis=-1) + shift
        off = np.where(held, np.abs(logits - logarithm - shift), 0.0).max(axis=-1) + gamma(ELEMENTARY + 2, UNIT["float64"]) * size
        found, error = port(port.subject, logits, fit.target)
        if port.subject == "categorical_loss":
            port.equal(found, np.asarray(entropy_by_digits(fit.target), dtype=object), error + off**2, f"c = {shift:g}")
        else:
            port.equal(found, np.zeros(found.shape), error + np.expm1(2 * off)[..., None] * fit.target, f"c = {shift:g}")


@claim(
    "C3", source=C51, operators=["categorical_loss", "categorical_loss_gradient"], given={**GIVEN, "shift": values((1,))}, share=0.5
)
def only_the_differences_of_logits_count(port: Trial, fit: Fit, shift: Floats) -> None:
    """loss(logits + c) = loss(logits), and so for its gradient."""
    moved = fit.logits + shift
    if not holds_in(port.dtype, moved) or np.any(exact(moved) - exact(fit.logits) != exact(shift)):
        return
    due, due_error = port(port.subject, *fit)
    found, error = port(port.subject, moved, fit.target)
    port.equal(found, due, error + due_error)


@claim(
    "C3",
    source=f"{C51}, differentiated",
    operators=["categorical_loss_gradient"],
    given={"fit": fits(styles=("generic", "ties", "tiny"), most=3)},
    share=0.4,
    oracle="cross_entropy_slope_by_differences",
)
def the_gradient_of_the_loss_is_its_difference(port: Trial, fit: Fit) -> None:
    """d loss / d logit_i = (L(x + h e_i) - L(x - h e_i)) / 2h at 50 digits, h = 10^-12."""
    found, error = port("categorical_loss_gradient", *fit)
    port.equal(found, cross_entropy_slope_by_differences(*fit), error + DIFFERENCE_ERROR)


@claim("C3", source=C51, operators=["categorical_loss_gradient"], given=GIVEN, share=0.5, oracle="softmax_by_digits")
def the_gradient_of_the_loss_is_softmax_less_target(port: Trial, fit: Fit) -> None:
    """d loss / d logits = softmax(logits) - target to 50 digits; each row sums to 0."""
    found, error = port("categorical_loss_gradient", *fit)
    port.equal(found, softmax_by_digits(fit.logits, temperature=1.0) - exact(fit.target), error)
    port.equal(np.zeros(found.shape[:-1]), exact(found).sum(axis=-1), error.sum(axis=-1), "each row sums to 0")


@claim(
    "C3",
    source=f"{C51}, differentiated",
    operators=["categorical_loss"],
    given={**GIVEN, "weigh": values((6,), ("generic", "ties"))},
    share=0.5,
)
def differentiating_the_loss_gives_softmax_less_target(port: Trial, fit: Fit, weigh: Floats) -> None:
    """Automatic differentiation of categorical_loss, each row weighed by c, gives c (softmax(logits) - target)."""
    # c multiplies the softmax and the target on the way: two products more of each, and the softmax is at most 1.
    cotangent = np.asarray(np.resize(weigh, fit.logits.shape[:-1]))
    found = port.derivative(0, *fit, cotangent=cotangent)
    size = np.abs(cotangent)[..., None]
    bound = size * (categorical_loss_gradient_bound(port.unit, *fit) + gamma(2, port.unit) * (fit.target + 1.0))
    port.equal(
        found,
        exact(cotangent[..., None]) * (softmax_by_digits(fit.logits, temperature=1.0) - exact(fit.target)),
        stored(bound, found, port.dtype),
    )
