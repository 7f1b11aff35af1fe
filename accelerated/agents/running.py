"""A run and its folder: evaluations, logs, checkpoints, and the curve and scores at its end."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch

from accelerated.agents import curves, datasets, processes, scores
from accelerated.agents.arguments import Request
from accelerated.agents.batch import Space
from accelerated.agents.checkpoints import commit, load_checkpoint, machine, save_checkpoint, versions, write_atomically, write_json
from accelerated.agents.environments import worlds
from accelerated.agents.evaluation import evaluate, rows
from accelerated.agents.logs import EVALUATIONS, Log
from accelerated.agents.loop import Run, Training

SCORES = "scores.json"
CURVES = {"mean": "curve.png", "IQM": "curve-iqm.png"}


def checked(request: Request) -> Request:
    """The request with its environment resolved, after its data was read and its environment opened once.

    raises  ValueError or an ImportError with one line, before anything long starts
    """
    run = request.run
    data = _data(run, "cpu")
    environment = run.environment or (None if data is None else data.environment)
    if environment in (None, "none"):
        if run.finetune:
            raise ValueError("--finetune needs an environment to act in: --env ID")
        return replace(request, run=replace(run, environment=None))
    arena = worlds(environment, seeds=run.seeds[:1], envs=1)
    space = arena.space
    arena.close()
    if data is not None:
        _agree(datasets.space_of(data), space, environment)
    return replace(request, run=replace(run, environment=environment))


def _data(run: Run, device: str) -> datasets.Dataset | None:
    """The run's data; a score is normalized only where the data knows the environment."""
    named = None if run.environment == "none" else run.environment
    return None if run.dataset is None else datasets.load(run.dataset, device=device, environment=named)


def _agree(data: Space, world: Space, environment: str) -> None:
    """What was learnt from the data must fit into the environment."""
    for name in ("observation_shape", "actions", "discrete", "low", "high"):
        ours, due = getattr(data, name), getattr(world, name)
        if ours != due:
            raise ValueError(f"the dataset must fit {environment}: its {name} is {ours}, the environment's is {due}")


@contextmanager
def alone(folder: Path, patience: float = 0.0) -> Iterator[None]:
    """Hold the folder while training in it.

    patience  seconds to wait for another process to let go: one whose parent was killed notices at its next row of metrics
    raises    ValueError if another process holds it
    """
    with open(folder / ".lock", "w") as lock:
        until = time.monotonic() + patience
        while not _locked(lock):
            if time.monotonic() >= until:
                raise ValueError(f"one process may train in a folder; another one does in {folder}")
            time.sleep(0.1)
        yield


def _locked(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def train(request: Request, quiet: bool = False) -> None:
    """Train to the end, from the last checkpoint if there is one."""
    run = request.run
    _deterministic(run.device, request.threads)
    data = _data(run, run.device)
    training = Training(run, data)
    saved = load_checkpoint(request.out)
    if saved is not None:
        _same_data(saved[1].get("source"), data)
        training.restore(saved[0])
    score = None if data is None or data.reference_scores is None else partial(_score, data.reference_scores)
    log = Log(request.out, training.step, run.total, quiet=quiet)
    try:
        _loop(request, training, log, score)
    finally:
        log.close()
        training.close()


def _same_data(source: str | None, data: datasets.Dataset | None) -> None:
    """The data that the run began with, wherever its file lies now: its digest, what follows the last space, tells."""
    found = None if data is None else data.source
    if (source or "").rpartition(" ")[2] != (found or "").rpartition(" ")[2]:
        raise ValueError(f"a run must go on with the data that it began with, {source}; got {found}")


def _deterministic(device: str, threads: int) -> None:
    """The same sums in the same order each time: as many threads as before, and no atomic additions on a GPU."""
    torch.set_num_threads(threads)
    if device.startswith("cuda"):
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.benchmark = False
        torch.use_deterministic_algorithms(True)


def _loop(request: Request, training: Training, log: Log, score: Any) -> None:
    """Step, and do what falls due: each thing at the same steps, however often the run was interrupted."""
    run, parent = request.run, multiprocessing.parent_process()
    about = _about(request) | {"source": training.dataset and training.dataset.source}
    if training.step == 0:
        _evaluated(request, training, log, score)
    while training.step < run.total:
        before = training.step
        metrics = training.advance()
        done = training.step >= run.total
        due = {name: done or _crossed(before, training.step, every) for name, every in _periods(request).items()}
        if due["log"]:
            log.metrics(training.step, run.seeds, metrics)
            if parent is not None and not parent.is_alive():
                raise KeyboardInterrupt
        if due["evaluate"]:
            _evaluated(request, training, log, score)
        if due["checkpoint"]:
            save_checkpoint(request.out, training.tensors(), about, step=training.step)


def _periods(request: Request) -> dict[str, int]:
    return {"log": request.log_every, "evaluate": request.evaluate_every, "checkpoint": request.checkpoint_every}


def _crossed(before: int, after: int, every: int) -> bool:
    return after // every > before // every


def _evaluated(request: Request, training: Training, log: Log, score: Any) -> None:
    run = request.run
    if run.environment is None:
        return
    found = evaluate(
        training.agent, training.state, run.environment, episodes=request.episodes, step=training.step, dtype=training.dtype
    )
    log.evaluation(rows(found, run.seeds, training.step, score))


def _score(reference_scores: tuple[float, float], total: float) -> float:
    return float(scores.normalized_score(torch.tensor(total, dtype=torch.float64), reference_scores))


def _about(request: Request) -> dict[str, Any]:
    return {"run": request.told(), "versions": versions(), "machine": machine(), "commit": commit()}


def concluded(request: Request) -> str:
    """Gather what all processes evaluated; write the curve and the scores; the table of scores."""
    run = request.run
    if run.environment is None:
        write_json(request.out / SCORES, {"final": None})
        return f"trained {run.agent} for {run.total} steps; nothing was evaluated: there is no environment"
    folders = [part.out for part in processes.parts(request)] if request.processes > 1 else [request.out]
    paths = [folder / EVALUATIONS for folder in folders]
    if request.processes > 1:
        _merged(paths, request.out / EVALUATIONS)
    columns = ["return", "score"] if "score" in paths[0].read_text().partition("\n")[0].split(",") else ["return"]
    found = {column: curves.read_curve(paths, column) for column in columns}
    shown = columns[-1]
    name = f"{run.agent} in {run.environment}"
    x, y = (
        "environment steps" if run.dataset is None else "updates",
        "normalized score" if shown == "score" else "return of an episode",
    )
    for statistic, file in CURVES.items():
        curves.draw(
            request.out / file, {name: found[shown]}, generator=np.random.default_rng(0), statistic=statistic, x_label=x, y_label=y
        )
    write_json(request.out / SCORES, {"final": {column: _final(curve) for column, curve in found.items()}} | _origin(request))
    return curves.score_table({name: found[shown]}, generator=np.random.default_rng(0), name=shown)


def _merged(parts: list[Path], whole: Path) -> None:
    """The evaluations of all processes in one file, by step and seed."""
    rows = [row for path in parts for row in csv.DictReader(path.open(newline=""))]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(sorted(rows, key=lambda row: (int(row["step"]), int(row["seed"]))))
    write_atomically(whole, text.getvalue().encode())


def _final(curve: curves.Curve) -> dict[str, Any]:
    """The last evaluation: each seed's mean over its episodes, and the mean and IQM over seeds with their intervals."""
    last: dict[str, Any] = {
        "step": int(curve.steps[-1]),
        "seeds": dict(zip(map(str, curve.seeds), curve.values[-1].tolist(), strict=True)),
    }
    for name, statistic in curves.STATISTICS.items():
        found = curves.interval(curve.values[-1], statistic, generator=np.random.default_rng(0))
        last |= {name: float(found.value)} | (
            {f"{name}_interval": [float(found.low), float(found.high)]} if len(curve.seeds) > 1 else {}
        )
    return last


def _origin(request: Request) -> dict[str, Any]:
    """Where the data is from: what a reader of the scores must know."""
    pointer = sorted(request.out.glob("**/checkpoint.json"))
    about = json.loads(pointer[0].read_text()) if pointer else {}
    return {
        "source": about.get("source"),
        "commit": about.get("commit"),
        "versions": about.get("versions"),
        "machine": about.get("machine"),
    }
