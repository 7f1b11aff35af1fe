"""Files of transitions, .npz and .hdf5 in D4RL's layout and Minari's data sets, as NumPy arrays with one row a transition."""

import hashlib
import importlib
import re
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

KEYS = (
    "observations",
    "actions",
    "rewards",
    "next_observations",
    "terminals",
    "timeouts",
    "boundary_next_obs",
    "planner_done",
    "task_rewards",
)
"""What is read of a file; whatever else it holds stays there."""

ENDINGS = (".npz", ".hdf5", ".h5")
MINARI_ID = re.compile(r"([\w.-]+/)*[\w.-]+-v\d+")
COLUMNS = ("observations", "actions", "rewards", "next_observations", "terminations", "ends")
SAME_STATE = 1e-6
"""Two observations further apart than this are no one state (the author's rule for where a trajectory ends)."""


class Rows(NamedTuple):
    """Transitions in the order they happened; row i + 1 follows row i unless row i ends a trajectory.

    ends           [N] whether the trajectory ends here: terminated, timed out, or cut where the data was cut
    environment    its name, reference_scores (min, max), bounds (low, high) of actions, how many discrete_actions and states
                   there are: where the data itself says so
    """

    source: str
    observations: Array
    actions: Array
    rewards: Array
    next_observations: Array
    terminations: Array
    ends: Array
    environment: str | None = None
    reference_scores: tuple[float, float] | None = None
    bounds: tuple[Array, Array] | None = None
    discrete_actions: int = 0
    states: int = 0


def read(name: str, *, task: int | None, download: bool) -> Rows:
    """Rows of a file, by its ending, or of a Minari data set, by its id."""
    if name.endswith(ENDINGS):
        path = Path(name).expanduser()
        if not path.is_file():
            raise FileNotFoundError(f"the data set must be a file that exists; there is no {name}")
        arrays = (_npz if name.endswith(".npz") else _hdf5)(path)
        return rows_of(arrays, f"{name} sha256:{_digest(path)}", task=task)
    if MINARI_ID.fullmatch(name):
        return _minari(name, download=download)
    raise ValueError(f"a data set must be a .npz or .hdf5 file or a Minari id such as mujoco/hopper/expert-v0; got {name!r}")


def rows_of(arrays: dict[str, Array], source: str, *, task: int | None = None) -> Rows:
    """Transitions of arrays in D4RL's layout.

    Row i's next observation is next_observations[i] where given; else row i + 1, and at the k-th end boundary_next_obs[k].
    A row that ends without termination and whose next observation is nowhere is left out: its target is not known.
    Files with task_rewards are OGBench's: the last row of a trajectory is only a next observation, and reward 0 is success.
    """
    needed = ["observations", "actions", *([] if "task_rewards" in arrays else ["rewards"])]
    needed += [] if "planner_done" in arrays else ["terminals"]
    if missing := [key for key in needed if key not in arrays]:
        raise ValueError(f"a data set must have {', '.join(needed)}; {', '.join(missing)} is missing in {source}")
    if "task_rewards" in arrays:
        arrays = _of_task(arrays, 1 if task is None else task, source)
    elif task is not None:
        raise ValueError(f"#task= is for files with task_rewards; there are none in {source}")
    _check(arrays, source)
    if not len(arrays["observations"]):
        raise ValueError(f"a data set must have transitions; {source} is empty")
    return _linked(arrays, source)


def _of_task(arrays: dict[str, Array], task: int, source: str) -> dict[str, Array]:
    """One task's rewards; success (reward 0) terminates, masks = 1 - success, and nothing else does (OGBench's singletask)."""
    tasks = len(arrays["task_rewards"])
    if not 1 <= task <= tasks:
        raise ValueError(f"task must be one of 1 to {tasks}; got {task} for {source}")
    rewards = arrays["task_rewards"][task - 1]
    found = {key: arrays[key] for key in ("observations", "actions") if key in arrays}
    return found | {"rewards": rewards, "terminals": rewards == 0, "timeouts": arrays["terminals"] != 0, "task_rewards": rewards}


def _check(arrays: dict[str, Array], source: str) -> None:
    """Numbers only, of one length, all finite."""
    if scalars := [key for key, array in arrays.items() if not array.ndim]:
        raise ValueError(f"{scalars[0]} must have a row for each transition; it is one number in {source}")
    count = len(arrays["observations"])
    for key, array in arrays.items():
        if array.dtype.kind not in "biuf":
            raise ValueError(f"{key} must hold numbers; got {array.dtype} in {source}")
        if key != "boundary_next_obs" and len(array) != count:
            raise ValueError(f"{key} has {len(array)} rows, observations has {count}; they must be equal in {source}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            row = int(np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(1))[0])
            raise ValueError(f"{key} must be finite; row {row} holds NaN or infinity in {source}")
    for key in ("rewards", "terminals", "timeouts"):
        if key in arrays and arrays[key].shape != (count,):
            raise ValueError(f"{key} must be [{count}], one number a row; got {list(arrays[key].shape)} in {source}")
    for key in ("next_observations", "boundary_next_obs"):
        if key in arrays and arrays[key].shape[1:] != arrays["observations"].shape[1:]:
            shape, due = list(arrays[key].shape[1:]), list(arrays["observations"].shape[1:])
            raise ValueError(f"a row of {key} must be {due} as an observation is; got {shape} in {source}")


def _linked(arrays: dict[str, Array], source: str) -> Rows:
    """Next observations and ends, from flags and from the data."""
    observations = arrays["observations"]
    terminations, ends = _flags(arrays)
    following = np.concatenate([observations[1:], observations[-1:]])
    if "next_observations" in arrays:
        following, known = arrays["next_observations"], np.ones(len(ends), bool)
        ends[:-1] |= _apart(observations[1:], following[:-1])
    elif "boundary_next_obs" in arrays:
        known = _with_boundaries(following, ends, arrays["boundary_next_obs"], source)
    else:
        known = ~ends
        known[-1] = False
        if "task_rewards" not in arrays:
            following[terminations] = observations[terminations]  # never used: the bootstrap is cut
            known |= terminations
    if not known.any():
        raise ValueError(f"a data set must have transitions; no row of {source} has a next observation")
    ends[:-1] |= ~known[1:]
    ends[np.flatnonzero(known)[-1]] = True
    rows = Rows(source, observations, arrays["actions"], arrays["rewards"], following, terminations, ends)
    return rows if known.all() else rows._replace(**{name: getattr(rows, name)[known] for name in COLUMNS})


def _flags(arrays: dict[str, Array]) -> tuple[Array, Array]:
    """Which rows terminate, and which end a trajectory by their flags; in OGBench's files only the last rows do the latter."""
    count = len(arrays["observations"])
    terminations = arrays["terminals"] != 0 if "terminals" in arrays else np.zeros(count, bool)
    timeouts = arrays["timeouts"] != 0 if "timeouts" in arrays else np.zeros(count, bool)
    return terminations, timeouts.copy() if "task_rewards" in arrays else terminations | timeouts


def _apart(one: Array, other: Array) -> Array:
    """Whether two states differ by more than SAME_STATE, row by row; images and state numbers, whether they differ at all."""
    if one.dtype.kind in "biu":
        return np.asarray((one != other).reshape(len(one), -1).any(1))
    apart: Array = np.linalg.norm((one.astype(np.float64) - other).reshape(len(one), -1), axis=1) > SAME_STATE
    return apart


def _with_boundaries(following: Array, ends: Array, boundaries: Array, source: str) -> Array:
    """Which rows' next observations are known, after those at the ends were put in place."""
    places = np.flatnonzero(ends)
    if len(places) != len(boundaries):
        raise ValueError(f"boundary_next_obs must have a row for each of {len(places)} ends; got {len(boundaries)} in {source}")
    following[places] = boundaries
    known = np.ones(len(ends), bool)
    known[-1] = ends[-1]
    return known


def _npz(path: Path) -> dict[str, Array]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {key: archive[key] for key in KEYS if key in archive.files}
    except (ValueError, OSError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise ValueError(f"a .npz must be a NumPy archive without pickled objects; {path}: {error}") from None


def _hdf5(path: Path) -> dict[str, Array]:
    h5py = _module("h5py", f"reading {path}")
    try:
        with h5py.File(path, "r") as file:
            return {key: np.asarray(file[key]) for key in KEYS if key in file}
    except (OSError, TypeError) as error:
        raise ValueError(f"a .hdf5 must be an HDF5 file of arrays; {path}: {error}") from None


def _minari(name: str, *, download: bool) -> Rows:
    """Every episode in turn; observations of a Dict space are joined in the space's order, as FlattenObservation joins them."""
    minari = _module("minari", f"reading {name}")
    try:
        data = minari.load_dataset(name, download=download)
    except FileNotFoundError:
        root = minari.storage.get_dataset_path()
        raise FileNotFoundError(f"there is no Minari data set {name} in {root}; downloading must be asked for") from None
    parts: list[tuple[Array, ...]] = []
    for episode in data.iterate_episodes():
        observations = _joined(episode.observations, data.observation_space)
        terminations = np.asarray(episode.terminations, bool)
        ends = terminations | np.asarray(episode.truncations, bool)
        ends[-1:] = True
        rows = (observations[:-1], np.asarray(episode.actions), np.asarray(episode.rewards), observations[1:], terminations, ends)
        parts.append(rows)
    if not sum(len(part[0]) for part in parts):
        raise ValueError(f"a data set must have transitions; {name} is empty")
    joined = [np.concatenate(column) for column in zip(*parts, strict=True)]
    keys = ("observations", "actions", "rewards", "next_observations", "terminals", "timeouts")
    source = f"minari:{name} sha256:{_digest_of(*joined)}"
    _check(dict(zip(keys, joined, strict=True)), source)
    first = Rows(source, joined[0], joined[1], joined[2], joined[3], joined[4], joined[5])
    return first._replace(**_minari_says(data))


def _minari_says(data: Any) -> dict[str, Any]:
    """What the metadata knows of the environment, the scores and the actions."""
    spec, metadata, space = data.env_spec, data.storage.metadata, data.action_space
    low, high = metadata.get("ref_min_score"), metadata.get("ref_max_score")
    bounds = (np.ravel(space.low), np.ravel(space.high)) if hasattr(space, "low") else None
    return {
        "environment": spec.id if spec is not None else None,
        "reference_scores": (float(low), float(high)) if low is not None and high is not None else None,
        "bounds": bounds if bounds is not None and np.isfinite(bounds).all() else None,
        "discrete_actions": int(getattr(space, "n", 0)),
        "states": int(getattr(data.observation_space, "n", 0)),
    }


def _joined(observations: Any, space: Any) -> Array:
    """One array; the parts of a Dict space flattened and side by side, in the space's order."""
    if not isinstance(observations, dict):
        return np.asarray(observations)
    parts = [_joined(observations[key], space[key]) for key in space]
    return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)


def _module(name: str, purpose: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        raise ValueError(f"{purpose} needs the package {name}; pip install 'minari[hdf5]' brings it") from None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest_of(*arrays: Array) -> str:
    handle = hashlib.sha256()
    for array in arrays:
        handle.update(np.ascontiguousarray(array).tobytes())
    return handle.hexdigest()
