"""Parts that compute in float32 inside autocast too."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch


def in_float32(device: torch.device) -> AbstractContextManager[Any]:
    """Switch autocast off for a block; tensors that come from outside are for the caller to cast.

    Distances to codes and predictions of noise need all their digits.
    """
    if device.type == "meta":  # knows no autocast
        return nullcontext()
    return torch.autocast(device.type, enabled=False)
