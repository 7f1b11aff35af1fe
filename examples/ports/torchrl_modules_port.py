"""torchrl's layers, exploration and distributions as a port."""

import warnings
from types import SimpleNamespace
from unittest import mock

import torch
from tensordict import TensorDict
from torch.distributions import kl_divergence
from torchrl.data import Categorical
from torchrl.envs.utils import ExplorationType, set_exploration_type
from torchrl.modules import EGreedyModule, IndependentNormal, NoisyLinear, QValueModule, TanhNormal
from torchrl.modules.models import DuelingMlpDQNet
from torchrl_port import DTYPES as DTYPES
from torchrl_port import _tensor, derivative, tensors

warnings.filterwarnings("ignore", module="torchrl|tensordict")
CONVENTIONS = {"bad_input": "unchecked", "exploration": "all", "ties": "first", "dueling_baseline": "mean"}


def _seeded(generator, draw):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(generator.integers(2**63)))
        return draw()


def noisy_linear(x, weight, weight_scale, bias, bias_scale, noise_in, noise_out):
    x, *parameters, noise_in, noise_out = tensors(x, weight, weight_scale, bias, bias_scale, noise_in, noise_out)
    layer = NoisyLinear(noise_in.numel(), noise_out.numel(), dtype=x.dtype)
    with mock.patch("torch.randn", side_effect=[noise_in.detach(), noise_out.detach()]):
        layer.reset_noise()
    names = ("weight_mu", "weight_sigma", "bias_mu", "bias_sigma")
    with set_exploration_type(ExplorationType.RANDOM):
        return torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), (x,))


def sample_layer_noise(inputs, outputs, *, generator):
    """The layer keeps f(noise_out) and the products: f and the quotient are undone."""
    layer = _seeded(generator, lambda: NoisyLinear(inputs, outputs, dtype=torch.float64))
    roots = layer.weight_epsilon[0] / layer.bias_epsilon[0], layer.bias_epsilon
    return tuple(root.sign() * root.square() for root in roots)


def sample_epsilon_greedy(q, *, epsilon, over="all", generator):
    act = QValueModule(action_space="categorical", spec=None)
    explore = EGreedyModule(Categorical(q.shape[-1]), eps_init=epsilon, eps_end=epsilon)
    state = TensorDict({"action_value": _tensor(q)}, q.shape[:-1])
    with set_exploration_type(ExplorationType.RANDOM):
        return _seeded(generator, lambda: explore(act(state))["action"])


def dueling_value(value, advantage, *, baseline="mean"):
    value, advantage = tensors(value, advantage)
    heads = SimpleNamespace(features=lambda x: x, value=lambda _: value.unsqueeze(-1), advantage=lambda x: x)
    return DuelingMlpDQNet.forward(heads, advantage)


def _normal(mean, log_std):
    return IndependentNormal(_tensor(mean), _tensor(log_std).exp())


def gaussian_log_prob(action, mean, log_std):
    return _normal(mean, log_std).log_prob(_tensor(action))


def gaussian_entropy(log_std):
    return _normal(torch.zeros_like(_tensor(log_std)), log_std).entropy()


def gaussian_kl(mean, log_std, other_mean, other_log_std):
    return kl_divergence(_normal(mean, log_std), _normal(other_mean, other_log_std))


def sample_gaussian(mean, log_std, *, generator):
    return _seeded(generator, _normal(mean, log_std).rsample)


def _squashed(mean, log_std, low, high):
    return TanhNormal(_tensor(mean), _tensor(log_std).exp(), **dict(zip(("low", "high"), tensors(low, high), strict=True)))


def tanh_gaussian_log_prob(pre_tanh, mean, log_std, *, low, high):
    """As the losses compute it, of the number drawn; `log_prob` of the action inverts tanh."""
    squashed, pre_tanh = _squashed(mean, log_std, low, high), _tensor(pre_tanh)
    squashed.base_dist.rsample = lambda _: pre_tanh
    return squashed.rsample_and_log_prob()[1]


def tanh_action(pre_tanh, *, low, high):
    pre_tanh = _tensor(pre_tanh)
    return _squashed(torch.zeros_like(pre_tanh), torch.zeros_like(pre_tanh), low, high).transforms[0](pre_tanh)


def sample_tanh_gaussian(mean, log_std, *, low, high, generator):
    squashed = _squashed(mean, log_std, low, high)
    pre_tanh = _seeded(generator, squashed.base_dist.rsample)
    return squashed.transforms[0](pre_tanh), pre_tanh


def gradient(operator, *arguments, **keywords):
    return derivative(globals()[operator], *arguments, **keywords)
