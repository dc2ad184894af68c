"""Sums whose last bit depends on the row alone, and how far a matrix product may be off."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def row_sum(x: Tensor) -> Tensor:
    """Sum each row of (N, F), F >= 1, by halving it: (N,).

    Element-wise additions in a fixed order: a row has the same sum, to the last bit, whatever
    the other rows, the device and the number of threads. Equal images therefore tie exactly.

    >>> row_sum(torch.tensor([[1.0, 2.0, 3.0], [0.5, 0.5, 0.5]])).tolist()
    [6.0, 1.5]
    """
    while x.shape[1] > 1:
        half = x.shape[1] // 2
        folded = x[:, :half] + x[:, half : 2 * half]  # (N, F // 2)
        if x.shape[1] % 2:
            folded[:, 0] += x[:, -1]
        x = folded
    return x[:, 0]


def product_error(width: int, dtype: torch.dtype) -> float:
    """Return how far the computed product of two unit vectors (F,) may be from the exact one.

    8 sqrt(F) u with u half the spacing of floats at 1: roundings of F terms add up like a random
    walk (Higham and Mary, SIAM J. Sci. Comput. 2019; at factor 8 the chance of exceeding it is
    below 1e-13), and 4 u for the rounding of the vectors themselves.
    """
    return (8 * math.sqrt(width) + 4) * torch.finfo(dtype).eps / 2
