"""What counts as bad input, and what is said about it: the rule, the value found, and where."""

import math
from collections.abc import Sequence
from numbers import Integral, Real

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]


def as_array(name: str, value: ArrayLike) -> NDArray[np.generic]:
    """Return the argument as an array of whatever dtype it has; a ragged sequence is refused."""
    try:
        return np.asarray(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{name} must be an array; got {type(value).__name__} ({error})") from error


def real_array(name: str, value: ArrayLike) -> FloatArray:
    """Return the argument in float64: floats or integers of any width, ±inf allowed, NaN not."""
    array = as_array(name, value)
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{name} must be real numbers; got {array.dtype}")
    real = array.astype(np.float64)
    refuse_where(np.isnan(real), real, name, "must not be NaN")
    return real


def like_reward(name: str, value: ArrayLike, reward: FloatArray) -> FloatArray:
    """Return the argument in float64 if it is real, not NaN, and of exactly reward's shape."""
    array = real_array(name, value)
    same_shape(name, array, "reward", reward.shape)
    return array


def rows_like_reward(name: str, value: ArrayLike, reward: FloatArray) -> FloatArray:
    """Return the argument in float64 if it is real, not NaN, and has a non-empty row for each reward."""
    array = real_array(name, value)
    last_axis(name, array)
    if array.shape[:-1] != reward.shape:
        raise ValueError(f"{name} has shape {array.shape}, reward has shape {reward.shape}; {name} must be [..., n]")
    return array


def flags(name: str, value: ArrayLike) -> BoolArray:
    """Return the argument if it is a boolean array: 0 and 1 are not flags."""
    array = as_array(name, value)
    if array.dtype != np.bool_:
        raise ValueError(f"{name} must be boolean; got {array.dtype}")
    return array.astype(np.bool_)


def indices(name: str, value: ArrayLike, size: int) -> IntArray:
    """Return the argument if it is an integer array with every entry in 0, …, size − 1."""
    array = as_array(name, value)
    if array.dtype.kind not in "iu":
        raise ValueError(f"{name} must be integers; got {array.dtype}")
    refuse_where((array < 0) | (array >= size), array, name, f"must lie in [0, {size})")  # type: ignore[operator]
    return array.astype(np.int64)


def refuse_where(bad: BoolArray, array: NDArray[np.generic], name: str, rule: str) -> None:
    """Raise for the first entry (in C order) at which `bad` holds, naming its index."""
    if np.any(bad):
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(f"{name} {rule}; got {array[where].item()} at {name}{list(where) if where else ''}")


def same_shape(name: str, array: NDArray[np.generic], other: str, shape: tuple[int, ...]) -> None:
    """Raise unless the array has exactly the shape of the other argument: nothing is broadcast."""
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}, {other} has shape {shape}; they must be equal")


def last_axis(name: str, array: NDArray[np.generic]) -> None:
    """Raise unless there is a last axis with at least one entry."""
    if array.ndim == 0 or array.shape[-1] == 0:
        raise ValueError(f"{name} must have at least one entry on its last axis; got shape {array.shape}")


def non_negative(name: str, value: ArrayLike) -> FloatArray:
    """Return the argument in float64 if every entry is finite and at least 0."""
    array = real_array(name, value)
    refuse_where(array < 0, array, name, "must not be negative")
    refuse_where(np.isinf(array), array, name, "must be finite")
    return array


def probability_rows(name: str, value: ArrayLike) -> FloatArray:
    """Return the argument in float64 if every row along its last axis is a probability distribution."""
    array = non_negative(name, value)
    last_axis(name, array)
    sums = [math.fsum(row) for row in array.reshape(-1, array.shape[-1]).tolist()]
    sums_to_one(name, np.array(sums).reshape(array.shape[:-1]), array.shape[-1], unit_roundoff(value))
    return array


def sums_to_one(name: str, sums: FloatArray, length: int | IntArray, roundoff: float) -> None:
    """Raise unless each row sum is 1 within (length + 1) · roundoff: what normalising a row may leave."""
    far = np.abs(sums - 1.0) > (np.asarray(length) + 1) * roundoff
    refuse_where(far, sums, name, "must sum to 1 along the last axis")


def unit_roundoff(value: ArrayLike) -> float:
    """Return the unit roundoff of the argument's own dtype, float64's for integers and lists."""
    dtype = as_array("value", value).dtype
    return {2: 2.0**-11, 4: 2.0**-24}.get(dtype.itemsize, 2.0**-53) if dtype.kind == "f" else 2.0**-53


def scalar(name: str, value: object, interval: str) -> float:
    """Return a real scalar inside an interval written as in mathematics: "(0, 1)", "[0, inf]", "(0, inf)"."""
    if not isinstance(value, Real) or isinstance(value, bool):
        raise ValueError(f"{name} must be a real number; got {value!r}")
    try:
        number = float(value)
    except OverflowError as error:
        raise ValueError(f"{name} must lie in {interval} and in float64's range; got {value}") from error
    low, high = (float(end) for end in interval[1:-1].split(","))
    closed_end = (number == low and interval[0] == "[") or (number == high and interval[-1] == "]")
    if not (low < number < high or closed_end):
        raise ValueError(f"{name} must lie in {interval}; got {value}")
    return number


def integer(name: str, value: object, minimum: int) -> int:
    """Return an integer scalar that is at least `minimum`; booleans and floats are refused."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < minimum:
        raise ValueError(f"{name} must be an integer >= {minimum}; got {value!r}")
    return int(value)


def choice(name: str, value: object, allowed: Sequence[str]) -> str:
    """Return the argument if it is one of the allowed words."""
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}; got {value!r}")
    return value


def step_discount(value: ArrayLike, shape: tuple[int, ...]) -> FloatArray:
    """Return the discount as an array of reward's shape, from a scalar in [0, 1] or one number per step."""
    if not isinstance(value, (np.ndarray, Sequence)) or isinstance(value, str):
        return np.full(shape, scalar("discount", value, "[0, 1]"))
    array = real_array("discount", value)
    same_shape("discount", array, "reward", shape)
    refuse_where((array < 0) | (array > 1), array, "discount", "must lie in [0, 1]")
    return array


def last_axis_dropped(name: str, array: NDArray[np.generic], other: str, shape: tuple[int, ...]) -> None:
    """Raise unless the array has the shape of the other argument without that one's last axis."""
    if array.shape != shape[:-1]:
        raise ValueError(f"{other} has shape {shape}, {name} has shape {array.shape}; {other} must be that with one more axis")


def random_generator(generator: object) -> np.random.Generator:
    """Return the argument if it is a NumPy generator: neither a seed nor the legacy state is one."""
    if not isinstance(generator, np.random.Generator):
        raise ValueError(f"generator must be a numpy.random.Generator; got {type(generator).__name__}")
    return generator


def finite_array(name: str, value: ArrayLike) -> FloatArray:
    """Return the argument in float64 if every entry is a finite real number."""
    array = real_array(name, value)
    refuse_where(np.isinf(array), array, name, "must be finite")
    return array


def sized_array(name: str, value: ArrayLike, axes: str, sizes: dict[str, int]) -> FloatArray:
    """Return the argument in float64 if its axes are those named ("B D P"), none empty; `sizes` is what is known of them.

    Axes met for the first time are entered into `sizes`, so that later arguments are held to them.
    """
    array = real_array(name, value)
    letters = axes.split()
    known = {letter: sizes[letter] for letter in letters if letter in sizes}
    found = dict(zip(letters, array.shape, strict=False))
    if array.ndim != len(letters) or 0 in array.shape or any(found[letter] != size for letter, size in known.items()):
        due = ", ".join(f"{letter} = {size}" for letter, size in known.items()) or "no axis empty"
        raise ValueError(f"{name} has shape {array.shape}; {name} must be [{', '.join(letters)}] with {due}")
    sizes.update(found)
    return array


def action_box(low: ArrayLike, high: ArrayLike, shape: tuple[int, ...]) -> tuple[FloatArray, FloatArray]:
    """Return both ends of a bounded action box for each dimension, from one number or from one for each."""
    ends = []
    for name, value in (("low", low), ("high", high)):
        ends.append(np.full(shape, scalar(name, value, "(-inf, inf)")) if np.ndim(value) == 0 else finite_array(name, value))
        same_shape(name, ends[-1], "one action", shape)
    refuse_where(ends[0] >= ends[1], ends[0], "low", "must be less than high")
    return ends[0], ends[1]


def function(name: str, value: object) -> None:
    """Raise unless the argument can be called."""
    if not callable(value):
        raise ValueError(f"{name} must be callable; got {type(value).__name__}")


def returned_array(name: str, value: ArrayLike, other: str, shape: tuple[int, ...]) -> FloatArray:
    """Return in float64 what the function of this name answered, if it has the shape due and no NaN."""
    array = real_array(name, value)
    if array.shape != shape:
        raise ValueError(f"{name} returned shape {array.shape}, {other} has shape {shape}; they must be equal")
    return array
