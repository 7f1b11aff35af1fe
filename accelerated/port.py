"""NumPy in, torch, NumPy out: the operators of this package as verify.py calls them. Copy it to port your own."""

import inspect
import warnings
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

import accelerated

DTYPES = ("float64", "float32", "bfloat16")
DIFFERENTIABLE = ("expectile_loss", "log_mean_exp", "weighted_policy_loss")

Operator = Callable[..., Any]


def on(*, dtype: str, device: str) -> SimpleNamespace:
    """The operators in that dtype on that device; `gradient(operator, argument, ...)` is what autograd says of them."""
    if dtype not in DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(map(repr, DTYPES))}; got {dtype!r}")
    return _operators(getattr(torch, dtype), device)


def __getattr__(name: str) -> Any:
    """Without `on`: the dtype of the arrays given, on the cpu."""
    try:
        return getattr(_operators(None, "cpu"), name)
    except AttributeError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None


def _operators(dtype: torch.dtype | None, device: str) -> SimpleNamespace:
    operators = {
        name: getattr(accelerated, name)
        for name in accelerated.__all__
        if inspect.isfunction(getattr(accelerated, name)) and name != "check_values"
    }
    to = partial(_tensor, dtype=dtype, device=device)
    gradient = partial(_gradient, operators, to)
    port = {name: partial(_call, operator, to) for name, operator in operators.items()}
    port |= {f"{name}_gradient": partial(gradient, name, 0) for name in DIFFERENTIABLE}
    return SimpleNamespace(**port, gradient=gradient)


def _call(operator: Operator, to: Operator, *args: Any, **kwargs: Any) -> Any:
    result = operator(*_tensors(to, args), **{name: to(value) for name, value in kwargs.items()})
    return tuple(map(_array, result)) if isinstance(result, tuple) else _array(result)


def _gradient(operators: dict[str, Operator], to: Operator, operator: str, argument: int, *args: Any, **kwargs: Any) -> Any:
    """Of the sum of all that the operator returns, with respect to one positional argument; 0 where none flows."""
    tensors = _tensors(to, args)
    leaf = tensors[argument]
    if isinstance(leaf, Tensor) and leaf.is_floating_point():
        tensors[argument] = leaf = leaf.detach().requires_grad_()
    with torch.enable_grad():
        result = operators[operator](*tensors, **{name: to(value) for name, value in kwargs.items()})
        outputs = result if isinstance(result, tuple) else (result,)
        flowing = [output.sum() for output in outputs if isinstance(output, Tensor) and output.requires_grad]
    if not flowing:
        return _array(torch.zeros_like(leaf))
    return _array(*torch.autograd.grad(flowing, leaf, allow_unused=True, materialize_grads=True))


def _tensors(to: Operator, args: tuple[Any, ...]) -> list[Any]:
    """Data: a NumPy scalar among them is an array without axes. Keywords are hyper-parameters: there it is a number."""
    return [to(np.asarray(value) if isinstance(value, np.generic) else value) for value in args]


def _tensor(value: Any, dtype: torch.dtype | None, device: str) -> Any:
    """Without a copy where torch allows it, so that an operator that wrote to its arguments would be seen."""
    if getattr(value, "format", None) == "csr":
        parts = (value.indptr.astype(np.int64), value.indices.astype(np.int64), value.data)
        with warnings.catch_warnings(action="ignore"):  # "in beta state"
            rows, columns, entries = (_tensor(part, dtype, device) for part in parts)
            return torch.sparse_csr_tensor(rows, columns, entries, size=value.shape)
    if not isinstance(value, np.ndarray):
        return value
    if any(stride < 0 or stride % value.itemsize for stride in value.strides):
        value = value.copy()  # torch has no such strides
    try:
        with warnings.catch_warnings(action="ignore"):  # "not writable": no operator writes
            tensor = torch.from_numpy(value)
    except TypeError:
        return value  # torch has no such dtype; the operator says so with the argument's name
    return tensor.to(device=device, dtype=dtype if tensor.is_floating_point() else None)


def _array(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    narrow = value.dtype in (torch.bfloat16, torch.float16)  # bfloat16 is no NumPy dtype; float32 holds it exactly
    return (value.detach().float() if narrow else value.detach()).cpu().numpy()
