"""One-step targets: what a critic regresses on after one transition (s, a, r, s').

In all of them `terminated` *selects* r: a terminated step never reads its next value, be it infinite. Elsewhere ±inf
follows IEEE, so that a discount of 0 times an infinite value is nan, as is a probability of 0 times one.
`reward` [...], `terminated` [...] and what stands for the next value have exactly the same batch shape.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from reference._checks import (
    BoolArray,
    FloatArray,
    as_array,
    flags,
    indices,
    last_axis,
    like_reward,
    probability_rows,
    real_array,
    refuse_where,
    rows_like_reward,
    same_shape,
    scalar,
    step_discount,
)
from reference.aggregates import _aggregated


def value_target(reward: ArrayLike, terminated: ArrayLike, next_value: ArrayLike, *, discount: ArrayLike) -> FloatArray:
    """r + γ · (1 − terminated) · V(s').

    A terminated step is worth its reward alone; a merely truncated one is not terminated and keeps its bootstrap:

    >>> value_target([1.0, 1.0], [False, True], [10.0, 10.0], discount=0.9)
    array([10.,  1.])

    reward      [...]            in units of reward
    terminated  [...]            boolean, Gymnasium's `terminated` and not `terminated or truncated`
    next_value  [...]            V(s'), in units of value; Q'(s', μ'(s')) makes it DDPG's target
    discount    scalar or [...]  γ in [0, 1]
    returns     [...]            in units of value
    raises      ValueError if shapes differ, data has NaN or is not real, terminated is not boolean, γ is not in [0, 1]
    source      Sutton & Barto 2018, eq. (6.2); Kostrikov et al. 2021, eq. (6); Lillicrap et al. 2016, Algorithm 1
    """
    step = _step(reward, terminated, discount)
    return _target(*step, like_reward("next_value", next_value, step[0]))


def q_learning_target(reward: ArrayLike, terminated: ArrayLike, next_q: ArrayLike, *, discount: ArrayLike) -> FloatArray:
    """r + γ · (1 − terminated) · max_a Q(s', a).

    The largest next value counts, whatever action was taken:

    >>> q_learning_target([1.0, 1.0], [False, True], [[0.0, 10.0], [0.0, 10.0]], discount=0.5)
    array([6., 1.])

    reward      [...]            in units of reward
    terminated  [...]            boolean
    next_q      [..., A]         Q(s', ·) of the next state, in units of value
    discount    scalar or [...]  γ in [0, 1]
    returns     [...]            in units of value
    raises      ValueError as value_target, and if there is no action
    source      Watkins 1989; Sutton & Barto 2018, eq. (6.8)
    """
    step = _step(reward, terminated, discount)
    return _target(*step, rows_like_reward("next_q", next_q, step[0]).max(axis=-1))


def sarsa_target(
    reward: ArrayLike, terminated: ArrayLike, next_q: ArrayLike, next_action: ArrayLike, *, discount: ArrayLike
) -> FloatArray:
    """r + γ · (1 − terminated) · Q(s', a').

    The value of the action a' that was taken next counts, not the largest:

    >>> sarsa_target([1.0, 1.0], [False, True], [[0.0, 10.0], [0.0, 10.0]], [0, 1], discount=0.5)
    array([1., 1.])

    reward       [...]            in units of reward
    terminated   [...]            boolean
    next_q       [..., A]         Q(s', ·), in units of value
    next_action  [...]            integers in [0, A), at terminated steps too, where they are not used
    discount     scalar or [...]  γ in [0, 1]
    returns      [...]            in units of value
    raises       ValueError as value_target, and if next_action is not an integer in range
    source       Rummery & Niranjan 1994; Sutton & Barto 2018, eq. (6.7)
    """
    step = _step(reward, terminated, discount)
    q = rows_like_reward("next_q", next_q, step[0])
    action = indices("next_action", next_action, q.shape[-1])
    same_shape("next_action", action, "reward", step[0].shape)
    return _target(*step, np.take_along_axis(q, action[..., None], axis=-1)[..., 0])


def expected_sarsa_target(
    reward: ArrayLike, terminated: ArrayLike, next_q: ArrayLike, next_policy: ArrayLike, *, discount: ArrayLike
) -> FloatArray:
    """r + γ · (1 − terminated) · Σ_a π(a|s') Q(s', a).

    The average over the next policy counts, here 3/4 · 0 + 1/4 · 8:

    >>> expected_sarsa_target([1.0], [False], [[0.0, 8.0]], [[0.75, 0.25]], discount=0.5)
    array([2.])

    reward       [...]            in units of reward
    terminated   [...]            boolean
    next_q       [..., A]         Q(s', ·), in units of value
    next_policy  [..., A]         π(·|s'), rows that sum to 1
    discount     scalar or [...]  γ in [0, 1]
    returns      [...]            in units of value
    raises       ValueError as value_target, and if next_policy is not a distribution for each row of next_q
    source       van Seijen et al. 2009; Sutton & Barto 2018, eq. (6.9)
    """
    step = _step(reward, terminated, discount)
    q = rows_like_reward("next_q", next_q, step[0])
    same_shape("next_policy", as_array("next_policy", next_policy), "next_q", q.shape)
    policy = probability_rows("next_policy", next_policy)
    with np.errstate(over="ignore", invalid="ignore"):
        return _target(*step, (policy * q).sum(axis=-1))


def double_q_target(
    reward: ArrayLike,
    terminated: ArrayLike,
    next_q_select: ArrayLike,
    next_q_evaluate: ArrayLike,
    *,
    discount: ArrayLike,
) -> FloatArray:
    """r + γ · (1 − terminated) · Q_evaluate(s', argmax_a Q_select(s', a)).

    One estimate chooses the action, the *other* says what it is worth; equal maxima go to the first:

    >>> double_q_target([1.0], [False], [[5.0, 9.0, 9.0]], [[7.0, 2.0, 4.0]], discount=0.5)
    array([2.])

    reward           [...]            in units of reward
    terminated       [...]            boolean
    next_q_select    [..., A]         chooses: the online network's Q(s', ·) in double DQN, in units of value
    next_q_evaluate  [..., A]         evaluates: the target network's Q(s', ·), in units of value
    discount         scalar or [...]  γ in [0, 1]
    returns          [...]            in units of value
    raises           ValueError as value_target, and if the two Q differ in shape or have no action
    source           van Hasselt 2010; van Hasselt, Guez & Silver 2016, eq. (4); Sutton & Barto 2018, eq. (6.10)
    """
    step = _step(reward, terminated, discount)
    select = rows_like_reward("next_q_select", next_q_select, step[0])
    evaluate = rows_like_reward("next_q_evaluate", next_q_evaluate, step[0])
    same_shape("next_q_evaluate", evaluate, "next_q_select", select.shape)
    chosen = select.argmax(axis=-1)[..., None]
    return _target(*step, np.take_along_axis(evaluate, chosen, axis=-1)[..., 0])


def clipped_double_target(
    reward: ArrayLike, terminated: ArrayLike, next_q1: ArrayLike, next_q2: ArrayLike, *, discount: ArrayLike
) -> FloatArray:
    """r + γ · (1 − terminated) · min(Q1(s', a'), Q2(s', a')).

    The more pessimistic twin counts, element by element:

    >>> clipped_double_target([0.0, 0.0], [False, False], [1.0, 4.0], [3.0, 2.0], discount=0.5)
    array([0.5, 1. ])

    reward            [...]            in units of reward
    terminated        [...]            boolean
    next_q1, next_q2  [...]            the twin critics at the same (s', a'), in units of value
    discount          scalar or [...]  γ in [0, 1]
    returns           [...]            in units of value
    raises            ValueError as value_target
    source            Fujimoto et al. 2018, eq. (10) and Algorithm 1
    """
    step = _step(reward, terminated, discount)
    q1, q2 = like_reward("next_q1", next_q1, step[0]), like_reward("next_q2", next_q2, step[0])
    return _target(*step, np.minimum(q1, q2))


def soft_target(
    reward: ArrayLike,
    terminated: ArrayLike,
    next_q1: ArrayLike,
    next_q2: ArrayLike,
    next_log_prob: ArrayLike,
    *,
    entropy_coefficient: float,
    discount: ArrayLike,
) -> FloatArray:
    """r + γ · (1 − terminated) · (min(Q1, Q2)(s', a') − α · log π(a'|s')), α = entropy_coefficient.

    An unlikely next action (log π < 0) *adds* value, inside the discount, and not at a terminated step:

    >>> soft_target([1.0], [False], [6.0], [5.0], [-2.0], entropy_coefficient=0.5, discount=0.5)
    array([4.])
    >>> soft_target([1.0], [True], [6.0], [5.0], [-2.0], entropy_coefficient=0.5, discount=0.5)
    array([1.])

    reward               [...]            in units of reward
    terminated           [...]            boolean
    next_q1, next_q2     [...]            the twin critics at the same (s', a'), in units of value
    next_log_prob        [...]            log π(a'|s'), in nats, of that a' drawn from the current policy
    entropy_coefficient  scalar           α in [0, inf), in units of value per nat
    discount             scalar or [...]  γ in [0, 1]
    returns              [...]            in units of value
    raises               ValueError as value_target, and if entropy_coefficient is negative or infinite
    source               Haarnoja et al. 2018 (arXiv 1812.05905), eqs. (2), (3), with the twins of its Algorithm 1
    """
    step = _step(reward, terminated, discount)
    q1, q2 = like_reward("next_q1", next_q1, step[0]), like_reward("next_q2", next_q2, step[0])
    log_prob = like_reward("next_log_prob", next_log_prob, step[0])
    alpha = scalar("entropy_coefficient", entropy_coefficient, "[0, inf)")
    with np.errstate(over="ignore", invalid="ignore"):
        return _target(*step, np.minimum(q1, q2) - alpha * log_prob)


def sampled_target(
    reward: ArrayLike,
    terminated: ArrayLike,
    next_q: ArrayLike,
    *,
    aggregate: str,
    temperature: float | None = None,
    discount: ArrayLike,
) -> FloatArray:
    """r + γ · (1 − terminated) · F{Q(s', a'_1), …, Q(s', a'_n)}, F = max, mean or log-mean-exp.

    The sampled actions need not be all actions, and the more they count as optimists, the larger the target:

    >>> q = [[0.0, 4.0]]
    >>> [float(sampled_target([1.0], [False], q, aggregate=f, discount=0.5)[0]) for f in ("mean", "max")]
    [2.0, 3.0]
    >>> sampled_target([1.0], [False], q, aggregate="log_mean_exp", temperature=1.0, discount=0.5).round(3)
    array([2.663])

    reward       [...]            in units of reward
    terminated   [...]            boolean
    next_q       [..., n]         Q(s', a'_i) of n actions drawn from the behaviour, in units of value
    aggregate    str              "max", "mean" or "log_mean_exp"
    temperature  scalar or None   in [0, inf], in units of value; required with log_mean_exp, ignored otherwise
    discount     scalar or [...]  γ in [0, 1]
    returns      [...]            in units of value
    raises       ValueError as value_target; if there is no sample; if aggregate or its temperature is none of these
    source       Kozakowski et al. 2021, the policy evaluation's Q* and F (their τ is our temperature)
    """
    step = _step(reward, terminated, discount)
    q = rows_like_reward("next_q", next_q, step[0])
    return _target(*step, _aggregated(q, aggregate, temperature))


def smoothed_action(action: ArrayLike, noise: ArrayLike, *, noise_clip: float, low: ArrayLike, high: ArrayLike) -> FloatArray:
    """clip(action + clip(noise, −noise_clip, noise_clip), low, high), element by element.

    The noise is clipped *first*, and the sum then never leaves the box:

    >>> smoothed_action([[0.0, 0.9, 0.0]], [[0.1, 0.4, -9.0]], noise_clip=0.5, low=-1.0, high=1.0)
    array([[ 0.1,  1. , -0.5]])

    action      [..., D]       the target policy's μ'(s'), in units of action
    noise       [..., D]       one draw, usually from N(0, σ²), in units of action
    noise_clip  scalar         in [0, inf], in units of action
    low, high   scalar or [D]  the action box, low ≤ high; ±inf leaves a side open
    returns     [..., D]       in units of action
    raises      ValueError if shapes differ, D is 0, data has NaN or is not real, noise_clip < 0, or low > high
    source      Fujimoto et al. 2018, §5.3 and Algorithm 1 (their c is our noise_clip)
    """
    mean, draw = real_array("action", action), real_array("noise", noise)
    last_axis("action", mean)
    same_shape("noise", draw, "action", mean.shape)
    reach = scalar("noise_clip", noise_clip, "[0, inf]")
    floor, ceiling = _bound("low", low, mean.shape[-1:]), _bound("high", high, mean.shape[-1:])
    refuse_where(floor > ceiling, floor, "low", "must not exceed high")
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(np.clip(mean + np.clip(draw, -reach, reach), floor, ceiling))


def _step(reward: ArrayLike, terminated: ArrayLike, discount: ArrayLike) -> tuple[FloatArray, BoolArray, FloatArray]:
    """What every target needs of one step: reward, terminated and discount, checked and of one shape."""
    r = real_array("reward", reward)
    ended = flags("terminated", terminated)
    same_shape("terminated", ended, "reward", r.shape)
    return r, ended, step_discount(discount, r.shape)


def _target(reward: FloatArray, terminated: BoolArray, discount: FloatArray, next_value: FloatArray) -> FloatArray:
    """r + γ · next value, or r alone where terminated: selected, as 0 · inf would be nan."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.where(terminated, reward, reward + discount * next_value)


def _bound(name: str, value: ArrayLike, shape: tuple[int, ...]) -> FloatArray:
    """One side of the action box, for every dimension: from one number, or from one for each."""
    if np.ndim(value) == 0:
        return np.full(shape, scalar(name, value, "[-inf, inf]"))
    array = real_array(name, value)
    same_shape(name, array, "one action", shape)
    return array
