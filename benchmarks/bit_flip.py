"""BitFlip, AWR against QWR as bits are added: `python -m benchmarks.bit_flip`.

Each of N bits is 0 or 1; an action turns one of them and pays 1 where it was 0, else -1; an episode has 5 steps. From the same
memory of random episodes, the bits as observations, AWR, QWR with each of its backups and cloning are trained; QWR weighs all N
actions. The more bits, the fewer of a state's actions are in the memory: with one of them AWR's weights can change nothing
(Kozakowski et al. 2021). Returns are those of the policies by enumeration of all states, over the largest possible.
Results go to benchmarks/results/bit_flip: bit_flip.json and bit_flip.png.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import accelerated
from accelerated.agents import agent, curves
from accelerated.agents.batch import Space
from accelerated.agents.checkpoints import commit, machine, versions, write_atomically, write_json
from accelerated.agents.rollouts import Rollout, drawn, transitions
from accelerated.agents.streams import Streams
from benchmarks.toy_maze import estimate

RESULTS = Path(__file__).parent / "results" / "bit_flip"
HORIZON, EPISODES, BITS = 5, 60, (2, 4, 6, 8, 10, 12, 14)
ROUNDS, STEPS = 8, 500
"""Rounds of both regressions, and gradient steps of each in a round; cloning makes as many steps as a policy."""
SAME: dict[str, Any] = {"hidden": (64, 64), "policy_learning_rate": 1e-3, "batch_size": 64, "optimizer": "adam", "discount": 0.5}
WEIGHTED: dict[str, Any] = SAME | {
    "temperature": 0.3, "max_weight": 20.0, "normalize_advantage": False, "normalize_observations": False, "scale_values": False,
    "max_grad_norm": None, "policy_steps": STEPS,
}  # fmt: skip
QWR: dict[str, Any] = WEIGHTED | {
    "samples": None, "q_normalization": "none", "critic_learning_rate": 1e-3, "critic_steps": STEPS, "target_every": 50,
}  # fmt: skip
ALGORITHMS: dict[str, tuple[str, dict[str, Any]]] = {
    "QWR-LSE": ("qwr", QWR | {"aggregate": "log_mean_exp"}),
    "QWR-MAX": ("qwr", QWR | {"aggregate": "max"}),
    "QWR-AVG": ("qwr", QWR | {"aggregate": "mean"}),
    "AWR": ("awr", WEIGHTED | {"value_learning_rate": 1e-3, "value_steps": STEPS, "momentum": 0.0}),
    "cloning": ("bc", SAME | {"policy_schedule": "constant"}),
}


def main() -> None:
    """Train, compare, and write both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--bits", type=int, nargs="+", default=BITS, choices=range(1, 17), metavar="N")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    numbers = [str(count) for count in options.bits]
    command = [
        "python",
        "-m",
        "benchmarks.bit_flip",
        "--seeds",
        str(options.seeds),
        "--rounds",
        str(options.rounds),
        "--bits",
        *numbers,
    ]
    found = experiment(options.out, bits=options.bits, seeds=range(options.seeds), rounds=options.rounds, command=command)
    for row in found["results"]:
        print(row["bits"], row["algorithm"], *(f"{row['return'][part]:.3f}" for part in ("mean", "low", "high")))


def experiment(out: Path, *, bits: Sequence[int], seeds: Sequence[int], rounds: int, command: Sequence[str]) -> dict[str, Any]:
    """All algorithms on memories of all numbers of bits; what was measured, as it is in the JSON."""
    began, processor = time.monotonic(), time.process_time()
    results, memories = [], []
    for count in bits:
        memory = collected(count, seeds)
        memories.append({"bits": count, "largest_return": float(largest(count).mean())} | coverage(memory, count))
        for name in ALGORITHMS:
            policy = trained(name, memory, count, seeds, rounds=rounds)
            results.append({"bits": count, "algorithm": name} | measured(policy, memory, count))
    told: dict[str, Any] = {
        "world": {"steps_of_an_episode": HORIZON, "start": "uniform"},
        "memory": {"seeds": list(seeds), "episodes": EPISODES, "behavior": "uniform", "of_bits": memories},
        "training": {"rounds": rounds, "configurations": {name: options for name, (_, options) in ALGORITHMS.items()}},
        "results": results,
        "interval": f"{curves.LEVEL:.0%} percentile bootstrap of the mean over seeds, {curves.RESAMPLES} resamples",
        "seconds": round(time.monotonic() - began, 1), "processor_seconds": round(time.process_time() - processor, 1),
        "command": list(command), "versions": versions(), "machine": machine(), "commit": commit(),
    }  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    draw_both(out / "bit_flip.png", results)
    write_json(out / "bit_flip.json", told)
    return told


# ----------------------------------------------------------------------------------------------------------- world


def states_of(count: int) -> Tensor:
    """The bits of every state, [2^N, N], lowest first."""
    return (torch.arange(2**count).unsqueeze(-1) >> torch.arange(count) & 1).float()


def largest(count: int) -> Tensor:
    """min(k, z) - ((k - min(k, z)) mod 2): what k steps can earn from each state with z zeros."""
    zeros = count - states_of(count).sum(-1)
    early = zeros.clamp(max=HORIZON)
    return early - (HORIZON - early) % 2


def returns_of(policy: Tensor) -> Tensor:
    """The mean over all states of what k steps earn, [seeds, 2^N, N] -> [seeds], by enumeration in float64."""
    count = policy.shape[-1]
    state, wide = torch.arange(2**count), policy.double()
    after, reward = state.unsqueeze(-1) ^ (1 << torch.arange(count)), 1 - 2 * states_of(count).double()
    value = torch.zeros(policy.shape[:2], dtype=torch.float64)
    for _ in range(HORIZON):
        value = (wide * (reward + value[:, after])).sum(-1)
    return value.mean(-1)


def collected(count: int, seeds: Sequence[int]) -> Rollout:
    """Episodes of uniformly random actions from uniform states, one an environment: [seeds, episodes, 5, ...]."""
    streams = Streams(seeds, f"bit flip {count}")
    bits = [streams.integers(2, EPISODES, count)]
    actions = streams.integers(count, EPISODES, HORIZON)
    for step in range(HORIZON):
        turned = torch.nn.functional.one_hot(actions[:, :, step], count)
        bits.append(bits[-1] ^ turned)
    shown = torch.stack(bits, 2).float()
    last = torch.arange(HORIZON).expand(actions.shape) == HORIZON - 1
    return Rollout(
        shown[:, :, :-1], actions, (shown[:, :, 1:] - shown[:, :, :-1]).sum(-1), shown[:, :, 1:], torch.zeros_like(last), last,
        torch.arange(HORIZON).expand(actions.shape), torch.zeros(*actions.shape, count),
    )  # fmt: skip


def coverage(memory: Rollout, count: int) -> dict[str, float]:
    """Of the states in a memory, the mean number of different actions, and the part of them with one action alone."""
    number = (memory.observations.long() << torch.arange(count)).sum(-1).flatten(1)
    met = torch.zeros(len(number), 2**count, count).double()
    met[torch.arange(len(number)).unsqueeze(-1), number, memory.actions.flatten(1)] = 1.0
    tried = met.sum(-1)
    return {
        "actions_of_a_state": float(tried[tried > 0].mean()),
        "states_with_one_action": float((tried[tried > 0] == 1).double().mean()),
    }


# -------------------------------------------------------------------------------------------------------- training


def trained(name: str, memory: Rollout, count: int, seeds: Sequence[int], *, rounds: int) -> Tensor:
    """What the algorithm's policy does in every state, [seeds, 2^N, N]."""
    kind, options = ALGORITHMS[name]
    space = Space((count,), torch.float32, count)
    module = agent(kind)
    config = module.Config(**options)
    state = module.init(config, space, seeds)
    with accelerated.check_values(False):
        if kind == "bc":
            streams = Streams(seeds, "minibatches of cloning")
            for _ in range(rounds * STEPS):
                places = drawn(memory, streams, config.batch_size)
                module.update(state, transitions(memory, places, discount=config.discount))
        else:
            for _ in range(rounds):
                module.update(state, memory)
    with torch.no_grad():
        shown = states_of(count).expand(len(seeds), -1, -1)
        found: Tensor = module.policy_shape(config, space).probabilities(state.networks["policy"], shown)
    return found


def measured(policy: Tensor, memory: Rollout, count: int) -> dict[str, Any]:
    """The return over the largest one, and how probable the memory's actions have become."""
    number = (memory.observations.long() << torch.arange(count)).sum(-1).flatten(1)
    seed = torch.arange(len(number)).unsqueeze(-1)
    share = returns_of(policy) / float(largest(count).mean())
    repeated = policy[seed, number, memory.actions.flatten(1)].double().mean(-1)
    return {"return": estimate(share.tolist()), "probability_of_the_memorys_action": estimate(repeated.tolist())}


# ------------------------------------------------------------------------------------------------------------ figure


def draw_both(path: Path, results: Sequence[dict[str, Any]]) -> None:
    """A PNG by the number of bits: at the left returns over the largest, at the right how probable the memory's actions are."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.0, 4.5), dpi=120, layout="constrained")
    left, right = figure.subplots(1, 2)
    for color, name in zip(curves.COLORS, ALGORITHMS, strict=False):
        rows = [row for row in results if row["algorithm"] == name]
        numbers = [row["bits"] for row in rows]
        for axes, part in ((left, "return"), (right, "probability_of_the_memorys_action")):
            mean, low, high = ([row[part][bound] for row in rows] for bound in ("mean", "low", "high"))
            axes.plot(numbers, mean, color=color, marker="o", markersize=4, label=name)
            if None not in low:
                axes.fill_between(numbers, low, high, color=color, alpha=0.15, linewidth=0)
    left.axhline(0.0, color="#666666", linewidth=1)
    band = f"mean and {curves.LEVEL:.0%} interval over seeds"
    left.set(xlabel="bits", ylabel="return / largest return", title=f"return of {HORIZON} steps, {band}")
    right.set(xlabel="bits", ylabel="probability", title="the policy's probability of the memory's action", ylim=(0, 1))
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend()
    figure.suptitle(f"BitFlip: what is learned from the same {EPISODES} random episodes")
    content = io.BytesIO()
    figure.savefig(content, format="png", metadata={"Software": None})
    write_atomically(path, content.getvalue())


if __name__ == "__main__":
    main()
