"""Bugs of categorical: projections that lose mass or misplace it, and cross-entropies of something else."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import log_softmax, softmax

import reference
from properties._bounds import Floats
from properties._bugs._record import Behaves, Bug, Probe, Slope, flags, primes, probe


# ---------------------------------------------------------------------------------------------------------- projection
def _projection(change: str) -> Behaves:
    """The projection with one change; everything else is as it should be."""

    def project(atoms: Any, probability: Any, reward: Any, terminated: Any, *, discount: Any) -> Floats:
        ended = np.asarray(terminated)[..., None]
        target = _moved(atoms, np.asarray(reward)[..., None], ended, np.asarray(discount)[..., None], change)
        mass = np.asarray(probability)
        if change == "nothing at terminals":
            mass = mass * ~ended
        if change == "nothing beyond":
            mass = np.where((target >= atoms[0]) & (target <= atoms[-1]), mass, 0.0)
        lower, upper, share = _neighbours(atoms, np.clip(target, atoms[0], atoms[-1]), change)
        if change == "nothing on atoms":
            mass = np.where(lower == upper, 0.0, mass)
        return _scattered(len(atoms), lower, upper, mass * (1 - share), mass * share, change)

    return project


def _moved(atoms: Any, reward: Any, ended: Any, discount: Any, change: str) -> Floats:
    """Where each atom goes."""
    going = discount * (1.0 if change == "bootstraps at terminals" else ~ended)
    if change == "reward discounted":
        return np.asarray(going * (reward + atoms))
    if change == "reward masked":
        return np.asarray(~ended * (reward + going * atoms))
    return np.asarray(reward + going * atoms)


def _neighbours(atoms: Any, target: Any, change: str) -> tuple[Any, Any, Any]:
    """The atoms below and above, and what of the mass goes to the upper one."""
    last = len(atoms) - 1
    if change == "equidistant" and last:
        place = (target - atoms[0]) / ((atoms[-1] - atoms[0]) / last)
        lower = np.clip(np.floor(place), 0, last).astype(int)
        return lower, np.minimum(lower + 1, last), place - lower
    upper = np.clip(np.searchsorted(atoms, target), 0, last)
    lower = np.where(atoms[upper] == target, upper, np.maximum(upper - 1, 0))
    share = np.where(lower < upper, (target - atoms[lower]) / np.where(lower < upper, atoms[upper] - atoms[lower], 1), 0.0)
    if change == "swapped":
        return lower, upper, np.where(lower < upper, 1 - share, 0.0)
    return lower, upper, {"nearest": np.round(share), "lower": 0 * share}.get(change, share)


def _scattered(size: int, lower: Any, upper: Any, to_lower: Any, to_upper: Any, change: str) -> Floats:
    """The masses gathered on the atoms: added one after the other, or by indexed `+=`, which of equal places keeps the last."""
    shape = lower.shape
    out = np.zeros((lower.size // size, size))
    row = np.zeros((len(out), 1), dtype=int) if change == "one row" else np.arange(len(out))[:, None]
    for place, part in ((lower, to_lower), (upper, to_upper)):
        where = (row, place.reshape(-1, size))
        if change == "overwritten":
            out[where] += part.reshape(-1, size)
        else:
            np.add.at(out, where, part.reshape(-1, size))
    return np.asarray(out.reshape(shape))


def _flowing(
    argument: int | str, atoms: Any, probability: Any, reward: Any, terminated: Any, *, discount: Any, cotangent: Any = None
) -> Floats:
    """The derivative in probability, reward and discount; the atoms are a buffer, which has none."""
    going = (np.asarray(discount) * ~np.asarray(terminated))[..., None]
    weight = np.ones(np.shape(probability)) if cotangent is None else np.asarray(cotangent)
    target = np.asarray(reward)[..., None] + going * atoms
    lower, upper, share = _neighbours(atoms, np.clip(target, atoms[0], atoms[-1]), "")
    below, above = (np.take_along_axis(weight, place, axis=-1) for place in (lower, upper))
    gap = np.where(lower < upper, atoms[upper] - atoms[lower], 1.0)
    slope = probability * np.where(lower < upper, (above - below) / gap, 0.0)
    name = ("atoms", "probability", "reward", "terminated")[argument] if isinstance(argument, int) else argument
    return {
        "probability": np.asarray((1 - share) * below + share * above),
        "reward": np.asarray(slope.sum(axis=-1)),
        "discount": np.asarray((slope * atoms).sum(axis=-1) * ~np.asarray(terminated)),
    }.get(name, np.zeros(np.shape(atoms)))


# ---------------------------------------------------------------------------------------------------------------- loss
def _likeliest(target: Any) -> Floats:
    """All mass on the atom that has most."""
    return np.asarray((np.arange(target.shape[-1]) == target.argmax(axis=-1)[..., None]) * 1.0)


def _cross(logarithm: Any, target: Any) -> Floats:
    """The cross-entropy by logarithms of probabilities; an atom without target mass costs nothing."""
    return np.asarray(-np.where(target > 0, target * logarithm, 0.0).sum(axis=-1))


def _averaged(logits: Any, target: Any) -> Floats:
    return np.asarray(reference.categorical_loss(logits, target).mean())


def _forward(logits: Any, target: Any) -> Floats:
    return np.asarray(reference.categorical_loss(logits, target) - _cross(np.log(np.where(target > 0, target, 1.0)), target))


def _reversed(logits: Any, target: Any) -> Floats:
    share = softmax(logits, axis=-1)
    return np.asarray(-np.where(share > 0, share * np.log(target), 0.0).sum(axis=-1))


def _overflowing(logits: Any, target: Any) -> Floats:
    return np.asarray(-(target * (logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True)))).sum(axis=-1))


def _epsilon(logits: Any, target: Any) -> Floats:
    return np.asarray(-(target * np.log(softmax(logits, axis=-1) + 1e-8)).sum(axis=-1))


def _loss_slope(change: str) -> Behaves:
    """The derivative of the loss where the target is no constant, or where nothing is learnt."""

    def slope(argument: int | str, logits: Any, target: Any, *, cotangent: Any = None) -> Floats:
        weight = np.ones(logits.shape[:-1]) if cotangent is None else np.asarray(cotangent)
        if argument in (0, "logits"):
            flows = 0.0 if change == "detached" else reference.categorical_loss_gradient(logits, target)
            return np.asarray(weight[..., None] * flows * np.ones(logits.shape))
        flows = -log_softmax(logits, axis=-1) if change == "into target" else np.zeros(logits.shape)
        return np.asarray(weight[..., None] * flows)

    return slope


def _twice_gradient(logits: Any, target: Any) -> Floats:
    """The derivative of the loss of softmax(logits), taken for logits."""
    share = softmax(logits, axis=-1)
    pull = softmax(share, axis=-1) - target
    return np.asarray(share * (pull - (share * pull).sum(axis=-1, keepdims=True)))


def _batch_gradient(logits: Any, target: Any) -> Floats:
    return np.asarray(reference.categorical_loss_gradient(logits, target) * logits.shape[-1] / logits.size)


def _overflowing_gradient(logits: Any, target: Any) -> Floats:
    return np.asarray(np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True) - target)


def _centred_with_atoms(value: Any, advantage: Any, *, baseline: str = "mean") -> Floats:
    """[B, A] is centred as it should be; further axes before the last are averaged, too."""
    axes = tuple(range(1, advantage.ndim)) or (0,)
    centre = advantage.mean(axis=axes, keepdims=True) if baseline == "mean" else advantage.max(axis=axes, keepdims=True)
    return np.asarray(np.asarray(value)[..., None] + advantage - centre)


# ------------------------------------------------------------------------------------------------------------- entries
P, L, G = "categorical_projection", "categorical_loss", "categorical_loss_gradient"
BUGS = (
    Bug(P, "terminal-targets-without-mass", "the next distribution is multiplied by 0 where the episode ended: no mass at all",
        "c51-terminal-zero-mass", _projection("nothing at terminals")),
    Bug(P, "mass-beyond-the-support-lost", "targets outside the support are not clipped to it, and their mass is dropped",
        "c51-projection-out-of-range", _projection("nothing beyond")),
    Bug(P, "equal-indices-overwrite", "masses are added by an indexed +=: of those that meet on one atom only the last stays",
        "c51-projection-duplicate-index-scatter", _projection("overwritten")),
    Bug(P, "mass-on-an-atom-lost", "a target that falls on an atom is 0 away from both its neighbours, and its mass is dropped",
        "rainbow-easy-c51-integer-position", _projection("nothing on atoms")),
    Bug(P, "atoms-taken-for-equidistant", "a position is (y - z_1)/step, with one step for all of the support", "",
        _projection("equidistant")),
    Bug(P, "all-mass-to-the-nearest-atom", "mass is not shared between two neighbours: the mean moves", "",
        _projection("nearest")),
    Bug(P, "all-mass-to-the-lower-atom", "positions are rounded down: the mean sinks", "", _projection("lower")),
    Bug(P, "shares-swapped", "each neighbour gets the share in proportion to its distance, not to its closeness", "",
        _projection("swapped")),
    Bug(P, "bootstraps-at-terminals", "terminated is not looked at: the support is shifted beyond the end of the episode", "",
        _projection("bootstraps at terminals")),
    Bug(P, "reward-discounted", "discount (r + z) instead of r + discount z", "", _projection("reward discounted")),
    Bug(P, "reward-masked-at-terminals", "(1 - terminated) (r + discount z): the last reward is masked, too", "",
        _projection("reward masked")),
    Bug(P, "row-offset-forgotten", "indices into the flattened batch lack their row's offset: all mass lands in the first row", "",
        _projection("one row")),
    Bug(P, "gradient-into-constants", "the projected target is not detached: gradients flow into the next distribution", "",
        _flowing, derivative=True),
    Bug(L, "mean-over-atoms", "the mean over atoms instead of their sum", "",
        lambda x, t: -(t * log_softmax(x, axis=-1)).mean(axis=-1)),
    Bug(L, "no-sum-over-atoms", "one number for each atom: their sum is forgotten", "",
        lambda x, t: -(t * log_softmax(x, axis=-1))),
    Bug(L, "mean-over-the-batch", "one number for the whole batch: no row has an error of its own, for its priority say", "",
        _averaged),
    Bug(L, "sign-turned", "the minus sign is missing: descending makes the target less likely", "",
        lambda x, t: (t * log_softmax(x, axis=-1)).sum(axis=-1)),
    Bug(L, "epsilon-in-the-logarithm", "log(softmax + 1e-8): an atom of no mass costs at most 18.4", "", _epsilon),
    Bug(L, "relative-entropy-for-cross-entropy", "KL(target || softmax): less by the target's entropy", "", _forward),
    Bug(L, "direction-reversed", "softmax weighs the target's logarithms: infinite where an atom of the target has no mass", "",
        _reversed),
    Bug(L, "logits-taken-for-log-probabilities", "the logits are not normalised", "", lambda x, t: -(t * x).sum(axis=-1)),
    Bug(L, "softmax-twice", "probabilities are passed on as logits: softmax of a softmax", "",
        lambda x, t: reference.categorical_loss(softmax(x, axis=-1), t)),
    Bug(L, "softmax-of-the-target", "the target's probabilities are taken for logits", "",
        lambda x, t: reference.categorical_loss(x, softmax(t, axis=-1))),
    Bug(L, "likeliest-atom-for-target", "the target's argmax serves as a class label: its spread is lost", "",
        lambda x, t: reference.categorical_loss(x, _likeliest(t))),
    Bug(L, "exp-without-subtracting-the-maximum", "log of a sum of exp(logits) without subtracting their maximum", "",
        _overflowing),
    Bug(L, "gradient-into-constants", "the target is not detached: gradients flow into it", "", _loss_slope("into target"),
        derivative=True),
    Bug(L, "gradient-detached", "the logits are detached: nothing is learnt", "", _loss_slope("detached"), derivative=True),
    Bug(G, "sign-turned", "target - softmax: descending makes the target less likely", "", lambda x, t: t - softmax(x, axis=-1)),
    Bug(G, "mean-over-atoms", "divided by the number of atoms", "", lambda x, t: (softmax(x, axis=-1) - t) / x.shape[-1]),
    Bug(G, "mean-over-the-batch", "divided by the number of rows", "", _batch_gradient),
    Bug(G, "softmax-slope-left-out", "- target/softmax: the slope in the probabilities, not in the logits", "",
        lambda x, t: -t / softmax(x, axis=-1)),
    Bug(G, "softmax-over-the-batch", "softmax normalises over all rows together", "", lambda x, t: softmax(x) - t),
    Bug(G, "softmax-twice", "probabilities are passed on as logits: softmax of a softmax", "", _twice_gradient),
    Bug(G, "softmax-of-the-target", "the target's probabilities are taken for logits", "",
        lambda x, t: softmax(x, axis=-1) - softmax(t, axis=-1)),
    Bug(G, "likeliest-atom-for-target", "the target's argmax serves as a class label: its spread is lost", "",
        lambda x, t: softmax(x, axis=-1) - _likeliest(t)),
    Bug(G, "exp-without-subtracting-the-maximum", "exp(logits) without subtracting their maximum: inf/inf", "",
        _overflowing_gradient),
    Bug("pinball_loss", "mean-over-the-last-axis", "a library's loss averages its last axis before the levels weigh it",
        "distrl-huber-reduces-last-axis",
        lambda error, *, quantile: np.where(error < 0, 1 - quantile, quantile) * np.abs(error).mean(axis=-1)),
    Bug("dueling_value", "mean-over-atoms-and-actions", "of a distributional head [B, atoms, A], atoms are averaged with actions",
        "rainbow-advantage-mean-axis", _centred_with_atoms),
)  # fmt: skip

# -------------------------------------------------------------------------------------------------------------- probes
ATOMS = np.array([-2.0, -1.0, 1.0, 4.0])
"""Neither evenly spaced nor symmetric."""
NEXT = np.array([[2, 3, 5, 6], [1, 7, 3, 5], [5, 2, 7, 2], [3, 1, 1, 11]]) / 16
REWARD = np.array([0.375, 1.25, 3.5, -0.5])
SHIFTED = (ATOMS, NEXT, REWARD, flags("0101"))
LOGITS, TARGET = primes(2, 3) / 8, np.array([[0.5, 0.125, 0.375], [0.0, 0.3125, 0.6875]])
FAR = np.array([[0.0, 1024.0, -512.0], [-2.0, -1.0, 3.0]])
FIT, WEIGHT = probe(LOGITS, TARGET, cotangent=np.array([3.0, 5.0])), np.array([[2.0, 3.0, 5.0, 7.0]] * 4)

PROBES: dict[str, tuple[Probe, ...]] = {
    P: (
        probe(*SHIFTED, discount=0.5),
        probe(ATOMS, NEXT[0], np.array(0.0), np.array(False), discount=1.0),
        Slope(1, probe(*SHIFTED, discount=0.5, cotangent=WEIGHT)),
    ),
    L: (probe(LOGITS, TARGET), probe(FAR, TARGET), Slope(0, FIT), Slope(1, FIT)),
    G: (probe(LOGITS, TARGET), probe(FAR, TARGET)),
}

_PAIRWISE = "no such operator in the contract: the loss and the targets of quantile critics (QR-DQN, IQN)"
OPEN: dict[str, str] = {
    "deeprl-quantile-elementwise": _PAIRWISE,
    "by571-tau-broadcast-axis": _PAIRWISE,
    "quantile-expected-sarsa-averages-quantiles": _PAIRWISE,
    "qrdqn-max-per-quantile": _PAIRWISE,
    "qfettes-quantile-rainbow-gamma-n": _PAIRWISE,
    "categorical-support-arange-extra-atom": "no such operator in the contract: the atoms are given, not built",
}
