"""What a case of docs/reference/formats.md is, and the images that its files hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

_rng = np.random.default_rng(0)
_ramp = np.linspace(0, 130, 20) + np.linspace(0, 60, 24)[:, None]
GRAY = (_ramp + _rng.uniform(0, 40, (24, 20))).astype(np.uint8)
WIDE = GRAY.astype(np.uint16) * 257
VOLUME = np.stack([np.roll(GRAY, 3 * i, 0) for i in range(6)]).astype(np.int16)
COLOUR = np.stack([GRAY, GRAY.T[::-1].reshape(24, 20), 255 - GRAY], -1)
STACK = np.stack([np.roll(GRAY, i, 1) for i in range(4)])


class Case(NamedTuple):
    """One file, or folder, and what becomes of it.

    Args:
        format: whose it is.
        what: the file, in words.
        write: writes it into a folder and returns its path.
        says: voxels (C, *S) of its first image, or a part of the sentence that refuses it; with
            "left out: " before it where it is none and others of its source are used.
        near: how far the voxels may be off, where the format loses some of them.
        install: what brings the decoder, in the words of the refusal.
    """

    format: str
    what: str
    write: Callable[[Path], Path]
    says: np.ndarray | str
    near: float = 0.0
    install: str = ""


# by format and words: a module that is imported under two names enters each once
CASES: dict[tuple[str, str], Case] = {}


def case(format_, what, says, near=0.0, install=""):
    """Enter a writer among the cases."""

    def enter(write):
        CASES[format_, what] = Case(format_, what, write, says, near, install)
        return write

    return enter


def picture(name, pixels=GRAY, mode=None, **how):
    def write(folder):
        shown = Image.fromarray(pixels)
        shown = shown.convert(mode) if mode else shown
        shown.save(folder / name, **how)
        return folder / name

    return write
