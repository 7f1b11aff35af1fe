"""The toy maze of IQL's figure 2: `python -m benchmarks.toy_maze`.

A U-shaped maze, 1 optimal and 99 uniformly random trajectories. The trained agents' tables are compared with the optimal values,
with the exact fixed points of the data, and with each other; 20 data seeds are trained side by side. Results go to
benchmarks/results/toy_maze: toy_maze.json, and toy_maze.png of the first data seed.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import accelerated
from accelerated.agents import agent, curves, iql
from accelerated.agents.batch import Batch, Space
from accelerated.agents.checkpoints import commit, machine, versions, write_json
from accelerated.agents.finite_processes import FiniteModel, toy_maze
from accelerated.agents.policies import Categorical
from accelerated.agents.state import State
from benchmarks import maze_data
from benchmarks.maze_data import GOAL, Data, FixedPoint
from benchmarks.maze_figure import draw_maze

Array = NDArray[np.float64]

RESULTS = Path(__file__).parent / "results" / "toy_maze"
DISCOUNT, HORIZON, TRAJECTORIES = 0.9, 100, 100
EXPECTILES = (0.5, 0.7, 0.9, 0.95, 0.99)
UPDATES, OVERSTEP, POLICY_RATE = 400, 1.95, 0.5
"""Steps of the tables are OVERSTEP times what an exact regression of the most visited state would need; 2 diverges."""
INVERSE_TEMPERATURE, MAX_WEIGHT = 3.0, 100.0
DTYPE = torch.float32


class Tables(NamedTuple):
    """What one algorithm learned from each seed's data, float64: V [seeds, S], Q [seeds, S, A], policy [seeds, S, A]."""

    value: Tensor
    q: Tensor
    policy: Tensor


def main() -> None:
    """Train, compare, and write both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20, help="data seeds")
    parser.add_argument("--updates", type=int, default=UPDATES)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    command = ["python", "-m", "benchmarks.toy_maze", "--seeds", str(options.seeds), "--updates", str(options.updates)]
    summary = experiment(options.out, seeds=range(options.seeds), updates=options.updates, command=command)
    for name, found in summary["algorithms"].items():
        print(name, {key: found[key] for key in ("start_value", "distance_to_optimal", "from_fixed_point")})


def experiment(out: Path, *, seeds: Sequence[int], updates: int, command: Sequence[str]) -> dict[str, Any]:
    """All algorithms on all data seeds; what was measured, as it is in the JSON."""
    began, processor = time.monotonic(), time.process_time()
    process = toy_maze(max_episode_steps=HORIZON)
    model = process.model()
    best = accelerated.solve_optimal(model.transition, model.reward, discount=DISCOUNT)
    data = maze_data.collected(process, best.policy, seeds=seeds, trajectories=TRAJECTORIES)
    states, actions = model.reward.shape
    space = Space((), torch.int64, actions, states)
    found, due = {}, {}
    for name, expectile in [("one_step", 0.5)] + [("iql", expectile) for expectile in EXPECTILES]:
        label = name if name == "one_step" else f"iql {expectile:g}"
        used = [maze_data.with_next_actions(one) for one in data] if name == "one_step" else data
        due[label] = [fixed_point(name, one, space, expectile) for one in used]
        found[label] = trained(name, used, space, seeds, updates=updates, expectile=expectile)
    compared = comparison(found, due, best.value, model)
    start = int(model.start.argmax())
    about = {
        "maze": {"states": states, "discount": DISCOUNT, "horizon": HORIZON, "optimal_start_value": float(best.value[start])}
        | {"random_start_value": _return(torch.full((states, actions), 1 / actions, dtype=torch.float64), model)},
        "data": {"seeds": list(seeds), "trajectories": TRAJECTORIES, "optimal_trajectories": 1, "rows": [len(d[0]) for d in data]},
        "training": {"updates": updates, "batch": "all of a seed's data in every update", "dtype": str(DTYPE)},
        "interval": f"{curves.LEVEL:.0%} percentile bootstrap of the mean over data seeds, {curves.RESAMPLES} resamples",
    }
    spent = {"seconds": round(time.monotonic() - began, 1), "processor_seconds": round(time.process_time() - processor, 1)}
    told = {"command": list(command), "versions": versions(), "machine": machine(), "commit": commit()}
    out.mkdir(parents=True, exist_ok=True)
    panels = {"V*": best.value.numpy()} | {_titled(name): tables.value[0].numpy() for name, tables in found.items()}
    title = f"State values in the toy maze, data seed {seeds[0]}: 1 optimal and {TRAJECTORIES - 1} random trajectories"
    draw_maze(out / "toy_maze.png", panels, goal=GOAL, start=start, title=title)
    content = about | compared | spent | told
    write_json(out / "toy_maze.json", content)
    return content


# ------------------------------------------------------------------------------------------------------ training


def trained(name: str, data: Sequence[Data], space: Space, seeds: Sequence[int], *, updates: int, expectile: float) -> Tables:
    """Tables of the agent after `updates` updates, each with all of each seed's data."""
    batch, module = maze_data.balanced(data, discount=DISCOUNT, dtype=DTYPE), agent(name)
    config = configuration(name, batch, space, expectile)
    state = module.init(config, space, seeds, dtype=DTYPE)
    # V and Q are regressions, which SGD at these rates makes nearly exact; the policy's rows have weights of all sizes
    adam = dataclasses.replace(config, optimizer="adam")
    state.optimizers["policy"] = iql.optimizer_of(adam, "policy", state.networks["policy"])
    with accelerated.check_values(False):
        for _ in range(updates):
            module.update(state, batch)
    return tables_of(state)


def configuration(name: str, batch: Batch, space: Space, expectile: float) -> Any:
    """Tables by SGD; the target critics are the critics."""
    of_state, of_pair = maze_data.largest_shares(batch, space.states, space.actions)
    options: dict[str, Any] = {
        "discount": DISCOUNT, "hidden": (), "init": "zeros", "optimizer": "sgd", "policy_schedule": "constant", "polyak_step": 1.0,
        "reward_transform": "none", "inverse_temperature": INVERSE_TEMPERATURE, "max_weight": MAX_WEIGHT,
        "value_learning_rate": OVERSTEP / (2 * of_state), "critic_learning_rate": OVERSTEP / (2 * of_pair),
        "policy_learning_rate": POLICY_RATE,
    }  # fmt: skip
    return agent(name).Config(**options | ({"expectile": expectile} if name == "iql" else {}))


@torch.no_grad()
def tables_of(state: State) -> Tables:
    """V, the smaller critic and the policy's probabilities in every state."""
    every = torch.arange(state.space.states).expand(len(state.seeds), -1)
    shapes = iql.shapes(state.config, state.space)
    value = shapes.value(state.networks["value"], every)[:, 0, :, 0]
    q = shapes.critic(state.networks["critic"], every).amin(1)
    assert isinstance(shapes.policy, Categorical)
    wide = shapes.policy.probabilities(state.networks["policy"], every).double()
    return Tables(value.double(), q.double(), wide / wide.sum(-1, keepdim=True))


def fixed_point(name: str, data: Data, space: Space, expectile: float) -> FixedPoint:
    """The exact V and Q of that algorithm on that data."""
    if name == "one_step":
        return maze_data.sarsa_fixed_point(data, space.states, space.actions, discount=DISCOUNT)
    return maze_data.expectile_fixed_point(data, space.states, space.actions, expectile=expectile, discount=DISCOUNT)


# ----------------------------------------------------------------------------------------------------- comparing


def comparison(found: dict[str, Tables], due: dict[str, list[FixedPoint]], best: Tensor, model: FiniteModel) -> dict[str, Any]:
    """What is measured of each algorithm, and of IQL at 0.95 against one-step; states are those acted in in the data."""
    visited = [one.times.sum(-1) > 0 for one in due["one_step"]]
    algorithms = {name: measured(tables, due[name], visited, best, model) for name, tables in found.items()}
    closer = [_closer(found["iql 0.95"].value[i], found["one_step"].value[i], best, seen) for i, seen in enumerate(visited)]
    same = {
        name: estimate([_same_greedy(due[name][i], due["one_step"][i], seen) for i, seen in enumerate(visited)])
        for name in due
        if name != "one_step"
    }
    gaps = {name: estimate(_paired(algorithms, name)) for name in algorithms if name != "one_step"}
    return {
        "algorithms": algorithms,
        "iql_0.95_closer_to_optimal_than_one_step": estimate(closer),
        "exact_greedy_action_as_one_step": same,
        "extracted_return_above_one_step": gaps,
    }


def measured(
    tables: Tables, due: Sequence[FixedPoint], visited: Sequence[Tensor], best: Tensor, model: FiniteModel
) -> dict[str, Any]:
    """Of one algorithm; lists are over data seeds."""
    start = int(model.start.argmax())
    distances = [float((tables.value[i] - best).abs()[seen].mean()) for i, seen in enumerate(visited)]
    returns = {
        "extracted": [_return(policy, model) for policy in tables.policy],
        "exact_extracted": [_return(weighted(one), model) for one in due],
        "greedy_critic": [_return(greedy(tables.q[i], one.times), model) for i, one in enumerate(due)],
        "greedy_exact_critic": [_return(greedy(one.q, one.times), model) for one in due],
    }
    return {
        "start_value": estimate(tables.value[:, start].tolist()),
        "exact_start_value": estimate([float(one.value[start]) for one in due]),
        "distance_to_optimal": estimate(distances),
        "returns": {name: estimate(values) for name, values in returns.items()},
        "from_fixed_point": differences(tables, due),
    }


def differences(tables: Tables, due: Sequence[FixedPoint]) -> dict[str, float]:
    """The largest distance of the trained V, Q and policy from the exact ones, over seeds, states and actions of the data."""
    largest = {"value": 0.0, "q": 0.0, "policy": 0.0}
    for i, one in enumerate(due):
        taken, seen = one.times > 0, one.times.sum(-1) > 0
        largest["value"] = max(largest["value"], float((tables.value[i] - one.value).abs()[seen].max()))
        largest["q"] = max(largest["q"], float((tables.q[i] - one.q).abs()[taken].max()))
        largest["policy"] = max(largest["policy"], float((tables.policy[i] - weighted(one)).abs()[seen].max()))
    return largest


def weighted(point: FixedPoint) -> Tensor:
    """behavior · min(exp(inverse_temperature · (Q - V)), max_weight), normalised: what the policy's loss is least at; [S, A]."""
    advantage = point.q - point.value.unsqueeze(-1)
    weight = accelerated.exponential_weights(advantage, temperature=1 / INVERSE_TEMPERATURE, max_weight=MAX_WEIGHT)
    product = maze_data.behavior(point.times) * weight
    return product / product.sum(-1, keepdim=True)


def greedy(q: Tensor, count: Tensor) -> Tensor:
    """The best of the actions that the data has in each state; uniform where it has none; [S, A]."""
    best = q.masked_fill(count == 0, -torch.inf).argmax(-1)
    chosen = torch.nn.functional.one_hot(best, q.shape[-1]).double()
    return torch.where(count.sum(-1, keepdim=True) > 0, chosen, 1 / q.shape[-1])


def estimate(values: Sequence[float]) -> dict[str, Any]:
    """The mean over data seeds and its interval; the values themselves."""
    found = curves.interval(np.array(values), curves.mean, generator=np.random.default_rng(0))
    bounds = [None if np.isnan(bound) else float(bound) for bound in (found.low, found.high)]
    return {"mean": float(found.value), "low": bounds[0], "high": bounds[1], "values": [float(value) for value in values]}


def _return(policy: Tensor, model: FiniteModel) -> float:
    """Expected discounted return from the start in the maze itself."""
    value = accelerated.solve_policy(policy, model.transition, model.reward, discount=DISCOUNT)
    return float((model.start * value).sum())


def _closer(value: Tensor, other: Tensor, best: Tensor, seen: Tensor) -> float:
    return float(((value - best).abs() < (other - best).abs())[seen].double().mean())


def _same_greedy(point: FixedPoint, other: FixedPoint, seen: Tensor) -> float:
    policies = [greedy(one.q, one.times).argmax(-1) for one in (point, other)]
    return float((policies[0] == policies[1])[seen].double().mean())


def _paired(algorithms: dict[str, Any], name: str) -> list[float]:
    of = [np.array(algorithms[key]["returns"]["extracted"]["values"]) for key in (name, "one_step")]
    return [float(gap) for gap in of[0] - of[1]]


def _titled(label: str) -> str:
    return "one-step" if label == "one_step" else f"IQL, expectile {label.removeprefix('iql ')}"


if __name__ == "__main__":
    main()
