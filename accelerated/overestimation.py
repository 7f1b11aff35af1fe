"""How much the maximum of noisy estimates exceeds the maximum of what they estimate, and the estimate in two halves."""

import math
from decimal import Decimal, localcontext
from functools import cache

import torch
from torch import Tensor

from accelerated import _checks
from accelerated._models import chunks

DISTRIBUTIONS = ("uniform", "normal")
TAIL = 9.0
"""Deviations from the mean beyond which a normal is cut off: there its tail integrates to 1e-20 deviations."""
PANEL = 2.0
"""Width of a panel of the normal's quadrature, in deviations of the narrowest normal that is not yet cut off."""
ORDER = 32
"""Gauss-Legendre nodes on a panel: 24 err by less than rounding does up to 500 variables, 32 up to 4000."""


@torch.no_grad()
def max_bias_bound(mean_square_error: Tensor, *, actions: int) -> Tensor:
    """√C / √(m − 1), where C / (m − 1) could underflow; [...] -> [...]."""
    _checks.reals(mean_square_error=mean_square_error)
    _checks.not_negative("mean_square_error", mean_square_error)
    whole = _checks.integer("actions", actions, minimum=2)
    others = _checks.scalar("actions", whole, "[2, inf)") - 1
    return (_checks.widened(mean_square_error).sqrt() / math.sqrt(others)).to(mean_square_error.dtype)


@torch.no_grad()
def expected_maximum(means: Tensor, deviations: Tensor, distribution: str) -> Tensor:
    """E max_i (μ_i + σ_i Z_i) by quadrature of the distribution function of the maximum; [..., m], [..., m] -> [...]."""
    _checks.reals(means=means, deviations=deviations)
    _checks.not_empty("means", means)
    _checks.aligned(means=means, deviations=deviations)
    _checks.finite(means=means)
    _checks.not_negative("deviations", deviations)
    _checks.choice("distribution", distribution, DISTRIBUTIONS)
    rows = (_checks.widened(data).reshape(-1, means.shape[-1]) for data in (means, deviations))
    return _expected_maximum(*rows, uniform=distribution == "uniform").reshape(means.shape[:-1]).to(means.dtype)


@torch.no_grad()
def double_estimate(select: Tensor, evaluate: Tensor) -> Tensor:
    """evaluate[argmax select], the first of several maximisers; [..., A], [..., A] -> [...]."""
    _checks.reals(select=select, evaluate=evaluate)
    _checks.not_empty("select", select)
    _checks.aligned(select=select, evaluate=evaluate)
    return evaluate.gather(-1, select.argmax(-1, keepdim=True)).squeeze(-1)


def _expected_maximum(means: Tensor, deviations: Tensor, *, uniform: bool) -> Tensor:
    """[B, m] -> [B], in chunks of rows, from the largest mean on; made smaller for the tails not to overflow."""
    scale = 2.0**-6
    top = means.amax(-1)
    centres, widths = means * scale - top.unsqueeze(-1) * scale, deviations * scale
    entries = max(ORDER, means.shape[-1]) * means.shape[-1]
    rises = [_expected_rise(centres[rows], widths[rows], uniform=uniform) for rows in chunks(len(means), entries)]
    return top + torch.cat([top[:0], *rises]) / scale


def _expected_rise(centres: Tensor, widths: Tensor, *, uniform: bool) -> Tensor:
    """∫ over t > 0 of 1 − ΠF_i(t) less ∫ over t < 0 of ΠF_i(t), [B, m] -> [B], where the largest centre is 0.

    It starts at the highest of the lower ends, below which the product is 0. From there on every F_i that is not yet 1
    spreads over at least the distance covered: panels as wide as the narrowest of those grow geometrically.
    """
    reach = widths if uniform else TAIL * widths
    high = centres + reach
    left, end = (centres - reach).amax(-1), high.amax(-1)
    least = torch.finfo(left.dtype).eps * end  # else a panel could be lost in rounding: |left| <= end
    nodes, weights = map(centres.new_tensor, _gauss_legendre(centres.shape[-1] // 2 + 1 if uniform else ORDER))
    total = torch.zeros_like(left)
    while bool((left < end).any()):
        rising = high > left.unsqueeze(-1)
        if uniform:  # up to the next kink, a polynomial of degree m
            right = torch.where(rising, high, math.inf).amin(-1)
        else:
            right = left + torch.maximum(PANEL * torch.where(rising, widths, math.inf).amin(-1), least)
        right = torch.minimum(right, end)
        right = torch.where((left < 0) & (right > 0), 0.0, right)
        t = left.unsqueeze(-1) + (right - left).unsqueeze(-1) * nodes
        log_cdf = _log_cdf(t.unsqueeze(-1), centres.unsqueeze(-2), widths.unsqueeze(-2), uniform=uniform).sum(-1)
        heights = torch.where((right <= 0).unsqueeze(-1), -log_cdf.exp(), -log_cdf.expm1())
        total += (right - left) * (heights * weights).sum(-1)
        left = right
    return total


def _log_cdf(t: Tensor, centre: Tensor, width: Tensor, *, uniform: bool) -> Tensor:
    """0 from the centre on where the width is 0."""
    x = torch.where(width > 0, (t - centre) / width, math.inf)
    return (-((1 - x) / 2).clamp(0, 1)).log1p() if uniform else torch.special.log_ndtr(x)


@cache
def _gauss_legendre(order: int) -> tuple[list[float], list[float]]:
    """Nodes and weights on [0, 1] by Newton's method; those of NumPy lose hundreds of roundoffs, and more the higher the order."""
    nodes, weights = [], []
    with localcontext(prec=40):
        for k in range(order):
            root = Decimal(math.cos(math.pi * (k + 0.75) / (order + 0.5)))
            for _ in range(5):
                value, slope = _legendre(order, root)
                root -= value / slope
            nodes.append(float((1 + root) / 2))
            weights.append(float(1 / ((1 - root * root) * slope * slope)))
    return nodes, weights


def _legendre(order: int, x: Decimal) -> tuple[Decimal, Decimal]:
    """P_n(x) and its derivative."""
    before, value = Decimal(1), x
    for k in range(1, order):
        before, value = value, ((2 * k + 1) * x * value - k * before) / (k + 1)
    return value, order * (before - x * value) / (1 - x * x)
