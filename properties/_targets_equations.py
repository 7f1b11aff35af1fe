"""The equation of each one-step target: exact values, limits, order, and what each does that its neighbours do not (A5, S3)."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from properties._bounds import ELEMENTARY, UNIT, Floats, gamma
from properties._claim import claim
from properties._oracles import exact
from properties._targets_steps import GIVEN, SUTTON, Step, apply, live_discount, target_call, worth
from properties._trial import Trial

DOUBLE = "van Hasselt, Guez & Silver 2016"
FUJIMOTO = "Fujimoto et al. 2018"
HAARNOJA = "Haarnoja et al. 2018 (arXiv 1812.05905)"
QWR = "Kozakowski et al. 2021 (QWR), policy evaluation"


# ---------------------------------------------------------------------------------------- value, Q-learning, SARSA
@claim("targets", source=f"{SUTTON}, eq. 6.2; Kostrikov et al. 2021, eq. 6", operators=["value_target"], given=GIVEN)
def value_target_is_its_equation(port: Trial, step: Step) -> None:
    """value_target = r + gamma (1 - terminated) V(s'), against exact arithmetic."""
    found, error = apply(port, "value_target", step)
    port.equal(found, worth(step, exact(step.value)), error)


@claim("targets", source="Watkins 1989; Mnih et al. 2015", operators=["q_learning_target"], given=GIVEN)
def q_learning_target_takes_the_largest_entry_of_its_own_row(port: Trial, step: Step) -> None:
    """q_learning_target = r + gamma (1 - terminated) max_a Q(s', a), the maximum over the actions of that step alone."""
    found, error = apply(port, "q_learning_target", step)
    port.equal(found, worth(step, exact(step.row.max(axis=-1))), error)


@claim("targets", source="Rummery & Niranjan 1994", operators=["sarsa_target"], given=GIVEN)
def sarsa_target_takes_the_entry_of_the_next_action(port: Trial, step: Step) -> None:
    """sarsa_target = r + gamma (1 - terminated) Q(s', a')."""
    found, error = apply(port, "sarsa_target", step)
    chosen = np.arange(step.row.shape[-1]) == step.action[..., None]
    port.equal(found, worth(step, exact(step.row[chosen].reshape(step.reward.shape))), error)


@claim("targets", source=f"{SUTTON}, §6.5", operators=["sarsa_target", "q_learning_target"], given=GIVEN, share=0.5)
def q_learning_is_sarsa_with_the_best_next_action(port: Trial, step: Step) -> None:
    """The largest sarsa_target over all next actions is q_learning_target."""
    each = [apply(port, "sarsa_target", step._replace(action=np.full_like(step.action, a))) for a in range(step.row.shape[-1])]
    due, error = apply(port, "q_learning_target", step)
    port.equal(
        np.maximum.reduce([value for value, _ in each]),
        due,
        error + np.maximum.reduce([e for _, e in each]),
        due_by="q_learning_target",
    )


@claim("targets", source="van Seijen et al. 2009, eq. 5", operators=["expected_sarsa_target"], given=GIVEN)
def expected_sarsa_target_is_its_equation(port: Trial, step: Step) -> None:
    """expected_sarsa_target = r + gamma (1 - terminated) sum_a pi(a|s') Q(s', a), against exact arithmetic."""
    found, error = apply(port, "expected_sarsa_target", step)
    port.equal(found, worth(step, (exact(step.policy) * exact(step.row)).sum(axis=-1)), error)


@claim(
    "targets",
    source="van Seijen et al. 2009, §IV",
    operators=["expected_sarsa_target", "sarsa_target"],
    given=GIVEN,
    share=0.5,
)
def expected_sarsa_is_the_expectation_of_sarsa(port: Trial, step: Step) -> None:
    """expected_sarsa_target = sum_a pi(a|s') sarsa_target(a), enumerated over the next actions."""
    found, error = apply(port, "expected_sarsa_target", step)
    due, slack = exact(np.zeros(found.shape)), error
    for a in range(step.row.shape[-1]):
        one, one_error = apply(port, "sarsa_target", step._replace(action=np.full_like(step.action, a)))
        due, slack = due + exact(step.policy[..., a]) * exact(one), slack + step.policy[..., a] * one_error
    port.equal(found, due, slack, due_by="sarsa_target")


@claim(
    "targets",
    source=f"{SUTTON}, §6.6",
    operators=["expected_sarsa_target", "q_learning_target"],
    given=GIVEN,
    share=0.5,
)
def expected_sarsa_with_a_greedy_policy_is_q_learning(port: Trial, step: Step) -> None:
    """With all mass on a maximiser expected_sarsa_target is q_learning_target, and with any other policy no more."""
    due, due_error = apply(port, "q_learning_target", step)
    last = step.row.shape[-1] - 1 - step.row[..., ::-1].argmax(axis=-1)
    greedy = (np.arange(step.row.shape[-1]) == last[..., None]).astype(np.float64)
    found, error = apply(port, "expected_sarsa_target", step._replace(policy=greedy))
    port.equal(found, due, error + due_error, due_by="q_learning_target")
    other, other_error = apply(port, "expected_sarsa_target", step)
    port.at_most(other, due, other_error + due_error)


# -------------------------------------------------------------------------------------------------- double Q-learning
@claim("targets", source=f"{DOUBLE}, eq. 4", operators=["double_q_target"], given=GIVEN)
def double_q_target_evaluates_the_first_maximiser_of_select(port: Trial, step: Step) -> None:
    """double_q_target = r + gamma (1 - terminated) Q_evaluate(s', a*), a* the first maximiser of Q_select(s', .)."""
    found, error = apply(port, "double_q_target", step)
    port.equal(found, worth(step, exact(_of_the_first_maximiser(step.select, step.row))), error)


def _of_the_first_maximiser(select: Floats, evaluate: Floats) -> Floats:
    """Entry by entry: an action takes the place of the best so far only if it is strictly better."""
    best, due = select[..., 0], evaluate[..., 0]
    for a in range(1, select.shape[-1]):
        due = np.where(select[..., a] > best, evaluate[..., a], due)
        best = np.where(select[..., a] > best, select[..., a], best)
    return np.asarray(due)


@claim("targets", source=f"{DOUBLE}, eq. 4", operators=["double_q_target"], given=GIVEN, share=0.5)
def double_q_target_keeps_negative_values(port: Trial, step: Step) -> None:
    """Where the evaluating table has no value above m <= 0, nor has the bootstrap; a one-hot mask and a maximum would make it 0."""
    below = step._replace(row=-np.abs(step.row), terminated=np.zeros_like(step.terminated))
    found, error = apply(port, "double_q_target", below)
    most = exact(step.reward) + exact(live_discount(below)) * exact(below.row.max(axis=-1))
    port.at_most(found, np.asarray(most, dtype=np.float64), error + port.sum_error(np.stack([found, step.reward], -1)))


@claim("targets", source=f"{DOUBLE}, eq. 4", operators=["double_q_target", "q_learning_target"], given=GIVEN, share=0.5)
def double_q_target_of_equal_tables_is_q_learning(port: Trial, step: Step) -> None:
    """With one table for both roles double_q_target is q_learning_target."""
    found, error = apply(port, "double_q_target", step._replace(select=step.row))
    due, due_error = apply(port, "q_learning_target", step)
    port.equal(found, due, error + due_error, due_by="q_learning_target")


@claim("M3", source=f"van Hasselt 2010, §3; {DOUBLE}", operators=["double_q_target", "q_learning_target"], given=GIVEN, share=0.5)
def double_q_target_is_at_most_the_maximum_of_its_evaluation(port: Trial, step: Step) -> None:
    """double_q_target <= q_learning_target of the evaluating table, whatever selects."""
    found, error = apply(port, "double_q_target", step)
    most, most_error = apply(port, "q_learning_target", step)
    port.at_most(found, most, error + most_error)


@claim("targets", source=f"{DOUBLE}, eq. 4", operators=["double_q_target"], given=GIVEN, share=0.5)
def only_the_order_of_the_selecting_table_counts(port: Trial, step: Step) -> None:
    """Scaling and negating nothing but the size of Q_select (x 4) changes nothing: it chooses and is never a value."""
    due, error = apply(port, "double_q_target", step)
    found, _ = apply(port, "double_q_target", step._replace(select=4.0 * step.select))
    port.equal(found, due, 2 * error)


# ------------------------------------------------------------------------------------------------------ twin critics
@claim("targets", source=f"{FUJIMOTO}, eq. 10", operators=["clipped_double_target"], given=GIVEN)
def clipped_double_target_is_its_equation(port: Trial, step: Step) -> None:
    """clipped_double_target = r + gamma (1 - terminated) min(Q1, Q2), element by element."""
    found, error = apply(port, "clipped_double_target", step)
    port.equal(found, worth(step, exact(np.where(step.value < step.twin, step.value, step.twin))), error)


@claim("A5", source=f"{FUJIMOTO}, eq. 10", operators=["clipped_double_target", "value_target"], given=GIVEN)
def clipped_double_target_is_the_lower_of_the_single_targets(port: Trial, step: Step) -> None:
    """clipped_double_target is at most each critic's own target, and equal to one of them."""
    found, error = apply(port, "clipped_double_target", step)
    (one, one_error), (two, two_error) = (apply(port, "value_target", step._replace(value=v)) for v in (step.value, step.twin))
    port.at_most(found, one, error + one_error, "clipped_double_target <= the target of Q1")
    port.at_most(found, two, error + two_error, "clipped_double_target <= the target of Q2")
    port.equal(found, np.minimum(one, two), error + np.maximum(one_error, two_error), due_by="value_target")


@claim("targets", source=f"{FUJIMOTO}, eq. 10", operators=["clipped_double_target", "soft_target"], given=GIVEN, share=0.5)
def twins_may_be_swapped(port: Trial, step: Step) -> None:
    """Both critics share one target: exchanging Q1 and Q2 changes nothing."""
    due, error = apply(port, port.subject, step)
    found, found_error = apply(port, port.subject, step._replace(value=step.twin, twin=step.value))
    port.equal(found, due, error + found_error)


@claim("targets", source=f"{HAARNOJA}, eqs. 2, 3", operators=["soft_target"], given=GIVEN)
def soft_target_is_its_equation(port: Trial, step: Step) -> None:
    """soft_target = r + gamma (1 - terminated) (min(Q1, Q2) - alpha log pi(a'|s')), against exact arithmetic."""
    found, error = apply(port, "soft_target", step)
    entropy = exact(step.entropy_coefficient) * exact(step.log_prob)
    port.equal(found, worth(step, exact(np.minimum(step.value, step.twin)) - entropy), error)


@claim("S3", source=f"{HAARNOJA}, eqs. 2, 3", operators=["soft_target"], given=GIVEN)
def entropy_term_sits_inside_the_discount(port: Trial, step: Step) -> None:
    """Lowering log pi by c raises soft_target by gamma (1 - terminated) alpha c: nothing at a terminated step or with gamma = 0."""
    due, error = apply(port, "soft_target", step)
    found, found_error = apply(port, "soft_target", step._replace(log_prob=step.log_prob - step.other_value))
    bonus = exact(step.entropy_coefficient) * exact(step.other_value)
    port.equal(found, exact(due) + exact(live_discount(step)) * bonus, error + found_error)


@claim("S1", source=f"{HAARNOJA}, eqs. 2, 3", operators=["soft_target", "clipped_double_target"], given=GIVEN, share=0.5)
def soft_target_without_entropy_is_the_clipped_double_target(port: Trial, step: Step) -> None:
    """With entropy_coefficient = 0 soft_target is clipped_double_target."""
    found, error = apply(port, "soft_target", step._replace(entropy_coefficient=0.0))
    due, due_error = apply(port, "clipped_double_target", step)
    port.equal(found, due, error + due_error, due_by="clipped_double_target")


# ---------------------------------------------------------------------------------------------------- sampled actions
def _sampled(port: Trial, step: Step, aggregate: str, **keywords: float) -> tuple[Floats, Floats]:
    call = target_call("sampled_target", step._replace(aggregate=aggregate))
    return port("sampled_target", *call.arguments, **(call.keywords | keywords))


@claim("targets", source=QWR, operators=["sampled_target"], given=GIVEN)
def sampled_maximum_and_mean_are_their_equations(port: Trial, step: Step) -> None:
    """sampled_target = r + gamma (1 - terminated) max_i Q(s', a_i), or the mean over i, against exact arithmetic."""
    found, error = _sampled(port, step, "max")
    port.equal(found, worth(step, exact(step.row.max(axis=-1))), error, "with the maximum")
    found, error = _sampled(port, step, "mean")
    port.equal(found, worth(step, exact(step.row).sum(axis=-1) * Fraction(1, step.row.shape[-1])), error, "with the mean")


@claim("targets", source=QWR, operators=["sampled_target"], given=GIVEN)
def sampled_log_mean_exp_is_the_value_target_of_the_aggregate(port: Trial, step: Step) -> None:
    """sampled_target = value_target of log_mean_exp(Q(s', a_1), ..., Q(s', a_n)), with the same temperature."""
    found, error = _sampled(port, step, "log_mean_exp")
    inner, inner_error = port("log_mean_exp", step.row, temperature=step.temperature)
    port.equal(found, worth(step, exact(inner)), error + live_discount(step) * inner_error)


@claim("W4", source=QWR, operators=["sampled_target"], given=GIVEN)
def sampled_targets_are_ordered_by_optimism(port: Trial, step: Step) -> None:
    """mean <= log_mean_exp <= max, and log_mean_exp >= max - t log n, all inside r + gamma (1 - terminated) F."""
    low, low_error = _sampled(port, step, "mean")
    soft, error = _sampled(port, step, "log_mean_exp")
    high, high_error = _sampled(port, step, "max")
    port.at_most(low, soft, low_error + error, "mean <= log_mean_exp")
    port.at_most(soft, high, error + high_error, "log_mean_exp <= max")
    samples, live = step.row.shape[-1], live_discount(step)
    gap = np.where((live > 0) & (samples > 1), live * step.temperature * np.log(samples), 0.0)
    slack = gamma(ELEMENTARY + 3, UNIT["float64"]) * (np.abs(soft) + gap)
    port.at_most(high, soft + gap, error + high_error + slack, "max - t log n <= log_mean_exp")


@claim("W4", source=QWR, operators=["sampled_target"], given=GIVEN, share=0.5)
def sampled_log_mean_exp_has_its_limits(port: Trial, step: Step) -> None:
    """Temperature 0 gives the maximum's target, an infinite one the mean's; without log_mean_exp it is not read."""
    for temperature, aggregate in ((0.0, "max"), (np.inf, "mean")):
        found, error = _sampled(port, step, "log_mean_exp", temperature=temperature)
        due, due_error = _sampled(port, step, aggregate)
        port.equal(found, due, error + due_error, f"temperature {temperature}")
        ignored, _ = _sampled(port, step, aggregate, temperature=3.0)
        port.equal(ignored, due, 2 * due_error, f"{aggregate} with a temperature")


@claim("targets", source=QWR, operators=["sampled_target"], given=GIVEN, share=0.5)
def samples_count_by_their_share_alone(port: Trial, step: Step) -> None:
    """Reversing the order of the samples, or drawing each of them twice, changes no aggregate."""
    due, error = apply(port, "sampled_target", step)
    for row in (step.row[..., ::-1], np.concatenate([step.row, step.row], axis=-1)):
        found, found_error = apply(port, "sampled_target", step._replace(row=row))
        port.equal(found, due, error + found_error)
