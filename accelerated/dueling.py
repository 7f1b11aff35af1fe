"""A state's value and the advantages of its actions made into action values, differentiably."""

from torch import Tensor

from accelerated import _checks

BASELINES = ("mean", "max")


def dueling_value(value: Tensor, advantage: Tensor, *, baseline: str = "mean") -> Tensor:
    """V + (A − mean A) or V + (A − max A), ties of the maximum sharing the gradient; [...], [..., A] -> [..., A]."""
    _checks.reals(value=value, advantage=advantage)
    _checks.aligned_rows("value", value, advantage=advantage)
    _checks.choice("baseline", baseline, BASELINES)
    wide = _checks.widened(advantage)
    reference = wide.amax(-1, keepdim=True) if baseline == "max" else _mean(wide)
    return ((wide - reference) + _checks.widened(value).unsqueeze(-1)).to(value.dtype)


def _mean(advantage: Tensor) -> Tensor:
    """Made smaller by a power of two for the sum not to overflow."""
    scale = 2.0 ** -advantage.shape[-1].bit_length()
    return (advantage * scale).mean(-1, keepdim=True) / scale
