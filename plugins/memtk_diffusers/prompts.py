"""A file of prompts for a pipeline that makes images of them."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from memtk.errors import UserError


@dataclass(frozen=True)
class Prompts:
    """Prompts in the order of their file; sample i takes prompt i modulo their number.

    Args:
        texts: one at least.
        images: of each, the training image that it was written for, as the manifest of the
            training images has it; empty where the file does not say.
    """

    texts: tuple[str, ...]
    images: tuple[str, ...] = ()

    def of(self, sample: int) -> str:
        """Return the prompt of a sample."""
        return self.texts[sample % len(self.texts)]


def read_prompts(path: Path) -> Prompts:
    """Read a CSV file with a column `prompt`, and perhaps one `image`.

    Raises:
        UserError: for a file that is none, an empty prompt or no prompt at all, naming the line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise UserError(f"cannot read the prompts {path}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is no CSV file in UTF-8 ({error})") from error
    if not rows or "prompt" not in rows[0]:
        there = f"its first line has {', '.join(map(str, rows[0]))}" if rows else "it has no rows"
        raise UserError(f"{path} needs a first line with `prompt`, and prompts below; {there}")
    texts = tuple((row["prompt"] or "").strip() for row in rows)
    if "" in texts:
        raise UserError(f"{path}: the prompt of row {texts.index('') + 1} is empty")
    if "image" not in rows[0]:
        return Prompts(texts)
    return Prompts(texts, tuple((row["image"] or "").strip() for row in rows))
