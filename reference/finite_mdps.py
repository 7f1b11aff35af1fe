"""Finite decision processes as tables: from Gymnasium, and the small worlds that the claims are tried on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from reference._checks import FloatArray, flags, integer, probability_rows, scalar, sums_to_one

Outcome: TypeAlias = tuple[float, int, float, bool]
Actions: TypeAlias = Mapping[int, Sequence[Outcome]] | Sequence[Sequence[Outcome]]
Table: TypeAlias = Mapping[int, Actions] | Sequence[Actions]


class FiniteMDP(NamedTuple):
    """P(s'|s,a), R(s,a) = E[r|s,a] and the distribution of the first state: what the bellman operators take.

    >>> world = bit_flip(3)
    >>> world.transition.shape, world.dense().transition.shape
    ((24, 8), (8, 3, 8))

    name        what reports call it
    transition  [S, A, S], or CSR [S*A, S] with row s*A + a; rows sum to 1
    reward      [S, A], in units of reward
    start       [S], sums to 1
    terminal    [S], boolean: absorbing, with reward 0, so that its value is 0
    """

    name: str
    transition: FloatArray | csr_array
    reward: FloatArray
    start: FloatArray
    terminal: NDArray[np.bool_]

    def dense(self) -> FiniteMDP:
        """Return the same process with `transition` [S, A, S]."""
        if isinstance(self.transition, np.ndarray):
            return self
        return self._replace(transition=self.transition.toarray().reshape(*self.reward.shape, -1))

    def csr(self) -> FiniteMDP:
        """Return the same process with `transition` CSR [S*A, S]."""
        if not isinstance(self.transition, np.ndarray):
            return self
        return self._replace(transition=csr_array(self.transition.reshape(self.reward.size, -1)))


def from_table(P: Table, name: str, dense: bool = False, start: ArrayLike | None = None) -> FiniteMDP:
    """P(s'|s,a) = Σ p over the outcomes in P[s][a] that go on to s'; R(s,a) = Σ p·r over all of them.

    P[s][a] lists (probability, next state, reward, terminated), as Gymnasium's `env.unwrapped.P` does. A terminated
    outcome must not bootstrap, whatever state it names: it leads to one extra state, absorbing and without reward.

    >>> coin = from_table([[[(0.5, 0, 1.0, False), (0.5, 0, 4.0, True)]]], "coin", dense=True)
    >>> coin.transition[0, 0], coin.reward[:, 0], coin.terminal
    (array([0.5, 0.5]), array([2.5, 0. ]), array([False,  True]))

    P          S states, A actions in each, any number of outcomes; equal next states add up
    dense      transition is [S+1, A, S+1] if true, CSR [(S+1)*A, S+1] if not
    start      [S], sums to 1; None is uniform over the table's states
    returns    FiniteMDP of S+1 states, the extra one last; rewards in the table's units
    raises     ValueError if the states differ in their actions, a next state is not in the table, `terminated` is not
               boolean, a probability is negative or not finite, a reward is NaN, or P[s][a] does not sum to 1
    source     Sutton & Barto 2018, eqs. 3.4 and 3.5, §3.4 (absorbing state); Gymnasium 1.4, toy_text
    """
    rows = [_in_order(row, f"P[{state}]") for state, row in enumerate(_in_order(P, "P"))]
    states, actions = len(rows), len(rows[0]) if rows else 0
    if actions == 0:
        raise ValueError(f"P must have at least one state and one action; got {states} states and {actions} actions")
    outcomes = np.array(list(_outcomes(rows)), dtype=np.float64).reshape(-1, 4)
    # An outcome that cannot happen has no reward either, not even an infinite one.
    pair, successor, probability, payoff = outcomes[outcomes[:, 2] > 0].T
    row, shape = pair.astype(np.int64), (states + 1, actions)
    reward, sums = np.zeros(shape), np.zeros(shape)
    np.add.at(reward.reshape(-1), row, probability * payoff)
    np.add.at(sums.reshape(-1), row, probability)
    sums_to_one("P", sums[:states], states + 1, 2.0**-53)
    row = np.append(row, np.arange(states * actions, sums.size))
    column = np.append(successor.astype(np.int64), np.full(actions, states))
    weight = np.append(probability, np.ones(actions))
    transition = csr_array((weight, (row, column)), shape=(sums.size, states + 1))
    first = np.append(_start(start, states), 0.0)
    mdp = FiniteMDP(name, transition, reward, first, terminal=np.arange(states + 1) == states)
    return mdp.dense() if dense else mdp


def from_gymnasium(env: Any) -> FiniteMDP:
    """P and R of a Gymnasium environment that publishes its table as `env.unwrapped.P`; CSR.

    The first state is drawn from `initial_state_distrib` where the environment has one, else uniformly:

    >>> class Coin:
    ...     P = {0: {0: [(0.5, 0, 1.0, False), (0.5, 0, 4.0, True)]}}
    >>> from_gymnasium(Coin()).dense().transition[0, 0]
    array([0.5, 0.5])

    env        anything with a table P, wrapped or not (FrozenLake, Taxi, CliffWalking)
    returns    FiniteMDP of one state more than the environment: the end of the episode, as in `from_table`
    raises     ValueError if there is no table, or a bad one
    source     Gymnasium 1.4, toy_text
    """
    bare = getattr(env, "unwrapped", env)
    if not hasattr(bare, "P"):
        raise ValueError(f"env must publish its table as env.unwrapped.P; got {type(bare).__name__}")
    spec = getattr(env, "spec", None)
    name = type(bare).__name__ if spec is None else str(spec.id)
    return from_table(bare.P, name, start=getattr(bare, "initial_state_distrib", None))


def toy_maze(*, length: int = 7, width: int = 2, noise: float = 0.25, goal_reward: float = 10.0) -> FiniteMDP:
    """P(·|s,a) = (1 − noise)·move(s, a) + noise·mean over the four moves; entering the goal pays and ends.

    Two corridors joined at the right, a U lying on its side: from the lower left, round the wall, to the upper left.
    The moves are 0 up, 1 right, 2 down, 3 left; a move into a wall stays. Here start S, goal G, wall #:

        G . . . . . .
        . . . . . . .
        # # # # # . .
        . . . . . . .
        S . . . . . .

    >>> maze = toy_maze()
    >>> maze.reward.shape, maze.terminal.argmax(), maze.start.argmax(), maze.reward[1].tolist()
    ((30, 4), np.int64(0), np.int64(23), [0.625, 0.625, 0.625, 8.125])

    length       columns, more than `width`
    width        rows of each corridor, and columns of the passage between them
    noise        in [0, 1], the probability of a uniformly random move instead of the chosen one
    goal_reward  paid on entering the goal, in units of reward
    returns      FiniteMDP, dense; the states are the free cells, row by row from the top
    raises       ValueError if a size is not a positive integer, length <= width, or noise is outside [0, 1]
    source       Kostrikov et al. 2021, Fig. 2, whose grid size is not published: 30 cells are our choice
    """
    width, length = integer("width", width, 1), integer("length", length, 1)
    if length <= width:
        raise ValueError(f"length must be more than width; got length {length}, width {width}")
    noise, goal_reward = scalar("noise", noise, "[0, 1]"), scalar("goal_reward", goal_reward, "[-inf, inf]")
    free = np.ones((2 * width + 1, length), dtype=bool)
    free[width, : length - width] = False
    states, goal, start = int(free.sum()), 0, int(free[:-1].sum())
    move = np.eye(states)[_landing(free)]
    transition = (1 - noise) * move + noise * move.mean(axis=1, keepdims=True)
    transition[goal] = np.eye(states)[goal]
    reached = transition[:, :, goal]
    reward = np.where(reached > 0, goal_reward * reached, 0.0)
    reward[goal] = 0.0
    return FiniteMDP("toy_maze", transition, reward, np.eye(states)[start], np.arange(states) == goal)


def bias_chain(*, arms: int = 10, mean: float = -0.1) -> FiniteMDP:
    """Q*(A, right) = 0 and Q*(A, left) = γ·max(arms) = γ·mean: left looks good only to a maximum over noisy arms.

    In A (state 0) action 0 goes left to B (state 1) and every other action goes right to the end (state 2), all
    without reward. In B each arm ends the episode. `reward` holds expectations: the unit normal noise on B's arms,
    which misleads a learner, is added by whoever samples.

    >>> chain = bias_chain(arms=3)
    >>> chain.transition[0].argmax(axis=-1), chain.reward[1]
    (array([1, 2, 2]), array([-0.1, -0.1, -0.1]))

    arms       A, the number of actions everywhere, at least 2
    mean       expected reward of each arm, in units of reward
    returns    FiniteMDP of 3 states, dense
    raises     ValueError if arms < 2 or mean is not a real number
    source     Sutton & Barto 2018, example 6.7 (there A has two actions and B "many")
    """
    arms, mean = integer("arms", arms, 2), scalar("mean", mean, "[-inf, inf]")
    successor = np.full((3, arms), 2)
    successor[0, 0] = 1
    reward = np.zeros((3, arms))
    reward[1] = mean
    return FiniteMDP("bias_chain", np.eye(3)[successor], reward, np.eye(3)[0], np.array([False, False, True]))


def bit_flip(bits: int) -> FiniteMDP:
    """s' = s XOR 2^a; R(s,a) = +1 where bit a of s was 0, −1 where it was 1.

    >>> bit_flip(2).reward
    array([[ 1.,  1.],
           [-1.,  1.],
           [ 1., -1.],
           [-1., -1.]])

    bits       number of bits, from 1; also the number of actions
    returns    FiniteMDP of 2^bits states, CSR; it never ends, and starts uniformly
    raises     ValueError if bits is not a positive integer
    source     Kozakowski et al. 2021, BitFlip
    """
    bits = integer("bits", bits, 1)
    state, bit = np.arange(2**bits)[:, None], np.arange(bits)
    reward = np.where(state >> bit & 1, -1.0, 1.0)
    successor = (state ^ (1 << bit)).ravel()
    transition = csr_array((np.ones(len(successor)), successor, np.arange(len(successor) + 1)))
    return FiniteMDP("bit_flip", transition, reward, np.full(2**bits, 2.0**-bits), np.zeros(2**bits, dtype=bool))


def random_mdp(generator: np.random.Generator, states: int, actions: int, successors: int, sparse: bool = False) -> FiniteMDP:
    """P(·|s,a) ~ Dirichlet(1, …, 1) on `successors` distinct states drawn uniformly; R(s,a) ~ N(0, 1).

    One successor makes the process deterministic:

    >>> world = random_mdp(np.random.default_rng(0), states=4, actions=2, successors=1)
    >>> np.unique(world.transition)
    array([0., 1.])

    generator  the source of all randomness
    successors from 1 to states, for every pair of state and action
    sparse     transition is CSR [S*A, S] if true, [S, A, S] if not; the numbers are the same
    returns    FiniteMDP that never ends and starts uniformly
    raises     ValueError if a size is not a positive integer or successors > states
    source     Archibald, McKinnon & Thomas 1995 (Garnet problems: fixed number of successors)
    """
    states, actions = integer("states", states, 1), integer("actions", actions, 1)
    successors = integer("successors", successors, 1)
    if successors > states:
        raise ValueError(f"successors must not exceed states; got {successors} successors, {states} states")
    index = _distinct(generator, states * actions, states, successors)
    weight = generator.exponential(size=index.shape)
    probability = weight / weight.sum(axis=1, keepdims=True)
    ends = np.arange(0, index.size + 1, successors)
    transition = csr_array((probability.ravel(), index.ravel(), ends), shape=(states * actions, states))
    reward = generator.normal(size=(states, actions))
    mdp = FiniteMDP("random_mdp", transition, reward, np.full(states, 1 / states), np.zeros(states, dtype=bool))
    return mdp if sparse else mdp.dense()


def _in_order(table: Any, where: str) -> list[Any]:
    """The entries 0, 1, … of a list or of a dictionary with these keys."""
    try:
        return [table[key] for key in range(len(table))]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{where} must have the keys 0, 1, …; got {table!r:.60}") from error


def _outcomes(rows: list[list[Any]]) -> Iterator[tuple[int, int, float, float]]:
    """Each outcome as (s*A + a, next state or S where terminated, probability, reward), checked."""
    states, actions = len(rows), len(rows[0])
    for state, row in enumerate(rows):
        if len(row) != actions:
            raise ValueError(f"P must have the same actions in every state; got {len(row)} at P[{state}], {actions} at P[0]")
        for action, outcomes in enumerate(row):
            where = f"P[{state}][{action}]"
            for outcome in _in_order(outcomes, where):
                if not isinstance(outcome, Sequence) or len(outcome) != 4:
                    raise ValueError(f"{where} must list (probability, next state, reward, terminated); got {outcome}")
                probability = scalar(f"probability in {where}", outcome[0], "[0, inf)")
                successor = integer(f"next state in {where}", outcome[1], 0)
                reward = scalar(f"reward in {where}", outcome[2], "[-inf, inf]")
                end = bool(flags(f"terminated in {where}", outcome[3]))
                if successor >= states:
                    raise ValueError(f"next state must lie in [0, {states}); got {successor} in {where}")
                yield state * actions + action, states if end else successor, probability, reward


def _start(start: ArrayLike | None, states: int) -> FloatArray:
    """The first state's distribution over the table's states."""
    first = np.full(states, 1 / states) if start is None else probability_rows("start", start)
    if first.shape != (states,):
        raise ValueError(f"start has shape {first.shape}, P has {states} states; start must be [S]")
    return first


def _landing(free: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For each free cell, row by row, the number of the cell that each move reaches."""
    number = np.full((free.shape[0] + 2, free.shape[1] + 2), -1)  # a rim of wall, so that no move leaves the array
    number[1:-1, 1:-1][free] = np.arange(free.sum())
    row, column = np.argwhere(number >= 0).T
    moves = ((-1, 0), (0, 1), (1, 0), (0, -1))
    ahead = np.stack([number[row + down, column + right] for down, right in moves], axis=1)
    return np.where(ahead >= 0, ahead, np.arange(len(row))[:, None])


def _distinct(generator: np.random.Generator, rows: int, states: int, size: int) -> NDArray[np.int64]:
    """`size` different states per row, all subsets equally likely (Floyd 1987): `size` passes, whatever `states` is."""
    chosen = np.full((rows, size), -1)
    for taken, last in enumerate(range(states - size, states)):
        drawn = generator.integers(0, last + 1, size=rows)
        repeated = (chosen[:, :taken] == drawn[:, None]).any(axis=1)
        chosen[:, taken] = np.where(repeated, last, drawn)
    return chosen
