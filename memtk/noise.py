"""Randomness: one stream for each sample, and torch's global generators for a while."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor


def derive(seed: int, *keys: object) -> int:
    """Return a seed in [0, 2**63) that depends on `seed` and every key, and on nothing else.

    >>> derive(0, "training", 3) == derive(0, "training", 3) != derive(0, "training", 4)
    True
    """
    text = "\x1f".join(repr(key) for key in (seed, *keys)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


@contextmanager
def seeded(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """Seed torch's global generators, of the CPU and of `device`, inside a block.

    For what draws from nothing else: dropout, initial weights. It depends on `seed` alone, and
    afterwards the generators are as they were.
    """
    device = torch.device(device)
    on_mps = device.type == "mps"
    kept = torch.mps.get_rng_state() if on_mps else None
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        if on_mps:
            torch.mps.manual_seed(seed)
        try:
            yield
        finally:
            if kept is not None:
                torch.mps.set_rng_state(kept)


class Noise:
    """B independent random streams, stream i seeded by `(seed, indices[i])`.

    The numbers are drawn on the CPU and then moved, so that they are the same whatever the batch
    size, the device or the number of processes. Each call continues the streams.

    Args:
        seed: of the whole family of streams; see `derive`.
        indices: the samples, one for each row of the batch.
        device: where the drawn tensors go.

    >>> a = Noise(0, [3, 7]).normal(2)
    >>> b = Noise(0, [7]).normal(2)
    >>> torch.equal(a[1], b[0])
    True
    """

    def __init__(
        self, seed: int, indices: Sequence[int], device: torch.device | str = "cpu"
    ) -> None:
        self.seed = int(seed)
        self.indices = [int(index) for index in indices]
        self.device = torch.device(device)
        self._streams = [
            torch.Generator().manual_seed(derive(self.seed, index)) for index in self.indices
        ]

    def __len__(self) -> int:
        return len(self.indices)

    def normal(self, *shape: int) -> Tensor:
        """Draw from N(0, 1): float32 (B, *shape)."""
        return self._stack([torch.randn(shape, generator=g) for g in self._streams], shape)

    def uniform(self, *shape: int) -> Tensor:
        """Draw from U[0, 1): float32 (B, *shape)."""
        return self._stack([torch.rand(shape, generator=g) for g in self._streams], shape)

    def integers(self, high: int) -> Tensor:
        """Draw uniformly from 0, ..., high - 1: int64 (B,)."""
        drawn = [torch.randint(high, (), generator=g) for g in self._streams]
        return self._stack(drawn, (), torch.int64)

    def generators(self) -> list[torch.Generator]:
        """Return the streams themselves (CPU generators), for libraries that take a list."""
        return self._streams

    def _stack(
        self, rows: list[Tensor], shape: tuple[int, ...], dtype: torch.dtype = torch.float32
    ) -> Tensor:
        if not rows:
            return torch.empty((0, *shape), dtype=dtype, device=self.device)
        return torch.stack(rows).to(self.device)
