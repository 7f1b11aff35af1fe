"""Networks of many seeds and members side by side; their parameters are a plain dictionary of tensors."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from accelerated import dueling_value, polyak_update
from accelerated.agents.batch import Parameters, Space
from accelerated.agents.convolutions import Convolution, nature_convolutions
from accelerated.agents.initializers import INITIALIZERS
from accelerated.agents.layers import Layer, Noise
from accelerated.agents.streams import Streams

ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh}


@dataclass(frozen=True)
class Network:
    """Convolutions, then the trunk, then one head, or one for the value and one for the advantages (Wang et al. 2016).

    space         what is shown; actions of a continuous space are concatenated to the features where `with_actions`
    outputs       how many numbers, or how many distributions over `atoms` where these are more than one
    trunk, heads  the trunk is all hidden layers but the last, which belongs to the head: dueling has two of it, and it may be noisy
    dropout       which part of each hidden layer is dropped in training
    action_layer  how many layers come before the one that the actions are concatenated at
    quadratic     whether the first layer reads, besides its inputs z, all products z zᵀ
    """

    space: Space
    outputs: int
    members: int
    convolutions: tuple[Convolution, ...]
    trunk: tuple[Layer, ...]
    heads: tuple[tuple[Layer, ...], ...]
    with_actions: bool = False
    atoms: int = 1
    activation: str = "relu"
    initializer: str = "orthogonal"
    dropout: float = 0.0
    action_layer: int = 0
    quadratic: bool = False

    def __post_init__(self) -> None:
        for name, size in {"members": self.members, "outputs": self.outputs, "atoms": self.atoms}.items():
            if size < 1:
                raise ValueError(f"{name} must be at least 1; got {size}")
        for name, word, words in (("activation", self.activation, ACTIVATIONS), ("init", self.initializer, INITIALIZERS)):
            if word not in words:
                raise ValueError(f"{name} must be one of {', '.join(words)}; got {word!r}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1); got {self.dropout}")

    def init(self, streams: Streams, *, dtype: torch.dtype = torch.float32, device: torch.device | str | None = None) -> Parameters:
        """The first parameters, each [seeds, members, ...]; in float32 they are those of float64, rounded."""
        layers: tuple[Convolution | Layer, ...] = (*self.convolutions, *self._linear())
        drawn = [layer.init(streams, self.members, self.initializer) for layer in layers]
        found = {key: tensor for layer in drawn for key, tensor in layer.items()}
        return {key: tensor.to(device=device or streams.device, dtype=dtype).contiguous() for key, tensor in found.items()}

    def draw_noise(self, streams: Streams, *, dtype: torch.dtype = torch.float32) -> Noise:
        """One draw for each noisy layer; nothing is drawn where there is none."""
        noisy = [layer for layer in self._linear() if layer.kind == "noisy"]
        return {layer.name: streams.normal(self.members, layer.inputs + layer.outputs, dtype=dtype) for layer in noisy}

    def __call__(
        self,
        parameters: Parameters,
        observations: Tensor,
        actions: Tensor | None = None,
        *,
        noise: Noise | None = None,
        dropout: Streams | None = None,
    ) -> Tensor:
        """[seeds, batch, *shape], [seeds, batch, D] -> [seeds, members, batch, outputs], and one more axis for atoms.

        observations  uint8 ones are divided by 255
        noise         a draw of `draw_noise`; None: the mean weights
        dropout       where the masks come from; None: nothing is dropped

        raises  ValueError: observations or actions of another shape, actions missing or not asked for
        """
        self._check(parameters, observations, actions)
        x = self._features(parameters, observations)
        for place, layer in enumerate(self.trunk):
            x = self._hidden(layer(parameters, self._widened(x, actions, place)), dropout)
        x = self._widened(x, actions, len(self.trunk))
        return self._joined([self._head(head, parameters, x, noise, dropout) for head in self.heads])

    def _linear(self) -> tuple[Layer, ...]:
        return (*self.trunk, *(layer for head in self.heads for layer in head))

    def _check(self, parameters: Parameters, observations: Tensor, actions: Tensor | None) -> None:
        seeds = next(iter(parameters.values())).shape[0]
        shape = self.space.observation_shape
        if observations.ndim != len(shape) + 2 or observations.shape[0] != seeds or observations.shape[2:] != shape:
            raise ValueError(f"observations must be {_axes(seeds, shape)}; got {list(observations.shape)}")
        if (actions is not None) != self.with_actions:
            raise ValueError(
                f"actions must be {'given' if self.with_actions else 'None'}; got {'None' if actions is None else 'some'}"
            )
        if actions is not None and actions.shape != (*observations.shape[:2], self.space.actions):
            raise ValueError(f"actions must be {_axes(seeds, [self.space.actions])} of the same batch; got {list(actions.shape)}")

    def _features(self, parameters: Parameters, observations: Tensor) -> Tensor:
        """[seeds, members or 1, batch, features], or states as they are."""
        if self.space.states:
            return observations
        x = observations.to(next(iter(parameters.values())).dtype).unsqueeze(1)
        if observations.dtype == torch.uint8:
            x.div_(255)
        for layer in self.convolutions:
            x = ACTIVATIONS[self.activation](layer(parameters, x))
        return x.reshape(*x.shape[:3], x.shape[3:].numel())

    def _widened(self, x: Tensor, actions: Tensor | None, place: int) -> Tensor:
        """What the layer at this place reads: with the actions, with all products of two inputs."""
        if actions is not None and place == self.action_layer:
            x = torch.cat([x, actions.to(x.dtype).unsqueeze(1).expand(-1, x.shape[1], -1, -1)], -1)
        if self.quadratic and place == 0:
            x = torch.cat([x, (x.unsqueeze(-1) * x.unsqueeze(-2)).flatten(-2)], -1)
        return x

    def _hidden(self, x: Tensor, dropout: Streams | None) -> Tensor:
        x = ACTIVATIONS[self.activation](x)
        if dropout is None or self.dropout == 0:
            return x
        kept = dropout.uniform(*x.shape[1:], dtype=x.dtype) >= self.dropout
        return x * kept.to(x.dtype).div_(1 - self.dropout)

    def _head(
        self, head: tuple[Layer, ...], parameters: Parameters, x: Tensor, noise: Noise | None, dropout: Streams | None
    ) -> Tensor:
        for layer in head[:-1]:
            x = self._hidden(layer(parameters, x, noise), dropout)
        return head[-1](parameters, x, noise)

    def _joined(self, heads: list[Tensor]) -> Tensor:
        """Atoms get an axis of their own; value and advantages are joined atom by atom, as logits."""
        if self.atoms > 1:
            heads = [head.reshape(*head.shape[:-1], -1, self.atoms).mT for head in heads]
        found = heads[0] if len(heads) == 1 else dueling_value(heads[0].squeeze(-1), heads[1])
        return found.mT if self.atoms > 1 else found


def network_for(
    space: Space,
    *,
    outputs: int,
    hidden: Sequence[int] | None = None,
    members: int = 1,
    with_actions: bool = False,
    action_layer: int = 0,
    torso: str = "auto",
    activation: str = "relu",
    init: str = "orthogonal",
    gain: float = 2**0.5,
    last_gain: float | None = None,
    dueling: bool = False,
    atoms: int = 1,
    noisy: bool = False,
    noisy_scale: float = 0.5,
    dropout: float = 0.0,
) -> Network:
    """A network for what `space` shows.

    hidden       widths of the hidden layers; None: 512 behind convolutions, else 256 and 256; (): on states, a table
    action_layer how many hidden layers come before the actions are joined, fewer than there are; 0: they are among the inputs
    torso        "nature_cnn" for images, "table" for states, else "mlp", or "quadratic": an mlp of the inputs z and of z zᵀ, with
                 hidden=() every quadratic function; "auto" chooses
    init         "orthogonal" times `gain`, at the outputs times `last_gain` where that is given; "torch": as its layers; "zeros"
    noisy        the last hidden layer and the outputs have factorised noise (Fortunato et al. 2018), which begins with a standard
                 deviation of `noisy_scale` / sqrt(inputs)

    raises  ValueError: a torso that does not fit what is shown, actions joined to states or behind the layers, a table with noise
    """
    torso = _torso(space, torso)
    images, quadratic = torso == "nature_cnn", torso == "quadratic"
    if with_actions and (space.discrete or space.states):
        raise ValueError("with_actions needs continuous actions and observations that are not states")
    convolutions, features = nature_convolutions(space.observation_shape, gain) if images else ((), _count(space))
    widths = ((512,) if images else (256, 256)) if hidden is None else tuple(hidden)
    if noisy and space.states and not widths:
        raise ValueError("noisy needs a linear layer; a table (hidden=()) has none")
    if not 0 <= action_layer < max(len(widths), 1) or (action_layer and (quadratic or not with_actions)):
        raise ValueError(f"action_layer must be the place of a hidden layer, 0 where torso is quadratic; got {action_layer}")
    inputs = [features, *widths]
    inputs[action_layer] += with_actions * space.actions
    inputs[0] += quadratic * inputs[0] ** 2
    first = ("rows" if widths else "table") if space.states else "linear"
    trunk = _stack("hidden", inputs[:-2], widths, [gain] * len(widths), first)
    gains = [gain] * len(widths[-1:]) + [gain if last_gain is None else last_gain]

    behind = "noisy" if noisy else "linear"
    begin = first if space.states and not trunk else behind

    def head(name: str, count: int) -> tuple[Layer, ...]:
        return _stack(name, inputs[-2:], (*widths[-1:], count * atoms), gains, begin, behind, noisy_scale)

    heads = (head("value", 1), head("advantage", outputs)) if dueling else (head("output", outputs),)
    options = (with_actions, atoms, activation, init, dropout, action_layer, quadratic)
    return Network(space, outputs, members, convolutions, trunk, heads, *options)


def copy(parameters: Parameters) -> Parameters:
    """The same values in memory of their own, outside every graph."""
    return {name: tensor.detach().clone() for name, tensor in parameters.items()}


@torch.no_grad()
def track(target: Parameters, online: Parameters, *, polyak_step: float) -> None:
    """target <- `polyak_update` of both, in place; a step of 1 copies."""
    for name, tensor in target.items():
        tensor.copy_(polyak_update(tensor, online[name], polyak_step=polyak_step))


def _stack(
    name: str,
    inputs: Sequence[int],
    outputs: Sequence[int],
    gains: Sequence[float],
    first: str,
    others: str = "linear",
    noise_scale: float = 0.0,
) -> tuple[Layer, ...]:
    """A layer for each number of inputs: the first of one kind, the others of another."""
    kinds = [first] + [others] * len(inputs)
    pairs = zip(inputs, outputs, kinds, gains, strict=False)
    return tuple(Layer(f"{name}{place}", *pair, noise_scale) for place, pair in enumerate(pairs))


def _torso(space: Space, torso: str) -> str:
    images = len(space.observation_shape) == 3
    fitting = ("table",) if space.states else ("nature_cnn", "mlp") if images else ("mlp", "quadratic")
    if torso not in ("auto", *fitting):
        raise ValueError(f"torso must be auto or {' or '.join(fitting)} for these observations; got {torso!r}")
    return fitting[0] if torso == "auto" else torso


def _count(space: Space) -> int:
    return space.states or torch.Size(space.observation_shape).numel()


def _axes(seeds: int, shape: Sequence[int]) -> str:
    return f"[{', '.join(map(str, (seeds, 'batch', *shape)))}]"
