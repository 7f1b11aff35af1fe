"""What holds on every draw of the exploring samplers, whatever the seed: range, zero probabilities, rows on their own (X1, X2)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

from properties._bounds import Floats
from properties._claim import Seeded, claim
from properties._draw import SEEDS, rows, temperatures
from properties._exploration_bounds import EPSILON, LECTURE, SOFTMAX, SUTTON, infinite_rows, shares
from properties._exploration_first_numbers import FIRST_NUMBERS
from properties._trial import Trial

SAMPLERS = ("sample_epsilon_greedy", "sample_boltzmann")


def _explored(port: Trial, q: Floats, boldness: float, generator: Seeded, over: str = "all") -> Any:
    """One draw for each row, with epsilon or temperature `boldness`."""
    knobs = {"epsilon": boldness, "over": over} if port.subject == "sample_epsilon_greedy" else {"temperature": boldness}
    return getattr(port, port.subject)(q, **knobs, generator=generator)


def _chosen(port: Trial, q: Floats, action: Any, table: Floats) -> Floats:
    """The entry of `table` at the action of each row, once every action is known to be an index of the row."""
    port.holds(np.shape(action) == q.shape[:-1], f"one action a row: due is shape {q.shape[:-1]}, got {np.shape(action)}")
    inside = (np.asarray(action) >= 0) & (np.asarray(action) < q.shape[-1])
    port.holds(bool(np.all(inside)), "every action is an index of its row", found=action)
    return np.take_along_axis(table, np.asarray(action)[..., None], axis=-1)[..., 0]


@claim(
    "X1",
    source=f"{SUTTON}; {LECTURE}",
    operators=SAMPLERS,
    given={"q": infinite_rows(), "boldness": EPSILON["epsilon"], "over": EPSILON["over"], "generator": SEEDS},
    share=0.5,
)
def drawn_actions_are_indices_and_none_is_impossible(port: Trial, q: Floats, boldness: float, over: str, generator: Seeded) -> None:
    """Each row draws one action of its own; with epsilon or temperature 0, one of its maximisers."""
    _chosen(port, q, _explored(port, q, boldness, generator, over), q)
    greedy = _chosen(port, q, _explored(port, q, 0.0, generator, over), shares(q))
    port.holds(bool(np.all(greedy > 0)), "without exploration a maximiser is drawn", found=greedy)


@claim(
    "X1",
    source=LECTURE,
    operators=["sample_epsilon_greedy"],
    given={"q": rows(shortest=2), "generator": SEEDS},
    share=0.5,
)
def exploring_always_among_the_others_never_draws_the_only_best(port: Trial, q: Floats, generator: Seeded) -> None:
    """With epsilon = 1 over the others, an action that alone is best is never drawn."""
    taken = _chosen(port, q, _explored(port, q, 1.0, generator, "others"), shares(q))
    port.holds(bool(np.all(taken < 1)), "the only maximiser was drawn", found=taken)


@claim(
    "X2",
    source=SOFTMAX,
    operators=["sample_boltzmann"],
    given={"q": infinite_rows(), "temperature": temperatures(), "generator": SEEDS},
    share=0.5,
)
def boltzmann_never_draws_what_it_gives_no_mass(port: Trial, q: Floats, temperature: float, generator: Seeded) -> None:
    """No action is drawn whose value lies 2^12 temperatures or infinitely below the best: its probability, exp(-2^12), is 0."""
    gap = np.where(q == q.max(axis=-1, keepdims=True), 0.0, q.max(axis=-1, keepdims=True) - q)
    taken = _chosen(port, q, _explored(port, q, temperature, generator), gap)
    port.at_most(taken / temperature, np.full(taken.shape, 2.0**12), 0.0, "gap / t of the drawn actions")


@claim(
    "X1",
    source=f"{SUTTON} (explore with probability epsilon)",
    operators=SAMPLERS,
    given={"best": st.integers(1, 62), "over": EPSILON["over"], "generator": FIRST_NUMBERS},
    share=0.25,
)
def no_uniform_number_makes_an_action_of_probability_zero(port: Trial, best: int, over: str, generator: Seeded) -> None:
    """With epsilon or temperature 0 the only maximiser is drawn, though the first uniform number be 0 or the largest below 1."""
    drawn = np.asarray(_explored(port, (np.arange(64) == best) * 1.0, 0.0, generator, over))
    port.equal(drawn, np.asarray(best), 0.0, "the only maximiser")


@claim("X1", source=SUTTON, operators=SAMPLERS, given={"actions": st.integers(2, 5), "generator": SEEDS}, share=0.1)
def every_row_draws_for_itself(port: Trial, actions: int, generator: Seeded) -> None:
    """Of 64 x 64 rows of equal values neither all rows nor all columns draw alike (chance does so once in 2^4000 seeds), and no
    action is left out (once in 2^1300)."""
    drawn = np.asarray(_explored(port, np.zeros((64, 64, actions)), 1.0, generator))
    for axis in (0, 1):
        port.holds(bool(np.any(np.diff(drawn, axis=axis))), f"the rows along axis {axis} all drew the same", found=drawn)
    port.holds(len(np.unique(drawn)) == actions, "every action is drawn", found=np.unique(drawn))


@claim(
    "X3",
    source="Fortunato et al. 2018, §3(b): p + q independent unit Gaussians a layer",
    operators=["sample_layer_noise"],
    given={"inputs": st.integers(1, 9), "outputs": st.integers(1, 9), "generator": SEEDS},
    share=0.3,
)
def a_layer_draws_one_number_an_input_and_one_an_output(port: Trial, inputs: int, outputs: int, generator: Seeded) -> None:
    """noise_in has one entry an input, noise_out one an output; all finite, and no vector is one number repeated or the other."""
    noise_in, noise_out = port.sample_layer_noise(inputs, outputs, generator=generator)
    found = (np.shape(noise_in), np.shape(noise_out))
    port.holds(found == ((inputs,), (outputs,)), f"due are shapes {((inputs,), (outputs,))}; got {found}")
    both = np.concatenate([noise_in, noise_out])
    port.holds(
        bool(np.all(np.isfinite(both))) and float(np.abs(both).max()) < math.sqrt(2.0**12), "unit normal numbers", found=both
    )
    wide_in, wide_out = port.sample_layer_noise(64, 64, generator=generator)
    port.holds(bool(np.any(wide_in != wide_out)), "noise_in is not noise_out", found=wide_out)
    port.holds(bool(np.ptp(wide_in) > 0 and np.ptp(wide_out) > 0), "no number is drawn for all", found=wide_in)
    port.holds(bool(np.any(wide_in < 0) and np.any(wide_in > 0)), "both signs are drawn", found=wide_in)
