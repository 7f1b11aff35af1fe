"""QWR's aggregates where range and precision end: infinite entries, the largest numbers, high temperatures, rare actions (W4)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

from properties._aggregates_bounds import EVERY_TEMPERATURE, brought_to, highest_power, log_mean_exp_error
from properties._aggregates_sampling import AGGREGATES, QWR, Sampling, aggregated, samplings
from properties._bounds import ELEMENTARY, TINY, UNIT, Floats, gamma, stored
from properties._claim import claim
from properties._draw import rows
from properties._oracles.aggregates import log_mean_exp_by_digits, soft_value_by_digits
from properties._trial import Trial

GIVEN = {"q": rows(), "temperature": EVERY_TEMPERATURE}


# ------------------------------------------------------------------------------------------------------------ the range
@claim("W4", source=QWR, operators=AGGREGATES, given=GIVEN)
def aggregates_reach_to_the_ends_of_the_range(port: Trial, q: Floats, temperature: float) -> None:
    """F(c q; c t) = c F(q; t) for the c = 2^k that brings the largest |q| next to the largest number, or near the smallest."""
    due, due_error = aggregated(port, port.subject, q, temperature)
    top = highest_power(port.dtype)
    for end in (top + 1, -(3 * top // 4)):
        power = brought_to(end, q)
        scaled = float(np.ldexp(temperature, power))
        if not np.any(q) or np.ldexp(scaled, -power) != temperature or (0 < scaled < TINY[port.dtype]) or _beyond(scaled, top):
            continue  # the temperature would leave the range
        found, _ = aggregated(port, port.subject, np.ldexp(q, power), scaled)
        port.equal(np.ldexp(found, -power), due, 2 * due_error + np.ldexp(TINY[port.dtype], -power))


def _beyond(temperature: float, top: int) -> bool:
    return math.frexp(temperature)[1] > top + 1 and not math.isinf(temperature)


# -------------------------------------------------------------------------------------------------------------- infinity
@claim(
    "W4",
    source=f"{QWR}; IEEE 754 for the sums",
    operators=AGGREGATES,
    given={**GIVEN, "other": rows(shortest=6), "sign": st.sampled_from([1.0, -1.0])},
    share=0.5,
    oracle="log_mean_exp_by_digits",
)
def infinite_samples_follow_ieee(port: Trial, q: Floats, other: Floats, temperature: float, sign: float) -> None:
    """+inf makes every aggregate +inf; -inf makes the mean -inf, and to log_mean_exp and maximum it is a sample without mass."""
    q = np.where(np.resize(other, q.shape) > 0, sign * np.inf, q)
    found = aggregated_alone(port, q, temperature)
    t = {"max_aggregate": 0.0, "mean_aggregate": math.inf}.get(port.subject, temperature)
    for place in np.ndindex(found.shape):
        due, error = _with_infinities(port.unit, q[place], t)
        slack = stored(error, due, port.dtype) if math.isfinite(due) else 0.0
        port.equal(found[place], due, slack)


def aggregated_alone(port: Trial, q: Floats, temperature: float) -> Floats:
    """The subject's value without a bound, which infinite entries do not have."""
    keywords = {"temperature": temperature} if port.subject == "log_mean_exp" else {}
    return np.asarray(getattr(port, port.subject)(q, **keywords))


def _with_infinities(unit: float, q: Floats, t: float) -> tuple[float, float]:
    """t log((k/n) mean of exp(q/t) over the k finite entries), and its error: that of the mean, and of t log(k/n)."""
    held = q[np.isfinite(q)]
    if len(held) == 0 or q.max() == np.inf or (math.isinf(t) and len(held) < len(q)):
        return float(q.max() if q.max() == np.inf else -np.inf), 0.0
    size, ratio = len(q), math.log(len(q) / len(held))
    kept = float(log_mean_exp_by_digits(held, temperature=t)[()])
    less = 0.0 if ratio == 0 else t * ratio
    extra = 0.0 if ratio == 0 else t * float(gamma(size + 2 * ELEMENTARY, unit)) * (1 + math.log(size))
    rounding = float(gamma(3, unit) + gamma(ELEMENTARY + 3, UNIT["float64"])) * (abs(kept) + less)
    return kept - less, float(log_mean_exp_error(unit, held, t)) + extra + rounding


@claim("W5", source=f"{QWR}, policy evaluation", operators=["sampled_backup", "soft_backup"], given={"s": samplings()}, share=0.07)
def what_the_behavior_never_does_may_be_infinitely_good_or_bad(port: Trial, s: Sampling) -> None:
    """A reward of +inf or -inf for an action of probability 0 changes no backup, for any number of samples and aggregate."""
    behavior, reward = np.append(s.behavior, 0.0)[None], np.append(s.q, 0.0)[None]
    world = (np.zeros(1), behavior, np.ones((1, behavior.size, 1)))
    each: list[dict[str, Any]] = [{"temperature": s.temperature}]
    if port.subject == "sampled_backup":
        each = [
            {"temperature": s.temperature, "samples": n, "aggregate": F} for n in (1, 3) for F in ("max", "mean", "log_mean_exp")
        ]
    for keywords in each:
        due, error = port(port.subject, *world, reward, **keywords, discount=0.5)
        for extreme in (np.inf, -np.inf):
            wild = np.where(behavior > 0, reward, extreme)
            found = getattr(port, port.subject)(*world, wild, **keywords, discount=0.5)
            port.equal(found, due, 2 * error)


@claim(
    "W5",
    source=f"{QWR}, policy evaluation; Peng et al. 2019, eq. 9",
    operators=["soft_backup"],
    given={"lead": st.integers(0, 200), "power": st.integers(-9, 9), "rarity": st.floats(0.0, 1.0)},
    share=0.5,
    oracle="soft_value_by_digits",
)
def a_rare_action_far_ahead_counts_in_proportion(port: Trial, lead: int, power: int, rarity: float) -> None:
    """t log(p exp(q_1/t) + exp(q_2/t)) for p = 2^-k, from 1 roundoff down to the smallest number, and q_1 ahead by up to 200 t."""
    least, most = 2 - math.frexp(port.unit)[1], highest_power(port.dtype) - 1
    prior = np.array([[2.0 ** -(least + round(rarity * (most - least))), 1.0]])
    t = 2.0**power
    reward = np.array([[lead * t, 0.0]])
    found, error = port("soft_backup", np.zeros(1), prior, np.ones((1, 2, 1)), reward, temperature=t, discount=0.5)
    port.equal(found, soft_value_by_digits(prior, reward, temperature=t), error)
