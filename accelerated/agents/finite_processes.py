"""Finite decision processes as lists of outcomes: from Gymnasium, from arrays, and the small worlds of the literature."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

DENSE = 2**24
"""Entries up to which a transition table is made dense."""


class FiniteModel(NamedTuple):
    """What the bellman operators take.

    transition  [S, A, S], or CSR [S*A, S] where that has more than 2^24 entries
    reward      [S, A], expected
    terminal    [S], boolean: absorbing and without reward
    start       [S], probabilities
    """

    transition: Tensor
    reward: Tensor
    terminal: Tensor
    start: Tensor


class FiniteProcess(NamedTuple):
    """For each state and action, up to K outcomes; float64.

    probability        [S, A, K], sums to 1 over K; outcomes that do not occur have 0
    successor          [S, A, K]
    payoff             [S, A, K], in units of reward
    deviation          [S, A], standard deviation of normal noise that is added to the reward
    terminal           [S], boolean: entering one ends the episode
    start              [S], probabilities
    max_episode_steps  the time limit; 0: none
    """

    name: str
    probability: Tensor
    successor: Tensor
    payoff: Tensor
    deviation: Tensor
    terminal: Tensor
    start: Tensor
    max_episode_steps: int = 0

    def model(self, device: torch.device | str = "cpu") -> FiniteModel:
        """Return expectations over the outcomes; equal successors add up."""
        states, actions, outcomes = self.probability.shape
        reward = torch.where(self.probability > 0, self.probability * self.payoff, 0.0).sum(-1)
        rows = torch.arange(states * actions).repeat_interleave(outcomes)
        places, weights = rows * states + self.successor.reshape(-1), self.probability.reshape(-1)
        if states * actions * states <= DENSE:
            flat = torch.zeros(states * actions * states, dtype=torch.float64).index_add_(0, places, weights)
            table = flat.reshape(states, actions, states)
        else:
            table = _compressed(places, weights, states * actions, states)
        return FiniteModel(*(tensor.to(device) for tensor in (table, reward, self.terminal, self.start)))


def _compressed(places: Tensor, weights: Tensor, rows: int, columns: int) -> Tensor:
    """CSR [rows, columns] of the weights at row * columns + column; those at one place add up."""
    present = weights > 0
    distinct, belonging = torch.unique(places[present], return_inverse=True)
    values = torch.zeros(len(distinct), dtype=torch.float64).index_add_(0, belonging, weights[present])
    starts = torch.searchsorted(distinct, torch.arange(rows + 1) * columns)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that compressed tensors are young
        return torch.sparse_csr_tensor(starts, distinct % columns, values, (rows, columns), check_invariants=True)


def process_from_arrays(
    transition: Any,
    reward: Any,
    terminal: Any,
    start: Any,
    *,
    deviation: Any = None,
    name: str = "given",
    max_episode_steps: int = 0,
) -> FiniteProcess:
    """P(s'|s,a) [S, A, S], R [S, A], terminal [S] boolean, start [S]; `deviation` [S, A] of normal noise on the reward."""
    table, rewards, first = (torch.as_tensor(array, dtype=torch.float64) for array in (transition, reward, start))
    ends = torch.as_tensor(terminal, dtype=torch.bool)
    if table.ndim != 3 or table.shape[0] != table.shape[2] or rewards.shape != table.shape[:2]:
        raise ValueError(f"transition must be [S, A, S] and reward [S, A]; got {list(table.shape)} and {list(rewards.shape)}")
    if ends.shape != first.shape or first.shape != table.shape[:1]:
        raise ValueError(f"terminal and start must be [{len(table)}]; got {list(ends.shape)} and {list(first.shape)}")
    outcomes = int((table > 0).sum(-1).max())
    probability, successor = table.sort(dim=-1, descending=True, stable=True)
    payoff = rewards[:, :, None].expand(*rewards.shape, outcomes).contiguous()
    noise = torch.zeros_like(rewards) if deviation is None else torch.as_tensor(deviation, dtype=torch.float64)
    found = FiniteProcess(
        name, probability[..., :outcomes], successor[..., :outcomes], payoff, noise, ends, first, max_episode_steps
    )
    return _checked(found)


def process_from_table(table: Any, start: Any, *, name: str, max_episode_steps: int = 0) -> FiniteProcess:
    """Gymnasium's P[s][a] = [(probability, next state, reward, terminated), ...].

    A terminated outcome leads to one extra state, the last, absorbing and without reward, whatever state it names.
    """
    rows = cast("Sequence[Mapping[int, Any]]", [table[state] for state in range(len(table))])
    states, actions = len(rows), len(rows[0])
    outcomes = max(len(row[action]) for row in rows for action in range(actions))
    probability = torch.zeros(states + 1, actions, outcomes, dtype=torch.float64)
    successor = torch.full((states + 1, actions, outcomes), states)
    payoff = torch.zeros_like(probability)
    probability[states, :, 0] = 1.0
    for state, row in enumerate(rows):
        for action in range(actions):
            for place, (chance, following, reward, end) in enumerate(row[action]):
                probability[state, action, place], payoff[state, action, place] = float(chance), float(reward)
                successor[state, action, place] = states if end else int(following)
    first = torch.zeros(states + 1, dtype=torch.float64)
    first[:states] = 1 / states if start is None else torch.as_tensor(start, dtype=torch.float64)
    terminal = torch.arange(states + 1) == states
    noise = torch.zeros(states + 1, actions, dtype=torch.float64)
    return _checked(FiniteProcess(name, probability, successor, payoff, noise, terminal, first, max_episode_steps))


def bit_flip(bits: int, *, max_episode_steps: int = 100) -> FiniteProcess:
    """s' = s XOR 2^a; the reward is 1 where bit a of s was 0, else -1. Starts uniformly, never ends.

    source  Kozakowski et al. 2021, BitFlip; the time limit is ours
    """
    if bits < 1:
        raise ValueError(f"BitFlip must have at least one bit; got {bits}")
    state, bit = torch.arange(2**bits)[:, None], torch.arange(bits)
    reward = torch.where((state >> bit) & 1 == 1, -1.0, 1.0).double()
    return FiniteProcess(
        f"BitFlip-{bits}",
        torch.ones(2**bits, bits, 1, dtype=torch.float64),
        (state ^ (1 << bit))[..., None],
        reward[..., None],
        torch.zeros_like(reward),
        torch.zeros(2**bits, dtype=torch.bool),
        torch.full((2**bits,), 2.0**-bits, dtype=torch.float64),
        max_episode_steps,
    )


def bias_chain(*, arms: int = 10, mean: float = -0.1, deviation: float = 1.0, max_episode_steps: int = 0) -> FiniteProcess:
    """Left (action 0) leads from A (state 0) to B (state 1), whose arms pay N(mean, deviation^2) and end; all else ends unpaid.

    source  Sutton & Barto 2018, example 6.7
    """
    if arms < 2:
        raise ValueError(f"BiasChain must have at least 2 arms; got {arms}")
    successor = torch.full((3, arms), 2)
    successor[0, 0] = 1
    reward, noise = torch.zeros(3, arms, dtype=torch.float64), torch.zeros(3, arms, dtype=torch.float64)
    reward[1], noise[1] = mean, deviation
    ends, start = torch.tensor([False, False, True]), torch.eye(3, dtype=torch.float64)[0]
    ones = torch.ones(3, arms, 1, dtype=torch.float64)
    return FiniteProcess("BiasChain", ones, successor[..., None], reward[..., None], noise, ends, start, max_episode_steps)


def toy_maze(
    *, length: int = 7, width: int = 2, noise: float = 0.25, goal_reward: float = 10.0, max_episode_steps: int = 100
) -> FiniteProcess:
    """A U on its side: from the lower left corner, round a wall, to the goal in the upper left corner; entering it pays and ends.

    Two corridors of `width` rows and `length` columns, a wall between them that leaves `width` columns at the right. The moves are
    up, right, down, left; one into a wall stays; with probability `noise` a uniformly random one is made instead.

    source  Kostrikov et al. 2021, figure 2, whose size is not published; the size and the time limit are ours
    """
    if not 0 < width < length or not 0 <= noise <= 1:
        raise ValueError(f"the maze must have 0 < width < length and noise in [0, 1]; got {width}, {length}, {noise}")
    wall = [(width, column) for column in range(length - width)]
    cells = [(row, column) for row in range(2 * width + 1) for column in range(length) if (row, column) not in wall]
    number = {cell: place for place, cell in enumerate(cells)}
    moves = ((-1, 0), (0, 1), (1, 0), (0, -1))
    landing = torch.tensor(
        [[number.get((row + down, column + right), place) for down, right in moves] for (row, column), place in number.items()]
    )
    move = torch.eye(len(cells), dtype=torch.float64)[landing]
    transition = (1 - noise) * move + noise * move.mean(1, keepdim=True)
    goal = torch.arange(len(cells)) == 0
    transition[0] = goal.double()
    start = torch.eye(len(cells), dtype=torch.float64)[number[2 * width, 0]]
    unpaid = torch.zeros(len(cells), 4)
    found = process_from_arrays(transition, unpaid, goal, start, name="ToyMaze", max_episode_steps=max_episode_steps)
    return found._replace(payoff=goal_reward * ((found.successor == 0) & ~goal[:, None, None]))


def _checked(process: FiniteProcess) -> FiniteProcess:
    """Probabilities are probabilities, and some state is one to start from."""
    for name, sums in (("outcomes", process.probability.sum(-1)), ("start", process.start.sum())):
        if bool((sums - 1).abs().max() > 1e-9) or bool((process.probability < 0).any() | (process.start < 0).any()):
            shown = sums.flatten()[:4].tolist()
            raise ValueError(f"probabilities of {name} in {process.name} must be >= 0 and sum to 1; got sums {shown} ...")
    return process
