"""What runs leave behind: rows that survive a kill and are not written twice, curves and intervals that mean what they say."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from accelerated.agents import curves
from accelerated.agents.curves import Curve
from accelerated.agents.logs import EVALUATIONS, EVENTS, METRICS, Log, Table


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def silent() -> Console:
    return Console(file=io.StringIO())


# ---------------------------------------------------------------------------------------------------- rows


def test_rows_are_read_back_to_the_last_bit(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=20) * 1e5
    table = Table(tmp_path / "table.csv")
    for step, value in enumerate(values):
        table.append([{"step": step, "name": 'a "quoted", cell', "value": float(value)}])
    found = rows_of(table.path)
    assert [float(row["value"]) for row in found] == values.tolist()
    assert {row["name"] for row in found} == {'a "quoted", cell'}


def test_a_new_column_is_given_to_all_rows(tmp_path: Path) -> None:
    table = Table(tmp_path / "table.csv")
    table.append([{"step": 1, "a": 2}])
    table.append([{"b": 4, "step": 2}])
    assert rows_of(table.path) == [{"step": "1", "a": "2", "b": ""}, {"step": "2", "a": "", "b": "4"}]


@given(cut=st.integers(0, 200), steps=st.integers(0, 9))
@settings(max_examples=60, deadline=None, database=None, derandomize=True)
def test_a_run_killed_at_any_byte_goes_on_as_if_never_killed(
    tmp_path_factory: pytest.TempPathFactory, cut: int, steps: int
) -> None:
    """What a kill leaves is some beginning of the file; the rows up to the checkpoint are in it, later ones may be."""

    def written(path: Path, start: int) -> None:
        table = Table(path)
        table.truncate(start - 1)
        for step in range(start, 10):
            table.append([{"step": step, "seed": seed, "value": step / 7} for seed in (0, 1)])

    folder = tmp_path_factory.mktemp("rows")
    written(folder / "whole.csv", 0)
    content = (folder / "whole.csv").read_bytes()
    lines = content.splitlines(keepends=True)
    safe = len(b"".join(lines[: 1 + 2 * steps]))
    (folder / "killed.csv").write_bytes(content[: min(safe + cut, len(content))])
    written(folder / "killed.csv", steps)
    assert (folder / "killed.csv").read_bytes() == content


def test_a_log_resumed_at_a_checkpoint_has_each_row_once(tmp_path: Path) -> None:
    def run(start: int, stop: int) -> None:
        log = Log(tmp_path, start, 10, console=silent())
        for step in range(start + 1, stop):
            log.metrics(step, (3, 5), {"critic_loss": torch.tensor([step / 3, -step / 3])})
            log.metrics(step, (3, 5), {})
            log.evaluation([{"step": step, "seed": seed, "return": 2.0 * step, "length": 9.0} for seed in (3, 5)])
        log.close()

    run(0, 8)
    run(4, 11)
    for name in (METRICS, EVALUATIONS):
        assert [(row["step"], row["seed"]) for row in rows_of(tmp_path / name)] == [(str(s), e) for s in range(1, 11) for e in "35"]
    assert float(rows_of(tmp_path / METRICS)[1]["critic_loss"]) == float(torch.tensor(-1 / 3))
    Log(tmp_path, 0, 10, console=silent()).close()
    assert rows_of(tmp_path / METRICS) == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_events_hold_the_rows(tmp_path: Path) -> None:
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    log = Log(tmp_path, 0, 10, console=silent())
    log.evaluation([{"step": 7, "seed": 3, "return": 2.5}])
    log.close()
    found = accumulators.EventAccumulator(str(tmp_path / EVENTS)).Reload()
    assert [(one.step, one.value) for one in found.Scalars("evaluations/return/seed 3")] == [(7, 2.5)]


def test_no_tensorboard_no_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    log = Log(tmp_path, 0, 10, console=silent())
    log.evaluation([{"step": 7, "seed": 3, "return": 2.5}])
    log.close()
    assert not (tmp_path / EVENTS).exists()
    assert len(rows_of(tmp_path / EVALUATIONS)) == 1


@pytest.mark.parametrize(("terminal", "quiet"), [(True, False), (True, True), (False, False)])
def test_progress_is_shown_on_a_terminal_only(tmp_path: Path, terminal: bool, quiet: bool) -> None:
    shown = io.StringIO()
    log = Log(tmp_path, 100, 1000, quiet=quiet, console=Console(file=shown, force_terminal=terminal, width=120))
    for step in (200, 500):
        log.metrics(step, (0,), {"loss": torch.zeros(1)})
    log.evaluation([{"step": 500, "seed": 0, "return": 12.5}])
    log.close()
    if not terminal or quiet:
        assert shown.getvalue() == ""
    else:
        assert all(part in shown.getvalue() for part in ("return 12.5", "500/1000", "steps/s", ":"))


# -------------------------------------------------------------------------------------------------- curves


def test_curves_join_files_at_common_steps(tmp_path: Path) -> None:
    for name, seed, upto in (("a", 1, 4), ("b", 0, 3)):
        rows = [{"step": 10 * step, "seed": seed, "return": seed + step / 10} for step in range(upto)]
        Table(tmp_path / f"{name}.csv").append(rows)
    found = curves.read_curve([tmp_path / "a.csv", tmp_path / "b.csv"])
    assert found.steps.tolist() == [0, 10, 20] and found.seeds == (0, 1)
    assert found.values.tolist() == [[0.0, 1.0], [0.1, 1.1], [0.2, 1.2]]
    with pytest.raises(ValueError, match="must have a 'score' in every row"):
        curves.read_curve([tmp_path / "a.csv"], "score")
    Table(tmp_path / "c.csv").append([{"step": 7, "seed": 2, "return": 0.0}])
    with pytest.raises(ValueError, match="must have been evaluated at a common step"):
        curves.read_curve([tmp_path / "a.csv", tmp_path / "c.csv"])


@pytest.mark.parametrize("seeds", range(1, 14))
def test_the_interquartile_mean_is_scipys_trimmed_mean(seeds: int) -> None:
    from scipy.stats import trim_mean

    values = np.random.default_rng(seeds).normal(size=(5, seeds))
    # equal sums of at most 14 terms in any order
    np.testing.assert_allclose(curves.interquartile_mean(values), trim_mean(values, 0.25, axis=-1), rtol=0, atol=14 * 2.0**-50)


def test_the_interquartile_mean_of_four_is_the_mean_of_the_middle_two() -> None:
    assert curves.interquartile_mean(np.array([100.0, 1.0, 2.0, -50.0])) == 1.5


def test_an_interval_is_the_quantiles_of_resampled_seeds() -> None:
    """Of two seeds a < b the mean's resamples are a, (a+b)/2, b with 1/4, 1/2, 1/4: 95 % gives [a, b], 40 % a point."""
    values = np.array([[1.0, 3.0], [10.0, 30.0]])
    found = curves.interval(values, curves.mean, generator=np.random.default_rng(0))
    assert found.value.tolist() == [2.0, 20.0] and found.low.tolist() == [1.0, 10.0] and found.high.tolist() == [3.0, 30.0]
    narrow = curves.interval(values, curves.mean, generator=np.random.default_rng(0), level=0.4)
    assert narrow.low.tolist() == narrow.high.tolist() == [2.0, 20.0]


def test_intervals_hold_the_mean_as_often_as_documented() -> None:
    generator, trials = np.random.default_rng(0), 1000
    values = generator.normal(size=(trials, 8))
    found = [curves.interval(row, curves.mean, generator=generator, resamples=400) for row in values]
    covered = sum(bool(one.low <= 0 <= one.high) for one in found)
    # 87 %, five standard deviations of a binomial count
    assert abs(covered - 0.87 * trials) < 5 * (trials * 0.87 * 0.13) ** 0.5


def test_strata_are_resampled_among_themselves() -> None:
    """Constant tasks have nothing to vary, however different they are; pooled, they would."""
    found = curves.stratified_interval([np.zeros(4), np.full(4, 9.0)], curves.mean, generator=np.random.default_rng(0))
    assert [float(one) for one in found] == [4.5, 4.5, 4.5]


def test_one_seed_bounds_nothing() -> None:
    found = curves.interval(np.array([[5.0]]), curves.mean, generator=np.random.default_rng(0))
    assert found.value.tolist() == [5.0] and np.isnan(found.low).all() and np.isnan(found.high).all()


def test_the_table_tells_both_means(tmp_path: Path) -> None:
    shown = {
        "iql": Curve(np.array([0, 9]), (0, 1, 2, 3), np.array([[0.0] * 4, [1, 2, 3, 100]])),
        "bc": Curve(np.array([4]), (0,), np.array([[7.0]])),
    }
    lines = curves.score_table(shown, generator=np.random.default_rng(0)).splitlines()
    assert lines[0] == "| run | seeds | step | return, mean | 95% interval | IQM | 95% interval |"
    assert lines[2].startswith("| iql | 4 | 9 | 26.5 |") and "| 2.5 |" in lines[2]
    assert lines[3] == "| bc | 1 | 4 | 7 | - | 7 | - |"


def test_a_curve_is_drawn_whole_and_the_same_each_time(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    values = np.random.default_rng(0).normal(size=(30, 5)).cumsum(0)
    shown = {"five": Curve(np.arange(30) * 1000, (0, 1, 2, 3, 4), values), "one": Curve(np.array([9000]), (0,), np.array([[3.0]]))}
    for name in ("a.png", "b.png"):
        for statistic in curves.STATISTICS:
            generator = np.random.default_rng(0)
            curves.draw(tmp_path / name, shown, generator=generator, statistic=statistic, references={"expert": 4.0}, title="Ring")
    first, second = (tmp_path / name for name in ("a.png", "b.png"))
    assert first.read_bytes() == second.read_bytes() and first.read_bytes()[:4] == b"\x89PNG"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]
