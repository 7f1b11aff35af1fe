"""Q-Prop: a policy gradient from on-policy returns, with an off-policy critic as its control variate (Gu et al. 2017).

    Ā(s, a) = g(s)·(a − μ(s)), g = ∇a Q(s, a) at a = μ(s)
    gradient = mean of ∇ log π(a|s)·(Â − η Ā) + mean of η ∇μ(s)ᵀ g(s)         `q_prop_gradient`
    surrogate(θ) = mean of ρ (Â − η Ā) + mean of η g·(μ_θ(s) − μ(s))         ρ = π_θ(a|s) / π(a|s)

g and μ in the surrogate are those of before the step. Then its expectation under π is E[ρ Â] at every θ, not only its gradient at
the present policy: E[ρ Ā] = g·(μ_θ − μ), which the second mean returns. The gradient is unbiased for any critic and any weight η
that are fixed before the batch is drawn: so the critic learns after the policy's step, and η comes from other samples
(control_variate_terms.py). Step and line search are TRPO's, Â is GAE's, whose scale the trust region takes out.

estimator  "q_prop"; "trpo": η = 0, the same path without the critic; "mixed": ν mean of ρ Â + (1 − ν) mean over states of the pool
           of g·μ_θ, the direct mixing with which the paper compares, BIASED unless ν = 1 (`mixed_gradient`)
as_coded   what the authors' program does instead, BIASED: η of each sample from that sample's own action; Â − η Ā standardised over
           the batch while the other half is not; Â, Ā and η by the critic before its training, η·Q(s, μ_θ(s)) by the one after
"""

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import NamedTuple

import torch
from torch import Tensor

from accelerated import expectile_loss, sample_gaussian, value_target
from accelerated.agents import baselines, networks, on_policy, rollouts, trpo, trust_regions
from accelerated.agents import control_variate_terms as terms
from accelerated.agents.baselines import seen
from accelerated.agents.batch import Batch, Parameters, Space
from accelerated.agents.on_policy import act
from accelerated.agents.optimizers import Optimizer
from accelerated.agents.qprop_configuration import Config
from accelerated.agents.rollouts import Rollout
from accelerated.agents.state import State
from accelerated.agents.streams import Streams

__all__ = [
    "LOSSES", "MEMORY", "NAME", "PRESETS", "Config", "Estimate", "act", "critic_loss", "estimate", "init", "policy_loss", "q",
    "surrogate", "update", "value_loss",
]  # fmt: skip

NAME = "qprop"
MEMORY = "rollout"

AUTHOR: dict[str, object] = {
    "as_coded": True,
    "hidden": (100, 50),
    "action_layer": 1,
    "bootstrap_truncations": False,
    "policy_gain": 1.0,
}

PRESETS: dict[str, dict[str, object]] = {
    "paper": {},  # unbiased; conservative, which the paper calls the most stable
    "paper:standard": {"rule": "standard"},
    "paper:aggressive": {"rule": "aggressive"},
    "paper:optimal": {"rule": "optimal"},
    # launcher_utils.py and the flags of rllabplusplus: BIASED (weights of the sample itself, one half standardised, two critics)
    "author": AUTHOR,
    "author:aggressive": AUTHOR | {"rule": "aggressive"},
    "trpo": {"estimator": "trpo"},  # the same path without the critic
    "mixed": {"estimator": "mixed"},  # BIASED: direct mixing, as the paper's comparison has it
}
AS_CODED = "BIASED: weights from the sample that they weigh, one half standardised, two critics"
NOTES = {"author": AS_CODED, "author:aggressive": AS_CODED, "mixed": "BIASED: the critic's half is not what is taken away"}
"""What `--list-presets` warns of."""


# ------------------------------------------------------------------------------------------------------- networks


@cache
def critic_shape(config: Config, space: Space) -> networks.Network:
    """Q(s, a).

    raises  ValueError if actions are discrete
    """
    return networks.network_for(
        space,
        outputs=1,
        hidden=config.critic_hidden,
        with_actions=True,
        action_layer=config.action_layer,
        torso=config.torso,
        init=config.init,
    )


def init(
    config: Config, space: Space, seeds: Sequence[int], *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
) -> State:
    """A policy, a baseline, a critic and its target for each seed, and the weight that the next batch is given."""
    critic = critic_shape(config, space).init(Streams(seeds, "critic", device), dtype=dtype, device=device)
    state = on_policy.made(config, space, seeds, {"value": config.value_learning_rate}, device=device, dtype=dtype)
    state.networks |= {"critic": critic, "target_critic": networks.copy(critic)}
    state.optimizers["critic"] = Optimizer(critic, learning_rate=config.critic_learning_rate, kind=config.optimizer)
    state.streams |= {name: Streams(seeds, name, device) for name in ("pool", "weights")}
    state.tensors["weight"] = torch.zeros(len(seeds), dtype=dtype, device=device)
    return state


def q(state: State, observations: Tensor, actions: Tensor, *, network: str = "critic") -> Tensor:
    """Q(s, a), differentiable in the critic and the actions; -> [seeds, n]."""
    critic = critic_shape(state.config, state.space)
    return critic(state.networks[network], seen(state, observations), actions)[:, 0, :, 0]


def fixed_q(state: State, observations: Tensor, actions: Tensor) -> Tensor:
    """Q(s, a), differentiable in the actions alone."""
    critic = {name: tensor.detach() for name, tensor in state.networks["critic"].items()}
    return critic_shape(state.config, state.space)(critic, seen(state, observations), actions)[:, 0, :, 0]


# ------------------------------------------------------------------------------------------------- the surrogate


class Estimate(NamedTuple):
    """What the surrogate takes as constants: the batch's N steps, and the critic at the M states of the analytic half.

    residual     what was done, by which policy, and as its advantage the signal that multiplies the ratio, [seeds, N]
    expansion    of the critic at M states
    weight       η of those states, [seeds, M]
    next_weight  what this batch says of the next one's weight, [seeds]
    """

    residual: on_policy.Samples
    expansion: terms.Expansion
    weight: Tensor
    next_weight: Tensor


def surrogate(state: State, given: Estimate, parameters: Parameters | None = None) -> Tensor:
    """mean of ρ·signal + mean of η·g·(μ_θ − μ), at the state's parameters θ of the policy or at others; -> [seeds]."""
    residual = trpo.surrogate(state, given.residual, parameters)
    return residual + (given.weight * analytic(state, given.expansion, parameters)).mean(-1)


def analytic(state: State, expansion: terms.Expansion, parameters: Parameters | None = None) -> Tensor:
    """g·(μ_θ − μ) of each state, or Q(s, μ_θ) of the critic as it is now where `as_coded`; -> [seeds, M]."""
    mean = on_policy.distribution(state, expansion.observations, parameters)[0]
    if state.config.as_coded:
        return fixed_q(state, expansion.observations, mean)
    return (expansion.action_gradient * (mean - expansion.mean)).sum(-1)


def estimate(state: State, rollout: Rollout) -> Estimate:
    """Both halves by the critic, the baseline and the policy as they are."""
    config, batch = state.config, on_batch(state.config, rollout)
    steps = on_policy.samples(state, batch)
    if config.estimator == "mixed":
        return _mixed(state, rollout, steps)
    expansion = expanded(state, steps.observations)
    variate = expansion.at(steps.actions)
    weight = weights(state, batch, steps.advantage, variate, expansion)
    signal = centred(config, batch, steps.advantage - weight * variate)
    if config.as_coded:
        signal = on_policy.standardized(signal)
    next_weight = terms.weight_of(steps.advantage, variate, config.rule)
    return Estimate(steps._replace(advantage=signal), expansion, weight, next_weight)


def _mixed(state: State, rollout: Rollout, steps: on_policy.Samples) -> Estimate:
    """As many states of the pool as the batch has, or all of them where batches of the critic are all of it, too."""
    config = state.config
    fraction, count = config.on_policy_fraction, None if config.batch_size is None else steps.times.shape[1]
    places = rollouts.drawn(rollout, state.streams["pool"], count)
    expansion = expanded(state, rollouts.taken(rollout.observations.flatten(1, 2), places))
    weight = torch.full_like(expansion.mean[..., 0], 1 - fraction)
    signal = centred(config, on_batch(config, rollout), steps.advantage)
    return Estimate(steps._replace(advantage=fraction * signal), expansion, weight, state.tensors["weight"])


def centred(config: Config, batch: Rollout, signal: Tensor) -> Tensor:
    """Less the mean that the configuration names; [seeds, N]."""
    if config.subtract_mean == "none":
        return signal
    return terms.without_mean(signal, terms.halves(batch) if config.subtract_mean == "halves" else None)


def expanded(state: State, observations: Tensor) -> terms.Expansion:
    """The critic about the policy's means."""
    return terms.expanded(partial(fixed_q, state), observations, on_policy.distribution(state, observations)[0])


@torch.no_grad()
def weights(state: State, batch: Rollout, advantage: Tensor, variate: Tensor, expansion: terms.Expansion) -> Tensor:
    """η of each step of the batch; [seeds, N] twice -> [seeds, N]."""
    config = state.config
    if config.estimator == "trpo":
        return torch.zeros_like(advantage)
    if config.as_coded:
        return terms.own_weights(advantage, variate, config.rule)
    if config.rule == "standard":
        return torch.ones_like(advantage)
    if config.weight_from == "previous":
        return state.tensors["weight"].unsqueeze(-1).expand_as(advantage)
    if config.weight_from == "halves":
        return terms.weights_of_other_half(advantage, variate, terms.halves(batch), config.rule)
    actions = further_actions(state, expansion.observations)
    return terms.weights_of_critic(partial(fixed_q, state), expansion, actions, config.rule)


def further_actions(state: State, observations: Tensor) -> Tensor:
    """`weight_samples` draws from the policy in each state, from a stream of their own; -> [seeds, N, samples, D]."""
    mean, log_std = (
        part.unsqueeze(2).expand(-1, -1, state.config.weight_samples, -1) for part in on_policy.distribution(state, observations)
    )
    return state.streams["weights"].each(lambda seed, g: sample_gaussian(mean[seed], log_std[seed], generator=g))


def on_batch(config: Config, rollout: Rollout) -> Rollout:
    """The steps since the last update."""
    return terms.newest(rollout, config.update_every // config.envs)


# --------------------------------------------------------------------------------------------- losses and updates


def policy_loss(state: State, rollout: Rollout) -> Tensor:
    """−surrogate at the policy as it is; -> [seeds]."""
    return -surrogate(state, estimate(state, rollout))


def critic_loss(state: State, rollout: Rollout) -> Tensor:
    """Of a batch of the pool; -> [seeds]."""
    places = rollouts.drawn(rollout, state.streams["pool"], state.config.batch_size)
    return squared_error(state, rollouts.transitions(rollout, places, discount=state.config.discount))


def squared_error(state: State, batch: Batch) -> Tensor:
    """Mean of (r + discount·Q'(s', μ(s')) − Q(s, a))²; `expectile_loss` at 0.5 is half a square; -> [seeds]."""
    with torch.no_grad():
        following = on_policy.distribution(state, batch.next_observations)[0]
        next_q = q(state, batch.next_observations, following, network="target_critic")
    target = value_target(batch.rewards, batch.terminations, next_q, discount=batch.discounts)
    return 2 * expectile_loss(target - q(state, batch.observations, batch.actions), expectile=0.5).mean(-1)


def value_loss(state: State, rollout: Rollout) -> Tensor:
    """The baseline's, over the steps since the last update; -> [seeds]."""
    return trpo.value_loss(state, on_batch(state.config, rollout))


LOSSES: dict[str, tuple[str, Callable[[State, Rollout], Tensor]]] = {
    "policy_loss": ("policy", policy_loss),
    "value_loss": ("value", value_loss),
    "critic_loss": ("critic", critic_loss),
}


def update(state: State, rollout: Rollout) -> dict[str, Tensor]:
    """One step of the policy, the baseline's fit, and the critic's updates: after the policy's step unless `as_coded`."""
    batch, given = on_batch(state.config, rollout), estimate(state, rollout)
    learned = learn_critic(state, rollout) if state.config.as_coded else {}
    metrics = climb(state, given) | learned
    state.tensors["weight"] = given.next_weight
    metrics |= baselines.fit(state, batch, given.residual.target.reshape(batch.rewards.shape))
    if not state.config.as_coded:
        metrics |= learn_critic(state, rollout)
    on_policy.finish(state, batch)
    return metrics


def climb(state: State, given: Estimate) -> dict[str, Tensor]:
    """One natural step of the policy within its trust region."""
    config, observations = state.config, given.residual.observations
    with torch.no_grad():
        old = on_policy.distribution(state, observations)

    def divergence(parameters: Parameters) -> Tensor:
        return on_policy.divergence(old, on_policy.distribution(state, observations, parameters)).mean(-1)

    metrics = trust_regions.ascend(
        state.networks["policy"],
        partial(surrogate, state, given),
        divergence,
        max_kl=config.max_kl,
        iterations=config.cg_iterations,
        damping=config.damping,
        shrink=config.shrink,
        max_backtracks=config.max_backtracks,
    )
    state.updates += 1
    return metrics | {"weight": given.weight.mean(-1), "entropy": on_policy.entropy(old).mean(-1)}


def learn_critic(state: State, rollout: Rollout) -> dict[str, Tensor]:
    """`updates_ratio` updates for each step of the batch, each followed by the target critic's."""
    config, losses = state.config, []
    if config.estimator == "trpo" or rollout.rewards[0].numel() < config.learning_starts:
        return {}
    for _ in range(round(config.updates_ratio * on_batch(config, rollout).rewards[0].numel())):
        loss = critic_loss(state, rollout)
        state.optimizers["critic"].step(loss)
        networks.track(state.networks["target_critic"], state.networks["critic"], polyak_step=config.polyak_step)
        state.updates += 1
        losses.append(loss.detach())
    return {"critic_loss": torch.stack(losses).mean(0)} if losses else {}
