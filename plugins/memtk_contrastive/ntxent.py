"""The normalised, temperature-scaled cross entropy between pairs of views."""

from __future__ import annotations

from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor


def ntxent(first: Tensor, second: Tensor, temperature: float = 0.07) -> Tensor:
    """Return the NT-Xent loss of K pairs, a scalar.

    For each of the 2K embeddings: the cross entropy of naming its partner among all others by
    cosine similarity over `temperature`; the mean over all 2K. `-log(exp(s_ij / T) / sum_k!=i
    exp(s_ik / T))`, SimCLR (Chen et al., arXiv 2002.05709, equation 1).

    Args:
        first: embeddings (K, D) of one view of each image.
        second: embeddings (K, D) of the other view, in the same order.
        temperature: T > 0; 0.07 in the reference method.
    """
    count = len(first)
    rows = F.normalize(torch.cat([first, second]).float(), dim=1)  # (2K, D)
    # Autocast does not know the meta device, where sizes alone are asked for.
    exact = nullcontext() if rows.is_meta else torch.autocast(rows.device.type, enabled=False)
    with exact:
        scores = rows @ rows.T / temperature  # (2K, 2K)
    scores = scores.masked_fill(
        torch.eye(2 * count, dtype=torch.bool, device=rows.device), float("-inf")
    )
    partner = torch.arange(2 * count, device=rows.device).roll(count)
    return F.cross_entropy(scores, partner)
