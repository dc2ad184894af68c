"""A generator that keeps the images it is shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from memtk.errors import UserError
from memtk.interfaces import ComponentConfig, Generator, ImageSpec, Phase, PhaseSettings


class Memory(Generator):
    """Holds the images it is trained on in a buffer, so that a checkpoint has them."""

    images: Tensor

    def __init__(self, config: ComponentConfig, spec: ImageSpec) -> None:
        super().__init__(config, spec)
        self.register_buffer("images", torch.empty(0, spec.channels, *spec.shape))

    def phases(self) -> tuple[Phase, ...]:
        """Return one phase, which looks at every image once and takes no step."""
        settings = PhaseSettings.model_validate({"steps": 0, "batch_size": 64})
        return (Phase("memorize", settings, begin=self._keep),)

    def recall(self, indices: Tensor) -> Tensor:
        """Return the images (B, C, *S) at `indices` (B,).

        Raises:
            UserError: if it was shown none.
        """
        if not len(self.images):
            raise UserError(f"{type(self).__name__.lower()} has no images yet: train it first")
        return self.images[indices.to(self.images.device)]

    def _keep(self, batches: Iterable[Tensor]) -> None:
        self.images = torch.cat([x.float() for x in batches])  # (N, C, *S)

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        """Take as many images as are saved: a fresh instance has room for none."""
        saved = state_dict.get(f"{prefix}images")
        if saved is not None and saved.shape[1:] == self.images.shape[1:]:
            self.images = torch.empty_like(saved, device=self.images.device)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
