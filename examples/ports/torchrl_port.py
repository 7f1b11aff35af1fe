"""torchrl's value functionals as a port, in their loop forms; `torchrl_vec_port.py` offers the vectorised ones. Time comes before a
trailing feature axis; `done` cuts the trace, `terminated` the bootstrap. NumPy reads torch's tensors as its own."""

from functools import partial

import numpy as np
import torch
from torchrl.objectives import IQLLoss
from torchrl.objectives.value import functional

DTYPES = ("float64", "float32")
CONVENTIONS = {"bad_input": "unchecked"}


def _tensor(array):
    return array if isinstance(array, torch.Tensor) else torch.tensor(np.array(array, order="C"))  # torch has no negative strides


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


def gradient(operator, argument, *arguments, **keywords):
    """What autograd says is the derivative of the sum of the result with respect to one argument."""
    leaf = _tensor(arguments[argument]).requires_grad_()
    result = globals()[operator](*arguments[:argument], leaf, *arguments[argument + 1 :], **keywords)
    return torch.autograd.grad(result.sum(), leaf, allow_unused=True, materialize_grads=True)[0]


expectile_loss_gradient = partial(gradient, "expectile_loss", 0)
