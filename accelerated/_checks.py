"""Validation at the doors of the twins: every message gives the rule, then the value found, then where."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor

FLOATING = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
INTEGER = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)

_reads_values: ContextVar[bool] = ContextVar("accelerated.check_values", default=True)


@contextmanager
def check_values(enabled: bool) -> Iterator[None]:
    """Inside the block, checks that read array values (NaN, sign, sum, range) run or not; the others always run."""
    token = _reads_values.set(enabled)
    try:
        yield
    finally:
        _reads_values.reset(token)


# ---------------------------------------------------------------------------------------------------- values


def values_are_checked() -> bool:
    """Ask before building a mask for `each`: on a GPU every such mask ends in a host synchronisation."""
    return _reads_values.get()


def each(name: str, values: Tensor, good: Tensor, rule: str) -> None:
    """Raise at the first entry where `good` is false; `good` has the shape of `values`, of their stored entries where sparse."""
    if bool(good.all()):
        return
    index = (~good).nonzero()[0].tolist()
    found = stored(values)[tuple(index)].item()
    if values.layout == torch.sparse_csr:
        row = torch.searchsorted(values.crow_indices(), index[0], right=True).item() - 1
        index = [row, values.col_indices()[index[0]].item()]
    raise ValueError(f"{name} {rule}; got {found} at {place(name, index)}")


def stored(values: Tensor) -> Tensor:
    """The entries of a CSR matrix that are there; a dense tensor as it is."""
    return values.values() if values.layout == torch.sparse_csr else values


def place(name: str, index: list[int]) -> str:
    return f"{name}{index}" if index else name


def not_negative(name: str, weights: Tensor) -> None:
    if values_are_checked():
        each(name, weights, stored(weights) >= 0, "must not be negative")
        each(name, weights, stored(weights).isfinite(), "must be finite")


def finite(**data: Tensor) -> None:
    if values_are_checked():
        for name, tensor in data.items():
            each(name, tensor, tensor.isfinite(), "must be finite")


def weights(name: str, weights: Tensor) -> None:
    """Finite, not negative, and something to weigh in every row; the sum need not be 1."""
    not_negative(name, weights)
    if values_are_checked():
        each(name, weights.sum(-1), (weights > 0).any(-1), "must have a positive sum along the last axis")


def probabilities(name: str, rows: Tensor) -> None:
    """A rounded distribution of n entries sums to 1 within (n + 1) unit roundoffs of the dtype it came in."""
    not_negative(name, rows)
    if values_are_checked():
        sum_to_one(name, widened(rows).sum(-1), rows)


def sum_to_one(name: str, sums: Tensor, rows: Tensor) -> None:
    """Of the rows as they came in, before they were widened."""
    slack = (rows.shape[-1] + 1) * torch.finfo(rows.dtype).eps / 2
    each(name, sums, (sums - 1).abs() <= slack, "must sum to 1 along the last axis")


# ----------------------------------------------------------------------------------------- dtype and device


def reals(**data: Tensor) -> None:
    """Floating-point tensors without NaN, all of one dtype on one device."""
    for name, tensor in data.items():
        _typed(name, tensor, FLOATING, "real floating-point numbers")
    (first, like), *others = data.items()
    for name, tensor in others:
        if tensor.dtype != like.dtype:
            raise ValueError(f"{name} is {words(tensor)}, {first} is {words(like)}; they must be of one dtype")
    one_device(**data)
    if values_are_checked():
        for name, tensor in data.items():
            each(name, tensor, ~stored(tensor).isnan(), "must not be NaN")


def flags(**flags: Tensor) -> None:
    for name, tensor in flags.items():
        _typed(name, tensor, (torch.bool,), "booleans")


def indices(name: str, tensor: Tensor, size: int) -> Tensor:
    """Integers in [0, size), as int64, which is what gather takes."""
    _typed(name, tensor, INTEGER, "integers")
    if values_are_checked():
        each(name, tensor, (tensor >= 0) & (tensor < size), f"must lie in [0, {size})")
    return tensor.long()


def one_device(**tensors: Tensor) -> None:
    (first, like), *others = tensors.items()
    for name, tensor in others:
        if tensor.device != like.device:
            raise ValueError(f"{name} is on {tensor.device}, {first} is on {like.device}; they must be on one device")


def words(array: Any) -> str:
    return str(array.dtype).removeprefix("torch.")


def _typed(name: str, value: object, dtypes: tuple[torch.dtype, ...], rule: str) -> None:
    """NumPy's arrays and plain lists are refused like tensors of another dtype."""
    dtype = getattr(value, "dtype", "no dtype")
    if dtype not in dtypes:
        raise ValueError(f"{name} must be a torch.Tensor of {rule}; got {type(value).__name__} of {dtype}")


def single_or_double(**data: Tensor) -> None:
    """What a caller's function is given and gives back; the half types would lose its digits unseen."""
    reals(**data)
    for name, tensor in data.items():
        _typed(name, tensor, (torch.float32, torch.float64), "float32 or float64")


def widened(tensor: Tensor) -> Tensor:
    """bfloat16 and float16 are computed in float32; the caller rounds once, at the end, with `.to(dtype)`."""
    return tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor


# ----------------------------------------------------------------------------------------------------- shape


def aligned(**tensors: Tensor) -> None:
    """Equal shapes on one device: nothing is ever broadcast."""
    (first, like), *others = tensors.items()
    for name, tensor in others:
        if tensor.shape != like.shape:
            raise ValueError(f"{shown(name, tensor)}, {shown(first, like)}; they must be equal")
    one_device(**tensors)


def aligned_rows(first: str, like: Tensor, **rows: Tensor) -> None:
    """Each of `rows` is [..., n] with n >= 1 where `like` is [...]."""
    for name, tensor in rows.items():
        not_empty(name, tensor)
        if tensor.shape[:-1] != like.shape:
            raise ValueError(f"{shown(name, tensor)}, {shown(first, like)}; {name} must be the shape of {first} and one more axis")


def dimensions(data: dict[str, Tensor], *axes: str) -> None:
    """Tensor by tensor its axes, as in "BDP": none is empty, and a letter stands for one size in all of them."""
    sizes: dict[str, tuple[str, int]] = {}
    for (name, tensor), letters in zip(data.items(), axes, strict=True):
        rule = f"{name} must be [{', '.join(letters)}]"
        if tensor.ndim != len(letters):
            raise ValueError(f"{rule}; got shape {tuple(tensor.shape)}")
        if 0 in tensor.shape:
            raise ValueError(f"{name} must have at least one entry on each axis; got shape {tuple(tensor.shape)}")
        for letter, size in zip(letters, tensor.shape, strict=True):
            first, due = sizes.setdefault(letter, (name, size))
            if size != due:
                raise ValueError(f"{shown(name, tensor)}, {shown(first, data[first])}; {rule}")


def not_empty(name: str, tensor: Tensor) -> None:
    if tensor.ndim == 0 or tensor.shape[-1] == 0:
        raise ValueError(f"{name} must have at least one entry on its last axis; got shape {tuple(tensor.shape)}")


def shown(name: str, tensor: Tensor) -> str:
    return f"{name} has shape {tuple(tensor.shape)}"


# --------------------------------------------------------------------------------- functions and generators


def function(name: str, value: object) -> None:
    if not callable(value):
        raise ValueError(f"{name} must be callable; got {type(value).__name__}")


def answer(name: str, value: Any, like: Tensor, first: str) -> Tensor:
    """What the caller's function `name` returned, detached: of the shape, dtype and device of `like`, which is `first`."""
    if not isinstance(value, Tensor):
        raise ValueError(f"{name} must return a torch.Tensor; got {type(value).__name__}")
    if value.shape != like.shape:
        raise ValueError(f"{name} returned shape {tuple(value.shape)}, {shown(first, like)}; they must be equal")
    if value.dtype != like.dtype or value.device != like.device:
        found, due = (f"{words(tensor)} on {tensor.device}" for tensor in (value, like))
        raise ValueError(f"{name} returned {found}, {first} is {due}; they must be equal")
    if values_are_checked():
        each(name, value, ~value.isnan(), "must not return NaN")
    return value.detach()


def generator(value: object, first: str = "", like: Tensor | None = None) -> torch.Generator:
    """The caller's, which draws on the device of the data."""
    if not isinstance(value, torch.Generator):
        raise ValueError(f"generator must be a torch.Generator; got {type(value).__name__}")
    if like is not None and value.device.type != like.device.type:
        raise ValueError(f"generator is on {value.device}, {first} is on {like.device}; they must be on one device")
    return value


# --------------------------------------------------------------------------------------------------- scalars


def scalar(name: str, value: object, interval: str) -> float:
    """A real number in `interval`, written as in the message: "[0, 1)"; NaN lies in none."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ValueError(f"{name} must be a real number; got {_printed(value)}")
    number = _float(name, value)
    low, high = (float(end) for end in interval[1:-1].split(","))
    after_low = number >= low if interval[0] == "[" else number > low
    before_high = number <= high if interval[-1] == "]" else number < high
    if not (after_low and before_high):
        raise ValueError(f"{name} must lie in {interval}; got {number}")
    return number


def _float(name: str, value: Real) -> float:
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} must fit in a float; got a whole number of {len(str(value))} digits") from None


def integer(name: str, value: object, *, minimum: int) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < minimum:
        raise ValueError(f"{name} must be an integer >= {minimum}; got {_printed(value)}")
    return int(value)


def choice(name: str, value: object, choices: tuple[str | None, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}; got {_printed(value)}")


def discount(value: float | Tensor, like: Tensor, name: str = "discount", first: str = "reward") -> float | Tensor:
    """A scalar in [0, 1], or one such number per step: then in exactly the shape of `like`, and not widened."""
    if not isinstance(value, Tensor):
        return scalar(name, value, "[0, 1]")
    reals(**{first: like, name: value})
    aligned(**{first: like, name: value})
    if values_are_checked():
        each(name, value, (value >= 0) & (value <= 1), "must lie in [0, 1]")
    return value


def _printed(value: object) -> str:
    """Short enough for one line: a number or a word as it is, anything else by its type."""
    return repr(value) if isinstance(value, str | Real | None) else type(value).__name__
