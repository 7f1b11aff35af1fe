"""Claims about distributions: `@sampled` makes an ordinary claim of a function that draws observations.

The decorated function draws one batch of observations for one case; the claim judges them, batch after batch, until each
coordinate is proved to be within the effect (holds), one raises the alarm (fails), or the planned draws are spent (undecided).
"""

from __future__ import annotations

import hashlib
import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from properties._bounds import Floats
from properties._claim import Declined, Refuted, Seeded, Undecided, claim
from properties._ledger import Case, Entry, Record, enter
from properties._statistics import Judgement, Plan
from properties._trial import Trial

Observations = NDArray[Any]
ROUNDS = 8
"""The planned draws come in so many batches: looking more often would save little."""


class Stream(NamedTuple):
    """The randomness of one batch: `stream(k)` seeds the k-th call in it, by a hash of everything that names the call."""

    key: str

    def __call__(self, place: int) -> Seeded:
        digest = hashlib.sha256(f"{self.key}:{place}".encode()).digest()
        return Seeded(int.from_bytes(digest[:8], "big"))

    def own(self, place: int) -> np.random.Generator:
        """Random numbers that do not come from the port: to feed it with."""
        return np.random.default_rng([self(place).seed, 1])


Draw = Callable[[Trial, Case, int, Stream], Observations]


def sampled(
    label: str, *, source: str, operators: Sequence[str], share: float, cases: Sequence[Case], every_dtype: bool = True
) -> Callable[[Draw], Callable[[Trial], None]]:
    """Register a statistical claim; the function draws `size` or more observations [n, K] in [0, 1] of a case, its own randomness
    and the port's taken from the stream, so that one observation is independent of those before if the sentence is true.

    share   the claim's part of the budget of false alarms; fixed for good once it is published.
    cases   the instances, registered with what is due and with the mistakes that set the effect.
    """

    def register(draw: Draw) -> Callable[[Trial], None]:
        entry = enter(Entry(draw.__name__, label, tuple(operators), share, tuple(cases)))

        def body(port: Trial) -> None:
            judge(port, entry, draw)

        body.__name__, body.__module__, body.__doc__ = draw.__name__, draw.__module__, inspect.getdoc(draw)
        claim(label, source=source, operators=operators, every_dtype=every_dtype)(body)
        return body

    return register


def judge(port: Trial, entry: Entry, draw: Draw) -> None:
    """Try every case; the first alarm refutes, and a case that is left open leaves the claim undecided.

    A case that the port declines does not count; a claim of which it declines every case is absent.
    """
    left, declined = [], []
    for case in entry.cases:
        try:
            judgement, planned = _judged(port, entry, case, draw)
        except Declined as refusal:
            declined.append(refusal)
            continue
        record = _record(port, entry, case, judgement, planned)
        port.evidence.append(record._asdict())
        if judgement.alarmed.any():
            raise _refutation(port, case, judgement, record)
        if record.verdict == "undecided":
            left.append(f"case {case.name}: {record.draws} draws prove nothing within {case.effect:.4g} of what is due")
    if left:
        raise Undecided("; ".join(left))
    if len(declined) == len(entry.cases):
        raise declined[0]


def _judged(port: Trial, entry: Entry, case: Case, draw: Draw) -> tuple[Judgement, Plan]:
    planned, judgement = entry.plan(case, port.dtype), Judgement(entry.mean(case, port.dtype))
    size, batch = math.ceil(planned.draws / ROUNDS), 0
    while judgement.draws < planned.draws and not (judgement.alarmed.any() or judgement.proved.all()):
        port.clear()
        stream = Stream(f"{port.salt}:{entry.claim}:{port.subject}:{port.dtype}:{case.name}:{batch}")
        judgement.add(_usable(draw(port, case, size, stream), len(case.coordinates)))
        batch += 1
    return judgement, planned


def _usable(observations: Observations, coordinates: int) -> Observations:
    """Within [0, 1], where a right sampler's observations lie but for rounding; a port's NaN counts as the worst of them."""
    assert observations.ndim == 2 and observations.shape[1] == coordinates, "an observation has one number per coordinate"
    return observations if observations.dtype == np.bool_ else np.clip(np.nan_to_num(observations, nan=1.0), 0.0, 1.0)


def _record(port: Trial, entry: Entry, case: Case, judgement: Judgement, planned: Plan) -> Record:
    worst = int(np.argmax(judgement.log_evidence))
    proved = "holds" if judgement.proved.all() else "undecided"
    return Record(
        claim=entry.claim, label=entry.label, operator=port.subject, dtype=port.dtype, case=case.name, share=entry.share,
        alpha=entry.alpha, effect=case.effect, effect_of=case.effect_of, power=planned.power, planned=planned.draws,
        draws=judgement.draws, evidence=float(judgement.log_evidence[worst] / math.log(10)), coordinate=case.coordinates[worst],
        verdict="fails" if judgement.alarmed.any() else proved, trajectory=tuple(judgement.trajectory),
    )  # fmt: skip


def _refutation(port: Trial, case: Case, judgement: Judgement, record: Record) -> Refuted:
    worst, frequency = case.coordinates.index(record.coordinate), judgement.frequency
    text = (
        f"{case.name}: {record.coordinate}: {frequency[worst]:.5f} of {judgement.draws} draws, due {case.due[worst]:.5f}; "
        f"evidence 10^{record.evidence:.1f}, reached by chance with probability at most 10^-{record.evidence:.1f}"
    )
    if mistake := case.mistake(frequency):
        text += f"; as if {mistake}"
    port.answers.clear()
    return Refuted(text, found=frequency, due=case.due, bound=np.asarray(case.effect))


# ------------------------------------------------------------------------------------------------------- what draws share
def indices(port: Trial, found: Any, shape: tuple[int, ...], below: int) -> NDArray[np.int64]:
    """The port's indices, refuted unless they are whole numbers of this shape below a limit."""
    found = np.asarray(found)
    port.holds(found.dtype.kind in "iu", "draws must be indices", found=found.dtype.name, due="int64")
    port.holds(found.shape == shape, f"draws must have shape {shape}; got {found.shape}")
    port.holds(bool(np.all((found >= 0) & (found < below))), f"draws must lie in 0, ..., {below - 1}", found=found)
    return np.asarray(found, dtype=np.int64)


def cells(drawn: NDArray[np.int64], count: int) -> Observations:
    """Which of `count` values each draw took: [n, ...] to [n, ... * count]."""
    return np.asarray((drawn[..., None] == np.arange(count)).reshape(len(drawn), -1))


def halfway(value: float) -> float:
    """A number near `value` halfway between two neighbours of bfloat16: rounding to any type carries no draw across it."""
    step = 2.0 ** (math.floor(math.log2(abs(value))) - 7)
    return (math.floor(value / step) + 0.5) * step


DEPENDENT = ("one-draw-for-all-rows", "one-draw-for-all-columns", "torchrl-noisylinear-constant")


def dependence(name: str, chances: Floats, inputs: Any = None, **wrong: Floats) -> Case:
    """The case of draws that must be independent: [2n, 2] of them with the same probabilities, twice.

    An observation says whether two neighbouring rows, the two columns, and the same place in two calls agree: due the sum of
    squares of the `chances`, and 1 where one draw serves both.
    """
    due = np.full(3, float(np.sum(np.square(chances))))
    shared = {mistake: np.where(np.arange(3) == place, 1.0, due) for place, mistake in enumerate(DEPENDENT)}
    shared |= {mistake.replace("_", "-"): np.asarray(value) for mistake, value in wrong.items()}
    return Case(name, ("two rows agree", "two columns agree", "two calls agree"), due, shared, inputs)


def agreements(one: NDArray[Any], other: NDArray[Any]) -> Observations:
    """Observations [n, 3] of that case from two calls [2n, 2]; no draw serves two observations."""
    first = one[::2, 0]
    return np.stack([first == one[1::2, 0], first == one[::2, 1], first == other[::2, 0]], axis=-1)
