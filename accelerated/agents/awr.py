"""Advantage-weighted regression: a value of returns, then a policy of the actions that did better (Peng et al. 2019).

    y = λ-return of the memory under V            V <- argmin mean ½ (y − V(s))²
    A = λ-return under the new V, less V(s)       policy <- argmax mean min(exp(A / temperature), max_weight) · log policy(a|s)

Both are regressions on all that is remembered; neither network follows the other one.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from accelerated import expectile_loss, exponential_weights, gaussian_kl, gaussian_log_prob, lambda_returns, weighted_policy_loss
from accelerated.agents import networks, normalizers, policies
from accelerated.agents.batch import Space
from accelerated.agents.optimizers import KINDS, Optimizer
from accelerated.agents.ranges import check
from accelerated.agents.rollouts import Rollout, drawn, flat, taken
from accelerated.agents.state import State, streams_for
from accelerated.agents.streams import Streams

NAME = "awr"
MEMORY = "rollout"
OFFLINE = True
PIECE = 2048
"""Observations whose values are computed at once."""


@dataclass(frozen=True)
class Config:
    """The authors' code, github.com/xbpeng/awr; its defaults are those for HalfCheetah.

    lambda_                of the returns; 1: Monte Carlo up to a cut, which bootstraps where it is none of the process
    temperature            divides the advantage; max_weight bounds the exponential; none: nothing does
    normalize_advantage    mean 0 and deviation 1 over the whole memory, before the exponential
    bound_weight           of half the squared distance of the mean action from the bounds, which have half width 1
    policy_std             of the Gaussian, in the same units; it is not learned
    scale_values           the network speaks in units in which the reward 1 for ever is worth 1
    value_steps, ...       minibatches of each regression a round; an update is one of either
    normalize_observations by the mean and deviation of the first normalizer_samples
    """

    discount: float = 0.99
    lambda_: float = 0.95
    temperature: float = 1.0
    max_weight: float | None = 20.0
    normalize_advantage: bool = True
    bound_weight: float = 10.0
    policy_std: float = 0.4
    scale_values: bool = True
    batch_size: int | None = 256
    value_steps: int = 200
    policy_steps: int = 1000
    value_learning_rate: float = 1e-2
    policy_learning_rate: float = 5e-5
    optimizer: str = "sgd"
    optimizer_eps: float = 1e-8
    momentum: float = 0.9
    max_grad_norm: float | None = None
    hidden: tuple[int, ...] = (128, 64)
    activation: str = "relu"
    init: str = "orthogonal"
    normalize_observations: bool = True
    normalizer_samples: int = 300_000
    buffer_size: int = 50_000
    update_every: int = 2048
    envs: int = 1

    def __post_init__(self) -> None:
        check(self, optimizer=KINDS)
        check_scale(self)


PRESETS: dict[str, dict[str, object]] = {  # awr_configs.py of the authors' code
    "author": {},
    "author:halfcheetah": {"policy_learning_rate": 5e-5},
    "author:hopper": {"policy_learning_rate": 1e-4},
    "author:walker2d": {"policy_learning_rate": 2.5e-5},
    "author:humanoid": {"policy_learning_rate": 1e-5},
    "author:ant": {"policy_learning_rate": 5e-5, "policy_std": 0.2},
    "author:lunarlander": {"policy_learning_rate": 5e-4, "normalizer_samples": 100_000},
    # the equations of the paper, and of the poster of QWR: returns as they are, weights as they are
    "paper": {"lambda_": 1.0, "max_weight": None, "normalize_advantage": False, "bound_weight": 0.0, "scale_values": False},
}


def check_scale(config: Any) -> None:
    """Values can be learned in units of 1 / (1 − discount).

    raises  ValueError where that is infinite
    """
    if config.scale_values and config.discount == 1:
        raise ValueError("scale_values must be False where the discount is 1; got True")


# ---------------------------------------------------------------------------------------------------- networks


class Networks(NamedTuple):
    """The shapes of what State.networks holds."""

    value: networks.Network
    policy: policies.Policy


@cache
def shapes(config: Config, space: Space) -> Networks:
    """V and the policy, of one kind."""
    options: dict[str, Any] = {"hidden": config.hidden, "activation": config.activation, "init": config.init}
    return Networks(networks.network_for(space, outputs=1, last_gain=1.0, **options), policy_shape(config, space))


@cache
def policy_shape(config: Any, space: Space) -> policies.Policy:
    """N(network, policy_std²), not squashed, in units in which the box of actions is [-1, 1]; softmax where they are discrete."""
    return policies.policy_for(
        space,
        hidden=config.hidden,
        activation=config.activation,
        init=config.init,
        last_gain=0.01,
        log_std="fixed",
        initial_log_std=math.log(config.policy_std),
        tanh_mean=False,
    )


def init(
    config: Config, space: Space, seeds: Sequence[int], *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
) -> State:
    """New networks for each seed."""
    made: dict[str, Any] = {
        name: network.init(Streams(seeds, name, device), dtype=dtype, device=device)
        for name, network in shapes(config, space)._asdict().items()
    }
    optimizers = {
        name: optimizer_of(config, parameters, getattr(config, f"{name}_learning_rate"), momentum=config.momentum)
        for name, parameters in made.items()
    }
    streams = streams_for(seeds, ("actions", "minibatches"), device)
    return State(config, space, tuple(seeds), made, optimizers, streams, counters(config, space, seeds, device))


def optimizer_of(config: Any, parameters: dict[str, Tensor], rate: float, *, momentum: float = 0.0) -> Optimizer:
    """The optimizer of one network; momentum is that of SGD."""
    return Optimizer(
        parameters,
        learning_rate=rate,
        kind=config.optimizer,
        eps=config.optimizer_eps,
        momentum=momentum,
        max_grad_norm=config.max_grad_norm,
    )


def counters(config: Any, space: Space, seeds: Sequence[int], device: str | torch.device) -> dict[str, Tensor]:
    """Steps that no update has seen, and the moments of the observations where these are normalised."""
    moments = normalizers.begin(space, seeds, device) if config.normalize_observations else {}
    return {"unseen": torch.zeros((), dtype=torch.int64)} | moments


# ------------------------------------------------------------------------------------------------------ acting


@torch.no_grad()
def act(state: State, observations: Tensor, *, explore: bool) -> Tensor:
    """A draw of the policy, not clipped, or its mode; [seeds, n, *] -> [seeds, n] or [seeds, n, D]."""
    policy, parameters = policy_shape(state.config, state.space), state.networks["policy"]
    shown = normalizers.normalized(state.tensors, observations)
    if not explore:
        return policy.mode(parameters, shown)
    state.tensors["unseen"] += observations.shape[1]
    return policy.draw(parameters, shown, state.streams["actions"])


def prepared(state: State, rollout: Rollout) -> Rollout:
    """The rollout with its observations normalised."""
    if normalizers.MEAN not in state.tensors:
        return rollout
    shown = [normalizers.normalized(state.tensors, column) for column in (rollout.observations, rollout.next_observations)]
    return rollout._replace(observations=shown[0], next_observations=shown[1])


def look(state: State, rollout: Rollout) -> None:
    """Take into the moments what was acted on since the last update; where nothing ever was, all of the data, once."""
    if normalizers.MEAN not in state.tensors:
        return
    unseen = int(state.tensors["unseen"])
    if unseen:
        newest = rollout.observations[:, :, -(unseen // rollout.rewards.shape[1]) :].transpose(1, 2)
        normalizers.observe(state.tensors, newest.flatten(1, 2), limit=state.config.normalizer_samples)
    elif not state.updates:
        normalizers.observe(state.tensors, flat(rollout).observations)
    state.tensors["unseen"].zero_()


# ------------------------------------------------------------------------------------------------------ losses


class Given(NamedTuple):
    """What the losses take as given, [seeds, envs * T] each, in the order of `flat(rollout)`."""

    target: Tensor
    advantage: Tensor


def value_loss(state: State, rollout: Rollout) -> Tensor:
    """Mean of half the squared distance of V from the λ-returns, in the network's units; -> [seeds]."""
    shown = prepared(state, rollout)
    return regression(state, flat(shown).observations, estimates(state, shown).target)


def policy_loss(state: State, rollout: Rollout) -> Tensor:
    """−mean of weight · log policy(a|s), and what the bounds cost; -> [seeds]."""
    shown = prepared(state, rollout)
    steps = flat(shown)
    return imitation(state, steps.observations, steps.actions, weights(state, estimates(state, shown).advantage))


LOSSES: dict[str, tuple[str, Callable[[State, Rollout], Tensor]]] = {
    "value_loss": ("value", value_loss),
    "policy_loss": ("policy", policy_loss),
}


@torch.no_grad()
def estimates(state: State, shown: Rollout) -> Given:
    """λ-returns and advantages under V as it is; a time limit bootstraps, a terminal state does not."""
    config, value, after = state.config, values(state, shown.observations), values(state, shown.next_observations)
    cuts = shown.terminations, shown.truncations
    target = lambda_returns(shown.rewards, *cuts, after, lambda_=config.lambda_, discount=config.discount)
    return Given(target.flatten(1), (target - value).flatten(1))


def values(state: State, observations: Tensor) -> Tensor:
    """V in the units of the rewards; [seeds, envs, T, *shape] -> [seeds, envs, T]."""
    network = shapes(state.config, state.space).value
    pieces = torch.split(observations.flatten(1, 2), PIECE, 1)
    found = torch.cat([network(state.networks["value"], piece)[:, 0, :, 0] for piece in pieces], 1)
    return (found / unit(state.config)).reshape(observations.shape[:3])


def unit(config: Any) -> float:
    """What the network says of a return of 1."""
    return 1.0 - config.discount if config.scale_values else 1.0


def regression(state: State, observations: Tensor, target: Tensor) -> Tensor:
    """Mean of ½ (unit · target − network)²; -> [seeds]."""
    value = shapes(state.config, state.space).value(state.networks["value"], observations)[:, 0, :, 0]
    return expectile_loss(unit(state.config) * target - value, expectile=0.5).mean(-1)


def weights(state: State, advantage: Tensor) -> Tensor:
    """exp(advantage / temperature) up to max_weight, of the standardised advantage where that is asked for; [seeds, ...]."""
    config = state.config
    shaped = normalizers.standardized(advantage) if config.normalize_advantage else advantage
    return exponential_weights(shaped, temperature=config.temperature, max_weight=config.max_weight)


def imitation(state: State, observations: Tensor, actions: Tensor, weight: Tensor) -> Tensor:
    """−mean of weight · log policy(a|s), and what the bounds cost; -> [seeds]."""
    policy, parameters = policy_shape(state.config, state.space), state.networks["policy"]
    if isinstance(policy, policies.Categorical):
        return weighted_policy_loss(policy.log_prob(parameters, observations, actions), weight).mean(-1)
    distribution = policy.distribution(parameters, observations)
    loss = weighted_policy_loss(gaussian_log_prob(actions, *distribution), weight).mean(-1)
    return loss + bound_loss(state, distribution).mean(-1) if state.config.bound_weight else loss


def bound_loss(state: State, distribution: policies.Normal) -> Tensor:
    """bound_weight · ½ Σ of the squared distances of the mean from the box: policy_std² times a KL; [seeds, batch]."""
    mean, log_std = distribution
    weight: float = state.config.bound_weight * state.config.policy_std**2
    return weight * gaussian_kl(mean, log_std, policies.clipped(state.space, mean.detach()), log_std)


# ------------------------------------------------------------------------------------------------------ update


def update(state: State, rollout: Rollout) -> dict[str, Tensor]:
    """One round: V to the returns, then the policy to the actions, weighted by what the new V says of them."""
    look(state, rollout)
    shown = prepared(state, rollout)
    steps, config = flat(shown), state.config
    target = estimates(state, shown).target
    for places in minibatches(state, rollout, config.value_steps):
        value = regression(state, taken(steps.observations, places), taken(target, places))
        step(state, "value", value)
    given = estimates(state, shown)
    weight = weights(state, given.advantage)
    for places in minibatches(state, rollout, config.policy_steps):
        batch = (taken(column, places) for column in (steps.observations, steps.actions, weight))
        policy = imitation(state, *batch)
        step(state, "policy", policy)
    metrics = {"value_loss": value.detach(), "policy_loss": policy.detach()}
    return metrics | {"value": given.target.mean(-1), "weight": weight.mean(-1)}


def minibatches(state: State, rollout: Rollout, steps: int) -> Iterator[Tensor]:
    """The places of each of `steps` batches, with replacement, int64 [seeds, batch]; all places where batch_size is none."""
    size, streams = state.config.batch_size, state.streams["minibatches"]
    if size is None:
        yield from [drawn(rollout, streams, None)] * steps
    else:
        yield from torch.split(drawn(rollout, streams, steps * size), size, 1)


def step(state: State, network: str, loss: Tensor) -> None:
    """One step of one network down its loss [seeds]."""
    state.optimizers[network].step(loss)
    state.updates += 1
