"""Which images a generator is trained on: some of the patients, and none twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from pydantic import Field
from torch import Tensor

from memtk.data.images import FlatImages
from memtk.errors import UserError, many
from memtk.interfaces import (
    Choice,
    ComponentConfig,
    CopyDetector,
    Mitigation,
    PatientImages,
    Similarity,
)
from memtk.memorization import Neighbours, duplicates, search


class DataSizeConfig(ComponentConfig):
    """How many patients are kept."""

    fraction: float = Field(0.5, gt=0, le=1, description="share of the patients that is kept")
    patients: int | None = Field(
        None, ge=1, description="number of patients that are kept, in place of the share"
    )


class DataSize(Mitigation):
    """Keeps all images of some patients, drawn at random, and none of the others.

    Nested: with one seed, the patients of a smaller set are all in every larger one, so that a
    series of sizes differs by what is added alone.

    Reference: Dar et al., arXiv 2402.01054, section 2.4.2.
    """

    Config = DataSizeConfig
    config: DataSizeConfig

    def choose(self, patients: Sequence[str], rng: np.random.Generator) -> np.ndarray:
        """Return the indices, ascending, of the training images of the patients that are kept.

        Raises:
            UserError: if more patients are asked for than there are.
        """
        names, owner = np.unique(np.asarray(patients), return_inverse=True)
        count = self.config.patients or max(1, round(self.config.fraction * len(names)))
        if count > len(names):
            there = many(len(names), "patient", "is/are")
            raise UserError(
                f"datasize.patients = {count}: {there} in the training set.\n"
                f"Say --set datasize.patients={len(names)} or fewer."
            )
        kept = rng.permutation(len(names))[:count]
        return np.flatnonzero(np.isin(owner, kept))


BLOCK = 1024
"""Images of which every pair is listed at a time."""


class DeduplicateConfig(ComponentConfig):
    """How near is near."""

    by: Literal["pixels", "detector"] = Field(
        "pixels",
        description="pixels: correlation of the images themselves; detector: as the run's copy "
        "detector sees them, which flips and turns do not hide from",
    )
    threshold: float | None = Field(
        None,
        description="similarity above which two images are near copies; none: the largest between "
        "validation images of two different patients",
    )


class Deduplicate(Mitigation):
    """Leaves out training images that are near copies of another training image.

    What is shown more often is memorized more (Somepalli et al., arXiv 2305.20086). Two images are
    near copies if they are more alike than any two validation images of different patients are,
    whosever they are: a patient's second scan may be one. Going through the images in their order,
    each is left out that is a near copy of one that stays. So one of each cluster always stays, no
    two near copies stay together, and everything that is left out has a near copy that stays.

    The threshold is a maximum over V (V - 1) / 2 pairs, and there are N (N - 1) / 2 pairs of
    training images. Among strangers, about (N / V)^2 of these lie above it by chance; the result
    says so. By pixels that holds as it stands. By the detector it errs to the side of leaving
    images in, because the detector was trained to tell the training images apart, and not the
    validation images.

    A patient whose image is left out is still known to the generator by the near copy that stayed.
    Judged is what stayed.
    """

    Config = DeduplicateConfig
    config: DeduplicateConfig

    def thin(
        self, training: PatientImages, validation: PatientImages, detector: CopyDetector
    ) -> Choice:
        """Keep one image of each cluster of near copies, of N training images."""
        if self.config.by == "pixels":
            similarity: Similarity = Correlation()
            rows: list[Any] = [FlatImages(training), FlatImages(validation)]
        else:
            similarity, rows = (
                detector.similarity,
                [detector.embed(training), detector.embed(validation)],
            )
        limit = self.config.threshold
        said = f"similarity above {limit:.4g}" if limit is not None else ""
        if limit is None:
            limit = between_strangers(rows[1], validation.patients, similarity)
            chance = (len(training) / len(validation)) ** 2
            said = (
                f"similarity above {limit:.4g}, the largest between two validation patients; of "
                f"pairs of strangers about {chance:.2g} would be by chance"
            )
        kept = first_of_each(rows[0], similarity, limit)
        gone = len(training) - len(kept)
        how = "their pixels" if self.config.by == "pixels" else "the copy detector"
        what = "is a near copy" if gone < 2 else "are near copies"
        return Choice(kept, f"{gone or 'None'} {what} of one that stays, by {how} ({said}).")


def between_strangers(rows: Any, patients: Sequence[str], similarity: Similarity) -> float:
    """Return the largest similarity of two of the rows (V, F) that are of different patients.

    It is infinite where there is one patient only.
    """
    if len(set(patients)) < 2:
        return float("inf")
    found = search(rows, rows, similarity, patients=(patients, patients)).queries
    return float(found.similarity.max())


def first_of_each(rows: Any, similarity: Similarity, limit: float) -> np.ndarray:
    """Return the rows (N, F) that are not more than `limit` alike to an earlier one that stays.

    The same as of going through them one by one; rows with the same bits are always alike. It is
    done block by block: no table of all pairs is made.

    Returns:
        Ascending, int64 (K,).
    """
    stays = np.ones(len(rows), dtype=bool)
    stays[duplicates(rows)[:, 1]] = False
    left = np.flatnonzero(stays)
    if len(left) < 2 or limit == float("inf"):
        return left
    above = _within(rows, left, similarity, limit).above
    assert above is not None
    doubtful = left[above > 0]  # the others are like nothing else
    settled: np.ndarray = np.zeros(0, dtype=np.int64)
    for start in range(0, len(doubtful), BLOCK):
        block = doubtful[start : start + BLOCK]
        if len(settled):
            found = search(Some(rows, block), Some(rows, settled), similarity).queries
            block = block[found.similarity <= limit]
        settled = np.concatenate([settled, _greedy(rows, block, similarity, limit)])
    stays[doubtful] = False
    stays[settled] = True
    return np.flatnonzero(stays)


def _greedy(rows: Any, block: np.ndarray, similarity: Similarity, limit: float) -> np.ndarray:
    """Return which of a block's rows stay, by comparing every pair of them."""
    if len(block) < 2:
        return block
    found = _within(rows, block, similarity, limit, top=len(block))
    stays = np.ones(len(block), dtype=bool)
    for row in range(len(block)):
        near = found.top_index[row][found.top_similarity[row] > limit]
        stays[row] = not stays[near[near < row]].any()
    return block[stays]


def _within(
    rows: Any, some: np.ndarray, similarity: Similarity, limit: float, top: int = 1
) -> Neighbours:
    """Search some of the rows among themselves, each but itself."""
    part, own = Some(rows, some), np.arange(len(some)).tolist()
    return search(part, part, similarity, threshold=limit, top=top, patients=(own, own)).queries


class Correlation:
    """Pearson correlation of two images, in [-1, 1]."""

    space: Literal["embedding", "image"] = "image"

    def prepare(self, rows: Tensor) -> Tensor:
        """Map images (N, F) to rows of mean 0 and length 1.

        Raises:
            UserError: if an image is of one value throughout.
        """
        centred = rows - rows.mean(1, keepdim=True)
        length = centred.norm(dim=1, keepdim=True)  # (N, 1)
        if bool((length == 0).any()):
            raise UserError(
                f"deduplicate: image {int((length == 0).flatten().nonzero()[0])} is of one value "
                "throughout, and like nothing: take blank images out (memtk check names them)"
            )
        return centred / length

    def compare(self, queries: Tensor, references: Tensor) -> Tensor:
        """Return the correlations (Q, R) of prepared images."""
        return queries @ references.T


class Some:
    """Some of the rows of a set.

    Args:
        rows: (N, F), read slice by slice.
        indices: which, ascending.
    """

    def __init__(self, rows: Any, indices: np.ndarray) -> None:
        self._rows, self._indices = rows, indices

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, where: slice) -> Any:
        indices = self._indices[where].tolist()
        if isinstance(self._rows, np.ndarray):
            return self._rows[indices]
        return np.concatenate([self._rows[i : i + 1] for i in indices]) if indices else []
