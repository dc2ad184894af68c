"""Networks that map an image to a vector in which copies lie close together."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from memtk.interfaces.trainable import Trainable


class Embedder(Trainable):
    """Maps an image to a vector of `width` D.

    Optional methods, used where a subclass has them:
        `take_published(path: Path) -> None`: take trained weights from a file that memtk did not
            write, which `memtk audit --weights` may name; a UserError if they do not fit. There is
            nothing to train then: `phases()` is empty.
    """

    width: int

    @abstractmethod
    def embed(self, x: Tensor) -> Tensor:
        """Map images (B, C, *S) in [-1, 1] to embeddings (B, D). Row i depends on image i alone."""
