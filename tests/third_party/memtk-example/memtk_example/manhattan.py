"""A similarity."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor


class Manhattan:
    """Minus the mean absolute difference of two embeddings; 0 for equal ones."""

    space: Literal["embedding", "image"] = "embedding"

    def prepare(self, rows: Tensor) -> Tensor:
        """Divide (N, F) by F, so that a sum of differences is their mean."""
        return rows / rows.shape[1]

    def compare(self, queries: Tensor, references: Tensor) -> Tensor:
        """Return the similarities (Q, R) of prepared rows."""
        return -torch.cdist(queries, references, p=1)
