"""Bugs of target networks: a Polyak step that moves too far, not far enough, or not everything."""

from __future__ import annotations

from typing import Any

import numpy as np

import reference
from properties._bugs._record import Behaves, Bug, Probe, probe


def _part_moves(target: Any, online: Any, *, polyak_step: float) -> Any:
    moved = np.array(reference.polyak_update(target, online, polyak_step=polyak_step))
    moved.reshape(-1)[: moved.size // 2] = np.reshape(target, -1)[: moved.size // 2]
    return moved


ROWS: tuple[tuple[str, str, str, Behaves], ...] = (
    ("step-for-its-complement", "p is the fraction kept, not the fraction moved", "", lambda target, online, *, polyak_step:
     reference.polyak_update(online, target, polyak_step=polyak_step)),
    ("step-ignored", "the default step of 0.005 is taken, whatever the argument", "gdrl-init-copy-uses-default-tau",
     lambda target, online, *, polyak_step: reference.polyak_update(target, online, polyak_step=0.005)),
    ("target-never-moves", "the step is written to a copy, or never taken: the target stays as it began",
     "agilerl-dqn-soft-update-not-applied sac-target-never-synced", lambda target, online, *, polyak_step: np.array(target)),
    ("copied-at-every-step", "the online network is copied, whatever the step", "", lambda target, online, *, polyak_step:
     np.array(online)),
    ("part-of-the-parameters-left-out", "encoder, actor or running statistics keep their initial values: half of them here",
     "sac-target-excludes-cnn-params jorldy-ddpg-target-actor-never-updated polyak-skips-batchnorm-statistics", _part_moves),
    ("zero-times-infinity", "(1 - p) target + p online at p = 0 and 1, too: nan beside an infinite parameter", "",
     lambda target, online, *, polyak_step: (1 - polyak_step) * target + polyak_step * online),
    ("step-one-does-not-arrive", "target + p (online - target) at p = 1, too: rounding keeps it from the online value", "",
     lambda target, online, *, polyak_step: target + polyak_step * (online - target)),
)  # fmt: skip
BUGS = tuple(Bug("polyak_update", *row) for row in ROWS)

TARGET, ONLINE = np.array([[2.0, 3.0], [5.0, 7.0]]), np.array([[11.0, -13.0], [17.0, 19.0]])
PROBES: dict[str, tuple[Probe, ...]] = {
    "polyak_update": (
        probe(TARGET, ONLINE, polyak_step=0.25),
        probe(TARGET, ONLINE, polyak_step=1.0),
        probe(np.array([np.inf, 2.0**60]), np.array([3.0, 5.0]), polyak_step=1.0),
        probe(np.array([3.0, 5.0]), np.array([np.inf, 2.0**60]), polyak_step=0.0),
    ),
}
