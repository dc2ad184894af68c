"""Seeds torch's global generators for a while; afterwards they are as they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """Seed the generators of the CPU and of `device` inside a block: dropout, initial weights.

    What draws from them depends on `seed` alone and nothing leaks to whoever draws next.
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
