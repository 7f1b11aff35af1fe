"""Exploration, drawn: actions come with the probabilities they should, and noise is normal, independent and redrawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import ndtr, softmax

from properties._bounds import UNIT, Floats
from properties._exploration_bounds import shares
from properties._ledger import Case, coarse
from properties._sampled import Observations, Stream, agreements, cells, dependence, halfway, indices, sampled
from properties._trial import Trial

SUTTON = "Sutton & Barto 2018"
NOISY = "Fortunato et al. 2018"

# ---------------------------------------------------------------------------------------------------------- epsilon-greedy
EPSILON = 0.375
Q = np.array([[1.0, 3.0, 0.0, 2.0], [2.0, 2.0, -1.0, 0.5], [-1.0, -3.0, -2.0, -1.5]])
"""One greedy action that is not the first, two of them, and only negative values."""
ACTIONS = Q.shape[1]


def _first(q: Floats) -> Floats:
    return np.asarray(np.eye(ACTIONS)[np.argmax(q, axis=-1)])


def _ties_by_index(q: Floats) -> Floats:
    """The tie set as the actions whose VALUE is the argmax INDEX; where there is none, the greedy action."""
    same = q == np.argmax(q, axis=-1)[..., None]
    count = same.sum(axis=-1, keepdims=True)
    return np.where(count > 0, same / np.maximum(count, 1), shares(q))


def _explored(greedy: Floats, over: str) -> Floats:
    return np.full(greedy.shape, 1 / ACTIONS) if over == "all" else (1 - greedy) / (ACTIONS - 1)


def _mixed(greedy: Floats, over: str, epsilon: float = EPSILON) -> Floats:
    return (1 - epsilon) * greedy + epsilon * _explored(greedy, over)


def _tied_actions_never_explored(q: Floats) -> Floats:
    rest = (shares(q) == 0) / (shares(q) == 0).sum(axis=-1, keepdims=True)
    return np.asarray((1 - EPSILON) * shares(q) + EPSILON * rest)


def _epsilon_case(over: str, name: str = "", states: tuple[int, ...] = (0, 1, 2)) -> Case:
    """The mistakes are those that show in these states."""
    q, swapped = Q[list(states)], "others" if over == "all" else "all"
    due = _mixed(shares(q), over)
    wrong = {
        f"explores-over-{swapped}": _mixed(shares(q), swapped),
        "dop-epsilon-applied-twice": _mixed(shares(q), over, 1 - (1 - EPSILON) ** 2),
        "epsilon-is-the-greedy-share": _mixed(shares(q), over, 1 - EPSILON),
        "first-maximiser-takes-ties": _mixed(_first(q), over),
        "bandits-argmax-compared-with-values": _mixed(_ties_by_index(q), over),
    }
    if over == "others":
        wrong["tied-actions-never-explored"] = _tied_actions_never_explored(q)
    names = tuple(f"action {a} in state {s}" for s in states for a in range(ACTIONS))
    shown = {mistake: p.ravel() for mistake, p in wrong.items() if not np.array_equal(p, due)}
    return Case(f"{over}{name}", names, due.ravel(), shown, (over, q))


@sampled(
    "X1", source=f"{SUTTON}, §2.2", operators=["sample_epsilon_greedy"], share=0.04,
    cases=[_epsilon_case(over, *state) for over in ("all", "others") for state in (("", (0, 2)), (", tied", (1,)))],
)  # fmt: skip
def epsilon_greedy_draws_follow_their_probabilities(port: Trial, case: Case, size: int, stream: Stream) -> Observations:
    """P(a) = (1 - epsilon) g(a) + epsilon / A over all actions, or + epsilon (1 - g(a)) / (A - 1) over the others."""
    over, states = case.inputs
    q = np.broadcast_to(states, (size, *states.shape))
    found = port.sample_epsilon_greedy(q, epsilon=EPSILON, over=over, generator=stream(0))
    return cells(indices(port, found, q.shape[:-1], ACTIONS), ACTIONS)


def _epsilon_dependence(over: str) -> Case:
    """Two random numbers make one draw, the coin and the explored action: either may be shared by the rows."""
    greedy = shares(Q[0])
    free = _explored(greedy, over)
    due, cross = _mixed(greedy, over), float(greedy @ free)
    coin = (1 - EPSILON) * float(greedy @ greedy) + EPSILON * float(free @ free)
    action = (1 - EPSILON) ** 2 * float(greedy @ greedy) + EPSILON**2 + 2 * EPSILON * (1 - EPSILON) * cross
    rest = float(due @ due)
    return dependence(
        over, due, over, one_coin_for_all_rows=np.array([coin, rest, rest]), one_action_for_all_rows=np.array([action, rest, rest])
    )


@sampled(
    "X1", source=f"{SUTTON}, §2.2", operators=["sample_epsilon_greedy"], share=0.04,
    cases=[_epsilon_dependence("all"), _epsilon_dependence("others")],
)  # fmt: skip
def epsilon_greedy_draws_are_independent(port: Trial, case: Case, size: int, stream: Stream) -> Observations:
    """Two rows, two columns and two calls with other seeds agree with probability sum of P(a)^2."""
    q = np.broadcast_to(Q[0], (2 * size, 2, ACTIONS))
    calls = [port.sample_epsilon_greedy(q, epsilon=EPSILON, over=case.inputs, generator=stream(k)) for k in range(2)]
    return agreements(*(indices(port, call, q.shape[:-1], ACTIONS) for call in calls))


# --------------------------------------------------------------------------------------------------------------- Boltzmann
TEMPERATURE = 0.5
PREFERRED = np.array([[0.0, 0.5, 1.0, 0.25], [-1.0, -1.0, -1.5, -2.0], [100.0, 100.5, 99.5, 98.0]])
"""Small values, a tie, and values whose exponentials overflow float32."""


def _clipped(q: Floats) -> Floats:
    """exp of logits clipped to where float32 does not overflow."""
    return np.asarray(softmax(np.minimum(q / TEMPERATURE, 88.0), axis=-1))


def _boltzmann_case() -> Case:
    wrong = {
        "temperature-multiplies": softmax(PREFERRED * TEMPERATURE, axis=-1),
        "temperature-ignored": softmax(PREFERRED, axis=-1),
        "temperature-twice": softmax(PREFERRED / TEMPERATURE**2, axis=-1),
        "greedy": shares(PREFERRED),
        "boltzmann-exp-overflow": _clipped(PREFERRED),
    }
    names = tuple(f"action {a} in state {s}" for s in range(len(PREFERRED)) for a in range(ACTIONS))
    due = softmax(PREFERRED / TEMPERATURE, axis=-1)
    return Case("three states", names, due.ravel(), {name: np.asarray(p).ravel() for name, p in wrong.items()})


@sampled("X2", source=f"{SUTTON}, eq. 2.11", operators=["sample_boltzmann"], share=0.04, cases=[_boltzmann_case()])
def boltzmann_draws_follow_their_probabilities(port: Trial, case: Case, size: int, stream: Stream) -> Observations:
    """P(a) is proportional to exp(q(a) / temperature)."""
    q = np.broadcast_to(PREFERRED, (size, *PREFERRED.shape))
    found = port.sample_boltzmann(q, temperature=TEMPERATURE, generator=stream(0))
    return cells(indices(port, found, q.shape[:-1], ACTIONS), ACTIONS)


@sampled(
    "X2", source=f"{SUTTON}, eq. 2.11", operators=["sample_boltzmann"], share=0.04,
    cases=[dependence("two rows, columns, calls", softmax(PREFERRED[0] / TEMPERATURE))],
)  # fmt: skip
def boltzmann_draws_are_independent(port: Trial, case: Case, size: int, stream: Stream) -> Observations:
    """Two rows, two columns and two calls with other seeds agree with probability sum of P(a)^2."""
    q = np.broadcast_to(PREFERRED[0], (2 * size, 2, ACTIONS))
    calls = [port.sample_boltzmann(q, temperature=TEMPERATURE, generator=stream(k)) for k in range(2)]
    return agreements(*(indices(port, call, q.shape[:-1], ACTIONS) for call in calls))


# ------------------------------------------------------------------------------------------------------------- layer noise
LEVELS = np.array([halfway(x) for x in (-1.5, -0.5, 0.01, 0.5, 1.5)])
INPUTS, OUTPUTS = 1000, 1024


def _noise_case() -> Case:
    """P(noise > level) for the noise of inputs and of outputs; a root that the layer takes anyway is not the sampler's."""
    due, spread = ndtr(-LEVELS), np.sqrt(3.0)
    signed_square = np.sign(LEVELS) * LEVELS**2
    one = {
        "uniform-of-width-two": np.clip((1 - LEVELS) / 2, 0, 1),
        "uniform-of-unit-variance": np.clip((1 - LEVELS / spread) / 2, 0, 1),
        "root-taken-by-the-sampler": ndtr(-signed_square),
        "never-negative": np.where(LEVELS > 0, 2 * ndtr(-np.abs(LEVELS)), 1.0),
    }
    wrong = {name: np.tile(p, 2) for name, p in one.items()} | {"no-noise-for-outputs": np.append(due, (LEVELS < 0) * 1.0)}
    names = tuple(f"noise of {end} > {level:.3f}" for end in ("inputs", "outputs") for level in LEVELS)
    return Case("levels", names, np.tile(due, 2), wrong)


def _noise(port: Trial, stream: Stream, place: int, inputs: int = INPUTS, outputs: int = OUTPUTS) -> tuple[Floats, Floats]:
    noise_in, noise_out = port.sample_layer_noise(inputs, outputs, generator=stream(place))
    shapes = np.shape(noise_in), np.shape(noise_out)
    port.holds(shapes == ((inputs,), (outputs,)), f"noise must have shapes {((inputs,), (outputs,))}; got {shapes}")
    return np.asarray(noise_in), np.asarray(noise_out)


@sampled("X3", source=f"{NOISY}, §3(b)", operators=["sample_layer_noise"], share=0.04, cases=[_noise_case()])
def layer_noise_is_standard_normal(port: Trial, case: Case, size: int, stream: Stream) -> Observations:
    """P(noise > z) = 1 - Phi(z) for the noise of inputs and of outputs."""
    calls = [_noise(port, stream, k) for k in range(-(-size // INPUTS))]
    ends = [np.concatenate([one[:INPUTS] for one in end]) for end in zip(*calls, strict=True)]
    return np.concatenate([end[:, None] > LEVELS for end in ends], axis=1)


HALF = float(ndtr(-LEVELS[2]))
TOGETHER = ("noise of neighbours", "noise of input and output", "inputs in two calls", "outputs in two calls")


def _redrawn_case() -> Case:
    """The chance that two numbers lie on the same side of a level: one of them may be the other, in each of four ways."""
    due = np.full(4, HALF**2 + (1 - HALF) ** 2)
    ways = ("neighbours-share-noise", "outputs-take-the-noise-of-inputs", "torchrl-noisylinear-constant", "outputs-not-redrawn")
    wrong = {way: np.where(np.arange(4) == place, 1.0, due) for place, way in enumerate(ways)}
    return Case("sides of a level", TOGETHER, due, wrong)


@sampled("X3", source=f"{NOISY}, §3(b)", operators=["sample_layer_noise"], share=0.04, cases=[_redrawn_case()])
def layer_noise_is_independent(port: Trial, case: Case, size: int, stream: Stream) -> Observations:
    """Neighbours, inputs and outputs, and calls with other seeds lie on the same side of a level as independent draws do."""
    parts = []
    for k in range(-(-2 * size // INPUTS)):
        first, second = (_noise(port, stream, 2 * k + call) for call in range(2))
        left, right = (end[:INPUTS] > LEVELS[2] for end in first)
        again, anew = (end[:INPUTS] > LEVELS[2] for end in second)
        pairs = (left[::2] == left[1::2], left[::2] == right[::2], left[::2] == again[::2], right[::2] == anew[::2])
        parts.append(np.stack(pairs, axis=-1))
    return np.concatenate(parts)


# ------------------------------------------------------------------------------------------------------------- noisy layer
UNITS, X, SCALE, BIAS_SCALE, CENTRE = 64, 2.0, 0.25, 1.5, 1.0
REACH = np.array([halfway(CENTRE + x) - CENTRE for x in (-1.5, -0.5, 0.01, 0.5, 1.5)])
"""Levels of a unit's output, less its mean."""
Inverse = Callable[[Floats], Floats]


def _signed_square(y: Floats) -> Floats:
    return np.asarray(np.sign(y) * y**2)


def _output_chances(gain: float, offset: float, rooted: bool = True) -> Floats:
    """P(f(z_out) (gain f(z_in) + offset) > level), f the signed root or nothing: exact over z_out, Gauss-Legendre over f(z_in)
    between its kinks.
    """
    node, weight = np.polynomial.legendre.leggauss(400)
    reach = 3.2 if rooted else 9.0
    edges = np.unique(np.clip([-reach, -offset / gain, 0.0, reach], -reach, reach))
    middle, half = (edges[1:] + edges[:-1]) / 2, (edges[1:] - edges[:-1]) / 2
    f = (middle[:, None] + half[:, None] * node).ravel()
    weight = (half[:, None] * weight).ravel()
    density = 2 * np.abs(f) * _density(f**2) if rooted else _density(f)
    ratio = REACH[:, None] / (gain * f + offset)
    z = _signed_square(ratio) if rooted else ratio
    return np.asarray(ndtr(np.where(gain * f + offset > 0, -z, z)) @ (weight * density))


def _density(z: Floats) -> Floats:
    return np.asarray(np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi))


def _shared_chances(gain: float, offset: float) -> Floats:
    """The same with z_out = z_in: P(gain f^2 + offset f > level) lies outside the roots of a quadratic, f = sign(z) sqrt|z|."""
    under = np.maximum(offset**2 + 4 * gain * REACH, 0.0)
    left, right = ((-offset + sign * np.sqrt(under)) / (2 * gain) for sign in (-1, 1))
    return np.where(under > 0, ndtr(_signed_square(left)) + ndtr(-_signed_square(right)), 1.0)


def _layer_case() -> Case:
    gain, certain = SCALE * X, np.where(REACH < 0, 1.0, 0.0)
    wrong = {
        "noise-not-rooted": _output_chances(gain, BIAS_SCALE, rooted=False),
        "no-noise-on-the-bias": _output_chances(gain, 0.0),
        "scale-squared": _output_chances(SCALE**2 * X, BIAS_SCALE**2),
        "outputs-take-the-noise-of-inputs": _shared_chances(gain, BIAS_SCALE),
        "no-noise": certain,
    }
    names = tuple(f"output > its mean {reach:+.3f}" for reach in REACH)
    return Case("64 units", names, _output_chances(gain, BIAS_SCALE), wrong, slack=_rounded_noise)


def _rounded_noise(dtype: str) -> float:
    """Noise rounded to `dtype` moves an output y by a factor within 1 + u, so P(y > t) by |t| density(t) u, less than u."""
    return coarse(dtype) + UNIT[dtype]


LAYER: dict[str, Any] = {
    "x": np.full(UNITS, X), "weight": np.full((UNITS, UNITS), 2.0**-5), "weight_scale": SCALE * np.eye(UNITS),
    "bias": np.full(UNITS, CENTRE - X * UNITS * 2.0**-5), "bias_scale": np.full(UNITS, BIAS_SCALE),
}  # fmt: skip
"""Noise reaches each output from an input of its own, so that one call gives 64 independent outputs of mean CENTRE."""


@sampled("X3", source=f"{NOISY}, eqs. 9-11", operators=["noisy_linear", "sample_layer_noise"], share=0.04, cases=[_layer_case()])
def a_noisy_layer_has_its_mean_and_spread(port: Trial, case: Case, size: int, stream: Stream) -> Observations:
    """W x + b + f(z_out) (S x f(z_in) + s), z normal, exceeds each level as often as quadrature says."""
    parts = []
    for k in range(-(-size // UNITS)):
        noise_in, noise_out = _noise(port, stream, k, UNITS, UNITS)
        output = np.asarray(port.noisy_linear(*LAYER.values(), noise_in, noise_out))
        port.holds(output.shape == (UNITS,), f"the output must have shape {(UNITS,)}; got {output.shape}")
        parts.append(output[:, None] > CENTRE + REACH)
    return np.concatenate(parts)
