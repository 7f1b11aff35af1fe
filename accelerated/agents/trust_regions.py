"""One natural step of each seed's policy within its trust region, by autograd through whatever surrogate and divergence are given.

The operators solve for one seed at a time. What they ask for, a product with the divergence's Hessian or a value at a trial point,
is computed for all seeds at once: see `together`.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from accelerated import backtracking_search, natural_step
from accelerated.agents.batch import Parameters

Objective = Callable[[Parameters], Tensor]
"""Parameters -> [seeds]; a seed's number depends on that seed's parameters alone."""


def ascend(
    parameters: Parameters,
    surrogate: Objective,
    divergence: Objective,
    *,
    max_kl: float,
    iterations: int,
    damping: float,
    shrink: float,
    max_backtracks: int,
) -> dict[str, Tensor]:
    """Up the surrogate along x, (H + damping·I)x = its gradient, as far as the divergence allows; `parameters` in place.

    H is the Hessian of the divergence where it is 0: the Fisher matrix, where the divergence is a mean KL. The step has x'Hx / 2 =
    max_kl at first (damping included), and is shrunk until the surrogate is larger than before and the divergence at most max_kl.
    A seed that finds no such step keeps its parameters, bit for bit; so does one whose H + damping·I the solver finds not to be
    positive definite, as rounding can make it where a policy is nearly certain of its actions.

    returns  [seeds] each: kl and surrogate where the seed ends, whether a step was accepted, and how often it was shrunk
    raises   ValueError if a gradient is not finite
    """
    point = {name: tensor.detach().requires_grad_() for name, tensor in parameters.items()}
    gradient = _flat(_slopes(surrogate(point), point, create_graph=False))
    product = hessian_product(point, divergence)
    # A seed stops where its residual is rounding, whatever the gradient's length: beyond that the solver finds curvature of noise.
    enough = (gradient.norm(dim=1) * torch.finfo(gradient.dtype).eps ** (2 / 3)).tolist()

    def direction(seed: int, ask: Callable[[Tensor], Tensor]) -> Tensor:
        try:
            return natural_step(gradient[seed], ask, max_kl=max_kl, iterations=iterations, tolerance=enough[seed], damping=damping)
        except ValueError as error:
            if "positive definite" not in str(error):
                raise
            return torch.zeros_like(gradient[seed])

    steps = torch.stack(together(direction, product, torch.zeros_like(gradient)))
    at: dict[int, list[tuple[Tensor, Tensor]]] = {seed: [] for seed in range(len(steps))}

    def search(seed: int, ask: Callable[[Tensor], Tensor]) -> Any:
        def evaluate(step: Tensor) -> tuple[Tensor, Tensor]:
            at[seed].append(tuple(ask(step).unbind()))  # type: ignore[arg-type]
            return at[seed][-1]

        at[seed].clear()
        return backtracking_search(evaluate, steps[seed], max_kl=max_kl, shrink=shrink, max_backtracks=max_backtracks)

    found = together(search, _evaluated(point, surrogate, divergence), torch.zeros_like(gradient))
    accepted = torch.tensor([one.accepted for one in found], device=gradient.device)
    _move(parameters, torch.stack([one.step for one in found]), accepted)
    ends = [at[seed][-1 if one.accepted else 0] for seed, one in enumerate(found)]
    return {
        "kl": torch.stack([kl for _, kl in ends]),
        "surrogate": torch.stack([value for value, _ in ends]),
        "accepted": accepted.to(gradient.dtype),
        "backtracks": torch.tensor([one.backtracks for one in found], device=gradient.device, dtype=gradient.dtype),
    }


def hessian_product(point: Parameters, divergence: Objective) -> Callable[[Tensor], Tensor]:
    """v -> Hv of each seed, [seeds, P] -> [seeds, P], at the leaves of `point`; one graph serves all products."""
    slopes = _slopes(divergence(point), point, create_graph=True)
    bent = [(slope, name) for slope, name in zip(slopes, point, strict=True) if slope.requires_grad]

    def product(vectors: Tensor) -> Tensor:
        if not bent:
            return torch.zeros_like(vectors)
        along = _parts(vectors, point)
        found = torch.autograd.grad(
            [slope for slope, _ in bent],
            list(point.values()),
            [along[name] for _, name in bent],
            retain_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
        return _flat(found)

    return product


def together(
    solve: Callable[[int, Callable[[Tensor], Tensor]], Any], answer: Callable[[Tensor], Tensor], nothing: Tensor
) -> list[Any]:
    """solve(seed, ask) of every seed, where `answer` [seeds, P] -> [seeds, ...] replies to all that the seeds ask at one time.

    A solver that asks what was not yet answered is left, and run again once it is: solvers ask the same again until then, get the
    same replies, and cost little beside them.
    """
    known: list[list[Tensor]] = [[] for _ in nothing]
    found: dict[int, Any] = {}
    while len(found) < len(nothing):
        asked = nothing.clone()
        waiting = []
        for seed in range(len(nothing)):
            if seed in found:
                continue
            try:
                found[seed] = solve(seed, _Replies(known[seed]))
            except _Question as question:
                asked[seed] = question.vector
                waiting.append(seed)
        replies = answer(asked) if waiting else nothing
        for seed in waiting:
            known[seed].append(replies[seed])
    return [found[seed] for seed in range(len(nothing))]


class _Question(Exception):
    """What a solver needs to know next."""

    def __init__(self, vector: Tensor) -> None:
        super().__init__("a question that was not answered")
        self.vector = vector


class _Replies:
    """Answers in the order of the questions, as many as there are."""

    def __init__(self, known: list[Tensor]) -> None:
        self.known, self.asked = known, 0

    def __call__(self, vector: Tensor) -> Tensor:
        if self.asked == len(self.known):
            raise _Question(vector)
        self.asked += 1
        return self.known[self.asked - 1]


def _evaluated(point: Parameters, surrogate: Objective, divergence: Objective) -> Callable[[Tensor], Tensor]:
    """Steps [seeds, P] -> surrogate and divergence there, [seeds, 2]."""
    flat = _flat([tensor.detach() for tensor in point.values()])

    @torch.no_grad()
    def at(steps: Tensor) -> Tensor:
        there = _parts(flat + steps, point)
        return torch.stack([surrogate(there), divergence(there)], -1)

    return at


@torch.no_grad()
def _move(parameters: Parameters, steps: Tensor, accepted: Tensor) -> None:
    """Adds the steps [seeds, P] that are accepted; the others' parameters are not even added 0 to."""
    for name, part in _parts(steps, parameters).items():
        tensor = parameters[name]
        tensor.copy_(torch.where(accepted.reshape(-1, *[1] * (tensor.ndim - 1)), tensor + part, tensor))


def _slopes(values: Tensor, point: Parameters, *, create_graph: bool) -> list[Tensor]:
    """d(values)/d(point), each seed's of its own value."""
    leaves = list(point.values())
    return list(torch.autograd.grad(values.sum(), leaves, create_graph=create_graph, allow_unused=True, materialize_grads=True))


def _flat(tensors: Any) -> Tensor:
    return torch.cat([tensor.flatten(1) for tensor in tensors], 1)


def _parts(vectors: Tensor, like: Parameters) -> Parameters:
    """[seeds, P] cut into pieces that are shaped like the parameters, by their names."""
    sizes = [tensor[0].numel() for tensor in like.values()]
    pieces = torch.split(vectors, sizes, 1)
    return {name: piece.reshape(like[name].shape) for name, piece in zip(like, pieces, strict=True)}
