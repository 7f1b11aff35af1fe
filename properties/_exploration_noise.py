"""Noisy layers: error bounds, and what their noise does and does not change (X3).

Noise that is a perfect square, x = m|m|, has the rational root f(x) = m: layers under such noise are exact in fractions. And as a
layer is linear in f of each noise, with f(x)^2 = |x|, signs +-x alone carry every mean and mean square: 2^(I + O) layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from properties._bounds import Floats, gamma, stored
from properties._claim import Call, claim, operator
from properties._draw import BATCHES, ROUGH, SEEDS, STYLES, values
from properties._oracles import exact
from properties._oracles.exploration import factorised_noise_by_digits
from properties._trial import Trial

Draw = Callable[[st.SearchStrategy[Any]], Any]
NOISY = "Fortunato et al. 2018, eq. 8-11"


class Layer(NamedTuple):
    """A noisy layer, an input, and one draw of noise, in the order of noisy_linear's arguments."""

    x: Floats
    weight: Floats
    weight_scale: Floats
    bias: Floats
    bias_scale: Floats
    noise_in: Floats
    noise_out: Floats


@st.composite
def layers(draw: Draw, *, styles: tuple[str, ...] = STYLES, batched: bool = True, square: bool = True, most: int = 3) -> Layer:
    """Layers of up to `most` inputs and outputs; `square` noise is m|m|, m a multiple of 1/16 below 128."""
    lead = draw(st.sampled_from(BATCHES if batched else ((),)))
    inputs, outputs = draw(st.integers(1, most)), draw(st.integers(1, most))
    shapes = ((*lead, inputs), (outputs, inputs), (outputs, inputs), (outputs,), (outputs,))
    noise = [draw(values((n,), ("generic",) if square else ROUGH)) for n in (inputs, outputs)]
    if square:
        noise = [np.round(m * 16) / 16 * np.abs(np.round(m * 16) / 16) for m in noise]
    return Layer(*(draw(values(shape, styles)) for shape in shapes), *noise)


# ----------------------------------------------------------------------------------------------------------- operators
def _noises(draw: Draw) -> Call:
    lead = draw(st.sampled_from(BATCHES))
    return Call(tuple(draw(values((*lead, draw(st.integers(1, 4))), ROUGH)) for _ in range(2)), {})


@operator("factorised_noise", inputs=st.composite(_noises)())
def factorised_noise_bound(unit: float, noise_in: Floats, noise_out: Floats) -> Floats:
    """Two square roots and a product."""
    return np.asarray(gamma(3, unit) * np.sqrt(np.abs(noise_out))[..., :, None] * np.sqrt(np.abs(noise_in))[..., None, :])


@operator(
    "noisy_linear",
    inputs=layers(styles=ROUGH, square=False).map(lambda layer: Call(tuple(layer), {})),
    shared=("weight", "weight_scale", "bias", "bias_scale", "noise_in", "noise_out"),
)
def noisy_linear_bound(unit: float, *layer: Floats) -> Floats:
    """A sum of 2 I + 2 terms, in any order; each carries at most two roots, three products and one sum before it is summed."""
    x, weight, weight_scale, bias, bias_scale, noise_in, noise_out = (np.abs(part) for part in layer)
    root_in, root_out = np.sqrt(noise_in), np.sqrt(noise_out)
    perturbed = weight + weight_scale * np.multiply.outer(root_out, root_in)
    size = x @ perturbed.T + bias + bias_scale * root_out
    return np.asarray(gamma(2 * x.shape[-1] + 2 + 6, unit) * size)


@operator(
    "sample_layer_noise",
    inputs=st.builds(lambda i, o, g: Call((i, o), {"generator": g}), st.integers(1, 5), st.integers(1, 5), SEEDS),
    random=True,
)
def sample_layer_noise_bound(unit: float, inputs: int, outputs: int, **_: Any) -> float:
    """Drawn: no error to bound."""
    return 0.0


# -------------------------------------------------------------------------------------------------------------- claims
@st.composite
def noise_pairs(draw: Draw) -> tuple[Floats, Floats]:
    """noise_in [..., I] and noise_out [..., O] with the same leading axes."""
    return _noises(draw).arguments


@claim(
    "X3",
    source=NOISY,
    operators=["factorised_noise"],
    given={"pair": noise_pairs()},
    share=0.5,
    oracle="factorised_noise_by_digits",
)
def factorised_noise_is_a_product_of_signed_roots(port: Trial, pair: tuple[Floats, Floats]) -> None:
    """factorised_noise[o, i] = f(out_o) f(in_i) with f(x) = sign(x) sqrt|x|, to 50 digits."""
    found, error = port("factorised_noise", *pair)
    port.equal(found, factorised_noise_by_digits(*pair), error)


@claim("X3", source=NOISY, operators=["factorised_noise"], given={"pair": noise_pairs()}, share=0.5)
def factorised_noise_squares_to_the_product_of_sizes(port: Trial, pair: tuple[Floats, Floats]) -> None:
    """Each entry has the sign of in_i out_o and the square |in_i out_o|; exchanging in and out transposes."""
    found, error = port("factorised_noise", *pair)
    due = exact(pair[1])[..., :, None] * exact(pair[0])[..., None, :]
    port.equal(np.zeros(due.shape), exact(found) * np.abs(exact(found)) - due, 2 * np.abs(found) * error + error**2)
    turned, off = port("factorised_noise", *pair[::-1])
    port.equal(np.swapaxes(turned, -1, -2), found, error + np.swapaxes(off, -1, -2), "in and out exchanged")


def _roots(noise: Floats) -> Any:
    """f(noise), rational where noise is m|m|."""
    return exact(np.sign(noise) * np.sqrt(np.abs(noise)))


def _perturbed(layer: Layer) -> tuple[Any, Any]:
    """Weights and biases under the noise, in fractions."""
    root_in, root_out = _roots(layer.noise_in), _roots(layer.noise_out)
    weight = exact(layer.weight) + exact(layer.weight_scale) * np.multiply.outer(root_out, root_in)
    return weight, exact(layer.bias) + exact(layer.bias_scale) * root_out


@claim("X3", source=NOISY, operators=["noisy_linear"], given={"layer": layers()}, share=0.5)
def noisy_layer_is_a_layer_with_perturbed_weights(port: Trial, layer: Layer) -> None:
    """noisy_linear = (W + S f(out) f(in)^T) x + b + s f(out), one draw of noise for every x of the batch."""
    found, error = port("noisy_linear", *layer)
    weight, bias = _perturbed(layer)
    port.equal(found, exact(layer.x) @ weight.T + bias, error)


@claim("X3", source=NOISY, operators=["noisy_linear", "factorised_noise"], given={"layer": layers(square=False)}, share=0.5)
def noisy_layer_weighs_its_scales_with_factorised_noise(port: Trial, layer: Layer) -> None:
    """noisy_linear = x (W + S * factorised_noise)^T + b + s * factorised_noise(1, out), for noise that has no rational root."""
    found, error = port("noisy_linear", *layer)
    noise, off = port("factorised_noise", layer.noise_in, layer.noise_out)
    column, column_off = port("factorised_noise", np.ones(1), layer.noise_out)
    due = exact(layer.x) @ (exact(layer.weight) + exact(layer.weight_scale) * exact(noise)).T
    due = due + exact(layer.bias) + exact(layer.bias_scale) * exact(column[:, 0])
    slack = np.abs(layer.x) @ (np.abs(layer.weight_scale) * off).T + np.abs(layer.bias_scale) * column_off[:, 0]
    sides = (found, due) if port.subject == "noisy_linear" else (due.astype(np.float64), found)
    port.equal(*sides, error + slack + port.sum_error(np.stack([found, found], -1)))


@claim("X3", source=NOISY, operators=["noisy_linear"], given={"layer": layers(square=False)}, share=0.5)
def a_layer_without_noise_or_without_scale_is_linear(port: Trial, layer: Layer) -> None:
    """With noise 0, or with scales 0, noisy_linear = W x + b."""
    due = exact(layer.x) @ exact(layer.weight).T + exact(layer.bias)
    calm = layer._replace(noise_in=0 * layer.noise_in, noise_out=0 * layer.noise_out)
    for quiet in (calm, layer._replace(weight_scale=0 * layer.weight_scale, bias_scale=0 * layer.bias_scale)):
        found, error = port("noisy_linear", *quiet)
        port.equal(found, due, error)


def _signs(layer: Layer) -> Iterator[Layer]:
    """The layer under every combination of signs of its noise."""
    inputs = len(layer.noise_in)
    for signs in product((1.0, -1.0), repeat=inputs + len(layer.noise_out)):
        yield layer._replace(noise_in=layer.noise_in * signs[:inputs], noise_out=layer.noise_out * signs[inputs:])


@claim(
    "X3",
    source=f"{NOISY}, with E f = 0 and E f^2 = E|x|",
    operators=["noisy_linear"],
    given={"layer": layers(batched=False, square=False, most=2)},
    share=0.3,
)
def the_mean_over_noise_is_the_noiseless_layer(port: Trial, layer: Layer) -> None:
    """Over all signs of the noise, the mean of noisy_linear is W x + b, and its mean square deviation from that is
    |out| (sum of S^2 |in| x^2 + s^2)."""
    pairs = [port("noisy_linear", *signed) for signed in _signs(layer)]
    off = np.array([error for _, error in pairs])
    calm = exact(layer.weight) @ exact(layer.x) + exact(layer.bias)
    deviation = exact(np.array([found for found, _ in pairs])) - calm
    nothing = np.zeros(calm.shape)
    port.equal(nothing, deviation.sum(axis=0) / len(pairs), off.mean(axis=0), "the mean, less W x + b")
    spread = exact(layer.weight_scale) ** 2 @ (np.abs(exact(layer.noise_in)) * exact(layer.x) ** 2) + exact(layer.bias_scale) ** 2
    slack = (2 * np.abs(deviation).astype(np.float64) * off + off**2).mean(axis=0)
    square = (deviation**2).sum(axis=0) / len(pairs) - np.abs(exact(layer.noise_out)) * spread
    port.equal(nothing, square, slack, "the mean square deviation, less what is due")


# ------------------------------------------------------------------------------------------------------------ gradients
def _slopes(layer: Layer, weigh: Any) -> tuple[Any, ...]:
    """d sum(weigh * output) / d each of x, weight, weight_scale, bias, bias_scale."""
    weight, _ = _perturbed(layer)
    root_in, root_out = _roots(layer.noise_in), _roots(layer.noise_out)
    rows, x = weigh.reshape(-1, weigh.shape[-1]), exact(layer.x).reshape(-1, layer.x.shape[-1])
    outer, total = rows.T @ x, rows.sum(axis=0)
    return weigh @ weight, outer, outer * np.multiply.outer(root_out, root_in), total, total * root_out


@st.composite
def weighed_layers(draw: Draw) -> tuple[Layer, Floats]:
    """A layer and a number for each of its outputs."""
    layer = draw(layers(styles=("generic", "ties")))
    return layer, draw(values((*layer.x.shape[:-1], len(layer.bias)), ("generic", "ties")))


@claim("X3", source=f"{NOISY}, differentiated", operators=["noisy_linear"], given={"weighed": weighed_layers()}, share=0.5)
def a_noisy_layer_passes_gradients_to_input_weights_and_scales(port: Trial, weighed: tuple[Layer, Floats]) -> None:
    """The derivative is (W + S f f^T)^T c for x; c x^T for W, times f f^T for S; c for b, times f(out) for s; summed over x."""
    layer, weigh = weighed
    layer_sizes = Layer(*(np.abs(part) for part in layer))
    dues, sizes = _slopes(layer, exact(weigh)), _slopes(layer_sizes, np.abs(exact(weigh)))
    roundings = 2 * weigh.size + 2 * layer.x.shape[-1] + 8
    for place, (due, size) in enumerate(zip(dues, sizes, strict=True)):
        found = port.derivative(place, *layer, cotangent=weigh)
        bound = stored(gamma(roundings, port.unit) * size.astype(np.float64), found, port.dtype)
        port.equal(found, due, bound, f"the gradient of {Layer._fields[place]}")
