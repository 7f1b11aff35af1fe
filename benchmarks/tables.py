"""The README's tables, made from benchmarks/results: `python -m benchmarks.tables` writes them between their marks."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from accelerated.agents.checkpoints import write_atomically
from benchmarks.experiments import CLASSIC, EXPERTS, OFFLINE, PIECES, RACERS, RACES, SMALL, SYSTEMS, TASKS, WEIGHTED, Race

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PUBLISHED = {"door-human": "IQL 3.3 ± 1.8, BC 2.3 ± 4.0 (CORL, last scores, same demonstrations)"}
"""Scores of others on the same data; the other sets here are our own recordings and have none."""
ZOO = {"CartPole-v1": "500.0 ± 0.0", "Acrobot-v1": "-75.1 ± 11.1", "LunarLander-v3": "113.6 ± 70.1 (v2)"}
"""rl-baselines3-zoo's DQN: one seed's mean and deviation over 10 episodes, at the same number of steps."""

AT_100K = {
    "qwr": ("2323 ± 332", "1758 ± 735", "1301 ± 445"),
    "qwr_max": ("2250", "1187", "1019"),
    "qwr_mean": ("1691", "420", "1052"),
    "awr": ("-0.4; 251 ± 294", "110 ± 81; 242 ± 124", "67 ± 11; 168 ± 99"),
    "sac": ("5470 ± 490; 6515", "2337 ± 928; 2613", "591 ± 238; 1305"),
    "td3": ("5514 ± 554; 5336", "659 ± 752; 597", "770 ± 586; 483"),
    "ddpg": ("6308", "904", "113"),
}
"""Of others, mean ± deviation over seeds at 100,000 steps, on the v1 to v4 of the tasks: QWR of its poster; AWR there, then by its
authors' logs (10 seeds); SAC by Dopamine (5), then tianshou (10); TD3 by its authors (10), then tianshou; DDPG by tianshou."""


def offline() -> Iterator[str]:
    """Normalized scores of the last evaluation."""
    yield "| dataset | updates | IQL | one-step | BC | published |"
    yield "|---|---|---|---|---|---|"
    for name in OFFLINE:
        found = {agent: result("offline", f"{name}-{agent}") for agent in ("iql", "one_step", "bc")}
        if any(found.values()):
            steps = next(one["run"]["steps"] for one in found.values() if one)
            cells = [cell(one, "score") for one in found.values()]
            yield f"| {name} | {steps:,} | {' | '.join(cells)} | {PUBLISHED.get(name, '-')} |"


def weighted() -> Iterator[str]:
    """Normalized scores of the last evaluation."""
    yield "| agent | updates | score |"
    yield "|---|---|---|"
    for name, (_, steps) in WEIGHTED.items():
        found = result("weighted", f"{EXPERTS}-{name}")
        if found:
            yield f"| {name} | {steps:,} | {cell(found, 'score')} |"


def classic() -> Iterator[str]:
    """Returns of the last evaluation."""
    heads = [f"{name}, {one.steps:,} steps" for name, one in CLASSIC.items()]
    yield f"| | {' | '.join(heads)} |"
    yield f"|---{'|---' * len(CLASSIC)}|"
    for piece in [*PIECES, "rainbow"]:
        found = [result("classic", f"{environment}-{piece}") for environment in CLASSIC]
        if any(found):
            yield f"| {piece} | {' | '.join(cell(one, 'return') for one in found)} |"
    yield f"| zoo's DQN | {' | '.join(ZOO[environment] for environment in CLASSIC)} |"


BESIDE = {
    "sac": "-98", "td3": "-164", "ddpg": "-177", "ppo": "500.0 ± 0.0", "trpo": "500.0 ± 0.0",
    **dict.fromkeys(("value_iteration", "q_value_iteration", "q_learning", "double_q_learning"), "-13, the optimum"),
    **dict.fromkeys(("fitted_q_iteration", "online_q_iteration"), "-13, the optimum"),
}  # fmt: skip
"""rl-baselines3-zoo's, one seed each; of SAC, TD3 and DDPG at as many steps, of PPO and TRPO at 100,000."""


def small() -> Iterator[str]:
    """Returns of the last evaluation in small worlds."""
    yield "| agent | world | steps | return | beside |"
    yield "|---|---|---|---|---|"
    for name, (_, world, steps) in SMALL.items():
        found = result("small", f"{world}-{name}")
        if found:
            yield f"| {name} | {world} | {steps:,} | {cell(found, 'return')} | {BESIDE.get(name, '-')} |"


def continuous() -> Iterator[str]:
    """Returns of the last evaluation beside others' at as many steps."""
    yield f"| | {' | '.join(f'{task} | others' for task in TASKS)} |"
    yield f"|---{'|---' * 2 * len(TASKS)}|"
    for system in SYSTEMS:
        found = [result("continuous", f"{task}-{system}") for task in TASKS]
        if any(found):
            cells = [f"{cell(one, 'return')} | {other}" for one, other in zip(found, AT_100K[system], strict=True)]
            yield f"| {system} | {' | '.join(cells)} |"


def on_policy() -> Iterator[str]:
    """Episodes until the evaluated return was the threshold or more, and the return at the end."""
    heads = [f"{task}, to {race.threshold:g} | return after {race.steps // race.length:,}" for task, race in RACES.items()]
    yield f"| | {' | '.join(heads)} |"
    yield f"|---{'|---' * 2 * len(RACES)}|"
    for racer in RACERS:
        found = [result("on_policy", f"{task}-{racer}") for task in RACES]
        if any(found):
            cells = [f"{solved(one, race)} | {cell(one, 'return')}" for one, race in zip(found, RACES.values(), strict=True)]
            yield f"| {racer} | {' | '.join(cells)} |"


def solved(found: dict[str, Any] | None, race: Race) -> str:
    """The median over seeds of the episodes until the threshold, a seed that never reached it the last; and how many reached it."""
    if found is None:
        return "-"
    first: dict[int, float] = {seed: float("inf") for seed in found["run"]["seeds"]}
    for row in found["evaluations"]:
        if row["return"] >= race.threshold:
            first[row["seed"]] = min(first[row["seed"]], row["step"] / race.length)
    median = statistics.median_high(first.values())
    reached = f"{sum(episodes < float('inf') for episodes in first.values())} of {len(first)}"
    return f"{median:,.0f} ({reached})" if median < float("inf") else f"never ({reached})"


def gradient_variance() -> Iterator[str]:
    """At the last measurement of each run, over the variance of TRPO-GAE's gradient on the same batches."""
    yield "| task | estimator | weight | variance | distance of the means |"
    yield "|---|---|---|---|---|"
    for path in sorted((RESULTS / "gradient_variance").glob("*.json")):
        readings = json.loads(path.read_text())["readings"]
        last = max(one["step"] for one in readings)
        for one in (one for one in readings if one["step"] == last and one["seed"] == readings[0]["seed"]):
            ratio = f"{one['ratio']:.3f} [{one['low']:.3f}, {one['high']:.3f}]"
            yield f"| {path.stem} at {last:,} | {one['estimator']} | {one['weight']:.2f} | {ratio} | {one['mean_distance']:.2g} |"


def bit_flip() -> Iterator[str]:
    """Returns over the largest possible ones, by bits."""
    found = result("bit_flip", "bit_flip")
    rows = [] if found is None else found["results"]
    bits = sorted({row["bits"] for row in rows})
    yield f"| | {' | '.join(f'{count} bits' for count in bits)} |"
    yield f"|---{'|---' * len(bits)}|"
    for name in dict.fromkeys(row["algorithm"] for row in rows):
        by_bits = {row["bits"]: row["return"] for row in rows if row["algorithm"] == name}
        yield f"| {name} | {' | '.join(spread(by_bits[count]) for count in bits)} |"


def toy_maze() -> Iterator[str]:
    """Values and policies against V*, over data seeds."""
    yield "| | V(start) | mean distance to V\\* | return of its policy | of the greedy one |"
    yield "|---|---|---|---|---|"
    found = result("toy_maze", "toy_maze")
    if found:
        best = found["maze"]["optimal_start_value"]
        yield f"| V\\* | {best:.3f} | 0 | {best:.3f} | {best:.3f} |"
        for name in ("one_step", *(f"iql {expectile}" for expectile in (0.5, 0.7, 0.9, 0.95, 0.99))):
            one = found["algorithms"][name]
            columns = (one["start_value"], one["distance_to_optimal"], one["returns"]["extracted"], one["returns"]["greedy_critic"])
            yield f"| {name.replace('_', '-')} | {' | '.join(spread(column) for column in columns)} |"


def overestimation() -> Iterator[str]:
    """What the estimates are above the truth, in units of discounted return, in the last quarter of the run."""
    yield "| | DQN | Double DQN | DQN minus Double DQN |"
    yield "|---|---|---|---|"
    for path in sorted((RESULTS / "overestimation").glob("*.json")):
        found = json.loads(path.read_text())["final_difference"]
        cells = [spread(found[name]) for name in ("DQN", "Double DQN", "DQN minus Double DQN")]
        yield f"| {path.stem} | {' | '.join(cells)} |"


def ports() -> Iterator[str]:
    """Medians over rounds of what a port does in a second."""
    path = RESULTS / "ports" / "throughput.json"
    kinds = json.loads(path.read_text())["per_second"] if path.exists() else {}
    heads = sorted(next(iter(kinds.values()), {}), key=lambda head: (len(head), head))
    yield f"| a second | {' | '.join(heads)} |"
    yield f"|---{'|---' * len(heads)}|"
    for kind in sorted(kinds, reverse=True):
        yield f"| {kind} | {' | '.join(format(kinds[kind][head]['median'], ',.0f') for head in heads)} |"


TABLES: dict[str, Callable[[], Iterator[str]]] = {
    "ports": ports,
    "offline": offline,
    "weighted": weighted,
    "classic": classic,
    "small": small,
    "continuous": continuous,
    "on_policy": on_policy,
    "gradient_variance": gradient_variance,
    "bit_flip": bit_flip,
    "toy_maze": toy_maze,
    "overestimation": overestimation,
}


def result(experiment: str, run: str) -> dict[str, Any] | None:
    """What a run measured; None if it was not made."""
    path = RESULTS / experiment / f"{run}.json"
    return json.loads(path.read_text()) if path.exists() else None


def cell(found: dict[str, Any] | None, column: str) -> str:
    """Mean over seeds and its interval."""
    if found is None:
        return "-"
    final = found["summary"]["final"][column]
    low, high = final["mean_interval"]
    return f"{final['mean']:.1f} [{low:.1f}, {high:.1f}]"


def spread(found: dict[str, float]) -> str:
    """A mean and its interval."""
    return f"{found['mean']:.3g} [{found['low']:.3g}, {found['high']:.3g}]"


def rewritten(text: str) -> str:
    """The text with every table between `<!-- table:NAME -->` and `<!-- end -->` made anew."""
    for name, rows in TABLES.items():
        start, end = f"<!-- table:{name} -->\n", "<!-- end -->"
        head, found, rest = text.partition(start)
        if found:
            text = head + start + "\n".join(rows()) + "\n" + end + rest.partition(end)[2]
    return text


def main() -> None:
    """Rewrite README.md."""
    path = ROOT / "README.md"
    write_atomically(path, rewritten(path.read_text()).encode())


if __name__ == "__main__":
    main()
