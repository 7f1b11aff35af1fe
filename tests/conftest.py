"""The tables of mistakes are modules beside the tests that read them; one thread each, since tests run side by side."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))
torch.set_num_threads(1)
