"""One-step targets: error bounds, and what holds for every one of them (B1, B10, B11); the rest is in _targets_equations.py."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from properties import _targets_equations, _targets_errata, _targets_smoothing  # noqa: F401  (register their claims)
from properties._bounds import Floats, gamma
from properties._claim import OPERATORS, Call, claim, operator
from properties._draw import ROUGH
from properties._oracles import exact
from properties._targets_steps import (
    FOLLOWING,
    GIVEN,
    SUTTON,
    TARGETS,
    Step,
    apply,
    infinite_at_the_end,
    live_discount,
    rejected,
    steps,
    target_call,
)
from properties._trial import Trial


def _inputs(name: str) -> st.SearchStrategy[Call]:
    """Mostly finite; now and then with infinite next values where the step is terminated, which are not to be read."""
    drawn = st.tuples(steps(styles=ROUGH), st.sampled_from((0.0, 0.0, np.inf, 0.0, -np.inf)))
    return drawn.map(lambda pair: target_call(name, infinite_at_the_end(*pair) if pair[1] else pair[0]))


# ------------------------------------------------------------------------------------------------------------- bounds
def _bound(
    unit: float, reward: Floats, terminated: Any, discount: Any, size: ArrayLike, error: ArrayLike = 0.0, *, r_roundings: int = 1
) -> Floats:
    """gamma_1 |r| + discount (gamma_2 size + (1 + gamma_2) error), and 0 where terminated, as the target then is r itself.

    A next value of at most `size`, itself off by `error`, is multiplied by the discount and added to r.
    """
    following = gamma(2, unit) * np.asarray(size) + (1.0 + gamma(2, unit)) * np.asarray(error)
    with np.errstate(invalid="ignore"):
        bootstrapped = gamma(r_roundings, unit) * np.abs(reward) + np.asarray(discount) * following
    return np.asarray(np.where(terminated, 0.0, bootstrapped))


@operator("value_target", inputs=_inputs("value_target"), core=0)
def value_bound(unit: float, reward: Floats, terminated: Any, next_value: Floats, *, discount: Any) -> Floats:
    """A product and a sum."""
    return _bound(unit, reward, terminated, discount, np.abs(next_value))


@operator("q_learning_target", inputs=_inputs("q_learning_target"), core=0)
def q_learning_bound(unit: float, reward: Floats, terminated: Any, next_q: Floats, *, discount: Any) -> Floats:
    """The maximum is exact, and commutes with rounding."""
    return _bound(unit, reward, terminated, discount, np.abs(next_q.max(axis=-1)))


@operator("sarsa_target", inputs=_inputs("sarsa_target"), core=0)
def sarsa_bound(unit: float, reward: Floats, terminated: Any, next_q: Floats, next_action: Any, *, discount: Any) -> Floats:
    """The look-up is exact."""
    return _bound(unit, reward, terminated, discount, np.abs(_at(next_q, next_action)))


@operator("expected_sarsa_target", inputs=_inputs("expected_sarsa_target"), core=0)
def expected_sarsa_bound(
    unit: float, reward: Floats, terminated: Any, next_q: Floats, next_policy: Floats, *, discount: Any
) -> Floats:
    """A products and A - 1 sums, in any order; r inside the sum (which then is a mean of A targets) takes A + 2 roundings."""
    actions = next_q.shape[-1]
    with np.errstate(invalid="ignore"):
        size = (next_policy * np.abs(next_q)).sum(axis=-1)
    return _bound(unit, reward, terminated, discount, size, gamma(actions, unit) * size, r_roundings=actions + 2)


@operator("double_q_target", inputs=_inputs("double_q_target"), core=0)
def double_q_bound(
    unit: float, reward: Floats, terminated: Any, next_q_select: Floats, next_q_evaluate: Floats, *, discount: Any
) -> Floats:
    """Which entry is the first maximiser is exact, and so is its look-up."""
    return _bound(unit, reward, terminated, discount, np.abs(_at(next_q_evaluate, next_q_select.argmax(axis=-1))))


@operator("clipped_double_target", inputs=_inputs("clipped_double_target"), core=0)
def clipped_double_bound(
    unit: float, reward: Floats, terminated: Any, next_q1: Floats, next_q2: Floats, *, discount: Any
) -> Floats:
    """The minimum is exact, and commutes with rounding."""
    return _bound(unit, reward, terminated, discount, np.abs(np.minimum(next_q1, next_q2)))


@operator("soft_target", inputs=_inputs("soft_target"), core=0)
def soft_bound(
    unit: float, reward: Floats, terminated: Any, next_q1: Floats, next_q2: Floats, next_log_prob: Floats,
    *, entropy_coefficient: float, discount: Any,
) -> Floats:  # fmt: skip
    """One rounding more for the difference, and one for the product with the coefficient; r takes two if it is added first."""
    with np.errstate(invalid="ignore"):
        q, bonus = np.abs(np.minimum(next_q1, next_q2)), entropy_coefficient * np.abs(next_log_prob)
    error = gamma(1, unit) * q + gamma(2, unit) * bonus
    return _bound(unit, reward, terminated, discount, q + bonus, error, r_roundings=2)


@operator("sampled_target", inputs=_inputs("sampled_target"), core=0)
def sampled_bound(
    unit: float,
    reward: Floats,
    terminated: Any,
    next_q: Floats,
    *,
    aggregate: str,
    discount: Any,
    temperature: float | None = None,
) -> Floats:
    """The maximum is exact; the mean takes n - 1 sums and 1/n; log-mean-exp lies between the two and has its own bound."""
    top, mean = np.abs(next_q.max(axis=-1)), np.abs(next_q).mean(axis=-1)
    if aggregate == "max":
        return _bound(unit, reward, terminated, discount, top)
    if aggregate == "mean":
        return _bound(unit, reward, terminated, discount, mean, gamma(next_q.shape[-1] + 1, unit) * mean)
    with np.errstate(invalid="ignore"):
        error = OPERATORS["log_mean_exp"].bound(unit, next_q, temperature=temperature)
    return _bound(unit, reward, terminated, discount, np.maximum(top, mean), error)


def _at(row: Floats, index: Any) -> Floats:
    return np.asarray(np.take_along_axis(row, np.asarray(index)[..., None], axis=-1)[..., 0])


# -------------------------------------------------------------------------------------------- claims about every target


@claim("B10", source="Mnih et al. 2015, Algorithm 1 (the target is a constant)", operators=TARGETS, given=GIVEN, share=0.1)
def no_gradient_reaches_the_target(port: Trial, step: Step) -> None:
    """The derivative of a target in every next-state input is exactly 0: semi-gradient methods treat it as a constant."""
    call = target_call(port.subject, step)
    for place in range(2, len(call.arguments)):
        if call.arguments[place].dtype.kind == "f":
            slope = port.derivative(place, *call.arguments, **call.keywords)
            port.equal(slope, np.zeros(call.arguments[place].shape), 0.0, f"the derivative in argument {place}")


@claim("B11", source=f"{SUTTON}, §3.4 (episodes)", operators=TARGETS, given=GIVEN, share=0.5)
def terminated_step_is_worth_its_reward(port: Trial, step: Step) -> None:
    """Where terminated, the target is r itself, whatever the next values are."""
    found, _ = apply(port, port.subject, step._replace(terminated=np.ones_like(step.terminated)))
    port.equal(found, step.reward, 0.0)


@claim(
    "B11",
    source=f"{SUTTON}, §3.4 (episodes)",
    operators=TARGETS,
    given={**GIVEN, "infinity": st.sampled_from([np.inf, -np.inf])},
    share=0.5,
)
def infinite_next_value_at_a_terminated_step_is_not_read(port: Trial, step: Step, infinity: float) -> None:
    """Where terminated, a next value (or log-probability) of +-inf changes nothing, there or elsewhere: select, do not multiply."""
    due, error = apply(port, port.subject, step)
    found, _ = apply(port, port.subject, infinite_at_the_end(step, infinity))
    port.equal(found, due, 2 * error)


@claim("B11", source=f"{SUTTON}, eq. 6.2", operators=TARGETS, given=GIVEN, share=0.5)
def adding_c_to_the_next_values_adds_gamma_c_unless_terminated(port: Trial, step: Step) -> None:
    """Next values higher by c give a target higher by gamma (1 - terminated) c: only `terminated` cuts, and gamma counts once."""
    due, error = apply(port, port.subject, step)
    c = step.other_value
    moved = step._replace(value=step.value + c, twin=step.twin + c, row=step.row + c[..., None])
    found, found_error = apply(port, port.subject, moved)
    port.equal(found, exact(due) + exact(live_discount(step)) * exact(c), error + found_error)


@claim("B11", source="the operator contract (shapes match exactly)", operators=TARGETS, share=0.1,
       given={"step": steps(shapes=((1,), (2,), (3,)))})  # fmt: skip
def column_against_vector_is_an_error(port: Trial, step: Step) -> None:
    """[B] with [B, 1] raises ValueError, whichever argument has the extra axis, and is never broadcast to [B, B]."""
    call = target_call(port.subject, step)
    for place, array in enumerate(call.arguments):
        changed = (*call.arguments[:place], array[..., None], *call.arguments[place + 1 :])
        port.holds(
            rejected(port, call._replace(arguments=changed)),
            f"argument {place} with shape {(*array.shape, 1)} must raise",
        )
    column = call.keywords | {"discount": np.full((*step.reward.shape, 1), 0.5)}
    port.holds(rejected(port, call._replace(keywords=column)), "a discount for each step as a column must raise")


@claim("targets", source=f"{SUTTON}, eq. 6.2", operators=TARGETS, given=GIVEN, share=0.5)
def reward_is_neither_discounted_nor_scaled(port: Trial, step: Step) -> None:
    """A reward higher by c gives a target higher by c, terminated or not."""
    due, error = apply(port, port.subject, step)
    found, found_error = apply(port, port.subject, step._replace(reward=step.reward + step.other_value))
    port.equal(found, exact(due) + exact(step.other_value), error + found_error)


@claim("B1", source="Puterman 1994, §6.2, for one transition", operators=TARGETS, given=GIVEN, share=0.5)
def targets_are_monotone_in_the_next_values(port: Trial, step: Step) -> None:
    """Higher next values (for double_q_target: of the table that evaluates) never lower a target."""
    high: dict[str, Any] = {a: np.maximum(getattr(step, a), getattr(step, b)) for a, b in OTHER}
    low, low_error = apply(port, port.subject, step)
    up, up_error = apply(port, port.subject, step._replace(**high))
    port.at_most(low, up, low_error + up_error)


OTHER = (("value", "other_value"), ("twin", "other_twin"), ("row", "other_row"))


@claim("B1", source="Puterman 1994, §6.2, for one transition", operators=TARGETS, given=GIVEN, share=0.5)
def targets_contract_by_gamma(port: Trial, step: Step) -> None:
    """Next values that differ by at most d give targets that differ by at most gamma (1 - terminated) d."""
    one, one_error = apply(port, port.subject, step)
    two, two_error = apply(port, port.subject, step._replace(**{a: getattr(step, b) for a, b in OTHER}))
    apart = {a: np.abs(getattr(step, a) - getattr(step, b)) for a, b in OTHER}
    gaps = [apart[a].max(axis=-1) if a == "row" else apart[a] for a in FOLLOWING[port.subject] if a in apart]
    most = live_discount(step) * np.maximum.reduce(gaps)
    port.at_most(np.abs(one - two), most, one_error + two_error + port.sum_error(np.stack([one, two, most], -1)))


ONE_ACTION = ("q_learning_target", "sarsa_target", "expected_sarsa_target", "double_q_target", "sampled_target")


@claim("targets", source=f"{SUTTON}, §6.5", operators=[*ONE_ACTION, "value_target"], given=GIVEN, share=0.5)
def with_one_next_action_there_is_nothing_to_choose(port: Trial, step: Step) -> None:
    """With one action (or one sample) every target is value_target of its value."""
    one = step._replace(row=step.value[..., None], select=step.twin[..., None], action=np.zeros_like(step.action))
    one = one._replace(policy=np.ones_like(one.row))
    due, error = apply(port, "value_target", one)
    for name in ONE_ACTION if port.subject == "value_target" else (port.subject,):
        found, found_error = apply(port, name, one)
        port.equal(found, due, error + found_error, f"{name} with one action", due_by="value_target")
