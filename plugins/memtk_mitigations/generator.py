"""What a generator is, and what it is shown: fewer channels, augmented images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field
from torch import Tensor

from memtk.errors import UserError
from memtk.imaging import augmentation
from memtk.interfaces import ComponentConfig, Mitigation
from memtk.noise import Noise


class Augment(Mitigation):
    """Changes training images anew each time they are shown.

    A flip of the last axis and a rotation by U(-5, 5) degrees, each with probability 1/2. A phase
    with a frozen encoder, as the diffusion of a latent model, draws from as many changed versions
    of each image as its setting `variants` says, encoded once: 8 unless it is set.

    Reference: Dar et al., arXiv 2402.01054, section 2.4.3.
    """

    def augment(self, x: Tensor, noise: Noise) -> Tensor:
        """Return training images (B, C, *S) in [-1, 1], changed; row i by stream i of `noise`."""
        return augmentation.augment(x, noise)


WIDTHS = ("channels", "unet_channels", "base_channels", "unet_dim")
"""Settings of generators that are numbers of channels, one or one a level."""

HEADS = {"unet_head_channels": "unet_channels"}
"""Channels of an attention head, with the widths that are a multiple of them."""

GROUPS = {"unet_groups": "unet_dim"}
"""Groups of a norm, with the width that is a multiple of them."""


class SmallerConfig(ComponentConfig):
    """What is made smaller, and how much."""

    divisor: int = Field(2, ge=2, description="the channels are divided by this")
    keys: tuple[str, ...] = Field(
        (),
        description="settings of the generator that are divided, as smaller.keys=width,hidden; "
        "none: channels, unet_channels, base_channels and unet_dim, those that it has",
    )


class Smaller(Mitigation):
    """Divides the channels of the generator's networks, so that there is less room to memorize.

    Steps, batches and all else stay as they are. Discriminators, which are not sampled, keep their
    channels, and latents theirs. Attention heads get narrower with the networks, so that there are
    as many of them. A network of half the channels has about a quarter of the parameters.
    """

    Config = SmallerConfig
    config: SmallerConfig

    def adjust(self, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the generator's configuration with fewer channels.

        Raises:
            UserError: if it has no such setting, or one that cannot be divided.
        """
        keys = self.config.keys or tuple(key for key in WIDTHS if key in settings)
        if unknown := [key for key in keys if key not in settings]:
            raise UserError(
                f"smaller.keys = {unknown[0]}: the generator has no such setting; it has "
                f"{', '.join(settings) or 'none'}"
            )
        if not keys:
            raise UserError(
                "smaller: this generator has no width that could be divided; it has "
                f"{', '.join(settings) or 'no settings'}. Name one with --set smaller.keys=KEY, or "
                "leave smaller out"
            )
        changed = dict(settings) | {key: self._divided(key, settings[key]) for key in keys}
        for key, widths in HEADS.items():
            if key in settings:
                changed[key] = self._head(settings[key], changed.get(widths, ()))
        for groups, width in GROUPS.items():
            if groups in settings and changed.get(width):
                changed[groups] = math.gcd(settings[groups], changed[width])
        return changed

    def _head(self, channels: int, widths: Sequence[int]) -> int:
        """Return the channels of an attention head: an even number that fits the divided widths."""
        fewer, rest = divmod(channels, self.config.divisor)
        head = channels if rest or fewer % 2 else fewer
        fits = all(width % min(head, width) == 0 for width in widths)
        return head if fits else math.gcd(head, *widths)

    def _divided(self, key: str, value: Any) -> Any:
        """Return a width, or a width a level, divided.

        Raises:
            UserError: if it is none, or not a multiple of the divisor.
        """
        if value is None:
            raise UserError(
                f"smaller: {key} = none follows from the size of the images; say how many channels "
                f"there are, --set generator.{key}=64, and they are divided"
            )
        if isinstance(value, list | tuple):
            return type(value)(self._divided(key, each) for each in value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise UserError(f"smaller: {key} = {value!r} is no number of channels")
        if value % self.config.divisor:
            raise UserError(
                f"smaller: {key} = {value} is not a multiple of {self.config.divisor}: set "
                f"generator.{key} to one that is, or another smaller.divisor"
            )
        return value // self.config.divisor
