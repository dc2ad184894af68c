"""The page that pairs are read on: one for the local server and for the file without a server."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from memtk import __version__
from memtk.errors import UserError
from memtk.files import check_output, write_text
from memtk.report.page import open_templates
from memtk.report.pictures import window_of
from memtk.results.migrations import SCHEMA
from memtk.reviewing.draw import Draw, mark_exported
from memtk.reviewing.labels import Labels
from memtk.reviewing.reviewed import ReviewedSet

TEMPLATES = Path(__file__).parent / "templates"

LARGEST = 1_500_000_000
"""Bytes of voxels in a file that a browser opens."""

SAMPLE = 24
"""Pairs that black and white are chosen by."""


@dataclass(frozen=True)
class ReadingPage:
    """What one reader sees.

    Args:
        reviewed: the set.
        draw: its pairs.
        labels: what the reader has said so far.
        only: names of the pairs that are shown; None: all.
    """

    reviewed: ReviewedSet
    draw: Draw
    labels: Labels
    only: Sequence[str] | None = None

    @cached_property
    def names(self) -> list[str]:
        """The pairs in this reader's order."""
        order = self.draw.order(self.labels.reader)
        return order if self.only is None else [name for name in order if name in self.only]

    @property
    def channels(self) -> int:
        """Colours that are shown: 3 where the images have three channels, else 1."""
        return 3 if self.reviewed.spec.channels == 3 else 1

    @cached_property
    def window(self) -> tuple[int, int]:
        """The values that are black and white at first, the same for all pairs."""
        some = [pair for pair in self.draw.pairs if pair.name in self.names][:SAMPLE]
        if not some:
            return 0, 65535
        found = window_of(np.stack([side for pair in some for side in self.reviewed.read(pair)]))
        low, high = _sixteen_bits(np.array([found.low, found.high])).tolist()
        return low, high

    def voxels(self, name: str) -> bytes:
        """Return both images of a pair, uint16, little-endian: the training image, the other one.

        0 is -1 and 65535 is 1, so that no contrast is lost.

        Raises:
            KeyError: if no such pair is shown.
        """
        pair = next(pair for pair in self.draw.pairs if pair.name == name)
        if name not in self.names:
            raise KeyError(name)
        both = np.stack([side[: self.channels] for side in self.reviewed.read(pair)])
        return _sixteen_bits(both).astype("<u2").tobytes()

    def html(self, *, offline: bool, nonce: str = "") -> str:
        """Return the page.

        Args:
            offline: with all images in it, and labels that are saved as a file; else they come from
                the server and go there.
            nonce: of the server's security policy.
        """
        spec, images = self.reviewed.spec, []
        if offline:
            for name in self.names:
                packed = base64.b64encode(zlib.compress(self.voxels(name), 6)).decode()
                images.append((name, Markup(packed)))
        meta: dict[str, Any] = {
            "schema": SCHEMA,
            "version": __version__,
            "offline": offline,
            "draw": self.draw.name,
            "reader": self.labels.reader,
            "names": self.names,
            "shape": list(spec.shape),
            "spacing": list(spec.spacing) or [1.0] * len(spec.shape),
            "channels": self.channels,
            "window": list(self.window),
            "labels": {
                name: said.model_dump()
                for name, said in self.labels.labels.items()
                if name in self.names
            },
        }
        return (
            open_templates(TEMPLATES)
            .get_template("review.html")
            .render(
                meta=Markup(json.dumps(meta).replace("<", "\\u003c")),
                images=images,
                offline=offline,
                nonce=nonce,
                css=_text("review.css"),
                js=_text("review.js"),
            )
        )

    def export(self, path: Path) -> Path:
        """Write the page as one file that works without a server, readable by its owner alone.

        From then on no other pairs are drawn in place of these.

        Raises:
            UserError: if it would be too large for a browser, or cannot be written.
        """
        one = 2 * 2 * self.channels * int(np.prod(self.reviewed.spec.shape))
        if one * len(self.names) > LARGEST:
            raise UserError(
                f"{len(self.names)} pairs are {one * len(self.names) / 1e9:.1f} GB of voxels, more "
                f"than a browser opens as one file: read them with `memtk review RUN`, or draw "
                f"--pairs {max(1, LARGEST // one - 2 * self.draw.options.controls)} or fewer"
            )
        check_output(path, _is_page)
        write_text(path, self.html(offline=True), private=True)
        mark_exported(self.reviewed, self.draw)
        return path


def _sixteen_bits(values: np.ndarray) -> np.ndarray:
    return np.rint((np.clip(values, -1, 1) + 1) / 2 * 65535).astype(np.uint16)


def _text(name: str) -> Markup:
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))


def _is_page(text: str) -> bool:
    return "<title>Novel or copy?</title>" in text[:2000]
