"""The betting tests, the ledger and the samplers: both kinds of error, exactly where they can be had and bounded where not."""

from __future__ import annotations

import json
from fractions import Fraction
from functools import cache
from itertools import product
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import ndtr
from scipy.stats import binom, multivariate_normal

import properties._control_variates_draws as control_variates_draws
import properties._exploration_draws as exploration_draws
import properties._gaussians_draws as gaussians_draws
import properties._priorities_draws as priorities_draws
import reference
from properties import CLAIMS
from properties import _statistics as statistics
from properties._bugs import catalogue
from properties._claim import SENTENCES, Undecided
from properties._ledger import LEDGER, RUN_BUDGET, SHARED_OUT, Case, Entry, account, enter, lines
from properties._ports import REFERENCE, Port
from properties._quadrature import whole_grid
from properties._repeat import repeat
from properties._run import FAILS, PROFILES, UNDECIDED, run
from properties._self_test._kill_matrix import past_kills
from properties._statistics import BETS, MISSED, Capital, Judgement, Mean, Plan, mixture, needed, plan
from properties._trial import Trial

CERTAIN = 1e-9
"""A test of ours may fail by chance with this probability."""


def alarms(mean: Mean, streams: Any, block: int = statistics.BLOCK) -> int:
    """How many streams [n, K] alarm, each a coordinate of its own."""
    judgement = Judgement(mean)
    judgement.add(streams, block)
    return int(judgement.alarmed.sum())


def at_most(count: int, trials: int, chance: float) -> bool:
    """Whether so many successes are no surprise if each has at most this chance."""
    return bool(binom.sf(count - 1, trials, chance) > CERTAIN)


# --------------------------------------------------------------------------------------------------------- false alarms
EXACT_BETS = [Fraction(19, 10) / 2**j for j in range(1, 12)]


def exact_capital(history: tuple[int, ...], due: Fraction, slack: Fraction = Fraction(0)) -> Fraction:
    """The mixture in rational arithmetic."""
    return _exact_capital(len(history), sum(history), due, slack)


@cache
def _exact_capital(steps: int, won: int, due: Fraction, slack: Fraction) -> Fraction:
    games = [(b, due + slack) for b in EXACT_BETS] + [(-b, due - slack) for b in EXACT_BETS]
    return sum(((1 + b * (1 - c)) ** won * (1 - b * c) ** (steps - won) for b, c in games), Fraction(0)) / len(games)


@pytest.mark.parametrize("truth", [Fraction(1, 4), Fraction(1, 4) + Fraction(1, 64), Fraction(1, 4) - Fraction(1, 64)])
def test_capital_never_grows_in_the_mean_on_a_two_point_law(truth: Fraction) -> None:
    due, slack = Fraction(1, 4), Fraction(1, 64)
    for steps in range(4):
        for history in product((0, 1), repeat=steps):
            up, down = (exact_capital((*history, x), due, slack) for x in (1, 0))
            assert truth * up + (1 - truth) * down <= exact_capital(history, due, slack)


def test_the_chance_of_ever_reaching_a_level_is_at_most_its_inverse() -> None:
    """Enumerated: all paths of twelve steps, weighed exactly."""
    due, steps = Fraction(1, 4), 12
    reached = {Fraction(3, 2): Fraction(0), Fraction(5): Fraction(0)}
    for history in product((0, 1), repeat=steps):
        top = max(exact_capital(history[:t], due) for t in range(1, steps + 1))
        for level in reached:
            reached[level] += due ** sum(history) * (1 - due) ** (steps - sum(history)) * (top >= level)
    assert all(0 < chance <= 1 / level for level, chance in reached.items())


def test_the_logarithms_are_the_rational_capital() -> None:
    history, due, slack = (1, 0, 0, 1, 1, 0, 1), Fraction(1, 4), Fraction(1, 64)
    judgement = Judgement(Mean(np.array([float(due)]), 0.1, 1e-3, float(slack)))
    for kind in (bool, float):
        capital = Capital(judgement._capital._centre, judgement._capital._bets)
        path = mixture(capital.after(np.array(history, dtype=kind)[:, None], block=1)[..., : 2 * len(BETS)])[:, 0]
        for t in range(len(history)):
            exactly = float(exact_capital(history[: t + 1], due, slack))
            assert abs(np.exp(path[t]) - exactly) <= 100 * len(history) * 2**-53 * exactly


@pytest.mark.parametrize("law", ["coin", "rare", "beta", "bounded by slack"])
def test_right_streams_alarm_no_more_often_than_they_may(law: str) -> None:
    """At a level of 0.05, looked at after each block; and never at the level of a run."""
    draw, streams, n = np.random.default_rng(20), 600, 1024
    due, slack = {"coin": (0.5, 0.0), "rare": (1 / 32, 0.0), "beta": (0.25, 0.0), "bounded by slack": (0.5, 1 / 64)}[law]
    x = draw.beta(0.5, 1.5, (n, streams)) if law == "beta" else draw.random((n, streams)) < due + slack
    assert at_most(alarms(Mean(np.full(streams, due), 0.2, 0.05, slack), x), streams, 0.05)
    assert alarms(Mean(np.full(streams, due), 0.2, 1e-9, slack), x) == 0


def test_an_observation_may_depend_on_the_past_in_all_but_its_mean() -> None:
    """The next stake follows from what was seen; the conditional mean stays one half, and the alarm stays rare."""
    draw, streams, n = np.random.default_rng(21), 1500, 400
    x = np.zeros((n, streams))
    stake = np.full(streams, 0.05)
    for t in range(n):
        x[t] = 0.5 + np.where(draw.random(streams) < 0.5, stake, -stake)
        stake = np.where(x[t] < 0.5, np.minimum(2 * stake, 0.5), 0.05)
    assert at_most(alarms(Mean(np.full(streams, 0.5), 0.2, 0.05), x), streams, 0.05)


# ---------------------------------------------------------------------------------------------------------------- power
@pytest.mark.parametrize(("due", "effect", "alpha"), [(0.5, 0.1, 1e-9), (0.05, 0.04, 1e-9), (0.9, -0.2, 1e-6), (1.0, -0.1, 1e-9)])
@pytest.mark.parametrize("miss", [1e-6, 0.05])
def test_planned_draws_miss_no_more_than_stated(due: float, effect: float, alpha: float, miss: float) -> None:
    """The chance of no alarm at the last draw, exactly: the capital is a function of the count."""
    truth, level = due + effect, np.log(2 * len(BETS) / alpha)
    n = int(needed(np.array([due]), np.array([truth]), level, miss)[0])
    assert exactly_missed(n, due, truth, alpha) <= miss
    assert exactly_missed(n // 3, due, truth, alpha) > miss, "the plan asks for three times what is needed"


def exactly_missed(n: int, due: float, truth: float, alpha: float) -> float:
    count = np.arange(n + 1)[:, None]
    bets = np.concatenate([BETS, -BETS])
    with np.errstate(divide="ignore"):
        final = mixture(count * np.log1p(bets * (1 - due)) + (n - count) * np.log1p(-bets * due))
    return float(binom.pmf(count[:, 0], n, truth)[final < -np.log(alpha)].sum())


def test_the_bound_on_misses_covers_observations_between_zero_and_one() -> None:
    draw, streams = np.random.default_rng(22), 600
    n = int(needed(np.array([0.25]), np.array([0.35]), np.log(2 * len(BETS) / 1e-4), 0.05)[0])
    x = draw.beta(0.7, 1.3, (n, streams))
    found = alarms(Mean(np.full(streams, 0.25), 0.1, 1e-4), x)
    assert at_most(streams - found, streams, 0.05)


def test_an_effect_is_rarely_proved_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    """With MISSED set to 0.05: a mean that is off by the effect is proved to be within it at most so often."""
    monkeypatch.setattr(statistics, "MISSED", 0.05)
    draw, streams = np.random.default_rng(23), 1500
    for side in (-0.1, 0.1):
        judgement = Judgement(Mean(np.full(streams, 0.4), 0.1, 1e-12))
        judgement.add(draw.random((1024, streams)) < 0.4 + side)
        assert at_most(int(judgement.proved.sum()), streams, 0.05)


def test_a_right_mean_is_proved_within_the_plan() -> None:
    draw, streams = np.random.default_rng(24), 400
    mean = Mean(np.full(streams, 0.3), 0.1, 1e-9, 1e-4)
    judgement = Judgement(mean)
    judgement.add(draw.random((plan(mean).draws, streams)) < 0.3)
    assert judgement.proved.all() and not judgement.alarmed.any()


def test_what_cannot_be_is_proved_at_once() -> None:
    judgement = Judgement(Mean(np.array([1.0, 0.02]), 0.5, 1e-9))
    assert not judgement.proved.any()
    judgement.add(np.tile([True, False], (64, 1)))
    assert judgement.proved.all()


# --------------------------------------------------------------------------------------------------------------- ledger
def test_shares_leave_the_reserve_and_levels_sum_to_the_budget() -> None:
    assert sum(entry.share for entry in LEDGER.values()) <= SHARED_OUT + 1e-12
    for entry in LEDGER.values():
        coordinates = sum(len(case.coordinates) for case in entry.cases)
        assert entry.alpha * len(entry.operators) * 3 * coordinates == pytest.approx(RUN_BUDGET * entry.share)
        assert entry.claim in SENTENCES and SENTENCES[entry.claim].kind == "theorem"


def test_a_share_beyond_the_reserve_is_refused() -> None:
    case = Case("any", ("x",), np.array([0.5]), {"wrong": np.array([0.9])})
    with pytest.raises(ValueError, match="sum to at most 0.8"):
        enter(Entry("too_much", "X1", ("greedy",), 0.5, (case,)))
    assert "too_much" not in LEDGER


CASES = [(entry, case) for entry in LEDGER.values() for case in entry.cases]


@pytest.mark.parametrize(("entry", "case"), CASES, ids=lambda x: getattr(x, "claim", None) or x.name)
def test_every_case_is_a_law_and_every_mistake_another(entry: Entry, case: Case) -> None:
    for expected in (case.due, *case.wrong.values()):
        assert np.shape(expected) == (len(case.coordinates),) and np.all(expected >= -1e-15)
    assert all(effect >= case.effect > 2 * case.slack("float32") for effect in case.effects.values())
    assert len(set(case.coordinates)) == len(case.coordinates)
    for dtype in ("float64", "bfloat16"):
        assert entry.plan(case, dtype).power >= 1 - 3 * MISSED


def test_the_account_is_plain_data() -> None:
    tally = repeat(REFERENCE, [3])
    assert json.loads(json.dumps(account(tally.records)))["run_budget"] == RUN_BUDGET
    cases = {(record["claim"], record["operator"], record["case"]) for record in tally.records}
    assert len(lines(tally.records)) == 3 + len(cases)


# ---------------------------------------------------------------------------------------- what is due, by another method
def test_what_is_due_of_discrete_draws_is_what_the_operators_say() -> None:
    e, p = exploration_draws, priorities_draws
    for over in ("all", "others"):
        due = reference.epsilon_greedy(e.Q, epsilon=e.EPSILON, over=over)
        np.testing.assert_allclose(e._epsilon_case(over).due, due.ravel(), rtol=1e-14)
    np.testing.assert_allclose(
        e._boltzmann_case().due, reference.boltzmann(e.PREFERRED, temperature=e.TEMPERATURE).ravel(), rtol=1e-13
    )
    np.testing.assert_allclose(p._few("any").due, reference.sampling_probabilities(np.array(p.FEW)), rtol=1e-14)


@pytest.mark.parametrize(("gain", "offset"), [(0.5, 1.5), (0.5, 0.0), (1.0, 0.5)])
def test_what_is_due_of_a_noisy_output_is_its_integral(gain: float, offset: float) -> None:
    def inner(z: float, level: float) -> float:
        factor = gain * np.sign(z) * np.sqrt(abs(z)) + offset
        ratio = np.divide(level, factor)
        return float(np.exp(-z * z / 2) / np.sqrt(2 * np.pi) * ndtr(-np.sign(factor) * np.sign(ratio) * ratio**2))

    with np.errstate(divide="ignore"):
        for level, due in zip(exploration_draws.REACH, exploration_draws._output_chances(gain, offset), strict=True):
            edge = -((offset / gain) ** 2)
            pieces = [quad(inner, a, b, args=(level,), epsabs=1e-12, limit=400)[0] for a, b in ((-9, edge), (edge, 0), (0, 9))]
            assert due == pytest.approx(sum(pieces), abs=1e-8)


def test_what_is_wrong_with_shared_and_correlated_noise_is_its_integral() -> None:
    e, g = exploration_draws, gaussians_draws
    z = (np.arange(400_000) + 0.5) / 400_000 * 18 - 9
    f = np.sign(z) * np.sqrt(np.abs(z))
    weight = np.exp(-z * z / 2) / np.sqrt(2 * np.pi) * 18 / 400_000
    for level, found in zip(e.REACH, e._shared_chances(0.5, 1.5), strict=True):
        assert found == pytest.approx(float(weight @ (f * (0.5 * f + 1.5) > level)), abs=1e-4)
    levels = (g.SIDE - g.MEAN[0, :2]) / g.RIGHT.std[0, :2]
    both = multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]]).cdf(levels)
    assert g._same_side(0.5) == pytest.approx(1 - ndtr(levels).sum() + 2 * both, abs=1e-6)


def test_what_is_due_of_q_prop_is_the_enumerated_mean() -> None:
    nodes, weights = whole_grid(control_variates_draws.REACH, 2)
    mean = np.array([float(w) for w in weights]) @ control_variates_draws._estimates(nodes)
    case = control_variates_draws._case()
    np.testing.assert_allclose(case.inputs.scaled(mean), case.due, rtol=1e-13)
    np.testing.assert_allclose(mean, np.mean([s.gradient for s in control_variates_draws.STATES], axis=0), rtol=1e-13)


# ------------------------------------------------------------------------------------------------------------- samplers
def test_the_reference_holds_whatever_the_salt_and_a_salt_repeats() -> None:
    first, again, other = (repeat(REFERENCE, salts) for salts in (range(5), range(5), range(5, 10)))
    for tally in (first, other):
        assert tally.count("holds") == sum(tally.verdicts.values()) > 0, tally.alarms
    assert first.records == again.records and first.records != other.records


def sampled_verdicts(operator: str, function: Any, salts: range) -> Any:
    """The statistical claims about one wrong operator, everything else from the reference."""
    return repeat(Port(SimpleNamespace(**{operator: function}), "wrong"), salts)


SAMPLERS = [bug for bug, claims in past_kills().items() if set(claims) & set(LEDGER)]
"""The catalogued bugs that a statistical claim refuted when the kill matrix was made."""


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_wrong_sampler_is_found_with_every_salt(name: str) -> None:
    bug = catalogue()[name]
    for salt in range(3):
        tally = sampled_verdicts(bug.operator, bug.behaves, range(salt, salt + 1))
        assert tally.count("fails") > 0 and tally.count("undecided") == 0, tally.verdicts


def test_an_alarm_names_what_is_off_and_the_mistake() -> None:
    bug = catalogue()["sample_gaussian/variance-for-standard-deviation"]
    tally = sampled_verdicts(bug.operator, bug.behaves, range(1))
    assert "as if variance-as-standard-deviation" in tally.alarms[0]
    assert "due" in tally.alarms[0] and "evidence 10^" in tally.alarms[0]


def test_too_few_draws_leave_a_claim_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Entry, "plan", lambda self, case, dtype: Plan(8, 0.0))
    trial, claim = Trial(REFERENCE, "sample_boltzmann"), CLAIMS["boltzmann_draws_follow_their_probabilities"]
    with pytest.raises(Undecided, match="draws prove nothing within"):
        claim.body(trial)
    assert trial.evidence[0]["verdict"] == "undecided"
    assert run(claim, "sample_boltzmann", REFERENCE, PROFILES["ci"]).verdict == UNDECIDED


@pytest.mark.parametrize(
    "name",
    ["sample_gaussian/variance-for-standard-deviation", "sum_tree/index-one-too-far", "sample_proportional/strata-forgotten"],
)
def test_the_verifier_reports_an_alarm_as_a_failure_with_its_account(name: str) -> None:
    operator, function = catalogue()[name].operator, catalogue()[name].behaves
    port = Port(SimpleNamespace(**{operator: function}), "wrong")
    results = [run(CLAIMS[claim], operator, port, PROFILES["ci"]) for claim, e in LEDGER.items() if operator in e.operators]
    failed = [result for result in results if result.verdict == FAILS]
    assert failed and all("evidence 10^" in result.detail and result.paste and result.where for result in failed)
    assert all(result.ledger[-1]["verdict"] == "fails" for result in failed)
