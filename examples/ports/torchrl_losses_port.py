"""torchrl's losses as a port, without their reduction: they get networks that hand them what the operator is given."""

import warnings
from functools import partial
from types import SimpleNamespace
from unittest import mock

import torch
import torchrl_port
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torch.distributions import Distribution
from torchrl.modules import ProbabilisticActor, QValueActor
from torchrl.objectives import ClipPPOLoss, DQNLoss, LossModule, ReinforceLoss, SACLoss, SoftUpdate
from torchrl_port import DTYPES as DTYPES
from torchrl_port import _tensor, derivative, tensors

warnings.filterwarnings("ignore", module="torchrl|tensordict")
CONVENTIONS = torchrl_port.CONVENTIONS | {"ties": "first", "temperature_loss": "log_coefficient"}


class _Given(Distribution):
    """Of whatever action, the log-probability given."""

    arg_constraints = {}

    def __init__(self, given):
        super().__init__(given.shape)
        self.given = given

    def log_prob(self, _):
        return self.given

    def rsample_and_log_prob(self, _=()):
        return self.given, self.given


ACTOR = ProbabilisticActor(
    TensorDictModule(torch.nn.Identity(), ["log_prob"], ["given"]), in_keys=["given"], distribution_class=_Given
)
CRITIC = TensorDictModule(torch.nn.Identity(), ["value_target"], ["state_value"])
Q_ACTOR = QValueActor(TensorDictModule(torch.nn.Identity(), ["q"], ["action_value"]), spec=None, action_space="categorical")


def q_learning_target(reward, terminated, next_q, *, discount):
    if not isinstance(discount, float):
        raise NotImplementedError("one discount for all steps")
    reward, terminated, next_q = tensors(reward, terminated, next_q)
    loss = DQNLoss(Q_ACTOR, action_space="categorical")
    loss.make_value_estimator(gamma=discount)
    end = terminated.unsqueeze(-1)
    following = {"q": next_q, "reward": reward.unsqueeze(-1), "done": end, "terminated": end}
    return loss.value_estimator.value_estimate(TensorDict({"next": following}, reward.shape)).squeeze(-1)


def _loss(loss, name, log_prob, advantage):
    log_prob, advantage = tensors(log_prob, advantage)
    none = torch.zeros(log_prob.numel(), dtype=log_prob.dtype)
    batch = {"log_prob": log_prob.flatten(), "advantage": advantage.flatten()[:, None], "action": none}
    batch |= {"action_log_prob": none, "value_target": none[:, None]}
    return loss(TensorDict(batch, [log_prob.numel()]))[name].reshape(log_prob.shape)


def reinforce_loss(log_prob, advantage):
    return _loss(ReinforceLoss(ACTOR, CRITIC, reduction="none"), "loss_actor", log_prob, advantage)


def clipped_surrogate(log_ratio, advantage, *, clip):
    loss = ClipPPOLoss(ACTOR, None, clip_epsilon=clip, entropy_bonus=False, reduction="none")
    return -_loss(loss, "loss_objective", log_ratio, advantage)


def soft_policy_loss(q1, q2, log_prob, *, entropy_coefficient):
    q1, q2, log_prob = tensors(q1, q2, log_prob)
    loss = mock.MagicMock(_alpha=entropy_coefficient, deterministic_sampling_mode=SACLoss.deterministic_sampling_mode)
    loss.tensor_keys, loss.qvalue_network.in_keys = SACLoss._AcceptedKeys(), []
    loss.actor_network.get_dist.return_value = _Given(log_prob)
    loss._vmap_qnetworkN0.return_value = TensorDict({"state_action_value": torch.stack([q1, q2]).unsqueeze(-1)}, [2, *q1.shape])
    loss._reduce_loss = lambda loss, **_: loss
    return SACLoss.actor_loss(loss, TensorDict({}, q1.shape))[0]


def temperature_loss(log_prob, *, log_coefficient, target_entropy):
    """`SACLoss.forward` hands it the detached log-probability."""
    coefficient = SimpleNamespace(log_alpha=log_coefficient, target_entropy=target_entropy)
    return SACLoss._alpha_loss(coefficient, _tensor(log_prob).detach())


class _Networks(LossModule):
    def __init__(self, online):
        super().__init__()
        network = torch.nn.Module()
        network.weight = torch.nn.Parameter(online)
        self.convert_to_functional(TensorDictModule(network, ["in"], ["out"]), "network", create_target_params=True)


def polyak_update(target, online, *, polyak_step):
    networks = _Networks(_tensor(online).detach())
    step = SoftUpdate(networks, tau=polyak_step)
    found = networks.target_network_params["module", "weight"]
    found.data.copy_(_tensor(target))
    step.step()
    return found.data


def gradient(operator, *arguments, **keywords):
    return derivative(globals()[operator], *arguments, **keywords)


reinforce_loss_gradient = partial(derivative, reinforce_loss, 0)
clipped_surrogate_gradient = partial(derivative, clipped_surrogate, 0)


def soft_policy_loss_gradient(*arguments, **keywords):
    return tuple(derivative(soft_policy_loss, place, *arguments, **keywords) for place in range(3))
