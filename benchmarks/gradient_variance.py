"""Q-Prop's gradients against TRPO-GAE's on the same batches: `python -m benchmarks.gradient_variance --env HalfCheetah-v4`.

At regular steps of the training of `qprop`, policy, critic and baseline stand still while many independent batches are drawn, each
from environments of its own. On every batch each estimator makes its gradient at the policy as it is; the total variance of one is
the trace of its covariance over batches, and the figure is its ratio to that of TRPO with GAE: below 1 the control variate helps.
The interval is the bootstrap's over batches, the same resample for both sides of a ratio. Weights "previous" come from one batch
more, drawn before. That an estimator is biased shows in its mean: the distance to TRPO's over the standard error of their
difference is near 1 where it is not, and grows like the root of the number of batches where it is.
Results go to benchmarks/results/gradient_variance/ENV.json and ENV.png.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import accelerated
from accelerated.agents import configurations, control_variate_terms, curves, policies, qprop, qprop_configuration
from accelerated.agents.checkpoints import commit, machine, versions, write_atomically, write_json
from accelerated.agents.environments import worlds
from accelerated.agents.loop import Run, Training
from accelerated.agents.rollouts import Rollout
from accelerated.agents.state import State, streams_for

Array = NDArray[np.float64]
Estimator = Callable[[State, Rollout], qprop.Estimate]

RESULTS = Path(__file__).parent / "results" / "gradient_variance"
BASIS = "TRPO-GAE"
HORIZON = 1000
"""Steps of an environment in a batch where the environment has no time limit, or a longer one."""


def main() -> None:
    """Train, measure, print, and write both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", required=True)
    parser.add_argument("--preset", choices=qprop.PRESETS, default="paper")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--steps", type=int, default=100_000, help="of each seed's environment")
    parser.add_argument("--measurements", type=int, default=4)
    parser.add_argument("--batches", type=int, default=50, help="of each measurement and seed")
    parser.add_argument("--batch-steps", type=int, default=5000, help="of one such batch")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a field of qprop's configuration")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    words = [text for name in ("env", "preset", "seeds", "steps", "measurements", "batches", "batch_steps")
             for text in (f"--{name.replace('_', '-')}", str(getattr(options, name)))]  # fmt: skip
    words += [word for text in options.set for word in ("--set", text)]
    content = experiment(
        options.out,
        environment=options.env,
        preset=options.preset,
        seeds=range(options.seeds),
        steps=options.steps,
        measurements=options.measurements,
        batches=options.batches,
        batch_steps=options.batch_steps,
        overrides=options.set,
        command=["python", "-m", "benchmarks.gradient_variance", *words],
    )
    print(table(content["readings"]))


def experiment(
    out: Path,
    *,
    environment: str,
    preset: str,
    seeds: Sequence[int],
    steps: int,
    measurements: int,
    batches: int,
    batch_steps: int,
    overrides: Sequence[str],
    command: Sequence[str],
) -> dict[str, Any]:
    """Train with stops; what was measured at each, as it is in the JSON."""
    began, config = time.monotonic(), configurations.configured(qprop, preset, overrides)
    training, readings = Training(Run("qprop", config, tuple(seeds), steps, environment)), []
    for place in range(measurements):
        while training.step < steps * (place + 1) // measurements:
            training.advance()
        with accelerated.check_values(False):
            found = gradients(training.state, environment, training.step, batches=batches, batch_steps=batch_steps)
        readings += rows(found, training.step, seeds)
        print(f"{training.step}/{steps} steps, {time.monotonic() - began:.0f} s", flush=True)
    training.close()
    about = {"environment": environment, "preset": preset, "seeds": list(seeds), "steps": steps, "batches": batches}
    where = {"command": list(command), "versions": versions(), "machine": machine(), "commit": commit()}
    content = about | where | {
        "batch_steps": batch_steps,
        "configuration": configurations.told(config),
        "readings": readings,
        "interval": f"{curves.LEVEL:.0%} percentile bootstrap over batches, {curves.RESAMPLES} resamples",
        "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    draw(out / f"{environment}.png", readings, title=f"{environment}: variance of the policy gradient, {batches} batches")
    write_json(out / f"{environment}.json", content)
    return content


# ------------------------------------------------------------------------------------------------------ measuring


def gradients(state: State, environment: str, step: int, *, batches: int, batch_steps: int) -> dict[str, Tensor]:
    """Of each estimator, the gradient on every batch and the mean weight: [batches, seeds, P] and [batches, seeds]."""
    limit = min(gymnasium.spec(environment).max_episode_steps or HORIZON, HORIZON, batch_steps)
    envs = max(batch_steps // limit, 1)
    still = dataclasses.replace(
        state,
        config=dataclasses.replace(state.config, envs=envs, update_every=envs * limit, as_coded=False, estimator="q_prop"),
        streams=streams_for([seed * 1_000_003 + step for seed in state.seeds], tuple(state.streams), state.device),
        tensors=dict(state.tensors),
    )
    every = drawn(still, environment, step, envs=envs * (batches + 1), steps=limit)
    first, *others = (_part(every, envs * batch, envs * (batch + 1)) for batch in range(batches + 1))
    found: dict[str, Tensor] = {}
    for name, estimator in estimators(still, first).items():
        each = [estimator(still, batch) for batch in others]
        found[name] = torch.stack([gradient(still, given) for given in each])
        found[f"weight of {name}"] = torch.stack([given.weight.mean(-1) for given in each])
    return found


@torch.no_grad()
def drawn(state: State, environment: str, step: int, *, envs: int, steps: int) -> Rollout:
    """Steps of the policy in environments that begin anew."""
    seeds = [seed * 1_000_003 + step for seed in state.seeds]
    arena = worlds(environment, seeds=seeds, envs=envs, device=state.device, dtype=_dtype(state), evaluation=True)
    observations, columns = arena.reset(), []
    clock = torch.zeros(observations.shape[:2], dtype=torch.int64, device=observations.device)
    for _ in range(steps):
        actions = qprop.act(state, observations, explore=True)
        turn = arena.step(policies.clipped(arena.space, actions))
        cuts = (turn.terminations, turn.truncations)
        columns.append((observations, actions, turn.rewards, turn.next_observations, *cuts, clock))
        observations, clock = turn.observations, torch.where(cuts[0] | cuts[1], 0, clock + 1)
    arena.close()
    found = [torch.stack(column, 2) for column in zip(*columns, strict=True)]
    found[5][..., -1] = True
    return Rollout._make([*found, None])


def estimators(state: State, before: Rollout) -> dict[str, Estimator]:
    """By name; `before` is the batch that the weights "previous" are from."""

    def of(**changes: Any) -> Estimator:
        changed = dataclasses.replace(state, config=dataclasses.replace(state.config, **changes), tensors=dict(state.tensors))
        if changed.config.estimator == "q_prop":
            changed.tensors["weight"] = qprop.estimate(changed, before).next_weight
        return lambda _, batch: qprop.estimate(changed, batch)

    found = {BASIS: of(estimator="trpo", subtract_mean="none")}
    found |= {f"TRPO-GAE less the mean of the {whose}": of(estimator="trpo", subtract_mean=mean)
              for whose, mean in (("other half", "halves"), ("batch", "batch"))}  # fmt: skip
    found |= {f"Q-Prop, {rule}": of(rule=rule, weight_from="previous") for rule in qprop_configuration.RULES}
    found |= {f"Q-Prop, {rule} from {source}": of(rule=rule, weight_from=source)
              for rule, source in (("optimal", "halves"), ("optimal", "critic"), ("conservative", "critic"))}  # fmt: skip
    return found | {f"Q-Prop, {rule} of the sample itself (BIASED)": biased(rule) for rule in ("conservative", "aggressive")}


def biased(rule: str) -> Estimator:
    """The authors' weights, with nothing standardised and one critic."""

    def estimator(state: State, batch: Rollout) -> qprop.Estimate:
        config = dataclasses.replace(state.config, estimator="trpo")
        given = qprop.estimate(dataclasses.replace(state, config=config), batch)
        variate = given.expansion.at(given.residual.actions)
        weight = control_variate_terms.own_weights(given.residual.advantage, variate, rule)
        signal = given.residual.advantage - weight * variate
        return given._replace(residual=given.residual._replace(advantage=signal), weight=weight)

    return estimator


def gradient(state: State, given: qprop.Estimate) -> Tensor:
    """Of the surrogate, [seeds, P], float64."""
    leaves = [tensor.requires_grad_() for tensor in state.networks["policy"].values()]
    found = torch.autograd.grad(qprop.surrogate(state, given).sum(), leaves)
    return torch.cat([part.flatten(1) for part in found], 1).double()


def _part(rollout: Rollout, first: int, last: int) -> Rollout:
    """The environments from the first up to the last."""
    return Rollout._make(None if column is None else column[:, first:last] for column in rollout)


def _dtype(state: State) -> torch.dtype:
    return next(iter(state.networks["policy"].values())).dtype


# ------------------------------------------------------------------------------------------------------ comparing


def rows(found: dict[str, Tensor], step: int, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """One for each estimator and seed."""
    names = [name for name in found if not name.startswith("weight of ")]
    return [
        {"step": step, "seed": seed, "estimator": name, "weight": float(found[f"weight of {name}"][:, place].mean())}
        | compared(found[name][:, place].cpu().numpy(), found[BASIS][:, place].cpu().numpy())
        for place, seed in enumerate(seeds)
        for name in names
    ]


def compared(own: Array, basis: Array) -> dict[str, float]:
    """Total variance, its ratio to the basis with an interval, and how far the means are apart; [batches, P] twice."""
    generator, count = np.random.default_rng(0), len(own)
    times = generator.multinomial(count, np.full(count, 1 / count), size=curves.RESAMPLES).astype(np.float64)
    times = times[(times > 0).sum(1) > 1]  # one batch alone has no variance
    centre = basis.mean(0)
    resampled = total_variance(own - centre, times) / total_variance(basis - centre, times)
    low, high = np.quantile(resampled, [(1 - curves.LEVEL) / 2, (1 + curves.LEVEL) / 2])
    variance, apart = float(own.var(0, ddof=1).sum()), own - basis
    error = math.sqrt(float(apart.var(0, ddof=1).sum()) / count)
    distance = float(np.linalg.norm(apart.mean(0)))
    return {
        "variance": variance,
        "ratio": variance / float(basis.var(0, ddof=1).sum()),
        "low": float(low),
        "high": float(high),
        "squared_mean": float((own.mean(0) ** 2).sum()),
        "mean_distance": distance / error if error > 0 else 0.0,
    }


def total_variance(rows: Array, times: Array) -> Array:
    """Trace of the covariance of rows [B, P] taken so many times each, [resamples, B] -> [resamples]: from inner products alone."""
    inner, count = rows @ rows.T, len(rows)
    squares = times @ np.diagonal(inner) / count
    return np.asarray((squares - ((times @ inner) * times).sum(-1) / count**2) * count / (count - 1))


def table(readings: Sequence[dict[str, Any]]) -> str:
    """Plain text."""
    lines = [f"{'step':>8} {'seed':>4}  {'estimator':<48} {'weight':>7} {'variance':>10}  {'ratio':>6} [95 %]            mean"]
    for row in readings:
        numbers = f"{row['weight']:>7.3f} {row['variance']:>10.3g}  {row['ratio']:>6.3f} [{row['low']:.3f}, {row['high']:.3f}]"
        lines.append(f"{row['step']:>8} {row['seed']:>4}  {row['estimator']:<48} {numbers}  {row['mean_distance']:>5.2f}")
    return "\n".join(lines)


def draw(path: Path, readings: Sequence[dict[str, Any]], *, title: str) -> None:
    """A PNG: each estimator's ratio, step by step and seed by seed, with its interval."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.0, 5.5), dpi=120, layout="constrained")
    axes, names = figure.subplots(), list(dict.fromkeys(row["estimator"] for row in readings if row["estimator"] != BASIS))
    marks = sorted({(row["step"], row["seed"]) for row in readings})
    for place, name in enumerate(names):
        own = {(row["step"], row["seed"]): row for row in readings if row["estimator"] == name}
        at = [number + 0.8 * (place + 0.5) / len(names) - 0.4 for number in range(len(marks))]
        ratio, low, high = ([own[mark][key] for mark in marks] for key in ("ratio", "low", "high"))
        spread = np.maximum([np.subtract(ratio, low), np.subtract(high, ratio)], 0)
        axes.errorbar(at, ratio, spread, fmt="o", markersize=4, color=f"C{place}", label=name, capsize=2)
    axes.axhline(1.0, color="#666666", linewidth=1)
    labels = [f"{step} steps\nseed {seed}" for step, seed in marks]
    axes.set_xticks(range(len(marks)), labels)
    axes.set(yscale="log", ylabel=f"total variance / {BASIS}'s, {curves.LEVEL:.0%} interval", title=title)
    axes.grid(alpha=0.3, axis="y")
    axes.legend(fontsize=8)
    content = io.BytesIO()
    figure.savefig(content, format="png", metadata={"Software": None})
    write_atomically(path, content.getvalue())


if __name__ == "__main__":
    main()
