"""torchrl's value functionals as a port, in their loop forms; `torchrl_vec_port.py` offers the vectorised ones. Time comes before a
trailing feature axis; `done` cuts the trace, `terminated` the bootstrap. NumPy reads torch's tensors as its own."""

from functools import partial

import numpy as np
import torch
from torchrl.objectives import IQLLoss
from torchrl.objectives.value import functional

DTYPES = ("float64", "float32")
CONVENTIONS = {"bad_input": "unchecked", "constants": "caller detaches", "infinities": "undefined"}


def _tensor(array):
    return array if isinstance(array, torch.Tensor) else torch.tensor(np.array(array, order="C"))  # torch has no negative strides


def tensors(*values):
    return [value if isinstance(value, float) else _tensor(value) for value in values]


def _column(array):
    return _tensor(array).unsqueeze(-1)


def _over_time(estimate, parameters, reward, terminated, truncated, *values):
    """Parameters first, one number or one for each step; then the values, the rewards and the two flags."""
    parameters = [_column(p) if isinstance(p, np.ndarray) else p for p in parameters]
    steps = map(_column, (*values, reward, terminated | truncated, terminated))
    return estimate(*parameters, *steps)


def value_target(reward, terminated, next_value, *, discount):
    gamma = _column(discount) if isinstance(discount, np.ndarray) else discount
    return functional.td0_return_estimate(gamma, *map(_column, (next_value, reward, terminated))).squeeze(-1)


def discounted_returns(*steps, discount, estimate=functional.td1_return_estimate):
    return _over_time(estimate, [discount], *steps).squeeze(-1)


def lambda_returns(*steps, lambda_, discount, estimate=functional.td_lambda_return_estimate):
    return _over_time(estimate, [discount, lambda_], *steps).squeeze(-1)


def gae(*steps, lambda_, discount, estimate=functional.generalized_advantage_estimate):
    advantage, _value_target = _over_time(estimate, [discount, lambda_], *steps)
    return advantage.squeeze(-1)


def expectile_loss(error, *, expectile):
    return IQLLoss.loss_value_diff(_tensor(error), expectile)


def derivative(operator, argument, *arguments, cotangent=1.0, **keywords):
    """What autograd says is the derivative of the sum of the results, each times `cotangent`, with respect to one argument."""
    given = dict(enumerate(arguments)) | keywords
    leaf = given[argument] = torch.as_tensor(_tensor(given[argument]), dtype=_tensor(arguments[0]).dtype).requires_grad_()
    results = operator(*(given[place] for place in range(len(arguments))), **{name: given[name] for name in keywords})
    total = sum((_tensor(cotangent) * result).sum() for result in (results if isinstance(results, tuple) else (results,)))
    if not total.requires_grad:
        return torch.zeros_like(leaf)
    return torch.autograd.grad(total, leaf, allow_unused=True, materialize_grads=True)[0]


def gradient(operator, *arguments, **keywords):
    return derivative(globals()[operator], *arguments, **keywords)


expectile_loss_gradient = partial(derivative, expectile_loss, 0)
