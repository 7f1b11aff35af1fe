"""`python -m accelerated.agents.train`: from a line to curve, checkpoint and scores; killed anywhere it goes on bit for bit."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from accelerated.agents import AGENTS, running
from accelerated.agents.arguments import parsed, requested, resumed
from accelerated.agents.record import main as record
from accelerated.agents.train import main

pytest.importorskip("gymnasium")
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def pendulum(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Uniformly random actions in something like a pendulum: 600 steps in D4RL's layout, time limits each 100."""
    random, steps = np.random.default_rng(0), 600
    path = tmp_path_factory.mktemp("data") / "random.npz"
    observations = random.normal(size=(steps, 3)).astype(np.float32)
    np.savez(
        path,
        observations=observations,
        actions=random.uniform(-1, 1, size=(steps, 1)).astype(np.float32),
        rewards=random.normal(size=steps).astype(np.float32),
        next_observations=np.roll(observations, -1, 0),
        terminals=np.zeros(steps, dtype=bool),
        timeouts=np.arange(1, steps + 1) % 100 == 0,
    )
    return path


def words(data: Path, out: Path, *more: str) -> list[str]:
    small = ["--set", "hidden=16", "--set", "batch_size=8", "--env", "none"]
    return [
        "iql",
        "--dataset",
        str(data),
        "--seeds",
        "2",
        "--steps",
        "400",
        "--checkpoint-every",
        "20",
        "--out",
        str(out),
        *small,
        *more,
    ]


def final(out: Path) -> dict[str, np.ndarray]:
    pointer = json.loads((out / "checkpoint.json").read_text())
    return load_file(out / pointer["tensors"])


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "accelerated.agents.train", *arguments]


@pytest.mark.parametrize("processes", ["1", "2"])
def test_killed_anywhere_it_goes_on_bit_for_bit(processes: str, pendulum: Path, tmp_path: Path) -> None:
    """SIGKILL, several times, at moments that have nothing to do with checkpoints; --resume each time."""
    whole, broken, more = tmp_path / "whole", tmp_path / "broken", ("--processes", processes, "--threads", "1")
    assert main(words(pendulum, whole, *more)) == 0
    kills, started = 0, False
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    while not (broken / "scores.json").exists():
        order = command("--resume", str(broken)) if started else command(*words(pendulum, broken, *more))
        child = subprocess.Popen(order, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        began, before = time.monotonic(), _step(broken)
        while child.poll() is None and kills < 3 and _step(broken) <= before and time.monotonic() - began < 60:
            time.sleep(0.002)
        if child.poll() is None and kills < 3:
            time.sleep(0.003 * kills)
            child.send_signal(signal.SIGKILL)
            kills += 1
        _, told = child.communicate(timeout=120)
        assert child.returncode in (0, -signal.SIGKILL), told.decode()
        started = started or (broken / "run.json").exists()
    assert kills >= 1, "nothing was ever killed: the test tried nothing"
    for part in [""] if processes == "1" else ["part-0", "part-1"]:
        ours, due = final(broken / part), final(whole / part)
        assert ours.keys() == due.keys()
        for name, tensor in due.items():
            np.testing.assert_array_equal(ours[name], tensor, err_msg=name)


def _step(folder: Path) -> int:
    """Of the last checkpoint, the most advanced part's where there are several; -1 before the first."""
    found = sorted(folder.glob("**/checkpoint.json"))
    try:
        return max((int(json.loads(path.read_text())["step"]) for path in found), default=-1)
    except (OSError, json.JSONDecodeError):
        return -1


SMALL = ["--set", "hidden=8", "--set", "batch_size=8", "--episodes", "1", "--seeds", "2"]


def online(agent: str, *fields: str) -> list[str]:
    """In Pendulum, with a configuration of these fields."""
    return [agent, "--env", "Pendulum-v1", "--episodes", "1", "--seeds", "2", *(w for field in fields for w in ("--set", field))]


ONLINE = {
    "dqn": [
        "dqn",
        "--env",
        "CartPole-v1",
        *SMALL,
        "--set",
        "learning_starts=30",
        "--set",
        "buffer_size=60",
        "--set",
        "epsilon_steps=100",
    ],
    "rainbow": [
        "rainbow",
        "--env",
        "CartPole-v1",
        *SMALL,
        "--set",
        "learning_starts=30",
        "--set",
        "buffer_size=60",
        "--set",
        "atoms=5",
    ],
    "sarsa": ["sarsa", "--env", "FrozenLake-v1", "--episodes", "1", "--seeds", "2"],
    "double_q_learning": ["double_q_learning", "--env", "CliffWalking-v1", "--episodes", "1", "--seeds", "2"],
    "fitted_q_iteration": [
        "fitted_q_iteration",
        "--env",
        "FrozenLake-v1",
        "--episodes",
        "1",
        "--seeds",
        "2",
        "--set",
        "learning_starts=20",
        "--set",
        "update_every=20",
        "--set",
        "batch_size=16",
    ],
    "value_iteration": ["value_iteration", "--env", "FrozenLake-v1", "--episodes", "1", "--seeds", "2"],
    "iql": [
        "iql",
        "--env",
        "Pendulum-v1",
        "--finetune",
        "90",
        *SMALL,
        "--set",
        "policy_schedule=constant",
        "--set",
        "buffer_size=50",
    ],
    "sac": online("sac", "hidden=8", "batch_size=8", "random_steps=20", "learning_starts=30", "buffer_size=60"),
    "ddpg": online("ddpg", "hidden=8", "batch_size=8", "random_steps=20", "learning_starts=30", "exploration=ornstein_uhlenbeck"),
    "awr": online("awr", "hidden=8", "batch_size=8", "update_every=30", "buffer_size=70", "value_steps=3", "policy_steps=3"),
    "qwr": online("qwr", "hidden=8", "batch_size=8", "update_every=30", "buffer_size=70", "critic_steps=3", "policy_steps=3"),
    "qwr on data": online("qwr", "hidden=8", "batch_size=8", "critic_steps=6", "policy_steps=6"),
    "ppo": online("ppo", "hidden=8", "batch_size=8", "update_every=30", "epochs=2", "decay_steps=150"),
    "qprop": online("qprop", "hidden=8", "batch_size=8", "update_every=30", "buffer_size=70", "learning_starts=40"),
}
DATA = {"iql": "60", "qwr on data": "150"}
"""Steps on the dataset of those that have one."""


@pytest.mark.parametrize("name", ONLINE)
def test_a_run_stopped_at_each_checkpoint_is_the_whole_run(
    name: str, pendulum: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of episodes, with a full memory, before and after the data ends: parameters, moments, priorities, rows."""
    steps = ["--steps", DATA.get(name, "150"), "--checkpoint-every", "37", "--evaluate-every", "50", "--log-every", "10"]
    order = [*ONLINE[name], *steps] + (["--dataset", str(pendulum)] if name in DATA else [])
    whole, broken, saved = tmp_path / "whole", tmp_path / "broken", running.save_checkpoint
    assert main([*order, "--out", str(whole)]) == 0

    def stopping(*given: Any, **named: Any) -> Any:
        saved(*given, **named)
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "save_checkpoint", stopping)
    assert main([*order, "--out", str(broken)]) == 130
    stops = 1
    while not (broken / "scores.json").exists() and stops < 9:
        if main(["--resume", str(broken)]) == 0:
            break
        stops += 1
        if _step(broken) >= 150:
            monkeypatch.setattr(running, "save_checkpoint", saved)
    assert stops >= 4
    ours, due = final(broken), final(whole)
    assert ours.keys() == due.keys()
    for key, tensor in due.items():
        np.testing.assert_array_equal(ours[key], tensor, err_msg=key)
    for file in ("evaluations.csv", "metrics.csv"):
        assert (broken / file).read_text() == (whole / file).read_text()


WRONG = {
    "an agent that is none": (["iqq", "--steps", "1", "--out", "OUT"], "did you mean iql?"),
    "no agent": (["--steps", "1"], "an AGENT is needed"),
    "no steps": (["iql", "--dataset", "DATA", "--out", "OUT"], "--steps N is needed"),
    "no folder": (["iql", "--dataset", "DATA", "--steps", "1"], "--out DIR is needed"),
    "no data": (["iql", "--steps", "1", "--out", "OUT"], "--dataset PATH_OR_ID is needed"),
    "data for an agent that acts": (["dqn", "--dataset", "DATA", "--steps", "1", "--out", "OUT"], "--dataset is for agents"),
    "no environment": (["dqn", "--steps", "1", "--out", "OUT"], "--env ID is needed"),
    "a preset that is none": (["iql", "--dataset", "DATA", "--steps", "1", "--out", "OUT", "--preset", "best"], "author:antmaze"),
    "a key that is none": (
        ["iql", "--dataset", "DATA", "--steps", "1", "--out", "OUT", "--set", "expectil=.7"],
        "did you mean expectile?",
    ),
    "a key without a value": (["iql", "--dataset", "DATA", "--steps", "1", "--out", "OUT", "--set", "expectile"], "KEY=VALUE"),
    "a word for a number": (
        ["iql", "--dataset", "DATA", "--steps", "1", "--out", "OUT", "--set", "batch_size=many"],
        "batch_size must be int",
    ),
    "half a transition": (
        ["iql", "--dataset", "DATA", "--steps", "1", "--out", "OUT", "--set", "batch_size=2.5"],
        "batch_size must be int",
    ),
    "a number out of range": (
        ["iql", "--dataset", "DATA", "--steps", "1", "--out", "OUT", "--set", "expectile=1.0"],
        "expectile must lie in",
    ),
    "a file that is not there": (["iql", "--dataset", "nowhere.npz", "--steps", "1", "--out", "OUT"], "nowhere.npz"),
    "an id that is not there": (["iql", "--dataset", "no/such-v0", "--steps", "1", "--out", "OUT"], "no/such-v0"),
    "an environment that is none": (["dqn", "--env", "CartPole-v9", "--steps", "1", "--out", "OUT"], "CartPole-v"),
    "an environment of another shape": (
        ["iql", "--dataset", "DATA", "--env", "CartPole-v1", "--steps", "1", "--out", "OUT"],
        "CartPole-v1",
    ),
    "fine-tuning of an agent that acts": (
        ["dqn", "--env", "CartPole-v1", "--finetune", "5", "--steps", "1", "--out", "OUT"],
        "--finetune",
    ),
    "fine-tuning nowhere": (
        ["iql", "--dataset", "DATA", "--env", "none", "--finetune", "5", "--steps", "1", "--out", "OUT"],
        "--finetune",
    ),
    "fine-tuning at rate 0": (
        ["iql", "--dataset", "DATA", "--finetune", "5", "--steps", "1", "--out", "OUT"],
        "policy_schedule=constant",
    ),
    "fine-tuning of cloning": (["bc", "--dataset", "DATA", "--finetune", "5", "--steps", "1", "--out", "OUT"], "bc does not"),
    "a device that is none": (["iql", "--dataset", "DATA", "--device", "tpu9", "--steps", "1", "--out", "OUT"], "--device"),
    "nothing to go on with": (["--resume", "OUT"], "run.json does not exist"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_is_told_in_one_line(case: str, pendulum: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, told = WRONG[case]
    places = {"DATA": str(pendulum), "OUT": str(tmp_path / "out")}
    assert main([places.get(word, word) for word in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ") and told in captured.err and captured.err.count("\n") == 1
    assert not (tmp_path / "out" / "run.json").exists(), "nothing is begun"


def test_a_folder_holds_one_run(pendulum: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words(pendulum, tmp_path / "out", "--set", "order=simultaneous")) == 0
    before = final(tmp_path / "out")
    assert main(words(pendulum, tmp_path / "out")) == 2
    assert "must not hold another run" in capsys.readouterr().err
    np.testing.assert_equal(final(tmp_path / "out"), before)


def test_processes_train_what_one_process_trains(pendulum: Path, tmp_path: Path) -> None:
    """Each seed learns the same in a process of its own, to the rounding of another order of summation in a batched product."""
    assert main(words(pendulum, tmp_path / "one", "--dtype", "float64")) == 0
    assert main(words(pendulum, tmp_path / "two", "--dtype", "float64", "--processes", "2")) == 0
    together = final(tmp_path / "one")
    for part in range(2):
        alone = final(tmp_path / "two" / f"part-{part}")
        for name, tensor in alone.items():
            if name.startswith("state/networks/"):
                # Mixed seeds would move parameters by a learning rate, 3e-4, an update; 400 updates may magnify
                # 2^-53 a thousandfold each for a while and stay below a millionth of that.
                np.testing.assert_allclose(tensor[0], together[name][part], rtol=0, atol=3e-10, err_msg=name)


def test_the_request_survives_its_file(pendulum: Path, tmp_path: Path) -> None:
    assert main(words(pendulum, tmp_path / "out")) == 0
    again = resumed(tmp_path / "out")
    asked = requested(parsed(words(pendulum, tmp_path / "new")))
    assert again.run.config == asked.run.config and again.run.seeds == (0, 1) and again.run.steps == 400


@pytest.mark.parametrize("flag", ["--list", "--list-presets"])
def test_lists_show_every_agent(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([flag]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in AGENTS)


def test_biased_presets_are_labelled(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["qprop", "--list-presets"]) == 0
    lines = {line.split()[1]: line for line in capsys.readouterr().out.splitlines()}
    assert {name for name, line in lines.items() if "BIASED" in line} == {"author", "author:aggressive", "mixed"}


def test_a_run_leaves_curve_checkpoint_and_scores(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    out = tmp_path / "out"
    order = [
        "dqn",
        "--env",
        "CartPole-v1",
        "--preset",
        "classic:cartpole",
        "--seeds",
        "2",
        "--steps",
        "300",
        "--evaluate-every",
        "100",
    ]
    small = [
        "--episodes",
        "2",
        "--set",
        "hidden=8",
        "--set",
        "learning_starts=50",
        "--set",
        "update_every=50",
        "--set",
        "updates_per_round=2",
    ]
    assert main([*order, *small, "--out", str(out)]) == 0
    assert (out / "curve.png").read_bytes().startswith(b"\x89PNG")
    with open(out / "evaluations.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(int(row["step"]), int(row["seed"])) for row in rows] == [
        (step, seed) for step in (0, 100, 200, 300) for seed in (0, 1)
    ]
    told = json.loads((out / "scores.json").read_text())
    last = [float(row["return"]) for row in rows[-2:]]
    assert told["final"]["return"]["mean"] == pytest.approx(sum(last) / 2)
    assert (out / "checkpoint.json").exists()


def test_recorded_data_trains_an_agent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Random play into a file, a policy cloned from it, that policy's play into another one."""
    data, out = tmp_path / "random.npz", tmp_path / "out"
    assert record(["--env", "CartPole-v1", "--steps", "120", "--out", str(data)]) == 0
    with np.load(data, allow_pickle=False) as rows:
        ends = rows["terminals"] | rows["timeouts"]
        assert len(ends) == 120 and ends[-1] and ends.sum() >= 3
        following = rows["next_observations"][:-1] == rows["observations"][1:]
        np.testing.assert_array_equal(following.all(1), ~ends[:-1])
        assert set(rows["actions"]) == {0, 1}
    small = ["--set", "hidden=8", "--env", "CartPole-v1", "--episodes", "1"]
    assert main(["bc", "--dataset", str(data), "--steps", "20", "--out", str(out), *small]) == 0
    assert record(["--run", str(out), "--random", "0.5", "--steps", "40", "--out", str(tmp_path / "cloned.npz")]) == 0
    assert record(["--env", "CartPole-v1", "--steps", "1", "--out", str(data)]) == 2
    assert "must be a new file" in capsys.readouterr().err


def test_a_run_goes_on_with_its_own_data_only(pendulum: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = tmp_path / "data.npz", tmp_path / "out"
    data.write_bytes(pendulum.read_bytes())
    assert main(words(data, out)) == 0
    assert main(["--resume", str(out)]) == 0
    with np.load(pendulum, allow_pickle=False) as rows:
        np.savez(data, **{key: rows[key] * 2 if key == "rewards" else rows[key] for key in rows.files})
    assert main(["--resume", str(out)]) == 2
    assert "must go on with the data that it began with" in capsys.readouterr().err
