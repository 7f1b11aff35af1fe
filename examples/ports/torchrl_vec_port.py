"""torchrl's vectorised value functionals as a port; the mapping is that of `torchrl_port.py`."""

from functools import partial

import torchrl_port
from torchrl.objectives.value import functional
from torchrl_port import CONVENTIONS as CONVENTIONS
from torchrl_port import DTYPES as DTYPES

discounted_returns = partial(torchrl_port.discounted_returns, estimate=functional.vec_td1_return_estimate)
lambda_returns = partial(torchrl_port.lambda_returns, estimate=functional.vec_td_lambda_return_estimate)
gae = partial(torchrl_port.gae, estimate=functional.vec_generalized_advantage_estimate)
