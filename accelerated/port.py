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
DIFFERENTIABLE: dict[str, tuple[int, ...]] = {
    "expectile_loss": (0,), "log_mean_exp": (0,), "weighted_policy_loss": (0,), "categorical_loss": (0,), "reinforce_loss": (0,),
    "clipped_surrogate": (0,), "soft_policy_loss": (0, 1, 2),
}  # fmt: skip
"""With respect to which arguments `<name>_gradient` is."""
AGENTS = (
    "value_iteration", "q_value_iteration", "q_learning", "double_q_learning", "sarsa", "expected_sarsa", "fitted_q_iteration",
    "online_q_iteration", "dqn", "rainbow", "bc", "one_step", "iql", "sac", "awr", "qwr", "reinforce", "ppo", "trpo",
)  # fmt: skip
"""What learns in finite worlds, offered as `<name>_agent`; always in float64."""
CONTINUOUS = ("cem", "ddpg", "td3", "qprop", "sac", "awr", "qwr", "reinforce", "ppo", "trpo")
"""What learns in linear-quadratic worlds: `<name>_continuous_agent` of what learns in finite ones, too, else `<name>_agent`."""

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
    port |= {f"{name}_gradient": partial(_gradients, gradient, name, places) for name, places in DIFFERENTIABLE.items()}
    port |= {"dueling_value_gradient": partial(_dueling_jacobian, gradient)}
    port |= {"temperature_loss_gradient": partial(_temperature_derivative, gradient)}
    port |= {"sum_tree": partial(_object, accelerated.sum_tree, partial(_tensor, dtype=None, device=device))}
    port |= {f"{name}_agent": partial(_agent, "Learner", device, name) for name in AGENTS}
    port |= {
        f"{name}{'_continuous' * (name in AGENTS)}_agent": partial(_agent, "ContinuousLearner", device, name) for name in CONTINUOUS
    }
    port |= {"replay": partial(_agent, "Memory", device)}
    return SimpleNamespace(**port, gradient=gradient)


def _agent(kind: str, device: str, *args: Any, **kwargs: Any) -> Any:
    """A learner or its memory; what agents need is imported only when one is asked for.

    raises  NotImplementedError if that is not installed: the port then offers none
    """
    try:
        from accelerated.agents import adapter, continuous_adapter
    except ModuleNotFoundError as missing:
        raise NotImplementedError(f"agents need {missing.name}, which is not installed") from missing
    return getattr(continuous_adapter if kind == "ContinuousLearner" else adapter, kind)(*args, device=device, **kwargs)


def _call(operator: Operator, to: Operator, *args: Any, **kwargs: Any) -> Any:
    result = operator(*_tensors(to, args), **{name: to(value) for name, value in kwargs.items()})
    return _arrays(result)


def _gradient(
    operators: dict[str, Operator],
    to: Operator,
    operator: str,
    argument: int | str,
    *args: Any,
    cotangent: Any = None,
    **kwargs: Any,
) -> Any:
    """Of the sum of all that the operator returns, weighed by `cotangent`, with respect to one argument; 0 where none flows."""
    given: dict[int | str, Any] = dict(enumerate(_tensors(to, args))) | {name: to(value) for name, value in kwargs.items()}
    leaf = given[argument]
    if isinstance(leaf, float) and isinstance(given[0], Tensor):
        leaf = torch.tensor(leaf, dtype=given[0].dtype, device=given[0].device)
    if isinstance(leaf, Tensor) and leaf.is_floating_point():
        given[argument] = leaf = leaf.detach().requires_grad_()
    with torch.enable_grad():
        result = operators[operator](*(given[i] for i in range(len(args))), **{name: given[name] for name in kwargs})
        outputs = result if isinstance(result, tuple) else (result,)
        weights = to(cotangent) if cotangent is not None else 1.0
        flowing = [(output * weights).sum() for output in outputs if isinstance(output, Tensor) and output.requires_grad]
    if not flowing:
        return _array(torch.zeros_like(leaf))
    return _array(*torch.autograd.grad(flowing, leaf, allow_unused=True, materialize_grads=True))


def _gradients(gradient: Operator, name: str, places: tuple[int, ...], *args: Any, **kwargs: Any) -> Any:
    found = tuple(gradient(name, place, *args, **kwargs) for place in places)
    return found if len(found) > 1 else found[0]


def _dueling_jacobian(gradient: Operator, value: Any, advantage: Any, **kwargs: Any) -> Any:
    """Row a: the gradient of the a-th action's value; the batch's rows do not mix."""
    units = np.eye(advantage.shape[-1], dtype=advantage.dtype)
    rows = [gradient("dueling_value", 1, value, advantage, cotangent=np.broadcast_to(e, advantage.shape), **kwargs) for e in units]
    return np.stack(rows, axis=-2)


def _temperature_derivative(gradient: Operator, log_prob: Any, **kwargs: Any) -> Any:
    """Element by element: each output is a function of the one coefficient."""
    if not log_prob.size:
        return np.zeros_like(log_prob)
    units = np.eye(log_prob.size, dtype=log_prob.dtype).reshape(-1, *log_prob.shape)
    found = [gradient("temperature_loss", "log_coefficient", log_prob, cotangent=unit, **kwargs) for unit in units]
    return np.asarray(found, dtype=log_prob.dtype).reshape(log_prob.shape)


class _Object:
    """An object of the package with the arguments and results of its methods turned into NumPy."""

    def __init__(self, inside: Any, to: Operator) -> None:
        self._inside, self._to = inside, to

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inside, name)
        return partial(_call, found, self._to) if callable(found) else _array(found)

    def __len__(self) -> int:
        return len(self._inside)


def _object(make: Operator, to: Operator, *args: Any, **kwargs: Any) -> _Object:
    return _Object(make(*args, **kwargs), to)


def _tensors(to: Operator, args: tuple[Any, ...]) -> list[Any]:
    """Data: a NumPy scalar among them is an array without axes. Keywords are hyper-parameters: there it is a number."""
    return [to(np.asarray(value) if isinstance(value, np.generic) else value) for value in args]


def _tensor(value: Any, dtype: torch.dtype | None, device: str) -> Any:
    """Without a copy where torch allows it, so that an operator that wrote to its arguments would be seen."""
    if isinstance(value, np.random.Generator):
        return torch.Generator(device).manual_seed(int(value.integers(2**63)))
    if callable(value):
        return partial(_function, value, partial(_tensor, dtype=dtype, device=device))
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


def _function(function: Operator, to: Operator, *tensors: Tensor) -> Any:
    """The caller's function on NumPy arrays, seen by the package as one on tensors."""
    result = function(*(_array(tensor) for tensor in tensors))
    return type(result)(map(to, result)) if isinstance(result, tuple | list) else to(result)


def _arrays(result: Any) -> Any:
    return tuple(map(_array, result)) if isinstance(result, tuple) else _array(result)


def _array(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    narrow = value.dtype in (torch.bfloat16, torch.float16)  # bfloat16 is no NumPy dtype; float32 holds it exactly
    return (value.detach().float() if narrow else value.detach()).cpu().numpy()
