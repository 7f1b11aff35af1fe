"""Networks and policies of many seeds: each seed alone, each member alone, and the operators behind the heads."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

import accelerated
from accelerated.agents.batch import Parameters, Space
from accelerated.agents.networks import Network, copy, network_for, track
from accelerated.agents.policies import Categorical, Gaussian, policy_for
from accelerated.agents.streams import Streams

VECTOR = Space((5,), torch.float32, 3, low=(-1.0, -0.5, 0.0), high=(1.0, 0.5, 4.0))
FEW = Space((5,), torch.float32, 4)
STATES = Space((), torch.int64, 4, states=6)
IMAGES = Space((2, 36, 40), torch.uint8, 3)
SEEDS = (3, 1, 4)
BATCH = 7

NETWORKS: dict[str, tuple[Space, dict[str, Any]]] = {
    "mlp": (VECTOR, {"outputs": 2, "hidden": (16, 8), "members": 2}),
    "tanh": (VECTOR, {"outputs": 2, "hidden": (16, 8), "activation": "tanh"}),
    "linear": (VECTOR, {"outputs": 2, "hidden": ()}),
    "critic": (VECTOR, {"outputs": 1, "hidden": (16, 8), "members": 2, "with_actions": True}),
    "table": (STATES, {"outputs": 4, "hidden": (), "members": 2}),
    "dueling table": (STATES, {"outputs": 4, "hidden": (), "dueling": True}),
    "states": (STATES, {"outputs": 4, "hidden": (8,), "members": 2, "dueling": True}),
    "rainbow": (FEW, {"outputs": 4, "hidden": (16, 8), "members": 2, "dueling": True, "atoms": 3, "noisy": True}),
    "atoms": (FEW, {"outputs": 4, "hidden": (8,), "atoms": 3}),
    "images": (IMAGES, {"outputs": 3, "hidden": (16,), "members": 2}),
}


def observations(space: Space, seeds: tuple[int, ...] = SEEDS) -> Tensor:
    streams = Streams(seeds, "observations")
    if space.states:
        return streams.integers(space.states, BATCH)
    if space.observation_dtype == torch.uint8:
        return streams.integers(256, BATCH, *space.observation_shape).to(torch.uint8)
    return streams.normal(BATCH, *space.observation_shape)


def actions(space: Space, options: dict[str, Any], seeds: tuple[int, ...] = SEEDS) -> Tensor | None:
    return Streams(seeds, "actions").normal(BATCH, space.actions) if options.get("with_actions") else None


def made(name: str, seeds: tuple[int, ...] = SEEDS, **options: Any) -> tuple[Network, Parameters]:
    network = network_for(NETWORKS[name][0], **NETWORKS[name][1] | {"init": "torch"} | options)
    return network, network.init(Streams(seeds, "init"))


def absolute(network: Network, parameters: Parameters, shown: Tensor, acting: Tensor | None) -> tuple[Tensor, float]:
    """What bounds rounding in networks of affine and ReLU layers, and how often one sum is rounded.

    An affine layer of n inputs computes each output within (n + 2) u of the sum of its terms' absolute values (Higham 2002, 3.5),
    and ReLU enlarges nothing; so the network errs by at most the sum of the layers' n + 2 roundings, to first order in u, of what
    it gives when all weights and inputs are replaced by their absolute values.
    """
    large = network({key: tensor.double().abs() for key, tensor in parameters.items()}, _positive(shown), _positive(acting))
    convolved = sum(layer.channels * layer.kernel**2 + 2 for layer in network.convolutions)
    linear = sum(layer.inputs + 2 for layer in (*network.trunk, *network.heads[-1]))
    return large, 1 + convolved + linear


def _positive(tensor: Any) -> Any:
    return tensor.abs() if tensor is not None and tensor.is_floating_point() else tensor


def heads_alone(network: Network) -> Network:
    """The network without its value head, whose differences from the mean have no such bound."""
    fields = {name: getattr(network, name) for name in network.__dataclass_fields__}
    return Network(**fields | {"heads": network.heads[-1:]})


@pytest.mark.parametrize("name", NETWORKS)
def test_equal_seeds_begin_equal_bit_by_bit_alone_and_among_others(name: str) -> None:
    for init in ("orthogonal", "torch", "zeros"):
        among = made(name, init=init)[1]
        for place, seed in enumerate(SEEDS):
            alone = made(name, (seed,), init=init)[1]
            assert all(torch.equal(alone[key][0], among[key][place]) for key in among)


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "tanh"])
def test_a_seed_among_several_computes_what_it_computes_alone(name: str) -> None:
    space, options = NETWORKS[name]
    network, parameters = made(name)
    network = heads_alone(network)
    shown, acting = observations(space), actions(space, options)
    among = network(parameters, shown, acting)
    large, roundings = absolute(network, parameters, shown, acting)
    bound = 2 * roundings * 2**-24 * large * (1 + 2**-10)
    for place in range(len(SEEDS)):
        one = {key: tensor[place : place + 1] for key, tensor in parameters.items()}
        alone = network(one, shown[place : place + 1], None if acting is None else acting[place : place + 1])
        assert ((alone[0] - among[place]).double().abs() <= bound[place]).all()


@pytest.mark.parametrize("name", [name for name in NETWORKS if NETWORKS[name][1].get("members") == 2])
def test_seeds_and_members_do_not_see_each_other(name: str) -> None:
    """The gradient of one seed's one member is exactly zero for all the others, and not for itself."""
    space, options = NETWORKS[name]
    network, parameters = made(name)
    leaves = [tensor.requires_grad_() for tensor in parameters.values()]
    noise = network.draw_noise(Streams(SEEDS, "noise"))
    output = network(parameters, observations(space), actions(space, options), noise=noise)
    for gradient in torch.autograd.grad(output[1, 1].square().sum(), leaves):
        mine = gradient[1, 1].clone()
        gradient[1, 1] = 0
        assert not gradient.any() and mine.any()


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_reach_every_parameter(name: str) -> None:
    space, options = NETWORKS[name]
    network, parameters = made(name)
    leaves = [tensor.requires_grad_() for tensor in parameters.values()]
    noise = network.draw_noise(Streams(SEEDS, "noise"))
    output = network(parameters, observations(space), actions(space, options), noise=noise)
    for key, gradient in zip(parameters, torch.autograd.grad(output.square().sum(), leaves), strict=True):
        assert gradient.flatten(2).any(-1).all(), key


def test_outputs_have_the_axes_promised() -> None:
    shapes = {}
    for name, (space, options) in NETWORKS.items():
        network, parameters = made(name)
        shapes[name] = tuple(network(parameters, observations(space), actions(space, options)).shape)
        assert all(tensor.shape[:2] == (3, network.members) and tensor.is_contiguous() for tensor in parameters.values())
    assert shapes["mlp"] == (3, 2, BATCH, 2) and shapes["critic"] == (3, 2, BATCH, 1) and shapes["table"] == (3, 2, BATCH, 4)
    assert shapes["rainbow"] == (3, 2, BATCH, 4, 3) and shapes["atoms"] == (3, 1, BATCH, 4, 3)


# ---------------------------------------------------------------------------------------------------- the start


@pytest.mark.parametrize("shape", [(40, 16), (16, 40), (16, 16), (16, 1)])
def test_orthogonal_weights_are_orthonormal_times_the_gain(shape: tuple[int, int]) -> None:
    """An orthonormal Q of m x n by Householder has |QᵀQ − I| within c·m·n·u, c a small constant (Higham 2002, 19.3): c = 8."""
    inputs, outputs = shape
    space = Space((inputs,), torch.float32, 2)
    network = network_for(space, outputs=outputs, hidden=(), members=2, last_gain=0.5)
    weight = network.init(Streams(SEEDS, "init"), dtype=torch.float64)["output0.weight"]
    product = weight.mT @ weight if inputs >= outputs else weight @ weight.mT
    due = 0.25 * torch.eye(min(shape), dtype=torch.float64)
    assert ((product - due).abs() <= 8 * inputs * outputs * 2**-53).all()
    assert not torch.equal(weight[:, 0], weight[:, 1])


def test_orthogonal_weights_favour_no_direction() -> None:
    """The entries of a uniform orthogonal matrix of size 3 have mean 0 and variance 1/3; a mean of 900 lies within 6 deviations."""
    network = network_for(Space((3,), torch.float32, 2), outputs=3, hidden=(), members=300, last_gain=1.0)
    weight = network.init(Streams(SEEDS, "init"))["output0.weight"]
    assert (weight.mean((0, 1)).abs() <= 6 * math.sqrt(1 / 3 / 900)).all()


def test_every_layer_has_the_gain_and_the_last_one_its_own() -> None:
    """A convolution is orthogonal as the matrix of what one of its outputs sees."""
    parameters = network_for(IMAGES, outputs=3, hidden=(16,), last_gain=1.0).init(Streams((0,), "init"), dtype=torch.float64)
    assert torch.linalg.matrix_norm(parameters["output0.weight"], 2).item() == pytest.approx(math.sqrt(2), rel=1e-12)
    assert torch.linalg.matrix_norm(parameters["output1.weight"], 2).item() == pytest.approx(1, rel=1e-12)
    seen = parameters["convolution1.weight"].flatten(3)
    assert torch.linalg.matrix_norm(seen, 2).item() == pytest.approx(math.sqrt(2), rel=1e-12)
    assert all(not tensor.any() for key, tensor in parameters.items() if key.endswith("bias"))


def test_the_other_starts_are_torchs_and_zero() -> None:
    parameters = made("mlp", init="torch")[1]
    for key, inputs in {"hidden0": 5, "output0": 16, "output1": 8}.items():
        for part in ("weight", "bias"):
            largest = parameters[f"{key}.{part}"].abs().max()
            assert 0 < largest <= inputs**-0.5 * (1 + 2**-23)
        assert parameters[f"{key}.weight"].abs().max() > 0.9 * inputs**-0.5
    assert not any(tensor.any() for tensor in made("mlp", init="zeros")[1].values())


def test_single_precision_begins_with_double_precision_rounded() -> None:
    network = network_for(VECTOR, outputs=2)
    single, double = (network.init(Streams(SEEDS, "init"), dtype=dtype) for dtype in (torch.float32, torch.float64))
    assert all(torch.equal(single[key], double[key].float()) for key in double)
    assert network(double, observations(VECTOR)).dtype == torch.float64


def test_the_widths_are_those_of_the_papers() -> None:
    assert [layer.outputs for layer in (*network_for(VECTOR, outputs=1).trunk, *network_for(VECTOR, outputs=1).heads[0])] == [
        256,
        256,
        1,
    ]
    atari = network_for(Space((4, 84, 84), torch.uint8, 6), outputs=6)
    assert [(one.outputs, one.kernel, one.stride) for one in atari.convolutions] == [(32, 8, 4), (64, 4, 2), (64, 3, 1)]
    assert [(one.inputs, one.outputs) for one in atari.heads[0]] == [(3136, 512), (512, 6)]


# ---------------------------------------------------------------------------------------------------- layers


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_an_mlp_is_what_torchs_own_layers_give(activation: str) -> None:
    """tanh enlarges nothing either, and torch's is within one more rounding."""
    network, parameters = made("mlp", activation=activation)
    double = {key: tensor.double() for key, tensor in parameters.items()}
    x = observations(VECTOR).double()
    large, roundings = absolute(made("mlp")[0], double, x, None)
    found = network(double, x)
    for seed in range(3):
        for member in range(2):
            y = x[seed]
            for layer in ("hidden0", "output0", "output1"):
                weight, bias = (double[f"{layer}.{part}"][seed, member] for part in ("weight", "bias"))
                y = torch.nn.functional.linear(y if layer == "hidden0" else getattr(torch, activation)(y), weight.mT, bias)
            assert ((found[seed, member] - y).abs() <= 2 * (roundings + 2) * 2**-53 * large[seed, member]).all()


def test_a_table_is_a_gather() -> None:
    network, parameters = made("table")
    states, table = observations(STATES), parameters["output0.weight"]
    found = network(parameters, states)
    for seed, row in enumerate(states.tolist()):
        assert torch.equal(found[seed], table[seed][:, row])
    assert list(parameters) == ["output0.weight"] and table.shape == (3, 2, 6, 4)


def test_states_before_hidden_layers_are_one_hot_rows() -> None:
    """Exactly, since the products with 0 and 1 round nothing and the bias is added once."""
    network, parameters = made("states")
    states = observations(STATES)
    same = network_for(Space((6,), torch.float32, 4), outputs=4, hidden=(8,), members=2, dueling=True)
    assert torch.equal(network(parameters, states), same(parameters, torch.nn.functional.one_hot(states, 6).float()))


def test_a_state_out_of_range_is_refused() -> None:
    network, parameters = made("table")
    with pytest.raises(ValueError, match=r"observations must lie in \[0, 6\); got 6 at observations\[0, 0\]"):
        network(parameters, torch.full((3, 1), 6))
    with accelerated.check_values(False), pytest.raises(RuntimeError, match="out of bounds"):
        network(parameters, torch.full((3, 1), 6))


def test_images_are_divided_by_255() -> None:
    network, parameters = made("images")
    shown = observations(IMAGES)
    before = shown.clone()
    assert torch.equal(network(parameters, shown), network(parameters, shown.float() / 255))
    assert torch.equal(shown, before)


def test_convolutions_are_those_of_each_seed_and_member() -> None:
    network, parameters = made("images")
    x = observations(IMAGES).double() / 255
    double = {key: tensor.double() for key, tensor in parameters.items()}
    large, roundings = absolute(network, double, x, None)
    for seed in range(3):
        for member in range(2):
            y = x[seed]
            for place, stride in enumerate((4, 2, 1)):
                weight, bias = (double[f"convolution{place}.{part}"][seed, member] for part in ("weight", "bias"))
                y = torch.nn.functional.conv2d(y, weight, bias, stride=stride).relu()
            y = (y.flatten(1) @ double["output0.weight"][seed, member] + double["output0.bias"][seed, member]).relu()
            due = y @ double["output1.weight"][seed, member] + double["output1.bias"][seed, member]
            assert ((network(double, x)[seed, member] - due).abs() <= 2 * roundings * 2**-53 * large[seed, member]).all()


def test_actions_are_concatenated_to_the_observations() -> None:
    network, parameters = made("critic")
    shown, acting = observations(VECTOR), Streams(SEEDS, "actions").normal(BATCH, 3)
    joined = network_for(Space((8,), torch.float32, 2), outputs=1, hidden=(16, 8), members=2)
    assert torch.equal(network(parameters, shown, acting), joined(parameters, torch.cat([shown, acting], -1)))


@pytest.mark.parametrize("name", ["dueling table", "states", "rainbow"])
def test_dueling_is_the_operator_on_its_heads(name: str) -> None:
    space, _ = NETWORKS[name]
    network, parameters = made(name)
    shown, fields = observations(space), {name: getattr(network, name) for name in network.__dataclass_fields__}
    value, advantage = (Network(**fields | {"heads": (head,)})(parameters, shown) for head in network.heads)
    if network.atoms == 1:
        due = accelerated.dueling_value(value[..., 0].contiguous(), advantage)
    else:
        each = [accelerated.dueling_value(value[..., 0, atom], advantage[..., atom]) for atom in range(network.atoms)]
        due = torch.stack(each, -1)
    assert torch.equal(network(parameters, shown), due)


# ---------------------------------------------------------------------------------------------------- noise and dropout


def test_without_noise_a_noisy_network_is_the_plain_one() -> None:
    network, parameters = made("rainbow")
    plain = network_for(FEW, **NETWORKS["rainbow"][1] | {"noisy": False})
    assert torch.equal(network(parameters, observations(FEW)), plain(parameters, observations(FEW)))
    scales = {key: tensor for key, tensor in parameters.items() if key.endswith("_scale")}
    assert set(parameters) - set(scales) == set(plain.init(Streams(SEEDS, "init")))
    assert set(scales) == {
        f"{head}{place}.{part}_scale" for head in ("value", "advantage") for place in (0, 1) for part in ("weight", "bias")
    }
    assert all((tensor == torch.tensor(0.5 / (16 if "0." in key else 8) ** 0.5)).all() for key, tensor in scales.items())


def test_a_noisy_layer_is_the_operator() -> None:
    """Both round sums of at most 2·(n + 2) terms, whose absolute values add to what the operator gives for absolute values."""
    network = network_for(FEW, outputs=4, hidden=(), members=2, noisy=True, init="torch")
    parameters = network.init(Streams(SEEDS, "init"), dtype=torch.float64)
    noise, shown = network.draw_noise(Streams(SEEDS, "noise"), dtype=torch.float64), observations(FEW).double()
    found = network(parameters, shown, noise=noise)
    for seed in range(3):
        for member in range(2):
            part = {key.removeprefix("output0."): tensor[seed, member] for key, tensor in parameters.items()}
            layer = [
                part["weight"].mT,
                part["weight_scale"].mT,
                part["bias"],
                part["bias_scale"],
                *noise["output0"][seed, member].split(5),
            ]
            due = accelerated.noisy_linear(shown[seed], *layer)
            large = accelerated.noisy_linear(shown[seed].abs(), *[tensor.abs() for tensor in layer])
            assert ((found[seed, member] - due).abs() <= 2 * (2 * (5 + 2) + 6) * 2**-53 * large).all()
            assert not torch.equal(found[seed, member], network(parameters, shown)[seed, member])


def test_noise_is_drawn_seed_by_seed() -> None:
    network, _ = made("rainbow")
    among = network.draw_noise(Streams(SEEDS, "noise"))
    alone = network.draw_noise(Streams(SEEDS[1:2], "noise"))
    assert all(torch.equal(among[name][1], alone[name][0]) for name in among)
    assert list(among) == ["value0", "value1", "advantage0", "advantage1"]
    assert made("mlp")[0].draw_noise(Streams(SEEDS, "noise")) == {}


def test_dropout_acts_only_where_streams_are_given_and_keeps_the_mean() -> None:
    """Units of both hidden layers are 1 and the output counts those kept twice: a mean of n draws within 6 of its deviations."""
    rate, width, rows = 0.25, 64, 512
    network = network_for(FEW, outputs=1, hidden=(width, width), dropout=rate, init="zeros")
    parameters = network.init(Streams(SEEDS, "init"))
    parameters["hidden0.bias"].fill_(1.0)
    parameters["output0.weight"].copy_(torch.eye(width))
    parameters["output1.weight"].fill_((1 - rate) ** 2)
    shown, part = torch.zeros(3, rows, 5), (1 - rate) ** 2
    assert torch.equal(network(parameters, shown), torch.full((3, 1, rows, 1), width * part))
    kept, rounding = network(parameters, shown, dropout=Streams(SEEDS, "dropout")), 2 * width * width * 2**-24
    assert (kept - kept.round()).abs().max() <= rounding
    deviation = math.sqrt(width * part * (1 - part) / rows)
    assert ((kept.mean((1, 2, 3)) - width * part).abs() <= 6 * deviation).all()
    last = {key: tensor[2:] for key, tensor in parameters.items()}
    assert (network(last, shown[2:], dropout=Streams(SEEDS[2:], "dropout"))[0] - kept[2]).abs().max() <= rounding


# ---------------------------------------------------------------------------------------------------- copies and refusals


def test_copies_share_nothing_and_targets_track() -> None:
    online, before = made("mlp")[1], made("mlp")[1]
    target = copy(online)
    for tensor in online.values():
        tensor.requires_grad_()
    with torch.no_grad():
        for tensor in online.values():
            tensor.add_(1)
    assert all(torch.equal(target[key], before[key]) and not target[key].requires_grad for key in online)
    places = {key: tensor.data_ptr() for key, tensor in target.items()}
    track(target, online, polyak_step=0.25)
    for key in online:
        assert torch.equal(target[key], accelerated.polyak_update(before[key], online[key], polyak_step=0.25))
    track(target, online, polyak_step=1.0)
    assert all(torch.equal(target[key], online[key]) and target[key].data_ptr() == places[key] for key in online)


@pytest.mark.parametrize(
    ("space", "options", "message"),
    [
        (VECTOR, {"torso": "nature_cnn"}, "torso must be auto or mlp or quadratic for these observations; got 'nature_cnn'"),
        (STATES, {"torso": "mlp"}, "torso must be auto or table"),
        (FEW, {"with_actions": True}, "with_actions needs continuous actions"),
        (STATES, {"noisy": True, "hidden": ()}, "noisy needs a linear layer"),
        (VECTOR, {"activation": "gelu"}, "activation must be one of relu, tanh; got 'gelu'"),
        (VECTOR, {"init": "xavier"}, "init must be one of orthogonal, torch, zeros; got 'xavier'"),
        (VECTOR, {"members": 0}, "members must be at least 1; got 0"),
        (VECTOR, {"dropout": 1.0}, r"dropout must lie in \[0, 1\); got 1.0"),
        (Space((4, 35, 84), torch.uint8, 3), {}, "images must be at least 36 by 36"),
    ],
)
def test_what_no_network_can_be_is_refused(space: Space, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        network_for(space, outputs=2, **options)


def test_observations_and_actions_of_another_shape_are_refused() -> None:
    network, parameters = made("critic")
    shown, acting = observations(VECTOR), Streams(SEEDS, "actions").normal(BATCH, 3)
    for found in (shown[:1], shown[0], shown[..., :4]):
        with pytest.raises(ValueError, match=r"observations must be \[3, batch, 5\]"):
            network(parameters, found, acting)
    with pytest.raises(ValueError, match="actions must be given"):
        network(parameters, shown)
    with pytest.raises(ValueError, match=r"actions must be \[3, batch, 3\]"):
        network(parameters, shown, acting[..., :2])
    with pytest.raises(ValueError, match="actions must be None"):
        made("mlp")[0](made("mlp")[1], shown, acting)


# ---------------------------------------------------------------------------------------------------- policies

GAUSSIANS: dict[str, dict[str, Any]] = {
    "author": {},
    "network": {"log_std": "network"},
    "fixed": {"log_std": "fixed", "initial_log_std": math.log(0.4)},
    "plain mean": {"tanh_mean": False},
}


def gaussian(name: str, seeds: tuple[int, ...] = SEEDS) -> tuple[Gaussian, Parameters]:
    policy = Gaussian(VECTOR, hidden=(16, 8), **GAUSSIANS[name])
    return policy, policy.init(Streams(seeds, "init"))


@pytest.mark.parametrize("name", GAUSSIANS)
def test_a_gaussian_policy_is_the_operator_at_its_mean_and_log_std(name: str) -> None:
    policy, parameters = gaussian(name)
    shown, acting = observations(VECTOR), Streams(SEEDS, "actions").uniform(BATCH, 3)
    mean, log_std = policy.distribution(parameters, shown)
    assert mean.shape == log_std.shape == (3, BATCH, 3)
    assert torch.equal(policy.log_prob(parameters, shown, acting), accelerated.gaussian_log_prob(acting, mean, log_std))
    half_width = (torch.tensor(VECTOR.high) - torch.tensor(VECTOR.low)) / 2
    output = policy.network(parameters, shown)[:, 0]
    if name == "author":
        assert torch.equal(mean, accelerated.tanh_action(output, low=torch.tensor(VECTOR.low), high=torch.tensor(VECTOR.high)))
        assert torch.equal(log_std, half_width.log().expand_as(log_std))
    if name == "plain mean":
        assert torch.equal(mean, torch.tensor([0.0, 0.0, 2.0]) + half_width * output)
    if name == "network":
        assert torch.equal(log_std, output[..., 3:].clamp(-5, 2) + half_width.log())
    if name == "fixed":
        assert torch.equal(log_std, (torch.tensor(math.log(0.4)) + half_width.log()).expand_as(log_std))


@pytest.mark.parametrize("name", GAUSSIANS)
def test_gaussian_samples_and_modes_lie_in_the_box(name: str) -> None:
    policy, parameters = gaussian(name)
    parameters = {key: 10 * tensor for key, tensor in parameters.items()}
    shown, low, high = observations(VECTOR), torch.tensor(VECTOR.low), torch.tensor(VECTOR.high)
    sample, mode = policy.sample(parameters, shown, Streams(SEEDS, "acting")), policy.mode(parameters, shown)
    for found in (sample, mode):
        assert ((found >= low) & (found <= high)).all() and found.shape == (3, BATCH, 3)
    assert torch.equal(mode, policy.distribution(parameters, shown).mean.clamp(low, high))


def test_a_seed_draws_the_same_actions_alone() -> None:
    """To rounding of the mean: the noise is the same bit by bit."""
    policy, parameters = gaussian("author")
    shown = observations(VECTOR)
    among = policy.sample(parameters, shown, Streams(SEEDS, "acting"))
    one = {key: tensor[1:2] for key, tensor in parameters.items()}
    alone = policy.sample(one, shown[1:2], Streams(SEEDS[1:2], "acting"))
    large, roundings = absolute(policy.network, parameters, shown, None)
    assert ((among[1] - alone[0]).abs() <= 2 * (2 * (roundings + 8) * 2**-24) * (large[1, 0] + 4)).all()


def test_the_log_std_is_clipped_and_its_gradient_stops_there() -> None:
    policy, parameters = gaussian("author")
    parameters["log_std"].copy_(torch.tensor([3.0, -6.0, 0.5])).requires_grad_()
    found = policy.distribution(parameters, observations(VECTOR)).log_std[0, 0] - torch.tensor([1.0, 0.5, 2.0]).log()
    assert torch.equal(found, torch.tensor([2.0, -5.0, 0.5]))
    loss = policy.log_prob(parameters, observations(VECTOR), torch.zeros(3, BATCH, 3)).sum()
    gradient = torch.autograd.grad(loss, parameters["log_std"])[0][:, 0]
    assert not gradient[:, :2].any() and gradient[:, 2].all()


def test_actions_without_bounds_have_unit_scale_and_no_tanh() -> None:
    space = Space((5,), torch.float32, 2, low=(-math.inf, -1.0), high=(math.inf, 1.0))
    with pytest.raises(ValueError, match="tanh_mean needs finite bounds"):
        Gaussian(space)
    policy = Gaussian(space, tanh_mean=False, hidden=(8,))
    parameters = policy.init(Streams(SEEDS, "init"))
    mean, log_std = policy.distribution(parameters, observations(VECTOR))
    assert torch.equal(mean, policy.network(parameters, observations(VECTOR))[:, 0]) and not log_std.any()


@pytest.mark.parametrize("space", [FEW, STATES])
def test_a_categorical_policy_is_the_boltzmann_operator_at_temperature_one(space: Space) -> None:
    policy = Categorical(space, hidden=(8,))
    parameters = policy.init(Streams(SEEDS, "init"))
    shown, acting = observations(space), Streams(SEEDS, "actions").integers(4, BATCH)
    logits = policy.logits(parameters, shown)
    due = accelerated.boltzmann(logits, temperature=1.0)
    found = policy.probabilities(parameters, shown)
    assert found.shape == (3, BATCH, 4) and (found - due).abs().max() <= 16 * 2**-24
    chosen = due.gather(-1, acting.unsqueeze(-1)).squeeze(-1)
    assert (policy.log_prob(parameters, shown, acting) - chosen.log()).abs().max() <= 32 * 2**-24 * (1 - chosen.log().min())
    assert torch.equal(policy.mode(parameters, shown), logits.argmax(-1))
    drawn = Streams(SEEDS, "acting").each(lambda seed, g: accelerated.sample_boltzmann(logits[seed], temperature=1.0, generator=g))
    assert torch.equal(policy.sample(parameters, shown, Streams(SEEDS, "acting")), drawn)


def test_policies_learn_with_every_parameter_and_drop_out_only_in_training() -> None:
    for space in (VECTOR, FEW):
        policy = policy_for(space, hidden=(16, 16), dropout=0.5)
        parameters = policy.init(Streams(SEEDS, "init"))
        leaves = [tensor.requires_grad_() for tensor in parameters.values()]
        acting = Streams(SEEDS, "actions").integers(4, BATCH) if space.discrete else Streams(SEEDS, "actions").uniform(BATCH, 3)
        plain, again = (policy.log_prob(parameters, observations(space), acting) for _ in range(2))
        dropped = policy.log_prob(parameters, observations(space), acting, Streams(SEEDS, "dropout"))
        assert torch.equal(plain, again) and not torch.equal(plain, dropped)
        for gradient in torch.autograd.grad(plain.sum(), leaves):
            assert gradient.flatten(1).any(-1).all()


def test_the_space_chooses_the_policy() -> None:
    assert isinstance(policy_for(VECTOR, log_std="fixed", tanh_mean=False), Gaussian)
    assert isinstance(policy_for(FEW, log_std="fixed", tanh_mean=False), Categorical)
    with pytest.raises(ValueError, match="needs continuous actions"):
        Gaussian(FEW)
    with pytest.raises(ValueError, match="needs discrete actions"):
        Categorical(VECTOR)
    with pytest.raises(ValueError, match="log_std must be one of parameter, network, fixed; got 'state'"):
        Gaussian(VECTOR, log_std="state")
    with pytest.raises(ValueError, match="initial_log_std must lie in log_std_range"):
        Gaussian(VECTOR, initial_log_std=-6.0)
