"""Images as the run's copy detector sees them."""

from __future__ import annotations

from collections.abc import Mapping

from memtk.bench.context import Context
from memtk.bench.embedding import Detector, Rows, sources_of
from memtk.data.images import StoredImages
from memtk.interfaces import Images, Similarity
from memtk.memorization import Source


def real_rows(context: Context, detector: Detector | None) -> Mapping[str, Source]:
    """Return the rows of every split of the data, embedded once a detector."""
    sets: dict[str, Images] = {
        name: context.dataset.split(name) for name in ("training", "validation", "held_out")
    }
    return sources_of(detector, {k: v for k, v in sets.items() if len(v)}, "real images")


class DetectorEyes:
    """What a mitigation may ask the copy detector; see `memtk.interfaces.Eyes`.

    Args:
        context: the run.
        detector: None where the run compares the images themselves.
        similarity: of the run.
    """

    def __init__(self, context: Context, detector: Detector | None, similarity: Similarity) -> None:
        self._context, self._detector, self._similarity = context, detector, similarity

    @property
    def similarity(self) -> Similarity:
        """Likeness of two rows."""
        return self._similarity

    def look(self, images: Images) -> Source:
        """Return one row an image, (N, D), or the images themselves read slice by slice."""
        if self._detector is None:
            return Rows(images)
        if isinstance(images, StoredImages) and images.path == self._context.dataset.path:
            rows: Source = real_rows(self._context, self._detector)[images.group][images.indices]
            return rows
        return self._detector.see(images)
