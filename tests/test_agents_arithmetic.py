"""An agent holds no arithmetic that the reference does not know: what is left to it is listed here, expression by expression."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import accelerated

ROOM = Path(accelerated.__file__).parent / "agents"
MATHEMATICS = set(
    """exp log log_softmax softmax logsumexp clamp clip clip_ clamp_ max amax amin min minimum maximum where lerp lerp_ square pow
    sqrt rsqrt tanh mul mul_ sub sub_ add_ div matmul einsum std var cumsum
    cumprod addcmul sigmoid softplus abs norm dot bmm reciprocal
    mse_loss huber_loss smooth_l1_loss cross_entropy nll_loss kl_div relu""".split()
)
OPERATORS = set(accelerated.__all__)

LEFT = {
    "bc": {},
    "dqn": {
        "max(steps - config.learning_starts, 0) / max(config.epsilon_steps, 1)": "a schedule's time",
        "config.epsilon_start + part * (config.epsilon_end - config.epsilon_start)": "a schedule",
        "target - q": "an error",
        "batch.weights * loss": "the weight of a loss",
        "state.updates % state.config.target_every": "counting",
    },
    "distributional": {
        "logits.softmax(-1) @ atoms": "the network's head: the mean of its distribution",
        "taken(evaluating, chosen).softmax(-1)": "the network's head",
    },
    "rainbow": {},
    "iql": {
        "q - value[:, 0, :, 0]": "an error",
        "given.q - given.value": "the advantage that weights take",
        "1 / config.inverse_temperature": "the same setting by its other name",
        "target.unsqueeze(1).expand_as(q) - q": "an error",
        "2 * expectile_loss(error, expectile=0.5).mean(-1)": "twice the operator",
        "q_of(state, 'target_critic', batch.observations, batch.actions).amin(1)": "the smaller of the twins",
    },
    "one_step": {
        "iql.q_of(state, 'target_critic', batch.next_observations, batch.next_actions).amin(1)": "the smaller of the twins",
        "critic(state.networks['target_critic'], batch.next_observations).amin(1)": "the smaller of the twins",
    },
    "tabular": {
        "entries(state.tensors['visits'], batch.observations, batch.actions).clamp(min=1.0)": "counting",
        "visits.pow(-state.config.step_power) * state.tensors['chosen'].unsqueeze(-1)": "a schedule of steps",
        "torch.div(steps, often)": "the mean over a batch's equal pairs",
        "target(state, batch) - entries(state.networks['critic']['q'], batch.observations, batch.actions)": "the error",
        "1 - first": "the other one of two tables",
        "weight * expectile_loss(error, expectile=0.5)": "the weight of a loss",
    },
    "fitted": {
        "y - q": "an error",
        "losses / multiplicity(state.space, batch.observations, batch.actions)": "the mean over a batch's equal pairs",
    },
    "planning": {
        "space.states * space.actions": "counting",
        "state.space.states * state.space.actions": "counting",
        "(held - before).abs().flatten(1).amax(1)": "what is logged",
    },
    "ddpg": {},
    "td3": {
        "config.target_noise * state.streams['target'].normal(*action.shape[1:], dtype=action.dtype)": "a scale",
        "state.updates % state.config.policy_every": "counting",
    },
    "sac": {
        "math.log(config.initial_entropy_coefficient)": "the parameter is a logarithm",
        "self.probabilities * of_actions": "the mean over the policy's actions",
        "logits.log_softmax(-1)": "the network's head",
        "logits.softmax(-1)": "the network's head",
        "log_coefficient.exp()": "the parameter is a logarithm",
        "(of_seed if log_prob.ndim == 2 else of_seed.unsqueeze(-1)) * log_prob": "each seed's coefficient",
        "0.5 * actor_critics.squared_errors(state, batch, target(state, batch) if y is None else y)": "the paper's half",
        "0.98 * math.log(space.actions)": "a default of the configuration",
    },
    "actor_critics": {
        "space.low + space.high": "two tuples joined",
        "target.unsqueeze(1) - q_of(state, state.networks['critic'], batch.observations, batch.actions)": "an error",
        "2 * expectile_loss(error, expectile=0.5).mean(-1).sum(-1)": "twice the operator",
        "torch.addcmul(box.centre, box.half_width, outputs)": "units",
        "(each - box.centre) / box.half_width": "units",
        "torch.mul(config.exploration_noise, state.streams['actions'].normal(*like.shape[1:], dtype=like.dtype))": "a scale",
        "noise / config.noise_reversion": "the kick that polyak_update scales back",
    },
    "awr": {
        "math.log(config.policy_std)": "the same setting by its other name",
        "unseen // rollout.rewards.shape[1]": "counting",
        "target - value": "the advantage that weights take",
        "found / unit(state.config)": "the network's units",
        "1.0 - config.discount": "the network's units",
        "unit(state.config) * target - value": "an error",
        "loss + bound_loss(state, distribution).mean(-1)": "a sum of losses",
        "state.config.policy_std ** 2": "the weight of a loss",
        "weight * gaussian_kl(mean, log_std, policies.clipped(state.space, mean.detach()), log_std)": "the weight of a loss",
        "steps * size": "counting",
    },
    "qwr": {
        "outputs_of(state, 'target_critic', shown, actions) / unit(state.config)": "the network's units",
        "torch.cat([outputs_of(state, 'target_critic', *piece) for piece in pieces], 1) / unit(state.config)": "units",
        "q / scale": "units of the batch's spread",
        "temperature * (q.shape[-1] * probability).log()": "the prior of log_mean_exp, which takes none",
        "torch.where(probability > 0, scaled + prior, -torch.inf)": "the prior of log_mean_exp, which takes none",
        "scale[..., 0] * found": "units of the batch's spread",
        "1 + state.config.margin": "counting",
        "unit(state.config) * targets(state, window) - outputs_of(state, 'critic', *first)[..., 0]": "an error",
        "q - expected(q, probability).unsqueeze(-1)": "the advantage that weights take",
        "probability * weight": "the weight of a loss",
        "policy.logits(parameters, shown).log_softmax(-1)": "the policy's head",
        "number % config.target_every": "counting",
    },
    "behaviors": {
        "torch.where(open_ends[:, places].unsqueeze(-1), now, known[:, places])": "a choice of rows",
    },
    "reinforce": {},
    "trpo": {
        "(on_policy.log_prob(state, given.observations, given.actions, parameters) - given.log_prob).exp()": "the importance ratio",
    },
    "ppo": {
        "on_policy.log_prob(state, given.observations, given.actions) - given.log_prob": "the log ratio that the surrogate takes",
        "config.entropy_coefficient * entropy": "the weight of a loss",
        "self.update_every // self.envs * self.envs": "counting",
        "self.epochs * (1 if self.batch_size is None else -(-count // self.batch_size))": "counting",
        "state.updates // config.updates_of_a_round * config.update_every": "counting",
        "1 - steps / config.decay_steps": "a schedule",
        "part * getattr(config, f'{name}_learning_rate')": "a schedule",
        "tensor.ndim - 1": "counting",
        "torch.where(rests, before.get(name, tensor), tensor)": "which seeds move",
    },
    "qprop": {
        "residual + (given.weight * analytic(state, given.expansion, parameters)).mean(-1)": "the two halves of the surrogate",
        "expansion.action_gradient * (mean - expansion.mean)": "what deterministic_policy_gradient is the gradient of",
        "steps.advantage - weight * variate": "the signal, as in q_prop_gradient",
        "1 - fraction": "the other part, as in mixed_gradient",
        "fraction * signal": "the on-policy part, as in mixed_gradient",
        "config.update_every // config.envs": "counting",
        "2 * expectile_loss(target - q(state, batch.observations, batch.actions), expectile=0.5).mean(-1)": "twice the operator",
        "config.updates_ratio * on_batch(config, rollout).rewards[0].numel()": "counting",
    },
    "qprop_configuration": {"self.update_every % self.envs": "counting"},
    "cem": {
        "space.low + space.high": "joining bounds",
        "config.exploration_noise * streams.normal(*found.shape[1:], dtype=found.dtype)": "a scale",
        "torch.where(streams.uniform(count, 1) < config.epsilon, anything, near)": "which actions are random",
        "seed + 1": "counting",
        "state.updates % state.config.target_every": "counting",
    },
}
"""File: the expressions that are no operator's, and what each is."""


def arithmetic(tree: ast.AST) -> Iterator[str]:
    """The outermost expressions that compute, types and texts aside."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation is not None:
            yield from arithmetic(node.value) if isinstance(node, ast.AnnAssign) and node.value is not None else ()
            continue
        if computes(node):
            yield ast.unparse(node)
        else:
            yield from arithmetic(node)


def computes(node: ast.AST) -> bool:
    if isinstance(node, ast.BinOp):
        words = (ast.JoinedStr, ast.List, ast.Tuple, ast.Dict, ast.SetComp, ast.ListComp)
        return not isinstance(node.op, ast.BitOr | ast.BitAnd) and not any(
            isinstance(side, words) for side in (node.left, node.right)
        )
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    return node.func.attr in MATHEMATICS and node.func.attr not in OPERATORS


@pytest.mark.parametrize("stem", LEFT)
def test_an_agent_holds_no_arithmetic_of_its_own(stem: str) -> None:
    found = list(arithmetic(ast.parse((ROOM / f"{stem}.py").read_text())))
    assert set(found) - set(LEFT[stem]) == set(), "what an operator should compute"
    assert set(LEFT[stem]) - set(found) == set(), "what is listed and no longer there"


@pytest.mark.parametrize("wrong", ["r + g * v.max(-1)", "torch.exp(a / b)", "(q - y).square().mean()", "x.logsumexp(-1)"])
def test_arithmetic_is_seen_where_it_is(wrong: str) -> None:
    assert list(arithmetic(ast.parse(f"def loss(x):\n    return {wrong}")))


@pytest.mark.parametrize("right", ["value_target(r, t, v, discount=d)", "loss.mean(-1)", "q.gather(-1, a).squeeze(-1)", "a | b"])
def test_calls_of_operators_and_means_are_none(right: str) -> None:
    assert not list(arithmetic(ast.parse(f"def loss(x: int | None) -> int | None:\n    return {right}")))
