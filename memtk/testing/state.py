"""Whether a call leaves a model as it was."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn


def unchanged_by(model: nn.Module, call: Callable[[], object]) -> str:
    """Return the first weight or buffer that a call changes, an empty string if none."""
    before = {name: value.detach().clone() for name, value in model.state_dict().items()}
    call()
    after = model.state_dict()
    for name in [*before, *after]:
        if name not in before or name not in after or not torch.equal(before[name], after[name]):
            return name
    return ""
