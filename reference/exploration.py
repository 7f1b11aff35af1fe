"""Exploration: how often each action is tried, and the noise that tries in an action's stead.

The first three operators give probabilities, the samplers draw from them, every row on its own. NoisyNet perturbs the
last layers instead. ±inf are allowed: actions of value +inf share what goes to the best, and an infinite weight or
input of a noisy layer follows IEEE.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from reference._checks import (
    FloatArray,
    IntArray,
    choice,
    integer,
    last_axis,
    random_generator,
    real_array,
    scalar,
)
from reference.aggregates import _softmax

EXPLORED = ("all", "others")


class LayerNoise(NamedTuple):
    """One draw of noise for one noisy layer, before f(x) = sign(x) · √|x|."""

    noise_in: FloatArray
    noise_out: FloatArray


def greedy(q: ArrayLike) -> FloatArray:
    """π(a) = 1[q(a) = max q] / k over the last axis, k the number of maximisers.

    All on the largest value, evenly over exact ties:

    >>> greedy([[1.0, 3.0, 2.0], [3.0, 1.0, 3.0]])
    array([[0. , 1. , 0. ],
           [0.5, 0. , 0.5]])

    q        [..., A]  Q(s, ·), in units of value; actions of +inf tie
    returns  [..., A]  probabilities; each row sums to 1
    raises   ValueError if q has NaN, is not real, or has no action
    source   Sutton & Barto 2018, eq. (2.2), with its ties broken evenly at random
    """
    return _greedy(_action_values(q))


def epsilon_greedy(q: ArrayLike, *, epsilon: float, over: str = "all") -> FloatArray:
    """(1 − ε) · g + ε / A over all actions, or (1 − ε) · g + ε · (1 − g) / (A − 1) over the others, g = greedy(q).

    ε is the probability of *exploring*. Over "all", exploring may happen on the greedy action; over "others" it never is:

    >>> epsilon_greedy([0.0, 9.0], epsilon=0.2)
    array([0.1, 0.9])
    >>> epsilon_greedy([0.0, 9.0], epsilon=0.2, over="others")
    array([0.2, 0.8])

    q        [..., A]  Q(s, ·), in units of value
    epsilon  scalar    ε in [0, 1]; 0 is greedy
    over     str       "all" or "others": a maximiser, drawn evenly among ties, has 1 − ε and each action but that one
                       ε / (A − 1); a single action has all mass
    returns  [..., A]  probabilities; each row sums to 1
    raises   ValueError if q has NaN, is not real, or has no action; if epsilon or over is none of these
    source   Sutton & Barto 2018, §2.2 ("all"); Agrawal, Computational Sensorimotor Learning 2021, lecture 4 ("others")
    """
    return _epsilon_greedy(q, epsilon, over)


def boltzmann(q: ArrayLike, *, temperature: float) -> FloatArray:
    """π(a) = exp(q(a) / t) / Σ_b exp(q(b) / t) over the last axis, t = temperature: argmax_π π·q + t · H(π).

    Better actions are more frequent, and the *lower* the temperature the greedier; no value is too large:

    >>> boltzmann([1000.0, 1001.0], temperature=1.0).round(3)
    array([0.269, 0.731])
    >>> boltzmann([1000.0, 1001.0], temperature=0.1).round(3)
    array([0., 1.])

    q            [..., A]  Q(s, ·), in units of value; +inf share all mass, −inf have none unless all are −inf
    temperature  scalar    in [0, inf], in units of value; 0 is greedy(q), inf is 1/A for every action, whatever q
    returns      [..., A]  probabilities; each row sums to 1
    raises       ValueError if q has NaN, is not real, or has no action; if temperature < 0 or NaN
    source       Sutton & Barto 2018, eq. (2.11) with q in the place of the preferences
    """
    return _softmax(_action_values(q), scalar("temperature", temperature, "[0, inf]"))


def factorised_noise(noise_in: ArrayLike, noise_out: ArrayLike) -> FloatArray:
    """ε_oi = f(noise_out_o) · f(noise_in_i), f(x) = sign(x) · √|x|.

    One row for each *output*; signs multiply, so two negatives make a positive:

    >>> factorised_noise([4.0, -9.0], [-1.0, 25.0])
    array([[ -2.,   3.],
           [ 10., -15.]])

    noise_in   [..., I]     one number for each input, usually from N(0, 1)
    noise_out  [..., O]     one number for each output, likewise
    returns    [..., O, I]  the noise of each weight, of mean 0 and variance (2/π) where those are N(0, 1)
    raises     ValueError if leading axes differ, data has NaN or is not real, or I or O is 0
    source     Fortunato et al. 2018, eq. (10)
    """
    rows, columns = real_array("noise_in", noise_in), real_array("noise_out", noise_out)
    last_axis("noise_in", rows)
    last_axis("noise_out", columns)
    if rows.shape[:-1] != columns.shape[:-1]:
        raise ValueError(
            f"noise_out has shape {columns.shape}, noise_in has shape {rows.shape}; all axes but the last must be equal"
        )
    with np.errstate(invalid="ignore"):
        return np.asarray(_signed_root(columns)[..., :, None] * _signed_root(rows)[..., None, :])


def noisy_linear(
    x: ArrayLike,
    weight: ArrayLike,
    weight_scale: ArrayLike,
    bias: ArrayLike,
    bias_scale: ArrayLike,
    noise_in: ArrayLike,
    noise_out: ArrayLike,
) -> FloatArray:
    """(W + S ∘ f(noise_out) f(noise_in)ᵀ) · x + b + s ∘ f(noise_out), f(x) = sign(x) · √|x|.

    A linear layer whose weights are shifted by scale times noise; the bias takes the *output's* noise. One draw serves
    the whole batch:

    >>> noisy_linear([[1.0], [2.0]], [[3.0]], [[0.5]], [10.0], [2.0], [4.0], [1.0])
    array([[16.],
           [20.]])

    x             [..., I]  the layer's input
    weight        [O, I]    W, the mean weights
    weight_scale  [O, I]    S, any sign: the σ of each weight
    bias          [O]       b, the mean bias
    bias_scale    [O]       s, any sign: the σ of each bias
    noise_in      [I]       one number for each input, usually from N(0, 1), as f's argument
    noise_out     [O]       one number for each output, likewise
    returns       [..., O]  in units of b
    raises        ValueError if shapes do not fit, data has NaN or is not real, or I or O is 0
    source        Fortunato et al. 2018, eqs. (9)-(11) (their μ are our weight and bias, their σ our scales)
    """
    inputs, w = _input_and_weight(x, weight)
    w_scale = _fitting("weight_scale", weight_scale, "[O, I]", w.shape, w.shape)
    b, b_scale = (_fitting(n, v, "[O]", w.shape[:1], w.shape) for n, v in (("bias", bias), ("bias_scale", bias_scale)))
    rows = _fitting("noise_in", noise_in, "[I]", w.shape[1:], w.shape)
    columns = _fitting("noise_out", noise_out, "[O]", w.shape[:1], w.shape)
    with np.errstate(over="ignore", invalid="ignore"):
        perturbed = w + w_scale * factorised_noise(rows, columns)
        # A sum along the last axis, not a matrix product: one input's output then depends on no other in its batch.
        return np.asarray((perturbed * inputs[..., None, :]).sum(axis=-1) + (b + b_scale * _signed_root(columns)))


def sample_epsilon_greedy(q: ArrayLike, *, epsilon: float, over: str = "all", generator: np.random.Generator) -> IntArray:
    """a ~ epsilon_greedy(q, epsilon, over), one action for each row.

    At ε = 0 a maximiser is drawn, and over "others" ε = 1 draws anything but it:

    >>> generator = np.random.default_rng(0)
    >>> sample_epsilon_greedy([[0.0, 9.0], [9.0, 0.0]], epsilon=0.0, generator=generator)
    array([1, 0])
    >>> sample_epsilon_greedy([[0.0, 9.0], [9.0, 0.0]], epsilon=1.0, over="others", generator=generator)
    array([0, 1])

    q          [..., A]   Q(s, ·), in units of value
    epsilon    scalar     ε in [0, 1]
    over       str        "all" or "others", as in epsilon_greedy
    generator  Generator  advanced by one uniform number for each row
    returns    [...]      int64 in [0, A), rows independent; an action of probability 0 is never drawn
    raises     ValueError as epsilon_greedy, and if generator is not a numpy.random.Generator
    source     Sutton & Barto 2018, §2.2
    """
    return _drawn(_epsilon_greedy(q, epsilon, over), random_generator(generator))


def sample_boltzmann(q: ArrayLike, *, temperature: float, generator: np.random.Generator) -> IntArray:
    """a ~ boltzmann(q, temperature), one action for each row.

    At temperature 0 a maximiser is drawn; at any other, larger values come up more often:

    >>> generator = np.random.default_rng(0)
    >>> sample_boltzmann([[0.0, 9.0], [9.0, 0.0]], temperature=0.0, generator=generator)
    array([1, 0])
    >>> draws = sample_boltzmann([[0.0, 1.0]] * 1000, temperature=1.0, generator=generator)
    >>> bool(abs(draws.mean() - 0.731) < 0.07)
    True

    q            [..., A]   Q(s, ·), in units of value
    temperature  scalar     in [0, inf], in units of value
    generator    Generator  advanced by one uniform number for each row
    returns      [...]      int64 in [0, A), rows independent; an action of probability 0 is never drawn
    raises       ValueError as boltzmann, and if generator is not a numpy.random.Generator
    source       Sutton & Barto 2018, eq. (2.11)
    """
    return _drawn(boltzmann(q, temperature=temperature), random_generator(generator))


def sample_layer_noise(inputs: int, outputs: int, *, generator: np.random.Generator) -> LayerNoise:
    """noise_in_i ~ N(0, 1), noise_out_o ~ N(0, 1), all independent: I + O numbers for a layer of I · O weights.

    Before f(x) = sign(x) · √|x|, which factorised_noise applies and noisy_linear too:

    >>> noise = sample_layer_noise(3, 2, generator=np.random.default_rng(0))
    >>> noise.noise_in.shape, noise.noise_out.shape
    ((3,), (2,))

    inputs     integer >= 1  I
    outputs    integer >= 1  O
    generator  Generator     advanced by the inputs' numbers first, then by the outputs'
    returns    LayerNoise    (noise_in [I], noise_out [O])
    raises     ValueError if inputs or outputs is not such an integer, generator not a numpy.random.Generator
    source     Fortunato et al. 2018, §3(b)
    """
    rows, columns = integer("inputs", inputs, 1), integer("outputs", outputs, 1)
    draw = random_generator(generator)
    return LayerNoise(draw.standard_normal(rows), draw.standard_normal(columns))


def _action_values(q: ArrayLike) -> FloatArray:
    """q, checked: real and with at least one action."""
    values = real_array("q", q)
    last_axis("q", values)
    return values


def _greedy(q: FloatArray) -> FloatArray:
    """1/k on each of the k maximisers."""
    best = q == q.max(axis=-1, keepdims=True)
    return np.asarray(best / best.sum(axis=-1, keepdims=True))


def _epsilon_greedy(q: ArrayLike, epsilon: float, over: str) -> FloatArray:
    """Either mixture, for the operator and its sampler."""
    best = _greedy(_action_values(q))
    explore = scalar("epsilon", epsilon, "[0, 1]")
    actions = best.shape[-1]
    if choice("over", over, EXPLORED) == "all":
        return np.asarray((1.0 - explore) * best + explore / actions)
    return best if actions == 1 else np.asarray((1.0 - explore) * best + explore * (1.0 - best) / (actions - 1))


def _input_and_weight(x: ArrayLike, weight: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """x [..., I] and W [O, I], checked against each other."""
    inputs, w = real_array("x", x), real_array("weight", weight)
    last_axis("x", inputs)
    last_axis("weight", w)
    if w.ndim != 2 or w.shape[0] == 0 or w.shape[1] != inputs.shape[-1]:
        raise ValueError(f"weight has shape {w.shape}, x has shape {inputs.shape}; weight must be [O, I], x [..., I]")
    return inputs, w


def _fitting(name: str, value: ArrayLike, axes: str, shape: tuple[int, ...], weight: tuple[int, ...]) -> FloatArray:
    """A further array of the layer, if it has the shape that the weight's gives it."""
    array = real_array(name, value)
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}, weight has shape {weight}; {name} must be {axes}, weight [O, I]")
    return array


def _signed_root(x: FloatArray) -> FloatArray:
    """f(x) = sign(x) · √|x|: a product of two of them cannot overflow for finite x."""
    return np.asarray(np.sign(x) * np.sqrt(np.abs(x)))


def _drawn(probability: FloatArray, generator: np.random.Generator) -> IntArray:
    """One index for each row, by the inverse of the distribution function: the smallest whose prefix sum exceeds u · Σ p.

    u < 1 in float64 keeps u · Σ p below Σ p after rounding too, whatever Σ p is, so some prefix always does; and one that
    is the first to exceed it belongs to a positive probability.
    """
    prefix = np.cumsum(probability, axis=-1)
    mass = generator.random(probability.shape[:-1])[..., None] * prefix[..., -1:]
    return np.asarray((prefix <= mass).sum(axis=-1), dtype=np.int64)
