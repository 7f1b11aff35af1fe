"""Double DQN's lower overestimation: `python -m benchmarks.overestimation --env LunarLander-v3`.

As in figure 3 of van Hasselt, Guez, Silver 2016: at regular steps of the training, max_a Q(s, a) averaged over the states that the
greedy policy visits (the estimate), against the discounted return that followed each of them (the truth). The paper measures the
truth once, after training; here it is that of the same policy as the estimate. The two algorithms differ in `double` alone.
Results go to benchmarks/results/overestimation/ENV.json and ENV.png.
"""

from __future__ import annotations

import argparse
import io
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import accelerated
from accelerated.agents import configurations, curves, dqn
from accelerated.agents.checkpoints import commit, machine, versions, write_atomically, write_json
from accelerated.agents.environments import worlds
from accelerated.agents.loop import Run, Training
from accelerated.agents.state import State

Array = NDArray[np.float64]

RESULTS = Path(__file__).parent / "results" / "overestimation"
ENVIRONMENTS = {
    "LunarLander-v3": ("classic:lunarlander", 100_000),
    "CartPole-v1": ("classic:cartpole", 50_000),
    "Acrobot-v1": ("classic:acrobot", 100_000),
}
"""The preset and the steps of each."""
ALGORITHMS = {"DQN": "double=false", "Double DQN": "double=true"}
LEFT_OUT = 0.01
"""A state counts if its episode terminated, or went on until the discount had fallen to this."""
FINAL = 4
"""The last 1/FINAL of the evaluations make the final figures."""


class Readings(NamedTuple):
    """Of one algorithm, [evaluations, seeds] each; NaN where no state counted.

    estimate  mean over the states of max_a Q(s, a); truth of the discounted return from there
    states    how many counted; returns the mean undiscounted return of the episodes
    """

    estimate: Array
    truth: Array
    states: Array
    returns: Array


class Visits(NamedTuple):
    """Steps of the greedy policy, [seeds, episodes, time]; `going` marks the first episode of each world."""

    estimates: Tensor
    rewards: Tensor
    terminations: Tensor
    truncations: Tensor
    going: Tensor


def main() -> None:
    """Train both, measure, and write both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", choices=ENVIRONMENTS, required=True)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--steps", type=int, default=None, help="of each seed's environment; default: the preset's")
    parser.add_argument("--evaluations", type=int, default=20)
    parser.add_argument("--episodes", type=int, default=10, help="of each evaluation and seed")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a field of dqn's configuration, for both")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    steps = options.steps or ENVIRONMENTS[options.env][1]
    words = ["--env", options.env, "--seeds", str(options.seeds), "--steps", str(steps), "--evaluations", str(options.evaluations)]
    words += ["--episodes", str(options.episodes), *(word for text in options.set for word in ("--set", text))]
    content = experiment(
        options.out,
        environment=options.env,
        seeds=range(options.seeds),
        steps=steps,
        evaluations=options.evaluations,
        episodes=options.episodes,
        overrides=options.set,
        command=["python", "-m", "benchmarks.overestimation", *words],
    )
    print({name: [found[key] for key in ("mean", "low", "high")] for name, found in content["final_difference"].items()})


def experiment(
    out: Path,
    *,
    environment: str,
    seeds: Sequence[int],
    steps: int,
    evaluations: int,
    episodes: int,
    overrides: Sequence[str],
    command: Sequence[str],
) -> dict[str, Any]:
    """Both algorithms with the same seeds and evaluation episodes; what was measured, as it is in the JSON."""
    preset, began, found, told = ENVIRONMENTS[environment][0], time.monotonic(), {}, {}
    at = [steps * (place + 1) // evaluations for place in range(evaluations)]
    for name, change in ALGORITHMS.items():
        config = configurations.configured(dqn, preset, [*overrides, change])
        found[name] = measured(Run("dqn", config, tuple(seeds), steps, environment), at, episodes=episodes, label=name)
        told[name] = configurations.told(config)
    about = {"environment": environment, "preset": preset, "seeds": list(seeds), "steps": steps, "episodes": episodes}
    where = {"command": list(command), "versions": versions(), "machine": machine(), "commit": commit()}
    content = about | where | summary(found, at, seeds) | {"configurations": told, "seconds": round(time.monotonic() - began, 1)}
    out.mkdir(parents=True, exist_ok=True)
    draw_both(out / f"{environment}.png", found, at, title=f"{environment}: values of the visited states, {len(seeds)} seeds")
    write_json(out / f"{environment}.json", content)
    return content


# ------------------------------------------------------------------------------------------------------ measuring


def measured(run: Run, at: Sequence[int], *, episodes: int, label: str) -> Readings:
    """Train, and read at these steps."""
    training, readings, began = Training(run), [], time.monotonic()
    assert run.environment is not None
    for step in at:
        while training.step < step:
            training.advance()
        readings.append(reading(training.state, run.environment, step, episodes))
        shown = ", ".join(f"{part} {np.mean(values):.3g}" for part, values in readings[-1]._asdict().items())
        print(f"{label} {step}/{run.steps}: {shown}; {time.monotonic() - began:.0f} s", flush=True)
    training.worlds.close()
    return Readings(*(np.stack(part) for part in zip(*readings, strict=True)))


def reading(state: State, environment: str, step: int, episodes: int) -> Readings:
    """Estimate and truth of each seed's greedy policy, [seeds]; the episodes of one step are the same for every algorithm."""
    seeds = [seed * 1_000_003 + step for seed in state.seeds]
    arena = worlds(environment, seeds=seeds, envs=episodes, device=state.device, evaluation=True)
    try:
        with accelerated.check_values(False):
            visits = walked(state, arena)
    finally:
        arena.close()
    return averages(visits, discount=state.config.discount)


@torch.no_grad()
def walked(state: State, arena: Any) -> Visits:
    """Step all worlds until each has ended its first episode."""
    observations, steps = arena.reset(), []
    going = torch.ones(observations.shape[:2], dtype=torch.bool, device=observations.device)
    while bool(going.any()):
        values = dqn.action_values(state, observations)
        found = arena.step(values.argmax(-1))
        steps.append((values.amax(-1), found.rewards, found.terminations, found.truncations, going))
        observations, going = found.observations, going & ~(found.terminations | found.truncations)
    return Visits(*(torch.stack(column, -1) for column in zip(*steps, strict=True)))


def averages(visits: Visits, *, discount: float) -> Readings:
    """Means over the states that count."""
    nothing = torch.zeros_like(visits.rewards)
    truth = accelerated.discounted_returns(
        visits.rewards.double(), visits.terminations, visits.truncations, nothing.double(), discount=discount
    )
    counts = counting(visits, discount=discount)
    returns = torch.where(visits.going, visits.rewards.double(), 0.0).sum(-1).mean(-1)
    return Readings(
        estimate=_masked_mean(visits.estimates.double(), counts),
        truth=_masked_mean(truth, counts),
        states=counts.sum((1, 2)).double().cpu().numpy(),
        returns=returns.cpu().numpy(),
    )


def counting(visits: Visits, *, discount: float) -> Tensor:
    """Whose return is complete: the episode terminated, or had log(LEFT_OUT) / log(discount) steps to go; like `going`."""
    horizon = math.ceil(math.log(LEFT_OUT) / math.log(discount)) if 0 < discount < 1 else 1 if discount == 0 else math.inf
    lengths = visits.going.sum(-1, keepdim=True)
    remaining = lengths - torch.arange(visits.going.shape[-1], device=lengths.device)
    terminated = (visits.terminations & visits.going).any(-1, keepdim=True)
    return visits.going & (terminated | (remaining >= horizon))


def _masked_mean(values: Tensor, counts: Tensor) -> Array:
    """[seeds]; 0 / 0 is NaN."""
    sums = torch.where(counts, values, 0.0).sum((1, 2))
    return np.asarray((sums / counts.sum((1, 2))).cpu().numpy())


# ------------------------------------------------------------------------------------------------------ comparing


def summary(found: dict[str, Readings], at: Sequence[int], seeds: Sequence[int]) -> dict[str, Any]:
    """Every reading, and the overestimation of each algorithm and of DQN above Double DQN, late and throughout."""
    last = slice(len(at) - max(len(at) // FINAL, 1), None)
    rows = [
        {"algorithm": name, "step": step, "seed": seed}
        | {part: _plain(values[i, j]) for part, values in readings._asdict().items()}
        | {"difference": _plain(readings.estimate[i, j] - readings.truth[i, j])}
        for name, readings in found.items()
        for i, step in enumerate(at)
        for j, seed in enumerate(seeds)
    ]
    return {
        "readings": rows,
        "final_steps": list(at[last]),
        "final_difference": _differences(found, last),
        "difference_throughout": _differences(found, slice(None)),
        "final_return": {name: told(_over_time(readings.returns[last])) for name, readings in found.items()},
        "interval": f"{curves.LEVEL:.0%} percentile bootstrap of the mean over seeds, {curves.RESAMPLES} resamples",
    }


def _differences(found: dict[str, Readings], part: slice) -> dict[str, Any]:
    """Estimate minus truth of each, and the first's minus the second's, seed by seed."""
    gaps = {name: _over_time((readings.estimate - readings.truth)[part]) for name, readings in found.items()}
    first, second = gaps
    return {name: told(gap) for name, gap in gaps.items()} | {f"{first} minus {second}": told(gaps[first] - gaps[second])}


def _over_time(values: Array) -> Array:
    """[evaluations, seeds] -> [seeds]; what was not measured is left out."""
    known = ~np.isnan(values)
    total = np.where(known, values, 0.0).sum(0)
    return np.asarray(np.divide(total, known.sum(0), out=np.full(total.shape, np.nan), where=known.any(0)))


def told(values: Array) -> dict[str, Any]:
    """The mean over seeds with its interval, and the seeds' own."""
    found = curves.interval(values, curves.mean, generator=np.random.default_rng(0))
    return {name: _plain(float(x)) for name, x in zip(("mean", "low", "high"), found, strict=True)} | {
        "seeds": [_plain(float(value)) for value in values]
    }


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def draw_both(path: Path, found: dict[str, Readings], at: Sequence[int], *, title: str) -> None:
    """A PNG: at the left estimates and truths, at the right their differences, with bands over seeds."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.0, 4.5), dpi=120, layout="constrained")
    left, right = figure.subplots(1, 2)
    for color, (name, readings) in zip(curves.COLORS, found.items(), strict=False):
        gap = readings.estimate - readings.truth
        lines = [(left, readings.estimate, "-", "estimate"), (left, readings.truth, "--", "truth"), (right, gap, "-", "")]
        for axes, values, style, what in lines:
            band = curves.interval(values, curves.mean, generator=np.random.default_rng(0))
            axes.plot(at, band.value, color=color, linestyle=style, label=f"{name} {what}".strip())
            axes.fill_between(at, band.low, band.high, color=color, alpha=0.15, linewidth=0)
    right.axhline(0.0, color="#666666", linewidth=1)
    band_text = f"mean and {curves.LEVEL:.0%} interval over seeds"
    left.set(xlabel="environment steps", ylabel=f"value, {band_text}", title="max Q(s, a), and the discounted return")
    right.set(xlabel="environment steps", ylabel=f"estimate - truth, {band_text}", title="overestimation")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend()
    figure.suptitle(title)
    content = io.BytesIO()
    figure.savefig(content, format="png", metadata={"Software": None})
    write_atomically(path, content.getvalue())


if __name__ == "__main__":
    main()
