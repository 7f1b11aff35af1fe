"""rlax as a port: mapped over the batch, as it takes one transition or one sequence. NumPy reads JAX's arrays as its own."""

from functools import cache, partial
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import rlax

jax.config.update("jax_enable_x64", True)
DTYPES = ("float64", "float32")
CONVENTIONS = {"bad_input": "unchecked", "constants": "caller detaches", "infinities": "undefined", "exploration": "all"}
NOTHING = jnp.zeros(1, jnp.float32), 0  # q_tm1, a_tm1: the TD error of a prediction of 0 is the target; float32 widens no type
_mapped = cache(lambda f: jax.jit(lambda *rows, **rest: jax.vmap(partial(f, **rest))(*rows), static_argnames=("n", "margin")))
NORMAL = rlax.gaussian_diagonal()  # of a mean and a standard deviation
_mpo, _n_step = rlax.mpo_compute_weights_and_temperature_loss, rlax.n_step_bootstrapped_returns


def _each(core, function, *arrays, **parameters):  # the last `core` axes of the first array are the function's, the others batch
    batch = arrays[0].shape[: arrays[0].ndim - core]
    found = _mapped(function)(*(array.reshape(-1, *array.shape[len(batch) :]) for array in arrays), **parameters)
    return found.reshape(batch + found.shape[1:])


def _steps(core, function, reward, terminated, *rest, discount, **parameters):  # a termination is a discount of 0
    return _each(core, function, reward, jnp.asarray(discount * ~terminated, reward.dtype), *rest, **parameters)


def _advantages(r, d, cut, v, after, lambda_):
    """`values` has no place for a next value that is not the value of the next step: then TD errors are the rewards."""
    values, td_error = jnp.append(v, after[-1]), jax.vmap(rlax.td_learning)(v, r, d, after)
    known = jnp.all((d == 0) | (after == values[1:]))
    r, values = jnp.where(known, r, td_error), jnp.where(known, values, 0.0)
    return rlax.truncated_generalized_advantage_estimation(r, d, lambda_ * ~cut, values)


def _regression(log_prob, weight):
    policy, target = SimpleNamespace(log_prob=lambda _: log_prob), rlax.PolicyTarget(actions=log_prob, weights=weight)
    return rlax.sampled_policy_distillation_loss(policy, target)


@jax.jit
def deterministic_policy_gradient(action_gradient, policy_jacobian):
    """The step down the loss of the policy J · theta at theta = 0."""

    def loss(theta):
        return jax.vmap(rlax.dpg_loss)(policy_jacobian @ theta, action_gradient).sum(axis=-1).mean()

    return jax.lax.stop_gradient(-jax.grad(loss)(jnp.zeros_like(policy_jacobian[0, 0])))


def categorical_projection(atoms, probability, reward, terminated, *, discount):
    return _project(reward, terminated, probability, jnp.broadcast_to(atoms, probability.shape), discount=discount)


def epsilon_greedy(q, *, epsilon, over="all"):
    return _explore(q, epsilon=epsilon)


def sample_epsilon_greedy(q, *, epsilon, over="all", generator):
    return _draw_explore(_key(generator), q, epsilon)


def sample_boltzmann(q, *, temperature, generator):
    return _draw_softmax(_key(generator), q, temperature)


def sample_gaussian(mean, log_std, *, generator):
    return _draw_normal(_key(generator), mean, log_std)


def _key(generator):
    return jax.random.key(int(generator.integers(2**31)))


def gradient(operator, argument, *arguments, cotangent=1.0, **keywords):
    def total(leaf):
        result = globals()[operator](*arguments[:argument], leaf, *arguments[argument + 1 :], **keywords)
        return (cotangent * result).sum()

    return jax.grad(total)(arguments[argument])


value_target = partial(_steps, 0, partial(rlax.td_learning, jnp.float32(0)))
q_learning_target = partial(_steps, 0, partial(rlax.q_learning, *NOTHING))
sarsa_target = partial(_steps, 0, partial(rlax.sarsa, *NOTHING))
expected_sarsa_target = partial(_steps, 0, partial(rlax.expected_sarsa, *NOTHING))
double_q_target = partial(_steps, 0, lambda r, d, select, value: rlax.double_q_learning(*NOTHING, r, d, value, select))
discounted_returns = partial(_steps, 1, lambda r, d, cut, v: rlax.discounted_returns(jnp.where(cut, r + d * v, r), d * ~cut, v))
lambda_returns = partial(_steps, 1, lambda r, d, cut, v, lambda_: rlax.lambda_returns(r, d, v, lambda_ * ~cut))
n_step_returns = partial(_steps, 1, lambda r, d, cut, v, n: _n_step(r, d, v, n, 1.0 * ~cut))
margin_returns = partial(_steps, 1, lambda r, d, cut, v, margin, lambda_: _n_step(r, d, v, 1 + margin, lambda_ * ~cut))
gae = partial(_steps, 1, _advantages)
expectile_loss = partial(_each, 0, lambda error, expectile: rlax.expectile_loss(0 * error, error, expectile))
pinball_loss = partial(_each, 0, lambda e, quantile: rlax.quantile_regression_loss(0 * e[None], e[None] * 0 + quantile, e[None]))
normalized_weights = partial(_each, 1, lambda q, temperature: _mpo(q, rlax.LagrangePenalty(temperature, 0.0), jnp.abs)[1])
weighted_policy_loss = partial(_each, 0, _regression)
log_mean_exp = partial(_each, 1, lambda q, temperature: _mpo(q, rlax.LagrangePenalty(temperature, 0.0), jnp.abs)[0])
double_estimate = partial(_each, 1, lambda select, value: rlax.double_q_learning(*NOTHING, 0.0, 1.0, value, select))
_project = partial(_steps, 0, lambda r, d, p, z: rlax.categorical_l2_project(r + d * z, p, z))
categorical_loss = partial(_each, 1, lambda logits, target: rlax.categorical_cross_entropy(target, logits))
greedy = partial(_each, 1, lambda q: rlax.greedy().probs(q))
_explore = partial(_each, 1, lambda q, epsilon: rlax.epsilon_greedy(epsilon).probs(q))
boltzmann = partial(_each, 1, lambda q, temperature: rlax.softmax(temperature).probs(q))
_draw_explore = jax.jit(lambda key, q, epsilon: rlax.epsilon_greedy(epsilon).sample(key, q))
_draw_softmax = jax.jit(lambda key, q, temperature: rlax.softmax(temperature).sample(key, q))
_draw_normal = jax.jit(lambda key, mean, log_std: NORMAL.sample(key, mean, jnp.exp(log_std)))
gaussian_log_prob = partial(_each, 1, lambda a, m, s: NORMAL.logprob(a, m, jnp.exp(s)))
gaussian_entropy = partial(_each, 1, lambda s: NORMAL.entropy(0 * s, jnp.exp(s)))
gaussian_kl = partial(_each, 1, lambda m, s, other, t: NORMAL.kl(m, jnp.exp(s), other, jnp.exp(t)))
clipped_surrogate = partial(_each, 0, lambda x, a, clip: -rlax.clipped_surrogate_pg_loss(jnp.exp(x)[None], a[None], clip))
expectile_loss_gradient = partial(gradient, "expectile_loss", 0)
weighted_policy_loss_gradient = partial(gradient, "weighted_policy_loss", 0)
log_mean_exp_gradient = partial(gradient, "log_mean_exp", 0)
categorical_loss_gradient = partial(gradient, "categorical_loss", 0)
clipped_surrogate_gradient = partial(gradient, "clipped_surrogate", 0)
