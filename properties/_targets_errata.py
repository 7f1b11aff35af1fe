"""What lectures and notes print wrongly about targets, each with the smallest case in which the printed line goes wrong."""

from __future__ import annotations

import numpy as np

from properties._claim import claim
from properties._trial import Trial

RUNNING, LAST = np.array([False]), np.array([True])
LECTURE = "erratum of a lecture on Q-learning"
DDPG = "erratum of a lecture on DDPG"


@claim("errata", source=f"{LECTURE}: `target = R + max Q(s', a')`; Watkins & Dayan 1992, eq. 1", operators=["q_learning_target"])
def target_without_discount_counts_the_future_in_full(port: Trial) -> None:
    """With r = 0, max Q(s', .) = 1 and gamma = 1/2 the target is 1/2; without gamma it would be 1, and a loop's value infinite."""
    found, error = port("q_learning_target", np.array([0.0]), RUNNING, np.array([[0.25, 1.0]]), discount=0.5)
    port.equal(found, np.array([0.5]), error)
    value = np.array([0.0])
    for _ in range(60):
        value, error = port("q_learning_target", np.array([1.0]), RUNNING, value[:, None], discount=0.5)
    port.equal(value, np.array([2.0 - 2.0**-59]), 2.0 * error, "60 sweeps of a loop with reward 1")


@claim("errata", source=f"{LECTURE}: `max Q(s, a')`; Watkins & Dayan 1992, eq. 1", operators=["q_learning_target"])
def maximum_is_taken_in_the_next_state(port: Trial) -> None:
    """On s0 -> s1 -> end with rewards 0, 1 and gamma = 1/2, Q(s0) = 1/2; with the maximum at s0 itself it stays 0 for ever."""
    q, at_itself = np.zeros((2, 1)), np.zeros((1, 1))
    for _ in range(2):
        q[1] = port.q_learning_target(np.array([1.0]), LAST, q[:1], discount=0.5)
        q[0], error = port("q_learning_target", np.array([0.0]), RUNNING, q[1:], discount=0.5)
        at_itself[0], slip = port("q_learning_target", np.array([0.0]), RUNNING, at_itself, discount=0.5)
    port.equal(q[0], np.array([0.5]), error, "Q(s0)")
    port.equal(at_itself[0], np.array([0.0]), slip, "Q(s0) with the maximum at s0")


@claim(
    "errata", source=f"{LECTURE}: the target network in the prediction; Mnih et al. 2015, Algorithm 1", operators=["value_target"]
)
def prediction_is_the_online_networks(port: Trial) -> None:
    """q += (y - q)/2 halves the distance to the target y at each step; with a frozen copy's prediction in its place the step never
    shrinks, and q passes y and walks on: after 8 steps from 0 towards y = 1, the distance is 2^-8 against 3."""
    target, error = port("value_target", np.array([0.5]), RUNNING, np.array([1.0]), discount=0.5)
    frozen = q = astray = np.array([0.0])
    for _ in range(8):
        q, astray = q + (target - q) / 2, astray + (target - frozen) / 2
    port.equal(1.0 - q, np.array([2.0**-8]), error, "the distance left with the online prediction")
    port.equal(astray - 1.0, np.array([3.0]), 4.0 * error, "the distance left with the frozen prediction")


@claim(
    "errata",
    source="erratum of a lecture on DDPG: the target at (s_t, a_t); Lillicrap et al. 2015, eq. 5",
    operators=["value_target"],
)
def critics_target_is_at_the_next_state_and_action(port: Trial) -> None:
    """With reward 1, gamma = 1/2 and Q'(s', mu'(s')) = 4 the target is 3; bootstrapping on (s_t, a_t) itself every critic tends to
    r/(1 - gamma) = 2, whatever comes next."""
    found, error = port("value_target", np.array([1.0]), RUNNING, np.array([4.0]), discount=0.5)
    port.equal(found, np.array([3.0]), error)
    itself, slip = np.array([4.0]), np.array([0.0])
    for _ in range(60):
        itself, slip = port("value_target", np.array([1.0]), RUNNING, itself, discount=0.5)
    port.equal(itself, np.array([2.0 + 2.0**-59]), 2.0 * slip, "60 updates with the target at (s_t, a_t)")


@claim("errata", source=f"{DDPG}: a critic loss without the square", operators=["expectile_loss"])
def critics_loss_is_squared(port: Trial) -> None:
    """The loss of the errors -1, 0, 1 is 1/2, 0, 1/2 at expectile 1/2: least at 0. The error unsquared is least at -inf."""
    found, error = port("expectile_loss", np.array([-1.0, 0.0, 1.0]), expectile=0.5)
    port.equal(found, np.array([0.5, 0.0, 0.5]), error)
    port.holds(int(np.argmin(found)) == 1, "the loss must be least where prediction and target agree", found=found)


@claim(
    "errata",
    source="erratum of a note on AWR: `arg max_V` of a squared error; Peng et al. 2019, Algorithm 1, line 6",
    operators=["expectile", "expectile_loss"],
)
def value_minimises_the_squared_error(port: Trial) -> None:
    """Of the values 0, 1, 5 the value is 2, their mean: there the squared error is smaller than a step to either side, and it has
    no largest one."""
    sample = np.array([0.0, 1.0, 5.0])
    value, error = port("expectile", sample, None, expectile=0.5)
    port.equal(value, np.array(2.0), error)
    losses = [port("expectile_loss", sample - v, expectile=0.5) for v in (1.0, 2.0, 3.0, 1000.0)]
    sums = [float(found.sum()) for found, _ in losses]
    slack = float(losses[0][1].sum() + losses[1][1].sum() + losses[2][1].sum())
    port.holds(sums[1] + slack < min(sums[0], sums[2]), "the squared error must be least at the mean", found=np.array(sums))
    port.holds(sums[3] > sums[2], "the squared error must grow without end", found=np.array(sums))
