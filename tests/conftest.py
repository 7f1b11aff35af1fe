"""The tables of mistakes are modules beside the tests that read them; one thread each, since tests run side by side."""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")

import torch  # noqa: E402  after the number of threads, which the programs that tests start inherit

sys.path.insert(0, str(Path(__file__).parent))
torch.set_num_threads(1)
