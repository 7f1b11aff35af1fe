"""Categorical return distributions: error bounds, and what projection onto fixed atoms keeps (C1) and contracts (C2)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from properties import _categorical_loss  # noqa: F401  (register its claims)
from properties._bounds import TINY, UNIT, Floats, gamma
from properties._claim import Call, claim, operator
from properties._draw import BATCHES, FEW, ROUGH, STYLES, array_of, codes, decode_flags, discounts, distributions, dyadic
from properties._oracles import exact
from properties._oracles.categorical import projection_by_fractions, squared_cramer_distance
from properties._trial import Trial

Draw = Callable[[st.SearchStrategy[Any]], Any]
C51 = "Bellemare, Dabney & Munos 2017, eq. 7"
CRAMER = "Rowland et al. 2018, Propositions 1-2"


class Backup(NamedTuple):
    """Atoms, a distribution on them in each row, and the step that moves it; discount is a number or one a row."""

    atoms: Floats
    probability: Floats
    reward: Floats
    terminated: NDArray[np.bool_]
    discount: Any


FACTORS = (1.0, 0.25, 2.0**10, 2.0**-10)
ROUGH_FACTORS = (*FACTORS, 4 / 3, 4 / 3, 4 / 3)
REACHES = (1.0, 1.0, 1.0, 2.0**10)
MOST_ROWS = max(math.prod(lead) for lead in BATCHES)


def _support(bits: bytes, factors: tuple[float, ...]) -> Floats:
    """One to six atoms: whole numbers from -16 on, 1 to 6 apart, evenly or not, times a power of two (or 4/3). Ten bytes."""
    many, start, even = 1 + bits[0] % 6, bits[1] % 33 - 16, bits[2] % 2
    gaps = 1 + np.frombuffer(bits[4:10], dtype=np.uint8).astype(np.int64) % 6
    steps = np.full(6, gaps[0]) if even else gaps
    return np.asarray((start + np.concatenate([[0], np.cumsum(steps)])[:many]) * factors[bits[3] % len(factors)])


def supports() -> st.SearchStrategy[Floats]:
    """Evenly spaced atoms."""
    return codes(10).map(lambda bits: _support(bits[:2] + bytes([1]) + bits[3:], FACTORS))


def backups(*, rough: bool = False) -> st.SearchStrategy[Backup]:
    """A batch of distributions on one support; rewards within half of it, or far beyond it. All from one byte string, as
    trajectories are: independent choices would come out simple too often."""
    factors, styles = (ROUGH_FACTORS, ROUGH) if rough else (FACTORS, STYLES)

    def decode(bits: bytes, discount: float) -> Backup:
        lead, atoms = BATCHES[bits[0] % len(BATCHES)], _support(bits[1:11], factors)
        size, body = math.prod(lead), bits[16:]
        counts = np.frombuffer(body[4 * size : 4 * size + size * len(atoms)], dtype=np.uint8).reshape(*lead, len(atoms))
        scale = REACHES[bits[12] % len(REACHES)] * 2.0 ** round(math.log2(max(float(np.abs(atoms).max()), 1.0) / 256))
        reward = np.asarray(array_of(body[: 2 * size], lead, styles[bits[11] % len(styles)]) * scale)
        terminated = decode_flags(body[2 * size : 3 * size], FEW[bits[13] % len(FEW)], lead)
        steps = np.frombuffer(body[3 * size : 4 * size], dtype=np.uint8).reshape(lead) / 256.0
        return Backup(
            atoms, dyadic(counts, (2, 8, 32)[bits[14] % 3], 0), reward, terminated, steps if bits[15] % 4 == 3 else discount
        )

    return st.builds(decode, codes(16 + MOST_ROWS * (4 + 6)), discounts())


# ----------------------------------------------------------------------------------------------------------- operators
@operator(
    "categorical_projection",
    inputs=backups(rough=True).map(lambda b: Call(tuple(b[:4]), {"discount": b.discount})),
    shared=("atoms",),
)
def projection_bound(unit: float, atoms: Floats, probability: Floats, reward: Floats, terminated: Any, *, discount: Any) -> Floats:
    """A target y is off by eps: gamma_2 (|r| + g |z|), and as a position among atoms, (y - z_1) over a gap that is itself a
    quotient, eight roundings of the largest |z|. What atom i gets of the mass at y is a hat function of y, which changes by at most
    the change of y over the smaller of the gaps beside it: landing on the other side of an atom is harmless. Then six roundings
    of the share, and a sum over the K atoms. Atoms whose hat does not reach y -+ eps get nothing; where it ends there,
    1 - |y - z|/gap may leave a rounding.
    """
    g = np.where(terminated, 0.0, discount)[..., None]
    y = reward[..., None] + g * atoms
    with np.errstate(invalid="ignore"):
        eps = gamma(2, unit) * (np.abs(reward)[..., None] + g * np.abs(atoms)) + gamma(8, unit) * np.abs(atoms).max()
        low, high = (np.where(np.isfinite(y), y + sign * eps, y).clip(atoms[0], atoms[-1]) for sign in (-1, 1))
    edges = np.concatenate([[-np.inf], atoms, [np.inf]])
    steep = 1.0 / np.minimum(np.diff(edges)[:-1], np.diff(edges)[1:])
    touched = (high[..., None] >= edges[:-2]) & (low[..., None] <= edges[2:])
    moved = np.minimum(steep * (high - low)[..., None], 1.0)
    each = probability[..., None] * touched * (moved + gamma(len(atoms) + 6, unit))
    return np.asarray(each.sum(axis=-2))


def _projected(port: Trial, b: Backup) -> tuple[Floats, Floats]:
    return port("categorical_projection", *b[:4], discount=b.discount)


# -------------------------------------------------------------------------------------------------------------- claims
GIVEN = {"b": backups()}


@claim("C1", source=C51, operators=["categorical_projection"], given=GIVEN, share=0.5, oracle="projection_by_fractions")
def projection_shares_each_mass_between_its_two_neighbours(port: Trial, b: Backup) -> None:
    """The mass p_j goes to clip(r + g (1 - terminated) z_j), linearly to the atoms beside it, evenly spaced or not."""
    found, error = _projected(port, b)
    port.equal(found, projection_by_fractions(*b), error)


@claim("C1", source=C51, operators=["categorical_projection"], given=GIVEN)
def projection_keeps_mass_and_sign(port: Trial, b: Backup) -> None:
    """The projected row sums to 1 and has no negative entry, terminated rows and rewards beyond the support included."""
    found, error = _projected(port, b)
    port.holds(bool(np.all(found >= 0)), "no mass is negative", found=found)
    port.equal(np.ones(b.reward.shape), exact(found).sum(axis=-1), error.sum(axis=-1), "the mass of each row")


@st.composite
def inner_backups(draw: Draw) -> Backup:
    """r + g z inside the support for every atom: r between (1 - g) z_1 and (1 - g) z_K."""
    b: Backup = draw(backups())
    discount = draw(st.sampled_from([0.5, 1.0, 0.25, 0.875, 0.0]))
    share = np.abs(b.reward) % 1.0
    share = np.round(share * 16) / 16
    inner = (1 - discount) * (b.atoms[0] + (b.atoms[-1] - b.atoms[0]) * share)
    return b._replace(reward=np.asarray(inner), terminated=np.zeros(inner.shape, dtype=bool), discount=discount)


@claim("C1", source=f"{C51}; Lyle et al. 2019", operators=["categorical_projection"], given={"b": inner_backups()})
def projection_keeps_the_mean_inside_the_support(port: Trial, b: Backup) -> None:
    """Where r + g z lies inside the support for every atom, the projected mean is r + g times the mean."""
    moved = exact(b.reward[..., None]) + exact(b.discount) * exact(b.atoms)
    if np.any(moved < exact(b.atoms[0])) or np.any(moved > exact(b.atoms[-1])):
        return
    found, error = _projected(port, b)
    due = exact(b.reward) + exact(b.discount) * (exact(b.probability) * exact(b.atoms)).sum(axis=-1)
    mean = (exact(found) * exact(b.atoms)).sum(axis=-1) - due
    port.equal(np.zeros(b.reward.shape), mean, (error * np.abs(b.atoms)).sum(axis=-1), "the projected mean, less r + g mean")


@claim("C1", source=C51, operators=["categorical_projection"], given=GIVEN)
def projecting_onto_the_same_atoms_changes_nothing(port: Trial, b: Backup) -> None:
    """With r = 0 and g = 1 every target is an atom and gets all of its mass: the distribution comes back exactly."""
    still = b._replace(reward=np.zeros(b.reward.shape), terminated=np.zeros(b.reward.shape, dtype=bool), discount=1.0)
    port.equal(_projected(port, still)[0], b.probability, 0.0)


@claim("C1", source=C51, operators=["categorical_projection"], given={**GIVEN, "place": st.integers(0, 5)})
def targets_that_coincide_on_an_atom_keep_all_their_mass(port: Trial, b: Backup, place: int) -> None:
    """With g = 0, or where terminated, all atoms land on r: an atom r gets all of the mass, exactly; whatever p and g are."""
    reward = np.full(b.reward.shape, b.atoms[place % len(b.atoms)])
    due = np.broadcast_to(b.atoms == reward.flat[0], b.probability.shape) * 1.0
    for ended, discount in ((False, 0.0), (True, b.discount)):
        over = np.full(b.reward.shape, ended)
        found, _ = _projected(port, b._replace(reward=reward, terminated=over, discount=discount))
        port.equal(found, due, 0.0, "terminated" if ended else "g = 0")


@claim("C1", source=C51, operators=["categorical_projection"], given={**GIVEN, "positive": st.booleans()}, share=0.5)
def rewards_beyond_the_support_put_all_mass_on_its_end(port: Trial, b: Backup, positive: bool) -> None:
    """Where r + g z lies beyond the last (first) atom for every z, infinite r included, that atom has all the mass, exactly."""
    beyond = 4 * float(np.abs(b.atoms).max()) + 1.0
    due = np.zeros(b.probability.shape)
    due[..., -1 if positive else 0] = 1.0
    for size in (beyond, 2.0**60, math.inf):
        found, _ = _projected(port, b._replace(reward=np.full(b.reward.shape, size if positive else -size)))
        port.equal(found, due, 0.0, f"|r| = {size:g}")


@claim(
    "C1",
    source=C51,
    operators=["categorical_projection"],
    given={"atoms": supports(), "shift": st.integers(-6, 6), "p": distributions((2, 6))},
    share=0.5,
)
def a_reward_of_whole_steps_moves_masses_by_whole_atoms(port: Trial, atoms: Floats, shift: int, p: Floats) -> None:
    """On even atoms with g = 1, r = k steps moves each mass k atoms on, and what leaves the support gathers on its end; exactly."""
    many = len(atoms)
    row = p[..., :many].copy()
    row[..., 0] += 1 - row.sum(axis=-1)
    step = atoms[1] - atoms[0] if many > 1 else 1.0
    found = port.categorical_projection(atoms, row, np.full(2, shift * step), np.zeros(2, dtype=bool), discount=1.0)
    due = np.zeros(row.shape)
    for place in range(many):
        due[..., min(max(place + shift, 0), many - 1)] += row[..., place]
    port.equal(found, due, 0.0)


@claim("C1", source=C51, operators=["categorical_projection"], given=GIVEN, share=0.25)
def shares_do_not_depend_on_the_scale(port: Trial, b: Backup) -> None:
    """Atoms and rewards times 2^k are projected alike, exactly, up to the largest numbers, whose distances are none."""
    first = b.probability[..., :1]
    two = b._replace(atoms=np.array([-15.0, 1.0]), probability=np.concatenate([first, 1 - first], axis=-1))
    for case in (b, two):
        due, _ = _projected(port, case)
        top = 2 - round(math.log2(TINY[port.dtype])) - int(np.frexp(np.abs(case.atoms).max())[1])  # 2^1024 is too large by one
        for k in (8, top - 1, top):
            atoms, reward = np.ldexp(case.atoms, k), np.asarray(np.ldexp(case.reward, k))
            found = port.categorical_projection(atoms, case.probability, reward, case.terminated, discount=case.discount)
            port.equal(found, due, 0.0, f"k = {k}")


# --------------------------------------------------------------------------------------------------------- contraction
@claim(
    "C2",
    source=CRAMER,
    operators=["categorical_projection"],
    given={**GIVEN, "others": distributions((6, 6))},
    share=0.5,
    oracle="squared_cramer_distance",
)
def the_projected_backup_contracts_by_the_root_of_gamma(port: Trial, b: Backup, others: Floats) -> None:
    """The Cramér distance of two distributions after the same step is at most sqrt(g) times that before, and 0 where terminated."""
    other = np.array(np.resize(others[:, : len(b.atoms)], b.probability.shape))
    other[..., -1] += 1 - other.sum(axis=-1)
    (one, one_error), (two, two_error) = _projected(port, b), _projected(port, b._replace(probability=other))
    before, after = (squared_cramer_distance(b.atoms, *pair) for pair in ((b.probability, other), (one, two)))
    g = exact(np.where(b.terminated, 0.0, b.discount))
    wrong = np.cumsum(one_error + two_error, axis=-1)[..., :-1]
    # The distance is a norm of the difference: off by at most the norm of the errors, itself of K + 8 roundings or fewer.
    slack = np.sqrt((np.diff(b.atoms) * wrong**2).sum(axis=-1)) * (1 + gamma(len(b.atoms) + 8, UNIT["float64"]))
    left, right = (np.sqrt(np.asarray(part, dtype=object).astype(np.float64)) for part in (after, g * before))
    port.at_most(left, right, slack + gamma(2, UNIT["float64"]) * (left + right))  # a fraction rounded, and its root
