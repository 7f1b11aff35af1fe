"""Second derivatives of what trust regions and natural gradients differentiate twice, also where two means are equal."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import accelerated
from accelerated import gaussian_kl, gaussian_log_prob, tanh_gaussian_log_prob

HERE = torch.tensor([[0.3, -1.0]], dtype=torch.float64)
SPREAD = torch.tensor([[1.0, -0.5]], dtype=torch.float64)
FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "log_prob": lambda mean, log_std: gaussian_log_prob(HERE, mean, log_std),
    "kl": lambda mean, log_std: gaussian_kl(HERE, SPREAD, mean, log_std),
    "reversed kl": lambda mean, log_std: gaussian_kl(mean, log_std, HERE, SPREAD),
    "tanh": lambda mean, log_std: tanh_gaussian_log_prob(HERE, mean, log_std, low=-1.0, high=1.0),
}


@pytest.mark.parametrize("apart", [0.0, 0.25])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_second_derivatives_are_the_first_ones_slopes(name: str, apart: float) -> None:
    with accelerated.check_values(False):
        assert torch.autograd.gradgradcheck(
            FUNCTIONS[name], (HERE.clone().add(apart).requires_grad_(), SPREAD.clone().requires_grad_())
        )


def test_the_curvature_of_kl_is_fishers_information() -> None:
    """1 / std² in the mean and 2 in log std, at the very place where both policies are one."""
    there = (HERE[0].clone(), SPREAD[0].clone())
    bend = torch.autograd.functional.hessian(lambda mean, log_std: gaussian_kl(*there, mean, log_std), there)
    torch.testing.assert_close(bend[0][0], torch.diag((-2 * SPREAD[0]).exp()))
    torch.testing.assert_close(bend[1][1], 2 * torch.eye(2, dtype=torch.float64))


@pytest.mark.parametrize("log_std", [-800.0, 800.0])
def test_no_std_makes_a_nan_on_the_mean(log_std: float) -> None:
    mean, wide = HERE.clone().requires_grad_(), torch.full_like(HERE, log_std, requires_grad=True)
    for slope in torch.autograd.grad(gaussian_log_prob(HERE, mean, wide).sum(), (mean, wide)):
        assert bool(slope.isfinite().all())
