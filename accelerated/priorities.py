"""Prioritised replay: priorities, probabilities, the weights that undo them, and two ways to draw."""

import torch
from torch import Tensor

from accelerated import _checks

NORMALIZERS = ("batch", "memory", None)


@torch.no_grad()
def priority(td_error: Tensor, *, exponent: float, offset: float) -> Tensor:
    """(|δ| + offset)^exponent, where 0^0 and inf^0 are 1; [...] -> [...]."""
    _checks.reals(td_error=td_error)
    power = _checks.scalar("exponent", exponent, "[0, inf)")
    offset = _checks.scalar("offset", offset, "[0, inf)")
    wide = _checks.widened(td_error)
    if power > 0:
        power = max(power, torch.finfo(wide.dtype).tiny)  # a power that vanished would make 0 and inf into 1
    return wide.abs().add_(offset).pow_(power).to(td_error.dtype)


@torch.no_grad()
def sampling_probabilities(priority: Tensor) -> Tensor:
    """p_i / Σ p, each over the largest first for the sum not to overflow; [..., N] -> [..., N]."""
    _check_priorities(priority)
    share = _relative(_checks.widened(priority))
    return (share / share.sum(-1, keepdim=True)).to(priority.dtype)


@torch.no_grad()
def importance_weights(
    probability: Tensor,
    *,
    size: int,
    exponent: float,
    normalizer: str | None = "batch",
    minimum_probability: float | None = None,
) -> Tensor:
    """(N p_i)^−exponent over the largest of the batch or of the memory, as one power of a ratio; [..., B] -> [..., B]."""
    _checks.reals(probability=probability)
    _checks.not_empty("probability", probability)
    if _checks.values_are_checked():
        _checks.each("probability", probability, (probability > 0) & (probability <= 1), "must lie in (0, 1]")
    count = _checks.scalar("size", _checks.integer("size", size, minimum=1), "[1, inf)")
    power = _checks.scalar("exponent", exponent, "[0, inf)")
    _checks.choice("normalizer", normalizer, NORMALIZERS)
    wide = _checks.widened(probability)
    if normalizer is None:
        return (count * wide).pow_(-power).to(probability.dtype)
    least = wide.amin(-1, keepdim=True) if normalizer == "batch" else _minimum(probability, minimum_probability)
    return (least / wide).pow_(power).to(probability.dtype)


def sum_tree(capacity: int) -> "SumTree":
    """An empty tree; every priority is 0."""
    return SumTree(capacity)


class SumTree:
    """A heap of float64 sums on the CPU: node n has the children 2n and 2n + 1, the root is 1, leaves come last.

    A call costs one vectorised step per level, however many entries it reads or writes.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = _checks.integer("capacity", capacity, minimum=1)
        self._levels = (self._capacity - 1).bit_length()
        self._sums = torch.zeros(2 << self._levels, dtype=torch.float64)

    def __len__(self) -> int:
        return self._capacity

    @property
    def total(self) -> float:
        return float(self._sums[1])

    @torch.no_grad()
    def update(self, index: int | Tensor, priority: float | Tensor) -> None:
        """Parents are recomputed from both children, so nothing drifts; the last of repeated indices wins."""
        places, amounts = _places(index, self._capacity), _column("priority", priority)
        _checks.aligned(index=places, priority=amounts)
        _checks.not_negative("priority", amounts)
        node, last = _last_of_each(places.reshape(-1))
        node += 1 << self._levels
        self._sums[node] = amounts.reshape(-1)[last].double()
        for _ in range(self._levels):
            node = node >> 1
            self._sums[node] = self._sums[2 * node] + self._sums[2 * node + 1]

    @torch.no_grad()
    def find(self, mass: float | Tensor) -> Tensor:
        """The smallest index whose prefix sum exceeds the mass, int64 in the shape of `mass`."""
        rest = _column("mass", mass).double()
        if _checks.values_are_checked():
            rule = f"must lie in [0, total) where total is {self.total}"
            _checks.each("mass", rest, (rest >= 0) & (rest < self._sums[1]), rule)
        node = torch.ones_like(rest, dtype=torch.int64)
        for _ in range(self._levels):
            left = self._sums[2 * node]
            # never into a sum of 0, whatever the roundings of the mass that is left
            right = (rest >= left) & (self._sums[2 * node + 1] > 0)
            rest = torch.where(right, rest - left, rest)
            node = 2 * node + right
        found = node - (1 << self._levels)
        return found.to(mass.device) if isinstance(mass, Tensor) else found


@torch.no_grad()
def sample_proportional(priority: Tensor, *, size: int, generator: torch.Generator, stratified: bool = False) -> Tensor:
    """Inverts the sums of priorities, kept in float64, at uniform draws; [N] -> int64 [size]."""
    _checks.dimensions({"priority": priority}, "N")
    _check_priorities(priority)
    draws = _checks.integer("size", size, minimum=1)
    source = _checks.generator(generator, "priority", priority)
    if not isinstance(stratified, bool):
        raise ValueError(f"stratified must be True or False; got {stratified!r}")
    share = _relative(priority.double())
    # a parallel sum may rise where the priority is 0: only those of positive ones count
    upto = torch.where(share > 0, share.cumsum(0), 0.0).cummax(0).values
    uniform = torch.rand(draws, generator=source, device=priority.device, dtype=torch.float64)
    if stratified:
        uniform = (torch.arange(draws, device=priority.device) + uniform) / draws
    below = torch.nextafter(upto[-1], torch.zeros_like(upto[-1]))
    return torch.searchsorted(upto, torch.minimum(uniform * upto[-1], below), right=True)


def _check_priorities(priority: Tensor) -> None:
    _checks.reals(priority=priority)
    _checks.not_empty("priority", priority)
    _checks.weights("priority", priority)


def _relative(priority: Tensor) -> Tensor:
    return priority / priority.amax(-1, keepdim=True)


def _minimum(probability: Tensor, minimum: float | None) -> Tensor:
    """[], in the dtype of the probabilities, where the smallest of them was rounded, too: no weight exceeds 1."""
    exact = _checks.scalar("minimum_probability", minimum, "(0, 1]")
    least = probability.new_tensor(exact)
    if _checks.values_are_checked():
        _checks.each("probability", probability, probability >= least, f"must be at least minimum_probability = {exact}")
    return least


def _column(name: str, value: float | Tensor) -> Tensor:
    """[] or [B], on the CPU; a number becomes a tensor without axes."""
    if not isinstance(value, Tensor):
        return torch.tensor(_checks.scalar(name, value, "[-inf, inf]"), dtype=torch.float64)
    _checks.reals(**{name: value})
    if value.ndim > 1:
        raise ValueError(f"{name} must be a number or [B]; got shape {tuple(value.shape)}")
    return value.detach().cpu()


def _places(index: int | Tensor, capacity: int) -> Tensor:
    """As `_column`, of int64; its axes are those of the priorities, or refused with them."""
    if not isinstance(index, Tensor):
        index = torch.tensor(_checks.integer("index", index, minimum=0))
    return _checks.indices("index", index, capacity).cpu()


def _last_of_each(index: Tensor) -> tuple[Tensor, Tensor]:
    """Each index once, and where in `index` it stands last."""
    ordered, order = index.sort(stable=True)
    last = torch.ones_like(ordered, dtype=torch.bool)
    last[:-1] = ordered[1:] != ordered[:-1]
    return ordered[last], order[last]
