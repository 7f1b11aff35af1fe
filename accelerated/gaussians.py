"""Gaussians with diagonal covariance, plain and squashed into a box by tanh; all but the score are differentiable."""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

from accelerated import _checks

LOG_2_PI = math.log(2 * math.pi)
LINEAR = 40.0
"""Where softplus is its argument: it differs from that by exp(-40), less than a rounding."""


class GaussianScore(NamedTuple):
    mean: Tensor
    log_std: Tensor


class TanhSample(NamedTuple):
    action: Tensor
    pre_tanh: Tensor


def gaussian_log_prob(action: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """−Σ z²/2 + log std + log(2π)/2 with z = (action − mean) / std; [..., D] three times -> [...]."""
    _check(action=action, mean=mean, log_std=log_std)
    return _log_densities(action, mean, log_std).sum(-1).to(action.dtype)


def gaussian_entropy(log_std: Tensor) -> Tensor:
    """Σ log std + log(2πe)/2; [..., D] -> [...]."""
    _check(log_std=log_std)
    return (_checks.widened(log_std) + (LOG_2_PI + 1) / 2).sum(-1).to(log_std.dtype)


def gaussian_kl(mean: Tensor, log_std: Tensor, other_mean: Tensor, other_log_std: Tensor) -> Tensor:
    """Σ (eˣ − 1 − x + z²) / 2, x = 2·log(std/other_std), z = (mean − other_mean) / other_std: no summand is negative; -> [...]."""
    _check(mean=mean, log_std=log_std, other_mean=other_mean, other_log_std=other_log_std)
    z, _ = _standardized(mean, other_mean, other_log_std)
    x = 2 * (_checks.widened(log_std) - other_log_std)
    excess: Tensor = _Excess.apply(x)  # type: ignore[no-untyped-call]
    return ((excess + z * z) / 2).sum(-1).to(mean.dtype)


@torch.no_grad()
def gaussian_score(action: Tensor, mean: Tensor, log_std: Tensor) -> GaussianScore:
    """z / std and z² − 1, the gradient of `gaussian_log_prob`; [..., D] each."""
    _check(action=action, mean=mean, log_std=log_std)
    z, precision = _standardized(action, mean, log_std)
    return GaussianScore((z * precision).to(action.dtype), (z * z - 1).to(action.dtype))


def tanh_gaussian_log_prob(pre_tanh: Tensor, mean: Tensor, log_std: Tensor, *, low: float | Tensor, high: float | Tensor) -> Tensor:
    """log N(u) − Σ log((high − low)/2) − 2·log cosh u, since 1 − tanh² u = 1/cosh² u; [..., D] -> [...].

    log cosh u = u + log(1 + exp(−2u)) − log 2, whose derivatives of any order are finite at any u.
    """
    _check(pre_tanh=pre_tanh, mean=mean, log_std=log_std)
    box = _box(low, high, "pre_tanh", pre_tanh)
    u = _checks.widened(pre_tanh)
    log_cosh = u + softplus(-2 * u, threshold=LINEAR) - math.log(2)
    each = _log_densities(pre_tanh, mean, log_std) - (box.half_width.log() - 2 * log_cosh)
    return each.sum(-1).to(pre_tanh.dtype)


def tanh_action(pre_tanh: Tensor, *, low: float | Tensor, high: float | Tensor) -> Tensor:
    """centre + half width · tanh u, never outside [low, high]; [..., D] -> [..., D]."""
    _check(pre_tanh=pre_tanh)
    return _squashed(pre_tanh, _box(low, high, "pre_tanh", pre_tanh))


def sample_gaussian(mean: Tensor, log_std: Tensor, *, generator: torch.Generator) -> Tensor:
    """mean + std · noise, reparameterised; [..., D] -> [..., D]."""
    _check(mean=mean, log_std=log_std)
    return _sample(mean, log_std, generator)


def sample_tanh_gaussian(
    mean: Tensor, log_std: Tensor, *, low: float | Tensor, high: float | Tensor, generator: torch.Generator
) -> TanhSample:
    """The action is that of the `pre_tanh` returned, after its rounding; [..., D] each."""
    _check(mean=mean, log_std=log_std)
    box = _box(low, high, "mean", mean)
    pre_tanh = _sample(mean, log_std, generator)
    return TanhSample(_squashed(pre_tanh, box), pre_tanh)


def _check(**data: Tensor) -> None:
    _checks.reals(**data)
    for name, tensor in data.items():
        _checks.not_empty(name, tensor)
    _checks.aligned(**data)
    _checks.finite(**data)


def _standardized(action: Tensor, mean: Tensor, log_std: Tensor) -> tuple[Tensor, Tensor]:
    """z and 1/std; on the mean a std that underflows to 0 is not read, so that it makes no nan."""
    distance, log_precision = _checks.widened(action) - _checks.widened(mean), -_checks.widened(log_std)
    unread = (distance == 0) & log_precision.exp().isinf()
    precision = torch.where(unread, 0.0, log_precision).exp()
    return distance * precision, precision


def _log_densities(action: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    z, _ = _standardized(action, mean, log_std)
    return -(z * z / 2 + (_checks.widened(log_std) + LOG_2_PI / 2))


class _Excess(torch.autograd.Function):
    """eˣ − 1 − x, from its series where the difference would cancel; autograd knows eˣ − 1 for any order."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        last = 20 if x.dtype == torch.float64 else 12  # the first term left out, 2/(last + 1)!, is far less than a rounding
        series = torch.zeros_like(x)
        for k in range(last, 1, -1):
            series = (1 + x * series) / k
        return torch.where(x.abs() < 1, x * x * series, x.expm1() - x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        x: Tensor = ctx.saved_tensors[0]
        return gradient * x.expm1()


class _Box(NamedTuple):
    centre: Tensor
    half_width: Tensor
    lowest: Tensor
    highest: Tensor


def _box(low: float | Tensor, high: float | Tensor, first: str, like: Tensor) -> _Box:
    """Each bound [D], or a number: then without axes, in float64 on the cpu, which widens and moves no other tensor."""
    smallest, largest = _bound("low", low, first, like), _bound("high", high, first, like)
    if _checks.values_are_checked() or not (isinstance(low, Tensor) or isinstance(high, Tensor)):
        ordered = smallest < largest
        _checks.each("low", smallest.expand_as(ordered), ordered, "must be less than high")
    lowest, highest = _inward(smallest, like, math.inf), _inward(largest, like, -math.inf)
    return _Box(smallest / 2 + largest / 2, largest / 2 - smallest / 2, lowest, highest)


def _bound(name: str, bound: float | Tensor, first: str, like: Tensor) -> Tensor:
    if not isinstance(bound, Tensor):
        return torch.tensor(_checks.scalar(name, bound, "(-inf, inf)"), dtype=torch.float64)
    _checks.reals(**{first: like, name: bound})
    if bound.shape != like.shape[-1:]:
        raise ValueError(f"{_checks.shown(name, bound)}, {_checks.shown(first, like)}; {name} must be a number or [D]")
    _checks.finite(**{name: bound})
    return _checks.widened(bound)


def _inward(bound: Tensor, like: Tensor, inwards: float) -> Tensor:
    """The bound in the dtype of `like`; a number that this cannot hold becomes the next one inside the box."""
    nearest = bound.to(like.dtype)
    outside = bound.ndim == 0 and bool(nearest < bound if inwards > 0 else nearest > bound)
    return nearest.nextafter(torch.full_like(nearest, inwards)) if outside else nearest


def _squashed(pre_tanh: Tensor, box: _Box) -> Tensor:
    """What rounding had put outside is put back; the gradient does not see it."""
    action = (box.centre + box.half_width * _checks.widened(pre_tanh).tanh()).to(pre_tanh.dtype)
    with torch.no_grad():
        inside = torch.minimum(torch.maximum(action, box.lowest), box.highest)
        moved = inside - action
    return action + moved


def _sample(mean: Tensor, log_std: Tensor, generator: torch.Generator) -> Tensor:
    wide = _checks.widened(mean)
    source = _checks.generator(generator, "mean", mean)
    noise = torch.randn(wide.shape, generator=source, dtype=wide.dtype, device=wide.device)
    return (wide + _checks.widened(log_std).exp() * noise).to(mean.dtype)
